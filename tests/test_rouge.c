/* ROUGE against hand-made cases and, where the shared folder is, against Google's documented
 * numbers and the tables of scores beside them (third-party texts, so not in this repository). */
#include <stdio.h>
#include <string.h>

#include "models/rouge.h"
#include "sim/base/csv.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "tests/test.h"

#define ROUGE_FOLDER TEST_SHARED "/data/rouge/"
#define MTS_FOLDER TEST_SHARED "/data/mts-dialog/"
#define TABLE_ERROR 1e-8 /* the tables hold nine decimals */

static struct rouge_scores score(const char *target, const char *prediction)
{
    struct rouge_scores s;
    rouge_score(target, prediction, false, &s);
    return s;
}

static void check_prf(const struct rouge_prf *s, double precision, double recall, double f,
                      double tolerance)
{
    CHECK_NEAR(s->precision, precision, tolerance);
    CHECK_NEAR(s->recall, recall, tolerance);
    CHECK_NEAR(s->f, f, tolerance);
}

static void ngrams_match_as_often_as_both_have_them(void)
{
    struct rouge_scores s = score("testing one two", "testing one");
    check_prf(&s.rouge1, 1, 2.0 / 3, 4.0 / 5, 1e-15);
    check_prf(&s.rouge2, 1, 1.0 / 2, 2.0 / 3, 1e-15);
    check_prf(&s.rougeL, 1, 2.0 / 3, 4.0 / 5, 1e-15);
    s = score("a a b", "a a a a");
    check_prf(&s.rouge1, 2.0 / 4, 2.0 / 3, 4.0 / 7, 1e-15);
    check_prf(&s.rouge2, 1.0 / 3, 1.0 / 2, 2.0 / 5, 1e-15);
}

static void a_subsequence_may_have_gaps(void)
{
    struct rouge_scores s = score("testing one two", "testing two");
    check_prf(&s.rougeL, 1, 2.0 / 3, 4.0 / 5, 1e-15);
    check_prf(&s.rouge2, 0, 0, 0, 0);
}

static void an_empty_text_gives_zero(void)
{
    static const char *const nothing[] = {"", " \n,.!", "\n\n"};
    for (int i = 0; i < 3; i++) {
        struct rouge_scores a = score(nothing[i], "one two"), b = score("one two", nothing[i]);
        struct rouge_scores c = score(nothing[i], nothing[i]);
        const struct rouge_scores *all[] = {&a, &b, &c};
        for (int j = 0; j < 3; j++) {
            check_prf(&all[j]->rouge1, 0, 0, 0, 0);
            check_prf(&all[j]->rouge2, 0, 0, 0, 0);
            check_prf(&all[j]->rougeL, 0, 0, 0, 0);
            check_prf(&all[j]->rougeLsum, 0, 0, 0, 0);
        }
    }
}

static void one_word_has_no_bigram(void)
{
    struct rouge_scores s = score("word", "word");
    check_prf(&s.rouge1, 1, 1, 1, 0);
    check_prf(&s.rouge2, 0, 0, 0, 0);
}

static void lsum_unites_the_lcs_of_all_sentences(void)
{
    struct rouge_scores s = score("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5");
    check_prf(&s.rougeLsum, 0.4, 0.8, 8.0 / 15, 1e-15);
    CHECK_NEAR(s.rougeL.recall, 4.0 / 5, 1e-15); /* w1 w2 w3 w5: line ends are blanks to rougeL */
    s = score("w1 w2 w3 w4", "w3 w4\nw1 w2");
    CHECK_NEAR(s.rougeL.f, 1.0 / 2, 1e-15);
    CHECK_NEAR(s.rougeLsum.f, 1, 1e-15);
}

static void lsum_of_one_line_each_is_l(void)
{
    struct rouge_scores s = score("the cat sat on the mat", "on the mat sat the dog");
    check_prf(&s.rougeLsum, s.rougeL.precision, s.rougeL.recall, s.rougeL.f, 1e-15);
}

static void case_and_punctuation_do_not_count(void)
{
    struct rouge_scores s = score("Tom's cat, 12:30!", "tom S CAT 12 30");
    check_prf(&s.rouge1, 1, 1, 1, 0);
    /* letters beyond ASCII separate, but the Kelvin sign's lower case is k */
    s = score("caf\xC3\xA9 \xE2\x84\xAA", "caf k");
    check_prf(&s.rouge1, 1, 1, 1, 0);
    s = score("na\xC3\xAFve", "na ve");
    check_prf(&s.rouge2, 1, 1, 1, 0);
}

static void stemming_joins_forms_of_words_longer_than_three(void)
{
    struct rouge_scores s;
    rouge_score("she was planning meetings", "she plans a meeting", true, &s);
    CHECK_NEAR(s.rouge1.precision, 3.0 / 4, 1e-15);
    rouge_score("was", "wa", true, &s); /* three letters: not stemmed */
    CHECK_NEAR(s.rouge1.f, 0, 0);
}

/* --- the shared references --- */

struct lines {
    char *text;
    size_t n;
    const char **line;
};

static struct lines read_lines(const char *path)
{
    struct lines l = {0};
    struct file f;
    struct err e;
    size_t cap = 0, cap_lines = 0;
    if (file_map(&f, path, &e)) {
        TEST_FAIL("%s", e.text);
        return l;
    }
    mem_grow((void **)&l.text, &cap, f.n_bytes + 1, 1);
    memcpy(l.text, f.bytes, f.n_bytes);
    l.text[f.n_bytes] = 0;
    file_unmap(&f);
    for (char *at = l.text, *end; *at; at = end + 1) {
        mem_grow((void **)&l.line, &cap_lines, l.n + 1, sizeof(*l.line));
        l.line[l.n++] = at;
        end = strchr(at, '\n');
        if (!end)
            break;
        *end = 0;
    }
    return l;
}

static void free_lines(struct lines *l)
{
    mem_free(l->text);
    mem_free(l->line);
}

/* Lines first .. first + n - 1 with '\n' between. */
static char *joined(const struct lines *l, size_t first, size_t n)
{
    char *text = NULL;
    size_t cap = 0, used = 0;
    for (size_t i = first; i < first + n; i++) {
        size_t k = strlen(l->line[i]);
        mem_grow((void **)&text, &cap, used + k + 1, 1);
        memcpy(text + used, l->line[i], k);
        used += k;
        text[used++] = '\n';
    }
    text[used - 1] = 0;
    return text;
}

static const struct rouge_prf *metric_of(const struct rouge_scores *s, const char *name)
{
    if (strcmp(name, "rouge1") == 0)
        return &s->rouge1;
    if (strcmp(name, "rouge2") == 0)
        return &s->rouge2;
    return strcmp(name, "rougeL") == 0 ? &s->rougeL : &s->rougeLsum;
}

/* Compares the last four cells of a row (metric, precision, recall, f); returns the largest error.
 */
static double row_error(const struct csv *c, size_t row, const struct rouge_scores *s)
{
    size_t last = csv_columns(c) - 1;
    const struct rouge_prf *got = metric_of(s, csv_cell(c, row, last - 3));
    double worst = fabs(got->precision - atof(csv_cell(c, row, last - 2)));
    worst = fmax(worst, fabs(got->recall - atof(csv_cell(c, row, last - 1))));
    return fmax(worst, fabs(got->f - atof(csv_cell(c, row, last))));
}

/* A table by groups of lines: column 0 the group, column 1 the stemmer. */
static void check_table(const char *path, size_t n_lines, size_t n_rows)
{
    struct lines target = read_lines(ROUGE_FOLDER "target_large.txt");
    struct lines prediction = read_lines(ROUGE_FOLDER "prediction_large.txt");
    struct csv *c = NULL;
    struct err e;
    double worst = 0;
    if (csv_load(&c, path, '\t', &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(csv_rows(c), n_rows);
    for (size_t row = 0; row < csv_rows(c); row++) {
        size_t group = (size_t)atol(csv_cell(c, row, 0));
        char *t = joined(&target, group * n_lines, n_lines);
        char *p = joined(&prediction, group * n_lines, n_lines);
        struct rouge_scores s;
        rouge_score(t, p, csv_cell(c, row, 1)[0] == '1', &s);
        worst = fmax(worst, row_error(c, row, &s));
        mem_free(t);
        mem_free(p);
    }
    printf("  %zu rows, largest error %.1e\n", csv_rows(c), worst);
    CHECK_TRUE(worst <= TABLE_ERROR);
    csv_close(c);
    free_lines(&target);
    free_lines(&prediction);
}

static void every_line_scores_as_in_the_reference(void)
{
    SKIP_CASE_UNLESS(ROUGE_FOLDER "target_large.txt");
    check_table(ROUGE_FOLDER "per_line_scores.tsv", 1, 6000);
}

static void every_group_of_four_lines_scores_as_in_the_reference(void)
{
    SKIP_CASE_UNLESS(ROUGE_FOLDER "target_large.txt");
    check_table(ROUGE_FOLDER "per_group4_scores.tsv", 4, 2000);
}

/* A line of the table in the folder's README: numbers that Google's and T5's own tests state. */
struct documented {
    size_t first, n_lines, n_groups; /* mean over groups of n_lines lines each, scored as one text */
    bool has_stemming;
    const char *metric;
    double precision, recall, f; /* -1: not stated */
    double tolerance;            /* as printed; .002 for means found by bootstrap */
};

static const struct documented documented[] = {
    {0, 1, 1, false, "rouge1", 0.68750, 0.40741, 0.51163, 5e-6},
    {0, 1, 1, true, "rouge1", 0.68750, 0.40741, 0.51163, 5e-6},
    {0, 1, 1, false, "rouge2", 0.53333, 0.30769, 0.39024, 5e-6},
    {0, 1, 1, true, "rouge2", 0.53333, 0.30769, 0.39024, 5e-6},
    {0, 1, 1, false, "rougeL", 0.68750, 0.40741, 0.51163, 5e-6},
    {1, 1, 1, false, "rouge1", 0.65385, 0.40476, 0.50000, 5e-6},
    {1, 1, 1, true, "rouge1", 0.69231, 0.42857, 0.52941, 5e-6},
    {1, 1, 1, false, "rouge2", 0.48000, 0.29268, 0.36364, 5e-6},
    {1, 1, 1, true, "rouge2", 0.48000, 0.29268, 0.36364, 5e-6},
    {1, 1, 1, false, "rougeL", 0.65385, 0.40476, 0.50000, 5e-6},
    {0, 4, 1, true, "rougeLsum", 0.66667, 0.36538, 0.47205, 5e-6},
    {0, 1000, 1, false, "rougeLsum", -1, -1, 0.533, 5e-4},
    {0, 1, 1000, false, "rouge1", 0.49879, 0.31950, 0.38554, 2e-3},
    {0, 1, 1000, true, "rouge1", 0.52434, 0.33580, 0.40524, 2e-3},
    {0, 1, 1000, true, "rougeL", 0.52104, 0.33377, 0.40275, 2e-3},
    {0, 4, 250, true, "rouge1", 0.59877, 0.38091, 0.46411, 2e-3},
    {0, 4, 250, true, "rouge2", 0.36516, 0.23109, 0.28209, 2e-3},
    {0, 4, 250, true, "rougeLsum", 0.59491, 0.37846, 0.46113, 2e-3},
    {0, 1, 1000, false, "rouge1", -1, -1, 0.385175, 5e-3},
    {0, 1, 1000, false, "rouge2", -1, -1, 0.221524, 5e-3},
    {0, 1, 1000, false, "rougeLsum", -1, -1, 0.383626, 5e-3},
};

static struct rouge_prf mean_of(const struct documented *d, const struct lines *target,
                                const struct lines *prediction)
{
    struct rouge_prf mean = {0};
    for (size_t g = 0; g < d->n_groups; g++) {
        char *t = joined(target, d->first + g * d->n_lines, d->n_lines);
        char *p = joined(prediction, d->first + g * d->n_lines, d->n_lines);
        struct rouge_scores s;
        rouge_score(t, p, d->has_stemming, &s);
        const struct rouge_prf *m = metric_of(&s, d->metric);
        mean.precision += m->precision / (double)d->n_groups;
        mean.recall += m->recall / (double)d->n_groups;
        mean.f += m->f / (double)d->n_groups;
        mem_free(t);
        mem_free(p);
    }
    return mean;
}

static void google_documents_these_numbers(void)
{
    SKIP_CASE_UNLESS(ROUGE_FOLDER "target_large.txt");
    struct lines target = read_lines(ROUGE_FOLDER "target_large.txt");
    struct lines prediction = read_lines(ROUGE_FOLDER "prediction_large.txt");
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
        const struct documented *d = &documented[i];
        struct rouge_prf got = mean_of(d, &target, &prediction);
        if (d->precision >= 0)
            check_prf(&got, d->precision, d->recall, d->f, d->tolerance);
        else
            CHECK_NEAR(got.f, d->f, d->tolerance);
    }
    free_lines(&target);
    free_lines(&prediction);
}

/* The first three lines of a dialogue; to [at least strlen(from) + 1]. */
static void first_three_lines(const char *from, char *to)
{
    int n_ends = 0;
    while (*from && !(*from == '\n' && ++n_ends == 3))
        *to++ = *from++;
    *to = 0;
}

/* ". " becomes ".\n". */
static void break_sentences(const char *from, char *to)
{
    for (; *from; from++, to++)
        *to = from[0] == ' ' && to[-1] == '.' ? '\n' : from[0];
    *to = 0;
}

static size_t row_of_id(const struct csv *c, const char *id)
{
    size_t column = (size_t)csv_find(c, "ID");
    for (size_t row = 0; row < csv_rows(c); row++)
        if (strcmp(csv_cell(c, row, column), id) == 0)
            return row;
    TEST_FAIL("no row with ID %s", id);
    return 0;
}

static void real_dialogues_score_as_in_the_reference(void)
{
    struct csv *want = NULL, *val = NULL, *test1 = NULL;
    struct err e;
    double worst = 0, sum_f = 0;
    SKIP_CASE_UNLESS(ROUGE_FOLDER "target_large.txt");
    SKIP_CASE_UNLESS(MTS_FOLDER "MTS-Dialog-ValidationSet.csv");
    if (csv_load(&want, ROUGE_FOLDER "mts_lead3_scores.tsv", '\t', &e) ||
        csv_load(&val, MTS_FOLDER "MTS-Dialog-ValidationSet.csv", ',', &e) ||
        csv_load(&test1, MTS_FOLDER "MTS-Dialog-TestSet-1-MEDIQA-Chat-2023.csv", ',', &e))
        TEST_FAIL("%s", e.text);
    for (size_t row = 0; test1 && row < csv_rows(want); row++) {
        bool is_val = strcmp(csv_cell(want, row, 0), "val") == 0;
        bool has_stemming = csv_cell(want, row, 2)[0] == '1';
        const struct csv *c = is_val ? val : test1;
        size_t at = row_of_id(c, csv_cell(want, row, 1));
        const char *dialogue = csv_cell(c, at, (size_t)csv_find(c, "dialogue"));
        const char *summary = csv_cell(c, at, (size_t)csv_find(c, "section_text"));
        char *prediction = malloc(strlen(dialogue) + 1), *target = malloc(strlen(summary) + 2);
        struct rouge_scores s;
        first_three_lines(dialogue, prediction);
        target[0] = ' '; /* something before the first letter to look back at */
        break_sentences(summary, target + 1);
        rouge_score(target, prediction, has_stemming, &s);
        worst = fmax(worst, row_error(want, row, &s));
        if (!is_val && has_stemming && strcmp(csv_cell(want, row, 3), "rougeLsum") == 0)
            sum_f += s.rougeLsum.f;
        free(prediction);
        free(target);
    }
    printf("  largest error %.1e\n", worst);
    CHECK_TRUE(worst <= TABLE_ERROR);
    CHECK_NEAR(100 * sum_f / 200, 15.7258, 5e-6);
    csv_close(want);
    csv_close(val);
    csv_close(test1);
}

int main(void)
{
    CASE(ngrams_match_as_often_as_both_have_them);
    CASE(a_subsequence_may_have_gaps);
    CASE(an_empty_text_gives_zero);
    CASE(one_word_has_no_bigram);
    CASE(lsum_unites_the_lcs_of_all_sentences);
    CASE(lsum_of_one_line_each_is_l);
    CASE(case_and_punctuation_do_not_count);
    CASE(stemming_joins_forms_of_words_longer_than_three);
    CASE(every_line_scores_as_in_the_reference);
    CASE(every_group_of_four_lines_scores_as_in_the_reference);
    CASE(google_documents_these_numbers);
    CASE(real_dialogues_score_as_in_the_reference);
    return test_end();
}
