/* veryedge check: what a scenario means, before anything is run. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/t5.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/text.h"
#include "sim/check_group.h"
#include "sim/cli.h"
#include "sim/cmd.h"

static enum err_code view_open(struct check_view *v, const char *path, const struct cli_list *sets,
                               struct err *e)
{
    *v = (struct check_view){0};
    enum err_code code = scenario_load(&v->s, path, sets->n, sets->value, e);
    if (code)
        return code;
    const struct scenario *s = v->s;
    struct topology_group *groups = ARENA_NEW(&v->s->arena, struct topology_group, s->n_groups);
    for (size_t i = 0; i < s->n_groups; i++)
        groups[i] =
            (struct topology_group){s->group[i].name, &s->group[i].access, s->group[i].count};
    code = costs_init(&v->costs, s, e);
    if (code)
        return code;
    code = topology_plan(&v->plan, &s->network, s->n_groups, groups,
                         s->federation.clients_per_round, e);
    if (code)
        return err_in(e, code, "%s: network", s->path);
    books_init(&v->books, v->plan, &s->energy.charged, s->energy.carbon_g_per_kwh);
    return OK;
}

static void view_close(struct check_view *v)
{
    if (v->plan)
        books_fini(&v->books);
    costs_fini(&v->costs);
    plan_close(v->plan);
    scenario_close(v->s);
}

static void print_summary(const struct check_view *v)
{
    const struct scenario *s = v->s;
    char a[32], b[32];
    double down = (double)v->costs.payload_bytes[NET_DOWN];
    double up = (double)v->costs.payload_bytes[NET_UP];
    printf("scenario %s: %zu clients, %zu per round, %" PRIu32 " rounds\n", s->name, s->n_clients,
           s->federation.clients_per_round, s->federation.rounds);
    bool is_none = s->model.train == SCENARIO_NONE;
    printf("trained  %s%s\n",
           is_none ? "nothing: network, times and energy only" : s->model.weights,
           s->model.train == SCENARIO_FULL ? ", every weight" : "");
    if (!is_none)
        printf("         by backend %s, %s\n", s->compute.backend, s->compute.precision);
    printf("charged  %s: %.0f bytes down (%s), %.0f bytes up (%s) per client and round\n",
           v->costs.model, down, check_quantity(a, down, UNIT_SIZE_BYTES), up,
           check_quantity(b, up, UNIT_SIZE_BYTES));
    printf("server   %s, client learning rate %g\n", server_opt_name(s->federation.server.opt),
           (double)s->federation.local.lr);
    printf("energy   %s%s per bit, accounting %s\n", s->energy.per_bit.name,
           s->energy.per_bit.has_overrides ? " with values of the scenario" : "",
           s->energy.accounting->name);
    if (s->energy.accounting->warning)
        printf("         %s\n", s->energy.accounting->warning);
    printf("output   %s\n", s->output.dir);
}

static void print_resolved(const struct scenario *s)
{
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    scenario_write(s, &o, true);
    json_out_end(&o, '}');
    fputs(o.text, stdout);
    json_out_fini(&o);
}

enum err_code cmd_check(int argc, char **argv, struct err *e)
{
    struct cli_list sets = {0};
    bool is_resolved = false, is_brief = false, is_help;
    const struct cli_option options[] = {
        CLI_LIST("set", "KEY=VALUE", "change a value, such as network.up=5Mbps; may be repeated",
                 &sets),
        CLI_FLAG("resolved", "print the resolved scenario only, as JSON", &is_resolved),
        CLI_FLAG("brief", "leave the resolved scenario out", &is_brief),
        CLI_END,
    };
    const struct cli cli = {
        "check",
        "SCENARIO",
        "Checks a scenario and prints it with every default, then payload, paths, J/bit and the\n"
        "closed-form times of each group: one client alone, and as many as a round has.",
        options,
        1,
        1,
        "  veryedge check scenarios/quickstart.json --brief\n"
        "  veryedge check scenarios/wired.json --set model.costs_of=flan-t5-large\n"};
    const char *path;
    size_t n_args;
    struct check_view v;
    enum err_code code = cli_parse(&cli, argc, argv, &path, &n_args, &is_help, e);
    if (code || is_help)
        return code;
    code = view_open(&v, path, &sets, e);
    if (!code) {
        if (!is_brief)
            print_resolved(v.s);
        if (!is_brief && !is_resolved)
            printf("\n");
        if (!is_resolved) {
            print_summary(&v);
            for (size_t i = 0; i < v.s->n_groups; i++)
                check_print_group(&v, &v.s->group[i]);
        }
    }
    view_close(&v);
    return code;
}
