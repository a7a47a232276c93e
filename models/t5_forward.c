#include "models/t5_work.h"

/* --- parts of a layer --- */

static struct norm_args norm_of(const struct t5_work *w, size_t weight, float *rstd, void *out)
{
    return (struct norm_args){
        .eps = w->model->config.eps, .w = t5_w(w, weight), .out = out, .rstd = rstd};
}

struct norm_args t5_norm_self(const struct t5_work *w, int layer)
{
    return norm_of(w, t5_layer(w, layer)->norm_self, w->kept[layer].rstd_self, w->norm);
}

struct norm_args t5_norm_cross(const struct t5_work *w, int layer)
{
    return norm_of(w, t5_layer(w, layer)->norm_cross, w->kept[layer].rstd_cross, w->norm);
}

struct norm_args t5_norm_ff(const struct t5_work *w, int layer)
{
    return norm_of(w, t5_layer(w, layer)->norm_ff, w->kept[layer].rstd_ff, w->norm);
}

struct norm_args t5_norm_end(const struct t5_work *w, int stack)
{
    return norm_of(w, w->model->stack[stack].norm, w->rstd_end[stack], w->out[stack]);
}

static bool is_last(const struct t5_work *w, int layer)
{
    return layer == w->model->config.n_enc - 1 ||
           layer == w->model->config.n_enc + w->model->config.n_dec - 1;
}

/* The bias table belongs to self-attention; n_heads and d_kv to all. */
static struct attn_args attn_common(const struct t5_run *r, int layer)
{
    const struct t5_config *c = &r->w->model->config;
    struct attn_args a = {.n_heads = c->n_heads, .d_kv = c->d_kv, .ld_o = (size_t)t5_inner(c)};
    a.n_buckets = c->n_buckets;
    a.max_distance = c->max_distance;
    a.is_bidirectional = layer < c->n_enc;
    return a;
}

struct attn_args t5_self_args(const struct t5_run *r, int layer)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    int stack = layer >= c->n_enc;
    const struct t5_side *s = &w->side[stack];
    const struct t5_kept *k = &w->kept[layer];
    size_t inner = (size_t)t5_inner(c);
    struct attn_args a = attn_common(r, layer);
    a.n_seqs = s->n_seqs;
    a.q_start = a.k_start = s->start;
    a.q_len = a.k_len = s->len;
    a.ld_q = a.ld_kv = 3 * inner;
    a.q = k->qkv;
    a.k = t5_at(w, k->qkv, inner);
    a.v = t5_at(w, k->qkv, 2 * inner);
    a.o = k->o;
    a.lse = k->lse;
    a.keep = k->keep;
    a.n_keep = k->n_keep;
    a.is_causal = stack == 1;
    a.bias_table = t5_w(w, w->model->stack[stack].bias);
    a.drop = t5_drop(r, layer, SITE_ATTN, s);
    return a;
}

struct attn_args t5_cross_args(const struct t5_run *r, int layer)
{
    const struct t5_work *w = r->w;
    const struct t5_kept *k = &w->kept[layer];
    size_t inner = (size_t)t5_inner(&w->model->config);
    struct attn_args a = attn_common(r, layer);
    a.n_seqs = w->side[1].n_seqs;
    a.q_start = w->side[1].start;
    a.q_len = w->side[1].len;
    a.k_start = w->side[0].start;
    a.k_len = w->side[0].len;
    a.ld_q = inner;
    a.ld_kv = 2 * inner;
    a.q = k->cq;
    a.k = k->ckv;
    a.v = t5_at(w, k->ckv, inner);
    a.o = k->co;
    a.lse = k->clse;
    a.keep = k->ckeep;
    a.n_keep = k->n_keep;
    a.drop = t5_drop(r, layer, SITE_CROSS, &w->side[1]);
    return a;
}

void t5_self_keys(const struct t5_run *r, int layer, const struct t5_side *rows, void *qkv,
                  size_t ld)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, layer);
    int d = c->d_model, inner = t5_inner(c);
    size_t ld_x = (size_t)d, step = (size_t)inner;
    w->ops->linear(w->b, rows->n, d, 3 * inner, qkv, ld, w->norm, ld_x, t5_wv(w, at->q), false);
    t5_adapt(r, layer, LORA_AT_Q, rows, qkv, ld, w->norm, ld_x);
    t5_adapt(r, layer, LORA_AT_K, rows, t5_at(w, qkv, step), ld, w->norm, ld_x);
    t5_adapt(r, layer, LORA_AT_V, rows, t5_at(w, qkv, 2 * step), ld, w->norm, ld_x);
}

void t5_cross_keys(const struct t5_run *r, int layer)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_side *in = &w->side[0];
    int d = c->d_model, inner = t5_inner(c);
    size_t ld = 2 * (size_t)inner;
    void *ckv = w->kept[layer].ckv;
    const void *x = w->out[0];
    w->ops->linear(w->b, in->n, d, 2 * inner, ckv, ld, x, (size_t)d,
                   t5_wv(w, t5_layer(w, layer)->ck), false);
    t5_adapt(r, layer, LORA_AT_CK, in, ckv, ld, x, (size_t)d);
    t5_adapt(r, layer, LORA_AT_CV, in, t5_at(w, ckv, (size_t)inner), ld, x, (size_t)d);
}

void t5_cross_query(const struct t5_run *r, int layer, const struct t5_side *rows)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, layer);
    const struct t5_kept *k = &w->kept[layer];
    int d = c->d_model, inner = t5_inner(c);
    w->ops->linear(w->b, rows->n, d, inner, k->cq, (size_t)inner, w->norm, (size_t)d,
                   t5_wv(w, at->cq), false);
    t5_adapt(r, layer, LORA_AT_CQ, rows, k->cq, (size_t)inner, w->norm, (size_t)d);
}

void t5_attention_out(const struct t5_run *r, int layer, bool is_cross, const struct t5_side *rows,
                      float *next)
{
    const struct t5_work *w = r->w;
    const struct t5_layer_at *at = t5_layer(w, layer);
    const struct t5_kept *k = &w->kept[layer];
    int d = w->model->config.d_model, inner = t5_inner(&w->model->config);
    const void *o = is_cross ? k->co : k->o;
    const float *x = is_cross ? k->x_cross : k->x;
    struct dropout drop = t5_drop(r, layer, is_cross ? SITE_CROSS_OUT : SITE_ATTN_OUT, rows);
    bool is_encoder = layer < w->model->config.n_enc;
    struct norm_args norm =
        is_cross || is_encoder ? t5_norm_ff(w, layer) : t5_norm_cross(w, layer);
    w->ops->linear(w->b, rows->n, inner, d, w->branch, (size_t)d, o, (size_t)inner,
                   t5_wv(w, is_cross ? at->co : at->o), false);
    t5_adapt(r, layer, is_cross ? LORA_AT_CO : LORA_AT_O, rows, w->branch, (size_t)d, o,
             (size_t)inner);
    w->ops->add_norm(w->b, rows->n, d, next, x, w->branch, &drop, &norm);
}

void t5_feed_forward(const struct t5_run *r, int layer, const struct t5_side *rows, float *next)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, layer);
    const struct t5_kept *k = &w->kept[layer];
    int n = rows->n, d = c->d_model, ff = c->d_ff;
    size_t ld = 2 * (size_t)ff;
    struct dropout drop = t5_drop(r, layer, SITE_FF, rows);
    struct dropout drop_out = t5_drop(r, layer, SITE_FF_OUT, rows);
    struct norm_args norm =
        is_last(w, layer) ? t5_norm_end(w, layer >= c->n_enc) : t5_norm_self(w, layer + 1);
    w->ops->linear(w->b, n, d, 2 * ff, k->gu, ld, w->norm, (size_t)d, t5_wv(w, at->wi), false);
    t5_adapt(r, layer, LORA_AT_WI_0, rows, k->gu, ld, w->norm, (size_t)d);
    t5_adapt(r, layer, LORA_AT_WI_1, rows, t5_at(w, k->gu, (size_t)ff), ld, w->norm, (size_t)d);
    w->ops->geglu(w->b, n, ff, w->inside, k->gu, &drop);
    w->ops->linear(w->b, n, ff, d, w->branch, (size_t)d, w->inside, (size_t)ff, t5_wv(w, at->wo),
                   false);
    t5_adapt(r, layer, LORA_AT_WO, rows, w->branch, (size_t)d, w->inside, (size_t)ff);
    w->ops->add_norm(w->b, n, d, next, k->x_ff, w->branch, &drop_out, &norm);
}

/* --- stacks --- */

static void begin_stack(const struct t5_run *r, int stack, float *x)
{
    const struct t5_work *w = r->w;
    const struct t5_side *s = &w->side[stack];
    int d = w->model->config.d_model;
    struct dropout drop = t5_drop_stack(r, stack, SITE_EMBED);
    w->ops->embed(w->b, s->n, d, x, t5_w(w, w->model->shared), s->id);
    if (drop.p > 0)
        w->ops->dropout_stream(w->b, s->n, d, x, x, &drop);
    struct norm_args norm = t5_norm_self(w, stack ? w->model->config.n_enc : 0);
    w->ops->rms_norm(w->b, s->n, d, x, &norm);
}

/* The last layer has left the stack's norm in out. */
static void end_stack(const struct t5_run *r, int stack)
{
    const struct t5_work *w = r->w;
    struct dropout drop = t5_drop_stack(r, stack, SITE_END);
    if (drop.p > 0)
        w->ops->dropout_values(w->b, w->side[stack].n, w->model->config.d_model, w->out[stack],
                               w->out[stack], &drop);
}

/* Where the residual stream goes after a layer. */
static float *after(const struct t5_work *w, int layer)
{
    return is_last(w, layer) ? w->x_end[layer >= w->model->config.n_enc] : w->kept[layer + 1].x;
}

static void self_attention(const struct t5_run *r, int layer, const struct t5_side *rows,
                           float *next)
{
    const struct t5_work *w = r->w;
    struct attn_args a = t5_self_args(r, layer);
    t5_self_keys(r, layer, rows, w->kept[layer].qkv, a.ld_q);
    w->ops->attention(w->b, &a);
    t5_attention_out(r, layer, false, rows, next);
}

void t5_encode(const struct t5_run *r)
{
    const struct t5_work *w = r->w;
    const struct t5_side *rows = &w->side[0];
    begin_stack(r, 0, w->kept[0].x);
    for (int l = 0; l < w->model->config.n_enc; l++) {
        self_attention(r, l, rows, w->kept[l].x_ff);
        t5_feed_forward(r, l, rows, after(w, l));
    }
    end_stack(r, 0);
}

void t5_decode(const struct t5_run *r)
{
    const struct t5_work *w = r->w;
    const struct t5_side *rows = &w->side[1];
    int n_enc = w->model->config.n_enc, n = n_enc + w->model->config.n_dec;
    begin_stack(r, 1, w->kept[n_enc].x);
    for (int l = n_enc; l < n; l++) {
        struct attn_args a = t5_cross_args(r, l);
        self_attention(r, l, rows, w->kept[l].x_cross);
        t5_cross_keys(r, l);
        t5_cross_query(r, l, rows);
        w->ops->attention(w->b, &a);
        t5_attention_out(r, l, true, rows, w->kept[l].x_ff);
        t5_feed_forward(r, l, rows, after(w, l));
    }
    end_stack(r, 1);
}
