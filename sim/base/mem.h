/* sim/base/mem.h: memory by lifetime, and products of sizes that cannot overflow.
 *
 * Small host allocations come from an arena: one lifetime, one free. An arena aborts when memory is
 * gone, so its callers have no error path. Big blocks (weights, activations, datasets) are sized
 * first with size_mul*, then asked for with mem_big, which refuses with a message. */
#ifndef SIM_BASE_MEM_H
#define SIM_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

/* *out = a * b (* c); false, and *out untouched, when it does not fit size_t. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_mul3(size_t a, size_t b, size_t c, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* An arena grows in blocks and frees them together. Zero-initialised storage is an empty arena. */
struct arena {
    struct arena_block *head;
    size_t n_bytes; /* handed out so far */
};

/* n objects of size bytes each, zeroed, aligned to 16. Aborts when memory is gone. n = 0 gives a valid
 * pointer of no use. */
void *arena_alloc(struct arena *a, size_t n, size_t size);
#define ARENA_NEW(a, type, n) ((type *)arena_alloc((a), (n), sizeof(type)))

char *arena_strdup(struct arena *a, const char *s);
/* printf into the arena. */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a); /* a may be NULL or empty; leaves it empty */

/* A zeroed block of n_bytes aligned to 64, or ERR_MEMORY with "what needs 12.3 GiB". Freed by mem_free. */
enum err_code mem_big(void **out, size_t n_bytes, const char *what, struct err *e);
void mem_free(void *p); /* NULL is fine */

/* Memory that this process has in use now, program and libraries included: what has been written to or read. 0: not
 * known. */
size_t mem_resident_bytes(void);

/* Grows a heap array to hold at least n_wanted items of size bytes, doubling; aborts when memory is gone.
 * Use: mem_grow((void **)&v->item, &v->cap, n + 1, sizeof(*v->item)). Freed by mem_free. */
void mem_grow(void **items, size_t *cap, size_t n_wanted, size_t size);

#endif
