#include "sim/base/json.h"

#include "sim/base/mem.h"
#include "tests/test.h"

static struct json_doc *parse(const char *text)
{
    struct json_doc *d = NULL;
    struct err e = {0};
    if (json_parse(&d, "f.json", text, strlen(text), &e))
        TEST_FAIL("%s: %s", text, e.text);
    return d;
}

static void check_refused(const char *text, const char *words)
{
    struct json_doc *d = NULL;
    struct err e = {0};
    CHECK_INT(json_parse(&d, "f.json", text, strlen(text), &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
    CHECK_TRUE(d == NULL);
}

static void what_is_not_json_is_refused_with_its_place(void)
{
    check_refused("", "f.json:1:1: not JSON: it ends too early");
    check_refused("{\n  \"a\": 1,\n}", "f.json:3:1: not JSON at \"}\"");
    check_refused("{\"a\": 01}", "f.json:1:7: not JSON: a malformed number");
    check_refused("{\"a\": 1.}", "malformed number");
    check_refused("{\"a\": -}", "malformed number");
    check_refused("{\"a\": 1e999}", "range of a double");
    check_refused("{\"a\": NaN}", "f.json:1:7: not JSON at \"NaN}\"");
    check_refused("{} x", "f.json:1:4: not JSON at \"x\"");
    check_refused("{\"a\": \"\\u0000\"}", "zero character");
    check_refused("{\"a\": \"x\ny\"}", "control character");
    check_refused("{\"a\": \"x", "opened but not closed");
    check_refused("{\"a\": {\"b\": 1, \"b\": 2}}", "f.json: a.b: this key is there twice");
}

static void depth_64_is_read_and_65_refused(void)
{
    char text[200];
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        if (depth == 64)
            json_close(parse(text));
        else
            check_refused(text, "64 levels");
    }
}

static void ranges_are_inclusive_and_messages_name_file_path_and_fact(void)
{
    struct json_doc *d =
        parse("{\"a\": {\"b\": [{\"n\": 7, \"x\": 0.5, \"s\": \"hi\", \"t\": true}]}}");
    struct json a, b, item;
    struct err e = {0};
    int64_t n = 0;
    double x = 0;
    CHECK_INT(json_object(json_root(d), "a", &a, &e), OK);
    CHECK_INT(json_array(a, "b", &b, &e), OK);
    CHECK_INT(json_count(b), 1);
    item = json_at(b, 0);
    CHECK_INT(json_int(item, "n", 7, 7, NULL, &n, &e), OK);
    CHECK_INT(n, 7);
    CHECK_INT(json_int(item, "n", 8, 9, NULL, &n, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].n: expected 8..9, got 7");
    CHECK_INT(json_int(item, "x", 0, 1, NULL, &n, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].x: expected a whole number, got 0.5");
    CHECK_INT(json_double(item, "x", 0.5, 0.5, NULL, &x, &e), OK);
    CHECK_INT(json_double(item, "x", 0.6, HUGE_VAL, NULL, &x, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].x: expected a number of at least 0.6, got 0.5");
    CHECK_INT(json_int(item, "s", 0, 1, NULL, &n, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].s: expected 0..1, got \"hi\"");
    CHECK_INT(json_int(item, "missing", 0, 1, NULL, &n, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].missing: expected 0..1, but the key is missing");
    CHECK_INT(json_object(item, "t", &a, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].t: expected an object, got true");
    CHECK_INT(json_fail(item, "t", &e, "too %s", "much"), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.b[0].t: too much");
    json_close(d);
}

static void whole_numbers_above_2_53_are_refused(void)
{
    struct json_doc *d = parse("[9007199254740992, 9007199254740994, 1e300]");
    struct err e = {0};
    int64_t n = 0;
    CHECK_INT(json_int(json_at(json_root(d), 0), NULL, 0, INT64_MAX, NULL, &n, &e), OK);
    CHECK_INT(n, 9007199254740992);
    CHECK_INT(json_int(json_at(json_root(d), 1), NULL, 0, INT64_MAX, NULL, &n, &e), ERR_INPUT);
    CHECK_INT(json_int(json_at(json_root(d), 2), NULL, 0, INT64_MAX, NULL, &n, &e), ERR_INPUT);
    json_close(d);
}

static void quantities_need_their_unit(void)
{
    struct json_doc *d = parse("{\"down\": \"40Mbps\", \"bare\": 40, \"wrong\": \"40 MB\"}");
    struct err e = {0};
    double v = 0;
    CHECK_INT(json_quantity(json_root(d), "down", UNIT_RATE_BPS, 1, 1e12, NULL, &v, &e), OK);
    CHECK_NEAR(v, 40e6, 0);
    CHECK_INT(json_quantity(json_root(d), "bare", UNIT_RATE_BPS, 1, 1e12, NULL, &v, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: bare: expected a rate such as 40Mbps, got 40");
    CHECK_INT(json_quantity(json_root(d), "wrong", UNIT_RATE_BPS, 1, 1e12, NULL, &v, &e),
              ERR_INPUT);
    CHECK_STR(e.text, "f.json: wrong: expected a rate such as 40Mbps, got \"40 MB\"");
    CHECK_INT(json_quantity(json_root(d), "down", UNIT_RATE_BPS, 1, 1e6, NULL, &v, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: down: expected 1bps..1Mbps, got \"40Mbps\"");
    json_close(d);
}

static void keys_nobody_read_are_refused_with_the_nearest_name(void)
{
    struct json_doc *d = parse("{\"rouds\": 3, \"name\": \"x\"}");
    struct err e = {0};
    int64_t n = 0, fallback = 5;
    const char *name;
    CHECK_INT(json_int(json_root(d), "rounds", 1, 9, &fallback, &n, &e), OK);
    CHECK_INT(n, 5);
    CHECK_INT(json_string(json_root(d), "name", NULL, &name, &e), OK);
    CHECK_INT(json_finish(json_root(d), &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: rouds: unknown key, did you mean \"rounds\"?");
    CHECK_TRUE(json_remove(json_root(d), "rouds"));
    CHECK_TRUE(!json_remove(json_root(d), "rouds"));
    CHECK_INT(json_finish(json_root(d), &e), OK);
    json_close(d);
}

static void a_choice_names_all_and_the_nearest(void)
{
    static const char *const names[] = {"fedavg", "fedadam"};
    struct json_doc *d = parse("{\"optimizer\": \"fedadm\", \"other\": \"fedavg\"}");
    struct err e = {0};
    size_t i = 9;
    CHECK_INT(json_choice(json_root(d), "other", names, 2, NULL, &i, &e), OK);
    CHECK_INT(i, 0);
    CHECK_INT(json_choice(json_root(d), "optimizer", names, 2, NULL, &i, &e), ERR_INPUT);
    CHECK_STR(e.text,
              "f.json: optimizer: expected one of fedavg, fedadam, got \"fedadm\", did you mean "
              "\"fedadam\"?");
    json_close(d);
}

static void absent_objects_read_as_their_defaults(void)
{
    struct json_doc *d = parse("{}");
    struct json o;
    struct err e = {0};
    double x = 0, fallback = 2.5;
    CHECK_INT(json_object_opt(json_root(d), "o", &o, &e), OK);
    CHECK_TRUE(!o.node);
    CHECK_INT(json_double(o, "x", 0, 9, &fallback, &x, &e), OK);
    CHECK_NEAR(x, 2.5, 0);
    CHECK_INT(json_finish(o, &e), OK);
    json_close(d);
}

static void merged_values_keep_their_file(void)
{
    struct json_doc *base = parse("{\"a\": {\"x\": 1, \"y\": [1, 2]}, \"b\": 2}"), *over = NULL;
    const char *text = "{\"a\": {\"y\": [3]}, \"c\": \"s\"}";
    struct err e = {0};
    struct json a, y;
    int64_t n;
    CHECK_INT(json_parse(&over, "over.json", text, strlen(text), &e), OK);
    CHECK_INT(json_merge(base, over, &e), OK);
    json_close(over);
    CHECK_INT(json_object(json_root(base), "a", &a, &e), OK);
    CHECK_STR(json_origin(a, "x"), "f.json");
    CHECK_STR(json_origin(a, "y"), "over.json");
    CHECK_INT(json_array(a, "y", &y, &e), OK);
    CHECK_INT(json_count(y), 1);
    CHECK_INT(json_int(json_at(y, 0), NULL, 5, 6, NULL, &n, &e), ERR_INPUT);
    CHECK_STR(e.text, "over.json: a.y[0]: expected 5..6, got 3");
    CHECK_INT(json_int(a, "x", 5, 6, NULL, &n, &e), ERR_INPUT);
    CHECK_STR(e.text, "f.json: a.x: expected 5..6, got 1");
    json_close(base);
}

static void a_null_laid_over_a_key_takes_it_away(void)
{
    struct json_doc *base = parse("{\"a\": {\"x\": 1, \"y\": 2}}"),
                    *over = parse("{\"a\": {\"x\": null}}");
    struct err e = {0};
    struct json a;
    CHECK_INT(json_merge(base, over, &e), OK);
    CHECK_INT(json_object(json_root(base), "a", &a, &e), OK);
    CHECK_TRUE(!json_has(a, "x"));
    CHECK_TRUE(json_has(a, "y"));
    json_close(over);
    json_close(base);
}

static void assignments_take_json_or_else_a_string(void)
{
    struct json_doc *d = parse("{\"a\": {\"x\": 1}, \"l\": [{\"n\": 1}, {\"n\": 2}]}");
    struct json_out o;
    struct err e = {0};
    CHECK_INT(json_set(d, "a.x=2.5", &e), OK);
    CHECK_INT(json_set(d, "a.deep.er=40Mbps", &e), OK);
    CHECK_INT(json_set(d, "l[1].n=[1, 2]", &e), OK);
    CHECK_INT(json_set(d, "l[0]=null", &e), OK);
    CHECK_INT(json_set(d, "e=", &e), OK);
    CHECK_INT(json_set(d, "gone={}", &e), OK);
    CHECK_INT(json_set(d, "gone=null", &e), OK);
    CHECK_STR(json_origin(json_root(d), "e"), "--set");
    json_out_init(&o);
    json_out_begin_inline(&o, NULL, '[');
    json_out_value(&o, NULL, json_root(d));
    json_out_end(&o, ']');
    CHECK_STR(
        o.text,
        "[{\"a\": {\"x\": 2.5, \"deep\": {\"er\": \"40Mbps\"}}, \"l\": [null, {\"n\": [1, 2]}], "
        "\"e\": \"\"}]\n");
    json_out_fini(&o);
    CHECK_INT(json_set(d, "novalue", &e), ERR_INPUT);
    CHECK_STR(e.text, "--set novalue: expected KEY=VALUE, such as a.b=1");
    CHECK_INT(json_set(d, "l[2].n=1", &e), ERR_INPUT);
    CHECK_STR(e.text, "--set l[2].n=1: expected an index below 2, got [2]");
    CHECK_INT(json_set(d, "a.x.y=1", &e), ERR_INPUT);
    CHECK_STR(e.text, "--set a.x.y=1: expected an object above \"y\", got 2.5");
    CHECK_INT(json_set(d, "a..y=1", &e), ERR_INPUT);
    CHECK_INT(json_set(d, "a.=1", &e), ERR_INPUT);
    CHECK_INT(json_set(d, "l[x]=1", &e), ERR_INPUT);
    json_close(d);
}

static void written_text_reads_back_to_the_bit(void)
{
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    json_out_double(&o, "third", 1.0 / 3.0);
    json_out_double(&o, "bad", (double)NAN);
    json_out_string(&o, "s", "a\"\\\n\t\x01\xc3\xa9");
    json_out_begin(&o, "empty", '{');
    json_out_end(&o, '}');
    json_out_begin_inline(&o, "list", '[');
    json_out_int(&o, NULL, -1);
    json_out_bool(&o, NULL, true);
    json_out_end(&o, ']');
    json_out_end(&o, '}');
    CHECK_STR(o.text, "{\n  \"third\": 0.3333333333333333,\n  \"bad\": null,\n"
                      "  \"s\": \"a\\\"\\\\\\n\\t\\u0001\xc3\xa9\",\n  \"empty\": {},\n"
                      "  \"list\": [-1, true]\n}\n");
    struct json_doc *d = parse(o.text);
    const char *s;
    double third;
    CHECK_INT(json_string(json_root(d), "s", NULL, &s, NULL), OK);
    CHECK_STR(s, "a\"\\\n\t\x01\xc3\xa9");
    CHECK_INT(json_double(json_root(d), "third", 0, 1, NULL, &third, NULL), OK);
    CHECK_TRUE(third == 1.0 / 3.0);
    json_close(d);
    json_out_fini(&o);
}

int main(void)
{
    CASE(what_is_not_json_is_refused_with_its_place);
    CASE(depth_64_is_read_and_65_refused);
    CASE(ranges_are_inclusive_and_messages_name_file_path_and_fact);
    CASE(whole_numbers_above_2_53_are_refused);
    CASE(quantities_need_their_unit);
    CASE(keys_nobody_read_are_refused_with_the_nearest_name);
    CASE(a_choice_names_all_and_the_nearest);
    CASE(absent_objects_read_as_their_defaults);
    CASE(merged_values_keep_their_file);
    CASE(a_null_laid_over_a_key_takes_it_away);
    CASE(assignments_take_json_or_else_a_string);
    CASE(written_text_reads_back_to_the_bit);
    return test_end();
}
