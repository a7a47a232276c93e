/* The report page and the formats for other programs, made by the program from small runs: the page
 * is well-formed and holds no script, hostile names stay text, its numbers are those of the files;
 * emissions.csv adds up; columns.json names every column. */
#include <ctype.h>

#include "sim/axis.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/html.h"
#include "sim/report_chart.h"
#include "tests/program.h"

/* As JSON has it, and as the page must. */
#define HOSTILE "<script>alert('x') & \\\"q\\\""
#define HOSTILE_ESCAPED "&lt;script&gt;alert(&#39;x&#39;) &amp; &quot;q&quot;"

/* A whole file of the test's folder; the caller frees it. */
static char *whole(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s", name);
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

static struct json_doc *load_json(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s", name);
    struct json_doc *doc = NULL;
    struct err e = {0};
    if (json_load(&doc, path, &e)) {
        TEST_FAIL("%s", e.text);
        exit(1);
    }
    return doc;
}

static double number(struct json object, const char *key)
{
    double v = (double)NAN;
    json_double(object, key, -HUGE_VAL, HUGE_VAL, NULL, &v, NULL);
    return v;
}

static const char *word(struct json object, const char *key)
{
    const char *s = "";
    json_string(object, key, NULL, &s, NULL);
    return s;
}

/* --- a checker of tags: every element is closed in order, attributes are well quoted --- */

enum { MAX_DEPTH = 64 };

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

struct tags {
    char open[MAX_DEPTH][16];
    int depth, n_elements;
};

/* Elements whose end tag may be left out end with the next one of their kind, or with their parent.
 */
static void close_implied(struct tags *t, const char *name, bool is_end)
{
    static const char *const CELLS[] = {"th", "td", NULL};
    static const char *const ROWS[] = {"tr", NULL};
    static const char *const CELL_ENDERS[] = {"th", "td", "tr", NULL};
    bool ends_cell =
        is_end ? !is_one_of(name, CELLS) && t->depth && is_one_of(t->open[t->depth - 1], CELLS)
               : is_one_of(name, CELL_ENDERS);
    if (ends_cell && t->depth && is_one_of(t->open[t->depth - 1], CELLS))
        t->depth--;
    if (is_end && !is_one_of(name, ROWS) && t->depth && is_one_of(t->open[t->depth - 1], ROWS))
        t->depth--;
}

static void see_tag(struct tags *t, const char *name, bool is_end, bool is_self_closed)
{
    static const char *const VOID[] = {"meta", "br", "input", "!doctype", NULL};
    t->n_elements++;
    if (is_one_of(name, VOID) || is_self_closed)
        return;
    close_implied(t, name, is_end);
    if (!is_end) {
        if (t->depth < MAX_DEPTH)
            snprintf(t->open[t->depth++], sizeof(t->open[0]), "%s", name);
        return;
    }
    if (t->depth == 0 || strcmp(t->open[t->depth - 1], name) != 0)
        TEST_FAIL("</%s> closes <%s>", name, t->depth ? t->open[t->depth - 1] : "nothing");
    t->depth -= t->depth > 0;
}

/* From '<' to behind '>'. */
static const char *read_tag(struct tags *t, const char *p)
{
    char name[16] = "";
    size_t n = 0;
    const char *start = p++;
    bool is_end = *p == '/';
    for (p += is_end; (isalnum((unsigned char)*p) || *p == '!') && n < sizeof(name) - 1; p++)
        name[n++] = (char)tolower((unsigned char)*p);
    bool is_quoted = false;
    for (; *p && (is_quoted || *p != '>'); p++) {
        is_quoted ^= *p == '"';
        if (*p == '<')
            TEST_FAIL("a raw < in a tag: %.40s", start);
    }
    if (n == 0 || !*p)
        TEST_FAIL("no tag: %.40s", start);
    see_tag(t, name, is_end, p[-1] == '/');
    return *p ? p + 1 : p;
}

static int count_elements(const char *html)
{
    struct tags t = {.depth = 0};
    for (const char *p = html; *p;) {
        if (*p == '<') {
            p = read_tag(&t, p);
            continue;
        }
        if (*p == '&' && strncmp(p, "&amp;", 5) && strncmp(p, "&lt;", 4) && strncmp(p, "&gt;", 4) &&
            strncmp(p, "&quot;", 6) && strncmp(p, "&#39;", 5))
            TEST_FAIL("a raw & in: %.40s", p);
        p++;
    }
    if (t.depth != 0)
        TEST_FAIL("<%s> is not closed", t.open[t.depth - 1]);
    return t.n_elements;
}

/* --- the runs --- */

static void runs_become_pages(void)
{
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/quickstart.json' --quiet --set output.dir=a --set "
                      "federation.rounds=4 --set evaluate.every=2 --set evaluate.samples=12 --set "
                      "evaluate.test=6"),
              0);
    program_write("b.json",
                  "{\"name\": \"b\", \"about\": \"</p></script>" HOSTILE
                  "\", \"clients\": {\"count\": 70, \"groups\": ["
                  "{\"name\": \"" HOSTILE
                  "\", \"share\": 0.5}, {\"name\": \"w\", \"share\": 0.5, \"network\": "
                  "{\"topology\": \"wired\"}}]}, \"model\": {\"train\": \"none\", \"costs_of\": "
                  "\"flan-t5-small\"}, \"federation\": {\"rounds\": 30, \"clients_per_round\": 60, "
                  "\"failure_rate\": 0.1, \"deadline\": \"4.6s\"}}");
    CHECK_INT(program("run b.json --quiet --set output.dir=b"), 0);
    CHECK_INT(program("report a"), 0);
    CHECK_HAS(program_text("out.txt"), "a/report.html: 1 run");
    CHECK_INT(program("report a b --out ab.html"), 0);
}

/* --- the page --- */

static void the_page_is_well_formed(void)
{
    char *one = whole("a/report.html"), *two = whole("ab.html");
    CHECK_TRUE(count_elements(one) > 300);
    CHECK_TRUE(count_elements(two) > count_elements(one));
    free(one);
    free(two);
}

static void the_page_asks_nobody_and_runs_nothing(void)
{
    char *page = whole("ab.html");
    static const char *const FORBIDDEN[] = {
        "<script", "http:", "https:",      "src=",    "@import",  "url(",
        "<link",   "<img",  "javascript:", " onload", " onclick", NULL};
    for (int i = 0; FORBIDDEN[i]; i++)
        if (strstr(page, FORBIDDEN[i]))
            TEST_FAIL("the page holds %s", FORBIDDEN[i]);
    CHECK_TRUE(strstr(page, "default-src 'none'") != NULL);
    free(page);
}

static void hostile_names_stay_text(void)
{
    char *page = whole("ab.html");
    CHECK_TRUE(strstr(page, "&lt;/p&gt;&lt;/script&gt;" HOSTILE_ESCAPED) != NULL);
    CHECK_TRUE(strstr(page, "35 clients: &lt;script&gt;alert(&#39;x") !=
               NULL); /* a group, in the drawing */
    CHECK_TRUE(strstr(page, "<span title=\"" HOSTILE_ESCAPED ", agx-orin-64gb\">") != NULL);
    free(page);
}

static void escaping_covers_markup_controls_and_broken_utf8(void)
{
    struct html h = {0};
    html_text(&h, "<a b=\"c\" d='e'>&\x01\xc3\xa4\xff\xc0\xaf\xed\xa0\x80.\n");
    CHECK_STR(
        h.text,
        "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd"
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.\n");
    html_fini(&h);
}

/* The exact values in a part of the page, in their order: the next one from *at, or NaN at `end`.
 */
static double next_value(const char **at, const char *end)
{
    const char *v = strstr(*at, "<data value=\"");
    if (!v || v >= end)
        return (double)NAN;
    *at = v + 13;
    return strtod(*at, NULL);
}

static const char *card(const char *page, const char *title)
{
    char heading[64];
    snprintf(heading, sizeof(heading), "<div class=card><h3>%s</h3>", title);
    const char *at = strstr(page, heading);
    if (!at)
        TEST_FAIL("no card %s", title);
    return at ? at : page + strlen(page);
}

static void the_numbers_of_the_cards_are_those_of_the_summary(void)
{
    static const struct {
        const char *title, *key[2];
    } CARDS[] = {{"Virtual time", {"virtual_s"}},
                 {"A round", {"mean_duration_s"}},
                 {"Granularity G", {"mean_granularity"}},
                 {"Network energy", {"comm_kwh"}},
                 {"Device energy", {"device_kwh"}},
                 {"Emissions", {"carbon_g"}},
                 {"Traffic", {"bytes_down", "bytes_up"}},
                 {"Results", {"arrived", "selected"}},
                 {"Held-out loss", {"first_eval_loss", "last_eval_loss"}},
                 {"ROUGE-1", {"first_rouge1", "last_rouge1"}},
                 {"ROUGE-L", {"first_rougeL", "last_rougeL"}},
                 {"Facts found", {"first_fact_recall", "last_fact_recall"}},
                 {"Test set", {"test_loss", "test_rouge1"}}};
    enum { N = sizeof(CARDS) / sizeof(CARDS[0]) };
    char *page = whole("a/report.html");
    struct json_doc *summary = load_json("a/summary.json");
    for (int i = 0; i < N; i++) {
        const char *at = card(page, CARDS[i].title), *end = strstr(at, "</div>");
        for (int k = 0; k < 2 && CARDS[i].key[k]; k++)
            CHECK_NEAR(next_value(&at, end), number(json_root(summary), CARDS[i].key[k]), 0);
        CHECK_TRUE(isnan(next_value(&at, end)));
    }
    int n_cards = 0;
    for (const char *at = page; (at = strstr(at, "<div class=card>")); at++)
        n_cards++;
    CHECK_INT(n_cards, N);
    json_close(summary);
    free(page);
}

/* Every number of the table of rounds, against rounds.csv. */
static void the_numbers_of_the_rounds_are_those_of_the_csv(void)
{
    char *page = whole("a/report.html");
    struct csv *c = program_csv("a/rounds.csv");
    const char *at = strstr(page, "<table class=rounds>"),
               *end = at ? strstr(at, "</table>") : NULL;
    int n = 0;
    if (!end)
        TEST_FAIL("no table of rounds");
    for (size_t row = 0; end && row < csv_rows(c); row++)
        for (size_t i = 0; i < csv_columns(c); i++) {
            const char *cell = csv_cell(c, row, i);
            if (!*cell || strcmp(csv_header(c, i), "accounting") == 0)
                continue;
            CHECK_NEAR(next_value(&at, end), atof(cell), 0);
            n++;
        }
    CHECK_INT(n, 4 * 15 + 2 * 6); /* two rounds were evaluated */
    CHECK_TRUE(end && isnan(next_value(&at, end)));
    csv_close(c);
    free(page);
}

/* What the model wrote before the first round and after the last, for each sample, and no other. */
static void the_texts_are_those_of_the_first_and_the_last_round(void)
{
    char *page = whole("a/report.html");
    struct csv *c = program_csv("a/samples.csv");
    const char *at = strstr(page, "What the model wrote");
    int n = 0;
    for (size_t i = 0; at && i < csv_rows(c); i++) {
        if (program_cell(c, i, "round") != 0)
            continue;
        const char *sample = program_word(c, i, "sample"), *round[2] = {"0", "4"};
        for (int k = 0; k < 2 && at; k++) {
            size_t row = i;
            while (row < csv_rows(c) && (strcmp(program_word(c, row, "round"), round[k]) != 0 ||
                                         strcmp(program_word(c, row, "sample"), sample) != 0))
                row++;
            struct html h = {0};
            html_text(&h, program_word(c, row, "summary"));
            at = strstr(at, k ? "Last: after round 4" : "First: after round 0");
            at = at ? strstr(at, h.text) : NULL;
            html_fini(&h);
        }
        n++;
    }
    CHECK_TRUE(at != NULL);
    CHECK_INT(n, 10);
    CHECK_TRUE(!strstr(page, "after round 2"));
    csv_close(c);
    free(page);
}

static void what_is_left_out_is_said(void)
{
    char *page = whole("ab.html");
    CHECK_TRUE(strstr(page, "12 of 30 rounds are here") != NULL);
    CHECK_TRUE(strstr(page, "50 of 60 clients are shown") != NULL);
    free(page);
}

static void the_same_folders_give_the_same_page(void)
{
    CHECK_INT(program("report a b --out again.html"), 0);
    char *page = whole("ab.html"), *again = whole("again.html");
    CHECK_TRUE(strcmp(page, again) == 0);
    free(page);
    free(again);
}

static void bad_folders_are_named(void)
{
    CHECK_INT(program("report nowhere"), 2);
    CHECK_HAS(program_text("err.txt"), "nowhere: expected a folder that veryedge run has written");
    CHECK_INT(system("cp -r " PROGRAM_DIR "/a " PROGRAM_DIR "/broken"), 0);
    program_write("broken/rounds.csv", "round,start_s\n1,0\n");
    CHECK_INT(program("report broken"), 2);
    CHECK_HAS(program_text("err.txt"), "broken/rounds.csv: expected a column \"end_s\"");
    CHECK_INT(system("sed 's/^1,0,/1,x,/' " PROGRAM_DIR "/a/rounds.csv >" PROGRAM_DIR
                     "/broken/rounds.csv"),
              0);
    CHECK_INT(program("report broken"), 2);
    CHECK_HAS(program_text("err.txt"), "broken/rounds.csv: row 1, start_s: ");
}

static void a_report_does_not_keep_its_folder_from_being_replaced(void)
{
    CHECK_INT(program("run b.json --quiet --set output.dir=again"), 0);
    CHECK_INT(program("report again"), 0);
    CHECK_INT(program("run b.json --quiet --set output.dir=again"), 0);
}

/* --- charts --- */

static void ticks_are_round_numbers_within_the_range(void)
{
    double tick[7];
    CHECK_INT(axis_round(0, 4.6, 6, false, tick), 5);
    CHECK_NEAR(tick[4], 4, 1e-12);
    CHECK_INT(axis_round(1, 3, 6, true, tick), 3); /* no halves of rounds */
    CHECK_NEAR(tick[0], 1, 0);
    CHECK_INT(axis_round(0.013, 0.021, 5, false, tick), 4); /* .014 .016 .018 .02 */
    CHECK_NEAR(tick[1], 0.016, 1e-12);
}

static void long_series_are_thinned_and_keep_their_peak(void)
{
    enum { N = 5000 };
    static double x[N], y[N];
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i == 3333 ? 10 : 1;
    }
    struct report_series s = {"s", 0, false, true, N, x, y};
    struct report_chart c = {.title = "t",
                             .x_unit = "",
                             .y_unit = "",
                             .x_name = "x",
                             .from_zero = true,
                             .n_series = 1,
                             .series = &s};
    struct html h = {0};
    report_chart(&h, &c);
    CHECK_TRUE(strstr(h.text, "points are not drawn") != NULL);
    CHECK_TRUE(h.n < 20000);
    /* y goes from 0 to 10.6 over 170 units below 12: the peak stands at 12 + 170 x 0.6 / 10.6 */
    CHECK_TRUE(strstr(h.text, " 21.6L") != NULL);
    html_fini(&h);
}

/* --- formats for other programs --- */

static void the_trace_names_groups_and_says_who_did_not_arrive(void)
{
    char *text = whole("b/trace.json");
    CHECK_TRUE(strstr(text, "\"args\":{\"name\":\"" HOSTILE "\"}") != NULL);
    CHECK_TRUE(strstr(text, "{\"name\":\"dropped\",\"ph\":\"X\"") != NULL);
    CHECK_TRUE(strstr(text, "\"status\":\"late\"") != NULL);
    free(text);
}

static void emissions_add_up_to_the_totals(void)
{
    struct csv *c = program_csv("a/emissions.csv");
    struct json_doc *summary = load_json("a/summary.json");
    struct json root = json_root(summary);
    CHECK_INT(csv_rows(c), 2);
    CHECK_INT(csv_columns(c), 31);
    CHECK_STR(csv_header(c, 0), "timestamp");
    CHECK_STR(csv_header(c, 12), "energy_consumed");
    CHECK_STR(csv_header(c, 30), "pue");
    CHECK_STR(program_word(c, 0, "run_id"), "network");
    CHECK_STR(program_word(c, 0, "timestamp"), "");
    CHECK_NEAR(program_cell(c, 0, "energy_consumed"), number(root, "comm_kwh"), 0);
    CHECK_NEAR(program_cell(c, 1, "energy_consumed"), number(root, "device_kwh"), 0);
    double kg = program_cell(c, 0, "emissions") + program_cell(c, 1, "emissions");
    CHECK_REL(kg, 1e-3 * number(root, "carbon_g"), 1e-12);
    CHECK_REL(program_cell(c, 0, "emissions"), 0.381 * number(root, "comm_kwh"), 1e-12);
    CHECK_REL(program_cell(c, 0, "emissions_rate") * number(root, "virtual_s"),
              program_cell(c, 0, "emissions"), 1e-12);
    json_close(summary);
    csv_close(c);
}

static void columns_json_names_the_columns_of_every_file(void)
{
    static const char *const FILES[] = {"rounds.csv", "clients.csv", "elements.csv", "samples.csv",
                                        "emissions.csv"};
    struct json_doc *doc = load_json("a/columns.json");
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof(name), "a/%s", FILES[i]);
        struct csv *c = program_csv(name);
        struct json columns = {0};
        CHECK_INT(json_array(json_root(doc), FILES[i], &columns, NULL), OK);
        CHECK_INT(json_count(columns), csv_columns(c));
        for (size_t k = 0; k < csv_columns(c); k++) {
            CHECK_STR(word(json_at(columns, k), "name"), csv_header(c, k));
            CHECK_TRUE(*word(json_at(columns, k), "meaning") != 0);
        }
        csv_close(c);
    }
    json_close(doc);
}

int main(void)
{
    program_begin();
    CASE(runs_become_pages);
    CASE(the_page_is_well_formed);
    CASE(the_page_asks_nobody_and_runs_nothing);
    CASE(hostile_names_stay_text);
    CASE(escaping_covers_markup_controls_and_broken_utf8);
    CASE(the_numbers_of_the_cards_are_those_of_the_summary);
    CASE(the_numbers_of_the_rounds_are_those_of_the_csv);
    CASE(the_texts_are_those_of_the_first_and_the_last_round);
    CASE(what_is_left_out_is_said);
    CASE(the_same_folders_give_the_same_page);
    CASE(bad_folders_are_named);
    CASE(a_report_does_not_keep_its_folder_from_being_replaced);
    CASE(ticks_are_round_numbers_within_the_range);
    CASE(long_series_are_thinned_and_keep_their_peak);
    CASE(the_trace_names_groups_and_says_who_did_not_arrive);
    CASE(emissions_add_up_to_the_totals);
    CASE(columns_json_names_the_columns_of_every_file);
    program_end();
    return test_end();
}
