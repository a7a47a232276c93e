/* sim/capacity.h: how much of something a scenario needs: bisection over simulated runs, and what a
 * round's time would gain from more of each of its parts.
 *
 * Every point is a run of its own (sim/variant.h) with training none and no evaluation, so it takes
 * milliseconds; its folder is kept, and asked again it is not run again. */
#ifndef SIM_CAPACITY_H
#define SIM_CAPACITY_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/log.h"
#include "sim/cli.h"
#include "sim/limits.h"
#include "sim/variant.h"

enum { CAPACITY_MAX_SETS = CLI_MAX_LIST + 64 }; /* of a point and of all points, each */

/* One point: a choice of values, and what it took. */
struct probe {
    const char *label;
    size_t variant;      /* its place in the variants */
    bool has_run;        /* otherwise message says why not */
    bool is_met;         /* all limits, and every round had a result */
    const char *message; /* what is wrong with it; "" when it is met */
    double taken[N_LIMITS];
};

struct capacity {
    struct variants *vs;
    struct log *log;
    const char *scenario;
    size_t n_sets; /* for all points: the user's, then ours */
    const char *sets[CAPACITY_MAX_SETS];
    struct limits limits;
    struct prices prices;
    size_t n_probes, cap_probes;
    struct probe *probe; /* in the order in which they were run */
};

/* vs is open and outlives the search. A scenario that trains all weights is planned with the bytes
 * and seconds of them and of an adapter of rank 1, below 0.1 % more. ERR_INPUT when the scenario is
 * wrong. */
enum err_code capacity_open(struct capacity *c, struct variants *vs, const char *scenario,
                            const struct cli_list *sets, struct log *log, struct err *e);
void capacity_close(struct capacity *c); /* zeroed is fine */

/* Runs one point with some more assignments; prices NULL: the search's. *index is its probe's. A
 * point that fails is no error of this call. */
enum err_code capacity_probe(struct capacity *c, const char *label, size_t n_sets,
                             const char *const *sets, const struct prices *prices, size_t *index,
                             struct err *e);

/* The smallest rate (bits per second, to 0.1 %, rounded up to four digits) of the keys, all at the
 * same value, that meets the limits, by bisection of its logarithm: more must never be worse.
 * *index: the probe of the answer, or, with *is_found false, the one at hi, which fails them. */
enum err_code capacity_smallest(struct capacity *c, size_t n_keys, const char *const *keys,
                                double lo, double hi, bool *is_found, size_t *index, struct err *e);
/* The largest whole number of a key that meets them: fewer must never be worse. *is_found false:
 * the probe is the one at lo. */
enum err_code capacity_largest(struct capacity *c, const char *key, int64_t lo, int64_t hi,
                               bool *is_found, size_t *index, struct err *e);

/* What a tenth more of one part (of a latency: a tenth less) does to the mean time of a round. */
struct gain {
    const char *part; /* "network.up", "device agx-orin-64gb" */
    const char *now;  /* "10Mbps"; "" for a device */
    double share;     /* the round is shorter by this share of it; NaN: not known */
};
/* Of every link, limit, latency and device of a probe that has run, the largest first. */
enum err_code capacity_gains(struct capacity *c, size_t index, struct gain **out, size_t *n,
                             struct err *e);

/* All points: label, met, what was taken, message. */
enum err_code capacity_write(const struct capacity *c, const char *path, struct err *e);

#endif
