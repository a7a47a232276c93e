#include "models/memo.h"

#include <string.h>
#include <unistd.h>

#include "models/arithmetic.h" /* made by models/arithmetic.cmake */
#include "models/backend.h"
#include "sim/base/check.h"

enum { N_NUMBERS = 8, MAX_DESCRIBED = 512 };

struct memo {
    struct store *store;
    struct memo_subject subject;
    struct hash128 train, evaluate; /* of what all jobs have in common */
};

/* --- keys --- */

static struct hash128 fold_int(struct hash128 h, int64_t v)
{
    return hash_more(h, &v, sizeof(v));
}

static struct hash128 fold_double(struct hash128 h, double v)
{
    return hash_more(h, &v, sizeof(v));
}

static struct hash128 fold_text(struct hash128 h, const char *s)
{
    return hash_more(h, s, strlen(s));
}

static struct hash128 fold_hash(struct hash128 h, struct hash128 v)
{
    uint64_t both[2] = {v.lo, v.hi};
    return hash_more(h, both, sizeof(both));
}

/* What computes, and with which frozen weights. */
static enum err_code fold_arithmetic(struct hash128 *h, const struct t5 *model, struct err *e)
{
    struct backend *b = NULL;
    char said[MAX_DESCRIBED], libc[64] = "";
    enum err_code code = t5_ops(model)->open(&b, 0, 1, e);
    if (code)
        return code;
    b->ops->describe(b, said, sizeof(said));
    b->ops->close(b);
#ifdef _CS_GNU_LIBC_VERSION
    (void)confstr(_CS_GNU_LIBC_VERSION, libc, sizeof(libc));
#endif
    *h = fold_text(*h, t5_ops(model)->name);
    *h = fold_text(*h, t5_ops(model)->precision);
    *h = fold_text(*h, said);
    *h = fold_text(*h, libc);
    *h = fold_text(*h, VERYEDGE_ARITHMETIC);
    *h = fold_hash(*h, t5_hash(model));
    return OK;
}

static struct hash128 fold_lora(struct hash128 h, const struct lora_spec *l)
{
    h = fold_int(h, l ? l->rank : 0);
    if (!l)
        return h;
    h = fold_double(h, (double)l->alpha);
    h = fold_double(h, (double)l->dropout);
    return fold_int(h, l->targets);
}

static struct hash128 fold_hyper(struct hash128 h, const struct train_hyper *y)
{
    const float values[] = {y->lr,           y->momentum, y->beta1,         y->beta2,  y->epsilon,
                            y->weight_decay, y->prox_mu,  y->max_grad_norm, y->dropout};
    h = fold_int(h, y->optimizer);
    return hash_more(h, values, sizeof(values));
}

static struct hash128 fold_sample(struct hash128 h, const struct sample *s)
{
    h = hash_more(h, s->input, (size_t)s->n_input * sizeof(s->input[0]));
    return hash_more(h, s->target, (size_t)s->n_target * sizeof(s->target[0]));
}

static struct hash128 fold_eval(struct hash128 h, const struct memo_subject *s)
{
    const struct eval_spec *v = s->eval;
    size_t n = v->n_samples < s->heldout->n ? v->n_samples : s->heldout->n;
    const int64_t ints[] = {(int64_t)n,          v->wants_rouge, v->max_new_tokens,
                            v->beams.n_beams,    v->batch,       v->beams.early_stopping,
                            (int64_t)s->n_texts, v->is_full};
    h = hash_more(h, ints, sizeof(ints));
    h = fold_double(h, (double)v->beams.length_penalty);
    h = fold_hash(h, s->vocabulary);
    for (size_t i = 0; i < n; i++) {
        const struct sample *sample = &s->heldout->sample[i];
        h = fold_sample(h, sample);
        h = fold_text(h, sample->summary);
        h = fold_int(h, sample->n_facts);
        for (int k = 0; k < sample->n_facts; k++)
            h = fold_text(h, sample->fact[k]);
    }
    return h;
}

static struct hash128 key_of_job(const struct memo *m, const struct train_job *job)
{
    struct hash128 h = fold_hyper(m->train, &job->hyper);
    h = fold_int(h, (int64_t)job->seed);
    h = hash_more(h, job->adapter_in, m->subject.size * sizeof(float));
    h = fold_int(h, job->n_members);
    for (int i = 0; i < job->n_members; i++) {
        const struct train_member *who = &job->member[i];
        const struct sample *const *at = who->sample;
        h = fold_int(h, who->client);
        for (int step = 0; step < job->hyper.local_steps && who->n_per_step[step] > 0; step++) {
            h = fold_int(h, who->n_per_step[step]);
            for (int k = 0; k < who->n_per_step[step]; k++)
                h = fold_sample(h, *at++);
        }
        h = fold_int(h, -1); /* the end of a member */
    }
    return h;
}

enum err_code memo_open(struct memo **out, struct store *store, const struct memo_subject *subject,
                        struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct memo), "the memory of results", e);
    if (code)
        return code;
    struct memo *m = memory;
    m->store = store;
    m->subject = *subject;
    if (store) {
        struct hash128 h = {0};
        if ((code = fold_arithmetic(&h, subject->model, e))) {
            mem_free(m);
            return code;
        }
        h = fold_int(fold_lora(h, subject->lora), (int64_t)subject->size);
        m->train = fold_text(h, "train");
        m->evaluate = fold_text(h, "evaluate");
        if (subject->eval)
            m->evaluate = fold_eval(m->evaluate, subject);
    }
    *out = m;
    return OK;
}

void memo_close(struct memo *m)
{
    mem_free(m);
}

/* --- training: the members' adapters, then their losses --- */

static bool recall_job(struct memo *m, struct hash128 key, const struct train_job *job)
{
    size_t n = (size_t)job->n_members, n_adapters = n * m->subject.size * sizeof(float), n_bytes;
    void *bytes;
    if (!store_get(m->store, key, &bytes, &n_bytes))
        return false;
    bool is_right = n_bytes == n_adapters + n * sizeof(double);
    if (is_right) {
        memcpy(job->adapter_out, bytes, n_adapters);
        memcpy(job->loss, (char *)bytes + n_adapters, n * sizeof(double));
    } else {
        store_disown(m->store, key);
    }
    mem_free(bytes);
    return is_right;
}

/* Without memory for the copy it is not kept. */
static void keep_job(struct memo *m, struct hash128 key, const struct train_job *job)
{
    size_t n = (size_t)job->n_members, n_adapters = n * m->subject.size * sizeof(float);
    void *bytes;
    if (mem_big(&bytes, n_adapters + n * sizeof(double), "a result", NULL))
        return;
    memcpy(bytes, job->adapter_out, n_adapters);
    memcpy((char *)bytes + n_adapters, job->loss, n * sizeof(double));
    store_put(m->store, key, bytes, n_adapters + n * sizeof(double));
    mem_free(bytes);
}

enum err_code memo_train(struct memo *m, struct trainer *t, const struct train_job *job,
                         bool *is_known, struct err *e)
{
    struct hash128 key = {0};
    *is_known = false;
    if (m->store) {
        key = key_of_job(m, job);
        *is_known = recall_job(m, key, job);
    }
    if (*is_known)
        return OK;
    enum err_code code = trainer_run(t, job, e);
    if (!code && m->store)
        keep_job(m, key, job);
    return code;
}

/* --- evaluation: the numbers, then the texts, each ended by a zero --- */

static void numbers_of(const struct eval_result *r, double out[N_NUMBERS])
{
    const double v[N_NUMBERS] = {r->loss,
                                 (double)r->n_tokens,
                                 r->rouge1,
                                 r->rouge2,
                                 r->rougeL,
                                 r->rougeLsum,
                                 r->has_rouge + 2.0 * r->has_facts,
                                 r->fact_recall};
    memcpy(out, v, sizeof(v));
}

static struct eval_result result_of(const double v[N_NUMBERS])
{
    int flags = (int)v[6];
    return (struct eval_result){.loss = v[0],
                                .n_tokens = (size_t)v[1],
                                .rouge1 = v[2],
                                .rouge2 = v[3],
                                .rougeL = v[4],
                                .rougeLsum = v[5],
                                .has_rouge = flags & 1,
                                .has_facts = flags & 2,
                                .fact_recall = v[7]};
}

/* How many texts go with a result. */
static size_t texts_of(const struct memo *m, const struct eval_result *r)
{
    size_t n = m->subject.n_texts, n_samples = m->subject.eval->n_samples;
    if (n_samples > m->subject.heldout->n)
        n_samples = m->subject.heldout->n;
    if (n > n_samples)
        n = n_samples;
    return r->has_rouge ? n : 0;
}

static bool recall_evaluation(struct memo *m, struct hash128 key, struct eval_result *out,
                              const char **text, struct arena *texts)
{
    void *bytes;
    size_t n_bytes, at = N_NUMBERS * sizeof(double);
    if (!store_get(m->store, key, &bytes, &n_bytes))
        return false;
    bool is_right = n_bytes >= at;
    if (is_right) {
        double v[N_NUMBERS];
        memcpy(v, bytes, at);
        *out = result_of(v);
    }
    size_t n = is_right ? texts_of(m, out) : 0;
    for (size_t i = 0; is_right && i < n; i++) {
        const char *from = (const char *)bytes + at;
        const char *end = memchr(from, 0, n_bytes - at);
        is_right = end != NULL;
        if (is_right) {
            text[i] = arena_strdup(texts, from);
            at += (size_t)(end - from) + 1;
        }
    }
    is_right = is_right && at == n_bytes;
    if (!is_right)
        store_disown(m->store, key);
    mem_free(bytes);
    return is_right;
}

static void keep_evaluation(struct memo *m, struct hash128 key, const struct eval_result *r,
                            const char *const *text)
{
    size_t at = N_NUMBERS * sizeof(double), n_bytes = at, n = texts_of(m, r);
    void *bytes;
    for (size_t i = 0; i < n; i++)
        n_bytes += strlen(text[i]) + 1;
    if (mem_big(&bytes, n_bytes, "a result", NULL))
        return;
    double v[N_NUMBERS];
    numbers_of(r, v);
    memcpy(bytes, v, at);
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(text[i]) + 1;
        memcpy((char *)bytes + at, text[i], length);
        at += length;
    }
    store_put(m->store, key, bytes, n_bytes);
    mem_free(bytes);
}

enum err_code memo_evaluate(struct memo *m, struct evaluator *v, const float *adapter,
                            struct eval_result *out, const char **text, struct arena *texts,
                            bool *is_known, struct err *e)
{
    struct hash128 key = {0};
    size_t n_texts = m->subject.n_texts;
    CHECK(m->subject.eval && adapter);
    *is_known = false;
    for (size_t i = 0; i < n_texts; i++)
        text[i] = NULL;
    if (m->store) {
        key = hash_more(m->evaluate, adapter, m->subject.size * sizeof(float));
        *is_known = recall_evaluation(m, key, out, text, texts);
    }
    if (*is_known)
        return OK;
    enum err_code code = evaluator_run(v, adapter, out, e);
    if (code)
        return code;
    for (size_t i = 0; i < texts_of(m, out); i++)
        text[i] = arena_strdup(texts, evaluator_text(v, i));
    if (m->store)
        keep_evaluation(m, key, out, text);
    return OK;
}
