/* models/cpu_absorbed.c: attention of one query per sequence without keys and values, in float32.
 *
 * In three steps, of which the first and the last share out heads, the middle one sequences: queries go down to x's
 * width, scores and mixtures are made of x's rows, which all heads share and a core's cache holds meanwhile, and the
 * mixtures go up to values. */
#include <math.h>

#include "models/cpu.h"
#include "models/cpu_math.h"

enum { PAD = 16 };

struct absorbed {
    struct cpu *c;
    const struct absorbed_args *a;
    float *down, *mixed; /* [n_seqs, n_heads, d] each */
    int max_len;
};

static size_t padded(int n)
{
    return ((size_t)n + PAD - 1) / PAD * PAD;
}

static void mix(const struct cpu *c, const struct cpu_mix *m)
{
    if (c->mix)
        c->mix(m);
    else
        cpu_gemm(false, false, m->m, m->n, m->k, 1, m->x, m->ld_x, m->w, m->ld_w, 0, m->y, m->ld_y);
}

/* Up to CPU_PANEL_ROWS rows of one head in the first and the last step. */
struct strip {
    int n;
    size_t row, head, ld_q, ld_d;
};

static struct strip strip_of(const struct absorbed *p, int task)
{
    const struct absorbed_args *a = p->a;
    int row = task / a->n_heads * CPU_PANEL_ROWS;
    return (struct strip){cpu_min(CPU_PANEL_ROWS, a->n_seqs - row), (size_t)row, (size_t)(task % a->n_heads),
                          (size_t)(a->n_heads * a->d_kv), (size_t)a->n_heads * (size_t)a->d};
}

/* down_h = q_h Wk_h */
static void query_down(void *arg, int task, int thread)
{
    (void)thread;
    const struct absorbed *p = arg;
    const struct absorbed_args *a = p->a;
    struct strip s = strip_of(p, task);
    size_t d = (size_t)a->d, d_kv = (size_t)a->d_kv;
    struct cpu_mix m = {.m = s.n, .n = a->d, .k = a->d_kv, .ld_x = s.ld_q, .ld_w = d, .ld_y = s.ld_d};
    m.x = (const float *)a->q + s.row * s.ld_q + s.head * d_kv;
    m.w = (const float *)a->wk + s.head * d_kv * d;
    m.y = p->down + s.row * s.ld_d + s.head * d;
    mix(p->c, &m);
}

/* s [heads, n] at stride ld: to probabilities */
CPU_KERNEL static void softmax(float *s, int heads, int n, size_t ld)
{
    for (int h = 0; h < heads; h++, s += ld) {
        float top = -INFINITY, sum = 0;
        for (size_t j = (size_t)n; j < ld; j++)
            s[j] = -1e30f; /* e^s is as good as 0 there */
#pragma omp simd reduction(max : top)
        for (size_t j = 0; j < ld; j++)
            top = s[j] > top ? s[j] : top;
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < ld; j++) {
            s[j] = cpu_exp(s[j] - top);
            sum += s[j];
        }
        float scale = 1 / sum;
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
    size_t d = (size_t)a->d, at = (size_t)task * (size_t)a->n_heads * d, ld = padded(a->x_len[task]);
    const float *x = (const float *)a->x + (size_t)a->x_start[task] * d;
    float *s = cpu_scratch_of(p->c, thread), *panel = s + (size_t)a->n_heads * padded(p->max_len);
    for (int h = 0; h < a->n_heads; h += CPU_FEW_ROWS) {
        struct cpu_few f = {.m = cpu_min(CPU_FEW_ROWS, a->n_heads - h), .n = a->x_len[task], .k = a->d,
                            .x = p->down + at + (size_t)h * d, .ld_x = d, .w = x, .ld_w = d,
                            .y = s + (size_t)h * ld, .ld_y = ld, .scale = 1, .is_y_wide = true, .is_far = h == 0};
        cpu_product_wide(p->c, &f, panel);
    }
    softmax(s, a->n_heads, a->x_len[task], ld);
    struct cpu_mix m = {.m = a->n_heads, .n = a->d, .k = a->x_len[task], .x = s, .ld_x = ld, .w = x, .ld_w = d,
                        .y = p->mixed + at, .ld_y = d};
    mix(p->c, &m);
}

/* o_h = mixed_h Wv_h^T */
static void values_up(void *arg, int task, int thread)
{
    const struct absorbed *p = arg;
    const struct absorbed_args *a = p->a;
    struct strip s = strip_of(p, task);
    size_t d = (size_t)a->d, d_kv = (size_t)a->d_kv;
    struct cpu_few f = {.m = s.n, .n = a->d_kv, .k = a->d, .ld_x = s.ld_d, .ld_w = d, .ld_y = s.ld_q, .scale = 1,
                        .is_y_wide = true};
    f.x = p->mixed + s.row * s.ld_d + s.head * d;
    f.w = (const float *)a->wv + s.head * d_kv * d;
    f.y = (float *)a->o + s.row * s.ld_q + s.head * d_kv;
    cpu_product_wide(p->c, &f, cpu_scratch_of(p->c, thread));
}

void cpu_attention_absorbed(struct backend *b, const struct absorbed_args *a)
{
    struct absorbed p = {.c = cpu_of(b), .a = a};
    size_t wide = (size_t)a->n_seqs * (size_t)a->n_heads * (size_t)a->d;
    int strips = cpu_blocks(a->n_seqs, CPU_PANEL_ROWS) * a->n_heads;
    for (int s = 0; s < a->n_seqs; s++)
        p.max_len = a->x_len[s] > p.max_len ? a->x_len[s] : p.max_len;
    if (!cpu_shared(p.c, 2 * wide) ||
        !cpu_scratch(p.c, (size_t)a->n_heads * padded(p.max_len) + cpu_panel_room(CPU_PANEL_ROWS, a->d)))
        return;
    p.down = p.c->shared;
    p.mixed = p.down + wide;
    team_run(p.c->team, strips, query_down, &p);
    team_run(p.c->team, a->n_seqs, attend, &p);
    team_run(p.c->team, strips, values_up, &p);
}
