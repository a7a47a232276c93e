/* sim/options.h: devices, tariffs and whatever else one may buy, as a list in a file, for
 * `plan --cheapest`:
 *
 *   { "options": [ { "name": "LTE S", "set": { "network.up": "5Mbps" }, "price": { "gb": 2 } } ] }
 *
 * set: what --set takes; price: sim/limits.h, over the prices of the command line. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/capacity.h"
#include "sim/limits.h"

enum { OPTIONS_MAX = 1000, OPTIONS_MAX_SETS = 64 };

struct option {
    const char *name; /* unique */
    size_t n_sets;
    const char **sets; /* "KEY=JSON" */
    struct prices prices;
    size_t probe; /* filled by options_cheapest */
};

struct options {
    size_t n;
    struct option *option;
};

/* Messages name file and key. Every option needs a price. */
enum err_code options_read(struct options *out, struct arena *a, const char *path,
                           const struct prices *prices, struct err *e);

/* Runs all of them. *index: the probe of the one that meets the limits for the least money, the
 * first of equals; with *is_found false one that comes nearest to the limits. ERR_INPUT when none
 * can be run. */
enum err_code options_cheapest(struct capacity *c, struct options *o, bool *is_found, size_t *index,
                               struct err *e);

/* A table of all, with what is wrong with those that do not meet the limits. */
void options_print(struct capacity *c, const struct options *o, FILE *to);

#endif
