/* models/t5_work.h: the memory of a pass and the steps its two directions share; for t5_*.c only.
 *
 * n in rows of the encoder, m in rows of the decoder (target tokens), r = max of both and of
 * max_seqs. Norm outputs and feed-forward products are not kept for backward: it makes them again
 * from what is. */
#ifndef MODELS_T5_WORK_H
#define MODELS_T5_WORK_H

#include <stdbool.h>

#include "models/t5_model.h"

/* A pack's side in backend memory, and its host tables. */
struct t5_side {
    int n, n_seqs, n_members;
    const int32_t *start, *len, *member_row; /* host, the pack's */
    int32_t all_rows[2];                     /* 0, n: one adapter for all members */
    int32_t *id;                             /* [rows] */
    uint32_t *owner, *index;                 /* [rows] */
};

/* What forward keeps of one layer for backward. In T5_INFER all layers share one of these, except
 * for the keys and values that decoding needs. */
struct t5_kept {
    float *x, *x_cross, *x_ff; /* [rows, d] residual stream before each part */
    float *rstd_self, *rstd_cross, *rstd_ff;
    void *qkv, *o, *cq, *ckv, *co; /* values: [rows, 3 inner], [rows, inner], [m, inner], [n, 2 inner],
                                      [m, inner] */
    void *gu;                      /* values [rows, 2 d_ff] */
    float *lse, *clse;             /* [rows, heads], [m, heads] */
    uint32_t *keep, *ckeep; /* [rows, heads, the backend's keep_words] each, or NULL */
    size_t n_keep;          /* words of each */
    float *h[N_LORA_MATRICES];   /* [rows, rank] of sites, else NULL */
};

struct t5_work {
    struct arena arena; /* owns this struct and its tables */
    const struct t5 *model;
    const struct backend_ops *ops;
    struct backend *b;
    enum t5_mode mode;
    const struct lora_layout *lora;
    struct t5_limits limits;
    void *block; /* all backend memory of the work */
    size_t n_bytes, n_scratch; /* of it, and what operations take for themselves */

    struct t5_side side[2]; /* encoder, decoder */
    const struct pack *encoded; /* by t5_score, its encoder output in out[0], with which adapters; NULL: nothing */
    const float *encoded_with;
    int32_t *label;
    float *row_scale, *nll;
    struct t5_kept *kept; /* [n_enc + n_dec] */
    float *x_end[2], *rstd_end[2]; /* last residual stream, its norm's rstd */
    void *out[2];                  /* values: a stack's output */

    /* scratch; wide: max(2 d_ff, 3 inner), inside: max(d_ff, inner) */
    void *norm, *branch, *inside, *xd; /* values [r, d], [r, d], [r, inside], [r, max(d, inside)] */
    float *dx[2];                      /* [n, d], [m, d]; gradients of residual streams */
    void *d_enc_out;                   /* values [n, d]; gradient of the encoder's output */
    void *d_norm, *d_inside, *d_wide;  /* values [r, d], [r, inside], [r, wide] */
    float *gh;                         /* [r, rank] */
    float *dw;                         /* T5_FULL: [n_flat] */
    /* decoding; slots: max_seqs * max_beams, top: 1, or 2 max_beams */
    int max_slots;
    void *cache;   /* values [n_dec][slots][max_new][3 inner] */
    bool is_absorbed; /* cross-attention on the encoder's output itself, without keys and values */
    void *cross_w;    /* then, where an adapter may be on them: values [n_dec][2 inner, d], its k and v merged */
    void *screen;  /* of the head, where the backend has one and decoding is greedy */
    int32_t *best; /* [slots * top] */
    float *logp;   /* [slots * top] with beams */
    float *host_nll;                        /* [max_out] */
    int32_t *host_ids;                      /* [9 * slots], tables of decoding */
};

/* A pass with everything a step needs to know. */
struct t5_run {
    struct t5_work *w;
    const struct t5_pass *pass;
    bool is_training;  /* dropout on */
    float *d_adapters; /* NULL: none */
};

/* Dropout sites of a layer; the LoRA branches follow from SITE_LORA on, by matrix. */
enum t5_site {
    SITE_ATTN,
    SITE_ATTN_OUT,
    SITE_CROSS,
    SITE_CROSS_OUT,
    SITE_FF,
    SITE_FF_OUT,
    SITE_LORA,
    SITES_PER_LAYER = SITE_LORA + N_LORA_MATRICES
};
/* ... and of a stack. */
enum t5_stack_site { SITE_EMBED, SITE_END, SITES_PER_STACK };

/* Layer l of 0 .. n_enc + n_dec - 1 (encoder first). rate: of the model, or of the adapters. */
struct dropout t5_drop(const struct t5_run *r, int layer, int site, const struct t5_side *rows);
struct dropout t5_drop_stack(const struct t5_run *r, int stack, int site);

/* The branch of one site, if the pass has adapters and the layer has that site. */
void t5_adapt(const struct t5_run *r, int layer, enum lora_matrix m, const struct t5_side *rows,
              void *y, size_t ld_y, const void *x, size_t ld_x);
/* to = w and what the pass's adapter (stride 0) adds to it, both as the matrix lies */
void t5_merge_site(const struct t5_run *r, int layer, enum lora_matrix m, void *to, const void *w);
/* Its backward; dx NULL: not wanted. */
void t5_adapt_backward(const struct t5_run *r, int layer, enum lora_matrix m,
                       const struct t5_side *rows, void *dx, const void *dy, size_t ld_y,
                       const void *x, size_t ld_x);
/* Whether the pass has an adapter there; whether its backward needs the matrix's input. */
bool t5_has_site(const struct t5_run *r, int layer, enum lora_matrix m);
bool t5_is_trained(const struct t5_run *r, int layer, enum lora_matrix m);

/* Copies a pack into backend memory. ERR_LIMIT when it is larger than planned. */
enum err_code t5_upload(struct t5_work *w, const struct pack *p, struct err *e);

/* Forward of both stacks; their results in out[0], out[1]. */
void t5_encode(const struct t5_run *r);
void t5_decode(const struct t5_run *r);
/* The norms of a layer, whose result is w->norm, and of a stack, out[stack]. */
struct norm_args t5_norm_self(const struct t5_work *w, int layer);
struct norm_args t5_norm_cross(const struct t5_work *w, int layer);
struct norm_args t5_norm_ff(const struct t5_work *w, int layer);
struct norm_args t5_norm_end(const struct t5_work *w, int stack);
/* Parts of a layer that single-token decoding shares with t5_decode. The input is what is kept of the layer
 * and its norm, in w->norm; next receives the residual stream after the part (in T5_INFER it may be the
 * input itself), and the norm that comes behind it is left where it belongs: in w->norm for the next part, in
 * out[stack] after the last layer. */
void t5_self_keys(const struct t5_run *r, int layer, const struct t5_side *rows, void *qkv,
                  size_t ld);
void t5_cross_keys(const struct t5_run *r, int layer);
void t5_cross_query(const struct t5_run *r, int layer, const struct t5_side *rows);
void t5_attention_out(const struct t5_run *r, int layer, bool is_cross, const struct t5_side *rows,
                      float *next);
void t5_feed_forward(const struct t5_run *r, int layer, const struct t5_side *rows, float *next);
/* Attention of a layer over whole sequences; backward adds its own pointers. */
struct attn_args t5_self_args(const struct t5_run *r, int layer);
struct attn_args t5_cross_args(const struct t5_run *r, int layer);

/* From the gradient of out[1], in d_norm, down to everything that is trained. */
void t5_backward(const struct t5_run *r);

/* Element `at` of an array of values. */
static inline void *t5_at(const struct t5_work *w, void *values, size_t at)
{
    return (unsigned char *)values + at * w->ops->value_bytes;
}

/* A weight of a product by its offset. */
static inline const void *t5_wv(const struct t5_work *w, size_t at)
{
    return t5_at(w, w->model->values, at);
}

/* A float32 weight by its offset; the gradient in T5_FULL, else NULL. */
static inline const float *t5_w(const struct t5_work *w, size_t at)
{
    return w->model->w + at;
}

static inline float *t5_dw(const struct t5_work *w, size_t at)
{
    return w->dw ? w->dw + at : NULL;
}

static inline const struct t5_layer_at *t5_layer(const struct t5_work *w, int layer)
{
    const struct t5_stack_at *s = w->model->stack;
    return layer < s[0].n_layers ? &s[0].layer[layer] : &s[1].layer[layer - s[0].n_layers];
}

#endif
