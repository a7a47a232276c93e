#include "sim/chart.h"

#include <math.h>
#include <string.h>

#include "sim/cells.h"

enum { CURVE_WIDTH = 50 };

#define SHADES " .:-=+*#%@"
#define N_SHADES ((int)sizeof(SHADES) - 1)

struct span {
    double lo, hi;
};

static struct span span_of(size_t n, const double *v)
{
    struct span s = {(double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i]))
            s = (struct span){fmin(s.lo, v[i]), fmax(s.hi, v[i])};
    return s;
}

/* Which of n steps from lo to hi a value lies in; the middle when all are equal. */
static int step_of(struct span s, double v, int n)
{
    if (s.hi <= s.lo)
        return n / 2;
    return (int)lround((v - s.lo) / (s.hi - s.lo) * (n - 1));
}

void chart_curve(FILE *to, const char *title, const char *x, size_t n, const char *const *label,
                 const double *value)
{
    struct arena a = {0};
    struct span s = span_of(n, value);
    if (s.lo > 0 && s.lo < s.hi / 2)
        s.lo = 0; /* a length then shows a ratio */
    struct cells *t = cells_new(&a, n + 1, 3);
    cells_put(t, 0, 0, x);
    cells_put(t, 0, 1, title);
    cells_put(t, 0, 2,
              arena_printf(&a, "|%s .. %s|", cells_number(&a, s.lo), cells_number(&a, s.hi)));
    t->is_left[0] = false;
    t->is_left[2] = true;
    for (size_t i = 0; i < n; i++) {
        char line[CURVE_WIDTH + 2] = "|";
        cells_put(t, i + 1, 0, label[i]);
        cells_put(t, i + 1, 1, cells_number(&a, value[i]));
        if (isfinite(value[i])) {
            int at = step_of(s, value[i], CURVE_WIDTH);
            memset(line + 1, '-', (size_t)at);
            line[1 + at] = '*';
            line[2 + at] = 0;
        }
        cells_put(t, i + 1, 2, arena_printf(&a, "%s", line));
    }
    cells_measure(t);
    for (size_t i = 0; i <= n; i++)
        cells_print_row(t, to, i, 0, 3);
    arena_free(&a);
}

static char shade_of(struct span s, double v)
{
    return isfinite(v) ? SHADES[step_of(s, v, N_SHADES)] : ' ';
}

static void print_shades(FILE *to, struct span s, size_t n_rows, size_t n_columns,
                         const double *value)
{
    for (size_t r = 0; r < n_rows; r++) {
        fputs("  ", to);
        for (size_t c = 0; c < n_columns; c++)
            fputc(shade_of(s, value[r * n_columns + c]), to);
        fputc('\n', to);
    }
}

void chart_map(FILE *to, const char *title, const char *rows, size_t n_rows, const char *const *row,
               const char *columns, size_t n_columns, const char *const *column,
               const double *value)
{
    struct arena a = {0};
    struct span s = span_of(n_rows * n_columns, value);
    fprintf(to, "%s: %s down, %s across; \"%c\" %s .. \"%c\" %s\n", title, rows, columns, SHADES[0],
            cells_number(&a, s.lo), SHADES[N_SHADES - 1], cells_number(&a, s.hi));
    struct cells *t = cells_new(&a, n_rows + 1, n_columns + 1);
    t->is_left[0] = false;
    for (size_t c = 0; c < n_columns; c++)
        cells_put(t, 0, c + 1, arena_printf(&a, "%s   ", column[c]));
    for (size_t r = 0; r < n_rows; r++) {
        cells_put(t, r + 1, 0, row[r]);
        for (size_t c = 0; c < n_columns; c++) {
            double v = value[r * n_columns + c];
            char shade = shade_of(s, v);
            cells_put(t, r + 1, c + 1,
                      arena_printf(&a, "%s %c%c", cells_number(&a, v), shade, shade));
        }
    }
    cells_measure(t);
    if (cells_width(t, 0, n_columns + 1) <= CELLS_WIDTH)
        for (size_t r = 0; r <= n_rows; r++)
            cells_print_row(t, to, r, 0, n_columns + 1);
    else
        print_shades(to, s, n_rows, n_columns, value);
    arena_free(&a);
}
