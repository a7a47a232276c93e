#include "models/cpu_panel.h"

#include "models/cpu_one.h"
#include "tests/products.h"

/* From row `first` of x on; y: the product's own, or bfloat16 without gaps. */
static void product_run(struct product *p, const struct cpu_panel_ops *ops, int first, uint16_t *narrow)
{
    _Alignas(64) float packed[96 * MOST_K];
    CHECK_TRUE(cpu_panel_room(p->m, p->is_bf16 ? p->k / 2 : p->k) <= sizeof(packed) / sizeof(packed[0]));
    struct cpu_panel f = {.m = p->m, .n = p->n, .k = p->k, .x = packed, .w = product_w(p), .ld_w = p->ld_w,
                          .y = narrow ? (void *)narrow : p->y, .ld_y = narrow ? (size_t)p->n : p->ld_y,
                          .scale = p->scale, .add = p->add, .is_y_wide = !narrow};
    ops->pack(packed, product_x(p, first), p->ld_x, p->m, p->k);
    ops->multiply(&f);
}

static const int ROWS[] = {1, 3, 16, 17, 31, 32, 33, 48, 65}, COLS[] = {1, 3, 5, 12, 17, 64, 66, 145},
                 INNER[] = {2, 7, 8, 14, 16, 31, 34, 64, 384, 398};

/* Of values up to 1 in size. */
static void products_are_those_of_doubles(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_PANEL_KINDS; kind++) {
        const struct cpu_panel_ops *ops = cpu_panel_of((enum cpu_panel_kind)kind);
        printf("     %s: %s\n", kind_name(kind), ops ? "here" : "not on this processor");
        for (size_t i = 0; ops && i < COUNT(ROWS); i++)
            for (size_t j = 0; j < COUNT(COLS); j++)
                for (size_t k = 0; k < COUNT(INNER); k++) {
                    if (kind == CPU_PANEL_BF16 && INNER[k] % 2)
                        continue;
                    product_set(p, kind == CPU_PANEL_BF16, ROWS[i], COLS[j], INNER[k]);
                    product_run(p, ops, 0, NULL);
                    product_check(p, 1e-5);
                }
    }
    free(p);
}

static void sums_are_scaled_and_added(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_PANEL_KINDS; kind++) {
        const struct cpu_panel_ops *ops = cpu_panel_of((enum cpu_panel_kind)kind);
        product_set(p, kind == CPU_PANEL_BF16, 7, 79, 16);
        p->scale = 2;
        p->add = true;
        if (ops) {
            product_run(p, ops, 0, NULL);
            product_check(p, 1e-5);
        }
    }
    free(p);
}

static void a_row_alone_is_the_row_among_others_to_the_bit(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_PANEL_KINDS; kind++) {
        const struct cpu_panel_ops *ops = cpu_panel_of((enum cpu_panel_kind)kind);
        float among[145];
        for (int row = 0; ops && row < 40; row += 13) {
            product_set(p, kind == CPU_PANEL_BF16, 40, 145, 384);
            product_run(p, ops, 0, NULL);
            memcpy(among, p->y + (size_t)row * p->ld_y, sizeof(among));
            product_set(p, kind == CPU_PANEL_BF16, 1, 145, 384);
            product_run(p, ops, row, NULL);
            CHECK_TRUE(memcmp(among, p->y, sizeof(among)) == 0);
        }
    }
    free(p);
}

static void bf16_results_are_rounded_to_the_nearest(void)
{
    const struct cpu_panel_ops *ops = cpu_panel_of(CPU_PANEL_BF16);
    struct product *p = product_new();
    uint16_t y[5 * 6] = {0};
    product_set(p, true, 5, 6, 64);
    if (ops) {
        product_run(p, ops, 0, y);
        product_check_narrow(p, y);
    }
    free(p);
}

/* One query of three heads, 16 values each, keys at a stride of 50. */
static void a_query_sees_each_head_of_its_keys(void)
{
    enum { HEADS = 3, D = 16, LD = 50, LD_S = 24 };
    struct product *p = product_new();
    product_set(p, true, 1, 1, 64);
    for (int n = 0; n <= 21; n++) {
        float s[2][HEADS * LD_S] = {{0}}, out[2][HEADS * D];
        for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
            const void *rows = is_bf16 ? (const void *)p->narrow_w : p->w;
            cpu_one_scores(is_bf16, s[is_bf16], LD_S, p->x, rows, LD, n, HEADS, D);
            cpu_one_mix(is_bf16, out[is_bf16], p->x + 7, LD_S, rows, LD, n, HEADS, D);
        }
        for (int h = 0; h < HEADS; h++) {
            double mixed[D] = {0};
            for (int j = 0; j < n; j++) {
                double dot = 0;
                for (int i = 0; i < D; i++) {
                    double w = (double)p->w[j * LD + h * D + i];
                    dot += (double)p->x[h * D + i] * w;
                    mixed[i] += (double)p->x[7 + h * LD_S + j] * w;
                }
                for (int k = 0; k < 2; k++)
                    CHECK_NEAR((double)s[k][h * LD_S + j], dot, 2e-6);
            }
            for (int i = 0; i < 2 * D; i++)
                CHECK_NEAR((double)out[i / D][h * D + i % D], mixed[i % D], 2e-6);
        }
    }
    free(p);
}

int main(void)
{
    CASE(products_are_those_of_doubles);
    CASE(sums_are_scaled_and_added);
    CASE(a_row_alone_is_the_row_among_others_to_the_bit);
    CASE(bf16_results_are_rounded_to_the_nearest);
    CASE(a_query_sees_each_head_of_its_keys);
    return test_end();
}
