#include "models/cpu_few.h"

#include <stdint.h>

#include "models/cpu_math.h"
#include "tests/test.h"

enum { MOST_M = 33, MOST_N = 66, MOST_K = 400, GAP = 3 };

/* A product in memory, rows with gaps between them. x, w: float32, or bfloat16 in the same bits' upper half. */
struct product {
    float x[MOST_M * (MOST_K + GAP)], w[MOST_N * (MOST_K + GAP)], y[MOST_M * (MOST_N + GAP)];
    uint16_t narrow_x[MOST_M * (MOST_K + GAP)], narrow_w[MOST_N * (MOST_K + GAP)];
    struct cpu_few f;
    bool is_bf16;
};

static const char *name_of(int kind)
{
    static const char *const name[N_CPU_FEW_KINDS] = {"AVX2", "AVX-512", "AVX-512 bf16"};
    return name[kind];
}

static float value(size_t i, int which)
{
    return (float)((i * 7919 + (size_t)which * 104729) % 2003) / 1001.5f - 1;
}

static void product_set(struct product *p, int kind, int m, int n, int k)
{
    p->is_bf16 = kind == CPU_FEW_BF16;
    for (size_t i = 0; i < sizeof(p->x) / sizeof(p->x[0]); i++) {
        p->narrow_x[i] = cpu_narrowed(value(i, 1));
        p->x[i] = p->is_bf16 ? cpu_widened(p->narrow_x[i]) : value(i, 1);
    }
    for (size_t i = 0; i < sizeof(p->w) / sizeof(p->w[0]); i++) {
        p->narrow_w[i] = cpu_narrowed(value(i, 2));
        p->w[i] = p->is_bf16 ? cpu_widened(p->narrow_w[i]) : value(i, 2);
    }
    for (size_t i = 0; i < sizeof(p->y) / sizeof(p->y[0]); i++)
        p->y[i] = value(i, 3);
    p->f = (struct cpu_few){.m = m, .n = n, .k = k, .x = p->is_bf16 ? (const void *)p->narrow_x : p->x,
                            .w = p->is_bf16 ? (const void *)p->narrow_w : p->w, .y = p->y,
                            .ld_x = (size_t)k + GAP, .ld_w = (size_t)k + GAP, .ld_y = (size_t)n + GAP,
                            .scale = 1, .is_y_wide = true, .is_far = k % 2 == 0};
}

static struct product *product_new(void)
{
    struct product *p = calloc(1, sizeof(*p));
    if (!p)
        exit(1);
    return p;
}

static double sum_of(const struct product *p, int row, int col)
{
    double sum = 0;
    for (size_t k = 0; k < (size_t)p->f.k; k++)
        sum += (double)p->x[(size_t)row * p->f.ld_x + k] * (double)p->w[(size_t)col * p->f.ld_w + k];
    return sum * (double)p->f.scale;
}

/* Every element, and that nothing is written between rows. */
static void check_product(const struct product *p, double error)
{
    for (int i = 0; i < p->f.m; i++)
        for (int j = 0; j < p->f.n + GAP; j++) {
            size_t at = (size_t)i * p->f.ld_y + (size_t)j;
            double was = (double)value(at, 3), want = j < p->f.n ? sum_of(p, i, j) + (p->f.add ? was : 0) : was;
            CHECK_NEAR((double)p->y[at], want, j < p->f.n ? error : 0);
        }
}

static const int ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 31, 32, 33}, COLS[] = {1, 3, 4, 6, 64, 65},
                 INNER[] = {1, 7, 8, 9, 16, 31, 33, 64, 384, 400};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Of values up to 1 in size. */
static void products_are_those_of_doubles(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_FEW_KINDS; kind++) {
        cpu_few_fn *run = cpu_few_of((enum cpu_few_kind)kind);
        printf("     %s: %s\n", name_of(kind), run ? "here" : "not on this processor");
        for (size_t i = 0; run && i < COUNT(ROWS); i++)
            for (size_t j = 0; j < COUNT(COLS); j++)
                for (size_t k = 0; k < COUNT(INNER); k++) {
                    product_set(p, kind, ROWS[i], COLS[j], INNER[k]);
                    run(&p->f);
                    check_product(p, 1e-5);
                }
    }
    free(p);
}

static void sums_are_scaled_and_added(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_FEW_KINDS; kind++) {
        cpu_few_fn *run = cpu_few_of((enum cpu_few_kind)kind);
        product_set(p, kind, 7, 9, 16);
        p->f.scale = 2;
        p->f.add = true;
        if (run) {
            run(&p->f);
            check_product(p, 1e-5);
        }
    }
    free(p);
}

static void a_row_alone_is_the_row_among_others_to_the_bit(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_FEW_KINDS; kind++) {
        cpu_few_fn *run = cpu_few_of((enum cpu_few_kind)kind);
        float among[MOST_N];
        if (!run)
            continue;
        for (int row = 0; row < 7; row++) {
            product_set(p, kind, 7, 65, 384);
            run(&p->f);
            memcpy(among, p->y + (size_t)row * p->f.ld_y, sizeof(among));
            product_set(p, kind, 7, 65, 384);
            p->f.m = 1;
            p->f.x = p->is_bf16 ? (const void *)(p->narrow_x + (size_t)row * p->f.ld_x)
                                : p->x + (size_t)row * p->f.ld_x;
            run(&p->f);
            CHECK_TRUE(memcmp(among, p->y, 65 * sizeof(float)) == 0);
        }
    }
    free(p);
}

static void bf16_results_are_rounded_to_the_nearest(void)
{
    cpu_few_fn *run = cpu_few_of(CPU_FEW_BF16);
    struct product *p = product_new();
    uint16_t y[5 * 8] = {0};
    product_set(p, CPU_FEW_BF16, 5, 6, 64);
    p->f.y = y;
    p->f.ld_y = 8;
    p->f.is_y_wide = false;
    if (run)
        run(&p->f);
    for (int i = 0; run && i < 5; i++)
        for (int j = 0; j < 6; j++)
            CHECK_NEAR((double)cpu_widened(y[i * 8 + j]), sum_of(p, i, j), 0x1p-8 * fabs(sum_of(p, i, j)));
    free(p);
}

/* y [m, n] = x [m, k] w [k, n], and nothing between rows. */
static void check_mixture(struct product *p, cpu_mix_fn *run, int m, int n, int k)
{
    product_set(p, CPU_FEW_AVX2, m, n, k);
    struct cpu_mix f = {.m = m, .n = n, .k = k, .x = p->x, .w = p->w, .y = p->y, .ld_x = (size_t)k + GAP,
                        .ld_w = (size_t)n + GAP, .ld_y = (size_t)n + GAP};
    run(&f);
    for (size_t i = 0; i < (size_t)m; i++)
        for (size_t j = 0; j < f.ld_y; j++) {
            double sum = 0;
            for (size_t c = 0; c < (size_t)k; c++)
                sum += (double)p->x[i * f.ld_x + c] * (double)p->w[c * f.ld_w + j];
            CHECK_NEAR((double)p->y[i * f.ld_y + j], j < (size_t)n ? sum : (double)value(i * f.ld_y + j, 3),
                       j < (size_t)n ? 1e-5 : 0);
        }
}

static void mixtures_are_those_of_doubles(void)
{
    static const int rows[] = {1, 2, 3, 6, 7, 8, 12, 33}, cols[] = {1, 8, 15, 16, 17, 63, 64, 66},
                     inner[] = {1, 2, 33, 350};
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_FEW_KINDS; kind++) {
        cpu_mix_fn *run = cpu_mix_of((enum cpu_few_kind)kind);
        if (kind == CPU_FEW_BF16)
            CHECK_TRUE(!run);
        else
            printf("     %s: %s\n", name_of(kind), run ? "here" : "not on this processor");
        for (size_t i = 0; run && i < COUNT(rows); i++)
            for (size_t j = 0; j < COUNT(cols); j++)
                for (size_t k = 0; k < COUNT(inner); k++)
                    check_mixture(p, run, rows[i], cols[j], inner[k]);
    }
    free(p);
}

int main(void)
{
    CASE(products_are_those_of_doubles);
    CASE(sums_are_scaled_and_added);
    CASE(a_row_alone_is_the_row_among_others_to_the_bit);
    CASE(mixtures_are_those_of_doubles);
    CASE(bf16_results_are_rounded_to_the_nearest);
    return test_end();
}
