/* energy/perbit.h: joules per bit of network elements, by name and direction.
 *
 * A path's energy per bit is the sum over its elements (a count of 3 counts three times). Sets:
 *
 *   "j16"  (default) Jalali et al. 2016 (JSAC, fog computing): machines at 20 % utilisation
 *   "v15"  Vishwanath et al. 2015 (JSAC): the same machines, most of them at 30 % utilisation
 *
 * Both were read in other simulators' constants, not in the papers' own tables; each value says so
 * in `status`. The LTE endpoint is a substitute (a handset's slope), because neither set has one. A
 * NIC has 0 J/bit unless a scenario says otherwise: its energy is part of the machine's watts.
 * Values published top-down (kWh per GB of a whole network) are 50 times higher and must not be
 * mixed with these.
 *
 * Neither paper has 5G or home broadband; both sets take the same values for them. DSLAM, CMTS and OLT
 * are always on and mostly idle: their watts per line are divided by the 578 kbit/s that a home's line
 * carries on average (190 GB a month, Ofcom, "UK home broadband performance", November 2017). The box in
 * the home (home_router) has 0 like a NIC: it is on whether its owner takes part or not; count it as
 * {"idle": "9W", "max": "9W", "capacity": "10Mbps", "utilisation": 0.058}.
 *
 * A scenario takes a set by name or extends one, with values for one or both directions or with the
 * watts and capacity of a machine:
 *
 *   "per_bit": "j16"
 *   "per_bit": { "set": "j16", "nic": "1nJ/bit",
 *                "lte_base_station": { "down": "82.82uJ/bit", "up": "12.4uJ/bit" },
 *                "switch": { "idle": "1589W", "max": "1766W", "capacity": "256Gbps",
 *                            "utilisation": 0.2 } } */
#ifndef ENERGY_PERBIT_H
#define ENERGY_PERBIT_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/json.h"

enum { PERBIT_DOWN = 0, PERBIT_UP = 1, PERBIT_DIRECTIONS = 2 }; /* down: towards the client */
enum { PERBIT_ELEMENTS = 16 };
#define PERBIT_MAX_J_PER_BIT 1.0 /* the largest value a scenario may state */

struct perbit_value {
    const char *element;                 /* "core_router": as in a scenario's network.path */
    double j_per_bit[PERBIT_DIRECTIONS]; /* by PERBIT_DOWN, PERBIT_UP */
    const char *status; /* "seen", "derived", "substitute", "stated zero", "scenario" */
    const char *source; /* where it comes from, one phrase */
};

struct perbit_set {
    const char *name;   /* "j16", "v15"; the base's name where a scenario overrides values */
    bool has_overrides; /* some values are the scenario's own */
    struct perbit_value value[PERBIT_ELEMENTS];
};

/* A named set, or NULL. Tables are constant and live for ever. */
const struct perbit_set *perbit_find(const char *name);
size_t perbit_sets(void);
const struct perbit_set *perbit_at(size_t i);

/* J/bit of one element in one direction. False, and *out untouched, for an unknown element name. */
bool perbit_j_per_bit(const struct perbit_set *set, const char *element, int direction,
                      double *out);
/* The whole row, or NULL for an unknown name. */
const struct perbit_value *perbit_value(const struct perbit_set *set, const char *element);
/* The names of the elements, in the order of the table. */
const char *perbit_element(size_t i);

/* E = idle / (utilisation * capacity) + (max - idle) / capacity, in J/bit: the idle power shared by
 * the bits that pass, plus the load's own. idle_w <= max_w, capacity_bps > 0, 0 < utilisation <= 1.
 * It gives j16 at 0.2 and v15 at 0.3 (paper/accounting.md, section 2). */
double perbit_from_power(double idle_w, double max_w, double capacity_bps, double utilisation);

/* Reads energy[key], a name or an object as above; absent: j16. The result holds no pointer into
 * the document. Refuses unknown sets and elements with the nearest name. */
enum err_code perbit_parse(struct json energy, const char *key, struct perbit_set *out,
                           struct err *e);
/* Writes the resolved set as an object that perbit_parse reads back: every element with down and
 * up. */
void perbit_write(struct json_out *o, const char *key, const struct perbit_set *set);

#endif
