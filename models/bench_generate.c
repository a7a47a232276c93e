#include "models/bench_generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "sim/base/wall.h"

double bench_peak_bytes(void)
{
    char line[128];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (f)
        fclose(f);
    return 1024 * kib;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Inputs of the spec's lengths, all of one member. */
static enum err_code make_pack(struct pack **out, const struct t5_config *c, const struct bench_spec *s,
                               struct err *e)
{
    size_t most = (size_t)s->lengths.in_to;
    int32_t *id = malloc(most * sizeof(*id)), n, n_target;
    struct pack *p = NULL;
    enum err_code code = id ? pack_open(&p, 1, BENCH_TEXTS, BENCH_TEXTS * most, BENCH_TEXTS, e)
                            : err_set(e, ERR_MEMORY, "no memory for a text");
    if (!code) {
        pack_clear(p, c->start_id);
        pack_member(p, 0);
    }
    for (uint32_t i = 0; i < BENCH_TEXTS && !code; i++) {
        lengths_draw(&s->lengths, s->seed, i, &n, &n_target);
        for (int k = 0; k < n; k++)
            id[k] = 3 + (int32_t)rng_below(s->seed, RNG_ORDER, i, (uint64_t)k + 1, (uint64_t)c->vocab - 3);
        if (!pack_add(p, id, n, &c->eos_id, 1))
            code = err_set(e, ERR_LIMIT, "a text of %d tokens is longer than planned", n);
    }
    free(id);
    if (!code)
        pack_finish(p);
    else
        pack_close(p);
    *out = code ? NULL : p;
    return code;
}

static enum err_code time_it(struct bench_texts *out, struct t5_work *w, const struct t5_pass *pass, int max_new,
                             int n_repeats, struct err *e)
{
    struct arena arena = {0};
    int32_t *id = ARENA_NEW(&arena, int32_t, (size_t)(BENCH_TEXTS * max_new));
    double *s = ARENA_NEW(&arena, double, (size_t)n_repeats + 1);
    int n_out[BENCH_TEXTS];
    enum err_code code = OK;
    for (int i = 0; i <= n_repeats && !code; i++) {
        double begun_s = wall_s();
        code = t5_greedy(w, pass, max_new, id, n_out, e);
        s[i > 0 ? i - 1 : 0] = wall_s() - begun_s;
    }
    if (!code) {
        qsort(s, (size_t)n_repeats, sizeof(s[0]), by_value);
        out->min_s = s[0];
        out->max_s = s[n_repeats - 1];
        out->median_s = (s[(n_repeats - 1) / 2] + s[n_repeats / 2]) / 2;
        for (int i = 0; i < BENCH_TEXTS; i++)
            out->n_new += (size_t)n_out[i];
    }
    arena_free(&arena);
    return code;
}

enum err_code bench_generate(struct bench_texts *out, const struct t5 *model, const struct bench_spec *spec,
                             int max_new, int n_repeats, struct err *e)
{
    const struct t5_config *c = t5_config_of(model);
    const struct backend_ops *ops = t5_ops(model);
    struct lora_layout layout = {0};
    struct pack *pack = NULL;
    struct t5_work *w = NULL;
    void *x = NULL;
    float *host = NULL;
    *out = (struct bench_texts){0};
    enum err_code code = lora_check(&spec->lora, e);
    if (code)
        return code;
    lora_layout_init(&layout, c, &spec->lora);
    code = make_pack(&pack, c, spec, e);
    if (!code) {
        struct t5_limits limits = {.max_members = 1,
                                   .max_seqs = BENCH_TEXTS,
                                   .max_in = (size_t)pack->in.n_rows,
                                   .max_out = BENCH_TEXTS,
                                   .max_new = max_new};
        out->n_in = limits.max_in;
        code = t5_work_open(&w, model, T5_INFER, &layout, &limits, spec->n_threads, e);
    }
    if (!code)
        code = ops->alloc(t5_work_backend(w), &x, layout.size * sizeof(float), "the adapter", e);
    host = code ? NULL : malloc(layout.size * sizeof(*host));
    if (host) {
        lora_init(&layout, spec->seed, host);
        ops->set(t5_work_backend(w), x, host, layout.size * sizeof(*host));
        out->n_bytes = t5_work_bytes(w);
        struct t5_pass pass = {.pack = pack, .adapters = x};
        code = time_it(out, w, &pass, max_new, n_repeats, e);
    } else if (!code) {
        code = err_set(e, ERR_MEMORY, "no memory for an adapter");
    }
    free(host);
    if (x)
        ops->free(t5_work_backend(w), x);
    t5_work_close(w);
    pack_close(pack);
    lora_layout_fini(&layout);
    return code;
}
