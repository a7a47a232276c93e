/* veryedge paper: the study's printed cells beside what this program computes. */
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/paper.h"

enum { MAX_SECTIONS = 16 };

static enum err_code select_sections(size_t n, const char *const *names, bool wanted[MAX_SECTIONS],
                                     struct err *e)
{
    const char *all[MAX_SECTIONS];
    size_t n_all = paper_section_count();
    for (size_t i = 0; i < n_all; i++) {
        all[i] = paper_section_name(i);
        wanted[i] = n == 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t which = 0;
        while (which < n_all && strcmp(all[which], names[i]) != 0)
            which++;
        if (which == n_all) {
            const char *near = text_nearest(names[i], all, n_all);
            return err_set(e, ERR_INPUT, "paper: no table \"%.60s\"%s%s%s", names[i],
                           near ? ", did you mean \"" : ", see veryedge paper --help",
                           near ? near : "", near ? "\"?" : "");
        }
        wanted[which] = true;
    }
    return OK;
}

static enum err_code parse_format(const char *name, enum sheet_format *out, struct err *e)
{
    for (int f = 0; f < N_SHEET_FORMATS; f++)
        if (strcmp(name, sheet_format_name((enum sheet_format)f)) == 0) {
            *out = (enum sheet_format)f;
            return OK;
        }
    return err_set(e, ERR_INPUT, "--format: expected text, md, csv or json, got \"%.60s\"", name);
}

static void print_counts(const struct paper *p)
{
    for (size_t i = 0; i < p->n_counts; i++) {
        const struct paper_count *c = &p->count[i];
        printf("%-8s %-12s %d/%d", c->section, c->what, c->same, c->checked);
        if (c->lost)
            printf("  (%d more not legible)", c->lost);
        putchar('\n');
    }
}

static void print_closing(const struct paper *p)
{
    int same = 0, checked = 0, lost = 0;
    for (size_t i = 0; i < p->n_counts; i++) {
        same += p->count[i].same;
        checked += p->count[i].checked;
        lost += p->count[i].lost;
    }
    if (!checked)
        return;
    printf("\n%d of %d legible cells reproduce", same, checked);
    if (lost)
        printf("; %d are not legible and are not counted", lost);
    putchar('\n');
    print_counts(p);
    for (size_t i = 0; i < p->n_misses; i++)
        printf("does not: %s\n", p->miss[i]);
    if (strcmp(p->count[0].section, "table1") == 0)
        printf("Table 1 comes out under the accounting paper-table1 only, which is not physical. "
               "In true units\n"
               "(literal) kWh and G are others; why is said below each table.\n");
}

static void print_text(const struct paper *p)
{
    printf("arXiv 2310.03150v2: printed cells beside recomputed ones\n\n");
    sheet_print(stdout, SHEET_TEXT, p->n_sheets, p->sheet);
    print_closing(p);
}

static void print_help_of_sections(void)
{
    printf("\ntables:\n");
    for (size_t i = 0; i < paper_section_count(); i++)
        printf("  %-8s %s\n", paper_section_name(i), paper_section_what(i));
}

enum err_code cmd_paper(int argc, char **argv, struct err *e)
{
    const char *format = "text", *names[MAX_SECTIONS];
    bool is_check = false, is_help = false, wanted[MAX_SECTIONS];
    const struct cli_option options[] = {
        CLI_TEXT("format", "F", "text, md, csv or json (default: text)", &format),
        CLI_FLAG("check", "one line per table; exit 1 unless every legible cell reproduces",
                 &is_check),
        CLI_END,
    };
    const struct cli cli = {
        .command = "paper",
        .arguments = "[TABLE...]",
        .what =
            "prints the study's tables, cell by cell: printed, recomputed, verdict; beside Table 1 "
            "a really\n"
            "simulated round. Numbers of the accounting paper-table1 are not physical and say so",
        .option = options,
        .min_args = 0,
        .max_args = MAX_SECTIONS,
        .examples = "  veryedge paper\n"
                    "  veryedge paper headline\n"
                    "  veryedge paper --check\n"
                    "  veryedge paper table4 --format csv\n"};
    size_t n = 0;
    enum sheet_format f = SHEET_TEXT;
    enum err_code code = cli_parse(&cli, argc, argv, names, &n, &is_help, e);
    if (is_help && !code)
        print_help_of_sections();
    if (code || is_help)
        return code;
    code = parse_format(format, &f, e);
    if (!code)
        code = select_sections(n, names, wanted, e);
    struct paper *p = NULL;
    if (!code)
        code = paper_open(&p, paper_tables(), wanted, e);
    if (code)
        return code;
    if (is_check) {
        print_counts(p);
        code = paper_check(p, e);
    } else if (f == SHEET_TEXT) {
        print_text(p);
    } else {
        sheet_print(stdout, f, p->n_sheets, p->sheet);
    }
    paper_close(p);
    return code;
}
