#include "sim/cells.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"

#define GAP 2

struct cells *cells_new(struct arena *a, size_t n_rows, size_t n_columns)
{
    struct cells *c = ARENA_NEW(a, struct cells, 1);
    *c = (struct cells){.n_rows = n_rows,
                        .n_columns = n_columns,
                        .text = ARENA_NEW(a, const char *, n_rows *n_columns),
                        .is_left = ARENA_NEW(a, bool, n_columns),
                        .width = ARENA_NEW(a, size_t, n_columns)};
    c->is_left[0] = true;
    return c;
}

void cells_put(struct cells *c, size_t row, size_t column, const char *text)
{
    CHECK(row < c->n_rows && column < c->n_columns);
    c->text[row * c->n_columns + column] = text;
}

static const char *text_at(const struct cells *c, size_t row, size_t column)
{
    const char *text = c->text[row * c->n_columns + column];
    return text ? text : "";
}

/* Letters, not bytes: a continuation byte of UTF-8 takes no room. */
static size_t letters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void cells_measure(struct cells *c)
{
    for (size_t i = 0; i < c->n_columns; i++) {
        c->width[i] = 0;
        for (size_t row = 0; row < c->n_rows; row++) {
            size_t n = letters(text_at(c, row, i));
            c->width[i] = n > c->width[i] ? n : c->width[i];
        }
    }
}

size_t cells_width(const struct cells *c, size_t first, size_t end)
{
    size_t n = 0;
    for (size_t i = first; i < end; i++)
        n += c->width[i] + (i > 0 ? GAP : 0);
    return n;
}

void cells_print_row(const struct cells *c, FILE *to, size_t row, size_t first, size_t end)
{
    size_t owed = 0; /* blanks that are printed only when something follows */
    for (size_t i = 0; i < end; i = i == 0 ? (first > 0 ? first : 1) : i + 1) {
        const char *text = text_at(c, row, i);
        size_t room = c->width[i] - letters(text);
        owed += (i > 0 ? GAP : 0) + (c->is_left[i] ? 0 : room);
        if (text[0]) {
            fprintf(to, "%*s%s", (int)owed, "", text);
            owed = 0;
        }
        owed += c->is_left[i] ? room : 0;
    }
    fputc('\n', to);
}

const char *cells_number(struct arena *a, double v)
{
    double size = fabs(v);
    if (isnan(v))
        return "-";
    if (v == floor(v) && size < 1e7)
        return arena_printf(a, "%.0f", fabs(v) > 0 ? v : 0);
    if (isinf(v) || size < 1e-3 || size >= 1e7)
        return arena_printf(a, "%.4g", v);
    int before = (int)floor(log10(size)) + 1;
    return arena_printf(a, "%.*f", before >= 4 ? 0 : 4 - before, v);
}

const char *cells_percent(struct arena *a, double part, double whole)
{
    double percent = 100 * part / fabs(whole);
    if (!isfinite(percent))
        return part == 0 ? "+0.0 %" : "-";
    return arena_printf(a, fabs(percent) < 1000 ? "%+.1f %%" : "%+.0f %%", percent);
}
