/* Table 3 and figure 5: what the study prints of its training runs, and what the figures say of
 * themselves. The runs are repeated by `veryedge compare scenarios/study/...`, not here: they
 * train. */
#include <stdlib.h>
#include <string.h>

#include "sim/paper_parts.h"

static const char *or_lost(const char *cell)
{
    return cell[0] ? cell : "lost";
}

/* A run of the table: the first of that name on that model. */
static const struct paper_optimizer *run_of(const struct paper_tables *t, enum paper_model m,
                                            const char *optimizer)
{
    for (int i = 0; i < PAPER_OPTIMIZERS; i++)
        if (t->optimizer[i].model == m && strcmp(t->optimizer[i].optimizer, optimizer) == 0)
            return &t->optimizer[i];
    return NULL;
}

static void put_row(struct paper *p, struct sheet *s, const struct paper_optimizer *o)
{
    bool is_avg = strcmp(o->optimizer, "FedAvg") == 0, is_adam = o->beta2[0];
    double gain = o->rouge1 - run_of(p->tables, o->model, "FedAvg")->rouge1;
    char overfit[16] = "", gained[16] = "";
    if (!is_avg)
        snprintf(gained, sizeof(gained), "%+.2f", gain);
    if (o->overfit)
        snprintf(overfit, sizeof(overfit), "%d", o->overfit);
    sheet_row(s, "%s|%s|%s|%s|%s|%s|%.2f|%s|%s|%s", paper_model_name(o->model), o->optimizer,
              or_lost(o->lr), or_lost(o->weight_decay), is_avg ? "" : "lost",
              is_adam ? o->beta2 : "", o->rouge1, gained, overfit, o->scenario);
}

void paper_table3(struct paper *p)
{
    const struct paper_tables *t = p->tables;
    struct sheet *s = paper_sheet(
        p, "table3", "Table 3 and figure 5: server optimizers, as far as they are legible",
        "<model|<optimizer|lr|decay|moment|beta2|ROUGE-1|gain|overfits after|<scenarios/study/");
    for (int i = 0; i < PAPER_OPTIMIZERS; i++)
        put_row(p, s, &t->optimizer[i]);
    double per_round = PAPER_CLIENTS * PAPER_LOCAL_STEPS;
    const struct paper_optimizer *m = run_of(t, PAPER_LARGE, "FedAvgM");
    sheet_note(
        s,
        "Mini-batch, rounds and momentum (beta1) are lost for all: %.0f samples at %.0f a round "
        "and mini-batch 1 are %.0f rounds, enough for Large's %d, and mini-batch 2 would be %.0f, "
        "too few. Which optimizer a learning rate belongs to follows from the order of the "
        "legible ones. gain: over FedAvg.",
        t->samples, per_round, t->samples / per_round, t->rounds[PAPER_LARGE],
        t->samples / per_round / 2);
    sheet_note(
        s,
        "Overfits after: figure 5's point of overfitting, by Table 1 the round of the least "
        "validation loss. For Base two are marked: 856 is FedAdamW's by Table 1, so 847 is taken "
        "to be "
        "FedAdam's. The study says that it validates every %d rounds; none of its four points is "
        "a multiple of that.",
        t->validated);
    sheet_note(
        s,
        "\"Up to %.0fx faster than FedAvgM\" is a matter of rates: at %s and momentum 0.9 FedAvgM "
        "makes %.1f of FedAvg's step in the long run, on Base %.2f. To train again: veryedge "
        "compare scenarios/study/fedavgm.json scenarios/study/fedadamw.json; with tuned rates "
        "scenarios/optimizers/ in their place (the README has the results).",
        t->faster, m->lr, strtod(m->lr, NULL) / (1 - 0.9),
        strtod(run_of(t, PAPER_BASE, "FedAvgM")->lr, NULL) / (1 - 0.9));
}
