#include "models/cpu_gemm_svd.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "models/cpu.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

/* LAPACK, as in libopenblas: Fortran names, all by reference, column-major; Debian's package has no
 * header for it. */
void dgeqrf_(const int *m, const int *n, double *a, const int *ld_a, double *tau, double *work,
             const int *n_work, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *ld_a,
             const double *tau, double *work, const int *n_work, int *info);
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *ld_a, double *s,
             double *u, const int *ld_u, double *vt, const int *ld_vt, double *work,
             const int *n_work, int *iwork, int *info, size_t n_job);

static enum err_code doubles(double **out, size_t n, struct err *e)
{
    void *p = NULL;
    size_t n_bytes;
    if (!size_mul(n ? n : 1, sizeof(double), &n_bytes))
        return err_set(e, ERR_LIMIT, "the mean of products does not fit any memory");
    enum err_code code = mem_big(&p, n_bytes, "the mean of products", e);
    *out = p;
    return code;
}

/* a [m, k], k <= m, becomes Q [m, k]; r [k, k] its upper triangle. */
static enum err_code qr(int m, int k, double *a, double *r, struct err *e)
{
    double *tau = NULL, *work = NULL, asked = 0;
    int n_work = -1, info = 0;
    dgeqrf_(&m, &k, a, &m, NULL, &asked, &n_work, &info);
    n_work = (int)asked > 64 * k ? (int)asked : 64 * k;
    enum err_code code = doubles(&tau, (size_t)k, e);
    if (!code)
        code = doubles(&work, (size_t)n_work, e);
    if (!code) {
        dgeqrf_(&m, &k, a, &m, tau, work, &n_work, &info);
        CHECK(info == 0);
        memset(r, 0, (size_t)k * (size_t)k * sizeof(*r));
        for (size_t j = 0; j < (size_t)k; j++)
            memcpy(r + j * (size_t)k, a + j * (size_t)m, (j + 1) * sizeof(*r));
        dorgqr_(&m, &k, &k, a, &m, tau, work, &n_work, &info);
        CHECK(info == 0);
    }
    mem_free(work);
    mem_free(tau);
    return code;
}

struct svd {
    int m, n, k;        /* k = min(m, n) */
    double *u, *s, *vt; /* [m, k], [k], [k, n] */
};

static void svd_fini(struct svd *d)
{
    mem_free(d->u);
    mem_free(d->s);
    mem_free(d->vt);
}

/* a [m, n] is overwritten. */
static enum err_code svd_init(struct svd *d, int m, int n, double *a, struct err *e)
{
    double *work = NULL, *iwork = NULL, asked = 0;
    int n_work = -1, info = 0, none = 0, k = m < n ? m : n;
    *d = (struct svd){.m = m, .n = n, .k = k};
    enum err_code code = doubles(&d->u, (size_t)m * (size_t)k, e);
    if (!code)
        code = doubles(&d->s, (size_t)k, e);
    if (!code)
        code = doubles(&d->vt, (size_t)k * (size_t)n, e);
    if (!code)
        code = doubles(&iwork, 4 * (size_t)k, e); /* 8 k int */
    if (code)
        goto done;
    dgesdd_("S", &m, &n, a, &m, d->s, d->u, &m, d->vt, &k, &asked, &n_work, &none, &info, 1);
    n_work = (int)asked;
    code = doubles(&work, (size_t)n_work, e);
    if (code)
        goto done;
    dgesdd_("S", &m, &n, a, &m, d->s, d->u, &m, d->vt, &k, work, &n_work, (void *)iwork, &info, 1);
    if (info != 0)
        code = err_set(e, ERR_INTERNAL, "a singular value decomposition did not converge");
done:
    mem_free(work);
    mem_free(iwork);
    return code;
}

/* Component j of the result; q_left, q_right NULL: the identity. */
static void put_vector(const struct svd *d, int j, int m, int n, const double *q_left,
                       const double *q_right, double *left, double *right)
{
    size_t at = (size_t)j;
    double *l = left + at * (size_t)m, *r = right + at * (size_t)n;
    const double *u = d->u + at * (size_t)d->m;
    if (q_left)
        cblas_dgemv(CblasColMajor, CblasNoTrans, m, d->m, 1, q_left, m, u, 1, 0, l, 1);
    else
        memcpy(l, u, (size_t)m * sizeof(*l));
    if (q_right)
        cblas_dgemv(CblasColMajor, CblasNoTrans, n, d->n, 1, q_right, n, d->vt + at, d->k, 0, r, 1);
    else
        cblas_dcopy(n, d->vt + at, d->k, r, 1);
    int top = 0;
    for (int i = 1; i < n; i++)
        top = fabs(r[i]) > fabs(r[top]) ? i : top;
    if (r[top] < 0) {
        cblas_dscal(m, -1, l, 1);
        cblas_dscal(n, -1, r, 1);
    }
}

enum err_code cpu_low_rank(int m, int n, int k, double *x, double *y, int rank, double *left,
                           double *s, double *right, struct err *e)
{
    int small = m < n ? m : n;
    bool is_core = k <= small;
    int rows = is_core ? k : m, cols = is_core ? k : n;
    double *rx = NULL, *ry = NULL, *p = NULL;
    struct svd d = {0};
    cpu_gemm_init();
    enum err_code code = doubles(&p, (size_t)rows * (size_t)cols, e);
    if (!code && is_core)
        code = doubles(&rx, (size_t)k * (size_t)k, e);
    if (!code && is_core)
        code = doubles(&ry, (size_t)k * (size_t)k, e);
    if (!code && is_core)
        code = qr(m, k, x, rx, e);
    if (!code && is_core)
        code = qr(n, k, y, ry, e);
    if (code)
        goto done;
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, rows, cols, k, 1, is_core ? rx : x, rows,
                is_core ? ry : y, cols, 0, p, rows);
    code = svd_init(&d, rows, cols, p, e);
    if (code)
        goto done;
    memset(left, 0, (size_t)m * (size_t)rank * sizeof(*left));
    memset(right, 0, (size_t)n * (size_t)rank * sizeof(*right));
    memset(s, 0, (size_t)rank * sizeof(*s));
    for (int j = 0; j < rank && j < d.k; j++) {
        s[j] = d.s[j];
        put_vector(&d, j, m, n, is_core ? x : NULL, is_core ? y : NULL, left, right);
    }
done:
    svd_fini(&d);
    mem_free(p);
    mem_free(ry);
    mem_free(rx);
    return code;
}
