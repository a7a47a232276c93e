/* sim/cache.h: where a command keeps the training results that later runs take: its options, the
 * folder that follows from them, and the store in it.
 *
 * --cache DIR, otherwise $XDG_CACHE_HOME/veryedge (when that is an absolute path), otherwise
 * $HOME/.cache/veryedge, otherwise none. --no-cache: none. --cache-size SIZE bounds it. */
#ifndef SIM_CACHE_H
#define SIM_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/log.h"
#include "sim/base/mem.h"
#include "sim/base/store.h"
#include "sim/cli.h"

struct cache_args {
    const char *folder, *size;
    bool is_off;
};

/* Rows for a command's table of options; a: a struct cache_args. */
#define CACHE_OPTIONS(a)                                                                           \
    CLI_TEXT("cache", "DIR", "of known training results (default: ~/.cache/veryedge)",             \
             &(a).folder),                                                                         \
        CLI_FLAG("no-cache", "train everything anew, keep nothing", &(a).is_off),                  \
        CLI_TEXT("cache-size", "SIZE", "the cache's largest size (default 2GB)", &(a).size)

struct cache {
    const char *folder; /* absolute; NULL: none */
    bool is_asked_for;  /* named on the command line: must work */
    size_t max_bytes;
};

/* Texts lie in the arena. ERR_INPUT for a size that is none, or options that contradict. */
enum err_code cache_resolve(struct cache *out, const struct cache_args *args, struct arena *a,
                            struct err *e);
/* The same for a child's command line: at most CACHE_MAX_ARGS words, put at argv; returns how many.
 */
enum { CACHE_MAX_ARGS = 2 };
size_t cache_words(const struct cache *c, const char **argv, struct arena *a);

/* *out NULL when there is none, or when the default folder cannot be used, which is warned of. */
enum err_code cache_open(struct store **out, const struct cache *c, struct log *log, struct err *e);
/* Warns of damaged blocks, of results too large to be kept and of a store that took no more. */
void cache_warn(struct store *s, struct log *log);

#endif
