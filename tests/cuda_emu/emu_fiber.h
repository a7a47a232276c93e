/* tests/cuda_emu/emu_fiber.h: stacks to switch between within one thread, known to the address sanitizer.
 *
 * x86-64 and aarch64 switch by a few instructions that keep what a called function must keep; other machines
 * by ucontext. A fiber's function never returns: it switches away and may be switched to again. */
#ifndef TESTS_CUDA_EMU_EMU_FIBER_H
#define TESTS_CUDA_EMU_EMU_FIBER_H

#include <stddef.h>

struct emu_fiber {
    void *at;          /* its stack pointer while it is away, or its ucontext */
    void *fake_stack;  /* the sanitizer's */
    const void *floor; /* lowest address of its stack; for the thread's own stack known after the first switch */
    size_t n_bytes;
    void (*body)(void);
};

/* A fiber that has not run; lives as long as the process. A stack that overflows meets a page that nobody may
 * touch. */
struct emu_fiber *emu_fiber_new(void (*body)(void));

/* Goes on in `to`; returns when somebody switches to `from`, which stands for the caller. */
void emu_fiber_switch(struct emu_fiber *from, struct emu_fiber *to);

#endif
