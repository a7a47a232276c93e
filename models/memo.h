/* models/memo.h: training and evaluation results remembered by everything that can change them.
 *
 * The key of a training job is a hash over: the arithmetic (the backend's describe text with its
 * kernels and library versions, the C library, and a hash of the sources and flags that this
 * program's models/ was built from, models/arithmetic.cmake), frozen weights, shape of the
 * adapters, hyper-parameters, seed, adapter in, and of every member, in the order in which they
 * share the pass, its client number and the token ids of each step. So a change of a kernel, a flag
 * or a file of models/ makes every older result unknown; a doubt is a miss. The number of threads
 * is not in it: it changes no bit (models/trainer.h). The key of an evaluation: arithmetic,
 * weights, adapter, how it is evaluated, the held-out samples' token ids, summaries and facts, and
 * the vocabulary's file.
 *
 * The value is the result to the bit. What it lies in: sim/base/store.h. */
#ifndef MODELS_MEMO_H
#define MODELS_MEMO_H

#include <stdbool.h>
#include <stddef.h>

#include "models/data.h"
#include "models/evaluate.h"
#include "models/lora.h"
#include "models/t5.h"
#include "models/trainer.h"
#include "sim/base/err.h"
#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "sim/base/store.h"

struct memo;

/* What all jobs of a run have in common. Everything pointed to outlives the memo. */
struct memo_subject {
    const struct t5 *model;
    const struct lora_spec *lora;  /* NULL: full fine-tuning */
    size_t size;                   /* values of an adapter, or of all weights */
    const struct eval_spec *eval;  /* NULL: nothing is evaluated */
    const struct dataset *heldout; /* tokenised */
    struct hash128 vocabulary;     /* of spiece.model's bytes */
    size_t n_texts;                /* of an evaluation, kept with it */
};

/* store NULL: nothing is remembered, jobs simply run. */
enum err_code memo_open(struct memo **out, struct store *store, const struct memo_subject *subject,
                        struct err *e);
void memo_close(struct memo *m); /* NULL is fine */

/* trainer_run, or its result from the store, then *is_known. A training per trainer and one evaluation may go
 * on at once, in a thread each: the store is read and written there, so that virtual time need not
 * wait. */
enum err_code memo_train(struct memo *m, struct trainer *t, const struct train_job *job,
                         bool *is_known, struct err *e);
/* evaluator_run, or its result; text [n_texts]: the first summaries, NULL where there is none, in
 * the arena. */
enum err_code memo_evaluate(struct memo *m, struct evaluator *v, const float *adapter,
                            struct eval_result *out, const char **text, struct arena *texts,
                            bool *is_known, struct err *e);

#endif
