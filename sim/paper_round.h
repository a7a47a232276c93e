/* sim/paper_round.h: one round of the study's federation, really simulated, for each of its
 * configurations.
 *
 * 100 clients, 10 per round, 2 local steps of mini-batch 1, LTE 40/10 Mbit/s with 50 ms or 1 Gbit/s
 * with 70 us, nothing shared, accounting literal: network with start-up, device profile seconds,
 * energy of the route. Each round runs in a child process, because SimGrid has one engine per
 * process. */
#ifndef SIM_PAPER_ROUND_H
#define SIM_PAPER_ROUND_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/paper_tables.h"

struct paper_case {
    enum paper_model model;
    bool is_full, is_lte;
    enum paper_device device;
};

struct paper_round {
    double duration_s, t_comp_s, t_comm_s, granularity, comm_kwh, device_kwh;
    double closed_comm_s; /* download + upload in closed form (net/closed.h) */
};

/* rounds [n], in the order of cases. */
enum err_code paper_rounds(size_t n, const struct paper_case *cases, struct paper_round *rounds,
                           struct err *e);

#endif
