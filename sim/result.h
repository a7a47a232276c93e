/* sim/result.h: what a run's folder says, read back. */
#ifndef SIM_RESULT_H
#define SIM_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/record.h"

/* Reads FOLDER/summary.json; a number that is null or absent is NaN, an absent count 0, an absent
 * text "". Texts lie in the arena. */
enum err_code result_summary(struct summary_record *out, struct arena *a, const char *folder,
                             struct err *e);

/* What FOLDER/performance.json says of the cache; zeros where it says nothing. */
struct result_cache {
    int64_t passes, passes_known, evaluations, evaluations_known, damaged;
};
struct result_cache result_cache(const char *folder);

/* The first moment at which a column of rounds.csv was at or below (is_below), or at or above, a
 * bound. */
struct result_moment {
    double s, rounds;            /* virtual seconds and rounds up to it; NaN when it never was */
    double comm_kwh, device_kwh; /* energy up to it, likewise */
};
/* before: the column's value before round 1 (NaN: not known), which rounds.csv does not hold. */
enum err_code result_reach(struct result_moment *out, const char *folder, const char *column,
                           double before, double bound, bool is_below, struct err *e);

/* The evaluations of a run in order, that before round 1 first where there was one. */
struct result_course {
    size_t n;
    double *round, *loss, *rouge1; /* [n]; rouge1 NaN where summaries were not scored */
};
/* summary: of the same run. The arrays lie in the arena. */
enum err_code result_course(struct result_course *out, struct arena *a, const char *folder,
                            const struct summary_record *summary, struct err *e);

#endif
