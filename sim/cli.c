#include "sim/cli.h"

#include <stdio.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/text.h"

#define MAX_OPTIONS 64
#define HELP_COLUMN 24

void cli_help(const struct cli *cli)
{
    printf("usage: veryedge %s%s%s [options]\n\n%s\n\noptions:\n", cli->command,
           cli->arguments[0] ? " " : "", cli->arguments, cli->what);
    for (const struct cli_option *o = cli->option; o->kind != CLI_KIND_END; o++) {
        int n =
            printf("  --%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        printf("%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 2, "", o->help);
    }
    printf("  %-*s%s\n", HELP_COLUMN - 2, "--help", "this text");
    if (cli->examples)
        printf("\nexamples:\n%s", cli->examples);
}

static enum err_code unknown(const struct cli *cli, const char *name, struct err *e)
{
    const char *names[MAX_OPTIONS + 1] = {"help"};
    size_t n = 1;
    for (const struct cli_option *o = cli->option; o->kind != CLI_KIND_END && n <= MAX_OPTIONS; o++)
        names[n++] = o->name;
    const char *near = text_nearest(name, names, n);
    if (near)
        return err_set(e, ERR_INPUT, "%s: unknown option --%s, did you mean --%s?", cli->command,
                       name, near);
    return err_set(e, ERR_INPUT, "%s: unknown option --%s, see veryedge %s --help", cli->command,
                   name, cli->command);
}

static enum err_code take_value(const struct cli_option *o, const char *text, struct err *e)
{
    switch (o->kind) {
    case CLI_KIND_TEXT:
        *(const char **)o->out = text;
        return OK;
    case CLI_KIND_INT:
        return text_int(text, (int64_t)o->lo, (int64_t)o->hi, o->out, e);
    case CLI_KIND_DOUBLE:
        return text_double(text, o->lo, o->hi, o->out, e);
    case CLI_KIND_LIST: {
        struct cli_list *list = o->out;
        if (list->n == CLI_MAX_LIST)
            return err_set(e, ERR_INPUT, "expected it at most %d times", CLI_MAX_LIST);
        list->value[list->n++] = text;
        return OK;
    }
    case CLI_KIND_FLAG:
    case CLI_KIND_END:
        break;
    }
    CHECK(o->kind != CLI_KIND_FLAG && o->kind != CLI_KIND_END); /* these take no value */
    return ERR_INTERNAL;
}

/* The option argv[*i], whose text starts with "--"; *i moves on when its value is the next word. */
static enum err_code take_option(const struct cli *cli, int argc, char **argv, int *i,
                                 struct err *e)
{
    char name[64];
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(name, sizeof(name), "%.*s", (int)(n < 60 ? n : 60), text);
    const struct cli_option *o = cli->option;
    while (o->kind != CLI_KIND_END && strcmp(o->name, name) != 0)
        o++;
    if (o->kind == CLI_KIND_END)
        return unknown(cli, name, e);
    if (o->kind == CLI_KIND_FLAG) {
        if (equals)
            return err_set(e, ERR_INPUT, "%s: --%s: expected no value", cli->command, name);
        *(bool *)o->out = true;
        return OK;
    }
    if (!equals && *i + 1 == argc)
        return err_set(e, ERR_INPUT, "%s: --%s: expected %s behind it", cli->command, name,
                       o->argument);
    enum err_code code = take_value(o, equals ? equals + 1 : argv[++*i], e);
    return code ? err_in(e, code, "%s: --%s", cli->command, name) : OK;
}

static enum err_code check_count(const struct cli *cli, size_t n, const char *first_extra,
                                 struct err *e)
{
    if (n < cli->min_args)
        return err_set(e, ERR_INPUT, "%s: expected %s, see veryedge %s --help", cli->command,
                       cli->arguments, cli->command);
    if (n > cli->max_args)
        return err_set(e, ERR_INPUT, "%s: expected %s%s, got \"%.60s\" too", cli->command,
                       cli->max_args ? "only " : "no argument", cli->max_args ? cli->arguments : "",
                       first_extra);
    return OK;
}

enum err_code cli_parse(const struct cli *cli, int argc, char **argv, const char **args,
                        size_t *n_args, bool *is_help, struct err *e)
{
    bool is_open = true;
    const char *first_extra = NULL;
    *n_args = 0;
    *is_help = false;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_help(cli);
            *is_help = true;
            return OK;
        }
    for (int i = 1; i < argc; i++) {
        if (is_open && strcmp(argv[i], "--") == 0) {
            is_open = false;
        } else if (is_open && strncmp(argv[i], "--", 2) == 0) {
            enum err_code code = take_option(cli, argc, argv, &i, e);
            if (code)
                return code;
        } else if (is_open && argv[i][0] == '-' && argv[i][1]) {
            return unknown(cli, argv[i] + 1, e);
        } else if (*n_args < cli->max_args) {
            args[(*n_args)++] = argv[i];
        } else {
            first_extra = first_extra ? first_extra : argv[i];
        }
    }
    return check_count(cli, *n_args + (first_extra != NULL), first_extra, e);
}
