/* sim/base/json_node.h: what the parts of json.h share; private to sim/base/json*.c. */
#ifndef SIM_BASE_JSON_NODE_H
#define SIM_BASE_JSON_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/json.h"

/* Refuses what cJSON is too lenient about, with line and column: malformed numbers, numbers beyond
 * a double, control and zero characters in strings, depth over 64. The rest of the grammar is
 * cJSON's. */
enum err_code json_scan(const char *name, const char *text, size_t n, struct err *e);

/* The message for the place in text where cJSON stopped (NULL: at its end). */
enum err_code json_scan_stopped(const char *name, const char *text, size_t n, const char *at,
                                struct err *e);

/* The value of key (key NULL: the cursor's own), marked as read; node NULL when absent. */
struct json json_look_up(struct json object, const char *key);

bool json_is_bool(struct json value);
bool json_is_true(struct json value);
const char *json_text_of(struct json string);
double json_number_of(struct json number);

/* A value in a message: its number or string, or its kind. */
void json_describe(struct json value, char out[80]);

/* "FILE: PATH: expected WANTED, got VALUE". */
enum err_code json_wrong_kind(struct json value, const char *wanted, struct err *e);

#endif
