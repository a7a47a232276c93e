/* sim/curves.h: evaluation loss and ROUGE-1 over the rounds, a curve for each variant: the mean
 * over its seeds. */
#ifndef SIM_CURVES_H
#define SIM_CURVES_H

#include <stdbool.h>
#include <stdio.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/variant.h"

enum {
    CURVES_MAX_ROUNDS = 400, /* drawn; of more an even choice is */
    CURVES_MAX_PRINTED = 11,
};

struct curves {
    struct arena *arena;
    size_t n_variants, n_seeds, n_rounds;
    const char *const *label; /* [n_variants] */
    double *round;         /* [n_rounds] that some variant was evaluated at; 0: before the first */
    double *loss, *rouge1; /* [n_variants][n_rounds]; NaN where a seed has no value */
};

/* Run v * n_seeds + s of vs is seed s of variant v; label [vs->n / n_seeds]. A variant with a
 * failed seed has no curve. */
enum err_code curves_read(struct curves *out, struct arena *a, const struct variants *vs,
                          size_t n_seeds, const char *const *label, struct err *e);

/* Whether there is a curve: some variant was evaluated twice. */
bool curves_are_drawn(const struct curves *c);

/* The losses of CURVES_MAX_PRINTED rounds as a table, where all variants fit beside each other. */
void curves_print(const struct curves *c, FILE *to);

/* Loss and ROUGE-1, a panel each (sim/plot.h). note: a line below the title, or NULL. */
enum err_code curves_svg(const struct curves *c, const char *note, const char *path, struct err *e);

/* Of runs that were evaluated: prints the table and writes FOLDER/compare.svg; of others removes
 * what a former comparison drew. */
enum err_code curves_put(struct variants *vs, size_t n_seeds, const char *const *label,
                         struct err *e);

#endif
