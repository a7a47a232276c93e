/* sim/sweep.h: the results of a grid of runs: one CSV, a table, curves or maps, one SVG. */
#ifndef SIM_SWEEP_H
#define SIM_SWEEP_H

#include <stdbool.h>
#include <stdio.h>

#include "sim/base/err.h"
#include "sim/grid.h"
#include "sim/record.h"
#include "sim/variant.h"

enum { SWEEP_MAX_FIGURES = 8 };

/* points: variant i of vs is point i of the grid. */

/* Columns of the summary to draw. */
struct sweep_figures {
    size_t n;
    const struct column *column[SWEEP_MAX_FIGURES];
};

/* The columns with those names; ERR_INPUT with the nearest name when one is none, or not a number.
 * n_names 0: last_eval_loss, mean_granularity and comm_kwh, those that some point has. */
enum err_code sweep_figures(struct sweep_figures *out, size_t n_names, const char *const *names,
                            const struct variants *vs, struct err *e);

/* A figure of a point; NaN where the point has no such number. */
double sweep_value(const struct variant *v, const struct column *c);
bool sweep_has_values(const struct variants *vs, const struct column *c);

/* One row per point: the varied keys, all columns of the summary, message. A failed point has the
 * outcome "failed", its message, and nothing in between. */
enum err_code sweep_write(const struct variants *vs, const struct grid *g, const char *path,
                          struct err *e);

/* The table (its first rows, where there are many). */
void sweep_print(const struct variants *vs, const struct grid *g,
                 const struct sweep_figures *figures, FILE *to);

/* Each figure as a curve over one axis, a map over two. Nothing over more, or of a single point. */
void sweep_draw(const struct variants *vs, const struct grid *g,
                const struct sweep_figures *figures, FILE *to);

/* Whether there is something to draw. */
bool sweep_is_drawn(const struct variants *vs, const struct grid *g);

/* The figures as an SVG file, a panel each (sim/plot.h): over two axes the second one is x, and
 * each value of the first has a line. note: a line below the title, or NULL. */
enum err_code sweep_svg(const struct variants *vs, const struct grid *g,
                        const struct sweep_figures *figures, const char *title, const char *note,
                        const char *path, struct err *e);

#endif
