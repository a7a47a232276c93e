#include <string.h>

#include "energy/ledger.h"
#include "energy/perbit.h"
#include "tests/test.h"

#define LARGE_BYTES (787868672.0 * 4) /* FLAN-T5-Large with its adapters, float32 */

struct hop {
    const char *element;
    int count;
};
static const struct hop wired[] = {{"switch", 1},      {"bng", 1},       {"edge_router", 3},
                                   {"core_router", 4}, {"dc_switch", 2}, {NULL, 0}};
static const struct hop lte[] = {{"lte_endpoint", 1}, {"lte_base_station", 1}, {NULL, 0}};

static double path_j_per_bit(const struct perbit_set *set, const struct hop *hop, int direction)
{
    double sum = 0;
    for (; hop->element; hop++) {
        double j = 0;
        CHECK_TRUE(perbit_j_per_bit(set, hop->element, direction, &j));
        sum += hop->count * j;
    }
    return sum;
}

static double round_kwh(const struct perbit_set *set, bool is_lte)
{
    double j = 0;
    for (int direction = 0; direction < PERBIT_DIRECTIONS; direction++) {
        double per_bit = path_j_per_bit(set, wired, direction);
        if (is_lte)
            per_bit += path_j_per_bit(set, lte, direction);
        j += 10 * 8 * LARGE_BYTES * per_bit;
    }
    return kwh_from_j(j);
}

static void wired_paths_cost_what_the_study_sums_to(void)
{
    CHECK_REL(path_j_per_bit(perbit_find("j16"), wired, PERBIT_UP), 283.5e-9, 1e-12);
    CHECK_REL(path_j_per_bit(perbit_find("v15"), wired, PERBIT_DOWN), 188.5e-9, 1e-12);
}

static void ten_clients_of_flan_t5_large_take_0_0397_kwh_wired_and_6_743_on_lte(void)
{
    const struct perbit_set *set = perbit_find("j16");
    CHECK_TRUE(fabs(round_kwh(set, false) - 0.0397) < 0.00005);
    CHECK_TRUE(fabs(round_kwh(set, true) - 6.743) < 0.0005);
}

/* Watts per line over the mean traffic of a home, 190 GB in a month of 30.44 days. */
static void ends_of_home_lines_cost_their_watts_by_the_bits_that_pass(void)
{
    static const struct {
        const char *element;
        double watts;
    } LINES[] = {{"dslam", 1.5}, {"cmts", 114e3 / 25311}, {"olt", 18629.0 / 25311}};
    double bps = 190e9 * 8 / (30.44 * 86400);
    CHECK_REL(bps, 578e3, 1e-3);
    for (size_t set = 0; set < perbit_sets(); set++)
        for (size_t i = 0; i < 3; i++) {
            const struct perbit_value *v = perbit_value(perbit_at(set), LINES[i].element);
            CHECK_REL(v->j_per_bit[PERBIT_DOWN], LINES[i].watts / bps, 3e-3);
            CHECK_REL(v->j_per_bit[PERBIT_UP], v->j_per_bit[PERBIT_DOWN], 0);
        }
}

static void a_base_station_takes_more_down_and_a_handset_more_up(void)
{
    static const double station[][2] = {{82820, 12400}, {76200, 19000}};
    for (size_t i = 0; i < 2; i++) {
        const struct perbit_value *b = perbit_value(perbit_at(i), "lte_base_station");
        const struct perbit_value *h = perbit_value(perbit_at(i), "lte_endpoint");
        CHECK_REL(b->j_per_bit[PERBIT_DOWN], station[i][0] * 1e-9, 1e-12);
        CHECK_REL(b->j_per_bit[PERBIT_UP], station[i][1] * 1e-9, 1e-12);
        CHECK_REL(h->j_per_bit[PERBIT_DOWN], 51.97e-9, 1e-12);
        CHECK_REL(h->j_per_bit[PERBIT_UP], 438.4e-9, 1e-12);
    }
}

static void every_set_has_every_element_with_a_source(void)
{
    for (size_t i = 0; i < perbit_sets(); i++)
        for (size_t j = 0; j < PERBIT_ELEMENTS; j++) {
            const struct perbit_value *v = perbit_value(perbit_at(i), perbit_element(j));
            CHECK_TRUE(v && v->source[0] && v->status[0]);
            CHECK_TRUE(v && v->j_per_bit[0] >= 0 && v->j_per_bit[1] >= 0);
        }
    double out = -1;
    CHECK_TRUE(!perbit_j_per_bit(perbit_at(0), "satellite", PERBIT_UP, &out));
    CHECK_NEAR(out, -1, 0);
    CHECK_TRUE(perbit_j_per_bit(perbit_at(0), "nic", PERBIT_UP, &out));
    CHECK_NEAR(out, 0, 0);
}

static void idle_and_load_watts_give_both_sets(void)
{
    /* watts and capacities of perbit.csv; printed values have three digits */
    CHECK_REL(perbit_from_power(1589, 1766, 256e9, 0.2), 31.7e-9, 0.005);
    CHECK_REL(perbit_from_power(4095, 4550, 560e9, 0.2), 37.0e-9, 0.015); /* 37.4 */
    CHECK_REL(perbit_from_power(11070, 12300, 4480e9, 0.2), 12.6e-9, 0.005);
    CHECK_REL(perbit_from_power(1589, 1766, 256e9, 0.3), 21.4e-9, 0.005);
    CHECK_REL(perbit_from_power(4095, 4550, 560e9, 0.3), 25.2e-9, 0.01);
    CHECK_REL(perbit_from_power(1701, 1890, 320e9, 0.2), 27.0e-9, 0.01);
    CHECK_REL(perbit_from_power(1701, 1890, 320e9, 0.3), 18.3e-9, 0.005);
}

static enum err_code parse(const char *text, struct perbit_set *set, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, "s.json", text, strlen(text), e);
    if (!code)
        code = perbit_parse(json_root(doc), "per_bit", set, e);
    json_close(doc);
    return code;
}

static void a_scenario_names_a_set_or_extends_one(void)
{
    struct perbit_set s;
    struct err e;
    CHECK_INT(parse("{}", &s, &e), OK);
    CHECK_STR(s.name, "j16");
    CHECK_INT(parse("{\"per_bit\": \"v15\"}", &s, &e), OK);
    CHECK_STR(s.name, "v15");
    CHECK_TRUE(!s.has_overrides);
    CHECK_INT(
        parse("{\"per_bit\": {\"set\": \"v15\", \"lte_base_station\": {\"up\": \"12.4uJ/bit\"},"
              "\"nic\": \"1nJ/bit\", \"bng\": {\"idle\": \"1701W\", \"max\": \"1890W\","
              "\"capacity\": \"320Gbps\", \"utilisation\": 0.5}}}",
              &s, &e),
        OK);
    const struct perbit_value *v = perbit_value(&s, "lte_base_station");
    CHECK_TRUE(s.has_overrides);
    CHECK_NEAR(v->j_per_bit[PERBIT_DOWN] * 1e9, 76200, 1e-12);
    CHECK_NEAR(v->j_per_bit[PERBIT_UP] * 1e9, 12400, 1e-12);
    CHECK_NEAR(perbit_value(&s, "nic")->j_per_bit[PERBIT_DOWN] * 1e9, 1, 1e-12);
    CHECK_REL(perbit_value(&s, "bng")->j_per_bit[PERBIT_UP], 1701 / 160e9 + 189 / 320e9, 1e-12);
}

static void mistakes_in_per_bit_are_named(void)
{
    struct perbit_set s;
    struct err e;
    CHECK_INT(parse("{\"per_bit\": \"j61\"}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "per_bit");
    CHECK_INT(parse("{\"per_bit\": {\"edge_ruoter\": \"1nJ/bit\"}}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "edge_router");
    CHECK_INT(parse("{\"per_bit\": {\"nic\": \"2J/bit\"}}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "per_bit.nic");
    CHECK_INT(parse("{\"per_bit\": {\"nic\": {\"up\": \"1W\"}}}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "per_bit.nic.up");
    CHECK_INT(parse("{\"per_bit\": {\"nic\": {\"idle\": \"2W\", \"max\": \"1W\","
                    "\"capacity\": \"1Gbps\", \"utilisation\": 0.5}}}",
                    &s, &e),
              ERR_INPUT);
    CHECK_HAS(e.text, "per_bit.nic.max");
}

static void what_is_written_reads_back_the_same(void)
{
    for (size_t i = 0; i < perbit_sets(); i++) {
        struct perbit_set back;
        struct json_out o;
        struct err e;
        json_out_init(&o);
        json_out_begin(&o, NULL, '{');
        perbit_write(&o, "per_bit", perbit_at(i));
        json_out_end(&o, '}');
        CHECK_INT(parse(o.text, &back, &e), OK);
        for (size_t j = 0; j < PERBIT_ELEMENTS; j++)
            for (int d = 0; d < PERBIT_DIRECTIONS; d++)
                CHECK_TRUE(back.value[j].j_per_bit[d] == perbit_at(i)->value[j].j_per_bit[d]);
        json_out_fini(&o);
    }
}

int main(void)
{
    CASE(wired_paths_cost_what_the_study_sums_to);
    CASE(ten_clients_of_flan_t5_large_take_0_0397_kwh_wired_and_6_743_on_lte);
    CASE(ends_of_home_lines_cost_their_watts_by_the_bits_that_pass);
    CASE(a_base_station_takes_more_down_and_a_handset_more_up);
    CASE(every_set_has_every_element_with_a_source);
    CASE(idle_and_load_watts_give_both_sets);
    CASE(a_scenario_names_a_set_or_extends_one);
    CASE(mistakes_in_per_bit_are_named);
    CASE(what_is_written_reads_back_the_same);
    return test_end();
}
