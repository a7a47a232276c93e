#include "sim/plot.h"

#include <math.h>
#include <string.h>

#include "sim/axis.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/text.h"
#include "sim/cells.h"

/* Places in the drawing; a panel's are relative to its top. */
enum { WIDTH = 720, HEAD = 34, PANEL = 250, LEFT = 78, RIGHT = 24, TOP = 30, BOTTOM = 52 };
enum { LEGEND = 170, LINE = 16, LETTER = 7, N_COLORS = 8 };

#define HUGE_VALUE 1e300

static const char *const STYLE =
    "<style>text{font:12px system-ui,sans-serif;fill:#33404d}.t{font-weight:600;font-size:13px;"
    "fill:#1b1f24}.g{stroke:#d8dde3;fill:none}.a{stroke:#5b6570;fill:none}.l{fill:none;"
    "stroke-width:2;stroke-linejoin:round}.d{stroke-dasharray:6 3}</style>";
static const char *const COLORS[N_COLORS] = {"#1f6feb", "#d1640a", "#0f8a5f", "#c0307e",
                                             "#7747d1", "#0a7f99", "#6b7f10", "#c62b2b"};

/* --- the x axis --- */

/* Values of the labels where all are of one kind. */
static bool read_values(size_t n, const char *const *label, double *out)
{
    for (int kind = -1; kind < N_UNIT_KINDS; kind++) {
        size_t i = 0;
        for (; i < n; i++) {
            enum err_code code =
                kind < 0
                    ? text_double(label[i], -HUGE_VALUE, HUGE_VALUE, &out[i], NULL)
                    : text_quantity(label[i], (enum unit_kind)kind, 0, HUGE_VALUE, &out[i], NULL);
            if (code)
                break;
        }
        if (i == n)
            return true;
    }
    return false;
}

bool plot_places(size_t n, const char *const *label, double *out)
{
    bool is_log = false;
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    if (!read_values(n, label, out))
        for (size_t i = 0; i < n; i++)
            out[i] = (double)i;
    else
        for (size_t i = 0; i < n; i++)
            lo = fmin(lo, out[i]), hi = fmax(hi, out[i]);
    is_log = lo > 0 && hi >= PLOT_LOG_X * lo && hi > lo;
    for (size_t i = 0; is_log && i < n; i++)
        out[i] = log(out[i]);
    lo = HUGE_VAL, hi = -HUGE_VAL;
    for (size_t i = 0; i < n; i++) {
        lo = fmin(lo, out[i]);
        hi = fmax(hi, out[i]);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = hi > lo ? (out[i] - lo) / (hi - lo) : 0.5;
    return is_log;
}

/* --- one panel --- */

struct frame {
    struct html *h;
    struct arena *a;
    const struct plot *p;
    const struct plot_panel *panel;
    const double *place; /* [p->n], 0 .. 1 */
    const size_t *order; /* [p->n], of the points from left to right */
    double top, right;   /* of the panel; the right edge of the curves */
    struct axis axis;
};

static double place_x(const struct frame *f, size_t i)
{
    return LEFT + 8 + f->place[i] * (f->right - LEFT - 16);
}

static double place_y(const struct frame *f, double v)
{
    return f->top + PANEL - BOTTOM - axis_place(&f->axis, v) * (PANEL - TOP - BOTTOM);
}

static size_t n_drawn(const struct plot_panel *panel)
{
    return panel->n_series < PLOT_MAX_SERIES ? panel->n_series : PLOT_MAX_SERIES;
}

/* False without any finite value. */
static bool find_frame(struct frame *f)
{
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    for (size_t k = 0; k < n_drawn(f->panel); k++)
        for (size_t i = 0; i < f->p->n; i++)
            if (isfinite(f->panel->series[k].y[i])) {
                lo = fmin(lo, f->panel->series[k].y[i]);
                hi = fmax(hi, f->panel->series[k].y[i]);
            }
    if (!(lo <= hi))
        return false;
    f->axis = axis_of(lo, hi);
    return true;
}

static void put_y_axis(const struct frame *f)
{
    double tick[AXIS_MAX_TICKS];
    size_t n = axis_ticks(&f->axis, 5, tick);
    for (size_t i = 0; i < n; i++) {
        double y = place_y(f, tick[i]);
        html_put(f->h,
                 "<path class=\"g\" d=\"M%d %.1fH%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                 "text-anchor=\"end\">%.4g</text>",
                 LEFT, y, f->right, LEFT - 8, y + 4, tick[i]);
    }
}

/* A tick at each point, its label where it does not run into the one before. */
static void put_x_axis(const struct frame *f)
{
    double base = f->top + PANEL - BOTTOM, free_from = 0;
    html_put(f->h, "<path class=\"a\" d=\"M%d %.1fH%.1f\"/>", LEFT, base, f->right);
    for (size_t k = 0; k < f->p->n; k++) {
        size_t i = f->order[k];
        double x = place_x(f, i), half = 0.5 * LETTER * (double)strlen(f->p->label[i]);
        html_put(f->h, "<path class=\"a\" d=\"M%.1f %.1fv4\"/>", x, base);
        if (x - half < free_from)
            continue;
        free_from = x + half + LETTER;
        html_put(f->h, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x, base + 18);
        html_text(f->h, f->p->label[i]);
        html_raw(f->h, "</text>");
    }
    html_put(f->h, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", (LEFT + f->right) / 2,
             base + 38);
    html_text(f->h, f->p->x_name);
    html_raw(f->h, "</text>");
}

static void put_dot(const struct frame *f, const struct plot_series *s, size_t i, const char *color)
{
    html_put(f->h, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>", place_x(f, i),
             place_y(f, s->y[i]), color);
    if (f->panel->n_series > 1) {
        html_text(f->h, s->name);
        html_raw(f->h, ", ");
    }
    html_text(f->h, f->p->label[i]);
    html_raw(f->h, ": ");
    html_text(f->h, cells_number(f->a, s->y[i]));
    html_raw(f->h, "</title></circle>");
}

static void put_series(const struct frame *f, size_t k)
{
    const struct plot_series *s = &f->panel->series[k];
    const char *color = COLORS[k % N_COLORS];
    bool is_down = false; /* the pen */
    html_put(f->h, "<path class=\"l%s\" stroke=\"%s\" d=\"", k >= N_COLORS ? " d" : "", color);
    for (size_t j = 0; j < f->p->n; j++) {
        size_t i = f->order[j];
        if (isfinite(s->y[i]))
            html_put(f->h, "%c%.1f %.1f", is_down ? 'L' : 'M', place_x(f, i), place_y(f, s->y[i]));
        is_down = isfinite(s->y[i]) || (is_down && f->p->joins_gaps);
    }
    html_raw(f->h, "\"/>");
    for (size_t i = 0; i < f->p->n; i++)
        if (isfinite(s->y[i]))
            put_dot(f, s, i, color);
}

/* Beside the curves, as far down as they go. */
static void put_legend(const struct frame *f)
{
    size_t fits = (PANEL - TOP) / LINE - 1, n = n_drawn(f->panel);
    size_t shown = n < fits ? n : fits;
    for (size_t k = 0; k < shown; k++) {
        double y = f->top + TOP + 8 + LINE * (double)k;
        html_put(f->h,
                 "<path class=\"l%s\" stroke=\"%s\" d=\"M%.1f %.1fh18\"/><text x=\"%.1f\" "
                 "y=\"%.1f\">",
                 k >= N_COLORS ? " d" : "", COLORS[k % N_COLORS], f->right + 10, y, f->right + 33,
                 y + 4);
        html_text(f->h, f->panel->series[k].name);
        html_raw(f->h, "</text>");
    }
    if (shown < f->panel->n_series)
        html_put(f->h, "<text x=\"%.1f\" y=\"%.1f\">and %zu more%s</text>", f->right + 10,
                 f->top + TOP + 12 + LINE * (double)shown, f->panel->n_series - shown,
                 n < f->panel->n_series ? ", not all drawn" : "");
}

static void put_panel(struct frame *f)
{
    html_put(f->h, "<text class=\"t\" x=\"%d\" y=\"%.1f\">", LEFT, f->top + 18);
    html_text(f->h, f->panel->title);
    if (!find_frame(f)) {
        html_raw(f->h, ": no values</text>");
        return;
    }
    html_raw(f->h, f->axis.is_log ? ", logarithmic</text>" : "</text>");
    put_y_axis(f);
    put_x_axis(f);
    for (size_t k = 0; k < n_drawn(f->panel); k++)
        put_series(f, k);
    if (f->panel->n_series > 1)
        put_legend(f);
}

static size_t *order_of(struct arena *a, size_t n, const double *place)
{
    size_t *order = ARENA_NEW(a, size_t, n);
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && place[order[at - 1]] > place[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return order;
}

void plot_svg(struct html *to, const struct plot *p)
{
    struct arena a = {0};
    double *place = ARENA_NEW(&a, double, p->n);
    int head = HEAD + (p->note ? LINE : 0), height = head + PANEL * (int)p->n_panels;
    bool is_log = plot_places(p->n, p->label, place), has_legend = false;
    struct plot named = *p;
    if (is_log)
        named.x_name = arena_printf(&a, "%s, logarithmic", p->x_name);
    for (size_t i = 0; i < p->n_panels; i++)
        has_legend = has_legend || p->panel[i].n_series > 1;
    struct frame f = {.h = to,
                      .a = &a,
                      .p = &named,
                      .place = place,
                      .order = order_of(&a, p->n, place),
                      .right = WIDTH - (has_legend ? LEGEND : RIGHT)};
    html_put(to,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
             "height=\"%d\" role=\"img\">",
             WIDTH, height, WIDTH, height);
    html_raw(to, STYLE);
    html_raw(to, "<title>");
    html_text(to, p->title);
    html_put(
        to, "</title><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><text class=\"t\" x=\"%d\" y=\"22\">",
        WIDTH, height, LEFT);
    html_text(to, p->title);
    html_raw(to, "</text>");
    if (p->note) {
        html_put(to, "<text x=\"%d\" y=\"%d\">", LEFT, 22 + LINE);
        html_text(to, p->note);
        html_raw(to, "</text>");
    }
    for (size_t i = 0; i < p->n_panels; i++) {
        f.panel = &p->panel[i];
        f.top = head + PANEL * (double)i;
        put_panel(&f);
    }
    html_raw(to, "</svg>\n");
    arena_free(&a);
}

enum err_code plot_write(const struct plot *p, const char *path, struct err *e)
{
    struct html h = {0};
    struct file_out *f = NULL;
    plot_svg(&h, p);
    enum err_code code = file_create(&f, path, e);
    if (!code) {
        fwrite(h.text, 1, h.n, file_stream(f));
        code = file_commit(f, e);
    }
    html_fini(&h);
    return code;
}
