#include "net/topology.h"

static void wired_defaults(struct topology_spec *s)
{
    s->rate_bps[NET_DOWN] = s->rate_bps[NET_UP] = 1e9;
    s->rtt_s = 70e-6;
    topology_add_step(s, ELEMENT_SWITCH, 1);
    topology_add_step(s, ELEMENT_BNG, 1);
    topology_add_step(s, ELEMENT_EDGE_ROUTER, 3);
    topology_add_step(s, ELEMENT_CORE_ROUTER, 4);
    topology_add_step(s, ELEMENT_DC_SWITCH, 2);
}

static enum err_code wired_build(const struct topology_group *g, const struct topology_trunk *trunk,
                                 struct plan *p, struct err *e)
{
    return topology_add_class(g, g->name, g->n_clients, NULL, trunk, p, e);
}

const struct topology TOPOLOGY_WIRED = {
    .name = "wired",
    .what = "each client on a line of its own",
    .defaults = wired_defaults,
    .build = wired_build,
};
