/* sim/version.h: which build this is, and of which libraries. */
#ifndef SIM_VERSION_H
#define SIM_VERSION_H

#include "sim/base/json.h"

/* Prints program, commit, compiler and libraries on stdout. */
void version_print(void);

/* Writes them as an object. The same build gives the same text. */
void version_write(struct json_out *o, const char *key);

#endif
