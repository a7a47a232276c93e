/* sim/peak.h: the peak rate that a utilisation is relative to. */
#ifndef SIM_PEAK_H
#define SIM_PEAK_H

#include "models/backend.h"
#include "sim/base/err.h"

struct peak {
    double flop_per_s;
    char source[128]; /* "H200 data sheet, dense bf16", "stated", "measured product of 1024 x 1024" */
};

/* stated: "989TFLOP/s", or NULL: the data sheet's dense rate of the device that `about` names (what the backend's
 * describe says), and where none is known, as for processors, a product measured for half a second. */
enum err_code peak_find(struct peak *out, const char *stated, const struct backend_ops *ops,
                        const char *about, int n_threads, struct err *e);

#endif
