/* sim/costs.h: what a participation is charged: payload bytes, step seconds and watts of a client's device.
 *
 * All of it is known before the first event: the architecture is model.costs_of's (or the weights' own), the
 * seconds are the device's for that architecture and mini-batch, or the scenario's compute.time. */
#ifndef SIM_COSTS_H
#define SIM_COSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/scenario.h"

/* Fine-tuning of one client in one round. */
struct cost_of_client {
    double seconds, watts, idle_watts;
    const char *time_source; /* "table4", ..., "scenario", "out_of_memory" */
    bool is_out_of_memory;
};

struct costs {
    const struct scenario *scenario;
    const char *model; /* the architecture that is charged */
    uint64_t payload_bytes[N_NET_DIRS];
    size_t n_batches; /* mini-batches 0 .. scenario's batch */
    struct device_step *step; /* [n_groups * n_batches], 0 unused */
};

/* Reads the weights' config.json where model.costs_of is not given. On failure c is untouched. */
enum err_code costs_init(struct costs *c, const struct scenario *s, struct err *e);
void costs_fini(struct costs *c);

/* A client's mini-batches on the devices of a group (its index); 1 <= work->batch <= the scenario's. Seconds
 * and joules of full and of smaller mini-batches add up. */
struct cost_of_client costs_of_client(const struct costs *c, size_t group,
                                      const struct split_work *work);
/* What a client does in a round as far as the scenario alone says it: with local_epochs, one that holds
 * the mean of data.samples (one mini-batch per epoch where the file decides). */
struct split_work costs_typical_work(const struct scenario *s);

/* A participant of that group as the accounting takes it. */
struct account_part costs_part(const struct costs *c, size_t group, double train_s);

#endif
