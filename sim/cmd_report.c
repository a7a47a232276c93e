#include <stdio.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/text.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/report.h"

enum err_code cmd_report(int argc, char **argv, struct err *e)
{
    const char *out = NULL;
    const struct cli_option options[] = {
        CLI_TEXT("out", "FILE", "where to write the page (default: report.html in the first DIR)",
                 &out),
        CLI_END,
    };
    const struct cli cli = {
        .command = "report",
        .arguments = "DIR...",
        .what = "one HTML page about one run, or several runs compared; it needs no network",
        .option = options,
        .min_args = 1,
        .max_args = REPORT_MAX_RUNS,
        .examples = "  veryedge report scenarios/runs/quickstart\n"
                    "  veryedge report runs/lte runs/wired --out compared.html\n"};
    const char *folders[REPORT_MAX_RUNS];
    size_t n = 0;
    bool is_help = false;
    enum err_code code = cli_parse(&cli, argc, argv, folders, &n, &is_help, e);
    if (code || is_help)
        return code;
    struct html page = {0};
    char *path = out ? file_join(".", out) : file_join(folders[0], "report.html");
    code = report_page(&page, n, folders, e);
    if (!code)
        code = file_replace(path, page.text, page.n, e);
    if (!code) {
        char size[32];
        text_format(size, sizeof(size), (double)page.n, UNIT_SIZE_BYTES);
        printf("%s: %zu run%s, %s\n", out ? out : path, n, n == 1 ? "" : "s", size);
    }
    mem_free(path);
    html_fini(&page);
    return code;
}
