/* sim/report_chart.h: line charts as SVG: ticks at round numbers, a line per series, points with
 * their values on hover. Colours come from the page's style, so that light and dark mode and print
 * need no second drawing. */
#ifndef SIM_REPORT_CHART_H
#define SIM_REPORT_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/html.h"

enum {
    REPORT_CHART_MAX_POINTS =
        400, /* of a series; more are thinned, keeping each stretch's lowest and highest */
    REPORT_CHART_MAX_DOTS = 80, /* more points than this and they have no dots */
    REPORT_CHART_COLORS = 8,    /* classes k0 .. k7; the next eight series are dashed */
};

struct report_series {
    const char *name; /* said on hover */
    int color;        /* from 0 */
    bool is_faint;    /* a thin line behind the others */
    bool has_dots;
    size_t n;
    const double *x, *y; /* [n], x ascending; points that are not finite are passed over */
};

struct report_chart {
    const char *title, *x_unit, *y_unit; /* "virtual time", "s"; "" for none */
    const char *x_name;
    bool is_whole_x; /* ticks at whole numbers only */
    bool from_zero;  /* y starts at 0 */
    bool has_mark;   /* a horizontal line at mark */
    double mark;
    size_t n_series;
    const struct report_series *series;
};

/* A <figure>; without a finite point it says so. */
void report_chart(struct html *h, const struct report_chart *c);

#endif
