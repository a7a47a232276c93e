/* How much of what links could have carried they did carry: sums over the participations of each
 * group of clients, against the rates that the scenario states. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/startup.h"
#include "sim/base/text.h"
#include "sim/report_parts.h"

static const char *const DIRECTIONS[2] = {"down", "up"};

/* --- sums over clients.csv, line by line --- */

struct cell {
    const char *at;
    size_t n;
};

/* The next cell of a line as it is written, with its quotes, and *at behind its comma. */
static struct cell next_cell(const char **at, const char *end)
{
    struct cell c = {.at = *at};
    bool is_quoted = false;
    const char *p = *at;
    for (; p < end && (is_quoted || (*p != ',' && *p != '\n' && *p != '\r')); p++)
        is_quoted ^= *p == '"';
    c.n = (size_t)(p - c.at);
    *at = p < end ? p + 1 : p;
    return c;
}

/* What a cell says: without its quotes, those inside it single. */
static const char *plain_text(struct arena *a, struct cell c)
{
    char *out = ARENA_NEW(a, char, c.n + 1);
    size_t n = 0;
    bool is_quoted = c.n && c.at[0] == '"';
    for (size_t i = is_quoted; i + is_quoted < c.n; i++) {
        out[n++] = c.at[i];
        i += is_quoted && c.at[i] == '"';
    }
    return out;
}

static struct report_group *group_of(struct report_run *run, struct arena *a, struct cell c)
{
    for (size_t i = 0; i < run->n_groups; i++)
        if (run->group[i].n_raw == c.n && memcmp(run->group[i].raw, c.at, c.n) == 0)
            return &run->group[i];
    mem_grow((void **)&run->group, &run->cap_groups, run->n_groups + 1, sizeof(run->group[0]));
    struct report_group *g = &run->group[run->n_groups++];
    *g = (struct report_group){.n_raw = c.n, .name = plain_text(a, c)};
    char *raw = ARENA_NEW(a, char, c.n + 1);
    memcpy(raw, c.at, c.n);
    g->raw = raw;
    return g;
}

void report_use_header(struct report_run *run, const char *line, const char *end)
{
    static const char *const NAMES[REPORT_USE_COLUMNS] = {"group", "bytes_down", "bytes_up"};
    for (int i = 0; i < REPORT_USE_COLUMNS; i++)
        run->use_column[i] = -1;
    for (int column = 0; line < end; column++) {
        struct cell c = next_cell(&line, end);
        for (int i = 0; i < REPORT_USE_COLUMNS; i++)
            if (strlen(NAMES[i]) == c.n && memcmp(NAMES[i], c.at, c.n) == 0)
                run->use_column[i] = column;
    }
}

void report_use_line(struct report_run *run, struct arena *a, const char *line, const char *end,
                     double duration_s)
{
    struct report_group *g = NULL;
    double bytes[2] = {0};
    int last = -1;
    for (int i = 0; i < REPORT_USE_COLUMNS; i++)
        last = run->use_column[i] > last ? run->use_column[i] : last;
    for (int column = 0; column <= last && line < end; column++) {
        struct cell c = next_cell(&line, end);
        if (column == run->use_column[0])
            g = group_of(run, a, c);
        for (int dir = 0; dir < 2; dir++)
            if (column == run->use_column[1 + dir])
                bytes[dir] = strtod(c.at, NULL); /* a comma or the line's end follows */
    }
    if (!g)
        return;
    for (int dir = 0; dir < 2; dir++)
        g->bits[dir] += 8 * bytes[dir];
    g->round_s += duration_s;
}

/* --- against the rates --- */

static double rate_bps(struct json object, const char *key)
{
    double v = (double)NAN;
    const char *text = report_string(object, key);
    if (!*text || text_quantity(text, UNIT_RATE_BPS, 0, 1e300, &v, NULL))
        return (double)NAN;
    return v;
}

/* Payload that a rate stands for: rates count frames unless the scenario says otherwise. */
static double payload_share(struct json network)
{
    return strcmp(report_string(network, "rates"), "goodput") == 0 ? 1 : STARTUP_EFFICIENCY;
}

const struct report_group *report_find_group(const struct report_run *run, const char *name)
{
    for (size_t i = 0; i < run->n_groups; i++)
        if (strcmp(run->group[i].name, name) == 0)
            return &run->group[i];
    return NULL;
}

/* Whether the stated rate is not what each own link has at each moment. */
static bool is_varied(struct json network)
{
    return report_member(network, "draw").node || report_member(network, "trace").node ||
           report_member(network, "file").node;
}

/* Of links of this rate, `count` of them, over this time; NaN where no rate is stated. */
static void fill(struct report_use *u, struct json rates, double share, double count,
                 double seconds)
{
    for (int dir = 0; dir < 2; dir++) {
        double bps = rate_bps(rates, DIRECTIONS[dir]);
        u->rate_bps[dir] = bps;
        u->could_bits[dir] = bps * share * count * seconds;
    }
}

static void add_limits(struct report_uses *out, struct arena *a, struct json network,
                       const struct report_use *group, double virtual_s)
{
    struct json limits = report_member(network, "limits");
    for (size_t i = 0; limits.node && i < json_count(limits) && out->n < REPORT_MAX_USES; i++) {
        struct report_use u = *group;
        double bps = rate_bps(limits, json_key_at(limits, i));
        u.kind = REPORT_USE_LIMIT;
        u.what = arena_printf(a, "%s, shared", json_key_at(limits, i));
        for (int dir = 0; dir < 2; dir++) {
            u.rate_bps[dir] = bps;
            u.could_bits[dir] = bps * payload_share(network) * virtual_s;
        }
        out->use[out->n++] = u;
    }
}

static void add_group(struct report_uses *out, struct arena *a, const struct report_run *run,
                      struct json group, struct json common)
{
    struct json own = report_member(group, "network"), network = own.node ? own : common;
    struct json cell = report_member(network, "cell");
    const struct report_group *g = report_find_group(run, report_string(group, "name"));
    double virtual_s = report_total(run, "virtual_s");
    int64_t n_clients = 0, per_cell = 0;
    const int64_t none = 0;
    json_int(group, "count", 0, INT64_MAX, &none, &n_clients, NULL);
    struct report_use u = {.kind = REPORT_USE_OWN,
                           .group = report_string(group, "name"),
                           .what = arena_printf(a, "%lld own link%s", (long long)n_clients,
                                                n_clients == 1 ? "" : "s")};
    for (int dir = 0; g && dir < 2; dir++)
        u.bits[dir] = g->bits[dir];
    fill(&u, network, payload_share(network), 1, is_varied(network) ? (double)NAN : g ? g->round_s : 0);
    if (out->n < REPORT_MAX_USES)
        out->use[out->n++] = u;
    else
        out->n_left_out++;
    if (cell.node && json_is_object(cell) && out->n < REPORT_MAX_USES) {
        json_int(cell, "clients", 1, INT64_MAX, NULL, &per_cell, NULL);
        int64_t n_cells = per_cell > 0 ? (n_clients + per_cell - 1) / per_cell : 0;
        u.kind = REPORT_USE_AIR;
        u.what = arena_printf(a, "air of %lld cell%s", (long long)n_cells, n_cells == 1 ? "" : "s");
        fill(&u, cell, payload_share(network), (double)n_cells, virtual_s);
        out->use[out->n++] = u;
    }
    add_limits(out, a, network, &u, virtual_s);
}

void report_find_uses(struct report_uses *out, struct arena *a, const struct report_run *run)
{
    struct json root = json_root(run->scenario), common = report_member(root, "network");
    struct json groups = report_member(report_member(root, "clients"), "groups");
    struct json server = report_member(common, "server");
    *out = (struct report_uses){0};
    for (size_t i = 0; groups.node && json_is_array(groups) && i < json_count(groups); i++)
        add_group(out, a, run, json_at(groups, i), common);
    if (!server.node || !json_is_object(server) || out->n == REPORT_MAX_USES)
        return;
    struct report_use u = {.kind = REPORT_USE_SERVER, .group = "", .what = "the server's link"};
    u.bits[0] = 8 * report_total(run, "bytes_down");
    u.bits[1] = 8 * report_total(run, "bytes_up");
    fill(&u, server, payload_share(common), 1, report_total(run, "virtual_s"));
    out->use[out->n++] = u;
}

/* --- the table --- */

static void put_use(struct html *h, const struct report_use *u)
{
    html_raw(h, "<tr><td>");
    html_text(h, u->group);
    html_raw(h, "</td><td class=text>");
    html_text(h, u->what);
    for (int dir = 0; dir < 2; dir++) {
        char rate[32] = "-", percent[40], exact[32];
        double use = 100 * u->bits[dir] / u->could_bits[dir];
        if (isfinite(u->rate_bps[dir]))
            text_format(rate, sizeof(rate), u->rate_bps[dir], UNIT_RATE_BPS);
        html_raw(h, "</td><td>");
        html_text(h, rate);
        html_raw(h, "</td><td>");
        if (!isfinite(use)) {
            html_raw(h, "-");
            continue;
        }
        text_shortest(exact, use);
        html_digits(percent, use);
        html_number(h, exact, percent, "");
    }
    html_raw(h, "</td></tr>");
}

void report_use_table(struct html *h, const struct report *r, size_t k)
{
    struct arena scratch = {0};
    struct report_uses uses;
    report_find_uses(&uses, &scratch, &r->run[k]);
    if (uses.n == 0)
        goto done;
    html_put(h, "<details%s><summary>", r->n_runs <= 3 ? " open" : "");
    report_chip(h, r, k);
    html_raw(
        h, ": how far links were used</summary><div class=scroll><table class=uses><thead><tr>"
           "<th>group<th class=text>link<th>rate down<th>used <small>%</small><th>rate up<th>used "
           "<small>%</small></thead><tbody>");
    for (size_t i = 0; i < uses.n; i++)
        put_use(h, &uses.use[i]);
    html_raw(h,
             "</tbody></table></div><p class=note>Own links: while their clients take part, from "
             "the start of a round to its end; not told where their rates differ or change. What is shared: over "
             "the whole run.");
    if (uses.n_left_out)
        html_put(h, " %zu more groups are left out.", uses.n_left_out);
    html_raw(h, "</p></details>");
done:
    arena_free(&scratch);
}
