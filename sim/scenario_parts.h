/* sim/scenario_parts.h: the sections of a scenario, one reader each; private to sim/scenario*.c.
 *
 * Every reader takes the scenario's root object, reads its own section, refuses that section's
 * unknown keys, and may rely on the sections read before it: in the order of this list. */
#ifndef SIM_SCENARIO_PARTS_H
#define SIM_SCENARIO_PARTS_H

#include "sim/scenario.h"

enum err_code scenario_parse_name(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_network(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_clients(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_model(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_data(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_federation(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_compute(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_evaluate(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_energy(struct json root, struct scenario *s, struct err *e);
enum err_code scenario_parse_output(struct json root, struct scenario *s, struct err *e);

/* path as the key's file means it: relative to that file's folder; an assignment's is left alone.
 * In the scenario's arena. */
const char *scenario_resolve(struct scenario *s, struct json object, const char *key,
                             const char *path);
/* Refuses what is no name: 1 .. SCENARIO_MAX_NAME printable letters, no "/", no dot in front. */
bool scenario_is_name(const char *text);

#endif
