/* models/pretrain_state.h: the checkpoint of a pretraining run (private to pretrain*.c). It belongs
 * to the machine that wrote it (native byte order) and ends with a checksum of all before. */
#ifndef MODELS_PRETRAIN_STATE_H
#define MODELS_PRETRAIN_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "models/pretrain.h"
#include "sim/base/hash.h"
#include "sim/base/mem.h"

struct pretrain_state {
    struct hash128 spec;    /* of everything that can change a result */
    int step, n_steps;      /* steps taken, and planned */
    double *loss;           /* [n_steps] of each step taken */
    int32_t *n_tokens;      /* [n_steps] */
    size_t n;               /* values of each vector below */
    float *weights, *m, *v; /* to be filled before save; filled by load */
    struct arena arena;
    void *vectors;
};

enum err_code pretrain_state_init(struct pretrain_state *st, const struct pretrain_spec *s,
                                  struct hash128 vocabulary, size_t n, struct err *e);
void pretrain_state_fini(struct pretrain_state *st);

/* One more step. */
void pretrain_state_add(struct pretrain_state *st, double loss, int n_tokens);

enum err_code pretrain_state_save(const struct pretrain_state *st, const char *folder,
                                  struct err *e);
/* ERR_INPUT: none there, damaged, or of a run with other settings. */
enum err_code pretrain_state_load(struct pretrain_state *st, const char *folder, struct err *e);
enum err_code pretrain_state_remove(const char *folder, struct err *e);

#endif
