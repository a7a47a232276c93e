/* models/cuda_attn_bf16.cu: attention of bf16 values on the tensor cores, forward.
 *
 * After Dao, "FlashAttention-2: faster attention with better parallelism and work partitioning", 2023: a block
 * keeps 64 queries in registers and goes through the keys 64 at a time, with the maximum and the sum of each
 * row's softmax as they grow. Scores are in units of log2: p = 2^(s log2(e) + b log2(e) - m). Products and the
 * softmax add up in float32; probabilities are rounded to bf16 for the product with v alone. */
#include "models/cuda_attn_bf16.cuh"

/* A warp's rows, of which a lane has g and g + 8: running maximum, the lane's part of the sum. */
struct top_sum {
    float top[2], sum[2];
};

/* Scores of 8 N keys to probabilities relative to the new maximum; scale takes what was added up so far to it.
 * Every row sees key 0, so that the maximum is a number from the first tile on. n_keys: those
 * that there are, from the tile's first on. */
template <int N, bool HAS_BIAS>
__device__ static inline void softmax_tile(float s[N][4], struct top_sum &r, float scale[2], const float *bias,
                                           int n_keys)
{
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int col = lane % 4 * 2, row = warp * ATTN_WARP_ROWS + lane / 4;
    const float *from = bias + (ATTN_TILE - 1) + col - row;
    float top[2] = {r.top[0], r.top[1]};
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int h = e / 2, at = 8 * n + (e & 1);
            s[n][e] = HAS_BIAS ? fmaf(s[n][e], ATTN_LOG2E, from[at - 8 * h]) : s[n][e] * ATTN_LOG2E;
        }
    }
    if (n_keys < 8 * N) {
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (col + 8 * n + (e & 1) >= n_keys)
                    s[n][e] = -INFINITY;
    }
#pragma unroll
    for (int n = 0; n < N; n++) {
        top[0] = fmaxf(top[0], fmaxf(s[n][0], s[n][1]));
        top[1] = fmaxf(top[1], fmaxf(s[n][2], s[n][3]));
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 1));
        top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 2));
        scale[h] = cuda_exp2(r.top[h] - top[h]);
        r.top[h] = top[h];
        r.sum[h] *= scale[h];
    }
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s[n][e] = cuda_exp2(s[n][e] - top[e / 2]);
            r.sum[e / 2] += s[n][e];
        }
    }
}

/* p = 0 where dropout drops; the scale comes in at the end */
template <int N> __device__ static inline void drop_tile(float s[N][4], const uint32_t bits[2][2])
{
    int col = (int)threadIdx.x % 4 * 2;
    const uint32_t own[2][2] = {{bits[0][0] >> col, bits[0][1] >> col}, {bits[1][0] >> col, bits[1][1] >> col}};
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (!(own[e / 2][n / 4] & 1u << (8 * (n % 4) + (e & 1))))
                s[n][e] = 0;
}

/* Makes the bits of a tile of keys, and keeps them for backward where there is room. */
__device__ static inline void make_bits(uint32_t bits[2][2], const struct attn_plan &p, const struct attn_tile &t,
                                        const struct attn_row_keep &k, int head, int key)
{
    uint32_t own = attn_row_make(p, k, head, key), *kept = attn_row_kept(p, t, head, key);
    if (kept)
        *kept = own;
    attn_row_bits(bits, own);
}

/* A tile of keys in shared memory, and what belongs to it. */
struct key_tile {
    const bf16 *k, *v;
    const float *bias;
    uint32_t bits[2][2]; /* dropout's, of rows g and g + 8 */
    int n;               /* keys from its first on, or more than a tile */
};

/* o += p v for the first 8 N keys of a tile. q: the block's queries. */
template <int D, int N, bool DROPS, bool HAS_BIAS>
__device__ static inline void forward_tile(float o[D / 8][4], struct top_sum &r, const bf16 *q,
                                           const struct key_tile &side)
{
    float s[N][4], scale[2];
    uint32_t packed[N / 2][4];
    attn_zero<N>(s);
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
        uint32_t left[4];
        attn_left<D>(left, q, step);
        attn_add_nt<D, N>(s, left, side.k, 0, step);
    }
    softmax_tile<N, HAS_BIAS>(s, r, scale, side.bias, side.n);
    if (DROPS)
        drop_tile<N>(s, side.bits);
#pragma unroll
    for (int i = 0; i < D / 8; i++) {
        o[i][0] *= scale[0];
        o[i][1] *= scale[0];
        o[i][2] *= scale[1];
        o[i][3] *= scale[1];
    }
    attn_pack<N / 2>(packed, s);
    attn_add_nn<D, N / 2>(o, packed, side.v, 0);
}

/* Divides by the sums and writes o and lse. */
template <int D>
__device__ static inline void forward_end(const struct attn_job<bf16> &job, const struct attn_tile &t, int head,
                                          const float o[D / 8][4], struct top_sum &r, bf16 *tile)
{
    const struct attn_plan &p = job.plan;
    int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    size_t first = (size_t)(t.q0 + t.first);
    float scale[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float sum = r.sum[h];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        scale[h] = sum > 0 ? p.drop.scale / sum : 0.0f;
        if (lane % 4 == 0 && t.first + row + 8 * h < t.n_q)
            p.lse[(first + (size_t)(row + 8 * h)) * (size_t)p.n_heads + (size_t)head] =
                sum > 0 ? r.top[h] * ATTN_LN2 + logf(sum) : -1e30f;
    }
    attn_store<D>(job.o + first * p.ld_o + (size_t)head * (size_t)p.d, p.ld_o, t.n_q - t.first, p.d, o,
                  scale[0], scale[1], tile);
}

/* Shared memory: q, then two places each for k, v and the bias. */
template <int D> static size_t forward_bytes(void)
{
    return 5 * attn_bf16<D>::SIZE * sizeof(bf16) + 2 * ATTN_SPAN * sizeof(float);
}

/* o_i = sum_j m_ij p_ij v_j. HAS_BIAS: or what is ahead is not seen. Warps without queries only help to copy. */
template <int D, bool DROPS, bool HAS_BIAS>
__global__ void __launch_bounds__(ATTN_THREADS, D > 64 ? 2 : HAS_BIAS ? 4 : 3)
    attn_bf16_kernel(struct attn_job<bf16> job)
{
    cuda_begin();
    CUDA_SHARED(bf16, shared);
    enum { SIZE = attn_bf16<D>::SIZE };
    const struct attn_plan &p = job.plan;
    struct attn_tile t = p.q_tiles[(int)blockIdx.x / p.n_heads];
    int head = (int)blockIdx.x % p.n_heads, n = t.n_q - t.first, warp = (int)threadIdx.x / 32;
    int n_seen = attn_keys_seen(p, t, t.first + (n < ATTN_TILE ? n : ATTN_TILE));
    bool is_active = warp * ATTN_WARP_ROWS < n;
    int n_warp = is_active ? attn_keys_seen(p, t, t.first + (warp + 1) * ATTN_WARP_ROWS) : 0;
    size_t col = (size_t)head * (size_t)p.d;
    const bf16 *k = job.k + (size_t)t.k0 * p.ld_kv + col, *v = job.v + (size_t)t.k0 * p.ld_kv + col;
    float *bias = reinterpret_cast<float *>(shared + 5 * SIZE);
    struct top_sum r = {{-INFINITY, -INFINITY}, {0, 0}};
    struct attn_bias_ahead ahead = {0, 0, 0};
    struct attn_row_keep keep = {0, 0};
    float o[D / 8][4];
    attn_zero<D / 8>(o);
    if (DROPS)
        keep = attn_row_keep_of(p, t.q0 + t.first, n);
    attn_copy_tile<D>(shared, job.q + (size_t)(t.q0 + t.first) * p.ld_q + col, p.ld_q, n, p.d);
    attn_copy_tile<D>(shared + SIZE, k, p.ld_kv, t.n_k, p.d);
    attn_copy_tile<D>(shared + 3 * SIZE, v, p.ld_kv, t.n_k, p.d);
    cuda_copy_commit();
    if (HAS_BIAS)
        ahead = attn_bias_first(p, head, -t.pos - t.first, ATTN_TILE);
    for (int key = 0, stage = 0; key < n_seen; key += ATTN_TILE, stage ^= 1) {
        int next = key + ATTN_TILE;
        if (HAS_BIAS)
            bias[stage * ATTN_SPAN + (int)threadIdx.x] = ahead.own;
        cuda_copy_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (next < n_seen) {
            k += ATTN_TILE * p.ld_kv;
            v += ATTN_TILE * p.ld_kv;
            attn_copy_tile<D>(shared + (2 - stage) * SIZE, k, p.ld_kv, t.n_k - next, p.d);
            attn_copy_tile<D>(shared + (4 - stage) * SIZE, v, p.ld_kv, t.n_k - next, p.d);
        }
        cuda_copy_commit();
        if (HAS_BIAS)
            attn_bias_next(ahead, p, head, ATTN_TILE);
        if (key >= n_warp)
            continue;
        struct key_tile side = {shared + (1 + stage) * SIZE, shared + (3 + stage) * SIZE,
                                bias + stage * ATTN_SPAN, {}, t.n_k - key};
        if (DROPS)
            make_bits(side.bits, p, t, keep, head, key);
        if (n_warp - key > ATTN_TILE / 2)
            forward_tile<D, 8, DROPS, HAS_BIAS>(o, r, shared, side);
        else
            forward_tile<D, 4, DROPS, HAS_BIAS>(o, r, shared, side);
    }
    if (n_seen <= 0) { /* q is still under way to where o passes */
        cuda_copy_wait<0>();
        __syncthreads();
    }
    if (is_active)
        forward_end<D>(job, t, head, o, r, shared);
}

template <int D> static void forward_wide(struct cuda *c, const struct attn_job<bf16> &job)
{
    int blocks = job.plan.n_q_tiles * job.plan.n_heads;
    size_t n_bytes = forward_bytes<D>();
    bool drops = job.plan.drop.threshold != 0, has_bias = job.plan.bias || job.plan.is_causal;
    if (drops && has_bias)
        CUDA_LAUNCH(c, blocks, ATTN_THREADS, n_bytes, (attn_bf16_kernel<D, true, true>), job);
    else if (drops)
        CUDA_LAUNCH(c, blocks, ATTN_THREADS, n_bytes, (attn_bf16_kernel<D, true, false>), job);
    else if (has_bias)
        CUDA_LAUNCH(c, blocks, ATTN_THREADS, n_bytes, (attn_bf16_kernel<D, false, true>), job);
    else
        CUDA_LAUNCH(c, blocks, ATTN_THREADS, n_bytes, (attn_bf16_kernel<D, false, false>), job);
}

template <> void cuda_attn<bf16>::forward(struct backend *b, const struct attn_args *a)
{
    struct cuda *c = cuda_of(b);
    struct attn_job<bf16> job;
    if (!attn_fits_bf16(c, a) || !attn_job_of(c, a, false, &job))
        return;
    cuda_attn_one(c, &job);
    if (job.plan.n_q_tiles == 0)
        return;
    if (a->d_kv <= 32)
        forward_wide<32>(c, job);
    else if (a->d_kv <= 64)
        forward_wide<64>(c, job);
    else
        forward_wide<128>(c, job);
}
