/* net/element.h: kinds of network element, the paths made of them, and the bits that crossed each
 * path.
 *
 * A path is the list of elements between a client and the server, each kind with a count
 * ("edge_router*3"). Equal lists are one path: a finished flow adds its bits to one counter, and
 * books expand the counters into elements later. Nothing here knows joules: energy joins by
 * element_name. */
#ifndef NET_ELEMENT_H
#define NET_ELEMENT_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/mem.h"

/* Down is server to client, up is client to server. Index of every array [N_NET_DIRS]. */
enum net_dir { NET_DOWN, NET_UP, N_NET_DIRS };

/* "down", "up" */
const char *net_dir_name(enum net_dir dir);

enum element_kind {
    ELEMENT_NIC,
    ELEMENT_SWITCH,
    ELEMENT_LTE_ENDPOINT,
    ELEMENT_LTE_BASE_STATION,
    ELEMENT_BNG,
    ELEMENT_EDGE_ROUTER,
    ELEMENT_CORE_ROUTER,
    ELEMENT_DC_SWITCH,
    ELEMENT_WIFI_AP,
    ELEMENT_WIFI_ENDPOINT,
    ELEMENT_HOME_ROUTER,
    ELEMENT_DSLAM,
    ELEMENT_CMTS,
    ELEMENT_OLT,
    ELEMENT_5G_ENDPOINT,
    ELEMENT_5G_BASE_STATION,
    N_ELEMENT_KINDS
};

/* "nic switch lte_endpoint lte_base_station bng edge_router core_router dc_switch wifi_ap
 * wifi_endpoint home_router dslam cmts olt 5g_endpoint 5g_base_station": the names in scenarios, in
 * elements.csv and in the per-bit energy sets. */
const char *element_name(enum element_kind kind);
/* All names, by kind: for json_choice and text_nearest. */
const char *const *element_names(void);
/* Switching capacity of the machine that the per-bit sets describe, bits per second; 0: none is
 * known (its radio or its client's link is the limit). It never limits by itself: see plan.h. */
double element_capacity_bps(enum element_kind kind);

enum { ELEMENT_MAX_STEPS = 32, ELEMENT_MAX_COUNT = 1000 };

/* count machines of one kind in a row, 1 .. ELEMENT_MAX_COUNT. */
struct element_step {
    enum element_kind kind;
    int count;
};

struct element_path {
    size_t n_steps; /* 0 .. ELEMENT_MAX_STEPS, from the client to the server */
    const struct element_step *step;
};

/* The interned paths. Zero-initialised is empty; the storage is the arena's. */
struct element_paths {
    size_t n, cap;
    struct element_path *path; /* mem_grow; element_paths_fini */
};

/* Index of this list of steps, a new one if no equal list is there yet. */
size_t element_intern(struct element_paths *p, struct arena *a, size_t n_steps,
                      const struct element_step *steps);
void element_paths_fini(struct element_paths *p);

/* Machines of one kind on a path, 0 if it has none. */
int element_count_on(const struct element_path *p, enum element_kind kind);

#endif
