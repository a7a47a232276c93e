#include "sim/server_opt.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

/* The numbers a rule may use; the JSON keys in number_names go with the bits in this order. */
enum {
    USES_LR = 1,
    USES_MOMENTUM = 2,
    USES_BETA1 = 4,
    USES_BETA2 = 8,
    USES_EPSILON = 16,
    USES_TAU = 32, /* Reddi's name of epsilon, beside the raw root */
    USES_DECAY = 64,
    USES_V_INIT = 128,
    N_NUMBERS = 8
};
#define USES_ADAM (USES_LR | USES_BETA1 | USES_BETA2 | USES_EPSILON | USES_DECAY)
#define USES_REDDI (USES_LR | USES_BETA1 | USES_BETA2 | USES_TAU | USES_V_INIT)
#define TAU_SQUARED (-1.0) /* v_init of a row: follows tau */

/* What a rule sees of a round. sent is what the clients started from: x, or x rounded to float32.
 */
struct step {
    const struct server_hyper *h;
    size_t n;
    int64_t t;
    bool is_f32;
    double *x, *m, *v;
    const double *mean;
};

struct server_opt {
    const char *name;
    void (*step)(const struct step *s);
    unsigned uses;
    bool has_m, has_v;
    struct server_hyper defaults; /* opt is filled in by server_opt_defaults */
};

/* g = sent - mean: the mean of what the clients changed, exactly 0 where all send back what they
 * got. */
static double gradient(const struct step *s, size_t j)
{
    double sent = s->is_f32 ? (double)(float)s->x[j] : s->x[j];
    return sent - s->mean[j];
}

static void fedavg(const struct step *s)
{
    memcpy(s->x, s->mean, s->n * sizeof(*s->x));
}

static void fedavgm(const struct step *s)
{
    const struct server_hyper *h = s->h;
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j) + h->weight_decay * s->x[j];
        s->m[j] = h->momentum * s->m[j] + g;
        s->x[j] -= h->lr * s->m[j];
    }
}

static void fedavgm_damped(const struct step *s)
{
    const struct server_hyper *h = s->h;
    for (size_t j = 0; j < s->n; j++) {
        s->m[j] = h->momentum * s->m[j] + (1 - h->momentum) * gradient(s, j);
        s->x[j] -= h->lr * s->m[j];
    }
}

static void first_moment(const struct step *s, size_t j, double g)
{
    s->m[j] = s->h->beta1 * s->m[j] + (1 - s->h->beta1) * g;
}

static void second_moment(const struct step *s, size_t j, double g)
{
    s->v[j] = s->h->beta2 * s->v[j] + (1 - s->h->beta2) * g * g;
}

/* lr mh / (sqrt(vh) + epsilon), Kingma and Ba 2015 */
static double corrected_move(const struct step *s, size_t j, double correct1, double correct2)
{
    return s->h->lr * (s->m[j] / correct1) / (sqrt(s->v[j] / correct2) + s->h->epsilon);
}

static void fedadam(const struct step *s)
{
    const struct server_hyper *h = s->h;
    double correct1 = 1 - pow(h->beta1, (double)s->t), correct2 = 1 - pow(h->beta2, (double)s->t);
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j) + h->weight_decay * s->x[j];
        first_moment(s, j, g);
        second_moment(s, j, g);
        s->x[j] -= corrected_move(s, j, correct1, correct2);
    }
}

/* Algorithm 1 of arXiv 2310.03150: the decay is decoupled and comes first, on the old x. */
static void fedadamw(const struct step *s)
{
    const struct server_hyper *h = s->h;
    double correct1 = 1 - pow(h->beta1, (double)s->t), correct2 = 1 - pow(h->beta2, (double)s->t);
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j);
        first_moment(s, j, g);
        second_moment(s, j, g);
        double y = s->x[j] - h->lr * h->weight_decay * s->x[j];
        s->x[j] = y - corrected_move(s, j, correct1, correct2);
    }
}

/* x <- x - rate m / (sqrt(v) + tau), Reddi et al. 2021, Algorithm 2 */
static void raw_move(const struct step *s, size_t j, double rate)
{
    s->x[j] -= rate * s->m[j] / (sqrt(s->v[j]) + s->h->epsilon);
}

static void fedadam_reddi(const struct step *s)
{
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j);
        first_moment(s, j, g);
        second_moment(s, j, g);
        raw_move(s, j, s->h->lr);
    }
}

static void fedyogi(const struct step *s)
{
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j), difference = s->v[j] - g * g;
        double sign = (double)((difference > 0) - (difference < 0));
        first_moment(s, j, g);
        s->v[j] -= (1 - s->h->beta2) * g * g * sign;
        raw_move(s, j, s->h->lr);
    }
}

static void fedadagrad(const struct step *s)
{
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j);
        first_moment(s, j, g);
        s->v[j] += g * g;
        raw_move(s, j, s->h->lr);
    }
}

/* Flower 1.28 to 1.41: a correction with the exponent t + 1 although t starts at 1. */
static void fedadam_flower(const struct step *s)
{
    const struct server_hyper *h = s->h;
    double exponent = (double)s->t + 1;
    double rate = h->lr * sqrt(1 - pow(h->beta2, exponent)) / (1 - pow(h->beta1, exponent));
    for (size_t j = 0; j < s->n; j++) {
        double g = gradient(s, j);
        first_moment(s, j, g);
        second_moment(s, j, g);
        raw_move(s, j, rate);
    }
}

/* Numbers by column: weights, lr, momentum, beta1, beta2, epsilon or tau, weight_decay, v_init. */
#define BY_SAMPLES AGGREGATE_SAMPLES
#define EQUALLY AGGREGATE_EQUAL
static const struct server_opt optimizers[] = {
    {"fedadamw",
     fedadamw,
     USES_ADAM,
     true,
     true,
     {NULL, EQUALLY, 5e-4, 0, 0.9, 0.999, 1e-6, 1e-3, 0, SERVER_FACTORS}},
    {"fedadam", fedadam, USES_ADAM, true, true, {NULL, EQUALLY, 5e-4, 0, 0.9, 0.999, 1e-6, 0, 0, SERVER_FACTORS}},
    {"fedavg", fedavg, 0, false, false, {NULL, BY_SAMPLES, 0, 0, 0, 0, 0, 0, 0, SERVER_FACTORS}},
    {"fedavgm",
     fedavgm,
     USES_LR | USES_MOMENTUM | USES_DECAY,
     true,
     false,
     {NULL, BY_SAMPLES, 1.0, 0.9, 0, 0, 0, 0, 0, SERVER_FACTORS}},
    {"fedavgm-damped",
     fedavgm_damped,
     USES_LR | USES_MOMENTUM,
     true,
     false,
     {NULL, EQUALLY, 1.0, 0.9, 0, 0, 0, 0, 0, SERVER_FACTORS}},
    {"fedadam-reddi",
     fedadam_reddi,
     USES_REDDI,
     true,
     true,
     {NULL, EQUALLY, 0.1, 0, 0.9, 0.99, 1e-3, 0, TAU_SQUARED, SERVER_FACTORS}},
    {"fedyogi",
     fedyogi,
     USES_REDDI,
     true,
     true,
     {NULL, EQUALLY, 0.1, 0, 0.9, 0.99, 1e-3, 0, TAU_SQUARED, SERVER_FACTORS}},
    {"fedadagrad",
     fedadagrad,
     USES_REDDI & ~(unsigned)USES_BETA2,
     true,
     true,
     {NULL, EQUALLY, 0.1, 0, 0, 0, 1e-3, 0, TAU_SQUARED, SERVER_FACTORS}},
    {"fedadam-flower",
     fedadam_flower,
     USES_REDDI,
     true,
     true,
     {NULL, BY_SAMPLES, 0.1, 0, 0.9, 0.99, 1e-3, 0, 0, SERVER_FACTORS}},
    {"fedadam-flower13",
     fedadam_reddi,
     USES_REDDI,
     true,
     true,
     {NULL, BY_SAMPLES, 0.1, 0, 0.9, 0.99, 1e-9, 0, 0, SERVER_FACTORS}},
    {"fedyogi-flower",
     fedyogi,
     USES_REDDI,
     true,
     true,
     {NULL, BY_SAMPLES, 0.01, 0, 0.9, 0.99, 1e-3, 0, 0, SERVER_FACTORS}},
    {"fedadagrad-flower",
     fedadagrad,
     USES_REDDI & ~(unsigned)USES_BETA2,
     true,
     true,
     {NULL, BY_SAMPLES, 0.1, 0, 0, 0, 1e-9, 0, 0, SERVER_FACTORS}},
};
enum { N_OPTIMIZERS = sizeof(optimizers) / sizeof(optimizers[0]) };

size_t server_opt_count(void)
{
    return N_OPTIMIZERS;
}

const struct server_opt *server_opt_at(size_t i)
{
    CHECK(i < N_OPTIMIZERS);
    return &optimizers[i];
}

const struct server_opt *server_opt_find(const char *name)
{
    for (size_t i = 0; i < N_OPTIMIZERS; i++)
        if (strcmp(optimizers[i].name, name) == 0)
            return &optimizers[i];
    return NULL;
}

const char *server_opt_name(const struct server_opt *o)
{
    return o->name;
}

bool server_opt_has_m(const struct server_opt *o)
{
    return o->has_m;
}

bool server_opt_has_v(const struct server_opt *o)
{
    return o->has_v;
}

struct server_hyper server_opt_defaults(const struct server_opt *o)
{
    struct server_hyper h = o->defaults;
    h.opt = o;
    if (h.v_init < 0)
        h.v_init = h.epsilon * h.epsilon;
    return h;
}

/* --- JSON --- */

static const char *const average_names[] = {
    [SERVER_FACTORS] = "factors",
    [SERVER_PRODUCTS] = "products",
};
static const char *const weight_names[] = {
    [AGGREGATE_EQUAL] = "equal", [AGGREGATE_SAMPLES] = "samples"};

struct number {
    const char *key;
    double lo, hi;
};
static const struct number numbers[N_NUMBERS] = {
    {"lr", 1e-12, 1e6},     {"momentum", 0, 0.999999}, {"beta1", 0, 0.999999},
    {"beta2", 0, 0.999999}, {"epsilon", 1e-30, 1e3},   {"tau", 1e-30, 1e3},
    {"weight_decay", 0, 1}, {"v_init", 0, 1e6},
};

/* Where number i of a hyper is kept. */
static double *number_of(struct server_hyper *h, int i)
{
    double *const place[N_NUMBERS] = {&h->lr,      &h->momentum, &h->beta1,        &h->beta2,
                                      &h->epsilon, &h->epsilon,  &h->weight_decay, &h->v_init};
    return place[i];
}

static enum err_code parse_average(struct json o, struct server_hyper *h, struct err *e)
{
    size_t average = SERVER_FACTORS;
    enum err_code code = json_choice(o, "average", average_names, 2, &average, &average, e);
    h->average = (enum server_average)average;
    if (!code && h->average == SERVER_PRODUCTS && strcmp(h->opt->name, "fedavg") != 0)
        code = json_fail(o, "average", e, "expected \"factors\" with optimizer \"%s\", \"products\" "
                         "goes with fedavg", h->opt->name);
    return code;
}

static enum err_code parse_numbers(struct json o, struct server_hyper *h, struct err *e)
{
    for (int i = 0; i < N_NUMBERS; i++) {
        const struct number *number = &numbers[i];
        double *value = number_of(h, i), fallback = *value;
        if (!(h->opt->uses & (1u << i))) {
            if (json_has(o, number->key))
                return json_fail(o, number->key, e, "optimizer \"%s\" has no such number",
                                 h->opt->name);
            continue;
        }
        if (1u << i == USES_V_INIT && h->opt->defaults.v_init < 0)
            fallback = h->epsilon * h->epsilon;
        enum err_code code =
            json_double(o, number->key, number->lo, number->hi, &fallback, value, e);
        if (code)
            return code;
    }
    return OK;
}

enum err_code server_opt_parse(struct json federation, const char *key, struct server_hyper *out,
                               struct err *e)
{
    const char *names[N_OPTIMIZERS];
    size_t which = 0, weights;
    struct json o = {0};
    for (size_t i = 0; i < N_OPTIMIZERS; i++)
        names[i] = optimizers[i].name;
    enum err_code code = federation.node ? json_object_opt(federation, key, &o, e) : OK;
    if (code)
        return code;
    if (!o.node) {
        *out = server_opt_defaults(&optimizers[0]);
        return OK;
    }
    code = json_choice(o, "optimizer", names, N_OPTIMIZERS, &which, &which, e);
    if (code)
        return code;
    struct server_hyper h = server_opt_defaults(&optimizers[which]);
    weights = (size_t)h.weights;
    code = json_choice(o, "weights", weight_names, 2, &weights, &weights, e);
    h.weights = (enum aggregate_weights)weights;
    if (!code)
        code = parse_average(o, &h, e);
    if (!code)
        code = parse_numbers(o, &h, e);
    if (!code)
        code = json_finish(o, e);
    if (!code)
        *out = h;
    return code;
}

void server_opt_write(struct json_out *o, const char *key, const struct server_hyper *h)
{
    struct server_hyper copy = *h;
    json_out_begin_inline(o, key, '{');
    json_out_string(o, "optimizer", h->opt->name);
    json_out_string(o, "weights", weight_names[h->weights]);
    json_out_string(o, "average", average_names[h->average]);
    for (int i = 0; i < N_NUMBERS; i++)
        if (h->opt->uses & (1u << i))
            json_out_double(o, numbers[i].key, *number_of(&copy, i));
    json_out_end(o, '}');
}

/* --- state --- */

static double *vector_of(size_t n, double value)
{
    double *v = NULL;
    size_t cap = 0;
    mem_grow((void **)&v, &cap, n ? n : 1, sizeof(*v));
    for (size_t j = 0; j < n; j++)
        v[j] = value;
    return v;
}

static void state_open(struct server_state *s, const struct server_hyper *h, size_t n)
{
    *s = (struct server_state){.n = n};
    s->x = vector_of(n, 0);
    s->mean = vector_of(n, 0);
    if (h->opt->has_m)
        s->m = vector_of(n, 0);
    if (h->opt->has_v)
        s->v = vector_of(n, h->v_init);
}

void server_state_init(struct server_state *s, const struct server_hyper *h, size_t n,
                       const double *x0)
{
    state_open(s, h, n);
    memcpy(s->x, x0, n * sizeof(*x0));
}

void server_state_init_f32(struct server_state *s, const struct server_hyper *h, size_t n,
                           const float *x0)
{
    state_open(s, h, n);
    for (size_t j = 0; j < n; j++)
        s->x[j] = (double)x0[j];
}

void server_state_fini(struct server_state *s)
{
    mem_free(s->x);
    mem_free(s->m);
    mem_free(s->v);
    mem_free(s->mean);
    *s = (struct server_state){0};
}

void server_state_get_f32(const struct server_state *s, float *x)
{
    for (size_t j = 0; j < s->n; j++)
        x[j] = (float)s->x[j];
}

static void take_step(const struct server_hyper *h, struct server_state *s, const double *mean,
                      bool is_f32)
{
    s->t++;
    h->opt->step(&(struct step){h, s->n, s->t, is_f32, s->x, s->m, s->v, mean});
}

void server_opt_step(const struct server_hyper *h, struct server_state *s, const double *mean)
{
    take_step(h, s, mean, false);
}

void server_opt_round(const struct server_hyper *h, struct server_state *s, size_t n_clients,
                      const double *const *adapter, const double *samples)
{
    if (n_clients == 0)
        return;
    aggregate_mean(h->weights, n_clients, adapter, samples, s->n, s->mean);
    take_step(h, s, s->mean, false);
}

void server_opt_round_f32(const struct server_hyper *h, struct server_state *s, size_t n_clients,
                          const float *const *adapter, const double *samples)
{
    if (n_clients == 0)
        return;
    aggregate_mean_f32(h->weights, n_clients, adapter, samples, s->n, s->mean);
    take_step(h, s, s->mean, true);
}
