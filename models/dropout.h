/* models/dropout.h: which elements a dropout site keeps; the same on CPU and GPU.
 *
 * One Philox block gives eight decisions of 16 bits, so p is rounded to 1/65536 (dropout_threshold), and
 * kept values are scaled by the exact inverse of the rounded probability. */
#ifndef MODELS_DROPOUT_H
#define MODELS_DROPOUT_H

#include <stdint.h>

#include "sim/base/rng.h"

/* Values below it are dropped: p of 65536, rounded. p in [0, 1). */
RNG_FN uint32_t dropout_threshold(float p)
{
    return (uint32_t)(p * 65536.0f + 0.5f);
}

RNG_FN float dropout_scale(uint32_t threshold)
{
    return 65536.0f / (float)(65536u - threshold);
}

/* The eight 16-bit words for columns 8 * col8 .. 8 * col8 + 7 of a row. col8 < 2^32. Column c uses word
 * c % 8: bits 16 * (c & 1) of v[(c % 8) / 2]. */
RNG_FN struct rng4 dropout_words(uint64_t seed, uint32_t site, uint32_t owner, uint32_t row,
                                 uint32_t col8)
{
    return rng_block(seed, site, owner, (uint64_t)row << 32 | col8);
}

RNG_FN int dropout_keep(uint64_t seed, uint32_t site, uint32_t owner, uint32_t row, uint32_t col,
                        uint32_t threshold)
{
    struct rng4 w = dropout_words(seed, site, owner, row, col / 8);
    uint32_t bits = w.v[(col % 8) / 2] >> (16 * (col & 1)) & 0xffffu;
    return bits >= threshold;
}

#endif
