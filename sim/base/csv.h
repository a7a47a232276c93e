/* sim/base/csv.h: RFC 4180 rows in and out: comma, double quotes where needed, "\n" at the end. */
#ifndef SIM_BASE_CSV_H
#define SIM_BASE_CSV_H

#include <stddef.h>
#include <stdio.h>

#include "sim/base/err.h"

/* A table read whole: the first row names the columns. Every row has as many cells as the header. */
struct csv;
/* sep is ',' or '\t'. Messages: "FILE:LINE: ...". */
enum err_code csv_load(struct csv **out, const char *path, char sep, struct err *e);
/* The same from n bytes; name stands for the file in messages. */
enum err_code csv_parse(struct csv **out, const char *name, const char *text, size_t n, char sep,
                        struct err *e);
void csv_close(struct csv *c);
size_t csv_rows(const struct csv *c);
size_t csv_columns(const struct csv *c);
const char *csv_header(const struct csv *c, size_t column);
/* Index of a column, or -1. */
int csv_find(const struct csv *c, const char *name);
/* Cell of row (from 0, header not counted) and column; never NULL. */
const char *csv_cell(const struct csv *c, size_t row, size_t column);

/* One cell, quoted if it needs to be; the caller writes commas and line ends. */
void csv_write_cell(FILE *to, const char *text);

#endif
