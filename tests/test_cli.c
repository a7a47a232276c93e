#include "sim/cli.h"

#include "tests/test.h"

struct args {
    bool is_quiet;
    const char *file;
    int64_t workers;
    double share;
    struct cli_list sets;
    const char *arg[2];
    size_t n_args;
    bool is_help;
};

static enum err_code parse(struct args *a, const char *const *words, struct err *e)
{
    const struct cli_option options[] = {
        CLI_FLAG("quiet", "say less", &a->is_quiet),
        CLI_TEXT("file", "FILE", "a file", &a->file),
        CLI_INT("workers", "N", "threads", 1, 64, &a->workers),
        CLI_DOUBLE("share", "X", "a share", 0, 1, &a->share),
        CLI_LIST("set", "KEY=VALUE", "a value", &a->sets),
        CLI_END,
    };
    const struct cli cli = {"run", "SCENARIO [OTHER]", "runs", options, 1, 2, "  veryedge run x\n"};
    char text[16][64];
    char *argv[16] = {text[0]};
    int argc = 1;
    strcpy(text[0], "run");
    for (; words[argc - 1]; argc++) {
        snprintf(text[argc], sizeof(text[argc]), "%s", words[argc - 1]);
        argv[argc] = text[argc];
    }
    enum err_code code = cli_parse(&cli, argc, argv, a->arg, &a->n_args, &a->is_help, e);
    if (a->n_args > 0)
        CHECK_STR(a->arg[0], "s.json");
    if (a->sets.n == 2) {
        CHECK_STR(a->sets.value[0], "a=1");
        CHECK_STR(a->sets.value[1], "b=2");
    }
    if (a->file)
        CHECK_STR(a->file, "-x");
    return code;
}

#define PARSE(a, e, ...) parse(a, (const char *const[]){__VA_ARGS__, NULL}, e)

static void options_stand_before_or_behind_arguments(void)
{
    struct args a = {.workers = 7};
    struct err e = {0};
    CHECK_INT(PARSE(&a, &e, "--set", "a=1", "s.json", "--quiet", "--set=b=2", "--workers=3",
                    "--share", "0.25", "--file", "-x"),
              OK);
    CHECK_INT(a.n_args, 1);
    CHECK_TRUE(a.is_quiet && !a.is_help);
    CHECK_INT(a.workers, 3);
    CHECK_NEAR(a.share, 0.25, 0);
    CHECK_INT(a.sets.n, 2);
}

static void what_is_not_given_keeps_its_default(void)
{
    struct args a = {.workers = 7};
    struct err e = {0};
    CHECK_INT(PARSE(&a, &e, "s.json"), OK);
    CHECK_INT(a.workers, 7);
    CHECK_TRUE(!a.is_quiet && !a.file);
}

static void two_dashes_end_the_options(void)
{
    struct args a = {0};
    struct err e = {0};
    CHECK_INT(PARSE(&a, &e, "s.json", "--", "--quiet"), OK);
    CHECK_INT(a.n_args, 2);
    CHECK_TRUE(!a.is_quiet);
}

static void check_refused(const char *const *words, const char *want)
{
    struct args a = {0};
    struct err e = {0};
    CHECK_INT(parse(&a, words, &e), ERR_INPUT);
    CHECK_STR(e.text, want);
}
#define REFUSED(want, ...) check_refused((const char *const[]){__VA_ARGS__, NULL}, want)

static void mistakes_are_named(void)
{
    REFUSED("run: unknown option --worker, did you mean --workers?", "s.json", "--worker", "3");
    REFUSED("run: unknown option --banana, see veryedge run --help", "s.json", "--banana");
    REFUSED("run: unknown option --q, see veryedge run --help", "s.json", "-q");
    REFUSED("run: --workers: expected 1..64, got 0", "s.json", "--workers", "0");
    REFUSED("run: --workers: expected 1..64, got 65", "s.json", "--workers=65");
    REFUSED("run: --workers: expected a whole number, got \"two\"", "s.json", "--workers", "two");
    REFUSED("run: --workers: expected N behind it", "s.json", "--workers");
    REFUSED("run: --share: expected 0..1, got 1.5", "s.json", "--share", "1.5");
    REFUSED("run: --quiet: expected no value", "s.json", "--quiet=yes");
    REFUSED("run: expected SCENARIO [OTHER], see veryedge run --help", "--quiet");
    REFUSED("run: expected only SCENARIO [OTHER], got \"third\" too", "s.json", "second", "third");
}

static void help_wins_over_mistakes(void)
{
    struct args a = {0};
    struct err e = {0};
    CHECK_INT(PARSE(&a, &e, "--banana", "--help"), OK);
    CHECK_TRUE(a.is_help);
}

int main(void)
{
    CASE(options_stand_before_or_behind_arguments);
    CASE(what_is_not_given_keeps_its_default);
    CASE(two_dashes_end_the_options);
    CASE(mistakes_are_named);
    CASE(help_wins_over_mistakes);
    return test_end();
}
