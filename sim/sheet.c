#include "sim/sheet.h"

#include <stdarg.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/csv.h"
#include "sim/base/json.h"
#include "sim/base/text.h"

#define HUGE_NUMBER 1e300

const char *sheet_format_name(enum sheet_format f)
{
    static const char *const names[] = {"text", "md", "csv", "json"};
    return names[f];
}

/* Cuts text at '|' in place. */
static size_t cut(char *text, size_t max, const char **out)
{
    size_t n = 0;
    for (char *at = text; at;) {
        CHECK(n < max);
        out[n++] = at;
        at = strchr(at, '|');
        if (at)
            *at++ = 0;
    }
    return n;
}

struct sheet *sheet_new(struct arena *a, const char *name, const char *title, const char *columns)
{
    struct sheet *s = ARENA_NEW(a, struct sheet, 1);
    s->arena = a;
    s->name = name;
    s->title = title;
    s->n_columns = cut(arena_strdup(a, columns), SHEET_MAX_COLUMNS, s->column);
    for (size_t c = 0; c < s->n_columns; c++) {
        s->is_left[c] = s->column[c][0] == '<';
        s->column[c] += s->is_left[c];
    }
    return s;
}

__attribute__((format(printf, 2, 0))) static char *format_text(struct arena *a, const char *format,
                                                               va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof(text), format, args);
    CHECK(n >= 0 && (size_t)n < sizeof(text));
    return arena_strdup(a, text);
}

void sheet_row(struct sheet *s, const char *format, ...)
{
    CHECK(s->n_rows < SHEET_MAX_ROWS);
    va_list args;
    va_start(args, format);
    char *text = format_text(s->arena, format, args);
    va_end(args);
    CHECK(cut(text, SHEET_MAX_COLUMNS, s->cell[s->n_rows]) == s->n_columns);
    s->n_rows++;
}

void sheet_note(struct sheet *s, const char *format, ...)
{
    CHECK(s->n_notes < SHEET_MAX_NOTES);
    va_list args;
    va_start(args, format);
    s->note[s->n_notes++] = format_text(s->arena, format, args);
    va_end(args);
}

static void print_padded(FILE *to, const struct sheet *s, size_t c, const char *text, size_t width)
{
    bool is_last = c + 1 == s->n_columns;
    if (!s->is_left[c])
        fprintf(to, "  %*s", (int)width, text);
    else if (is_last)
        fprintf(to, "  %s", text);
    else
        fprintf(to, "  %-*s", (int)width, text);
}

/* A paragraph, indented by two, broken between words. */
static void print_wrapped(FILE *to, const char *text)
{
    size_t at = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (at == 0 || at + 1 + word > SHEET_WIDTH) {
            fprintf(to, "%s  ", at ? "\n" : "");
            at = 2;
        } else {
            fputc(' ', to);
            at++;
        }
        fwrite(text, 1, word, to);
        at += word;
        text += word + strspn(text + word, " ");
    }
    fputc('\n', to);
}

static void print_text(FILE *to, const struct sheet *s)
{
    size_t width[SHEET_MAX_COLUMNS], all = 0;
    for (size_t c = 0; c < s->n_columns; c++) {
        width[c] = strlen(s->column[c]);
        for (size_t r = 0; r < s->n_rows; r++)
            width[c] = strlen(s->cell[r][c]) > width[c] ? strlen(s->cell[r][c]) : width[c];
        all += width[c] + 2;
    }
    fprintf(to, "%s\n\n", s->title);
    for (size_t c = 0; c < s->n_columns; c++)
        print_padded(to, s, c, s->column[c], width[c]);
    fprintf(to, "\n  ");
    for (size_t i = 2; i < all; i++)
        fputc('-', to);
    fputc('\n', to);
    for (size_t r = 0; r < s->n_rows; r++) {
        for (size_t c = 0; c < s->n_columns; c++)
            print_padded(to, s, c, s->cell[r][c], width[c]);
        fputc('\n', to);
    }
    for (size_t i = 0; i < s->n_notes; i++)
        print_wrapped(to, s->note[i]);
}

static void print_markdown(FILE *to, const struct sheet *s)
{
    fprintf(to, "### %s\n\n|", s->title);
    for (size_t c = 0; c < s->n_columns; c++)
        fprintf(to, " %s |", s->column[c]);
    fprintf(to, "\n|");
    for (size_t c = 0; c < s->n_columns; c++)
        fprintf(to, s->is_left[c] ? "---|" : "--:|");
    fputc('\n', to);
    for (size_t r = 0; r < s->n_rows; r++) {
        fputc('|', to);
        for (size_t c = 0; c < s->n_columns; c++)
            fprintf(to, " %s |", s->cell[r][c]);
        fputc('\n', to);
    }
    for (size_t i = 0; i < s->n_notes; i++)
        fprintf(to, "\n%s\n", s->note[i]);
}

static void print_csv(FILE *to, const struct sheet *s)
{
    fprintf(to, "table");
    for (size_t c = 0; c < s->n_columns; c++) {
        fputc(',', to);
        csv_write_cell(to, s->column[c]);
    }
    fputc('\n', to);
    for (size_t r = 0; r < s->n_rows; r++) {
        csv_write_cell(to, s->name);
        for (size_t c = 0; c < s->n_columns; c++) {
            fputc(',', to);
            csv_write_cell(to, s->cell[r][c]);
        }
        fputc('\n', to);
    }
}

static void put_json_cell(struct json_out *o, const char *key, const char *text)
{
    double value;
    if (!text[0])
        json_out_null(o, key);
    else if (!text_double(text, -HUGE_NUMBER, HUGE_NUMBER, &value, NULL))
        json_out_double(o, key, value);
    else
        json_out_string(o, key, text);
}

static void put_json(struct json_out *o, const struct sheet *s)
{
    json_out_begin(o, NULL, '{');
    json_out_string(o, "name", s->name);
    json_out_string(o, "title", s->title);
    json_out_begin(o, "rows", '[');
    for (size_t r = 0; r < s->n_rows; r++) {
        json_out_begin_inline(o, NULL, '{');
        for (size_t c = 0; c < s->n_columns; c++)
            put_json_cell(o, s->column[c], s->cell[r][c]);
        json_out_end(o, '}');
    }
    json_out_end(o, ']');
    json_out_begin(o, "notes", '[');
    for (size_t i = 0; i < s->n_notes; i++)
        json_out_string(o, NULL, s->note[i]);
    json_out_end(o, ']');
    json_out_end(o, '}');
}

static void print_json(FILE *to, size_t n, struct sheet *const *sheets)
{
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '[');
    for (size_t i = 0; i < n; i++)
        put_json(&o, sheets[i]);
    json_out_end(&o, ']');
    fprintf(to, "%s\n", o.text);
    json_out_fini(&o);
}

void sheet_print(FILE *to, enum sheet_format f, size_t n, struct sheet *const *sheets)
{
    if (f == SHEET_JSON) {
        print_json(to, n, sheets);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (i)
            fputc('\n', to);
        if (f == SHEET_TEXT)
            print_text(to, sheets[i]);
        else if (f == SHEET_MARKDOWN)
            print_markdown(to, sheets[i]);
        else
            print_csv(to, sheets[i]);
    }
}
