#include "models/t5_work.h"

#include "sim/base/check.h"
#include "sim/base/rng.h"

/* --- memory --- */

/* Hands out pieces of one block; with base NULL it only counts. */
struct plan {
    unsigned char *base;
    size_t n, value_bytes;
    bool is_too_big;
};

static void *take_of(struct plan *p, size_t rows, size_t cols, size_t bytes)
{
    size_t n, next;
    if (p->is_too_big || !size_mul3(rows, cols, bytes, &n) || !size_add(p->n, n, &next) ||
        !size_add(next, 63, &next)) {
        p->is_too_big = true;
        return NULL;
    }
    void *at = p->base ? p->base + p->n : NULL;
    p->n = next & ~(size_t)63;
    return at;
}

/* Float32 or integers, and values of the backend. */
static void *take(struct plan *p, size_t rows, size_t cols)
{
    return take_of(p, rows, cols, sizeof(float));
}

static void *take_values(struct plan *p, size_t rows, size_t cols)
{
    return take_of(p, rows, cols, p->value_bytes);
}

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Dropout's decisions about the probabilities of one attention. */
static uint32_t *take_keep(const struct t5_work *w, struct plan *p, struct t5_kept *k, size_t rows)
{
    size_t words = (size_t)w->model->config.n_heads * w->ops->keep_words;
    if (words == 0)
        return NULL;
    uint32_t *keep = take(p, rows, words);
    k->n_keep = p->is_too_big ? 0 : rows * words;
    return keep;
}

static void plan_layer(struct t5_work *w, struct plan *p, struct t5_kept *k, int layer, size_t rows)
{
    const struct t5_config *c = &w->model->config;
    size_t d = (size_t)c->d_model, inner = (size_t)t5_inner(c), heads = (size_t)c->n_heads;
    bool is_decoder = layer >= c->n_enc, is_kept = w->mode != T5_INFER;
    k->x = take(p, rows, d);
    k->x_cross = is_kept && is_decoder ? take(p, rows, d) : k->x;
    k->x_ff = is_kept ? take(p, rows, d) : k->x;
    k->rstd_self = take(p, rows, 1);
    k->rstd_cross = take(p, rows, 1);
    k->rstd_ff = take(p, rows, 1);
    k->qkv = take_values(p, rows, 3 * inner);
    k->o = take_values(p, rows, inner);
    k->lse = take(p, rows, heads);
    k->keep = is_kept ? take_keep(w, p, k, rows) : NULL;
    k->gu = take_values(p, rows, 2 * (size_t)c->d_ff);
    if (is_decoder) {
        k->cq = take_values(p, rows, inner);
        k->co = take_values(p, rows, inner);
        k->clse = take(p, rows, heads);
        k->ckeep = is_kept ? take_keep(w, p, k, rows) : NULL;
        k->ckv = take_values(p, w->limits.max_in, 2 * inner);
    }
    for (int m = 0; is_kept && w->lora && m < N_LORA_MATRICES; m++) {
        bool is_of_input = m == LORA_AT_CK || m == LORA_AT_CV;
        if (w->lora->site_of[layer][m] >= 0)
            k->h[m] = take(p, is_of_input ? w->limits.max_in : rows, (size_t)w->lora->spec.rank);
    }
}

/* Whether the work decodes, and never by beams. */
static bool is_greedy(const struct t5_work *w)
{
    return w->mode == T5_INFER && w->limits.max_new > 0 && w->max_slots == w->limits.max_seqs;
}

/* Whether greedy decoding leaves cross-attention's keys and values out. A row of the encoder's output costs a head
 * d_model / d_kv times the products of a key and a value, but all heads and layers share it: it comes out of a cache
 * where keys and values come from memory, and these need not be made. 64 tokens of 32 texts by FLAN-T5-small (ratio 8)
 * on two Zen 4 cores: 0.33 s, with keys and values 0.17 s to make them and 0.46 s. FLAN-T5-base (12) and large (16) save
 * as much at first, 0.8 and 2.8 s, then lose 12 and 23 ms a token: what they saved after 66 and 120 tokens. Beams share
 * keys, so they keep them. */
static bool can_absorb(const struct t5_work *w)
{
    enum { RATIO = 8, FEW_TOKENS = 64, RATIO_OF_FEW = 16 };
    const struct t5_config *c = &w->model->config;
    int most = w->limits.max_new <= FEW_TOKENS ? RATIO_OF_FEW : RATIO;
    return is_greedy(w) && w->ops->attention_absorbed && c->d_model <= most * c->d_kv;
}

static bool has_sites(const struct lora_layout *l, enum lora_matrix m)
{
    return l && l->site_of[l->n_layers - 1][m] >= 0;
}

/* In T5_INFER one set of activations serves all layers: that of the last decoder layer, which has
 * all parts. Decoding keeps each layer's cross keys and values, if it makes them. */
static void plan_infer(struct t5_work *w, struct plan *p, size_t r)
{
    const struct t5_config *c = &w->model->config;
    size_t inner = (size_t)t5_inner(c), max_new = (size_t)w->limits.max_new;
    int last = c->n_enc + c->n_dec - 1;
    struct t5_kept *one = &w->kept[last];
    plan_layer(w, p, one, last, r);
    float *h = w->lora ? take(p, r, (size_t)w->lora->spec.rank) : NULL;
    for (int m = 0; m < N_LORA_MATRICES; m++)
        one->h[m] = h;
    for (int l = 0; l < last; l++) {
        w->kept[l] = *one;
        if (l >= c->n_enc && max_new > 0 && !w->is_absorbed)
            w->kept[l].ckv = take_values(p, w->limits.max_in, 2 * inner);
    }
    if (w->is_absorbed && (has_sites(w->lora, LORA_AT_CK) || has_sites(w->lora, LORA_AT_CV)))
        w->cross_w = take_values(p, (size_t)c->n_dec * 2 * inner, (size_t)c->d_model);
    size_t screen = is_greedy(w) && w->ops->head_screen_bytes ? w->ops->head_screen_bytes(c->d_model, c->vocab) : 0;
    w->screen = screen ? take_of(p, screen, 1, 1) : NULL;
    size_t slots;
    if (max_new == 0)
        return;
    if (!size_mul3((size_t)c->n_dec, (size_t)w->max_slots, max_new, &slots))
        p->is_too_big = true;
    else
        w->cache = take_values(p, slots, 3 * inner);
}

static void plan_scratch(struct t5_work *w, struct plan *p, size_t r)
{
    const struct t5_config *c = &w->model->config;
    size_t d = (size_t)c->d_model, inner = (size_t)t5_inner(c), ff = (size_t)c->d_ff;
    size_t inside = max_of(ff, inner);
    w->norm = take_values(p, r, d);
    w->branch = take_values(p, r, d);
    w->inside = take_values(p, r, inside);
    w->xd = w->lora ? take_values(p, r, max_of(d, inside)) : NULL;
    if (w->mode == T5_INFER)
        return;
    w->dx[0] = take(p, w->limits.max_in, d);
    w->dx[1] = take(p, w->limits.max_out, d);
    w->d_enc_out = take_values(p, w->limits.max_in, d);
    w->d_norm = take_values(p, r, d);
    w->d_inside = take_values(p, r, inside);
    w->d_wide = take_values(p, r, max_of(2 * ff, 3 * inner));
    w->gh = w->lora ? take(p, r, (size_t)w->lora->spec.rank) : NULL;
    w->dw = w->mode == T5_FULL ? take(p, w->model->n_flat, 1) : NULL;
}

static void plan_all(struct t5_work *w, struct plan *p)
{
    const struct t5_config *c = &w->model->config;
    size_t rows[2] = {w->limits.max_in, w->limits.max_out}, slots = (size_t)w->max_slots;
    size_t r = max_of(max_of(rows[0], rows[1]), slots), d = (size_t)c->d_model;
    size_t top = w->limits.max_beams > 1 ? 2 * (size_t)w->limits.max_beams : 1;
    for (int s = 0; s < 2; s++) {
        w->side[s].id = take(p, max_of(rows[s], slots), 1);
        w->side[s].owner = take(p, rows[s], 1);
        w->side[s].index = take(p, rows[s], 1);
    }
    w->label = take(p, rows[1], 1);
    w->row_scale = take(p, rows[1], 1);
    w->nll = take(p, rows[1], 1);
    w->best = take(p, slots, top);
    w->logp = top > 1 ? take(p, slots, top) : NULL;
    plan_scratch(w, p, r);
    if (w->mode == T5_INFER)
        plan_infer(w, p, r);
    for (int l = 0; w->mode != T5_INFER && l < c->n_enc + c->n_dec; l++)
        plan_layer(w, p, &w->kept[l], l, rows[l >= c->n_enc]);
    for (int s = 0; s < 2; s++) {
        size_t n = s ? max_of(rows[1], slots) : rows[0];
        w->x_end[s] = w->mode == T5_INFER ? w->kept[0].x : take(p, n, d);
        w->rstd_end[s] = take(p, n, 1);
        w->out[s] = take_values(p, n, d);
    }
}

/* The work's tables, before any backend memory. */
static struct t5_work *make_work(const struct t5 *model, enum t5_mode mode,
                                 const struct lora_layout *lora, const struct t5_limits *limits)
{
    CHECK(limits->max_in >= 1 && limits->max_seqs >= 1 && limits->max_members >= 1);
    CHECK(limits->max_beams <= T5_MAX_BEAMS);
    CHECK(limits->max_beams <= 1 || limits->max_seqs <= INT32_MAX / T5_MAX_BEAMS);
    struct arena arena = {0};
    struct t5_work *w = ARENA_NEW(&arena, struct t5_work, 1);
    const struct t5_config *c = &model->config;
    w->model = model;
    w->ops = model->ops;
    w->mode = mode;
    w->lora = lora;
    w->limits = *limits;
    w->kept = ARENA_NEW(&arena, struct t5_kept, (size_t)(c->n_enc + c->n_dec));
    w->max_slots = limits->max_seqs * (limits->max_beams > 1 ? limits->max_beams : 1);
    w->is_absorbed = can_absorb(w);
    w->arena = arena;
    return w;
}

static size_t scratch_of(const struct t5 *model, const struct t5_limits *limits, int n_threads)
{
    return model->ops->scratch_bytes(n_threads, limits->max_out, model->config.vocab);
}

size_t t5_work_plan(const struct t5 *model, enum t5_mode mode, const struct lora_layout *lora,
                    const struct t5_limits *limits, int n_threads)
{
    struct t5_work *w = make_work(model, mode, lora, limits);
    struct plan p = {.value_bytes = model->ops->value_bytes};
    plan_all(w, &p);
    t5_work_close(w);
    size_t scratch = scratch_of(model, limits, n_threads), all;
    return p.is_too_big || !size_add(p.n, scratch, &all) ? 0 : all;
}

enum err_code t5_work_open(struct t5_work **out, const struct t5 *model, enum t5_mode mode,
                           const struct lora_layout *lora, const struct t5_limits *limits,
                           int n_threads, struct err *e)
{
    struct t5_work *w = make_work(model, mode, lora, limits);
    w->host_nll = ARENA_NEW(&w->arena, float, limits->max_out);
    w->host_ids = ARENA_NEW(&w->arena, int32_t, 9 * (size_t)w->max_slots);
    struct plan p = {.value_bytes = model->ops->value_bytes};
    plan_all(w, &p);
    w->n_bytes = p.n;
    w->n_scratch = scratch_of(model, limits, n_threads);
    enum err_code code = OK;
    if (p.is_too_big)
        code = err_set(e, ERR_LIMIT,
                       "a pass of %zu input and %zu target tokens does not fit any memory",
                       limits->max_in, limits->max_out);
    if (!code)
        code = w->ops->open(&w->b, model->device, n_threads, e);
    if (!code)
        code = w->ops->alloc(w->b, &w->block, p.n, "the memory of a training pass", e);
    if (code) {
        t5_work_close(w);
        return code;
    }
    p = (struct plan){.base = w->block, .value_bytes = model->ops->value_bytes};
    plan_all(w, &p);
    CHECK(p.n == w->n_bytes);
    *out = w;
    return OK;
}

void t5_work_close(struct t5_work *w)
{
    if (!w)
        return;
    if (w->b) {
        w->ops->free(w->b, w->block);
        w->ops->close(w->b);
    }
    struct arena arena = w->arena;
    arena_free(&arena);
}

size_t t5_work_bytes(const struct t5_work *w)
{
    return w->n_bytes + w->n_scratch;
}

struct backend *t5_work_backend(const struct t5_work *w)
{
    return w->b;
}

float *t5_work_dw(const struct t5_work *w)
{
    return w->dw;
}

/* --- a pass's rows --- */

static void upload_side(struct t5_work *w, struct t5_side *to, const struct pack_side *from,
                        const struct pack *p)
{
    size_t n = (size_t)from->n_rows;
    to->n = from->n_rows;
    to->n_seqs = p->n_seqs;
    to->n_members = p->n_members;
    to->start = from->start;
    to->len = from->len;
    to->member_row = from->member_row;
    to->all_rows[0] = 0;
    to->all_rows[1] = from->n_rows;
    w->ops->set(w->b, to->id, from->id, n * sizeof(*to->id));
    w->ops->set(w->b, to->owner, from->owner, n * sizeof(*to->owner));
    w->ops->set(w->b, to->index, from->index, n * sizeof(*to->index));
}

enum err_code t5_upload(struct t5_work *w, const struct pack *p, struct err *e)
{
    const struct t5_limits *l = &w->limits;
    w->encoded = NULL;
    if (p->n_members > l->max_members || p->n_seqs > l->max_seqs ||
        (size_t)p->in.n_rows > l->max_in || (size_t)p->out.n_rows > l->max_out)
        return err_set(
            e, ERR_LIMIT,
            "a pass of %d sequences, %d input and %d target tokens: planned for %d, %zu and "
            "%zu",
            p->n_seqs, p->in.n_rows, p->out.n_rows, l->max_seqs, l->max_in, l->max_out);
    upload_side(w, &w->side[0], &p->in, p);
    upload_side(w, &w->side[1], &p->out, p);
    size_t n = (size_t)p->out.n_rows;
    w->ops->set(w->b, w->label, p->label, n * sizeof(*w->label));
    w->ops->set(w->b, w->row_scale, p->row_scale, n * sizeof(*w->row_scale));
    return OK;
}

/* --- dropout and adapters --- */

static struct dropout make_drop(const struct t5_run *r, uint32_t number, float p,
                                const struct t5_side *rows)
{
    struct dropout d = {.p = r->is_training ? p : 0,
                        .site = (uint32_t)RNG_DROPOUT + number,
                        .seed = r->pass->seed,
                        .row_owner = rows->owner,
                        .row_index = rows->index};
    return d;
}

struct dropout t5_drop(const struct t5_run *r, int layer, int site, const struct t5_side *rows)
{
    float p = site >= SITE_LORA ? r->w->lora->spec.dropout : r->pass->dropout;
    return make_drop(r, (uint32_t)(2 * SITES_PER_STACK + layer * SITES_PER_LAYER + site), p, rows);
}

struct dropout t5_drop_stack(const struct t5_run *r, int stack, int site)
{
    return make_drop(r, (uint32_t)(stack * SITES_PER_STACK + site), r->pass->dropout,
                     &r->w->side[stack]);
}

bool t5_has_site(const struct t5_run *r, int layer, enum lora_matrix m)
{
    return r->w->lora && r->pass->adapters && r->w->lora->site_of[layer][m] >= 0;
}

bool t5_is_trained(const struct t5_run *r, int layer, enum lora_matrix m)
{
    return r->w->dw || t5_has_site(r, layer, m);
}

/* False when the pass has nothing there. */
static bool site_args(const struct t5_run *r, int layer, enum lora_matrix m,
                      const struct t5_side *rows, struct lora_args *a)
{
    const struct t5_work *w = r->w;
    if (!t5_has_site(r, layer, m))
        return false;
    const struct lora_layout *l = w->lora;
    const struct lora_site *s = &l->site[l->site_of[layer][m]];
    bool is_shared = r->pass->stride == 0;
    *a = (struct lora_args){
        .n_members = is_shared ? 1 : rows->n_members,
        .member_row = is_shared ? rows->all_rows : rows->member_row,
        .d_in = s->d_in,
        .d_out = s->d_out,
        .rank = l->spec.rank,
        .scale = l->spec.alpha / (float)l->spec.rank,
        .stride = r->pass->stride,
        .a = r->pass->adapters + s->a,
        .b = r->pass->adapters + s->b,
        .h = w->kept[layer].h[m],
        .xd = w->xd,
        .gh = w->gh,
        .drop = t5_drop(r, layer, SITE_LORA + (int)m, rows),
    };
    if (r->d_adapters) {
        a->da = r->d_adapters + s->a;
        a->db = r->d_adapters + s->b;
    }
    return true;
}

void t5_adapt(const struct t5_run *r, int layer, enum lora_matrix m, const struct t5_side *rows,
              void *y, size_t ld_y, const void *x, size_t ld_x)
{
    struct lora_args a;
    if (rows->n > 0 && site_args(r, layer, m, rows, &a))
        r->w->ops->lora(r->w->b, &a, y, ld_y, x, ld_x);
}

void t5_merge_site(const struct t5_run *r, int layer, enum lora_matrix m, void *to, const void *w)
{
    struct lora_args a;
    const struct t5_config *c = &r->w->model->config;
    CHECK(r->pass->stride == 0);
    if (site_args(r, layer, m, &r->w->side[1], &a))
        r->w->ops->lora_merge(r->w->b, &a, to, w);
    else
        r->w->ops->copy(r->w->b, to, w, (size_t)t5_inner(c) * (size_t)c->d_model * r->w->ops->value_bytes);
}

void t5_adapt_backward(const struct t5_run *r, int layer, enum lora_matrix m,
                       const struct t5_side *rows, void *dx, const void *dy, size_t ld_y,
                       const void *x, size_t ld_x)
{
    struct lora_args a;
    if (site_args(r, layer, m, rows, &a))
        r->w->ops->lora_backward(r->w->b, &a, dx, dy, ld_y, x, ld_x);
}
