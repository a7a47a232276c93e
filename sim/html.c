#include "sim/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

void html_fini(struct html *h)
{
    mem_free(h->text);
    *h = (struct html){0};
}

static void put_bytes(struct html *h, const char *bytes, size_t n)
{
    mem_grow((void **)&h->text, &h->cap, h->n + n + 1, 1);
    memcpy(h->text + h->n, bytes, n);
    h->n += n;
    h->text[h->n] = 0;
}

void html_raw(struct html *h, const char *markup)
{
    put_bytes(h, markup, strlen(markup));
}

void html_put(struct html *h, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    CHECK(n >= 0 && (size_t)n < sizeof(text));
    put_bytes(h, text, (size_t)n);
}

/* Bytes of the UTF-8 character at s, or 0 when there is none. Surrogates and overlong forms are
 * none. */
static size_t character(const unsigned char *s, size_t left)
{
    unsigned char c = s[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] >= 0xa0) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

void html_text_n(struct html *h, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < n;) {
        size_t bytes = character(s + i, n - i);
        bool is_control = (s[i] < 0x20 && s[i] != '\n' && s[i] != '\t') || s[i] == 0x7f;
        if (bytes == 0 || is_control)
            html_raw(h, "\xef\xbf\xbd");
        else if (s[i] == '&')
            html_raw(h, "&amp;");
        else if (s[i] == '<')
            html_raw(h, "&lt;");
        else if (s[i] == '>')
            html_raw(h, "&gt;");
        else if (s[i] == '"')
            html_raw(h, "&quot;");
        else if (s[i] == '\'')
            html_raw(h, "&#39;");
        else
            put_bytes(h, text + i, bytes);
        i += bytes ? bytes : 1;
    }
}

void html_text(struct html *h, const char *text)
{
    html_text_n(h, text, strlen(text));
}

void html_number(struct html *h, const char *exact, const char *shown, const char *unit)
{
    html_raw(h, "<data value=\"");
    html_text(h, exact);
    html_raw(h, "\">");
    html_text(h, shown);
    html_raw(h, "</data>");
    if (*unit) {
        html_raw(h, " <small>");
        html_text(h, unit);
        html_raw(h, "</small>");
    }
}

/* 1321205760 -> 1,321,205,760 */
static void put_commas(char out[40], double value)
{
    char digits[40];
    int n = snprintf(digits, sizeof(digits), "%.0f", fabs(value)), at = 0;
    if (value < 0)
        out[at++] = '-';
    for (int i = 0; i < n && at < 38; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

void html_digits(char out[40], double value)
{
    if (isnan(value))
        snprintf(out, 40, "-");
    else if (fabs(value) < 1e15 && (fabs(value) >= 1e4 || value == floor(value)))
        put_commas(out, value);
    else
        snprintf(out, 40, "%.4g", value);
}
