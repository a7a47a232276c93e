#include "net/trace.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net/table.h"
#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"

#define MIN_RATE_BPS 1e3 /* that a trace must reach once */
#define MBPS 1e6

/* The beginnings of the steps and the end of the last, from 0. */
static enum err_code read_seconds(const struct csv *c, const char *path, const double **out,
                                  struct arena *a, struct err *e)
{
    size_t n = csv_rows(c);
    if (n < 2 || n > TRACE_MAX_ROWS)
        return err_set(e, ERR_INPUT, "%s: expected 2..%d rows below the header, got %zu", path,
                       TRACE_MAX_ROWS, n);
    double *at_s = ARENA_NEW(a, double, n + 1);
    for (size_t i = 0; i < n; i++) {
        enum err_code code = table_number(c, path, i, 0, TRACE_MAX_S, &at_s[i], e);
        if (code)
            return code;
        if (i > 0 && at_s[i] - at_s[i - 1] < RATES_MIN_STEP_S * (1 - 1e-6))
            return err_set(e, ERR_INPUT,
                           "%s:%zu: %s: expected at least %g s more than the row before, %g, got "
                           "%g",
                           path, i + 2, csv_header(c, 0), RATES_MIN_STEP_S, at_s[i - 1], at_s[i]);
    }
    double first_s = at_s[0], last_step_s = at_s[n - 1] - at_s[n - 2];
    for (size_t i = 0; i < n; i++)
        at_s[i] -= first_s;
    at_s[n] = at_s[n - 1] + last_step_s;
    *out = at_s;
    return OK;
}

static enum err_code read_column(const struct csv *c, const char *path, size_t column,
                                 const double *at_s, const struct rates **out, struct arena *a,
                                 struct err *e)
{
    size_t n = csv_rows(c);
    while (n > 1 && !*csv_cell(c, n - 1, column)) /* it ends before others do */
        n--;
    double *bps = ARENA_NEW(a, double, n);
    struct rates *r = ARENA_NEW(a, struct rates, 1);
    for (size_t i = 0; i < n; i++) {
        enum err_code code = table_number(c, path, i, column, TRACE_MAX_MBPS, &bps[i], e);
        if (code)
            return code;
        bps[i] *= MBPS;
    }
    rates_init(r, n, at_s, bps);
    if (r->max_bps < MIN_RATE_BPS)
        return err_set(e, ERR_INPUT, "%s: %s: expected 0.001 Mbit/s somewhere, got at most %g",
                       path, csv_header(c, column), r->max_bps / MBPS);
    *out = r;
    return OK;
}

/* Which columns, by name or automatically; -1: none. */
static enum err_code choose(struct json o, const struct csv *c, struct trace *t, int *column,
                            struct arena *a, struct err *e)
{
    bool is_named = t->column[NET_DOWN] || t->column[NET_UP];
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        const char *key = net_dir_name((enum net_dir)dir);
        column[dir] = -1;
        if (t->column[dir])
            column[dir] = csv_find(c, t->column[dir]);
        else if (!is_named)
            column[dir] = table_column_like(c, 1, key);
        if (t->column[dir] && column[dir] < 1)
            return json_fail(o, key, e, "%s has no column \"%.40s\" of Mbit/s, but %s", t->path,
                             t->column[dir], table_columns(c, 1, a));
        if (column[dir] >= 0)
            t->column[dir] = arena_strdup(a, csv_header(c, (size_t)column[dir]));
    }
    if (column[NET_DOWN] < 0 && column[NET_UP] < 0)
        return json_fail(
            o, NULL, e,
            "no column of %s begins with \"down\" or \"up\": name one, as in {\"file\": "
            "..., \"down\": COLUMN}; it has %s",
            t->path, table_columns(c, 1, a));
    return OK;
}

static enum err_code load(struct json o, struct trace *t, struct arena *a, struct err *e)
{
    struct csv *c = NULL;
    struct err why = {0};
    int column[N_NET_DIRS];
    const double *at_s = NULL;
    const char *key = json_is_object(o) ? "file" : NULL;
    enum err_code code = csv_load(&c, t->path, ',', &why);
    if (code)
        return code == ERR_INPUT ? json_fail(o, key, e, "%s", why.text)
                                 : err_set(e, code, "%s", why.text);
    code = choose(o, c, t, column, a, e);
    if (!code && (code = read_seconds(c, t->path, &at_s, a, &why)))
        json_fail(o, key, e, "%s", why.text);
    for (int dir = 0; dir < N_NET_DIRS && !code; dir++)
        if (column[dir] >= 0 &&
            (code = read_column(c, t->path, (size_t)column[dir], at_s, &t->rates[dir], a, &why)))
            json_fail(o, key, e, "%s", why.text);
    csv_close(c);
    return code;
}

static enum err_code parse_object(struct json o, struct trace *t, const char **file,
                                  struct arena *a, struct err *e)
{
    enum err_code code = json_string(o, "file", NULL, file, e);
    for (int dir = 0; dir < N_NET_DIRS && !code; dir++) {
        const char *key = net_dir_name((enum net_dir)dir), *none = NULL, *name;
        if (!json_has(o, key))
            continue;
        if (!(code = json_string(o, key, &none, &name, e)))
            t->column[dir] = arena_strdup(a, name);
    }
    t->is_start_drawn = !json_has(o, "start");
    if (!code)
        code = json_quantity(o, "start", UNIT_TIME_S, 0, TRACE_MAX_S, &(double){0}, &t->start_s, e);
    return code ? code : json_finish(o, e);
}

enum err_code trace_parse(struct json network, const struct trace **out, struct arena *a,
                          struct err *e)
{
    struct json o;
    const char *file = NULL;
    *out = NULL;
    if (!network.node || !json_has(network, "trace"))
        return OK;
    enum err_code code = json_value(network, "trace", &o, e);
    if (code)
        return code;
    struct trace *t = ARENA_NEW(a, struct trace, 1);
    *t = (struct trace){.is_start_drawn = true};
    if (json_is_string(o))
        code = json_string(o, NULL, NULL, &file, e);
    else if (json_is_object(o))
        code = parse_object(o, t, &file, a, e);
    else
        code = json_fail(o, NULL, e, "expected a file or {\"file\": ...}");
    if (code)
        return code;
    t->path = table_file_of(o, json_is_object(o) ? "file" : NULL, file, a);
    code = load(o, t, a, e);
    if (!code)
        *out = t;
    return code;
}

void trace_write(struct json_out *o, const struct trace *t)
{
    if (!t)
        return;
    char *absolute = file_absolute(t->path), number[32], start[40];
    json_out_begin_inline(o, "trace", '{');
    json_out_string(o, "file", absolute);
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        if (t->column[dir])
            json_out_string(o, net_dir_name((enum net_dir)dir), t->column[dir]);
    if (!t->is_start_drawn) {
        text_shortest(number, t->start_s);
        snprintf(start, sizeof(start), "%ss", number);
        json_out_string(o, "start", start);
    }
    json_out_end(o, '}');
    mem_free(absolute);
}
