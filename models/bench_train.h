/* models/bench_train.h: seconds of real training of one cohort, on random weights and tokens.
 *
 * The work is that of one federated round: every client starts from the same adapter, makes its
 * local SGD steps on mini-batches of random lengths and hands its adapter back. Speed depends on
 * neither the weights nor the tokens. Lengths are uniform, ends included, as in the peer script of
 * Hugging Face PEFT. */
#ifndef MODELS_BENCH_TRAIN_H
#define MODELS_BENCH_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "models/lora.h"
#include "models/t5_config.h"
#include "sim/base/err.h"

enum { BENCH_MAX_REPEATS = 64 };

struct bench_cohort {
    const char *backend; /* "cpu" */
    struct t5_config config;
    struct lora_spec lora;
    int n_clients, local_steps, batch;
    int input_from, input_to, target_from, target_to; /* tokens */
    float dropout;
    int n_threads, warmup, repeats; /* repeats <= BENCH_MAX_REPEATS */
    uint64_t seed;
};

struct bench_cohort_result {
    double min_s, median_s, max_s;
    size_t n_tokens; /* of a round, inputs and targets */
    size_t n_bytes;  /* memory of a pass */
    double loss;     /* mean over clients of the last round, a check that it trains */
};

/* d_model 128, 4 heads x 32, d_ff 256, 4 + 4 layers, vocabulary 2048, rank 8; 10 clients x 2 steps
 * x 8 samples of 64..160 and 16..40 tokens; one thread per processor. */
struct bench_cohort bench_cohort_tiny(void);

enum err_code bench_cohort(struct bench_cohort_result *out, const struct bench_cohort *spec,
                           struct err *e);

#endif
