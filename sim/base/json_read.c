/* The typed half of json.h: scalars with their ranges. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/json_node.h"

#define MAX_WANTED 512
#define MAX_EXACT_INT 9007199254740992.0 /* 2^53: above it a double skips whole numbers */

enum err_code json_string(struct json object, const char *key, const char *const *fallback,
                          const char **out, struct err *e)
{
    struct json item = json_look_up(object, key);
    if (!item.node && fallback) {
        *out = *fallback;
        return OK;
    }
    if (!item.node)
        return json_fail(object, key, e, "expected a string, but the key is missing");
    if (!json_is_string(item))
        return json_wrong_kind(item, "a string", e);
    *out = json_text_of(item);
    return OK;
}

enum err_code json_bool(struct json object, const char *key, const bool *fallback, bool *out,
                        struct err *e)
{
    struct json item = json_look_up(object, key);
    if (!item.node && fallback) {
        *out = *fallback;
        return OK;
    }
    if (!item.node)
        return json_fail(object, key, e, "expected true or false, but the key is missing");
    if (!json_is_bool(item))
        return json_wrong_kind(item, "true or false", e);
    *out = json_is_true(item);
    return OK;
}

enum err_code json_int(struct json object, const char *key, int64_t lo, int64_t hi,
                       const int64_t *fallback, int64_t *out, struct err *e)
{
    char wanted[96];
    struct json item = json_look_up(object, key);
    if (!item.node && fallback) {
        *out = *fallback;
        return OK;
    }
    snprintf(wanted, sizeof(wanted), "%" PRId64 "..%" PRId64, lo, hi);
    if (!item.node)
        return json_fail(object, key, e, "expected %s, but the key is missing", wanted);
    double v = json_number_of(item);
    if (!json_is_number(item))
        return json_wrong_kind(item, wanted, e);
    if (v != floor(v))
        return json_wrong_kind(item, "a whole number", e);
    if (!(fabs(v) <= MAX_EXACT_INT) || (int64_t)v < lo || (int64_t)v > hi)
        return json_wrong_kind(item, wanted, e);
    *out = (int64_t)v;
    return OK;
}

enum err_code json_double(struct json object, const char *key, double lo, double hi,
                          const double *fallback, double *out, struct err *e)
{
    char wanted[96], low[32], high[32];
    struct json item = json_look_up(object, key);
    if (!item.node && fallback) {
        *out = *fallback;
        return OK;
    }
    text_shortest(low, lo);
    text_shortest(high, hi);
    if (isinf(hi))
        snprintf(wanted, sizeof(wanted), "a number of at least %s", low);
    else
        snprintf(wanted, sizeof(wanted), "%s..%s", low, high);
    if (!item.node)
        return json_fail(object, key, e, "expected %s, but the key is missing", wanted);
    if (!json_is_number(item) || !(json_number_of(item) >= lo && json_number_of(item) <= hi))
        return json_wrong_kind(item, wanted, e);
    *out = json_number_of(item);
    return OK;
}

enum err_code json_quantity(struct json object, const char *key, enum unit_kind kind, double lo,
                            double hi, const double *fallback, double *out, struct err *e)
{
    struct err why;
    struct json item = json_look_up(object, key);
    if (!item.node && fallback) {
        *out = *fallback;
        return OK;
    }
    if (!item.node)
        return json_fail(object, key, e, "expected %s, but the key is missing",
                         text_unit_example(kind));
    if (!json_is_string(item))
        return json_wrong_kind(item, text_unit_example(kind), e);
    enum err_code code = text_quantity(json_text_of(item), kind, lo, hi, out, &why);
    return code ? json_fail(object, key, e, "%s", why.text) : OK;
}

enum err_code json_choice(struct json object, const char *key, const char *const *names, size_t n,
                          const size_t *fallback, size_t *out, struct err *e)
{
    char wanted[MAX_WANTED] = "one of";
    struct json item = json_look_up(object, key);
    if (!item.node && fallback) {
        *out = *fallback;
        return OK;
    }
    for (size_t i = 0; json_is_string(item) && i < n; i++)
        if (strcmp(json_text_of(item), names[i]) == 0) {
            *out = i;
            return OK;
        }
    for (size_t i = 0, used = strlen(wanted); i < n && used < sizeof(wanted); i++)
        used +=
            (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s %s", i ? "," : "", names[i]);
    if (!item.node)
        return json_fail(object, key, e, "expected %s, but the key is missing", wanted);
    const char *near = json_is_string(item) ? text_nearest(json_text_of(item), names, n) : NULL;
    char got[80];
    json_describe(item, got);
    if (near)
        return json_fail(object, key, e, "expected %s, got %s, did you mean \"%s\"?", wanted, got,
                         near);
    return json_fail(object, key, e, "expected %s, got %s", wanted, got);
}

static void out_children(struct json_out *o, struct json value, bool is_object)
{
    size_t n = json_count(value);
    for (size_t i = 0; i < n; i++) {
        const char *key = is_object ? json_key_at(value, i) : NULL;
        json_out_value(o, key, json_at(value, i));
    }
}

void json_out_value(struct json_out *o, const char *key, struct json value)
{
    if (json_is_object(value) || json_is_array(value)) {
        bool is_object = json_is_object(value);
        json_out_begin(o, key, is_object ? '{' : '[');
        out_children(o, value, is_object);
        json_out_end(o, is_object ? '}' : ']');
    } else if (json_is_string(value)) {
        json_out_string(o, key, json_text_of(value));
    } else if (json_is_number(value)) {
        json_out_double(o, key, json_number_of(value));
    } else if (json_is_bool(value)) {
        json_out_bool(o, key, json_is_true(value));
    } else {
        json_out_null(o, key);
    }
}
