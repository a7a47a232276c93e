/* models/cpu_dnnl.h: products of bfloat16 matrices by oneDNN, for the CPU backend; models/cpu_dnnl_absent.c
 * stands in for it in a build without the library. Only models/cpu*.c include it.
 *
 * oneDNN makes machine code for a shape, which takes about a millisecond, and chooses it by the processor that it
 * runs on. What was made is kept per thread, by shape. Rows are padded to few numbers of them, so that packs
 * of all lengths share code. The library's own threads are not used: one call is one thread's, so that results
 * do not depend on how many there are, and repeat to the bit. */
#ifndef MODELS_CPU_DNNL_H
#define MODELS_CPU_DNNL_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

/* c [m, n] = a [m, k] op(b), or += when add. op(b) [k, n] is b, or with is_b_t the transpose of b [n, k]. Rows stand
 * at strides ld_a, ld_b, ld_c (elements). a and b hold values of the backend, c too, or float32 with is_c_wide. Sums
 * are float32. */
struct cpu_product {
    int m, n, k;
    const void *a;
    size_t ld_a;
    const void *b;
    size_t ld_b;
    bool is_b_t, add, is_c_wide;
    void *c;
    size_t ld_c;
};

struct cpu_dnnl;

/* ERR_DEVICE: this processor has neither AVX-512 bf16 nor AMX, or the library is not in this build. */
enum err_code cpu_dnnl_open(struct cpu_dnnl **out, int n_threads, struct err *e);
void cpu_dnnl_close(struct cpu_dnnl *d); /* NULL is fine */
/* "oneDNN 2.6.3 avx512_core_bf16" */
void cpu_dnnl_describe(char *out, size_t n);

/* One thread's product, thread 0 .. n_threads - 1: from inside a task of a team. */
void cpu_dnnl_product(struct cpu_dnnl *d, int thread, const struct cpu_product *p);
/* The first failure since the last call, or OK. */
enum err_code cpu_dnnl_failure(struct cpu_dnnl *d, struct err *e);

#endif
