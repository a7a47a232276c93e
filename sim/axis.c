#include "sim/axis.h"

#include <math.h>

struct axis axis_of(double lo, double hi)
{
    if (lo > 0 && hi >= AXIS_LOG * lo)
        return (struct axis){lo / 1.2, hi * 1.2, true};
    if (lo >= 0 && lo <= hi / 2)
        lo = 0;
    bool is_one = hi - lo <= 1e-9 * fabs(hi); /* values that rounding alone sets apart */
    double room = is_one ? 0.5 * fabs(hi) + (hi == 0) : 0.06 * (hi - lo);
    return (struct axis){lo == 0 && hi > 0 ? 0 : lo - room, hi + room, false};
}

double axis_place(const struct axis *a, double v)
{
    return a->is_log ? log(v / a->lo) / log(a->hi / a->lo) : (v - a->lo) / (a->hi - a->lo);
}

/* 1, 2 and 5 of each power of ten between the ends, or the powers alone where there are many. */
static size_t log_ticks(const struct axis *a, double *out)
{
    static const double FACTORS[] = {1, 2, 5};
    size_t n = 0;
    double decades = log10(a->hi / a->lo);
    for (double k = floor(log10(a->lo)); k <= log10(a->hi); k += decades > 12 ? 3 : 1)
        for (int i = 0; i < (decades > 3 ? 1 : 3); i++) {
            double v = pow(10, k) * FACTORS[i];
            if (v >= a->lo && v <= a->hi && n < AXIS_MAX_TICKS)
                out[n++] = v;
        }
    return n;
}

size_t axis_ticks(const struct axis *a, size_t most, double out[AXIS_MAX_TICKS])
{
    if (a->is_log)
        return log_ticks(a, out);
    size_t n =
        axis_round(a->lo, a->hi, most < AXIS_MAX_TICKS ? most : AXIS_MAX_TICKS - 1, false, out);
    for (size_t i = 0; i < n; i++)
        if (fabs(out[i]) < 1e-12 * (a->hi - a->lo))
            out[i] = 0;
    return n;
}

size_t axis_round(double lo, double hi, size_t most, bool is_whole, double *out)
{
    double rough = (hi - lo) / (double)most, step = pow(10, floor(log10(rough)));
    static const double FACTORS[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++) {
        double factor = step * FACTORS[i];
        if (factor >= rough || i == 3) {
            step = factor;
            break;
        }
    }
    if (is_whole && step < 1)
        step = 1;
    size_t n = 0;
    for (double k = ceil(lo / step - 1e-9); k * step <= hi + 1e-9 * step && n <= most; k++)
        out[n++] = k * step;
    return n;
}

struct axis_unit axis_time(double largest_s)
{
    static const struct axis_unit UNITS[] = {{"d", 86400}, {"h", 3600}, {"min", 60}};
    for (int i = 0; i < 3; i++)
        if (largest_s >= 3 * UNITS[i].by)
            return UNITS[i];
    return (struct axis_unit){"s", 1};
}

struct axis_unit axis_energy(double largest_kwh)
{
    static const struct axis_unit UNITS[] = {{"GWh", 1e6}, {"MWh", 1e3}, {"kWh", 1}};
    for (int i = 0; i < 3; i++)
        if (largest_kwh >= UNITS[i].by)
            return UNITS[i];
    return (struct axis_unit){"Wh", 1e-3};
}
