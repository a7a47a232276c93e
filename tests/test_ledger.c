#include "energy/account.h"
#include "energy/ledger.h"
#include "tests/test.h"

static void joules_add_up_by_machine_and_by_cause(void)
{
    struct ledger l;
    ledger_init(&l, 3);
    ledger_add(&l, 0, CAUSE_TRAIN, 10);
    ledger_add(&l, 0, CAUSE_IDLE, 1);
    ledger_add(&l, 2, CAUSE_COMM, 5);
    ledger_add_power(&l, 2, CAUSE_TRAIN, 60, 1.5, 2.0);
    CHECK_NEAR(ledger_j(&l, 2, CAUSE_TRAIN), 30, 0);
    CHECK_NEAR(ledger_j(&l, 1, CAUSE_TRAIN), 0, 0);
    CHECK_NEAR(ledger_machine_j(&l, 0), 11, 0);
    CHECK_NEAR(ledger_cause_j(&l, CAUSE_TRAIN), 40, 0);
    CHECK_NEAR(ledger_total_j(&l), 46, 0);
    ledger_fini(&l);
}

static void totals_agree_after_a_million_uneven_bookings(void)
{
    enum { MACHINES = 100 };
    struct ledger l;
    double by_machine = 0, by_cause = 0;
    ledger_init(&l, MACHINES);
    for (int i = 0; i < 1000000; i++)
        ledger_add(&l, (size_t)(i % MACHINES), (enum cause)(i % N_CAUSES),
                   i % 1000 == 0 ? 1e9 / 3 : 1e-6 / 7);
    for (size_t m = 0; m < MACHINES; m++)
        by_machine += ledger_machine_j(&l, m);
    for (int c = 0; c < N_CAUSES; c++)
        by_cause += ledger_cause_j(&l, (enum cause)c);
    CHECK_REL(by_machine, ledger_total_j(&l), 1e-14);
    CHECK_REL(by_cause, ledger_total_j(&l), 1e-14);
    CHECK_REL(ledger_total_j(&l), 1000 * (1e9 / 3) + 999000 * (1e-6 / 7), 1e-15);
    ledger_fini(&l);
}

static void a_kilowatt_hour_is_3_6_megajoules(void)
{
    CHECK_NEAR(kwh_from_j(3.6e6), 1, 0);
    CHECK_NEAR(carbon_g_from_j(7.2e6, 381), 762, 1e-12);
}

static void an_empty_ledger_is_fine(void)
{
    struct ledger l;
    ledger_init(&l, 0);
    CHECK_NEAR(ledger_total_j(&l), 0, 0);
    ledger_fini(&l);
}

static struct account_round literal(double duration_s, size_t n, const double *train_s)
{
    struct account_part part[8] = {{0}};
    for (size_t i = 0; i < n; i++)
        part[i].train_s = train_s[i];
    return account_find("literal")->round(duration_s, n, part);
}

static void granularity_is_the_slowest_training_over_the_rest_of_the_round(void)
{
    const double train_s[] = {2, 6, 5};
    struct account_round r = literal(8, 3, train_s);
    CHECK_NEAR(r.t_comp_s, 6, 0);
    CHECK_NEAR(r.t_comm_s, 2, 0);
    CHECK_NEAR(r.granularity, 3, 0);
}

static void a_round_without_results_has_granularity_zero(void)
{
    struct account_round r = literal(30, 0, NULL);
    CHECK_NEAR(r.t_comp_s, 0, 0);
    CHECK_NEAR(r.t_comm_s, 30, 0);
    CHECK_NEAR(r.granularity, 0, 0);
}

static void a_round_of_training_alone_has_no_finite_granularity(void)
{
    const double train_s[] = {4};
    CHECK_TRUE(isinf(literal(4, 1, train_s).granularity));
    CHECK_TRUE(isnan(literal(0, 0, NULL).granularity));
    CHECK_NEAR(literal(3, 1, train_s).t_comp_s, 3, 0); /* not more than the round lasted */
    CHECK_NEAR(literal(3, 1, train_s).t_comm_s, 0, 0);
}

static void accounts_are_found_by_name(void)
{
    for (size_t i = 0; i < account_count(); i++)
        CHECK_TRUE(account_find(account_at(i)->name) == account_at(i));
    CHECK_TRUE(account_find("table1") == NULL);
}

int main(void)
{
    CASE(joules_add_up_by_machine_and_by_cause);
    CASE(totals_agree_after_a_million_uneven_bookings);
    CASE(a_kilowatt_hour_is_3_6_megajoules);
    CASE(an_empty_ledger_is_fine);
    CASE(granularity_is_the_slowest_training_over_the_rest_of_the_round);
    CASE(a_round_without_results_has_granularity_zero);
    CASE(a_round_of_training_alone_has_no_finite_granularity);
    CASE(accounts_are_found_by_name);
    return test_end();
}
