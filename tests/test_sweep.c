/* sweep as a user runs it: the grid, its CSV, and what a kill or a Ctrl-C leaves. */
#include <dirent.h>
#include <time.h>

#include "sim/cells.h"
#include "tests/program.h"

static void write_scenario(const char *sweep)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "{ \"clients\": { \"count\": 20 }, \"model\": { \"costs_of\": \"flan-t5-small\", "
             "\"train\": \"none\" }, "
             "\"compute\": { \"time\": \"3s\" }, \"federation\": { \"rounds\": 2, "
             "\"clients_per_round\": 4, "
             "\"payload\": { \"down\": \"1MB\", \"up\": \"2MB\" } }%s }",
             sweep);
    program_write("s.json", text);
}

/* `veryedge ARGS`, sent a signal after some seconds; the status as timeout(1) tells it. */
static int program_signalled(const char *signal, double after_s, const char *args)
{
    char line[2048];
    snprintf(line, sizeof(line),
             "cd " PROGRAM_DIR
             " || exit 9; timeout --preserve-status -s %s %g '%s' %s >out.txt 2>err.txt",
             signal, after_s, TEST_VERYEDGE, args);
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void every_combination_is_a_row_in_order(void)
{
    write_scenario(
        ", \"sweep\": { \"network.up\": [\"5Mbps\", \"10Mbps\"], \"federation.clients_per_round\": "
        "[5, 10, 20] }");
    CHECK_INT(program("sweep s.json --out o --figure comm_kwh"), 0);
    struct csv *c = program_csv("o/sweep.csv");
    CHECK_INT(csv_rows(c), 6);
    CHECK_STR(csv_header(c, 0), "network.up");
    CHECK_STR(csv_header(c, 1), "federation.clients_per_round");
    static const char *const up[] = {"5Mbps", "5Mbps", "5Mbps", "10Mbps", "10Mbps", "10Mbps"};
    static const int clients[] = {5, 10, 20, 5, 10, 20};
    for (size_t i = 0; i < 6; i++) {
        CHECK_STR(program_word(c, i, "network.up"), up[i]);
        CHECK_INT(program_cell(c, i, "federation.clients_per_round"), clients[i]);
        CHECK_INT(program_cell(c, i, "clients_per_round"), clients[i]);
        CHECK_INT(program_cell(c, i, "bytes_up"), 2 * clients[i] * 2000000);
        CHECK_STR(program_word(c, i, "outcome"), "complete");
    }
    CHECK_REL(program_cell(c, 2, "comm_kwh"), 4 * program_cell(c, 0, "comm_kwh"), 1e-12);
    CHECK_REL(program_cell(c, 3, "comm_kwh"), program_cell(c, 0, "comm_kwh"), 1e-12);
    csv_close(c);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "comm_kwh (kWh): network.up down, federation.clients_per_round across");
    CHECK_HAS(out, "@@");
}

static void one_job_and_two_give_the_same_bytes(void)
{
    char first[65536];
    write_scenario("");
    CHECK_INT(program("sweep s.json --vary network.up=1Mbps,5Mbps,9Mbps --jobs 1 --out o1"), 0);
    CHECK_HAS(program_text("out.txt"), "-*");
    snprintf(first, sizeof(first), "%s", program_text("o1/sweep.csv"));
    CHECK_INT(program("sweep s.json --vary network.up=1Mbps,5Mbps,9Mbps --jobs 2 --out o2"), 0);
    CHECK_STR(program_text("o2/sweep.csv"), first);
}

static void a_failed_point_is_a_row_with_its_message(void)
{
    write_scenario("");
    CHECK_INT(program("sweep s.json --vary federation.clients_per_round=20,21 --out o"), 0);
    struct csv *c = program_csv("o/sweep.csv");
    CHECK_STR(program_word(c, 1, "outcome"), "failed");
    CHECK_HAS(program_word(c, 1, "message"), "expected at most clients.count, 20, got 21");
    CHECK_TRUE(isnan(program_cell(c, 1, "comm_kwh")));
    csv_close(c);
    CHECK_HAS(program_text("out.txt"), "clients_per_round=21 failed: ");
}

/* The scenario without training whose joules can be had by hand, of LoRA's payload. */
static void write_sensitivity(void)
{
    program_write("s.json", "{ \"clients\": { \"count\": 20, \"device\": \"a100-80gb\" }, \"model\": { "
                            "\"costs_of\": \"flan-t5-small\", \"train\": \"none\" }, "
                            "\"federation\": { \"rounds\": 2, \"clients_per_round\": 4, \"batch\": 1 } }");
}

static double ratio(const struct csv *c, const char *figure)
{
    return program_cell(c, 1, figure) / program_cell(c, 0, figure);
}

/* Each parameter of the study's sensitivity moves G and kWh by what the formula says. */
static void every_parameter_moves_g_and_kwh_as_the_formula_says(void)
{
    static const struct {
        const char *vary;
        double kwh, t_comp, comm_lo, comm_hi; /* ratios of the second to the first point */
    } rows[] = {
        {"network.up=5Mbps,10Mbps", 1, 1, 0.5, 0.65},
        {"network.down=20Mbps,40Mbps", 1, 1, 0.7, 0.9},
        {"model.lora.rank=4,8", 2, 1, 1.6, 2},
        {"federation.clients_per_round=4,8", 2, 1, 1, 1},
        {"federation.local_steps=2,6", 1, 3, 1, 1},
        {"model.costs_of=flan-t5-small,flan-t5-large", 4718592.0 / 688128, 1.84 / 0.64, 5, 7},
        {"energy.per_bit=j16,v15", (2 * 188.5 + 490.37 + 76200 + 19000) / (2 * 283.5 + 490.37 + 82820 + 12400),
         1, 1, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_sensitivity();
        CHECK_INT(program("sweep s.json --vary %s --out sensitive%zu", rows[i].vary, i), 0);
        CHECK_HAS(program_text("out.txt"), "mean_granularity");
        CHECK_HAS(program_text("out.txt"), "comm_kwh (kWh)");
        char name[64];
        snprintf(name, sizeof(name), "sensitive%zu/sweep.csv", i);
        struct csv *c = program_csv(name);
        CHECK_REL(ratio(c, "comm_kwh"), rows[i].kwh, 1e-3);
        CHECK_REL(ratio(c, "mean_t_comp_s"), rows[i].t_comp, 1e-9);
        double comm = ratio(c, "mean_t_comm_s");
        CHECK_TRUE(comm >= rows[i].comm_lo - 1e-9 && comm <= rows[i].comm_hi + 1e-9);
        CHECK_REL(ratio(c, "mean_granularity"), rows[i].t_comp / comm, 1e-9);
        csv_close(c);
    }
}

static void figures_are_drawn_in_letters_and_as_svg(void)
{
    write_sensitivity();
    CHECK_INT(program("sweep s.json --vary federation.payload=lora,full --vary network.up=5Mbps,10Mbps "
                      "--figure total_kwh --figure mean_t_comm_s --out drawn"),
              0);
    CHECK_HAS(program_text("out.txt"), "total_kwh (kWh): federation.payload down, network.up across");
    CHECK_HAS(program_text("out.txt"), "mean_t_comm_s (s): federation.payload down");
    CHECK_HAS(program_text("out.txt"), "the figures as curves: drawn/sweep.svg\n");
    const char *svg = program_text("drawn/sweep.svg");
    CHECK_HAS(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    CHECK_HAS(svg, "s; a line for each federation.payload</text>");
    CHECK_HAS(svg, ">mean_t_comm_s (s), logarithmic</text>");
    CHECK_HAS(svg, "<title>full, 10Mbps: ");
    CHECK_TRUE(!strstr(svg, "nan") && !strstr(svg, "inf"));
    /* Over three axes there is nothing to draw, and what a former sweep drew is gone. */
    CHECK_INT(program("sweep s.json --vary federation.payload=lora,full --vary network.up=5Mbps,10Mbps "
                      "--vary network.down=20Mbps,40Mbps --out drawn"),
              0);
    CHECK_TRUE(!strstr(program_text("out.txt"), "sweep.svg"));
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/drawn/sweep.svg"));
}

static void an_accounting_that_is_not_physical_is_named(void)
{
    write_sensitivity();
    CHECK_INT(program("sweep s.json --vary energy.accounting=literal,paper-table1 --out named"), 0);
    CHECK_HAS(program_text("out.txt"), "not physical");
    CHECK_HAS(program_text("named/sweep.svg"), "not physical");
    CHECK_INT(program("sweep s.json --vary network.up=5Mbps,10Mbps --out named"), 0);
    CHECK_TRUE(!strstr(program_text("out.txt"), "not physical"));
    CHECK_TRUE(!strstr(program_text("named/sweep.svg"), "not physical"));
}

static time_t changed(const char *name, long *ns)
{
    struct stat st = {0};
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s", name);
    CHECK_INT(stat(path, &st), 0);
    *ns = st.st_mtim.tv_nsec;
    return st.st_mtim.tv_sec;
}

/* A point is kept as it is while its scenario is, and is run again when that changes or somebody
 * asks. */
static void finished_points_are_kept_until_their_scenario_changes(void)
{
    const char *const file = "o/variants/up=5Mbps/summary.json";
    long ns[4];
    time_t s[4];
    write_scenario("");
    program("sweep s.json --vary network.up=5Mbps,9Mbps --out o");
    s[0] = changed(file, &ns[0]);
    CHECK_INT(program("sweep s.json --vary network.up=3Mbps,5Mbps --out o"), 0);
    s[1] = changed(file, &ns[1]);
    CHECK_TRUE(s[0] == s[1] && ns[0] == ns[1]);
    CHECK_INT(
        program("sweep s.json --vary network.up=3Mbps,5Mbps --out o --set federation.rounds=3"), 0);
    s[2] = changed(file, &ns[2]);
    CHECK_TRUE(s[1] != s[2] || ns[1] != ns[2]);
    struct csv *c = program_csv("o/sweep.csv");
    CHECK_INT(program_cell(c, 1, "rounds"), 3);
    csv_close(c);
    program("sweep s.json --vary network.up=3Mbps,5Mbps --out o --set federation.rounds=3 --fresh");
    s[3] = changed(file, &ns[3]);
    CHECK_TRUE(s[2] != s[3] || ns[2] != ns[3]);
}

#define LONG_SWEEP                                                                                 \
    "sweep s.json --set federation.rounds=1000 --vary network.up=1Mbps,2Mbps,3Mbps,4Mbps,5Mbps "   \
    "--vary network.down=20Mbps,30Mbps,40Mbps,50Mbps --jobs 2"

/* The n-th kill comes some milliseconds after the n-th point was finished, in the midst of others. */
static void killed_ten_times_and_resumed_gives_the_same_bytes(void)
{
    static char whole[65536];
    write_scenario("");
    CHECK_INT(program(LONG_SWEEP " --out whole"), 0);
    snprintf(whole, sizeof(whole), "%s", program_text("whole/sweep.csv"));
    CHECK_INT(program("--version >v.txt; n=0; for ms in 00 37 03 21 11 29 01 17 07 13; do '" TEST_VERYEDGE "' " LONG_SWEEP
                      " --out killed >seen.txt 2>said.txt & pid=$!; n=$((n + 1)); i=0; until "
                      "[ $(ls killed/variants 2>ls.txt | grep -vc part-) -ge $n ] || [ $i -ge 3000 ]; do "
                      "sleep 0.01; i=$((i + 1)); done; sleep 0.0$ms; kill -KILL $pid; wait $pid; "
                      "echo $? >>status.txt; done; ls killed/variants | grep -vc part- >kept.txt; true"),
              0);
    int n_killed = 0;
    for (const char *at = program_text("status.txt"); (at = strstr(at, "137")); at++)
        n_killed++;
    CHECK_TRUE(n_killed >= 5); /* a fast machine may be through before the last */
    CHECK_TRUE(atoi(program_text("kept.txt")) >= n_killed);
    CHECK_INT(program(LONG_SWEEP " --out killed"), 0);
    CHECK_STR(program_text("killed/sweep.csv"), whole);
    CHECK_INT(system("ls " PROGRAM_DIR "/killed/variants | grep -q part-"), 256);
}

/* Processes that were started with this word among their arguments. */
static int processes_with(const char *word)
{
    int n = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char path[300], line[4096];
        snprintf(path, sizeof(path), "/proc/%.40s/cmdline", d->d_name);
        FILE *f = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? fopen(path, "rb") : NULL;
        size_t n_bytes = f ? fread(line, 1, sizeof(line) - 1, f) : 0;
        if (f)
            fclose(f);
        for (size_t i = 0; i < n_bytes; i++)
            line[i] = line[i] ? line[i] : ' ';
        line[n_bytes] = 0;
        n += strstr(line, word) != NULL;
    }
    if (dir)
        closedir(dir);
    return n;
}

static void children_of_a_killed_sweep_end_with_it(void)
{
    char args[256], word[64];
    write_scenario("");
    snprintf(word, sizeof(word), "orphan-%ld", (long)getpid());
    snprintf(args, sizeof(args),
             "sweep s.json --vary federation.rounds=900000,1000000 --jobs 2 --out %s", word);
    CHECK_INT(program_signalled("KILL", 1.0, args), 137);
    for (int i = 0; i < 1000 && processes_with(word) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    CHECK_INT(processes_with(word), 0);
}

/* Ctrl-C while a run of a million rounds goes on: no child is left, nothing half written stays,
 * what was done is kept. */
static void ctrl_c_ends_the_children_and_says_what_is_kept(void)
{
    write_scenario("");
    /* The signal comes when the first point is done and the long run writes its results aside. */
    CHECK_INT(program("sweep s.json --vary network.up=1Mbps,2Mbps --vary network.down=20Mbps,40Mbps "
                      "--vary federation.rounds=10,1000000 --jobs 2 --out stopped >seen.txt 2>said.txt & "
                      "pid=$!; d=stopped/variants/up=1Mbps,down=20Mbps,rounds=10; i=0; "
                      "until [ -f $d/summary.json ] && ls -d ${d}00000.part-* >ls.txt 2>&1 || "
                      "[ $i -ge 1200 ]; do sleep 0.05; i=$((i + 1)); done; sleep 0.2; kill -INT $pid; "
                      "wait $pid"),
              130);
    CHECK_HAS(program_text("said.txt"), "interrupted: ");
    CHECK_HAS(program_text("said.txt"), " of 8 runs are kept; the same command goes on from there");
    CHECK_INT(system("ls " PROGRAM_DIR "/stopped/variants | grep -q part-"), 256);
    CHECK_HAS(program_text("stopped/variants/up=1Mbps,down=20Mbps,rounds=10/summary.json"),
              "\"complete\"");
    CHECK_HAS(program_text("stopped/variants/up=1Mbps,down=20Mbps,rounds=1000000/summary.json"),
              "\"interrupted\"");
}

static void mistakes_are_named(void)
{
    write_scenario("");
    CHECK_INT(program("sweep s.json"), 2);
    CHECK_HAS(program_text("err.txt"),
              "expected \"sweep\": {KEY: [VALUE, ...]} in it, or --vary KEY=VALUE,...");
    CHECK_INT(program("sweep s.json --vary network.up=1Mbps,2Mbps --figure comm_kw --out o"), 2);
    CHECK_HAS(program_text("err.txt"), "did you mean \"comm_kwh\"?");
    CHECK_INT(program("sweep s.json --vary network.up=1Mbps,2Mbps --figure comm_kwh --figure comm_kwh "
                      "--out o"),
              2);
    CHECK_HAS(program_text("err.txt"), "--figure: expected \"comm_kwh\" once");
    CHECK_INT(program("sweep s.json --vary network.up=1Mbps,2Mbps,1Mbps --out o"), 2);
    CHECK_HAS(program_text("err.txt"),
              "--vary network.up: expected every value once, got \"1Mbps\" again");
    CHECK_INT(program("sweep s.json --vary network.ups=1Mbps --out o"), 2);
    CHECK_HAS(program_text("err.txt"), "network.ups: unknown key, did you mean \"up\"?");
}

static void numbers_for_people_have_four_digits(void)
{
    struct arena a = {0};
    CHECK_STR(cells_number(&a, 12345.6), "12346");
    CHECK_STR(cells_number(&a, 3.14159), "3.142");
    CHECK_STR(cells_number(&a, 0.0123456), "0.01235");
    CHECK_STR(cells_number(&a, 0.0001234), "0.0001234");
    CHECK_STR(cells_number(&a, 0), "0");
    CHECK_STR(cells_number(&a, 40), "40");
    CHECK_STR(cells_number(&a, (double)NAN), "-");
    CHECK_STR(cells_percent(&a, -1, 8), "-12.5 %");
    CHECK_STR(cells_percent(&a, 1, 0), "-");
    arena_free(&a);
}

int main(void)
{
    program_begin();
    CASE(every_combination_is_a_row_in_order);
    CASE(one_job_and_two_give_the_same_bytes);
    CASE(a_failed_point_is_a_row_with_its_message);
    CASE(every_parameter_moves_g_and_kwh_as_the_formula_says);
    CASE(figures_are_drawn_in_letters_and_as_svg);
    CASE(an_accounting_that_is_not_physical_is_named);
    CASE(finished_points_are_kept_until_their_scenario_changes);
    CASE(killed_ten_times_and_resumed_gives_the_same_bytes);
    CASE(children_of_a_killed_sweep_end_with_it);
    CASE(ctrl_c_ends_the_children_and_says_what_is_kept);
    CASE(mistakes_are_named);
    CASE(numbers_for_people_have_four_digits);
    program_end();
    return test_end();
}
