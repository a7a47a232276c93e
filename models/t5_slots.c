#include "models/t5_slots.h"

#include "sim/base/check.h"

enum { TABLES = 9 };

static size_t slot_size(const struct t5_work *w)
{
    return (size_t)w->limits.max_new * 3 * (size_t)t5_inner(&w->model->config);
}

static void *cache_of(const struct t5_work *w, int layer)
{
    return t5_at(w, w->cache,
                 (size_t)(layer - w->model->config.n_enc) * (size_t)w->max_slots * slot_size(w));
}

void t5_slots_copy(struct t5_slots *s, int to, int from)
{
    const struct t5_work *w = s->r->w;
    const struct t5_config *c = &w->model->config;
    size_t size = slot_size(w), used = (size_t)(s->position + 1) * 3 * (size_t)t5_inner(c);
    CHECK(to != from);
    for (int l = c->n_enc; l < c->n_enc + c->n_dec; l++) {
        void *cache = cache_of(w, l);
        w->ops->copy(w->b, t5_at(w, cache, (size_t)to * size), t5_at(w, cache, (size_t)from * size),
                     used * w->ops->value_bytes);
    }
    s->seq[to] = s->seq[from];
    s->in_start[to] = s->in_start[from];
    s->in_len[to] = s->in_len[from];
    s->token[to] = s->token[from];
}

static void self_attention(const struct t5_slots *s, int layer)
{
    const struct t5_work *w = s->r->w;
    size_t inner = (size_t)t5_inner(&w->model->config), size = slot_size(w);
    void *cache = cache_of(w, layer), *here = t5_at(w, cache, (size_t)s->position * 3 * inner);
    struct attn_args a = t5_self_args(s->r, layer);
    t5_self_keys(s->r, layer, &s->rows, here, size);
    a.n_seqs = s->n;
    a.q_start = s->row;
    a.q_len = s->one;
    a.q_pos = s->at;
    a.k_start = s->self_start;
    a.k_len = s->self_len;
    a.ld_q = size;
    a.ld_kv = 3 * inner;
    a.q = here;
    a.k = t5_at(w, cache, inner);
    a.v = t5_at(w, cache, 2 * inner);
    w->ops->attention(w->b, &a);
    t5_attention_out(s->r, layer, false, &s->rows, w->kept[layer].x);
}

/* Cross-attention's k and v weights, [2 inner, d_model]: the model's, or merged with the pass's adapter. */
static const void *cross_weights(const struct t5_run *r, int layer)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    size_t size = 2 * (size_t)t5_inner(c) * (size_t)c->d_model;
    if (w->cross_w && r->pass->adapters)
        return t5_at(w, w->cross_w, (size_t)(layer - c->n_enc) * size);
    return t5_wv(w, t5_layer(w, layer)->ck);
}

static void merge_cross(const struct t5_run *r, int layer)
{
    const struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    size_t half = (size_t)t5_inner(c) * (size_t)c->d_model, at = (size_t)(layer - c->n_enc) * 2 * half;
    t5_merge_site(r, layer, LORA_AT_CK, t5_at(w, w->cross_w, at), t5_wv(w, t5_layer(w, layer)->ck));
    t5_merge_site(r, layer, LORA_AT_CV, t5_at(w, w->cross_w, at + half), t5_wv(w, t5_layer(w, layer)->ck + half));
}

static void absorbed_attention(const struct t5_slots *s, int layer)
{
    const struct t5_work *w = s->r->w;
    const struct t5_config *c = &w->model->config;
    size_t half = (size_t)t5_inner(c) * (size_t)c->d_model * w->ops->value_bytes;
    const unsigned char *wk = cross_weights(s->r, layer);
    struct absorbed_args a = {.n_seqs = s->n, .x_start = s->in_start, .x_len = s->in_len, .n_heads = c->n_heads,
                              .d_kv = c->d_kv, .d = c->d_model, .q = w->kept[layer].cq, .x = w->out[0], .wk = wk,
                              .wv = wk + half, .o = w->kept[layer].co};
    w->ops->attention_absorbed(w->b, &a);
}

static void keyed_attention(const struct t5_slots *s, int layer)
{
    const struct t5_work *w = s->r->w;
    struct attn_args a = t5_cross_args(s->r, layer);
    a.n_seqs = s->n;
    a.q_start = s->row;
    a.q_len = s->one;
    a.k_start = s->in_start;
    a.k_len = s->in_len;
    w->ops->attention(w->b, &a);
}

static void cross_attention(const struct t5_slots *s, int layer)
{
    const struct t5_work *w = s->r->w;
    t5_cross_query(s->r, layer, &s->rows);
    if (w->is_absorbed)
        absorbed_attention(s, layer);
    else
        keyed_attention(s, layer);
    t5_attention_out(s->r, layer, true, &s->rows, w->kept[layer].x);
}

void t5_slots_step(struct t5_slots *s)
{
    const struct t5_work *w = s->r->w;
    const struct t5_config *c = &w->model->config;
    int n = s->n, d = c->d_model;
    s->rows.n = s->rows.all_rows[1] = n;
    for (int i = 0; i < n; i++) {
        s->self_len[i] = s->position + 1;
        s->at[i] = s->position;
    }
    w->ops->set(w->b, w->side[1].id, s->token, (size_t)n * sizeof(int32_t));
    w->ops->embed(w->b, n, d, w->kept[c->n_enc].x, t5_w(w, w->model->shared), w->side[1].id);
    struct norm_args first = t5_norm_self(w, c->n_enc);
    w->ops->rms_norm(w->b, n, d, w->kept[c->n_enc].x, &first);
    for (int l = c->n_enc; l < c->n_enc + c->n_dec; l++) {
        self_attention(s, l);
        cross_attention(s, l);
        t5_feed_forward(s->r, l, &s->rows, w->kept[l].x);
    }
}

enum err_code t5_slots_begin(struct t5_slots *s, const struct t5_run *r, int n_each, struct err *e)
{
    struct t5_work *w = r->w;
    const struct t5_config *c = &w->model->config;
    const struct t5_side *in = &w->side[0];
    int32_t *at = w->host_ids;
    *s = (struct t5_slots){.r = r};
    CHECK(!r->pass->is_encoded || (w->encoded == r->pass->pack && w->encoded_with == r->pass->adapters));
    w->encoded = NULL; /* once: what is in a pack and at an address changes */
    enum err_code code = r->pass->is_encoded ? OK : t5_upload(w, r->pass->pack, e);
    if (code)
        return code;
    s->n = in->n_seqs * n_each;
    CHECK(s->n <= w->max_slots);
    if (!r->pass->is_encoded)
        t5_encode(r);
    for (int l = c->n_enc; l < c->n_enc + c->n_dec; l++) {
        if (!w->is_absorbed)
            t5_cross_keys(r, l);
        else if (w->cross_w && r->pass->adapters)
            merge_cross(r, l);
    }
    int32_t **table[TABLES] = {&s->seq,        &s->row,      &s->one, &s->in_start, &s->in_len,
                               &s->self_start, &s->self_len, &s->at,  &s->token};
    for (int i = 0; i < TABLES; i++, at += w->max_slots)
        *table[i] = at;
    for (int i = 0; i < s->n; i++) {
        s->row[i] = i;
        s->seq[i] = i / n_each;
        s->one[i] = 1;
        s->in_start[i] = in->start[s->seq[i]];
        s->in_len[i] = in->len[s->seq[i]];
        s->self_start[i] = i * w->limits.max_new;
        s->token[i] = c->start_id;
    }
    s->rows.n_members = 1;
    return OK;
}
