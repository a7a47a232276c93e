/* models/cuda_attn.cu: attention of float32 values, in plain float32 arithmetic: the path for parity.
 *
 * A block of 256 threads has a tile of 64 queries or keys and 64 columns of the result (its slice; heads are
 * up to 64 wide as a rule, wider ones take several blocks, which compute the scores once each). Thread (tx,
 * ty), tx = t % 16, ty = t / 16, has of a 64 x 64 tile of scores rows 4 ty + r and columns tx + 16 c, and of
 * a result rows 4 ty + r and columns 4 tx + c: a row's 16 threads are one half of a warp. */
#include "models/cuda_attn.cuh"

enum { TILE = ATTN_TILE, LD = TILE + 4, SIZE = TILE * LD, THREADS = 256 };

/* Where a block and a thread stand. */
struct place {
    struct attn_tile tile;
    int head, col, tx, ty; /* col: the slice's first column of the head */
};

__device__ static inline struct place place_of(const struct attn_plan &p, const struct attn_tile *tiles)
{
    int slices = (p.d + TILE - 1) / TILE, block = (int)blockIdx.x, thread = (int)threadIdx.x;
    struct place at;
    at.col = block % slices * TILE;
    at.head = block / slices % p.n_heads;
    at.tile = tiles[block / slices / p.n_heads];
    at.tx = thread % 16;
    at.ty = thread / 16;
    return at;
}

static int blocks_of(const struct attn_plan *p, int n_tiles)
{
    return n_tiles * p->n_heads * ((p->d + TILE - 1) / TILE);
}

/* to [64][LD] = rows row .. + n - 1 (up to 64), columns col .. of a head; 0 where there is nothing. */
__device__ static inline void load(float *to, const float *from, size_t ld, int row, int n, int col, int n_cols)
{
    n_cols = n_cols - col < TILE ? n_cols - col : TILE;
    for (int i = (int)threadIdx.x; i < TILE * TILE; i += THREADS) {
        int r = i / TILE, c = i % TILE;
        to[r * LD + c] = r < n && c < n_cols ? from[(size_t)(row + r) * ld + (size_t)(col + c)] : 0.0f;
    }
}

/* acc[r][c] += sum_e a[4 ty + r][e] b[tx + 16 c][e] */
__device__ static inline void add_nt(float acc[4][4], const float *a, const float *b, const struct place &at)
{
#pragma unroll 1
    for (int e = 0; e < TILE; e += 4) {
        float4 x[4], y[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            x[r] = *reinterpret_cast<const float4 *>(a + (4 * at.ty + r) * LD + e);
            y[r] = *reinterpret_cast<const float4 *>(b + (at.tx + 16 * r) * LD + e);
        }
#pragma unroll
        for (int r = 0; r < 4; r++) {
#pragma unroll
            for (int c = 0; c < 4; c++) {
                acc[r][c] = fmaf(x[r].x, y[c].x, acc[r][c]);
                acc[r][c] = fmaf(x[r].y, y[c].y, acc[r][c]);
                acc[r][c] = fmaf(x[r].z, y[c].z, acc[r][c]);
                acc[r][c] = fmaf(x[r].w, y[c].w, acc[r][c]);
            }
        }
    }
}

/* acc[r][c] += sum_j a[4 ty + r][j] b[j][4 tx + c] */
__device__ static inline void add_nn(float acc[4][4], const float *a, const float *b, const struct place &at)
{
#pragma unroll 4
    for (int j = 0; j < TILE; j++) {
        float4 y = *reinterpret_cast<const float4 *>(b + j * LD + 4 * at.tx);
#pragma unroll
        for (int r = 0; r < 4; r++) {
            float x = a[(4 * at.ty + r) * LD + j];
            acc[r][0] = fmaf(x, y.x, acc[r][0]);
            acc[r][1] = fmaf(x, y.y, acc[r][1]);
            acc[r][2] = fmaf(x, y.z, acc[r][2]);
            acc[r][3] = fmaf(x, y.w, acc[r][3]);
        }
    }
}

/* Rows of one side of a product: matrix, first row of the tile, rows that exist. */
struct side {
    const float *x;
    size_t ld;
    int row, n;
};

/* acc = rows of a times rows of b, over the whole width d of the head, through shared memory. */
__device__ static void products(float acc[4][4], const struct side &a, const struct side &b, int d,
                                float *shared, const struct place &at)
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            acc[r][c] = 0;
    for (int col = 0; col < d; col += TILE) {
        __syncthreads();
        load(shared, a.x, a.ld, a.row, a.n, col, d);
        load(shared + SIZE, b.x, b.ld, b.row, b.n, col, d);
        __syncthreads();
        add_nt(acc, shared, shared + SIZE, at);
    }
}

__device__ static inline void store(float *to, size_t ld, int row, int n, int n_cols, const float acc[4][4],
                                    const struct place &at)
{
#pragma unroll
    for (int r = 0; r < 4; r++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int i = 4 * at.ty + r, col = at.col + 4 * at.tx + c;
            if (i < n && col < n_cols)
                to[(size_t)(row + i) * ld + (size_t)col] = acc[r][c];
        }
    }
}

__device__ static inline void store_tile(float *to, const float acc[4][4], const struct place &at)
{
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int c = 0; c < 4; c++)
            to[(4 * at.ty + r) * LD + at.tx + 16 * c] = acc[r][c];
}

/* keep[half * 64 + i]: dropout's bits of query row + i for the 64 keys from `key`, 32 to a half. */
__device__ static inline void load_keep(uint32_t *keep, const struct attn_plan &p, int row, int n, int head,
                                        int key)
{
    int i = (int)threadIdx.x % TILE, half = (int)threadIdx.x / TILE;
    if (p.drop.threshold == 0 || half >= 2)
        return;
    uint32_t bits = 0;
    if (i < n)
        bits = attn_keep32(p.drop, p.drop.owner[row + i], p.drop.index[row + i], head, key + 32 * half);
    keep[half * TILE + i] = bits;
}

__device__ static inline float mask_of(const struct attn_plan &p, const uint32_t *keep, int i, int j)
{
    if (p.drop.threshold == 0)
        return 1;
    return keep[j / 32 * TILE + i] >> (j % 32) & 1u ? p.drop.scale : 0.0f;
}

/* Sum and maximum over the 16 threads of a row. */
__device__ static inline float row_sum(float x)
{
    for (int i = 8; i > 0; i /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}

__device__ static inline float row_max(float x)
{
    for (int i = 8; i > 0; i /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, i));
    return x;
}

/* --- forward --- */

/* Running maximum and sum of a thread's rows. */
struct row_state {
    float top[4], sum[4];
};

/* Scores of the keys from `key` become probabilities relative to the new maximum; what was added up so far
 * is scaled to it. Every row sees key 0, so that the maximum is a number from the first tile on. */
__device__ static void softmax_tile(float s[4][4], float o[4][4], struct row_state &run,
                                    const struct attn_plan &p, const struct place &at, int key)
{
    const struct attn_tile &t = at.tile;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        int i = t.pos + t.first + 4 * at.ty + r;
        float top = run.top[r], sum = 0;
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int j = key + at.tx + 16 * c;
            bool is_seen = j < t.n_k && (!p.is_causal || j <= i);
            s[r][c] = is_seen ? s[r][c] + attn_bias(p, at.head, j - i) : -INFINITY;
            top = fmaxf(top, s[r][c]);
        }
        top = row_max(top);
#pragma unroll
        for (int c = 0; c < 4; c++) {
            s[r][c] = expf(s[r][c] - top);
            sum += s[r][c];
        }
        float scale = expf(run.top[r] - top);
        run.top[r] = top;
        run.sum[r] = run.sum[r] * scale + row_sum(sum);
#pragma unroll
        for (int c = 0; c < 4; c++)
            o[r][c] *= scale;
    }
}

__device__ static void forward_end(float o[4][4], const struct row_state &run,
                                   const struct attn_job<float> &job, const struct place &at, int n)
{
    const struct attn_plan &p = job.plan;
    int row = at.tile.q0 + at.tile.first;
#pragma unroll
    for (int r = 0; r < 4; r++) {
        float scale = run.sum[r] > 0 ? 1 / run.sum[r] : 0;
#pragma unroll
        for (int c = 0; c < 4; c++)
            o[r][c] *= scale;
        int i = 4 * at.ty + r;
        if (at.col == 0 && at.tx == 0 && i < n)
            p.lse[(size_t)(row + i) * (size_t)p.n_heads + (size_t)at.head] =
                run.sum[r] > 0 ? run.top[r] + logf(run.sum[r]) : -1e30f;
    }
    store(job.o + (size_t)at.head * (size_t)p.d, p.ld_o, row, n, p.d, o, at);
}

/* o_i = sum_j m_ij p_ij v_j with the maximum and the sum of the softmax kept as they grow */
__global__ void __launch_bounds__(THREADS, 2) attn_float_kernel(struct attn_job<float> job)
{
    cuda_begin();
    CUDA_SHARED(float, shared); /* two tiles of a product, one of probabilities, dropout's bits */
    const struct attn_plan &p = job.plan;
    struct place at = place_of(p, p.q_tiles);
    const struct attn_tile &t = at.tile;
    float *probability = shared + 2 * SIZE;
    uint32_t *keep = reinterpret_cast<uint32_t *>(shared + 3 * SIZE);
    int row = t.q0 + t.first, n = t.n_q - t.first < TILE ? t.n_q - t.first : TILE;
    int n_seen = attn_keys_seen(p, t, t.first + n);
    size_t head_col = (size_t)at.head * (size_t)p.d;
    float o[4][4] = {}, s[4][4];
    struct row_state run;
    for (int r = 0; r < 4; r++) {
        run.top[r] = -INFINITY;
        run.sum[r] = 0;
    }
    for (int key = 0; key < n_seen; key += TILE) {
        struct side q = {job.q + head_col, p.ld_q, row, n};
        struct side k = {job.k + head_col, p.ld_kv, t.k0 + key, t.n_k - key};
        products(s, q, k, p.d, shared, at);
        load_keep(keep, p, row, n, at.head, key);
        softmax_tile(s, o, run, p, at, key);
        __syncthreads();
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 4; c++)
                s[r][c] *= mask_of(p, keep, 4 * at.ty + r, at.tx + 16 * c);
        store_tile(probability, s, at);
        load(shared, job.v + head_col, p.ld_kv, t.k0 + key, t.n_k - key, at.col, p.d);
        __syncthreads();
        add_nn(o, probability, shared, at);
    }
    forward_end(o, run, job, at, n);
}

template <> void cuda_attn<float>::forward(struct backend *b, const struct attn_args *a)
{
    struct cuda *c = cuda_of(b);
    struct attn_job<float> job;
    if (!attn_job_of(c, a, false, &job))
        return;
    size_t n_bytes = (3 * SIZE + 2 * TILE) * sizeof(float);
    cuda_attn_one(c, &job);
    if (job.plan.n_q_tiles > 0)
        CUDA_LAUNCH(c, blocks_of(&job.plan, job.plan.n_q_tiles), THREADS, n_bytes, attn_float_kernel, job);
}

/* --- backward --- */

/* stat[i] = lse and stat[64 + i] = D of query row + i; past the end, infinity and 0: such a p is 0. */
__device__ static inline void load_stats(float *stat, const struct attn_plan &p, int row, int n, int head)
{
    int i = (int)threadIdx.x;
    if (i >= TILE)
        return;
    size_t at = (size_t)(row + i) * (size_t)p.n_heads + (size_t)head;
    stat[i] = i < n ? p.lse[at] : INFINITY;
    stat[TILE + i] = i < n ? p.delta[at] : 0.0f;
}

/* D_i = do_i . o_i, to shared and to the plan's delta: a quad of threads per query. */
__device__ static void find_delta(float *stat, const struct attn_job<float> &job, const struct place &at, int n)
{
    const struct attn_plan &p = job.plan;
    int i = (int)threadIdx.x / 4, row = at.tile.q0 + at.tile.first + i;
    size_t from = (size_t)row * p.ld_o + (size_t)at.head * (size_t)p.d;
    float sum = 0;
    if (i < n)
        for (int c = (int)threadIdx.x % 4; c < p.d; c += 4)
            sum = fmaf(job.dout[from + (size_t)c], job.o[from + (size_t)c], sum);
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (threadIdx.x % 4 != 0)
        return;
    size_t to = (size_t)row * (size_t)p.n_heads + (size_t)at.head;
    stat[i] = i < n ? p.lse[to] : INFINITY;
    stat[TILE + i] = sum;
    if (at.col == 0 && i < n)
        p.delta[to] = sum;
}

/* s and dp of query i (in its tile, which starts at position pos) and key j (likewise) become p m and ds. */
struct pair {
    int pos, key, n_k, head;
    const float *stat;
    const uint32_t *keep;
};

__device__ static inline void softmax_backward(float *s, float *dp, const struct attn_plan &p,
                                               const struct pair &at, int i, int j)
{
    int distance = at.key + j - at.pos - i;
    bool is_seen = at.key + j < at.n_k && (!p.is_causal || distance <= 0);
    float mask = mask_of(p, at.keep, i, j);
    float probability = is_seen ? expf(*s + attn_bias(p, at.head, distance) - at.stat[i]) : 0.0f;
    *s = probability * mask;
    *dp = probability * (*dp * mask - at.stat[TILE + i]);
}

/* Shared memory of backward after the two tiles of a product: p m or ds, statistics, bits, sums of buckets. */
struct workplace {
    float *tile, *stat;
    uint32_t *keep;
    float *by_distance, *sums;
};

__device__ static inline struct workplace workplace_of(float *shared)
{
    struct workplace w;
    w.tile = shared + 2 * SIZE;
    w.stat = shared + 3 * SIZE;
    w.keep = reinterpret_cast<uint32_t *>(w.stat + 2 * TILE);
    w.by_distance = w.stat + 4 * TILE;
    w.sums = w.by_distance + ATTN_SPAN;
    return w;
}

static size_t workplace_bytes(const struct attn_plan *p)
{
    return (3 * SIZE + 4 * TILE + ATTN_SPAN + (p->partial ? (size_t)p->n_buckets : 0)) * sizeof(float);
}

/* dq_i = sum_j ds_ij k_j, D, and the tile's part of the bias's gradient */
__global__ void __launch_bounds__(THREADS, 2) attn_float_dq_kernel(struct attn_job<float> job)
{
    cuda_begin();
    CUDA_SHARED(float, shared);
    const struct attn_plan &p = job.plan;
    struct place at = place_of(p, p.q_tiles);
    const struct attn_tile &t = at.tile;
    struct workplace w = workplace_of(shared);
    int row = t.q0 + t.first, n = t.n_q - t.first < TILE ? t.n_q - t.first : TILE;
    int n_seen = attn_keys_seen(p, t, t.first + n);
    size_t head_col = (size_t)at.head * (size_t)p.d;
    bool has_sums = p.partial && at.col == 0;
    float dq[4][4] = {}, s[4][4], dp[4][4];
    find_delta(w.stat, job, at, n);
    for (int b = (int)threadIdx.x; has_sums && b < p.n_buckets; b += THREADS)
        w.sums[b] = 0;
    for (int key = 0; key < n_seen; key += TILE) {
        struct side q = {job.q + head_col, p.ld_q, row, n}, dout = {job.dout + head_col, p.ld_o, row, n};
        struct side k = {job.k + head_col, p.ld_kv, t.k0 + key, t.n_k - key};
        struct side v = {job.v + head_col, p.ld_kv, t.k0 + key, t.n_k - key};
        products(s, q, k, p.d, shared, at);
        load_keep(w.keep, p, row, n, at.head, key);
        products(dp, dout, v, p.d, shared, at);
        struct pair pair = {t.pos + t.first, key, t.n_k, at.head, w.stat, w.keep};
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 4; c++)
                softmax_backward(&s[r][c], &dp[r][c], p, pair, 4 * at.ty + r, at.tx + 16 * c);
        __syncthreads();
        store_tile(w.tile, dp, at);
        load(shared, job.k + head_col, p.ld_kv, t.k0 + key, t.n_k - key, at.col, p.d);
        __syncthreads();
        add_nn(dq, w.tile, shared, at);
        if (has_sums)
            attn_add_buckets(p, w.tile, LD, key - t.pos - t.first, w.by_distance, w.sums);
    }
    store(job.dq + head_col, p.ld_q, row, n, p.d, dq, at);
    __syncthreads();
    size_t slot = (size_t)(blockIdx.x / ((p.d + TILE - 1) / TILE) / p.n_heads) * (size_t)p.n_heads;
    for (int b = (int)threadIdx.x; has_sums && b < p.n_buckets; b += THREADS)
        p.partial[(slot + (size_t)at.head) * (size_t)p.n_buckets + (size_t)b] = w.sums[b];
}

/* dv_j = sum_i p_ij m_ij do_i and dk_j = sum_i ds_ij q_i. Rows of scores are keys here. */
__global__ void __launch_bounds__(THREADS, 2) attn_float_dkv_kernel(struct attn_job<float> job)
{
    cuda_begin();
    CUDA_SHARED(float, shared);
    const struct attn_plan &p = job.plan;
    struct place at = place_of(p, p.k_tiles);
    const struct attn_tile &t = at.tile;
    struct workplace w = workplace_of(shared);
    int row = t.k0 + t.first, n = t.n_k - t.first < TILE ? t.n_k - t.first : TILE;
    size_t head_col = (size_t)at.head * (size_t)p.d;
    float dk[4][4] = {}, dv[4][4] = {}, s[4][4], dp[4][4];
    for (int first = attn_first_query(p, t); first < t.n_q; first += TILE) {
        int q_row = t.q0 + first, n_q = t.n_q - first < TILE ? t.n_q - first : TILE;
        struct side k = {job.k + head_col, p.ld_kv, row, n}, v = {job.v + head_col, p.ld_kv, row, n};
        struct side q = {job.q + head_col, p.ld_q, q_row, n_q};
        struct side dout = {job.dout + head_col, p.ld_o, q_row, n_q};
        products(s, k, q, p.d, shared, at);
        load_stats(w.stat, p, q_row, n_q, at.head);
        load_keep(w.keep, p, q_row, n_q, at.head, t.first);
        products(dp, v, dout, p.d, shared, at);
        struct pair pair = {t.pos + first, t.first, t.n_k, at.head, w.stat, w.keep};
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 4; c++)
                softmax_backward(&s[r][c], &dp[r][c], p, pair, at.tx + 16 * c, 4 * at.ty + r);
        __syncthreads();
        store_tile(w.tile, s, at);
        load(shared, dout.x, p.ld_o, q_row, n_q, at.col, p.d);
        load(shared + SIZE, q.x, p.ld_q, q_row, n_q, at.col, p.d);
        __syncthreads();
        add_nn(dv, w.tile, shared, at);
        __syncthreads();
        store_tile(w.tile, dp, at);
        __syncthreads();
        add_nn(dk, w.tile, shared + SIZE, at);
    }
    store(job.dk + head_col, p.ld_kv, row, n, p.d, dk, at);
    store(job.dv + head_col, p.ld_kv, row, n, p.d, dv, at);
}

template <> void cuda_attn<float>::backward(struct backend *b, const struct attn_args *a)
{
    struct cuda *c = cuda_of(b);
    struct attn_job<float> job;
    if (!attn_job_of(c, a, true, &job))
        return;
    const struct attn_plan *p = &job.plan;
    size_t n_bytes = workplace_bytes(p);
    if (p->n_q_tiles > 0)
        CUDA_LAUNCH(c, blocks_of(p, p->n_q_tiles), THREADS, n_bytes, attn_float_dq_kernel, job);
    if (p->n_k_tiles > 0)
        CUDA_LAUNCH(c, blocks_of(p, p->n_k_tiles), THREADS, n_bytes, attn_float_dkv_kernel, job);
    if (p->n_q_tiles > 0)
        cuda_attn_dbias(c, a, p);
}
