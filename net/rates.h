/* net/rates.h: a rate that changes over time: steps, repeated for ever.
 *
 * Step i holds from at_s[i] to at_s[i + 1]; at_s[0] = 0 and at_s[n] is the period. A moment is
 * seconds since the beginning of the first step and may lie in any period. What passes is the
 * integral of the rate, which is all there is to a flow that nothing else slows. */
#ifndef NET_RATES_H
#define NET_RATES_H

#include <stddef.h>

#include "sim/base/mem.h"

/* The shortest step; moments nearer than a thousandth of it to the end of one are in the next. */
#define RATES_MIN_STEP_S 1e-3

struct rates {
    size_t n;           /* >= 1 */
    const double *at_s; /* [n + 1], each at least RATES_MIN_STEP_S after the one before */
    const double *bps;  /* [n], >= 0 */
    double mean_bps, min_bps, max_bps; /* the mean over time */
};

/* at_s [n + 1] and bps [n] as above; both are the caller's and must live as long. */
void rates_init(struct rates *r, size_t n, const double *at_s, const double *bps);
/* The same steps in the arena, each bps * factor, at most most_bps and at least least_bps. */
const struct rates *rates_scaled(const struct rates *r, double factor, double least_bps,
                                 double most_bps, struct arena *a);

/* What is left of whole_bps: whole_bps - bps * factor, at least least_bps. */
const struct rates *rates_left(const struct rates *r, double factor, double whole_bps,
                               double least_bps, struct arena *a);

double rates_period_s(const struct rates *r);
/* The rate at a moment >= 0, and the next moment at which a step begins. */
double rates_at(const struct rates *r, double moment_s);
double rates_next_s(const struct rates *r, double moment_s);

/* Seconds from a moment until so many bits have passed, at most cap_bps at any time: the closed
 * form of a flow alone. Some step must let bits pass; cap_bps > 0. */
double rates_seconds(const struct rates *r, double moment_s, double bits, double cap_bps);

#endif
