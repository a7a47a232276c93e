#include <string.h>

#include "models/t5_slots.h"
#include "sim/base/check.h"

/* --- whole passes --- */

/* Sums over each sequence of the rows' losses. */
static enum err_code collect_nll(struct t5_work *w, const struct pack *p, double *nll,
                                 struct err *e)
{
    w->ops->get(w->b, w->host_nll, w->nll, (size_t)p->out.n_rows * sizeof(float));
    enum err_code code = w->ops->sync(w->b, e);
    for (int s = 0; !code && s < p->n_seqs; s++) {
        nll[s] = 0;
        for (int j = 0; j < p->out.len[s]; j++)
            nll[s] += (double)w->host_nll[p->out.start[s] + j];
    }
    return code;
}

static void loss(const struct t5_run *r, void *dx)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    w->ops->head_loss(w->b, w->side[1].n, c->d_model, c->vocab, w->out[1], t5_wv(w, w->model->head),
                      w->label, w->row_scale, w->nll, dx, dx ? t5_dw(w, w->model->head) : NULL);
}

enum err_code t5_mark(struct t5_work *w, const struct t5_pass *p, enum t5_part part, struct err *e)
{
    if (!p->marks)
        return OK;
    enum err_code code = w->ops->sync(w->b, e);
    if (!code)
        p->marks->ended(p->marks->user, part);
    return code;
}

enum err_code t5_step_begin(struct t5_work *w, const struct t5_pass *p, float *d_adapters,
                            struct err *e)
{
    CHECK(w->mode != T5_INFER && p->pack->out.n_rows > 0);
    CHECK(!p->adapters == !d_adapters);
    struct t5_run r = {.w = w, .pass = p, .is_training = true, .d_adapters = d_adapters};
    enum err_code code = t5_upload(w, p->pack, e);
    if (code)
        return code;
    if (w->dw)
        t5_narrow(w->model, w->b);
    if ((code = t5_mark(w, p, T5_PART_LOAD, e)))
        return code;
    t5_encode(&r);
    t5_decode(&r);
    if ((code = t5_mark(w, p, T5_PART_FORWARD, e)))
        return code;
    loss(&r, w->d_norm);
    if ((code = t5_mark(w, p, T5_PART_LOSS, e)))
        return code;
    t5_backward(&r);
    return t5_mark(w, p, T5_PART_BACKWARD, e);
}

enum err_code t5_step_end(struct t5_work *w, const struct t5_pass *p, double *nll, struct err *e)
{
    return collect_nll(w, p->pack, nll, e);
}

enum err_code t5_step(struct t5_work *w, const struct t5_pass *p, float *d_adapters, double *nll,
                      struct err *e)
{
    enum err_code code = t5_step_begin(w, p, d_adapters, e);
    return code ? code : t5_step_end(w, p, nll, e);
}

enum err_code t5_score(struct t5_work *w, const struct t5_pass *p, double *nll, struct err *e)
{
    CHECK(p->pack->out.n_rows > 0);
    struct t5_run r = {.w = w, .pass = p};
    enum err_code code = t5_upload(w, p->pack, e);
    if (code)
        return code;
    t5_encode(&r);
    t5_decode(&r);
    loss(&r, NULL);
    code = collect_nll(w, p->pack, nll, e);
    w->encoded = code || p->stride ? NULL : p->pack;
    w->encoded_with = p->adapters;
    return code;
}

enum err_code t5_encoder_out(struct t5_work *w, float *out, struct err *e)
{
    size_t n = (size_t)w->side[0].n * (size_t)w->model->config.d_model;
    w->ops->get_values(w->b, out, w->out[0], n);
    return w->ops->sync(w->b, e);
}

enum err_code t5_logits(struct t5_work *w, float *out, struct err *e)
{
    const struct t5_config *c = &w->model->config;
    size_t n = (size_t)w->side[1].n, n_bytes;
    void *logits;
    CHECK(size_mul3(n, (size_t)c->vocab, w->ops->value_bytes, &n_bytes));
    enum err_code code = w->ops->alloc(w->b, &logits, n_bytes, "the logits of a pass", e);
    if (code)
        return code;
    w->ops->linear(w->b, (int)n, c->d_model, c->vocab, logits, (size_t)c->vocab, w->out[1],
                   (size_t)c->d_model, t5_wv(w, w->model->head), false);
    w->ops->get_values(w->b, out, logits, n * (size_t)c->vocab);
    code = w->ops->sync(w->b, e);
    w->ops->free(w->b, logits);
    return code;
}

/* --- greedy decoding --- */

/* One position of all slots: the most probable tokens in token[]. */
static enum err_code greedy_step(struct t5_slots *g, struct err *e)
{
    const struct t5_work *w = g->r->w;
    const struct t5_config *c = &w->model->config;
    const void *head = t5_wv(w, w->model->head);
    t5_slots_step(g);
    if (w->screen)
        w->ops->head_argmax_screened(w->b, g->n, c->d_model, c->vocab, w->out[1], head, w->screen, w->best);
    else
        w->ops->head_argmax(w->b, g->n, c->d_model, c->vocab, w->out[1], head, w->best);
    w->ops->get(w->b, g->token, w->best, (size_t)g->n * sizeof(int32_t));
    return w->ops->sync(w->b, e);
}

enum err_code t5_greedy(struct t5_work *w, const struct t5_pass *p, int max_new, int32_t *out,
                        int *n_out, struct err *e)
{
    CHECK(w->mode == T5_INFER && max_new >= 1 && max_new <= w->limits.max_new && p->stride == 0);
    struct t5_run r = {.w = w, .pass = p};
    struct t5_slots g;
    enum err_code code = t5_slots_begin(&g, &r, 1, e);
    if (!code && w->screen)
        w->ops->head_screen(w->b, w->model->config.d_model, w->model->config.vocab, w->screen,
                            t5_wv(w, w->model->head));
    memset(n_out, 0, (size_t)p->pack->n_seqs * sizeof(*n_out));
    for (; !code && g.n > 0 && g.position < max_new; g.position++) {
        code = greedy_step(&g, e);
        for (int s = g.n - 1; !code && s >= 0; s--) {
            int seq = g.seq[s];
            out[(size_t)seq * (size_t)max_new + (size_t)n_out[seq]++] = g.token[s];
            if (g.token[s] != w->model->config.eos_id)
                continue;
            if (s != g.n - 1)
                t5_slots_copy(&g, s, g.n - 1);
            g.n--;
        }
    }
    return code;
}
