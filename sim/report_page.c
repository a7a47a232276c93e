#include <string.h>

#include "energy/account.h"
#include "sim/report_parts.h"

static void put_head(struct html *h, const struct report *r)
{
    html_raw(h, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
                "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
                "'unsafe-inline'\">"
                "<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>");
    for (size_t k = 0; k < r->n_runs; k++) {
        html_raw(h, k ? ", " : "");
        html_text(h, r->run[k].label);
    }
    html_raw(h, " - veryedge</title><style>");
    for (int i = 0; report_style[i]; i++)
        html_raw(h, report_style[i]);
    html_put(h, "</style></head>\n<body%s>\n", r->n_runs > 1 ? " class=many" : "");
}

/* What was really trained, and whose costs were charged: said of every run. */
static void put_run(struct html *h, const struct report *r, size_t k)
{
    const struct report_run *run = &r->run[k];
    const char *trained = report_total_word(run, "trained"),
               *costs = report_total_word(run, "costs_of");
    const char *about = report_string(json_root(run->scenario), "about");
    html_raw(h, "<p>");
    report_chip(h, r, k);
    if (*about) {
        html_raw(h, ": ");
        html_text(h, about);
    }
    html_raw(h, "<br><span class=note>");
    if (strcmp(trained, "none") == 0) {
        html_raw(h, "nothing was trained; ");
    } else {
        html_text(h, trained);
        html_raw(h, " was trained; ");
    }
    html_raw(h, "payload, step times and device energy are those of ");
    html_text(h, costs);
    html_raw(h, "; J/bit ");
    html_text(h, report_total_word(run, "per_bit"));
    html_raw(h, "; accounting ");
    html_text(h, report_total_word(run, "accounting"));
    html_raw(h, "</span></p>");
    const struct account *a = account_find(report_total_word(run, "accounting"));
    if (a && a->warning) {
        html_raw(h, "<p class=warn>");
        html_text(h, a->warning);
        html_raw(h, "</p>");
    }
    if (strcmp(report_total_word(run, "outcome"), "interrupted") == 0)
        html_raw(h, "<p class=warn>This run was interrupted: its complete rounds are here.</p>");
    if (strcmp(report_total_word(run, "outcome"), "diverged") == 0)
        html_raw(h, "<p class=warn>Training diverged: from some round on its loss is no number.</p>");
}

static void put_version(struct html *h, const struct report *r)
{
    struct json built = report_member(json_root(r->run[0].scenario), "built_with");
    html_raw(
        h, "<footer class=note><p>Simulated, not measured: time is virtual. Written by veryedge ");
    html_text(h, report_string(built, "veryedge"));
    html_raw(h, " (");
    html_text(h, report_string(built, "commit"));
    html_raw(h, "). This page holds no script and asks no network.</p></footer>\n</body></html>\n");
}

enum err_code report_page(struct html *out, size_t n, const char *const *folders, struct err *e)
{
    struct report r = {0};
    enum err_code code = report_load(&r, n, folders, e);
    if (!code) {
        put_head(out, &r);
        html_put(out, "<header><h1>%s</h1>", n > 1 ? "Runs compared" : "A federated run");
        for (size_t k = 0; k < n; k++)
            put_run(out, &r, k);
        html_raw(out, "</header>\n");
        report_cards(out, &r);
        report_differences(out, &r);
        report_learning(out, &r);
        report_rounds(out, &r);
        report_energy(out, &r);
        report_network(out, &r);
        report_timeline(out, &r);
        report_samples(out, &r);
        report_tables(out, &r);
        put_version(out, &r);
    }
    report_fini(&r);
    return code;
}
