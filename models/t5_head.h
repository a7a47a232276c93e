/* models/t5_head.h: where the head of a model folder comes from.
 *
 * T5 v1.1 has a head of its own; T5 v1.0 uses the embedding, `shared`, and multiplies the decoder's output
 * by d_model^-0.5 before it. Our model always has a head of its own: a tied one is a copy of `shared`, and
 * the factor goes into the copy. What config.json says has changed with the versions of transformers:
 *
 *   4   tie_word_embeddings false: own head, no factor; true or absent: tied, with the factor
 *   5   writes tie_word_embeddings true whatever the model, and scale_decoder_outputs for the factor; the
 *       head is tied where the files have no lm_head.weight */
#ifndef MODELS_T5_HEAD_H
#define MODELS_T5_HEAD_H

#include <stdbool.h>

#include "models/shards.h"
#include "models/t5_config.h"
#include "sim/base/err.h"

struct t5_head {
    bool is_tied; /* its values are those of `shared` */
    float scale;  /* by which they are multiplied; 1: as they are */
};

/* config: the path of config.json, whose sizes are c; file NULL: as if no file had a head. ERR_INPUT where it calls the
 * head tied, as transformers 4 does, and the files have one nevertheless: which of both is meant nobody knows. */
enum err_code t5_head_find(struct t5_head *out, const char *config, const struct t5_config *c,
                           const struct shards *file, struct err *e);

/* The tensor that holds the embedding: files of old converters keep it under a stack's name only. */
const char *t5_embedding_name(const struct shards *file);
/* The tensor that the head is read from. */
const char *t5_head_name(const struct t5_head *h, const struct shards *file);
/* The head, [vocab, d_model], from where it is. */
enum err_code t5_head_read(const struct t5_head *h, const struct t5_config *c, const struct shards *file,
                           float *out, struct err *e);

#endif
