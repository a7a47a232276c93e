#include <stdio.h>

#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/tensorboard.h"

enum { MAX_FOLDERS = 64 };

static enum err_code convert(const char *folder, struct err *e)
{
    struct arena a = {0};
    struct track t = {0};
    size_t n = 0;
    enum err_code code = track_read(&t, &a, folder, e);
    if (!code)
        code = tensorboard_write(folder, &t, &n, e);
    if (!code)
        printf("%s/" TENSORBOARD_FILE ": %zu rounds, %zu values\n", folder, t.n - 1, n);
    arena_free(&a);
    return code;
}

enum err_code cmd_tensorboard(int argc, char **argv, struct err *e)
{
    const struct cli_option options[] = {CLI_END};
    const struct cli cli = {
        .command = "tensorboard",
        .arguments = "DIR...",
        .what =
            "writes the rounds of runs as TensorBoard's event files, into their folders; virtual "
            "time is\nthe wall time, so its axis \"Relative\" shows it",
        .option = options,
        .min_args = 1,
        .max_args = MAX_FOLDERS,
        .examples = "  veryedge tensorboard scenarios/runs/quickstart\n"
                    "  veryedge tensorboard runs/*; tensorboard --logdir runs\n"};
    const char *folder[MAX_FOLDERS];
    size_t n = 0;
    bool is_help = false;
    enum err_code code = cli_parse(&cli, argc, argv, folder, &n, &is_help, e);
    for (size_t i = 0; i < n && !code && !is_help; i++)
        code = convert(folder[i], e);
    return code;
}
