#include "net/rates.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"

#define NEAR_S (1e-3 * RATES_MIN_STEP_S)

void rates_init(struct rates *r, size_t n, const double *at_s, const double *bps)
{
    CHECK(n >= 1 && at_s[0] >= 0 && at_s[0] <= 0);
    *r = (struct rates){.n = n, .at_s = at_s, .bps = bps, .min_bps = bps[0], .max_bps = bps[0]};
    double bits = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(at_s[i + 1] - at_s[i] >= RATES_MIN_STEP_S / 2 && bps[i] >= 0);
        bits += bps[i] * (at_s[i + 1] - at_s[i]);
        r->min_bps = fmin(r->min_bps, bps[i]);
        r->max_bps = fmax(r->max_bps, bps[i]);
    }
    r->mean_bps = bits / at_s[n];
}

/* The same steps with rates bps = plus + factor * bps, held within least and most. */
static const struct rates *mapped(const struct rates *r, double plus_bps, double factor,
                                  double least_bps, double most_bps, struct arena *a)
{
    struct rates *out = ARENA_NEW(a, struct rates, 1);
    double *at_s = ARENA_NEW(a, double, r->n + 1), *bps = ARENA_NEW(a, double, r->n);
    memcpy(at_s, r->at_s, (r->n + 1) * sizeof(*at_s));
    for (size_t i = 0; i < r->n; i++)
        bps[i] = fmax(fmin(plus_bps + factor * r->bps[i], most_bps), least_bps);
    rates_init(out, r->n, at_s, bps);
    return out;
}

const struct rates *rates_scaled(const struct rates *r, double factor, double least_bps,
                                 double most_bps, struct arena *a)
{
    return mapped(r, 0, factor, least_bps, most_bps, a);
}

const struct rates *rates_left(const struct rates *r, double factor, double whole_bps,
                               double least_bps, struct arena *a)
{
    return mapped(r, whole_bps, -factor, least_bps, whole_bps, a);
}

double rates_period_s(const struct rates *r)
{
    return r->at_s[r->n];
}

/* The step at a moment; *left_s is the time until it ends, more than NEAR_S. */
static size_t step_at(const struct rates *r, double moment_s, double *left_s)
{
    CHECK(moment_s >= 0);
    double phase_s = fmod(moment_s, rates_period_s(r));
    size_t lo = 0, hi = r->n; /* step lo begins at or before, hi after the moment */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->at_s[mid] <= phase_s)
            lo = mid;
        else
            hi = mid;
    }
    *left_s = r->at_s[lo + 1] - phase_s;
    if (*left_s > NEAR_S)
        return lo;
    lo = (lo + 1) % r->n;
    *left_s += r->at_s[lo + 1] - r->at_s[lo];
    return lo;
}

double rates_at(const struct rates *r, double moment_s)
{
    double left_s;
    return r->bps[step_at(r, moment_s, &left_s)];
}

double rates_next_s(const struct rates *r, double moment_s)
{
    double left_s;
    step_at(r, moment_s, &left_s);
    return moment_s + left_s;
}

/* Bits of a whole period. */
static double period_bits(const struct rates *r, double cap_bps)
{
    double bits = 0;
    for (size_t i = 0; i < r->n; i++)
        bits += fmin(r->bps[i], cap_bps) * (r->at_s[i + 1] - r->at_s[i]);
    return bits;
}

double rates_seconds(const struct rates *r, double moment_s, double bits, double cap_bps)
{
    CHECK(r->max_bps > 0 && cap_bps > 0 && bits >= 0);
    double left_s, passed_s = 0;
    size_t i = step_at(r, moment_s, &left_s);
    for (size_t n_steps = 0;; n_steps++) {
        double bps = fmin(r->bps[i], cap_bps), room = bps * left_s;
        if (room >= bits)
            return passed_s + (bps > 0 ? bits / bps : 0);
        bits -= room;
        passed_s += left_s;
        i = (i + 1) % r->n;
        left_s = r->at_s[i + 1] - r->at_s[i];
        if (n_steps == 0) { /* from the beginning of a step, whole periods bring one back to it */
            double per_period = period_bits(r, cap_bps), n_periods = floor(bits / per_period);
            bits -= n_periods * per_period;
            passed_s += n_periods * rates_period_s(r);
        }
    }
}
