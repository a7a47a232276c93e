/* Which values of their scenarios set the runs apart. */
#include <stdio.h>
#include <string.h>

#include "sim/report_parts.h"

/* The leaves of a scenario: "network.down" and its value as JSON. */
struct leaves {
    size_t n, cap;
    struct leaf {
        const char *path, *value;
    } * leaf;
};

static const char *text_of(struct arena *a, struct json value)
{
    const char *s = "";
    if (json_is_string(value) && !json_string(value, NULL, NULL, &s, NULL))
        return arena_strdup(a, s);
    struct json_out o;
    json_out_init(&o);
    json_out_begin_inline(&o, NULL, '[');
    json_out_value(&o, NULL, value);
    json_out_end(&o, ']');
    size_t n = strcspn(o.text, "\n"); /* without the brackets */
    s = n > 2 ? arena_printf(a, "%.*s", (int)(n - 2), o.text + 1) : "";
    json_out_fini(&o);
    return s;
}

static void collect(struct leaves *l, struct arena *a, const char *path, struct json value)
{
    bool is_list = json_is_array(value) && json_count(value) && json_is_object(json_at(value, 0));
    if (!json_is_object(value) && !is_list) {
        mem_grow((void **)&l->leaf, &l->cap, l->n + 1, sizeof(l->leaf[0]));
        l->leaf[l->n++] = (struct leaf){path, text_of(a, value)};
        return;
    }
    for (size_t i = 0; i < json_count(value); i++)
        collect(l, a,
                is_list ? arena_printf(a, "%s[%zu]", path, i)
                : *path ? arena_printf(a, "%s.%s", path, json_key_at(value, i))
                        : json_key_at(value, i),
                json_at(value, i));
}

static const char *find(const struct leaves *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->leaf[i].path, path) == 0)
            return l->leaf[i].value;
    return NULL;
}

static bool is_common(const struct report *r, const struct leaves *l, const char *path)
{
    const char *first = find(&l[0], path);
    for (size_t k = 1; k < r->n_runs; k++) {
        const char *other = find(&l[k], path);
        if (!first != !other || (first && strcmp(first, other) != 0))
            return false;
    }
    return true;
}

static void put_row(struct html *h, const struct report *r, const struct leaves *l,
                    const char *path)
{
    html_raw(h, "<tr><td>");
    html_text(h, path);
    html_raw(h, "</td>");
    for (size_t k = 0; k < r->n_runs; k++) {
        const char *value = find(&l[k], path);
        html_raw(h, "<td>");
        html_text(h, value ? value : "-");
        html_raw(h, "</td>");
    }
    html_raw(h, "</tr>");
}

/* A path that an earlier run has was printed there. */
static bool is_first(const struct leaves *l, size_t k, const char *path)
{
    for (size_t i = 0; i < k; i++)
        if (find(&l[i], path))
            return false;
    return true;
}

void report_differences(struct html *h, const struct report *r)
{
    if (r->n_runs < 2)
        return;
    struct arena scratch = {0};
    struct leaves l[REPORT_MAX_RUNS] = {{0}};
    for (size_t k = 0; k < r->n_runs; k++)
        collect(&l[k], &scratch, "", json_root(r->run[k].scenario));
    html_raw(h, "<section><h2>What sets them apart</h2><div class=scroll><table "
                "class=apart><thead><tr><th>key</th>");
    for (size_t k = 0; k < r->n_runs; k++) {
        html_raw(h, "<th>");
        report_chip(h, r, k);
        html_raw(h, "</th>");
    }
    html_raw(h, "</tr></thead><tbody>");
    for (size_t k = 0; k < r->n_runs; k++)
        for (size_t i = 0; i < l[k].n; i++) {
            const char *path = l[k].leaf[i].path;
            bool is_about_text = strcmp(path, "name") == 0 || strcmp(path, "about") == 0;
            if (!is_about_text && is_first(l, k, path) && !is_common(r, l, path))
                put_row(h, r, l, path);
        }
    html_raw(h, "</tbody></table></div></section>");
    for (size_t k = 0; k < r->n_runs; k++)
        mem_free(l[k].leaf);
    arena_free(&scratch);
}
