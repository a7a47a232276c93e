#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/record.h"

enum { WIDTH = 96, INDENT = 13 };

/* A labelled text, wrapped at blanks; turns of a dialogue begin lines of their own. */
static void print_text(const char *label, const char *text)
{
    printf("  %-*s", INDENT - 2, label);
    int column = INDENT;
    for (const char *word = text; *word;) {
        size_t n = strcspn(word, " \n");
        if (column > INDENT && column + (int)n > WIDTH) {
            printf("\n%*s", INDENT, "");
            column = INDENT;
        }
        fwrite(word, 1, n, stdout);
        column += (int)n;
        word += n;
        if (*word == '\n') {
            printf("\n%*s", INDENT, "");
            column = INDENT;
        } else if (*word) {
            putchar(' ');
            column++;
        }
        word += *word != 0;
    }
    putchar('\n');
}

struct view {
    const struct csv *csv;
    int column[5]; /* of record_samples(), in its order */
};

static const char *cell(const struct view *v, size_t row, int column)
{
    return csv_cell(v->csv, row, (size_t)v->column[column]);
}

enum { ROUND, SAMPLE, DIALOGUE, REFERENCE, SUMMARY };

/* A sample's rows are those with its number, in the order of the rounds. */
static void print_sample(const struct view *v, size_t first)
{
    const char *number = cell(v, first, SAMPLE);
    printf("sample %s\n", number);
    print_text("dialogue", cell(v, first, DIALOGUE));
    print_text("reference", cell(v, first, REFERENCE));
    size_t last = first;
    for (size_t row = first; row < csv_rows(v->csv); row++)
        if (strcmp(cell(v, row, SAMPLE), number) == 0)
            last = row;
    for (int i = 0; i < 2; i++) {
        size_t row = i ? last : first;
        char label[32];
        snprintf(label, sizeof(label), "round %.20s", cell(v, row, ROUND));
        if (i == 0 || last != first)
            print_text(label, cell(v, row, SUMMARY));
    }
    putchar('\n');
}

static enum err_code print_all(const struct csv *csv, const char *path, int64_t count, struct err *e)
{
    const struct table *t = record_samples();
    struct view v = {.csv = csv};
    for (size_t i = 0; i < t->n_columns; i++) {
        v.column[i] = csv_find(csv, t->column[i].name);
        if (v.column[i] < 0)
            return err_set(e, ERR_INPUT, "%s: expected a column \"%s\"", path, t->column[i].name);
    }
    if (csv_rows(csv) == 0)
        return err_set(e, ERR_INPUT,
                       "%s: holds no texts; the run had evaluate.rouge false, or nothing was trained", path);
    const char *round = cell(&v, 0, ROUND);
    for (size_t row = 0; row < csv_rows(csv) && (int64_t)row < count; row++)
        if (strcmp(cell(&v, row, ROUND), round) == 0)
            print_sample(&v, row);
    return OK;
}

enum err_code cmd_samples(int argc, char **argv, struct err *e)
{
    int64_t count = 10;
    const struct cli_option options[] = {
        CLI_INT("count", "N", "how many samples (default: 10, all that a run keeps)", 1, 10, &count),
        CLI_END,
    };
    const struct cli cli = {.command = "samples",
                            .arguments = "DIR",
                            .what = "what the model wrote before the first round and after the last",
                            .option = options,
                            .min_args = 1,
                            .max_args = 1,
                            .examples = "  veryedge samples scenarios/runs/quickstart\n"};
    const char *folder = NULL;
    size_t n_args = 0;
    bool is_help = false;
    enum err_code code = cli_parse(&cli, argc, argv, &folder, &n_args, &is_help, e);
    if (code || is_help)
        return code;
    char *path = file_join(folder, "samples.csv");
    struct csv *csv = NULL;
    code = csv_load(&csv, path, ',', e);
    if (!code)
        code = print_all(csv, path, count, e);
    csv_close(csv);
    mem_free(path);
    return code;
}
