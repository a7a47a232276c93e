/* From JSON to a plan: defaults, keys and their messages, classes and links, what can limit, and
 * the closed form against the simulation. */
#include "net/closed.h"
#include "net/prune.h"
#include "net/startup.h"
#include "tests/net_play.h"

#define ETA (1448.0 / 1514.0)

/* What a network points to lives as long as the test. */
static struct arena *arena_of_test(void)
{
    static struct arena a;
    return &a;
}

static enum err_code root_of(const char *text, struct topology_root *r, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, "x.json", text, strlen(text), e);
    if (!code)
        code = topology_parse_root(json_root(doc), r, arena_of_test(), e);
    json_close(doc);
    return code;
}

static void expect_refusal(const char *text, const char *words)
{
    struct topology_root r;
    struct err e = {0};
    if (root_of(text, &r, &e) != ERR_INPUT)
        TEST_FAIL("%s was taken", text);
    CHECK_HAS(e.text, words);
    CHECK_HAS(e.text, "x.json: ");
}

/* The plan of a network with these groups; NULL and a failure when it is refused. */
static struct plan *plan_of(const char *network, size_t n_groups, const size_t *clients,
                            const char *const *own, size_t n_at_once)
{
    struct play *p = calloc(1, sizeof(*p));
    struct plan *plan = NULL;
    struct err e = {0};
    p->network = network;
    p->n_groups = n_groups;
    p->n_at_once = n_at_once;
    for (size_t i = 0; i < n_groups; i++) {
        p->group_clients[i] = clients[i];
        p->group_network[i] = own ? own[i] : NULL;
    }
    if (play_plan(p, &plan, &e))
        TEST_FAIL("%s", e.text);
    free(p);
    return plan;
}

static size_t n_limiting(const struct plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_links; i++)
        n += p->link[i].can_limit;
    return n;
}

/* --- reading and writing --- */

static void defaults_are_the_studys_networks(void)
{
    struct topology_root r;
    CHECK_INT(root_of("{}", &r, NULL), OK);
    CHECK_STR(r.access.topology->name, "lte");
    CHECK_REL(r.access.rate_bps[NET_DOWN], 40e6, 0);
    CHECK_REL(r.access.rate_bps[NET_UP], 10e6, 0);
    CHECK_REL(r.access.rtt_s, 0.05, 1e-15);
    CHECK_TRUE(r.is_pruned && !r.is_full_solver && !r.access.is_goodput);
    CHECK_INT(r.access.cell_clients, 0);
    CHECK_TRUE(r.server_bps[NET_DOWN] <= 0 && r.server_bps[NET_UP] <= 0);
    CHECK_INT(root_of("{\"topology\": \"wired\"}", &r, NULL), OK);
    CHECK_REL(r.access.rate_bps[NET_DOWN], 1e9, 0);
    CHECK_REL(r.access.rate_bps[NET_UP], 1e9, 0);
    CHECK_REL(r.access.rtt_s, 70e-6, 1e-15);
}

/* as + bng + 3 e + 4 c + 2 d; LTE adds endpoint and base station. */
static void default_paths_have_the_studys_counts(void)
{
    static const int WANT[N_ELEMENT_KINDS] = {
        [ELEMENT_LTE_ENDPOINT] = 1, [ELEMENT_LTE_BASE_STATION] = 1, [ELEMENT_SWITCH] = 1,
        [ELEMENT_BNG] = 1,          [ELEMENT_EDGE_ROUTER] = 3,      [ELEMENT_CORE_ROUTER] = 4,
        [ELEMENT_DC_SWITCH] = 2};
    struct plan *p = plan_of("{}", 2, (size_t[]){1, 1},
                             (const char *const[]){NULL, "{\"topology\": \"wired\"}"}, 0);
    CHECK_INT(p->paths.n, 2);
    for (int kind = 0; kind < N_ELEMENT_KINDS; kind++) {
        enum element_kind k = (enum element_kind)kind;
        bool is_radio = k == ELEMENT_LTE_ENDPOINT || k == ELEMENT_LTE_BASE_STATION;
        CHECK_INT(element_count_on(&p->paths.path[0], k), WANT[kind]);
        CHECK_INT(element_count_on(&p->paths.path[1], k), is_radio ? 0 : WANT[kind]);
    }
    plan_close(p);
}

static void a_resolved_network_reads_back_the_same(void)
{
    static const char *const TEXTS[] = {
        "{}",
        "{\"topology\": \"wired\", \"down\": \"123456789bps\", \"rtt\": \"0s\"}",
        "{\"down\": \"38.256Mbps\", \"up\": \"9.564Mbps\", \"rtt\": \"84.8ms\", \"rates\": "
        "\"goodput\","
        " \"cell\": {\"clients\": 25, \"down\": \"143.461Mbps\", \"up\": \"47.82Mbps\"},"
        " \"server\": {\"up\": \"1.1Gbps\"}, \"path\": [\"lte_endpoint\", \"bng\", "
        "\"edge_router*7\"],"
        " \"limits\": {\"bng\": \"0.3Gbps\"}, \"prune\": false, \"solver\": \"full\"}",
    };
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct topology_root a, b;
        struct err e = {0};
        CHECK_INT(root_of(TEXTS[i], &a, &e), OK);
        struct json_out o;
        json_out_init(&o);
        json_out_begin(&o, NULL, '{');
        topology_write_root(&o, "network", &a);
        json_out_end(&o, '}');
        struct json_doc *doc = NULL;
        struct json network;
        CHECK_INT(json_parse(&doc, "out", o.text, o.n, &e), OK);
        CHECK_INT(json_object(json_root(doc), "network", &network, &e), OK);
        CHECK_INT(topology_parse_root(network, &b, arena_of_test(), &e), OK);
        CHECK_STR(e.text, "");
        for (int dir = 0; dir < N_NET_DIRS; dir++) {
            CHECK_REL(b.access.rate_bps[dir], a.access.rate_bps[dir], 0);
            CHECK_REL(b.access.cell_bps[dir], a.access.cell_bps[dir], 0);
            CHECK_REL(b.server_bps[dir], a.server_bps[dir], 0);
        }
        CHECK_REL(b.access.rtt_s, a.access.rtt_s, 0);
        CHECK_INT(b.access.n_steps, a.access.n_steps);
        for (size_t s = 0; s < a.access.n_steps; s++) {
            CHECK_INT(b.access.step[s].kind, a.access.step[s].kind);
            CHECK_INT(b.access.step[s].count, a.access.step[s].count);
        }
        CHECK_REL(b.access.limit_bps[ELEMENT_BNG], a.access.limit_bps[ELEMENT_BNG], 0);
        CHECK_TRUE(b.access.topology == a.access.topology);
        CHECK_INT(b.access.cell_clients, a.access.cell_clients);
        CHECK_INT(b.access.is_goodput, a.access.is_goodput);
        CHECK_INT(b.is_pruned, a.is_pruned);
        CHECK_INT(b.is_full_solver, a.is_full_solver);
        json_close(doc);
        json_out_fini(&o);
    }
}

static void bad_networks_are_refused_with_the_key(void)
{
    expect_refusal("{\"topology\": \"wierd\"}", "topology: ");
    expect_refusal("{\"dwon\": \"1Mbps\"}", "did you mean \"down\"?");
    expect_refusal("{\"down\": \"40MB\"}", "down: ");
    expect_refusal("{\"down\": 40}", "down: ");
    expect_refusal("{\"up\": \"0bps\"}", "up: ");
    expect_refusal("{\"up\": \"-1Mbps\"}", "up: ");
    expect_refusal("{\"up\": \"100Tbps\"}", "up: ");
    expect_refusal("{\"rtt\": \"61s\"}", "rtt: ");
    expect_refusal("{\"rates\": \"brutto\"}", "rates: ");
    expect_refusal("{\"path\": []}", "path: expected 1..32 elements, got 0");
    expect_refusal("{\"path\": [\"bgn\"]}",
                   "path[0]: unknown element \"bgn\", did you mean \"bng\"?");
    expect_refusal("{\"path\": [\"bng\", \"core_router*0\"]}", "path[1]: ");
    expect_refusal("{\"path\": [\"bng*1001\"]}", "path[0]: ");
    expect_refusal("{\"path\": [\"bng*\"]}", "path[0]: ");
    expect_refusal("{\"path\": \"bng\"}", "path: ");
    expect_refusal("{\"limits\": {\"wifi_ap\": \"1Gbps\"}}", "limits.wifi_ap: no such element");
    expect_refusal("{\"limits\": {\"bgn\": \"1Gbps\"}}", "did you mean \"bng\"?");
    expect_refusal("{\"cell\": {\"clients\": 0, \"down\": \"1Gbps\", \"up\": \"1Gbps\"}}",
                   "cell.clients: ");
    expect_refusal("{\"cell\": {\"clients\": 5, \"down\": \"1Gbps\"}}", "cell.up: ");
    expect_refusal("{\"cell\": {\"clients\": 5, \"down\": \"1Gbps\", \"up\": \"1Gbps\", \"x\": 1}}",
                   "cell");
    expect_refusal("{\"topology\": \"wired\", \"cell\": {\"clients\": 5, \"down\": \"1Gbps\", "
                   "\"up\": \"1Gbps\"}}",
                   "cell: unknown key");
    expect_refusal("{\"server\": {\"down\": \"1Gbps\", \"left\": \"1Gbps\"}}",
                   "server.left: unknown key");
    expect_refusal("{\"solver\": \"hasty\"}", "solver: ");
    expect_refusal("{\"prune\": 1}", "prune: ");
}

static void a_groups_network_may_not_set_what_is_common(void)
{
    static const char *const TEXTS[] = {"{\"server\": {\"down\": \"1Gbps\"}}", "{\"prune\": false}",
                                        "{\"solver\": \"full\"}"};
    for (size_t i = 0; i < 3; i++) {
        struct json_doc *doc = NULL;
        struct topology_spec s;
        struct err e = {0};
        CHECK_INT(json_parse(&doc, "x.json", TEXTS[i], strlen(TEXTS[i]), &e), OK);
        CHECK_INT(topology_parse(json_root(doc), &s, arena_of_test(), &e), ERR_INPUT);
        CHECK_HAS(e.text, "belongs to the scenario's network");
        json_close(doc);
    }
}

static void too_many_clients_are_refused_without_building_them(void)
{
    struct topology_root r;
    struct plan *p = NULL;
    struct err e = {0};
    topology_root_init(&r);
    struct topology_group g[2] = {{"a", &r.access, PLAN_MAX_CLIENTS}, {"b", &r.access, 1}};
    CHECK_INT(topology_plan(&p, &r, 1, g, 0, &e), OK);
    plan_close(p);
    CHECK_INT(topology_plan(&p, &r, 2, g, 0, &e), ERR_LIMIT);
    CHECK_HAS(e.text, "b: expected 1..10000000 clients in all");
}

/* --- plans --- */

static void cells_are_filled_in_client_order(void)
{
    struct plan *p =
        plan_of("{\"cell\": {\"clients\": 25, \"down\": \"150Mbps\", \"up\": \"50Mbps\"}}", 2,
                (size_t[]){60, 7}, (const char *const[]){NULL, "{\"topology\": \"wired\"}"}, 0);
    CHECK_INT(p->n_clients, 67);
    CHECK_INT(p->n_classes, 4);
    static const size_t FIRST[] = {0, 25, 50, 60}, N[] = {25, 25, 10, 7};
    for (size_t i = 0; i < 4; i++) {
        CHECK_INT(p->class[i].first, FIRST[i]);
        CHECK_INT(p->class[i].n_clients, N[i]);
    }
    for (size_t client = 0; client < 67; client++) {
        size_t c = plan_class_of(p, client);
        CHECK_TRUE(p->class[c].first <= client &&
                   client < p->class[c].first + p->class[c].n_clients);
    }
    CHECK_STR(p->class[2].name, "a: cell 3");
    CHECK_STR(p->class[3].group, "b");
    CHECK_STR(p->link[p->class[1].link[NET_UP][0]].name, "a: cell 2 up");
    CHECK_REL(p->link[p->class[1].link[NET_UP][0]].goodput_bps, 50e6 * ETA, 1e-15);
    CHECK_INT(p->class[0].path, p->class[2].path);
    CHECK_TRUE(p->class[0].path != p->class[3].path);
    plan_close(p);
}

static void goodput_rates_are_taken_as_they_are(void)
{
    struct plan *p =
        plan_of("{\"rates\": \"goodput\", \"down\": \"40Mbps\"}", 1, (size_t[]){1}, NULL, 0);
    CHECK_REL(p->class[0].own_bps[NET_DOWN], 40e6, 0);
    plan_close(p);
    p = plan_of("{\"down\": \"40Mbps\"}", 1, (size_t[]){1}, NULL, 0);
    CHECK_REL(p->class[0].own_bps[NET_DOWN], 40e6 * ETA, 1e-15);
    plan_close(p);
}

/* --- what can limit --- */

static void links_limit_only_when_more_can_arrive_than_fits(void)
{
    static const struct {
        const char *network;
        size_t n_clients, n_at_once, want;
    } CASES[] = {
        {"{}", 1000, 0, 0},
        /* 10 x 40 = 400, 10 x 10 = 100: full, not over */
        {"{\"cell\": {\"clients\": 10, \"down\": \"400Mbps\", \"up\": \"100Mbps\"}}", 10, 0, 0},
        {"{\"cell\": {\"clients\": 10, \"down\": \"399Mbps\", \"up\": \"100Mbps\"}}", 10, 0, 1},
        {"{\"cell\": {\"clients\": 10, \"down\": \"399Mbps\", \"up\": \"99Mbps\"}}", 20, 0, 4},
        /* at most nine at once: 360 and 90 */
        {"{\"cell\": {\"clients\": 10, \"down\": \"399Mbps\", \"up\": \"99Mbps\"}}", 20, 9, 0},
        /* a cell of one: 40 */
        {"{\"cell\": {\"clients\": 10, \"down\": \"50Mbps\", \"up\": \"50Mbps\"}}", 11, 0, 2},
        {"{\"server\": {\"down\": \"40Gbps\", \"up\": \"10Gbps\"}}", 1000, 0, 0},
        {"{\"server\": {\"down\": \"39Gbps\", \"up\": \"9Gbps\"}}", 1000, 0, 2},
        {"{\"server\": {\"down\": \"390Mbps\", \"up\": \"100Mbps\"}}", 1000, 10, 1},
        /* 100 cells of 50 and 20 Mbps before it: what passes them is 5 and 2 Gbps; they limit */
        {"{\"cell\": {\"clients\": 10, \"down\": \"50Mbps\", \"up\": \"20Mbps\"}, "
         "\"server\": {\"down\": \"5Gbps\", \"up\": \"2Gbps\"}}",
         1000, 0, 200},
        {"{\"cell\": {\"clients\": 10, \"down\": \"50Mbps\", \"up\": \"20Mbps\"}, "
         "\"server\": {\"down\": \"4.9Gbps\", \"up\": \"2Gbps\"}}",
         1000, 0, 201},
        {"{\"limits\": {\"bng\": \"1Gbps\"}}", 26, 0, 1},
        /* two that are equally narrow: one of them must stay */
        {"{\"limits\": {\"bng\": \"1Gbps\", \"switch\": \"1Gbps\"}, \"up\": \"1kbps\"}", 26, 0, 1},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct plan *p =
            plan_of(CASES[i].network, 1, &CASES[i].n_clients, NULL, CASES[i].n_at_once);
        if (n_limiting(p) != CASES[i].want)
            TEST_FAIL("%s, %zu clients, %zu at once: %zu links can limit, want %zu",
                      CASES[i].network, CASES[i].n_clients, CASES[i].n_at_once, n_limiting(p),
                      CASES[i].want);
        plan_close(p);
    }
}

static void unlimited_elements_have_room_for_all(void)
{
    size_t n = 100000;
    struct plan *p = plan_of("{\"topology\": \"wired\"}", 1, &n, NULL, 0);
    CHECK_TRUE(p->n_links > 0);
    for (size_t i = 0; i < p->n_links; i++)
        CHECK_TRUE(!p->link[i].can_limit &&
                   p->link[i].nominal_bps >= 1e5 * 1e9 * ETA * (1 - 1e-12));
    plan_close(p);
}

/* --- closed form --- */

static void the_closed_form_is_what_the_simulation_does(void)
{
    static const char *const NETWORKS[] = {
        "{}", "{\"topology\": \"wired\", \"server\": {\"down\": \"2Gbps\", \"up\": \"3Gbps\"}}",
        ("{\"cell\": {\"clients\": 8, \"down\": \"150Mbps\", \"up\": \"50Mbps\"}, "
         "\"limits\": {\"core_router\": \"110Mbps\"}}")};
    for (size_t i = 0; i < 3; i++)
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            for (size_t n = 1; n <= 8; n += 7) {
                struct play *p = calloc(1, sizeof(*p));
                p->network = NETWORKS[i];
                p->n_groups = 1;
                p->group_clients[0] = 8;
                for (size_t client = 0; client < n; client++)
                    play_add(p, client, (enum net_dir)dir, 2750000, 0, -1);
                play(p);
                struct plan *plan = NULL;
                CHECK_INT(play_plan(p, &plan, NULL), OK);
                struct closed_time t = closed_time(plan, 0, (enum net_dir)dir, 2750000, n);
                for (size_t client = 0; client < n; client++)
                    CHECK_REL(play_seconds(p, client), t.total_s, 1e-6);
                CHECK_REL(t.wait_s + t.transfer_s, t.total_s, 1e-15);
                plan_close(plan);
                free(p);
            }
}

static void the_closed_form_names_the_bottleneck(void)
{
    size_t n = 10;
    struct plan *p = plan_of(
        "{\"cell\": {\"clients\": 10, \"down\": \"150Mbps\", \"up\": \"50Mbps\"}}", 1, &n, NULL, 0);
    CHECK_STR(closed_time(p, 0, NET_DOWN, 1e6, 1).bottleneck, "own link");
    CHECK_STR(closed_time(p, 0, NET_DOWN, 1e6, 10).bottleneck, "a: cell 1 down");
    CHECK_REL(closed_time(p, 0, NET_DOWN, 688000, 10).total_s, 0.502135529, 1e-8);
    CHECK_REL(closed_time(p, 0, NET_UP, 1e6, 10).goodput_bps, 5e6 * ETA, 1e-12);
    plan_close(p);
}

int main(void)
{
    CASE(defaults_are_the_studys_networks);
    CASE(default_paths_have_the_studys_counts);
    CASE(a_resolved_network_reads_back_the_same);
    CASE(bad_networks_are_refused_with_the_key);
    CASE(a_groups_network_may_not_set_what_is_common);
    CASE(too_many_clients_are_refused_without_building_them);
    CASE(cells_are_filled_in_client_order);
    CASE(goodput_rates_are_taken_as_they_are);
    CASE(links_limit_only_when_more_can_arrive_than_fits);
    CASE(unlimited_elements_have_room_for_all);
    CASE(the_closed_form_is_what_the_simulation_does);
    CASE(the_closed_form_names_the_bottleneck);
    arena_free(arena_of_test());
    return test_end();
}
