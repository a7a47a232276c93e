#include "sim/learner.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "models/backend.h"
#include "models/crew.h"
#include "models/lora_mean.h"
#include "models/memo.h"
#include "models/peft.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "sim/base/wall.h"
#include "sim/learner_plan.h"

/* Rows of an embedding above the tokenizer's pieces: T5's 100 sentinels and what fills a multiple of 128 (mT5 the
 * same), with room for models whose makers added some of their own. */
enum { MAX_SPARE_ROWS = 1024 };

/* One chunk of the cohort: a job of a training lane. */
struct chunk {
    struct learner *learner;
    struct pool_job job;
    int worker;
    size_t first, n; /* members first .. first + n - 1 of this round's trainees */
    double n_tokens;
    bool is_known; /* the store had the result */
    enum err_code code;
    struct err err;
    double wall_s;
};

struct evaluation {
    struct learner *learner;
    struct pool_job job;
    bool is_taken, is_test;
    float *adapter;
    struct eval_result result;
    struct arena arena;
    const char *text[LEARNER_TEXTS];
    bool is_known;
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
    struct dataset *train, *heldout, *test; /* test: NULL without */
    struct split split;
    size_t most_steps; /* of a client in a round */
    struct crew *crew;
    struct evaluator *evaluator;
    struct eval_spec eval;
    struct hash128 vocabulary; /* of spiece.model's bytes */
    struct memo *memo;
    struct server_state server;
    float *adapter;        /* what this round's clients get [size] */
    float *adapter_out;    /* [n_per_round * size], by trainee */
    double *loss;          /* by trainee */
    int *trainee;          /* by member: its place among the trainees, or -1 */
    struct train_member *member; /* by trainee */
    const struct sample **sample; /* [n_per_round * steps * batch] */
    int *n_per_step;       /* [n_per_round * steps] */
    uint32_t *index;       /* scratch of split_deal */
    const float **arrived;
    double *weight;
    uint32_t *client;      /* by trainee */
    size_t *chunk_of;      /* by trainee */
    double *n_tokens;      /* by trainee */
    size_t n_trainees;
    uint64_t job_seed;
    size_t n_chunks;
    struct chunk *chunk;
    struct evaluation evaluation[LEARNER_MAX_EVALUATIONS];
    double train_wall_s, evaluate_wall_s, tokens_trained;
    double resident; /* bytes that the process had in use when weights and data were read */
    struct learner_counts counts;
    atomic_bool is_stopped;
    struct arena arena;
};

/* --- opening --- */

static enum err_code open_data(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    enum err_code code = data_open(&l->train, &l->heldout, &s->data, e);
    if (!code)
        code = data_tokenise(l->train, l->tokens, &s->data, e);
    if (!code)
        code = data_tokenise(l->heldout, l->tokens, &s->data, e);
    if (!code && s->data.n_test)
        code = data_open_test(&l->test, &s->data, e);
    if (!code && l->test)
        code = data_tokenise(l->test, l->tokens, &s->data, e);
    if (code)
        return code;
    int *label = ARENA_NEW(&l->arena, int, l->train->n);
    for (size_t i = 0; i < l->train->n; i++)
        label[i] = l->train->sample[i].label;
    bool has_labels = l->train->n_labels > 0;
    code = split_init(&l->split, &s->split, l->train->n, has_labels ? label : NULL, l->train->n_labels, e);
    if (code)
        return err_in(e, code, "%s", s->data.source);
    /* No mini-batch is larger than the largest client: plan for that. */
    size_t most = 1;
    for (size_t c = 0; c < s->n_clients; c++)
        most = split_size(&l->split, c) > most ? split_size(&l->split, c) : most;
    if (most < l->spec.dealing.batch)
        l->spec.dealing.batch = most;
    l->most_steps = split_most_steps(&l->split, &s->dealing);
    if (l->most_steps > INT32_MAX)
        return err_set(e, ERR_LIMIT, "%zu local steps of one client: expected at most %d", l->most_steps, INT32_MAX);
    l->spec.hyper.local_steps = (int)l->most_steps;
    return OK;
}

/* Every token must have a row in the embedding. */
static enum err_code check_ids(const struct learner *l, struct err *e)
{
    int vocab = t5_config_of(l->model)->vocab;
    if (2 * l->spec.beams.n_beams > vocab)
        return err_set(e, ERR_INPUT, "evaluate.beams: expected at most half of the model's %d rows, got %d",
                       vocab, l->spec.beams.n_beams);
    if (tokens_count(l->tokens) > vocab)
        return err_set(e, ERR_INPUT,
                       "%s: spiece.model has %d pieces, expected at most the model's %d rows",
                       l->spec.weights, tokens_count(l->tokens), vocab);
    if (vocab - tokens_count(l->tokens) > MAX_SPARE_ROWS)
        return err_set(e, ERR_INPUT,
                       "%s: spiece.model has %d pieces, expected at most %d fewer than the model's "
                       "%d rows: it belongs to another model",
                       l->spec.weights, tokens_count(l->tokens), MAX_SPARE_ROWS, vocab);
    return OK;
}

static enum err_code open_buffers(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    size_t k = s->n_per_round, steps = l->most_steps, batch = s->dealing.batch, size = l->size, bytes, slots;
    l->resident = t5_ops(l->model)->is_host ? (double)mem_resident_bytes() : 0;
    if (!size_mul3(k, size, sizeof(float), &bytes) || !size_mul3(k, steps, batch, &slots) ||
        !size_mul(slots, sizeof(l->sample[0]), &slots))
        return err_set(e, ERR_LIMIT, "%zu adapters of %zu values do not fit in memory", k, size);
    void *p;
    enum err_code code =
        s->backend->host_alloc(t5_backend(l->model), &p, bytes, "the cohort's adapters", e);
    if (code)
        return code;
    l->adapter_out = p;
    if ((code = mem_big(&p, slots, "the cohort's mini-batches", e)))
        return code;
    l->sample = p;
    code = s->backend->host_alloc(t5_backend(l->model), &p, size * sizeof(float), "the server's adapter", e);
    if (code)
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
    l->n_tokens = ARENA_NEW(&l->arena, double, k);
    l->chunk_of = ARENA_NEW(&l->arena, size_t, k);
    l->chunk = ARENA_NEW(&l->arena, struct chunk, crew_most_passes(k, s->n_parts, learner_chunk(s)));
    for (int i = 0; !code && i < LEARNER_MAX_EVALUATIONS && learner_evaluates(s); i++) {
        code = mem_big(&p, size * sizeof(float), "an adapter to be evaluated", e);
        l->evaluation[i].adapter = code ? NULL : p;
    }
    return code;
}

static enum err_code open_engines(struct learner *l, struct err *e)
{
    const struct learner_spec *s = &l->spec;
    struct train_limits limits = learner_limits(s, l->train, &l->split, l->most_steps);
    enum err_code code = crew_open(&l->crew, l->model, s->is_full ? NULL : &s->lora, &limits,
                                   s->n_parts, s->n_workers, e);
    if (code || !learner_evaluates(s))
        return code;
    l->eval = (struct eval_spec){.n_samples = s->eval_samples, .test = l->test, .wants_rouge = s->wants_rouge,
                                 .max_new_tokens = s->max_new_tokens, .beams = s->beams, .batch = s->eval_batch,
                                 .is_full = s->is_full, .is_stopped = &l->is_stopped};
    return evaluator_open(&l->evaluator, l->model, s->is_full ? NULL : &s->lora, l->tokens, l->heldout,
                          &l->eval, s->n_workers, e);
}

static enum err_code open_memo(struct learner *l, struct err *e)
{
    const struct memo_subject subject = {.model = l->model,
                                         .lora = l->spec.is_full ? NULL : &l->spec.lora,
                                         .size = l->size,
                                         .eval = l->evaluator ? &l->eval : NULL,
                                         .heldout = l->heldout,
                                         .vocabulary = l->vocabulary,
                                         .n_texts = LEARNER_TEXTS};
    return memo_open(&l->memo, l->spec.store, &subject, e);
}

static enum err_code open_tokens(struct learner *l, struct err *e)
{
    char *path = NULL;
    struct file f = {0};
    enum err_code code = t5_folder_tokens(&path, l->spec.weights, e);
    if (!code)
        code = tokens_open(&l->tokens, path, e);
    if (!code)
        code = file_map(&f, path, e);
    if (!code)
        l->vocabulary = hash_bytes(f.bytes, f.n_bytes);
    file_unmap(&f);
    mem_free(path);
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

int learner_lanes(const struct learner_spec *spec)
{
    return LEARNER_LANE_TRAIN + crew_workers(spec->backend, spec->n_parts);
}

enum err_code learner_open(struct learner **out, const struct learner_spec *spec, struct pool *pool, struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct learner), "the learner", e);
    if (code)
        return code;
    struct learner *l = memory;
    l->spec = *spec;
    l->pool = pool;
    if ((code = t5_open(&l->model, spec->backend, spec->weights, e)))
        goto done;
    if (!spec->is_full)
        lora_layout_init(&l->layout, t5_config_of(l->model), &spec->lora);
    l->size = spec->is_full ? t5_n_flat(l->model) : l->layout.size;
    if ((code = open_tokens(l, e)) || (code = check_ids(l, e)) || (code = open_data(l, e)) ||
        (code = learner_check_memory(&l->spec, l->size, e)) ||
        (code = learner_fit(&l->spec, l->model, l->train, &l->split, l->most_steps, e)) ||
        (code = open_buffers(l, e)) || (code = open_engines(l, e)) || (code = open_memo(l, e)) ||
        (code = begin_weights(l, e)))
        goto done;
    server_state_init_f32(&l->server, &spec->server, l->size, l->adapter);
    *out = l;
    l = NULL;
done:
    learner_close(l);
    return code;
}

void learner_stop(struct learner *l)
{
    if (l)
        atomic_store(&l->is_stopped, true);
}

void learner_close(struct learner *l)
{
    if (!l)
        return;
    for (int i = 0; i < LEARNER_MAX_EVALUATIONS; i++)
        arena_free(&l->evaluation[i].arena);
    server_state_fini(&l->server);
    memo_close(l->memo);
    evaluator_close(l->evaluator);
    crew_close(l->crew);
    split_fini(&l->split);
    data_close(l->test);
    data_close(l->heldout);
    data_close(l->train);
    tokens_close(l->tokens);
    lora_layout_fini(&l->layout);
    if (l->model) {
        t5_ops(l->model)->host_free(t5_backend(l->model), l->adapter_out);
        t5_ops(l->model)->host_free(t5_backend(l->model), l->adapter);
    }
    t5_close(l->model);
    mem_free(l->sample);
    for (int i = 0; i < LEARNER_MAX_EVALUATIONS; i++)
        mem_free(l->evaluation[i].adapter);
    arena_free(&l->arena);
    mem_free(l);
}

/* --- asking --- */

void learner_describe(const struct learner *l, char *out, size_t n)
{
    size_t n_weights = t5_parameters(t5_config_of(l->model));
    size_t n_empty = l->train->n_empty + l->heldout->n_empty + (l->test ? l->test->n_empty : 0);
    char empty[64] = "", test[64] = "", memory[256];
    struct learner_memory m = {(double)t5_bytes(l->model), (double)trainer_bytes(crew_trainer(l->crew, 0)),
                               (double)evaluator_bytes(l->evaluator),
                               (double)l->spec.n_per_round * (double)l->size * sizeof(float), l->resident,
                               crew_size(l->crew)};
    learner_memory_text(&l->spec, &m, memory, sizeof(memory));
    if (n_empty)
        snprintf(empty, sizeof(empty), " (%zu without a text left out)", n_empty);
    if (l->test)
        snprintf(test, sizeof(test), ", %zu to test on", l->test->n);
    snprintf(out, n, "%s: %.2f M weights, %zu trainable; %zu training samples, %zu held out%s%s; memory: %s",
             l->spec.weights, 1e-6 * (double)n_weights, l->spec.is_full ? n_weights : l->size, l->train->n,
             l->heldout->n, empty, test, memory);
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

struct split_work learner_work_of(const struct learner *l, size_t client)
{
    return split_work_of(&l->split, client, &l->spec.dealing);
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

struct learner_counts learner_counts(const struct learner *l)
{
    return l->counts;
}

int learner_devices(const struct learner *l)
{
    return crew_size(l->crew);
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
                            .loss = l->loss + c->first,
                            .is_stopped = &l->is_stopped};
    c->code = memo_train(l->memo, crew_trainer(l->crew, c->worker), &job, &c->is_known, &c->err);
    c->wall_s = wall_s() - begun_s;
}

/* The mini-batches of one client, as the split deals them in this round. */
static void fill_member(struct learner *l, uint32_t round, uint32_t client)
{
    size_t t = l->n_trainees++, steps = l->most_steps;
    const struct sample **to = l->sample + t * steps * l->spec.dealing.batch;
    int *n_per_step = l->n_per_step + t * steps;
    size_t n = split_deal(&l->split, &l->spec.dealing, l->spec.seed, client, round, steps, l->index, n_per_step);
    l->n_tokens[t] = 0;
    for (size_t i = 0; i < n; i++) {
        to[i] = &l->train->sample[l->index[i]];
        l->n_tokens[t] += to[i]->n_input + to[i]->n_target;
    }
    l->client[t] = client;
    l->member[t] = (struct train_member){.client = client, .sample = to, .n_per_step = n_per_step};
}

void learner_begin(struct learner *l, uint32_t round, size_t n, const uint32_t *client, const bool *trains)
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
    for (size_t first = 0, take; first < l->n_trainees; first += take) {
        int part;
        struct chunk *c = &l->chunk[l->n_chunks];
        take = crew_pass(l->n_trainees, l->spec.n_parts, learner_chunk(&l->spec), first, &part);
        *c = (struct chunk){
            .learner = l, .worker = crew_worker_of(l->crew, part), .first = first, .n = take};
        for (size_t i = first; i < first + take; i++) {
            c->n_tokens += l->n_tokens[i];
            l->chunk_of[i] = l->n_chunks;
        }
        l->n_chunks++;
        c->job = (struct pool_job){.work = train_chunk, .arg = c};
        pool_submit(l->pool, LEARNER_LANE_TRAIN + c->worker, &c->job);
    }
}

enum err_code learner_join(struct learner *l, size_t i, double *loss, struct err *e)
{
    CHECK(l->trainee[i] >= 0);
    size_t t = (size_t)l->trainee[i];
    struct chunk *c = &l->chunk[l->chunk_of[t]];
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
    double wall_s[CREW_MAX_PARTS] = {0}, most_s = 0; /* by worker */
    for (size_t i = 0; i < l->n_chunks; i++) {
        enum err_code code = pool_wait(l->pool, &l->chunk[i].job, e);
        if (code)
            return code;
        const struct chunk *c = &l->chunk[i];
        wall_s[c->worker] += c->wall_s;
        l->tokens_trained += c->is_known ? 0 : c->n_tokens;
        l->counts.n_passes++;
        l->counts.n_known_passes += c->is_known;
    }
    for (int i = 0; i < crew_size(l->crew); i++)
        most_s = wall_s[i] > most_s ? wall_s[i] : most_s;
    l->train_wall_s += most_s;
    l->n_chunks = 0;
    return OK;
}

/* --- evaluation --- */

static void evaluate(void *arg)
{
    struct evaluation *v = arg;
    double begun_s = wall_s();
    struct learner *l = v->learner;
    if (v->is_test) /* once a run, so not remembered */
        v->code = evaluator_test(l->evaluator, v->adapter, &v->result, &v->err);
    else
        v->code = memo_evaluate(l->memo, l->evaluator, v->adapter, &v->result, v->text, &v->arena,
                                &v->is_known, &v->err);
    for (size_t i = 0; v->is_test && i < LEARNER_TEXTS; i++) {
        const char *text = v->code ? NULL : evaluator_text(l->evaluator, i);
        v->text[i] = text ? arena_strdup(&v->arena, text) : NULL;
    }
    v->wall_s = wall_s() - begun_s;
}

static enum err_code begin_evaluation(struct learner *l, bool is_test, int *ticket, struct err *e)
{
    for (int i = 0; i < LEARNER_MAX_EVALUATIONS; i++) {
        struct evaluation *v = &l->evaluation[i];
        if (v->is_taken)
            continue;
        v->is_taken = true;
        v->is_test = is_test;
        v->learner = l;
        arena_free(&v->arena);
        server_state_get_f32(&l->server, v->adapter);
        v->job = (struct pool_job){.work = evaluate, .arg = v};
        pool_submit(l->pool, LEARNER_LANE_EVALUATE, &v->job);
        *ticket = i;
        return OK;
    }
    return err_set(e, ERR_INTERNAL, "more than %d evaluations under way", LEARNER_MAX_EVALUATIONS);
}

enum err_code learner_evaluate(struct learner *l, int *ticket, struct err *e)
{
    return begin_evaluation(l, false, ticket, e);
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
    l->counts.n_evaluations++;
    l->counts.n_known_evaluations += v->is_known;
    *out = v->result;
    *code = v->code;
    if (v->code && e)
        *e = v->err;
    return true;
}

enum err_code learner_test(struct learner *l, struct eval_result *out, struct err *e)
{
    CHECK(l->test);
    int ticket = 0;
    enum err_code code = begin_evaluation(l, true, &ticket, e);
    if (!code)
        learner_evaluated(l, ticket, true, out, &code, e);
    return code;
}

const char *learner_text(const struct learner *l, int ticket, size_t i)
{
    return l->evaluation[ticket].text[i];
}

const struct sample *learner_heldout(const struct learner *l, size_t i)
{
    return &l->heldout->sample[i];
}
