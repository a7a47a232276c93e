/* models/cpu_few.c: products of few rows without a copy of the weights. */
#include "models/cpu_few.h"

#include "models/cpu_math.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 4")

/* Where a tile's rows of x and of w begin, by bytes, and where its sums go. */
struct tile {
    const unsigned char *x, *w;
    unsigned char *y;
};

static inline struct tile tile_at(const struct cpu_few *p, int row, int col, size_t bytes)
{
    size_t y_bytes = p->is_y_wide ? sizeof(float) : bytes;
    return (struct tile){(const unsigned char *)p->x + (size_t)row * p->ld_x * bytes,
                         (const unsigned char *)p->w + (size_t)col * p->ld_w * bytes,
                         (unsigned char *)p->y + ((size_t)row * p->ld_y + (size_t)col) * y_bytes};
}

static inline const float *float_row(const unsigned char *rows, int i, size_t ld)
{
    return (const float *)(const void *)rows + (size_t)i * ld;
}

static inline const uint16_t *bf16_row(const unsigned char *rows, int i, size_t ld)
{
    return (const uint16_t *)(const void *)rows + (size_t)i * ld;
}

/* The rows of w behind these four begin to move while the four are at work: each of their tiles asks for a share. */
static inline void fetch_ahead(const struct cpu_few *p, const unsigned char *w, int row, int n_rows, size_t bytes)
{
    enum { LINE = 64 };
    size_t all = 4 * p->ld_w * bytes, tiles = (size_t)((p->m + n_rows - 1) / n_rows);
    size_t share = (all / tiles + LINE) / LINE * LINE, from = (size_t)(row / n_rows) * share;
    for (size_t at = from; at < from + share && at < all; at += LINE)
        _mm_prefetch((const char *)w + all + at, _MM_HINT_T0);
}

/* A row of a tile's sums, of which 4 or 1 count. */
CPU_AVX2 CPU_INLINE void put(const struct cpu_few *p, const struct tile *t, int i, __m128 sums, int cols)
{
    float sum[4];
    _mm_storeu_ps(sum, _mm_mul_ps(sums, _mm_set1_ps(p->scale)));
    if (p->is_y_wide) {
        float *y = (float *)(void *)t->y + (size_t)i * p->ld_y;
        for (int j = 0; j < cols; j++)
            y[j] = p->add ? y[j] + sum[j] : sum[j];
    } else {
        uint16_t *y = (uint16_t *)(void *)t->y + (size_t)i * p->ld_y;
        for (int j = 0; j < cols; j++)
            y[j] = cpu_narrowed(sum[j]);
    }
}

/* --- AVX2: tiles of 2 x 4, vectors of 8 --- */

/* Of each vector the sum over its lanes. */
CPU_AVX2 CPU_INLINE __m128 sums_of_8(const __m256 v[4])
{
    __m256 ab = _mm256_hadd_ps(v[0], v[1]), cd = _mm256_hadd_ps(v[2], v[3]), all = _mm256_hadd_ps(ab, cd);
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/* n values, 1 .. 8, then zeros. A masked load takes longer than a whole one. */
CPU_AVX2 CPU_INLINE __m256 load_8(const float *from, int n)
{
    if (n >= 8)
        return _mm256_loadu_ps(from);
    __m256i here = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_maskload_ps(from, here);
}

/* The products of column k and the 7 after it, of which n are there. */
CPU_AVX2 CPU_INLINE void add_8(const struct cpu_few *p, const struct tile *t, int k, int n, __m256 sum[2][4],
                              const int rows, const int cols)
{
    __m256 at[4];
    UNROLL for (int j = 0; j < cols; j++)
        at[j] = load_8(float_row(t->w, j, p->ld_w) + k, n);
    UNROLL for (int i = 0; i < rows; i++) {
        __m256 x = load_8(float_row(t->x, i, p->ld_x) + k, n);
        UNROLL for (int j = 0; j < cols; j++)
            sum[i][j] = _mm256_fmadd_ps(x, at[j], sum[i][j]);
    }
}

CPU_AVX2 CPU_INLINE void tile_avx2(const struct cpu_few *p, const struct tile *t, const int rows, const int cols)
{
    __m256 sum[2][4];
    int k = 0;
    UNROLL for (int i = 0; i < 2; i++)
        UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = _mm256_setzero_ps();
    for (; k + 8 <= p->k; k += 8)
        add_8(p, t, k, 8, sum, rows, cols);
    if (k < p->k)
        add_8(p, t, k, p->k - k, sum, rows, cols);
    UNROLL for (int i = 0; i < rows; i++)
        put(p, t, i, sums_of_8(sum[i]), cols);
}

/* --- AVX-512: tiles of 4 x 4, vectors of 16 --- */

CPU_AVX512 CPU_INLINE __m128 sums_of_16(const __m512 v[4])
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

CPU_AVX512 CPU_INLINE void tile_avx512(const struct cpu_few *p, const struct tile *t, const int rows, const int cols)
{
    __m512 sum[4][4], at[4];
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = _mm512_setzero_ps();
    for (int k = 0; k < p->k; k += 16) {
        __mmask16 here = p->k - k < 16 ? (__mmask16)((1u << (p->k - k)) - 1) : 0xffff;
        UNROLL for (int j = 0; j < cols; j++)
            at[j] = _mm512_maskz_loadu_ps(here, float_row(t->w, j, p->ld_w) + k);
        UNROLL for (int i = 0; i < rows; i++) {
            __m512 x = _mm512_maskz_loadu_ps(here, float_row(t->x, i, p->ld_x) + k);
            UNROLL for (int j = 0; j < cols; j++)
                sum[i][j] = _mm512_fmadd_ps(x, at[j], sum[i][j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        put(p, t, i, sums_of_16(sum[i]), cols);
}

/* --- AVX-512 bf16: the same with vectors of 32, whose neighbours are added up in float32 --- */

CPU_AVX512_BF16 CPU_INLINE void tile_bf16(const struct cpu_few *p, const struct tile *t, const int rows, const int cols)
{
    __m512 sum[4][4];
    __m512bh at[4];
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = _mm512_setzero_ps();
    for (int k = 0; k < p->k; k += 32) {
        __mmask32 here = p->k - k < 32 ? (1u << (p->k - k)) - 1 : 0xffffffffu;
        UNROLL for (int j = 0; j < cols; j++)
            at[j] = (__m512bh)_mm512_maskz_loadu_epi16(here, bf16_row(t->w, j, p->ld_w) + k);
        UNROLL for (int i = 0; i < rows; i++) {
            __m512bh x = (__m512bh)_mm512_maskz_loadu_epi16(here, bf16_row(t->x, i, p->ld_x) + k);
            UNROLL for (int j = 0; j < cols; j++)
                sum[i][j] = _mm512_dpbf16_ps(sum[i][j], x, at[j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        put(p, t, i, sums_of_16(sum[i]), cols);
}

/* All tiles of n_rows rows and 4 columns; what is left at the edges alone. */
#define TILES(p, do_tile, n_rows, bytes)                                                                  \
    do {                                                                                                  \
        for (int col = 0, cols; col < (p)->n; col += cols) {                                              \
            cols = (p)->n - col >= 4 ? 4 : 1;                                                             \
            for (int row = 0, rows; row < (p)->m; row += rows) {                                          \
                struct tile at = tile_at(p, row, col, bytes);                                             \
                rows = (p)->m - row >= (n_rows) ? (n_rows) : 1;                                           \
                if ((p)->is_far && row % (n_rows) == 0)                                                   \
                    fetch_ahead(p, at.w, row, n_rows, bytes);                                             \
                if (rows == (n_rows) && cols == 4)                                                        \
                    do_tile(p, &at, n_rows, 4);                                                           \
                else if (cols == 4)                                                                       \
                    do_tile(p, &at, 1, 4);                                                                \
                else if (rows == (n_rows))                                                                \
                    do_tile(p, &at, n_rows, 1);                                                           \
                else                                                                                      \
                    do_tile(p, &at, 1, 1);                                                                \
            }                                                                                             \
        }                                                                                                 \
    } while (0)

CPU_AVX2 static void few_avx2(const struct cpu_few *p)
{
    TILES(p, tile_avx2, 2, sizeof(float));
}

CPU_AVX512 static void few_avx512(const struct cpu_few *p)
{
    TILES(p, tile_avx512, 4, sizeof(float));
}

CPU_AVX512_BF16 static void few_bf16(const struct cpu_few *p)
{
    TILES(p, tile_bf16, 4, sizeof(uint16_t));
}

cpu_few_fn *cpu_few_of(enum cpu_few_kind kind)
{
    switch (kind) {
    case CPU_FEW_AVX2:
        return cpu_has_avx2() ? few_avx2 : NULL;
    case CPU_FEW_AVX512:
        return cpu_has_avx512() ? few_avx512 : NULL;
    case CPU_FEW_BF16:
        return cpu_has_avx512_bf16() ? few_bf16 : NULL;
    default:
        return NULL;
    }
}
#else
cpu_few_fn *cpu_few_of(enum cpu_few_kind kind)
{
    (void)kind;
    return NULL;
}
#endif

cpu_few_fn *cpu_few_find(void)
{
    cpu_few_fn *best = cpu_few_of(CPU_FEW_AVX512);
    return best ? best : cpu_few_of(CPU_FEW_AVX2);
}
