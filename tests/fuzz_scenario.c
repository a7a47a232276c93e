/* A scenario. Option, bit 0: the text up to the first new line is an assignment as --set takes it.
 * Oracle: what is accepted, written with every default, reads back as the same scenario. */
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/scenario.h"
#include "tests/fuzz.h"

static void print(const struct scenario *s, struct json_out *o)
{
    json_out_init(o);
    json_out_begin(o, NULL, '{');
    scenario_write(s, o, true);
    json_out_end(o, '}');
}

static void check_again(const struct scenario *s)
{
    struct scenario *again = NULL;
    struct json_out first, second;
    struct err e = {0};
    print(s, &first);
    if (scenario_load(&again, fuzz_write("again.json", first.text, first.n), 0, NULL, &e))
        fprintf(stderr, "%s\n%s\n", e.text, first.text);
    FUZZ_CHECK(again);
    print(again, &second);
    if (strcmp(first.text, second.text) != 0)
        fprintf(stderr, "%s\n%s\n", first.text, second.text);
    FUZZ_CHECK(strcmp(first.text, second.text) == 0);
    json_out_fini(&first);
    json_out_fini(&second);
    scenario_close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char set[512];
    const char *sets[] = {set};
    struct scenario *s = NULL;
    struct err e = {0};
    if (size == 0)
        return 0;
    const uint8_t *text = data + 1, *end = data + size;
    bool has_set = data[0] & 1;
    if (has_set) {
        const uint8_t *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        snprintf(set, sizeof(set), "%.*s", (int)(stop - text < 500 ? stop - text : 500),
                 (const char *)text);
        text = stop < end ? stop + 1 : end;
    }
    const char *path = fuzz_write("s.json", text, (size_t)(end - text));
    enum err_code code = scenario_load(&s, path, has_set, sets, &e);
    if (code)
        fuzz_refused(code, &e, "");
    else
        check_again(s);
    scenario_close(s);
    return 0;
}
