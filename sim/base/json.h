/* sim/base/json.h: typed reading of JSON with the path of the key in every message, and writing.
 *
 * A reader is a cursor (struct json) into a document. Every getter marks the key as read;
 * json_finish on an object refuses keys that nobody asked for and names the nearest that was asked.
 * The dotted path ("clients.groups[1].share") is built only when something is wrong. All messages
 * read "FILE: PATH: expected ..., got ...". Trailing text, NaN, numbers beyond a double and depth
 * over 64 are refused when the text is parsed, with line and column; duplicate keys with their
 * path. A cursor to an absent object (node NULL) is read like an empty one, so that defaults come
 * out. cJSON does the parsing; its name appears only in json.c.
 */
#ifndef SIM_BASE_JSON_H
#define SIM_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/text.h"

struct json_doc;
struct json_node;

/* A cursor: a value inside a document. node NULL = absent (an optional key that is not there). */
struct json {
    struct json_doc *doc;
    struct json_node *node;
};

/* Parses n bytes. name appears in messages (a file name). The document owns all strings it hands
 * out. */
enum err_code json_parse(struct json_doc **out, const char *name, const char *text, size_t n,
                         struct err *e);
enum err_code json_load(struct json_doc **out, const char *path, struct err *e);
void json_close(struct json_doc *doc); /* NULL is fine */
struct json json_root(struct json_doc *doc);

/* Merging, before anything is typed: objects merge key by key, a null takes the base's key away,
 * anything else replaces it. The merged values keep the name of the file they came from in
 * messages. */
enum err_code json_merge(struct json_doc *base, struct json_doc *over, struct err *e);
/* "a.b[2].c=VALUE": VALUE is taken as JSON if it parses as JSON, otherwise as a string. null takes
 * the key away. */
enum err_code json_set(struct json_doc *doc, const char *assignment, struct err *e);
/* Takes a key of an object away; false if it was not there. */
bool json_remove(struct json object, const char *key);
/* The file name given when this value was parsed, or "--set"; NULL when absent. Relative paths in a
 * value are relative to that file. key NULL: the cursor's own value. */
const char *json_origin(struct json object, const char *key);

/* --- reading: key NULL means the cursor's own value --- */

/* Whether a key is there; it does not count as read by this. */
bool json_has(struct json object, const char *key);
bool json_is_string(struct json value);
bool json_is_object(struct json value);
bool json_is_array(struct json value);
bool json_is_number(struct json value);

/* A child object or array. The _opt forms give node NULL when the key is absent. */
enum err_code json_object(struct json object, const char *key, struct json *out, struct err *e);
enum err_code json_object_opt(struct json object, const char *key, struct json *out, struct err *e);
enum err_code json_array(struct json object, const char *key, struct json *out, struct err *e);
enum err_code json_array_opt(struct json object, const char *key, struct json *out, struct err *e);
/* A value of any kind, to be looked at with json_is_*. */
enum err_code json_value(struct json object, const char *key, struct json *out, struct err *e);
size_t json_count(struct json array_or_object);
struct json json_at(struct json array, size_t i);
const char *json_key_at(struct json object, size_t i); /* marks the key as read; value: json_at */

/* Scalars. With fallback NULL the key is required; otherwise *fallback is taken when it is absent.
 * Bounds are inclusive. Strings live as long as the document. */
enum err_code json_string(struct json object, const char *key, const char *const *fallback,
                          const char **out, struct err *e);
enum err_code json_bool(struct json object, const char *key, const bool *fallback, bool *out,
                        struct err *e);
enum err_code json_int(struct json object, const char *key, int64_t lo, int64_t hi,
                       const int64_t *fallback, int64_t *out, struct err *e);
enum err_code json_double(struct json object, const char *key, double lo, double hi,
                          const double *fallback, double *out, struct err *e);
/* A string with a unit ("40Mbps"); a bare number is refused with an example. */
enum err_code json_quantity(struct json object, const char *key, enum unit_kind kind, double lo,
                            double hi, const double *fallback, double *out, struct err *e);
/* One of n names; *out is its index. fallback is an index or NULL. */
enum err_code json_choice(struct json object, const char *key, const char *const *names, size_t n,
                          const size_t *fallback, size_t *out, struct err *e);

/* Refuses keys of this object that nobody read: "rouds: unknown key, did you mean \"rounds\"?". */
enum err_code json_finish(struct json object, struct err *e);

/* Says something about a value of ours: "FILE: PATH: " + message, ERR_INPUT. key may be NULL. */
enum err_code json_fail(struct json object, const char *key, struct err *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* --- writing: a growing text, two-space indent, keys in the order they are given --- */

struct json_out {
    char *text; /* zero terminated */
    size_t n, cap;
    int depth, inline_depth; /* open containers; those since the first that is inline */
    bool is_first, is_inline;
};

void json_out_init(struct json_out *o);
void json_out_fini(struct json_out *o);
/* key NULL inside an array. inline containers stay on one line. */
void json_out_begin(struct json_out *o, const char *key, char open); /* '{' or '[' */
void json_out_begin_inline(struct json_out *o, const char *key, char open);
void json_out_end(struct json_out *o, char close);
void json_out_string(struct json_out *o, const char *key, const char *value);
void json_out_double(struct json_out *o, const char *key,
                     double value); /* shortest; NaN, inf: null */
/* The shortest that reads back as the same float32: 0.05f is 0.05 to a reader. Finite. */
void json_out_float(struct json_out *o, const char *key, float value);
void json_out_int(struct json_out *o, const char *key, int64_t value);
void json_out_bool(struct json_out *o, const char *key, bool value);
void json_out_null(struct json_out *o, const char *key);
/* A value of a document, as it is. */
void json_out_value(struct json_out *o, const char *key, struct json value);

#endif
