/* sim/paper_tables.h: the cells that the study (arXiv 2310.03150v2) prints, as data for `veryedge
 * paper`.
 *
 * Figures only. They were read from the PDF's text, where some cells are lost: Table 1 lacks two,
 * Table 5 most of its MFU column, Table 4 the one-decimal cells, of which seven rows' were
 * recovered from the row's total, and the mini-batches, which were inferred from TPS x total / 512.
 * paper/accounting.md has the whole story. */
#ifndef SIM_PAPER_TABLES_H
#define SIM_PAPER_TABLES_H

#include <stdbool.h>

enum paper_model { PAPER_SMALL, PAPER_BASE, PAPER_LARGE, PAPER_XL, N_PAPER_MODELS };
enum paper_device { PAPER_A100, PAPER_ORIN, N_PAPER_DEVICES };
enum {
    PAPER_COST_MODELS = 3, /* columns of Table 1: small, base, large */
    PAPER_COSTS = 4,       /* full or LoRA, LTE or 1 Gbit/s */
    PAPER_STEPS = 27,
    PAPER_OPTIMIZERS = 12, /* four on each of small, base, large */
    PAPER_TOKENS = 512, /* per sample in Tables 2, 4 and 5 */
    PAPER_CLIENTS = 10, /* per round */
    PAPER_LOCAL_STEPS = 2,
};

/* Cells of Table 4 that were recovered from the row's total; or-ed. */
enum { PAPER_BACKWARD = 1, PAPER_OPT = 2, PAPER_FORWARD = 4 };

/* Table 1, granularity: one row. A cell is its text; "" is lost. */
struct paper_granularity {
    bool is_full, is_lte;
    enum paper_device device;
    const char *cell[PAPER_COST_MODELS];
};

/* Table 1, kWh of communication per round; the same for both devices. "< 0.01" is a bound. */
struct paper_kwh {
    bool is_full, is_lte;
    const char *cell[PAPER_COST_MODELS];
};

/* One measured configuration: Tables 2, 4 and 5 joined. All printed with two decimals but tps5
 * (none) and mfu (one). Table 4's loss column is 0.0 in every row. */
struct paper_step {
    enum paper_model model;
    int minibatch;
    enum paper_device device;
    double watts, eta, tps2; /* W, TPS / W, tokens per second */
    double backward_s, opt_s, forward_s, load_s, total_s, tps4;
    double tps5, mfu;   /* mfu in percent; 0: lost */
    unsigned recovered; /* cells of Table 4 that were recovered from total_s */
};

/* Table 3 and figure 5: a server optimizer on one model. Texts are the printed cells, "" is lost or
 * not printed. Which optimizer of a model a cell belongs to is inferred from the order. */
struct paper_optimizer {
    enum paper_model model;
    const char *optimizer; /* "FedAdamW" */
    const char *scenario;  /* scenarios/study/SCENARIO.json */
    const char *lr, *weight_decay, *beta2;
    double rouge1; /* figure 5, of the fine-tuned model */
    int overfit;   /* round of the point of overfitting; 0: none is marked. Of Base's two, FedAdamW's
                      is the one of Table 1 */
};

struct paper_tables {
    int rounds[PAPER_COST_MODELS]; /* to the least loss, FedAdamW */
    struct paper_granularity granularity[PAPER_COSTS * N_PAPER_DEVICES];
    struct paper_kwh kwh[PAPER_COSTS];
    struct paper_step step[PAPER_STEPS];
    struct paper_optimizer optimizer[PAPER_OPTIMIZERS];
    double pearson[PAPER_COST_MODELS]; /* figure 4c, percent: MFU against eta_e */
    double hours[N_PAPER_DEVICES], job_kwh[N_PAPER_DEVICES]; /* large, LoRA, on one device */
    double lora_gain; /* of G over the full model's, "up to" */
    double samples;   /* that a model sees in a job */
    double faster;    /* FedAdamW and FedAdam than FedAvgM, "up to" */
    int validated;    /* every so many rounds */
};

const struct paper_tables *paper_tables(void);

const char *paper_model_name(enum paper_model m);   /* "small" */
const char *paper_architecture(enum paper_model m); /* "flan-t5-small" */
const char *paper_device_name(enum paper_device d); /* "A100" */
const char *paper_device(enum paper_device d);      /* "a100-80gb", as in energy/device.h */

#endif
