#include "models/cpu_panel.h"

#include <stdint.h>

#include "models/cpu_math.h"
#include "models/cpu_one.h"
#include "tests/test.h"

enum { MOST_M = 70, MOST_N = 150, MOST_K = 400, GAP = 3 };

/* A product in memory, rows with gaps between them. x, w: float32, or bfloat16 in the same bits' upper half. */
struct product {
    float x[MOST_M * (MOST_K + GAP)], w[MOST_N * (MOST_K + GAP)], y[MOST_M * (MOST_N + GAP)];
    uint16_t narrow_x[MOST_M * (MOST_K + GAP)], narrow_w[MOST_N * (MOST_K + GAP)];
    _Alignas(64) float packed[96 * MOST_K];
    struct cpu_panel f;
    size_t ld_x;
    bool is_bf16;
};

static const char *name_of(int kind)
{
    static const char *const name[N_CPU_PANEL_KINDS] = {"AVX2", "AVX-512", "AVX-512 bf16"};
    return name[kind];
}

static float value(size_t i, int which)
{
    return (float)((i * 7919 + (size_t)which * 104729) % 2003) / 1001.5f - 1;
}

static void product_set(struct product *p, int kind, int m, int n, int k)
{
    p->is_bf16 = kind == CPU_PANEL_BF16;
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
    p->ld_x = (size_t)k + GAP;
    p->f = (struct cpu_panel){.m = m, .n = n, .k = k, .x = p->packed,
                              .w = p->is_bf16 ? (const void *)p->narrow_w : p->w, .y = p->y, .ld_w = (size_t)k + GAP,
                              .ld_y = (size_t)n + GAP, .scale = 1, .is_y_wide = true};
}

/* From row `first` of x on. */
static void product_run(struct product *p, const struct cpu_panel_ops *ops, int first)
{
    size_t at = (size_t)first * p->ld_x, room = cpu_panel_room(p->f.m, p->is_bf16 ? p->f.k / 2 : p->f.k);
    CHECK_TRUE(room <= sizeof(p->packed) / sizeof(p->packed[0]));
    ops->pack(p->packed, p->is_bf16 ? (const void *)(p->narrow_x + at) : p->x + at, p->ld_x, p->f.m, p->f.k);
    ops->multiply(&p->f);
}

static struct product *product_new(void)
{
    struct product *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    if (!p)
        exit(1);
    return p;
}

static double sum_of(const struct product *p, int row, int col)
{
    double sum = 0;
    for (size_t k = 0; k < (size_t)p->f.k; k++)
        sum += (double)p->x[(size_t)row * p->ld_x + k] * (double)p->w[(size_t)col * p->f.ld_w + k];
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

static const int ROWS[] = {1, 3, 16, 17, 31, 32, 33, 48, 65}, COLS[] = {1, 3, 5, 12, 17, 64, 66, 145},
                 INNER[] = {2, 7, 8, 14, 16, 31, 34, 64, 384, 398};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Of values up to 1 in size. */
static void products_are_those_of_doubles(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_PANEL_KINDS; kind++) {
        const struct cpu_panel_ops *ops = cpu_panel_of((enum cpu_panel_kind)kind);
        printf("     %s: %s\n", name_of(kind), ops ? "here" : "not on this processor");
        for (size_t i = 0; ops && i < COUNT(ROWS); i++)
            for (size_t j = 0; j < COUNT(COLS); j++)
                for (size_t k = 0; k < COUNT(INNER); k++) {
                    if (kind == CPU_PANEL_BF16 && INNER[k] % 2)
                        continue;
                    product_set(p, kind, ROWS[i], COLS[j], INNER[k]);
                    product_run(p, ops, 0);
                    check_product(p, 1e-5);
                }
    }
    free(p);
}

static void sums_are_scaled_and_added(void)
{
    struct product *p = product_new();
    for (int kind = 0; kind < N_CPU_PANEL_KINDS; kind++) {
        const struct cpu_panel_ops *ops = cpu_panel_of((enum cpu_panel_kind)kind);
        product_set(p, kind, 7, 79, 16);
        p->f.scale = 2;
        p->f.add = true;
        if (ops) {
            product_run(p, ops, 0);
            check_product(p, 1e-5);
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
            product_set(p, kind, 40, 145, 384);
            product_run(p, ops, 0);
            memcpy(among, p->y + (size_t)row * p->f.ld_y, sizeof(among));
            product_set(p, kind, 1, 145, 384);
            product_run(p, ops, row);
            CHECK_TRUE(memcmp(among, p->y, sizeof(among)) == 0);
        }
    }
    free(p);
}

static void bf16_results_are_rounded_to_the_nearest(void)
{
    const struct cpu_panel_ops *ops = cpu_panel_of(CPU_PANEL_BF16);
    struct product *p = product_new();
    uint16_t y[5 * 8] = {0};
    product_set(p, CPU_PANEL_BF16, 5, 6, 64);
    p->f.y = y;
    p->f.ld_y = 8;
    p->f.is_y_wide = false;
    if (ops)
        product_run(p, ops, 0);
    for (int i = 0; ops && i < 5; i++)
        for (int j = 0; j < 6; j++)
            CHECK_NEAR((double)cpu_widened(y[i * 8 + j]), sum_of(p, i, j), 0x1p-8 * fabs(sum_of(p, i, j)));
    free(p);
}

/* One query of three heads, 16 values each, keys at a stride of 50. */
static void a_query_sees_each_head_of_its_keys(void)
{
    enum { HEADS = 3, D = 16, LD = 50, LD_S = 24 };
    struct product *p = product_new();
    product_set(p, CPU_PANEL_BF16, 1, 1, 64);
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
