/* Bandwidth traces: the integral in closed form against the simulation, Lazy against Full, starts,
 * caps, what a cancelled transfer has moved, and files that are refused. */
#include <stdarg.h>
#include <sys/stat.h>

#include "net/closed.h"
#include "sim/base/csv.h"
#include "sim/base/rng.h"
#include "tests/net_play.h"

#define ETA (1448.0 / 1514.0)

/* A folder for trace files, and a file in it. */
static const char *write_trace(const char *name, const char *text)
{
    static char path[8][256];
    static int next;
    char *p = path[next++ % 8];
    mkdir("trace-work", 0755);
    snprintf(p, 256, "trace-work/%s", name);
    FILE *f = fopen(p, "wb");
    CHECK_TRUE(f);
    fputs(text, f);
    fclose(f);
    return p;
}

__attribute__((format(printf, 1, 2))) static struct play *play_of(const char *format, ...)
{
    static char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct play *p = calloc(1, sizeof(*p));
    p->network = text;
    p->n_groups = 1;
    p->seed = 5;
    return p;
}

/* --- the integral --- */

static void seconds_are_the_integral_by_hand(void)
{
    /* 2 s at 8 bit/s, 1 s of nothing, 3 s at 4 bit/s: 28 bits in 6 s */
    static const double AT[] = {0, 2, 3, 6}, BPS[] = {8, 0, 4};
    struct rates r;
    rates_init(&r, 3, AT, BPS);
    CHECK_REL(r.mean_bps, 28.0 / 6, 1e-15);
    CHECK_NEAR(rates_at(&r, 1.999), 8, 0);
    CHECK_NEAR(rates_at(&r, 2), 0, 0);
    CHECK_NEAR(rates_at(&r, 2 - 1e-9), 0, 0); /* rounding must not find the step that is over */
    CHECK_NEAR(rates_at(&r, 6 * 1e6 + 3.5), 4, 0);
    CHECK_NEAR(rates_next_s(&r, 7), 8, 1e-12);
    CHECK_NEAR(rates_next_s(&r, 5.5), 6, 1e-12);
    CHECK_NEAR(rates_seconds(&r, 0, 16, 1e9), 2, 1e-12);
    CHECK_NEAR(rates_seconds(&r, 0, 20, 1e9), 4, 1e-12);
    CHECK_NEAR(rates_seconds(&r, 1, 10, 1e9), 2.5, 1e-12);
    CHECK_NEAR(rates_seconds(&r, 0, 28 * 1000.0 + 16, 1e9), 6002, 1e-9);
    CHECK_NEAR(rates_seconds(&r, 4, 28 * 1000.0 + 8, 1e9), 6002, 1e-9);
    CHECK_NEAR(rates_seconds(&r, 0, 12, 4), 4, 1e-12); /* 8 in 2 s at the cap, then 4 in 1 s more */
}

/* A made-up radio: 200 steps of 0.25 .. 1.25 s, log-normal, one in twelve without a bit. */
static const char *ragged_trace(void)
{
    char *text = calloc(1, 200 * 80);
    size_t n = (size_t)sprintf(text, "t,down,up\n");
    double t = 17.5;
    for (uint32_t i = 0; i < 200; i++) {
        double down = exp(3.2 + 0.98 * rng_normal(3, 1, 0, i));
        double up = exp(2.2 + 1.1 * rng_normal(3, 1, 1, i));
        bool is_dead = rng_uniform(3, 1, 2, i) < 1.0 / 12;
        n += (size_t)sprintf(text + n, "%.4f,%.3f,%.3f\n", t, is_dead ? 0 : down, is_dead ? 0 : up);
        t += 0.25 + floor(1000 * rng_uniform(3, 1, 3, i)) / 1000;
    }
    const char *path = write_trace("ragged.csv", text);
    free(text);
    return path;
}

/* Transfers of all sizes at all times, alone on their links: each takes the closed form's time. */
static void a_flow_takes_what_the_integral_of_its_trace_says(void)
{
    const char *path = ragged_trace();
    for (int is_full = 0; is_full < 2; is_full++) {
        struct play *p =
            play_of("{\"trace\": \"%s\", \"solver\": \"%s\"}", path, is_full ? "full" : "lazy");
        p->group_clients[0] = 100;
        for (uint32_t i = 0; i < 200; i++)
            play_add(p, i / 2, i % 2 ? NET_UP : NET_DOWN,
                     1000 + (uint64_t)exp(17 * rng_uniform(4, 1, 0, i)),
                     300 * rng_uniform(4, 1, 1, i), -1);
        play(p);
        struct plan *plan = NULL;
        CHECK_INT(play_plan(p, &plan, NULL), OK);
        double worst = 0;
        for (size_t i = 0; i < p->n_flows; i++) {
            const struct play_flow *f = &p->flow[i];
            size_t c = plan_class_of(plan, f->client);
            double moment_s = f->sent_s + plan_start_s(plan, &plan->class[c], f -> client);
            double want_s = closed_alone_s(plan, c, f->dir, (double)f->bytes, moment_s);
            worst = fmax(worst, fabs(play_seconds(p, i) / want_s - 1));
            CHECK_TRUE(f->is_over && f->ok);
        }
        printf("     %s: worst relative difference %.2g\n", is_full ? "Full" : "Lazy", worst);
        CHECK_TRUE(worst < 1e-5); /* asked: 1 % */
        plan_close(plan);
        free(p);
    }
}

/* The measured traces where they are there, the integral taken from the file by hand. */
static void a_measured_lte_trace_is_met_too(void)
{
    static const char *const FILES[] = {"ATT-LTE-driving.csv", "Verizon-LTE-short.csv",
                                        "TMobile-LTE-short.csv"};
    for (size_t k = 0; k < 3; k++) {
        char path[512];
        struct csv *csv = NULL;
        snprintf(path, sizeof(path), TEST_SHARED "/data/lte-traces/mahimahi-1s/%s", FILES[k]);
        if (csv_load(&csv, path, ',', NULL)) {
            printf("     not here: %s\n", path);
            continue;
        }
        struct play *p =
            play_of("{\"trace\": {\"file\": \"%s\", \"start\": \"7s\"}, \"rtt\": \"0s\"}", path);
        p->group_clients[0] = 1;
        play_add(p, 0, NET_DOWN, 20000000, 3.25, -1);
        play(p);
        double bits = 160e6, s = 0, t = 10.25; /* 7 + 3.25, no wait without latency */
        size_t n_rows = csv_rows(csv);
        while (!*csv_cell(csv, n_rows - 1, 1))
            n_rows--;
        while (bits > 0) {
            size_t row = (size_t)t % n_rows;
            double bps = 1e6 * ETA * strtod(csv_cell(csv, row, 1), NULL), step = floor(t) + 1 - t;
            double used = bps * step < bits ? step : bits / bps;
            bits -= used < step ? bits : bps * step;
            s += used;
            t = floor(t) + 1;
        }
        printf("     %s: %.4f s, the integral %.4f s\n", FILES[k], play_seconds(p, 0), s);
        CHECK_REL(play_seconds(p, 0), s, 1e-5);
        csv_close(csv);
        free(p);
    }
}

static void a_flow_gains_from_a_rise_and_waits_through_a_gap(void)
{
    const char *path = write_trace("rise.csv", "s,down\n0,8\n2,16\n3,0\n5,8\n100,8\n");
    struct play *p = play_of("{\"trace\": {\"file\": \"%s\", \"start\": \"0s\"}, \"rtt\": \"0s\", "
                             "\"rates\": \"goodput\"}",
                             path);
    p->group_clients[0] = 2;
    play_add(p, 0, NET_DOWN, 4000000, 0, -1); /* 2 MB in 2 s, 2 MB in 1 s */
    play_add(p, 1, NET_DOWN, 5000000, 0, -1); /* and 1 MB after the gap */
    play(p);
    CHECK_REL(play_seconds(p, 0), 3, 1e-6);
    CHECK_REL(play_seconds(p, 1), 6, 1e-6);
    free(p);
}

static void a_cancelled_transfer_has_moved_the_integral_so_far(void)
{
    const char *path = write_trace("cancel.csv", "s,up\n0,8\n2,16\n100,8\n");
    struct play *p = play_of("{\"trace\": {\"file\": \"%s\", \"start\": \"0s\"}, \"rtt\": \"0s\", "
                             "\"rates\": \"goodput\"}",
                             path);
    p->group_clients[0] = 1;
    play_add(p, 0, NET_UP, 10000000, 0, -1)->cancel_at_s = 3.5;
    play_add(p, 0, NET_UP, 1000000, 5, -1);
    play(p);
    CHECK_REL(p->flow[0].left_bytes, 10e6 - (2e6 + 1.5 * 2e6), 1e-6);
    CHECK_REL(p->bits[0][NET_UP], 8 * 6e6, 1e-6);
    CHECK_REL(play_seconds(p, 1), 0.5, 1e-6);
    free(p);
}

/* --- with others --- */

/* A cell of 12 Mbit/s: 1 s at 8 + 4, then the trace falls to 2 and the other takes 10. */
static void what_a_trace_leaves_in_a_cell_the_other_takes(void)
{
    const char *path = write_trace("cell.csv", "s,down\n0,8\n1,2\n3,8\n1000,8\n");
    for (int k = 0; k < 4; k++) {
        struct play *p =
            play_of("{\"trace\": {\"file\": \"%s\", \"start\": \"0s\"}, \"rtt\": \"0s\", "
                    "\"rates\": \"goodput\", \"down\": \"8Mbps\", \"solver\": \"%s\", "
                    "\"prune\": %s, \"server\": {\"down\": \"12Mbps\"}}",
                    path, k & 1 ? "full" : "lazy", k & 2 ? "false" : "true");
        p->n_groups = 2;
        p->group_clients[0] = p->group_clients[1] = 1;
        p->group_network[1] = "{\"topology\": \"wired\", \"rtt\": \"0s\", \"rates\": \"goodput\"}";
        play_add(p, 0, NET_DOWN, 1250000, 0, -1); /* 6 Mbit in 1 s, 4 Mbit in 2 s */
        play_add(p, 1, NET_DOWN, 3250000, 0, -1); /* 6 in 1 s, 20 in 2 s */
        play(p);
        CHECK_REL(play_seconds(p, 0), 3, 1e-6);
        CHECK_REL(play_seconds(p, 1), 3, 1e-6);
        CHECK_TRUE(p->n_limiting > 0);
        free(p);
    }
}

static struct play *mixed(const char *path, bool is_pruned, bool is_full)
{
    struct play *p =
        play_of("{\"trace\": \"%s\", \"solver\": \"%s\", \"prune\": %s, "
                "\"server\": {\"down\": \"300Mbps\", \"up\": \"100Mbps\"}, "
                "\"cell\": {\"clients\": 6, \"down\": \"60Mbps\", \"up\": \"20Mbps\"}}",
                path, is_full ? "full" : "lazy", is_pruned ? "true" : "false");
    p->group_clients[0] = 60;
    for (uint32_t i = 0; i < 60; i++)
        play_add(p, i, NET_DOWN, 2000000 + i * 10000, i % 3 ? 3 * rng_uniform(6, 1, i, 0) : 0.5,
                 -1);
    for (uint32_t i = 0; i < 60; i++)
        play_add(p, i, NET_UP, 500000 + i * 10000, 2 * rng_uniform(6, 2, i, 0), (int)i);
    play(p);
    return p;
}

static void lazy_and_full_pruned_or_not_agree_under_traces(void)
{
    const char *path = ragged_trace();
    struct play *base = mixed(path, true, false);
    for (int k = 1; k < 4; k++) {
        struct play *other = mixed(path, !(k & 2), k & 1);
        double worst = 0;
        for (size_t i = 0; i < base->n_flows; i++)
            worst = fmax(worst, fabs(base->flow[i].end_s - other->flow[i].end_s));
        printf("     %s, %s: worst difference %.2g s of %.3g s\n", k & 2 ? "all links" : "pruned",
               k & 1 ? "Full" : "Lazy", worst, base->end_s);
        CHECK_TRUE(worst < 1e-5);
        free(other);
    }
    free(base);
}

/* --- starts and caps --- */

static void clients_begin_at_places_of_their_own_by_the_seed(void)
{
    const char *path = ragged_trace();
    struct play *p = play_of("{\"trace\": \"%s\"}", path);
    p->group_clients[0] = 1000;
    struct plan *plan = play_plan_only(p);
    double period_s = rates_period_s(plan->class[0].rates[NET_DOWN]), sum = 0;
    for (size_t i = 0; i < 1000; i++) {
        double start_s = plan_start_s(plan, &plan->class[0], i);
        CHECK_TRUE(start_s >= 0 && start_s < period_s);
        sum += start_s / period_s / 1000;
    }
    CHECK_NEAR(sum, 0.5, 0.03);
    CHECK_TRUE(plan_start_s(plan, &plan->class[0], 1) != plan_start_s(plan, &plan->class[0], 2));
    CHECK_REL(plan_start_s(plan, &plan->class[0], 9), period_s * rng_uniform(5, RNG_TRACE, 9, 0),
              0);
    plan_close(plan);
}

static void down_and_up_cap_a_trace_where_they_are_stated(void)
{
    const char *path = write_trace("cap.csv", "s,down,up\n0,8,1\n1,80,2\n2,0,3\n");
    struct play *p = play_of("{\"trace\": \"%s\", \"down\": \"10Mbps\"}", path);
    p->group_clients[0] = 1;
    struct plan *plan = play_plan_only(p);
    const struct plan_class *c = &plan->class[0];
    CHECK_REL(c->own_bps[NET_DOWN], 10e6 * ETA, 1e-12);
    CHECK_REL(c->own_bps[NET_UP], 3e6 * ETA, 1e-12);
    CHECK_REL(c->rates[NET_DOWN]->bps[0], 8e6 * ETA, 1e-12);
    CHECK_REL(c->rates[NET_DOWN]->bps[1], 10e6 * ETA, 1e-12);
    CHECK_REL(c->rates[NET_DOWN]->bps[2], 1, 0);
    CHECK_REL(c->rates[NET_UP]->mean_bps, 2e6 * ETA, 1e-12);
    plan_close(plan);
}

static void a_direction_without_a_column_stays_constant(void)
{
    const char *path = write_trace("one.csv", "second,mbit_per_s,up_x\n0,5,\n1,7,\n");
    struct play *p = play_of("{\"trace\": {\"file\": \"%s\", \"down\": \"mbit_per_s\"}}", path);
    p->group_clients[0] = 1;
    struct plan *plan = play_plan_only(p);
    CHECK_TRUE(plan->class[0].rates[NET_DOWN] && !plan->class[0].rates[NET_UP]);
    CHECK_REL(plan->class[0].own_bps[NET_UP], 10e6 * ETA, 1e-12);
    plan_close(plan);
}

/* --- reading --- */

static void a_trace_written_reads_back_the_same(void)
{
    struct arena a = {0};
    char text[600];
    snprintf(text, sizeof(text), "{\"trace\": {\"file\": \"%s\", \"start\": \"1.5s\"}}",
             ragged_trace());
    struct topology_root r[2];
    struct json_out o[2];
    for (int i = 0; i < 2; i++) {
        struct json_doc *doc = NULL;
        struct err e = {0};
        const char *from = i == 0 ? text : o[0].text;
        CHECK_INT(json_parse(&doc, "x.json", from, strlen(from), &e), OK);
        struct json network = json_root(doc);
        if (i == 1)
            CHECK_INT(json_object(network, "network", &network, &e), OK);
        CHECK_INT(topology_parse_root(network, &r[i], &a, &e), OK);
        CHECK_STR(e.text, "");
        json_out_init(&o[i]);
        json_out_begin(&o[i], NULL, '{');
        topology_write_root(&o[i], "network", &r[i]);
        json_out_end(&o[i], '}');
        json_close(doc);
    }
    CHECK_STR(o[1].text, o[0].text);
    CHECK_HAS(o[0].text, "\"start\": \"1.5s\"");
    CHECK_HAS(o[0].text, "\"up\": \"up\"");
    for (int i = 0; i < 2; i++)
        json_out_fini(&o[i]);
    arena_free(&a);
}

/* The network names trace-work/bad.csv, which holds trace_text. */
static void refuse(const char *trace_text, const char *network, const char *words)
{
    struct arena a = {0};
    struct json_doc *doc = NULL;
    struct topology_root r;
    struct err e = {0};
    write_trace("bad.csv", trace_text);
    CHECK_INT(json_parse(&doc, "x.json", network, strlen(network), &e), OK);
    if (topology_parse_root(json_root(doc), &r, &a, &e) != ERR_INPUT)
        TEST_FAIL("%s was taken with %s", trace_text, network);
    CHECK_HAS(e.text, words);
    CHECK_HAS(e.text, "x.json: trace");
    json_close(doc);
    arena_free(&a);
}

static void bad_traces_are_refused_with_their_line(void)
{
    static const char PLAIN[] = "{\"trace\": \"trace-work/bad.csv\"}";
    static const char GOOD[] = "s,mbit\n0,1\n1,2\n";
    refuse(GOOD, "{\"trace\": \"trace-work/none.csv\"}", "none.csv: no such file");
    refuse("s,down\n0,1\n1,x\n", PLAIN, "bad.csv:3: down: expected a number");
    refuse("s,down\n0,1\n1,-2\n", PLAIN, "bad.csv:3: down: ");
    refuse("s,down\n0,1\n1,1e8\n", PLAIN, "bad.csv:3: down: ");
    refuse("s,down,up\n0,1,1\n1,1,\n2,1,1\n", PLAIN, "bad.csv:3: up: ");
    refuse("s,down\n0,1\n0,2\n", PLAIN, "bad.csv:3: s: expected at least 0.001 s more");
    refuse("s,down\n2,1\n1,2\n", PLAIN, "bad.csv:3: s: ");
    refuse("s,down\nx,1\n1,2\n", PLAIN, "bad.csv:2: s: ");
    refuse("s,down\n0,1\n", PLAIN, "expected 2..1000000 rows below the header, got 1");
    refuse("s,down\n0,0\n1,0\n", PLAIN, "expected 0.001 Mbit/s somewhere");
    refuse(GOOD, PLAIN, "no column of trace-work/bad.csv begins with");
    refuse(GOOD, "{\"trace\": {\"file\": \"trace-work/bad.csv\", \"up\": \"mbits\"}}",
           "trace.up: trace-work/bad.csv has no column \"mbits\" of Mbit/s, but \"mbit\"");
    refuse(GOOD, "{\"trace\": {\"file\": \"trace-work/bad.csv\", \"begin\": \"1s\"}}",
           "unknown key");
    refuse(GOOD, "{\"trace\": {\"file\": \"trace-work/bad.csv\", \"start\": \"-1s\"}}",
           "trace.start");
    refuse(GOOD, "{\"trace\": {\"down\": \"mbit\"}}", "trace.file");
    refuse(GOOD, "{\"trace\": 3}", "expected a file or");
}

int main(void)
{
    CASE(seconds_are_the_integral_by_hand);
    CASE(a_flow_takes_what_the_integral_of_its_trace_says);
    CASE(a_measured_lte_trace_is_met_too);
    CASE(a_flow_gains_from_a_rise_and_waits_through_a_gap);
    CASE(a_cancelled_transfer_has_moved_the_integral_so_far);
    CASE(what_a_trace_leaves_in_a_cell_the_other_takes);
    CASE(lazy_and_full_pruned_or_not_agree_under_traces);
    CASE(clients_begin_at_places_of_their_own_by_the_seed);
    CASE(down_and_up_cap_a_trace_where_they_are_stated);
    CASE(a_direction_without_a_column_stays_constant);
    CASE(a_trace_written_reads_back_the_same);
    CASE(bad_traces_are_refused_with_their_line);
    return test_end();
}
