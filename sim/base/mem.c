#define _DEFAULT_SOURCE /* madvise */

#include "sim/base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/base/check.h"

#define ARENA_FIRST_BYTES ((size_t)2 << 10) /* of the first block; each next one has twice as many ... */
#define ARENA_BLOCK_BYTES ((size_t)64 << 10) /* ... up to these */
#define ALIGN ((size_t)16)
#define BIG_ALIGN ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20) /* of x86-64 and AArch64; from two of them on a block asks for such */
#define ASKED_BYTES ((size_t)256 << 20) /* smaller blocks are not worth a look at the machine */

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(16) unsigned char bytes[];
};

bool size_mul(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

bool size_mul3(size_t a, size_t b, size_t c, size_t *out)
{
    size_t ab, abc;
    if (!size_mul(a, b, &ab) || !size_mul(ab, c, &abc))
        return false;
    *out = abc;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    CHECK(size_mul(n, size, &bytes) && bytes < SIZE_MAX / 2);
    bytes = (bytes + ALIGN - 1) & ~(ALIGN - 1);
    struct arena_block *b = a->head;
    if (!b || b->cap - b->used < bytes) {
        size_t cap = b ? 2 * b->cap : ARENA_FIRST_BYTES; /* arenas that hold little take little */
        cap = cap < ARENA_BLOCK_BYTES ? cap : ARENA_BLOCK_BYTES;
        cap = cap > bytes ? cap : bytes;
        b = calloc(1, sizeof(*b) + cap);
        CHECK(b && "out of memory");
        b->cap = cap;
        b->next = a->head;
        a->head = b;
    }
    void *p = b->bytes + b->used;
    b->used += bytes;
    a->n_bytes += bytes;
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(arena_alloc(a, n, 1), s, n);
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(n >= 0);
    char *s = arena_alloc(a, (size_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, format, again);
    va_end(again);
    return s;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){0};
}

/* Memory that could be given without swapping, or NaN where the system does not say. Linux hands out addresses
 * freely and kills the process when they are used. */
static double available_bytes(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[128];
    double kib = (double)NAN;
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return 1024 * kib;
}

static enum err_code too_big(const char *what, size_t n_bytes, struct err *e)
{
    return err_set(e, ERR_MEMORY, "%s needs %.1f GiB of memory, which this machine does not give", what,
                   (double)n_bytes / (1024.0 * 1024.0 * 1024.0));
}

/* In huge pages: the processor looks up fewer addresses, and rows of activations lie pages apart. Where the system has
 * none, or was told to give none, nothing changes. */
static void *big_block(size_t n_bytes)
{
    bool is_huge = n_bytes >= 2 * HUGE_PAGE;
    void *p = NULL;
    if (posix_memalign(&p, is_huge ? HUGE_PAGE : BIG_ALIGN, n_bytes))
        return NULL;
#ifdef MADV_HUGEPAGE
    if (is_huge)
        madvise(p, n_bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return p;
}

enum err_code mem_big(void **out, size_t n_bytes, const char *what, struct err *e)
{
    size_t rounded;
    void *p = NULL;
    if (size_add(n_bytes, BIG_ALIGN - 1, &rounded)) {
        rounded &= ~(BIG_ALIGN - 1);
        if (rounded >= ASKED_BYTES && (double)rounded > available_bytes())
            return too_big(what, n_bytes, e);
        p = big_block(rounded ? rounded : BIG_ALIGN);
    }
    if (!p)
        return too_big(what, n_bytes, e);
    memset(p, 0, rounded ? rounded : BIG_ALIGN);
    *out = p;
    return OK;
}

void mem_free(void *p)
{
    free(p);
}

void mem_grow(void **items, size_t *cap, size_t n_wanted, size_t size)
{
    if (n_wanted <= *cap)
        return;
    size_t n = *cap ? *cap : 16, bytes;
    while (n < n_wanted)
        CHECK(size_mul(n, 2, &n));
    CHECK(size_mul(n, size, &bytes));
    void *p = realloc(*items, bytes);
    CHECK(p && "out of memory");
    *items = p;
    *cap = n;
}

size_t mem_resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    long page = sysconf(_SC_PAGESIZE);
    if (f && fscanf(f, "%*s %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return page > 0 ? (size_t)pages * (size_t)page : 0;
}
