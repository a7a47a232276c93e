/* models/data_json.h: dialogues from a JSON Lines or JSON file (private to data*.c). */
#ifndef MODELS_DATA_JSON_H
#define MODELS_DATA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/mem.h"

/* A sample as the file has it. Strings belong to the arena that was given. */
struct raw_sample {
    const char *dialogue, *summary;
    const char *label; /* as text; NULL: none */
    bool is_number;    /* the label is a whole number */
    int64_t number;
};

struct raw_samples {
    struct raw_sample *item; /* heap, freed by raw_samples_fini */
    size_t n, cap;
    size_t n_empty; /* left out */
};

/* Appends all samples of a file. ERR_INPUT names file and line (or index); a file without samples
 * is refused. skips_empty: samples whose dialogue or summary is empty or null are left out and
 * counted; otherwise they are refused, too. */
enum err_code data_json_read(struct raw_samples *to, const char *path, bool skips_empty,
                             struct arena *strings, struct err *e);
void raw_samples_fini(struct raw_samples *r);

#endif
