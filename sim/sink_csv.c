#include "sim/sink.h"

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/emissions.h"

enum { MAX_FILES = 5 };

/* One file per table, begun with its header so that a table without rows is a file too. */
struct csv_sink {
    struct sink base;
    int n_files;
    const struct table *table[MAX_FILES];
    struct file_out *file[MAX_FILES];
};

static enum err_code begin(struct csv_sink *s, const char *folder, const struct table *t,
                           struct err *e)
{
    struct arena scratch = {0};
    struct file_out *f = NULL;
    enum err_code code = file_create(&f, arena_printf(&scratch, "%s/%s.csv", folder, t->name), e);
    arena_free(&scratch);
    if (code)
        return code;
    s->table[s->n_files] = t;
    s->file[s->n_files++] = f;
    for (size_t c = 0; c < t->n_columns; c++)
        fprintf(file_stream(f), "%s%s", c ? "," : "", t->column[c].name);
    fputc('\n', file_stream(f));
    return OK;
}

static void csv_abandon(struct sink *base)
{
    struct csv_sink *s = (struct csv_sink *)base;
    for (int i = 0; i < s->n_files; i++)
        file_abandon(s->file[i]);
    mem_free(s);
}

static enum err_code csv_open(struct sink **out, const char *folder, bool is_labelled, struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct csv_sink), "an output", e);
    if (code)
        return code;
    struct csv_sink *s = memory;
    s->base.ops = &sink_csv;
    const struct table *const tables[] = {record_rounds(), record_clients(is_labelled),
                                          record_elements(is_labelled), record_samples(),
                                          record_emissions()};
    for (int i = 0; i < MAX_FILES && !code; i++)
        code = begin(s, folder, tables[i], e);
    if (code)
        csv_abandon(&s->base);
    else
        *out = &s->base;
    return code;
}

static enum err_code csv_row(struct sink *base, const struct table *t, const void *record,
                             struct err *e)
{
    struct csv_sink *s = (struct csv_sink *)base;
    FILE *to = NULL;
    for (int i = 0; i < s->n_files; i++)
        if (s->table[i] == t)
            to = file_stream(s->file[i]);
    if (!to)
        return OK;
    char cell[64];
    for (size_t c = 0; c < t->n_columns; c++) {
        if (c)
            fputc(',', to);
        csv_write_cell(to, record_cell(&t->column[c], record, cell));
    }
    fputc('\n', to);
    return ferror(to) ? err_set(e, ERR_IO, "%s.csv: cannot be written, is the disk full?", t->name)
                      : OK;
}

static enum err_code csv_end(struct sink *base, struct err *e)
{
    struct csv_sink *s = (struct csv_sink *)base;
    enum err_code code = OK;
    for (int i = 0; i < s->n_files; i++) {
        if (!code)
            code = file_commit(s->file[i], e);
        else
            file_abandon(s->file[i]);
    }
    mem_free(s);
    return code;
}

const struct sink_ops sink_csv = {
    .name = "csv",
    .what = "rounds.csv, clients.csv, elements.csv, samples.csv, emissions.csv",
    .open = csv_open,
    .row = csv_row,
    .close = csv_end,
    .abandon = csv_abandon,
};
