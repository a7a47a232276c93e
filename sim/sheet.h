/* sim/sheet.h: a table for people and programs: named columns, rows of text, notes; as text,
 * Markdown, CSV or JSON.
 *
 *   struct sheet *s = sheet_new(arena, "table2", "Energy efficiency", "<model|mini-batch|W");
 *   sheet_row(s, "%s|%d|%.2f", "small", 8, 103.17);
 *   sheet_note(s, "mini-batches are inferred");
 *
 * Columns and cells are separated by '|'; a column's name begins with '<' when its cells are words,
 * which are set to the left. Everything lives in the arena. */
#ifndef SIM_SHEET_H
#define SIM_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sim/base/mem.h"

enum { SHEET_WIDTH = 100 }; /* columns of a terminal that notes are wrapped to */
enum { SHEET_MAX_COLUMNS = 16, SHEET_MAX_ROWS = 64, SHEET_MAX_NOTES = 32 };

struct sheet {
    struct arena *arena;
    const char *name;  /* one word: "table2" */
    const char *title; /* one line */
    size_t n_columns, n_rows, n_notes;
    const char *column[SHEET_MAX_COLUMNS];
    bool is_left[SHEET_MAX_COLUMNS];
    const char *cell[SHEET_MAX_ROWS][SHEET_MAX_COLUMNS];
    const char *note[SHEET_MAX_NOTES]; /* each a paragraph below the rows, wrapped as text */
};

enum sheet_format { SHEET_TEXT, SHEET_MARKDOWN, SHEET_CSV, SHEET_JSON, N_SHEET_FORMATS };
/* "text", "md", "csv", "json". */
const char *sheet_format_name(enum sheet_format f);

struct sheet *sheet_new(struct arena *a, const char *name, const char *title, const char *columns);
void sheet_row(struct sheet *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sheet_note(struct sheet *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Several sheets one below the other. CSV: each with its own header, its name as the first column,
 * and an empty line between two. JSON: an array of {name, title, rows, notes}, cells that are
 * numbers as numbers. */
void sheet_print(FILE *to, enum sheet_format f, size_t n, struct sheet *const *sheets);

#endif
