/* tests/cuda_emu/emu_gemm.cpp: the product of models/cuda.cuh by OpenBLAS, in cuBLASLt's place. */
#include <cblas.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

#include "models/cuda.cuh"

/* The library is not instrumented, so what it will touch is looked at here. */
static void look(const void *p, int rows, int cols, size_t ld, size_t value_bytes)
{
    if (rows == 0 || cols == 0)
        return;
    size_t n_bytes = ((size_t)(rows - 1) * ld + (size_t)cols) * value_bytes;
    if (ld < (size_t)cols || __asan_region_is_poisoned(const_cast<void *>(p), n_bytes)) {
        fprintf(stderr, "cuda_emu: cuda_gemm: a matrix of %d x %d, stride %zu, does not fit in its memory\n",
                rows, cols, ld);
        abort();
    }
}

/* A dense copy in float32 of rows x cols values. */
static std::vector<float> dense(const void *p, int rows, int cols, size_t ld, bool is_bf16)
{
    std::vector<float> out((size_t)rows * (size_t)cols);
    look(p, rows, cols, ld, is_bf16 ? 2 : 4);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            size_t at = (size_t)i * ld + (size_t)j;
            out[(size_t)i * (size_t)cols + (size_t)j] = is_bf16 ? cuda_float(static_cast<const bf16 *>(p)[at])
                                                                : static_cast<const float *>(p)[at];
        }
    return out;
}

void cuda_gemm(struct cuda *c, const struct cuda_product *p)
{
    bool is_bf16 = c->base.ops->value_bytes == 2, is_out_bf16 = is_bf16 && !p->is_out_float;
    if (c->failure.code || p->m == 0 || p->n == 0)
        return;
    cuda_emu_turn turn(true);
    std::vector<float> a = dense(p->a, p->is_a_t ? p->k : p->m, p->is_a_t ? p->m : p->k, p->ld_a, is_bf16);
    std::vector<float> b = dense(p->b, p->is_b_t ? p->n : p->k, p->is_b_t ? p->k : p->n, p->ld_b, is_bf16);
    std::vector<float> out((size_t)p->m * (size_t)p->n);
    look(p->out, p->m, p->n, p->ld_out, is_out_bf16 ? 2 : 4);
    if (p->beta != 0)
        out = dense(p->out, p->m, p->n, p->ld_out, is_out_bf16);
    if (p->k > 0)
        cblas_sgemm(CblasRowMajor, p->is_a_t ? CblasTrans : CblasNoTrans, p->is_b_t ? CblasTrans : CblasNoTrans,
                    p->m, p->n, p->k, p->alpha, a.data(), p->is_a_t ? p->m : p->k, b.data(),
                    p->is_b_t ? p->k : p->n, p->beta, out.data(), p->n);
    else
        for (float &x : out)
            x *= p->beta;
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++) {
            float x = out[(size_t)i * (size_t)p->n + (size_t)j];
            size_t at = (size_t)i * p->ld_out + (size_t)j;
            if (is_out_bf16)
                static_cast<bf16 *>(p->out)[at] = cuda_bf16(x);
            else
                static_cast<float *>(p->out)[at] = x;
        }
}

enum err_code cuda_gemm_open(struct cuda *c, struct err *)
{
    openblas_set_num_threads(1);
    c->blas = nullptr;
    return OK;
}

void cuda_gemm_close(struct cuda *)
{
}

void cuda_gemm_describe(const struct cuda *, char *out, size_t n)
{
    snprintf(out, n, "emulated %s", openblas_get_config());
}
