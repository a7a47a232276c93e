/* Golden runs: every shipped scenario's virtual times, bytes and joules against tests/golden/NAME.csv, to 1e-9
 * relative (mathematical functions of other C libraries may differ in the last bit). Training is left out
 * where it does not move a figure: mini-batches still come from the real split.
 *
 *   test_golden            compares
 *   test_golden --update   writes the files anew */
#include <dirent.h>

#include "tests/program.h"

#define GOLDEN TEST_SOURCE "/tests/golden"

static const char *const COLUMNS[] = {"round",      "start_s",  "end_s",     "t_comp_s",  "t_comm_s",
                                      "granularity", "selected", "arrived",  "bytes_down", "bytes_up",
                                      "comm_kwh",   "device_kwh", "carbon_g"};
enum { N_COLUMNS = sizeof(COLUMNS) / sizeof(COLUMNS[0]) };

/* What a clone lacks, model and texts, is replaced; network, devices and the charged model stay. */
static const char *stand_ins(const char *name)
{
    return strcmp(name, "flan-t5-small") == 0
               ? "--set model.weights=builtin:tiny --set data.source=builtin:dialogues --set data.skip_empty=null"
               : "";
}

static bool run(const char *name)
{
    int status = program("run '" TEST_SOURCE "/scenarios/%s.json' --quiet --set output.dir=out --set "
                         "federation.rounds=3 --set evaluate.every=0 %s",
                         name, stand_ins(name));
    if (status != 0)
        TEST_FAIL("%s: exit status %d: %s", name, status, program_text("err.txt"));
    return status == 0;
}

static void update(const char *name)
{
    if (!run(name))
        return;
    struct csv *got = program_csv("out/rounds.csv");
    FILE *f = fopen(PROGRAM_DIR "/golden.tmp", "wb");
    for (int c = 0; f && c < N_COLUMNS; c++)
        fprintf(f, "%s%s", c ? "," : "", COLUMNS[c]);
    for (size_t r = 0; f && r < csv_rows(got); r++)
        for (int c = 0; c < N_COLUMNS; c++)
            fprintf(f, "%s%s", c ? "," : "\n", program_word(got, r, COLUMNS[c]));
    if (f) {
        fputc('\n', f);
        fclose(f);
    }
    struct err e = {0};
    const char *text = program_text("golden.tmp");
    mkdir(GOLDEN, 0755);
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "/%s.csv", name);
    if (file_replace(path, text, strlen(text), &e))
        TEST_FAIL("%s", e.text);
    csv_close(got);
}

static void compare(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), GOLDEN "/%s.csv", name);
    struct csv *want = NULL;
    struct err e = {0};
    if (csv_load(&want, path, ',', &e)) {
        TEST_FAIL("%s (test_golden --update writes it)", e.text);
        return;
    }
    if (run(name)) {
        struct csv *got = program_csv("out/rounds.csv");
        CHECK_INT(csv_rows(got), csv_rows(want));
        for (size_t r = 0; r < csv_rows(want); r++)
            for (int c = 0; c < N_COLUMNS; c++) {
                double g = program_cell(got, r, COLUMNS[c]), w = program_cell(want, r, COLUMNS[c]);
                if (!(fabs(g - w) <= 1e-9 * fabs(w)) && !(isnan(g) && isnan(w)))
                    TEST_FAIL("%s: round %zu: %s: got %.12g, want %.12g", name, r + 1, COLUMNS[c], g,
                              w);
            }
        csv_close(got);
    }
    csv_close(want);
}

/* Every scenarios/NAME.json, in any order: each is a case of its own. */
int main(int argc, char **argv)
{
    bool updates = argc > 1 && strcmp(argv[1], "--update") == 0;
    DIR *dir = opendir(TEST_SOURCE "/scenarios");
    program_begin();
    for (struct dirent *d; dir && (d = readdir(dir));) {
        char name[256];
        size_t n = strlen(d->d_name);
        if (n < 6 || n >= sizeof(name) || strcmp(d->d_name + n - 5, ".json") != 0)
            continue;
        memcpy(name, d->d_name, n - 5);
        name[n - 5] = 0;
        test_begin(name);
        if (updates)
            update(name);
        else
            compare(name);
        test_finish();
    }
    if (dir)
        closedir(dir);
    program_end();
    return test_end();
}
