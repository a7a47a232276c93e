/* models/bench_generate.h: greedy decoding of made-up inputs, to be timed; what a process has taken of memory. */
#ifndef MODELS_BENCH_GENERATE_H
#define MODELS_BENCH_GENERATE_H

#include "models/bench_train.h"

enum { BENCH_TEXTS = 32 };

struct bench_texts {
    size_t n_in, n_new; /* tokens read and written, all texts */
    double median_s, min_s, max_s;
    size_t n_bytes; /* of a pass */
};

/* Writes max_new tokens for each of BENCH_TEXTS inputs of the spec's lengths, all in one pass, with a fresh adapter and
 * no dropout: once untimed, then n_repeats times. A text that ends early has fewer; n_new says so. */
enum err_code bench_generate(struct bench_texts *out, const struct t5 *model, const struct bench_spec *spec,
                             int max_new, int n_repeats, struct err *e);

/* Most memory that this process has held; 0 where Linux does not tell. */
double bench_peak_bytes(void);

#endif
