/* models/cpu_panel.h: products with weights that stay where they lie, for the CPU backend. Only models/cpu*.c include
 * it.
 *
 * A library's product copies both its matrices into an order of its own before it multiplies, the weights again for
 * every block of rows; for the 32 rows of decoding that costs half as much as the product. Here only the rows of x are
 * copied, 32 of them to a panel: its first values, then its second ones, and so on. A row of weights is read in place,
 * one value at a time, and each is multiplied with 32 rows at once. A sum runs over k in order, so it does not depend
 * on how many rows there are. What pays for more than 32 rows, and where, cpu_gemm.c decides; for up to 8 it does not,
 * see models/cpu_few.h.
 *
 * It exists for x86-64 with AVX-512, AVX2 with FMA, or AVX-512 bf16, which is found out at run time; without them
 * whoever asks goes on with the library. */
#ifndef MODELS_CPU_PANEL_H
#define MODELS_CPU_PANEL_H

#include <stdbool.h>
#include <stddef.h>

enum { CPU_PANEL_ROWS = 32 };

/* y [m, n] = scale x [m, k] w^T, or += when add; w [n, k]. Rows stand at strides ld_w, ld_y (elements). */
struct cpu_panel {
    int m, n, k;
    const float *x; /* packed; bfloat16: a float's place holds two neighbours of a row, and k is even */
    const void *w;
    void *y;
    size_t ld_w, ld_y;
    float scale;
    bool add;       /* to a wide y */
    bool is_y_wide; /* y is float32; always so among float32 */
};

struct cpu_panel_ops {
    /* to [room of (m, k)], aligned to 64 = x [m, k] at stride ld */
    void (*pack)(float *to, const void *x, size_t ld, int m, int k);
    void (*multiply)(const struct cpu_panel *p);
    bool takes_many; /* faster than the library for many rows too */
};

/* Two for float32. */
enum cpu_panel_kind { CPU_PANEL_AVX2, CPU_PANEL_AVX512, CPU_PANEL_BF16, N_CPU_PANEL_KINDS };

/* NULL where this processor cannot run it. */
const struct cpu_panel_ops *cpu_panel_of(enum cpu_panel_kind kind);
/* The best for float32 here, or NULL. */
const struct cpu_panel_ops *cpu_panel_find(void);

/* Floats of m packed rows; of bfloat16, k counts its pairs. A multiple of 16. */
static inline size_t cpu_panel_room(int m, int k)
{
    return (size_t)(m + CPU_PANEL_ROWS - 1) / CPU_PANEL_ROWS * CPU_PANEL_ROWS * (size_t)k;
}

#endif
