/* What some clients of a group share: the air of a radio cell, the coax of a cable segment, the
 * fibre of a passive optical tree. */
#include "net/topology.h"

enum err_code cell_parse(struct json network, struct topology_spec *s, struct arena *a,
                         struct err *e)
{
    struct json cell;
    enum err_code code = json_object_opt(network, "cell", &cell, e);
    if (code || !cell.node)
        return code;
    int64_t n_clients;
    code = json_int(cell, "clients", 1, PLAN_MAX_CLIENTS, NULL, &n_clients, e);
    if (!code)
        code = topology_parse_rate(cell, "down", true, &s->cell_bps[NET_DOWN], e);
    if (!code)
        code = topology_parse_rate(cell, "up", true, &s->cell_bps[NET_UP], e);
    if (!code)
        code = background_parse(cell, s->cell_bps, &s->cell_background, a, e);
    if (!code)
        code = json_finish(cell, e);
    if (!code)
        s->cell_clients = (size_t)n_clients;
    return code;
}

void cell_write(struct json_out *o, const struct topology_spec *s)
{
    if (!s->cell_clients)
        return;
    json_out_begin_inline(o, "cell", '{');
    json_out_int(o, "clients", (int64_t)s->cell_clients);
    topology_write_rate(o, "down", s->cell_bps[NET_DOWN]);
    topology_write_rate(o, "up", s->cell_bps[NET_UP]);
    background_write(o, &s->cell_background);
    json_out_end(o, '}');
}

/* Cell number i (from 1) with its shared air, one link per direction. */
static enum err_code add_cell(const struct topology_group *g, size_t i, size_t n_clients,
                              const struct topology_trunk *trunk, struct plan *p, struct err *e)
{
    size_t air[N_NET_DIRS];
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        const char *name =
            arena_printf(&p->arena, "%s: cell %zu %s", g->name, i, net_dir_name((enum net_dir)dir));
        air[dir] = background_add_link(p, name, (enum net_dir)dir, g->spec->cell_bps[dir],
                                       topology_goodput_bps(g->spec, 1), &g->spec->cell_background);
    }
    const char *name = arena_printf(&p->arena, "%s: cell %zu", g->name, i);
    return topology_add_class(g, name, n_clients, air, trunk, p, e);
}

enum err_code cell_build(const struct topology_group *g, const struct topology_trunk *trunk,
                         struct plan *p, struct err *e)
{
    size_t per_cell = g->spec->cell_clients;
    if (!per_cell)
        return topology_add_class(g, g->name, g->n_clients, NULL, trunk, p, e);
    enum err_code code = OK;
    size_t i = 1;
    for (size_t left = g->n_clients; left > 0 && !code; i++) {
        size_t n = left < per_cell ? left : per_cell;
        code = add_cell(g, i, n, trunk, p, e);
        left -= n;
    }
    return code;
}
