/* Remembered results: the same bits as computed ones, and known only when nothing is different. */
#include "models/evaluate.h"
#include "models/memo.h"
#include "sim/base/rng.h"
#include "tests/program.h"

enum { N_CLIENTS = 3, BATCH = 2, STEPS = 2, PER_CLIENT = BATCH * STEPS, VOCAB = 50, N_TEXTS = 4 };

static const struct t5_config CONFIG = {VOCAB, 24, 5, 28, 4, 2, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
static const struct lora_spec LORA = {
    .rank = 4, .alpha = 8, .dropout = 0.05f, .targets = LORA_Q | LORA_V};

/* A model, a store, and a job of three clients. */
struct bench {
    struct arena a;
    struct store *store;
    struct t5 *model;
    struct sample sample[N_CLIENTS * PER_CLIENT];
    struct train_member member[N_CLIENTS];
    int n_per_step[N_CLIENTS][STEPS];
    struct train_job job;
    float *in;
    size_t n;
};

static int32_t *tokens(struct arena *a, uint32_t owner, int n)
{
    int32_t *id = ARENA_NEW(a, int32_t, (size_t)n);
    for (int i = 0; i < n; i++)
        id[i] = 3 + (int32_t)rng_below(11, RNG_ORDER, owner, (uint64_t)i, VOCAB - 3);
    return id;
}

static void bench_init(struct bench *b)
{
    struct lora_layout l;
    *b = (struct bench){0};
    CHECK_INT(store_open(&b->store, PROGRAM_DIR "/store", 64 << 20, NULL), OK);
    CHECK_INT(t5_open_random(&b->model, backend_find("cpu"), &CONFIG, 5, NULL), OK);
    for (int i = 0; i < N_CLIENTS * PER_CLIENT; i++) {
        struct sample *x = &b->sample[i];
        x->n_input = 9 + i;
        x->n_target = 3 + i % 5;
        x->input = tokens(&b->a, 2 * (uint32_t)i, x->n_input);
        x->target = tokens(&b->a, 2 * (uint32_t)i + 1, x->n_target);
    }
    for (int c = 0; c < N_CLIENTS; c++) {
        const struct sample **list = ARENA_NEW(&b->a, const struct sample *, PER_CLIENT);
        for (int i = 0; i < PER_CLIENT; i++)
            list[i] = &b->sample[c * PER_CLIENT + i];
        b->n_per_step[c][0] = b->n_per_step[c][1] = BATCH;
        b->member[c] = (struct train_member){100 + (uint32_t)c, list, b->n_per_step[c]};
    }
    lora_layout_init(&l, &CONFIG, &LORA);
    b->n = l.size;
    b->in = ARENA_NEW(&b->a, float, l.size);
    lora_init(&l, 9, b->in);
    lora_layout_fini(&l);
    b->job = (struct train_job){.n_members = N_CLIENTS,
                                .member = b->member,
                                .hyper = {.local_steps = STEPS, .lr = 0.1f, .dropout = 0.1f},
                                .seed = 77,
                                .adapter_in = b->in,
                                .adapter_out = ARENA_NEW(&b->a, float, N_CLIENTS * b->n),
                                .loss = ARENA_NEW(&b->a, double, N_CLIENTS)};
}

static void bench_fini(struct bench *b)
{
    t5_close(b->model);
    store_close(b->store);
    arena_free(&b->a);
}

static struct memo *open_memo(struct bench *b, const struct lora_spec *lora, struct store *store)
{
    struct memo *m = NULL;
    struct err e = {0};
    const struct memo_subject s = {.model = b->model, .lora = lora, .size = b->n};
    if (memo_open(&m, store, &s, &e))
        TEST_FAIL("%s", e.text);
    return m;
}

static bool train(struct bench *b, struct memo *m, int n_threads)
{
    struct trainer *t = NULL;
    struct err e = {0};
    bool is_known = false;
    const struct train_limits limits = {
        .max_members = N_CLIENTS, .max_batch = BATCH, .max_input = 40, .max_target = 12};
    if (trainer_open(&t, b->model, &LORA, &limits, n_threads, &e) ||
        memo_train(m, t, &b->job, &is_known, &e))
        TEST_FAIL("%s", e.text);
    trainer_close(t);
    return is_known;
}

static void a_known_job_gives_the_same_bits_without_a_trainer(void)
{
    struct bench b;
    bench_init(&b);
    struct memo *m = open_memo(&b, &LORA, b.store);
    size_t n_bytes = N_CLIENTS * b.n * sizeof(float);
    CHECK_TRUE(!train(&b, m, 1));
    float *first = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    double loss[N_CLIENTS];
    memcpy(first, b.job.adapter_out, n_bytes);
    memcpy(loss, b.job.loss, sizeof(loss));
    CHECK_TRUE(memcmp(first, b.in, b.n * sizeof(float)) != 0);
    memset(b.job.adapter_out, 0, n_bytes);
    memset(b.job.loss, 0, sizeof(loss));
    memo_close(m);
    m = open_memo(&b, &LORA, b.store);
    bool is_known = false;
    CHECK_INT(memo_train(m, NULL, &b.job, &is_known, NULL), OK);
    CHECK_TRUE(is_known);
    CHECK_TRUE(memcmp(first, b.job.adapter_out, n_bytes) == 0);
    CHECK_TRUE(memcmp(loss, b.job.loss, sizeof(loss)) == 0);
    CHECK_TRUE(train(&b, m, 3)); /* threads are not in the key */
    memo_close(m);
    bench_fini(&b);
}

static void without_a_store_jobs_simply_run(void)
{
    struct bench b;
    bench_init(&b);
    struct memo *m = open_memo(&b, &LORA, NULL);
    CHECK_TRUE(!train(&b, m, 1));
    CHECK_TRUE(!train(&b, m, 1));
    memo_close(m);
    bench_fini(&b);
}

/* Whether the job is known as it is now, without computing or keeping anything. */
static bool is_known(struct bench *b, const struct lora_spec *lora)
{
    struct memo *m = open_memo(b, lora, b->store);
    struct train_job job = b->job;
    bool known = false;
    struct trainer *t = NULL;
    const struct train_limits limits = {
        .max_members = N_CLIENTS, .max_batch = BATCH, .max_input = 40, .max_target = 12};
    CHECK_INT(trainer_open(&t, b->model, &LORA, &limits, 1, NULL), OK);
    CHECK_INT(memo_train(m, t, &job, &known, NULL), OK);
    trainer_close(t);
    memo_close(m);
    return known;
}

/* With a value changed the job is unknown; with the old one it is known. */
#define MUST_MATTER(lvalue, value)                                                                 \
    do {                                                                                           \
        __typeof__(lvalue) kept_ = (lvalue);                                                       \
        (lvalue) = (value);                                                                        \
        if (is_known(&b, lora))                                                                    \
            TEST_FAIL("%s does not matter", #lvalue);                                              \
        (lvalue) = kept_;                                                                          \
        CHECK_TRUE(is_known(&b, lora));                                                            \
    } while (0)

static void whatever_can_change_a_result_makes_it_unknown(void)
{
    struct bench b;
    const struct lora_spec *lora = &LORA;
    bench_init(&b);
    file_remove_tree(PROGRAM_DIR "/store", NULL);
    file_make_folder(PROGRAM_DIR "/store", NULL);
    CHECK_TRUE(!is_known(&b, lora));
    CHECK_TRUE(is_known(&b, lora));
    struct train_hyper *h = &b.job.hyper;
    MUST_MATTER(h->lr, 0.2f);
    MUST_MATTER(h->momentum, 0.5f);
    MUST_MATTER(h->prox_mu, 0.5f);
    MUST_MATTER(h->max_grad_norm, 1.0f);
    MUST_MATTER(h->dropout, 0.2f);
    MUST_MATTER(h->optimizer, LOCAL_ADAMW);
    h->optimizer = LOCAL_ADAMW;
    h->beta1 = 0.9f, h->beta2 = 0.99f, h->epsilon = 1e-6f;
    is_known(&b, lora);
    MUST_MATTER(h->beta1, 0.8f);
    MUST_MATTER(h->beta2, 0.9f);
    MUST_MATTER(h->epsilon, 1e-5f);
    MUST_MATTER(h->weight_decay, 0.1f);
    MUST_MATTER(b.job.seed, 78);
    MUST_MATTER(b.in[b.n - 1], 0.5f);
    MUST_MATTER(b.job.n_members, N_CLIENTS - 1);
    MUST_MATTER(b.member[1].client, 7u);
    MUST_MATTER(b.n_per_step[2][1], BATCH - 1);
    MUST_MATTER(b.n_per_step[0][0], BATCH - 1);
    int32_t *id = tokens(&b.a, 99, 9);
    MUST_MATTER(b.sample[0].input, id);
    MUST_MATTER(b.sample[3].target, id);
    MUST_MATTER(b.sample[PER_CLIENT].n_input, 5);
    struct train_member two[2] = {b.member[1], b.member[0]}, kept[2] = {b.member[0], b.member[1]};
    memcpy(b.member, two, sizeof(two)); /* the order of those who share the pass */
    CHECK_TRUE(!is_known(&b, lora));
    memcpy(b.member, kept, sizeof(kept));
    CHECK_TRUE(is_known(&b, lora));
    struct lora_spec other = LORA;
    other.alpha = 9;
    CHECK_TRUE(!is_known(&b, &other));
    other = LORA;
    other.dropout = 0.1f;
    CHECK_TRUE(!is_known(&b, &other));
    t5_close(b.model);
    CHECK_INT(t5_open_random(&b.model, backend_find("cpu"), &CONFIG, 6, NULL), OK);
    CHECK_TRUE(!is_known(&b, lora)); /* other frozen weights */
    bench_fini(&b);
}

/* --- evaluation --- */

struct judged {
    struct eval_result result;
    const char *text[N_TEXTS];
    struct arena texts;
    bool is_known;
};

/* An evaluation of an adapter of small values by the built-in model. */
static void judge(const struct t5 *model, const struct tokens *t, struct dataset *heldout,
                  struct store *store, const struct eval_spec *spec, float value,
                  struct judged *out)
{
    struct arena a = {0};
    struct memo *m = NULL;
    struct evaluator *v = NULL;
    struct err e = {0};
    size_t n = lora_size(t5_config_of(model), &LORA);
    float *adapter = ARENA_NEW(&a, float, n);
    for (size_t i = 0; i < n; i++)
        adapter[i] = value * (float)(i % 7);
    const struct memo_subject s = {.model = model,
                                   .lora = &LORA,
                                   .size = n,
                                   .eval = spec,
                                   .heldout = heldout,
                                   .n_texts = N_TEXTS};
    *out = (struct judged){0};
    if (evaluator_open(&v, model, &LORA, t, heldout, spec, 1, &e) || memo_open(&m, store, &s, &e) ||
        memo_evaluate(m, v, adapter, &out->result, out->text, &out->texts, &out->is_known, &e))
        TEST_FAIL("%s", e.text);
    memo_close(m);
    evaluator_close(v);
    arena_free(&a);
}

static void a_known_evaluation_has_its_numbers_and_texts(void)
{
    const struct data_spec data = {.source = "builtin:dialogues",
                                   .prefix = "summarize: ",
                                   .max_input = 160,
                                   .max_target = 64,
                                   .seed = 3,
                                   .n_train = 1,
                                   .n_heldout = 3};
    struct eval_spec spec = {.n_samples = 3, .wants_rouge = true, .max_new_tokens = 20, .batch = 2};
    struct t5 *model = NULL;
    struct tokens *t = NULL;
    struct dataset *train_set = NULL, *heldout = NULL;
    struct store *store = NULL;
    struct judged a, b;
    CHECK_INT(store_open(&store, PROGRAM_DIR "/store", 64 << 20, NULL), OK);
    CHECK_INT(t5_open(&model, backend_find("cpu"), "builtin:tiny", NULL), OK);
    CHECK_INT(tokens_open(&t, TEST_SOURCE "/models/tiny/spiece.model", NULL), OK);
    CHECK_INT(data_open(&train_set, &heldout, &data, NULL), OK);
    CHECK_INT(data_tokenise(heldout, t, &data, NULL), OK);
    judge(model, t, heldout, store, &spec, 1e-3f, &a);
    judge(model, t, heldout, store, &spec, 1e-3f, &b);
    CHECK_TRUE(!a.is_known && b.is_known);
    CHECK_TRUE(memcmp(&a.result.loss, &b.result.loss, sizeof(double)) == 0);
    CHECK_INT(b.result.n_tokens, a.result.n_tokens);
    CHECK_TRUE(b.result.has_rouge && b.result.has_facts && b.result.rouge1 > 0);
    CHECK_NEAR(b.result.rouge1, a.result.rouge1, 0);
    CHECK_NEAR(b.result.rouge2, a.result.rouge2, 0);
    CHECK_NEAR(b.result.rougeL, a.result.rougeL, 0);
    CHECK_NEAR(b.result.rougeLsum, a.result.rougeLsum, 0);
    CHECK_NEAR(b.result.fact_recall, a.result.fact_recall, 0);
    for (int i = 0; i < 3; i++)
        CHECK_STR(b.text[i], a.text[i]);
    CHECK_TRUE(!b.text[3] && !a.text[3]); /* there are three samples */
    arena_free(&b.texts);
    judge(model, t, heldout, store, &spec, 2e-3f, &b);
    CHECK_TRUE(!b.is_known);
    arena_free(&b.texts);
    spec.max_new_tokens = 19;
    judge(model, t, heldout, store, &spec, 1e-3f, &b);
    CHECK_TRUE(!b.is_known);
    arena_free(&b.texts);
    spec.max_new_tokens = 20;
    heldout->sample[1].summary = "something else";
    judge(model, t, heldout, store, &spec, 1e-3f, &b);
    CHECK_TRUE(!b.is_known);
    arena_free(&b.texts);
    arena_free(&a.texts);
    data_close(train_set);
    data_close(heldout);
    tokens_close(t);
    t5_close(model);
    store_close(store);
}

/* --- as a user sees it --- */

#define SMALL                                                                                      \
    "run '" TEST_SOURCE "/scenarios/quickstart.json' --set federation.rounds=3 --set "             \
    "federation.clients_per_round=3 --set federation.batch=2 --set data.samples=400 --set "        \
    "evaluate.every=2 --set evaluate.samples=3 --workers 1 --quiet "

static int run(const char *out, const char *more)
{
    return program(SMALL "--set output.dir=%s %s", out, more);
}

/* Every file of two runs but performance.json. */
static void check_same(const char *a, const char *b)
{
    char line[512];
    snprintf(line, sizeof(line),
             "cd " PROGRAM_DIR " && diff -r -x performance.json %s %s >diff.txt", a, b);
    if (system(line) != 0)
        TEST_FAIL("%s and %s: %s", a, b, program_text("diff.txt"));
}

static void cold_warm_and_no_cache_write_the_same_bytes(void)
{
    CHECK_INT(run("none", "--no-cache"), 0);
    CHECK_TRUE(!strstr(program_text("none/performance.json"), "cache"));
    CHECK_INT(run("cold", "--cache c"), 0);
    CHECK_HAS(program_text("cold/performance.json"), "\"passes_known\": 0");
    CHECK_INT(run("warm", "--cache c"), 0);
    const char *said = program_text("warm/performance.json");
    CHECK_HAS(said, "\"passes\": 3");
    CHECK_HAS(said, "\"passes_known\": 3");
    CHECK_HAS(said, "\"evaluations\": 3");
    CHECK_HAS(said, "\"evaluations_known\": 3");
    CHECK_HAS(said, "\"tokens_trained\": 0");
    check_same("none", "cold");
    check_same("none", "warm");
}

/* Another network finds all, another seed nothing, a longer run the rounds before. */
static void a_run_says_how_much_it_knew(void)
{
    CHECK_INT(
        program("run cold/scenario.json --set output.dir=other --set network.up=1Mbps --cache c"),
        0);
    CHECK_HAS(program_text("err.txt"),
              "known from former runs: 3 of 3 training passes, 3 of 3 evaluations");
    CHECK_INT(program("run cold/scenario.json --set output.dir=other --seed 2 --cache c"), 0);
    CHECK_HAS(program_text("err.txt"),
              "known from former runs: 0 of 3 training passes, 0 of 3 evaluations");
    CHECK_INT(program("run cold/scenario.json --set output.dir=other --set federation.rounds=4 "
                      "--cache c"),
              0);
    CHECK_HAS(program_text("err.txt"), "3 of 4 training passes, 2 of 3 evaluations");
}

static void a_flipped_byte_in_any_entry_is_reported_once_and_mended(void)
{
    file_remove_tree(PROGRAM_DIR "/c", NULL);
    CHECK_INT(run("cold", "--cache c"), 0);
    CHECK_INT(system("cd " PROGRAM_DIR "/c && i=30; for f in *.block; do i=$((i + 40)); "
                     "printf '\\377\\000' | dd of=$f bs=1 seek=$i conv=notrunc 2>/dev/null; done"),
              0);
    CHECK_INT(run("mended", "--cache c"), 0);
    const char *said = program_text("err.txt");
    CHECK_HAS(said,
              "warning: 6 known results could not be used and were computed again, the first: ");
    CHECK_TRUE(!strchr(said, '\n') || strchr(said, '\n')[1] == 0);
    CHECK_HAS(program_text("mended/performance.json"), "\"damaged\": 6");
    check_same("none", "mended");
    CHECK_INT(run("again", "--cache c"), 0);
    CHECK_HAS(program_text("again/performance.json"), "\"passes_known\": 3");
    CHECK_HAS(program_text("again/performance.json"), "\"damaged\": 0");
    CHECK_STR(program_text("err.txt"), "");
}

/* Killed when two results are kept: asked again, the run finds at least those. */
static void a_killed_run_finds_what_it_had_trained(void)
{
    CHECK_INT(program("--version >v.txt; '" TEST_VERYEDGE "' " SMALL
                      "--cache k --set output.dir=k1 2>said.txt & pid=$!; i=0; until "
                      "[ $(ls k 2>ls.txt | grep -c 'block$') -ge 2 ] || [ $i -ge 3000 ]; do "
                      "sleep 0.01; i=$((i + 1)); done; kill -KILL $pid; wait $pid; true"),
              0);
    CHECK_INT(run("k2", "--cache k"), 0);
    const char *said = program_text("k2/performance.json");
    const char *passes = strstr(said, "\"passes_known\": ");
    const char *evaluations = strstr(said, "\"evaluations_known\": ");
    CHECK_TRUE(passes && evaluations && atoi(passes + 16) + atoi(evaluations + 21) >= 2);
    CHECK_HAS(said, "\"damaged\": 0");
    check_same("none", "k2");
}

static void eight_runs_on_one_cache_at_once_are_all_right(void)
{
    CHECK_INT(program("--version >v.txt; for i in 1 2 3 4 5 6 7 8; do timeout 120 '" TEST_VERYEDGE
                      "' " SMALL "--cache shared --set output.dir=at-$i 2>>said.txt & done; wait"),
              0);
    CHECK_STR(program_text("said.txt"), "");
    for (int i = 1; i <= 8; i++) {
        char name[16];
        snprintf(name, sizeof(name), "at-%d", i);
        check_same("none", name);
    }
}

static void a_cache_that_cannot_be_used_stops_nobody_who_did_not_ask_for_it(void)
{
    char kept[512];
    snprintf(kept, sizeof(kept), "%s", getenv("XDG_CACHE_HOME"));
    setenv("XDG_CACHE_HOME", "/dev/null/there", 1);
    CHECK_INT(run("o", ""), 0);
    CHECK_HAS(program_text("err.txt"), "warning: training results are not kept: /dev/null");
    check_same("none", "o");
    setenv("XDG_CACHE_HOME", kept, 1);
    CHECK_INT(run("o2", "--cache /dev/null/there"), 2);
    CHECK_HAS(program_text("err.txt"), "--cache: /dev/null");
    CHECK_INT(run("o2", "--no-cache --cache c"), 2);
    CHECK_HAS(program_text("err.txt"), "--no-cache: expected it without --cache");
    CHECK_INT(run("o2", "--cache small --cache-size 2MB"), 0); /* three adapters are 0.88 MB */
    CHECK_HAS(program_text("err.txt"),
              "warning: 3 results are larger than a quarter of --cache-size");
    check_same("none", "o2");
    CHECK_INT(run("o2", "--cache-size 5kB"), 2);
    CHECK_HAS(program_text("err.txt"), "--cache-size: expected 1.04");
    CHECK_INT(run("o2", "--cache-size lots"), 2);
    CHECK_HAS(program_text("err.txt"), "--cache-size: expected a size such as");
}

static void the_default_folder_is_the_standards(void)
{
    CHECK_INT(run("o3", ""), 0);
    CHECK_INT(system("ls " PROGRAM_DIR "/.cache/veryedge/*.block >" PROGRAM_DIR "/ls.txt"), 0);
    CHECK_INT(
        program("--version >v.txt; HOME=\"$PWD/home\" XDG_CACHE_HOME=not/absolute '" TEST_VERYEDGE
                "' " SMALL "--set output.dir=o4"),
        0);
    CHECK_INT(system("ls " PROGRAM_DIR "/home/.cache/veryedge/*.block >" PROGRAM_DIR "/ls.txt"), 0);
}

/* One trains, the others find everything. */
static void a_sweep_over_networks_trains_once(void)
{
    CHECK_INT(program("sweep cold/scenario.json --vary network.up=1Mbps,5Mbps,9Mbps,20Mbps --out s "
                      "--cache fresh"),
              0);
    CHECK_HAS(program_text("err.txt"),
              "known from other runs: 9 of 12 training passes, 9 of 12 evaluations");
    CHECK_INT(program("sweep cold/scenario.json --vary network.up=1Mbps,5Mbps,9Mbps,20Mbps --out t "
                      "--no-cache"),
              0);
    CHECK_STR(program_text("err.txt"), "");
    check_same("s/sweep.csv", "t/sweep.csv");
    check_same("s/variants", "t/variants");
}

int main(void)
{
    program_begin();
    CASE(a_known_job_gives_the_same_bits_without_a_trainer);
    CASE(without_a_store_jobs_simply_run);
    CASE(whatever_can_change_a_result_makes_it_unknown);
    CASE(a_known_evaluation_has_its_numbers_and_texts);
    CASE(cold_warm_and_no_cache_write_the_same_bytes);
    CASE(a_run_says_how_much_it_knew);
    CASE(a_flipped_byte_in_any_entry_is_reported_once_and_mended);
    CASE(a_killed_run_finds_what_it_had_trained);
    CASE(eight_runs_on_one_cache_at_once_are_all_right);
    CASE(a_cache_that_cannot_be_used_stops_nobody_who_did_not_ask_for_it);
    CASE(the_default_folder_is_the_standards);
    CASE(a_sweep_over_networks_trains_once);
    program_end();
    return test_end();
}
