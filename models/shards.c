#include "models/shards.h"

#include <string.h>

#include "models/weights.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

#define ONE_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"

struct shards {
    struct arena arena; /* owns this struct and its strings */
    const char *what;   /* the index, or the only file: for messages */
    const char *name[SHARDS_MAX_FILES];
    struct weights *file[SHARDS_MAX_FILES];
    size_t n_files;
};

static const struct weights *file_with(const struct shards *s, const char *tensor)
{
    for (size_t i = 0; i < s->n_files; i++)
        if (weights_find(s->file[i], tensor))
            return s->file[i];
    return NULL;
}

/* A name that cannot lead out of the folder. */
static bool is_plain(const char *name)
{
    static const char end[] = ".safetensors";
    size_t n = strlen(name), k = sizeof(end) - 1;
    return n > k && name[0] != '.' && !strchr(name, '/') && strcmp(name + n - k, end) == 0;
}

/* Three names of one tensor. Hugging Face's converter (safetensors' convert.py) keeps one of them in
 * the files and all in the index. */
static bool is_embedding(const char *tensor)
{
    return strcmp(tensor, "shared.weight") == 0 ||
           strcmp(tensor, "encoder.embed_tokens.weight") == 0 ||
           strcmp(tensor, "decoder.embed_tokens.weight") == 0;
}

static enum err_code add_file(struct shards *s, const char *folder, const char *name, size_t *which,
                              struct err *e)
{
    for (*which = 0; *which < s->n_files; ++*which)
        if (strcmp(s->name[*which], name) == 0)
            return OK;
    if (s->n_files == SHARDS_MAX_FILES)
        return err_set(e, ERR_LIMIT, "%s: more than %d files", s->what, SHARDS_MAX_FILES);
    char *path = file_join(folder, name);
    enum err_code code = weights_open(&s->file[s->n_files], path, e);
    if (!code)
        s->name[s->n_files++] = arena_strdup(&s->arena, name);
    mem_free(path);
    return code;
}

static enum err_code add_tensor(struct shards *s, const char *folder, struct json map, size_t i,
                                size_t *n_in_file, struct err *e)
{
    const char *tensor = json_key_at(map, i), *name;
    size_t which;
    enum err_code code = json_string(json_at(map, i), NULL, NULL, &name, e);
    if (code)
        return code;
    if (!is_plain(name))
        return json_fail(json_at(map, i), NULL, e,
                         "expected a .safetensors file of this folder, got \"%.200s\"", name);
    code = add_file(s, folder, name, &which, e);
    if (code)
        return code;
    if (!weights_find(s->file[which], tensor) && is_embedding(tensor))
        return OK;
    if (!weights_find(s->file[which], tensor))
        return json_fail(json_at(map, i), NULL, e, "%.200s holds no such tensor", name);
    n_in_file[which]++;
    return OK;
}

/* Names are unique in a file and in the index, so equal counts mean equal sets. */
static enum err_code check_strays(const struct shards *s, struct json map, const size_t *n_in_file,
                                  struct err *e)
{
    for (size_t f = 0; f < s->n_files; f++) {
        for (size_t i = 0; n_in_file[f] < weights_count(s->file[f]); i++) {
            const char *tensor = weights_at(s->file[f], i)->name, *where = "";
            if (json_has(map, tensor) && json_string(map, tensor, NULL, &where, NULL) == OK &&
                strcmp(where, s->name[f]) == 0)
                continue;
            return err_set(e, ERR_INPUT, "%s: %s holds %s, which the index does not give to it",
                           s->what, s->name[f], tensor);
        }
    }
    return OK;
}

static enum err_code open_index(struct shards *s, const char *folder, struct err *e)
{
    struct json_doc *doc = NULL;
    struct json map;
    struct arena scratch = {0};
    size_t *n_in_file = ARENA_NEW(&scratch, size_t, SHARDS_MAX_FILES);
    enum err_code code = json_load(&doc, s->what, e);
    if (!code)
        code = json_object(json_root(doc), "weight_map", &map, e);
    if (!code && json_count(map) == 0)
        code = json_fail(json_root(doc), "weight_map", e, "expected at least one tensor");
    for (size_t i = 0; !code && i < json_count(map); i++)
        code = add_tensor(s, folder, map, i, n_in_file, e);
    if (!code)
        code = check_strays(s, map, n_in_file, e);
    json_close(doc);
    arena_free(&scratch);
    return code;
}

static bool has_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    bool is_there = file_exists(path);
    mem_free(path);
    return is_there;
}

enum err_code shards_open(struct shards **out, const char *folder, struct err *e)
{
    bool is_one = has_file(folder, ONE_FILE), has_index = !is_one && has_file(folder, INDEX_FILE);
    if (!is_one && !has_index &&
        (has_file(folder, "pytorch_model.bin") || has_file(folder, "pytorch_model.bin.index.json")))
        return err_set(e, ERR_INPUT,
                       "%s: expected " ONE_FILE ", got pytorch_model.bin, which is code to run; "
                       "convert it in Python: T5ForConditionalGeneration.from_pretrained(DIR)"
                       ".save_pretrained(DIR, safe_serialization=True)",
                       folder);
    struct arena arena = {0};
    struct shards *s = ARENA_NEW(&arena, struct shards, 1);
    size_t which;
    char *path = file_join(folder, has_index ? INDEX_FILE : ONE_FILE);
    s->what = arena_strdup(&arena, path);
    s->arena = arena;
    mem_free(path);
    enum err_code code =
        has_index ? open_index(s, folder, e) : add_file(s, folder, ONE_FILE, &which, e);
    if (code)
        shards_close(s);
    else
        *out = s;
    return code;
}

void shards_close(struct shards *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_files; i++)
        weights_close(s->file[i]);
    struct arena arena = s->arena;
    arena_free(&arena);
}

size_t shards_count(const struct shards *s)
{
    size_t n = 0;
    for (size_t f = 0; f < s->n_files; f++)
        n += weights_count(s->file[f]);
    return n;
}

/* The file that holds tensor i of all, and its place in that file. */
static const struct weights *locate(const struct shards *s, size_t *i)
{
    size_t f = 0;
    for (; f < s->n_files && *i >= weights_count(s->file[f]); f++)
        *i -= weights_count(s->file[f]);
    CHECK(f < s->n_files);
    return s->file[f];
}

const char *shards_name_at(const struct shards *s, size_t i)
{
    const struct weights *w = locate(s, &i);
    return weights_at(w, i)->name;
}

const char *shards_path_at(const struct shards *s, size_t i)
{
    return weights_path(locate(s, &i));
}

bool shards_has(const struct shards *s, const char *name)
{
    return file_with(s, name) != NULL;
}

static enum err_code find_file(const struct shards *s, const char *name, const struct weights **out,
                               struct err *e)
{
    *out = file_with(s, name);
    return *out ? OK : err_set(e, ERR_INPUT, "%s: tensor %s is missing", s->what, name);
}

enum err_code shards_check(const struct shards *s, const char *name, int n_dims, const size_t *dim,
                           struct err *e)
{
    const struct weights *w;
    enum err_code code = find_file(s, name, &w, e);
    return code ? code : weights_check(w, name, n_dims, dim, e);
}

enum err_code shards_read(const struct shards *s, const char *name, int n_dims, const size_t *dim,
                          float *out, struct err *e)
{
    const struct weights *w;
    enum err_code code = find_file(s, name, &w, e);
    return code ? code : weights_read(w, name, n_dims, dim, out, e);
}
