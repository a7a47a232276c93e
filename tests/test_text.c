#include "sim/base/text.h"

#include "tests/test.h"

static void check_quantity(const char *s, enum unit_kind kind, double want)
{
    double got = -1;
    struct err e = {0};
    if (text_quantity(s, kind, 0, HUGE_VAL, &got, &e))
        TEST_FAIL("%s: %s", s, e.text);
    else if (got != want)
        TEST_FAIL("%s: got %.17g, want %.17g", s, got, want);
}

static void quantities_are_the_nearest_double(void)
{
    check_quantity("40Mbps", UNIT_RATE_BPS, 40e6);
    check_quantity("1Gbps", UNIT_RATE_BPS, 1e9);
    check_quantity("9.6kbps", UNIT_RATE_BPS, 9600);
    check_quantity("2.3Mbit/s", UNIT_RATE_BPS, 2300000);
    check_quantity("2.75MB", UNIT_SIZE_BYTES, 2750000);
    check_quantity("16GiB", UNIT_SIZE_BYTES, 17179869184.0);
    check_quantity("1e3MB", UNIT_SIZE_BYTES, 1e9);
    check_quantity("512B", UNIT_SIZE_BYTES, 512);
    check_quantity("70us", UNIT_TIME_S, 70e-6);
    check_quantity("0.1ms", UNIT_TIME_S, 1e-4);
    check_quantity("5min", UNIT_TIME_S, 300);
    check_quantity("2h", UNIT_TIME_S, 7200);
    check_quantity("1d", UNIT_TIME_S, 86400);
    check_quantity("0s", UNIT_TIME_S, 0);
    check_quantity("1.2kW", UNIT_POWER_W, 1200);
    check_quantity("5.3TFLOP/s", UNIT_FLOP_PER_S, 5.3e12);
    check_quantity("31.7nJ/bit", UNIT_ENERGY_J_PER_BIT, 31.7e-9);
    check_quantity("82.82uJ/bit", UNIT_ENERGY_J_PER_BIT, 82.82e-6);
}

static void check_refused(const char *s, enum unit_kind kind, const char *words)
{
    double got = -1;
    struct err e = {0};
    CHECK_INT(text_quantity(s, kind, 1, 1e9, &got, &e), ERR_INPUT);
    CHECK_STR(e.text, words);
    CHECK_NEAR(got, -1, 0);
}

static void what_is_no_quantity_is_refused_with_an_example(void)
{
    check_refused("40", UNIT_RATE_BPS, "expected a rate such as 40Mbps, got \"40\"");
    check_refused("40 Mbps", UNIT_RATE_BPS, "expected a rate such as 40Mbps, got \"40 Mbps\"");
    check_refused("40MB", UNIT_RATE_BPS, "expected a rate such as 40Mbps, got \"40MB\"");
    check_refused("Mbps", UNIT_RATE_BPS, "expected a rate such as 40Mbps, got \"Mbps\"");
    check_refused("", UNIT_TIME_S, "expected a time such as 50ms, got \"\"");
    check_refused("0x10s", UNIT_TIME_S, "expected a time such as 50ms, got \"0x10s\"");
    check_refused("infs", UNIT_TIME_S, "expected a time such as 50ms, got \"infs\"");
    check_refused("1e999s", UNIT_TIME_S, "expected a time such as 50ms, got \"1e999s\"");
    check_refused("1e99999999999999999999s", UNIT_TIME_S,
                  "expected a time such as 50ms, got \"1e99999999999999999999s\"");
    check_refused("2KB", UNIT_SIZE_BYTES, "expected a size such as 2.75MB, got \"2KB\"");
}

static void ranges_include_both_ends(void)
{
    double got;
    struct err e = {0};
    CHECK_INT(text_quantity("1kbps", UNIT_RATE_BPS, 1e3, 1e6, &got, &e), OK);
    CHECK_INT(text_quantity("1Mbps", UNIT_RATE_BPS, 1e3, 1e6, &got, &e), OK);
    CHECK_INT(text_quantity("0.999kbps", UNIT_RATE_BPS, 1e3, 1e6, &got, &e), ERR_INPUT);
    CHECK_STR(e.text, "expected 1kbps..1Mbps, got \"0.999kbps\"");
    CHECK_INT(text_quantity("1.001Mbps", UNIT_RATE_BPS, 1e3, 1e6, &got, &e), ERR_INPUT);
    CHECK_INT(text_quantity("-1s", UNIT_TIME_S, 0, HUGE_VAL, &got, &e), ERR_INPUT);
    CHECK_STR(e.text, "expected at least 0s, got \"-1s\"");
}

static void whole_numbers_and_decimals_take_the_whole_string(void)
{
    int64_t i = 0;
    double d = 0;
    struct err e = {0};
    CHECK_INT(text_int("-3", -3, 3, &i, &e), OK);
    CHECK_INT(i, -3);
    CHECK_INT(text_int("3", -3, 3, &i, &e), OK);
    CHECK_INT(text_int("4", -3, 3, &i, &e), ERR_INPUT);
    CHECK_STR(e.text, "expected -3..3, got 4");
    CHECK_INT(text_int("99999999999999999999", INT64_MIN, INT64_MAX, &i, &e), ERR_INPUT);
    CHECK_INT(text_int("9223372036854775807", INT64_MIN, INT64_MAX, &i, &e), OK);
    CHECK_TRUE(i == INT64_MAX);
    CHECK_INT(text_int("3x", -3, 3, &i, &e), ERR_INPUT);
    CHECK_STR(e.text, "expected a whole number, got \"3x\"");
    CHECK_INT(text_int("", -3, 3, &i, &e), ERR_INPUT);
    CHECK_INT(text_int("1.5", -3, 3, &i, &e), ERR_INPUT);
    CHECK_INT(text_double("-2.5e-1", -1, 1, &d, &e), OK);
    CHECK_NEAR(d, -0.25, 0);
    CHECK_INT(text_double("nan", -1, 1, &d, &e), ERR_INPUT);
    CHECK_INT(text_double("1e", -1, 1, &d, &e), ERR_INPUT);
    CHECK_INT(text_double("2", -1, 1, &d, &e), ERR_INPUT);
    CHECK_STR(e.text, "expected -1..1, got 2");
}

static void check_format(double value, enum unit_kind kind, const char *want)
{
    char got[32];
    text_format(got, sizeof(got), value, kind);
    CHECK_STR(got, want);
}

static void formats_take_the_prefix_that_reads_best(void)
{
    check_format(2752512, UNIT_SIZE_BYTES, "2.753MB");
    check_format(40e6, UNIT_RATE_BPS, "40Mbps");
    check_format(999.99e6, UNIT_RATE_BPS, "1Gbps");
    check_format(0, UNIT_RATE_BPS, "0bps");
    check_format(0, UNIT_TIME_S, "0s");
    check_format(0.05, UNIT_TIME_S, "50ms");
    check_format(70e-6, UNIT_TIME_S, "70us");
    check_format(90, UNIT_TIME_S, "90s");
    check_format(150, UNIT_TIME_S, "2.5min");
    check_format(7200, UNIT_TIME_S, "2h");
    check_format(3 * 86400.0, UNIT_TIME_S, "3d");
    check_format(83.155470e-6, UNIT_ENERGY_J_PER_BIT, "83.16uJ/bit");
    check_format(123456e12, UNIT_RATE_BPS, "123456Tbps");
    check_format(-5e3, UNIT_POWER_W, "-5kW");
}

static void shortest_decimals_read_back_to_the_bit(void)
{
    char text[32];
    const double values[] = {0.1,  1.0 / 3, 1e-6,      1e300, 5e-324,       123456789.125,
                             1e15, -2.5,    0.1 + 0.2, 40e6,  2147483648.0, 1.7976931348623157e308};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        text_shortest(text, values[i]);
        if (strtod(text, NULL) != values[i])
            TEST_FAIL("%.17g came back as %s", values[i], text);
    }
    text_shortest(text, 0.1);
    CHECK_STR(text, "0.1");
    text_shortest(text, 1e-6);
    CHECK_STR(text, "1e-06");
    text_shortest(text, 40e6);
    CHECK_STR(text, "40000000");
    text_shortest(text, 0.1 + 0.2);
    CHECK_STR(text, "0.30000000000000004");
    text_shortest(text, -0.0);
    CHECK_STR(text, "-0");
}

static void the_nearest_name_is_near(void)
{
    static const char *const names[] = {"rounds",   "seed",      "clients", "fedadam",
                                        "fedadamw", "a100-80gb", "lr"};
    const size_t n = sizeof(names) / sizeof(names[0]);
    CHECK_STR(text_nearest("rouds", names, n), "rounds");
    CHECK_STR(text_nearest("roudns", names, n), "rounds");
    CHECK_STR(text_nearest("Seed", names, n), "seed");
    CHECK_STR(text_nearest("fedadan", names, n), "fedadam");
    CHECK_STR(text_nearest("FedAdamW", names, n), "fedadamw");
    CHECK_STR(text_nearest("a100", names, n), "a100-80gb");
    CHECK_STR(text_nearest("lt", names, n), "lr");
    CHECK_TRUE(text_nearest("banana", names, n) == NULL);
    CHECK_TRUE(text_nearest("x", names, n) == NULL);
    CHECK_TRUE(text_nearest("", names, n) == NULL);
    CHECK_TRUE(text_nearest("seed", names, 0) == NULL);
}

int main(void)
{
    CASE(quantities_are_the_nearest_double);
    CASE(what_is_no_quantity_is_refused_with_an_example);
    CASE(ranges_include_both_ends);
    CASE(whole_numbers_and_decimals_take_the_whole_string);
    CASE(formats_take_the_prefix_that_reads_best);
    CASE(shortest_decimals_read_back_to_the_bit);
    CASE(the_nearest_name_is_near);
    return test_end();
}
