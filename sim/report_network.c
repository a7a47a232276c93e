/* The network, drawn: groups of clients above, the elements on their way below, the server at the
 * bottom.
 *
 * Groups whose ways end alike share that trunk; what is a group's own stands in its column. A line
 * is as wide as the logarithm of the bits that took it. Bits and joules are those of elements.csv,
 * which adds up over groups: an element of one kind and count has one number, wherever it is drawn.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/report_parts.h"

enum {
    MAX_COLUMNS = 5, /* ways that are drawn; more are counted */
    MAX_STEPS = 32,
    COLUMN = 220,
    GAP = 16,
    BOX = 48, /* height of an element, and of the line below it */
    BROAD = 4, /* so many ways take the page's whole width */
    LINE = 16,
    TEXT = 20, /* height of a line of text */
    END = 52,  /* of the server's */
};

struct step {
    char name[64];
    int count;
};

struct way {
    const char *groups; /* their names */
    size_t n_clients, n_groups;
    const char *device; /* and its network: "agx-orin-64gb, lte" */
    const char *link;   /* "40Mbps down, 10Mbps up" */
    double bits;                 /* both ways */
    double own[2][2], air[2][2]; /* bits carried, bits that could be, down and up */
    int n_steps;
    struct step step[MAX_STEPS];
};

struct drawing {
    struct html *h;
    const struct report_run *run;
    struct way way[MAX_COLUMNS];
    int n_ways, n_trunk;
    size_t n_left_out; /* groups */
    bool has_routes;   /* some network is the user's own: its elements lie on the sites' routes */
    int columns_steps; /* of the longest own part */
    int head;          /* height of a group's box */
    struct report_uses uses;
};

/* "edge_router*3" */
static void read_step(struct step *s, const char *text)
{
    const char *star = strchr(text, '*');
    size_t n = star ? (size_t)(star - text) : strlen(text);
    n = n < sizeof(s->name) - 1 ? n : sizeof(s->name) - 1;
    memcpy(s->name, text, n);
    s->name[n] = 0;
    s->count = star ? atoi(star + 1) : 1;
}

static void read_way(struct way *w, struct json network)
{
    struct json path = report_member(network, "path");
    if (!path.node || !json_is_array(path))
        return;
    for (size_t i = 0; i < json_count(path) && w->n_steps < MAX_STEPS; i++) {
        const char *text = "";
        if (json_is_string(json_at(path, i)) &&
            !json_string(json_at(path, i), NULL, NULL, &text, NULL))
            read_step(&w->step[w->n_steps++], text);
    }
}

static bool is_same_step(const struct step *a, const struct step *b)
{
    return a->count == b->count && strcmp(a->name, b->name) == 0;
}

static bool is_same_way(const struct way *a, const struct way *b)
{
    bool is_same = a->n_steps == b->n_steps && strcmp(a->link, b->link) == 0 &&
                   strcmp(a->device, b->device) == 0;
    for (int i = 0; i < a->n_steps && is_same; i++)
        is_same = is_same_step(&a->step[i], &b->step[i]);
    return is_same;
}

/* What the links of a group did, added to those of others on the same way. */
static void add_uses(struct way *w, const struct report_uses *uses, const char *group)
{
    for (size_t i = 0; i < uses->n; i++) {
        const struct report_use *u = &uses->use[i];
        if (strcmp(u->group, group) != 0 ||
            (u->kind != REPORT_USE_OWN && u->kind != REPORT_USE_AIR))
            continue;
        for (int dir = 0; dir < 2; dir++) {
            double *sum = u->kind == REPORT_USE_OWN ? w->own[dir] : w->air[dir];
            sum[0] += u->bits[dir];
            sum[1] += u->could_bits[dir];
            w->bits += u->kind == REPORT_USE_OWN ? u->bits[dir] : 0;
        }
    }
}

/* "agx-orin-64gb, lte by a trace" and "40Mbps down, 10Mbps up", or the file of a network of the user's own. */
static void describe(struct way *w, struct json network, const char *device, struct arena *a)
{
    const char *how = "", *most = "", *file = "";
    if (report_member(network, "file").node)
        file = report_string(network, "file");
    if (report_member(network, "draw").node) {
        bool is_file = report_member(report_member(network, "draw"), "file").node;
        how = is_file ? " from a file" : "";
        most = is_file ? "most " : "medians ";
    } else if (report_member(network, "trace").node) {
        how = " by a trace";
        most = "most ";
    }
    w->device = arena_printf(a, "%s, %s%s", device, report_string(network, "topology"), how);
    w->link = *file ? arena_printf(a, "%s", strrchr(file, '/') ? strrchr(file, '/') + 1 : file)
                    : arena_printf(a, "%s%s%s, %s up", most,
                                   report_string(network, "down"), *most ? "" : " down",
                                   report_string(network, "up"));
}

static void add_group(struct drawing *d, struct arena *a, struct json group, struct json common)
{
    struct json own = report_member(group, "network"), device = report_member(group, "device");
    struct json network = own.node ? own : common;
    int64_t count = 0, none = 0;
    json_int(group, "count", 0, INT64_MAX, &none, &count, NULL);
    struct way w = {
        .groups = report_string(group, "name"), .n_clients = (size_t)count, .n_groups = 1};
    describe(&w, network,
             device.node && json_is_object(device) ? report_string(device, "name")
                                                   : report_string(group, "device"),
             a);
    d->has_routes = d->has_routes || report_member(network, "file").node;
    read_way(&w, network);
    for (int i = 0; i < d->n_ways; i++)
        if (is_same_way(&w, &d->way[i])) {
            d->way[i].n_clients += w.n_clients;
            add_uses(&d->way[i], &d->uses, w.groups);
            if (++d->way[i].n_groups <= 3)
                d->way[i].groups = arena_printf(a, "%s, %s", d->way[i].groups, w.groups);
            return;
        }
    add_uses(&w, &d->uses, w.groups);
    if (d->n_ways < MAX_COLUMNS)
        d->way[d->n_ways++] = w;
    else
        d->n_left_out++;
}

static void find_trunk(struct drawing *d)
{
    int least = d->n_ways ? d->way[0].n_steps : 0;
    for (int i = 1; i < d->n_ways; i++)
        least = d->way[i].n_steps < least ? d->way[i].n_steps : least;
    for (d->n_trunk = 0; d->n_trunk < least; d->n_trunk++) {
        const struct way *w = d->way;
        for (int i = 1; i < d->n_ways; i++)
            if (!is_same_step(&w[0].step[w[0].n_steps - 1 - d->n_trunk],
                              &w[i].step[w[i].n_steps - 1 - d->n_trunk]))
                return;
    }
}

/* Bits and joules of an element in both directions. */
static void sums_of(const struct report_run *run, const struct step *s, double *bits,
                    double *joules)
{
    *bits = *joules = 0;
    for (size_t i = 0; i < csv_rows(run->elements); i++)
        if (strcmp(report_word(run->elements, i, "element"), s->name) == 0 &&
            report_cell(run->elements, i, "count") == s->count) {
            *bits += report_cell(run->elements, i, "bits");
            *joules += report_cell(run->elements, i, "joules");
        }
}

static void prefixed(char out[40], double v)
{
    static const char *const PREFIXES[] = {"", "k", "M", "G", "T", "P"};
    int i = 0;
    for (; v >= 1000 && i < 5; i++)
        v /= 1000;
    snprintf(out, 40, "%.4g %s", v, PREFIXES[i]);
}

static void put_line(struct drawing *d, int x, int y, int to_x, int to_y, double bits)
{
    html_put(d->h, "<path class=wire d=\"M%d %dL%d %d\" stroke-width=%.1f />", x, y, to_x, to_y,
             bits > 1 ? 1 + 0.4 * log10(bits) : 1);
}

/* "16 % down, 52 % up" behind what they are of; nothing where no rate is known. */
static void put_uses(struct html *h, const char *what, const double down[2], const double up[2])
{
    double use[2] = {100 * down[0] / down[1], 100 * up[0] / up[1]};
    if (isfinite(use[0]) && isfinite(use[1]))
        html_put(h, "%s %.2g %% down, %.2g %% up", what, use[0], use[1]);
}

static void put_element(struct drawing *d, const struct step *s, int x, int y)
{
    double bits, joules, share = report_total(d->run, "comm_kwh") * 3.6e6;
    char number[2][40];
    sums_of(d->run, s, &bits, &joules);
    prefixed(number[0], bits);
    prefixed(number[1], joules);
    share = share > 0 ? joules / share : 0;
    html_put(d->h, "<rect class=box x=%d y=%d width=%d height=%d rx=6 />", x, y, COLUMN, BOX);
    html_put(d->h, "<rect class=heat x=%d y=%d width=%.1f height=4 />", x + 8, y + BOX - 5,
             share * (COLUMN - 16));
    html_put(d->h, "<text class=strong x=%d y=%d>", x + 10, y + 19);
    html_text(d->h, s->name);
    if (s->count > 1)
        html_put(d->h, " x %d", s->count);
    html_put(d->h, "</text><text x=%d y=%d>%sbit, %sJ (%.2g %%)</text>", x + 10, y + 37, number[0],
             number[1], 100 * share);
}

static void put_head(struct drawing *d, const struct way *w, int x)
{
    html_put(
        d->h,
        "<rect class=\"box end\" x=%d y=0 width=%d height=%d rx=6 /><text class=strong x=%d y=20>",
        x, COLUMN, d->head, x + 10);
    html_put(d->h, "%zu clients: ", w->n_clients);
    size_t n = strlen(w->groups);
    html_text_n(d->h, w->groups, n < 20 ? n : 20);
    html_put(d->h, "%s</text><text x=%d y=40>", n > 20 || w->n_groups > 3 ? "..." : "", x + 10);
    html_text(d->h, w->device);
    html_put(d->h, "</text><text x=%d y=60>", x + 10);
    html_text(d->h, w->link);
    html_put(d->h, "</text><text x=%d y=80>", x + 10);
    put_uses(d->h, "link used", w->own[0], w->own[1]);
    html_put(d->h, "</text><text x=%d y=100>", x + 10);
    put_uses(d->h, "air used", w->air[0], w->air[1]);
    html_raw(d->h, "</text>");
}

/* A group's own part: its box, its elements, and the line that joins the trunk. */
static void put_column(struct drawing *d, const struct way *w, int x, int trunk_x)
{
    double bits = w->bits;
    int y = d->head, own = w->n_steps - d->n_trunk;
    put_head(d, w, x);
    for (int i = 0; i < own; i++) {
        put_line(d, x + COLUMN / 2, y, x + COLUMN / 2, y + LINE, bits);
        put_element(d, &w->step[i], x, y + LINE);
        y += LINE + BOX;
    }
    int end = d->head + d->columns_steps * (LINE + BOX);
    put_line(d, x + COLUMN / 2, y, x + COLUMN / 2, end, bits);
    put_line(d, x + COLUMN / 2, end, trunk_x + COLUMN / 2, end + LINE, bits);
}

static void put_trunk(struct drawing *d, int x, int y)
{
    const struct way *w = &d->way[0];
    double bits = 0, joules;
    for (int i = w->n_steps - d->n_trunk; i < w->n_steps; i++) {
        sums_of(d->run, &w->step[i], &bits, &joules);
        put_element(d, &w->step[i], x, y);
        put_line(d, x + COLUMN / 2, y + BOX, x + COLUMN / 2, y + BOX + LINE, bits);
        y += BOX + LINE;
    }
    html_put(d->h,
             "<rect class=\"box end\" x=%d y=%d width=%d height=%d rx=6 /><text class=strong x=%d "
             "y=%d>server</text><text x=%d y=%d>",
             x, y, COLUMN, END, x + 10, y + 22, x + 10, y + 41);
    const struct report_use *u = d->uses.n ? &d->uses.use[d->uses.n - 1] : NULL;
    if (u && u->kind == REPORT_USE_SERVER)
        put_uses(d->h, "link used", (double[2]){u->bits[0], u->could_bits[0]},
                 (double[2]){u->bits[1], u->could_bits[1]});
    else
        html_raw(d->h, "its link never limits");
    html_raw(d->h, "</text>");
}

static void draw(struct html *h, const struct report *r, const struct report_run *run)
{
    struct arena scratch = {0};
    struct drawing d = {.h = h, .run = run};
    struct json root = json_root(run->scenario), common = report_member(root, "network");
    struct json groups = report_member(report_member(root, "clients"), "groups");
    report_find_uses(&d.uses, &scratch, run);
    for (size_t i = 0; groups.node && json_is_array(groups) && i < json_count(groups); i++)
        add_group(&d, &scratch, json_at(groups, i), common);
    find_trunk(&d);
    d.head = 4 * TEXT + 12;
    for (int i = 0; i < d.n_ways; i++) {
        if (d.way[i].air[0][1] > 0)
            d.head = 5 * TEXT + 12;
        int own = d.way[i].n_steps - d.n_trunk;
        d.columns_steps = own > d.columns_steps ? own : d.columns_steps;
    }
    int width = d.n_ways * COLUMN + (d.n_ways - 1) * GAP, trunk_x = (width - COLUMN) / 2;
    int top = d.head + d.columns_steps * (LINE + BOX) + LINE,
        height = top + d.n_trunk * (LINE + BOX) + END + 2;
    html_put(h, "<figure%s><figcaption>", d.n_ways >= BROAD ? " class=broad" : "");
    report_chip(h, r, (size_t)(run - r->run));
    html_raw(h, "</figcaption>");
    if (d.n_ways > 0) {
        html_put(h,
                 "<svg class=network style=\"max-width:%dpx\" viewBox=\"-2 -2 %d %d\" role=img "
                 "aria-label=\"the network\">",
                 width + width / 4, width + 4, height + 4);
        for (int i = 0; i < d.n_ways; i++)
            put_column(&d, &d.way[i], i * (COLUMN + GAP), trunk_x);
        put_trunk(&d, trunk_x, top);
        html_raw(h, "</svg>");
    }
    if (d.n_left_out)
        html_put(h, "<p class=note>%zu more groups on other networks are not drawn.</p>",
                 d.n_left_out);
    if (d.has_routes)
        html_raw(h,
                 "<p class=note>Elements on the routes of a network of your own are not drawn; the "
                 "table has them.</p>");
    html_raw(h, "</figure>");
    arena_free(&scratch);
}

static void put_tables(struct html *h, const struct report *r, size_t k)
{
    html_raw(h, "<div>");
    report_elements(h, r, k);
    report_use_table(h, r, k);
    html_raw(h, "</div>");
}

void report_network(struct html *h, const struct report *r)
{
    html_raw(
        h, "<section class=whole><h2>The network</h2><p class=note>Bits that came through in both "
           "directions, and what they cost. "
           "The bar in a box is its share of the network's energy. Elements of one kind count "
           "together for all "
           "groups.</p><div class=\"charts wide\">");
    for (size_t k = 0; k < r->n_runs; k++) {
        draw(h, r, &r->run[k]);
        if (r->n_runs == 1)
            put_tables(h, r, k);
    }
    html_raw(h, "</div>");
    if (r->n_runs > 1) {
        html_raw(h, "<div class=\"charts wide\">");
        for (size_t k = 0; k < r->n_runs; k++)
            put_tables(h, r, k);
        html_raw(h, "</div>");
    }
    html_raw(h, "</section>");
}
