/* The mean of products: exact where the rank allows it, the nearest where it does not. */
#include "tests/test.h"

#include "models/cpu_gemm_svd.h"
#include "models/lora_mean.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

static const struct t5_config config = {40, 12, 4, 20, 2, 2, 1, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
enum { MAX_K = 8 };

struct bench {
    struct arena a;
    struct lora_layout l;
    float *adapter[MAX_K];
    double *mean;
};

static void begin(struct bench *b, int rank, int n)
{
    struct err e = {0};
    const double weight[MAX_K] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct lora_spec spec = {
        .rank = rank, .alpha = 1, .targets = LORA_Q | LORA_WI_0 | LORA_WO};
    *b = (struct bench){0};
    lora_layout_init(&b->l, &config, &spec);
    b->mean = ARENA_NEW(&b->a, double, b->l.size);
    for (int i = 0; i < n; i++) {
        b->adapter[i] = ARENA_NEW(&b->a, float, b->l.size);
        for (size_t j = 0; j < b->l.size; j++)
            b->adapter[i][j] = (float)rng_normal(3, RNG_SPLIT, (uint32_t)i, j);
    }
    CHECK_INT(
        lora_mean_products(&b->l, (size_t)n, (const float *const *)b->adapter, weight, b->mean, &e),
        OK);
}

static void end(struct bench *b)
{
    lora_layout_fini(&b->l);
    arena_free(&b->a);
}

/* Element (o, i) of what the factors of a site multiply to. */
static double product(const struct bench *b, const struct lora_site *s, int o, int i)
{
    double sum = 0;
    int rank = b->l.spec.rank;
    for (int r = 0; r < rank; r++)
        sum += b->mean[s->b + (size_t)(o * rank + r)] * b->mean[s->a + (size_t)(r * s->d_in + i)];
    return sum;
}

/* ... and of the weighted mean of products, by its definition. */
static double wanted(const struct bench *b, const struct lora_site *s, int n, int o, int i)
{
    double sum = 0, total = 0;
    int rank = b->l.spec.rank;
    for (int k = 0; k < n; k++) {
        total += k + 1;
        for (int r = 0; r < rank; r++)
            sum += (k + 1) * (double)b->adapter[k][s->b + (size_t)(o * rank + r)] *
                   (double)b->adapter[k][s->a + (size_t)(r * s->d_in + i)];
    }
    return sum / total;
}

static double error_of(const struct bench *b, int n)
{
    double diff = 0, norm = 0;
    for (int k = 0; k < b->l.n_sites; k++) {
        const struct lora_site *s = &b->l.site[k];
        for (int o = 0; o < s->d_out; o++) {
            for (int i = 0; i < s->d_in; i++) {
                double want = wanted(b, s, n, o, i);
                diff += pow(product(b, s, o, i) - want, 2);
                norm += want * want;
            }
        }
    }
    return sqrt(diff / norm);
}

static void one_adapter_keeps_its_product(void)
{
    struct bench b;
    begin(&b, 3, 1); /* 3 <= 8: through QR */
    CHECK_NEAR(error_of(&b, 1), 0, 1e-12);
    end(&b);
}

static void a_rank_that_holds_the_mean_gives_it_exactly(void)
{
    struct bench b;
    begin(&b, 12, 4); /* 48 > 12: through the product; sites have rank up to 12 */
    CHECK_NEAR(error_of(&b, 4), 0, 1e-12);
    end(&b);
}

/* |a| = max(sqrt(s), 1/sqrt 3) and |a| |b| = s: so |a| = |b|, or |a| = 1/sqrt 3 and b is shorter.
 */
static void factors_are_balanced_but_no_row_of_a_gets_short(void)
{
    struct bench b;
    int n_balanced = 0, n_short = 0;
    begin(&b, 8, 1);
    for (int k = 0; k < b.l.n_sites; k++) {
        const struct lora_site *s = &b.l.site[k];
        for (size_t r = 0; r < 8; r++) {
            double a2 = 0, b2 = 0;
            for (size_t i = 0; i < (size_t)s->d_in; i++)
                a2 += pow(b.mean[s->a + r * (size_t)s->d_in + i], 2);
            for (size_t o = 0; o < (size_t)s->d_out; o++)
                b2 += pow(b.mean[s->b + o * 8 + r], 2);
            bool is_short = b2 < 0.333;
            CHECK_REL(a2, is_short ? 1.0 / 3 : b2, 1e-10);
            n_balanced += !is_short;
            n_short += is_short;
        }
    }
    CHECK_TRUE(n_balanced > 10 && n_short >= 1);
    end(&b);
}

/* Both ways, through QR (k = 4) and through the product (k = 6 with 2 columns of zeros added): the
 * same, and with the error that Eckart and Young say: the singular values left out. */
static void truncation_leaves_the_smallest_singular_values(void)
{
    enum { M = 5, N = 7, K = 4 };
    struct err e = {0};
    double s[2][K], error[2] = {0}, left[M * K], right[N * K], p[M * N];
    for (int way = 0; way < 2; way++) {
        int k = way ? 6 : K;
        double x[M * 6] = {0}, y[N * 6] = {0};
        for (uint64_t i = 0; i < M * K; i++)
            x[i] = rng_normal(1, RNG_SPLIT, 0, i);
        for (uint64_t i = 0; i < N * K; i++)
            y[i] = rng_normal(1, RNG_SPLIT, 1, i);
        for (int o = 0; o < M; o++)
            for (int i = 0; i < N; i++) {
                p[o * N + i] = 0;
                for (int r = 0; r < K; r++)
                    p[o * N + i] += x[r * M + o] * y[r * N + i];
            }
        CHECK_INT(cpu_low_rank(M, N, k, x, y, K, left, s[way], right, &e), OK);
        for (int o = 0; o < M; o++)
            for (int i = 0; i < N; i++) {
                double got = 0;
                for (int r = 0; r < 2; r++)
                    got += left[r * M + o] * s[way][r] * right[r * N + i];
                error[way] += pow(got - p[o * N + i], 2);
            }
        CHECK_REL(error[way], s[way][2] * s[way][2] + s[way][3] * s[way][3], 1e-10);
    }
    for (int r = 0; r < K; r++)
        CHECK_REL(s[0][r], s[1][r], 1e-12);
}

static void adapters_that_are_zero_keep_rows_to_learn_with(void)
{
    struct err e = {0};
    struct bench b;
    const double weight[] = {1, 1};
    begin(&b, 3, 2);
    for (int i = 0; i < 2; i++) /* as at the start: B is 0 */
        for (int k = 0; k < b.l.n_sites; k++)
            memset(b.adapter[i] + b.l.site[k].b, 0, 3 * (size_t)b.l.site[k].d_out * sizeof(float));
    CHECK_INT(lora_mean_products(&b.l, 2, (const float *const *)b.adapter, weight, b.mean, &e), OK);
    for (int k = 0; k < b.l.n_sites; k++) {
        const struct lora_site *s = &b.l.site[k];
        double sum = 0;
        for (size_t j = s->a; j < s->b; j++)
            sum += b.mean[j] * b.mean[j];
        CHECK_NEAR(sum, 1, 1e-12); /* three rows of squared length 1/3 */
        for (size_t j = s->b; j < s->b + 3 * (size_t)s->d_out; j++)
            CHECK_NEAR(b.mean[j], 0, 0);
    }
    end(&b);
}

static void a_value_that_is_no_number_is_not_hidden(void)
{
    struct err e = {0};
    struct bench b;
    const double weight[] = {1, 1};
    begin(&b, 3, 2);
    b.adapter[1][b.l.site[1].a + 4] = NAN;
    CHECK_INT(lora_mean_products(&b.l, 2, (const float *const *)b.adapter, weight, b.mean, &e), OK);
    CHECK_TRUE(isnan(b.mean[b.l.site[1].a]) && isnan(b.mean[b.l.site[1].b]));
    CHECK_TRUE(isfinite(b.mean[b.l.site[0].a]) && isfinite(b.mean[b.l.site[2].a]));
    end(&b);
}

int main(void)
{
    CASE(one_adapter_keeps_its_product);
    CASE(a_rank_that_holds_the_mean_gives_it_exactly);
    CASE(factors_are_balanced_but_no_row_of_a_gets_short);
    CASE(truncation_leaves_the_smallest_singular_values);
    CASE(adapters_that_are_zero_keep_rows_to_learn_with);
    CASE(a_value_that_is_no_number_is_not_hidden);
    return test_end();
}
