#include "sim/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

/* One runner (a libuv work request) per lane takes jobs from its queue until the queue is empty. */
struct lane {
    struct pool *pool;
    struct pool_job *first, *last;
    bool is_running;
};

struct pool {
    uv_loop_t loop;
    uv_async_t done; /* a worker has finished a job */
    uv_signal_t on_int, on_term;
    bool is_interrupted;
    uv_mutex_t lock; /* guards the lanes' queues and every job's is_done */
    int n_lanes;
    struct lane *lane;
};

static void woken(uv_async_t *handle)
{
    (void)handle; /* waking the loop is all it is for */
}

static void interrupted(uv_signal_t *handle, int signum)
{
    (void)signum;
    struct pool *p = handle->data;
    p->is_interrupted = true;
    uv_signal_stop(&p->on_int); /* a second one ends the process */
    uv_signal_stop(&p->on_term);
}

static void run_lane(uv_work_t *work)
{
    struct lane *lane = work->data;
    struct pool *p = lane->pool;
    uv_mutex_lock(&p->lock);
    while (lane->first) {
        struct pool_job *job = lane->first;
        uv_mutex_unlock(&p->lock);
        job->work(job->arg);
        uv_mutex_lock(&p->lock);
        lane->first = job->next;
        job->is_done = true;
        uv_async_send(&p->done);
    }
    lane->is_running = false;
    uv_mutex_unlock(&p->lock);
}

static void lane_ended(uv_work_t *work, int status)
{
    (void)status;
    mem_free(work);
}

static enum err_code uv_says(int rc, const char *what, struct err *e)
{
    return rc ? err_set(e, ERR_INTERNAL, "libuv: %s: %s", what, uv_strerror(rc)) : OK;
}

enum err_code pool_open(struct pool **out, int n_lanes, struct err *e)
{
    CHECK(n_lanes >= 1 && n_lanes <= 1024);
    char size[16];
    snprintf(size, sizeof(size), "%d", n_lanes);
    uv_os_setenv("UV_THREADPOOL_SIZE", size); /* libuv reads it once, at the first job */
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct pool), "the worker pool", e);
    if (code)
        return code;
    struct pool *p = memory;
    code = mem_big(&memory, sizeof(struct lane) * (size_t)n_lanes, "the worker pool", e);
    if (code) {
        mem_free(p);
        return code;
    }
    p->lane = memory;
    p->n_lanes = n_lanes;
    for (int i = 0; i < n_lanes; i++)
        p->lane[i].pool = p;
    if ((code = uv_says(uv_loop_init(&p->loop), "no event loop", e)))
        goto no_loop;
    CHECK(uv_mutex_init(&p->lock) == 0);
    CHECK(uv_async_init(&p->loop, &p->done, woken) == 0);
    CHECK(uv_signal_init(&p->loop, &p->on_int) == 0);
    CHECK(uv_signal_init(&p->loop, &p->on_term) == 0);
    p->on_int.data = p->on_term.data = p;
    *out = p;
    return OK;
no_loop:
    mem_free(p->lane);
    mem_free(p);
    return code;
}

void pool_watch(struct pool *p)
{
    uv_signal_start(&p->on_int, interrupted, SIGINT);
    uv_signal_start(&p->on_term, interrupted, SIGTERM);
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    uv_close((uv_handle_t *)&p->on_int, NULL);
    uv_close((uv_handle_t *)&p->on_term, NULL);
    uv_unref((uv_handle_t *)&p->done);
    uv_run(&p->loop, UV_RUN_DEFAULT); /* until every runner has ended */
    uv_close((uv_handle_t *)&p->done, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&p->loop) == 0);
    uv_mutex_destroy(&p->lock);
    mem_free(p->lane);
    mem_free(p);
}

void pool_submit(struct pool *p, int lane, struct pool_job *job)
{
    CHECK(lane >= 0 && lane < p->n_lanes && job->work);
    struct lane *l = &p->lane[lane];
    job->next = NULL;
    uv_mutex_lock(&p->lock);
    job->is_done = false;
    if (l->first)
        l->last->next = job;
    else
        l->first = job;
    l->last = job;
    bool starts = !l->is_running;
    l->is_running = true;
    uv_mutex_unlock(&p->lock);
    if (!starts)
        return;
    /* The last runner of this lane may still wait for its own end to be reported, so each has its own request. */
    void *memory = NULL;
    CHECK(mem_big(&memory, sizeof(uv_work_t), "a job", NULL) == OK);
    uv_work_t *work = memory;
    work->data = l;
    CHECK(uv_queue_work(&p->loop, work, run_lane, lane_ended) == 0);
}

bool pool_is_done(struct pool *p, struct pool_job *job)
{
    uv_mutex_lock(&p->lock);
    bool is_done = job->is_done;
    uv_mutex_unlock(&p->lock);
    return is_done;
}

enum err_code pool_wait(struct pool *p, struct pool_job *job, struct err *e)
{
    while (!pool_is_done(p, job)) {
        if (p->is_interrupted)
            return err_set(e, ERR_INTERRUPTED, "interrupted");
        uv_run(&p->loop, UV_RUN_ONCE);
    }
    return OK;
}

bool pool_is_interrupted(struct pool *p)
{
    uv_run(&p->loop, UV_RUN_NOWAIT);
    return p->is_interrupted;
}
