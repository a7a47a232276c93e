/* models/cpu_dots.h: products of small bfloat16 matrices in cache by AVX-512's own instruction, for cpu_attn_bf16.c.
 * Only models/cpu*.c include it. Nothing but cpu_dots_here may be called where that says no.
 *
 * The instruction multiplies pairs of neighbours along the inner dimension and adds both products to a float32. So
 * the first operand is read a pair (4 bytes) at a time at any two strides; the second is packed: panels of 16 columns,
 * in a panel 16 pairs after 16 pairs, one for each column. */
#ifndef MODELS_CPU_DOTS_H
#define MODELS_CPU_DOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool cpu_dots_here(void);

/* A mask of the first n of 16 lanes. */
static inline uint16_t cpu_lanes(int n)
{
    return (uint16_t)(n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}

/* b [2 n_pairs, cols], of which the first n rows are given and the rest are 0: row-major, cols of any number.
 * to [blocks of 16 columns][n_pairs][16] */
void cpu_dots_pack_rows(uint32_t *to, int n_pairs, const uint16_t *b, size_t ld, int n, int cols);
/* The transpose of b [n, 2 n_pairs]: column j of the operand is row j of b. to [blocks of 16 rows][n_pairs][16] */
void cpu_dots_pack_cols(uint32_t *to, int n_pairs, const uint16_t *b, size_t ld, int n);

enum cpu_dots_end {
    CPU_DOTS_WRITE, /* c float32, n rounded up to whole panels */
    CPU_DOTS_ADD, /* the same, += */
    CPU_DOTS_NARROW, /* c bfloat16, exactly n columns, row i times factor[i] first */
    CPU_DOTS_NARROW_ADD, /* the same, += */
};

/* c [m, n] = a [m, 2 n_pairs] b. Strides of a in bytes. */
struct cpu_dots {
    int m, n, n_pairs;
    const void *a;
    size_t a_row, a_pair;
    const uint32_t *b;
    size_t panel; /* words from one panel of b to the next */
    void *c;
    size_t ld_c;
    const float *factor; /* [m] or NULL: 1 */
};

void cpu_dots(const struct cpu_dots *d, enum cpu_dots_end end);

#endif
