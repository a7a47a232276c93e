/* Charts over the rounds: loss and ROUGE, G, duration, energy. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/axis.h"
#include "sim/report_chart.h"
#include "sim/report_parts.h"

enum { N_AXES = 3, MAX_SERIES = 2 * REPORT_MAX_RUNS };

/* A run's values after each evaluation and each round, the state before round 1 first. */
struct curve {
    size_t n;
    double *axis[N_AXES]; /* rounds, virtual time, kWh */
    double *train, *loss, *rouge1, *rouge2, *rougeL, *facts;
};

static double *with_first(struct report *r, const struct csv *c, const char *column, double first)
{
    size_t n = csv_rows(c);
    double *all = ARENA_NEW(&r->arena, double, n + 1);
    all[0] = first;
    if (n)
        memcpy(all + 1, report_column(r, c, column), n * sizeof(all[0]));
    return all;
}

static void read_curve(struct report *r, const struct report_run *run, struct curve *v)
{
    v->n = run->n_rounds + 1;
    v->axis[0] = with_first(r, run->rounds, "round", 0);
    v->axis[1] = with_first(r, run->rounds, "end_s", 0);
    v->axis[2] = with_first(r, run->rounds, "comm_kwh", 0);
    const double *device = with_first(r, run->rounds, "device_kwh", 0);
    for (size_t i = 1; i < v->n; i++)
        v->axis[2][i] += v->axis[2][i - 1] + device[i];
    v->train = with_first(r, run->rounds, "train_loss", (double)NAN);
    v->loss = with_first(r, run->rounds, "eval_loss", report_total(run, "first_eval_loss"));
    v->rouge1 = with_first(r, run->rounds, "rouge1", report_total(run, "first_rouge1"));
    v->rouge2 = with_first(r, run->rounds, "rouge2", report_total(run, "first_rouge2"));
    v->rougeL = with_first(r, run->rounds, "rougeL", report_total(run, "first_rougeL"));
    v->facts = with_first(r, run->rounds, "fact_recall", report_total(run, "first_fact_recall"));
}

static void rescale(struct report *r, struct curve *v, int axis, double by)
{
    for (size_t k = 0; k < r->n_runs; k++)
        for (size_t i = 0; i < v[k].n; i++)
            v[k].axis[axis][i] /= by;
}

/* Of the runs that trained. */
static double largest(const struct report *r, const struct curve *v, int axis)
{
    double most = 0;
    for (size_t k = 0; k < r->n_runs; k++)
        if (!isnan(report_total(&r->run[k], "last_train_loss")))
            most = fmax(most, v[k].axis[axis][v[k].n - 1]);
    return most;
}

static bool has_values(const struct report *r, const struct curve *v, size_t offset)
{
    for (size_t k = 0; k < r->n_runs; k++) {
        const double *y = *(double *const *)(const void *)((const char *)&v[k] + offset);
        for (size_t i = 0; i < v[k].n; i++)
            if (isfinite(y[i]))
                return true;
    }
    return false;
}

static const double *values(const struct curve *v, size_t offset)
{
    return *(double *const *)(const void *)((const char *)v + offset);
}

/* A measure and how it is drawn. */
struct measure {
    const char *title, *unit;
    size_t offset, faint; /* of struct curve; faint: a second one drawn behind, or 0 */
    int n_axes;           /* over rounds, and over time, and over energy */
};

static void put_measure(struct html *h, const struct report *r, const struct curve *v,
                        const struct measure *m, const struct axis_unit scale[N_AXES])
{
    static const char *const NAMES[N_AXES] = {"round", "virtual time",
                                              "energy, network and devices"};
    if (!has_values(r, v, m->offset))
        return;
    for (int axis = 0; axis < m->n_axes; axis++) {
        struct report_series s[MAX_SERIES];
        size_t n = 0;
        for (size_t k = 0; k < r->n_runs; k++) {
            s[n++] = (struct report_series){
                r->run[k].label,         (int)k, false, true, v[k].n, v[k].axis[axis],
                values(&v[k], m->offset)};
            if (m->faint)
                s[n++] = (struct report_series){
                    r->run[k].label,        (int)k, true, false, v[k].n, v[k].axis[axis],
                    values(&v[k], m->faint)};
        }
        struct report_chart c = {.title = m->title,
                                 .x_unit = scale[axis].name,
                                 .y_unit = m->unit,
                                 .x_name = NAMES[axis],
                                 .is_whole_x = axis == 0,
                                 .n_series = n,
                                 .series = s};
        report_chart(h, &c);
    }
}

void report_learning(struct html *h, struct report *r)
{
    struct curve v[REPORT_MAX_RUNS];
    for (size_t k = 0; k < r->n_runs; k++)
        read_curve(r, &r->run[k], &v[k]);
    html_raw(h, "<section><h2>What was learned</h2>");
    bool has_train = has_values(r, v, offsetof(struct curve, train));
    if (!has_train && !has_values(r, v, offsetof(struct curve, loss))) {
        html_raw(h, "<p>Nothing was trained: these runs are about network, time and energy "
                    "alone.</p></section>");
        return;
    }
    struct axis_unit scale[N_AXES] = {
        {"", 1}, axis_time(largest(r, v, 1)), axis_energy(largest(r, v, 2))};
    rescale(r, v, 1, scale[1].by);
    rescale(r, v, 2, scale[2].by);
    bool has_loss = has_values(r, v, offsetof(struct curve, loss));
    const struct measure measures[] = {
        {has_loss ? "Loss" : "Training loss", "nat per token",
         has_loss ? offsetof(struct curve, loss) : offsetof(struct curve, train),
         has_loss ? offsetof(struct curve, train) : 0, N_AXES},
        {"ROUGE-1", "100 x F1", offsetof(struct curve, rouge1), 0, N_AXES},
        {"ROUGE-2", "100 x F1", offsetof(struct curve, rouge2), 0, 1},
        {"ROUGE-L", "100 x F1", offsetof(struct curve, rougeL), 0, 1},
        {"Facts found", "share", offsetof(struct curve, facts), 0, 1},
    };
    html_raw(h, "<p class=note>Points: held-out samples, evaluated; round 0 is before the first. "
                "Thin line: the mean "
                "training loss of a round's clients. Energy adds up over the rounds.</p>");
    report_legend(h, r);
    html_raw(h, "<div class=charts>");
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
        put_measure(h, r, v, &measures[i], scale);
    html_raw(h, "</div></section>");
}

/* One column of rounds.csv of every run. */
static void put_rounds(struct html *h, struct report *r, struct report_chart c, const char *column,
                       double by, const char *second)
{
    struct report_series s[MAX_SERIES];
    for (size_t k = 0; k < r->n_runs; k++) {
        double *y = report_column(r, r->run[k].rounds, column);
        const double *more = second ? report_column(r, r->run[k].rounds, second) : NULL;
        for (size_t i = 0; i < r->run[k].n_rounds; i++)
            y[i] = (y[i] + (more ? more[i] : 0)) / by;
        s[k] = (struct report_series){r->run[k].label,
                                      (int)k,
                                      false,
                                      true,
                                      r->run[k].n_rounds,
                                      report_column(r, r->run[k].rounds, "round"),
                                      y};
    }
    c.x_name = "round";
    c.x_unit = "";
    c.is_whole_x = c.from_zero = true;
    c.n_series = r->n_runs;
    c.series = s;
    report_chart(h, &c);
}

static double most_of(struct report *r, const char *column)
{
    double most = 0;
    for (size_t k = 0; k < r->n_runs; k++) {
        const double *y = report_column(r, r->run[k].rounds, column);
        for (size_t i = 0; i < r->run[k].n_rounds; i++)
            most = fmax(most, y[i]);
    }
    return most;
}

void report_rounds(struct html *h, struct report *r)
{
    struct axis_unit time = axis_time(most_of(r, "duration_s"));
    struct axis_unit energy = axis_energy(most_of(r, "comm_kwh") + most_of(r, "device_kwh"));
    html_raw(h, "<section><h2>Round by round</h2><p class=note>G = T_comp / T_comm. Below the "
                "dashed line at 1 a round "
                "waits for the network, and a faster link helps more than a faster device.</p>");
    report_legend(h, r);
    html_raw(h, "<div class=charts>");
    put_rounds(
        h, r,
        (struct report_chart){.title = "Granularity G", .y_unit = "", .has_mark = true, .mark = 1},
        "granularity", 1, NULL);
    put_rounds(h, r, (struct report_chart){.title = "Duration", .y_unit = time.name}, "duration_s",
               time.by, NULL);
    put_rounds(h, r,
               (struct report_chart){.title = "Energy, network and devices", .y_unit = energy.name},
               "comm_kwh", energy.by, "device_kwh");
    html_raw(h, "</div></section>");
}
