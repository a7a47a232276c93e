/* precision bf16 on the CPU: what it learns, that it repeats, and what is said where it cannot be. Its operations
 * are checked by cpu_bf16 (test_cuda.c), the whole model by cpu_bf16_reference. */
#include "models/backend.h"
#include "tests/lab_backend.h"
#include "tests/program.h"

#define RUN                                                                                        \
    "run '" TEST_SOURCE "/scenarios/quickstart.json' --quiet --no-cache --backend cpu --set "       \
    "federation.rounds=5 --set federation.clients_per_round=4 --set evaluate.every=5 --set "        \
    "evaluate.samples=40 --set evaluate.rouge=false "

static void a_processor_without_it_is_told_on_one_line(void)
{
    char line[4096];
    snprintf(line, sizeof(line), "cd " PROGRAM_DIR " && ONEDNN_MAX_CPU_ISA=AVX2 '%s' " RUN
             "--precision bf16 --set output.dir=none >out.txt 2>err.txt", TEST_VERYEDGE);
    int status = system(line);
    CHECK_INT(WEXITSTATUS(status), 1);
    const char *said = program_text("err.txt"), *end = strchr(said, '\n');
    CHECK_HAS(said, "AVX-512 bf16 or AMX");
    CHECK_HAS(said, "float32");
    CHECK_TRUE(end && !end[1]);
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/none"));
}

static double last(const char *folder, const char *column)
{
    char name[200];
    snprintf(name, sizeof(name), "%s/rounds.csv", folder);
    struct csv *c = program_csv(name);
    double x = program_cell(c, csv_rows(c) - 1, column);
    csv_close(c);
    return x;
}

static double mean(const char *folder, const char *column)
{
    char name[200];
    snprintf(name, sizeof(name), "%s/rounds.csv", folder);
    struct csv *c = program_csv(name);
    double sum = 0;
    size_t n = csv_rows(c);
    for (size_t row = 0; row < n; row++)
        sum += program_cell(c, row, column) / (double)n;
    csv_close(c);
    return sum;
}

/* This seed ends within 1 % by oneDNN's AVX-512 bf16 and our own products. Other roundings, other seeds: seeds 2 to 8
 * move the last round's loss by up to 2.6 %, what was learned by up to 2.3 %, either way. */
static void it_learns_what_float32_learns(void)
{
    CHECK_INT(program(RUN "--set output.dir=float32"), 0);
    CHECK_INT(program(RUN "--precision bf16 --set output.dir=bf16"), 0);
    CHECK_HAS(program_text("bf16/summary.json"), "\"precision\": \"bf16\"");
    CHECK_HAS(program_text("bf16/scenario.json"), "\"precision\": \"bf16\"");
    CHECK_HAS(program_text("bf16/performance.json"), "oneDNN");
    double a = last("float32", "eval_loss"), b = last("bf16", "eval_loss");
    CHECK_TRUE(a < 3); /* from 4.4 */
    double most = strstr(program_text("bf16/performance.json"), "avx512_core_bf16") ? 0.01 : 0.03;
    CHECK_NEAR(b, a, most * a);
    CHECK_NEAR(last("bf16", "train_loss"), last("float32", "train_loss"), most * last("float32", "train_loss"));
    CHECK_NEAR(mean("bf16", "train_loss"), mean("float32", "train_loss"), most * mean("float32", "train_loss"));
}

static void it_repeats_to_the_byte_whatever_the_threads(void)
{
    char first[65536];
    snprintf(first, sizeof(first), "%s", program_text("bf16/rounds.csv"));
    CHECK_INT(program(RUN "--precision bf16 --workers 1 --set output.dir=again"), 0);
    CHECK_STR(program_text("again/rounds.csv"), first);
}

int main(void)
{
    lab_skip_unless(backend_with("cpu", "bf16"));
    program_begin();
    CASE(a_processor_without_it_is_told_on_one_line);
    CASE(it_learns_what_float32_learns);
    CASE(it_repeats_to_the_byte_whatever_the_threads);
    program_end();
    return test_end();
}
