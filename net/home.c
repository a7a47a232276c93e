/* Wi-Fi behind a home's broadband line. The line is the limit, not the Wi-Fi; its shared part (the
 * coax of a segment, the fibre of a splitter) is a cell where the scenario says so.
 *
 * Rates: cable 270.6 and full fibre 149.2 Mbit/s down are averages of Ofcom's "UK home broadband
 * performance", March 2023, measured at the router: payload. Ours are assumptions: ADSL2+ 10 / 0.8
 * Mbit/s; up 25 on cable and 50 on fibre (all lines' average was 18.4); round trips to the server
 * through the Wi-Fi of 35, 20 and 12 ms. */
#include "net/topology.h"

/* The home's end, its line's end at the operator, and the way from there to the server. */
static void set(struct topology_spec *s, double down_bps, double up_bps, double rtt_s,
                enum element_kind line_end)
{
    s->rate_bps[NET_DOWN] = down_bps;
    s->rate_bps[NET_UP] = up_bps;
    s->rtt_s = rtt_s;
    s->is_goodput = true;
    topology_add_step(s, ELEMENT_WIFI_ENDPOINT, 1);
    topology_add_step(s, ELEMENT_WIFI_AP, 1);
    topology_add_step(s, ELEMENT_HOME_ROUTER, 1);
    topology_add_step(s, line_end, 1);
    topology_add_step(s, ELEMENT_SWITCH, 1);
    topology_add_step(s, ELEMENT_BNG, 1);
    topology_add_step(s, ELEMENT_EDGE_ROUTER, 3);
    topology_add_step(s, ELEMENT_CORE_ROUTER, 4);
    topology_add_step(s, ELEMENT_DC_SWITCH, 2);
}

static void adsl_defaults(struct topology_spec *s)
{
    set(s, 10e6, 0.8e6, 35e-3, ELEMENT_DSLAM);
}

static void cable_defaults(struct topology_spec *s)
{
    set(s, 270.6e6, 25e6, 20e-3, ELEMENT_CMTS);
}

static void fibre_defaults(struct topology_spec *s)
{
    set(s, 149.2e6, 50e6, 12e-3, ELEMENT_OLT);
}

static enum err_code adsl_build(const struct topology_group *g, const struct topology_trunk *trunk,
                                struct plan *p, struct err *e)
{
    return topology_add_class(g, g->name, g->n_clients, NULL, trunk, p, e);
}

const struct topology TOPOLOGY_ADSL = {
    .name = "adsl",
    .what = "Wi-Fi behind an ADSL2+ line",
    .defaults = adsl_defaults,
    .build = adsl_build,
};

const struct topology TOPOLOGY_CABLE = {
    .name = "cable",
    .what = "Wi-Fi behind a cable modem, in segments that share coax where the scenario says so",
    .defaults = cable_defaults,
    .parse = cell_parse,
    .write = cell_write,
    .build = cell_build,
};

const struct topology TOPOLOGY_FIBRE = {
    .name = "fibre",
    .what = "Wi-Fi behind fibre to the home, in trees that share a port where the scenario says so",
    .defaults = fibre_defaults,
    .parse = cell_parse,
    .write = cell_write,
    .build = cell_build,
};
