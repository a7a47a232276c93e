/* models/cpu_absorbed.c: attention of one query per sequence without keys and values, in float32.
 *
 * ROWS sequences at a time, in three steps, of which the first and the last share out heads, the middle one sequences:
 * queries go down to x's width, scores and mixtures are made of x's rows, which all heads share and a core's cache
 * holds meanwhile, and the mixtures go up to values. */
#include "models/cpu.h"
#include "models/cpu_softmax.h"

enum { ROWS = CPU_PANEL_ROWS, PAD = 16 };

struct absorbed {
    struct cpu *c;
    const struct absorbed_args *a;
    int from, n;         /* sequences at hand */
    float *down, *mixed; /* [n, n_heads, d] each */
};

static size_t padded(int n)
{
    return n > 0 ? ((size_t)n + PAD - 1) / PAD * PAD : PAD;
}

static void mix(const struct cpu *c, const struct cpu_mix *m)
{
    if (c->mix)
        c->mix(m);
    else
        cpu_gemm(false, false, m->m, m->n, m->k, 1, m->x, m->ld_x, m->w, m->ld_w, 0, m->y, m->ld_y);
}

/* Where a head begins: in q and o of the sequences at hand, in wk and wv, in down and mixed. */
struct head_at {
    size_t ld_q, ld_d, q, w, d;
};

static struct head_at head_at(const struct absorbed *p, int head)
{
    const struct absorbed_args *a = p->a;
    size_t d = (size_t)a->d, d_kv = (size_t)a->d_kv, heads = (size_t)a->n_heads, h = (size_t)head;
    return (struct head_at){heads * d_kv, heads * d, (size_t)p->from * heads * d_kv + h * d_kv, h * d_kv * d, h * d};
}

/* down_h = q_h Wk_h */
static void query_down(void *arg, int task, int thread)
{
    (void)thread;
    const struct absorbed *p = arg;
    const struct absorbed_args *a = p->a;
    struct head_at h = head_at(p, task);
    struct cpu_mix m = {.m = p->n, .n = a->d, .k = a->d_kv, .x = (const float *)a->q + h.q, .ld_x = h.ld_q,
                        .w = (const float *)a->wk + h.w, .ld_w = (size_t)a->d, .y = p->down + h.d, .ld_y = h.ld_d};
    mix(p->c, &m);
}

/* s [heads, n] at stride ld: to probabilities */
CPU_KERNEL static void softmax(float *s, int heads, int n, size_t ld)
{
    for (int h = 0; h < heads; h++, s += ld) {
        float top;
        for (size_t j = (size_t)n; j < ld; j++)
            s[j] = -1e30f; /* e^s is as good as 0 there */
        float scale = 1 / cpu_exps(s, ld, &top);
#pragma omp simd
        for (size_t j = 0; j < ld; j++)
            s[j] *= scale;
    }
}

/* Scores and mixtures of one sequence. */
static void attend(void *arg, int task, int thread)
{
    const struct absorbed *p = arg;
    const struct absorbed_args *a = p->a;
    int n = a->x_len[p->from + task];
    size_t d = (size_t)a->d, at = (size_t)task * (size_t)a->n_heads * d, ld = padded(n);
    const float *x = (const float *)a->x + (size_t)a->x_start[p->from + task] * d;
    float *s = cpu_scratch_of(p->c, thread);
    for (int h = 0; h < a->n_heads && n > 0; h += CPU_FEW_ROWS) {
        struct cpu_few f = {.m = cpu_min(CPU_FEW_ROWS, a->n_heads - h), .n = n, .k = a->d,
                            .x = p->down + at + (size_t)h * d, .ld_x = d, .w = x, .ld_w = d,
                            .y = s + (size_t)h * ld, .ld_y = ld, .scale = 1, .is_y_wide = true, .is_far = h == 0};
        cpu_product_wide(p->c, &f, NULL);
    }
    softmax(s, a->n_heads, n, ld);
    struct cpu_mix m = {.m = a->n_heads, .n = a->d, .k = n, .x = s, .ld_x = ld, .w = x, .ld_w = d,
                        .y = p->mixed + at, .ld_y = d};
    mix(p->c, &m);
}

/* o_h = mixed_h Wv_h^T */
static void values_up(void *arg, int task, int thread)
{
    const struct absorbed *p = arg;
    const struct absorbed_args *a = p->a;
    struct head_at h = head_at(p, task);
    struct cpu_few f = {.m = p->n, .n = a->d_kv, .k = a->d, .x = p->mixed + h.d, .ld_x = h.ld_d,
                        .w = (const float *)a->wv + h.w, .ld_w = (size_t)a->d, .y = (float *)a->o + h.q,
                        .ld_y = h.ld_q, .scale = 1, .is_y_wide = true};
    cpu_product_wide(p->c, &f, cpu_scratch_of(p->c, thread));
}

void cpu_attention_absorbed(struct backend *b, const struct absorbed_args *a)
{
    struct absorbed p = {.c = cpu_of(b), .a = a};
    size_t wide = (size_t)ROWS * (size_t)a->n_heads * (size_t)a->d, panel = cpu_panel_room(ROWS, a->d);
    int max_len = 0;
    for (int s = 0; s < a->n_seqs; s++)
        max_len = a->x_len[s] > max_len ? a->x_len[s] : max_len;
    size_t scores = (size_t)a->n_heads * padded(max_len);
    if (!cpu_shared(p.c, 2 * wide) || !cpu_scratch(p.c, scores > panel ? scores : panel))
        return;
    p.down = p.c->shared;
    p.mixed = p.down + wide;
    for (; p.from < a->n_seqs; p.from += ROWS) {
        p.n = cpu_min(ROWS, a->n_seqs - p.from);
        team_run(p.c->team, a->n_heads, query_down, &p);
        team_run(p.c->team, p.n, attend, &p);
        team_run(p.c->team, a->n_heads, values_up, &p);
    }
}
