#include "models/trainer.h"

#include <stdbool.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

/* Flat vectors of all members, in backend memory: adapters, gradients, and what a job may
 * need, allocated when the first comes that does: the optimizer's two slots, where members started
 * and how far they are away from there. */
enum { VEC_X, VEC_G, VEC_M, VEC_V, VEC_START, VEC_AWAY, N_VECS };

struct trainer {
    struct arena arena; /* owns this struct */
    struct lora_layout layout;
    struct t5 *own;   /* full fine-tuning: the weights being trained; else NULL */
    size_t size;      /* values of an adapter, or of all weights */
    size_t n_abreast; /* members of a pass: max_members, or 1 */
    struct t5_work *work;
    struct pack *pack[2]; /* of even and odd steps: the next is filled while the backend computes */
    const struct backend_ops *ops;
    struct backend *b;
    int max_members, start_id;
    float *vec[N_VECS];
    const struct t5_marks *marks;
    double *nll; /* [max_seqs] of a step */
    size_t n_bytes;
};

static enum err_code need_vec(struct trainer *t, int which, struct err *e)
{
    size_t n_bytes;
    void *p = NULL;
    if (t->vec[which])
        return OK;
    if (!size_mul3(t->n_abreast, t->size, sizeof(float), &n_bytes))
        return err_set(e, ERR_LIMIT, "%zu adapters of %zu values do not fit any memory",
                       t->n_abreast, t->size);
    enum err_code code = t->ops->alloc(t->b, &p, n_bytes, "the cohort's adapters", e);
    if (!code) {
        t->vec[which] = p;
        t->n_bytes += n_bytes;
    }
    return code;
}

/* The largest pass of the limits; rows that are not given are the product of the counts. */
static enum err_code plan(const struct train_limits *l, struct t5_limits *out, struct err *e)
{
    size_t seqs, in = l->max_input_rows, tgt = l->max_target_rows;
    CHECK(l->max_members >= 1 && l->max_batch >= 1 && l->max_input >= 1 && l->max_target >= 1);
    bool fits = size_mul((size_t)l->max_members, (size_t)l->max_batch, &seqs) && seqs <= INT32_MAX;
    if (fits && in == 0)
        fits = size_mul(seqs, (size_t)l->max_input, &in);
    if (fits && tgt == 0)
        fits = size_mul(seqs, (size_t)l->max_target, &tgt);
    if (!fits || in > INT32_MAX || tgt > INT32_MAX)
        return err_set(e, ERR_LIMIT,
                       "a step of %d clients x %d samples of %d and %d tokens: more than %d tokens",
                       l->max_members, l->max_batch, l->max_input, l->max_target, INT32_MAX);
    *out = (struct t5_limits){
        .max_members = l->max_members, .max_seqs = (int)seqs, .max_in = in, .max_out = tgt};
    return OK;
}

/* A copy of the model to train in, whose weights and gradients are the vectors x and g. */
static enum err_code open_full(struct trainer *t, const struct t5 *model, const struct t5_limits *l,
                               int n_threads, struct err *e)
{
    enum err_code code = t5_open_copy(&t->own, model, e);
    if (!code)
        code = t5_work_open(&t->work, t->own, T5_FULL, NULL, l, n_threads, e);
    if (code)
        return code;
    t->b = t5_work_backend(t->work);
    t->n_bytes = t5_work_bytes(t->work) + t->size * sizeof(float);
    t->vec[VEC_X] = t5_weights_rw(t->own);
    t->vec[VEC_G] = t5_work_dw(t->work);
    return OK;
}

static enum err_code open_lora(struct trainer *t, const struct t5 *model, const struct t5_limits *l,
                               int n_threads, struct err *e)
{
    enum err_code code = t5_work_open(&t->work, model, T5_ADAPT, &t->layout, l, n_threads, e);
    if (code)
        return code;
    t->b = t5_work_backend(t->work);
    t->n_bytes = t5_work_bytes(t->work);
    code = need_vec(t, VEC_X, e);
    return code ? code : need_vec(t, VEC_G, e);
}

size_t trainer_plan(const struct t5 *model, const struct lora_spec *lora,
                    const struct train_limits *limits, const struct train_hyper *hyper, int n_threads)
{
    struct t5_limits l;
    struct lora_layout layout = {0};
    struct train_limits pass = *limits;
    size_t n_vecs = 2, values, bytes, all;
    if (!lora)
        pass.max_members = 1;
    if (plan(&pass, &l, NULL))
        return 0;
    if (lora)
        lora_layout_init(&layout, t5_config_of(model), lora);
    size_t work = t5_work_plan(model, lora ? T5_ADAPT : T5_FULL, lora ? &layout : NULL, &l, n_threads);
    values = lora ? layout.size : t5_n_flat(model);
    lora_layout_fini(&layout);
    n_vecs += hyper->optimizer == LOCAL_ADAMW ? 2 : hyper->momentum > 0;
    n_vecs += hyper->prox_mu > 0 ? 2 : 0;
    n_vecs -= lora ? 0 : 1; /* the gradient is the work's */
    if (!work || !size_mul3(n_vecs * sizeof(float), (size_t)pass.max_members, values, &bytes) ||
        !size_add(work, bytes, &all))
        return 0;
    return all;
}

bool trainer_is_small(const struct t5 *model, const struct lora_spec *lora, const struct train_limits *limits,
                      const struct train_hyper *hyper)
{
    if (!t5_ops(model)->is_host || !lora || limits->max_members == 1)
        return true;
    size_t n_bytes = trainer_plan(model, lora, limits, hyper, 1);
    return n_bytes > 0 && (double)n_bytes <= TRAINER_CPU_BYTES;
}

enum err_code trainer_open(struct trainer **out, const struct t5 *model,
                           const struct lora_spec *lora, const struct train_limits *limits,
                           int n_threads, struct err *e)
{
    struct t5_limits l;
    struct train_limits pass = *limits;
    if (!lora)
        pass.max_members = 1;
    enum err_code code = lora ? lora_check(lora, e) : OK;
    if (!code)
        code = plan(&pass, &l, e);
    if (code)
        return code;
    struct arena arena = {0};
    struct trainer *t = ARENA_NEW(&arena, struct trainer, 1);
    t->nll = ARENA_NEW(&arena, double, (size_t)l.max_seqs);
    t->arena = arena;
    t->ops = t5_ops(model);
    t->max_members = limits->max_members;
    t->n_abreast = (size_t)pass.max_members;
    t->start_id = t5_config_of(model)->start_id;
    if (lora)
        lora_layout_init(&t->layout, t5_config_of(model), lora);
    t->size = lora ? t->layout.size : t5_n_flat(model);
    code = lora ? open_lora(t, model, &l, n_threads, e) : open_full(t, model, &l, n_threads, e);
    for (int i = 0; i < 2 && !code; i++)
        code = pack_open(&t->pack[i], l.max_members, l.max_seqs, l.max_in, l.max_out, e);
    if (code)
        trainer_close(t);
    else
        *out = t;
    return code;
}

void trainer_close(struct trainer *t)
{
    if (!t)
        return;
    for (int i = t->own ? VEC_M : VEC_X; t->b && i < N_VECS; i++)
        t->ops->free(t->b, t->vec[i]);
    pack_close(t->pack[0]);
    pack_close(t->pack[1]);
    t5_work_close(t->work);
    t5_close(t->own);
    lora_layout_fini(&t->layout);
    struct arena arena = t->arena;
    arena_free(&arena);
}

size_t trainer_size(const struct trainer *t)
{
    return t->size;
}

struct backend *trainer_backend(const struct trainer *t)
{
    return t->b;
}

void trainer_mark(struct trainer *t, const struct t5_marks *marks)
{
    t->marks = marks;
}

size_t trainer_bytes(const struct trainer *t)
{
    return t->n_bytes;
}

/* Packs one local step of all members. first[m] counts the samples that member m has used so far.
 */
static enum err_code pack_step(struct trainer *t, const struct train_job *job, int step,
                               size_t *first, struct err *e)
{
    struct pack *p = t->pack[step % 2];
    pack_clear(p, t->start_id);
    for (int m = 0; m < job->n_members; m++) {
        const struct train_member *who = &job->member[m];
        int n = who->n_per_step[step];
        CHECK(n >= (step == 0));
        pack_member(p, who->client);
        for (int i = 0; i < n; i++) {
            const struct sample *s = who->sample[first[m]++];
            CHECK(s->input && s->target && s->n_target >= 1);
            if (!pack_add(p, s->input, s->n_input, s->target, s->n_target))
                return err_set(e, ERR_LIMIT,
                               "a step of %d clients is larger than the pass that was planned: %d "
                               "sequences, %zu input and %zu target tokens",
                               job->n_members, p->max_seqs, p->max_in, p->max_out);
        }
    }
    pack_finish(p);
    return OK;
}

/* A step of n_members members from the first on, all of which are at work. */
static void update_run(struct trainer *t, const struct train_hyper *h, size_t first,
                       size_t n_members, int step)
{
    size_t n = n_members * t->size;
    float *v[N_VECS];
    for (int i = 0; i < N_VECS; i++)
        v[i] = t->vec[i] ? t->vec[i] + first * t->size : NULL;
    if (h->prox_mu > 0 && step > 0) { /* before, the difference is 0 */
        t->ops->copy(t->b, v[VEC_AWAY], v[VEC_X], n * sizeof(float));
        t->ops->sgd(t->b, n, v[VEC_AWAY], v[VEC_START], NULL, 1, 0);
        t->ops->sgd(t->b, n, v[VEC_G], v[VEC_AWAY], NULL, -h->prox_mu, 0);
    }
    if (h->max_grad_norm > 0)
        t->ops->clip(t->b, (int)n_members, t->size, v[VEC_G], h->max_grad_norm);
    if (h->optimizer == LOCAL_ADAMW)
        t->ops->adamw(t->b, n, v[VEC_X], v[VEC_G], v[VEC_M], v[VEC_V], h->lr, h->beta1, h->beta2,
                      h->epsilon, h->weight_decay, step + 1);
    else
        t->ops->sgd(t->b, n, v[VEC_X], v[VEC_G], h->momentum > 0 ? v[VEC_M] : NULL, h->lr,
                    h->momentum);
}

static bool is_at_work(const struct train_job *job, int member, int step)
{
    return job->member[member].n_per_step[step] > 0;
}

/* Neighbours that are at work are updated together. */
static void update(struct trainer *t, const struct train_job *job, int step)
{
    for (int m = 0, end; m < job->n_members; m = end) {
        bool works = is_at_work(job, m, step);
        for (end = m + 1; end < job->n_members && is_at_work(job, end, step) == works; end++)
            continue;
        if (works)
            update_run(t, &job->hyper, (size_t)m, (size_t)(end - m), step);
    }
}

static int steps_of(const struct train_job *job, int member)
{
    int n = 0;
    while (n < job->hyper.local_steps && is_at_work(job, member, n))
        n++;
    return n;
}

static bool is_anyone_at_work(const struct train_job *job, int step)
{
    if (step >= job->hyper.local_steps)
        return false;
    for (int m = 0; m < job->n_members; m++)
        if (is_at_work(job, m, step))
            return true;
    return false;
}

/* Adds each member's mean loss per token of this step. */
static void book_loss(const struct trainer *t, const struct train_job *job, const struct pack *p)
{
    for (int m = 0; m < job->n_members; m++) {
        double sum = 0;
        for (int s = p->member_seq[m]; s < p->member_seq[m + 1]; s++)
            sum += t->nll[s];
        int n_tokens = p->out.member_row[m + 1] - p->out.member_row[m];
        if (n_tokens > 0)
            job->loss[m] += sum / n_tokens / steps_of(job, m);
    }
}

/* Every member starts from adapter_in, with empty optimizer slots. */
static enum err_code begin(struct trainer *t, const struct train_job *job, struct err *e)
{
    const struct train_hyper *h = &job->hyper;
    size_t n = t->size, n_bytes = n * sizeof(float);
    bool has_v = h->optimizer == LOCAL_ADAMW, has_m = has_v || h->momentum > 0;
    enum err_code code = has_m ? need_vec(t, VEC_M, e) : OK;
    if (!code && has_v)
        code = need_vec(t, VEC_V, e);
    if (!code && h->prox_mu > 0)
        code = need_vec(t, VEC_START, e);
    if (!code && h->prox_mu > 0)
        code = need_vec(t, VEC_AWAY, e);
    if (code)
        return code;
    float *x = t->vec[VEC_X];
    t->ops->upload(t->b, x, job->adapter_in, n_bytes);
    for (int m = 0; m < job->n_members; m++) {
        if (m > 0)
            t->ops->copy(t->b, x + (size_t)m * n, x, n_bytes);
        job->loss[m] = 0;
    }
    if (has_m)
        t->ops->zero(t->b, t->vec[VEC_M], (size_t)job->n_members * n_bytes);
    if (has_v)
        t->ops->zero(t->b, t->vec[VEC_V], (size_t)job->n_members * n_bytes);
    return OK;
}

/* All members of the job in one pass per step. */
static enum err_code run_abreast(struct trainer *t, const struct train_job *job, struct err *e)
{
    const struct train_hyper *h = &job->hyper;
    size_t n = t->size;
    float *x = t->vec[VEC_X], *g = t->vec[VEC_G];
    struct arena scratch = {0};
    size_t *first = ARENA_NEW(&scratch, size_t, (size_t)job->n_members);
    struct t5_pass pass = {.adapters = t->own ? NULL : x,
                           .stride = n,
                           .dropout = h->dropout,
                           .marks = t->marks};
    enum err_code code = begin(t, job, e);
    if (!code && h->prox_mu > 0)
        t->ops->copy(t->b, t->vec[VEC_START], x, (size_t)job->n_members * n * sizeof(float));
    if (!code)
        code = pack_step(t, job, 0, first, e);
    if (!code)
        code = t5_mark(t->work, &pass, T5_PART_LOAD, e);
    for (int step = 0; !code && is_anyone_at_work(job, step); step++) {
        if (job->is_stopped && atomic_load(job->is_stopped)) {
            code = err_set(e, ERR_INTERRUPTED, "stopped before local step %d", step + 1);
            break;
        }
        pass.pack = t->pack[step % 2];
        pass.seed = rng_u64(job->seed, RNG_TRAIN_STEP, 0, (uint64_t)step);
        t->ops->zero(t->b, g, (size_t)job->n_members * n * sizeof(float));
        code = t5_step_begin(t->work, &pass, t->own ? NULL : g, e);
        if (code)
            break;
        update(t, job, step);
        code = t5_mark(t->work, &pass, T5_PART_UPDATE, e);
        if (!code && is_anyone_at_work(job, step + 1))
            code = pack_step(t, job, step + 1, first, e);
        if (!code)
            code = t5_mark(t->work, &pass, T5_PART_LOAD, e);
        if (!code)
            code = t5_step_end(t->work, &pass, t->nll, e);
        if (!code)
            book_loss(t, job, pass.pack);
    }
    if (!code) {
        t->ops->get(t->b, job->adapter_out, x, (size_t)job->n_members * n * sizeof(float));
        code = t->ops->sync(t->b, e);
    }
    arena_free(&scratch);
    return code;
}

enum err_code trainer_run(struct trainer *t, const struct train_job *job, struct err *e)
{
    enum err_code code = OK;
    CHECK(job->n_members >= 1 && job->hyper.local_steps >= 1);
    if (job->n_members > t->max_members)
        return err_set(e, ERR_LIMIT, "a job of %d clients: planned for %d", job->n_members,
                       t->max_members);
    if (!t->own)
        return run_abreast(t, job, e);
    struct train_job one = *job;
    one.n_members = 1;
    for (int m = 0; !code && m < job->n_members; m++) {
        code = run_abreast(t, &one, e);
        one.member++;
        one.loss++;
        one.adapter_out += t->size;
    }
    return code;
}
