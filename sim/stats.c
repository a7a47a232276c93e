#include "sim/stats.h"

#include <math.h>
#include <stdbool.h>

#include "sim/base/check.h"

#define CONFIDENCE 0.95
#define PI 3.14159265358979323846

double stats_mean(size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return n ? sum / (double)n : (double)NAN;
}

/* Root of the mean square distance from the mean, x[i] being b[i] - a[i] where a is there. */
static double spread(size_t n, const double *a, const double *b, double mean)
{
    double squares = 0;
    if (n < 2)
        return (double)NAN;
    for (size_t i = 0; i < n; i++) {
        double off = b[i] - (a ? a[i] : 0) - mean;
        squares += off * off;
    }
    return sqrt(squares / (double)(n - 1));
}

double stats_sd(size_t n, const double *x)
{
    return spread(n, NULL, x, stats_mean(n, x));
}

double stats_t_within(double t, size_t df)
{
    CHECK(df >= 1 && t >= 0);
    double angle = atan(t / sqrt((double)df)), c = cos(angle), s = sin(angle);
    bool is_odd = df % 2 == 1;
    double term = is_odd ? c : 1, sum = df > 1 ? term : 0;
    for (size_t k = is_odd ? 3 : 2; k < df; k += 2) {
        term *= c * c * (double)(k - 1) / (double)k;
        sum += term;
    }
    return is_odd ? (angle + s * sum) * 2 / PI : s * sum;
}

double stats_t_quantile(double p, size_t df)
{
    CHECK(p >= 0 && p < 1);
    double lo = 0, hi = 1;
    while (stats_t_within(hi, df) < p)
        hi *= 2;
    for (;;) {
        double middle = lo + (hi - lo) / 2;
        if (middle <= lo || middle >= hi)
            return hi;
        if (stats_t_within(middle, df) < p)
            lo = middle;
        else
            hi = middle;
    }
}

struct stats_paired stats_paired(size_t n, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += b[i] - a[i];
    double mean = n ? sum / (double)n : (double)NAN;
    double half = (double)NAN;
    if (n >= 2)
        half = stats_t_quantile(CONFIDENCE, n - 1) * spread(n, a, b, mean) / sqrt((double)n);
    return (struct stats_paired){.mean = mean, .half_width = half};
}
