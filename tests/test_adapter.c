/* Adapters as folders: what a run writes another run starts from; merged, they give what they gave
 * beside the model. */
#include "models/peft.h"
#include "models/t5.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "tests/program.h"

enum { VOCAB = 50, N_SEQS = 3, N_IN = 14, N_OUT = 6 };

static const struct t5_config config = {VOCAB, 24, 5, 28, 4, 2, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
static const struct lora_spec spec = {.rank = 3, .alpha = 5, .targets = (1u << N_LORA_TARGETS) - 1};

static void score(const struct t5 *m, const struct lora_layout *l, const float *adapter,
                  double nll[N_SEQS])
{
    struct err e = {0};
    struct pack *p = NULL;
    struct t5_work *w = NULL;
    void *x = NULL;
    const struct t5_limits limits = {1, N_SEQS, N_SEQS * N_IN, N_SEQS * N_OUT, 0, 0};
    CHECK_INT(pack_open(&p, 1, N_SEQS, N_SEQS * N_IN, N_SEQS * N_OUT, &e), OK);
    CHECK_INT(t5_work_open(&w, m, T5_INFER, l, &limits, 1, &e), OK);
    pack_clear(p, config.start_id);
    pack_member(p, 0);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        int32_t in[N_IN], out[N_OUT];
        for (uint32_t i = 0; i < N_IN; i++)
            in[i] = (int32_t)rng_below(5, RNG_ORDER, s, i, VOCAB);
        for (uint32_t i = 0; i < N_OUT; i++)
            out[i] = (int32_t)rng_below(5, RNG_PICK, s, i, VOCAB);
        CHECK_TRUE(pack_add(p, in, N_IN, out, N_OUT));
    }
    pack_finish(p);
    struct backend *b = t5_work_backend(w);
    if (adapter) {
        CHECK_INT(b->ops->alloc(b, &x, l->size * sizeof(float), "an adapter", &e), OK);
        b->ops->set(b, x, adapter, l->size * sizeof(float));
    }
    const struct t5_pass pass = {.pack = p, .adapters = x};
    CHECK_INT(t5_score(w, &pass, nll, &e), OK);
    b->ops->free(b, x);
    t5_work_close(w);
    pack_close(p);
}

static void a_merged_model_gives_what_model_and_adapter_gave(void)
{
    struct err e = {0};
    struct t5 *m = NULL;
    struct lora_layout l;
    double beside[N_SEQS], merged[N_SEQS], bare[N_SEQS];
    CHECK_INT(t5_open_random(&m, backend_find("cpu"), &config, 5, &e), OK);
    lora_layout_init(&l, &config, &spec);
    float *adapter = malloc(l.size * sizeof(*adapter));
    for (size_t i = 0; i < l.size; i++)
        adapter[i] = (float)(0.2 * rng_normal(9, RNG_SPLIT, 0, i));
    score(m, &l, adapter, beside);
    score(m, NULL, NULL, bare);
    struct hash128 before = t5_hash(m);
    CHECK_INT(t5_merge(m, &l, adapter, &e), OK);
    struct hash128 after = t5_hash(m);
    CHECK_TRUE(memcmp(&before, &after, sizeof(before)) != 0);
    score(m, NULL, NULL, merged);
    for (int s = 0; s < N_SEQS; s++) {
        CHECK_REL(merged[s], beside[s], 1e-5);
        CHECK_TRUE(fabs(bare[s] - beside[s]) > 1e-3 * beside[s]);
    }
    free(adapter);
    lora_layout_fini(&l);
    t5_close(m);
}

#define SMALL                                                                                      \
    "run s.json --quiet --set output.dir=%s --set federation.rounds=%d --set evaluate.every=%d "   \
    "%s "

static double cell(const char *table, size_t row, const char *column)
{
    struct csv *c = program_csv(table);
    double v = program_cell(c, row, column);
    csv_close(c);
    return v;
}

static void write_scenario(void)
{
    program_write(
        "s.json",
        "{ \"clients\": { \"count\": 3 }, \"model\": { \"costs_of\": \"flan-t5-small\", "
        "\"lora\": { \"rank\": 4, \"alpha\": 8 } }, \"data\": { \"samples\": 60, "
        "\"heldout\": 8 }, \"federation\": { \"clients_per_round\": 2, \"batch\": 2, "
        "\"server\": { \"optimizer\": \"fedavg\" } }, \"evaluate\": { \"rouge\": false } }");
}

static bool is_same(const char *a, const char *b)
{
    struct file x = {0}, y = {0};
    char left[256], right[256];
    snprintf(left, sizeof(left), PROGRAM_DIR "/%s", a);
    snprintf(right, sizeof(right), PROGRAM_DIR "/%s", b);
    bool is = !file_map(&x, left, NULL) && !file_map(&y, right, NULL) && x.n_bytes == y.n_bytes &&
              memcmp(x.bytes, y.bytes, x.n_bytes) == 0;
    file_unmap(&x);
    file_unmap(&y);
    return is;
}

static void a_run_writes_its_adapter_at_the_end_and_every_n_rounds(void)
{
    CHECK_INT(program(SMALL, "four", 4, 0, "--workers 1 --set output.adapter_every=2"), 0);
    CHECK_INT(program(SMALL, "two", 2, 0, "--workers 2"), 0);
    CHECK_TRUE(is_same("four/adapter/round-2/adapter_model.safetensors",
                       "two/adapter/adapter_model.safetensors"));
    CHECK_TRUE(is_same("four/adapter/round-4/adapter_model.safetensors",
                       "four/adapter/adapter_model.safetensors"));
    CHECK_TRUE(!is_same("four/adapter/adapter_model.safetensors",
                        "two/adapter/adapter_model.safetensors"));
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/four/adapter/round-1"));
    CHECK_HAS(program_text("four/adapter/README.md"), "library_name\": \"peft\"");
    CHECK_HAS(program_text("four/adapter/README.md"), "after round 4 of 4");
    CHECK_HAS(program_text("four/adapter/adapter_config.json"), "\"r\": 4");
}

/* With round 0 evaluated: the loss at the start is that at the former run's end. */
static void a_run_starts_from_an_adapter(void)
{
    CHECK_INT(program(SMALL, "first", 2, 2, ""), 0);
    CHECK_INT(program(SMALL, "next", 1, 1, "--set model.adapter=first/adapter"), 0);
    double end = cell("first/rounds.csv", 1, "eval_loss");
    CHECK_HAS(program_text("next/summary.json"), "first_eval_loss");
    struct json_doc *doc = NULL;
    double start = 0;
    struct err e = {0};
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/next/summary.json", &e), OK);
    CHECK_INT(json_double(json_root(doc), "first_eval_loss", 0, 100, NULL, &start, &e), OK);
    json_close(doc);
    CHECK_NEAR(start, end, 0);
    /* its own scenario.json names the adapter and can be run again */
    CHECK_INT(program("run next/scenario.json --quiet --no-cache --set output.dir=again"), 0);
    CHECK_TRUE(is_same("next/rounds.csv", "again/rounds.csv"));
}

static double first_loss(const char *folder)
{
    struct json_doc *doc = NULL;
    double v = (double)NAN;
    struct err e = {0};
    char path[256];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s/summary.json", folder);
    if (json_load(&doc, path, &e) || json_double(json_root(doc), "first_eval_loss", 0, 100, NULL, &v, &e))
        TEST_FAIL("%s", e.text);
    json_close(doc);
    return v;
}

/* Evaluated at rounds 1 to 4, with adapters after 2 and 4: each is where a further run begins. */
static void a_run_starts_from_the_adapter_of_any_round(void)
{
    CHECK_INT(program(SMALL, "kept", 4, 1, "--set output.adapter_every=2"), 0);
    CHECK_INT(program(SMALL, "from2", 1, 1, "--set model.adapter=kept/adapter/round-2"), 0);
    CHECK_INT(program(SMALL, "from4", 1, 1, "--set model.adapter=kept/adapter/round-4"), 0);
    double loss[2] = {cell("kept/rounds.csv", 1, "eval_loss"), cell("kept/rounds.csv", 3, "eval_loss")};
    CHECK_NEAR(first_loss("from2"), loss[0], 0);
    CHECK_NEAR(first_loss("from4"), loss[1], 0);
    CHECK_TRUE(loss[0] != loss[1]);
    CHECK_HAS(program_text("kept/adapter/round-2/README.md"), "after round 2 of 4");
}

/* Killed with rounds under way, again and again at another moment: the results' folder is not there, and every
 * adapter that lies under its name, in the folder that was being made, is whole. */
static void a_killed_run_leaves_no_half_of_an_adapter(void)
{
    for (int k = 0; k < 4; k++) {
        int status = program("run s.json --quiet --no-cache --set output.dir=killed --set federation.rounds=100000 "
                             "--set evaluate.every=0 --set output.adapter_every=1 & pid=$!; i=0; "
                             "until ls -d killed.part-*/adapter/round-%d >ls.txt 2>&1 || [ $i -ge 600 ]; do sleep "
                             "0.05; i=$((i + 1)); done; sleep 0.0%d; kill -KILL $pid; wait $pid",
                             2 + 3 * k, 3 * k);
        CHECK_INT(status, 137);
        CHECK_TRUE(!file_exists(PROGRAM_DIR "/killed"));
        status = program("--version >version.txt; n=0; for d in killed.part-*/adapter/round-*; do [ -d \"$d\" ] || continue; "
                         "n=$((n + 1)); [ -s \"$d/adapter_model.safetensors\" ] && [ -s "
                         "\"$d/adapter_config.json\" ] && [ -s \"$d/README.md\" ] || exit 3; done; [ $n -ge 2 ]");
        CHECK_INT(status, 0);
        CHECK_INT(program("--version >version.txt; rm -rf killed.part-*"), 0);
    }
}

/* One client alone: its product is the mean, so the factors differ and the model does not. */
static void products_may_be_averaged_in_place_of_factors(void)
{
    const char *one = "--set federation.clients_per_round=1";
    CHECK_INT(program(SMALL "%s", "factors", 1, 1, "", one), 0);
    CHECK_INT(
        program(SMALL "%s", "products", 1, 1, "--set federation.server.average=products", one), 0);
    CHECK_TRUE(!is_same("factors/adapter/adapter_model.safetensors",
                        "products/adapter/adapter_model.safetensors"));
    CHECK_REL(cell("products/rounds.csv", 0, "eval_loss"),
              cell("factors/rounds.csv", 0, "eval_loss"), 1e-5);
    CHECK_INT(program(SMALL, "a", 3, 0, "--set federation.server.average=products"), 0);
    CHECK_INT(program(SMALL, "b", 3, 0, "--workers 1 --set federation.server.average=products"), 0);
    CHECK_TRUE(
        is_same("a/adapter/adapter_model.safetensors", "b/adapter/adapter_model.safetensors"));
    CHECK_INT(program(SMALL, "x", 3, 3, "--set 'federation.server={\"average\": \"products\"}'"),
              2);
    CHECK_HAS(program_text("err.txt"), "federation.server.average: expected \"factors\" with "
                                       "optimizer \"fedadamw\"");
}

static void an_adapter_that_does_not_fit_is_refused(void)
{
    CHECK_INT(
        program(SMALL, "x", 1, 0, "--set model.adapter=first/adapter --set model.lora.rank=8"), 2);
    CHECK_HAS(program_text("err.txt"),
              "model.lora.rank: expected 4, as model.adapter has it, got 8");
    CHECK_INT(program(SMALL, "x", 1, 0, "--set model.adapter=none"), 2);
    CHECK_HAS(program_text("err.txt"), "model.adapter: no such folder: none");
    CHECK_INT(program(SMALL, "x", 1, 0,
                      "--set model.adapter='" TEST_VECTORS "/t5/tiny/adapter' --set "
                      "model.lora=null"),
              2);
    CHECK_HAS(program_text("err.txt"), "adapter_model.safetensors");
    CHECK_INT(program(SMALL, "x", 1, 0, "--set model.train=none --set output.adapter_every=1"), 2);
    CHECK_HAS(program_text("err.txt"), "output.adapter_every: expected 0 with model.train none");
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/x"));
}

static void a_merged_folder_is_a_model_to_run(void)
{
    CHECK_INT(program("merge first/adapter --weights builtin:tiny --out merged"), 0);
    CHECK_STR(program_text("out.txt"), "merged\n");
    CHECK_TRUE(file_exists(PROGRAM_DIR "/merged/spiece.model"));
    CHECK_INT(program(SMALL, "on", 1, 1, "--set model.weights=merged"), 0);
    struct json_doc *doc = NULL;
    double start = 0;
    struct err e = {0};
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/on/summary.json", &e), OK);
    CHECK_INT(json_double(json_root(doc), "first_eval_loss", 0, 100, NULL, &start, &e), OK);
    json_close(doc);
    CHECK_REL(start, cell("first/rounds.csv", 1, "eval_loss"), 1e-5);
}

static void merge_refuses_what_it_cannot_do(void)
{
    CHECK_INT(program("merge first/adapter --weights builtin:tiny --out merged"), 2);
    CHECK_HAS(program_text("err.txt"), "--out: expected a new or an empty folder, got merged");
    CHECK_INT(program("merge first/adapter --weights builtin:tiny"), 2);
    CHECK_HAS(program_text("err.txt"), "merge: expected --out DIR");
    CHECK_INT(program("merge first --weights builtin:tiny --out y"), 2);
    CHECK_HAS(program_text("err.txt"), "adapter_config.json: no such file");
    CHECK_INT(program("merge first/adapter --weights builtin:tiny --out y --type int8"), 2);
    CHECK_HAS(program_text("err.txt"), "--type: expected f32, bf16 or f16, got \"int8\"");
    CHECK_INT(program("merge '" TEST_VECTORS "/t5/skew/adapter' --weights '" TEST_VECTORS
                      "/t5/tiny/model' --out y"),
              2);
    CHECK_HAS(program_text("err.txt"), "expected the 24 tensors of an adapter for this model, got 20");
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/y"));
}

int main(void)
{
    program_begin();
    write_scenario();
    CASE(a_merged_model_gives_what_model_and_adapter_gave);
    CASE(a_run_writes_its_adapter_at_the_end_and_every_n_rounds);
    CASE(a_run_starts_from_an_adapter);
    CASE(a_run_starts_from_the_adapter_of_any_round);
    CASE(a_killed_run_leaves_no_half_of_an_adapter);
    CASE(products_may_be_averaged_in_place_of_factors);
    CASE(an_adapter_that_does_not_fit_is_refused);
    CASE(a_merged_folder_is_a_model_to_run);
    CASE(merge_refuses_what_it_cannot_do);
    program_end();
    return test_end();
}
