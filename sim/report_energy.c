/* Joules by network element: a stacked bar per run, and the numbers under it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "energy/perbit.h"
#include "sim/axis.h"
#include "sim/base/text.h"
#include "sim/report_parts.h"

/* The colour of a kind of element: its place in the table of energy/perbit.h; then devices and all
 * others. */
enum { DEVICES = PERBIT_ELEMENTS, OTHERS, N_PARTS };
_Static_assert(N_PARTS == 18, "report_style.c has a colour for each: .e0 to .e17");

static int part_of(const char *element)
{
    for (int i = 0; i < PERBIT_ELEMENTS; i++)
        if (strcmp(perbit_element((size_t)i), element) == 0)
            return i;
    return OTHERS;
}

static const char *part_name(int part)
{
    return part == DEVICES  ? "devices"
           : part == OTHERS ? "other elements"
                            : perbit_element((size_t)part);
}

static double add_parts(const struct report_run *run, double joules[N_PARTS])
{
    double total = 0;
    memset(joules, 0, N_PARTS * sizeof(joules[0]));
    for (size_t i = 0; i < csv_rows(run->elements); i++)
        joules[part_of(report_word(run->elements, i, "element"))] +=
            report_cell(run->elements, i, "joules");
    double device_kwh = report_total(run, "device_kwh");
    joules[DEVICES] = isnan(device_kwh) ? 0 : 3.6e6 * device_kwh;
    for (int i = 0; i < N_PARTS; i++)
        total += joules[i];
    return total;
}

static void put_bar(struct html *h, const double joules[N_PARTS], double total, double most)
{
    html_raw(h, "<div class=bar>");
    for (int i = 0; i < N_PARTS; i++) {
        if (!(joules[i] > 0))
            continue;
        char value[40];
        html_digits(value, joules[i]);
        html_put(h, "<span class=e%d style=\"width:%.3f%%\" title=\"", i, 100 * joules[i] / most);
        html_text(h, part_name(i));
        html_put(h, ": %s J, %.3g %%\">", value, 100 * joules[i] / total);
        if (joules[i] > 0.25 * most)
            html_text(h, part_name(i));
        html_raw(h, "</span>");
    }
    html_raw(h, "</div>");
}

static void put_legend(struct html *h, const struct report *r)
{
    bool is_there[N_PARTS] = {false};
    for (size_t k = 0; k < r->n_runs; k++) {
        double joules[N_PARTS];
        add_parts(&r->run[k], joules);
        for (int i = 0; i < N_PARTS; i++)
            is_there[i] |= joules[i] > 0;
    }
    html_raw(h, "<p class=legend>");
    for (int i = 0; i < N_PARTS; i++)
        if (is_there[i]) {
            html_put(h, "<span><span class=\"chip e%d\"></span>", i);
            html_text(h, part_name(i));
            html_raw(h, "</span> ");
        }
    html_raw(h, "</p>");
}

void report_elements(struct html *h, const struct report *r, size_t k)
{
    const struct report_run *run = &r->run[k];
    const struct csv *c = run->elements;
    double joules[N_PARTS], total = add_parts(run, joules);
    if (!(total > 0))
        return;
    html_put(h, "<details%s><summary>", r->n_runs <= 3 ? " open" : "");
    report_chip(h, r, k);
    html_raw(h, ": joules by element and direction</summary><div "
                "class=scroll><table class=elements><thead><tr><th>element<th>direction"
                "<th title=\"elements of this kind that each bit passes\">count<th>bits "
                "<small>bit</small><th>energy <small>J</small>"
                "<th>share <small>%</small></thead><tbody>");
    for (size_t i = 0; i < csv_rows(c); i++) {
        static const char *const COLUMNS[] = {"count", "bits", "joules"};
        html_raw(h, "<tr><td>");
        html_text(h, report_word(c, i, "element"));
        html_raw(h, "</td><td>");
        html_text(h, report_word(c, i, "direction"));
        for (int x = 0; x < 3; x++) {
            char shown[40];
            html_digits(shown, report_cell(c, i, COLUMNS[x]));
            html_raw(h, "</td><td>");
            html_number(h, report_word(c, i, COLUMNS[x]), shown, "");
        }
        html_put(h, "</td><td>%.3g</td></tr>", 100 * report_cell(c, i, "joules") / total);
    }
    char shown[40], exact[32];
    html_digits(shown, joules[DEVICES]);
    text_shortest(exact, joules[DEVICES]);
    html_raw(h, "<tr><td>devices</td><td></td><td></td><td></td><td>");
    html_number(h, exact, shown, "");
    html_put(h, "</td><td>%.3g</td></tr></tbody></table></div></details>",
             100 * joules[DEVICES] / total);
}

void report_energy(struct html *h, const struct report *r)
{
    double most = 0, joules[N_PARTS];
    for (size_t k = 0; k < r->n_runs; k++)
        most = fmax(most, add_parts(&r->run[k], joules));
    html_raw(h, "<section class=whole><h2>Where the energy went</h2>");
    if (!(most > 0)) {
        html_raw(h, "<p>No energy was charged.</p></section>");
        return;
    }
    for (size_t k = 0; k < r->n_runs; k++) {
        char total_kwh[40];
        double total = add_parts(&r->run[k], joules);
        html_raw(h, "<p class=row>");
        report_chip(h, r, k);
        struct axis_unit unit = axis_energy(total / 3.6e6);
        html_digits(total_kwh, total / 3.6e6 / unit.by);
        html_put(h, " <small>%s %s</small></p>", total_kwh, unit.name);
        if (total > 0)
            put_bar(h, joules, total, most);
    }
    put_legend(h, r);
    html_raw(h, "</section>");
}
