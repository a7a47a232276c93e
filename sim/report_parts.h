/* sim/report_parts.h: what the parts of a report share; private to sim/report*.c. */
#ifndef SIM_REPORT_PARTS_H
#define SIM_REPORT_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/csv.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/html.h"
#include "sim/report.h"

enum {
    REPORT_SHOWN_ROUNDS = 12,  /* a run's rounds that have a timeline */
    REPORT_SHOWN_CLIENTS = 50, /* clients of a timeline */
    REPORT_SHOWN_ROWS = 400,   /* rows of a table of rounds */
    REPORT_MAX_USES = 64,      /* rows of a table of links */
    REPORT_USE_COLUMNS = 3,
};

/* What all participations of a group's clients come to. */
struct report_group {
    const char *name, *raw; /* raw [n_raw]: as clients.csv writes it */
    size_t n_raw;
    double bits[2]; /* payload down and up */
    double round_s; /* durations of the rounds they took part in, a term per participation */
};

/* One run as it was read. Of clients.csv only the rows of the shown rounds are kept. */
struct report_run {
    const char *folder, *label; /* the scenario's name; with the folder where two are the same */
    struct json_doc *summary, *scenario;
    struct csv *rounds, *clients, *elements, *samples;
    struct report_group *group; /* [n_groups] that took part */
    size_t n_groups, cap_groups;
    int use_column[REPORT_USE_COLUMNS]; /* of clients.csv, for report_use.c */
    size_t n_rounds;
    size_t n_shown, shown[REPORT_SHOWN_ROUNDS]; /* rows of rounds, ascending */
};

struct report {
    size_t n_runs;
    struct report_run run[REPORT_MAX_RUNS];
    struct arena arena;
};

/* --- report_load.c --- */

enum err_code report_load(struct report *r, size_t n, const char *const *folders, struct err *e);
void report_fini(struct report *r);
/* A cell as a number; NaN when it is empty or the column is not there. */
double report_cell(const struct csv *c, size_t row, const char *column);
const char *report_word(const struct csv *c, size_t row, const char *column); /* "" likewise */
/* A whole column, [csv_rows], in the report's arena. */
double *report_column(struct report *r, const struct csv *c, const char *name);
/* A member of summary.json: NaN or "" when it is null or absent. */
double report_total(const struct report_run *run, const char *key);
const char *report_total_word(const struct report_run *run, const char *key);
/* A member of an object, node NULL when it is absent. */
struct json report_member(struct json object, const char *key);
/* Its text, or "". */
const char *report_string(struct json object, const char *key);

/* --- report_use.c: links, what they carried and what they could have --- */

enum report_use_kind { REPORT_USE_OWN, REPORT_USE_AIR, REPORT_USE_LIMIT, REPORT_USE_SERVER };

struct report_use {
    enum report_use_kind kind;
    const char *group, *what; /* "orin", "60 own links" */
    double rate_bps[2];       /* as stated, down and up; NaN: not */
    double bits[2], could_bits[2]; /* of payload */
};

struct report_uses {
    size_t n, n_left_out;
    struct report_use use[REPORT_MAX_USES];
};

/* clients.csv as it is read: its header, then every line with its round's duration. */
void report_use_header(struct report_run *run, const char *line, const char *end);
void report_use_line(struct report_run *run, struct arena *a, const char *line, const char *end,
                     double duration_s);
/* NULL when none of its clients took part. */
const struct report_group *report_find_group(const struct report_run *run, const char *name);
void report_find_uses(struct report_uses *out, struct arena *a, const struct report_run *run);
void report_use_table(struct html *h, const struct report *r, size_t run);

/* --- the sections, in the page's order --- */

void report_cards(struct html *h, const struct report *r);
void report_learning(struct html *h, struct report *r); /* loss and ROUGE over rounds, time, kWh */
void report_rounds(struct html *h, struct report *r);   /* G, duration, energy per round */
void report_energy(struct html *h, const struct report *r);
void report_elements(struct html *h, const struct report *r, size_t run); /* the table */
void report_network(struct html *h, const struct report *r);
void report_timeline(struct html *h, const struct report *r);
void report_samples(struct html *h, const struct report *r);
void report_tables(struct html *h, const struct report *r);
void report_differences(struct html *h, const struct report *r);

/* A run's name behind its colour. */
void report_chip(struct html *h, const struct report *r, size_t run);
/* All of them in a line; nothing for a single run. */
void report_legend(struct html *h, const struct report *r);

extern const char *const report_style[]; /* CSS in pieces, NULL behind the last */

#endif
