/* models/cuda_loss.cu: the vocabulary's head. Logits of a chunk of rows exist once, in float32; the loss's
 * kernel leaves their gradient in the same memory, as values. */
#include "models/cuda.cuh"

#include <math.h>

/* Where rows are long, a block is large: the fewer rows are under way, the more of them the second look finds in the
 * second cache (two blocks of 1024 on each of 132 multiprocessors: 34 MB of flan-t5's logits). */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ > 800 && __CUDA_ARCH__ < 900
enum { LONG_BLOCKS = 1 }; /* there a multiprocessor has 1536 threads */
#else
enum { LONG_BLOCKS = 2 };
#endif
enum { THREADS = 256, LONG_THREADS = 1024, LONG = 4096, FOUR = 4, LOGIT_BYTES = 256 << 20, SLOT = 2 };

/* Rows of a chunk. */
static int chunk_rows(int n, int n_vocab)
{
    size_t rows = (size_t)LOGIT_BYTES / ((size_t)n_vocab * sizeof(float));
    rows = rows < 16 ? 16 : rows;
    return rows < (size_t)n ? (int)rows : n;
}

size_t cuda_logit_bytes(size_t n, int n_vocab)
{
    int rows = chunk_rows(n < (size_t)INT32_MAX ? (int)n : INT32_MAX, n_vocab);
    return (size_t)rows * (size_t)n_vocab * sizeof(float);
}

/* Logits of rows from .. from + rows - 1 into scratch. */
template <typename T>
static float *logits(struct cuda *c, int from, int rows, int chunk, int d, int n_vocab, const void *x,
                     const void *w)
{
    float *z = (float *)cuda_scratch(c, SLOT, (size_t)chunk * (size_t)n_vocab * sizeof(float));
    struct cuda_product p = {false,
                             true,
                             rows,
                             n_vocab,
                             d,
                             1,
                             (const T *)x + (size_t)from * (size_t)d,
                             (size_t)d,
                             w,
                             (size_t)d,
                             0,
                             z,
                             (size_t)n_vocab,
                             true};
    if (z)
        cuda_gemm(c, &p);
    return z;
}

/* The largest so far and the sum of exp(z - largest), of several parts together. */
struct softmax {
    float top, sum;
};

__device__ static inline struct softmax softmax_join(struct softmax a, struct softmax b)
{
    struct softmax out;
    out.top = fmaxf(a.top, b.top);
    out.sum = 0;
    if (a.sum > 0)
        out.sum += a.sum * expf(a.top - out.top);
    if (b.sum > 0)
        out.sum += b.sum * expf(b.top - out.top);
    return out;
}

/* Four neighbours, the first n of which exist; the others are as good as minus infinity. */
__device__ static inline float4 load_four(const float *z, int n)
{
    const float none = -INFINITY;
    if (n >= FOUR && (reinterpret_cast<uintptr_t>(z) & 15) == 0)
        return *reinterpret_cast<const float4 *>(z);
    return make_float4(z[0], n > 1 ? z[1] : none, n > 2 ? z[2] : none, n > 3 ? z[3] : none);
}

__device__ static inline void store_four(float *to, const float v[FOUR], int n)
{
    for (int i = 0; i < FOUR; i++)
        if (i < n)
            to[i] = v[i];
}

__device__ static inline void store_four(bf16 *to, const float v[FOUR], int n)
{
    if (n >= FOUR && (reinterpret_cast<uintptr_t>(to) & 7) == 0)
        *reinterpret_cast<uint2 *>(to) = make_uint2(cuda_pack(v[0], v[1]), cuda_pack(v[2], v[3]));
    else
        for (int i = 0; i < FOUR; i++)
            if (i < n)
                to[i] = cuda_bf16(v[i]);
}

/* Of the lanes of a warp. */
__device__ static inline struct softmax softmax_warp(struct softmax s)
{
    for (int i = 16; i > 0; i /= 2) {
        struct softmax other = {__shfl_xor_sync(0xffffffffu, s.top, i), __shfl_xor_sync(0xffffffffu, s.sum, i)};
        s = softmax_join(s, other);
    }
    return s;
}

/* Of z [n], by all threads of the block, whole warps; every thread gets it. part: 32. */
__device__ static struct softmax softmax_of(const float *z, int n, struct softmax *part)
{
    struct softmax s = {-INFINITY, 0}, none = s;
    int threads = (int)blockDim.x, lane = (int)threadIdx.x % 32;
    for (int j = FOUR * (int)threadIdx.x; j < n; j += FOUR * threads) {
        float4 v = load_four(z + j, n - j);
        float top = fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w));
        if (top > s.top) {
            s.sum *= expf(s.top - top);
            s.top = top;
        }
        s.sum += expf(v.x - s.top) + expf(v.y - s.top) + (expf(v.z - s.top) + expf(v.w - s.top));
    }
    s = softmax_warp(s);
    if (lane == 0)
        part[threadIdx.x / 32] = s;
    __syncthreads();
    return softmax_warp(lane < threads / 32 ? part[lane] : none);
}

/* e^x, to float32's last bit or two, or with bf16 values to 2^-21 and |x| 2^-24 of itself. */
template <typename T> __device__ static inline float loss_exp(float x)
{
    return sizeof(T) == sizeof(float) ? expf(x) : cuda_exp2(1.442695041f * x);
}

/* A block per row: nll; with is_gradient the row becomes scale * d nll / d z, as values from its start on. A
 * value is written where a logit was that all threads have read. */
template <typename T>
__global__ __launch_bounds__(LONG_THREADS, LONG_BLOCKS) void loss_kernel(int n_vocab, float *z, const int32_t *label,
                                                               const float *row_scale, float *nll,
                                                               bool is_gradient)
{
    cuda_begin();
    __shared__ struct softmax part[32];
    int row = (int)blockIdx.x, at = label[row], threads = (int)blockDim.x;
    float *mine = z + (size_t)row * (size_t)n_vocab;
    T *out = reinterpret_cast<T *>(mine);
    float factor = 0, scale = 0, top = 0;
    if (at >= 0) {
        struct softmax s = softmax_of(mine, n_vocab, part);
        scale = is_gradient ? row_scale[row] : 0;
        factor = scale / s.sum;
        top = s.top;
        if (threadIdx.x == 0)
            nll[row] = top + logf(s.sum) - mine[at];
    } else if (threadIdx.x == 0) {
        nll[row] = 0;
    }
    if (!is_gradient)
        return;
    for (int from = 0; from < n_vocab; from += FOUR * threads) {
        int j = from + FOUR * (int)threadIdx.x;
        float4 z4 = j < n_vocab ? load_four(mine + j, n_vocab - j) : make_float4(0, 0, 0, 0);
        const float v[FOUR] = {z4.x, z4.y, z4.z, z4.w};
        __syncthreads(); /* also behind the nll's reading */
        float g[FOUR];
        for (int i = 0; i < FOUR; i++)
            g[i] = at < 0 ? 0 : loss_exp<T>(v[i] - top) * factor - (j + i == at ? scale : 0);
        store_four(out + j, g, n_vocab - j);
    }
}

template <typename T>
void cuda_head<T>::loss(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                        const int32_t *label, const float *row_scale, float *nll, void *dx, float *dw)
{
    struct cuda *c = cuda_of(b);
    int chunk = chunk_rows(n, n_vocab);
    size_t width = (size_t)d, ld = (size_t)n_vocab * (sizeof(float) / sizeof(T)); /* of the gradient */
    for (int from = 0; from < n; from += chunk) {
        int rows = n - from < chunk ? n - from : chunk;
        float *z = logits<T>(c, from, rows, chunk, d, n_vocab, x, w);
        if (!z)
            return;
        CUDA_LAUNCH(c, rows, n_vocab < LONG ? THREADS : LONG_THREADS, 0, (loss_kernel<T>), n_vocab, z, label + from,
                    row_scale ? row_scale + from : NULL, nll + from, dx || dw);
        if (dx) {
            struct cuda_product down = {false, false, rows, d,     n_vocab, 1,
                                        z,     ld,    w,    width, 0,       (T *)dx + (size_t)from * width,
                                        width, false};
            cuda_gemm(c, &down);
        }
        if (dw) {
            struct cuda_product weight = {true, false, n_vocab, d,     rows, 1,
                                          z,    ld,    (const T *)x + (size_t)from * width,
                                          width, 1,    dw,      width, true};
            cuda_gemm(c, &weight);
        }
    }
}

/* --- the best columns --- */

struct best {
    float value;
    int index;
};

/* The larger; of equals the lower index. NaN is never the larger. */
__device__ static inline struct best better(struct best a, struct best b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

/* The best of z [n] among those that come after `last` in the order of better(); all threads get it. */
__device__ static struct best best_after(const float *z, int n, struct best last, struct best *part)
{
    struct best mine = {-INFINITY, n};
    for (int j = (int)threadIdx.x; j < n; j += THREADS) {
        struct best here = {z[j], j};
        if (here.value < last.value || (here.value == last.value && j > last.index))
            mine = better(mine, here);
    }
    __syncthreads(); /* everybody has read the last result */
    part[threadIdx.x] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if ((int)threadIdx.x < half)
            part[threadIdx.x] = better(part[threadIdx.x], part[threadIdx.x + half]);
        __syncthreads();
    }
    mine = part[0];
    if (mine.index >= n) /* nothing but NaN: any column will do, as long as there is one */
        mine.index = n - 1;
    return mine;
}

__global__ void argmax_kernel(int n_vocab, const float *z, int32_t *out)
{
    cuda_begin();
    __shared__ struct best part[THREADS];
    struct best first = {INFINITY, -1};
    struct best top = best_after(z + (size_t)blockIdx.x * (size_t)n_vocab, n_vocab, first, part);
    if (threadIdx.x == 0)
        out[blockIdx.x] = top.index;
}

template <typename T>
void cuda_head<T>::argmax(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                          int32_t *best)
{
    struct cuda *c = cuda_of(b);
    int chunk = chunk_rows(n, n_vocab);
    for (int from = 0; from < n; from += chunk) {
        int rows = n - from < chunk ? n - from : chunk;
        float *z = logits<T>(c, from, rows, chunk, d, n_vocab, x, w);
        if (!z)
            return;
        CUDA_LAUNCH(c, rows, THREADS, 0, argmax_kernel, n_vocab, z, best + from);
    }
}

__global__ void top_kernel(int n_vocab, int k, const float *z, int32_t *index, float *logp)
{
    cuda_begin();
    __shared__ struct softmax sums[32];
    __shared__ struct best part[THREADS];
    const float *mine = z + (size_t)blockIdx.x * (size_t)n_vocab;
    struct softmax s = softmax_of(mine, n_vocab, sums);
    struct best last = {INFINITY, -1};
    for (int i = 0; i < k; i++) {
        last = best_after(mine, n_vocab, last, part);
        if (threadIdx.x == 0) {
            index[(size_t)blockIdx.x * (size_t)k + (size_t)i] = last.index;
            logp[(size_t)blockIdx.x * (size_t)k + (size_t)i] = last.value - (s.top + logf(s.sum));
        }
    }
}

template <typename T>
void cuda_head<T>::top(struct backend *b, int n, int d, int n_vocab, int k, const void *x, const void *w,
                       int32_t *index, float *logp)
{
    struct cuda *c = cuda_of(b);
    int chunk = chunk_rows(n, n_vocab);
    for (int from = 0; from < n; from += chunk) {
        int rows = n - from < chunk ? n - from : chunk;
        size_t at = (size_t)from * (size_t)k;
        float *z = logits<T>(c, from, rows, chunk, d, n_vocab, x, w);
        if (!z)
            return;
        CUDA_LAUNCH(c, rows, THREADS, 0, top_kernel, n_vocab, k, z, index + at, logp + at);
    }
}

template struct cuda_head<float>;
template struct cuda_head<bf16>;
