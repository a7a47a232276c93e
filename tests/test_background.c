/* Other people's traffic: capacity taken away from cells and from the server's link, constant and
 * over time, against closed forms; what can limit because of it; what is refused. */
#include "net/closed.h"
#include "net/startup.h"
#include "tests/net_play.h"

#define ETA (1448.0 / 1514.0)

/* 2 s of 40, 1 s of 0, 3 s of 90 Mbit/s: of 100 are left 60, 100, 10. */
static void write_evening(void)
{
    play_write("background-work", "evening.csv",
               "s,down,up\n0,40,1\n2,0,2\n3,90,3\n4,90,3\n5,90,3\n");
}

/* --- constant --- */

static void constant_background_leaves_the_rest_to_be_shared(void)
{
    static const char NETWORK[] =
        "{\"cell\": {\"clients\": 10, \"down\": \"150Mbps\", \"up\": \"50Mbps\", "
        "\"background\": {\"down\": \"50Mbps\", \"up\": \"45Mbps\"}}}";
    struct play *p = play_new(NETWORK, 10, 5);
    for (size_t i = 0; i < 10; i++)
        play_add(p, i, NET_DOWN, 2750000, 0, -1);
    for (size_t i = 0; i < 10; i++)
        play_add(p, i, NET_UP, 275000, 10, (int)i);
    play(p);
    struct plan *plan = play_plan_of(NETWORK, 10, 5);
    struct closed_time down = closed_time(plan, 0, NET_DOWN, 2750000, 10);
    CHECK_REL(down.goodput_bps, 10e6 * ETA, 1e-12);
    CHECK_REL(closed_time(plan, 0, NET_UP, 275000, 10).goodput_bps, 0.5e6 * ETA, 1e-12);
    for (size_t i = 0; i < 10; i++) {
        CHECK_REL(play_seconds(p, i), down.total_s, 1e-6);
        CHECK_REL(play_seconds(p, 10 + i), closed_time(plan, 0, NET_UP, 275000, 10).total_s, 1e-6);
    }
    plan_close(plan);
    free(p);
}

/* --- over time --- */

/* Four equal flows from 0.5 s on: a quarter each of 60 until 2 s, 100 until 3 s, 10 until 6 s, ...
 */
static void flows_share_what_a_trace_of_others_leaves(void)
{
    for (int k = 0; k < 8; k++) {
        char network[512];
        bool is_server = k & 4;
        snprintf(
            network, sizeof(network),
            "{\"rates\": \"goodput\", \"rtt\": \"0s\", \"down\": \"100Mbps\", \"solver\": \"%s\", "
            "\"prune\": %s, \"%s\": {%s\"down\": \"100Mbps\", \"up\": \"100Mbps\", "
            "\"background\": {\"trace\": {\"file\": \"background-work/evening.csv\", \"start\": "
            "\"0s\"}}}}",
            k & 1 ? "full" : "lazy", k & 2 ? "false" : "true", is_server ? "server" : "cell",
            is_server ? "" : "\"clients\": 4, ");
        struct play *p = play_new(network, 4, 5);
        /* 1.5 s at 15 + 1 s at 25 + 3 s at 2.5 + 1 s at 15 = 70 Mbit each */
        for (size_t i = 0; i < 4; i++)
            play_add(p, i, NET_DOWN, 70000000 / 8, 0.5, -1);
        play_add(p, 0, NET_DOWN, 1000000, 20.5, -1); /* 20.5 is 2.5 s into a period */
        play_add(p, 1, NET_DOWN, 1250000, 27.5, -1); /* 0.5 s at 10, then 5 Mbit at 10 */
        play(p);
        for (size_t i = 0; i < 4; i++)
            CHECK_REL(play_seconds(p, i), 6.5, 1e-6);
        CHECK_REL(play_seconds(p, 4), 0.08, 1e-6);
        CHECK_REL(play_seconds(p, 5), 1.0, 1e-6);
        CHECK_TRUE(p->n_limiting >= 1);
        free(p);
    }
}

/* 40 Mbit/s fit into a cell of 100, but not into what is left of it for 3 s of 6. */
static void a_link_that_limits_only_at_times_stays_in_the_solver(void)
{
    static const char NETWORK[] = "{\"rates\": \"goodput\", \"rtt\": \"0s\", \"cell\": "
                                  "{\"clients\": 1, \"down\": \"100Mbps\", "
                                  "\"up\": \"100Mbps\", \"background\": {\"trace\": {\"file\": "
                                  "\"background-work/evening.csv\", \"start\": \"2s\"}}}}";
    struct play *p = play_new(NETWORK, 1, 5);
    play_add(p, 0, NET_DOWN, 60000000 / 8, 0, -1); /* 1 s at 40, 2 s at 10 */
    play(p);
    CHECK_REL(play_seconds(p, 0), 3, 1e-6);
    CHECK_INT(p->n_limiting, 1);
    free(p);
}

static void the_wait_counts_what_is_left_at_that_moment(void)
{
    static const char NETWORK[] =
        "{\"rates\": \"goodput\", \"down\": \"100Mbps\", \"cell\": {\"clients\": 2, \"down\": "
        "\"100Mbps\", \"up\": \"100Mbps\", \"background\": {\"trace\": {\"file\": "
        "\"background-work/evening.csv\", \"start\": \"3s\"}}}}";
    struct play *p = play_new(NETWORK, 2, 5);
    for (size_t i = 0; i < 2; i++)
        play_add(p, i, NET_DOWN, 100000, 0, -1);
    play(p);
    double share_bps = 5e6;
    for (size_t i = 0; i < 2; i++)
        CHECK_REL(play_seconds(p, i), startup_wait_s(100000, share_bps, 0.05) + 8e5 / share_bps,
                  1e-6);
    free(p);
}

static void links_begin_at_places_of_their_own(void)
{
    static const char NETWORK[] =
        "{\"cell\": {\"clients\": 1, \"down\": \"100Mbps\", \"up\": \"100Mbps\", "
        "\"background\": {\"up\": \"1Mbps\", \"trace\": \"background-work/evening.csv\"}}}";
    struct plan *plan = play_plan_of(NETWORK, 3, 5);
    size_t a = plan->class[0].link[NET_DOWN][0], b = plan->class[1].link[NET_DOWN][0];
    CHECK_TRUE(plan_link_start_s(plan, a) != plan_link_start_s(plan, b));
    CHECK_REL(plan->link[plan->class[2].link[NET_UP][0]].rates->min_bps, 96e6 * ETA, 1e-12);
    CHECK_REL(plan->link[a].rates->max_bps, 100e6 * ETA, 1e-12);
    plan_close(plan);
}

/* --- reading --- */

static void background_written_reads_back_the_same(void)
{
    static const char TEXT[] =
        "{\"cell\": {\"clients\": 5, \"down\": \"100Mbps\", \"up\": \"10Mbps\", \"background\": "
        "{\"trace\": \"background-work/evening.csv\"}}, \"server\": {\"down\": \"1Gbps\", "
        "\"background\": {\"down\": \"0.3Gbps\"}}}";
    char *written = play_written(TEXT);
    CHECK_HAS(written, "\"background\": {\"down\": \"300Mbps\"}");
    free(written);
}

static void bad_backgrounds_are_refused(void)
{
    play_refuse("{\"server\": {\"down\": \"1Gbps\", \"background\": {\"down\": \"1Gbps\"}}}",
           "x.json: server.background.down: expected less than the link has, 1Gbps");
    play_refuse("{\"server\": {\"down\": \"1Gbps\", \"background\": {\"up\": \"1Mbps\"}}}",
           "x.json: server.background.up: the link has no stated capacity up");
    play_refuse("{\"server\": {\"down\": \"1Gbps\", \"background\": {\"trace\": "
           "\"background-work/evening.csv\"}}}",
           "x.json: server.background.trace: the link has no stated capacity up");
    play_refuse("{\"server\": {\"down\": \"1Gbps\", \"background\": {\"share\": 0.3}}}",
           "x.json: server.background.share: unknown key");
    play_refuse("{\"server\": {\"down\": \"1Gbps\", \"background\": \"300Mbps\"}}",
           "x.json: server.background: expected an object");
    play_refuse("{\"background\": {\"down\": \"1Mbps\"}}", "x.json: background: unknown key");
}

int main(void)
{
    write_evening();
    CASE(constant_background_leaves_the_rest_to_be_shared);
    CASE(flows_share_what_a_trace_of_others_leaves);
    CASE(a_link_that_limits_only_at_times_stays_in_the_solver);
    CASE(the_wait_counts_what_is_left_at_that_moment);
    CASE(links_begin_at_places_of_their_own);
    CASE(background_written_reads_back_the_same);
    CASE(bad_backgrounds_are_refused);
    return test_end();
}
