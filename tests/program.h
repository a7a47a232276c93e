/* tests/program.h: runs the veryedge program as a user does, in a folder of the test's own, and reads what it
 * wrote. */
#ifndef TESTS_PROGRAM_H
#define TESTS_PROGRAM_H

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "tests/test.h"

#ifndef TEST_VERYEDGE
#define TEST_VERYEDGE "veryedge" /* CMake names the one it built */
#endif
#ifndef TEST_NAME
#define TEST_NAME "test" /* CMake gives each program its own, so that several can run at once */
#endif
#define PROGRAM_DIR TEST_NAME ".folder" /* in the current folder, made afresh by program_begin */

/* Remembered results lie in the test's folder as well: no test finds those of another, or of the user. */
static inline void program_begin(void)
{
    file_remove_tree(PROGRAM_DIR, NULL);
    mkdir(PROGRAM_DIR, 0755);
    char *cache = file_absolute(PROGRAM_DIR "/.cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    mem_free(cache);
}

static inline void program_end(void)
{
    file_remove_tree(PROGRAM_DIR, NULL);
}

/* Writes a file into the test's folder. */
static inline void program_write(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s", name);
    struct err e = {0};
    if (file_replace(path, text, strlen(text), &e))
        TEST_FAIL("%s", e.text);
}

/* Runs `veryedge ARGS` in the test's folder; stdout and stderr go to files out.txt and err.txt there. Returns
 * the exit status, or -1. */
__attribute__((format(printf, 1, 2))) static inline int program(const char *args, ...)
{
    char what[2048], line[4096];
    va_list list;
    va_start(list, args);
    vsnprintf(what, sizeof(what), args, list);
    va_end(list);
    snprintf(line, sizeof(line), "cd " PROGRAM_DIR " || exit 9; '%s' %s >out.txt 2>err.txt", TEST_VERYEDGE,
             what);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a file of the test's folder holds, in a static buffer of the first 64 KiB. */
static inline const char *program_text(const char *name)
{
    static char text[65536];
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s", name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = 0;
    if (f)
        fclose(f);
    return text;
}

static inline struct csv *program_csv(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s", name);
    struct csv *c = NULL;
    struct err e = {0};
    if (csv_load(&c, path, ',', &e))
        TEST_FAIL("%s", e.text);
    return c;
}

/* A number of a table; NaN for an empty cell or a missing column or row. */
static inline double program_cell(const struct csv *c, size_t row, const char *column)
{
    int i = c ? csv_find(c, column) : -1;
    if (i < 0 || row >= csv_rows(c) || !*csv_cell(c, row, (size_t)i))
        return (double)NAN;
    return atof(csv_cell(c, row, (size_t)i));
}

static inline const char *program_word(const struct csv *c, size_t row, const char *column)
{
    int i = c ? csv_find(c, column) : -1;
    return i < 0 || row >= csv_rows(c) ? "" : csv_cell(c, row, (size_t)i);
}

#endif
