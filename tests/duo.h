/* tests/duo.h: one operation on the CPU and on a CUDA backend, with the same numbers in.
 *
 * Memory is asked for by kind and named by a handle; an operation is a function that is called once per
 * side. Where values are bfloat16 the numbers are rounded to it before they go to either side, so what
 * differs is the operation's doing. */
#ifndef TESTS_DUO_H
#define TESTS_DUO_H

#include <stdint.h>

#include "models/backend.h"
#include "sim/base/rng.h"
#include "tests/test.h"

enum { DUO_CPU, DUO_CUDA, DUO_SIDES };
enum { DUO_MEMS = 24, DUO_FIGURES = 64, DUO_NAME = 48 };
enum duo_kind { DUO_FLOATS, DUO_VALUES, DUO_WORDS };

/* What an operation may do with memory: nothing but read, write what is compared, write what is not. */
enum duo_use { DUO_IN, DUO_OUT, DUO_SCRATCH };

struct duo_mem {
    const char *name;
    enum duo_kind kind;
    enum duo_use use;
    double tolerance[2]; /* float32, bf16: norm of the difference over norm of the CPU's */
    double lost;         /* norm of what cancels on the way, counted with the CPU's */
    size_t n;
    uint32_t *host; /* float32 or words: what stands there before the operation */
    void *at[DUO_SIDES];
};

/* The largest error seen of an output, for duo_print. */
struct duo_figure {
    char name[DUO_NAME];
    double error, tolerance;
};

struct duo {
    const struct backend_ops *op[DUO_SIDES];
    struct backend *b[DUO_SIDES];
    struct duo_mem mem[DUO_MEMS];
    struct duo_figure figure[DUO_FIGURES];
    int n_mems, n_figures;
    uint32_t n_fills;
    bool is_bf16;
};

typedef void duo_op(struct duo *d, int side, const void *ctx);

static inline float duo_wide(uint16_t bits)
{
    uint32_t u = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* To nearest, ties to even; finite numbers only. */
static inline uint16_t duo_narrow(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* False where the CUDA backend does not open: e says why. */
static inline bool duo_open(struct duo *d, const struct backend_ops *cpu, const struct backend_ops *cuda,
                            struct err *e)
{
    *d = (struct duo){.op = {cpu, cuda}, .is_bf16 = cuda->value_bytes == 2};
    if (cuda->open(&d->b[DUO_CUDA], 0, 1, e))
        return false;
    if (cpu->open(&d->b[DUO_CPU], 0, 1, e)) {
        printf("cannot open the CPU backend: %s\n", e->text);
        exit(1);
    }
    return true;
}

static inline void duo_close(struct duo *d)
{
    for (int side = 0; side < DUO_SIDES; side++)
        d->op[side]->close(d->b[side]);
}

static inline size_t duo_bytes(const struct duo *d, const struct duo_mem *m, int side)
{
    return m->n * (m->kind == DUO_VALUES ? d->op[side]->value_bytes : 4);
}

static inline int duo_mem(struct duo *d, enum duo_kind kind, size_t n)
{
    struct err e = {0};
    struct duo_mem *m = &d->mem[d->n_mems];
    if (d->n_mems == DUO_MEMS)
        exit(1);
    *m = (struct duo_mem){.kind = kind, .n = n, .host = calloc(n + 1, sizeof(*m->host))};
    for (int side = 0; side < DUO_SIDES; side++)
        if (d->op[side]->alloc(d->b[side], &m->at[side], duo_bytes(d, m, side) + 4, "test", &e)) {
            printf("no memory: %s\n", e.text);
            exit(1);
        }
    return d->n_mems++;
}

/* n numbers, uniform in -scale .. scale, the same at every run. */
static inline int duo_random(struct duo *d, enum duo_kind kind, size_t n, double scale)
{
    int at = duo_mem(d, kind, n);
    d->n_fills++;
    for (size_t i = 0; i < n; i++) {
        float x = (float)(scale * (2 * rng_uniform(2, 200, d->n_fills, i) - 1));
        if (kind == DUO_VALUES && d->is_bf16)
            x = duo_wide(duo_narrow(x));
        memcpy(&d->mem[at].host[i], &x, sizeof(x));
    }
    return at;
}

static inline int duo_words(struct duo *d, size_t n, const int32_t *from)
{
    int at = duo_mem(d, DUO_WORDS, n);
    for (size_t i = 0; i < n; i++)
        d->mem[at].host[i] = (uint32_t)from[i];
    return at;
}

/* Memory `at` is written by the operation and must agree. Names must be string constants. */
static inline int duo_out(struct duo *d, int at, const char *name, double float_tolerance, double bf16_tolerance)
{
    struct duo_mem *m = &d->mem[at];
    m->name = name;
    m->use = DUO_OUT;
    m->tolerance[0] = float_tolerance;
    m->tolerance[1] = bf16_tolerance;
    return at;
}

static inline int duo_scratch(struct duo *d, enum duo_kind kind, size_t n)
{
    int at = duo_random(d, kind, n, 1);
    d->mem[at].use = DUO_SCRATCH;
    return at;
}

static inline void *duo_at(const struct duo *d, int side, int at)
{
    return at < 0 ? NULL : d->mem[at].at[side];
}

static inline void duo_clear(struct duo *d)
{
    for (int i = 0; i < d->n_mems; i++) {
        for (int side = 0; side < DUO_SIDES; side++)
            d->op[side]->free(d->b[side], d->mem[i].at[side]);
        free(d->mem[i].host);
    }
    d->n_mems = 0;
}

static inline void duo_upload(struct duo *d, int side)
{
    for (int i = 0; i < d->n_mems; i++) {
        const struct duo_mem *m = &d->mem[i];
        size_t n_bytes = duo_bytes(d, m, side);
        uint16_t *narrow = malloc(m->n * sizeof(*narrow) + 1);
        for (size_t j = 0; j < m->n && n_bytes < m->n * 4; j++)
            narrow[j] = (uint16_t)(m->host[j] >> 16);
        d->op[side]->set(d->b[side], m->at[side], n_bytes < m->n * 4 ? (void *)narrow : m->host, n_bytes);
        free(narrow);
    }
}

static inline void duo_do(struct duo *d, int side, const char *what, duo_op *run, const void *ctx)
{
    struct err e = {0};
    duo_upload(d, side);
    run(d, side, ctx);
    if (d->op[side]->sync(d->b[side], &e))
        TEST_FAIL("%s on %s: %s", what, d->op[side]->name, e.text);
}

static inline void duo_note(struct duo *d, const char *what, const char *name, double error, double tolerance)
{
    char full[DUO_NAME];
    int i = 0;
    snprintf(full, sizeof(full), "%.*s.%s", (int)strcspn(what, " "), what, name);
    while (i < d->n_figures && strcmp(d->figure[i].name, full) != 0)
        i++;
    if (i == DUO_FIGURES)
        exit(1);
    if (i == d->n_figures)
        d->n_figures++;
    memcpy(d->figure[i].name, full, sizeof(full));
    d->figure[i].error = fmax(d->figure[i].error, error);
    d->figure[i].tolerance = fmax(d->figure[i].tolerance, tolerance);
}

/* The numbers of a memory on the host, float32 or words. */
static inline uint32_t *duo_fetch(struct duo *d, int side, const struct duo_mem *m)
{
    uint32_t *out = calloc(m->n + 1, sizeof(*out));
    if (m->kind == DUO_VALUES)
        d->op[side]->get_values(d->b[side], (float *)(void *)out, m->at[side], m->n);
    else
        d->op[side]->get(d->b[side], out, m->at[side], m->n * 4);
    return out;
}

static inline void duo_compare(struct duo *d, const char *what, const struct duo_mem *m)
{
    uint32_t *got = duo_fetch(d, DUO_CUDA, m), *want = duo_fetch(d, DUO_CPU, m);
    const float *g = (const float *)(const void *)got, *w = (const float *)(const void *)want;
    double off = 0, all = 0, tolerance = m->tolerance[d->is_bf16];
    size_t n_other = 0, n_moved = 0;
    for (size_t i = 0; i < m->n; i++) {
        n_other += got[i] != want[i];
        n_moved += got[i] != m->host[i];
        if (m->kind != DUO_WORDS) {
            off += ((double)g[i] - (double)w[i]) * ((double)g[i] - (double)w[i]);
            all += (double)w[i] * (double)w[i];
        }
    }
    all += m->lost * m->lost;
    double error = all > 0 ? sqrt(off / all) : sqrt(off);
    if (m->use == DUO_IN && n_moved > 0)
        TEST_FAIL("%s: %zu of %zu inputs have been written to", what, n_moved, m->n);
    if (m->use == DUO_OUT && m->kind == DUO_WORDS && n_other > 0)
        TEST_FAIL("%s: %s: %zu of %zu differ", what, m->name, n_other, m->n);
    if (m->use == DUO_OUT && m->kind != DUO_WORDS) {
        if (!(error <= tolerance))
            TEST_FAIL("%s: %s: error %.3g, tolerance %.3g", what, m->name, error, tolerance);
        duo_note(d, what, m->name, error, tolerance);
    }
    free(got);
    free(want);
}

/* Runs on both sides and compares, then once more on CUDA: the same bytes. `what`: the operation, then its
 * shape. Afterwards the memory is given back. */
static inline void duo_check(struct duo *d, const char *what, duo_op *run, const void *ctx)
{
    uint32_t *first[DUO_MEMS] = {NULL};
    for (int side = 0; side < DUO_SIDES; side++)
        duo_do(d, side, what, run, ctx);
    for (int i = 0; i < d->n_mems; i++) {
        if (d->mem[i].use != DUO_SCRATCH)
            duo_compare(d, what, &d->mem[i]);
        first[i] = duo_fetch(d, DUO_CUDA, &d->mem[i]);
    }
    duo_do(d, DUO_CUDA, what, run, ctx);
    for (int i = 0; i < d->n_mems; i++) {
        uint32_t *again = duo_fetch(d, DUO_CUDA, &d->mem[i]);
        if (d->mem[i].use == DUO_OUT && memcmp(first[i], again, d->mem[i].n * 4) != 0)
            TEST_FAIL("%s: %s: other bytes when it runs again", what, d->mem[i].name);
        free(again);
        free(first[i]);
    }
    duo_clear(d);
}

static inline void duo_print(const struct duo *d)
{
    for (int i = 0; i < d->n_figures; i++)
        printf("  %-8s %-32s error %.2e of %.0e\n", d->op[DUO_CUDA]->precision, d->figure[i].name,
               d->figure[i].error, d->figure[i].tolerance);
}

#endif
