/* Statements of the study's text that its own tables or its formula contradict; figures and our own
 * words. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "energy/account.h"
#include "sim/base/check.h"
#include "sim/paper_parts.h"

static double lora_gain(enum paper_model m)
{
    return paper_payload_bytes(m, true) / paper_payload_bytes(m, false);
}

static double lte_over_wired(const char *accounting)
{
    return paper_comm_kwh(accounting, PAPER_LARGE, true, true) /
           paper_comm_kwh(accounting, PAPER_LARGE, true, false);
}

/* A printed cell of Table 1. */
static double g_cell(const struct paper_tables *t, bool is_full, bool is_lte, enum paper_model m)
{
    for (int i = 0; i < PAPER_COSTS * N_PAPER_DEVICES; i++) {
        const struct paper_granularity *g = &t->granularity[i];
        if (g->device == PAPER_A100 && g->is_full == is_full && g->is_lte == is_lte)
            return strtod(g->cell[m], NULL);
    }
    return (double)NAN;
}

static double kwh_cell(const struct paper_tables *t, bool is_full, bool is_lte, enum paper_model m)
{
    for (int i = 0; i < PAPER_COSTS; i++)
        if (t->kwh[i].is_full == is_full && t->kwh[i].is_lte == is_lte)
            return strtod(t->kwh[i].cell[m], NULL);
    return (double)NAN;
}

static void communication_rows(struct paper *p, struct sheet *s)
{
    const struct paper_tables *t = p->tables;
    double gain[PAPER_COST_MODELS], slower[PAPER_COST_MODELS];
    for (int i = 0; i < PAPER_COST_MODELS; i++) {
        enum paper_model m = (enum paper_model)i;
        gain[i] = g_cell(t, false, false, m) / g_cell(t, true, false, m);
        slower[i] = g_cell(t, false, false, m) / g_cell(t, false, true, m);
    }
    sheet_row(s, "gain in G by LoRA|up to %.0fx|%.0f, %.0f, %.0fx|%.0f, %.0f, %.0fx|contradict",
              t->lora_gain, gain[0], gain[1], gain[2], lora_gain(PAPER_SMALL),
              lora_gain(PAPER_BASE), lora_gain(PAPER_LARGE));
    sheet_row(s, "LTE/wired, J per bit|2 orders|%.1fx|%.0fx|contradict",
              kwh_cell(t, true, true, PAPER_LARGE) / kwh_cell(t, true, false, PAPER_LARGE),
              lte_over_wired("literal"));
    sheet_row(s, "LTE/wired, s per byte|40/10 M, 1 G|%.0f, %.0f, %.0fx|%.1fx|contradict", slower[0],
              slower[1], slower[2], (1 / 40e6 + 1 / 10e6) / (2 / 1e9));
    double jobs = t->rounds[PAPER_LARGE] / t->job_kwh[PAPER_ORIN];
    sheet_row(s, "communication/computing|to 4 orders|%.0fx|%.0fx|agree",
              jobs * kwh_cell(t, true, true, PAPER_LARGE),
              jobs * paper_comm_kwh("literal", PAPER_LARGE, true, true));
}

static void time_rows(struct paper *p, struct sheet *s)
{
    const struct paper_tables *t = p->tables;
    for (int d = 0; d < N_PAPER_DEVICES; d++) {
        enum paper_device device = (enum paper_device)d;
        double step[PAPER_COST_MODELS];
        for (int m = 0; m < PAPER_COST_MODELS; m++)
            step[m] = PAPER_LOCAL_STEPS * paper_step(t, (enum paper_model)m, 1, device)->total_s;
        sheet_row(s, "T_comp, %s|2 steps|%.2f s (fitted)|%.2f, %.2f, %.2f s|contradict",
                  paper_device_name(device),
                  d == PAPER_A100 ? ACCOUNT_TABLE1_A100_S : ACCOUNT_TABLE1_ORIN_S, step[0], step[1],
                  step[2]);
    }
    for (int d = 0; d < N_PAPER_DEVICES; d++) {
        enum paper_device device = (enum paper_device)d;
        const struct paper_step *one = paper_step(t, PAPER_LARGE, 1, device);
        const struct paper_step *eight = paper_step(t, PAPER_LARGE, 8, device);
        double h = t->samples / 3600;
        sheet_row(s,
                  "job of Large, %s|%.2f h|%.1f h mb1, %.1f h mb8|once %.1f h, %.1f h|contradict",
                  paper_device_name(device), t->hours[d], h * one->total_s, h * eight->total_s / 8,
                  h * (one->opt_s + one->load_s), h * (eight->opt_s + eight->load_s) / 8);
    }
}

void paper_text(struct paper *p)
{
    const struct paper_tables *t = p->tables;
    struct sheet *s =
        paper_sheet(p, "text", "Figures of the text against the tables and the formula",
                    "<what|<text|<Table 1 or 4|<formula, other reading|<they");
    communication_rows(p, s);
    time_rows(p, s);
    sheet_note(s,
               "Three values are small, base, large. Gain: of Table 1's 1 Gbit/s rows, and of the "
               "payload. T_comp: "
               "what Table 1 needs, and 2 steps of Table 4 at mini-batch 1. Job: %.0f samples at "
               "Table 4's "
               "seconds, as printed and without the double count. \"To 4 orders\" is the full "
               "model over LTE "
               "against the Orin's quoted kWh; with LoRA on 1 Gbit/s the literal ratio is %.1f.",
               t->samples,
               t->rounds[PAPER_LARGE] / t->job_kwh[PAPER_ORIN] *
                   paper_comm_kwh("literal", PAPER_LARGE, false, false));
}
