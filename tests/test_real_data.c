/* Files as they are downloaded: SAMSum's layout, JSON Lines, real dialogues (MTS-Dialog), and the
 * recipe of scenarios/flan-t5-small.json with a model of FLAN-T5's vocabulary.
 * `test_real_data flan-t5-small` runs two rounds of that recipe with formula weights in the
 * published shape (minutes) and prints what was planned and what was used. */
#include "models/t5.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "tests/program.h"

#define MTS TEST_SHARED "/data/mts-dialog/"
#define SPIECE TEST_SHARED "/data/t5-tokenizer/spiece.model"
#define RECIPE TEST_SOURCE "/scenarios/flan-t5-small.json"

/* n samples of SAMSum's form, as an array or as lines; number `empty` has no dialogue. */
static void write_samples(const char *name, int n, int empty, bool is_array)
{
    struct arena a = {0};
    const char *text = is_array ? "[" : "";
    for (int i = 0; i < n; i++) {
        const char *talk =
            arena_printf(&a, "\"Ann: hi %d :)\\r\\nBob: can you come at %d?\\r\\nAnn: yes\"", i, i);
        const char *nothing = is_array ? "\"\"" : "null";
        const char *between = i == 0 ? "" : is_array ? ",\n" : "\n";
        text = arena_printf(&a,
                            "%s%s{\"id\": \"138%d\", \"summary\": \"Ann will come at %d.\", "
                            "\"dialogue\": %s}",
                            text, between, i, i, i == empty ? nothing : talk);
    }
    program_write(name, arena_printf(&a, "%s%s\n", text, is_array ? "]" : ""));
    arena_free(&a);
}

static int run_samples(const char *out, const char *sets)
{
    return program("run s.json --quiet --set output.dir=%s %s", out, sets);
}

static bool is_same(const char *a, const char *b)
{
    struct arena s = {0};
    const char *left = arena_strdup(&s, program_text(a)), *right = program_text(b);
    bool is = strlen(left) > 100 && strcmp(left, right) == 0;
    arena_free(&s);
    return is;
}

static void samsum_is_read_as_it_is_downloaded(void)
{
#define SKIP_EMPTY " --set data.skip_empty=true"
    program_write("s.json",
                  "{\"clients\": {\"count\": 3}, \"federation\": {\"rounds\": 2, \"batch\": 4,"
                  "\"clients_per_round\": 2}, \"evaluate\": {\"rouge\": false, \"every\": 1}}");
    write_samples("train.json", 30, 17, true);
    write_samples("train.jsonl", 30, 17, false);
    write_samples("val.json", 6, -1, true);
    write_samples("test.jsonl", 7, -1, false);
    CHECK_INT(run_samples("x", "--set data.source=train.json --set data.validation=val.json"), 2);
    CHECK_HAS(program_text("err.txt"), "train.json: [17].dialogue: expected some text, got none");
    CHECK_INT(program("run s.json --set data.source=train.json --set data.validation=val.json "
                      "--set output.dir=array" SKIP_EMPTY),
              0);
    CHECK_HAS(program_text("err.txt"),
              "29 training samples, 6 held out (1 without a text left out)");
    CHECK_INT(
        run_samples("lines",
                    "--set data.source=train.jsonl --set data.validation=val.json" SKIP_EMPTY),
        0);
    CHECK_TRUE(is_same("array/rounds.csv", "lines/rounds.csv"));
    CHECK_INT(
        run_samples("test",
                    "--set data.source=train.json --set data.validation=test.jsonl" SKIP_EMPTY),
        0);
    CHECK_TRUE(!is_same("array/rounds.csv", "test/rounds.csv"));
    CHECK_INT(run_samples("part", "--set data.source=train.json --set data.heldout=9" SKIP_EMPTY),
              0);
#undef SKIP_EMPTY
}

/* Doctors and patients, split by the section their talk belongs to. The built-in model has seen
 * nothing of the kind (loss 14), so what it learns first is how such text is spelt. */
static void real_dialogues_dealt_by_label_are_learned(void)
{
    SKIP_CASE_UNLESS(MTS "train.jsonl");
    program_write(
        "mts.json",
        "{\"clients\": {\"count\": 20}, \"model\": {\"dropout\": 0}, \"data\": {\"source\": \"" MTS
        "train.jsonl\", \"validation\": \"" MTS
        "val.jsonl\", \"max_input\": 96, \"max_target\": 32,"
        "\"split\": {\"kind\": \"dirichlet\", \"alpha\": 0.5}}, \"federation\": {\"rounds\": 6,"
        "\"clients_per_round\": 4, \"batch\": 4, \"local_steps\": 2, \"client_lr\": 0.5,"
        "\"server\": {\"optimizer\": \"fedadamw\", \"lr\": 0.02}}, \"evaluate\": {\"every\": 3,"
        "\"samples\": 40, \"rouge\": false}, \"output\": {\"dir\": \"mts\"}}");
    if (program("run mts.json") != 0)
        TEST_FAIL("%s", program_text("err.txt"));
    CHECK_HAS(program_text("err.txt"), "1201 training samples, 100 held out");
    struct csv *c = program_csv("mts/rounds.csv");
    double first = 0, middle = program_cell(c, 2, "eval_loss"),
           last = program_cell(c, 5, "eval_loss");
    struct json_doc *doc = NULL;
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/mts/summary.json", NULL), OK);
    CHECK_INT(json_double(json_root(doc), "first_eval_loss", 0, 100, NULL, &first, NULL), OK);
    printf("  evaluation loss %.3f, %.3f, %.3f\n", first, middle, last);
    CHECK_TRUE(middle < 0.8 * first && last < middle);
    CHECK_TRUE(program_cell(c, 5, "train_loss") < program_cell(c, 0, "train_loss"));
    json_close(doc);
    csv_close(c);
}

/* A folder m with formula weights and T5's own tokenizer. */
static void write_model(const struct t5_config *config)
{
    struct err e = {0};
    struct t5 *m = NULL;
    struct file f = {0};
    CHECK_INT(file_make_folder(PROGRAM_DIR "/m", &e), OK);
    CHECK_INT(t5_open_formula(&m, backend_find("cpu"), config, &e), OK);
    CHECK_INT(t5_save(m, PROGRAM_DIR "/m", WEIGHTS_BF16, &e), OK);
    t5_close(m);
    CHECK_INT(file_map(&f, SPIECE, &e), OK);
    CHECK_INT(file_replace(PROGRAM_DIR "/m/spiece.model", f.bytes, f.n_bytes, &e), OK);
    file_unmap(&f);
}

static void the_flan_t5_recipe_needs_a_folder_and_a_file(void)
{
    CHECK_INT(program("run '" RECIPE "'"), 2);
    CHECK_HAS(program_text("err.txt"), "flan-t5-small.json: model.weights: no such folder: ");
    SKIP_CASE_UNLESS(SPIECE);
    SKIP_CASE_UNLESS(MTS "train.jsonl");
    const struct t5_config config = {32128, 16, 4, 32, 2, 2, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
    write_model(&config);
    CHECK_INT(program("run '" RECIPE "' --set model.weights=m"), 2);
    CHECK_HAS(program_text("err.txt"), "flan-t5-small.json: data.source: no such file: ");
    /* the recipe, and what makes it short */
    if (program("run '" RECIPE "' --set model.weights=m --set data.source='" MTS "train.jsonl' "
                "--set federation.rounds=1 --set evaluate.samples=4 "
                "--set evaluate.max_new_tokens=4 --set output.dir=flan") != 0)
        TEST_FAIL("%s", program_text("err.txt"));
    CHECK_HAS(program_text("flan/summary.json"), "\"costs_of\": \"flan-t5-small\"");
    CHECK_HAS(program_text("flan/summary.json"), "\"payload_down_bytes\": 2752512");
    CHECK_TRUE(file_exists(PROGRAM_DIR "/flan/adapter/adapter_model.safetensors"));
}

static int run_published_shape(const char *name)
{
    struct t5_config config;
    struct err e = {0};
    if (t5_config_named(&config, name, &e)) {
        printf("%s\n", e.text);
        return 2;
    }
    program_begin();
    write_model(&config);
    int status =
        program("run '" RECIPE "' --set model.weights=m --set data.source='" MTS
                "train.jsonl' --set model.costs_of=%s --set federation.rounds=2 --set "
                "evaluate.samples=16 --set evaluate.max_new_tokens=16 --set output.dir=flan",
                name);
    printf("%s", program_text("err.txt")); /* one buffer for all texts */
    printf("%s", program_text("out.txt"));
    printf("%s", program_text("flan/performance.json"));
    program_end();
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run_published_shape(argv[1]);
    program_begin();
    CASE(samsum_is_read_as_it_is_downloaded);
    CASE(real_dialogues_dealt_by_label_are_learned);
    CASE(the_flan_t5_recipe_needs_a_folder_and_a_file);
    program_end();
    return test_end();
}
