/* sim/bench.h: what `veryedge bench` can time; private to sim/bench_*.c and sim/cmd_bench.c. Each takes the
 * arguments behind `bench`, its own name first. */
#ifndef SIM_BENCH_H
#define SIM_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "models/bench_parts.h"
#include "models/bench_train.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/peak.h"
#include "sim/watts.h"

enum err_code bench_cmd_network(int argc, char **argv, struct err *e);
enum err_code bench_cmd_train(int argc, char **argv, struct err *e);
enum err_code bench_cmd_device(int argc, char **argv, struct err *e);

/* --- what train and device share --- */

enum { BENCH_MAX_REPEATS = 64 };

/* How rounds are timed: at least so many, and at least so long. */
struct bench_timing {
    int warmup;     /* rounds before */
    int repeats;    /* 1 .. BENCH_MAX_REPEATS */
    double least_s; /* rounds behind the repeats heat the machine until then; for the watts */
    bool has_parts;
    struct bench_parts *parts; /* by whose table the model was opened; NULL: not charged part by part */
    bool (*is_stopped)(void); /* asked between rounds: true ends with ERR_INTERRUPTED; NULL: never */
};

struct bench_result {
    double min_s, median_s, max_s; /* of a round */
    double part_s[N_T5_PARTS];     /* mean of a round with marks; 0 without has_parts */
    double charged_s;              /* mean of a round whose operations are charged; 0 without parts */
    struct bench_charge charge[N_BENCH_PARTS];
    double watts;                  /* NaN: not measured */
    int n_readings;
    double loss;
};

/* The rounds to warm up, then the timed ones. watts may be NULL. */
enum err_code bench_time(struct bench *b, const struct bench_timing *how, struct watts *w,
                         struct bench_result *out, struct err *e);

const char *bench_part_name(enum t5_part part);

/* The machine that is timed. */
struct bench_machine {
    struct backend_choice choice;
    struct peak peak;
    struct watts *watts;        /* NULL: none */
    char why_no_watts[160];
    struct watts_about about;
    int n_threads;
};

/* backend: "auto" too. peak: as stated, or NULL. */
enum err_code bench_machine_open(struct bench_machine *m, const char *backend, const char *precision,
                                 const char *peak, int n_threads, struct err *e);
void bench_machine_close(struct bench_machine *m);
void bench_machine_print(const struct bench_machine *m);
void bench_machine_write(const struct bench_machine *m, struct json_out *o, const char *key);

/* Writes a finished document to a file, "-" is stdout; ends o. */
enum err_code bench_write(struct json_out *o, const char *path, struct err *e);

#endif
