#include "sim/result.h"

#include <math.h>
#include <string.h>

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/json.h"

#define LARGEST_COUNT ((int64_t)1 << 53)

static enum err_code read_field(const struct column *c, void *row, struct arena *a,
                                struct json root, struct err *e)
{
    const int64_t none = 0;
    const char *const nothing = "", *text;
    void *at = (char *)row + c->offset;
    struct json value = {0};
    enum err_code code = OK;
    switch (c->type) {
    case COLUMN_INT:
        return json_int(root, c->name, -1, LARGEST_COUNT, &none, at, e);
    case COLUMN_DOUBLE:
        if (json_has(root, c->name))
            code = json_value(root, c->name, &value, e);
        if (code || !value.node || !json_is_number(value)) {
            *(double *)at = (double)NAN;
            return code;
        }
        return json_double(value, NULL, -(double)INFINITY, (double)INFINITY, NULL, at, e);
    case COLUMN_TEXT:
        code = json_string(root, c->name, &nothing, &text, e);
        if (!code)
            *(const char **)at = arena_strdup(a, text);
        return code;
    }
    return code;
}

enum err_code result_summary(struct summary_record *out, struct arena *a, const char *folder,
                             struct err *e)
{
    struct summary_record row = {0};
    struct json_doc *doc = NULL;
    const struct table *t = record_summary();
    char *path = file_join(folder, "summary.json");
    enum err_code code = json_load(&doc, path, e);
    for (size_t i = 0; i < t->n_columns && !code; i++)
        code = read_field(&t->column[i], &row, a, json_root(doc), e);
    json_close(doc);
    mem_free(path);
    if (!code)
        *out = row;
    return code;
}

struct result_cache result_cache(const char *folder)
{
    struct result_cache r = {0};
    const struct {
        const char *key;
        int64_t *to;
    } field[] = {{"passes", &r.passes},
                 {"passes_known", &r.passes_known},
                 {"evaluations", &r.evaluations},
                 {"evaluations_known", &r.evaluations_known},
                 {"damaged", &r.damaged}};
    const int64_t none = 0;
    struct json_doc *doc = NULL;
    struct json cache;
    char *path = file_join(folder, "performance.json");
    bool is_there = !json_load(&doc, path, NULL) &&
                    !json_object_opt(json_root(doc), "cache", &cache, NULL);
    for (size_t i = 0; is_there && i < sizeof(field) / sizeof(field[0]); i++)
        if (json_int(cache, field[i].key, 0, LARGEST_COUNT, &none, field[i].to, NULL))
            *field[i].to = 0;
    json_close(doc);
    mem_free(path);
    return r;
}

static enum err_code number_at(const struct csv *csv, const char *path, size_t row,
                               const char *column, double *out, struct err *e)
{
    int at = csv_find(csv, column);
    if (at < 0)
        return err_set(e, ERR_INPUT, "%s: expected a column \"%s\"", path, column);
    const char *text = csv_cell(csv, row, (size_t)at);
    *out = (double)NAN;
    if (!text[0])
        return OK;
    enum err_code code = text_double(text, -(double)INFINITY, (double)INFINITY, out, e);
    return code ? err_in(e, code, "%s: row %zu: %s", path, row + 1, column) : OK;
}

static bool is_reached(double v, double bound, bool is_below)
{
    return is_below ? v <= bound : v >= bound; /* never for NaN */
}

/* Adds what a row's round took. */
static enum err_code add_round(struct result_moment *m, const struct csv *csv, const char *path,
                               size_t row, struct err *e)
{
    double comm_kwh, device_kwh;
    enum err_code code = number_at(csv, path, row, "comm_kwh", &comm_kwh, e);
    if (!code)
        code = number_at(csv, path, row, "device_kwh", &device_kwh, e);
    if (!code)
        code = number_at(csv, path, row, "end_s", &m->s, e);
    if (!code)
        code = number_at(csv, path, row, "round", &m->rounds, e);
    if (code)
        return code;
    m->comm_kwh += comm_kwh;
    m->device_kwh += device_kwh;
    return OK;
}

enum err_code result_reach(struct result_moment *out, const char *folder, const char *column,
                           double before, double bound, bool is_below, struct err *e)
{
    *out = (struct result_moment){0};
    if (is_reached(before, bound, is_below))
        return OK;
    char *path = file_join(folder, "rounds.csv");
    struct csv *csv = NULL;
    struct result_moment m = {0};
    double value = (double)NAN;
    enum err_code code = csv_load(&csv, path, ',', e);
    size_t n_rows = code ? 0 : csv_rows(csv);
    for (size_t row = 0; row < n_rows && !code && !is_reached(value, bound, is_below); row++) {
        code = number_at(csv, path, row, column, &value, e);
        if (!code)
            code = add_round(&m, csv, path, row, e);
    }
    if (!code && !is_reached(value, bound, is_below))
        m = (struct result_moment){(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    if (!code)
        *out = m;
    csv_close(csv);
    mem_free(path);
    return code;
}

static void add_evaluation(struct result_course *c, double round, double loss, double rouge1)
{
    if (isnan(loss))
        return;
    c->round[c->n] = round;
    c->loss[c->n] = loss;
    c->rouge1[c->n++] = rouge1;
}

enum err_code result_course(struct result_course *out, struct arena *a, const char *folder,
                            const struct summary_record *summary, struct err *e)
{
    char *path = file_join(folder, "rounds.csv");
    struct csv *csv = NULL;
    enum err_code code = csv_load(&csv, path, ',', e);
    size_t n_rows = code ? 0 : csv_rows(csv);
    struct result_course c = {.round = ARENA_NEW(a, double, n_rows + 1),
                              .loss = ARENA_NEW(a, double, n_rows + 1),
                              .rouge1 = ARENA_NEW(a, double, n_rows + 1)};
    add_evaluation(&c, 0, summary->first_eval_loss, summary->first_rouge1);
    for (size_t row = 0; row < n_rows && !code; row++) {
        double round, loss, rouge1;
        code = number_at(csv, path, row, "round", &round, e);
        if (!code)
            code = number_at(csv, path, row, "eval_loss", &loss, e);
        if (!code)
            code = number_at(csv, path, row, "rouge1", &rouge1, e);
        if (!code)
            add_evaluation(&c, round, loss, rouge1);
    }
    if (!code)
        *out = c;
    csv_close(csv);
    mem_free(path);
    return code;
}
