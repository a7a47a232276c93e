#include "sim/plot_text.h"

#include <math.h>
#include <string.h>

#include "sim/axis.h"
#include "sim/cells.h"

enum { LEAST_ROWS = 5, LEAST_COLUMNS = 20, LETTERS = 3, NUMBERS_ROOM = 30, MAX_X_TICKS = 12 };

struct frame {
    FILE *to;
    struct arena *a;
    const struct text_plot *p;
    const struct terminal *t;
    double x0, x1; /* the values at the left and the right */
    struct axis y;
    struct canvas c;
    int columns, margin; /* of all; left of the canvas */
};

static bool is_finite_point(const struct text_series *s, size_t i)
{
    return isfinite(s->x[i]) && isfinite(s->y[i]);
}

/* False without any point. */
static bool find_axes(struct frame *f)
{
    double lo = HUGE_VAL, hi = -HUGE_VAL;
    f->x0 = HUGE_VAL, f->x1 = -HUGE_VAL;
    for (size_t k = 0; k < f->p->n_series; k++)
        for (size_t i = 0; i < f->p->series[k].n; i++) {
            const struct text_series *s = &f->p->series[k];
            if (!is_finite_point(s, i))
                continue;
            f->x0 = fmin(f->x0, s->x[i]);
            f->x1 = fmax(f->x1, s->x[i]);
            lo = fmin(lo, s->y[i]);
            hi = fmax(hi, s->y[i]);
        }
    if (!(lo <= hi))
        return false;
    if (f->x0 > 0 && f->x0 < 0.2 * f->x1)
        f->x0 = 0;
    if (f->x0 == f->x1)
        f->x1 += f->x1 > 0 ? f->x1 : 1;
    f->y = axis_of(lo, hi);
    return true;
}

/* Letters on the screen. */
static int letters(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* "0.16", not "0.1600". */
static const char *tick_label(struct arena *a, double v)
{
    char *out = arena_strdup(a, cells_number(a, v));
    if (strchr(out, '.') && !strchr(out, 'e'))
        for (size_t n = strlen(out); out[n - 1] == '0' || out[n - 1] == '.';) {
            bool is_point = out[n - 1] == '.';
            out[--n] = 0;
            if (is_point)
                break;
        }
    return out;
}

/* A name that fits, without anything that a terminal would obey. */
static const char *clean(struct frame *f, const char *name)
{
    int room = f->columns > 2 * NUMBERS_ROOM ? f->columns - NUMBERS_ROOM : NUMBERS_ROOM;
    char *out = arena_strdup(f->a, name);
    for (char *p = out; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
        if (((unsigned char)*p & 0xc0) != 0x80 && room-- == 0) {
            *p = 0;
            return arena_printf(f->a, "%s...", out);
        }
    }
    return out;
}

/* --- the curves --- */

static void place_point(const struct frame *f, double x, double y, double out[2])
{
    out[0] = (x - f->x0) / (f->x1 - f->x0);
    out[1] = axis_place(&f->y, y);
}

static char letter_of(const struct frame *f, size_t k)
{
    return f->p->n_series > 1 ? (char)('a' + k) : '*';
}

static void draw_line(struct frame *f, size_t k)
{
    const struct text_series *s = &f->p->series[k];
    double at[2], last[2] = {0};
    bool is_begun = false;
    for (size_t i = 0; i < s->n; i++) {
        if (!is_finite_point(s, i))
            continue;
        place_point(f, s->x[i], s->y[i], at);
        canvas_line(&f->c, (int)k, letter_of(f, k), is_begun ? last : at, at);
        is_begun = true;
        last[0] = at[0], last[1] = at[1];
    }
}

/* Some letters on a line of many, each line's at other places. */
static void draw_letters(struct frame *f, size_t k)
{
    const struct text_series *s = &f->p->series[k];
    for (int j = 0; j < LETTERS; j++) {
        double share = (j + (double)(k + 1) / (double)(f->p->n_series + 1)) / LETTERS;
        double x = f->x0 + share * (f->x1 - f->x0), from[2], at[2];
        size_t before = s->n, i = 0;
        for (; i < s->n && !(is_finite_point(s, i) && s->x[i] >= x); i++)
            if (is_finite_point(s, i))
                before = i;
        if (i == s->n || before == s->n)
            continue;
        place_point(f, s->x[before], s->y[before], from);
        place_point(f, s->x[i], s->y[i], at);
        double part = at[0] > from[0] ? (share - from[0]) / (at[0] - from[0]) : 1;
        at[0] = share;
        at[1] = from[1] + part * (at[1] - from[1]);
        canvas_letter(&f->c, (int)k, letter_of(f, k), at);
    }
}

/* --- the axes --- */

static int row_of(const struct frame *f, double y)
{
    int dots = f->c.rows * 4;
    return (int)lround((1 - axis_place(&f->y, y)) * (dots - 1)) / 4;
}

static void put_rows(const struct frame *f, size_t n_ticks, const double *tick)
{
    for (int row = 0; row < f->c.rows; row++) {
        const char *label = "", *edge = f->t->is_utf8 ? "\u2502" : "|";
        for (size_t i = 0; i < n_ticks; i++)
            if (row_of(f, tick[i]) == row) {
                label = tick_label(f->a, tick[i]);
                edge = f->t->is_utf8 ? "\u2524" : "+";
            }
        fprintf(f->to, "%*s %s", f->margin - 2, label, edge);
        canvas_row(&f->c, row, f->to);
        fputc('\n', f->to);
    }
}

static void put_x_axis(const struct frame *f)
{
    double tick[MAX_X_TICKS + 1];
    char *line = ARENA_NEW(f->a, char, (size_t)f->columns + 1);
    bool *is_tick = ARENA_NEW(f->a, bool, (size_t)f->c.columns);
    size_t most = (size_t)f->c.columns / 12;
    size_t n =
        axis_round(f->x0, f->x1, most < MAX_X_TICKS ? most : MAX_X_TICKS, f->p->is_whole_x, tick);
    int end = 0;
    memset(line, ' ', (size_t)f->columns);
    for (size_t i = 0; i < n; i++) {
        const char *label = tick_label(f->a, fabs(tick[i]) < 1e-12 * f->x1 ? 0 : tick[i]);
        int width = (int)strlen(label);
        int x = (int)lround((tick[i] - f->x0) / (f->x1 - f->x0) * (f->c.columns - 1));
        int from = f->margin + x - width / 2;
        from = from + width > f->columns ? f->columns - width : from;
        from = from < 0 ? 0 : from;
        is_tick[x] = true;
        if (from < end)
            continue;
        memcpy(line + from, label, (size_t)width);
        end = from + width + 1;
    }
    fprintf(f->to, "%*s%s", f->margin - 1, "", f->t->is_utf8 ? "\u2514" : "+");
    for (int x = 0; x < f->c.columns; x++)
        fputs(!f->t->is_utf8 ? (is_tick[x] ? "+" : "-") : is_tick[x] ? "\u252c" : "\u2500", f->to);
    for (size_t k = (size_t)f->columns; k > 0 && line[k - 1] == ' '; k--)
        line[k - 1] = 0;
    fprintf(f->to, "\n%s\n", line);
}

/* --- who is who --- */

static const char *legend_of(struct frame *f, size_t k)
{
    const struct text_series *s = &f->p->series[k];
    size_t first = s->n, last = s->n;
    for (size_t i = 0; i < s->n; i++)
        if (is_finite_point(s, i)) {
            first = first == s->n ? i : first;
            last = i;
        }
    const char *name = clean(f, s->name);
    if (f->p->n_series > 1)
        name = arena_printf(f->a, "%c %s", letter_of(f, k), name);
    if (last == s->n)
        return arena_printf(f->a, "%s: no values", name);
    return arena_printf(f->a, "%s: %s -> %s", name, cells_number(f->a, s->y[first]),
                        cells_number(f->a, s->y[last]));
}

/* As many in a line as fit. Without a stream it only counts the lines. */
static int put_legend(struct frame *f, FILE *to)
{
    int lines = 1, used = 0;
    for (size_t k = 0; k < f->p->n_series; k++) {
        const char *text = legend_of(f, k);
        int width = letters(text), gap = used ? 3 : 0;
        if (used && used + gap + width > f->columns) {
            lines++;
            used = gap = 0;
            if (to)
                fputc('\n', to);
        }
        used += gap + width;
        if (!to)
            continue;
        fprintf(to, "%*s", gap, "");
        canvas_color(f->t->has_color, (int)k, to);
        fputs(text, to);
        canvas_plain(f->t->has_color, to);
    }
    if (to)
        fputc('\n', to);
    return lines;
}

void plot_text(FILE *to, const struct text_plot *p, const struct terminal *t)
{
    struct arena a = {0};
    struct frame f = {.to = to, .a = &a, .p = p, .t = t};
    f.columns = t->columns < PLOT_TEXT_COLUMNS ? t->columns : PLOT_TEXT_COLUMNS;
    if (!find_axes(&f)) {
        fprintf(to, "%s: no values\n", p->title);
        arena_free(&a);
        return;
    }
    double tick[AXIS_MAX_TICKS];
    int rows = t->rows < PLOT_TEXT_ROWS ? t->rows : PLOT_TEXT_ROWS;
    rows -= 4 + put_legend(&f, NULL); /* the title, the axis and its numbers, the prompt */
    rows = rows < LEAST_ROWS ? LEAST_ROWS : rows;
    size_t n = axis_ticks(&f.y, (size_t)rows / 3 + 2, tick);
    for (size_t i = 0; i < n; i++) {
        int width = letters(tick_label(&a, tick[i])) + 2;
        f.margin = width > f.margin ? width : f.margin;
    }
    f.columns = f.columns < f.margin + LEAST_COLUMNS ? f.margin + LEAST_COLUMNS : f.columns;
    f.c = canvas_new(&a, f.columns - f.margin, rows, t);
    for (size_t k = 0; k < p->n_series; k++)
        draw_line(&f, k);
    for (size_t k = 0; k < p->n_series && p->n_series > 1 && t->is_utf8; k++)
        draw_letters(&f, k);
    fprintf(to, "%s%s\n", p->title, f.y.is_log ? ", logarithmic" : "");
    put_rows(&f, n, tick);
    put_x_axis(&f);
    put_legend(&f, to);
    arena_free(&a);
}
