#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

#include "tests/cuda_emu/cuda_emu.h"
#include "tests/cuda_emu/emu_fiber.h"
#include "tests/cuda_emu/emu_warp.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

enum { MAX_THREADS = 1024, MAX_WARPS = MAX_THREADS / 32, MAX_SHARED = 227 * 1024 };

namespace
{
struct warp {
    unsigned fresh;      /* lanes that have not begun */
    unsigned ready;      /* that may go on */
    unsigned at_meeting; /* that wait for lanes of their warp */
    unsigned live;       /* that have not returned */
};

struct launch {
    const char *name;
    void (*call)(void *);
    void *what;
};

/* The machine. `now` is the thread that runs. */
struct machine {
    struct launch launch;
    unsigned n_launches;
    int n_threads, n_warps, n_live, n_at_barrier;
    int n_begun; /* calls of cuda_begin in this block */
    bool is_falling; /* threads run from the last to the first */
    const char *file; /* of the __syncthreads where threads wait */
    int line;
    int now, next; /* next: whom the fiber that is switched to begins with */
    struct warp warp[MAX_WARPS];
    struct emu_lane lane[MAX_THREADS];
    struct emu_fiber *fiber[MAX_THREADS], *here; /* here: the one that runs */
    std::vector<struct emu_fiber *> idle;
    struct emu_fiber host;
    void *shared;
};

/* What a kernel's threads see is the process's by nature: threadIdx has no owner either. Never freed. */
machine *const the_machine = new machine();

inline machine &m(void)
{
    return *the_machine;
}

[[noreturn]] void give_up(const char *why)
{
    machine &e = m();
    int waits = 0;
    for (int w = 0; w < e.n_warps; w++)
        waits += __builtin_popcount(e.warp[w].at_meeting);
    fprintf(stderr,
            "cuda_emu: kernel %s, block (%u, %u, %u), thread (%u, %u, %u): %s; of %d threads %d have returned, "
            "%d wait at __syncthreads, %d for their warp\n",
            e.launch.name, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, why,
            e.n_threads, e.n_threads - e.n_live, e.n_at_barrier, waits);
    abort();
}

void be(int thread)
{
    unsigned t = (unsigned)thread, x = blockDim.x, y = blockDim.y;
    m().now = thread;
    threadIdx.x = t % x;
    threadIdx.y = t / x % y;
    threadIdx.z = t / (x * y);
}

/* A thread that can run, taken from its warp's set; those of the running thread's warp first. -1: none. */
int take(bool *is_fresh)
{
    machine &e = m();
    int w = e.now / 32;
    for (int i = 0; i < e.n_warps; i++) {
        struct warp *p = &e.warp[w];
        unsigned can = p->fresh | p->ready;
        if (can) {
            int lane = e.is_falling ? 31 - __builtin_clz(can) : __builtin_ctz(can);
            unsigned bit = 1u << lane;
            *is_fresh = p->fresh & bit;
            p->fresh &= ~bit;
            p->ready &= ~bit;
            return w * 32 + lane;
        }
        w += e.is_falling ? -1 : 1;
        w = w < 0 ? e.n_warps - 1 : w == e.n_warps ? 0 : w;
    }
    return -1;
}

void go(struct emu_fiber *to)
{
    machine &e = m();
    struct emu_fiber *from = e.here;
    e.here = to;
    emu_fiber_switch(from, to);
}

/* Opens the barrier when everybody who still runs has come. */
void open_barrier(void)
{
    machine &e = m();
    if (e.n_at_barrier == 0 || e.n_at_barrier < e.n_live)
        return;
    for (int w = 0; w < e.n_warps; w++)
        e.warp[w].ready = e.warp[w].live;
    e.n_at_barrier = 0;
}

/* Opens the meeting of a lane when all of its mask have come. */
bool open_meeting(int w, unsigned mask)
{
    machine &e = m();
    struct warp *p = &e.warp[w];
    unsigned group = mask & p->live;
    if (group & ~p->at_meeting)
        return false;
    struct emu_lane *lanes = &e.lane[w * 32];
    const struct emu_lane *first = &lanes[__builtin_ctz(group)];
    for (unsigned left = group; left; left &= left - 1) {
        const struct emu_lane *l = &lanes[__builtin_ctz(left)];
        if (l->with.mask != mask)
            give_up("lanes of a warp meet with different masks");
        if (l->with.op != first->with.op)
            give_up("lanes of a warp meet at different operations");
    }
    const char *wrong = emu_warp_do(group, lanes);
    if (wrong)
        give_up(wrong);
    p->at_meeting &= ~group;
    p->ready |= group;
    return true;
}

void leave(int thread)
{
    machine &e = m();
    struct warp *p = &e.warp[thread / 32];
    emu_lane_finish(&e.lane[thread]);
    p->live &= ~(1u << thread % 32);
    e.n_live--;
    open_barrier();
    for (unsigned left = p->at_meeting; left; left &= left - 1) {
        unsigned bit = left & -left, mask = e.lane[thread / 32 * 32 + __builtin_ctz(bit)].with.mask;
        if (p->at_meeting & bit)
            open_meeting(thread / 32, mask);
    }
}

/* A fiber's life: begins threads while there are fresh ones, then lends the processor to those that wait. */
void work(void)
{
    for (;;) {
        machine &e = m();
        int thread = e.next;
        bool is_fresh = true;
        while (is_fresh) {
            e.fiber[thread] = e.here;
            be(thread);
            e.launch.call(e.launch.what);
            leave(thread);
            is_fresh = false;
            thread = take(&is_fresh);
        }
        if (thread < 0 && e.n_live > 0)
            give_up("threads wait for each other for ever");
        e.idle.push_back(e.here);
        go(thread < 0 ? &e.host : e.fiber[thread]);
    }
}

struct emu_fiber *an_idle_fiber(void)
{
    machine &e = m();
    if (e.idle.empty())
        return emu_fiber_new(work);
    struct emu_fiber *f = e.idle.back();
    e.idle.pop_back();
    return f;
}

/* The running thread waits: others run until it may go on. */
void wait(void)
{
    machine &e = m();
    bool is_fresh = false;
    int me = e.now, thread = take(&is_fresh);
    if (thread < 0)
        give_up("threads wait for each other for ever");
    if (is_fresh) {
        e.next = thread;
        go(an_idle_fiber());
    } else if (thread != me) {
        go(e.fiber[thread]);
    }
    be(me);
}

void run_block(void)
{
    machine &e = m();
    for (int w = 0; w < e.n_warps; w++) {
        int n = e.n_threads - 32 * w;
        unsigned all = n >= 32 ? 0xffffffffu : (1u << n) - 1;
        e.warp[w] = {all, 0, 0, all};
    }
    e.n_live = e.n_threads;
    e.n_at_barrier = 0;
    e.n_begun = 0;
    e.is_falling = (e.n_launches + blockIdx.x + blockIdx.y + blockIdx.z) % 2;
    e.now = e.is_falling ? e.n_threads - 1 : 0;
    bool is_fresh = false;
    e.next = take(&is_fresh);
    e.here = &e.host;
    go(an_idle_fiber());
    if (e.n_begun != e.n_threads)
        give_up("not every thread has called cuda_begin, once");
}

bool is_possible(dim3 grid, dim3 block, size_t shared_bytes)
{
    bool has_blocks = grid.x && grid.y && grid.z && grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535;
    bool has_threads = block.x && block.y && block.z && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
                       (size_t)block.x * block.y * block.z <= MAX_THREADS;
    return has_blocks && has_threads && shared_bytes <= MAX_SHARED;
}
} // namespace

void *cuda_emu_shared(void)
{
    return m().shared;
}

void cuda_begin(void)
{
    m().n_begun++;
}

void cuda_emu_barrier(const char *file, int line)
{
    machine &e = m();
    if (e.n_at_barrier && (e.line != line || (e.file != file && strcmp(e.file, file) != 0)))
        give_up("threads of a block meet at different __syncthreads");
    e.file = file;
    e.line = line;
    e.n_at_barrier++;
    open_barrier();
    wait();
}

unsigned emu_meet(const struct emu_meeting &with)
{
    machine &e = m();
    int w = e.now / 32, lane = e.now % 32;
    struct emu_lane *l = &e.lane[e.now];
    if (!(with.mask >> lane & 1))
        give_up("a lane meets others under a mask that lacks it");
    l->with = with;
    e.warp[w].at_meeting |= 1u << lane;
    if (open_meeting(w, with.mask))
        e.warp[w].ready &= ~(1u << lane);
    else
        wait();
    return l->result;
}

unsigned cuda_emu_meet(enum cuda_emu_op op, unsigned mask, unsigned value, int at, int width)
{
    return emu_meet({op, mask, value, at, width, nullptr, {nullptr, nullptr}});
}

struct emu_lane *emu_lane_now(void)
{
    return &m().lane[m().now];
}

void emu_give_up(const char *why)
{
    give_up(why);
}

cudaError_t cuda_emu_run(const char *name, dim3 grid, dim3 block, size_t shared_bytes, void (*call)(void *),
                         void *what)
{
    if (!is_possible(grid, block, shared_bytes))
        return cuda_emu_error(shared_bytes > MAX_SHARED ? cudaErrorInvalidValue
                                                        : cudaErrorInvalidConfiguration);
    machine &e = m();
    cuda_emu_turn turn(true);
    e.launch = {name, call, what};
    e.n_launches++;
    e.n_threads = (int)(block.x * block.y * block.z);
    e.n_warps = (e.n_threads + 31) / 32;
    gridDim = grid;
    blockDim = block;
    e.shared = nullptr;
    if (shared_bytes && posix_memalign(&e.shared, 128, shared_bytes))
        return cuda_emu_error(cudaErrorMemoryAllocation);
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
                if (shared_bytes)
                    memset(e.shared, 0xff, shared_bytes);
                run_block();
            }
    free(e.shared);
    e.shared = nullptr;
    return cudaSuccess;
}
