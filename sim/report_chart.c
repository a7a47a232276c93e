#include "sim/report_chart.h"

#include <math.h>
#include <stdio.h>

#include "sim/axis.h"
#include "sim/base/mem.h"

/* Places in the drawing. */
enum { WIDTH = 380, HEIGHT = 220, LEFT = 48, RIGHT = 22, TOP = 12, BOTTOM = 38, MAX_TICKS = 8 };

struct frame {
    struct html *h;
    double x0, x1, y0, y1; /* the values at the edges */
};

static double place_x(const struct frame *f, double x)
{
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct frame *f, double y)
{
    return HEIGHT - BOTTOM - (y - f->y0) / (f->y1 - f->y0) * (HEIGHT - BOTTOM - TOP);
}

static bool is_point(const struct report_series *s, size_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

/* The values at the edges; false without any point. */
static bool find_frame(struct frame *f, const struct report_chart *c)
{
    *f = (struct frame){f->h, HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
    for (size_t k = 0; k < c->n_series; k++) {
        const struct report_series *s = &c->series[k];
        for (size_t i = 0; i < s->n; i++)
            if (is_point(s, i)) {
                f->x0 = fmin(f->x0, s->x[i]);
                f->x1 = fmax(f->x1, s->x[i]);
                f->y0 = fmin(f->y0, s->y[i]);
                f->y1 = fmax(f->y1, s->y[i]);
            }
    }
    if (!(f->x0 <= f->x1))
        return false;
    if (c->has_mark) {
        f->y0 = fmin(f->y0, c->mark);
        f->y1 = fmax(f->y1, c->mark);
    }
    if (f->x0 > 0 && f->x0 < 0.2 * f->x1)
        f->x0 = 0;
    if (f->x0 == f->x1)
        f->x1 += f->x1 > 0 ? f->x1 : 1;
    if (c->from_zero)
        f->y0 = fmin(f->y0, 0);
    if (f->y1 - f->y0 <= 1e-9 * fabs(f->y1)) {
        f->y0 -= c->from_zero ? 0 : 0.5 * fabs(f->y1) + (f->y1 == 0);
        f->y1 += 0.5 * fabs(f->y1) + (f->y1 == 0);
    }
    double room = 0.06 * (f->y1 - f->y0);
    f->y1 += room;
    f->y0 = f->y0 >= 0 ? fmax(f->y0 - room, 0) : f->y0 - room; /* what is never negative looks so */
    return true;
}

static void put_axes(struct frame *f, const struct report_chart *c)
{
    double tick[MAX_TICKS];
    char label[40];
    size_t n = axis_round(f->y0, f->y1, 5, false, tick);
    for (size_t i = 0; i < n; i++) {
        double y = place_y(f, tick[i]);
        html_digits(label, fabs(tick[i]) < 1e-12 * (f->y1 - f->y0) ? 0 : tick[i]);
        html_put(f->h,
                 "<path class=grid d=\"M%d %.1fH%d\"/><text x=%d y=%.1f text-anchor=end>%s</text>",
                 LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4, label);
    }
    n = axis_round(f->x0, f->x1, 6, c->is_whole_x, tick);
    for (size_t i = 0; i < n; i++) {
        double x = place_x(f, tick[i]);
        html_digits(label, tick[i]);
        html_put(f->h, "<text x=%.1f y=%d text-anchor=middle>%s</text>", x, HEIGHT - BOTTOM + 16,
                 label);
    }
    html_put(f->h, "<path class=axis d=\"M%d %dH%d\"/>", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    html_put(f->h, "<text x=%d y=%d text-anchor=middle>", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6);
    html_text(f->h, c->x_name);
    if (*c->x_unit) {
        html_raw(f->h, ", ");
        html_text(f->h, c->x_unit);
    }
    html_raw(f->h, "</text>");
}

/* Which points are drawn: all, or of each of REPORT_CHART_MAX_POINTS / 2 stretches the lowest and
 * the highest, beside the first and the last. Indices go into out [REPORT_CHART_MAX_POINTS + 2]. */
static size_t thin(const struct report_series *s, size_t n_points, const size_t *point, size_t *out)
{
    if (n_points <= REPORT_CHART_MAX_POINTS) {
        for (size_t i = 0; i < n_points; i++)
            out[i] = point[i];
        return n_points;
    }
    size_t n = 0, stretches = REPORT_CHART_MAX_POINTS / 2;
    out[n++] = point[0];
    for (size_t k = 0; k < stretches; k++) {
        size_t from = k * n_points / stretches, to = (k + 1) * n_points / stretches;
        size_t low = point[from], high = point[from];
        for (size_t i = from; i < to; i++) {
            low = s->y[point[i]] < s->y[low] ? point[i] : low;
            high = s->y[point[i]] > s->y[high] ? point[i] : high;
        }
        size_t first = low < high ? low : high, second = low < high ? high : low;
        if (first > out[n - 1])
            out[n++] = first;
        if (second > out[n - 1])
            out[n++] = second;
    }
    if (point[n_points - 1] > out[n - 1])
        out[n++] = point[n_points - 1];
    return n;
}

/* Whether a good part of a line lies under another one. */
static bool is_under(const struct frame *f, const struct report_series *s,
                     const struct report_series *o)
{
    size_t n = s->n < o->n ? s->n : o->n, n_points = 0, n_equal = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_point(s, i) || !is_point(o, i))
            continue;
        n_points++;
        n_equal += fabs(s->y[i] - o->y[i]) < 0.005 * (f->y1 - f->y0) &&
                   fabs(s->x[i] - o->x[i]) < 0.005 * (f->x1 - f->x0);
    }
    return 3 * n_equal > n_points;
}

/* Of lines that lie on each other the first is the widest, so that all can be seen. */
static double width_of(const struct frame *f, const struct report_chart *c,
                       const struct report_series *s)
{
    double later = 0;
    for (const struct report_series *o = s + 1; o < c->series + c->n_series; o++)
        later += o->is_faint == s->is_faint && is_under(f, s, o);
    return (s->is_faint ? 1.2 : 2) + (s->is_faint ? 0.8 : 1.6) * fmin(later, 3);
}

static void put_dots(struct frame *f, const struct report_chart *c, const struct report_series *s,
                     size_t n, const size_t *drawn)
{
    double radius = 2 + 0.5 * width_of(f, c, s);
    for (size_t i = 0; i < n; i++) {
        double x = s->x[drawn[i]], y = s->y[drawn[i]];
        char at[40], value[40];
        html_digits(at, x);
        html_digits(value, y);
        html_put(f->h, "<circle class=\"dot k%d\" cx=%.1f cy=%.1f r=%.1f><title>",
                 s->color % REPORT_CHART_COLORS, place_x(f, x), place_y(f, y), radius);
        html_text(f->h, s->name);
        html_raw(f->h, ": ");
        html_text(f->h, value);
        html_put(f->h, " %s (", c->y_unit);
        html_text(f->h, c->x_name);
        html_put(f->h, " %s %s)</title></circle>", at, c->x_unit);
    }
}

/* Returns how many of its points were left out. */
static size_t put_series(struct frame *f, const struct report_chart *c,
                         const struct report_series *s)
{
    size_t *point = NULL, cap = 0, n = 0, drawn[REPORT_CHART_MAX_POINTS + 2];
    mem_grow((void **)&point, &cap, s->n + 1, sizeof(point[0]));
    for (size_t i = 0; i < s->n; i++)
        if (is_point(s, i))
            point[n++] = i;
    size_t n_drawn = thin(s, n, point, drawn);
    mem_free(point);
    html_put(f->h, "<path class=\"line k%d%s%s\" stroke-width=%.1f d=\"",
             s->color % REPORT_CHART_COLORS, s->is_faint ? " faint" : "",
             s->color >= REPORT_CHART_COLORS ? " dashed" : "", width_of(f, c, s));
    for (size_t i = 0; i < n_drawn; i++)
        html_put(f->h, "%c%.1f %.1f", i ? 'L' : 'M', place_x(f, s->x[drawn[i]]),
                 place_y(f, s->y[drawn[i]]));
    html_raw(f->h, "\"/>");
    if ((s->has_dots && n_drawn <= REPORT_CHART_MAX_DOTS) || n_drawn == 1)
        put_dots(f, c, s, n_drawn, drawn);
    return n - n_drawn;
}

void report_chart(struct html *h, const struct report_chart *c)
{
    struct frame f = {.h = h};
    html_raw(h, "<figure><figcaption>");
    html_text(h, c->title);
    if (*c->y_unit) {
        html_raw(h, " <small>");
        html_text(h, c->y_unit);
        html_raw(h, "</small>");
    }
    html_raw(h, "</figcaption>");
    if (!find_frame(&f, c)) {
        html_raw(h, "<p class=note>no values</p></figure>");
        return;
    }
    html_put(h, "<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"", WIDTH, HEIGHT);
    html_text(h, c->title);
    html_raw(h, "\">");
    put_axes(&f, c);
    if (c->has_mark)
        html_put(h, "<path class=mark d=\"M%d %.1fH%d\"/>", LEFT, place_y(&f, c->mark),
                 WIDTH - RIGHT);
    size_t n_left_out = 0;
    for (int faint = 1; faint >= 0; faint--)
        for (size_t i = 0; i < c->n_series; i++)
            if (c->series[i].is_faint == (faint == 1))
                n_left_out += put_series(&f, c, &c->series[i]);
    html_raw(h, "</svg>");
    if (n_left_out)
        html_put(h,
                 "<p class=note>%zu points are not drawn: of each stretch the lowest and the "
                 "highest are.</p>",
                 n_left_out);
    html_raw(h, "</figure>");
}
