#include "sim/canvas.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DOTS_ACROSS = 2, DOTS_DOWN = 4 };

/* --- the terminal --- */

static bool has_utf8_locale(void)
{
    static const char *const NAMES[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(NAMES[i]);
        if (!value || !*value)
            continue;
        char plain[64]; /* "en_GB.UTF-8" -> "engbutf8" */
        size_t n = 0;
        for (; *value && n < sizeof(plain) - 1; value++)
            if (isalnum((unsigned char)*value))
                plain[n++] = (char)tolower((unsigned char)*value);
        plain[n] = 0;
        return strstr(plain, "utf8") != NULL;
    }
    return false;
}

struct terminal terminal_of(FILE *to)
{
    struct terminal t = {.is_utf8 = has_utf8_locale(), .columns = 80, .rows = 24};
    struct winsize size;
    if (!isatty(fileno(to)))
        return t;
    const char *kind = getenv("TERM"), *no_color = getenv("NO_COLOR");
    t.has_color = kind && *kind && strcmp(kind, "dumb") != 0 && !(no_color && *no_color);
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        t.columns = size.ws_col;
        t.rows = size.ws_row;
    }
    return t;
}

void canvas_color(bool has_color, int owner, FILE *to)
{
    static const int COLORS[CANVAS_COLORS] = {34, 33, 32, 35, 36, 31};
    if (has_color)
        fprintf(to, "\033[%dm", COLORS[owner % CANVAS_COLORS]);
}

void canvas_plain(bool has_color, FILE *to)
{
    if (has_color)
        fputs("\033[0m", to);
}

/* --- drawing --- */

struct canvas canvas_new(struct arena *a, int columns, int rows, const struct terminal *t)
{
    size_t n = (size_t)columns * (size_t)rows;
    return (struct canvas){.columns = columns,
                           .rows = rows,
                           .is_braille = t->is_utf8,
                           .has_color = t->has_color,
                           .dots = ARENA_NEW(a, unsigned char, n),
                           .letter = ARENA_NEW(a, signed char, n),
                           .owner = ARENA_NEW(a, signed char, n)};
}

/* Dots, or letters in ASCII, across or down the whole canvas. */
static int places(const struct canvas *c, bool is_down)
{
    return is_down ? c->rows * (c->is_braille ? DOTS_DOWN : 1)
                   : c->columns * (c->is_braille ? DOTS_ACROSS : 1);
}

static int place(double at, int n)
{
    int k = (int)lround(at * (n - 1));
    return k < 0 ? 0 : k >= n ? n - 1 : k;
}

/* x from the left, y from the top. */
static void put_dot(struct canvas *c, int owner, char letter, int x, int y)
{
    static const unsigned char BITS[DOTS_DOWN][DOTS_ACROSS] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (!c->is_braille) {
        c->letter[y * c->columns + x] = (signed char)letter;
        c->owner[y * c->columns + x] = (signed char)owner;
        return;
    }
    int cell = y / DOTS_DOWN * c->columns + x / DOTS_ACROSS;
    c->dots[cell] |= BITS[y % DOTS_DOWN][x % DOTS_ACROSS];
    c->owner[cell] = (signed char)owner;
}

void canvas_line(struct canvas *c, int owner, char letter, const double from[2], const double to[2])
{
    int across = places(c, false), down = places(c, true);
    int x0 = place(from[0], across), y0 = place(1 - from[1], down);
    int x1 = place(to[0], across), y1 = place(1 - to[1], down);
    int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    put_dot(c, owner, letter, x0, y0);
    for (int i = 1; i <= steps; i++)
        put_dot(c, owner, letter, x0 + (int)lround((double)i * (x1 - x0) / steps),
                y0 + (int)lround((double)i * (y1 - y0) / steps));
}

void canvas_letter(struct canvas *c, int owner, char letter, const double at[2])
{
    int x = place(at[0], places(c, false)), y = place(1 - at[1], places(c, true));
    int cell = c->is_braille ? y / DOTS_DOWN * c->columns + x / DOTS_ACROSS : y * c->columns + x;
    c->letter[cell] = (signed char)letter;
    c->owner[cell] = (signed char)owner;
}

static void put_cell(const struct canvas *c, size_t cell, FILE *to)
{
    unsigned dots = c->dots[cell];
    if (c->letter[cell])
        fputc(c->letter[cell], to);
    else if (dots) /* U+2800 + dots, as UTF-8 */
        fprintf(to, "\xe2%c%c", (char)(0xa0 | dots >> 6), (char)(0x80 | (dots & 0x3f)));
    else
        fputc(' ', to);
}

void canvas_row(const struct canvas *c, int row, FILE *to)
{
    size_t first = (size_t)row * (size_t)c->columns, n = (size_t)c->columns;
    int color = -1;
    while (n > 0 && !c->letter[first + n - 1] && !c->dots[first + n - 1])
        n--;
    for (size_t i = first; i < first + n; i++) {
        bool is_drawn = c->letter[i] || c->dots[i];
        if (is_drawn && c->owner[i] != color) {
            color = c->owner[i];
            canvas_color(c->has_color, color, to);
        }
        put_cell(c, i, to);
    }
    canvas_plain(c->has_color && color >= 0, to);
}
