/* net/table.h: columns of numbers in a user's CSV file, with file, line and column in messages. */
#ifndef NET_TABLE_H
#define NET_TABLE_H

#include "sim/base/csv.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

/* A path of the scenario as seen from the current folder: relative ones start from the file that
 * states them. In the arena. */
const char *table_file_of(struct json object, const char *key, const char *path, struct arena *a);

/* A cell as a number of 0 .. most. "FILE:LINE: COLUMN: expected ...". */
enum err_code table_number(const struct csv *c, const char *path, size_t row, size_t column,
                           double most, double *out, struct err *e);

/* The first column from `first` on whose name begins so and which has a cell that is not empty; or
 * -1. */
int table_column_like(const struct csv *c, size_t first, const char *beginning);

/* The names of the columns from `first` on, for a message: "\"down\", \"up\"". In the arena. */
const char *table_columns(const struct csv *c, size_t first, struct arena *a);

#endif
