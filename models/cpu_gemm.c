/* models/cpu_gemm.c: products of matrices: frozen weights through BLAS, adapters of all members. */
#include <cblas.h>
#include <stdio.h>
#include <string.h>

#include "models/cpu_lora.h"
#include "models/cpu_math.h"
#include "sim/base/check.h"

/* Columns of a weight gradient's task; rows it sums at a time, which stay in cache. */
enum { COLS = 64, SUM_ROWS = 512 };

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

void cpu_product(const struct cpu *c, int thread, const struct cpu_product *p)
{
    if (c->is_bf16)
        cpu_dnnl_product(c->dnnl, thread, p);
    else
        cpu_gemm(false, p->is_b_t, p->m, p->n, p->k, 1, p->a, p->ld_a, p->b, p->ld_b, p->add ? 1.0f : 0.0f, p->c,
                 p->ld_c);
}

/* Many rows pay where sums are long enough for a panel's own work, the copy of x and of its results. */
enum { LONG_SUM = 384 };

bool cpu_is_by_panel(const struct cpu *c, const struct cpu_product *p)
{
    if (!c->panel || !p->is_b_t || (c->is_bf16 && (p->add || p->k % 2)))
        return false;
    return p->m <= CPU_PANEL_ROWS || (c->panel->takes_many && p->k >= LONG_SUM);
}

size_t cpu_packed_room(const struct cpu *c, int m, int k)
{
    return cpu_panel_room(m, c->is_bf16 ? k / 2 : k);
}

void cpu_product_packed(const struct cpu *c, const struct cpu_product *p, const float *packed)
{
    if (p->m <= CPU_FEW_ROWS) {
        struct cpu_few few = {.m = p->m, .n = p->n, .k = p->k, .x = p->a, .ld_x = p->ld_a, .w = p->b, .ld_w = p->ld_b,
                              .y = p->c, .ld_y = p->ld_c, .scale = 1, .add = p->add,
                              .is_y_wide = p->is_c_wide || !c->is_bf16, .is_far = true};
        c->few(&few);
        return;
    }
    struct cpu_panel f = {.m = p->m, .n = p->n, .k = p->k, .x = packed, .w = p->b, .ld_w = p->ld_b, .y = p->c,
                          .ld_y = p->ld_c, .scale = 1, .add = p->add, .is_y_wide = p->is_c_wide || !c->is_bf16};
    c->panel->multiply(&f);
}

void cpu_product_wide(const struct cpu *c, const struct cpu_few *f, float *panel)
{
    if (!c->few_wide) {
        cpu_gemm(false, true, f->m, f->n, f->k, f->scale, f->x, f->ld_x, f->w, f->ld_w, f->add ? 1.0f : 0.0f, f->y,
                 f->ld_y);
        return;
    }
    if (f->m <= CPU_FEW_ROWS) {
        c->few_wide(f);
        return;
    }
    struct cpu_panel p = {.m = f->m, .n = f->n, .k = f->k, .x = panel, .w = f->w, .ld_w = f->ld_w, .y = f->y,
                          .ld_y = f->ld_y, .scale = f->scale, .add = f->add, .is_y_wide = true};
    c->panel_wide->pack(panel, f->x, f->ld_x, f->m, f->k);
    c->panel_wide->multiply(&p);
}

/* A product cut into tasks of so many rows and columns. */
struct linear_args {
    const struct cpu *c;
    struct cpu_product all;
    int rows, cols;
    bool is_by_panel;
    const float *packed; /* then: all rows, or NULL: each task packs its own */
};

/* About 32 tasks: enough to share out evenly, large enough for BLAS (80 rows reach 90 % of its peak). */
static int linear_rows(int n)
{
    int rows = (n / 32 + 15) / 16 * 16;
    return rows < 32 ? 32 : cpu_min(rows, 256);
}

/* Whole panels, of which a task's stay in a core's cache while the weights pass by. */
static int panel_rows(int n, int k)
{
    enum { VALUES = 1 << 17, LEAST = 2 * CPU_PANEL_ROWS };
    int rows = cpu_min(linear_rows(n), VALUES / k);
    return (rows < LEAST ? LEAST : rows) / CPU_PANEL_ROWS * CPU_PANEL_ROWS;
}

/* Few rows, those of decoding, are one block: its columns are shared out then. */
static int few_cols(int n)
{
    int cols = (n / 8 + 63) / 64 * 64;
    return cols < 64 ? 64 : cols;
}

static void linear_block(void *arg, int task, int thread)
{
    const struct linear_args *p = arg;
    struct cpu_product part = p->all;
    int across = cpu_blocks(part.n, p->cols);
    size_t row = (size_t)(task / across) * (size_t)p->rows, col = (size_t)(task % across) * (size_t)p->cols;
    part.m = cpu_min(p->rows, p->all.m - (int)row);
    part.n = cpu_min(p->cols, p->all.n - (int)col);
    part.a = cpu_const_at(p->c, part.a, row * part.ld_a);
    part.b = cpu_const_at(p->c, part.b, part.is_b_t ? col * part.ld_b : col);
    part.c = cpu_at(p->c, part.c, row * part.ld_c + col);
    if (!p->is_by_panel) {
        cpu_product(p->c, thread, &part);
        return;
    }
    float *own = cpu_scratch_of(p->c, thread);
    if (!p->packed)
        p->c->panel->pack(own, part.a, part.ld_a, part.m, part.k);
    cpu_product_packed(p->c, &part, p->packed ? p->packed : own);
}

static void linear_run(struct backend *b, const struct cpu_product *all)
{
    struct cpu *c = cpu_of(b);
    struct linear_args p = {c, *all, linear_rows(all->m), all->n, cpu_is_by_panel(c, all), NULL};
    bool is_few = all->m <= CPU_PANEL_ROWS;
    if (p.is_by_panel && !is_few)
        p.rows = panel_rows(all->m, all->k);
    if (is_few)
        p.cols = few_cols(all->n);
    if (all->m == 0 || (p.is_by_panel && !cpu_scratch(c, cpu_packed_room(c, cpu_min(p.rows, all->m), all->k))))
        return;
    if (p.is_by_panel && is_few) {
        float *packed = cpu_scratch_of(c, 0);
        c->panel->pack(packed, all->a, all->ld_a, all->m, all->k);
        p.packed = packed;
    }
    team_run(c->team, cpu_blocks(all->m, p.rows) * cpu_blocks(all->n, p.cols), linear_block, &p);
}

void cpu_linear(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                size_t ld_x, const void *w, bool add)
{
    struct cpu_product p = {.m = n, .n = out, .k = in, .a = x, .ld_a = ld_x, .b = w, .ld_b = (size_t)in,
                            .is_b_t = true, .add = add, .c = y, .ld_c = ld_y};
    linear_run(b, &p);
}

void cpu_linear_backward(struct backend *b, int n, int in, int out, void *dx, size_t ld_x,
                         const void *dy, size_t ld_y, const void *w, bool add)
{
    struct cpu_product p = {.m = n, .n = in, .k = out, .a = dy, .ld_a = ld_y, .b = w, .ld_b = (size_t)in,
                            .add = add, .c = dx, .ld_c = ld_x};
    linear_run(b, &p);
}

struct weight_args {
    const struct cpu *c;
    int n, in, out;
    float *dw;
    const void *dy, *x;
    size_t ld_y, ld_x;
};

/* A task owns COLS columns of dy, so that rows are summed in one order. */
static void weight_block(void *arg, int task, int thread)
{
    const struct weight_args *p = arg;
    int from = task * COLS, cols = cpu_min(COLS, p->out - from);
    float *room = cpu_scratch_of(p->c, thread);
    for (int i = 0; i < p->n; i += SUM_ROWS) {
        int n = cpu_min(SUM_ROWS, p->n - i);
        struct cpu_block dy = cpu_wide_block(p->c, p->dy, (size_t)i * p->ld_y + (size_t)from, p->ld_y, n, cols, room);
        struct cpu_block x = cpu_wide_block(p->c, p->x, (size_t)i * p->ld_x, p->ld_x, n, p->in,
                                    room + (size_t)SUM_ROWS * COLS);
        cpu_gemm(true, false, cols, p->in, n, 1, dy.at, dy.ld, x.at, x.ld, 1,
                 p->dw + (size_t)from * (size_t)p->in, (size_t)p->in);
    }
}

void cpu_linear_backward_weight(struct backend *b, int n, int in, int out, float *dw, const void *dy,
                                size_t ld_y, const void *x, size_t ld_x)
{
    struct weight_args p = {cpu_of(b), n, in, out, dw, dy, x, ld_y, ld_x};
    if (cpu_scratch(cpu_of(b), SUM_ROWS * (COLS + (size_t)in)))
        team_run(p.c->team, cpu_blocks(out, COLS), weight_block, &p);
}

/* --- adapters --- */

static struct lora_call lora_call(struct backend *b, const struct lora_args *a)
{
    struct lora_call p = {.c = cpu_of(b), .a = *a};
    if (a->stride == 0 && a->n_members > 0) {
        p.all[0] = a->member_row[0];
        p.all[1] = a->member_row[a->n_members];
        p.is_few = p.c->panel_wide && p.all[1] - p.all[0] <= CPU_PANEL_ROWS;
        p.a.n_members = 1;
    }
    return p;
}

const int32_t *lora_rows(const struct lora_call *p)
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

struct lora_part lora_part(const struct lora_call *p, int task)
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

CPU_KERNEL static void multiply(float *out, const float *x, const float *mask, size_t n)
{
#pragma omp simd
    for (size_t j = 0; j < n; j++)
        out[j] = x[j] * mask[j];
}

CPU_KERNEL static void add_multiplied(float *out, const float *x, const float *mask, size_t n)
{
#pragma omp simd
    for (size_t j = 0; j < n; j++)
        out[j] += x[j] * mask[j];
}

/* A thread's scratch: float32 rows of a part, [LORA_ROWS, d_in] and [LORA_ROWS, d_out], a row's mask, a row, and a
 * panel of x or h. */
struct lora_rooms {
    float *in, *out, *mask, *row, *panel;
};

static size_t lora_panel_room(const struct lora_args *a)
{
    return cpu_panel_room(CPU_PANEL_ROWS, a->d_in > a->rank ? a->d_in : a->rank);
}

static size_t lora_rooms_size(const struct lora_args *a)
{
    return lora_panel_room(a) + LORA_ROWS * ((size_t)a->d_in + (size_t)a->d_out) + 2 * cpu_mask_room(a->d_in);
}

static struct lora_rooms lora_rooms(const struct lora_call *p, int thread)
{
    float *panel = cpu_scratch_of(p->c, thread), *in = panel + lora_panel_room(&p->a);
    float *out = in + LORA_ROWS * (size_t)p->a.d_in, *mask = out + LORA_ROWS * (size_t)p->a.d_out;
    return (struct lora_rooms){in, out, mask, mask + cpu_mask_room(p->a.d_in), panel};
}

/* dropout(x) of a part's rows in float32: where they lie when nothing is dropped or widened, else in r->in. */
static struct cpu_block lora_input(const struct lora_call *p, struct lora_part at, const struct lora_rooms *r)
{
    size_t d = (size_t)p->a.d_in, first = (size_t)at.from;
    if (!cpu_drops(&p->a.drop))
        return cpu_wide_block(p->c, p->x, first * p->ld_x, p->ld_x, at.n, p->a.d_in, r->in);
    for (size_t i = 0; i < (size_t)at.n; i++) {
        cpu_mask(r->mask, p->a.d_in, &p->a.drop, first + i, 0);
        multiply(r->in + i * d, cpu_wide(p->c, p->x, (first + i) * p->ld_x, d, r->row), r->mask, d);
    }
    return (struct cpu_block){r->in, d};
}

/* h and y of few rows */
static void lora_few(const struct lora_call *p, int n, struct cpu_block x, float *h, float *y, size_t ld_y,
                     float *panel)
{
    const struct lora_args *a = &p->a;
    size_t rank = (size_t)a->rank, d_in = (size_t)a->d_in;
    struct cpu_few down = {.m = n, .n = a->rank, .k = a->d_in, .x = x.at, .ld_x = x.ld, .w = a->a, .ld_w = d_in,
                           .y = h, .ld_y = rank, .scale = 1, .is_y_wide = true};
    struct cpu_few up = {.m = n, .n = a->d_out, .k = a->rank, .x = h, .ld_x = rank, .w = a->b, .ld_w = rank,
                         .y = y, .ld_y = ld_y, .scale = a->scale, .add = true, .is_y_wide = true};
    cpu_product_wide(p->c, &down, panel);
    cpu_product_wide(p->c, &up, panel);
}

static void lora_block(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    struct lora_part at = lora_part(p, task);
    struct lora_rooms r = lora_rooms(p, thread);
    size_t off = (size_t)at.member * a->stride, rank = (size_t)a->rank;
    struct cpu_block x = lora_input(p, at, &r);
    struct cpu_block y = cpu_wide_block(p->c, p->y, (size_t)at.from * p->ld_y, p->ld_y, at.n, a->d_out, r.out);
    float *h = a->h + (size_t)at.from * rank;
    float *to = p->c->is_bf16 ? r.out : (float *)p->y + (size_t)at.from * p->ld_y;
    if (p->is_few) {
        lora_few(p, at.n, x, h, to, y.ld, r.panel);
    } else {
        cpu_gemm(false, true, at.n, a->rank, a->d_in, 1, x.at, x.ld, a->a + off, (size_t)a->d_in, 0, h, rank);
        cpu_gemm(false, true, at.n, a->d_out, a->rank, a->scale, h, rank, a->b + off, rank, 1, to, y.ld);
    }
    cpu_stored_block(p->c, p->y, (size_t)at.from * p->ld_y, p->ld_y, at.n, a->d_out, r.out);
}

void cpu_lora(struct backend *b, const struct lora_args *a, void *y, size_t ld_y, const void *x,
              size_t ld_x)
{
    struct lora_call p = lora_call(b, a);
    p.y = y;
    p.ld_y = ld_y;
    p.x = x;
    p.ld_x = ld_x;
    bool is_bf16 = !p.is_few && cpu_lora_bf16_takes(&p);
    if (cpu_scratch(p.c, is_bf16 ? cpu_lora_bf16_scratch(&p) : lora_rooms_size(a)))
        team_run(p.c->team, lora_tasks(&p), is_bf16 ? cpu_lora_bf16_forward : lora_block, &p);
}

struct merge_args {
    const struct lora_args *a;
    float *to;
    const float *w;
};

static void merge_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct merge_args *p = arg;
    size_t row = (size_t)task * COLS, rank = (size_t)p->a->rank, d = (size_t)p->a->d_in;
    int n = cpu_min(COLS, p->a->d_out - (int)row);
    memcpy(p->to + row * d, p->w + row * d, (size_t)n * d * sizeof(float));
    cpu_gemm(false, false, n, p->a->d_in, p->a->rank, p->a->scale, p->a->b + row * rank, rank, p->a->a, d, 1,
             p->to + row * d, d);
}

void cpu_lora_merge(struct backend *b, const struct lora_args *a, void *to, const void *w)
{
    struct merge_args p = {a, to, w};
    team_run(cpu_of(b)->team, cpu_blocks(a->d_out, COLS), merge_block, &p);
}

/* The rows of a part: xd = dropout(x), values, where something is dropped, and with gx [n, d_in], the gradient of
 * that, dx += gx * mask. */
static void lora_down(const struct lora_call *p, struct lora_part at, const float *gx,
                      const struct lora_rooms *r)
{
    size_t d = (size_t)p->a.d_in;
    bool drops = cpu_drops(&p->a.drop);
    for (size_t j = 0; !drops && j < d; j++)
        r->mask[j] = 1;
    for (size_t i = 0; i < (size_t)at.n; i++) {
        size_t row = (size_t)at.from + i, at_x = row * p->ld_x;
        if (drops) {
            cpu_mask(r->mask, p->a.d_in, &p->a.drop, row, 0);
            multiply(cpu_store(p->c, p->a.xd, row * d, r->row), cpu_wide(p->c, p->x, at_x, d, r->row), r->mask, d);
            cpu_stored(p->c, p->a.xd, row * d, d, r->row);
        }
        if (!gx)
            continue;
        cpu_wide(p->c, p->dx, at_x, d, r->row);
        add_multiplied(cpu_store(p->c, p->dx, at_x, r->row), gx + i * d, r->mask, d);
        cpu_stored(p->c, p->dx, at_x, d, r->row);
    }
}

static void lora_backward_block(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    struct lora_part at = lora_part(p, task);
    struct lora_rooms r = lora_rooms(p, thread);
    size_t off = (size_t)at.member * a->stride, rank = (size_t)a->rank, d = (size_t)a->d_in;
    float *gh = a->gh + (size_t)at.from * rank;
    bool drops = cpu_drops(&a->drop);
    struct cpu_block dy = cpu_wide_block(p->c, p->dy, (size_t)at.from * p->ld_y, p->ld_y, at.n, a->d_out, r.out);
    cpu_gemm(false, false, at.n, a->rank, a->d_out, a->scale, dy.at, dy.ld, a->b + off, rank, 0, gh, rank);
    if (p->dx && !drops && !p->c->is_bf16) {
        cpu_gemm(false, false, at.n, a->d_in, a->rank, 1, gh, rank, a->a + off, d, 1,
                 (float *)p->dx + (size_t)at.from * p->ld_x, p->ld_x);
        return;
    }
    if (p->dx)
        cpu_gemm(false, false, at.n, a->d_in, a->rank, 1, gh, rank, a->a + off, d, 0, r.in, d);
    if (p->dx || drops)
        lora_down(p, at, p->dx ? r.in : NULL, &r);
}

/* g [cols, rank] or its transpose += of a member's rows, SUM_ROWS at a time where values are widened. */
struct lora_sum {
    const void *values; /* [n, cols] at stride ld */
    size_t at, ld;
    int n, cols;
    const float *with; /* [n, rank] */
    float *to;
    size_t ld_to;
    float scale;
    bool is_a; /* to [rank, cols], else [cols, rank] */
};

static void lora_sum(const struct lora_call *p, const struct lora_sum *s, float *room)
{
    int step = p->c->is_bf16 ? SUM_ROWS : s->n, rank = p->a.rank;
    for (int i = 0; i < s->n; i += step) {
        int n = cpu_min(step, s->n - i);
        struct cpu_block v = cpu_wide_block(p->c, s->values, s->at + (size_t)i * s->ld, s->ld, n, s->cols, room);
        const float *with = s->with + (size_t)i * (size_t)rank;
        if (s->is_a)
            cpu_gemm(true, false, rank, s->cols, n, s->scale, with, (size_t)rank, v.at, v.ld, 1, s->to, s->ld_to);
        else
            cpu_gemm(true, false, s->cols, rank, n, s->scale, v.at, v.ld, with, (size_t)rank, 1, s->to, s->ld_to);
    }
}

/* da and db of one member, COLS columns of its input or output at a time. */
static void lora_grad_block(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    int in_blocks = cpu_blocks(a->d_in, COLS), per_member = in_blocks + cpu_blocks(a->d_out, COLS);
    int block = task % per_member, member = task / per_member, from = lora_rows(p)[member];
    size_t off = (size_t)member * a->stride, r = (size_t)a->rank, d = (size_t)a->d_in, first = (size_t)from;
    struct lora_sum s = {.n = lora_rows(p)[member + 1] - from, .scale = 1, .is_a = block < in_blocks};
    if (s.n == 0)
        return;
    if (s.is_a) {
        int col = block * COLS;
        s.cols = cpu_min(COLS, a->d_in - col);
        s.ld = cpu_drops(&a->drop) ? d : p->ld_x;
        s.values = cpu_drops(&a->drop) ? a->xd : p->x;
        s.at = first * s.ld + (size_t)col;
        s.with = a->gh + first * r;
        s.to = a->da + off + col;
        s.ld_to = d;
    } else {
        int col = (block - in_blocks) * COLS;
        s.cols = cpu_min(COLS, a->d_out - col);
        s.scale = a->scale;
        s.values = p->dy;
        s.ld = p->ld_y;
        s.at = first * s.ld + (size_t)col;
        s.with = a->h + first * r;
        s.to = a->db + off + (size_t)col * r;
        s.ld_to = r;
    }
    lora_sum(p, &s, cpu_scratch_of(p->c, thread));
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
    bool is_bf16 = cpu_lora_bf16_takes(&p);
    int per_member = is_bf16 ? cpu_lora_bf16_sums(a) : cpu_blocks(a->d_in, COLS) + cpu_blocks(a->d_out, COLS);
    size_t sums = (size_t)SUM_ROWS * COLS, rooms = lora_rooms_size(a);
    if (!cpu_scratch(p.c, is_bf16 ? cpu_lora_bf16_scratch(&p) : rooms > sums ? rooms : sums))
        return;
    team_run(p.c->team, lora_tasks(&p), is_bf16 ? cpu_lora_bf16_backward : lora_backward_block, &p);
    team_run(p.c->team, p.a.n_members * per_member, is_bf16 ? cpu_lora_bf16_sum : lora_grad_block, &p);
}
