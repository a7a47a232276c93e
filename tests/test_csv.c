#include "sim/base/csv.h"

#include "sim/base/file.h"
#include "tests/test.h"

#define PATH "test_csv.tmp"

static enum err_code load(struct csv **out, const char *text, char sep, struct err *e)
{
    file_replace(PATH, text, strlen(text), NULL);
    return csv_load(out, PATH, sep, e);
}

static void rows_are_found_by_name(void)
{
    struct csv *c = NULL;
    struct err e = {0};
    CHECK_INT(load(&c, "a,b,c\n1,2,3\n4,5,6\n", ',', &e), OK);
    CHECK_INT(csv_rows(c), 2);
    CHECK_INT(csv_columns(c), 3);
    CHECK_INT(csv_find(c, "c"), 2);
    CHECK_INT(csv_find(c, "d"), -1);
    CHECK_STR(csv_header(c, 0), "a");
    CHECK_STR(csv_cell(c, 1, 2), "6");
    csv_close(c);
}

static void quotes_hold_commas_quotes_and_line_ends(void)
{
    struct csv *c = NULL;
    struct err e = {0};
    CHECK_INT(load(&c, "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n\"two\nlines\",\r\n", ',', &e), OK);
    CHECK_INT(csv_rows(c), 2);
    CHECK_STR(csv_cell(c, 0, 0), "x,y");
    CHECK_STR(csv_cell(c, 0, 1), "say \"hi\"");
    CHECK_STR(csv_cell(c, 1, 0), "two\nlines");
    CHECK_STR(csv_cell(c, 1, 1), "");
    csv_close(c);
}

static void tabs_separate_too_and_the_last_line_may_lack_its_end(void)
{
    struct csv *c = NULL;
    struct err e = {0};
    CHECK_INT(load(&c,
                   "\xef\xbb\xbf"
                   "a\tb\n1,5\t2",
                   '\t', &e),
              OK);
    CHECK_INT(csv_rows(c), 1);
    CHECK_INT(csv_find(c, "a"), 0);
    CHECK_STR(csv_cell(c, 0, 0), "1,5");
    csv_close(c);
}

static void check_refused(const char *text, const char *words)
{
    struct csv *c = NULL;
    struct err e = {0};
    CHECK_INT(load(&c, text, ',', &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
    CHECK_TRUE(c == NULL);
}

static void what_is_no_table_is_refused_with_its_line(void)
{
    check_refused("", PATH ":1: expected a header line, got an empty file");
    check_refused("a,b\n1,2\n3\n", PATH ":3: expected 2 cells as in the header, got 1");
    check_refused("a,b\n\"x\ny\",2\n1,2,3\n", PATH ":4: expected 2 cells as in the header, got 3");
    check_refused("a\n1\n\"open\n\n", PATH ":3: a quote is opened but not closed");
    check_refused("a\n\"x\"y\n", PATH ":2: expected a separator after a closing quote");
}

static void written_cells_read_back(void)
{
    const char *cells[] = {"plain", "with,comma", "a \"quote\"", "two\nlines", ""};
    struct file_out *out;
    struct csv *c = NULL;
    struct err e = {0};
    CHECK_INT(file_create(&out, PATH, &e), OK);
    fputs("h\n", file_stream(out));
    for (int i = 0; i < 5; i++) {
        csv_write_cell(file_stream(out), cells[i]);
        fputc('\n', file_stream(out));
    }
    CHECK_INT(file_commit(out, &e), OK);
    CHECK_INT(csv_load(&c, PATH, ',', &e), OK);
    CHECK_INT(csv_rows(c), 5);
    for (size_t i = 0; i < 5; i++)
        CHECK_STR(csv_cell(c, i, 0), cells[i]);
    csv_close(c);
}

int main(void)
{
    CASE(rows_are_found_by_name);
    CASE(quotes_hold_commas_quotes_and_line_ends);
    CASE(tabs_separate_too_and_the_last_line_may_lack_its_end);
    CASE(what_is_no_table_is_refused_with_its_line);
    CASE(written_cells_read_back);
    remove(PATH);
    return test_end();
}
