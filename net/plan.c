#include "net/plan.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/rng.h"

void plan_open(struct plan **out)
{
    struct plan *p = NULL;
    size_t cap = 0;
    mem_grow((void **)&p, &cap, 1, sizeof(*p));
    *p = (struct plan){.is_pruned = true};
    *out = p;
}

void plan_close(struct plan *p)
{
    if (!p)
        return;
    mem_free(p->link);
    mem_free(p->class);
    element_paths_fini(&p->paths);
    arena_free(&p->arena);
    mem_free(p);
}

size_t plan_add_link(struct plan *p, const char *name, enum net_dir dir, double goodput_bps,
                     double nominal_bps, int count)
{
    CHECK(goodput_bps > 0 && nominal_bps > 0 && isfinite(nominal_bps) && count >= 1);
    mem_grow((void **)&p->link, &p->cap_links, p->n_links + 1, sizeof(*p->link));
    p->link[p->n_links] = (struct plan_link){.name = arena_strdup(&p->arena, name),
                                             .dir = dir,
                                             .goodput_bps = goodput_bps,
                                             .nominal_bps = nominal_bps,
                                             .count = count};
    p->is_marked = false;
    return p->n_links++;
}

static enum err_code check_class(const struct plan *p, const struct plan_class *c, struct err *e)
{
    if (c->n_clients < 1 || c->n_clients > PLAN_MAX_CLIENTS - p->n_clients)
        return err_set(e, ERR_LIMIT, "%s: expected 1..%d clients in all, got %zu more after %zu",
                       c->name, PLAN_MAX_CLIENTS, c->n_clients, p->n_clients);
    if (!(c->rtt_s >= 0 && isfinite(c->rtt_s)))
        return err_set(e, ERR_INPUT, "%s: expected a latency of 0 or more, got %g s", c->name,
                       c->rtt_s);
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        if (!(c->own_bps[dir] >= PLAN_MIN_BPS && c->own_bps[dir] <= PLAN_MAX_BPS))
            return err_set(e, ERR_INPUT, "%s: expected a rate %s of %g..%g bit/s, got %g", c->name,
                           net_dir_name((enum net_dir)dir), PLAN_MIN_BPS, PLAN_MAX_BPS,
                           c->own_bps[dir]);
        CHECK(!c->rates[dir] || c->rates[dir]->min_bps > 0);
        for (size_t i = 0; i < c->n_links[dir]; i++)
            CHECK(c->link[dir][i] < p->n_links && (p->link[c->link[dir][i]].is_two_way ||
                                                   (int)p->link[c->link[dir][i]].dir == dir));
    }
    return OK;
}

enum err_code plan_add_class(struct plan *p, const struct plan_class *c, size_t n_steps,
                             const struct element_step *steps, struct err *e)
{
    CHECK(n_steps <= ELEMENT_MAX_STEPS);
    enum err_code code = check_class(p, c, e);
    if (code)
        return code;
    struct plan_class copy = *c;
    copy.group = arena_strdup(&p->arena, c->group);
    copy.name = arena_strdup(&p->arena, c->name);
    copy.first = p->n_clients;
    copy.path = element_intern(&p->paths, &p->arena, n_steps, steps);
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        size_t *links = ARENA_NEW(&p->arena, size_t, c->n_links[dir]);
        if (c->n_links[dir] > 0)
            memcpy(links, c->link[dir], c->n_links[dir] * sizeof(*links));
        copy.link[dir] = links;
    }
    mem_grow((void **)&p->class, &p->cap_classes, p->n_classes + 1, sizeof(*p->class));
    p->class[p->n_classes++] = copy;
    p->n_clients += c->n_clients;
    p->is_marked = false;
    return OK;
}

double plan_start_s(const struct plan *p, const struct plan_class *c, size_t client)
{
    const struct rates *r = c->rates[NET_DOWN] ? c->rates[NET_DOWN] : c->rates[NET_UP];
    CHECK(r);
    if (!c->is_start_drawn)
        return c->start_s;
    return rates_period_s(r) * rng_uniform(p->seed, RNG_TRACE, (uint32_t)client, 0);
}

double plan_link_start_s(const struct plan *p, size_t link)
{
    const struct plan_link *l = &p->link[link];
    CHECK(l->rates && l->count == 1);
    if (!l->is_start_drawn)
        return l->start_s;
    uint32_t owner = (uint32_t)(PLAN_MAX_CLIENTS + link); /* no client's */
    return rates_period_s(l->rates) * rng_uniform(p->seed, RNG_TRACE, owner, 0);
}

size_t plan_class_of(const struct plan *p, size_t client)
{
    CHECK(client < p->n_clients);
    size_t lo = 0, hi = p->n_classes; /* class lo holds it or one before hi does */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->class[mid].first <= client)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
