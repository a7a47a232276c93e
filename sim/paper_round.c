#include "sim/paper_round.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/closed.h"
#include "sim/costs.h"
#include "sim/run.h"

static const char SCENARIO[] = "{ \"network\": { \"topology\": \"%s\" },\n"
                               "  \"clients\": { \"count\": 100, \"device\": \"%s\" },\n"
                               "  \"model\": { \"costs_of\": \"%s\", \"train\": \"none\" },\n"
                               "  \"federation\": { \"rounds\": 1, \"clients_per_round\": %d, "
                               "\"local_steps\": %d, \"batch\": 1,\n"
                               "                  \"payload\": \"%s\" } }\n";

static enum err_code closed_comm(const struct scenario *s, double *out_s, struct err *e)
{
    struct topology_group group = {"clients", &s->group[0].access, s->n_clients};
    struct plan *plan = NULL;
    enum err_code code =
        topology_plan(&plan, &s->network, 1, &group, s->federation.clients_per_round, e);
    if (code)
        return code;
    *out_s = 0;
    for (int dir = 0; dir < N_NET_DIRS; dir++) {
        double bytes = scenario_payload_bytes(s, &s->model.costs, false, (enum net_dir)dir);
        *out_s += closed_time(plan, 0, (enum net_dir)dir, bytes, 1).total_s;
    }
    plan_close(plan);
    return OK;
}

static enum err_code simulate(const struct paper_case *c, struct paper_round *out, struct err *e)
{
    char text[1024];
    snprintf(text, sizeof(text), SCENARIO, c->is_lte ? "lte" : "wired", paper_device(c->device),
             paper_architecture(c->model), PAPER_CLIENTS, PAPER_LOCAL_STEPS,
             c->is_full ? "full" : "lora");
    struct scenario *s = NULL;
    enum err_code code = scenario_read(&s, "the study's round", text, e);
    if (code)
        return code;
    struct log log;
    struct summary_record r = {0};
    struct run_options o = {.n_workers = 1};
    log_init(&log, true);
    code = closed_comm(s, &out->closed_comm_s, e);
    if (!code)
        code = run_scenario(s, &o, &log, &r, NULL, e);
    out->duration_s = r.mean_duration_s;
    out->t_comp_s = r.mean_t_comp_s;
    out->t_comm_s = r.mean_t_comm_s;
    out->granularity = r.mean_granularity;
    out->comm_kwh = r.comm_kwh;
    out->device_kwh = r.device_kwh;
    scenario_close(s);
    return code;
}

/* What a child sends back, in one piece smaller than a pipe holds. */
struct answer {
    enum err_code code;
    struct paper_round round;
    struct err err;
};

struct child {
    pid_t pid;
    int from;
};

static enum err_code start(struct child *out, const struct paper_case *c, struct err *e)
{
    int ends[2];
    if (pipe(ends) != 0)
        return err_set(e, ERR_IO, "no pipe to a child process");
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return err_set(e, ERR_MEMORY, "no child process");
    }
    if (pid == 0) {
        struct answer a = {0};
        a.code = simulate(c, &a.round, &a.err);
        _exit(write(ends[1], &a, sizeof(a)) == (ssize_t)sizeof(a) ? 0 : 1);
    }
    close(ends[1]);
    *out = (struct child){pid, ends[0]};
    return OK;
}

static enum err_code finish(const struct child *c, struct paper_round *out, struct err *e)
{
    struct answer a;
    bool is_read = read(c->from, &a, sizeof(a)) == (ssize_t)sizeof(a);
    int status = 0;
    close(c->from);
    waitpid(c->pid, &status, 0);
    if (!is_read || status != 0)
        return err_set(e, ERR_INTERNAL, "a simulated round died");
    if (a.code)
        return err_set(e, a.code, "a simulated round: %s", a.err.text);
    *out = a.round;
    return OK;
}

enum err_code paper_rounds(size_t n, const struct paper_case *cases, struct paper_round *rounds,
                           struct err *e)
{
    enum { MAX_CHILDREN = 64 };
    struct child child[MAX_CHILDREN];
    size_t cores = (size_t)run_cores(), at_once = cores < MAX_CHILDREN ? cores : MAX_CHILDREN;
    struct err dropped;
    enum err_code code = OK;
    fflush(NULL);
    for (size_t i = 0; i < n && !code; i += at_once) {
        size_t n_started = 0;
        for (; n_started < at_once && i + n_started < n && !code; n_started += !code)
            code = start(&child[n_started], &cases[i + n_started], e);
        for (size_t j = 0; j < n_started; j++) {
            enum err_code ended = finish(&child[j], &rounds[i + j], code ? &dropped : e);
            code = code ? code : ended;
        }
    }
    return code;
}
