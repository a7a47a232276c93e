/* sim/pool.h: real work beside virtual time: jobs on worker threads, joined from a libuv loop.
 *
 * Jobs of one lane run one after the other in the order of submission; lanes run side by side. The worker
 * only computes; completion sets one flag. Everything here is called from the thread that opened the
 * pool, except the job's own work function. From pool_watch on the loop also watches for Ctrl-C (SIGINT) and
 * SIGTERM: pool_is_interrupted says so, and a second signal ends the process as it would without us. */
#ifndef SIM_POOL_H
#define SIM_POOL_H

#include <stdbool.h>

#include "sim/base/err.h"

struct pool;

/* A job lies in storage of the caller, zeroed before first use, unmoved until it is done. It may be submitted
 * again after that. */
struct pool_job {
    void (*work)(void *arg); /* runs on a worker thread; touches only what arg leads to */
    void *arg;
    struct pool_job *next; /* private */
    bool is_done;          /* private: ask pool_is_done */
};

/* n_lanes >= 1 lanes, each with a thread of libuv's pool. Sets UV_THREADPOOL_SIZE for this process. */
enum err_code pool_open(struct pool **out, int n_lanes, struct err *e);
/* Signals are counted from now on instead of ending the process; once per pool. */
void pool_watch(struct pool *p);
/* Waits for all submitted jobs; signals end the process again. NULL is fine. */
void pool_close(struct pool *p);

void pool_submit(struct pool *p, int lane, struct pool_job *job);
bool pool_is_done(struct pool *p, struct pool_job *job);
/* Returns OK when the job is done, or ERR_INTERRUPTED as soon as the user interrupts (the job then still
 * runs; pool_close waits for it). Virtual time stands meanwhile. */
enum err_code pool_wait(struct pool *p, struct pool_job *job, struct err *e);
/* Lets the loop look at its signals without waiting. */
bool pool_is_interrupted(struct pool *p);

#endif
