/* energy/account.h: named accountings: what of a round is computing, what communication, and how a
 * bit is charged.
 *
 * "literal" (default): true units, the definitions of the study (arXiv 2310.03150, section 3) by
 * their words:
 *
 *   T_comp  fine-tuning seconds of the slowest participant, not more than the round lasted
 *   T_comm  the round's duration - T_comp: sending, waiting, receiving
 *   G       T_comp / T_comm, the granularity
 *   J/bit   as the set of energy/perbit.h says
 *
 * "paper-table1": what the study's printed Table 1 is consistent with, and its formula is not
 * (paper/accounting.md, section 3). Only for looking at that table; whoever prints its numbers
 * prints its warning too. Nothing of it depends on simulated time:
 *
 *   T_comp  one constant per device, whatever the model: A100 18.60 s, Orin 41.00 s (fitted; only
 * their ratio to T_comm is identified) T_comm  lte 4.018 s/MB, wired 4.018 ms/MB rounded to 1 ms;
 * MB = 10^6 bytes of one direction's payload J/bit   the set's, LTE access (endpoint and base
 * station) 1550 nJ/bit each way instead (fitted; equals 12,400 / 8), and everything times 32
 * (unexplained; the precision seems to be applied twice)
 *
 * Participants are the clients whose result arrived. When nobody's did, T_comp = 0, so G = 0; under
 * paper-table1 both times are 0 then, and G is NAN. */
#ifndef ENERGY_ACCOUNT_H
#define ENERGY_ACCOUNT_H

#include <stddef.h>

#include "energy/perbit.h"

#define ACCOUNT_TABLE1_FACTOR 32.0
#define ACCOUNT_TABLE1_LTE_J_PER_BIT 1550e-9
#define ACCOUNT_TABLE1_S_PER_MB 4.018 /* lte; a thousandth of it wired */
#define ACCOUNT_TABLE1_A100_S 18.60
#define ACCOUNT_TABLE1_ORIN_S 41.00

struct account_round {
    double t_comp_s, t_comm_s;
    double granularity; /* INFINITY when T_comm is 0 and T_comp is not; NAN when both are 0 */
};

/* One participant of a round. */
struct account_part {
    double train_s;       /* its fine-tuning seconds, >= 0 */
    const char *device;   /* "a100-80gb" */
    const char *access;   /* its access network: "lte", "wired" */
    double payload_bytes; /* of one direction; the mean where they differ */
};

/* A group of clients as an accounting looks at it before a run. */
struct account_group {
    const char *device, *access;
    double down_bps, up_bps; /* as stated, frames or payload */
};

struct account {
    const char *name;
    const char *what; /* one phrase for help and reports */
    const char
        *warning; /* one line that every output with its numbers carries; NULL: none needed */
    /* Of each participant, n may be 0; duration_s >= 0. Devices and access networks were accepted.
     */
    struct account_round (*round)(double duration_s, size_t n, const struct account_part *part);
    /* NULL when the accounting has numbers for such clients, else what it expects: "expected ...".
     * NULL function: it takes all. */
    const char *(*refuses)(const struct account_group *g);
    /* Turns a set of J/bit into the one that is charged. NULL: the set as it is. */
    void (*charge)(struct perbit_set *set);
    bool needs_j16; /* it was fitted on that set's values and takes no other */
};

/* By name, or NULL. The first is the default. */
const struct account *account_find(const char *name);
size_t account_count(void);
const struct account *account_at(size_t i);

/* The set that an accounting charges, of the set that the scenario states. Its name says so. */
struct perbit_set account_charged(const struct account *a, const struct perbit_set *stated);

#endif
