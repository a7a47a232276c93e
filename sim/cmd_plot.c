#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/axis.h"
#include "sim/base/text.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/plot_text.h"
#include "sim/track.h"

enum over { OVER_ROUND, OVER_TIME, OVER_KWH, N_OVER };

static const char *const OVER[N_OVER] = {"round", "time", "kwh"};
static const char *const OVER_TITLES[N_OVER] = {"round", "virtual time",
                                                "energy of network and devices"};

struct args {
    struct cli_list figures;
    const char *over, *folder[PLOT_TEXT_MAX_SERIES];
    size_t n_folders;
    int64_t width, height; /* 0: the terminal's */
    bool is_ascii;
};

/* Columns of rounds.csv that can be drawn: numbers, without the round itself. */
static size_t list_figures(const char **out)
{
    const struct table *t = record_rounds();
    size_t n = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->column[i].type != COLUMN_TEXT && strcmp(t->column[i].name, "round") != 0)
            out[n++] = t->column[i].name;
    return n;
}

static enum err_code parse(int argc, char **argv, struct args *a, struct arena *arena,
                           bool *is_help, struct err *e)
{
    const char **name = ARENA_NEW(arena, const char *, record_rounds()->n_columns);
    const char *examples = "  veryedge plot scenarios/runs/quickstart\n"
                           "  veryedge plot runs/fedavg runs/fedadamw --figure rouge1 --over kwh\n"
                           "figures:";
    size_t n = list_figures(name), used = strlen("figures:");
    for (size_t i = 0; i < n; i++) {
        bool is_new = used + 1 + strlen(name[i]) > 80;
        used = (is_new ? 8 : used) + 1 + strlen(name[i]);
        examples = arena_printf(arena, "%s%s %s", examples, is_new ? "\n        " : "", name[i]);
    }
    const struct cli_option options[] = {
        CLI_LIST("figure", "NAME",
                 "a column of rounds.csv, may be repeated (default: eval_loss, or what there is)",
                 &a->figures),
        CLI_TEXT("over", "AXIS", "round, time (virtual) or kwh (default: round)", &a->over),
        CLI_INT("width", "N", "columns (default: the terminal's, or 80)", 40, 1000, &a->width),
        CLI_INT("height", "N", "lines (default: the terminal's, or 24)", 10, 1000, &a->height),
        CLI_FLAG("ascii", "no braille (default: where the locale is not UTF-8)", &a->is_ascii),
        CLI_END,
    };
    const struct cli cli = {.command = "plot",
                            .arguments = "DIR...",
                            .what = "curves of one run, or of several, in the terminal",
                            .option = options,
                            .min_args = 1,
                            .max_args = PLOT_TEXT_MAX_SERIES,
                            .examples = arena_printf(arena, "%s\n", examples)};
    return cli_parse(&cli, argc, argv, a->folder, &a->n_folders, is_help, e);
}

static enum err_code find_over(enum over *out, const char *name, struct err *e)
{
    for (int i = 0; i < N_OVER; i++)
        if (strcmp(OVER[i], name) == 0) {
            *out = (enum over)i;
            return OK;
        }
    return err_set(e, ERR_INPUT, "--over: expected round, time or kwh, got \"%.60s\"", name);
}

static enum err_code find_figure(size_t *out, const char *name, struct arena *arena, struct err *e)
{
    const struct table *t = record_rounds();
    const char **known = ARENA_NEW(arena, const char *, t->n_columns);
    size_t n = list_figures(known), i = 0;
    while (i < n && strcmp(known[i], name) != 0)
        i++;
    for (*out = 0; i < n && strcmp(t->column[*out].name, name) != 0;)
        ++*out;
    if (i < n)
        return OK;
    const char *near = text_nearest(name, known, n);
    return err_set(e, ERR_INPUT, "--figure: expected a number of rounds.csv, got \"%.60s\"%s", name,
                   near ? arena_printf(arena, ", did you mean \"%s\"?", near) : "; see --help");
}

/* The first of these that has more than one value in some run. */
static const char *default_figure(const struct track *t, size_t n)
{
    static const char *const NAMES[] = {"eval_loss", "train_loss"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        for (size_t k = 0; k < n; k++) {
            const double *v = track_column(&t[k], NAMES[i]);
            size_t found = 0;
            for (size_t j = 0; v && j < t[k].n; j++)
                found += isfinite(v[j]) ? 1 : 0;
            if (found > 1)
                return NAMES[i];
        }
    return "duration_s";
}

/* x of every run, in the unit that reads best, whose name comes back. */
static const char *make_axis(double **x, const struct track *t, size_t n, enum over over,
                             struct arena *arena)
{
    double most = 0;
    for (size_t k = 0; k < n; k++) {
        const double *comm = track_column(&t[k], "comm_kwh"),
                     *device = track_column(&t[k], "device_kwh");
        x[k] = ARENA_NEW(arena, double, t[k].n);
        for (size_t i = 0; i < t[k].n; i++) {
            double before = i ? x[k][i - 1] : 0;
            x[k][i] = over == OVER_ROUND  ? track_column(&t[k], "round")[i]
                      : over == OVER_TIME ? track_column(&t[k], "end_s")[i]
                      : i                 ? before + comm[i] + device[i]
                                          : 0;
        }
        most = fmax(most, x[k][t[k].n - 1]);
    }
    if (over == OVER_ROUND)
        return "";
    struct axis_unit unit = over == OVER_TIME ? axis_time(most) : axis_energy(most);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < t[k].n; i++)
            x[k][i] /= unit.by;
    return arena_printf(arena, " (%s)", unit.name);
}

/* Runs of one scenario are told apart by their folders. */
static const char *name_of(const struct args *a, const struct track *t, size_t k)
{
    const char *name = t[k].summary.name;
    for (size_t i = 0; i < a->n_folders; i++)
        if (i != k && strcmp(t[i].summary.name, name) == 0)
            return a->folder[k];
    return *name ? name : a->folder[k];
}

static enum err_code draw(const struct args *a, struct arena *arena, struct err *e)
{
    struct track *t = ARENA_NEW(arena, struct track, a->n_folders);
    double **x = ARENA_NEW(arena, double *, a->n_folders);
    size_t figure[CLI_MAX_LIST] = {0}, n_figures = a->figures.n ? a->figures.n : 1;
    enum over over = OVER_ROUND;
    enum err_code code = find_over(&over, a->over, e);
    for (size_t i = 0; i < a->figures.n && !code; i++)
        code = find_figure(&figure[i], a->figures.value[i], arena, e);
    for (size_t k = 0; k < a->n_folders && !code; k++)
        code = track_read(&t[k], arena, a->folder[k], e);
    if (!code && a->figures.n == 0)
        code = find_figure(&figure[0], default_figure(t, a->n_folders), arena, e);
    if (code)
        return code;
    struct terminal terminal = terminal_of(stdout);
    terminal.columns = a->width ? (int)a->width : terminal.columns;
    terminal.rows = a->height ? (int)a->height : terminal.rows;
    terminal.is_utf8 = terminal.is_utf8 && !a->is_ascii;
    const char *unit = make_axis(x, t, a->n_folders, over, arena);
    for (size_t i = 0; i < n_figures; i++) {
        const struct column *c = &record_rounds()->column[figure[i]];
        struct text_series s[PLOT_TEXT_MAX_SERIES];
        for (size_t k = 0; k < a->n_folders; k++) {
            const double *y = t[k].value[figure[i]];
            s[k] = (struct text_series){name_of(a, t, k), y ? t[k].n : 0, x[k], y};
        }
        const char *of = *c->unit ? arena_printf(arena, " (%s)", c->unit) : "";
        const struct text_plot p = {
            arena_printf(arena, "%s%s over %s%s", c->name, of, OVER_TITLES[over], unit),
            over == OVER_ROUND, a->n_folders, s};
        plot_text(stdout, &p, &terminal);
    }
    return OK;
}

enum err_code cmd_plot(int argc, char **argv, struct err *e)
{
    struct args a = {.over = "round"};
    struct arena arena = {0};
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &arena, &is_help, e);
    if (!code && !is_help)
        code = draw(&a, &arena, e);
    arena_free(&arena);
    return code;
}
