/* models/cuda_lora_bf16.cu: adapters with bf16 values, on tensor cores with float32 sums.
 *
 * The work is bound by memory: values go from global memory to registers as 16 bytes of one row per lane,
 * never through shared memory, and each is read once. That works because a product does not mind in which
 * order its summed index, or its columns, are numbered. With g = lane / 4 and q = lane % 4 (cuda_mma.cuh):
 *   summed columns: a lane's columns 8q .. 8q+7 of a block of 32 are k = 2q 2q+1 2q+8 2q+9 of two steps
 *   columns of out: a lane's columns 8q .. 8q+7 of a block of 32 are columns 2q 2q+1 of four 8-column tiles
 *   summed rows:    a lane's columns 8g .. 8g+7 of a block of 64 are column g of eight 8-column tiles
 * so a lane also has whole blocks of eight decisions of dropout. Adapters lie in shared memory as bf16 in
 * the order in which lanes ask for them. Dropped values become 0, the mask's scale multiplies sums.
 *
 * d_in, d_out and the strides of values are multiples of 8, their pointers aligned to 16 bytes. */
#include "models/cuda_lora_bf16.cuh"

enum { WARPS = 8, THREADS = 32 * WARPS, BLOCK = 32, SUM_COLS = 64, MOST_VALUES = 16384 };
/* Blocks of in and of out that a lane has under way at once. */
enum { IN_AHEAD = 4, OUT_AHEAD = 2 };

/* Where a column of out is kept: tile t, column g of each 32 in rows of 16 ranks. */
__device__ static inline int lora_place(int col)
{
    return col / 32 * 32 + col % 8 / 2 * 8 + col % 32 / 8 * 2 + col % 2;
}

/* --- adapters into shared memory --- */

/* Eight neighbours along a rank or a column, the first n of which exist. With IS_ROW they are eight floats
 * that are aligned to 16 bytes. */
template <bool IS_ROW> __device__ static inline float8 lora_eight(const float *from, size_t step, int n)
{
    float8 v = {};
    if (IS_ROW) {
        float4 a = {}, b = {};
        if (n > 0) {
            a = reinterpret_cast<const float4 *>(from)[0];
            b = reinterpret_cast<const float4 *>(from)[1];
        }
        v = {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
    } else {
#pragma unroll
        for (int j = 0; j < 8; j++)
            v.v[j] = j < n ? from[(size_t)j * step] : 0.0f;
    }
    return v;
}

/* P for columns col .. + 32 n_blocks - 1 and ranks rank .. + R - 1: to [block][R][32], 0 where there is none.
 * Loads are issued together: their latency is what staging costs. */
template <int R, bool IS_ROW>
__device__ static void lora_stage_p(uint4 *to, const struct lora_matrix_at &m, int rank, int n_ranks, int col,
                                    int d, int n_blocks)
{
    enum { TOGETHER = IS_ROW ? 4 : 2 };
    int n = n_blocks * R * 4;
    for (int first = (int)threadIdx.x; first < n; first += TOGETHER * THREADS) {
        float8 v[TOGETHER];
#pragma unroll
        for (int u = 0; u < TOGETHER; u++) {
            int i = first + u * THREADS, r = rank + i / 4 % R, c = col + i / (4 * R) * BLOCK + i % 4 * 8;
            v[u] = lora_eight<IS_ROW>(m.at + (size_t)r * m.by_rank + (size_t)c * m.by_col, m.by_col,
                                      i < n && r < n_ranks ? d - c : 0);
        }
#pragma unroll
        for (int u = 0; u < TOGETHER; u++)
            if (first + u * THREADS < n)
                to[first + u * THREADS] = lora_pack(v[u]);
    }
}

/* Q for all ranks and columns col .. + n_cols - 1, n_cols a multiple of 32: to [plane of 16 ranks][lora_place
 * of the column][16], 0 where there is none. Threads are neighbours where memory is. */
template <bool IS_ROW>
__device__ static void lora_stage_q(uint4 *to, const struct lora_matrix_at &m, int n_ranks, int n_planes,
                                    int col, int d, int n_cols)
{
    enum { TOGETHER = IS_ROW ? 4 : 2 };
    int n_eights = 2 * n_planes, n = n_cols * n_eights;
    for (int first = (int)threadIdx.x; first < n; first += TOGETHER * THREADS) {
        float8 v[TOGETHER];
        int at[TOGETHER];
#pragma unroll
        for (int u = 0; u < TOGETHER; u++) {
            int i = first + u * THREADS, r = IS_ROW ? i % n_eights : i / n_cols,
                c = IS_ROW ? i / n_eights : i % n_cols;
            v[u] = lora_eight<IS_ROW>(m.at + (size_t)(8 * r) * m.by_rank + (size_t)(col + c) * m.by_col,
                                      m.by_rank, i < n && col + c < d ? n_ranks - 8 * r : 0);
            at[u] = (r / 2 * n_cols + lora_place(c)) * 2 + r % 2;
        }
#pragma unroll
        for (int u = 0; u < TOGETHER; u++)
            if (first + u * THREADS < n)
                to[at[u]] = lora_pack(v[u]);
    }
}

/* --- the pass --- */

/* Shared memory, counted in pieces of 16 bytes so that the compiler knows how it is aligned: P's slice or the
 * warps' partial sums; then Q's slice; then mid as bf16. */
struct pass_plan {
    int in_cols, out_cols; /* of a slice, multiples of 32 */
    int n_planes;          /* of 16 ranks */
    int q_at, mid_at, end;
};

/* What a warp does: 16 rows, and every n_parts-th block of columns, beginning with `part`. */
struct warp_place {
    int part, n_parts, row, g, q; /* row within the tile */
    size_t at[2];                 /* rows g and g + 8 of all */
    bool is_row[2];
    uint32_t owner[2], index[2];
};

template <int ROW_WARPS>
__device__ static struct warp_place lora_place_warp(const struct lora_tile &tile,
                                                    const struct cuda_drop &drop)
{
    struct warp_place w;
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    w.part = warp / ROW_WARPS;
    w.n_parts = WARPS / ROW_WARPS;
    w.row = warp % ROW_WARPS * 16;
    w.g = lane / 4;
    w.q = lane % 4;
    for (int i = 0; i < 2; i++) {
        int row = w.row + w.g + 8 * i;
        w.is_row[i] = row < tile.n;
        w.at[i] = (size_t)(tile.from + row);
        w.owner[i] = drop.threshold && w.is_row[i] ? drop.owner[w.at[i]] : 0;
        w.index[i] = drop.threshold && w.is_row[i] ? drop.index[w.at[i]] : 0;
    }
    return w;
}

/* The warp's blocks of 32 columns from block `first` on, of the n_blocks that begin at column col. */
template <int N>
__device__ static inline void lora_look_ahead(uint4 v[N][2], const bf16 *from, size_t ld, int d,
                                              const struct warp_place &w, int col, int first, int n_blocks)
{
#pragma unroll
    for (int u = 0; u < N; u++) {
        int block = first + u * w.n_parts, c = col + block * BLOCK + 8 * w.q;
#pragma unroll
        for (int i = 0; i < 2; i++)
            v[u][i] = lora_load(from + w.at[i] * ld + c, w.is_row[i] && block < n_blocks && c < d);
    }
}

/* acc += (mask * in) P^T over the n_blocks blocks of 32 columns that are staged, NT tiles of 8 ranks. v holds
 * the warp's first blocks. */
template <int NT>
__device__ static void lora_mid_slice(float acc[NT][4], uint4 v[IN_AHEAD][2], const struct lora_pass<bf16> &p,
                                      const struct warp_place &w, const bf16 *staged, int col, int n_blocks)
{
    for (int first = w.part; first < n_blocks; first += IN_AHEAD * w.n_parts) {
#pragma unroll
        for (int u = 0; u < IN_AHEAD; u++) {
            int block = first + u * w.n_parts, c = col + block * BLOCK + 8 * w.q;
            if (block >= n_blocks)
                continue;
            if (p.drop_in.threshold) {
                v[u][0] = lora_and(v[u][0], lora_keep(p.drop_in, w.owner[0], w.index[0], (uint32_t)c / 8));
                v[u][1] = lora_and(v[u][1], lora_keep(p.drop_in, w.owner[1], w.index[1], (uint32_t)c / 8));
            }
            const uint32_t low[4] = {v[u][0].x, v[u][1].x, v[u][0].y, v[u][1].y};
            const uint32_t high[4] = {v[u][0].z, v[u][1].z, v[u][0].w, v[u][1].w};
            const bf16 *at = staged + (block * 8 * NT + w.g) * BLOCK + 8 * w.q;
#pragma unroll
            for (int t = 0; t < NT; t++) {
                uint4 b = *reinterpret_cast<const uint4 *>(at + 8 * t * BLOCK);
                const uint32_t b_low[2] = {b.x, b.y}, b_high[2] = {b.z, b.w};
                cuda_mma(acc[t], low, b_low);
                cuda_mma(acc[t], high, b_high);
            }
        }
        lora_look_ahead<IN_AHEAD>(v, p.in, p.ld_in, p.d_in, w, col, first + IN_AHEAD * w.n_parts, n_blocks);
    }
}

/* Adds the warps' sums in the order of their parts; writes ranks rank .. of mid, in float32 to memory and in
 * bf16 to shared memory [plane][row][16]. */
template <int ROW_WARPS, int NT>
__device__ static void lora_mid_finish(const float acc[NT][4], const struct lora_pass<bf16> &p,
                                       const struct lora_tile &tile, const struct warp_place &w, float *sums,
                                       bf16 *mid, int rank)
{
    enum { R = 8 * NT, ROWS = 16 * ROW_WARPS, LD = R + 8 };
    for (int t = 0; t < NT; t++)
        for (int i = 0; i < 2; i++) {
            float2 *to = reinterpret_cast<float2 *>(sums) +
                         ((w.part * ROWS + w.row + w.g + 8 * i) * LD + 8 * t) / 2 + w.q;
            *to = make_float2(acc[t][2 * i], acc[t][2 * i + 1]);
        }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < ROWS * R; i += THREADS) {
        int row = i / R, r = i % R;
        float sum = 0;
        for (int part = 0; part < WARPS / ROW_WARPS; part++)
            sum += sums[(part * ROWS + row) * LD + r];
        sum *= p.mid_scale * p.drop_in.scale;
        if (row < tile.n && rank + r < p.rank)
            p.mid[(size_t)(tile.from + row) * (size_t)p.rank + (size_t)(rank + r)] = sum;
        mid[((rank + r) / 16 * ROWS + row) * 16 + (rank + r) % 16] = cuda_bf16(sum);
    }
}

/* acc = mid Q^T for 16 rows and the 32 staged columns of a block. */
template <int ROW_WARPS>
__device__ static inline void lora_out_block(float acc[4][4], const struct warp_place &w, int n_planes,
                                             const bf16 *mid, const bf16 *staged, int block, int n_cols)
{
#pragma unroll 1
    for (int plane = 0; plane < n_planes; plane++) {
        const bf16 *m = mid + (plane * 16 * ROW_WARPS + w.row + w.g) * 16 + 4 * w.q;
        const bf16 *s = staged + (plane * n_cols + block * BLOCK + w.g) * 16 + 4 * w.q;
        uint2 m0 = *reinterpret_cast<const uint2 *>(m), m1 = *reinterpret_cast<const uint2 *>(m + 8 * 16);
        const uint32_t a[4] = {m0.x, m1.x, m0.y, m1.y};
#pragma unroll
        for (int t = 0; t < 4; t++) {
            uint2 x = *reinterpret_cast<const uint2 *>(s + 8 * t * 16);
            const uint32_t b[2] = {x.x, x.y};
            cuda_mma(acc[t], a, b);
        }
    }
}

/* Half i (rows g, g + 8) of a block: out += scale * mask * acc. */
__device__ static inline void lora_out_store(const float acc[4][4], uint4 y, const struct lora_pass<bf16> &p,
                                             const struct warp_place &w, int i, int c)
{
    uint4 keep = make_uint4(~0u, ~0u, ~0u, ~0u);
    if (!w.is_row[i] || c >= p.d_out)
        return;
    if (p.drop_out.threshold)
        keep = lora_keep(p.drop_out, w.owner[i], w.index[i], (uint32_t)c / 8);
    float scale = p.out_scale * p.drop_out.scale;
    const uint32_t was[4] = {y.x, y.y, y.z, y.w}, kept[4] = {keep.x, keep.y, keep.z, keep.w};
    uint32_t now[4], bits = 0;
#pragma unroll
    for (int t = 0; t < 4; t++) {
        float low = kept[t] & 0xffffu ? scale * acc[t][2 * i] : 0.0f;
        float high = kept[t] >> 16 ? scale * acc[t][2 * i + 1] : 0.0f;
        now[t] = cuda_mma_pack(__uint_as_float(was[t] << 16) + low,
                               __uint_as_float(was[t] & 0xffff0000u) + high);
        bits |= (kept[t] & 1u) << 2 * t | kept[t] >> 31 << (2 * t + 1);
    }
    *reinterpret_cast<uint4 *>(p.out + w.at[i] * p.ld_out + c) = make_uint4(now[0], now[1], now[2], now[3]);
    if (p.kept_out)
        p.kept_out[w.at[i] * (size_t)(p.d_out / 8) + (size_t)(c / 8)] = (uint8_t)bits;
}

/* out += out_scale * mask * (mid Q^T) over the staged columns. y holds the warp's first blocks. */
template <int ROW_WARPS>
__device__ static void lora_out_slice(uint4 y[OUT_AHEAD][2], const struct lora_pass<bf16> &p,
                                      const struct warp_place &w, int n_planes, const bf16 *mid,
                                      const bf16 *staged, int col, int n_cols)
{
    int n_blocks = n_cols / BLOCK;
    for (int first = w.part; first < n_blocks; first += OUT_AHEAD * w.n_parts) {
#pragma unroll
        for (int u = 0; u < OUT_AHEAD; u++) {
            int block = first + u * w.n_parts, c = col + block * BLOCK + 8 * w.q;
            float acc[4][4] = {};
            if (block >= n_blocks)
                continue;
            lora_out_block<ROW_WARPS>(acc, w, n_planes, mid, staged, block, n_cols);
            lora_out_store(acc, y[u][0], p, w, 0, c);
            lora_out_store(acc, y[u][1], p, w, 1, c);
        }
        lora_look_ahead<OUT_AHEAD>(y, p.out, p.ld_out, p.d_out, w, col, first + OUT_AHEAD * w.n_parts,
                                   n_blocks);
    }
}

/* A block has a tile of 16 ROW_WARPS rows; warps that share rows share out the columns. */
template <int ROW_WARPS, int NT>
__global__ __launch_bounds__(THREADS, 2) void lora_pass_kernel(struct lora_pass<bf16> p,
                                                               struct pass_plan plan)
{
    cuda_begin();
    enum { R = 8 * NT };
    CUDA_SHARED(uint4, shared);
    bf16 *p_staged = reinterpret_cast<bf16 *>(shared),
         *q_staged = reinterpret_cast<bf16 *>(shared + plan.q_at);
    bf16 *mid = reinterpret_cast<bf16 *>(shared + plan.mid_at);
    struct lora_tile tile = p.tile[blockIdx.x];
    struct warp_place w = lora_place_warp<ROW_WARPS>(tile, p.drop_in.threshold ? p.drop_in : p.drop_out);
    struct lora_matrix_at p_at = {p.p.at + (size_t)tile.member * p.stride, p.p.by_rank, p.p.by_col};
    struct lora_matrix_at q_at = {p.q.at + (size_t)tile.member * p.stride, p.q.by_rank, p.q.by_col};
    bool is_p_row = p_at.by_col == 1 && p_at.by_rank % 4 == 0 && lora_is_aligned(p_at.at);
    uint4 x[IN_AHEAD][2], y[OUT_AHEAD][2];
    for (int rank = 0; rank < 16 * plan.n_planes; rank += R) {
        float acc[NT][4] = {};
        for (int col = 0; col < p.d_in; col += plan.in_cols) {
            int blocks = min(p.d_in - col + BLOCK - 1, plan.in_cols) / BLOCK;
            lora_look_ahead<IN_AHEAD>(x, p.in, p.ld_in, p.d_in, w, col, w.part, blocks);
            __syncthreads();
            if (is_p_row)
                lora_stage_p<R, true>(shared, p_at, rank, p.rank, col, p.d_in, blocks);
            else
                lora_stage_p<R, false>(shared, p_at, rank, p.rank, col, p.d_in, blocks);
            __syncthreads();
            lora_mid_slice<NT>(acc, x, p, w, p_staged, col, blocks);
        }
        __syncthreads();
        lora_mid_finish<ROW_WARPS, NT>(acc, p, tile, w, reinterpret_cast<float *>(shared), mid, rank);
    }
    for (int col = 0; p.out && col < p.d_out; col += plan.out_cols) {
        int cols = min((p.d_out - col + BLOCK - 1) / BLOCK * BLOCK, plan.out_cols);
        lora_look_ahead<OUT_AHEAD>(y, p.out, p.ld_out, p.d_out, w, col, w.part, cols / BLOCK);
        if (col > 0)
            __syncthreads();
        if (q_at.by_rank == 1 && p.rank % 8 == 0 && lora_is_aligned(q_at.at))
            lora_stage_q<true>(shared + plan.q_at, q_at, p.rank, plan.n_planes, col, p.d_out, cols);
        else
            lora_stage_q<false>(shared + plan.q_at, q_at, p.rank, plan.n_planes, col, p.d_out, cols);
        __syncthreads();
        lora_out_slice<ROW_WARPS>(y, p, w, plan.n_planes, mid, q_staged, col, cols);
    }
}

static int lora_min(int a, int b)
{
    return a < b ? a : b;
}

static struct pass_plan pass_plan_of(const struct lora_pass<bf16> &p, int ranks_at_once)
{
    struct pass_plan plan = {};
    int ranks = cuda_blocks((size_t)p.rank, ranks_at_once) * ranks_at_once;
    int in = cuda_blocks((size_t)p.d_in, BLOCK) * BLOCK, out = cuda_blocks((size_t)p.d_out, BLOCK) * BLOCK;
    plan.n_planes = ranks / 16;
    plan.in_cols = lora_min(in, MOST_VALUES / ranks_at_once);
    plan.out_cols = lora_min(out, MOST_VALUES / ranks / BLOCK * BLOCK);
    int staged = plan.in_cols * ranks_at_once / 8, sums = 16 * WARPS * (ranks_at_once + 8) / 4;
    plan.q_at = staged > sums ? staged : sums;
    plan.mid_at = plan.q_at + (p.out ? ranks * plan.out_cols / 8 : 0);
    plan.end = plan.mid_at + ranks * p.tile_rows / 8;
    return plan;
}

template <int ROW_WARPS> static void pass_launch(struct cuda *c, const struct lora_pass<bf16> &p)
{
    bool is_small = p.rank <= 16;
    struct pass_plan plan = pass_plan_of(p, is_small ? 16 : 32);
    size_t n_bytes = 16 * (size_t)plan.end;
    if (is_small)
        CUDA_LAUNCH(c, p.n_tiles, THREADS, n_bytes, (lora_pass_kernel<ROW_WARPS, 2>), p, plan);
    else
        CUDA_LAUNCH(c, p.n_tiles, THREADS, n_bytes, (lora_pass_kernel<ROW_WARPS, 4>), p, plan);
}

/* --- the sums --- */

struct four_rows {
    uint4 v[4];         /* rows 2q 2q+1 2q+8 2q+9 of 16, columns 8g .. 8g+7 of 64 */
    uint32_t kept[4];   /* a bit per column, where the pass has written them */
    uint32_t mid[2][4]; /* fragments of the left factor: ranks 0 .. 15, 16 .. 31 */
};

/* The rank, of 16, of row g (half 0) or g + 8 of a fragment: neighbours where ranks are 16, so that a lane loads
 * both at once. */
template <bool IS_16> __device__ static inline constexpr int lora_sums_rank(int g, int half)
{
    return IS_16 ? 2 * g + half : g + 8 * half;
}

/* mid of 16 rows from `row` as fragments. IS_16: there are 16 ranks, aligned to 8 bytes. */
template <int MT, bool IS_16>
__device__ static inline void lora_sums_load_mid(struct four_rows &x, const float *mid, int n_ranks, int rank,
                                                 int row, int to)
{
    int g = (int)threadIdx.x % 32 / 4, q = (int)threadIdx.x % 4;
    if (IS_16) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            int at = row + 2 * q + 8 * i;
            const float *from = mid + (size_t)at * 16 + (size_t)(2 * g);
            float2 low = make_float2(0, 0), high = make_float2(0, 0);
            if (at < to)
                low = *reinterpret_cast<const float2 *>(from);
            if (at + 1 < to)
                high = *reinterpret_cast<const float2 *>(from + 16);
            x.mid[0][2 * i] = cuda_mma_pack(low.x, high.x);
            x.mid[0][2 * i + 1] = cuda_mma_pack(low.y, high.y);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 4 * MT; i++) {
            int at = row + 2 * q + i % 4 / 2 * 8, r = rank + i / 4 * 16 + lora_sums_rank<false>(g, i % 2);
            const float *from = mid + (size_t)at * (size_t)n_ranks + (size_t)r;
            float low = at < to && r < n_ranks ? from[0] : 0.0f;
            float high = at + 1 < to && r < n_ranks ? from[n_ranks] : 0.0f;
            x.mid[i / 4][i % 4] = cuda_mma_pack(low, high);
        }
    }
}

/* A lane's part of 16 rows from `row`. */
template <int MT, bool IS_16>
__device__ static inline void lora_sums_load(struct four_rows &x, const struct lora_side<bf16> &side,
                                             int n_ranks, int rank, int col, int row, int to)
{
    int g = (int)threadIdx.x % 32 / 4, q = (int)threadIdx.x % 4, c = col + 8 * g, at = row + 2 * q;
    size_t ld_kept = (unsigned)side.d / 8;
    const bf16 *v = side.v + (size_t)at * side.ld + c;
    size_t kept = (size_t)at * ld_kept + (unsigned)c / 8;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int further = i % 2 + i / 2 * 8;
        bool is_there = at + further < to && c < side.d;
        x.v[i] = lora_load(v + (size_t)further * side.ld, is_there);
        x.kept[i] = side.kept && is_there ? side.kept[kept + (size_t)further * ld_kept] : 0;
    }
    lora_sums_load_mid<MT, IS_16>(x, side.mid, n_ranks, rank, row, to);
}

__device__ static inline void lora_sums_mask(struct four_rows &x, const struct lora_side<bf16> &side, int col,
                                             int row, int to)
{
    int g = (int)threadIdx.x % 32 / 4, q = (int)threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int at = row + 2 * q + i % 2 + i / 2 * 8;
        if (side.kept)
            x.v[i] = lora_and(x.v[i], make_uint4(lora_spread2(x.kept[i]), lora_spread2(x.kept[i] >> 2),
                                                 lora_spread2(x.kept[i] >> 4), lora_spread2(x.kept[i] >> 6)));
        else if (at < to)
            x.v[i] = lora_and(x.v[i], lora_keep(side.drop, side.drop.owner[at], side.drop.index[at],
                                                (uint32_t)(col / 8 + g)));
    }
}

/* acc [m-tile][column of eight] += mid^T v */
template <int MT> __device__ static void lora_sums_multiply(float acc[MT][8][4], const struct four_rows &x)
{
    const uint32_t v[4][4] = {{x.v[0].x, x.v[0].y, x.v[0].z, x.v[0].w},
                              {x.v[1].x, x.v[1].y, x.v[1].z, x.v[1].w},
                              {x.v[2].x, x.v[2].y, x.v[2].z, x.v[2].w},
                              {x.v[3].x, x.v[3].y, x.v[3].z, x.v[3].w}};
    for (int j = 0; j < 4; j++) {
        const uint32_t even[2] = {(v[0][j] & 0xffffu) | v[1][j] << 16, (v[2][j] & 0xffffu) | v[3][j] << 16};
        const uint32_t odd[2] = {v[0][j] >> 16 | (v[1][j] & 0xffff0000u),
                                 v[2][j] >> 16 | (v[3][j] & 0xffff0000u)};
        for (int m = 0; m < MT; m++) {
            cuda_mma(acc[m][2 * j], x.mid[m], even);
            cuda_mma(acc[m][2 * j + 1], x.mid[m], odd);
        }
    }
}

/* grad += factor * the warps' sums [warp][16 ranks][LD], added in the order of the warps. */
__device__ static void lora_sums_finish(const float *sums, int ld, const struct lora_side<bf16> &side,
                                        float *grad, int n_ranks, int rank, int col)
{
    for (int i = (int)threadIdx.x; i < 16 * SUM_COLS; i += THREADS) {
        int r = side.by_rank == 1 ? i % 16 : i / SUM_COLS, c = side.by_rank == 1 ? i / 16 : i % SUM_COLS;
        float sum = 0;
        for (int warp = 0; warp < WARPS; warp++)
            sum += sums[(warp * 16 + r) * ld + c];
        if (rank + r < n_ranks && col + c < side.d)
            grad[(size_t)(rank + r) * side.by_rank + (size_t)(col + c) * side.by_col] +=
                side.factor * side.drop.scale * sum;
    }
}

enum { SUMS_LD = SUM_COLS + 4 };

/* A block owns 64 columns of one side, one member and 16 MT ranks; of the member's steps of 16 rows, warp w
 * takes every eighth from step w on. A step's place is loaded again as soon as it has been used. */
template <int MT, bool IS_16>
__global__ __launch_bounds__(THREADS, 2) void lora_sums_kernel(struct lora_sums<bf16> s)
{
    cuda_begin();
    enum { AHEAD = MT == 1 ? 2 : 1, STEP = 16 * WARPS };
    CUDA_SHARED(float4, fours);
    int n_first = (s.side[0].d + SUM_COLS - 1) / SUM_COLS, tile = (int)blockIdx.x;
    const struct lora_side<bf16> &side = s.side[tile >= n_first];
    int col = (tile >= n_first ? tile - n_first : tile) * SUM_COLS, rank = (int)blockIdx.z * 16 * MT;
    int member = (int)blockIdx.y, from = s.member_row[member], to = s.member_row[member + 1];
    int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, q = (int)threadIdx.x % 4;
    float acc[MT][8][4] = {};
    struct four_rows x[AHEAD];
    if (from >= to)
        return;
    from += 16 * warp;
#pragma unroll
    for (int u = 0; u < AHEAD; u++)
        lora_sums_load<MT, IS_16>(x[u], side, s.rank, rank, col, from + u * STEP, to);
    for (int first = from; first < to; first += AHEAD * STEP)
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            int row = first + u * STEP;
            if (row >= to)
                continue;
            if (side.drop.threshold)
                lora_sums_mask(x[u], side, col, row, to);
            lora_sums_multiply<MT>(acc, x[u]);
            lora_sums_load<MT, IS_16>(x[u], side, s.rank, rank, col, row + AHEAD * STEP, to);
        }
    for (int m = 0; m < MT; m++) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int r = lora_sums_rank<IS_16>(g, i / 2);
            float4 *at = fours + (warp * 16 + r) * (SUMS_LD / 4) + 2 * (2 * q + i % 2);
            at[0] = make_float4(acc[m][0][i], acc[m][1][i], acc[m][2][i], acc[m][3][i]);
            at[1] = make_float4(acc[m][4][i], acc[m][5][i], acc[m][6][i], acc[m][7][i]);
        }
        __syncthreads();
        lora_sums_finish(reinterpret_cast<const float *>(fours), SUMS_LD, side,
                         side.grad + (size_t)member * s.stride, s.rank, rank + 16 * m, col);
    }
}

/* The tallest tiles that give every multiprocessor one: a tile reads its member's adapter once. */
int cuda_lora_tile_rows(const struct cuda *c, const struct lora_pass<bf16> &p, int n)
{
    if (cuda_lora_is_rank16(p))
        return cuda_lora_rank16_rows(c, n);
    if (n >= 64 * c->n_processors)
        return 64;
    return n >= 32 * c->n_processors ? 32 : 16;
}

void cuda_lora_pass(struct cuda *c, const struct lora_pass<bf16> &p)
{
    if (cuda_lora_is_rank16(p))
        cuda_lora_rank16_pass(c, p);
    else if (p.tile_rows == 64)
        pass_launch<4>(c, p);
    else if (p.tile_rows == 32)
        pass_launch<2>(c, p);
    else
        pass_launch<1>(c, p);
}

void cuda_lora_sums(struct cuda *c, const struct lora_sums<bf16> &s)
{
    int ranks = s.rank <= 16 ? 16 : 32;
    int tiles = cuda_blocks((size_t)s.side[0].d, SUM_COLS) + cuda_blocks((size_t)s.side[1].d, SUM_COLS);
    dim3 grid((unsigned)tiles, (unsigned)s.n_members, (unsigned)cuda_blocks((size_t)s.rank, ranks));
    size_t shared = WARPS * 16 * SUMS_LD * sizeof(float);
    if (s.rank == 16 && lora_is_aligned(s.side[0].mid) && lora_is_aligned(s.side[1].mid))
        CUDA_LAUNCH(c, grid, THREADS, shared, (lora_sums_kernel<1, true>), s);
    else if (ranks == 16)
        CUDA_LAUNCH(c, grid, THREADS, shared, (lora_sums_kernel<1, false>), s);
    else
        CUDA_LAUNCH(c, grid, THREADS, shared, (lora_sums_kernel<2, false>), s);
}
