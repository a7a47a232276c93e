/* sim/learner_plan.h: how large a learner's jobs will be, known before the first: for learner.c.
 *
 * Selection and mini-batches are functions of the seed, so memory is planned for what will really
 * come and allocated once. */
#ifndef SIM_LEARNER_PLAN_H
#define SIM_LEARNER_PLAN_H

#include "sim/learner.h"

/* Clients of one training job at most: the chunk asked for, or a whole part of the cohort. */
size_t learner_chunk(const struct learner_spec *s);

/* Anything is judged, on the way or at the end. */
bool learner_evaluates(const struct learner_spec *s);

/* The largest training pass. most_steps: of a client in a round. */
struct train_limits learner_limits(const struct learner_spec *s, const struct dataset *train,
                                   const struct split *split, size_t most_steps);

/* Cuts s->chunk until a training pass is planned to fit s->memory_bytes, without it nine tenths of the GPU's memory,
 * its weights aside, or is small on the CPU (trainer_is_small): a function of the scenario and the kind of device, not
 * of what is free at the moment. ERR_LIMIT, ERR_MEMORY: one client's does not fit, with the numbers. */
enum err_code learner_fit(struct learner_spec *s, const struct t5 *model, const struct dataset *train,
                          const struct split *split, size_t most_steps, struct err *e);

/* What a run will take, in bytes, of one device where not said otherwise. */
struct learner_memory {
    double weights, pass, evaluation, results;
    double resident; /* of the process once weights and data are read; 0 where weights are on a GPU */
    int n_devices;
};

/* "weights 294 + pass 1410 (3 clients at a time) + evaluation 163 + results 26 + program and data 40 MiB" */
void learner_memory_text(const struct learner_spec *s, const struct learner_memory *m, char *out, size_t n);

/* Full fine-tuning of n_weights values is refused before it starts when its weights and optimizer
 * states alone are more than the machine's memory: ERR_MEMORY with both. */
enum err_code learner_check_memory(const struct learner_spec *s, size_t n_weights, struct err *e);

#endif
