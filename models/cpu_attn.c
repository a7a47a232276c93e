/* models/cpu_attn.c: attention of packed sequences, see models/cpu_attn.h: the calls, and their tasks in float32. */
#include <math.h>
#include <string.h>

#include "models/cpu_attn.h"
#include "models/cpu_math.h"
#include "models/cpu_one.h"
#include "models/cpu_softmax.h"
#include "models/t5_bucket.h"

static size_t tile_stride(int n_k)
{
    return n_k > 0 ? attn_padded(n_k) : ATTN_PAD;
}

static int tile_rows(int n_k)
{
    int rows = ATTN_TILE_VALUES / (int)tile_stride(n_k);
    return rows < 16 ? 16 : cpu_min(rows, 128);
}

struct attn_task attn_task(const struct attn_args *a, int task)
{
    int s = task / a->n_heads, head = task % a->n_heads;
    return (struct attn_task){.seq = s, .head = head, .n_q = a->q_len[s], .n_k = a->k_len[s],
                              .pos = a->q_pos ? a->q_pos[s] : 0, .tile = tile_rows(a->k_len[s]),
                              .q0 = (size_t)a->q_start[s], .k0 = (size_t)a->k_start[s],
                              .col = (size_t)head * (size_t)a->d_kv, .ld = tile_stride(a->k_len[s])};
}

static struct attn_call attn_call(struct backend *b, const struct attn_args *a)
{
    struct attn_call p = {.c = cpu_of(b), .a = *a};
    int high = 0;
    for (int task = 0; task < a->n_seqs * a->n_heads; task += a->n_heads) {
        struct attn_task t = attn_task(a, task);
        size_t tile = (size_t)cpu_min(t.tile, t.n_q) * t.ld;
        p.max_tile = tile > p.max_tile ? tile : p.max_tile;
        p.max_row = cpu_mask_room(t.n_k) > p.max_row ? cpu_mask_room(t.n_k) : p.max_row;
        p.max_q = (size_t)t.n_q > p.max_q ? (size_t)t.n_q : p.max_q;
        p.max_k = (size_t)t.n_k > p.max_k ? (size_t)t.n_k : p.max_k;
        p.low = cpu_min(p.low, 1 - t.pos - t.n_q);
        if (!a->is_causal && t.n_k - 1 > high)
            high = t.n_k - 1;
    }
    p.n_distances = high - p.low + 1;
    return p;
}

/* Spreads the bias table out by distance. false when memory is gone. */
static bool attn_tables(struct attn_call *p, bool is_backward)
{
    const struct attn_args *a = &p->a;
    size_t n = (size_t)p->n_distances, room = n + ATTN_PAD, heads = (size_t)a->n_heads;
    size_t n_partial = is_backward && a->dbias_table ? (size_t)a->n_seqs * heads * (size_t)a->n_buckets : 0;
    if (!a->bias_table && !n_partial)
        return true;
    if (!cpu_shared(p->c, room * (heads + 1) + n_partial))
        return false;
    float *bias = p->c->shared;
    int32_t *bucket = (int32_t *)(void *)(bias + room * heads);
    p->partial = n_partial ? bias + room * (heads + 1) : NULL;
    if (n_partial)
        memset(p->partial, 0, n_partial * sizeof(float));
    for (size_t k = 0; k < n; k++) {
        bucket[k] = t5_bucket(p->low + (int)k, a->is_bidirectional, a->n_buckets, a->max_distance);
        for (size_t h = 0; a->bias_table && h < heads; h++)
            bias[h * room + k] = a->bias_table[(size_t)bucket[k] * heads + h];
    }
    p->bias = a->bias_table ? bias : NULL;
    p->bucket = bucket;
    return true;
}

void attn_to_buckets(const struct attn_call *p, int task, const float *by_distance)
{
    float *sums = p->partial + (size_t)task * (size_t)p->a.n_buckets;
    for (int k = 0; k < p->n_distances; k++)
        sums[p->bucket[k]] += by_distance[k];
}

/* s + bias of query i over its n keys, then -1e30 as padding: e^s is as good as 0 there. */
CPU_INLINE void add_bias(const struct attn_call *p, const struct attn_task *t, int i, float *s, int n)
{
    size_t end = attn_padded(n);
    const float *bias = attn_bias_of(p, t, i);
    if (bias) {
#pragma omp simd
        for (size_t j = 0; j < end; j++)
            s[j] += bias[j];
    }
    for (size_t j = (size_t)n; j < end; j++)
        s[j] = -1e30f;
}

/* Scores of queries i0 .. i0 + rows - 1 to dropped probabilities, 0 up to n_seen; writes lse. */
CPU_KERNEL static void softmax_tile(const struct attn_call *p, const struct attn_task *t, int i0,
                                    int rows, int n_seen, float *tile, float *mask)
{
    const struct attn_args *a = &p->a;
    bool drops = cpu_drops(&a->drop);
    for (int i = i0; i < i0 + rows; i++) {
        float *s = tile + (size_t)(i - i0) * t->ld, top;
        int n = attn_keys_seen(a, t, i + 1);
        size_t row = t->q0 + (size_t)i, end = attn_padded(n);
        add_bias(p, t, i, s, n);
        float sum = cpu_exps(s, end, &top);
        a->lse[row * (size_t)a->n_heads + (size_t)t->head] = top + logf(sum);
        float scale = 1 / sum;
        if (drops) {
            cpu_mask(mask, n, &a->drop, row, (uint32_t)t->head * 65536u);
#pragma omp simd
            for (size_t j = 0; j < end; j++)
                s[j] *= scale * mask[j];
        } else {
#pragma omp simd
            for (size_t j = 0; j < end; j++)
                s[j] *= scale;
        }
        for (int j = n; j < n_seen; j++)
            s[j] = 0;
    }
}

/* A task's own copies of its head's rows where values are bfloat16, in float32; none else. */
struct attn_rooms {
    float *q, *k, *v, *o, *dq, *dk, *dv;
};

static size_t rooms_size(const struct attn_call *p, bool is_backward)
{
    size_t d = (size_t)p->a.d_kv, q = p->max_q * d, k = p->max_k * d;
    if (!p->c->is_bf16)
        return 0;
    return is_backward ? 3 * q + 4 * k : 2 * q + 2 * k;
}

static struct attn_rooms rooms_of(const struct attn_call *p, float *at)
{
    size_t d = (size_t)p->a.d_kv, q = p->max_q * d, k = p->max_k * d;
    float *keys = at + 2 * q, *grad = keys + 2 * k;
    return (struct attn_rooms){at, keys, keys + k, at + q, grad, grad + q, grad + q + k};
}

/* One head's rows of values in float32. */
static struct cpu_block head_rows(const struct attn_call *p, const void *x, size_t ld, size_t row, int n,
                                  size_t col, float *room)
{
    return cpu_wide_block(p->c, x, row * ld + col, ld, n, p->a.d_kv, room);
}

/* Where such rows may be written in float32. */
struct target {
    float *at;
    size_t ld;
};

static struct target target_of(const struct attn_call *p, void *x, size_t ld, size_t row, size_t col, float *room)
{
    if (p->c->is_bf16)
        return (struct target){room, (size_t)p->a.d_kv};
    return (struct target){(float *)x + row * ld + col, ld};
}

static void zero_rows(const struct target *t, int n, int d)
{
    for (size_t i = 0; i < (size_t)n; i++)
        memset(t->at + i * t->ld, 0, (size_t)d * sizeof(float));
}

static void attn_forward(void *arg, int task, int thread)
{
    const struct attn_call *p = arg;
    const struct attn_args *a = &p->a;
    struct attn_task t = attn_task(a, task);
    float *s = cpu_scratch_of(p->c, thread);
    struct attn_rooms r = rooms_of(p, s + p->max_tile + p->max_row);
    struct cpu_block q = head_rows(p, a->q, a->ld_q, t.q0, t.n_q, t.col, r.q);
    struct cpu_block k = head_rows(p, a->k, a->ld_kv, t.k0, t.n_k, t.col, r.k);
    struct cpu_block v = head_rows(p, a->v, a->ld_kv, t.k0, t.n_k, t.col, r.v);
    struct target o = target_of(p, a->o, a->ld_o, t.q0, t.col, r.o);
    for (int i0 = 0; i0 < t.n_q; i0 += t.tile) {
        int rows = cpu_min(t.tile, t.n_q - i0), n_seen = attn_keys_seen(a, &t, i0 + rows);
        cpu_gemm(false, true, rows, n_seen, a->d_kv, 1, q.at + (size_t)i0 * q.ld, q.ld, k.at, k.ld, 0, s, t.ld);
        softmax_tile(p, &t, i0, rows, n_seen, s, s + p->max_tile);
        cpu_gemm(false, false, rows, a->d_kv, n_seen, 1, s, t.ld, v.at, v.ld, 0, o.at + (size_t)i0 * o.ld, o.ld);
    }
    cpu_stored_block(p->c, a->o, t.q0 * a->ld_o + t.col, a->ld_o, t.n_q, a->d_kv, r.o);
}

static bool takes_bf16(const struct attn_call *p)
{
    return p->c->has_dots && p->a.d_kv % 2 == 0;
}

/* Scratch of attn_single: scores of all heads, a mask, and the query or the output in float32. */
static size_t single_size(const struct attn_call *p)
{
    size_t heads = (size_t)p->a.n_heads;
    return heads * tile_stride((int)p->max_k) + p->max_row + heads * (size_t)p->a.d_kv;
}

/* All heads of the one query of a sequence. */
static void attn_single(void *arg, int task, int thread)
{
    const struct attn_call *p = arg;
    const struct attn_args *a = &p->a;
    struct attn_task t = attn_task(a, task * a->n_heads);
    if (t.n_q == 0)
        return;
    size_t heads = (size_t)a->n_heads, d = heads * (size_t)a->d_kv, keys = t.k0 * a->ld_kv, to = t.q0 * a->ld_o;
    float *s = cpu_scratch_of(p->c, thread), *mask = s + heads * t.ld, *room = mask + p->max_row;
    int n = attn_keys_seen(a, &t, 1);
    const float *q = cpu_wide(p->c, a->q, t.q0 * a->ld_q, d, room);
    cpu_one_scores(p->c->is_bf16, s, t.ld, q, cpu_const_at(p->c, a->k, keys), a->ld_kv, n, a->n_heads, a->d_kv);
    for (int head = 0; head < a->n_heads; head++) {
        t = attn_task(a, task * a->n_heads + head);
        softmax_tile(p, &t, 0, 1, n, s + (size_t)head * t.ld, mask);
    }
    cpu_one_mix(p->c->is_bf16, cpu_store(p->c, a->o, to, room), s, t.ld, cpu_const_at(p->c, a->v, keys), a->ld_kv, n,
                a->n_heads, a->d_kv);
    cpu_stored(p->c, a->o, to, d, room);
}

void cpu_attention(struct backend *b, const struct attn_args *a)
{
    struct attn_call p = attn_call(b, a);
    bool is_single = p.max_q <= 1, is_bf16 = !is_single && takes_bf16(&p);
    size_t plain = is_single ? single_size(&p) : p.max_tile + p.max_row + rooms_size(&p, false);
    if (!cpu_scratch(p.c, is_bf16 ? cpu_attn_bf16_scratch(&p, false) : plain) || !attn_tables(&p, false))
        return;
    if (is_single)
        team_run(p.c->team, a->n_seqs, attn_single, &p);
    else
        team_run(p.c->team, a->n_seqs * a->n_heads, is_bf16 ? cpu_attn_bf16_forward : attn_forward, &p);
}

/* One task's memory: two tiles, a row, and the gradient of the bias by distance. Its rows in float32. */
struct attn_scratch {
    float *s, *dp, *mask, *by_distance;
    struct cpu_block q, k, v, dout;
    struct target dq, dk, dv;
};

/* Scores s and dp = dout v^T of a tile become the dropped probabilities and ds. Per row, with mask m:
 *   p = exp(s - lse)   dp *= m   ds = p (dp - sum_j p_j dp_j)   s = p m */
CPU_KERNEL static void softmax_tile_backward(const struct attn_call *p, const struct attn_task *t,
                                             int i0, int rows, int n_seen, const struct attn_scratch *at)
{
    const struct attn_args *a = &p->a;
    bool drops = cpu_drops(&a->drop);
    float *mask = at->mask;
    for (int i = i0; i < i0 + rows; i++) {
        float *s = at->s + (size_t)(i - i0) * t->ld, *dp = at->dp + (size_t)(i - i0) * t->ld, dot = 0;
        int n = attn_keys_seen(a, t, i + 1);
        size_t row = t->q0 + (size_t)i, end = attn_padded(n);
        float lse = a->lse[row * (size_t)a->n_heads + (size_t)t->head];
        add_bias(p, t, i, s, n);
        for (size_t j = (size_t)n; j < end; j++)
            dp[j] = 0;
        if (drops) {
            cpu_mask(mask, n, &a->drop, row, (uint32_t)t->head * 65536u);
#pragma omp simd
            for (size_t j = 0; j < end; j++)
                dp[j] *= mask[j];
        }
#pragma omp simd reduction(+ : dot)
        for (size_t j = 0; j < end; j++) {
            s[j] = cpu_exp(s[j] - lse);
            dot += s[j] * dp[j];
        }
#pragma omp simd
        for (size_t j = 0; j < end; j++)
            dp[j] = s[j] * (dp[j] - dot);
        if (drops) {
#pragma omp simd
            for (size_t j = 0; j < end; j++)
                s[j] *= mask[j];
        }
        size_t stop = end > (size_t)n_seen ? end : (size_t)n_seen;
        for (size_t j = (size_t)n; j < stop; j++)
            s[j] = dp[j] = 0;
        if (!p->partial)
            continue;
        float *sums = at->by_distance - (t->pos + i + p->low);
#pragma omp simd
        for (size_t j = 0; j < end; j++)
            sums[j] += dp[j];
    }
}

static void attn_backward_tile(const struct attn_call *p, const struct attn_task *t, int i0, int rows,
                               const struct attn_scratch *at)
{
    const struct attn_args *a = &p->a;
    int n = attn_keys_seen(a, t, i0 + rows), d = a->d_kv;
    const float *q = at->q.at + (size_t)i0 * at->q.ld, *dout = at->dout.at + (size_t)i0 * at->dout.ld;
    float beta = i0 == 0 ? 0 : 1; /* keys that the first tile does not see were set to 0 before */
    cpu_gemm(false, true, rows, n, d, 1, q, at->q.ld, at->k.at, at->k.ld, 0, at->s, t->ld);
    cpu_gemm(false, true, rows, n, d, 1, dout, at->dout.ld, at->v.at, at->v.ld, 0, at->dp, t->ld);
    softmax_tile_backward(p, t, i0, rows, n, at);
    cpu_gemm(true, false, n, d, rows, 1, at->s, t->ld, dout, at->dout.ld, beta, at->dv.at, at->dv.ld);
    cpu_gemm(true, false, n, d, rows, 1, at->dp, t->ld, q, at->q.ld, beta, at->dk.at, at->dk.ld);
    cpu_gemm(false, false, rows, d, n, 1, at->dp, t->ld, at->k.at, at->k.ld, 0, at->dq.at + (size_t)i0 * at->dq.ld,
             at->dq.ld);
}

static struct attn_scratch backward_scratch(const struct attn_call *p, const struct attn_task *t, float *s)
{
    const struct attn_args *a = &p->a;
    float *row = s + 2 * p->max_tile, *distances = row + p->max_row;
    struct attn_rooms r = rooms_of(p, distances + p->n_distances + ATTN_PAD);
    return (struct attn_scratch){
        .s = s,
        .dp = s + p->max_tile,
        .mask = row,
        .by_distance = distances,
        .q = head_rows(p, a->q, a->ld_q, t->q0, t->n_q, t->col, r.q),
        .k = head_rows(p, a->k, a->ld_kv, t->k0, t->n_k, t->col, r.k),
        .v = head_rows(p, a->v, a->ld_kv, t->k0, t->n_k, t->col, r.v),
        .dout = head_rows(p, a->dout, a->ld_o, t->q0, t->n_q, t->col, r.o),
        .dq = target_of(p, a->dq, a->ld_q, t->q0, t->col, r.dq),
        .dk = target_of(p, a->dk, a->ld_kv, t->k0, t->col, r.dk),
        .dv = target_of(p, a->dv, a->ld_kv, t->k0, t->col, r.dv),
    };
}

static void attn_backward(void *arg, int task, int thread)
{
    const struct attn_call *p = arg;
    const struct attn_args *a = &p->a;
    struct attn_task t = attn_task(a, task);
    struct attn_scratch at = backward_scratch(p, &t, cpu_scratch_of(p->c, thread));
    if (p->partial)
        memset(at.by_distance, 0, ((size_t)p->n_distances + ATTN_PAD) * sizeof(float));
    if (t.n_q == 0 || attn_keys_seen(a, &t, cpu_min(t.tile, t.n_q)) < t.n_k) {
        zero_rows(&at.dk, t.n_k, a->d_kv);
        zero_rows(&at.dv, t.n_k, a->d_kv);
    }
    for (int i0 = 0; i0 < t.n_q; i0 += t.tile)
        attn_backward_tile(p, &t, i0, cpu_min(t.tile, t.n_q - i0), &at);
    cpu_stored_block(p->c, a->dq, t.q0 * a->ld_q + t.col, a->ld_q, t.n_q, a->d_kv, at.dq.at);
    cpu_stored_block(p->c, a->dk, t.k0 * a->ld_kv + t.col, a->ld_kv, t.n_k, a->d_kv, at.dk.at);
    cpu_stored_block(p->c, a->dv, t.k0 * a->ld_kv + t.col, a->ld_kv, t.n_k, a->d_kv, at.dv.at);
    if (p->partial)
        attn_to_buckets(p, task, at.by_distance);
}

void cpu_attention_backward(struct backend *b, const struct attn_args *a)
{
    struct attn_call p = attn_call(b, a);
    int n_tasks = a->n_seqs * a->n_heads;
    bool is_bf16 = takes_bf16(&p);
    size_t room = 2 * p.max_tile + p.max_row + (size_t)p.n_distances + ATTN_PAD + rooms_size(&p, true);
    if (!cpu_scratch(p.c, is_bf16 ? cpu_attn_bf16_scratch(&p, true) : room) || !attn_tables(&p, true))
        return;
    team_run(p.c->team, n_tasks, is_bf16 ? cpu_attn_bf16_backward : attn_backward, &p);
    for (int task = 0; p.partial && task < n_tasks; task++)
        for (int k = 0; k < a->n_buckets; k++)
            a->dbias_table[k * a->n_heads + task % a->n_heads] += p.partial[task * a->n_buckets + k];
}
