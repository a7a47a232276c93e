/* sim/run.h: a whole run: opens everything from a scenario, runs, writes the results, closes in reverse. */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdbool.h>

#include "models/backend.h"
#include "sim/base/err.h"
#include "sim/base/log.h"
#include "sim/cache.h"
#include "sim/learner.h"
#include "sim/record.h"
#include "sim/scenario.h"

struct run_options {
    int n_workers;   /* threads of a training pass; 0: as many as there are cores */
    bool has_files;  /* write the output folder; benchmarks do not */
    struct cache cache; /* of results of training; zeroed: none */
};

/* Wall-clock readings: the only thing about a run that does not repeat. */
struct run_performance {
    double open_s, run_s, train_s, evaluate_s; /* train and evaluate: seconds that their jobs took */
    double tokens;                             /* trained on, without what the cache knew */
    struct learner_counts counts;              /* jobs, and those that the cache knew */
    size_t n_damaged;                          /* blocks of the cache */
    double peak_bytes;                         /* of the process */
    int n_workers;
};

/* Finds the backend that trains the scenario on this machine and writes its name into s->compute.backend, where
 * "auto" may stand. out is left alone when nothing is trained. ERR_DEVICE: there is none. */
enum err_code run_settle(struct scenario *s, struct backend_choice *out, struct err *e);

/* Settles and runs the scenario. summary (may be NULL) is filled whenever rounds were completed, so also with
 * ERR_INTERRUPTED; its texts live as long as the scenario. The output folder is left as it was on every other
 * error. One run per process, as SimGrid has one engine. */
enum err_code run_scenario(struct scenario *s, const struct run_options *o, struct log *log,
                           struct summary_record *summary, struct run_performance *performance,
                           struct err *e);

/* What a run writes into its scenario.json: the resolved scenario without output.dir, and the versions of the
 * program and its libraries. o is initialised here; the caller ends it with json_out_fini. */
void run_scenario_text(const struct scenario *s, struct json_out *o);

/* Cores this process may use. */
int run_cores(void);

#endif
