/* The labs: every command on their pages runs, and every answer is what it gives. */
#include "tests/program.h"

/* A folder like the project's, so that the pages' commands run as they stand. */
static void copy_labs(void)
{
    CHECK_INT(system("cd " PROGRAM_DIR " && mkdir scenarios && cp -r '" TEST_SOURCE
                     "/scenarios/labs' '" TEST_SOURCE
                     "/scenarios/quickstart.json' scenarios/ && mkdir bin && ln -s '" TEST_VERYEDGE
                     "' bin/veryedge"),
              0);
}

/* Runs the page's blocks of commands, from the first to the last; returns how many there were. */
static int run_page(const char *name)
{
    char page[32768], line[4096];
    int n = 0;
    snprintf(line, sizeof(line), "scenarios/labs/%s.md", name);
    snprintf(page, sizeof(page), "%s", program_text(line));
    for (char *at = page; (at = strstr(at, "```sh\n")); n++) {
        char *command = at + 6, *end = strstr(command, "\n```");
        if (!end) {
            TEST_FAIL("%s: a block has no end", name);
            break;
        }
        *end = 0;
        snprintf(line, sizeof(line),
                 "cd " PROGRAM_DIR " && PATH=\"$PWD/bin:$PATH\" && %s >out.txt 2>err.txt", command);
        if (system(line) != 0)
            TEST_FAIL("%s: %s: %s", name, command, program_text("err.txt"));
        at = end + 1;
    }
    return n;
}

/* The number behind the n-th "**Answer: ", or behind words of the page. */
static double stated(const char *name, const char *words)
{
    char path[256];
    snprintf(path, sizeof(path), "scenarios/labs/%s.md", name);
    const char *at = strstr(program_text(path), words);
    return at ? atof(at + strlen(words)) : (double)NAN;
}

static double answer(const char *name, int n)
{
    char path[256];
    snprintf(path, sizeof(path), "scenarios/labs/%s.md", name);
    const char *at = program_text(path);
    for (int i = 0; i < n && at; i++) {
        at = strstr(at, "**Answer: ");
        at = at ? at + strlen("**Answer: ") : NULL;
    }
    return at ? atof(at) : (double)NAN;
}

/* A figure in a run's summary.json. */
static double summary(const char *folder, const char *figure)
{
    char path[256], key[64];
    snprintf(path, sizeof(path), "%s/summary.json", folder);
    snprintf(key, sizeof(key), "\"%s\": ", figure);
    const char *at = strstr(program_text(path), key);
    return at ? atof(at + strlen(key)) : (double)NAN;
}

static void lab_1_bandwidth(void)
{
    const char *lab = "01-bandwidth";
    CHECK_INT(run_page(lab), 3);
    struct csv *c = program_csv("scenarios/labs/runs/sweep-lab-bandwidth/sweep.csv");
    CHECK_INT(csv_rows(c), 6);
    for (size_t i = 1; i < csv_rows(c); i++) {
        CHECK_TRUE(program_cell(c, i, "mean_granularity") >
                   program_cell(c, i - 1, "mean_granularity"));
        CHECK_NEAR(program_cell(c, i, "comm_kwh"), program_cell(c, 0, "comm_kwh"), 0);
    }
    csv_close(c);
    c = program_csv("scenarios/labs/runs/plan-lab-bandwidth/plan.csv");
    const char *point = program_word(c, csv_rows(c) - 1, "point");
    CHECK_HAS(point, "Mbps");
    CHECK_REL(atof(point + strlen("network.up=")), answer(lab, 1), 0.002);
    CHECK_NEAR(program_cell(c, csv_rows(c) - 1, "mean_duration_s"), 2.92, 0.001);
    csv_close(c);
    CHECK_REL(summary("runs/lab-bandwidth-free", "mean_granularity"), answer(lab, 2), 0.001);
    CHECK_REL(summary("runs/lab-bandwidth-free", "mean_t_comp_s"), 1.46, 0.001);
}

static void lab_2_rank(void)
{
    const char *lab = "02-rank";
    const char *folders[] = {"scenarios/labs/runs/compare-02-rank/variants/rank=1,seed=1",
                             "scenarios/labs/runs/compare-02-rank/variants/rank=16,seed=1",
                             "runs/lab-ranks/variants/rank=16,seed=1",
                             "runs/lab-ranks/variants/rank=64,seed=1"};
    CHECK_INT(run_page(lab), 3);
    CHECK_TRUE(summary(folders[1], "last_eval_loss") < 0.8 * summary(folders[0], "last_eval_loss"));
    CHECK_REL(summary(folders[1], "comm_kwh"), 16 * summary(folders[0], "comm_kwh"), 1e-6);
    CHECK_NEAR(summary(folders[1], "mean_duration_s") / summary(folders[0], "mean_duration_s"), 2.5,
               0.1);
    CHECK_INT(summary("runs/lab-rank-4", "payload_up_bytes"), answer(lab, 1));
    CHECK_REL(summary(folders[3], "mean_t_comm_s") / summary(folders[2], "mean_t_comm_s"),
              answer(lab, 2), 0.002);
}

static void lab_3_uneven_data(void)
{
    const char *lab = "03-noniid";
    const char *even = "scenarios/labs/runs/compare-03-noniid/variants/alpha=100,seed=1";
    const char *uneven = "scenarios/labs/runs/compare-03-noniid/variants/alpha=0.05,seed=1";
    CHECK_INT(run_page(lab), 1);
    double more = summary(uneven, "last_eval_loss") / summary(even, "last_eval_loss") - 1;
    CHECK_NEAR(100 * more, answer(lab, 1), 0.2); /* other kernels round otherwise */
    CHECK_NEAR(100 * (summary(uneven, "device_kwh") / summary(even, "device_kwh") - 1),
               answer(lab, 2), 0.02);
    CHECK_NEAR(summary(uneven, "virtual_s"), summary(even, "virtual_s"), 1e-9);
    CHECK_NEAR(summary(uneven, "comm_kwh"), summary(even, "comm_kwh"), 1e-12);
}

static void lab_4_devices(void)
{
    const char *lab = "04-devices";
    double round_s[2][2], device_kwh[2][2];
    CHECK_INT(run_page(lab), 1);
    for (int net = 0; net < 2; net++)
        for (int device = 0; device < 2; device++) {
            char folder[256];
            snprintf(folder, sizeof(folder),
                     "scenarios/labs/runs/compare-04-devices/variants/topology=%s,device=%s,seed=1",
                     net ? "wired" : "lte", device ? "a100-80gb" : "agx-orin-64gb");
            round_s[net][device] = summary(folder, "mean_duration_s");
            device_kwh[net][device] = summary(folder, "device_kwh");
        }
    CHECK_NEAR(100 * (1 - round_s[0][1] / round_s[0][0]), answer(lab, 1), 0.005);
    CHECK_NEAR(100 * (1 - round_s[1][1] / round_s[1][0]), stated(lab, "**and "), 0.002);
    CHECK_REL(device_kwh[0][1] / device_kwh[0][0], answer(lab, 2), 0.002);
}

static void lab_5_stragglers(void)
{
    const char *lab = "05-stragglers";
    CHECK_INT(run_page(lab), 2);
    struct csv *c = program_csv("scenarios/labs/runs/sweep-lab-stragglers/sweep.csv");
    CHECK_INT(program_cell(c, 0, "arrived"), 0);
    CHECK_INT(program_cell(c, 1, "arrived"), stated(lab, "%**: "));
    CHECK_INT(program_cell(c, 2, "arrived"), program_cell(c, 1, "arrived"));
    CHECK_INT(program_cell(c, 3, "arrived"), program_cell(c, 3, "selected"));
    CHECK_NEAR(100 * (1 - program_cell(c, 1, "arrived") / program_cell(c, 1, "selected")),
               answer(lab, 1), 1e-9);
    csv_close(c);
    c = program_csv("scenarios/labs/runs/plan-lab-stragglers/plan.csv");
    const char *point = program_word(c, csv_rows(c) - 1, "point");
    CHECK_REL(atof(point + strlen("clients.groups[1].network.up=")), answer(lab, 2), 0.002);
    csv_close(c);
}

int main(void)
{
    program_begin();
    copy_labs();
    CASE(lab_1_bandwidth);
    CASE(lab_2_rank);
    CASE(lab_3_uneven_data);
    CASE(lab_4_devices);
    CASE(lab_5_stragglers);
    program_end();
    return test_end();
}
