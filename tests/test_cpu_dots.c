/* Products of bfloat16 by hand, masks as bits, and attention with both, against plain code. */
#include "models/cpu_dots.h"

#include <math.h>
#include <string.h>

#include "models/cpu_attn.h"
#include "models/cpu_mask.h"
#include "models/cpu_math.h"
#include "models/dropout.h"
#include "tests/test.h"

static uint16_t number(uint32_t fill, size_t i)
{
    return cpu_narrowed((float)(2 * rng_uniform(3, 200, fill, i) - 1));
}

/* Every element is some x, which is no number, where an operand must not be read. */
static uint16_t *numbers(uint32_t fill, size_t rows, size_t cols, size_t ld)
{
    uint16_t *p = malloc((rows * ld + 1) * sizeof(*p));
    for (size_t i = 0; i < rows * ld; i++)
        p[i] = i % ld < cols ? number(fill, i) : 0x7fc0;
    return p;
}

/* --- products --- */

struct shape {
    int m, n, k;
};

static double exact(const uint16_t *a, size_t ld_a, const uint16_t *b, size_t row, size_t col, int k)
{
    double sum = 0;
    for (size_t j = 0; j < (size_t)k; j++)
        sum += (double)cpu_widened(a[row * ld_a + j]) * (double)cpu_widened(b[j * 200 + col]);
    return sum;
}

/* a [m, k] b [k, n], k even, with b packed from rows or, transposed first, from columns. */
static void check_product(struct shape s, bool by_cols, enum cpu_dots_end end)
{
    size_t m = (size_t)s.m, n = (size_t)s.n, k = (size_t)s.k, ld_a = k + 4, room = (n + 15) / 16 * 16;
    uint16_t *a = numbers(1, m, k, ld_a), *b = numbers(2, k, n, 200), *bt = malloc((n * (k + 6) + 1) * sizeof(*bt));
    uint32_t *packed = malloc(room * (k / 2) * sizeof(*packed) + 1);
    float *c = malloc(m * room * sizeof(*c)), *factor = malloc(m * sizeof(*factor));
    for (size_t i = 0; i < n * (k + 6); i++)
        bt[i] = i % (k + 6) < k ? b[i % (k + 6) * 200 + i / (k + 6)] : 0x7fc0;
    for (size_t i = 0; i < m * room; i++)
        c[i] = 0.5f;
    for (size_t i = 0; i < m; i++)
        factor[i] = (float)i;
    if (by_cols)
        cpu_dots_pack_cols(packed, s.k / 2, bt, k + 6, s.n);
    else
        cpu_dots_pack_rows(packed, s.k / 2, b, 200, s.k, s.n);
    struct cpu_dots d = {.m = s.m, .n = s.n, .n_pairs = s.k / 2, .a = a, .a_row = ld_a * 2, .a_pair = 4, .b = packed,
                         .panel = k / 2 * 16, .c = c, .ld_c = room, .factor = end == CPU_DOTS_NARROW ? factor : NULL};
    cpu_dots(&d, end);
    const uint16_t *narrow = (const uint16_t *)(const void *)c;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double want = exact(a, ld_a, b, i, j, s.k);
            if (end == CPU_DOTS_NARROW)
                CHECK_NEAR((double)cpu_widened(narrow[i * room + j]), want * (double)i,
                           0.004 * fabs(want * (double)i) + 1e-5 * (double)i);
            else
                CHECK_NEAR((double)c[i * room + j], want + (end == CPU_DOTS_ADD ? 0.5 : 0), 1e-5);
        }
    free(a);
    free(b);
    free(bt);
    free(packed);
    free(c);
    free(factor);
}

static void products_of_any_size_are_exact_to_rounding(void)
{
    static const struct shape shapes[] = {{1, 1, 2}, {6, 64, 64}, {7, 65, 2}, {12, 33, 30}, {17, 130, 48}, {5, 15, 98},
                                          {4, 16, 34}, {3, 48, 8}, {2, 100, 66}, {9, 70, 0}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (int end = CPU_DOTS_WRITE; end <= CPU_DOTS_NARROW; end++) {
            check_product(shapes[i], false, (enum cpu_dots_end)end);
            check_product(shapes[i], true, (enum cpu_dots_end)end);
        }
}

static void an_odd_row_is_paired_with_zeros(void)
{
    uint32_t packed[2 * 2 * 16];
    uint16_t *b = numbers(4, 3, 20, 21);
    memset(packed, 0xff, sizeof(packed));
    cpu_dots_pack_rows(packed, 2, b, 21, 3, 20);
    for (size_t pair = 0; pair < 2; pair++)
        for (size_t col = 0; col < 32; col++) {
            uint32_t low = col < 20 ? b[2 * pair * 21 + col] : 0;
            uint32_t high = col < 20 && pair == 0 ? b[21 + col] : 0;
            CHECK_INT(packed[(col / 16 * 2 + pair) * 16 + col % 16], low | high << 16);
        }
    free(b);
}

/* --- masks --- */

static void masks_are_their_definition_to_the_bit(void)
{
    static const uint32_t owner[] = {3, 0xfffffffe}, index[] = {17, 900};
    static const int ns[] = {1, 8, 15, 63, 64, 65, 127, 128, 129, 200, 256, 257, 511, 512, 700};
    static const float ps[] = {0.05f, 0.1f, 0.9f};
    float mask[1024], plain[1024];
    uint32_t keep[64];
    for (size_t k = 0; k < sizeof(ns) / sizeof(ns[0]); k++)
        for (size_t i = 0; i < 6; i++) {
            struct dropout drop = {.p = ps[i / 2], .site = RNG_DROPOUT + 9, .seed = 0xfedcba9876543210u,
                                   .row_owner = owner, .row_index = index};
            uint32_t col = (uint32_t)i * 65536u, threshold = dropout_threshold(drop.p);
            int wrong = 0;
            cpu_keep(keep, ns[k], &drop, i % 2, col);
            cpu_mask(mask, ns[k], &drop, i % 2, col);
            cpu_mask_plain(plain, ns[k], &drop, i % 2, col);
            for (int j = 0; j < ns[k]; j++) {
                int kept = dropout_keep(drop.seed, drop.site, owner[i % 2], index[i % 2], col + (uint32_t)j, threshold);
                float want = kept ? dropout_scale(threshold) : 0;
                wrong += (int)(keep[j / 32] >> (j % 32) & 1) != kept || mask[j] != want || plain[j] != want;
            }
            CHECK_INT(wrong, 0);
        }
}

/* --- attention --- */

enum { MOST = 420, HEADS = 2, WIDEST = 72, LD = HEADS * WIDEST + 8, BUCKETS = 8 };

/* What attention wrote: o, dq, dk, dv, then lse and the bias's gradient. */
struct written {
    uint16_t values[4][MOST * LD];
    float lse[MOST * HEADS], dbias[BUCKETS * HEADS];
};

struct attention {
    int d_kv;
    bool has_bias, is_causal, has_pos;
    float p;
    int32_t q_len[4], k_len[4];
};

static void attend(const struct attention *t, bool has_dots, int n_threads, struct written *out)
{
    static const int32_t pos[4] = {0, 7, 30, 2};
    struct backend *b = NULL;
    struct err e = {0};
    int32_t q_start[4] = {0}, k_start[4] = {0};
    uint32_t owner[MOST], index[MOST];
    uint16_t *in[4];
    float bias[BUCKETS * HEADS];
    for (int s = 0; s < 3; s++) {
        q_start[s + 1] = q_start[s] + t->q_len[s];
        k_start[s + 1] = k_start[s] + t->k_len[s];
    }
    for (uint32_t i = 0; i < MOST; i++) {
        owner[i] = i / 50;
        index[i] = i % 50;
    }
    for (uint32_t i = 0; i < 4; i++)
        in[i] = numbers(10 + i, MOST, (size_t)(HEADS * t->d_kv), LD);
    for (uint32_t i = 0; i < BUCKETS * HEADS; i++)
        bias[i] = (float)rng_uniform(3, 200, 20, i);
    memset(out, 0, sizeof(*out));
    CHECK_INT(cpu_bf16_backend.open(&b, 0, n_threads, &e), OK);
    CHECK_TRUE(cpu_of(b)->has_dots);
    cpu_of(b)->has_dots = has_dots;
    struct attn_args a = {.n_seqs = 4, .q_start = q_start, .q_len = t->q_len, .k_start = k_start, .k_len = t->k_len,
                          .q_pos = t->has_pos ? pos : NULL, .n_heads = HEADS, .d_kv = t->d_kv, .ld_q = LD, .ld_kv = LD,
                          .ld_o = LD, .q = in[0], .k = in[1], .v = in[2], .dout = in[3], .o = out->values[0],
                          .dq = out->values[1], .dk = out->values[2], .dv = out->values[3], .lse = out->lse,
                          .is_causal = t->is_causal, .is_bidirectional = !t->is_causal, .n_buckets = BUCKETS,
                          .max_distance = 20, .bias_table = t->has_bias ? bias : NULL,
                          .dbias_table = t->has_bias ? out->dbias : NULL,
                          .drop = {.p = t->p, .site = RNG_DROPOUT + 5, .seed = 99, .row_owner = owner,
                                   .row_index = index}};
    b->ops->attention(b, &a);
    b->ops->attention_backward(b, &a);
    CHECK_INT(b->ops->sync(b, &e), OK);
    b->ops->close(b);
    for (int i = 0; i < 4; i++)
        free(in[i]);
}

/* The norm of the difference over the norm. Both are finite. */
static double apart(const uint16_t *got, const uint16_t *want, size_t n)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)cpu_widened(got[i]), y = (double)cpu_widened(want[i]);
        off += (x - y) * (x - y);
        all += y * y;
    }
    return sqrt(off / fmax(all, 1e-30));
}

static double floats_apart(const float *got, const float *want, size_t n)
{
    double off = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (isinf(want[i]) && got[i] == want[i]) /* a query without keys */
            continue;
        off += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        all += (double)want[i] * (double)want[i];
    }
    return sqrt(off / fmax(all, 1e-30));
}

static const struct attention ATTENTION[] = {
    {64, true, false, false, 0.1f, {130, 1, 33, 0}, {130, 1, 33, 0}},
    {64, true, true, false, 0.1f, {99, 2, 200, 7}, {99, 2, 200, 7}},
    {64, false, false, false, 0.1f, {5, 97, 1, 0}, {129, 64, 31, 17}},
    {72, true, true, false, 0, {31, 0, 65, 16}, {31, 0, 65, 16}},
    {6, true, false, false, 0.3f, {17, 33, 2, 100}, {300, 47, 0, 1}},
    {16, true, true, true, 0, {2, 40, 1, 9}, {3, 47, 31, 11}},
};
enum { N_ATTENTION = sizeof(ATTENTION) / sizeof(ATTENTION[0]) };

static void attention_is_that_of_the_plain_form(void)
{
    static const char *const WHAT[] = {"o", "dq", "dk", "dv"};
    static struct written by_hand, plain;
    for (int i = 0; i < N_ATTENTION; i++) {
        attend(&ATTENTION[i], true, 2, &by_hand);
        attend(&ATTENTION[i], false, 2, &plain);
        for (int k = 0; k < 4; k++) {
            double error = apart(by_hand.values[k], plain.values[k], MOST * LD);
            if (!(error <= 6e-3)) /* what each rounds on its way: 2^-8 at most */
                TEST_FAIL("attention %d, %s: off by %.3g", i, WHAT[k], error);
        }
        CHECK_TRUE(floats_apart(by_hand.lse, plain.lse, MOST * HEADS) <= 1e-6);
        CHECK_TRUE(floats_apart(by_hand.dbias, plain.dbias, BUCKETS * HEADS) <= 5e-3);
    }
}

static void attention_is_the_same_for_any_number_of_threads(void)
{
    static struct written one, three;
    for (int i = 0; i < N_ATTENTION; i++) {
        attend(&ATTENTION[i], true, 1, &one);
        attend(&ATTENTION[i], true, 3, &three);
        CHECK_INT(memcmp(&one, &three, sizeof(one)), 0);
    }
}

static void a_head_of_odd_width_takes_the_plain_form(void)
{
    static struct written by_hand, plain;
    struct attention t = ATTENTION[0];
    t.d_kv = 15;
    attend(&t, true, 2, &by_hand);
    attend(&t, false, 2, &plain);
    CHECK_INT(memcmp(&by_hand, &plain, sizeof(plain)), 0);
}

int main(void)
{
    struct backend *b = NULL;
    struct err e = {0};
    if (!cpu_attn_bf16_here() || cpu_bf16_backend.open(&b, 0, 1, &e)) {
        printf("skipped: no AVX-512 bf16 here, or no oneDNN in this build\n");
        return 77;
    }
    cpu_bf16_backend.close(b);
    CASE(products_of_any_size_are_exact_to_rounding);
    CASE(an_odd_row_is_paired_with_zeros);
    CASE(masks_are_their_definition_to_the_bit);
    CASE(attention_is_that_of_the_plain_form);
    CASE(attention_is_the_same_for_any_number_of_threads);
    CASE(a_head_of_odd_width_takes_the_plain_form);
    return test_end();
}
