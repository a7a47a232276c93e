/* models/cpu_gemm_svd.h: the best approximation of a product by one of lower rank, in double, by
 * OpenBLAS's LAPACK on one thread. */
#ifndef MODELS_CPU_GEMM_SVD_H
#define MODELS_CPU_GEMM_SVD_H

#include "sim/base/err.h"

/* P = X Y^T with X [m, k], Y [n, k] and left [m, rank], right [n, rank], all column-major; rank >=
 * 1. P is approximated by left diag(s) right^T, s [rank] descending: the truncated singular value
 * decomposition, which is the nearest of that rank (Eckart and Young 1936). Columns of left and
 * right have length 1 and are orthogonal, also where s is 0; columns beyond min(m, n, k) are 0. Of
 * each right vector the element of largest size (the first of equals) is positive, so that the
 * result is one and not one of 2^rank. For k <= min(m, n) it goes through two QR factors and a
 * [k, k] core, else through P itself. X and Y are finite; they are overwritten. ERR_MEMORY with the
 * size. */
enum err_code cpu_low_rank(int m, int n, int k, double *x, double *y, int rank, double *left,
                           double *s, double *right, struct err *e);

#endif
