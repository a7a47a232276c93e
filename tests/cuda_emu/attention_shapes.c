/* Attention of the CUDA backends against the CPU's, at the shapes that their tiles of 64 make special: heads of
 * every width that has a kernel, more keys than queries, queries in the middle of a sequence, rows between
 * sequences that belong to nobody.
 *
 * The error is the largest difference over the largest value. float32: 3e-6. bf16, with inputs that it can
 * hold: 2^-7, as results, probabilities and gradients of scores are rounded to 2^-9 each; lse is float32. A
 * query that sees one key has a gradient of 0, by cancelling; what is left of it is counted with lonely. */
#include "models/backend.h"
#include "models/dropout.h"
#include "sim/base/rng.h"
#include "tests/test.h"

extern const struct backend_ops cpu_backend, cuda_backend, cuda_bf16_backend;

enum { MAX_SEQS = 6, N_VALUES = 4, N_BUCKETS = 16 };

struct shape {
    const char *name;
    int n_seqs, n_heads, d_kv;
    int32_t q_len[MAX_SEQS], k_len[MAX_SEQS], q_pos[MAX_SEQS];
    bool has_bias, is_frozen; /* frozen: no gradient of the bias */
    bool is_causal, is_bidirectional, has_pos;
    double lonely; /* the tolerance of dq and dk is this many times larger */
    float p;
};

/* One backend's results, on the host. */
struct results {
    float *o, *lse, *dq, *dk, *dv, *dbias; /* dbias NULL: none */
};

/* What all backends of a shape share, on the host. in: q k v do. */
struct inputs {
    const struct shape *s;
    int32_t q_start[MAX_SEQS], k_start[MAX_SEQS];
    size_t ld_q, ld_kv, ld_o, n_q, n_k, q, k, o, n_lse, n_bias;
    float *in[N_VALUES], *bias;
    uint32_t *owner, *index;
};

static float to_bf16(double x)
{
    union {
        float f;
        uint32_t u;
    } v = {.f = (float)x};
    v.u = (v.u + 0x7fffu + (v.u >> 16 & 1u)) & 0xffff0000u;
    return v.f;
}

static float *random_values(size_t n, uint32_t owner, double scale)
{
    float *x = malloc((n + 1) * sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = to_bf16(scale * (2 * rng_uniform(3, 201, owner, i) - 1));
    return x;
}

/* Sequences stand in falling order, with a row between them that belongs to nobody. */
static size_t place(int n, const int32_t *len, int32_t *start)
{
    int32_t at = 1;
    for (int s = n - 1; s >= 0; s--) {
        start[s] = at;
        at += len[s] + 1;
    }
    return (size_t)at;
}

static struct inputs make_inputs(const struct shape *s)
{
    struct inputs in = {.s = s};
    size_t d = (size_t)(s->n_heads * s->d_kv);
    in.ld_q = d + 8;
    in.ld_kv = 2 * d + 16;
    in.ld_o = d + 24;
    in.n_q = place(s->n_seqs, s->q_len, in.q_start);
    in.n_k = place(s->n_seqs, s->k_len, in.k_start);
    in.q = in.n_q * in.ld_q;
    in.k = in.n_k * in.ld_kv;
    in.o = in.n_q * in.ld_o;
    in.n_lse = in.n_q * (size_t)s->n_heads;
    in.n_bias = s->has_bias ? (size_t)(N_BUCKETS * s->n_heads) : 0;
    double scale = 2.2 / sqrt(sqrt((double)s->d_kv)); /* scores of about 1.6 */
    in.in[0] = random_values(in.q, 1, scale);
    in.in[1] = random_values(in.k, 2, scale);
    in.in[2] = random_values(in.k, 3, 1);
    in.in[3] = random_values(in.o, 4, 1);
    in.bias = random_values(in.n_bias, 5, 2);
    in.owner = malloc(in.n_q * sizeof(*in.owner));
    in.index = malloc(in.n_q * sizeof(*in.index));
    for (size_t i = 0; i < in.n_q; i++) {
        in.owner[i] = 7 + (uint32_t)i / 3;
        in.index[i] = (uint32_t)i % 3;
    }
    return in;
}

static void *bytes(const struct backend_ops *op, struct backend *b, size_t n)
{
    struct err e = {0};
    void *p = NULL;
    if (op->alloc(b, &p, n, "test", &e)) {
        printf("no memory: %s\n", e.text);
        exit(1);
    }
    return p;
}

static void *copied(const struct backend_ops *op, struct backend *b, const void *from, size_t n_bytes)
{
    void *p = bytes(op, b, n_bytes + 4);
    op->set(b, p, from, n_bytes);
    return p;
}

static void *narrowed(const struct backend_ops *op, struct backend *b, const float *from, size_t n)
{
    float *p = copied(op, b, from, n * sizeof(*from));
    void *values = bytes(op, b, n * op->value_bytes + 16);
    op->narrow(b, n, values, p);
    op->free(b, p);
    return values;
}

static float *fetched(const struct backend_ops *op, struct backend *b, void *from, size_t n, bool is_values)
{
    float *x = malloc((n + 1) * sizeof(*x));
    if (is_values)
        op->get_values(b, x, from, n);
    else
        op->get(b, x, from, n * sizeof(*x));
    op->free(b, from);
    return x;
}

/* The shape and the inputs' memory; results are added by the caller. */
static struct attn_args arguments(const struct inputs *in, void *const value[N_VALUES], const uint32_t *owner,
                                  const uint32_t *index)
{
    const struct shape *s = in->s;
    struct attn_args a = {.n_seqs = s->n_seqs, .q_start = in->q_start, .q_len = s->q_len,
                          .k_start = in->k_start, .k_len = s->k_len, .q_pos = s->has_pos ? s->q_pos : NULL,
                          .n_heads = s->n_heads, .d_kv = s->d_kv, .ld_q = in->ld_q, .ld_kv = in->ld_kv,
                          .ld_o = in->ld_o, .is_causal = s->is_causal, .is_bidirectional = s->is_bidirectional,
                          .n_buckets = N_BUCKETS, .max_distance = 40};
    a.q = value[0];
    a.k = value[1];
    a.v = value[2];
    a.dout = value[3];
    if (s->p > 0)
        a.drop = (struct dropout){.p = s->p, .site = RNG_DROPOUT + 5, .seed = 0x123456789abcdefu,
                                  .row_owner = owner, .row_index = index};
    return a;
}

/* All sequences in one call, or each in its own. */
static void call(const struct backend_ops *op, struct backend *b, struct attn_args a, bool is_alone)
{
    int n = is_alone ? a.n_seqs : 1;
    for (int s = 0; s < n; s++) {
        a.n_seqs = is_alone ? 1 : a.n_seqs;
        op->attention(b, &a);
        op->attention_backward(b, &a);
        a.q_start++;
        a.q_len++;
        a.k_start++;
        a.k_len++;
        a.q_pos = a.q_pos ? a.q_pos + 1 : NULL;
    }
}

/* Words of dropout's bits of all sequences, as kept from forward to backward. */
static size_t keep_words(const struct shape *s)
{
    size_t n = 0;
    for (int i = 0; i < s->n_seqs; i++)
        n += (size_t)((s->k_len[i] + 31) / 32) * (size_t)((s->q_len[i] + 3) / 4 * 4);
    return n * (size_t)s->n_heads;
}

/* has_room: for dropout's bits; else it is one word short. */
static struct results run_ops(const struct backend_ops *op, struct backend *b, const struct inputs *in,
                              bool is_alone, bool has_room)
{
    void *value[N_VALUES] = {narrowed(op, b, in->in[0], in->q), narrowed(op, b, in->in[1], in->k),
                             narrowed(op, b, in->in[2], in->k), narrowed(op, b, in->in[3], in->o)};
    void *owner = copied(op, b, in->owner, in->n_q * sizeof(*in->owner));
    void *index = copied(op, b, in->index, in->n_q * sizeof(*in->index));
    struct attn_args a = arguments(in, value, owner, index);
    float *bias = copied(op, b, in->bias, in->n_bias * sizeof(float));
    a.o = bytes(op, b, in->o * op->value_bytes);
    a.lse = bytes(op, b, in->n_lse * sizeof(float));
    a.dq = bytes(op, b, in->q * op->value_bytes);
    a.dk = bytes(op, b, in->k * op->value_bytes);
    a.dv = bytes(op, b, in->k * op->value_bytes);
    if (in->n_bias) {
        a.bias_table = bias;
        if (!in->s->is_frozen)
            a.dbias_table = copied(op, b, in->bias, in->n_bias * sizeof(float)); /* is added to */
    }
    a.n_keep = keep_words(in->s) - (has_room ? 0 : 1);
    a.keep = bytes(op, b, a.n_keep * sizeof(*a.keep));
    call(op, b, a, is_alone);
    struct err e = {0};
    if (op->sync(b, &e))
        TEST_FAIL("%s: %s", in->s->name, e.text);
    struct results r = {.o = fetched(op, b, a.o, in->o, true), .lse = fetched(op, b, a.lse, in->n_lse, false),
                        .dq = fetched(op, b, a.dq, in->q, true), .dk = fetched(op, b, a.dk, in->k, true),
                        .dv = fetched(op, b, a.dv, in->k, true)};
    if (a.dbias_table)
        r.dbias = fetched(op, b, a.dbias_table, in->n_bias, false);
    for (int i = 0; i < N_VALUES; i++)
        op->free(b, value[i]);
    op->free(b, owner);
    op->free(b, index);
    op->free(b, bias);
    op->free(b, a.keep);
    return r;
}

static void free_results(struct results *r)
{
    float *all[] = {r->o, r->lse, r->dq, r->dk, r->dv, r->dbias};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        free(all[i]);
}

static void near(const struct inputs *in, const char *what, size_t n, const float *got, const float *want,
                 double tolerance)
{
    double top = 1e-30, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        top = fmax(top, fabs((double)want[i]));
        if (!(d <= worst)) {
            worst = d;
            at = i;
        }
    }
    if (!(worst <= tolerance * top))
        TEST_FAIL("%s: %s[%zu]: got %.9g, want %.9g, largest %.3g, error %.3g, tolerance %.3g", in->s->name, what, at,
                  (double)got[at], (double)want[at], top, worst / top, tolerance);
}

static void equal(const struct inputs *in, const char *when, const struct results *a, const struct results *b)
{
    const float *x[] = {a->o, a->lse, a->dq, a->dk, a->dv}, *y[] = {b->o, b->lse, b->dq, b->dk, b->dv};
    const size_t n[] = {in->o, in->n_lse, in->q, in->k, in->k};
    static const char *const name[] = {"o", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < 5; i++)
        if (memcmp(x[i], y[i], n[i] * sizeof(float)) != 0)
            TEST_FAIL("%s: %s: differs when %s", in->s->name, name[i], when);
}

static struct backend *opened(const struct backend_ops *op)
{
    struct backend *b = NULL;
    struct err e = {0};
    if (op->open(&b, 0, 1, &e)) {
        printf("cannot open the backend: %s\n", e.text);
        exit(1);
    }
    return b;
}

/* One backend: near to the CPU, and the same bytes for a sequence whatever stands beside it, and whether
 * dropout's bits are kept or made again. */
static void check_backend(const struct backend_ops *op, const struct inputs *in, const struct results *want,
                          double tolerance)
{
    struct backend *b = opened(op);
    struct results r = run_ops(op, b, in, false, true), alone = run_ops(op, b, in, true, true);
    double lonely = in->s->lonely > 0 ? in->s->lonely : 1;
    near(in, "o", in->o, r.o, want->o, tolerance);
    near(in, "lse", in->n_lse, r.lse, want->lse, 1e-6);
    near(in, "dq", in->q, r.dq, want->dq, tolerance * lonely);
    near(in, "dk", in->k, r.dk, want->dk, tolerance * lonely);
    near(in, "dv", in->k, r.dv, want->dv, tolerance);
    if (r.dbias)
        near(in, "dbias", in->n_bias, r.dbias, want->dbias, tolerance);
    equal(in, "a sequence is alone", &r, &alone);
    if (op->keep_words > 0 && in->s->p > 0) {
        struct results made = run_ops(op, b, in, false, false);
        equal(in, "dropout's bits are made again", &r, &made);
        free_results(&made);
    }
    free_results(&r);
    free_results(&alone);
    op->close(b);
}

/* With dropout and without it. */
static void check_shape(struct shape s)
{
    for (int drops = 0; drops < 2; drops++) {
        s.p = drops ? 0.15f : 0;
        struct inputs in = make_inputs(&s);
        struct backend *cpu = opened(&cpu_backend);
        struct results want = run_ops(&cpu_backend, cpu, &in, false, true);
        cpu_backend.close(cpu);
        check_backend(&cuda_backend, &in, &want, 3e-6);
        if (s.d_kv % 8 == 0 && s.d_kv <= 128)
            check_backend(&cuda_bf16_backend, &in, &want, 0x1p-7);
        free_results(&want);
        for (int i = 0; i < N_VALUES; i++)
            free(in.in[i]);
        free(in.bias);
        free(in.owner);
        free(in.index);
    }
}

static void heads_of_every_width_agree_with_the_cpu(void)
{
    check_shape((struct shape){.name = "64", .n_seqs = 4, .n_heads = 3, .d_kv = 64, .q_len = {17, 1, 70, 0},
                               .k_len = {17, 1, 70, 0}, .has_bias = true, .is_bidirectional = true});
    check_shape((struct shape){.name = "8", .n_seqs = 2, .n_heads = 5, .d_kv = 8, .q_len = {64, 33},
                               .k_len = {64, 33}, .has_bias = true, .is_bidirectional = true});
    check_shape((struct shape){.name = "128", .n_seqs = 2, .n_heads = 1, .d_kv = 128, .q_len = {65, 9},
                               .k_len = {65, 9}, .has_bias = true, .is_bidirectional = true});
    check_shape((struct shape){.name = "72", .n_seqs = 1, .n_heads = 2, .d_kv = 72, .q_len = {20}, .k_len = {20},
                               .has_bias = true, .is_bidirectional = true});
    check_shape((struct shape){.name = "200", .n_seqs = 1, .n_heads = 2, .d_kv = 200, .q_len = {20}, .k_len = {30},
                               .has_bias = true, .is_bidirectional = true});
}

static void decoders_agree_with_the_cpu(void)
{
    check_shape((struct shape){.name = "causal", .n_seqs = 3, .n_heads = 3, .d_kv = 64, .q_len = {29, 140, 1},
                               .k_len = {29, 140, 1}, .has_bias = true, .is_causal = true});
    check_shape((struct shape){.name = "keys past the last query", .n_seqs = 2, .n_heads = 2, .d_kv = 32,
                               .q_len = {5, 66}, .k_len = {150, 200}, .has_bias = true, .is_causal = true});
    check_shape((struct shape){.name = "cross", .n_seqs = 3, .n_heads = 2, .d_kv = 64, .q_len = {29, 3, 0},
                               .k_len = {150, 64, 65}});
    check_shape((struct shape){.name = "cross, one key", .n_seqs = 3, .n_heads = 2, .d_kv = 16, .lonely = 16,
                               .q_len = {70, 2, 19}, .k_len = {1, 150, 1}});
}

static void queries_in_the_middle_agree_with_the_cpu(void)
{
    check_shape((struct shape){.name = "one query", .n_seqs = 3, .n_heads = 3, .d_kv = 64, .q_len = {1, 1, 1},
                               .k_len = {70, 9, 33}, .q_pos = {40, 8, 32}, .has_pos = true, .has_bias = true,
                               .is_causal = true});
    check_shape((struct shape){.name = "one query, cross", .n_seqs = 4, .n_heads = 3, .d_kv = 40,
                               .q_len = {1, 0, 1, 2}, .k_len = {70, 9, 150, 20}});
    check_shape((struct shape){.name = "one query of 128", .n_seqs = 2, .n_heads = 2, .d_kv = 128, .lonely = 16,
                               .q_len = {1, 1}, .k_len = {1, 150}});
    check_shape((struct shape){.name = "more", .n_seqs = 3, .n_heads = 2, .d_kv = 64, .q_len = {3, 65, 1},
                               .k_len = {100, 160, 70}, .q_pos = {90, 95, 69}, .has_pos = true, .has_bias = true,
                               .is_causal = true});
}

/* The bias has no gradient, as with adapters. */
static void sequences_around_a_limit_agree_with_the_cpu(void)
{
    check_shape((struct shape){.name = "tiles", .n_seqs = 6, .n_heads = 2, .d_kv = 64, .is_frozen = true,
                               .q_len = {64, 65, 1, 129, 16, 0}, .k_len = {64, 65, 1, 129, 16, 0},
                               .has_bias = true, .is_bidirectional = true});
    check_shape((struct shape){.name = "tiles, causal", .n_seqs = 4, .n_heads = 3, .d_kv = 40, .is_frozen = true,
                               .q_len = {29, 140, 64, 65}, .k_len = {29, 140, 64, 65}, .has_bias = true,
                               .is_causal = true});
    check_shape((struct shape){.name = "frozen, in the middle", .n_seqs = 3, .n_heads = 3, .d_kv = 64,
                               .q_len = {3, 65, 1}, .k_len = {100, 160, 70}, .q_pos = {90, 95, 69},
                               .has_pos = true, .is_frozen = true, .has_bias = true, .is_causal = true});
    check_shape((struct shape){.name = "queries without keys", .n_seqs = 3, .n_heads = 2, .d_kv = 16,
                               .q_len = {70, 20, 3}, .k_len = {80, 0, 64}});
    check_shape((struct shape){.name = "three tiles", .n_seqs = 2, .n_heads = 3, .d_kv = 32, .is_frozen = true,
                               .q_len = {192, 30}, .k_len = {192, 30}, .has_bias = true,
                               .is_bidirectional = true});
    check_shape((struct shape){.name = "511, 513", .n_seqs = 2, .n_heads = 1, .d_kv = 8, .is_frozen = true,
                               .q_len = {511, 513}, .k_len = {511, 513}, .has_bias = true,
                               .is_bidirectional = true});
}

int main(void)
{
    CASE(heads_of_every_width_agree_with_the_cpu);
    CASE(decoders_agree_with_the_cpu);
    CASE(queries_in_the_middle_agree_with_the_cpu);
    CASE(sequences_around_a_limit_agree_with_the_cpu);
    return test_end();
}
