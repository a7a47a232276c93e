#include "sim/server.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/pick.h"

#define NONE ((double)NAN) /* no such value: an empty cell */

enum server_state_of { SERVER_IDLE, SERVER_COHORT, SERVER_OVER };

enum { NO_TICKET = -1, MAX_WAITING = 3 }; /* evaluations that records wait for */

/* A finished round whose record waits for its evaluation or for records before it. */
struct pending {
    struct round_record record;
    int ticket;
};

struct server {
    struct server_parts p;
    enum server_state_of state;
    struct cohort cohort;
    uint32_t round;
    double start_s;
    bool is_labelled; /* the accounting is not literal */
    uint64_t *is_taken;
    size_t *arrived;
    struct account_part *part; /* of the arrived */
    struct pending *pending; /* [n_pending], oldest first */
    size_t n_pending, cap_pending;
    int n_tickets;
    double last_loss;
    bool has_diverged;
    struct summary_record summary;
    double sum_granularity;
    int64_t n_granularity;
    struct ledger_sum duration, t_comp, t_comm;
    enum err_code code;
    struct err err;
};

/* --- records out, in order --- */

static void take_evaluation(struct round_record *r, const struct eval_result *v)
{
    r->eval_loss = v->loss;
    if (v->has_rouge) {
        r->rouge1 = v->rouge1;
        r->rouge2 = v->rouge2;
        r->rougeL = v->rougeL;
        r->rougeLsum = v->rougeLsum;
    }
    if (v->has_facts)
        r->fact_recall = v->fact_recall;
}

static void summarise_evaluation(struct summary_record *s, const struct round_record *r)
{
    if (isnan(r->eval_loss))
        return;
    if (r->round == 0) {
        s->first_eval_loss = r->eval_loss;
        s->first_rouge1 = r->rouge1;
        s->first_rouge2 = r->rouge2;
        s->first_rougeL = r->rougeL;
        s->first_rougeLsum = r->rougeLsum;
        s->first_fact_recall = r->fact_recall;
    }
    s->last_eval_loss = r->eval_loss;
    s->last_rouge1 = r->rouge1;
    s->last_rouge2 = r->rouge2;
    s->last_rougeL = r->rougeL;
    s->last_rougeLsum = r->rougeLsum;
    s->last_fact_recall = r->fact_recall;
    if (s->best_eval_round < 0 || r->eval_loss < s->best_eval_loss) {
        s->best_eval_loss = r->eval_loss;
        s->best_eval_round = r->round;
    }
}

/* Once, with what the last round left: nothing may be chosen by these figures. */
static enum err_code judge_test(struct server *s, struct err *e)
{
    struct summary_record *t = &s->summary;
    struct round_record r = {.rouge1 = NONE, .rouge2 = NONE, .rougeL = NONE, .rougeLsum = NONE,
                             .fact_recall = NONE};
    struct eval_result v = {0};
    enum err_code code = learner_test(s->p.learner, &v, e);
    if (code)
        return code;
    take_evaluation(&r, &v);
    t->test_loss = r.eval_loss;
    t->test_rouge1 = r.rouge1;
    t->test_rouge2 = r.rouge2;
    t->test_rougeL = r.rougeL;
    t->test_rougeLsum = r.rougeLsum;
    t->test_fact_recall = r.fact_recall;
    return OK;
}

static void summarise_round(struct server *s, const struct round_record *r)
{
    struct summary_record *t = &s->summary;
    t->rounds++;
    t->virtual_s = r->end_s;
    ledger_sum_add(&s->duration, r->duration_s);
    ledger_sum_add(&s->t_comp, r->t_comp_s);
    ledger_sum_add(&s->t_comm, r->t_comm_s);
    if (isfinite(r->granularity)) {
        s->sum_granularity += r->granularity;
        s->n_granularity++;
    }
    t->selected += r->selected;
    t->arrived += r->arrived;
    t->rounds_without_result += r->arrived == 0;
    t->bytes_down += r->bytes_down;
    t->bytes_up += r->bytes_up;
    if (!isnan(r->train_loss))
        t->last_train_loss = r->train_loss;
}

static enum err_code emit(struct server *s, const struct round_record *r, struct err *e)
{
    enum err_code code = OK;
    if (r->round > 0) {
        summarise_round(s, r);
        if (s->p.sinks)
            code = sinks_row(s->p.sinks, record_rounds(), r, e);
    }
    summarise_evaluation(&s->summary, r);
    if (s->p.progress)
        progress_row(s->p.progress, r);
    return code;
}

static enum err_code emit_samples(struct server *s, int64_t round, int ticket, struct err *e)
{
    enum err_code code = OK;
    for (size_t i = 0; i < LEARNER_TEXTS && s->p.sinks && !code; i++) {
        const char *text = learner_text(s->p.learner, ticket, i);
        if (!text)
            break;
        const struct sample *sample = learner_heldout(s->p.learner, i);
        struct sample_record r = {.round = round,
                                  .sample = (int64_t)i,
                                  .dialogue = sample->dialogue,
                                  .reference = sample->summary,
                                  .summary = text};
        code = sinks_row(s->p.sinks, record_samples(), &r, e);
    }
    return code;
}

/* Emits the records at the head whose evaluation is there. wait_below: waits until fewer evaluations than that are
 * under way. */
static enum err_code flush(struct server *s, int wait_below, struct err *e)
{
    size_t done = 0;
    enum err_code code = OK;
    for (; done < s->n_pending && !code; done++) {
        struct pending *p = &s->pending[done];
        if (p->ticket != NO_TICKET) {
            struct eval_result v = {0};
            if (!learner_evaluated(s->p.learner, p->ticket, s->n_tickets >= wait_below, &v, &code, e))
                break;
            if (code)
                break;
            s->n_tickets--;
            take_evaluation(&p->record, &v);
            code = emit_samples(s, p->record.round, p->ticket, e);
            p->ticket = NO_TICKET;
        }
        if (!code)
            code = emit(s, &p->record, e);
    }
    s->n_pending -= done;
    if (s->n_pending)
        memmove(s->pending, s->pending + done, s->n_pending * sizeof(s->pending[0]));
    return code;
}

/* After an interruption: what is still being evaluated stays empty. */
static enum err_code flush_without_waiting(struct server *s, struct err *e)
{
    enum err_code code = OK;
    for (size_t i = 0; i < s->n_pending && !code; i++)
        code = emit(s, &s->pending[i].record, e);
    s->n_pending = 0;
    return code;
}

static enum err_code queue(struct server *s, const struct round_record *r, bool is_evaluated,
                           struct err *e)
{
    int ticket = NO_TICKET;
    enum err_code code = OK;
    if (is_evaluated) {
        code = flush(s, MAX_WAITING, e);
        if (!code)
            code = learner_evaluate(s->p.learner, &ticket, e);
        if (code)
            return code;
        s->n_tickets++;
    }
    mem_grow((void **)&s->pending, &s->cap_pending, s->n_pending + 1, sizeof(s->pending[0]));
    s->pending[s->n_pending++] = (struct pending){.record = *r, .ticket = ticket};
    return flush(s, MAX_WAITING + 1, e);
}

/* --- the end of a round --- */

static double device_joules(const struct member *m, double start_s, double end_s)
{
    double until_s = isnan(m->present_s) ? end_s : m->present_s;
    double idle_s = until_s - start_s - m->train_s;
    return m->cost.watts * m->train_s + m->cost.idle_watts * (idle_s > 0 ? idle_s : 0);
}

static enum err_code put_client(struct server *s, const struct member *m, double end_s,
                                struct round_record *r, struct ledger_sum joules[2], struct err *e)
{
    const struct scenario *sc = s->p.scenario;
    double comm_j = books_transfer(s->p.books, m->class_index, NET_DOWN, m->bytes[NET_DOWN]) +
                    books_transfer(s->p.books, m->class_index, NET_UP, m->bytes[NET_UP]);
    double device_j = device_joules(m, s->start_s, end_s);
    books_device(s->p.books, device_j);
    ledger_sum_add(&joules[0], comm_j);
    ledger_sum_add(&joules[1], device_j);
    struct client_record c = {
        .round = s->round,
        .client = m->client,
        .group = sc->group[m->group].name,
        .device = sc->group[m->group].device.name,
        .download_start_s = m->start_s,
        .download_end_s = m->download_end_s,
        .train_end_s = m->train_end_s,
        .upload_end_s = m->upload_end_s,
        .bytes_down = llround(m->bytes[NET_DOWN]),
        .bytes_up = llround(m->bytes[NET_UP]),
        .comm_j = comm_j,
        .device_j = device_j,
        .train_loss = m->loss,
        .time_source = m->cost.time_source,
        .status = cohort_status(m),
        .accounting = sc->energy.accounting->name};
    if (s->p.learner) {
        struct split_work work = learner_work_of(s->p.learner, m->client);
        c.samples = isnan(m->loss) ? 0 : (int64_t)split_work_samples(&work);
    }
    r->bytes_down += c.bytes_down;
    r->bytes_up += c.bytes_up;
    return s->p.sinks ? sinks_row(s->p.sinks, record_clients(s->is_labelled), &c, e) : OK;
}

/* A loss that is no number makes every later one so, and its cells are empty as if nothing had been trained: says it
 * once. */
static void note_divergence(struct server *s, const struct round_record *r)
{
    if (isfinite(r->train_loss) || s->has_diverged)
        return;
    s->has_diverged = true;
    if (s->p.progress)
        log_warn(s->p.progress->log,
                 "round %u: training diverged, its loss is not a finite number: expected a smaller "
                 "federation.client_lr or federation.server.lr",
                 s->round);
}

/* Books every member and fills the round's record. */
static enum err_code account_round(struct server *s, size_t n_arrived, struct round_record *r,
                                   struct err *e)
{
    double end_s = network_now_s(s->p.network);
    struct ledger_sum joules[2] = {{0}};
    *r = (struct round_record){.round = s->round,
                               .accounting = s->p.scenario->energy.accounting->name,
                               .start_s = s->start_s,
                               .end_s = end_s,
                               .duration_s = end_s - s->start_s,
                               .selected = (int64_t)s->cohort.n,
                               .arrived = (int64_t)n_arrived,
                               .train_loss = NONE,
                               .eval_loss = NONE,
                               .rouge1 = NONE,
                               .rouge2 = NONE,
                               .rougeL = NONE,
                               .rougeLsum = NONE,
                               .fact_recall = NONE};
    enum err_code code = OK;
    for (size_t i = 0; i < s->cohort.n && !code; i++)
        code = put_client(s, &s->cohort.member[i], end_s, r, joules, e);
    books_end_round(s->p.books, s->p.network);
    double loss = 0;
    for (size_t i = 0; i < n_arrived; i++) {
        const struct member *m = &s->cohort.member[s->arrived[i]];
        s->part[i] = costs_part(s->p.costs, m->group, m->train_s);
        loss += m->loss;
    }
    if (s->p.learner && n_arrived) {
        r->train_loss = s->last_loss = loss / (double)n_arrived;
        note_divergence(s, r);
    }
    struct account_round a =
        s->p.scenario->energy.accounting->round(r->duration_s, n_arrived, s->part);
    r->t_comp_s = a.t_comp_s;
    r->t_comm_s = a.t_comm_s;
    r->granularity = a.granularity;
    double comm_j = ledger_sum_value(&joules[0]), device_j = ledger_sum_value(&joules[1]);
    r->comm_kwh = kwh_from_j(comm_j);
    r->device_kwh = kwh_from_j(device_j);
    r->carbon_g = carbon_g_from_j(comm_j + device_j, s->p.scenario->energy.carbon_g_per_kwh);
    return code;
}

static bool is_evaluated(const struct server *s)
{
    const struct scenario_evaluate *v = &s->p.scenario->evaluate;
    return s->p.learner && v->every > 0 &&
           (s->round % v->every == 0 || s->round == s->p.scenario->federation.rounds);
}

static void begin_round(void *user);

static void over(struct server *s, enum err_code code)
{
    if (!s->code)
        s->code = code;
    s->state = SERVER_OVER;
    network_stop(s->p.network);
}

static void end_round(void *user)
{
    struct server *s = user;
    CHECK(s->state == SERVER_COHORT);
    enum err_code code = s->cohort.code;
    if (code)
        s->err = s->cohort.err;
    if (!code && s->p.learner)
        code = learner_end_round(s->p.learner, &s->err);
    if (code) {
        over(s, code);
        return;
    }
    size_t n_arrived = cohort_arrived(&s->cohort, s->arrived);
    struct round_record r;
    code = account_round(s, n_arrived, &r, &s->err);
    if (!code && s->p.learner)
        code = learner_aggregate(s->p.learner, n_arrived, s->arrived, &s->err);
    if (!code && s->p.learner && s->p.keep)
        code = keep_round(s->p.keep, s->round, &s->err);
    if (!code)
        code = queue(s, &r, is_evaluated(s), &s->err);
    if (!code && s->p.pool && pool_is_interrupted(s->p.pool))
        code = err_set(&s->err, ERR_INTERRUPTED, "interrupted");
    if (s->p.progress)
        progress_status(s->p.progress, s->round, r.end_s, s->last_loss);
    s->state = SERVER_IDLE;
    if (code || s->round == s->p.scenario->federation.rounds)
        over(s, code);
    else
        network_after(s->p.network, 0, begin_round, s);
}

static void begin_round(void *user)
{
    struct server *s = user;
    const struct scenario *sc = s->p.scenario;
    CHECK(s->state == SERVER_IDLE);
    s->state = SERVER_COHORT;
    s->round++;
    s->start_s = network_now_s(s->p.network);
    pick_cohort(sc->seed, s->round, sc->n_clients, sc->federation.clients_per_round, s->cohort.client,
                s->is_taken);
    cohort_start(&s->cohort, s->round, sc->federation.clients_per_round);
}

/* --- the server --- */

static void begin_summary(struct summary_record *t, const struct server_parts *p)
{
    const struct scenario *sc = p->scenario;
    *t = (struct summary_record){
        .name = sc->name,
        .trained = p->learner ? sc->model.weights : "none",
        .backend = p->learner ? sc->compute.backend : "none",
        .precision = p->learner ? sc->compute.precision : "none",
        .costs_of = p->costs->model,
        .accounting = sc->energy.accounting->name,
        .per_bit = sc->energy.charged.name,
        .outcome = "complete",
        .clients = (int64_t)sc->n_clients,
        .clients_per_round = (int64_t)sc->federation.clients_per_round,
        .payload_down_bytes = (int64_t)p->costs->payload_bytes[NET_DOWN],
        .payload_up_bytes = (int64_t)p->costs->payload_bytes[NET_UP],
        .first_eval_loss = NONE, .last_eval_loss = NONE, .best_eval_loss = NONE,
        .best_eval_round = -1,
        .first_rouge1 = NONE, .last_rouge1 = NONE, .first_rouge2 = NONE, .last_rouge2 = NONE,
        .first_rougeL = NONE, .last_rougeL = NONE, .first_rougeLsum = NONE, .last_rougeLsum = NONE,
        .first_fact_recall = NONE, .last_fact_recall = NONE, .last_train_loss = NONE,
        .test_loss = NONE, .test_rouge1 = NONE, .test_rouge2 = NONE, .test_rougeL = NONE,
        .test_rougeLsum = NONE, .test_fact_recall = NONE};
}

enum err_code server_open(struct server **out, const struct server_parts *parts, struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct server), "the server", e);
    if (code)
        return code;
    struct server *s = memory;
    const struct scenario *sc = parts->scenario;
    s->p = *parts;
    s->last_loss = NONE;
    s->is_labelled = record_is_labelled(parts->scenario->energy.accounting->name);
    s->cohort = (struct cohort){.scenario = sc,
                                .network = parts->network,
                                .costs = parts->costs,
                                .learner = parts->learner,
                                .ended = end_round,
                                .user = s};
    size_t k = sc->federation.clients_per_round, caps[3] = {0};
    size_t n_words = pick_scratch_words(sc->n_clients);
    cohort_init(&s->cohort, k);
    mem_grow((void **)&s->is_taken, &caps[0], n_words, sizeof(s->is_taken[0]));
    memset(s->is_taken, 0, n_words * sizeof(s->is_taken[0]));
    mem_grow((void **)&s->arrived, &caps[1], k, sizeof(s->arrived[0]));
    mem_grow((void **)&s->part, &caps[2], k, sizeof(s->part[0]));
    begin_summary(&s->summary, parts);
    *out = s;
    return OK;
}

void server_close(struct server *s)
{
    if (!s)
        return;
    cohort_fini(&s->cohort);
    mem_free(s->is_taken);
    mem_free(s->arrived);
    mem_free(s->part);
    mem_free(s->pending);
    mem_free(s);
}

static double mean(double sum, int64_t n)
{
    return n ? sum / (double)n : NONE;
}

static void end_summary(struct server *s)
{
    struct summary_record *t = &s->summary;
    double comm_j = ledger_sum_value(&s->p.books->comm_j);
    double device_j = ledger_sum_value(&s->p.books->device_j);
    t->outcome = s->code == ERR_INTERRUPTED ? "interrupted" : s->has_diverged ? "diverged" : "complete";
    t->mean_duration_s = mean(ledger_sum_value(&s->duration), t->rounds);
    t->mean_t_comp_s = mean(ledger_sum_value(&s->t_comp), t->rounds);
    t->mean_t_comm_s = mean(ledger_sum_value(&s->t_comm), t->rounds);
    t->mean_granularity = mean(s->sum_granularity, s->n_granularity);
    t->comm_kwh = kwh_from_j(comm_j);
    t->device_kwh = kwh_from_j(device_j);
    t->total_kwh = kwh_from_j(comm_j + device_j);
    t->carbon_g = carbon_g_from_j(comm_j + device_j, s->p.scenario->energy.carbon_g_per_kwh);
}

enum err_code server_run(struct server *s, struct err *e)
{
    struct round_record before = {.eval_loss = NONE, .rouge1 = NONE, .rouge2 = NONE, .rougeL = NONE,
                                  .rougeLsum = NONE, .fact_recall = NONE, .train_loss = NONE};
    enum err_code code = OK;
    if (s->p.learner && s->p.scenario->evaluate.every)
        code = queue(s, &before, true, &s->err);
    if (!code) {
        network_at(s->p.network, 0, begin_round, s);
        code = network_run(s->p.network, &s->err);
    }
    if (!code)
        code = s->code;
    if (!code && s->state != SERVER_OVER)
        code = err_set(&s->err, ERR_INTERNAL, "the simulated network stopped in round %u", s->round);
    if (!code)
        code = flush(s, 1, &s->err);
    if (!code && s->p.learner && s->p.scenario->data.n_test)
        code = judge_test(s, &s->err);
    if (code == ERR_INTERRUPTED) {
        enum err_code flushed = flush_without_waiting(s, &s->err);
        code = flushed ? flushed : code;
    }
    s->code = code;
    if (code && e)
        *e = s->err;
    if (code && code != ERR_INTERRUPTED)
        return code;
    books_check(s->p.books);
    end_summary(s);
    return code;
}

const struct summary_record *server_summary(const struct server *s)
{
    return &s->summary;
}
