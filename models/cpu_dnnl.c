/* models/cpu_dnnl.c: oneDNN's matmul behind models/cpu_dnnl.h, by its C interface of version 2. */
#include "models/cpu_dnnl.h"

#include <dnnl.h>
#include <dnnl_debug.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "models/cpu_math.h"
#include "sim/base/check.h"
#include "sim/base/hash.h"
#include "sim/base/mem.h"

/* libgomp's, which libdnnl is linked with. The setting is the calling thread's own. */
void omp_set_num_threads(int n);

enum { N_SLOTS = 512, MOST_MADE = N_SLOTS / 2, ROWS = 16 };
enum { ARG_A, ARG_B, ARG_C, ARG_SCRATCH, N_ARGS };

/* What the code for a product is made for. Compared byte by byte: no padding. */
struct shape {
    int64_t m, n, k, ld_a, ld_b, ld_c;
    int32_t is_b_t, add, is_c_wide, is_made;
};

struct made {
    struct shape shape;
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[N_ARGS];
    size_t n_scratch; /* bytes */
};

/* A block that grows. */
struct room {
    void *at;
    size_t n_bytes;
};

/* One thread's: nobody else looks at it while a loop runs. */
struct worker {
    dnnl_stream_t stream;
    struct made *made; /* [N_SLOTS], by hash, the next free slot when taken */
    size_t n_made;
    struct room scratch, a, c; /* oneDNN's; padded copies of operands */
    struct err failure;
};

struct cpu_dnnl {
    struct arena arena; /* owns this struct */
    dnnl_engine_t engine;
    struct worker *worker; /* [n_workers] */
    int n_workers;
};

static enum err_code failed(struct worker *w, enum err_code code, const char *what, dnnl_status_t status)
{
    return w->failure.code ? w->failure.code
                           : err_set(&w->failure, code, "oneDNN: %s: %s", what, dnnl_status2str(status));
}

/* --- opening --- */

static bool has_bf16(void)
{
    unsigned isa = (unsigned)dnnl_get_effective_cpu_isa(), bf16 = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
    return (isa & bf16) == bf16;
}

enum err_code cpu_dnnl_open(struct cpu_dnnl **out, int n_threads, struct err *e)
{
    if (!has_bf16())
        return err_set(e, ERR_DEVICE,
                       "bf16 on the CPU takes a processor with AVX-512 bf16 or AMX, oneDNN finds %s; "
                       "precision float32 runs on any",
                       dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa()) + strlen("cpu_isa_"));
    struct arena arena = {0};
    struct cpu_dnnl *d = ARENA_NEW(&arena, struct cpu_dnnl, 1);
    d->worker = ARENA_NEW(&arena, struct worker, (size_t)n_threads);
    d->n_workers = n_threads;
    for (int i = 0; i < n_threads; i++)
        d->worker[i].made = ARENA_NEW(&arena, struct made, N_SLOTS);
    d->arena = arena;
    dnnl_status_t status = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    for (int i = 0; i < n_threads && !status; i++)
        status = dnnl_stream_create(&d->worker[i].stream, d->engine, dnnl_stream_default_flags);
    if (status) {
        cpu_dnnl_close(d);
        return err_set(e, ERR_INTERNAL, "oneDNN does not start: %s", dnnl_status2str(status));
    }
    *out = d;
    return OK;
}

static void unmake(struct made *m)
{
    for (int i = 0; i < N_ARGS; i++)
        dnnl_memory_destroy(m->memory[i]);
    dnnl_primitive_destroy(m->primitive);
    *m = (struct made){0};
}

static void forget(struct worker *w)
{
    for (size_t i = 0; i < N_SLOTS; i++)
        unmake(&w->made[i]);
    w->n_made = 0;
}

void cpu_dnnl_close(struct cpu_dnnl *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->n_workers; i++) {
        struct worker *w = &d->worker[i];
        forget(w);
        dnnl_stream_destroy(w->stream);
        mem_free(w->scratch.at);
        mem_free(w->a.at);
        mem_free(w->c.at);
    }
    dnnl_engine_destroy(d->engine);
    struct arena arena = d->arena;
    arena_free(&arena);
}

void cpu_dnnl_describe(char *out, size_t n)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(out, n, "oneDNN %d.%d.%d %s", v->major, v->minor, v->patch,
             dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa()) + strlen("cpu_isa_"));
}

enum err_code cpu_dnnl_failure(struct cpu_dnnl *d, struct err *e)
{
    enum err_code code = OK;
    for (int i = 0; i < d->n_workers; i++) {
        struct err *f = &d->worker[i].failure;
        if (!code && f->code)
            code = err_set(e, f->code, "%s", f->text);
        *f = (struct err){0};
    }
    return code;
}

/* --- making --- */

static dnnl_status_t matrix(dnnl_memory_desc_t *out, int64_t rows, int64_t cols, int64_t ld, bool is_t,
                            bool is_wide)
{
    dnnl_dims_t dims = {rows, cols}, strides = {is_t ? 1 : ld, is_t ? ld : 1};
    return dnnl_memory_desc_init_by_strides(out, 2, dims, is_wide ? dnnl_f32 : dnnl_bf16, strides);
}

/* Scratch memory is ours; add is an operation behind the product. */
static dnnl_status_t attributes(dnnl_primitive_attr_t *out, bool add)
{
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(out);
    if (!status)
        status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
    if (!status && add)
        status = dnnl_post_ops_create(&after);
    if (!status && add)
        status = dnnl_post_ops_append_sum(after, 1);
    if (!status && add)
        status = dnnl_primitive_attr_set_post_ops(*out, after);
    dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t make_primitive(dnnl_engine_t engine, struct made *m, const dnnl_memory_desc_t desc[3])
{
    dnnl_matmul_desc_t op;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t chosen = NULL;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, &desc[ARG_A], &desc[ARG_B], NULL, &desc[ARG_C]);
    if (!status)
        status = attributes(&attr, m->shape.add);
    if (!status)
        status = dnnl_primitive_desc_create(&chosen, &op, attr, engine, NULL);
    if (!status)
        status = dnnl_primitive_create(&m->primitive, chosen);
    if (!status) {
        const dnnl_memory_desc_t *scratch =
            dnnl_primitive_desc_query_md(chosen, dnnl_query_scratchpad_md, 0);
        m->n_scratch = dnnl_memory_desc_get_size(scratch);
        status = dnnl_memory_create(&m->memory[ARG_SCRATCH], scratch, engine, DNNL_MEMORY_NONE);
    }
    dnnl_primitive_desc_destroy(chosen);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

static enum err_code make(struct cpu_dnnl *d, struct worker *w, struct made *m, const struct shape *s)
{
    dnnl_memory_desc_t desc[3];
    m->shape = *s;
    dnnl_status_t status = matrix(&desc[ARG_A], s->m, s->k, s->ld_a, false, false);
    if (!status)
        status = matrix(&desc[ARG_B], s->k, s->n, s->ld_b, s->is_b_t, false);
    if (!status)
        status = matrix(&desc[ARG_C], s->m, s->n, s->ld_c, false, s->is_c_wide);
    if (!status)
        status = make_primitive(d->engine, m, desc);
    for (int i = ARG_A; i <= ARG_C && !status; i++)
        status = dnnl_memory_create(&m->memory[i], &desc[i], d->engine, DNNL_MEMORY_NONE);
    if (!status) {
        w->n_made++;
        return OK;
    }
    unmake(m);
    return failed(w, status == dnnl_out_of_memory ? ERR_MEMORY : ERR_INTERNAL, "making a product", status);
}

/* The product for a shape; NULL when it cannot be made. */
static struct made *find(struct cpu_dnnl *d, struct worker *w, const struct shape *s)
{
    if (w->n_made >= MOST_MADE)
        forget(w);
    size_t at = (size_t)(hash_bytes(s, sizeof(*s)).lo % N_SLOTS);
    while (w->made[at].shape.is_made && memcmp(&w->made[at].shape, s, sizeof(*s)) != 0)
        at = (at + 1) % N_SLOTS;
    struct made *m = &w->made[at];
    return m->shape.is_made || make(d, w, m, s) == OK ? m : NULL;
}

/* --- doing --- */

static bool grow(struct worker *w, struct room *r, size_t n_bytes)
{
    void *fresh = NULL;
    if (n_bytes <= r->n_bytes)
        return true;
    mem_free(r->at);
    *r = (struct room){0};
    struct err e = {0};
    if (mem_big(&fresh, n_bytes, "a product's scratch", &e)) {
        if (!w->failure.code)
            w->failure = e;
        return false;
    }
    *r = (struct room){fresh, n_bytes};
    return true;
}

static void execute(struct cpu_dnnl *d, struct worker *w, const struct shape *s, const void *a,
                    const void *b, void *c)
{
    static const int ARGS[N_ARGS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    union {
        const void *given;
        void *handle; /* oneDNN takes inputs by a pointer that it could write through */
    } in[2] = {{a}, {b}};
    struct made *m = find(d, w, s);
    if (!m || !grow(w, &w->scratch, m->n_scratch))
        return;
    void *handle[N_ARGS] = {in[0].handle, in[1].handle, c, w->scratch.at};
    dnnl_exec_arg_t arg[N_ARGS];
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < N_ARGS && !status; i++) {
        arg[i] = (dnnl_exec_arg_t){ARGS[i], m->memory[i]};
        status = dnnl_memory_set_data_handle(m->memory[i], handle[i]);
    }
    if (!status)
        status = dnnl_primitive_execute(m->primitive, w->stream, N_ARGS, arg);
    if (!status)
        status = dnnl_stream_wait(w->stream);
    if (status)
        failed(w, ERR_INTERNAL, "a product", status);
}

/* 1, 2, 4, 8, then multiples of 16 */
static int padded_rows(int m)
{
    int rows = 1;
    if (m > ROWS / 2)
        return (m + ROWS - 1) / ROWS * ROWS;
    while (rows < m)
        rows *= 2;
    return rows;
}

/* Rows of a padded product to where they belong. Sums are added in float32. */
CPU_KERNEL static void take_rows(const struct cpu_product *p, const void *from)
{
    size_t n = (size_t)p->n, bytes = p->is_c_wide ? sizeof(float) : sizeof(uint16_t);
    for (size_t i = 0; i < (size_t)p->m; i++) {
        const float *wide = (const float *)from + i * n;
        if (!p->add) {
            memcpy((unsigned char *)p->c + i * p->ld_c * bytes, (const unsigned char *)from + i * n * bytes,
                   n * bytes);
        } else if (p->is_c_wide) {
            float *c = (float *)p->c + i * p->ld_c;
            for (size_t j = 0; j < n; j++)
                c[j] += wide[j];
        } else {
            uint16_t *c = (uint16_t *)p->c + i * p->ld_c;
            for (size_t j = 0; j < n; j++)
                c[j] = cpu_narrowed(cpu_widened(c[j]) + wide[j]);
        }
    }
}

static void product_padded(struct cpu_dnnl *d, struct worker *w, const struct cpu_product *p,
                           struct shape *s)
{
    size_t row = (size_t)p->k * sizeof(uint16_t), rows = (size_t)s->m;
    s->ld_a = p->k;
    s->ld_c = p->n;
    s->is_c_wide = p->is_c_wide || p->add;
    s->add = 0;
    if (!grow(w, &w->a, rows * row) || !grow(w, &w->c, rows * (size_t)p->n * sizeof(float)))
        return;
    for (size_t i = 0; i < (size_t)p->m; i++)
        memcpy((unsigned char *)w->a.at + i * row, (const uint16_t *)p->a + i * p->ld_a, row);
    memset((unsigned char *)w->a.at + (size_t)p->m * row, 0, (rows - (size_t)p->m) * row);
    execute(d, w, s, w->a.at, p->b, w->c.at);
    take_rows(p, w->c.at);
}

void cpu_dnnl_product(struct cpu_dnnl *d, int thread, const struct cpu_product *p)
{
    CHECK(thread < d->n_workers);
    if (p->m <= 0 || p->n <= 0)
        return;
    struct worker *w = &d->worker[thread];
    struct shape s = {.m = padded_rows(p->m), .n = p->n, .k = p->k, .ld_a = (int64_t)p->ld_a,
                      .ld_b = (int64_t)p->ld_b, .ld_c = (int64_t)p->ld_c, .is_b_t = p->is_b_t,
                      .add = p->add, .is_c_wide = p->is_c_wide, .is_made = 1};
    omp_set_num_threads(1);
    if (s.m != p->m)
        product_padded(d, w, p, &s);
    else
        execute(d, w, &s, p->a, p->b, p->c);
}
