/* compare as a user runs it, on networks without training whose kWh and seconds can be had by hand.
 */
#include <fcntl.h>
#include <sys/file.h>

#include "sim/cells.h"
#include "sim/compare.h"
#include "sim/curves.h"
#include "sim/result.h"
#include "sim/stats.h"
#include "tests/program.h"

/* J/bit of j16 by hand, down and up: switch, bng, 3 edge and 4 core routers, 2 switches; with the
 * endpoint and the base station in front. */
#define WIRED_J_PER_BIT 283.5e-9
#define LTE_DOWN_J_PER_BIT (283.5e-9 + 51.97e-9 + 82.82e-6)
#define LTE_UP_J_PER_BIT (283.5e-9 + 438.4e-9 + 12.4e-6)

static void write_scenario(void)
{
    program_write(
        "s.json",
        "{ \"clients\": { \"count\": 4 }, \"model\": { \"costs_of\": \"flan-t5-small\", "
        "\"train\": \"none\" }, \"compute\": { \"time\": \"3s\" }, \"federation\": { "
        "\"rounds\": 2, \"clients_per_round\": 4, \"payload\": { \"down\": \"1MB\", \"up\": "
        "\"2MB\" } } }");
}

/* A value of compare.csv. */
static double value_of(const struct csv *c, const char *variant, const char *seed,
                       const char *figure)
{
    for (size_t i = 0; c && i < csv_rows(c); i++)
        if (strcmp(program_word(c, i, "variant"), variant) == 0 &&
            strcmp(program_word(c, i, "seed"), seed) == 0 &&
            strcmp(program_word(c, i, "figure"), figure) == 0)
            return program_cell(c, i, "value");
    TEST_FAIL("no row %s, %s, %s", variant, seed, figure);
    return (double)NAN;
}

static void lte_and_wired_cost_their_joules_per_bit(void)
{
    write_scenario();
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --out o"), 0);
    struct csv *c = program_csv("o/compare.csv");
    double bits_down = 2 * 4 * 8e6, bits_up = 2 * 4 * 16e6;
    double lte = bits_down * LTE_DOWN_J_PER_BIT + bits_up * LTE_UP_J_PER_BIT;
    double wired = (bits_down + bits_up) * WIRED_J_PER_BIT;
    CHECK_REL(value_of(c, "topology=lte", "1", "comm_kwh"), lte / 3.6e6, 1e-12);
    CHECK_REL(value_of(c, "topology=wired", "1", "comm_kwh"), wired / 3.6e6, 1e-12);
    CHECK_NEAR(value_of(c, "topology=wired", "1", "mean_t_comp_s"), 3, 0);
    CHECK_TRUE(isnan(value_of(c, "topology=wired", "1", "last_eval_loss")));
    csv_close(c);
    struct arena a = {0};
    const char *out = program_text("out.txt");
    CHECK_HAS(out, cells_percent(&a, wired - lte, lte));
    CHECK_HAS(out, cells_number(&a, lte / 3.6e6));
    CHECK_TRUE(!strstr(out, "last loss") && !strstr(out, "to loss"));
    arena_free(&a);
}

static void an_accounting_that_is_not_physical_is_named(void)
{
    program_write("a.json", "{ \"clients\": { \"device\": \"a100-80gb\" }, \"model\": { "
                            "\"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, "
                            "\"federation\": { \"rounds\": 1 } }");
    CHECK_INT(program("compare a.json --vary energy.accounting=literal,paper-table1 --out o"), 0);
    CHECK_HAS(program_text("out.txt"), "not physical");
    CHECK_HAS(program_text("o/compare.csv"),
              "accounting=paper-table1,,accounting,paper-table1,,\n");
    CHECK_TRUE(!strstr(program_text("o/compare.csv"), "accounting=literal,,accounting"));
}

static void files_are_compared_under_the_first_ones_seed(void)
{
    write_scenario();
    program_write(
        "t.json",
        "{ \"extends\": \"s.json\", \"seed\": 9, \"network\": { \"topology\": \"wired\" } }");
    CHECK_INT(program("compare s.json t.json --set seed=5"), 0);
    struct csv *c = program_csv("runs/compare-s/compare.csv");
    CHECK_TRUE(value_of(c, "s", "5", "comm_kwh") > value_of(c, "t", "5", "comm_kwh"));
    csv_close(c);
    CHECK_HAS(program_text("runs/compare-s/variants/t,seed=5/scenario.json"), "\"seed\": 5");
}

/* Boards and servers in one population: who is picked, and so the energy, depends on the seed. */
static void seeds_give_means_and_the_interval_of_paired_differences(void)
{
    write_scenario();
    program_write("m.json", "{ \"extends\": \"s.json\", \"clients\": { \"count\": 10, \"groups\": "
                            "[ { \"name\": \"far\", "
                            "\"share\": 0.5, \"network\": { \"topology\": \"lte\" } }, { \"name\": "
                            "\"near\", \"share\": "
                            "0.5, \"network\": { \"topology\": \"wired\" } } ] } }");
    CHECK_INT(program("compare m.json --vary federation.payload.up=2MB,3MB --seeds 4 --out o"), 0);
    static char out[65536];
    snprintf(out, sizeof(out), "%s", program_text("out.txt"));
    struct csv *c = program_csv("o/compare.csv");
    double a[4], b[4];
    for (int i = 0; i < 4; i++) {
        char seed[8];
        snprintf(seed, sizeof(seed), "%d", i + 1);
        a[i] = value_of(c, "up=2MB", seed, "comm_kwh");
        b[i] = value_of(c, "up=3MB", seed, "comm_kwh");
    }
    csv_close(c);
    struct stats_paired d = stats_paired(4, a, b);
    struct arena arena = {0};
    CHECK_TRUE(stats_sd(4, a) > 0 && d.half_width > 0);
    CHECK_HAS(out, cells_number(&arena, stats_mean(4, a)));
    CHECK_HAS(out, arena_printf(&arena, "+%s", cells_number(&arena, d.mean)));
    CHECK_HAS(out, arena_printf(&arena, "+- %s", cells_number(&arena, d.half_width)));
    arena_free(&arena);
}

static void one_job_and_two_give_the_same_bytes(void)
{
    char first[65536];
    write_scenario();
    CHECK_INT(program("compare s.json --vary network.up=1Mbps,5Mbps,9Mbps --jobs 1 --out o1"), 0);
    snprintf(first, sizeof(first), "%s", program_text("o1/compare.csv"));
    CHECK_INT(program("compare s.json --vary network.up=1Mbps,5Mbps,9Mbps --jobs 2 --out o2"), 0);
    CHECK_STR(program_text("o2/compare.csv"), first);
    CHECK_TRUE(strlen(first) > 1000);
}

static void a_failed_variant_stands_beside_the_others(void)
{
    write_scenario();
    CHECK_INT(program("compare s.json --vary network.topology=lte,tin --out o"), 0);
    CHECK_HAS(
        program_text("out.txt"),
        "topology=tin failed: --set: network.topology: expected one of lte, wired, lte-measured, 5g, adsl, cable, fibre, graph, platform, got \"tin\"");
    struct csv *c = program_csv("o/compare.csv");
    size_t last = csv_rows(c) - 1;
    CHECK_STR(program_word(c, last, "variant"), "topology=tin");
    CHECK_STR(program_word(c, last, "figure"), "error");
    CHECK_HAS(program_word(c, last, "value"), "expected one of");
    csv_close(c);
}

/* What only the child finds: the folder that it should write into is not its own. */
static void what_a_child_says_is_the_variants_message(void)
{
    write_scenario();
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --out child"), 0);
    program_write("child/variants/topology=wired,seed=1/diary.txt", "mine");
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --out child --fresh"), 0);
    CHECK_HAS(program_text("out.txt"), "topology=wired failed: ");
    CHECK_HAS(program_text("out.txt"), "found \"diary.txt\" in it");
    CHECK_STR(program_text("child/variants/topology=wired,seed=1/diary.txt"), "mine");
}

static void many_variants_are_rows_and_fit_a_hundred_columns(void)
{
    write_scenario();
    CHECK_INT(program("compare s.json --vary network.up=1Mbps,2Mbps,3Mbps --vary "
                      "federation.clients_per_round=2,4 "
                      "--out o"),
              0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "[6] up=3Mbps, clients_per_round=4");
    const char *values = strstr(out, "\nvirtual time (s) ");
    CHECK_TRUE(values && strstr(values, "\nG  ") && strstr(values, "\nnetwork (kWh) "));
    size_t longest = 0;
    for (const char *p = out; *p; p += strcspn(p, "\n") + 1)
        longest = strcspn(p, "\n") > longest ? strcspn(p, "\n") : longest;
    CHECK_TRUE(longest > 60 && longest <= CELLS_WIDTH);
}

static void mistakes_are_named(void)
{
    write_scenario();
    CHECK_INT(program("compare s.json"), 2);
    CHECK_HAS(program_text("err.txt"),
              "error: expected a second scenario, or --vary KEY=VALUE,VALUE");
    CHECK_INT(program("compare s.json s.json"), 2);
    CHECK_HAS(program_text("err.txt"), "error: s.json: expected every scenario once");
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --to-loss lst"), 2);
    CHECK_HAS(program_text("err.txt"), "error: --to-loss: expected a number or \"last\", got \"lst\"");
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --to-rouge 101"), 2);
    CHECK_HAS(program_text("err.txt"), "error: --to-rouge: expected 0..100, got 101");
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --to-loss 1 --to-loss 1.0"),
              2);
    CHECK_HAS(program_text("err.txt"), "error: --to-loss: expected every goal once");
    CHECK_INT(program("compare s.json --vary seed=1,2"), 2);
    CHECK_HAS(program_text("err.txt"), "all variants have the same seeds, see --seeds");
    CHECK_INT(program("compare s.json --vary network.top=lte,wired --out o"), 2);
    CHECK_HAS(program_text("err.txt"),
              "error: all 2 runs failed, the first: --set: network.top: unknown key");
}

static void a_folder_serves_one_process_at_a_time(void)
{
    write_scenario();
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --out o"), 0);
    int lock = open(PROGRAM_DIR "/o/.lock", O_RDWR);
    CHECK_INT(flock(lock, LOCK_EX | LOCK_NB), 0);
    CHECK_INT(program("compare s.json --vary network.topology=lte,wired --out o"), 2);
    CHECK_STR(program_text("err.txt"), "error: o: another veryedge works in this folder\n");
    close(lock);
}

/* 2 + 3 kWh by round 2, in which 2.5 is reached. */
static void a_goal_is_reached_at_the_end_of_its_round(void)
{
    program_write("rounds.csv", "round,end_s,comm_kwh,device_kwh,eval_loss,rouge1\n"
                                "1,10,1.5,0.5,,\n2,25,2.5,0.5,2.5,30\n3,40,1,1,2,31\n");
    struct result_moment m;
    struct err e = {0};
    CHECK_INT(result_reach(&m, PROGRAM_DIR, "eval_loss", 4, 2.5, true, &e), OK);
    CHECK_TRUE(m.s == 25 && m.rounds == 2 && m.comm_kwh == 4 && m.device_kwh == 1);
    CHECK_INT(result_reach(&m, PROGRAM_DIR, "rouge1", (double)NAN, 30.5, false, &e), OK);
    CHECK_TRUE(m.s == 40 && m.rounds == 3 && m.comm_kwh == 5 && m.device_kwh == 2);
    CHECK_INT(result_reach(&m, PROGRAM_DIR, "eval_loss", 4, 4, true, &e), OK);
    CHECK_TRUE(m.s == 0 && m.rounds == 0 && m.comm_kwh == 0 && m.device_kwh == 0);
    CHECK_INT(result_reach(&m, PROGRAM_DIR, "eval_loss", 4, 1.9, true, &e), OK);
    CHECK_TRUE(isnan(m.s) && isnan(m.rounds) && isnan(m.comm_kwh));
    CHECK_INT(result_reach(&m, PROGRAM_DIR, "loss", 4, 1.9, true, &e), ERR_INPUT);
}

/* A run with a given course, as if simulated: 4 nat before round 1, evaluated every round. */
static void fill_course(struct comparison *c, size_t seed, int n, const double *loss)
{
    char text[1024] = "round,end_s,comm_kwh,device_kwh,eval_loss,rouge1\n";
    struct summary_record s = {.accounting = "literal", .first_eval_loss = 4, .best_eval_loss = 4, .first_rouge1 = 20};
    struct err e = {0};
    for (int i = 0; i < n; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at, "%d,%d,2,0.5,%g,%d\n", i + 1, 10 * (i + 1), loss[i],
                 20 + i);
        s.best_eval_loss = fmin(s.best_eval_loss, loss[i]);
        s.last_eval_loss = loss[i];
    }
    program_write("rounds.csv", text);
    comparison_first(c, seed, &s);
    CHECK_INT(comparison_fill(c, 0, seed, PROGRAM_DIR, &s, &e), OK);
}

static double figure_of(const struct comparison *c, size_t seed, const char *name, double goal)
{
    for (size_t i = 0; i < c->n_figures; i++) {
        const struct figure *f = &c->figure[i];
        if (strcmp(f->name, name) == 0 &&
            (!f->has_goal || fabs(*comparison_bound(c, f->goal, seed) - goal) < 1e-12))
            return *comparison_cell(c, 0, seed, i);
    }
    TEST_FAIL("no figure %s for %g", name, goal);
    return (double)NAN;
}

static struct comparison *new_comparison(struct arena *a, size_t n_seeds, struct cli_list losses,
                                         struct cli_list rouges)
{
    static const uint64_t seed[] = {1, 2};
    struct goals goals;
    struct err e = {0};
    CHECK_INT(goals_parse(&goals, &losses, &rouges, &e), OK);
    struct comparison *c = comparison_new(a, 1, n_seeds, seed, &goals);
    c->label[0] = "it";
    return c;
}

static void every_goal_has_its_rounds_and_the_energy_of_network_and_devices(void)
{
    static const double loss[] = {3, 2, 1.5, 1.8};
    struct arena a = {0};
    struct comparison *c = new_comparison(&a, 1, (struct cli_list){3, {"3.5", "1.7", "last"}},
                                          (struct cli_list){1, {"22"}});
    fill_course(c, 0, 4, loss);
    CHECK_NEAR(figure_of(c, 0, "rounds_to_loss", 3.5), 1, 0);
    CHECK_NEAR(figure_of(c, 0, "rounds_to_loss", 1.7), 3, 0);
    CHECK_NEAR(figure_of(c, 0, "rounds_to_loss", 1.8), 3, 0); /* the last loss was met before */
    CHECK_NEAR(figure_of(c, 0, "time_to_loss_s", 1.7), 30, 0);
    CHECK_NEAR(figure_of(c, 0, "comm_kwh_to_loss", 1.7), 6, 0);
    CHECK_NEAR(figure_of(c, 0, "device_kwh_to_loss", 1.7), 1.5, 0);
    CHECK_NEAR(figure_of(c, 0, "kwh_to_loss", 1.7), 7.5, 0);
    CHECK_NEAR(figure_of(c, 0, "rounds_to_rouge1", 22), 3, 0);
    FILE *to = fopen(PROGRAM_DIR "/table.txt", "wb");
    comparison_print(c, to);
    fclose(to);
    CHECK_HAS(program_text("table.txt"), "rounds to loss 1.7 ");
    CHECK_HAS(program_text("table.txt"), "rounds to last loss ");
    CHECK_HAS(program_text("table.txt"), "to last loss: the last loss of it\n");
    struct err e = {0};
    CHECK_INT(comparison_write(c, PROGRAM_DIR "/c.csv", &e), OK);
    CHECK_HAS(program_text("c.csv"), "variant,seed,figure,value,unit,goal\n");
    CHECK_HAS(program_text("c.csv"), "it,1,rounds_to_loss,3,,1.7\n");
    CHECK_HAS(program_text("c.csv"), "it,1,rounds_to_loss,3,,1.8\n");
    arena_free(&a);
}

static void a_run_overfits_after_its_least_loss_unless_that_is_its_last(void)
{
    static const double back[] = {3, 1.5, 1.8, 1.6}, down[] = {3, 2, 1.5, 1.4};
    struct arena a = {0};
    struct comparison *c = new_comparison(&a, 2, (struct cli_list){0}, (struct cli_list){0});
    fill_course(c, 0, 4, back);
    fill_course(c, 1, 4, down);
    CHECK_NEAR(figure_of(c, 0, "rounds_to_best", 0), 2, 0);
    CHECK_NEAR(figure_of(c, 0, "comm_kwh_to_best", 0), 4, 0);
    CHECK_NEAR(figure_of(c, 0, "device_kwh_to_best", 0), 1, 0);
    CHECK_NEAR(figure_of(c, 0, "overfit_round", 0), 2, 0);
    CHECK_NEAR(figure_of(c, 1, "rounds_to_best", 0), 4, 0);
    CHECK_TRUE(isnan(figure_of(c, 1, "overfit_round", 0)));
    FILE *to = fopen(PROGRAM_DIR "/table.txt", "wb");
    comparison_print(c, to);
    fclose(to);
    CHECK_HAS(program_text("table.txt"), "1 of 2\n");
    CHECK_HAS(program_text("table.txt"), "overfits after: the round of its best loss");
    arena_free(&a);
}

static void curves_are_means_over_the_seeds_at_the_rounds_that_were_evaluated(void)
{
    static const char *const text[] = {"1,1,1,1,,\n2,2,1,1,3,30\n4,4,1,1,2,40\n",
                                       "1,1,1,1,,\n2,2,1,1,1,20\n4,4,1,1,1.5,50\n",
                                       "1,1,1,1,2.5,25\n4,4,1,1,2,26\n"};
    struct variant v[4] = {{0}};
    struct variants vs = {.n = 4, .variant = v};
    struct curves c;
    struct err e = {0};
    struct arena a = {0};
    for (int i = 0; i < 4; i++) {
        char path[64], all[256];
        snprintf(path, sizeof(path), "curve%d/rounds.csv", i);
        snprintf(all, sizeof(all), "round,end_s,comm_kwh,device_kwh,eval_loss,rouge1\n%s",
                 text[i < 3 ? i : 2]);
        v[i].folder = arena_printf(&a, PROGRAM_DIR "/curve%d", i);
        mkdir(v[i].folder, 0755);
        program_write(path, all);
        v[i].state = VARIANT_DONE;
        v[i].summary.first_eval_loss = 4;
        v[i].summary.first_rouge1 = (double)NAN;
    }
    static const char *const label[] = {"two seeds", "other"};
    CHECK_INT(curves_read(&c, &a, &vs, 2, label, &e), OK);
    static const double round[] = {0, 1, 2, 4}, loss[] = {4, 0, 2, 1.75}, other[] = {4, 2.5, 0, 2};
    CHECK_INT(c.n_rounds, 4);
    for (size_t i = 0; i < 4 && c.n_rounds == 4; i++) {
        CHECK_NEAR(c.round[i], round[i], 0);
        CHECK_TRUE(loss[i] > 0 ? fabs(c.loss[i] - loss[i]) < 1e-12 : isnan(c.loss[i]));
        CHECK_TRUE(other[i] > 0 ? fabs(c.loss[4 + i] - other[i]) < 1e-12 : isnan(c.loss[4 + i]));
    }
    CHECK_NEAR(c.rouge1[3], 45, 1e-12);
    v[3].state = VARIANT_FAILED; /* then the variant has no curve, the other one's is the same */
    CHECK_INT(curves_read(&c, &a, &vs, 2, label, &e), OK);
    CHECK_INT(c.n_rounds, 3);
    CHECK_TRUE(isnan(c.loss[3]) && fabs(c.loss[2] - 1.75) < 1e-12);
    arena_free(&a);
}

/* Two rounds of real training: the same adapters on either network, later in time on the slower
 * one. */
static void training_reaches_the_first_variants_loss_in_the_same_round(void)
{
    program_write("l.json", "{ \"clients\": { \"count\": 4 }, \"model\": { \"costs_of\": "
                            "\"flan-t5-small\" }, \"data\": { "
                            "\"samples\": 40, \"heldout\": 4 }, \"federation\": { \"rounds\": 2, "
                            "\"clients_per_round\": 2, "
                            "\"batch\": 1, \"local_steps\": 1 }, \"evaluate\": { \"every\": 1, "
                            "\"samples\": 2, \"rouge\": "
                            "false } }");
    CHECK_INT(program("compare l.json --vary network.topology=lte,wired --out o"), 0);
    struct csv *c = program_csv("o/compare.csv");
    CHECK_NEAR(value_of(c, "topology=lte", "1", "last_eval_loss"),
               value_of(c, "topology=wired", "1", "last_eval_loss"), 0);
    double rounds = value_of(c, "topology=lte", "1", "rounds_to_loss");
    CHECK_TRUE(rounds <= 2);
    CHECK_NEAR(value_of(c, "topology=wired", "1", "rounds_to_loss"), rounds, 0);
    CHECK_TRUE(rounds == 0 || value_of(c, "topology=lte", "1", "time_to_loss_s") >
                                  value_of(c, "topology=wired", "1", "time_to_loss_s"));
    csv_close(c);
    CHECK_HAS(program_text("out.txt"), "to loss: the last loss of topology=lte");
    CHECK_HAS(program_text("out.txt"), "loss at round");
    CHECK_HAS(program_text("out.txt"), "the curves: o/compare.svg\n");
    CHECK_HAS(program_text("o/compare.svg"), ">evaluation loss (nat)</text>");
    CHECK_HAS(program_text("o/compare.svg"), ">ROUGE-1: no values</text>");
    CHECK_INT(program("compare l.json --vary network.topology=lte,wired --out o --to-loss 0.01"),
              0);
    CHECK_HAS(program_text("out.txt"), "never");
}

int main(void)
{
    program_begin();
    CASE(lte_and_wired_cost_their_joules_per_bit);
    CASE(an_accounting_that_is_not_physical_is_named);
    CASE(files_are_compared_under_the_first_ones_seed);
    CASE(seeds_give_means_and_the_interval_of_paired_differences);
    CASE(one_job_and_two_give_the_same_bytes);
    CASE(a_failed_variant_stands_beside_the_others);
    CASE(what_a_child_says_is_the_variants_message);
    CASE(many_variants_are_rows_and_fit_a_hundred_columns);
    CASE(mistakes_are_named);
    CASE(a_folder_serves_one_process_at_a_time);
    CASE(a_goal_is_reached_at_the_end_of_its_round);
    CASE(every_goal_has_its_rounds_and_the_energy_of_network_and_devices);
    CASE(a_run_overfits_after_its_least_loss_unless_that_is_its_last);
    CASE(curves_are_means_over_the_seeds_at_the_rounds_that_were_evaluated);
    CASE(training_reaches_the_first_variants_loss_in_the_same_round);
    program_end();
    return test_end();
}
