/* sim/record.h: what a run puts on record: one table of columns (name, unit, meaning, place, type) per kind
 * of row. Every sink walks these tables; no column is named in a sink. */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

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
};

struct round_record {
    int64_t round;
    double start_s, end_s, duration_s, t_comp_s, t_comm_s, granularity;
    int64_t selected, arrived, bytes_down, bytes_up;
    double comm_kwh, device_kwh, carbon_g;
    double train_loss, eval_loss, rouge1, rouge2, rougeL, rougeLsum;
};

struct client_record {
    int64_t round, client;
    const char *group, *device;
    int64_t samples;
    double download_start_s, download_end_s, train_end_s, upload_end_s;
    int64_t bytes_down, bytes_up;
    double comm_j, device_j, train_loss;
    const char *time_source, *status;
    int64_t data_samples;
};

struct element_record {
    const char *element, *direction;
    int64_t count;
    double bits, joules;
};

const struct table *record_rounds(void);
const struct table *record_clients(void);
const struct table *record_elements(void);

/* The cell of a column as text: integers and shortest decimals that read back as the same double; an empty
 * text where the value is not available. out holds 64 bytes; COLUMN_TEXT is returned as it is. */
const char *record_cell(const struct column *c, const void *row, char out[64]);

#endif
