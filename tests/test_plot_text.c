/* Curves in the terminal: axes, canvas, and `veryedge plot` as a user meets it. */
#include "sim/axis.h"
#include "sim/plot_text.h"
#include "tests/program.h"

static void an_axis_goes_from_zero_where_that_hides_nothing(void)
{
    struct axis a = axis_of(1, 4);
    CHECK_NEAR(a.lo, 0, 0);
    CHECK_TRUE(a.hi > 4 && !a.is_log);
    a = axis_of(3, 4); /* zero would flatten the curve */
    CHECK_TRUE(a.lo > 2.9 && a.lo < 3);
    CHECK_TRUE(axis_of(0.02, 1).is_log && !axis_of(0.021, 1).is_log);
}

/* From 1 / 1.2 to 100 * 1.2: ln(1.2) / ln(144) = 0.0366858 beside either end, half a decade at a half. */
static void equal_ratios_are_equal_distances_on_a_log_axis(void)
{
    struct axis a = axis_of(1, 100);
    double tick[AXIS_MAX_TICKS];
    CHECK_TRUE(a.is_log);
    CHECK_NEAR(axis_place(&a, a.lo), 0, 1e-12);
    CHECK_NEAR(axis_place(&a, 1), 0.0366857960, 1e-8);
    CHECK_NEAR(axis_place(&a, 10), 0.5, 1e-12);
    CHECK_NEAR(axis_place(&a, 100), 1 - 0.0366857960, 1e-8);
    CHECK_NEAR(axis_place(&a, a.hi), 1, 1e-12);
    CHECK_NEAR(axis_place(&a, 20) - axis_place(&a, 2), axis_place(&a, 50) - axis_place(&a, 5), 1e-12);
    static const double WANT[] = {1, 2, 5, 10, 20, 50, 100};
    CHECK_INT(axis_ticks(&a, 5, tick), 7);
    for (int i = 0; i < 7; i++)
        CHECK_NEAR(tick[i], WANT[i], 1e-12);
}

static void values_that_rounding_sets_apart_are_one(void)
{
    struct axis a = axis_of(4.6089999999999, 4.609);
    double tick[AXIS_MAX_TICKS];
    CHECK_TRUE(a.lo < 3 && a.hi > 6);
    CHECK_TRUE(axis_ticks(&a, 5, tick) >= 2);
    a = axis_of(0, 0);
    CHECK_TRUE(a.lo < 0 && a.hi > 0);
}

static void a_unit_keeps_numbers_readable(void)
{
    CHECK_STR(axis_time(100).name, "s");
    CHECK_STR(axis_time(3 * 60).name, "min");
    CHECK_STR(axis_time(3 * 86400).name, "d");
    CHECK_STR(axis_energy(0.5).name, "Wh");
    CHECK_STR(axis_energy(5e3).name, "MWh");
}

/* What a plot prints, in a static buffer. */
static const char *printed(const struct text_plot *p, struct terminal t)
{
    static char text[65536];
    FILE *f = tmpfile();
    plot_text(f, p, &t);
    size_t n = (size_t)ftell(f);
    rewind(f);
    n = fread(text, 1, n < sizeof(text) - 1 ? n : sizeof(text) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static void count(const char *text, int *lines, int *widest, bool *is_ascii)
{
    *lines = *widest = 0;
    *is_ascii = true;
    for (int width = 0; *text; text++) {
        *is_ascii &= (unsigned char)*text < 0x80;
        width += ((unsigned char)*text & 0xc0) != 0x80;
        if (*text == '\n') {
            *widest = width - 1 > *widest ? width - 1 : *widest;
            width = 0;
            ++*lines;
        }
    }
}

static const double X[] = {0, 1, 2, 3}, UP[] = {0, 1, 2, 3},
                    NONE[] = {(double)NAN, (double)NAN, 1, (double)INFINITY};

/* 24 lines of which one is for the prompt; a diagonal of 0 to 3 on an axis to 3.18. */
static void a_line_in_ascii_goes_through_its_points(void)
{
    const struct text_series s = {"run", 4, X, UP};
    const struct text_plot p = {"y over x", true, 1, &s};
    const char *text = printed(&p, (struct terminal){false, false, 40, 24});
    int lines, widest;
    bool is_ascii;
    count(text, &lines, &widest, &is_ascii);
    CHECK_INT(lines, 23);
    CHECK_TRUE(widest <= 40 && is_ascii);
    CHECK_HAS(text, "y over x\n");
    CHECK_HAS(text, "\n  0 +*\n"); /* the left end, at zero */
    CHECK_HAS(text, "\n    ++-----");
    CHECK_HAS(text, "\nrun: 0 -> 3\n");
    const char *top = strstr(text, "\n  3 +"); /* the right end, at 3 */
    CHECK_TRUE(top && strcspn(top + 1, "\n") == 40 && top[40] == '*');
}

/* Long numbers at both ends, on the least terminal: nothing is written beside the line. */
static void long_numbers_stay_within_the_line(void)
{
    static const double x[] = {123456.5, 123457.5}, y[] = {-1e-5, 2e-5};
    const struct text_series s = {"a name of more letters than this terminal has room for", 2, x, y};
    const struct text_plot p = {"t", false, 1, &s};
    for (int columns = 1; columns <= 60; columns += 7) {
        const char *text = printed(&p, (struct terminal){false, false, columns, 1});
        const char *numbers = strstr(text, "+-");
        numbers = numbers ? strchr(numbers, '\n') + 1 : "";
        CHECK_TRUE(strcspn(numbers, "\n") < 64);
        CHECK_HAS(text, "-1e-05 -> 2e-05\n");
    }
}

static void a_line_in_braille_has_its_dots(void)
{
    const double x[] = {0, 1}, y[] = {0, 1};
    struct arena a = {0};
    const struct terminal t = {true, false, 80, 24};
    struct canvas c = canvas_new(&a, 2, 1, &t);
    const double from[2] = {x[0], y[0]}, to[2] = {x[1], y[1]};
    canvas_line(&c, 0, '*', from, to);
    FILE *f = tmpfile();
    canvas_row(&c, 0, f);
    rewind(f);
    char text[16] = "";
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    /* dots (0, 3) (1, 2) | (2, 1) (3, 0): bits 7 and 6 | 2 and 4, as U+2860 U+280A */
    CHECK_INT(n, 6);
    CHECK_STR(text, "\xe2\xa1\xa0\xe2\xa0\x8a");
    arena_free(&a);
}

static void several_runs_have_letters_and_fit(void)
{
    struct text_series s[PLOT_TEXT_MAX_SERIES];
    for (int i = 0; i < PLOT_TEXT_MAX_SERIES; i++)
        s[i] = (struct text_series){"a run with a longer name", 4, X, i == 3 ? NONE : UP};
    const struct text_plot p = {"y over x", true, PLOT_TEXT_MAX_SERIES, s};
    for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
        const char *text = printed(&p, (struct terminal){is_utf8, false, 80, 24});
        int lines, widest;
        bool is_ascii;
        count(text, &lines, &widest, &is_ascii);
        CHECK_INT(lines, 23);
        CHECK_TRUE(widest <= 80 && is_ascii == !is_utf8);
        CHECK_HAS(text, "a a run with a longer name: 0 -> 3");
        CHECK_HAS(text, "d a run with a longer name: 1 -> 1"); /* its one point */
        CHECK_TRUE(!strchr(text, 0x1b));
    }
}

static void names_cannot_command_the_terminal(void)
{
    const struct text_series s = {"\x1b[2J\x07name", 4, X, UP};
    const struct text_plot p = {"t", true, 1, &s};
    const char *text = printed(&p, (struct terminal){true, false, 80, 24});
    CHECK_HAS(text, "?[2J?name: 0 -> 3");
}

static void colours_come_only_where_they_are_wanted(void)
{
    const struct text_series s[] = {{"one", 4, X, UP}, {"two", 4, X, UP}};
    const struct text_plot p = {"t", true, 2, s};
    const char *text = printed(&p, (struct terminal){true, true, 80, 24});
    CHECK_HAS(text, "\033[34ma one: 0 -> 3\033[0m");
    CHECK_HAS(text, "\033[33mb two");
}

static void plot_draws_what_runs_have(void)
{
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/network-only.json' --quiet --set output.dir=lte --set "
                      "federation.rounds=30"),
              0);
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/network-only.json' --quiet --set output.dir=wired --set "
                      "federation.rounds=30 --set 'network={\"topology\": \"wired\"}'"),
              0);
    setenv("LC_ALL", "C.UTF-8", 1);
    CHECK_INT(program("plot lte"), 0);
    char *text = strdup(program_text("out.txt"));
    int lines, widest;
    bool is_ascii;
    count(text, &lines, &widest, &is_ascii);
    CHECK_HAS(text, "duration_s (s) over round\n"); /* nothing was trained */
    CHECK_TRUE(lines == 23 && widest <= 80 && !is_ascii && !strchr(text, 0x1b));
    setenv("LC_ALL", "C", 1);
    CHECK_INT(program("plot lte wired --figure comm_kwh --figure granularity --over kwh"), 0);
    const char *two = program_text("out.txt");
    count(two, &lines, &widest, &is_ascii);
    CHECK_TRUE(lines == 46 && is_ascii);
    CHECK_HAS(two, "comm_kwh (kWh) over energy of network and devices (kWh), logarithmic\n");
    CHECK_HAS(two, "granularity over energy of network and devices (kWh), logarithmic\n");
    CHECK_HAS(two, "a lte: 6.743 -> 6.743   b wired: 0.0397"); /* one name: told apart by folder */
    CHECK_INT(program("plot lte --figure rouge1"), 0);
    CHECK_STR(program_text("out.txt"), "rouge1 over round: no values\n");
    unsetenv("LC_ALL");
    free(text);
}

static void plot_refuses_what_it_does_not_know(void)
{
    CHECK_INT(program("plot lte --figure eval_los"), 2);
    CHECK_HAS(
        program_text("err.txt"),
        "--figure: expected a number of rounds.csv, got \"eval_los\", did you mean \"eval_loss\"?");
    CHECK_INT(program("plot lte --figure round"), 2);
    CHECK_INT(program("plot lte --over miles"), 2);
    CHECK_HAS(program_text("err.txt"), "--over: expected round, time or kwh, got \"miles\"");
    CHECK_INT(program("plot nowhere"), 2);
    CHECK_HAS(program_text("err.txt"), "nowhere: expected a folder that veryedge run has written");
    CHECK_INT(program("plot"), 2);
}

int main(void)
{
    program_begin();
    CASE(an_axis_goes_from_zero_where_that_hides_nothing);
    CASE(equal_ratios_are_equal_distances_on_a_log_axis);
    CASE(values_that_rounding_sets_apart_are_one);
    CASE(a_unit_keeps_numbers_readable);
    CASE(a_line_in_ascii_goes_through_its_points);
    CASE(long_numbers_stay_within_the_line);
    CASE(a_line_in_braille_has_its_dots);
    CASE(several_runs_have_letters_and_fit);
    CASE(names_cannot_command_the_terminal);
    CASE(colours_come_only_where_they_are_wanted);
    CASE(plot_draws_what_runs_have);
    CASE(plot_refuses_what_it_does_not_know);
    program_end();
    return test_end();
}
