/* models/cpu_math.h: how the CPU's element-wise kernels are written.
 *
 * A kernel is a plain loop that the compiler vectorises. CPU_KERNEL before it makes three copies, for
 * AVX-512, AVX2 with FMA and any x86-64, of which the program takes the best at its start; elsewhere there
 * is one. A kernel is static: clang 14 gives a public one a name that other files do not find. Sums in a
 * loop marked "omp simd reduction" run in as many lanes as the machine has, so their last bits belong to
 * the kind of processor (which describe names), not to the number of threads.
 *
 * Code by intrinsics is marked CPU_AVX2, CPU_AVX512 or CPU_AVX512_BF16: it compiles for any x86-64 and runs where
 * cpu_has_avx2, cpu_has_avx512 or cpu_has_avx512_bf16 says so. */
#ifndef MODELS_CPU_MATH_H
#define MODELS_CPU_MATH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && !defined(VERYEDGE_SANITIZED)
#define CPU_KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CPU_KERNEL /* a sanitizer is not ready yet when the copy is chosen */
#endif
/* Before a short loop of fixed length: gcc would write it out before it looks for vectors. */
#if defined(__GNUC__) && !defined(__clang__)
#define CPU_KEEP_LOOP _Pragma("GCC unroll 1")
#else
#define CPU_KEEP_LOOP
#endif
#define CPU_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define CPU_AVX2 __attribute__((target("avx2,fma")))
#define CPU_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define CPU_AVX512_BF16 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

static inline bool cpu_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static inline bool cpu_has_avx512(void)
{
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static inline bool cpu_has_avx512_bf16(void)
{
    return cpu_has_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif

/* e^x to 2e-7 relative for -87 <= x <= 88 (1.3e-7 with FMA; test_ops tries every 37th float). Outside, the
 * value at the nearer end: no infinity, no denormal number. NaN stays NaN. x = n ln 2 + r with |r| <= ln 2 / 2,
 * e^r by its Taylor series (the next term is below 6e-9), 2^n by the exponent's bits. */
CPU_INLINE float cpu_exp(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number, kept in the low bits */
    union {
        float f;
        int32_t i;
    } n, two_n;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    n.f = x * 1.44269504f + shift;
    float whole = n.f - shift;
    float r = x - whole * 0.693145752f; /* ln 2 in two parts, the first short enough for exact products */
    r = r - whole * 1.42860677e-6f;
    float tail = r * (1.0f / 5040) + 1.0f / 720;
    tail = tail * r + 1.0f / 120;
    tail = tail * r + 1.0f / 24;
    tail = tail * r + 1.0f / 6;
    tail = tail * r + 0.5f;
    tail = tail * r * r + r;
    two_n.i = (int32_t)((uint32_t)n.i << 23) + 0x3f800000;
    return tail * two_n.f + two_n.f;
}

/* A bfloat16 is the upper half of a float32; to it by rounding to the nearest, ties to even. NaN stays NaN. */
CPU_INLINE float cpu_widened(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

CPU_INLINE uint16_t cpu_narrowed(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16, nan = bits >> 16 | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

/* gelu(g) = g s in its tanh form, with 1 + tanh(y) = 2 s, s the logistic function of 2 y and
 * y = sqrt(2/pi) (g + 0.044715 g^3) (Hendrycks and Gimpel 2016). Gives s; *slope = d gelu / d g. */
CPU_INLINE float cpu_gelu_gate(float g, float *slope)
{
    const float k = 1.595769122f, c = 0.044715f; /* 2 sqrt(2/pi) */
    float g2 = g * g, y2 = k * g * (1 + c * g2);
    float s = 1 / (1 + cpu_exp(-y2));
    *slope = s + s * (1 - s) * k * g * (1 + 3 * c * g2);
    return s;
}

#endif
