#include "sim/tensorboard.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "sim/base/file.h"

/* A message that grows; protobuf puts the length of an inner message in front of it, so that one is
 * made first. */
struct bytes {
    unsigned char *at;
    size_t n, cap;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Field numbers of the .proto files. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN = 1, METADATA_DESCRIPTION = 3, METADATA_CLASS = 4, PLUGIN_NAME = 1 };
enum { CLASS_SCALAR = 1 };

struct writer {
    struct file_out *file;
    struct bytes event, summary, value, metadata, plugin;
    size_t n_scalars;
};

uint32_t tensorboard_crc32c(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78 & (0 - (crc & 1)));
    }
    return ~crc;
}

/* --- protobuf --- */

static void put(struct bytes *b, const void *bytes, size_t n)
{
    mem_grow((void **)&b->at, &b->cap, b->n + n, 1);
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
}

static void put_little_endian(struct bytes *b, uint64_t v, int n)
{
    unsigned char out[8];
    for (int i = 0; i < n; i++)
        out[i] = (unsigned char)(v >> 8 * i);
    put(b, out, (size_t)n);
}

static void put_varint(struct bytes *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_little_endian(b, (v & 0x7f) | 0x80, 1);
    put_little_endian(b, v, 1);
}

static void put_key(struct bytes *b, unsigned field, unsigned wire)
{
    put_varint(b, field << 3 | wire);
}

static void put_block(struct bytes *b, unsigned field, const void *bytes, size_t n)
{
    put_key(b, field, WIRE_BYTES);
    put_varint(b, n);
    put(b, bytes, n);
}

static void put_text(struct bytes *b, unsigned field, const char *text)
{
    put_block(b, field, text, strlen(text));
}

static void put_double(struct bytes *b, unsigned field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_key(b, field, WIRE_64);
    put_little_endian(b, bits, 8);
}

static void put_float(struct bytes *b, unsigned field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_key(b, field, WIRE_32);
    put_little_endian(b, bits, 4);
}

/* --- TFRecord: length, its checksum, the message, its checksum --- */

static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static enum err_code write_record(struct writer *w, struct err *e)
{
    struct bytes frame = {0};
    put_little_endian(&frame, w->event.n, 8);
    put_little_endian(&frame, masked(tensorboard_crc32c(frame.at, 8)), 4);
    put(&frame, w->event.at, w->event.n);
    put_little_endian(&frame, masked(tensorboard_crc32c(w->event.at, w->event.n)), 4);
    enum err_code code = file_write(w->file, frame.at, frame.n, e);
    mem_free(frame.at);
    w->event.n = w->summary.n = 0;
    return code;
}

/* --- events --- */

/* What a tag is, said once, with its first value: unit and meaning of the column. */
static void put_metadata(struct writer *w, const struct column *c)
{
    w->plugin.n = w->metadata.n = 0;
    put_text(&w->plugin, PLUGIN_NAME, "scalars");
    put_block(&w->metadata, METADATA_PLUGIN, w->plugin.at, w->plugin.n);
    struct arena a = {0};
    put_text(&w->metadata, METADATA_DESCRIPTION,
             *c->unit ? arena_printf(&a, "%s; %s", c->unit, c->meaning) : c->meaning);
    arena_free(&a);
    put_key(&w->metadata, METADATA_CLASS, WIRE_VARINT);
    put_varint(&w->metadata, CLASS_SCALAR);
    put_block(&w->value, VALUE_METADATA, w->metadata.at, w->metadata.n);
}

static void put_scalar(struct writer *w, const struct table *t, const struct column *c, double v,
                       bool is_first)
{
    struct arena a = {0};
    w->value.n = 0;
    put_text(&w->value, VALUE_TAG, arena_printf(&a, "%s/%s", t->name, c->name));
    arena_free(&a);
    put_float(&w->value, VALUE_SIMPLE, (float)v);
    if (is_first)
        put_metadata(w, c);
    put_block(&w->summary, SUMMARY_VALUE, w->value.at, w->value.n);
    w->n_scalars++;
}

/* Nothing when there is no value. */
static enum err_code write_event(struct writer *w, double wall_time, double step, struct err *e)
{
    if (w->summary.n == 0)
        return OK;
    put_double(&w->event, EVENT_WALL_TIME, wall_time);
    put_key(&w->event, EVENT_STEP, WIRE_VARINT);
    put_varint(&w->event, (uint64_t)step);
    put_block(&w->event, EVENT_SUMMARY, w->summary.at, w->summary.n);
    return write_record(w, e);
}

static enum err_code write_rounds(struct writer *w, const struct track *t, struct err *e)
{
    const struct table *table = record_rounds();
    const double *round = track_column(t, "round"), *end_s = track_column(t, "end_s");
    bool *is_seen = NULL;
    size_t cap = 0;
    enum err_code code = OK;
    mem_grow((void **)&is_seen, &cap, table->n_columns, sizeof(is_seen[0]));
    memset(is_seen, 0, table->n_columns * sizeof(is_seen[0]));
    for (size_t row = 0; row < t->n && !code; row++) {
        for (size_t i = 0; i < table->n_columns; i++) {
            const double *v = t->value[i];
            if (!v || v == round || isnan(v[row]) || (row == 0 && v == end_s))
                continue;
            put_scalar(w, table, &table->column[i], v[row], !is_seen[i]);
            is_seen[i] = true;
        }
        code = write_event(w, end_s[row], round[row], e);
    }
    mem_free(is_seen);
    return code;
}

static enum err_code write_summary(struct writer *w, const struct track *t, struct err *e)
{
    const struct table *table = record_summary();
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct column *c = &table->column[i];
        const char *at = (const char *)&t->summary + c->offset;
        double v = c->type == COLUMN_DOUBLE ? *(const double *)(const void *)at
                   : c->type == COLUMN_INT  ? (double)*(const int64_t *)(const void *)at
                                            : (double)NAN;
        if (!isnan(v))
            put_scalar(w, table, c, v, true);
    }
    return write_event(w, track_column(t, "end_s")[t->n - 1], track_column(t, "round")[t->n - 1],
                       e);
}

enum err_code tensorboard_write(const char *folder, const struct track *t, size_t *n_scalars,
                                struct err *e)
{
    struct writer w = {0};
    char *path = file_join(folder, TENSORBOARD_FILE);
    enum err_code code = file_create(&w.file, path, e);
    if (!code) {
        put_double(&w.event, EVENT_WALL_TIME, 0);
        put_text(&w.event, EVENT_FILE_VERSION, "brain.Event:2");
        code = write_record(&w, e);
    }
    if (!code)
        code = write_rounds(&w, t, e);
    if (!code)
        code = write_summary(&w, t, e);
    if (!code) {
        code = file_commit(w.file, e);
        w.file = NULL;
    }
    file_abandon(w.file);
    struct bytes *all[] = {&w.event, &w.summary, &w.value, &w.metadata, &w.plugin};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        mem_free(all[i]->at);
    mem_free(path);
    *n_scalars = w.n_scalars;
    return code;
}
