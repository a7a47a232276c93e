#include "sim/cohort.h"

#include <math.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/pick.h"

#define NONE ((double)NAN) /* no such value: an empty cell */

static bool is_move(enum member_state from, enum member_state to)
{
    switch (from) {
    case MEMBER_DOWN:
        return to == MEMBER_TRAIN || to == MEMBER_OUT_OF_MEMORY || to == MEMBER_LATE;
    case MEMBER_TRAIN:
        return to == MEMBER_UP || to == MEMBER_DROPPED || to == MEMBER_LATE;
    case MEMBER_UP:
        return to == MEMBER_OK || to == MEMBER_LATE;
    case MEMBER_OK:
    case MEMBER_LATE:
    case MEMBER_DROPPED:
    case MEMBER_OUT_OF_MEMORY:
        break;
    }
    return false;
}

static void move(struct member *m, enum member_state to)
{
    CHECK(is_move(m->state, to));
    m->state = to;
    if (to < MEMBER_OK)
        return;
    struct cohort *c = m->cohort;
    c->n_open--;
    if (c->n_open > 0 || c->code)
        return;
    if (c->deadline)
        network_cancel_timer(c->network, c->deadline);
    c->deadline = 0;
    c->ended(c->user);
}

/* The round cannot go on: says so once. */
static void fail(struct cohort *c, enum err_code code)
{
    if (c->code)
        return;
    c->code = code;
    network_stop(c->network);
    c->ended(c->user);
}

static void broken(struct member *m)
{
    fail(m->cohort, err_set(&m->cohort->err, ERR_INTERNAL,
                            "client %u: the simulated network lost a transfer", m->client));
}

static void uploaded(void *user, bool ok, double bytes_left)
{
    struct member *m = user;
    (void)bytes_left;
    m->send = 0;
    if (!ok) {
        broken(m);
        return;
    }
    m->bytes[NET_UP] = (double)m->cohort->costs->payload_bytes[NET_UP];
    m->upload_end_s = network_now_s(m->cohort->network);
    move(m, MEMBER_OK);
}

/* The compute timer: the result is joined here, in real time, while virtual time stands. */
static void computed(void *user)
{
    struct member *m = user;
    struct cohort *c = m->cohort;
    double now_s = network_now_s(c->network);
    m->timer = 0;
    m->train_s = now_s - m->download_end_s;
    if (m->fails) {
        m->present_s = now_s;
        move(m, MEMBER_DROPPED);
        return;
    }
    m->train_s = m->cost.seconds;
    m->train_end_s = now_s;
    if (c->learner) {
        enum err_code code = learner_join(c->learner, m->i, &m->loss, &c->err);
        if (code) {
            fail(c, code);
            return;
        }
    }
    move(m, MEMBER_UP);
    m->send = network_send(c->network, m->client, NET_UP, c->costs->payload_bytes[NET_UP], uploaded,
                           m);
}

static void downloaded(void *user, bool ok, double bytes_left)
{
    struct member *m = user;
    struct cohort *c = m->cohort;
    (void)bytes_left;
    m->send = 0;
    if (!ok) {
        broken(m);
        return;
    }
    m->bytes[NET_DOWN] = (double)c->costs->payload_bytes[NET_DOWN];
    m->download_end_s = network_now_s(c->network);
    if (m->cost.is_out_of_memory) {
        move(m, MEMBER_OUT_OF_MEMORY);
        return;
    }
    move(m, MEMBER_TRAIN);
    double seconds = m->fails ? m->fails_at * m->cost.seconds : m->cost.seconds;
    m->timer = network_after(c->network, seconds, computed, m);
}

/* The deadline: whoever has not ended is late, and what it was doing is taken back. */
static void deadline(void *user)
{
    struct cohort *c = user;
    c->deadline = 0;
    double now_s = network_now_s(c->network);
    for (size_t i = 0; i < c->n; i++) {
        struct member *m = &c->member[i];
        if (m->state >= MEMBER_OK)
            continue;
        enum net_dir dir = m->state == MEMBER_DOWN ? NET_DOWN : NET_UP;
        if (m->send)
            m->bytes[dir] = (double)c->costs->payload_bytes[dir] - network_cancel(c->network, m->send);
        if (m->timer) {
            network_cancel_timer(c->network, m->timer);
            m->train_s = now_s - m->download_end_s;
        }
        m->send = m->timer = 0;
        move(m, MEMBER_LATE);
    }
}

void cohort_init(struct cohort *c, size_t max)
{
    size_t caps[3] = {0};
    c->member = NULL;
    c->trains = NULL;
    c->client = NULL;
    mem_grow((void **)&c->member, &caps[0], max, sizeof(c->member[0]));
    mem_grow((void **)&c->trains, &caps[1], max, sizeof(c->trains[0]));
    mem_grow((void **)&c->client, &caps[2], max, sizeof(c->client[0]));
    c->code = OK;
    c->n = c->n_open = 0;
    c->deadline = 0;
}

void cohort_fini(struct cohort *c)
{
    mem_free(c->member);
    mem_free(c->trains);
    mem_free(c->client);
}

static void begin_member(struct cohort *c, uint32_t round, size_t i, double now_s)
{
    const struct scenario *s = c->scenario;
    struct member *m = &c->member[i];
    uint32_t client = c->client[i];
    struct split_work work = c->learner ? learner_work_of(c->learner, client) : costs_typical_work(s);
    bool is_empty = work.batch == 0;
    if (is_empty)
        work.batch = 1;
    size_t group = (size_t)(scenario_group_of(s, client) - s->group);
    *m = (struct member){.cohort = c,
                         .i = i,
                         .client = client,
                         .group = group,
                         .class_index = plan_class_of(network_plan(c->network), client),
                         .state = MEMBER_DOWN,
                         .cost = costs_of_client(c->costs, group, &work),
                         .start_s = now_s,
                         .download_end_s = NONE,
                         .train_end_s = NONE,
                         .upload_end_s = NONE,
                         .present_s = NONE,
                         .loss = NONE};
    if (is_empty) { /* nothing to train, nothing to send back */
        m->cost.seconds = m->fails_at = 0;
        m->fails = !m->cost.is_out_of_memory;
        c->trains[i] = false;
        return;
    }
    m->fails = !m->cost.is_out_of_memory &&
               pick_fails(s->seed, round, client, s->federation.failure_rate, &m->fails_at);
    c->trains[i] = !m->fails && !m->cost.is_out_of_memory;
}

void cohort_start(struct cohort *c, uint32_t round, size_t n)
{
    double now_s = network_now_s(c->network);
    c->n = c->n_open = n;
    for (size_t i = 0; i < n; i++)
        begin_member(c, round, i, now_s);
    if (c->learner)
        learner_begin(c->learner, round, n, c->client, c->trains);
    if (isfinite(c->scenario->federation.deadline_s))
        c->deadline =
            network_after(c->network, c->scenario->federation.deadline_s, deadline, c);
    for (size_t i = 0; i < n; i++)
        c->member[i].send = network_send(c->network, c->client[i], NET_DOWN,
                                         c->costs->payload_bytes[NET_DOWN], downloaded,
                                         &c->member[i]);
}

const char *cohort_status(const struct member *m)
{
    switch (m->state) {
    case MEMBER_OK:
        return "ok";
    case MEMBER_LATE:
        return "late";
    case MEMBER_DROPPED:
        return "dropped";
    case MEMBER_OUT_OF_MEMORY:
        return "out_of_memory";
    case MEMBER_DOWN:
    case MEMBER_TRAIN:
    case MEMBER_UP:
        break;
    }
    CHECK(m->state >= MEMBER_OK); /* one that has not ended has no status */
    return "";
}

size_t cohort_arrived(const struct cohort *c, size_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->member[i].state == MEMBER_OK)
            out[n++] = i;
    return n;
}
