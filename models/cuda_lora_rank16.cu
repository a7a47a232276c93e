/* models/cuda_lora_rank16.cu: the pass of bf16 adapters of rank 16.
 *
 * A warp has 16 rows and some of the columns, first of in, then of out. Both matrices of the adapter go from
 * memory to its registers as they lie there, as float32: warps of a block that ask for the same find it in
 * the first cache. Warps meet once, when each has added up its part of mid.
 *
 * As in cuda_lora_bf16.cu, a lane has columns 8q .. 8q+7 of blocks of 32 of its rows g and g+8. Ranks and
 * columns are numbered so that loads are wide and mid stays where it is (tile t, column j, g, q as in
 * cuda_mma.cuh):
 *   mid, as it is added up: column j of tile t is rank 2j + t, so a lane gets ranks 4q .. 4q+3 of its rows
 *   mid, as a factor:       a lane's k = 2q 2q+1 2q+8 2q+9 are ranks 4q .. 4q+3
 *   out:                    columns 2q 2q+1 of tiles 0 .. 3 are columns 8q .. 8q+7, in an order that depends
 *                           on how Q lies (rank16_column)
 * IS_BACK: P is B and Q is A, the mask is out's; else P is A and Q is B, the mask is in's. */
#include "models/cuda_lora_bf16.cuh"

enum { RANK = 16, BLOCK = 32, IN_AHEAD = 3, OUT_AHEAD = 2 };

/* GROUPS of 16 rows to a block, PARTS warps to a group. */
enum { TALL_GROUPS = 2, TALL_PARTS = 4, FLAT_GROUPS = 1, FLAT_PARTS = 8 };

struct rank16_warp {
    int group, part, g, q;
    size_t at; /* row g of the group, and 8 further */
    bool is_row[2];
    uint32_t owner[2], index[2];
};

template <int GROUPS>
__device__ static inline struct rank16_warp rank16_place(const struct lora_tile &tile,
                                                         const struct cuda_drop &drop)
{
    struct rank16_warp w;
    int lane = (int)threadIdx.x % 32;
    w.group = (int)threadIdx.x / 32 % GROUPS;
    w.part = (int)threadIdx.x / 32 / GROUPS;
    w.g = lane / 4;
    w.q = lane % 4;
    w.at = (size_t)(tile.from + 16 * w.group + w.g);
#pragma unroll
    for (int i = 0; i < 2; i++) {
        w.is_row[i] = 16 * w.group + w.g + 8 * i < tile.n;
        w.owner[i] = drop.threshold && w.is_row[i] ? drop.owner[w.at + 8 * i] : 0;
        w.index[i] = drop.threshold && w.is_row[i] ? drop.index[w.at + 8 * i] : 0;
    }
    return w;
}

/* The lane's columns of a block, none beyond block `to` and column d; at names those of block 0 in row g. */
__device__ static inline void rank16_load(uint4 v[2], const bf16 *at, size_t ld, const struct rank16_warp &w,
                                          int block, int to, int d)
{
    bool is_col = block < to && block * BLOCK + 8 * w.q < d;
#pragma unroll
    for (int i = 0; i < 2; i++)
        v[i] = lora_load(at + 8 * i * ld + block * BLOCK, w.is_row[i] && is_col);
}

/* Tile t of P for a block: of rank 2g + t, columns 8q .. 8q+7. at names the lane's first value. */
template <bool IS_BACK>
__device__ static inline void rank16_load_p(uint4 p[2], const float *at, int d, bool is_there)
{
    float8 v[2] = {};
    if (is_there && IS_BACK)
#pragma unroll
        for (int j = 0; j < 8; j++) {
            float2 x = *reinterpret_cast<const float2 *>(at + RANK * j);
            v[0].v[j] = x.x;
            v[1].v[j] = x.y;
        }
    if (is_there && !IS_BACK)
#pragma unroll
        for (int t = 0; t < 2; t++) {
            const float4 *from = reinterpret_cast<const float4 *>(at + (size_t)t * (size_t)d);
            float4 a = from[0], b = from[1];
            v[t] = {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
        }
    p[0] = lora_pack(v[0]);
    p[1] = lora_pack(v[1]);
}

/* acc += (mask * in) P^T for one block. */
__device__ static inline void rank16_mid_block(float acc[2][4], const uint4 x[2], const uint4 p[2])
{
    const uint32_t low[4] = {x[0].x, x[1].x, x[0].y, x[1].y};
    const uint32_t high[4] = {x[0].z, x[1].z, x[0].w, x[1].w};
#pragma unroll
    for (int t = 0; t < 2; t++) {
        const uint32_t p_low[2] = {p[t].x, p[t].y}, p_high[2] = {p[t].z, p[t].w};
        cuda_mma(acc[t], low, p_low);
        cuda_mma(acc[t], high, p_high);
    }
}

/* The part's share of mid, unscaled. */
template <bool IS_BACK, int PARTS>
__device__ static inline void rank16_mid_part(float acc[2][4], const struct lora_pass<bf16> &p,
                                              const struct rank16_warp &w, int member)
{
    enum { STEP = IS_BACK ? RANK * BLOCK : BLOCK };
    int n_blocks = (p.d_in + BLOCK - 1) / BLOCK;
    int from = n_blocks * w.part / PARTS, to = n_blocks * (w.part + 1) / PARTS;
    const bf16 *in = p.in + w.at * p.ld_in + 8 * w.q;
    const float *at = p.p.at + (size_t)member * p.stride +
                      (IS_BACK ? 8 * w.q * RANK + 2 * w.g : 2 * w.g * p.d_in + 8 * w.q);
    uint4 x[IN_AHEAD][2];
#pragma unroll
    for (int u = 0; u < IN_AHEAD; u++)
        rank16_load(x[u], in, p.ld_in, w, from + u, to, p.d_in);
    for (int first = from; first < to; first += IN_AHEAD)
#pragma unroll
        for (int u = 0; u < IN_AHEAD; u++) {
            int block = first + u, col = block * BLOCK + 8 * w.q;
            uint4 fragment[2];
            if (block >= to)
                continue;
            rank16_load_p<IS_BACK>(fragment, at + (size_t)block * STEP, p.d_in, col < p.d_in);
            if (!IS_BACK && p.drop_in.threshold)
#pragma unroll
                for (int i = 0; i < 2; i++)
                    x[u][i] =
                        lora_and(x[u][i], lora_keep(p.drop_in, w.owner[i], w.index[i], (uint32_t)col / 8));
            rank16_mid_block(acc, x[u], fragment);
            rank16_load(x[u], in, p.ld_in, w, block + IN_AHEAD, to, p.d_in);
        }
}

/* Adds the parts in their order, writes mid, and gives each warp its rows' as a factor. */
template <int GROUPS, int PARTS>
__device__ static inline void rank16_mid_finish(uint32_t factor[4], const float acc[2][4],
                                                const struct lora_pass<bf16> &p, const struct rank16_warp &w,
                                                float4 *sums)
{
    float4 *own = sums + (w.group * RANK + w.g) * (RANK / 4) + w.q;
#pragma unroll
    for (int i = 0; i < 2; i++)
        own[(w.part * GROUPS * RANK + 8 * i) * (RANK / 4)] =
            make_float4(acc[0][2 * i], acc[1][2 * i], acc[0][2 * i + 1], acc[1][2 * i + 1]);
    __syncthreads();
    float scale = p.mid_scale * p.drop_in.scale;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float4 sum = {};
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            float4 s = own[(part * GROUPS * RANK + 8 * i) * (RANK / 4)];
            sum = make_float4(sum.x + s.x, sum.y + s.y, sum.z + s.z, sum.w + s.w);
        }
        sum = make_float4(scale * sum.x, scale * sum.y, scale * sum.z, scale * sum.w);
        if (w.part == 0 && w.is_row[i])
            reinterpret_cast<float4 *>(p.mid)[(w.at + 8 * i) * (RANK / 4) + (size_t)w.q] = sum;
        factor[i] = cuda_mma_pack(sum.x, sum.y);
        factor[2 + i] = cuda_mma_pack(sum.z, sum.w);
    }
}

/* Which of a lane's eight columns is column 2q + e of tile t. */
template <bool IS_BACK> __device__ static inline constexpr int rank16_column(int t, int e)
{
    return IS_BACK ? 4 * e + t : 2 * t + e;
}

/* The values of Q that a lane multiplies: ranks 4q .. 4q+3 of its column of each tile. */
template <bool IS_BACK>
__device__ static inline void rank16_load_q(uint32_t f[4][2], const float *at, int d, bool is_there)
{
    float4 v[4] = {};
    if (is_there)
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = *reinterpret_cast<const float4 *>(at + (IS_BACK ? (size_t)i * (size_t)d : i * 2 * RANK));
    const float x[4][4] = {{v[0].x, v[0].y, v[0].z, v[0].w},
                           {v[1].x, v[1].y, v[1].z, v[1].w},
                           {v[2].x, v[2].y, v[2].z, v[2].w},
                           {v[3].x, v[3].y, v[3].z, v[3].w}};
#pragma unroll
    for (int t = 0; t < 4; t++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            f[t][half] = IS_BACK ? cuda_mma_pack(x[2 * half][t], x[2 * half + 1][t])
                                 : cuda_mma_pack(x[t][2 * half], x[t][2 * half + 1]);
}

/* Row i of a block: out += scale * mask * acc. */
template <bool IS_BACK>
__device__ static inline void rank16_store(const float acc[4][4], uint4 y, const struct lora_pass<bf16> &p,
                                           const struct rank16_warp &w, int i, int col)
{
    uint4 keep = make_uint4(~0u, ~0u, ~0u, ~0u);
    if (IS_BACK && p.drop_out.threshold)
        keep = lora_keep(p.drop_out, w.owner[i], w.index[i], (uint32_t)col / 8);
    float scale = p.out_scale * p.drop_out.scale, x[8];
    const uint32_t was[4] = {y.x, y.y, y.z, y.w}, kept[4] = {keep.x, keep.y, keep.z, keep.w};
    uint32_t now[4], bits = 0;
#pragma unroll
    for (int t = 0; t < 4; t++) {
        x[rank16_column<IS_BACK>(t, 0)] = acc[t][2 * i];
        x[rank16_column<IS_BACK>(t, 1)] = acc[t][2 * i + 1];
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float low = kept[j] & 0xffffu ? scale * x[2 * j] : 0.0f;
        float high = kept[j] >> 16 ? scale * x[2 * j + 1] : 0.0f;
        now[j] =
            cuda_mma_pack(__uint_as_float(was[j] << 16) + low, __uint_as_float(was[j] & 0xffff0000u) + high);
        bits |= (kept[j] & 1u) << 2 * j | kept[j] >> 31 << (2 * j + 1);
    }
    if (!w.is_row[i] || col >= p.d_out)
        return;
    *reinterpret_cast<uint4 *>(p.out + (w.at + 8 * i) * p.ld_out + col) =
        make_uint4(now[0], now[1], now[2], now[3]);
    if (IS_BACK && p.kept_out)
        p.kept_out[(w.at + 8 * i) * (size_t)(p.d_out / 8) + (size_t)(col / 8)] = (uint8_t)bits;
}

/* Of tall tiles a multiprocessor should hold three blocks. */
template <bool IS_BACK, int GROUPS, int PARTS>
__global__ __launch_bounds__(32 * GROUPS * PARTS,
                             GROUPS == TALL_GROUPS ? 3 : 2) void lora_rank16_kernel(struct lora_pass<bf16> p)
{
    cuda_begin();
    enum { STEP = IS_BACK ? BLOCK : RANK * BLOCK };
    CUDA_SHARED(float4, sums);
    struct lora_tile tile = p.tile[blockIdx.x];
    struct rank16_warp w = rank16_place<GROUPS>(tile, IS_BACK ? p.drop_out : p.drop_in);
    float mid[2][4] = {};
    uint32_t factor[4];
    rank16_mid_part<IS_BACK, PARTS>(mid, p, w, tile.member);
    int n_blocks = p.out ? (p.d_out + BLOCK - 1) / BLOCK : 0;
    int from = n_blocks * w.part / PARTS, to = n_blocks * (w.part + 1) / PARTS;
    const bf16 *out = p.out + w.at * p.ld_out + 8 * w.q;
    const float *at = p.q.at + (size_t)tile.member * p.stride +
                      (IS_BACK ? 4 * w.q * p.d_out + 4 * w.g : (w.g / 2 * 8 + w.g % 2) * RANK + 4 * w.q);
    uint4 y[OUT_AHEAD][2];
#pragma unroll
    for (int u = 0; u < OUT_AHEAD; u++)
        rank16_load(y[u], out, p.ld_out, w, from + u, to, p.d_out);
    rank16_mid_finish<GROUPS, PARTS>(factor, mid, p, w, sums);
    for (int first = from; first < to; first += OUT_AHEAD)
#pragma unroll
        for (int u = 0; u < OUT_AHEAD; u++) {
            int block = first + u, col = block * BLOCK;
            uint32_t q[4][2];
            float acc[4][4] = {};
            if (block >= to)
                continue;
            rank16_load_q<IS_BACK>(q, at + (size_t)block * STEP, p.d_out, col + w.g / 2 * 8 < p.d_out);
#pragma unroll
            for (int t = 0; t < 4; t++)
                cuda_mma(acc[t], factor, q[t]);
            rank16_store<IS_BACK>(acc, y[u][0], p, w, 0, col + 8 * w.q);
            rank16_store<IS_BACK>(acc, y[u][1], p, w, 1, col + 8 * w.q);
            rank16_load(y[u], out, p.ld_out, w, block + OUT_AHEAD, to, p.d_out);
        }
}

/* --- launching --- */

bool cuda_lora_is_rank16(const struct lora_pass<bf16> &p)
{
    return p.rank == RANK && p.stride % 4 == 0 && lora_is_aligned(p.p.at) && lora_is_aligned(p.q.at) &&
           lora_is_aligned(p.mid);
}

/* Tall tiles read an adapter less often; flat ones are for so few rows that some multiprocessors had none. */
int cuda_lora_rank16_rows(const struct cuda *c, int n)
{
    return 16 * (n >= 64 * c->n_processors ? TALL_GROUPS : FLAT_GROUPS);
}

template <bool IS_BACK, int GROUPS, int PARTS>
static void rank16_launch(struct cuda *c, const struct lora_pass<bf16> &p)
{
    size_t shared = (size_t)(GROUPS * PARTS * RANK * RANK) * sizeof(float);
    CUDA_LAUNCH(c, p.n_tiles, 32 * GROUPS * PARTS, shared, (lora_rank16_kernel<IS_BACK, GROUPS, PARTS>), p);
}

void cuda_lora_rank16_pass(struct cuda *c, const struct lora_pass<bf16> &p)
{
    bool is_back = p.p.by_rank == 1, is_tall = p.tile_rows == 16 * TALL_GROUPS;
    if (is_back && is_tall)
        rank16_launch<true, TALL_GROUPS, TALL_PARTS>(c, p);
    else if (is_back)
        rank16_launch<true, FLAT_GROUPS, FLAT_PARTS>(c, p);
    else if (is_tall)
        rank16_launch<false, TALL_GROUPS, TALL_PARTS>(c, p);
    else
        rank16_launch<false, FLAT_GROUPS, FLAT_PARTS>(c, p);
}
