#include "sim/sink.h"

#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/emissions.h"

/* What every column of every file means: known at the start, written at the end. */
struct columns_sink {
    struct sink base;
    struct arena arena;
    const char *folder;
    bool is_labelled;
};

static void columns_abandon(struct sink *base)
{
    struct columns_sink *s = (struct columns_sink *)base;
    arena_free(&s->arena);
    mem_free(s);
}

static enum err_code columns_open(struct sink **out, const char *folder, bool is_labelled,
                                  struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct columns_sink), "an output", e);
    if (code)
        return code;
    struct columns_sink *s = memory;
    s->base.ops = &sink_columns;
    s->folder = arena_strdup(&s->arena, folder);
    s->is_labelled = is_labelled;
    *out = &s->base;
    return OK;
}

static enum err_code columns_row(struct sink *base, const struct table *t, const void *record,
                                 struct err *e)
{
    (void)base, (void)t, (void)record, (void)e;
    return OK;
}

static void put_table(struct json_out *o, struct arena *scratch, const struct table *t)
{
    static const char *const TYPES[] = {"integer", "number", "text"};
    json_out_begin(o, arena_printf(scratch, "%s.%s", t->name, t->is_single ? "json" : "csv"), '[');
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct column *c = &t->column[i];
        json_out_begin_inline(o, NULL, '{');
        json_out_string(o, "name", c->name);
        json_out_string(o, "type", TYPES[c->type]);
        json_out_string(o, "unit", c->unit);
        json_out_string(o, "meaning", c->meaning);
        json_out_end(o, '}');
    }
    json_out_end(o, ']');
}

static enum err_code columns_end(struct sink *base, struct err *e)
{
    struct columns_sink *s = (struct columns_sink *)base;
    const struct table *const tables[] = {record_rounds(),
                                          record_clients(s->is_labelled),
                                          record_elements(s->is_labelled),
                                          record_samples(),
                                          record_emissions(),
                                          record_summary()};
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        put_table(&o, &s->arena, tables[i]);
    json_out_end(&o, '}');
    const char *path = arena_printf(&s->arena, "%s/columns.json", s->folder);
    enum err_code code = file_replace(path, o.text, o.n, e);
    json_out_fini(&o);
    columns_abandon(base);
    return code;
}

const struct sink_ops sink_columns = {
    .name = "columns",
    .what = "columns.json: name, type, unit and meaning of every column",
    .open = columns_open,
    .row = columns_row,
    .close = columns_end,
    .abandon = columns_abandon,
};
