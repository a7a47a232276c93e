/* models/cost.h: flop and bytes of a training step of a T5 v1.1, layer by layer, and its memory.
 *
 * For the roofline of devices that nobody measured. A multiply and an add are 2 flop; norms,
 * softmax and element-wise work count as bytes only. With n rows and a matrix W [out, in]:
 *
 *   product forward     2 n in out
 *   product backward    2 n in out (gradient of its input) + 2 n in out (W's own, if trained)
 *   attention forward   4 n_q n_k n_heads d_kv, masked places included
 *   attention backward  twice that
 *
 * In adapter training the first q, k, v of encoder and decoder need no gradient of their input,
 * because the embeddings below are frozen.
 *
 * Kept activations: what stock PyTorch modules keep for backward in float32 with dropout, counted
 * operation by operation (gelu in its tanh form keeps several copies, attention its probabilities
 * before and after dropout). With 512 input and 95 target tokens the study's runs would need: small
 * at mini-batch 128: 63 GB, base at 32: 42 GB (both ran on 64 GB), base at 64: 83 GB (ran on 80 GB,
 * not on 64), large at 16: 57 GB and xl at 1: 18 GB (neither ran on 64 GB shared with the system).
 * So take it as good to 20 %, and loading a model may need more.
 *
 * Bytes: each product reads its operands and writes its result once (no cache beyond one product);
 * each kept activation is written, read back, and its gradient written; SGD reads weight and
 * gradient and writes the weight. */
#ifndef MODELS_COST_H
#define MODELS_COST_H

#include <stdbool.h>

/* A T5 v1.1 and its adapters in plain numbers, all >= 1 (rank may be 0: no adapters). */
struct cost_shape {
    double d_model, d_kv, d_ff, n_heads, n_encoder, n_decoder, vocab;
    double lora_rank;    /* 0: none */
    double lora_targets; /* projections per attention that carry an adapter: q and v = 2 */
};

struct cost_batch {
    double sequences;                   /* mini-batch */
    double input_tokens, target_tokens; /* per sequence; the study pads to 512 input tokens */
};

struct cost {
    double forward_flop, backward_flop, flop; /* flop = their sum */
    double bytes;                             /* moved to and from memory in a step */
    double memory_bytes; /* weights, gradients of what is trained, kept activations */
};

/* One step; is_full: all weights are trained, otherwise the adapters only. */
struct cost cost_step(const struct cost_shape *shape, const struct cost_batch *batch, bool is_full);

/* Flop of a packed step with frozen weights, for the utilisation of a machine's peak: what the model needs,
 * whatever a kernel computes twice. With T and S input and target tokens in all, n and m those of a
 * sequence, inner = n_heads d_kv:
 *
 *   4 x [ encoder's q k v o, wi, wo ] T + 4 x [ decoder's, cross-attention's q and o, the head ] S
 *   + 4 x [ cross-attention's k and v ] T         parameters touched x tokens, forward and dx
 *   - 2 x [ the first q k v of both stacks ]      whose input needs no gradient: 6 d_model inner (T + S)
 *   + 12 inner ( n_encoder sum n^2 + n_decoder sum (m (m + 1) / 2 + m n) )     attention, both ways
 *
 * Adapters, norms, softmax and other element-wise work are not counted. */
struct cost_lengths {
    double input, target;              /* sums over the sequences of n, m */
    double input_2, target_2, product; /* of n^2, m^2, m n */
};
double cost_packed_flop(const struct cost_shape *shape, const struct cost_lengths *l);

/* Parameters of the frozen model: embedding and untied head, attention, gated feed-forward, norms,
 * two tables of relative position (32 buckets each). 76,961,152 for flan-t5-small. */
double cost_parameters(const struct cost_shape *shape);
/* Trainable values of the adapters: 688,128 for flan-t5-small at rank 16, targets q and v. */
double cost_lora_parameters(const struct cost_shape *shape);

#endif
