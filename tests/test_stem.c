#include <stdio.h>
#include <string.h>

#include "models/stem.h"
#include "sim/base/file.h"
#include "tests/test.h"

static const char *stem(const char *word)
{
    static char buffer[128];
    size_t n = strlen(word);
    memcpy(buffer, word, n);
    buffer[stem_porter(buffer, n)] = 0;
    return buffer;
}

static void each_step_strips_its_suffixes(void)
{
    CHECK_STR(stem("caresses"), "caress");
    CHECK_STR(stem("ponies"), "poni");
    CHECK_STR(stem("cats"), "cat");
    CHECK_STR(stem("agreed"), "agre");
    CHECK_STR(stem("feed"), "feed");
    CHECK_STR(stem("plastered"), "plaster");
    CHECK_STR(stem("sing"), "sing");
    CHECK_STR(stem("conflated"), "conflat");
    CHECK_STR(stem("hopping"), "hop");
    CHECK_STR(stem("hissing"), "hiss");
    CHECK_STR(stem("filing"), "file");
    CHECK_STR(stem("happy"), "happi");
    CHECK_STR(stem("relational"), "relat");
    CHECK_STR(stem("conditional"), "condit");
    CHECK_STR(stem("triplicate"), "triplic");
    CHECK_STR(stem("goodness"), "good");
    CHECK_STR(stem("replacement"), "replac");
    CHECK_STR(stem("adoption"), "adopt");
    CHECK_STR(stem("probate"), "probat");
    CHECK_STR(stem("controlling"), "control");
    CHECK_STR(stem("rolling"), "roll");
}

static void nltk_differs_from_the_paper_in_these(void)
{
    CHECK_STR(stem("dies"), "die");
    CHECK_STR(stem("died"), "die");
    CHECK_STR(stem("spied"), "spi");
    CHECK_STR(stem("skies"), "sky");
    CHECK_STR(stem("dying"), "die");
    CHECK_STR(stem("news"), "news");
    CHECK_STR(stem("enjoy"), "enjoy");
    CHECK_STR(stem("by"), "by");
    CHECK_STR(stem("as"), "as");
    CHECK_STR(stem("possibly"), "possibl");
    CHECK_STR(stem("thankfully"), "thank");
    CHECK_STR(stem("geologi"), "geolog");
    CHECK_STR(stem("succeed"), "succeed");
    CHECK_STR(stem("bying"), "by"); /* y after the first letter stays */
}

static void short_and_odd_words_pass(void)
{
    CHECK_INT(stem_porter(NULL, 0), 0);
    CHECK_STR(stem("a"), "a");
    CHECK_STR(stem("ing"), "ing");
    CHECK_STR(stem("eed"), "eed");
    CHECK_STR(stem("ies"), "i");
    CHECK_STR(stem("ion"), "ion");
    CHECK_STR(stem("yyyyy"), "yyyyy");
    CHECK_STR(stem("1990s"), "1990");
}

/* word TAB stem, by NLTK 3.8; third-party words, so not in this repository. */
static void every_word_of_the_reference_list_has_its_stem(void)
{
    struct file f;
    struct err e;
    int n_right = 0, n_words = 0;
    SKIP_CASE_UNLESS(TEST_SHARED "/data/rouge/porter_nltk.tsv");
    if (file_map(&f, TEST_SHARED "/data/rouge/porter_nltk.tsv", &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    const char *at = (const char *)f.bytes, *end = at + f.n_bytes;
    while (at < end) {
        char word[128], want[128];
        int n_read = 0;
        if (sscanf(at, "%127s %127s%n", word, want, &n_read) != 2)
            break;
        n_words++;
        if (strcmp(stem(word), want) == 0)
            n_right++;
        else
            TEST_FAIL("%s: got %s, want %s", word, stem(word), want);
        at += n_read + 1;
    }
    CHECK_INT(n_right, n_words);
    CHECK_INT(n_words, 6238);
    file_unmap(&f);
}

int main(void)
{
    CASE(each_step_strips_its_suffixes);
    CASE(nltk_differs_from_the_paper_in_these);
    CASE(short_and_odd_words_pass);
    CASE(every_word_of_the_reference_list_has_its_stem);
    return test_end();
}
