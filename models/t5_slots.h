/* models/t5_slots.h: single-token decoding with a key/value cache, one row per slot; for t5_*.c
 * only.
 *
 * Slots 0 .. n - 1 are sequences (or beams of sequences) that still grow, all at the same position;
 * slot s of a layer's cache holds q k v of every position so far. Keys and values of
 * cross-attention, where they are made, belong to the sequence and are shared by its beams. */
#ifndef MODELS_T5_SLOTS_H
#define MODELS_T5_SLOTS_H

#include "models/t5_work.h"

struct t5_slots {
    const struct t5_run *r;
    struct t5_side rows; /* one row per slot */
    int position, n;
    int32_t *seq;                        /* [slot] which sequence */
    int32_t *row, *one;                  /* [slot] 0, 1, 2, .. and 1, 1, 1, .. */
    int32_t *in_start, *in_len;          /* [slot] the sequence's encoder rows */
    int32_t *self_start, *self_len, *at; /* [slot] rows in the cache; position */
    int32_t *token;                      /* [slot] what the slot says next */
};

/* Encodes the pass's pack, if it is not encoded, and gives every sequence n_each slots, end to end, before the first
 * token. r outlives s. */
enum err_code t5_slots_begin(struct t5_slots *s, const struct t5_run *r, int n_each, struct err *e);

/* Reads token[] at `position` and leaves the decoder's output for it in w->out[1] [n, d_model]. The
 * caller moves position on. */
void t5_slots_step(struct t5_slots *s);

/* Slot `to` becomes what slot `from` is, its cache up to and with `position` included. */
void t5_slots_copy(struct t5_slots *s, int to, int from);

#endif
