#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models/bench_train.h"
#include "sim/base/mem.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/run.h"

/* The network alone: nothing is trained, no files are written, one child process per run. */
struct network_case {
    const char *name;
    int clients, per_round, rounds;
};

static const struct network_case CASES[] = {
    {"K=10 of N=100, 1,000 rounds", 100, 10, 1000},
    {"K=10 of N=100, 10,000 rounds", 100, 10, 10000},
    {"K=100 of N=10,000, 1,000 rounds", 10000, 100, 1000},
    {"K=10,000 of N=10,000, 1 round", 10000, 10000, 1},
};
enum { N_CASES = sizeof(CASES) / sizeof(CASES[0]) };

enum { MAX_REPEATS = BENCH_MAX_REPEATS };

/* A cell of 50 clients shares its air; devices differ, so compute times do too. */
#define SCENARIO                                                                                   \
    "{ \"network\": { \"topology\": \"lte\", \"cell\": { \"clients\": 50, \"down\": \"150Mbps\", " \
    "\"up\": \"50Mbps\" }, \"server\": { \"down\": \"100Gbps\", \"up\": \"100Gbps\" } },\n"        \
    "  \"clients\": { \"count\": %d, \"groups\": [ { \"name\": \"orin\", \"share\": 0.5, "         \
    "\"device\": "                                                                                 \
    "\"agx-orin-64gb\" }, { \"name\": \"a100\", \"share\": 0.5, \"device\": \"a100-80gb\" } ] "    \
    "},\n"                                                                                         \
    "  \"model\": { \"costs_of\": \"flan-t5-small\", \"train\": \"none\" },\n"                     \
    "  \"federation\": { \"rounds\": %d, \"clients_per_round\": %d } }\n"

static enum err_code run_case(const struct network_case *c, struct run_performance *out,
                              struct err *e)
{
    char text[2048];
    snprintf(text, sizeof(text), SCENARIO, c->clients, c->rounds, c->per_round);
    struct scenario *s = NULL;
    enum err_code code = scenario_read(&s, "bench", text, e);
    if (!code) {
        struct log log;
        log_init(&log, true);
        struct run_options o = {.n_workers = 1};
        code = run_scenario(s, &o, &log, NULL, out, e);
    }
    scenario_close(s);
    return code;
}

/* One run in a child: SimGrid has one engine per process, and its peak memory is its own. */
static enum err_code run_in_child(const struct network_case *c, struct run_performance *out,
                                  struct err *e)
{
    int to_us[2];
    if (pipe(to_us) != 0)
        return err_set(e, ERR_IO, "no pipe to a child process");
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        close(to_us[0]);
        close(to_us[1]);
        return err_set(e, ERR_MEMORY, "no child process");
    }
    if (child == 0) {
        struct run_performance p = {0};
        struct err said = {0};
        enum err_code code = run_case(c, &p, &said);
        bool is_sent = write(to_us[1], &p, sizeof(p)) == (ssize_t)sizeof(p);
        if (code)
            fprintf(stderr, "%s\n", said.text);
        _exit(code || !is_sent ? 1 : 0);
    }
    close(to_us[1]);
    bool is_read = read(to_us[0], out, sizeof(*out)) == (ssize_t)sizeof(*out);
    close(to_us[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!is_read || status != 0)
        return err_set(e, ERR_INTERNAL, "%s: the run failed", c->name);
    return OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum err_code bench_network(int repeats, struct err *e)
{
    printf("%-34s %9s %9s %9s %12s\n", "simulator alone, nothing trained", "median s", "min s",
           "max s", "peak MiB");
    for (int c = 0; c < N_CASES; c++) {
        double seconds[MAX_REPEATS], peak = 0;
        for (int i = 0; i < repeats; i++) {
            struct run_performance p;
            enum err_code code = run_in_child(&CASES[c], &p, e);
            if (code)
                return code;
            seconds[i] = p.open_s + p.run_s;
            peak = p.peak_bytes > peak ? p.peak_bytes : peak;
        }
        qsort(seconds, (size_t)repeats, sizeof(seconds[0]), by_value);
        printf("%-34s %9.3f %9.3f %9.3f %12.1f\n", CASES[c].name, seconds[repeats / 2], seconds[0],
               seconds[repeats - 1], peak / 1048576.0);
        fflush(stdout);
    }
    return OK;
}

static enum err_code bench_train(int workers, int repeats, bool as_json, struct err *e)
{
    struct bench_cohort spec = bench_cohort_tiny();
    struct bench_cohort_result r;
    spec.n_threads = workers;
    spec.repeats = repeats;
    enum err_code code = bench_cohort(&r, &spec, e);
    if (code)
        return code;
    if (as_json) {
        printf("{\"workload\": \"train\", \"median_s\": %.6f, \"min_s\": %.6f, \"max_s\": %.6f, "
               "\"tokens\": %zu, \"bytes\": %zu, \"workers\": %d}\n",
               r.median_s, r.min_s, r.max_s, r.n_tokens, r.n_bytes, workers);
        return OK;
    }
    printf(
        "one round of %d clients x %d steps x mini-batch %d, T5 of width %d with %d + %d layers, "
        "rank %d\n%zu tokens, %d worker%s, %.0f MiB\n",
        spec.n_clients, spec.local_steps, spec.batch, spec.config.d_model, spec.config.n_enc,
        spec.config.n_dec, spec.lora.rank, r.n_tokens, workers, workers == 1 ? "" : "s",
        (double)r.n_bytes / 1048576.0);
    printf("median %.3f s (min %.3f, max %.3f), %.0f tokens/s\n", r.median_s, r.min_s, r.max_s,
           (double)r.n_tokens / r.median_s);
    return OK;
}

enum err_code cmd_bench(int argc, char **argv, struct err *e)
{
    int64_t repeats = 5, workers = run_cores();
    bool as_json = false;
    const struct cli_option options[] = {
        CLI_INT("repeats", "N", "timed runs of each case (default: 5)", 1, MAX_REPEATS, &repeats),
        CLI_INT("workers", "N", "threads that train (default: one per core)", 1, 1024, &workers),
        CLI_FLAG("json", "train: one line of JSON", &as_json),
        CLI_END,
    };
    const struct cli cli = {.command = "bench",
                            .arguments = "network|train",
                            .what = "times the simulator alone, or a cohort's training round",
                            .option = options,
                            .min_args = 1,
                            .max_args = 1,
                            .examples = "  veryedge bench network\n"
                                        "  veryedge bench train --workers 2\n"};
    const char *what = NULL;
    size_t n_args = 0;
    bool is_help = false;
    enum err_code code = cli_parse(&cli, argc, argv, &what, &n_args, &is_help, e);
    if (code || is_help)
        return code;
    if (strcmp(what, "network") == 0)
        return bench_network((int)repeats, e);
    if (strcmp(what, "train") == 0)
        return bench_train((int)workers, (int)repeats, as_json, e);
    return err_set(e, ERR_INPUT, "bench: expected network or train, got \"%s\"", what);
}
