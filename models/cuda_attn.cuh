/* models/cuda_attn.cuh: what the kernels of attention share: work lists, bias by distance, dropout's bits.
 *
 * A block has one tile of ATTN_TILE queries (or of keys) of one sequence and one head; nothing is padded to
 * a common length. Backward computes probabilities again from lse:
 *   p_ij = exp(s_ij - lse_i)   D_i = sum_c do_ic o_ic = sum_j p_ij m_ij (do_i . v_j)
 *   ds_ij = p_ij (m_ij (do_i . v_j) - D_i)   dv_j = sum_i p_ij m_ij do_i
 *   dq_i = sum_j ds_ij k_j   dk_j = sum_i ds_ij q_i   dbias(b) = sum of ds_ij with bucket(j - i) = b
 * m is dropout's mask, 0 or the scale. A kernel with a block per tile of queries gives D and dq, then one
 * with a block per tile of keys gives dk and dv: no two blocks add to the same place. (One kernel for all
 * three would write dq in parts of float32, one for each tile of keys, for a third to add up.) */
#ifndef MODELS_CUDA_ATTN_CUH
#define MODELS_CUDA_ATTN_CUH

#include "models/cuda.cuh"

enum {
    ATTN_TILE = 64,
    ATTN_SPAN = 2 * ATTN_TILE, /* room for the 2 ATTN_TILE - 1 distances of a pair of tiles */
    ATTN_MAX_D_BF16 = 128,
    ATTN_MAX_D_ONE = 128,
};

/* Where a tile lies: the sequence's rows and position, and the tile's first query or key in it. */
struct attn_tile {
    int32_t q0, n_q, pos, k0, n_k, first;
    int32_t slot; /* number of the sequence's first tile of queries, where no tile was sorted: attn_stat */
    int32_t keep; /* where the sequence's dropout bits begin, for one head: attn_kept */
};

/* The part of a call that does not depend on the type of values. All pointers are device memory. */
struct attn_plan {
    const struct attn_tile *q_tiles, *k_tiles; /* longest work first; k_tiles in backward only */
    const struct attn_tile *one_tiles;         /* forward: single queries, which are not in q_tiles */
    int n_q_tiles, n_k_tiles, n_one_tiles, n_heads, d;
    size_t ld_q, ld_kv, ld_o;
    bool is_causal;
    int reach, n_buckets;
    const float *bias;               /* [n_buckets, n_heads] or NULL */
    const int32_t *bucket;           /* of distances -reach .. reach, where bias or partial is there */
    float *lse, *delta;              /* [query rows, n_heads]; delta is D, of float32 */
    float *stat;                     /* bf16: lse and D by tiles, attn_stat */
    float *partial;                  /* [n_q_tiles, n_heads, n_buckets] of the bias's gradient, or NULL */
    struct cuda_drop drop;
    uint32_t *keep; /* dropout's bits, from forward to backward; NULL in forward: they are not kept */
    bool makes_keep; /* backward: forward has not kept them */
};

template <typename T> struct attn_job {
    struct attn_plan plan;
    const T *q, *k, *v, *dout;
    T *o, *dq, *dk, *dv;
};

/* cuda_attn_plan.cu. False: the failure is kept, do nothing. is_bf16: backward has stat, and keep where there
 * is dropout. */
bool cuda_attn_plan(struct cuda *c, const struct attn_args *a, bool is_backward, bool is_bf16,
                    struct attn_plan *out);
/* dbias_table += the blocks' partial sums, in the order of the tiles */
void cuda_attn_dbias(struct cuda *c, const struct attn_args *a, const struct attn_plan *p);

template <typename T>
static inline bool attn_job_of(struct cuda *c, const struct attn_args *a, bool is_backward,
                               struct attn_job<T> *job)
{
    job->q = (const T *)a->q;
    job->k = (const T *)a->k;
    job->v = (const T *)a->v;
    job->dout = (const T *)a->dout;
    job->o = (T *)a->o;
    job->dq = (T *)a->dq;
    job->dk = (T *)a->dk;
    job->dv = (T *)a->dv;
    return cuda_attn_plan(c, a, is_backward, sizeof(T) == sizeof(bf16), &job->plan);
}

/* cuda_attn_one.cu: forward of sequences of one query without dropout, as in decoding: whether a call's are
 * done that way (what else is in the call does not matter), and doing it. */
bool cuda_attn_has_one(const struct attn_args *a);
template <typename T> void cuda_attn_one(struct cuda *c, const struct attn_job<T> *job);

/* --- in kernels --- */

/* Keys that queries before number `end` of the sequence see. */
__device__ static inline int attn_keys_seen(const struct attn_plan &p, const struct attn_tile &t, int end)
{
    int seen = p.is_causal ? t.pos + end : t.n_k;
    return seen < t.n_k ? seen : t.n_k;
}

/* Dropout's bits of a sequence and head stand as [words of 32 keys][queries, to a multiple of 4]. */
__host__ __device__ static inline int attn_keep_words(int n_k)
{
    return n_k > 0 ? (n_k + 31) / 32 : 0;
}

__host__ __device__ static inline int attn_keep_rows(int n_q)
{
    return n_q > 0 ? (n_q + 3) / 4 * 4 : 0;
}

/* The word of query 0 and keys `key` .. + 31; further queries follow. key is a multiple of 32 below n_k. */
__device__ static inline uint32_t *attn_kept(const struct attn_plan &p, const struct attn_tile &t, int head,
                                             int key)
{
    size_t rows = (size_t)attn_keep_rows(t.n_q), words = (size_t)attn_keep_words(t.n_k);
    return p.keep + (size_t)t.keep * (size_t)p.n_heads + ((size_t)head * words + (size_t)(key / 32)) * rows;
}

/* lse in units of log2 and D of a tile's queries and a head, [ATTN_TILE][2]. Past the last query lse is infinite,
 * which makes p 0. query: the tile's first in the sequence. */
__device__ static inline float *attn_stat(const struct attn_plan &p, const struct attn_tile &t, int query,
                                          int head)
{
    size_t slot = (size_t)(t.slot + query / ATTN_TILE);
    return p.stat + (slot * (size_t)p.n_heads + (size_t)head) * (2 * ATTN_TILE);
}

/* First tile of queries that sees a key of the tile of keys. */
__device__ static inline int attn_first_query(const struct attn_plan &p, const struct attn_tile &t)
{
    int first = p.is_causal ? t.first - t.pos : 0;
    return first > 0 ? first / ATTN_TILE * ATTN_TILE : 0;
}

/* Bucket of a distance: those beyond reach are in the last, or do not occur and are asked for by rows past
 * the end. */
__device__ static inline int attn_bucket(const struct attn_plan &p, int distance)
{
    int at = distance < -p.reach ? -p.reach : distance;
    return p.bucket[p.reach + (at < p.reach ? at : p.reach)];
}

__device__ static inline float attn_bias(const struct attn_plan &p, int head, int distance)
{
    if (!p.bias)
        return 0;
    return p.bias[attn_bucket(p, distance) * p.n_heads + head];
}

/* Bit b: dropout keeps key `key` + b of a query row. key is a multiple of 32; col = head * 65536 + key. */
__device__ static inline uint32_t attn_keep32(const struct cuda_drop &d, uint32_t owner, uint32_t index,
                                              int head, int key)
{
    uint32_t bits = 0, col8 = (uint32_t)head * 8192u + (uint32_t)key / 8u;
    uint32_t dropped = (d.threshold << 16) - 1; /* largest 32 bits whose upper half is below the threshold */
#pragma unroll
    for (int b = 0; b < 4; b++) {
        struct rng4 w = dropout_words(d.seed, d.site, owner, index, col8 + (uint32_t)b);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            bits |= (uint32_t)((w.v[i] & 0xffffu) >= d.threshold) << (8 * b + 2 * i);
            bits |= (uint32_t)(w.v[i] > dropped) << (8 * b + 2 * i + 1);
        }
    }
    return bits;
}

/* sums[b] += the gradients of the distances in bucket b, one pair of tiles' ds [ATTN_TILE][ld], in fixed
 * order. distance is that of query 0 and key 0 of the pair. Before and after it: __syncthreads(). */
__device__ static inline void attn_add_buckets(const struct attn_plan &p, const float *ds, int ld,
                                               int distance, float *by_distance, float *sums)
{
    int thread = (int)threadIdx.x;
    for (int t = thread; t < ATTN_SPAN - 1; t += (int)blockDim.x) {
        float sum = 0;
        for (int row = 0; row < ATTN_TILE; row++) {
            int col = row + t - (ATTN_TILE - 1);
            if (col >= 0 && col < ATTN_TILE)
                sum += ds[row * ld + col];
        }
        by_distance[t] = sum;
    }
    __syncthreads();
    for (int b = thread; b < p.n_buckets; b += (int)blockDim.x) {
        float sum = sums[b];
        for (int t = 0; t < ATTN_SPAN - 1; t++)
            if (attn_bucket(p, distance + t - (ATTN_TILE - 1)) == b)
                sum += by_distance[t];
        sums[b] = sum;
    }
}

#endif
