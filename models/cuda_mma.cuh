/* models/cuda_mma.cuh: the tensor cores' instructions that kernels use, for sm_80 and newer.
 *
 * Fragments are those of PTX mma.m16n8k16 for bf16. With g = lane / 4 and q = lane % 4, two values to a
 * register, the lower column in the lower half:
 *   a [16 x 16]: a[0] row g, columns 2q 2q+1; a[1] row g+8, same; a[2] row g, columns 2q+8 2q+9; a[3] row g+8
 *   b [16 x 8]:  b[0] rows 2q 2q+1 of column g; b[1] rows 2q+8 2q+9 of column g
 *   c [16 x 8]:  c[0] c[1] row g, columns 2q 2q+1; c[2] c[3] row g+8
 * All 32 lanes of a warp must take part in every call. */
#ifndef MODELS_CUDA_MMA_CUH
#define MODELS_CUDA_MMA_CUH

#include "models/cuda.cuh"

#ifdef __CUDACC__

/* c += a b */
__device__ static inline void cuda_mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8 x 8 matrices of bf16 from shared memory: lane l names the 16 bytes (aligned) of row l % 8 of matrix
 * l / 8; register i gets of matrix i row g, columns 2q 2q+1. */
__device__ static inline void cuda_ldmatrix4(uint32_t r[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
}

/* The same, each matrix transposed: register i gets of matrix i rows 2q 2q+1 of column g. */
__device__ static inline void cuda_ldmatrix4_t(uint32_t r[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
}

/* 16 bytes from global to shared memory, both aligned to 16, without waiting; is_there false writes zeros
 * (from is not read, but must be an address). */
__device__ static inline void cuda_copy16(void *to, const void *from, bool is_there)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to);
    int n = is_there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(n));
}

/* Closes a group of copies; waits until at most N groups of this thread are under way. Other threads' copies
 * are there after a __syncthreads() that follows. */
__device__ static inline void cuda_copy_commit(void)
{
    asm volatile("cp.async.commit_group;");
}

template <int N> __device__ static inline void cuda_copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#endif

/* low and high as a register of two values, rounded to nearest, ties to even */
__device__ static inline uint32_t cuda_mma_pack(float low, float high)
{
    return cuda_pack(low, high);
}

#endif
