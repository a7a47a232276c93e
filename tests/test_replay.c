/* Replay: the same scenario gives the same bytes, run again and with any number of workers; an interrupted run
 * leaves complete rounds. */
#include <signal.h>

#include "sim/base/json.h"
#include "tests/program.h"

static const char *const FILES[] = {"rounds.csv", "clients.csv", "elements.csv", "samples.csv",
                                    "summary.json", "scenario.json",
                                    "columns.json", "trace.json", "emissions.csv"};

/* Two folders of results hold the same bytes. */
static void check_same(const char *a, const char *b)
{
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        char left[512], right[512];
        snprintf(left, sizeof(left), PROGRAM_DIR "/%s/%s", a, FILES[i]);
        snprintf(right, sizeof(right), PROGRAM_DIR "/%s/%s", b, FILES[i]);
        struct file x = {0}, y = {0};
        struct err e = {0};
        if (file_map(&x, left, &e) || file_map(&y, right, &e))
            TEST_FAIL("%s", e.text);
        else if (x.n_bytes != y.n_bytes || memcmp(x.bytes, y.bytes, x.n_bytes) != 0)
            TEST_FAIL("%s and %s differ", left, right);
        CHECK_TRUE(x.n_bytes > 0);
        file_unmap(&x);
        file_unmap(&y);
    }
}

static int quickstart(const char *out, int workers, const char *more)
{
    return program("run '" TEST_SOURCE "/scenarios/quickstart.json' --quiet --no-cache --set output.dir=%s "
                   "--workers %d --set federation.rounds=3 --set evaluate.every=2 "
                   "--set evaluate.samples=12 %s",
                   out, workers, more);
}

static void the_same_scenario_gives_the_same_bytes(void)
{
    CHECK_INT(quickstart("two", 2, ""), 0);
    CHECK_INT(quickstart("again", 2, ""), 0);
    check_same("two", "again");
}

static void the_number_of_workers_changes_no_byte(void)
{
    CHECK_INT(quickstart("one", 1, ""), 0);
    CHECK_INT(quickstart("four", 4, ""), 0);
    check_same("two", "one");
    check_same("two", "four");
}

static double total(const char *folder, const char *figure)
{
    char path[256];
    struct json_doc *doc = NULL;
    struct err e = {0};
    double v = -1;
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s/summary.json", folder);
    if (json_load(&doc, path, &e) || json_double(json_root(doc), figure, 0, 100, NULL, &v, &e))
        TEST_FAIL("%s", e.text);
    json_close(doc);
    return v;
}

static void a_test_set_is_judged_at_the_end_and_changes_no_round(void)
{
    CHECK_INT(quickstart("tested", 2, "--set evaluate.test=9"), 0);
    CHECK_INT(quickstart("blind", 1, "--set evaluate.test=9 --set evaluate.every=0"), 0);
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/quickstart.json' --set output.dir=loud --set "
                      "federation.rounds=1 --set evaluate.every=0 --set evaluate.test=2"),
              0);
    CHECK_HAS(program_text("out.txt"), "test set: loss ");
    static const char *const same[] = {"rounds.csv", "samples.csv"};
    for (int i = 0; i < 2; i++) {
        char left[64], right[64];
        snprintf(left, sizeof(left), "two/%s", same[i]);
        snprintf(right, sizeof(right), "tested/%s", same[i]);
        char *of_two = strdup(program_text(left));
        CHECK_STR(program_text(right), of_two);
        free(of_two);
    }
    static const char *const FIGURES[] = {"test_loss",   "test_rouge1",    "test_rouge2",
                                          "test_rougeL", "test_rougeLsum", "test_fact_recall"};
    for (size_t i = 0; i < sizeof(FIGURES) / sizeof(FIGURES[0]); i++)
        CHECK_NEAR(total("blind", FIGURES[i]), total("tested", FIGURES[i]), 0);
    CHECK_TRUE(total("tested", "test_loss") != total("tested", "last_eval_loss"));
    CHECK_HAS(program_text("two/summary.json"), "\"test_loss\": null");
}

/* The same file for both: the figures must be the same, and a file gives no more than it has. */
static void a_test_file_is_judged_like_a_validation_file(void)
{
    program_write("few.jsonl", "{\"dialogue\": \"Mia: Hi\", \"summary\": \"Mia says hi.\"}\n"
                               "{\"dialogue\": \"Leo: Bye\", \"summary\": \"Leo leaves.\"}\n");
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/quickstart.json' --quiet --set output.dir=file --set "
                      "federation.rounds=2 --set clients.count=2 --set 'data={\"source\": "
                      "\"few.jsonl\", \"validation\": \"few.jsonl\", \"test\": "
                      "\"few.jsonl\"}' --set federation.clients_per_round=2"),
              0);
    CHECK_NEAR(total("file", "test_loss"), total("file", "last_eval_loss"), 0);
    CHECK_NEAR(total("file", "test_rougeL"), total("file", "last_rougeL"), 0);
}

static void samples_shows_first_and_last_texts(void)
{
    CHECK_INT(program("samples two --count 2"), 0);
    const char *said = program_text("out.txt");
    CHECK_HAS(said, "reference");
    CHECK_HAS(said, "round 0");
    CHECK_HAS(said, "round 3");
    CHECK_HAS(said, "sample 1");
    CHECK_TRUE(!strstr(said, "sample 2"));
    CHECK_INT(program("samples nowhere"), 2);
    CHECK_HAS(program_text("err.txt"), "nowhere/samples.csv");
}

static void another_seed_gives_another_run(void)
{
    CHECK_INT(quickstart("seven", 2, "--seed 7 --set evaluate.every=0"), 0);
    struct csv *a = program_csv("two/rounds.csv"), *b = program_csv("seven/rounds.csv");
    CHECK_TRUE(program_cell(a, 0, "train_loss") != program_cell(b, 0, "train_loss"));
    csv_close(a);
    csv_close(b);
}

static void training_in_chunks_changes_results_by_rounding_only(void)
{
    CHECK_INT(quickstart("chunks", 2, "--set compute.chunk=3 --set evaluate.every=0"), 0);
    struct csv *a = program_csv("two/rounds.csv"), *b = program_csv("chunks/rounds.csv");
    for (size_t i = 0; i < csv_rows(a); i++) {
        CHECK_REL(program_cell(b, i, "train_loss"), program_cell(a, i, "train_loss"), 1e-3);
        CHECK_NEAR(program_cell(b, i, "duration_s"), program_cell(a, i, "duration_s"), 0);
    }
    csv_close(a);
    csv_close(b);
}

/* At this rate of the server's rounding stays rounding. */
static void parts_for_several_gpus_change_results_by_rounding_only(void)
{
    const char *more = "--set evaluate.every=0 --set federation.server.lr=1e-5";
    char parts[256];
    CHECK_INT(quickstart("whole", 2, more), 0);
    snprintf(parts, sizeof(parts), "--gpus 3 %s", more);
    CHECK_INT(quickstart("parts", 2, parts), 0);
    CHECK_INT(quickstart("parts-1", 1, parts), 0);
    check_same("parts", "parts-1");
    CHECK_HAS(program_text("parts/scenario.json"), "\"gpus\": 3");
    struct csv *a = program_csv("whole/rounds.csv"), *b = program_csv("parts/rounds.csv");
    CHECK_INT(csv_rows(b), 3);
    for (size_t i = 0; i < csv_rows(a); i++) {
        CHECK_REL(program_cell(b, i, "train_loss"), program_cell(a, i, "train_loss"), 1e-5);
        CHECK_NEAR(program_cell(b, i, "duration_s"), program_cell(a, i, "duration_s"), 0);
    }
    csv_close(a);
    csv_close(b);
}

/* Three clients have no four parts; a limit on memory cuts each part further. */
static void a_run_says_what_trains_which_part(void)
{
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/quickstart.json' --backend cpu --no-cache --set output.dir=few "
                      "--gpus 4 --set federation.clients_per_round=3 --set federation.rounds=1 "
                      "--set evaluate.every=0 --set compute.memory=80MB"),
              0);
    CHECK_HAS(program_text("err.txt"), "compute.gpus: the CPU trains a cohort's 3 parts one after another");
    CHECK_HAS(program_text("err.txt"), "(1 client at a time)");
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/quickstart.json' --gpus 65"), 2);
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/quickstart.json' --set compute.gpus=0"), 2);
    CHECK_HAS(program_text("err.txt"), "compute.gpus: expected 1..64, got 0");
}

/* A pass of three clients takes 60 MiB, one of two 42. */
static void a_limit_on_memory_cuts_the_cohort(void)
{
    CHECK_INT(quickstart("pairs", 2, "--set compute.chunk=2 --set evaluate.every=0"), 0);
    CHECK_INT(quickstart("limit", 2, "--set compute.memory=52MB --set evaluate.every=0"), 0);
    struct csv *a = program_csv("pairs/rounds.csv"), *b = program_csv("limit/rounds.csv");
    for (size_t i = 0; i < csv_rows(a); i++)
        CHECK_NEAR(program_cell(b, i, "train_loss"), program_cell(a, i, "train_loss"), 0);
    csv_close(a);
    csv_close(b);
    CHECK_INT(quickstart("limit", 2, "--set compute.memory=1MB --set evaluate.every=0"), 2);
    CHECK_HAS(program_text("err.txt"), "needs");
    CHECK_HAS(program_text("err.txt"), "compute.memory allows 1 MiB");
}

/* Interrupted as soon as its first round is on the screen. */
static void ctrl_c_leaves_complete_rounds_and_exit_130(void)
{
    int status = program("run '" TEST_SOURCE "/scenarios/quickstart.json' --set output.dir=c --set "
                         "federation.rounds=100000 --set evaluate.every=0 >seen.txt 2>err.txt & pid=$!; "
                         "i=0; until grep -qs '^ *1 ' seen.txt || [ $i -ge 600 ]; do sleep 0.1; "
                         "i=$((i + 1)); done; kill -INT $pid; wait $pid");
    CHECK_INT(status, 130);
    struct csv *r = program_csv("c/rounds.csv");
    CHECK_TRUE(csv_rows(r) >= 1);
    CHECK_HAS(program_text("c/summary.json"), "\"outcome\": \"interrupted\"");
    csv_close(r);
}

/* The folder still holds what ctrl_c_leaves_complete_rounds_and_exit_130 wrote. */
static void an_interrupted_first_round_leaves_the_former_results(void)
{
    int status = program("run '" TEST_SOURCE "/scenarios/quickstart.json' --set output.dir=c --set "
                         "federation.clients_per_round=60 --set evaluate.every=0 >seen.txt 2>said.txt & "
                         "pid=$!; i=0; until ls -d c.part-* >ls.txt 2>&1 || [ $i -ge 1200 ]; do sleep 0.05; "
                         "i=$((i + 1)); done; kill -TERM $pid; wait $pid");
    CHECK_INT(status, 130);
    CHECK_HAS(program_text("said.txt"), "nothing is written");
    struct csv *r = program_csv("c/rounds.csv");
    CHECK_TRUE(csv_rows(r) >= 1);
    csv_close(r);
    CHECK_INT(program("--version; ls -d c.*"), 2); /* ls: no such file */
}

static void rounds_without_a_result_leave_the_model_as_it_was(void)
{
    CHECK_INT(quickstart("none", 2, "--set federation.failure_rate=1 --set evaluate.every=1 --set "
                                    "data.samples=400 --set evaluate.rouge=false"),
              0);
    struct csv *r = program_csv("none/rounds.csv");
    CHECK_INT(csv_rows(r), 3);
    for (size_t i = 0; i < csv_rows(r); i++) {
        CHECK_INT(program_cell(r, i, "arrived"), 0);
        CHECK_STR(program_word(r, i, "train_loss"), "");
        CHECK_NEAR(program_cell(r, i, "eval_loss"), program_cell(r, 0, "eval_loss"), 0);
    }
    CHECK_HAS(program_text("none/summary.json"), "\"rounds_without_result\": 3");
    csv_close(r);
}

static void training_that_diverges_is_said_and_recorded(void)
{
    CHECK_INT(quickstart("wild", 2, "--set data.samples=400 --set evaluate.every=0 --set "
                                    "federation.server.lr=1000000"),
              0);
    CHECK_HAS(program_text("err.txt"), "warning: round 2: training diverged");
    CHECK_HAS(program_text("wild/summary.json"), "\"outcome\": \"diverged\"");
    CHECK_HAS(program_text("two/summary.json"), "\"outcome\": \"complete\"");
}

/* With alpha 0.01 most of 100 clients hold none of 120 samples. */
static void a_client_without_samples_drops_out_at_once(void)
{
    CHECK_INT(quickstart("empty", 2, "--set data.samples=120 --set data.split.alpha=0.01 --set "
                                     "data.split.allow_empty=true --set evaluate.every=0"),
              0);
    struct csv *c = program_csv("empty/clients.csv"), *r = program_csv("empty/rounds.csv");
    int n = 0, n_ok = 0;
    for (size_t i = 0; i < csv_rows(c); i++) {
        bool is_ok = strcmp(program_word(c, i, "status"), "ok") == 0;
        n_ok += is_ok;
        if (is_ok)
            continue;
        n++;
        CHECK_STR(program_word(c, i, "status"), "dropped");
        CHECK_INT(program_cell(c, i, "samples"), 0);
        CHECK_INT(program_cell(c, i, "bytes_up"), 0);
    }
    CHECK_TRUE(n > 0 && n_ok > 0);
    CHECK_INT(program_cell(r, 0, "arrived") + program_cell(r, 1, "arrived") + program_cell(r, 2, "arrived"),
              n_ok);
    csv_close(c);
    csv_close(r);
}

int main(void)
{
    program_begin();
    CASE(the_same_scenario_gives_the_same_bytes);
    CASE(the_number_of_workers_changes_no_byte);
    CASE(a_test_set_is_judged_at_the_end_and_changes_no_round);
    CASE(a_test_file_is_judged_like_a_validation_file);
    CASE(samples_shows_first_and_last_texts);
    CASE(another_seed_gives_another_run);
    CASE(training_in_chunks_changes_results_by_rounding_only);
    CASE(parts_for_several_gpus_change_results_by_rounding_only);
    CASE(a_run_says_what_trains_which_part);
    CASE(a_limit_on_memory_cuts_the_cohort);
    CASE(ctrl_c_leaves_complete_rounds_and_exit_130);
    CASE(an_interrupted_first_round_leaves_the_former_results);
    CASE(rounds_without_a_result_leave_the_model_as_it_was);
    CASE(a_client_without_samples_drops_out_at_once);
    CASE(training_that_diverges_is_said_and_recorded);
    program_end();
    return test_end();
}
