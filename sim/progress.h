/* sim/progress.h: what a person sees while a run goes on: a table of rounds on stdout, a status line with time
 * left on stderr. Only what is on the terminal depends on the wall clock. */
#ifndef SIM_PROGRESS_H
#define SIM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/log.h"
#include "sim/record.h"

struct progress {
    struct log *log;
    int64_t rounds, step; /* every step-th round is printed, and every evaluated one */
    bool has_training;
    double begun_s;       /* wall clock */
    double status_s;      /* when the status line was last drawn */
};

void progress_init(struct progress *p, struct log *log, int64_t rounds, bool has_training);
/* Round 0 is the state before the first round. */
void progress_row(struct progress *p, const struct round_record *r);
/* Redraws the status line, at most ten times a second. */
void progress_status(struct progress *p, int64_t round, double virtual_s, double loss);

/* "3 h 12 min", "45 s", "1.25 s"; out holds 32 bytes. */
void progress_time(char out[32], double seconds);

#endif
