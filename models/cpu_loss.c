/* models/cpu_loss.c: the vocabulary's head, blocked by rows so that all logits never exist at once. */
#include <math.h>

#include "models/cpu.h"
#include "models/cpu_softmax.h"

/* Logits of one task: about a megabyte, the size of a core's cache, but 64 to 128 rows, because each task packs the
 * weights again. With dw, the gradients of CHUNK_ROWS rows of logits are kept until each VOCAB_COLS columns of dw
 * are summed. */
enum { TASK_VALUES = 1 << 18, CHUNK_ROWS = 256, VOCAB_COLS = 256 };
enum { TOP_ROWS = CPU_PANEL_ROWS, TOP_COLS = 2048, FEW_COLS = 512 };

struct loss_args {
    struct cpu *c;
    int n, d, n_vocab, rows; /* rows of a task */
    const void *x, *w; /* values */
    const int32_t *label;
    const float *row_scale;
    float *nll, *dw;
    void *dx; /* values */
    int chunk_from, chunk_n;
    int32_t *best;
    int k; /* of head_top: columns of a row */
    const float *packed; /* of its logits: the rows, or NULL */
    float *logp;
};

static int loss_rows(int n_vocab)
{
    int rows = TASK_VALUES / n_vocab / 16 * 16;
    return rows < 64 ? 64 : cpu_min(rows, 128);
}

size_t cpu_logits_bytes(int n_vocab, size_t value_bytes)
{
    size_t n = (size_t)loss_rows(n_vocab) * (size_t)n_vocab;
    return n * (sizeof(float) + (value_bytes < sizeof(float) ? value_bytes : 0));
}

/* z [n] of one row: gives nll; with is_gradient z becomes scale * d nll / d z. */
CPU_KERNEL static float loss_row(float *z, int n, int label, bool is_gradient, float scale)
{
    float top, at = z[label], sum = cpu_exps(z, (size_t)n, &top);
    if (is_gradient) {
        float factor = scale / sum;
#pragma omp simd
        for (int j = 0; j < n; j++)
            z[j] *= factor;
        z[label] -= scale;
    }
    return top + logf(sum) - at;
}

/* z [rows, n_vocab] = x W^T, float32, from row `from` of x on. */
static void logits(const struct loss_args *p, int thread, int from, int rows, float *z)
{
    size_t d = (size_t)p->d;
    struct cpu_product q = {.m = rows, .n = p->n_vocab, .k = p->d, .a = cpu_const_at(p->c, p->x, (size_t)from * d),
                            .ld_a = d, .b = p->w, .ld_b = d, .is_b_t = true, .is_c_wide = true, .c = z,
                            .ld_c = (size_t)p->n_vocab};
    cpu_product(p->c, thread, &q);
}

/* dx of rows from the gradients of their logits, which are narrowed into room where values are bfloat16. */
static void logits_down(const struct loss_args *p, int thread, int from, int rows, const float *z, void *room)
{
    size_t d = (size_t)p->d, v = (size_t)p->n_vocab;
    struct cpu_product q = {.m = rows, .n = p->d, .k = p->n_vocab, .a = p->c->is_bf16 ? room : z, .ld_a = v,
                            .b = p->w, .ld_b = d, .c = cpu_at(p->c, p->dx, (size_t)from * d), .ld_c = d};
    cpu_stored(p->c, room, 0, (size_t)rows * v, z);
    cpu_product(p->c, thread, &q);
}

static void loss_block(void *arg, int task, int thread)
{
    const struct loss_args *p = arg;
    size_t v = (size_t)p->n_vocab;
    int in_chunk = task * p->rows, from = p->chunk_from + in_chunk;
    int rows = cpu_min(p->rows, p->chunk_n - in_chunk);
    bool is_gradient = p->dx || p->dw;
    float *room = cpu_scratch_of(p->c, thread), *z = p->dw ? p->c->shared + (size_t)in_chunk * v : room;
    logits(p, thread, from, rows, z);
    for (int i = 0; i < rows; i++) {
        float *row = z + (size_t)i * v;
        int label = p->label[from + i];
        p->nll[from + i] = label < 0 ? 0 : loss_row(row, p->n_vocab, label, is_gradient,
                                                    is_gradient ? p->row_scale[from + i] : 0);
        for (size_t j = 0; label < 0 && is_gradient && j < v; j++)
            row[j] = 0;
    }
    if (p->dx)
        logits_down(p, thread, from, rows, z, p->dw ? room : room + (size_t)p->rows * v);
}

static void loss_weight_block(void *arg, int task, int thread)
{
    const struct loss_args *p = arg;
    size_t v = (size_t)p->n_vocab, d = (size_t)p->d;
    int col = task * VOCAB_COLS, cols = cpu_min(VOCAB_COLS, p->n_vocab - col);
    const float *x = cpu_wide(p->c, p->x, (size_t)p->chunk_from * d, (size_t)p->chunk_n * d,
                              cpu_scratch_of(p->c, thread));
    cpu_gemm(true, false, cols, p->d, p->chunk_n, 1, p->c->shared + col, v, x, d, 1, p->dw + (size_t)col * d, d);
}

void cpu_head_loss(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                   const int32_t *label, const float *row_scale, float *nll, void *dx, float *dw)
{
    struct cpu *c = cpu_of(b);
    struct loss_args p = {.c = c, .n = n, .d = d, .n_vocab = n_vocab, .rows = loss_rows(n_vocab), .x = x,
                          .w = w, .label = label, .row_scale = row_scale, .nll = nll, .dx = dx, .dw = dw};
    int chunk = n;
    if (dw) {
        chunk = CHUNK_ROWS;
        p.rows = cpu_min(p.rows, 32);
    }
    size_t logits = (size_t)p.rows * (size_t)n_vocab, narrowed = c->is_bf16 ? logits / 2 + 1 : 0;
    size_t inputs = c->is_bf16 ? (size_t)CHUNK_ROWS * (size_t)d : 0, room = dw ? narrowed : logits + narrowed;
    if (!cpu_scratch(c, dw && inputs > room ? inputs : room) || (dw && !cpu_shared(c, (size_t)chunk * (size_t)n_vocab)))
        return;
    for (int from = 0; from < n; from += chunk) {
        p.chunk_from = from;
        p.chunk_n = cpu_min(chunk, n - from);
        team_run(c->team, cpu_blocks(p.chunk_n, p.rows), loss_block, &p);
        if (dw)
            team_run(c->team, cpu_blocks(n_vocab, VOCAB_COLS), loss_weight_block, &p);
    }
}

/* The lowest index of the largest: the largest of each block of 64 first, then its place in the best one. */
CPU_KERNEL static int argmax_row(const float *z, int n)
{
    float top = -INFINITY;
    int first = 0;
    for (int j = 0; j < n; j += 64) {
        int end = j + 64 < n ? j + 64 : n;
        float here = -INFINITY;
#pragma omp simd reduction(max : here)
        for (int k = j; k < end; k++)
            here = z[k] > here ? z[k] : here;
        if (here > top) {
            top = here;
            first = j;
        }
    }
    while (first < n - 1 && !(z[first] >= top))
        first++;
    return first;
}

/* The logits of TOP_ROWS rows from chunk_from on, in shared. */
static struct cpu_product top_product(const struct loss_args *p)
{
    size_t d = (size_t)p->d;
    return (struct cpu_product){.m = p->chunk_n, .n = p->n_vocab, .k = p->d,
                                .a = cpu_const_at(p->c, p->x, (size_t)p->chunk_from * d), .ld_a = d, .b = p->w,
                                .ld_b = d, .is_b_t = true, .is_c_wide = true, .c = p->c->shared,
                                .ld_c = (size_t)p->n_vocab};
}

/* Columns of a task: a library's product copies the weights for all rows, that by panel does not. */
static int top_cols(const struct loss_args *p)
{
    return p->packed ? FEW_COLS : TOP_COLS;
}

static void columns_block(void *arg, int task, int thread)
{
    const struct loss_args *p = arg;
    struct cpu_product q = top_product(p);
    size_t col = (size_t)task * (size_t)top_cols(p);
    q.n = cpu_min(top_cols(p), p->n_vocab - (int)col);
    q.b = cpu_const_at(p->c, p->w, col * q.ld_b);
    q.c = p->c->shared + col;
    if (p->packed)
        cpu_product_packed(p->c, &q, p->packed);
    else
        cpu_product(p->c, thread, &q);
}

/* Logits of TOP_ROWS rows at a time, shared out by columns because rows are few, then row_block for each row. */
static void top_run(struct loss_args *p, team_fn *row_block)
{
    if (!cpu_shared(p->c, (size_t)TOP_ROWS * (size_t)p->n_vocab) ||
        !cpu_scratch(p->c, cpu_packed_room(p->c, TOP_ROWS, p->d)))
        return;
    for (p->chunk_from = 0; p->chunk_from < p->n; p->chunk_from += TOP_ROWS) {
        p->chunk_n = cpu_min(TOP_ROWS, p->n - p->chunk_from);
        struct cpu_product q = top_product(p);
        float *packed = cpu_is_by_panel(p->c, &q) ? cpu_scratch_of(p->c, 0) : NULL;
        if (packed)
            p->c->panel->pack(packed, q.a, q.ld_a, q.m, q.k);
        p->packed = packed;
        team_run(p->c->team, cpu_blocks(p->n_vocab, top_cols(p)), columns_block, p);
        team_run(p->c->team, p->chunk_n, row_block, p);
    }
}

static void argmax_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct loss_args *p = arg;
    p->best[p->chunk_from + task] = argmax_row(p->c->shared + (size_t)task * (size_t)p->n_vocab, p->n_vocab);
}

void cpu_head_argmax(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                     int32_t *best)
{
    struct loss_args p = {.c = cpu_of(b), .n = n, .d = d, .n_vocab = n_vocab, .x = x, .w = w, .best = best};
    top_run(&p, argmax_block);
}

/* log of the softmax's denominator */
CPU_KERNEL static float log_sum(const float *z, int n)
{
    float top = z[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int j = 0; j < n; j++)
        top = z[j] > top ? z[j] : top;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < n; j++)
        sum += cpu_exp(z[j] - top);
    return top + logf(sum);
}

/* The k largest of z [n], descending; an equal one that comes later stays behind. */
static void top_of_row(const float *z, int n, int k, int32_t *index, float *value)
{
    int n_top = 0;
    for (int j = 0; j < n; j++) {
        if (n_top == k && !(z[j] > value[k - 1]))
            continue;
        int at = n_top < k ? n_top++ : k - 1;
        for (; at > 0 && z[j] > value[at - 1]; at--) {
            value[at] = value[at - 1];
            index[at] = index[at - 1];
        }
        value[at] = z[j];
        index[at] = j;
    }
}

static void top_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct loss_args *p = arg;
    size_t k = (size_t)p->k, at = (size_t)(p->chunk_from + task) * k;
    const float *z = p->c->shared + (size_t)task * (size_t)p->n_vocab;
    float denominator = log_sum(z, p->n_vocab);
    top_of_row(z, p->n_vocab, p->k, p->best + at, p->logp + at);
    for (size_t j = 0; j < k; j++)
        p->logp[at + j] -= denominator;
}

void cpu_head_top(struct backend *b, int n, int d, int n_vocab, int k, const void *x, const void *w,
                  int32_t *index, float *logp)
{
    struct loss_args p = {.c = cpu_of(b), .n = n, .d = d, .n_vocab = n_vocab, .x = x, .w = w, .best = index,
                          .k = k, .logp = logp};
    top_run(&p, top_block);
}
