/* Which backend trains: names, precisions, "auto", and what the program says where there is no GPU. */
#include "models/backend.h"
#include "tests/program.h"

#define QUICK                                                                                      \
    "'" TEST_SOURCE "/scenarios/quickstart.json' --quiet --set output.dir=out --set "               \
    "federation.rounds=1 --set federation.clients_per_round=1 --set federation.local_steps=1 "      \
    "--set evaluate.every=0"

static bool has_gpu(void)
{
    struct backend_choice c;
    return backend_pick(&c, "cuda", "float32", NULL) == OK;
}

static void every_pair_of_the_table_is_found_and_no_other(void)
{
    for (const char *const *name = backend_names(); *name; name++) {
        CHECK_TRUE(backend_find(*name) == backend_with(*name, "float32"));
        for (const char *const *p = backend_precisions(); *p; p++) {
            const struct backend_ops *ops = backend_with(*name, *p);
            if (!ops)
                continue;
            CHECK_STR(ops->name, *name);
            CHECK_STR(ops->precision, *p);
            CHECK_INT(ops->value_bytes, strcmp(*p, "bf16") == 0 ? 2 : 4);
        }
    }
    CHECK_TRUE(backend_with("cuda", "bf16") != NULL);
    CHECK_TRUE(backend_with("cpu", "bf16") != NULL);
    CHECK_TRUE(backend_with("cpu", "fp8") == NULL);
}

static void auto_takes_the_gpu_or_says_why_not(void)
{
    struct backend_choice c = {0};
    struct err e = {0};
    CHECK_INT(backend_pick(&c, "auto", "float32", &e), OK);
    CHECK_STR(c.ops->name, has_gpu() ? "cuda" : "cpu");
    CHECK_HAS(c.about, c.ops->name);
    CHECK_TRUE((c.passed_over[0] != 0) == !has_gpu());
}

static void a_pair_that_does_not_exist_is_asked_wrongly(void)
{
    struct backend_choice c = {0};
    struct err e = {0};
    CHECK_INT(backend_pick(&c, "cpu", "fp8", &e), ERR_INPUT);
    CHECK_INT(backend_pick(&c, "abacus", "float32", &e), ERR_INPUT);
    CHECK_INT(backend_pick(&c, "auto", "fp8", &e), ERR_INPUT);
    CHECK_TRUE(c.ops == NULL);
    CHECK_INT(program("run " QUICK " --backend cpu --precision fp8"), 2);
    CHECK_HAS(program_text("err.txt"), "compute.precision: expected one of float32, bf16");
    CHECK_INT(program("check '" TEST_SOURCE "/scenarios/quickstart.json' --set compute.backend=abacus"), 2);
    CHECK_HAS(program_text("err.txt"), "compute.backend: expected one of auto, cpu, cuda");
}

static void without_a_gpu_cuda_explains_itself_on_one_line(void)
{
    if (has_gpu())
        return;
    const char *const ask[] = {"--backend cuda", "--backend cuda --precision bf16"};
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(program("run " QUICK " %s", ask[i]), 1);
        const char *said = program_text("err.txt"), *end = strchr(said, '\n');
        CHECK_HAS(said, "CUDA");
        CHECK_TRUE(end && !end[1]);
        CHECK_TRUE(!file_exists(PROGRAM_DIR "/out"));
    }
}

static void outputs_name_what_trained(void)
{
    char want[64];
    snprintf(want, sizeof(want), "\"backend\": \"%s\"", has_gpu() ? "cuda" : "cpu");
    CHECK_INT(program("run " QUICK), 0);
    CHECK_HAS(program_text("out/summary.json"), want);
    CHECK_HAS(program_text("out/summary.json"), "\"precision\": \"float32\"");
    CHECK_HAS(program_text("out/scenario.json"), want);
    CHECK_HAS(program_text("out/performance.json"), "\"trained_on\": \"c");
    CHECK_INT(program("run " QUICK " --set model.train=none"), 0);
    CHECK_HAS(program_text("out/summary.json"), "\"backend\": \"none\"");
    CHECK_HAS(program_text("out/scenario.json"), "\"backend\": \"auto\"");
}

/* The parent finds out what auto is and knows its children's folders again. */
static void a_sweep_passes_its_backend_on_and_keeps_what_it_ran(void)
{
    const char *sweep = "sweep '" TEST_SOURCE "/scenarios/quickstart.json' --vary seed=1,2 --out sweep "
                        "--set federation.rounds=1 --set federation.clients_per_round=1 --set "
                        "federation.local_steps=1 --set evaluate.every=0";
    CHECK_INT(program("%s", sweep), 0);
    CHECK_HAS(program_text("sweep/variants/seed=1/scenario.json"),
              has_gpu() ? "\"backend\": \"cuda\"" : "\"backend\": \"cpu\"");
    CHECK_HAS(program_text("sweep/sweep.csv"), "backend");
    char readings[4096]; /* of the wall clock: another run has others */
    snprintf(readings, sizeof(readings), "%s", program_text("sweep/variants/seed=1/performance.json"));
    CHECK_HAS(readings, "open_s");
    CHECK_INT(program("%s", sweep), 0);
    CHECK_STR(program_text("sweep/variants/seed=1/performance.json"), readings);
}

int main(void)
{
    program_begin();
    CASE(every_pair_of_the_table_is_found_and_no_other);
    CASE(auto_takes_the_gpu_or_says_why_not);
    CASE(a_pair_that_does_not_exist_is_asked_wrongly);
    CASE(without_a_gpu_cuda_explains_itself_on_one_line);
    CASE(outputs_name_what_trained);
    CASE(a_sweep_passes_its_backend_on_and_keeps_what_it_ran);
    program_end();
    return test_end();
}
