/* plan as a user runs it: answers that can be written down, what binds, and mistakes. */
#include "tests/program.h"

/* Payload rates, no latency and stated compute seconds, so that a round is a sum of quotients. */
static void write_scenario(const char *network, const char *federation, const char *more)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "{ \"network\": { \"rates\": \"goodput\", \"rtt\": \"0s\", %s }, \"clients\": { "
             "\"count\": 60 }, "
             "\"model\": { \"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, "
             "\"federation\": { \"rounds\": 2, %s }%s }",
             network, federation, more);
    program_write("s.json", text);
}

/* The number behind a word of what was printed; NaN when the word is not there. */
static double after(const char *text, const char *word)
{
    const char *at = strstr(text, word);
    return at ? atof(at + strlen(word)) : (double)NAN;
}

/* The share, in per cent, that a table's row ends with. */
static double gain_of(const char *text, const char *part)
{
    char row[128];
    snprintf(row, sizeof(row), "\n%s ", part);
    const char *at = strstr(text, row), *end = at ? strstr(at, " %\n") : NULL;
    if (!end)
        return (double)NAN;
    while (end > at && end[-1] != ' ')
        end--;
    return atof(end);
}

/* 2 s + 8 x 5 MB / 40 Mbps + 8 x 20 MB / up = 10 s, so up = 160 / 7 Mbps. */
static void the_smallest_uplink_is_payload_over_what_time_is_left(void)
{
    write_scenario("\"down\": \"40Mbps\"",
                   "\"clients_per_round\": 1, \"payload\": { \"down\": \"5MB\", \"up\": \"20MB\" }",
                   ", \"compute\": { \"time\": \"2s\" }");
    CHECK_INT(
        program("plan s.json --smallest network.up --limit round=10s --limit total=1d --out o"), 0);
    const char *out = program_text("out.txt");
    CHECK_REL(after(out, "network.up="), 160.0 / 7, 0.01);
    CHECK_HAS(out, "Mbps is the smallest that meets the limits:");
    CHECK_HAS(out, "of 10 s, the limit that binds");
    CHECK_HAS(out, "what binds, and to upgrade first: network.up");
    CHECK_REL(gain_of(out, "network.up"), 100 * 7 * (1 - 1 / 1.1) / 10, 0.01);
    CHECK_REL(gain_of(out, "network.down"), 100 * 1 * (1 - 1 / 1.1) / 10, 0.01);
    CHECK_REL(gain_of(out, "compute.time"), 100 * 2 * (1 - 1 / 1.1) / 10, 0.01);
    struct csv *c = program_csv("o/plan.csv");
    size_t last = csv_rows(c) - 1;
    CHECK_STR(program_word(c, last, "is_met"), "1");
    CHECK_REL(program_cell(c, last, "mean_duration_s"), 10, 0.01);
    CHECK_TRUE(program_cell(c, last, "mean_duration_s") <= 10);
    csv_close(c);
}

/* 20 clients through the server: 20 x 80 Mbit at 1 Gbps down, then at the rate that is sought. */
static void the_smallest_shared_link_carries_all_clients(void)
{
    write_scenario(
        "\"topology\": \"wired\", \"server\": { \"down\": \"1Gbps\", \"up\": \"1Gbps\" }",
        "\"clients_per_round\": 20, \"payload\": { \"down\": \"10MB\", \"up\": \"10MB\" }",
        ", \"compute\": { \"time\": \"0s\" }");
    CHECK_INT(
        program("plan s.json --smallest network.server.up=1Mbps..1Gbps --limit round=30s --out o"),
        0);
    CHECK_REL(after(program_text("out.txt"), "network.server.up="), 1600 / (30 - 1.6), 0.01);
    /* Both directions at one rate: 3200 / 30. */
    CHECK_INT(program("plan s.json --smallest network.server.up,network.server.down --limit "
                      "round=30s --out o"),
              0);
    const char *out = program_text("out.txt");
    CHECK_REL(after(out, "network.server.up="), 3200.0 / 30, 0.01);
    CHECK_REL(after(out, "network.server.down="), 3200.0 / 30, 0.01);
}

/* K clients take K (80 / 1000 + 80 / 100) s: 34 fit into 30 s, 35 take 30.8 s. */
static void the_largest_cohort_is_what_the_server_carries_in_time(void)
{
    write_scenario(
        "\"topology\": \"wired\", \"server\": { \"down\": \"1Gbps\", \"up\": \"100Mbps\" }",
        "\"payload\": { \"down\": \"10MB\", \"up\": \"10MB\" }",
        ", \"compute\": { \"time\": \"0s\" }");
    CHECK_INT(
        program("plan s.json --largest federation.clients_per_round --limit round=30s --out o"), 0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "federation.clients_per_round=34 is the largest that meets the limits:");
    CHECK_HAS(out, "what binds, and to upgrade first: network.server.up");
    CHECK_REL(gain_of(out, "network.server.up"), 100 * 0.8 / 0.88 * (1 - 1 / 1.1), 0.01);
    CHECK_INT(
        program(
            "plan s.json --largest federation.clients_per_round=2..20 --limit round=30s --out o"),
        0);
    CHECK_HAS(program_text("out.txt"), "federation.clients_per_round=20 is the largest");
    CHECK_INT(program("plan s.json --largest federation.rounds=1..1000 --limit total=300s --out o"),
              0);
    CHECK_HAS(program_text("out.txt"), "federation.rounds=34 is the largest"); /* of 8.8 s each */
}

/* Two rounds of 4 clients x 3 MB are 0.024 GB; a round takes 3 + 8 / 40 + 16 / up s. */
static void the_cheapest_option_is_the_one_with_the_smallest_bill_in_time(void)
{
    write_scenario("\"down\": \"40Mbps\"",
                   "\"clients_per_round\": 4, \"payload\": { \"down\": \"1MB\", \"up\": \"2MB\" }",
                   ", \"compute\": { \"time\": \"3s\" }");
    program_write("o.json", "{ \"options\": [ { \"name\": \"S\", \"set\": { \"network.up\": "
                            "\"2Mbps\" }, \"price\": { \"gb\": 1 } }, "
                            "{ \"name\": \"L\", \"set\": { \"network.up\": \"20Mbps\" }, "
                            "\"price\": { \"gb\": 300, \"fixed\": 1 } }, "
                            "{ \"name\": \"M\", \"set\": { \"network.up\": \"10Mbps\" }, "
                            "\"price\": { \"gb\": 100, \"client\": 0.1, "
                            "\"client_day\": 0 } } ] }");
    CHECK_INT(
        program("plan s.json --cheapest o.json --limit total=10s --price device_kwh=0 --out o"), 0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out,
              "L is the cheapest that meets the limits:"); /* 1 + 0.024 x 300; M: 60 x 0.1 + 2.4 */
    CHECK_REL(after(out, "  money    "), 8.2, 1e-3);
    CHECK_HAS(out, "total 22 s is above 10 s");
    struct csv *c = program_csv("o/plan.csv");
    CHECK_INT(csv_rows(c), 3);
    CHECK_REL(program_cell(c, 0, "virtual_s"), 2 * (3 + 0.2 + 8), 0.01);
    CHECK_REL(program_cell(c, 1, "virtual_s"), 2 * (3 + 0.2 + 0.8), 0.01);
    CHECK_REL(program_cell(c, 2, "virtual_s"), 2 * (3 + 0.2 + 1.6), 0.01);
    CHECK_REL(program_cell(c, 0, "money"), 0.024, 1e-9);
    CHECK_REL(program_cell(c, 2, "money"), 8.4, 1e-9);
    CHECK_STR(program_word(c, 0, "is_met"), "0");
    csv_close(c);
    CHECK_INT(program("plan s.json --cheapest o.json --out o"), 0);
    CHECK_HAS(program_text("out.txt"), "S is the cheapest that meets the limits:");
    CHECK_INT(program("plan s.json --cheapest o.json --limit total=1s --out o"), 2);
    CHECK_HAS(program_text("out.txt"),
              "L does not meet the limits:"); /* the one that comes nearest */
    CHECK_HAS(program_text("err.txt"), "no answer: with L, total 8.00 s is above 1.00 s");
}

/* The device's part of a round, as a run of the same scenario measures it. */
static void a_faster_device_gains_its_share_of_the_round(void)
{
    write_scenario("\"down\": \"400Mbps\", \"up\": \"400Mbps\"", "\"clients_per_round\": 2", "");
    CHECK_INT(program("run s.json --set output.dir=r"), 0);
    struct csv *c = program_csv("r/rounds.csv");
    double share = program_cell(c, 0, "t_comp_s") / program_cell(c, 0, "duration_s");
    csv_close(c);
    CHECK_INT(
        program("plan s.json --largest federation.clients_per_round=1..2 --limit round=1h --out o"),
        0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "what binds, and to upgrade first: device agx-orin-64gb");
    CHECK_TRUE(share > 0.5);
    CHECK_NEAR(gain_of(out, "device agx-orin-64gb"), 100 * share * (1 - 1 / 1.1), 0.01);
}

/* Groups with networks and devices of their own are parts of their own; training is left out. */
static void groups_and_training_scenarios_can_be_planned(void)
{
    CHECK_INT(program("plan '" TEST_SOURCE
                      "/scenarios/mixed.json' --smallest network.up=1Mbps..100Mbps --limit "
                      "round=8s --set federation.rounds=3 --out o"),
              0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "device agx-orin-64gb");
    CHECK_HAS(out, "clients.groups[");
    /* 80 M weights of 4 bytes each way, 2.54 s beside them: not an adapter's 2.75 MB. */
    CHECK_INT(
        program("plan '" TEST_SOURCE "/scenarios/quickstart.json' --set model.train=full --set "
                "network.rates=goodput --set network.down=1Gbps --set compute.time=2s --set "
                "network.rtt=0s "
                "--set federation.rounds=1 --smallest network.up --limit round=100s --out full"),
        0);
    out = program_text("out.txt");
    double weights_bits = 32 * 76961152.0; /* FLAN-T5-Small */
    CHECK_REL(after(out, "network.up="), 1e-6 * weights_bits / (98 - weights_bits / 1e9), 0.01);
}

static void an_impossible_limit_says_what_binds(void)
{
    write_scenario("\"down\": \"40Mbps\"",
                   "\"clients_per_round\": 1, \"payload\": { \"down\": \"5MB\", \"up\": \"20MB\" }",
                   ", \"compute\": { \"time\": \"2s\" }");
    CHECK_INT(program("plan s.json --smallest network.up --limit round=2.5s --out o"), 2);
    CHECK_HAS(program_text("out.txt"), "network.up=10Tbps does not meet the limits:");
    CHECK_HAS(program_text("out.txt"), "what binds, and to upgrade first: compute.time");
    CHECK_HAS(program_text("err.txt"),
              "error: no answer: with network.up=10Tbps, round 3.00 s is above 2.50 s");
}

static void asked(const char *words, const char *args)
{
    CHECK_INT(program("plan %s", args), 2);
    CHECK_HAS(program_text("err.txt"), words);
}

static void mistakes_are_named(void)
{
    asked("expected one of --smallest, --largest and --cheapest", "s.json --limit round=3s");
    asked("expected one of --smallest, --largest and --cheapest",
          "s.json --limit round=3s --smallest network.up --largest federation.rounds");
    asked("expected at least one --limit", "s.json --smallest network.up --out o");
    asked("--limit: unknown name \"rond\", did you mean \"round\"?",
          "s.json --smallest network.up --limit rond=3s --out o");
    asked("--limit round: expected a time", "s.json --smallest network.up --limit round=3 --out o");
    asked("--limit kwh: expected", "s.json --smallest network.up --limit kwh=-1 --out o");
    asked("--limit: expected NAME=VALUE", "s.json --smallest network.up --limit kwh --out o");
    asked("--price: unknown name \"gib\", did you mean \"gb\"?",
          "s.json --smallest network.up --limit kwh=1 --price gib=3 --out o");
    asked("--limit money: expected a --price",
          "s.json --smallest network.up --limit money=1 --out o");
    asked("--smallest: expected KEY=LO..HI",
          "s.json --smallest network.up=5Mbps --limit kwh=1 --out o");
    asked("--smallest network.up: expected",
          "s.json --smallest network.up=5Mbps..1Mbps --limit kwh=1 --out o");
    asked("--largest federation.rounds: expected",
          "s.json --largest federation.rounds=9..3 --limit kwh=1 --out o");
    asked("network.ups: unknown key, did you mean \"up\"?",
          "s.json --smallest network.ups --limit kwh=1 --out o");
    program_write("o.json", "{ \"options\": [ { \"name\": \"S\", \"set\": { \"seed\": 2 } } ] }");
    asked("o.json: options[0].price: expected a price", "s.json --cheapest o.json --out o");
    program_write(
        "o.json",
        "{ \"options\": [ { \"name\": \"S\", \"set\": { \"seed\": 2 }, \"prise\": {} } ] }");
    asked("did you mean \"price\"?", "s.json --cheapest o.json --price gb=1 --out o");
    program_write("o.json", "{ \"options\": [] }");
    asked("o.json: options: expected 1..1000 of them, got 0",
          "s.json --cheapest o.json --price gb=1 --out o");
    program_write("o.json", "{ \"options\": [ { \"name\": \"S\", \"set\": { \"sed\": 2 } } ] }");
    asked("sed: unknown key, did you mean \"seed\"?",
          "s.json --cheapest o.json --price gb=1 --out o");
}

int main(void)
{
    program_begin();
    CASE(the_smallest_uplink_is_payload_over_what_time_is_left);
    CASE(the_smallest_shared_link_carries_all_clients);
    CASE(the_largest_cohort_is_what_the_server_carries_in_time);
    CASE(the_cheapest_option_is_the_one_with_the_smallest_bill_in_time);
    CASE(a_faster_device_gains_its_share_of_the_round);
    CASE(groups_and_training_scenarios_can_be_planned);
    CASE(an_impossible_limit_says_what_binds);
    CASE(mistakes_are_named);
    program_end();
    return test_end();
}
