/* veryedge: dispatch to the subcommands. The only place that prints an error and the only exit. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/text.h"
#include "sim/cmd.h"
#include "sim/version.h"

/* One row per subcommand: adding one is a file sim/cmd_NAME.c, its line in cmd.h and its row here. */
static const struct command {
    const char *name, *what;
    enum err_code (*call)(int argc, char **argv, struct err *e);
} COMMANDS[] = {
    {"run", "simulate a scenario and train for real; writes its output folder", cmd_run},
    {"check", "check a scenario; print it resolved, with paths, J/bit and closed-form times",
     cmd_check},
    {"compare", "run variants with the same seeds; every main figure side by side", cmd_compare},
    {"sweep", "run every combination of the values of some keys; resumable", cmd_sweep},
    {"plan", "find what is just enough to stay within limits, and what to upgrade first", cmd_plan},
    {"pretrain", "make the built-in model from nothing, or probe what LoRA can teach one",
     cmd_pretrain},
    {"samples", "print what a run's model wrote before the first round and after the last", cmd_samples},
    {"merge", "make one model folder of an adapter and the model it belongs to", cmd_merge},
    {"report", "one HTML page about the results of one run, or of several compared", cmd_report},
    {"plot", "curves of one run, or of several, in the terminal", cmd_plot},
    {"tensorboard", "the rounds of runs as TensorBoard's event files", cmd_tensorboard},
    {"bench", "time the simulator alone, or a cohort's training", cmd_bench},
    {"paper", "the study's tables, printed beside recomputed, cell by cell", cmd_paper},
};
enum { N_COMMANDS = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static void print_help(void)
{
    printf("veryedge: what will this federated fine-tuning job cost on this network, in time, energy and\n"
           "model quality? Simulates every transfer, trains every client for real.\n"
           "usage: veryedge COMMAND [OPTIONS], where COMMAND is one of\n");
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-11s %s\n", COMMANDS[i].name, COMMANDS[i].what);
    printf("\nveryedge COMMAND --help explains a command, veryedge --version this build and its libraries\n\n"
           "examples:\n"
           "  veryedge run scenarios/quickstart.json --set network.topology=wired\n\n"
           "exit status: 0 done, 1 failed, 2 asked wrongly, 130 interrupted (complete rounds are kept)\n");
}

static enum err_code unknown(const char *name, struct err *e)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = COMMANDS[i].name;
    const char *near = text_nearest(name, names, N_COMMANDS);
    if (near)
        return err_set(e, ERR_INPUT, "unknown command \"%.60s\", did you mean \"%s\"?", name, near);
    return err_set(e, ERR_INPUT, "unknown command \"%.60s\", see veryedge --help", name);
}

static enum err_code dispatch(int argc, char **argv, struct err *e)
{
    if (argc < 2)
        return err_set(e, ERR_INPUT, "expected a command, see veryedge --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        version_print();
        return OK;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], COMMANDS[i].name) == 0)
            return COMMANDS[i].call(argc - 1, argv + 1, e);
    return unknown(argv[1], e);
}

/* One line, whatever a file's name or a value held. */
static void print_error(struct err *e)
{
    for (char *p = e->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    fprintf(stderr, "error: %s\n", e->text);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    enum err_code code = dispatch(argc, argv, &e);
    if (fflush(stdout) != 0 && !code)
        code = err_set(&e, ERR_IO, "stdout cannot be written");
    if (code == ERR_INTERRUPTED)
        fprintf(stderr, "interrupted: %s\n", e.text);
    else if (code)
        print_error(&e);
    int status = err_exit_status(code);
#ifndef VERYEDGE_SANITIZED
    /* SimGrid's own destructors take longer than a large simulation, and there is nothing left to do. */
    fflush(NULL);
    _exit(status);
#endif
    return status;
}
