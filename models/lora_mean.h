/* models/lora_mean.h: the mean of adapters as matrices: of the products B A, not of the factors.
 *
 * The mean of A and the mean of B, which everybody takes, multiply to something else than the mean
 * of B A: (B1 + B2)(A1 + A2) / 4 holds the cross terms B1 A2. Here, for every site,
 *   M = (sum_i w_i B_i A_i) / (sum_i w_i)
 * is formed exactly (in double) and then factorised anew: its truncated singular value
 * decomposition U S V^T of the adapter's rank is the nearest there is (the mean of K adapters has
 * rank up to K times theirs, so something is lost unless they agree). Row j of A is
 * c_j v_j, column j of B is u_j s_j / c_j, with c_j = max(sqrt(s_j), 1/sqrt(3)). sqrt(s_j) balances
 * the two (with a fixed c the gradient of A grows with B until training diverges: measured at
 * client_lr 1); 1/sqrt(3) is the length of a row of A as PEFT draws it, so that the gradient of B
 * stays what it was at the start while s_j is small, and a direction that M lacks (s_j = 0) keeps
 * its row of A and can be learned again. */
#ifndef MODELS_LORA_MEAN_H
#define MODELS_LORA_MEAN_H

#include <stddef.h>

#include "models/lora.h"

/* out [l->size] of n >= 1 adapters with weights above 0, in this order. An adapter that is not
 * finite makes its sites NaN, as it does in any mean. ERR_MEMORY with the size: K (d_in + d_out)
 * rank doubles for the largest site. */
enum err_code lora_mean_products(const struct lora_layout *l, size_t n, const float *const *adapter,
                                 const double *weight, double *out, struct err *e);

#endif
