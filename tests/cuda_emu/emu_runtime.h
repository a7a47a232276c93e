/* tests/cuda_emu/emu_runtime.h: the calls of CUDA's runtime that the backend uses. Everything is done when
 * the call returns. Copies and fills check that device memory is what they were told it is. */
#ifndef TESTS_CUDA_EMU_EMU_RUNTIME_H
#define TESTS_CUDA_EMU_EMU_RUNTIME_H

#include <stddef.h>

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNotReady = 600
};
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};
enum cudaDeviceAttr {
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76
};
enum { cudaEventDefault, cudaEventBlockingSync, cudaEventDisableTiming };
enum { cudaStreamDefault, cudaStreamNonBlocking };
enum { cudaHostAllocDefault };

typedef struct cuda_emu_stream *cudaStream_t;
typedef struct cuda_emu_event *cudaEvent_t;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
    int major, minor, multiProcessorCount, warpSize, maxThreadsPerBlock, clockRate, memoryClockRate;
    int memoryBusWidth, l2CacheSize, pciBusID, pciDeviceID, pciDomainID;
};

cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorString(cudaError_t code);
const char *cudaGetErrorName(cudaError_t code);

/* As many devices as CUDA_EMU_DEVICES says in the environment, 0 to 8; without it one. Memory belongs to the device
 * that was the thread's when it was allocated, and kernels see no other device's. */
cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaDeviceSynchronize(void);

cudaError_t cuda_emu_malloc(void **out, size_t n_bytes);
cudaError_t cuda_emu_malloc_host(void **out, size_t n_bytes);
template <typename T> cudaError_t cudaMalloc(T **out, size_t n_bytes)
{
    return cuda_emu_malloc(reinterpret_cast<void **>(out), n_bytes);
}
template <typename T> cudaError_t cudaMallocHost(T **out, size_t n_bytes, unsigned = 0)
{
    return cuda_emu_malloc_host(reinterpret_cast<void **>(out), n_bytes);
}
template <typename T> cudaError_t cudaHostAlloc(T **out, size_t n_bytes, unsigned)
{
    return cuda_emu_malloc_host(reinterpret_cast<void **>(out), n_bytes);
}
template <typename T> cudaError_t cudaMallocAsync(T **out, size_t n_bytes, cudaStream_t)
{
    return cuda_emu_malloc(reinterpret_cast<void **>(out), n_bytes);
}
cudaError_t cudaFree(void *p);
cudaError_t cudaFreeAsync(void *p, cudaStream_t s);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpy(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind,
                            cudaStream_t s = nullptr);
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t s = nullptr);
cudaError_t cudaMemset(void *p, int byte, size_t n_bytes);
cudaError_t cudaMemsetAsync(void *p, int byte, size_t n_bytes, cudaStream_t s = nullptr);

cudaError_t cudaStreamCreate(cudaStream_t *s);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamQuery(cudaStream_t s);
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t *e);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaEventQuery(cudaEvent_t e);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);

/* Limits of sm_80 and newer: 227 KiB of shared memory for a block. */
cudaError_t cuda_emu_func_attribute(cudaFuncAttribute what, int value);
template <typename T> cudaError_t cudaFuncSetAttribute(T *, cudaFuncAttribute what, int value)
{
    return cuda_emu_func_attribute(what, value);
}

/* The machine, for as long as this lives: one thread at a time works on it. is_kernel: the memory of all devices but
 * this thread's is poisoned meanwhile. */
struct cuda_emu_turn {
    explicit cuda_emu_turn(bool is_kernel);
    ~cuda_emu_turn();
    cuda_emu_turn(const cuda_emu_turn &) = delete;
    cuda_emu_turn &operator=(const cuda_emu_turn &) = delete;
    bool hides;
};

/* What cudaGetLastError will give; returns it. */
cudaError_t cuda_emu_error(cudaError_t code);

#endif
