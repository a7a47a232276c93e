/* models/cpu_few.c: products of few rows without a copy of the weights. */
#include "models/cpu_few.h"

#include "models/cpu_math.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 6")

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

/* What lies AHEAD rows behind the rows of w at hand, at column k, begins to move: a line of each. */
enum { AHEAD = 8 };
CPU_INLINE void fetch(const struct cpu_few *p, const struct tile *t, int k, size_t bytes, const int cols)
{
    UNROLL for (int j = 0; j < cols; j++)
        _mm_prefetch((const char *)t->w + ((size_t)(AHEAD + j) * p->ld_w + (size_t)k) * bytes, _MM_HINT_T0);
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

CPU_AVX2 CPU_INLINE void tile_avx2(const struct cpu_few *p, const struct tile *t, const int rows, const int cols,
                                   const bool fetches)
{
    __m256 sum[2][4];
    int k = 0;
    UNROLL for (int i = 0; i < 2; i++)
        UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = _mm256_setzero_ps();
    for (; k + 8 <= p->k; k += 8) {
        if (fetches && k % 16 == 0)
            fetch(p, t, k, sizeof(float), cols);
        add_8(p, t, k, 8, sum, rows, cols);
    }
    if (k < p->k)
        add_8(p, t, k, p->k - k, sum, rows, cols);
    UNROLL for (int i = 0; i < rows; i++)
        put(p, t, i, sums_of_8(sum[i]), cols);
}

/* --- AVX-512: tiles of 6 x 4, vectors of 16 --- */

CPU_AVX512 CPU_INLINE __m128 sums_of_16(const __m512 v[4])
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

CPU_AVX512 CPU_INLINE void tile_avx512(const struct cpu_few *p, const struct tile *t, const int rows, const int cols,
                                       const bool fetches)
{
    __m512 sum[6][4], at[4];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = _mm512_setzero_ps();
    for (int k = 0; k < p->k; k += 16) {
        if (fetches)
            fetch(p, t, k, sizeof(float), cols);
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

CPU_AVX512_BF16 CPU_INLINE void tile_bf16(const struct cpu_few *p, const struct tile *t, const int rows, const int cols,
                                          const bool fetches)
{
    __m512 sum[6][4];
    __m512bh at[4];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < 4; j++)
            sum[i][j] = _mm512_setzero_ps();
    for (int k = 0; k < p->k; k += 32) {
        if (fetches)
            fetch(p, t, k, sizeof(uint16_t), cols);
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

/* Rows of the next tile, of those that are left: 8 are twice 4. */
static inline int tile_rows(int left, int most)
{
    int rows = left == 8 || left < 6 ? 4 : 6;
    rows = rows > most ? most : rows;
    return left >= rows ? rows : left >= 2 ? 2 : 1;
}

#define TILE(p, do_tile, at, rows, cols, fetches)                                                         \
    do {                                                                                                  \
        if ((cols) == 1)                                                                                  \
            do_tile(p, at, rows, 1, false);                                                               \
        else if (fetches)                                                                                 \
            do_tile(p, at, rows, 4, true);                                                                \
        else                                                                                              \
            do_tile(p, at, rows, 4, false);                                                               \
    } while (0)

/* All tiles of up to `most` rows and 4 columns. The first of those that share columns of w asks for later ones. */
#define TILES(p, do_tile, most, bytes)                                                                    \
    do {                                                                                                  \
        for (int col = 0, cols; col < (p)->n; col += cols) {                                              \
            cols = (p)->n - col >= 4 ? 4 : 1;                                                             \
            for (int row = 0, rows; row < (p)->m; row += rows) {                                          \
                struct tile at = tile_at(p, row, col, bytes);                                             \
                bool fetches = (p)->is_far && row == 0;                                                   \
                rows = tile_rows((p)->m - row, most);                                                     \
                if (rows == 6 && (most) >= 6)                                                             \
                    TILE(p, do_tile, &at, (most) >= 6 ? 6 : 1, cols, fetches);                            \
                else if (rows == 4 && (most) >= 4)                                                        \
                    TILE(p, do_tile, &at, (most) >= 4 ? 4 : 1, cols, fetches);                            \
                else if (rows == 2)                                                                       \
                    TILE(p, do_tile, &at, 2, cols, fetches);                                              \
                else                                                                                      \
                    TILE(p, do_tile, &at, 1, cols, fetches);                                              \
            }                                                                                             \
        }                                                                                                 \
    } while (0)

CPU_AVX2 static void few_avx2(const struct cpu_few *p)
{
    TILES(p, tile_avx2, 2, sizeof(float));
}

CPU_AVX512 static void few_avx512(const struct cpu_few *p)
{
    TILES(p, tile_avx512, 6, sizeof(float));
}

CPU_AVX512_BF16 static void few_bf16(const struct cpu_few *p)
{
    TILES(p, tile_bf16, 6, sizeof(uint16_t));
}

/* --- mixtures: tiles of 6 rows and as many vectors of w's columns as registers hold --- */

/* The first columns of a vector: a compare's lanes. */
CPU_AVX2 CPU_INLINE __m256i first_8(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

CPU_AVX2 CPU_INLINE void mix_tile_avx2(const struct cpu_mix *p, int row, int col, const int rows)
{
    const float *x = p->x + (size_t)row * p->ld_x, *w = p->w + col;
    float *y = p->y + (size_t)row * p->ld_y + col;
    __m256i here[2] = {first_8(p->n - col), first_8(p->n - col - 8)};
    __m256 sum[6][2];
    UNROLL for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    for (int k = 0; k < p->k; k++, w += p->ld_w) {
        __m256 low = _mm256_maskload_ps(w, here[0]), high = _mm256_maskload_ps(w + 8, here[1]);
        UNROLL for (int i = 0; i < rows; i++) {
            __m256 one = _mm256_broadcast_ss(x + (size_t)i * p->ld_x + k);
            sum[i][0] = _mm256_fmadd_ps(one, low, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(one, high, sum[i][1]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        for (int v = 0; v < 2; v++)
            _mm256_maskstore_ps(y + (size_t)i * p->ld_y + 8 * v, here[v], sum[i][v]);
}

CPU_AVX512 CPU_INLINE void mix_tile_avx512(const struct cpu_mix *p, int row, int col, const int rows)
{
    const float *x = p->x + (size_t)row * p->ld_x, *w = p->w + col;
    float *y = p->y + (size_t)row * p->ld_y + col;
    uint64_t all = p->n - col < 64 ? (1ull << (p->n - col)) - 1 : ~0ull;
    __m512 sum[6][4];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < 4; v++)
            sum[i][v] = _mm512_setzero_ps();
    for (int k = 0; k < p->k; k++, w += p->ld_w) {
        __m512 at[4];
        UNROLL for (int v = 0; v < 4; v++)
            at[v] = _mm512_maskz_loadu_ps((__mmask16)(all >> 16 * v), w + 16 * v);
        UNROLL for (int i = 0; i < rows; i++) {
            __m512 one = _mm512_set1_ps(x[(size_t)i * p->ld_x + (size_t)k]);
            UNROLL for (int v = 0; v < 4; v++)
                sum[i][v] = _mm512_fmadd_ps(one, at[v], sum[i][v]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < 4; v++)
            _mm512_mask_storeu_ps(y + (size_t)i * p->ld_y + 16 * v, (__mmask16)(all >> 16 * v), sum[i][v]);
}

#define MIXTURES(p, do_tile, n_cols)                                                                      \
    do {                                                                                                  \
        for (int col = 0; col < (p)->n; col += (n_cols))                                                  \
            for (int row = 0, rows; row < (p)->m; row += rows) {                                          \
                rows = (p)->m - row >= 6 ? 6 : (p)->m - row >= 2 ? 2 : 1;                                 \
                if (rows == 6)                                                                            \
                    do_tile(p, row, col, 6);                                                              \
                else if (rows == 2)                                                                       \
                    do_tile(p, row, col, 2);                                                              \
                else                                                                                      \
                    do_tile(p, row, col, 1);                                                              \
            }                                                                                             \
    } while (0)

CPU_AVX2 static void mix_avx2(const struct cpu_mix *p)
{
    MIXTURES(p, mix_tile_avx2, 16);
}

CPU_AVX512 static void mix_avx512(const struct cpu_mix *p)
{
    MIXTURES(p, mix_tile_avx512, 64);
}

cpu_mix_fn *cpu_mix_of(enum cpu_few_kind kind)
{
    switch (kind) {
    case CPU_FEW_AVX2:
        return cpu_has_avx2() ? mix_avx2 : NULL;
    case CPU_FEW_AVX512:
        return cpu_has_avx512() ? mix_avx512 : NULL;
    default:
        return NULL;
    }
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

cpu_mix_fn *cpu_mix_of(enum cpu_few_kind kind)
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

cpu_mix_fn *cpu_mix_find(void)
{
    cpu_mix_fn *best = cpu_mix_of(CPU_FEW_AVX512);
    return best ? best : cpu_mix_of(CPU_FEW_AVX2);
}
