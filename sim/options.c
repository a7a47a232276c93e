#include "sim/options.h"

#include <math.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/cells.h"

static enum err_code read_sets(struct option *o, struct arena *a, struct json object, struct err *e)
{
    struct json set, value;
    enum err_code code = json_object(object, "set", &set, e);
    if (code)
        return code;
    o->n_sets = json_count(set);
    if (o->n_sets > OPTIONS_MAX_SETS)
        return json_fail(object, "set", e, "expected at most %d keys, got %zu", OPTIONS_MAX_SETS,
                         o->n_sets);
    o->sets = ARENA_NEW(a, const char *, o->n_sets);
    for (size_t i = 0; i < o->n_sets && !code; i++) {
        struct json_out text;
        const char *key = json_key_at(set, i);
        if ((code = json_value(set, key, &value, e)))
            break;
        json_out_init(&text);
        json_out_value(&text, NULL, value);
        o->sets[i] = arena_printf(a, "%s=%s", key, text.text);
        json_out_fini(&text);
    }
    return code;
}

static enum err_code read_option(struct option *o, struct arena *a, struct json object,
                                 const struct prices *prices, struct err *e)
{
    struct json price;
    const char *name;
    enum err_code code = json_string(object, "name", NULL, &name, e);
    if (code || (code = read_sets(o, a, object, e)) ||
        (code = json_object_opt(object, "price", &price, e)))
        return code;
    o->name = arena_strdup(a, name);
    o->prices = *prices;
    if ((code = prices_read(&o->prices, price, e)))
        return code;
    if (!o->prices.are_known)
        return json_fail(object, "price", e, "expected a price, such as {\"gb\": 2.5}");
    return json_finish(object, e);
}

enum err_code options_read(struct options *out, struct arena *a, const char *path,
                           const struct prices *prices, struct err *e)
{
    struct json_doc *doc = NULL;
    struct json list;
    struct options o = {0};
    enum err_code code = json_load(&doc, path, e);
    if (!code)
        code = json_array(json_root(doc), "options", &list, e);
    if (code)
        goto done;
    o.n = json_count(list);
    if (o.n < 1 || o.n > OPTIONS_MAX) {
        code = json_fail(json_root(doc), "options", e, "expected 1..%d of them, got %zu",
                         OPTIONS_MAX, o.n);
        goto done;
    }
    o.option = ARENA_NEW(a, struct option, o.n);
    for (size_t i = 0; i < o.n && !code; i++) {
        code = read_option(&o.option[i], a, json_at(list, i), prices, e);
        for (size_t k = 0; k < i && !code; k++)
            if (strcmp(o.option[k].name, o.option[i].name) == 0)
                code = json_fail(json_at(list, i), "name", e,
                                 "expected every name once, got \"%s\" again", o.option[i].name);
    }
    if (!code)
        code = json_finish(json_root(doc), e);
done:
    json_close(doc);
    if (!code)
        *out = o;
    return code;
}

/* How far beyond the limits: 0 within. */
static double excess(const struct capacity *c, const struct probe *p)
{
    int which = limits_nearest(&c->limits, p->taken);
    return which < 0 ? 0 : p->taken[which] / c->limits.most[which];
}

enum err_code options_cheapest(struct capacity *c, struct options *o, bool *is_found, size_t *index,
                               struct err *e)
{
    enum err_code code = OK;
    bool has_any = false;
    *is_found = false;
    for (size_t i = 0; i < o->n && !code; i++) {
        struct option *x = &o->option[i];
        code = capacity_probe(c, x->name, x->n_sets, x->sets, &x->prices, &x->probe, e);
        if (code)
            break;
        const struct probe *p = &c->probe[x->probe], *best = &c->probe[*index];
        bool is_better = !has_any;
        if (has_any && p->is_met)
            is_better = !*is_found || p->taken[LIMIT_MONEY] < best->taken[LIMIT_MONEY];
        else if (has_any && p->has_run)
            is_better = !*is_found && excess(c, p) < excess(c, best);
        if (!p->has_run || !is_better)
            continue;
        *index = x->probe;
        has_any = true;
        *is_found = p->is_met;
    }
    if (!code && !has_any)
        code = err_set(e, ERR_INPUT, "%s: %s", o->option[0].name,
                       c->probe[o->option[0].probe].message);
    return code;
}

void options_print(struct capacity *c, const struct options *o, FILE *to)
{
    struct arena *a = &c->vs->arena;
    struct cells *t = cells_new(a, o->n + 1, N_LIMITS + 2);
    cells_put(t, 0, 0, "option");
    for (int k = 0; k < N_LIMITS; k++)
        cells_put(t, 0, (size_t)k + 1, limits_name((enum limit)k));
    for (size_t i = 0; i < o->n; i++) {
        const struct probe *p = &c->probe[o->option[i].probe];
        cells_put(t, i + 1, 0, o->option[i].name);
        for (int k = 0; k < N_LIMITS; k++) {
            char text[48] = "-";
            if (p->has_run)
                limits_format(text, (enum limit)k, p->taken[k]);
            cells_put(t, i + 1, (size_t)k + 1, arena_strdup(a, text));
        }
        cells_put(t, i + 1, N_LIMITS + 1, p->message);
    }
    t->is_left[N_LIMITS + 1] = true;
    cells_measure(t);
    for (size_t i = 0; i <= o->n; i++)
        cells_print_row(t, to, i, 0, N_LIMITS + 2);
    fputc('\n', to);
}
