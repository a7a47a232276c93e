/* models/bench_train.h: real training of one cohort on made-up tokens, to be timed.
 *
 * The work is that of one federated round: every client starts from the same adapter, makes its local SGD steps
 * on mini-batches of made-up samples and hands its adapter back. Speed depends on neither weights nor tokens, so
 * a model may be of any size without a file: its weights then come from t5_open_cheap. */
#ifndef MODELS_BENCH_TRAIN_H
#define MODELS_BENCH_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "models/cost.h"
#include "models/lengths.h"
#include "models/lora.h"
#include "models/t5.h"
#include "sim/base/err.h"

/* model: "tiny" (width 128, 4 heads x 32, d_ff 256, 4 + 4 layers, vocabulary 2048), a published size without
 * weights ("flan-t5-small"), or a folder or built-in to be loaded. *is_made_up: its weights are. */
enum err_code bench_model(struct t5 **out, const char *model, const struct backend_ops *ops,
                          bool *is_made_up, struct err *e);

struct bench_spec {
    struct lora_spec lora;
    int n_clients, local_steps, batch;
    struct lengths lengths;
    float dropout;
    int n_threads;
    uint64_t seed;
    double memory_bytes; /* of a pass at most: the cohort is cut into passes of so many clients; 0: trainer_is_small */
    int n_parts;         /* of the cohort, each for a GPU (models/crew.h) */
};

/* 10 clients x 2 steps x 8 samples of 64..160 and 16..40 tokens, rank 16 on q and v; one thread. */
struct bench_spec bench_default(void);

struct bench_totals { /* of a round, all clients and steps */
    size_t n_in, n_out; /* tokens */
    double flop;        /* cost_packed_flop of each step */
    size_t n_bytes;     /* memory of a pass */
    size_t n_weights, n_results; /* memory of the weights, and of what clients hand back */
    size_t n_program;   /* of the rest of this process: program, libraries, samples; 0 where weights are on a GPU */
    int n_abreast;      /* clients of a pass at most */
    int n_devices;
};

/* Host memory that a pass on the CPU may take now; 0 for other backends and where it is not known. */
size_t bench_free_bytes(const struct backend_ops *ops);

struct bench;

/* The model outlives the bench. ERR_MEMORY: the pass does not fit, which is known before it is tried. */
enum err_code bench_open(struct bench **out, const struct t5 *model, const struct bench_spec *spec,
                         struct err *e);
void bench_close(struct bench *b); /* NULL is fine */
const struct bench_totals *bench_totals(const struct bench *b);

/* Trains one round; *seconds of it. part: seconds of each part of the steps together, which makes the round
 * slower, or NULL, as with several devices. */
enum err_code bench_round(struct bench *b, double *seconds, double part[N_T5_PARTS], struct err *e);
/* Its model, and the backend on which it is trained, the first of several. */
const struct t5 *bench_model_of(const struct bench *b);
struct backend *bench_backend(const struct bench *b);
/* Mean over clients of the last round's loss: a check that it trains. */
double bench_loss(const struct bench *b);

/* The shape of a model in the terms of models/cost.h. */
struct cost_shape bench_shape(const struct t5_config *c, const struct lora_spec *lora);

/* Best rate of a square product of values on an open backend, tried for about `seconds`: flop per second. */
enum err_code bench_product(const struct backend_ops *ops, int n_threads, double seconds,
                            double *flop_per_s, struct err *e);

#endif
