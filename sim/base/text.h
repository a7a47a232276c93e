/* sim/base/text.h: numbers and quantities from text, with a range; the nearest name to a mistyped
 * one.
 *
 * Messages state expectation and fact ("expected a rate such as 40Mbps, got \"40 MB\""); the caller
 * prefixes the place. Prefixes are decimal: k 1e3, M 1e6, G 1e9, T 1e12. Sizes are also accepted in
 * KiB MiB GiB TiB. */
#ifndef SIM_BASE_TEXT_H
#define SIM_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

/* The kinds of quantity, each with the unit that the program keeps inside. */
enum unit_kind {
    UNIT_RATE_BPS,         /* "40Mbps", "1Gbps", "9.6kbps": bits per second */
    UNIT_SIZE_BYTES,       /* "2.75MB" = 2,750,000, "16GiB", "512B" */
    UNIT_TIME_S,           /* "50ms", "70us", "30s", "5min", "2h", "1d" */
    UNIT_POWER_W,          /* "60W", "350mW", "1.2kW" */
    UNIT_FLOP_PER_S,       /* "5.3TFLOP/s", "312TFLOP/s" */
    UNIT_ENERGY_J_PER_BIT, /* "31.7nJ/bit", "82.82uJ/bit" */
    N_UNIT_KINDS
};

/* "a rate such as 40Mbps": what a message tells the user to write. */
const char *text_unit_example(enum unit_kind kind);

/* A whole quantity ("40Mbps"): number, unit, nothing else; lo <= value <= hi in the inside unit. */
enum err_code text_quantity(const char *s, enum unit_kind kind, double lo, double hi, double *out,
                            struct err *e);

/* A finite decimal number, whole string, lo <= value <= hi. */
enum err_code text_double(const char *s, double lo, double hi, double *out, struct err *e);

/* A whole decimal integer, lo <= value <= hi. */
enum err_code text_int(const char *s, int64_t lo, int64_t hi, int64_t *out, struct err *e);

/* Prints a value with the prefix that reads best: 2752512 bytes -> "2.753MB", 40e6 bps -> "40Mbps".
 * At most n bytes. Meant for people; it rounds to 4 digits. */
void text_format(char *out, size_t n, double value, enum unit_kind kind);

/* The shortest decimal that reads back as the same double ("0.1", "1e-06"); out holds 32 bytes. */
void text_shortest(char out[32], double value);

/* The name among n that is nearest to s by edit distance, or NULL when none is near enough to be
 * worth suggesting (more than a third of the letters of s differ, and s is not the beginning of a
 * name). Case does not count; of equals the first wins. */
const char *text_nearest(const char *s, const char *const *names, size_t n);

#endif
