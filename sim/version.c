#include "sim/version.h"

#include <stdio.h>

#include "sim/commit.h" /* made by sim/commit.cmake */

struct library {
    const char *name, *version;
};

/* As they were at build time. */
static const struct library LIBRARIES[] = {
    {"simgrid", VERYEDGE_SIMGRID},   {"libuv", VERYEDGE_LIBUV},
    {"openblas", VERYEDGE_OPENBLAS}, {"sentencepiece", VERYEDGE_SENTENCEPIECE},
    {"cjson", VERYEDGE_CJSON},       {"xxhash", VERYEDGE_XXHASH},
};

#define N_LIBRARIES (sizeof(LIBRARIES) / sizeof(LIBRARIES[0]))

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

void version_print(void)
{
    printf("veryedge %s", VERYEDGE_VERSION);
    if (VERYEDGE_COMMIT[0])
        printf(" (%s)", VERYEDGE_COMMIT);
    printf("\ncompiler %s\n", COMPILER);
    for (size_t i = 0; i < N_LIBRARIES; i++)
        printf("%s %s\n", LIBRARIES[i].name, LIBRARIES[i].version);
}

void version_write(struct json_out *o, const char *key)
{
    json_out_begin(o, key, '{');
    json_out_string(o, "veryedge", VERYEDGE_VERSION);
    json_out_string(o, "commit", VERYEDGE_COMMIT);
    json_out_string(o, "compiler", COMPILER);
    for (size_t i = 0; i < N_LIBRARIES; i++)
        json_out_string(o, LIBRARIES[i].name, LIBRARIES[i].version);
    json_out_end(o, '}');
}
