/* sim/aggregate.h: the mean of the clients' adapters, element by element, in client order, in
 * double.
 *
 *   AGGREGATE_EQUAL    mean = (sum_i a_i) / K
 *   AGGREGATE_SAMPLES  mean = (sum_i n_i a_i) / (sum_i n_i),  n_i = samples client i trained on
 *
 * There is one division, at the end: weights n_i / n rounded beforehand would give a
 * pseudo-gradient of rounding noise where all clients agree. The caller gives the clients in client
 * order; the result is then the same to the bit whatever the order in which they arrived. LoRA's A
 * and B are averaged like any vector; the mean of products B A is not the product of the means. */
#ifndef SIM_AGGREGATE_H
#define SIM_AGGREGATE_H

#include <stddef.h>

enum aggregate_weights { AGGREGATE_EQUAL, AGGREGATE_SAMPLES };

/* mean [n] of n_clients >= 1 adapters of n values each. samples [n_clients] each >= 1; may be NULL
 * for AGGREGATE_EQUAL. */
void aggregate_mean(enum aggregate_weights weights, size_t n_clients, const double *const *adapter,
                    const double *samples, size_t n, double *mean);
/* The same from float32 adapters, summed in double. */
void aggregate_mean_f32(enum aggregate_weights weights, size_t n_clients,
                        const float *const *adapter, const double *samples, size_t n, double *mean);

#endif
