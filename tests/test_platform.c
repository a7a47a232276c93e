/* SimGrid platforms of the user's own: the same times as our builder's for the same network, what
 * every sharing policy means, elements, hosts in order, and files that are refused with their line.
 */
#include <stdarg.h>
#include <sys/stat.h>

#include "net/closed.h"
#include "net/sites.h"
#include "sim/base/rng.h"
#include "tests/net_play.h"

#define ETA (1448.0 / 1514.0)
#define FILE_NAME "platform-work/p.xml"
#define HEAD                                                                                       \
    "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
/* The lines of what follows begin at 4. */
#define OPEN(routing) HEAD "<platform version=\"4.1\"><zone id=\"net\" routing=\"" routing "\">\n"
#define CLOSE "</zone></platform>\n"
#define SERVER "<host id=\"server\" speed=\"1Gf\"/>\n"

__attribute__((format(printf, 1, 2))) static void write_xml(const char *format, ...)
{
    va_list args;
    mkdir("platform-work", 0755);
    FILE *f = fopen(FILE_NAME, "wb");
    CHECK_TRUE(f);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fclose(f);
}

/* --- the same network, built by us and by the user --- */

enum { N_CLIENTS = 24, N_CELL = 8 };

/* The parts of a file, in the order that the DTD asks for. */
struct parts {
    char nodes[16384], links[16384], routes[32768];
};

__attribute__((format(printf, 2, 3))) static void append(char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsprintf(text + strlen(text), format, args);
    va_end(args);
}

/* A link for each direction, and a route each way over it. */
static void add_pair(struct parts *p, const char *from, const char *to, const char *down,
                     const char *up, const char *latency)
{
    static const char LINK_FORMAT[] = "<link id=\"%s-%s\" bandwidth=\"%s\" latency=\"%s\"/>\n";
    static const char ROUTE_FORMAT[] = "<route src=\"%s\" dst=\"%s\" symmetrical=\"NO\"><link_ctn "
                                       "id=\"%s-%s\"/></route>\n";
    append(p->links, LINK_FORMAT, from, "down", down, latency);
    append(p->links, LINK_FORMAT, from, "up", up, latency);
    append(p->routes, ROUTE_FORMAT, from, to, from, "up");
    append(p->routes, ROUTE_FORMAT, to, from, from, "down");
}

/* Hosts behind a router per cell, behind a hub, behind the server's link: 15 + 5 + 5 ms. */
static void write_cells(const char *routing)
{
    struct parts *p = calloc(1, sizeof(*p));
    append(p->nodes, SERVER "<router id=\"hub\"/>\n");
    add_pair(p, "hub", "server", "300Mbps", "100Mbps", "5ms");
    for (int c = 1; c <= N_CLIENTS / N_CELL; c++) {
        char name[16];
        snprintf(name, sizeof(name), "cell%d", c);
        append(p->nodes, "<router id=\"%s\"/>\n", name);
        add_pair(p, name, "hub", "150Mbps", "50Mbps", "5ms");
    }
    for (int i = 0; i < N_CLIENTS; i++) {
        char name[16], cell[16];
        snprintf(name, sizeof(name), "h%d", i);
        snprintf(cell, sizeof(cell), "cell%d", i / N_CELL + 1);
        append(p->nodes, "<host id=\"%s\" speed=\"1Gf\"/>\n", name);
        add_pair(p, name, cell, "40Mbps", "10Mbps", "15ms");
    }
    write_xml(HEAD "<platform version=\"4.1\"><zone id=\"net\" routing=\"%s\">\n%s%s%s" CLOSE,
              routing, p->nodes, p->links, p->routes);
    free(p);
}

static void add_flows(struct play *p)
{
    for (uint32_t i = 0; i < N_CLIENTS; i++)
        play_add(p, i, NET_DOWN, 500000 + (uint64_t)(3e6 * rng_uniform(1, 2, i, 0)),
                 i % 3 ? 2 * rng_uniform(1, 1, i, 0) : 0.5, -1);
    for (uint32_t i = 0; i < N_CLIENTS; i++)
        play_add(p, i, NET_UP, 200000 + (uint64_t)(1e6 * rng_uniform(1, 3, i, 0)),
                 i % 3 ? rng_uniform(1, 4, i, 0) : 0.25, (int)i);
}

static void a_platform_with_routers_takes_the_times_of_our_builder(void)
{
    struct play *ours =
        play_new("{\"rtt\": \"50ms\", \"cell\": {\"clients\": 8, \"down\": \"150Mbps\", \"up\": "
                "\"50Mbps\"}, \"server\": {\"down\": \"300Mbps\", \"up\": \"100Mbps\"}}",
                N_CLIENTS, 0);
    add_flows(ours);
    play(ours);
    static const char *const ROUTINGS[] = {"Dijkstra", "Floyd"};
    for (int k = 0; k < 8; k++) {
        char network[300];
        write_cells(ROUTINGS[k / 4]);
        snprintf(network, sizeof(network),
                 "{\"topology\": \"platform\", \"file\": \"" FILE_NAME
                 "\", \"solver\": \"%s\", \"prune\": %s}",
                 k & 1 ? "full" : "lazy", k & 2 ? "false" : "true");
        struct play *theirs = play_new(network, N_CLIENTS, 0);
        add_flows(theirs);
        play(theirs);
        double worst = 0;
        for (size_t i = 0; i < ours->n_flows; i++)
            worst = fmax(worst, fabs(ours->flow[i].end_s - theirs->flow[i].end_s));
        printf("     %s, %s, %s: worst difference %.2g s of %.3g s\n", ROUTINGS[k / 4],
               k & 2 ? "all links" : "pruned", k & 1 ? "Full" : "Lazy", worst, ours->end_s);
        CHECK_TRUE(worst < 1e-6);
        free(theirs);
    }
    free(ours);
}

/* --- sharing policies --- */

static const char PLATFORM[] =
    "{\"topology\": \"platform\", \"file\": \"" FILE_NAME "\", \"rates\": \"goodput\"}";

/* A down and an up transfer of 1 MB over one link of 8 Mbit/s, as its policy has it. */
static void expect_seconds(const char *policy, double seconds, size_t n_links)
{
    write_xml(OPEN("Full") SERVER
              "<host id=\"a\" speed=\"1Gf\"/>\n<link id=\"l\" bandwidth=\"8Mbps\" latency=\"0\" "
              "sharing_policy=\"%s\"/>\n<route src=\"server\" dst=\"a\"><link_ctn "
              "id=\"l\"%s/></route>" CLOSE,
              policy, strcmp(policy, "SPLITDUPLEX") == 0 ? " direction=\"DOWN\"" : "");
    struct plan *plan = play_plan_of(PLATFORM, 2, 0);
    CHECK_INT(plan->n_links, n_links);
    plan_close(plan);
    struct play *p = play_new(PLATFORM, 2, 0);
    play_add(p, 0, NET_DOWN, 1000000, 0, -1);
    play_add(p, 1, NET_UP, 1000000, 0, -1);
    play(p);
    for (size_t i = 0; i < 2; i++)
        CHECK_REL(play_seconds(p, i), seconds, 1e-6);
    free(p);
}

static void shared_links_share_and_split_ones_do_not(void)
{
    expect_seconds("SHARED", 2.0, 1);
    expect_seconds("SPLITDUPLEX", 1.0, 2);
    expect_seconds("FATPIPE", 1.0, 0);
}

static void a_fatpipe_gives_every_flow_all_of_it(void)
{
    write_xml(
        OPEN("Full") SERVER
        "<host id=\"a\" speed=\"1Gf\"/><link id=\"l\" bandwidth=\"40Mbps\" latency=\"1ms\"/>\n"
        "<link id=\"f\" bandwidth=\"8Mbps\" latency=\"2ms\" sharing_policy=\"FATPIPE\"/>\n"
        "<route src=\"server\" dst=\"a\"><link_ctn id=\"f\"/><link_ctn id=\"l\"/></route>" CLOSE);
    struct plan *plan = play_plan_of(PLATFORM, 9, 0);
    CHECK_REL(plan->class[0].own_bps[NET_DOWN], 8e6, 1e-12);
    CHECK_REL(plan->class[0].rtt_s, 6e-3, 1e-12);
    CHECK_REL(closed_time(plan, 0, NET_DOWN, 1e6, 5).goodput_bps, 8e6, 1e-12);
    CHECK_REL(closed_time(plan, 0, NET_DOWN, 1e6, 8).goodput_bps, 5e6, 1e-12);
    plan_close(plan);
}

/* --- elements and hosts --- */

static void elements_of_hosts_and_links_are_on_the_path(void)
{
    write_xml(
        OPEN("Dijkstra") "<host id=\"hq\" speed=\"1Gf\"><prop id=\"element\" "
                         "value=\"dc_switch*2\"/></host>"
                         "<host id=\"a\" speed=\"1Gf\"><prop id=\"element\" "
                         "value=\"nic\"/></host><router id=\"r\"/>"
                         "<link id=\"l\" bandwidth=\"1Gbps\" latency=\"1ms\" "
                         "sharing_policy=\"SPLITDUPLEX\">"
                         "<prop id=\"element\" value=\"switch, bng\"/></link>"
                         "<link id=\"m\" bandwidth=\"1Gbps\" latency=\"1ms\"><prop id=\"element\" "
                         "value=\"core_router*3\"/></link>"
                         "<route src=\"a\" dst=\"r\"><link_ctn id=\"l\" direction=\"UP\"/></route>"
                         "<route src=\"r\" dst=\"hq\"><link_ctn id=\"m\"/></route>" CLOSE);
    struct plan *plan = play_plan_of("{\"topology\": \"platform\", \"file\": \"" FILE_NAME
                                "\", \"server_at\": \"hq\", \"path\": [\"wifi_endpoint\"]}",
                                1, 0);
    const struct element_path *path = &plan->paths.path[plan->class[0].path];
    static const struct element_step WANT[] = {{ELEMENT_WIFI_ENDPOINT, 1}, {ELEMENT_NIC, 1},
                                               {ELEMENT_SWITCH, 1},        {ELEMENT_BNG, 1},
                                               {ELEMENT_CORE_ROUTER, 3},   {ELEMENT_DC_SWITCH, 2}};
    CHECK_INT(path->n_steps, 6);
    for (size_t i = 0; i < 6 && path->n_steps == 6; i++) {
        CHECK_INT(path->step[i].kind, WANT[i].kind);
        CHECK_INT(path->step[i].count, WANT[i].count);
    }
    plan_close(plan);
}

/* A zone of zones, as large platforms are: a cluster behind a gateway. */
static void zones_and_clusters_are_read_in_the_order_of_numbers(void)
{
    write_xml(HEAD "<platform version=\"4.1\"><zone id=\"top\" routing=\"Full\">\n"
                   "<cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"8-11\" speed=\"1Gf\" "
                   "bw=\"10Mbps\" lat=\"1ms\" router_id=\"gate\"/>\n"
                   "<zone id=\"dc\" routing=\"Full\">" SERVER "</zone>\n"
                   "<link id=\"wan\" bandwidth=\"20Mbps\" latency=\"10ms\"/>\n"
                   "<zoneRoute src=\"c\" dst=\"dc\" gw_src=\"gate\" gw_dst=\"server\"><link_ctn "
                   "id=\"wan\"/></zoneRoute>\n" CLOSE);
    struct plan *plan = play_plan_of(PLATFORM, 4, 0);
    static const char *const NAMES[] = {"a: n8", "a: n9", "a: n10", "a: n11"};
    CHECK_INT(plan->n_classes, 4);
    for (size_t i = 0; i < 4 && plan->n_classes == 4; i++) {
        CHECK_STR(plan->class[i].name, NAMES[i]);
        CHECK_REL(plan->class[i].rtt_s, 22e-3, 1e-9);
        CHECK_REL(plan->class[i].own_bps[NET_UP], 10e6, 1e-12);
    }
    plan_close(plan);
    struct play *p = play_new(PLATFORM, 4, 0);
    for (size_t i = 0; i < 4; i++)
        play_add(p, i, NET_DOWN, 1250000, 0, -1);
    play(p);
    for (size_t i = 0; i < 4; i++)
        CHECK_NEAR(play_seconds(p, i), 2.0, 0.15); /* 10 Mbit at a quarter of 20 Mbit/s, start-up */
    free(p);
}

/* --- files that are refused --- */

static void refuse(const char *words, const char *xml)
{
    write_xml("%s", xml);
    play_refuse(PLATFORM, words);
}

#define HOSTS SERVER "<host id=\"a\" speed=\"1Gf\"/>\n"
#define LINK "<link id=\"l\" bandwidth=\"8Mbps\" latency=\"1ms\"/>\n"
#define ROUTE "<route src=\"server\" dst=\"a\"><link_ctn id=\"l\"/></route>\n"

static void broken_platforms_are_refused_with_their_line(void)
{
    refuse("x.json: file: " FILE_NAME ":1: invalid XML", "hello");
    refuse(FILE_NAME ":6: invalid XML", OPEN("Full") HOSTS);
    refuse(FILE_NAME ":6: invalid XML: ", OPEN("Full") HOSTS "<linc id=\"l\"/>\n" CLOSE);
    refuse(FILE_NAME ":6: unknown unit: Mbs",
           OPEN("Full") HOSTS "<link id=\"l\" bandwidth=\"8Mbs\" latency=\"1ms\"/>\n" ROUTE CLOSE);
    refuse(FILE_NAME ":6: bandwidth: expected a unit, as in 10Mbps, got \"8\"",
           OPEN("Full") HOSTS "<link id=\"l\" bandwidth=\"8\" latency=\"1ms\"/>\n" ROUTE CLOSE);
    refuse(FILE_NAME ":6: latency: expected a unit, as in 5ms, got \"0.1\"",
           OPEN("Full") HOSTS "<link id=\"l\" bandwidth=\"8Mbps\" latency='0.1'/>\n" ROUTE CLOSE);
    refuse(FILE_NAME ":6: link \"l\": expected a bandwidth of 1kbps..10Tbps, got -8e+06 bit/s",
           OPEN("Full") HOSTS
           "<link id=\"l\" bandwidth=\"-8Mbps\" latency=\"1ms\"/>\n" ROUTE CLOSE);
    refuse(FILE_NAME ":6: link \"l\": expected sharing policy SHARED, SPLITDUPLEX or FATPIPE",
           OPEN("Full") HOSTS "<link id=\"l\" bandwidth=\"8Mbps\" latency=\"1ms\" "
                              "sharing_policy=\"WIFI\"/>\n" ROUTE CLOSE);
    refuse(FILE_NAME ":6: bandwidth_file: profiles are not followed",
           OPEN("Full") HOSTS "<link id=\"l\" bandwidth=\"8Mbps\" latency=\"1ms\" "
                              "bandwidth_file=\"b.txt\"/>\n" ROUTE CLOSE);
    refuse(FILE_NAME ":6: Link not found: k", OPEN("Full") HOSTS
           "<route src=\"server\" dst=\"a\"><link_ctn id=\"k\"/></route>\n" CLOSE);
    refuse(FILE_NAME ":7: Link 'l' declared several times",
           OPEN("Full") HOSTS LINK LINK ROUTE CLOSE);
    refuse(FILE_NAME ":6: Refusing to create a second host named 'a'",
           OPEN("Full") HOSTS "<host id=\"a\" speed=\"1Gf\"/>\n" LINK ROUTE CLOSE);
    refuse(FILE_NAME ":3: routing: expected Full, Floyd", OPEN("Star") HOSTS LINK ROUTE CLOSE);
    refuse(FILE_NAME ":5: no route between 'a' and 'server'", OPEN("Dijkstra") HOSTS LINK CLOSE);
    refuse("at: expected the sites of the clients: " FILE_NAME
           " has no route from \"a\" to \"server\"",
           OPEN("Full") HOSTS LINK CLOSE);
    refuse(FILE_NAME ": no host \"server\" for the server: name it in server_at",
           OPEN("Full") "<host id=\"a\" speed=\"1Gf\"/>\n" CLOSE);
    refuse("expected a host for clients, got the server alone", OPEN("Full") SERVER CLOSE);
    refuse(FILE_NAME ":6: property element of \"l\": unknown element \"swich\", did you mean "
                     "\"switch\"?",
           OPEN("Full") HOSTS "<link id=\"l\" bandwidth=\"8Mbps\" latency=\"1ms\"><prop "
                              "id=\"element\" value=\"swich\"/></link>\n" ROUTE CLOSE);
    refuse(
        FILE_NAME ":5: \"a\": expected the same elements on both ways, got 1 switch down and 0 up",
        OPEN("Full") HOSTS LINK
        "<link id=\"m\" bandwidth=\"8Mbps\" latency=\"1ms\"><prop id=\"element\" "
        "value=\"switch\"/></link>\n<route src=\"server\" dst=\"a\" symmetrical=\"NO\"><link_ctn "
        "id=\"m\"/></route><route src=\"a\" dst=\"server\" symmetrical=\"NO\"><link_ctn "
        "id=\"l\"/></route>" CLOSE);
    refuse(FILE_NAME ":3: this version of platforms is too old",
           HEAD "<platform version=\"3\"><zone id=\"z\" routing=\"Full\">" HOSTS CLOSE);
}

static void a_route_that_is_there_twice_is_refused(void)
{
    refuse(FILE_NAME ":8: this route is there twice",
           OPEN("Dijkstra") HOSTS LINK ROUTE ROUTE CLOSE);
}

int main(void)
{
    CASE(a_platform_with_routers_takes_the_times_of_our_builder);
    CASE(shared_links_share_and_split_ones_do_not);
    CASE(a_fatpipe_gives_every_flow_all_of_it);
    CASE(elements_of_hosts_and_links_are_on_the_path);
    CASE(zones_and_clusters_are_read_in_the_order_of_numbers);
    CASE(broken_platforms_are_refused_with_their_line);
    CASE(a_route_that_is_there_twice_is_refused);
    return test_end();
}
