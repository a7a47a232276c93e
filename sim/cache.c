#include "sim/cache.h"

#include <stdlib.h>

#include "sim/base/file.h"
#include "sim/base/text.h"

#define DEFAULT_BYTES 2e9
#define MAX_BYTES 1e15

static const char *default_folder(struct arena *a)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') /* the standard: others are to be ignored */
        return arena_printf(a, "%s/veryedge", cache);
    return home && home[0] == '/' ? arena_printf(a, "%s/.cache/veryedge", home) : NULL;
}

enum err_code cache_resolve(struct cache *out, const struct cache_args *args, struct arena *a,
                            struct err *e)
{
    struct cache c = {.is_asked_for = args->folder != NULL};
    double bytes = DEFAULT_BYTES;
    if (args->is_off && (args->folder || args->size))
        return err_set(e, ERR_INPUT, "--no-cache: expected it without %s",
                       args->folder ? "--cache" : "--cache-size");
    if (args->folder && !args->folder[0])
        return err_set(e, ERR_INPUT, "--cache: expected the name of a folder");
    if (args->size) {
        enum err_code code = text_quantity(args->size, UNIT_SIZE_BYTES, (double)STORE_MIN_BYTES,
                                           MAX_BYTES, &bytes, e);
        if (code)
            return err_in(e, code, "--cache-size");
    }
    c.max_bytes = (size_t)bytes;
    if (args->folder) {
        char *absolute = file_absolute(args->folder);
        c.folder = arena_strdup(a, absolute);
        mem_free(absolute);
    } else if (!args->is_off) {
        c.folder = default_folder(a);
    }
    *out = c;
    return OK;
}

size_t cache_words(const struct cache *c, const char **argv, struct arena *a)
{
    if (!c->folder) {
        argv[0] = "--no-cache";
        return 1;
    }
    size_t n = 0;
    if (c->is_asked_for) /* a child finds the default itself, and may do without it */
        argv[n++] = arena_printf(a, "--cache=%s", c->folder);
    argv[n++] = arena_printf(a, "--cache-size=%zuB", c->max_bytes);
    return n;
}

enum err_code cache_open(struct store **out, const struct cache *c, struct log *log, struct err *e)
{
    struct err why = {0};
    *out = NULL;
    if (!c->folder)
        return OK;
    enum err_code code = store_open(out, c->folder, c->max_bytes, &why);
    if (!code)
        return OK;
    if (c->is_asked_for) {
        if (e)
            *e = why;
        return err_in(e, code, "--cache");
    }
    log_warn(log, "training results are not kept: %s", why.text);
    return OK;
}

void cache_warn(struct store *s, struct log *log)
{
    struct store_report r;
    store_report(s, &r);
    if (r.n_damaged == 1)
        log_warn(log, "a known result could not be used and was computed again: %s", r.damaged);
    else if (r.n_damaged > 1)
        log_warn(log, "%zu known results could not be used and were computed again, the first: %s",
                 r.n_damaged, r.damaged);
    if (r.n_too_large > 0)
        log_warn(log, "%zu results are larger than a quarter of --cache-size and were not kept",
                 r.n_too_large);
    if (r.unwritable[0])
        log_warn(log, "training results are no longer kept: %s", r.unwritable);
}
