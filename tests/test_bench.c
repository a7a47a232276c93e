/* veryedge bench: made-up lengths, what train prints and writes, the machine's peak and watts. */
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "models/backend.h"
#include "models/bench_train.h"
#include "models/lengths.h"
#include "models/trainer.h"
#include "sim/base/json.h"
#include "sim/peak.h"
#include "sim/watts.h"
#include "tests/program.h"

#define SMALL "bench train --backend cpu --workers 1 --clients 2 --batch 2 --steps 2 --repeats 1 --peak 1TFLOP/s"

static void lengths_are_read_and_nonsense_is_refused(void)
{
    static const char *const bad[] = {"", "fixed:512", "fixed:512,95x", "fixed:1,95", "fixed:9000,95",
                                      "uniform:64-160", "uniform:160-64,16-40", "uniform:64-160,16-40-",
                                      "samsum2", "fixed:-5,9"};
    struct lengths l;
    CHECK_INT(lengths_parse(&l, "fixed:512,95", NULL), OK);
    CHECK_TRUE(l.in_from == 512 && l.in_to == 512 && l.out_from == 95 && l.out_to == 95);
    CHECK_INT(lengths_parse(&l, "uniform:64-160,16-40", NULL), OK);
    CHECK_TRUE(l.in_from == 64 && l.in_to == 160 && l.out_from == 16 && l.out_to == 40);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_INT(lengths_parse(&l, bad[i], NULL), ERR_INPUT);
}

static void uniform_lengths_reach_both_ends_and_no_further(void)
{
    struct lengths l;
    int least = 1000, most = 0, n_in, n_out;
    CHECK_INT(lengths_parse(&l, "uniform:5-9,3-3", NULL), OK);
    for (uint32_t i = 0; i < 500; i++) {
        lengths_draw(&l, 1, i, &n_in, &n_out);
        least = n_in < least ? n_in : least;
        most = n_in > most ? n_in : most;
        CHECK_INT(n_out, 3);
    }
    CHECK_INT(least, 5);
    CHECK_INT(most, 9);
}

/* The counts' own mean, 148.9 and 28.7, are near the fit's: exp(mean + deviation^2 / 2), less what is cut. */
static void samsum_lengths_have_the_fits_moments(void)
{
    struct lengths l;
    enum { N = 20000 };
    double in = 0, out = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
    CHECK_INT(lengths_parse(&l, "samsum", NULL), OK);
    for (uint32_t i = 0; i < N; i++) {
        int n, m;
        lengths_draw(&l, 3, i, &n, &m);
        CHECK_TRUE(n >= 2 && n <= 512 && m >= 2 && m <= 95);
        double x = log(n), y = log(m);
        in += n, out += m, a += x, b += y, aa += x * x, bb += y * y, ab += x * y;
    }
    double cov = ab / N - a / N * (b / N), va = aa / N - a / N * (a / N), vb = bb / N - b / N * (b / N);
    CHECK_NEAR(in / N, 146, 4);
    CHECK_NEAR(out / N, 28.7, 0.7);
    CHECK_NEAR(a / N, 4.739, 0.03);
    CHECK_NEAR(b / N, 3.221, 0.02);
    CHECK_NEAR(cov / sqrt(va * vb), 0.60, 0.03);
}

static double number(struct json o, const char *key)
{
    double x = (double)NAN;
    struct err e = {0};
    if (json_double(o, key, -1e300, 1e300, NULL, &x, &e))
        TEST_FAIL("%s", e.text);
    return x;
}

static void train_prints_and_writes_the_same_figures_and_they_add_up(void)
{
    struct json_doc *doc = NULL;
    struct err e = {0};
    CHECK_INT(program(SMALL " --lengths fixed:20,10 --parts --json b.json"), 0);
    CHECK_HAS(program_text("out.txt"), "made up: speed does not depend on them");
    CHECK_HAS(program_text("out.txt"), "160 input and 80 target tokens a round");
    CHECK_HAS(program_text("out.txt"), "optimizer step");
    CHECK_HAS(program_text("out.txt"), "1TFLOP/s: stated");
    if (json_load(&doc, PROGRAM_DIR "/b.json", &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    struct json o = json_root(doc);
    double median_s = number(o, "median_s");
    CHECK_TRUE(median_s > 0 && number(o, "min_s") <= median_s && median_s <= number(o, "max_s"));
    CHECK_REL(number(o, "step_s"), median_s / 2, 1e-12);
    CHECK_REL(number(o, "tokens_per_s"), 240 / median_s, 1e-12);
    CHECK_REL(number(o, "utilisation"), number(o, "flop") / median_s / 1e12, 1e-12);
    /* width 128, inner 128, d_ff 256, vocabulary 2048: by hand */
    double d2 = 128 * 128, ff = 3 * 128 * 256, t = 160, s = 80;
    double products = 4 * ((4 * (4 * d2 + ff) + 4 * 2 * d2) * t + (4 * (6 * d2 + ff) + 2048 * 128) * s) -
                      6 * d2 * (t + s);
    double attention = 12 * 128.0 * 4 * 8 * (20 * 20 + 10 * 11 / 2 + 20 * 10);
    CHECK_REL(number(o, "flop"), products + attention, 1e-12);
    static const char *const parts[] = {"batch load", "forward", "loss", "backward", "optimizer step"};
    struct json of_parts;
    CHECK_INT(json_object(o, "parts_s", &of_parts, &e), OK);
    for (size_t i = 0; i < 5; i++)
        CHECK_TRUE(number(of_parts, parts[i]) > 0);
    CHECK_TRUE(number(o, "loss") > 1 && number(o, "loss") < 100);
    json_close(doc);
}

/* A step of 2 clients x 2 samples of 20 + 10 tokens. Adapters: q and v of each attention, of rank 8. */
static void check_parts(struct json o)
{
    static const char *const names[] = {"embedding", "attention products", "attention scores", "MLP products",
                                        "MLP gate",  "head",               "adapters",         "norms, residual",
                                        "optimizer", "copies",             "packing, the rest"};
    const double d2 = 128 * 128, ff = 3 * 128 * 256, t = 80, s = 40;
    double flop[11] = {0};
    flop[1] = 4 * (4 * 4 * d2 * t + 4 * 2 * d2 * t + 4 * 6 * d2 * s) - 6 * d2 * (t + s);
    flop[2] = 12 * 128.0 * 4 * 4 * (20 * 20 + 10 * 11 / 2 + 20 * 10);
    flop[3] = 4 * 4 * ff * (t + s);
    flop[5] = 4 * s * 128 * 2048;
    flop[6] = 2 * 8 * 256 * 4 * 3 * (t + s) * 3 - 2 * 8 * 128 * 2 * (t + s);
    double charged_s = 0, all_s = 0, step_s = number(o, "parts_step_s");
    struct json list;
    struct err e = {0};
    CHECK_INT(json_array(o, "parts", &list, &e), OK);
    CHECK_INT(json_count(list), 11);
    for (size_t i = 0; i < 11; i++) {
        struct json part = json_at(list, i);
        const char *name = "";
        double part_s = number(part, "s");
        CHECK_INT(json_string(part, "part", NULL, &name, &e), OK);
        CHECK_STR(name, names[i]);
        CHECK_TRUE(part_s > 0);
        CHECK_REL(number(part, "flop"), flop[i], 1e-12);
        CHECK_REL(number(part, "of_peak"), flop[i] / part_s / 1e12, 1e-9);
        CHECK_REL(number(part, "lost_s"), part_s - flop[i] / 1e12, 1e-9);
        CHECK_REL(number(part, "share"), part_s / step_s, 1e-9);
        all_s += part_s;
        charged_s += i < 10 ? part_s : 0;
    }
    CHECK_REL(all_s, step_s, 1e-9);
    CHECK_REL(charged_s, step_s, 0.1);
}

/* The rounds with charges, whose loss comes out, train as the others do, to the bit. */
static void parts_add_up_to_the_step_and_their_flop_are_the_formulas(void)
{
    static const char *const precision[] = {"float32", "bf16"};
    struct backend_choice choice;
    for (int i = 0; i < 2; i++) {
        struct json_doc *doc = NULL;
        struct err e = {0};
        double loss[2] = {0};
        if (backend_pick(&choice, "cpu", precision[i], NULL))
            continue;
        for (int has_parts = 0; has_parts < 2; has_parts++) {
            CHECK_INT(program(SMALL " --lengths fixed:20,10 --precision %s %s --json b.json", precision[i],
                              has_parts ? "--parts --repeats 40" : ""), 0);
            CHECK_INT(json_load(&doc, PROGRAM_DIR "/b.json", &e), OK);
            loss[has_parts] = number(json_root(doc), "loss");
            if (has_parts)
                check_parts(json_root(doc));
            json_close(doc);
        }
        CHECK_NEAR(loss[0], loss[1], 0);
        CHECK_HAS(program_text("out.txt"), "part of the model");
        CHECK_TRUE(!strstr(program_text("out.txt"), "above the peak"));
    }
    CHECK_INT(program("bench train --backend cpu --clients 1 --batch 1 --steps 1 --repeats 1 --peak 10MFLOP/s --parts"), 0);
    CHECK_HAS(program_text("out.txt"), "above the peak");
}

static void load(struct json_doc **doc)
{
    struct err e = {0};
    if (json_load(doc, PROGRAM_DIR "/b.json", &e)) {
        printf("%s\n", e.text);
        exit(1);
    }
}

/* FLAN-T5-small's shape, whose pass is large beside the program, and the tiny one's cohort, where the program counts. */
static void the_plan_is_what_the_process_takes(void)
{
    const char *const precision[] = {"float32", "bf16"};
    const char *const shape[] = {"--model flan-t5-small --clients 2 --batch 2 --steps 1 --lengths fixed:512,95", ""};
    struct backend_choice choice;
    for (int i = 0; i < 4; i++) {
        struct json_doc *doc = NULL;
        if (backend_pick(&choice, "cpu", precision[i % 2], NULL))
            continue;
        CHECK_INT(program("bench train --backend cpu --peak 1TFLOP/s --repeats 1 %s --precision %s --json b.json",
                          shape[i / 2], precision[i % 2]), 0);
        CHECK_HAS(program_text("out.txt"), "memory   weights ");
        CHECK_HAS(program_text("out.txt"), " + program ");
        load(&doc);
#ifndef VERYEDGE_SANITIZED
        CHECK_REL(number(json_root(doc), "peak_bytes"), number(json_root(doc), "planned_bytes"), 0.1);
#endif
        json_close(doc);
    }
}

static void a_limit_cuts_the_cohort_and_changes_rounding_only(void)
{
    struct json_doc *doc = NULL;
    CHECK_INT(program(SMALL " --json b.json"), 0);
    load(&doc);
    double whole = number(json_root(doc), "bytes"), loss = number(json_root(doc), "loss");
    CHECK_INT(number(json_root(doc), "clients_abreast"), 2);
    json_close(doc);
    CHECK_INT(program(SMALL " --json b.json --memory %.0fB", whole - 1), 0);
    load(&doc);
    CHECK_INT(number(json_root(doc), "clients_abreast"), 1);
    CHECK_TRUE(number(json_root(doc), "bytes") < whole);
    CHECK_REL(number(json_root(doc), "loss"), loss, 1e-4); /* rounding, after two steps at rate 1 */
    json_close(doc);
    CHECK_INT(program(SMALL " --memory 1MB"), 2);
    CHECK_HAS(program_text("err.txt"), "a pass of one client needs");
}

/* One after another on the CPU. */
static void parts_of_a_cohort_change_rounding_only(void)
{
    struct json_doc *doc = NULL;
    double loss[2], n_bytes[2];
    for (int i = 0; i < 2; i++) {
        CHECK_INT(program(SMALL " --json b.json %s", i ? "--gpus 2" : ""), 0);
        load(&doc);
        struct json o = json_root(doc);
        loss[i] = number(o, "loss");
        n_bytes[i] = number(o, "bytes");
        CHECK_INT(number(o, "gpus"), 1 + i);
        CHECK_INT(number(o, "devices"), 1);
        CHECK_INT(number(o, "clients_abreast"), 2 - i);
        json_close(doc);
    }
    CHECK_HAS(program_text("out.txt"), "2 parts of the cohort on 1 device, one after another");
    CHECK_REL(loss[1], loss[0], 1e-4); /* rounding, after two steps at rate 1 */
    CHECK_TRUE(n_bytes[1] < n_bytes[0]);
    CHECK_INT(program(SMALL " --gpus 2 --parts"), 2);
    CHECK_HAS(program_text("err.txt"), "--parts: expected it without --gpus");
}

/* The memory is asked for, and not all of it is there everywhere: more than one client fits in any case. */
static void a_large_cohort_is_cut_by_itself_whatever_the_threads(void)
{
    struct bench_spec spec = bench_default();
    struct t5 *model = NULL;
    struct err e = {0};
    bool is_made_up;
    int abreast[2] = {0};
    spec.n_clients = 64;
    spec.local_steps = 1;
    CHECK_INT(bench_model(&model, "tiny", backend_find("cpu"), &is_made_up, &e), OK);
    for (int i = 0; i < 2; i++) {
        struct bench *b = NULL;
        spec.n_threads = 1 + 7 * i;
        CHECK_INT(bench_open(&b, model, &spec, &e), OK);
        if (b) {
            const struct bench_totals *t = bench_totals(b);
            abreast[i] = t->n_abreast;
            CHECK_TRUE((double)t->n_bytes < TRAINER_CPU_BYTES + 8 * 0x1p20 * spec.n_threads);
        }
        bench_close(b);
    }
    CHECK_TRUE(abreast[0] > 1 && abreast[0] < 64);
    CHECK_INT(abreast[1], abreast[0]);
    t5_close(model);
}

static void generate_writes_all_the_tokens_it_was_asked_for(void)
{
    struct json_doc *doc = NULL;
    CHECK_INT(program("bench train --backend cpu --peak 1TFLOP/s --repeats 1 --generate 8 --json b.json"), 0);
    CHECK_HAS(program_text("out.txt"), "generate 32 texts");
    load(&doc);
    CHECK_TRUE(number(json_root(doc), "tokens") > 0 && number(json_root(doc), "tokens") <= 32 * 8);
    CHECK_TRUE(number(json_root(doc), "median_s") > 0);
    json_close(doc);
}

static void json_alone_is_one_line_on_stdout(void)
{
    CHECK_INT(program(SMALL " --json -"), 0);
    const char *said = program_text("out.txt"), *end = strchr(said, '\n');
    CHECK_TRUE(said[0] == '{' && end && !end[1]);
}

static void nonsense_is_refused(void)
{
    CHECK_INT(program(SMALL " --lengths long"), 2);
    CHECK_HAS(program_text("err.txt"), "bench train: --lengths: expected samsum, fixed:IN,OUT or uniform");
    CHECK_INT(program("bench train --backend cpu --peak 3W"), 2);
    CHECK_HAS(program_text("err.txt"), "--peak: expected a speed");
    CHECK_INT(program(SMALL " --precision fp8"), 2);
    CHECK_HAS(program_text("err.txt"), "no backend \"cpu\" with precision \"fp8\"");
    CHECK_INT(program(SMALL " --model no-such-folder"), 2);
    CHECK_INT(program("bench trian"), 2);
    CHECK_HAS(program_text("err.txt"), "did you mean \"train\"?");
}

static void a_gpus_peak_is_its_data_sheets(void)
{
    struct peak p;
    const struct backend_ops *f32 = backend_with("cuda", "float32"), *bf16 = backend_with("cuda", "bf16");
    CHECK_INT(peak_find(&p, NULL, bf16, "cuda 13.0, NVIDIA H200 sm_90", 1, NULL), OK);
    CHECK_NEAR(p.flop_per_s, 989e12, 0);
    CHECK_STR(p.source, "H200 data sheet, dense bf16");
    CHECK_INT(peak_find(&p, NULL, f32, "NVIDIA A100-SXM4-80GB", 1, NULL), OK);
    CHECK_NEAR(p.flop_per_s, 19.5e12, 0);
    CHECK_INT(peak_find(&p, NULL, bf16, "NVIDIA H100 PCIe", 1, NULL), OK);
    CHECK_NEAR(p.flop_per_s, 756e12, 0);
}

static void watts_are_measured_or_it_is_said_why_not(void)
{
    char why[160] = "";
    for (int is_gpu = 0; is_gpu < 2; is_gpu++) {
        struct watts *w = watts_open(is_gpu, why);
        if (!w) {
            CHECK_TRUE(why[0] != 0);
            continue;
        }
        int n = 0;
        watts_begin(w);
        nanosleep(&(struct timespec){0, 450000000}, NULL);
        double mean_w = watts_mean(w, &n);
        CHECK_TRUE(n >= 2 && n <= 5);
        CHECK_TRUE(mean_w > 0 && mean_w < 1e4);
        watts_close(w);
    }
}

#define DEVICE "bench device --backend cpu --workers 1 --lengths fixed:8,4 --peak 1TFLOP/s"

/* What the issue asks: `bench device --model builtin:tiny --quick`, and a scenario on its profile. */
static void a_quick_profile_drives_a_scenario(void)
{
    CHECK_INT(program(DEVICE " --model builtin:tiny --quick --name board --tdp 20W"), 0);
    const char *said = program_text("out.txt");
    CHECK_HAS(said, "mini-batch");
    CHECK_HAS(said, "roofline through these steps");
    CHECK_HAS(program_text("board.json"), "\"date\": \"20");
    CHECK_HAS(program_text("board.json"), "\"complete\": true");
    CHECK_HAS(program_text("board.json"), "\"utilisation\"");
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/quickstart.json' --quiet --set clients.device=board.json "
                      "--set model.costs_of=null --set model.train=none --set evaluate.every=0 --set "
                      "federation.rounds=1 --set output.dir=out"),
              0);
    struct csv *c = program_csv("out/clients.csv");
    CHECK_STR(program_word(c, 0, "device"), "board");
    CHECK_STR(program_word(c, 0, "time_source"), "measured");
    CHECK_TRUE(program_cell(c, 0, "device_j") > 0);
    double trained_s = program_cell(c, 0, "train_end_s") - program_cell(c, 0, "download_end_s");
    struct json_doc *doc = NULL;
    struct err e = {0};
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/board.json", &e), OK);
    struct json list, row;
    double step_s = 0;
    CHECK_INT(json_array(json_root(doc), "measured", &list, &e), OK);
    CHECK_INT(json_count(list), 4);
    row = json_at(list, 3);
    CHECK_NEAR(number(row, "minibatch"), 8, 0);
    CHECK_INT(json_quantity(row, "step", UNIT_TIME_S, 0, 1e9, NULL, &step_s, &e), OK);
    CHECK_REL(trained_s, 2 * step_s, 1e-9);
    /* Four digits of the step behind the tokens a second, 8 x (8 + 4) a step. */
    struct json about, steps;
    char four[32];
    CHECK_INT(json_object(json_root(doc), "measured_on", &about, &e), OK);
    CHECK_INT(json_array(about, "steps", &steps, &e), OK);
    snprintf(four, sizeof(four), "%.4g", 96 / number(json_at(steps, 3), "tokens_per_s"));
    CHECK_NEAR(step_s, strtod(four, NULL), 0);
    json_close(doc);
    csv_close(c);
}

/* Begins `bench device` with long rows, sends it the signal as soon as a profile is there, and waits for its
 * end. The wait's status. */
static int cut_after_the_first_row(int signum)
{
    int status = 0;
    remove(PROGRAM_DIR "/cut.json");
    pid_t child = fork();
    if (child == 0) {
        if (chdir(PROGRAM_DIR) || !freopen("out.txt", "w", stdout) || !freopen("err.txt", "w", stderr))
            _exit(9);
        signal(SIGINT, SIG_DFL);
        execl(TEST_VERYEDGE, "veryedge", "bench", "device", "--backend", "cpu", "--workers", "1", "--peak", "1TFLOP/s",
              "--model", "builtin:tiny", "--quick", "--lengths", "fixed:1500,400", "--name", "cut", (char *)NULL);
        _exit(9);
    }
    while (!file_exists(PROGRAM_DIR "/cut.json") && waitpid(child, &status, WNOHANG) == 0)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    kill(child, signum);
    waitpid(child, &status, 0);
    return status;
}

static void a_cut_profile_keeps_what_was_measured_and_says_so(void)
{
    const int signums[] = {SIGKILL, SIGINT};
    for (int i = 0; i < 2; i++) {
        struct json_doc *doc = NULL;
        struct json list;
        struct err e = {0};
        int status = cut_after_the_first_row(signums[i]);
        if (signums[i] == SIGINT) {
            CHECK_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130);
            const char *said = program_text("err.txt"), *end = strchr(said, '\n');
            CHECK_HAS(said, "interrupted: bench device: 1 mini-batch is kept in cut.json");
            CHECK_TRUE(end && !end[1]);
        } else {
            CHECK_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        CHECK_HAS(program_text("cut.json"), "\"complete\": false");
        CHECK_INT(json_load(&doc, PROGRAM_DIR "/cut.json", &e), OK);
        CHECK_INT(json_array(json_root(doc), "measured", &list, &e), OK);
        CHECK_INT(json_count(list), 1);
        json_close(doc);
        CHECK_INT(program("check '" TEST_SOURCE "/scenarios/quickstart.json' --set clients.device=cut.json --set "
                          "model.costs_of=null"), 0);
        CHECK_HAS(program_text("out.txt"), "cut");
    }
}

/* A limit on the address space stands for a small machine. */
static void out_of_memory_is_found_and_reported(void)
{
#ifdef VERYEDGE_SANITIZED
    test_state()->is_skipped_here = true; /* they take all of the address space */
    return;
#endif
    int status = system("cd " PROGRAM_DIR " && ulimit -v 700000 && OPENBLAS_NUM_THREADS=1 timeout 100 '" TEST_VERYEDGE
                        "' bench device --backend cpu --workers 1 --peak 1TFLOP/s --model tiny --quick --lengths "
                        "fixed:1000,1000 --name small >out.txt 2>err.txt");
    CHECK_INT(status, 0);
    CHECK_HAS(program_text("out.txt"), "out of memory");
    CHECK_HAS(program_text("out.txt"), "GiB are free");
    CHECK_HAS(program_text("small.json"), "\"out_of_memory\": true");
    CHECK_HAS(program_text("small.json"), "\"minibatch\": 1, \"step\"");
    CHECK_INT(program("bench train --backend cpu --model tiny --clients 1 --batch 1024 --steps 1 --repeats 1 "
                      "--lengths fixed:8192,8192 --peak 1TFLOP/s"),
              1);
    CHECK_HAS(program_text("err.txt"), "GiB are free");
}

static void a_device_is_asked_for_wrongly(void)
{
    CHECK_INT(program(DEVICE " --name a100-80gb"), 2);
    CHECK_HAS(program_text("err.txt"), "--name");
    CHECK_INT(program(DEVICE " --model flan-t5-small --model flan-t5-small"), 2);
    CHECK_HAS(program_text("err.txt"), "twice");
    CHECK_INT(program(DEVICE " --quick --model builtin:tiny --tdp 20"), 2);
    CHECK_HAS(program_text("err.txt"), "--tdp: expected a power");
}

int main(void)
{
    program_begin();
    CASE(lengths_are_read_and_nonsense_is_refused);
    CASE(uniform_lengths_reach_both_ends_and_no_further);
    CASE(samsum_lengths_have_the_fits_moments);
    CASE(train_prints_and_writes_the_same_figures_and_they_add_up);
    CASE(parts_add_up_to_the_step_and_their_flop_are_the_formulas);
    CASE(the_plan_is_what_the_process_takes);
    CASE(a_limit_cuts_the_cohort_and_changes_rounding_only);
    CASE(parts_of_a_cohort_change_rounding_only);
    CASE(a_large_cohort_is_cut_by_itself_whatever_the_threads);
    CASE(generate_writes_all_the_tokens_it_was_asked_for);
    CASE(json_alone_is_one_line_on_stdout);
    CASE(nonsense_is_refused);
    CASE(a_gpus_peak_is_its_data_sheets);
    CASE(watts_are_measured_or_it_is_said_why_not);
    CASE(a_quick_profile_drives_a_scenario);
    CASE(a_cut_profile_keeps_what_was_measured_and_says_so);
    CASE(out_of_memory_is_found_and_reported);
    CASE(a_device_is_asked_for_wrongly);
    program_end();
    return test_end();
}
