/* models/cuda.cu: the CUDA backend's tables, memory and optimizer steps. */
#include "models/cuda.cuh"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STAGE_BYTES = 4 << 20, THREADS = 256, KERNELS_VERSION = 2 };

/* --- failures --- */

bool cuda_check(struct cuda *c, cudaError_t code, const char *what)
{
    if (code != cudaSuccess && !c->failure.code)
        err_set(&c->failure, code == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_DEVICE, "cuda: %s: %s",
                what, cudaGetErrorString(code));
    return !c->failure.code;
}

static enum err_code cuda_fail(struct err *e, cudaError_t code, const char *what)
{
    cudaGetLastError(); /* it must not be found again by the next launch */
    return err_set(e, code == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_DEVICE, "cuda: %s: %s", what,
                   cudaGetErrorString(code));
}

static enum err_code cuda_sync(struct backend *b, struct err *e)
{
    struct cuda *c = cuda_of(b);
    cuda_check(c, cudaStreamSynchronize(c->stream), "the work on the GPU");
    enum err_code code = c->failure.code;
    if (code)
        err_set(e, code, "%s", c->failure.text);
    memset(&c->failure, 0, sizeof(c->failure));
    return code;
}

/* --- opening --- */

static void cuda_close(struct backend *b)
{
    if (!b)
        return;
    struct cuda *c = cuda_of(b);
    if (c->stream)
        cudaStreamSynchronize(c->stream);
    cuda_gemm_close(c);
    for (int i = 0; i < CUDA_TABLES; i++) {
        free(c->table[i].host);
        cudaFree(c->table[i].device);
    }
    free(c->buckets[0].bucket);
    free(c->buckets[1].bucket);
    for (int i = 0; i < CUDA_SCRATCHES; i++)
        cudaFree(c->scratch[i]);
    for (int i = 0; i < CUDA_STAGES; i++) {
        if (c->stage[i].is_free)
            cudaEventDestroy(c->stage[i].is_free);
        cudaFreeHost(c->stage[i].host);
    }
    if (c->stream)
        cudaStreamDestroy(c->stream);
    free(c);
}

/* CUDA's number of the device that is the which-th of the first one's kind, of *n_alike; -1: there are fewer. */
static int find_device(int which, int *n_alike)
{
    struct cudaDeviceProp first, p;
    int n = 0, found = -1;
    *n_alike = 0;
    bool is_known = cudaGetDeviceCount(&n) == cudaSuccess && n > 0 &&
                    cudaGetDeviceProperties(&first, 0) == cudaSuccess;
    for (int i = 0; is_known && i < n; i++) {
        bool is_alike = cudaGetDeviceProperties(&p, i) == cudaSuccess && strcmp(p.name, first.name) == 0 &&
                        p.major == first.major && p.minor == first.minor &&
                        p.multiProcessorCount == first.multiProcessorCount;
        if (is_alike && (*n_alike)++ == which)
            found = i;
    }
    cudaGetLastError();
    return found;
}

static int cuda_n_devices(void)
{
    int n;
    find_device(0, &n);
    return n;
}

static enum err_code open_device(struct cuda *c, int which, struct err *e)
{
    int n = 0;
    cudaError_t code = cudaGetDeviceCount(&n);
    if (code == cudaErrorInsufficientDriver) {
        int version = 0;
        cudaGetLastError();
        cudaRuntimeGetVersion(&version);
        return err_set(e, ERR_DEVICE, "no NVIDIA driver is loaded here, or one older than CUDA %d.%d's",
                       version / 1000, version % 1000 / 10);
    }
    if (code != cudaSuccess || n < 1) {
        cudaGetLastError();
        return err_set(e, ERR_DEVICE, "no usable GPU: %s",
                       code != cudaSuccess ? cudaGetErrorString(code) : "none is there");
    }
    struct cudaDeviceProp p;
    int n_alike = 0, device = which ? find_device(which, &n_alike) : 0;
    if (device < 0)
        return err_set(e, ERR_DEVICE, "GPU %d is not there: %d are of the first one's kind", which + 1, n_alike);
    if ((code = cudaGetDeviceProperties(&p, device)) != cudaSuccess)
        return cuda_fail(e, code, "properties of the GPU");
    if (p.major < 8)
        return err_set(e, ERR_DEVICE, "%s is of compute capability %d.%d: 8.0 or newer is needed", p.name,
                       p.major, p.minor);
    c->n_processors = p.multiProcessorCount;
    c->is_early = p.major >= 9;
    c->device = device;
    c->has_neighbours = n > 1;
    if ((code = cudaSetDevice(device)) != cudaSuccess ||
        (code = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking)) != cudaSuccess)
        return cuda_fail(e, code, "a stream of the GPU");
    for (int i = 0; i < CUDA_STAGES; i++) {
        void *host = NULL;
        if ((code = cudaMallocHost(&host, STAGE_BYTES)) != cudaSuccess ||
            (code = cudaEventCreateWithFlags(&c->stage[i].is_free, cudaEventDisableTiming)) != cudaSuccess) {
            cudaFreeHost(host);
            return cuda_fail(e, code, "pinned memory");
        }
        c->stage[i].host = (unsigned char *)host;
    }
    return OK;
}

static enum err_code cuda_open(const struct backend_ops *ops, struct backend **out, int device, struct err *e)
{
    struct cuda *c = (struct cuda *)calloc(1, sizeof(*c));
    if (!c)
        return err_set(e, ERR_MEMORY, "no memory for a backend");
    c->base.ops = ops;
    enum err_code code = open_device(c, device, e);
    if (!code)
        code = cuda_gemm_open(c, e);
    if (code) {
        cuda_close(&c->base);
        return code;
    }
    *out = &c->base;
    return OK;
}

static enum err_code cuda_open_float(struct backend **out, int device, int n_threads, struct err *e)
{
    (void)n_threads;
    return cuda_open(&cuda_backend, out, device, e);
}

static enum err_code cuda_open_bf16(struct backend **out, int device, int n_threads, struct err *e)
{
    (void)n_threads;
    return cuda_open(&cuda_bf16_backend, out, device, e);
}

static void cuda_describe(struct backend *b, char *out, size_t n)
{
    struct cuda *c = cuda_of(b);
    struct cudaDeviceProp p;
    int runtime = 0, driver = 0;
    char blas[96] = "";
    memset(&p, 0, sizeof(p));
    cudaGetDeviceProperties(&p, c->device);
    cudaRuntimeGetVersion(&runtime);
    cudaDriverGetVersion(&driver);
    cuda_gemm_describe(c, blas, sizeof(blas));
    snprintf(out, n, "cuda %d.%d (driver for %d.%d), %s sm_%d%d, %s, kernels %d, %s", runtime / 1000,
             runtime % 1000 / 10, driver / 1000, driver % 1000 / 10, p.name, p.major, p.minor, blas,
             KERNELS_VERSION, b->ops->precision);
}

/* --- memory --- */

static size_t cuda_memory_bytes(struct backend *b)
{
    size_t n_free = 0, n_total = 0;
    cuda_of(b);
    cudaMemGetInfo(&n_free, &n_total);
    return n_total;
}

/* Logits of a chunk, the products' workspace, and some for tables and partial sums. */
static size_t cuda_scratch_bytes(int n_threads, size_t n_rows, int n_vocab)
{
    (void)n_threads;
    return cuda_logit_bytes(n_rows, n_vocab) + ((size_t)192 << 20);
}

static enum err_code cuda_alloc(struct backend *b, void **out, size_t n_bytes, const char *what,
                                struct err *e)
{
    struct cuda *c = cuda_of(b);
    void *p = NULL;
    cudaError_t code = cudaMalloc(&p, n_bytes ? n_bytes : 1);
    if (code == cudaErrorMemoryAllocation) {
        size_t n_free = 0, n_total = 0;
        cudaGetLastError();
        cudaMemGetInfo(&n_free, &n_total);
        return err_set(e, ERR_MEMORY, "%s: %.0f MiB of the GPU's memory are needed, %.0f of %.0f MiB are free",
                       what, (double)n_bytes / 1048576, (double)n_free / 1048576,
                       (double)n_total / 1048576);
    }
    if (code == cudaSuccess)
        code = cudaMemsetAsync(p, 0, n_bytes, c->stream);
    if (code == cudaSuccess) /* other backends of the device may use it at once */
        code = cudaStreamSynchronize(c->stream);
    if (code != cudaSuccess) {
        cudaFree(p);
        return cuda_fail(e, code, what);
    }
    *out = p;
    return OK;
}

static void cuda_free(struct backend *b, void *p)
{
    cuda_of(b);
    cudaFree(p); /* waits for the device */
}

static enum err_code cuda_host_alloc(struct backend *b, void **out, size_t n_bytes, const char *what,
                                     struct err *e)
{
    void *p = NULL;
    cuda_of(b);
    if (cudaMallocHost(&p, n_bytes ? n_bytes : 1) != cudaSuccess) {
        cudaGetLastError();
        return err_set(e, ERR_MEMORY, "%s: %.0f MiB of pinned memory are needed", what,
                       (double)n_bytes / 1048576);
    }
    memset(p, 0, n_bytes);
    *out = p;
    return OK;
}

static void cuda_host_free(struct backend *b, void *p)
{
    cuda_of(b);
    cudaFreeHost(p);
}

/* Room for n <= STAGE_BYTES bytes of pinned memory that no queued copy reads any more. */
static unsigned char *stage_room(struct cuda *c, size_t n)
{
    if (c->stage_used + n > (size_t)STAGE_BYTES) {
        cuda_check(c, cudaEventRecord(c->stage[c->at_stage].is_free, c->stream), "an event");
        c->at_stage = (c->at_stage + 1) % CUDA_STAGES;
        c->stage_used = 0;
        cuda_check(c, cudaEventSynchronize(c->stage[c->at_stage].is_free), "an event");
    }
    unsigned char *at = c->stage[c->at_stage].host + c->stage_used;
    c->stage_used += (n + 63) / 64 * 64;
    return at;
}

static void cuda_set(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    struct cuda *c = cuda_of(b);
    for (size_t at = 0; at < n_bytes && !c->failure.code;) {
        size_t n = n_bytes - at < (size_t)STAGE_BYTES ? n_bytes - at : (size_t)STAGE_BYTES;
        unsigned char *stage = stage_room(c, n);
        memcpy(stage, (const unsigned char *)from + at, n);
        cuda_check(c,
                   cudaMemcpyAsync((unsigned char *)to + at, stage, n, cudaMemcpyHostToDevice, c->stream),
                   "a copy to the GPU");
        at += n;
    }
}

static void cuda_upload(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    struct cuda *c = cuda_of(b);
    if (n_bytes)
        cuda_check(c, cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyHostToDevice, c->stream),
                   "a copy to the GPU");
}

static void cuda_get(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    struct cuda *c = cuda_of(b);
    if (n_bytes &&
        cuda_check(c, cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyDeviceToHost, c->stream),
                   "a copy from the GPU"))
        cuda_check(c, cudaStreamSynchronize(c->stream), "the work on the GPU");
}

static void cuda_copy(struct backend *b, void *to, const void *from, size_t n_bytes)
{
    struct cuda *c = cuda_of(b);
    if (n_bytes)
        cuda_check(c, cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyDeviceToDevice, c->stream),
                   "a copy on the GPU");
}

static void cuda_zero(struct backend *b, void *p, size_t n_bytes)
{
    struct cuda *c = cuda_of(b);
    if (n_bytes)
        cuda_check(c, cudaMemsetAsync(p, 0, n_bytes, c->stream), "clearing memory");
}

/* --- tables and scratch --- */

static bool table_room(struct cuda *c, struct cuda_table *t, size_t n)
{
    if (n <= t->room)
        return true;
    void *device = NULL;
    size_t room = n + n / 2;
    int32_t *host = (int32_t *)malloc(room * sizeof(*host));
    if (!host || !cuda_check(c, cudaMalloc(&device, room * sizeof(*host)), "a table")) {
        free(host);
        if (!c->failure.code)
            err_set(&c->failure, ERR_MEMORY, "cuda: a table: no memory");
        return false;
    }
    free(t->host);
    cudaFree(t->device);
    t->host = host;
    t->device = (int32_t *)device;
    t->room = room;
    return true;
}

const int32_t *cuda_table(struct cuda *c, const int32_t *host, size_t n)
{
    for (int i = 0; i < CUDA_TABLES; i++) {
        struct cuda_table *t = &c->table[i];
        if (t->host && t->n == n && memcmp(t->host, host, n * sizeof(*host)) == 0)
            return t->device;
    }
    struct cuda_table *t = &c->table[c->next_table++ % CUDA_TABLES];
    if (!table_room(c, t, n ? n : 1))
        return NULL;
    t->n = n;
    memcpy(t->host, host, n * sizeof(*host));
    cuda_set(&c->base, t->device, host, n * sizeof(*host)); /* behind the work that reads the old one */
    return c->failure.code ? NULL : t->device;
}

void *cuda_scratch(struct cuda *c, int slot, size_t n_bytes)
{
    if (n_bytes > c->n_scratch[slot]) {
        void *fresh = NULL;
        if (!cuda_check(c, cudaStreamSynchronize(c->stream), "the work on the GPU"))
            return NULL;
        cudaFree(c->scratch[slot]);
        c->scratch[slot] = NULL;
        c->n_scratch[slot] = 0;
        if (!cuda_check(c, cudaMalloc(&fresh, n_bytes), "scratch memory"))
            return NULL;
        c->scratch[slot] = fresh;
        c->n_scratch[slot] = n_bytes;
    }
    return c->failure.code ? NULL : c->scratch[slot];
}

/* --- optimizers --- */

__global__ void sgd_kernel(size_t n, float *x, const float *g, float *buf, float lr, float momentum)
{
    cuda_begin();
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float step = g[i];
    if (buf) {
        step = momentum * buf[i] + step;
        buf[i] = step;
    }
    x[i] -= lr * step;
}

void cuda_sgd(struct backend *b, size_t n, float *x, const float *g, float *buf, float lr, float momentum)
{
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), cuda_blocks(n, THREADS), THREADS, 0, sgd_kernel, n, x, g, buf, lr, momentum);
}

struct adamw_step {
    float lr, keep, beta1, beta2, root, eps;
};

__global__ void adamw_kernel(size_t n, float *x, const float *g, float *m, float *v, struct adamw_step s)
{
    cuda_begin();
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float m_new = s.beta1 * m[i] + (1 - s.beta1) * g[i];
    float v_new = s.beta2 * v[i] + (1 - s.beta2) * g[i] * g[i];
    x[i] = x[i] * s.keep - s.lr * m_new / (sqrtf(v_new) * s.root + s.eps);
    m[i] = m_new;
    v[i] = v_new;
}

void cuda_adamw(struct backend *b, size_t n, float *x, const float *g, float *m, float *v, float lr,
                float beta1, float beta2, float eps, float decay, int t)
{
    double c1 = 1 - pow((double)beta1, t), c2 = 1 - pow((double)beta2, t);
    struct adamw_step s = {(float)((double)lr / c1), (float)(1 - (double)lr * (double)decay), beta1, beta2,
                           (float)(1 / sqrt(c2)), eps};
    if (n > 0)
        CUDA_LAUNCH(cuda_of(b), cuda_blocks(n, THREADS), THREADS, 0, adamw_kernel, n, x, g, m, v, s);
}

/* The sum of all threads' x, in one fixed order. */
__device__ static double block_sum(double x, double *part)
{
    part[threadIdx.x] = x;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    return part[0];
}

/* One block per member. */
__global__ void clip_kernel(size_t n, float *g, float max_norm)
{
    cuda_begin();
    __shared__ double part[THREADS];
    float *mine = g + (size_t)blockIdx.x * n;
    double sum = 0;
    for (size_t i = threadIdx.x; i < n; i += blockDim.x)
        sum += (double)mine[i] * (double)mine[i];
    double norm = sqrt(block_sum(sum, part));
    if (norm <= (double)max_norm)
        return;
    float factor = (float)((double)max_norm / norm);
    for (size_t i = threadIdx.x; i < n; i += blockDim.x)
        mine[i] *= factor;
}

void cuda_clip(struct backend *b, int n_members, size_t n, float *g, float max_norm)
{
    if (n_members > 0)
        CUDA_LAUNCH(cuda_of(b), n_members, THREADS, 0, clip_kernel, n, g, max_norm);
}

/* --- the tables --- */

/* For rows that see up to 512 keys on average. */
enum { CUDA_KEEP_WORDS = 16 };

template <typename T> static constexpr struct backend_ops table_of(const char *precision)
{
    struct backend_ops o = {};
    o.name = "cuda";
    o.precision = precision;
    o.value_bytes = sizeof(T);
    o.n_devices = cuda_n_devices;
    o.keep_words = sizeof(T) == sizeof(float) ? 0 : CUDA_KEEP_WORDS;
    o.open = sizeof(T) == sizeof(float) ? cuda_open_float : cuda_open_bf16;
    o.close = cuda_close;
    o.describe = cuda_describe;
    o.memory_bytes = cuda_memory_bytes;
    o.scratch_bytes = cuda_scratch_bytes;
    o.alloc = cuda_alloc;
    o.free = cuda_free;
    o.host_alloc = cuda_host_alloc;
    o.host_free = cuda_host_free;
    o.set = cuda_set;
    o.upload = cuda_upload;
    o.get = cuda_get;
    o.copy = cuda_copy;
    o.zero = cuda_zero;
    o.sync = cuda_sync;
    o.narrow = cuda_rows<T>::narrow;
    o.get_values = cuda_rows<T>::get_values;
    o.embed = cuda_embed;
    o.embed_backward = cuda_embed_backward;
    o.rms_norm = cuda_rows<T>::rms_norm;
    o.add_norm = cuda_rows<T>::add_norm;
    o.rms_norm_backward = cuda_rows<T>::rms_norm_backward;
    o.linear = cuda_linear<T>::forward;
    o.linear_backward = cuda_linear<T>::backward;
    o.linear_backward_weight = cuda_linear<T>::backward_weight;
    o.lora = cuda_lora<T>::forward;
    o.lora_backward = cuda_lora<T>::backward;
    o.dropout = cuda_rows<T>::dropout;
    o.dropout_stream = cuda_dropout_stream;
    o.dropout_values = cuda_rows<T>::dropout_values;
    o.geglu = cuda_rows<T>::geglu;
    o.geglu_backward = cuda_rows<T>::geglu_backward;
    o.attention = cuda_attn<T>::forward;
    o.attention_backward = cuda_attn<T>::backward;
    o.head_loss = cuda_head<T>::loss;
    o.head_argmax = cuda_head<T>::argmax;
    o.head_top = cuda_head<T>::top;
    o.sgd = cuda_sgd;
    o.adamw = cuda_adamw;
    o.clip = cuda_clip;
    return o;
}

const struct backend_ops cuda_backend = table_of<float>("float32");
const struct backend_ops cuda_bf16_backend = table_of<bf16>("bf16");
