/* sim/check_group.h: what `veryedge check` prints about a group of clients: its network, J/bit, and
 * times in closed form. */
#ifndef SIM_CHECK_GROUP_H
#define SIM_CHECK_GROUP_H

#include "net/plan.h"
#include "sim/base/text.h"
#include "sim/books.h"
#include "sim/costs.h"
#include "sim/scenario.h"

/* All that the report is made of. */
struct check_view {
    struct scenario *s;
    struct plan *plan;
    struct costs costs;
    struct books books;
};

/* A quantity for people, in the buffer. */
const char *check_quantity(char out[32], double value, enum unit_kind kind);

/* Prints a group of the view's scenario. */
void check_print_group(const struct check_view *v, const struct scenario_group *g);

#endif
