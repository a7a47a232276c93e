#include <errno.h>
#include <map>
#include <mutex>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/cuda_emu/cuda_emu.h"

struct cuda_emu_stream {
    int n_waits;
};

struct cuda_emu_event {
    bool is_recorded;
    struct timespec at;
};

/* A device is a process-wide thing: its memory and its last error are state of the process. */
namespace
{
struct device {
    std::mutex lock;
    std::map<uintptr_t, size_t> blocks; /* live, by address */
    size_t n_bytes = 0;
};

const size_t TOTAL_BYTES = (size_t)8 << 30, SHARED_BYTES = 227 * 1024;
const int VERSION = 12040;

device &the_device(void)
{
    static device *d = new device;
    return *d;
}

cudaError_t &last_error(void)
{
    static thread_local cudaError_t code = cudaSuccess;
    return code;
}

bool is_device(const void *p, size_t n_bytes)
{
    device &d = the_device();
    std::lock_guard<std::mutex> guard(d.lock);
    auto after = d.blocks.upper_bound((uintptr_t)p);
    if (after == d.blocks.begin())
        return false;
    --after;
    return (uintptr_t)p + n_bytes <= after->first + after->second;
}

int n_devices(void)
{
    const char *n = getenv("CUDA_EMU_DEVICES");
    return n && strcmp(n, "0") == 0 ? 0 : 1;
}
} // namespace

cudaError_t cuda_emu_error(cudaError_t code)
{
    if (code)
        last_error() = code;
    return code;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t code = last_error();
    last_error() = cudaSuccess;
    return code;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error();
}

const char *cudaGetErrorString(cudaError_t code)
{
    switch (code) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    default:
        return "device not ready";
    }
}

const char *cudaGetErrorName(cudaError_t code)
{
    switch (code) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorInvalidValue:
        return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
        return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
        return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
        return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
        return "cudaErrorInvalidDevice";
    default:
        return "cudaErrorNotReady";
    }
}

/* --- the device --- */

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = n_devices();
    return cuda_emu_error(*n ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device)
{
    return cuda_emu_error(device >= 0 && device < n_devices() ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cuda_emu_error(n_devices() ? cudaSuccess : cudaErrorNoDevice);
}

/* Few processors, so that kernels whose grid follows their number go round more than once. */
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    if (cudaSetDevice(device))
        return cudaErrorInvalidDevice;
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "emulated");
    p->totalGlobalMem = TOTAL_BYTES;
    p->sharedMemPerBlock = 48 * 1024;
    p->sharedMemPerBlockOptin = SHARED_BYTES;
    p->sharedMemPerMultiprocessor = SHARED_BYTES + 1024;
    p->major = 9;
    p->multiProcessorCount = 3;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->clockRate = 1000000;
    p->memoryClockRate = 1000000;
    p->memoryBusWidth = 1024;
    p->l2CacheSize = 1 << 20;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device)
{
    cudaDeviceProp p;
    cudaError_t code = cudaGetDeviceProperties(&p, device);
    if (code)
        return code;
    switch (what) {
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)p.sharedMemPerBlockOptin;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
    default:
        return cuda_emu_error(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = n_devices() ? VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    device &d = the_device();
    std::lock_guard<std::mutex> guard(d.lock);
    *total_bytes = TOTAL_BYTES;
    *free_bytes = TOTAL_BYTES - d.n_bytes;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    return cudaSuccess;
}

cudaError_t cuda_emu_func_attribute(cudaFuncAttribute what, int value)
{
    bool is_too_large = what == cudaFuncAttributeMaxDynamicSharedMemorySize && (size_t)value > SHARED_BYTES;
    return cuda_emu_error(value < 0 || is_too_large ? cudaErrorInvalidValue : cudaSuccess);
}

/* --- memory --- */

cudaError_t cuda_emu_malloc(void **out, size_t n_bytes)
{
    device &d = the_device();
    std::lock_guard<std::mutex> guard(d.lock);
    void *p = nullptr;
    if (n_bytes == 0) {
        *out = nullptr;
        return cudaSuccess;
    }
    if (n_bytes > TOTAL_BYTES - d.n_bytes || posix_memalign(&p, 256, n_bytes))
        return cuda_emu_error(cudaErrorMemoryAllocation);
    memset(p, 0xff, n_bytes);
    d.blocks[(uintptr_t)p] = n_bytes;
    d.n_bytes += n_bytes;
    *out = p;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    device &d = the_device();
    std::lock_guard<std::mutex> guard(d.lock);
    auto at = d.blocks.find((uintptr_t)p);
    if (!p)
        return cudaSuccess;
    if (at == d.blocks.end())
        return cuda_emu_error(cudaErrorInvalidValue);
    d.n_bytes -= at->second;
    d.blocks.erase(at);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t)
{
    return cudaFree(p);
}

cudaError_t cuda_emu_malloc_host(void **out, size_t n_bytes)
{
    if (posix_memalign(out, 256, n_bytes))
        return cuda_emu_error(cudaErrorMemoryAllocation);
    memset(*out, 0xff, n_bytes);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind, cudaStream_t)
{
    bool is_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    bool is_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    if (n_bytes == 0)
        return cudaSuccess;
    if (kind != cudaMemcpyDefault && (is_device(to, n_bytes) != is_to || is_device(from, n_bytes) != is_from))
        return cuda_emu_error(cudaErrorInvalidValue);
    memcpy(to, from, n_bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind)
{
    return cudaMemcpyAsync(to, from, n_bytes, kind, nullptr);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t s)
{
    cudaError_t code = width > to_pitch || width > from_pitch ? cuda_emu_error(cudaErrorInvalidValue)
                                                              : cudaSuccess;
    for (size_t i = 0; i < height && !code; i++)
        code = cudaMemcpyAsync(static_cast<char *>(to) + i * to_pitch,
                               static_cast<const char *>(from) + i * from_pitch, width, kind, s);
    return code;
}

cudaError_t cudaMemsetAsync(void *p, int byte, size_t n_bytes, cudaStream_t)
{
    if (n_bytes == 0)
        return cudaSuccess;
    if (!is_device(p, n_bytes))
        return cuda_emu_error(cudaErrorInvalidValue);
    memset(p, byte, n_bytes);
    return cudaSuccess;
}

cudaError_t cudaMemset(void *p, int byte, size_t n_bytes)
{
    return cudaMemsetAsync(p, byte, n_bytes, nullptr);
}

/* --- streams and events --- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = new cuda_emu_stream();
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *s)
{
    return cudaStreamCreateWithFlags(s, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    if (!e)
        return cuda_emu_error(cudaErrorInvalidValue);
    if (s)
        s->n_waits++;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = new cuda_emu_event();
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    return cudaEventCreateWithFlags(e, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
    e->is_recorded = true;
    clock_gettime(CLOCK_MONOTONIC, &e->at);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (!from->is_recorded || !to->is_recorded)
        return cuda_emu_error(cudaErrorInvalidValue);
    double s = (double)(to->at.tv_sec - from->at.tv_sec);
    *ms = (float)(1e3 * s + 1e-6 * (double)(to->at.tv_nsec - from->at.tv_nsec));
    return cudaSuccess;
}
