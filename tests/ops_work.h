/* tests/ops_work.h: every operation once, at the shapes of a training pass, over one block of memory: for
 * comparing bytes between numbers of threads, and for measuring speed. */
#ifndef TESTS_OPS_WORK_H
#define TESTS_OPS_WORK_H

#include <time.h>

#include "tests/ops.h"

enum { WORK_SEQS = 80 };

struct work_shape {
    int members, seqs, input, target; /* seqs per member; tokens per sequence, a few more or less */
    int d, heads, d_kv, d_ff, vocab, rank;
};

struct work {
    struct lab *l;
    struct work_shape s;
    int n, n_dec, n_seqs;
    int32_t q0[WORK_SEQS], q[WORK_SEQS], k0[WORK_SEQS], k[WORK_SEQS], member[WORK_SEQS + 1];
    float *all;
    size_t n_all;
    float *x, *y, *z, *wide, *wide2, *w, *dw, *adapter, *dadapter, *h, *gh, *rstd, *lse, *bias, *dbias;
    float *nll, *scale;
    int32_t *ids, *best;
    struct dropout drop;
};

static inline size_t work_part(struct work *w, float **to, size_t n)
{
    if (w->all)
        *to = w->all + w->n_all;
    return w->n_all += (n + 15) / 16 * 16;
}

/* Called twice: counts first, then hands out parts of `all`. */
static inline void work_layout(struct work *w)
{
    const struct work_shape *s = &w->s;
    size_t n = (size_t)w->n, d = (size_t)s->d, ff = (size_t)s->d_ff, v = (size_t)s->vocab;
    size_t dv = (size_t)s->members * 2 * (size_t)s->rank * d, heads = (size_t)s->heads;
    w->n_all = 0;
    work_part(w, &w->x, n * d);
    work_part(w, &w->y, n * d);
    work_part(w, &w->z, n * d);
    work_part(w, &w->wide, n * (2 * ff > 3 * d ? 2 * ff : 3 * d));
    work_part(w, &w->wide2, n * (2 * ff > 3 * d ? 2 * ff : 3 * d));
    work_part(w, &w->w, d * (v > 2 * ff ? v : 2 * ff));
    work_part(w, &w->dw, d * (v > 2 * ff ? v : 2 * ff));
    work_part(w, &w->adapter, dv);
    work_part(w, &w->dadapter, dv);
    work_part(w, &w->h, n * (size_t)s->rank);
    work_part(w, &w->gh, n * (size_t)s->rank);
    work_part(w, &w->rstd, n);
    work_part(w, &w->lse, n * heads);
    work_part(w, &w->bias, 32 * heads);
    work_part(w, &w->dbias, 32 * heads);
    work_part(w, &w->nll, n);
    work_part(w, &w->scale, n);
}

static inline struct work work_open(struct lab *l, struct work_shape s)
{
    struct work w = {.l = l, .s = s, .n_seqs = s.members * s.seqs};
    for (int i = 0; i < w.n_seqs; i++) {
        w.k0[i] = w.n;
        w.q0[i] = w.n_dec;
        if (i % s.seqs == 0)
            w.member[i / s.seqs] = w.n;
        w.k[i] = s.input + i % 5 - 2;
        w.q[i] = s.target + i % 3 - 1;
        w.n += w.k[i];
        w.n_dec += w.q[i];
    }
    w.member[s.members] = w.n;
    work_layout(&w);
    w.all = lab_random(l, w.n_all, 0.3);
    work_layout(&w);
    int32_t *ids = malloc((size_t)w.n * sizeof(*ids));
    for (int i = 0; i < w.n; i++)
        ids[i] = i * 31 % s.vocab;
    w.ids = lab_ints(l, w.n, ids);
    w.best = lab_ints(l, w.n, ids);
    w.drop = lab_dropout(l, w.n, 0.1f);
    free(ids);
    return w;
}

static inline struct attn_args work_attn(struct work *w, bool is_decoder, bool is_cross)
{
    int ld = w->s.d; /* q, k, v stand in `wide`, their gradients in `wide2` */
    size_t n = (size_t)w->n * (size_t)ld;
    struct attn_args a = {.n_seqs = w->n_seqs, .n_heads = w->s.heads, .d_kv = w->s.d_kv, .ld_q = (size_t)ld,
                          .ld_kv = (size_t)ld, .ld_o = (size_t)ld, .q = w->wide, .k = w->wide + n,
                          .v = w->wide + 2 * n, .o = w->z, .lse = w->lse, .is_causal = is_decoder && !is_cross,
                          .is_bidirectional = !is_decoder, .n_buckets = 32, .max_distance = 128,
                          .bias_table = is_cross ? NULL : w->bias, .drop = w->drop, .dout = w->y,
                          .dq = w->wide2, .dk = w->wide2 + n, .dv = w->wide2 + 2 * n,
                          .dbias_table = is_cross ? NULL : w->dbias};
    a.q_start = is_decoder ? w->q0 : w->k0;
    a.q_len = is_decoder ? w->q : w->k;
    a.k_start = is_decoder && !is_cross ? w->q0 : w->k0;
    a.k_len = is_decoder && !is_cross ? w->q : w->k;
    return a;
}

static inline double work_pairs(const struct attn_args *a)
{
    double pairs = 0;
    for (int s = 0; s < a->n_seqs; s++)
        pairs += (double)a->q_len[s] * a->k_len[s];
    return pairs * a->n_heads * a->d_kv;
}

static inline struct lora_args work_lora(struct work *w)
{
    size_t half = (size_t)w->s.rank * (size_t)w->s.d;
    struct lora_args a = {.n_members = w->s.members, .member_row = w->member, .d_in = w->s.d, .d_out = w->s.d,
                          .rank = w->s.rank, .scale = 2, .stride = 2 * half, .a = w->adapter,
                          .b = w->adapter + half, .da = w->dadapter, .db = w->dadapter + half, .h = w->h,
                          .xd = w->wide2, .gh = w->gh, .drop = w->drop};
    a.drop.p = 0.05f;
    return a;
}

enum work_op {
    W_EMBED, W_EMBED_BACK, W_RMS, W_RMS_BACK, W_LINEAR, W_LINEAR_WIDE, W_LINEAR_BACK, W_LINEAR_WEIGHT,
    W_LORA, W_LORA_BACK, W_DROPOUT, W_ADD_NORM, W_GEGLU, W_GEGLU_BACK, W_SELF, W_SELF_BACK, W_CAUSAL,
    W_CAUSAL_BACK, W_CROSS, W_CROSS_BACK, W_HEAD, W_HEAD_FULL, W_ARGMAX, W_TOP, W_SGD, W_ADAMW, W_CLIP, N_WORK_OPS
};

static inline const char *work_name(int op)
{
    static const char *const names[N_WORK_OPS] = {
        "embed", "embed_backward", "rms_norm", "rms_norm_backward", "linear d d", "linear d 2ff",
        "linear_backward 2ff d", "linear_backward_weight d d", "lora", "lora_backward", "dropout",
        "add_norm", "geglu", "geglu_backward", "attention self", "attention_backward self",
        "attention causal", "attention_backward causal", "attention cross", "attention_backward cross",
        "head_loss dx", "head_loss dx dw", "head_argmax", "head_top", "sgd", "adamw", "clip"};
    return names[op];
}

static inline double work_attention(struct work *w, bool is_decoder, bool is_cross, bool is_backward)
{
    struct attn_args a = work_attn(w, is_decoder, is_cross);
    if (!is_backward) {
        w->l->op->attention(w->l->b, &a);
        return 4 * work_pairs(&a);
    }
    w->l->op->attention_backward(w->l->b, &a);
    return 10 * work_pairs(&a);
}

/* Products and what lies beside them. Returns floating-point operations, 2 per multiply-add. */
static inline double work_product(struct work *w, int op)
{
    const struct backend_ops *o = w->l->op;
    struct backend *b = w->l->b;
    int n = w->n, d = w->s.d, ff = 2 * w->s.d_ff;
    size_t ld = (size_t)d, wide = (size_t)ff;
    struct lora_args a = work_lora(w);
    switch (op) {
    case W_LINEAR:
        o->linear(b, n, d, d, w->y, ld, w->x, ld, w->w, false);
        return 2.0 * n * d * d;
    case W_LINEAR_WIDE:
        o->linear(b, n, d, ff, w->wide, wide, w->x, ld, w->w, false);
        return 2.0 * n * d * ff;
    case W_LINEAR_BACK:
        o->linear_backward(b, n, d, ff, w->y, ld, w->wide, wide, w->w, false);
        return 2.0 * n * d * ff;
    case W_LINEAR_WEIGHT:
        o->linear_backward_weight(b, n, d, d, w->dw, w->y, ld, w->x, ld);
        return 2.0 * n * d * d;
    case W_LORA:
        o->lora(b, &a, w->y, ld, w->x, ld);
        return 4.0 * n * d * w->s.rank;
    default:
        o->lora_backward(b, &a, w->z, w->y, ld, w->x, ld);
        return 8.0 * n * d * w->s.rank;
    }
}

static inline double work_head(struct work *w, int op)
{
    const struct backend_ops *o = w->l->op;
    double product = 2.0 * w->n_dec * w->s.d * w->s.vocab;
    if (op == W_ARGMAX) {
        o->head_argmax(w->l->b, w->n_dec, w->s.d, w->s.vocab, w->x, w->w, w->best);
        return product;
    }
    if (op == W_TOP) {
        int k = w->n / w->n_dec < 8 ? w->n / w->n_dec : 8; /* what best has room for */
        o->head_top(w->l->b, w->n_dec, w->s.d, w->s.vocab, k, w->x, w->w, w->best, w->y);
        return product;
    }
    o->head_loss(w->l->b, w->n_dec, w->s.d, w->s.vocab, w->x, w->w, w->ids, w->scale, w->nll, w->y,
                 op == W_HEAD_FULL ? w->dw : NULL);
    return product * (op == W_HEAD_FULL ? 3 : 2);
}

static inline double work_run(struct work *w, int op)
{
    const struct backend_ops *o = w->l->op;
    struct backend *b = w->l->b;
    int n = w->n, d = w->s.d, ff = w->s.d_ff;
    size_t values = 2 * (size_t)w->s.rank * (size_t)d;
    struct norm_args norm = {1e-6f, w->w, w->y, w->rstd};
    switch (op) {
    case W_EMBED:
        o->embed(b, n, d, w->x, w->w, w->ids);
        return 0;
    case W_EMBED_BACK:
        o->embed_backward(b, n, d, w->dw, w->y, w->ids);
        return 0;
    case W_RMS:
        o->rms_norm(b, n, d, w->x, &norm);
        return 0;
    case W_RMS_BACK:
        o->rms_norm_backward(b, n, d, w->z, w->dw, w->y, w->x, &norm, w->wide, &w->drop);
        return 0;
    case W_DROPOUT:
        o->dropout(b, n, d, w->z, w->x, &w->drop);
        return 0;
    case W_ADD_NORM:
        o->add_norm(b, n, d, w->z, w->z, w->x, &w->drop, &norm);
        return 0;
    case W_GEGLU:
        o->geglu(b, n, ff, w->wide2, w->wide, &w->drop);
        return 0;
    case W_GEGLU_BACK:
        o->geglu_backward(b, n, ff, w->wide2, w->z, w->wide, &w->drop);
        return 0;
    case W_SELF: case W_SELF_BACK: case W_CAUSAL: case W_CAUSAL_BACK: case W_CROSS: case W_CROSS_BACK:
        return work_attention(w, op >= W_CAUSAL, op >= W_CROSS, (op - W_SELF) % 2);
    case W_HEAD: case W_HEAD_FULL: case W_ARGMAX: case W_TOP:
        return work_head(w, op);
    case W_SGD:
        o->sgd(b, (size_t)w->s.members * values, w->adapter, w->dadapter, NULL, 1e-3f, 0);
        return 0;
    case W_ADAMW:
        values *= (size_t)w->s.members;
        o->zero(b, w->wide, 2 * values * sizeof(float));
        o->adamw(b, values, w->adapter, w->dadapter, w->wide, w->wide + values, 1e-3f, 0.9f, 0.99f, 1e-8f,
                 0, 1);
        return 0;
    case W_CLIP:
        o->clip(b, w->s.members, values, w->dadapter, 0.1f);
        return 0;
    default:
        return work_product(w, op);
    }
}

/* The memory after each operation, for 1 thread; then the same for 2, 3 and 4. */
static inline void work_compare_threads(void)
{
    const struct work_shape shape = {3, 4, 70, 11, 48, 3, 16, 56, 515, 5};
    float *want[N_WORK_OPS], *got = NULL;
    for (int threads = 1; threads <= 4; threads++) {
        struct lab l = lab_open(threads);
        struct work w = work_open(&l, shape);
        size_t n_bytes = w.n_all * sizeof(float);
        got = got ? got : malloc(n_bytes);
        for (int op = 0; op < N_WORK_OPS; op++) {
            work_run(&w, op);
            if (threads == 1)
                want[op] = malloc(n_bytes);
            l.op->get(l.b, threads == 1 ? want[op] : got, w.all, n_bytes);
            if (threads > 1 && memcmp(want[op], got, n_bytes) != 0)
                TEST_FAIL("%s: other bytes with %d threads than with one", work_name(op), threads);
        }
        lab_close(&l);
    }
    for (int op = 0; op < N_WORK_OPS; op++)
        free(want[op]);
    free(got);
}

static inline double work_seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Prints, per operation, the best of several times: processor time when alone, else wall-clock time. */
static inline int work_bench(int n_threads)
{
    struct lab l = lab_open(n_threads);
    struct work w = work_open(&l, (struct work_shape){10, 8, 112, 28, 128, 4, 32, 256, 2048, 8});
    clockid_t clock = n_threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    char text[200];
    l.op->describe(l.b, text, sizeof(text));
    printf("%s, %d threads, %d input rows, %d target rows\n", text, n_threads, w.n, w.n_dec);
    for (int op = 0; op < N_WORK_OPS; op++) {
        double best_s = 1e9, flop = 0;
        for (int i = 0; i < 12; i++) {
            double from_s = work_seconds(clock);
            flop = work_run(&w, op);
            best_s = fmin(best_s, work_seconds(clock) - from_s);
        }
        printf("%-28s %8.3f ms", work_name(op), best_s * 1e3);
        printf(flop > 0 ? " %7.1f GFLOP/s\n" : "\n", flop / best_s * 1e-9);
    }
    lab_close(&l);
    return 0;
}

#endif
