#include "sim/sweep.h"

#include <math.h>
#include <string.h>

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/cells.h"

enum { MAX_PRINTED = 60, MAX_SHOWN = 16, MAX_COLUMNS = 128 };

static const struct column *column_of(const char *name)
{
    const struct table *t = record_summary();
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->column[i].name, name) == 0)
            return &t->column[i];
    return NULL;
}

double sweep_value(const struct variant *v, const struct column *c)
{
    if (v->state != VARIANT_DONE)
        return (double)NAN;
    const char *at = (const char *)&v->summary + c->offset;
    return c->type == COLUMN_INT ? (double)*(const int64_t *)(const void *)at
                                 : *(const double *)(const void *)at;
}

bool sweep_has_values(const struct variants *vs, const struct column *c)
{
    for (size_t i = 0; i < vs->n; i++)
        if (!isnan(sweep_value(&vs->variant[i], c)))
            return true;
    return false;
}

static enum err_code no_figure(const char *name, struct err *e)
{
    const struct table *t = record_summary();
    const char *names[MAX_COLUMNS];
    size_t n = 0;
    for (size_t i = 0; i < t->n_columns && n < MAX_COLUMNS; i++)
        if (t->column[i].type != COLUMN_TEXT)
            names[n++] = t->column[i].name;
    const char *near = text_nearest(name, names, n);
    if (near)
        return err_set(
            e, ERR_INPUT,
            "--figure: no number of summary.json is called \"%.60s\", did you mean \"%s\"?", name,
            near);
    return err_set(e, ERR_INPUT, "--figure: no number of summary.json is called \"%.60s\"", name);
}

enum err_code sweep_figures(struct sweep_figures *out, size_t n_names, const char *const *names,
                            const struct variants *vs, struct err *e)
{
    static const char *const usual[] = {"last_eval_loss", "mean_granularity", "comm_kwh"};
    *out = (struct sweep_figures){0};
    for (size_t i = 0; n_names == 0 && i < sizeof(usual) / sizeof(usual[0]); i++)
        if (sweep_has_values(vs, column_of(usual[i])))
            out->column[out->n++] = column_of(usual[i]);
    for (size_t i = 0; i < n_names; i++) {
        const struct column *c = column_of(names[i]);
        if (!c || c->type == COLUMN_TEXT)
            return no_figure(names[i], e);
        for (size_t j = 0; j < out->n; j++)
            if (out->column[j] == c)
                return err_set(e, ERR_INPUT, "--figure: expected \"%s\" once", names[i]);
        if (out->n == SWEEP_MAX_FIGURES)
            return err_set(e, ERR_INPUT, "--figure: expected at most %d", SWEEP_MAX_FIGURES);
        out->column[out->n++] = c;
    }
    return OK;
}

/* --- the file --- */

static bool is_key(const struct grid *g, const char *name)
{
    for (size_t i = 0; i < g->n_keys; i++)
        if (strcmp(grid_key(g, i), name) == 0)
            return true;
    return false;
}

static void write_header(FILE *to, const struct grid *g)
{
    const struct table *t = record_summary();
    for (size_t i = 0; i < g->n_keys; i++) {
        csv_write_cell(to, grid_key(g, i));
        fputc(',', to);
    }
    for (size_t i = 0; i < t->n_columns; i++)
        if (!is_key(g, t->column[i].name))
            fprintf(to, "%s,", t->column[i].name);
    fputs("message\n", to);
}

static void write_point(FILE *to, const struct grid *g, size_t point, const struct variant *v)
{
    const struct table *t = record_summary();
    bool is_done = v->state == VARIANT_DONE;
    for (size_t i = 0; i < g->n_keys; i++) {
        csv_write_cell(to, grid_label(g, point, i));
        fputc(',', to);
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct column *c = &t->column[i];
        char text[64];
        if (is_key(g, c->name))
            continue;
        if (is_done)
            csv_write_cell(to, record_cell(c, &v->summary, text));
        else if (strcmp(c->name, "outcome") == 0)
            fputs("failed", to);
        fputc(',', to);
    }
    csv_write_cell(to, is_done ? "" : v->message);
    fputc('\n', to);
}

enum err_code sweep_write(const struct variants *vs, const struct grid *g, const char *path,
                          struct err *e)
{
    struct file_out *f = NULL;
    enum err_code code = file_create(&f, path, e);
    if (code)
        return code;
    write_header(file_stream(f), g);
    for (size_t i = 0; i < vs->n; i++)
        write_point(file_stream(f), g, i, &vs->variant[i]);
    return file_commit(f, e);
}

/* --- the terminal --- */

/* The figures that are drawn first, then the usual ones that some point has. */
static size_t choose_columns(const struct variants *vs, const struct sweep_figures *figures,
                             const struct column *out[MAX_SHOWN])
{
    static const char *const usual[] = {"virtual_s",  "mean_duration_s", "mean_granularity",
                                        "comm_kwh",   "device_kwh",      "last_eval_loss",
                                        "last_rouge1"};
    size_t n = figures->n;
    memcpy(out, figures->column, n * sizeof(out[0]));
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        const struct column *c = column_of(usual[i]);
        bool is_new = sweep_has_values(vs, c);
        for (size_t k = 0; k < figures->n; k++)
            is_new = is_new && figures->column[k] != c;
        if (is_new && n < MAX_SHOWN)
            out[n++] = c;
    }
    return n;
}

void sweep_print(const struct variants *vs, const struct grid *g,
                 const struct sweep_figures *figures, FILE *to)
{
    struct arena a = {0};
    const struct column *figure[MAX_SHOWN];
    size_t n_figures = choose_columns(vs, figures, figure);
    size_t n_rows = vs->n < MAX_PRINTED ? vs->n : MAX_PRINTED;
    struct cells *t = cells_new(&a, n_rows + 1, g->n_keys + n_figures);
    for (size_t k = 0; k < g->n_keys; k++) {
        t->is_left[k] = false;
        cells_put(t, 0, k, grid_key(g, k));
        for (size_t i = 0; i < n_rows; i++)
            cells_put(t, i + 1, k, grid_label(g, i, k));
    }
    for (size_t k = 0; k < n_figures; k++) {
        cells_put(t, 0, g->n_keys + k, figure[k]->name);
        for (size_t i = 0; i < n_rows; i++)
            cells_put(t, i + 1, g->n_keys + k,
                      vs->variant[i].state == VARIANT_FAILED
                          ? "failed"
                          : cells_number(&a, sweep_value(&vs->variant[i], figure[k])));
    }
    cells_measure(t);
    size_t end = g->n_keys + 1;
    while (end < t->n_columns && cells_width(t, 0, end + 1) <= CELLS_WIDTH)
        end++;
    for (size_t i = 0; i <= n_rows; i++)
        cells_print_row(t, to, i, 0, end);
    if (n_rows < vs->n)
        fprintf(to, "... and %zu more\n", vs->n - n_rows);
    for (size_t i = 0; i < vs->n; i++)
        if (vs->variant[i].state == VARIANT_FAILED)
            fprintf(to, "%s failed: %s\n", vs->variant[i].label, vs->variant[i].message);
    arena_free(&a);
}
