/* A roofline through measured steps. For a given pair of roofs the best overhead has a closed form, so the roofs
 * alone are searched: on a logarithmic grid around the best one, finer each time. */
#include <math.h>

#include "energy/roofline.h"
#include "sim/base/check.h"

enum { GRID = 40, ROUNDS = 6 };
#define SHORTEST_S 1e-9 /* what is less is rounding */
#define WIDEST 1e3 /* a roof may lie so far above the fastest step's rate: then it never limits */

/* Relative errors' sum of squares with the overhead that makes it least; that overhead is not negative. */
static double judge(const struct roofline *r, int n, const struct roofline_point *p, double *overhead_s)
{
    double a = 0, b = 0, sum = 0;
    for (int i = 0; i < n; i++) {
        double rest = p[i].seconds - roofline_step_s(r, p[i].flop, p[i].bytes);
        a += rest / (p[i].seconds * p[i].seconds);
        b += 1 / (p[i].seconds * p[i].seconds);
    }
    *overhead_s = a / b > SHORTEST_S ? a / b : 0;
    for (int i = 0; i < n; i++) {
        double error = roofline_step_s(r, p[i].flop, p[i].bytes) + *overhead_s - p[i].seconds;
        sum += error * error / (p[i].seconds * p[i].seconds);
    }
    return sum;
}

static double on_grid(double lo, double hi, int i)
{
    return lo * pow(hi / lo, (double)i / (GRID - 1));
}

void roofline_fit(int n, const struct roofline_point *p, struct roofline_fit *out)
{
    double best = HUGE_VAL, flop = 0, bytes = 0, step = WIDEST;
    CHECK(n >= 1);
    for (int i = 0; i < n; i++) {
        CHECK(p[i].flop > 0 && p[i].bytes > 0 && p[i].seconds > 0);
        flop = fmax(flop, p[i].flop / p[i].seconds);
        bytes = fmax(bytes, p[i].bytes / p[i].seconds);
    }
    struct roofline r = {flop, bytes, 1, 0};
    for (int round = 0; round < ROUNDS; round++) {
        double flop_lo = round ? r.flop_per_s / step : flop, flop_hi = r.flop_per_s * step;
        double bytes_lo = round ? r.bytes_per_s / step : bytes, bytes_hi = r.bytes_per_s * step;
        for (int k = 0; k < GRID * GRID; k++) {
            double overhead_s;
            struct roofline tried = {on_grid(flop_lo, flop_hi, k / GRID),
                                     on_grid(bytes_lo, bytes_hi, k % GRID), 1, 0};
            double sum = judge(&tried, n, p, &overhead_s);
            if (sum < best) {
                best = sum;
                r = tried;
                r.overhead_s = overhead_s;
            }
        }
        step = pow(step, 2.0 / (GRID - 1)); /* twice the grid's own */
    }
    *out = (struct roofline_fit){.roof = r};
    for (int i = 0; i < n; i++) {
        double error = fabs(roofline_step_s(&r, p[i].flop, p[i].bytes) / p[i].seconds - 1);
        out->mean_error += error / n;
        out->worst_error = fmax(out->worst_error, error);
    }
}
