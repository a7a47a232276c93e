/* models/cost.h: flop and bytes of one training step of a T5 v1.1, layer by layer, and the memory it needs.
 *
 * For the roofline of devices that nobody measured. A multiply and an add are 2 flop; norms, softmax and
 * element-wise work are counted as bytes only. With n rows, a product with a frozen matrix W [out, in] is
 *   forward 2 n in out    backward 2 n in out (the input's gradient)    + 2 n in out (W's own, full training)
 * Attention of one head over n_q x n_k positions: 2 (n_q n_k d_kv) twice forward, twice that backward. The
 * encoder's bottom needs no input gradient in LoRA training: its q and v products are skipped there (the
 * adapters' own stay).
 *
 * Bytes: every product reads its operands and writes its result once (no cache beyond one product), float32;
 * full training adds AdamW-free SGD: each weight read, its gradient read, the weight written. */
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
    double sequences;              /* mini-batch */
    double input_tokens, target_tokens; /* per sequence; the study pads to 512 input tokens */
};

struct cost {
    double forward_flop, backward_flop, flop; /* flop = their sum */
    double bytes;        /* moved to and from memory in a step */
    double memory_bytes; /* needed at once: weights, gradients and optimizer slots of what is trained,
                            activations kept for backward, logits */
};

/* One step; is_full: all weights are trained, otherwise the adapters only. */
struct cost cost_step(const struct cost_shape *shape, const struct cost_batch *batch, bool is_full);

/* Parameters of the frozen model: embedding and untied head, attention, gated feed-forward, norms, two
 * tables of relative position (32 buckets each). 76,961,152 for flan-t5-small. */
double cost_parameters(const struct cost_shape *shape);
/* Trainable values of the adapters: 688,128 for flan-t5-small at rank 16, targets q and v. */
double cost_lora_parameters(const struct cost_shape *shape);

#endif
