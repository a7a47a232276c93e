/* The study's headline, that fine-tuning costs more energy for communicating than for computing: a
 * whole run of each configuration, by each accounting with itself. */
#include "energy/account.h"
#include "energy/device.h"
#include "energy/ledger.h"
#include "sim/base/check.h"
#include "sim/paper_parts.h"

#define TABLE1 "paper-table1"

/* kWh of a whole run: rounds x per round. */
struct run_energy {
    double t_comp_s; /* of one client in one round */
    double comm_kwh, measured_kwh, tdp_kwh;
};

/* What the verdicts on one training and network add up to. */
struct verdicts {
    int rows, always, measured_only;
};

static const struct paper_step *step_of(const struct paper *p, const struct paper_case *c)
{
    const struct paper_step *step = paper_step(p->tables, c->model, 1, c->device);
    CHECK(step);
    return step;
}

/* kWh of all participants of a run that each compute so long in each round. */
static double computing_kwh(const struct paper *p, const struct paper_case *c, double s, double w)
{
    return kwh_from_j(p->tables->rounds[c->model] * PAPER_CLIENTS * s * w);
}

static struct run_energy energy_of(const struct paper *p, const struct paper_case *c,
                                   double comm_kwh, double t_comp_s)
{
    const struct device *device = device_find(paper_device(c->device));
    CHECK(device);
    return (struct run_energy){
        .t_comp_s = t_comp_s,
        .comm_kwh = p->tables->rounds[c->model] * comm_kwh,
        .measured_kwh = computing_kwh(p, c, t_comp_s, step_of(p, c)->watts),
        .tdp_kwh = computing_kwh(p, c, t_comp_s, device->tdp_w),
    };
}

static struct run_energy literal_energy(const struct paper *p, const struct paper_case *c)
{
    const struct paper_round *r = paper_round_of(p, c);
    return energy_of(p, c, r->comm_kwh, r->t_comp_s);
}

static struct run_energy table1_energy(const struct paper *p, const struct paper_case *c)
{
    struct account_part part = {.device = paper_device(c->device),
                                .access = c->is_lte ? "lte" : "wired",
                                .payload_bytes = paper_payload_bytes(c->model, c->is_full)};
    double t_comp_s = account_find(TABLE1)->round(0, 1, &part).t_comp_s;
    return energy_of(p, c, paper_comm_kwh(TABLE1, c->model, c->is_full, c->is_lte), t_comp_s);
}

static const char *verdict(struct verdicts *v, const struct run_energy *e)
{
    v->rows++;
    if (e->comm_kwh > e->tdp_kwh) {
        v->always++;
        return "yes";
    }
    if (e->comm_kwh > e->measured_kwh) {
        v->measured_only++;
        return "W only";
    }
    return "no";
}

static int digits(double v)
{
    return v < 10 ? 3 : v < 100 ? 1 : 0;
}

static void put_row(struct paper *p, struct sheet *s, const struct paper_case *c,
                    const struct run_energy *e, struct verdicts *v)
{
    double by_w = e->comm_kwh / e->measured_kwh, by_tdp = e->comm_kwh / e->tdp_kwh;
    sheet_row(s, "%s|%s|%s|%s|%d|%.*f|%.2f|%.1f|%.*f|%.*f|%.*f|%.*f|%s",
              c->is_full ? "full" : "LoRA", c->is_lte ? "LTE" : "1 Gbit",
              paper_device_name(c->device), paper_model_name(c->model), p->tables->rounds[c->model],
              digits(e->comm_kwh), e->comm_kwh, e->t_comp_s, step_of(p, c)->watts,
              digits(e->measured_kwh), e->measured_kwh, digits(e->tdp_kwh), e->tdp_kwh,
              digits(by_w), by_w, digits(by_tdp), by_tdp, verdict(v, e));
}

#define COLUMNS "<train|<net|<dev|<model|rounds|comm|comp s|W|W x s|TDP x s|comm/W|comm/TDP|<more"

static void put_sheet(struct paper *p, struct sheet *s,
                      struct run_energy (*energy)(const struct paper *p,
                                                  const struct paper_case *c))
{
    struct verdicts v[PAPER_COSTS] = {{0}};
    for (int kind = PAPER_COSTS - 1; kind >= 0; kind--)
        for (int d = 0; d < N_PAPER_DEVICES; d++)
            for (int m = 0; m < PAPER_COST_MODELS; m++) {
                struct paper_case c = {(enum paper_model)m, kind / 2 == 1, kind % 2 == 1,
                                       (enum paper_device)d};
                struct run_energy e = energy(p, &c);
                put_row(p, s, &c, &e, &v[kind]);
            }
    sheet_note(
        s,
        "More: communication costs more, \"W only\": than computing at measured watts, but "
        "not at TDP. It does, by TDP too, with the full model over LTE in %d of %d rows, on "
        "1 Gbit/s in %d of %d; with LoRA over LTE in %d of %d (%d by W only), on 1 Gbit/s in "
        "%d of %d (%d by W only).",
        v[3].always, v[3].rows, v[2].always, v[2].rows, v[1].always, v[1].rows, v[1].measured_only,
        v[0].always, v[0].rows, v[0].measured_only);
}

/* The measured ratio of a configuration without Table 4's likely double count. */
static double once_ratio(const struct paper *p, const struct paper_case *c)
{
    const struct paper_step *step = step_of(p, c);
    double s = PAPER_LOCAL_STEPS * (step->opt_s + step->load_s);
    return literal_energy(p, c).comm_kwh / computing_kwh(p, c, s, step->watts);
}

static void note_literal(struct paper *p, struct sheet *s)
{
    struct paper_case a100 = {PAPER_LARGE, false, false, PAPER_A100}, orin = a100;
    orin.device = PAPER_ORIN;
    sheet_note(
        s, "A whole run is its rounds x 10 clients; comm: a simulated round, true units. W x s: "
           "Table 2's watts x 2 steps of Table 4 at mini-batch 1 (comp s, per client and round). "
           "TDP x s: the same seconds at 400 W (A100) and 60 W (Orin).");
    sheet_note(
        s,
        "Without Table 4's likely double count computing is about half, and comm/W of Large, "
        "LoRA, 1 Gbit/s is %.2f (A100) and %.2f (Orin): there the sign is within the doubt.",
        once_ratio(p, &a100), once_ratio(p, &orin));
}

static void note_table1(struct paper *p, struct sheet *s)
{
    const double *quoted = p->tables->job_kwh;
    struct paper_case c = {PAPER_LARGE, false, false, PAPER_A100};
    double a100 = table1_energy(p, &c).measured_kwh;
    c.device = PAPER_ORIN;
    double orin = table1_energy(p, &c).measured_kwh;
    sheet_note(s,
               "Not physical: communication x 32 and LTE access 1550 nJ/bit; computing by the same "
               "accounting, for each of 10 clients the constant T_comp that the G of Table 1 needs "
               "(comp s).");
    sheet_note(
        s,
        "The study sets Table 1's communication of Large with LoRA against the %.1f and %.1f "
        "kWh of one device's job (section energy). Table 1's own T_comp makes it %.1f and "
        "%.1f kWh at measured watts, %.0f and %.0f times as much.",
        quoted[PAPER_A100], quoted[PAPER_ORIN], a100, orin, a100 / quoted[PAPER_A100],
        orin / quoted[PAPER_ORIN]);
}

void paper_headline(struct paper *p)
{
    struct sheet *literal = paper_sheet(
        p, "headline_literal",
        "Communication against computing, kWh of a whole run: accounting literal", COLUMNS);
    put_sheet(p, literal, literal_energy);
    note_literal(p, literal);
    struct sheet *table1 = paper_sheet(
        p, "headline_table1",
        "Communication against computing, kWh of a whole run: accounting paper-table1", COLUMNS);
    put_sheet(p, table1, table1_energy);
    note_table1(p, table1);
}
