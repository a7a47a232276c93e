/* Every operation on the CPU in float32 against CUDA, float32 and bf16, and, built as cpu_bf16, against the CPU in
 * bf16, at odd sizes: the error is the norm of the
 * difference over the norm of the CPU's result. The largest of each output is printed.
 *
 * float32: 1e-6. bf16: the inputs are the same on both sides, so an output that is float32 differs by what is
 * rounded on the way, and one that is a value by its own rounding: 2^-8 at most, 1.7e-3 in the norm of many.
 * Tolerances are stated beside each output. */
#include "models/cpu.h"
#include "tests/duo.h"
#include "tests/lab_backend.h"

extern const struct backend_ops cuda_backend, cuda_bf16_backend;
#ifndef LAB_BF16
#define LAB_BF16 cuda_bf16_backend
#endif

/* tolerances */
#define EXACT 0, 0
#define FLOATS 1e-6, 1e-6     /* float32 from the same numbers */
#define ROUNDED 1e-6, 4e-3    /* a value, rounded once: 2^-8 of itself at most */
#define INSIDE 1e-6, 5e-3     /* rounded inside as well: probabilities, h of an adapter */

/* An operation's shape and the handles of its memory; unused ones stay 0, none is -1. */
struct op {
    int n, d, m, k;
    size_t ld_x, ld_y;
    bool is_so;
    float p;
    int x, w, y, z, dx, dw, dy, rstd, ids, label, best, scale, buf, owner, index;
    struct lora_args lora;
    struct attn_args attn;
};

static const int ROWS[] = {1, 33, 130};
enum { N_ROWS = sizeof(ROWS) / sizeof(ROWS[0]), N_WIDTHS = 4 };

static int width_of(const struct duo *d, int i)
{
    static const int of_float[N_WIDTHS] = {5, 48, 72, 130}, of_bf16[N_WIDTHS] = {8, 48, 72, 136};
    return d->is_bf16 ? of_bf16[i] : of_float[i];
}

/* Rows of a matrix stand further apart than they are wide, by a multiple of 8 for bf16. */
static size_t stride_of(const struct duo *d, int width)
{
    return (size_t)(width + (d->is_bf16 ? 8 : 3));
}

static void masks(struct duo *d, struct op *o, int n, float p)
{
    int32_t owner[512], index[512];
    for (int i = 0; i < n; i++) {
        owner[i] = 7 + i / 3;
        index[i] = i % 3;
    }
    o->p = p;
    o->owner = duo_words(d, (size_t)n, owner);
    o->index = duo_words(d, (size_t)n, index);
}

static struct dropout drop_of(const struct duo *d, int side, const struct op *o)
{
    return (struct dropout){.p = o->p, .site = RNG_DROPOUT + 5, .seed = 0x123456789abcdefu,
                            .row_owner = duo_at(d, side, o->owner), .row_index = duo_at(d, side, o->index)};
}

#define AT(handle) duo_at(d, side, o->handle)
#define OPS d->op[side]
#define OF d->b[side]

static const char *what(const char *name, int n, int d, int m)
{
    static char text[80];
    snprintf(text, sizeof(text), "%s [%d, %d, %d]", name, n, d, m);
    return text;
}

/* --- rows --- */

static void run_embed(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    OPS->embed(OF, o->n, o->d, AT(y), AT(w), AT(ids));
    OPS->embed_backward(OF, o->n, o->d, AT(dw), AT(dy), AT(ids));
}

static void check_embed(struct duo *d, int n, int width)
{
    struct op o = {.n = n, .d = width};
    int32_t ids[512];
    size_t all = (size_t)n * (size_t)width, table = 9 * (size_t)width;
    for (int i = 0; i < n; i++)
        ids[i] = i * i % 9;
    o.ids = duo_words(d, (size_t)n, ids);
    o.w = duo_random(d, DUO_FLOATS, table, 1);
    o.dy = duo_random(d, DUO_FLOATS, all, 1);
    o.y = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "out", EXACT);
    o.dw = duo_out(d, duo_random(d, DUO_FLOATS, table, 1), "dtable", FLOATS);
    duo_check(d, what("embed", n, width, 9), run_embed, &o);
}

static void run_rms_norm(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    struct dropout drop = drop_of(d, side, o);
    struct norm_args norm = {1e-6f, AT(w), AT(y), AT(rstd)};
    OPS->rms_norm(OF, o->n, o->d, AT(x), &norm);
    OPS->rms_norm_backward(OF, o->n, o->d, AT(dx), o->is_so ? AT(dw) : NULL, AT(dy), AT(x), &norm,
                           o->is_so ? NULL : AT(z), &drop);
}

static void check_rms_norm(struct duo *d, int n, int width)
{
    size_t all = (size_t)n * (size_t)width;
    for (int has_dw = 0; has_dw < 2; has_dw++) {
        struct op o = {.n = n, .d = width, .is_so = has_dw};
        masks(d, &o, n, 0.1f);
        o.x = duo_random(d, DUO_FLOATS, all, 2);
        o.w = duo_random(d, DUO_FLOATS, (size_t)width, 1);
        o.dy = duo_random(d, DUO_VALUES, all, 1);
        o.y = duo_out(d, duo_random(d, DUO_VALUES, all, 1), "out", ROUNDED);
        o.rstd = duo_out(d, duo_random(d, DUO_FLOATS, (size_t)n, 1), "rstd", FLOATS);
        o.dx = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "dx", FLOATS);
        o.dw = duo_random(d, DUO_FLOATS, (size_t)width, 1);
        o.z = duo_random(d, DUO_VALUES, all, 1);
        if (has_dw)
            duo_out(d, o.dw, "dw", FLOATS);
        else
            duo_out(d, o.z, "branch", ROUNDED);
        duo_check(d, what("rms_norm", n, width, has_dw), run_rms_norm, &o);
    }
}

static void run_add_norm(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    struct dropout drop = drop_of(d, side, o);
    struct norm_args norm = {1e-6f, AT(w), AT(y), AT(rstd)};
    OPS->add_norm(OF, o->n, o->d, AT(dx), o->is_so ? AT(dx) : AT(x), AT(dy), o->p > 0 ? &drop : NULL, &norm);
}

/* With the sum in the place of x, and elsewhere. */
static void check_add_norm(struct duo *d, int n, int width)
{
    size_t all = (size_t)n * (size_t)width;
    for (int in_place = 0; in_place < 2; in_place++) {
        struct op o = {.n = n, .d = width, .is_so = in_place};
        masks(d, &o, n, in_place ? 0 : 0.1f);
        o.x = duo_random(d, DUO_FLOATS, all, 2);
        o.w = duo_random(d, DUO_FLOATS, (size_t)width, 1);
        o.dy = duo_random(d, DUO_VALUES, all, 1);
        o.dx = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "sum", FLOATS);
        o.y = duo_out(d, duo_random(d, DUO_VALUES, all, 1), "out", ROUNDED);
        o.rstd = duo_out(d, duo_random(d, DUO_FLOATS, (size_t)n, 1), "rstd", FLOATS);
        duo_check(d, what("add_norm", n, width, in_place), run_add_norm, &o);
    }
}

static void run_dropout(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    struct dropout drop = drop_of(d, side, o);
    const struct dropout *given = o->p > 0 ? &drop : NULL;
    OPS->dropout(OF, o->n, o->d, AT(y), AT(x), given);
    OPS->dropout_values(OF, o->n, o->d, AT(z), AT(z), given);
    OPS->dropout_stream(OF, o->n, o->d, AT(dy), AT(x), given);
}

static void check_dropout(struct duo *d, int n, int width)
{
    const float ps[] = {0, 0.1f, 0.5f};
    size_t all = (size_t)n * (size_t)width;
    for (int i = 0; i < 3; i++) {
        struct op o = {.n = n, .d = width};
        masks(d, &o, n, ps[i]);
        o.x = duo_random(d, DUO_FLOATS, all, 1);
        o.y = duo_out(d, duo_random(d, DUO_VALUES, all, 1), "out", ROUNDED);
        o.z = duo_out(d, duo_random(d, DUO_VALUES, all, 1), "values", ROUNDED);
        o.dy = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "stream", FLOATS);
        duo_check(d, what("dropout", n, width, i), run_dropout, &o);
    }
}

static void run_geglu(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    struct dropout drop = drop_of(d, side, o);
    OPS->geglu(OF, o->n, o->d, AT(y), AT(x), &drop);
    OPS->geglu_backward(OF, o->n, o->d, AT(dx), AT(dy), AT(x), &drop);
}

static void check_geglu(struct duo *d, int n, int width)
{
    size_t all = (size_t)n * (size_t)width;
    for (int i = 0; i < 2; i++) {
        struct op o = {.n = n, .d = width};
        masks(d, &o, n, i ? 0.1f : 0);
        o.x = duo_random(d, DUO_VALUES, 2 * all, 5);
        o.dy = duo_random(d, DUO_VALUES, all, 1);
        o.y = duo_out(d, duo_random(d, DUO_VALUES, all, 1), "out", ROUNDED);
        o.dx = duo_out(d, duo_random(d, DUO_VALUES, 2 * all, 1), "dgu", ROUNDED);
        duo_check(d, what("geglu", n, width, i), run_geglu, &o);
    }
}

static void run_narrow(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    size_t n = (size_t)(o->n * o->d);
    OPS->narrow(OF, n, AT(y), AT(x));
    OPS->copy(OF, AT(dx), AT(x), n * 4);
    OPS->zero(OF, (float *)AT(dy) + 1, (n - 1) * 4);
}

static void check_narrow(struct duo *d, int n, int width)
{
    struct op o = {.n = n, .d = width};
    size_t all = (size_t)n * (size_t)width;
    o.x = duo_random(d, DUO_FLOATS, all, 3);
    o.y = duo_out(d, duo_random(d, DUO_VALUES, all, 1), "to", 0, 4e-3);
    o.dx = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "copy", EXACT);
    o.dy = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "zero", EXACT);
    duo_check(d, what("narrow", n, width, 0), run_narrow, &o);
}

/* --- products --- */

static void run_linear(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    OPS->linear(OF, o->n, o->d, o->m, AT(y), o->ld_y, AT(x), o->ld_x, AT(w), o->is_so);
    OPS->linear_backward(OF, o->n, o->d, o->m, AT(dx), o->ld_x, AT(dy), o->ld_y, AT(w), o->is_so);
    OPS->linear_backward_weight(OF, o->n, o->d, o->m, AT(dw), AT(dy), o->ld_y, AT(x), o->ld_x);
}

static void check_linear(struct duo *d, int n, int in, int out)
{
    for (int add = 0; add < 2; add++) {
        struct op o = {.n = n, .d = in, .m = out, .ld_x = stride_of(d, in), .ld_y = stride_of(d, out),
                       .is_so = add};
        size_t nx = (size_t)n * o.ld_x, ny = (size_t)n * o.ld_y, nw = (size_t)in * (size_t)out;
        o.x = duo_random(d, DUO_VALUES, nx, 1);
        o.w = duo_random(d, DUO_VALUES, nw, 1);
        o.dy = duo_random(d, DUO_VALUES, ny, 1);
        o.y = duo_out(d, duo_random(d, DUO_VALUES, ny, 1), "y", ROUNDED);
        o.dx = duo_out(d, duo_random(d, DUO_VALUES, nx, 1), "dx", ROUNDED);
        o.dw = duo_out(d, duo_random(d, DUO_FLOATS, nw, 1), "dw", FLOATS);
        duo_check(d, what("linear", n, in, out), run_linear, &o);
    }
}

/* The adapters' memory is one block per kind: A and B of each member side by side. */
static void run_lora(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    struct lora_args a = o->lora;
    float *adapters = AT(w), *gradients = AT(dw);
    a.a = adapters;
    a.b = adapters + a.rank * a.d_in;
    a.da = gradients;
    a.db = gradients + a.rank * a.d_in;
    a.h = AT(z);
    a.gh = AT(rstd);
    a.xd = AT(buf);
    a.drop = drop_of(d, side, o);
    OPS->lora(OF, &a, AT(y), o->ld_y, AT(x), o->ld_x);
    OPS->lora_backward(OF, &a, o->is_so ? AT(dx) : NULL, AT(dy), o->ld_y, AT(x), o->ld_x);
}

static void check_lora(struct duo *d, const int32_t *member_row, int n_members, int in, int out, int rank,
                       bool is_shared, float p)
{
    int n = member_row[n_members];
    struct op o = {.n = n, .ld_x = stride_of(d, in), .ld_y = stride_of(d, out), .is_so = p > 0 || in % 3 == 0};
    size_t rows = (size_t)n, one = (size_t)(rank * (in + out));
    size_t all = is_shared ? one : one * (size_t)n_members;
    o.lora = (struct lora_args){.n_members = n_members, .member_row = member_row, .d_in = in, .d_out = out,
                                .rank = rank, .scale = 2, .stride = is_shared ? 0 : one};
    masks(d, &o, n, p);
    o.x = duo_random(d, DUO_VALUES, rows * o.ld_x, 1);
    o.w = duo_random(d, DUO_FLOATS, all, 0.3);
    o.dy = duo_random(d, DUO_VALUES, rows * o.ld_y, 1);
    o.y = duo_out(d, duo_random(d, DUO_VALUES, rows * o.ld_y, 1), "y", INSIDE);
    o.dx = duo_random(d, DUO_VALUES, rows * o.ld_x, 1);
    if (o.is_so)
        duo_out(d, o.dx, "dx", INSIDE);
    o.dw = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "da db", INSIDE);
    o.z = duo_scratch(d, DUO_FLOATS, rows * (size_t)rank);
    o.rstd = duo_scratch(d, DUO_FLOATS, rows * (size_t)rank);
    o.buf = duo_scratch(d, DUO_VALUES, rows * (size_t)in);
    duo_check(d, what("lora", n, in, out), run_lora, &o);
}

static void lora_of_ragged_members(struct duo *d)
{
    static const int32_t ragged[] = {0, 5, 5, 6, 39, 39, 130}, one[] = {0, 1}, none[] = {0, 0, 0, 33};
    static const int ranks[N_WIDTHS] = {4, 8, 16, 5};
    for (int i = 0; i < N_WIDTHS; i++) {
        int in = width_of(d, i), out = width_of(d, (i + 1) % N_WIDTHS);
        int rank = d->is_bf16 && ranks[i] % 8 ? 8 : ranks[i];
        check_lora(d, ragged, 6, in, out, rank, false, 0);
        check_lora(d, ragged, 6, in, out, rank, false, 0.05f);
        check_lora(d, ragged, 6, in, out, rank, true, 0.05f);
        check_lora(d, one, 1, in, out, rank, false, 0.3f);
        check_lora(d, none, 3, in, out, rank, false, 0);
    }
}

/* --- attention --- */

static void run_attention(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    struct attn_args a = o->attn;
    a.q = AT(x);
    a.k = AT(w);
    a.v = AT(z);
    a.o = AT(y);
    a.lse = AT(rstd);
    a.bias_table = AT(scale);
    a.dout = AT(dy);
    a.dq = AT(dx);
    a.dk = AT(label);
    a.dv = AT(best);
    a.dbias_table = o->scale < 0 ? NULL : AT(buf);
    a.drop = drop_of(d, side, o);
    OPS->attention(OF, &a);
    if (!a.q_pos)
        OPS->attention_backward(OF, &a);
}

struct heads {
    int n_heads, d_kv;
    bool has_bias, is_causal;
    float p;
};

/* Queries that see one key only. Their p is 1 and ds = p (dp - sum p dp) is 0, so the CPU's gradient is 0 and
 * what CUDA gives is the rounding of dp, which has the norm of a sum of d_kv products of dout and v. */
static int lonely_queries(const struct attn_args *a)
{
    int n = 0;
    for (int s = 0; s < a->n_seqs; s++)
        n += a->k_len[s] == 1 ? a->q_len[s] : a->is_causal && a->k_len[s] > 0 && a->q_len[s] > 0;
    return n;
}

static int starts(int n, const int32_t *len, int32_t *start)
{
    int total = 0;
    for (int i = 0; i < n; i++) {
        start[i] = total;
        total += len[i];
    }
    return total;
}

static void check_attention(struct duo *d, const struct heads *h, int n_seqs, const int32_t *q_len,
                            const int32_t *k_len, const int32_t *q_pos)
{
    int32_t q_start[8], k_start[8];
    int n_q = starts(n_seqs, q_len, q_start), n_k = starts(n_seqs, k_len, k_start);
    int inner = h->n_heads * h->d_kv;
    struct op o = {.n = n_q};
    size_t ld = stride_of(d, inner), q = (size_t)n_q * ld, k = (size_t)n_k * ld;
    size_t buckets = (size_t)(16 * h->n_heads);
    o.attn = (struct attn_args){.n_seqs = n_seqs, .q_start = q_start, .q_len = q_len, .k_start = k_start,
                                .k_len = k_len, .q_pos = q_pos, .n_heads = h->n_heads, .d_kv = h->d_kv,
                                .ld_q = ld, .ld_kv = ld, .ld_o = ld, .is_causal = h->is_causal,
                                .is_bidirectional = !h->is_causal, .n_buckets = 16, .max_distance = 40};
    masks(d, &o, n_q, h->p);
    o.x = duo_random(d, DUO_VALUES, q, 1.5 / sqrt(h->d_kv));
    o.w = duo_random(d, DUO_VALUES, k, 1.5);
    o.z = duo_random(d, DUO_VALUES, k, 1);
    o.scale = h->has_bias ? duo_random(d, DUO_FLOATS, buckets, 2) : -1;
    o.y = duo_out(d, duo_random(d, DUO_VALUES, q, 1), "o", INSIDE);
    o.rstd = duo_out(d, duo_random(d, DUO_FLOATS, (size_t)(n_q * h->n_heads), 1), "lse", FLOATS);
    o.dy = duo_random(d, DUO_VALUES, q, 1);
    o.dx = duo_random(d, DUO_VALUES, q, 1);
    o.label = duo_random(d, DUO_VALUES, k, 1);
    o.best = duo_random(d, DUO_VALUES, k, 1);
    o.buf = duo_random(d, DUO_FLOATS, buckets, 1);
    if (!q_pos) {
        /* of numbers uniform in -1 .. 1 the mean square is 1/3 */
        double dp = sqrt(lonely_queries(&o.attn) * h->n_heads * h->d_kv / 9.0);
        d->mem[duo_out(d, o.dx, "dq", INSIDE)].lost = dp * sqrt(h->d_kv * 1.5 * 1.5 / 3);
        d->mem[duo_out(d, o.label, "dk", INSIDE)].lost = dp * sqrt(1.5 * 1.5 / 3);
        duo_out(d, o.best, "dv", INSIDE);
        if (h->has_bias)
            d->mem[duo_out(d, o.buf, "dbias", INSIDE)].lost = dp;
    }
    duo_check(d, what(h->is_causal ? "attention causal" : "attention", n_q, n_k, inner), run_attention, &o);
}

static void attention_of_ragged_sequences(struct duo *d)
{
    static const int32_t one[] = {1}, some[] = {33, 1, 0, 17, 5}, others[] = {3, 40, 0, 1, 130};
    static const int32_t few[] = {2, 1, 0, 33, 9};
    static const int32_t long_one[] = {130}, ones[] = {1, 1, 1}, keys[] = {6, 65, 130}, pos[] = {5, 64, 129};
    static const struct heads of_float[] = {{1, 5, true, false, 0}, {3, 16, true, false, 0.1f},
                                            {2, 36, true, true, 0.1f}, {2, 65, false, false, 0.1f}, {1, 64, true, true, 0},
                                            {12, 8, false, false, 0.1f}};
    static const struct heads of_bf16[] = {{1, 8, true, false, 0}, {3, 16, true, false, 0.1f},
                                           {2, 64, true, true, 0.1f}, {2, 64, false, false, 0.1f}, {1, 32, true, true, 0},
                                           {12, 64, false, false, 0.1f}}; /* 12: dq comes in parts */
    for (int i = 0; i < 6; i++) {
        const struct heads *h = d->is_bf16 ? &of_bf16[i] : &of_float[i];
        check_attention(d, h, 1, one, one, NULL);
        check_attention(d, h, 5, some, some, NULL);
        check_attention(d, h, 1, long_one, long_one, NULL);
        if (!h->is_causal)
            check_attention(d, h, 5, few, others, NULL);
        check_attention(d, h, 3, ones, keys, pos);
    }
}

/* --- the head --- */

static void run_head(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    OPS->head_loss(OF, o->n, o->d, o->m, AT(x), AT(w), AT(label), AT(scale), AT(y), AT(dx), AT(dw));
    OPS->head_argmax(OF, o->n, o->d, o->m, AT(x), AT(w), AT(best));
    OPS->head_top(OF, o->n, o->d, o->m, o->k, AT(x), AT(w), AT(ids), AT(z));
}

static void check_head(struct duo *d, int n, int width, int n_vocab)
{
    struct op o = {.n = n, .d = width, .m = n_vocab, .k = 5};
    int32_t label[512], none[512 * 5] = {0};
    size_t rows = (size_t)n, cols = (size_t)width, vocab = (size_t)n_vocab;
    for (int i = 0; i < n; i++)
        label[i] = i % 5 == 3 ? -1 : i * 37 % n_vocab;
    o.label = duo_words(d, rows, label);
    o.x = duo_random(d, DUO_VALUES, rows * cols, 1);
    o.w = duo_random(d, DUO_VALUES, vocab * cols, 1);
    o.scale = duo_random(d, DUO_FLOATS, rows, 1);
    o.y = duo_out(d, duo_random(d, DUO_FLOATS, rows, 1), "nll", FLOATS);
    o.dx = duo_out(d, duo_random(d, DUO_VALUES, rows * cols, 1), "dx", INSIDE);
    o.dw = duo_out(d, duo_random(d, DUO_FLOATS, vocab * cols, 1), "dw", INSIDE);
    o.best = duo_out(d, duo_words(d, rows, none), "argmax", EXACT);
    o.ids = duo_out(d, duo_words(d, rows * 5, none), "top", EXACT);
    o.z = duo_out(d, duo_random(d, DUO_FLOATS, rows * 5, 1), "top logp", FLOATS);
    duo_check(d, what("head_loss", n, width, n_vocab), run_head, &o);
}

/* --- optimizers: always float32 --- */

static void run_steps(struct duo *d, int side, const void *ctx)
{
    const struct op *o = ctx;
    size_t n = (size_t)(o->n * o->d);
    OPS->sgd(OF, n, AT(x), AT(dw), NULL, 0.5f, 0.9f);
    OPS->sgd(OF, n, AT(y), AT(dw), AT(buf), 0.25f, 0.75f);
    for (int t = 1; t <= 3; t++)
        OPS->adamw(OF, n, AT(z), AT(dw), AT(dx), AT(dy), 0.01f, 0.9f, 0.98f, 1e-8f, 0.1f, t);
    OPS->clip(OF, o->n, (size_t)o->d, AT(w), 1.5f);
}

static void check_steps(struct duo *d, int n, int width)
{
    struct op o = {.n = n, .d = width};
    size_t all = (size_t)n * (size_t)width;
    o.dw = duo_random(d, DUO_FLOATS, all, 1);
    o.x = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "sgd", FLOATS);
    o.y = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "sgd momentum", FLOATS);
    o.buf = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "buf", FLOATS);
    o.z = duo_out(d, duo_random(d, DUO_FLOATS, all, 1), "adamw", FLOATS);
    o.dx = duo_out(d, duo_random(d, DUO_FLOATS, all, 0), "m", FLOATS);
    o.dy = duo_out(d, duo_random(d, DUO_FLOATS, all, 0), "v", FLOATS);
    o.w = duo_out(d, duo_random(d, DUO_FLOATS, all, 0.3), "clip", FLOATS);
    duo_check(d, what("steps", n, width, 0), run_steps, &o);
}

/* --- */

static void every_operation(const struct backend_ops *cuda)
{
    struct duo d;
    struct err e = {0};
    if (!duo_open(&d, &cpu_backend, cuda, &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    for (int r = 0; r < N_ROWS; r++)
        for (int w = 0; w < N_WIDTHS; w++) {
            int n = ROWS[r], width = width_of(&d, w), other = width_of(&d, (w + 2) % N_WIDTHS);
            check_embed(&d, n, width);
            check_rms_norm(&d, n, width);
            check_add_norm(&d, n, width);
            check_dropout(&d, n, width);
            check_geglu(&d, n, width);
            check_narrow(&d, n, width);
            check_linear(&d, n, width, other);
            check_head(&d, n, width, d.is_bf16 ? 264 : 261);
            check_steps(&d, n, width);
        }
    const int wide[] = {264, 520, 776, 1032, 2056}; /* norms keep as many columns as there are registers for */
    for (int i = 0; i < 5; i++) {
        check_rms_norm(&d, 9, wide[i]);
        check_add_norm(&d, 9, wide[i]);
    }
    lora_of_ragged_members(&d);
    attention_of_ragged_sequences(&d);
#ifdef LAB_ONLY_BF16
    cpu_of(d.b[DUO_CUDA])->has_dots = false; /* as where the processor lacks the instruction */
    lora_of_ragged_members(&d);
    attention_of_ragged_sequences(&d);
#endif
    char about[256];
    cuda->describe(d.b[DUO_CUDA], about, sizeof(about));
    printf("  %s\n", about);
    duo_print(&d);
    duo_close(&d);
}

#ifndef LAB_ONLY_BF16
static void every_operation_in_float32_is_the_cpus_to_one_in_a_million(void)
{
    every_operation(&cuda_backend);
}
#endif

static void every_operation_in_bf16_is_the_cpus_to_its_rounding(void)
{
    every_operation(&LAB_BF16);
}

int main(void)
{
    lab_skip_unless(&LAB_BF16);
#ifndef LAB_ONLY_BF16
    CASE(every_operation_in_float32_is_the_cpus_to_one_in_a_million);
#endif
    CASE(every_operation_in_bf16_is_the_cpus_to_its_rounding);
    return test_end();
}
