/* Drawn rates: the stated medians, spreads and correlation; rows of a file kept together; the
 * closed form of each client; the networks that people have; and what is refused. */
#include <sys/resource.h>

#include "net/closed.h"
#include "net/draw.h"
#include "tests/net_play.h"

enum { N = 20000 };

static void write_file(const char *text)
{
    play_write("draw-work", "tests.csv", text);
}

static void measured_lte_has_its_medians_spreads_and_correlation(void)
{
    struct plan *p = play_plan_of("{\"topology\": \"lte-measured\"}", N, 3);
    double sum[3] = {0}, square[3] = {0}, product = 0, across = 0;
    CHECK_INT(p->n_classes, N);
    for (size_t i = 0; i < N; i++) {
        const struct plan_class *c = &p->class[i];
        double x[3] = {log(c->own_bps[NET_DOWN]), log(c->own_bps[NET_UP]), log(c->rtt_s)};
        for (int k = 0; k < 3; k++) {
            sum[k] += x[k] / N;
            square[k] += x[k] * x[k] / N;
        }
        product += x[0] * x[1] / N;
        across += x[0] * x[2] / N;
    }
    static const double MEDIAN[] = {24.6e6, 9.4e6, 87e-3}, SIGMA[] = {0.99, 1.11, 0.47};
    double sd[3];
    for (int k = 0; k < 3; k++) {
        sd[k] = sqrt(square[k] - sum[k] * sum[k]);
        CHECK_REL(exp(sum[k]), MEDIAN[k], 0.03); /* 3 standard errors: 0.024 of the widest */
        CHECK_REL(sd[k], SIGMA[k], 0.03);
    }
    CHECK_NEAR((product - sum[0] * sum[1]) / (sd[0] * sd[1]), 0.55, 0.02);
    CHECK_NEAR((across - sum[0] * sum[2]) / (sd[0] * sd[2]), 0, 0.025);
    plan_close(p);
}

static void a_client_draws_the_same_whoever_is_there(void)
{
    struct plan *few = play_plan_of("{\"topology\": \"lte-measured\"}", 5, 3);
    struct plan *many =
        play_plan_of("{\"topology\": \"lte-measured\", \"cell\": {\"clients\": 3, \"down\": "
                "\"1Gbps\", \"up\": \"1Gbps\"}}",
                50, 3);
    struct plan *other = play_plan_of("{\"topology\": \"lte-measured\"}", 5, 4);
    for (size_t i = 0; i < 5; i++) {
        CHECK_REL(few->class[i].own_bps[NET_UP], many->class[i].own_bps[NET_UP], 0);
        CHECK_REL(few->class[i].rtt_s, many->class[i].rtt_s, 0);
        CHECK_TRUE(few->class[i].rtt_s != other->class[i].rtt_s);
    }
    CHECK_STR(many->class[4].name, "a: cell 2");
    plan_close(few);
    plan_close(many);
    plan_close(other);
}

/* down 3 x up, and rtt 30 / up, so that a triple betrays a mixture. */
static void rows_of_a_file_stay_together_and_come_evenly(void)
{
    write_file("kind,download_mbps,upload_mbps,rtt_ms\nx,3,1,30\nold,,,\nx,6,2,15\nx,9,3,10\n");
    struct plan *p = play_plan_of("{\"draw\": {\"file\": \"draw-work/tests.csv\", \"where\": {\"kind\": "
                             "\"x\"}}, \"rates\": \"goodput\"}",
                             3000, 1);
    size_t count[4] = {0};
    for (size_t i = 0; i < 3000; i++) {
        double up = p->class[i].own_bps[NET_UP] / 1e6;
        CHECK_REL(p->class[i].own_bps[NET_DOWN], 3e6 * up, 1e-12);
        CHECK_REL(p->class[i].rtt_s, 30e-3 / up, 1e-12);
        count[(size_t)(up + 0.5)]++;
    }
    for (int k = 1; k < 4; k++)
        CHECK_NEAR((double)count[k], 1000, 80); /* 3 standard deviations: 77 */
    plan_close(p);
    p = play_plan_of("{\"draw\": {\"file\": \"draw-work/tests.csv\", \"where\": {\"kind\": \"x\"}, "
                "\"down\": \"download_mbps\"}, \"down\": \"5Mbps\", \"rtt\": \"12ms\", "
                "\"rates\": \"goodput\"}",
                100, 1);
    for (size_t i = 0; i < 100; i++) {
        double down = p->class[i].own_bps[NET_DOWN];
        CHECK_TRUE(fabs(down - 3e6) < 1 || fabs(down - 5e6) < 1);
        CHECK_REL(p->class[i].own_bps[NET_UP], 10e6, 1e-12);
        CHECK_REL(p->class[i].rtt_s, 12e-3, 1e-12);
    }
    plan_close(p);
}

static void each_drawn_client_takes_its_closed_form(void)
{
    struct play *p = play_new("{\"topology\": \"lte-measured\"}", 200, 9);
    for (size_t i = 0; i < 200; i++)
        play_add(p, i, i % 2 ? NET_UP : NET_DOWN, 2750000, 0, -1);
    play(p);
    struct plan *plan = play_plan_of(p->network, 200, 9);
    for (size_t i = 0; i < 200; i++)
        CHECK_REL(play_seconds(p, i),
                  closed_time(plan, i, i % 2 ? NET_UP : NET_DOWN, 2750000, 1).total_s, 1e-6);
    plan_close(plan);
    free(p);
}

static void plan_child(void *arg, void *result)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct plan *p = play_plan_of(arg, 100000, 1);
    getrusage(RUSAGE_SELF, &after);
    *(double *)result = 1024.0 * (double)(after.ru_maxrss - before.ru_maxrss) / 100000;
    plan_close(p);
}

static void a_drawn_client_needs_less_than_a_kilobyte(void)
{
    char network[] = "{\"topology\": \"lte-measured\", \"cell\": {\"clients\": 25, \"down\": "
                     "\"150Mbps\", \"up\": \"50Mbps\"}, \"server\": {\"down\": \"1Gbps\"}}";
    double bytes = 0;
    CHECK_TRUE(child_run(plan_child, network, &bytes, sizeof(bytes)));
    printf("     %.0f bytes of plan for each of 100,000 drawn clients\n", bytes);
#ifndef VERYEDGE_SANITIZED
    CHECK_TRUE(bytes < 1024);
#endif
}

/* --- the networks that people have --- */

static void homes_and_5g_have_their_elements_and_rates(void)
{
    static const struct {
        const char *name;
        double down_bps, up_bps, rtt_s;
        enum element_kind own, line;
    } WANT[] = {{"adsl", 10e6, 0.8e6, 35e-3, ELEMENT_HOME_ROUTER, ELEMENT_DSLAM},
                {"cable", 270.6e6, 25e6, 20e-3, ELEMENT_WIFI_AP, ELEMENT_CMTS},
                {"fibre", 149.2e6, 50e6, 12e-3, ELEMENT_WIFI_ENDPOINT, ELEMENT_OLT},
                {"5g", 240.9e6, 15.5e6, 30e-3, ELEMENT_5G_ENDPOINT, ELEMENT_5G_BASE_STATION}};
    for (size_t i = 0; i < sizeof(WANT) / sizeof(WANT[0]); i++) {
        char network[64];
        snprintf(network, sizeof(network), "{\"topology\": \"%s\"}", WANT[i].name);
        struct plan *p = play_plan_of(network, 7, 1);
        const struct plan_class *c = &p->class[0];
        CHECK_INT(p->n_classes, 1);
        CHECK_REL(c->own_bps[NET_DOWN], WANT[i].down_bps, 1e-12);
        CHECK_REL(c->own_bps[NET_UP], WANT[i].up_bps, 1e-12);
        CHECK_REL(c->rtt_s, WANT[i].rtt_s, 1e-12);
        CHECK_INT(element_count_on(&p->paths.path[c->path], WANT[i].own), 1);
        CHECK_INT(element_count_on(&p->paths.path[c->path], WANT[i].line), 1);
        CHECK_INT(element_count_on(&p->paths.path[c->path], ELEMENT_CORE_ROUTER), 4);
        plan_close(p);
    }
}

static void a_cable_segment_shares_its_coax(void)
{
    struct plan *p = play_plan_of("{\"topology\": \"cable\", \"cell\": {\"clients\": 50, \"down\": "
                             "\"1Gbps\", \"up\": \"100Mbps\"}}",
                             120, 1);
    CHECK_INT(p->n_classes, 3);
    CHECK_REL(closed_time(p, 0, NET_DOWN, 1e6, 50).goodput_bps, 20e6, 1e-12);
    CHECK_STR(closed_time(p, 2, NET_UP, 1e6, 20).bottleneck, "a: cell 3 up");
    plan_close(p);
}

/* --- reading --- */

static void draws_written_read_back_the_same(void)
{
    static const char *const TEXTS[] = {
        "{\"topology\": \"lte-measured\"}",
        "{\"draw\": {\"up\": 0.5, \"correlation\": -0.25}}",
        "{\"draw\": \"draw-work/tests.csv\"}",
        ("{\"draw\": {\"file\": \"draw-work/tests.csv\", \"where\": {\"kind\": \"x\"}, \"rtt\": "
         "\"rtt_ms\"}}"),
    };
    write_file("kind,download_mbps,upload_mbps,rtt_ms\nx,3,1,30\ny,4,2,20\n");
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        char *written = play_written(TEXTS[i]);
        CHECK_HAS(written, "\"draw\"");
        free(written);
    }
}

static void refuse(const char *file, const char *network, const char *words)
{
    write_file(file);
    play_refuse(network, words);
}

static void bad_draws_are_refused(void)
{
    static const char PLAIN[] = "{\"draw\": \"draw-work/tests.csv\"}";
    refuse("", "{\"draw\": {\"down\": -1}}", "draw.down: expected 0..3, got -1");
    refuse("", "{\"draw\": {\"down\": \"1Mbps\"}}", "draw.down: ");
    refuse("", "{\"draw\": {\"correlation\": 1.5}}", "draw.correlation: expected -1..1, got 1.5");
    refuse("", "{\"draw\": {\"spread\": 1}}", "draw.spread: unknown key");
    refuse("", "{\"draw\": 1}", "draw: expected a file, ");
    refuse("", "{\"draw\": \"draw-work/none.csv\"}", "draw: draw-work/none.csv: no such file");
    refuse("a,b\n1,2\n", PLAIN, "no column of draw-work/tests.csv begins with");
    refuse("down,up\n1,2\n3,x\n", PLAIN, "draw-work/tests.csv:3: up: expected a number");
    refuse("down,up\n1,0\n", PLAIN, "draw-work/tests.csv:2: up: expected at least 0.001 Mbit/s");
    refuse("rtt\n60001\n", PLAIN, "draw-work/tests.csv:2: rtt: ");
    refuse("down\n", "{\"draw\": {\"file\": \"draw-work/tests.csv\", \"down\": \"down\"}}",
           "expected a row that counts, got none of 0");
    refuse("down\n1\n", "{\"draw\": {\"file\": \"draw-work/tests.csv\", \"up\": \"dwn\"}}",
           "draw.up: draw-work/tests.csv has no column \"dwn\", but \"down\"");
    refuse("down\n1\n",
           "{\"draw\": {\"file\": \"draw-work/tests.csv\", \"where\": {\"kind\": \"4G\"}}}",
           "draw.where: draw-work/tests.csv has no column \"kind\"");
    refuse("down,kind\n1,3G\n",
           "{\"draw\": {\"file\": \"draw-work/tests.csv\", \"where\": {\"kind\": \"4G\"}}}",
           "expected a row that counts, got none of 1");
    refuse("s,down\n0,1\n1,1\n",
           "{\"topology\": \"lte-measured\", \"trace\": \"draw-work/tests.csv\"}",
           "trace: expected a trace or a draw, got both");
}

static void too_many_drawn_clients_are_refused(void)
{
    struct topology_root r;
    struct plan *p = NULL;
    struct err e = {0};
    topology_root_init(&r);
    topology_spec_init(&r.access, topology_find("lte-measured"));
    struct topology_group g = {"a", &r.access, DRAW_MAX_CLIENTS + 1};
    CHECK_INT(topology_plan(&p, &r, 1, &g, 0, &e), ERR_LIMIT);
    CHECK_HAS(e.text, "a: expected 1..1000000 clients with a draw, got 1000001");
}

int main(void)
{
    CASE(measured_lte_has_its_medians_spreads_and_correlation);
    CASE(a_client_draws_the_same_whoever_is_there);
    CASE(rows_of_a_file_stay_together_and_come_evenly);
    CASE(each_drawn_client_takes_its_closed_form);
    CASE(a_drawn_client_needs_less_than_a_kilobyte);
    CASE(homes_and_5g_have_their_elements_and_rates);
    CASE(a_cable_segment_shares_its_coax);
    CASE(draws_written_read_back_the_same);
    CASE(bad_draws_are_refused);
    CASE(too_many_drawn_clients_are_refused);
    return test_end();
}
