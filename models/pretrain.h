/* models/pretrain.h: makes builtin:tiny from nothing: vocabulary, T5 v1.1, AdamW on generated text.
 *
 * Start values decide whether such a small model learns to copy (models/tiny/README.md): Hugging
 * Face's for T5, but the head is the embedding times d^-1/2, every attention's o is the transpose
 * of its v, cross-attention's q is its k times d^-1/4, and the position bias points one head of
 * each stack at the token before and one of the encoder's at the token after. A step is one pack of
 * `batch` examples of models/pretrain_data.h; the loss is the mean over all target tokens; the
 * gradient is clipped to norm 1; AdamW with a linear warm-up and a linear fall to 0 at the last
 * step. The result is a function of the spec (and of the machine's BLAS), not of the number of
 * threads, nor of where a run was interrupted. */
#ifndef MODELS_PRETRAIN_H
#define MODELS_PRETRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "models/t5_config.h"
#include "sim/base/err.h"

enum { PRETRAIN_MAX_STEPS = 1000000, PRETRAIN_MAX_BATCH = 1024 };

struct pretrain_spec {
    struct t5_config config; /* vocab is filled in from the vocabulary */
    int n_steps, batch, n_warmup;
    float lr, beta1, beta2, epsilon, weight_decay, max_norm;
    uint64_t seed;
    int n_threads;
    const char *folder;   /* of the result; made if need be */
    bool is_float32;      /* store weights as f32; otherwise rounded to bf16, half the size */
    bool is_resumed;      /* go on from the checkpoint in folder, which must be of the same spec */
    int checkpoint_every; /* steps; 0: none but the one of stop_after */
    int stop_after;       /* leave a checkpoint after this step and return; 0: run to the end */
    /* after every step, in order; a resumed run first repeats the steps before. NULL: none. False
     * stops the run as stop_after would, with ERR_INTERRUPTED. */
    bool (*report)(void *to, int step, double loss, int n_tokens);
    void *to;
};

/* What builtin:tiny was made with. folder NULL, report NULL. */
struct pretrain_spec pretrain_defaults(void);

/* Learning rate of step 1 .. n_steps. */
float pretrain_lr(const struct pretrain_spec *s, int step);

/* Writes spiece.model, config.json and model.safetensors (bf16) into the folder; while it runs,
 * "pretrain.checkpoint" (about 12 bytes per parameter). */
enum err_code pretrain_run(const struct pretrain_spec *s, struct err *e);

#endif
