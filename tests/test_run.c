/* The round as a user sees it: the program runs a scenario without training, and the closed forms of
 * ../shared/ground-truth's rule and of the study's energy formula must be what its files say. */
#include "sim/pick.h"
#include "tests/program.h"

#define J16_WIRED_J_PER_BIT 283.5e-9

static double sum(const struct csv *c, const char *column)
{
    double s = 0;
    for (size_t i = 0; i < csv_rows(c); i++)
        s += program_cell(c, i, column);
    return s;
}

/* One wired client, 2.75 MB each way: T = d + k rtt - W_k / R + S / R, by hand from the rule. */
static void a_round_lasts_as_long_as_the_rule_says(void)
{
    program_write("s.json",
                  "{ \"network\": { \"topology\": \"lte\", \"down\": \"40Mbps\", \"up\": \"10Mbps\", "
                  "\"rtt\": \"50ms\", \"cell\": { \"clients\": 10, \"down\": \"150Mbps\", \"up\": "
                  "\"50Mbps\" } }, \"clients\": { \"count\": 10 }, \"model\": { \"costs_of\": "
                  "\"flan-t5-small\", \"train\": \"none\" }, \"compute\": { \"time\": \"0s\" }, "
                  "\"federation\": { \"rounds\": 2, \"clients_per_round\": 10, \"payload\": { \"down\": "
                  "\"2.75MB\", \"up\": \"2.75MB\" } } }");
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
    struct csv *r = program_csv("out/rounds.csv");
    CHECK_INT(csv_rows(r), 2);
    CHECK_REL(program_cell(r, 0, "duration_s"), 1.652145 + 4.652964, 2e-4);
    CHECK_REL(program_cell(r, 1, "duration_s"), program_cell(r, 0, "duration_s"), 1e-9);
    CHECK_NEAR(program_cell(r, 1, "start_s"), program_cell(r, 0, "end_s"), 1e-12);
    CHECK_INT(program_cell(r, 0, "bytes_down"), 10 * 2750000);
    csv_close(r);
}

static void granularity_is_compute_over_the_rest_of_the_round(void)
{
    program_write("s.json", "{ \"network\": { \"topology\": \"wired\" }, \"clients\": { \"count\": 4 }, "
                            "\"model\": { \"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, "
                            "\"compute\": { \"time\": \"3s\" }, \"federation\": { \"rounds\": 1, "
                            "\"clients_per_round\": 4 } }");
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
    struct csv *r = program_csv("out/rounds.csv");
    double duration_s = program_cell(r, 0, "duration_s");
    CHECK_NEAR(program_cell(r, 0, "t_comp_s"), 3.0, 0);
    CHECK_NEAR(program_cell(r, 0, "t_comm_s"), duration_s - 3.0, 1e-12);
    CHECK_REL(program_cell(r, 0, "granularity"), 3.0 / (duration_s - 3.0), 1e-12);
    csv_close(r);
}

/* Accounting of the study taken by its words: 10 clients, both directions, 32 bits per parameter. */
static void flan_t5_large_costs_what_the_formula_says(void)
{
    static const char *const topology[] = {"wired", "lte"};
    static const double kwh[] = {0.0397, 6.743}, to[] = {5e-5, 5e-4};
    for (int i = 0; i < 2; i++) {
        program_write("s.json",
                      "{ \"clients\": { \"count\": 10 }, \"model\": { \"costs_of\": \"flan-t5-large\", "
                      "\"train\": \"none\" }, \"compute\": { \"time\": \"1s\" }, \"federation\": { "
                      "\"rounds\": 1, \"clients_per_round\": 10, \"payload\": \"full\" } }");
        CHECK_INT(program("run s.json --set output.dir=out --set network.topology=%s", topology[i]), 0);
        struct csv *r = program_csv("out/rounds.csv"), *el = program_csv("out/elements.csv");
        CHECK_NEAR(program_cell(r, 0, "comm_kwh"), kwh[i], to[i]);
        CHECK_REL(sum(el, "joules") / 3.6e6, program_cell(r, 0, "comm_kwh"), 1e-12);
        if (i == 0)
            CHECK_REL(program_cell(r, 0, "comm_kwh"),
                      787868672.0 * 32 * 20 * J16_WIRED_J_PER_BIT / 3.6e6, 1e-12);
        csv_close(r);
        csv_close(el);
    }
}

static void elements_add_up_to_rounds_and_rounds_to_clients(void)
{
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/mixed.json' --set model.train=none --set evaluate.every=0 --set "
                      "federation.rounds=7 --set output.dir=out --set federation.failure_rate=0.2"),
              0);
    struct csv *r = program_csv("out/rounds.csv"), *c = program_csv("out/clients.csv"),
               *el = program_csv("out/elements.csv");
    CHECK_REL(sum(el, "joules"), 3.6e6 * sum(r, "comm_kwh"), 1e-12);
    CHECK_REL(sum(c, "comm_j"), 3.6e6 * sum(r, "comm_kwh"), 1e-12);
    CHECK_REL(sum(c, "device_j"), 3.6e6 * sum(r, "device_kwh"), 1e-12);
    CHECK_INT(sum(c, "bytes_up"), sum(r, "bytes_up"));
    double bits = 0;
    for (size_t i = 0; i < csv_rows(el); i++)
        if (strcmp(program_word(el, i, "element"), "bng") == 0)
            bits += program_cell(el, i, "bits");
    CHECK_REL(bits, 8 * (sum(r, "bytes_down") + sum(r, "bytes_up")), 1e-12);
    int dropped = 0;
    for (size_t i = 0; i < csv_rows(c); i++)
        dropped += strcmp(program_word(c, i, "status"), "dropped") == 0;
    CHECK_INT(sum(r, "selected") - sum(r, "arrived"), dropped);
    CHECK_TRUE(dropped > 0);
    csv_close(r);
    csv_close(c);
    csv_close(el);
}

static void a_deadline_cuts_the_round_and_counts_the_bytes_that_came(void)
{
    program_write("s.json", "{ \"network\": { \"topology\": \"lte\" }, \"clients\": { \"count\": 3 }, "
                            "\"model\": { \"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, "
                            "\"compute\": { \"time\": \"1s\" }, \"federation\": { \"rounds\": 3, "
                            "\"clients_per_round\": 3, \"deadline\": \"2s\" } }");
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
    struct csv *r = program_csv("out/rounds.csv"), *c = program_csv("out/clients.csv");
    CHECK_INT(csv_rows(r), 3);
    for (size_t i = 0; i < csv_rows(r); i++) {
        CHECK_NEAR(program_cell(r, i, "duration_s"), 2.0, 1e-9);
        CHECK_INT(program_cell(r, i, "arrived"), 0);
        CHECK_NEAR(program_cell(r, i, "t_comp_s"), 0, 0);
    }
    CHECK_STR(program_word(c, 0, "status"), "late");
    CHECK_STR(program_word(c, 0, "upload_end_s"), "");
    /* Up at 10 Mbit/s: from the end of its wait until the deadline some bytes come, not all. */
    double up = program_cell(c, 0, "bytes_up");
    CHECK_TRUE(up > 0 && up < 2752512);
    CHECK_INT(program_cell(c, 0, "bytes_down"), 2752512);
    csv_close(r);
    csv_close(c);
}

static void a_device_that_is_too_small_is_out_of_memory(void)
{
    program_write("s.json", "{ \"network\": { \"topology\": \"wired\" }, \"clients\": { \"count\": 2, "
                            "\"groups\": [ { \"name\": \"o\", \"count\": 1, \"device\": "
                            "\"agx-orin-64gb\" }, { \"name\": \"a\", \"count\": 1, \"device\": "
                            "\"a100-80gb\" } ] }, \"model\": { \"costs_of\": \"flan-t5-large\", "
                            "\"train\": \"none\" }, \"federation\": { \"rounds\": 1, "
                            "\"clients_per_round\": 2, \"batch\": 16 } }");
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
    struct csv *r = program_csv("out/rounds.csv"), *c = program_csv("out/clients.csv");
    CHECK_INT(program_cell(r, 0, "arrived"), 1);
    CHECK_STR(program_word(c, 0, "status"), "out_of_memory");
    CHECK_STR(program_word(c, 1, "status"), "ok");
    CHECK_STR(program_word(c, 1, "time_source"), "table4");
    csv_close(r);
    csv_close(c);
}

static void clients_are_drawn_without_replacement_and_all_get_their_turn(void)
{
    CHECK_INT(program("run s.json --set output.dir=out --set clients.groups='[{\"name\":\"a\","
                      "\"count\":30,\"device\":\"a100-80gb\"}]' --set clients.count=30 --set "
                      "federation.rounds=200 --set federation.clients_per_round=3"),
              0);
    struct csv *c = program_csv("out/clients.csv");
    int n[30] = {0};
    for (size_t i = 0; i < csv_rows(c); i++)
        n[(int)program_cell(c, i, "client")]++;
    for (int i = 0; i < 30; i++) /* mean 20, sd 4.2 */
        CHECK_TRUE(n[i] > 3 && n[i] < 40);
    for (size_t i = 0; i + 2 < csv_rows(c); i += 3)
        CHECK_TRUE(program_cell(c, i, "client") < program_cell(c, i + 1, "client") &&
                   program_cell(c, i + 1, "client") < program_cell(c, i + 2, "client"));
    csv_close(c);
}

static void a_former_result_is_replaced_and_a_foreign_folder_refused(void)
{
    CHECK_INT(program("run s.json --set output.dir=out --set federation.rounds=2"), 0);
    struct csv *r = program_csv("out/rounds.csv");
    CHECK_INT(csv_rows(r), 2);
    csv_close(r);
    mkdir(PROGRAM_DIR "/mine", 0755);
    program_write("mine/thesis.txt", "years of work");
    CHECK_INT(program("run s.json --set output.dir=mine"), 2);
    CHECK_HAS(program_text("err.txt"), "thesis.txt");
    CHECK_STR(program_text("mine/thesis.txt"), "years of work");
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/mine/rounds.csv"));
}

static void nothing_trained_and_no_architecture_named_charges_the_weights_own(void)
{
    program_write("s.json", "{ \"model\": { \"train\": \"none\" }, \"federation\": { \"rounds\": 1 } }");
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
    struct csv *r = program_csv("out/rounds.csv");
    CHECK_INT(program_cell(r, 0, "bytes_down"), 10 * 4 * 73728); /* 3 + 3 layers, width 128, rank 16 */
    csv_close(r);
}

/* Two wired clients without training: a round of TIME seconds of computing each. More keys of the federation follow. */
static void two_wired(const char *time, const char *federation)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "{ \"seed\": 4, \"network\": { \"topology\": \"wired\" }, \"clients\": { \"count\": 2 }, "
             "\"model\": { \"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, \"compute\": { "
             "\"time\": \"%s\" }, \"federation\": { \"rounds\": 1, \"clients_per_round\": 2%s } }",
             time, federation);
    program_write("s.json", text);
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
}

/* Watts of a device that waits, and of one that computes, from two rounds in which nothing else happens. */
static void measure_watts(double *idle_w, double *busy_w)
{
    double joules[2], duration_s[2];
    static const char *const time[] = {"0s", "10s"};
    for (int i = 0; i < 2; i++) {
        two_wired(time[i], "");
        struct csv *r = program_csv("out/rounds.csv"), *c = program_csv("out/clients.csv");
        joules[i] = program_cell(c, 0, "device_j");
        duration_s[i] = program_cell(r, 0, "duration_s");
        csv_close(r);
        csv_close(c);
    }
    *idle_w = joules[0] / duration_s[0];
    *busy_w = (joules[1] - *idle_w * duration_s[0]) / 10;
    CHECK_NEAR(duration_s[1] - duration_s[0], 10, 1e-9);
    CHECK_TRUE(*idle_w > 0 && *busy_w > *idle_w);
}

static void a_device_that_fails_takes_power_until_then_and_no_longer(void)
{
    double idle_w, busy_w, at[2], last = 0;
    measure_watts(&idle_w, &busy_w);
    two_wired("10s", ", \"failure_rate\": 1");
    struct csv *r = program_csv("out/rounds.csv"), *c = program_csv("out/clients.csv");
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_TRUE(pick_fails(4, 1, i, 1, &at[i]));
        double waited_s = program_cell(c, i, "download_end_s");
        CHECK_STR(program_word(c, i, "status"), "dropped");
        CHECK_REL(program_cell(c, i, "device_j"), busy_w * 10 * at[i] + idle_w * waited_s, 1e-9);
        last = fmax(last, waited_s + 10 * at[i]);
    }
    CHECK_TRUE(fabs(at[0] - at[1]) > 0.05); /* so that waiting for the other would show */
    CHECK_NEAR(program_cell(r, 0, "duration_s"), last, 1e-9);
    csv_close(r);
    csv_close(c);
}

static void a_device_cut_by_the_deadline_has_computed_until_then(void)
{
    double idle_w, busy_w;
    measure_watts(&idle_w, &busy_w);
    two_wired("100s", ", \"deadline\": \"5s\"");
    struct csv *c = program_csv("out/clients.csv");
    double waited_s = program_cell(c, 0, "download_end_s");
    CHECK_STR(program_word(c, 0, "status"), "late");
    CHECK_REL(program_cell(c, 0, "device_j"), busy_w * (5 - waited_s) + idle_w * waited_s, 1e-9);
    csv_close(c);
}

/* One group is done long before the deadline, the other is not; their paths have 1 and 3 switches. */
static void a_deadline_spares_those_who_are_done(void)
{
    program_write("s.json",
                  "{ \"clients\": { \"count\": 4, \"groups\": [ { \"name\": \"slow\", \"count\": 2, \"network\": "
                  "{ \"topology\": \"lte\", \"path\": [\"lte_endpoint\", \"switch*3\"] } }, { \"name\": "
                  "\"fast\", \"count\": 2, \"network\": { \"topology\": \"wired\", \"path\": [\"nic\", "
                  "\"switch\"] } } ] }, \"model\": { \"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, "
                  "\"compute\": { \"time\": \"1s\" }, \"federation\": { \"rounds\": 1, \"clients_per_round\": "
                  "4, \"deadline\": \"2s\" } }");
    CHECK_INT(program("run s.json --set output.dir=out"), 0);
    struct csv *r = program_csv("out/rounds.csv"), *c = program_csv("out/clients.csv"),
               *el = program_csv("out/elements.csv");
    CHECK_INT(program_cell(r, 0, "arrived"), 2);
    CHECK_NEAR(program_cell(r, 0, "duration_s"), 2.0, 1e-9);
    for (size_t i = 0; i < 4; i++)
        CHECK_STR(program_word(c, i, "status"),
                  strcmp(program_word(c, i, "group"), "fast") == 0 ? "ok" : "late");
    CHECK_REL(sum(el, "joules"), 3.6e6 * sum(r, "comm_kwh"), 1e-12);
    int counts = 0;
    for (size_t i = 0; i < csv_rows(el); i++)
        if (strcmp(program_word(el, i, "element"), "switch") == 0)
            counts += (int)program_cell(el, i, "count");
    CHECK_INT(counts, 2 * (1 + 3));
    csv_close(r);
    csv_close(c);
    csv_close(el);
}

static void when_a_client_fails_has_nothing_to_do_with_whether(void)
{
    double sum_at = 0, at;
    int n = 0;
    for (uint32_t client = 0; client < 10000; client++)
        if (pick_fails(1, 1, client, 0.3, &at)) {
            sum_at += at;
            n++;
        }
    CHECK_NEAR(n, 3000, 0.05);
    CHECK_NEAR(sum_at / n, 0.5, 0.02);
}

int main(void)
{
    program_begin();
    CASE(a_device_that_fails_takes_power_until_then_and_no_longer);
    CASE(a_device_cut_by_the_deadline_has_computed_until_then);
    CASE(a_deadline_spares_those_who_are_done);
    CASE(when_a_client_fails_has_nothing_to_do_with_whether);
    CASE(a_round_lasts_as_long_as_the_rule_says);
    CASE(granularity_is_compute_over_the_rest_of_the_round);
    CASE(flan_t5_large_costs_what_the_formula_says);
    CASE(elements_add_up_to_rounds_and_rounds_to_clients);
    CASE(a_deadline_cuts_the_round_and_counts_the_bytes_that_came);
    CASE(a_device_that_is_too_small_is_out_of_memory);
    CASE(clients_are_drawn_without_replacement_and_all_get_their_turn);
    CASE(nothing_trained_and_no_architecture_named_charges_the_weights_own);
    CASE(a_former_result_is_replaced_and_a_foreign_folder_refused);
    program_end();
    return test_end();
}
