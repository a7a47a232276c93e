#include "models/data_json.h"

#include <inttypes.h>
#include <string.h>

#include "models/data.h"
#include "sim/base/file.h"
#include "sim/base/json.h"

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", s[i]) || !s[i])
            return false;
    return true;
}

static enum err_code read_text(struct json object, const char *key, const char **out,
                               struct arena *strings, struct err *e)
{
    const char *text;
    enum err_code code = json_string(object, key, NULL, &text, e);
    if (code)
        return code;
    size_t n = strlen(text);
    if (is_blank(text, n))
        return json_fail(object, key, e,
                         "expected some text, got none (data.skip_empty leaves such samples out)");
    if (n > DATA_MAX_TEXT_BYTES)
        return json_fail(object, key, e, "expected at most %d bytes, got %zu", DATA_MAX_TEXT_BYTES,
                         n);
    *out = arena_strdup(strings, text);
    return OK;
}

/* Whether a text is there and says nothing: "", blanks or null, as in exports of SAMSum. */
static bool is_empty(struct json object, const char *key)
{
    struct json value;
    const char *text;
    bool truth;
    if (!json_has(object, key) || json_value(object, key, &value, NULL))
        return false;
    if (json_is_string(value))
        return !json_string(value, NULL, NULL, &text, NULL) && is_blank(text, strlen(text));
    return !json_is_number(value) && !json_is_object(value) && !json_is_array(value) &&
           json_bool(value, NULL, NULL, &truth, NULL) != OK;
}

static enum err_code read_label(struct json object, struct raw_sample *s, struct arena *strings,
                                struct err *e)
{
    if (!json_has(object, "label"))
        return OK;
    struct json value;
    enum err_code code = json_value(object, "label", &value, e);
    if (code)
        return code;
    if (json_is_string(value)) {
        const char *text;
        code = json_string(object, "label", NULL, &text, e);
        if (!code)
            s->label = arena_strdup(strings, text);
        return code;
    }
    if (!json_is_number(value))
        return json_fail(object, "label", e, "expected a string or a whole number");
    code = json_int(object, "label", -INT64_C(1000000000000), INT64_C(1000000000000), NULL,
                    &s->number, e);
    if (code)
        return code;
    s->is_number = true;
    s->label = arena_printf(strings, "%" PRId64, s->number);
    return OK;
}

static enum err_code read_sample(struct raw_samples *to, struct json object, bool skips_empty,
                                 struct arena *strings, struct err *e)
{
    struct raw_sample s = {0};
    enum err_code code;
    if (!json_is_object(object))
        return json_fail(object, NULL, e, "expected an object with dialogue and summary");
    if (skips_empty && (is_empty(object, "dialogue") || is_empty(object, "summary"))) {
        to->n_empty++;
        return OK;
    }
    if ((code = read_text(object, "dialogue", &s.dialogue, strings, e)) ||
        (code = read_text(object, "summary", &s.summary, strings, e)) ||
        (code = read_label(object, &s, strings, e)))
        return code;
    if (to->n > 0 && (to->item[0].label != NULL) != (s.label != NULL))
        return json_fail(object, NULL, e, "expected a label %s",
                         s.label ? "nowhere, as in the first sample" : "as in the first sample");
    if (to->n >= DATA_MAX_SAMPLES)
        return err_set(e, ERR_LIMIT, "expected at most %d samples", DATA_MAX_SAMPLES);
    mem_grow((void **)&to->item, &to->cap, to->n + 1, sizeof(*to->item));
    to->item[to->n++] = s;
    return OK;
}

static enum err_code read_lines(struct raw_samples *to, const char *path, const struct file *f,
                                bool skips_empty, struct arena *strings, struct err *e)
{
    const char *at = (const char *)f->bytes, *end = at + f->n_bytes;
    for (size_t line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        if (!is_blank(at, n)) {
            struct arena scratch = {0};
            struct json_doc *doc = NULL;
            const char *name = arena_printf(&scratch, "%s:%zu", path, line);
            enum err_code code = json_parse(&doc, name, at, n, e);
            if (!code)
                code = read_sample(to, json_root(doc), skips_empty, strings, e);
            json_close(doc);
            arena_free(&scratch);
            if (code)
                return code;
        }
        at += n + 1;
    }
    return OK;
}

static enum err_code read_array(struct raw_samples *to, const char *path, const struct file *f,
                                bool skips_empty, struct arena *strings, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, path, (const char *)f->bytes, f->n_bytes, e);
    if (code)
        return code;
    struct json root = json_root(doc);
    size_t n = json_count(root);
    for (size_t i = 0; i < n && !code; i++)
        code = read_sample(to, json_at(root, i), skips_empty, strings, e);
    json_close(doc);
    return code;
}

enum err_code data_json_read(struct raw_samples *to, const char *path, bool skips_empty,
                             struct arena *strings, struct err *e)
{
    struct file f;
    enum err_code code = file_map(&f, path, e);
    if (code)
        return code;
    size_t before = to->n, first = 0;
    while (first < f.n_bytes && is_blank((const char *)f.bytes + first, 1))
        first++;
    if (first < f.n_bytes && f.bytes[first] == '[')
        code = read_array(to, path, &f, skips_empty, strings, e);
    else
        code = read_lines(to, path, &f, skips_empty, strings, e);
    if (!code && to->n == before)
        code =
            err_set(e, ERR_INPUT, "%s: expected samples with dialogue and summary, got none", path);
    file_unmap(&f);
    return code;
}

void raw_samples_fini(struct raw_samples *r)
{
    mem_free(r->item);
    *r = (struct raw_samples){0};
}
