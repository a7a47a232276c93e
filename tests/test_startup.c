/* The wait before a flow's bytes run at full rate, by hand from the rule in net/startup.h. */
#include "net/startup.h"
#include "tests/test.h"

static double total_s(double bytes, double goodput_bps, double rtt_s)
{
    return startup_wait_s(bytes, goodput_bps, rtt_s) + 8 * bytes / goodput_bps;
}

static void efficiency_is_payload_over_frame(void)
{
    CHECK_REL(STARTUP_EFFICIENCY, 0.956407, 1e-6);
}

/* ground-truth/README.md: 688,000 B at 40 Mbit/s and 50 ms: k = 5, W_5 = 448,880. */
static void the_worked_example_comes_out(void)
{
    double goodput_bps = 40e6 * STARTUP_EFFICIENCY;
    CHECK_REL(goodput_bps / 8, 4782034, 1e-6);
    CHECK_NEAR(startup_wait_s(688000, goodput_bps, 0.05), 0.181132, 1e-6);
    CHECK_NEAR(total_s(688000, goodput_bps, 0.05), 0.325004, 1e-6);
}

/* The same file: ten of them in a 150 Mbit/s cell: k = 3. */
static void the_worked_example_in_a_cell_comes_out(void)
{
    double goodput_bps = 150e6 / 10 * STARTUP_EFFICIENCY;
    CHECK_NEAR(startup_wait_s(688000, goodput_bps, 0.05), 0.175 - 0.056523, 1e-6);
    CHECK_NEAR(total_s(688000, goodput_bps, 0.05), 0.502135, 1e-6);
}

static void what_fits_the_first_window_waits_for_the_latency_alone(void)
{
    CHECK_REL(startup_wait_s(14480, 1e9, 0.05), 0.025, 1e-15);
    CHECK_REL(startup_wait_s(1, 1e9, 0.05), 0.025, 1e-15);
    CHECK_REL(startup_wait_s(0, 1e9, 0.05), 0.025, 1e-15);
    /* one byte more: a round trip, less the time the first window was on the link */
    CHECK_REL(startup_wait_s(14481, 1e9, 0.05), 0.025 + 0.05 - 14480 / 125e6, 1e-12);
}

static void a_slow_link_is_full_from_the_first_window(void)
{
    /* R rtt = 12,500 B <= w_0 */
    CHECK_REL(startup_wait_s(1e9, 2e6, 0.05), 0.025, 1e-15);
}

static void without_latency_there_is_no_wait(void)
{
    CHECK_NEAR(startup_wait_s(1e9, 1e6, 0), 0, 0);
    CHECK_NEAR(startup_wait_s(1, 1e12, 0), 0, 0);
}

static void the_wait_is_at_least_the_latency_and_grows_with_the_size(void)
{
    double before_s = 0;
    for (double bytes = 1; bytes < 1e9; bytes *= 1.7) {
        double wait_s = startup_wait_s(bytes, 40e6, 0.05);
        CHECK_TRUE(wait_s >= 0.025 && wait_s >= before_s);
        before_s = wait_s;
    }
}

/* Slow start never takes longer than a window per round trip would. */
static void a_window_is_never_idle_longer_than_a_round_trip(void)
{
    for (double bps = 1e5; bps < 1e12; bps *= 3)
        for (double bytes = 1e3; bytes < 1e9; bytes *= 3) {
            double rounds = 0, sent = 14480, window = 14480;
            while (sent < bytes) {
                window *= 2;
                sent += window;
                rounds += 1;
            }
            CHECK_TRUE(startup_wait_s(bytes, bps, 0.05) <= 0.025 + 0.05 * rounds + 1e-12);
        }
}

int main(void)
{
    CASE(efficiency_is_payload_over_frame);
    CASE(the_worked_example_comes_out);
    CASE(the_worked_example_in_a_cell_comes_out);
    CASE(what_fits_the_first_window_waits_for_the_latency_alone);
    CASE(a_slow_link_is_full_from_the_first_window);
    CASE(without_latency_there_is_no_wait);
    CASE(the_wait_is_at_least_the_latency_and_grows_with_the_size);
    CASE(a_window_is_never_idle_longer_than_a_round_trip);
    return test_end();
}
