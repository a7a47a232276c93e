/* models/cuda_rows.cu: norms and element-wise operations. A thread has eight neighbouring columns of a row,
 * for which one Philox block holds the mask; norms take a warp per row. */
#include "models/cuda.cuh"

enum { THREADS = 256, WARPS = THREADS / 32, NORM_ROWS = 128 };

/* The eight columns of a thread; false past the end. */
struct cell {
    size_t row;
    int col, n; /* n of the eight exist */
};

__device__ static inline bool cell_of(int n, int d, struct cell *c)
{
    size_t groups = ((size_t)d + 7) / 8, i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    c->row = i / groups;
    c->col = (int)(i % groups) * 8;
    c->n = d - c->col;
    return c->row < (size_t)n;
}

static int cell_blocks(int n, int d)
{
    return cuda_blocks((size_t)n * (((size_t)d + 7) / 8), THREADS);
}

/* --- embedding --- */

__global__ void embed_kernel(int n, int d, float *out, const float *table, const int32_t *ids)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(n, d, &c))
        return;
    float8 x = cuda_load8(table + (size_t)ids[c.row] * (size_t)d + c.col, c.n);
    cuda_store8(out + c.row * (size_t)d + c.col, x, c.n);
}

void cuda_embed(struct backend *b, int n, int d, float *out, const float *table, const int32_t *ids)
{
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), cell_blocks(n, d), THREADS, 0, embed_kernel, n, d, out, table, ids);
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

/* A row's norm has a warp; a lane has the eight columns 8 lane .. of every 256, KEPT of which stay in
 * registers between the two looks at a row (0: any width, it is read again). */
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

template <typename T>
__device__ static inline float8 norm_load(const struct norm_in<T> &in, int row, int d, int col)
{
    size_t at = (size_t)row * (size_t)d + (size_t)col;
    float8 v = cuda_load8(in.x + at, d - col);
    if (!in.y)
        return v;
    float8 y = cuda_load8(in.y + at, d - col), m = cuda_mask8(in.drop, (size_t)row, (uint32_t)col / 8);
    for (int i = 0; i < 8; i++)
        v.v[i] += y.v[i] * m.v[i];
    cuda_store8(in.out + at, v, d - col);
    return v;
}

template <typename T, int KEPT>
__global__ void norm_kernel(int n, int d, struct norm_in<T> in, T *norm, float *rstd)
{
    cuda_begin();
    int row, lane;
    if (!norm_row(n, &row, &lane))
        return;
    float8 kept[KEPT ? KEPT : 1];
    float sum = 0;
    if (KEPT) {
#pragma unroll
        for (int k = 0; k < KEPT; k++) {
            int col = 8 * lane + 256 * k;
            if (col < d)
                sum = square_sum(kept[k] = norm_load(in, row, d, col), sum);
        }
    } else {
        for (int col = 8 * lane; col < d; col += 256)
            sum = square_sum(norm_load(in, row, d, col), sum);
    }
    float r = 1 / sqrtf(cuda_warp_sum(sum) / (float)d + in.eps);
    if (lane == 0)
        rstd[row] = r;
    const float *again = in.y ? in.out : in.x;
#pragma unroll
    for (int k = 0; k < (KEPT ? KEPT : d / 256 + 1); k++) {
        int col = 8 * lane + 256 * k;
        if (col >= d)
            break;
        size_t at = (size_t)row * (size_t)d + (size_t)col;
        float8 v = KEPT ? kept[KEPT ? k : 0] : cuda_load8(again + at, d - col), s = cuda_load8(in.w + col, d - col);
        for (int i = 0; i < 8; i++)
            v.v[i] = v.v[i] * r * s.v[i];
        cuda_store8(norm + at, v, d - col);
    }
}

template <typename T>
static void norm_run(struct backend *b, int n, int d, const struct norm_in<T> &in, const struct norm_args *to)
{
    struct cuda *c = cuda_of(b);
    int blocks = cuda_blocks((size_t)n, WARPS);
    T *out = (T *)to->out;
    if (n == 0)
        return;
    switch (cuda_blocks((size_t)d, 256)) {
    case 1:
        CUDA_LAUNCH(c, blocks, THREADS, 0, (norm_kernel<T, 1>), n, d, in, out, to->rstd);
        break;
    case 2:
        CUDA_LAUNCH(c, blocks, THREADS, 0, (norm_kernel<T, 2>), n, d, in, out, to->rstd);
        break;
    case 3:
        CUDA_LAUNCH(c, blocks, THREADS, 0, (norm_kernel<T, 3>), n, d, in, out, to->rstd);
        break;
    case 4:
        CUDA_LAUNCH(c, blocks, THREADS, 0, (norm_kernel<T, 4>), n, d, in, out, to->rstd);
        break;
    default:
        CUDA_LAUNCH(c, blocks, THREADS, 0, (norm_kernel<T, 0>), n, d, in, out, to->rstd);
    }
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
template <typename T, int KEPT> __global__ void norm_backward_kernel(int n, int d, struct norm_down<T> p)
{
    cuda_begin();
    int row, lane;
    if (!norm_row(n, &row, &lane))
        return;
    size_t start = (size_t)row * (size_t)d;
    float8 gs[KEPT ? KEPT : 1], xs[KEPT ? KEPT : 1];
    float sum = 0, r = p.rstd[row];
#pragma unroll
    for (int k = 0; k < (KEPT ? KEPT : d / 256 + 1); k++) {
        int col = 8 * lane + 256 * k, left = d - col;
        if (col >= d)
            break;
        float8 g = cuda_load8(p.dout + start + col, left), w = cuda_load8(p.w + col, left);
        float8 x = cuda_load8(p.x + start + col, left);
        for (int i = 0; i < 8; i++) {
            g.v[i] *= w.v[i];
            sum += g.v[i] * x.v[i];
        }
        gs[KEPT ? k : 0] = g;
        xs[KEPT ? k : 0] = x;
    }
    float mean = cuda_warp_sum(sum) / (float)d * r * r;
#pragma unroll
    for (int k = 0; k < (KEPT ? KEPT : d / 256 + 1); k++) {
        int col = 8 * lane + 256 * k, left = d - col;
        if (col >= d)
            break;
        float8 g = gs[KEPT ? k : 0], x = xs[KEPT ? k : 0], to = cuda_load8(p.dx + start + col, left);
        if (!KEPT) {
            float8 w = cuda_load8(p.w + col, left);
            g = cuda_load8(p.dout + start + col, left);
            x = cuda_load8(p.x + start + col, left);
            for (int i = 0; i < 8; i++)
                g.v[i] *= w.v[i];
        }
        for (int i = 0; i < 8; i++)
            to.v[i] += r * (g.v[i] - x.v[i] * mean);
        cuda_store8(p.dx + start + col, to, left);
        if (!p.branch)
            continue;
        float8 m = cuda_mask8(p.drop, (size_t)row, (uint32_t)col / 8);
        for (int i = 0; i < 8; i++)
            to.v[i] *= m.v[i];
        cuda_store8(p.branch + start + col, to, left);
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
    int rows = cuda_blocks((size_t)n, WARPS);
    if (n == 0)
        return;
    switch (cuda_blocks((size_t)d, 256)) {
    case 1:
        CUDA_LAUNCH(c, rows, THREADS, 0, (norm_backward_kernel<T, 1>), n, d, p);
        break;
    case 2:
        CUDA_LAUNCH(c, rows, THREADS, 0, (norm_backward_kernel<T, 2>), n, d, p);
        break;
    case 3:
        CUDA_LAUNCH(c, rows, THREADS, 0, (norm_backward_kernel<T, 3>), n, d, p);
        break;
    case 4:
        CUDA_LAUNCH(c, rows, THREADS, 0, (norm_backward_kernel<T, 4>), n, d, p);
        break;
    default:
        CUDA_LAUNCH(c, rows, THREADS, 0, (norm_backward_kernel<T, 0>), n, d, p);
    }
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

template <typename To, typename From>
__global__ void dropout_kernel(int n, int d, To *out, const From *x, struct cuda_drop drop)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(n, d, &c))
        return;
    size_t at = c.row * (size_t)d + (size_t)c.col;
    float8 v = cuda_load8(x + at, c.n), m = cuda_mask8(drop, c.row, (uint32_t)c.col / 8);
    for (int i = 0; i < 8; i++)
        v.v[i] *= m.v[i];
    cuda_store8(out + at, v, c.n);
}

template <typename To, typename From>
static void drop_run(struct backend *b, int n, int d, To *out, const From *x, const struct dropout *drop)
{
    struct cuda_drop p = cuda_drop_of(drop);
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), cell_blocks(n, d), THREADS, 0, (dropout_kernel<To, From>), n, d, out, x, p);
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

/* e^x: to float32's last bit or two, or with bf16 values the fast one. */
template <typename T> __device__ static inline float exp_of(float x)
{
    return sizeof(T) == sizeof(float) ? expf(x) : __expf(x);
}

/* gelu(g) = g s in its tanh form, see cpu_gelu_gate in models/cpu_math.h. Gives s; *slope = d gelu / d g. */
template <typename T> __device__ static inline float gelu_gate(float g, float *slope)
{
    const float k = 1.595769122f, c = 0.044715f; /* 2 sqrt(2/pi) */
    float g2 = g * g, y2 = k * g * (1 + c * g2);
    float s = 1 / (1 + exp_of<T>(-y2));
    *slope = s + s * (1 - s) * k * g * (1 + 3 * c * g2);
    return s;
}

template <typename T>
__global__ void geglu_kernel(int n, int d, T *out, const T *gu, struct cuda_drop drop)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(n, d, &c))
        return;
    const T *g = gu + c.row * 2 * (size_t)d + (size_t)c.col;
    float8 gate = cuda_load8(g, c.n), up = cuda_load8(g + d, c.n);
    float8 m = cuda_mask8(drop, c.row, (uint32_t)c.col / 8);
    for (int i = 0; i < 8; i++) {
        float slope;
        up.v[i] = gate.v[i] * gelu_gate<T>(gate.v[i], &slope) * up.v[i] * m.v[i];
    }
    cuda_store8(out + c.row * (size_t)d + (size_t)c.col, up, c.n);
}

template <typename T>
void cuda_rows<T>::geglu(struct backend *b, int n, int d, void *out, const void *gu,
                         const struct dropout *drop)
{
    struct cuda_drop p = cuda_drop_of(drop);
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), cell_blocks(n, d), THREADS, 0, (geglu_kernel<T>), n, d, (T *)out,
                    (const T *)gu, p);
}

template <typename T>
__global__ void geglu_backward_kernel(int n, int d, T *dgu, const T *dout, const T *gu, struct cuda_drop drop)
{
    cuda_begin();
    struct cell c;
    if (!cell_of(n, d, &c))
        return;
    size_t at = c.row * 2 * (size_t)d + (size_t)c.col;
    float8 g = cuda_load8(gu + at, c.n), u = cuda_load8(gu + at + d, c.n), dg, du;
    float8 from = cuda_load8(dout + c.row * (size_t)d + (size_t)c.col, c.n);
    float8 m = cuda_mask8(drop, c.row, (uint32_t)c.col / 8);
    for (int i = 0; i < 8; i++) {
        float slope, s = gelu_gate<T>(g.v[i], &slope), x = from.v[i] * m.v[i];
        dg.v[i] = x * u.v[i] * slope;
        du.v[i] = x * g.v[i] * s;
    }
    cuda_store8(dgu + at, dg, c.n);
    cuda_store8(dgu + at + d, du, c.n);
}

template <typename T>
void cuda_rows<T>::geglu_backward(struct backend *b, int n, int d, void *dgu, const void *dout,
                                  const void *gu, const struct dropout *drop)
{
    struct cuda_drop p = cuda_drop_of(drop);
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), cell_blocks(n, d), THREADS, 0, (geglu_backward_kernel<T>), n, d, (T *)dgu,
                    (const T *)dout, (const T *)gu, p);
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
