#include "sim/learner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/backend.h"
#include "models/lora_mean.h"
#include "models/peft.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "sim/base/wall.h"
#include "sim/pick.h"

#define MAX_PLANNED 2e6 /* participations looked at to plan memory; runs of more take the upper bound */

enum { MAX_EVALUATIONS = 4 }; /* under way at once; each holds a copy of the adapter */

/* One chunk of the cohort: a job of the training lane. */
struct chunk {
    struct learner *learner;
    struct pool_job job;
    size_t first, n; /* members first .. first + n - 1 of this round's trainees */
    enum err_code code;
    struct err err;
    double wall_s;
};

struct evaluation {
    struct learner *learner;
    struct pool_job job;
    bool is_taken;
    float *adapter;
    struct eval_result result;
    struct arena arena;
    const char *text[LEARNER_TEXTS];
    enum err_code code;
    struct err err;
    double wall_s;
};

struct learner {
    struct learner_spec spec;
    struct pool *pool;
    struct t5 *model;
    struct lora_layout layout;
    size_t size; /* values of an adapter; is_full: of all weights */
    struct tokens *tokens;
    struct dataset *train, *heldout;
    struct split split;
    struct trainer *trainer;
    struct evaluator *evaluator;
    struct server_state server;
    float *adapter;        /* what this round's clients get [size] */
    float *adapter_out;    /* [n_per_round * size], by trainee */
    double *loss;          /* by trainee */
    int *trainee;          /* by member: its place among the trainees, or -1 */
    struct train_member *member; /* by trainee */
    const struct sample **sample; /* [n_per_round * steps * batch] */
    int *n_per_step;       /* [n_per_round * steps] */
    uint32_t *index;       /* scratch of split_batch */
    const float **arrived;
    double *weight;
    uint32_t *client;      /* by trainee */
    size_t n_trainees;
    uint64_t job_seed;
    size_t n_chunks, max_chunks;
    struct chunk *chunk;
    struct evaluation evaluation[MAX_EVALUATIONS];
    double train_wall_s, evaluate_wall_s, tokens_trained;
    struct arena arena;
};

static size_t chunk_size(const struct learner_spec *s)
{
    size_t n = s->chunk > 0 ? (size_t)s->chunk : s->n_per_round;
    return n < s->n_per_round ? n : s->n_per_round;
}

/* --- opening --- */

static enum err_code open_data(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    enum err_code code = data_open(&l->train, &l->heldout, &s->data, e);
    if (!code)
        code = data_tokenise(l->train, l->tokens, &s->data, e);
    if (!code)
        code = data_tokenise(l->heldout, l->tokens, &s->data, e);
    if (code)
        return code;
    int *label = ARENA_NEW(&l->arena, int, l->train->n);
    for (size_t i = 0; i < l->train->n; i++)
        label[i] = l->train->sample[i].label;
    bool has_labels = l->train->n_labels > 0;
    code = split_init(&l->split, &s->split, l->train->n, has_labels ? label : NULL,
                      l->train->n_labels, e);
    if (code)
        return err_in(e, code, "%s", s->data.source);
    /* No mini-batch is larger than the largest client: plan for that. */
    size_t batch = 1;
    for (size_t c = 0; c < s->n_clients; c++)
        batch = learner_batch_of(l, c) > batch ? learner_batch_of(l, c) : batch;
    l->spec.batch = (int)batch;
    return OK;
}

/* Every token must have a row in the embedding. */
static enum err_code check_ids(const struct learner *l, struct err *e)
{
    int vocab = t5_config_of(l->model)->vocab;
    if (tokens_count(l->tokens) > vocab)
        return err_set(e, ERR_INPUT,
                       "%s: spiece.model has %d pieces, expected at most the model's %d rows",
                       l->spec.weights, tokens_count(l->tokens), vocab);
    return OK;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Tokens of every step of a round, over the whole cohort. */
static void count_rows(struct learner *l, uint32_t round, size_t n, const uint32_t *client, size_t *in,
                       size_t *out)
{
    size_t steps = (size_t)l->spec.hyper.local_steps, batch = (size_t)l->spec.batch;
    memset(in, 0, steps * sizeof(in[0]));
    memset(out, 0, steps * sizeof(out[0]));
    for (size_t i = 0; i < n; i++) {
        size_t m = split_batch(&l->split, l->spec.seed, client[i], round, steps, batch, l->index);
        for (size_t j = 0; j < steps * m; j++) {
            in[j / m] += (size_t)l->train->sample[l->index[j]].n_input;
            out[j / m] += (size_t)l->train->sample[l->index[j]].n_target;
        }
    }
}

/* The largest step of any round: selection and mini-batches are functions of the seed, so memory is planned for
 * what will really come. A chunk of a cohort is never larger than the cohort. */
static void plan_largest_step(struct learner *l, struct train_limits *t)
{
    const struct learner_spec *s = &l->spec;
    size_t k = s->n_per_round, steps = (size_t)s->hyper.local_steps;
    if ((double)s->n_rounds * (double)k > MAX_PLANNED)
        return;
    struct arena scratch = {0};
    uint32_t *client = ARENA_NEW(&scratch, uint32_t, k);
    uint64_t *is_taken = ARENA_NEW(&scratch, uint64_t, pick_scratch_words(s->n_clients));
    size_t *in = ARENA_NEW(&scratch, size_t, steps), *out = ARENA_NEW(&scratch, size_t, steps);
    size_t most_in = 1, most_out = 1;
    for (size_t round = 1; round <= s->n_rounds; round++) {
        pick_cohort(s->seed, (uint32_t)round, s->n_clients, k, client, is_taken);
        count_rows(l, (uint32_t)round, k, client, in, out);
        for (size_t i = 0; i < steps; i++) {
            most_in = larger(most_in, in[i]);
            most_out = larger(most_out, out[i]);
        }
    }
    arena_free(&scratch);
    size_t seqs = (size_t)t->max_members * (size_t)t->max_batch;
    if (most_in < seqs * (size_t)t->max_input)
        t->max_input_rows = most_in;
    if (most_out < seqs * (size_t)t->max_target)
        t->max_target_rows = most_out;
}

/* The largest samples, and with them the largest pass. */
static void plan_rows(struct learner *l, const struct data_spec *d, struct train_limits *t)
{
    t->max_members = (int)chunk_size(&l->spec);
    t->max_batch = l->spec.batch;
    t->max_input = t->max_target = 1;
    size_t longest_in = 1, longest_out = 1;
    for (size_t i = 0; i < l->train->n; i++) {
        const struct sample *s = &l->train->sample[i];
        longest_in = larger(longest_in, (size_t)s->n_input);
        longest_out = larger(longest_out, (size_t)s->n_target);
    }
    CHECK(longest_in <= (size_t)d->max_input && longest_out <= (size_t)d->max_target);
    t->max_input = (int)longest_in;
    t->max_target = (int)longest_out;
    if (!l->spec.is_full) /* there a pass is one client's */
        plan_largest_step(l, t);
}

static enum err_code open_buffers(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    size_t k = s->n_per_round, steps = (size_t)s->hyper.local_steps, batch = (size_t)s->batch;
    size_t size = l->size, bytes, slots;
    if (!size_mul3(k, size, sizeof(float), &bytes) || !size_mul3(k, steps, batch, &slots) ||
        !size_mul(slots, sizeof(l->sample[0]), &slots))
        return err_set(e, ERR_LIMIT, "%zu adapters of %zu values do not fit in memory", k, size);
    void *p;
    enum err_code code = mem_big(&p, bytes, "the cohort's adapters", e);
    if (code)
        return code;
    l->adapter_out = p;
    if ((code = mem_big(&p, slots, "the cohort's mini-batches", e)))
        return code;
    l->sample = p;
    if ((code = mem_big(&p, size * sizeof(float), "the server's adapter", e)))
        return code;
    l->adapter = p;
    l->loss = ARENA_NEW(&l->arena, double, k);
    l->trainee = ARENA_NEW(&l->arena, int, k);
    l->member = ARENA_NEW(&l->arena, struct train_member, k);
    l->n_per_step = ARENA_NEW(&l->arena, int, k * steps);
    l->index = ARENA_NEW(&l->arena, uint32_t, steps * batch);
    l->arrived = ARENA_NEW(&l->arena, const float *, k);
    l->weight = ARENA_NEW(&l->arena, double, k);
    l->client = ARENA_NEW(&l->arena, uint32_t, k);
    l->max_chunks = (k + chunk_size(s) - 1) / chunk_size(s);
    l->chunk = ARENA_NEW(&l->arena, struct chunk, l->max_chunks);
    for (int i = 0; !code && i < MAX_EVALUATIONS && s->eval_samples; i++) {
        code = mem_big(&p, size * sizeof(float), "an adapter to be evaluated", e);
        l->evaluation[i].adapter = code ? NULL : p;
    }
    return code;
}

static enum err_code open_engines(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    struct train_limits limits = {0};
    plan_rows(l, &s->data, &limits);
    enum err_code code = trainer_open(&l->trainer, l->model, s->is_full ? NULL : &s->lora, &limits,
                                      s->n_workers, e);
    if (code || !s->eval_samples)
        return code;
    struct eval_spec eval = {.n_samples = s->eval_samples,
                             .wants_rouge = s->wants_rouge,
                             .max_new_tokens = s->max_new_tokens,
                             .batch = s->eval_batch,
                             .is_full = s->is_full};
    return evaluator_open(&l->evaluator, l->model, s->is_full ? NULL : &s->lora, l->tokens, l->heldout, &eval,
                          s->n_workers, e);
}

static enum err_code open_tokens(struct learner *l, struct err *e)
{
    char *folder = NULL;
    enum err_code code = t5_folder(&folder, l->spec.weights, e);
    if (code)
        return code;
    struct arena scratch = {0};
    code = tokens_open(&l->tokens, arena_printf(&scratch, "%s/spiece.model", folder), e);
    arena_free(&scratch);
    mem_free(folder);
    return code;
}

/* What the clients of the first round get. */
static enum err_code begin_weights(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    if (s->is_full)
        return t5_get_flat(l->model, l->adapter, e);
    if (s->adapter)
        return peft_load(s->adapter, t5_config_of(l->model), &s->lora, l->adapter, e);
    lora_init(&l->layout, s->seed, l->adapter);
    return OK;
}

/* Sets of weights that a full run holds, in float32 values per weight: the model, the trainer's with
 * gradients and optimizer slots, the server's (in double), each client's result, evaluations. */
static double values_per_weight(const struct learner_spec *s)
{
    bool is_adamw = s->hyper.optimizer == LOCAL_ADAMW;
    int slots = is_adamw ? 2 : s->hyper.momentum > 0;
    int doubles = 2 + server_opt_has_m(s->server.opt) + server_opt_has_v(s->server.opt);
    int evaluation = s->eval_samples ? 1 + MAX_EVALUATIONS : 0;
    return 1 + 2 + slots + 2 * doubles + 1 + (double)s->n_per_round + evaluation;
}

/* Full fine-tuning is refused before it starts when its weights alone are more than the machine has. */
static enum err_code check_memory(const struct learner *l, struct err *e)
{
    if (!l->spec.is_full)
        return OK;
    double has = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double needs = values_per_weight(&l->spec) * sizeof(float) * (double)l->size;
    if (has <= 0 || needs <= has)
        return OK;
    return err_set(e, ERR_MEMORY,
                   "full fine-tuning of %s: %zu clients a round need %.1f GiB of weights and optimizer "
                   "states, this machine has %.1f GiB",
                   l->spec.weights, l->spec.n_per_round, needs / 0x1p30, has / 0x1p30);
}

enum err_code learner_open(struct learner **out, const struct learner_spec *spec, struct pool *pool,
                           struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct learner), "the learner", e);
    if (code)
        return code;
    struct learner *l = memory;
    l->spec = *spec;
    l->pool = pool;
    const struct backend_ops *ops = backend_find(spec->backend);
    CHECK(ops); /* the scenario has checked the name */
    if ((code = t5_open(&l->model, ops, spec->weights, e)))
        goto done;
    if (!spec->is_full)
        lora_layout_init(&l->layout, t5_config_of(l->model), &spec->lora);
    l->size = spec->is_full ? t5_n_flat(l->model) : l->layout.size;
    if ((code = open_tokens(l, e)) || (code = check_ids(l, e)) || (code = open_data(l, e)) ||
        (code = check_memory(l, e)) || (code = open_buffers(l, e)) || (code = open_engines(l, e)) ||
        (code = begin_weights(l, e)))
        goto done;
    server_state_init_f32(&l->server, &spec->server, l->size, l->adapter);
    *out = l;
    l = NULL;
done:
    learner_close(l);
    return code;
}

void learner_close(struct learner *l)
{
    if (!l)
        return;
    for (int i = 0; i < MAX_EVALUATIONS; i++)
        arena_free(&l->evaluation[i].arena);
    server_state_fini(&l->server);
    evaluator_close(l->evaluator);
    trainer_close(l->trainer);
    split_fini(&l->split);
    data_close(l->heldout);
    data_close(l->train);
    tokens_close(l->tokens);
    lora_layout_fini(&l->layout);
    t5_close(l->model);
    mem_free(l->adapter_out);
    mem_free(l->sample);
    mem_free(l->adapter);
    for (int i = 0; i < MAX_EVALUATIONS; i++)
        mem_free(l->evaluation[i].adapter);
    arena_free(&l->arena);
    mem_free(l);
}

/* --- asking --- */

void learner_describe(const struct learner *l, char *out, size_t n)
{
    size_t n_weights = t5_parameters(t5_config_of(l->model));
    snprintf(out, n,
             "%s: %.2f M weights, %zu trainable; %zu training samples, %zu held out; %.0f MiB per pass",
             l->spec.weights, 1e-6 * (double)n_weights, l->spec.is_full ? n_weights : l->size,
             l->train->n, l->heldout->n, (double)trainer_bytes(l->trainer) / 1048576.0);
}

size_t learner_adapter_size(const struct learner *l)
{
    return l->size;
}

const struct t5 *learner_model(const struct learner *l)
{
    return l->model;
}

const struct t5_config *learner_config(const struct learner *l)
{
    return t5_config_of(l->model);
}

void learner_trained(const struct learner *l, float *out)
{
    server_state_get_f32(&l->server, out);
}

size_t learner_batch_of(const struct learner *l, size_t client)
{
    return split_batch_size(&l->split, client, (size_t)l->spec.batch);
}

double learner_train_wall_s(const struct learner *l)
{
    return l->train_wall_s;
}

double learner_evaluate_wall_s(const struct learner *l)
{
    return l->evaluate_wall_s;
}

double learner_tokens(const struct learner *l)
{
    return l->tokens_trained;
}

size_t learner_bytes(const struct learner *l)
{
    return trainer_bytes(l->trainer);
}

/* --- training --- */

static void train_chunk(void *arg)
{
    struct chunk *c = arg;
    struct learner *l = c->learner;
    double begun_s = wall_s();
    struct train_job job = {.n_members = (int)c->n,
                            .member = l->member + c->first,
                            .hyper = l->spec.hyper,
                            .seed = l->job_seed,
                            .adapter_in = l->adapter,
                            .adapter_out = l->adapter_out + c->first * l->size,
                            .loss = l->loss + c->first};
    c->code = trainer_run(l->trainer, &job, &c->err);
    c->wall_s = wall_s() - begun_s;
}

/* The mini-batches of one client, as the split deals them in this round. */
static void fill_member(struct learner *l, uint32_t round, uint32_t client)
{
    size_t t = l->n_trainees++;
    size_t steps = (size_t)l->spec.hyper.local_steps, batch = (size_t)l->spec.batch;
    size_t m = split_batch(&l->split, l->spec.seed, client, round, steps, batch, l->index);
    const struct sample **to = l->sample + t * steps * batch;
    for (size_t i = 0; i < steps * m; i++) {
        to[i] = &l->train->sample[l->index[i]];
        l->tokens_trained += to[i]->n_input + to[i]->n_target;
    }
    int *n_per_step = l->n_per_step + t * steps;
    for (size_t i = 0; i < steps; i++)
        n_per_step[i] = (int)m;
    l->client[t] = client;
    l->member[t] = (struct train_member){.client = client, .sample = to, .n_per_step = n_per_step};
}

void learner_begin(struct learner *l, uint32_t round, size_t n, const uint32_t *client,
                   const bool *trains)
{
    CHECK(n <= l->spec.n_per_round && l->n_chunks == 0);
    l->n_trainees = 0;
    for (size_t i = 0; i < n; i++) {
        l->trainee[i] = trains[i] ? (int)l->n_trainees : -1;
        if (trains[i])
            fill_member(l, round, client[i]);
    }
    server_state_get_f32(&l->server, l->adapter);
    l->job_seed = rng_u64(l->spec.seed, RNG_ROUND, round, 0);
    size_t size = chunk_size(&l->spec);
    for (size_t first = 0; first < l->n_trainees; first += size) {
        size_t left = l->n_trainees - first;
        struct chunk *c = &l->chunk[l->n_chunks++];
        *c = (struct chunk){.learner = l, .first = first, .n = left < size ? left : size};
        c->job = (struct pool_job){.work = train_chunk, .arg = c};
        pool_submit(l->pool, LEARNER_LANE_TRAIN, &c->job);
    }
}

enum err_code learner_join(struct learner *l, size_t i, double *loss, struct err *e)
{
    CHECK(l->trainee[i] >= 0);
    size_t t = (size_t)l->trainee[i];
    struct chunk *c = &l->chunk[t / chunk_size(&l->spec)];
    enum err_code code = pool_wait(l->pool, &c->job, e);
    if (code)
        return code;
    if (c->code) {
        if (e)
            *e = c->err;
        return err_in(e, c->code, "training");
    }
    *loss = l->loss[t];
    return OK;
}

enum err_code learner_aggregate(struct learner *l, size_t n, const size_t *member, struct err *e)
{
    const struct server_hyper *h = &l->spec.server;
    for (size_t i = 0; i < n; i++) {
        size_t t = (size_t)l->trainee[member[i]];
        l->arrived[i] = l->adapter_out + t * l->size;
        l->weight[i] = (double)split_size(&l->split, l->client[t]);
    }
    if (h->average == SERVER_FACTORS || n == 0) {
        server_opt_round_f32(h, &l->server, n, l->arrived, l->weight);
        return OK;
    }
    for (size_t i = 0; i < n && h->weights == AGGREGATE_EQUAL; i++)
        l->weight[i] = 1;
    enum err_code code =
        lora_mean_products(&l->layout, n, l->arrived, l->weight, l->server.mean, e);
    if (!code)
        server_opt_step(h, &l->server, l->server.mean);
    return code;
}

enum err_code learner_end_round(struct learner *l, struct err *e)
{
    for (size_t i = 0; i < l->n_chunks; i++) {
        enum err_code code = pool_wait(l->pool, &l->chunk[i].job, e);
        if (code)
            return code;
        l->train_wall_s += l->chunk[i].wall_s;
    }
    l->n_chunks = 0;
    return OK;
}

/* --- evaluation --- */

static void evaluate(void *arg)
{
    struct evaluation *v = arg;
    double begun_s = wall_s();
    struct evaluator *evaluator = v->learner->evaluator;
    v->code = evaluator_run(evaluator, v->adapter, &v->result, &v->err);
    for (size_t i = 0; i < LEARNER_TEXTS; i++) {
        bool is_there = !v->code && v->result.has_rouge && i < v->learner->spec.eval_samples;
        v->text[i] = is_there ? arena_strdup(&v->arena, evaluator_text(evaluator, i)) : NULL;
    }
    v->wall_s = wall_s() - begun_s;
}

enum err_code learner_evaluate(struct learner *l, int *ticket, struct err *e)
{
    for (int i = 0; i < MAX_EVALUATIONS; i++) {
        struct evaluation *v = &l->evaluation[i];
        if (v->is_taken)
            continue;
        v->is_taken = true;
        v->learner = l;
        arena_free(&v->arena);
        server_state_get_f32(&l->server, v->adapter);
        v->job = (struct pool_job){.work = evaluate, .arg = v};
        pool_submit(l->pool, LEARNER_LANE_EVALUATE, &v->job);
        *ticket = i;
        return OK;
    }
    return err_set(e, ERR_INTERNAL, "more than %d evaluations under way", MAX_EVALUATIONS);
}

bool learner_evaluated(struct learner *l, int ticket, bool wait, struct eval_result *out,
                       enum err_code *code, struct err *e)
{
    struct evaluation *v = &l->evaluation[ticket];
    CHECK(v->is_taken);
    *code = OK;
    if (wait)
        *code = pool_wait(l->pool, &v->job, e);
    if (*code || !pool_is_done(l->pool, &v->job))
        return *code != OK;
    v->is_taken = false;
    l->evaluate_wall_s += v->wall_s;
    *out = v->result;
    *code = v->code;
    if (v->code && e)
        *e = v->err;
    return true;
}

const char *learner_text(const struct learner *l, int ticket, size_t i)
{
    return l->evaluation[ticket].text[i];
}

const struct sample *learner_heldout(const struct learner *l, size_t i)
{
    return &l->heldout->sample[i];
}
