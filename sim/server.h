/* sim/server.h: the server's rounds as a state machine in virtual time.
 *
 * IDLE --round begins--> COHORT --every member has ended--> IDLE ... --last round or an error--> OVER
 * At the end of a round: aggregate in client order, book bits and joules, write the records, evaluate when
 * it is due. A round record waits for its evaluation, and records come out in order. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "net/network.h"
#include "sim/books.h"
#include "sim/cohort.h"
#include "sim/costs.h"
#include "sim/keep.h"
#include "sim/learner.h"
#include "sim/pool.h"
#include "sim/progress.h"
#include "sim/scenario.h"
#include "sim/sink.h"

struct server;

/* What a server works with; all of it outlives the server. learner NULL: nothing is trained. sinks NULL: no
 * files; progress NULL: nothing is shown. */
struct server_parts {
    const struct scenario *scenario;
    struct network *network;
    const struct costs *costs;
    struct books *books;
    struct learner *learner;
    struct pool *pool;
    struct sinks *sinks;
    const struct keep *keep; /* NULL: no files */
    struct progress *progress;
};

enum err_code server_open(struct server **out, const struct server_parts *parts, struct err *e);
void server_close(struct server *s); /* NULL is fine */

/* Evaluates the model as it is, then runs all rounds. ERR_INTERRUPTED: the rounds that are complete are on
 * record, and so is the summary. */
enum err_code server_run(struct server *s, struct err *e);

/* Totals of what is on record; texts live as long as the scenario. */
const struct summary_record *server_summary(const struct server *s);

#endif
