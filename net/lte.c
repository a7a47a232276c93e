#include "net/topology.h"

static const struct draw LTE_SPREAD = {
    .sigma = {[DRAW_DOWN] = 0.99, [DRAW_UP] = 1.11, [DRAW_RTT] = 0.47}, .correlation = 0.55};

/* From the access network's first switch to the data centre. */
static void add_rest(struct topology_spec *s)
{
    topology_add_step(s, ELEMENT_SWITCH, 1);
    topology_add_step(s, ELEMENT_BNG, 1);
    topology_add_step(s, ELEMENT_EDGE_ROUTER, 3);
    topology_add_step(s, ELEMENT_CORE_ROUTER, 4);
    topology_add_step(s, ELEMENT_DC_SWITCH, 2);
}

/* The study's radio: 40 Mbit/s down, 10 Mbit/s up, 50 ms. */
static void lte_defaults(struct topology_spec *s)
{
    s->rate_bps[NET_DOWN] = 40e6;
    s->rate_bps[NET_UP] = 10e6;
    s->rtt_s = 50e-3;
    topology_add_step(s, ELEMENT_LTE_ENDPOINT, 1);
    topology_add_step(s, ELEMENT_LTE_BASE_STATION, 1);
    add_rest(s);
}

/* Medians, spreads and correlation of 909 speed tests on LTE in Norway and Sweden (ERRANT, the file
 * model_creation/speed_test_sample.csv of github.com/marty90/errant): ln down 3.201 (0.989), ln up
 * 2.243 (1.111), ln rtt/ms 4.470 (0.470), down with up 0.549; rtt with down -0.06, with up 0.00. */
static void lte_measured_defaults(struct topology_spec *s)
{
    lte_defaults(s);
    s->rate_bps[NET_DOWN] = 24.6e6;
    s->rate_bps[NET_UP] = 9.4e6;
    s->rtt_s = 87e-3;
    s->draw = &LTE_SPREAD;
    s->is_goodput = true;
}

/* Opensignal's averages of 5G in Australia, November 2020 to January 2021: 240.9 Mbit/s down, 15.5
 * up. It names no round trip: 30 ms is our assumption (mid-band 5G behind a 4G core). */
static void nr_defaults(struct topology_spec *s)
{
    s->rate_bps[NET_DOWN] = 240.9e6;
    s->rate_bps[NET_UP] = 15.5e6;
    s->is_goodput = true;
    s->rtt_s = 30e-3;
    topology_add_step(s, ELEMENT_5G_ENDPOINT, 1);
    topology_add_step(s, ELEMENT_5G_BASE_STATION, 1);
    add_rest(s);
}

const struct topology TOPOLOGY_LTE = {
    .name = "lte",
    .what = "a radio link per client, in cells that share the air where the scenario says so",
    .defaults = lte_defaults,
    .parse = cell_parse,
    .write = cell_write,
    .build = cell_build,
};

const struct topology TOPOLOGY_LTE_MEASURED = {
    .name = "lte-measured",
    .what = "LTE whose rates and latency differ from client to client as 909 speed tests did",
    .defaults = lte_measured_defaults,
    .parse = cell_parse,
    .write = cell_write,
    .build = cell_build,
};

const struct topology TOPOLOGY_5G = {
    .name = "5g",
    .what = "5G: as lte, faster",
    .defaults = nr_defaults,
    .parse = cell_parse,
    .write = cell_write,
    .build = cell_build,
};
