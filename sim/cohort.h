/* sim/cohort.h: the participants of one round, each a small record that goes DOWN, TRAIN, UP and ends with
 * the status of clients.csv.
 *
 *   DOWN --download done--> TRAIN --compute timer, result joined--> UP --upload done--> OK
 *   TRAIN --it fails, or has no samples--> DROPPED     DOWN --device too small--> OUT_OF_MEMORY     any --deadline--> LATE
 *
 * One private function changes the state and refuses moves that are not in this table. Events of a member
 * that has ended are not delivered: its transfer and its timer were taken back. */
#ifndef SIM_COHORT_H
#define SIM_COHORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/network.h"
#include "sim/costs.h"
#include "sim/learner.h"

enum member_state {
    MEMBER_DOWN,
    MEMBER_TRAIN,
    MEMBER_UP,
    MEMBER_OK,
    MEMBER_LATE,
    MEMBER_DROPPED,
    MEMBER_OUT_OF_MEMORY,
};

struct cohort;

struct member {
    struct cohort *cohort;
    size_t i; /* place in the cohort, ascending by client */
    uint32_t client;
    size_t group, class_index;
    enum member_state state;
    struct cost_of_client cost;
    bool fails;
    double fails_at; /* share of its training time */
    uint64_t send, timer;
    double start_s, download_end_s, train_end_s, upload_end_s; /* NaN: did not come to it */
    double train_s;  /* seconds it really computed */
    double present_s; /* virtual time until which its device took part; NaN: to the end of the round */
    double bytes[N_NET_DIRS];
    double loss; /* NaN: no result */
};

typedef void cohort_ended(void *user);

struct cohort {
    const struct scenario *scenario;
    struct network *network;
    const struct costs *costs;
    struct learner *learner; /* NULL: nothing is trained */
    cohort_ended *ended;     /* called once, in virtual time, when every member has ended or on an error */
    void *user;
    size_t n, n_open;
    struct member *member;   /* [clients_per_round] */
    bool *trains;            /* [clients_per_round] */
    uint32_t *client;
    uint64_t deadline;
    enum err_code code;      /* why the round cannot go on */
    struct err err;
};

/* The pointers in c are set; the rest is made here for up to max members. */
void cohort_init(struct cohort *c, size_t max);
void cohort_fini(struct cohort *c);

/* Starts a round with c->client [n], ascending: submits the training, sends the adapters. Call it at the
 * round's virtual start, from the network's timers or before network_run. */
void cohort_start(struct cohort *c, uint32_t round, size_t n);

/* "ok", "late", "dropped", "out_of_memory" */
const char *cohort_status(const struct member *m);

/* Members that are OK, ascending, into out [n]; returns how many. */
size_t cohort_arrived(const struct cohort *c, size_t *out);

#endif
