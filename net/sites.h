/* net/sites.h: a network of the user's own: sites where clients attach, and what lies between each
 * of them and the server. Topologies "graph" (net/graph.c) and "platform" (net/platform.c) read one
 * from a file; the rest is the same.
 *
 *   "network": {"topology": "graph", "file": "campus.json", "server_at": "hq", "at": ["lab*2",
 * "shop"]}
 *
 * server_at  "server"          where the server is
 * at         the file decides  the sites of the group's clients, in client order; with weights, lab
 *                              gets two thirds of them
 * down, up   the route's       each client's own link to its site; by default as fast as the
 * narrowest narrowest link    link of its route rtt        "0s"              two-way latency of the
 * client's own link; the route's is added path       []                elements of the client's own
 * link; those of the route follow
 *
 * Groups that name the same file and server share its links (at the first one's `rates`). draw and
 * cell are not for these topologies. */
#ifndef NET_SITES_H
#define NET_SITES_H

#include "net/topology.h"

/* Limits, inclusive. */
enum { SITES_MAX = 20000, SITES_MAX_ROUTE = 64, SITES_MAX_WEIGHT = 1000000 };

/* One capacity that everything on the link shares, whichever way it goes. */
struct site_link {
    const char *name;
    double rate_bps;
};

struct site {
    const char *name;
    bool is_reached;                /* there is a route */
    bool is_default;                /* clients attach here where `at` says nothing */
    double rtt_s;                   /* of the route, both ways */
    double flow_bps[N_NET_DIRS];    /* that much a flow may have of the route, at most; INFINITY */
    size_t n_links[N_NET_DIRS];     /* <= SITES_MAX_ROUTE */
    const size_t *link[N_NET_DIRS]; /* from the client to the server, as they lie, both */
    size_t n_steps;                 /* <= ELEMENT_MAX_STEPS */
    const struct element_step *step;
};

struct sites {
    const char *path, *server;
    size_t n_links, n_sites;
    const struct site_link *link;
    const struct site *site;
};

/* Clients of a group: weight / sum of the weights of them. */
struct site_at {
    size_t site;
    int weight;
};

/* Reads a file. Messages begin with its name, line or key; all of it lives in the arena. */
typedef enum err_code sites_load(const struct sites **out, const char *path, const char *server,
                                 struct arena *a, struct err *e);

/* The rows' parse, write and build. */
enum err_code sites_parse(struct json network, struct topology_spec *s, sites_load *load,
                          struct arena *a, struct err *e);
void sites_write(struct json_out *o, const struct topology_spec *s);
enum err_code sites_build(const struct topology_group *g, const struct topology_trunk *trunk,
                          struct plan *p, struct err *e);
/* Rates, latency and path of the route's own. */
void sites_defaults(struct topology_spec *s);

/* Adds the links to the plan; the indexes, in the plan's arena. */
const size_t *sites_add_links(const struct sites *net, double efficiency, struct plan *p);
/* Whether two groups meet on the same links. */
bool sites_are_same(const struct topology_spec *a, const struct topology_spec *b);

/* Appends a step to a route under construction, merged with an equal one before it; false when
 * there are too many. */
bool sites_push_step(struct element_step *steps, size_t *n, struct element_step step);

#endif
