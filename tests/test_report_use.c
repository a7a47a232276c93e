/* How far links were used, in the report: sums over clients.csv against the scenario's rates. */
#include "sim/base/mem.h"
#include "tests/program.h"

#define ETA (1448.0 / 1514.0)

static double sum_bits(const struct csv *c, const char *group, const char *column)
{
    double sum = 0;
    for (size_t row = 0; row < csv_rows(c); row++)
        if (strcmp(program_word(c, row, "group"), group) == 0)
            sum += 8 * program_cell(c, row, column);
    return sum;
}

static double sum_seconds(const struct csv *c, const struct csv *r, const char *group)
{
    double sum = 0;
    for (size_t row = 0; row < csv_rows(c); row++)
        if (strcmp(program_word(c, row, "group"), group) == 0)
            sum += program_cell(r, (size_t)program_cell(c, row, "round") - 1, "duration_s");
    return sum;
}

/* The two percentages of the row of the table that holds `what`. */
static void used(const char *page, const char *what, double percent[2])
{
    const char *at = strstr(page, "<table class=uses>");
    percent[0] = percent[1] = (double)NAN;
    at = at ? strstr(at, what) : NULL;
    if (!at)
        TEST_FAIL("no row \"%s\"", what);
    for (int i = 0; at && i < 2; i++) {
        at = strstr(at, "<data value=\"");
        percent[i] = at ? strtod(at + 13, NULL) : (double)NAN;
        at = at ? at + 13 : NULL;
    }
}

static char *page_of(const char *folder)
{
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s/report.html", folder);
    struct file f = {0};
    struct err e = {0};
    if (file_map(&f, path, &e))
        TEST_FAIL("%s", e.text);
    char *text = malloc(f.n_bytes + 1);
    if (f.n_bytes)
        memcpy(text, f.bytes, f.n_bytes);
    text[f.n_bytes] = 0;
    file_unmap(&f);
    return text;
}

/* A group whose name CSV has to quote; cells of 10; a shared element; a server; failures. */
static void used_links_are_bits_over_what_they_could_have_carried(void)
{
    program_write(
        "s.json",
        "{\"network\": {\"cell\": {\"clients\": 10, \"down\": \"100Mbps\", \"up\": \"30Mbps\"}, "
        "\"server\": {\"down\": \"500Mbps\", \"up\": \"400Mbps\"}}, \"clients\": {\"groups\": ["
        "{\"name\": \"a, \\\"b\\\"\", \"count\": 45}, {\"name\": \"w\", \"count\": 30, "
        "\"network\": {"
        "\"topology\": \"wired\", \"rates\": \"goodput\", \"limits\": {\"bng\": \"300Mbps\"}}}]}, "
        "\"model\": {\"train\": \"none\", \"costs_of\": \"flan-t5-small\"}, \"federation\": "
        "{\"rounds\": 12, \"clients_per_round\": 25, \"failure_rate\": 0.2, \"deadline\": "
        "\"8s\"}}");
    CHECK_INT(program("run s.json --quiet --set output.dir=r"), 0);
    CHECK_INT(program("report r"), 0);
    char *page = page_of("r");
    struct csv *c = program_csv("r/clients.csv"), *r = program_csv("r/rounds.csv");
    static const char *const BYTES[] = {"bytes_down", "bytes_up"};
    static const double OWN[2] = {40e6, 10e6}, AIR[2] = {100e6, 30e6}, SERVER[2] = {500e6, 400e6};
    double own[2], air[2], wired[2], bng[2], server[2];
    double virtual_s = program_cell(r, csv_rows(r) - 1, "end_s");
    used(page, "45 own links", own);
    used(page, "air of 5 cells", air);
    used(page, "30 own links", wired);
    used(page, "bng, shared", bng);
    used(page, "the server&#39;s link", server);
    for (int i = 0; i < 2; i++) {
        double bits = sum_bits(c, "a, \"b\"", BYTES[i]), w = sum_bits(c, "w", BYTES[i]);
        CHECK_TRUE(bits > 0 && w > 0);
        CHECK_REL(own[i], 100 * bits / (OWN[i] * ETA * sum_seconds(c, r, "a, \"b\"")), 1e-9);
        CHECK_REL(air[i], 100 * bits / (5 * AIR[i] * ETA * virtual_s), 1e-9);
        CHECK_REL(wired[i], 100 * w / (1e9 * sum_seconds(c, r, "w")), 1e-9);
        CHECK_REL(bng[i], 100 * w / (300e6 * virtual_s), 1e-9);
        CHECK_REL(server[i], 100 * (bits + w) / (SERVER[i] * ETA * virtual_s), 1e-9);
    }
    csv_close(c);
    csv_close(r);
    free(page);
}

/* One client that sends all the time fills its link, but for the waits of TCP's start. */
static void a_busy_link_is_almost_full(void)
{
    program_write(
        "s.json",
        "{\"clients\": {\"count\": 1}, \"compute\": {\"time\": \"0s\"}, \"model\": {\"train\": "
        "\"none\", \"costs_of\": \"flan-t5-large\"}, \"federation\": {\"rounds\": 2, "
        "\"clients_per_round\": 1, \"payload\": {\"down\": \"1GB\", \"up\": \"1B\"}}}");
    CHECK_INT(program("run s.json --quiet --set output.dir=busy"), 0);
    CHECK_INT(program("report busy"), 0);
    char *page = page_of("busy");
    double percent[2];
    used(page, "1 own link", percent);
    CHECK_TRUE(percent[0] > 99.5 && percent[0] <= 100 && percent[1] < 1e-4);
    free(page);
}

int main(void)
{
    program_begin();
    CASE(used_links_are_bits_over_what_they_could_have_carried);
    CASE(a_busy_link_is_almost_full);
    program_end();
    return test_end();
}
