/* Pretraining: its mixture, its schedule, and that a run is a function of its settings. */
#include <unistd.h>

#include "models/data.h"
#include "models/dialogue.h"
#include "models/pretrain.h"
#include "models/pretrain_data.h"
#include "sim/base/file.h"
#include "sim/base/hash.h"
#include "tests/test.h"

static struct tokens *open_vocabulary(int *n_pieces)
{
    struct arena a = {0};
    struct vocab *v = vocab_open();
    size_t n;
    pretrain_vocab(v);
    unsigned char *bytes = vocab_model(v, &a, &n, n_pieces);
    vocab_close(v);
    struct tokens *t = NULL;
    struct err e = {0};
    if (file_replace("pretrain.model", bytes, n, &e) || tokens_open(&t, "pretrain.model", &e))
        TEST_FAIL("%s", e.text);
    unlink("pretrain.model");
    arena_free(&a);
    return t;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void the_mixture_has_the_shares_it_states(void)
{
    struct arena a = {0};
    int n_summarize = 0, n_question = 0, n_denoise = 0, n = 4000;
    for (int i = 0; i < n; i++) {
        struct example x;
        pretrain_texts(&x, 1, (uint32_t)(i / 32), (uint32_t)(i % 32), &a);
        n_denoise += !x.target_text;
        n_summarize += starts_with(x.input_text, "summarize:");
        n_question += starts_with(x.input_text, "question:");
        arena_free(&a);
    }
    CHECK_NEAR((double)n_summarize / n, 0.25, 0.03); /* 4 sigma of 4000 draws */
    CHECK_NEAR((double)n_question / n, 0.15, 0.025);
    CHECK_NEAR((double)n_denoise / n, 0.20, 0.025);
}

static void no_pretraining_target_is_a_reference_summary(void)
{
    struct arena a = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        struct example x;
        pretrain_texts(&x, 1, 5, i, &a);
        struct draw d = {.seed = 1, .stream = RNG_PRETRAIN, .owner = 5, .index = i};
        struct facts f;
        facts_draw(&f, &d, &a);
        const char *summary = dialogue_summary(&f, &a);
        CHECK_TRUE(!strstr(x.target_text ? x.target_text : x.input_text, summary));
        arena_free(&a);
    }
}

/* A new style may be new, but not made of words that the model has never read. */
static void every_piece_of_a_reference_summary_is_read_in_pretraining(void)
{
    int n_pieces;
    struct tokens *t = open_vocabulary(&n_pieces);
    if (!t)
        return;
    struct arena a = {0};
    int *n_read = ARENA_NEW(&a, int, (size_t)n_pieces + PRETRAIN_SENTINELS);
    struct arena scratch = {0};
    for (uint32_t i = 0; i < 4000; i++) {
        struct example x;
        CHECK_INT(pretrain_example(&x, 1, 1, i, t, n_pieces + PRETRAIN_SENTINELS, &scratch, NULL),
                  OK);
        for (int k = 0; k < x.n_input; k++)
            n_read[x.input[k]]++;
        for (int k = 0; k < x.n_target; k++)
            n_read[x.target[k]]++;
        arena_free(&scratch);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        struct draw d = {.seed = 2, .stream = RNG_DIALOGUE, .index = i};
        struct facts f;
        int32_t *ids;
        size_t n;
        facts_draw(&f, &d, &scratch);
        CHECK_INT(tokens_encode(t, dialogue_summary(&f, &scratch), &scratch, &ids, &n, NULL), OK);
        for (size_t k = 0; k < n; k++)
            if (n_read[ids[k]] < 3)
                TEST_FAIL("piece \"%s\" is read %d times", tokens_decode(t, ids + k, 1, &scratch),
                          n_read[ids[k]]);
        arena_free(&scratch);
    }
    arena_free(&a);
    tokens_close(t);
}

static void spans_and_what_is_left_make_the_text_again(void)
{
    int n_pieces, n_checked = 0;
    struct tokens *t = open_vocabulary(&n_pieces);
    if (!t)
        return;
    int n_vocab = n_pieces + PRETRAIN_SENTINELS;
    struct arena a = {0};
    for (uint32_t i = 0; i < 300; i++, arena_free(&a)) {
        struct example x;
        CHECK_INT(pretrain_example(&x, 1, 2, i, t, n_vocab, &a, NULL), OK);
        CHECK_INT(x.input[x.n_input - 1], TOKEN_EOS);
        CHECK_INT(x.target[x.n_target - 1], TOKEN_EOS);
        if (x.target_text)
            continue;
        n_checked++;
        int32_t whole[2 * PRETRAIN_MAX_IDS], *want;
        size_t n = 0, n_want;
        int at = 0;
        for (int k = 0; k + 1 < x.n_input; k++) {
            if (x.input[k] < n_pieces) {
                whole[n++] = x.input[k];
                continue;
            }
            CHECK_INT(x.target[at], x.input[k]); /* the same sentinel */
            for (at++; x.target[at] < n_pieces; at++)
                whole[n++] = x.target[at];
        }
        CHECK_INT(x.target[at], n_vocab - 1 - (n_vocab - 1 - x.target[at]));
        CHECK_INT(at, x.n_target - 2); /* the closing sentinel and </s> */
        CHECK_INT(tokens_encode(t, x.input_text, &a, &want, &n_want, NULL), OK);
        CHECK_INT(n, n_want);
        CHECK_TRUE(n == n_want && memcmp(whole, want, n * sizeof(want[0])) == 0);
    }
    CHECK_TRUE(n_checked > 30);
    tokens_close(t);
}

static void the_rate_rises_to_its_peak_and_falls_to_nothing(void)
{
    struct pretrain_spec s = pretrain_defaults();
    s.n_steps = 1000;
    s.n_warmup = 100;
    s.lr = 2e-3f;
    CHECK_NEAR((double)pretrain_lr(&s, 1), 2e-5, 1e-9);
    CHECK_NEAR((double)pretrain_lr(&s, 100), 2e-3, 1e-9);
    CHECK_NEAR((double)pretrain_lr(&s, 101), 2e-3 * 900 / 901, 1e-9);
    CHECK_NEAR((double)pretrain_lr(&s, 1000), 2e-3 / 901, 1e-9);
}

struct curve {
    int n;
    double loss[64];
    int stop_at;
};

static bool keep_loss(void *to, int step, double loss, int n_tokens)
{
    struct curve *c = to;
    CHECK_INT(step, c->n + 1);
    CHECK_TRUE(n_tokens > 0);
    c->loss[c->n++] = loss;
    return step != c->stop_at;
}

static struct pretrain_spec small_spec(const char *folder, struct curve *c)
{
    struct pretrain_spec s = pretrain_defaults();
    s.config.d_model = 32;
    s.config.d_kv = 8;
    s.config.d_ff = 48;
    s.config.n_enc = 1;
    s.config.n_dec = 2;
    s.n_steps = 12;
    s.n_warmup = 2;
    s.batch = 6;
    s.lr = 3e-3f;
    s.checkpoint_every = 0;
    s.folder = folder;
    s.report = keep_loss;
    s.to = c;
    return s;
}

/* What builtin:tiny read in its first twenty steps, id by id, and the vocabulary it has: whole
 * numbers, so exact on every machine. */
static void the_text_of_the_first_steps_is_that_of_the_built_in_model(void)
{
    struct arena a = {0};
    struct hash128 h = {0};
    struct pretrain_spec s = pretrain_defaults();
    struct tokens *t = NULL;
    struct err e = {0};
    char hex[33];
    int n_pieces;
    struct vocab *v = vocab_open();
    pretrain_vocab(v);
    size_t n;
    unsigned char *bytes = vocab_model(v, &a, &n, &n_pieces);
    vocab_close(v);
    struct file f;
    CHECK_INT(file_map(&f, TEST_SOURCE "/models/tiny/spiece.model", &e), OK);
    CHECK_TRUE(f.n_bytes == n && memcmp(f.bytes, bytes, n) == 0);
    file_unmap(&f);
    CHECK_INT(tokens_open(&t, TEST_SOURCE "/models/tiny/spiece.model", &e), OK);
    int n_vocab = n_pieces + PRETRAIN_SENTINELS;
    for (uint32_t step = 1; step <= 20; step++)
        for (uint32_t i = 0; i < (uint32_t)s.batch; i++) {
            struct example x;
            CHECK_INT(pretrain_example(&x, s.seed, step, i, t, n_vocab, &a, &e), OK);
            h = hash_more(h, x.input, (size_t)x.n_input * sizeof(x.input[0]));
            h = hash_more(h, x.target, (size_t)x.n_target * sizeof(x.target[0]));
        }
    hash_hex(h, hex);
    CHECK_STR(hex, "0c5716d49d53e5f04c25a490f24027e6");
    tokens_close(t);
    arena_free(&a);
}

/* What builtin:tiny was made with, its first steps: a change of mixture, vocabulary, start values
 * or gradients moves these losses. Then models/tiny must be made again. */
static void the_first_steps_are_those_that_made_the_built_in_model(void)
{
    struct curve c = {0};
    struct pretrain_spec s = pretrain_defaults();
    s.stop_after = 20;
    s.folder = "pretrain-prefix";
    s.n_threads = 2;
    s.report = keep_loss;
    s.to = &c;
    CHECK_INT(pretrain_run(&s, NULL), OK);
    CHECK_INT(c.n, 20);
    CHECK_REL(c.loss[0], 7.03204, 1e-4);
    CHECK_REL(c.loss[9], 6.62518, 1e-4);
    CHECK_REL(c.loss[19], 5.95459, 1e-3);
    file_remove_tree("pretrain-prefix", NULL);
}

static struct hash128 hash_of(const char *folder)
{
    struct hash128 h = {0};
    static const char *const name[] = {"config.json", "model.safetensors", "spiece.model"};
    for (int i = 0; i < 3; i++) {
        char *path = file_join(folder, name[i]);
        struct file f;
        struct err e = {0};
        if (file_map(&f, path, &e)) {
            TEST_FAIL("%s", e.text);
        } else {
            h = hash_more(h, f.bytes, f.n_bytes);
            file_unmap(&f);
        }
        mem_free(path);
    }
    return h;
}

static void the_result_is_the_same_for_any_number_of_threads(void)
{
    struct hash128 h[2];
    struct curve c[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct pretrain_spec s = small_spec("pretrain-threads", &c[i]);
        struct err e = {0};
        s.n_threads = i ? 3 : 1;
        CHECK_INT(file_remove_tree(s.folder, NULL), OK);
        CHECK_INT(pretrain_run(&s, &e), OK);
        h[i] = hash_of(s.folder);
        CHECK_TRUE(!file_exists("pretrain-threads/pretrain.checkpoint"));
    }
    CHECK_TRUE(h[0].lo == h[1].lo && h[0].hi == h[1].hi);
    CHECK_INT(c[0].n, 12);
    CHECK_TRUE(memcmp(c[0].loss, c[1].loss, sizeof(c[0].loss)) == 0);
    CHECK_TRUE(c[0].loss[11] < c[0].loss[0]);
    file_remove_tree("pretrain-threads", NULL);
}

static void a_run_that_was_stopped_goes_on_as_if_it_had_not(void)
{
    struct curve whole = {0}, first = {.stop_at = 5}, rest = {0};
    struct pretrain_spec s = small_spec("pretrain-whole", &whole);
    CHECK_INT(pretrain_run(&s, NULL), OK);
    struct hash128 want = hash_of(s.folder);
    s = small_spec("pretrain-parts", &first);
    CHECK_INT(file_remove_tree(s.folder, NULL), OK);
    struct err e = {0};
    CHECK_INT(pretrain_run(&s, &e), ERR_INTERRUPTED);
    CHECK_INT(first.n, 5);
    s.to = &rest;
    s.is_resumed = true;
    CHECK_INT(pretrain_run(&s, &e), OK);
    struct hash128 got = hash_of(s.folder);
    CHECK_TRUE(got.lo == want.lo && got.hi == want.hi);
    CHECK_INT(rest.n, 12);
    CHECK_TRUE(memcmp(rest.loss, whole.loss, sizeof(rest.loss)) == 0);
    file_remove_tree("pretrain-whole", NULL);
    file_remove_tree("pretrain-parts", NULL);
}

static void check_resume_refused(struct pretrain_spec s, const char *words)
{
    struct err e = {0};
    s.is_resumed = true;
    CHECK_INT(pretrain_run(&s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "pretrain.checkpoint");
    CHECK_HAS(e.text, words);
}

static void a_checkpoint_that_is_damaged_or_of_another_run_is_refused(void)
{
    const char *path = "pretrain-bad/pretrain.checkpoint";
    struct curve c = {0};
    struct pretrain_spec s = small_spec("pretrain-bad", &c);
    CHECK_INT(file_remove_tree(s.folder, NULL), OK);
    s.report = NULL;
    check_resume_refused(s, "");
    s.stop_after = 3;
    CHECK_INT(pretrain_run(&s, NULL), OK);
    struct pretrain_spec other = s;
    other.lr = 1e-3f;
    check_resume_refused(other, "other settings");
    struct file f;
    CHECK_INT(file_map(&f, path, NULL), OK);
    unsigned char *bytes = malloc(f.n_bytes);
    size_t n = f.n_bytes;
    memcpy(bytes, f.bytes, n);
    file_unmap(&f);
    bytes[n / 2] ^= 1;
    CHECK_INT(file_replace(path, bytes, n, NULL), OK);
    check_resume_refused(s, "checksum");
    CHECK_INT(file_replace(path, bytes, n / 2, NULL), OK);
    check_resume_refused(s, "damaged");
    CHECK_INT(file_replace(path, "x", 1, NULL), OK);
    check_resume_refused(s, "checkpoint");
    free(bytes);
    file_remove_tree("pretrain-bad", NULL);
}

int main(void)
{
    CASE(the_mixture_has_the_shares_it_states);
    CASE(no_pretraining_target_is_a_reference_summary);
    CASE(every_piece_of_a_reference_summary_is_read_in_pretraining);
    CASE(spans_and_what_is_left_make_the_text_again);
    CASE(the_rate_rises_to_its_peak_and_falls_to_nothing);
    CASE(the_text_of_the_first_steps_is_that_of_the_built_in_model);
    CASE(the_first_steps_are_those_that_made_the_built_in_model);
    CASE(the_result_is_the_same_for_any_number_of_threads);
    CASE(a_run_that_was_stopped_goes_on_as_if_it_had_not);
    CASE(a_checkpoint_that_is_damaged_or_of_another_run_is_refused);
    return test_end();
}
