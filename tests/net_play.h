/* tests/net_play.h: plays a list of transfers over a network given as JSON, in a child process. */
#ifndef TESTS_NET_PLAY_H
#define TESTS_NET_PLAY_H

#include <sys/stat.h>

#include "net/network.h"
#include "net/topology.h"
#include "tests/child.h"
#include "tests/test.h"

enum { PLAY_MAX_GROUPS = 4, PLAY_MAX_FLOWS = 1024, PLAY_MAX_PATHS = 8 };

struct play_flow {
    size_t client;
    enum net_dir dir;
    uint64_t bytes;
    double at_s;           /* sent then, or that long after flow `after` has ended */
    int after;             /* index of a flow, or -1 */
    double cancel_at_s;    /* 0: never */
    double cancel_after_s; /* after it was sent; 0: never */
    /* out */
    double sent_s, end_s, left_bytes;
    bool ok, is_over;
};

struct play {
    const char *network; /* the scenario's, as JSON */
    uint64_t seed;
    size_t n_groups, n_at_once;
    const char *group_network[PLAY_MAX_GROUPS]; /* NULL: the scenario's */
    size_t group_clients[PLAY_MAX_GROUPS];
    size_t n_flows;
    struct play_flow flow[PLAY_MAX_FLOWS];
    /* out */
    enum err_code code;
    struct err why;
    double bits[PLAY_MAX_PATHS][N_NET_DIRS];
    size_t n_limiting; /* links that can limit */
    double end_s;
};

struct play_run {
    struct play *p;
    struct network *net;
    struct play_user {
        struct play_run *run;
        size_t flow;
        uint64_t handle;
    } user[PLAY_MAX_FLOWS];
};

static inline void play_send(void *user);

static inline void play_done(void *user, bool ok, double left_bytes)
{
    struct play_user *u = user;
    struct play *p = u->run->p;
    struct play_flow *f = &p->flow[u->flow];
    f->end_s = network_now_s(u->run->net);
    f->left_bytes = left_bytes;
    f->ok = ok;
    f->is_over = true;
    for (size_t i = 0; i < p->n_flows; i++)
        if (p->flow[i].after == (int)u->flow) {
            if (p->flow[i].at_s > 0)
                network_after(u->run->net, p->flow[i].at_s, play_send, &u->run->user[i]);
            else
                play_send(&u->run->user[i]);
        }
}

static inline void play_cancel(void *user)
{
    struct play_user *u = user;
    struct play_flow *f = &u->run->p->flow[u->flow];
    if (f->is_over)
        return;
    f->left_bytes = network_cancel(u->run->net, u->handle);
    f->end_s = network_now_s(u->run->net);
}

static inline void play_send(void *user)
{
    struct play_user *u = user;
    struct play_flow *f = &u->run->p->flow[u->flow];
    f->sent_s = network_now_s(u->run->net);
    u->handle = network_send(u->run->net, f->client, f->dir, f->bytes, play_done, u);
    if (f->cancel_after_s > 0)
        network_after(u->run->net, f->cancel_after_s, play_cancel, u);
}

/* The plan of a play: what a scenario with this network and these groups gives. */
static inline enum err_code play_plan(const struct play *p, struct plan **plan, struct err *e)
{
    struct json_doc *doc = NULL, *group_doc[PLAY_MAX_GROUPS] = {0};
    struct topology_root root;
    struct topology_spec spec[PLAY_MAX_GROUPS];
    struct topology_group groups[PLAY_MAX_GROUPS];
    static const char *const NAMES[PLAY_MAX_GROUPS] = {"a", "b", "c", "d"};
    struct arena a = {0};
    enum err_code code = json_parse(&doc, "network", p->network, strlen(p->network), e);
    if (!code)
        code = topology_parse_root(json_root(doc), &root, &a, e);
    root.seed = p->seed;
    for (size_t i = 0; i < p->n_groups && !code; i++) {
        const char *text = p->group_network[i];
        if (text)
            code = json_parse(&group_doc[i], "group", text, strlen(text), e);
        if (text && !code)
            code = topology_parse(json_root(group_doc[i]), &spec[i], &a, e);
        else if (!code)
            spec[i] = root.access;
        groups[i] = (struct topology_group){NAMES[i], &spec[i], p->group_clients[i]};
    }
    if (!code)
        code = topology_plan(plan, &root, p->n_groups, groups, p->n_at_once, e);
    for (size_t i = 0; i < p->n_groups; i++)
        json_close(group_doc[i]);
    json_close(doc);
    arena_free(&a);
    return code;
}

static inline void play_child(void *arg, void *result)
{
    struct play *p = result;
    (void)arg;
    struct plan *plan = NULL;
    struct play_run *run = calloc(1, sizeof(*run));
    run->p = p;
    p->code = play_plan(p, &plan, &p->why);
    if (!p->code)
        p->code = network_open(&run->net, plan, NULL, &p->why);
    if (!p->code) {
        for (size_t i = 0; i < p->n_flows; i++) {
            run->user[i].run = run;
            run->user[i].flow = i;
            if (p->flow[i].after < 0)
                network_at(run->net, p->flow[i].at_s, play_send, &run->user[i]);
            if (p->flow[i].cancel_at_s > 0)
                network_at(run->net, p->flow[i].cancel_at_s, play_cancel, &run->user[i]);
        }
        p->code = network_run(run->net, &p->why);
        p->end_s = network_now_s(run->net);
        for (size_t i = 0; i < plan->paths.n; i++)
            for (int dir = 0; dir < N_NET_DIRS; dir++)
                p->bits[i][dir] = network_bits(run->net, i, (enum net_dir)dir);
        for (size_t i = 0; i < plan->n_links; i++)
            p->n_limiting += plan->link[i].can_limit;
    }
    network_close(run->net);
    plan_close(plan);
    free(run);
}

/* Runs it; what came out stands in the flows. */
static inline void play(struct play *p)
{
    if (!child_run(play_child, NULL, p, sizeof(*p)))
        TEST_FAIL("the child that ran the network died");
    else if (p->code)
        TEST_FAIL("%s", p->why.text);
}

static inline double play_seconds(const struct play *p, size_t flow)
{
    return p->flow[flow].end_s - p->flow[flow].sent_s;
}

static inline struct play_flow *play_add(struct play *p, size_t client, enum net_dir dir,
                                         uint64_t bytes, double at_s, int after)
{
    struct play_flow *f = &p->flow[p->n_flows++];
    *f = (struct play_flow){
        .client = client, .dir = dir, .bytes = bytes, .at_s = at_s, .after = after};
    return f;
}

/* Writes folder/name, with the folder. */
static inline void play_write(const char *folder, const char *name, const char *text)
{
    char path[256];
    mkdir(folder, 0755);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    CHECK_TRUE(f);
    fputs(text, f);
    fclose(f);
}

/* One group of clients on one network, nothing sent yet; free releases it. */
static inline struct play *play_new(const char *network, size_t n_clients, uint64_t seed)
{
    struct play *p = calloc(1, sizeof(*p));
    p->network = network;
    p->n_groups = 1;
    p->seed = seed;
    p->group_clients[0] = n_clients;
    return p;
}

/* Its plan alone; p is given up. */
static inline struct plan *play_plan_only(struct play *p)
{
    struct plan *plan = NULL;
    struct err e = {0};
    if (play_plan(p, &plan, &e))
        TEST_FAIL("%s", e.text);
    free(p);
    return plan;
}

static inline struct plan *play_plan_of(const char *network, size_t n_clients, uint64_t seed)
{
    return play_plan_only(play_new(network, n_clients, seed));
}

/* A network, the text of "x.json", is refused with these words, which the file's name comes before. */
static inline void play_refuse(const char *network, const char *words)
{
    struct arena a = {0};
    struct json_doc *doc = NULL;
    struct topology_root r;
    struct err e = {0};
    CHECK_INT(json_parse(&doc, "x.json", network, strlen(network), &e), OK);
    if (topology_parse_root(json_root(doc), &r, &a, &e) != ERR_INPUT)
        TEST_FAIL("%s was taken", network);
    CHECK_HAS(e.text, words);
    CHECK_HAS(e.text, "x.json: ");
    json_close(doc);
    arena_free(&a);
}

/* A network as a resolved scenario has it, which read again is written the same; caller frees. */
static inline char *play_written(const char *network)
{
    struct arena a = {0};
    struct json_out o[2];
    for (int k = 0; k < 2; k++) {
        struct json_doc *doc = NULL;
        struct topology_root r;
        struct err e = {0};
        const char *text = k == 0 ? network : o[0].text;
        CHECK_INT(json_parse(&doc, "x.json", text, strlen(text), &e), OK);
        struct json of = json_root(doc);
        if (k == 1)
            CHECK_INT(json_object(of, "network", &of, &e), OK);
        CHECK_INT(topology_parse_root(of, &r, &a, &e), OK);
        CHECK_STR(e.text, "");
        json_out_init(&o[k]);
        json_out_begin(&o[k], NULL, '{');
        topology_write_root(&o[k], "network", &r);
        json_out_end(&o[k], '}');
        json_close(doc);
    }
    CHECK_STR(o[1].text, o[0].text);
    char *written = strdup(o[0].text);
    json_out_fini(&o[0]);
    json_out_fini(&o[1]);
    arena_free(&a);
    return written;
}

#endif
