/* net/trace.h: "network": {"trace": ...}, measured bandwidth of each client's own link.
 *
 * A trace is a CSV file with a header. Its first column is seconds, rising by 1 ms or more; others
 * are Mbit/s and hold until the next row's second, the last row as long as the one before it. Then
 * it begins again. A column may end before others do (empty cells): it then begins again sooner.
 *
 *   "trace": "train.csv"       the columns whose names begin with "down" and "up"
 *   "trace": {"file": "train.csv", "down": "mbit_per_s", "up": "uplink", "start": "90s"}
 *
 * Where a column is named, only those that are named count. A direction without a column, or whose
 * automatic column is empty, keeps its constant rate. With one, down or up of the network caps the
 * trace (default: it does not). start is the place in the trace at virtual time 0; without it
 * each client begins at a place of its own, drawn from the scenario's seed. Where the trace says 0,
 * 1 bit/s passes. */
#ifndef NET_TRACE_H
#define NET_TRACE_H

#include <stdbool.h>

#include "net/element.h"
#include "net/rates.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

/* Limits, inclusive. */
#define TRACE_MAX_ROWS 1000000
#define TRACE_MAX_MBPS 1e7
#define TRACE_MAX_S 1e9

struct trace {
    const char *path;
    const char *column[N_NET_DIRS];        /* NULL: this direction's rate is constant */
    const struct rates *rates[N_NET_DIRS]; /* bits per second as the file has them */
    bool is_start_drawn;
    double start_s;
};

/* Reads network.trace and its file; *out is NULL where there is none. All of it lives in the arena.
 */
enum err_code trace_parse(struct json network, const struct trace **out, struct arena *a,
                          struct err *e);
/* Writes the key, every default stated; nothing when t is NULL. */
void trace_write(struct json_out *o, const struct trace *t);

#endif
