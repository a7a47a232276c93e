#include "net/sites.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net/table.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/text.h"

#define DEFAULT_SERVER "server"

void sites_defaults(struct topology_spec *s)
{
    s->rate_bps[NET_DOWN] = s->rate_bps[NET_UP] = 0; /* as fast as the route */
}

bool sites_push_step(struct element_step *steps, size_t *n, struct element_step step)
{
    if (*n > 0 && steps[*n - 1].kind == step.kind &&
        steps[*n - 1].count + step.count <= ELEMENT_MAX_COUNT) {
        steps[*n - 1].count += step.count;
        return true;
    }
    if (*n == ELEMENT_MAX_STEPS)
        return false;
    steps[(*n)++] = step;
    return true;
}

/* What a client's own link gives: as stated, or as the narrowest of its route. */
static double own_rate(const struct topology_spec *s, const struct site *at, int dir)
{
    double bps = s->rate_bps[dir] > 0 ? s->rate_bps[dir] : (double)INFINITY;
    for (size_t i = 0; i < at->n_links[dir] && !(s->rate_bps[dir] > 0); i++)
        bps = fmin(bps, s->sites->link[at->link[dir][i]].rate_bps);
    return fmin(bps, at->flow_bps[dir]);
}

/* --- reading --- */

static int find(const struct sites *net, const char *name)
{
    for (size_t i = 0; i < net->n_sites; i++)
        if (strcmp(net->site[i].name, name) == 0)
            return (int)i;
    return -1;
}

static enum err_code unknown_site(struct json value, const struct sites *net, const char *name,
                                  struct arena *a, struct err *e)
{
    const char **names = ARENA_NEW(a, const char *, net->n_sites);
    for (size_t i = 0; i < net->n_sites; i++)
        names[i] = net->site[i].name;
    const char *near = text_nearest(name, names, net->n_sites);
    return json_fail(value, NULL, e, "%s has no \"%.60s\"%s%s%s", net->path, name,
                     near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* "lab*3": a site that is reached and, after the last star, a weight. */
static enum err_code parse_one(struct json value, const struct sites *net, struct site_at *out,
                               struct arena *a, struct err *e)
{
    const char *text;
    enum err_code code = json_string(value, NULL, NULL, &text, e);
    if (code)
        return code;
    int64_t weight = 1;
    int site = find(net, text);
    const char *star = strrchr(text, '*');
    if (site < 0 && star) {
        struct err why = {0};
        if (text_int(star + 1, 1, SITES_MAX_WEIGHT, &weight, &why))
            return json_fail(value, NULL, e, "\"%.60s\": weight: %s", text, why.text);
        text = arena_printf(a, "%.*s", (int)(star - text), text);
        site = find(net, text);
    }
    if (site < 0)
        return unknown_site(value, net, text, a, e);
    if (!net->site[site].is_reached)
        return json_fail(value, NULL, e, "%s: no route from \"%s\" to \"%s\"", net->path, text,
                         net->server);
    *out = (struct site_at){(size_t)site, (int)weight};
    return OK;
}

static enum err_code parse_at(struct json network, struct topology_spec *s, struct arena *a,
                              struct err *e)
{
    struct json list;
    enum err_code code = json_array_opt(network, "at", &list, e);
    if (code)
        return code;
    const struct sites *net = s->sites;
    size_t n = list.node ? json_count(list) : 0;
    if (list.node && (n < 1 || n > SITES_MAX))
        return json_fail(network, "at", e, "expected 1..%d sites, got %zu", SITES_MAX, n);
    struct site_at *at = ARENA_NEW(a, struct site_at, n > net->n_sites ? n : net->n_sites);
    for (size_t i = 0; i < n && !code; i++)
        code = parse_one(json_at(list, i), net, &at[i], a, e);
    for (size_t i = 0; i < net->n_sites && !list.node && !code; i++) {
        if (net->site[i].is_default && !net->site[i].is_reached)
            code = json_fail(network, "at", e,
                             "expected the sites of the clients: %s has no route from \"%s\" to "
                             "\"%s\"",
                             net->path, net->site[i].name, net->server);
        else if (net->site[i].is_default)
            at[n++] = (struct site_at){i, 1};
    }
    if (!code && n == 0)
        code = json_fail(network, "at", e,
                         "expected the sites of the clients, got none and %s has "
                         "no site that is one by itself",
                         net->path);
    s->at = at;
    s->n_at = n;
    return code;
}

/* What can only be said of a client's own link and its route together. */
static enum err_code check_at(struct json network, const struct topology_spec *s, struct err *e)
{
    for (size_t i = 0; i < s->n_at; i++) {
        const struct site *at = &s->sites->site[s->at[i].site];
        struct element_step steps[ELEMENT_MAX_STEPS];
        size_t n_steps = s->n_steps;
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            if (isinf(own_rate(s, at, dir)))
                return json_fail(
                    network, net_dir_name((enum net_dir)dir), e,
                    "expected the rate of a client's own link: no link of the route from "
                    "\"%s\" to \"%s\" limits it",
                    at->name, s->sites->server);
        memcpy(steps, s->step, s->n_steps * sizeof(*steps));
        for (size_t k = 0; k < at->n_steps; k++)
            if (!sites_push_step(steps, &n_steps, at->step[k]))
                return json_fail(network, "path", e,
                                 "expected at most %d kinds of element with the route from \"%s\"",
                                 ELEMENT_MAX_STEPS, at->name);
    }
    return OK;
}

enum err_code sites_parse(struct json network, struct topology_spec *s, sites_load *load,
                          struct arena *a, struct err *e)
{
    const char *file, *server, *fallback = DEFAULT_SERVER;
    struct err why = {0};
    enum err_code code = json_string(network, "file", NULL, &file, e);
    if (!code)
        code = json_string(network, "server_at", &fallback, &server, e);
    if (code)
        return code;
    if (s->draw)
        return json_fail(network, "draw", e, "does not go with topology %s", s->topology->name);
    code =
        load(&s->sites, table_file_of(network, "file", file, a), arena_strdup(a, server), a, &why);
    if (code == ERR_INPUT || code == ERR_LIMIT)
        return json_fail(network, "file", e, "%s", why.text);
    if (code)
        return err_set(e, code, "%s", why.text);
    code = parse_at(network, s, a, e);
    return code ? code : check_at(network, s, e);
}

void sites_write(struct json_out *o, const struct topology_spec *s)
{
    char *absolute = file_absolute(s->sites->path);
    json_out_string(o, "file", absolute);
    mem_free(absolute);
    json_out_string(o, "server_at", s->sites->server);
    json_out_begin_inline(o, "at", '[');
    for (size_t i = 0; i < s->n_at; i++) {
        struct arena a = {0};
        const char *name = s->sites->site[s->at[i].site].name;
        json_out_string(o, NULL,
                        s->at[i].weight == 1 ? name
                                             : arena_printf(&a, "%s*%d", name, s->at[i].weight));
        arena_free(&a);
    }
    json_out_end(o, ']');
}

/* --- building --- */

bool sites_are_same(const struct topology_spec *a, const struct topology_spec *b)
{
    return a->sites && b->sites && a->topology == b->topology &&
           strcmp(a->sites->path, b->sites->path) == 0 &&
           strcmp(a->sites->server, b->sites->server) == 0;
}

const size_t *sites_add_links(const struct sites *net, double efficiency, struct plan *p)
{
    size_t *index = ARENA_NEW(&p->arena, size_t, net->n_links);
    for (size_t i = 0; i < net->n_links; i++) {
        double bps = efficiency * net->link[i].rate_bps;
        index[i] = plan_add_link(p, net->link[i].name, NET_DOWN, bps, bps, 1);
        p->link[index[i]].is_two_way = true;
    }
    return index;
}

/* The next n_clients of the group, all at one site. */
static enum err_code add_site(const struct topology_group *g, const struct site *at,
                              size_t n_clients, const struct topology_trunk *trunk, struct plan *p,
                              struct err *e)
{
    struct topology_spec s = *g->spec;
    struct topology_trunk t = {.rates = {trunk->rates[NET_DOWN], trunk->rates[NET_UP]}};
    const char *name = arena_printf(&p->arena, "%s: %s", g->name, at->name);
    s.rtt_s += at->rtt_s;
    for (size_t i = 0; i < at->n_steps; i++)
        CHECK(sites_push_step(s.step, &s.n_steps, at->step[i]));
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        s.rate_bps[dir] = own_rate(g->spec, at, dir);
        CHECK(isfinite(s.rate_bps[dir]));
        if (t.rates[dir])
            t.rates[dir] = rates_scaled(t.rates[dir], 1, PLAN_MIN_BPS,
                                        topology_goodput_bps(&s, s.rate_bps[dir]), &p->arena);
        for (size_t i = 0; i < at->n_links[dir]; i++)
            t.link[dir][t.n[dir]++] = trunk->site_link[at->link[dir][i]];
        for (size_t i = 0; i < trunk->n[dir]; i++)
            t.link[dir][t.n[dir]++] = trunk->link[dir][i];
    }
    struct topology_group one = {name, &s, n_clients};
    one.name = g->name;
    return topology_add_class(&one, name, n_clients, NULL, &t, p, e);
}

enum err_code sites_build(const struct topology_group *g, const struct topology_trunk *trunk,
                          struct plan *p, struct err *e)
{
    const struct topology_spec *s = g->spec;
    CHECK(trunk->site_link);
    enum err_code code = OK;
    double sum = 0, so_far = 0;
    for (size_t i = 0; i < s->n_at; i++)
        sum += s->at[i].weight;
    size_t first = 0;
    for (size_t i = 0; i < s->n_at && !code; i++) {
        so_far += s->at[i].weight;
        size_t end = i + 1 == s->n_at ? g->n_clients
                                      : (size_t)floor((double)g->n_clients * so_far / sum + 0.5);
        if (end > first)
            code = add_site(g, &s->sites->site[s->at[i].site], end - first, trunk, p, e);
        first = end;
    }
    return code;
}
