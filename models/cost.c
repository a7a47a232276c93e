#include "models/cost.h"

#include "sim/base/check.h"

enum { BUCKETS = 32, BYTES = 4 }; /* relative positions; float32 */

/* Values per row that stock modules keep for backward, in units of the width named. A dropout keeps
 * its result and a mask of one byte (1.25); a norm its input, the scaled input and its result (3).
 */
#define KEPT_NORM 3.0           /* d_model */
#define KEPT_DROPOUT 1.25       /* of what is dropped out */
#define KEPT_OUT_MASK 0.25      /* d_model: the residual branch's mask */
#define KEPT_GATED_GELU 6.0     /* d_ff: both halves, three inside the tanh form, its result */
#define KEPT_LOGITS 4.0         /* vocab: logits, their softmax, gradient, one in flight */
#define KEPT_PROBABILITIES 2.25 /* n_k per head: softmax, dropout */

/* What is being summed up for one step. */
struct sum {
    const struct cost_shape *s;
    bool is_full;
    double forward, backward, bytes, kept; /* flop, flop, bytes, values */
};

/* Product of n rows with a matrix [out, in]. */
static void product(struct sum *c, double n, double in, double out, bool needs_input_gradient,
                    bool is_trained)
{
    double flop = 2 * n * in * out, rows = n * (in + out), matrix = in * out;
    c->forward += flop;
    c->bytes += BYTES * (rows + matrix);
    if (needs_input_gradient) {
        c->backward += flop;
        c->bytes += BYTES * (rows + matrix);
    }
    if (is_trained) {
        c->backward += flop;
        c->bytes += BYTES * (rows + 2 * matrix); /* the gradient is added to */
    }
}

/* Adapters of n_targets projections over n rows each: h = x A^T, y += h B^T. */
static void adapters(struct sum *c, double n, double n_targets, bool needs_input_gradient)
{
    double d = c->s->d_model, inner = c->s->n_heads * c->s->d_kv, r = c->s->lora_rank;
    if (r == 0 || n_targets == 0)
        return;
    product(c, n_targets * n, d, r, needs_input_gradient, true);
    product(c, n_targets * n, r, inner, true, true);
    c->kept += n_targets * n * (KEPT_DROPOUT * d + r);
}

/* q of n rows against k and v of m rows, n_k of them per sequence. is_bottom: x is an embedding. */
static void attention(struct sum *c, double n, double m, double n_k, bool is_bottom)
{
    const struct cost_shape *s = c->s;
    double d = s->d_model, inner = s->n_heads * s->d_kv, scores = 4 * n * n_k * inner;
    bool passes_on = c->is_full || !is_bottom;
    product(c, n, d, inner, passes_on, c->is_full);
    product(c, m, d, inner, passes_on, c->is_full);
    product(c, m, d, inner, passes_on, c->is_full);
    product(c, n, inner, d, true, c->is_full);
    if (!c->is_full)
        adapters(c, (n + m) / 2, s->lora_targets, passes_on); /* q has n rows, v has m */
    c->forward += scores;
    c->backward += 2 * scores;
    c->kept += n * KEPT_NORM * d + (2 * n + 2 * m) * inner + n * KEPT_OUT_MASK * d +
               KEPT_PROBABILITIES * n * n_k * s->n_heads;
}

static void feed_forward(struct sum *c, double n)
{
    double d = c->s->d_model, ff = c->s->d_ff;
    product(c, n, d, ff, true, c->is_full);
    product(c, n, d, ff, true, c->is_full);
    product(c, n, ff, d, true, c->is_full);
    c->kept += n * ((KEPT_NORM + KEPT_OUT_MASK) * d + (KEPT_GATED_GELU + KEPT_DROPOUT) * ff);
}

double cost_parameters(const struct cost_shape *s)
{
    double d = s->d_model, inner = s->n_heads * s->d_kv, ff = 3 * d * s->d_ff;
    double encoder = s->n_encoder * (4 * d * inner + ff + 2 * d);
    double decoder = s->n_decoder * (8 * d * inner + ff + 3 * d);
    return 2 * s->vocab * d + encoder + decoder + 2 * d + 2 * BUCKETS * s->n_heads;
}

double cost_lora_parameters(const struct cost_shape *s)
{
    double per_projection = s->lora_rank * (s->d_model + s->n_heads * s->d_kv);
    return per_projection * s->lora_targets * (s->n_encoder + 2 * s->n_decoder);
}

struct cost cost_step(const struct cost_shape *shape, const struct cost_batch *batch, bool is_full)
{
    CHECK(batch->sequences >= 1 && batch->input_tokens >= 1 && batch->target_tokens >= 1);
    double n = batch->sequences * batch->input_tokens;
    double n_out = batch->sequences * batch->target_tokens, d = shape->d_model;
    struct sum c = {.s = shape, .is_full = is_full};
    for (int i = 0; i < (int)shape->n_encoder; i++) {
        attention(&c, n, n, batch->input_tokens, i == 0);
        feed_forward(&c, n);
    }
    for (int i = 0; i < (int)shape->n_decoder; i++) {
        attention(&c, n_out, n_out, batch->target_tokens, i == 0);
        attention(&c, n_out, n, batch->input_tokens, false);
        feed_forward(&c, n_out);
    }
    product(&c, n_out, d, shape->vocab, true, is_full);
    c.kept += (n + n_out) * (KEPT_NORM + 2 * KEPT_DROPOUT) * d; /* embeddings and final norms */
    c.kept += n_out * KEPT_LOGITS * shape->vocab;
    double trained = is_full ? cost_parameters(shape) : cost_lora_parameters(shape);
    double weights = cost_parameters(shape) + (is_full ? 0 : trained);
    return (struct cost){
        .forward_flop = c.forward,
        .backward_flop = c.backward,
        .flop = c.forward + c.backward,
        .bytes = c.bytes + BYTES * (3 * c.kept + 3 * trained),
        .memory_bytes = BYTES * (weights + trained + c.kept),
    };
}

double cost_packed_flop(const struct cost_shape *s, const struct cost_lengths *l)
{
    double d = s->d_model, inner = s->n_heads * s->d_kv, square = d * inner, ff = 3 * d * s->d_ff;
    double encoder = s->n_encoder * (4 * square + ff);
    double decoder = s->n_decoder * (6 * square + ff) + s->vocab * d;
    double cross = s->n_decoder * 2 * square;
    double products = 4 * ((encoder + cross) * l->input + decoder * l->target) -
                      2 * 3 * square * (l->input + l->target);
    double causal = (l->target_2 + l->target) / 2;
    return products +
           12 * inner * (s->n_encoder * l->input_2 + s->n_decoder * (causal + l->product));
}
