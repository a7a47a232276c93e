/* tests/cuda_emu/cuda_emu.h: CUDA C++ on the CPU, for tests. Included by force (-include) before a .cu file
 * that is compiled as C++17; no CUDA header is needed.
 *
 * Blocks run one after another. A block's threads are fibers: each runs until it blocks, at __syncthreads or
 * at a meeting of its warp (shuffles, __syncwarp, votes, cuda_mma, cuda_ldmatrix4), and the last one to
 * come opens the door. Threads run in rising order in one block and in falling order in the next, so that a
 * missing barrier shows as a wrong number. Threads that have returned count as arrived, as on hardware; a
 * lane that has returned gives NaN to who reads it. The process aborts with a line that names the kernel
 *   - when threads wait for each other for ever,
 *   - when threads of a block meet at __syncthreads of different lines, or lanes at different operations,
 *   - when an address that must be aligned to 16 bytes is not.
 *
 * What is found beyond that is the sanitizers' doing: cudaMalloc and dynamic shared memory are heap blocks of
 * exactly the size asked for, filled with 0xff bytes (NaN in float32 and bfloat16), shared memory anew before
 * every block. cuda_copy16 reads at once but writes (over NaN) when its group is waited for.
 *
 * Streams do everything at once; one launch runs at a time, whatever thread of the host it comes from. */
#ifndef TESTS_CUDA_EMU_CUDA_EMU_H
#define TESTS_CUDA_EMU_CUDA_EMU_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <utility>

/* --- the language --- */

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

static inline float2 make_float2(float x, float y)
{
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
static inline int2 make_int2(int x, int y)
{
    return {x, y};
}
static inline int4 make_int4(int x, int y, int z, int w)
{
    return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

/* The thread that runs now. These are variables in CUDA, too. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

/* --- meetings --- */

enum cuda_emu_op {
    CUDA_EMU_SYNC,
    CUDA_EMU_SHUFFLE,
    CUDA_EMU_SHUFFLE_XOR,
    CUDA_EMU_SHUFFLE_UP,
    CUDA_EMU_SHUFFLE_DOWN,
    CUDA_EMU_BALLOT,
    CUDA_EMU_ADD,
    CUDA_EMU_MMA,
    CUDA_EMU_LDMATRIX,
    CUDA_EMU_LDMATRIX_T,
    CUDA_EMU_OPS
};

void cuda_emu_barrier(const char *file, int line);
unsigned cuda_emu_meet(enum cuda_emu_op op, unsigned mask, unsigned value, int at, int width);

#define __syncthreads() cuda_emu_barrier(__FILE__, __LINE__)

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    cuda_emu_meet(CUDA_EMU_SYNC, mask, 0, 0, 32);
}

template <typename T>
static inline T cuda_emu_shuffle(enum cuda_emu_op op, unsigned mask, T value, int at, int width)
{
    static_assert(sizeof(T) == 4, "shuffles move 32 bits");
    unsigned bits;
    memcpy(&bits, &value, 4);
    bits = cuda_emu_meet(op, mask, bits, at, width);
    memcpy(&value, &bits, 4);
    return value;
}

template <typename T> static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32)
{
    return cuda_emu_shuffle(CUDA_EMU_SHUFFLE, mask, value, lane, width);
}
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32)
{
    return cuda_emu_shuffle(CUDA_EMU_SHUFFLE_XOR, mask, value, lanes, width);
}
template <typename T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32)
{
    return cuda_emu_shuffle(CUDA_EMU_SHUFFLE_UP, mask, value, (int)by, width);
}
template <typename T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32)
{
    return cuda_emu_shuffle(CUDA_EMU_SHUFFLE_DOWN, mask, value, (int)by, width);
}

static inline unsigned __ballot_sync(unsigned mask, int is_so)
{
    return cuda_emu_meet(CUDA_EMU_BALLOT, mask, is_so != 0, 0, 32);
}
static inline int __any_sync(unsigned mask, int is_so)
{
    return __ballot_sync(mask, is_so) != 0;
}
static inline int __all_sync(unsigned mask, int is_so)
{
    return __ballot_sync(mask, !is_so) == 0;
}
static inline unsigned __reduce_add_sync(unsigned mask, unsigned value)
{
    return cuda_emu_meet(CUDA_EMU_ADD, mask, value, 0, 32);
}

/* Threads change places at meetings only, so plain code is atomic. */
template <typename T> static inline T atomicAdd(T *p, T x)
{
    T was = *p;
    *p = was + x;
    return was;
}
template <typename T> static inline T atomicMax(T *p, T x)
{
    T was = *p;
    *p = was < x ? x : was;
    return was;
}
static inline void __threadfence(void)
{
}
static inline void __threadfence_block(void)
{
}

/* --- arithmetic --- */

static inline uint32_t __float_as_uint(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}
static inline float __uint_as_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}
static inline int __float_as_int(float x)
{
    return (int)__float_as_uint(x);
}
static inline float __int_as_float(int i)
{
    return __uint_as_float((uint32_t)i);
}

/* Macros: the C library has functions of these names, declared or not. */
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define rsqrtf(x) (1.0f / sqrtf(x))
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
static inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
static inline float __fdiv_rn(float x, float y)
{
    return x / y;
}
static inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}
static inline float __fmul_rn(float x, float y)
{
    return x * y;
}
static inline float __fadd_rn(float x, float y)
{
    return x + y;
}
static inline float __saturatef(float x)
{
    return x > 0 ? x < 1 ? x : 1 : 0;
}
template <typename T> static inline T __ldg(const T *p)
{
    return *p;
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

#define CUDA_EMU_MIN_MAX(type)                                                                     \
    static inline type min(type a, type b)                                                         \
    {                                                                                              \
        return b < a ? b : a;                                                                      \
    }                                                                                              \
    static inline type max(type a, type b)                                                         \
    {                                                                                              \
        return a < b ? b : a;                                                                      \
    }
CUDA_EMU_MIN_MAX(int)
CUDA_EMU_MIN_MAX(unsigned)
CUDA_EMU_MIN_MAX(long)
CUDA_EMU_MIN_MAX(unsigned long)
CUDA_EMU_MIN_MAX(long long)
CUDA_EMU_MIN_MAX(unsigned long long)
static inline float min(float a, float b)
{
    return fminf(a, b);
}
static inline float max(float a, float b)
{
    return fmaxf(a, b);
}

/* --- models/cuda_mma.cuh, whose header says what they do --- */

/* models/cuda.cuh: the first statement of every kernel; here it is only counted. */
void cuda_begin(void);
void cuda_mma(float c[4], const uint32_t a[4], const uint32_t b[2]);
void cuda_ldmatrix4(uint32_t r[4], const void *row);
void cuda_ldmatrix4_t(uint32_t r[4], const void *row);
void cuda_copy16(void *to, const void *from, bool is_there);
void cuda_copy_commit(void);
void cuda_emu_copy_wait(int n_groups);
template <int N> static inline void cuda_copy_wait(void)
{
    cuda_emu_copy_wait(N);
}

/* --- launching --- */

#include "tests/cuda_emu/emu_runtime.h"

void *cuda_emu_shared(void);
cudaError_t cuda_emu_run(const char *name, dim3 grid, dim3 block, size_t shared_bytes, void (*call)(void *),
                         void *what);

template <typename... P> struct cuda_emu_call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
    static void run(void *self)
    {
        cuda_emu_call *c = static_cast<cuda_emu_call *>(self);
        std::apply(c->kernel, c->arguments);
    }
};

template <typename... P, typename... A>
cudaError_t cuda_emu_launch(const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                            void (*kernel)(P...), A &&...arguments)
{
    struct cuda_emu_call<P...> c = {kernel, std::tuple<P...>(static_cast<P>(arguments)...)};
    return cuda_emu_run(name, grid, block, shared_bytes, cuda_emu_call<P...>::run, &c);
}

#define CUDA_SHARED(type, name) type *name = static_cast<type *>(cuda_emu_shared())
#define CUDA_LAUNCH(c, grid, block, shared_bytes, kernel, ...)                                     \
    do {                                                                                           \
        auto c_ = (c);                                                                             \
        auto kernel_ = kernel;                                                                     \
        if (c_->failure.code)                                                                      \
            break;                                                                                 \
        cuda_check(c_, cuda_emu_launch(#kernel, grid, block, shared_bytes, kernel_, __VA_ARGS__),  \
                   #kernel);                                                                       \
    } while (0)

#endif
