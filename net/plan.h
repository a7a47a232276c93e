/* net/plan.h: a network as plain data: shared links, paths, and classes of clients that are alike.
 *
 * Clients have indexes 0 .. n_clients-1 in the order in which the groups were added. A class is a
 * run of consecutive clients with the same rates, latency, path and shared links (all clients of
 * one cell, all clients of a wired group), so a plan needs memory per class, not per client. Each
 * client has a link of its own in each direction, at its class's own rate; those are not in the
 * list of links. A shared link has one direction, the two directions of a cell are two links; or it
 * is two-way: whatever crosses it shares its one capacity.
 *
 * All rates here are goodput: payload bits per second, the efficiency of frames already taken off
 * (startup.h). Everything in a plan was checked and named before SimGrid sees it. */
#ifndef NET_PLAN_H
#define NET_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/element.h"
#include "net/rates.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

/* Limits, so that sizes and counts stay exact. */
#define PLAN_MAX_CLIENTS 10000000
#define PLAN_MIN_BPS 1.0
#define PLAN_MAX_BPS 1e15

struct plan_link {
    const char *name; /* "server down", "orin: cell 3 up" */
    enum net_dir dir;
    bool is_two_way;    /* flows of both directions may cross it; dir means nothing */
    double goodput_bps; /* capacity, at most; INFINITY: an element without a limit of its own */
    double
        nominal_bps; /* what the solver gets where goodput_bps is INFINITY and nothing is pruned */
    int count;       /* that many equal links in a row; more than 1 only for elements */
    const struct rates *rates; /* capacity over time, each > 0; NULL: constant. Then count is 1 */
    bool is_start_drawn;       /* as in a class, drawn for the link */
    double start_s;
    bool can_limit; /* some set of flows may fill it: set by prune_mark */
};

struct plan_class {
    const char *group;          /* name of the client group */
    const char *name;           /* "orin: cell 3", or the group's name when it is the only class */
    size_t first, n_clients;    /* clients first .. first + n_clients - 1 */
    size_t path;                /* index into paths */
    double rtt_s;               /* two-way latency without queueing, >= 0 */
    double own_bps[N_NET_DIRS]; /* goodput of each client's own link, at most */
    const struct rates *rates[N_NET_DIRS]; /* its goodput over time, each > 0; NULL: always own_bps.
                                              In the plan's arena, or as long as the plan */
    bool is_start_drawn; /* each client's rates begin at a moment of its own, drawn from the seed */
    double start_s;      /* otherwise: the moment of the rates at virtual time 0 */
    size_t n_links[N_NET_DIRS];
    const size_t *link[N_NET_DIRS]; /* shared links that a flow of this direction crosses */
};

struct plan {
    size_t n_clients;
    size_t n_at_once;    /* flows in one direction at one time, at most; 0: as many as there are
                            clients */
    bool is_pruned;      /* links that cannot limit stay out of the solver (they keep their bits) */
    bool is_full_solver; /* network/optim:Full instead of Lazy */
    bool is_marked;      /* prune_mark has run since the last change */
    uint64_t seed;       /* of what is drawn per client */
    size_t n_links, cap_links;
    struct plan_link *link;
    size_t n_classes, cap_classes;
    struct plan_class *class;
    struct element_paths paths;
    struct arena arena; /* names, lists of links, steps */
};

/* An empty plan: pruned, Lazy solver. */
void plan_open(struct plan **out);
void plan_close(struct plan *p); /* NULL is fine */

/* Adds a shared link and returns its index. goodput_bps > 0 (INFINITY: never limits); nominal_bps >
 * 0; count
 * >= 1. The name is copied. */
size_t plan_add_link(struct plan *p, const char *name, enum net_dir dir, double goodput_bps,
                     double nominal_bps, int count);

/* Adds a class after the clients so far; c->first is set here, names, steps and lists are copied.
 * Refuses a rate outside PLAN_MIN_BPS .. PLAN_MAX_BPS, a latency that is negative or no number,
 * more than PLAN_MAX_CLIENTS clients, and a link of the wrong direction. */
enum err_code plan_add_class(struct plan *p, const struct plan_class *c, size_t n_steps,
                             const struct element_step *steps, struct err *e);

/* The moment of a client's rates (the class is its own and has rates) at virtual time 0. */
double plan_start_s(const struct plan *p, const struct plan_class *c, size_t client);

/* The moment of a link's rates (it has some) at virtual time 0. */
double plan_link_start_s(const struct plan *p, size_t link);

/* The class of a client, client < n_clients. O(log n_classes). */
size_t plan_class_of(const struct plan *p, size_t client);

#endif
