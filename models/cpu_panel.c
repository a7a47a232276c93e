/* models/cpu_panel.c: packed rows against weights that are read in place. */
#include "models/cpu_panel.h"

#include "models/cpu_math.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 12")

/* Columns of y whose sums are gathered before they go there: so its rows, whose distance is often a power of two, do
 * not drive each other out of the cache. They are computed WIDE at a time, a rest by fours and ones. RUN values (or
 * pairs) are summed from 0 before they are added to the sum of those before them: longer runs round more. */
enum { ROWS = CPU_PANEL_ROWS, GATHERED = 64, WIDE = 12, RUN = 256 };

struct gathered {
    _Alignas(64) float sum[ROWS][GATHERED];
};

CPU_KERNEL static void put_wide(float *y, const float *sum, int n, float scale, bool add)
{
    if (add) {
#pragma omp simd
        for (int j = 0; j < n; j++)
            y[j] += scale * sum[j];
    } else {
#pragma omp simd
        for (int j = 0; j < n; j++)
            y[j] = scale * sum[j];
    }
}

CPU_KERNEL static void put_narrow(uint16_t *y, const float *sum, int n, float scale)
{
#pragma omp simd
    for (int j = 0; j < n; j++)
        y[j] = cpu_narrowed(scale * sum[j]);
}

static void put(const struct cpu_panel *p, const struct gathered *g, int row, int rows, int col, int cols)
{
    for (int i = 0; i < rows; i++) {
        size_t at = (size_t)(row + i) * p->ld_y + (size_t)col;
        if (p->is_y_wide)
            put_wide((float *)p->y + at, g->sum[i], cols, p->scale, p->add);
        else
            put_narrow((uint16_t *)p->y + at, g->sum[i], cols, p->scale);
    }
}

/* What comes behind the WIDE rows of w at hand begins to move while they are at work: for k values (or pairs) of each
 * of these, which are 4 x WIDE bytes, as many of what follows. Where one panel is all they need not stay in a cache,
 * and shall not drive out what is used again sooner, such as the encoder's output while decoding (generation by
 * FLAN-T5-small: 4 % faster). */
enum moving { NOTHING, TO_STAY, TO_PASS };

CPU_INLINE void fetch(const unsigned char *next, int k, const enum moving what)
{
    const char *from = (const char *)next + (size_t)k * 4 * WIDE;
    UNROLL for (int line = 0; line < 4 * WIDE * 4 / 64; line++) {
        if (what == TO_STAY)
            _mm_prefetch(from + line * 64, _MM_HINT_T0);
        else if (what == TO_PASS)
            _mm_prefetch(from + line * 64, _MM_HINT_NTA);
    }
}

/* --- AVX2: 16 rows against 6 columns, vectors of 8 --- */

static void pack_plain(float *to, const void *x, size_t ld, int m, int k)
{
    for (int row = 0; row < m; row += ROWS, to += (size_t)k * ROWS)
        for (int j = 0; j < k; j++)
            for (int i = 0; i < ROWS; i++)
                to[j * ROWS + i] = row + i < m ? ((const float *)x)[(size_t)(row + i) * ld + (size_t)j] : 0;
}

CPU_AVX2 CPU_INLINE void tile_avx2(const struct cpu_panel *p, const float *x, const float *w, float *to,
                                   const int cols)
{
    for (int k = 0, from = 0; from < p->k; from = k) {
        int end = p->k - from < RUN ? p->k : from + RUN;
        __m256 sum[6][2];
        UNROLL for (int j = 0; j < cols; j++)
            sum[j][0] = sum[j][1] = _mm256_setzero_ps();
        for (; k < end; k++, x += ROWS, w++) {
            __m256 low = _mm256_load_ps(x), high = _mm256_load_ps(x + 8);
            UNROLL for (int j = 0; j < cols; j++) {
                __m256 one = _mm256_broadcast_ss(w + (size_t)j * p->ld_w);
                sum[j][0] = _mm256_fmadd_ps(low, one, sum[j][0]);
                sum[j][1] = _mm256_fmadd_ps(high, one, sum[j][1]);
            }
        }
        UNROLL for (int j = 0; j < cols; j++) {
            float at[16];
            _mm256_storeu_ps(at, sum[j][0]);
            _mm256_storeu_ps(at + 8, sum[j][1]);
            for (int i = 0; i < 16; i++)
                to[i * GATHERED + j] = from == 0 ? at[i] : to[i * GATHERED + j] + at[i];
        }
    }
}

CPU_AVX2 static void multiply_avx2(const struct cpu_panel *p)
{
    struct gathered g;
    for (int col = 0; col < p->n; col += GATHERED) {
        int cols = p->n - col < GATHERED ? p->n - col : GATHERED;
        for (int row = 0; row < p->m; row += ROWS) {
            int rows = p->m - row < ROWS ? p->m - row : ROWS;
            for (int j = 0, step; j < cols; j += step) {
                const float *w = (const float *)p->w + (size_t)(col + j) * p->ld_w;
                step = cols - j >= 6 ? 6 : cols - j >= 4 ? 4 : 1;
                for (int half = 0; half < rows; half += 16) {
                    const float *x = p->x + (size_t)row * (size_t)p->k + half;
                    if (step == 6)
                        tile_avx2(p, x, w, &g.sum[half][j], 6);
                    else if (step == 4)
                        tile_avx2(p, x, w, &g.sum[half][j], 4);
                    else
                        tile_avx2(p, x, w, &g.sum[half][j], 1);
                }
            }
            put(p, &g, row, rows, col, cols);
        }
    }
}

/* --- AVX-512: 32 rows against 12 columns, vectors of 16; a bfloat16's vectors are of 16 pairs --- */

/* r[i] of lane j to r[j] of lane i */
CPU_AVX512 CPU_INLINE void transpose(__m512 r[16])
{
    __m512 t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
        UNROLL for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
            r[i + 2 * j + 1] = _mm512_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
        }
    UNROLL for (int j = 0; j < 4; j++) {
        __m512 even = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88), odd = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
        __m512 even2 = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
        __m512 odd2 = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
        t[j] = _mm512_shuffle_f32x4(even, even2, 0x88);
        t[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        t[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xdd);
        t[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
    memcpy(r, t, sizeof(t));
}

/* Rows of k times 4 bytes, `stride` bytes apart. */
CPU_AVX512 static void pack_words(float *to, const unsigned char *x, size_t stride, int m, int k)
{
    for (int row = 0; row < m; row += 16) {
        float *panel = to + (size_t)(row / ROWS * ROWS) * (size_t)k + row % ROWS;
        for (int j = 0; j < k; j += 16) {
            __m512 r[16];
            __mmask16 here = k - j < 16 ? (__mmask16)((1u << (k - j)) - 1) : 0xffff;
            UNROLL for (int i = 0; i < 16; i++)
                r[i] = row + i < m ? _mm512_maskz_loadu_ps(here, x + (size_t)(row + i) * stride + (size_t)j * 4)
                                   : _mm512_setzero_ps();
            transpose(r);
            for (int i = 0; i < 16 && j + i < k; i++)
                _mm512_store_ps(panel + (size_t)(j + i) * ROWS, r[i]);
        }
    }
}

static void pack_512(float *to, const void *x, size_t ld, int m, int k)
{
    pack_words(to, x, ld * sizeof(float), m, k);
}

static void pack_bf16(float *to, const void *x, size_t ld, int m, int k)
{
    pack_words(to, x, ld * sizeof(uint16_t), m, k / 2);
}

CPU_AVX512 CPU_INLINE void add_4(float *to, __m128 sums, bool is_first)
{
    _mm_store_ps(to, is_first ? sums : _mm_add_ps(_mm_load_ps(to), sums));
}

/* Sums of columns to rows of what is gathered. */
CPU_AVX512 CPU_INLINE void spread(float *to, __m512 sum[WIDE][2], bool is_first, const int vectors, const int cols)
{
    UNROLL for (int v = 0; v < vectors; v++, to += 16 * GATHERED) {
        UNROLL for (int j = 0; j + 4 <= cols; j += 4) {
            __m512 low = _mm512_unpacklo_ps(sum[j][v], sum[j + 1][v]);
            __m512 low2 = _mm512_unpacklo_ps(sum[j + 2][v], sum[j + 3][v]);
            __m512 high = _mm512_unpackhi_ps(sum[j][v], sum[j + 1][v]);
            __m512 high2 = _mm512_unpackhi_ps(sum[j + 2][v], sum[j + 3][v]);
            __m512 row[4] = {_mm512_shuffle_ps(low, low2, 0x44), _mm512_shuffle_ps(low, low2, 0xee),
                             _mm512_shuffle_ps(high, high2, 0x44), _mm512_shuffle_ps(high, high2, 0xee)};
            UNROLL for (int i = 0; i < 4; i++) {
                float *at = to + i * GATHERED + j;
                add_4(at, _mm512_castps512_ps128(row[i]), is_first);
                add_4(at + 4 * GATHERED, _mm512_extractf32x4_ps(row[i], 1), is_first);
                add_4(at + 8 * GATHERED, _mm512_extractf32x4_ps(row[i], 2), is_first);
                add_4(at + 12 * GATHERED, _mm512_extractf32x4_ps(row[i], 3), is_first);
            }
        }
        if (cols == 1) {
            float at[16];
            _mm512_storeu_ps(at, sum[0][v]);
            for (int i = 0; i < 16; i++)
                to[i * GATHERED] = is_first ? at[i] : to[i * GATHERED] + at[i];
        }
    }
}

CPU_AVX512 CPU_INLINE void zero(__m512 sum[WIDE][2], const int vectors, const int cols)
{
    UNROLL for (int j = 0; j < cols; j++)
        UNROLL for (int v = 0; v < vectors; v++)
            sum[j][v] = _mm512_setzero_ps();
}

CPU_AVX512 CPU_INLINE void add_512(__m512 sum[WIDE][2], const float *x, const float *w, size_t ld, const int vectors,
                                   const int cols)
{
    __m512 low = _mm512_load_ps(x), high = vectors == 2 ? _mm512_load_ps(x + 16) : low;
    UNROLL for (int j = 0; j < cols; j++) {
        __m512 one = _mm512_set1_ps(w[(size_t)j * ld]);
        sum[j][0] = _mm512_fmadd_ps(low, one, sum[j][0]);
        if (vectors == 2)
            sum[j][1] = _mm512_fmadd_ps(high, one, sum[j][1]);
    }
}

CPU_AVX512 CPU_INLINE void tile_512(const struct cpu_panel *p, const float *x, const void *rows, float *to,
                                    const int vectors, const int cols, const enum moving what)
{
    const float *w = rows;
    __m512 sum[WIDE][2];
    for (int k = 0, from = 0; from < p->k; from = k) {
        int end = p->k - from < RUN ? p->k : from + RUN;
        zero(sum, vectors, cols);
        for (; k + 4 <= end; k += 4) {
            fetch((const unsigned char *)(w + (size_t)WIDE * p->ld_w), k, what);
            UNROLL for (int u = 0; u < 4; u++)
                add_512(sum, x + (size_t)(k + u) * ROWS, w + k + u, p->ld_w, vectors, cols);
        }
        for (; k < end; k++)
            add_512(sum, x + (size_t)k * ROWS, w + k, p->ld_w, vectors, cols);
        spread(to, sum, from == 0, vectors, cols);
    }
}

CPU_AVX512_BF16 CPU_INLINE void add_bf16(__m512 sum[WIDE][2], const float *x, const uint16_t *w, size_t ld,
                                         const int vectors, const int cols)
{
    __m512bh low = (__m512bh)_mm512_load_ps(x), high = vectors == 2 ? (__m512bh)_mm512_load_ps(x + 16) : low;
    UNROLL for (int j = 0; j < cols; j++) {
        int32_t pair;
        memcpy(&pair, w + (size_t)j * ld, sizeof(pair));
        __m512bh two = (__m512bh)_mm512_set1_epi32(pair);
        sum[j][0] = _mm512_dpbf16_ps(sum[j][0], low, two);
        if (vectors == 2)
            sum[j][1] = _mm512_dpbf16_ps(sum[j][1], high, two);
    }
}

CPU_AVX512_BF16 CPU_INLINE void tile_bf16(const struct cpu_panel *p, const float *x, const void *rows, float *to,
                                          const int vectors, const int cols, const enum moving what)
{
    const uint16_t *w = rows;
    __m512 sum[WIDE][2];
    for (int k = 0, from = 0; from < p->k / 2; from = k) {
        int end = p->k / 2 - from < RUN ? p->k / 2 : from + RUN;
        zero(sum, vectors, cols);
        for (; k + 4 <= end; k += 4) {
            fetch((const unsigned char *)(w + (size_t)WIDE * p->ld_w), k, what);
            UNROLL for (int u = 0; u < 4; u++)
                add_bf16(sum, x + (size_t)(k + u) * ROWS, w + 2 * (k + u), p->ld_w, vectors, cols);
        }
        for (; k < end; k++)
            add_bf16(sum, x + (size_t)k * ROWS, w + 2 * k, p->ld_w, vectors, cols);
        spread(to, sum, from == 0, vectors, cols);
    }
}

/* All columns that are gathered, of one panel of x. Only the first panel's weights are not in the cache yet. */
#define COLUMNS(p, do_tile, x, at, bytes, cols, to, vectors, is_first)                                    \
    do {                                                                                                  \
        for (int j = 0, step; j < (cols); j += step) {                                                    \
            const unsigned char *w = (at) + (size_t)j * (p)->ld_w * (bytes);                              \
            step = (cols) - j >= WIDE ? WIDE : (cols) - j >= 4 ? 4 : 1;                                   \
            if (step == WIDE && (is_first) && (p)->m <= ROWS)                                             \
                do_tile(p, x, w, (to) + j, vectors, WIDE, TO_PASS);                                       \
            else if (step == WIDE && (is_first))                                                          \
                do_tile(p, x, w, (to) + j, vectors, WIDE, TO_STAY);                                       \
            else if (step == WIDE)                                                                        \
                do_tile(p, x, w, (to) + j, vectors, WIDE, NOTHING);                                       \
            else if (step == 4)                                                                           \
                do_tile(p, x, w, (to) + j, vectors, 4, NOTHING);                                          \
            else                                                                                          \
                do_tile(p, x, w, (to) + j, vectors, 1, NOTHING);                                          \
        }                                                                                                 \
    } while (0)

/* words: of 4 bytes, of a packed row */
#define PANELS(p, do_tile, bytes, words)                                                                  \
    do {                                                                                                  \
        struct gathered g;                                                                                \
        for (int col = 0; col < (p)->n; col += GATHERED) {                                                \
            const unsigned char *at = (const unsigned char *)(p)->w + (size_t)col * (p)->ld_w * (bytes);  \
            int cols = (p)->n - col < GATHERED ? (p)->n - col : GATHERED;                                 \
            for (int row = 0; row < (p)->m; row += ROWS) {                                                \
                const float *x = (p)->x + (size_t)row * (size_t)(words);                                  \
                int rows = (p)->m - row < ROWS ? (p)->m - row : ROWS;                                     \
                if (rows > 16)                                                                            \
                    COLUMNS(p, do_tile, x, at, bytes, cols, g.sum[0], 2, row == 0);                       \
                else                                                                                      \
                    COLUMNS(p, do_tile, x, at, bytes, cols, g.sum[0], 1, row == 0);                       \
                put(p, &g, row, rows, col, cols);                                                         \
            }                                                                                             \
        }                                                                                                 \
    } while (0)

CPU_AVX512 static void multiply_512(const struct cpu_panel *p)
{
    PANELS(p, tile_512, sizeof(float), p->k);
}

CPU_AVX512_BF16 static void multiply_bf16(const struct cpu_panel *p)
{
    PANELS(p, tile_bf16, sizeof(uint16_t), p->k / 2);
}

const struct cpu_panel_ops *cpu_panel_of(enum cpu_panel_kind kind)
{
    static const struct cpu_panel_ops avx2 = {pack_plain, multiply_avx2, false};
    static const struct cpu_panel_ops avx512 = {pack_512, multiply_512, true};
    static const struct cpu_panel_ops bf16 = {pack_bf16, multiply_bf16, false};
    switch (kind) {
    case CPU_PANEL_AVX2:
        return cpu_has_avx2() ? &avx2 : NULL;
    case CPU_PANEL_AVX512:
        return cpu_has_avx512() ? &avx512 : NULL;
    case CPU_PANEL_BF16:
        return cpu_has_avx512_bf16() ? &bf16 : NULL;
    default:
        return NULL;
    }
}
#else
const struct cpu_panel_ops *cpu_panel_of(enum cpu_panel_kind kind)
{
    (void)kind;
    return NULL;
}
#endif

const struct cpu_panel_ops *cpu_panel_find(void)
{
    const struct cpu_panel_ops *best = cpu_panel_of(CPU_PANEL_AVX512);
    return best ? best : cpu_panel_of(CPU_PANEL_AVX2);
}
