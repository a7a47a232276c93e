/* sim/server_opt.h: the server's optimizer: what the server makes of the clients' adapters.
 *
 * One pseudo-gradient for all rules, g = x - mean (see sim/aggregate.h), x the server's adapter
 * before the round. State and arithmetic are double, element by element. t counts rounds with at
 * least one result, from 1; a round in which no client returns changes nothing at all, t included.
 *
 *   fedavg          x <- mean
 *   fedavgm         g' = g + wd x;  m <- momentum m + g';  x <- x - lr m
 *                   (undamped: Hsu et al. 2019, Flower)
 *   fedavgm-damped  m <- momentum m + (1 - momentum) g;  x <- x - lr m
 *   fedadam         g' = g + wd x;  m <- b1 m + (1-b1) g';  v <- b2 v + (1-b2) g'^2
 *                   x <- x - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + epsilon)
 *   fedadamw        m, v as fedadam from g;  y = x - lr wd x;  x <- y - lr (...)
 *                   (Algorithm 1 of the study, arXiv 2310.03150)
 *   fedadam-reddi   m, v from g;  x <- x - lr m / (sqrt(v) + tau)
 *                   (Reddi et al. 2021, Algorithm 2)
 *   fedyogi         v <- v - (1-b2) g^2 sign(v - g^2);  m, x as fedadam-reddi
 *   fedadagrad      v <- v + g^2;  m, x as fedadam-reddi
 *   fedadam-flower  x <- x - lr sqrt(1-b2^(t+1)) / (1-b1^(t+1)) m / (sqrt(v) + tau)
 *                   (Flower 1.28 to 1.41)
 *
 * Further presets are rows with other defaults: fedadam-flower13 (fedadam-reddi with v_init 0, tau
 * 1e-9, by samples: Flower 1.3), fedyogi-flower, fedadagrad-flower (v_init 0, by samples). Rules,
 * defaults and their sources: reference/optimizers/README.md; test_server_opt_reference checks them
 * to 1e-12. */
#ifndef SIM_SERVER_OPT_H
#define SIM_SERVER_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/aggregate.h"
#include "sim/base/err.h"
#include "sim/base/json.h"

struct server_opt;

/* What the mean is taken of. */
enum server_average {
    SERVER_FACTORS,  /* "factors": A and B, each by itself, as everybody does */
    SERVER_PRODUCTS, /* "products": B A, factorised anew (models/lora_mean.h); fedavg only, as no
                        other rule's moments mean anything after the factors have turned */
};

/* A rule with its numbers. Numbers that the rule does not use are 0. */
struct server_hyper {
    const struct server_opt *opt;
    enum aggregate_weights weights;
    double lr;           /* > 0 */
    double momentum;     /* 0 .. <1 */
    double beta1, beta2; /* 0 .. <1 */
    double epsilon;      /* > 0; called tau in Reddi's rules */
    double weight_decay; /* >= 0 */
    double v_init;       /* >= 0; Reddi's rules, tau^2 unless given */
    enum server_average average; /* whoever forms the mean looks at it, not the steps below */
};

/* The adapter and what is carried from round to round. All of it goes into a checkpoint. */
struct server_state {
    size_t n;
    int64_t t;    /* rounds that changed it */
    double *x;    /* [n] the server's adapter */
    double *m;    /* [n] raw first moment, 0 at the start; NULL where the rule has none */
    double *v;    /* [n] raw second moment, v_init at the start; NULL where the rule has none */
    double *mean; /* [n] scratch */
};

/* The rows of the table: names for help and messages. */
size_t server_opt_count(void);
const struct server_opt *server_opt_at(size_t i);
const struct server_opt *server_opt_find(const char *name); /* NULL when unknown */
const char *server_opt_name(const struct server_opt *o);
bool server_opt_has_m(const struct server_opt *o);
bool server_opt_has_v(const struct server_opt *o);

/* The defaults of a row. */
struct server_hyper server_opt_defaults(const struct server_opt *o);

/* Reads the object federation[key]: "optimizer" (default fedadamw) and the numbers that its rule
 * uses, each with the row's default; "weights": "equal" or "samples"; "average": "factors" (default)
 * or, for fedavg, "products". A number that the rule does
 * not use, and an unknown key, are refused. Absent: fedadamw with its defaults. */
enum err_code server_opt_parse(struct json federation, const char *key, struct server_hyper *out,
                               struct err *e);
/* Writes the resolved values, in the form server_opt_parse reads. */
void server_opt_write(struct json_out *o, const char *key, const struct server_hyper *h);

/* A state at x0 [n]; aborts when memory is gone. */
void server_state_init(struct server_state *s, const struct server_hyper *h, size_t n,
                       const double *x0);
void server_state_init_f32(struct server_state *s, const struct server_hyper *h, size_t n,
                           const float *x0);
void server_state_fini(struct server_state *s);
/* x as the float32 that is sent to clients. */
void server_state_get_f32(const struct server_state *s, float *x);

/* One step with a given mean [n]. */
void server_opt_step(const struct server_hyper *h, struct server_state *s, const double *mean);

/* A round: the mean of the adapters by h->weights, then a step. Clients in client order; n_clients
 * 0 changes nothing. samples as in sim/aggregate.h. The float32 form takes the pseudo-gradient
 * against x rounded to float32, which is what the clients were sent: where all send it back, g is
 * exactly 0. */
void server_opt_round(const struct server_hyper *h, struct server_state *s, size_t n_clients,
                      const double *const *adapter, const double *samples);
void server_opt_round_f32(const struct server_hyper *h, struct server_state *s, size_t n_clients,
                          const float *const *adapter, const double *samples);

#endif
