#include "sim/scenario.h"

#include "sim/base/file.h"
#include "tests/test.h"

#define FOLDER "test_scenario.tmp"
#define FILE_NAME FOLDER "/s.json"

static enum err_code load(struct scenario **out, const char *text, struct err *e)
{
    file_make_folder(FOLDER, NULL);
    file_replace(FILE_NAME, text, strlen(text), NULL);
    return scenario_load(out, FILE_NAME, 0, NULL, e);
}

static struct scenario *loaded(const char *text)
{
    struct scenario *s = NULL;
    struct err e = {0};
    if (load(&s, text, &e))
        TEST_FAIL("%s: %s", text, e.text);
    return s;
}

/* The message behind "FILE: ". */
static void check_refused(const char *text, const char *want)
{
    struct scenario *s = NULL;
    struct err e = {0};
    const size_t n = strlen(FILE_NAME ": ");
    if (load(&s, text, &e) == OK) {
        TEST_FAIL("%s: was accepted", text);
        scenario_close(s);
        return;
    }
    CHECK_INT(e.code, ERR_INPUT);
    CHECK_TRUE(strncmp(e.text, FILE_NAME ": ", n) == 0);
    CHECK_STR(e.text + n, want);
}

static void an_empty_scenario_is_all_defaults(void)
{
    struct scenario *s = loaded("{}");
    if (!s)
        return;
    CHECK_STR(s->name, "s");
    CHECK_INT(s->seed, 1);
    CHECK_INT(s->n_clients, 100);
    CHECK_INT(s->n_groups, 1);
    CHECK_STR(s->data.prefix, "summarize: ");
    CHECK_STR(s->group[0].name, "clients");
    CHECK_STR(s->group[0].device.name, "agx-orin-64gb");
    CHECK_STR(s->network.access.topology->name, "lte");
    CHECK_NEAR(s->network.access.rate_bps[NET_DOWN], 40e6, 0);
    CHECK_NEAR(s->network.access.rate_bps[NET_UP], 10e6, 0);
    CHECK_STR(s->model.weights, "builtin:tiny");
    CHECK_TRUE(!s->model.costs_of);
    CHECK_INT(s->model.lora.rank, 16);
    CHECK_INT(s->model.lora.targets, LORA_Q | LORA_V);
    CHECK_INT(s->federation.rounds, 100);
    CHECK_INT(s->federation.clients_per_round, 10);
    CHECK_TRUE(isinf(s->federation.deadline_s));
    CHECK_STR(server_opt_name(s->federation.server.opt), "fedadamw");
    CHECK_INT(s->data.n_train, 8000);
    CHECK_INT(s->split.n_clients, 100);
    CHECK_INT(s->evaluate.every, 10);
    CHECK_TRUE(s->compute.is_profile);
    CHECK_STR(s->energy.per_bit.name, "j16");
    CHECK_STR(s->output.dir, FOLDER "/runs/s");
    scenario_close(s);
}

static void every_key_of_the_design_is_read(void)
{
    struct scenario *s = loaded(
        "{\"name\": \"all\", \"about\": \"x\", \"seed\": 7,"
        "\"network\": {\"topology\": \"lte\", \"down\": \"30Mbps\", \"up\": \"8Mbps\", \"rtt\": "
        "\"60ms\","
        "  \"cell\": {\"clients\": 25, \"down\": \"150Mbps\", \"up\": \"50Mbps\"},"
        "  \"server\": {\"down\": \"10Gbps\", \"up\": \"5Gbps\"}},"
        "\"clients\": {\"count\": 50, \"groups\": ["
        "  {\"name\": \"orin\", \"share\": 0.6, \"device\": \"agx-orin-64gb\"},"
        "  {\"name\": \"a100\", \"share\": 0.4, \"device\": \"a100-80gb\","
        "   \"network\": {\"topology\": \"wired\"}}]},"
        "\"model\": {\"weights\": \"builtin:tiny\", \"costs_of\": \"flan-t5-base\", \"train\": "
        "\"lora\","
        "  \"lora\": {\"rank\": 8, \"alpha\": 16, \"dropout\": 0.1, \"targets\": [\"q\", \"k\", "
        "\"wo\"]}, \"dropout\": 0.2},"
        "\"data\": {\"source\": \"builtin:dialogues\", \"prefix\": \"\", \"max_input\": 200, "
        "\"max_target\": 40,"
        "  \"samples\": 500, \"heldout\": 50, \"split\": {\"kind\": \"dirichlet\", \"alpha\": "
        "0.5}},"
        "\"federation\": {\"rounds\": 3, \"clients_per_round\": 5, \"deadline\": \"2min\", "
        "\"failure_rate\": 0.1,"
        "  \"local_steps\": 4, \"batch\": 16, \"client_lr\": 0.5, \"client\": {\"optimizer\": "
        "\"adamw\", \"beta1\": 0.8,"
        "  \"max_grad_norm\": 1}, \"server\": {\"optimizer\": \"fedavgm\", \"lr\": 0.1, "
        "\"momentum\": 0.9},"
        "  \"payload\": {\"down\": \"2.75MB\", \"up\": \"1B\"}},"
        "\"compute\": {\"time\": \"30s\", \"profile_reading\": \"without-double-count\", \"chunk\": 2},"
        "\"evaluate\": {\"every\": 2, \"samples\": 50, \"test\": 70, \"rouge\": false, "
        "\"max_new_tokens\": 30, \"batch\": 4},"
        "\"energy\": {\"per_bit\": \"v15\", \"accounting\": \"literal\", \"carbon_g_per_kwh\": 56},"
        "\"output\": {\"dir\": \"../out\"}}");
    if (!s)
        return;
    CHECK_STR(s->name, "all");
    CHECK_INT(s->data.seed, 7);
    CHECK_INT(s->network.access.cell_clients, 25);
    CHECK_NEAR(s->network.server_bps[NET_UP], 5e9, 0);
    CHECK_INT(s->group[0].count, 30);
    CHECK_INT(s->group[1].first, 30);
    CHECK_INT(s->group[1].count, 20);
    CHECK_TRUE(!s->group[0].has_network && s->group[1].has_network);
    CHECK_STR(s->group[1].access.topology->name, "wired");
    CHECK_INT(s->model.costs.d_model, 768);
    CHECK_INT(s->model.lora.targets, LORA_Q | LORA_K | LORA_WO);
    CHECK_NEAR(s->federation.deadline_s, 120, 0);
    CHECK_INT(s->federation.local.local_steps, 4);
    CHECK_INT(s->federation.local.optimizer, LOCAL_ADAMW);
    CHECK_TRUE(s->federation.local.beta1 == 0.8f);
    CHECK_TRUE(s->federation.local.beta2 == 0.999f);
    CHECK_TRUE(s->federation.local.dropout == 0.2f);
    CHECK_NEAR(s->federation.server.momentum, 0.9, 0);
    CHECK_NEAR(scenario_payload_bytes(s, &s->model.costs, false, NET_DOWN), 2750000, 0);
    CHECK_NEAR(scenario_payload_bytes(s, &s->model.costs, false, NET_UP), 1, 0);
    CHECK_TRUE(!s->compute.is_profile && s->compute.fixed_s == 30);
    CHECK_INT(s->compute.chunk, 2);
    CHECK_INT(s->evaluate.samples, 50);
    CHECK_INT(s->data.n_test, 70);
    CHECK_STR(s->energy.per_bit.name, "v15");
    CHECK_STR(s->output.dir, FOLDER "/../out");
    scenario_close(s);
}

/* The study's sizes: 688,128 adapter values of FLAN-T5-Small, 787,868,672 values of Large with its
 * adapter. */
static void payloads_are_four_bytes_per_value(void)
{
    struct scenario *s = loaded("{\"model\": {\"costs_of\": \"flan-t5-small\"}}");
    if (s)
        CHECK_NEAR(scenario_payload_bytes(s, &s->model.costs, false, NET_UP), 4 * 688128.0, 0);
    scenario_close(s);
    s = loaded("{\"model\": {\"costs_of\": \"flan-t5-large\", \"train\": \"none\"}, "
               "\"federation\": {\"payload\": \"full\"}}");
    if (s)
        CHECK_NEAR(scenario_payload_bytes(s, &s->model.costs, false, NET_DOWN), 4 * 787868672.0, 0);
    if (s) /* T5 v1.0 and what goes by transformers 5: the head is the embedding, 32128 x 1024 */
        CHECK_NEAR(scenario_payload_bytes(s, &s->model.costs, true, NET_DOWN),
                   4 * (787868672.0 - 32899072.0), 0);
    scenario_close(s);
}

static void what_does_not_fit_together_is_refused_with_its_key(void)
{
    check_refused("{\"clients\": {\"count\": 5}, \"federation\": {\"clients_per_round\": 6}}",
                  "federation.clients_per_round: expected at most clients.count, 5, got 6");
    check_refused("{\"clients\": {\"groups\": [{\"name\": \"a\", \"share\": 0.5}]}}",
                  "clients.groups: expected shares that add up to 1, got 0.5");
    check_refused("{\"clients\": {\"groups\": [{\"name\": \"a\", \"share\": 0.5}, {\"name\": "
                  "\"b\", \"count\": 50}]}}",
                  "clients.groups[1].count: expected a share as in the first group, got a count");
    check_refused("{\"clients\": {\"count\": 9, \"groups\": [{\"name\": \"a\", \"count\": 10}]}}",
                  "clients.count: expected the sum of the groups' counts, 10, got 9");
    check_refused("{\"clients\": {\"groups\": [{\"name\": \"a\", \"share\": 0.999}, {\"name\": "
                  "\"b\", \"share\": 0.001}]}}",
                  "clients.groups[1].share: expected a share of at least one of 100 clients");
    check_refused("{\"clients\": {\"groups\": [{\"name\": \"a\", \"count\": 1}, {\"name\": \"a\", "
                  "\"count\": 1}]}}",
                  "clients.groups[1].name: expected a name of its own, got \"a\" twice");
    check_refused("{\"clients\": {\"groups\": []}}",
                  "clients.groups: expected 1..256 groups, got 0");
    check_refused("{\"clients\": {\"groups\": [7]}}",
                  "clients.groups[0]: expected an object { \"name\": ... }");
    check_refused("{\"data\": {\"skip_empty\": true}}",
                  "data.skip_empty: expected no such key with data.source builtin:dialogues");
    check_refused("{\"data\": {\"samples\": 99}}",
                  "data.samples: expected at least one per client (clients.count is 100), got 99");
    check_refused("{\"data\": {\"heldout\": 10}, \"evaluate\": {\"samples\": 11}}",
                  "evaluate.samples: expected at most data.heldout, 10, got 11");
    check_refused("{\"model\": {\"train\": \"none\"}, \"evaluate\": {\"every\": 1}}",
                  "evaluate.every: expected 0 with model.train none, got 1");
    check_refused("{\"data\": {\"validation\": \"v.jsonl\"}}",
                  "data.validation: expected no such key with data.source builtin:dialogues");
    check_refused("{\"data\": {\"test\": \"t.jsonl\"}}",
                  "data.test: expected no such key with data.source builtin:dialogues");
    check_refused("{\"data\": {\"source\": \"s.json\", \"test\": \"none.jsonl\"}}",
                  "data.test: no such file: " FOLDER "/none.jsonl");
    check_refused("{\"data\": {\"source\": \"s.json\"}, \"evaluate\": {\"test\": 3}}",
                  "evaluate.test: expected 0 without a file data.test, got 3");
    check_refused("{\"model\": {\"train\": \"none\"}, \"evaluate\": {\"test\": 1}}",
                  "evaluate.test: expected 0 with model.train none, got 1");
    check_refused("{\"data\": {\"source\": \"none.jsonl\"}}",
                  "data.source: no such file: " FOLDER "/none.jsonl");
    check_refused("{\"data\": {\"source\": \"builtin:other\"}}",
                  "data.source: expected \"builtin:dialogues\" or a path, got \"builtin:other\"");
    check_refused("{\"model\": {\"weights\": \"s.json\"}}",
                  "model.weights: expected a folder, got a file: " FILE_NAME);
    check_refused("{\"model\": {\"lora\": {\"targets\": [\"q\", \"q\"]}}}",
                  "model.lora.targets[1]: this target is there twice");
    check_refused("{\"model\": {\"lora\": {\"targets\": []}}}",
                  "model.lora.targets: expected at least one target");
    check_refused("{\"federation\": {\"payload\": {\"down\": \"0B\", \"up\": \"1B\"}}}",
                  "federation.payload.down: expected 1B..10TB, got \"0B\"");
    check_refused("{\"federation\": {\"payload\": {\"down\": \"1.5B\", \"up\": \"1B\"}}}",
                  "federation.payload.down: expected whole bytes, got 1.5");
    check_refused("{\"name\": \"a/b\"}",
                  "name: expected 1..64 printable letters without \"/\", got \"a/b\"");
    check_refused("{\"output\": {\"dir\": \"\"}}",
                  "output.dir: expected the name of a folder, got \"\"");
    check_refused("{\"compute\": {\"time\": \"3\"}}",
                  "compute.time: \"profile\" or a time: expected a time such as 50ms, got \"3\"");
}

static void names_that_are_not_there_earn_the_nearest(void)
{
    check_refused("{\"rouds\": 3}", "rouds: unknown key");
    check_refused("{\"federation\": {\"rouds\": 3}}",
                  "federation.rouds: unknown key, did you mean \"rounds\"?");
    check_refused("{\"clinets\": {}}", "clinets: unknown key, did you mean \"clients\"?");
    check_refused("{\"model\": {\"costs_of\": \"flan-t5-smal\"}}",
                  "model.costs_of: expected one of flan-t5-small, flan-t5-base, flan-t5-large, "
                  "flan-t5-xl, got "
                  "\"flan-t5-smal\", did you mean \"flan-t5-small\"?");
    check_refused("{\"energy\": {\"accounting\": \"paper-table2\"}}",
                  "energy.accounting: expected one of literal, paper-table1, got \"paper-table2\", did "
                  "you mean \"paper-table1\"?");
    check_refused("{\"model\": {\"train\": \"ful\"}}",
                  "model.train: expected one of lora, full, none, got \"ful\", did you mean \"full\"?");
}

/* Its constants were fitted to two devices, two networks and one set of J/bit. */
static void the_table_1_accounting_refuses_what_it_has_no_numbers_for(void)
{
#define REFUSED "energy.accounting: paper-table1: group clients: "
#define TABLE1 "\"energy\": {\"accounting\": \"paper-table1\"}"
    check_refused("{\"clients\": {\"device\": \"jetson-nano\"}, " TABLE1 "}",
                  REFUSED "expected devices a100-80gb or agx-orin-64gb (its T_comp is one constant "
                          "for each of them)");
    check_refused("{\"network\": {\"up\": \"15Mbps\"}, " TABLE1 "}",
                  REFUSED "expected lte with 40Mbps down and 10Mbps up (its T_comm knows no other)");
    check_refused("{\"network\": {\"topology\": \"wired\", \"down\": \"2Gbps\"}, " TABLE1 "}",
                  REFUSED "expected wired with 1Gbps each way (its T_comm knows no other)");
    check_refused("{\"energy\": {\"accounting\": \"paper-table1\", \"per_bit\": \"v15\"}}",
                  "energy.accounting: paper-table1 was fitted on energy.per_bit j16 and takes no other values");
#undef TABLE1
#undef REFUSED
}

/* One number of the scenario at both ends of its range, just outside them, and of the wrong kind.
 */
static void check_range(const char *before, const char *lo, const char *hi, const char *below,
                        const char *above, const char *after)
{
    const char *const values[] = {lo, hi, below, above, "\"x\""};
    for (int i = 0; i < 5; i++) {
        char text[600];
        struct scenario *s = NULL;
        struct err e = {0};
        if (!values[i])
            continue;
        snprintf(text, sizeof(text), "%s%s%s", before, values[i], after);
        enum err_code code = load(&s, text, &e);
        if (i < 2 && code)
            TEST_FAIL("%s: %s", text, e.text);
        if (i >= 2 && code != ERR_INPUT)
            TEST_FAIL("%s: was accepted", text);
        scenario_close(s);
    }
}

static void ranges_hold_at_both_ends(void)
{
    check_range("{\"seed\": ", "0", "9007199254740992", "-1", "9007199254740994", "}");
    check_range("{\"model\": {\"train\": \"none\"}, \"clients\": {\"count\": ", "1", "10000000",
                "0", "10000001", "}}");
    check_range("{\"federation\": {\"rounds\": ", "1", "1000000", "0", "1000001", "}}");
    check_range("{\"federation\": {\"clients_per_round\": ", "1", "100", "0", "101", "}}");
    check_range("{\"federation\": {\"local_steps\": ", "1", "10000", "0", "10001", "}}");
    check_range("{\"federation\": {\"batch\": ", "1", "4096", "0", "4097", "}}");
    check_range("{\"federation\": {\"client_lr\": ", "1e-9", "1000", "0", "1000.1", "}}");
    check_range("{\"federation\": {\"failure_rate\": ", "0", "1", "-0.1", "1.1", "}}");
    check_range("{\"federation\": {\"deadline\": ", "\"1ms\"", "\"1e9s\"", "\"0s\"", "\"1.1e9s\"",
                "}}");
    check_range("{\"federation\": {\"payload\": {\"up\": \"1B\", \"down\": ", "\"1B\"", "\"10TB\"",
                "\"0B\"", "\"11TB\"", "}}}");
    check_range("{\"federation\": {\"client\": {\"momentum\": ", "0", "0.999999", "-0.1", "1",
                "}}}");
    check_range("{\"federation\": {\"client\": {\"optimizer\": \"adamw\", \"epsilon\": ", "1e-12",
                "1", "0", "1.1", "}}}");
    check_range("{\"federation\": {\"client\": {\"max_grad_norm\": ", "0", "1e6", "-1", "1e7",
                "}}}");
    check_range("{\"model\": {\"train\": \"none\", \"lora\": {\"rank\": ", "1", "256", "0", "257", "}}}");
    check_range("{\"model\": {\"lora\": {\"rank\": ", "1", "128", NULL, "129", "}}}"); /* builtin:tiny's width */
    check_range("{\"model\": {\"lora\": {\"alpha\": ", "1e-6", "10000", "0", "10001", "}}}");
    check_range("{\"model\": {\"lora\": {\"dropout\": ", "0", "0.95", "-0.1", "0.96", "}}}");
    check_range("{\"model\": {\"dropout\": ", "0", "0.95", "-0.1", "0.96", "}}");
    check_range("{\"data\": {\"max_input\": ", "2", "8192", "1", "8193", "}}");
    check_range("{\"data\": {\"max_target\": ", "2", "8192", "1", "8193", "}}");
    check_range("{\"data\": {\"samples\": ", "100", "10000000", "0", "10000001", "}}");
    check_range("{\"data\": {\"heldout\": ", "1", "10000000", "0", "10000001", "}}");
    check_range("{\"data\": {\"split\": {\"kind\": \"dirichlet\", \"alpha\": ", "0.001", "1000000",
                "0", "1000001", "}}}");
    check_range("{\"compute\": {\"time\": ", "\"0s\"", "\"1e9s\"", "\"-1s\"", "\"2e9s\"", "}}");
    check_range("{\"compute\": {\"chunk\": ", "0", "10000000", "-1", "10000001", "}}");
    check_range("{\"evaluate\": {\"every\": ", "0", "1000000", "-1", "1000001", "}}");
    check_range("{\"evaluate\": {\"samples\": ", "1", "200", "0", "201", "}}");
    check_range("{\"evaluate\": {\"test\": ", "0", "10000000", "-1", "10000001", "}}");
    check_range("{\"evaluate\": {\"max_new_tokens\": ", "1", "1024", "0", "1025", "}}");
    check_range("{\"evaluate\": {\"batch\": ", "1", "4096", "0", "4097", "}}");
    check_range("{\"energy\": {\"carbon_g_per_kwh\": ", "0", "10000", "-1", "10001", "}}");
}

static void shares_are_dealt_out_by_largest_remainder(void)
{
    /* 10 clients: exactly 3.3, 3.3, 3.4; the odd one goes to the last. */
    struct scenario *s =
        loaded("{\"clients\": {\"count\": 10, \"groups\": [{\"name\": \"a\", \"share\": 0.33},"
               "{\"name\": \"b\", \"share\": 0.33}, {\"name\": \"c\", \"share\": 0.34}]}}");
    if (!s)
        return;
    CHECK_INT(s->group[0].count, 3);
    CHECK_INT(s->group[1].count, 3);
    CHECK_INT(s->group[2].count, 4);
    for (size_t client = 0; client < 10; client++)
        CHECK_STR(scenario_group_of(s, client)->name, client < 3 ? "a" : client < 6 ? "b" : "c");
    scenario_close(s);
}

static char *text_of(const struct scenario *s)
{
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    scenario_write(s, &o, true);
    json_out_end(&o, '}');
    return o.text;
}

/* Written, read again and written again: the same text. */
static void check_written(const char *path)
{
    struct scenario *first = NULL, *again = NULL;
    struct err e = {0};
    if (scenario_load(&first, path, 0, NULL, &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    char *one = text_of(first);
    if (load(&again, one, &e)) {
        TEST_FAIL("%s: written, then refused: %s", path, e.text);
    } else {
        char *two = text_of(again);
        CHECK_STR(two, one);
        mem_free(two);
    }
    mem_free(one);
    scenario_close(first);
    scenario_close(again);
}

static void shipped_scenarios_are_read_and_survive_being_written(void)
{
    static const char *const names[] = {"quickstart",
                                        "wired",
                                        "mixed",
                                        "lte-cell",
                                        "network-only",
                                        "optimizers/fedavg",
                                        "optimizers/fedavgm",
                                        "optimizers/fedadam",
                                        "optimizers/fedadamw"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[400];
        snprintf(path, sizeof(path), "%s/scenarios/%s.json", TEST_SOURCE, names[i]);
        check_written(path);
    }
}

static void without_output_the_folder_does_not_show(void)
{
    struct scenario *s = loaded("{\"output\": {\"dir\": \"somewhere\"}}");
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    scenario_write(s, &o, false);
    json_out_end(&o, '}');
    CHECK_TRUE(!strstr(o.text, "somewhere"));
    json_out_fini(&o);
    scenario_close(s);
}

static void write_file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), FOLDER "/%s", name);
    file_make_folder(FOLDER "/sub", NULL);
    file_replace(path, text, strlen(text), NULL);
}

static void files_and_assignments_lie_over_each_other(void)
{
    static const char *const sets[] = {"federation.rounds=4", "output.dir=here", "name=\"set\""};
    struct scenario *s = NULL;
    struct err e = {0};
    write_file("base.json", "{\"seed\": 3, \"federation\": {\"rounds\": 2, \"batch\": 5}, "
                            "\"output\": {\"dir\": \"b\"}}");
    write_file("sub/over.json", "{\"extends\": \"../base.json\", \"federation\": {\"rounds\": 3}}");
    CHECK_INT(scenario_load(&s, FOLDER "/sub/over.json", 0, NULL, &e), OK);
    CHECK_INT(s->seed, 3);
    CHECK_INT(s->federation.rounds, 3);
    CHECK_INT(s->federation.batch, 5);
    CHECK_STR(s->name, "over");
    CHECK_STR(s->output.dir, FOLDER "/sub/../b"); /* relative to the file that says it */
    scenario_close(s);
    CHECK_INT(scenario_load(&s, FOLDER "/sub/over.json", 3, sets, &e), OK);
    CHECK_INT(s->federation.rounds, 4);
    CHECK_STR(s->output.dir, "here");
    CHECK_STR(s->name, "set");
    scenario_close(s);
}

static void mistakes_name_the_file_they_stand_in(void)
{
    static const char *const set[] = {"federation.rounds=0"};
    struct scenario *s = NULL;
    struct err e = {0};
    write_file("base.json", "{\"federation\": {\"rounds\": 0}}");
    write_file("sub/over.json", "{\"extends\": \"../base.json\", \"federation\": {\"batch\": 5}}");
    CHECK_INT(scenario_load(&s, FOLDER "/sub/over.json", 0, NULL, &e), ERR_INPUT);
    CHECK_STR(e.text, FOLDER "/sub/../base.json: federation.rounds: expected 1..1000000, got 0");
    write_file("good.json", "{}");
    CHECK_INT(scenario_load(&s, FOLDER "/good.json", 1, set, &e), ERR_INPUT);
    CHECK_STR(e.text, "--set: federation.rounds: expected 1..1000000, got 0");
    CHECK_INT(scenario_load(&s, FOLDER "/none.json", 0, NULL, &e), ERR_INPUT);
    CHECK_STR(e.text, FOLDER "/none.json: no such file");
    write_file("list.json", "[]");
    CHECK_INT(scenario_load(&s, FOLDER "/list.json", 0, NULL, &e), ERR_INPUT);
    CHECK_STR(e.text, FOLDER "/list.json: expected an object { ... }");
}

static void chains_of_files_end(void)
{
    struct scenario *s = NULL;
    struct err e = {0};
    write_file("a.json", "{\"extends\": \"sub/b.json\"}");
    write_file("sub/b.json", "{\"extends\": \"../sub/../a.json\"}");
    CHECK_INT(scenario_load(&s, FOLDER "/a.json", 0, NULL, &e), ERR_INPUT);
    CHECK_HAS(e.text, FOLDER "/sub/b.json: extends: ");
    CHECK_HAS(e.text, "extends itself in the end");
    write_file("a.json", "{\"extends\": \"gone.json\"}");
    CHECK_INT(scenario_load(&s, FOLDER "/a.json", 0, NULL, &e), ERR_INPUT);
    CHECK_STR(e.text, FOLDER "/a.json: extends: no such file: " FOLDER "/gone.json");
    for (int i = 0; i < 17; i++) {
        char name[32], text[64];
        snprintf(name, sizeof(name), "c%d.json", i);
        snprintf(text, sizeof(text), i < 16 ? "{\"extends\": \"c%d.json\"}" : "{}", i + 1);
        write_file(name, text);
    }
    CHECK_INT(scenario_load(&s, FOLDER "/c0.json", 0, NULL, &e), ERR_INPUT);
    CHECK_HAS(e.text, "expected at most 16 files in a chain");
    CHECK_INT(scenario_load(&s, FOLDER "/c1.json", 0, NULL, &e), OK);
    scenario_close(s);
}

int main(void)
{
    CASE(an_empty_scenario_is_all_defaults);
    CASE(every_key_of_the_design_is_read);
    CASE(payloads_are_four_bytes_per_value);
    CASE(what_does_not_fit_together_is_refused_with_its_key);
    CASE(names_that_are_not_there_earn_the_nearest);
    CASE(the_table_1_accounting_refuses_what_it_has_no_numbers_for);
    CASE(ranges_hold_at_both_ends);
    CASE(shares_are_dealt_out_by_largest_remainder);
    CASE(shipped_scenarios_are_read_and_survive_being_written);
    CASE(without_output_the_folder_does_not_show);
    CASE(files_and_assignments_lie_over_each_other);
    CASE(mistakes_name_the_file_they_stand_in);
    CASE(chains_of_files_end);
    file_remove_tree(FOLDER, NULL);
    return test_end();
}
