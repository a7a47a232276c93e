/* models/team.h: a few threads that share the loops inside one training pass.
 *
 * A loop is cut into tasks that depend on the problem's size only, never on the number of threads; threads
 * take the next task from a counter. Each task writes its own part of the result, so that every result is
 * the same to the bit for any number of threads. Helpers wait a few microseconds for the next loop, then
 * sleep. A team belongs to one caller at a time. */
#ifndef MODELS_TEAM_H
#define MODELS_TEAM_H

#include "sim/base/err.h"

struct team;

/* One task of a loop: task 0 .. n_tasks - 1, done by thread 0 .. n_threads - 1 (0 is the caller). Tasks
 * run at the same time in any order; the thread's number is for scratch memory only. */
typedef void team_fn(void *arg, int task, int thread);

/* n_threads >= 1; the caller is one of them, so n_threads - 1 are started. ERR_MEMORY or ERR_LIMIT when the
 * machine refuses. */
enum err_code team_open(struct team **out, int n_threads, struct err *e);
void team_close(struct team *t); /* NULL is fine */
int team_threads(const struct team *t);

/* Runs fn for every task and returns when all are done; what they wrote is visible to the caller.
 * n_tasks 0: nothing. Not to be called from inside a task. */
void team_run(struct team *t, int n_tasks, team_fn *fn, void *arg);

#endif
