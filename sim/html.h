/* sim/html.h: a growing HTML text; what comes from outside is escaped on its way in. */
#ifndef SIM_HTML_H
#define SIM_HTML_H

#include <stddef.h>

/* Zeroed is an empty one. */
struct html {
    char *text; /* zero terminated once something was written */
    size_t n, cap;
};

void html_fini(struct html *h);

/* Markup of our own, as it is. The arguments may be numbers and constant texts only. */
void html_put(struct html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void html_raw(struct html *h, const char *markup);

/* A text from anywhere: & < > " ' are escaped; control characters and bytes that are no UTF-8
 * become U+FFFD. It is safe between tags and in a quoted attribute. */
void html_text(struct html *h, const char *text);
void html_text_n(struct html *h, const char *text, size_t n);

/* A number for people, and the exact one for machines: <data value="0.46359">0.4636</data>, with
 * the unit behind it ("" for none). exact: the cell of the file. */
void html_number(struct html *h, const char *exact, const char *shown, const char *unit);

/* A value in few digits: 27.66, 0.03533, 1,321,205,760. NaN: "-". out holds 40 bytes. */
void html_digits(char out[40], double value);

#endif
