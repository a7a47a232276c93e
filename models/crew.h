/* models/crew.h: who trains a cohort on several devices at once: a worker per device, with a copy of the frozen
 * weights there and a trainer of its own.
 *
 * A cohort is cut into parts of neighbours, as equal in members as can be, and each part into passes. Part p is
 * worker (p mod workers)'s, who trains its parts one after another. Where there are fewer devices than parts,
 * some share a worker: how a cohort is cut, and so every result, depends on the number of parts alone. */
#ifndef MODELS_CREW_H
#define MODELS_CREW_H

#include <stddef.h>

#include "models/trainer.h"

enum { CREW_MAX_PARTS = 64 };

/* Members of the largest part of n members. n_parts 1 .. CREW_MAX_PARTS. */
size_t crew_part_size(size_t n, int n_parts);

/* The pass of at most n_abreast members that begins with member first < n: returns how many it takes; *part is
 * whose it is. */
size_t crew_pass(size_t n, int n_parts, size_t n_abreast, size_t first, int *part);

/* Passes at most. */
size_t crew_most_passes(size_t n, int n_parts, size_t n_abreast);

struct crew;

/* How many workers open would give: one per part, at most one per device, at least one. */
int crew_workers(const struct backend_ops *ops, int n_parts);

/* Worker 0 takes model itself, on the first device; so it outlives the crew. The rest as for trainer_open;
 * n_threads are shared out among the workers. */
enum err_code crew_open(struct crew **out, const struct t5 *model, const struct lora_spec *lora,
                        const struct train_limits *limits, int n_parts, int n_threads, struct err *e);
void crew_close(struct crew *c); /* NULL is fine */

int crew_size(const struct crew *c);
int crew_worker_of(const struct crew *c, int part);
struct trainer *crew_trainer(const struct crew *c, int worker);

/* Trains the whole job, n_abreast members a pass at most, the workers at the same time. The first failure, by
 * worker. */
enum err_code crew_run(struct crew *c, const struct train_job *job, size_t n_abreast, struct err *e);

#endif
