#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/bench.h"
#include "sim/cmd.h"

static const struct part {
    const char *name, *what;
    enum err_code (*call)(int argc, char **argv, struct err *e);
} PARTS[] = {
    {"network", "the simulator alone", bench_cmd_network},
    {"train", "a cohort's training: time per local step, flop, watts, part by part", bench_cmd_train},
    {"device", "this machine as a client, by mini-batch; writes a profile for scenarios",
     bench_cmd_device},
};
enum { N_PARTS = sizeof(PARTS) / sizeof(PARTS[0]) };

enum err_code cmd_bench(int argc, char **argv, struct err *e)
{
    const char *names[N_PARTS], *asked = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < N_PARTS; i++) {
        names[i] = PARTS[i].name;
        if (strcmp(asked, names[i]) == 0)
            return PARTS[i].call(argc - 1, argv + 1, e);
    }
    if (strcmp(asked, "--help") == 0 || strcmp(asked, "-h") == 0) {
        printf("usage: veryedge bench network|train|device [options]\n\n");
        for (size_t i = 0; i < N_PARTS; i++)
            printf("  %-9s %s\n", PARTS[i].name, PARTS[i].what);
        printf("\nveryedge bench train --help explains one\n");
        return OK;
    }
    const char *near = text_nearest(asked, names, N_PARTS);
    return err_set(e, ERR_INPUT, "bench: expected network, train or device, got \"%.60s\"%s%s%s", asked,
                   near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}
