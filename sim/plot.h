/* sim/plot.h: curves as an SVG file that stands alone: panels one below the other over one x axis,
 * each with a line per series.
 *
 * Where all values of x are numbers, or quantities of one kind ("5Mbps"), points lie at their
 * values, on a logarithmic axis when these span a factor of PLOT_LOG_X or more; otherwise they lie
 * side by side, as they come. y is sim/axis.h's. A value that is not finite leaves a gap, or is passed over. */
#ifndef SIM_PLOT_H
#define SIM_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/html.h"

enum {
    PLOT_LOG_X = 10,
    PLOT_MAX_SERIES = 16, /* drawn; the legend says how many are left out */
};

struct plot_series {
    const char *name; /* in the legend, where there is more than one */
    const double *y;  /* [n] */
};

struct plot_panel {
    const char *title; /* "comm_kwh (kWh)" */
    size_t n_series;
    const struct plot_series *series;
};

struct plot {
    const char *title, *x_name;
    const char *note;         /* a line below the title; NULL for none */
    bool joins_gaps;          /* a line goes on behind values that are not finite */
    size_t n;                 /* values of x */
    const char *const *label; /* [n], as the user wrote them */
    size_t n_panels;
    const struct plot_panel *panel;
};

void plot_svg(struct html *to, const struct plot *p);
enum err_code plot_write(const struct plot *p, const char *path, struct err *e);

/* The place of each label on an axis from 0 to 1, into out [n]; returns whether the axis is
 * logarithmic. */
bool plot_places(size_t n, const char *const *label, double *out);

#endif
