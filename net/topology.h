/* net/topology.h: from a scenario's "network" to a plan.
 *
 * key       default            meaning
 * topology  "lte"              lte | lte-measured | 5g | wired | adsl | cable | fibre | graph |
 *                              platform
 * down, up  "40Mbps" "10Mbps"  each client's own link; wired: "1Gbps" both
 * rtt       "50ms"             two-way latency without queueing; wired: "70us"
 * path      below              elements from client to server: "core_router*4"
 * limits    none               {"bng": "10Gbps"}: an element of the path that all clients of the
 *                              group share and that may limit them, in each direction
 * rates     "wire"             wire: rates count frames; goodput: payload, the default of
 *                              lte-measured, 5g, adsl, cable and fibre, as speed tests count
 * cell      none               all but wired and adsl: {"clients": 25, "down": "150Mbps", "up":
 *                              "50Mbps"}: shared air, coax or fibre, filled in client order
 * trace     none               bandwidth of each client's own link over time: net/trace.h
 * draw      none               rates and latency that differ by client: net/draw.h; not with trace
 * server    never limits       {"down": "10Gbps", "up": "10Gbps"}: all clients' common link
 *                              cell and server may have "background": net/background.h
 * prune     true               false: links that cannot limit stay in the solver too
 * solver    "lazy"             lazy | full: the same times, for checking
 *
 * The path of wired is switch, bng, edge_router*3, core_router*4, dc_switch*2; lte has lte_endpoint
 * and lte_base_station before it. "down" is always towards the client. server, prune and solver
 * belong to the scenario's network and are refused in a group's.
 *
 * A topology is a row of one table: a file net/x.c with a const struct topology, and its row in
 * topology.c. */
#ifndef NET_TOPOLOGY_H
#define NET_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "net/background.h"
#include "net/draw.h"
#include "net/plan.h"
#include "net/trace.h"
#include "sim/base/err.h"
#include "sim/base/json.h"

struct topology;
struct sites;
struct site_at;

/* The most shared links of a client, in one direction. */
enum { TOPOLOGY_MAX_LINKS = 128 };

/* Access network of one group of clients, as the scenario states it (rates not yet goodput). */
struct topology_spec {
    const struct topology *topology;
    double rate_bps[N_NET_DIRS];
    double rtt_s;
    bool is_goodput;
    size_t n_steps;
    struct element_step step[ELEMENT_MAX_STEPS];
    double limit_bps[N_ELEMENT_KINDS]; /* 0: the element never limits */
    size_t cell_clients;               /* clients per cell; 0: no cells */
    double cell_bps[N_NET_DIRS];
    struct background cell_background;
    const struct sites *sites; /* graph, platform: net/sites.h; NULL elsewhere */
    size_t n_at;
    const struct site_at *at;
    const struct draw *draw;   /* NULL: all clients have the same rates and latency */
    const struct trace *trace; /* NULL: constant rates; otherwise rate_bps caps it */
};

/* The scenario's network: the access of clients whose group has none of its own, and what is
 * common. */
struct topology_root {
    struct topology_spec access;
    double server_bps[N_NET_DIRS]; /* 0: the server's link never limits */
    struct background server_background;
    bool is_pruned, is_full_solver;
    uint64_t seed; /* the scenario's, no key of the network: set it after reading */
};

/* What all clients of a group have in common: the shared links that they cross (limited elements,
 * then the server's link), and the goodput of their own links over time (NULL: it is constant). */
struct topology_trunk {
    size_t n[N_NET_DIRS];
    size_t link[N_NET_DIRS][TOPOLOGY_MAX_LINKS];
    const size_t
        *site_link; /* the plan's index of each link of the group's sites; NULL: it has none */
    const struct rates *rates[N_NET_DIRS];
};

/* A group of clients on one access network. */
struct topology_group {
    const char *name; /* appears in the names of links and classes */
    const struct topology_spec *spec;
    size_t n_clients; /* >= 1 */
};

/* A row of the table. */
struct topology {
    const char *name;
    const char *what; /* one phrase for help */
    /* Rates, latency and path of this topology; is_goodput where speed tests gave the rates. */
    void (*defaults)(struct topology_spec *s);
    /* Reads the keys that only this topology has, after the common ones. NULL: it has none. */
    enum err_code (*parse)(struct json network, struct topology_spec *s, struct arena *a,
                           struct err *e);
    /* Writes the keys that only this topology has. NULL: it has none. */
    void (*write)(struct json_out *o, const struct topology_spec *s);
    /* Adds the group's clients to the plan, class by class, with topology_add_class. */
    enum err_code (*build)(const struct topology_group *g, const struct topology_trunk *trunk,
                           struct plan *p, struct err *e);
};

/* By name, or NULL; the table in order. */
const struct topology *topology_find(const char *name);
size_t topology_count(void);
const struct topology *topology_at(size_t i);

/* The defaults of a topology: what an empty object gives. */
void topology_spec_init(struct topology_spec *s, const struct topology *t);
/* The default network: lte, no cells, a server that never limits, pruned, Lazy. */
void topology_root_init(struct topology_root *r);

/* Reads the scenario's network, and the files it names; an absent one (node NULL) gives the
 * default. Refuses unknown keys. What the result points to lives in the arena. */
enum err_code topology_parse_root(struct json network, struct topology_root *out, struct arena *a,
                                  struct err *e);
/* Reads a group's own network. server, prune and solver are refused. */
enum err_code topology_parse(struct json network, struct topology_spec *out, struct arena *a,
                             struct err *e);

/* Write a resolved network under a key; reading it again gives the same numbers to the last bit. */
void topology_write_root(struct json_out *o, const char *key, const struct topology_root *r);
void topology_write(struct json_out *o, const char *key, const struct topology_spec *s);

/* The whole network: all groups behind the root's server, in this order, marked by prune_mark.
 * n_at_once is the most flows in one direction at one time (clients per round, over-selection
 * included); 0: no bound is known. A limit on an element that the group's path lacks, or too many
 * clients, is an error. */
enum err_code topology_plan(struct plan **out, const struct topology_root *root, size_t n_groups,
                            const struct topology_group *groups, size_t n_at_once, struct err *e);

/* --- for the rows --- */

extern const struct topology TOPOLOGY_LTE, TOPOLOGY_LTE_MEASURED, TOPOLOGY_5G, TOPOLOGY_WIRED,
    TOPOLOGY_ADSL, TOPOLOGY_CABLE, TOPOLOGY_FIBRE, TOPOLOGY_GRAPH, TOPOLOGY_PLATFORM;

/* The key "cell", for topologies whose clients may share a medium: parse, write and build. */
enum err_code cell_parse(struct json network, struct topology_spec *s, struct arena *a,
                         struct err *e);
void cell_write(struct json_out *o, const struct topology_spec *s);
enum err_code cell_build(const struct topology_group *g, const struct topology_trunk *trunk,
                         struct plan *p, struct err *e);

/* Lengthens the path towards the server. */
void topology_add_step(struct topology_spec *s, enum element_kind kind, int count);
/* The next n_clients of the group as one class, or each as one where they are drawn, behind its own
 * shared links (extra: a pair down, up, or NULL) and the trunk. name is copied. */
enum err_code topology_add_class(const struct topology_group *g, const char *name, size_t n_clients,
                                 const size_t *extra, const struct topology_trunk *trunk,
                                 struct plan *p, struct err *e);
/* A rate of the spec as goodput. */
double topology_goodput_bps(const struct topology_spec *s, double rate_bps);
/* "edge_router*3": a name of element_names and, after a star, a count. */
enum err_code topology_parse_step(struct json value, struct element_step *out, struct err *e);
/* The same from text, without a place in the message. */
enum err_code topology_step_of(const char *text, struct element_step *out, struct err *e);
/* Reads a rate, absent: *rate_bps stays; and writes one so that it reads back to the last bit. */
enum err_code topology_parse_rate(struct json object, const char *key, bool is_required,
                                  double *rate_bps, struct err *e);
void topology_write_rate(struct json_out *o, const char *key, double rate_bps);

#endif
