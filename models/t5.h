/* models/t5.h: T5 v1.1: frozen weights to be shared, and passes over packs of sequences.
 *
 * What differs from a textbook transformer: RMS norm without mean; gated GELU in its tanh form; no
 * 1/sqrt(d_kv) in attention; the relative position bias is held by layer 0 and shared by its stack;
 * cross-attention has no bias; the head is untied and its input is not scaled; the decoder starts
 * with pad. Dropout as in Hugging Face's T5: after both embeddings, on attention probabilities, on
 * each residual branch, on the feed-forward product, after both final norms.
 *
 * A struct t5 is only read by passes and may be shared by any number of struct t5_work, each with
 * its own backend on the model's device and used by one thread at a time. */
#ifndef MODELS_T5_H
#define MODELS_T5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/backend.h"
#include "models/lora.h"
#include "models/pack.h"
#include "models/t5_config.h"
#include "models/weights.h"
#include "sim/base/err.h"
#include "sim/base/hash.h"

struct t5;

/* A tensor of the model inside the flat vector of all weights. Names are those of Hugging Face's
 * files. */
struct t5_tensor {
    const char *name;
    int n_dims;
    size_t dim[2];
    size_t at, n; /* values */
};

/* "builtin:NAME" -> the folder of a model that comes with the program: $VERYEDGE_HOME/models/NAME,
 * ../share/veryedge/NAME beside the program, or the source tree's models/NAME, the first that is
 * there; anything else -> itself. Caller frees with mem_free. ERR_INPUT when there is no such
 * built-in. */
enum err_code t5_folder(char **out, const char *weights, struct err *e);
/* The path of its tokenizer, which is there; caller frees. */
enum err_code t5_folder_tokens(char **out, const char *weights, struct err *e);

/* Looks at a model folder (or "builtin:NAME") without reading or allocating a weight: config.json,
 * the headers of all files, and, by the tensors from which every size follows, whether they agree;
 * so sizes that are absurd are refused before memory is asked for. is_tied: the head is the embedding, of which
 * t5_open makes a copy; trained whole, both would go their own ways. */
enum err_code t5_folder_check(struct t5_config *out, bool *is_tied, const char *weights, struct err *e);
/* The sizes that config.json states, and whether the head is tied, by the files where they can be read, else by
 * config.json too: what costs need, which may know a model that nobody has downloaded. */
enum err_code t5_folder_sizes(struct t5_config *out, bool *is_tied, const char *weights, struct err *e);

/* weights: a folder of the Hugging Face kind (config.json, and model.safetensors or its shards, see
 * models/shards.h) or "builtin:tiny". ops: from backend_find. Every tensor must be there with its
 * shape, in F32, F16 or BF16, the head as models/t5_head.h says; further tensors are refused, except
 * encoder.embed_tokens and decoder.embed_tokens, copies of `shared` in old files, one of which may stand for
 * it, and the position bias of cross-attention that the first converters wrote and no T5 uses. */
enum err_code t5_open(struct t5 **out, const struct backend_ops *ops, const char *weights,
                      struct err *e);
/* From nothing: normal values with Hugging Face's standard deviations for T5, norms 1. */
enum err_code t5_open_random(struct t5 **out, const struct backend_ops *ops,
                             const struct t5_config *c, uint64_t seed, struct err *e);
/* Weights for timing, as large a model as it may be within seconds: values of the same standard deviations out
 * of a short table that comes again and again, norms 1; the hash is 0. */
enum err_code t5_open_cheap(struct t5 **out, const struct backend_ops *ops, const struct t5_config *c,
                            struct err *e);
/* A model of its own with the same weights and hash, on the same device; and on another one of its backend's.
 * The functions above open on the first. */
enum err_code t5_open_copy(struct t5 **out, const struct t5 *from, struct err *e);
enum err_code t5_open_replica(struct t5 **out, const struct t5 *from, int device, struct err *e);
/* All weights at once, as the flat vector lies: host memory [t5_n_flat], zeros between tensors
 * included. t5_set_flat is for whoever owns the model alone; it leaves the hash as it was. */
enum err_code t5_get_flat(const struct t5 *m, float *to_host, struct err *e);
enum err_code t5_set_flat(struct t5 *m, const float *from_host, struct err *e);
/* Pseudo-random values that are a pure function of (name, index), for reference vectors without a
 * file: key = first 8 bytes of sha256(name), u = splitmix64(index + key) >> 40, / 2^24, value = std
 * sqrt(3) (2 u - 1); std: norms 0.1 and + 1, position bias 0.5, shared 1, others 1/sqrt(last
 * dimension), times 0.7 for self-attention's q. */
enum err_code t5_open_formula(struct t5 **out, const struct backend_ops *ops,
                              const struct t5_config *c, struct err *e);
/* The same rule for one tensor, of any name: what adapters of the reference vectors are made of. */
void t5_formula(const char *name, double std, double offset, size_t n, float *out);
void t5_close(struct t5 *m); /* NULL is fine */

const struct t5_config *t5_config_of(const struct t5 *m);
const struct backend_ops *t5_ops(const struct t5 *m);
/* The backend that holds the weights, for memory only: it lives as long as the model. */
struct backend *t5_backend(const struct t5 *m);
/* Content hash of config and weights as they were opened, or as of the last t5_rehash. */
struct hash128 t5_hash(const struct t5 *m);

/* --- weights as a flat vector (backend memory); views by name. Tensors that are used in one
 * product stand end to end (q k v; cross k v; wi_0 wi_1); others begin at multiples of 16, with
 * zeros between. --- */
size_t t5_n_flat(const struct t5 *m); /* values, with the zeros */
size_t t5_bytes(const struct t5 *m);  /* backend memory of the weights, in float32 and as values */
size_t t5_n_tensors(const struct t5 *m);
const struct t5_tensor *t5_tensor_at(const struct t5 *m, size_t i);
const struct t5_tensor *t5_tensor_find(const struct t5 *m, const char *name); /* or NULL */
const float *t5_weights(const struct t5 *m);
/* The same as the backend's values, which products take; t5_weights itself where these are float32. */
const void *t5_values(const struct t5 *m);
/* To change weights: only while nobody else reads them (pretraining). Call t5_rehash when done. */
float *t5_weights_rw(struct t5 *m);
void t5_set(struct t5 *m, const struct t5_tensor *t, const float *from_host);
void t5_get(const struct t5 *m, const struct t5_tensor *t, float *to_host);
enum err_code t5_rehash(struct t5 *m, struct err *e);
/* Adds an adapter to the matrices it belongs to, W += (alpha / rank) B A, summed in double and
 * rounded once, and rehashes. adapter [l->size], host; l: a layout for this model's config. Only
 * while nobody else reads the weights. */
enum err_code t5_merge(struct t5 *m, const struct lora_layout *l, const float *adapter,
                       struct err *e);
/* Writes config.json and model.safetensors (WEIGHTS_F32, _BF16 or _F16) into a folder that is
 * there. */
enum err_code t5_save(const struct t5 *m, const char *folder, enum weights_type type,
                      struct err *e);

/* --- passes --- */

enum t5_mode {
    T5_INFER, /* t5_score, t5_greedy: activations of one layer are kept at a time */
    T5_ADAPT, /* t5_step with gradients of adapters only */
    T5_FULL,  /* t5_step with gradients of all weights, and of adapters when there are any */
};

/* The largest pass that will come: memory is planned from it and allocated once. */
struct t5_limits {
    int max_members, max_seqs;
    size_t max_in, max_out; /* rows (tokens) of input and target */
    int max_new;   /* T5_INFER: tokens that t5_greedy or t5_beam may write per sequence; 0: not used */
    int max_beams; /* of t5_beam; 0 or 1: greedy only */
};

struct t5_work;

/* Backend memory that t5_work_open and the passes after it would take, the backend's scratch included; 0:
 * more than can be counted. */
size_t t5_work_plan(const struct t5 *model, enum t5_mode mode, const struct lora_layout *lora,
                    const struct t5_limits *limits, int n_threads);
/* lora NULL: passes without adapters. The model and the layout outlive the work. ERR_MEMORY names
 * the size. */
enum err_code t5_work_open(struct t5_work **out, const struct t5 *model, enum t5_mode mode,
                           const struct lora_layout *lora, const struct t5_limits *limits,
                           int n_threads, struct err *e);
void t5_work_close(struct t5_work *w); /* NULL is fine */
size_t t5_work_bytes(const struct t5_work *w); /* as planned, the backend's scratch included */
/* The work's own backend, to allocate and move what belongs to its passes. */
struct backend *t5_work_backend(const struct t5_work *w);
/* T5_FULL: gradients of all weights, t5_n_flat values of backend memory; NULL in other modes. */
float *t5_work_dw(const struct t5_work *w);

/* For benchmarks: told when a part of a step has ended, after the backend has finished what was queued for
 * it, so that a step with marks takes longer than one without. A part may end more than once a step. */
enum t5_part {
    T5_PART_LOAD,     /* packing and copying the batch, clearing gradients */
    T5_PART_FORWARD,  /* both stacks */
    T5_PART_LOSS,     /* the head and its loss, forward and backward */
    T5_PART_BACKWARD, /* both stacks */
    T5_PART_UPDATE,   /* the optimizer's step */
    N_T5_PARTS
};
struct t5_marks {
    void (*ended)(void *user, enum t5_part part);
    void *user;
};

struct t5_pass {
    const struct pack *pack; /* finished; every id below vocab (checked by whoever made the ids) */
    const float *adapters;   /* backend memory: member m's at adapters + m * stride; NULL: none */
    size_t stride;           /* values; 0: one adapter for all members */
    float dropout;           /* of the model; t5_score and t5_greedy take no dropout at all */
    uint64_t seed;           /* of the masks of this pass */
    const struct t5_marks *marks; /* t5_step only; NULL: none */
    /* t5_greedy and t5_beam: the work's pass before was t5_score of the same pack and adapters, and what its encoder
     * gave is taken again: the results are the same. */
    bool is_encoded;
};

/* Forward and backward. The loss of a member is the mean of -log p over its own target tokens, and
 * what is differentiated is the sum over members (each adapter sees only its member's). d_adapters
 * (backend memory, as adapters with the same stride; NULL without) and t5_work_dw are added to;
 * clear them first. nll [n_seqs], host: sum over the target tokens of each sequence. */
enum err_code t5_step(struct t5_work *w, const struct t5_pass *p, float *d_adapters, double *nll,
                      struct err *e);

/* The same in two parts. begin queues the work and returns: what follows on the work's backend, such as an
 * optimizer's step, is queued behind it, and the host may prepare the next pass meanwhile, in another pack.
 * end waits for all that. */
enum err_code t5_step_begin(struct t5_work *w, const struct t5_pass *p, float *d_adapters,
                            struct err *e);
enum err_code t5_step_end(struct t5_work *w, const struct t5_pass *p, double *nll, struct err *e);

/* Waits for the backend and tells p->marks, if there are any, that a part has ended. */
enum err_code t5_mark(struct t5_work *w, const struct t5_pass *p, enum t5_part part, struct err *e);

/* Forward only, no dropout. Any mode. */
enum err_code t5_score(struct t5_work *w, const struct t5_pass *p, double *nll, struct err *e);

/* Values of the last t5_score or t5_step, for tests: encoder output [in rows, d_model], logits
 * [out rows, vocab]; host memory. */
enum err_code t5_encoder_out(struct t5_work *w, float *out, struct err *e);
enum err_code t5_logits(struct t5_work *w, float *out, struct err *e);

/* Greedy decoding of all sequences of the pack (its targets are not looked at), with a key/value
 * cache; sequences that have ended leave the batch. Takes the adapter at p->adapters for all
 * (stride 0). T5_INFER only. out [n_seqs * max_new]: tokens without the start, up to and with
 * eos_id; n_out [n_seqs]. max_new <= limits.max_new. */
enum err_code t5_greedy(struct t5_work *w, const struct t5_pass *p, int max_new, int32_t *out,
                        int *n_out, struct err *e);

enum { T5_MAX_BEAMS = 32 };

/* Beam search as Hugging Face's transformers 4.57 does it (generate with num_beams and without
 * sampling). Each step keeps, of all continuations of a sequence's n_beams beams, the 2 n_beams with the
 * largest sum of log probabilities. Those among the first n_beams of them that end (by eos_id, or as
 * the last token allowed) are finished, with score sum / length^length_penalty, the end counted; the
 * best n_beams finished ones are kept. The first n_beams that do not end go on. A sequence is done when
 * n_beams have finished and the best beam, at its present length, would not beat the worst of them; with
 * early_stopping as soon as n_beams have finished. */
struct t5_beams {
    int n_beams;          /* 1 .. T5_MAX_BEAMS, 2 n_beams <= vocab; 1: greedy */
    float length_penalty; /* above 0 favours long texts; transformers' default 1 */
    bool early_stopping;
};

/* As t5_greedy; gives the best finished continuation of each sequence. n_beams <= limits.max_beams. */
enum err_code t5_beam(struct t5_work *w, const struct t5_pass *p, const struct t5_beams *how,
                      int max_new, int32_t *out, int *n_out, struct err *e);

#endif
