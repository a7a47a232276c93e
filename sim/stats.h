/* sim/stats.h: mean, spread and difference of few numbers, for compare and bench.
 *
 * A NaN anywhere makes the result NaN: a missing run is not averaged away. */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include <stddef.h>

/* NaN for n = 0. */
double stats_mean(size_t n, const double *x);
/* Of a sample, with n - 1 below; NaN for n < 2. */
double stats_sd(size_t n, const double *x);

/* P(|T| <= t) of Student's t with df >= 1 degrees of freedom, t >= 0: the finite sums of Abramowitz
 * and Stegun 26.7.3 and 26.7.4. */
double stats_t_within(double t, size_t df);
/* The t with P(|T| <= t) = p, 0 <= p < 1: 12.706 for p 0.95 and df 1. */
double stats_t_quantile(double p, size_t df);

/* The mean of b[i] - a[i] and half the width of its 95 % confidence interval, by Student's t with n
 * - 1 degrees of freedom: what holds for pairs that differ in nothing else, such as runs of one
 * seed. */
struct stats_paired {
    double mean;
    double half_width; /* NaN for n < 2: one pair says nothing about spread */
};
struct stats_paired stats_paired(size_t n, const double *a, const double *b);

#endif
