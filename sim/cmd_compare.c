#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/cache.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/compare.h"
#include "sim/curves.h"
#include "sim/grid.h"
#include "sim/run.h"
#include "sim/variant.h"

enum { MAX_FILES = 64, MAX_VARIANTS = 1000, MAX_JOBS = 1024, MAX_SEEDS = 1000 };

struct args {
    const char *file[MAX_FILES], *out;
    size_t n_files;
    struct cli_list sets, vary, to_loss, to_rouge;
    int64_t n_seeds, n_jobs, n_workers;
    struct cache_args cache;
    bool is_fresh;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    const struct cli_option options[] = {
        CLI_LIST("vary", "KEY=V1,V2", "a variant for each value; several: for each combination",
                 &a->vary),
        CLI_LIST("set", "KEY=VALUE", "change one value in all variants; may be repeated", &a->sets),
        CLI_INT("seeds", "N", "run each with N seeds: means, 95 % intervals (default: 1)", 1,
                MAX_SEEDS, &a->n_seeds),
        CLI_LIST("to-loss", "X",
                 "what it takes to this loss, or to \"last\", the first one's; may be repeated",
                 &a->to_loss),
        CLI_LIST("to-rouge", "X", "the same to this ROUGE-1; may be repeated", &a->to_rouge),
        CLI_INT("jobs", "N", "runs at once (default: 1 while it trains anew, else one per core)", 1,
                MAX_JOBS, &a->n_jobs),
        CLI_INT("workers", "N", "threads that train in each run (default: the cores, shared)", 1,
                MAX_JOBS, &a->n_workers),
        CLI_TEXT("out", "DIR", "compare.csv, compare.svg, runs below (default: runs/compare-NAME)",
                 &a->out),
        CACHE_OPTIONS(a->cache),
        CLI_FLAG("fresh", "run again what is there already", &a->is_fresh),
        CLI_END,
    };
    const struct cli cli = {
        .command = "compare",
        .arguments = "SCENARIO...",
        .what = "runs variants with the same seeds; every main figure side by side",
        .option = options,
        .min_args = 1,
        .max_args = MAX_FILES,
        .examples = "  veryedge compare scenarios/quickstart.json scenarios/wired.json\n"
                    "  veryedge compare scenarios/network-only.json --vary "
                    "network.topology=lte,wired --seeds 5\n"
                    "  veryedge compare a.json b.json --to-loss 1 --to-loss 0.5 --to-loss last\n"};
    return cli_parse(&cli, argc, argv, a->file, &a->n_files, is_help, e);
}

/* "lte.json" -> "lte". */
static const char *short_name(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".json") == 0)
        n -= 5;
    return arena_printf(a, "%.*s", (int)n, base);
}

/* Of the variant: the file where there are several, by its path where names collide, and the point.
 */
static const char *label_of(const struct args *a, struct arena *arena, size_t file,
                            const char *point)
{
    const char *name = short_name(arena, a->file[file]);
    for (size_t i = 0; i < a->n_files; i++)
        if (i != file && strcmp(short_name(arena, a->file[i]), name) == 0)
            name = a->file[file];
    if (!point[0])
        return name;
    return a->n_files == 1 ? point : arena_printf(arena, "%s, %s", name, point);
}

static enum err_code read_grid(const struct args *a, struct grid *g, struct arena *arena,
                               struct err *e)
{
    enum err_code code = OK;
    grid_init(g);
    for (size_t i = 0; i < a->vary.n && !code; i++)
        code = grid_vary(g, arena, "--vary", a->vary.value[i], e);
    for (size_t i = 0; i < g->n_keys && !code; i++)
        if (strcmp(grid_key(g, i), "seed") == 0)
            code =
                err_set(e, ERR_INPUT, "--vary seed: all variants have the same seeds, see --seeds");
    for (size_t i = 0; i < a->n_files && !code; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(a->file[i], a->file[j]) == 0)
                code = err_set(e, ERR_INPUT, "%s: expected every scenario once", a->file[i]);
    size_t n = a->n_files * g->n_points * (size_t)a->n_seeds;
    if (!code && n < 2)
        code = err_set(e, ERR_INPUT, "expected a second scenario, or --vary KEY=VALUE,VALUE");
    if (!code && a->n_files * g->n_points > MAX_VARIANTS)
        code = err_set(e, ERR_LIMIT, "expected at most %d variants, got %zu", MAX_VARIANTS, n);
    return code;
}

static const char *folder_of(const struct args *a, struct arena *arena)
{
    char *folder = file_folder_of(a->file[0]);
    const char *out =
        arena_printf(arena, "%s/runs/compare-%s", folder, short_name(arena, a->file[0]));
    mem_free(folder);
    return a->out ? a->out : out;
}

/* Seeds of all variants: the first one's own, and those that follow. */
static enum err_code read_seeds(const struct args *a, const struct grid *g, struct arena *arena,
                                uint64_t *seed, struct err *e)
{
    struct scenario *s = NULL;
    const char *sets[CLI_MAX_LIST + GRID_MAX_KEYS];
    uint64_t first = 1;
    struct err why = {0};
    memcpy(sets, a->sets.value, a->sets.n * sizeof(sets[0]));
    for (size_t i = 0; i < g->n_keys; i++)
        sets[a->sets.n + i] = grid_assignment(g, arena, 0, i);
    if (!scenario_load(&s, a->file[0], a->sets.n + g->n_keys, sets, &why))
        first = s->seed;
    scenario_close(s);
    if (first + (uint64_t)a->n_seeds - 1 > (uint64_t)SCENARIO_MAX_SEED)
        return err_set(e, ERR_LIMIT, "seeds from %" PRIu64 " on: expected none above 2^53", first);
    for (size_t i = 0; i < (size_t)a->n_seeds; i++)
        seed[i] = first + i;
    return OK;
}

/* Adds n_seeds runs per variant, in the order of the table. */
static void add_all(const struct args *a, const struct grid *g, struct variants *vs,
                    struct comparison *c)
{
    const char *sets[CLI_MAX_LIST + GRID_MAX_KEYS + 1];
    memcpy(sets, a->sets.value, a->sets.n * sizeof(sets[0]));
    for (size_t file = 0; file < a->n_files; file++)
        for (size_t point = 0; point < g->n_points; point++) {
            const char *name = grid_point_name(g, &vs->arena, point);
            size_t v = file * g->n_points + point, n = a->sets.n;
            c->label[v] = label_of(a, &vs->arena, file, name);
            for (size_t i = 0; i < g->n_keys; i++)
                sets[n++] = grid_assignment(g, &vs->arena, point, i);
            for (size_t s = 0; s < c->n_seeds; s++) {
                sets[n] = arena_printf(&vs->arena, "seed=%" PRIu64, c->seed[s]);
                variants_add(vs, arena_printf(&vs->arena, "%s, %s", c->label[v], sets[n]),
                             a->file[file], n + 1, sets);
            }
        }
}

/* The message of a variant's first failed seed. */
static void mark_failed(const struct variants *vs, struct comparison *c, struct arena *arena)
{
    for (size_t v = 0; v < c->n_variants; v++)
        for (size_t s = 0; s < c->n_seeds && !c->message[v]; s++) {
            const struct variant *run = &vs->variant[v * c->n_seeds + s];
            if (run->state != VARIANT_FAILED)
                continue;
            c->message[v] = c->n_seeds == 1 ? run->message
                                            : arena_printf(arena, "seed %" PRIu64 ": %s",
                                                           c->seed[s], run->message);
        }
}

static enum err_code fill(const struct variants *vs, struct comparison *c, struct err *e)
{
    enum err_code code = OK;
    for (size_t s = 0; s < c->n_seeds; s++) {
        if (!c->message[0])
            comparison_first(c, s, &vs->variant[s].summary);
        for (size_t v = 0; v < c->n_variants && !code; v++) {
            const struct variant *run = &vs->variant[v * c->n_seeds + s];
            if (!c->message[v])
                code = comparison_fill(c, v, s, run->folder, &run->summary, e);
        }
    }
    return code;
}

static enum err_code compare(const struct args *a, struct variants *vs, const struct grid *g,
                             const struct goals *goals, struct err *e)
{
    struct log log;
    struct arena *arena = &vs->arena;
    uint64_t *seed = ARENA_NEW(arena, uint64_t, (size_t)a->n_seeds);
    struct comparison *c =
        comparison_new(arena, a->n_files * g->n_points, (size_t)a->n_seeds, seed, goals);
    struct variant_options o = {
        .n_jobs = (int)a->n_jobs, .n_workers = (int)a->n_workers, .is_fresh = a->is_fresh};
    enum err_code code = read_seeds(a, g, arena, seed, e);
    if (!code)
        code = cache_resolve(&o.cache, &a->cache, arena, e);
    if (code)
        return code;
    log_init(&log, false);
    add_all(a, g, vs, c);
    if ((code = variants_check(vs, e)) || (code = variants_run(vs, &o, &log, e)) ||
        (code = variants_check(vs, e)))
        return code;
    mark_failed(vs, c, arena);
    if ((code = fill(vs, c, e)))
        return code;
    if (variants_warning(vs))
        printf("%s\n", variants_warning(vs));
    comparison_print(c, stdout);
    const char *path = arena_printf(arena, "%s/compare.csv", vs->folder);
    code = comparison_write(c, path, e);
    if (!code)
        code = curves_put(vs, c->n_seeds, c->label, e);
    if (!code)
        printf("every figure of every run: %s\n", path);
    return code;
}

enum err_code cmd_compare(int argc, char **argv, struct err *e)
{
    struct args a = {.n_seeds = 1};
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    struct arena arena = {0};
    struct grid grid;
    struct goals goals;
    struct variants vs = {.lock = -1};
    code = goals_parse(&goals, &a.to_loss, &a.to_rouge, e);
    if (!code)
        code = read_grid(&a, &grid, &arena, e);
    if (!code)
        code = variants_open(&vs, folder_of(&a, &arena), e);
    if (!code)
        code = compare(&a, &vs, &grid, &goals, e);
    variants_close(&vs);
    arena_free(&arena);
    return code;
}
