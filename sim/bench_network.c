/* veryedge bench network: the simulator alone. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/bench.h"
#include "sim/cli.h"
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

static enum err_code time_cases(int repeats, struct err *e)
{
    printf("%-34s %9s %9s %9s %12s\n", "simulator alone, nothing trained", "median s", "min s",
           "max s", "peak MiB");
    for (int c = 0; c < N_CASES; c++) {
        double seconds[BENCH_MAX_REPEATS], peak = 0;
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

enum err_code bench_cmd_network(int argc, char **argv, struct err *e)
{
    int64_t repeats = 5;
    const struct cli_option options[] = {
        CLI_INT("repeats", "N", "timed runs of each case (default: 5)", 1, BENCH_MAX_REPEATS, &repeats),
        CLI_END,
    };
    const struct cli cli = {.command = "bench network",
                            .arguments = "",
                            .what = "times the simulator alone: nothing is trained, nothing written",
                            .option = options,
                            .examples = "  veryedge bench network --repeats 3\n"};
    size_t n_args = 0;
    bool is_help = false;
    enum err_code code = cli_parse(&cli, argc, argv, NULL, &n_args, &is_help, e);
    return code || is_help ? code : time_cases((int)repeats, e);
}
