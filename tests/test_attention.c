/* Attention against a reference in double that follows the formula pair by pair. */
#include "models/cpu.h"
#include "models/t5_bucket.h"
#include "tests/ops.h"

/* The reference's inputs, and where its sequences lie. */
struct reference {
    const struct attn_args *a;
    int n_q, n_k;
    double *q, *k, *v, *bias, *weight, *o, *lse;
};

static void reference_row(const struct reference *r, int s, int i, int head)
{
    const struct attn_args *a = r->a;
    int pos = (a->q_pos ? a->q_pos[s] : 0) + i, row = a->q_start[s] + i;
    double p[700], top = -HUGE_VAL, sum = 0;
    int n = a->k_len[s];
    for (int j = 0; j < n; j++) {
        int key = a->k_start[s] + j;
        p[j] = 0;
        for (int c = head * a->d_kv; c < (head + 1) * a->d_kv; c++)
            p[j] += r->q[(size_t)row * a->ld_q + (size_t)c] * r->k[(size_t)key * a->ld_kv + (size_t)c];
        if (r->bias)
            p[j] += r->bias[t5_bucket(j - pos, a->is_bidirectional, a->n_buckets, a->max_distance) *
                                a->n_heads + head];
        if (a->is_causal && j > pos)
            p[j] = -HUGE_VAL;
        top = fmax(top, p[j]);
    }
    for (int j = 0; j < n; j++)
        sum += p[j] = exp(p[j] - top);
    r->lse[row * a->n_heads + head] = top + log(sum);
    for (int c = head * a->d_kv; c < (head + 1) * a->d_kv; c++) {
        double o = 0;
        for (int j = 0; j < n; j++)
            o += p[j] / sum * lab_mask(&a->drop, row, (uint32_t)head * 65536u + (uint32_t)j) *
                 r->v[(size_t)(a->k_start[s] + j) * a->ld_kv + (size_t)c];
        r->o[(size_t)row * a->ld_o + (size_t)c] = o;
    }
}

static double reference_loss(void *ctx)
{
    struct reference *r = ctx;
    const struct attn_args *a = r->a;
    double loss = 0;
    for (int s = 0; s < a->n_seqs; s++)
        for (int i = 0; i < a->q_len[s]; i++)
            for (int h = 0; h < a->n_heads; h++)
                reference_row(r, s, i, h);
    for (size_t i = 0; i < (size_t)r->n_q * a->ld_o; i++)
        loss += r->weight[i] * r->o[i];
    return loss;
}

struct shape {
    int n_seqs, n_heads, d_kv;
    int32_t q_len[6], k_len[6], q_pos[6];
    bool has_bias, is_causal, is_bidirectional, has_pos, no_gradient;
    float p;
    size_t every;
};

static int starts(int n, const int32_t *len, int32_t *start)
{
    int total = 0;
    for (int s = 0; s < n; s++) {
        start[s] = total;
        total += len[s];
    }
    return total;
}

static void check_gradients(struct lab *l, struct attn_args *a, struct reference *r)
{
    size_t q = (size_t)r->n_q * a->ld_q, k = (size_t)r->n_k * a->ld_kv;
    size_t buckets = (size_t)(a->n_buckets * a->n_heads);
    float *dq = lab_zero(l, q), *dk = lab_zero(l, k), *dv = lab_zero(l, k);
    a->dq = dq;
    a->dk = dk;
    a->dv = dv;
    a->dbias_table = a->bias_table ? lab_filled(l, buckets, 0.5f) : NULL;
    l->op->attention_backward(l->b, a);
    lab_gradient(l, "dq", q, r->q, reference_loss, r, dq, 0);
    lab_gradient(l, "dk", k, r->k, reference_loss, r, dk, 0);
    lab_gradient(l, "dv", k, r->v, reference_loss, r, dv, 0);
    if (r->bias)
        lab_gradient(l, "dbias", buckets, r->bias, reference_loss, r, a->dbias_table, 0.5);
}

/* Heads are n_heads * d_kv columns of wider rows, so that strides count. */
static void check_shape(const struct shape *s)
{
    struct lab l = lab_open(2);
    l.every = s->every;
    int32_t q_start[6], k_start[6];
    struct reference r = {.n_q = starts(s->n_seqs, s->q_len, q_start),
                          .n_k = starts(s->n_seqs, s->k_len, k_start)};
    size_t d = (size_t)(s->n_heads * s->d_kv), ld_q = d + 3, ld_kv = d + 5, ld_o = d + 1;
    size_t q = (size_t)r.n_q * ld_q, k = (size_t)r.n_k * ld_kv, o = (size_t)r.n_q * ld_o;
    size_t lse = (size_t)(r.n_q * s->n_heads);
    struct attn_args a = {.n_seqs = s->n_seqs, .q_start = q_start, .q_len = s->q_len, .k_start = k_start,
                          .k_len = s->k_len, .q_pos = s->has_pos ? s->q_pos : NULL, .n_heads = s->n_heads,
                          .d_kv = s->d_kv, .ld_q = ld_q, .ld_kv = ld_kv, .ld_o = ld_o,
                          .is_causal = s->is_causal, .is_bidirectional = s->is_bidirectional,
                          .n_buckets = 8, .max_distance = 20, .drop = lab_dropout(&l, r.n_q, s->p)};
    a.q = lab_random(&l, q, 0.9);
    a.k = lab_random(&l, k, 0.9);
    a.v = lab_random(&l, k, 1);
    a.o = lab_zero(&l, o);
    a.lse = lab_zero(&l, lse);
    a.dout = lab_random(&l, o, 1);
    float *bias = s->has_bias ? lab_random(&l, (size_t)(8 * s->n_heads), 2) : NULL;
    a.bias_table = bias;
    r.a = &a;
    r.q = lab_double(&l, a.q, q);
    r.k = lab_double(&l, a.k, k);
    r.v = lab_double(&l, a.v, k);
    r.bias = bias ? lab_double(&l, bias, (size_t)(8 * s->n_heads)) : NULL;
    r.weight = lab_double(&l, a.dout, o);
    r.o = lab_double(&l, a.o, o);
    r.lse = lab_double(&l, a.lse, lse);
    l.op->attention(l.b, &a);
    reference_loss(&r);
    lab_near(&l, "o", o, a.o, r.o, 3e-6);
    lab_near(&l, "lse", lse, a.lse, r.lse, 1e-6);
    if (!s->no_gradient)
        check_gradients(&l, &a, &r);
    lab_close(&l);
}

static void encoder_self_attention_and_its_gradients(void)
{
    struct shape s = {.n_seqs = 4, .n_heads = 3, .d_kv = 8, .q_len = {1, 17, 5, 9}, .k_len = {1, 17, 5, 9},
                      .has_bias = true, .is_bidirectional = true};
    check_shape(&s);
    s.p = 0.3f;
    check_shape(&s);
}

static void causal_self_attention_and_its_gradients(void)
{
    struct shape s = {.n_seqs = 3, .n_heads = 2, .d_kv = 5, .q_len = {19, 1, 6}, .k_len = {19, 1, 6},
                      .has_bias = true, .is_causal = true};
    check_shape(&s);
    s.p = 0.2f;
    check_shape(&s);
}

static void cross_attention_without_bias_and_its_gradients(void)
{
    struct shape s = {.n_seqs = 4, .n_heads = 2, .d_kv = 16, .q_len = {3, 1, 4, 2}, .k_len = {11, 1, 7, 18}};
    check_shape(&s);
    s.p = 0.1f;
    check_shape(&s);
}

static void long_sequences_take_several_tiles(void)
{
    struct shape s = {.n_seqs = 2, .n_heads = 2, .d_kv = 4, .q_len = {300, 131}, .k_len = {300, 131},
                      .has_bias = true, .is_bidirectional = true, .no_gradient = true, .p = 0.1f};
    check_shape(&s);
    s.is_causal = true;
    check_shape(&s);
    s = (struct shape){.n_seqs = 1, .n_heads = 1, .d_kv = 1, .q_len = {135}, .k_len = {135},
                       .has_bias = true, .is_causal = true, .p = 0.1f, .every = 13};
    check_shape(&s);
    s.is_causal = false;
    check_shape(&s);
}

static void one_query_at_a_position_sees_the_keys_before_it(void)
{
    struct shape s = {.n_seqs = 3, .n_heads = 2, .d_kv = 8, .q_len = {1, 1, 2}, .k_len = {6, 9, 5},
                      .q_pos = {5, 3, 2}, .has_pos = true, .has_bias = true, .is_causal = true};
    check_shape(&s);
    /* no sequence has more: decoding */
    s = (struct shape){.n_seqs = 4, .n_heads = 3, .d_kv = 20, .q_len = {1, 1, 0, 1}, .k_len = {6, 33, 5, 1},
                       .q_pos = {5, 20, 2, 0}, .has_pos = true, .has_bias = true, .is_causal = true};
    check_shape(&s);
    s.has_bias = s.has_pos = s.is_causal = false;
    check_shape(&s);
}

static void empty_sequences_change_nothing(void)
{
    struct shape s = {.n_seqs = 4, .n_heads = 2, .d_kv = 8, .q_len = {0, 3, 0, 2}, .k_len = {4, 3, 0, 5},
                      .has_bias = true, .is_bidirectional = true, .p = 0.25f};
    check_shape(&s);
}

/* Queries without keys: o is 0, and so is their gradient. */
static void queries_without_keys_give_zero(void)
{
    struct lab l = lab_open(1);
    const int32_t zero = 0, two = 2;
    float *q = lab_random(&l, 8, 1), *o = lab_filled(&l, 8, 9), *dq = lab_filled(&l, 8, 9);
    struct attn_args a = {.n_seqs = 1, .q_start = &zero, .q_len = &two, .k_start = &zero, .k_len = &zero,
                          .n_heads = 1, .d_kv = 4, .ld_q = 4, .ld_kv = 4, .ld_o = 4, .q = q, .k = q,
                          .v = q, .o = o, .lse = lab_zero(&l, 2), .dout = q, .dq = dq,
                          .dk = lab_zero(&l, 4), .dv = lab_zero(&l, 4)};
    const double want[8] = {0};
    l.op->attention(l.b, &a);
    l.op->attention_backward(l.b, &a);
    lab_near(&l, "o", 8, o, want, 1e-30);
    lab_near(&l, "dq", 8, dq, want, 1e-30);
    lab_close(&l);
}

static void gradients_are_written_over_what_was_there(void)
{
    struct lab l = lab_open(1);
    const int32_t zero = 0, n = 9;
    float *q = lab_random(&l, 36, 1), *d[6];
    for (int i = 0; i < 6; i++)
        d[i] = lab_filled(&l, 36, i < 3 ? 0 : 7);
    struct attn_args a = {.n_seqs = 1, .q_start = &zero, .q_len = &n, .k_start = &zero, .k_len = &n,
                          .n_heads = 1, .d_kv = 4, .ld_q = 4, .ld_kv = 4, .ld_o = 4, .q = q, .k = q, .v = q,
                          .o = lab_zero(&l, 36), .lse = lab_zero(&l, 9), .dout = q};
    for (int causal = 0; causal < 2; causal++) {
        a.is_causal = causal;
        l.op->attention(l.b, &a);
        for (int i = 0; i < 6; i += 3) {
            a.dq = d[i];
            a.dk = d[i + 1];
            a.dv = d[i + 2];
            l.op->attention_backward(l.b, &a);
        }
        for (int i = 0; i < 3; i++)
            lab_near(&l, "second call", 36, d[i + 3], lab_double(&l, d[i], 36), 0);
    }
    lab_close(&l);
}

/* --- attention without keys and values --- */

struct absorbed_shape {
    int n_seqs, n_heads, d_kv, d, most; /* rows of a sequence: 1 .. most, or none of every fifth */
};

/* The same attention with keys and values, [n_x, inner] each, by the reference above. */
static double *with_keys(struct lab *l, const struct absorbed_args *a, int n_x)
{
    int inner = a->n_heads * a->d_kv;
    size_t d = (size_t)a->d, n = (size_t)inner, size = (size_t)n_x * n;
    double *x = lab_double(l, a->x, (size_t)n_x * d);
    double *w[2] = {lab_double(l, a->wk, n * d), lab_double(l, a->wv, n * d)};
    double *kv[2] = {calloc(size, sizeof(double)), calloc(size, sizeof(double))};
    for (int which = 0; which < 2; which++)
        for (size_t i = 0; i < size; i++)
            for (size_t c = 0; c < d; c++)
                kv[which][i] += x[i / n * d + c] * w[which][i % n * d + c];
    double *lse = calloc((size_t)(a->n_seqs * a->n_heads), sizeof(*lse));
    int32_t *row = calloc((size_t)a->n_seqs, sizeof(*row)), *one = calloc((size_t)a->n_seqs, sizeof(*one));
    for (int s = 0; s < a->n_seqs; s++) {
        row[s] = s;
        one[s] = 1;
    }
    struct attn_args t = {.n_seqs = a->n_seqs, .q_start = row, .q_len = one, .k_start = a->x_start, .k_len = a->x_len,
                          .n_heads = a->n_heads, .d_kv = a->d_kv, .ld_q = n, .ld_kv = n, .ld_o = n};
    struct reference r = {.a = &t, .n_q = a->n_seqs, .n_k = n_x, .q = lab_double(l, a->q, (size_t)a->n_seqs * n),
                          .k = kv[0], .v = kv[1], .o = lab_double(l, a->o, (size_t)a->n_seqs * n), .lse = lse};
    for (int s = 0; s < a->n_seqs; s++)
        for (int h = 0; h < a->n_heads; h++)
            reference_row(&r, s, 0, h);
    for (int i = 0; i < 2; i++)
        free(kv[i]);
    free(lse);
    free(row);
    free(one);
    return r.o;
}

/* is_plain: without the kernels of this processor */
static void check_absorbed(const struct absorbed_shape *s, int n_threads, bool is_plain)
{
    struct lab l = lab_open(n_threads);
    if (is_plain && l.op->is_host) {
        cpu_of(l.b)->mix = NULL;
        cpu_of(l.b)->few_wide = NULL;
    }
    int32_t len[64], start[64];
    CHECK_TRUE(s->n_seqs <= 64);
    for (int i = 0; i < s->n_seqs; i++)
        len[i] = i % 5 == 3 ? 0 : 1 + (i * 37 + s->most - 1) % s->most;
    int n_x = starts(s->n_seqs, len, start), inner = s->n_heads * s->d_kv;
    size_t q = (size_t)(s->n_seqs * inner), w = (size_t)inner * (size_t)s->d;
    struct absorbed_args a = {.n_seqs = s->n_seqs, .x_start = start, .x_len = len, .n_heads = s->n_heads,
                              .d_kv = s->d_kv, .d = s->d};
    a.q = lab_random(&l, q, 0.9);
    a.x = lab_random(&l, (size_t)n_x * (size_t)s->d, 1);
    a.wk = lab_random(&l, w, 2.0 / sqrt(s->d));
    a.wv = lab_random(&l, w, 2.0 / sqrt(s->d));
    a.o = lab_random(&l, q, 1);
    l.op->attention_absorbed(l.b, &a);
    double *want = with_keys(&l, &a, n_x);
    for (size_t i = 0; i < q; i++) /* nothing gives 0, not the 0 / 0 of the reference */
        want[i] = len[i / (size_t)inner] ? want[i] : 0;
    lab_near(&l, "o", q, a.o, want, 3e-6);
    lab_close(&l);
}

static void absorbed_attention_is_attention_of_keys_and_values(void)
{
    static const struct absorbed_shape shape[] = {{1, 1, 1, 1, 1},      {3, 2, 4, 6, 9},     {3, 6, 64, 512, 190},
                                                  {4, 12, 16, 70, 33},  {6, 9, 5, 33, 17},   {35, 3, 8, 24, 40},
                                                  {3, 16, 8, 130, 600}, {2, 7, 10, 100, 65}};
    if (!LAB_BACKEND.attention_absorbed) {
        printf("     not on this backend\n");
        return;
    }
    for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++)
        check_absorbed(&shape[i], 1 + (int)i % 3, false);
    for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++)
        check_absorbed(&shape[i], 1 + (int)i % 3, true);
}

/* 32 buckets, distance 128: the edges as Hugging Face's code has them. */
static void buckets_of_relative_positions(void)
{
    const int by_distance[][2] = {{0, 0}, {7, 7}, {8, 8}, {11, 8}, {12, 9}, {15, 9}, {16, 10}, {22, 10},
                                  {23, 11}, {31, 11}, {32, 12}, {45, 12}, {46, 13}, {63, 13}, {64, 14},
                                  {90, 14}, {91, 15}, {128, 15}, {5000, 15}};
    for (size_t i = 0; i < sizeof(by_distance) / sizeof(by_distance[0]); i++) {
        int d = by_distance[i][0];
        CHECK_INT(t5_bucket(-d, 1, 32, 128), by_distance[i][1]);
        if (d > 0)
            CHECK_INT(t5_bucket(d, 1, 32, 128), 16 + by_distance[i][1]);
    }
    CHECK_INT(t5_bucket(1, 0, 32, 128), 0);
    CHECK_INT(t5_bucket(-15, 0, 32, 128), 15);
    CHECK_INT(t5_bucket(-32, 0, 32, 128), 21);
    CHECK_INT(t5_bucket(-64, 0, 32, 128), 26);
    CHECK_INT(t5_bucket(-128, 0, 32, 128), 31);
}

int main(void)
{
    lab_skip_unless(&LAB_BACKEND);
    CASE(encoder_self_attention_and_its_gradients);
    CASE(causal_self_attention_and_its_gradients);
    CASE(cross_attention_without_bias_and_its_gradients);
    CASE(long_sequences_take_several_tiles);
    CASE(one_query_at_a_position_sees_the_keys_before_it);
    CASE(empty_sequences_change_nothing);
    CASE(queries_without_keys_give_zero);
    CASE(gradients_are_written_over_what_was_there);
    CASE(absorbed_attention_is_attention_of_keys_and_values);
    CASE(buckets_of_relative_positions);
    return test_end();
}
