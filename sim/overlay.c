#include "sim/overlay.h"

#include <string.h>
#include <sys/stat.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"

/* The files from the scenario to its last base, in the order they were opened. */
struct chain {
    size_t n;
    char *path[OVERLAY_MAX_FILES];
    dev_t device[OVERLAY_MAX_FILES];
    ino_t inode[OVERLAY_MAX_FILES];
};

/* Takes over path. Refuses a file that is in the chain already, by whatever name. */
static enum err_code chain_add(struct chain *c, char *path, struct json where, struct err *e)
{
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    for (size_t i = 0; is_there && i < c->n; i++)
        if (c->device[i] == st.st_dev && c->inode[i] == st.st_ino) {
            enum err_code code =
                json_fail(where, "extends", e, "%s extends itself in the end", path);
            mem_free(path);
            return code;
        }
    if (c->n == OVERLAY_MAX_FILES) {
        mem_free(path);
        return json_fail(where, "extends", e, "expected at most %d files in a chain",
                         OVERLAY_MAX_FILES);
    }
    if (is_there) {
        c->device[c->n] = st.st_dev;
        c->inode[c->n] = st.st_ino;
    }
    c->path[c->n++] = path;
    return OK;
}

/* Loads the file and, below it, what it extends. */
static enum err_code load_over_base(struct json_doc **out, struct chain *c, struct err *e)
{
    struct json_doc *own = NULL, *base = NULL;
    const char *extends, *nothing = NULL;
    enum err_code code = json_load(&own, c->path[c->n - 1], e);
    if (code)
        return code;
    struct json root = json_root(own);
    if (!json_is_object(root))
        code = json_fail(root, NULL, e, "expected an object { ... }");
    if (!code)
        code = json_string(root, "extends", &nothing, &extends, e);
    if (code || !extends)
        goto done;
    char *folder = file_folder_of(json_origin(root, "extends"));
    char *path = file_join(folder, extends);
    mem_free(folder);
    code = chain_add(c, path, root, e);
    if (!code && !file_exists(path))
        code = json_fail(root, "extends", e, "no such file: %s", path);
    if (!code)
        code = load_over_base(&base, c, e);
    if (code)
        goto done;
    json_remove(root, "extends");
    code = json_merge(base, own, e);
    if (!code) {
        json_close(own);
        own = base;
        base = NULL;
    }
done:
    if (!code) {
        *out = own;
        own = NULL;
    }
    json_close(base);
    json_close(own);
    return code;
}

enum err_code overlay_load(struct json_doc **out, const char *path, size_t n_sets,
                           const char *const *sets, struct err *e)
{
    struct chain c = {0};
    struct json_doc *doc = NULL;
    struct stat st;
    c.path[0] = file_join(".", path);
    c.n = 1;
    if (stat(path, &st) == 0) {
        c.device[0] = st.st_dev;
        c.inode[0] = st.st_ino;
    }
    enum err_code code = load_over_base(&doc, &c, e);
    for (size_t i = 0; i < n_sets && !code; i++) {
        code = strncmp(sets[i], "extends=", 8) == 0
                   ? err_set(e, ERR_INPUT, "--set %.200s: extends belongs into a file", sets[i])
                   : json_set(doc, sets[i], e);
    }
    for (size_t i = 0; i < c.n; i++)
        mem_free(c.path[i]);
    if (code) {
        json_close(doc);
        return code;
    }
    *out = doc;
    return OK;
}
