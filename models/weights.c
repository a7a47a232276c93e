#include "models/weights.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

#define MAX_HEADER_BYTES 100000000u
/* Whole numbers up to here are exact in JSON's doubles. */
#define MAX_EXACT ((int64_t)1 << 53)

struct weights {
    struct arena arena; /* owns this struct and path */
    struct file file;
    struct json_doc *header; /* owns the names */
    const char *path;
    struct weights_tensor *tensor;
    size_t n, cap;
};

struct type_row {
    const char *name;
    size_t n_bytes;
};

/* Rows of enum weights_type. */
static const struct type_row types[N_WEIGHTS_TYPES] = {
    {"F32", 4}, {"F16", 2},  {"BF16", 2}, {"F64", 8},     {"I8", 1},
    {"U8", 1},  {"BOOL", 1}, {"I16", 2},  {"U16", 2},     {"I32", 4},
    {"U32", 4}, {"I64", 8},  {"U64", 8},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
};

/* Whether bytes are UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates. */
static bool is_utf8(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = s[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 4;
        if (more == 4 || more > n - i - 1)
            return false;
        unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        for (size_t j = 1; j <= more; j++) {
            if (s[i + j] < lo || s[i + j] > hi)
                return false;
            lo = 0x80;
            hi = 0xbf;
        }
        i += more + 1;
    }
    return true;
}

static uint64_t u64_of(const unsigned char *b)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | b[i];
    return v;
}

static enum err_code read_type(struct json entry, enum weights_type *out, struct err *e)
{
    const char *name[N_WEIGHTS_TYPES];
    size_t i;
    for (i = 0; i < N_WEIGHTS_TYPES; i++)
        name[i] = types[i].name;
    enum err_code code = json_choice(entry, "dtype", name, N_WEIGHTS_TYPES, NULL, &i, e);
    if (!code)
        *out = (enum weights_type)i;
    return code;
}

static enum err_code read_shape(struct json entry, struct weights_tensor *t, struct err *e)
{
    struct json shape;
    enum err_code code = json_array(entry, "shape", &shape, e);
    if (code)
        return code;
    if (json_count(shape) > WEIGHTS_MAX_DIMS)
        return json_fail(entry, "shape", e, "expected at most %d dimensions, got %zu",
                         WEIGHTS_MAX_DIMS, json_count(shape));
    t->n_dims = (int)json_count(shape);
    t->n_values = 1;
    for (int i = 0; i < t->n_dims; i++) {
        int64_t d;
        code = json_int(json_at(shape, (size_t)i), NULL, 0, MAX_EXACT, NULL, &d, e);
        if (code)
            return code;
        t->dim[i] = (size_t)d;
        if (!size_mul(t->n_values, t->dim[i], &t->n_values))
            return json_fail(entry, "shape", e, "expected a product that fits in 64 bits");
    }
    return OK;
}

/* One entry of the header. The span's place among the others is checked when all are known. */
static enum err_code read_entry(struct weights *w, struct json entry, const char *name,
                                size_t n_data, size_t base, struct err *e)
{
    struct weights_tensor t = {.name = name};
    struct json span;
    int64_t from, to;
    size_t n_bytes;
    enum err_code code = read_type(entry, &t.type, e);
    if (!code)
        code = read_shape(entry, &t, e);
    if (!code)
        code = json_array(entry, "data_offsets", &span, e);
    if (!code && json_count(span) != 2)
        code = json_fail(entry, "data_offsets", e, "expected 2 numbers, got %zu", json_count(span));
    if (!code)
        code = json_int(json_at(span, 0), NULL, 0, MAX_EXACT, NULL, &from, e);
    if (!code)
        code = json_int(json_at(span, 1), NULL, 0, MAX_EXACT, NULL, &to, e);
    if (code)
        return code;
    if (to < from || (uint64_t)to > n_data)
        return json_fail(entry, "data_offsets", e,
                         "expected a span within the %zu bytes of data, got %lld to %lld", n_data,
                         (long long)from, (long long)to);
    if (!size_mul(t.n_values, types[t.type].n_bytes, &n_bytes) || n_bytes != (uint64_t)(to - from))
        return json_fail(entry, "data_offsets", e,
                         "expected the size of the shape in %s, got a span of %lld bytes",
                         types[t.type].name, (long long)(to - from));
    t.bytes = w->file.bytes + base + (size_t)from;
    mem_grow((void **)&w->tensor, &w->cap, w->n + 1, sizeof(*w->tensor));
    w->tensor[w->n++] = t;
    return json_finish(entry, e);
}

/* In the order of the file. A tensor without values shares its place with the one that follows. */
static int by_place(const void *a, const void *b)
{
    const struct weights_tensor *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    if ((x->n_values == 0) != (y->n_values == 0))
        return x->n_values == 0 ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Spans follow each other without gap or overlap, to the end of the file. */
static enum err_code check_spans(const struct weights *w, size_t base, struct err *e)
{
    const unsigned char *at = w->file.bytes + base, *end = w->file.bytes + w->file.n_bytes;
    for (size_t i = 0; i < w->n; i++) {
        const struct weights_tensor *t = &w->tensor[i];
        if (t->bytes != at)
            return err_set(e, ERR_INPUT,
                           "%s: %s: expected its data to begin at byte %zu, got %zu: %s", w->path,
                           t->name, (size_t)(at - w->file.bytes) - base,
                           (size_t)(t->bytes - w->file.bytes) - base,
                           t->bytes < at ? "tensors overlap" : "there is a gap");
        at += t->n_values * types[t->type].n_bytes;
    }
    if (at != end)
        return err_set(e, ERR_INPUT,
                       "%s: expected the last tensor to end with the file, got %zu bytes more",
                       w->path, (size_t)(end - at));
    return OK;
}

static enum err_code check_metadata(struct json meta, struct err *e)
{
    if (!json_is_object(meta))
        return json_fail(meta, NULL, e, "expected an object of strings");
    for (size_t i = 0; i < json_count(meta); i++) {
        json_key_at(meta, i);
        if (!json_is_string(json_at(meta, i)))
            return json_fail(json_at(meta, i), NULL, e, "expected a string");
    }
    return OK;
}

static enum err_code read_header(struct weights *w, const unsigned char *text, size_t n,
                                 struct err *e)
{
    size_t base = 8 + n, n_data = w->file.n_bytes - base;
    if (!is_utf8(text, n))
        return err_set(e, ERR_INPUT, "%s: expected a header in UTF-8", w->path);
    enum err_code code = json_parse(&w->header, w->path, (const char *)text, n, e);
    if (code)
        return code;
    struct json root = json_root(w->header);
    if (!json_is_object(root))
        return err_set(e, ERR_INPUT, "%s: expected a header that is an object", w->path);
    for (size_t i = 0; !code && i < json_count(root); i++) {
        const char *name = json_key_at(root, i);
        struct json entry = json_at(root, i);
        if (strcmp(name, "__metadata__") == 0)
            code = check_metadata(entry, e);
        else if (!json_is_object(entry))
            code =
                json_fail(entry, NULL, e, "expected an object with dtype, shape and data_offsets");
        else
            code = read_entry(w, entry, name, n_data, base, e);
    }
    if (code)
        return code;
    if (w->n)
        qsort(w->tensor, w->n, sizeof(*w->tensor), by_place);
    return check_spans(w, base, e);
}

static enum err_code check_length(const struct weights *w, uint64_t *n, struct err *e)
{
    size_t n_file = w->file.n_bytes;
    if (n_file < 8)
        return err_set(e, ERR_INPUT, "%s: expected a safetensors file, got %zu bytes", w->path,
                       n_file);
    *n = u64_of(w->file.bytes);
    if (*n > MAX_HEADER_BYTES)
        return err_set(e, ERR_INPUT, "%s: expected a header of at most %u bytes, it says %llu",
                       w->path, MAX_HEADER_BYTES, (unsigned long long)*n);
    if (*n > n_file - 8)
        return err_set(e, ERR_INPUT, "%s: expected a header of %llu bytes, the file ends after %zu",
                       w->path, (unsigned long long)*n, n_file - 8);
    if (*n == 0 || w->file.bytes[8] != '{')
        return err_set(e, ERR_INPUT, "%s: expected a header that begins with {", w->path);
    return OK;
}

enum err_code weights_open(struct weights **out, const char *path, struct err *e)
{
    uint64_t n = 0;
    struct arena arena = {0};
    struct weights *w = ARENA_NEW(&arena, struct weights, 1);
    w->path = arena_strdup(&arena, path);
    w->arena = arena;
    enum err_code code = file_map(&w->file, path, e);
    if (!code)
        code = check_length(w, &n, e);
    if (!code)
        code = read_header(w, w->file.bytes + 8, (size_t)n, e);
    if (code)
        weights_close(w);
    else
        *out = w;
    return code;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    json_close(w->header);
    file_unmap(&w->file);
    mem_free(w->tensor);
    struct arena arena = w->arena;
    arena_free(&arena);
}

const char *weights_path(const struct weights *w)
{
    return w->path;
}

size_t weights_count(const struct weights *w)
{
    return w->n;
}

const struct weights_tensor *weights_at(const struct weights *w, size_t i)
{
    CHECK(i < w->n);
    return &w->tensor[i];
}

const struct weights_tensor *weights_find(const struct weights *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->tensor[i].name, name) == 0)
            return &w->tensor[i];
    }
    return NULL;
}

/* "[64, 32]" */
static void shape_text(char *out, size_t n, int n_dims, const size_t *dim)
{
    size_t at = (size_t)snprintf(out, n, "[");
    for (int i = 0; i < n_dims && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%zu", i ? ", " : "", dim[i]);
    if (at < n)
        snprintf(out + at, n - at, "]");
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u;
}

/* IEEE binary16, exact: subnormals are scaled, the rest is re-biased. */
static float from_half(uint32_t h)
{
    uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 0)
        return from_bits(sign | to_bits((float)fraction * 0x1p-24f));
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | fraction << 13);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static float value_at(const struct weights_tensor *t, size_t i)
{
    if (t->type == WEIGHTS_F32) {
        float f;
        memcpy(&f, t->bytes + 4 * i, sizeof(f));
        return f;
    }
    uint32_t u = (uint32_t)t->bytes[2 * i] | (uint32_t)t->bytes[2 * i + 1] << 8;
    return t->type == WEIGHTS_BF16 ? from_bits(u << 16) : from_half(u);
}

enum err_code weights_check(const struct weights *w, const char *name, int n_dims,
                            const size_t *dim, struct err *e)
{
    const struct weights_tensor *t = weights_find(w, name);
    if (!t)
        return err_set(e, ERR_INPUT, "%s: tensor %s is missing", w->path, name);
    bool is_same = t->n_dims == n_dims;
    for (int i = 0; is_same && i < n_dims; i++)
        is_same = t->dim[i] == dim[i];
    if (!is_same) {
        char want[160], got[160];
        shape_text(want, sizeof(want), n_dims, dim);
        shape_text(got, sizeof(got), t->n_dims, t->dim);
        return err_set(e, ERR_INPUT, "%s: %s: expected shape %s, got %s", w->path, name, want, got);
    }
    if (t->type > WEIGHTS_BF16)
        return err_set(e, ERR_INPUT, "%s: %s: expected F32, F16 or BF16, got %s", w->path, name,
                       types[t->type].name);
    return OK;
}

enum err_code weights_read(const struct weights *w, const char *name, int n_dims, const size_t *dim,
                           float *out, struct err *e)
{
    enum err_code code = weights_check(w, name, n_dims, dim, e);
    if (code)
        return code;
    const struct weights_tensor *t = weights_find(w, name);
    for (size_t i = 0; i < t->n_values; i++) {
        out[i] = value_at(t, i);
        if (!isfinite(out[i]))
            return err_set(e, ERR_INPUT, "%s: %s: value %zu is not a finite number", w->path, name,
                           i);
    }
    return OK;
}

/* Rounds to nearest, ties to even; finite values only, large ones become infinite. */
static uint16_t to_bf16(float f)
{
    uint32_t u = to_bits(f);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

static uint16_t to_half(float f)
{
    uint32_t u = to_bits(f), sign = u >> 16 & 0x8000u;
    double a = fabs((double)f);
    if (a >= 65520)
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x1p-14) /* subnormal: a whole number of 2^-24 */
        return (uint16_t)(sign | (uint32_t)nearbyint(a * 0x1p24));
    u &= 0x7fffffffu;
    u += 0xfffu + (u >> 13 & 1u);
    return (uint16_t)(sign | ((u >> 13) - (112u << 10)));
}

static enum err_code write_values(struct file_out *f, const struct weights_item *it, size_t n,
                                  enum weights_type type, struct err *e)
{
    enum { CHUNK = 4096 };
    unsigned char bytes[CHUNK * 4];
    for (size_t from = 0; from < n; from += CHUNK) {
        size_t m = n - from < CHUNK ? n - from : CHUNK, at = 0;
        for (size_t i = from; i < from + m; i++) {
            uint32_t u = type == WEIGHTS_F32    ? to_bits(it->values[i])
                         : type == WEIGHTS_BF16 ? to_bf16(it->values[i])
                                                : to_half(it->values[i]);
            for (size_t j = 0; j < types[type].n_bytes; j++)
                bytes[at++] = (unsigned char)(u >> (8 * j));
        }
        enum err_code code = file_write(f, bytes, at, e);
        if (code)
            return code;
    }
    return OK;
}

static size_t item_values(const struct weights_item *it)
{
    size_t n = 1;
    for (int i = 0; i < it->n_dims; i++)
        CHECK(size_mul(n, it->dim[i], &n));
    return n;
}

static void write_header(struct json_out *o, const struct weights_item *item, size_t n,
                         enum weights_type type)
{
    size_t at = 0;
    json_out_begin_inline(o, NULL, '{');
    json_out_begin_inline(o, "__metadata__", '{');
    json_out_string(o, "format", "pt");
    json_out_end(o, '}');
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes = item_values(&item[i]) * types[type].n_bytes;
        json_out_begin_inline(o, item[i].name, '{');
        json_out_string(o, "dtype", types[type].name);
        json_out_begin_inline(o, "shape", '[');
        for (int j = 0; j < item[i].n_dims; j++)
            json_out_int(o, NULL, (int64_t)item[i].dim[j]);
        json_out_end(o, ']');
        json_out_begin_inline(o, "data_offsets", '[');
        json_out_int(o, NULL, (int64_t)at);
        json_out_int(o, NULL, (int64_t)(at + n_bytes));
        json_out_end(o, ']');
        json_out_end(o, '}');
        at += n_bytes;
    }
    json_out_end(o, '}');
}

enum err_code weights_save(const char *path, const struct weights_item *item, size_t n,
                           enum weights_type type, struct err *e)
{
    CHECK(type <= WEIGHTS_BF16);
    struct json_out o;
    struct file_out *f = NULL;
    unsigned char head[8];
    json_out_init(&o);
    write_header(&o, item, n, type);
    size_t n_text = o.n;
    while (n_text && o.text[n_text - 1] == '\n')
        n_text--;
    size_t n_header =
        (n_text + 7) / 8 * 8; /* padded with spaces, so that values are aligned to 8 */
    for (int i = 0; i < 8; i++)
        head[i] = (unsigned char)((uint64_t)n_header >> (8 * i));
    enum err_code code = file_create(&f, path, e);
    if (!code)
        code = file_write(f, head, sizeof(head), e);
    if (!code)
        code = file_write(f, o.text, n_text, e);
    if (!code)
        code = file_write(f, "       ", n_header - n_text, e);
    for (size_t i = 0; !code && i < n; i++)
        code = write_values(f, &item[i], item_values(&item[i]), type, e);
    if (code)
        file_abandon(f);
    else
        code = file_commit(f, e);
    json_out_fini(&o);
    return code;
}
