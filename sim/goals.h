/* sim/goals.h: what a comparison asks the runs to reach: `--to-loss` and `--to-rouge`, each as
 * often as one likes. */
#ifndef SIM_GOALS_H
#define SIM_GOALS_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/cli.h"

enum { GOALS_MAX = 8 };

struct goal {
    bool is_rouge; /* ROUGE-1 at or above the bound; otherwise an evaluation loss at or below it */
    bool is_last;  /* the bound is the first variant's last loss, seed by seed */
    double bound;  /* NaN with is_last */
};

struct goals {
    size_t n; /* losses first, in the order they were given */
    struct goal goal[GOALS_MAX];
};

/* A loss is 0..1000 nat or "last", a ROUGE-1 0..100. Without any loss: the first variant's last. */
enum err_code goals_parse(struct goals *g, const struct cli_list *losses,
                          const struct cli_list *rouges, struct err *e);

/* How many goals are losses, or ROUGE. */
size_t goals_count(const struct goals *g, bool is_rouge);

#endif
