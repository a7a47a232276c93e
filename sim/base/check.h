/* sim/base/check.h: CHECK(cond) for our own mistakes: preconditions, invariants, impossible branches.
 * It stays on in release builds, prints file, line and condition, and aborts. Input never reaches it. */
#ifndef SIM_BASE_CHECK_H
#define SIM_BASE_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #cond);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
