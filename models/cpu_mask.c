/* models/cpu_mask.c: dropout's masks on the CPU: the same bits by plain loops and, where there is AVX-512, by hand. */
#include "models/cpu_math.h"
#include "models/cpu_mask.h"
#include "models/dropout.h"
#include "sim/base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MASK_BLOCKS = CPU_MASK_SPAN / 8 };

/* rng_philox of sim/base/rng.h for n_blocks counters, one per lane. Lanes are 64 bits wide, of which the low
 * 32 count, because that is how processors multiply to 64 bits: a third faster than 32-bit lanes. */
CPU_INLINE void philox_lanes(uint32_t *restrict words, int n_blocks, uint64_t seed, struct rng4 first)
{
    uint64_t c0[MASK_BLOCKS], c1[MASK_BLOCKS], c2[MASK_BLOCKS], c3[MASK_BLOCKS];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int l = 0; l < n_blocks; l++) {
        c0[l] = first.v[0] + (uint32_t)l;
        c1[l] = first.v[1];
        c2[l] = first.v[2];
        c3[l] = first.v[3];
    }
    for (int round = 0; round < 10; round++) {
        CPU_KEEP_LOOP
        for (int l = 0; l < n_blocks; l++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * (c0[l] & 0xffffffffu);
            uint64_t p1 = (uint64_t)0xCD9E8D57u * (c2[l] & 0xffffffffu);
            c0[l] = (p1 >> 32) ^ c1[l] ^ k0;
            c1[l] = p1;
            c2[l] = (p0 >> 32) ^ c3[l] ^ k1;
            c3[l] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    CPU_KEEP_LOOP
    for (int l = 0; l < n_blocks; l++) {
        words[4 * l] = (uint32_t)c0[l];
        words[4 * l + 1] = (uint32_t)c1[l];
        words[4 * l + 2] = (uint32_t)c2[l];
        words[4 * l + 3] = (uint32_t)c3[l];
    }
}

/* The masks of n_blocks blocks of eight columns each, as dropout_words lays them out. */
CPU_INLINE void mask_blocks(float *restrict mask, int n_blocks, const struct dropout *drop,
                            uint32_t owner, uint32_t index, uint32_t col8)
{
    const uint32_t threshold = dropout_threshold(drop->p);
    const float scale = dropout_scale(threshold);
    uint32_t words[4 * MASK_BLOCKS];
    philox_lanes(words, n_blocks, drop->seed, (struct rng4){{col8, index, owner, drop->site}});
    for (int l = 0; l < 4 * n_blocks; l++) {
        mask[2 * l] = (words[l] & 0xffffu) >= threshold ? scale : 0;
        mask[2 * l + 1] = words[l] >> 16 >= threshold ? scale : 0;
    }
}

CPU_KERNEL static void mask_row(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    uint32_t owner = drop->row_owner[row], index = drop->row_index[row];
    int done = 0;
    for (; n - done > 4 * MASK_BLOCKS; done += 8 * MASK_BLOCKS)
        mask_blocks(mask + done, MASK_BLOCKS, drop, owner, index, (col + (uint32_t)done) / 8);
    if (done < n)
        mask_blocks(mask + done, MASK_BLOCKS / 2, drop, owner, index, (col + (uint32_t)done) / 8);
}

#if defined(__x86_64__)

/* A group is eight Philox blocks, 64 columns, in the low halves of eight 64-bit lanes: lane 2 i has block i and
 * lane 2 i + 1 block 4 + i, so that the words come out in order. Several groups hide each other's waiting. */
enum { GROUPS = 4, GROUP = 64 };

bool cpu_keep_here(void)
{
    return cpu_has_avx512();
}

/* dropout_keep of 64 n_groups columns from 8 col8 on, a bit each. n_groups is constant where it is inlined. */
CPU_AVX512 CPU_INLINE void keep_groups(uint32_t *keep, const int n_groups, const struct dropout *drop, size_t row,
                                      uint32_t col8)
{
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53), m1 = _mm512_set1_epi64(0xCD9E8D57);
    const __m512i lane = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    __m512i c0[GROUPS], c1[GROUPS], c2[GROUPS], c3[GROUPS];
    uint32_t k0 = (uint32_t)drop->seed, k1 = (uint32_t)(drop->seed >> 32);
#pragma GCC unroll 4
    for (int g = 0; g < n_groups; g++) {
        c0[g] = _mm512_add_epi64(lane, _mm512_set1_epi64((int64_t)col8 + 8 * g));
        c1[g] = _mm512_set1_epi64((int64_t)drop->row_index[row]);
        c2[g] = _mm512_set1_epi64((int64_t)drop->row_owner[row]);
        c3[g] = _mm512_set1_epi64((int64_t)drop->site);
    }
    for (int round = 0; round < 10; round++) {
        const __m512i key0 = _mm512_set1_epi64((int64_t)k0), key1 = _mm512_set1_epi64((int64_t)k1);
#pragma GCC unroll 4
        for (int g = 0; g < n_groups; g++) {
            __m512i p0 = _mm512_mul_epu32(c0[g], m0), p1 = _mm512_mul_epu32(c2[g], m1);
            c0[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1[g], key0, 0x96); /* a ^ b ^ c */
            c2[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3[g], key1, 0x96);
            c1[g] = p1;
            c3[g] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const __m512i threshold = _mm512_set1_epi16((int16_t)(uint16_t)dropout_threshold(drop->p));
#pragma GCC unroll 4
    for (int g = 0; g < n_groups; g++) {
        __m512i low = _mm512_mask_shuffle_epi32(c0[g], 0xaaaa, c1[g], _MM_PERM_CCAA);
        __m512i high = _mm512_mask_shuffle_epi32(c2[g], 0xaaaa, c3[g], _MM_PERM_CCAA);
        keep[2 * g] = _mm512_cmpge_epu16_mask(_mm512_unpacklo_epi64(low, high), threshold);
        keep[2 * g + 1] = _mm512_cmpge_epu16_mask(_mm512_unpackhi_epi64(low, high), threshold);
    }
}

CPU_AVX512 void cpu_keep(uint32_t *keep, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    uint32_t col8 = col / 8;
    for (; n > 2 * GROUP; n -= GROUPS * GROUP, col8 += GROUPS * GROUP / 8, keep += GROUPS * GROUP / 32)
        keep_groups(keep, GROUPS, drop, row, col8);
    if (n > GROUP)
        keep_groups(keep, 2, drop, row, col8);
    else if (n > 0)
        keep_groups(keep, 1, drop, row, col8);
}

CPU_AVX512 static void mask_by_bits(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    const __m512 scale = _mm512_set1_ps(dropout_scale(dropout_threshold(drop->p)));
    uint32_t keep[GROUPS * GROUP / 32];
    for (int done = 0; done < n; done += GROUPS * GROUP) {
        int here = cpu_min(n - done, GROUPS * GROUP);
        cpu_keep(keep, here, drop, row, col + (uint32_t)done);
        for (int j = 0; j < here; j += 16)
            _mm512_storeu_ps(mask + done + j, _mm512_maskz_mov_ps((__mmask16)(keep[j / 32] >> (j & 16)), scale));
    }
}

#else

bool cpu_keep_here(void)
{
    return false;
}

void cpu_keep(uint32_t *keep, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    (void)keep, (void)n, (void)drop, (void)row, (void)col;
    CHECK(false);
}

static void mask_by_bits(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    (void)mask, (void)n, (void)drop, (void)row, (void)col;
    CHECK(false);
}

#endif

void cpu_mask_plain(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    mask_row(mask, n, drop, row, col);
}

void cpu_mask(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col)
{
    if (cpu_keep_here())
        mask_by_bits(mask, n, drop, row, col);
    else
        mask_row(mask, n, drop, row, col);
}
