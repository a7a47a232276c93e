#include "net/closed.h"

#include <math.h>

#include "net/startup.h"
#include "sim/base/check.h"

struct closed_time closed_time(const struct plan *p, size_t class_index, enum net_dir dir,
                               double bytes, size_t n_at_once)
{
    CHECK(p->is_marked && class_index < p->n_classes && bytes > 0);
    const struct plan_class *c = &p->class[class_index];
    CHECK(n_at_once >= 1 && n_at_once <= c->n_clients);
    struct closed_time t = {.goodput_bps = c->own_bps[dir], .bottleneck = "own link"};
    if (c->rates[dir]) {
        t.goodput_bps = c->rates[dir]->mean_bps;
        t.bottleneck = "own link's mean";
    }
    for (size_t i = 0; i < c->n_links[dir]; i++) {
        const struct plan_link *l = &p->link[c->link[dir][i]];
        double capacity_bps = l->rates ? l->rates->mean_bps : l->goodput_bps;
        double share_bps = capacity_bps / (double)n_at_once;
        if (l->can_limit && share_bps < t.goodput_bps) {
            t.goodput_bps = share_bps;
            t.bottleneck = l->name;
        }
    }
    t.wait_s = startup_wait_s(bytes, t.goodput_bps, c->rtt_s);
    t.transfer_s = bytes / (t.goodput_bps / 8);
    t.total_s = t.wait_s + t.transfer_s;
    return t;
}

double closed_alone_s(const struct plan *p, size_t class_index, enum net_dir dir, double bytes,
                      double moment_s)
{
    CHECK(p->is_marked && class_index < p->n_classes && bytes > 0);
    const struct plan_class *c = &p->class[class_index];
    double cap_bps = c->own_bps[dir];
    CHECK(c->rates[dir]);
    for (size_t i = 0; i < c->n_links[dir]; i++)
        if (p->link[c->link[dir][i]].can_limit) {
            const struct plan_link *l = &p->link[c->link[dir][i]];
            cap_bps = fmin(cap_bps, l->rates ? l->rates->mean_bps : l->goodput_bps);
        }
    double now_bps = fmin(rates_at(c->rates[dir], moment_s), cap_bps);
    double wait_s = startup_wait_s(bytes, now_bps, c->rtt_s);
    return wait_s + rates_seconds(c->rates[dir], moment_s + wait_s, 8 * bytes, cap_bps);
}
