/* models/cpu.h: what the files of the CPU backends share. Nobody else includes it.
 *
 * cpu.c holds the tables, memory and optimizer steps, cpu_rows.c norms and element-wise operations, cpu_mask.c
 * dropout's masks, cpu_gemm.c the products of layers and adapters (and alone knows BLAS), cpu_panel.c those that read
 * weights in place, cpu_few.c those of up to eight rows, cpu_attn.c attention, cpu_one.c that of one query,
 * cpu_absorbed.c that of one query without keys and values, cpu_screen.c decoding's arg max, cpu_loss.c the head and
 * its loss, cpu_math.h how kernels are written. Every loop is cut into blocks whose size depends on the shape only, see
 * models/team.h, so results do not depend on the number of threads.
 *
 * One set of kernels serves both precisions: they compute in float32. Where values are bfloat16 a row of them
 * is widened into scratch before a kernel and narrowed behind it, and products of values go to oneDNN
 * (cpu_dnnl.c), which multiplies bfloat16 and adds up in float32; attention does so itself (cpu_attn_bf16.c) where
 * the processor can. */
#ifndef MODELS_CPU_H
#define MODELS_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include "models/backend.h"
#include "models/cpu_dnnl.h"
#include "models/cpu_few.h"
#include "models/cpu_panel.h"
#include "models/team.h"

struct cpu {
    struct backend base;
    struct team *team;
    int n_threads;
    float *scratch; /* one part per thread */
    size_t n_scratch;
    float *shared; /* one for all: partial sums, packed copies */
    size_t n_shared;
    bool is_bf16;          /* values are bfloat16 */
    struct cpu_dnnl *dnnl; /* then; else NULL */
    bool has_dots;         /* attention multiplies bfloat16 itself, see models/cpu_attn.h */
    const struct cpu_panel_ops *panel, *panel_wide; /* of values, of float32; NULL: not on this processor */
    cpu_few_fn *few, *few_wide; /* of few rows, where the panels are */
    cpu_mix_fn *mix;            /* of float32, there too */
    struct err failure;    /* the first since the last sync */
};

static inline struct cpu *cpu_of(struct backend *b)
{
    return (struct cpu *)b; /* base is its first member */
}

static inline int cpu_blocks(int n, int block)
{
    return (n + block - 1) / block;
}

static inline int cpu_min(int a, int b)
{
    return a < b ? a : b;
}

/* Grows the scratch to n values per thread (or n shared ones). Contents are lost. false when memory is
 * gone: the failure is kept for sync and the operation must do nothing. */
bool cpu_scratch(struct cpu *c, size_t n_per_thread);
bool cpu_shared(struct cpu *c, size_t n);

static inline float *cpu_scratch_of(const struct cpu *c, int thread)
{
    return c->scratch + (size_t)thread * (c->n_scratch / (size_t)c->n_threads);
}

/* n values from element `at` on, as float32: where they lie, or widened into room. */
const float *cpu_wide(const struct cpu *c, const void *values, size_t at, size_t n, float *room);
/* Where a kernel may write n values from `at` on as float32, room or the place itself; cpu_stored puts them
 * there. */
static inline float *cpu_store(const struct cpu *c, void *values, size_t at, float *room)
{
    return c->is_bf16 ? room : (float *)values + at;
}

void cpu_stored(const struct cpu *c, void *values, size_t at, size_t n, const float *room);

/* Element `at` of an array of values. */
static inline void *cpu_at(const struct cpu *c, void *values, size_t at)
{
    return (unsigned char *)values + at * (c->is_bf16 ? sizeof(uint16_t) : sizeof(float));
}

static inline const void *cpu_const_at(const struct cpu *c, const void *values, size_t at)
{
    return (const unsigned char *)values + at * (c->is_bf16 ? sizeof(uint16_t) : sizeof(float));
}

/* n rows of cols columns of values from `at` on, as float32: where they lie, or widened into room [n, cols]. */
struct cpu_block {
    const float *at;
    size_t ld;
};
struct cpu_block cpu_wide_block(const struct cpu *c, const void *values, size_t at, size_t ld, int n, int cols,
                                float *room);
/* The way back: room [n, cols] to values at stride ld. */
void cpu_stored_block(const struct cpu *c, void *values, size_t at, size_t ld, int n, int cols, const float *room);

static inline bool cpu_drops(const struct dropout *drop)
{
    return drop && drop->p > 0;
}

/* mask[i] = 0 or the scale, for columns col .. col + n - 1 of a row; col is a multiple of 8. mask has room
 * for cpu_mask_room(n) values: what stands after the first n is lost. */
enum { CPU_MASK_SPAN = 128 };
static inline size_t cpu_mask_room(int n)
{
    return ((size_t)n / CPU_MASK_SPAN + 1) * CPU_MASK_SPAN;
}

void cpu_mask(float *mask, int n, const struct dropout *drop, size_t row, uint32_t col);

/* c [m, n] = alpha op(a) [m, k] op(b) [k, n] + beta c, one thread, the same bits at every call with equal
 * shape and input. */
void cpu_gemm(bool is_a_t, bool is_b_t, int m, int n, int k, float alpha, const float *a, size_t ld_a,
              const float *b, size_t ld_b, float beta, float *c, size_t ld_c);
/* y = scale x w^T, float32, of up to CPU_PANEL_ROWS rows: few of them where they lie, more as a panel, for which
 * `panel` has room, or by the library. */
void cpu_product_wide(const struct cpu *c, const struct cpu_few *f, float *panel);
/* A product of values by one thread of the team, see models/cpu_dnnl.h; the second operand is a matrix of weights. */
void cpu_product(const struct cpu *c, int thread, const struct cpu_product *p);
/* Whether it goes by c->panel: then its rows are packed by c->panel->pack, and multiplied by cpu_product_packed (few
 * rows from where they lie). */
bool cpu_is_by_panel(const struct cpu *c, const struct cpu_product *p);
size_t cpu_packed_room(const struct cpu *c, int m, int k);
void cpu_product_packed(const struct cpu *c, const struct cpu_product *p, const float *packed);
void cpu_gemm_init(void);
void cpu_gemm_describe(char *out, size_t n);

/* Scratch of one thread for the head: logits of a task, and their gradients as values. */
size_t cpu_logits_bytes(int n_vocab, size_t value_bytes);

/* The slots of the other files. */
void cpu_embed(struct backend *b, int n, int d, float *out, const float *table, const int32_t *ids);
void cpu_embed_backward(struct backend *b, int n, int d, float *dtable, const float *dout,
                        const int32_t *ids);
void cpu_rms_norm(struct backend *b, int n, int d, const float *x, const struct norm_args *norm);
void cpu_add_norm(struct backend *b, int n, int d, float *out, const float *x, const void *y,
                  const struct dropout *drop, const struct norm_args *norm);
void cpu_rms_norm_backward(struct backend *b, int n, int d, float *dx, float *dw, const void *dout,
                           const float *x, const struct norm_args *norm, void *branch,
                           const struct dropout *drop);
void cpu_dropout(struct backend *b, int n, int d, void *out, const float *x, const struct dropout *drop);
void cpu_dropout_stream(struct backend *b, int n, int d, float *out, const float *x,
                        const struct dropout *drop);
void cpu_dropout_values(struct backend *b, int n, int d, void *out, const void *x,
                        const struct dropout *drop);
void cpu_geglu(struct backend *b, int n, int d, void *out, const void *gu, const struct dropout *drop);
void cpu_geglu_backward(struct backend *b, int n, int d, void *dgu, const void *dout, const void *gu,
                        const struct dropout *drop);
void cpu_linear(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                size_t ld_x, const void *w, bool add);
void cpu_linear_backward(struct backend *b, int n, int in, int out, void *dx, size_t ld_x,
                         const void *dy, size_t ld_y, const void *w, bool add);
void cpu_linear_backward_weight(struct backend *b, int n, int in, int out, float *dw, const void *dy,
                                size_t ld_y, const void *x, size_t ld_x);
void cpu_lora(struct backend *b, const struct lora_args *a, void *y, size_t ld_y, const void *x,
              size_t ld_x);
void cpu_lora_backward(struct backend *b, const struct lora_args *a, void *dx, const void *dy,
                       size_t ld_y, const void *x, size_t ld_x);
void cpu_attention(struct backend *b, const struct attn_args *a);
void cpu_attention_backward(struct backend *b, const struct attn_args *a);
void cpu_attention_absorbed(struct backend *b, const struct absorbed_args *a);
void cpu_lora_merge(struct backend *b, const struct lora_args *a, void *to, const void *w);
void cpu_head_loss(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                   const int32_t *label, const float *row_scale, float *nll, void *dx, float *dw);
void cpu_head_argmax(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                     int32_t *best);
size_t cpu_head_screen_bytes(int d, int n_vocab);
void cpu_head_screen(struct backend *b, int d, int n_vocab, void *screen, const void *w);
void cpu_head_argmax_screened(struct backend *b, int n, int d, int n_vocab, const void *x, const void *w,
                              const void *screen, int32_t *best);
void cpu_head_top(struct backend *b, int n, int d, int n_vocab, int k, const void *x, const void *w,
                  int32_t *index, float *logp);

extern const struct backend_ops cpu_backend;      /* float32 */
extern const struct backend_ops cpu_bf16_backend; /* bf16 */

#endif
