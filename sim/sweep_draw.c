/* A sweep's figures as curves and maps, in letters and as an SVG file. */
#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/chart.h"
#include "sim/plot.h"
#include "sim/sweep.h"

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

static const char *title_of(struct arena *a, const struct column *figure)
{
    return figure->unit[0] ? arena_printf(a, "%s (%s)", figure->name, figure->unit) : figure->name;
}

static double *values_of(struct arena *a, const struct variants *vs, const struct column *figure)
{
    double *value = ARENA_NEW(a, double, vs->n);
    for (size_t i = 0; i < vs->n; i++)
        value[i] = sweep_value(&vs->variant[i], figure);
    return value;
}

bool sweep_is_drawn(const struct variants *vs, const struct grid *g)
{
    return g->n_axes <= 2 && vs->n >= 2 && variants_count(vs, VARIANT_DONE) > 0;
}

void sweep_draw(const struct variants *vs, const struct grid *g,
                const struct sweep_figures *figures, FILE *to)
{
    struct arena a = {0};
    const struct grid_axis *x = &g->axis[0], *y = &g->axis[1];
    for (size_t i = 0; i < figures->n && sweep_is_drawn(vs, g); i++) {
        const struct column *figure = figures->column[i];
        const char *title = title_of(&a, figure);
        double *value = values_of(&a, vs, figure);
        if (!sweep_has_values(vs, figure))
            continue;
        fputc('\n', to);
        if (g->n_axes == 1)
            chart_curve(to, title, axis_name(&a, x, x->key), vs->n, axis_labels(&a, x), value);
        else
            chart_map(to, title, axis_name(&a, x, x->key), x->n_rows, axis_labels(&a, x),
                      axis_name(&a, y, y->key), y->n_rows, axis_labels(&a, y), value);
    }
    arena_free(&a);
}

/* The panel of one figure: n_lines lines of n values. */
static struct plot_panel panel_of(struct arena *a, const struct variants *vs,
                                  const struct column *figure, size_t n_lines,
                                  const char *const *name, size_t n)
{
    struct plot_series *series = ARENA_NEW(a, struct plot_series, n_lines);
    double *value = values_of(a, vs, figure);
    CHECK(n_lines * n == vs->n);
    for (size_t k = 0; k < n_lines; k++)
        series[k] = (struct plot_series){name ? name[k] : "", value + k * n};
    return (struct plot_panel){title_of(a, figure), n_lines, series};
}

enum err_code sweep_svg(const struct variants *vs, const struct grid *g,
                        const struct sweep_figures *figures, const char *title, const char *note,
                        const char *path, struct err *e)
{
    CHECK(sweep_is_drawn(vs, g));
    struct arena a = {0};
    struct plot_panel panel[SWEEP_MAX_FIGURES];
    const struct grid_axis *x = &g->axis[g->n_axes - 1], *lines = &g->axis[0];
    bool has_lines = g->n_axes == 2;
    const char **name = has_lines ? axis_labels(&a, lines) : NULL;
    for (size_t i = 0; i < figures->n; i++)
        panel[i] =
            panel_of(&a, vs, figures->column[i], has_lines ? lines->n_rows : 1, name, x->n_rows);
    if (has_lines)
        title = arena_printf(&a, "%s; a line for each %s", title, axis_name(&a, lines, lines->key));
    const struct plot plot = {.title = title,
                              .note = note,
                              .x_name = axis_name(&a, x, x->key),
                              .n = x->n_rows,
                              .label = axis_labels(&a, x),
                              .n_panels = figures->n,
                              .panel = panel};
    enum err_code code = plot_write(&plot, path, e);
    arena_free(&a);
    return code;
}
