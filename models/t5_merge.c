#include <stdio.h>
#include <string.h>

#include "models/t5_model.h"
#include "sim/base/check.h"

/* The matrix that a site adapts: PEFT's name of its A without prefix and ending. */
static const struct t5_tensor *matrix_of(const struct t5 *m, const struct lora_layout *l, int site)
{
    static const char prefix[] = "base_model.model.", ending[] = ".lora_A.weight";
    char name[200], matrix[200];
    lora_site_name(l, &m->config, site, 'A', name, sizeof(name));
    size_t n = strlen(name) - strlen(prefix) - strlen(ending);
    snprintf(matrix, sizeof(matrix), "%.*s.weight", (int)n, name + strlen(prefix));
    const struct t5_tensor *t = t5_tensor_find(m, matrix);
    CHECK(t);
    return t;
}

/* w [d_out, d_in] += scale b [d_out, rank] a [rank, d_in] */
static void add_product(const struct lora_site *s, int rank, double scale, const float *a,
                        const float *b, double *row, float *w)
{
    size_t d_in = (size_t)s->d_in, r = (size_t)rank;
    for (size_t o = 0; o < (size_t)s->d_out; o++) {
        for (size_t i = 0; i < d_in; i++)
            row[i] = (double)w[o * d_in + i];
        for (size_t k = 0; k < r; k++) {
            double f = scale * (double)b[o * r + k];
            for (size_t i = 0; i < d_in; i++)
                row[i] += f * (double)a[k * d_in + i];
        }
        for (size_t i = 0; i < d_in; i++)
            w[o * d_in + i] = (float)row[i];
    }
}

enum err_code t5_merge(struct t5 *m, const struct lora_layout *l, const float *adapter,
                       struct err *e)
{
    double scale = (double)l->spec.alpha / l->spec.rank;
    enum err_code code = OK;
    for (int i = 0; !code && i < l->n_sites; i++) {
        const struct lora_site *s = &l->site[i];
        const struct t5_tensor *t = matrix_of(m, l, i);
        struct arena scratch = {0};
        double *row = ARENA_NEW(&scratch, double, (size_t)s->d_in);
        float *w = ARENA_NEW(&scratch, float, t->n);
        CHECK(t->dim[0] == (size_t)s->d_out && t->dim[1] == (size_t)s->d_in);
        t5_get(m, t, w);
        code = m->ops->sync(m->backend, e);
        add_product(s, l->spec.rank, scale, adapter + s->a, adapter + s->b, row, w);
        if (!code)
            t5_set(m, t, w);
        arena_free(&scratch);
    }
    return code ? code : t5_rehash(m, e);
}
