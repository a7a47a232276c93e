#include "net/topology.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/prune.h"
#include "net/sites.h"
#include "net/startup.h"
#include "sim/base/check.h"

static const struct topology *const TOPOLOGIES[] = {
    &TOPOLOGY_LTE,   &TOPOLOGY_WIRED, &TOPOLOGY_LTE_MEASURED, &TOPOLOGY_5G,      &TOPOLOGY_ADSL,
    &TOPOLOGY_CABLE, &TOPOLOGY_FIBRE, &TOPOLOGY_GRAPH,        &TOPOLOGY_PLATFORM};
enum { N_TOPOLOGIES = sizeof(TOPOLOGIES) / sizeof(TOPOLOGIES[0]) };

/* What a scenario may ask for. */
#define MIN_RATE_BPS 1e3
#define MAX_RATE_BPS 1e13
#define MAX_RTT_S 60.0

size_t topology_count(void)
{
    return N_TOPOLOGIES;
}

const struct topology *topology_at(size_t i)
{
    CHECK(i < N_TOPOLOGIES);
    return TOPOLOGIES[i];
}

const struct topology *topology_find(const char *name)
{
    for (size_t i = 0; i < N_TOPOLOGIES; i++)
        if (strcmp(TOPOLOGIES[i]->name, name) == 0)
            return TOPOLOGIES[i];
    return NULL;
}

void topology_spec_init(struct topology_spec *s, const struct topology *t)
{
    *s = (struct topology_spec){.topology = t};
    t->defaults(s);
}

void topology_root_init(struct topology_root *r)
{
    *r = (struct topology_root){.is_pruned = true};
    topology_spec_init(&r->access, &TOPOLOGY_LTE);
}

void topology_add_step(struct topology_spec *s, enum element_kind kind, int count)
{
    CHECK(s->n_steps < ELEMENT_MAX_STEPS && count >= 1 && count <= ELEMENT_MAX_COUNT);
    s->step[s->n_steps++] = (struct element_step){kind, count};
}

double topology_goodput_bps(const struct topology_spec *s, double rate_bps)
{
    return s->is_goodput ? rate_bps : rate_bps * STARTUP_EFFICIENCY;
}

/* --- reading --- */

enum err_code topology_parse_rate(struct json object, const char *key, bool is_required,
                                  double *rate_bps, struct err *e)
{
    double fallback = *rate_bps;
    return json_quantity(object, key, UNIT_RATE_BPS, MIN_RATE_BPS, MAX_RATE_BPS,
                         is_required ? NULL : &fallback, rate_bps, e);
}

enum err_code topology_step_of(const char *text, struct element_step *out, struct err *e)
{
    const char *star = strchr(text, '*');
    size_t n = star ? (size_t)(star - text) : strlen(text);
    int64_t count = 1;
    struct err why = {0};
    if (star && text_int(star + 1, 1, ELEMENT_MAX_COUNT, &count, &why))
        return err_set(e, ERR_INPUT, "\"%s\": count: %s", text, why.text);
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), text);
    for (int kind = 0; kind < N_ELEMENT_KINDS; kind++)
        if (strcmp(name, element_name((enum element_kind)kind)) == 0) {
            *out = (struct element_step){(enum element_kind)kind, (int)count};
            return OK;
        }
    const char *near = text_nearest(name, element_names(), N_ELEMENT_KINDS);
    return err_set(e, ERR_INPUT, "unknown element \"%s\"%s%s%s", name,
                   near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

enum err_code topology_parse_step(struct json value, struct element_step *out, struct err *e)
{
    const char *text;
    struct err why = {0};
    enum err_code code = json_string(value, NULL, NULL, &text, e);
    if (!code && topology_step_of(text, out, &why))
        code = json_fail(value, NULL, e, "%s", why.text);
    return code;
}

static enum err_code parse_path(struct json network, struct topology_spec *s, struct err *e)
{
    struct json path;
    enum err_code code = json_array_opt(network, "path", &path, e);
    if (code || !path.node)
        return code;
    size_t n = json_count(path);
    if (n < 1 || n > ELEMENT_MAX_STEPS)
        return json_fail(network, "path", e, "expected 1..%d elements, got %zu", ELEMENT_MAX_STEPS,
                         n);
    s->n_steps = 0;
    for (size_t i = 0; i < n && !code; i++) {
        struct json value = json_at(path, i);
        struct element_step step = {0};
        code = topology_parse_step(value, &step, e);
        if (!code)
            topology_add_step(s, step.kind, step.count);
    }
    return code;
}

static bool is_on_path(const struct topology_spec *s, enum element_kind kind)
{
    for (size_t i = 0; i < s->n_steps; i++)
        if (s->step[i].kind == kind)
            return true;
    return false;
}

static enum err_code parse_limits(struct json network, struct topology_spec *s, struct err *e)
{
    struct json limits;
    enum err_code code = json_object_opt(network, "limits", &limits, e);
    if (code || !limits.node)
        return code;
    for (int kind = 0; kind < N_ELEMENT_KINDS && !code; kind++) {
        const char *name = element_name((enum element_kind)kind);
        code = topology_parse_rate(limits, name, false, &s->limit_bps[kind], e);
        if (!code && s->limit_bps[kind] > 0 && !is_on_path(s, (enum element_kind)kind))
            code = json_fail(limits, name, e, "no such element on the path");
    }
    return code ? code : json_finish(limits, e);
}

/* What makes rates change over time or from client to client, and the defaults of rates and latency
 * that follow from it. */
static enum err_code parse_changing(struct json network, struct topology_spec *s, struct arena *a,
                                    struct err *e)
{
    enum err_code code = trace_parse(network, &s->trace, a, e);
    if (code)
        return code;
    if (s->trace && (s->draw || json_has(network, "draw")))
        return json_fail(network, "trace", e, "expected a trace or a draw, got both");
    for (int dir = 0; dir < N_NET_DIRS && s->trace; dir++)
        if (s->trace->rates[dir]) /* the cap that does not cap */
            s->rate_bps[dir] = s->trace->rates[dir]->max_bps;
    code = draw_parse(network, &s->draw, a, e);
    if (code || !s->draw)
        return code;
    double value[N_DRAW_VALUES] = {s->rate_bps[NET_DOWN], s->rate_bps[NET_UP], s->rtt_s};
    draw_defaults(s->draw, value);
    s->rate_bps[NET_DOWN] = value[DRAW_DOWN];
    s->rate_bps[NET_UP] = value[DRAW_UP];
    s->rtt_s = value[DRAW_RTT];
    return OK;
}

/* Everything but json_finish. */
static enum err_code parse_access(struct json network, struct topology_spec *s, struct arena *a,
                                  struct err *e)
{
    const char *names[N_TOPOLOGIES];
    for (size_t i = 0; i < N_TOPOLOGIES; i++)
        names[i] = TOPOLOGIES[i]->name;
    size_t which = 0, rates = 0;
    static const char *const RATES[] = {"wire", "goodput"};
    enum err_code code =
        json_choice(network, "topology", names, N_TOPOLOGIES, &(size_t){0}, &which, e);
    if (code)
        return code;
    topology_spec_init(s, TOPOLOGIES[which]);
    code = parse_changing(network, s, a, e);
    if (!code)
        code = topology_parse_rate(network, "down", false, &s->rate_bps[NET_DOWN], e);
    if (!code)
        code = topology_parse_rate(network, "up", false, &s->rate_bps[NET_UP], e);
    double rtt_s = s->rtt_s;
    if (!code)
        code = json_quantity(network, "rtt", UNIT_TIME_S, 0, MAX_RTT_S, &rtt_s, &s->rtt_s, e);
    if (!code)
        code = json_choice(network, "rates", RATES, 2, &(size_t){s->is_goodput}, &rates, e);
    s->is_goodput = rates == 1;
    if (!code)
        code = parse_path(network, s, e);
    if (!code)
        code = parse_limits(network, s, e);
    if (!code && s->topology->parse)
        code = s->topology->parse(network, s, a, e);
    return code;
}

enum err_code topology_parse(struct json network, struct topology_spec *out, struct arena *a,
                             struct err *e)
{
    static const char *const COMMON[] = {"server", "prune", "solver"};
    for (size_t i = 0; i < sizeof(COMMON) / sizeof(COMMON[0]); i++)
        if (json_has(network, COMMON[i]))
            return json_fail(network, COMMON[i], e,
                             "belongs to the scenario's network, not to a group's");
    struct topology_spec s;
    enum err_code code = parse_access(network, &s, a, e);
    if (!code)
        code = json_finish(network, e);
    if (!code)
        *out = s;
    return code;
}

static enum err_code parse_server(struct json network, struct topology_root *r, struct arena *a,
                                  struct err *e)
{
    struct json server;
    enum err_code code = json_object_opt(network, "server", &server, e);
    if (code || !server.node)
        return code;
    code = topology_parse_rate(server, "down", false, &r->server_bps[NET_DOWN], e);
    if (!code)
        code = topology_parse_rate(server, "up", false, &r->server_bps[NET_UP], e);
    if (!code)
        code = background_parse(server, r->server_bps, &r->server_background, a, e);
    return code ? code : json_finish(server, e);
}

enum err_code topology_parse_root(struct json network, struct topology_root *out, struct arena *a,
                                  struct err *e)
{
    struct topology_root r;
    topology_root_init(&r);
    if (!network.node) {
        *out = r;
        return OK;
    }
    static const char *const SOLVERS[] = {"lazy", "full"};
    size_t solver = 0;
    enum err_code code = parse_access(network, &r.access, a, e);
    if (!code)
        code = parse_server(network, &r, a, e);
    if (!code)
        code = json_bool(network, "prune", &(bool){true}, &r.is_pruned, e);
    if (!code)
        code = json_choice(network, "solver", SOLVERS, 2, &(size_t){0}, &solver, e);
    r.is_full_solver = solver == 1;
    if (!code)
        code = json_finish(network, e);
    if (!code)
        *out = r;
    return code;
}

/* --- writing --- */

/* The number in the first unit in which it is at least 1 and reads back to the same double; the
 * last unit is the one the program keeps inside, which always does. */
static void write_exact(struct json_out *o, const char *key, double value, enum unit_kind kind,
                        size_t n_units, const char *const *units, const double *factors)
{
    char text[64];
    for (size_t i = 0; i < n_units; i++) {
        char digits[32];
        double back;
        text_shortest(digits, value / factors[i]);
        snprintf(text, sizeof(text), "%s%s", digits, units[i]);
        bool is_exact = text_quantity(text, kind, 0, HUGE_VAL, &back, NULL) == OK && back == value;
        if (is_exact && value >= factors[i])
            break;
    }
    json_out_string(o, key, text);
}

void topology_write_rate(struct json_out *o, const char *key, double rate_bps)
{
    static const char *const UNITS[] = {"Gbps", "Mbps", "kbps", "bps"};
    static const double FACTORS[] = {1e9, 1e6, 1e3, 1};
    write_exact(o, key, rate_bps, UNIT_RATE_BPS, 4, UNITS, FACTORS);
}

static void write_seconds(struct json_out *o, const char *key, double seconds)
{
    static const char *const UNITS[] = {"s", "ms", "us", "s"};
    static const double FACTORS[] = {1, 1e-3, 1e-6, 1};
    write_exact(o, key, seconds, UNIT_TIME_S, 4, UNITS, FACTORS);
}

static void write_access(struct json_out *o, const struct topology_spec *s)
{
    json_out_string(o, "topology", s->topology->name);
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        if (s->rate_bps[dir] > 0)
            topology_write_rate(o, net_dir_name((enum net_dir)dir), s->rate_bps[dir]);
    write_seconds(o, "rtt", s->rtt_s);
    if (s->n_steps > 0)
        json_out_begin_inline(o, "path", '[');
    for (size_t i = 0; i < s->n_steps; i++) {
        char text[64];
        if (s->step[i].count == 1)
            snprintf(text, sizeof(text), "%s", element_name(s->step[i].kind));
        else
            snprintf(text, sizeof(text), "%s*%d", element_name(s->step[i].kind), s->step[i].count);
        json_out_string(o, NULL, text);
    }
    if (s->n_steps > 0)
        json_out_end(o, ']');
    bool has_limits = false;
    for (int kind = 0; kind < N_ELEMENT_KINDS; kind++)
        has_limits = has_limits || s->limit_bps[kind] > 0;
    if (has_limits) {
        json_out_begin_inline(o, "limits", '{');
        for (int kind = 0; kind < N_ELEMENT_KINDS; kind++)
            if (s->limit_bps[kind] > 0)
                topology_write_rate(o, element_name((enum element_kind)kind), s->limit_bps[kind]);
        json_out_end(o, '}');
    }
    json_out_string(o, "rates", s->is_goodput ? "goodput" : "wire");
    draw_write(o, s->draw);
    trace_write(o, s->trace);
    if (s->topology->write)
        s->topology->write(o, s);
}

void topology_write(struct json_out *o, const char *key, const struct topology_spec *s)
{
    json_out_begin(o, key, '{');
    write_access(o, s);
    json_out_end(o, '}');
}

void topology_write_root(struct json_out *o, const char *key, const struct topology_root *r)
{
    json_out_begin(o, key, '{');
    write_access(o, &r->access);
    if (r->server_bps[NET_DOWN] > 0 || r->server_bps[NET_UP] > 0) {
        json_out_begin_inline(o, "server", '{');
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            if (r->server_bps[dir] > 0)
                topology_write_rate(o, net_dir_name((enum net_dir)dir), r->server_bps[dir]);
        background_write(o, &r->server_background);
        json_out_end(o, '}');
    }
    json_out_bool(o, "prune", r->is_pruned);
    json_out_string(o, "solver", r->is_full_solver ? "full" : "lazy");
    json_out_end(o, '}');
}

/* --- building --- */

/* Each of the next n_clients as a class of its own, with its own rates and latency. */
static enum err_code add_drawn(const struct topology_spec *s, struct plan_class *c,
                               size_t n_clients, struct plan *p, struct err *e)
{
    enum err_code code = OK;
    if (n_clients > DRAW_MAX_CLIENTS)
        return err_set(e, ERR_LIMIT, "%s: expected 1..%d clients with a draw, got %zu", c->name,
                       DRAW_MAX_CLIENTS, n_clients);
    c->n_clients = 1;
    for (size_t i = 0; i < n_clients && !code; i++) {
        double value[N_DRAW_VALUES] = {s->rate_bps[NET_DOWN], s->rate_bps[NET_UP], s->rtt_s};
        draw_client(s->draw, p->seed, p->n_clients, value);
        c->own_bps[NET_DOWN] = topology_goodput_bps(s, value[DRAW_DOWN]);
        c->own_bps[NET_UP] = topology_goodput_bps(s, value[DRAW_UP]);
        c->rtt_s = value[DRAW_RTT];
        code = plan_add_class(p, c, s->n_steps, s->step, e);
    }
    return code;
}

enum err_code topology_add_class(const struct topology_group *g, const char *name, size_t n_clients,
                                 const size_t *extra, const struct topology_trunk *trunk,
                                 struct plan *p, struct err *e)
{
    const struct topology_spec *s = g->spec;
    struct plan_class c = {
        .group = g->name, .name = name, .n_clients = n_clients, .rtt_s = s->rtt_s};
    size_t links[N_NET_DIRS][TOPOLOGY_MAX_LINKS + 1];
    if (s->trace) {
        c.is_start_drawn = s->trace->is_start_drawn;
        c.start_s = s->trace->start_s;
    }
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        c.rates[dir] = trunk->rates[dir];
        c.own_bps[dir] =
            c.rates[dir] ? c.rates[dir]->max_bps : topology_goodput_bps(s, s->rate_bps[dir]);
        if (extra)
            links[dir][c.n_links[dir]++] = extra[dir];
        for (size_t i = 0; i < trunk->n[dir]; i++)
            links[dir][c.n_links[dir]++] = trunk->link[dir][i];
        c.link[dir] = links[dir];
    }
    return s->draw ? add_drawn(s, &c, n_clients, p, e)
                   : plan_add_class(p, &c, s->n_steps, s->step, e);
}

/* The elements that all clients of the group share, from the client to the server. An LTE client's
 * own radio and an element nobody knows the capacity of have no link unless the scenario limits
 * them. */
static void add_trunk(const struct topology_group *g, const size_t *server, struct plan *p,
                      struct topology_trunk *trunk)
{
    const struct topology_spec *s = g->spec;
    *trunk = (struct topology_trunk){0};
    for (size_t i = 0; i < s->n_steps; i++) {
        enum element_kind kind = s->step[i].kind;
        double nominal_bps = element_capacity_bps(kind);
        double limit_bps = topology_goodput_bps(s, s->limit_bps[kind]);
        if (!(nominal_bps > 0) && !(limit_bps > 0))
            continue;
        for (int dir = 0; dir < N_NET_DIRS; dir++) {
            const char *name = arena_printf(&p->arena, "%s: %s %s", g->name, element_name(kind),
                                            net_dir_name((enum net_dir)dir));
            trunk->link[dir][trunk->n[dir]++] =
                limit_bps > 0 ? plan_add_link(p, name, (enum net_dir)dir, limit_bps, limit_bps,
                                              s->step[i].count)
                              : plan_add_link(p, name, (enum net_dir)dir, HUGE_VAL, nominal_bps,
                                              s->step[i].count);
        }
    }
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        if (s->trace && s->trace->rates[dir])
            trunk->rates[dir] =
                rates_scaled(s->trace->rates[dir], topology_goodput_bps(s, 1), PLAN_MIN_BPS,
                             topology_goodput_bps(s, s->rate_bps[dir]), &p->arena);
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        if (server[dir] != SIZE_MAX)
            trunk->link[dir][trunk->n[dir]++] = server[dir];
}

/* The links of group i's sites, those of an earlier group where it is the same network. */
static const size_t *add_sites(const struct topology_group *groups, size_t i,
                               const size_t *const *earlier, struct plan *p)
{
    const struct topology_spec *s = groups[i].spec;
    if (!s->sites)
        return NULL;
    for (size_t k = 0; k < i; k++)
        if (sites_are_same(groups[k].spec, s))
            return earlier[k];
    return sites_add_links(s->sites, topology_goodput_bps(s, 1), p);
}

enum err_code topology_plan(struct plan **out, const struct topology_root *root, size_t n_groups,
                            const struct topology_group *groups, size_t n_at_once, struct err *e)
{
    struct plan *p;
    plan_open(&p);
    p->is_pruned = root->is_pruned;
    p->is_full_solver = root->is_full_solver;
    p->n_at_once = n_at_once;
    p->seed = root->seed;
    size_t server[N_NET_DIRS] = {SIZE_MAX, SIZE_MAX};
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        if (root->server_bps[dir] > 0)
            server[dir] = background_add_link(p, dir == NET_DOWN ? "server down" : "server up",
                                              (enum net_dir)dir, root->server_bps[dir],
                                              topology_goodput_bps(&root->access, 1),
                                              &root->server_background);
    enum err_code code = OK;
    const size_t **site_links = ARENA_NEW(&p->arena, const size_t *, n_groups);
    for (size_t i = 0; i < n_groups && !code; i++) {
        struct topology_trunk trunk;
        add_trunk(&groups[i], server, p, &trunk);
        trunk.site_link = site_links[i] = add_sites(groups, i, site_links, p);
        code = groups[i].spec->topology->build(&groups[i], &trunk, p, e);
    }
    if (code) {
        plan_close(p);
        return code;
    }
    prune_mark(p);
    *out = p;
    return OK;
}
