/* models/cpu_rows.c: element-wise operations and norms of the CPU backend; a task is ROWS rows. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "models/cpu.h"
#include "models/cpu_math.h"

enum { ROWS = 64, COLS = 16 };

/* One struct for all; an operation uses what it needs. */
struct rows_args {
    struct cpu *c;
    int n, d;
    float *out, *sums;
    const float *x, *w;
    void *to, *branch; /* values */
    const void *y, *gu; /* values */
    const int32_t *ids;
    const struct dropout *drop;
    const struct norm_args *norm;
};

struct span {
    size_t from, to;
};

/* A thread's rows in float32, of d values; gu and out have room for 2 d. */
struct rooms {
    float *mask, *y, *gu, *out;
};

static size_t rooms_size(int d)
{
    return 6 * cpu_mask_room(d);
}

static struct rooms rooms_of(const struct rows_args *p, int thread)
{
    float *at = cpu_scratch_of(p->c, thread);
    size_t step = cpu_mask_room(p->d);
    return (struct rooms){at, at + step, at + 2 * step, at + 4 * step};
}

static inline struct span rows_of(const struct rows_args *p, int task)
{
    return (struct span){(size_t)task * ROWS, (size_t)cpu_min(p->n, (task + 1) * ROWS)};
}

static void embed_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    size_t d = (size_t)p->d;
    for (size_t i = at.from; i < at.to; i++)
        memcpy(p->out + i * d, p->w + (size_t)p->ids[i] * d, d * sizeof(float));
}

void cpu_embed(struct backend *b, int n, int d, float *out, const float *table, const int32_t *ids)
{
    struct rows_args p = {.n = n, .d = d, .out = out, .w = table, .ids = ids};
    team_run(cpu_of(b)->team, cpu_blocks(n, ROWS), embed_block, &p);
}

/* A task owns columns, so that rows with the same id are added in their order. */
static void embed_backward_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct rows_args *p = arg;
    size_t d = (size_t)p->d, from = (size_t)task * COLS;
    int cols = cpu_min(COLS, p->d - task * COLS);
    for (size_t i = 0; i < (size_t)p->n; i++) {
        float *to = p->out + (size_t)p->ids[i] * d + from;
        const float *dout = p->x + i * d + from;
        for (int j = 0; j < cols; j++)
            to[j] += dout[j];
    }
}

void cpu_embed_backward(struct backend *b, int n, int d, float *dtable, const float *dout,
                        const int32_t *ids)
{
    struct rows_args p = {.n = n, .d = d, .out = dtable, .x = dout, .ids = ids};
    team_run(cpu_of(b)->team, cpu_blocks(d, COLS), embed_backward_block, &p);
}

/* The row's mask; without dropout ones, written at the first row of a task. */
static void row_mask(const struct rows_args *p, float *mask, size_t row)
{
    if (cpu_drops(p->drop))
        cpu_mask(mask, p->d, p->drop, row, 0);
    else if (row % ROWS == 0)
        for (int j = 0; j < p->d; j++)
            mask[j] = 1;
}

/* --- norms --- */

/* out: float32 */
CPU_KERNEL static void norm_row(const struct norm_args *to, size_t row, size_t d, const float *x, float *out)
{
    const float *w = to->w;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < d; j++)
        sum += x[j] * x[j];
    float rstd = 1 / sqrtf(sum / (float)d + to->eps);
    to->rstd[row] = rstd;
#pragma omp simd
    for (size_t j = 0; j < d; j++)
        out[j] = x[j] * rstd * w[j];
}

/* The norm of row i, x, into the values of p->norm. */
static void norm_values(const struct rows_args *p, size_t i, const float *x, float *room)
{
    size_t d = (size_t)p->d;
    norm_row(p->norm, i, d, x, cpu_store(p->c, p->norm->out, i * d, room));
    cpu_stored(p->c, p->norm->out, i * d, d, room);
}

static void rms_norm_block(void *arg, int task, int thread)
{
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    struct rooms r = rooms_of(p, thread);
    for (size_t i = at.from; i < at.to; i++)
        norm_values(p, i, p->x + i * (size_t)p->d, r.out);
}

void cpu_rms_norm(struct backend *b, int n, int d, const float *x, const struct norm_args *norm)
{
    struct rows_args p = {.c = cpu_of(b), .n = n, .d = d, .x = x, .norm = norm};
    if (cpu_scratch(p.c, rooms_size(d)))
        team_run(p.c->team, cpu_blocks(n, ROWS), rms_norm_block, &p);
}

CPU_KERNEL static void add_masked(float *out, const float *x, const float *y, const float *mask, size_t d)
{
#pragma omp simd
    for (size_t j = 0; j < d; j++)
        out[j] = x[j] + y[j] * mask[j];
}

static void add_norm_block(void *arg, int task, int thread)
{
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    struct rooms r = rooms_of(p, thread);
    size_t d = (size_t)p->d;
    for (size_t i = at.from; i < at.to; i++) {
        float *out = p->out + i * d;
        row_mask(p, r.mask, i);
        add_masked(out, p->x + i * d, cpu_wide(p->c, p->y, i * d, d, r.y), r.mask, d);
        norm_values(p, i, out, r.out);
    }
}

void cpu_add_norm(struct backend *b, int n, int d, float *out, const float *x, const void *y,
                  const struct dropout *drop, const struct norm_args *norm)
{
    struct rows_args p = {.c = cpu_of(b), .n = n, .d = d, .out = out, .x = x, .y = y, .drop = drop,
                          .norm = norm};
    if (cpu_scratch(p.c, rooms_size(d)))
        team_run(p.c->team, cpu_blocks(n, ROWS), add_norm_block, &p);
}

/* With g = dout * w:  dx += rstd * (g - x * rstd^2 * mean(g x)), dw += dout * x * rstd. dw may be NULL. */
CPU_KERNEL static void norm_row_backward(const struct norm_args *norm, size_t row, size_t d, float *dx,
                                         float *dw, const float *dout, const float *x)
{
    const float *w = norm->w;
    float rstd = norm->rstd[row], sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < d; j++)
        sum += dout[j] * w[j] * x[j];
    float k = sum / (float)d * rstd * rstd;
#pragma omp simd
    for (size_t j = 0; j < d; j++)
        dx[j] += rstd * (dout[j] * w[j] - x[j] * k);
    if (!dw)
        return;
#pragma omp simd
    for (size_t j = 0; j < d; j++)
        dw[j] += dout[j] * x[j] * rstd;
}

CPU_KERNEL static void multiply(float *out, const float *x, const float *mask, size_t d)
{
#pragma omp simd
    for (size_t j = 0; j < d; j++)
        out[j] = x[j] * mask[j];
}

/* Each task has its own sum of dw. */
static void rms_norm_backward_block(void *arg, int task, int thread)
{
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    struct rooms r = rooms_of(p, thread);
    size_t d = (size_t)p->d;
    float *dw = p->sums ? p->sums + (size_t)task * d : NULL;
    if (dw)
        memset(dw, 0, d * sizeof(*dw));
    for (size_t i = at.from; i < at.to; i++) {
        float *dx = p->out + i * d;
        norm_row_backward(p->norm, i, d, dx, dw, cpu_wide(p->c, p->y, i * d, d, r.y), p->x + i * d);
        if (!p->branch)
            continue;
        row_mask(p, r.mask, i);
        multiply(cpu_store(p->c, p->branch, i * d, r.out), dx, r.mask, d);
        cpu_stored(p->c, p->branch, i * d, d, r.out);
    }
}

void cpu_rms_norm_backward(struct backend *b, int n, int d, float *dx, float *dw, const void *dout,
                           const float *x, const struct norm_args *norm, void *branch,
                           const struct dropout *drop)
{
    struct cpu *c = cpu_of(b);
    size_t blocks = (size_t)cpu_blocks(n, ROWS);
    if ((dw && !cpu_shared(c, blocks * (size_t)d)) || !cpu_scratch(c, rooms_size(d)))
        return;
    struct rows_args p = {.c = c, .n = n, .d = d, .out = dx, .sums = dw ? c->shared : NULL, .x = x, .y = dout,
                          .norm = norm, .branch = branch, .drop = drop};
    team_run(c->team, (int)blocks, rms_norm_backward_block, &p);
    for (size_t k = 0; dw && k < blocks; k++)
        for (size_t j = 0; j < (size_t)d; j++)
            dw[j] += c->shared[k * (size_t)d + j];
}

/* --- dropout --- */

/* Row i of what is dropped, in float32, and where the result may be put as float32. The stream's rows are x and
 * out, rows of values y and to. */
static const float *drop_in(const struct rows_args *p, size_t i, float *room)
{
    size_t d = (size_t)p->d;
    return p->y ? cpu_wide(p->c, p->y, i * d, d, room) : p->x + i * d;
}

/* to = x * mask */
static void dropout_block(void *arg, int task, int thread)
{
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    struct rooms r = rooms_of(p, thread);
    size_t d = (size_t)p->d;
    for (size_t i = at.from; i < at.to; i++) {
        const float *x = drop_in(p, i, r.y);
        row_mask(p, r.mask, i);
        multiply(p->to ? cpu_store(p->c, p->to, i * d, r.out) : p->out + i * d, x, r.mask, d);
        if (p->to)
            cpu_stored(p->c, p->to, i * d, d, r.out);
    }
}

static void dropout_run(struct backend *b, struct rows_args *p)
{
    p->c = cpu_of(b);
    if (cpu_scratch(p->c, rooms_size(p->d)))
        team_run(p->c->team, cpu_blocks(p->n, ROWS), dropout_block, p);
}

void cpu_dropout(struct backend *b, int n, int d, void *out, const float *x,
                 const struct dropout *drop)
{
    struct rows_args p = {.n = n, .d = d, .to = out, .x = x, .drop = drop};
    dropout_run(b, &p);
}

void cpu_dropout_stream(struct backend *b, int n, int d, float *out, const float *x,
                        const struct dropout *drop)
{
    struct rows_args p = {.n = n, .d = d, .out = out, .x = x, .drop = drop};
    dropout_run(b, &p);
}

void cpu_dropout_values(struct backend *b, int n, int d, void *out, const void *x,
                        const struct dropout *drop)
{
    struct rows_args p = {.n = n, .d = d, .to = out, .y = x, .drop = drop};
    dropout_run(b, &p);
}

/* --- gates --- */

CPU_KERNEL static void geglu_row(float *out, const float *g, const float *u, const float *mask, size_t d)
{
#pragma omp simd
    for (size_t j = 0; j < d; j++) {
        float slope;
        out[j] = g[j] * cpu_gelu_gate(g[j], &slope) * u[j] * mask[j];
    }
}

static void geglu_block(void *arg, int task, int thread)
{
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    struct rooms r = rooms_of(p, thread);
    size_t d = (size_t)p->d;
    for (size_t i = at.from; i < at.to; i++) {
        const float *g = cpu_wide(p->c, p->gu, i * 2 * d, 2 * d, r.gu);
        row_mask(p, r.mask, i);
        geglu_row(cpu_store(p->c, p->to, i * d, r.out), g, g + d, r.mask, d);
        cpu_stored(p->c, p->to, i * d, d, r.out);
    }
}

void cpu_geglu(struct backend *b, int n, int d, void *out, const void *gu, const struct dropout *drop)
{
    struct rows_args p = {.c = cpu_of(b), .n = n, .d = d, .to = out, .gu = gu, .drop = drop};
    if (cpu_scratch(p.c, rooms_size(d)))
        team_run(p.c->team, cpu_blocks(n, ROWS), geglu_block, &p);
}

/* dgu, gu [2 d]; dout [d] times its mask already */
CPU_KERNEL static void geglu_row_backward(float *dgu, const float *gu, const float *dout, const float *mask,
                                          size_t d)
{
    const float *g = gu, *u = gu + d;
    float *dg = dgu, *du = dgu + d;
#pragma omp simd
    for (size_t j = 0; j < d; j++) {
        float slope, s = cpu_gelu_gate(g[j], &slope), v = g[j], up = u[j];
        float from = dout[j] * mask[j];
        dg[j] = from * up * slope;
        du[j] = from * v * s;
    }
}

static void geglu_backward_block(void *arg, int task, int thread)
{
    const struct rows_args *p = arg;
    struct span at = rows_of(p, task);
    struct rooms r = rooms_of(p, thread);
    size_t d = (size_t)p->d;
    for (size_t i = at.from; i < at.to; i++) {
        const float *gu = cpu_wide(p->c, p->gu, i * 2 * d, 2 * d, r.gu);
        row_mask(p, r.mask, i);
        geglu_row_backward(cpu_store(p->c, p->to, i * 2 * d, r.out), gu,
                           cpu_wide(p->c, p->y, i * d, d, r.y), r.mask, d);
        cpu_stored(p->c, p->to, i * 2 * d, 2 * d, r.out);
    }
}

void cpu_geglu_backward(struct backend *b, int n, int d, void *dgu, const void *dout, const void *gu,
                        const struct dropout *drop)
{
    struct rows_args p = {.c = cpu_of(b), .n = n, .d = d, .to = dgu, .y = dout, .gu = gu, .drop = drop};
    if (cpu_scratch(p.c, rooms_size(d)))
        team_run(p.c->team, cpu_blocks(n, ROWS), geglu_backward_block, &p);
}
