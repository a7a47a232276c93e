/* models/cuda_rows.cu: norms and element-wise operations. A thread has eight neighbouring columns of a row, for
 * which one Philox block holds the mask. Kernels are bound by memory, so they load all they need first; IS_EVEN:
 * rows are multiples of eight and aligned to 16 bytes, so that nothing branches in between. */
#include "models/cuda.cuh"

enum { THREADS = 256, WARPS = THREADS / 32, NORM_ROWS = 128 };

/* --- cells: eights of columns --- */

/* [n, d] as n * groups cells; cell i lies in row (i * factor) >> shift, which is i / groups below 2^31. */
struct cells {
    int n, d, shift;
    uint32_t groups, factor;
};

static struct cells cells_of(int n, int d)
{
    struct cells c = {n, d, 31, (uint32_t)(d + 7) / 8, 0};
    while (1u << (c.shift - 31) < c.groups)
        c.shift++;
    c.factor = (uint32_t)((((uint64_t)1 << c.shift) + c.groups - 1) / c.groups);
    return c;
}

/* 0 when there are too many, kept as the backend's failure: more than 2^34 columns. */
static int cell_blocks(struct cuda *c, const struct cells *cells)
{
    size_t n = (size_t)cells->n * cells->groups;
    if (n > (size_t)INT32_MAX - THREADS) {
        cuda_check(c, cudaErrorInvalidValue, "an operation on more than 2^34 values");
        return 0;
    }
    return cuda_blocks(n, THREADS);
}

/* The thread's cell; false past the end. */
struct cell {
    size_t row;
    int col, n; /* n of the eight exist */
};

__device__ static inline bool cell_of(const struct cells &all, struct cell *c)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    uint32_t row = (uint32_t)((uint64_t)i * all.factor >> all.shift);
    c->row = row;
    c->col = (int)(i - row * all.groups) * 8;
    c->n = all.d - c->col;
    return row < (uint32_t)all.n;
}

/* Whether rows of d columns that begin at p are even. */
static bool is_even(int d, const void *p)
{
    return d % 8 == 0 && cuda_is_aligned(p);
}

/* --- embedding --- */

__global__ void embed_kernel(struct cells all, float *out, const float *table, const int32_t *ids)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(all, &c))
        return;
    float8 x = cuda_load8(table + (size_t)ids[c.row] * (size_t)all.d + c.col, c.n);
    cuda_store8(out + c.row * (size_t)all.d + c.col, x, c.n);
}

void cuda_embed(struct backend *b, int n, int d, float *out, const float *table, const int32_t *ids)
{
    struct cuda *c = cuda_of(b);
    struct cells all = cells_of(n, d);
    int blocks = cell_blocks(c, &all);
    if (blocks > 0)
        CUDA_LAUNCH(c, blocks, THREADS, 0, embed_kernel, all, out, table, ids);
}

/* A block per row. The first row with an id adds all rows with it, in their order; the others leave. */
__global__ void embed_backward_kernel(int n, int d, float *dtable, const float *dout, const int32_t *ids)
{
    cuda_begin();
    __shared__ int is_later;
    int row = (int)blockIdx.x, id = ids[row];
    if (threadIdx.x == 0)
        is_later = 0;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < row; i += (int)blockDim.x)
        if (ids[i] == id)
            is_later = 1; /* whoever writes it, it is 1 */
    __syncthreads();
    if (is_later)
        return;
    float *to = dtable + (size_t)id * (size_t)d;
    for (int i = row; i < n; i++) {
        if (ids[i] != id)
            continue;
        for (int j = (int)threadIdx.x; j < d; j += (int)blockDim.x)
            to[j] += dout[(size_t)i * (size_t)d + j];
    }
}

void cuda_embed_backward(struct backend *b, int n, int d, float *dtable, const float *dout,
                         const int32_t *ids)
{
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), n, THREADS, 0, embed_backward_kernel, n, d, dtable, dout, ids);
}

/* --- norms --- */

/* The kernels of even rows give a row to as many threads as it has eights, filled up to whole warps: threadIdx.y
 * is the row within the block. The others, for rows that are not even or too long, give it to a warp, and read it
 * twice. */
enum { EVEN_THREADS = 128, EVEN_WARPS = 32, EVEN_MOST = 8 * 32 * EVEN_WARPS };

static dim3 even_block(int d)
{
    unsigned threads = (unsigned)cuda_blocks((size_t)d, 256) * 32;
    return dim3(threads, threads < EVEN_THREADS ? EVEN_THREADS / threads : 1);
}

/* Of all threads of a row: every one gets it, added in a fixed order. */
__device__ static inline float even_sum(float x)
{
    __shared__ float part[EVEN_WARPS];
    unsigned warps = blockDim.x / 32, first = threadIdx.y * warps;
    x = cuda_warp_sum(x);
    if (warps == 1)
        return x;
    if (threadIdx.x % 32 == 0)
        part[first + threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
    for (unsigned i = 0; i < warps; i++)
        sum += part[first + i];
    return sum;
}

__device__ static inline bool norm_row(int n, int *row, int *lane)
{
    *row = (int)blockIdx.x * WARPS + (int)threadIdx.x / 32;
    *lane = (int)threadIdx.x % 32;
    return *row < n;
}

__device__ static inline float square_sum(const float8 &v, float sum)
{
    for (int i = 0; i < 8; i++)
        sum += v.v[i] * v.v[i];
    return sum;
}

/* The row to be normed: x, or x + dropout(y), which is then written to out. */
template <typename T> struct norm_in {
    const float *x, *w;
    const T *y; /* NULL: x alone */
    float *out;
    struct cuda_drop drop;
    float eps;
};

template <bool IS_EVEN, typename T>
__device__ static inline float8 norm_load(const struct norm_in<T> &in, int row, int d, int col)
{
    size_t at = (size_t)row * (size_t)d + (size_t)col;
    struct cuda_raw8<float> x = cuda_fetch8<IS_EVEN>(in.x + at, d - col);
    if (!in.y)
        return cuda_float8(x);
    struct cuda_raw8<T> added = cuda_fetch8<IS_EVEN>(in.y + at, d - col);
    float8 m = cuda_mask8(in.drop, (size_t)row, (uint32_t)col / 8), v = cuda_float8(x), y = cuda_float8(added);
    for (int i = 0; i < 8; i++)
        v.v[i] += y.v[i] * m.v[i];
    cuda_store8<IS_EVEN>(in.out + at, v, d - col);
    return v;
}

template <typename T>
__global__ __launch_bounds__(32 * EVEN_WARPS) void norm_kernel(int n, int d, struct norm_in<T> in, T *norm,
                                                               float *rstd)
{
    cuda_begin();
    int row = (int)(blockIdx.x * blockDim.y + threadIdx.y), col = 8 * (int)threadIdx.x;
    bool is_there = row < n && col < d;
    struct cuda_raw8<float> w = {};
    float8 v = {};
    if (is_there) {
        w = cuda_fetch8<true>(in.w + col, 8);
        v = norm_load<true>(in, row, d, col);
    }
    float r = 1 / sqrtf(even_sum(square_sum(v, 0)) / (float)d + in.eps);
    if (!is_there)
        return;
    if (col == 0)
        rstd[row] = r;
    float8 s = cuda_float8(w);
    for (int i = 0; i < 8; i++)
        v.v[i] = v.v[i] * r * s.v[i];
    cuda_store8<true>(norm + (size_t)row * (size_t)d + (size_t)col, v, 8);
}

template <typename T>
__global__ void norm_any_kernel(int n, int d, struct norm_in<T> in, T *norm, float *rstd)
{
    cuda_begin();
    int row, lane;
    float sum = 0;
    if (!norm_row(n, &row, &lane))
        return;
    for (int col = 8 * lane; col < d; col += 256)
        sum = square_sum(norm_load<false>(in, row, d, col), sum);
    float r = 1 / sqrtf(cuda_warp_sum(sum) / (float)d + in.eps);
    if (lane == 0)
        rstd[row] = r;
    const float *again = in.y ? in.out : in.x;
    for (int col = 8 * lane; col < d; col += 256) {
        size_t at = (size_t)row * (size_t)d + (size_t)col;
        float8 v = cuda_load8(again + at, d - col), s = cuda_load8(in.w + col, d - col);
        for (int i = 0; i < 8; i++)
            v.v[i] = v.v[i] * r * s.v[i];
        cuda_store8(norm + at, v, d - col);
    }
}

template <typename T>
static void norm_run(struct backend *b, int n, int d, const struct norm_in<T> &in, const struct norm_args *to)
{
    struct cuda *c = cuda_of(b);
    T *out = (T *)to->out;
    dim3 block = even_block(d);
    if (n == 0)
        return;
    if (d <= EVEN_MOST && is_even(d, in.x) && is_even(d, in.y) && is_even(d, in.out) && is_even(d, in.w) &&
        is_even(d, out))
        CUDA_LAUNCH(c, cuda_blocks((size_t)n, (int)block.y), block, 0, (norm_kernel<T>), n, d, in, out,
                    to->rstd);
    else
        CUDA_LAUNCH(c, cuda_blocks((size_t)n, WARPS), THREADS, 0, (norm_any_kernel<T>), n, d, in, out,
                    to->rstd);
}

template <typename T>
void cuda_rows<T>::rms_norm(struct backend *b, int n, int d, const float *x, const struct norm_args *norm)
{
    struct norm_in<T> in = {};
    in.x = x;
    in.w = norm->w;
    in.eps = norm->eps;
    norm_run(b, n, d, in, norm);
}

template <typename T>
void cuda_rows<T>::add_norm(struct backend *b, int n, int d, float *out, const float *x, const void *y,
                            const struct dropout *drop, const struct norm_args *norm)
{
    struct norm_in<T> in = {x, norm->w, (const T *)y, out, cuda_drop_of(drop), norm->eps};
    norm_run(b, n, d, in, norm);
}

/* What the way down reads and writes. */
template <typename T> struct norm_down {
    float *dx;
    const T *dout;
    const float *x, *w, *rstd;
    T *branch; /* NULL: not wanted */
    struct cuda_drop drop;
};

/* With g = dout * w:  dx += rstd * (g - x * rstd^2 * mean(g x)),  branch = dropout(dx) */
template <typename T>
__global__ __launch_bounds__(32 * EVEN_WARPS) void norm_backward_kernel(int n, int d, struct norm_down<T> p)
{
    cuda_begin();
    int row = (int)(blockIdx.x * blockDim.y + threadIdx.y), col = 8 * (int)threadIdx.x;
    bool is_there = row < n && col < d;
    size_t at = (size_t)row * (size_t)d + (size_t)col;
    float8 g = {}, x = {}, m = {};
    struct cuda_raw8<float> was = {};
    float r = 0, sum = 0;
    if (is_there) {
        struct cuda_raw8<float> raw_x = cuda_fetch8<true>(p.x + at, 8), raw_w = cuda_fetch8<true>(p.w + col, 8);
        struct cuda_raw8<T> raw_g = cuda_fetch8<true>(p.dout + at, 8);
        was = cuda_fetch8<true>(p.dx + at, 8);
        r = p.rstd[row];
        if (p.branch)
            m = cuda_mask8(p.drop, (size_t)row, (uint32_t)col / 8);
        float8 w = cuda_float8(raw_w);
        x = cuda_float8(raw_x);
        g = cuda_float8(raw_g);
        for (int i = 0; i < 8; i++) {
            g.v[i] *= w.v[i];
            sum += g.v[i] * x.v[i];
        }
    }
    float mean = even_sum(sum) / (float)d * r * r;
    if (!is_there)
        return;
    float8 to = cuda_float8(was);
    for (int i = 0; i < 8; i++)
        to.v[i] += r * (g.v[i] - x.v[i] * mean);
    cuda_store8<true>(p.dx + at, to, 8);
    if (!p.branch)
        return;
    for (int i = 0; i < 8; i++)
        to.v[i] *= m.v[i];
    cuda_store8<true>(p.branch + at, to, 8);
}

template <typename T> __global__ void norm_backward_any_kernel(int n, int d, struct norm_down<T> p)
{
    cuda_begin();
    int row, lane;
    if (!norm_row(n, &row, &lane))
        return;
    size_t start = (size_t)row * (size_t)d;
    float sum = 0, r = p.rstd[row];
    for (int col = 8 * lane; col < d; col += 256) {
        float8 g = cuda_load8(p.dout + start + col, d - col), x = cuda_load8(p.x + start + col, d - col);
        float8 w = cuda_load8(p.w + col, d - col);
        for (int i = 0; i < 8; i++)
            sum += g.v[i] * w.v[i] * x.v[i];
    }
    float mean = cuda_warp_sum(sum) / (float)d * r * r;
    for (int col = 8 * lane; col < d; col += 256) {
        float8 g = cuda_load8(p.dout + start + col, d - col), x = cuda_load8(p.x + start + col, d - col);
        float8 w = cuda_load8(p.w + col, d - col), to = cuda_load8(p.dx + start + col, d - col);
        for (int i = 0; i < 8; i++)
            to.v[i] += r * (g.v[i] * w.v[i] - x.v[i] * mean);
        cuda_store8(p.dx + start + col, to, d - col);
        if (!p.branch)
            continue;
        float8 m = cuda_mask8(p.drop, (size_t)row, (uint32_t)col / 8);
        for (int i = 0; i < 8; i++)
            to.v[i] *= m.v[i];
        cuda_store8(p.branch + start + col, to, d - col);
    }
}

/* part [blockIdx.y, d] = sum over NORM_ROWS rows of dout * x * rstd; a thread has a column. */
template <typename T>
__global__ void norm_weight_kernel(int n, int d, float *part, const T *dout, const float *x,
                                   const float *rstd)
{
    cuda_begin();
    int col = (int)(blockIdx.x * blockDim.x + threadIdx.x), row = (int)blockIdx.y * NORM_ROWS;
    int end = row + NORM_ROWS < n ? row + NORM_ROWS : n;
    if (col >= d)
        return;
    float sum = 0;
    for (; row < end; row++) {
        size_t at = (size_t)row * (size_t)d + (size_t)col;
        sum += cuda_float(dout[at]) * x[at] * rstd[row];
    }
    part[(size_t)blockIdx.y * (size_t)d + (size_t)col] = sum;
}

__global__ void add_parts_kernel(int n_parts, int d, float *to, const float *part)
{
    cuda_begin();
    int col = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (col >= d)
        return;
    float sum = to[col];
    for (int i = 0; i < n_parts; i++)
        sum += part[(size_t)i * (size_t)d + (size_t)col];
    to[col] = sum;
}

template <typename T>
void cuda_rows<T>::rms_norm_backward(struct backend *b, int n, int d, float *dx, float *dw, const void *dout,
                                     const float *x, const struct norm_args *norm, void *branch,
                                     const struct dropout *drop)
{
    struct cuda *c = cuda_of(b);
    struct norm_down<T> p = {dx, (const T *)dout, x, norm->w, norm->rstd, (T *)branch, cuda_drop_of(drop)};
    dim3 block = even_block(d);
    if (n == 0)
        return;
    if (d <= EVEN_MOST && is_even(d, dx) && is_even(d, dout) && is_even(d, x) && is_even(d, norm->w) &&
        is_even(d, branch))
        CUDA_LAUNCH(c, cuda_blocks((size_t)n, (int)block.y), block, 0, (norm_backward_kernel<T>), n, d, p);
    else
        CUDA_LAUNCH(c, cuda_blocks((size_t)n, WARPS), THREADS, 0, (norm_backward_any_kernel<T>), n, d, p);
    if (!dw)
        return;
    int parts = cuda_blocks((size_t)n, NORM_ROWS), blocks = cuda_blocks((size_t)d, THREADS);
    float *part = (float *)cuda_scratch(c, 0, (size_t)parts * (size_t)d * sizeof(float));
    if (!part)
        return;
    CUDA_LAUNCH(c, dim3((unsigned)blocks, (unsigned)parts), THREADS, 0, (norm_weight_kernel<T>), n, d, part,
                (const T *)dout, x, norm->rstd);
    CUDA_LAUNCH(c, blocks, THREADS, 0, add_parts_kernel, parts, d, dw, part);
}

/* --- dropout --- */

template <bool IS_EVEN, typename To, typename From>
__global__ void dropout_kernel(struct cells all, To *out, const From *x, struct cuda_drop drop)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(all, &c))
        return;
    size_t at = c.row * (size_t)all.d + (size_t)c.col;
    struct cuda_raw8<From> raw = cuda_fetch8<IS_EVEN>(x + at, c.n);
    float8 m = cuda_mask8(drop, c.row, (uint32_t)c.col / 8), v = cuda_float8(raw);
    for (int i = 0; i < 8; i++)
        v.v[i] *= m.v[i];
    cuda_store8<IS_EVEN>(out + at, v, c.n);
}

template <typename To, typename From>
static void drop_run(struct backend *b, int n, int d, To *out, const From *x, const struct dropout *drop)
{
    struct cuda *c = cuda_of(b);
    struct cuda_drop p = cuda_drop_of(drop);
    struct cells all = cells_of(n, d);
    int blocks = cell_blocks(c, &all);
    if (blocks == 0)
        return;
    if (is_even(d, out) && is_even(d, x))
        CUDA_LAUNCH(c, blocks, THREADS, 0, (dropout_kernel<true, To, From>), all, out, x, p);
    else
        CUDA_LAUNCH(c, blocks, THREADS, 0, (dropout_kernel<false, To, From>), all, out, x, p);
}

void cuda_dropout_stream(struct backend *b, int n, int d, float *out, const float *x,
                         const struct dropout *drop)
{
    drop_run(b, n, d, out, x, drop);
}

template <typename T>
void cuda_rows<T>::dropout(struct backend *b, int n, int d, void *out, const float *x,
                           const struct dropout *drop)
{
    drop_run(b, n, d, (T *)out, x, drop);
}

template <typename T>
void cuda_rows<T>::dropout_values(struct backend *b, int n, int d, void *out, const void *x,
                                  const struct dropout *drop)
{
    drop_run(b, n, d, (T *)out, (const T *)x, drop);
}

/* --- gated GELU --- */

/* gelu(g) = g s in its tanh form, see cpu_gelu_gate in models/cpu_math.h. Gives s; *slope = d gelu / d g. With
 * 1 - s as 1 - s the slope of a float32 keeps its last bits; with bf16 values s itself is off by 2^-21 and, where
 * the exponent is large, by |exponent| 2^-24 of itself. */
template <typename T> __device__ static inline float gelu_gate(float g, float *slope)
{
    const float k = 1.595769122f, c = 0.044715f, log2e = 1.442695041f; /* k: 2 sqrt(2/pi) */
    float g2 = g * g;
    if (sizeof(T) == sizeof(float)) {
        float y2 = k * g * (1 + c * g2), s = 1 / (1 + expf(-y2));
        *slope = s + s * (1 - s) * k * g * (1 + 3 * c * g2);
        return s;
    }
    float s = cuda_inverse(1 + cuda_exp2(g * (-k * log2e - k * log2e * c * g2)));
    *slope = s + (s - s * s) * (g * (k + 3 * k * c * g2));
    return s;
}

template <bool IS_EVEN, typename T>
__global__ void geglu_kernel(struct cells all, T *out, const T *gu, struct cuda_drop drop)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(all, &c))
        return;
    const T *g = gu + c.row * 2 * (size_t)all.d + (size_t)c.col;
    struct cuda_raw8<T> raw_g = cuda_fetch8<IS_EVEN>(g, c.n), raw_u = cuda_fetch8<IS_EVEN>(g + all.d, c.n);
    float8 m = cuda_mask8(drop, c.row, (uint32_t)c.col / 8);
    float8 gate = cuda_float8(raw_g), up = cuda_float8(raw_u);
    for (int i = 0; i < 8; i++) {
        float slope;
        up.v[i] = gate.v[i] * gelu_gate<T>(gate.v[i], &slope) * up.v[i] * m.v[i];
    }
    cuda_store8<IS_EVEN>(out + c.row * (size_t)all.d + (size_t)c.col, up, c.n);
}

template <typename T>
void cuda_rows<T>::geglu(struct backend *b, int n, int d, void *out, const void *gu,
                         const struct dropout *drop)
{
    struct cuda *c = cuda_of(b);
    struct cuda_drop p = cuda_drop_of(drop);
    struct cells all = cells_of(n, d);
    int blocks = cell_blocks(c, &all);
    if (blocks == 0)
        return;
    if (is_even(d, out) && is_even(d, gu))
        CUDA_LAUNCH(c, blocks, THREADS, 0, (geglu_kernel<true, T>), all, (T *)out, (const T *)gu, p);
    else
        CUDA_LAUNCH(c, blocks, THREADS, 0, (geglu_kernel<false, T>), all, (T *)out, (const T *)gu, p);
}

template <bool IS_EVEN, typename T>
__global__ void geglu_backward_kernel(struct cells all, T *dgu, const T *dout, const T *gu,
                                      struct cuda_drop drop)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(all, &c))
        return;
    size_t at = c.row * 2 * (size_t)all.d + (size_t)c.col;
    struct cuda_raw8<T> raw_g = cuda_fetch8<IS_EVEN>(gu + at, c.n);
    struct cuda_raw8<T> raw_u = cuda_fetch8<IS_EVEN>(gu + at + all.d, c.n);
    struct cuda_raw8<T> from = cuda_fetch8<IS_EVEN>(dout + c.row * (size_t)all.d + (size_t)c.col, c.n);
    float8 m = cuda_mask8(drop, c.row, (uint32_t)c.col / 8), dg, du;
    float8 g = cuda_float8(raw_g), u = cuda_float8(raw_u), down = cuda_float8(from);
    for (int i = 0; i < 8; i++) {
        float slope, s = gelu_gate<T>(g.v[i], &slope), x = down.v[i] * m.v[i];
        dg.v[i] = x * u.v[i] * slope;
        du.v[i] = x * g.v[i] * s;
    }
    cuda_store8<IS_EVEN>(dgu + at, dg, c.n);
    cuda_store8<IS_EVEN>(dgu + at + all.d, du, c.n);
}

template <typename T>
void cuda_rows<T>::geglu_backward(struct backend *b, int n, int d, void *dgu, const void *dout,
                                  const void *gu, const struct dropout *drop)
{
    struct cuda *c = cuda_of(b);
    struct cuda_drop p = cuda_drop_of(drop);
    struct cells all = cells_of(n, d);
    int blocks = cell_blocks(c, &all);
    T *to = (T *)dgu;
    const T *down = (const T *)dout, *from = (const T *)gu;
    if (blocks == 0)
        return;
    if (is_even(d, dgu) && is_even(d, dout) && is_even(d, gu))
        CUDA_LAUNCH(c, blocks, THREADS, 0, (geglu_backward_kernel<true, T>), all, to, down, from, p);
    else
        CUDA_LAUNCH(c, blocks, THREADS, 0, (geglu_backward_kernel<false, T>), all, to, down, from, p);
}

/* --- values and float32 --- */

template <typename To, typename From> __global__ void convert_kernel(size_t n, To *to, const From *from)
{
    cuda_begin();
    size_t i = 8 * ((size_t)blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) {
        int left = n - i < 8 ? (int)(n - i) : 8;
        cuda_store8(to + i, cuda_load8(from + i, left), left);
    }
}

template <typename T> void cuda_rows<T>::narrow(struct backend *b, size_t n, void *to, const float *from)
{
    if (n > 0 && to != (const void *)from)
        CUDA_LAUNCH(cuda_of(b), cuda_blocks((n + 7) / 8, THREADS), THREADS, 0, (convert_kernel<T, float>), n,
                    (T *)to, from);
}

template <typename T>
void cuda_rows<T>::get_values(struct backend *b, float *to_host, const void *from, size_t n)
{
    enum { CHUNK = 1 << 22 };
    struct cuda *c = cuda_of(b);
    if (sizeof(T) == sizeof(float)) {
        b->ops->get(b, to_host, from, n * sizeof(float));
        return;
    }
    float *wide = (float *)cuda_scratch(c, 0, (size_t)CHUNK * sizeof(float));
    for (size_t at = 0; at < n && wide; at += CHUNK) {
        size_t part = n - at < (size_t)CHUNK ? n - at : (size_t)CHUNK;
        CUDA_LAUNCH(c, cuda_blocks((part + 7) / 8, THREADS), THREADS, 0, (convert_kernel<float, T>), part,
                    wide, (const T *)from + at);
        b->ops->get(b, to_host + at, wide, part * sizeof(float));
    }
}

template struct cuda_rows<float>;
template struct cuda_rows<bf16>;
