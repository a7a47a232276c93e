/* energy/ledger.h: joules by machine and cause, with totals that add up.
 *
 * A machine is an index that the caller gives meaning to (a client, a network element). Every sum
 * is compensated (Neumaier 1974), so that machines, causes and the grand total agree to 1e-15
 * relative however many bookings there were. */
#ifndef ENERGY_LEDGER_H
#define ENERGY_LEDGER_H

#include <stddef.h>

enum cause { CAUSE_TRAIN, CAUSE_IDLE, CAUSE_COMM, N_CAUSES };

/* A compensated sum; zero-initialised is 0. */
struct ledger_sum {
    double sum, rest;
};
void ledger_sum_add(struct ledger_sum *s, double x);
double ledger_sum_value(const struct ledger_sum *s);

struct ledger {
    size_t n_machines;
    struct ledger_sum *cell; /* [n_machines * N_CAUSES] */
    struct ledger_sum cause[N_CAUSES], total;
};

void ledger_init(struct ledger *l, size_t n_machines); /* all zero; aborts when memory is gone */
void ledger_fini(struct ledger *l);

/* Books joules >= 0 to machine < n_machines. */
void ledger_add(struct ledger *l, size_t machine, enum cause why, double joules);
/* Books power_w watts over [t0_s, t1_s], t1_s >= t0_s. */
void ledger_add_power(struct ledger *l, size_t machine, enum cause why, double power_w, double t0_s,
                      double t1_s);

double ledger_j(const struct ledger *l, size_t machine, enum cause why);
double ledger_machine_j(const struct ledger *l, size_t machine);
double ledger_cause_j(const struct ledger *l, enum cause why); /* over all machines */
double ledger_total_j(const struct ledger *l);
const char *ledger_cause_name(enum cause why); /* "train", "idle", "comm" */

double kwh_from_j(double joules);                               /* 1 kWh = 3.6e6 J */
double carbon_g_from_j(double joules, double carbon_g_per_kwh); /* grams of CO2 equivalent */

#endif
