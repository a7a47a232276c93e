#include "models/backend.h"

#include <stdio.h>
#include <string.h>

#include "models/cpu.h"
#include "models/cuda.h"

/* In the order in which "auto" tries them. */
static const struct backend_ops *const BACKENDS[] = {&cuda_backend, &cuda_bf16_backend, &cpu_backend,
                                                      &cpu_bf16_backend};
enum { N_BACKENDS = sizeof(BACKENDS) / sizeof(BACKENDS[0]) };
static const char *const NAMES[] = {"cpu", "cuda", NULL};
static const char *const PRECISIONS[] = {"float32", "bf16", NULL};

const struct backend_ops *backend_with(const char *name, const char *precision)
{
    for (size_t i = 0; i < N_BACKENDS; i++)
        if (strcmp(BACKENDS[i]->name, name) == 0 && strcmp(BACKENDS[i]->precision, precision) == 0)
            return BACKENDS[i];
    return NULL;
}

const struct backend_ops *backend_find(const char *name)
{
    return backend_with(name, PRECISIONS[0]);
}

const char *const *backend_names(void)
{
    return NAMES;
}

const char *const *backend_precisions(void)
{
    return PRECISIONS;
}

static enum err_code try_open(struct backend_choice *out, const struct backend_ops *ops, struct err *e)
{
    struct backend *b = NULL;
    enum err_code code = ops->open(&b, 0, 1, e);
    if (code)
        return code;
    out->ops = ops;
    out->n_devices = ops->n_devices();
    ops->describe(b, out->about, sizeof(out->about));
    ops->close(b);
    return OK;
}

static enum err_code pick_any(struct backend_choice *out, const char *precision, struct err *e)
{
    enum err_code code = err_set(e, ERR_INPUT, "no backend has precision \"%.40s\"", precision);
    for (size_t i = 0; i < N_BACKENDS && code; i++) {
        struct err why = {0};
        if (strcmp(BACKENDS[i]->precision, precision) != 0)
            continue;
        code = try_open(out, BACKENDS[i], &why);
        if (code)
            snprintf(out->passed_over, sizeof(out->passed_over), "%.*s",
                     (int)sizeof(out->passed_over) - 1, why.text);
        if (code && e)
            *e = why;
    }
    return code ? err_in(e, code, "precision %s", precision) : OK;
}

enum err_code backend_pick(struct backend_choice *out, const char *name, const char *precision,
                           struct err *e)
{
    struct backend_choice choice = {0};
    enum err_code code;
    if (strcmp(name, "auto") == 0) {
        code = pick_any(&choice, precision, e);
    } else {
        const struct backend_ops *ops = backend_with(name, precision);
        if (!ops)
            return err_set(e, ERR_INPUT, "no backend \"%.40s\" with precision \"%.40s\"", name,
                           precision);
        code = try_open(&choice, ops, e);
        if (code)
            err_in(e, code, "backend %s", name);
    }
    if (!code)
        *out = choice;
    return code;
}
