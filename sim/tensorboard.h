/* sim/tensorboard.h: a run as an event file of TensorBoard: TFRecords of Event messages, written by
 * hand from the formats' descriptions (tensorflow/core/util/event.proto, summary.proto).
 *
 * Scalars "rounds/NAME", one per round and column of rounds.csv that is a number, "summary/NAME" at
 * the last round. step is the round; wall_time is virtual seconds since the run began, so that the
 * axis "Relative" shows virtual time and the file repeats byte for byte. Values are single
 * precision, as TensorBoard keeps them; what is not available is not there. */
#ifndef SIM_TENSORBOARD_H
#define SIM_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/track.h"

/* Its name begins as TensorBoard expects; in place of a time and a host it has what never changes.
 */
#define TENSORBOARD_FILE "events.out.tfevents.0.veryedge"

/* Writes FOLDER/TENSORBOARD_FILE; *n_scalars: how many values it holds. */
enum err_code tensorboard_write(const char *folder, const struct track *t, size_t *n_scalars,
                                struct err *e);

/* CRC-32C (Castagnoli) of n bytes, as RFC 3720 has it: "123456789" gives 0xe3069283. */
uint32_t tensorboard_crc32c(const void *bytes, size_t n);

#endif
