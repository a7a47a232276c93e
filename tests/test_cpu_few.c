#include "models/cpu_few.h"

#include "tests/products.h"

/* y: the product's own, or bfloat16 without gaps. */
static void product_run(struct product *p, cpu_few_fn *run, int first, uint16_t *narrow)
{
    struct cpu_few f = {.m = p->m, .n = p->n, .k = p->k, .x = product_x(p, first), .ld_x = p->ld_x,
                        .w = product_w(p), .ld_w = p->ld_w, .y = narrow ? (void *)narrow : p->y,
                        .ld_y = narrow ? (size_t)p->n : p->ld_y, .scale = p->scale, .add = p->add,
                        .is_y_wide = !narrow, .is_far = p->k % 2 == 0};
    run(&f);
}

static const int ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 31, 32, 33}, COLS[] = {1, 3, 4, 6, 64, 65},
                 INNER[] = {1, 7, 8, 9, 16, 31, 33, 64, 384, 400};

/* Of values up to 1 in size. */
static void products_are_those_of_doubles(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_FEW_KINDS; kind++) {
        cpu_few_fn *run = cpu_few_of((enum cpu_few_kind)kind);
        printf("     %s: %s\n", kind_name(kind), run ? "here" : "not on this processor");
        for (size_t i = 0; run && i < COUNT(ROWS); i++)
            for (size_t j = 0; j < COUNT(COLS); j++)
                for (size_t k = 0; k < COUNT(INNER); k++) {
                    product_set(p, kind == CPU_FEW_BF16, ROWS[i], COLS[j], INNER[k]);
                    product_run(p, run, 0, NULL);
                    product_check(p, 1e-5);
                }
    }
    free(p);
}

static void sums_are_scaled_and_added(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_FEW_KINDS; kind++) {
        cpu_few_fn *run = cpu_few_of((enum cpu_few_kind)kind);
        product_set(p, kind == CPU_FEW_BF16, 7, 9, 16);
        p->scale = 2;
        p->add = true;
        if (run) {
            product_run(p, run, 0, NULL);
            product_check(p, 1e-5);
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
            product_set(p, kind == CPU_FEW_BF16, 7, 65, 384);
            product_run(p, run, 0, NULL);
            memcpy(among, p->y + (size_t)row * p->ld_y, sizeof(among));
            product_set(p, kind == CPU_FEW_BF16, 7, 65, 384);
            p->m = 1;
            product_run(p, run, row, NULL);
            CHECK_TRUE(memcmp(among, p->y, 65 * sizeof(float)) == 0);
        }
    }
    free(p);
}

static void bf16_results_are_rounded_to_the_nearest(void)
{
    cpu_few_fn *run = cpu_few_of(CPU_FEW_BF16);
    struct product *p = product_new();
    uint16_t y[5 * 6] = {0};
    product_set(p, true, 5, 6, 64);
    if (run) {
        product_run(p, run, 0, y);
        product_check_narrow(p, y);
    }
    free(p);
}

/* y [m, n] = x [m, k] w [k, n], and nothing between rows. */
static void check_mixture(struct product *p, cpu_mix_fn *run, int m, int n, int k)
{
    product_set(p, false, m, n, k);
    struct cpu_mix f = {.m = m, .n = n, .k = k, .x = p->x, .w = p->w, .y = p->y, .ld_x = p->ld_x, .ld_w = p->ld_y,
                        .ld_y = p->ld_y};
    run(&f);
    for (size_t i = 0; i < (size_t)m; i++)
        for (size_t j = 0; j < f.ld_y; j++) {
            double sum = 0;
            for (size_t c = 0; c < (size_t)k; c++)
                sum += (double)p->x[i * f.ld_x + c] * (double)p->w[c * f.ld_w + j];
            CHECK_NEAR((double)p->y[i * f.ld_y + j], j < (size_t)n ? sum : (double)product_value(i * f.ld_y + j, 3),
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
            printf("     %s: %s\n", kind_name(kind), run ? "here" : "not on this processor");
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
