/* tests/lab_backend.h: the backend under test: cpu_backend, or what the build says. The same source is built as
 * test_X, as cuda_X with the CUDA backend (skipped where there is no GPU) and as cuda_emu_X with its kernels
 * on the CPU. */
#ifndef TESTS_LAB_BACKEND_H
#define TESTS_LAB_BACKEND_H

#include <stdio.h>
#include <stdlib.h>

#include "models/backend.h"

#ifndef LAB_BACKEND
#define LAB_BACKEND cpu_backend
#endif
extern const struct backend_ops LAB_BACKEND;

/* The backend on a machine with 1, 2 or 3 devices of its kind, each of which is one of those that are there. */
static inline int lab_one(void)
{
    return 1;
}

static inline int lab_two(void)
{
    return 2;
}

static inline int lab_three(void)
{
    return 3;
}

static inline enum err_code lab_open_any(struct backend **out, int device, int n_threads, struct err *e)
{
    return LAB_BACKEND.open(out, device % LAB_BACKEND.n_devices(), n_threads, e);
}

static inline struct backend_ops lab_machine(int n_devices)
{
    struct backend_ops o = LAB_BACKEND;
    o.n_devices = n_devices == 1 ? lab_one : n_devices == 2 ? lab_two : lab_three;
    o.open = lab_open_any;
    return o;
}

/* Ends the program as skipped when a backend finds no device. */
static inline void lab_skip_unless(const struct backend_ops *ops)
{
    struct backend *b = NULL;
    struct err e = {0};
    if (ops->open(&b, 0, 1, &e) == ERR_DEVICE) {
        printf("skipped: no %s here: %s\n", ops->name, e.text);
        exit(77);
    }
    if (b)
        ops->close(b);
}

#endif
