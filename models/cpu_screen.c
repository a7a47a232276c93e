/* models/cpu_screen.c: the largest logit of each row, without computing all of them in float32.
 *
 * Products of bfloat16 take half the time of those of float32, and rounding moves each value by up to 2^-8 of itself.
 * By Cauchy and Schwarz a logit so found is off by at most
 *   (2^-7 + 2^-16 + d 2^-24) |x| |w|
 * with the last term for sums in float32. What stays below the best lower bound cannot be the largest; the others, a
 * few of tens of thousands, are computed again in float32. These products take denormal numbers for 0, so norms count
 * as 2^-50 at least: then the bound is above d times the largest of what is lost so. */
#include <math.h>

#include "models/cpu.h"
#include "models/cpu_math.h"

enum { ROWS = CPU_PANEL_ROWS, COLS = 512 };

/* A screen: the head in bfloat16, [n_vocab, d], then the norms of its rows, float32. */
struct screen {
    const uint16_t *w;
    const float *norm;
};

static struct screen screen_of(const void *at, int d, int n_vocab)
{
    const uint16_t *w = at;
    return (struct screen){w, (const float *)(const void *)(w + (size_t)n_vocab * (size_t)d)};
}

#if defined(__x86_64__)
size_t cpu_head_screen_bytes(int d, int n_vocab)
{
    bool pays = cpu_has_avx512_bf16() && d % 2 == 0; /* products take pairs */
    return pays ? (size_t)n_vocab * ((size_t)d * sizeof(uint16_t) + sizeof(float)) : 0;
}
#else
size_t cpu_head_screen_bytes(int d, int n_vocab)
{
    (void)d, (void)n_vocab;
    return 0;
}
#endif

/* to = x in bfloat16; gives the norm of x, or 2^-50 where that is more. */
CPU_KERNEL static float narrow_row(uint16_t *to, const float *x, size_t n)
{
    const float least = 0x1p-50f;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        to[i] = cpu_narrowed(x[i]);
        sum += x[i] * x[i];
    }
    return fmaxf(sqrtf(sum), least);
}

struct screen_args {
    int d, n_vocab;
    uint16_t *to;
    float *norm;
    const float *w;
};

static void screen_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct screen_args *p = arg;
    size_t d = (size_t)p->d, from = (size_t)task * COLS;
    size_t to = from + (size_t)cpu_min(COLS, p->n_vocab - (int)from);
    for (size_t j = from; j < to; j++)
        p->norm[j] = narrow_row(p->to + j * d, p->w + j * d, d);
}

void cpu_head_screen(struct backend *b, int d, int n_vocab, void *screen, const void *w)
{
    uint16_t *to = screen;
    struct screen_args p = {d, n_vocab, to, (float *)(void *)(to + (size_t)n_vocab * (size_t)d), w};
    team_run(cpu_of(b)->team, cpu_blocks(n_vocab, COLS), screen_block, &p);
}

/* ROWS rows at a time. */
struct argmax {
    struct cpu *c;
    int n, d, n_vocab;
    const float *x, *w;
    struct screen screen;
    int32_t *best;
    const struct cpu_panel_ops *panel;
    cpu_few_fn *few;
    float *logits;    /* [n, n_vocab] from bfloat16 */
    uint16_t *narrow; /* [n, d] */
    float *packed;    /* more rows than few: these as a panel */
    float norm[ROWS];
};

static void columns_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct argmax *p = arg;
    size_t d = (size_t)p->d, col = (size_t)task * COLS, ld = (size_t)p->n_vocab;
    int n = cpu_min(COLS, p->n_vocab - (int)col);
    if (p->n <= CPU_FEW_ROWS) {
        struct cpu_few f = {.m = p->n, .n = n, .k = p->d, .x = p->narrow, .ld_x = d, .w = p->screen.w + col * d,
                            .ld_w = d, .y = p->logits + col, .ld_y = ld, .scale = 1, .is_y_wide = true, .is_far = true};
        p->few(&f);
        return;
    }
    struct cpu_panel f = {.m = p->n, .n = n, .k = p->d, .x = p->packed, .w = p->screen.w + col * d, .ld_w = d,
                          .y = p->logits + col, .ld_y = ld, .scale = 1, .is_y_wide = true};
    p->panel->multiply(&f);
}

CPU_KERNEL static float best_lower_bound(const float *z, const float *norm, float error, int n)
{
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int j = 0; j < n; j++) {
        float low = z[j] - error * norm[j];
        top = low > top ? low : top;
    }
    return top;
}

/* Whether none of n can be the largest; what is no number can be. */
CPU_KERNEL static bool are_ruled_out(const float *z, const float *norm, float error, float low, int n)
{
    int n_left = 0;
#pragma omp simd reduction(+ : n_left)
    for (int j = 0; j < n; j++)
        n_left += !(z[j] + error * norm[j] < low);
    return n_left == 0;
}

static float exact(const struct argmax *p, int row, int col)
{
    size_t d = (size_t)p->d;
    float z;
    struct cpu_few f = {.m = 1, .n = 1, .k = p->d, .x = p->x + (size_t)row * d, .ld_x = d,
                        .w = p->w + (size_t)col * d, .ld_w = d, .y = &z, .ld_y = 1, .scale = 1, .is_y_wide = true};
    p->c->few_wide(&f);
    return z;
}

/* The lowest index of the largest among those that may be it. */
static void row_block(void *arg, int task, int thread)
{
    (void)thread;
    enum { STEP = 64 };
    const struct argmax *p = arg;
    const float *z = p->logits + (size_t)task * (size_t)p->n_vocab, *norm = p->screen.norm;
    float error = 1.001f * (0x1p-7f + 0x1p-16f + 0x1p-24f * (float)p->d) * p->norm[task]; /* norms are rounded too */
    float low = best_lower_bound(z, norm, error, p->n_vocab), top = -INFINITY;
    int best = 0;
    for (int from = 0; from < p->n_vocab; from += STEP) {
        int n = cpu_min(STEP, p->n_vocab - from);
        if (are_ruled_out(z + from, norm + from, error, low, n))
            continue;
        for (int j = from; j < from + n; j++) {
            float here = z[j] + error * norm[j] < low ? -INFINITY : exact(p, task, j);
            if (here > top) {
                top = here;
                best = j;
            }
        }
    }
    p->best[task] = best;
}

void cpu_head_argmax_screened(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                              const void *screen, int32_t *best)
{
    struct cpu *c = cpu_of(b);
    size_t logits = (size_t)ROWS * (size_t)n_vocab, narrow = (size_t)ROWS * (size_t)d / 2;
    if (!cpu_shared(c, logits + narrow + cpu_panel_room(ROWS, d / 2)))
        return;
    struct argmax p = {.c = c, .d = d, .n_vocab = n_vocab, .w = w, .screen = screen_of(screen, d, n_vocab),
                       .panel = cpu_panel_of(CPU_PANEL_BF16), .few = cpu_few_of(CPU_FEW_BF16), .logits = c->shared,
                       .narrow = (uint16_t *)(void *)(c->shared + logits), .packed = c->shared + logits + narrow};
    for (int from = 0; from < n; from += ROWS) {
        p.n = cpu_min(ROWS, n - from);
        p.x = (const float *)x + (size_t)from * (size_t)d;
        p.best = best + from;
        for (int i = 0; i < p.n; i++)
            p.norm[i] = narrow_row(p.narrow + (size_t)i * (size_t)d, p.x + (size_t)i * (size_t)d, (size_t)d);
        if (p.n > CPU_FEW_ROWS)
            p.panel->pack(p.packed, p.narrow, (size_t)d, p.n, d);
        team_run(c->team, cpu_blocks(n_vocab, COLS), columns_block, &p);
        team_run(c->team, p.n, row_block, &p);
    }
}
