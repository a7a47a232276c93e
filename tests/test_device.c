#include <string.h>

#include "energy/device.h"
#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "tests/test.h"

static struct device_step step_of(const char *device, const char *model, int minibatch)
{
    struct device_work w = {model, minibatch, 1e12, 1e9, 0, DEVICE_PRINTED};
    return device_step(device_find(device), &w);
}

static void measured_steps_are_the_printed_totals(void)
{
    struct device_step s = step_of("a100-80gb", "flan-t5-large", 16);
    CHECK_NEAR(s.seconds, 1.23, 0);
    CHECK_NEAR(s.watts, 196.9, 0);
    CHECK_STR(s.time_source, "table4");
    s = step_of("agx-orin-64gb", "flan-t5-small", 1);
    CHECK_NEAR(s.seconds, 0.55, 0);
    CHECK_NEAR(s.watts, 16.7, 0);
}

static void between_two_measures_both_are_linear_in_the_logarithm(void)
{
    /* 2 and 4 are a third and two thirds of the way from 1 to 8 */
    struct device_step s = step_of("agx-orin-64gb", "flan-t5-base", 2);
    CHECK_NEAR(s.seconds, 0.82 + (1.76 - 0.82) / 3, 1e-12);
    CHECK_NEAR(s.watts, 24.86 + (31.3 - 24.86) / 3, 1e-12);
    CHECK_STR(s.time_source, "table4-interpolated");
    s = step_of("agx-orin-64gb", "flan-t5-base", 4);
    CHECK_NEAR(s.seconds, 0.82 + (1.76 - 0.82) * 2 / 3, 1e-12);
}

static void above_the_largest_measure_seconds_grow_with_the_mini_batch(void)
{
    struct device_step s = step_of("a100-80gb", "flan-t5-large", 24);
    CHECK_NEAR(s.seconds, 1.23 * 1.5, 1e-12);
    CHECK_NEAR(s.watts, 196.9, 0);
    CHECK_STR(s.time_source, "table4-extrapolated");
    struct device_work w = {"flan-t5-large", 24, 0, 0, 81e9, DEVICE_PRINTED};
    CHECK_TRUE(device_step(device_find("a100-80gb"), &w).is_out_of_memory);
}

static void the_study_ran_out_of_memory_here(void)
{
    CHECK_TRUE(step_of("agx-orin-64gb", "flan-t5-base", 64).is_out_of_memory);
    CHECK_TRUE(step_of("agx-orin-64gb", "flan-t5-base", 100).is_out_of_memory);
    CHECK_TRUE(!step_of("agx-orin-64gb", "flan-t5-base", 63).is_out_of_memory);
    CHECK_TRUE(step_of("agx-orin-64gb", "flan-t5-large", 16).is_out_of_memory);
    CHECK_TRUE(step_of("agx-orin-64gb", "flan-t5-xl", 1).is_out_of_memory);
    CHECK_STR(step_of("agx-orin-64gb", "flan-t5-xl", 1).time_source, "out_of_memory");
    CHECK_TRUE(!step_of("a100-80gb", "flan-t5-xl", 1).is_out_of_memory);
}

static void the_other_reading_takes_opt_step_and_load(void)
{
    struct device_work w = {"flan-t5-large", 8, 0, 0, 0, DEVICE_OPT_STEP};
    CHECK_NEAR(device_step(device_find("agx-orin-64gb"), &w).seconds, 2.63, 0);
    w.minibatch = 4;
    CHECK_NEAR(device_step(device_find("a100-80gb"), &w).seconds, 0.48 + 0.03 * 2 / 3, 1e-12);
}

static void a_device_without_measures_goes_by_its_data_sheet(void)
{
    /* 1e12 flop at 48 GFLOP/s; the bytes take less */
    struct device_step s = step_of("raspberry-pi-4", "flan-t5-small", 8);
    CHECK_REL(s.seconds, 1e12 / 48e9, 1e-12);
    CHECK_NEAR(s.watts, 7, 0);
    CHECK_STR(s.time_source, "roofline");
    struct device_work w = {"flan-t5-small", 8, 1e9, 256e9, 0, DEVICE_PRINTED};
    CHECK_REL(device_step(device_find("raspberry-pi-4"), &w).seconds, 256 / 12.8, 1e-12);
    w.memory_bytes = 8.1e9;
    CHECK_TRUE(device_step(device_find("raspberry-pi-4"), &w).is_out_of_memory);
    CHECK_STR(step_of("a100-80gb", "tiny", 8).time_source, "roofline");
}

static void every_device_idles_below_what_it_trains_with(void)
{
    for (size_t i = 0; i < device_count(); i++) {
        const struct device *d = device_at(i);
        CHECK_TRUE(device_find(d->name) == d);
        CHECK_TRUE(d->idle_w > 0 && d->idle_w < d->tdp_w && d->source[0] && d->idle_source[0]);
        CHECK_TRUE(d->memory_bytes >= 4e9 && d->roof.flop_per_s > 0 && d->roof.bytes_per_s > 0);
        for (int j = 0; j < d->n_measures; j++)
            CHECK_TRUE(d->measure[j].step_s == 0 || d->measure[j].watts > d->idle_w);
    }
}

/* The table of the code against the study's, where the shared folder is. */
static void rows_are_those_of_tables_2_and_4(void)
{
    struct csv *c = NULL;
    struct err e;
    SKIP_CASE_UNLESS(TEST_SHARED "/paper/table4.csv");
    if (csv_load(&c, TEST_SHARED "/paper/table4.csv", ',', &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(csv_rows(c), 27);
    for (size_t row = 0; row < csv_rows(c); row++) {
        char model[64];
        snprintf(model, sizeof(model), "flan-t5-%s", csv_cell(c, row, 0));
        bool is_a100 = strcmp(csv_cell(c, row, 2), "a100") == 0;
        struct device_work w = {model, atoi(csv_cell(c, row, 1)), 0, 0, 0, DEVICE_PRINTED};
        const struct device *d = device_find(is_a100 ? "a100-80gb" : "agx-orin-64gb");
        CHECK_NEAR(device_step(d, &w).seconds,
                   atof(csv_cell(c, row, (size_t)csv_find(c, "total_s"))), 0);
        w.reading = DEVICE_OPT_STEP;
        int column = csv_find(c, "step_s_if_opt_contains_fwd_bwd");
        CHECK_NEAR(device_step(d, &w).seconds, atof(csv_cell(c, row, (size_t)column)), 0);
    }
    csv_close(c);
}

static enum err_code parse(const char *text, struct device *d, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, "s.json", text, strlen(text), e);
    if (!code)
        code = device_parse(json_root(doc), "device", d, e);
    json_close(doc);
    return code;
}

#define BOARD                                                                                      \
    "{\"device\": {\"name\": \"board\", \"fp32\": \"5.3TFLOP/s\", \"memory_bandwidth\": "          \
    "\"204.8GB/s\", \"memory\": \"64GB\", \"tdp\": \"60W\""

static void a_scenario_may_define_its_own_device(void)
{
    struct device d;
    struct err e;
    CHECK_INT(parse("{\"device\": \"a100-80gb\"}", &d, &e), OK);
    CHECK_STR(d.name, "a100-80gb");
    CHECK_INT(parse(BOARD "}}", &d, &e), OK);
    CHECK_NEAR(d.idle_w, 9, 1e-12);
    CHECK_NEAR(d.roof.bytes_per_s, 204.8e9, 0);
    CHECK_HAS(d.idle_source, "assumption");
    CHECK_INT(parse(BOARD
                    ", \"idle\": \"12W\", \"measured\": ["
                    "{\"model\": \"m\", \"minibatch\": 8, \"step\": \"2s\", \"power\": \"40W\"},"
                    "{\"model\": \"m\", \"minibatch\": 2, \"step\": \"1s\", \"power\": \"30W\"},"
                    "{\"model\": \"m\", \"minibatch\": 16, \"out_of_memory\": true}]}}",
                    &d, &e),
              OK);
    struct device_work w = {"m", 4, 1e12, 0, 0, DEVICE_PRINTED};
    CHECK_NEAR(device_step(&d, &w).seconds, 1.5, 1e-12);
    CHECK_STR(device_step(&d, &w).time_source, "measured-interpolated");
    w.minibatch = 1;
    CHECK_NEAR(device_step(&d, &w).seconds, 1, 0);
    CHECK_STR(device_step(&d, &w).time_source, "measured-extrapolated");
    w.minibatch = 16;
    CHECK_TRUE(device_step(&d, &w).is_out_of_memory);
    CHECK_NEAR(device_step(&d, &w).watts, 12, 0);
}

static void a_device_may_be_like_another(void)
{
    struct device d;
    struct err e;
    CHECK_INT(parse("{\"device\": {\"name\": \"orin-30w\", \"like\": \"agx-orin-64gb\","
                    "\"idle\": \"5W\"}}",
                    &d, &e),
              OK);
    struct device_work w = {"flan-t5-small", 8, 0, 0, 0, DEVICE_PRINTED};
    CHECK_NEAR(device_step(&d, &w).seconds, 0.73, 0);
    CHECK_STR(device_step(&d, &w).time_source, "table4");
    CHECK_NEAR(d.idle_w, 5, 0);
    CHECK_STR(d.name, "orin-30w");
}

static void mistakes_in_a_device_are_named(void)
{
    struct device d;
    struct err e;
    CHECK_INT(parse("{\"device\": \"a100-80bg\"}", &d, &e), ERR_INPUT);
    CHECK_HAS(e.text, "a100-80gb");
    CHECK_INT(parse("{\"device\": {\"name\": \"b\", \"fp32\": \"1TFLOP/s\"}}", &d, &e), ERR_INPUT);
    CHECK_HAS(e.text, "device.memory_bandwidth");
    CHECK_INT(parse(BOARD ", \"idel\": \"1W\"}}", &d, &e), ERR_INPUT);
    CHECK_HAS(e.text, "idle");
    CHECK_INT(parse("{\"device\": {\"name\": \"b\", \"like\": \"a100-80gb\", \"memory_bandwidth\":"
                    "\"200Gbps\"}}",
                    &d, &e),
              ERR_INPUT);
    CHECK_HAS(e.text, "expected a bandwidth such as 204.8GB/s");
    CHECK_INT(parse("{\"device\": {\"name\": \"a100-80gb\", \"like\": \"a100-80gb\"}}", &d, &e),
              ERR_INPUT);
    CHECK_HAS(e.text, "built-in");
    CHECK_INT(parse(BOARD ", \"measured\": [{\"model\": \"m\", \"minibatch\": 0}]}}", &d, &e),
              ERR_INPUT);
    CHECK_HAS(e.text, "device.measured[0].minibatch");
    CHECK_INT(parse(BOARD ", \"measured\": [{\"model\": \"m\", \"minibatch\": 1, \"step\": \"1s\","
                          "\"power\": \"1W\"}, {\"model\": \"m\", \"minibatch\": 1,"
                          "\"out_of_memory\": true}]}}",
                    &d, &e),
              ERR_INPUT);
    CHECK_HAS(e.text, "device.measured[1]");
}

static void what_is_written_reads_back_the_same(void)
{
    for (size_t i = 0; i < device_count(); i++) {
        struct device d = *device_at(i), back;
        struct json_out o;
        struct err e;
        snprintf(d.name, sizeof(d.name),
                 "copy"); /* a table's own name would be written as a name */
        json_out_init(&o);
        json_out_begin(&o, NULL, '{');
        device_write(&o, "device", &d);
        json_out_end(&o, '}');
        enum err_code code = parse(o.text, &back, &e);
        CHECK_INT(code, OK);
        if (!code) {
            CHECK_TRUE(back.idle_w == d.idle_w && back.tdp_w == d.tdp_w);
            CHECK_TRUE(back.roof.flop_per_s == d.roof.flop_per_s);
            CHECK_TRUE(back.roof.bytes_per_s == d.roof.bytes_per_s);
            CHECK_INT(back.n_measures, d.n_measures);
        }
        json_out_fini(&o);
    }
}

#define PROFILE                                                                                    \
    "{\"name\": \"lab\", \"fp32\": \"1TFLOP/s\", \"memory_bandwidth\": \"10GB/s\", \"memory\": \"8GB\", " \
    "\"tdp\": \"50W\", \"overhead\": \"2ms\", \"measured\": [{\"model\": \"m\", \"minibatch\": 8, \"step\": "   \
    "\"2s\"}], \"measured_on\": {\"date\": \"2026-11-26\"}}"

static void write_text(const char *path, const char *text)
{
    struct err e = {0};
    if (file_replace(path, text, strlen(text), &e))
        TEST_FAIL("%s", e.text);
}

static void a_profile_is_found_as_a_file_and_by_name(void)
{
    struct device d;
    struct err e;
    const char *home = "test_device.home";
    CHECK_INT(file_make_folder("test_device.home/profiles", &e), OK);
    write_text("test_device.home/profiles/lab-board.json", PROFILE);
    setenv("VERYEDGE_HOME", home, 1);
    CHECK_INT(parse("{\"device\": \"test_device.home/profiles/lab-board.json\"}", &d, &e), OK);
    CHECK_STR(d.name, "lab");
    CHECK_INT(parse("{\"device\": \"lab-board\"}", &d, &e), OK);
    CHECK_STR(d.name, "lab");
    struct device_work w = {"m", 8, 1e12, 0, 0, DEVICE_PRINTED};
    CHECK_NEAR(device_step(&d, &w).seconds, 2, 0);
    CHECK_NEAR(device_step(&d, &w).watts, 50, 0); /* no power in the row: tdp */
    w.model = "another";
    CHECK_NEAR(device_step(&d, &w).seconds, 1.002, 1e-12); /* the roofline and its overhead */
    unsetenv("VERYEDGE_HOME");
    CHECK_INT(parse("{\"device\": \"lab-board\"}", &d, &e), ERR_INPUT);
    CHECK_HAS(e.text, "expected one of");
    CHECK_INT(parse("{\"device\": \"none.json\"}", &d, &e), ERR_INPUT);
    CHECK_HAS(e.text, "device: no such file");
    write_text("test_device.home/bad.json", "{\"name\": \"lab\"}");
    CHECK_INT(parse("{\"device\": \"test_device.home/bad.json\"}", &d, &e), ERR_INPUT);
    CHECK_HAS(e.text, "bad.json: fp32");
    file_remove_tree(home, NULL);
}

/* energy/profiles, without any VERYEDGE_HOME. */
static void the_measured_gpus_are_devices(void)
{
    struct device d;
    struct err e = {0};
    struct device_work w = {"flan-t5-small", 8, 1e12, 0, 0, DEVICE_PRINTED};
    CHECK_INT(parse("{\"device\": \"h200-bf16\"}", &d, &e), OK);
    CHECK_NEAR(device_step(&d, &w).seconds, 0.005707, 0);
    CHECK_NEAR(device_step(&d, &w).watts, 354.5, 0);
    CHECK_STR(device_step(&d, &w).time_source, "measured");
    w.model = "flan-t5-large";
    w.minibatch = 64;
    CHECK_NEAR(device_step(&d, &w).seconds, 0.2027, 0);
    CHECK_INT(parse("{\"device\": \"h100-bf16\"}", &d, &e), OK);
    CHECK_NEAR(device_step(&d, &w).seconds, 0.2118, 0);
}

static void a_fit_finds_the_roofline_that_made_the_steps(void)
{
    const struct roofline want = {2e12, 50e9, 1, 4e-3};
    struct roofline_point p[8];
    struct roofline_fit fit;
    for (int i = 0; i < 8; i++) { /* the first are bound by memory, the last by arithmetic */
        p[i].flop = 1e9 * pow(2, i);
        p[i].bytes = 1e9 + 5e6 * pow(2, i);
        p[i].seconds = roofline_step_s(&want, p[i].flop, p[i].bytes);
    }
    roofline_fit(8, p, &fit);
    CHECK_TRUE(fit.worst_error < 0.01 && fit.mean_error <= fit.worst_error);
    CHECK_REL(fit.roof.flop_per_s, want.flop_per_s, 0.05);
    for (int i = 0; i < 8; i++)
        CHECK_REL(roofline_step_s(&fit.roof, p[i].flop, p[i].bytes), p[i].seconds, 0.01);
    p[0].seconds *= 2;
    roofline_fit(8, p, &fit);
    CHECK_TRUE(fit.worst_error > 0.1);
    roofline_fit(1, p, &fit);
    CHECK_REL(roofline_step_s(&fit.roof, p[0].flop, p[0].bytes), p[0].seconds, 1e-3);
}

int main(void)
{
    CASE(measured_steps_are_the_printed_totals);
    CASE(between_two_measures_both_are_linear_in_the_logarithm);
    CASE(above_the_largest_measure_seconds_grow_with_the_mini_batch);
    CASE(the_study_ran_out_of_memory_here);
    CASE(the_other_reading_takes_opt_step_and_load);
    CASE(a_device_without_measures_goes_by_its_data_sheet);
    CASE(every_device_idles_below_what_it_trains_with);
    CASE(rows_are_those_of_tables_2_and_4);
    CASE(a_scenario_may_define_its_own_device);
    CASE(a_device_may_be_like_another);
    CASE(mistakes_in_a_device_are_named);
    CASE(what_is_written_reads_back_the_same);
    CASE(a_profile_is_found_as_a_file_and_by_name);
    CASE(the_measured_gpus_are_devices);
    CASE(a_fit_finds_the_roofline_that_made_the_steps);
    return test_end();
}
