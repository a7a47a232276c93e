/* Dialogues from JSON Lines or JSON. Option, bit 0: samples without a text are left out. Oracle:
 * what is accepted, written as JSON Lines, reads back as the same samples. */
#include "models/data_json.h"
#include "sim/base/json.h"
#include "tests/fuzz.h"

static const char *write_lines(const struct raw_samples *r)
{
    struct arena a = {0};
    FILE *f = fopen(fuzz_path("again.jsonl"), "wb");
    FUZZ_CHECK(f);
    for (size_t i = 0; i < r->n; i++) {
        const struct raw_sample *s = &r->item[i];
        struct json_out o;
        json_out_init(&o);
        json_out_begin_inline(&o, NULL, '{');
        json_out_string(&o, "dialogue", s->dialogue);
        json_out_string(&o, "summary", s->summary);
        if (s->label && s->is_number)
            json_out_int(&o, "label", s->number);
        else if (s->label)
            json_out_string(&o, "label", s->label);
        json_out_end(&o, '}');
        fprintf(f, "%s\n", o.text);
        json_out_fini(&o);
    }
    fclose(f);
    arena_free(&a);
    return fuzz_path("again.jsonl");
}

static void check_again(const struct raw_samples *r)
{
    struct raw_samples again = {0};
    struct arena strings = {0};
    struct err e = {0};
    if (data_json_read(&again, write_lines(r), false, &strings, &e))
        fprintf(stderr, "%s\n", e.text);
    FUZZ_CHECK(again.n == r->n && again.n_empty == 0);
    for (size_t i = 0; i < r->n; i++) {
        const struct raw_sample *s = &r->item[i], *t = &again.item[i];
        FUZZ_CHECK(strcmp(s->dialogue, t->dialogue) == 0 && strcmp(s->summary, t->summary) == 0);
        FUZZ_CHECK(!s->label == !t->label && s->is_number == t->is_number &&
                   s->number == t->number);
        FUZZ_CHECK(!s->label || strcmp(s->label, t->label) == 0);
    }
    raw_samples_fini(&again);
    arena_free(&strings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raw_samples r = {0};
    struct arena strings = {0};
    struct err e = {0};
    if (size == 0)
        return 0;
    const char *path = fuzz_write("d.jsonl", data + 1, size - 1);
    enum err_code code = data_json_read(&r, path, data[0] & 1, &strings, &e);
    if (code)
        fuzz_refused(code, &e, "d.jsonl");
    else
        check_again(&r);
    raw_samples_fini(&r);
    arena_free(&strings);
    return 0;
}
