/* Tables 2, 4 and 5 and figure 4: what was measured on two devices, and what follows from it. */
#include <math.h>
#include <stdio.h>

#include "energy/device.h"
#include "sim/base/check.h"
#include "sim/paper_parts.h"

#define PEAK_A100_FP16 312e12 /* dense BF16 and FP16 */
#define PEAK_ORIN_FP16 42.5e12
#define HALF_CENT 0.005 /* what rounding to two decimals hides */

static double fp16_peak(enum paper_device d)
{
    return d == PAPER_A100 ? PEAK_A100_FP16 : PEAK_ORIN_FP16;
}

static double best_eta(const struct paper_tables *t, const struct paper_step *of)
{
    double best = 0;
    for (int i = 0; i < PAPER_STEPS; i++)
        if (t->step[i].model == of->model && t->step[i].device == of->device)
            best = fmax(best, t->step[i].eta);
    return best;
}

/* Percent of a device's best eta_e. */
static double share_at_8(const struct paper_tables *t, enum paper_model m, enum paper_device d)
{
    const struct paper_step *r = paper_step(t, m, 8, d);
    CHECK(r);
    return 100 * r->eta / best_eta(t, r);
}

/* Some TPS and watts that round to the printed ones give an eta_e that rounds to the printed one.
 */
static bool is_eta(const struct paper_step *s)
{
    double lo = (s->tps2 - HALF_CENT) / (s->watts + HALF_CENT);
    double hi = (s->tps2 + HALF_CENT) / (s->watts - HALF_CENT);
    return lo <= s->eta + HALF_CENT && hi >= s->eta - HALF_CENT;
}

void paper_table2(struct paper *p)
{
    struct paper_count *count = paper_count(p, "table2", "eta_e");
    struct sheet *s =
        paper_sheet(p, "table2", "Table 2, energy efficiency eta_e = TPS / W: printed | recomputed",
                    "<model|mini-batch|<dev|W|TPS|eta_e printed|TPS / W|<verdict|% of best");
    int exact = 0;
    for (int i = 0; i < PAPER_STEPS; i++) {
        const struct paper_step *r = &p->tables->step[i];
        double eta = r->tps2 / r->watts;
        exact += paper_is_same(eta, r->eta, 0.01);
        const char *verdict = paper_verdict(
            p, count, is_eta(r), "%s %d %s: printed %.2f, recomputed %.3f",
            paper_model_name(r->model), r->minibatch, paper_device_name(r->device), r->eta, eta);
        sheet_row(s, "%s|%d|%s|%.2f|%.2f|%.2f|%.3f|%s|%.0f", paper_model_name(r->model),
                  r->minibatch, paper_device_name(r->device), r->watts, r->tps2, r->eta, eta,
                  verdict, 100 * r->eta / best_eta(p->tables, r));
    }
    sheet_note(s,
               "%d of %d rows: %d to the last digit, the others within what the rounding of the "
               "printed W and "
               "TPS allows. Mini-batches are not legible; they follow from Table 4.",
               count->same, count->checked, exact);
    sheet_note(s,
               "At mini-batch 8 the Orin has reached %.0f, %.0f and %.0f %% of its best eta_e "
               "(small, base, "
               "large), the A100 %.0f, %.0f and %.0f %%.",
               share_at_8(p->tables, PAPER_SMALL, PAPER_ORIN),
               share_at_8(p->tables, PAPER_BASE, PAPER_ORIN),
               share_at_8(p->tables, PAPER_LARGE, PAPER_ORIN),
               share_at_8(p->tables, PAPER_SMALL, PAPER_A100),
               share_at_8(p->tables, PAPER_BASE, PAPER_A100),
               share_at_8(p->tables, PAPER_LARGE, PAPER_A100));
}

static const char *recovered_text(unsigned recovered)
{
    switch (recovered) {
    case PAPER_BACKWARD:
        return "bwd lost";
    case PAPER_OPT:
        return "opt lost";
    case PAPER_FORWARD:
        return "fwd lost";
    case PAPER_OPT | PAPER_FORWARD:
        return "fwd, opt lost";
    default:
        return "fwd, bwd lost";
    }
}

/* Five rounded parts and a rounded total. */
static bool is_total(const struct paper_step *r, double sum)
{
    return fabs(sum - r->total_s) <= 6 * HALF_CENT * (1 + 1e-9);
}

void paper_table4(struct paper *p)
{
    struct paper_count *count = paper_count(p, "table4", "totals");
    struct sheet *s = paper_sheet(
        p, "table4", "Table 4, seconds of a training step by part, and its two readings",
        "<model|mb|<dev|load|fwd|bwd|opt|sum|total|<verdict|opt/(f+b)|once|mb by TPS");
    double least = HUGE_VAL, most = 0;
    for (int i = 0; i < PAPER_STEPS; i++) {
        const struct paper_step *r = &p->tables->step[i];
        double sum = r->load_s + r->forward_s + r->backward_s + r->opt_s;
        double ratio = r->opt_s / (r->forward_s + r->backward_s);
        const char *verdict = recovered_text(r->recovered);
        if (r->recovered)
            count->lost++;
        else
            verdict =
                paper_verdict(p, count, is_total(r, sum), "%s %d %s: printed %.2f, parts %.2f",
                              paper_model_name(r->model), r->minibatch,
                              paper_device_name(r->device), r->total_s, sum);
        least = fmin(least, ratio);
        most = fmax(most, ratio);
        sheet_row(s, "%s|%d|%s|%.2f|%.2f|%.2f|%.2f|%.2f|%.2f|%s|%.2f|%.2f|%.1f",
                  paper_model_name(r->model), r->minibatch, paper_device_name(r->device), r->load_s,
                  r->forward_s, r->backward_s, r->opt_s, sum, r->total_s, verdict, ratio,
                  r->opt_s + r->load_s, r->tps4 * r->total_s / PAPER_TOKENS);
    }
    sheet_note(
        s,
        "%d of %d totals are the sum of their parts to rounding; %d rows have lost cells that were "
        "taken from the total. Mini-batches (mb) are not legible: they follow from TPS x total / "
        "%d "
        "tokens, the last column.",
        count->same, count->checked, count->lost, PAPER_TOKENS);
    sheet_note(s,
               "Likely double count: the optimizer column is %.2f to %.2f times forward + "
               "backward, far more "
               "than applying an update can take. Its timer seems to wrap a closure that runs both "
               "again, so "
               "\"once\" = optimizer + load is the other reading: about half the time, so twice "
               "the TPS, eta_e "
               "and MFU. A scenario chooses with \"compute\": {\"profile_reading\": \"printed\" | "
               "\"without-double-count\"}.",
               least, most);
}

/* Returns whether its TPS is that of Table 4. */
static bool mfu_row(struct paper *p, struct sheet *s, struct paper_count *count,
                    const struct paper_step *r)
{
    const struct device *device = device_find(paper_device(r->device));
    CHECK(device);
    double mfu = paper_mfu(r->model, r->tps5, fp16_peak(r->device));
    double once = mfu * r->total_s / (r->opt_s + r->load_s);
    bool agrees = fabs(r->tps5 - r->tps4) < 1;
    const char *verdict = "lost";
    char printed[16] = "";
    if (r->mfu > 0) {
        snprintf(printed, sizeof(printed), "%.1f", r->mfu);
        verdict = paper_verdict(
            p, count, paper_is_same(mfu, r->mfu, 0.1), "%s %d %s: printed %.1f, recomputed %.2f",
            paper_model_name(r->model), r->minibatch, paper_device_name(r->device), r->mfu, mfu);
    } else {
        count->lost++;
    }
    sheet_row(s, "%s|%d|%s|%.0f|%s|%.2f|%s|%.1f|%.2f|%.2f|%s", paper_model_name(r->model),
              r->minibatch, paper_device_name(r->device), r->tps5, printed, mfu, verdict,
              paper_mfu(r->model, r->tps5, device->roof.flop_per_s), once, r->tps4,
              agrees ? "yes" : "no");
    return agrees;
}

void paper_table5(struct paper *p)
{
    struct paper_count *count = paper_count(p, "table5", "MFU");
    struct sheet *s = paper_sheet(
        p, "table5", "Table 5, MFU = TPS (6 N + 12 L d s) / peak, in percent: printed | recomputed",
        "<model|mb|<dev|TPS|printed|FP16 peak|<verdict|FP32 peak|once, FP16|Table 4 TPS|<agree");
    int n_agree = 0;
    for (int i = 0; i < PAPER_STEPS; i++)
        n_agree += mfu_row(p, s, count, &p->tables->step[i]);
    sheet_note(s,
               "%d of %d legible cells, %d are lost. s = %d, N without adapters; once: without "
               "Table 4's likely "
               "double count. The peaks are %.0f (A100) and %.1f (Orin) TFLOP/s, which are "
               "FP16/BF16 figures; "
               "the FP32 peaks are 19.5 and 5.3, by which the A100 would exceed 100 %%. 6 N also "
               "charges the "
               "decoder and the embeddings to every encoder token.",
               count->same, count->checked, count->lost, PAPER_TOKENS, PEAK_A100_FP16 / 1e12,
               PEAK_ORIN_FP16 / 1e12);
    sheet_note(s, "TPS agree with Table 4 in %d of %d rows.", n_agree, PAPER_STEPS);
}

/* --- figure 4 --- */

struct points {
    int n;
    double x[PAPER_STEPS], y[PAPER_STEPS];
};

/* MFU and eta_e of a model; d < 0 pools the devices. is_printed: MFU to one decimal, as in Table 5.
 */
static struct points points_of(const struct paper_tables *t, enum paper_model m, int d,
                               bool is_printed)
{
    struct points out = {.n = 0};
    for (int i = 0; i < PAPER_STEPS; i++) {
        const struct paper_step *r = &t->step[i];
        if (r->model != m || (d >= 0 && r->device != (enum paper_device)d))
            continue;
        double mfu = paper_mfu(m, r->tps5, fp16_peak(r->device));
        out.x[out.n] = is_printed ? round(10 * mfu) / 10 : mfu;
        out.y[out.n++] = r->eta;
    }
    return out;
}

static double pearson(const struct points *p)
{
    double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < p->n; i++) {
        mx += p->x[i] / p->n;
        my += p->y[i] / p->n;
    }
    for (int i = 0; i < p->n; i++) {
        xy += (p->x[i] - mx) * (p->y[i] - my);
        xx += (p->x[i] - mx) * (p->x[i] - mx);
        yy += (p->y[i] - my) * (p->y[i] - my);
    }
    return 100 * xy / sqrt(xx * yy);
}

void paper_figure4(struct paper *p)
{
    struct paper_count *count = paper_count(p, "figure4", "Pearson");
    struct sheet *s = paper_sheet(
        p, "figure4",
        "Figure 4c, Pearson correlation of MFU and eta_e, in percent: printed | recomputed",
        "<model|points|printed|recomputed|<verdict|MFU unrounded|A100 alone|Orin alone");
    for (int m = 0; m < PAPER_COST_MODELS; m++) {
        enum paper_model model = (enum paper_model)m;
        struct points both = points_of(p->tables, model, -1, true);
        struct points exact = points_of(p->tables, model, -1, false);
        struct points a100 = points_of(p->tables, model, PAPER_A100, true);
        struct points orin = points_of(p->tables, model, PAPER_ORIN, true);
        double r = pearson(&both), printed = p->tables->pearson[m];
        const char *verdict =
            paper_verdict(p, count, paper_is_same(r, printed, 0.01),
                          "%s: printed %.2f, recomputed %.3f", paper_model_name(model), printed, r);
        sheet_row(s, "%s|%d|%.2f|%.3f|%s|%.3f|%.2f|%.2f", paper_model_name(model), both.n, printed,
                  r, verdict, pearson(&exact), pearson(&a100), pearson(&orin));
    }
    sheet_note(s, "%d of %d: both devices pooled, MFU of Table 5 rounded to 0.1, eta_e of Table 2.",
               count->same, count->checked);
    sheet_note(s, "Pooling hides that each device alone correlates better (Large on the Orin has "
                  "two points).");
}
