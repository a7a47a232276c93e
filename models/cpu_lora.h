/* models/cpu_lora.h: what the two forms of adapters on the CPU share: models/cpu_gemm.c, float32 through BLAS, and
 * models/cpu_lora_bf16.c. Nobody else includes it. */
#ifndef MODELS_CPU_LORA_H
#define MODELS_CPU_LORA_H

#include <stdint.h>

#include "models/cpu.h"

/* Rows of a task. */
enum { LORA_ROWS = 128 };

/* With stride 0 all members share one adapter, and are one member. */
struct lora_call {
    struct cpu *c;
    struct lora_args a;
    int32_t all[2];
    bool is_few;  /* one adapter for few rows */
    void *dx, *y; /* values */
    const void *dy, *x;
    size_t ld_y, ld_x;
};

struct lora_part {
    int member, from, n;
};

/* First row of each member, n_members + 1 values. */
const int32_t *lora_rows(const struct lora_call *p);
/* Rows of one member that a task takes. */
struct lora_part lora_part(const struct lora_call *p, int task);

/* The bf16 form: the adapter's matrices, h and gh are rounded to bfloat16 before they are multiplied, sums are float32.
 * Where the processor has the instruction, for even sizes. */
bool cpu_lora_bf16_takes(const struct lora_call *p);
size_t cpu_lora_bf16_scratch(const struct lora_call *p);
/* Tasks of a team; arg is the lora_call. forward and backward take a lora_part, sum one of cpu_lora_bf16_sums strips of
 * a member's gradients. */
void cpu_lora_bf16_forward(void *arg, int task, int thread);
void cpu_lora_bf16_backward(void *arg, int task, int thread);
int cpu_lora_bf16_sums(const struct lora_args *a);
void cpu_lora_bf16_sum(void *arg, int task, int thread);

#endif
