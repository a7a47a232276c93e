/* sim/paper_parts.h: what the sections of sim/paper.h are made with; private to sim/paper*.c. */
#ifndef SIM_PAPER_PARTS_H
#define SIM_PAPER_PARTS_H

#include "sim/paper.h"

/* A new sheet, and a new count, at the end. */
struct sheet *paper_sheet(struct paper *p, const char *name, const char *title,
                          const char *columns);
struct paper_count *paper_count(struct paper *p, const char *section, const char *what);

/* Counts a cell and returns "same" or "differs"; a miss is kept with the formatted place. */
const char *paper_verdict(struct paper *p, struct paper_count *c, bool is_same, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

/* value rounds to printed, a figure whose last digit has this weight (0.01: two decimals). */
bool paper_is_same(double value, double printed, double digit);

/* Values of an architecture, of its adapter (rank 16 on q and v), and layers x width of one stack.
 */
double paper_parameters(enum paper_model m);
double paper_lora_parameters(enum paper_model m);
double paper_payload_bytes(enum paper_model m, bool is_full);
/* The study's MFU in percent: TPS (6 N + 12 L d s) / peak. */
double paper_mfu(enum paper_model m, double tps, double peak_flop_per_s);

/* kWh of one round's communication by the formula: 10 clients, both directions, J/bit of the route
 * as the accounting charges j16. */
double paper_comm_kwh(const char *accounting, enum paper_model m, bool is_full, bool is_lte);

/* The row of a configuration, or NULL. */
const struct paper_step *paper_step(const struct paper_tables *t, enum paper_model m, int minibatch,
                                    enum paper_device d);

void paper_table1(struct paper *p);
void paper_table2(struct paper *p);
void paper_table3(struct paper *p);
void paper_table4(struct paper *p);
void paper_table5(struct paper *p);
void paper_figure1(struct paper *p);
void paper_figure4(struct paper *p);
void paper_energy(struct paper *p);
void paper_headline(struct paper *p);
void paper_text(struct paper *p);

#endif
