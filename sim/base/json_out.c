/* The writing half of json.h: a growing text. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

static void put(struct json_out *o, const char *s, size_t n)
{
    mem_grow((void **)&o->text, &o->cap, o->n + n + 1, 1);
    memcpy(o->text + o->n, s, n);
    o->n += n;
    o->text[o->n] = 0;
}

static void put_text(struct json_out *o, const char *s)
{
    put(o, s, strlen(s));
}

static void put_quoted(struct json_out *o, const char *s)
{
    put(o, "\"", 1);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char escaped[8];
        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof(escaped), "\\%c", c);
        else if (c == '\n')
            snprintf(escaped, sizeof(escaped), "\\n");
        else if (c == '\t')
            snprintf(escaped, sizeof(escaped), "\\t");
        else if (c < 0x20)
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        else
            snprintf(escaped, sizeof(escaped), "%c", c);
        put_text(o, escaped);
    }
    put(o, "\"", 1);
}

static void new_line(struct json_out *o)
{
    put(o, "\n", 1);
    for (int i = 0; i < o->depth; i++)
        put(o, "  ", 2);
}

/* Comma, place and key before a value. */
static void lead_in(struct json_out *o, const char *key)
{
    if (o->depth > 0) {
        if (!o->is_first)
            put(o, ",", 1);
        if (!o->is_inline)
            new_line(o);
        else if (!o->is_first)
            put(o, " ", 1);
    }
    o->is_first = false;
    if (key) {
        put_quoted(o, key);
        put(o, ": ", 2);
    }
}

void json_out_init(struct json_out *o)
{
    *o = (struct json_out){.is_first = true};
    put(o, "", 0);
}

void json_out_fini(struct json_out *o)
{
    mem_free(o->text);
    *o = (struct json_out){0};
}

void json_out_begin(struct json_out *o, const char *key, char open)
{
    lead_in(o, key);
    put(o, &open, 1);
    o->depth++;
    o->inline_depth += o->is_inline;
    o->is_first = true;
}

void json_out_begin_inline(struct json_out *o, const char *key, char open)
{
    lead_in(o, key);
    put(o, &open, 1);
    o->depth++;
    o->inline_depth++;
    o->is_inline = true;
    o->is_first = true;
}

void json_out_end(struct json_out *o, char close)
{
    CHECK(o->depth > 0);
    o->depth--;
    if (!o->is_inline && !o->is_first)
        new_line(o);
    put(o, &close, 1);
    if (o->is_inline && --o->inline_depth == 0)
        o->is_inline = false;
    o->is_first = false;
    if (o->depth == 0)
        put(o, "\n", 1);
}

void json_out_string(struct json_out *o, const char *key, const char *value)
{
    lead_in(o, key);
    put_quoted(o, value);
}

void json_out_double(struct json_out *o, const char *key, double value)
{
    char text[32] = "null";
    lead_in(o, key);
    if (isfinite(value))
        text_shortest(text, value);
    put_text(o, text);
}

void json_out_float(struct json_out *o, const char *key, float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    json_out_double(o, key, strtod(text, NULL));
}

void json_out_int(struct json_out *o, const char *key, int64_t value)
{
    char text[32];
    lead_in(o, key);
    snprintf(text, sizeof(text), "%" PRId64, value);
    put_text(o, text);
}

void json_out_bool(struct json_out *o, const char *key, bool value)
{
    lead_in(o, key);
    put_text(o, value ? "true" : "false");
}

void json_out_null(struct json_out *o, const char *key)
{
    lead_in(o, key);
    put_text(o, "null");
}
