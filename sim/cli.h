/* sim/cli.h: a command's arguments as rows of options: parsing, help and suggestions from one
 * table.
 *
 *   struct run_args { const char *scenario; struct cli_list sets; int64_t workers; bool is_quiet; }
 * a = {0}; const struct cli_option options[] = { CLI_LIST("set", "KEY=VALUE", "change one value,
 * may be repeated", &a.sets), CLI_INT("workers", "N", "threads that train (default: all cores)", 1,
 * 1024, &a.workers), CLI_FLAG("quiet", "no progress, no notes", &a.is_quiet), CLI_END,
 *   };
 *   const struct cli cli = {"run", "SCENARIO", "simulate a scenario", options, 1, 1, "  veryedge
 * run s.json\n"}; code = cli_parse(&cli, argc, argv, &a.scenario, &n_args, &is_help, e); if (code
 * || is_help) return code;
 *
 * Options are --name VALUE or --name=VALUE, before or after the arguments; "--" ends them. --help
 * is always there. What the caller's variables held before is the default. */
#ifndef SIM_CLI_H
#define SIM_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

enum { CLI_MAX_LIST = 128, CLI_MAX_ARGS = 256 };

/* The values of an option that may be repeated, in the order they were given. */
struct cli_list {
    size_t n;
    const char *value[CLI_MAX_LIST];
};

enum cli_kind {
    CLI_KIND_END,
    CLI_KIND_FLAG,
    CLI_KIND_TEXT,
    CLI_KIND_INT,
    CLI_KIND_DOUBLE,
    CLI_KIND_LIST
};

struct cli_option {
    enum cli_kind kind;
    const char *name;     /* without the dashes */
    const char *argument; /* what help calls the value; NULL for a flag */
    const char *help;     /* one line; says the default */
    double lo, hi;        /* of numbers, inclusive */
    void *out;            /* bool, const char *, int64_t, double or struct cli_list */
};

#define CLI_FLAG(name, help, out)                                                                  \
    {                                                                                              \
        CLI_KIND_FLAG, name, NULL, help, 0, 0, out                                                 \
    }
#define CLI_TEXT(name, argument, help, out)                                                        \
    {                                                                                              \
        CLI_KIND_TEXT, name, argument, help, 0, 0, out                                             \
    }
#define CLI_INT(name, argument, help, lo, hi, out)                                                 \
    {                                                                                              \
        CLI_KIND_INT, name, argument, help, (double)(lo), (double)(hi), out                        \
    }
#define CLI_DOUBLE(name, argument, help, lo, hi, out)                                              \
    {                                                                                              \
        CLI_KIND_DOUBLE, name, argument, help, lo, hi, out                                         \
    }
#define CLI_LIST(name, argument, help, out)                                                        \
    {                                                                                              \
        CLI_KIND_LIST, name, argument, help, 0, 0, out                                             \
    }
#define CLI_END                                                                                    \
    {                                                                                              \
        CLI_KIND_END, NULL, NULL, NULL, 0, 0, NULL                                                 \
    }

struct cli {
    const char *command;   /* "run" */
    const char *arguments; /* "SCENARIO", as usage shows them; "" for none */
    const char *what;      /* one line */
    const struct cli_option *option;
    size_t min_args, max_args; /* arguments that are no options; max_args <= CLI_MAX_ARGS */
    const char *examples;      /* lines, each ended by "\n" */
};

/* Parses argv[1] .. argv[argc - 1] (argv[0] is the command). args [max_args] and *n_args: what is
 * no option. With --help it prints the help on stdout and sets *is_help; nothing else is checked
 * then. ERR_INPUT otherwise names the option, with the nearest one when it is unknown. */
enum err_code cli_parse(const struct cli *cli, int argc, char **argv, const char **args,
                        size_t *n_args, bool *is_help, struct err *e);

/* Usage, options and examples of a command on stdout. */
void cli_help(const struct cli *cli);

#endif
