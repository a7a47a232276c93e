/* Devices in scenarios: a name, or an object with a data sheet and measurements. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "energy/device.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/text.h"

#define MAX_DEVICES 64
#define MAX_FLOP_PER_S 1e18
#define MAX_BYTES_PER_S 1e15
#define MAX_MEMORY_BYTES 1e15
#define MAX_POWER_W 1e6
#define MAX_STEP_S 1e6

static const struct device *device_by_choice(struct json object, const char *key, struct err *e,
                                             enum err_code *code)
{
    const char *names[MAX_DEVICES];
    size_t n = device_count(), which = 0;
    CHECK(n <= MAX_DEVICES);
    for (size_t i = 0; i < n; i++)
        names[i] = device_at(i)->name;
    *code = json_choice(object, key, names, n, NULL, &which, e);
    return *code ? NULL : device_at(which);
}

/* "204.8GB/s": a size, then "/s". */
static enum err_code bandwidth(struct json o, const double *fallback, double *out, struct err *e)
{
    static const char *const key = "memory_bandwidth";
    const char *text;
    char size[64];
    if (fallback && !json_has(o, key)) {
        *out = *fallback;
        return OK;
    }
    enum err_code code = json_string(o, key, NULL, &text, e);
    if (code)
        return code;
    size_t n = strlen(text);
    if (n > 2 && n < sizeof(size) && strcmp(text + n - 2, "/s") == 0) {
        memcpy(size, text, n - 2);
        size[n - 2] = 0;
        if (text_quantity(size, UNIT_SIZE_BYTES, 1e6, MAX_BYTES_PER_S, out, NULL) == OK)
            return OK;
    }
    return json_fail(o, key, e,
                     "expected a bandwidth such as 204.8GB/s, 1MB/s to 1PB/s, got \"%s\"", text);
}

static enum err_code copy_name(struct json o, const char *key, char out[DEVICE_NAME_BYTES],
                               struct err *e)
{
    const char *text;
    enum err_code code = json_string(o, key, NULL, &text, e);
    if (code)
        return code;
    size_t n = strlen(text);
    if (n == 0 || n >= DEVICE_NAME_BYTES)
        return json_fail(o, key, e, "expected 1 to %d letters, got %zu", DEVICE_NAME_BYTES - 1, n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20)
            return json_fail(o, key, e, "expected printable letters");
    memcpy(out, text, n + 1);
    return OK;
}

static enum err_code parse_measure(struct json o, double tdp_w, struct device_measure *m,
                                   struct err *e)
{
    const bool no = false;
    int64_t minibatch = 0;
    bool is_out_of_memory = false;
    enum err_code code = copy_name(o, "model", m->model, e);
    if (!code)
        code = json_int(o, "minibatch", 1, DEVICE_MAX_MINIBATCH, NULL, &minibatch, e);
    if (!code)
        code = json_bool(o, "out_of_memory", &no, &is_out_of_memory, e);
    if (!code && !is_out_of_memory) {
        code = json_quantity(o, "step", UNIT_TIME_S, 1e-9, MAX_STEP_S, NULL, &m->step_s, e);
        if (!code)
            code = json_quantity(o, "opt_step", UNIT_TIME_S, 1e-9, MAX_STEP_S, &m->step_s,
                                 &m->opt_step_s, e);
        if (!code)
            code = json_quantity(o, "power", UNIT_POWER_W, 0, MAX_POWER_W, &tdp_w, &m->watts, e);
    }
    m->minibatch = (int)minibatch;
    return code ? code : json_finish(o, e);
}

static int by_model_then_minibatch(const void *a, const void *b)
{
    const struct device_measure *x = a, *y = b;
    int order = strcmp(x->model, y->model);
    return order ? order : (x->minibatch > y->minibatch) - (x->minibatch < y->minibatch);
}

static enum err_code parse_measures(struct json o, struct device *d, struct err *e)
{
    struct json list;
    enum err_code code = json_array(o, "measured", &list, e);
    if (code)
        return code;
    size_t n = json_count(list);
    if (n > DEVICE_MAX_MEASURES)
        return json_fail(o, "measured", e, "expected at most %d rows, got %zu", DEVICE_MAX_MEASURES,
                         n);
    memset(d->measure, 0, sizeof(d->measure));
    for (size_t i = 0; i < n; i++) {
        struct json row = json_at(list, i);
        code = parse_measure(row, d->tdp_w, &d->measure[i], e);
        if (code)
            return code;
        for (size_t j = 0; j < i; j++)
            if (by_model_then_minibatch(&d->measure[i], &d->measure[j]) == 0)
                return json_fail(row, NULL, e, "\"%s\" at mini-batch %d was given before",
                                 d->measure[i].model, d->measure[i].minibatch);
    }
    qsort(d->measure, n, sizeof(d->measure[0]), by_model_then_minibatch);
    d->n_measures = (int)n;
    d->measure_source = n ? "measured" : NULL;
    return OK;
}

/* like: the device whose numbers stand for absent keys, or NULL: then they are required. */
static enum err_code parse_sheet(struct json o, const struct device *like, struct device *d,
                                 struct err *e)
{
    enum err_code code =
        json_quantity(o, "fp32", UNIT_FLOP_PER_S, 1e6, MAX_FLOP_PER_S,
                      like ? &like->roof.flop_per_s : NULL, &d->roof.flop_per_s, e);
    if (!code)
        code = bandwidth(o, like ? &like->roof.bytes_per_s : NULL, &d->roof.bytes_per_s, e);
    if (!code)
        code = json_quantity(o, "memory", UNIT_SIZE_BYTES, 1e6, MAX_MEMORY_BYTES,
                             like ? &like->memory_bytes : NULL, &d->memory_bytes, e);
    if (!code)
        code = json_quantity(o, "tdp", UNIT_POWER_W, 0, MAX_POWER_W, like ? &like->tdp_w : NULL,
                             &d->tdp_w, e);
    if (code)
        return code;
    double overhead_s = like ? like->roof.overhead_s : 0;
    code = json_quantity(o, "overhead", UNIT_TIME_S, 0, MAX_STEP_S, &overhead_s, &d->roof.overhead_s, e);
    if (code)
        return code;
    double idle_w = like && !json_has(o, "tdp") ? like->idle_w : DEVICE_IDLE_SHARE * d->tdp_w;
    double efficiency = like ? like->roof.efficiency : 1.0;
    if (json_has(o, "idle"))
        d->idle_source = "stated in the scenario";
    code = json_quantity(o, "idle", UNIT_POWER_W, 0, MAX_POWER_W, &idle_w, &d->idle_w, e);
    if (!code)
        code = json_double(o, "efficiency", 1e-3, 1, &efficiency, &d->roof.efficiency, e);
    return code;
}

static enum err_code parse_object(struct json o, struct device *d, struct err *e)
{
    const struct device *like = NULL;
    struct json measured_on;
    enum err_code code = OK;
    if (json_has(o, "like"))
        like = device_by_choice(o, "like", e, &code);
    if (code)
        return code;
    if (like)
        *d = *like;
    d->source = "stated in the scenario";
    if (!like)
        d->idle_source = "assumption: 15 % of the TDP, the scenario gives none";
    code = copy_name(o, "name", d->name, e);
    if (!code && device_find(d->name))
        code =
            json_fail(o, "name", e, "\"%s\" is a built-in device: expected another name", d->name);
    if (!code)
        code = parse_sheet(o, like, d, e);
    if (!code && json_has(o, "measured"))
        code = parse_measures(o, d, e);
    if (!code) /* a profile says where it was measured; that is no setting */
        code = json_object_opt(o, "measured_on", &measured_on, e);
    return code ? code : json_finish(o, e);
}

/* A profile's file: all of it is one device. */
static enum err_code parse_file(const char *path, struct device *out, struct err *e)
{
    struct json_doc *doc = NULL;
    struct device d = {0};
    enum err_code code = json_load(&doc, path, e);
    if (!code)
        code = parse_object(json_root(doc), &d, e);
    json_close(doc);
    if (!code) {
        d.source = "a profile of measurements";
        *out = d;
    }
    return code;
}

static bool is_path(const char *text)
{
    size_t n = strlen(text);
    return strchr(text, '/') || (n > 5 && strcmp(text + n - 5, ".json") == 0);
}

/* As the key's file means it; an assignment's path is left alone. */
static char *resolve(struct json object, const char *key, const char *path)
{
    const char *origin = json_origin(object, key);
    if (!origin || strcmp(origin, "--set") == 0)
        return file_join(".", path);
    char *folder = file_folder_of(origin), *joined = file_join(folder, path);
    mem_free(folder);
    return joined;
}

/* A profile that is named as a file, or one that comes with the program. *is_there: it was one of these. */
static enum err_code parse_profile(struct json object, const char *key, bool *is_there,
                                   struct device *out, struct err *e)
{
    const char *text;
    enum err_code code = json_string(object, key, NULL, &text, e);
    *is_there = false;
    if (code || (!is_path(text) && device_find(text)))
        return code;
    char *path = is_path(text) ? resolve(object, key, text) : device_profile(text);
    *is_there = path != NULL;
    if (path && !file_exists(path))
        code = json_fail(object, key, e, "no such file: %.300s", path);
    else if (path)
        code = parse_file(path, out, e);
    mem_free(path);
    return code;
}

enum err_code device_parse(struct json object, const char *key, struct device *out, struct err *e)
{
    struct json value;
    bool is_profile = false;
    enum err_code code = json_value(object, key, &value, e);
    if (code)
        return code;
    if (!json_is_object(value)) {
        if (json_is_string(value))
            code = parse_profile(object, key, &is_profile, out, e);
        if (code || is_profile)
            return code;
        const struct device *found = device_by_choice(object, key, e, &code);
        if (found)
            *out = *found;
        return code;
    }
    struct device d = {0};
    code = parse_object(value, &d, e);
    if (!code)
        *out = d;
    return code;
}

static void write_unit(struct json_out *o, const char *key, double value, const char *unit)
{
    char number[32], text[64];
    text_shortest(number, value);
    snprintf(text, sizeof(text), "%s%s", number, unit);
    json_out_string(o, key, text);
}

static void write_measure(struct json_out *o, const struct device_measure *m)
{
    json_out_begin_inline(o, NULL, '{');
    json_out_string(o, "model", m->model);
    json_out_int(o, "minibatch", m->minibatch);
    if (m->step_s == 0) {
        json_out_bool(o, "out_of_memory", true);
    } else {
        write_unit(o, "step", m->step_s, "s");
        if (m->opt_step_s != m->step_s)
            write_unit(o, "opt_step", m->opt_step_s, "s");
        write_unit(o, "power", m->watts, "W");
    }
    json_out_end(o, '}');
}

void device_write_members(struct json_out *o, const struct device *d)
{
    json_out_string(o, "name", d->name);
    write_unit(o, "fp32", d->roof.flop_per_s, "FLOP/s");
    write_unit(o, "memory_bandwidth", d->roof.bytes_per_s, "B/s");
    write_unit(o, "memory", d->memory_bytes, "B");
    write_unit(o, "tdp", d->tdp_w, "W");
    write_unit(o, "idle", d->idle_w, "W");
    json_out_double(o, "efficiency", d->roof.efficiency);
    if (d->roof.overhead_s > 0)
        write_unit(o, "overhead", d->roof.overhead_s, "s");
    if (d->n_measures > 0) {
        json_out_begin(o, "measured", '[');
        for (int i = 0; i < d->n_measures; i++)
            write_measure(o, &d->measure[i]);
        json_out_end(o, ']');
    }
}

void device_write(struct json_out *o, const char *key, const struct device *d)
{
    if (device_find(d->name)) {
        json_out_string(o, key, d->name);
        return;
    }
    json_out_begin(o, key, '{');
    device_write_members(o, d);
    json_out_end(o, '}');
}
