/* Topology "platform": a SimGrid platform XML (version 4.1) of the user's own.
 *
 * Hosts, links, zones and routes are SimGrid's (net/sg_xml.h); clients attach at its hosts, by
 * default at all but the server, in the order of their names ("n9" before "n10"). A route's latency
 * is the sum of its links', there and back. Links share max-min fairly: SHARED ones among all flows
 * of both directions, the two halves of a SPLITDUPLEX link each for itself; a FATPIPE gives every
 * flow all of it. WIFI links and profiles are refused. What is charged J/bit says <prop
 * id="element" value="switch, core_router*2"/> on hosts and links; routers take none. Speeds of
 * hosts are not looked at: clients have their devices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/sg_xml.h"
#include "net/sites.h"
#include "net/xml_text.h"
#include "sim/base/file.h"
#include "sim/base/text.h"

#define MIN_RATE_BPS 1e3 /* of a link, as of every rate */
#define MAX_RATE_BPS 1e13
enum { MAX_WORDS = SITES_MAX_ROUTE + 4 };

/* A link or a host as SimGrid has it. */
struct thing {
    const char *name;
    size_t n_steps;
    struct element_step step[ELEMENT_MAX_STEPS];
    /* links only */
    double rate_bps;
    bool is_fatpipe;
    size_t index; /* into sites.link */
};

struct reader {
    struct arena *a;
    const char *path;
    struct xml_text xml;
    size_t n_links, n_hosts, n_shared;
    struct thing *link, *host;
    struct site_link *shared;
    struct site *site;
};

static enum err_code fail_at(const struct reader *r, const char *name, struct err *e,
                             const char *message)
{
    return xml_text_fail(&r->xml, name, 1, e, message);
}

/* --- what SimGrid says --- */

/* "switch, core_router*2" of a host or link. */
static enum err_code parse_element(const struct reader *r, struct thing *t, const char *text,
                                   struct err *e)
{
    char *copy = arena_strdup(r->a, text), *state = NULL;
    for (char *word = strtok_r(copy, ", ", &state); word; word = strtok_r(NULL, ", ", &state)) {
        struct element_step step = {0};
        struct err why = {0};
        if (topology_step_of(word, &step, &why))
            return fail_at(r, t->name, e,
                           arena_printf(r->a, "property element of \"%s\": %s", t->name, why.text));
        if (!sites_push_step(t->step, &t->n_steps, step))
            return fail_at(r, t->name, e, "expected fewer elements");
    }
    return OK;
}

/* link NAME RATE POLICY ELEMENT */
static enum err_code parse_link(struct reader *r, char *const *word, struct err *e)
{
    struct thing *t = &r->link[r->n_links++];
    *t = (struct thing){.name = arena_strdup(r->a, word[1]), .rate_bps = strtod(word[2], NULL)};
    if (strcmp(word[3], "wifi") == 0)
        return fail_at(r, t->name, e,
                       arena_printf(r->a,
                                    "link \"%s\": expected sharing policy SHARED, SPLITDUPLEX "
                                    "or FATPIPE, got WIFI",
                                    t->name));
    if (!(t->rate_bps >= MIN_RATE_BPS && t->rate_bps <= MAX_RATE_BPS))
        return fail_at(r, t->name, e,
                       arena_printf(r->a,
                                    "link \"%s\": expected a bandwidth of 1kbps..10Tbps, got "
                                    "%g bit/s",
                                    t->name, t->rate_bps));
    t->is_fatpipe = strcmp(word[3], "fatpipe") == 0;
    t->index = r->n_shared;
    if (!t->is_fatpipe)
        r->shared[r->n_shared++] = (struct site_link){t->name, t->rate_bps};
    return parse_element(r, t, word[4], e);
}

static enum err_code parse_host(struct reader *r, char *const *word, struct err *e)
{
    struct thing *t = &r->host[r->n_hosts];
    *t = (struct thing){.name = arena_strdup(r->a, word[1])};
    r->site[r->n_hosts] = (struct site){.name = t->name,
                                        .is_default = r->n_hosts > 0,
                                        .is_reached = r->n_hosts == 0,
                                        .flow_bps = {(double)INFINITY, (double)INFINITY}};
    r->n_hosts++;
    if (strchr(t->name, '*'))
        return fail_at(r, t->name, e, "expected host names without a star");
    return parse_element(r, t, word[2], e);
}

/* Elements from the host to the server: its own, the links', the server's; up: as the links lie. */
static bool route_steps(const struct reader *r, size_t host, size_t n, const size_t *link,
                        bool is_up, struct element_step *steps, size_t *n_steps)
{
    bool fits = true;
    *n_steps = 0;
    for (size_t i = 0; i < r->host[host].n_steps; i++)
        fits = sites_push_step(steps, n_steps, r->host[host].step[i]) && fits;
    for (size_t i = 0; i < n; i++) {
        const struct thing *t = &r->link[link[is_up ? i : n - 1 - i]];
        for (size_t k = 0; k < t->n_steps; k++)
            fits = sites_push_step(steps, n_steps, t->step[k]) && fits;
    }
    for (size_t i = 0; i < r->host[0].n_steps; i++)
        fits = sites_push_step(steps, n_steps, r->host[0].step[i]) && fits;
    return fits;
}

static enum err_code set_steps(const struct reader *r, size_t host, size_t n, const size_t *link,
                               bool is_up, struct err *e)
{
    struct site *s = &r->site[host];
    struct element_step steps[ELEMENT_MAX_STEPS];
    size_t n_steps;
    if (!route_steps(r, host, n, link, is_up, steps, &n_steps))
        return fail_at(r, s->name, e,
                       arena_printf(r->a, "\"%s\": expected a route of at most %d kinds of element",
                                    s->name, ELEMENT_MAX_STEPS));
    if (is_up) { /* both ways are charged for the same elements */
        struct element_path down = {s->n_steps, s->step}, up = {n_steps, steps};
        for (int kind = 0; kind < N_ELEMENT_KINDS; kind++)
            if (element_count_on(&down, (enum element_kind)kind) !=
                element_count_on(&up, (enum element_kind)kind))
                return fail_at(r, s->name, e,
                               arena_printf(r->a,
                                            "\"%s\": expected the same elements on both ways, "
                                            "got %d %s down and %d up",
                                            s->name,
                                            element_count_on(&down, (enum element_kind)kind),
                                            element_name((enum element_kind)kind),
                                            element_count_on(&up, (enum element_kind)kind)));
    }
    struct element_step *kept = ARENA_NEW(r->a, struct element_step, n_steps);
    if (n_steps > 0)
        memcpy(kept, steps, n_steps * sizeof(*kept));
    s->step = kept;
    s->n_steps = n_steps;
    return OK;
}

/* route DIRECTION LATENCY LINK ...: of the last host. */
static enum err_code parse_route(struct reader *r, size_t n_words, char *const *word, struct err *e)
{
    struct site *s = &r->site[r->n_hosts - 1];
    bool is_up = strcmp(word[1], "up") == 0;
    enum net_dir dir = is_up ? NET_UP : NET_DOWN;
    size_t n = n_words - 3, *all = ARENA_NEW(r->a, size_t, n), *kept = ARENA_NEW(r->a, size_t, n);
    if (n == 0) {
        s->is_reached = false;
        return OK;
    }
    for (size_t i = 0; i < n; i++) {
        all[i] = (size_t)strtoull(word[3 + i], NULL, 10);
        for (size_t k = 0; k < i; k++)
            if (all[k] == all[i])
                return fail_at(r, s->name, e,
                               arena_printf(r->a, "\"%s\": its route crosses link \"%s\" twice",
                                            s->name, r->link[all[i]].name));
        const struct thing *t = &r->link[all[i]];
        if (t->is_fatpipe)
            s->flow_bps[dir] = fmin(s->flow_bps[dir], t->rate_bps);
        else
            kept[s->n_links[dir]++] = t->index;
    }
    s->link[dir] = kept;
    s->rtt_s += strtod(word[2], NULL);
    s->is_reached = is_up ? s->is_reached : true;
    return set_steps(r, r->n_hosts - 1, n, all, is_up, e);
}

/* The lines of net/sg_xml.h. */
static enum err_code parse_lines(struct reader *r, char *text, struct err *e)
{
    size_t n_links = 0, n_hosts = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++) {
        n_links += strncmp(p + 1, "link\t", 5) == 0;
        n_hosts += strncmp(p + 1, "host\t", 5) == 0;
    }
    if (n_hosts > SITES_MAX)
        return err_set(e, ERR_LIMIT, "%s: expected at most %d hosts, got %zu", r->path, SITES_MAX,
                       n_hosts);
    r->link = ARENA_NEW(r->a, struct thing, n_links);
    r->shared = ARENA_NEW(r->a, struct site_link, n_links);
    r->host = ARENA_NEW(r->a, struct thing, n_hosts);
    r->site = ARENA_NEW(r->a, struct site, n_hosts);
    char *state = NULL;
    enum err_code code = OK;
    for (char *line = strtok_r(text, "\n", &state); line && !code;
         line = strtok_r(NULL, "\n", &state)) {
        char *word[MAX_WORDS];
        size_t n = 0;
        for (char *tab; (tab = strchr(line, '\t')) && n < MAX_WORDS; line = tab + 1) {
            *tab = 0;
            word[n++] = line;
        }
        if (n == MAX_WORDS)
            return fail_at(r, r->host[r->n_hosts - 1].name, e,
                           arena_printf(r->a, "\"%s\": expected a route of at most %d links",
                                        r->host[r->n_hosts - 1].name, SITES_MAX_ROUTE));
        if (n >= 5 && strcmp(word[0], "link") == 0)
            code = parse_link(r, word, e);
        else if (n >= 3 && strcmp(word[0], "host") == 0)
            code = parse_host(r, word, e);
        else if (n >= 3 && strcmp(word[0], "route") == 0)
            code = parse_route(r, n, word, e);
    }
    return code;
}

static enum err_code platform_load(const struct sites **out, const char *path, const char *server,
                                   struct arena *a, struct err *e)
{
    struct file xml = {0};
    struct reader r = {.a = a, .path = path};
    struct err why = {0};
    char *text = NULL;
    enum err_code code = file_map(&xml, path, e);
    if (code)
        return code;
    xml_text_init(&r.xml, path, &xml);
    code = xml_text_check(&r.xml, e);
    if (!code && (code = sg_xml_read(&text, path, server, &why)))
        code == ERR_INPUT ? xml_text_fail_as_simgrid(&r.xml, why.text, e)
                          : err_set(e, code, "%s", why.text);
    if (!code)
        code = parse_lines(&r, text, e);
    if (!code && r.n_hosts < 2)
        code = err_set(e, ERR_INPUT, "%s: expected a host for clients, got the server alone", path);
    mem_free(text);
    file_unmap(&xml);
    if (code)
        return code;
    struct sites *net = ARENA_NEW(a, struct sites, 1);
    *net = (struct sites){.path = path,
                          .server = server,
                          .n_links = r.n_shared,
                          .link = r.shared,
                          .n_sites = r.n_hosts,
                          .site = r.site};
    *out = net;
    return OK;
}

static enum err_code platform_parse(struct json network, struct topology_spec *s, struct arena *a,
                                    struct err *e)
{
    return sites_parse(network, s, platform_load, a, e);
}

const struct topology TOPOLOGY_PLATFORM = {
    .name = "platform",
    .what = "a SimGrid platform XML of your own",
    .defaults = sites_defaults,
    .parse = platform_parse,
    .write = sites_write,
    .build = sites_build,
};
