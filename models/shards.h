/* models/shards.h: the tensors of a model folder: model.safetensors, or the files that
 * model.safetensors.index.json names.
 *
 * A large model comes in several files and an index, { "metadata": ..., "weight_map": { TENSOR:
 * FILE } }, as Hugging Face's save_pretrained writes them. Every file must lie in the folder itself
 * and be named like one ("model-00001-of-00002.safetensors"); a tensor must be in the file that the
 * index says, and no file may hold one that the index does not give to it. Of the embedding's three
 * names (shared, encoder.embed_tokens, decoder.embed_tokens) converters keep one in the files and
 * all in the index, so these may be missing. Where both forms are there, model.safetensors counts,
 * as in transformers. Files are mapped, not read. */
#ifndef MODELS_SHARDS_H
#define MODELS_SHARDS_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

enum { SHARDS_MAX_FILES = 1024 };

struct shards;

/* ERR_INPUT names file and key. A folder with nothing but pytorch_model.bin is refused with the way
 * to convert it: reading a pickle would run its code. */
enum err_code shards_open(struct shards **out, const char *folder, struct err *e);
void shards_close(struct shards *s); /* NULL is fine */

/* Tensors of all files, file by file in the order of the index. */
size_t shards_count(const struct shards *s);
const char *shards_name_at(const struct shards *s, size_t i);
const char *shards_path_at(const struct shards *s, size_t i); /* the file that holds it */
bool shards_has(const struct shards *s, const char *name);

/* As weights_check: it is there, of this shape and a type that is read. */
enum err_code shards_check(const struct shards *s, const char *name, int n_dims, const size_t *dim,
                           struct err *e);
/* As weights_read: float32 from F32, F16 or BF16, finite, of this shape. */
enum err_code shards_read(const struct shards *s, const char *name, int n_dims, const size_t *dim,
                          float *out, struct err *e);

#endif
