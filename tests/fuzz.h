/* tests/fuzz.h: what the fuzzers share. Each is one file tests/fuzz_<what>.c with libFuzzer's
 * entry: the first byte of an input chooses options, the rest goes where a user's file would.
 * Oracles: a refusal has a message of one line that names the file; what is accepted and written
 * reads back as the same.
 *
 *   cmake --preset fuzz && cmake --build --preset fuzz     clang's libFuzzer, address and undefined
 * sanitizers build/fuzz/tests/fuzz_weights -max_total_time=600 tests/corpus/weights
 *
 * Other builds link fuzz_main.c in its place, which takes the same arguments. An input that was a
 * find goes into tests/corpus/<what>, so that every run tries it again. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #cond);                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A folder of this process, in memory where the system has such a place; removed by rm_fuzz_folder
 * at exit. */
static inline char *fuzz_folder(void)
{
    static char path[64];
    if (!path[0]) {
        snprintf(path, sizeof(path), "%s/veryedge-fuzz.XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".");
        FUZZ_CHECK(mkdtemp(path));
    }
    return path;
}

/* The path of a file of that folder, in one of a few static buffers. */
static inline const char *fuzz_path(const char *name)
{
    static char path[4][160];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", fuzz_folder(), name);
    return p;
}

/* Writes a file of that folder; its path. */
static inline const char *fuzz_write(const char *name, const void *bytes, size_t n)
{
    const char *path = fuzz_path(name);
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && fwrite(bytes, 1, n, f) == n);
    FUZZ_CHECK(fclose(f) == 0);
    return path;
}

/* A refusal of the user's file: code, one line, and the words that name the place. */
static inline void fuzz_refused(enum err_code code, const struct err *e, const char *words)
{
    FUZZ_CHECK(code == ERR_INPUT || code == ERR_LIMIT);
    FUZZ_CHECK(e->code == code && e->text[0] && !strchr(e->text, '\n'));
    FUZZ_CHECK(strstr(e->text, words));
}

#endif
