#include "models/evaluate.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "models/backend.h"
#include "models/pack.h"
#include "models/rouge.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

/* The first n samples of a dataset. */
struct slice {
    const struct sample *sample;
    size_t n;
};

enum { HELDOUT, TEST, N_SLICES };

struct evaluator {
    const struct t5 *model;
    const struct tokens *tokens;
    struct slice slice[N_SLICES];
    struct eval_spec spec;
    struct lora_layout lora;
    bool has_lora;
    struct t5 *own; /* is_full: the copy that takes the weights to be judged */
    struct t5_work *work;
    struct pack *pack;
    void *adapter;      /* backend, lora.size values */
    double *nll;        /* [n] of the larger slice */
    int32_t *id;        /* [batch * max_new_tokens] of one pass */
    int *n_id;          /* [batch] */
    const char **text;  /* as nll */
    size_t n_texts;     /* of the last run */
    struct arena texts;
    struct arena arena; /* owns the arrays and the evaluator itself */
};

/* Rows of the largest pass: samples are taken in order, spec.batch at a time. */
static void largest_pass(const struct evaluator *v, size_t *max_in, size_t *max_out)
{
    size_t batch = (size_t)v->spec.batch;
    *max_in = *max_out = 1;
    for (int which = 0; which < N_SLICES; which++) {
        const struct slice *s = &v->slice[which];
        for (size_t i = 0; i < s->n; i += batch) {
            size_t in = 0, out = 0;
            for (size_t k = i; k < i + batch && k < s->n; k++) {
                in += (size_t)s->sample[k].n_input;
                out += (size_t)s->sample[k].n_target;
            }
            *max_in = in > *max_in ? in : *max_in;
            *max_out = out > *max_out ? out : *max_out;
        }
    }
}

static enum err_code open_work(struct evaluator *v, int n_threads, struct err *e)
{
    size_t max_in, max_out;
    largest_pass(v, &max_in, &max_out);
    int batch = v->spec.batch;
    struct t5_limits limits = {.max_members = 1,
                               .max_seqs = batch,
                               .max_in = max_in,
                               .max_out = max_out,
                               .max_new = v->spec.wants_rouge ? v->spec.max_new_tokens : 0,
                               .max_beams = v->spec.wants_rouge ? v->spec.beams.n_beams : 0};
    enum err_code code = pack_open(&v->pack, 1, batch, max_in, max_out, e);
    if (!code && v->spec.is_full)
        code = t5_open_copy(&v->own, v->model, e);
    if (!code)
        code = t5_work_open(&v->work, v->own ? v->own : v->model, T5_INFER,
                            v->has_lora ? &v->lora : NULL, &limits, n_threads, e);
    if (code || !v->has_lora)
        return code;
    struct backend *b = t5_work_backend(v->work);
    return b->ops->alloc(b, &v->adapter, v->lora.size * sizeof(float), "the adapter", e);
}

enum err_code evaluator_open(struct evaluator **out, const struct t5 *model,
                             const struct lora_spec *lora, const struct tokens *tokens,
                             const struct dataset *heldout, const struct eval_spec *spec,
                             int n_threads, struct err *e)
{
    CHECK(!lora || !spec->is_full);
    CHECK(spec->batch >= 1 && (!spec->wants_rouge || spec->max_new_tokens >= 1));
    size_t n_heldout = spec->n_samples < heldout->n ? spec->n_samples : heldout->n;
    size_t n_test = spec->test ? spec->test->n : 0, n_most = n_heldout;
    if (n_heldout == 0 && n_test == 0)
        return err_set(e, ERR_INPUT, "no held-out samples to evaluate on");
    if (n_test > n_most)
        n_most = n_test;
    struct arena arena = {0};
    struct evaluator *v = ARENA_NEW(&arena, struct evaluator, 1);
    *v = (struct evaluator){.model = model, .tokens = tokens, .spec = *spec};
    v->slice[HELDOUT] = (struct slice){heldout->sample, n_heldout};
    v->slice[TEST] = (struct slice){n_test ? spec->test->sample : NULL, n_test};
    if (v->spec.beams.n_beams < 1)
        v->spec.beams.n_beams = 1;
    if (lora) {
        lora_layout_init(&v->lora, t5_config_of(model), lora);
        v->has_lora = true;
    }
    size_t batch = (size_t)spec->batch;
    v->nll = ARENA_NEW(&arena, double, n_most);
    v->text = ARENA_NEW(&arena, const char *, n_most);
    v->n_id = ARENA_NEW(&arena, int, batch);
    if (spec->wants_rouge)
        v->id = ARENA_NEW(&arena, int32_t, batch * (size_t)spec->max_new_tokens);
    v->arena = arena;
    enum err_code code = open_work(v, n_threads, e);
    if (code) {
        evaluator_close(v);
        return err_in(e, code, "evaluation");
    }
    *out = v;
    return OK;
}

size_t evaluator_bytes(const struct evaluator *v)
{
    if (!v)
        return 0;
    return t5_work_bytes(v->work) + v->lora.size * sizeof(float) + (v->own ? t5_bytes(v->own) : 0);
}

void evaluator_close(struct evaluator *v)
{
    if (!v)
        return;
    if (v->adapter) {
        struct backend *b = t5_work_backend(v->work);
        b->ops->free(b, v->adapter);
    }
    t5_work_close(v->work);
    t5_close(v->own);
    pack_close(v->pack);
    if (v->has_lora)
        lora_layout_fini(&v->lora);
    arena_free(&v->texts);
    struct arena arena = v->arena; /* v lives in it */
    arena_free(&arena);
}

static enum err_code load_adapter(struct evaluator *v, const float *adapter, struct err *e)
{
    if (v->own) {
        CHECK(adapter);
        return t5_set_flat(v->own, adapter, e);
    }
    if (!adapter)
        return OK;
    CHECK(v->has_lora);
    struct backend *b = t5_work_backend(v->work);
    b->ops->set(b, v->adapter, adapter, v->lora.size * sizeof(float));
    return b->ops->sync(b, e);
}

/* Samples first .. first + n - 1 of a slice. */
static enum err_code run_pass(struct evaluator *v, const struct t5_pass *pass,
                              const struct sample *sample, size_t first, size_t n, struct err *e)
{
    pack_clear(v->pack, t5_config_of(v->model)->start_id);
    pack_member(v->pack, 0);
    for (size_t i = first; i < first + n; i++) {
        const struct sample *s = &sample[i];
        CHECK(s->input && pack_add(v->pack, s->input, s->n_input, s->target, s->n_target));
    }
    pack_finish(v->pack);
    enum err_code code = t5_score(v->work, pass, v->nll + first, e);
    if (code || !v->spec.wants_rouge)
        return code;
    int max_new = v->spec.max_new_tokens;
    struct t5_pass again = *pass;
    again.is_encoded = true;
    code = t5_beam(v->work, &again, &v->spec.beams, max_new, v->id, v->n_id, e);
    if (code)
        return code;
    for (size_t i = 0; i < n; i++)
        v->text[first + i] =
            tokens_decode(v->tokens, v->id + i * (size_t)max_new, (size_t)v->n_id[i], &v->texts);
    return OK;
}

/* The fact stands in the text between characters that are no letters or digits. */
static bool has_fact(const char *text, const char *fact)
{
    size_t n = strlen(fact);
    for (const char *at = strstr(text, fact); at; at = strstr(at + 1, fact)) {
        bool is_free_before = at == text || !isalnum((unsigned char)at[-1]);
        if (is_free_before && !isalnum((unsigned char)at[n]))
            return true;
    }
    return false;
}

static void score_texts(const struct evaluator *v, const struct slice *slice,
                        struct eval_result *out)
{
    double n = (double)slice->n;
    out->has_rouge = true;
    out->has_facts = true;
    for (size_t i = 0; i < slice->n; i++) {
        const struct sample *s = &slice->sample[i];
        struct rouge_scores scores;
        rouge_score(s->summary, v->text[i], true, &scores);
        out->rouge1 += scores.rouge1.f;
        out->rouge2 += scores.rouge2.f;
        out->rougeL += scores.rougeL.f;
        out->rougeLsum += scores.rougeLsum.f;
        int n_found = 0;
        for (int k = 0; k < s->n_facts; k++)
            n_found += has_fact(v->text[i], s->fact[k]);
        out->has_facts = out->has_facts && s->n_facts > 0;
        out->fact_recall += s->n_facts > 0 ? (double)n_found / s->n_facts : 0.0;
    }
    out->rouge1 *= 100.0 / n;
    out->rouge2 *= 100.0 / n;
    out->rougeL *= 100.0 / n;
    out->rougeLsum *= 100.0 / n;
    out->fact_recall /= n;
}

static enum err_code judge(struct evaluator *v, const struct slice *slice, const float *adapter,
                           struct eval_result *out, struct err *e)
{
    struct eval_result r = {0};
    struct t5_pass pass = {.pack = v->pack, .adapters = adapter && !v->own ? v->adapter : NULL};
    CHECK(slice->n > 0);
    arena_free(&v->texts);
    v->n_texts = 0;
    enum err_code code = load_adapter(v, adapter, e);
    size_t batch = (size_t)v->spec.batch, n = slice->n;
    for (size_t i = 0; i < n && !code; i += batch) {
        bool is_stopped = v->spec.is_stopped && atomic_load(v->spec.is_stopped);
        code = is_stopped ? err_set(e, ERR_INTERRUPTED, "stopped")
                          : run_pass(v, &pass, slice->sample, i, n - i < batch ? n - i : batch, e);
    }
    if (code)
        return err_in(e, code, "evaluation");
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += v->nll[i];
        r.n_tokens += (size_t)slice->sample[i].n_target;
    }
    r.loss = sum / (double)r.n_tokens;
    if (v->spec.wants_rouge) {
        v->n_texts = n;
        score_texts(v, slice, &r);
    }
    *out = r;
    return OK;
}

enum err_code evaluator_run(struct evaluator *v, const float *adapter, struct eval_result *out,
                            struct err *e)
{
    return judge(v, &v->slice[HELDOUT], adapter, out, e);
}

enum err_code evaluator_test(struct evaluator *v, const float *adapter, struct eval_result *out,
                             struct err *e)
{
    return judge(v, &v->slice[TEST], adapter, out, e);
}

const char *evaluator_text(const struct evaluator *v, size_t i)
{
    return i < v->n_texts ? v->text[i] : NULL;
}
