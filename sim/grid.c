#include "sim/grid.h"

#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

void grid_init(struct grid *g)
{
    *g = (struct grid){.n_points = 1};
}

/* --- one axis --- */

/* An axis while it is being filled. */
struct draft {
    size_t n_keys, n_rows;
    const char **key, **value, **label;
};

static struct draft draft_new(struct arena *a, size_t n_keys, size_t n_rows)
{
    return (struct draft){.n_keys = n_keys,
                          .n_rows = n_rows,
                          .key = ARENA_NEW(a, const char *, n_keys),
                          .value = ARENA_NEW(a, const char *, n_keys *n_rows),
                          .label = ARENA_NEW(a, const char *, n_keys *n_rows)};
}

/* NULL, or why no point may change this key. */
static const char *why_not(const char *key)
{
    if (!key[0] || strchr(key, '='))
        return "expected the key of a scenario";
    if (strcmp(key, "sweep") == 0 || strncmp(key, "sweep.", 6) == 0 || strcmp(key, "extends") == 0)
        return "cannot be varied";
    if (strcmp(key, "output") == 0 || strncmp(key, "output.", 7) == 0)
        return "cannot be varied: each point has a folder of its own";
    return NULL;
}

/* The number of a row that equals an earlier one, or n_rows. */
static size_t repeated_row(const struct draft *d)
{
    for (size_t i = 1; i < d->n_rows; i++)
        for (size_t j = 0; j < i; j++) {
            bool is_same = true;
            for (size_t k = 0; k < d->n_keys && is_same; k++)
                is_same = strcmp(d->label[i * d->n_keys + k], d->label[j * d->n_keys + k]) == 0;
            if (is_same)
                return i;
        }
    return d->n_rows;
}

static void count(struct grid *g)
{
    g->n_keys = 0;
    g->n_points = 1;
    for (size_t i = 0; i < g->n_axes; i++) {
        g->n_keys += g->axis[i].n_keys;
        if (g->n_points <= GRID_MAX_POINTS && g->axis[i].n_rows <= GRID_MAX_POINTS)
            g->n_points *= g->axis[i].n_rows;
        else
            g->n_points = GRID_MAX_POINTS + 1;
    }
}

/* Adds a complete axis, in the place of one that has its key. NULL, or what is wrong. */
static const char *add(struct grid *g, const struct draft *d)
{
    size_t at = g->n_axes;
    for (size_t i = 0; i < g->n_axes; i++)
        for (size_t k = 0; k < g->axis[i].n_keys; k++)
            for (size_t j = 0; j < d->n_keys; j++)
                if (strcmp(g->axis[i].key[k], d->key[j]) == 0) {
                    if (g->axis[i].n_keys > 1 || d->n_keys > 1)
                        return "is a key of the scenario's list of points already";
                    at = i;
                }
    if (at == GRID_MAX_KEYS)
        return "expected at most 8 keys";
    g->n_axes += at == g->n_axes;
    g->axis[at] = (struct grid_axis){.n_keys = d->n_keys,
                                     .n_rows = d->n_rows,
                                     .key = d->key,
                                     .value = d->value,
                                     .label = d->label};
    count(g);
    if (g->n_keys > GRID_MAX_KEYS)
        return "expected at most 8 keys";
    if (g->n_points > GRID_MAX_POINTS)
        return "expected at most 10000 points";
    return NULL;
}

/* --- from a scenario --- */

/* One line of JSON, so that the assignment means the same whatever the value looks like. */
static void put_json(struct draft *d, struct arena *a, size_t at, struct json value)
{
    struct json_out o;
    json_out_init(&o);
    json_out_begin_inline(&o, NULL, '[');
    json_out_value(&o, NULL, value);
    json_out_end(&o, ']');
    size_t n = strcspn(o.text, "\n");
    d->value[at] = arena_printf(a, "%.*s", (int)n - 2, o.text + 1);
    json_out_fini(&o);
    const char *text;
    if (json_is_string(value) && !json_string(value, NULL, NULL, &text, NULL))
        d->label[at] = arena_strdup(a, text);
    else
        d->label[at] = d->value[at];
}

static enum err_code read_axis(struct grid *g, struct arena *a, struct json object, size_t i,
                               struct err *e)
{
    const char *key = json_key_at(object, i), *why = why_not(key);
    struct json list;
    if (why)
        return json_fail(object, key, e, "%s", why);
    enum err_code code = json_array(object, key, &list, e);
    if (code)
        return code;
    if (json_count(list) == 0 || json_count(list) > GRID_MAX_POINTS)
        return json_fail(object, key, e, "expected 1..%d values, got %zu", GRID_MAX_POINTS,
                         json_count(list));
    struct draft d = draft_new(a, 1, json_count(list));
    d.key[0] = arena_strdup(a, key);
    for (size_t row = 0; row < d.n_rows; row++)
        put_json(&d, a, row, json_at(list, row));
    size_t twice = repeated_row(&d);
    if (twice < d.n_rows)
        return json_fail(object, key, e, "expected every value once, got \"%.80s\" again",
                         d.label[twice]);
    why = add(g, &d);
    return why ? json_fail(object, key, e, "%s", why) : OK;
}

/* The keys of the first point are those of every point. */
static enum err_code read_list_keys(struct draft *d, struct arena *a, struct json list,
                                    struct err *e)
{
    struct json first = json_at(list, 0);
    for (size_t k = 0; k < d->n_keys; k++) {
        d->key[k] = arena_strdup(a, json_key_at(first, k));
        const char *why = why_not(d->key[k]);
        if (why)
            return json_fail(first, d->key[k], e, "%s", why);
    }
    return OK;
}

static enum err_code read_list(struct grid *g, struct arena *a, struct json list, struct err *e)
{
    size_t n_rows = json_count(list);
    if (n_rows == 0 || n_rows > GRID_MAX_POINTS)
        return json_fail(list, NULL, e, "expected 1..%d points, got %zu", GRID_MAX_POINTS, n_rows);
    struct json first = json_at(list, 0);
    if (!json_is_object(first) || json_count(first) == 0 || json_count(first) > GRID_MAX_KEYS)
        return json_fail(first, NULL, e, "expected an object of 1..%d keys", GRID_MAX_KEYS);
    struct draft d = draft_new(a, json_count(first), n_rows);
    enum err_code code = read_list_keys(&d, a, list, e);
    for (size_t row = 0; row < n_rows && !code; row++) {
        struct json point = json_at(list, row), value;
        if (!json_is_object(point))
            return json_fail(point, NULL, e, "expected an object");
        for (size_t k = 0; k < d.n_keys && !code; k++) {
            code = json_value(point, d.key[k], &value, e);
            if (!code)
                put_json(&d, a, row * d.n_keys + k, value);
        }
        if (!code)
            code = json_finish(point, e);
    }
    if (code)
        return code;
    size_t twice = repeated_row(&d);
    if (twice < n_rows)
        return json_fail(json_at(list, twice), NULL, e, "expected every point once");
    const char *why = add(g, &d);
    return why ? json_fail(list, NULL, e, "%s", why) : OK;
}

enum err_code grid_read(struct grid *g, struct arena *a, struct json root, const char *key,
                        struct err *e)
{
    struct json value;
    grid_init(g);
    if (!json_has(root, key))
        return OK;
    enum err_code code = json_value(root, key, &value, e);
    if (code)
        return code;
    if (json_is_array(value))
        return read_list(g, a, value, e);
    if (!json_is_object(value))
        return json_fail(root, key, e, "expected an object of lists, or a list of points");
    for (size_t i = 0; i < json_count(value) && !code; i++)
        code = read_axis(g, a, value, i, e);
    return code;
}

/* --- from the command line --- */

/* Letters up to the comma that ends this value: one outside brackets and quotes. */
static size_t value_length(const char *s)
{
    int depth = 0;
    bool is_quoted = false;
    size_t i = 0;
    for (; s[i] && (s[i] != ',' || depth > 0 || is_quoted); i++) {
        if (is_quoted && s[i] == '\\' && s[i + 1])
            i++;
        else if (s[i] == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted)
            depth += (s[i] == '[' || s[i] == '{') - (s[i] == ']' || s[i] == '}');
    }
    return i;
}

static void put_text(struct draft *d, struct arena *a, size_t at, const char *s, size_t n)
{
    while (n && *s == ' ') {
        s++;
        n--;
    }
    while (n && s[n - 1] == ' ')
        n--;
    bool is_quoted = n >= 2 && s[0] == '"' && s[n - 1] == '"';
    d->value[at] = arena_printf(a, "%.*s", (int)n, s);
    d->label[at] = arena_printf(a, "%.*s", (int)(is_quoted ? n - 2 : n), s + is_quoted);
}

enum err_code grid_vary(struct grid *g, struct arena *a, const char *option, const char *text,
                        struct err *e)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return err_set(e, ERR_INPUT, "%s %.200s: expected KEY=VALUE,VALUE,...", option, text);
    char *key = arena_printf(a, "%.*s", (int)(equals - text), text);
    const char *why = why_not(key);
    if (why)
        return err_set(e, ERR_INPUT, "%s %.200s: %s", option, key, why);
    size_t n_rows = 1;
    for (const char *s = equals + 1; *(s += value_length(s)); s++)
        n_rows++;
    struct draft d = draft_new(a, 1, n_rows);
    d.key[0] = key;
    const char *s = equals + 1;
    for (size_t row = 0; row < n_rows; row++) {
        size_t n = value_length(s);
        put_text(&d, a, row, s, n);
        if (!d.value[row][0])
            return err_set(e, ERR_INPUT, "%s %.200s: expected a value between commas", option,
                           text);
        s += n + 1;
    }
    size_t twice = repeated_row(&d);
    if (twice < n_rows)
        return err_set(e, ERR_INPUT, "%s %.200s: expected every value once, got \"%.80s\" again",
                       option, key, d.label[twice]);
    why = add(g, &d);
    return why ? err_set(e, ERR_INPUT, "%s %.200s: %s", option, key, why) : OK;
}

/* --- points --- */

/* The axis of key i, which of its keys that is, and its row at a point. */
static const struct grid_axis *axis_of(const struct grid *g, size_t i, size_t point, size_t *key,
                                       size_t *row)
{
    CHECK(i < g->n_keys && point < g->n_points);
    size_t at = 0, below = g->n_points;
    for (;; at++) {
        below /= g->axis[at].n_rows;
        if (i < g->axis[at].n_keys)
            break;
        i -= g->axis[at].n_keys;
    }
    *key = i;
    *row = point / below % g->axis[at].n_rows;
    return &g->axis[at];
}

const char *grid_key(const struct grid *g, size_t i)
{
    size_t key, row;
    return axis_of(g, i, 0, &key, &row)->key[key];
}

const char *grid_label(const struct grid *g, size_t point, size_t i)
{
    size_t key, row;
    const struct grid_axis *x = axis_of(g, i, point, &key, &row);
    return x->label[row * x->n_keys + key];
}

const char *grid_assignment(const struct grid *g, struct arena *a, size_t point, size_t i)
{
    size_t key, row;
    const struct grid_axis *x = axis_of(g, i, point, &key, &row);
    return arena_printf(a, "%s=%s", x->key[key], x->value[row * x->n_keys + key]);
}

static const char *last_word(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

static const char *short_key(const struct grid *g, size_t i)
{
    const char *word = last_word(grid_key(g, i));
    for (size_t j = 0; j < g->n_keys; j++)
        if (j != i && strcmp(last_word(grid_key(g, j)), word) == 0)
            return grid_key(g, i);
    return word;
}

const char *grid_point_name(const struct grid *g, struct arena *a, size_t point)
{
    const char *name = "";
    for (size_t i = 0; i < g->n_keys; i++)
        name = arena_printf(a, "%s%s%s=%s", name, i ? ", " : "", short_key(g, i),
                            grid_label(g, point, i));
    return name;
}
