/* models/cuda_lora_bf16.cuh: what the kernels of bf16 adapters share: values as 16 bytes of one row, and the
 * masks of eight columns that belong to them. */
#ifndef MODELS_CUDA_LORA_BF16_CUH
#define MODELS_CUDA_LORA_BF16_CUH

#include "models/cuda_lora.cuh"
#include "models/cuda_mma.cuh"

__device__ static inline uint4 lora_load(const bf16 *p, bool is_there)
{
    return is_there ? *reinterpret_cast<const uint4 *>(p) : make_uint4(0, 0, 0, 0);
}

__device__ static inline uint4 lora_pack(const float8 &x)
{
    return make_uint4(cuda_mma_pack(x.v[0], x.v[1]), cuda_mma_pack(x.v[2], x.v[3]),
                      cuda_mma_pack(x.v[4], x.v[5]), cuda_mma_pack(x.v[6], x.v[7]));
}

/* Both halves of a word: all ones where kept. */
__device__ static inline uint32_t lora_keep2(uint32_t words, uint32_t threshold)
{
    return ((words & 0xffffu) >= threshold ? 0xffffu : 0u) | (words >= threshold << 16 ? 0xffff0000u : 0u);
}

/* The same from the two lowest bits. */
__device__ static inline uint32_t lora_spread2(uint32_t bits)
{
    return (bits & 1u) * 0xffffu | (bits & 2u) * 0x7fff8000u;
}

/* All ones for kept values of columns 8 * col8 .. + 7. */
__device__ static inline uint4 lora_keep(const struct cuda_drop &d, uint32_t owner, uint32_t index,
                                         uint32_t col8)
{
    struct rng4 w = dropout_words(d.seed, d.site, owner, index, col8);
    return make_uint4(lora_keep2(w.v[0], d.threshold), lora_keep2(w.v[1], d.threshold),
                      lora_keep2(w.v[2], d.threshold), lora_keep2(w.v[3], d.threshold));
}

__device__ static inline uint4 lora_and(uint4 a, uint4 b)
{
    return make_uint4(a.x & b.x, a.y & b.y, a.z & b.z, a.w & b.w);
}

__host__ __device__ static inline bool lora_is_aligned(const void *p)
{
    return (reinterpret_cast<uintptr_t>(p) & 15) == 0;
}

/* Passes of rank 16 that are aligned to 16 bytes: cuda_lora_rank16.cu. All others: cuda_lora_bf16.cu. */
bool cuda_lora_is_rank16(const struct lora_pass<bf16> &p);
int cuda_lora_rank16_rows(const struct cuda *c, int n);
void cuda_lora_rank16_pass(struct cuda *c, const struct lora_pass<bf16> &p);

#endif
