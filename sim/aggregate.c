#include "sim/aggregate.h"

#include "sim/base/check.h"

/* Elements that are summed over all clients before the next ones: the sums stay in the first cache.
 */
enum { BLOCK = 512 };

static double total_weight(enum aggregate_weights weights, size_t n_clients, const double *samples)
{
    CHECK(n_clients >= 1);
    if (weights == AGGREGATE_EQUAL)
        return (double)n_clients;
    double total = 0;
    for (size_t i = 0; i < n_clients; i++) {
        CHECK(samples[i] >= 1);
        total += samples[i];
    }
    return total;
}

static double weight_of(enum aggregate_weights weights, const double *samples, size_t client)
{
    return weights == AGGREGATE_EQUAL ? 1.0 : samples[client];
}

static size_t block_end(size_t begin, size_t n)
{
    return n - begin < BLOCK ? n : begin + BLOCK;
}

void aggregate_mean(enum aggregate_weights weights, size_t n_clients, const double *const *adapter,
                    const double *samples, size_t n, double *mean)
{
    double total = total_weight(weights, n_clients, samples);
    for (size_t begin = 0; begin < n; begin = block_end(begin, n)) {
        size_t end = block_end(begin, n);
        for (size_t j = begin; j < end; j++)
            mean[j] = 0;
        for (size_t i = 0; i < n_clients; i++) {
            double w = weight_of(weights, samples, i);
            for (size_t j = begin; j < end; j++)
                mean[j] += w * adapter[i][j];
        }
        for (size_t j = begin; j < end; j++)
            mean[j] /= total;
    }
}

void aggregate_mean_f32(enum aggregate_weights weights, size_t n_clients,
                        const float *const *adapter, const double *samples, size_t n, double *mean)
{
    double total = total_weight(weights, n_clients, samples);
    for (size_t begin = 0; begin < n; begin = block_end(begin, n)) {
        size_t end = block_end(begin, n);
        for (size_t j = begin; j < end; j++)
            mean[j] = 0;
        for (size_t i = 0; i < n_clients; i++) {
            double w = weight_of(weights, samples, i);
            for (size_t j = begin; j < end; j++)
                mean[j] += w * (double)adapter[i][j];
        }
        for (size_t j = begin; j < end; j++)
            mean[j] /= total;
    }
}
