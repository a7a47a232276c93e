/* tests/made_up.h: token ids for tests that train: any of the vocabulary but the three special ones at its start. */
#ifndef TESTS_MADE_UP_H
#define TESTS_MADE_UP_H

#include "sim/base/mem.h"
#include "sim/base/rng.h"

/* n ids of a sequence that has this number; the last is the end mark, 1, where is_ended. */
static inline const int32_t *made_up_tokens(struct arena *a, uint32_t number, int n, uint32_t vocab, bool is_ended)
{
    int32_t *id = ARENA_NEW(a, int32_t, (size_t)n);
    for (int i = 0; i < n; i++)
        id[i] = 3 + (int32_t)rng_below(11, RNG_ORDER, number, (uint64_t)i, vocab - 3);
    if (is_ended)
        id[n - 1] = 1;
    return id;
}

#endif
