#include "sim/pick.h"

#include <stdlib.h>

#include "sim/base/check.h"
#include "sim/base/rng.h"

size_t pick_scratch_words(size_t n_clients)
{
    return (n_clients + 63) / 64;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void pick_cohort(uint64_t seed, uint32_t round, size_t n_clients, size_t n, uint32_t *out,
                 uint64_t *is_taken)
{
    CHECK(n >= 1 && n <= n_clients);
    for (size_t i = 0; i < n; i++) {
        size_t last = n_clients - n + i;
        size_t c = (size_t)rng_below(seed, RNG_PICK, round, i, last + 1);
        if (is_taken[c / 64] >> (c % 64) & 1)
            c = last;
        is_taken[c / 64] |= (uint64_t)1 << (c % 64);
        out[i] = (uint32_t)c;
    }
    for (size_t i = 0; i < n; i++)
        is_taken[out[i] / 64] = 0;
    qsort(out, n, sizeof(out[0]), by_number);
}

bool pick_fails(uint64_t seed, uint32_t round, uint32_t client, double rate, double *at)
{
    if (rate <= 0 || rng_uniform(seed, RNG_DROPOUT_OUT, round, 2 * (uint64_t)client) >= rate)
        return false;
    *at = rng_uniform(seed, RNG_DROPOUT_OUT, round, 2 * (uint64_t)client + 1);
    return true;
}
