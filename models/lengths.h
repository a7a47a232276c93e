/* models/lengths.h: token lengths of made-up samples, for benchmarks.
 *
 *   "fixed:512,95"          every input 512 tokens, every target 95
 *   "uniform:64-160,16-40"  whole numbers, ends included
 *   "samsum"                as SAMSum's pairs are long in T5 tokens, end mark included: log-normal, ln of the input
 *                           with mean 4.739 and deviation 0.749, of the target 3.221 and 0.531, correlation 0.60
 *                           (a fit to counts of its 14,731 training pairs), cut to 2..512 and 2..95 */
#ifndef MODELS_LENGTHS_H
#define MODELS_LENGTHS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/err.h"

enum { LENGTHS_MAX = 8192 };

struct lengths {
    bool is_samsum;
    int in_from, in_to, out_from, out_to; /* 2 .. LENGTHS_MAX; of samsum the cuts */
};

/* ERR_INPUT says what is expected. */
enum err_code lengths_parse(struct lengths *out, const char *text, struct err *e);
/* The lengths of one sample, a pure function of seed and sample. */
void lengths_draw(const struct lengths *l, uint64_t seed, uint32_t sample, int *n_in, int *n_out);

#endif
