#include "sim/base/csv.h"

#include <stdbool.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

struct csv {
    struct arena arena;
    size_t n_columns, n_cells, cap;
    const char **cell; /* header first, then row by row */
};

struct reader {
    const char *at, *end, *path;
    char sep;
    size_t line; /* of at, from 1 */
    char *text;  /* the present cell; as large as the file */
};

static enum err_code fail(const struct reader *r, struct err *e, const char *what)
{
    return err_set(e, ERR_INPUT, "%s:%zu: %s", r->path, r->line, what);
}

static bool is_line_end(const struct reader *r)
{
    return *r->at == '\n' || (*r->at == '\r' && (r->at + 1 == r->end || r->at[1] == '\n'));
}

/* A quoted cell into r->text; at stands behind the opening quote and ends behind the closing one.
 */
static enum err_code read_quoted(struct reader *r, struct err *e)
{
    size_t n = 0, first_line = r->line;
    for (;; r->at++) {
        if (r->at == r->end) {
            r->line = first_line;
            return fail(r, e, "a quote is opened but not closed");
        }
        if (*r->at == '"') {
            r->at++;
            if (r->at == r->end || *r->at != '"')
                break;
        }
        r->line += *r->at == '\n';
        r->text[n++] = *r->at;
    }
    r->text[n] = 0;
    if (r->at != r->end && *r->at != r->sep && !is_line_end(r))
        return fail(r, e, "expected a separator after a closing quote");
    return OK;
}

static void read_plain(struct reader *r)
{
    size_t n = 0;
    while (r->at < r->end && *r->at != r->sep && !is_line_end(r))
        r->text[n++] = *r->at++;
    r->text[n] = 0;
}

/* Cells of one line, appended to c; *n is their count. */
static enum err_code read_row(struct reader *r, struct csv *c, size_t *n, struct err *e)
{
    for (*n = 1;; (*n)++) {
        if (r->at < r->end && *r->at == '"') {
            r->at++;
            enum err_code code = read_quoted(r, e);
            if (code)
                return code;
        } else {
            read_plain(r);
        }
        mem_grow((void **)&c->cell, &c->cap, c->n_cells + 1, sizeof(*c->cell));
        c->cell[c->n_cells++] = arena_strdup(&c->arena, r->text);
        if (r->at == r->end || *r->at != r->sep)
            return OK;
        r->at++;
    }
}

static void skip_line_end(struct reader *r)
{
    if (r->at < r->end && *r->at == '\r')
        r->at++;
    if (r->at < r->end && *r->at == '\n')
        r->at++;
    r->line++;
}

static enum err_code parse(struct csv *c, struct reader *r, struct err *e)
{
    while (r->at < r->end) {
        size_t n;
        if (c->n_columns > 1 && is_line_end(r)) {
            skip_line_end(r); /* an empty line */
            continue;
        }
        enum err_code code = read_row(r, c, &n, e);
        if (code)
            return code;
        if (c->n_columns == 0)
            c->n_columns = n;
        if (n != c->n_columns)
            return err_set(e, ERR_INPUT, "%s:%zu: expected %zu cells as in the header, got %zu",
                           r->path, r->line, c->n_columns, n);
        skip_line_end(r);
    }
    return c->n_columns ? OK : fail(r, e, "expected a header line, got an empty file");
}

enum err_code csv_parse(struct csv **out, const char *name, const char *text, size_t n, char sep,
                        struct err *e)
{
    struct csv *c = NULL;
    void *cell = NULL;
    enum err_code code = mem_big(&cell, n + 1, name, e);
    if (code)
        return code;
    c = calloc(1, sizeof(*c));
    CHECK(c && "out of memory");
    const char *start = text;
    if (n >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0)
        start += 3; /* byte order mark */
    struct reader r = {start, text + n, name, sep, 1, cell};
    if (memchr(text, 0, n))
        code = err_set(e, ERR_INPUT, "%s: expected text, got a zero byte", name);
    else
        code = parse(c, &r, e);
    if (!code) {
        *out = c;
        c = NULL;
    }
    csv_close(c);
    mem_free(cell);
    return code;
}

enum err_code csv_load(struct csv **out, const char *path, char sep, struct err *e)
{
    struct file f = {0};
    enum err_code code = file_map(&f, path, e);
    if (!code)
        code = csv_parse(out, path, (const char *)f.bytes, f.n_bytes, sep, e);
    file_unmap(&f);
    return code;
}

void csv_close(struct csv *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    mem_free(c->cell);
    mem_free(c);
}

size_t csv_rows(const struct csv *c)
{
    return c->n_cells / c->n_columns - 1;
}

size_t csv_columns(const struct csv *c)
{
    return c->n_columns;
}

const char *csv_header(const struct csv *c, size_t column)
{
    CHECK(column < c->n_columns);
    return c->cell[column];
}

int csv_find(const struct csv *c, const char *name)
{
    for (size_t i = 0; i < c->n_columns; i++)
        if (strcmp(c->cell[i], name) == 0)
            return (int)i;
    return -1;
}

const char *csv_cell(const struct csv *c, size_t row, size_t column)
{
    CHECK(row < csv_rows(c) && column < c->n_columns);
    return c->cell[(row + 1) * c->n_columns + column];
}

void csv_write_cell(FILE *to, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}
