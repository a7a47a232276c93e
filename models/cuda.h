/* models/cuda.h: the backends for NVIDIA GPUs, models/cuda*.cu; models/cuda_absent.c stands in for them in a
 * build without nvcc. */
#ifndef MODELS_CUDA_H
#define MODELS_CUDA_H

#include "models/backend.h"

extern const struct backend_ops cuda_backend;      /* float32, TF32 off */
extern const struct backend_ops cuda_bf16_backend; /* values bfloat16, sums float32 */

#endif
