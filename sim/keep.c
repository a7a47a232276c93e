#include "sim/keep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "models/peft.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

/* Sentences of the model card. */
static const char *about(const struct keep *k, uint32_t round, struct arena *a)
{
    const struct scenario *s = k->scenario;
    const struct scenario_federation *f = &s->federation;
    return arena_printf(
        a,
        "Trained by veryedge in the federated run `%s`: after round %u of %u, %zu of %zu clients a "
        "round, server optimizer %s, seed %llu, data %s. `scenario.json` of the run says the rest.",
        s->name, round, f->rounds, f->clients_per_round, s->n_clients,
        server_opt_name(f->server.opt), (unsigned long long)s->seed, s->data.source);
}

static enum err_code write_adapter(const struct keep *k, const char *folder, uint32_t round,
                                   struct err *e)
{
    const struct scenario_model *m = &k->scenario->model;
    struct arena a = {0};
    float *adapter = ARENA_NEW(&a, float, learner_adapter_size(k->learner));
    bool is_builtin = strncmp(m->weights, "builtin:", 8) == 0;
    char *absolute = is_builtin ? NULL : file_absolute(m->weights);
    const char *base = absolute ? absolute : m->weights;
    learner_trained(k->learner, adapter);
    enum err_code code = peft_save(folder, learner_config(k->learner), &m->lora, base, adapter, e);
    if (!code)
        code = peft_save_card(folder, base, about(k, round, &a), e);
    mem_free(absolute);
    arena_free(&a);
    return code;
}

enum err_code keep_copy_tokens(const char *from, const char *to, struct err *e)
{
    static const char *const names[] = {"spiece.model", "tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "generation_config.json"};
    enum err_code code = OK;
    for (size_t i = 0; !code && i < sizeof(names) / sizeof(names[0]); i++) {
        struct file f = {0};
        char *source = file_join(from, names[i]), *copy = file_join(to, names[i]);
        if (file_exists(source)) {
            code = file_map(&f, source, e);
            if (!code)
                code = file_replace(copy, f.bytes, f.n_bytes, e);
            file_unmap(&f);
        }
        mem_free(copy);
        mem_free(source);
    }
    return code;
}

/* The model as it was opened, with the server's weights. */
static enum err_code write_model(const struct keep *k, const char *folder, struct err *e)
{
    struct t5 *m = NULL;
    void *weights = NULL;
    char *from = NULL;
    enum err_code code = t5_open_copy(&m, learner_model(k->learner), e);
    if (!code)
        code = mem_big(&weights, learner_adapter_size(k->learner) * sizeof(float), "a copy", e);
    if (code)
        goto done;
    learner_trained(k->learner, weights);
    code = t5_set_flat(m, weights, e);
    if (!code)
        code = file_make_folder(folder, e);
    if (!code)
        code = t5_save(m, folder, WEIGHTS_F32, e);
    if (!code)
        code = t5_folder(&from, k->scenario->model.weights, e);
    if (!code)
        code = keep_copy_tokens(from, folder, e);
done:
    mem_free(from);
    mem_free(weights);
    t5_close(m);
    return code;
}

enum err_code keep_round(const struct keep *k, uint32_t round, struct err *e)
{
    uint32_t every = k->scenario->output.adapter_every;
    if (every == 0 || round % every != 0)
        return OK;
    struct arena a = {0};
    const char *aside = arena_printf(&a, "%s/adapter/part-%u", k->folder, round);
    const char *folder = arena_printf(&a, "%s/adapter/round-%u", k->folder, round);
    enum err_code code = write_adapter(k, aside, round, e);
    if (!code && rename(aside, folder) != 0)
        code = err_set(e, ERR_IO, "%s: cannot be put in place: %s", folder, strerror(errno));
    arena_free(&a);
    return code;
}

enum err_code keep_final(const struct keep *k, uint32_t round, struct err *e)
{
    bool is_full = k->scenario->model.train == SCENARIO_FULL;
    char *folder = file_join(k->folder, is_full ? "model" : "adapter");
    enum err_code code = is_full ? write_model(k, folder, e) : write_adapter(k, folder, round, e);
    mem_free(folder);
    return code;
}
