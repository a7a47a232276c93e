#include "sim/costs.h"

#include "models/cost.h"
#include "models/t5.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

static int n_targets(unsigned targets)
{
    int n = 0;
    for (; targets; targets &= targets - 1)
        n++;
    return n;
}

/* One step of the charged architecture; lengths are the scenario's limits, as devices pad to them. */
static struct device_work work_of(const struct costs *c, const struct t5_config *t, size_t batch)
{
    const struct scenario *s = c->scenario;
    bool is_trained_full = s->model.train == SCENARIO_FULL;
    bool is_full = is_trained_full || s->federation.payload == SCENARIO_PAYLOAD_FULL;
    struct cost_shape shape = {.d_model = t->d_model,
                               .d_kv = t->d_kv,
                               .d_ff = t->d_ff,
                               .n_heads = t->n_heads,
                               .n_encoder = t->n_enc,
                               .n_decoder = t->n_dec,
                               .vocab = t->vocab,
                               .lora_rank = is_trained_full ? 0 : s->model.lora.rank,
                               .lora_targets = n_targets(s->model.lora.targets)};
    struct cost_batch b = {.sequences = (double)batch,
                           .input_tokens = s->data.max_input,
                           .target_tokens = s->data.max_target};
    struct cost cost = cost_step(&shape, &b, is_full);
    return (struct device_work){.model = c->model,
                                .minibatch = (int)batch,
                                .flop = cost.flop,
                                .bytes = cost.bytes,
                                .memory_bytes = cost.memory_bytes,
                                .reading = s->compute.reading};
}

enum err_code costs_init(struct costs *c, const struct scenario *s, struct err *e)
{
    struct t5_config own = {0};
    bool is_tied = false;
    enum err_code code = s->model.costs_of ? OK : t5_folder_sizes(&own, &is_tied, s->model.weights, e);
    if (code)
        return code;
    const struct t5_config *t = s->model.costs_of ? &s->model.costs : &own;
    *c = (struct costs){.scenario = s,
                        .model = s->model.costs_of ? s->model.costs_of : s->model.weights,
                        .n_batches = (size_t)s->federation.batch + 1};
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        c->payload_bytes[dir] = (uint64_t)scenario_payload_bytes(s, t, is_tied, (enum net_dir)dir);
    size_t cap = 0;
    mem_grow((void **)&c->step, &cap, s->n_groups * c->n_batches, sizeof(c->step[0]));
    for (size_t g = 0; g < s->n_groups; g++)
        for (size_t batch = 1; batch < c->n_batches; batch++) {
            struct device_work w = work_of(c, t, batch);
            c->step[g * c->n_batches + batch] = device_step(&s->group[g].device, &w);
        }
    return OK;
}

void costs_fini(struct costs *c)
{
    mem_free(c->step);
    *c = (struct costs){0};
}

struct split_work costs_typical_work(const struct scenario *s)
{
    size_t mean = s->data.n_train / s->n_clients;
    if (s->data.n_train == 0)
        mean = (size_t)s->federation.batch;
    return split_work_for(mean ? mean : 1, &s->federation.dealing);
}

struct cost_of_client costs_of_client(const struct costs *c, size_t group,
                                      const struct split_work *work)
{
    const struct scenario *s = c->scenario;
    CHECK(group < s->n_groups && work->batch >= 1 && work->batch < c->n_batches);
    const struct device_step *step = &c->step[group * c->n_batches + work->batch];
    struct cost_of_client out = {.seconds = step->seconds * (double)work->n_full,
                                 .watts = step->watts,
                                 .idle_watts = s->group[group].device.idle_w,
                                 .time_source = step->time_source,
                                 .is_out_of_memory = step->is_out_of_memory};
    if (work->n_rests > 0) {
        const struct device_step *rest = &c->step[group * c->n_batches + work->rest];
        double rest_s = rest->seconds * (double)work->n_rests, total_s = out.seconds + rest_s;
        if (total_s > 0)
            out.watts = (out.seconds * step->watts + rest_s * rest->watts) / total_s;
        out.seconds = total_s;
    }
    if (!s->compute.is_profile) {
        out.seconds = s->compute.fixed_s;
        out.time_source = "scenario";
        out.is_out_of_memory = false;
    }
    return out;
}

struct account_part costs_part(const struct costs *c, size_t group, double train_s)
{
    const struct scenario_group *g = &c->scenario->group[group];
    double bytes = (double)c->payload_bytes[NET_DOWN] + (double)c->payload_bytes[NET_UP];
    return (struct account_part){.train_s = train_s,
                                 .device = g->device.name,
                                 .access = g->access.topology->name,
                                 .payload_bytes = bytes / 2};
}
