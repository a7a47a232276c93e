/* sim/compare.h: runs side by side: every main figure, differences to the first, what it takes to
 * reach a goal.
 *
 * With several seeds a figure is the mean over them, and a difference the mean of the differences
 * seed by seed with its 95 % interval (sim/stats.h). A figure that a run does not have is NaN. */
#ifndef SIM_COMPARE_H
#define SIM_COMPARE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/record.h"

struct figure {
    const char *name;  /* in compare.csv */
    const char *label; /* for people */
    const char *unit;
    const char
        *column; /* of the summary; NULL: how long, how many rounds, how much energy to a goal */
};
size_t figure_count(void);
const struct figure *figure_at(size_t i);

/* What to reach; NaN: nothing. */
struct goal {
    double loss;   /* of evaluation, or below */
    double rouge1; /* or above */
};

struct comparison {
    size_t n_variants, n_seeds;
    const char **label;   /* [n_variants] */
    const char **message; /* [n_variants], NULL for those that did not fail */
    const uint64_t *seed; /* [n_seeds] */
    const char *loss_of;  /* the label whose last loss is the goal; NULL: goal.loss, or none */
    struct goal goal;     /* as asked for */
    double *value;        /* [n_variants][n_seeds][figure_count()] */
};

/* All NaN, no labels; in the arena. */
struct comparison *comparison_new(struct arena *a, size_t n_variants, size_t n_seeds,
                                  const uint64_t *seed);
double *comparison_cell(const struct comparison *c, size_t variant, size_t seed, size_t figure);
/* Reads the figures of one run: its summary, and rounds.csv of its folder when there is a goal. */
enum err_code comparison_fill(struct comparison *c, size_t variant, size_t seed, const char *folder,
                              const struct summary_record *summary, const struct goal *goal,
                              struct err *e);

/* The table for people, CELLS_WIDTH wide: a column per variant where they fit, otherwise a row. */
void comparison_print(const struct comparison *c, FILE *to);
/* One row per variant, seed and figure: variant,seed,figure,value,unit; a failed variant has one
 * row, the figure "error" with its message. */
enum err_code comparison_write(const struct comparison *c, const char *path, struct err *e);

#endif
