/* models/cpu_softmax.h: what attention's softmax and the loss share. For kernels of models/cpu_*.c only. */
#ifndef MODELS_CPU_SOFTMAX_H
#define MODELS_CPU_SOFTMAX_H

#include <math.h>
#include <stddef.h>

#include "models/cpu_math.h"

/* x [n] to e^(x - top), top the largest of them (-infinity of none). Gives their sum. */
CPU_INLINE float cpu_exps(float *x, size_t n, float *largest)
{
    float top = -INFINITY, sum = 0;
#pragma omp simd reduction(max : top)
    for (size_t j = 0; j < n; j++)
        top = x[j] > top ? x[j] : top;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < n; j++) {
        x[j] = cpu_exp(x[j] - top);
        sum += x[j];
    }
    *largest = top;
    return sum;
}

#endif
