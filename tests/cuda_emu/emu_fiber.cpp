#include "tests/cuda_emu/emu_fiber.h"

#include <sanitizer/common_interface_defs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

enum { STACK_BYTES = 256 * 1024 };

/* Who left and who comes: a fiber's first steps must tell the sanitizer, and get no arguments. */
namespace
{
struct emu_fiber *leaving, *coming;

void arrive(struct emu_fiber *me)
{
    const void *floor = nullptr;
    size_t n_bytes = 0;
    __sanitizer_finish_switch_fiber(me->fake_stack, &floor, &n_bytes);
    leaving->floor = floor;
    leaving->n_bytes = n_bytes;
}

extern "C" void emu_fiber_start(void)
{
    struct emu_fiber *me = coming;
    arrive(me);
    me->body();
    abort();
}
} // namespace

#if defined(__x86_64__)

/* (void **from, void *to) */
asm(".text\n"
    ".p2align 4\n"
    ".type emu_fiber_swap, @function\n"
    "emu_fiber_swap:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size emu_fiber_swap, . - emu_fiber_swap\n");
extern "C" void emu_fiber_swap(void **from, void *to);

/* Six registers of zeros, the address to return to, and the zero that ends a walk up the stack: at the
 * function's entry the stack pointer is 8 past a multiple of 16, as after a call. */
static void *first_frame(char *top)
{
    uintptr_t *frame = reinterpret_cast<uintptr_t *>(top) - 8;
    for (int i = 0; i < 8; i++)
        frame[i] = 0;
    frame[6] = reinterpret_cast<uintptr_t>(emu_fiber_start);
    return frame;
}

#elif defined(__aarch64__)

asm(".text\n"
    ".p2align 4\n"
    ".type emu_fiber_swap, %function\n"
    "emu_fiber_swap:\n"
    "    sub sp, sp, #160\n"
    "    stp x19, x20, [sp, #0]\n"
    "    stp x21, x22, [sp, #16]\n"
    "    stp x23, x24, [sp, #32]\n"
    "    stp x25, x26, [sp, #48]\n"
    "    stp x27, x28, [sp, #64]\n"
    "    stp x29, x30, [sp, #80]\n"
    "    stp d8, d9, [sp, #96]\n"
    "    stp d10, d11, [sp, #112]\n"
    "    stp d12, d13, [sp, #128]\n"
    "    stp d14, d15, [sp, #144]\n"
    "    mov x9, sp\n"
    "    str x9, [x0]\n"
    "    mov sp, x1\n"
    "    ldp x19, x20, [sp, #0]\n"
    "    ldp x21, x22, [sp, #16]\n"
    "    ldp x23, x24, [sp, #32]\n"
    "    ldp x25, x26, [sp, #48]\n"
    "    ldp x27, x28, [sp, #64]\n"
    "    ldp x29, x30, [sp, #80]\n"
    "    ldp d8, d9, [sp, #96]\n"
    "    ldp d10, d11, [sp, #112]\n"
    "    ldp d12, d13, [sp, #128]\n"
    "    ldp d14, d15, [sp, #144]\n"
    "    add sp, sp, #160\n"
    "    ret\n"
    ".size emu_fiber_swap, . - emu_fiber_swap\n");
extern "C" void emu_fiber_swap(void **from, void *to);

static void *first_frame(char *top)
{
    uintptr_t *frame = reinterpret_cast<uintptr_t *>(top) - 20;
    for (int i = 0; i < 20; i++)
        frame[i] = 0;
    frame[11] = reinterpret_cast<uintptr_t>(emu_fiber_start); /* x30 */
    return frame;
}

#else

static void *first_frame(char *top)
{
    ucontext_t *u = new ucontext_t();
    getcontext(u);
    u->uc_stack.ss_sp = top - STACK_BYTES;
    u->uc_stack.ss_size = STACK_BYTES;
    makecontext(u, emu_fiber_start, 0);
    return u;
}

static void emu_fiber_swap(void **from, void *to)
{
    if (!*from)
        *from = new ucontext_t();
    swapcontext(static_cast<ucontext_t *>(*from), static_cast<ucontext_t *>(to));
}

#endif

struct emu_fiber *emu_fiber_new(void (*body)(void))
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *low = mmap(nullptr, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (low == MAP_FAILED || mprotect(low, page, PROT_NONE)) {
        fprintf(stderr, "cuda_emu: no memory for a stack of %d bytes\n", STACK_BYTES);
        abort();
    }
    struct emu_fiber *f = new emu_fiber();
    f->floor = static_cast<char *>(low) + page;
    f->n_bytes = STACK_BYTES;
    f->body = body;
    f->at = first_frame(static_cast<char *>(low) + page + STACK_BYTES);
    return f;
}

void emu_fiber_switch(struct emu_fiber *from, struct emu_fiber *to)
{
    leaving = from;
    coming = to;
    __sanitizer_start_switch_fiber(&from->fake_stack, to->floor, to->n_bytes);
    emu_fiber_swap(&from->at, to->at);
    arrive(from);
}
