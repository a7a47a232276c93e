/* models/cuda_gemm.cu: one product by cuBLASLt, which is opened at run time, so that a program built with
 * CUDA starts without it. Which of its kernels runs is asked once per shape; the number of rows, which
 * differs from step to step, is rounded up for that question, so that few are asked and the answer does not
 * depend on what was asked before. */
#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "models/cuda.cuh"

enum { PLANS = 2048, WORKSPACE_BYTES = 64 << 20 };

struct blas_calls {
    decltype(&cublasLtCreate) create;
    decltype(&cublasLtDestroy) destroy;
    decltype(&cublasLtGetVersion) version;
    decltype(&cublasLtMatmulDescCreate) desc_create;
    decltype(&cublasLtMatmulDescDestroy) desc_destroy;
    decltype(&cublasLtMatmulDescSetAttribute) desc_set;
    decltype(&cublasLtMatrixLayoutCreate) layout_create;
    decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
    decltype(&cublasLtMatmulPreferenceCreate) preference_create;
    decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
    decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
    decltype(&cublasLtMatmul) matmul;
};

/* What an answer depends on. Column-major, as cuBLAS sees it: sizes of out^T. */
struct plan_key {
    int32_t is_a_t, is_b_t, m, n, k, is_out_float, is_added, align_a, align_b, align_out;
    uint64_t ld_a, ld_b, ld_out;
};

struct plan {
    bool is_known;
    struct plan_key key;
    cublasLtMatmulAlgo_t algo;
    size_t workspace_bytes;
};

struct cuda_blas {
    void *library;
    struct blas_calls call;
    cublasLtHandle_t handle;
    void *workspace;
    int n_plans;
    struct plan plan[PLANS];
};

static bool find_calls(struct cuda_blas *blas)
{
    const struct {
        void **to;
        const char *name;
    } all[] = {
        {(void **)&blas->call.create, "cublasLtCreate"},
        {(void **)&blas->call.destroy, "cublasLtDestroy"},
        {(void **)&blas->call.version, "cublasLtGetVersion"},
        {(void **)&blas->call.desc_create, "cublasLtMatmulDescCreate"},
        {(void **)&blas->call.desc_destroy, "cublasLtMatmulDescDestroy"},
        {(void **)&blas->call.desc_set, "cublasLtMatmulDescSetAttribute"},
        {(void **)&blas->call.layout_create, "cublasLtMatrixLayoutCreate"},
        {(void **)&blas->call.layout_destroy, "cublasLtMatrixLayoutDestroy"},
        {(void **)&blas->call.preference_create, "cublasLtMatmulPreferenceCreate"},
        {(void **)&blas->call.preference_destroy, "cublasLtMatmulPreferenceDestroy"},
        {(void **)&blas->call.preference_set, "cublasLtMatmulPreferenceSetAttribute"},
        {(void **)&blas->call.heuristic, "cublasLtMatmulAlgoGetHeuristic"},
        {(void **)&blas->call.matmul, "cublasLtMatmul"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!(*all[i].to = dlsym(blas->library, all[i].name)))
            return false;
    return true;
}

static void *open_library(void)
{
    static const char *const folders[] = {"", "/usr/local/cuda/lib64/", "/usr/lib/x86_64-linux-gnu/"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%slibcublasLt.so.%d", folders[i], CUBLAS_VER_MAJOR);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
    }
    return NULL;
}

enum err_code cuda_gemm_open(struct cuda *c, struct err *e)
{
    struct cuda_blas *blas = (struct cuda_blas *)calloc(1, sizeof(*blas));
    if (!blas)
        return err_set(e, ERR_MEMORY, "no memory");
    c->blas = blas;
    blas->library = open_library();
    if (!blas->library)
        return err_set(e, ERR_DEVICE,
                       "libcublasLt.so.%d of the CUDA Toolkit was not found: install it or name its folder in "
                       "LD_LIBRARY_PATH",
                       CUBLAS_VER_MAJOR);
    if (!find_calls(blas))
        return err_set(e, ERR_DEVICE, "libcublasLt.so.%d lacks a function", CUBLAS_VER_MAJOR);
    cublasStatus_t status = blas->call.create(&blas->handle);
    if (status != CUBLAS_STATUS_SUCCESS)
        return err_set(e, ERR_DEVICE, "cuBLASLt does not start: status %d", (int)status);
    if (cudaMalloc(&blas->workspace, WORKSPACE_BYTES) != cudaSuccess) {
        cudaGetLastError();
        return err_set(e, ERR_MEMORY, "%d MiB of the GPU's memory are needed as workspace",
                       WORKSPACE_BYTES >> 20);
    }
    return OK;
}

void cuda_gemm_close(struct cuda *c)
{
    struct cuda_blas *blas = c->blas;
    if (!blas)
        return;
    cudaFree(blas->workspace);
    if (blas->handle)
        blas->call.destroy(blas->handle);
    /* The library stays open: the next backend wants it again, and its start costs half a second. */
    free(blas);
    c->blas = NULL;
}

void cuda_gemm_describe(const struct cuda *c, char *out, size_t n)
{
    size_t v = c->blas->call.version();
    snprintf(out, n, "cublasLt %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
}

/* --- which kernel --- */

/* Up to a fraction of a power of two: at most an eighth more. */
static int rounded(int n)
{
    int step = 16;
    while (step < n / 16)
        step *= 2;
    return (n + step - 1) / step * step;
}

static int32_t alignment(const void *p)
{
    uintptr_t bits = reinterpret_cast<uintptr_t>(p) | 256;
    return (int32_t)(bits & (~bits + 1));
}

static struct plan_key key_of(const struct cuda_product *p)
{
    struct plan_key k;
    memset(&k, 0, sizeof(k)); /* keys are compared as bytes */
    k.is_a_t = p->is_a_t;
    k.is_b_t = p->is_b_t;
    k.m = p->is_a_t ? p->m : rounded(p->m);
    k.n = p->n;
    k.k = p->is_a_t ? rounded(p->k) : p->k;
    k.is_out_float = p->is_out_float;
    k.is_added = p->beta != 0;
    k.align_a = alignment(p->a);
    k.align_b = alignment(p->b);
    k.align_out = alignment(p->out);
    k.ld_a = p->ld_a;
    k.ld_b = p->ld_b;
    k.ld_out = p->ld_out;
    return k;
}

/* cuBLAS's view of a product: out^T = op(b)^T op(a)^T, column-major. */
struct call {
    struct cuda_blas *blas;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, out; /* first factor: our b */
};

static cublasStatus_t call_open(struct call *at, struct cuda *c, const struct cuda_product *p, int m, int k)
{
    const struct blas_calls *f = &c->blas->call;
    cudaDataType_t type = c->base.ops->value_bytes == 2 ? CUDA_R_16BF : CUDA_R_32F;
    cudaDataType_t out = p->is_out_float ? CUDA_R_32F : type;
    cublasOperation_t op_a = p->is_b_t ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t op_b = p->is_a_t ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint64_t n = (uint64_t)p->n, rows = (uint64_t)m, depth = (uint64_t)k;
    cublasStatus_t s = f->desc_create(&at->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    at->blas = c->blas;
    if (!s)
        s = f->desc_set(at->desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof(op_a));
    if (!s)
        s = f->desc_set(at->desc, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof(op_b));
    if (!s)
        s = f->layout_create(&at->a, type, p->is_b_t ? depth : n, p->is_b_t ? n : depth, (int64_t)p->ld_b);
    if (!s)
        s = f->layout_create(&at->b, type, p->is_a_t ? rows : depth, p->is_a_t ? depth : rows,
                             (int64_t)p->ld_a);
    if (!s)
        s = f->layout_create(&at->out, out, n, rows, (int64_t)p->ld_out);
    return s;
}

static void call_close(struct call *at)
{
    const struct blas_calls *f = &at->blas->call;
    if (at->desc)
        f->desc_destroy(at->desc);
    if (at->a)
        f->layout_destroy(at->a);
    if (at->b)
        f->layout_destroy(at->b);
    if (at->out)
        f->layout_destroy(at->out);
}

static cublasStatus_t ask(struct cuda *c, const struct cuda_product *p, const struct plan_key *key, int m,
                          int k, struct plan *out)
{
    struct blas_calls *f = &c->blas->call;
    struct call at = {};
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t found;
    uint64_t workspace = WORKSPACE_BYTES;
    uint32_t align_a = (uint32_t)key->align_b, align_b = (uint32_t)key->align_a;
    uint32_t align_out = (uint32_t)key->align_out;
    int n_found = 0;
    memset(&found, 0, sizeof(found));
    cublasStatus_t s = call_open(&at, c, p, m, k);
    if (!s)
        s = f->preference_create(&wish);
    if (!s)
        s = f->preference_set(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof(workspace));
    if (!s)
        s = f->preference_set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align_a, sizeof(align_a));
    if (!s)
        s = f->preference_set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align_b, sizeof(align_b));
    if (!s)
        s = f->preference_set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align_out,
                              sizeof(align_out));
    if (!s)
        s = f->preference_set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align_out,
                              sizeof(align_out));
    if (!s)
        s = f->heuristic(c->blas->handle, at.desc, at.a, at.b, at.out, at.out, wish, 1, &found, &n_found);
    if (!s && n_found < 1)
        s = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!s) {
        out->is_known = true;
        out->key = *key;
        out->algo = found.algo;
        out->workspace_bytes = found.workspaceSize;
    }
    if (wish)
        f->preference_destroy(wish);
    if (at.blas)
        call_close(&at);
    return s;
}

/* The place of a key: where it is, or where it may be put. */
static struct plan *place_of(struct cuda_blas *blas, const struct plan_key *key)
{
    const unsigned char *bytes = reinterpret_cast<const unsigned char *>(key);
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < sizeof(*key); i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    size_t at = (size_t)(hash % PLANS);
    while (blas->plan[at].is_known && memcmp(&blas->plan[at].key, key, sizeof(*key)) != 0)
        at = (at + 1) % PLANS;
    return &blas->plan[at];
}

static struct plan *plan_of(struct cuda *c, const struct cuda_product *p, cublasStatus_t *s)
{
    struct cuda_blas *blas = c->blas;
    struct plan_key key = key_of(p);
    struct plan *plan = place_of(blas, &key);
    *s = CUBLAS_STATUS_SUCCESS;
    if (plan->is_known)
        return plan;
    if (blas->n_plans >= PLANS / 2) {
        memset(blas->plan, 0, sizeof(blas->plan));
        blas->n_plans = 0;
        plan = place_of(blas, &key);
    }
    *s = ask(c, p, &key, key.m, key.k, plan);
    blas->n_plans += *s == CUBLAS_STATUS_SUCCESS;
    return plan;
}

/* out = beta out where there is nothing to add up. */
static void scale_only(struct cuda *c, const struct cuda_product *p)
{
    size_t bytes = p->is_out_float ? sizeof(float) : c->base.ops->value_bytes;
    for (int i = 0; p->beta == 0 && i < p->m; i++)
        c->base.ops->zero(&c->base, (unsigned char *)p->out + (size_t)i * p->ld_out * bytes,
                          (size_t)p->n * bytes);
}

void cuda_gemm(struct cuda *c, const struct cuda_product *p)
{
    struct call at = {};
    cublasStatus_t s;
    if (c->failure.code || p->m == 0 || p->n == 0)
        return;
    if (p->k == 0) {
        scale_only(c, p);
        return;
    }
    struct plan *plan = plan_of(c, p, &s), exact;
    if (!s)
        s = call_open(&at, c, p, p->m, p->k);
    for (int round = 0; !s && round < 2; round++) {
        s = c->blas->call.matmul(c->blas->handle, at.desc, &p->alpha, p->b, at.a, p->a, at.b, &p->beta, p->out,
                                 at.out, p->out, at.out, &plan->algo, c->blas->workspace,
                                 plan->workspace_bytes, c->stream);
        if (s != CUBLAS_STATUS_NOT_SUPPORTED && s != CUBLAS_STATUS_INVALID_VALUE)
            break; /* else the answer for more rows does not serve these: ask for them exactly */
        struct plan_key key = key_of(p);
        s = ask(c, p, &key, p->m, p->k, &exact);
        plan = &exact;
    }
    if (at.blas)
        call_close(&at);
    if (s)
        err_set(&c->failure, ERR_DEVICE, "cuda: a product [%d, %d] of depth %d: cuBLASLt status %d", p->m, p->n,
                p->k, (int)s);
}
