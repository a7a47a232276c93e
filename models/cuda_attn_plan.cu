/* models/cuda_attn_plan.cu: work lists of attention, the buckets of its bias, and that bias's gradient. */
#include <stdlib.h>

#include "models/cuda_attn.cuh"
#include "models/t5_bucket.h"

enum { THREADS = 128, MAX_COST = 1024 };

static_assert(sizeof(struct attn_tile) == 8 * sizeof(int32_t), "a table's tile is eight words");

static int tiles_in(int n)
{
    return n > 0 ? (n + ATTN_TILE - 1) / ATTN_TILE : 0;
}

static int pos_of(const struct attn_args *a, int seq)
{
    return a->q_pos ? a->q_pos[seq] : 0;
}

/* Which tiles a list has: all of queries or of keys, or queries of sequences of one and of more. */
enum kind { QUERIES, KEYS, ONES, MORES };

static bool is_listed(const struct attn_args *a, enum kind kind, int seq)
{
    return kind == ONES ? a->q_len[seq] == 1 : kind != MORES || a->q_len[seq] > 1;
}

static int length(const struct attn_args *a, enum kind kind, int seq)
{
    return kind == KEYS ? a->k_len[seq] : a->q_len[seq];
}

/* Tiles of the other side that a tile meets. */
static int cost_of(const struct attn_args *a, const struct attn_tile *t, enum kind kind)
{
    int cost = tiles_in(kind == KEYS ? t->n_q : t->n_k);
    if (a->is_causal && kind != KEYS) {
        int seen = tiles_in(t->pos + t->first + ATTN_TILE);
        cost = seen < cost ? seen : cost;
    } else if (a->is_causal && t->first > t->pos) {
        int unseen = (t->first - t->pos) / ATTN_TILE;
        cost = unseen < cost ? cost - unseen : 0;
    }
    return cost < MAX_COST ? cost : MAX_COST;
}

static int count_tiles(const struct attn_args *a, enum kind kind)
{
    int n = 0;
    for (int s = 0; s < a->n_seqs; s++)
        n += is_listed(a, kind, s) ? tiles_in(length(a, kind, s)) : 0;
    return n;
}

/* Words of a sequence's dropout bits, for one head. */
static size_t keep_of(const struct attn_args *a, int seq)
{
    return (size_t)attn_keep_words(a->k_len[seq]) * (size_t)attn_keep_rows(a->q_len[seq]);
}

static size_t keep_words(const struct attn_args *a)
{
    size_t n = 0;
    for (int s = 0; s < a->n_seqs; s++)
        n += keep_of(a, s);
    return n;
}

/* The tiles in the order of the sequences, then, in sorted, by falling cost. */
static void fill_tiles(const struct attn_args *a, enum kind kind, struct attn_tile *all,
                       struct attn_tile *sorted)
{
    int n = 0, first_of[MAX_COST + 2] = {0};
    size_t keep = 0;
    int slot = 0;
    for (int s = 0; s < a->n_seqs; s++) {
        struct attn_tile t = {a->q_start[s], a->q_len[s], pos_of(a, s), a->k_start[s], a->k_len[s], 0,
                              slot, (int32_t)keep};
        slot += tiles_in(a->q_len[s]);
        keep += keep_of(a, s);
        for (; is_listed(a, kind, s) && t.first < length(a, kind, s); t.first += ATTN_TILE) {
            first_of[MAX_COST - cost_of(a, &t, kind) + 1]++;
            all[n++] = t;
        }
    }
    for (int cost = 0; cost <= MAX_COST; cost++)
        first_of[cost + 1] += first_of[cost];
    for (int i = 0; i < n; i++)
        sorted[first_of[MAX_COST - cost_of(a, &all[i], kind)]++] = all[i];
}

static bool list_tiles(struct cuda *c, const struct attn_args *a, enum kind kind,
                       const struct attn_tile **out, int *n_out)
{
    int n = count_tiles(a, kind);
    *out = NULL;
    *n_out = n;
    if (n == 0)
        return true;
    struct attn_tile *all = (struct attn_tile *)malloc(2 * (size_t)n * sizeof(*all));
    if (!all) {
        err_set(&c->failure, ERR_MEMORY, "cuda: attention: no memory for %d tiles", n);
        return false;
    }
    fill_tiles(a, kind, all, all + n);
    *out = (const struct attn_tile *)cuda_table(c, (const int32_t *)(all + n),
                                                (size_t)n * sizeof(*all) / sizeof(int32_t));
    free(all);
    return *out != NULL;
}

static bool list_all(struct cuda *c, const struct attn_args *a, bool is_backward, struct attn_plan *p)
{
    if (is_backward)
        return list_tiles(c, a, QUERIES, &p->q_tiles, &p->n_q_tiles) &&
               list_tiles(c, a, KEYS, &p->k_tiles, &p->n_k_tiles);
    if (!cuda_attn_has_one(a))
        return list_tiles(c, a, QUERIES, &p->q_tiles, &p->n_q_tiles);
    return list_tiles(c, a, ONES, &p->one_tiles, &p->n_one_tiles) &&
           list_tiles(c, a, MORES, &p->q_tiles, &p->n_q_tiles);
}

/* The largest distance that occurs, as a power of two so that it seldom changes, up to max_distance. */
static int reach_of(const struct attn_args *a)
{
    int most = 1, reach = 64;
    for (int s = 0; s < a->n_seqs; s++) {
        int back = pos_of(a, s) + a->q_len[s] - 1, ahead = a->is_causal ? 0 : a->k_len[s] - 1;
        most = back > most ? back : most;
        most = ahead > most ? ahead : most;
    }
    while (reach < most && reach < a->max_distance)
        reach *= 2;
    return reach < a->max_distance ? reach : a->max_distance;
}

/* Gives the plan its buckets, which cost two logarithms each and are kept. */
static bool find_buckets(struct cuda *c, const struct attn_args *a, struct attn_plan *p)
{
    struct cuda_buckets *b = &c->buckets[a->is_bidirectional ? 1 : 0];
    int reach = reach_of(a);
    size_t n = 2 * (size_t)reach + 1;
    if (!b->bucket || b->reach != reach || b->n_buckets != a->n_buckets || b->max_distance != a->max_distance) {
        free(b->bucket);
        b->bucket = (int32_t *)malloc(n * sizeof(*b->bucket));
        if (!b->bucket) {
            err_set(&c->failure, ERR_MEMORY, "cuda: attention: no memory for the buckets of %d distances",
                    2 * reach + 1);
            return false;
        }
        for (int k = -reach; k <= reach; k++)
            b->bucket[reach + k] = t5_bucket(k, a->is_bidirectional, a->n_buckets, a->max_distance);
        b->reach = reach;
        b->n_buckets = a->n_buckets;
        b->max_distance = a->max_distance;
    }
    p->reach = reach;
    p->bucket = cuda_table(c, b->bucket, n);
    return p->bucket != NULL;
}

/* Parts of one scratch, each a multiple of 128 bytes. */
static float *part(float **at, size_t n)
{
    float *p = *at;
    *at += (n + 31) / 32 * 32;
    return n ? p : NULL;
}

static size_t query_rows(const struct attn_args *a)
{
    size_t rows = 0;
    for (int s = 0; s < a->n_seqs; s++) {
        size_t end = (size_t)a->q_start[s] + (size_t)a->q_len[s];
        rows = end > rows ? end : rows;
    }
    return rows;
}

/* Gives the plan D, partial sums and what else backward of bf16 needs. */
static bool fill_scratch(struct cuda *c, const struct attn_args *a, bool is_bf16, struct attn_plan *p)
{
    size_t heads = (size_t)a->n_heads, n_partial = 0, n_delta = 0, n_stat = 0, n_keep = 0;
    p->makes_keep = is_bf16 && p->drop.threshold != 0 && !p->keep;
    if (a->dbias_table)
        n_partial = (size_t)p->n_q_tiles * heads * (size_t)a->n_buckets;
    if (is_bf16)
        n_stat = (size_t)p->n_q_tiles * heads * 2 * ATTN_TILE;
    else
        n_delta = query_rows(a) * heads;
    if (p->makes_keep)
        n_keep = keep_words(a) * heads;
    size_t n = n_delta + n_stat + n_partial + n_keep;
    if (n == 0)
        return true;
    float *at = (float *)cuda_scratch(c, 1, (n + 128) * sizeof(float));
    if (!at)
        return false;
    p->delta = part(&at, n_delta);
    p->stat = part(&at, n_stat);
    p->partial = part(&at, n_partial);
    if (p->makes_keep)
        p->keep = (uint32_t *)part(&at, n_keep);
    return true;
}

bool cuda_attn_plan(struct cuda *c, const struct attn_args *a, bool is_backward, bool is_bf16,
                    struct attn_plan *out)
{
    struct attn_plan p = {};
    p.n_heads = a->n_heads;
    p.d = a->d_kv;
    p.ld_q = a->ld_q;
    p.ld_kv = a->ld_kv;
    p.ld_o = a->ld_o;
    p.is_causal = a->is_causal;
    p.n_buckets = a->n_buckets;
    p.lse = a->lse;
    p.drop = cuda_drop_of(&a->drop);
    if (a->keep && p.drop.threshold != 0 && keep_words(a) <= a->n_keep / (size_t)a->n_heads)
        p.keep = a->keep;
    p.bias = a->bias_table;
    bool has_buckets = a->bias_table || (is_backward && a->dbias_table);
    if (c->failure.code || !list_all(c, a, is_backward, &p) || (has_buckets && !find_buckets(c, a, &p)) ||
        (is_backward && !fill_scratch(c, a, is_bf16, &p)))
        return false;
    *out = p;
    return true;
}

__global__ void dbias_kernel(int n_tiles, int n_heads, int n_buckets, float *dbias, const float *partial)
{
    cuda_begin();
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), n = n_heads * n_buckets;
    if (i >= n)
        return;
    float sum = 0;
#pragma unroll 8
    for (int t = 0; t < n_tiles; t++)
        sum += partial[(size_t)t * (size_t)n + (size_t)i];
    dbias[(size_t)(i % n_buckets) * (size_t)n_heads + (size_t)(i / n_buckets)] += sum;
}

void cuda_attn_dbias(struct cuda *c, const struct attn_args *a, const struct attn_plan *p)
{
    size_t n = (size_t)p->n_heads * (size_t)p->n_buckets;
    if (p->partial)
        CUDA_LAUNCH(c, cuda_blocks(n, THREADS), THREADS, 0, dbias_kernel, p->n_q_tiles, p->n_heads,
                    p->n_buckets, a->dbias_table, p->partial);
}
