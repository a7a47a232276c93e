/* models/cpu_mask.h: dropout's masks as bits, for kernels that can use them so, and the plain form of cpu_mask (see
 * models/cpu.h) that processors without AVX-512 run. Only models/cpu*.c and tests include it. */
#ifndef MODELS_CPU_MASK_H
#define MODELS_CPU_MASK_H

#include "models/cpu.h"

/* Words that cpu_keep writes at most for n columns. */
static inline size_t cpu_keep_room(int n)
{
    return ((size_t)n / 256 + 1) * 8;
}

bool cpu_keep_here(void);
/* Bit c % 32 of keep[c / 32]: dropout_keep of column col + c of a row, for c < n; col is a multiple of 8. Where
 * cpu_keep_here. */
void cpu_keep(uint32_t *keep, int n, const struct dropout *drop, size_t row, uint32_t col);
void cpu_mask_plain(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col);

#endif
