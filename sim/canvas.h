/* sim/canvas.h: lines in a terminal, drawn in braille (2 x 4 dots a letter) or in ASCII, in the
 * colours of their owners or in none. */
#ifndef SIM_CANVAS_H
#define SIM_CANVAS_H

#include <stdbool.h>
#include <stdio.h>

#include "sim/base/mem.h"

/* What the terminal at a stream can show. */
struct terminal {
    bool is_utf8;      /* by LC_ALL, LC_CTYPE or LANG, whichever is first set */
    bool has_color;    /* the stream is a terminal that knows colours, and NO_COLOR is not set */
    int columns, rows; /* of the terminal; 80 and 24 where the stream is none */
};
struct terminal terminal_of(FILE *to);

enum { CANVAS_COLORS = 6 };

struct canvas {
    int columns, rows;
    bool is_braille, has_color;
    unsigned char *dots; /* [rows * columns], braille's bits */
    signed char *letter; /* likewise; 0: none */
    signed char *owner;  /* likewise, of the last one who drew there */
};

/* Empty, in the arena. */
struct canvas canvas_new(struct arena *a, int columns, int rows, const struct terminal *t);
/* A line between two points, 0..1 from the left and from the bottom; in ASCII of the given letter.
 */
void canvas_line(struct canvas *c, int owner, char letter, const double from[2],
                 const double to[2]);
/* A letter at a point, in front of lines. */
void canvas_letter(struct canvas *c, int owner, char letter, const double at[2]);
/* Row 0 is at the top; without blanks at its end, and without a newline. */
void canvas_row(const struct canvas *c, int row, FILE *to);

/* Begins and ends an owner's colour; nothing without colours. */
void canvas_color(bool has_color, int owner, FILE *to);
void canvas_plain(bool has_color, FILE *to);

#endif
