/* sim/compare.h: runs side by side: every main figure, differences to the first, what it takes to
 * reach each goal.
 *
 * With several seeds a figure is the mean over them, and a difference the mean of the differences
 * seed by seed with its 95 % interval (sim/stats.h). A figure that a run does not have is NaN.
 *
 * The point of overfitting is the study's (arXiv 2310.03150, figure 5 and Table 1): the round of
 * the least evaluation loss, where later evaluations are higher. A run whose last evaluation is its
 * best has not overfitted within its rounds, and has no such point. */
#ifndef SIM_COMPARE_H
#define SIM_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/goals.h"
#include "sim/record.h"

struct figure {
    const char *name;  /* in compare.csv */
    const char *label; /* for people */
    const char *unit;
    const char *column; /* of the summary; NULL: how long, how many rounds, how much energy */
    bool has_goal;      /* of goal number `goal` */
    size_t goal;
};

struct comparison {
    size_t n_variants, n_seeds, n_figures;
    const struct figure *figure; /* [n_figures] */
    const char **label;          /* [n_variants] */
    const char **message;        /* [n_variants], NULL for those that did not fail */
    const char **accounting;     /* [n_variants], NULL for those counted literally */
    const uint64_t *seed;        /* [n_seeds] */
    struct goals goals;          /* as asked for */
    double *bound;               /* [goals.n][n_seeds], what is to be reached; NaN: nothing */
    double *value;               /* [n_variants][n_seeds][n_figures] */
};

/* All NaN but the bounds that goals state; no labels; in the arena. */
struct comparison *comparison_new(struct arena *a, size_t n_variants, size_t n_seeds,
                                  const uint64_t *seed, const struct goals *goals);
double *comparison_cell(const struct comparison *c, size_t variant, size_t seed, size_t figure);
double *comparison_bound(const struct comparison *c, size_t goal, size_t seed);
/* The bounds that are the first variant's last loss, of its summary. */
void comparison_first(struct comparison *c, size_t seed, const struct summary_record *summary);
/* Reads the figures of one run: its summary, and rounds.csv of its folder where it was evaluated.
 */
enum err_code comparison_fill(struct comparison *c, size_t variant, size_t seed, const char *folder,
                              const struct summary_record *summary, struct err *e);

/* The table for people, CELLS_WIDTH wide: a column per variant where they fit, otherwise a row, and
 * below it the values alone, where those fit. */
void comparison_print(const struct comparison *c, FILE *to);
/* One row per variant, seed and figure: variant,seed,figure,value,unit,goal; goal is the bound that
 * the figure is about. A failed variant has one row, the figure "error" with its message; one that
 * is not counted literally has a row more, the figure "accounting" with its name. */
enum err_code comparison_write(const struct comparison *c, const char *path, struct err *e);

#endif
