/* models/cuda_lora_float.cu: adapters in float32: plain FMA, any size, stride and alignment.
 *
 * Each product goes by tiles of 64 x 16 or 64 x 64 whose thread (i, j) = (t / 8, t % 8) owns rows 2i 2i+1 and
 * N neighbouring columns; the summed dimension comes in slices of 32 through shared memory. A slice is
 * summed by itself before it is added, which keeps rounding small in long sums. */
#include "models/cuda_lora.cuh"

enum { THREADS = 256, TILE = 64, SLICE = 32, RANKS = 16, LD_L = TILE + 4 };

/* acc [2][N] += L^T R over a slice: l [SLICE][LD_L], r [SLICE][8 N + 4]. */
template <int N> __device__ static void lora_multiply(float acc[2][N], const float *l, const float *r)
{
    int i = 2 * ((int)threadIdx.x / 8), j = N * ((int)threadIdx.x % 8);
    float sum[2][N] = {};
    for (int k = 0; k < SLICE; k++) {
        float l0 = l[k * LD_L + i], l1 = l[k * LD_L + i + 1];
        for (int n = 0; n < N; n++) {
            float x = r[k * (8 * N + 4) + j + n];
            sum[0][n] += l0 * x;
            sum[1][n] += l1 * x;
        }
    }
    for (int n = 0; n < N; n++) {
        acc[0][n] += sum[0][n];
        acc[1][n] += sum[1][n];
    }
}

/* l [k][row] = mask * x (row, col + k), 0 outside of n rows and d columns. col is a multiple of 8. */
__device__ static void lora_load_rows(float *l, const float *x, size_t ld, int from, int n, int col, int d,
                                      const struct cuda_drop &drop)
{
    int row = (int)threadIdx.x % TILE, k = (int)threadIdx.x / TILE * 8, left = d - col - k;
    float8 v = {};
    if (row < n && left > 0) {
        size_t at = (size_t)(from + row);
        v = cuda_load8(x + at * ld + col + k, left);
        float8 mask = cuda_mask8(drop, at, (uint32_t)(col + k) / 8);
        for (int i = 0; i < 8; i++)
            v.v[i] *= mask.v[i];
    }
    for (int i = 0; i < 8; i++)
        l[(k + i) * LD_L + row] = v.v[i];
}

/* l [k][col] = mask * x (from + k, col), 0 outside of n rows and d columns. col is a multiple of 8. */
__device__ static void lora_load_cols(float *l, const float *x, size_t ld, int from, int n, int col, int d,
                                      const struct cuda_drop &drop)
{
    int k = (int)threadIdx.x / 8, c = (int)threadIdx.x % 8 * 8, left = d - col - c;
    float8 v = {};
    if (k < n && left > 0) {
        size_t at = (size_t)(from + k);
        v = cuda_load8(x + at * ld + col + c, left);
        float8 mask = cuda_mask8(drop, at, (uint32_t)(col + c) / 8);
        for (int i = 0; i < 8; i++)
            v.v[i] *= mask.v[i];
    }
    cuda_store8(l + k * LD_L + c, v, 8);
}

/* r [k][j] = m[k * by_k + j * by_j] for k < n_k, j < n_j, else 0; by_k or by_j is 1. */
template <int N>
__device__ static void lora_load_matrix(float *r, const float *m, size_t by_k, size_t by_j, int n_k, int n_j)
{
    for (int t = (int)threadIdx.x; t < SLICE * 8 * N; t += THREADS) {
        int k = by_k == 1 ? t % SLICE : t / (8 * N), j = by_k == 1 ? t / SLICE : t % (8 * N);
        r[k * (8 * N + 4) + j] = k < n_k && j < n_j ? m[(size_t)k * by_k + (size_t)j * by_j] : 0.0f;
    }
}

/* mid [rows, rank], 16 ranks at a time. */
__device__ static void lora_pass_mid(const struct lora_pass<float> &p, const struct lora_tile &tile, float *l,
                                     float *r)
{
    const float *m = p.p.at + (size_t)tile.member * p.stride;
    int i = 2 * ((int)threadIdx.x / 8), j = 2 * ((int)threadIdx.x % 8);
    for (int rank = 0; rank < p.rank; rank += RANKS) {
        float acc[2][2] = {};
        for (int k = 0; k < p.d_in; k += SLICE) {
            __syncthreads();
            lora_load_rows(l, p.in, p.ld_in, tile.from, tile.n, k, p.d_in, p.drop_in);
            lora_load_matrix<2>(r, m + (size_t)k * p.p.by_col + (size_t)rank * p.p.by_rank, p.p.by_col,
                                p.p.by_rank, p.d_in - k, p.rank - rank);
            __syncthreads();
            lora_multiply<2>(acc, l, r);
        }
        for (int e = 0; e < 4; e++)
            if (i + e / 2 < tile.n && rank + j + e % 2 < p.rank)
                p.mid[(size_t)(tile.from + i + e / 2) * (size_t)p.rank + (size_t)(rank + j + e % 2)] =
                    p.mid_scale * acc[e / 2][e % 2];
    }
}

/* out [rows, d_out] += ..., 64 columns at a time; mid is what the block has just written. */
__device__ static void lora_pass_out(const struct lora_pass<float> &p, const struct lora_tile &tile, float *l,
                                     float *r)
{
    const float *m = p.q.at + (size_t)tile.member * p.stride;
    int i = 2 * ((int)threadIdx.x / 8), j = 8 * ((int)threadIdx.x % 8);
    struct cuda_drop none = {};
    for (int col = 0; col < p.d_out; col += TILE) {
        float acc[2][8] = {};
        for (int k = 0; k < p.rank; k += SLICE) {
            __syncthreads();
            lora_load_rows(l, p.mid, (size_t)p.rank, tile.from, tile.n, k, p.rank, none);
            lora_load_matrix<8>(r, m + (size_t)k * p.q.by_rank + (size_t)col * p.q.by_col, p.q.by_rank,
                                p.q.by_col, p.rank - k, p.d_out - col);
            __syncthreads();
            lora_multiply<8>(acc, l, r);
        }
        int left = p.d_out - col - j;
        for (int e = 0; e < 2; e++) {
            if (i + e >= tile.n || left <= 0)
                continue;
            size_t row = (size_t)(tile.from + i + e);
            float *to = p.out + row * p.ld_out + col + j;
            float8 mask = cuda_mask8(p.drop_out, row, (uint32_t)(col + j) / 8), y = cuda_load8(to, left);
            for (int n = 0; n < 8; n++)
                y.v[n] += p.out_scale * mask.v[n] * acc[e][n];
            cuda_store8(to, y, left);
        }
    }
}

__global__ __launch_bounds__(THREADS) void lora_pass_kernel(struct lora_pass<float> p)
{
    cuda_begin();
    CUDA_SHARED(float, l);
    float *r = l + SLICE * LD_L;
    struct lora_tile tile = p.tile[blockIdx.x];
    lora_pass_mid(p, tile, l, r);
    if (!p.out)
        return;
    __syncthreads();
    lora_pass_out(p, tile, l, r);
}

/* A block owns 64 columns of one side, one member and 16 ranks, and sums the member's rows in their order. */
__global__ __launch_bounds__(THREADS) void lora_sums_kernel(struct lora_sums<float> s)
{
    cuda_begin();
    CUDA_SHARED(float, l);
    float *r = l + SLICE * LD_L;
    int n_first = (s.side[0].d + TILE - 1) / TILE, tile = (int)blockIdx.x;
    const struct lora_side<float> &side = s.side[tile >= n_first];
    int col = (tile >= n_first ? tile - n_first : tile) * TILE, rank = (int)blockIdx.z * RANKS;
    int member = (int)blockIdx.y, from = s.member_row[member], to = s.member_row[member + 1];
    int i = 2 * ((int)threadIdx.x / 8), j = 2 * ((int)threadIdx.x % 8);
    float acc[2][2] = {};
    for (int row = from; row < to; row += SLICE) {
        __syncthreads();
        lora_load_cols(l, side.v, side.ld, row, to - row, col, side.d, side.drop);
        lora_load_matrix<2>(r, side.mid + (size_t)row * (size_t)s.rank + (size_t)rank, (size_t)s.rank, 1,
                            to - row, s.rank - rank);
        __syncthreads();
        lora_multiply<2>(acc, l, r);
    }
    if (from >= to)
        return;
    float *grad = side.grad + (size_t)member * s.stride;
    for (int e = 0; e < 4; e++)
        if (col + i + e / 2 < side.d && rank + j + e % 2 < s.rank)
            grad[(size_t)(col + i + e / 2) * side.by_col + (size_t)(rank + j + e % 2) * side.by_rank] +=
                side.factor * acc[e / 2][e % 2];
}

int cuda_lora_tile_rows(const struct cuda *c, const struct lora_pass<float> &p, int n)
{
    (void)c;
    (void)p;
    (void)n;
    return TILE;
}

void cuda_lora_pass(struct cuda *c, const struct lora_pass<float> &p)
{
    size_t shared = SLICE * (LD_L + 8 * 8 + 4) * sizeof(float);
    CUDA_LAUNCH(c, p.n_tiles, THREADS, shared, lora_pass_kernel, p);
}

void cuda_lora_sums(struct cuda *c, const struct lora_sums<float> &s)
{
    size_t shared = SLICE * (LD_L + 8 * 2 + 4) * sizeof(float);
    int tiles = cuda_blocks((size_t)s.side[0].d, TILE) + cuda_blocks((size_t)s.side[1].d, TILE);
    dim3 grid((unsigned)tiles, (unsigned)s.n_members, (unsigned)cuda_blocks((size_t)s.rank, RANKS));
    CUDA_LAUNCH(c, grid, THREADS, shared, lora_sums_kernel, s);
}
