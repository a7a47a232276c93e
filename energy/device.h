/* energy/device.h: how long a client's device takes for a training step, and how many watts.
 *
 * Measured rows (the study arXiv 2310.03150, Table 4 for seconds, Table 2 for watts) exist for
 * "a100-80gb" and "agx-orin-64gb" and the models flan-t5-small, -base, -large, -xl. The study pads
 * every sample to 512 input tokens, so a measured step does not depend on the samples' lengths.
 * The rules, each with its time_source:
 *
 *   "table4"               a measured mini-batch: the printed total of Table 4
 *   "table4-interpolated"  between two of them: linear in log2(mini-batch), seconds and watts
 *   "table4-extrapolated"  above the largest: seconds in proportion to the mini-batch, its watts
 *   "out_of_memory"        at and above a mini-batch where the study ran out of memory
 *                          (orin: base from 64, large from 16, xl from 1)
 *   "roofline"             another model: from the data sheet
 *
 * All other devices have a data sheet only: seconds from the roofline of flop and bytes, watts =
 * TDP (an upper bound), out of memory where the step needs more than the device has. Rows that a
 * scenario defines by measurement say "measured", "measured-interpolated", "measured-extrapolated".
 *
 * Table 4's total counts forward and backward probably twice (its optimizer timer wraps a closure
 * that runs them): DEVICE_PRINTED, the default, takes the total as printed; DEVICE_OPT_STEP takes
 * "Opt. Step" plus batch loading, about half. See paper/accounting.md, section 4. */
#ifndef ENERGY_DEVICE_H
#define ENERGY_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "energy/roofline.h"
#include "sim/base/err.h"
#include "sim/base/json.h"

enum { DEVICE_NAME_BYTES = 64, DEVICE_MAX_MEASURES = 64 };
#define DEVICE_MAX_MINIBATCH 65536

enum device_reading { DEVICE_PRINTED, DEVICE_OPT_STEP };

/* One measured step. */
struct device_measure {
    char model[DEVICE_NAME_BYTES]; /* "flan-t5-small" */
    int minibatch;                 /* >= 1 */
    double step_s;                 /* the printed total; 0: it ran out of memory */
    double opt_step_s; /* Opt. Step + batch loading; = step_s where there is no such reading */
    double watts;      /* mean while training */
};

struct device {
    char name[DEVICE_NAME_BYTES]; /* "a100-80gb"; clients.csv prints it */
    double tdp_w;                 /* data sheet: the watts of a roofline step, an upper bound */
    double idle_w;                /* while it waits in a round */
    double memory_bytes;          /* data sheet, GB = 10^9 */
    struct roofline roof;         /* FP32 without tensor cores */
    const char *measure_source;   /* "table4", "measured"; NULL without measures */
    int n_measures;               /* by model, then by mini-batch, ascending */
    struct device_measure measure[DEVICE_MAX_MEASURES];
    const char *source;      /* of the data sheet's numbers, one phrase */
    const char *idle_source; /* "assumption: ..." or where it was read */
};

/* What is asked of a device: one step of local training. */
struct device_work {
    const char *model;   /* architecture, "flan-t5-small"; any other name goes to the roofline */
    int minibatch;       /* samples in this step, 1 .. DEVICE_MAX_MINIBATCH */
    double flop, bytes;  /* of this step, for the roofline (models/cost.h) */
    double memory_bytes; /* needed at once, for devices without a measured limit; 0: not known */
    enum device_reading reading;
};

struct device_step {
    double seconds, watts;   /* 0 and idle watts when out of memory */
    const char *time_source; /* constant text, see above; "out_of_memory" */
    bool is_out_of_memory;
};

/* A built-in device by name, or NULL. The tables are constant. */
const struct device *device_find(const char *name);
size_t device_count(void);
const struct device *device_at(size_t i);

/* One step of work on a device. Never fails: every work has a stated time or is out of memory. */
struct device_step device_step(const struct device *d, const struct device_work *work);

/* The file of a profile that comes with the program: $VERYEDGE_HOME/profiles/NAME.json,
 * ../share/veryedge/profiles/NAME.json beside the program, or energy/profiles/NAME.json of the source tree, the
 * first that is there; NULL: none. Caller frees with mem_free. */
char *device_profile(const char *name);

/* Reads object[key]: a name of the table (refused with the nearest name when unknown) or of a profile that comes
 * with the program, a profile's file as `veryedge bench device` writes it (text with a "/" or ending in .json;
 * relative to the file that names it), or an object, which is also what a profile holds:
 *   { "name": "board", "fp32": "5.3TFLOP/s", "memory_bandwidth": "204.8GB/s", "memory": "64GB",
 *     "tdp": "60W", "idle": "10W", "efficiency": 0.5, "overhead": "2ms",
 *     "measured": [ { "model": "flan-t5-small", "minibatch": 8, "step": "0.33s", "power": "103W" },
 *                   { "model": "flan-t5-small", "minibatch": 64, "out_of_memory": true } ] }
 * or an object with "like": a table's name, whose numbers are taken where a key is absent (measures
 * too, unless "measured" is given). Without "like" the keys fp32, memory_bandwidth, memory and tdp
 * are required; idle defaults to DEVICE_IDLE_SHARE of tdp, efficiency to 1, overhead to 0s, a
 * measured row's power to tdp. "measured_on" is not looked at. The result holds no pointer into the document. */
#define DEVICE_IDLE_SHARE 0.15 /* assumption, marked as such in idle_source */
enum err_code device_parse(struct json object, const char *key, struct device *out, struct err *e);
/* Writes the resolved device: as its name when it is a table's, else as an object. */
void device_write(struct json_out *o, const char *key, const struct device *d);
/* Its members, into an object that is open. */
void device_write_members(struct json_out *o, const struct device *d);

#endif
