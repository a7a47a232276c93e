/* models/cpu_loss.c: the vocabulary's head, blocked by rows so that all logits never exist at once. */
#include <math.h>

#include "models/cpu.h"

enum { LOSS_ROWS = 32, CHUNK_ROWS = 256, VOCAB_COLS = 256 };

struct loss_args {
    struct cpu *c;
    int n, d, n_vocab;
    const float *x, *w;
    const int32_t *label;
    const float *row_scale;
    float *nll, *dx, *dw;
    int chunk_from, chunk_n;
    int32_t *best;
};

/* In place: logits to d nll / d logits times scale. Returns nll. */
static float loss_row(float *z, int n, int label, float scale)
{
    float top = z[0], sum = 0, at = label >= 0 ? z[label] : 0;
    for (int j = 1; j < n; j++)
        top = fmaxf(top, z[j]);
    for (int j = 0; j < n; j++) {
        z[j] = expf(z[j] - top);
        sum += z[j];
    }
    float factor = label >= 0 ? scale / sum : 0;
    for (int j = 0; j < n; j++)
        z[j] *= factor;
    if (label < 0)
        return 0;
    z[label] -= scale;
    return top + logf(sum) - at;
}

static void loss_block(void *arg, int task, int thread)
{
    const struct loss_args *p = arg;
    size_t v = (size_t)p->n_vocab, d = (size_t)p->d;
    int in_chunk = task * LOSS_ROWS, from = p->chunk_from + in_chunk;
    int rows = cpu_min(LOSS_ROWS, p->chunk_n - in_chunk);
    float *z = p->dw ? p->c->shared + (size_t)in_chunk * v : cpu_scratch_of(p->c, thread);
    cpu_gemm(false, true, rows, p->n_vocab, p->d, 1, p->x + (size_t)from * d, d, p->w, d, 0, z, v);
    for (int i = 0; i < rows; i++)
        p->nll[from + i] = loss_row(z + (size_t)i * v, p->n_vocab, p->label[from + i],
                                    p->row_scale ? p->row_scale[from + i] : 0);
    if (p->dx)
        cpu_gemm(false, false, rows, p->d, p->n_vocab, 1, z, v, p->w, d, 0, p->dx + (size_t)from * d, d);
}

static void loss_weight_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct loss_args *p = arg;
    size_t v = (size_t)p->n_vocab, d = (size_t)p->d;
    int col = task * VOCAB_COLS, cols = cpu_min(VOCAB_COLS, p->n_vocab - col);
    cpu_gemm(true, false, cols, p->d, p->chunk_n, 1, p->c->shared + col, v,
             p->x + (size_t)p->chunk_from * d, d, 1, p->dw + (size_t)col * d, d);
}

void cpu_head_loss(struct backend *b, int n, int d, int n_vocab, const float *x, const float *w,
                   const int32_t *label, const float *row_scale, float *nll, float *dx, float *dw)
{
    struct cpu *c = cpu_of(b);
    struct loss_args p = {.c = c, .n = n, .d = d, .n_vocab = n_vocab, .x = x, .w = w, .label = label,
                          .row_scale = row_scale, .nll = nll, .dx = dx, .dw = dw};
    int chunk = dw ? CHUNK_ROWS : n;
    if (dw ? !cpu_shared(c, (size_t)CHUNK_ROWS * (size_t)n_vocab)
           : !cpu_scratch(c, (size_t)LOSS_ROWS * (size_t)n_vocab))
        return;
    for (int from = 0; from < n; from += chunk) {
        p.chunk_from = from;
        p.chunk_n = cpu_min(chunk, n - from);
        team_run(c->team, cpu_blocks(p.chunk_n, LOSS_ROWS), loss_block, &p);
        if (dw)
            team_run(c->team, cpu_blocks(n_vocab, VOCAB_COLS), loss_weight_block, &p);
    }
}

static void argmax_block(void *arg, int task, int thread)
{
    const struct loss_args *p = arg;
    size_t v = (size_t)p->n_vocab, d = (size_t)p->d;
    int from = task * LOSS_ROWS, rows = cpu_min(LOSS_ROWS, p->n - from);
    float *z = cpu_scratch_of(p->c, thread);
    cpu_gemm(false, true, rows, p->n_vocab, p->d, 1, p->x + (size_t)from * d, d, p->w, d, 0, z, v);
    for (int i = 0; i < rows; i++) {
        int best = 0;
        for (int j = 1; j < p->n_vocab; j++)
            if (z[(size_t)i * v + (size_t)j] > z[(size_t)i * v + (size_t)best])
                best = j;
        p->best[from + i] = best;
    }
}

void cpu_head_argmax(struct backend *b, int n, int d, int n_vocab, const float *x, const float *w,
                     int32_t *best)
{
    struct cpu *c = cpu_of(b);
    struct loss_args p = {.c = c, .n = n, .d = d, .n_vocab = n_vocab, .x = x, .w = w, .best = best};
    if (cpu_scratch(c, (size_t)LOSS_ROWS * (size_t)n_vocab))
        team_run(c->team, cpu_blocks(n, LOSS_ROWS), argmax_block, &p);
}
