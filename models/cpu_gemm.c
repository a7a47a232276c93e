/* models/cpu_gemm.c: products of matrices: frozen weights through BLAS, adapters of all members. */
#include <cblas.h>
#include <stdio.h>

#include "models/cpu.h"
#include "models/cpu_math.h"

/* Rows of an adapter's task; columns of a weight gradient's; rows it sums at a time, which stay in cache. */
enum { LORA_ROWS = 128, COLS = 64, SUM_ROWS = 512 };

void cpu_gemm_init(void)
{
    openblas_set_num_threads(1); /* threads are ours: one block is one call, see models/team.h */
}

void cpu_gemm_describe(char *out, size_t n)
{
    snprintf(out, n, "%s", openblas_get_config());
    char *space = out;
    for (int words = 0; *space; space++) /* "OpenBLAS 0.3.21 ..." */
        if (*space == ' ' && ++words == 2)
            break;
    *space = 0;
    size_t used = (size_t)(space - out);
    snprintf(space, n - used, " %s", openblas_get_corename());
}

void cpu_gemm(bool is_a_t, bool is_b_t, int m, int n, int k, float alpha, const float *a, size_t ld_a,
              const float *b, size_t ld_b, float beta, float *c, size_t ld_c)
{
    cblas_sgemm(CblasRowMajor, is_a_t ? CblasTrans : CblasNoTrans, is_b_t ? CblasTrans : CblasNoTrans,
                m, n, k, alpha, a, (blasint)ld_a, b, (blasint)ld_b, beta, c, (blasint)ld_c);
}

struct linear_args {
    int n, in, out, rows; /* rows of a task */
    float *y;
    size_t ld_y;
    const float *x;
    size_t ld_x;
    const float *w;
    float beta;
};

/* About 32 tasks: enough to share out evenly, large enough for BLAS (80 rows reach 90 % of its peak). */
static int linear_rows(int n)
{
    int rows = (n / 32 + 15) / 16 * 16;
    return rows < 32 ? 32 : cpu_min(rows, 256);
}

static void linear_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct linear_args *p = arg;
    int from = task * p->rows, rows = cpu_min(p->rows, p->n - from);
    cpu_gemm(false, true, rows, p->out, p->in, 1, p->x + (size_t)from * p->ld_x, p->ld_x, p->w,
             (size_t)p->in, p->beta, p->y + (size_t)from * p->ld_y, p->ld_y);
}

void cpu_linear(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                size_t ld_x, const void *w, bool add)
{
    struct linear_args p = {n, in, out, linear_rows(n), y, ld_y, x, ld_x, w, add ? 1.0f : 0.0f};
    team_run(cpu_of(b)->team, cpu_blocks(n, p.rows), linear_block, &p);
}

/* y is dx, x is dy. */
static void linear_backward_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct linear_args *p = arg;
    int from = task * p->rows, rows = cpu_min(p->rows, p->n - from);
    cpu_gemm(false, false, rows, p->in, p->out, 1, p->x + (size_t)from * p->ld_x, p->ld_x, p->w,
             (size_t)p->in, p->beta, p->y + (size_t)from * p->ld_y, p->ld_y);
}

void cpu_linear_backward(struct backend *b, int n, int in, int out, void *dx, size_t ld_x,
                         const void *dy, size_t ld_y, const void *w, bool add)
{
    struct linear_args p = {n, in, out, linear_rows(n), dx, ld_x, dy, ld_y, w, add ? 1.0f : 0.0f};
    team_run(cpu_of(b)->team, cpu_blocks(n, p.rows), linear_backward_block, &p);
}

/* y is dW, w is dy. A task owns COLS columns of dy, so that rows are summed in one order. */
static void weight_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct linear_args *p = arg;
    int from = task * COLS, cols = cpu_min(COLS, p->out - from);
    for (int i = 0; i < p->n; i += SUM_ROWS)
        cpu_gemm(true, false, cols, p->in, cpu_min(SUM_ROWS, p->n - i), 1,
                 p->w + (size_t)i * p->ld_y + from, p->ld_y, p->x + (size_t)i * p->ld_x, p->ld_x, 1,
                 p->y + (size_t)from * (size_t)p->in, (size_t)p->in);
}

void cpu_linear_backward_weight(struct backend *b, int n, int in, int out, float *dw, const void *dy,
                                size_t ld_y, const void *x, size_t ld_x)
{
    struct linear_args p = {n, in, out, 0, dw, ld_y, x, ld_x, dy, 1};
    team_run(cpu_of(b)->team, cpu_blocks(out, COLS), weight_block, &p);
}

/* Adapters. With stride 0 all members share one, and are one member. */
struct lora_call {
    struct cpu *c;
    struct lora_args a;
    int32_t all[2];
    float *dx, *y;
    const float *dy, *x;
    size_t ld_y, ld_x;
};

static struct lora_call lora_call(struct backend *b, const struct lora_args *a)
{
    struct lora_call p = {.c = cpu_of(b), .a = *a};
    if (a->stride == 0 && a->n_members > 0) {
        p.all[0] = a->member_row[0];
        p.all[1] = a->member_row[a->n_members];
        p.a.n_members = 1;
    }
    return p;
}

static const int32_t *lora_rows(const struct lora_call *p)
{
    return p->a.stride == 0 ? p->all : p->a.member_row;
}

static int lora_tasks(const struct lora_call *p)
{
    int n = 0;
    for (int m = 0; m < p->a.n_members; m++)
        n += cpu_blocks(lora_rows(p)[m + 1] - lora_rows(p)[m], LORA_ROWS);
    return n;
}

struct lora_part {
    int member, from, n;
};

static struct lora_part lora_part(const struct lora_call *p, int task)
{
    for (int m = 0; m < p->a.n_members; m++) {
        int first = lora_rows(p)[m], n = lora_rows(p)[m + 1] - first;
        int blocks = cpu_blocks(n, LORA_ROWS);
        if (task < blocks) {
            int skip = task * LORA_ROWS;
            return (struct lora_part){m, first + skip, cpu_min(LORA_ROWS, n - skip)};
        }
        task -= blocks;
    }
    return (struct lora_part){0};
}

/* xd = x * mask for the rows of a part, xd dense. */
CPU_KERNEL static void lora_drop(const struct lora_call *p, struct lora_part at, float *xd, float *mask)
{
    size_t d = (size_t)p->a.d_in;
    for (int i = 0; i < at.n; i++) {
        size_t row = (size_t)(at.from + i);
        const float *x = p->x + row * p->ld_x;
        float *to = xd + (size_t)i * d;
        cpu_mask(mask, p->a.d_in, &p->a.drop, row, 0);
#pragma omp simd
        for (size_t j = 0; j < d; j++)
            to[j] = x[j] * mask[j];
    }
}

static void lora_block(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    struct lora_part at = lora_part(p, task);
    size_t ld = p->ld_x, off = (size_t)at.member * a->stride, r = (size_t)a->rank;
    const float *x = p->x + (size_t)at.from * ld;
    float *h = a->h + (size_t)at.from * r;
    if (cpu_drops(&a->drop)) {
        float *xd = cpu_scratch_of(p->c, thread);
        ld = (size_t)a->d_in;
        lora_drop(p, at, xd, xd + LORA_ROWS * ld);
        x = xd;
    }
    cpu_gemm(false, true, at.n, a->rank, a->d_in, 1, x, ld, a->a + off, (size_t)a->d_in, 0, h, r);
    cpu_gemm(false, true, at.n, a->d_out, a->rank, a->scale, h, r, a->b + off, r, 1,
             p->y + (size_t)at.from * p->ld_y, p->ld_y);
}

void cpu_lora(struct backend *b, const struct lora_args *a, void *y, size_t ld_y, const void *x,
              size_t ld_x)
{
    struct lora_call p = lora_call(b, a);
    p.y = y;
    p.ld_y = ld_y;
    p.x = x;
    p.ld_x = ld_x;
    if (!cpu_drops(&a->drop) || cpu_scratch(p.c, LORA_ROWS * (size_t)a->d_in + cpu_mask_room(a->d_in)))
        team_run(p.c->team, lora_tasks(&p), lora_block, &p);
}

/* xd = x * mask and dx += mask * (gh A), with gh A in scratch. */
CPU_KERNEL static void lora_drop_backward(const struct lora_call *p, struct lora_part at,
                                          const float *gx, float *mask)
{
    size_t d = (size_t)p->a.d_in;
    for (int i = 0; i < at.n; i++) {
        size_t row = (size_t)(at.from + i);
        const float *x = p->x + row * p->ld_x, *from = gx + (size_t)i * d;
        float *xd = (float *)p->a.xd + row * d, *dx = p->dx + row * p->ld_x;
        cpu_mask(mask, p->a.d_in, &p->a.drop, row, 0);
#pragma omp simd
        for (size_t j = 0; j < d; j++) {
            xd[j] = x[j] * mask[j];
            dx[j] += from[j] * mask[j];
        }
    }
}

static void lora_backward_block(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    struct lora_part at = lora_part(p, task);
    size_t off = (size_t)at.member * a->stride, r = (size_t)a->rank, d = (size_t)a->d_in;
    float *gh = a->gh + (size_t)at.from * r;
    bool drops = cpu_drops(&a->drop);
    cpu_gemm(false, false, at.n, a->rank, a->d_out, a->scale, p->dy + (size_t)at.from * p->ld_y, p->ld_y,
             a->b + off, r, 0, gh, r);
    float *gx = drops ? cpu_scratch_of(p->c, thread) : NULL, *mask = drops ? gx + LORA_ROWS * d : NULL;
    if (p->dx && !drops)
        cpu_gemm(false, false, at.n, a->d_in, a->rank, 1, gh, r, a->a + off, d, 1,
                 p->dx + (size_t)at.from * p->ld_x, p->ld_x);
    else if (p->dx) {
        cpu_gemm(false, false, at.n, a->d_in, a->rank, 1, gh, r, a->a + off, d, 0, gx, d);
        lora_drop_backward(p, at, gx, mask);
    } else if (drops)
        lora_drop(p, at, (float *)a->xd + (size_t)at.from * d, mask);
}

/* da and db of one member, COLS columns of its input or output at a time. */
static void lora_grad_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    int in_blocks = cpu_blocks(a->d_in, COLS), per_member = in_blocks + cpu_blocks(a->d_out, COLS);
    int block = task % per_member;
    struct lora_part at = {.member = task / per_member};
    at.from = lora_rows(p)[at.member];
    at.n = lora_rows(p)[at.member + 1] - at.from;
    if (at.n == 0)
        return;
    size_t off = (size_t)at.member * a->stride, r = (size_t)a->rank, d = (size_t)a->d_in;
    if (block < in_blocks) {
        int col = block * COLS, cols = cpu_min(COLS, a->d_in - col);
        const float *x = cpu_drops(&a->drop) ? (const float *)a->xd : p->x;
        size_t ld = cpu_drops(&a->drop) ? d : p->ld_x;
        cpu_gemm(true, false, a->rank, cols, at.n, 1, a->gh + (size_t)at.from * r, r,
                 x + (size_t)at.from * ld + (size_t)col, ld, 1,
                 a->da + off + col, d);
        return;
    }
    int col = (block - in_blocks) * COLS, cols = cpu_min(COLS, a->d_out - col);
    cpu_gemm(true, false, cols, a->rank, at.n, a->scale, p->dy + (size_t)at.from * p->ld_y + col, p->ld_y,
             a->h + (size_t)at.from * r, r, 1, a->db + off + (size_t)col * r, r);
}

void cpu_lora_backward(struct backend *b, const struct lora_args *a, void *dx, const void *dy,
                       size_t ld_y, const void *x, size_t ld_x)
{
    struct lora_call p = lora_call(b, a);
    p.dx = dx;
    p.dy = dy;
    p.ld_y = ld_y;
    p.x = x;
    p.ld_x = ld_x;
    int per_member = cpu_blocks(a->d_in, COLS) + cpu_blocks(a->d_out, COLS);
    if (cpu_drops(&a->drop) && !cpu_scratch(p.c, LORA_ROWS * (size_t)a->d_in + cpu_mask_room(a->d_in)))
        return;
    team_run(p.c->team, lora_tasks(&p), lora_backward_block, &p);
    team_run(p.c->team, p.a.n_members * per_member, lora_grad_block, &p);
}
