#include <errno.h>
#include <map>
#include <mutex>
#include <sanitizer/asan_interface.h>
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

/* Devices are process-wide things: their memory and last errors are state of the process. */
namespace
{
enum { MAX_DEVICES = 8 };

struct block {
    size_t n_bytes;
    int device;
};

struct devices {
    std::mutex turn; /* whose it is to work */
    std::mutex lock; /* of what follows */
    std::map<uintptr_t, block> blocks; /* live, by address */
    size_t n_bytes[MAX_DEVICES] = {};
};

const size_t TOTAL_BYTES = (size_t)8 << 30, SHARED_BYTES = 227 * 1024;
const int VERSION = 12040;

devices &all(void)
{
    static devices *d = new devices;
    return *d;
}

/* Each thread has one. */
int &device_now(void)
{
    static thread_local int device = 0;
    return device;
}

cudaError_t &last_error(void)
{
    static thread_local cudaError_t code = cudaSuccess;
    return code;
}

bool is_device(const void *p, size_t n_bytes)
{
    devices &d = all();
    std::lock_guard<std::mutex> guard(d.lock);
    auto after = d.blocks.upper_bound((uintptr_t)p);
    if (after == d.blocks.begin())
        return false;
    --after;
    return (uintptr_t)p + n_bytes <= after->first + after->second.n_bytes;
}

int n_devices(void)
{
    const char *text = getenv("CUDA_EMU_DEVICES");
    int n = text ? atoi(text) : 1;
    return n < 0 ? 0 : n > MAX_DEVICES ? (int)MAX_DEVICES : n;
}

/* What other devices hold. */
void hide(bool is_hidden)
{
    devices &d = all();
    std::lock_guard<std::mutex> guard(d.lock);
    for (auto &at : d.blocks)
        if (at.second.device != device_now() && is_hidden)
            __asan_poison_memory_region((void *)at.first, at.second.n_bytes);
        else
            __asan_unpoison_memory_region((void *)at.first, at.second.n_bytes);
}
} // namespace

cuda_emu_turn::cuda_emu_turn(bool is_kernel) : hides(is_kernel && n_devices() > 1)
{
    all().turn.lock();
    if (hides)
        hide(true);
}

cuda_emu_turn::~cuda_emu_turn()
{
    if (hides)
        hide(false);
    all().turn.unlock();
}

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
    if (device < 0 || device >= n_devices())
        return cuda_emu_error(cudaErrorInvalidDevice);
    device_now() = device;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = device_now();
    return cuda_emu_error(n_devices() ? cudaSuccess : cudaErrorNoDevice);
}

/* Few processors, so that kernels whose grid follows their number go round more than once. */
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    if (device < 0 || device >= n_devices())
        return cuda_emu_error(cudaErrorInvalidDevice);
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
    devices &d = all();
    std::lock_guard<std::mutex> guard(d.lock);
    *total_bytes = TOTAL_BYTES;
    *free_bytes = TOTAL_BYTES - d.n_bytes[device_now()];
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
    devices &d = all();
    cuda_emu_turn turn(false);
    std::lock_guard<std::mutex> guard(d.lock);
    int here = device_now();
    void *p = nullptr;
    if (n_bytes == 0) {
        *out = nullptr;
        return cudaSuccess;
    }
    if (n_bytes > TOTAL_BYTES - d.n_bytes[here] || posix_memalign(&p, 256, n_bytes))
        return cuda_emu_error(cudaErrorMemoryAllocation);
    memset(p, 0xff, n_bytes);
    d.blocks[(uintptr_t)p] = {n_bytes, here};
    d.n_bytes[here] += n_bytes;
    *out = p;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    devices &d = all();
    cuda_emu_turn turn(false);
    std::lock_guard<std::mutex> guard(d.lock);
    auto at = d.blocks.find((uintptr_t)p);
    if (!p)
        return cudaSuccess;
    if (at == d.blocks.end())
        return cuda_emu_error(cudaErrorInvalidValue);
    d.n_bytes[at->second.device] -= at->second.n_bytes;
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
    cuda_emu_turn turn(false);
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
    cuda_emu_turn turn(false);
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
