/* models/cuda_attn_one.cu: attention of one query per sequence, as in decoding with a cache.
 *
 * A block has one head of one sequence. Eight lanes share a key, 8 columns each (and 8 more, 64 further, for
 * heads wider than 64), so that a warp reads whole rows; each of the block's 16 groups of lanes goes
 * through every 16th key with a maximum and a sum of its own, and the groups are added up in their order. */
#include "models/cuda_attn.cuh"

enum { THREADS = 128, GROUP = 8, GROUPS = THREADS / GROUP };

bool cuda_attn_has_one(const struct attn_args *a)
{
    return !(a->drop.p > 0) && a->d_kv <= ATTN_MAX_D_ONE;
}

/* What a group knows after its keys: o is sum_j exp(s_j - top) v_j, of PARTS times 8 columns of a lane. */
template <int PARTS> struct group_state {
    float top, sum;
    float8 o[PARTS];
};

template <typename T, int PARTS>
__device__ static inline void load_row(float8 x[PARTS], const T *row, int lane, int d)
{
#pragma unroll
    for (int i = 0; i < PARTS; i++) {
        int col = 8 * lane + 64 * i;
        x[i] = cuda_load8(row + (col < d ? col : 0), d - col);
    }
}

/* One more key for each group; not is_there: lanes only take part in the sums. */
template <typename T, int PARTS>
__device__ static inline void add_key(struct group_state<PARTS> &g, const struct attn_job<T> &job,
                                      const float8 q[PARTS], size_t from, float bias, bool is_there)
{
    float8 x[PARTS], v[PARTS];
    int lane = (int)threadIdx.x % GROUP, n = is_there ? job.plan.d : 0;
    float s = 0;
    load_row<T, PARTS>(x, job.k + from, lane, n);
    load_row<T, PARTS>(v, job.v + from, lane, n);
#pragma unroll
    for (int i = 0; i < PARTS; i++)
#pragma unroll
        for (int c = 0; c < 8; c++)
            s = fmaf(q[i].v[c], x[i].v[c], s);
    for (int i = GROUP / 2; i > 0; i /= 2)
        s += __shfl_xor_sync(0xffffffffu, s, i);
    if (!is_there)
        return;
    s += bias;
    float top = fmaxf(g.top, s), scale = expf(g.top - top), p = expf(s - top);
    g.top = top;
    g.sum = g.sum * scale + p;
#pragma unroll
    for (int i = 0; i < PARTS; i++)
#pragma unroll
        for (int c = 0; c < 8; c++)
            g.o[i].v[c] = g.o[i].v[c] * scale + p * v[i].v[c];
}

/* The groups' states, in shared memory. */
struct one_shared {
    float top[GROUPS], sum[GROUPS], o[GROUPS][ATTN_MAX_D_ONE];
};

/* o and lse from all groups; a group without keys has sum 0 */
template <typename T>
__device__ static void add_groups(const struct one_shared *w, const struct attn_job<T> &job, int row, int head)
{
    const struct attn_plan &p = job.plan;
    float top = w->top[0], sum = 0;
    for (int g = 1; g < GROUPS; g++)
        top = fmaxf(top, w->top[g]);
    for (int g = 0; g < GROUPS; g++)
        sum += w->sum[g] > 0 ? w->sum[g] * expf(w->top[g] - top) : 0.0f;
    for (int c = (int)threadIdx.x; c < p.d; c += THREADS) {
        float o = 0;
        for (int g = 0; g < GROUPS; g++)
            o += w->sum[g] > 0 ? w->o[g][c] * expf(w->top[g] - top) : 0.0f;
        job.o[(size_t)row * p.ld_o + (size_t)head * (size_t)p.d + (size_t)c] =
            cuda_value<T>(sum > 0 ? o / sum : 0.0f);
    }
    if (threadIdx.x == 0)
        p.lse[(size_t)row * (size_t)p.n_heads + (size_t)head] = sum > 0 ? top + logf(sum) : -1e30f;
}

template <typename T, int PARTS> __global__ void attn_one_kernel(struct attn_job<T> job)
{
    cuda_begin();
    CUDA_SHARED(struct one_shared, w);
    const struct attn_plan &p = job.plan;
    struct attn_tile t = p.one_tiles[(int)blockIdx.x / p.n_heads];
    int head = (int)blockIdx.x % p.n_heads, group = (int)threadIdx.x / GROUP;
    int lane = (int)threadIdx.x % GROUP, n_seen = attn_keys_seen(p, t, 1);
    size_t col = (size_t)head * (size_t)p.d;
    struct group_state<PARTS> g = {};
    float8 q[PARTS];
    g.top = -INFINITY;
    load_row<T, PARTS>(q, job.q + (size_t)t.q0 * p.ld_q + col, lane, p.d);
#pragma unroll 2
    for (int first = 0; first < n_seen; first += GROUPS) {
        int j = first + group;
        bool is_there = j < n_seen;
        size_t from = (size_t)(t.k0 + (is_there ? j : 0)) * p.ld_kv + col;
        add_key<T, PARTS>(g, job, q, from, attn_bias(p, head, j - t.pos), is_there);
    }
    if (lane == 0) {
        w->top[group] = g.top;
        w->sum[group] = g.sum;
    }
    for (int i = 0; i < PARTS; i++)
        for (int c = 0; c < 8; c++)
            if (8 * lane + 64 * i + c < p.d)
                w->o[group][8 * lane + 64 * i + c] = g.o[i].v[c];
    __syncthreads();
    add_groups(w, job, t.q0, head);
}

template <typename T>
void cuda_attn_one(struct cuda *c, const struct attn_job<T> *job)
{
    int blocks = job->plan.n_one_tiles * job->plan.n_heads;
    if (blocks == 0)
        return;
    if (job->plan.d <= 64)
        CUDA_LAUNCH(c, blocks, THREADS, sizeof(struct one_shared), (attn_one_kernel<T, 1>), *job);
    else
        CUDA_LAUNCH(c, blocks, THREADS, sizeof(struct one_shared), (attn_one_kernel<T, 2>), *job);
}

template void cuda_attn_one<float>(struct cuda *c, const struct attn_job<float> *job);
template void cuda_attn_one<bf16>(struct cuda *c, const struct attn_job<bf16> *job);
