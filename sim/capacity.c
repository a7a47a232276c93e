#include "sim/capacity.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/capacity_parts.h"

#define NEAR_ENOUGH 1.0005 /* of a bisected rate; rounding to four digits adds at most 0.1 % */
#define DIGITS 1e3         /* four of them */

enum err_code capacity_open(struct capacity *c, struct variants *vs, const char *scenario,
                            const struct cli_list *sets, struct log *log, struct err *e)
{
    struct scenario *s = NULL;
    *c = (struct capacity){.vs = vs, .log = log, .scenario = scenario};
    limits_init(&c->limits);
    enum err_code code = scenario_load(&s, scenario, sets->n, sets->value, e);
    if (code)
        return code;
    memcpy(c->sets, sets->value, sets->n * sizeof(c->sets[0]));
    c->n_sets = sets->n;
    if (s->model.train == SCENARIO_FULL && s->federation.payload == SCENARIO_PAYLOAD_FULL) {
        /* Otherwise "none" would send an adapter; now it sends one, the smallest, beside the
         * weights. */
        c->sets[c->n_sets++] = "federation.payload=full";
        c->sets[c->n_sets++] = "model.lora.rank=1";
    }
    c->sets[c->n_sets++] = "model.train=none";
    c->sets[c->n_sets++] = "evaluate.every=0";
    scenario_close(s);
    return OK;
}

void capacity_close(struct capacity *c)
{
    mem_free(c->probe);
    c->probe = NULL;
}

/* --- points --- */

/* What keeps the probe from meeting the limits, or "". */
static const char *fault_of(const struct capacity *c, const struct probe *p,
                            const struct summary_record *s)
{
    char is[48], most[48];
    if (s->rounds_without_result > 0)
        return arena_printf(&c->vs->arena, "%" PRId64 " of %" PRId64 " rounds without a result",
                            s->rounds_without_result, s->rounds);
    if (limits_are_met(&c->limits, p->taken))
        return "";
    int which = limits_nearest(&c->limits, p->taken);
    limits_format(is, (enum limit)which, p->taken[which]);
    limits_format(most, (enum limit)which, c->limits.most[which]);
    return arena_printf(&c->vs->arena, "%s %s is above %s", limits_name((enum limit)which), is,
                        most);
}

enum err_code capacity_probe(struct capacity *c, const char *label, size_t n_sets,
                             const char *const *sets, const struct prices *prices, size_t *index,
                             struct err *e)
{
    const char *all[2 * CAPACITY_MAX_SETS];
    const struct variant_options options = {.n_jobs = 1};
    CHECK(n_sets <= CAPACITY_MAX_SETS);
    memcpy(all, c->sets, c->n_sets * sizeof(all[0]));
    memcpy(all + c->n_sets, sets, n_sets * sizeof(all[0]));
    size_t at = c->vs->n;
    variants_add(c->vs, label, c->scenario, c->n_sets + n_sets, all);
    enum err_code code = variants_run(c->vs, &options, c->log, e);
    if (code)
        return code;
    const struct variant *v = &c->vs->variant[at];
    mem_grow((void **)&c->probe, &c->cap_probes, c->n_probes + 1, sizeof(c->probe[0]));
    struct probe *p = &c->probe[c->n_probes];
    *p = (struct probe){.label = v->label, .variant = at, .has_run = v->state == VARIANT_DONE};
    for (int i = 0; i < N_LIMITS; i++)
        p->taken[i] = (double)NAN;
    if (p->has_run)
        limits_taken(&v->summary, prices ? prices : &c->prices, p->taken);
    p->message = p->has_run ? fault_of(c, p, &v->summary) : v->message;
    p->is_met = !p->message[0];
    *index = c->n_probes++;
    return OK;
}

/* A point of a search, where one that fails ends it. */
static enum err_code must_probe(struct capacity *c, const char *label, size_t n_sets,
                                const char *const *sets, size_t *index, struct err *e)
{
    enum err_code code = capacity_probe(c, label, n_sets, sets, NULL, index, e);
    if (!code && !c->probe[*index].has_run)
        code = err_set(e, ERR_INPUT, "%s", c->probe[*index].message);
    return code;
}

/* --- the smallest rate --- */

/* "13.79Mbps" where that is the very number, otherwise all digits. */
static const char *rate_text(struct arena *a, double bps)
{
    char text[32], number[32];
    double same;
    text_format(text, sizeof(text), bps, UNIT_RATE_BPS);
    if (!text_quantity(text, UNIT_RATE_BPS, 0, 2 * bps, &same, NULL) && same == bps)
        return arena_strdup(a, text);
    text_shortest(number, bps);
    return arena_printf(a, "%sbps", number);
}

static enum err_code probe_rate(struct capacity *c, size_t n_keys, const char *const *keys,
                                double bps, size_t *index, struct err *e)
{
    struct arena *a = &c->vs->arena;
    const char *sets[CAPACITY_MAX_SETS], *label = "", *rate = rate_text(a, bps);
    for (size_t i = 0; i < n_keys; i++) {
        sets[i] = arena_printf(a, "%s=\"%s\"", keys[i], rate);
        label = arena_printf(a, "%s%s%s=%s", label, i ? ", " : "", keys[i], rate);
    }
    return must_probe(c, label, n_keys, sets, index, e);
}

/* Up to four digits. */
static double rounded_up(double v)
{
    double unit = pow(10, floor(log10(v))) / DIGITS;
    return ceil(v / unit - 1e-9) * unit;
}

enum err_code capacity_smallest(struct capacity *c, size_t n_keys, const char *const *keys,
                                double lo, double hi, bool *is_found, size_t *index, struct err *e)
{
    size_t at, top;
    CHECK(lo > 0 && hi >= lo && n_keys >= 1);
    enum err_code code = probe_rate(c, n_keys, keys, hi, &top, e);
    *index = top;
    *is_found = !code && c->probe[top].is_met;
    if (code || !*is_found)
        return code;
    if ((code = probe_rate(c, n_keys, keys, lo, &at, e)))
        return code;
    if (c->probe[at].is_met) {
        *index = at;
        return OK;
    }
    while (hi / lo > NEAR_ENOUGH) {
        double middle = sqrt(lo * hi);
        if ((code = probe_rate(c, n_keys, keys, middle, &at, e)))
            return code;
        if (c->probe[at].is_met) {
            hi = middle;
            *index = at;
        } else {
            lo = middle;
        }
    }
    if (*index == top) /* the range's own end */
        return OK;
    if ((code = probe_rate(c, n_keys, keys, rounded_up(hi), &at, e)))
        return code;
    if (c->probe[at].is_met)
        *index = at;
    return OK;
}

/* --- the largest number --- */

static enum err_code probe_number(struct capacity *c, const char *key, int64_t n, size_t *index,
                                  struct err *e)
{
    const char *set = arena_printf(&c->vs->arena, "%s=%" PRId64, key, n);
    return must_probe(c, set, 1, &set, index, e);
}

enum err_code capacity_largest(struct capacity *c, const char *key, int64_t lo, int64_t hi,
                               bool *is_found, size_t *index, struct err *e)
{
    size_t at;
    CHECK(lo <= hi);
    enum err_code code = probe_number(c, key, lo, index, e);
    *is_found = !code && c->probe[*index].is_met;
    if (code || !*is_found || lo == hi)
        return code;
    if ((code = probe_number(c, key, hi, &at, e)))
        return code;
    if (c->probe[at].is_met) {
        *index = at;
        return OK;
    }
    while (hi - lo > 1) {
        int64_t middle = lo + (hi - lo) / 2;
        if ((code = probe_number(c, key, middle, &at, e)))
            return code;
        if (c->probe[at].is_met) {
            lo = middle;
            *index = at;
        } else {
            hi = middle;
        }
    }
    return OK;
}

/* --- what more of each part would bring --- */

static int by_gain(const void *a, const void *b)
{
    const struct gain *x = a, *y = b;
    double left = isnan(x->share) ? -(double)INFINITY : x->share;
    double right = isnan(y->share) ? -(double)INFINITY : y->share;
    if (left != right)
        return left > right ? -1 : 1;
    return strcmp(x->part, y->part);
}

enum err_code capacity_gains(struct capacity *c, size_t index, struct gain **out, size_t *n,
                             struct err *e)
{
    struct arena *a = &c->vs->arena;
    const struct probe *p = &c->probe[index];
    struct scenario *s = NULL;
    CHECK(p->has_run);
    /* The run's own scenario states every value, so that every part can be given another. */
    const char *resolved = arena_printf(a, "%s/scenario.json", c->vs->variant[p->variant].folder);
    enum err_code code = scenario_load(&s, resolved, 0, NULL, e);
    if (code)
        return code;
    struct capacity_part *part;
    size_t n_parts = capacity_parts(&part, s, a), first = c->vs->n;
    scenario_close(s);
    for (size_t i = 0; i < n_parts; i++)
        variants_add(c->vs, arena_printf(a, "%s, a tenth more of %s", p->label, part[i].name),
                     resolved, part[i].n_sets, part[i].sets);
    const struct variant_options options = {0};
    if ((code = variants_run(c->vs, &options, c->log, e)))
        return code;
    struct gain *g = ARENA_NEW(a, struct gain, n_parts);
    double base_s = p->taken[LIMIT_ROUND];
    for (size_t i = 0; i < n_parts; i++) {
        const struct variant *v = &c->vs->variant[first + i];
        g[i] = (struct gain){.part = part[i].name, .now = part[i].now, .share = (double)NAN};
        if (v->state == VARIANT_DONE && base_s > 0)
            g[i].share = 1 - v->summary.mean_duration_s / base_s;
    }
    qsort(g, n_parts, sizeof(g[0]), by_gain);
    *out = g;
    *n = n_parts;
    return OK;
}

enum err_code capacity_write(const struct capacity *c, const char *path, struct err *e)
{
    struct file_out *f = NULL;
    enum err_code code = file_create(&f, path, e);
    if (code)
        return code;
    FILE *to = file_stream(f);
    fputs("point,is_met,mean_duration_s,virtual_s,total_kwh,carbon_kg,money,message\n", to);
    for (size_t i = 0; i < c->n_probes; i++) {
        const struct probe *p = &c->probe[i];
        csv_write_cell(to, p->label);
        fprintf(to, ",%d,", p->is_met);
        for (int k = 0; k < N_LIMITS; k++) {
            char number[32] = "";
            if (!isnan(p->taken[k]))
                text_shortest(number, p->taken[k]);
            fprintf(to, "%s,", number);
        }
        csv_write_cell(to, p->message);
        fputc('\n', to);
    }
    return file_commit(f, e);
}
