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
