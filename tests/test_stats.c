/* Printed tables of Student's t (Abramowitz and Stegun, table 26.10) and figures by hand. */
#include "sim/stats.h"
#include "tests/test.h"

static void mean_and_spread_of_two_four_nine(void)
{
    const double x[] = {2, 4, 9};
    CHECK_NEAR(stats_mean(3, x), 5, 1e-15);
    CHECK_NEAR(stats_sd(3, x), sqrt((9 + 1 + 16) / 2.0), 1e-15);
    CHECK_TRUE(isnan(stats_mean(0, x)));
    CHECK_TRUE(isnan(stats_sd(1, x)));
}

static void quantiles_are_those_of_the_printed_table(void)
{
    const struct {
        double p;
        size_t df;
        double t;
    } rows[] = {
        {0.95, 1, 12.706204736}, {0.95, 2, 4.302652730},  {0.95, 3, 3.182446305},
        {0.95, 4, 2.776445105},  {0.95, 5, 2.570581836},  {0.95, 9, 2.262157163},
        {0.95, 10, 2.228138852}, {0.95, 30, 2.042272456}, {0.99, 5, 4.032142984},
        {0.99, 20, 2.845339710}, {0.90, 7, 1.894578605},  {0.95, 120, 1.979930405},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_REL(stats_t_quantile(rows[i].p, rows[i].df), rows[i].t, 1e-9);
}

static void one_and_two_degrees_have_a_closed_form(void)
{
    for (int i = 0; i < 20; i++) {
        double p = i / 20.0, tail = 0.5 + p / 2;
        CHECK_NEAR(stats_t_quantile(p, 1), tan(3.14159265358979323846 * (tail - 0.5)), 1e-12);
        CHECK_NEAR(stats_t_quantile(p, 2), (2 * tail - 1) / sqrt(2 * tail * (1 - tail)), 1e-12);
    }
}

static void many_degrees_come_to_the_normal_distribution(void)
{
    CHECK_NEAR(stats_t_quantile(0.95, 1000000), 1.959963985, 1e-5);
}

/* Differences 1, 2, 3: mean 2, sd 1, so half the interval is 4.30265 / sqrt(3). */
static void a_paired_difference_by_hand(void)
{
    const double a[] = {10, 20, 30}, b[] = {11, 22, 33};
    struct stats_paired d = stats_paired(3, a, b);
    CHECK_NEAR(d.mean, 2, 1e-15);
    CHECK_NEAR(d.half_width, 4.302652730 / sqrt(3), 1e-9);
}

static void equal_pairs_differ_by_nothing_and_one_pair_has_no_interval(void)
{
    const double a[] = {1, 5, 7};
    struct stats_paired d = stats_paired(3, a, a);
    CHECK_TRUE(d.mean == 0 && d.half_width == 0);
    d = stats_paired(1, a, a + 1);
    CHECK_NEAR(d.mean, 4, 0);
    CHECK_TRUE(isnan(d.half_width));
}

static void a_missing_number_is_not_averaged_away(void)
{
    const double a[] = {1, 2}, b[] = {1, (double)NAN};
    CHECK_TRUE(isnan(stats_mean(2, b)));
    CHECK_TRUE(isnan(stats_paired(2, a, b).mean));
}

int main(void)
{
    CASE(mean_and_spread_of_two_four_nine);
    CASE(quantiles_are_those_of_the_printed_table);
    CASE(one_and_two_degrees_have_a_closed_form);
    CASE(many_degrees_come_to_the_normal_distribution);
    CASE(a_paired_difference_by_hand);
    CASE(equal_pairs_differ_by_nothing_and_one_pair_has_no_interval);
    CASE(a_missing_number_is_not_averaged_away);
    return test_end();
}
