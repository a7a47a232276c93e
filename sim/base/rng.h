/* sim/base/rng.h: random numbers as a pure function of (seed, stream, owner, index).
 *
 * Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * No generator is carried around, so neither the number of threads nor the order of events can change a
 * draw. The key is the seed; the counter is (index, owner, stream). The arithmetic is plain C that a
 * CUDA kernel compiles too, so a dropout mask is the same on both. Known answers: test_rng. */
#ifndef SIM_BASE_RNG_H
#define SIM_BASE_RNG_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define RNG_FN static inline __host__ __device__
#else
#define RNG_FN static inline
#endif

/* Who draws. A new use gets a new stream, so that adding it moves no other draw. Streams below 64 are
 * the simulation's; the model's dropout sites start at RNG_DROPOUT and count up per site. */
enum rng_stream {
    RNG_INIT_LORA = 1, /* initial adapters; owner = matrix */
    RNG_SPLIT,         /* which client holds which sample */
    RNG_ORDER,         /* order of a client's samples; owner = client */
    RNG_PICK,          /* the cohort of a round; owner = round */
    RNG_DROPOUT_OUT,   /* who drops out of a round; owner = round */
    RNG_DIALOGUE,      /* builtin:dialogues; owner = part */
    RNG_PRETRAIN,      /* pretraining mixture; owner = step */
    RNG_INIT_WEIGHTS,  /* a model made from nothing; owner = matrix */
    RNG_COMPUTE_JITTER,
    RNG_TRAIN_STEP,    /* seed of a local step's dropout masks; index = step */
    RNG_ROUND, /* seeds of a round's training; owner = round */
    RNG_TRACE, /* where in its bandwidth trace a client begins; owner = client, or a number above all for a link */
    RNG_DRAW,  /* rates and latency of a client; owner = client */
    RNG_DROPOUT = 64,
};

struct rng4 {
    uint32_t v[4];
};

/* The upper half of a product. nvcc makes one 32-bit multiplication of both halves of this form; of 64-bit
 * arithmetic it may make 64-bit products. */
RNG_FN uint32_t rng_high(uint32_t a, uint32_t b)
{
#ifdef __CUDA_ARCH__
    return __umulhi(a, b);
#else
    return (uint32_t)((uint64_t)a * b >> 32);
#endif
}

RNG_FN struct rng4 rng_philox(uint32_t k0, uint32_t k1, struct rng4 c)
{
    const uint32_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
    for (int round = 0; round < 10; round++) {
        struct rng4 n = {{rng_high(m1, c.v[2]) ^ c.v[1] ^ k0, m1 * c.v[2],
                          rng_high(m0, c.v[0]) ^ c.v[3] ^ k1, m0 * c.v[0]}};
        c = n;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Four independent 32-bit words. */
RNG_FN struct rng4 rng_block(uint64_t seed, uint32_t stream, uint32_t owner, uint64_t index)
{
    struct rng4 c = {{(uint32_t)index, (uint32_t)(index >> 32), owner, stream}};
    return rng_philox((uint32_t)seed, (uint32_t)(seed >> 32), c);
}

/* 64 bits: words 0 and 1 of the block. */
RNG_FN uint64_t rng_u64(uint64_t seed, uint32_t stream, uint32_t owner, uint64_t index)
{
    struct rng4 b = rng_block(seed, stream, owner, index);
    return (uint64_t)b.v[1] << 32 | b.v[0];
}

/* Uniform in (0, 1), 53 bits, never 0 or 1. */
RNG_FN double rng_uniform(uint64_t seed, uint32_t stream, uint32_t owner, uint64_t index)
{
    return ((double)(rng_u64(seed, stream, owner, index) >> 11) + 0.5) * 0x1p-53;
}

/* Uniform in 0 .. n-1, n >= 1. The bias of the product method is below n / 2^64. */
RNG_FN uint64_t rng_below(uint64_t seed, uint32_t stream, uint32_t owner, uint64_t index, uint64_t n)
{
    uint64_t u = rng_u64(seed, stream, owner, index);
    uint64_t hi = u >> 32, lo = u & 0xffffffffu, nh = n >> 32, nl = n & 0xffffffffu;
    uint64_t mid = hi * nl + ((lo * nl) >> 32);
    uint64_t mid2 = lo * nh + (mid & 0xffffffffu);
    return hi * nh + (mid >> 32) + (mid2 >> 32);
}

/* Standard normal (Box and Muller) from words 0 .. 3 of one block. */
RNG_FN double rng_normal(uint64_t seed, uint32_t stream, uint32_t owner, uint64_t index)
{
    struct rng4 b = rng_block(seed, stream, owner, index);
    double u = ((double)(((uint64_t)b.v[1] << 32 | b.v[0]) >> 11) + 0.5) * 0x1p-53;
    double w = ((double)(((uint64_t)b.v[3] << 32 | b.v[2]) >> 11) + 0.5) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925286766559 * w);
}

#endif
