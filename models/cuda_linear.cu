/* models/cuda_linear.cu: the frozen layers, one product for the whole cohort each. */
#include "models/cuda.cuh"

template <typename T>
void cuda_linear<T>::forward(struct backend *b, int n, int in, int out, void *y, size_t ld_y, const void *x,
                             size_t ld_x, const void *w, bool add)
{
    struct cuda_product p = {false, true, n, out, in, 1, x, ld_x, w, (size_t)in, add ? 1.0f : 0.0f, y, ld_y,
                             false};
    cuda_gemm(cuda_of(b), &p);
}

template <typename T>
void cuda_linear<T>::backward(struct backend *b, int n, int in, int out, void *dx, size_t ld_x,
                              const void *dy, size_t ld_y, const void *w, bool add)
{
    struct cuda_product p = {false, false, n,         in, out,  1, dy, ld_y, w, (size_t)in, add ? 1.0f : 0.0f,
                             dx,    ld_x,  false};
    cuda_gemm(cuda_of(b), &p);
}

template <typename T>
void cuda_linear<T>::backward_weight(struct backend *b, int n, int in, int out, float *dw, const void *dy,
                                     size_t ld_y, const void *x, size_t ld_x)
{
    struct cuda_product p = {true, false, out, in, n, 1, dy, ld_y, x, ld_x, 1, dw, (size_t)in, true};
    cuda_gemm(cuda_of(b), &p);
}

template struct cuda_linear<float>;
template struct cuda_linear<bf16>;
