/* sim/sink.h: outputs of a run, each a row of a table; rows of records fan out to all of them.
 *
 * A sink gets values, names and units from the column tables of sim/record.h: no column is named in a
 * sink. It takes the tables it wants and passes over the rest. Files are written aside and take their
 * names in sink_close. */
#ifndef SIM_SINK_H
#define SIM_SINK_H

#include "sim/base/err.h"
#include "sim/record.h"

struct sink;

struct sink_ops {
    const char *name, *what; /* for help */
    enum err_code (*open)(struct sink **out, const char *folder, bool is_labelled, struct err *e);
    enum err_code (*row)(struct sink *s, const struct table *t, const void *record, struct err *e);
    enum err_code (*close)(struct sink *s, struct err *e); /* puts files in place; frees s in any case */
    void (*abandon)(struct sink *s);                       /* leaves nothing; frees s */
};

/* The public part: each sink starts its own struct with it. */
struct sink {
    const struct sink_ops *ops;
};

/* All sinks of the table, open. is_labelled as in record.h. */
struct sinks;
enum err_code sinks_open(struct sinks **out, const char *folder, bool is_labelled, struct err *e);
enum err_code sinks_row(struct sinks *s, const struct table *t, const void *record, struct err *e);
enum err_code sinks_close(struct sinks *s, struct err *e);
void sinks_abandon(struct sinks *s); /* NULL is fine */

/* trace.json holds the first participations (a client in a round) up to this number, about 8 MB, and says in
 * "otherData" how many there were. */
enum { SINK_TRACE_MAX_PARTICIPATIONS = 20000 };

extern const struct sink_ops sink_csv;  /* rounds, clients, elements, samples, emissions: one CSV file each */
extern const struct sink_ops sink_json; /* tables of one row: one JSON object each */
extern const struct sink_ops sink_columns; /* what every column means */
extern const struct sink_ops sink_trace;   /* participations over virtual time; takes the records as they are */

#endif
