/* energy/roofline.h: the seconds of a training step from a data sheet (Williams et al. 2009).
 *
 *   seconds = max(flop / peak flop per second, bytes / peak bytes per second) / efficiency + overhead
 *
 * With efficiency 1 this is a lower bound for single precision. Beside the study's "Opt. Step +
 * load" at the largest mini-batches it gives 0.47 s for 0.48 s (A100, small at 128), 1.74 s
 * for 4.35 s (Orin, the same) and 0.94 s for 0.66 s (A100, base at 64: its TF32 tensor cores must
 * have helped). */
#ifndef ENERGY_ROOFLINE_H
#define ENERGY_ROOFLINE_H

struct roofline {
    double flop_per_s;  /* > 0; single precision, because that is what is simulated */
    double bytes_per_s; /* > 0; memory bandwidth */
    double efficiency;  /* > 0 .. 1: share of the roof that is reached */
    double overhead_s;  /* >= 0: of a step, whatever its size */
};

/* flop and bytes of one step, >= 0. */
double roofline_step_s(const struct roofline *r, double flop, double bytes);

/* The roofline with efficiency 1 whose relative errors against n >= 1 measured steps have the least sum of squares.
 * A roof that no step comes near is somewhere above them all. */
struct roofline_point {
    double flop, bytes, seconds; /* > 0 */
};
struct roofline_fit {
    struct roofline roof;
    double mean_error, worst_error; /* relative, of its seconds */
};
void roofline_fit(int n, const struct roofline_point *point, struct roofline_fit *out);

/* flop per byte at which both limits meet: below it the memory decides. */
double roofline_ridge_flop_per_byte(const struct roofline *r);

#endif
