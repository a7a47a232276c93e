/* What the model wrote, totals, rounds and the scenario: everything that is text or a table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/record.h"
#include "sim/report_parts.h"

/* --- texts --- */

/* The last row of the sample in row `first`. */
static size_t last_row(const struct csv *c, size_t first)
{
    size_t last = first;
    for (size_t row = first; row < csv_rows(c); row++)
        if (strcmp(report_word(c, row, "sample"), report_word(c, first, "sample")) == 0)
            last = row;
    return last;
}

static void put_text(struct html *h, const char *label, const char *more, const char *text)
{
    html_put(h, "<div><h4>%s", label);
    html_text(h, more);
    html_raw(h, "</h4><p class=said>");
    html_text(h, text);
    html_raw(h, "</p></div>");
}

static void put_sample(struct html *h, const struct csv *c, size_t first)
{
    size_t last = last_row(c, first);
    html_raw(h, "<article class=sample><h3>Sample ");
    html_text(h, report_word(c, first, "sample"));
    html_raw(h, "</h3><div class=pair>");
    put_text(h, "Dialogue", "", report_word(c, first, "dialogue"));
    put_text(h, "Reference", "", report_word(c, first, "reference"));
    put_text(h, "First: after round ", report_word(c, first, "round"),
             report_word(c, first, "summary"));
    if (last != first)
        put_text(h, "Last: after round ", report_word(c, last, "round"),
                 report_word(c, last, "summary"));
    html_raw(h, "</div></article>");
}

void report_samples(struct html *h, const struct report *r)
{
    bool has_any = false;
    for (size_t k = 0; k < r->n_runs; k++) {
        const struct csv *c = r->run[k].samples;
        if (csv_rows(c) == 0)
            continue;
        html_raw(h, has_any ? "" : "<section><h2>What the model wrote</h2>");
        html_put(h, "<details%s><summary>", has_any ? "" : " open");
        report_chip(h, r, k);
        html_raw(h, ": held-out samples, first and last</summary>");
        has_any = true;
        for (size_t row = 0; row < csv_rows(c); row++)
            if (strcmp(report_word(c, row, "round"), report_word(c, 0, "round")) == 0)
                put_sample(h, c, row);
        html_raw(h, "</details>");
    }
    html_raw(h, has_any ? "</section>" : "");
}

/* --- totals --- */

static void put_total(struct html *h, const struct report_run *run, const struct column *c)
{
    if (c->type == COLUMN_TEXT) {
        html_text(h, report_total_word(run, c->name));
        return;
    }
    double v = report_total(run, c->name);
    char exact[32], shown[40];
    if (isnan(v))
        return;
    text_shortest(exact, v);
    html_digits(shown, v);
    html_number(h, exact, shown, "");
}

static void put_totals(struct html *h, const struct report *r)
{
    const struct table *t = record_summary();
    html_put(h,
             "<details class=print%s><summary>Totals</summary><div class=scroll><table "
             "class=totals><thead><tr><th>figure<th>unit",
             r->n_runs > 1 ? " open" : "");
    for (size_t k = 0; k < r->n_runs; k++) {
        html_raw(h, "<th>");
        report_chip(h, r, k);
        html_raw(h, "</th>");
    }
    html_raw(h, "<th>meaning</thead><tbody>");
    for (size_t i = 0; i < t->n_columns; i++) {
        html_raw(h, "<tr><td>");
        html_text(h, t->column[i].name);
        html_raw(h, "</td><td>");
        html_text(h, t->column[i].unit);
        for (size_t k = 0; k < r->n_runs; k++) {
            html_raw(h, "</td><td class=value>");
            put_total(h, &r->run[k], &t->column[i]);
        }
        html_raw(h, "</td><td class=text>");
        html_text(h, t->column[i].meaning);
        html_raw(h, "</td></tr>");
    }
    html_raw(h, "</tbody></table></div></details>");
}

/* --- rounds --- */

static bool is_empty(const struct csv *c, size_t column)
{
    for (size_t row = 0; row < csv_rows(c); row++)
        if (*csv_cell(c, row, column))
            return false;
    return true;
}

static void put_cell(struct html *h, const struct column *c, const char *cell)
{
    html_raw(h, "<td>");
    double v = 0;
    if (c->type == COLUMN_TEXT || !*cell || text_double(cell, -1e300, 1e300, &v, NULL)) {
        html_text(h, cell);
    } else {
        char shown[40];
        html_digits(shown, v);
        html_number(h, cell, shown, "");
    }
    html_raw(h, "</td>");
}

/* Columns without a value in any row are left out; of many rows, every so many are there. */
static void put_rounds(struct html *h, const struct report *r, size_t k)
{
    const struct csv *c = r->run[k].rounds;
    const struct table *t = record_rounds();
    size_t n = csv_rows(c), shown = n < REPORT_SHOWN_ROWS ? n : REPORT_SHOWN_ROWS;
    html_raw(h, "<details><summary>");
    report_chip(h, r, k);
    html_raw(h, ": rounds</summary>");
    if (shown < n)
        html_put(h, "<p class=note>%zu of %zu rounds, evenly spread; rounds.csv has all.</p>",
                 shown, n);
    html_raw(h, "<div class=scroll><table class=rounds><thead><tr>");
    for (size_t i = 0; i < t->n_columns; i++)
        if (!is_empty(c, (size_t)csv_find(c, t->column[i].name))) {
            html_raw(h, "<th title=\"");
            html_text(h, t->column[i].meaning);
            html_put(h, "\">%s <small>%s</small></th>", t->column[i].name, t->column[i].unit);
        }
    html_raw(h, "</tr></thead><tbody>");
    for (size_t i = 0; i < shown; i++) {
        size_t row = shown > 1 ? i * (n - 1) / (shown - 1) : 0;
        html_raw(h, "<tr>");
        for (size_t x = 0; x < t->n_columns; x++) {
            size_t column = (size_t)csv_find(c, t->column[x].name);
            if (!is_empty(c, column))
                put_cell(h, &t->column[x], csv_cell(c, row, column));
        }
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody></table></div></details>");
}

/* --- the scenario --- */

static void put_scenario(struct html *h, const struct report *r, size_t k)
{
    struct json_out o;
    json_out_init(&o);
    json_out_value(&o, NULL, json_root(r->run[k].scenario));
    html_raw(h, "<details><summary>");
    report_chip(h, r, k);
    html_raw(h, ": the scenario, every value stated</summary><pre>");
    html_text(h, o.text);
    html_raw(h, "</pre></details>");
    json_out_fini(&o);
}

void report_tables(struct html *h, const struct report *r)
{
    html_raw(h, "<section><h2>Tables</h2>");
    put_totals(h, r);
    for (size_t k = 0; k < r->n_runs; k++)
        put_rounds(h, r, k);
    for (size_t k = 0; k < r->n_runs; k++)
        put_scenario(h, r, k);
    html_raw(h, "</section>");
}
