/* net/draw.h: "network": {"draw": ...}: rates and latency that differ from client to client.
 *
 *   "draw": {"down": 0.99, "up": 1.11, "rtt": 0.47, "correlation": 0.55}
 *       log-normal: network.down, up and rtt are the medians, these the standard deviations of the
 *       natural logarithms (default 0), correlation is that of down's logarithm with up's; rtt is
 *       independent. What lies more than 3 deviations away is drawn as 3.
 *   "draw": "speedtests.csv"
 *   "draw": {"file": "speedtests.csv", "down": COLUMN, "up": COLUMN, "rtt": COLUMN,
 *            "where": {COLUMN: "4G"}}
 *       each client is one row of a file of measurements, drawn evenly, so that what belongs
 * together stays together. Columns are Mbit/s and ms; without names those that begin with "down",
 * "up", "rtt". Only rows that have what `where` says count. network.down and up are then the most,
 *       rtt the least that a client gets; what has no column is theirs.
 *
 * A client's draw depends on the scenario's seed and its own index alone. */
#ifndef NET_DRAW_H
#define NET_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

enum draw_value { DRAW_DOWN, DRAW_UP, DRAW_RTT, N_DRAW_VALUES }; /* bit/s, bit/s, s */

/* Each drawn client is a class of its own in the plan, so there may not be too many. */
#define DRAW_MAX_CLIENTS 1000000
enum { DRAW_MAX_WHERE = 8 };
#define DRAW_MAX_SIGMA 3.0

struct draw {
    double sigma[N_DRAW_VALUES]; /* log-normal */
    double correlation;
    const char *path; /* NULL: log-normal */
    const char *column[N_DRAW_VALUES];
    size_t n_where;
    struct draw_where {
        const char *column, *value;
    } where[DRAW_MAX_WHERE];
    size_t n_rows;                      /* that count, >= 1 */
    const double *value[N_DRAW_VALUES]; /* [n_rows]; NULL: no column */
};

/* Reads network.draw and its file; *out is NULL where there is none. It lives in the arena. */
enum err_code draw_parse(struct json network, const struct draw **out, struct arena *a,
                         struct err *e);
/* Writes the key; nothing when d is NULL. */
void draw_write(struct json_out *o, const struct draw *d);

/* What the network's own down, up and rtt are by default, where a file has them: the greatest rate,
 * no least latency. */
void draw_defaults(const struct draw *d, double value[N_DRAW_VALUES]);

/* In: the network's down, up and rtt. Out: this client's. */
void draw_client(const struct draw *d, uint64_t seed, size_t client, double value[N_DRAW_VALUES]);

#endif
