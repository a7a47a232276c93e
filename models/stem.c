#include "models/stem.h"

#include <stdbool.h>
#include <string.h>

/* A word being stemmed: letters [n], never longer than it came. */
struct word {
    char *s;
    size_t n;
};

static bool is_vowel_letter(char c)
{
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/* y is a vowel after a consonant. */
static bool is_consonant(const char *s, size_t i)
{
    if (is_vowel_letter(s[i]))
        return false;
    bool is_after_consonant = false;
    if (s[i] == 'y') {
        /* A run of y's alternates; its first is judged by what stands before it. */
        size_t first = i;
        while (first > 0 && s[first - 1] == 'y')
            first--;
        is_after_consonant = first > 0 && !is_vowel_letter(s[first - 1]);
        if ((i - first) % 2 == 1)
            is_after_consonant = !is_after_consonant;
    }
    return !is_after_consonant;
}

/* Porter's m: how often a vowel is followed by a consonant in s [n]. */
static size_t measure(const char *s, size_t n)
{
    size_t m = 0;
    for (size_t i = 1; i < n; i++)
        m += is_consonant(s, i) && !is_consonant(s, i - 1);
    return m;
}

static bool has_vowel(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_consonant(s, i))
            return true;
    return false;
}

static bool ends_double_consonant(const char *s, size_t n)
{
    return n >= 2 && s[n - 1] == s[n - 2] && is_consonant(s, n - 1);
}

/* Consonant, vowel, consonant other than w, x, y; NLTK also takes a whole word of vowel and
 * consonant. */
static bool ends_cvc(const char *s, size_t n)
{
    if (n == 2)
        return !is_consonant(s, 0) && is_consonant(s, 1);
    return n >= 3 && is_consonant(s, n - 3) && !is_consonant(s, n - 2) && is_consonant(s, n - 1) &&
           s[n - 1] != 'w' && s[n - 1] != 'x' && s[n - 1] != 'y';
}

/* Length of what stands before suffix, or n + 1 when the word does not end so. */
static size_t before(const struct word *w, const char *suffix)
{
    size_t k = strlen(suffix);
    if (k > w->n || memcmp(w->s + w->n - k, suffix, k) != 0)
        return w->n + 1;
    return w->n - k;
}

static bool ends_with(const struct word *w, const char *suffix)
{
    return before(w, suffix) <= w->n;
}

/* Keeps the first n letters and appends end. */
static void end_with(struct word *w, size_t n, const char *end)
{
    size_t k = strlen(end);
    memcpy(w->s + n, end, k);
    w->n = n + k;
}

/* suffix -> end when the measure of the stem is above at_least - 1. The first suffix that fits
 * decides, even when its condition fails. */
struct rule {
    const char *suffix, *end;
};

static void apply_rules(struct word *w, const struct rule *rule, size_t n_rules, size_t at_least)
{
    for (size_t i = 0; i < n_rules; i++) {
        size_t n = before(w, rule[i].suffix);
        if (n > w->n)
            continue;
        if (measure(w->s, n) >= at_least)
            end_with(w, n, rule[i].end);
        return;
    }
}

static void plurals(struct word *w) /* step 1a */
{
    static const struct rule rules[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}};
    if (w->n == 4 && ends_with(w, "ies"))
        end_with(w, 1, "ie");
    else
        apply_rules(w, rules, 4, 0);
}

static void mend_after_ed_ing(struct word *w)
{
    char last = w->s[w->n - 1];
    if (ends_with(w, "at") || ends_with(w, "bl") || ends_with(w, "iz")) {
        end_with(w, w->n, "e");
    } else if (ends_double_consonant(w->s, w->n)) {
        if (last != 'l' && last != 's' && last != 'z')
            w->n--;
    } else if (measure(w->s, w->n) == 1 && ends_cvc(w->s, w->n)) {
        end_with(w, w->n, "e");
    }
}

static void ed_and_ing(struct word *w) /* step 1b */
{
    static const char *const suffixes[] = {"ed", "ing"};
    if (ends_with(w, "ied")) {
        end_with(w, w->n - 3, w->n == 4 ? "ie" : "i");
        return;
    }
    if (ends_with(w, "eed")) {
        if (measure(w->s, w->n - 3) > 0)
            w->n--;
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        size_t n = before(w, suffixes[i]);
        if (n <= w->n && has_vowel(w->s, n)) {
            w->n = n;
            mend_after_ed_ing(w);
            return;
        }
    }
}

static void y_to_i(struct word *w) /* step 1c */
{
    if (w->n > 2 && w->s[w->n - 1] == 'y' && is_consonant(w->s, w->n - 2))
        w->s[w->n - 1] = 'i';
}

static void double_suffixes(struct word *w) /* step 2 */
{
    static const struct rule rules[] = {
        {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
        {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
        {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
        {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
        {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
        {"fulli", "ful"},
    };
    while (ends_with(w, "alli") && measure(w->s, w->n - 4) > 0)
        w->n -= 2;
    if (ends_with(w, "logi")) {
        if (measure(w->s, w->n - 3) > 0) /* the l counts as part of the stem */
            w->n--;
        return;
    }
    apply_rules(w, rules, sizeof(rules) / sizeof(rules[0]), 1);
}

static void more_suffixes(struct word *w) /* step 3 */
{
    static const struct rule rules[] = {
        {"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
        {"ical", "ic"},  {"ful", ""},   {"ness", ""},
    };
    apply_rules(w, rules, sizeof(rules) / sizeof(rules[0]), 1);
}

static void bare_suffixes(struct word *w) /* step 4 */
{
    static const struct rule rules[] = {
        {"al", ""},   {"ance", ""}, {"ence", ""}, {"er", ""},    {"ic", ""},
        {"able", ""}, {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""},
        {"ent", ""},  {"ion", ""},  {"ou", ""},   {"ism", ""},   {"ate", ""},
        {"iti", ""},  {"ous", ""},  {"ive", ""},  {"ize", ""},
    };
    size_t n = before(w, "ion");
    if (n <= w->n && (n == 0 || (w->s[n - 1] != 's' && w->s[n - 1] != 't')))
        return;
    apply_rules(w, rules, sizeof(rules) / sizeof(rules[0]), 2);
}

static void final_e_and_ll(struct word *w) /* step 5 */
{
    if (ends_with(w, "e")) {
        size_t n = w->n - 1, m = measure(w->s, n);
        if (m > 1 || (m == 1 && !ends_cvc(w->s, n)))
            w->n = n;
    }
    if (ends_with(w, "ll") && measure(w->s, w->n - 1) > 1)
        w->n--;
}

/* NLTK's list; true when the word was on it. */
static bool irregular(struct word *w)
{
    static const struct rule list[] = {
        {"sky", "sky"},         {"skies", "sky"},        {"dying", "die"},
        {"lying", "lie"},       {"tying", "tie"},        {"news", "news"},
        {"innings", "inning"},  {"inning", "inning"},    {"outings", "outing"},
        {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
        {"howe", "howe"},       {"proceed", "proceed"},  {"exceed", "exceed"},
        {"succeed", "succeed"},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (w->n != strlen(list[i].suffix) || before(w, list[i].suffix) != 0)
            continue;
        end_with(w, 0, list[i].end);
        return true;
    }
    return false;
}

size_t stem_porter(char *word, size_t n)
{
    struct word w = {word, n};
    if (irregular(&w) || n <= 2)
        return w.n;
    plurals(&w);
    ed_and_ing(&w);
    y_to_i(&w);
    double_suffixes(&w);
    more_suffixes(&w);
    bare_suffixes(&w);
    final_e_and_ll(&w);
    return w.n;
}
