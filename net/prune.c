#include "net/prune.h"

#include <math.h>
#include <stdlib.h>

#include "sim/base/check.h"

/* Sums of rates are rounded; a link that is full to the last bit still does not limit. */
#define ROUNDING 1e-12

/* A class that crosses a link in a direction. */
struct crosser {
    size_t class;
    enum net_dir dir;
};

/* Who crosses every link: by[first[l]] .. by[first[l + 1] - 1] cross link l. */
struct crossing {
    size_t *first;
    struct crosser *by;
};

static struct crossing crossings(const struct plan *p, struct arena *a)
{
    struct crossing x = {.first = ARENA_NEW(a, size_t, p->n_links + 1)};
    for (size_t c = 0; c < p->n_classes; c++)
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            for (size_t i = 0; i < p->class[c].n_links[dir]; i++)
                x.first[p->class[c].link[dir][i] + 1]++;
    for (size_t l = 0; l < p->n_links; l++)
        x.first[l + 1] += x.first[l];
    x.by = ARENA_NEW(a, struct crosser, x.first[p->n_links]);
    size_t *next = ARENA_NEW(a, size_t, p->n_links);
    for (size_t c = 0; c < p->n_classes; c++)
        for (int dir = 0; dir < N_NET_DIRS; dir++)
            for (size_t i = 0; i < p->class[c].n_links[dir]; i++) {
                size_t l = p->class[c].link[dir][i];
                x.by[x.first[l] + next[l]++] = (struct crosser){c, (enum net_dir)dir};
            }
    return x;
}

/* What one crosser can bring to link l: its clients' own links, or a narrower link that is its
 * alone. Only links that have not been found idle vouch for another, or two equal ones would take
 * each other out. */
static double crosser_load(const struct plan *p, const struct crossing *x, struct crosser by,
                           size_t l)
{
    enum net_dir dir = by.dir;
    const struct plan_class *class = &p->class[by.class];
    size_t n = class->n_clients;
    if (p->n_at_once && p->n_at_once < n)
        n = p->n_at_once;
    double load_bps = (double)n * class->own_bps[dir];
    for (size_t i = 0; i < class->n_links[dir]; i++) {
        size_t other = class->link[dir][i];
        if (other != l && p->link[other].can_limit && x->first[other + 1] - x->first[other] == 1)
            load_bps = fmin(load_bps, p->link[other].goodput_bps);
    }
    return load_bps;
}

struct rate_count {
    double own_bps;
    size_t n;
    enum net_dir dir;
};

static int by_falling_rate(const void *a, const void *b)
{
    double x = ((const struct rate_count *)a)->own_bps, y = ((const struct rate_count *)b)->own_bps;
    return (x < y) - (x > y);
}

/* Sum of the n_at_once fastest own rates of each direction among the clients on link l. */
static double fastest_load(const struct plan *p, const struct crossing *x, size_t l,
                           struct rate_count *scratch)
{
    size_t n = x->first[l + 1] - x->first[l];
    for (size_t i = 0; i < n; i++) {
        struct crosser by = x->by[x->first[l] + i];
        const struct plan_class *c = &p->class[by.class];
        scratch[i] = (struct rate_count){c->own_bps[by.dir], c->n_clients, by.dir};
    }
    qsort(scratch, n, sizeof(*scratch), by_falling_rate);
    size_t at_once = p->n_at_once ? p->n_at_once : p->n_clients;
    size_t left[N_NET_DIRS] = {at_once, at_once};
    double load_bps = 0;
    for (size_t i = 0; i < n; i++) {
        size_t *of = &left[scratch[i].dir];
        size_t taken = scratch[i].n < *of ? scratch[i].n : *of;
        load_bps += (double)taken * scratch[i].own_bps;
        *of -= taken;
    }
    return load_bps;
}

void prune_mark(struct plan *p)
{
    struct arena a = {0};
    struct crossing x = crossings(p, &a);
    struct rate_count *scratch = ARENA_NEW(&a, struct rate_count, N_NET_DIRS * p->n_classes);
    for (size_t l = 0; l < p->n_links; l++)
        p->link[l].can_limit = true;
    for (size_t l = 0; l < p->n_links; l++) {
        struct plan_link *link = &p->link[l];
        double load_bps = 0;
        for (size_t i = x.first[l]; i < x.first[l + 1]; i++)
            load_bps += crosser_load(p, &x, x.by[i], l);
        load_bps = fmin(load_bps, fastest_load(p, &x, l, scratch));
        double least_bps = link->rates ? link->rates->min_bps : link->goodput_bps;
        link->can_limit = load_bps > least_bps * (1 + ROUNDING);
        if (isinf(link->goodput_bps))
            link->nominal_bps = fmax(link->nominal_bps, load_bps);
    }
    arena_free(&a);
    p->is_marked = true;
}
