#include "models/bench_parts.h"

#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/wall.h"

struct state {
    const struct t5 *model;
    double begun_s;
    struct bench_charge charge[N_BENCH_PARTS];
    enum err_code code; /* the first failure, until the next sync */
    struct err err;
};

/* A backend that is watched has `ops` as its own table, and so finds what lies around it. */
struct bench_parts {
    struct backend_ops ops; /* first */
    const struct backend_ops *real;
    struct state *state;
    struct arena arena; /* owns all of it */
};

const char *bench_parts_name(enum bench_part part)
{
    static const char *const names[N_BENCH_PARTS] = {
        "embedding", "attention products", "attention scores", "MLP products", "MLP gate",
        "head",      "adapters",           "norms, residual",  "optimizer",    "copies"};
    return names[part];
}

/* --- charging --- */

static enum err_code watched_sync(struct backend *b, struct err *e)
{
    if (b->ops->sync != watched_sync)
        return b->ops->sync(b, e);
    const struct bench_parts *p = (const struct bench_parts *)b->ops;
    enum err_code code = p->state->code;
    if (!code)
        return p->real->sync(b, e);
    if (e)
        *e = p->state->err;
    p->state->code = OK;
    return code;
}

/* From here on the backend's table is the real one, whether b is watched or not (NULL): what an operation calls
 * on its own is its own. */
static const struct bench_parts *begin(struct backend *b)
{
    if (b->ops->sync != watched_sync)
        return NULL;
    const struct bench_parts *p = (const struct bench_parts *)b->ops;
    b->ops = p->real;
    p->state->begun_s = wall_s();
    return p;
}

static void end(const struct bench_parts *p, struct backend *b, enum bench_part part, double flop)
{
    struct err e = {0};
    if (!p)
        return;
    enum err_code code = p->real->sync(b, &e);
    if (code && !p->state->code) {
        p->state->code = code;
        p->state->err = e;
    }
    p->state->charge[part].seconds += wall_s() - p->state->begun_s;
    p->state->charge[part].flop += flop;
    b->ops = &p->ops;
}

/* --- flop --- */

/* Whose product takes these weights. */
static enum bench_part product_of(const struct bench_parts *p, const void *w)
{
    const struct t5 *m = p ? p->state->model : NULL;
    for (size_t i = 0; m && i < t5_n_tensors(m); i++) {
        const struct t5_tensor *t = t5_tensor_at(m, i);
        if ((const unsigned char *)t5_values(m) + t->at * p->real->value_bytes == w)
            return strstr(t->name, ".DenseReluDense.") ? BENCH_MLP_PRODUCTS : BENCH_ATTN_PRODUCTS;
    }
    CHECK(!p); /* every product is one of the model's */
    return BENCH_ATTN_PRODUCTS;
}

static double product_flop(int n, int in, int out)
{
    return 2.0 * n * in * out;
}

/* Forward. */
static double attention_flop(const struct attn_args *a)
{
    double pairs = 0;
    for (int s = 0; s < a->n_seqs; s++) {
        double n = a->q_len[s], m = a->k_len[s], at = a->q_pos ? a->q_pos[s] : 0;
        double n_cut = m - at < 0 ? 0 : m - at < n ? m - at : n; /* rows that see less than all keys, or just all */
        pairs += a->is_causal ? n_cut * at + n_cut * (n_cut + 1) / 2 + (n - n_cut) * m : n * m;
    }
    return 4 * pairs * a->n_heads * a->d_kv;
}

static double adapter_flop(const struct lora_args *a, int n_in, int n_out)
{
    double n = a->member_row[a->n_members] - a->member_row[0];
    return 2 * n * a->rank * ((double)n_in * a->d_in + (double)n_out * a->d_out);
}

/* --- the table --- */

static void watched_set(struct backend *b, void *to, const void *from_host, size_t n_bytes)
{
    const struct bench_parts *p = begin(b);
    b->ops->set(b, to, from_host, n_bytes);
    end(p, b, BENCH_COPIES, 0);
}

static void watched_upload(struct backend *b, void *to, const void *from_host, size_t n_bytes)
{
    const struct bench_parts *p = begin(b);
    b->ops->upload(b, to, from_host, n_bytes);
    end(p, b, BENCH_COPIES, 0);
}

static void watched_get(struct backend *b, void *to_host, const void *from, size_t n_bytes)
{
    const struct bench_parts *p = begin(b);
    b->ops->get(b, to_host, from, n_bytes);
    end(p, b, BENCH_COPIES, 0);
}

static void watched_copy(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    const struct bench_parts *p = begin(b);
    b->ops->copy(b, to, from, n_bytes);
    end(p, b, BENCH_COPIES, 0);
}

static void watched_zero(struct backend *b, void *to, size_t n_bytes)
{
    const struct bench_parts *p = begin(b);
    b->ops->zero(b, to, n_bytes);
    end(p, b, BENCH_COPIES, 0);
}

static void watched_embed(struct backend *b, int n, int d, float *out, const float *table, const int32_t *ids)
{
    const struct bench_parts *p = begin(b);
    b->ops->embed(b, n, d, out, table, ids);
    end(p, b, BENCH_EMBEDDING, 0);
}

static void watched_rms_norm(struct backend *b, int n, int d, const float *x, const struct norm_args *norm)
{
    const struct bench_parts *p = begin(b);
    b->ops->rms_norm(b, n, d, x, norm);
    end(p, b, BENCH_NORMS, 0);
}

static void watched_add_norm(struct backend *b, int n, int d, float *out, const float *x, const void *y,
                             const struct dropout *drop, const struct norm_args *norm)
{
    const struct bench_parts *p = begin(b);
    b->ops->add_norm(b, n, d, out, x, y, drop, norm);
    end(p, b, BENCH_NORMS, 0);
}

static void watched_rms_norm_backward(struct backend *b, int n, int d, float *dx, float *dw, const void *dout,
                                      const float *x, const struct norm_args *norm, void *branch,
                                      const struct dropout *drop)
{
    const struct bench_parts *p = begin(b);
    b->ops->rms_norm_backward(b, n, d, dx, dw, dout, x, norm, branch, drop);
    end(p, b, BENCH_NORMS, 0);
}

static void watched_linear(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                           size_t ld_x, const void *w, bool add)
{
    const struct bench_parts *p = begin(b);
    b->ops->linear(b, n, in, out, y, ld_y, x, ld_x, w, add);
    end(p, b, product_of(p, w), product_flop(n, in, out));
}

static void watched_linear_backward(struct backend *b, int n, int in, int out, void *dx, size_t ld_x,
                                    const void *dy, size_t ld_y, const void *w, bool add)
{
    const struct bench_parts *p = begin(b);
    b->ops->linear_backward(b, n, in, out, dx, ld_x, dy, ld_y, w, add);
    end(p, b, product_of(p, w), product_flop(n, in, out));
}

static void watched_lora(struct backend *b, const struct lora_args *a, void *y, size_t ld_y, const void *x,
                         size_t ld_x)
{
    const struct bench_parts *p = begin(b);
    b->ops->lora(b, a, y, ld_y, x, ld_x);
    end(p, b, BENCH_ADAPTERS, adapter_flop(a, 1, 1));
}

static void watched_lora_backward(struct backend *b, const struct lora_args *a, void *dx, const void *dy,
                                  size_t ld_y, const void *x, size_t ld_x)
{
    const struct bench_parts *p = begin(b);
    b->ops->lora_backward(b, a, dx, dy, ld_y, x, ld_x);
    end(p, b, BENCH_ADAPTERS, adapter_flop(a, dx ? 2 : 1, 2));
}

static void watched_dropout(struct backend *b, int n, int d, void *out, const float *x,
                            const struct dropout *drop)
{
    const struct bench_parts *p = begin(b);
    b->ops->dropout(b, n, d, out, x, drop);
    end(p, b, BENCH_NORMS, 0);
}

static void watched_dropout_stream(struct backend *b, int n, int d, float *out, const float *x,
                                   const struct dropout *drop)
{
    const struct bench_parts *p = begin(b);
    b->ops->dropout_stream(b, n, d, out, x, drop);
    end(p, b, BENCH_EMBEDDING, 0);
}

static void watched_dropout_values(struct backend *b, int n, int d, void *out, const void *x,
                                   const struct dropout *drop)
{
    const struct bench_parts *p = begin(b);
    b->ops->dropout_values(b, n, d, out, x, drop);
    end(p, b, BENCH_NORMS, 0);
}

static void watched_geglu(struct backend *b, int n, int d, void *out, const void *gu, const struct dropout *drop)
{
    const struct bench_parts *p = begin(b);
    b->ops->geglu(b, n, d, out, gu, drop);
    end(p, b, BENCH_MLP_GATE, 0);
}

static void watched_geglu_backward(struct backend *b, int n, int d, void *dgu, const void *dout, const void *gu,
                                   const struct dropout *drop)
{
    const struct bench_parts *p = begin(b);
    b->ops->geglu_backward(b, n, d, dgu, dout, gu, drop);
    end(p, b, BENCH_MLP_GATE, 0);
}

static void watched_attention(struct backend *b, const struct attn_args *a)
{
    const struct bench_parts *p = begin(b);
    b->ops->attention(b, a);
    end(p, b, BENCH_ATTN_SCORES, attention_flop(a));
}

static void watched_attention_backward(struct backend *b, const struct attn_args *a)
{
    const struct bench_parts *p = begin(b);
    b->ops->attention_backward(b, a);
    end(p, b, BENCH_ATTN_SCORES, 2 * attention_flop(a));
}

static void watched_head_loss(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                              const int32_t *label, const float *row_scale, float *nll, void *dx, float *dw)
{
    const struct bench_parts *p = begin(b);
    b->ops->head_loss(b, n, d, n_vocab, x, w, label, row_scale, nll, dx, dw);
    end(p, b, BENCH_HEAD, product_flop(n, d, n_vocab) * (1 + (dx != NULL) + (dw != NULL)));
}

static void watched_sgd(struct backend *b, size_t n, float *x, const float *g, float *buf, float lr,
                        float momentum)
{
    const struct bench_parts *p = begin(b);
    b->ops->sgd(b, n, x, g, buf, lr, momentum);
    end(p, b, BENCH_OPTIMIZER, 0);
}

static void watched_adamw(struct backend *b, size_t n, float *x, const float *g, float *m, float *v, float lr,
                          float beta1, float beta2, float eps, float decay, int t)
{
    const struct bench_parts *p = begin(b);
    b->ops->adamw(b, n, x, g, m, v, lr, beta1, beta2, eps, decay, t);
    end(p, b, BENCH_OPTIMIZER, 0);
}

static void watched_clip(struct backend *b, int n_members, size_t n, float *g, float max_norm)
{
    const struct bench_parts *p = begin(b);
    b->ops->clip(b, n_members, n, g, max_norm);
    end(p, b, BENCH_OPTIMIZER, 0);
}

static void watch(struct backend_ops *ops)
{
    ops->sync = watched_sync;
    ops->set = watched_set;
    ops->upload = watched_upload;
    ops->get = watched_get;
    ops->copy = watched_copy;
    ops->zero = watched_zero;
    ops->embed = watched_embed;
    ops->rms_norm = watched_rms_norm;
    ops->add_norm = watched_add_norm;
    ops->rms_norm_backward = watched_rms_norm_backward;
    ops->linear = watched_linear;
    ops->linear_backward = watched_linear_backward;
    ops->lora = watched_lora;
    ops->lora_backward = watched_lora_backward;
    ops->dropout = watched_dropout;
    ops->dropout_stream = watched_dropout_stream;
    ops->dropout_values = watched_dropout_values;
    ops->geglu = watched_geglu;
    ops->geglu_backward = watched_geglu_backward;
    ops->attention = watched_attention;
    ops->attention_backward = watched_attention_backward;
    ops->head_loss = watched_head_loss;
    ops->sgd = watched_sgd;
    ops->adamw = watched_adamw;
    ops->clip = watched_clip;
}

/* --- its life --- */

struct bench_parts *bench_parts_open(const struct backend_ops *real)
{
    struct arena arena = {0};
    struct bench_parts *p = ARENA_NEW(&arena, struct bench_parts, 1);
    p->ops = *real;
    p->real = real;
    p->state = ARENA_NEW(&arena, struct state, 1);
    watch(&p->ops);
    p->arena = arena;
    return p;
}

void bench_parts_close(struct bench_parts *p)
{
    if (!p)
        return;
    struct arena arena = p->arena;
    arena_free(&arena);
}

const struct backend_ops *bench_parts_ops(const struct bench_parts *p)
{
    return &p->ops;
}

void bench_parts_begin(struct bench_parts *p, struct backend *b, const struct t5 *model)
{
    CHECK(b->ops == p->real);
    *p->state = (struct state){.model = model};
    b->ops = &p->ops;
}

void bench_parts_end(struct bench_parts *p, struct backend *b, struct bench_charge charge[N_BENCH_PARTS])
{
    CHECK(b->ops == &p->ops);
    b->ops = p->real;
    memcpy(charge, p->state->charge, sizeof(p->state->charge));
}
