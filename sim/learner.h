/* sim/learner.h: the learning side of a run: the model, the data, the server's adapter, and the jobs that
 * train and evaluate it on worker threads while virtual time passes.
 *
 * A round goes learner_begin (the cohort's training is submitted), learner_join per member (waits in
 * real time), learner_aggregate with those that arrived. Training jobs are chunks of the cohort, cut by
 * the scenario and never by the number of threads or devices (models/crew.h); the chunks of a device run one
 * after the other in its lane, those of several devices side by side. Evaluations run beside them in their own
 * lane on a copy of the adapter, on the first device. */
#ifndef SIM_LEARNER_H
#define SIM_LEARNER_H

#include <stddef.h>
#include <stdint.h>

#include "models/backend.h"
#include "models/data.h"
#include "models/evaluate.h"
#include "models/lora.h"
#include "models/split.h"
#include "models/trainer.h"
#include "sim/base/err.h"
#include "sim/base/store.h"
#include "sim/pool.h"
#include "sim/server_opt.h"

/* Lanes of the pool: the evaluations', then one per device that trains. */
enum { LEARNER_LANE_EVALUATE, LEARNER_LANE_TRAIN };

enum { LEARNER_MAX_EVALUATIONS = 4 }; /* under way at once; each holds a copy of the adapter */

struct learner_spec {
    const char *weights;     /* folder or builtin:tiny */
    const struct backend_ops *backend;
    bool is_full;            /* every weight is trained; lora and adapter are not looked at */
    struct lora_spec lora;
    const char *adapter;     /* PEFT folder to start from, of this lora's shape; NULL: initial values */
    struct data_spec data;
    struct split_spec split; /* its seed and n_clients too */
    struct train_hyper hyper;
    struct server_hyper server;
    uint64_t seed;
    size_t n_clients, n_per_round, n_rounds;
    struct split_dealing dealing; /* what a client uses in a round; hyper.local_steps follows from it */
    int chunk;               /* clients per pass; 0: all of a part */
    int n_parts;             /* of a cohort, 1 .. CREW_MAX_PARTS, each for a GPU */
    double memory_bytes;     /* of a training pass at most, weights aside; 0: 0.9 of a GPU's, else trainer_is_small */
    int n_workers;           /* threads of a pass */
    size_t eval_samples;     /* 0: no evaluation on the way; data.n_test 0: none at the end */
    int eval_batch;          /* sequences per pass */
    bool wants_rouge;
    int max_new_tokens;
    struct t5_beams beams;   /* of the summaries */
    struct store *store;     /* of results known from former runs; NULL: none */
};

struct learner;

/* Lanes that its pool must have. */
int learner_lanes(const struct learner_spec *spec);

/* Opens everything and plans the memory. pool outlives the learner. */
enum err_code learner_open(struct learner **out, const struct learner_spec *spec, struct pool *pool,
                           struct err *e);
/* Jobs under way end before their next local step or evaluation's pass, as failed. From any thread; for good. NULL is
 * fine. */
void learner_stop(struct learner *l);
/* Only after pool_close or when no job is under way. NULL is fine. */
void learner_close(struct learner *l);

/* "builtin:tiny, 1.39 M weights, 73,728 trainable, 8,000 samples ..." for the log. */
void learner_describe(const struct learner *l, char *out, size_t n);
size_t learner_adapter_size(const struct learner *l); /* values of an adapter, or of all weights */
const struct t5_config *learner_config(const struct learner *l);
const struct t5 *learner_model(const struct learner *l); /* as it was opened */
/* The server's adapter (is_full: weights, as they lie in the model) as it is now, as clients would get it. out
 * [learner_adapter_size]. Between rounds. */
void learner_trained(const struct learner *l, float *out);
/* The mini-batches of a client in a round. */
struct split_work learner_work_of(const struct learner *l, size_t client);

/* Submits the training of n clients (ascending). trains[i] false: this one is known not to return a result and
 * is left out. */
void learner_begin(struct learner *l, uint32_t round, size_t n, const uint32_t *client,
                   const bool *trains);
/* Waits until the result of member i of learner_begin is there; *loss is its mean training loss. */
enum err_code learner_join(struct learner *l, size_t i, double *loss, struct err *e);
/* A step of the server's optimizer with these members' adapters, ascending; n = 0 changes nothing. All of them
 * were joined. ERR_MEMORY: for the mean of products. */
enum err_code learner_aggregate(struct learner *l, size_t n, const size_t *member, struct err *e);
/* Waits for jobs of the round that nobody joined, so that the next may begin. */
enum err_code learner_end_round(struct learner *l, struct err *e);

/* Submits an evaluation of the present adapter and returns its ticket. Waits when too many are under way. */
enum err_code learner_evaluate(struct learner *l, int *ticket, struct err *e);
/* True when it is done; then *out is filled and the ticket is given back. A failed evaluation sets *code. */
enum { LEARNER_TEXTS = 10 };
bool learner_evaluated(struct learner *l, int ticket, bool wait, struct eval_result *out,
                       enum err_code *code, struct err *e);

/* Judges the present adapter on the test set (data.n_test > 0) and waits for it. No evaluation is under way. */
enum err_code learner_test(struct learner *l, struct eval_result *out, struct err *e);

/* The first LEARNER_TEXTS summaries of an evaluation that is done, until the next learner_evaluate; NULL where
 * there is none. And the held-out sample it belongs to. */
const char *learner_text(const struct learner *l, int ticket, size_t i);
const struct sample *learner_heldout(const struct learner *l, size_t i);

/* Real seconds that jobs ran, for performance.json; of training those of the busiest device. */
double learner_train_wall_s(const struct learner *l);
double learner_evaluate_wall_s(const struct learner *l);
/* Tokens trained on so far, those of known results left out. */
double learner_tokens(const struct learner *l);
/* Jobs so far, and how many of them the store knew. */
struct learner_counts {
    size_t n_passes, n_known_passes, n_evaluations, n_known_evaluations;
};
struct learner_counts learner_counts(const struct learner *l);
/* Devices that train, at most n_parts. */
int learner_devices(const struct learner *l);

#endif
