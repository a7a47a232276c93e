/* models/cpu_attn.c: attention of packed sequences; a task is one sequence and one head. */
#include <math.h>
#include <string.h>

#include "models/cpu.h"
#include "models/t5_bucket.h"

struct attn_call {
    struct cpu *c;
    struct attn_args a;
    float *partial; /* [n_seqs, n_heads, n_buckets] of the bias's gradient */
};

struct attn_task {
    int seq, head, n_q, n_k, pos;
    size_t q0, k0;
};

static struct attn_task attn_task(const struct attn_args *a, int task)
{
    int s = task / a->n_heads;
    return (struct attn_task){.seq = s, .head = task % a->n_heads, .n_q = a->q_len[s], .n_k = a->k_len[s],
                              .pos = a->q_pos ? a->q_pos[s] : 0, .q0 = (size_t)a->q_start[s],
                              .k0 = (size_t)a->k_start[s]};
}

static int attn_bucket(const struct attn_args *a, const struct attn_task *t, int i, int j)
{
    return t5_bucket(j - (t->pos + i), a->is_bidirectional, a->n_buckets, a->max_distance);
}

/* s [n] of query i, and how many keys it sees. */
static int attn_scores(const struct attn_args *a, const struct attn_task *t, int i, float *s)
{
    size_t col = (size_t)t->head * (size_t)a->d_kv;
    const float *q = a->q + (t->q0 + (size_t)i) * a->ld_q + col;
    int n = a->is_causal ? cpu_min(t->n_k, t->pos + i + 1) : t->n_k;
    for (int j = 0; j < n; j++) {
        const float *k = a->k + (t->k0 + (size_t)j) * a->ld_kv + col;
        float sum = 0;
        for (int l = 0; l < a->d_kv; l++)
            sum += q[l] * k[l];
        if (a->bias_table)
            sum += a->bias_table[attn_bucket(a, t, i, j) * a->n_heads + t->head];
        s[j] = sum;
    }
    return n;
}

static void attn_forward(void *arg, int task, int thread)
{
    const struct attn_call *p = arg;
    const struct attn_args *a = &p->a;
    struct attn_task t = attn_task(a, task);
    float *s = cpu_scratch_of(p->c, thread), *mask = s + t.n_k;
    size_t col = (size_t)t.head * (size_t)a->d_kv;
    for (int i = 0; i < t.n_q; i++) {
        int row = (int)t.q0 + i, n = attn_scores(a, &t, i, s);
        float *o = a->o + (size_t)row * a->ld_o + col;
        float top = -INFINITY, sum = 0;
        for (int j = 0; j < n; j++)
            top = fmaxf(top, s[j]);
        for (int j = 0; j < n; j++)
            sum += s[j] = expf(s[j] - top);
        a->lse[(size_t)row * (size_t)a->n_heads + (size_t)t.head] = top + logf(sum);
        if (cpu_drops(&a->drop))
            cpu_mask(mask, n, &a->drop, row, (uint32_t)t.head * 65536u);
        memset(o, 0, (size_t)a->d_kv * sizeof(*o));
        for (int j = 0; j < n; j++) {
            const float *v = a->v + (t.k0 + (size_t)j) * a->ld_kv + col;
            float w = s[j] / sum * (cpu_drops(&a->drop) ? mask[j] : 1);
            for (int l = 0; l < a->d_kv; l++)
                o[l] += w * v[l];
        }
    }
}

static int attn_max_keys(const struct attn_args *a)
{
    int n = 0;
    for (int s = 0; s < a->n_seqs; s++)
        n = a->k_len[s] > n ? a->k_len[s] : n;
    return n;
}

void cpu_attention(struct backend *b, const struct attn_args *a)
{
    struct attn_call p = {.c = cpu_of(b), .a = *a};
    if (cpu_scratch(p.c, 4 * (size_t)attn_max_keys(a)))
        team_run(p.c->team, a->n_seqs * a->n_heads, attn_forward, &p);
}

static void attn_zero(float *x, size_t ld, size_t row, int n, size_t col, int d)
{
    for (int i = 0; i < n; i++)
        memset(x + (row + (size_t)i) * ld + col, 0, (size_t)d * sizeof(*x));
}

static void attn_backward_row(const struct attn_call *p, const struct attn_task *t, int i, float *s,
                              float *mask)
{
    const struct attn_args *a = &p->a;
    size_t row = t->q0 + (size_t)i, col = (size_t)t->head * (size_t)a->d_kv;
    const float *q = a->q + row * a->ld_q + col, *o = a->dout + row * a->ld_o + col;
    float *dq = a->dq + row * a->ld_q + col, *dp = mask + t->n_k, dot = 0;
    float lse = a->lse[row * (size_t)a->n_heads + (size_t)t->head];
    int n = attn_scores(a, t, i, s);
    for (int j = 0; j < n; j++)
        mask[j] = 1;
    if (cpu_drops(&a->drop))
        cpu_mask(mask, n, &a->drop, (int)row, (uint32_t)t->head * 65536u);
    for (int j = 0; j < n; j++) {
        size_t key = (t->k0 + (size_t)j) * a->ld_kv + col;
        s[j] = expf(s[j] - lse);
        dp[j] = 0;
        for (int l = 0; l < a->d_kv; l++) {
            dp[j] += o[l] * a->v[key + (size_t)l];
            a->dv[key + (size_t)l] += s[j] * mask[j] * o[l];
        }
        dp[j] *= mask[j];
        dot += s[j] * dp[j];
    }
    for (int j = 0; j < n; j++) {
        size_t key = (t->k0 + (size_t)j) * a->ld_kv + col;
        float ds = s[j] * (dp[j] - dot);
        for (int l = 0; l < a->d_kv; l++) {
            dq[l] += ds * a->k[key + (size_t)l];
            a->dk[key + (size_t)l] += ds * q[l];
        }
        if (a->dbias_table)
            p->partial[(t->seq * a->n_heads + t->head) * a->n_buckets + attn_bucket(a, t, i, j)] += ds;
    }
}

static void attn_backward(void *arg, int task, int thread)
{
    const struct attn_call *p = arg;
    const struct attn_args *a = &p->a;
    struct attn_task t = attn_task(a, task);
    float *s = cpu_scratch_of(p->c, thread);
    size_t col = (size_t)t.head * (size_t)a->d_kv;
    attn_zero(a->dq, a->ld_q, t.q0, t.n_q, col, a->d_kv);
    attn_zero(a->dk, a->ld_kv, t.k0, t.n_k, col, a->d_kv);
    attn_zero(a->dv, a->ld_kv, t.k0, t.n_k, col, a->d_kv);
    for (int i = 0; i < t.n_q; i++)
        attn_backward_row(p, &t, i, s, s + t.n_k);
}

void cpu_attention_backward(struct backend *b, const struct attn_args *a)
{
    struct attn_call p = {.c = cpu_of(b), .a = *a};
    size_t n = a->dbias_table ? (size_t)a->n_seqs * (size_t)(a->n_heads * a->n_buckets) : 0;
    if (!cpu_scratch(p.c, 4 * (size_t)attn_max_keys(a)) || !cpu_shared(p.c, n + 1))
        return;
    p.partial = p.c->shared;
    memset(p.partial, 0, n * sizeof(float));
    team_run(p.c->team, a->n_seqs * a->n_heads, attn_backward, &p);
    for (int s = 0; a->dbias_table && s < a->n_seqs; s++)
        for (int h = 0; h < a->n_heads; h++)
            for (int k = 0; k < a->n_buckets; k++)
                a->dbias_table[k * a->n_heads + h] += p.partial[(s * a->n_heads + h) * a->n_buckets + k];
}
