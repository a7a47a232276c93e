/* models/weights.h: tensors by name in a safetensors file, in and out.
 *
 * The file is mapped and every number in it is checked before use, with the rules of the format's
 * own reader (huggingface/safetensors): header length within 100 MB and the file, UTF-8 JSON
 * object, spans in order without gap or overlap, size of the shape (checked product) equal to the
 * span, last span ending with the file. A broken file is ERR_INPUT, one line that names file and
 * tensor. */
#ifndef MODELS_WEIGHTS_H
#define MODELS_WEIGHTS_H

#include <stddef.h>

#include "sim/base/err.h"

enum weights_type {
    WEIGHTS_F32,
    WEIGHTS_F16,
    WEIGHTS_BF16,
    WEIGHTS_F64,
    WEIGHTS_I8,
    WEIGHTS_U8,
    WEIGHTS_BOOL,
    WEIGHTS_I16,
    WEIGHTS_U16,
    WEIGHTS_I32,
    WEIGHTS_U32,
    WEIGHTS_I64,
    WEIGHTS_U64,
    WEIGHTS_F8_E4M3,
    WEIGHTS_F8_E5M2,
    N_WEIGHTS_TYPES
};

enum { WEIGHTS_MAX_DIMS = 8 };

struct weights_tensor {
    const char *name;
    enum weights_type type;
    int n_dims; /* 0: a scalar */
    size_t dim[WEIGHTS_MAX_DIMS];
    size_t n_values;
    const unsigned char *bytes; /* little endian, not aligned */
};

struct weights;

enum err_code weights_open(struct weights **out, const char *path, struct err *e);
void weights_close(struct weights *w); /* NULL is fine */
const char *weights_path(const struct weights *w);
size_t weights_count(const struct weights *w);
const struct weights_tensor *weights_at(const struct weights *w, size_t i); /* in file order */
const struct weights_tensor *weights_find(const struct weights *w, const char *name); /* or NULL */

/* A tensor must be there with this shape, in F32, F16 or BF16: ERR_INPUT otherwise. Looks at the
 * header only. */
enum err_code weights_check(const struct weights *w, const char *name, int n_dims,
                            const size_t *dim, struct err *e);
/* Values of such a tensor as float32, exact. ERR_INPUT also for one that is not a finite number.
 * out [product of dim] */
enum err_code weights_read(const struct weights *w, const char *name, int n_dims, const size_t *dim,
                           float *out, struct err *e);

/* One tensor to write. */
struct weights_item {
    const char *name;
    int n_dims;
    size_t dim[WEIGHTS_MAX_DIMS];
    const float *values;
};

/* Writes items as F32, or BF16 (rounded to nearest even) or F16, in the given order; aside, synced,
 * renamed. */
enum err_code weights_save(const char *path, const struct weights_item *item, size_t n,
                           enum weights_type type, struct err *e);

#endif
