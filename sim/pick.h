/* sim/pick.h: who takes part in a round and who drops out: pure functions of (seed, round), so the whole
 * selection is known before the first event. */
#ifndef SIM_PICK_H
#define SIM_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n of n_clients clients without replacement, every subset equally likely (Floyd's algorithm, Bentley and
 * Floyd 1987), into out [n] in ascending order. 1 <= n <= n_clients < 2^31. is_taken is scratch of
 * (n_clients + 63) / 64 words, zero before and after. O(n log n). */
void pick_cohort(uint64_t seed, uint32_t round, size_t n_clients, size_t n, uint32_t *out,
                 uint64_t *is_taken);

/* Whether a client fails in a round: probability rate, 0 .. 1. If it does, *at is the share of its training
 * time after which it is gone, uniform in (0, 1). */
bool pick_fails(uint64_t seed, uint32_t round, uint32_t client, double rate, double *at);

/* The words of is_taken. */
size_t pick_scratch_words(size_t n_clients);

#endif
