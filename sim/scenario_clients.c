/* Section "clients": how many, in which groups, on which devices and networks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/text.h"
#include "sim/scenario_parts.h"

#define DEFAULT_CLIENTS 100
#define DEFAULT_DEVICE "agx-orin-64gb"
#define SHARE_TOLERANCE 1e-9

/* What a group says before the counts are known. */
struct claim {
    double share; /* 0: it states a count */
    double rest;  /* the part that rounding down took */
};

static enum err_code parse_device(struct json o, const struct device *fallback, struct device *out,
                                  struct err *e)
{
    if (json_has(o, "device"))
        return device_parse(o, "device", out, e);
    *out = *fallback;
    return OK;
}

static enum err_code parse_name(struct json o, const struct scenario *s, size_t i, struct arena *a,
                                const char **out, struct err *e)
{
    const char *name;
    enum err_code code = json_string(o, "name", NULL, &name, e);
    if (code)
        return code;
    if (!scenario_is_name(name))
        return json_fail(o, "name", e,
                         "expected 1..%d printable letters without \"/\", got \"%.80s\"",
                         SCENARIO_MAX_NAME, name);
    for (size_t k = 0; k < i; k++)
        if (strcmp(s->group[k].name, name) == 0)
            return json_fail(o, "name", e, "expected a name of its own, got \"%s\" twice", name);
    *out = arena_strdup(a, name);
    return OK;
}

/* Its share or its count, but the same of the two for all groups. */
static enum err_code parse_claim(struct json o, bool by_share, struct scenario_group *g,
                                 struct claim *claim, struct err *e)
{
    int64_t count = 0;
    enum err_code code;
    if (json_has(o, "share") && json_has(o, "count"))
        return json_fail(o, "count", e, "expected a share or a count, got both");
    if (by_share) {
        if (json_has(o, "count"))
            return json_fail(o, "count", e, "expected a share as in the first group, got a count");
        code = json_double(o, "share", 0, 1, NULL, &claim->share, e);
        if (!code && !(claim->share > 0))
            code = json_fail(o, "share", e, "expected more than 0, got 0");
    } else {
        if (json_has(o, "share"))
            return json_fail(o, "share", e, "expected a count as in the first group, got a share");
        code = json_int(o, "count", 1, SCENARIO_MAX_CLIENTS, NULL, &count, e);
    }
    g->count = (size_t)count;
    return code;
}

static enum err_code parse_group(struct json o, struct scenario *s, size_t i, bool by_share,
                                 const struct device *fallback, struct claim *claim, struct err *e)
{
    struct scenario_group *g = &s->group[i];
    struct json network;
    if (!json_is_object(o))
        return json_fail(o, NULL, e, "expected an object { \"name\": ... }");
    enum err_code code = parse_name(o, s, i, &s->arena, &g->name, e);
    if (!code)
        code = parse_claim(o, by_share, g, claim, e);
    if (!code)
        code = parse_device(o, fallback, &g->device, e);
    if (!code)
        code = json_object_opt(o, "network", &network, e);
    if (code)
        return code;
    g->has_network = network.node != NULL;
    g->access = s->network.access;
    if (g->has_network)
        code = topology_parse(network, &g->access, &s->arena, e);
    return code ? code : json_finish(o, e);
}

/* Whole counts from shares, by largest remainder; of equal remainders the earlier group's counts.
 */
static void deal_out(struct scenario *s, struct claim *claim)
{
    size_t dealt = 0;
    for (size_t i = 0; i < s->n_groups; i++) {
        double exact = claim[i].share * (double)s->n_clients;
        double whole = floor(exact + SHARE_TOLERANCE);
        s->group[i].count = (size_t)whole;
        claim[i].rest = exact - whole;
        dealt += s->group[i].count;
    }
    for (; dealt < s->n_clients; dealt++) {
        size_t best = 0;
        for (size_t i = 1; i < s->n_groups; i++)
            if (claim[i].rest > claim[best].rest + SHARE_TOLERANCE)
                best = i;
        s->group[best].count++;
        claim[best].rest -= 1;
    }
}

static enum err_code settle_counts(struct json clients, struct json groups, bool by_share,
                                   struct scenario *s, struct claim *claim, struct err *e)
{
    if (by_share) {
        double sum = 0;
        for (size_t i = 0; i < s->n_groups; i++)
            sum += claim[i].share;
        if (fabs(sum - 1) > SHARE_TOLERANCE)
            return json_fail(clients, "groups", e, "expected shares that add up to 1, got %.10g",
                             sum);
        deal_out(s, claim);
    } else {
        size_t sum = 0;
        for (size_t i = 0; i < s->n_groups; i++)
            sum += s->group[i].count;
        if (json_has(clients, "count") && sum != s->n_clients)
            return json_fail(clients, "count", e,
                             "expected the sum of the groups' counts, %zu, got %zu", sum,
                             s->n_clients);
        if (sum > SCENARIO_MAX_CLIENTS)
            return json_fail(clients, "groups", e, "expected at most %d clients, got %zu",
                             SCENARIO_MAX_CLIENTS, sum);
        s->n_clients = sum;
    }
    for (size_t i = 0, first = 0; i < s->n_groups; i++) {
        if (s->group[i].count == 0)
            return json_fail(json_at(groups, i), "share", e,
                             "expected a share of at least one of %zu clients", s->n_clients);
        s->group[i].first = first;
        first += s->group[i].count;
    }
    return OK;
}

static void make_only_group(struct scenario *s, const struct device *device)
{
    s->n_groups = 1;
    s->group = ARENA_NEW(&s->arena, struct scenario_group, 1);
    s->group[0] = (struct scenario_group){
        .name = "clients", .count = s->n_clients, .device = *device, .access = s->network.access};
}

static enum err_code parse_groups(struct json clients, struct json groups, struct scenario *s,
                                  const struct device *fallback, struct err *e)
{
    struct claim claim[SCENARIO_MAX_GROUPS] = {{0}};
    enum err_code code = OK;
    s->n_groups = json_count(groups);
    if (s->n_groups < 1 || s->n_groups > SCENARIO_MAX_GROUPS)
        return json_fail(clients, "groups", e, "expected 1..%d groups, got %zu",
                         SCENARIO_MAX_GROUPS, s->n_groups);
    s->group = ARENA_NEW(&s->arena, struct scenario_group, s->n_groups);
    bool by_share = !json_has(json_at(groups, 0), "count");
    for (size_t i = 0; i < s->n_groups && !code; i++)
        code = parse_group(json_at(groups, i), s, i, by_share, fallback, &claim[i], e);
    return code ? code : settle_counts(clients, groups, by_share, s, claim, e);
}

enum err_code scenario_parse_clients(struct json root, struct scenario *s, struct err *e)
{
    const int64_t default_count = DEFAULT_CLIENTS;
    const struct device *orin = device_find(DEFAULT_DEVICE);
    struct device device;
    struct json o, groups;
    int64_t count = 0;
    CHECK(orin);
    enum err_code code = json_object_opt(root, "clients", &o, e);
    if (!code)
        code = json_int(o, "count", 1, SCENARIO_MAX_CLIENTS, &default_count, &count, e);
    if (!code)
        code = parse_device(o, orin, &device, e);
    if (!code)
        code = json_array_opt(o, "groups", &groups, e);
    if (code)
        return code;
    s->n_clients = (size_t)count;
    if (groups.node)
        code = parse_groups(o, groups, s, &device, e);
    else
        make_only_group(s, &device);
    for (size_t i = 0; i < s->n_groups && !code; i++)
        if (s->group[i].access.draw && s->group[i].count > DRAW_MAX_CLIENTS)
            code = json_fail(o, "count", e,
                             "expected at most %d clients in a group with a draw, got %zu",
                             DRAW_MAX_CLIENTS, s->group[i].count);
    return code ? code : json_finish(o, e);
}
