#include "net/background.h"

#include "net/topology.h"
#include "sim/base/text.h"

enum err_code background_parse(struct json shared, const double capacity_bps[N_NET_DIRS],
                               struct background *out, struct arena *a, struct err *e)
{
    struct json o;
    enum err_code code = json_object_opt(shared, "background", &o, e);
    if (code || !o.node)
        return code;
    for (int dir = 0; dir < N_NET_DIRS && !code; dir++) {
        const char *key = net_dir_name((enum net_dir)dir);
        char most[32], got[32];
        code = topology_parse_rate(o, key, false, &out->bps[dir], e);
        if (!code && out->bps[dir] > 0 && !(out->bps[dir] < capacity_bps[dir])) {
            text_format(got, sizeof(got), out->bps[dir], UNIT_RATE_BPS);
            text_format(most, sizeof(most), capacity_bps[dir], UNIT_RATE_BPS);
            code =
                capacity_bps[dir] > 0
                    ? json_fail(o, key, e, "expected less than the link has, %s, got %s", most, got)
                    : json_fail(o, key, e, "the link has no stated capacity %s", key);
        }
    }
    if (!code)
        code = trace_parse(o, &out->trace, a, e);
    for (int dir = 0; dir < N_NET_DIRS && !code && out->trace; dir++)
        if (out->trace->rates[dir] && !(capacity_bps[dir] > 0))
            code = json_fail(o, "trace", e, "the link has no stated capacity %s",
                             net_dir_name((enum net_dir)dir));
    return code ? code : json_finish(o, e);
}

void background_write(struct json_out *o, const struct background *b)
{
    if (!(b->bps[NET_DOWN] > 0) && !(b->bps[NET_UP] > 0) && !b->trace)
        return;
    json_out_begin_inline(o, "background", '{');
    for (int dir = 0; dir < N_NET_DIRS; dir++)
        if (b->bps[dir] > 0)
            topology_write_rate(o, net_dir_name((enum net_dir)dir), b->bps[dir]);
    trace_write(o, b->trace);
    json_out_end(o, '}');
}

size_t background_add_link(struct plan *p, const char *name, enum net_dir dir, double capacity_bps,
                           double efficiency, const struct background *b)
{
    double left_bps = efficiency * (capacity_bps - b->bps[dir]);
    const struct rates *others = b->trace ? b->trace->rates[dir] : NULL;
    if (!others)
        return plan_add_link(p, name, dir, left_bps, left_bps, 1);
    const struct rates *left = rates_left(others, efficiency, left_bps, PLAN_MIN_BPS, &p->arena);
    size_t l = plan_add_link(p, name, dir, left->max_bps, left->max_bps, 1);
    p->link[l].rates = left;
    p->link[l].is_start_drawn = b->trace->is_start_drawn;
    p->link[l].start_s = b->trace->start_s;
    return l;
}
