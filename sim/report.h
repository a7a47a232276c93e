/* sim/report.h: one HTML page about the results of runs, for people to look at.
 *
 * The page is self-contained: charts are SVG, the rest is HTML and CSS; there is no script in it,
 * and its content policy forbids any and every request. Numbers that it prints are those of the
 * files; <data value> holds them exactly. What is left out for size is said where it is left out.
 * The same folders give the same bytes. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "sim/base/err.h"
#include "sim/html.h"

enum { REPORT_MAX_RUNS = 16 };

/* Writes the page about n (1 .. REPORT_MAX_RUNS) result folders into out. ERR_INPUT names the file
 * that is missing or not what a run writes. */
enum err_code report_page(struct html *out, size_t n, const char *const *folders, struct err *e);

#endif
