/* Server optimizers against golden vectors: test_server_opt_reference [FILE...]
 *
 * Each FILE is a variant (x0, adapters of each round, and g, m, v, x after it) or identities.json,
 * whose statements are checked on the vectors beside it. One line per case with the largest error;
 * exit status 0 when all pass. Without arguments: tests/vectors/optimizers. Format: its README in
 * reference/optimizers. */
#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/server_opt.h"
#include "tests/test.h"

#define TOLERANCE 1e-12
enum { MAX_VALUES = 1 << 24 };

/* One variant file. Client i of round r: samples[r][i], adapter[r][i] [n]. */
struct variant {
    struct arena arena;
    struct server_hyper h;
    char name[64];
    size_t n, n_rounds;
    const double *scale, *x0;
    struct variant_round {
        size_t n_clients;
        double *samples;
        const double **adapter;
        const double *g, *m, *v, *x; /* m, v NULL where the rule has none */
    } * round;
};

/* x, m, v after each round, [n_rounds * n]; m, v NULL where the rule has none. */
struct path {
    double *x, *m, *v;
};

static enum err_code read_vector(struct arena *a, struct json o, const char *key, size_t n,
                                 const double **out, struct err *e)
{
    struct json list = o;
    enum err_code code = key ? json_array(o, key, &list, e) : OK;
    if (code)
        return code;
    if (json_count(list) != n)
        return json_fail(list, NULL, e, "expected %zu values, got %zu", n, json_count(list));
    double *v = ARENA_NEW(a, double, n);
    for (size_t i = 0; !code && i < n; i++)
        code = json_double(json_at(list, i), NULL, -1e300, 1e300, NULL, &v[i], e);
    *out = v;
    return code;
}

static enum err_code read_hyper(struct json root, struct server_hyper *h, struct err *e)
{
    static const char *const keys[] = {"lr",      "momentum", "beta1",        "beta2",
                                       "epsilon", "tau",      "weight_decay", "v_init"};
    double *const place[] = {&h->lr,      &h->momentum, &h->beta1,        &h->beta2,
                             &h->epsilon, &h->epsilon,  &h->weight_decay, &h->v_init};
    const char *rule, *weights;
    struct json o;
    enum err_code code = json_string(root, "rule", NULL, &rule, e);
    if (!code)
        code = json_object(root, "hyper", &o, e);
    if (!code)
        code = json_string(o, "weights", NULL, &weights, e);
    if (code)
        return code;
    const struct server_opt *opt = server_opt_find(rule);
    if (!opt)
        return json_fail(root, "rule", e, "no such rule: \"%s\"", rule);
    *h = (struct server_hyper){.opt = opt};
    h->weights = strcmp(weights, "equal") == 0 ? AGGREGATE_EQUAL : AGGREGATE_SAMPLES;
    for (size_t i = 0; !code && i < sizeof(keys) / sizeof(keys[0]); i++)
        if (json_has(o, keys[i]))
            code = json_double(o, keys[i], 0, 1e300, NULL, place[i], e);
    return code ? code : json_finish(o, e);
}

static enum err_code read_round(struct variant *v, struct json o, struct variant_round *r,
                                struct err *e)
{
    struct json samples, adapters;
    enum err_code code = json_array(o, "samples", &samples, e);
    if (!code)
        code = json_array(o, "adapters", &adapters, e);
    if (code)
        return code;
    r->n_clients = json_count(samples);
    if (json_count(adapters) != r->n_clients)
        return json_fail(o, "adapters", e, "expected one per client");
    const double *counts;
    code = read_vector(&v->arena, samples, NULL, r->n_clients, &counts, e);
    r->samples = ARENA_NEW(&v->arena, double, r->n_clients);
    r->adapter = ARENA_NEW(&v->arena, const double *, r->n_clients);
    for (size_t i = 0; !code && i < r->n_clients; i++) {
        r->samples[i] = counts[i];
        code = read_vector(&v->arena, json_at(adapters, i), NULL, v->n, &r->adapter[i], e);
    }
    if (!code)
        code = read_vector(&v->arena, o, "g", v->n, &r->g, e);
    if (!code && server_opt_has_m(v->h.opt))
        code = read_vector(&v->arena, o, "m", v->n, &r->m, e);
    if (!code && server_opt_has_v(v->h.opt))
        code = read_vector(&v->arena, o, "v", v->n, &r->v, e);
    return code ? code : read_vector(&v->arena, o, "x", v->n, &r->x, e);
}

static enum err_code variant_read(struct variant *v, const char *path, struct err *e)
{
    struct json_doc *doc = NULL;
    struct json rounds;
    const char *name;
    int64_t n = 0, n_rounds = 0;
    memset(v, 0, sizeof(*v));
    enum err_code code = json_load(&doc, path, e);
    if (code)
        return code;
    struct json root = json_root(doc);
    code = json_string(root, "name", NULL, &name, e);
    if (!code)
        snprintf(v->name, sizeof(v->name), "%s", name);
    if (!code)
        code = json_int(root, "n", 1, MAX_VALUES, NULL, &n, e);
    if (!code)
        code = json_int(root, "rounds", 1, 1 << 20, NULL, &n_rounds, e);
    v->n = (size_t)n;
    v->n_rounds = (size_t)n_rounds;
    if (!code)
        code = read_hyper(root, &v->h, e);
    if (!code)
        code = read_vector(&v->arena, root, "scale", v->n, &v->scale, e);
    if (!code)
        code = read_vector(&v->arena, root, "x0", v->n, &v->x0, e);
    if (!code)
        code = json_array(root, "round", &rounds, e);
    if (!code && json_count(rounds) != v->n_rounds)
        code = json_fail(root, "round", e, "expected %zu rounds", v->n_rounds);
    v->round = ARENA_NEW(&v->arena, struct variant_round, v->n_rounds);
    for (size_t r = 0; !code && r < v->n_rounds; r++)
        code = read_round(v, json_at(rounds, r), &v->round[r], e);
    json_close(doc);
    return code;
}

/* |got - want| / (|want| + scale); where both are 0 the result must be 0. */
static double distance(double got, double want, double scale)
{
    double bottom = fabs(want) + scale;
    if (bottom == 0)
        return got == 0 ? 0 : (double)INFINITY;
    double d = fabs(got - want) / bottom;
    return isnan(d) ? (double)INFINITY : d;
}

static double farthest(const double *got, const double *want, const double *scale, size_t n,
                       bool is_square)
{
    double worst = 0;
    for (size_t j = 0; j < n; j++) {
        double s = is_square ? scale[j] * scale[j] : scale[j];
        worst = fmax(worst, distance(got[j], want[j], s));
    }
    return worst;
}

static bool report(const char *name, double error, double tolerance)
{
    bool is_good = error <= tolerance;
    printf("%s %-28s error %.2e (limit %.0e)\n", is_good ? "ok  " : "FAIL", name, error, tolerance);
    return is_good;
}

static bool variant_passes(struct variant *v)
{
    double *g = ARENA_NEW(&v->arena, double, v->n);
    struct server_state s;
    double worst = 0;
    server_state_init(&s, &v->h, v->n, v->x0);
    for (size_t r = 0; r < v->n_rounds; r++) {
        const struct variant_round *round = &v->round[r];
        memcpy(g, s.x, v->n * sizeof(*g));
        server_opt_round(&v->h, &s, round->n_clients, round->adapter, round->samples);
        for (size_t j = 0; j < v->n; j++)
            g[j] -= s.mean[j];
        worst = fmax(worst, farthest(g, round->g, v->scale, v->n, false));
        worst = fmax(worst, farthest(s.x, round->x, v->scale, v->n, false));
        if (s.m)
            worst = fmax(worst, farthest(s.m, round->m, v->scale, v->n, false));
        if (s.v)
            worst = fmax(worst, farthest(s.v, round->v, v->scale, v->n, true));
    }
    server_state_fini(&s);
    return report(v->name, worst, TOLERANCE);
}

/* --- statements: two runs that must agree --- */

/* The clients of fedavg.json, which a statement may change, and the folder of the other variants.
 */
struct world {
    struct variant base;
    char *folder;
    struct arena arena;
};

static struct server_hyper hyper_of(const char *name, enum aggregate_weights weights)
{
    struct server_hyper h = server_opt_defaults(server_opt_find(name));
    h.weights = weights;
    return h;
}

/* The hyper-parameters of a variant beside identities.json. */
static struct server_hyper hyper_in(struct world *w, const char *file)
{
    struct variant v;
    struct err e;
    char *path = file_join(w->folder, file);
    if (variant_read(&v, path, &e)) {
        printf("%s\n", e.text);
        v.h = hyper_of("fedavg", AGGREGATE_EQUAL);
    }
    arena_free(&v.arena);
    mem_free(path);
    return v.h;
}

static double *values(struct world *w, size_t n)
{
    return ARENA_NEW(&w->arena, double, n);
}

/* Runs h over v's clients from x0. */
static struct path run(struct world *w, const struct variant *v, struct server_hyper h)
{
    struct path p = {values(w, v->n * v->n_rounds), NULL, NULL};
    struct server_state s;
    size_t n_bytes = v->n * sizeof(double);
    server_state_init(&s, &h, v->n, v->x0);
    if (s.m)
        p.m = values(w, v->n * v->n_rounds);
    if (s.v)
        p.v = values(w, v->n * v->n_rounds);
    for (size_t r = 0; r < v->n_rounds; r++) {
        server_opt_round(&h, &s, v->round[r].n_clients, v->round[r].adapter, v->round[r].samples);
        memcpy(p.x + r * v->n, s.x, n_bytes);
        if (s.m)
            memcpy(p.m + r * v->n, s.m, n_bytes);
        if (s.v)
            memcpy(p.v + r * v->n, s.v, n_bytes);
    }
    server_state_fini(&s);
    return p;
}

/* A copy of the base whose rounds may be changed. */
static struct variant copy_of(struct world *w)
{
    struct variant v = w->base;
    v.round = ARENA_NEW(&w->arena, struct variant_round, v.n_rounds);
    for (size_t r = 0; r < v.n_rounds; r++) {
        const struct variant_round *from = &w->base.round[r];
        v.round[r] = *from;
        v.round[r].samples = values(w, 2 * from->n_clients);
        v.round[r].adapter = ARENA_NEW(&w->arena, const double *, 2 * from->n_clients);
        memcpy(v.round[r].samples, from->samples, from->n_clients * sizeof(double));
        for (size_t i = 0; i < from->n_clients; i++)
            v.round[r].adapter[i] = from->adapter[i];
    }
    return v;
}

static void fedavgm_plain(struct world *w, struct path *a, struct path *b)
{
    struct server_hyper h = hyper_of("fedavgm", AGGREGATE_SAMPLES);
    h.momentum = h.weight_decay = 0;
    h.lr = 1;
    *a = run(w, &w->base, h);
    *b = run(w, &w->base, hyper_of("fedavg", AGGREGATE_SAMPLES));
}

static void fedavgm_damped_plain(struct world *w, struct path *a, struct path *b)
{
    struct server_hyper h = hyper_of("fedavgm-damped", AGGREGATE_SAMPLES);
    h.momentum = 0;
    h.lr = 1;
    *a = run(w, &w->base, h);
    *b = run(w, &w->base, hyper_of("fedavg", AGGREGATE_SAMPLES));
}

static void damping_is_a_smaller_lr(struct world *w, struct path *a, struct path *b)
{
    struct server_hyper h = hyper_of("fedavgm-damped", AGGREGATE_SAMPLES);
    h.lr = 0.5;
    h.momentum = 0.75;
    *a = run(w, &w->base, h);
    h = hyper_of("fedavgm", AGGREGATE_SAMPLES);
    h.lr = 0.125;
    h.momentum = 0.75;
    *b = run(w, &w->base, h);
}

static void adamw_no_decay(struct world *w, struct path *a, struct path *b)
{
    struct server_hyper h = hyper_of("fedadamw", AGGREGATE_EQUAL);
    h.weight_decay = 0;
    *a = run(w, &w->base, h);
    *b = run(w, &w->base, hyper_of("fedadam", AGGREGATE_EQUAL));
}

static void equal_counts(struct world *w, struct path *a, struct path *b)
{
    struct variant v = copy_of(w);
    for (size_t r = 0; r < v.n_rounds; r++)
        for (size_t i = 0; i < v.round[r].n_clients; i++)
            v.round[r].samples[i] = 64;
    *a = run(w, &v, hyper_of("fedadam", AGGREGATE_SAMPLES));
    *b = run(w, &v, hyper_of("fedadam", AGGREGATE_EQUAL));
}

static void client_order(struct world *w, struct path *a, struct path *b)
{
    struct variant v = copy_of(w);
    struct server_hyper h = hyper_in(w, "fedadamw-strong.json");
    h.weights = AGGREGATE_SAMPLES;
    for (size_t r = 0; r < v.n_rounds; r++) {
        const struct variant_round *from = &w->base.round[r];
        for (size_t i = 0; i < from->n_clients; i++) {
            v.round[r].samples[i] = from->samples[from->n_clients - 1 - i];
            v.round[r].adapter[i] = from->adapter[from->n_clients - 1 - i];
        }
    }
    *a = run(w, &v, h);
    *b = run(w, &w->base, h);
}

static void doubled_clients(struct world *w, struct path *a, struct path *b)
{
    struct variant v = copy_of(w);
    struct server_hyper h = hyper_in(w, "fedadamw-strong.json");
    h.weights = AGGREGATE_SAMPLES;
    for (size_t r = 0; r < v.n_rounds; r++) {
        const struct variant_round *from = &w->base.round[r];
        v.round[r].n_clients = 2 * from->n_clients;
        for (size_t i = 0; i < v.round[r].n_clients; i++) {
            v.round[r].samples[i] = from->samples[i / 2];
            v.round[r].adapter[i] = from->adapter[i / 2];
        }
    }
    *a = run(w, &v, h);
    *b = run(w, &w->base, h);
}

static void one_client(struct world *w, struct path *a, struct path *b)
{
    struct variant v = copy_of(w);
    b->x = values(w, v.n * v.n_rounds);
    for (size_t r = 0; r < v.n_rounds; r++) {
        v.round[r].n_clients = 1;
        memcpy(b->x + r * v.n, v.round[r].adapter[0], v.n * sizeof(double));
    }
    *a = run(w, &v, hyper_of("fedavg", AGGREGATE_SAMPLES));
}

/* Written with Delta = mean - x: m has the other sign, x and v are the same. */
static void other_sign(struct world *w, struct path *a, struct path *b)
{
    const struct variant *v = &w->base;
    struct server_hyper h = hyper_in(w, "fedadam-flower13.json");
    double *x = values(w, v->n), *m = values(w, v->n), *s = values(w, v->n);
    double *mean = values(w, v->n);
    *a = run(w, v, h);
    b->x = values(w, v->n * v->n_rounds);
    memcpy(x, v->x0, v->n * sizeof(double));
    for (size_t r = 0; r < v->n_rounds; r++) {
        const struct variant_round *round = &v->round[r];
        aggregate_mean(h.weights, round->n_clients, round->adapter, round->samples, v->n, mean);
        for (size_t j = 0; j < v->n; j++) {
            double delta = mean[j] - x[j];
            m[j] = h.beta1 * m[j] + (1 - h.beta1) * delta;
            s[j] = h.beta2 * s[j] + (1 - h.beta2) * delta * delta;
            x[j] = x[j] + h.lr * m[j] / (sqrt(s[j]) + h.epsilon);
        }
        memcpy(b->x + r * v->n, x, v->n * sizeof(double));
    }
}

static void yogi_first_round(struct world *w, struct path *a, struct path *b)
{
    struct server_hyper yogi = hyper_of("fedyogi", AGGREGATE_EQUAL);
    struct server_hyper adam = hyper_of("fedadam-reddi", AGGREGATE_EQUAL);
    yogi.v_init = adam.v_init = 0;
    *a = run(w, &w->base, yogi);
    *b = run(w, &w->base, adam);
}

static void adam_first_step(struct world *w, struct path *a, struct path *b)
{
    const struct variant *v = &w->base;
    struct server_hyper h = hyper_of("fedadam", AGGREGATE_SAMPLES);
    double *mean = values(w, v->n);
    h.lr = 0.25;
    h.beta1 = 0.7;
    h.beta2 = 0.6;
    *a = run(w, v, h);
    b->x = values(w, v->n * v->n_rounds);
    aggregate_mean(h.weights, v->round[0].n_clients, v->round[0].adapter, v->round[0].samples, v->n,
                   mean);
    for (size_t j = 0; j < v->n; j++) {
        double g = v->x0[j] - mean[j];
        b->x[j] = v->x0[j] - h.lr * g / (fabs(g) + h.epsilon);
    }
}

static void nothing_learned(struct world *w, struct path *a, struct path *b)
{
    struct variant v = copy_of(w);
    b->x = values(w, v.n * v.n_rounds);
    for (size_t r = 0; r < v.n_rounds; r++) {
        for (size_t i = 0; i < v.round[r].n_clients; i++)
            v.round[r].adapter[i] = v.x0;
        memcpy(b->x + r * v.n, v.x0, v.n * sizeof(double));
    }
    *a = run(w, &v, hyper_of("fedadam", AGGREGATE_SAMPLES));
}

static void decay_alone(struct world *w, struct path *a, struct path *b)
{
    const struct variant *v = &w->base;
    struct server_hyper h = hyper_in(w, "fedadamw-strong.json");
    struct server_state s;
    *a = (struct path){values(w, v->n * v->n_rounds), NULL, NULL};
    *b = (struct path){values(w, v->n * v->n_rounds), NULL, NULL};
    server_state_init(&s, &h, v->n, v->x0);
    double left = 1;
    for (size_t r = 0; r < v->n_rounds; r++) {
        memcpy(s.mean, s.x, v->n * sizeof(double));
        server_opt_step(&h, &s, s.mean);
        left *= 1 - h.lr * h.weight_decay;
        memcpy(a->x + r * v->n, s.x, v->n * sizeof(double));
        for (size_t j = 0; j < v->n; j++)
            b->x[r * v->n + j] = left * v->x0[j];
    }
    server_state_fini(&s);
}

static double *shifted(struct world *w, const double *from, size_t n, double by)
{
    double *to = values(w, n);
    for (size_t j = 0; j < n; j++)
        to[j] = from[j] + by;
    return to;
}

static void shift(struct world *w, struct path *a, struct path *b)
{
    struct variant v = copy_of(w);
    struct server_hyper h = hyper_of("fedadam", AGGREGATE_EQUAL);
    h.lr = 0.25;
    v.x0 = shifted(w, v.x0, v.n, 0.5);
    for (size_t r = 0; r < v.n_rounds; r++)
        for (size_t i = 0; i < v.round[r].n_clients; i++)
            v.round[r].adapter[i] = shifted(w, v.round[r].adapter[i], v.n, 0.5);
    *a = run(w, &v, h);
    *b = run(w, &w->base, h);
    b->x = shifted(w, b->x, v.n * v.n_rounds, 0.5);
}

static const struct statement {
    const char *name;
    void (*run)(struct world *w, struct path *a, struct path *b);
} statements[] = {
    {"fedavgm-plain", fedavgm_plain},
    {"fedavgm-damped-plain", fedavgm_damped_plain},
    {"damping-is-a-smaller-lr", damping_is_a_smaller_lr},
    {"adamw-no-decay", adamw_no_decay},
    {"equal-counts", equal_counts},
    {"client-order", client_order},
    {"doubled-clients", doubled_clients},
    {"one-client", one_client},
    {"other-sign", other_sign},
    {"yogi-first-round", yogi_first_round},
    {"adam-first-step", adam_first_step},
    {"nothing-learned", nothing_learned},
    {"decay-alone", decay_alone},
    {"shift", shift},
};

/* Largest distance of the two paths over the first n_rounds. */
static double path_distance(const struct variant *v, size_t n_rounds, const struct path *a,
                            const struct path *b)
{
    double worst = 0;
    for (size_t r = 0; r < n_rounds; r++) {
        size_t at = r * v->n;
        worst = fmax(worst, farthest(a->x + at, b->x + at, v->scale, v->n, false));
        if (a->m && b->m)
            worst = fmax(worst, farthest(a->m + at, b->m + at, v->scale, v->n, false));
        if (a->v && b->v)
            worst = fmax(worst, farthest(a->v + at, b->v + at, v->scale, v->n, true));
    }
    return worst;
}

static bool statement_passes(struct world *w, struct json o)
{
    const char *name = "?";
    struct json compare;
    int64_t n_rounds = 0;
    double tolerance = 0;
    struct err e;
    if (json_string(o, "name", NULL, &name, &e) || json_array(o, "compare", &compare, &e) ||
        json_int(o, "rounds", 1, (int64_t)w->base.n_rounds, NULL, &n_rounds, &e) ||
        json_double(o, "tolerance", 0, 1, NULL, &tolerance, &e)) {
        printf("FAIL %s\n", e.text);
        return false;
    }
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (strcmp(statements[i].name, name) != 0)
            continue;
        struct path a = {0}, b = {0};
        statements[i].run(w, &a, &b);
        if (json_count(compare) == 1) /* x alone, otherwise x, m and v */
            a.m = a.v = NULL;
        return report(name, path_distance(&w->base, (size_t)n_rounds, &a, &b), tolerance);
    }
    printf("FAIL %-28s no such statement is known here\n", name);
    return false;
}

static bool statements_pass(struct json list, const char *path, int *n_cases)
{
    struct world w = {0};
    struct err e;
    w.folder = file_folder_of(path);
    char *base = file_join(w.folder, "fedavg.json");
    bool is_good = variant_read(&w.base, base, &e) == OK;
    if (!is_good)
        printf("FAIL %s\n", e.text);
    for (size_t i = 0; w.base.round && i < json_count(list); i++, ++*n_cases)
        is_good = statement_passes(&w, json_at(list, i)) && is_good;
    arena_free(&w.arena);
    arena_free(&w.base.arena);
    mem_free(base);
    mem_free(w.folder);
    return is_good;
}

static bool file_passes(const char *path, int *n_cases)
{
    struct json_doc *doc = NULL;
    struct json list;
    struct variant v;
    struct err e;
    bool is_good = false;
    if (json_load(&doc, path, &e)) {
        printf("FAIL %s\n", e.text);
        return false;
    }
    if (json_has(json_root(doc), "identities")) {
        is_good = json_array(json_root(doc), "identities", &list, &e) == OK &&
                  statements_pass(list, path, n_cases);
    } else {
        if (variant_read(&v, path, &e))
            printf("FAIL %s\n", e.text);
        else
            is_good = variant_passes(&v);
        ++*n_cases;
        arena_free(&v.arena);
    }
    json_close(doc);
    return is_good;
}

int main(int argc, char **argv)
{
    static const char *const own[] = {
        "fedavg",          "fedavg-equal",      "fedavgm",        "fedavgm-l2",
        "fedavgm-damped",  "fedadam",           "fedadam-l2",     "fedadamw",
        "fedadamw-strong", "fedadamw-weighted", "fedadam-reddi",  "fedyogi",
        "fedadagrad",      "fedadam-flower13",  "fedadam-flower", "identities",
    };
    int n_cases = 0, n_failed = 0;
    for (int i = 1; i < argc; i++)
        n_failed += !file_passes(argv[i], &n_cases);
    for (size_t i = 0; argc < 2 && i < sizeof(own) / sizeof(own[0]); i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/optimizers/%s.json", TEST_VECTORS, own[i]);
        n_failed += !file_passes(path, &n_cases);
    }
    printf("%d cases, %d files failed\n", n_cases, n_failed);
    return n_failed || n_cases == 0 ? 1 : 0;
}
