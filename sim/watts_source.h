/* sim/watts_source.h: what sim/watts.c reads; one file per source. Private to these. */
#ifndef SIM_WATTS_SOURCE_H
#define SIM_WATTS_SOURCE_H

#include "sim/watts.h"

struct watts_source {
    /* NULL and why when it is not here. */
    void *(*open)(char why[160]);
    void (*close)(void *state);
    void (*about)(void *state, struct watts_about *out);
    /* Watts now, or since the last call; NaN when there is none this time. */
    double (*read)(void *state);
};

extern const struct watts_source watts_nvml; /* sim/nvml_watts.c */
extern const struct watts_source watts_rapl; /* sim/rapl_watts.c */

#endif
