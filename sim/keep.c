#include "sim/keep.h"

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

enum err_code keep_round(const struct keep *k, uint32_t round, struct err *e)
{
    uint32_t every = k->scenario->output.adapter_every;
    if (every == 0 || round % every != 0)
        return OK;
    struct arena a = {0};
    enum err_code code =
        write_adapter(k, arena_printf(&a, "%s/adapter/round-%u", k->folder, round), round, e);
    arena_free(&a);
    return code;
}

enum err_code keep_final(const struct keep *k, uint32_t round, struct err *e)
{
    char *folder = file_join(k->folder, "adapter");
    enum err_code code = write_adapter(k, folder, round, e);
    mem_free(folder);
    return code;
}
