/* models/cuda_attn_bf16.cuh: tiles of bf16 and their products on the tensor cores, for the two files of bf16
 * attention.
 *
 * A block of four warps has a tile of 64 rows of results; warp w has rows 16 w .. + 15 and goes on alone but
 * for the tiles of the other side, which all load together into shared memory. D is the width of a head,
 * padded to 32, 64 or 128 with zeros. A row takes D + 8 values of shared memory: an odd number of 16 bytes, so
 * that the eight rows of a matrix lie in different banks. Fragments are as in models/cuda_mma.cuh; what a
 * product leaves in accumulators is packed to the left factor of the next without leaving the registers. */
#ifndef MODELS_CUDA_ATTN_BF16_CUH
#define MODELS_CUDA_ATTN_BF16_CUH

#include "models/cuda_attn.cuh"
#include "models/cuda_mma.cuh"

enum { ATTN_THREADS = 128, ATTN_WARP_ROWS = 16 };

#define ATTN_LOG2E 1.44269504f
#define ATTN_LN2 0.693147181f

/* Values of a tile in shared memory. */
template <int D> struct attn_bf16 {
    enum { LD = D + 8, SIZE = ATTN_TILE * LD, CHUNKS = D / 8, STEPS = D / 16 };
};

/* Begins to copy n rows (up to 64) of d columns, at stride ld, to a tile; the rest becomes 0. */
template <int D>
__device__ static inline void attn_copy_tile(bf16 *to, const bf16 *from, size_t ld, int n, int d)
{
    enum { CHUNKS = attn_bf16<D>::CHUNKS, STEP = ATTN_THREADS / CHUNKS };
    int row = (int)threadIdx.x / CHUNKS, col = (int)threadIdx.x % CHUNKS * 8;
    uint32_t stride = (uint32_t)(ld * sizeof(bf16)); /* 32 bits: an address takes one multiplication */
    const unsigned char *at = reinterpret_cast<const unsigned char *>(from + (col < d ? col : 0));
    n = col < d ? n : 0;
#pragma unroll
    for (int i = 0; i < ATTN_TILE; i += STEP) {
        bool is_there = row + i < n;
        cuda_copy16(to + (row + i) * attn_bf16<D>::LD + col,
                    at + (size_t)(uint32_t)(is_there ? row + i : 0) * (size_t)stride, is_there);
    }
}

/* The warp's 16 rows of a tile, columns 16 step .. + 15, as a left factor. */
template <int D>
__device__ static inline void attn_left(uint32_t a[4], const bf16 *tile, int step)
{
    int lane = (int)threadIdx.x % 32, row = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane % 16;
    cuda_ldmatrix4(a, tile + row * attn_bf16<D>::LD + 16 * step + lane / 16 * 8);
}

/* acc [16, 8 N] += a [16, 16] times rows first .. + 8 N - 1 of a tile, columns 16 step .. + 15 of them */
template <int D, int N>
__device__ static inline void attn_add_nt(float acc[N][4], const uint32_t a[4], const bf16 *tile, int first,
                                          int step)
{
    int lane = (int)threadIdx.x % 32;
    int row = first + lane / 16 * 8 + lane % 8, col = 16 * step + (lane / 8 & 1) * 8;
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        uint32_t b[4];
        cuda_ldmatrix4(b, tile + (row + 8 * n) * attn_bf16<D>::LD + col);
        cuda_mma(acc[n], a, b);
        cuda_mma(acc[n + 1], a, b + 2);
    }
}

/* acc [16, D] += a [16, 16 K] times rows first .. + 16 K - 1 of a tile */
template <int D, int K>
__device__ static inline void attn_add_nn(float acc[D / 8][4], const uint32_t a[K][4], const bf16 *tile,
                                          int first)
{
    int lane = (int)threadIdx.x % 32;
    const bf16 *from = tile + (first + lane % 16) * attn_bf16<D>::LD + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < K; k++) {
#pragma unroll
        for (int n = 0; n < D / 8; n += 2) {
            uint32_t b[4];
            cuda_ldmatrix4_t(b, from + 16 * k * attn_bf16<D>::LD + 8 * n);
            cuda_mma(acc[n], a[k], b);
            cuda_mma(acc[n + 1], a[k], b + 2);
        }
    }
}

/* Accumulators of 16 x 16 N values as N left factors. */
template <int N> __device__ static inline void attn_pack(uint32_t a[N][4], const float acc[2 * N][4])
{
#pragma unroll
    for (int k = 0; k < N; k++) {
        a[k][0] = cuda_mma_pack(acc[2 * k][0], acc[2 * k][1]);
        a[k][1] = cuda_mma_pack(acc[2 * k][2], acc[2 * k][3]);
        a[k][2] = cuda_mma_pack(acc[2 * k + 1][0], acc[2 * k + 1][1]);
        a[k][3] = cuda_mma_pack(acc[2 * k + 1][2], acc[2 * k + 1][3]);
    }
}

template <int N> __device__ static inline void attn_zero(float acc[N][4])
{
#pragma unroll
    for (int n = 0; n < N; n++)
        acc[n][0] = acc[n][1] = acc[n][2] = acc[n][3] = 0;
}

/* Writes the warp's rows of a result, those below n of the block's 64, scaled by up (row g) and down (row
 * g + 8); its rows of tile, which nobody else may be using, are where 16 bytes come together. */
template <int D>
__device__ static inline void attn_store(bf16 *to, size_t ld, int n, int d, const float acc[D / 8][4], float up,
                                         float down, bf16 *tile)
{
    enum { LD = attn_bf16<D>::LD, CHUNKS = attn_bf16<D>::CHUNKS };
    int lane = (int)threadIdx.x % 32, first = (int)threadIdx.x / 32 * ATTN_WARP_ROWS;
    bf16 *own = tile + first * LD + lane / 4 * LD + lane % 4 * 2;
    __syncwarp();
#pragma unroll
    for (int k = 0; k < D / 8; k++) {
        *reinterpret_cast<uint32_t *>(own + 8 * k) = cuda_mma_pack(acc[k][0] * up, acc[k][1] * up);
        *reinterpret_cast<uint32_t *>(own + 8 * LD + 8 * k) = cuda_mma_pack(acc[k][2] * down, acc[k][3] * down);
    }
    __syncwarp();
    for (int i = lane; i < ATTN_WARP_ROWS * CHUNKS; i += 32) {
        int row = first + i / CHUNKS, col = i % CHUNKS * 8;
        if (row < n && col < d)
            *reinterpret_cast<uint4 *>(to + (size_t)row * ld + (size_t)col) =
                *reinterpret_cast<const uint4 *>(tile + row * LD + col);
    }
}

/* A thread's value of the bias of a pair of tiles, and what it takes to have the next pair's in time. In shared
 * memory bias[k], k = 0 .. 127, is log2(e) times the bias of distance + k - 63, for tiles whose first query and
 * key are `distance` apart; the pair (i, j) finds its own at j - i + 63. What is not seen for being ahead of the
 * query has -infinity. */
struct attn_bias_ahead {
    float own;
    int at, bucket; /* own's distance; the next one's bucket */
};

__device__ static inline int attn_bias_bucket(const struct attn_plan &p, int distance)
{
    return p.bias ? attn_bucket(p, distance) : 0;
}

__device__ static inline float attn_bias_at(const struct attn_plan &p, int head, int bucket, int distance)
{
    if (p.is_causal && distance > 0)
        return -INFINITY;
    return p.bias ? ATTN_LOG2E * p.bias[bucket * p.n_heads + head] : 0.0f;
}

/* Goes on to the pair of tiles that is `step` further apart, and begins to load from there on. */
__device__ static inline void attn_bias_next(struct attn_bias_ahead &b, const struct attn_plan &p, int head,
                                             int step)
{
    b.at += step;
    b.own = attn_bias_at(p, head, b.bucket, b.at);
    b.bucket = attn_bias_bucket(p, b.at + step);
}

__device__ static inline struct attn_bias_ahead attn_bias_first(const struct attn_plan &p, int head, int distance,
                                                                int step)
{
    struct attn_bias_ahead b = {0, distance + (int)threadIdx.x - (ATTN_TILE - 1) - step, 0};
    b.bucket = attn_bias_bucket(p, b.at + step);
    attn_bias_next(b, p, head, step);
    return b;
}

/* The warp's 16 rows of a tile as left factors, for narrow heads in registers once and for all. */
template <int D> struct attn_held {
    enum { STEPS = D / 16, IS_HELD = D <= 64 };
    uint32_t a[IS_HELD ? STEPS : 1][4];
};

template <int D> __device__ static inline void attn_hold(struct attn_held<D> &h, const bf16 *tile)
{
#pragma unroll
    for (int step = 0; attn_held<D>::IS_HELD && step < D / 16; step++)
        attn_left<D>(h.a[attn_held<D>::IS_HELD ? step : 0], tile, step);
}

/* acc += the rows of h, which lie in tile too, times 8 N rows of another tile */
template <int D, int N>
__device__ static inline void attn_add_held(float acc[N][4], struct attn_held<D> &h, const bf16 *tile,
                                            const bf16 *other, int first, int step)
{
    if (!attn_held<D>::IS_HELD)
        attn_left<D>(h.a[0], tile, step);
    attn_add_nt<D, N>(acc, h.a[attn_held<D>::IS_HELD ? step : 0], other, first, step);
}

/* Dropout's bits of a warp's rows and a tile's 64 keys. Lane l makes, or reads, those of row l % 16 and keys
 * 32 (l / 16) .. + 31, so that no block of random numbers is made twice; then each gets those of its rows g and
 * g + 8: bits[h][w], of row g + 8 h and keys 32 w .. + 31. */
struct attn_row_keep {
    uint32_t owner, index; /* of row lane % 16 */
};

__device__ static inline struct attn_row_keep attn_row_keep_of(const struct attn_plan &p, int row, int n)
{
    int lane = (int)threadIdx.x % 32, i = (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane % 16;
    size_t at = (size_t)(row + (i < n ? i : 0));
    struct attn_row_keep k = {p.drop.owner[at], p.drop.index[at]};
    return k;
}

/* Where the lane's word of the tile of keys from `key` on is kept; NULL: nowhere, or the row or the keys do not
 * exist. */
__device__ static inline uint32_t *attn_row_kept(const struct attn_plan &p, const struct attn_tile &t, int head,
                                                 int key)
{
    int lane = (int)threadIdx.x % 32;
    int row = t.first + (int)threadIdx.x / 32 * ATTN_WARP_ROWS + lane % 16;
    key += lane / 16 * 32;
    return p.keep && row < t.n_q && key < t.n_k ? attn_kept(p, t, head, key) + row : NULL;
}

__device__ static inline uint32_t attn_row_make(const struct attn_plan &p, const struct attn_row_keep &k,
                                                int head, int key)
{
    return attn_keep32(p.drop, k.owner, k.index, head, key + (int)threadIdx.x % 32 / 16 * 32);
}

__device__ static inline void attn_row_bits(uint32_t bits[2][2], uint32_t own)
{
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
        for (int w = 0; w < 2; w++)
            bits[h][w] = __shfl_sync(0xffffffffu, own, lane / 4 + 8 * h + 16 * w);
}

/* Says what bf16 attention cannot do. */
static inline bool attn_fits_bf16(struct cuda *c, const struct attn_args *a)
{
    if (a->d_kv % 8 == 0 && a->d_kv <= ATTN_MAX_D_BF16)
        return true;
    if (!c->failure.code)
        err_set(&c->failure, ERR_LIMIT,
                "cuda, bf16: attention: expected heads of a multiple of 8 up to %d values, got %d",
                (int)ATTN_MAX_D_BF16, a->d_kv);
    return false;
}

#endif
