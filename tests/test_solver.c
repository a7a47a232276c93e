/* SimGrid's solver: pruned or not, Lazy or Full, the same scenario takes the same time; a network
 * grows neither slower nor fatter with the number of rounds. */
#include "sim/base/rng.h"
#include "tests/net_play.h"

/* LTE cells, wired clients and limited elements behind one server link, all staggered. */
enum { N_LTE = 75, N_WIRED = 45, N_CELL = 12, N_CLIENTS = N_LTE + N_WIRED };

static struct play *mixed(bool is_pruned, bool is_full)
{
    static char network[512];
    snprintf(network, sizeof(network),
             "{\"cell\": {\"clients\": %d, \"down\": \"150Mbps\", \"up\": \"50Mbps\"}, "
             "\"server\": {\"down\": \"1Gbps\", \"up\": \"400Mbps\"}, "
             "\"limits\": {\"bng\": \"600Mbps\"}, \"prune\": %s, \"solver\": \"%s\"}",
             N_CELL, is_pruned ? "true" : "false", is_full ? "full" : "lazy");
    struct play *p = calloc(1, sizeof(*p));
    p->network = network;
    p->n_groups = 2;
    p->group_clients[0] = N_LTE;
    p->group_clients[1] = N_WIRED;
    p->group_network[1] = "{\"topology\": \"wired\", \"down\": \"300Mbps\", \"up\": \"100Mbps\", "
                          "\"rtt\": \"2ms\", \"limits\": {\"edge_router\": \"900Mbps\"}}";
    for (uint32_t i = 0; i < N_CLIENTS; i++) {
        double start_s = 3 * rng_uniform(1, 1, i, 0);
        uint64_t bytes = 50000 + (uint64_t)(6e6 * rng_uniform(1, 2, i, 0));
        if (i % 3 == 0) /* a third begin together, with equal sizes: ties */
            start_s = 0.5, bytes = 2750000;
        play_add(p, i, NET_DOWN, bytes, start_s, -1);
    }
    for (uint32_t i = 0; i < N_CLIENTS; i++) {
        double compute_s = i % 3 == 0 ? 1.0 : 2 * rng_uniform(1, 3, i, 0);
        struct play_flow *f = play_add(
            p, i, NET_UP, 50000 + (uint64_t)(3e6 * rng_uniform(1, 4, i, 0)), compute_s, (int)i);
        if (i % 17 == 5) /* some are taken away under way */
            f->cancel_after_s = 0.3;
    }
    play(p);
    return p;
}

static void expect_equal(const struct play *a, const struct play *b, const char *what)
{
    double worst = 0, worst_left = 0;
    for (size_t i = 0; i < a->n_flows; i++) {
        worst = fmax(worst, fabs(a->flow[i].end_s - b->flow[i].end_s));
        worst_left = fmax(worst_left, fabs(a->flow[i].left_bytes - b->flow[i].left_bytes));
    }
    printf("     %s: %zu transfers, worst difference %.3g s, %.3g bytes left\n", what, a->n_flows,
           worst, worst_left);
    CHECK_TRUE(worst < 1e-6);
    CHECK_TRUE(worst_left < 100); /* 1 us at 100 MB/s */
}

static void pruned_and_unpruned_lazy_and_full_agree_to_a_microsecond(void)
{
    struct play *base = mixed(true, false);
    CHECK_INT(base->n_flows, 2 * N_CLIENTS);
    size_t n_over = 0;
    for (size_t i = 0; i < base->n_flows; i++)
        n_over += base->flow[i].is_over;
    CHECK_TRUE(n_over < base->n_flows && n_over >= base->n_flows - 7);
    CHECK_TRUE(base->n_limiting > 10); /* cells, the server's link, the elements */
    static const struct {
        bool is_pruned, is_full;
        const char *what;
    } OTHERS[] = {{true, true, "pruned, Full"},
                  {false, false, "all links, Lazy"},
                  {false, true, "all links, Full"}};
    for (size_t i = 0; i < 3; i++) {
        struct play *other = mixed(OTHERS[i].is_pruned, OTHERS[i].is_full);
        expect_equal(base, other, OTHERS[i].what);
        free(other);
    }
    free(base);
}

/* The same again gives the same bits. */
static void a_run_repeats_to_the_last_bit(void)
{
    struct play *a = mixed(true, false), *b = mixed(true, false);
    for (size_t i = 0; i < a->n_flows; i++) {
        CHECK_TRUE(memcmp(&a->flow[i].sent_s, &b->flow[i].sent_s, sizeof(double)) == 0);
        CHECK_TRUE(memcmp(&a->flow[i].end_s, &b->flow[i].end_s, sizeof(double)) == 0);
        CHECK_TRUE(memcmp(&a->flow[i].left_bytes, &b->flow[i].left_bytes, sizeof(double)) == 0);
    }
    free(a);
    free(b);
}

/* Four 1 MB downloads, two per 1 MB/s cell, ahead of a link that all share: the case in which
 * SimGrid's Lazy solver forgets links when they carry latency. */
static void flows_that_start_together_feel_every_shared_link(void)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network =
        "{\"rates\": \"goodput\", \"rtt\": \"100ms\", \"down\": \"100Mbps\", \"prune\": false, "
        "\"server\": {\"down\": \"150Mbps\"}, "
        "\"cell\": {\"clients\": 2, \"down\": \"8Mbps\", \"up\": \"8Mbps\"}}";
    p->n_groups = 1;
    p->group_clients[0] = 4;
    for (size_t i = 0; i < 4; i++)
        play_add(p, i, NET_DOWN, 1000000, 0, -1);
    play(p);
    /* R = 0.5 MB/s, R rtt = 50,000: k = 2, W_2 = 43,440 */
    for (size_t i = 0; i < 4; i++)
        CHECK_REL(play_seconds(p, i), 0.05 + 0.2 - 43440 / 5e5 + 2.0, 1e-6);
    free(p);
}

/* --- many rounds --- */

struct rounds {
    size_t n_clients, n_members, n_rounds;
    /* state */
    struct network *net;
    size_t round, n_left;
    /* out */
    double end_s, bits;
    long peak_kb;
    enum err_code code;
};

static void begin_round(struct rounds *r);

struct member {
    struct rounds *r;
    size_t client;
};

static void uploaded(void *user, bool ok, double left)
{
    struct member *m = user;
    (void)ok;
    (void)left;
    struct rounds *r = m->r;
    free(m);
    if (--r->n_left == 0 && ++r->round < r->n_rounds)
        begin_round(r);
}

static void computed(void *user)
{
    struct member *m = user;
    network_send(m->r->net, m->client, NET_UP, 2752512, uploaded, m);
}

static void downloaded(void *user, bool ok, double left)
{
    struct member *m = user;
    (void)ok;
    (void)left;
    network_after(m->r->net, 30 + 60 * rng_uniform(2, 1, (uint32_t)m->client, m->r->round),
                  computed, m);
}

static size_t member_of(const struct rounds *r, size_t round, size_t i)
{
    return (round * r->n_members + i) * 7 % r->n_clients;
}

static void begin_round(struct rounds *r)
{
    r->n_left = r->n_members;
    for (size_t i = 0; i < r->n_members; i++) {
        struct member *m = malloc(sizeof(*m));
        *m = (struct member){r, member_of(r, r->round, i)};
        network_send(r->net, m->client, NET_DOWN, 2752512, downloaded, m);
    }
}

static void rounds_child(void *arg, void *result)
{
    struct rounds *r = result;
    (void)arg;
    struct play *p = calloc(1, sizeof(*p));
    struct plan *plan = NULL;
    p->network = "{\"cell\": {\"clients\": 50, \"down\": \"150Mbps\", \"up\": \"50Mbps\"}}";
    p->n_groups = 1;
    p->n_at_once = r->n_members;
    p->group_clients[0] = r->n_clients;
    bool *used = calloc(r->n_clients, sizeof(*used));
    for (size_t round = 0; round < r->n_rounds; round++)
        for (size_t i = 0; i < r->n_members; i++)
            used[member_of(r, round, i)] = true;
    r->code = play_plan(p, &plan, NULL);
    if (!r->code)
        r->code = network_open(&r->net, plan, used, NULL);
    if (!r->code) {
        begin_round(r);
        r->code = network_run(r->net, NULL);
        r->end_s = network_now_s(r->net);
        r->bits = network_bits(r->net, 0, NET_UP);
    }
    network_close(r->net);
    plan_close(plan);
    free(used);
    free(p);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    r->peak_kb = usage.ru_maxrss;
}

static struct rounds rounds_of(size_t n_clients, size_t n_members, size_t n_rounds)
{
    struct rounds r = {.n_clients = n_clients, .n_members = n_members, .n_rounds = n_rounds};
    CHECK_TRUE(child_run(rounds_child, NULL, &r, sizeof(r)));
    CHECK_INT(r.code, OK);
    CHECK_INT(r.round, n_rounds);
    CHECK_REL(r.bits, 8.0 * 2752512 * (double)(n_rounds * n_members), 1e-12);
    return r;
}

static void ten_thousand_rounds_need_no_more_memory_than_a_thousand(void)
{
    struct rounds few = rounds_of(100, 10, 1000), many = rounds_of(100, 10, 10000);
    printf("     peak %ld kB after 1,000 rounds, %ld kB after 10,000\n", few.peak_kb, many.peak_kb);
#ifndef VERYEDGE_SANITIZED /* a sanitizer keeps what was freed for a while */
    CHECK_TRUE((double)many.peak_kb <= 1.05 * (double)few.peak_kb);
#endif
}

/* Figures for the README: test_solver CLIENTS MEMBERS ROUNDS. */
static int figures(char **words)
{
    struct rounds r = rounds_of(strtoul(words[0], NULL, 10), strtoul(words[1], NULL, 10),
                                strtoul(words[2], NULL, 10));
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    printf("%s clients, %s per round, %s rounds: %.3f s of CPU, %.1f MB, %.0f virtual seconds\n",
           words[0], words[1], words[2],
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
           (double)r.peak_kb / 1024, r.end_s);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return figures(argv + 1);
    CASE(pruned_and_unpruned_lazy_and_full_agree_to_a_microsecond);
    CASE(a_run_repeats_to_the_last_bit);
    CASE(flows_that_start_together_feel_every_shared_link);
    CASE(ten_thousand_rounds_need_no_more_memory_than_a_thousand);
    return test_end();
}
