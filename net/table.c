#include "net/table.h"

#include <stdbool.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/text.h"

enum { MOST_NAMES = 12 };

const char *table_file_of(struct json object, const char *key, const char *path, struct arena *a)
{
    const char *origin = json_origin(object, key);
    if (!origin || strcmp(origin, "--set") == 0)
        return arena_strdup(a, path);
    char *folder = file_folder_of(origin), *joined = file_join(folder, path);
    const char *out = arena_strdup(a, joined);
    mem_free(folder);
    mem_free(joined);
    return out;
}

enum err_code table_number(const struct csv *c, const char *path, size_t row, size_t column,
                           double most, double *out, struct err *e)
{
    const char *text = csv_cell(c, row, column);
    enum err_code code = text_double(text, 0, most, out, e);
    if (!code)
        return OK;
    return err_in(e, code, "%s:%zu: %s", path, row + 2, csv_header(c, column));
}

static bool is_empty(const struct csv *c, size_t column)
{
    for (size_t i = 0; i < csv_rows(c); i++)
        if (*csv_cell(c, i, column))
            return false;
    return true;
}

int table_column_like(const struct csv *c, size_t first, const char *beginning)
{
    for (size_t i = first; i < csv_columns(c); i++)
        if (strncmp(csv_header(c, i), beginning, strlen(beginning)) == 0 && !is_empty(c, i))
            return (int)i;
    return -1;
}

const char *table_columns(const struct csv *c, size_t first, struct arena *a)
{
    const char *list = "";
    for (size_t i = first; i < csv_columns(c) && i < first + MOST_NAMES; i++)
        list = arena_printf(a, "%s%s\"%.40s\"", list, i > first ? ", " : "", csv_header(c, i));
    return list;
}
