/* models/lora.h: low-rank adapters (Hu et al. 2021): which matrices carry one, and one flat vector.
 *
 * An adapted matrix ("site") W [d_out, d_in] gets A [rank, d_in] and B [d_out, rank]:
 *   y = x W^T + (alpha / rank) dropout(x) A^T B^T
 * One adapter is one vector of lora_size values: for every site A, then B, both row-major. Sites
 * come encoder first, layers upward; within an encoder layer q k v o wi_0 wi_1 wo, within a decoder
 * layer q k v o of self-attention, q k v o of cross-attention, wi_0 wi_1 wo; matrices that are not
 * targets are left out. A target name covers self- and cross-attention alike, as PEFT's
 * target_modules do. */
#ifndef MODELS_LORA_H
#define MODELS_LORA_H

#include <stddef.h>
#include <stdint.h>

#include "models/t5_config.h"
#include "sim/base/err.h"

enum lora_target {
    LORA_Q = 1 << 0,
    LORA_K = 1 << 1,
    LORA_V = 1 << 2,
    LORA_O = 1 << 3,
    LORA_WI_0 = 1 << 4,
    LORA_WI_1 = 1 << 5,
    LORA_WO = 1 << 6,
    N_LORA_TARGETS = 7,
};

enum { LORA_MAX_RANK = 256 };

struct lora_spec {
    int rank;         /* 1 .. LORA_MAX_RANK */
    float alpha;      /* > 0; the branch is scaled by alpha / rank */
    float dropout;    /* on the branch's input while training, 0 .. <1 */
    unsigned targets; /* enum lora_target, or-ed; not 0 */
};

/* Linear maps of a layer that can carry an adapter; decoder layers have all, encoder layers lack
 * the C ones. */
enum lora_matrix {
    LORA_AT_Q,
    LORA_AT_K,
    LORA_AT_V,
    LORA_AT_O,
    LORA_AT_CQ,
    LORA_AT_CK,
    LORA_AT_CV,
    LORA_AT_CO,
    LORA_AT_WI_0,
    LORA_AT_WI_1,
    LORA_AT_WO,
    N_LORA_MATRICES
};

struct lora_site {
    int layer; /* 0 .. n_enc - 1 the encoder's, then n_enc + i the decoder's */
    enum lora_matrix matrix;
    int d_in, d_out;
    size_t a, b; /* where A and B begin in the flat vector */
};

struct lora_layout {
    struct lora_spec spec;
    int n_layers, n_sites;
    size_t size; /* values of one adapter */
    struct lora_site *site;
    int (*site_of)[N_LORA_MATRICES]; /* [n_layers]: index of a site, or -1 */
};

/* "q", "k", "v", "o", "wi_0", "wi_1", "wo": bit i of targets is name i. NULL terminated. */
const char *const *lora_target_names(void);

/* Checks rank, alpha, dropout and targets; the message names the field. */
enum err_code lora_check(const struct lora_spec *s, struct err *e);

/* Values of one adapter; s must have passed lora_check. */
size_t lora_size(const struct t5_config *c, const struct lora_spec *s);

/* The layout of one adapter; s must have passed lora_check. */
void lora_layout_init(struct lora_layout *l, const struct t5_config *c, const struct lora_spec *s);
void lora_layout_fini(struct lora_layout *l);

/* Initial values as PEFT's: A uniform in +-1/sqrt(d_in) (Kaiming with a = sqrt 5), B 0, so that the
 * branch begins as zero. A function of seed alone. adapter [l->size] */
void lora_init(const struct lora_layout *l, uint64_t seed, float *adapter);

/* The name PEFT gives a site's matrix, 'A' or 'B', such as
 * "base_model.model.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight". */
void lora_site_name(const struct lora_layout *l, const struct t5_config *c, int site, char which,
                    char *out, size_t n);

#endif
