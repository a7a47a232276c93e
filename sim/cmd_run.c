#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "models/crew.h"
#include "sim/base/text.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/progress.h"
#include "sim/run.h"
#include "sim/spawn.h"

enum { MAX_WORKERS = 1024, MAX_SHORT = 4 };

struct args {
    const char *scenario;
    struct cli_list sets;
    const char *backend, *precision;
    int64_t workers, seed, gpus, parent;
    struct cache_args cache;
    bool is_quiet;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    const struct cli_option options[] = {
        CLI_LIST("set", "KEY=VALUE", "change one value of the scenario; may be repeated", &a->sets),
        CLI_INT("workers", "N", "threads that train (default: one per core)", 1, MAX_WORKERS,
                &a->workers),
        CLI_INT("seed", "N", "the same as --set seed=N", 0, SCENARIO_MAX_SEED, &a->seed),
        CLI_TEXT("backend", "NAME", "auto, cpu or cuda: the same as --set compute.backend=NAME", &a->backend),
        CLI_TEXT("precision", "NAME", "float32 or bf16: the same as --set compute.precision=NAME",
                 &a->precision),
        CLI_INT("gpus", "N", "the same as --set compute.gpus=N", 1, CREW_MAX_PARTS, &a->gpus),
        CACHE_OPTIONS(a->cache),
        CLI_FLAG("quiet", "print nothing but errors", &a->is_quiet),
        CLI_INT("parent", "PID", "end at once when this process ends (compare and sweep say so)", 1, INT32_MAX,
                &a->parent),
        CLI_END,
    };
    const struct cli cli = {
        .command = "run",
        .arguments = "SCENARIO",
        .what = "simulates the network and trains for real; writes the results into output.dir",
        .option = options,
        .min_args = 1,
        .max_args = 1,
        .examples =
            "  veryedge run scenarios/quickstart.json\n"
            "  veryedge run scenarios/quickstart.json --set network.up=5Mbps --set output.dir=runs/slow\n"};
    size_t n_args = 0;
    return cli_parse(&cli, argc, argv, &a->scenario, &n_args, is_help, e);
}

/* An option that is short for an assignment. */
static void add_word(struct cli_list *sets, char text[64], const char *key, const char *word)
{
    if (!word)
        return;
    snprintf(text, 64, "%s=%.40s", key, word);
    sets->value[sets->n++] = text;
}

static void print_energy(const char *what, double kwh)
{
    if (kwh >= 0.1)
        printf("%s %.4g kWh", what, kwh);
    else
        printf("%s %.4g Wh", what, 1e3 * kwh);
}

static void print_closing(const struct scenario *s, const struct summary_record *r,
                          const struct run_performance *p)
{
    char virtual[32], real[32], down[32], up[32];
    progress_time(virtual, r->virtual_s);
    progress_time(real, p->open_s + p->run_s);
    text_format(down, sizeof(down), (double)r->bytes_down, UNIT_SIZE_BYTES);
    text_format(up, sizeof(up), (double)r->bytes_up, UNIT_SIZE_BYTES);
    printf("\n%" PRId64 " round%s, %s simulated in %s", r->rounds, r->rounds == 1 ? "" : "s", virtual,
           real);
    if (!isnan(r->mean_granularity))
        printf("; mean G %.4g", r->mean_granularity);
    printf("\n%s down, %s up; ", down, up);
    print_energy("network", r->comm_kwh);
    if (s->energy.accounting->warning)
        printf(" (%s)", s->energy.accounting->name);
    print_energy(", devices", r->device_kwh);
    bool is_heavy = r->carbon_g >= 1000;
    printf(", %.4g %s CO2e\n", is_heavy ? 1e-3 * r->carbon_g : r->carbon_g, is_heavy ? "kg" : "g");
    if (!isnan(r->first_eval_loss))
        printf("evaluation loss %.3f -> %.3f (best %.3f at round %" PRId64 ")", r->first_eval_loss,
               r->last_eval_loss, r->best_eval_loss, r->best_eval_round);
    if (!isnan(r->first_rouge1))
        printf(", ROUGE-1 %.1f -> %.1f", r->first_rouge1, r->last_rouge1);
    if (!isnan(r->first_eval_loss))
        putchar('\n');
    if (!isnan(r->test_loss))
        printf("test set: loss %.3f", r->test_loss);
    if (!isnan(r->test_rouge1))
        printf(", ROUGE-1 %.1f", r->test_rouge1);
    if (!isnan(r->test_loss))
        putchar('\n');
    printf("results in %s\na page about them: veryedge report %s\n", s->output.dir, s->output.dir);
}

enum err_code cmd_run(int argc, char **argv, struct err *e)
{
    struct args a = {.seed = -1};
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    if (a.sets.n > CLI_MAX_LIST - MAX_SHORT)
        return err_set(e, ERR_INPUT, "more than %d --set options", CLI_MAX_LIST - MAX_SHORT);
    char seed[64], backend[64], precision[64], gpus[64];
    if (a.seed >= 0) {
        snprintf(seed, sizeof(seed), "seed=%" PRId64, a.seed);
        a.sets.value[a.sets.n++] = seed;
    }
    add_word(&a.sets, backend, "compute.backend", a.backend);
    add_word(&a.sets, precision, "compute.precision", a.precision);
    if (a.gpus) {
        snprintf(gpus, sizeof(gpus), "compute.gpus=%" PRId64, a.gpus);
        a.sets.value[a.sets.n++] = gpus;
    }
    if (a.parent && (code = spawn_end_with(a.parent, e)))
        return code;
    struct scenario *s = NULL;
    struct log log;
    struct arena arena = {0};
    struct run_options o = {.n_workers = (int)a.workers, .has_files = true};
    struct summary_record summary = {0};
    struct run_performance performance = {0};
    code = cache_resolve(&o.cache, &a.cache, &arena, e);
    if (!code)
        code = scenario_load(&s, a.scenario, a.sets.n, a.sets.value, e);
    if (code)
        goto done;
    log_init(&log, a.is_quiet);
    code = run_scenario(s, &o, &log, &summary, &performance, e);
    if (!a.is_quiet && (!code || code == ERR_INTERRUPTED) && summary.name)
        print_closing(s, &summary, &performance);
done:
    scenario_close(s);
    arena_free(&arena);
    return code;
}
