#include "energy/ledger.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

#define J_PER_KWH 3.6e6

void ledger_sum_add(struct ledger_sum *s, double x)
{
    double t = s->sum + x;
    if (fabs(s->sum) >= fabs(x))
        s->rest += (s->sum - t) + x;
    else
        s->rest += (x - t) + s->sum;
    s->sum = t;
}

double ledger_sum_value(const struct ledger_sum *s)
{
    return s->sum + s->rest;
}

void ledger_init(struct ledger *l, size_t n_machines)
{
    size_t n_cells, cap = 0;
    *l = (struct ledger){.n_machines = n_machines};
    CHECK(size_mul(n_machines, N_CAUSES, &n_cells));
    if (n_cells == 0)
        return;
    mem_grow((void **)&l->cell, &cap, n_cells, sizeof(*l->cell));
    memset(l->cell, 0, n_cells * sizeof(*l->cell));
}

void ledger_fini(struct ledger *l)
{
    mem_free(l->cell);
    *l = (struct ledger){0};
}

static const struct ledger_sum *cell_of(const struct ledger *l, size_t machine, enum cause why)
{
    CHECK(machine < l->n_machines && (int)why >= 0 && why < N_CAUSES);
    return &l->cell[machine * N_CAUSES + (size_t)why];
}

void ledger_add(struct ledger *l, size_t machine, enum cause why, double joules)
{
    CHECK(machine < l->n_machines && (int)why >= 0 && why < N_CAUSES);
    CHECK(joules >= 0 && isfinite(joules));
    ledger_sum_add(&l->cell[machine * N_CAUSES + (size_t)why], joules);
    ledger_sum_add(&l->cause[why], joules);
    ledger_sum_add(&l->total, joules);
}

void ledger_add_power(struct ledger *l, size_t machine, enum cause why, double power_w, double t0_s,
                      double t1_s)
{
    CHECK(t1_s >= t0_s && power_w >= 0);
    ledger_add(l, machine, why, power_w * (t1_s - t0_s));
}

double ledger_j(const struct ledger *l, size_t machine, enum cause why)
{
    return ledger_sum_value(cell_of(l, machine, why));
}

double ledger_machine_j(const struct ledger *l, size_t machine)
{
    struct ledger_sum sum = {0};
    for (int why = 0; why < N_CAUSES; why++) {
        const struct ledger_sum *c = cell_of(l, machine, (enum cause)why);
        ledger_sum_add(&sum, c->sum);
        ledger_sum_add(&sum, c->rest);
    }
    return ledger_sum_value(&sum);
}

double ledger_cause_j(const struct ledger *l, enum cause why)
{
    CHECK((int)why >= 0 && why < N_CAUSES);
    return ledger_sum_value(&l->cause[why]);
}

double ledger_total_j(const struct ledger *l)
{
    return ledger_sum_value(&l->total);
}

const char *ledger_cause_name(enum cause why)
{
    static const char *const names[N_CAUSES] = {"train", "idle", "comm"};
    CHECK((int)why >= 0 && why < N_CAUSES);
    return names[why];
}

double kwh_from_j(double joules)
{
    return joules / J_PER_KWH;
}

double carbon_g_from_j(double joules, double carbon_g_per_kwh)
{
    return kwh_from_j(joules) * carbon_g_per_kwh;
}
