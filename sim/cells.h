/* sim/cells.h: a table of texts on the terminal: columns as wide as they must be, and numbers for
 * people. */
#ifndef SIM_CELLS_H
#define SIM_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sim/base/mem.h"

enum { CELLS_WIDTH = 100 }; /* columns of a terminal that tables should fit */

struct cells {
    size_t n_rows, n_columns;
    const char **text; /* [n_rows * n_columns], NULL: empty */
    bool *is_left;     /* [n_columns]: words; numbers are set to the right */
    size_t *width;     /* [n_columns], of the widest text; filled by cells_measure */
};

/* An empty table in the arena, the first column set to the left. */
struct cells *cells_new(struct arena *a, size_t n_rows, size_t n_columns);
void cells_put(struct cells *c, size_t row, size_t column, const char *text);
void cells_measure(struct cells *c);
/* Letters that columns first .. end-1 take in a row, two blanks in front of each but column 0. */
size_t cells_width(const struct cells *c, size_t first, size_t end);
/* A row: column 0 and columns first .. end-1, without blanks at its end. */
void cells_print_row(const struct cells *c, FILE *to, size_t row, size_t first, size_t end);

/* Four digits or more, no exponent between 0.001 and 10 million: "12345", "0.1234", whole
 * numbers as they are; "-" for NaN. */
const char *cells_number(struct arena *a, double v);
/* "+12.3 %" of whole, "-" where there is no ratio. */
const char *cells_percent(struct arena *a, double part, double whole);

#endif
