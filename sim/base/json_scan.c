/* The strict half of parsing JSON: what cJSON lets pass, found with its line and column. */
#include "sim/base/json_node.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

struct scan {
    const char *at, *end, *line_start;
    size_t line;
};

static enum err_code bad_text(const struct scan *s, const char *name, const char *at, struct err *e,
                              const char *what)
{
    long column = (long)(at - s->line_start) + 1;
    return err_set(e, ERR_INPUT, "%s:%zu:%ld: %s", name, s->line, column, what);
}

/* What cJSON lets pass: zero bytes and control characters in strings. at stands behind the quote.
 */
static const char *scan_string(struct scan *s)
{
    for (; s->at < s->end && *s->at != '"'; s->at++) {
        if ((unsigned char)*s->at < 0x20)
            return "not JSON: a control character in a string";
        if (*s->at != '\\')
            continue;
        if (s->end - s->at >= 6 && memcmp(s->at, "\\u0000", 6) == 0)
            return "not JSON we can use: a zero character in a string";
        s->at += s->at + 1 < s->end;
    }
    if (s->at == s->end)
        return "not JSON: a string is opened but not closed";
    s->at++;
    return NULL;
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?, finite. */
static const char *scan_number(struct scan *s)
{
    char text[64];
    const char *start = s->at, *p = s->at;
    const char *const bad = "not JSON: a malformed number";
    while (p < s->end && (isalnum((unsigned char)*p) || (*p && strchr("+-.", *p))))
        p++;
    size_t n = (size_t)(p - start);
    s->at = p;
    if (n >= sizeof(text))
        return "expected a number of at most 63 letters";
    memcpy(text, start, n);
    text[n] = 0;
    const char *q = text + (text[0] == '-');
    if (!isdigit((unsigned char)*q) || (q[0] == '0' && isdigit((unsigned char)q[1])))
        return bad;
    q += strspn(q, "0123456789");
    if (*q == '.') {
        size_t digits = strspn(++q, "0123456789");
        if (digits == 0)
            return bad;
        q += digits;
    }
    if (*q == 'e' || *q == 'E') {
        q++;
        q += *q == '+' || *q == '-';
        size_t digits = strspn(q, "0123456789");
        if (digits == 0)
            return bad;
        q += digits;
    }
    if (*q)
        return bad;
    return isfinite(strtod(text, NULL)) ? NULL : "expected a number within the range of a double";
}

/* Finds what cJSON is too lenient about, with the place. The rest of the grammar is cJSON's
 * business. */
enum err_code json_scan(const char *name, const char *text, size_t n, struct err *e)
{
    struct scan s = {text, text + n, text, 1};
    int depth = 0;
    while (s.at < s.end) {
        const char *start = s.at, *what = NULL;
        char c = *s.at;
        if (c == '-' || isdigit((unsigned char)c)) {
            what = scan_number(&s);
        } else {
            s.at++;
            if (c == '"') {
                what = scan_string(&s);
            } else if (c == '\n') {
                s.line++;
                s.line_start = s.at;
            } else if (c == '{' || c == '[') {
                if (++depth > MAX_DEPTH)
                    what = "expected at most 64 levels of nesting";
            } else if (c == '}' || c == ']') {
                depth--;
            }
        }
        if (what)
            return bad_text(&s, name, start, e, what);
    }
    return OK;
}

/* cJSON stops one letter behind what should have been a key's opening quote; elsewhere it stops in
 * place. */
static const char *step_back(const char *text, const char *at)
{
    const char *p = at - 1;
    if (at - text < 2 || *p == '"' || isspace((unsigned char)*p))
        return at;
    const char *q = p - 1;
    while (q > text && isspace((unsigned char)*q))
        q--;
    return *q == ',' || *q == '{' ? p : at;
}

enum err_code json_scan_stopped(const char *name, const char *text, size_t n, const char *at,
                                struct err *e)
{
    struct scan s = {text, text + n, text, 1};
    char what[64];
    if (!at || at > s.end)
        at = s.end;
    at = step_back(text, at);
    for (const char *p = text; p < at; p++)
        if (*p == '\n') {
            s.line++;
            s.line_start = p + 1;
        }
    int n_shown = 0;
    while (at + n_shown < s.end && n_shown < 12 && isprint((unsigned char)at[n_shown]))
        n_shown++;
    if (at == s.end || *at == 0)
        snprintf(what, sizeof(what), "not JSON: it ends too early");
    else
        snprintf(what, sizeof(what), "not JSON at \"%.*s\"", n_shown, at);
    return bad_text(&s, name, at, e, what);
}
