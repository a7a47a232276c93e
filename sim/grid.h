/* sim/grid.h: the points of a sweep: every combination of the values of some scenario keys.
 *
 * A grid is a product of axes; the first axis varies slowest. An axis is one key with its values,
 * or, in the list form, several keys whose values go together: "sweep": { "network.up": ["5Mbps",
 * "10Mbps"], "federation.clients_per_round": [5, 10] }     4 points "sweep": [ { "network.up":
 * "5Mbps", "seed": 1 }, { "network.up": "10Mbps", "seed": 2 } ]    2 points Values are whatever
 * --set takes; what they do to the scenario is checked point by point, by reading it. */
#ifndef SIM_GRID_H
#define SIM_GRID_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

enum { GRID_MAX_KEYS = 8, GRID_MAX_POINTS = 10000 };

struct grid_axis {
    size_t n_keys, n_rows;
    const char *const *key;   /* [n_keys], "network.up" */
    const char *const *value; /* [n_rows * n_keys], as an assignment takes it: JSON or bare text */
    const char *const *label; /* the same for people: strings without quotes */
};

struct grid {
    size_t n_axes, n_keys, n_points; /* no axes: one point, the scenario itself */
    struct grid_axis axis[GRID_MAX_KEYS];
};

/* No axes. */
void grid_init(struct grid *g);

/* Reads an object or a list under key (absent: no axes). Refuses keys that no point may change
 * ("extends", "sweep", anything of "output"), empty lists, values stated twice and more than
 * GRID_MAX_POINTS. */
enum err_code grid_read(struct grid *g, struct arena *a, struct json root, const char *key,
                        struct err *e);

/* Adds the axis of "KEY=V1,V2,..."; commas inside brackets and quotes are part of a value. It takes
 * the place of the axis that has this key. option names the option in messages: "--vary". */
enum err_code grid_vary(struct grid *g, struct arena *a, const char *option, const char *text,
                        struct err *e);

/* Key i of the grid, i < n_keys, in the order of the axes. */
const char *grid_key(const struct grid *g, size_t i);
/* What key i is at a point, for people. */
const char *grid_label(const struct grid *g, size_t point, size_t i);
/* "KEY=VALUE" of key i at a point; in the arena. */
const char *grid_assignment(const struct grid *g, struct arena *a, size_t point, size_t i);

/* "up=5Mbps, clients_per_round=5": the last word of each key where that is enough to tell the keys
 * apart. */
const char *grid_point_name(const struct grid *g, struct arena *a, size_t point);

#endif
