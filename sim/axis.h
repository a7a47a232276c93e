/* sim/axis.h: the axis of a chart: where it begins and ends around its values, round numbers on it,
 * and the unit in which times and energies read best. */
#ifndef SIM_AXIS_H
#define SIM_AXIS_H

#include <stdbool.h>
#include <stddef.h>

enum { AXIS_LOG = 50, AXIS_MAX_TICKS = 24 };

/* Logarithmic where values span a factor of AXIS_LOG or more, else from 0 when that hides nothing.
 */
struct axis {
    double lo, hi; /* the values at its ends, lo < hi */
    bool is_log;
};

/* Of values from lo to hi, both finite, lo <= hi. */
struct axis axis_of(double lo, double hi);
/* 0 at its lower end, 1 at the upper one. */
double axis_place(const struct axis *a, double v);
/* Round numbers on it, at most about `most`, fewer than AXIS_MAX_TICKS, into out; returns how many.
 */
size_t axis_ticks(const struct axis *a, size_t most, double out[AXIS_MAX_TICKS]);

/* Round numbers from lo to hi, lo < hi, at most `most` steps apart, into out [most + 1]; returns
 * how many. */
size_t axis_round(double lo, double hi, size_t most, bool is_whole, double *out);

/* A unit in which the largest value reads well; values are to be divided by `by`. */
struct axis_unit {
    const char *name;
    double by;
};
struct axis_unit axis_time(double largest_s);
struct axis_unit axis_energy(double largest_kwh);

#endif
