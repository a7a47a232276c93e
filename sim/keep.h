/* sim/keep.h: what a run has learned, as folders that others can load.
 *
 * adapter/ in the output folder is a PEFT folder with a model card: the server's adapter after the
 * last complete round. With output.adapter_every n, adapter/round-N, which appears whole, holds it after
 * every n rounds as well. With model.train full it is model/ instead, a model folder in float32, at the end only.
 */
#ifndef SIM_KEEP_H
#define SIM_KEEP_H

#include <stdint.h>

#include "sim/base/err.h"
#include "sim/learner.h"
#include "sim/scenario.h"

struct keep {
    const struct scenario *scenario;
    const struct learner *learner;
    const char *folder; /* of the results */
};

/* At the end of a round, after aggregation: writes when the round is due. */
enum err_code keep_round(const struct keep *k, uint32_t round, struct err *e);

/* At the end; round: the last complete one, 0: none. */
enum err_code keep_final(const struct keep *k, uint32_t round, struct err *e);

/* Copies the files of a model folder that say how text becomes tokens and how to generate, as far
 * as they are there. */
enum err_code keep_copy_tokens(const char *from, const char *to, struct err *e);

#endif
