/* models/t5_model.h: how the weights of a struct t5 lie; for t5_*.c only. */
#ifndef MODELS_T5_MODEL_H
#define MODELS_T5_MODEL_H

#include <stdbool.h>

#include "models/t5.h"
#include "sim/base/mem.h"

/* Offsets into the flat vector, in values. q k v and wi_0 wi_1 stand end to end, and so do ck cv:
 * one product each. */
struct t5_layer_at {
    size_t norm_self, q, k, v, o;
    size_t norm_cross, cq, ck, cv, co; /* decoder only */
    size_t norm_ff, wi, wo;
};

/* One stack: 0 the encoder, 1 the decoder. */
struct t5_stack_at {
    int n_layers;
    size_t bias, norm; /* relative position bias, final norm */
    struct t5_layer_at *layer;
};

struct t5 {
    struct arena arena; /* owns this struct, names and tables */
    const struct backend_ops *ops;
    int device;
    struct backend *backend; /* for memory only */
    struct t5_config config;
    struct t5_stack_at stack[2];
    size_t shared, head;
    struct t5_tensor *tensor;
    size_t n_tensors, n_flat;
    float *w;     /* backend memory */
    void *values; /* w as the backend's values, for products; w itself where these are float32 */
    struct hash128 hash;
};

/* A model with its tables and zeroed weights; the caller fills them. */
enum err_code t5_make(struct t5 **out, const struct backend_ops *ops, int device,
                      const struct t5_config *c, struct err *e);

/* The float32 weights anew as values, by a backend of the model's kind; nothing where they are the same. */
void t5_narrow(const struct t5 *m, struct backend *b);

#endif
