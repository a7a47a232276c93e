#include "sim/compare.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/result.h"

/* The last ones are told from rounds.csv. */
static const struct figure FIXED[] = {
    {"virtual_s", "virtual time", "s", "virtual_s", false, 0},
    {"mean_duration_s", "round", "s", "mean_duration_s", false, 0},
    {"mean_t_comp_s", "T_comp", "s", "mean_t_comp_s", false, 0},
    {"mean_t_comm_s", "T_comm", "s", "mean_t_comm_s", false, 0},
    {"mean_granularity", "G", "", "mean_granularity", false, 0},
    {"comm_kwh", "network", "kWh", "comm_kwh", false, 0},
    {"device_kwh", "devices", "kWh", "device_kwh", false, 0},
    {"carbon_g", "CO2e", "g", "carbon_g", false, 0},
    {"first_eval_loss", "first loss", "nat", "first_eval_loss", false, 0},
    {"last_eval_loss", "last loss", "nat", "last_eval_loss", false, 0},
    {"best_eval_loss", "best loss", "nat", "best_eval_loss", false, 0},
    {"last_rouge1", "ROUGE-1", "", "last_rouge1", false, 0},
    {"last_rougeL", "ROUGE-L", "", "last_rougeL", false, 0},
    {"last_fact_recall", "fact recall", "", "last_fact_recall", false, 0},
    {"test_loss", "test loss", "nat", "test_loss", false, 0},
    {"test_rouge1", "test ROUGE-1", "", "test_rouge1", false, 0},
    {"test_fact_recall", "test recall", "", "test_fact_recall", false, 0},
    {"rounds_to_best", "round of best loss", "", NULL, false, 0},
    {"comm_kwh_to_best", "network to it", "kWh", NULL, false, 0},
    {"device_kwh_to_best", "devices to it", "kWh", NULL, false, 0},
    {"overfit_round", "overfits after", "", NULL, false, 0},
};
enum { N_FIXED = sizeof(FIXED) / sizeof(FIXED[0]), N_OF_BEST = 4 };

/* Of a goal, in the order of struct result_moment; all energy is the last but two. */
static const struct figure OF_GOAL[] = {
    {"time_to_", "time", "s", NULL, true, 0},
    {"rounds_to_", "rounds", "", NULL, true, 0},
    {"kwh_to_", "energy", "kWh", NULL, true, 0},
    {"comm_kwh_to_", "network", "kWh", NULL, true, 0},
    {"device_kwh_to_", "devices", "kWh", NULL, true, 0},
};
enum { N_OF_GOAL = sizeof(OF_GOAL) / sizeof(OF_GOAL[0]) };

/* "rounds to loss", and where there are several losses "rounds to loss 0.5", "rounds to last loss".
 */
static struct figure figure_of_goal(struct arena *a, const struct goals *g, size_t goal, size_t i)
{
    const struct goal *of = &g->goal[goal];
    struct figure f = OF_GOAL[i];
    const char *what = of->is_rouge ? "ROUGE" : "loss";
    f.goal = goal;
    f.name =
        arena_printf(a, "%s%s%s", f.name, of->is_rouge ? "rouge1" : "loss", i == 0 ? "_s" : "");
    if (goals_count(g, of->is_rouge) == 1)
        f.label = arena_printf(a, "%s to %s", f.label, what);
    else if (of->is_last)
        f.label = arena_printf(a, "%s to last %s", f.label, what);
    else
        f.label = arena_printf(a, "%s to %s %g", f.label, what, of->bound);
    return f;
}

struct comparison *comparison_new(struct arena *a, size_t n_variants, size_t n_seeds,
                                  const uint64_t *seed, const struct goals *goals)
{
    struct comparison *c = ARENA_NEW(a, struct comparison, 1);
    size_t n_figures = N_FIXED + goals->n * N_OF_GOAL, n_values = n_variants * n_seeds * n_figures;
    struct figure *figure = ARENA_NEW(a, struct figure, n_figures);
    memcpy(figure, FIXED, sizeof(FIXED));
    for (size_t i = N_FIXED; i < n_figures; i++)
        figure[i] = figure_of_goal(a, goals, (i - N_FIXED) / N_OF_GOAL, (i - N_FIXED) % N_OF_GOAL);
    *c = (struct comparison){.n_variants = n_variants,
                             .n_seeds = n_seeds,
                             .n_figures = n_figures,
                             .figure = figure,
                             .label = ARENA_NEW(a, const char *, n_variants),
                             .message = ARENA_NEW(a, const char *, n_variants),
                             .accounting = ARENA_NEW(a, const char *, n_variants),
                             .seed = seed,
                             .goals = *goals,
                             .bound = ARENA_NEW(a, double, goals->n *n_seeds),
                             .value = ARENA_NEW(a, double, n_values)};
    for (size_t i = 0; i < n_values; i++)
        c->value[i] = (double)NAN;
    for (size_t g = 0; g < goals->n; g++)
        for (size_t s = 0; s < n_seeds; s++)
            *comparison_bound(c, g, s) = goals->goal[g].bound;
    return c;
}

double *comparison_cell(const struct comparison *c, size_t variant, size_t seed, size_t figure)
{
    CHECK(variant < c->n_variants && seed < c->n_seeds && figure < c->n_figures);
    return &c->value[(variant * c->n_seeds + seed) * c->n_figures + figure];
}

double *comparison_bound(const struct comparison *c, size_t goal, size_t seed)
{
    CHECK(goal < c->goals.n && seed < c->n_seeds);
    return &c->bound[goal * c->n_seeds + seed];
}

void comparison_first(struct comparison *c, size_t seed, const struct summary_record *summary)
{
    for (size_t g = 0; g < c->goals.n; g++)
        if (c->goals.goal[g].is_last)
            *comparison_bound(c, g, seed) = summary->last_eval_loss;
}

/* The column is there: FIXED names columns of the summary. */
static double summary_number(const struct summary_record *s, const char *column)
{
    const struct table *t = record_summary();
    size_t i = 0;
    while (i < t->n_columns && strcmp(t->column[i].name, column) != 0)
        i++;
    CHECK(i < t->n_columns && t->column[i].type == COLUMN_DOUBLE);
    return *(const double *)(const void *)((const char *)s + t->column[i].offset);
}

static enum err_code fill_best(double *to, const char *folder, const struct summary_record *s,
                               struct err *e)
{
    struct result_moment m;
    if (isnan(s->best_eval_loss))
        return OK;
    enum err_code code =
        result_reach(&m, folder, "eval_loss", s->first_eval_loss, s->best_eval_loss, true, e);
    if (code)
        return code;
    to[0] = m.rounds;
    to[1] = m.comm_kwh;
    to[2] = m.device_kwh;
    if (s->best_eval_loss < s->last_eval_loss)
        to[3] = m.rounds;
    return OK;
}

static enum err_code fill_goal(double *to, const char *folder, const struct summary_record *s,
                               const struct goal *goal, double bound, struct err *e)
{
    struct result_moment m;
    if (isnan(bound))
        return OK;
    enum err_code code =
        goal->is_rouge ? result_reach(&m, folder, "rouge1", s->first_rouge1, bound, false, e)
                       : result_reach(&m, folder, "eval_loss", s->first_eval_loss, bound, true, e);
    if (code)
        return code;
    to[0] = m.s;
    to[1] = m.rounds;
    to[2] = m.comm_kwh + m.device_kwh;
    to[3] = m.comm_kwh;
    to[4] = m.device_kwh;
    return OK;
}

enum err_code comparison_fill(struct comparison *c, size_t variant, size_t seed, const char *folder,
                              const struct summary_record *summary, struct err *e)
{
    double *value = comparison_cell(c, variant, seed, 0);
    if (record_is_labelled(summary->accounting))
        c->accounting[variant] = summary->accounting;
    for (size_t i = 0; i < N_FIXED - N_OF_BEST; i++)
        value[i] = summary_number(summary, FIXED[i].column);
    enum err_code code = fill_best(value + N_FIXED - N_OF_BEST, folder, summary, e);
    for (size_t g = 0; g < c->goals.n && !code; g++)
        code = fill_goal(value + N_FIXED + g * N_OF_GOAL, folder, summary, &c->goals.goal[g],
                         *comparison_bound(c, g, seed), e);
    return code;
}

enum { N_CELLS = 6 };

static void write_row(FILE *to, const char *const cell[N_CELLS])
{
    for (size_t i = 0; i < N_CELLS; i++) {
        if (i > 0)
            fputc(',', to);
        csv_write_cell(to, cell[i]);
    }
    fputc('\n', to);
}

static void write_figure(const struct comparison *c, size_t v, size_t s, size_t i, FILE *to)
{
    const struct figure *f = &c->figure[i];
    char seed[32], number[32] = "", goal[32] = "";
    double value = *comparison_cell(c, v, s, i);
    double bound = f->has_goal ? *comparison_bound(c, f->goal, s) : (double)NAN;
    snprintf(seed, sizeof(seed), "%" PRIu64, c->seed[s]);
    if (!isnan(value))
        text_shortest(number, value);
    if (!isnan(bound))
        text_shortest(goal, bound);
    write_row(to, (const char *[N_CELLS]){c->label[v], seed, f->name, number, f->unit, goal});
}

enum err_code comparison_write(const struct comparison *c, const char *path, struct err *e)
{
    struct file_out *f = NULL;
    enum err_code code = file_create(&f, path, e);
    if (code)
        return code;
    FILE *to = file_stream(f);
    write_row(to, (const char *[N_CELLS]){"variant", "seed", "figure", "value", "unit", "goal"});
    for (size_t v = 0; v < c->n_variants; v++) {
        if (c->message[v]) {
            write_row(to, (const char *[N_CELLS]){c->label[v], "", "error", c->message[v], "", ""});
            continue;
        }
        if (c->accounting[v])
            write_row(to, (const char *[N_CELLS]){c->label[v], "", "accounting", c->accounting[v],
                                                  "", ""});
        for (size_t s = 0; s < c->n_seeds; s++)
            for (size_t i = 0; i < c->n_figures; i++)
                write_figure(c, v, s, i, to);
    }
    return file_commit(f, e);
}
