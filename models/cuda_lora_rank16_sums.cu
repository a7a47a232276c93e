/* models/cuda_lora_rank16_sums.cu: the sums of bf16 adapters of rank 16.
 *
 * A block has 64 columns of one side and one member, and a part of the member's rows; when there are few such
 * tiles, rows are cut into parts so that every multiprocessor has blocks enough. Parts leave their sums in
 * scratch memory, and the one that finishes last adds them in their order: who that is changes nothing.
 *
 * The summed rows and the ranks are numbered so that loads are wide (g and q as in cuda_mma.cuh): a lane's
 * k = 2q 2q+1 2q+8 2q+9 are rows 4q .. 4q+3 of 16, its rows g and g+8 of the left factor ranks 2g and 2g+1,
 * its column g of tile j column 8g + j. */
#include "models/cuda_lora_bf16.cuh"

enum { RANK = 16, COLS = 64, VALUES = RANK * COLS, STEP = 16, LD = COLS + 4 };
enum { WARPS = 4, THREADS = 32 * WARPS, RESIDENT = 4, AHEAD = 2 };
/* A part has more than half as many rows: one step of 16 for each warp, and another under way. */
enum { PART_ROWS = AHEAD * STEP * WARPS };

/* Where parts leave their sums, [tile][part][VALUES]; how many of a tile's have done so, 0 between launches.
 */
struct sums_scratch {
    float *part;
    int32_t *n_done;
};

/* A lane's share of a step: its four rows, of which it has eight columns and two ranks. */
struct sums_rows {
    uint4 v[4];
    uint32_t kept[4]; /* a bit per column, where the pass has written them */
    float2 mid[4];
};

/* row: the lane's first; col: its first. Rows from `to` on are not there. */
__device__ static inline void sums_load(struct sums_rows &x, const struct lora_side<bf16> &side, int g,
                                        int col, int row, int to)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        size_t at = (size_t)(row + i);
        bool is_row = row + i < to, is_there = is_row && col < side.d;
        x.v[i] = lora_load(side.v + at * side.ld + col, is_there);
        x.mid[i] = is_row ? reinterpret_cast<const float2 *>(side.mid)[at * (RANK / 2) + (size_t)g]
                          : make_float2(0, 0);
        x.kept[i] = side.kept && is_there ? side.kept[at * (size_t)(side.d / 8) + (size_t)(col / 8)] : 0;
    }
}

__device__ static inline void sums_mask(struct sums_rows &x, const struct lora_side<bf16> &side, int col,
                                        int row, int to)
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        uint32_t bits = x.kept[i];
        if (side.kept)
            x.v[i] = lora_and(x.v[i], make_uint4(lora_spread2(bits), lora_spread2(bits >> 2),
                                                 lora_spread2(bits >> 4), lora_spread2(bits >> 6)));
        else if (row + i < to)
            x.v[i] = lora_and(x.v[i], lora_keep(side.drop, side.drop.owner[row + i], side.drop.index[row + i],
                                                (uint32_t)col / 8));
    }
}

/* acc [column of eight] += mid^T v */
__device__ static inline void sums_multiply(float acc[8][4], const struct sums_rows &x)
{
    const uint32_t mid[4] = {cuda_mma_pack(x.mid[0].x, x.mid[1].x), cuda_mma_pack(x.mid[0].y, x.mid[1].y),
                             cuda_mma_pack(x.mid[2].x, x.mid[3].x), cuda_mma_pack(x.mid[2].y, x.mid[3].y)};
    const uint32_t v[4][4] = {{x.v[0].x, x.v[0].y, x.v[0].z, x.v[0].w},
                              {x.v[1].x, x.v[1].y, x.v[1].z, x.v[1].w},
                              {x.v[2].x, x.v[2].y, x.v[2].z, x.v[2].w},
                              {x.v[3].x, x.v[3].y, x.v[3].z, x.v[3].w}};
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint32_t even[2] = {(v[0][j] & 0xffffu) | v[1][j] << 16, (v[2][j] & 0xffffu) | v[3][j] << 16};
        const uint32_t odd[2] = {v[0][j] >> 16 | (v[1][j] & 0xffff0000u),
                                 v[2][j] >> 16 | (v[3][j] & 0xffff0000u)};
        cuda_mma(acc[2 * j], mid, even);
        cuda_mma(acc[2 * j + 1], mid, odd);
    }
}

/* Steps first, first + WARPS .. before `end` of the member's rows from .. to - 1. */
__device__ static inline void sums_steps(float acc[8][4], const struct lora_side<bf16> &side, int tile_col,
                                         int from, int to, int first, int end)
{
    int g = (int)threadIdx.x % 32 / 4, q = (int)threadIdx.x % 4, col = tile_col + 8 * g;
    struct sums_rows x[AHEAD];
    from += 4 * q;
    to = min(to, from - 4 * q + STEP * end);
#pragma unroll
    for (int u = 0; u < AHEAD; u++)
        sums_load(x[u], side, g, col, from + STEP * (first + u * WARPS), to);
    for (int step = first; step < end; step += AHEAD * WARPS)
#pragma unroll
        for (int u = 0; u < AHEAD; u++) {
            int row = from + STEP * (step + u * WARPS);
            if (step + u * WARPS >= end)
                continue;
            if (side.drop.threshold)
                sums_mask(x[u], side, col, row, to);
            sums_multiply(acc, x[u]);
            sums_load(x[u], side, g, col, row + AHEAD * WARPS * STEP, to);
        }
}

/* To shared memory [warp][RANK][LD]. */
__device__ static inline void sums_share(float4 *fours, const float acc[8][4])
{
    int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, q = (int)threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float4 *at = fours + (warp * RANK + 2 * g + i / 2) * (LD / 4) + 2 * (2 * q + i % 2);
        at[0] = make_float4(acc[0][i], acc[1][i], acc[2][i], acc[3][i]);
        at[1] = make_float4(acc[4][i], acc[5][i], acc[6][i], acc[7][i]);
    }
    __syncthreads();
}

/* Whether all parts of the tile but this have left their sums. All threads of the block must ask. */
__device__ static inline bool sums_is_last(int32_t *n_done, int n_parts, float4 *shared)
{
    int *is_last = reinterpret_cast<int *>(shared);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        *is_last = atomicAdd(n_done, 1) == n_parts - 1;
        if (*is_last)
            *n_done = 0;
    }
    __syncthreads();
    __threadfence();
    return *is_last;
}

/* Values are numbered as they lie in grad, so that neighbours are neighbours there. */
__global__ __launch_bounds__(THREADS, RESIDENT) void lora_rank16_sums_kernel(struct lora_sums<bf16> s,
                                                                             struct sums_scratch scratch)
{
    CUDA_SHARED(float4, fours);
    const float *sums = reinterpret_cast<const float *>(fours);
    int n_first = (s.side[0].d + COLS - 1) / COLS, tile = (int)blockIdx.x, member = (int)blockIdx.y;
    int part = (int)blockIdx.z, n_parts = (int)gridDim.z, warp = (int)threadIdx.x / 32;
    const struct lora_side<bf16> &side = s.side[tile >= n_first];
    int col = (tile >= n_first ? tile - n_first : tile) * COLS;
    int from = s.member_row[member], to = s.member_row[member + 1], n_steps = (to - from + STEP - 1) / STEP;
    size_t at = (size_t)member * gridDim.x + (size_t)tile;
    bool is_db = side.by_rank == 1;
    float acc[8][4] = {};
    if (from >= to)
        return;
    sums_steps(acc, side, col, from, to, n_steps * part / n_parts + warp, n_steps * (part + 1) / n_parts);
    sums_share(fours, acc);
    float sum[VALUES / THREADS] = {};
#pragma unroll
    for (int j = 0; j < VALUES / THREADS; j++) {
        int i = (int)threadIdx.x + j * THREADS, r = is_db ? i % RANK : i / COLS,
            c = is_db ? i / RANK : i % COLS;
        for (int w = 0; w < WARPS; w++)
            sum[j] += sums[(w * RANK + r) * LD + c];
    }
    if (n_parts > 1) {
        float *parts = scratch.part + at * (size_t)(n_parts * VALUES) + threadIdx.x;
        for (int j = 0; j < VALUES / THREADS; j++)
            parts[part * VALUES + j * THREADS] = sum[j];
        if (!sums_is_last(scratch.n_done + at, n_parts, fours))
            return;
#pragma unroll
        for (int j = 0; j < VALUES / THREADS; j++) {
            sum[j] = 0;
            for (int other = 0; other < n_parts; other++)
                sum[j] += parts[other * VALUES + j * THREADS];
        }
    }
#pragma unroll
    for (int j = 0; j < VALUES / THREADS; j++) {
        int i = (int)threadIdx.x + j * THREADS, r = is_db ? i % RANK : i / COLS,
            c = col + (is_db ? i / RANK : i % COLS);
        if (c < side.d)
            side.grad[(size_t)member * s.stride + (size_t)r * side.by_rank + (size_t)c * side.by_col] +=
                side.factor * side.drop.scale * sum[j];
    }
}

/* --- launching --- */

bool cuda_lora_is_rank16(const struct lora_sums<bf16> &s)
{
    return s.rank == RANK && lora_is_aligned(s.side[0].mid) && lora_is_aligned(s.side[1].mid);
}

/* Memory for n tiles' counts and the sums of n parts; false when there is none. The slot is nobody else's:
 * counts that were 0 stay 0. */
static bool scratch_get(struct sums_scratch *out, struct cuda *c, size_t n)
{
    enum { SLOT = 3 };
    size_t n_counts = (n + 3) / 4 * 4, n_bytes = n_counts * sizeof(int32_t) + n * VALUES * sizeof(float);
    bool is_new = c->n_scratch[SLOT] < n_bytes;
    out->n_done = (int32_t *)cuda_scratch(c, SLOT, n_bytes);
    if (!out->n_done)
        return false;
    out->part = reinterpret_cast<float *>(out->n_done + n_counts);
    return !is_new || cuda_check(c, cudaMemsetAsync(out->n_done, 0, n_counts * sizeof(int32_t), c->stream),
                                 "clearing the counts of an adapter's sums");
}

void cuda_lora_rank16_sums(struct cuda *c, const struct lora_sums<bf16> &s)
{
    int tiles = cuda_blocks((size_t)s.side[0].d, COLS) + cuda_blocks((size_t)s.side[1].d, COLS);
    int most = RESIDENT * c->n_processors, parts = most / (tiles * s.n_members);
    int parts_of_rows = cuda_blocks((size_t)s.most_rows, PART_ROWS);
    parts = parts < parts_of_rows ? parts : parts_of_rows;
    parts = parts < 1 ? 1 : parts;
    struct sums_scratch scratch = {};
    if (parts > 1 && !scratch_get(&scratch, c, (size_t)most))
        return;
    dim3 grid((unsigned)tiles, (unsigned)s.n_members, (unsigned)parts);
    CUDA_LAUNCH(c, grid, THREADS, WARPS * RANK * LD * sizeof(float), (lora_rank16_sums_kernel), s, scratch);
}
