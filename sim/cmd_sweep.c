#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cache.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/scenario.h"
#include "sim/sweep.h"

enum { MAX_JOBS = 1024 };

struct args {
    const char *scenario, *out;
    struct cli_list sets, vary, figures;
    int64_t n_jobs, n_workers;
    struct cache_args cache;
    bool is_fresh;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    const struct cli_option options[] = {
        CLI_LIST("vary", "KEY=V1,V2", "values of a key, instead of the scenario's \"sweep\"",
                 &a->vary),
        CLI_LIST("set", "KEY=VALUE", "change one value in all points; may be repeated", &a->sets),
        CLI_LIST("figure", "NAME",
                 "of summary.json, to draw; may be repeated (default: loss, G, comm_kwh)",
                 &a->figures),
        CLI_INT("jobs", "N", "runs at once (default: 1 while it trains anew, else one per core)", 1,
                MAX_JOBS, &a->n_jobs),
        CLI_INT("workers", "N", "threads that train in each run (default: the cores, shared)", 1,
                MAX_JOBS, &a->n_workers),
        CLI_TEXT("out", "DIR", "sweep.csv, sweep.svg, runs below (default: runs/sweep-NAME)",
                 &a->out),
        CACHE_OPTIONS(a->cache),
        CLI_FLAG("fresh", "run again what is there already", &a->is_fresh),
        CLI_END,
    };
    const struct cli cli = {
        .command = "sweep",
        .arguments = "SCENARIO",
        .what = "runs every combination of the values of some keys; asked again, it goes on where "
                "it was stopped",
        .option = options,
        .min_args = 1,
        .max_args = 1,
        .examples =
            "  veryedge sweep scenarios/network-only.json --vary network.up=5Mbps,10Mbps,20Mbps\n"
            "  veryedge sweep scenarios/network-only.json --vary network.up=5Mbps,20Mbps \\\n"
            "    --vary federation.clients_per_round=5,10,20 --figure virtual_s\n"
            "  veryedge sweep scenarios/network-only.json --vary energy.per_bit=j16,v15\n"};
    size_t n_args = 0;
    return cli_parse(&cli, argc, argv, &a->scenario, &n_args, is_help, e);
}

/* The scenario's own grid under the command line's, and the default folder. The scenario owns the
 * grid's texts. */
static enum err_code read_grid(const struct args *a, const struct scenario *s, struct grid *g,
                               struct arena *arena, const char **folder, struct err *e)
{
    enum err_code code = OK;
    *g = s->sweep;
    for (size_t i = 0; i < a->vary.n && !code; i++)
        code = grid_vary(g, arena, "--vary", a->vary.value[i], e);
    if (!code && g->n_keys == 0)
        code = err_set(e, ERR_INPUT,
                       "%s: expected \"sweep\": {KEY: [VALUE, ...]} in it, or --vary KEY=VALUE,...",
                       a->scenario);
    char *beside = file_folder_of(a->scenario);
    *folder = a->out ? a->out : arena_printf(arena, "%s/runs/sweep-%s", beside, s->name);
    mem_free(beside);
    return code;
}

static void add_all(const struct args *a, const struct grid *g, struct variants *vs)
{
    const char *sets[CLI_MAX_LIST + GRID_MAX_KEYS];
    memcpy(sets, a->sets.value, a->sets.n * sizeof(sets[0]));
    for (size_t point = 0; point < g->n_points; point++) {
        for (size_t i = 0; i < g->n_keys; i++)
            sets[a->sets.n + i] = grid_assignment(g, &vs->arena, point, i);
        variants_add(vs, grid_point_name(g, &vs->arena, point), a->scenario, a->sets.n + g->n_keys,
                     sets);
    }
}

static enum err_code put_results(const struct variants *vs, const struct grid *g,
                                 const struct sweep_figures *figures, const char *name,
                                 struct arena *arena, struct err *e)
{
    const char *warning = variants_warning(vs);
    if (warning)
        printf("%s\n", warning);
    sweep_print(vs, g, figures, stdout);
    sweep_draw(vs, g, figures, stdout);
    const char *csv = arena_printf(arena, "%s/sweep.csv", vs->folder);
    const char *svg = arena_printf(arena, "%s/sweep.svg", vs->folder);
    enum err_code code = sweep_write(vs, g, csv, e);
    if (!code && sweep_is_drawn(vs, g))
        code = sweep_svg(vs, g, figures, name, warning, svg, e);
    else if (!code)
        code = file_remove_tree(svg, e); /* a former sweep's */
    if (code)
        return code;
    printf("\n%zu runs, every figure of each: %s\n", vs->n, csv);
    if (sweep_is_drawn(vs, g))
        printf("the figures as curves: %s\n", svg);
    return OK;
}

static enum err_code sweep(const struct args *a, const char *name, struct variants *vs,
                           const struct grid *g, struct err *e)
{
    struct log log;
    struct sweep_figures figures;
    struct variant_options o = {
        .n_jobs = (int)a->n_jobs, .n_workers = (int)a->n_workers, .is_fresh = a->is_fresh};
    enum err_code code = sweep_figures(&figures, a->figures.n, a->figures.value, vs, e);
    if (!code)
        code = cache_resolve(&o.cache, &a->cache, &vs->arena, e);
    if (code)
        return code;
    log_init(&log, false);
    add_all(a, g, vs);
    if ((code = variants_check(vs, e)) || (code = variants_run(vs, &o, &log, e)) ||
        (code = variants_check(vs, e)))
        return code;
    if ((code = sweep_figures(&figures, a->figures.n, a->figures.value, vs, e)))
        return code;
    return put_results(vs, g, &figures, name, &vs->arena, e);
}

enum err_code cmd_sweep(int argc, char **argv, struct err *e)
{
    struct args a = {0};
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    struct arena arena = {0};
    struct grid grid;
    struct scenario *base = NULL;
    struct variants vs = {.lock = -1};
    const char *folder = NULL;
    code = scenario_load(&base, a.scenario, a.sets.n, a.sets.value, e);
    if (!code)
        code = read_grid(&a, base, &grid, &arena, &folder, e);
    if (!code)
        code = variants_open(&vs, folder, e);
    if (!code)
        code = sweep(&a, base->name, &vs, &grid, e);
    variants_close(&vs);
    scenario_close(base);
    arena_free(&arena);
    return code;
}
