/* models/cpu_one.c: attention of one query. */
#include "models/cpu_one.h"

#include "models/cpu_math.h"

/* Rows at a time, and how many rows before they are used they begin to move. */
enum { STEP = 4, AHEAD = 8 };

struct rows {
    const unsigned char *at;
    size_t stride; /* bytes */
    int n;
    size_t heads, d;
    bool is_bf16;
};

static struct rows rows_of(bool is_bf16, const void *at, size_t ld, int n, int heads, int d)
{
    return (struct rows){at, ld * (is_bf16 ? sizeof(uint16_t) : sizeof(float)), n, (size_t)heads, (size_t)d, is_bf16};
}

/* The STEP rows that come AHEAD of row j. Of all layers they are more than a cache holds until the next token. */
static inline void fetch(const struct rows *r, int j)
{
    size_t n_bytes = r->heads * r->d * (r->is_bf16 ? sizeof(uint16_t) : sizeof(float));
    for (int i = j + AHEAD; i < j + AHEAD + STEP && i < r->n; i++)
        for (size_t at = 0; at < n_bytes; at += 64)
            __builtin_prefetch(r->at + (size_t)i * r->stride + at, 0, 0);
}

CPU_INLINE const void *row(const struct rows *r, int j)
{
    return r->at + (size_t)j * r->stride;
}

CPU_INLINE float value(const void *row, size_t i, const bool is_bf16)
{
    return is_bf16 ? cpu_widened(((const uint16_t *)row)[i]) : ((const float *)row)[i];
}

CPU_INLINE float dot(const float *q, const void *k, size_t from, size_t d, const bool is_bf16)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < d; i++)
        sum += q[from + i] * value(k, from + i, is_bf16);
    return sum;
}

CPU_INLINE void scores(float *s, size_t ld_s, const float *q, const struct rows *k, const bool is_bf16)
{
    for (int j = 0; j < k->n; j++) {
        if (j % STEP == 0)
            fetch(k, j);
        for (size_t h = 0; h < k->heads; h++)
            s[h * ld_s + (size_t)j] = dot(q, row(k, j), h * k->d, k->d, is_bf16);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 4")

CPU_AVX512 CPU_INLINE __m512 load(const void *row, size_t at, __mmask16 here, const bool is_bf16)
{
    if (is_bf16) {
        __m256i narrow = _mm256_maskz_loadu_epi16(here, (const uint16_t *)row + at);
        return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16);
    }
    return _mm512_maskz_loadu_ps(here, (const float *)row + at);
}

/* Of each vector the sum over its lanes. */
CPU_AVX512 CPU_INLINE __m128 sums_of_16(const __m512 v[STEP])
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* The compiler adds up the lanes of a sum one after the other. */
CPU_AVX512 CPU_INLINE void scores_512(float *s, size_t ld_s, const float *q, const struct rows *k, const bool is_bf16)
{
    for (int j = 0; j < k->n; j += STEP) {
        int n = k->n - j < STEP ? k->n - j : STEP;
        const void *at[STEP];
        for (int i = 0; i < STEP; i++)
            at[i] = row(k, j + (i < n ? i : 0));
        fetch(k, j);
        for (size_t h = 0; h < k->heads; h++) {
            __m512 sum[STEP] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
            for (size_t i = 0; i < k->d; i += 16) {
                __mmask16 here = k->d - i < 16 ? (__mmask16)((1u << (k->d - i)) - 1) : 0xffff;
                __m512 x = load(q, h * k->d + i, here, false);
                UNROLL for (int r = 0; r < STEP; r++)
                    sum[r] = _mm512_fmadd_ps(x, load(at[r], h * k->d + i, here, is_bf16), sum[r]);
            }
            _mm_mask_storeu_ps(s + h * ld_s + j, (__mmask8)((1u << n) - 1), sums_of_16(sum));
        }
    }
}

CPU_AVX512 static bool scores_here(bool is_bf16, float *s, size_t ld_s, const float *q, const struct rows *k)
{
    if (!cpu_has_avx512())
        return false;
    if (is_bf16)
        scores_512(s, ld_s, q, k, true);
    else
        scores_512(s, ld_s, q, k, false);
    return true;
}
#else
static bool scores_here(bool is_bf16, float *s, size_t ld_s, const float *q, const struct rows *k)
{
    (void)is_bf16, (void)s, (void)ld_s, (void)q, (void)k;
    return false;
}
#endif

/* STEP rows at a time: out is read and written as seldom. */
CPU_INLINE void mix(float *out, const float *s, size_t ld_s, const struct rows *v, const bool is_bf16)
{
    size_t d = v->d;
    int j = 0;
    for (; j + STEP <= v->n; j += STEP) {
        const void *v0 = row(v, j), *v1 = row(v, j + 1), *v2 = row(v, j + 2), *v3 = row(v, j + 3);
        fetch(v, j);
        for (size_t h = 0; h < v->heads; h++) {
            const float *p = s + h * ld_s + j;
#pragma omp simd
            for (size_t i = h * d; i < (h + 1) * d; i++)
                out[i] += p[0] * value(v0, i, is_bf16) + p[1] * value(v1, i, is_bf16) +
                          (p[2] * value(v2, i, is_bf16) + p[3] * value(v3, i, is_bf16));
        }
    }
    for (; j < v->n; j++)
        for (size_t h = 0; h < v->heads; h++) {
#pragma omp simd
            for (size_t i = h * d; i < (h + 1) * d; i++)
                out[i] += s[h * ld_s + (size_t)j] * value(row(v, j), i, is_bf16);
        }
}

CPU_KERNEL static void scores_float(float *s, size_t ld_s, const float *q, const struct rows *k)
{
    scores(s, ld_s, q, k, false);
}

CPU_KERNEL static void scores_bf16(float *s, size_t ld_s, const float *q, const struct rows *k)
{
    scores(s, ld_s, q, k, true);
}

CPU_KERNEL static void mix_float(float *out, const float *s, size_t ld_s, const struct rows *v)
{
    mix(out, s, ld_s, v, false);
}

CPU_KERNEL static void mix_bf16(float *out, const float *s, size_t ld_s, const struct rows *v)
{
    mix(out, s, ld_s, v, true);
}

void cpu_one_scores(bool is_bf16, float *s, size_t ld_s, const float *q, const void *k, size_t ld, int n, int heads,
                    int d)
{
    struct rows r = rows_of(is_bf16, k, ld, n, heads, d);
    if (!scores_here(is_bf16, s, ld_s, q, &r))
        (is_bf16 ? scores_bf16 : scores_float)(s, ld_s, q, &r);
}

void cpu_one_mix(bool is_bf16, float *out, const float *s, size_t ld_s, const void *v, size_t ld, int n, int heads,
                 int d)
{
    struct rows r = rows_of(is_bf16, v, ld, n, heads, d);
    memset(out, 0, r.heads * r.d * sizeof(*out));
    (is_bf16 ? mix_bf16 : mix_float)(out, s, ld_s, &r);
}
