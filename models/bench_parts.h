/* models/bench_parts.h: where the time of a training step goes, operation by operation.
 *
 * A table of operations that forwards to a real backend's, to be given to a model in the backend's place. A
 * backend that is watched has each operation waited for and its seconds and flop charged to a part of the
 * model; one that is not runs as if the table were not there. Products are told apart by the weights they
 * take. Flop are those of models/cost.h's cost_packed_flop, and those of the adapters, which it leaves out:
 *
 *   product             2 n in out, forward and for the gradient of its input
 *   attention           4 inner pairs forward, twice that backward; pairs of a query and a key it may see
 *   head                4 n d vocab: the scores and the gradient of the input
 *   adapter             2 n rank (in + out) forward; backward the same twice, less what is not wanted
 *
 * For training of adapters: gradients of frozen weights and what only decoding calls are forwarded uncharged. */
#ifndef MODELS_BENCH_PARTS_H
#define MODELS_BENCH_PARTS_H

#include "models/backend.h"
#include "models/t5.h"

enum bench_part {
    BENCH_EMBEDDING,
    BENCH_ATTN_PRODUCTS, /* q k v o */
    BENCH_ATTN_SCORES,   /* scores, softmax, their sums of values */
    BENCH_MLP_PRODUCTS,  /* wi wo */
    BENCH_MLP_GATE,
    BENCH_HEAD, /* with the loss */
    BENCH_ADAPTERS,
    BENCH_NORMS, /* and residuals, dropout of both */
    BENCH_OPTIMIZER,
    BENCH_COPIES, /* to and from the backend, and clearing of gradients */
    N_BENCH_PARTS
};

const char *bench_parts_name(enum bench_part part);

struct bench_charge {
    double seconds, flop;
};

struct bench_parts;

struct bench_parts *bench_parts_open(const struct backend_ops *real);
void bench_parts_close(struct bench_parts *p); /* NULL is fine; after all that was opened with the table */
/* The table, for t5_open and its like. */
const struct backend_ops *bench_parts_ops(const struct bench_parts *p);

/* Charges the operations of b, from zero on until the end. b was opened by the table, and so was the model, by
 * whose weights products are told apart. */
void bench_parts_begin(struct bench_parts *p, struct backend *b, const struct t5 *model);
void bench_parts_end(struct bench_parts *p, struct backend *b, struct bench_charge charge[N_BENCH_PARTS]);

#endif
