/* energy/account.h: named accountings: what of a round is computing and what communication.
 *
 * "literal": true units, the definitions of the study (arXiv 2310.03150, section 3) by their words:
 *
 *   T_comp  fine-tuning seconds of the slowest participant, not more than the round lasted
 *   T_comm  the round's duration - T_comp: sending, waiting, receiving
 *   G       T_comp / T_comm, the granularity
 *
 * Participants are the clients whose result arrived. When nobody's did, T_comp = 0, so G = 0. */
#ifndef ENERGY_ACCOUNT_H
#define ENERGY_ACCOUNT_H

#include <stddef.h>

struct account_round {
    double t_comp_s, t_comm_s;
    double granularity; /* INFINITY when T_comm is 0 and T_comp is not; NAN when both are 0 */
};

struct account {
    const char *name;
    const char *what; /* one phrase for help and reports */
    /* train_s [n]: fine-tuning seconds of each participant, n may be 0; duration_s >= 0 */
    struct account_round (*round)(double duration_s, size_t n, const double *train_s);
};

/* By name, or NULL. */
const struct account *account_find(const char *name);
size_t account_count(void);
const struct account *account_at(size_t i);

#endif
