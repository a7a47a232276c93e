/* models/pretrain_data.h: the mixture of tasks that the built-in model is pretrained on.
 *
 *   25 %  summarize:  60 % two facts ("sport: badminton, Howard"), else one of eight sentence
 * styles at random 40 %  a style by its own prompt ("retell:", "plan:", ...), on all topics 15 %
 * question:   one to three question words -> their facts 20 %  denoising   T5's span corruption
 * (Raffel et al. 2020): half dialogues, half prose; 60 % short spans (15 % of the ids, 1 to 5
 * each), 40 % one long span (30 to 60 %) dialogue_summary's wording is in none of them: as a
 * pretrained model meets a new house style, it knows every word, has learned to find facts and to
 * copy them into sentences, but not this form. Examples are a pure function of (seed, step, index),
 * stream RNG_PRETRAIN. */
#ifndef MODELS_PRETRAIN_DATA_H
#define MODELS_PRETRAIN_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/tokens.h"
#include "models/vocab.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

enum { PRETRAIN_SENTINELS = 100, PRETRAIN_MAX_IDS = 256 };

struct example {
    const char *input_text, *target_text; /* target NULL: denoising of input */
    int32_t *input, *target;              /* with </s>, at most PRETRAIN_MAX_IDS */
    int n_input, n_target;
};

/* The texts alone, in the arena. */
void pretrain_texts(struct example *x, uint64_t seed, uint32_t step, uint32_t index,
                    struct arena *a);
/* Texts and ids. Sentinel i is id n_vocab - 1 - i. */
enum err_code pretrain_example(struct example *x, uint64_t seed, uint32_t step, uint32_t index,
                               const struct tokens *t, int n_vocab, struct arena *a, struct err *e);

/* Words of all tables and of a few thousand examples: what the vocabulary is written from. */
void pretrain_vocab(struct vocab *v);

#endif
