/* models/cuda_lora.cuh: adapters on CUDA, as two kernels written once per type of values.
 *
 * The branch of one linear layer, y += scale * h B^T with h = xd A^T, and its gradients
 *   gh = scale * dy B    dx += mask * (gh A)    da += gh^T xd    db += scale * dy^T h
 * are two forms, because forward and the upper half of backward are one computation with A and B exchanged:
 *   pass:  mid = mid_scale * (mask * in) P^T    out += out_scale * mask * (mid Q^T)
 *   sums:  grad += factor * (mask * v)^T mid, over the rows of each member
 * with the mask on one side or on neither. xd is never stored. Drawing masks costs as much time as reading x,
 * so the bf16 kernels of backward draw each once and leave it, a bit per value, in the room meant for xd.
 *
 * cuda_lora.cu fills the structs below; cuda_lora_float.cu, cuda_lora_bf16.cu and cuda_lora_rank16*.cu hold
 * the kernels. */
#ifndef MODELS_CUDA_LORA_CUH
#define MODELS_CUDA_LORA_CUH

#include "models/cuda.cuh"

/* Rows from .. from + n - 1, all of one member, n at least 1. */
struct lora_tile {
    int32_t member, from, n;
};

/* Where the element (rank, column) of an adapter's matrix lies: at[rank * by_rank + col * by_col]. A is
 * [rank, d_in], B [d_out, rank]. Member m's begins m * stride further. */
struct lora_matrix_at {
    const float *at;
    size_t by_rank, by_col;
};

template <typename T> struct lora_pass {
    const struct lora_tile *tile; /* device */
    int n_tiles, tile_rows;       /* no tile has more rows */
    int rank, d_in, d_out;
    size_t stride;
    const T *in;
    size_t ld_in;
    struct lora_matrix_at p; /* [rank, d_in] */
    float mid_scale;
    float *mid;              /* [n, rank] */
    struct lora_matrix_at q; /* [rank, d_out] */
    float out_scale;
    T *out; /* NULL: only mid is wanted */
    size_t ld_out;
    struct cuda_drop drop_in, drop_out;
    /* bf16, or NULL: where out's mask is left for the sums, [n, d_out / 8], bit i of byte j for column
     * 8 j + i. */
    uint8_t *kept_out;
};

/* grad (rank, col) += factor * sum of mask * v (row, col) * mid (row, rank). */
template <typename T> struct lora_side {
    int d;
    const T *v; /* [n, d] */
    size_t ld;
    const float *mid; /* [n, rank] */
    float *grad;
    size_t by_rank, by_col;
    float factor;
    struct cuda_drop drop;
    const uint8_t *kept; /* bf16: v's mask as the pass has left it, or NULL: it is drawn again */
};

/* da is side 0, db is side 1. */
template <typename T> struct lora_sums {
    const int32_t *member_row; /* device, n_members + 1 */
    int n_members, rank;
    size_t stride;
    struct lora_side<T> side[2];
};

/* How many rows a tile of this pass should have when there are n rows; tiles are not looked at. */
int cuda_lora_tile_rows(const struct cuda *c, const struct lora_pass<float> &p, int n);
int cuda_lora_tile_rows(const struct cuda *c, const struct lora_pass<bf16> &p, int n);

void cuda_lora_pass(struct cuda *c, const struct lora_pass<float> &p);
void cuda_lora_pass(struct cuda *c, const struct lora_pass<bf16> &p);
void cuda_lora_sums(struct cuda *c, const struct lora_sums<float> &s);
void cuda_lora_sums(struct cuda *c, const struct lora_sums<bf16> &s);

#endif
