/* models/cuda.cuh: what the files of the CUDA backend share. Nobody else includes it.
 *
 * cuda.cu holds the tables, memory and optimizer steps, cuda_rows.cu norms and element-wise operations,
 * cuda_linear.cu the products of layers, cuda_gemm.cu one product by cuBLASLt (and alone knows it),
 * cuda_lora.cu the adapters, cuda_attn*.cu attention, cuda_loss.cu the head and its loss, cuda_mma.cuh the
 * tensor cores' instructions. Kernels are templates over T, the type of values: float or bf16.
 *
 * All work of a backend is queued on one stream, and nothing waits but get and sync. No kernel adds in an
 * order that is left to chance: equal inputs give equal bytes.
 *
 * The same sources compile under tests/cuda_emu, which runs a kernel's threads as fibers on the CPU:
 * kernels are launched by CUDA_LAUNCH only and begin with cuda_begin, dynamic shared memory is named by
 * CUDA_SHARED, and everything that is not plain CUDA C++ goes through cuda_mma.cuh or, the arithmetic, stands
 * twice below. */
#ifndef MODELS_CUDA_CUH
#define MODELS_CUDA_CUH

#ifdef __CUDACC__
#include <cuda_runtime.h>
#endif
#include <stdint.h>
#include <string.h>

extern "C" {
#include "models/backend.h"
}
#include "models/dropout.h"

/* --- the backend --- */

enum { CUDA_STAGES = 4, CUDA_TABLES = 48, CUDA_SCRATCHES = 4 };

/* Pinned memory through which `set` passes, so that the caller's may be used again at once. */
struct cuda_stage {
    unsigned char *host;
    cudaEvent_t is_free; /* recorded when its copies have been queued */
};

/* A host table that kernels read, kept while its content comes again. */
struct cuda_table {
    int32_t *host, *device;
    size_t n, room; /* values */
};

/* T5's buckets of the distances -reach .. reach, on the host, as attention last needed them. */
struct cuda_buckets {
    int n_buckets, max_distance, reach;
    int32_t *bucket;
};

struct cuda_blas; /* cuda_gemm.cu */

struct cuda {
    struct backend base;
    cudaStream_t stream;
    struct cuda_blas *blas;
    struct cuda_stage stage[CUDA_STAGES];
    int at_stage;
    size_t stage_used;
    struct cuda_table table[CUDA_TABLES];
    unsigned next_table;
    struct cuda_buckets buckets[2]; /* of decoders; bidirectional */
    void *scratch[CUDA_SCRATCHES];
    size_t n_scratch[CUDA_SCRATCHES]; /* bytes */
    int device, n_processors;
    bool has_neighbours; /* there are several devices */
    bool is_early; /* kernels may come before the one ahead of them has ended, see cuda_begin */
    struct err failure; /* the first since the last sync */
};

static inline int cuda_blocks(size_t n, int block)
{
    return (int)((n + (size_t)block - 1) / (size_t)block);
}

/* Keeps the first failure. False when the call failed or an earlier one did. */
bool cuda_check(struct cuda *c, cudaError_t code, const char *what);

/* The backend behind b, whose device is this thread's from here on: every operation begins with it, for threads
 * and devices come together in any way. */
static inline struct cuda *cuda_of(struct backend *b)
{
    struct cuda *c = (struct cuda *)b; /* base is its first member */
    if (c->has_neighbours)
        cuda_check(c, cudaSetDevice(c->device), "choosing the GPU");
    return c;
}

/* The table in device memory, for work that is queued before 48 other tables are asked for. NULL when memory
 * is gone: the failure is kept and the operation must do nothing. */
const int32_t *cuda_table(struct cuda *c, const int32_t *host, size_t n);

/* Device memory of at least n_bytes, shared by all operations that name this slot; contents are lost. NULL
 * when memory is gone. */
void *cuda_scratch(struct cuda *c, int slot, size_t n_bytes);

/* out [m, n] = alpha op(a) [m, k] op(b) [k, n] + beta out, row-major; a and b are values, of value_bytes; out
 * too, or float32. Products add up in float32, TF32 is off. */
struct cuda_product {
    bool is_a_t, is_b_t;
    int m, n, k;
    float alpha;
    const void *a;
    size_t ld_a;
    const void *b;
    size_t ld_b;
    float beta;
    void *out;
    size_t ld_out;
    bool is_out_float;
};
void cuda_gemm(struct cuda *c, const struct cuda_product *p);
enum err_code cuda_gemm_open(struct cuda *c, struct err *e);
void cuda_gemm_close(struct cuda *c);
void cuda_gemm_describe(const struct cuda *c, char *out, size_t n);

/* Memory for the logits of n rows at most; cuda_loss.cu. */
size_t cuda_logit_bytes(size_t n, int n_vocab);

/* --- launching --- */

/* On sm_90 and newer a kernel's blocks come while the one before it still runs, so that its launch costs no
 * time of the GPU ("programmatic dependent launch", CUDA C++ Programming Guide). So the first statement of
 * every kernel is cuda_begin: let the next one's blocks come, and wait for all that came before. tests/
 * layers.cmake and the emulation hold kernels to it. */
#ifdef __CUDACC__
__device__ static inline void cuda_begin(void)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#define CUDA_SHARED(type, name)                                                                    \
    extern __shared__ __align__(16) unsigned char cuda_shared_bytes[];                             \
    type *name = reinterpret_cast<type *>(cuda_shared_bytes)

/* Queues a kernel; shared_bytes of dynamic shared memory. */
template <typename... P, typename... A>
static inline cudaError_t cuda_launch(struct cuda *c, dim3 grid, dim3 block, size_t shared_bytes,
                                      void (*kernel)(P...), A... arguments)
{
    cudaLaunchAttribute early = {};
    cudaLaunchConfig_t how = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    how.gridDim = grid;
    how.blockDim = block;
    how.dynamicSmemBytes = shared_bytes;
    how.stream = c->stream;
    how.attrs = &early;
    how.numAttrs = c->is_early ? 1 : 0;
    return cudaLaunchKernelEx(&how, kernel, static_cast<P>(arguments)...);
}

/* grid, block: dim3 or int. A kernel with template arguments stands in parentheses. */
#define CUDA_LAUNCH(c, grid, block, shared_bytes, kernel, ...)                                     \
    do {                                                                                           \
        auto c_ = (c);                                                                             \
        auto kernel_ = kernel;                                                                     \
        size_t shared_ = (shared_bytes);                                                           \
        if (c_->failure.code ||                                                                    \
            (shared_ > 48 * 1024 &&                                                                \
             !cuda_check(c_,                                                                       \
                         cudaFuncSetAttribute(kernel_,                                             \
                                              cudaFuncAttributeMaxDynamicSharedMemorySize,         \
                                              (int)shared_),                                       \
                         #kernel)))                                                                \
            break;                                                                                 \
        cuda_check(c_, cuda_launch(c_, grid, block, shared_, kernel_, __VA_ARGS__), #kernel);      \
    } while (0)
#endif

/* --- values --- */

struct bf16 {
    uint16_t bits;
};

__device__ static inline float cuda_float(float x)
{
    return x;
}

__device__ static inline float cuda_float(bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

/* Nearest, ties to even; NaN stays NaN. */
__device__ static inline bf16 cuda_bf16(float x)
{
    uint32_t u = __float_as_uint(x);
    bf16 out;
    if ((u & 0x7fffffffu) > 0x7f800000u)
        out.bits = (uint16_t)(u >> 16 | 0x40);
    else
        out.bits = (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    return out;
}

template <typename T> __device__ T cuda_value(float x);
template <> __device__ inline float cuda_value<float>(float x)
{
    return x;
}
template <> __device__ inline bf16 cuda_value<bf16>(float x)
{
    return cuda_bf16(x);
}

#ifdef __CUDACC__

/* Two values in a register, the lower half first. */
__device__ static inline uint32_t cuda_pack(float low, float high)
{
    uint32_t out;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}

/* 2^x and 1 / x, to 2^-22 of themselves; 0 below 2^-126. For what is then rounded to bf16, 2^-9 of itself. */
__device__ static inline float cuda_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ static inline float cuda_inverse(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#else

static inline uint32_t cuda_pack(float low, float high)
{
    return (uint32_t)cuda_bf16(low).bits | (uint32_t)cuda_bf16(high).bits << 16;
}

/* As far off as they may be. */
static inline float cuda_exp2(float x)
{
    return exp2f(x) * (1 + 0x1p-22f);
}

static inline float cuda_inverse(float x)
{
    return 1 / x * (1 - 0x1p-22f);
}

#endif

/* Eight neighbours, the first n of which exist; the others read as 0 and are not written. With IS_EVEN all do,
 * and they are aligned to 16 bytes. Branches hold up what comes behind them: kernels that are to be fast load
 * everything first, as it lies in memory, and with IS_EVEN. */
struct float8 {
    float v[8];
};

template <typename T> struct cuda_raw8;
template <> struct cuda_raw8<float> {
    float4 a, b;
};
template <> struct cuda_raw8<bf16> {
    uint4 a;
};

__host__ __device__ static inline bool cuda_is_aligned(const void *p)
{
    return (reinterpret_cast<uintptr_t>(p) & 15) == 0;
}

template <bool IS_EVEN = false>
__device__ static inline struct cuda_raw8<float> cuda_fetch8(const float *p, int n)
{
    if (IS_EVEN || (n >= 8 && cuda_is_aligned(p))) {
        return {reinterpret_cast<const float4 *>(p)[0], reinterpret_cast<const float4 *>(p)[1]};
    } else {
        float x[8];
        for (int i = 0; i < 8; i++)
            x[i] = i < n ? p[i] : 0.0f;
        return {make_float4(x[0], x[1], x[2], x[3]), make_float4(x[4], x[5], x[6], x[7])};
    }
}

template <bool IS_EVEN = false>
__device__ static inline struct cuda_raw8<bf16> cuda_fetch8(const bf16 *p, int n)
{
    if (IS_EVEN || (n >= 8 && cuda_is_aligned(p))) {
        return {*reinterpret_cast<const uint4 *>(p)};
    } else {
        uint32_t w[4] = {};
        for (int i = 0; i < 8; i++)
            if (i < n)
                w[i / 2] |= (uint32_t)p[i].bits << 16 * (i % 2);
        return {make_uint4(w[0], w[1], w[2], w[3])};
    }
}

__device__ static inline float8 cuda_float8(const struct cuda_raw8<float> &x)
{
    return {{x.a.x, x.a.y, x.a.z, x.a.w, x.b.x, x.b.y, x.b.z, x.b.w}};
}

__device__ static inline float8 cuda_float8(const struct cuda_raw8<bf16> &x)
{
    const uint32_t w[4] = {x.a.x, x.a.y, x.a.z, x.a.w};
    float8 out;
    for (int i = 0; i < 4; i++) {
        out.v[2 * i] = __uint_as_float(w[i] << 16);
        out.v[2 * i + 1] = __uint_as_float(w[i] & 0xffff0000u);
    }
    return out;
}

template <typename T> __device__ static inline float8 cuda_load8(const T *p, int n)
{
    return cuda_float8(cuda_fetch8(p, n));
}

template <bool IS_EVEN = false>
__device__ static inline void cuda_store8(float *p, const float8 &x, int n)
{
    if (IS_EVEN || (n >= 8 && cuda_is_aligned(p))) {
        reinterpret_cast<float4 *>(p)[0] = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
        reinterpret_cast<float4 *>(p)[1] = make_float4(x.v[4], x.v[5], x.v[6], x.v[7]);
    } else {
        for (int i = 0; i < 8; i++)
            if (i < n)
                p[i] = x.v[i];
    }
}

template <bool IS_EVEN = false>
__device__ static inline void cuda_store8(bf16 *p, const float8 &x, int n)
{
    if (IS_EVEN || (n >= 8 && cuda_is_aligned(p))) {
        *reinterpret_cast<uint4 *>(p) = make_uint4(cuda_pack(x.v[0], x.v[1]), cuda_pack(x.v[2], x.v[3]),
                                                   cuda_pack(x.v[4], x.v[5]), cuda_pack(x.v[6], x.v[7]));
    } else {
        for (int i = 0; i < 8; i++)
            if (i < n)
                p[i] = cuda_bf16(x.v[i]);
    }
}

/* --- dropout, see models/dropout.h --- */

/* What a kernel needs; threshold 0: nothing is dropped and owner, index are not looked at. */
struct cuda_drop {
    uint32_t threshold, site;
    float scale;
    uint64_t seed;
    const uint32_t *owner, *index;
};

static inline struct cuda_drop cuda_drop_of(const struct dropout *d)
{
    struct cuda_drop out = {};
    out.scale = 1;
    if (!d || !(d->p > 0))
        return out;
    out.threshold = dropout_threshold(d->p);
    out.scale = dropout_scale(out.threshold);
    out.site = d->site;
    out.seed = d->seed;
    out.owner = d->row_owner;
    out.index = d->row_index;
    return out;
}

/* The mask's factors, 0 or scale, of columns 8 * col8 .. + 7 of a row. */
__device__ static inline float8 cuda_mask8(const struct cuda_drop &d, size_t row, uint32_t col8)
{
    float8 m;
    if (d.threshold == 0) {
        for (int i = 0; i < 8; i++)
            m.v[i] = 1;
        return m;
    }
    struct rng4 w = dropout_words(d.seed, d.site, d.owner[row], d.index[row], col8);
    for (int i = 0; i < 4; i++) {
        m.v[2 * i] = (w.v[i] & 0xffffu) >= d.threshold ? d.scale : 0;
        m.v[2 * i + 1] = w.v[i] >> 16 >= d.threshold ? d.scale : 0;
    }
    return m;
}

/* --- a warp's sum: every lane gets it, added in one fixed order --- */

__device__ static inline float cuda_warp_sum(float x)
{
    for (int i = 16; i > 0; i /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}

/* --- the slots of the other files; T is float or bf16 --- */

template <typename T> struct cuda_rows {
    static void rms_norm(struct backend *b, int n, int d, const float *x, const struct norm_args *norm);
    static void add_norm(struct backend *b, int n, int d, float *out, const float *x, const void *y,
                         const struct dropout *drop, const struct norm_args *norm);
    static void rms_norm_backward(struct backend *b, int n, int d, float *dx, float *dw, const void *dout,
                                  const float *x, const struct norm_args *norm, void *branch,
                                  const struct dropout *drop);
    static void dropout(struct backend *b, int n, int d, void *out, const float *x,
                        const struct dropout *drop);
    static void dropout_values(struct backend *b, int n, int d, void *out, const void *x,
                               const struct dropout *drop);
    static void geglu(struct backend *b, int n, int d, void *out, const void *gu,
                      const struct dropout *drop);
    static void geglu_backward(struct backend *b, int n, int d, void *dgu, const void *dout, const void *gu,
                               const struct dropout *drop);
    static void narrow(struct backend *b, size_t n, void *to, const float *from);
    static void get_values(struct backend *b, float *to_host, const void *from, size_t n);
};

void cuda_embed(struct backend *b, int n, int d, float *out, const float *table, const int32_t *ids);
void cuda_embed_backward(struct backend *b, int n, int d, float *dtable, const float *dout,
                         const int32_t *ids);
void cuda_dropout_stream(struct backend *b, int n, int d, float *out, const float *x,
                         const struct dropout *drop);

template <typename T> struct cuda_linear {
    static void forward(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                        size_t ld_x, const void *w, bool add);
    static void backward(struct backend *b, int n, int in, int out, void *dx, size_t ld_x, const void *dy,
                         size_t ld_y, const void *w, bool add);
    static void backward_weight(struct backend *b, int n, int in, int out, float *dw, const void *dy,
                                size_t ld_y, const void *x, size_t ld_x);
};

template <typename T> struct cuda_lora {
    static void forward(struct backend *b, const struct lora_args *a, void *y, size_t ld_y, const void *x,
                        size_t ld_x);
    static void backward(struct backend *b, const struct lora_args *a, void *dx, const void *dy,
                         size_t ld_y, const void *x, size_t ld_x);
};

template <typename T> struct cuda_attn {
    static void forward(struct backend *b, const struct attn_args *a);
    static void backward(struct backend *b, const struct attn_args *a);
};

template <typename T> struct cuda_head {
    static void loss(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                     const int32_t *label, const float *row_scale, float *nll, void *dx, float *dw);
    static void argmax(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                       int32_t *best);
    static void top(struct backend *b, int n, int d, int n_vocab, int k, const void *x, const void *w,
                    int32_t *index, float *logp);
};

void cuda_sgd(struct backend *b, size_t n, float *x, const float *g, float *buf, float lr, float momentum);
void cuda_adamw(struct backend *b, size_t n, float *x, const float *g, float *m, float *v, float lr,
                float beta1, float beta2, float eps, float decay, int t);
void cuda_clip(struct backend *b, int n_members, size_t n, float *g, float max_norm);

extern "C" {
extern const struct backend_ops cuda_backend;
extern const struct backend_ops cuda_bf16_backend;
}

#endif
