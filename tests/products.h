/* tests/products.h: a product y = scale x w^T or its sum with what was there, for the tests of kernels that compute it:
 * known numbers in memory, rows with gaps between them, and what must come out. */
#ifndef TESTS_PRODUCTS_H
#define TESTS_PRODUCTS_H

#include <stdint.h>

#include "models/cpu_math.h"
#include "tests/test.h"

enum { MOST_M = 70, MOST_N = 150, MOST_K = 400, GAP = 3 };

/* x [m, k], w [n, k], y [m, n]. Of bfloat16 the same numbers in both forms. */
struct product {
    float x[MOST_M * (MOST_K + GAP)], w[MOST_N * (MOST_K + GAP)], y[MOST_M * (MOST_N + GAP)];
    uint16_t narrow_x[MOST_M * (MOST_K + GAP)], narrow_w[MOST_N * (MOST_K + GAP)];
    int m, n, k;
    size_t ld_x, ld_w, ld_y;
    float scale;
    bool add, is_bf16;
};

static inline const char *kind_name(int kind)
{
    static const char *const name[] = {"AVX2", "AVX-512", "AVX-512 bf16"};
    return name[kind];
}

static inline struct product *product_new(void)
{
    struct product *p = calloc(1, sizeof(*p));
    if (!p)
        exit(1);
    return p;
}

/* Between -1 and 1. */
static inline float product_value(size_t i, int which)
{
    return (float)((i * 7919 + (size_t)which * 104729) % 2003) / 1001.5f - 1;
}

static inline void product_fill(float *wide, uint16_t *narrow, size_t n, int which, bool is_bf16)
{
    for (size_t i = 0; i < n; i++) {
        narrow[i] = cpu_narrowed(product_value(i, which));
        wide[i] = is_bf16 ? cpu_widened(narrow[i]) : product_value(i, which);
    }
}

static inline void product_set(struct product *p, bool is_bf16, int m, int n, int k)
{
    product_fill(p->x, p->narrow_x, sizeof(p->x) / sizeof(p->x[0]), 1, is_bf16);
    product_fill(p->w, p->narrow_w, sizeof(p->w) / sizeof(p->w[0]), 2, is_bf16);
    for (size_t i = 0; i < sizeof(p->y) / sizeof(p->y[0]); i++)
        p->y[i] = product_value(i, 3);
    p->m = m;
    p->n = n;
    p->k = k;
    p->ld_x = p->ld_w = (size_t)k + GAP;
    p->ld_y = (size_t)n + GAP;
    p->scale = 1;
    p->add = false;
    p->is_bf16 = is_bf16;
}

/* Where a kernel finds them: x from a row on. */
static inline const void *product_x(const struct product *p, int row)
{
    size_t at = (size_t)row * p->ld_x;
    return p->is_bf16 ? (const void *)(p->narrow_x + at) : p->x + at;
}

static inline const void *product_w(const struct product *p)
{
    return p->is_bf16 ? (const void *)p->narrow_w : p->w;
}

static inline double product_sum(const struct product *p, int row, int col)
{
    double sum = 0;
    for (size_t k = 0; k < (size_t)p->k; k++)
        sum += (double)p->x[(size_t)row * p->ld_x + k] * (double)p->w[(size_t)col * p->ld_w + k];
    return sum * (double)p->scale;
}

/* Every element, and that nothing is written between rows. */
static inline void product_check(const struct product *p, double error)
{
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n + GAP; j++) {
            size_t at = (size_t)i * p->ld_y + (size_t)j;
            double was = (double)product_value(at, 3);
            double want = j < p->n ? product_sum(p, i, j) + (p->add ? was : 0) : was;
            CHECK_NEAR((double)p->y[at], want, j < p->n ? error : 0);
        }
}

/* y as bfloat16, without gaps: each the nearest to its sum. */
static inline void product_check_narrow(const struct product *p, const uint16_t *y)
{
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            double sum = product_sum(p, i, j);
            CHECK_NEAR((double)cpu_widened(y[i * p->n + j]), sum, 0x1p-8 * fabs(sum));
        }
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

#endif
