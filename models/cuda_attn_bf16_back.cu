/* models/cuda_attn_bf16_back.cu: attention of bf16 values on the tensor cores, backward.
 *
 * Equations: models/cuda_attn.cuh. Both kernels take the other side 64 rows at a time from shared memory and
 * these in parts of 32 (16 for wide heads), so that scores, their gradients and the results fit the registers
 * together. The kernel of dk and dv can give dq as well, see cuda_attn.cuh. p m and ds are rounded to bf16 for
 * the products that follow; D, sums and softmax are float32. D is taken from o as it was
 * rounded, as usual: a gradient that cancels to 0 in exact arithmetic, such as dq of a query with one key, is
 * left with 2^-9 of its terms. */
#include "models/cuda_attn_bf16.cuh"

/* Rows of a part, and its groups of eight, of which an accumulator holds one. */
template <int D> struct part_of {
    enum { ROWS = D <= 64 ? 32 : 16, GROUPS = ROWS / 8 };
};

/* --- dq --- */

/* What a lane knows of its rows g and g + 8: lse in units of log2, D, last key + 1. */
struct dq_rows {
    float lse[2], delta[2];
    int end[2];
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

/* D of the block's queries, to shared and to the plan. */
template <int D>
__device__ static inline void find_delta(float *delta, const struct attn_job<bf16> &job,
                                         const struct attn_tile &t, int head)
{
    const struct attn_plan &p = job.plan;
    int i = (int)threadIdx.x / 2, n = t.n_q - t.first;
    size_t row = (size_t)(t.q0 + t.first + (i < n ? i : 0));
    float sum = delta_of<D>(job, row, head);
    if (threadIdx.x % 2 != 0)
        return;
    delta[i] = sum;
    if (i < n)
        p.delta[row * (size_t)p.n_heads + (size_t)head] = sum;
}

/* Past the last query lse is infinite, which makes p 0. */
__device__ static inline struct dq_rows dq_rows_of(const struct attn_plan &p, const struct attn_tile &t,
                                                   int head, const float *delta)
{
    int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    struct dq_rows r;
    for (int h = 0; h < 2; h++) {
        int i = t.first + row + 8 * h;
        r.lse[h] = INFINITY;
        if (i < t.n_q)
            r.lse[h] = ATTN_LOG2E * p.lse[(size_t)(t.q0 + i) * (size_t)p.n_heads + (size_t)head];
        r.delta[h] = delta[row + 8 * h];
        r.end[h] = attn_keys_seen(p, t, i + 1);
    }
    return r;
}

/* s and dp of a part's keys become ds; bits: dropout's, from the part's first key on; so is bias. */
template <int D, bool DROPS>
__device__ static inline void gradient_rows(float s[][4], const float dp[][4], const struct dq_rows &r,
                                            const float *bias, const uint32_t bits[2], int key, float scale)
{
    enum { ROWS = part_of<D>::ROWS };
    int lane = (int)threadIdx.x % 32, col = lane % 4 * 2;
    int row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    const float *from = bias + (ATTN_TILE - 1) + col - row;
    bool is_cut = key + ROWS > r.end[0] || key + ROWS > r.end[1];
    const uint32_t kept[2] = {bits[0] >> col, bits[1] >> col};
#pragma unroll
    for (int n = 0; n < part_of<D>::GROUPS; n++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int h = e / 2, at = 8 * n + (e & 1);
            float p = exp2f(fmaf(s[n][e], ATTN_LOG2E, from[at - 8 * h] - r.lse[h])), d = dp[n][e];
            if (is_cut && key + col + at >= r.end[h])
                p = 0;
            if (DROPS)
                d = kept[h] & 1u << at ? d * scale : 0.0f;
            s[n][e] = p * (d - r.delta[h]);
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

/* Shared memory of the dq kernel: q, do, two places each for k and v; then float32: two of the bias, D, and for
 * the bias's gradient ds, its sums by distance and by bucket. */
template <int D> struct dq_shared {
    enum { DELTA = 2 * ATTN_SPAN, DS = DELTA + ATTN_TILE, BY_DISTANCE = DS + ATTN_TILE * (ATTN_TILE + 1),
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
    uint32_t bits[2][2]; /* dropout's, of rows g and g + 8 */
    int key, n_left; /* first key; keys of the tile that the warp sees, or more */
    float *ds;       /* where the tile's ds is wanted, or NULL */
};

/* dq += ds k for one tile of keys. q: the block's queries, then their do. */
template <int D, bool DROPS>
__device__ static inline void dq_tile(float dq[D / 8][4], const struct dq_rows &r, const bf16 *q,
                                      const struct dq_side &side, float scale)
{
    enum { ROWS = part_of<D>::ROWS, GROUPS = part_of<D>::GROUPS };
#pragma unroll 1
    for (int part = 0; part < ATTN_TILE; part += ROWS) {
        if (part >= side.n_left)
            break;
        float s[GROUPS][4], dp[GROUPS][4];
        attn_zero<GROUPS>(s);
        attn_zero<GROUPS>(dp);
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            uint32_t left[4];
            attn_left<D>(left, q, step);
            attn_add_nt<D, GROUPS>(s, left, side.k, part, step);
            attn_left<D>(left, q + attn_bf16<D>::SIZE, step);
            attn_add_nt<D, GROUPS>(dp, left, side.v, part, step);
        }
        const uint32_t bits[2] = {side.bits[0][part / 32] >> part % 32, side.bits[1][part / 32] >> part % 32};
        gradient_rows<D, DROPS>(s, dp, r, side.bias + part, bits, side.key + part, scale);
        if (side.ds)
            keep_gradient<D>(side.ds, s, part);
        uint32_t packed[ROWS / 16][4];
        attn_pack<ROWS / 16>(packed, s);
        attn_add_nn<D, ROWS / 16>(dq, packed, side.k, part);
    }
}

/* The lane's word of dropout's bits, as forward left it; 0 if it did not. */
__device__ static inline uint32_t kept_word(const struct attn_plan &p, const struct attn_tile &t, int head,
                                            int key)
{
    const uint32_t *kept = attn_row_kept(p, t, head, key);
    return kept ? *kept : 0u;
}

/* D and dq_i = sum_j ds_ij k_j. Warps without queries only help to copy. */
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
    float *other = reinterpret_cast<float *>(shared + 6 * SIZE), *bias = other;
    float *delta = other + dq_shared<D>::DELTA, *ds = p.partial ? other + dq_shared<D>::DS : NULL;
    float *sums = other + dq_shared<D>::SUMS;
    bool is_active = ds || warp * ATTN_WARP_ROWS < n;
    int n_warp = attn_keys_seen(p, t, t.first + (warp + 1) * ATTN_WARP_ROWS);
    struct attn_row_keep keep = {0, 0};
    uint32_t own = 0; /* of the tile of keys that comes next */
    if (DROPS && p.keep)
        own = kept_word(p, t, head, 0);
    else if (DROPS)
        keep = attn_row_keep_of(p, t.q0 + t.first, n);
    attn_copy_tile<D>(shared, job.q + row * p.ld_q + col, p.ld_q, n, p.d);
    attn_copy_tile<D>(shared + SIZE, job.dout + row * p.ld_o + col, p.ld_o, n, p.d);
    attn_copy_tile<D>(shared + 2 * SIZE, k, p.ld_kv, t.n_k, p.d);
    attn_copy_tile<D>(shared + 4 * SIZE, v, p.ld_kv, t.n_k, p.d);
    cuda_copy_commit();
    find_delta<D>(delta, job, t, head);
    for (int i = (int)threadIdx.x; ds && i < p.n_buckets; i += ATTN_THREADS)
        sums[i] = 0;
    __syncthreads();
    struct dq_rows r = dq_rows_of(p, t, head, delta);
    float dq[D / 8][4];
    attn_zero<D / 8>(dq);
    for (int key = 0, stage = 0; key < n_seen; key += ATTN_TILE, stage ^= 1) {
        int next = key + ATTN_TILE;
        attn_load_bias(bias + stage * ATTN_SPAN, p, head, key - t.pos - t.first);
        cuda_copy_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (next < n_seen) {
            size_t from = (size_t)next * p.ld_kv;
            attn_copy_tile<D>(shared + (3 - stage) * SIZE, k + from, p.ld_kv, t.n_k - next, p.d);
            attn_copy_tile<D>(shared + (5 - stage) * SIZE, v + from, p.ld_kv, t.n_k - next, p.d);
        }
        cuda_copy_commit();
        struct dq_side side = {shared + (2 + stage) * SIZE, shared + (4 + stage) * SIZE,
                                bias + stage * ATTN_SPAN, {}, key, ds ? ATTN_TILE : n_warp - key, ds};
        if (DROPS && is_active)
            attn_row_bits(side.bits, p.keep ? own : attn_row_make(p, keep, head, key));
        if (DROPS)
            own = next < n_seen ? kept_word(p, t, head, next) : 0;
        if (is_active)
            dq_tile<D, DROPS>(dq, r, shared, side, p.drop.scale);
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

/* --- dk and dv, and dq --- */

/* One tile of queries in shared memory, beside q and do: statistics, bias, dropout's bits. */
struct query_side {
    float stat[ATTN_TILE][2];    /* lse in units of log2, and D */
    float bias[ATTN_SPAN];       /* by key - query + 63 */
    uint32_t keep[2][ATTN_TILE]; /* [w][i]: query i, keys 32 w .. of the block's 64 */
};

/* Past the last query lse is infinite, which makes p 0. HAS_DQ: there is no kernel before that gave D. */
template <int D, bool DROPS, bool HAS_DQ>
__device__ static inline void load_side(struct query_side *to, const struct attn_job<bf16> &job,
                                        const struct attn_tile &t, int head, int first)
{
    const struct attn_plan &p = job.plan;
    int i = (int)threadIdx.x % ATTN_TILE, half = (int)threadIdx.x / ATTN_TILE, n = t.n_q - first;
    int key = t.first + 32 * half;
    bool is_seen = key < t.n_k && (!p.is_causal || key <= t.pos + first + i);
    size_t row = (size_t)(t.q0 + first + i), at = row * (size_t)p.n_heads + (size_t)head;
    if (half == 0)
        to->stat[i][0] = i < n ? ATTN_LOG2E * p.lse[at] : INFINITY;
    else if (!HAS_DQ)
        to->stat[i][1] = i < n ? p.delta[at] : 0.0f;
    if (HAS_DQ) {
        int pair = (int)threadIdx.x / 2;
        float delta = delta_of<D>(job, (size_t)(t.q0 + first + (pair < n ? pair : 0)), head);
        if (threadIdx.x % 2 == 0)
            to->stat[pair][1] = delta;
    }
    attn_load_bias(to->bias, p, head, t.first - t.pos - first);
    if (DROPS && p.keep)
        to->keep[half][i] = i < n && is_seen ? attn_kept(p, t, head, key)[first + i] : 0u;
    else if (DROPS)
        to->keep[half][i] =
            i < n && is_seen ? attn_keep32(p.drop, p.drop.owner[row], p.drop.index[row], head, key) : 0u;
}

/* s and dp of the warp's 16 keys and a part's queries, from number i0 on, become p m (its scale comes in at the
 * end) and ds. Key number j of the block sees query number i of the tile where j <= i + ahead. */
template <int D, bool DROPS>
__device__ static inline void gradient_cols(float s[][4], float dp[][4], const struct query_side *side, int i0,
                                            int ahead, float scale)
{
    int lane = (int)threadIdx.x % 32, key = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    int col = i0 + lane % 4 * 2;
    const float *bias = side->bias + (ATTN_TILE - 1) + key - col;
#pragma unroll
    for (int n = 0; n < part_of<D>::GROUPS; n++) {
        float4 stat = *reinterpret_cast<const float4 *>(side->stat[col + 8 * n]); /* of two queries */
        uint2 keep = make_uint2(0, 0);
        if (DROPS)
            keep = *reinterpret_cast<const uint2 *>(side->keep[key / 32] + col + 8 * n);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int h = e / 2, at = 8 * n + (e & 1);
            float lse = e & 1 ? stat.z : stat.x, delta = e & 1 ? stat.w : stat.y, d = dp[n][e];
            float p = exp2f(fmaf(s[n][e], ATTN_LOG2E, bias[8 * h - at] - lse));
            if (key + 8 * h > col + at + ahead)
                p = 0;
            bool is_kept = !DROPS || (e & 1 ? keep.y : keep.x) >> (key % 32) & 1u << (8 * h);
            if (DROPS)
                d = is_kept ? d * scale : 0.0f;
            s[n][e] = is_kept ? p : 0.0f;
            dp[n][e] = p * (d - delta);
        }
    }
}

/* ds of a pair of tiles, [keys][queries], in shared memory: the left factor of dq, transposed. */
enum { DS_LD = ATTN_TILE + 8, DS_SIZE = ATTN_TILE * DS_LD, SUM_ROWS = 16 };

/* Keeps the warp's ds of 16 N queries from `first` on. */
template <int N> __device__ static inline void keep_left(bf16 *ds, const uint32_t packed[N][4], int first)
{
    int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    bf16 *own = ds + row * DS_LD + first + lane % 4 * 2;
#pragma unroll
    for (int k = 0; k < N; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            *reinterpret_cast<uint32_t *>(own + i % 2 * 8 * DS_LD + 16 * k + i / 2 * 8) = packed[k][i];
}

/* dq of the warp's 16 queries of a tile, from n of the block's keys. */
template <int D>
__device__ static inline void dq_of_tile(float dq[D / 8][4], const bf16 *ds, const bf16 *k, int n)
{
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const bf16 *from =
        ds + (lane / 16 * 8 + lane % 8) * DS_LD + warp * ATTN_WARP_ROWS + (lane / 8 & 1) * 8;
    attn_zero<D / 8>(dq);
#pragma unroll
    for (int key = 0; key < ATTN_TILE; key += 16) {
        if (key >= n)
            break;
        uint32_t left[1][4];
        cuda_ldmatrix4_t(left[0], from + key * DS_LD);
        attn_add_nn<D, 1>(dq, left, k, key);
    }
}

/* Writes the warp's dq of the tile of queries from `first` on: a part, or all where there is one part. */
template <int D>
__device__ static inline void store_dq(const struct attn_job<bf16> &job, const struct attn_tile &t, int head,
                                       int first, const float dq[D / 8][4])
{
    const struct attn_plan &p = job.plan;
    int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane / 4;
    bool has_parts = attn_has_parts(t.n_k);
    bf16 *whole = job.dq + (size_t)(t.q0 + first) * p.ld_q + (size_t)head * (size_t)p.d;
    float *part = has_parts ? attn_dq_part(p, t, first, t.first, head % p.heads_at_once) : NULL;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int i = row + 8 * h;
        if (first + i >= t.n_q)
            break;
#pragma unroll
        for (int k = 0; k < D / 8; k++) {
            int col = 8 * k + lane % 4 * 2;
            if (8 * k >= p.d)
                break;
            if (has_parts)
                *reinterpret_cast<float2 *>(part + i * p.d + col) = make_float2(dq[k][2 * h], dq[k][2 * h + 1]);
            else
                *reinterpret_cast<uint32_t *>(whole + (size_t)i * p.ld_q + (size_t)col) =
                    cuda_mma_pack(dq[k][2 * h], dq[k][2 * h + 1]);
        }
    }
}

/* dv += (p m)^T do, dk += ds^T q for one tile of queries, then their do; n of them exist. k: the block's keys,
 * then their v. ds: where ds is wanted, or NULL; it is left as it was where the warp's keys are not seen. */
template <int D, bool DROPS>
__device__ static inline void dkv_tile(float dk[D / 8][4], float dv[D / 8][4], const bf16 *k, const bf16 *q,
                                       const bf16 *dout, const struct query_side *side, int n, int ahead,
                                       float scale, bf16 *ds)
{
    enum { ROWS = part_of<D>::ROWS, GROUPS = part_of<D>::GROUPS };
    int first = (int)threadIdx.x / 32 * ATTN_WARP_ROWS - ahead; /* first query that sees a key of the warp */
#pragma unroll
    for (int part = 0; part < ATTN_TILE; part += ROWS) {
        if (part >= n || part + ROWS <= first)
            continue;
        float s[GROUPS][4], dp[GROUPS][4];
        attn_zero<GROUPS>(s);
        attn_zero<GROUPS>(dp);
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            uint32_t left[4];
            attn_left<D>(left, k, step);
            attn_add_nt<D, GROUPS>(s, left, q, part, step);
            attn_left<D>(left, k + attn_bf16<D>::SIZE, step);
            attn_add_nt<D, GROUPS>(dp, left, dout, part, step);
        }
        gradient_cols<D, DROPS>(s, dp, side, part, ahead, scale);
        uint32_t packed[ROWS / 16][4];
        attn_pack<ROWS / 16>(packed, s);
        attn_add_nn<D, ROWS / 16>(dv, packed, dout, part);
        attn_pack<ROWS / 16>(packed, dp);
        if (ds)
            keep_left<ROWS / 16>(ds, packed, part);
        attn_add_nn<D, ROWS / 16>(dk, packed, q, part);
    }
}

/* Shared memory: k, v, two places each for q and do, and for their sides; ds. */
template <int D, bool HAS_DQ> static size_t dkv_bytes(void)
{
    size_t n = 6 * attn_bf16<D>::SIZE + (HAS_DQ ? (size_t)DS_SIZE : 0);
    return n * sizeof(bf16) + 2 * sizeof(struct query_side);
}

/* dv_j = sum_i p_ij m_ij do_i and dk_j = sum_i ds_ij q_i, from transposed scores: rows are keys. HAS_DQ: and
 * parts of dq, for heads first_head .. + heads_at_once - 1. */
template <int D, bool DROPS, bool HAS_DQ>
__global__ void __launch_bounds__(ATTN_THREADS, D <= 64 ? 3 : 2)
    attn_bf16_dkv_kernel(struct attn_job<bf16> job, int first_head, int n_heads)
{
    cuda_begin();
    CUDA_SHARED(bf16, shared);
    enum { SIZE = attn_bf16<D>::SIZE };
    const struct attn_plan &p = job.plan;
    struct attn_tile t = p.k_tiles[(int)blockIdx.x / n_heads];
    int head = first_head + (int)blockIdx.x % n_heads, n = t.n_k - t.first, warp = (int)threadIdx.x / 32;
    int first = attn_first_query(p, t);
    bool is_active = warp * ATTN_WARP_ROWS < n;
    size_t col = (size_t)head * (size_t)p.d, row = (size_t)(t.k0 + t.first);
    const bf16 *q = job.q + (size_t)t.q0 * p.ld_q + col, *dout = job.dout + (size_t)t.q0 * p.ld_o + col;
    struct query_side *side = reinterpret_cast<struct query_side *>(shared + 6 * SIZE);
    bf16 *ds = HAS_DQ ? reinterpret_cast<bf16 *>(side + 2) : NULL;
    float dk[D / 8][4], dv[D / 8][4];
    attn_zero<D / 8>(dk);
    attn_zero<D / 8>(dv);
    if (first < t.n_q) {
        attn_copy_tile<D>(shared, job.k + row * p.ld_kv + col, p.ld_kv, n, p.d);
        attn_copy_tile<D>(shared + SIZE, job.v + row * p.ld_kv + col, p.ld_kv, n, p.d);
        attn_copy_tile<D>(shared + 2 * SIZE, q + (size_t)first * p.ld_q, p.ld_q, t.n_q - first, p.d);
        attn_copy_tile<D>(shared + 4 * SIZE, dout + (size_t)first * p.ld_o, p.ld_o, t.n_q - first, p.d);
    }
    cuda_copy_commit();
    for (int stage = 0; first < t.n_q; first += ATTN_TILE, stage ^= 1) {
        int next = first + ATTN_TILE;
        load_side<D, DROPS, HAS_DQ>(side + stage, job, t, head, first);
        cuda_copy_wait<0>();
        __syncthreads(); /* this tile is there, and nobody reads the one before it any more */
        if (next < t.n_q) {
            size_t to_q = (size_t)next * p.ld_q, to_o = (size_t)next * p.ld_o;
            attn_copy_tile<D>(shared + (3 - stage) * SIZE, q + to_q, p.ld_q, t.n_q - next, p.d);
            attn_copy_tile<D>(shared + (5 - stage) * SIZE, dout + to_o, p.ld_o, t.n_q - next, p.d);
        }
        cuda_copy_commit();
        int ahead = p.is_causal ? t.pos + first - t.first : ATTN_TILE;
        if (is_active)
            dkv_tile<D, DROPS>(dk, dv, shared, shared + (2 + stage) * SIZE, shared + (4 + stage) * SIZE,
                               side + stage, t.n_q - first, ahead, p.drop.scale, ds);
        if (!HAS_DQ)
            continue;
        __syncthreads(); /* ds is there */
        int n_warp = ahead + (warp + 1) * ATTN_WARP_ROWS;
        if (first + warp * ATTN_WARP_ROWS < t.n_q) {
            float dq[D / 8][4];
            dq_of_tile<D>(dq, ds, shared, n_warp < n ? n_warp : n);
            store_dq<D>(job, t, head, first, dq);
        }
    }
    if (!is_active)
        return;
    attn_store<D>(job.dv + row * p.ld_kv + col, p.ld_kv, n, p.d, dv, p.drop.scale, p.drop.scale,
                  shared + SIZE); /* v, of which a warp reads its own rows only */
    attn_store<D>(job.dk + row * p.ld_kv + col, p.ld_kv, n, p.d, dk, 1, 1, shared + SIZE);
}

/* dq = the sum of its parts, in the order of the keys, where store_dq has not written it. A block has 16 rows of
 * a tile of queries and one head, a thread eight columns of a row. */
__global__ void __launch_bounds__(ATTN_THREADS) attn_bf16_sum_kernel(struct attn_job<bf16> job, int first_head,
                                                                     int n_heads)
{
    cuda_begin();
    enum { ROWS = SUM_ROWS, SLICES = ATTN_TILE / ROWS };
    const struct attn_plan &p = job.plan;
    int block = (int)blockIdx.x / SLICES, at_head = block % n_heads;
    struct attn_tile t = p.q_tiles[block / n_heads];
    int row = (int)blockIdx.x % SLICES * ROWS + (int)threadIdx.x / (ATTN_THREADS / ROWS);
    int col = (int)threadIdx.x % (ATTN_THREADS / ROWS) * 8, n = t.n_q - t.first;
    if (row >= n || col >= p.d || (t.n_k > 0 && !attn_has_parts(t.n_k)))
        return;
    int n_seen = attn_keys_seen(p, t, t.first + (n < ATTN_TILE ? n : ATTN_TILE));
    size_t stride = (size_t)p.heads_at_once * ATTN_TILE * (size_t)p.d;
    const float *from = n_seen > 0 ? attn_dq_part(p, t, t.first, 0, at_head) + row * p.d + col : NULL;
    float8 sum = {};
#pragma unroll 4
    for (int key = 0; key < n_seen; key += ATTN_TILE, from += stride) {
        float4 a = reinterpret_cast<const float4 *>(from)[0], b = reinterpret_cast<const float4 *>(from)[1];
        const float x[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
        for (int e = 0; e < 8; e++)
            sum.v[e] += x[e];
    }
    size_t to = (size_t)(t.q0 + t.first + row) * p.ld_q + (size_t)((first_head + at_head) * p.d + col);
    cuda_store8(job.dq + to, sum, 8);
}

template <int D> static void backward_at_once(struct cuda *c, const struct attn_job<bf16> &job)
{
    const struct attn_plan *p = &job.plan;
    size_t n_bytes = dkv_bytes<D, true>();
    for (int head = 0; head < p->n_heads; head += p->heads_at_once) {
        int n = p->n_heads - head < p->heads_at_once ? p->n_heads - head : p->heads_at_once;
        if (p->n_k_tiles > 0 && p->drop.threshold != 0)
            CUDA_LAUNCH(c, p->n_k_tiles * n, ATTN_THREADS, n_bytes, (attn_bf16_dkv_kernel<D, true, true>), job,
                        head, n);
        else if (p->n_k_tiles > 0)
            CUDA_LAUNCH(c, p->n_k_tiles * n, ATTN_THREADS, n_bytes, (attn_bf16_dkv_kernel<D, false, true>), job,
                        head, n);
        if (p->has_sums)
            CUDA_LAUNCH(c, p->n_q_tiles * n * (ATTN_TILE / SUM_ROWS), ATTN_THREADS, 0, attn_bf16_sum_kernel, job,
                        head, n);
    }
}

template <int D> static void backward_wide(struct cuda *c, const struct attn_job<bf16> &job)
{
    const struct attn_plan *p = &job.plan;
    int q_blocks = p->n_q_tiles * p->n_heads, k_blocks = p->n_k_tiles * p->n_heads;
    size_t q_bytes = dq_shared<D>::bytes(p), k_bytes = dkv_bytes<D, false>();
    if (q_blocks > 0 && p->drop.threshold != 0)
        CUDA_LAUNCH(c, q_blocks, ATTN_THREADS, q_bytes, (attn_bf16_dq_kernel<D, true>), job);
    else if (q_blocks > 0)
        CUDA_LAUNCH(c, q_blocks, ATTN_THREADS, q_bytes, (attn_bf16_dq_kernel<D, false>), job);
    if (k_blocks > 0 && p->drop.threshold != 0)
        CUDA_LAUNCH(c, k_blocks, ATTN_THREADS, k_bytes, (attn_bf16_dkv_kernel<D, true, false>), job, 0,
                    p->n_heads);
    else if (k_blocks > 0)
        CUDA_LAUNCH(c, k_blocks, ATTN_THREADS, k_bytes, (attn_bf16_dkv_kernel<D, false, false>), job, 0,
                    p->n_heads);
}

template <> void cuda_attn<bf16>::backward(struct backend *b, const struct attn_args *a)
{
    struct cuda *c = cuda_of(b);
    struct attn_job<bf16> job;
    if (!attn_fits_bf16(c, a) || !attn_job_of(c, a, true, &job))
        return;
    if (job.plan.heads_at_once > 0 && a->d_kv <= 32)
        backward_at_once<32>(c, job);
    else if (job.plan.heads_at_once > 0)
        backward_at_once<64>(c, job);
    else if (a->d_kv <= 32)
        backward_wide<32>(c, job);
    else if (a->d_kv <= 64)
        backward_wide<64>(c, job);
    else
        backward_wide<128>(c, job);
    if (job.plan.n_q_tiles > 0)
        cuda_attn_dbias(c, a, &job.plan);
}
