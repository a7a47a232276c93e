#include "sim/capacity_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net/element.h"
#include "sim/base/text.h"

#define MORE 1.1

struct list {
    struct arena *a;
    struct capacity_part *part;
    size_t n;
};

/* Room for all parts: 5 rates and a latency and the limits of each network, a device of each group.
 */
static size_t most_parts(const struct scenario *s)
{
    return (s->n_groups + 1) * (N_ELEMENT_KINDS + 6) + s->n_groups + 3;
}

static const char *shortest(struct arena *a, double v)
{
    char number[32];
    text_shortest(number, v);
    return arena_strdup(a, number);
}

static struct capacity_part *add(struct list *l, const char *name, const char *now, size_t max_sets)
{
    struct capacity_part *p = &l->part[l->n++];
    *p = (struct capacity_part){
        .name = name, .now = now, .sets = ARENA_NEW(l->a, const char *, max_sets)};
    return p;
}

static void add_rate(struct list *l, const char *network, const char *key, double bps)
{
    char now[32];
    if (bps <= 0 || !isfinite(bps))
        return;
    const char *name = arena_printf(l->a, "%s.%s", network, key);
    text_format(now, sizeof(now), bps, UNIT_RATE_BPS);
    struct capacity_part *p = add(l, name, arena_strdup(l->a, now), 1);
    p->sets[p->n_sets++] = arena_printf(l->a, "%s=\"%sbps\"", name, shortest(l->a, MORE * bps));
}

static void add_access(struct list *l, const char *network, const struct topology_spec *t)
{
    char now[32];
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        add_rate(l, network, net_dir_name((enum net_dir)dir), t->rate_bps[dir]);
        if (t->cell_clients > 0)
            add_rate(l, network, arena_printf(l->a, "cell.%s", net_dir_name((enum net_dir)dir)),
                     t->cell_bps[dir]);
    }
    for (int kind = 0; kind < N_ELEMENT_KINDS; kind++)
        add_rate(l, network, arena_printf(l->a, "limits.%s", element_name((enum element_kind)kind)),
                 t->limit_bps[kind]);
    if (t->rtt_s <= 0)
        return;
    const char *name = arena_printf(l->a, "%s.rtt", network);
    text_format(now, sizeof(now), t->rtt_s, UNIT_TIME_S);
    struct capacity_part *p = add(l, name, arena_strdup(l->a, now), 1);
    p->sets[p->n_sets++] = arena_printf(l->a, "%s=\"%ss\"", name, shortest(l->a, t->rtt_s / MORE));
}

/* The same device, faster: measured steps and data sheet alike. With a name that no table has, so
 * that its numbers are written. */
static const char *faster(struct arena *a, const struct device *d)
{
    struct device fast = *d;
    struct json_out o;
    for (int i = 0; i < fast.n_measures; i++) {
        fast.measure[i].step_s /= MORE;
        fast.measure[i].opt_step_s /= MORE;
    }
    fast.roof.flop_per_s *= MORE;
    fast.roof.bytes_per_s *= MORE;
    snprintf(fast.name, sizeof(fast.name), "faster %.50s", d->name);
    json_out_init(&o);
    device_write(&o, NULL, &fast);
    const char *text = arena_strdup(a, o.text);
    json_out_fini(&o);
    return text;
}

static void add_devices(struct list *l, const struct scenario *s)
{
    for (size_t i = 0; i < s->n_groups; i++) {
        const struct device *d = &s->group[i].device;
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && strcmp(s->group[k].device.name, d->name) != 0;
        if (!is_first)
            continue;
        struct capacity_part *p = add(l, arena_printf(l->a, "device %s", d->name), "", s->n_groups);
        for (size_t k = i; k < s->n_groups; k++)
            if (strcmp(s->group[k].device.name, d->name) == 0)
                p->sets[p->n_sets++] = arena_printf(l->a, "clients.groups[%zu].device=%s", k,
                                                    faster(l->a, &s->group[k].device));
    }
}

size_t capacity_parts(struct capacity_part **out, const struct scenario *s, struct arena *a)
{
    struct list l = {.a = a, .part = ARENA_NEW(a, struct capacity_part, most_parts(s))};
    bool is_shared = false;
    for (size_t i = 0; i < s->n_groups; i++) {
        is_shared = is_shared || !s->group[i].has_network;
        if (s->group[i].has_network)
            add_access(&l, arena_printf(a, "clients.groups[%zu].network", i), &s->group[i].access);
    }
    if (is_shared)
        add_access(&l, "network", &s->network.access);
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        add_rate(&l, "network.server", net_dir_name((enum net_dir)dir), s->network.server_bps[dir]);
    if (s->compute.is_profile) {
        add_devices(&l, s);
    } else if (s->compute.fixed_s > 0) {
        char now[32];
        text_format(now, sizeof(now), s->compute.fixed_s, UNIT_TIME_S);
        struct capacity_part *p = add(&l, "compute.time", arena_strdup(a, now), 1);
        p->sets[p->n_sets++] =
            arena_printf(a, "compute.time=\"%ss\"", shortest(a, s->compute.fixed_s / MORE));
    }
    *out = l.part;
    return l.n;
}
