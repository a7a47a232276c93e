#include "models/lora_mean.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>

#include "models/cpu_gemm_svd.h"
#include "sim/base/mem.h"

#define ROW_LENGTH 0.57735026918962576 /* 1/sqrt(3), of A's initial rows */

/* X and Y of P = X Y^T: w_i B_i side by side, and A_i^T. False when a value is not finite. */
static bool collect(const struct lora_site *s, size_t rank, size_t n, const float *const *adapter,
                    const double *weight, double *x, double *y)
{
    size_t d_in = (size_t)s->d_in, d_out = (size_t)s->d_out;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const float *a = adapter[i] + s->a, *b = adapter[i] + s->b;
        for (size_t r = 0; r < rank; r++, x += d_out, y += d_in) {
            for (size_t o = 0; o < d_out; o++)
                sum += fabs(x[o] = weight[i] * (double)b[o * rank + r]);
            for (size_t j = 0; j < d_in; j++)
                sum += fabs(y[j] = (double)a[r * d_in + j]);
        }
    }
    return isfinite(sum);
}

struct room {
    double *x, *y, *left, *right, *s;
};

static enum err_code mean_of_site(const struct lora_layout *l, const struct lora_site *s, size_t n,
                                  const float *const *adapter, const double *weight, double total,
                                  const struct room *m, double *out, struct err *e)
{
    size_t rank = (size_t)l->spec.rank, d_in = (size_t)s->d_in, d_out = (size_t)s->d_out;
    if (!collect(s, rank, n, adapter, weight, m->x, m->y)) {
        for (size_t i = s->a; i < s->b + d_out * rank; i++)
            out[i] = (double)NAN;
        return OK;
    }
    enum err_code code = cpu_low_rank(s->d_out, s->d_in, (int)(n * rank), m->x, m->y, l->spec.rank,
                                      m->left, m->s, m->right, e);
    for (size_t r = 0; !code && r < rank; r++) {
        double value = m->s[r] / total, length = fmax(ROW_LENGTH, sqrt(value));
        for (size_t j = 0; j < d_in; j++)
            out[s->a + r * d_in + j] = length * m->right[r * d_in + j];
        for (size_t o = 0; o < d_out; o++)
            out[s->b + o * rank + r] = m->left[r * d_out + o] * value / length;
    }
    return code;
}

enum err_code lora_mean_products(const struct lora_layout *l, size_t n, const float *const *adapter,
                                 const double *weight, double *out, struct err *e)
{
    size_t rank = (size_t)l->spec.rank, d_in = 0, d_out = 0, k, n_bytes;
    double total = 0;
    void *block = NULL;
    for (int i = 0; i < l->n_sites; i++) {
        d_in = (size_t)l->site[i].d_in > d_in ? (size_t)l->site[i].d_in : d_in;
        d_out = (size_t)l->site[i].d_out > d_out ? (size_t)l->site[i].d_out : d_out;
    }
    for (size_t i = 0; i < n; i++)
        total += weight[i];
    if (!size_mul(n, rank, &k) || k > INT_MAX ||
        !size_mul3(k + rank, d_in + d_out + 1, sizeof(double), &n_bytes))
        return err_set(e, ERR_LIMIT, "%zu adapters of rank %zu are too many for one mean", n, rank);
    enum err_code code = mem_big(&block, n_bytes, "the mean of products", e);
    if (code)
        return code;
    struct room m = {.x = block};
    m.y = m.x + k * d_out;
    m.left = m.y + k * d_in;
    m.right = m.left + rank * d_out;
    m.s = m.right + rank * d_in;
    for (int i = 0; !code && i < l->n_sites; i++)
        code = mean_of_site(l, &l->site[i], n, adapter, weight, total, &m, out, e);
    mem_free(block);
    return code;
}
