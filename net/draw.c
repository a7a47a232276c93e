#include "net/draw.h"

#include <math.h>
#include <string.h>

#include "net/table.h"
#include "sim/base/file.h"
#include "sim/base/rng.h"

#define MAX_MBPS 1e7
#define MAX_MS 6e4
#define MIN_BPS 1e3
#define MAX_BPS 1e13
#define MAX_RTT_S 60.0
#define MOST_DEVIATIONS 3.0

static const char *const KEYS[N_DRAW_VALUES] = {"down", "up", "rtt"};
static const double UNIT[N_DRAW_VALUES] = {1e6, 1e6, 1e-3}; /* of the columns */

/* --- reading --- */

static enum err_code choose(struct json o, const struct csv *c, struct draw *d, int *column,
                            struct arena *a, struct err *e)
{
    bool is_named = d->column[DRAW_DOWN] || d->column[DRAW_UP] || d->column[DRAW_RTT];
    bool is_any = false;
    for (int i = 0; i < N_DRAW_VALUES; i++) {
        column[i] = -1;
        if (d->column[i])
            column[i] = csv_find(c, d->column[i]);
        else if (!is_named)
            column[i] = table_column_like(c, 0, KEYS[i]);
        if (d->column[i] && column[i] < 0)
            return json_fail(o, KEYS[i], e, "%s has no column \"%.40s\", but %s", d->path,
                             d->column[i], table_columns(c, 0, a));
        if (column[i] >= 0)
            d->column[i] = arena_strdup(a, csv_header(c, (size_t)column[i]));
        is_any = is_any || column[i] >= 0;
    }
    if (!is_any)
        return json_fail(o, NULL, e,
                         "no column of %s begins with \"down\", \"up\" or \"rtt\": name one, as in "
                         "{\"file\": ..., \"down\": COLUMN}; it has %s",
                         d->path, table_columns(c, 0, a));
    return OK;
}

/* Whether a row has what `where` says; at: the columns. */
static bool counts(const struct csv *c, const struct draw *d, const int *at, size_t row)
{
    for (size_t i = 0; i < d->n_where; i++)
        if (strcmp(csv_cell(c, row, (size_t)at[i]), d->where[i].value) != 0)
            return false;
    return true;
}

static enum err_code read_rows(const struct csv *c, struct draw *d, const int *column,
                               const int *where, struct arena *a, struct err *e)
{
    size_t n = csv_rows(c);
    double *value[N_DRAW_VALUES] = {NULL};
    for (int i = 0; i < N_DRAW_VALUES; i++)
        if (column[i] >= 0)
            d->value[i] = value[i] = ARENA_NEW(a, double, n);
    for (size_t row = 0; row < n; row++) {
        if (!counts(c, d, where, row))
            continue;
        for (int i = 0; i < N_DRAW_VALUES; i++) {
            double x;
            if (column[i] < 0)
                continue;
            enum err_code code = table_number(c, d->path, row, (size_t)column[i],
                                              i == DRAW_RTT ? MAX_MS : MAX_MBPS, &x, e);
            if (code)
                return code;
            value[i][d->n_rows] = x * UNIT[i];
            if (i != DRAW_RTT && x * UNIT[i] < MIN_BPS)
                return err_set(e, ERR_INPUT, "%s:%zu: %s: expected at least %g Mbit/s, got %g",
                               d->path, row + 2, d->column[i], MIN_BPS / UNIT[i], x);
        }
        d->n_rows++;
    }
    if (d->n_rows == 0)
        return err_set(e, ERR_INPUT, "%s: expected a row that counts, got none of %zu", d->path, n);
    return OK;
}

static enum err_code load(struct json o, struct draw *d, struct arena *a, struct err *e)
{
    struct csv *c = NULL;
    struct err why = {0};
    int column[N_DRAW_VALUES], where[DRAW_MAX_WHERE];
    const char *key = json_is_object(o) ? "file" : NULL;
    enum err_code code = csv_load(&c, d->path, ',', &why);
    if (code)
        return code == ERR_INPUT ? json_fail(o, key, e, "%s", why.text)
                                 : err_set(e, code, "%s", why.text);
    code = choose(o, c, d, column, a, e);
    for (size_t i = 0; i < d->n_where && !code; i++)
        if ((where[i] = csv_find(c, d->where[i].column)) < 0)
            code = json_fail(o, "where", e, "%s has no column \"%.40s\", but %s", d->path,
                             d->where[i].column, table_columns(c, 0, a));
    if (!code && (code = read_rows(c, d, column, where, a, &why)))
        json_fail(o, key, e, "%s", why.text);
    csv_close(c);
    return code;
}

static enum err_code parse_where(struct json o, struct draw *d, struct arena *a, struct err *e)
{
    struct json where;
    enum err_code code = json_object_opt(o, "where", &where, e);
    if (code || !where.node)
        return code;
    size_t n = json_count(where);
    if (n < 1 || n > DRAW_MAX_WHERE)
        return json_fail(o, "where", e, "expected 1..%d columns, got %zu", DRAW_MAX_WHERE, n);
    for (size_t i = 0; i < n && !code; i++) {
        const char *name = json_key_at(where, i), *value;
        if ((code = json_string(where, name, NULL, &value, e)))
            break;
        d->where[d->n_where++] = (struct draw_where){arena_strdup(a, name), arena_strdup(a, value)};
    }
    return code;
}

static enum err_code parse_file(struct json o, struct draw *d, const char **file, struct arena *a,
                                struct err *e)
{
    enum err_code code = json_string(o, "file", NULL, file, e);
    for (int i = 0; i < N_DRAW_VALUES && !code; i++) {
        const char *name;
        if (!json_has(o, KEYS[i]))
            continue;
        if (!(code = json_string(o, KEYS[i], NULL, &name, e)))
            d->column[i] = arena_strdup(a, name);
    }
    if (!code)
        code = parse_where(o, d, a, e);
    return code ? code : json_finish(o, e);
}

static enum err_code parse_spread(struct json o, struct draw *d, struct err *e)
{
    enum err_code code = OK;
    for (int i = 0; i < N_DRAW_VALUES && !code; i++)
        code = json_double(o, KEYS[i], 0, DRAW_MAX_SIGMA, &(double){0}, &d->sigma[i], e);
    if (!code)
        code = json_double(o, "correlation", -1, 1, &(double){0}, &d->correlation, e);
    return code ? code : json_finish(o, e);
}

enum err_code draw_parse(struct json network, const struct draw **out, struct arena *a,
                         struct err *e)
{
    struct json o;
    const char *file = NULL;
    if (!network.node || !json_has(network, "draw"))
        return OK;
    enum err_code code = json_value(network, "draw", &o, e);
    if (code)
        return code;
    struct draw *d = ARENA_NEW(a, struct draw, 1);
    if (json_is_string(o))
        code = json_string(o, NULL, NULL, &file, e);
    else if (!json_is_object(o))
        code = json_fail(o, NULL, e, "expected a file, {\"file\": ...} or {\"down\": NUMBER, ...}");
    else if (json_has(o, "file"))
        code = parse_file(o, d, &file, a, e);
    else
        code = parse_spread(o, d, e);
    if (!code && file) {
        d->path = table_file_of(o, json_is_object(o) ? "file" : NULL, file, a);
        code = load(o, d, a, e);
    }
    if (!code)
        *out = d;
    return code;
}

void draw_write(struct json_out *o, const struct draw *d)
{
    if (!d)
        return;
    json_out_begin_inline(o, "draw", '{');
    if (d->path) {
        char *absolute = file_absolute(d->path);
        json_out_string(o, "file", absolute);
        mem_free(absolute);
        for (int i = 0; i < N_DRAW_VALUES; i++)
            if (d->column[i])
                json_out_string(o, KEYS[i], d->column[i]);
        if (d->n_where > 0) {
            json_out_begin_inline(o, "where", '{');
            for (size_t i = 0; i < d->n_where; i++)
                json_out_string(o, d->where[i].column, d->where[i].value);
            json_out_end(o, '}');
        }
    } else {
        for (int i = 0; i < N_DRAW_VALUES; i++)
            json_out_double(o, KEYS[i], d->sigma[i]);
        json_out_double(o, "correlation", d->correlation);
    }
    json_out_end(o, '}');
}

/* --- drawing --- */

void draw_defaults(const struct draw *d, double value[N_DRAW_VALUES])
{
    for (int i = 0; i < N_DRAW_VALUES; i++) {
        if (!d->path || !d->value[i])
            continue;
        value[i] = 0;
        for (size_t row = 0; row < d->n_rows && i != DRAW_RTT; row++)
            value[i] = fmax(value[i], d->value[i][row]);
    }
}

static double clip(double z)
{
    return fmin(fmax(z, -MOST_DEVIATIONS), MOST_DEVIATIONS);
}

void draw_client(const struct draw *d, uint64_t seed, size_t client, double value[N_DRAW_VALUES])
{
    uint32_t owner = (uint32_t)client;
    if (d->path) {
        size_t row = (size_t)rng_below(seed, RNG_DRAW, owner, 0, d->n_rows);
        for (int i = 0; i < N_DRAW_VALUES; i++)
            if (d->value[i])
                value[i] = i == DRAW_RTT ? fmax(value[i], d->value[i][row])
                                         : fmin(value[i], d->value[i][row]);
        return;
    }
    double z[N_DRAW_VALUES], c = d->correlation;
    for (int i = 0; i < N_DRAW_VALUES; i++)
        z[i] = rng_normal(seed, RNG_DRAW, owner, (uint64_t)i);
    z[DRAW_UP] = c * z[DRAW_DOWN] + sqrt(1 - c * c) * z[DRAW_UP];
    for (int i = 0; i < N_DRAW_VALUES; i++)
        value[i] *= exp(d->sigma[i] * clip(z[i]));
    for (int i = 0; i < DRAW_RTT; i++)
        value[i] = fmin(fmax(value[i], MIN_BPS), MAX_BPS);
    value[DRAW_RTT] = fmin(value[DRAW_RTT], MAX_RTT_S);
}
