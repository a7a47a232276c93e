/* models/cpu.c: the CPU backend's table, memory and optimizer steps. */
#include "models/cpu.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/cpu_attn.h"
#include "models/cpu_math.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

enum { VALUES = 16384 }; /* of one task */

static void cpu_close(struct backend *b)
{
    struct cpu *c = cpu_of(b);
    if (!c)
        return;
    team_close(c->team);
    cpu_dnnl_close(c->dnnl);
    mem_free(c->scratch);
    mem_free(c->shared);
    free(c);
}

static enum err_code open_as(struct backend **out, const struct backend_ops *ops, int n_threads, struct err *e)
{
    struct cpu *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(e, ERR_MEMORY, "cpu backend: no memory");
    c->base.ops = ops;
    c->n_threads = n_threads;
    c->is_bf16 = ops->value_bytes == sizeof(uint16_t);
    c->has_dots = c->is_bf16 && cpu_attn_bf16_here();
    c->panel_wide = cpu_panel_find();
    c->panel = c->is_bf16 ? cpu_panel_of(CPU_PANEL_BF16) : c->panel_wide;
    c->few_wide = cpu_few_find();
    c->mix = cpu_mix_find();
    c->few = c->is_bf16 ? cpu_few_of(CPU_FEW_BF16) : c->few_wide;
    cpu_gemm_init();
    enum err_code code = c->is_bf16 ? cpu_dnnl_open(&c->dnnl, n_threads, e) : OK;
    if (!code)
        code = team_open(&c->team, n_threads, e);
    if (code) {
        cpu_close(&c->base);
        return err_in(e, code, "cpu backend");
    }
    *out = &c->base;
    return OK;
}

static int cpu_n_devices(void)
{
    return 1;
}

static enum err_code cpu_open(struct backend **out, int device, int n_threads, struct err *e)
{
    CHECK(device == 0);
    return open_as(out, &cpu_backend, n_threads, e);
}

static enum err_code cpu_bf16_open(struct backend **out, int device, int n_threads, struct err *e)
{
    CHECK(device == 0);
    return open_as(out, &cpu_bf16_backend, n_threads, e);
}

/* Which copy of the kernels runs, see CPU_KERNEL. A sanitized build has one, beside which products by panels are
 * those of the processor. */
static const char *kernels_name(void)
{
#if defined(VERYEDGE_SANITIZED)
    return "sanitized";
#elif defined(__x86_64__)
    if (cpu_has_avx512())
        return "x86-64-v4";
    if (cpu_has_avx2())
        return "x86-64-v3";
#endif
    return "plain";
}

static void cpu_describe(struct backend *b, char *out, size_t n)
{
    (void)b;
    char blas[96];
    bool has_screen = cpu_head_screen_bytes(2, 1) > 0; /* it tells nearly equal logits apart by other sums */
    cpu_gemm_describe(blas, sizeof(blas));
    snprintf(out, n, "cpu %s, %s%s, compiler %s, f32", blas, kernels_name(), has_screen ? " avx512_bf16" : "",
             __VERSION__);
}

static void cpu_bf16_describe(struct backend *b, char *out, size_t n)
{
    char blas[96], dnnl[64];
    cpu_gemm_describe(blas, sizeof(blas));
    cpu_dnnl_describe(dnnl, sizeof(dnnl));
    snprintf(out, n, "cpu %s, %s, %s%s, compiler %s, bf16", dnnl, blas, kernels_name(),
             cpu_of(b)->has_dots ? " avx512_bf16" : "", __VERSION__);
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

static size_t cpu_memory_bytes(struct backend *b)
{
    (void)b;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages * (size_t)size : 0;
}

/* Logits of a task per thread are the most, see cpu_loss.c. */
static size_t cpu_scratch_bytes(int n_threads, size_t n_rows, int n_vocab)
{
    (void)n_rows;
    return (size_t)n_threads * cpu_logits_bytes(n_vocab, sizeof(float));
}

static size_t cpu_bf16_scratch_bytes(int n_threads, size_t n_rows, int n_vocab)
{
    (void)n_rows;
    return (size_t)n_threads * cpu_logits_bytes(n_vocab, sizeof(uint16_t));
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

static void cpu_narrow(struct backend *b, size_t n, void *to, const float *from)
{
    if (to != from)
        cpu_copy(b, to, from, n * sizeof(float));
}

static void cpu_get_values(struct backend *b, float *to, const void *from, size_t n)
{
    cpu_set(b, to, from, n * sizeof(float));
}

CPU_KERNEL static void widen(float *to, const uint16_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = cpu_widened(from[i]);
}

CPU_KERNEL static void narrow(uint16_t *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = cpu_narrowed(from[i]);
}

const float *cpu_wide(const struct cpu *c, const void *values, size_t at, size_t n, float *room)
{
    if (!c->is_bf16)
        return (const float *)values + at;
    widen(room, (const uint16_t *)values + at, n);
    return room;
}

void cpu_stored(const struct cpu *c, void *values, size_t at, size_t n, const float *room)
{
    if (c->is_bf16)
        narrow((uint16_t *)values + at, room, n);
}

struct cpu_block cpu_wide_block(const struct cpu *c, const void *values, size_t at, size_t ld, int n, int cols,
                                float *room)
{
    if (!c->is_bf16)
        return (struct cpu_block){(const float *)values + at, ld};
    for (size_t i = 0; i < (size_t)n; i++)
        widen(room + i * (size_t)cols, (const uint16_t *)values + at + i * ld, (size_t)cols);
    return (struct cpu_block){room, (size_t)cols};
}

void cpu_stored_block(const struct cpu *c, void *values, size_t at, size_t ld, int n, int cols, const float *room)
{
    for (size_t i = 0; c->is_bf16 && i < (size_t)n; i++)
        narrow((uint16_t *)values + at + i * ld, room + i * (size_t)cols, (size_t)cols);
}

static void cpu_bf16_narrow(struct backend *b, size_t n, void *to, const float *from)
{
    (void)b;
    narrow(to, from, n);
}

static void cpu_bf16_get_values(struct backend *b, float *to, const void *from, size_t n)
{
    (void)b;
    widen(to, from, n);
}

static enum err_code cpu_sync(struct backend *b, struct err *e)
{
    struct cpu *c = cpu_of(b);
    struct err products = {0};
    if (c->dnnl && cpu_dnnl_failure(c->dnnl, &products) && !c->failure.code)
        c->failure = products;
    enum err_code code = c->failure.code;
    if (code)
        err_set(e, code, "%s", c->failure.text);
    c->failure = (struct err){0};
    return code;
}

struct step_args {
    size_t n;
    float *x, *m, *v;
    const float *g;
    float lr, momentum, keep, beta1, beta2, root, eps;
};

static int value_blocks(size_t n)
{
    return (int)((n + VALUES - 1) / VALUES);
}

static inline size_t values_end(size_t n, int task)
{
    size_t end = ((size_t)task + 1) * VALUES;
    return end < n ? end : n;
}

CPU_KERNEL static void sgd_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct step_args s = *(const struct step_args *)arg;
    size_t from = (size_t)task * VALUES, to = values_end(s.n, task);
    float *x = s.x, *buf = s.m;
    const float *g = s.g;
    if (buf) {
#pragma omp simd
        for (size_t i = from; i < to; i++) {
            buf[i] = s.momentum * buf[i] + g[i];
            x[i] -= s.lr * buf[i];
        }
    } else {
#pragma omp simd
        for (size_t i = from; i < to; i++)
            x[i] -= s.lr * g[i];
    }
}

static void cpu_sgd(struct backend *b, size_t n, float *x, const float *g, float *buf, float lr,
                    float momentum)
{
    struct step_args p = {.n = n, .x = x, .m = buf, .g = g, .lr = lr, .momentum = momentum};
    team_run(cpu_of(b)->team, value_blocks(n), sgd_block, &p);
}

CPU_KERNEL static void adamw_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct step_args s = *(const struct step_args *)arg;
    float *x = s.x, *m = s.m, *v = s.v;
    const float *g = s.g;
    size_t to = values_end(s.n, task);
#pragma omp simd
    for (size_t i = (size_t)task * VALUES; i < to; i++) {
        float m_new = s.beta1 * m[i] + (1 - s.beta1) * g[i];
        float v_new = s.beta2 * v[i] + (1 - s.beta2) * g[i] * g[i];
        x[i] = x[i] * s.keep - s.lr * m_new / (sqrtf(v_new) * s.root + s.eps);
        m[i] = m_new;
        v[i] = v_new;
    }
}

static void cpu_adamw(struct backend *b, size_t n, float *x, const float *g, float *m, float *v,
                      float lr, float beta1, float beta2, float eps, float decay, int t)
{
    double c1 = 1 - pow((double)beta1, t), c2 = 1 - pow((double)beta2, t);
    struct step_args p = {.n = n, .x = x, .m = m, .v = v, .g = g, .beta1 = beta1, .beta2 = beta2,
                          .keep = (float)(1 - (double)lr * (double)decay), .lr = (float)((double)lr / c1),
                          .root = (float)(1 / sqrt(c2)), .eps = eps};
    team_run(cpu_of(b)->team, value_blocks(n), adamw_block, &p);
}

/* A task is a whole member, so that its norm is one sum. */
CPU_KERNEL static void clip_block(void *arg, int task, int thread)
{
    (void)thread;
    const struct step_args *p = arg;
    float *g = p->x + (size_t)task * p->n;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < p->n; i++)
        sum += (double)g[i] * (double)g[i];
    double norm = sqrt(sum);
    if (norm <= (double)p->lr)
        return;
    float factor = (float)((double)p->lr / norm);
#pragma omp simd
    for (size_t i = 0; i < p->n; i++)
        g[i] *= factor;
}

static void cpu_clip(struct backend *b, int n_members, size_t n, float *g, float max_norm)
{
    struct step_args p = {.n = n, .x = g, .lr = max_norm};
    team_run(cpu_of(b)->team, n_members, clip_block, &p);
}

/* What both precisions share. */
#define CPU_SLOTS \
    .close = cpu_close, .memory_bytes = cpu_memory_bytes,                                                  \
    .alloc = cpu_alloc, .free = cpu_free, .host_alloc = cpu_alloc, .host_free = cpu_free,          \
    .set = cpu_set, .upload = cpu_set, .get = cpu_set, .copy = cpu_copy, .zero = cpu_zero,            \
    .sync = cpu_sync,                                                                              \
    .embed = cpu_embed, .embed_backward = cpu_embed_backward, .rms_norm = cpu_rms_norm,            \
    .add_norm = cpu_add_norm, .rms_norm_backward = cpu_rms_norm_backward, .linear = cpu_linear,    \
    .linear_backward = cpu_linear_backward,                                                        \
    .linear_backward_weight = cpu_linear_backward_weight, .lora = cpu_lora,                        \
    .lora_backward = cpu_lora_backward, .dropout = cpu_dropout,                                    \
    .dropout_stream = cpu_dropout_stream, .dropout_values = cpu_dropout_values,                    \
    .geglu = cpu_geglu, .geglu_backward = cpu_geglu_backward, .attention = cpu_attention,          \
    .attention_backward = cpu_attention_backward, .head_loss = cpu_head_loss,                      \
    .head_argmax = cpu_head_argmax, .head_top = cpu_head_top, .sgd = cpu_sgd,                      \
    .adamw = cpu_adamw, .clip = cpu_clip

const struct backend_ops cpu_backend = {
    .name = "cpu",
    .precision = "float32",
    .value_bytes = sizeof(float),
    .is_host = true,
    .n_devices = cpu_n_devices,
    .open = cpu_open,
    .describe = cpu_describe,
    .narrow = cpu_narrow,
    .get_values = cpu_get_values,
    .scratch_bytes = cpu_scratch_bytes,
    .attention_absorbed = cpu_attention_absorbed,
    .lora_merge = cpu_lora_merge,
    .head_screen_bytes = cpu_head_screen_bytes,
    .head_screen = cpu_head_screen,
    .head_argmax_screened = cpu_head_argmax_screened,
    CPU_SLOTS,
};

const struct backend_ops cpu_bf16_backend = {
    .name = "cpu",
    .precision = "bf16",
    .value_bytes = sizeof(uint16_t),
    .is_host = true,
    .n_devices = cpu_n_devices,
    .open = cpu_bf16_open,
    .describe = cpu_bf16_describe,
    .narrow = cpu_bf16_narrow,
    .get_values = cpu_bf16_get_values,
    .scratch_bytes = cpu_bf16_scratch_bytes,
    CPU_SLOTS,
};
