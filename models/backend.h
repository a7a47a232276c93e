/* models/backend.h: the compute seam: one table of operations, written once per device.
 *
 * The model's code (t5_*.c) calls these operations and knows nothing of threads or kernels. Work is
 * queued in order on a backend; sync waits for it and reports the first failure, which is kept until
 * then, so operations return nothing. Memory belongs to the backend: pointers from `alloc` may be
 * offset by the host but read and written only by operations, `set` and `get`. Matrices are row-major, a
 * weight W of a linear layer is [out][in] as in the files of Hugging Face.
 *
 * Two kinds of numbers. `float *` is float32 on every backend: the residual stream and its gradient,
 * embeddings, norms, statistics, losses, adapters, gradients of weights, optimizers. `void *` holds values,
 * the backend's type of value_bytes: what lies inside a layer (norms' results, q k v, gates, their
 * gradients) and the weights of products. With precision "float32" values are float32, with "bf16"
 * bfloat16, and products, sums and softmax still add up in float32. Offsets and strides count elements.
 *
 * Rows are packed: the tokens of all sequences of all members of a cohort stand end to end without
 * padding; sequences of one member are neighbours and members come in order. What an operation gives for
 * one row depends on that row's own sequence and member only, never on its neighbours, on the number of
 * threads, or on the row's place in the pack. (Products may round differently when the number of rows
 * differs; 1e-5 relative bounds it.) For equal inputs and equal packs every result is the same to the bit.
 *
 * Gradients are named d + name. "+=" below means the operation adds to what is there. */
#ifndef MODELS_BACKEND_H
#define MODELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

struct backend;

enum { BACKEND_MAX_TOP = 64 };

/* Dropout of rate p at one site of the model. The mask of element col of a row is a pure function of
 * (seed, site, row_owner[row], row_index[row], col), see dropout_keep in models/dropout.h; kept values are
 * divided by the probability of being kept. p = 0 (or a NULL struct) is the identity. owner and index
 * are backend memory, one per row: the member's client number and the row's number within that member's
 * mini-batch, so that a member's masks do not depend on who shares its pass. */
struct dropout {
    float p;
    uint32_t site; /* an enum rng_stream value, RNG_DROPOUT + site number */
    uint64_t seed;
    const uint32_t *row_owner;
    const uint32_t *row_index;
};

/* Where a norm goes: out = x * rstd * w, rstd = 1 / sqrt(mean(x^2) + eps)    x, out [n, d]   rstd [n]   w [d] */
struct norm_args {
    float eps;
    const float *w;
    void *out;
    float *rstd;
};

/* The adapters of one linear layer, for all members of the pass. Member m owns the rows
 * member_row[m] .. member_row[m+1]-1 (host memory, n_members + 1 values, may be empty ranges).
 * Its matrices are a + m * stride and b + m * stride, values not bytes. stride 0: one adapter for all.
 *   xd = dropout(x)    h = xd A^T    y += scale * h B^T        (Hu et al. 2021, eq. 3)
 * A [rank, d_in]   B [d_out, rank]   h [n, rank]   scale = alpha / rank */
struct lora_args {
    int n_members;
    const int32_t *member_row;
    int d_in, d_out, rank;
    float scale;
    size_t stride;
    const float *a, *b;
    float *da, *db; /* backward: +=, same stride */
    float *h;       /* written by forward, read by backward */
    void *xd;       /* scratch values [n, d_in], contents lost between calls; unused when drop.p = 0 */
    float *gh;      /* scratch [n, rank] of backward */
    struct dropout drop;
};

/* Attention of packed sequences, per head, without scores kept in memory:
 *   s_ij = q_i . k_j + bias(j - i)    p = softmax_j(s)    o_i = sum_j dropout(p)_ij v_j
 * T5 does not divide by sqrt(d_kv). Sequence s has query rows q_start[s] .. + q_len[s] and key rows
 * k_start[s] .. + k_len[s] (host memory). The first query of s stands at position q_pos[s] (0 unless
 * decoding with a cache; NULL = all 0). causal: query at position i sees keys 0 .. i.
 * q, o: [*, n_heads * d_kv] with row strides ld_q, ld_o; k, v with ld_kv (values, not bytes).
 * lse [n query rows, n_heads]: log of the softmax's denominator, kept for backward.
 * keep: room for n_keep words, or NULL. Forward may leave there which probabilities dropout kept, for a
 * backward of the same arguments; without room, backward finds out again. Results are the same to the bit.
 * bias_table [n_buckets, n_heads] or NULL for none (cross-attention); bucket as in models/t5_bucket.h. */
struct attn_args {
    int n_seqs;
    const int32_t *q_start, *q_len, *k_start, *k_len, *q_pos;
    int n_heads, d_kv;
    size_t ld_q, ld_kv, ld_o;
    const void *q, *k, *v;
    void *o;
    float *lse;
    uint32_t *keep;
    size_t n_keep;
    bool is_causal, is_bidirectional;
    int n_buckets, max_distance;
    const float *bias_table;
    struct dropout drop; /* on probabilities; rows are query rows, col = head * 65536 + key position */
    /* backward only */
    const void *dout;      /* gradient of o, ld_o */
    void *dq, *dk, *dv;    /* written, not added; ld_q, ld_kv, ld_kv */
    float *dbias_table;    /* += or NULL */
};

/* Attention of one query per sequence on the rows x [*, d] themselves that keys Wk x_j and values Wv x_j would be made
 * of, which are never there ("absorbed" weights: DeepSeek-V2, arXiv 2405.04434, 2.1.2). Per head h, with its d_kv rows
 * of Wk and Wv:
 *   s_hj = (Wk_h^T q_h) . x_j    p = softmax_j(s_h)    o_h = Wv_h sum_j p_hj x_j
 * Sequence s has row s of q and o, and the rows x_start[s] .. + x_len[s] of x (host memory; without any o is 0). All
 * dense:
 * q, o [n_seqs, n_heads d_kv]   wk, wv [n_heads d_kv, d] */
struct absorbed_args {
    int n_seqs;
    const int32_t *x_start, *x_len;
    int n_heads, d_kv, d;
    const void *q, *x, *wk, *wv;
    void *o;
};

struct backend_ops {
    const char *name;      /* "cpu", "cuda" */
    const char *precision; /* "float32", "bf16" */
    size_t value_bytes;    /* 4, or 2 */
    bool is_host;          /* it computes on the host's processor, in the host's memory */
    size_t keep_words;     /* of attn_args.keep, per query row and head, that serve attention; 0: unused */

    /* How many devices there are that compute alike, bit for bit; 0: none. The CPU is one. */
    int (*n_devices)(void);
    /* On device 0 .. n_devices - 1 with n_threads 1 ..; what enters the memo key comes from describe. From any
     * thread, and operations too, one at a time per backend. ERR_DEVICE: no such device here. */
    enum err_code (*open)(struct backend **out, int device, int n_threads, struct err *e);
    void (*close)(struct backend *b);
    /* "cpu openblas 0.3.21 zen f32": kernel and library versions that can change a bit of a result */
    void (*describe)(struct backend *b, char *out, size_t n);

    /* Bytes of the device's memory in all, 0 if not known: a bound for plans, which a change in what is
     * free at the moment does not move. */
    size_t (*memory_bytes)(struct backend *b);
    /* About what operations take for themselves when the head has so many rows and columns. */
    size_t (*scratch_bytes)(int n_threads, size_t n_rows, int n_vocab);
    /* Zeroed memory, 64-byte aligned. Memory of one open backend may be read through another of its kind on the
     * same device. */
    enum err_code (*alloc)(struct backend *b, void **out, size_t n_bytes, const char *what,
                           struct err *e);
    void (*free)(struct backend *b, void *p);
    /* Host memory, zeroed, for what passes round after round: a GPU reads and writes it without a detour.
     * Freed while the backend is open. */
    enum err_code (*host_alloc)(struct backend *b, void **out, size_t n_bytes, const char *what,
                                struct err *e);
    void (*host_free)(struct backend *b, void *p);
    void (*set)(struct backend *b, void *to, const void *from_host, size_t n_bytes);
    /* As set, but from_host stays as it is until the next sync or get: out of host_alloc's memory a GPU
     * fetches it without a detour. */
    void (*upload)(struct backend *b, void *to, const void *from_host, size_t n_bytes);
    void (*get)(struct backend *b, void *to_host, const void *from, size_t n_bytes); /* waits */
    void (*copy)(struct backend *b, void *to, const void *from, size_t n_bytes);
    void (*zero)(struct backend *b, void *p, size_t n_bytes);
    enum err_code (*sync)(struct backend *b, struct err *e);
    /* Float32 to values and back, n of them; get_values waits and copies to the host. */
    void (*narrow)(struct backend *b, size_t n, void *to, const float *from);
    void (*get_values)(struct backend *b, float *to_host, const void *from, size_t n);

    /* out[i] = table[ids[i]]    ids backend memory, 0 <= id < rows of the table (checked by the caller) */
    void (*embed)(struct backend *b, int n, int d, float *out, const float *table,
                  const int32_t *ids);
    /* dtable[ids[i]] += dout[i], in the order of i */
    void (*embed_backward)(struct backend *b, int n, int d, float *dtable, const float *dout,
                           const int32_t *ids);

    void (*rms_norm)(struct backend *b, int n, int d, const float *x, const struct norm_args *norm);
    /* A part's residual and the norm behind it in one pass: out = x + dropout(y), then the norm of out. out may
     * be x. */
    void (*add_norm)(struct backend *b, int n, int d, float *out, const float *x, const void *y,
                     const struct dropout *drop, const struct norm_args *norm);
    /* norm: as forward had it, its out is not looked at. dx += ..., dw += ... (dw NULL: not wanted). branch, if
     * wanted (NULL: not): dropout of the sum that dx then is, the gradient of the branch below. */
    void (*rms_norm_backward)(struct backend *b, int n, int d, float *dx, float *dw, const void *dout,
                              const float *x, const struct norm_args *norm, void *branch,
                              const struct dropout *drop);

    /* y [n, out] = x [n, in] W^T, or += when add. Rows of x, y at strides ld_x, ld_y (values). */
    void (*linear)(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                   size_t ld_x, const void *w, bool add);
    /* dx [n, in] = dy [n, out] W, or += */
    void (*linear_backward)(struct backend *b, int n, int in, int out, void *dx, size_t ld_x,
                            const void *dy, size_t ld_y, const void *w, bool add);
    /* dW [out, in] += dy^T x */
    void (*linear_backward_weight)(struct backend *b, int n, int in, int out, float *dw,
                                   const void *dy, size_t ld_y, const void *x, size_t ld_x);

    /* y += the adapter's branch */
    void (*lora)(struct backend *b, const struct lora_args *a, void *y, size_t ld_y,
                 const void *x, size_t ld_x);
    /* da, db += ...; dx += ... (dx NULL: not wanted). x is the forward's input. */
    void (*lora_backward)(struct backend *b, const struct lora_args *a, void *dx, const void *dy,
                          size_t ld_y, const void *x, size_t ld_x);

    /* out = dropout(x), [n, d] dense; its own backward too. From the stream to values, within the stream
     * and within values; out of the last two may be x. */
    void (*dropout)(struct backend *b, int n, int d, void *out, const float *x,
                    const struct dropout *drop);
    void (*dropout_stream)(struct backend *b, int n, int d, float *out, const float *x,
                           const struct dropout *drop);
    void (*dropout_values)(struct backend *b, int n, int d, void *out, const void *x,
                           const struct dropout *drop);

    /* out = dropout(gelu(g) * u), gelu in its tanh form. ug [n, 2d]: row = gate g [d] (wi_0), then u [d]
     * (wi_1). */
    void (*geglu)(struct backend *b, int n, int d, void *out, const void *gu,
                  const struct dropout *drop);
    /* dgu [n, 2d] written */
    void (*geglu_backward)(struct backend *b, int n, int d, void *dgu, const void *dout,
                           const void *gu, const struct dropout *drop);

    void (*attention)(struct backend *b, const struct attn_args *a);
    void (*attention_backward)(struct backend *b, const struct attn_args *a);

    /* Both or neither, NULL: not on this backend. */
    void (*attention_absorbed)(struct backend *b, const struct absorbed_args *a);
    /* to [d_out, d_in] = w + scale B A of the first member: a matrix and its adapter in one */
    void (*lora_merge)(struct backend *b, const struct lora_args *a, void *to, const void *w);

    /* Head and loss without all logits in memory: z = x W^T over n_vocab columns, blocked by rows.
     *   nll[i] = logsumexp(z_i) - z_i[label[i]]      x [n, d]   W [n_vocab, d]   label backend memory,
     * 0 <= label < n_vocab, or -1 for a row that is ignored (nll 0, no gradient).
     *   dx [n, d] written = row_scale[i] * d nll[i] / d x_i;   dw += ... (either NULL: not wanted) */
    void (*head_loss)(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                      const int32_t *label, const float *row_scale, float *nll, void *dx, float *dw);
    /* best[i] = the lowest index of the largest of z_i = x_i W^T; any, where these are no numbers */
    void (*head_argmax)(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                        int32_t *best);

    /* The same by means of a screen, which head_screen makes of W: most columns are ruled out by it, the others are
     * computed in float32. screen_bytes: of it; 0: it does not pay here. All three or none, NULL: not on this
     * backend. */
    size_t (*head_screen_bytes)(int d, int n_vocab);
    void (*head_screen)(struct backend *b, int d, int n_vocab, void *screen, const void *w);
    void (*head_argmax_screened)(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                                 const void *screen, int32_t *best);

    /* The k most probable columns of each row: index[i k + j] and logp[i k + j] = log softmax(z_i)_j, z_i = x_i
     * W^T, most probable first, of equals the lowest index. 1 <= k <= n_vocab, k <= BACKEND_MAX_TOP. */
    void (*head_top)(struct backend *b, int n, int d, int n_vocab, int k, const void *x, const void *w,
                     int32_t *index, float *logp);

    /* Steps of local optimizers over flat vectors of n values (all members at once). */
    /* buf = momentum * buf + g (buf NULL: g itself);  x -= lr * buf */
    void (*sgd)(struct backend *b, size_t n, float *x, const float *g, float *buf, float lr,
                float momentum);
    /* torch's AdamW: x -= lr*decay*x; m, v; x -= lr * (m/c1) / (sqrt(v/c2) + eps), c = 1 - beta^t */
    void (*adamw)(struct backend *b, size_t n, float *x, const float *g, float *m, float *v,
                  float lr, float beta1, float beta2, float eps, float decay, int t);
    /* Each of n_members vectors of n values: scaled down so that its 2-norm is at most max_norm. */
    void (*clip)(struct backend *b, int n_members, size_t n, float *g, float max_norm);
};

/* A backend's public part; each implementation starts its own struct with it. */
struct backend {
    const struct backend_ops *ops;
};

/* The table: "cpu" and "cuda", each with "float32" and "bf16". A build without CUDA or oneDNN has the rows too;
 * their open says how to get it. */

/* With float32. NULL when there is no such name. */
const struct backend_ops *backend_find(const char *name);
/* NULL when there is no such pair. */
const struct backend_ops *backend_with(const char *name, const char *precision);
/* Names of all backends and of all precisions, for messages and help; NULL terminated. */
const char *const *backend_names(void);
const char *const *backend_precisions(void);

/* A backend that opens on this machine. */
struct backend_choice {
    const struct backend_ops *ops;
    char about[256];   /* what describe says */
    int n_devices;
    char passed_over[256]; /* "auto" took another than cuda: why; else empty */
};

/* Which backend to take for name, one of the table's or "auto": cuda where it opens, else cpu. Opens and
 * closes it to know. ERR_INPUT: no such pair. ERR_DEVICE: it does not open here; so too where auto finds none
 * of this precision. */
enum err_code backend_pick(struct backend_choice *out, const char *name, const char *precision,
                           struct err *e);

#endif
