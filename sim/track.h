/* sim/track.h: the rounds of a run, read back column by column, with the state before round 1 in
 * front: what is drawn in a terminal and handed to other programs. */
#ifndef SIM_TRACK_H
#define SIM_TRACK_H

#include "sim/base/err.h"
#include "sim/base/mem.h"
#include "sim/record.h"

struct track {
    struct summary_record summary;
    size_t n;       /* rounds in rounds.csv, and one before them */
    double **value; /* [columns of record_rounds()][n]; NULL for texts and for columns that the file
                       lacks, NaN where a cell is empty. Before round 1: 0 rounds and seconds,
                       summary.json's first_NAME, NaN */
};

/* All lies in the arena. ERR_INPUT names the file that is missing or not what a run writes. */
enum err_code track_read(struct track *out, struct arena *a, const char *folder, struct err *e);

/* The values of a column by its name; NULL where there is none. */
const double *track_column(const struct track *t, const char *name);

#endif
