#include "sim/base/json.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/json_node.h"
#include "sim/base/mem.h"

#define MAX_PATH 512
#define MAX_SOURCES 200

/* cJSON keeps the kind of a value in the low byte of `type` and two flags above it. We keep there,
 * too, whether somebody read the value and which source (file) it came from. */
#define WAS_READ (1 << 12)
#define SOURCE_SHIFT 16
#define SOURCE_MASK (0xff << SOURCE_SHIFT)

/* A key that was asked for and is not there: what a mistyped key is compared with. */
struct asked {
    const cJSON *object;
    const char *key;
};

struct json_doc {
    cJSON *root;
    struct arena arena;
    const char *source[MAX_SOURCES];
    int n_sources;
    struct asked *asked;
    size_t n_asked, cap_asked;
    /* Lists are linked: remember the last place, so that walking one by index is linear. */
    const cJSON *counted, *walked;
    size_t count, walked_i;
    cJSON *walked_item;
};

/* The only two places where the two names of one thing meet. */
static cJSON *node_of(struct json j)
{
    return (cJSON *)(void *)j.node;
}

static struct json cursor(struct json_doc *doc, cJSON *item)
{
    return (struct json){doc, (struct json_node *)(void *)item};
}

static const char *source_of(const struct json_doc *doc, const cJSON *item)
{
    int i = (item->type & SOURCE_MASK) >> SOURCE_SHIFT;
    return i < doc->n_sources ? doc->source[i] : doc->source[0];
}

static void set_source(cJSON *item, int source)
{
    for (; item; item = item->next) {
        item->type = (item->type & ~SOURCE_MASK) | source << SOURCE_SHIFT;
        set_source(item->child, source);
    }
}

/* --- messages --- */

/* Writes the dotted path from `from` to `target` into path; false if it is not below `from`. */
static bool path_to(const cJSON *from, const cJSON *target, char *path, size_t n_path)
{
    size_t used = strlen(path);
    size_t i = 0;
    if (from == target)
        return true;
    for (const cJSON *c = from->child; c; c = c->next, i++) {
        if (cJSON_IsArray(from))
            snprintf(path + used, n_path - used, "[%zu]", i);
        else
            snprintf(path + used, n_path - used, "%s%s", used ? "." : "", c->string);
        if (path_to(c, target, path, n_path))
            return true;
        path[used] = 0;
    }
    return false;
}

/* "FILE: PATH" of key in object (key NULL: of the value itself). */
static void place_of(struct json j, const char *key, char *out, size_t n)
{
    char path[MAX_PATH] = "";
    const cJSON *object = node_of(j), *item = object;
    if (object && j.doc->root)
        path_to(j.doc->root, object, path, sizeof(path));
    if (object && key) {
        const cJSON *child = cJSON_GetObjectItemCaseSensitive(object, key);
        item = child ? child : object;
    }
    const char *file = item ? source_of(j.doc, item) : j.doc ? j.doc->source[0] : "";
    if (key)
        snprintf(out, n, "%s: %s%s%s", file, path, path[0] ? "." : "", key);
    else
        snprintf(out, n, "%s%s%s", file, path[0] ? ": " : "", path);
}

enum err_code json_fail(struct json object, const char *key, struct err *e, const char *format, ...)
{
    char place[2 * MAX_PATH], said[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof(said), format, args);
    va_end(args);
    place_of(object, key, place, sizeof(place));
    return err_set(e, ERR_INPUT, "%s: %s", place, said);
}

void json_describe(struct json value, char out[80])
{
    const cJSON *item = node_of(value);
    char number[32];
    if (cJSON_IsString(item)) {
        snprintf(out, 80, "\"%.60s\"", item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        text_shortest(number, item->valuedouble);
        snprintf(out, 80, "%s", number);
    } else {
        snprintf(out, 80, "%s",
                 cJSON_IsObject(item)  ? "an object"
                 : cJSON_IsArray(item) ? "a list"
                 : cJSON_IsTrue(item)  ? "true"
                 : cJSON_IsFalse(item) ? "false"
                                       : "null");
    }
}

enum err_code json_wrong_kind(struct json value, const char *wanted, struct err *e)
{
    char got[80];
    json_describe(value, got);
    return json_fail(value, NULL, e, "expected %s, got %s", wanted, got);
}

/* --- parsing --- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code refuse_duplicates(struct json_doc *doc, cJSON *item, struct err *e)
{
    enum err_code code = OK;
    if (cJSON_IsObject(item)) {
        const char **keys = NULL;
        size_t n = 0, cap = 0;
        for (const cJSON *c = item->child; c; c = c->next) {
            mem_grow((void **)&keys, &cap, n + 1, sizeof(*keys));
            keys[n++] = c->string;
        }
        if (n > 1)
            qsort(keys, n, sizeof(*keys), compare_keys);
        for (size_t i = 1; i < n && !code; i++)
            if (strcmp(keys[i - 1], keys[i]) == 0)
                code = json_fail(cursor(doc, item), keys[i], e, "this key is there twice");
        mem_free(keys);
    }
    for (cJSON *c = item->child; c && !code; c = c->next)
        code = refuse_duplicates(doc, c, e);
    return code;
}

enum err_code json_parse(struct json_doc **out, const char *name, const char *text, size_t n,
                         struct err *e)
{
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3; /* byte order mark */
        n -= 3;
    }
    enum err_code code = json_scan(name, text, n, e);
    if (code)
        return code;
    char *copy = malloc(n + 1); /* cJSON's check for trailing text wants a zero at the end */
    CHECK(copy && "out of memory");
    memcpy(copy, text, n);
    copy[n] = 0;
    struct json_doc *doc = calloc(1, sizeof(*doc));
    CHECK(doc && "out of memory");
    doc->source[0] = arena_strdup(&doc->arena, name);
    doc->n_sources = 1;
    const char *stop = NULL;
    doc->root = cJSON_ParseWithLengthOpts(copy, n + 1, &stop, 1);
    if (!doc->root)
        code = json_scan_stopped(name, copy, n, stop, e);
    else
        code = refuse_duplicates(doc, doc->root, e);
    mem_free(copy);
    if (code) {
        json_close(doc);
        return code;
    }
    *out = doc;
    return OK;
}

enum err_code json_load(struct json_doc **out, const char *path, struct err *e)
{
    struct file f = {0};
    enum err_code code = file_map(&f, path, e);
    if (code)
        return code;
    code = json_parse(out, path, (const char *)f.bytes, f.n_bytes, e);
    file_unmap(&f);
    return code;
}

void json_close(struct json_doc *doc)
{
    if (!doc)
        return;
    cJSON_Delete(doc->root);
    arena_free(&doc->arena);
    mem_free(doc->asked);
    mem_free(doc);
}

struct json json_root(struct json_doc *doc)
{
    return cursor(doc, doc->root);
}

const char *json_origin(struct json object, const char *key)
{
    const cJSON *item = node_of(object);
    if (item && key)
        item = cJSON_GetObjectItemCaseSensitive(item, key);
    return item ? source_of(object.doc, item) : NULL;
}

/* --- merging --- */

static void merge_into(cJSON *base, const cJSON *over)
{
    for (const cJSON *o = over->child; o; o = o->next) {
        cJSON *b = cJSON_GetObjectItemCaseSensitive(base, o->string);
        if (b && cJSON_IsObject(b) && cJSON_IsObject(o)) {
            merge_into(b, o);
            continue;
        }
        if (cJSON_IsNull(o)) {
            cJSON_DeleteItemFromObjectCaseSensitive(base, o->string);
            continue;
        }
        cJSON *copy = cJSON_Duplicate(o, 1);
        CHECK(copy && "out of memory");
        if (b)
            CHECK(cJSON_ReplaceItemInObjectCaseSensitive(base, o->string, copy));
        else
            CHECK(cJSON_AddItemToObject(base, o->string, copy));
    }
}

/* Shifts the source numbers of a tree by n. */
static void shift_sources(cJSON *item, int n)
{
    for (; item; item = item->next) {
        int own = (item->type & SOURCE_MASK) >> SOURCE_SHIFT;
        item->type = (item->type & ~SOURCE_MASK) | (own + n) << SOURCE_SHIFT;
        shift_sources(item->child, n);
    }
}

enum err_code json_merge(struct json_doc *base, struct json_doc *over, struct err *e)
{
    if (!cJSON_IsObject(base->root))
        return json_wrong_kind(json_root(base), "an object", e);
    if (!cJSON_IsObject(over->root))
        return json_wrong_kind(json_root(over), "an object", e);
    if (base->n_sources + over->n_sources > MAX_SOURCES)
        return json_fail(json_root(over), NULL, e,
                         "expected at most %d files and settings together", MAX_SOURCES);
    for (int i = 0; i < over->n_sources; i++)
        base->source[base->n_sources + i] = arena_strdup(&base->arena, over->source[i]);
    shift_sources(over->root, base->n_sources);
    merge_into(base->root, over->root);
    shift_sources(over->root, -base->n_sources);
    base->n_sources += over->n_sources;
    base->counted = base->walked = NULL;
    return OK;
}

/* One step of an assignment's path: a name, or [index]. Moves *at behind it. Names end at '.', '['
 * and 0. */
static enum err_code next_step(const char **at, const char *all, char name[128], long *index,
                               struct err *e)
{
    const char *p = *at;
    if (*p == '[') {
        char *end;
        *index = isdigit((unsigned char)p[1]) ? strtol(p + 1, &end, 10) : -1;
        if (*index < 0 || *index > 1000000 || *end != ']')
            return err_set(e, ERR_INPUT, "--set %.200s: expected an index such as [0]", all);
        p = end + 1;
        name[0] = 0;
    } else {
        size_t n = strcspn(p, ".[");
        if (n == 0 || n >= 128)
            return err_set(e, ERR_INPUT, "--set %.200s: expected KEY=VALUE, such as a.b=1", all);
        memcpy(name, p, n);
        name[n] = 0;
        *index = -1;
        p += n;
    }
    if (*p == '.' && p[1] && p[1] != '[')
        p++;
    else if (*p && *p != '[')
        return err_set(e, ERR_INPUT, "--set %.200s: expected KEY=VALUE, such as a.b=1", all);
    *at = p;
    return OK;
}

/* Goes down to the child that the step names; an object's missing child is made as an empty object.
 */
static enum err_code descend(struct json_doc *doc, cJSON **item, const char *name, long index,
                             cJSON *leaf, const char *all, struct err *e)
{
    cJSON *parent = *item;
    int n_items = cJSON_GetArraySize(parent);
    if (index >= 0 && (!cJSON_IsArray(parent) || index >= n_items))
        return err_set(e, ERR_INPUT, "--set %.200s: expected an index below %d, got [%ld]", all,
                       cJSON_IsArray(parent) ? n_items : 0, index);
    if (index < 0 && !cJSON_IsObject(parent)) {
        char got[80];
        json_describe(cursor(doc, parent), got);
        return err_set(e, ERR_INPUT, "--set %.200s: expected an object above \"%s\", got %s", all,
                       name, got);
    }
    if (index >= 0) {
        if (leaf)
            CHECK(cJSON_ReplaceItemInArray(parent, (int)index, leaf));
        *item = leaf ? leaf : cJSON_GetArrayItem(parent, (int)index);
        return OK;
    }
    cJSON *child = cJSON_GetObjectItemCaseSensitive(parent, name);
    if (child && leaf) {
        CHECK(cJSON_ReplaceItemInObjectCaseSensitive(parent, name, leaf));
    } else if (!child) {
        child = leaf ? leaf : cJSON_CreateObject();
        CHECK(child && cJSON_AddItemToObject(parent, name, child));
        if (!leaf)
            set_source(child, doc->n_sources - 1);
    }
    *item = leaf ? leaf : child;
    return OK;
}

enum err_code json_set(struct json_doc *doc, const char *assignment, struct err *e)
{
    const char *equals = strchr(assignment, '=');
    char path[MAX_PATH], name[128];
    long index = -1;
    if (!equals || equals == assignment || (size_t)(equals - assignment) >= sizeof(path))
        return err_set(e, ERR_INPUT, "--set %.200s: expected KEY=VALUE, such as a.b=1", assignment);
    memcpy(path, assignment, (size_t)(equals - assignment));
    path[equals - assignment] = 0;
    if (doc->n_sources == MAX_SOURCES)
        return err_set(e, ERR_INPUT, "expected at most %d files and settings together",
                       MAX_SOURCES);
    struct json_doc *parsed = NULL;
    cJSON *value;
    if (equals[1] && json_parse(&parsed, "--set", equals + 1, strlen(equals + 1), NULL) == OK) {
        value = parsed->root;
        parsed->root = NULL;
        json_close(parsed);
    } else {
        value = cJSON_CreateString(equals + 1);
        CHECK(value && "out of memory");
    }
    doc->source[doc->n_sources] = "--set";
    set_source(value, doc->n_sources++);
    doc->counted = doc->walked = NULL;
    cJSON *item = doc->root;
    for (const char *at = path; *at;) {
        cJSON *parent = item;
        enum err_code code = next_step(&at, assignment, name, &index, e);
        if (!code)
            code = descend(doc, &item, name, index, *at ? NULL : value, assignment, e);
        if (code) {
            cJSON_Delete(value);
            return code;
        }
        if (!*at && cJSON_IsNull(value) && index < 0)
            cJSON_Delete(cJSON_DetachItemViaPointer(parent, value));
    }
    return OK;
}

bool json_remove(struct json object, const char *key)
{
    cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(node_of(object), key);
    cJSON_Delete(item);
    object.doc->counted = object.doc->walked = NULL;
    return item != NULL;
}

/* --- reading --- */

static void remember_asked(struct json object, const char *key)
{
    struct json_doc *d = object.doc;
    mem_grow((void **)&d->asked, &d->cap_asked, d->n_asked + 1, sizeof(*d->asked));
    d->asked[d->n_asked++] = (struct asked){node_of(object), arena_strdup(&d->arena, key)};
}

struct json json_look_up(struct json object, const char *key)
{
    cJSON *item = node_of(object);
    if (!item || !key)
        return object;
    item = cJSON_GetObjectItemCaseSensitive(item, key);
    if (item)
        item->type |= WAS_READ;
    else
        remember_asked(object, key);
    return cursor(object.doc, item);
}

bool json_has(struct json object, const char *key)
{
    const cJSON *item = node_of(object);
    if (!item || !key)
        return item;
    bool is_there = cJSON_GetObjectItemCaseSensitive(item, key) != NULL;
    if (!is_there)
        remember_asked(object, key);
    return is_there;
}

bool json_is_string(struct json value)
{
    return cJSON_IsString(node_of(value));
}

bool json_is_object(struct json value)
{
    return cJSON_IsObject(node_of(value));
}

bool json_is_array(struct json value)
{
    return cJSON_IsArray(node_of(value));
}

bool json_is_number(struct json value)
{
    return cJSON_IsNumber(node_of(value));
}

bool json_is_bool(struct json value)
{
    return cJSON_IsBool(node_of(value));
}

bool json_is_true(struct json value)
{
    return cJSON_IsTrue(node_of(value));
}

const char *json_text_of(struct json string)
{
    return node_of(string)->valuestring;
}

double json_number_of(struct json number)
{
    return node_of(number)->valuedouble;
}

static enum err_code container(struct json j, const char *key, bool is_object, bool is_optional,
                               struct json *out, struct err *e)
{
    const char *wanted = is_object ? "an object" : "a list";
    cJSON *item = node_of(json_look_up(j, key));
    if (!item && is_optional) {
        *out = (struct json){j.doc, NULL};
        return OK;
    }
    if (!item)
        return json_fail(j, key, e, "expected %s, but the key is missing", wanted);
    if (is_object ? !cJSON_IsObject(item) : !cJSON_IsArray(item))
        return json_wrong_kind(cursor(j.doc, item), wanted, e);
    *out = cursor(j.doc, item);
    return OK;
}

enum err_code json_object(struct json object, const char *key, struct json *out, struct err *e)
{
    return container(object, key, true, false, out, e);
}

enum err_code json_object_opt(struct json object, const char *key, struct json *out, struct err *e)
{
    return container(object, key, true, true, out, e);
}

enum err_code json_array(struct json object, const char *key, struct json *out, struct err *e)
{
    return container(object, key, false, false, out, e);
}

enum err_code json_array_opt(struct json object, const char *key, struct json *out, struct err *e)
{
    return container(object, key, false, true, out, e);
}

enum err_code json_value(struct json object, const char *key, struct json *out, struct err *e)
{
    *out = json_look_up(object, key);
    return out->node ? OK : json_fail(object, key, e, "expected a value, but the key is missing");
}

size_t json_count(struct json j)
{
    const cJSON *item = node_of(j);
    if (!item)
        return 0;
    if (j.doc->counted != item) {
        j.doc->counted = item;
        j.doc->count = (size_t)cJSON_GetArraySize(item);
    }
    return j.doc->count;
}

struct json json_at(struct json array, size_t i)
{
    struct json_doc *d = array.doc;
    cJSON *list = node_of(array);
    CHECK(list && i < json_count(array));
    if (d->walked != list || d->walked_i > i) {
        d->walked = list;
        d->walked_i = 0;
        d->walked_item = list->child;
    }
    for (; d->walked_i < i; d->walked_i++)
        d->walked_item = d->walked_item->next;
    return cursor(d, d->walked_item);
}

const char *json_key_at(struct json object, size_t i)
{
    cJSON *item = node_of(json_at(object, i));
    item->type |= WAS_READ;
    return item->string;
}

static const char *nearest_asked(struct json object, const char *key)
{
    const struct json_doc *d = object.doc;
    const cJSON *o = node_of(object);
    const char **names = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < d->n_asked; i++)
        if (d->asked[i].object == o) {
            mem_grow((void **)&names, &cap, n + 1, sizeof(*names));
            names[n++] = d->asked[i].key;
        }
    for (const cJSON *c = o->child; c; c = c->next)
        if (c->type & WAS_READ) {
            mem_grow((void **)&names, &cap, n + 1, sizeof(*names));
            names[n++] = c->string;
        }
    const char *near = n ? text_nearest(key, names, n) : NULL;
    mem_free(names);
    return near;
}

enum err_code json_finish(struct json object, struct err *e)
{
    const cJSON *o = node_of(object);
    if (!o)
        return OK;
    for (const cJSON *c = o->child; c; c = c->next) {
        if (c->type & WAS_READ)
            continue;
        const char *near = nearest_asked(object, c->string);
        if (near)
            return json_fail(object, c->string, e, "unknown key, did you mean \"%s\"?", near);
        return json_fail(object, c->string, e, "unknown key");
    }
    return OK;
}
