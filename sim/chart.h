/* sim/chart.h: a curve or a heat map of few values, in letters. NaN: no value there. */
#ifndef SIM_CHART_H
#define SIM_CHART_H

#include <stddef.h>
#include <stdio.h>

/* One line per value, the mark at its height between the ends that the first line names. x: what
 * varies. */
void chart_curve(FILE *to, const char *title, const char *x, size_t n, const char *const *label,
                 const double *value);

/* value [n_rows * n_columns]; each as a number with a shade, darker for more; shades alone where
 * numbers do not fit. */
void chart_map(FILE *to, const char *title, const char *rows, size_t n_rows, const char *const *row,
               const char *columns, size_t n_columns, const char *const *column,
               const double *value);

#endif
