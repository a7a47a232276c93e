/* models/pack.h: sequences of all members of a cohort, end to end, without padding.
 *
 * A pack lies in host memory and is filled again for every pass: pack_clear, then for each member
 * pack_member and its sequences by pack_add, then pack_finish. Capacity is fixed at open. Members
 * stand in order and may be empty. Input rows feed the encoder, target rows the decoder: row j of a
 * target sees start_id (j = 0) or target[j - 1] and must say target[j]. */
#ifndef MODELS_PACK_H
#define MODELS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

struct pack_side {
    int n_rows;
    int max_len;             /* of the longest sequence */
    int32_t *start, *len;    /* [max_seqs] rows of each sequence */
    int32_t *member_row;     /* [max_members + 1] first row of each member, and the end */
    int32_t *id;             /* [max_rows] token each row sees */
    uint32_t *owner, *index; /* [max_rows] client, and row number within the client's mini-batch */
};

struct pack {
    int max_members, max_seqs;
    size_t max_in, max_out; /* rows */
    int n_members, n_seqs;
    struct pack_side in, out;
    int32_t *label;   /* [max_out] token each target row must say */
    float *row_scale; /* [max_out] 1 / target tokens of the row's member: the loss of a member is a
                         mean */
    int32_t *member_seq; /* [max_members + 1] first sequence of each member, and the end */
    int start_id;
    uint32_t client; /* of the member that is being filled */
};

/* max_out may be 0 (encoder and generation only). ERR_MEMORY / ERR_LIMIT with the size. */
enum err_code pack_open(struct pack **out, int max_members, int max_seqs, size_t max_in,
                        size_t max_out, struct err *e);
void pack_close(struct pack *p); /* NULL is fine */

void pack_clear(struct pack *p, int start_id);
/* The sequences that follow belong to this client. */
void pack_member(struct pack *p, uint32_t client);
/* n_input >= 1; n_target >= 0. False when it does not fit; nothing is added then. */
bool pack_add(struct pack *p, const int32_t *input, int n_input, const int32_t *target,
              int n_target);
/* Fills row_scale and the last ends. */
void pack_finish(struct pack *p);

#endif
