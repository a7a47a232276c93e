#include "sim/compare.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/result.h"

/* The goals' rows are in the order of struct result_moment, loss before ROUGE-1. */
static const struct figure FIGURES[] = {
    {"virtual_s", "virtual time", "s", "virtual_s"},
    {"mean_duration_s", "round", "s", "mean_duration_s"},
    {"mean_t_comp_s", "T_comp", "s", "mean_t_comp_s"},
    {"mean_t_comm_s", "T_comm", "s", "mean_t_comm_s"},
    {"mean_granularity", "G", "", "mean_granularity"},
    {"comm_kwh", "network", "kWh", "comm_kwh"},
    {"device_kwh", "devices", "kWh", "device_kwh"},
    {"carbon_g", "CO2e", "g", "carbon_g"},
    {"first_eval_loss", "first loss", "nat", "first_eval_loss"},
    {"last_eval_loss", "last loss", "nat", "last_eval_loss"},
    {"best_eval_loss", "best loss", "nat", "best_eval_loss"},
    {"last_rouge1", "ROUGE-1", "", "last_rouge1"},
    {"last_rougeL", "ROUGE-L", "", "last_rougeL"},
    {"last_fact_recall", "fact recall", "", "last_fact_recall"},
    {"test_loss", "test loss", "nat", "test_loss"},
    {"test_rouge1", "test ROUGE-1", "", "test_rouge1"},
    {"test_fact_recall", "test recall", "", "test_fact_recall"},
    {"time_to_loss_s", "time to loss", "s", NULL},
    {"rounds_to_loss", "rounds to loss", "", NULL},
    {"kwh_to_loss", "energy to loss", "kWh", NULL},
    {"time_to_rouge1_s", "time to ROUGE", "s", NULL},
    {"rounds_to_rouge1", "rounds to ROUGE", "", NULL},
    {"kwh_to_rouge1", "energy to ROUGE", "kWh", NULL},
};
enum {
    N_FIGURES = sizeof(FIGURES) / sizeof(FIGURES[0]),
    N_PER_GOAL = 3,
    FIRST_GOAL = N_FIGURES - 2 * N_PER_GOAL
};

size_t figure_count(void)
{
    return N_FIGURES;
}

const struct figure *figure_at(size_t i)
{
    CHECK(i < N_FIGURES);
    return &FIGURES[i];
}

struct comparison *comparison_new(struct arena *a, size_t n_variants, size_t n_seeds,
                                  const uint64_t *seed)
{
    struct comparison *c = ARENA_NEW(a, struct comparison, 1);
    size_t n_values = n_variants * n_seeds * N_FIGURES;
    *c = (struct comparison){.n_variants = n_variants,
                             .n_seeds = n_seeds,
                             .label = ARENA_NEW(a, const char *, n_variants),
                             .message = ARENA_NEW(a, const char *, n_variants),
                             .seed = seed,
                             .goal = {(double)NAN, (double)NAN},
                             .value = ARENA_NEW(a, double, n_values)};
    for (size_t i = 0; i < n_values; i++)
        c->value[i] = (double)NAN;
    return c;
}

double *comparison_cell(const struct comparison *c, size_t variant, size_t seed, size_t figure)
{
    CHECK(variant < c->n_variants && seed < c->n_seeds && figure < N_FIGURES);
    return &c->value[(variant * c->n_seeds + seed) * N_FIGURES + figure];
}

/* The column is there: FIGURES names columns of the summary. */
static double summary_number(const struct summary_record *s, const char *column)
{
    const struct table *t = record_summary();
    size_t i = 0;
    while (i < t->n_columns && strcmp(t->column[i].name, column) != 0)
        i++;
    CHECK(i < t->n_columns && t->column[i].type == COLUMN_DOUBLE);
    return *(const double *)(const void *)((const char *)s + t->column[i].offset);
}

static void put_moment(double *to, const struct result_moment *m)
{
    to[0] = m->s;
    to[1] = m->rounds;
    to[2] = m->kwh;
}

enum err_code comparison_fill(struct comparison *c, size_t variant, size_t seed, const char *folder,
                              const struct summary_record *summary, const struct goal *goal,
                              struct err *e)
{
    double *value = comparison_cell(c, variant, seed, 0);
    for (size_t i = 0; i < FIRST_GOAL; i++)
        value[i] = summary_number(summary, FIGURES[i].column);
    struct result_moment m;
    enum err_code code = OK;
    if (!isnan(goal->loss)) {
        code = result_reach(&m, folder, "eval_loss", summary->first_eval_loss, goal->loss, true, e);
        if (code)
            return code;
        put_moment(value + FIRST_GOAL, &m);
    }
    if (!isnan(goal->rouge1)) {
        code = result_reach(&m, folder, "rouge1", summary->first_rouge1, goal->rouge1, false, e);
        if (code)
            return code;
        put_moment(value + FIRST_GOAL + N_PER_GOAL, &m);
    }
    return OK;
}

static void write_row(FILE *to, const char *variant, const char *seed, const char *figure,
                      const char *value, const char *unit)
{
    const char *const cell[] = {variant, seed, figure, value, unit};
    for (size_t i = 0; i < 5; i++) {
        if (i > 0)
            fputc(',', to);
        csv_write_cell(to, cell[i]);
    }
    fputc('\n', to);
}

enum err_code comparison_write(const struct comparison *c, const char *path, struct err *e)
{
    struct file_out *f = NULL;
    enum err_code code = file_create(&f, path, e);
    if (code)
        return code;
    FILE *to = file_stream(f);
    write_row(to, "variant", "seed", "figure", "value", "unit");
    for (size_t v = 0; v < c->n_variants; v++) {
        if (c->message[v]) {
            write_row(to, c->label[v], "", "error", c->message[v], "");
            continue;
        }
        for (size_t s = 0; s < c->n_seeds; s++)
            for (size_t i = 0; i < N_FIGURES; i++) {
                char seed[32], number[32] = "";
                double value = *comparison_cell(c, v, s, i);
                snprintf(seed, sizeof(seed), "%" PRIu64, c->seed[s]);
                if (!isnan(value))
                    text_shortest(number, value);
                write_row(to, c->label[v], seed, FIGURES[i].name, number, FIGURES[i].unit);
            }
    }
    return file_commit(f, e);
}
