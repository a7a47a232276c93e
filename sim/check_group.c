#include "sim/check_group.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/closed.h"
#include "net/sites.h"
#include "sim/base/mem.h"

const char *check_quantity(char out[32], double value, enum unit_kind kind)
{
    text_format(out, 32, value, kind);
    return out;
}

static void print_path(size_t n_steps, const struct element_step *step)
{
    printf("  path        ");
    for (size_t i = 0; i < n_steps; i++) {
        printf("%s%s", i ? ", " : "", element_name(step[i].kind));
        if (step[i].count > 1)
            printf("*%d", step[i].count);
    }
    printf("%s\n", n_steps ? "" : "no element that is charged");
}

/* J/bit of a class's path, and joules of one client in a round. */
static void print_energy(const struct check_view *v, size_t class_index)
{
    double j[N_NET_DIRS], total = 0;
    char r[2][32];
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        j[dir] = books_j_per_bit(&v->books, class_index, (enum net_dir)dir);
        total += 8.0 * (double)v->costs.payload_bytes[dir] * j[dir];
    }
    printf("  path energy %s down, %s up; %.6g J per client and round\n",
           check_quantity(r[0], j[NET_DOWN], UNIT_ENERGY_J_PER_BIT),
           check_quantity(r[1], j[NET_UP], UNIT_ENERGY_J_PER_BIT), total);
}

/* One line: times of a round in which n clients of a class begin at once and nobody else does. */
static void print_times(const struct check_view *v, const struct scenario_group *g,
                        size_t class_index, size_t n)
{
    struct closed_time t[N_NET_DIRS];
    char share[N_NET_DIRS][32];
    struct split_work work = costs_typical_work(v->s);
    struct cost_of_client c = costs_of_client(&v->costs, (size_t)(g - v->s->group), &work);
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        double bytes = (double)v->costs.payload_bytes[dir];
        t[dir] = closed_time(v->plan, class_index, (enum net_dir)dir, bytes, n);
        check_quantity(share[dir], t[dir].goodput_bps, UNIT_RATE_BPS);
    }
    double comm_s = t[NET_DOWN].total_s + t[NET_UP].total_s;
    printf("  %5zu at once  down %.6g s (%s of %s), train %.6g s, up %.6g s (%s of %s)\n", n,
           t[NET_DOWN].total_s, share[NET_DOWN], t[NET_DOWN].bottleneck, c.seconds,
           t[NET_UP].total_s, share[NET_UP], t[NET_UP].bottleneck);
    printf("                 round %.6g s, G %.4g\n", comm_s + c.seconds,
           comm_s > 0 ? c.seconds / comm_s : 0.0);
    const struct account *a = v->s->energy.accounting;
    if (!a->warning)
        return;
    struct account_part part = costs_part(&v->costs, (size_t)(g - v->s->group), c.seconds);
    struct account_round r = a->round(comm_s + c.seconds, 1, &part);
    printf("                 accounting %s: T_comp %.6g s, T_comm %.6g s, G %.6g\n", a->name,
           r.t_comp_s, r.t_comm_s, r.granularity);
}

/* What a trace gives over time, and what a client alone makes of it. */
static void print_trace(const struct check_view *v, const struct topology_spec *a,
                        size_t class_index)
{
    enum { MOST_STARTS = 1000 };
    const struct plan_class *c = &v->plan->class[class_index];
    char r[3][32], at[32];
    const struct rates *any = c->rates[NET_DOWN] ? c->rates[NET_DOWN] : c->rates[NET_UP];
    printf("  trace       %s: %zu rows, %s, then again; ", a->trace->path, any->n,
           check_quantity(r[0], rates_period_s(any), UNIT_TIME_S));
    if (a->trace->is_start_drawn)
        printf("each client begins at a place of its own\n");
    else
        printf("all begin at %s\n", check_quantity(at, a->trace->start_s, UNIT_TIME_S));
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        const struct rates *rates = c->rates[dir];
        if (!rates)
            continue;
        double bytes = (double)v->costs.payload_bytes[dir], least = HUGE_VAL, most = 0, sum = 0;
        size_t n = rates->n < MOST_STARTS ? rates->n : MOST_STARTS;
        for (size_t i = 0; i < n; i++) {
            double moment_s = rates->at_s[i * rates->n / n];
            double s = closed_alone_s(v->plan, class_index, (enum net_dir)dir, bytes, moment_s);
            least = fmin(least, s);
            most = fmax(most, s);
            sum += s;
        }
        printf(
            "              %s mean %s (%s .. %s) of payload; alone %.4g s (%.4g .. %.4g s), by the "
            "moment it begins\n",
            net_dir_name((enum net_dir)dir), check_quantity(r[0], rates->mean_bps, UNIT_RATE_BPS),
            check_quantity(r[1], rates->min_bps, UNIT_RATE_BPS),
            check_quantity(r[2], rates->max_bps, UNIT_RATE_BPS), sum / (double)n, least, most);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* 5 %, median and 95 % of a group's n clients (by nearest rank); sorts them. */
static void print_spread(const char *what, double *value, size_t n, double unit, const char *name)
{
    static const double AT[] = {0.05, 0.5, 0.95};
    double v[3];
    qsort(value, n, sizeof(*value), by_value);
    for (int i = 0; i < 3; i++)
        v[i] = value[(size_t)(AT[i] * (double)(n - 1) + 0.5)] / unit;
    printf("  %-11s %.4g .. %.4g .. %.4g %s\n", what, v[0], v[1], v[2], name);
}

/* Each site of a network of the user's own, with its route. */
static void print_sites(const struct check_view *v, const struct scenario_group *g)
{
    enum { MOST_SITES = 12 };
    size_t first = plan_class_of(v->plan, g->first);
    size_t last = plan_class_of(v->plan, g->first + g->count - 1);
    for (size_t k = first; k <= last && k < first + MOST_SITES; k++) {
        const struct plan_class *c = &v->plan->class[k];
        const struct element_path *path = &v->plan->paths.path[c->path];
        size_t per_round = v->s->federation.clients_per_round;
        size_t most = per_round < c->n_clients ? per_round : c->n_clients;
        char r[3][32];
        printf("  %s: clients %zu..%zu, %s down, %s up of payload, rtt %s\n", c->name, c->first,
               c->first + c->n_clients - 1,
               check_quantity(r[0], c->own_bps[NET_DOWN], UNIT_RATE_BPS),
               check_quantity(r[1], c->own_bps[NET_UP], UNIT_RATE_BPS),
               check_quantity(r[2], c->rtt_s, UNIT_TIME_S));
        printf("  route       ");
        for (size_t i = 0; i < c->n_links[NET_UP]; i++)
            printf("%s%s", i ? ", " : "", v->plan->link[c->link[NET_UP][i]].name);
        printf("%s\n", c->n_links[NET_UP] ? "" : "no shared link");
        print_path(path->n_steps, path->step);
        print_energy(v, k);
        print_times(v, g, k, 1);
        if (most > 1)
            print_times(v, g, k, most);
    }
    if (last - first >= MOST_SITES)
        printf("  and %zu more sites\n", last - first + 1 - MOST_SITES);
}

/* Clients that differ: what they have, and a round of each alone. */
static void print_drawn(const struct check_view *v, const struct scenario_group *g)
{
    size_t first = plan_class_of(v->plan, g->first), n = g->count;
    double *value = NULL;
    size_t cap = 0;
    mem_grow((void **)&value, &cap, n, sizeof(*value));
    struct split_work work = costs_typical_work(v->s);
    double train_s = costs_of_client(&v->costs, (size_t)(g - v->s->group), &work).seconds;
    const struct draw *d = g->access.draw;
    if (d->path)
        printf("  drawn       one of %zu rows of %s each, within these rates\n", d->n_rows,
               d->path);
    else
        printf("  drawn       log-normal, these are the medians\n");
    printf("  5 %%, median, 95 %% of the group's clients; a round is one client alone:\n");
    for (int what = 0; what < 4; what++) {
        static const char *const NAMES[] = {"down", "up", "rtt", "round"};
        for (size_t i = 0; i < n; i++) {
            const struct plan_class *c = &v->plan->class[first + i];
            value[i] = what < N_NET_DIRS ? c->own_bps[what] : what == 2 ? c->rtt_s : train_s;
            for (int dir = 0; dir < N_NET_DIRS && what == 3; dir++)
                value[i] += closed_time(v->plan, first + i, (enum net_dir)dir,
                                        (double)v->costs.payload_bytes[dir], 1)
                                .total_s;
        }
        print_spread(NAMES[what], value, n,
                     what < N_NET_DIRS ? 1e6
                     : what == 2       ? 1e-3
                                       : 1,
                     what < N_NET_DIRS ? "Mbit/s of payload"
                     : what == 2       ? "ms"
                                       : "s");
    }
    mem_free(value);
}

/* The first class of the group, and the last where it is smaller; the others are like the first. */
static void print_classes(const struct check_view *v, const struct scenario_group *g)
{
    size_t first = plan_class_of(v->plan, g->first);
    size_t last = plan_class_of(v->plan, g->first + g->count - 1);
    for (size_t k = first; k <= last; k = k < last ? last : last + 1) {
        const struct plan_class *c = &v->plan->class[k];
        size_t per_round = v->s->federation.clients_per_round;
        size_t most = per_round < c->n_clients ? per_round : c->n_clients;
        if (last > first && (k == first || c->n_clients != v->plan->class[first].n_clients))
            printf("  %s (%zu clients)\n", c->name, c->n_clients);
        else if (k > first)
            break;
        print_times(v, g, k, 1);
        if (most > 1)
            print_times(v, g, k, most);
    }
}

/* What others take of a shared link. */
static void print_background(const char *what, const struct background *b)
{
    char r[4][32];
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        const struct rates *others = b->trace ? b->trace->rates[dir] : NULL;
        if (others)
            printf("  others      take %s (%s .. %s) of the %s %s, by %s\n",
                   check_quantity(r[0], b->bps[dir] + others->mean_bps, UNIT_RATE_BPS),
                   check_quantity(r[1], b->bps[dir] + others->min_bps, UNIT_RATE_BPS),
                   check_quantity(r[2], b->bps[dir] + others->max_bps, UNIT_RATE_BPS), what,
                   net_dir_name((enum net_dir)dir), b->trace->path);
        else if (b->bps[dir] > 0)
            printf("  others      take %s of the %s %s\n",
                   check_quantity(r[0], b->bps[dir], UNIT_RATE_BPS), what,
                   net_dir_name((enum net_dir)dir));
    }
}

void check_print_group(const struct check_view *v, const struct scenario_group *g)
{
    const struct topology_spec *a = &g->access;
    char r[5][32];
    size_t class_index = plan_class_of(v->plan, g->first);
    struct split_work work = costs_typical_work(v->s);
    struct cost_of_client c = costs_of_client(&v->costs, (size_t)(g - v->s->group), &work);
    printf("\ngroup %s: clients %zu..%zu, device %s (%s)\n", g->name, g->first,
           g->first + g->count - 1, g->device.name,
           c.is_out_of_memory ? "out of memory: it will never send a result" : c.time_source);
    if (a->sites)
        printf("  network     %s %s, server at %s, %zu sites, rates count %s\n", a->topology->name,
               a->sites->path, a->sites->server, a->n_at, a->is_goodput ? "payload" : "frames");
    else
        printf("  network     %s, %s down, %s up, rtt %s, rates count %s\n", a->topology->name,
               check_quantity(r[0], a->rate_bps[NET_DOWN], UNIT_RATE_BPS),
               check_quantity(r[1], a->rate_bps[NET_UP], UNIT_RATE_BPS),
               check_quantity(r[2], a->rtt_s, UNIT_TIME_S), a->is_goodput ? "payload" : "frames");
    print_background("server", &v->s->network.server_background);
    if (a->cell_clients > 0)
        printf("  cells       of %zu clients, %s down, %s up\n", a->cell_clients,
               check_quantity(r[3], a->cell_bps[NET_DOWN], UNIT_RATE_BPS),
               check_quantity(r[4], a->cell_bps[NET_UP], UNIT_RATE_BPS));
    if (a->cell_clients > 0)
        print_background("cell", &a->cell_background);
    if (a->trace)
        print_trace(v, a, class_index);
    if (!a->sites) {
        print_path(a->n_steps, a->step);
        print_energy(v, class_index);
    }
    if (a->sites)
        print_sites(v, g);
    else if (a->draw)
        print_drawn(v, g);
    else
        print_classes(v, g);
}
