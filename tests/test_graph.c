/* Networks of the user's own: the same times as our builder's for the same network, routes,
 * half-duplex links, who attaches where, elements on a route, and files that are refused. */
#include "net/closed.h"
#include "net/sites.h"
#include "sim/base/rng.h"
#include "tests/net_play.h"

#define ETA (1448.0 / 1514.0)
#define FILE_NAME "graph-work/g.json"

static void write_graph(const char *text)
{
    play_write("graph-work", "g.json", text);
}

/* --- the same network, built by us and by the user --- */

/* 24 clients in cells of 8 behind one server link, all staggered. */
static void add_flows(struct play *p)
{
    for (uint32_t i = 0; i < 24; i++)
        play_add(p, i, NET_DOWN, 500000 + (uint64_t)(3e6 * rng_uniform(1, 2, i, 0)),
                 i % 3 ? 2 * rng_uniform(1, 1, i, 0) : 0.5, -1);
    for (uint32_t i = 0; i < 24; i++)
        play_add(p, i, NET_UP, 200000 + (uint64_t)(1e6 * rng_uniform(1, 3, i, 0)),
                 i % 3 ? rng_uniform(1, 4, i, 0) : 0.25, (int)i);
}

static void a_graph_takes_the_times_of_our_builder(void)
{
    write_graph(
        "{\"nodes\": {\"dc\": {}, \"hub\": {\"element\": \"core_router\"}, \"c1\": {}, \"c2\": "
        "{}, \"c3\": {}}, \"links\": ["
        "{\"between\": [\"dc\", \"hub\"], \"rate\": [\"300Mbps\", \"100Mbps\"], \"latency\": "
        "\"5ms\"},"
        "{\"between\": [\"hub\", \"c1\"], \"rate\": [\"150Mbps\", \"50Mbps\"], \"latency\": "
        "\"20ms\"},"
        "{\"between\": [\"hub\", \"c2\"], \"rate\": [\"150Mbps\", \"50Mbps\"], \"latency\": "
        "\"20ms\"},"
        "{\"between\": [\"hub\", \"c3\"], \"rate\": [\"150Mbps\", \"50Mbps\"], \"latency\": "
        "\"20ms\"}]}");
    struct play *ours =
        play_new("{\"rtt\": \"50ms\", \"cell\": {\"clients\": 8, \"down\": \"150Mbps\", \"up\": "
                "\"50Mbps\"}, \"server\": {\"down\": \"300Mbps\", \"up\": \"100Mbps\"}}",
                24, 0);
    add_flows(ours);
    play(ours);
    for (int k = 0; k < 4; k++) {
        char network[300];
        snprintf(network, sizeof(network),
                 "{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"server_at\": \"dc\", "
                 "\"down\": \"40Mbps\", \"up\": \"10Mbps\", \"solver\": \"%s\", \"prune\": %s}",
                 k & 1 ? "full" : "lazy", k & 2 ? "false" : "true");
        struct play *theirs = play_new(network, 24, 0);
        add_flows(theirs);
        play(theirs);
        double worst = 0;
        for (size_t i = 0; i < ours->n_flows; i++)
            worst = fmax(worst, fabs(ours->flow[i].end_s - theirs->flow[i].end_s));
        printf("     %s, %s: worst difference %.2g s of %.3g s\n", k & 2 ? "all links" : "pruned",
               k & 1 ? "Full" : "Lazy", worst, ours->end_s);
        CHECK_TRUE(worst < 1e-6);
        free(theirs);
    }
    free(ours);
}

/* --- routes --- */

/* a - b - c - server, 1 ms each, and a - server, 10 ms. */
static void write_ring(const char *routing)
{
    char text[700];
    snprintf(
        text, sizeof(text),
        "{\"nodes\": {\"server\": {\"element\": \"dc_switch*2\"}, \"a\": {\"element\": "
        "\"switch\"}, \"b\": {\"element\": [\"edge_router\", \"core_router\"]}, \"c\": "
        "{\"element\": \"core_router*2\"}}, \"routing\": \"%s\", \"links\": ["
        "{\"between\": [\"a\", \"b\"], \"rate\": \"30Mbps\", \"latency\": \"1ms\"},"
        "{\"between\": [\"b\", \"c\"], \"rate\": [\"20Mbps\", \"25Mbps\"], \"latency\": \"1ms\"},"
        "{\"between\": [\"server\", \"c\"], \"rate\": \"1Gbps\", \"latency\": \"1ms\", "
        "\"element\": \"nic\"},"
        "{\"between\": [\"a\", \"server\"], \"rate\": \"5Mbps\", \"latency\": \"10ms\"}]}",
        routing);
    write_graph(text);
}

static void routes_go_by_latency_or_by_hops(void)
{
    static const char NETWORK[] =
        "{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"at\": [\"a\"], \"rtt\": \"1ms\"}";
    write_ring("latency");
    struct plan *p = play_plan_of(NETWORK, 3, 0);
    const struct plan_class *c = &p->class[0];
    CHECK_INT(p->n_classes, 1);
    CHECK_STR(c->name, "a: a");
    CHECK_REL(c->rtt_s, 7e-3, 1e-12);
    CHECK_INT(c->n_links[NET_UP], 3);
    CHECK_STR(p->link[c->link[NET_UP][0]].name, "a > b");
    CHECK_STR(p->link[c->link[NET_UP][1]].name, "b > c");
    CHECK_STR(p->link[c->link[NET_UP][2]].name, "c > server");
    CHECK_STR(p->link[c->link[NET_DOWN][1]].name, "c > b");
    CHECK_REL(c->own_bps[NET_UP], 20e6 * ETA, 1e-12);   /* b to c */
    CHECK_REL(c->own_bps[NET_DOWN], 25e6 * ETA, 1e-12); /* c to b */
    const struct element_path *path = &p->paths.path[c->path];
    CHECK_INT(path->n_steps, 5); /* switch, edge, core*3, nic, dc*2 */
    CHECK_INT(path->step[2].count, 3);
    CHECK_INT(element_count_on(path, ELEMENT_NIC), 1);
    CHECK_INT(element_count_on(path, ELEMENT_DC_SWITCH), 2);
    plan_close(p);
    write_ring("hops");
    p = play_plan_of(NETWORK, 3, 0);
    CHECK_INT(p->class[0].n_links[NET_DOWN], 1);
    CHECK_REL(p->class[0].rtt_s, 21e-3, 1e-12);
    CHECK_REL(p->class[0].own_bps[NET_DOWN], 5e6 * ETA, 1e-12);
    plan_close(p);
}

/* 8 down and 4 up at once over 12 Mbit/s that both ways share: 6 and 4, then what is left. */
static void both_ways_of_a_half_duplex_link_share_it(void)
{
    write_graph("{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"server\", "
                "\"a\"], \"rate\": \"12Mbps\", \"duplex\": \"half\"}]}");
    for (int k = 0; k < 4; k++) {
        char network[300];
        snprintf(network, sizeof(network),
                 "{\"topology\": \"graph\", \"file\": \"" FILE_NAME
                 "\", \"down\": \"9Mbps\", \"up\": "
                 "\"4Mbps\", \"rates\": \"goodput\", \"solver\": \"%s\", \"prune\": %s}",
                 k & 1 ? "full" : "lazy", k & 2 ? "false" : "true");
        struct play *p = play_new(network, 2, 0);
        play_add(p, 0, NET_DOWN, 2000000, 0, -1); /* 8 Mbit/s beside 4: 8 Mbit in 1 s, 8 at 9 */
        play_add(p, 1, NET_UP, 500000, 0, -1);    /* 4 Mbit in 1 s */
        play(p);
        CHECK_REL(play_seconds(p, 1), 1.0, 1e-6);
        CHECK_REL(play_seconds(p, 0), 1.0 + 8.0 / 9, 1e-6);
        CHECK_INT(p->n_limiting, 1);
        free(p);
    }
}

/* --- who attaches where --- */

static void clients_are_dealt_by_weight_in_order(void)
{
    write_ring("latency");
    struct plan *p = play_plan_of("{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"at\": "
                             "[\"a*2\", \"c\", \"b*3\"]}",
                             13, 0);
    CHECK_INT(p->n_classes, 3);
    static const size_t FIRST[] = {0, 4, 7}, COUNT[] = {4, 3, 6}; /* 13/3 = 4.3, 13/2 = 6.5 */
    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(p->class[i].first, FIRST[i]);
        CHECK_INT(p->class[i].n_clients, COUNT[i]);
    }
    plan_close(p);
    /* fewer clients than sites: nobody is lost */
    p = play_plan_of("{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"at\": [\"a\", \"b\", "
                "\"c\"]}",
                1, 0);
    CHECK_INT(p->n_clients, 1);
    CHECK_INT(p->n_classes, 1);
    plan_close(p);
}

static void groups_on_one_file_meet_on_its_links(void)
{
    write_ring("latency");
    struct play *p = play_new("{\"topology\": \"graph\", \"file\": \"" FILE_NAME
                             "\", \"at\": [\"a\"], \"rates\": \"goodput\"}",
                             1, 0);
    p->n_groups = 2;
    p->group_clients[1] = 1;
    p->group_network[1] = "{\"topology\": \"graph\", \"file\": \"" FILE_NAME
                          "\", \"at\": [\"b\"], \"rates\": \"goodput\"}";
    struct plan *plan = NULL;
    CHECK_INT(play_plan(p, &plan, NULL), OK);
    CHECK_INT(plan->n_classes, 2);
    CHECK_INT(plan->class[0].link[NET_UP][1], plan->class[1].link[NET_UP][0]);
    plan_close(plan);
    play_add(p, 0, NET_UP, 2500000, 0, -1);
    play_add(p, 1, NET_UP, 2500000, 0, -1);
    play(p);
    CHECK_NEAR(play_seconds(p, 1), 2.0, 0.02); /* 20 Mbit at half of 20 Mbit/s */
    free(p);
}

static void our_own_link_comes_before_the_route(void)
{
    write_ring("latency");
    struct plan *p =
        play_plan_of("{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"at\": [\"b\"], "
                "\"down\": \"7Mbps\", \"path\": [\"lte_endpoint\"], \"limits\": "
                "{\"lte_endpoint\": \"6Mbps\"}, \"rtt\": \"30ms\"}",
                5, 0);
    const struct plan_class *c = &p->class[0];
    CHECK_REL(c->own_bps[NET_DOWN], 7e6 * ETA, 1e-12);
    CHECK_REL(c->own_bps[NET_UP], 20e6 * ETA, 1e-12);
    CHECK_REL(c->rtt_s, 34e-3, 1e-12);
    CHECK_INT(p->paths.path[c->path].step[0].kind, ELEMENT_LTE_ENDPOINT);
    CHECK_STR(closed_time(p, 0, NET_DOWN, 1e6, 5).bottleneck, "a: lte_endpoint down");
    CHECK_STR(closed_time(p, 0, NET_UP, 1e6, 5).bottleneck, "a: lte_endpoint up");
    plan_close(p);
}

/* --- reading --- */

static void a_graph_written_reads_back_the_same(void)
{
    write_ring("latency");
    static const char TEXT[] = "{\"topology\": \"graph\", \"file\": \"" FILE_NAME
                               "\", \"at\": [\"a*2\", \"b\"], \"up\": \"1Mbps\"}";
    char *written = play_written(TEXT);
    CHECK_HAS(written, "[\"a*2\", \"b\"]");
    free(written);
}

static void refuse_network(const char *network, const char *words)
{
    struct arena a = {0};
    struct json_doc *doc = NULL;
    struct topology_root r;
    struct err e = {0};
    CHECK_INT(json_parse(&doc, "x.json", network, strlen(network), &e), OK);
    enum err_code code = topology_parse_root(json_root(doc), &r, &a, &e);
    if (!code) { /* what depends on the clients is found when the plan is made */
        struct topology_group g = {"a", &r.access, 5};
        struct plan *p = NULL;
        code = topology_plan(&p, &r, 1, &g, 0, &e);
        plan_close(p);
    }
    if (code != ERR_INPUT && code != ERR_LIMIT)
        TEST_FAIL("%s was taken", network);
    CHECK_HAS(e.text, words);
    json_close(doc);
    arena_free(&a);
}

static void refuse(const char *graph, const char *words)
{
    write_graph(graph);
    refuse_network("{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\"}", words);
}

static void bad_graphs_are_refused_with_file_and_key(void)
{
    refuse("{\"nodes\": {\"server\": {}, \"a*2\": {}}, \"links\": []}",
           "nodes: expected names without a star, got \"a*2\"");
    refuse("{\"nodes\": {}}", "x.json: file: graph-work/g.json: nodes: expected 1..");
    refuse("{\"nodes\": {\"server\": {}},\n\"links\": [", "graph-work/g.json:2:");
    refuse("{\"nodes\": {\"server\": {\"elemnt\": \"nic\"}}, \"links\": []}",
           "nodes.server.elemnt: unknown key, did you mean \"element\"?");
    refuse("{\"nodes\": {\"server\": {\"element\": \"nick\"}}, \"links\": []}",
           "nodes.server.element: unknown element \"nick\", did you mean \"nic\"?");
    refuse(
        "{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"server\", \"b\"], "
        "\"rate\": \"1Gbps\"}]}",
        "links[0].between[1]: unknown node \"b\"");
    refuse("{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"a\", \"a\"], "
           "\"rate\": \"1Gbps\"}]}",
           "links[0].between: expected two nodes, got \"a\" twice");
    refuse("{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"a\"], "
           "\"rate\": \"1Gbps\"}]}",
           "links[0].between: expected two nodes, got 1");
    refuse(
        "{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"a\", \"server\"]}]}",
        "links[0].rate");
    refuse(
        "{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"a\", \"server\"], "
        "\"rate\": [\"1Gbps\"]}]}",
        "links[0].rate: expected one rate or two, got 1");
    refuse(
        "{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"a\", \"server\"], "
        "\"rate\": [\"1Gbps\", \"2Gbps\"], \"duplex\": \"half\"}]}",
        "links[0].rate: expected one rate for a half-duplex link, got two");
    refuse(
        "{\"nodes\": {\"server\": {}, \"a\": {}}, \"links\": [{\"between\": [\"a\", \"server\"], "
        "\"rate\": \"1Gbps\", \"latency\": \"-1ms\"}]}",
        "links[0].latency");
    refuse("{\"nodes\": {\"hq\": {}}, \"links\": []}",
           "graph-work/g.json: no node \"server\" for the server: name it in server_at");
    refuse("{\"nodes\": {\"server\": {}}, \"links\": []}", "x.json: at: expected the sites");
}

static void bad_sites_are_refused(void)
{
    write_graph("{\"nodes\": {\"server\": {}, \"lab\": {}, \"far\": {}}, \"links\": [{\"between\": "
                "[\"server\", \"lab\"], \"rate\": \"1Gbps\"}]}");
    static const struct {
        const char *at, *words;
    } CASES[] = {
        {"[\"lob\"]", "x.json: at[0]: graph-work/g.json has no \"lob\", did you mean \"lab\"?"},
        {"[\"far\"]", "x.json: at[0]: graph-work/g.json: no route from \"far\" to \"server\""},
        {"[\"lab*0\"]", "x.json: at[0]: \"lab*0\": weight: "},
        {"[]", "x.json: at: expected 1.."},
        {"\"lab\"", "x.json: at: "},
        {"[\"server\"]",
         "x.json: down: expected the rate of a client's own link: no link of the route from "
         "\"server\" to \"server\" limits it"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char network[300];
        snprintf(network, sizeof(network),
                 "{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"at\": %s}", CASES[i].at);
        refuse_network(network, CASES[i].words);
    }
    refuse_network("{\"topology\": \"graph\"}", "x.json: file");
    refuse_network("{\"topology\": \"graph\", \"file\": \"graph-work/none.json\"}", "no such file");
    refuse_network("{\"topology\": \"graph\", \"file\": \"" FILE_NAME "\", \"draw\": {\"up\": 1}}",
                   "x.json: draw: does not go with topology graph");
    refuse_network("{\"topology\": \"lte\", \"file\": \"" FILE_NAME "\"}",
                   "x.json: file: unknown key");
}

int main(void)
{
    CASE(a_graph_takes_the_times_of_our_builder);
    CASE(routes_go_by_latency_or_by_hops);
    CASE(both_ways_of_a_half_duplex_link_share_it);
    CASE(clients_are_dealt_by_weight_in_order);
    CASE(groups_on_one_file_meet_on_its_links);
    CASE(our_own_link_comes_before_the_route);
    CASE(a_graph_written_reads_back_the_same);
    CASE(bad_graphs_are_refused_with_file_and_key);
    CASE(bad_sites_are_refused);
    return test_end();
}
