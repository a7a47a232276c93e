/* Transfer times against the rule for TCP, the TCP of a real kernel, and closed forms by hand. */
#include <signal.h>

#include "sim/base/csv.h"
#include "tests/net_play.h"

/* Ten digits are kept in golden_tcp.csv; the rule is to be met to 1e-6. */
#define RULE_TOLERANCE 1e-6

/* --- golden rows --- */

struct golden {
    struct csv *csv;
    int group, case_, topology, n_clients, bytes, down, up, rtt, cell_down, cell_up, server;
    int quantity, measured, rule, gated;
};

static bool golden_load(struct golden *g)
{
    struct err e = {0};
    if (csv_load(&g->csv, TEST_VECTORS "/golden_tcp.csv", ',', &e)) {
        TEST_FAIL("%s", e.text);
        return false;
    }
    struct {
        int *column;
        const char *name;
    } all[] = {{&g->group, "group"},
               {&g->case_, "case"},
               {&g->topology, "topology"},
               {&g->n_clients, "n_clients"},
               {&g->bytes, "payload_bytes"},
               {&g->down, "down_mbps"},
               {&g->up, "up_mbps"},
               {&g->rtt, "rtt_ms"},
               {&g->cell_down, "cell_down_mbps"},
               {&g->cell_up, "cell_up_mbps"},
               {&g->server, "server_mbps"},
               {&g->quantity, "quantity"},
               {&g->measured, "measured_s"},
               {&g->rule, "rule_s"},
               {&g->gated, "gated"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        *all[i].column = csv_find(g->csv, all[i].name);
        CHECK_TRUE(*all[i].column >= 0);
    }
    return true;
}

static const char *cell(const struct golden *g, size_t row, int column)
{
    return csv_cell(g->csv, row, (size_t)column);
}

/* One synchronous round without computing: S bytes down to each, then S bytes up from each. */
static void play_round(const struct golden *g, size_t row, struct play *p)
{
    static char network[512];
    char shared[200] = "", server[100] = "";
    if (*cell(g, row, g->cell_down))
        snprintf(shared, sizeof(shared),
                 ", \"cell\": {\"clients\": 10, \"down\": \"%sMbps\", \"up\": \"%sMbps\"}",
                 cell(g, row, g->cell_down), cell(g, row, g->cell_up));
    if (*cell(g, row, g->server))
        snprintf(server, sizeof(server), ", \"server\": {\"down\": \"%sMbps\", \"up\": \"%sMbps\"}",
                 cell(g, row, g->server), cell(g, row, g->server));
    snprintf(
        network, sizeof(network),
        "{\"topology\": \"%s\", \"down\": \"%sMbps\", \"up\": \"%sMbps\", \"rtt\": \"%sms\"%s%s}",
        cell(g, row, g->topology), cell(g, row, g->down), cell(g, row, g->up), cell(g, row, g->rtt),
        shared, server);
    *p = (struct play){.network = network, .n_groups = 1};
    size_t n = (size_t)atol(cell(g, row, g->n_clients));
    p->group_clients[0] = n;
    for (size_t i = 0; i < n; i++)
        play_add(p, i, NET_DOWN, strtoull(cell(g, row, g->bytes), NULL, 10), 0, -1);
    for (size_t i = 0; i < n; i++)
        play_add(p, i, NET_UP, strtoull(cell(g, row, g->bytes), NULL, 10), 0, (int)i);
    play(p);
}

/* What the row reads off a round: means over the clients, or the slowest client's sum. */
static double read_off(const struct play *p, const char *quantity)
{
    size_t n = p->n_flows / 2;
    double sum[2] = {0}, slowest = 0;
    for (size_t i = 0; i < n; i++) {
        double down = play_seconds(p, i), up = play_seconds(p, n + i);
        sum[0] += down;
        sum[1] += up;
        slowest = fmax(slowest, down + up);
    }
    if (strcmp(quantity, "round") == 0)
        return slowest;
    return sum[strcmp(quantity, "up") == 0] / (double)n;
}

/* Limits of ground-truth/README.md: mean and worst error over the gated rows of a group. */
static struct group_error {
    const char *name;
    double mean_limit, worst_limit;
    int n_wanted, n;
    double sum, worst;
} * group_errors(void)
{
    static struct group_error groups[] = {
        {"dedicated", 0.01, 0.04, 36, 0, 0, 0},
        {"cell-fair", 0.01, 0.04, 15, 0, 0, 0},
        {"wired", 0.03, 0.06, 12, 0, 0, 0},
        {"cell-fifo", 0.10, 0.20, 5, 0, 0, 0},
        {NULL, 0, 0, 0, 0, 0, 0},
    };
    return groups;
}

static void note_error(const char *group, double error)
{
    for (struct group_error *g = group_errors(); g->name; g++)
        if (strcmp(g->name, group) == 0) {
            g->n++;
            g->sum += fabs(error);
            g->worst = fmax(g->worst, fabs(error));
        }
}

static void every_golden_row_comes_out_as_the_rule_says(void)
{
    struct golden g = {0};
    if (!golden_load(&g))
        return;
    CHECK_INT(csv_rows(g.csv), 102);
    struct play *p = calloc(1, sizeof(*p));
    for (size_t row = 0; row < csv_rows(g.csv); row++) {
        const char *quantity = cell(&g, row, g.quantity);
        if (strcmp(quantity, "down") == 0) /* its up and round are the next two rows */
            play_round(&g, row, p);
        double got = read_off(p, quantity), rule = strtod(cell(&g, row, g.rule), NULL);
        if (!(fabs(got / rule - 1) <= RULE_TOLERANCE))
            TEST_FAIL("%s N=%s S=%s %s: got %.9g s, the rule says %.9g", cell(&g, row, g.case_),
                      cell(&g, row, g.n_clients), cell(&g, row, g.bytes), quantity, got, rule);
        if (*cell(&g, row, g.gated) == '1')
            note_error(cell(&g, row, g.group), got / strtod(cell(&g, row, g.measured), NULL) - 1);
    }
    free(p);
    csv_close(g.csv);
}

static void gated_rows_come_as_close_to_measured_tcp_as_stated(void)
{
    for (struct group_error *g = group_errors(); g->name; g++) {
        CHECK_INT(g->n, g->n_wanted);
        double mean = g->sum / g->n;
        printf("     %-10s mean error %.2f %%, worst %.2f %% over %d rows\n", g->name, 100 * mean,
               100 * g->worst, g->n);
        CHECK_TRUE(mean <= g->mean_limit);
        CHECK_TRUE(g->worst <= g->worst_limit);
    }
}

/* --- the three exact checks of ground-truth/scenarios.md --- */

static void opposite_directions_do_not_slow_each_other(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{\"cell\": {\"clients\": 4, \"down\": \"60Mbps\", \"up\": \"20Mbps\"}}";
    p->n_groups = 1;
    p->group_clients[0] = 4;
    for (size_t i = 0; i < 4; i++)
        play_add(p, i, i < 2 ? NET_DOWN : NET_UP, 2000000, 0, -1);
    play(p);
    for (size_t i = 0; i < 4; i++)
        CHECK_REL(play_seconds(p, i), i < 2 ? 0.722082726 : 1.763144177, RULE_TOLERANCE);
    free(p);
}

static void near_and_far_clients_share_the_server_fairly(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network =
        "{\"topology\": \"wired\", \"server\": {\"down\": \"50Mbps\", \"up\": \"50Mbps\"}}";
    p->n_groups = 2;
    p->group_clients[0] = p->group_clients[1] = 1;
    p->group_network[1] = "{\"topology\": \"lte\"}";
    for (size_t i = 0; i < 2; i++)
        play_add(p, i, NET_DOWN, 2000000, 0, -1);
    for (size_t i = 0; i < 2; i++)
        play_add(p, i, NET_UP, 2000000, 0, (int)i);
    play(p);
    CHECK_REL(play_seconds(p, 0), 0.516913271, RULE_TOLERANCE);
    CHECK_REL(play_seconds(p, 1), 0.707279521, RULE_TOLERANCE);
    CHECK_REL(play_seconds(p, 2), 0.348130232, RULE_TOLERANCE);
    CHECK_REL(play_seconds(p, 3), 1.763144177, RULE_TOLERANCE);
    free(p);
}

static void a_late_comer_counts_who_is_there_and_moves_no_wait(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{\"cell\": {\"clients\": 2, \"down\": \"40Mbps\", \"up\": \"10Mbps\"}}";
    p->n_groups = 1;
    p->group_clients[0] = 2;
    play_add(p, 0, NET_DOWN, 7080000, 0, -1);
    play_add(p, 1, NET_DOWN, 688000, 1.0, -1);
    play(p);
    CHECK_REL(play_seconds(p, 0), 1.805545260, RULE_TOLERANCE);
    CHECK_REL(play_seconds(p, 1), 0.421903646, RULE_TOLERANCE);
    free(p);
}

/* --- what else the simulation relies on --- */

/* Ten in a cell that are ready at one instant, half by a timer and half by a transfer's end, count
 * as ten. */
static void sends_of_one_instant_count_together_wherever_they_come_from(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{\"down\": \"40Mbps\", \"up\": \"10Mbps\", "
                 "\"cell\": {\"clients\": 10, \"down\": \"1Gbps\", \"up\": \"50Mbps\"}}";
    p->n_groups = 1;
    p->group_clients[0] = 10;
    for (size_t i = 0; i < 5; i++)
        play_add(p, i, NET_DOWN, 100000, 0, -1);
    for (size_t i = 0; i < 5; i++)
        play_add(p, i, NET_UP, 100000, 0, (int)i);
    double goodput = 40e6 * 1448 / 1514 / 8;
    double down_s = 0.025 + 2 * 0.05 - 3 * 14480 / goodput + 100000 / goodput;
    for (size_t i = 5; i < 10; i++) /* exactly when the downloads end, but for rounding */
        play_add(p, i, NET_UP, 100000, down_s, -1);
    play(p);
    CHECK_REL(play_seconds(p, 0), down_s, 1e-6);
    for (size_t i = 5; i < 15; i++) /* all ten uploads as in the golden row lte-cell-fair 0.1 MB */
        CHECK_REL(play_seconds(p, i), 0.219620818, 1e-6);
    free(p);
}

static void cancelled_transfers_count_what_arrived(void)
{
    for (int solver = 0; solver < 2; solver++) {
        struct play *p = calloc(1, sizeof(*p));
        p->network = solver ? "{\"rates\": \"goodput\", \"solver\": \"full\"}"
                            : "{\"rates\": \"goodput\", \"solver\": \"lazy\"}";
        p->n_groups = 1;
        p->group_clients[0] = 3;
        play_add(p, 0, NET_UP, 1250000, 0, -1)->cancel_at_s = 0.5;  /* while it flows */
        play_add(p, 1, NET_UP, 1250000, 0, -1)->cancel_at_s = 0.01; /* while it waits */
        play_add(p, 2, NET_UP, 1250000, 0, -1)->cancel_at_s = 9.0;  /* after its end */
        play(p);
        /* 10 Mbit/s, R rtt = 62,500: k = 3 (w_3 = 115,840), W_3 = 101,360 */
        double wait_s = 0.025 + 3 * 0.05 - 101360 / 1.25e6;
        double arrived = (0.5 - wait_s) * 1.25e6;
        CHECK_REL(p->flow[0].left_bytes, 1250000 - arrived, 1e-6);
        CHECK_REL(p->flow[1].left_bytes, 1250000, 0);
        CHECK_TRUE(!p->flow[0].is_over && !p->flow[1].is_over);
        CHECK_REL(play_seconds(p, 2), wait_s + 1, 1e-6);
        CHECK_REL(p->bits[0][NET_UP], 8 * (arrived + 1250000), 1e-6);
        CHECK_INT(p->bits[0][NET_DOWN], 0);
        free(p);
    }
}

static void a_cancelled_transfer_gives_its_share_to_the_others(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{\"rates\": \"goodput\", \"rtt\": \"0s\", "
                 "\"cell\": {\"clients\": 2, \"down\": \"40Mbps\", \"up\": \"10Mbps\"}}";
    p->n_groups = 1;
    p->group_clients[0] = 2;
    play_add(p, 0, NET_DOWN, 10000000, 0, -1);
    play_add(p, 1, NET_DOWN, 10000000, 0, -1)->cancel_at_s = 2.0;
    play(p);
    /* 2 s at 2.5 MB/s, then 5 MB at 5 MB/s */
    CHECK_REL(play_seconds(p, 0), 3.0, 1e-6);
    CHECK_REL(p->flow[1].left_bytes, 5000000, 1e-6);
    CHECK_REL(p->bits[0][NET_DOWN], 8 * 15e6, 1e-6);
    free(p);
}

static void ended_and_cancelled_transfers_count_no_more(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{\"cell\": {\"clients\": 4, \"down\": \"40Mbps\", \"up\": \"10Mbps\"}}";
    p->n_groups = 1;
    p->group_clients[0] = 4;
    play_add(p, 0, NET_DOWN, 688000, 0, -1);
    play_add(p, 1, NET_DOWN, 688000, 1, -1)->cancel_after_s = 0.01; /* while it waits */
    play_add(p, 2, NET_DOWN, 688000, 2, -1)->cancel_after_s = 0.25; /* while it flows */
    play_add(p, 3, NET_DOWN, 688000, 3, -1);
    play(p);
    CHECK_REL(play_seconds(p, 0), 0.325003823, 1e-6);
    CHECK_REL(play_seconds(p, 3), 0.325003823, 1e-6);
    free(p);
}

static void an_empty_transfer_takes_the_latency(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{}";
    p->n_groups = 1;
    p->group_clients[0] = 1;
    play_add(p, 0, NET_DOWN, 0, 1.0, -1);
    play_add(p, 0, NET_UP, 1, 0, 0);
    play(p);
    CHECK_TRUE(p->flow[0].ok && p->flow[1].ok);
    CHECK_NEAR(p->flow[0].end_s, 1.025, 1e-9);
    CHECK_NEAR(play_seconds(p, 1), 0.025 + 8 / (10e6 * 1448 / 1514), 1e-9);
    free(p);
}

static void bits_are_counted_by_path_and_direction(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{\"cell\": {\"clients\": 2, \"down\": \"60Mbps\", \"up\": \"20Mbps\"}}";
    p->n_groups = 2;
    p->group_clients[0] = 3; /* two cells, one path */
    p->group_clients[1] = 2;
    p->group_network[1] = "{\"topology\": \"wired\"}";
    for (size_t i = 0; i < 5; i++)
        play_add(p, i, NET_DOWN, 1000 + i, 0, -1);
    play_add(p, 4, NET_UP, 77, 0, 4);
    play(p);
    CHECK_REL(p->bits[0][NET_DOWN], 8 * (1000 + 1001 + 1002), 0);
    CHECK_REL(p->bits[1][NET_DOWN], 8 * (1003 + 1004), 0);
    CHECK_REL(p->bits[0][NET_UP], 0, 0);
    CHECK_REL(p->bits[1][NET_UP], 8 * 77, 0);
    free(p);
}

/* --- timers, stop, handles, one network per process --- */

struct control {
    struct network *net;
    int n_ticks, n_done;
    double stop_s, end_s;
    uint64_t timer, send;
    size_t n_active;
    enum err_code second, first_run, second_run;
    double stale_left;
};

static void tick(void *user)
{
    ((struct control *)user)->n_ticks++;
}

static void stop(void *user)
{
    struct control *c = user;
    c->stop_s = network_now_s(c->net);
    network_stop(c->net);
    network_after(c->net, 1, tick, c);
}

static void done(void *user, bool ok, double left)
{
    struct control *c = user;
    c->n_done += ok && left <= 0;
}

static void tick_cancelling(void *user)
{
    struct control *c = user;
    c->n_ticks++;
    network_cancel_timer(c->net, c->timer);
    c->stale_left = network_cancel(c->net, c->send);
}

static void control_child(void *arg, void *result)
{
    struct control *c = result;
    struct plan *plan = NULL;
    struct play *p = calloc(1, sizeof(*p));
    p->network = "{}";
    p->n_groups = 1;
    p->group_clients[0] = 1000;
    bool used[1000] = {[7] = true};
    if (play_plan(p, &plan, NULL) || network_open(&c->net, plan, used, NULL))
        return;
    c->second = network_open(&(struct network *){NULL}, plan, used, NULL);
    bool is_stopped_case = *(bool *)arg;
    network_at(c->net, 1, tick, c);
    c->send = network_send(c->net, 7, NET_DOWN, 1000, done, c);
    if (is_stopped_case) {
        network_at(c->net, 2, stop, c);
        network_at(c->net, 3, tick, c);
        network_send(c->net, 7, NET_DOWN, 100000000, done, c);
    } else {
        network_at(c->net, 2, tick_cancelling, c); /* the send is over: its handle is stale */
        c->timer = network_at(c->net, 3, tick, c);
    }
    c->n_active = network_active(c->net);
    c->first_run = network_run(c->net, NULL);
    if (!is_stopped_case)
        network_after(c->net, 0.5, tick, c);
    c->second_run = network_run(c->net, NULL);
    c->end_s = network_now_s(c->net);
    network_close(c->net);
    plan_close(plan);
    free(p);
}

static void timers_fire_in_time_and_can_be_taken_back(void)
{
    struct control c = {.second = OK};
    CHECK_TRUE(child_run(control_child, &(bool){false}, &c, sizeof(c)));
    CHECK_INT(c.first_run, OK);
    CHECK_INT(c.second_run, OK);
    CHECK_INT(c.n_active, 1);
    CHECK_INT(c.n_ticks, 3); /* at 1, 2 and 2.5 s; the one at 3 s was taken back */
    CHECK_INT(c.n_done, 1);
    CHECK_NEAR(c.end_s, 2.5, 1e-9);
    CHECK_NEAR(c.stale_left, 0, 0);
}

static void after_stop_nobody_is_called(void)
{
    struct control c = {.second = OK};
    CHECK_TRUE(child_run(control_child, &(bool){true}, &c, sizeof(c)));
    CHECK_INT(c.n_ticks, 1);
    CHECK_INT(c.n_done, 1);
    CHECK_NEAR(c.stop_s, 2, 1e-9);
    CHECK_NEAR(c.end_s, 2, 1e-9);
}

static void a_second_network_in_a_process_is_refused(void)
{
    struct control c = {.second = OK};
    CHECK_TRUE(child_run(control_child, &(bool){false}, &c, sizeof(c)));
    CHECK_INT(c.second, ERR_INTERNAL);
}

static void our_handler(int signal)
{
    (void)signal;
}

static void signals_child(void *arg, void *result)
{
    static const int OURS[] = {SIGINT, SIGSEGV, SIGBUS, SIGTERM};
    struct sigaction mine = {.sa_handler = our_handler}, now;
    struct plan *plan = NULL;
    struct network *net = NULL;
    struct play *p = calloc(1, sizeof(*p));
    (void)arg;
    p->network = "{}";
    p->n_groups = 1;
    p->group_clients[0] = 1;
    for (size_t i = 0; i < 4; i++)
        sigaction(OURS[i], &mine, NULL);
    if (play_plan(p, &plan, NULL) || network_open(&net, plan, NULL, NULL) || network_run(net, NULL))
        return;
    for (size_t i = 0; i < 4; i++)
        *(int *)result += sigaction(OURS[i], NULL, &now) == 0 && now.sa_handler == our_handler;
    network_close(net);
    plan_close(plan);
    free(p);
}

static void signal_handlers_stay_ours(void)
{
    int n_ours = 0;
    CHECK_TRUE(child_run(signals_child, NULL, &n_ours, sizeof(n_ours)));
    CHECK_INT(n_ours, 4);
}

int main(void)
{
    CASE(every_golden_row_comes_out_as_the_rule_says);
    CASE(gated_rows_come_as_close_to_measured_tcp_as_stated);
    CASE(opposite_directions_do_not_slow_each_other);
    CASE(near_and_far_clients_share_the_server_fairly);
    CASE(a_late_comer_counts_who_is_there_and_moves_no_wait);
    CASE(sends_of_one_instant_count_together_wherever_they_come_from);
    CASE(cancelled_transfers_count_what_arrived);
    CASE(a_cancelled_transfer_gives_its_share_to_the_others);
    CASE(ended_and_cancelled_transfers_count_no_more);
    CASE(an_empty_transfer_takes_the_latency);
    CASE(bits_are_counted_by_path_and_direction);
    CASE(timers_fire_in_time_and_can_be_taken_back);
    CASE(after_stop_nobody_is_called);
    CASE(a_second_network_in_a_process_is_refused);
    CASE(signal_handlers_stay_ours);
    return test_end();
}
