#include "models/t5_work.h"

/* Gradients run from the head down. dx[stack] is the gradient of the residual stream, which every
 * part adds to. Frozen weights get no gradient, unless the work is T5_FULL; in the lowest layer of
 * a stack nothing below its adapters is computed either. */

/* What a part needs: its layer, its rows, and the gradient of its residual stream. */
struct part {
    int layer, n;
    const struct t5_side *rows;
    float *dx;
};

/* Dropout of dx, the gradient of the residual branch of the part that comes next on the way down, is left in
 * w->branch by whoever completes dx. Where values are float32 and nothing is dropped, it is dx itself. */
struct branch {
    void *to; /* NULL: not wanted */
    struct dropout drop;
};

static struct branch branch_of(const struct t5_run *r, const struct t5_side *rows, int layer, int site)
{
    const struct t5_work *w = r->w;
    struct branch b = {.drop = t5_drop(r, layer, site, rows)};
    b.to = b.drop.p <= 0 && w->ops->value_bytes == sizeof(float) ? NULL : w->branch;
    return b;
}

/* That of the part's own branch. */
static const void *branch_gradient(const struct t5_run *r, const struct part *p, int site)
{
    struct branch b = branch_of(r, p->rows, p->layer, site);
    return b.to ? b.to : p->dx;
}

/* The end of a part: through its norm. */
static void norm_down(const struct t5_run *r, const struct part *p, const struct norm_args *norm,
                      size_t weight, const void *d_norm, const float *x, const struct branch *next)
{
    const struct t5_work *w = r->w;
    w->ops->rms_norm_backward(w->b, p->n, w->model->config.d_model, p->dx, t5_dw(w, weight), d_norm,
                              x, norm, next->to, &next->drop);
}

/* Through y = x W^T: dx written (NULL: not wanted), dW added to where weights are trained. */
static void linear_down(const struct t5_run *r, const struct t5_side *rows, int in, int out,
                        void *dx, const void *dy, size_t ld_y, const void *x, size_t at)
{
    const struct t5_work *w = r->w;
    if (dx)
        w->ops->linear_backward(w->b, rows->n, in, out, dx, (size_t)in, dy, ld_y, t5_wv(w, at),
                                false);
    if (w->dw)
        w->ops->linear_backward_weight(w->b, rows->n, in, out, t5_dw(w, at), dy, ld_y, x,
                                       (size_t)in);
}

static void feed_forward_down(const struct t5_run *r, const struct part *p)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, p->layer);
    const struct t5_kept *k = &w->kept[p->layer];
    int d = c->d_model, ff = c->d_ff;
    size_t ld = 2 * (size_t)ff;
    struct dropout drop = t5_drop(r, p->layer, SITE_FF, p->rows);
    const void *dy = branch_gradient(r, p, SITE_FF_OUT);
    if (t5_is_trained(r, p->layer, LORA_AT_WO))
        w->ops->geglu(w->b, p->n, ff, w->inside, k->gu, &drop);
    linear_down(r, p->rows, ff, d, w->d_inside, dy, (size_t)d, w->inside, at->wo);
    t5_adapt_backward(r, p->layer, LORA_AT_WO, p->rows, w->d_inside, dy, (size_t)d, w->inside,
                      (size_t)ff);
    w->ops->geglu_backward(w->b, p->n, ff, w->d_wide, w->d_inside, k->gu, &drop);
    struct norm_args norm = t5_norm_ff(w, p->layer);
    struct branch next =
        branch_of(r, p->rows, p->layer, p->layer < c->n_enc ? SITE_ATTN_OUT : SITE_CROSS_OUT);
    if (t5_is_trained(r, p->layer, LORA_AT_WI_0) || t5_is_trained(r, p->layer, LORA_AT_WI_1))
        w->ops->rms_norm(w->b, p->n, d, k->x_ff, &norm);
    linear_down(r, p->rows, d, 2 * ff, w->d_norm, w->d_wide, ld, w->norm, at->wi);
    t5_adapt_backward(r, p->layer, LORA_AT_WI_0, p->rows, w->d_norm, w->d_wide, ld, w->norm,
                      (size_t)d);
    t5_adapt_backward(r, p->layer, LORA_AT_WI_1, p->rows, w->d_norm, t5_at(w, w->d_wide, (size_t)ff), ld,
                      w->norm,
                      (size_t)d);
    norm_down(r, p, &norm, at->norm_ff, w->d_norm, k->x_ff, &next);
}

/* Through the output matrix of an attention; the gradient of its heads in d_inside. */
static void attention_out_down(const struct t5_run *r, const struct part *p, bool is_cross)
{
    const struct t5_work *w = r->w;
    const struct t5_layer_at *at = t5_layer(w, p->layer);
    const struct t5_kept *k = &w->kept[p->layer];
    int d = w->model->config.d_model, inner = t5_inner(&w->model->config);
    const void *o = is_cross ? k->co : k->o;
    const void *dy = branch_gradient(r, p, is_cross ? SITE_CROSS_OUT : SITE_ATTN_OUT);
    linear_down(r, p->rows, inner, d, w->d_inside, dy, (size_t)d, o, is_cross ? at->co : at->o);
    t5_adapt_backward(r, p->layer, is_cross ? LORA_AT_CO : LORA_AT_O, p->rows, w->d_inside, dy,
                      (size_t)d, o, (size_t)inner);
}

static bool is_any_trained(const struct t5_run *r, int layer, enum lora_matrix from,
                           enum lora_matrix to)
{
    for (int m = (int)from; m <= (int)to; m++) {
        if (t5_is_trained(r, layer, (enum lora_matrix)m))
            return true;
    }
    return false;
}

/* is_lowest: nothing below is trained, so that the gradient of the part's input is not wanted. */
static void self_attention_down(const struct t5_run *r, const struct part *p, bool is_lowest)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, p->layer);
    const struct t5_kept *k = &w->kept[p->layer];
    int d = c->d_model, inner = t5_inner(c);
    size_t ld = 3 * (size_t)inner, ld_x = (size_t)d;
    bool is_wanted = is_any_trained(r, p->layer, LORA_AT_Q, LORA_AT_V);
    if (is_lowest && !is_any_trained(r, p->layer, LORA_AT_Q, LORA_AT_O))
        return;
    attention_out_down(r, p, false);
    if (is_lowest && !is_wanted)
        return;
    struct attn_args a = t5_self_args(r, p->layer);
    a.dout = w->d_inside;
    a.dq = w->d_wide;
    a.dk = t5_at(w, w->d_wide, (size_t)inner);
    a.dv = t5_at(w, w->d_wide, 2 * (size_t)inner);
    a.dbias_table = t5_dw(w, w->model->stack[p->layer >= c->n_enc].bias);
    w->ops->attention_backward(w->b, &a);
    struct norm_args norm = t5_norm_self(w, p->layer);
    struct branch next = {0}; /* at the bottom of a stack there is nothing below */
    if (p->layer != 0 && p->layer != c->n_enc)
        next = branch_of(r, p->rows, p->layer - 1, SITE_FF_OUT);
    if (is_wanted)
        w->ops->rms_norm(w->b, p->n, d, k->x, &norm);
    void *d_norm = is_lowest ? NULL : w->d_norm;
    linear_down(r, p->rows, d, 3 * inner, d_norm, w->d_wide, ld, w->norm, at->q);
    t5_adapt_backward(r, p->layer, LORA_AT_Q, p->rows, d_norm, a.dq, ld, w->norm, ld_x);
    t5_adapt_backward(r, p->layer, LORA_AT_K, p->rows, d_norm, a.dk, ld, w->norm, ld_x);
    t5_adapt_backward(r, p->layer, LORA_AT_V, p->rows, d_norm, a.dv, ld, w->norm, ld_x);
    if (d_norm)
        norm_down(r, p, &norm, at->norm_self, d_norm, k->x, &next);
}

/* Keys and values of cross-attention: into the gradient of the encoder's output. */
static void cross_keys_down(const struct t5_run *r, int layer, void *dkv)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, layer);
    const struct t5_side *in = &w->side[0];
    int d = c->d_model, inner = t5_inner(c);
    size_t ld = 2 * (size_t)inner;
    bool is_first = layer == c->n_enc + c->n_dec - 1;
    w->ops->linear_backward(w->b, in->n, d, 2 * inner, w->d_enc_out, (size_t)d, dkv, ld,
                            t5_wv(w, at->ck), !is_first);
    if (w->dw)
        w->ops->linear_backward_weight(w->b, in->n, d, 2 * inner, t5_dw(w, at->ck), dkv, ld,
                                       w->out[0], (size_t)d);
    t5_adapt_backward(r, layer, LORA_AT_CK, in, w->d_enc_out, dkv, ld, w->out[0], (size_t)d);
    t5_adapt_backward(r, layer, LORA_AT_CV, in, w->d_enc_out, t5_at(w, dkv, (size_t)inner), ld, w->out[0],
                      (size_t)d);
}

static void cross_attention_down(const struct t5_run *r, const struct part *p)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_layer_at *at = t5_layer(w, p->layer);
    const struct t5_kept *k = &w->kept[p->layer];
    int d = c->d_model, inner = t5_inner(c);
    attention_out_down(r, p, true);
    struct attn_args a = t5_cross_args(r, p->layer);
    a.dout = w->d_inside;
    /* dk dv [n, 2 inner], then dq [m, inner]: together they fit d_wide [r, 3 inner] */
    a.dk = w->d_wide;
    a.dv = t5_at(w, w->d_wide, (size_t)inner);
    a.dq = t5_at(w, w->d_wide, (size_t)w->side[0].n * 2 * (size_t)inner);
    w->ops->attention_backward(w->b, &a);
    cross_keys_down(r, p->layer, a.dk);
    struct norm_args norm = t5_norm_cross(w, p->layer);
    struct branch next = branch_of(r, p->rows, p->layer, SITE_ATTN_OUT);
    if (t5_is_trained(r, p->layer, LORA_AT_CQ))
        w->ops->rms_norm(w->b, p->n, d, k->x_cross, &norm);
    linear_down(r, p->rows, d, inner, w->d_norm, a.dq, (size_t)inner, w->norm, at->cq);
    t5_adapt_backward(r, p->layer, LORA_AT_CQ, p->rows, w->d_norm, a.dq, (size_t)inner, w->norm,
                      (size_t)d);
    norm_down(r, p, &norm, at->norm_cross, w->d_norm, k->x_cross, &next);
}

/* Through dropout and final norm of a stack. d_out is changed. */
static void stack_end_down(const struct t5_run *r, int stack, void *d_out)
{
    const struct t5_work *w = r->w;
    int n = w->side[stack].n, d = w->model->config.d_model;
    size_t at = w->model->stack[stack].norm;
    struct dropout drop = t5_drop_stack(r, stack, SITE_END);
    if (drop.p > 0)
        w->ops->dropout_values(w->b, n, d, d_out, d_out, &drop);
    w->ops->zero(w->b, w->dx[stack], (size_t)n * (size_t)d * sizeof(float));
    struct norm_args norm = t5_norm_end(w, stack);
    int n_enc = w->model->config.n_enc, top = stack ? n_enc + w->model->config.n_dec - 1 : n_enc - 1;
    struct branch next = branch_of(r, &w->side[stack], top, SITE_FF_OUT);
    w->ops->rms_norm_backward(w->b, n, d, w->dx[stack], t5_dw(w, at), d_out, w->x_end[stack], &norm,
                              next.to, &next.drop);
}

static void embedding_down(const struct t5_run *r, int stack)
{
    const struct t5_work *w = r->w;
    int n = w->side[stack].n, d = w->model->config.d_model;
    struct dropout drop = t5_drop_stack(r, stack, SITE_EMBED);
    if (!w->dw)
        return;
    if (drop.p > 0)
        w->ops->dropout_stream(w->b, n, d, w->dx[stack], w->dx[stack], &drop);
    w->ops->embed_backward(w->b, n, d, t5_dw(w, w->model->shared), w->dx[stack], w->side[stack].id);
}

void t5_backward(const struct t5_run *r)
{
    const struct t5_work *w = r->w;
    int n_enc = w->model->config.n_enc, n_dec = w->model->config.n_dec;
    struct part p = {.rows = &w->side[1], .n = w->side[1].n, .dx = w->dx[1]};
    stack_end_down(r, 1, w->d_norm);
    for (p.layer = n_enc + n_dec - 1; p.layer >= n_enc; p.layer--) {
        feed_forward_down(r, &p);
        cross_attention_down(r, &p);
        self_attention_down(r, &p, p.layer == n_enc && !w->dw);
    }
    embedding_down(r, 1);
    stack_end_down(r, 0, w->d_enc_out);
    p = (struct part){.rows = &w->side[0], .n = w->side[0].n, .dx = w->dx[0]};
    for (p.layer = n_enc - 1; p.layer >= 0; p.layer--) {
        feed_forward_down(r, &p);
        self_attention_down(r, &p, p.layer == 0 && !w->dw);
    }
    embedding_down(r, 0);
}
