/* sim/record.h: what a run puts on record: one table of columns (name, unit, meaning, place, type) per kind
 * of row. Every sink walks these tables; no column is named in a sink. */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum column_type {
    COLUMN_INT,    /* int64_t */
    COLUMN_DOUBLE, /* double; NaN = not available, an empty cell */
    COLUMN_TEXT,   /* const char * */
};

struct column {
    const char *name, *unit, *meaning; /* unit "" for plain numbers and names */
    enum column_type type;
    size_t offset;
};

struct table {
    const char *name; /* "rounds": rounds.csv */
    size_t n_columns;
    const struct column *column;
    bool is_single; /* one row per run: an object rather than a table */
};

struct round_record {
    int64_t round;
    double start_s, end_s, duration_s, t_comp_s, t_comm_s, granularity;
    int64_t selected, arrived, bytes_down, bytes_up;
    double comm_kwh, device_kwh, carbon_g;
    double train_loss, eval_loss, rouge1, rouge2, rougeL, rougeLsum, fact_recall;
    const char *accounting;
};

struct client_record {
    int64_t round, client;
    const char *group, *device;
    int64_t samples;
    double download_start_s, download_end_s, train_end_s, upload_end_s;
    int64_t bytes_down, bytes_up;
    double comm_j, device_j, train_loss;
    const char *time_source, *status;
    const char *accounting;
};

struct element_record {
    const char *element, *direction;
    int64_t count;
    double bits, joules;
    const char *per_bit;
};

struct sample_record {
    int64_t round, sample;
    const char *dialogue, *reference, *summary;
};

/* Totals of a run; NaN where there is none. First: before round 1. */
struct summary_record {
    const char *name, *trained, *backend, *precision, *costs_of, *accounting, *per_bit, *outcome;
    int64_t rounds, clients, clients_per_round, payload_down_bytes, payload_up_bytes;
    double virtual_s, mean_duration_s, mean_t_comp_s, mean_t_comm_s, mean_granularity;
    int64_t selected, arrived, rounds_without_result, bytes_down, bytes_up;
    double comm_kwh, device_kwh, total_kwh, carbon_g;
    double first_eval_loss, last_eval_loss, best_eval_loss;
    int64_t best_eval_round;
    double first_rouge1, last_rouge1, first_rouge2, last_rouge2, first_rougeL, last_rougeL;
    double first_rougeLsum, last_rougeLsum, first_fact_recall, last_fact_recall, last_train_loss;
    double test_loss, test_rouge1, test_rouge2, test_rougeL, test_rougeLsum, test_fact_recall;
};

const struct table *record_summary(void);
const struct table *record_rounds(void);
const struct table *record_samples(void);
/* Whether an accounting needs a label on every row. */
bool record_is_labelled(const char *accounting);

/* is_labelled: with a last column that names an accounting that is not literal. */
const struct table *record_clients(bool is_labelled);
const struct table *record_elements(bool is_labelled);

/* The cell of a column as text: integers and shortest decimals that read back as the same double; an empty
 * text where the value is not available. out holds 64 bytes; COLUMN_TEXT is returned as it is. */
const char *record_cell(const struct column *c, const void *row, char out[64]);

#endif
