/* Samples from files and from the generator. */
#include <unistd.h>

#include "models/data.h"
#include "models/dialogue.h"
#include "models/vocab.h"
#include "sim/base/file.h"
#include "tests/test.h"

static struct data_spec spec_of(const char *source)
{
    return (struct data_spec){
        .source = source, .prefix = "summarize: ", .max_input = 512, .max_target = 95, .seed = 1};
}

static void write_text(const char *path, const char *text)
{
    struct err e = {0};
    CHECK_INT(file_replace(path, text, strlen(text), &e), OK);
}

static void a_line_is_a_sample_and_labels_are_numbered_by_name(void)
{
    write_text("data.jsonl",
               "{\"dialogue\": \"a b\", \"summary\": \"s0\", \"label\": \"work\"}\n"
               "{\"id\": 7, \"dialogue\": \"c\\nd\", \"summary\": \"s1\", \"label\": \"home\"}\n"
               "\n"
               "{\"dialogue\": \"e\", \"summary\": \"s2\", \"label\": \"work\"}");
    struct data_spec spec = spec_of("data.jsonl");
    spec.n_heldout = 1;
    struct dataset *train = NULL, *heldout = NULL;
    struct err e = {0};
    CHECK_INT(data_open(&train, &heldout, &spec, &e), OK);
    if (!train)
        return;
    CHECK_INT(train->n, 2);
    CHECK_INT(heldout->n, 1);
    CHECK_INT(train->n_labels, 2);
    CHECK_STR(train->label_name[0], "home");
    CHECK_INT(train->sample[0].label, 1);
    CHECK_INT(train->sample[1].label, 0);
    CHECK_STR(train->sample[1].dialogue, "c\nd");
    CHECK_STR(heldout->sample[0].summary, "s2");
    CHECK_INT(heldout->sample[0].n_facts, 0);
    data_close(train);
    data_close(heldout);
    unlink("data.jsonl");
}

static void an_array_reads_as_samsum_and_a_validation_file_is_held_out(void)
{
    write_text("train.json", " [{\"id\": \"1\", \"summary\": \"s\", \"dialogue\": \"d\"},\n"
                             "{\"id\": \"2\", \"summary\": \"t\", \"dialogue\": \"e\"}]\n");
    write_text("val.json", "[{\"id\": \"3\", \"summary\": \"u\", \"dialogue\": \"f\"}]");
    struct data_spec spec = spec_of("train.json");
    spec.validation = "val.json";
    spec.n_train = 1;
    struct dataset *train = NULL, *heldout = NULL;
    struct err e = {0};
    CHECK_INT(data_open(&train, &heldout, &spec, &e), OK);
    if (!train)
        return;
    CHECK_INT(train->n, 1);
    CHECK_INT(heldout->n, 1);
    CHECK_INT(train->n_labels, 0);
    CHECK_INT(train->sample[0].label, -1);
    CHECK_STR(heldout->sample[0].dialogue, "f");
    data_close(train);
    data_close(heldout);
    unlink("train.json");
    unlink("val.json");
}

static void whole_numbers_are_labels_by_value(void)
{
    write_text("data.jsonl", "{\"dialogue\": \"a\", \"summary\": \"s\", \"label\": 10}\n"
                             "{\"dialogue\": \"a\", \"summary\": \"s\", \"label\": 9}\n");
    struct data_spec spec = spec_of("data.jsonl");
    struct dataset *train = NULL, *heldout = NULL;
    CHECK_INT(data_open(&train, &heldout, &spec, NULL), OK);
    if (!train)
        return;
    CHECK_STR(train->label_name[0], "9");
    CHECK_INT(train->sample[0].label, 1);
    data_close(train);
    data_close(heldout);
    unlink("data.jsonl");
}

/* As SAMSum's training file has one, and exports of it as JSON Lines have null in its place. */
static void samples_without_a_text_can_be_left_out(void)
{
    static const char *const files[] = {
        "[{\"id\": \"1\", \"summary\": \"s\", \"dialogue\": \"\"},"
        "{\"id\": \"2\", \"summary\": \"t\", \"dialogue\": \"A: e\\r\\nB: f\"},"
        "{\"id\": \"3\", \"summary\": \" \\n\", \"dialogue\": \"g\"}]",
        "{\"id\": \"1\", \"summary\": \"s\", \"dialogue\": null}\n"
        "{\"id\": \"2\", \"summary\": \"t\", \"dialogue\": \"A: e\\r\\nB: f\"}\n"
        "{\"id\": \"3\", \"summary\": null, \"dialogue\": \"g\"}\n"};
    for (int i = 0; i < 2; i++) {
        write_text("train.json", files[i]);
        write_text("val.json", "[{\"summary\": \"u\", \"dialogue\": \"v\"}, {\"summary\": \"u\", "
                               "\"dialogue\": \"\"}]");
        struct data_spec spec = spec_of("train.json");
        struct dataset *train = NULL, *heldout = NULL;
        struct err e = {0};
        CHECK_INT(data_open(&train, &heldout, &spec, &e), ERR_INPUT);
        CHECK_HAS(e.text, i ? "train.json:1: dialogue: expected a string, got null"
                            : "[0].dialogue: expected some text, got none (data.skip_empty");
        spec.skips_empty = true;
        spec.validation = "val.json";
        if (data_open(&train, &heldout, &spec, &e))
            TEST_FAIL("%s", e.text);
        if (!train)
            return;
        CHECK_INT(train->n, 1);
        CHECK_INT(train->n_empty, 2);
        CHECK_STR(train->sample[0].dialogue, "A: e\r\nB: f");
        CHECK_INT(heldout->n, 1);
        CHECK_INT(heldout->n_empty, 1);
        data_close(train);
        data_close(heldout);
    }
    unlink("train.json");
    unlink("val.json");
}

/* The message names the file, the place in it and the fact; nothing comes out. */
static void check_refused(const char *text, size_t n_heldout, const char *words)
{
    write_text("bad.jsonl", text);
    struct data_spec spec = spec_of("bad.jsonl");
    spec.n_heldout = n_heldout;
    struct dataset *train = NULL, *heldout = NULL;
    struct err e = {0};
    CHECK_INT(data_open(&train, &heldout, &spec, &e), ERR_INPUT);
    CHECK_HAS(e.text, "bad.jsonl");
    CHECK_HAS(e.text, words);
    CHECK_TRUE(!strchr(e.text, '\n'));
    CHECK_TRUE(!train && !heldout);
    unlink("bad.jsonl");
}

static void a_bad_line_is_named_by_its_number(void)
{
#define GOOD "{\"dialogue\": \"a\", \"summary\": \"s\"}\n"
    check_refused(GOOD GOOD "{\"dialogue\": \"a\", \"summary\"\n", 0, "bad.jsonl:3");
    check_refused(GOOD "{\"dialogue\": \"a\"}\n", 0, "bad.jsonl:2: summary");
    check_refused(GOOD "{\"dialogue\": \" \\n\", \"summary\": \"s\"}\n", 0,
                  "bad.jsonl:2: dialogue");
    check_refused("\n\n" GOOD "{\"dialogue\": 3, \"summary\": \"s\"}\n", 0,
                  "bad.jsonl:4: dialogue");
    check_refused(GOOD "[1]\n", 0, "bad.jsonl:2");
    check_refused(GOOD "{\"dialogue\": \"a\", \"summary\": \"s\", \"label\": 1}\n", 0,
                  "bad.jsonl:2");
    check_refused("{\"dialogue\": \"a\", \"summary\": \"s\", \"label\": 1.5}\n", 0,
                  "bad.jsonl:1: label");
    check_refused("{\"dialogue\": \"a\", \"summary\": \"s\", \"label\": []}\n", 0,
                  "bad.jsonl:1: label");
    check_refused("[" GOOD ", 5]", 0, "[1]");
    check_refused("", 0, "got none");
    check_refused("[]", 0, "got none");
    check_refused(GOOD GOOD, 2, "2 to hold out");
}

static void an_unknown_builtin_or_file_is_refused(void)
{
    struct dataset *train = NULL, *heldout = NULL;
    struct err e = {0};
    struct data_spec spec = spec_of("builtin:dialog");
    CHECK_INT(data_open(&train, &heldout, &spec, &e), ERR_INPUT);
    CHECK_HAS(e.text, "builtin:dialogues");
    spec = spec_of("no/such.jsonl");
    CHECK_INT(data_open(&train, &heldout, &spec, &e), ERR_INPUT);
    CHECK_HAS(e.text, "no/such.jsonl");
    spec = spec_of("builtin:dialogues");
    CHECK_INT(data_open(&train, &heldout, &spec, &e), ERR_INPUT);
    CHECK_TRUE(!train && !heldout);
}

static struct dataset *builtin(uint64_t seed, size_t n, struct dataset **heldout)
{
    struct data_spec spec = spec_of("builtin:dialogues");
    spec.seed = seed;
    spec.n_train = n;
    spec.n_heldout = n;
    struct dataset *train = NULL;
    CHECK_INT(data_open(&train, heldout, &spec, NULL), OK);
    return train;
}

static void a_generated_sample_depends_on_seed_part_and_index_alone(void)
{
    struct dataset *h1, *h2, *h3;
    struct dataset *a = builtin(1, 20, &h1), *b = builtin(1, 50, &h2), *c = builtin(2, 20, &h3);
    int n_same_other_seed = 0, n_same_other_part = 0;
    for (size_t i = 0; i < 20; i++) {
        CHECK_STR(a->sample[i].dialogue, b->sample[i].dialogue);
        CHECK_STR(h1->sample[i].summary, h2->sample[i].summary);
        n_same_other_seed += strcmp(a->sample[i].dialogue, c->sample[i].dialogue) == 0;
        n_same_other_part += strcmp(a->sample[i].dialogue, h1->sample[i].dialogue) == 0;
    }
    CHECK_INT(n_same_other_seed, 0);
    CHECK_INT(n_same_other_part, 0);
    data_close(a), data_close(b), data_close(c);
    data_close(h1), data_close(h2), data_close(h3);
}

/* 200 of a generated test set are none of 200 held out, none of 8000 to train on. */
static void a_generated_test_set_is_a_third_part(void)
{
    struct data_spec spec = spec_of("builtin:dialogues");
    spec.n_test = 200;
    struct dataset *heldout, *train = builtin(1, 8000, &heldout), *test = NULL, *more = NULL;
    CHECK_INT(data_open_test(&test, &spec, NULL), OK);
    spec.n_test = 300;
    CHECK_INT(data_open_test(&more, &spec, NULL), OK);
    CHECK_INT(test->n, 200);
    int n_same = 0;
    for (size_t i = 0; i < test->n; i++) {
        CHECK_STR(more->sample[i].dialogue, test->sample[i].dialogue);
        for (size_t k = 0; k < train->n; k++)
            n_same += strcmp(test->sample[i].dialogue, train->sample[k].dialogue) == 0;
        for (size_t k = 0; k < 200; k++)
            n_same += strcmp(test->sample[i].dialogue, heldout->sample[k].dialogue) == 0;
    }
    CHECK_INT(n_same, 0);
    data_close(train), data_close(heldout), data_close(test), data_close(more);
}

static void a_test_file_gives_its_first_samples(void)
{
    write_text("test.jsonl", "{\"dialogue\": \"a\", \"summary\": \"s\", \"label\": 10}\n"
                             "{\"dialogue\": \"b\", \"summary\": \"t\", \"label\": 9}\n");
    struct data_spec spec = spec_of("data.jsonl"); /* it is not opened */
    struct dataset *one = NULL, *all = NULL, *none = NULL;
    struct err e = {0};
    spec.test = "test.jsonl";
    spec.n_test = 1;
    CHECK_INT(data_open_test(&one, &spec, NULL), OK);
    spec.n_test = 200;
    CHECK_INT(data_open_test(&all, &spec, NULL), OK);
    if (!one || !all)
        return;
    CHECK_INT(one->n, 1);
    CHECK_INT(all->n, 2);
    CHECK_STR(all->sample[1].summary, "t");
    CHECK_INT(all->sample[0].label, -1);
    spec.test = "nowhere.jsonl";
    CHECK_INT(data_open_test(&none, &spec, &e), ERR_INPUT);
    CHECK_HAS(e.text, "nowhere.jsonl");
    CHECK_TRUE(!none);
    data_close(one), data_close(all);
    unlink("test.jsonl");
}

static void every_fact_stands_in_summary_and_talk(void)
{
    struct dataset *heldout, *d = builtin(5, 2000, &heldout);
    int n_of_label[DIALOGUE_TOPICS] = {0};
    for (size_t i = 0; i < d->n; i++) {
        const struct sample *s = &d->sample[i];
        n_of_label[s->label]++;
        CHECK_TRUE(s->n_facts >= 5);
        for (int k = 0; k < s->n_facts; k++) {
            CHECK_HAS(s->summary, s->fact[k]);
            if (k < 4) /* the excuse changes its person */
                CHECK_HAS(s->dialogue, s->fact[k]);
        }
    }
    CHECK_INT(d->n_labels, DIALOGUE_TOPICS);
    for (int k = 0; k < DIALOGUE_TOPICS; k++)
        CHECK_TRUE(n_of_label[k] > 120 && n_of_label[k] < 220); /* 2000 / 12 = 167 +- 4.3 sigma */
    data_close(d);
    data_close(heldout);
}

static void summaries_hold_the_final_time_and_place(void)
{
    struct arena a = {0};
    int n_moved = 0;
    for (uint64_t i = 0; i < 300; i++) {
        struct draw d = {.seed = 9, .stream = RNG_DIALOGUE, .index = i};
        struct facts f;
        facts_draw(&f, &d, &a);
        char *summary = dialogue_summary(&f, &a), *talk = dialogue_talk(&f, &d, &a);
        CHECK_HAS(summary, f.is_time_moved ? f.time : f.first_time);
        CHECK_HAS(talk, f.first_time);
        if (!f.is_declined)
            CHECK_HAS(summary, f.is_place_moved ? f.place : f.first_place);
        n_moved += f.is_time_moved;
        CHECK_TRUE(strcmp(f.name[0], f.name[1]) != 0);
    }
    CHECK_TRUE(n_moved > 40 && n_moved < 110); /* 300 * 0.78 * 0.3 = 70 */
    arena_free(&a);
}

/* A cut text is the whole one's first limit - 1 ids and the end mark, as transformers cuts. */
static void check_cut(const int32_t *cut, int n_cut, const int32_t *whole, int n_whole, int limit)
{
    CHECK_INT(n_cut, n_whole < limit ? n_whole : limit);
    CHECK_TRUE(memcmp(cut, whole, (size_t)(n_cut - 1) * sizeof(*cut)) == 0);
    CHECK_INT(cut[n_cut - 1], TOKEN_EOS);
}

static void encoded_samples_end_in_the_end_mark_and_keep_the_limits(void)
{
    struct dataset *heldout, *heldout2, *d = builtin(1, 50, &heldout), *whole = builtin(1, 50, &heldout2);
    struct vocab *v = vocab_open();
    for (size_t i = 0; dialogue_text(i); i++)
        vocab_count(v, dialogue_text(i), 1.0);
    vocab_count(v, "summarize:", 1.0);
    struct arena a = {0};
    size_t n;
    int n_pieces;
    unsigned char *bytes = vocab_model(v, &a, &n, &n_pieces);
    vocab_close(v);
    CHECK_INT(file_replace("data.model", bytes, n, NULL), OK);
    arena_free(&a);
    struct tokens *t = NULL;
    CHECK_INT(tokens_open(&t, "data.model", NULL), OK);
    unlink("data.model");
    struct data_spec spec = spec_of("builtin:dialogues");
    spec.max_input = 40;
    spec.max_target = 18;
    CHECK_INT(data_tokenise(d, t, &spec, NULL), OK);
    spec.max_input = spec.max_target = 8192;
    CHECK_INT(data_tokenise(whole, t, &spec, NULL), OK);
    int longest_in = 0, longest_out = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct sample *s = &d->sample[i];
        longest_in = s->n_input > longest_in ? s->n_input : longest_in;
        longest_out = s->n_target > longest_out ? s->n_target : longest_out;
        check_cut(s->input, s->n_input, whole->sample[i].input, whole->sample[i].n_input, 40);
        check_cut(s->target, s->n_target, whole->sample[i].target, whole->sample[i].n_target, 18);
        CHECK_INT(s->input[0], d->sample[0].input[0]); /* the prefix */
    }
    CHECK_INT(longest_in, 40);
    CHECK_INT(longest_out, 18);
    tokens_close(t);
    data_close(d), data_close(whole);
    data_close(heldout), data_close(heldout2);
}

int main(void)
{
    CASE(a_line_is_a_sample_and_labels_are_numbered_by_name);
    CASE(an_array_reads_as_samsum_and_a_validation_file_is_held_out);
    CASE(whole_numbers_are_labels_by_value);
    CASE(samples_without_a_text_can_be_left_out);
    CASE(a_bad_line_is_named_by_its_number);
    CASE(an_unknown_builtin_or_file_is_refused);
    CASE(a_generated_sample_depends_on_seed_part_and_index_alone);
    CASE(a_generated_test_set_is_a_third_part);
    CASE(a_test_file_gives_its_first_samples);
    CASE(every_fact_stands_in_summary_and_talk);
    CASE(summaries_hold_the_final_time_and_place);
    CASE(encoded_samples_end_in_the_end_mark_and_keep_the_limits);
    return test_end();
}
