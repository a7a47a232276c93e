#include "models/bench_train.h"

#include <stdlib.h>
#include <unistd.h>

#include "models/trainer.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "sim/base/wall.h"

struct bench_cohort bench_cohort_tiny(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return (struct bench_cohort){
        .backend = "cpu",
        .config = {2048, 128, 32, 256, 4, 4, 4, 32, 128, 1e-6f, 0.1f, 0, 1, 0},
        .lora = {.rank = 8, .alpha = 32, .dropout = 0.05f, .targets = LORA_Q | LORA_V},
        .n_clients = 10,
        .local_steps = 2,
        .batch = 8,
        .input_from = 64,
        .input_to = 160,
        .target_from = 16,
        .target_to = 40,
        .dropout = 0.1f,
        .n_threads = n > 0 ? (int)n : 1,
        .warmup = 1,
        .repeats = 5,
        .seed = 7,
    };
}

/* n ids from 3 up, then </s>. */
static const int32_t *random_tokens(struct arena *a, const struct bench_cohort *b, uint32_t owner,
                                    int n)
{
    int32_t *id = ARENA_NEW(a, int32_t, (size_t)n);
    for (int i = 0; i < n; i++)
        id[i] = 3 + (int32_t)rng_below(b->seed, RNG_ORDER, owner, (uint64_t)i + 1,
                                       (uint64_t)b->config.vocab - 3);
    id[n - 1] = b->config.eos_id;
    return id;
}

static int random_length(const struct bench_cohort *b, uint32_t owner, int from, int to)
{
    return from + (int)rng_below(b->seed, RNG_ORDER, owner, 0, (uint64_t)(to - from + 1));
}

static struct sample *random_samples(struct arena *a, const struct bench_cohort *b, size_t n,
                                     size_t *n_tokens)
{
    struct sample *s = ARENA_NEW(a, struct sample, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t owner = 2 * (uint32_t)i;
        s[i].n_input = random_length(b, owner, b->input_from, b->input_to);
        s[i].n_target = random_length(b, owner + 1, b->target_from, b->target_to);
        s[i].input = random_tokens(a, b, owner, s[i].n_input);
        s[i].target = random_tokens(a, b, owner + 1, s[i].n_target);
        *n_tokens += (size_t)(s[i].n_input + s[i].n_target);
    }
    return s;
}

/* Members of the job over the samples, in order. */
static const struct train_member *make_members(struct arena *a, const struct bench_cohort *b,
                                               const struct sample *samples)
{
    size_t per_client = (size_t)(b->local_steps * b->batch);
    struct train_member *m = ARENA_NEW(a, struct train_member, (size_t)b->n_clients);
    int *n_per_step = ARENA_NEW(a, int, (size_t)b->local_steps);
    for (int i = 0; i < b->local_steps; i++)
        n_per_step[i] = b->batch;
    for (int c = 0; c < b->n_clients; c++) {
        const struct sample **list = ARENA_NEW(a, const struct sample *, per_client);
        for (size_t i = 0; i < per_client; i++)
            list[i] = &samples[(size_t)c * per_client + i];
        m[c] = (struct train_member){(uint32_t)c, list, n_per_step};
    }
    return m;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum err_code time_rounds(struct trainer *t, const struct bench_cohort *b,
                                 const struct train_job *job, struct bench_cohort_result *out,
                                 struct err *e)
{
    double s[BENCH_MAX_REPEATS];
    CHECK(b->repeats >= 1 && b->repeats <= BENCH_MAX_REPEATS);
    for (int i = -b->warmup; i < b->repeats; i++) {
        double start = wall_s();
        enum err_code code = trainer_run(t, job, e);
        if (code)
            return code;
        if (i >= 0)
            s[i] = wall_s() - start;
    }
    qsort(s, (size_t)b->repeats, sizeof(*s), by_value);
    out->min_s = s[0];
    out->max_s = s[b->repeats - 1];
    out->median_s = (s[(b->repeats - 1) / 2] + s[b->repeats / 2]) / 2;
    out->n_bytes = trainer_bytes(t);
    out->loss = 0;
    for (int c = 0; c < b->n_clients; c++)
        out->loss += job->loss[c] / b->n_clients;
    return OK;
}

static enum err_code run_on(const struct t5 *model, const struct bench_cohort *b,
                            struct bench_cohort_result *out, struct err *e)
{
    struct arena a = {0};
    struct lora_layout layout;
    struct trainer *t = NULL;
    lora_layout_init(&layout, &b->config, &b->lora);
    size_t n = (size_t)b->n_clients, per_step = n * (size_t)b->batch;
    size_t n_samples = per_step * (size_t)b->local_steps;
    out->n_tokens = 0;
    struct sample *samples = random_samples(&a, b, n_samples, &out->n_tokens);
    float *in = ARENA_NEW(&a, float, layout.size);
    lora_init(&layout, b->seed, in);
    struct train_job job = {
        .n_members = b->n_clients,
        .member = make_members(&a, b, samples),
        .hyper = {.local_steps = b->local_steps, .lr = 1, .dropout = b->dropout},
        .seed = b->seed,
        .adapter_in = in,
        .adapter_out = ARENA_NEW(&a, float, n *layout.size),
        .loss = ARENA_NEW(&a, double, n)};
    struct train_limits limits = {.max_members = b->n_clients,
                                  .max_batch = b->batch,
                                  .max_input = b->input_to,
                                  .max_target = b->target_to};
    enum err_code code = trainer_open(&t, model, &b->lora, &limits, b->n_threads, e);
    if (!code)
        code = time_rounds(t, b, &job, out, e);
    trainer_close(t);
    lora_layout_fini(&layout);
    arena_free(&a);
    return code;
}

enum err_code bench_cohort(struct bench_cohort_result *out, const struct bench_cohort *spec,
                           struct err *e)
{
    struct t5 *model = NULL;
    const struct backend_ops *ops = backend_find(spec->backend);
    if (!ops)
        return err_set(e, ERR_INPUT, "no backend \"%s\"", spec->backend);
    enum err_code code = lora_check(&spec->lora, e);
    if (!code)
        code = t5_open_random(&model, ops, &spec->config, spec->seed, e);
    if (!code)
        code = run_on(model, spec, out, e);
    t5_close(model);
    return code;
}
