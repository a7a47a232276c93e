/* sim/plot_text.h: curves in a terminal: a title, an axis on the left and below, a line per series
 * and who they are. It fits the terminal, with a line left for the prompt. */
#ifndef SIM_PLOT_TEXT_H
#define SIM_PLOT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sim/canvas.h"

enum { PLOT_TEXT_MAX_SERIES = 16, PLOT_TEXT_COLUMNS = 160, PLOT_TEXT_ROWS = 40 };

struct text_series {
    const char *name;
    size_t n;
    const double *x, *y; /* [n], x ascending; points that are not finite are passed over */
};

struct text_plot {
    const char *title;
    bool is_whole_x; /* numbers below at whole values only */
    size_t n_series; /* up to PLOT_TEXT_MAX_SERIES */
    const struct text_series *series;
};

/* Several series are told apart by letters, and by colours where there are some. A terminal of more
 * than PLOT_TEXT_COLUMNS by PLOT_TEXT_ROWS is not filled. */
void plot_text(FILE *to, const struct text_plot *p, const struct terminal *t);

#endif
