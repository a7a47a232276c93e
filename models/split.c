#include "models/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

/* Owners of RNG_SPLIT draws. Owner = (purpose << 28) + index, 1 << 28 is SPLIT_SIZES_OWNER; at most
 * 2^28 labels or clients each.
 */
enum { OWN_SHUFFLE = 0, OWN_CLASS = 2, OWN_MIX = 3, OWN_LABEL = 4 };
#define OWNER(purpose, index) (((uint32_t)(purpose) << 28) + (uint32_t)(index))
#define MAX_CLIENTS ((size_t)1 << 28)

/* Uniforms that one gamma variate may use: far more than it ever does (each try is accepted with p
 * > 0.95). */
#define TRIES_PER_GAMMA 4096u

/* log of a Gamma(alpha, 1) variate (Marsaglia and Tsang 2000, "A simple method for generating gamma
 * variables"). For alpha < 1, log G(alpha) = log G(alpha + 1) + log(U) / alpha. */
static double log_gamma_variate(uint64_t seed, uint32_t owner, uint64_t which, double alpha)
{
    uint64_t index = which * TRIES_PER_GAMMA;
    double boost = 0, a = alpha;
    if (alpha < 1) {
        boost = log(rng_uniform(seed, RNG_SPLIT, owner, index++)) / alpha;
        a = alpha + 1;
    }
    double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (; index + 1 < (which + 1) * TRIES_PER_GAMMA; index += 2) {
        double x = rng_normal(seed, RNG_SPLIT, owner, index);
        double u = rng_uniform(seed, RNG_SPLIT, owner, index + 1);
        double v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d) + log(v) + boost;
    }
    return log(d) + boost; /* its mode; has a probability below 1e-2000 */
}

void split_dirichlet(uint64_t seed, uint32_t owner, double alpha, size_t n, double *p)
{
    double largest = -HUGE_VAL, sum = 0;
    CHECK(n >= 1 && alpha > 0);
    for (size_t i = 0; i < n; i++) {
        p[i] = log_gamma_variate(seed, owner, i, alpha);
        if (p[i] > largest)
            largest = p[i];
    }
    for (size_t i = 0; i < n; i++) {
        p[i] = exp(p[i] - largest);
        sum += p[i];
    }
    for (size_t i = 0; i < n; i++)
        p[i] /= sum;
}

/* A remainder with its place, for sorting. */
struct part {
    double rest;
    size_t i;
};

static int largest_rest_first(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->rest != y->rest)
        return x->rest < y->rest ? 1 : -1;
    return (x->i > y->i) - (x->i < y->i);
}

/* count [n_parts] sums to total: floor(total p_i), then one more for the largest remainders (of
 * equal ones, the lower index). */
static void round_to_sum(size_t n_parts, const double *p, size_t total, size_t *count,
                         struct part *scratch)
{
    size_t given = 0;
    for (size_t i = 0; i < n_parts; i++) {
        double exact = (double)total * p[i], whole = floor(exact);
        count[i] = (size_t)whole;
        scratch[i] = (struct part){exact - whole, i};
        given += count[i];
    }
    qsort(scratch, n_parts, sizeof(*scratch), largest_rest_first);
    /* Rounding of p may leave the floors' sum one above the total in the extreme: then take back.
     */
    for (size_t i = n_parts; given > total; i = i == 1 ? n_parts : i - 1) {
        size_t *c = &count[scratch[i - 1].i];
        if (*c > 0) {
            --*c;
            given--;
        }
    }
    for (size_t i = 0; given < total; i = i + 1 == n_parts ? 0 : i + 1, given++)
        count[scratch[i].i]++;
}

/* Fisher and Yates: the first n_wanted places become a uniform draw without replacement. */
static void shuffle(uint64_t seed, uint32_t stream, uint32_t owner, uint64_t first_index,
                    uint32_t *item, size_t n, size_t n_wanted)
{
    for (size_t i = 0; i < n_wanted && i + 1 < n; i++) {
        size_t j = i + (size_t)rng_below(seed, stream, owner, first_index + i, n - i);
        uint32_t t = item[i];
        item[i] = item[j];
        item[j] = t;
    }
}

/* What split_init works with: who owns each sample, then everything is gathered by owner. */
struct deal {
    const struct split_spec *spec;
    struct arena arena;
    size_t n;
    const int *label;
    int n_labels;
    uint32_t *order;  /* [n] samples in random order */
    uint32_t *client; /* [n] owner of order[i] */
    size_t *count;    /* [n_clients] */
    double *p;        /* [max(n_clients, n_labels)] */
    struct part *part;
};

static void deal_evenly(struct deal *d)
{
    size_t k = d->spec->n_clients;
    for (size_t c = 0; c < k; c++)
        d->count[c] = d->n / k + (c < d->n % k);
}

/* Hands d->order[0 .. n) to clients by d->count. */
static void hand_out(struct deal *d)
{
    size_t i = 0;
    for (size_t c = 0; c < d->spec->n_clients; c++)
        for (size_t j = 0; j < d->count[c]; j++)
            d->client[i++] = (uint32_t)c;
    CHECK(i == d->n);
}

static void deal_by_size(struct deal *d)
{
    split_dirichlet(d->spec->seed, SPLIT_SIZES_OWNER, d->spec->alpha, d->spec->n_clients, d->p);
    round_to_sum(d->spec->n_clients, d->p, d->n, d->count, d->part);
    hand_out(d);
}

/* start [n_labels + 1] and item [n]: places in d->order by label, in order. */
static void group_by_label(struct deal *d, size_t *start, uint32_t *item)
{
    size_t n_labels = (size_t)d->n_labels;
    size_t *next = ARENA_NEW(&d->arena, size_t, n_labels);
    for (size_t i = 0; i < d->n; i++)
        start[d->label[d->order[i]] + 1]++;
    for (size_t l = 0; l < n_labels; l++) {
        start[l + 1] += start[l];
        next[l] = start[l];
    }
    for (size_t i = 0; i < d->n; i++)
        item[next[d->label[d->order[i]]]++] = (uint32_t)i;
}

static void deal_by_class(struct deal *d)
{
    size_t n_labels = (size_t)d->n_labels;
    size_t *start = ARENA_NEW(&d->arena, size_t, n_labels + 1);
    uint32_t *item = ARENA_NEW(&d->arena, uint32_t, d->n);
    group_by_label(d, start, item);
    for (size_t l = 0; l < n_labels; l++) {
        split_dirichlet(d->spec->seed, OWNER(OWN_CLASS, l), d->spec->alpha, d->spec->n_clients,
                        d->p);
        round_to_sum(d->spec->n_clients, d->p, start[l + 1] - start[l], d->count, d->part);
        size_t i = start[l];
        for (size_t c = 0; c < d->spec->n_clients; c++)
            for (size_t j = 0; j < d->count[c]; j++)
                d->client[item[i++]] = (uint32_t)c;
        CHECK(i == start[l + 1]);
    }
}

/* The label that u picks from q among labels that have samples left; q of others is passed over. */
static size_t pick_label(const double *q, const size_t *left, size_t n_labels, double u)
{
    double sum = 0;
    size_t last = n_labels;
    for (size_t l = 0; l < n_labels; l++)
        sum += left[l] ? q[l] : 0;
    for (size_t l = 0; l < n_labels; l++) {
        if (!left[l])
            continue;
        last = l;
        u -= sum > 0 ? q[l] / sum : 0;
        if (u < 0 && sum > 0)
            return l;
    }
    CHECK(last < n_labels);
    return last; /* rounding, or all that is left has probability 0 */
}

static void deal_by_client(struct deal *d)
{
    size_t n_labels = (size_t)d->n_labels, k = d->spec->n_clients;
    size_t *start = ARENA_NEW(&d->arena, size_t, n_labels + 1);
    size_t *next = ARENA_NEW(&d->arena, size_t, n_labels);
    size_t *left = ARENA_NEW(&d->arena, size_t, n_labels);
    uint32_t *item = ARENA_NEW(&d->arena, uint32_t, d->n);
    double *q = ARENA_NEW(&d->arena, double, k *n_labels);
    group_by_label(d, start, item);
    for (size_t l = 0; l < n_labels; l++) {
        next[l] = start[l];
        left[l] = start[l + 1] - start[l];
    }
    for (size_t c = 0; c < k; c++)
        split_dirichlet(d->spec->seed, OWNER(OWN_MIX, c), d->spec->alpha, n_labels,
                        q + c * n_labels);
    for (size_t i = 0; i < d->n; i++) {
        size_t c = i % k;
        double u = rng_uniform(d->spec->seed, RNG_SPLIT, OWNER(OWN_LABEL, 0), i);
        size_t l = pick_label(q + c * n_labels, left, n_labels, u);
        d->client[item[next[l]++]] = (uint32_t)c;
        left[l]--;
    }
}

/* d->count from d->client. */
static void count_clients(struct deal *d)
{
    memset(d->count, 0, d->spec->n_clients * sizeof(*d->count));
    for (size_t i = 0; i < d->n; i++)
        d->count[d->client[i]]++;
}

/* A heap of clients, the one with most samples on top (of equal ones, the lower index). */
static bool holds_more(const size_t *count, size_t a, size_t b)
{
    return count[a] != count[b] ? count[a] > count[b] : a < b;
}

static void sift_down(size_t *heap, size_t n, size_t at, const size_t *count)
{
    for (;;) {
        size_t best = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (holds_more(count, heap[child], heap[best]))
                best = child;
        if (best == at)
            return;
        size_t t = heap[at];
        heap[at] = heap[best];
        heap[best] = t;
        at = best;
    }
}

/* Every client gets one: see split_spec.min_samples. */
static void fill_empty(struct deal *d)
{
    size_t k = d->spec->n_clients;
    size_t *heap = ARENA_NEW(&d->arena, size_t, k);
    size_t *start = ARENA_NEW(&d->arena, size_t, k + 1), *next = ARENA_NEW(&d->arena, size_t, k);
    uint32_t *item = ARENA_NEW(&d->arena, uint32_t, d->n);
    for (size_t c = 0; c < k; c++) {
        start[c + 1] = start[c] + d->count[c];
        next[c] = start[c];
        heap[c] = c;
    }
    for (size_t i = 0; i < d->n; i++)
        item[next[d->client[i]]++] = (uint32_t)i;
    for (size_t at = k / 2; at-- > 0;)
        sift_down(heap, k, at, d->count);
    for (size_t c = 0; c < k; c++) {
        if (start[c + 1] > start[c])
            continue;
        size_t rich = heap[0];
        CHECK(d->count[rich] > 1);
        d->client[item[start[rich] + --d->count[rich]]] = (uint32_t)c;
        d->count[c] = 1; /* its place in the heap does not matter: 1 is never taken */
        sift_down(heap, k, 0, d->count);
    }
}

static void *array_of(size_t n, size_t size)
{
    void *items = NULL;
    size_t cap = 0;
    mem_grow(&items, &cap, n ? n : 1, size);
    return items;
}

/* Samples by client, ascending. */
static void gather(struct split *s, const struct deal *d)
{
    uint32_t *owner = array_of(d->n, sizeof(*owner));
    size_t *next = array_of(s->n_clients, sizeof(*next));
    s->start = array_of(s->n_clients + 1, sizeof(*s->start));
    s->sample = array_of(d->n, sizeof(*s->sample));
    s->start[0] = 0;
    for (size_t c = 0; c < s->n_clients; c++) {
        next[c] = s->start[c];
        s->start[c + 1] = s->start[c] + d->count[c];
    }
    for (size_t i = 0; i < d->n; i++)
        owner[d->order[i]] = d->client[i];
    for (size_t i = 0; i < d->n; i++)
        s->sample[next[owner[i]]++] = (uint32_t)i;
    mem_free(owner);
    mem_free(next);
}

static enum err_code check_spec(const struct split_spec *spec, size_t n, bool has_labels,
                                struct err *e)
{
    bool needs_labels = spec->kind == SPLIT_BY_CLASS || spec->kind == SPLIT_BY_CLIENT;
    if (spec->n_clients < 1 || spec->n_clients > MAX_CLIENTS)
        return err_set(e, ERR_INPUT, "expected 1 to %zu clients, got %zu", MAX_CLIENTS,
                       spec->n_clients);
    if (n >= UINT32_MAX)
        return err_set(e, ERR_LIMIT, "expected fewer than %u samples, got %zu", UINT32_MAX, n);
    if (spec->min_samples > 0 && n < spec->n_clients)
        return err_set(e, ERR_INPUT, "%zu clients need as many training samples, got %zu",
                       spec->n_clients, n);
    if (needs_labels && !has_labels)
        return err_set(e, ERR_INPUT, "a split over labels needs data with labels");
    if (spec->kind != SPLIT_IID &&
        !(spec->alpha >= SPLIT_MIN_ALPHA && spec->alpha <= SPLIT_MAX_ALPHA))
        return err_set(e, ERR_INPUT, "expected alpha of %g to %g, got %g", SPLIT_MIN_ALPHA,
                       SPLIT_MAX_ALPHA, spec->alpha);
    return OK;
}

static void deal_out(struct deal *d)
{
    enum split_kind kind = d->spec->kind;
    if (kind == SPLIT_DIRICHLET)
        kind = d->label ? SPLIT_BY_CLASS : SPLIT_SIZES;
    if (kind == SPLIT_BY_CLASS) {
        deal_by_class(d);
    } else if (kind == SPLIT_BY_CLIENT) {
        deal_by_client(d);
    } else if (kind == SPLIT_SIZES) {
        deal_by_size(d);
    } else {
        deal_evenly(d);
        hand_out(d);
    }
}

enum err_code split_init(struct split *s, const struct split_spec *spec, size_t n, const int *label,
                         int n_labels, struct err *e)
{
    CHECK(n_labels >= 0 && spec->min_samples <= 1);
    bool has_labels = label && n_labels > 0;
    enum err_code code = check_spec(spec, n, has_labels, e);
    if (code)
        return code;
    struct deal d = {
        .spec = spec, .n = n, .label = has_labels ? label : NULL, .n_labels = n_labels};
    size_t k = spec->n_clients, most = k > (size_t)n_labels ? k : (size_t)n_labels;
    d.order = ARENA_NEW(&d.arena, uint32_t, n);
    d.client = ARENA_NEW(&d.arena, uint32_t, n);
    d.count = ARENA_NEW(&d.arena, size_t, k);
    d.p = ARENA_NEW(&d.arena, double, most);
    d.part = ARENA_NEW(&d.arena, struct part, most);
    for (size_t i = 0; i < n; i++) {
        d.order[i] = (uint32_t)i;
        CHECK(!d.label || (d.label[i] >= 0 && d.label[i] < n_labels));
    }
    shuffle(spec->seed, RNG_SPLIT, OWNER(OWN_SHUFFLE, 0), 0, d.order, n, n);
    deal_out(&d);
    count_clients(&d);
    if (spec->min_samples > 0)
        fill_empty(&d);
    *s = (struct split){.n_clients = k, .n_samples = n};
    gather(s, &d);
    arena_free(&d.arena);
    return OK;
}

void split_fini(struct split *s)
{
    mem_free(s->start);
    mem_free(s->sample);
    *s = (struct split){0};
}

size_t split_size(const struct split *s, size_t client)
{
    CHECK(client < s->n_clients);
    return s->start[client + 1] - s->start[client];
}

size_t split_batch_size(const struct split *s, size_t client, size_t batch)
{
    size_t n = split_size(s, client);
    return n < batch ? n : batch;
}

size_t split_batch(const struct split *s, uint64_t seed, size_t client, uint64_t round,
                   size_t n_steps, size_t batch, uint32_t *sample)
{
    size_t n = split_size(s, client), m = split_batch_size(s, client, batch), at = n;
    CHECK(client <= UINT32_MAX && round <= UINT32_MAX && batch >= 1);
    if (m == 0)
        return 0;
    uint64_t index = round << 32; /* counts draws within the round from here */
    uint32_t *order = array_of(n, sizeof(*order));
    for (size_t step = 0; step < n_steps; step++, at += m) {
        if (n - at < m) {
            size_t n_wanted = (n_steps - step) * m < n ? (n_steps - step) * m : n;
            memcpy(order, s->sample + s->start[client], n * sizeof(*order));
            shuffle(seed, RNG_ORDER, (uint32_t)client, index, order, n, n_wanted);
            index += n;
            at = 0;
        }
        memcpy(sample + step * m, order + at, m * sizeof(*order));
    }
    mem_free(order);
    return m;
}

struct split_work split_work_for(size_t n, const struct split_dealing *d)
{
    size_t m = n < d->batch ? n : d->batch;
    struct split_work w = {.batch = m};
    if (n == 0)
        return w;
    if (d->n_epochs == 0) {
        w.n_full = d->n_steps;
        return w;
    }
    w.n_full = d->n_epochs * (n / m);
    w.rest = n % m;
    w.n_rests = w.rest ? d->n_epochs : 0;
    return w;
}

struct split_work split_work_of(const struct split *s, size_t client, const struct split_dealing *d)
{
    return split_work_for(split_size(s, client), d);
}

size_t split_most_steps(const struct split *s, const struct split_dealing *d)
{
    size_t most = 0;
    for (size_t c = 0; c < s->n_clients; c++) {
        struct split_work w = split_work_of(s, c, d);
        most = split_work_steps(&w) > most ? split_work_steps(&w) : most;
    }
    return most;
}

static void deal_epochs(const struct split *s, const struct split_dealing *d, uint64_t seed,
                        size_t client, uint64_t round, uint32_t *sample, int *n_per_step)
{
    size_t n = split_size(s, client), step = 0;
    CHECK(client <= UINT32_MAX && round <= UINT32_MAX);
    uint64_t index = round << 32; /* counts draws within the round from here */
    for (size_t epoch = 0; epoch < d->n_epochs; epoch++, sample += n, index += n) {
        memcpy(sample, s->sample + s->start[client], n * sizeof(*sample));
        shuffle(seed, RNG_ORDER, (uint32_t)client, index, sample, n, n);
        for (size_t at = 0; at < n; at += d->batch)
            n_per_step[step++] = (int)(n - at < d->batch ? n - at : d->batch);
    }
}

size_t split_deal(const struct split *s, const struct split_dealing *d, uint64_t seed,
                  size_t client, uint64_t round, size_t most_steps, uint32_t *sample,
                  int *n_per_step)
{
    struct split_work w = split_work_of(s, client, d);
    memset(n_per_step, 0, most_steps * sizeof(*n_per_step));
    if (d->n_epochs > 0) {
        deal_epochs(s, d, seed, client, round, sample, n_per_step);
    } else {
        split_batch(s, seed, client, round, d->n_steps, d->batch, sample);
        for (size_t i = 0; i < most_steps; i++)
            n_per_step[i] = (int)w.batch;
    }
    return split_work_samples(&w);
}

static const char *const kind_names[] = {[SPLIT_IID] = "iid",
                                         [SPLIT_SIZES] = "dirichlet-sizes",
                                         [SPLIT_BY_CLASS] = "dirichlet-by-class",
                                         [SPLIT_BY_CLIENT] = "dirichlet-by-client",
                                         [SPLIT_DIRICHLET] = "dirichlet"};

enum err_code split_parse(struct json data, const char *key, struct split_spec *out, struct err *e)
{
    const double one = 1.0;
    const bool no = false;
    const size_t iid = SPLIT_IID;
    bool allow_empty = false;
    size_t kind = SPLIT_IID;
    double alpha = 1.0;
    struct json o = {0};
    enum err_code code = data.node ? json_object_opt(data, key, &o, e) : OK;
    if (!code && o.node) {
        code = json_choice(o, "kind", kind_names, sizeof(kind_names) / sizeof(kind_names[0]), &iid,
                           &kind, e);
        if (!code && kind == SPLIT_IID && json_has(o, "alpha"))
            code =
                json_fail(o, "alpha", e, "an iid split has no alpha; use \"kind\": \"dirichlet\"");
        if (!code && kind != SPLIT_IID)
            code = json_double(o, "alpha", SPLIT_MIN_ALPHA, SPLIT_MAX_ALPHA, &one, &alpha, e);
        if (!code)
            code = json_bool(o, "allow_empty", &no, &allow_empty, e);
        if (!code)
            code = json_finish(o, e);
    }
    if (code)
        return code;
    out->kind = (enum split_kind)kind;
    out->alpha = alpha;
    out->min_samples = allow_empty ? 0 : 1;
    return OK;
}

void split_write(struct json_out *o, const char *key, const struct split_spec *spec)
{
    json_out_begin_inline(o, key, '{');
    json_out_string(o, "kind", kind_names[spec->kind]);
    if (spec->kind != SPLIT_IID)
        json_out_double(o, "alpha", spec->alpha);
    json_out_bool(o, "allow_empty", spec->min_samples == 0);
    json_out_end(o, '}');
}
