/* sim/paper.h: the study's tables recomputed: sheets with printed beside recomputed figures, and
 * how many agree.
 *
 * A section is a row of a table of this module: name, what it shows, whether it needs simulated
 * rounds. A checked cell is "same" when the recomputed figure rounds to the printed digits, or,
 * where it is made of printed figures (TPS / W), when some figures that round to those do. */
#ifndef SIM_PAPER_H
#define SIM_PAPER_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/paper_round.h"
#include "sim/paper_tables.h"
#include "sim/sheet.h"

enum { PAPER_ROUNDS = PAPER_COST_MODELS * PAPER_COSTS * N_PAPER_DEVICES };
enum { PAPER_MAX_SHEETS = 16, PAPER_MAX_COUNTS = 16, PAPER_MAX_MISSES = 128 };

/* Checked cells of one kind. */
struct paper_count {
    const char *section, *what; /* "table1", "kWh per round" */
    int same, checked, lost;    /* lost: not legible, not among the checked */
};

struct paper {
    const struct paper_tables *tables;
    struct arena arena; /* of everything below */
    bool has_rounds;
    struct paper_round round[PAPER_ROUNDS];
    size_t n_sheets, n_counts, n_misses;
    struct sheet *sheet[PAPER_MAX_SHEETS];
    struct paper_count count[PAPER_MAX_COUNTS];
    const char
        *miss[PAPER_MAX_MISSES]; /* "table2 eta_e, base 8 A100: printed 63.77, recomputed 63.8" */
};

/* Names of the sections in order. */
size_t paper_section_count(void);
const char *paper_section_name(size_t i);
const char *paper_section_what(size_t i);

/* Computes the sections (wanted [paper_section_count()]); simulates the rounds they need, once. */
enum err_code paper_open(struct paper **out, const struct paper_tables *t, const bool *wanted,
                         struct err *e);
void paper_close(struct paper *p); /* NULL is fine */

/* OK when every checked cell is the same; otherwise ERR_INTERNAL with the first that is not. */
enum err_code paper_check(const struct paper *p, struct err *e);

/* The simulated round of a configuration; rounds were simulated. */
const struct paper_round *paper_round_of(const struct paper *p, const struct paper_case *c);

#endif
