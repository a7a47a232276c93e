/* Who did what when, in one round: a row per client, cut into download, train, upload and wait. The
 * rounds are chosen with radio buttons, which need no script. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/axis.h"
#include "sim/report_parts.h"

enum { DOWNLOAD, TRAIN, UPLOAD, WAIT, ENDED, N_PHASES };

static const char *const PHASES[N_PHASES] = {"download", "train", "upload", "wait", "ended early"};
static const char *const TIMES[] = {"download_start_s", "download_end_s", "train_end_s",
                                    "upload_end_s"};

static void put_phase(struct html *h, int phase, double from_s, double to_s, double start_s,
                      double end_s)
{
    double per_s = 100 / (end_s - start_s);
    if (!(to_s > from_s))
        return;
    html_put(h, "<i class=p%d style=\"left:%.3f%%;width:%.3f%%\" title=\"%s %.4g s\"></i>", phase,
             (from_s - start_s) * per_s, (to_s - from_s) * per_s, PHASES[phase], to_s - from_s);
}

static void put_client(struct html *h, const struct csv *c, size_t row, double start_s,
                       double end_s)
{
    const char *status = report_word(c, row, "status");
    html_raw(h, "<div class=lane><span title=\"");
    html_text(h, report_word(c, row, "group"));
    html_raw(h, ", ");
    html_text(h, report_word(c, row, "device"));
    html_raw(h, "\">");
    html_text(h, report_word(c, row, "client"));
    html_raw(h, "</span><div>");
    bool is_cut = false;
    for (int i = DOWNLOAD; i <= WAIT && !is_cut; i++) {
        double from_s = report_cell(c, row, TIMES[i]);
        double to_s = i == WAIT ? end_s : report_cell(c, row, TIMES[i + 1]);
        is_cut = isnan(to_s);
        if (is_cut)
            put_phase(h, strcmp(status, "late") == 0 ? i : ENDED, from_s, end_s, start_s, end_s);
        else
            put_phase(h, i, from_s, to_s, start_s, end_s);
    }
    html_raw(h, "</div><em>");
    html_text(h, strcmp(status, "ok") == 0 ? "" : status);
    html_raw(h, "</em></div>");
}

static void put_axis(struct html *h, double duration_s)
{
    double tick[7];
    char label[40];
    size_t n = duration_s > 0 ? axis_round(0, duration_s, 6, false, tick) : 0;
    html_raw(h, "<div class=\"lane ticks\"><span></span><div>");
    for (size_t i = 0; i < n; i++) {
        html_digits(label, tick[i]);
        html_put(h, "<b style=\"left:%.2f%%\">%s s</b>", 100 * tick[i] / duration_s, label);
    }
    html_raw(h, "</div><em></em></div>");
}

/* Rows of clients.csv of a round: the first, and how many. They follow each other. */
static size_t find_round(const struct csv *c, double round, size_t *n)
{
    size_t first = 0;
    while (first < csv_rows(c) && report_cell(c, first, "round") != round)
        first++;
    *n = 0;
    while (first + *n < csv_rows(c) && report_cell(c, first + *n, "round") == round)
        ++*n;
    return first;
}

static void put_round(struct html *h, const struct report_run *run, size_t k, size_t i)
{
    const struct csv *r = run->rounds;
    size_t row = run->shown[i], n, shown;
    size_t first = find_round(run->clients, report_cell(r, row, "round"), &n);
    double start_s = report_cell(r, row, "start_s"), end_s = report_cell(r, row, "end_s");
    char duration[40];
    html_digits(duration, report_cell(r, row, "duration_s"));
    html_put(h, "<div class=round id=\"t%zu-%zu\"><p class=row><b>Round ", k, i);
    html_text(h, report_word(r, row, "round"));
    html_raw(h, "</b>: ");
    html_number(h, report_word(r, row, "duration_s"), duration, "s");
    html_raw(h, ", ");
    html_text(h, report_word(r, row, "arrived"));
    html_raw(h, " of ");
    html_text(h, report_word(r, row, "selected"));
    html_raw(h, " arrived</p>");
    shown = n < REPORT_SHOWN_CLIENTS ? n : REPORT_SHOWN_CLIENTS;
    put_axis(h, end_s - start_s);
    for (size_t c = 0; c < shown && end_s > start_s; c++)
        put_client(h, run->clients, first + (shown > 1 ? c * (n - 1) / (shown - 1) : 0), start_s,
                   end_s);
    if (shown < n)
        html_put(h, "<p class=note>%zu of %zu clients are shown, evenly spread.</p>", shown, n);
    html_raw(h, "</div>");
}

static void put_run(struct html *h, const struct report *r, size_t k)
{
    const struct report_run *run = &r->run[k];
    html_raw(h, "<div class=timeline>");
    if (r->n_runs > 1) {
        html_raw(h, "<h3>");
        report_chip(h, r, k);
        html_raw(h, "</h3>");
    }
    html_raw(h, "<style>");
    for (size_t i = 0; i < run->n_shown; i++)
        html_put(h, "#c%zu-%zu:checked~#t%zu-%zu%s", k, i, k, i,
                 i + 1 < run->n_shown ? "," : "{display:block}");
    html_raw(h, "</style><span class=row>Round </span>");
    for (size_t i = 0; i < run->n_shown; i++) {
        html_put(h, "<input type=radio name=\"c%zu\" id=\"c%zu-%zu\"%s><label for=\"c%zu-%zu\">", k,
                 k, i, i == 0 ? " checked" : "", k, i);
        html_text(h, report_word(run->rounds, run->shown[i], "round"));
        html_raw(h, "</label> ");
    }
    for (size_t i = 0; i < run->n_shown; i++)
        put_round(h, run, k, i);
    html_raw(h, "</div>");
    if (run->n_shown < run->n_rounds)
        html_put(h,
                 "<p class=note>%zu of %zu rounds are here, evenly spread, the slowest among them. "
                 "trace.json, opened in "
                 "Perfetto, has more.</p>",
                 run->n_shown, run->n_rounds);
}

void report_timeline(struct html *h, const struct report *r)
{
    html_raw(h, "<section><h2>Inside a round</h2><p class=legend>");
    for (int i = 0; i < N_PHASES; i++)
        html_put(h, "<span><span class=\"chip p%d\"></span>%s</span> ", i, PHASES[i]);
    html_raw(h, "</p><p class=note>A row per client, by its number; times are since the round's "
                "start.</p>");
    for (size_t k = 0; k < r->n_runs; k++)
        put_run(h, r, k);
    html_raw(h, "</section>");
}
