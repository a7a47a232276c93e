/* models/cpu.c: the CPU backend's table, memory, element-wise operations and optimizer steps. */
#include "models/cpu.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/dropout.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

/* Rows, columns and values of one task. */
enum { ROWS = 64, COLS = 16, VALUES = 16384 };

static void cpu_close(struct backend *b)
{
    struct cpu *c = cpu_of(b);
    if (!c)
        return;
    team_close(c->team);
    mem_free(c->scratch);
    mem_free(c->shared);
    free(c);
}

static enum err_code cpu_open(struct backend **out, int n_threads, struct err *e)
{
    struct cpu *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(e, ERR_MEMORY, "cpu backend: no memory");
    c->base.ops = &cpu_backend;
    c->n_threads = n_threads;
    cpu_gemm_init();
    enum err_code code = team_open(&c->team, n_threads, e);
    if (code) {
        cpu_close(&c->base);
        return err_in(e, code, "cpu backend");
    }
    *out = &c->base;
    return OK;
}

static void cpu_describe(struct backend *b, char *out, size_t n)
{
    (void)b;
    char blas[96];
    cpu_gemm_describe(blas, sizeof(blas));
    snprintf(out, n, "cpu %s f32", blas);
}

static bool grow(struct cpu *c, float **at, size_t *n, size_t n_wanted, const char *what)
{
    if (n_wanted <= *n)
        return true;
    void *fresh = NULL;
    size_t n_bytes;
    struct err e = {0};
    if (!size_mul(n_wanted, sizeof(float), &n_bytes))
        err_set(&e, ERR_MEMORY, "%s does not fit in memory", what);
    else if (!mem_big(&fresh, n_bytes, what, &e)) {
        mem_free(*at);
        *at = fresh;
        *n = n_wanted;
        return true;
    }
    if (!c->failure.code)
        c->failure = e;
    return false;
}

bool cpu_scratch(struct cpu *c, size_t n_per_thread)
{
    size_t n = (n_per_thread + 31) / 16 * 16 * (size_t)c->n_threads; /* parts stay aligned to 64 */
    return grow(c, &c->scratch, &c->n_scratch, n, "cpu backend: scratch");
}

bool cpu_shared(struct cpu *c, size_t n)
{
    return grow(c, &c->shared, &c->n_shared, n, "cpu backend: shared scratch");
}

static enum err_code cpu_alloc(struct backend *b, void **out, size_t n_bytes, const char *what,
                               struct err *e)
{
    (void)b;
    return mem_big(out, n_bytes, what, e);
}

static void cpu_free(struct backend *b, void *p)
{
    (void)b;
    mem_free(p);
}

static void cpu_set(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    (void)b;
    if (n_bytes)
        memcpy(to, from, n_bytes);
}

static void cpu_copy(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    (void)b;
    if (n_bytes)
        memmove(to, from, n_bytes);
}

static void cpu_zero(struct backend *b, void *p, size_t n_bytes)
{
    (void)b;
    if (n_bytes)
        memset(p, 0, n_bytes);
}

static enum err_code cpu_sync(struct backend *b, struct err *e)
{
    struct cpu *c = cpu_of(b);
    enum err_code code = c->failure.code;
    if (code)
        err_set(e, code, "%s", c->failure.text);
    c->failure = (struct err){0};
    return code;
}

/* One struct for all loops over rows or values; an operation uses what it needs. */
struct args {
    struct cpu *c;
    int n, d;
    size_t n_values;
    float *out, *x2, *x3, *x4;
    const float *in, *w, *y, *z;
    const int32_t *ids;
    const struct dropout *drop;
    float f[8];
};

static int rows_of(const struct args *p, int task)
{
    return cpu_min(ROWS, p->n - task * ROWS);
}

static void embed_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    size_t d = (size_t)p->d;
    for (int i = task * ROWS, end = i + rows_of(p, task); i < end; i++)
        memcpy(p->out + (size_t)i * d, p->w + (size_t)p->ids[i] * d, d * sizeof(float));
}

static void cpu_embed(struct backend *b, int n, int d, float *out, const float *table,
                      const int32_t *ids)
{
    struct args p = {.n = n, .d = d, .out = out, .w = table, .ids = ids};
    team_run(cpu_of(b)->team, cpu_blocks(n, ROWS), embed_block, &p);
}

/* A task owns columns, so that rows with the same id are added in their order. */
static void embed_backward_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    size_t d = (size_t)p->d;
    int from = task * COLS, cols = cpu_min(COLS, p->d - from);
    for (int i = 0; i < p->n; i++) {
        float *to = p->out + (size_t)p->ids[i] * d + (size_t)from;
        const float *dout = p->in + (size_t)i * d + (size_t)from;
        for (int j = 0; j < cols; j++)
            to[j] += dout[j];
    }
}

static void cpu_embed_backward(struct backend *b, int n, int d, float *dtable, const float *dout,
                               const int32_t *ids)
{
    struct args p = {.n = n, .d = d, .out = dtable, .in = dout, .ids = ids};
    team_run(cpu_of(b)->team, cpu_blocks(d, COLS), embed_backward_block, &p);
}

static void rms_norm_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    size_t d = (size_t)p->d;
    for (int i = task * ROWS, end = i + rows_of(p, task); i < end; i++) {
        const float *x = p->in + (size_t)i * d;
        float *out = p->out + (size_t)i * d, sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += x[j] * x[j];
        float rstd = 1 / sqrtf(sum / (float)d + p->f[0]);
        p->x2[i] = rstd;
        for (size_t j = 0; j < d; j++)
            out[j] = x[j] * rstd * p->w[j];
    }
}

static void cpu_rms_norm(struct backend *b, int n, int d, float eps, float *out, float *rstd,
                         const float *x, const float *w)
{
    struct args p = {.n = n, .d = d, .out = out, .x2 = rstd, .in = x, .w = w, .f = {eps}};
    team_run(cpu_of(b)->team, cpu_blocks(n, ROWS), rms_norm_block, &p);
}

/* With g = dout * w:  dx = rstd * (g - x * rstd^2 * mean(g x)). Each task sums its own dw. */
static void rms_norm_backward_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    size_t d = (size_t)p->d;
    for (int i = task * ROWS, end = i + rows_of(p, task); i < end; i++) {
        const float *x = p->in + (size_t)i * d, *dout = p->y + (size_t)i * d;
        float *dx = p->out + (size_t)i * d, rstd = p->z[i], sum = 0;
        for (size_t j = 0; j < d; j++)
            sum += dout[j] * p->w[j] * x[j];
        float k = sum / (float)d * rstd * rstd;
        for (size_t j = 0; j < d; j++)
            dx[j] += rstd * (dout[j] * p->w[j] - x[j] * k);
        for (size_t j = 0; p->x2 && j < d; j++)
            p->x2[(size_t)task * d + j] += dout[j] * x[j] * rstd;
    }
}

static void cpu_rms_norm_backward(struct backend *b, int n, int d, float *dx, float *dw,
                                  const float *dout, const float *x, const float *w, const float *rstd)
{
    struct cpu *c = cpu_of(b);
    int blocks = cpu_blocks(n, ROWS);
    size_t n_partial = (size_t)blocks * (size_t)d;
    if (dw && !cpu_shared(c, n_partial))
        return;
    struct args p = {.n = n, .d = d, .out = dx, .x2 = dw ? c->shared : NULL, .in = x, .w = w, .y = dout,
                     .z = rstd};
    if (dw)
        cpu_zero(b, c->shared, n_partial * sizeof(float));
    team_run(c->team, blocks, rms_norm_backward_block, &p);
    for (int k = 0; dw && k < blocks; k++)
        for (int j = 0; j < d; j++)
            dw[j] += c->shared[(size_t)k * (size_t)d + (size_t)j];
}

void cpu_mask(float *mask, int n, const struct dropout *drop, int row, uint32_t col)
{
    uint32_t threshold = dropout_threshold(drop->p);
    float scale = dropout_scale(threshold);
    for (int j = 0; j < n; j++)
        mask[j] = dropout_keep(drop->seed, drop->site, drop->row_owner[row], drop->row_index[row],
                               col + (uint32_t)j, threshold)
                      ? scale
                      : 0;
}

static void dropout_block(void *arg, int task, int thread)
{
    const struct args *p = arg;
    size_t d = (size_t)p->d;
    float *mask = cpu_scratch_of(p->c, thread);
    for (int i = task * ROWS, end = i + rows_of(p, task); i < end; i++) {
        const float *x = p->in + (size_t)i * d, *add = p->y ? p->y + (size_t)i * d : NULL;
        float *out = p->out + (size_t)i * d;
        for (size_t j = 0; j < d; j++)
            mask[j] = 1;
        if (cpu_drops(p->drop))
            cpu_mask(mask, p->d, p->drop, i, 0);
        for (size_t j = 0; j < d; j++)
            out[j] = (add ? add[j] : 0) + x[j] * mask[j];
    }
}

static void cpu_dropout(struct backend *b, int n, int d, float *out, const float *x,
                        const struct dropout *drop)
{
    struct args p = {.c = cpu_of(b), .n = n, .d = d, .out = out, .in = x, .drop = drop};
    if (cpu_scratch(p.c, (size_t)d))
        team_run(p.c->team, cpu_blocks(n, ROWS), dropout_block, &p);
}

static void cpu_add_dropout(struct backend *b, int n, int d, float *x, const float *y,
                            const struct dropout *drop)
{
    struct args p = {.c = cpu_of(b), .n = n, .d = d, .out = x, .in = y, .y = x, .drop = drop};
    if (cpu_scratch(p.c, (size_t)d))
        team_run(p.c->team, cpu_blocks(n, ROWS), dropout_block, &p);
}

/* gelu(g) = g s(2y), its tanh form with tanh(y) = 2 s(2y) - 1, s the logistic function and
 * y = sqrt(2/pi) (g + 0.044715 g^3) (Hendrycks and Gimpel 2016). */
static float gelu(float g, float *slope)
{
    float y2 = 1.5957691216f * (g + 0.044715f * g * g * g);
    float s = 1 / (1 + expf(-y2));
    *slope = s + g * s * (1 - s) * 1.5957691216f * (1 + 3 * 0.044715f * g * g);
    return g * s;
}

static void geglu_block(void *arg, int task, int thread)
{
    const struct args *p = arg;
    size_t d = (size_t)p->d;
    float *mask = cpu_scratch_of(p->c, thread), slope;
    for (int i = task * ROWS, end = i + rows_of(p, task); i < end; i++) {
        const float *g = p->in + (size_t)i * 2 * d, *u = g + d;
        for (size_t j = 0; j < d; j++)
            mask[j] = 1;
        if (cpu_drops(p->drop))
            cpu_mask(mask, p->d, p->drop, i, 0);
        for (size_t j = 0; j < d; j++) {
            float v = gelu(g[j], &slope);
            if (p->y) {
                float dout = p->y[(size_t)i * d + j] * mask[j];
                p->out[(size_t)i * 2 * d + j] = dout * u[j] * slope;
                p->out[(size_t)i * 2 * d + d + j] = dout * v;
            } else {
                p->out[(size_t)i * d + j] = v * u[j] * mask[j];
            }
        }
    }
}

static void cpu_geglu(struct backend *b, int n, int d, float *out, const float *gu,
                      const struct dropout *drop)
{
    struct args p = {.c = cpu_of(b), .n = n, .d = d, .out = out, .in = gu, .drop = drop};
    if (cpu_scratch(p.c, (size_t)d))
        team_run(p.c->team, cpu_blocks(n, ROWS), geglu_block, &p);
}

static void cpu_geglu_backward(struct backend *b, int n, int d, float *dgu, const float *dout,
                               const float *gu, const struct dropout *drop)
{
    struct args p = {.c = cpu_of(b), .n = n, .d = d, .out = dgu, .in = gu, .y = dout, .drop = drop};
    if (cpu_scratch(p.c, (size_t)d))
        team_run(p.c->team, cpu_blocks(n, ROWS), geglu_block, &p);
}

static int value_blocks(size_t n)
{
    return (int)((n + VALUES - 1) / VALUES);
}

static void sgd_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    size_t i = (size_t)task * VALUES, end = i + VALUES < p->n_values ? i + VALUES : p->n_values;
    float lr = p->f[0], momentum = p->f[1];
    for (; i < end; i++) {
        float step = p->in[i];
        if (p->x2)
            step = p->x2[i] = momentum * p->x2[i] + step;
        p->out[i] -= lr * step;
    }
}

static void cpu_sgd(struct backend *b, size_t n, float *x, const float *g, float *buf, float lr,
                    float momentum)
{
    struct args p = {.n_values = n, .out = x, .x2 = buf, .in = g, .f = {lr, momentum}};
    team_run(cpu_of(b)->team, value_blocks(n), sgd_block, &p);
}

static void adamw_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    size_t i = (size_t)task * VALUES, end = i + VALUES < p->n_values ? i + VALUES : p->n_values;
    float keep = p->f[0], beta1 = p->f[1], beta2 = p->f[2], rate = p->f[3], root = p->f[4], eps = p->f[5];
    for (; i < end; i++) {
        float g = p->in[i];
        p->x2[i] = beta1 * p->x2[i] + (1 - beta1) * g;
        p->x3[i] = beta2 * p->x3[i] + (1 - beta2) * g * g;
        p->out[i] = p->out[i] * keep - rate * p->x2[i] / (sqrtf(p->x3[i]) * root + eps);
    }
}

static void cpu_adamw(struct backend *b, size_t n, float *x, const float *g, float *m, float *v,
                      float lr, float beta1, float beta2, float eps, float decay, int t)
{
    double c1 = 1 - pow((double)beta1, t), c2 = 1 - pow((double)beta2, t);
    struct args p = {.n_values = n, .out = x, .x2 = m, .x3 = v, .in = g,
                     .f = {1 - lr * decay, beta1, beta2, (float)((double)lr / c1),
                           (float)(1 / sqrt(c2)), eps}};
    team_run(cpu_of(b)->team, value_blocks(n), adamw_block, &p);
}

static void clip_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct args *p = arg;
    float *g = p->out + (size_t)task * p->n_values;
    double sum = 0;
    for (size_t i = 0; i < p->n_values; i++)
        sum += (double)g[i] * (double)g[i];
    double norm = sqrt(sum);
    if (norm <= (double)p->f[0])
        return;
    float factor = (float)((double)p->f[0] / norm);
    for (size_t i = 0; i < p->n_values; i++)
        g[i] *= factor;
}

static void cpu_clip(struct backend *b, int n_members, size_t n, float *g, float max_norm)
{
    struct args p = {.n_values = n, .out = g, .f = {max_norm}};
    team_run(cpu_of(b)->team, n_members, clip_block, &p);
}

const struct backend_ops cpu_backend = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .set = cpu_set,
    .get = cpu_set,
    .copy = cpu_copy,
    .zero = cpu_zero,
    .sync = cpu_sync,
    .embed = cpu_embed,
    .embed_backward = cpu_embed_backward,
    .rms_norm = cpu_rms_norm,
    .rms_norm_backward = cpu_rms_norm_backward,
    .linear = cpu_linear,
    .linear_backward = cpu_linear_backward,
    .linear_backward_weight = cpu_linear_backward_weight,
    .lora = cpu_lora,
    .lora_backward = cpu_lora_backward,
    .dropout = cpu_dropout,
    .add_dropout = cpu_add_dropout,
    .geglu = cpu_geglu,
    .geglu_backward = cpu_geglu_backward,
    .attention = cpu_attention,
    .attention_backward = cpu_attention_backward,
    .head_loss = cpu_head_loss,
    .head_argmax = cpu_head_argmax,
    .sgd = cpu_sgd,
    .adamw = cpu_adamw,
    .clip = cpu_clip,
};
