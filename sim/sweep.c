#include "sim/sweep.h"

#include <math.h>
#include <string.h>

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/cells.h"
#include "sim/chart.h"

enum { MAX_PRINTED = 60, MAX_FIGURES = 8, MAX_COLUMNS = 128 };

static const struct column *column_of(const char *name)
{
    const struct table *t = record_summary();
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->column[i].name, name) == 0)
            return &t->column[i];
    return NULL;
}

/* NaN where the point has no such number. */
static double number_of(const struct variant *v, const struct column *c)
{
    if (v->state != VARIANT_DONE)
        return (double)NAN;
    const char *at = (const char *)&v->summary + c->offset;
    return c->type == COLUMN_INT ? (double)*(const int64_t *)(const void *)at
                                 : *(const double *)(const void *)at;
}

static bool has_numbers(const struct variants *vs, const struct column *c)
{
    for (size_t i = 0; i < vs->n; i++)
        if (!isnan(number_of(&vs->variant[i], c)))
            return true;
    return false;
}

enum err_code sweep_figure(const struct column **out, const char *name, const struct variants *vs,
                           struct err *e)
{
    if (!name) {
        const struct column *loss = column_of("last_eval_loss");
        *out = has_numbers(vs, loss) ? loss : column_of("mean_granularity");
        return OK;
    }
    *out = column_of(name);
    if (*out && (*out)->type != COLUMN_TEXT)
        return OK;
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

/* The asked figure first, then the usual ones that some point has. */
static size_t choose_figures(const struct variants *vs, const struct column *first,
                             const struct column *out[MAX_FIGURES])
{
    static const char *const usual[] = {"virtual_s",  "mean_duration_s", "mean_granularity",
                                        "comm_kwh",   "device_kwh",      "last_eval_loss",
                                        "last_rouge1"};
    size_t n = 0;
    out[n++] = first;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && n < MAX_FIGURES; i++) {
        const struct column *c = column_of(usual[i]);
        if (c != first && has_numbers(vs, c))
            out[n++] = c;
    }
    return n;
}

static void print_table(const struct variants *vs, const struct grid *g, const struct column *first,
                        FILE *to)
{
    struct arena a = {0};
    const struct column *figure[MAX_FIGURES];
    size_t n_figures = choose_figures(vs, first, figure);
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
                          : cells_number(&a, number_of(&vs->variant[i], figure[k])));
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

/* What an axis is called and its rows' names, keys that go together joined by "/". */
static const char *axis_name(struct arena *a, const struct grid_axis *x, const char *const *words)
{
    const char *name = words[0];
    for (size_t k = 1; k < x->n_keys; k++)
        name = arena_printf(a, "%s/%s", name, words[k]);
    return name;
}

static const char **axis_labels(struct arena *a, const struct grid_axis *x)
{
    const char **out = ARENA_NEW(a, const char *, x->n_rows);
    for (size_t row = 0; row < x->n_rows; row++)
        out[row] = axis_name(a, x, x->label + row * x->n_keys);
    return out;
}

void sweep_print(const struct variants *vs, const struct grid *g, const struct column *figure,
                 FILE *to)
{
    print_table(vs, g, figure, to);
    if (g->n_axes > 2 || vs->n < 2 || !has_numbers(vs, figure))
        return;
    struct arena a = {0};
    double *value = ARENA_NEW(&a, double, vs->n);
    for (size_t i = 0; i < vs->n; i++)
        value[i] = number_of(&vs->variant[i], figure);
    const char *title =
        figure->unit[0] ? arena_printf(&a, "%s (%s)", figure->name, figure->unit) : figure->name;
    const struct grid_axis *x = &g->axis[0], *y = &g->axis[1];
    fputc('\n', to);
    if (g->n_axes == 1)
        chart_curve(to, title, axis_name(&a, x, x->key), vs->n, axis_labels(&a, x), value);
    else
        chart_map(to, title, axis_name(&a, x, x->key), x->n_rows, axis_labels(&a, x),
                  axis_name(&a, y, y->key), y->n_rows, axis_labels(&a, y), value);
    arena_free(&a);
}
