/* The tokenizer against encodings by SentencePiece 0.1.97, and the model that vocab.c writes. */
#include <unistd.h>

#include "models/dialogue.h"
#include "models/tokens.h"
#include "models/vocab.h"
#include "sim/base/file.h"
#include "sim/base/json.h"
#include "tests/test.h"

#define T5_FOLDER TEST_SHARED "/data/t5-tokenizer"

static struct tokens *write_and_open(const struct vocab *v, int *n_pieces)
{
    struct arena a = {0};
    size_t n;
    unsigned char *bytes = vocab_model(v, &a, &n, n_pieces);
    struct err e = {0};
    struct tokens *t = NULL;
    if (file_replace("test_tokens.tmp", bytes, n, &e) || tokens_open(&t, "test_tokens.tmp", &e))
        TEST_FAIL("%s", e.text);
    unlink("test_tokens.tmp");
    arena_free(&a);
    return t;
}

static struct tokens *small_model(int *n_pieces)
{
    struct vocab *v = vocab_open();
    vocab_count(v, "Howard: Can we meet at {p}, Ruth? I can't, I am ill :(", 2.0);
    vocab_count(v, "meet at", 1.0);
    struct tokens *t = write_and_open(v, n_pieces);
    vocab_close(v);
    return t;
}

static size_t encode(const struct tokens *t, const char *text, int32_t ids[64])
{
    struct arena a = {0};
    int32_t *found;
    size_t n = 0;
    struct err e = {0};
    if (tokens_encode(t, text, &a, &found, &n, &e))
        TEST_FAIL("%s", e.text);
    if (n > 64) {
        TEST_FAIL("%zu ids", n);
        n = 64;
    }
    for (size_t i = 0; i < n; i++)
        ids[i] = found[i];
    arena_free(&a);
    return n;
}

static void check_round_trip(const struct tokens *t, const char *text, const char *want)
{
    struct arena a = {0};
    int32_t ids[64];
    size_t n = encode(t, text, ids);
    CHECK_STR(tokens_decode(t, ids, n, &a), want);
    arena_free(&a);
}

static void every_counted_word_is_one_piece(void)
{
    int n_pieces;
    struct tokens *t = small_model(&n_pieces);
    if (!t)
        return;
    int32_t ids[64];
    /* Howard : Can we meet at | , | Ruth ? I can't , I am ill :( */
    CHECK_INT(encode(t, "Howard: Can we meet at", ids), 6);
    CHECK_INT(encode(t, "Ruth? I can't, I am ill :(", ids), 9);
    CHECK_INT(encode(t, "can't", ids), 1);
    /* meet and at: 3 each, and before those counted 2 by order of sight; I: 4, comma: 4 by order of
     * sight */
    CHECK_INT(encode(t, "I", ids), 1);
    CHECK_INT(encode(t, ", I meet at Howard", ids), 6);
    CHECK_INT(ids[2], 4);
    CHECK_INT(ids[3], 5);
    CHECK_INT(ids[4], 6);
    CHECK_INT(ids[5], 7);
    tokens_close(t);
}

static void new_lines_and_runs_of_blanks_are_one_blank(void)
{
    int n_pieces;
    struct tokens *t = small_model(&n_pieces);
    if (!t)
        return;
    int32_t plain[64], broken[64];
    size_t n = encode(t, "Ruth meet at Howard", plain);
    CHECK_INT(encode(t, " \tRuth\nmeet \r\n at\tHoward\n", broken), n);
    CHECK_TRUE(memcmp(plain, broken, n * sizeof(plain[0])) == 0);
    tokens_close(t);
}

static void foreign_text_encodes_and_comes_back(void)
{
    int n_pieces;
    struct tokens *t = small_model(&n_pieces);
    if (!t)
        return;
    CHECK_INT(tokens_count(t), n_pieces);
    check_round_trip(t, "Qwerty (x) #5 ~", "Qwerty (x) #5 ~");
    check_round_trip(t, "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac",
                     "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac");
    int32_t ids[64];
    size_t n = encode(t, "\xe2\x82\xac", ids);
    CHECK_INT(n, 4); /* blank and three bytes */
    for (size_t i = 0; i < n; i++)
        CHECK_TRUE(ids[i] != TOKEN_UNK);
    CHECK_INT(encode(t, "", ids), 0);
    tokens_close(t);
}

static void every_word_of_the_generator_is_one_piece(void)
{
    struct vocab *v = vocab_open();
    size_t i;
    for (i = 0; dialogue_text(i); i++)
        vocab_count(v, dialogue_text(i), 1.0);
    CHECK_TRUE(i > 500);
    int n_pieces;
    struct tokens *t = write_and_open(v, &n_pieces);
    vocab_close(v);
    if (!t)
        return;
    struct arena a = {0};
    for (uint64_t k = 0; k < 200; k++) {
        struct draw d = {.seed = 3, .stream = RNG_DIALOGUE, .index = k};
        struct facts f;
        facts_draw(&f, &d, &a);
        char *text = dialogue_talk(&f, &d, &a);
        size_t n_words = 1, n;
        int32_t *ids;
        for (char *s = text; *s; s++) {
            n_words += strchr(" \n", *s) != NULL;
            n_words += strchr(".,:!?", *s) && !strchr(" \n", s[-1]);
        }
        CHECK_INT(tokens_encode(t, text, &a, &ids, &n, NULL), OK);
        CHECK_INT(n, n_words);
    }
    arena_free(&a);
    tokens_close(t);
}

static void check_refused(const char *path, const void *bytes, size_t n)
{
    struct tokens *t = NULL;
    struct err e = {0};
    CHECK_INT(file_replace(path, bytes, n, &e), OK);
    CHECK_INT(tokens_open(&t, path, &e), ERR_INPUT);
    CHECK_HAS(e.text, path);
    CHECK_TRUE(!strchr(e.text, '\n'));
    CHECK_TRUE(!t);
    unlink(path);
}

static void a_broken_model_is_refused_with_its_path(void)
{
    struct vocab *v = vocab_open();
    vocab_count(v, "one two", 1.0);
    struct arena a = {0};
    size_t n;
    int n_pieces;
    unsigned char *bytes = vocab_model(v, &a, &n, &n_pieces);
    vocab_close(v);
    check_refused("broken.model", "", 0);
    check_refused("broken.model", "not a model at all, not at all", 30);
    check_refused("broken.model", bytes, n / 2);
    check_refused("broken.model", bytes, n - 1);
    check_refused("broken.model", bytes, 20);
    struct tokens *t = NULL;
    struct err e = {0};
    CHECK_INT(tokens_open(&t, "no/such.model", &e), ERR_INPUT);
    CHECK_HAS(e.text, "no/such.model");
    arena_free(&a);
}

/* The library follows the offsets of this table without looking: found by fuzz_tokens. */
static void a_character_map_that_leads_outside_itself_is_refused(void)
{
    static const unsigned char size[4] = {0, 8, 0, 0}; /* of vocab.c's trie: 512 units */
    struct vocab *v = vocab_open();
    vocab_count(v, "one two", 1.0);
    struct arena a = {0};
    size_t n, at = 0;
    int n_pieces;
    unsigned char *bytes = vocab_model(v, &a, &n, &n_pieces);
    vocab_close(v);
    while (at + 4 < n && memcmp(bytes + at, size, 4) != 0)
        at++;
    unsigned char *root = bytes + at + 4, *tab = root + 4 * (256 ^ '\t'), *text = root + 4 * 512;
    CHECK_TRUE(at + 4 + 4 * 512 + 2 <= n && tab[0] == '\t' && memcmp(text, " ", 2) == 0);
    unsigned char kept = root[3];
    root[3] = 0x7f; /* to unit 2^21 and on */
    check_refused("broken.model", bytes, n);
    root[3] = kept;
    tab[3] = 0x7f;
    check_refused("broken.model", bytes, n);
    tab[3] = 0;
    unsigned char *leaf = root + 4 * ((256 ^ '\t') ^ 16);
    leaf[0] = 2; /* a text behind the last */
    check_refused("broken.model", bytes, n);
    leaf[0] = 0;
    text[1] = 'x'; /* a text without an end */
    check_refused("broken.model", bytes, n);
    text[1] = 0;
    bytes[at + 1] = 9; /* longer than the table */
    check_refused("broken.model", bytes, n);
    bytes[at + 1] = 8;
    struct tokens *t = NULL;
    struct err e = {0};
    CHECK_INT(file_replace("sound.model", bytes, n, &e), OK);
    CHECK_INT(tokens_open(&t, "sound.model", &e), OK);
    unlink("sound.model");
    tokens_close(t);
    arena_free(&a);
}

static void t5_encodings_equal_those_of_sentencepiece(void)
{
    SKIP_CASE_UNLESS(T5_FOLDER "/golden.jsonl");
    struct err e = {0};
    struct tokens *t = NULL;
    struct file f;
    if (tokens_open(&t, T5_FOLDER "/spiece.model", &e) ||
        file_map(&f, T5_FOLDER "/golden.jsonl", &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(tokens_count(t), 32000);
    const char *at = (const char *)f.bytes, *end = at + f.n_bytes;
    int n_texts = 0;
    for (; at < end; n_texts++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n_line = (size_t)((stop ? stop : end) - at), n = 0;
        struct json_doc *doc = NULL;
        struct arena a = {0};
        struct json want;
        const char *text, *decoded;
        int32_t *ids;
        CHECK_INT(json_parse(&doc, "golden.jsonl", at, n_line, &e), OK);
        CHECK_INT(json_string(json_root(doc), "text", NULL, &text, &e), OK);
        CHECK_INT(json_string(json_root(doc), "decoded", NULL, &decoded, &e), OK);
        CHECK_INT(json_array(json_root(doc), "ids", &want, &e), OK);
        CHECK_INT(tokens_encode(t, text, &a, &ids, &n, &e), OK);
        CHECK_INT(n, json_count(want));
        for (size_t i = 0; i < n && i < json_count(want); i++) {
            int64_t id;
            CHECK_INT(json_int(json_at(want, i), NULL, 0, 32000, NULL, &id, &e), OK);
            CHECK_INT(ids[i], id);
        }
        CHECK_STR(tokens_decode(t, ids, n, &a), decoded);
        json_close(doc);
        arena_free(&a);
        at += n_line + 1;
    }
    CHECK_INT(n_texts, 238);
    file_unmap(&f);
    tokens_close(t);
}

int main(void)
{
    CASE(every_counted_word_is_one_piece);
    CASE(new_lines_and_runs_of_blanks_are_one_blank);
    CASE(foreign_text_encodes_and_comes_back);
    CASE(every_word_of_the_generator_is_one_piece);
    CASE(a_broken_model_is_refused_with_its_path);
    CASE(a_character_map_that_leads_outside_itself_is_refused);
    CASE(t5_encodings_equal_those_of_sentencepiece);
    return test_end();
}
