/* sim/sweep.h: the results of a grid of runs: one CSV, a table, a curve or a map. */
#ifndef SIM_SWEEP_H
#define SIM_SWEEP_H

#include <stdio.h>

#include "sim/base/err.h"
#include "sim/grid.h"
#include "sim/record.h"
#include "sim/variant.h"

/* points: variant i of vs is point i of the grid. */

/* The column of the summary with that name; NULL and ERR_INPUT with the nearest name when it is
 * none, or not a number. name NULL: last_eval_loss where some point has one, else mean_granularity.
 */
enum err_code sweep_figure(const struct column **out, const char *name, const struct variants *vs,
                           struct err *e);

/* One row per point: the varied keys, all columns of the summary, message. A failed point has the
 * outcome "failed", its message, and nothing in between. */
enum err_code sweep_write(const struct variants *vs, const struct grid *g, const char *path,
                          struct err *e);

/* The table (its first rows, where there are many); then a curve over one axis, a map over two. */
void sweep_print(const struct variants *vs, const struct grid *g, const struct column *figure,
                 FILE *to);

#endif
