/* The output folder: nothing is left beside it, nothing foreign is lost, and the former results stay until the new
 * ones take their place. */
#include "sim/outdir.h"

#include <dirent.h>

#include "sim/base/mem.h"
#include "tests/program.h"

#define AT(name) PROGRAM_DIR "/" name

static void put(const char *folder, const char *name, const char *text)
{
    char *path = file_join(folder, name);
    struct err e = {0};
    if (file_make_folder(folder, &e) || file_replace(path, text, strlen(text), &e))
        TEST_FAIL("%s", e.text);
    mem_free(path);
}

static void former(const char *folder)
{
    put(folder, "scenario.json", "old");
    put(folder, "summary.json", "old");
}

/* Names in the test's folder that begin with prefix. */
static int count(const char *prefix)
{
    DIR *dir = opendir(PROGRAM_DIR);
    int n = 0;
    for (struct dirent *d; dir && (d = readdir(dir));)
        n += strncmp(d->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return n;
}

static void the_former_results_stay_until_commit(void)
{
    struct outdir d;
    struct err e = {0};
    former(AT("a"));
    CHECK_INT(outdir_open(&d, AT("a"), &e), OK);
    CHECK_INT(count("a"), 1);
    CHECK_INT(outdir_begin(&d, &e), OK);
    CHECK_INT(count("a"), 2);
    put(d.aside, "summary.json", "new");
    CHECK_STR(program_text("a/summary.json"), "old");
    CHECK_INT(outdir_commit(&d, &e), OK);
    CHECK_STR(program_text("a/summary.json"), "new");
    CHECK_STR(program_text("a/scenario.json"), "");
    CHECK_INT(count("a"), 1);
}

static void an_abandoned_run_leaves_nothing_not_even_the_folders_above(void)
{
    struct outdir d;
    struct err e = {0};
    CHECK_INT(outdir_open(&d, AT("b/c/d"), &e), OK);
    CHECK_INT(count("b"), 0);
    CHECK_INT(outdir_begin(&d, &e), OK);
    CHECK_INT(count("b"), 1);
    put(d.aside, "rounds.csv", "x");
    outdir_abandon(&d);
    CHECK_INT(count("b"), 0);
}

static void refuses(const char *folder, const char *words)
{
    struct outdir d;
    struct err e = {0};
    CHECK_INT(outdir_open(&d, folder, &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
}

static void foreign_files_are_refused_in_every_depth(void)
{
    former(AT("f"));
    put(AT("f"), "notes.txt", "mine");
    refuses(AT("f"), "notes.txt");
    former(AT("g"));
    put(AT("g/adapter"), "thesis.txt", "mine");
    refuses(AT("g"), "thesis.txt");
    former(AT("h"));
    put(AT("h/adapter/round-3"), "thesis.txt", "mine");
    refuses(AT("h"), "thesis.txt");
    former(AT("i"));
    put(AT("i/rounds.csv"), "x", "mine");
    refuses(AT("i"), "rounds.csv");
}

static void a_scenario_that_the_user_wrote_is_no_former_run(void)
{
    put(AT("j"), "scenario.json", "{}");
    refuses(AT("j"), "without \"summary.json\"");
}

static void a_former_runs_adapters_are_replaced(void)
{
    struct outdir d;
    struct err e = {0};
    former(AT("k"));
    put(AT("k/adapter/round-3"), "adapter_config.json", "{}");
    put(AT("k/adapter"), "README.md", "");
    CHECK_INT(outdir_open(&d, AT("k"), &e), OK);
    CHECK_INT(outdir_begin(&d, &e), OK);
    CHECK_INT(outdir_commit(&d, &e), OK);
    CHECK_TRUE(!file_exists(AT("k/adapter")));
}

static void a_link_stays_a_link_and_one_to_nothing_is_refused(void)
{
    struct outdir d;
    struct err e = {0};
    char target[16];
    former(AT("m"));
    CHECK_INT(symlink("m", AT("link")), 0);
    CHECK_INT(symlink("nowhere", AT("void")), 0);
    CHECK_INT(outdir_open(&d, AT("link"), &e), OK);
    CHECK_INT(outdir_begin(&d, &e), OK);
    put(d.aside, "summary.json", "new");
    CHECK_INT(outdir_commit(&d, &e), OK);
    CHECK_INT(readlink(AT("link"), target, sizeof(target)), 1);
    CHECK_STR(program_text("m/summary.json"), "new");
    refuses(AT("void"), "a link to nothing");
}

static void a_mount_point_is_refused_before_the_run(void)
{
    refuses("/proc", "expected");
    refuses("/", "expected");
}

static void what_a_killed_run_left_is_removed_but_not_a_living_ones(void)
{
    struct outdir living, d;
    struct err e = {0};
    put(AT("n.part-999999999"), "rounds.csv", "x");
    put(AT("n.part-notes"), "mine.txt", "x");
    CHECK_INT(outdir_open(&living, AT("n"), &e), OK);
    CHECK_TRUE(!file_exists(AT("n.part-999999999")));
    CHECK_TRUE(file_exists(AT("n.part-notes/mine.txt")));
    CHECK_INT(outdir_begin(&living, &e), OK);
    put(living.aside, "rounds.csv", "x");
    CHECK_INT(rename(living.aside, AT("n.part-7")), 0); /* as if another process wrote it */
    CHECK_INT(outdir_open(&d, AT("n"), &e), OK);
    CHECK_TRUE(file_exists(AT("n.part-7/rounds.csv")));
    outdir_abandon(&d);
    outdir_abandon(&living);
}

int main(void)
{
    program_begin();
    CASE(the_former_results_stay_until_commit);
    CASE(an_abandoned_run_leaves_nothing_not_even_the_folders_above);
    CASE(foreign_files_are_refused_in_every_depth);
    CASE(a_scenario_that_the_user_wrote_is_no_former_run);
    CASE(a_former_runs_adapters_are_replaced);
    CASE(a_link_stays_a_link_and_one_to_nothing_is_refused);
    CASE(a_mount_point_is_refused_before_the_run);
    CASE(what_a_killed_run_left_is_removed_but_not_a_living_ones);
    program_end();
    return test_end();
}
