/* What a run came to, at a glance: a card per question, a line per run. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/axis.h"
#include "sim/base/text.h"
#include "sim/progress.h"
#include "sim/report_parts.h"

enum look { LOOK_NUMBER, LOOK_TIME, LOOK_ENERGY, LOOK_MASS, LOOK_SIZE };

struct figure {
    const char *key; /* in summary.json */
    enum look look;
    const char *unit;
};

static const struct card {
    const char *title, *what;
    int n;
    const char *between; /* of two figures */
    struct figure figure[2];
} CARDS[] = {
    {"Virtual time", "until the last round ended", 1, "", {{"virtual_s", LOOK_TIME, ""}}},
    {"A round", "mean duration", 1, "", {{"mean_duration_s", LOOK_TIME, ""}}},
    {"Granularity G", "mean of T_comp / T_comm", 1, "", {{"mean_granularity", LOOK_NUMBER, ""}}},
    {"Network energy", "all elements on every route", 1, "", {{"comm_kwh", LOOK_ENERGY, ""}}},
    {"Device energy", "training and waiting", 1, "", {{"device_kwh", LOOK_ENERGY, ""}}},
    {"Emissions", "CO2 equivalent, network and devices", 1, "", {{"carbon_g", LOOK_MASS, ""}}},
    {"Traffic",
     "payload to clients / to the server",
     2,
     " / ",
     {{"bytes_down", LOOK_SIZE, ""}, {"bytes_up", LOOK_SIZE, ""}}},
    {"Results",
     "arrived of participations",
     2,
     " of ",
     {{"arrived", LOOK_NUMBER, ""}, {"selected", LOOK_NUMBER, ""}}},
    {"Held-out loss",
     "nat per token, first to last",
     2,
     " to ",
     {{"first_eval_loss", LOOK_NUMBER, ""}, {"last_eval_loss", LOOK_NUMBER, ""}}},
    {"ROUGE-1",
     "100 x F1, first to last",
     2,
     " to ",
     {{"first_rouge1", LOOK_NUMBER, ""}, {"last_rouge1", LOOK_NUMBER, ""}}},
    {"ROUGE-L",
     "100 x F1, first to last",
     2,
     " to ",
     {{"first_rougeL", LOOK_NUMBER, ""}, {"last_rougeL", LOOK_NUMBER, ""}}},
    {"Facts found",
     "share of the reference's, first to last",
     2,
     " to ",
     {{"first_fact_recall", LOOK_NUMBER, ""}, {"last_fact_recall", LOOK_NUMBER, ""}}},
    {"Test set",
     "loss / ROUGE-1 at the end, on samples that are looked at only then",
     2,
     " / ",
     {{"test_loss", LOOK_NUMBER, ""}, {"test_rouge1", LOOK_NUMBER, ""}}},
};

#define NO_BREAK "\xc2\xa0"

static void with_unit(char out[64], double v, const char *unit)
{
    char digits[40];
    html_digits(digits, v);
    snprintf(out, 64, "%s" NO_BREAK "%s", digits, unit);
}

static void show(char out[64], double v, enum look look)
{
    switch (look) {
    case LOOK_NUMBER:
        html_digits(out, v);
        break;
    case LOOK_TIME:
        if (v < 120)
            with_unit(out, v, "s");
        else
            progress_time(out, v);
        break;
    case LOOK_ENERGY:
        with_unit(out, v / axis_energy(fmax(v, 0)).by, axis_energy(fmax(v, 0)).name);
        break;
    case LOOK_MASS:
        with_unit(out,
                  v >= 1e6   ? 1e-6 * v
                  : v >= 1e3 ? 1e-3 * v
                             : v,
                  v >= 1e6   ? "t"
                  : v >= 1e3 ? "kg"
                             : "g");
        break;
    case LOOK_SIZE: {
        char size[32];
        text_format(size, sizeof(size), v, UNIT_SIZE_BYTES);
        size_t n = strspn(size, "0123456789.");
        snprintf(out, 64, "%.*s" NO_BREAK "%s", (int)n, size, size + n);
        break;
    }
    }
}

static void put_figure(struct html *h, const struct report_run *run, const struct figure *f)
{
    char exact[32], shown[64];
    double v = report_total(run, f->key);
    if (isnan(v)) {
        html_raw(h, "-");
        return;
    }
    text_shortest(exact, v);
    show(shown, v, f->look);
    html_number(h, exact, shown, f->unit);
}

void report_chip(struct html *h, const struct report *r, size_t run)
{
    html_put(h, "<span class=\"chip k%zu%s\"></span>", run % 8, run >= 8 ? " dashed" : "");
    html_text(h, r->run[run].label);
}

void report_legend(struct html *h, const struct report *r)
{
    if (r->n_runs == 1)
        return;
    html_raw(h, "<p class=legend>");
    for (size_t k = 0; k < r->n_runs; k++) {
        html_raw(h, "<span>");
        report_chip(h, r, k);
        html_raw(h, "</span> ");
    }
    html_raw(h, "</p>");
}

static bool is_known(const struct report *r, const struct card *c)
{
    for (size_t k = 0; k < r->n_runs; k++)
        for (int i = 0; i < c->n; i++)
            if (!isnan(report_total(&r->run[k], c->figure[i].key)))
                return true;
    return false;
}

static void put_card(struct html *h, const struct report *r, const struct card *c)
{
    html_put(h, "<div class=card><h3>%s</h3>", c->title);
    for (size_t k = 0; k < r->n_runs; k++) {
        html_put(h, "<p class=%s>", r->n_runs == 1 ? "big" : "one");
        if (r->n_runs > 1) {
            html_raw(h, "<span class=who>");
            report_chip(h, r, k);
            html_raw(h, "</span> <span>");
        }
        for (int i = 0; i < c->n; i++) {
            if (i && isnan(report_total(&r->run[k], c->figure[i].key)))
                break;
            html_raw(h, i ? c->between : "");
            put_figure(h, &r->run[k], &c->figure[i]);
        }
        html_raw(h, r->n_runs > 1 ? "</span></p>" : "</p>");
    }
    html_put(h, "<p class=note>%s</p></div>", c->what);
}

void report_cards(struct html *h, const struct report *r)
{
    html_raw(h, "<section class=cards>");
    for (size_t i = 0; i < sizeof(CARDS) / sizeof(CARDS[0]); i++)
        if (is_known(r, &CARDS[i]))
            put_card(h, r, &CARDS[i]);
    html_raw(h, "</section>");
}
