#include <string.h>

#include "models/t5_work.h"
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

static void loss(const struct t5_run *r, float *dx)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    w->ops->head_loss(w->b, w->side[1].n, c->d_model, c->vocab, w->out[1], t5_w(w, w->model->head),
                      w->label, w->row_scale, w->nll, dx, dx ? t5_dw(w, w->model->head) : NULL);
}

enum err_code t5_step(struct t5_work *w, const struct t5_pass *p, float *d_adapters, double *nll,
                      struct err *e)
{
    CHECK(w->mode != T5_INFER && p->pack->out.n_rows > 0);
    CHECK(!p->adapters == !d_adapters);
    struct t5_run r = {.w = w, .pass = p, .is_training = true, .d_adapters = d_adapters};
    enum err_code code = t5_upload(w, p->pack, e);
    if (code)
        return code;
    t5_encode(&r);
    t5_decode(&r);
    loss(&r, w->d_norm);
    t5_backward(&r);
    return collect_nll(w, p->pack, nll, e);
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
    return collect_nll(w, p->pack, nll, e);
}

enum err_code t5_encoder_out(struct t5_work *w, float *out, struct err *e)
{
    size_t n = (size_t)w->side[0].n * (size_t)w->model->config.d_model;
    w->ops->get(w->b, out, w->out[0], n * sizeof(float));
    return w->ops->sync(w->b, e);
}

enum err_code t5_logits(struct t5_work *w, float *out, struct err *e)
{
    const struct t5_config *c = &w->model->config;
    size_t n = (size_t)w->side[1].n, n_bytes;
    void *logits;
    CHECK(size_mul3(n, (size_t)c->vocab, sizeof(float), &n_bytes));
    enum err_code code = w->ops->alloc(w->b, &logits, n_bytes, "the logits of a pass", e);
    if (code)
        return code;
    w->ops->linear(w->b, (int)n, c->d_model, c->vocab, logits, (size_t)c->vocab, w->out[1],
                   (size_t)c->d_model, t5_w(w, w->model->head), false);
    w->ops->get(w->b, out, logits, n_bytes);
    code = w->ops->sync(w->b, e);
    w->ops->free(w->b, logits);
    return code;
}

/* --- greedy decoding --- */

/* Sequences that still grow stand in slots 0 .. n_active - 1; slot s of a layer's cache holds q k v
 * of every position so far. All are at the same position. */
struct greedy {
    const struct t5_run *r;
    struct t5_side rows; /* one row per slot */
    int position, n_active, max_new;
    int32_t *seq;                        /* [slot] which sequence */
    int32_t *row, *one;                  /* [slot] 0, 1, 2, .. and 1, 1, 1, .. */
    int32_t *in_start, *in_len;          /* [slot] the sequence's encoder rows */
    int32_t *self_start, *self_len, *at; /* [slot] rows in the cache; position */
    int32_t *token;                      /* [slot] */
};

enum { GREEDY_TABLES = 9 };

static float *cache_of(const struct greedy *g, int layer)
{
    const struct t5_work *w = g->r->w;
    size_t slot = (size_t)w->limits.max_new * 3 * (size_t)t5_inner(&w->model->config);
    return w->cache + (size_t)(layer - w->model->config.n_enc) * (size_t)w->limits.max_seqs * slot;
}

/* The last slot's sequence takes over a slot whose sequence has ended. */
static void drop_slot(struct greedy *g, int slot)
{
    const struct t5_work *w = g->r->w;
    const struct t5_config *c = &w->model->config;
    size_t size = (size_t)w->limits.max_new * 3 * (size_t)t5_inner(c);
    size_t used = (size_t)(g->position + 1) * 3 * (size_t)t5_inner(c);
    int last = --g->n_active;
    if (slot == last)
        return;
    for (int l = c->n_enc; l < c->n_enc + c->n_dec; l++) {
        float *cache = cache_of(g, l);
        w->ops->copy(w->b, cache + (size_t)slot * size, cache + (size_t)last * size,
                     used * sizeof(float));
    }
    g->seq[slot] = g->seq[last];
    g->in_start[slot] = g->in_start[last];
    g->in_len[slot] = g->in_len[last];
    g->token[slot] = g->token[last];
}

static void greedy_self(const struct greedy *g, int layer)
{
    const struct t5_work *w = g->r->w;
    size_t inner = (size_t)t5_inner(&w->model->config);
    size_t slot = (size_t)w->limits.max_new * 3 * inner;
    float *cache = cache_of(g, layer), *here = cache + (size_t)g->position * 3 * inner;
    struct attn_args a = t5_self_args(g->r, layer);
    t5_self_keys(g->r, layer, &g->rows, here, slot);
    a.n_seqs = g->n_active;
    a.q_start = g->row;
    a.q_len = g->one;
    a.q_pos = g->at;
    a.k_start = g->self_start;
    a.k_len = g->self_len;
    a.ld_q = slot;
    a.ld_kv = 3 * inner;
    a.q = here;
    a.k = cache + inner;
    a.v = cache + 2 * inner;
    w->ops->attention(w->b, &a);
    t5_attention_out(g->r, layer, false, &g->rows, w->kept[layer].x);
}

static void greedy_cross(const struct greedy *g, int layer)
{
    const struct t5_work *w = g->r->w;
    struct attn_args a = t5_cross_args(g->r, layer);
    t5_cross_query(g->r, layer, &g->rows);
    a.n_seqs = g->n_active;
    a.q_start = g->row;
    a.q_len = g->one;
    a.k_start = g->in_start;
    a.k_len = g->in_len;
    w->ops->attention(w->b, &a);
    t5_attention_out(g->r, layer, true, &g->rows, w->kept[layer].x);
}

/* One position of all slots: from token[] to token[]. */
static enum err_code greedy_step(struct greedy *g, struct err *e)
{
    const struct t5_work *w = g->r->w;
    const struct t5_config *c = &w->model->config;
    int n = g->n_active, d = c->d_model;
    size_t n_bytes = (size_t)n * sizeof(int32_t);
    g->rows.n = g->rows.all_rows[1] = n;
    for (int s = 0; s < n; s++) {
        g->self_len[s] = g->position + 1;
        g->at[s] = g->position;
    }
    w->ops->set(w->b, w->side[1].id, g->token, n_bytes);
    w->ops->embed(w->b, n, d, w->kept[c->n_enc].x, t5_w(w, w->model->shared), w->side[1].id);
    for (int l = c->n_enc; l < c->n_enc + c->n_dec; l++) {
        greedy_self(g, l);
        greedy_cross(g, l);
        t5_feed_forward(g->r, l, &g->rows, w->kept[l].x);
    }
    w->ops->rms_norm(w->b, n, d, c->eps, w->out[1], w->rstd_end[1], w->x_end[1],
                     t5_w(w, w->model->stack[1].norm));
    w->ops->head_argmax(w->b, n, d, c->vocab, w->out[1], t5_w(w, w->model->head), w->best);
    w->ops->get(w->b, g->token, w->best, n_bytes);
    return w->ops->sync(w->b, e);
}

static void greedy_init(struct greedy *g, const struct t5_run *r, int max_new)
{
    struct t5_work *w = r->w;
    const struct t5_side *in = &w->side[0];
    size_t cap = (size_t)w->limits.max_seqs;
    int32_t *at = w->host_ids;
    *g = (struct greedy){.r = r, .max_new = max_new, .n_active = in->n_seqs};
    int32_t **table[GREEDY_TABLES] = {&g->seq,      &g->row,    &g->one,
                                      &g->in_start, &g->in_len, &g->self_start,
                                      &g->self_len, &g->at,     &g->token};
    for (int i = 0; i < GREEDY_TABLES; i++, at += cap)
        *table[i] = at;
    for (int s = 0; s < in->n_seqs; s++) {
        g->seq[s] = g->row[s] = s;
        g->one[s] = 1;
        g->in_start[s] = in->start[s];
        g->in_len[s] = in->len[s];
        g->self_start[s] = s * w->limits.max_new;
        g->token[s] = w->model->config.start_id;
    }
    g->rows.n_members = 1;
}

enum err_code t5_greedy(struct t5_work *w, const struct t5_pass *p, int max_new, int32_t *out,
                        int *n_out, struct err *e)
{
    const struct t5_config *c = &w->model->config;
    CHECK(w->mode == T5_INFER && max_new >= 1 && max_new <= w->limits.max_new && p->stride == 0);
    struct t5_run r = {.w = w, .pass = p};
    struct greedy g;
    enum err_code code = t5_upload(w, p->pack, e);
    if (code)
        return code;
    t5_encode(&r);
    for (int l = c->n_enc; l < c->n_enc + c->n_dec; l++)
        t5_cross_keys(&r, l);
    greedy_init(&g, &r, max_new);
    memset(n_out, 0, (size_t)p->pack->n_seqs * sizeof(*n_out));
    for (; !code && g.n_active > 0 && g.position < max_new; g.position++) {
        code = greedy_step(&g, e);
        for (int s = g.n_active - 1; !code && s >= 0; s--) {
            int seq = g.seq[s];
            out[(size_t)seq * (size_t)max_new + (size_t)n_out[seq]++] = g.token[s];
            if (g.token[s] == c->eos_id)
                drop_slot(&g, s);
        }
    }
    return code;
}
