#include "models/crew.h"

#include <pthread.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

struct worker {
    struct t5 *model; /* its own copy; NULL: worker 0's */
    struct trainer *trainer;
    const struct crew *crew;
    const struct train_job *job; /* under way, all members */
    size_t n_abreast;
    enum err_code code;
    struct err err;
};

struct crew {
    struct arena arena; /* owns this struct */
    int n_parts, n_workers;
    struct worker *worker;
};

/* --- cutting --- */

/* No part is empty, so that the first parts, and with them all workers, have work. */
static size_t parts_of(size_t n, int n_parts)
{
    CHECK(n_parts >= 1 && n_parts <= CREW_MAX_PARTS);
    return n < (size_t)n_parts ? n : (size_t)n_parts;
}

size_t crew_part_size(size_t n, int n_parts)
{
    size_t parts = parts_of(n, n_parts);
    return parts ? (n + parts - 1) / parts : 0;
}

/* Part p has the members n p / parts .. n (p + 1) / parts - 1, rounded down. */
size_t crew_pass(size_t n, int n_parts, size_t n_abreast, size_t first, int *part)
{
    size_t parts = parts_of(n, n_parts);
    CHECK(first < n && n_abreast >= 1);
    size_t p = ((first + 1) * parts - 1) / n, left = n * (p + 1) / parts - first;
    *part = (int)p;
    return left < n_abreast ? left : n_abreast;
}

size_t crew_most_passes(size_t n, int n_parts, size_t n_abreast)
{
    return n / n_abreast + (size_t)n_parts;
}

/* --- opening --- */

int crew_workers(const struct backend_ops *ops, int n_parts)
{
    int n = n_parts > 1 ? ops->n_devices() : 1;
    return n < 1 ? 1 : n < n_parts ? n : n_parts;
}

enum err_code crew_open(struct crew **out, const struct t5 *model, const struct lora_spec *lora,
                        const struct train_limits *limits, int n_parts, int n_threads, struct err *e)
{
    struct arena arena = {0};
    struct crew *c = ARENA_NEW(&arena, struct crew, 1);
    c->n_parts = n_parts;
    c->n_workers = crew_workers(t5_ops(model), n_parts);
    c->worker = ARENA_NEW(&arena, struct worker, (size_t)c->n_workers);
    c->arena = arena;
    n_threads = n_threads > c->n_workers ? n_threads / c->n_workers : 1;
    enum err_code code = OK;
    for (int i = 0; !code && i < c->n_workers; i++) {
        struct worker *w = &c->worker[i];
        w->crew = c;
        if (i > 0)
            code = t5_open_replica(&w->model, model, i, e);
        if (!code)
            code = trainer_open(&w->trainer, i > 0 ? w->model : model, lora, limits, n_threads, e);
        if (code && i > 0)
            err_in(e, code, "GPU %d of %d", i + 1, c->n_workers);
    }
    if (code)
        crew_close(c);
    else
        *out = c;
    return code;
}

void crew_close(struct crew *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_workers; i++) {
        trainer_close(c->worker[i].trainer);
        t5_close(c->worker[i].model);
    }
    struct arena arena = c->arena;
    arena_free(&arena);
}

int crew_size(const struct crew *c)
{
    return c->n_workers;
}

int crew_worker_of(const struct crew *c, int part)
{
    return part % c->n_workers;
}

struct trainer *crew_trainer(const struct crew *c, int worker)
{
    CHECK(worker >= 0 && worker < c->n_workers);
    return c->worker[worker].trainer;
}

/* --- a whole job --- */

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct crew *c = w->crew;
    size_t n = (size_t)w->job->n_members, size = trainer_size(w->trainer);
    int part;
    w->code = OK;
    for (size_t first = 0, take; !w->code && first < n; first += take) {
        take = crew_pass(n, c->n_parts, w->n_abreast, first, &part);
        if (&c->worker[crew_worker_of(c, part)] != w)
            continue;
        struct train_job pass = *w->job;
        pass.n_members = (int)take;
        pass.member += first;
        pass.adapter_out += first * size;
        pass.loss += first;
        w->code = trainer_run(w->trainer, &pass, &w->err);
    }
    return NULL;
}

/* A worker whose thread does not start is done after worker 0. */
enum err_code crew_run(struct crew *c, const struct train_job *job, size_t n_abreast, struct err *e)
{
    pthread_t thread[CREW_MAX_PARTS];
    bool has_thread[CREW_MAX_PARTS] = {false};
    for (int i = 0; i < c->n_workers; i++) {
        c->worker[i].job = job;
        c->worker[i].n_abreast = n_abreast;
        has_thread[i] = i > 0 && pthread_create(&thread[i], NULL, work, &c->worker[i]) == 0;
    }
    for (int i = 0; i < c->n_workers; i++)
        if (!has_thread[i])
            work(&c->worker[i]);
    for (int i = 0; i < c->n_workers; i++)
        if (has_thread[i])
            pthread_join(thread[i], NULL);
    for (int i = 0; i < c->n_workers; i++)
        if (c->worker[i].code) {
            if (e)
                *e = c->worker[i].err;
            return c->worker[i].code;
        }
    return OK;
}
