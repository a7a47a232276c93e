#include "models/bench_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "models/crew.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "sim/base/wall.h"

#define FREE_SHARE 0.95 /* of the free memory a pass may take: the machine has other work, too */
enum { PRODUCT_CPU = 1024, PRODUCT_GPU = 8192, PRODUCT_WARMUP = 2 };

/* Tokens of a client's step. */
struct train_rows {
    size_t in, out;
};

struct bench {
    const struct t5 *model;
    struct arena arena; /* owns this struct */
    struct bench_spec spec;
    struct bench_totals totals;
    struct lora_layout layout;
    struct crew *crew;
    struct train_job job;
    float *in; /* the adapter that members start from */
    struct train_rows *rows; /* [n_clients * local_steps] */
    struct t5_marks marks;
    double *part, at_s; /* while parts are asked for */
};

struct bench_spec bench_default(void)
{
    return (struct bench_spec){
        .lora = {.rank = 16, .alpha = 32, .dropout = 0.05f, .targets = LORA_Q | LORA_V},
        .n_clients = 10,
        .local_steps = 2,
        .batch = 8,
        .lengths = {false, 64, 160, 16, 40},
        .dropout = 0.1f,
        .n_threads = 1,
        .n_parts = 1,
        .seed = 7,
    };
}

/* A number of kB behind a word at the beginning of a line; 0 when it is not there. */
static double kib_of(const char *path, const char *word)
{
    char line[128];
    double kib = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, word, strlen(word)) == 0)
            kib = strtod(line + strlen(word), NULL);
    if (f)
        fclose(f);
    return kib;
}

size_t bench_free_bytes(const struct backend_ops *ops)
{
    struct rlimit limit;
    if (!ops->is_host)
        return 0;
    double bytes = 1024 * kib_of("/proc/meminfo", "MemAvailable:");
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = fmin(bytes, (double)limit.rlim_cur - 1024 * kib_of("/proc/self/status", "VmSize:"));
    return bytes > 0 ? (size_t)(FREE_SHARE * bytes) : 0;
}

/* Linux hands out memory that it has not got and ends the program later: so this is asked before. */
static enum err_code check_free(const struct backend_ops *ops, double needed, const char *what,
                                struct err *e)
{
    double has = (double)bench_free_bytes(ops);
    if (has <= 0 || needed <= has)
        return OK;
    return err_set(e, ERR_MEMORY, "%s needs %.2f GiB, %.2f GiB are free", what, needed / 0x1p30,
                   has / 0x1p30);
}

static enum err_code open_made_up(struct t5 **out, const struct backend_ops *ops,
                                  const struct t5_config *c, struct err *e)
{
    enum err_code code = check_free(ops, 4.0 * (double)t5_parameters(c), "the model", e);
    return code ? code : t5_open_cheap(out, ops, c, e);
}

enum err_code bench_model(struct t5 **out, const char *model, const struct backend_ops *ops,
                          bool *is_made_up, struct err *e)
{
    static const struct t5_config tiny = {2048, 128, 32,    256,  4, 4, 4,
                                          32,   128, 1e-6f, 0.1f, 0, 1, 0};
    struct t5_config c;
    *is_made_up = true;
    if (strcmp(model, "tiny") == 0)
        return open_made_up(out, ops, &tiny, e);
    for (const char *const *name = t5_config_names(); *name; name++)
        if (strcmp(*name, model) == 0) {
            enum err_code code = t5_config_named(&c, model, e);
            return code ? code : open_made_up(out, ops, &c, e);
        }
    *is_made_up = false;
    return t5_open(out, ops, model, e);
}

/* n ids from 3 up, then </s>. */
static const int32_t *random_tokens(struct bench *b, const struct t5_config *c, uint32_t owner, int n)
{
    int32_t *id = ARENA_NEW(&b->arena, int32_t, (size_t)n);
    for (int i = 0; i < n; i++)
        id[i] = 3 + (int32_t)rng_below(b->spec.seed, RNG_ORDER, owner, (uint64_t)i + 1,
                                       (uint64_t)c->vocab - 3);
    id[n - 1] = c->eos_id;
    return id;
}

static const struct sample *random_sample(struct bench *b, const struct t5_config *c, uint32_t i)
{
    struct sample *s = ARENA_NEW(&b->arena, struct sample, 1);
    lengths_draw(&b->spec.lengths, b->spec.seed, i, &s->n_input, &s->n_target);
    s->input = random_tokens(b, c, 2 * i, s->n_input);
    s->target = random_tokens(b, c, 2 * i + 1, s->n_target);
    return s;
}

static void count(struct cost_lengths *l, const struct sample *s)
{
    double n = s->n_input, m = s->n_target;
    l->input += n;
    l->target += m;
    l->input_2 += n * n;
    l->target_2 += m * m;
    l->product += m * n;
}

/* Members over the samples, in order; what a round costs, and the rows of every step. */
static void make_members(struct bench *b, const struct t5_config *c)
{
    const struct bench_spec *s = &b->spec;
    size_t per_client = (size_t)s->local_steps * (size_t)s->batch;
    struct train_member *m = ARENA_NEW(&b->arena, struct train_member, (size_t)s->n_clients);
    struct cost_lengths *l = ARENA_NEW(&b->arena, struct cost_lengths, (size_t)s->local_steps);
    struct cost_shape shape = bench_shape(c, &s->lora);
    b->rows = ARENA_NEW(&b->arena, struct train_rows, (size_t)s->n_clients * (size_t)s->local_steps);
    int *n_per_step = ARENA_NEW(&b->arena, int, (size_t)s->local_steps);
    for (int i = 0; i < s->local_steps; i++)
        n_per_step[i] = s->batch;
    for (int k = 0; k < s->n_clients; k++) {
        const struct sample **list = ARENA_NEW(&b->arena, const struct sample *, per_client);
        for (size_t i = 0; i < per_client; i++) {
            list[i] = random_sample(b, c, (uint32_t)((size_t)k * per_client + i));
            count(&l[i / (size_t)s->batch], list[i]);
            struct train_rows *rows = &b->rows[(size_t)k * (size_t)s->local_steps + i / (size_t)s->batch];
            rows->in += (size_t)list[i]->n_input;
            rows->out += (size_t)list[i]->n_target;
        }
        m[k] = (struct train_member){(uint32_t)k, list, n_per_step};
    }
    for (int i = 0; i < s->local_steps; i++) {
        size_t n_in = (size_t)l[i].input, n_out = (size_t)l[i].target;
        b->totals.n_in += n_in;
        b->totals.n_out += n_out;
        b->totals.flop += cost_packed_flop(&shape, &l[i]);
    }
    b->job.member = m;
}

static void part_ended(void *user, enum t5_part part)
{
    struct bench *b = user;
    double now_s = wall_s();
    b->part[part] += now_s - b->at_s;
    b->at_s = now_s;
}

/* Passes of n_abreast clients: the largest step of any. */
static struct train_limits limits_of(const struct bench *b, int n_abreast)
{
    const struct bench_spec *s = &b->spec;
    struct train_limits l = {.max_members = n_abreast,
                             .max_batch = s->batch,
                             .max_input = s->lengths.in_to,
                             .max_target = s->lengths.out_to};
    size_t n = (size_t)s->n_clients, steps = (size_t)s->local_steps;
    int part;
    for (size_t first = 0, take; first < n; first += take) {
        take = crew_pass(n, s->n_parts, (size_t)n_abreast, first, &part);
        for (size_t step = 0; step < steps; step++) {
            size_t in = 0, out = 0;
            for (size_t k = first; k < first + take; k++) {
                in += b->rows[k * steps + step].in;
                out += b->rows[k * steps + step].out;
            }
            l.max_input_rows = in > l.max_input_rows ? in : l.max_input_rows;
            l.max_target_rows = out > l.max_target_rows ? out : l.max_target_rows;
        }
    }
    return l;
}

/* As many clients a pass as memory_bytes allows. */
static enum err_code fit(struct bench *b, const struct t5 *model, struct train_limits *limits, struct err *e)
{
    const struct bench_spec *s = &b->spec;
    for (int n = (int)crew_part_size((size_t)s->n_clients, s->n_parts);; n = (n + 1) / 2) {
        *limits = limits_of(b, n);
        b->totals.n_abreast = n;
        size_t planned = trainer_plan(model, &s->lora, limits, &b->job.hyper, s->n_threads);
        bool fits = s->memory_bytes > 0 ? planned > 0 && (double)planned <= s->memory_bytes
                                        : trainer_is_small(model, &s->lora, limits, &b->job.hyper);
        if (!fits) {
            if (n > 1)
                continue;
            return err_set(e, ERR_LIMIT, "a pass of one client needs %.0f MiB, allowed are %.0f",
                           (double)planned / 0x1p20, s->memory_bytes / 0x1p20);
        }
        return planned ? check_free(t5_ops(model), (double)planned, "the pass", e)
                       : err_set(e, ERR_MEMORY, "the pass is larger than any memory");
    }
}

/* Before a pass is opened. */
static size_t program_bytes(const struct t5 *model)
{
    size_t resident = mem_resident_bytes(), weights = t5_bytes(model);
    return t5_ops(model)->is_host && resident > weights ? resident - weights : 0;
}

enum err_code bench_open(struct bench **out, const struct t5 *model, const struct bench_spec *spec,
                         struct err *e)
{
    const struct t5_config *c = t5_config_of(model);
    struct arena arena = {0};
    struct bench *b = ARENA_NEW(&arena, struct bench, 1);
    b->arena = arena;
    b->spec = *spec;
    b->job.hyper = (struct train_hyper){
        .local_steps = spec->local_steps, .lr = 1, .dropout = spec->dropout};
    b->marks = (struct t5_marks){.ended = part_ended, .user = b};
    struct train_limits limits;
    enum err_code code = lora_check(&spec->lora, e);
    if (!code) {
        lora_layout_init(&b->layout, c, &spec->lora);
        make_members(b, c);
        b->totals.n_weights = t5_bytes(model);
        b->totals.n_program = program_bytes(model);
        code = fit(b, model, &limits, e);
    }
    if (!code)
        code = crew_open(&b->crew, model, &spec->lora, &limits, spec->n_parts, spec->n_threads, e);
    size_t size = b->layout.size, n = (size_t)spec->n_clients;
    void *in = NULL, *results = NULL;
    const struct backend_ops *ops = t5_ops(model);
    if (!code)
        code = ops->host_alloc(t5_backend(model), &in, size * sizeof(float), "the adapter", e);
    if (!code)
        code = ops->host_alloc(t5_backend(model), &results, n * size * sizeof(float), "the cohort's adapters", e);
    if (code) {
        ops->host_free(t5_backend(model), in);
        bench_close(b);
        return code;
    }
    lora_init(&b->layout, spec->seed, in);
    b->job.n_members = spec->n_clients;
    b->job.seed = spec->seed;
    b->in = in;
    b->job.adapter_in = in;
    b->model = model;
    b->job.adapter_out = results;
    b->job.loss = ARENA_NEW(&b->arena, double, n);
    b->totals.n_bytes = trainer_bytes(crew_trainer(b->crew, 0));
    b->totals.n_devices = crew_size(b->crew);
    b->totals.n_results = n * size * sizeof(float);
    *out = b;
    return OK;
}

void bench_close(struct bench *b)
{
    if (!b)
        return;
    if (b->model) {
        t5_ops(b->model)->host_free(t5_backend(b->model), b->in);
        t5_ops(b->model)->host_free(t5_backend(b->model), b->job.adapter_out);
    }
    crew_close(b->crew);
    lora_layout_fini(&b->layout);
    struct arena arena = b->arena;
    arena_free(&arena);
}

const struct bench_totals *bench_totals(const struct bench *b)
{
    return &b->totals;
}

enum err_code bench_round(struct bench *b, double *seconds, double part[N_T5_PARTS], struct err *e)
{
    double begun_s = wall_s();
    if (part)
        memset(part, 0, N_T5_PARTS * sizeof(part[0]));
    b->part = part;
    b->at_s = begun_s;
    CHECK(!part || crew_size(b->crew) == 1);
    trainer_mark(crew_trainer(b->crew, 0), part ? &b->marks : NULL);
    enum err_code code = crew_run(b->crew, &b->job, (size_t)b->totals.n_abreast, e);
    *seconds = wall_s() - begun_s;
    return code;
}

const struct t5 *bench_model_of(const struct bench *b)
{
    return b->model;
}

struct backend *bench_backend(const struct bench *b)
{
    return trainer_backend(crew_trainer(b->crew, 0));
}

double bench_loss(const struct bench *b)
{
    double sum = 0;
    for (int i = 0; i < b->spec.n_clients; i++)
        sum += b->job.loss[i];
    return sum / b->spec.n_clients;
}

struct cost_shape bench_shape(const struct t5_config *c, const struct lora_spec *lora)
{
    int n_targets = 0;
    for (int i = 0; i < N_LORA_TARGETS; i++)
        n_targets += (lora->targets >> i & 1u) != 0;
    return (struct cost_shape){.d_model = c->d_model,
                               .d_kv = c->d_kv,
                               .d_ff = c->d_ff,
                               .n_heads = c->n_heads,
                               .n_encoder = c->n_enc,
                               .n_decoder = c->n_dec,
                               .vocab = c->vocab,
                               .lora_rank = lora->rank,
                               .lora_targets = n_targets};
}

/* Zeroed memory would be too easy: GPUs draw less power and clock higher on zeros. */
static enum err_code fill_square(const struct backend_ops *ops, struct backend *b, int n, void *to,
                                 struct err *e)
{
    size_t n_values = (size_t)n * (size_t)n;
    void *host = NULL, *wide = NULL;
    enum err_code code = mem_big(&host, n_values * sizeof(float), "a matrix", e);
    if (!code)
        code = ops->alloc(b, &wide, n_values * sizeof(float), "a matrix", e);
    for (size_t i = 0; !code && i < n_values; i++)
        ((float *)host)[i] = (float)(rng_u64(1, RNG_ORDER, 0, i) >> 40) * 0x1p-24f - 0.5f;
    if (!code) {
        ops->set(b, wide, host, n_values * sizeof(float));
        ops->narrow(b, n_values, to, wide);
        code = ops->sync(b, e);
    }
    ops->free(b, wide);
    mem_free(host);
    return code;
}

enum err_code bench_product(const struct backend_ops *ops, int n_threads, double seconds,
                            double *flop_per_s, struct err *e)
{
    int n = ops->is_host ? PRODUCT_CPU : PRODUCT_GPU;
    size_t n_bytes = (size_t)n * (size_t)n * ops->value_bytes;
    struct backend *b = NULL;
    void *m[3] = {NULL, NULL, NULL};
    double best = 0, begun_s = 0;
    enum err_code code = ops->open(&b, 0, n_threads, e);
    for (int i = 0; !code && i < 3; i++)
        code = ops->alloc(b, &m[i], n_bytes, "a matrix", e);
    for (int i = 0; !code && i < 2; i++)
        code = fill_square(ops, b, n, m[i], e);
    for (int i = 0; !code && (i <= PRODUCT_WARMUP || wall_s() - begun_s < seconds); i++) {
        if (i == PRODUCT_WARMUP)
            begun_s = wall_s();
        double start_s = wall_s();
        ops->linear(b, n, n, n, m[2], (size_t)n, m[0], (size_t)n, m[1], false);
        code = ops->sync(b, e);
        double rate = 2.0 * n * n * n / (wall_s() - start_s);
        best = i >= PRODUCT_WARMUP && rate > best ? rate : best;
    }
    for (int i = 0; b && i < 3; i++)
        ops->free(b, m[i]);
    if (b)
        ops->close(b);
    *flop_per_s = best;
    return code;
}
