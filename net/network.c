#include "net/network.h"

#include <math.h>
#include <string.h>

#include "net/sg_flow.h"
#include "net/startup.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

enum item_state {
    ITEM_FREE,
    ITEM_SENT,    /* counted on its links; its wait is fixed when this instant is over */
    ITEM_WAITING, /* the wait is fixed: a timer starts the flow */
    ITEM_FLOWING,
    ITEM_TIMER /* a timer of the caller's */
};

/* A transfer or a timer. Items do not move: SimGrid's callbacks carry their addresses. */
struct item {
    struct network *net;
    uint32_t slot, generation; /* the handle: a stale one does not match */
    enum item_state state;
    struct item *next_free;
    struct sg_timer *timer;
    void *user;
    network_tick *tick;
    /* transfers only */
    network_done *done;
    struct sg_flow *flow;
    struct sg_timer *change; /* the own link's next change of rate, while the bytes flow */
    size_t client, class;
    enum net_dir dir;
    uint64_t bytes;
    double sent_s;
};

enum { ITEMS_PER_BLOCK = 256 };

/* A shared link of the solver whose capacity changes, while bytes flow over it. */
struct shared {
    struct network *net;
    size_t link, n_flowing;
    struct sg_link *made;
    struct sg_timer *change;
};

struct network {
    const struct plan *plan;
    struct sg *sg;
    struct sg_host **host;              /* [n_clients], NULL where not used */
    struct sg_link *(*own)[N_NET_DIRS]; /* [n_clients], where its rate changes; NULL: nowhere */
    struct shared *shared;              /* [n_links] those whose capacity changes */
    size_t *n_on_link; /* [n_links] flows between "send" and last byte, where the link can limit */
    double (*bits)[N_NET_DIRS]; /* [n_paths] */
    double instant_s;
    struct arena arena;
    /* items */
    struct item **block;
    size_t n_blocks, cap_blocks;
    struct item *free;
    size_t n_active[N_NET_DIRS];
    /* the sends of this instant, in order */
    uint64_t *sent;
    size_t n_sent, cap_sent;
    bool is_stopped;
    double stop_s;
};

/* --- items --- */

static uint64_t handle_of(const struct item *it)
{
    return (uint64_t)it->generation << 32 | it->slot;
}

static struct item *item_take(struct network *n)
{
    if (!n->free) {
        struct item *block = ARENA_NEW(&n->arena, struct item, ITEMS_PER_BLOCK);
        mem_grow((void **)&n->block, &n->cap_blocks, n->n_blocks + 1, sizeof(*n->block));
        for (size_t i = ITEMS_PER_BLOCK; i-- > 0;) {
            block[i] = (struct item){.net = n,
                                     .slot = (uint32_t)(n->n_blocks * ITEMS_PER_BLOCK + i),
                                     .generation = 1,
                                     .next_free = n->free};
            n->free = &block[i];
        }
        n->block[n->n_blocks++] = block;
    }
    struct item *it = n->free;
    n->free = it->next_free;
    return it;
}

static void item_release(struct item *it)
{
    it->state = ITEM_FREE;
    it->generation = it->generation == UINT32_MAX ? 1 : it->generation + 1;
    it->next_free = it->net->free;
    it->net->free = it;
}

static struct item *item_find(const struct network *n, uint64_t handle)
{
    uint32_t slot = (uint32_t)handle, generation = (uint32_t)(handle >> 32);
    if (slot >= n->n_blocks * ITEMS_PER_BLOCK)
        return NULL;
    struct item *it = &n->block[slot / ITEMS_PER_BLOCK][slot % ITEMS_PER_BLOCK];
    return it->generation == generation && it->state != ITEM_FREE ? it : NULL;
}

/* --- the life of a transfer --- */

/* Its links count one flow more or less. */
static void count_on_links(struct item *it, bool is_more)
{
    const struct plan *p = it->net->plan;
    const struct plan_class *c = &p->class[it->class];
    for (size_t i = 0; i < c->n_links[it->dir]; i++) {
        size_t l = c->link[it->dir][i];
        if (p->link[l].can_limit)
            it->net->n_on_link[l] += is_more ? 1 : (size_t)-1;
    }
}

/* The moment of the client's rates, and the present goodput of its own link. */
static double moment_s(const struct item *it)
{
    const struct plan *p = it->net->plan;
    return sg_now_s(it->net->sg) + plan_start_s(p, &p->class[it->class], it -> client);
}

static double own_now_bps(const struct item *it)
{
    const struct plan_class *c = &it->net->plan->class[it->class];
    return c->rates[it->dir] ? rates_at(c->rates[it->dir], moment_s(it)) : c->own_bps[it->dir];
}

/* Gives the own link its present rate, and again at every change while the bytes flow. */
static void follow_rate(void *user)
{
    struct item *it = user;
    struct network *n = it->net;
    const struct rates *r = n->plan->class[it->class].rates[it->dir];
    it->change = NULL;
    if (!r || n->is_stopped)
        return;
    double moment = moment_s(it);
    sg_set_rate(n->sg, n->own[it->client][it->dir], rates_at(r, moment));
    double change_s = sg_now_s(n->sg) + (rates_next_s(r, moment) - moment);
    it->change = sg_at(n->sg, change_s, follow_rate, it);
}

/* The present capacity of a shared link. */
static double shared_now_bps(const struct network *n, size_t link)
{
    const struct plan_link *l = &n->plan->link[link];
    return l->rates ? rates_at(l->rates, sg_now_s(n->sg) + plan_link_start_s(n->plan, link))
                    : l->goodput_bps;
}

/* As follow_rate, for a shared link. */
static void follow_shared(void *user)
{
    struct shared *s = user;
    struct network *n = s->net;
    s->change = NULL;
    if (n->is_stopped)
        return;
    double moment = sg_now_s(n->sg) + plan_link_start_s(n->plan, s->link);
    const struct rates *r = n->plan->link[s->link].rates;
    sg_set_rate(n->sg, s->made, rates_at(r, moment));
    s->change =
        sg_at(n->sg, sg_now_s(n->sg) + (rates_next_s(r, moment) - moment), follow_shared, s);
}

/* A flow begins or ends on the shared links of its class. */
static void flow_on_shared(struct item *it, bool begins)
{
    struct network *n = it->net;
    const struct plan_class *c = &n->plan->class[it->class];
    for (size_t i = 0; i < c->n_links[it->dir] && n->shared; i++) {
        struct shared *s = &n->shared[c->link[it->dir][i]];
        if (!s->made)
            continue;
        s->n_flowing += begins ? 1 : (size_t)-1;
        if (begins && s->n_flowing == 1)
            follow_shared(s);
        if (s->n_flowing == 0 && s->change) {
            sg_cancel_timer(n->sg, s->change);
            s->change = NULL;
        }
    }
}

/* It is over: books what arrived and gives the item back. */
static void transfer_end(struct item *it, double left_bytes)
{
    struct network *n = it->net;
    if (it->change)
        sg_cancel_timer(n->sg, it->change);
    it->change = NULL;
    if (it->state == ITEM_FLOWING)
        flow_on_shared(it, false);
    count_on_links(it, false);
    n->bits[n->plan->class[it->class].path][it->dir] += 8 * ((double)it->bytes - left_bytes);
    n->n_active[it->dir]--;
    item_release(it);
}

static void on_flow_done(void *user, bool ok, double left_bytes)
{
    struct item *it = user;
    if (it->net->is_stopped)
        return;
    network_done *done = it->done;
    void *its_user = it->user;
    double left = ok ? 0 : fmin(fmax(left_bytes, 0), (double)it->bytes);
    transfer_end(it, left);
    done(its_user, ok, left);
}

/* The wait is over: the bytes flow. */
static void on_start(void *user)
{
    struct item *it = user;
    struct network *n = it->net;
    it->timer = NULL;
    if (n->is_stopped)
        return;
    if (it->bytes == 0) {
        on_flow_done(it, true, 0);
        return;
    }
    it->state = ITEM_FLOWING;
    follow_rate(it);
    flow_on_shared(it, true);
    it->flow =
        sg_send(n->sg, n->host[it->client], it->dir == NET_DOWN, it->bytes, on_flow_done, it);
    if (!it->flow)
        on_flow_done(it, false, (double)it->bytes);
}

static void transfer_wait(struct item *it)
{
    const struct plan *p = it->net->plan;
    const struct plan_class *c = &p->class[it->class];
    double share_bps = own_now_bps(it);
    for (size_t i = 0; i < c->n_links[it->dir]; i++) {
        const struct plan_link *l = &p->link[c->link[it->dir][i]];
        if (l->can_limit) {
            double n_flows = (double)it->net->n_on_link[c->link[it->dir][i]];
            share_bps = fmin(share_bps, shared_now_bps(it->net, c->link[it->dir][i]) / n_flows);
        }
    }
    double wait_s = startup_wait_s((double)it->bytes, share_bps, c->rtt_s);
    it->state = ITEM_WAITING;
    it->timer = sg_at(it->net->sg, it->sent_s + wait_s, on_start, it);
}

/* The instant is over: every flow that was sent in it is counted, so their waits can be fixed. */
static void on_instant_over(void *user)
{
    struct network *n = user;
    for (size_t i = 0; i < n->n_sent && !n->is_stopped; i++) {
        struct item *it = item_find(n, n->sent[i]);
        if (it) /* not cancelled meanwhile */
            transfer_wait(it);
    }
    n->n_sent = 0;
}

uint64_t network_send(struct network *n, size_t client, enum net_dir dir, uint64_t bytes,
                      network_done *done, void *user)
{
    CHECK(client < n->plan->n_clients && n->host[client] && done);
    if (n->is_stopped)
        return 1ull << 32; /* a handle that is over */
    struct item *it = item_take(n);
    it->state = ITEM_SENT;
    it->client = client;
    it->class = plan_class_of(n->plan, client);
    it->dir = dir;
    it->bytes = bytes;
    it->done = done;
    it->user = user;
    it->sent_s = sg_now_s(n->sg);
    n->n_active[dir]++;
    CHECK(n->plan->n_at_once == 0 || n->n_active[dir] <= n->plan->n_at_once);
    count_on_links(it, true);
    uint64_t handle = handle_of(it);
    if (n->plan->class[it->class].rtt_s > 0) {
        if (n->n_sent == 0)
            sg_at(n->sg, it->sent_s + n->instant_s, on_instant_over, n);
        mem_grow((void **)&n->sent, &n->cap_sent, n->n_sent + 1, sizeof(*n->sent));
        n->sent[n->n_sent++] = handle;
    } else { /* without latency there is no wait, whatever the share */
        transfer_wait(it);
    }
    return handle;
}

double network_cancel(struct network *n, uint64_t send)
{
    struct item *it = item_find(n, send);
    if (!it || it->state == ITEM_TIMER || n->is_stopped)
        return 0;
    double left = (double)it->bytes;
    if (it->state == ITEM_FLOWING)
        left = fmin(fmax(sg_cancel(n->sg, it->flow), 0), left);
    else if (it->state == ITEM_WAITING && it->timer)
        sg_cancel_timer(n->sg, it->timer);
    transfer_end(it, left);
    return left;
}

/* --- time --- */

static void on_timer(void *user)
{
    struct item *it = user;
    struct network *n = it->net;
    network_tick *tick = it->tick;
    void *its_user = it->user;
    item_release(it);
    if (!n->is_stopped)
        tick(its_user);
}

uint64_t network_at(struct network *n, double t_s, network_tick *tick, void *user)
{
    CHECK(tick && isfinite(t_s) && t_s >= network_now_s(n));
    if (n->is_stopped)
        return 1ull << 32;
    struct item *it = item_take(n);
    it->state = ITEM_TIMER;
    it->tick = tick;
    it->user = user;
    it->timer = sg_at(n->sg, t_s, on_timer, it);
    return handle_of(it);
}

uint64_t network_after(struct network *n, double dt_s, network_tick *tick, void *user)
{
    CHECK(dt_s >= 0);
    return network_at(n, network_now_s(n) + dt_s, tick, user);
}

void network_cancel_timer(struct network *n, uint64_t timer)
{
    struct item *it = item_find(n, timer);
    if (!it || it->state != ITEM_TIMER || n->is_stopped)
        return;
    if (it->timer)
        sg_cancel_timer(n->sg, it->timer);
    item_release(it);
}

double network_now_s(const struct network *n)
{
    return n->is_stopped ? n->stop_s : sg_now_s(n->sg);
}

enum err_code network_run(struct network *n, struct err *e)
{
    return sg_run(n->sg, e);
}

/* What is under way runs dry in SimGrid: nobody is called, so nothing new begins. */
void network_stop(struct network *n)
{
    n->stop_s = network_now_s(n);
    n->is_stopped = true;
}

size_t network_active(const struct network *n)
{
    return n->n_active[NET_DOWN] + n->n_active[NET_UP];
}

double network_bits(const struct network *n, size_t path, enum net_dir dir)
{
    CHECK(path < n->plan->paths.n);
    return n->bits[path][dir];
}

size_t network_path_of(const struct network *n, size_t client)
{
    return n->plan->class[plan_class_of(n->plan, client)].path;
}

const struct plan *network_plan(const struct network *n)
{
    return n->plan;
}

/* --- building --- */

/* What is under construction: the solver's copies of each shared link, made when first needed. */
struct builder {
    struct network *n;
    struct sg_link ***copies; /* [n_links], NULL until made */
    struct sg_link **route[N_NET_DIRS];
    size_t n_route[N_NET_DIRS], cap_route[N_NET_DIRS];
};

static enum err_code push_link(struct builder *b, enum net_dir dir, double bps,
                               struct sg_link *made, struct err *e)
{
    enum err_code code = made ? OK : sg_add_link(b->n->sg, bps, &made, e);
    if (code)
        return code;
    mem_grow((void **)&b->route[dir], &b->cap_route[dir], b->n_route[dir] + 1, sizeof(made));
    b->route[dir][b->n_route[dir]++] = made;
    return OK;
}

/* Appends a shared link's copies to the route, or nothing if it stays out of the solver. */
static enum err_code push_shared(struct builder *b, size_t index, enum net_dir dir, struct err *e)
{
    const struct plan *p = b->n->plan;
    const struct plan_link *l = &p->link[index];
    if (!l->can_limit && p->is_pruned)
        return OK;
    size_t count = (size_t)l->count;
    bool is_new = !b->copies[index];
    if (is_new)
        b->copies[index] = ARENA_NEW(&b->n->arena, struct sg_link *, count);
    double bps = isinf(l->goodput_bps) ? l->nominal_bps : l->goodput_bps;
    if (is_new && l->rates) {
        struct shared *s = &b->n->shared[index];
        enum err_code code = sg_add_varying_link(b->n->sg, bps, &s->made, e);
        if (code)
            return code;
        s->net = b->n;
        s->link = index;
        b->copies[index][0] = s->made;
        is_new = false;
    }
    for (size_t i = 0; i < count; i++) {
        enum err_code code = push_link(b, dir, bps, b->copies[index][i], e);
        if (code)
            return code;
        if (is_new)
            b->copies[index][i] = b->route[dir][b->n_route[dir] - 1];
    }
    return OK;
}

/* A client's own link, the first on its route. */
static enum err_code push_own(struct builder *b, const struct plan_class *c, size_t client,
                              enum net_dir dir, struct err *e)
{
    if (!c->rates[dir])
        return push_link(b, dir, c->own_bps[dir], NULL, e);
    struct sg_link **own = &b->n->own[client][dir];
    enum err_code code = sg_add_varying_link(b->n->sg, c->own_bps[dir], own, e);
    return code ? code : push_link(b, dir, c->own_bps[dir], *own, e);
}

/* The used clients of a class: own link, then the shared ones, the same list for all but its first.
 */
static enum err_code build_class(struct builder *b, const struct plan_class *c, const bool *used,
                                 struct err *e)
{
    struct network *n = b->n;
    bool has_route = false;
    for (size_t client = c->first; client < c->first + c->n_clients; client++) {
        if (used && !used[client])
            continue;
        for (int dir = 0; dir < N_NET_DIRS; dir++) {
            size_t n_shared = has_route ? b->n_route[dir] : 0;
            b->n_route[dir] = 0;
            enum err_code code = push_own(b, c, client, (enum net_dir)dir, e);
            for (size_t i = 0; i < c->n_links[dir] && !has_route && !code; i++)
                code = push_shared(b, c->link[dir][i], (enum net_dir)dir, e);
            if (code)
                return code;
            if (has_route)
                b->n_route[dir] = n_shared;
        }
        has_route = true;
        enum err_code code = sg_add_host(n->sg, b->n_route[NET_DOWN], b->route[NET_DOWN],
                                         b->n_route[NET_UP], b->route[NET_UP], &n->host[client], e);
        if (code)
            return code;
    }
    return OK;
}

static enum err_code build(struct network *n, const bool *used, struct err *e)
{
    const struct plan *p = n->plan;
    struct arena scratch = {0};
    struct builder b = {.n = n, .copies = ARENA_NEW(&scratch, struct sg_link **, p->n_links)};
    enum err_code code = OK;
    for (size_t i = 0; i < p->n_classes && !code; i++)
        code = build_class(&b, &p->class[i], used, e);
    if (!code)
        code = sg_seal(n->sg, e);
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        mem_free(b.route[dir]);
    arena_free(&scratch);
    return code;
}

enum err_code network_open(struct network **out, const struct plan *p, const bool *client_used,
                           struct err *e)
{
    CHECK(p->is_marked);
    struct network *n = NULL;
    size_t cap = 0;
    mem_grow((void **)&n, &cap, 1, sizeof(*n));
    *n = (struct network){.plan = p, .instant_s = NETWORK_INSTANT_S};
    n->n_on_link = ARENA_NEW(&n->arena, size_t, p->n_links);
    n->bits = arena_alloc(&n->arena, p->paths.n, sizeof(*n->bits));
    /* No wait is shorter than half a round trip, so fixing it may take that long. */
    for (size_t i = 0; i < p->n_classes; i++)
        if (p->class[i].rtt_s > 0)
            n->instant_s = fmin(n->instant_s, p->class[i].rtt_s / 2);
    bool has_rates = false;
    for (size_t i = 0; i < p->n_classes; i++)
        has_rates = has_rates || p->class[i].rates[NET_DOWN] || p->class[i].rates[NET_UP];
    for (size_t i = 0; i < p->n_links && !n->shared; i++)
        if (p->link[i].rates)
            n->shared = ARENA_NEW(&n->arena, struct shared, p->n_links);
    enum err_code code =
        mem_big((void **)&n->host, p->n_clients * sizeof(*n->host), "table of clients", e);
    if (!code && has_rates)
        code = mem_big((void **)&n->own, p->n_clients * sizeof(*n->own), "table of links", e);
    if (!code)
        code = sg_open(&n->sg, p->is_full_solver, NETWORK_INSTANT_S, e);
    if (!code)
        code = build(n, client_used, e);
    if (code) {
        network_close(n);
        return code;
    }
    *out = n;
    return OK;
}

void network_close(struct network *n)
{
    if (!n)
        return;
    sg_close(n->sg);
    mem_free(n->host);
    mem_free(n->own);
    mem_free(n->block);
    mem_free(n->sent);
    arena_free(&n->arena);
    mem_free(n);
}
