/* models/cpu_attn.h: what the two forms of attention on the CPU share: models/cpu_attn.c, float32 through BLAS, and
 * models/cpu_attn_bf16.c. Nobody else includes it.
 *
 * A task is one sequence and one head, taken a tile of queries at a time, so that scores exist for one tile only;
 * backward computes them again. */
#ifndef MODELS_CPU_ATTN_H
#define MODELS_CPU_ATTN_H

#include <stdint.h>

#include "models/cpu.h"

/* Scores of a tile: 128 KiB, a part of a core's cache. */
enum { ATTN_TILE_VALUES = 1 << 15, ATTN_PAD = 16 };

/* Bias and bucket of each distance = key position - query position, low .. low + n_distances - 1. */
struct attn_call {
    struct cpu *c;
    struct attn_args a;
    int low, n_distances;
    size_t max_tile, max_row;  /* values of the largest tile, and room for a row's mask */
    size_t max_q, max_k;       /* rows of the longest sequence */
    const float *bias;         /* [n_heads, n_distances + ATTN_PAD] or NULL */
    const int32_t *bucket;     /* [n_distances] */
    float *partial;            /* [n_seqs, n_heads, n_buckets] of the bias table's gradient, or NULL */
};

struct attn_task {
    int seq, head, n_q, n_k, pos, tile;
    size_t q0, k0, col, ld; /* first rows, first column, row stride of scores */
};

/* Rows of scores are padded to whole groups of ATTN_PAD values, so that loops over them have no remainder. */
static inline size_t attn_padded(int n)
{
    return ((size_t)n + ATTN_PAD - 1) & ~(size_t)(ATTN_PAD - 1);
}

struct attn_task attn_task(const struct attn_args *a, int task);

/* Keys that queries before number `end` of the sequence see. */
static inline int attn_keys_seen(const struct attn_args *a, const struct attn_task *t, int end)
{
    return a->is_causal ? cpu_min(t->n_k, t->pos + end) : t->n_k;
}

/* The bias of query i of the task by key position, or NULL; ATTN_PAD values behind the last may be read. */
static inline const float *attn_bias_of(const struct attn_call *p, const struct attn_task *t, int i)
{
    if (!p->bias)
        return NULL;
    return p->bias + (size_t)t->head * ((size_t)p->n_distances + ATTN_PAD) - (t->pos + i + p->low);
}

/* Adds the gradient of the bias by distance, [n_distances], to the task's buckets. */
void attn_to_buckets(const struct attn_call *p, int task, const float *by_distance);

/* The bf16 form: products of bfloat16 by AVX-512's own instruction, summed in float32; probabilities and their
 * gradients are rounded to bfloat16 between softmax and product. For a head of even width, where cpu_attn_bf16_here;
 * elsewhere values are widened and multiplied in float32. */
bool cpu_attn_bf16_here(void);
/* float32 values of scratch that a thread needs. */
size_t cpu_attn_bf16_scratch(const struct attn_call *p, bool is_backward);
/* Tasks of a team; arg is the attn_call. */
void cpu_attn_bf16_forward(void *arg, int task, int thread);
void cpu_attn_bf16_backward(void *arg, int task, int thread);

#endif
