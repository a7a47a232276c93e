/* models/split.h: which client holds which sample, and which of them it uses when it takes part.
 *
 * Every sample goes to exactly one client. All draws are pure functions of the seed (streams
 * RNG_SPLIT and RNG_ORDER). Gamma variates: Marsaglia and Tsang 2000, and for a < 1 the boost
 * G(a) = G(a + 1) U^(1/a), in logarithms so that a small alpha cannot underflow. Counts are n * p
 * rounded by largest remainder, so that they sum to n exactly. */
#ifndef MODELS_SPLIT_H
#define MODELS_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/json.h"

enum split_kind {
    SPLIT_IID,       /* random samples, sizes equal to within one */
    SPLIT_SIZES,     /* p ~ Dirichlet(alpha) over the clients (split_dirichlet, owner
                        SPLIT_SIZES_OWNER); client i gets n p_i random samples, rounded */
    SPLIT_BY_CLASS,  /* the same for the samples of each label separately: labels are dealt out
                        unevenly */
    SPLIT_BY_CLIENT, /* sizes equal to within one; client i draws labels from its own q_i ~
                        Dirichlet(alpha) over the labels, one sample per client in turn; a label
                        that is used up is drawn no more */
    SPLIT_DIRICHLET, /* SPLIT_BY_CLASS where the data has labels, else SPLIT_SIZES */
};

#define SPLIT_SIZES_OWNER (1u << 28)
#define SPLIT_MIN_ALPHA 1e-3
#define SPLIT_MAX_ALPHA 1e6

struct split_spec {
    enum split_kind kind;
    double alpha;     /* SPLIT_MIN_ALPHA .. SPLIT_MAX_ALPHA; small is uneven; unused by SPLIT_IID */
    size_t n_clients; /* >= 1, <= n samples when min_samples is 1 */
    size_t min_samples; /* 1 (default) or 0. Client by client in order, one that has no sample takes
                           the last one of the client that has most (of several, the one with the
                           lowest index). 0: empty clients stay empty */
    uint64_t seed;
};

struct split {
    size_t n_clients, n_samples;
    size_t *start;    /* [n_clients + 1]: client c holds sample[start[c] .. start[c + 1] - 1] */
    uint32_t *sample; /* [n_samples], ascending within a client */
};

/* label [n], 0 .. n_labels - 1, or NULL with n_labels 0. ERR_INPUT: fewer samples than clients; a
 * kind that needs labels where there are none. n < 2^32. */
enum err_code split_init(struct split *s, const struct split_spec *spec, size_t n, const int *label,
                         int n_labels, struct err *e);
void split_fini(struct split *s);
size_t split_size(const struct split *s, size_t client);

/* Reads data[key]: { "kind": "iid" | "dirichlet" | "dirichlet-sizes" | "dirichlet-by-class" |
 * "dirichlet-by-client", "alpha": 1.0, "allow_empty": false }; absent: iid. alpha (default 1) is
 * refused for iid. Fills kind, alpha and min_samples; n_clients and seed are the caller's. */
enum err_code split_parse(struct json data, const char *key, struct split_spec *out, struct err *e);
/* Writes what split_parse reads. */
void split_write(struct json_out *o, const char *key, const struct split_spec *spec);

/* Samples in each mini-batch of a client: min(batch, samples it holds). */
size_t split_batch_size(const struct split *s, size_t client, size_t batch);

/* The samples that a client uses when it takes part in a round: n_steps mini-batches of m =
 * split_batch_size samples each, written one after the other to sample [n_steps * m]; returns m. A
 * random permutation of the client's samples is drawn from (seed, client, round) and used from its
 * front; when fewer than m are left of it, a new one is drawn (the rest is passed over), so that a
 * mini-batch never holds a sample twice and with n_steps * m <= its samples no sample is used
 * twice. client < 2^32, round < 2^32. */
size_t split_batch(const struct split *s, uint64_t seed, size_t client, uint64_t round,
                   size_t n_steps, size_t batch, uint32_t *sample);

/* How much of its samples a client uses in a round. */
struct split_dealing {
    size_t n_steps;  /* mini-batches, as split_batch deals them; not with n_epochs */
    size_t n_epochs; /* 0, or: so many times all its samples, each time in a new random order and
                        cut into mini-batches, of which the last may be smaller */
    size_t batch;
};

/* ... in numbers: n_full mini-batches of batch samples, and n_rests of rest samples (both 0 or both
 * above 0). */
struct split_work {
    size_t n_full, batch, n_rests, rest;
};

struct split_work split_work_of(const struct split *s, size_t client,
                                const struct split_dealing *d);
/* The same for a client of n samples. */
struct split_work split_work_for(size_t n, const struct split_dealing *d);
static inline size_t split_work_steps(const struct split_work *w)
{
    return w->n_full + w->n_rests;
}
static inline size_t split_work_samples(const struct split_work *w)
{
    return w->n_full * w->batch + w->n_rests * w->rest;
}
/* The most steps of any client. */
size_t split_most_steps(const struct split *s, const struct split_dealing *d);

/* The samples of a client in a round, mini-batch after mini-batch, into sample; returns how many.
 * most_steps: split_most_steps. n_per_step [most_steps]: the size of each mini-batch, 0 after the
 * client's last. sample has room for most_steps * batch. */
size_t split_deal(const struct split *s, const struct split_dealing *d, uint64_t seed,
                  size_t client, uint64_t round, size_t most_steps, uint32_t *sample,
                  int *n_per_step);

/* One draw of Dirichlet(alpha, ..., alpha) over n values, from stream RNG_SPLIT of seed and this
 * owner; p [n] sums to 1. */
void split_dirichlet(uint64_t seed, uint32_t owner, double alpha, size_t n, double *p);

#endif
