/* models/t5_config.h: the sizes of a T5 v1.1, from a Hugging Face config.json or by name.
 *
 * T5 v1.1 only (Shazeer 2020; FLAN-T5 has the same shape): gated GELU, relative position bias
 * held by layer 0 of each stack. d_kv * n_heads may differ from d_model, and the two
 * stacks may differ in depth. */
#ifndef MODELS_T5_CONFIG_H
#define MODELS_T5_CONFIG_H

#include <stddef.h>

#include "sim/base/err.h"

/* Limits, inclusive; every count is at least 1, the vocabulary and the buckets at least 4. */
enum {
    T5_MAX_VOCAB = 1 << 20,
    T5_MAX_D_MODEL = 16384,
    T5_MAX_D_KV = 512,
    T5_MAX_D_FF = 65536,
    T5_MAX_HEADS = 256,
    T5_MAX_LAYERS = 128, /* per stack */
    T5_MAX_BUCKETS = 1024,
    T5_MAX_DISTANCE = 1 << 20,
};

struct t5_config {
    int vocab;   /* rows of the embedding and of the head */
    int d_model; /* width of the residual stream */
    int d_kv;    /* width of one head */
    int d_ff;
    int n_heads;
    int n_enc, n_dec;             /* layers */
    int n_buckets, max_distance;  /* of the relative position bias */
    float eps;                    /* of the RMS norms */
    float dropout;                /* as the file says; training takes its own from train_hyper */
    int pad_id, eos_id, start_id; /* the decoder starts with start_id, which is pad in T5 */
};

/* "flan-t5-small", "flan-t5-base", "flan-t5-large", "flan-t5-xl" (published sizes: `config.json` of
 * google/flan-t5-*). ERR_INPUT names the nearest. */
enum err_code t5_config_named(struct t5_config *out, const char *name, struct err *e);
/* The names above, NULL terminated. */
const char *const *t5_config_names(void);

/* Reads a config.json. Other kinds of model and ReLU feed-forward (T5 v1.0) are refused by key; numbers
 * outside the limits too. Keys that do not concern the sizes are not looked at; where the head comes from:
 * models/t5_head.h. */
enum err_code t5_config_load(struct t5_config *out, const char *path, struct err *e);
/* Writes it (aside, synced, renamed). */
enum err_code t5_config_save(const struct t5_config *c, const char *path, struct err *e);

/* Checks the limits; the message names the field as in config.json. */
enum err_code t5_config_check(const struct t5_config *c, struct err *e);

/* d_kv * n_heads */
int t5_inner(const struct t5_config *c);
/* Values of the base model: flan-t5-small 76,961,152. */
size_t t5_parameters(const struct t5_config *c);

#endif
