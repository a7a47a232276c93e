#include "sim/sink.h"

#include <string.h>

#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

/* A table of one row is an object. It is small: kept until close. */
struct json_sink {
    struct sink base;
    struct arena arena;
    const char *folder;
    const struct table *table; /* whose row it holds */
    struct json_out text;
};

static void json_abandon(struct sink *base)
{
    struct json_sink *s = (struct json_sink *)base;
    json_out_fini(&s->text);
    arena_free(&s->arena);
    mem_free(s);
}

static enum err_code json_sink_open(struct sink **out, const char *folder, bool is_labelled,
                                     struct err *e)
{
    (void)is_labelled; /* the summary names its accounting anyway */
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct json_sink), "an output", e);
    if (code)
        return code;
    struct json_sink *s = memory;
    s->base.ops = &sink_json;
    s->folder = arena_strdup(&s->arena, folder);
    json_out_init(&s->text);
    *out = &s->base;
    return OK;
}

static void put(struct json_out *o, const struct column *c, const void *record)
{
    const char *at = (const char *)record + c->offset;
    if (c->type == COLUMN_INT)
        json_out_int(o, c->name, *(const int64_t *)(const void *)at);
    else if (c->type == COLUMN_DOUBLE)
        json_out_double(o, c->name, *(const double *)(const void *)at);
    else
        json_out_string(o, c->name, *(const char *const *)(const void *)at);
}

static enum err_code json_row(struct sink *base, const struct table *t, const void *record,
                              struct err *e)
{
    struct json_sink *s = (struct json_sink *)base;
    (void)e;
    if (!t->is_single)
        return OK;
    s->table = t;
    json_out_begin(&s->text, NULL, '{');
    for (size_t c = 0; c < t->n_columns; c++)
        put(&s->text, &t->column[c], record);
    json_out_end(&s->text, '}');
    return OK;
}

static enum err_code json_end(struct sink *base, struct err *e)
{
    struct json_sink *s = (struct json_sink *)base;
    enum err_code code = OK;
    if (s->table) {
        const char *path = arena_printf(&s->arena, "%s/%s.json", s->folder, s->table->name);
        const char *text = arena_printf(&s->arena, "%s\n", s->text.text);
        code = file_replace(path, text, strlen(text), e);
    }
    json_abandon(base);
    return code;
}

const struct sink_ops sink_json = {
    .name = "json",
    .what = "summary.json",
    .open = json_sink_open,
    .row = json_row,
    .close = json_end,
    .abandon = json_abandon,
};
