/* models/cuda_attn_bf16_back.cu: attention of bf16 values on the tensor cores, backward.
 *
 * Equations: models/cuda_attn.cuh. Both kernels take the other side 64 rows at a time from shared memory, where
 * the next 64 and what belongs to them arrive meanwhile, and these in parts of 32 (16 for wide heads), so that
 * scores, their gradients and the results fit the registers together. p m and ds are rounded to bf16 for the
 * products that follow; D, sums and softmax are float32. D is taken from o as it was rounded, as usual: a
 * gradient that cancels to 0 in exact arithmetic, such as dq of a query with one key, is left with 2^-9 of its
 * terms. */
#include "models/cuda_attn_bf16.cuh"

/* Rows of a part, and its groups of eight, of which an accumulator holds one. */
template <int D> struct part_of {
    enum { ROWS = D <= 64 ? 32 : 16, GROUPS = ROWS / 8 };
};

/* --- dropout's bits, where forward had no room for them --- */

__global__ void __launch_bounds__(ATTN_THREADS) attn_bf16_keep_kernel(struct attn_plan p)
{
    cuda_begin();
    struct attn_tile t = p.q_tiles[(int)blockIdx.x / p.n_heads];
    int head = (int)blockIdx.x % p.n_heads, i = t.first + (int)threadIdx.x % ATTN_TILE;
    size_t row = (size_t)(t.q0 + i);
    if (i >= t.n_q)
        return;
    for (int key = (int)threadIdx.x / ATTN_TILE * 32; key < t.n_k; key += 64)
        attn_kept(p, t, head, key)[i] = attn_keep32(p.drop, p.drop.owner[row], p.drop.index[row], head, key);
}

/* --- dq --- */

/* What a lane knows of its rows g and g + 8: lse in units of log2, and D. */
struct dq_rows {
    float lse[2], delta[2];
};

/* D_i = do_i . o_i of a row, by two threads, neighbours, which both get it. All loads come first. */
template <int D>
__device__ static inline float delta_of(const struct attn_job<bf16> &job, size_t row, int head)
{
    const struct attn_plan &p = job.plan;
    int col = (int)threadIdx.x % 2 * 8;
    size_t from = row * p.ld_o + (size_t)head * (size_t)p.d + (size_t)col;
    uint4 x[D / 16], y[D / 16];
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
        x[i] = y[i] = make_uint4(0, 0, 0, 0);
        if (col + 16 * i < p.d) {
            x[i] = *reinterpret_cast<const uint4 *>(job.dout + from + 16 * i);
            y[i] = *reinterpret_cast<const uint4 *>(job.o + from + 16 * i);
        }
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
        const uint32_t a[4] = {x[i].x, x[i].y, x[i].z, x[i].w}, b[4] = {y[i].x, y[i].y, y[i].z, y[i].w};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            sum = fmaf(__uint_as_float(a[k] << 16), __uint_as_float(b[k] << 16), sum);
            sum = fmaf(__uint_as_float(a[k] & 0xffff0000u), __uint_as_float(b[k] & 0xffff0000u), sum);
        }
    }
    return sum + __shfl_xor_sync(0xffffffffu, sum, 1);
}

/* lse and D of the block's queries, to shared memory [ATTN_TILE][2] and to the plan. */
template <int D>
__device__ static inline void find_stat(float *stat, const struct attn_job<bf16> &job, const struct attn_tile &t,
                                        int head)
{
    const struct attn_plan &p = job.plan;
    int i = (int)threadIdx.x / 2, n = t.n_q - t.first;
    size_t row = (size_t)(t.q0 + t.first + (i < n ? i : 0));
    float lse = p.lse[row * (size_t)p.n_heads + (size_t)head], sum = delta_of<D>(job, row, head);
    float2 own = make_float2(i < n ? ATTN_LOG2E * lse : INFINITY, sum);
    if (threadIdx.x % 2 != 0)
        return;
    reinterpret_cast<float2 *>(stat)[i] = own;
    reinterpret_cast<float2 *>(attn_stat(p, t, t.first, head))[i] = own;
}

__device__ static inline struct dq_rows dq_rows_of(const float *stat)
{
    int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    struct dq_rows r;
    for (int h = 0; h < 2; h++) {
        r.lse[h] = stat[2 * (row + 8 * h)];
        r.delta[h] = stat[2 * (row + 8 * h) + 1];
    }
    return r;
}

/* s and dp of a part's keys, of which n_keys exist, become ds; bits: dropout's, from the part's first
 * key on; so is bias. */
template <int D, bool DROPS>
__device__ static inline void gradient_rows(float s[][4], const float dp[][4], const struct dq_rows &r,
                                            const float *bias, const uint32_t bits[2], int n_keys, float scale)
{
    enum { GROUPS = part_of<D>::GROUPS };
    int lane = (int)threadIdx.x % 32, col = lane % 4 * 2;
    int row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    const float *from = bias + (ATTN_TILE - 1) + col - row;
    const uint32_t kept[2] = {bits[0] >> col, bits[1] >> col};
#pragma unroll
    for (int n = 0; n < GROUPS; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            s[n][e] = cuda_exp2(
                fmaf(s[n][e], ATTN_LOG2E, from[8 * n + (e & 1) - e / 2 * 8] - r.lse[e / 2]));
    if (n_keys < part_of<D>::ROWS) {
#pragma unroll
        for (int n = 0; n < GROUPS; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (col + 8 * n + (e & 1) >= n_keys)
                    s[n][e] = 0;
    }
#pragma unroll
    for (int n = 0; n < GROUPS; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float d = !DROPS || kept[e / 2] & 1u << (8 * n + (e & 1)) ? dp[n][e] : 0.0f;
            s[n][e] *= fmaf(d, scale, -r.delta[e / 2]);
        }
    }
}

/* The warp's ds of a part, from key `first` of the tile on, for the gradient of the bias. */
template <int D> __device__ static inline void keep_gradient(float *ds, const float s[][4], int first)
{
    int lane = (int)threadIdx.x % 32;
    int row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    float *own = ds + row * (ATTN_TILE + 1) + first + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < part_of<D>::GROUPS; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            own[e / 2 * 8 * (ATTN_TILE + 1) + 8 * n + (e & 1)] = s[n][e];
}

/* Shared memory of the dq kernel: q, do, two places each for k and v; then float32: two of the bias, lse and D,
 * and for the bias's gradient ds, its sums by distance and by bucket. */
template <int D> struct dq_shared {
    enum { STAT = 2 * ATTN_SPAN, DS = STAT + 2 * ATTN_TILE, BY_DISTANCE = DS + ATTN_TILE * (ATTN_TILE + 1),
           SUMS = BY_DISTANCE + ATTN_SPAN };
    static size_t bytes(const struct attn_plan *p)
    {
        size_t n = p->partial ? (size_t)SUMS + (size_t)p->n_buckets : (size_t)DS;
        return 6 * attn_bf16<D>::SIZE * sizeof(bf16) + n * sizeof(float);
    }
};

/* One tile of keys in shared memory, and what belongs to it. */
struct dq_side {
    const bf16 *k, *v;
    const float *bias;
    uint32_t own;       /* of dropout's bits, the lane's word */
    int n_seen, n_keys; /* keys from the tile's first on that the warp looks at; that there are */
    float *ds;          /* where the tile's ds is wanted, or NULL */
};

/* The block's queries, then their do, in shared memory; the warp's rows of both. */
template <int D> struct dq_own {
    const bf16 *q;
    struct attn_held<D> held_q, held_do;
};

template <int D> __device__ static inline struct dq_own<D> dq_own_of(const bf16 *q)
{
    struct dq_own<D> own = {q, {}, {}};
    attn_hold<D>(own.held_q, q);
    attn_hold<D>(own.held_do, q + attn_bf16<D>::SIZE);
    return own;
}

/* dq += ds k for one tile of keys. */
template <int D, bool DROPS>
__device__ static inline void dq_tile(float dq[D / 8][4], const struct dq_rows &r, struct dq_own<D> &own,
                                      const struct dq_side &side, float scale)
{
    enum { ROWS = part_of<D>::ROWS, GROUPS = part_of<D>::GROUPS };
    uint32_t bits[2][2] = {};
    if (DROPS)
        attn_row_bits(bits, side.own);
#pragma unroll 1
    for (int part = 0; part < ATTN_TILE; part += ROWS) {
        if (part >= side.n_seen)
            break;
        float s[GROUPS][4], dp[GROUPS][4];
        attn_zero<GROUPS>(s);
        attn_zero<GROUPS>(dp);
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            attn_add_held<D, GROUPS>(s, own.held_q, own.q, side.k, part, step);
            attn_add_held<D, GROUPS>(dp, own.held_do, own.q + attn_bf16<D>::SIZE, side.v, part, step);
        }
        const uint32_t now[2] = {(part < 32 ? bits[0][0] : bits[0][1]) >> part % 32,
                                 (part < 32 ? bits[1][0] : bits[1][1]) >> part % 32};
        gradient_rows<D, DROPS>(s, dp, r, side.bias + part, now, side.n_keys - part, scale);
        if (side.ds)
            keep_gradient<D>(side.ds, s, part);
        uint32_t packed[ROWS / 16][4];
        attn_pack<ROWS / 16>(packed, s);
        attn_add_nn<D, ROWS / 16>(dq, packed, side.k, part);
    }
}

/* The lane's word of dropout's bits; 0 where there is nothing to keep. */
template <bool DROPS>
__device__ static inline uint32_t kept_word(const struct attn_plan &p, const struct attn_tile &t, int head,
                                            int key)
{
    const uint32_t *kept = DROPS ? attn_row_kept(p, t, head, key) : NULL;
    return kept ? *kept : 0u;
}

/* lse and D for the kernel that follows, and dq_i = sum_j ds_ij k_j. Warps without queries only help to copy. */
template <int D, bool DROPS>
__global__ void __launch_bounds__(ATTN_THREADS, D <= 64 ? 3 : 2) attn_bf16_dq_kernel(struct attn_job<bf16> job)
{
    cuda_begin();
    CUDA_SHARED(bf16, shared);
    enum { SIZE = attn_bf16<D>::SIZE };
    const struct attn_plan &p = job.plan;
    int block = (int)blockIdx.x, head = block % p.n_heads, warp = (int)threadIdx.x / 32;
    struct attn_tile t = p.q_tiles[block / p.n_heads];
    int n = t.n_q - t.first, n_seen = attn_keys_seen(p, t, t.first + (n < ATTN_TILE ? n : ATTN_TILE));
    size_t col = (size_t)head * (size_t)p.d, row = (size_t)(t.q0 + t.first);
    const bf16 *k = job.k + (size_t)t.k0 * p.ld_kv + col, *v = job.v + (size_t)t.k0 * p.ld_kv + col;
    float *other = reinterpret_cast<float *>(shared + 6 * SIZE), *bias = other, *sums = other + dq_shared<D>::SUMS;
    float *stat = other + dq_shared<D>::STAT, *ds = p.partial ? other + dq_shared<D>::DS : NULL;
    bool is_active = ds || warp * ATTN_WARP_ROWS < n;
    int n_warp = attn_keys_seen(p, t, t.first + (warp + 1) * ATTN_WARP_ROWS);
    attn_copy_tile<D>(shared, job.q + row * p.ld_q + col, p.ld_q, n, p.d);
    attn_copy_tile<D>(shared + SIZE, job.dout + row * p.ld_o + col, p.ld_o, n, p.d);
    cuda_copy_commit();
    attn_copy_tile<D>(shared + 2 * SIZE, k, p.ld_kv, t.n_k, p.d);
    attn_copy_tile<D>(shared + 4 * SIZE, v, p.ld_kv, t.n_k, p.d);
    cuda_copy_commit();
    struct attn_bias_ahead ahead = attn_bias_first(p, head, -t.pos - t.first, ATTN_TILE);
    uint32_t kept = kept_word<DROPS>(p, t, head, 0); /* of the tile of keys that comes next */
    find_stat<D>(stat, job, t, head);
    for (int i = (int)threadIdx.x; ds && i < p.n_buckets; i += ATTN_THREADS)
        sums[i] = 0;
    cuda_copy_wait<1>();
    __syncthreads();
    struct dq_rows r = dq_rows_of(stat);
    struct dq_own<D> own = dq_own_of<D>(shared);
    float dq[D / 8][4];
    attn_zero<D / 8>(dq);
    for (int key = 0, stage = 0; key < n_seen; key += ATTN_TILE, stage ^= 1) {
        int next = key + ATTN_TILE;
        struct dq_side side = {shared + (2 + stage) * SIZE, shared + (4 + stage) * SIZE,
                               bias + stage * ATTN_SPAN, kept, ds ? ATTN_TILE : n_warp - key, t.n_k - key, ds};
        bias[stage * ATTN_SPAN + (int)threadIdx.x] = ahead.own;
        cuda_copy_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (next < n_seen) {
            k += ATTN_TILE * p.ld_kv;
            v += ATTN_TILE * p.ld_kv;
            attn_copy_tile<D>(shared + (3 - stage) * SIZE, k, p.ld_kv, t.n_k - next, p.d);
            attn_copy_tile<D>(shared + (5 - stage) * SIZE, v, p.ld_kv, t.n_k - next, p.d);
            attn_bias_next(ahead, p, head, ATTN_TILE);
            kept = kept_word<DROPS>(p, t, head, next);
        }
        cuda_copy_commit();
        if (is_active)
            dq_tile<D, DROPS>(dq, r, own, side, p.drop.scale);
        if (!ds)
            continue;
        __syncthreads();
        attn_add_buckets(p, ds, ATTN_TILE + 1, key - t.pos - t.first, other + dq_shared<D>::BY_DISTANCE, sums);
    }
    cuda_copy_wait<0>();
    __syncthreads();
    if (is_active)
        attn_store<D>(job.dq + row * p.ld_q + col, p.ld_q, n, p.d, dq, 1, 1, shared);
    for (int i = (int)threadIdx.x; ds && i < p.n_buckets; i += ATTN_THREADS)
        p.partial[(size_t)block * (size_t)p.n_buckets + (size_t)i] = sums[i];
}

/* --- dk and dv --- */

/* One tile of queries in shared memory, beside q and do: statistics, dropout's bits, bias. */
struct query_side {
    float stat[ATTN_TILE][2];    /* lse in units of log2, and D */
    uint32_t keep[2][ATTN_TILE]; /* [w][i]: query i, keys 32 w .. of the block's 64 */
    float bias[ATTN_SPAN];       /* by key - query + 63 */
};

/* Begins to copy a tile's statistics and bits. */
template <bool DROPS>
__device__ static inline void copy_side(struct query_side *to, const struct attn_plan &p,
                                        const struct attn_tile &t, int head, int first)
{
    int i = (int)threadIdx.x % 32, half = i / 16, row = i % 16 * 4, key = t.first + 32 * half;
    if (threadIdx.x < 32) {
        cuda_copy16(to->stat[2 * i], attn_stat(p, t, first, head) + 4 * i, true);
    } else if (DROPS && threadIdx.x < 64) {
        bool is_there = key < t.n_k && first + row < t.n_q;
        cuda_copy16(to->keep[half] + row, is_there ? attn_kept(p, t, head, key) + first + row : p.keep, is_there);
    }
}

/* s and dp of the warp's 16 keys and a part's queries, from number i0 on, become p m (its scale comes in at the
 * end) and ds. */
template <int D, bool DROPS>
__device__ static inline void gradient_cols(float s[][4], float dp[][4], const struct query_side *side, int i0,
                                            float scale)
{
    int lane = (int)threadIdx.x % 32, key = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    int col = i0 + lane % 4 * 2;
    const float *bias = side->bias + (ATTN_TILE - 1) + key - col;
    uint32_t own = 1u << key % 32; /* of row g; g + 8 has the bit 8 places up */
#pragma unroll
    for (int n = 0; n < part_of<D>::GROUPS; n++) {
        float4 stat = *reinterpret_cast<const float4 *>(side->stat[col + 8 * n]); /* of two queries */
        uint2 keep = make_uint2(0, 0);
        if (DROPS)
            keep = *reinterpret_cast<const uint2 *>(side->keep[key / 32] + col + 8 * n);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int h = e / 2, at = 8 * n + (e & 1);
            float lse = e & 1 ? stat.z : stat.x, delta = e & 1 ? stat.w : stat.y;
            float p = cuda_exp2(fmaf(s[n][e], ATTN_LOG2E, bias[8 * h - at] - lse));
            bool is_kept = !DROPS || (e & 1 ? keep.y : keep.x) & own << (8 * h);
            s[n][e] = is_kept ? p : 0.0f;
            dp[n][e] = p * fmaf(is_kept ? dp[n][e] : 0.0f, scale, -delta);
        }
    }
}

/* The block's keys, then their v, in shared memory; the warp's keys, held (v as well would spill). */
template <int D> struct dkv_own {
    const bf16 *k;
    struct attn_held<D> held_k;
};

/* dv += (p m)^T do, dk += ds^T q for the queries before n of a tile, then their do; the warp's keys are seen from
 * number `first` on. */
template <int D, bool DROPS>
__device__ static inline void dkv_tile(float dk[D / 8][4], float dv[D / 8][4], struct dkv_own<D> &own,
                                       const bf16 *q, const bf16 *dout, const struct query_side *side, int n,
                                       int first, float scale)
{
    enum { ROWS = part_of<D>::ROWS, GROUPS = part_of<D>::GROUPS };
#pragma unroll
    for (int part = 0; part < ATTN_TILE; part += ROWS) {
        if (part >= n || part + ROWS <= first)
            continue;
        float s[GROUPS][4], dp[GROUPS][4];
        attn_zero<GROUPS>(s);
        attn_zero<GROUPS>(dp);
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            attn_add_held<D, GROUPS>(s, own.held_k, own.k, q, part, step);
            uint32_t left[4];
            attn_left<D>(left, own.k + attn_bf16<D>::SIZE, step);
            attn_add_nt<D, GROUPS>(dp, left, dout, part, step);
        }
        gradient_cols<D, DROPS>(s, dp, side, part, scale);
        uint32_t packed[ROWS / 16][4];
        attn_pack<ROWS / 16>(packed, s);
        attn_add_nn<D, ROWS / 16>(dv, packed, dout, part);
        attn_pack<ROWS / 16>(packed, dp);
        attn_add_nn<D, ROWS / 16>(dk, packed, q, part);
    }
}

/* Shared memory: k, v, two places each for q and do, and for their sides. */
template <int D> static size_t dkv_bytes(void)
{
    return 6 * attn_bf16<D>::SIZE * sizeof(bf16) + 2 * sizeof(struct query_side);
}

/* dv_j = sum_i p_ij m_ij do_i and dk_j = sum_i ds_ij q_i, from transposed scores: rows are keys. Warps without
 * keys only help to copy. */
template <int D, bool DROPS>
__global__ void __launch_bounds__(ATTN_THREADS, D <= 64 ? 3 : 2) attn_bf16_dkv_kernel(struct attn_job<bf16> job)
{
    cuda_begin();
    CUDA_SHARED(bf16, shared);
    enum { SIZE = attn_bf16<D>::SIZE };
    const struct attn_plan &p = job.plan;
    struct attn_tile t = p.k_tiles[(int)blockIdx.x / p.n_heads];
    int head = (int)blockIdx.x % p.n_heads, n = t.n_k - t.first, warp = (int)threadIdx.x / 32;
    int first = attn_first_query(p, t);
    bool is_active = warp * ATTN_WARP_ROWS < n;
    size_t col = (size_t)head * (size_t)p.d, row = (size_t)(t.k0 + t.first);
    size_t first_row = (size_t)(t.q0 + first);
    const bf16 *q = job.q + first_row * p.ld_q + col, *dout = job.dout + first_row * p.ld_o + col;
    struct query_side *side = reinterpret_cast<struct query_side *>(shared + 6 * SIZE);
    struct attn_bias_ahead ahead = {0, 0, 0};
    struct dkv_own<D> own = {shared, {}};
    float dk[D / 8][4], dv[D / 8][4];
    attn_zero<D / 8>(dk);
    attn_zero<D / 8>(dv);
    if (first < t.n_q) {
        attn_copy_tile<D>(shared, job.k + row * p.ld_kv + col, p.ld_kv, n, p.d);
        attn_copy_tile<D>(shared + SIZE, job.v + row * p.ld_kv + col, p.ld_kv, n, p.d);
        cuda_copy_commit();
        attn_copy_tile<D>(shared + 2 * SIZE, q, p.ld_q, t.n_q - first, p.d);
        attn_copy_tile<D>(shared + 4 * SIZE, dout, p.ld_o, t.n_q - first, p.d);
        copy_side<DROPS>(side, p, t, head, first);
        cuda_copy_commit();
        ahead = attn_bias_first(p, head, t.first - t.pos - first, -ATTN_TILE);
        cuda_copy_wait<1>();
        __syncthreads();
        attn_hold<D>(own.held_k, shared);
    }
    for (int stage = 0; first < t.n_q; first += ATTN_TILE, stage ^= 1) {
        int next = first + ATTN_TILE;
        side[stage].bias[threadIdx.x] = ahead.own;
        cuda_copy_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (next < t.n_q) {
            q += ATTN_TILE * p.ld_q;
            dout += ATTN_TILE * p.ld_o;
            attn_copy_tile<D>(shared + (3 - stage) * SIZE, q, p.ld_q, t.n_q - next, p.d);
            attn_copy_tile<D>(shared + (5 - stage) * SIZE, dout, p.ld_o, t.n_q - next, p.d);
            copy_side<DROPS>(side + (stage ^ 1), p, t, head, next);
            attn_bias_next(ahead, p, head, -ATTN_TILE);
        }
        cuda_copy_commit();
        int seen_from = p.is_causal ? t.first + warp * ATTN_WARP_ROWS - t.pos - first : 0;
        if (is_active)
            dkv_tile<D, DROPS>(dk, dv, own, shared + (2 + stage) * SIZE, shared + (4 + stage) * SIZE, side + stage,
                               t.n_q - first, seen_from, p.drop.scale);
    }
    if (!is_active)
        return;
    attn_store<D>(job.dv + row * p.ld_kv + col, p.ld_kv, n, p.d, dv, p.drop.scale, p.drop.scale,
                  shared + SIZE); /* v, of which a warp reads its own rows only */
    attn_store<D>(job.dk + row * p.ld_kv + col, p.ld_kv, n, p.d, dk, 1, 1, shared + SIZE);
}

template <int D> static void backward_wide(struct cuda *c, const struct attn_job<bf16> &job)
{
    const struct attn_plan *p = &job.plan;
    int q_blocks = p->n_q_tiles * p->n_heads, k_blocks = p->n_k_tiles * p->n_heads;
    size_t q_bytes = dq_shared<D>::bytes(p), k_bytes = dkv_bytes<D>();
    bool drops = p->drop.threshold != 0;
    if (q_blocks > 0 && drops)
        CUDA_LAUNCH(c, q_blocks, ATTN_THREADS, q_bytes, (attn_bf16_dq_kernel<D, true>), job);
    else if (q_blocks > 0)
        CUDA_LAUNCH(c, q_blocks, ATTN_THREADS, q_bytes, (attn_bf16_dq_kernel<D, false>), job);
    if (k_blocks > 0 && drops)
        CUDA_LAUNCH(c, k_blocks, ATTN_THREADS, k_bytes, (attn_bf16_dkv_kernel<D, true>), job);
    else if (k_blocks > 0)
        CUDA_LAUNCH(c, k_blocks, ATTN_THREADS, k_bytes, (attn_bf16_dkv_kernel<D, false>), job);
}

template <> void cuda_attn<bf16>::backward(struct backend *b, const struct attn_args *a)
{
    struct cuda *c = cuda_of(b);
    struct attn_job<bf16> job;
    if (!attn_fits_bf16(c, a) || !attn_job_of(c, a, true, &job))
        return;
    if (job.plan.makes_keep && job.plan.n_q_tiles > 0)
        CUDA_LAUNCH(c, job.plan.n_q_tiles * a->n_heads, ATTN_THREADS, 0, attn_bf16_keep_kernel, job.plan);
    if (a->d_kv <= 32)
        backward_wide<32>(c, job);
    else if (a->d_kv <= 64)
        backward_wide<64>(c, job);
    else
        backward_wide<128>(c, job);
    if (job.plan.n_q_tiles > 0)
        cuda_attn_dbias(c, a, &job.plan);
}
