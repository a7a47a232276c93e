/* Topology "graph": nodes and links in a JSON file, routes by least latency or least hops.
 *
 *   { "nodes": { "hq": {"element": "dc_switch*2"}, "core": {"element": ["core_router*4"]}, "lab":
 * {} }, "links": [ {"between": ["hq", "core"], "rate": "10Gbps", "latency": "2ms"},
 *                {"between": ["core", "lab"], "rate": ["1Gbps", "200Mbps"], "latency": "5ms",
 *                 "duplex": "full", "element": "switch"} ],
 *     "routing": "latency" }
 *
 * rate: both ways, or from the first node to the second and back. duplex "half": both ways share
 * one rate. latency (default 0s) is one way, the same both ways, and so are the routes, which never
 * change. Elements of all nodes and links on a route, its ends included, are charged. Of equal
 * routes the one with fewer hops (less latency) wins, then the one over nodes and links that come
 * first in the file. Clients attach by themselves at the nodes with one link. */
#include <math.h>
#include <string.h>

#include "net/sites.h"
#include "sim/base/text.h"

enum { MAX_NODES = 5000, MAX_LINKS = 20000, NONE = -1 };
#define MAX_LATENCY_S 60.0

struct node {
    const char *name;
    size_t n_steps, n_links;
    struct element_step step[ELEMENT_MAX_STEPS];
    /* the route to the server */
    bool is_settled;
    double latency_s;
    size_t hops;
    int towards; /* the link to take, or NONE */
};

struct edge {
    int node[2];
    double latency_s;
    size_t link[2]; /* site_link from node[0] to node[1], and back; the same when half-duplex */
    size_t n_steps;
    struct element_step step[ELEMENT_MAX_STEPS];
};

struct graph {
    struct arena *a;
    bool by_hops;
    size_t n_nodes, n_edges, n_links;
    struct node *node;
    struct edge *edge;
    struct site_link *link;
};

/* --- reading --- */

/* "element": one step or a list of them. */
static enum err_code parse_elements(struct json o, struct element_step *steps, size_t *n,
                                    struct err *e)
{
    struct json value;
    *n = 0;
    if (!json_has(o, "element"))
        return OK;
    enum err_code code = json_value(o, "element", &value, e);
    bool is_list = !code && json_is_array(value);
    size_t n_values = is_list ? json_count(value) : 1;
    for (size_t i = 0; i < n_values && !code; i++) {
        struct element_step step = {0};
        code = topology_parse_step(is_list ? json_at(value, i) : value, &step, e);
        if (!code && !sites_push_step(steps, n, step))
            code = json_fail(o, "element", e, "expected at most %d elements", ELEMENT_MAX_STEPS);
    }
    return code;
}

static enum err_code parse_nodes(struct json root, struct graph *g, struct err *e)
{
    struct json nodes;
    enum err_code code = json_object(root, "nodes", &nodes, e);
    if (code)
        return code;
    size_t n = json_count(nodes);
    if (n < 1 || n > MAX_NODES)
        return json_fail(root, "nodes", e, "expected 1..%d nodes, got %zu", MAX_NODES, n);
    g->node = ARENA_NEW(g->a, struct node, n);
    for (size_t i = 0; i < n && !code; i++) {
        struct node *node = &g->node[g->n_nodes++];
        struct json o;
        const char *name = json_key_at(nodes, i);
        *node = (struct node){.name = arena_strdup(g->a, name), .towards = NONE};
        if (!*name || strchr(name, '*'))
            return json_fail(nodes, NULL, e, "expected names without a star, got \"%.60s\"", name);
        if ((code = json_object(nodes, name, &o, e)) ||
            (code = parse_elements(o, node->step, &node->n_steps, e)))
            break;
        code = json_finish(o, e);
    }
    return code;
}

static int find_node(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (strcmp(g->node[i].name, name) == 0)
            return (int)i;
    return NONE;
}

static enum err_code parse_ends(struct json o, struct graph *g, struct edge *edge, struct err *e)
{
    struct json ends;
    enum err_code code = json_array(o, "between", &ends, e);
    if (code)
        return code;
    if (json_count(ends) != 2)
        return json_fail(o, "between", e, "expected two nodes, got %zu", json_count(ends));
    for (size_t i = 0; i < 2; i++) {
        const char *name;
        if ((code = json_string(json_at(ends, i), NULL, NULL, &name, e)))
            return code;
        edge->node[i] = find_node(g, name);
        if (edge->node[i] == NONE) {
            const char **names = ARENA_NEW(g->a, const char *, g->n_nodes);
            for (size_t k = 0; k < g->n_nodes; k++)
                names[k] = g->node[k].name;
            const char *near = text_nearest(name, names, g->n_nodes);
            return json_fail(json_at(ends, i), NULL, e, "unknown node \"%.60s\"%s%s%s", name,
                             near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        }
    }
    if (edge->node[0] == edge->node[1])
        return json_fail(o, "between", e, "expected two nodes, got \"%s\" twice",
                         g->node[edge->node[0]].name);
    return OK;
}

/* rate: one for both ways, or one for each. */
static enum err_code parse_rates(struct json o, double rate_bps[2], struct err *e)
{
    struct json value;
    enum err_code code = json_value(o, "rate", &value, e);
    if (code)
        return code;
    if (!json_is_array(value)) {
        code = topology_parse_rate(value, NULL, true, &rate_bps[0], e);
        rate_bps[1] = rate_bps[0];
        return code;
    }
    if (json_count(value) != 2)
        return json_fail(o, "rate", e, "expected one rate or two, got %zu", json_count(value));
    for (size_t i = 0; i < 2 && !code; i++)
        code = topology_parse_rate(json_at(value, i), NULL, true, &rate_bps[i], e);
    return code;
}

static enum err_code parse_link(struct json o, struct graph *g, struct err *e)
{
    static const char *const DUPLEX[] = {"full", "half"};
    struct edge *edge = &g->edge[g->n_edges++];
    double rate_bps[2];
    size_t duplex = 0;
    if (!json_is_object(o))
        return json_fail(o, NULL, e, "expected an object {\"between\": ...}");
    enum err_code code = parse_ends(o, g, edge, e);
    if (!code)
        code = parse_rates(o, rate_bps, e);
    if (!code)
        code = json_quantity(o, "latency", UNIT_TIME_S, 0, MAX_LATENCY_S, &(double){0},
                             &edge->latency_s, e);
    if (!code)
        code = json_choice(o, "duplex", DUPLEX, 2, &(size_t){0}, &duplex, e);
    if (!code && duplex == 1 && rate_bps[0] != rate_bps[1])
        code = json_fail(o, "rate", e, "expected one rate for a half-duplex link, got two");
    if (!code)
        code = parse_elements(o, edge->step, &edge->n_steps, e);
    if (code)
        return code;
    for (int way = 0; way < 2; way++) {
        const char *from = g->node[edge->node[way]].name, *to = g->node[edge->node[1 - way]].name;
        g->node[edge->node[way]].n_links++;
        edge->link[way] = g->n_links;
        if (duplex == 1 && way == 1) {
            edge->link[1] = edge->link[0];
            continue;
        }
        g->link[g->n_links++] = (struct site_link){
            arena_printf(g->a, duplex == 1 ? "%s - %s" : "%s > %s", from, to), rate_bps[way]};
    }
    return json_finish(o, e);
}

static enum err_code parse_graph(struct json root, struct graph *g, struct err *e)
{
    static const char *const ROUTING[] = {"latency", "hops"};
    struct json links;
    size_t routing = 0;
    enum err_code code = parse_nodes(root, g, e);
    if (!code)
        code = json_array(root, "links", &links, e);
    if (!code)
        code = json_choice(root, "routing", ROUTING, 2, &(size_t){0}, &routing, e);
    if (code)
        return code;
    g->by_hops = routing == 1;
    size_t n = json_count(links);
    if (n > MAX_LINKS)
        return json_fail(root, "links", e, "expected at most %d links, got %zu", MAX_LINKS, n);
    g->edge = ARENA_NEW(g->a, struct edge, n);
    g->link = ARENA_NEW(g->a, struct site_link, 2 * n);
    for (size_t i = 0; i < n && !code; i++)
        code = parse_link(json_at(links, i), g, e);
    return code ? code : json_finish(root, e);
}

/* --- routes --- */

static bool is_nearer(const struct graph *g, double latency_s, size_t hops, const struct node *than)
{
    double first = g->by_hops ? (double)hops : latency_s;
    double second = g->by_hops ? latency_s : (double)hops;
    double old_first = g->by_hops ? (double)than->hops : than->latency_s;
    double old_second = g->by_hops ? than->latency_s : (double)than->hops;
    return first < old_first || (first <= old_first && second < old_second);
}

/* Dijkstra from the server: every node gets its link towards it. */
static void find_routes(struct graph *g, int server)
{
    size_t *first = ARENA_NEW(g->a, size_t, g->n_nodes + 1);
    size_t *next = ARENA_NEW(g->a, size_t, g->n_nodes),
           *of = ARENA_NEW(g->a, size_t, 2 * g->n_edges);
    for (size_t i = 0; i < g->n_nodes; i++)
        first[i + 1] = first[i] + g->node[i].n_links;
    for (size_t i = 0; i < g->n_edges; i++)
        for (int end = 0; end < 2; end++) {
            int n = g->edge[i].node[end];
            of[first[n] + next[n]++] = i;
        }
    for (size_t i = 0; i < g->n_nodes; i++)
        g->node[i].latency_s = (double)INFINITY, g->node[i].hops = SIZE_MAX;
    g->node[server].latency_s = 0;
    g->node[server].hops = 0;
    for (;;) {
        int best = NONE;
        for (size_t i = 0; i < g->n_nodes; i++) {
            const struct node *n = &g->node[i];
            if (n->is_settled || n->hops == SIZE_MAX)
                continue;
            if (best == NONE || is_nearer(g, n->latency_s, n->hops, &g->node[best]))
                best = (int)i;
        }
        if (best == NONE)
            return;
        struct node *from = &g->node[best];
        from->is_settled = true;
        for (size_t i = first[best]; i < first[best + 1]; i++) {
            const struct edge *edge = &g->edge[of[i]];
            struct node *to = &g->node[edge->node[edge->node[0] == best]];
            if (to->is_settled ||
                !is_nearer(g, from->latency_s + edge->latency_s, from->hops + 1, to))
                continue;
            to->latency_s = from->latency_s + edge->latency_s;
            to->hops = from->hops + 1;
            to->towards = (int)of[i];
        }
    }
}

/* What lies between a node and the server. */
static enum err_code site_of(const struct graph *g, int node, const char *path, struct site *out,
                             struct err *e)
{
    const struct node *n = &g->node[node];
    struct element_step steps[ELEMENT_MAX_STEPS];
    size_t n_steps = 0;
    bool fits = true;
    *out = (struct site){.name = n->name,
                         .is_reached = n->hops != SIZE_MAX,
                         .rtt_s = 2 * n->latency_s,
                         .is_default = n->n_links == 1 && n->hops > 0,
                         .flow_bps = {(double)INFINITY, (double)INFINITY}};
    if (!out->is_reached)
        return OK;
    if (n->hops > SITES_MAX_ROUTE)
        return err_set(e, ERR_LIMIT, "%s: nodes.%s: expected a route of at most %d links, got %zu",
                       path, n->name, SITES_MAX_ROUTE, n->hops);
    size_t *up = ARENA_NEW(g->a, size_t, n->hops), *down = ARENA_NEW(g->a, size_t, n->hops);
    for (size_t hop = 0;; hop++) {
        for (size_t i = 0; i < g->node[node].n_steps; i++)
            fits = sites_push_step(steps, &n_steps, g->node[node].step[i]) && fits;
        if (g->node[node].towards == NONE)
            break;
        const struct edge *edge = &g->edge[g->node[node].towards];
        int end = edge->node[1] == node; /* the end that we are at */
        up[hop] = edge->link[end];
        down[hop] = edge->link[1 - end];
        for (size_t i = 0; i < edge->n_steps; i++)
            fits = sites_push_step(steps, &n_steps, edge->step[i]) && fits;
        node = edge->node[1 - end];
    }
    if (!fits)
        return err_set(e, ERR_LIMIT,
                       "%s: nodes.%s: expected a route of at most %d kinds of element", path,
                       n->name, ELEMENT_MAX_STEPS);
    out->n_links[NET_DOWN] = out->n_links[NET_UP] = n->hops;
    out->link[NET_DOWN] = down;
    out->link[NET_UP] = up;
    struct element_step *kept = ARENA_NEW(g->a, struct element_step, n_steps);
    if (n_steps > 0)
        memcpy(kept, steps, n_steps * sizeof(*kept));
    out->step = kept;
    out->n_steps = n_steps;
    return OK;
}

static enum err_code graph_load(const struct sites **out, const char *path, const char *server,
                                struct arena *a, struct err *e)
{
    struct json_doc *doc = NULL;
    struct graph g = {.a = a};
    enum err_code code = json_load(&doc, path, e);
    if (!code)
        code = parse_graph(json_root(doc), &g, e);
    json_close(doc);
    if (code)
        return code;
    int at = find_node(&g, server);
    if (at == NONE)
        return err_set(e, ERR_INPUT, "%s: no node \"%.60s\" for the server: name it in server_at",
                       path, server);
    find_routes(&g, at);
    struct sites *net = ARENA_NEW(a, struct sites, 1);
    struct site *site = ARENA_NEW(a, struct site, g.n_nodes);
    for (size_t i = 0; i < g.n_nodes && !code; i++)
        code = site_of(&g, (int)i, path, &site[i], e);
    *net = (struct sites){.path = path,
                          .server = server,
                          .n_links = g.n_links,
                          .link = g.link,
                          .n_sites = g.n_nodes,
                          .site = site};
    *out = net;
    return code;
}

static enum err_code graph_parse(struct json network, struct topology_spec *s, struct arena *a,
                                 struct err *e)
{
    return sites_parse(network, s, graph_load, a, e);
}

const struct topology TOPOLOGY_GRAPH = {
    .name = "graph",
    .what = "nodes and links of your own, in a JSON file",
    .defaults = sites_defaults,
    .parse = graph_parse,
    .write = sites_write,
    .build = sites_build,
};
