#include "net/xml_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 200, MAX_ROUTES = 20000 };

void xml_text_init(struct xml_text *x, const char *path, const struct file *f)
{
    const char *text = (const char *)f->bytes;
    *x = (struct xml_text){path, text, text + f->n_bytes};
}

static size_t line_of(const struct xml_text *x, const char *at)
{
    size_t line = 1;
    for (const char *p = x->text; p < at; p++)
        line += *p == '\n';
    return line;
}

static bool begins(const struct xml_text *x, const char *p, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(x->end - p) >= n && memcmp(p, with, n) == 0;
}

/* The next of these words from p on that is in no comment, or NULL. */
static const char *next_of(const struct xml_text *x, const char *p, const char *word)
{
    for (; p < x->end; p++) {
        if (begins(x, p, "<!--"))
            while (p < x->end && !begins(x, p, "-->"))
                p++;
        if (p < x->end && begins(x, p, word))
            return p;
    }
    return NULL;
}

/* A value between quotes after "key=": its begin, *n its length; NULL when it is none. */
static const char *value_at(const struct xml_text *x, const char *key_end, size_t *n)
{
    if (x->end - key_end < 2 || (*key_end != '"' && *key_end != '\''))
        return NULL;
    const char *close = memchr(key_end + 1, *key_end, (size_t)(x->end - key_end - 1));
    *n = close ? (size_t)(close - key_end - 1) : 0;
    return close ? key_end + 1 : NULL;
}

/* The n-th id="name", or the first, or NULL. */
static const char *find_id(const struct xml_text *x, const char *name, size_t n, int nth)
{
    const char *first = NULL;
    for (const char *p = x->text; n > 0 && (p = next_of(x, p, "id=")); p += 3) {
        size_t length;
        const char *value = value_at(x, p + 3, &length);
        if (!value || length != n || memcmp(value, name, n) != 0)
            continue;
        first = first ? first : p;
        if (--nth == 0)
            return p;
    }
    return first;
}

enum err_code xml_text_fail(const struct xml_text *x, const char *name, int nth, struct err *e,
                            const char *message)
{
    size_t n = strlen(name);
    const char *at = find_id(x, name, n, nth);
    if (!at && n > 3 && strcmp(name + n - 3, "_UP") == 0)
        at = find_id(x, name, n - 3, nth);
    if (!at && n > 5 && strcmp(name + n - 5, "_DOWN") == 0)
        at = find_id(x, name, n - 5, nth);
    if (at)
        return err_set(e, ERR_INPUT, "%s:%zu: %s", x->path, line_of(x, at), message);
    return err_set(e, ERR_INPUT, "%s: %s", x->path, message);
}

/* --- what SimGrid crashes on without a word --- */

struct route {
    const char *at, *src, *dst;
    size_t n_src, n_dst;
};

static bool is_same(const char *a, size_t n, const char *b, size_t m)
{
    return n == m && memcmp(a, b, n) == 0;
}

/* The ends of the <route ...> at p; false when it has none. */
static bool read_route(const struct xml_text *x, const char *p, struct route *r)
{
    const char *close = memchr(p, '>', (size_t)(x->end - p));
    *r = (struct route){.at = p};
    for (const char *q = p; close && q < close; q++) {
        if (begins(x, q, "src="))
            r->src = value_at(x, q + 4, &r->n_src);
        if (begins(x, q, "dst="))
            r->dst = value_at(x, q + 4, &r->n_dst);
    }
    return r->src && r->dst;
}

/* A route that is there twice, either way round; NULL: none is. Only the first of many are looked
 * at. */
static const char *find_twin(const struct xml_text *x)
{
    size_t n_seen = 0;
    for (const char *p = x->text; n_seen < MAX_ROUTES && (p = next_of(x, p, "<route ")); p += 7) {
        struct route mine, other;
        n_seen++;
        if (!read_route(x, p, &mine))
            continue;
        for (const char *q = x->text; (q = next_of(x, q, "<route ")) && q < p; q += 7) {
            if (!read_route(x, q, &other))
                continue;
            if ((is_same(mine.src, mine.n_src, other.src, other.n_src) &&
                 is_same(mine.dst, mine.n_dst, other.dst, other.n_dst)) ||
                (is_same(mine.src, mine.n_src, other.dst, other.n_dst) &&
                 is_same(mine.dst, mine.n_dst, other.src, other.n_src)))
                return p;
        }
    }
    return NULL;
}

/* A routing= that is none of SimGrid's usual ones; NULL: all are. */
static const char *find_odd_routing(const struct xml_text *x)
{
    static const char *const KNOWN[] = {"Full", "Floyd",   "Dijkstra", "DijkstraCache",
                                        "None", "Cluster", "Vivaldi",  "Wifi"};
    for (const char *p = x->text; (p = next_of(x, p, "routing=")); p += 8) {
        size_t n;
        bool is_known = false;
        const char *value = value_at(x, p + 8, &n);
        for (size_t i = 0; value && i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
            is_known = is_known || is_same(value, n, KNOWN[i], strlen(KNOWN[i]));
        if (!is_known)
            return p;
    }
    return NULL;
}

/* --- SimGrid's words --- */

/* "Parse error at FILE:LINE: Invalid XML (XML input line 9, state 156): what" -> "FILE:LINE: what".
 */
static enum err_code fail_parsing(const struct xml_text *x, const char *where, struct err *e)
{
    const char *inner = strstr(where, "): "), *line = where;
    if (strncmp(where, x->path, strlen(x->path)) == 0)
        line += strlen(x->path);
    int n = (int)strspn(line, ":0123456789");
    if (strstr(where, "TOO OLD"))
        return err_set(e, ERR_INPUT,
                       "%s%.*s this version of platforms is too old; the program "
                       "simgrid_update_xml makes it a newer one",
                       x->path, n, line);
    if (inner && strstr(where, "Invalid XML"))
        return err_set(e, ERR_INPUT, "%s%.*s invalid XML: %s", x->path, n, line, inner + 3);
    return err_set(e, ERR_INPUT, "%s", where);
}

enum err_code xml_text_fail_as_simgrid(const struct xml_text *x, const char *said, struct err *e)
{
    static const char PARSE[] = "Parse error at ";
    const char *open = strchr(said, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
    const char *colon = strrchr(said, ':'), *at = NULL;
    bool is_twice = strstr(said, "several times") || strstr(said, " second ");
    char name[MAX_NAME] = "";
    if (strncmp(said, PARSE, sizeof(PARSE) - 1) == 0)
        return fail_parsing(x, said + sizeof(PARSE) - 1, e);
    if (strstr(said, "twice") && (at = find_twin(x)))
        said = "this route is there twice";
    else if (strstr(said, "Not a valid model") && (at = find_odd_routing(x)))
        said = "routing: expected Full, Floyd, Dijkstra or another that SimGrid knows";
    if (at)
        return err_set(e, ERR_INPUT, "%s:%zu: %s", x->path, line_of(x, at), said);
    if (open && close)
        snprintf(name, sizeof(name), "%.*s", (int)(close - open - 1), open + 1);
    else if (colon && colon[1] == ' ')
        snprintf(name, sizeof(name), "%s", colon + 2);
    return xml_text_fail(x, name, is_twice ? 2 : 1, e, said);
}

static enum err_code check_units(const struct xml_text *x, struct err *e)
{
    static const struct {
        const char *key, *name, *example;
    } KEYS[] = {{"bandwidth=", "bandwidth", "10Mbps"}, {"latency=", "latency", "5ms"}};
    for (int k = 0; k < 2; k++)
        for (const char *p = x->text; (p = next_of(x, p, KEYS[k].key)); p++) {
            size_t n, digits = 0, zeros = 0;
            const char *value = value_at(x, p + strlen(KEYS[k].key), &n);
            while (value && digits < n && strchr("+-.0123456789eE", value[digits]))
                digits++;
            while (value && zeros < n && strchr("0.", value[zeros]))
                zeros++;
            if (value && n > 0 && digits == n && zeros < n)
                return err_set(e, ERR_INPUT, "%s:%zu: %s: expected a unit, as in %s, got \"%.*s\"",
                               x->path, line_of(x, p), KEYS[k].name, KEYS[k].example, (int)n,
                               value);
        }
    return OK;
}

enum err_code xml_text_check(const struct xml_text *x, struct err *e)
{
    static const char *const PROFILES[] = {"bandwidth_file", "latency_file", "state_file",
                                           "trace_connect"};
    for (size_t i = 0; i < sizeof(PROFILES) / sizeof(PROFILES[0]); i++) {
        const char *at = next_of(x, x->text, PROFILES[i]);
        if (at)
            return err_set(e, ERR_INPUT,
                           "%s:%zu: %s: profiles are not followed; network.trace and background "
                           "change bandwidth over time",
                           x->path, line_of(x, at), PROFILES[i]);
    }
    return check_units(x, e);
}
