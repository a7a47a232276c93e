/* tests/ops.h: a bench for operations of a backend: memory with known numbers, masks, numeric gradients.
 *
 * An operation is checked against a reference in double that shares no code with it: forward by value,
 * backward against central differences of the reference. */
#ifndef TESTS_OPS_H
#define TESTS_OPS_H

#include <stdint.h>

#include "models/backend.h"
#include "models/dropout.h"
#include "sim/base/rng.h"
#include "tests/lab_backend.h"
#include "tests/test.h"

enum { LAB_BLOCKS = 128 };

struct lab {
    const struct backend_ops *op;
    struct backend *b;
    void *block[LAB_BLOCKS];
    double *host[LAB_BLOCKS];
    int n_blocks, n_host;
    uint32_t n_fills;
    size_t every; /* lab_gradient looks at every so many values; 0: all */
};

static inline struct lab lab_open(int n_threads)
{
    struct lab l = {.op = &LAB_BACKEND};
    struct err e = {0};
    if (l.op->open(&l.b, 0, n_threads, &e)) {
        printf("cannot open the backend: %s\n", e.text);
        exit(1);
    }
    return l;
}

static inline void lab_close(struct lab *l)
{
    struct err e = {0};
    CHECK_INT(l->op->sync(l->b, &e), OK);
    for (int i = 0; i < l->n_blocks; i++)
        l->op->free(l->b, l->block[i]);
    for (int i = 0; i < l->n_host; i++)
        free(l->host[i]);
    l->op->close(l->b);
}

static inline void *lab_bytes(struct lab *l, size_t n_bytes)
{
    struct err e = {0};
    if (l->n_blocks == LAB_BLOCKS || l->op->alloc(l->b, &l->block[l->n_blocks], n_bytes, "test", &e)) {
        printf("no memory: %s\n", e.text);
        exit(1);
    }
    return l->block[l->n_blocks++];
}

static inline float *lab_zero(struct lab *l, size_t n)
{
    return lab_bytes(l, (n + 1) * sizeof(float));
}

/* n values, uniform in -scale .. scale; the same at every run. */
static inline float *lab_random(struct lab *l, size_t n, double scale)
{
    float *p = lab_zero(l, n), *host = malloc((n + 1) * sizeof(*host));
    l->n_fills++;
    for (size_t i = 0; i < n; i++)
        host[i] = (float)(scale * (2 * rng_uniform(1, 200, l->n_fills, i) - 1));
    l->op->set(l->b, p, host, n * sizeof(*host));
    free(host);
    return p;
}

static inline int32_t *lab_ints(struct lab *l, int n, const int32_t *from)
{
    int32_t *p = lab_bytes(l, (size_t)(n + 1) * sizeof(*p));
    l->op->set(l->b, p, from, (size_t)n * sizeof(*p));
    return p;
}

/* A copy on the host, in double. */
static inline double *lab_double(struct lab *l, const float *from, size_t n)
{
    float *host = malloc((n + 1) * sizeof(*host));
    double *d = malloc((n + 1) * sizeof(*d));
    if (l->n_host == LAB_BLOCKS)
        exit(1);
    l->host[l->n_host++] = d;
    l->op->get(l->b, host, from, n * sizeof(*host));
    for (size_t i = 0; i < n; i++)
        d[i] = (double)host[i];
    free(host);
    return d;
}

/* Rows 0 .. n-1 belong to owners 7, 8, ... of three rows each. p = 0: no dropout at all. */
static inline struct dropout lab_dropout(struct lab *l, int n, float p)
{
    if (p <= 0)
        return (struct dropout){0};
    uint32_t *owner = lab_bytes(l, (size_t)(n + 1) * sizeof(*owner));
    uint32_t *index = lab_bytes(l, (size_t)(n + 1) * sizeof(*index));
    for (int i = 0; i < n; i++) {
        uint32_t who = 7 + (uint32_t)i / 3, which = (uint32_t)i % 3;
        l->op->set(l->b, owner + i, &who, sizeof(who));
        l->op->set(l->b, index + i, &which, sizeof(which));
    }
    return (struct dropout){.p = p, .site = RNG_DROPOUT + 5, .seed = 0x123456789abcdefu,
                            .row_owner = owner, .row_index = index};
}

/* What an element is multiplied by: from the definition, one element at a time. */
static inline double lab_mask(const struct dropout *d, int row, uint32_t col)
{
    if (d->p <= 0)
        return 1;
    uint32_t threshold = dropout_threshold(d->p);
    bool keep = dropout_keep(d->seed, d->site, 7 + (uint32_t)row / 3, (uint32_t)row % 3, col, threshold);
    return keep ? 65536.0 / (65536.0 - threshold) : 0;
}

/* All n values of got (backend memory) are want to tolerance times the largest of want. */
static inline void lab_near(struct lab *l, const char *what, size_t n, const float *got,
                            const double *want, double tolerance)
{
    double *g = lab_double(l, got, n), top = 1e-30;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs(g[i] - want[i]) <= tolerance * top)) {
            TEST_FAIL("%s[%zu]: got %.9g, want %.9g, largest %.3g", what, i, g[i], want[i], top);
            return;
        }
}

/* The loss of a reference at its present inputs. */
typedef double lab_loss(void *ctx);

/* got - before is d loss / d at, by central differences; `at` is one of the reference's inputs. */
static inline void lab_gradient(struct lab *l, const char *what, size_t n, double *at, lab_loss *loss,
                                void *ctx, const float *got, double before)
{
    const double h = 1e-5;
    double *want = malloc((n + 1) * sizeof(*want)), *all = lab_double(l, got, n);
    for (size_t i = 0; i < n; i++) {
        double x = at[i];
        if (l->every && i % l->every != 0) {
            want[i] = all[i];
            continue;
        }
        at[i] = x + h;
        double up = loss(ctx);
        at[i] = x - h;
        want[i] = (up - loss(ctx)) / (2 * h) + before;
        at[i] = x;
    }
    lab_near(l, what, n, got, want, 2e-5);
    free(want);
}

/* Backend memory of n values that are all x, for gradients that are added to. */
static inline float *lab_filled(struct lab *l, size_t n, float x)
{
    float *p = lab_zero(l, n);
    for (size_t i = 0; i < n; i++)
        l->op->set(l->b, p + i, &x, sizeof(x));
    return p;
}

#endif
