/* Where an SVG plot puts its points: at their values where all are numbers or quantities of a kind. */
#include <math.h>

#include "sim/plot.h"
#include "tests/test.h"

static void numbers_lie_at_their_values(void)
{
    static const char *const label[] = {"4", "1", "2.5"};
    double at[3];
    CHECK_TRUE(!plot_places(3, label, at));
    CHECK_NEAR(at[0], 1, 1e-12);
    CHECK_NEAR(at[1], 0, 1e-12);
    CHECK_NEAR(at[2], 0.5, 1e-12);
}

static void quantities_over_a_decade_lie_on_a_logarithmic_axis(void)
{
    static const char *const label[] = {"1Mbps", "10Mbps", "1Gbps"};
    double at[3];
    CHECK_TRUE(plot_places(3, label, at));
    CHECK_NEAR(at[0], 0, 1e-12);
    CHECK_NEAR(at[1], 1 / 3.0, 1e-12);
    CHECK_NEAR(at[2], 1, 1e-12);
}

static void names_and_mixed_kinds_lie_side_by_side(void)
{
    static const char *const names[] = {"j16", "v15", "other"}, *const mixed[] = {"1Mbps", "1MB", "9"};
    double at[3];
    CHECK_TRUE(!plot_places(3, names, at));
    CHECK_NEAR(at[1], 0.5, 1e-12);
    CHECK_TRUE(!plot_places(3, mixed, at));
    CHECK_NEAR(at[1], 0.5, 1e-12);
}

static void a_single_point_lies_in_the_middle(void)
{
    static const char *const label[] = {"7"};
    double at[1];
    CHECK_TRUE(!plot_places(1, label, at));
    CHECK_NEAR(at[0], 0.5, 0);
}

static int count_of(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

/* The curve rises from left to right, whatever the order of the points. */
static void a_curve_goes_from_left_to_right_and_breaks_at_a_gap(void)
{
    static const char *const label[] = {"3", "1", "2", "5", "4"};
    const double y[] = {30, 10, 20, 50, (double)NAN};
    const struct plot_series series = {"", y};
    const struct plot_panel panel = {"a<b", 1, &series};
    const struct plot p = {.title = "t", .x_name = "x", .n = 5, .label = label, .n_panels = 1, .panel = &panel};
    struct html h = {0};
    plot_svg(&h, &p);
    CHECK_INT(count_of(h.text, "<circle "), 4);
    CHECK_HAS(h.text, ">a&lt;b</text>");
    double x[3], height[3];
    const char *line = strstr(h.text, "<path class=\"l\"");
    line = line ? strstr(line, " d=\"") : NULL;
    CHECK_INT(line ? sscanf(line, " d=\"M%lf %lfL%lf %lfL%lf %lfM", &x[0], &height[0], &x[1], &height[1],
                            &x[2], &height[2])
                   : 0,
              6);
    CHECK_TRUE(x[0] < x[1] && x[1] < x[2] && height[0] > height[1] && height[1] > height[2]);
    CHECK_NEAR(x[1] - x[0], x[2] - x[1], 0.11);
    CHECK_NEAR(height[0] - height[1], height[1] - height[2], 0.11); /* linear: 5 times is no decade */
    html_fini(&h);
}

static void a_line_goes_on_behind_a_gap_where_it_is_asked_to(void)
{
    static const char *const label[] = {"1", "2", "3"};
    const double y[] = {1, (double)NAN, 2};
    const struct plot_series series = {"", y};
    const struct plot_panel panel = {"t", 1, &series};
    struct plot p = {.title = "t", .x_name = "x", .n = 3, .label = label, .n_panels = 1, .panel = &panel};
    for (int joins = 0; joins < 2; joins++) {
        struct html h = {0};
        p.joins_gaps = joins;
        plot_svg(&h, &p);
        const char *line = strstr(h.text, "<path class=\"l\"");
        line = line ? strstr(line, " d=\"") : NULL;
        size_t n = line ? strcspn(line + 4, "\"") : 0;
        CHECK_TRUE(n > 0 && (memchr(line + 4, 'L', n) != NULL) == (joins == 1));
        html_fini(&h);
    }
}

static void values_over_two_decades_are_logarithmic_and_none_is_said(void)
{
    static const char *const label[] = {"a", "b", "c"};
    const double y[] = {0.01, 0.1, 1}, none[] = {(double)NAN, (double)NAN, (double)INFINITY};
    const struct plot_series series[] = {{"", y}, {"", none}};
    const struct plot_panel panel[] = {{"values", 1, &series[0]}, {"nothing", 1, &series[1]}};
    const struct plot p = {.title = "t", .x_name = "x", .note = "not physical", .n = 3, .label = label,
                           .n_panels = 2, .panel = panel};
    struct html h = {0};
    plot_svg(&h, &p);
    CHECK_HAS(h.text, ">values, logarithmic</text>");
    CHECK_HAS(h.text, ">nothing: no values</text>");
    CHECK_HAS(h.text, ">not physical</text>");
    CHECK_HAS(h.text, ">0.01</text>");
    CHECK_HAS(h.text, ">0.1</text>");
    html_fini(&h);
}

int main(void)
{
    CASE(numbers_lie_at_their_values);
    CASE(quantities_over_a_decade_lie_on_a_logarithmic_axis);
    CASE(names_and_mixed_kinds_lie_side_by_side);
    CASE(a_single_point_lies_in_the_middle);
    CASE(a_curve_goes_from_left_to_right_and_breaks_at_a_gap);
    CASE(a_line_goes_on_behind_a_gap_where_it_is_asked_to);
    CASE(values_over_two_decades_are_logarithmic_and_none_is_said);
    return test_end();
}
