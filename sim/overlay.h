/* sim/overlay.h: `extends` and `--set`, merged before anything is typed.
 *
 * A file's "extends" names another scenario, relative to the file that says it; the file is laid
 * over it, key by key through objects, anything else replaced whole (lists too). Chains may be
 * OVERLAY_MAX_FILES long; a cycle is refused with its files. Assignments come last, in order. In
 * messages every value keeps the file it came from; those of assignments say "--set". */
#ifndef SIM_OVERLAY_H
#define SIM_OVERLAY_H

#include "sim/base/err.h"
#include "sim/base/json.h"

enum { OVERLAY_MAX_FILES = 16 };

/* The merged document, "extends" taken out. The caller closes it with json_close. */
enum err_code overlay_load(struct json_doc **out, const char *path, size_t n_sets,
                           const char *const *sets, struct err *e);

#endif
