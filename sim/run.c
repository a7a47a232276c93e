#define _GNU_SOURCE /* sched_getaffinity: cores this process may use, not those of the machine */
#include "sim/run.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/wall.h"
#include "sim/books.h"
#include "sim/costs.h"
#include "sim/emissions.h"
#include "sim/keep.h"
#include "sim/learner.h"
#include "sim/outdir.h"
#include "sim/pick.h"
#include "sim/pool.h"
#include "sim/progress.h"
#include "sim/server.h"
#include "sim/sink.h"
#include "sim/version.h"

struct run {
    const struct scenario *s;
    const struct run_options *o;
    struct log *log;
    struct outdir dir;
    struct pool *pool;
    struct store *store;
    struct learner *learner;
    struct costs costs;
    struct plan *plan;
    bool *used;
    struct network *network;
    struct books books;
    struct sinks *sinks;
    struct keep keep;
    struct progress progress;
    struct server *server;
    struct run_performance perf;
    struct backend_choice choice; /* what trains; zero when nothing is trained */
};

int run_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return CPU_COUNT(&set);
}

static bool is_labelled(const struct run *r)
{
    return record_is_labelled(r->s->energy.accounting->name);
}

/* --- opening --- */

enum err_code run_settle(struct scenario *s, struct backend_choice *out, struct err *e)
{
    if (s->model.train == SCENARIO_NONE)
        return OK;
    enum err_code code = backend_pick(out, s->compute.backend, s->compute.precision, e);
    if (code)
        return err_in(e, code, "%s: compute", s->path);
    s->compute.backend = out->ops->name;
    return OK;
}

static void say_backend(const struct run *r)
{
    const struct backend_choice *c = &r->choice;
    /* Where no driver is loaded nobody expects a GPU to be taken. */
    bool has_driver = file_exists("/dev/nvidiactl") || file_exists("/dev/nvhost-gpu");
    if (c->passed_over[0] && has_driver)
        log_note(r->log, "no GPU is used: %s", c->passed_over);
    char threads[32] = "";
    if (c->ops->is_host) /* a GPU has no use for them */
        snprintf(threads, sizeof(threads), ", %d worker%s", r->perf.n_workers,
                 r->perf.n_workers == 1 ? "" : "s");
    log_note(r->log, "backend %s, %s%s: %s", c->ops->name, c->ops->precision, threads, c->about);
}

/* Parts of a cohort, none of them empty. */
static int n_parts_of(const struct scenario *s)
{
    size_t k = s->federation.clients_per_round;
    return k < (size_t)s->compute.n_gpus ? (int)k : s->compute.n_gpus;
}

static void say_gpus(const struct run *r)
{
    int n_parts = n_parts_of(r->s), n = learner_devices(r->learner);
    if (n_parts > 1 && r->choice.ops->is_host)
        log_note(r->log, "compute.gpus: the CPU trains a cohort's %d parts one after another", n_parts);
    else if (n_parts > n)
        log_note(r->log, "compute.gpus: a cohort's %d parts share the %d GPU%s here", n_parts, n, n == 1 ? "" : "s");
    else if (n_parts > 1)
        log_note(r->log, "compute.gpus: a cohort's %d parts are trained by a GPU each, at the same time", n_parts);
    else if (r->choice.n_devices > 1)
        log_note(r->log, "%d GPUs of this kind are here, one is used: --gpus %d takes them all",
                 r->choice.n_devices, r->choice.n_devices);
}

static enum err_code open_learner(struct run *r, struct err *e)
{
    const struct scenario *s = r->s;
    if (s->model.train == SCENARIO_NONE)
        return pool_open(&r->pool, 1, e);
    enum err_code code = cache_open(&r->store, &r->o->cache, r->log, e);
    if (code)
        return code;
    struct learner_spec spec = {.weights = s->model.weights,
                                .backend = backend_with(s->compute.backend, s->compute.precision),
                                .is_full = s->model.train == SCENARIO_FULL,
                                .lora = s->model.lora,
                                .adapter = s->model.adapter,
                                .data = s->data,
                                .split = s->split,
                                .hyper = s->federation.local,
                                .server = s->federation.server,
                                .seed = s->seed,
                                .n_clients = s->n_clients,
                                .n_per_round = s->federation.clients_per_round,
                                .n_rounds = s->federation.rounds,
                                .dealing = s->federation.dealing,
                                .chunk = (int)s->compute.chunk,
                                .n_parts = n_parts_of(s),
                                .memory_bytes = s->compute.memory_bytes,
                                .n_workers = r->perf.n_workers,
                                .eval_samples = s->evaluate.every ? s->evaluate.samples : 0,
                                .eval_batch = s->evaluate.batch,
                                .wants_rouge = s->evaluate.has_rouge,
                                .beams = s->evaluate.beams,
                                .max_new_tokens = s->evaluate.max_new_tokens,
                                .store = r->store};
    code = pool_open(&r->pool, learner_lanes(&spec), e);
    if (!code)
        code = learner_open(&r->learner, &spec, r->pool, e);
    if (code)
        return code;
    say_backend(r);
    say_gpus(r);
    char said[512];
    learner_describe(r->learner, said, sizeof(said));
    log_note(r->log, "%s", said);
    if (s->model.costs_of && strcmp(s->model.costs_of, s->model.weights) != 0)
        log_note(r->log, "%s is trained; payload, step times and device energy are those of %s",
                 s->model.weights, s->model.costs_of);
    return OK;
}

/* The selection is a function of the seed: only clients that some round picks need hosts and links. */
static void find_used(struct run *r)
{
    const struct scenario *s = r->s;
    size_t k = s->federation.clients_per_round, caps[3] = {0};
    size_t n_words = pick_scratch_words(s->n_clients);
    uint32_t *client = NULL;
    uint64_t *is_taken = NULL;
    mem_grow((void **)&client, &caps[0], k, sizeof(client[0]));
    mem_grow((void **)&is_taken, &caps[1], n_words, sizeof(is_taken[0]));
    mem_grow((void **)&r->used, &caps[2], s->n_clients, sizeof(r->used[0]));
    memset(is_taken, 0, n_words * sizeof(is_taken[0]));
    memset(r->used, 0, s->n_clients * sizeof(r->used[0]));
    size_t n_used = 0;
    for (uint32_t round = 1; round <= s->federation.rounds && n_used < s->n_clients; round++) {
        pick_cohort(s->seed, round, s->n_clients, k, client, is_taken);
        for (size_t i = 0; i < k; i++) {
            n_used += !r->used[client[i]];
            r->used[client[i]] = true;
        }
    }
    mem_free(client);
    mem_free(is_taken);
}

static enum err_code open_network(struct run *r, struct err *e)
{
    const struct scenario *s = r->s;
    struct arena scratch = {0};
    struct topology_group *g = ARENA_NEW(&scratch, struct topology_group, s->n_groups);
    for (size_t i = 0; i < s->n_groups; i++)
        g[i] = (struct topology_group){.name = s->group[i].name,
                                       .spec = &s->group[i].access,
                                       .n_clients = s->group[i].count};
    enum err_code code = topology_plan(&r->plan, &s->network, s->n_groups, g,
                                       s->federation.clients_per_round, e);
    arena_free(&scratch);
    if (code)
        return err_in(e, code, "%s: network", s->path);
    find_used(r);
    return network_open(&r->network, r->plan, r->used, e);
}

static enum err_code open_all(struct run *r, struct err *e)
{
    const struct scenario *s = r->s;
    enum err_code code = OK;
    if (r->o->has_files && (code = outdir_open(&r->dir, s->output.dir, e)))
        return err_in(e, code, "%s: output.dir", s->path);
    if ((code = open_learner(r, e)) || (code = costs_init(&r->costs, s, e)) ||
        (code = open_network(r, e)))
        return code;
    books_init(&r->books, r->plan, &s->energy.charged, s->energy.carbon_g_per_kwh);
    pool_watch(r->pool); /* until here Ctrl-C simply ends the process: nothing is on the disk */
    if (r->o->has_files && (code = outdir_begin(&r->dir, e)))
        return err_in(e, code, "%s: output.dir", s->path);
    if (r->o->has_files && (code = sinks_open(&r->sinks, r->dir.aside, is_labelled(r), e)))
        return code;
    if (s->energy.accounting->warning && !r->log->is_quiet)
        printf("%s\n", s->energy.accounting->warning);
    r->keep = (struct keep){.scenario = s, .learner = r->learner, .folder = r->dir.aside};
    progress_init(&r->progress, r->log, s->federation.rounds, r->learner != NULL);
    struct server_parts parts = {.scenario = s,
                                 .network = r->network,
                                 .costs = &r->costs,
                                 .books = &r->books,
                                 .learner = r->learner,
                                 .pool = r->pool,
                                 .sinks = r->sinks,
                                 .keep = r->o->has_files ? &r->keep : NULL,
                                 .progress = &r->progress};
    return server_open(&r->server, &parts, e);
}

static void close_all(struct run *r)
{
    sinks_abandon(r->sinks);
    outdir_abandon(&r->dir); /* first: a second Ctrl-C during the wait leaves nothing either */
    learner_stop(r->learner);
    pool_close(r->pool); /* waits for jobs that still use what follows */
    server_close(r->server);
    books_fini(&r->books);
    network_close(r->network);
    plan_close(r->plan);
    mem_free(r->used);
    costs_fini(&r->costs);
    learner_close(r->learner);
    store_close(r->store);
}

/* --- results --- */

static enum err_code put_element(void *user, const struct element_record *record, struct err *e)
{
    struct run *r = user;
    return sinks_row(r->sinks, record_elements(is_labelled(r)), record, e);
}

static enum err_code write_json(struct run *r, const char *name, struct json_out *o, struct err *e)
{
    char *path = file_join(r->dir.aside, name);
    struct arena scratch = {0};
    const char *text = arena_printf(&scratch, "%s\n", o->text);
    enum err_code code = file_replace(path, text, strlen(text), e);
    arena_free(&scratch);
    mem_free(path);
    json_out_fini(o);
    return code;
}

void run_scenario_text(const struct scenario *s, struct json_out *o)
{
    json_out_init(o);
    json_out_begin(o, NULL, '{');
    scenario_write(s, o, false);
    version_write(o, "built_with");
    json_out_end(o, '}');
}

static enum err_code write_scenario(struct run *r, struct err *e)
{
    struct json_out o;
    run_scenario_text(r->s, &o);
    return write_json(r, "scenario.json", &o, e);
}

static enum err_code write_performance(struct run *r, struct err *e)
{
    const struct run_performance *p = &r->perf;
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    json_out_double(&o, "open_s", p->open_s);
    json_out_double(&o, "run_s", p->run_s);
    json_out_double(&o, "train_s", p->train_s);
    json_out_double(&o, "evaluate_s", p->evaluate_s);
    json_out_double(&o, "tokens_trained", p->tokens);
    json_out_double(&o, "tokens_per_s", p->train_s > 0 ? p->tokens / p->train_s : 0);
    json_out_double(&o, "peak_bytes", p->peak_bytes);
    json_out_int(&o, "workers", p->n_workers);
    json_out_string(&o, "trained_on", r->choice.ops ? r->choice.about : "none");
    if (r->store) {
        json_out_begin(&o, "cache", '{');
        json_out_string(&o, "folder", r->o->cache.folder);
        json_out_int(&o, "passes", (int64_t)p->counts.n_passes);
        json_out_int(&o, "passes_known", (int64_t)p->counts.n_known_passes);
        json_out_int(&o, "evaluations", (int64_t)p->counts.n_evaluations);
        json_out_int(&o, "evaluations_known", (int64_t)p->counts.n_known_evaluations);
        json_out_int(&o, "damaged", (int64_t)p->n_damaged);
        json_out_end(&o, '}');
    }
    json_out_end(&o, '}');
    return write_json(r, "performance.json", &o, e);
}

static enum err_code write_results(struct run *r, struct err *e)
{
    enum err_code code = books_elements(&r->books, put_element, r, e);
    if (!code)
        code = sinks_row(r->sinks, record_summary(), server_summary(r->server), e);
    struct emissions_record part[EMISSIONS_ROWS];
    emissions_of(server_summary(r->server), part);
    for (int i = 0; i < EMISSIONS_ROWS && !code; i++)
        code = sinks_row(r->sinks, record_emissions(), &part[i], e);
    if (code)
        return code;
    struct sinks *sinks = r->sinks;
    r->sinks = NULL;
    code = sinks_close(sinks, e);
    if (!code && r->learner)
        code = keep_final(&r->keep, (uint32_t)server_summary(r->server)->rounds, e);
    if (!code)
        code = write_scenario(r, e);
    if (!code)
        code = write_performance(r, e);
    return code ? code : outdir_commit(&r->dir, e);
}

static void measure(struct run *r, double opened_s)
{
    struct rusage usage;
    r->perf.run_s = wall_s() - opened_s;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        r->perf.peak_bytes = 1024.0 * (double)usage.ru_maxrss;
    if (!r->learner)
        return;
    r->perf.train_s = learner_train_wall_s(r->learner);
    r->perf.evaluate_s = learner_evaluate_wall_s(r->learner);
    r->perf.tokens = learner_tokens(r->learner);
    r->perf.counts = learner_counts(r->learner);
    if (!r->store)
        return;
    struct store_report report;
    store_report(r->store, &report);
    r->perf.n_damaged = report.n_damaged;
}

/* What came from the cache, and what was wrong with it. */
static void tell_cache(struct run *r)
{
    const struct learner_counts *c = &r->perf.counts;
    if (!r->store)
        return;
    log_note(r->log, "known from former runs: %zu of %zu training passes, %zu of %zu evaluations", c->n_known_passes,
             c->n_passes, c->n_known_evaluations, c->n_evaluations);
    cache_warn(r->store, r->log);
}

enum err_code run_scenario(struct scenario *s, const struct run_options *o, struct log *log,
                           struct summary_record *summary, struct run_performance *performance,
                           struct err *e)
{
    struct run r = {.s = s, .o = o, .log = log};
    r.perf.n_workers = o->n_workers > 0 ? o->n_workers : run_cores();
    double begun_s = wall_s();
    enum err_code code = run_settle(s, &r.choice, e);
    if (!code)
        code = open_all(&r, e);
    if (code)
        goto done;
    double opened_s = wall_s();
    r.perf.open_s = opened_s - begun_s;
    code = server_run(r.server, e);
    log_clear(log);
    if (code && code != ERR_INTERRUPTED)
        goto done;
    int64_t n_rounds = server_summary(r.server)->rounds;
    if (code && n_rounds == 0) {
        err_set(e, code, "before the first round was complete, so nothing is written");
        goto done;
    }
    if (code)
        err_set(e, code, "%" PRId64 " complete round%s kept", n_rounds,
                n_rounds == 1 ? " is" : "s are");
    measure(&r, opened_s);
    tell_cache(&r);
    if (o->has_files) {
        struct err why = {0};
        enum err_code written = write_results(&r, &why);
        if (written && e)
            *e = why;
        code = written ? written : code;
    }
    if (summary)
        *summary = *server_summary(r.server);
    if (performance)
        *performance = r.perf;
done:
    if (code == ERR_INTERRUPTED && r.learner)
        log_note(log, "waiting for the local step under way; Ctrl-C again ends at once");
    close_all(&r);
    return code;
}
