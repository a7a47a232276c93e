#include "sim/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/cells.h"
#include "sim/plot.h"
#include "sim/result.h"

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Whether all seeds of a variant ended. */
static bool is_complete(const struct variants *vs, size_t n_seeds, size_t variant)
{
    for (size_t s = 0; s < n_seeds; s++)
        if (vs->variant[variant * n_seeds + s].state != VARIANT_DONE)
            return false;
    return true;
}

/* The rounds of all courses, each once; of more than CURVES_MAX_ROUNDS an even choice with the
 * first and the last. */
static void find_rounds(struct curves *c, size_t n, const struct result_course *course)
{
    size_t n_all = 0, n_unique = 0;
    for (size_t i = 0; i < n; i++)
        n_all += course[i].n;
    double *all = ARENA_NEW(c->arena, double, n_all);
    n_all = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < course[i].n; k++)
            all[n_all++] = course[i].round[k];
    if (n_all)
        qsort(all, n_all, sizeof(all[0]), compare_numbers);
    for (size_t i = 0; i < n_all; i++)
        if (i == 0 || all[i] > all[n_unique - 1])
            all[n_unique++] = all[i];
    c->n_rounds = n_unique < CURVES_MAX_ROUNDS ? n_unique : CURVES_MAX_ROUNDS;
    c->round = ARENA_NEW(c->arena, double, c->n_rounds);
    for (size_t i = 0; i < c->n_rounds; i++)
        c->round[i] = all[c->n_rounds > 1 ? i * (n_unique - 1) / (c->n_rounds - 1) : 0];
}

/* A course's value at a round; NaN where it was not evaluated then. */
static double value_at(const struct result_course *course, const double *value, double round)
{
    if (course->n == 0)
        return (double)NAN;
    const double *at =
        bsearch(&round, course->round, course->n, sizeof(course->round[0]), compare_numbers);
    return at ? value[at - course->round] : (double)NAN;
}

static void average(struct curves *c, size_t variant, const struct result_course *course)
{
    double *loss = c->loss + variant * c->n_rounds, *rouge1 = c->rouge1 + variant * c->n_rounds;
    for (size_t i = 0; i < c->n_rounds; i++) {
        loss[i] = rouge1[i] = 0;
        for (size_t s = 0; s < c->n_seeds; s++) {
            loss[i] += value_at(&course[s], course[s].loss, c->round[i]);
            rouge1[i] += value_at(&course[s], course[s].rouge1, c->round[i]);
        }
        loss[i] /= (double)c->n_seeds;
        rouge1[i] /= (double)c->n_seeds;
    }
}

enum err_code curves_read(struct curves *out, struct arena *a, const struct variants *vs,
                          size_t n_seeds, const char *const *label, struct err *e)
{
    CHECK(vs->n % n_seeds == 0);
    struct curves c = {
        .arena = a, .n_variants = vs->n / n_seeds, .n_seeds = n_seeds, .label = label};
    struct result_course *course = ARENA_NEW(a, struct result_course, vs->n);
    enum err_code code = OK;
    for (size_t i = 0; i < vs->n && !code; i++)
        if (is_complete(vs, n_seeds, i / n_seeds))
            code = result_course(&course[i], a, vs->variant[i].folder, &vs->variant[i].summary, e);
    if (code)
        return code;
    find_rounds(&c, vs->n, course);
    c.loss = ARENA_NEW(a, double, c.n_variants *c.n_rounds);
    c.rouge1 = ARENA_NEW(a, double, c.n_variants *c.n_rounds);
    for (size_t v = 0; v < c.n_variants; v++)
        average(&c, v, course + v * n_seeds);
    *out = c;
    return OK;
}

bool curves_are_drawn(const struct curves *c)
{
    for (size_t v = 0; v < c->n_variants; v++) {
        size_t n = 0;
        for (size_t i = 0; i < c->n_rounds; i++)
            n += isfinite(c->loss[v * c->n_rounds + i]) ? 1 : 0;
        if (n >= 2)
            return true;
    }
    return false;
}

void curves_print(const struct curves *c, FILE *to)
{
    struct arena a = {0};
    size_t n_rows = c->n_rounds < CURVES_MAX_PRINTED ? c->n_rounds : CURVES_MAX_PRINTED;
    struct cells *t = cells_new(&a, n_rows + 1, c->n_variants + 1);
    t->is_left[0] = false;
    cells_put(t, 0, 0, "loss at round");
    for (size_t v = 0; v < c->n_variants; v++)
        cells_put(t, 0, v + 1, c->label[v]);
    for (size_t row = 0; row < n_rows; row++) {
        size_t i = n_rows > 1 ? row * (c->n_rounds - 1) / (n_rows - 1) : 0;
        cells_put(t, row + 1, 0, cells_number(&a, c->round[i]));
        for (size_t v = 0; v < c->n_variants; v++)
            cells_put(t, row + 1, v + 1, cells_number(&a, c->loss[v * c->n_rounds + i]));
    }
    cells_measure(t);
    if (cells_width(t, 0, t->n_columns) <= CELLS_WIDTH) {
        fputc('\n', to);
        for (size_t row = 0; row <= n_rows; row++)
            cells_print_row(t, to, row, 0, t->n_columns);
        fputc('\n', to);
    }
    arena_free(&a);
}

static struct plot_panel panel_of(const struct curves *c, const char *title, const double *value)
{
    struct plot_series *series = ARENA_NEW(c->arena, struct plot_series, c->n_variants);
    for (size_t v = 0; v < c->n_variants; v++)
        series[v] = (struct plot_series){c->label[v], value + v * c->n_rounds};
    return (struct plot_panel){title, c->n_variants, series};
}

enum err_code curves_svg(const struct curves *c, const char *note, const char *path, struct err *e)
{
    struct arena *a = c->arena;
    const char **round = ARENA_NEW(a, const char *, c->n_rounds);
    for (size_t i = 0; i < c->n_rounds; i++)
        round[i] = cells_number(a, c->round[i]);
    const struct plot_panel panel[] = {panel_of(c, "evaluation loss (nat)", c->loss),
                                       panel_of(c, "ROUGE-1", c->rouge1)};
    const char *title = "evaluations";
    if (c->n_seeds > 1)
        title = arena_printf(a, "%s, means over %zu seeds", title, c->n_seeds);
    const struct plot plot = {.title = title,
                              .note = note,
                              .x_name = "round",
                              .joins_gaps = true,
                              .n = c->n_rounds,
                              .label = round,
                              .n_panels = sizeof(panel) / sizeof(panel[0]),
                              .panel = panel};
    return plot_write(&plot, path, e);
}

enum err_code curves_put(struct variants *vs, size_t n_seeds, const char *const *label,
                         struct err *e)
{
    struct curves c;
    const char *path = arena_printf(&vs->arena, "%s/compare.svg", vs->folder);
    enum err_code code = curves_read(&c, &vs->arena, vs, n_seeds, label, e);
    if (code)
        return code;
    if (!curves_are_drawn(&c))
        return file_remove_tree(path, e);
    curves_print(&c, stdout);
    code = curves_svg(&c, variants_warning(vs), path, e);
    if (!code)
        printf("the curves: %s\n", path);
    return code;
}
