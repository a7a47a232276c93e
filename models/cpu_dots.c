#include "models/cpu_dots.h"

#include <string.h>

#include "models/cpu_math.h"
#include "sim/base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* A block of c stays in registers: ROWS x PANELS sums, PANELS vectors of b, one pair of a. */
enum { ROWS = 6, PANELS = 4, LANES = 16 };

bool cpu_dots_here(void)
{
    return cpu_has_avx512_bf16();
}

CPU_AVX512_BF16 CPU_INLINE __m512 widened(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}

/* --- packing --- */

/* 16 columns of two rows, side by side by column. */
CPU_AVX512_BF16 CPU_INLINE __m512i paired(const uint16_t *first, uint16_t low, const uint16_t *second, uint16_t high)
{
    __m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(low, first));
    __m512i y = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(high, second));
    return _mm512_or_si512(x, _mm512_slli_epi32(y, 16));
}

/* Two panels at a time: a cache line of each row. */
CPU_AVX512_BF16 void cpu_dots_pack_rows(uint32_t *to, int n_pairs, const uint16_t *b, size_t ld, int n, int cols)
{
    size_t panel = (size_t)n_pairs * LANES;
    for (int col = 0; col < cols; col += 2 * LANES, to += 2 * panel) {
        uint16_t here = cpu_lanes(cols - col), beside = cpu_lanes(cols - col - LANES);
        const uint16_t *first = b + col;
        uint32_t *at = to;
        for (int p = 0; p < n_pairs; p++, first += 2 * ld, at += LANES) {
            bool has_low = 2 * p < n, has_high = 2 * p + 1 < n;
            const uint16_t *low = has_low ? first : b, *high = has_high ? first + ld : b;
            uint16_t in_low = has_low ? here : 0, in_high = has_high ? here : 0;
            _mm512_storeu_si512(at, paired(low, in_low, high, in_high));
            if (beside)
                _mm512_storeu_si512(at + panel, paired(low + LANES, has_low ? beside : 0, high + LANES,
                                                       has_high ? beside : 0));
        }
    }
}

/* One step of a transpose of 16 x 16 words: pairs of rows at a distance exchange halves of a unit. */
CPU_AVX512_BF16 CPU_INLINE void transpose(__m512i r[LANES])
{
    __m512i t[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* r[4 g + i] holds rows 4 g .. of columns i, 4 + i, 8 + i, 12 + i */
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

CPU_AVX512_BF16 void cpu_dots_pack_cols(uint32_t *to, int n_pairs, const uint16_t *b, size_t ld, int n)
{
    for (int row = 0; row < n; row += LANES, to += (size_t)n_pairs * LANES)
        for (int p = 0; p < n_pairs; p += LANES) {
            int here = n_pairs - p < LANES ? n_pairs - p : LANES;
            __m512i r[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                r[i] = row + i < n
                           ? _mm512_maskz_loadu_epi32(cpu_lanes(here), b + (size_t)(row + i) * ld + 2 * (size_t)p)
                           : _mm512_setzero_si512();
            transpose(r);
            uint32_t *at = to + (size_t)p * LANES;
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                if (i < here)
                    _mm512_storeu_si512(at + (size_t)i * LANES, r[i]);
        }
}

/* --- products --- */

CPU_AVX512_BF16 CPU_INLINE void store(const struct cpu_dots *d, enum cpu_dots_end end, size_t row, int col, __m512 x)
{
    if (end >= CPU_DOTS_NARROW) {
        uint16_t *to = (uint16_t *)d->c + row * d->ld_c + (size_t)col, here = cpu_lanes(d->n - col);
        if (d->factor)
            x = _mm512_mul_ps(x, _mm512_set1_ps(d->factor[row]));
        if (end == CPU_DOTS_NARROW_ADD)
            x = _mm512_add_ps(x, widened(_mm256_maskz_loadu_epi16(here, to)));
        _mm256_mask_storeu_epi16(to, here, (__m256i)_mm512_cvtneps_pbh(x));
        return;
    }
    float *c = (float *)d->c + row * d->ld_c + (size_t)col;
    _mm512_storeu_ps(c, end == CPU_DOTS_ADD ? _mm512_add_ps(_mm512_loadu_ps(c), x) : x);
}

/* rows x panels, both constants where it is inlined. */
CPU_AVX512_BF16 CPU_INLINE void block(const struct cpu_dots *d, enum cpu_dots_end end, int row, int col, const int rows,
                                    const int panels)
{
    __m512 sum[ROWS][PANELS];
    const unsigned char *a = (const unsigned char *)d->a + (size_t)row * d->a_row;
    const uint32_t *b = d->b + (size_t)(col / LANES) * d->panel;
    size_t a_row = d->a_row, panel = d->panel;
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < panels; j++)
            sum[i][j] = _mm512_setzero_ps();
    for (int p = d->n_pairs; p > 0; p--, a += d->a_pair, b += LANES) {
        __m512i y[PANELS];
#pragma GCC unroll 4
        for (int j = 0; j < panels; j++)
            y[j] = _mm512_loadu_si512(b + (size_t)j * panel);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            int32_t pair;
            memcpy(&pair, a + (size_t)i * a_row, sizeof(pair));
            __m512i x = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
            for (int j = 0; j < panels; j++)
                sum[i][j] = _mm512_dpbf16_ps(sum[i][j], (__m512bh)x, (__m512bh)y[j]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < panels; j++)
            store(d, end, (size_t)(row + i), col + j * LANES, sum[i][j]);
}

/* All rows of so many panels from col on. */
CPU_AVX512_BF16 CPU_INLINE void columns(const struct cpu_dots *d, enum cpu_dots_end end, int col, const int panels)
{
    int row = 0;
    for (; d->m - row >= ROWS; row += ROWS)
        block(d, end, row, col, ROWS, panels);
    switch (d->m - row) {
    case 5:
        block(d, end, row, col, 5, panels);
        break;
    case 4:
        block(d, end, row, col, 4, panels);
        break;
    case 3:
        block(d, end, row, col, 3, panels);
        break;
    case 2:
        block(d, end, row, col, 2, panels);
        break;
    case 1:
        block(d, end, row, col, 1, panels);
        break;
    default:
        break;
    }
}

CPU_AVX512_BF16 CPU_INLINE void all(const struct cpu_dots *d, enum cpu_dots_end end)
{
    int col = 0, n_panels = (d->n + LANES - 1) / LANES;
    for (; n_panels >= PANELS; n_panels -= PANELS, col += PANELS * LANES)
        columns(d, end, col, PANELS);
    if (n_panels == 3)
        columns(d, end, col, 3);
    else if (n_panels == 2)
        columns(d, end, col, 2);
    else if (n_panels == 1)
        columns(d, end, col, 1);
}

static CPU_AVX512_BF16 void write_all(const struct cpu_dots *d)
{
    all(d, CPU_DOTS_WRITE);
}

static CPU_AVX512_BF16 void add_all(const struct cpu_dots *d)
{
    all(d, CPU_DOTS_ADD);
}

static CPU_AVX512_BF16 void narrow_all(const struct cpu_dots *d)
{
    all(d, CPU_DOTS_NARROW);
}

static CPU_AVX512_BF16 void narrow_add_all(const struct cpu_dots *d)
{
    all(d, CPU_DOTS_NARROW_ADD);
}

void cpu_dots(const struct cpu_dots *d, enum cpu_dots_end end)
{
    if (end == CPU_DOTS_WRITE)
        write_all(d);
    else if (end == CPU_DOTS_ADD)
        add_all(d);
    else if (end == CPU_DOTS_NARROW)
        narrow_all(d);
    else
        narrow_add_all(d);
}

#else

bool cpu_dots_here(void)
{
    return false;
}

void cpu_dots_pack_rows(uint32_t *to, int n_pairs, const uint16_t *b, size_t ld, int n, int cols)
{
    (void)to, (void)n_pairs, (void)b, (void)ld, (void)n, (void)cols;
    CHECK(false);
}

void cpu_dots_pack_cols(uint32_t *to, int n_pairs, const uint16_t *b, size_t ld, int n)
{
    (void)to, (void)n_pairs, (void)b, (void)ld, (void)n;
    CHECK(false);
}

void cpu_dots(const struct cpu_dots *d, enum cpu_dots_end end)
{
    (void)d, (void)end;
    CHECK(false);
}

#endif
