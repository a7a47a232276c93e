/* models/cpu_few.h: products of few rows, those of decoding, for the CPU backend. Only models/cpu*.c include it.
 *
 * Up to eight rows do not fill a panel (models/cpu_panel.h). These kernels read each row of weights where it lies,
 * once, and hold it against all rows of x: sums of 6 x 4 scalar products at a time (AVX2: 2 x 4). A sum does not
 * depend on how many rows there are. They exist where panels do. */
#ifndef MODELS_CPU_FEW_H
#define MODELS_CPU_FEW_H

#include <stdbool.h>
#include <stddef.h>

/* So many rows are few: 8 rows of 512 values against 512 columns take 45 us, by panel 73; 16 take longer (Zen 4). */
enum { CPU_FEW_ROWS = 8 };

/* y [m, n] = scale x [m, k] w^T, or += when add; w [n, k]. Rows stand at strides ld_x, ld_w, ld_y (elements). */
struct cpu_few {
    int m, n, k;
    const void *x, *w;
    void *y;
    size_t ld_x, ld_w, ld_y;
    float scale;
    bool add;
    bool is_y_wide; /* y is float32; always so among float32 */
    bool is_far;    /* w comes from memory, not out of a cache: it is fetched ahead, from row to row of it */
};

typedef void cpu_few_fn(const struct cpu_few *p);

/* Two for float32; that for bfloat16 adds only to a wide y. */
enum cpu_few_kind { CPU_FEW_AVX2, CPU_FEW_AVX512, CPU_FEW_BF16, N_CPU_FEW_KINDS };

/* NULL where this processor cannot run it. */
cpu_few_fn *cpu_few_of(enum cpu_few_kind kind);
/* The best for float32 here, or NULL. */
cpu_few_fn *cpu_few_find(void);

/* y [m, n] = x [m, k] w [k, n]: rows of w mixed in the proportions of x. float32, rows at strides. w is read once for
 * each six rows of x, or two or one at the end, best out of a core's cache; a sum runs over k in order. */
struct cpu_mix {
    int m, n, k;
    const float *x, *w;
    float *y;
    size_t ld_x, ld_w, ld_y;
};

typedef void cpu_mix_fn(const struct cpu_mix *p);

/* The kinds of float32; NULL where this processor cannot run it. */
cpu_mix_fn *cpu_mix_of(enum cpu_few_kind kind);
cpu_mix_fn *cpu_mix_find(void);

#endif
