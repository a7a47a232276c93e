#include "sim/track.h"

#include <math.h>
#include <string.h>

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/result.h"

/* The summary's first_NAME. */
static double first_of(const struct summary_record *s, const char *name)
{
    static const char FIRST[] = "first_";
    const struct table *t = record_summary();
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->column[i].type == COLUMN_DOUBLE &&
            strncmp(t->column[i].name, FIRST, sizeof(FIRST) - 1) == 0 &&
            strcmp(t->column[i].name + sizeof(FIRST) - 1, name) == 0)
            return *(const double *)(const void *)((const char *)s + t->column[i].offset);
    return (double)NAN;
}

static enum err_code read_cell(double *out, const char *text, struct err *e)
{
    *out = (double)NAN;
    if (!*text)
        return OK;
    if (strcmp(text, "inf") == 0) { /* a loss that diverged */
        *out = (double)INFINITY;
        return OK;
    }
    return text_double(text, -1e300, 1e300, out, e);
}

static enum err_code read_column(double *out, const struct csv *csv, size_t column,
                                 const char *path, struct err *e)
{
    enum err_code code = OK;
    for (size_t row = 0; row < csv_rows(csv) && !code; row++) {
        code = read_cell(&out[row], csv_cell(csv, row, column), e);
        if (code)
            code = err_in(e, code, "%s: row %zu, %s", path, row + 1, csv_header(csv, column));
    }
    return code;
}

static enum err_code read_rounds(struct track *t, struct arena *a, const char *path, struct err *e)
{
    static const char *const NEEDED[] = {"round", "end_s", "comm_kwh", "device_kwh"};
    const struct table *table = record_rounds();
    struct csv *csv = NULL;
    enum err_code code = csv_load(&csv, path, ',', e);
    t->n = code ? 0 : csv_rows(csv) + 1;
    t->value = ARENA_NEW(a, double *, table->n_columns);
    for (size_t i = 0; i < 4 && !code; i++)
        if (csv_find(csv, NEEDED[i]) < 0)
            code = err_set(e, ERR_INPUT, "%s: expected a column \"%s\"", path, NEEDED[i]);
    for (size_t i = 0; i < table->n_columns && !code; i++) {
        const struct column *c = &table->column[i];
        int column = csv_find(csv, c->name);
        if (column < 0 || c->type == COLUMN_TEXT)
            continue;
        bool is_begin = strcmp(c->name, "round") == 0 || strcmp(c->name, "end_s") == 0;
        t->value[i] = ARENA_NEW(a, double, t->n);
        t->value[i][0] = is_begin ? 0 : first_of(&t->summary, c->name);
        code = read_column(t->value[i] + 1, csv, (size_t)column, path, e);
    }
    csv_close(csv);
    return code;
}

enum err_code track_read(struct track *out, struct arena *a, const char *folder, struct err *e)
{
    struct track t = {0};
    if (!file_is_folder(folder))
        return err_set(e, ERR_INPUT, "%s: expected a folder that veryedge run has written", folder);
    enum err_code code = result_summary(&t.summary, a, folder, e);
    if (!code)
        code = read_rounds(&t, a, arena_printf(a, "%s/rounds.csv", folder), e);
    if (!code)
        *out = t;
    return code;
}

const double *track_column(const struct track *t, const char *name)
{
    const struct table *table = record_rounds();
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->column[i].name, name) == 0)
            return t->value[i];
    return NULL;
}
