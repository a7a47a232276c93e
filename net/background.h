/* net/background.h: what other people's traffic leaves of a shared link (a cell, the server's
 * link).
 *
 *   "background": {"down": "45Mbps", "up": "5Mbps"}      all the time
 *   "background": {"trace": "evening.csv"}               over time, as net/trace.h reads it
 *
 * It is capacity taken away: others get what they ask for first, and the federation's flows share
 * the rest max-min fairly, capacity(t) = link - down or up - trace(t). Others do not give way, so
 * this is the worst they can do; and it has a closed form. Where they take all, 1 bit/s is left. A
 * trace begins at a place of its own for each link, drawn from the seed, unless it states a start.
 */
#ifndef NET_BACKGROUND_H
#define NET_BACKGROUND_H

#include "net/plan.h"
#include "net/trace.h"

struct background {
    double bps[N_NET_DIRS]; /* constant part, in the network's rates */
    const struct trace *trace;
};

/* Reads "background" of a cell or server object whose capacities are known (0: unlimited, where
 * there can be none). */
enum err_code background_parse(struct json shared, const double capacity_bps[N_NET_DIRS],
                               struct background *out, struct arena *a, struct err *e);
/* Writes the key; nothing when there is none. */
void background_write(struct json_out *o, const struct background *b);

/* Adds the shared link to the plan with what is left of it. efficiency: goodput per rate. */
size_t background_add_link(struct plan *p, const char *name, enum net_dir dir, double capacity_bps,
                           double efficiency, const struct background *b);

#endif
