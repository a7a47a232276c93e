/* The emulation itself: small kernels whose results are known, and faults that must be found. A fault ends
 * the process, so it runs in a child whose last words are read. */
#include <sys/wait.h>

#include "tests/test.h"

struct bench {
    struct {
        int code;
    } failure;
    cudaError_t last;
};

static bool cuda_check(struct bench *b, cudaError_t code, const char *)
{
    b->last = code;
    b->failure.code = code != cudaSuccess;
    return code == cudaSuccess;
}

/* Device memory with numbers in it. */
template <typename T> static T *device(size_t n)
{
    T *p = nullptr;
    CHECK_INT(cudaMalloc(&p, n * sizeof(T)), cudaSuccess);
    return p;
}

/* --- what a kernel computes --- */

/* out[block] = the sum of the block's numbers: by shuffles, then by shared memory. */
__global__ static void sum_kernel(float *out, const float *x, int n)
{
    cuda_begin();
    __shared__ float part[32];
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    float sum = i < n ? x[i] : 0;
    for (int by = 16; by > 0; by /= 2)
        sum += __shfl_down_sync(0xffffffffu, sum, (unsigned)by);
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : 0;
        for (int by = 16; by > 0; by /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, by);
        if (threadIdx.x == 0)
            out[blockIdx.x] = sum;
    }
}

static void sums_over_shuffles_and_shared_memory(void)
{
    enum { N = 3000, BLOCK = 256, BLOCKS = (N + BLOCK - 1) / BLOCK };
    struct bench b = {};
    float *x = device<float>(N), *out = device<float>(BLOCKS);
    for (int i = 0; i < N; i++)
        x[i] = (float)(i % 11 - 3);
    CUDA_LAUNCH(&b, BLOCKS, BLOCK, 0, sum_kernel, out, x, N);
    CHECK_INT(b.last, cudaSuccess);
    for (int block = 0; block < BLOCKS; block++) {
        float want = 0;
        for (int i = block * BLOCK; i < N && i < (block + 1) * BLOCK; i++)
            want += x[i];
        CHECK_NEAR((double)out[block], (double)want, 0);
    }
    cudaFree(x);
    cudaFree(out);
}

/* Each lane says what each kind of shuffle and vote gave it; width 8. */
enum { SAYINGS = 9 };
__global__ static void shuffle_kernel(int *out)
{
    cuda_begin();
    int lane = (int)threadIdx.x, *mine = out + lane * SAYINGS;
    mine[0] = __shfl_sync(0xffffffffu, lane, 35);
    mine[1] = __shfl_sync(0xffffffffu, lane, 3, 8);
    mine[2] = __shfl_up_sync(0xffffffffu, lane, 3, 8);
    mine[3] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
    mine[4] = __shfl_xor_sync(0xffffffffu, lane, 5);
    mine[5] = (int)__ballot_sync(0xffffffffu, lane % 3 == 0);
    mine[6] = __any_sync(0xffffffffu, lane == 31) + 2 * __all_sync(0xffffffffu, lane >= 0);
    unsigned half = lane < 16 ? 0xffffu : 0xffff0000u;
    mine[7] = (int)__reduce_add_sync(half, (unsigned)lane);
    mine[8] = lane % 2 ? __shfl_xor_sync(0xaaaaaaaau, lane, 2) : -1; /* half of the warp elsewhere */
}

static void shuffles_and_votes_of_every_kind(void)
{
    struct bench b = {};
    int *out = device<int>(32 * SAYINGS);
    unsigned thirds = 0;
    for (int lane = 0; lane < 32; lane += 3)
        thirds |= 1u << lane;
    CUDA_LAUNCH(&b, 1, 32, 0, shuffle_kernel, out);
    for (int lane = 0; lane < 32; lane++) {
        const int *got = out + lane * SAYINGS, at = lane % 8, first = lane - at;
        const int want[SAYINGS] = {3, first + 3, at < 3 ? lane : lane - 3, at > 4 ? lane : lane + 3, lane ^ 5,
                                   (int)thirds, 3, lane < 16 ? 120 : 376, lane % 2 ? lane ^ 2 : -1};
        for (int i = 0; i < SAYINGS; i++)
            CHECK_INT(got[i], want[i]);
    }
    cudaFree(out);
}

/* A tile of TILE x TILE through dynamic shared memory; blocks of TILE x 4 threads. */
enum { TILE = 16 };
template <typename T> __global__ static void transpose_kernel(T *to, const T *from, int rows, int cols)
{
    cuda_begin();
    CUDA_SHARED(T, tile);
    int col = (int)(blockIdx.x * TILE + threadIdx.x), row0 = (int)blockIdx.y * TILE;
    for (int i = (int)threadIdx.y; i < TILE; i += (int)blockDim.y)
        if (row0 + i < rows && col < cols)
            tile[i * (TILE + 1) + (int)threadIdx.x] = from[(row0 + i) * cols + col];
    __syncthreads();
    int row = row0 + (int)threadIdx.x, col0 = (int)blockIdx.x * TILE;
    for (int i = (int)threadIdx.y; i < TILE; i += (int)blockDim.y)
        if (row < rows && col0 + i < cols)
            to[(col0 + i) * rows + row] = tile[(int)threadIdx.x * (TILE + 1) + i];
}

static void a_tiled_transpose_of_odd_shape(void)
{
    enum { ROWS = 45, COLS = 37 };
    struct bench b = {};
    double *x = device<double>(ROWS * COLS), *y = device<double>(ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = i;
    dim3 grid((COLS + TILE - 1) / TILE, (ROWS + TILE - 1) / TILE);
    CUDA_LAUNCH(&b, grid, dim3(TILE, 4), TILE * (TILE + 1) * sizeof(double), (transpose_kernel<double>), y, x,
                ROWS, COLS);
    CHECK_INT(b.last, cudaSuccess);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++)
            CHECK_NEAR(y[j * ROWS + i], x[i * COLS + j], 0);
    cudaFree(x);
    cudaFree(y);
}

/* 8 bits are enough for small whole numbers: bf16 is the upper half of float32. */
static uint16_t narrow(float x)
{
    return (uint16_t)(__float_as_uint(x) >> 16);
}

static float widen(uint16_t bits)
{
    return __uint_as_float((uint32_t)bits << 16);
}

/* c [16, 8] += a [16, 16] b [16, 8] by one warp: a by ldmatrix, b by ldmatrix or, where it lies transposed in
 * memory, by the other one. */
__global__ static void mma_kernel(float *c, const uint16_t *a, const uint16_t *b, bool is_b_by_columns)
{
    cuda_begin();
    __shared__ __align__(16) uint16_t sa[16 * 16], sb[16 * 16];
    int lane = (int)threadIdx.x, g = lane / 4, q = lane % 4;
    cuda_copy16(sa + lane * 8, a + lane * 8, true);
    cuda_copy16(sb + lane * 8, b + lane % 16 * 8, lane < 16);
    cuda_copy_commit();
    cuda_copy_wait<0>();
    __syncthreads();
    uint32_t ra[4], rb[4];
    cuda_ldmatrix4(ra, sa + lane % 16 * 16 + lane / 16 * 8);
    if (is_b_by_columns) /* column by column, 16 values each */
        cuda_ldmatrix4(rb, sb + lane % 8 * 16 + lane / 8 % 2 * 8);
    else
        cuda_ldmatrix4_t(rb, sb + lane % 16 * 8);
    float sum[4] = {c[g * 8 + 2 * q], c[g * 8 + 2 * q + 1], c[(g + 8) * 8 + 2 * q], c[(g + 8) * 8 + 2 * q + 1]};
    cuda_mma(sum, ra, rb);
    for (int i = 0; i < 4; i++)
        c[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = sum[i];
}

static void the_tensor_core_multiplies_what_ldmatrix_loads(void)
{
    struct bench bench = {};
    uint16_t *a = device<uint16_t>(256), *b = device<uint16_t>(128);
    float *c = device<float>(128);
    for (int by_columns = 0; by_columns < 2; by_columns++) {
        for (int i = 0; i < 256; i++)
            a[i] = narrow((float)(i * 7 % 23 - 11));
        for (int i = 0; i < 128; i++) {
            b[i] = narrow((float)(i * 5 % 19 - 9));
            c[i] = (float)i;
        }
        CUDA_LAUNCH(&bench, 1, 32, 0, mma_kernel, c, a, b, by_columns == 1);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 8; j++) {
                float want = (float)(i * 8 + j);
                for (int k = 0; k < 16; k++)
                    want += widen(a[i * 16 + k]) * widen(b[by_columns ? j * 16 + k : k * 8 + j]);
                CHECK_NEAR((double)c[i * 8 + j], (double)want, 0);
            }
    }
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
}

/* Two groups of copies under way: after wait<1> the first has come and the second has not. */
__global__ static void copy_kernel(float *out, const float4 *from)
{
    cuda_begin();
    CUDA_SHARED(float4, to);
    cuda_copy16(&to[0], &from[0], true);
    cuda_copy_commit();
    cuda_copy16(&to[1], &from[1], true);
    cuda_copy16(&to[2], &from[1], false);
    cuda_copy_commit();
    out[0] = to[0].x;
    cuda_copy_wait<1>();
    out[1] = to[0].x;
    out[2] = to[1].y;
    cuda_copy_wait<0>();
    out[3] = to[1].y;
    out[4] = to[2].y;
}

static void copies_come_when_they_are_waited_for(void)
{
    struct bench b = {};
    float *out = device<float>(5);
    float4 *from = device<float4>(2);
    from[0] = make_float4(1, 2, 3, 4);
    from[1] = make_float4(5, 6, 7, 8);
    CUDA_LAUNCH(&b, 1, 1, 48, copy_kernel, out, from);
    CHECK_TRUE(isnan(out[0]) && out[1] == 1 && isnan(out[2]) && out[3] == 6 && out[4] == 0);
    cudaFree(out);
    cudaFree(from);
}

/* Threads that have returned are not waited for. */
__global__ static void early_kernel(int *out, int n)
{
    cuda_begin();
    __shared__ int seen[96];
    int i = (int)threadIdx.x;
    seen[i] = i;
    if (i >= n)
        return;
    __syncthreads();
    unsigned here = __ballot_sync(0xffffffffu, 1);
    out[i] = seen[(i + 1) % (int)blockDim.x] + 1000 * __popc(here);
}

static void threads_that_return_early_count_as_arrived(void)
{
    struct bench b = {};
    int *out = device<int>(96);
    CUDA_LAUNCH(&b, 3, 96, 0, early_kernel, out, 75);
    for (int i = 0; i < 75; i++)
        CHECK_INT(out[i], i + 1 + 1000 * (i < 64 ? 32 : 11));
    cudaFree(out);
}

/* Reads its neighbour's number without a barrier. */
__global__ static void race_kernel(int *out)
{
    cuda_begin();
    CUDA_SHARED(int, seen);
    int i = (int)threadIdx.x;
    seen[i] = i;
    out[blockIdx.x * blockDim.x + threadIdx.x] = seen[i > 0 ? i - 1 : 0];
}

static void a_missing_barrier_shows_in_every_other_block(void)
{
    struct bench b = {};
    int *out = device<int>(128), n_wrong[2] = {0, 0};
    CUDA_LAUNCH(&b, 2, 64, 64 * sizeof(int), race_kernel, out);
    for (int i = 0; i < 128; i++)
        n_wrong[i / 64] += out[i] != (i % 64 > 0 ? i % 64 - 1 : 0);
    CHECK_INT(n_wrong[0] + n_wrong[1], 63);
    CHECK_INT(n_wrong[0] * n_wrong[1], 0);
    cudaFree(out);
}

__global__ static void grid_kernel(int *out)
{
    cuda_begin();
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    atomicAdd(&out[block * blockDim.x * blockDim.y * blockDim.z + thread], 1);
}

static void every_thread_of_every_block_runs_once(void)
{
    struct bench b = {};
    enum { N = 2 * 3 * 4 * 5 * 6 * 7 };
    int *out = device<int>(N);
    cudaMemset(out, 0, N * sizeof(int));
    CUDA_LAUNCH(&b, dim3(2, 3, 4), dim3(5, 6, 7), 0, grid_kernel, out);
    for (int i = 0; i < N; i++)
        CHECK_INT(out[i], 1);
    cudaFree(out);
}

/* --- what is refused --- */

static cudaError_t launch_as(dim3 grid, dim3 block, size_t shared_bytes)
{
    struct bench b = {};
    int out[1] = {0};
    CUDA_LAUNCH(&b, grid, block, shared_bytes, grid_kernel, out);
    CHECK_INT(cudaGetLastError(), b.last);
    return b.last;
}

static void launches_that_a_device_refuses(void)
{
    CHECK_INT(launch_as(1, 1, 227 * 1024), cudaSuccess);
    CHECK_INT(launch_as(1, 1, 227 * 1024 + 1), cudaErrorInvalidValue);
    CHECK_INT(launch_as(0, 1, 0), cudaErrorInvalidConfiguration);
    CHECK_INT(launch_as(1, 0, 0), cudaErrorInvalidConfiguration);
    CHECK_INT(launch_as(1, 1025, 0), cudaErrorInvalidConfiguration);
    CHECK_INT(launch_as(1, dim3(32, 33), 0), cudaErrorInvalidConfiguration);
    CHECK_INT(launch_as(1, dim3(1, 1, 65), 0), cudaErrorInvalidConfiguration);
    CHECK_INT(launch_as(dim3(1, 65536), 1, 0), cudaErrorInvalidConfiguration);
    CHECK_INT(launch_as(dim3(0x80000000u), 1, 0), cudaErrorInvalidConfiguration);
}

static void memory_is_exact_poisoned_and_known(void)
{
    unsigned char *p = device<unsigned char>(1000), host[8] = {0}, *wrong = nullptr;
    size_t free_bytes = 0, total_bytes = 0, before = 0;
    CHECK_TRUE(p[0] == 0xff && p[999] == 0xff && (uintptr_t)p % 256 == 0);
    CHECK_INT(cudaMemcpy(p + 992, host, 8, cudaMemcpyHostToDevice), cudaSuccess);
    CHECK_INT(cudaMemcpy(p + 993, host, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    CHECK_INT(cudaMemcpy(host, p, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    CHECK_INT(cudaMemset(host, 0, 8), cudaErrorInvalidValue);
    CHECK_INT(cudaFree(host), cudaErrorInvalidValue);
    CHECK_INT(cudaGetLastError(), cudaErrorInvalidValue);
    CHECK_INT(cudaMalloc(&wrong, (size_t)1 << 40), cudaErrorMemoryAllocation);
    CHECK_STR(cudaGetErrorString(cudaGetLastError()), "out of memory");
    cudaMemGetInfo(&before, &total_bytes);
    CHECK_INT(cudaFree(p), cudaSuccess);
    cudaMemGetInfo(&free_bytes, &total_bytes);
    CHECK_INT(free_bytes - before, 1000);
}

/* --- what is found --- */

__global__ static void overflow_kernel(float *out)
{
    cuda_begin();
    CUDA_SHARED(float, x);
    x[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = x[threadIdx.x + 1];
}

__global__ static void global_kernel(float *out)
{
    cuda_begin();
    __syncthreads();
    out[threadIdx.x] = 1;
}

__global__ static void static_kernel(int *out, int at)
{
    cuda_begin();
    __shared__ int x[32];
    x[(int)threadIdx.x + at] = 1;
    __syncthreads();
    out[threadIdx.x] = x[threadIdx.x];
}

__global__ static void stuck_kernel(int)
{
    cuda_begin();
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __syncwarp();
}

__global__ static void lines_kernel(int)
{
    cuda_begin();
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

__global__ static void operations_kernel(int *out)
{
    cuda_begin();
    if (threadIdx.x % 2)
        __syncwarp();
    else
        out[0] = __shfl_sync(0xffffffffu, 1, 0);
}

__global__ static void mask_kernel(int)
{
    cuda_begin();
    __syncwarp(0xffff0000u);
}

__global__ static void align_kernel(int)
{
    cuda_begin();
    CUDA_SHARED(uint16_t, x);
    uint32_t r[4];
    cuda_ldmatrix4(r, x + threadIdx.x * 8 + 1);
}

__global__ static void copy_align_kernel(const float *from)
{
    cuda_begin();
    CUDA_SHARED(float, x);
    cuda_copy16(x + threadIdx.x * 4, from + threadIdx.x, true);
}

__global__ static void half_kernel(float *c)
{
    cuda_begin();
    const uint32_t a[4] = {0, 0, 0, 0}, b[2] = {0, 0};
    float sum[4] = {0, 0, 0, 0};
    cuda_mma(sum, a, b);
    c[threadIdx.x] = sum[0];
}

__device__ __noinline__ static int deeper(int n)
{
    volatile char room[4096];
    room[n % 4096] = (char)n;
    return n == 0 ? room[0] : deeper(n - 1) + room[n % 4096];
}

__global__ static void deep_kernel(int *out)
{
    cuda_begin();
    out[0] = deeper(1000);
}

static void fault(int which)
{
    struct bench b = {};
    float *out = device<float>(64);
    int *ints = device<int>(64);
    switch (which) {
    case 0:
        CUDA_LAUNCH(&b, 1, 64, 64 * sizeof(float), overflow_kernel, out);
        break;
    case 1:
        CUDA_LAUNCH(&b, 1, 65, 0, global_kernel, out);
        break;
    case 2:
        CUDA_LAUNCH(&b, 1, 32, 0, static_kernel, ints, 1);
        break;
    case 3:
        CUDA_LAUNCH(&b, dim3(1, 2), 32, 0, stuck_kernel, 0);
        break;
    case 4:
        CUDA_LAUNCH(&b, 1, 64, 0, lines_kernel, 0);
        break;
    case 5:
        CUDA_LAUNCH(&b, 1, 32, 0, operations_kernel, ints);
        break;
    case 6:
        CUDA_LAUNCH(&b, 1, 32, 0, mask_kernel, 0);
        break;
    case 7:
        CUDA_LAUNCH(&b, 1, 32, 1024, align_kernel, 0);
        break;
    case 8:
        CUDA_LAUNCH(&b, 1, 4, 1024, copy_align_kernel, out);
        break;
    case 9:
        CUDA_LAUNCH(&b, 1, 31, 0, half_kernel, out);
        break;
    case 11: /* memory of the first device, a kernel on the second */
        setenv("CUDA_EMU_DEVICES", "2", 1);
        cudaSetDevice(1);
        CUDA_LAUNCH(&b, 1, 64, 0, global_kernel, out);
        break;
    default:
        CUDA_LAUNCH(&b, 1, 1, 0, deep_kernel, ints);
        break;
    }
}

/* Runs a fault in a child; its words on stderr must hold `words`. */
static void check_fault(int which, const char *words)
{
    static char text[65536];
    size_t n = 0;
    int ends[2], status = 0;
    ssize_t got = 0;
    if (pipe(ends) != 0) {
        TEST_FAIL("no pipe");
        return;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        fault(which);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    CHECK_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    if (!strstr(text, words))
        TEST_FAIL("fault %d: \"%s\" lacks \"%s\"", which, text, words);
}

static void the_sanitizer_sees_one_value_too_far(void)
{
    check_fault(0, "heap-buffer-overflow");
    check_fault(0, "overflow_kernel");
    check_fault(1, "heap-buffer-overflow");
    check_fault(2, "index 32 out of bounds");
    check_fault(10, "stack-overflow");
    check_fault(11, "use-after-poison");
}

static void meetings_that_cannot_be_are_reported_with_the_kernel(void)
{
    check_fault(3, "cuda_emu: kernel stuck_kernel, block (0, 0, 0)");
    check_fault(3, "threads wait for each other for ever; of 32 threads 0 have returned, 16 wait at __syncthreads, "
                   "16 for their warp");
    check_fault(4, "threads of a block meet at different __syncthreads");
    check_fault(5, "lanes of a warp meet at different operations");
    check_fault(6, "a lane meets others under a mask that lacks it");
    check_fault(9, "a matrix operation needs all 32 lanes of the warp");
}

static void addresses_that_are_not_aligned_are_reported(void)
{
    check_fault(7, "cuda_ldmatrix4: a row's address is not aligned to 16 bytes");
    check_fault(8, "cuda_copy16: `from` is not aligned to 16 bytes");
}

int main(void)
{
    CASE(sums_over_shuffles_and_shared_memory);
    CASE(shuffles_and_votes_of_every_kind);
    CASE(a_tiled_transpose_of_odd_shape);
    CASE(the_tensor_core_multiplies_what_ldmatrix_loads);
    CASE(copies_come_when_they_are_waited_for);
    CASE(threads_that_return_early_count_as_arrived);
    CASE(a_missing_barrier_shows_in_every_other_block);
    CASE(every_thread_of_every_block_runs_once);
    CASE(launches_that_a_device_refuses);
    CASE(memory_is_exact_poisoned_and_known);
    CASE(the_sanitizer_sees_one_value_too_far);
    CASE(meetings_that_cannot_be_are_reported_with_the_kernel);
    CASE(addresses_that_are_not_aligned_are_reported);
    return test_end();
}
