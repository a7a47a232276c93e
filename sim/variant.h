/* sim/variant.h: runs of changed scenarios, each in a process and a folder of its own; what compare
 * and sweep share.
 *
 * All results lie below one folder, which one process at a time may use:
 *   struct variants vs;
 *   variants_open(&vs, "runs/sweep-lte", e);
 *   struct variant *v = variants_add(&vs, "up=5Mbps", "lte.json", n_sets, sets);
 *   variants_run(&vs, &options, &log, e);           fills every variant's state, message and
 * summary variants_close(&vs); The same variants give the same results in the same order, whatever
 * runs at once and however often it was killed. */
#ifndef SIM_VARIANT_H
#define SIM_VARIANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/hash.h"
#include "sim/base/log.h"
#include "sim/base/mem.h"
#include "sim/cache.h"
#include "sim/record.h"

enum variant_state {
    VARIANT_READY,  /* its scenario is right; it has not been run */
    VARIANT_DONE,   /* its folder holds the complete results */
    VARIANT_FAILED, /* message says why */
};

struct variant {
    const char *label;    /* for people */
    const char *scenario; /* the file */
    size_t n_sets;
    const char *const *sets; /* "KEY=VALUE", without output.dir */
    const char *folder;      /* FOLDER/variants/NAME, made from the label; unique */
    bool is_training;
    struct hash128 learning; /* of all that its training depends on */
    uint64_t seed;
    const char *asked_backend, *precision, *backend; /* compute.backend as stated and as it is here */
    const char *resolved; /* what the run's scenario.json will hold; NULL when it cannot be read */
    enum variant_state state;
    bool was_kept;                 /* done before variants_run began */
    const char *message;           /* one line, of VARIANT_FAILED */
    struct summary_record summary; /* of VARIANT_DONE */
};

struct variants {
    struct arena arena; /* owns all texts */
    const char *folder;
    int lock; /* the file that keeps others out */
    size_t n, cap;
    struct variant *variant;
};

/* Of variants that train the same, the first runs before the others, which then find its results in
 * the cache. Those first ones, and without a cache all that train, are the ones that use all cores. */
struct variant_options {
    int n_jobs; /* at once; 0: one of those that use all cores, then one per core of the others */
    int n_workers; /* threads of each training pass; 0: the cores shared among the jobs */
    struct cache cache;
    bool is_fresh; /* run again what is done already */
};

/* Makes the folder, takes its lock and removes what killed runs left half written. ERR_INPUT when
 * another process works in it. */
enum err_code variants_open(struct variants *vs, const char *folder, struct err *e);
void variants_close(struct variants *vs); /* zeroed is fine; folders stay */

/* Reads the scenario with its assignments: the variant is then VARIANT_READY, or VARIANT_FAILED
 * with the message. label, scenario and sets are copied. The pointer holds until the next add. */
struct variant *variants_add(struct variants *vs, const char *label, const char *scenario,
                             size_t n_sets, const char *const *sets);

/* Runs those that are ready, and notes how much of their training was known. One whose folder holds a complete run of
 * exactly the same resolved scenario by the same program is kept as it is. Progress on the terminal. ERR_INTERRUPTED on
 * Ctrl-C: what is done by then is kept. A variant that fails is no error of this call. */
enum err_code variants_run(struct variants *vs, const struct variant_options *o, struct log *log,
                           struct err *e);

/* What a reader must know of the numbers of those that are done: the warning of an accounting that
 * is not physical (energy/account.h); NULL where there is nothing to say. */
const char *variants_warning(const struct variants *vs);

/* How many are in a state. */
size_t variants_count(const struct variants *vs, enum variant_state state);
/* ERR_INPUT with the first message when all have failed. */
enum err_code variants_check(const struct variants *vs, struct err *e);

#endif
