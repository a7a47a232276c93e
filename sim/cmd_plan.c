#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/capacity.h"
#include "sim/cells.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/options.h"
#include "sim/progress.h"
#include "sim/scenario.h"

enum { MAX_KEYS = 8, MAX_GAINS = 8 };
#define MIN_RATE_BPS 1e3 /* the widest range of a scenario's rates */
#define MAX_RATE_BPS 1e13

struct args {
    const char *scenario, *out, *smallest, *largest, *cheapest;
    struct cli_list sets, limits, prices;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    const struct cli_option options[] = {
        CLI_TEXT("smallest", "KEY[=LO..HI]",
                 "rate that is enough; KEY,KEY: all with the same value", &a->smallest),
        CLI_TEXT("largest", "KEY[=LO..HI]", "whole number, such as federation.clients_per_round",
                 &a->largest),
        CLI_TEXT("cheapest", "FILE", "of the options that a JSON file lists", &a->cheapest),
        CLI_LIST("limit", "NAME=MAX", "round=30s total=2d kwh=5 carbon=2.5 (kg) money=100",
                 &a->limits),
        CLI_LIST("price", "NAME=MONEY", "fixed client client_day gb kwh device_kwh", &a->prices),
        CLI_LIST("set", "KEY=VALUE", "change one value in all points; may be repeated", &a->sets),
        CLI_TEXT("out", "DIR", "plan.csv, and the runs below (default: runs/plan-NAME)", &a->out),
        CLI_END,
    };
    const struct cli cli = {
        .command = "plan",
        .arguments = "SCENARIO",
        .what = "finds what is just enough to stay within limits, what binds then, and what to "
                "upgrade first",
        .option = options,
        .min_args = 1,
        .max_args = 1,
        .examples =
            "  veryedge plan scenarios/quickstart.json --smallest network.up --limit round=4s\n"
            "  veryedge plan scenarios/lte-cell.json --limit round=30s --limit kwh=2 \\\n"
            "    --largest federation.clients_per_round\n"
            "  veryedge plan scenarios/quickstart.json --cheapest options.json --limit total=2h\n"};
    size_t n_args = 0;
    return cli_parse(&cli, argc, argv, &a->scenario, &n_args, is_help, e);
}

/* --- what is asked for --- */

/* "KEY[=LO..HI]": the key's part in key, the bounds' texts or NULL. */
static enum err_code split_range(struct arena *a, const char *option, const char *text,
                                 const char **key, const char **lo, const char **hi, struct err *e)
{
    char *copy = arena_strdup(a, text), *equals = strchr(copy, '=');
    *key = copy;
    *lo = *hi = NULL;
    if (equals) {
        char *dots = strstr(equals, "..");
        *equals = 0;
        *lo = equals + 1;
        if (!dots || dots == *lo || !dots[2])
            return err_set(e, ERR_INPUT, "%s: expected KEY=LO..HI, got \"%.60s\"", option, text);
        *dots = 0;
        *hi = dots + 2;
    }
    return copy[0] ? OK : err_set(e, ERR_INPUT, "%s: expected the name of a key", option);
}

static enum err_code find_smallest(struct capacity *c, const char *text, bool *is_found,
                                   size_t *index, struct err *e)
{
    const char *key, *lo_text, *hi_text, *keys[MAX_KEYS];
    double lo = MIN_RATE_BPS, hi = MAX_RATE_BPS;
    size_t n_keys = 0;
    enum err_code code =
        split_range(&c->vs->arena, "--smallest", text, &key, &lo_text, &hi_text, e);
    if (!code && lo_text &&
        ((code = text_quantity(lo_text, UNIT_RATE_BPS, MIN_RATE_BPS, MAX_RATE_BPS, &lo, e)) ||
         (code = text_quantity(hi_text, UNIT_RATE_BPS, lo, MAX_RATE_BPS, &hi, e))))
        err_in(e, code, "--smallest %s", key);
    if (code)
        return code;
    char *list = arena_strdup(&c->vs->arena, key);
    for (char *at = list; at; n_keys++) {
        if (n_keys == MAX_KEYS)
            return err_set(e, ERR_LIMIT, "--smallest: expected at most %d keys", MAX_KEYS);
        char *comma = strchr(at, ',');
        keys[n_keys] = at;
        if (comma)
            *comma++ = 0;
        at = comma;
    }
    return capacity_smallest(c, n_keys, keys, lo, hi, is_found, index, e);
}

static enum err_code find_largest(struct capacity *c, const char *text, int64_t n_clients,
                                  bool *is_found, size_t *index, struct err *e)
{
    const char *key, *lo_text, *hi_text;
    int64_t lo = 1, hi = n_clients;
    enum err_code code = split_range(&c->vs->arena, "--largest", text, &key, &lo_text, &hi_text, e);
    if (!code && lo_text &&
        ((code = text_int(lo_text, 0, INT64_MAX / 4, &lo, e)) ||
         (code = text_int(hi_text, lo, INT64_MAX / 4, &hi, e))))
        err_in(e, code, "--largest %s", key);
    return code ? code : capacity_largest(c, key, lo, hi, is_found, index, e);
}

/* --- the answer --- */

static void print_taken(const struct capacity *c, const struct probe *p)
{
    int nearest = limits_nearest(&c->limits, p->taken);
    for (int i = 0; i < N_LIMITS; i++) {
        char is[48], most[48];
        if (isnan(p->taken[i]))
            continue;
        limits_format(is, (enum limit)i, p->taken[i]);
        printf("  %-8s %s", limits_name((enum limit)i), is);
        if (isfinite(c->limits.most[i])) {
            limits_format(most, (enum limit)i, c->limits.most[i]);
            printf(" of %s%s", most, i == nearest ? ", the limit that binds" : "");
        }
        putchar('\n');
    }
    const struct summary_record *s = &c->vs->variant[p->variant].summary;
    char comp[32], comm[32];
    progress_time(comp, s->mean_t_comp_s);
    progress_time(comm, s->mean_t_comm_s);
    printf("of a round %s training, %s communication\n", comp, comm);
}

static enum err_code print_gains(struct capacity *c, size_t index, struct err *e)
{
    struct gain *g;
    size_t n;
    enum err_code code = capacity_gains(c, index, &g, &n, e);
    if (code)
        return code;
    struct arena *a = &c->vs->arena;
    size_t n_rows = n < MAX_GAINS ? n : MAX_GAINS;
    struct cells *t = cells_new(a, n_rows + 1, 3);
    cells_put(t, 0, 0, "a tenth more of (latency: less)");
    cells_put(t, 0, 1, "now");
    cells_put(t, 0, 2, "shortens a round by");
    for (size_t i = 0; i < n_rows; i++) {
        cells_put(t, i + 1, 0, g[i].part);
        cells_put(t, i + 1, 1, g[i].now);
        cells_put(t, i + 1, 2,
                  isnan(g[i].share) ? "-" : arena_printf(a, "%.2f %%", 100 * g[i].share));
    }
    cells_measure(t);
    putchar('\n');
    for (size_t i = 0; i <= n_rows; i++)
        cells_print_row(t, stdout, i, 0, 3);
    if (n > n_rows)
        printf("... and %zu that bring no more\n", n - n_rows);
    if (n > 0 && g[0].share > 0)
        printf("what binds, and to upgrade first: %s\n", g[0].part);
    return OK;
}

static enum err_code answer(struct capacity *c, const char *what, bool is_found, size_t index,
                            struct err *e)
{
    const struct probe p = c->probe[index];
    printf("%s %s\n", p.label, is_found ? what : "does not meet the limits:");
    enum err_code code = OK;
    if (p.has_run) {
        print_taken(c, &p);
        code = print_gains(c, index, e);
    }
    const char *path = arena_printf(&c->vs->arena, "%s/plan.csv", c->vs->folder);
    if (!code)
        code = capacity_write(c, path, e);
    if (!code)
        printf("\n%zu points: %s\n", c->n_probes, path);
    if (!code && !is_found)
        code = err_set(e, ERR_LIMIT, "no answer: with %s, %s", p.label, p.message);
    return code;
}

static enum err_code find_cheapest(struct capacity *c, const char *path, bool *is_found,
                                   size_t *index, struct err *e)
{
    struct options o = {0};
    enum err_code code = options_read(&o, &c->vs->arena, path, &c->prices, e);
    if (!code)
        code = options_cheapest(c, &o, is_found, index, e);
    if (!code)
        options_print(c, &o, stdout);
    return code;
}

static enum err_code plan(const struct args *a, struct capacity *c, int64_t n_clients,
                          struct err *e)
{
    bool is_found = false;
    size_t index = 0;
    enum err_code code = OK;
    for (size_t i = 0; i < a->limits.n && !code; i++)
        code = limits_parse(&c->limits, a->limits.value[i], e);
    for (size_t i = 0; i < a->prices.n && !code; i++)
        code = prices_parse(&c->prices, a->prices.value[i], e);
    if (code)
        return code;
    if (!a->cheapest && a->limits.n == 0)
        return err_set(e, ERR_INPUT, "expected at least one --limit, such as --limit round=30s");
    if (!a->cheapest && isfinite(c->limits.most[LIMIT_MONEY]) && !c->prices.are_known)
        return err_set(e, ERR_INPUT, "--limit money: expected a --price, such as --price gb=2.5");
    if (a->smallest)
        code = find_smallest(c, a->smallest, &is_found, &index, e);
    else if (a->largest)
        code = find_largest(c, a->largest, n_clients, &is_found, &index, e);
    else
        code = find_cheapest(c, a->cheapest, &is_found, &index, e);
    if (code)
        return code;
    return answer(c,
                  a->smallest  ? "is the smallest that meets the limits:"
                  : a->largest ? "is the largest that meets the limits:"
                               : "is the cheapest that meets the limits:",
                  is_found, index, e);
}

enum err_code cmd_plan(int argc, char **argv, struct err *e)
{
    struct args a = {0};
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    struct log log;
    struct variants vs = {.lock = -1};
    struct capacity c = {0};
    struct scenario *s = NULL;
    struct arena arena = {0};
    if (!!a.smallest + !!a.largest + !!a.cheapest != 1)
        return err_set(e, ERR_INPUT, "expected one of --smallest, --largest and --cheapest");
    log_init(&log, false);
    code = scenario_load(&s, a.scenario, a.sets.n, a.sets.value, e);
    if (code)
        goto done;
    char *beside = file_folder_of(a.scenario);
    const char *folder = arena_printf(&arena, "%s/runs/plan-%s", beside, s->name);
    mem_free(beside);
    if ((code = variants_open(&vs, a.out ? a.out : folder, e)) ||
        (code = capacity_open(&c, &vs, a.scenario, &a.sets, &log, e)))
        goto done;
    code = plan(&a, &c, (int64_t)s->n_clients, e);
done:
    capacity_close(&c);
    variants_close(&vs);
    scenario_close(s);
    arena_free(&arena);
    return code;
}
