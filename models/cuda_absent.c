#include "models/cuda.h"

/* Nothing but these is ever called: open never gives a backend. */
static int no_devices(void)
{
    return 0;
}

static enum err_code open_absent(struct backend **out, int device, int n_threads, struct err *e)
{
    (void)out;
    (void)device;
    (void)n_threads;
    return err_set(e, ERR_DEVICE,
                   "this build has no CUDA backend: it takes nvcc of CUDA 12 or newer and "
                   "cmake --preset release -DVERYEDGE_CUDA=ON");
}

const struct backend_ops cuda_backend = {
    .name = "cuda", .precision = "float32", .value_bytes = 4, .n_devices = no_devices, .open = open_absent};
const struct backend_ops cuda_bf16_backend = {
    .name = "cuda", .precision = "bf16", .value_bytes = 2, .n_devices = no_devices, .open = open_absent};
