/* sim/capacity_parts.h: the parts of a scenario whose capacity bounds a round's time, each with the
 * assignments that give it a tenth more: for capacity.c. */
#ifndef SIM_CAPACITY_PARTS_H
#define SIM_CAPACITY_PARTS_H

#include <stddef.h>

#include "sim/base/mem.h"
#include "sim/scenario.h"

struct capacity_part {
    const char *name; /* "network.server.up", "device agx-orin-64gb", "compute.time" */
    const char *now;  /* "10Gbps"; "" for a device */
    size_t n_sets;
    const char **sets;
};

/* Rates of own links, cells, limits and the server, latencies (a tenth less) and the devices'
 * speed. s: a resolved scenario (the scenario.json of a run), in which groups, rates and devices
 * are all stated. Returns how many; all in the arena. A device is one part, whatever the number of
 * groups that have it. */
size_t capacity_parts(struct capacity_part **out, const struct scenario *s, struct arena *a);

#endif
