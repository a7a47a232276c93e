#include "models/rouge.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/stem.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

enum { STEM_FROM = 4 }; /* letters a token needs to be stemmed */

/* Words of both texts by number; open addressing, twice as many slots as tokens may come. */
struct vocabulary {
    size_t n_slots; /* a power of two */
    struct slot {
        const char *word; /* NULL: free */
        size_t n;
        uint32_t id;
    } * slot;
    uint32_t n_words;
};

struct tokens_of {
    size_t n;
    uint32_t *id;
};

/* A text as sentences (split at '\n'; empty lines left out) whose tokens stand end to end. */
struct sentences {
    struct tokens_of all;
    size_t n;
    size_t *start; /* [n + 1] */
};

static uint32_t word_id(struct vocabulary *v, const char *word, size_t n)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a; ids go by order of appearance, not by hash */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)word[i]) * 1099511628211u;
    size_t at = (size_t)h & (v->n_slots - 1);
    while (v->slot[at].word) {
        if (v->slot[at].n == n && memcmp(v->slot[at].word, word, n) == 0)
            return v->slot[at].id;
        at = (at + 1) & (v->n_slots - 1);
    }
    v->slot[at] = (struct slot){word, n, v->n_words};
    return v->n_words++;
}

/* The lower-case letter or digit that text starts with, 0 for anything else; *n_bytes: how far to
 * go on. The two letters beyond ASCII whose lower case has an ASCII letter are the Kelvin sign and
 * the dotted I. */
static char token_letter(const char *text, size_t *n_bytes)
{
    char c = text[0];
    *n_bytes = 1;
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return c;
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    if (strncmp(text, "\xE2\x84\xAA", 3) == 0) {
        *n_bytes = 3;
        return 'k';
    }
    return strncmp(text, "\xC4\xB0", 2) == 0 ? 'i' : 0; /* then its second byte ends the token */
}

static void end_token(struct arena *a, struct vocabulary *v, struct tokens_of *t, char *word,
                      size_t n, bool has_stemming)
{
    if (n == 0)
        return;
    if (has_stemming && n >= STEM_FROM)
        n = stem_porter(word, n);
    char *copy = ARENA_NEW(a, char, n);
    memcpy(copy, word, n);
    t->id[t->n++] = word_id(v, copy, n);
}

static struct sentences read_text(struct arena *a, struct vocabulary *v, const char *text,
                                  bool has_stemming)
{
    size_t n_text = strlen(text), n_bytes, n = 0, n_in_line = 0;
    struct sentences s = {.all.id = ARENA_NEW(a, uint32_t, n_text / 2 + 1),
                          .start = ARENA_NEW(a, size_t, n_text + 2)};
    char *word = ARENA_NEW(a, char, n_text + 1);
    for (const char *at = text;; at += n_bytes) {
        char letter = token_letter(at, &n_bytes);
        if (letter) {
            word[n++] = letter;
        } else {
            end_token(a, v, &s.all, word, n, has_stemming);
            n = 0;
        }
        if (*at && *at != '\n') {
            n_in_line++;
            continue;
        }
        if (n_in_line > 0)
            s.start[++s.n] = s.all.n;
        n_in_line = 0;
        if (!*at)
            return s;
    }
}

static struct rouge_prf prf(size_t n_hits, size_t n_prediction, size_t n_target)
{
    struct rouge_prf s = {0, 0, 0};
    if (n_hits == 0)
        return s;
    s.precision = (double)n_hits / (double)n_prediction;
    s.recall = (double)n_hits / (double)n_target;
    s.f = 2 * s.precision * s.recall / (s.precision + s.recall);
    return s;
}

/* --- n-grams --- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint64_t *sorted_ngrams(struct arena *a, const struct tokens_of *t, size_t order, size_t *n)
{
    *n = t->n >= order ? t->n - order + 1 : 0;
    uint64_t *gram = ARENA_NEW(a, uint64_t, *n);
    for (size_t i = 0; i < *n; i++)
        gram[i] = order == 1 ? t->id[i] : (uint64_t)t->id[i] << 32 | t->id[i + 1];
    if (*n > 0)
        qsort(gram, *n, sizeof(*gram), by_value);
    return gram;
}

static struct rouge_prf score_ngrams(struct arena *a, const struct tokens_of *target,
                                     const struct tokens_of *prediction, size_t order)
{
    size_t n_target, n_prediction, n_hits = 0;
    const uint64_t *t = sorted_ngrams(a, target, order, &n_target);
    const uint64_t *p = sorted_ngrams(a, prediction, order, &n_prediction);
    for (size_t i = 0, j = 0; i < n_target && j < n_prediction;) {
        n_hits += t[i] == p[j];
        bool is_behind = t[i]<p[j], is_ahead = t[i]> p[j];
        i += !is_ahead;
        j += !is_behind;
    }
    return prf(n_hits, n_prediction, n_target);
}

/* --- longest common subsequences --- */

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static struct rouge_prf score_lcs(struct arena *a, const struct tokens_of *target,
                                  const struct tokens_of *prediction)
{
    /* row[j]: of the target's tokens so far and the first j of the prediction */
    uint32_t *row = ARENA_NEW(a, uint32_t, prediction->n + 1);
    for (size_t i = 0; i < target->n; i++) {
        uint32_t diagonal = 0;
        for (size_t j = 0; j < prediction->n; j++) {
            uint32_t above = row[j + 1];
            row[j + 1] = target->id[i] == prediction->id[j] ? diagonal + 1 : max_u32(above, row[j]);
            diagonal = above;
        }
    }
    return prf(row[prediction->n], prediction->n, target->n);
}

/* Marks in is_hit [n_t] which target tokens are on the LCS of the two sentences. The way back goes
 * to the left only if the left cell is strictly larger. table: (n_t + 1) * (n_p + 1) values. */
static void mark_lcs(const uint32_t *t, size_t n_t, const uint32_t *p, size_t n_p, uint32_t *table,
                     bool *is_hit)
{
    size_t width = n_p + 1;
    for (size_t j = 0; j <= n_p; j++)
        table[j] = 0;
    for (size_t i = 1; i <= n_t; i++) {
        uint32_t *row = table + i * width;
        const uint32_t *above = row - width;
        row[0] = 0;
        for (size_t j = 1; j <= n_p; j++)
            row[j] = t[i - 1] == p[j - 1] ? above[j - 1] + 1 : max_u32(above[j], row[j - 1]);
    }
    for (size_t i = n_t, j = n_p; i > 0 && j > 0;) {
        if (t[i - 1] == p[j - 1]) {
            is_hit[i - 1] = true;
            i--;
            j--;
        } else if (table[i * width + j - 1] > table[(i - 1) * width + j]) {
            j--;
        } else {
            i--;
        }
    }
}

static size_t longest_sentence(const struct sentences *s)
{
    size_t most = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->start[i + 1] - s->start[i] > most)
            most = s->start[i + 1] - s->start[i];
    return most;
}

static struct rouge_prf score_lsum(struct arena *a, const struct sentences *target,
                                   const struct sentences *prediction, uint32_t n_words)
{
    size_t n_cells, n_hits = 0, rows = longest_sentence(target) + 1;
    CHECK(size_mul(rows, longest_sentence(prediction) + 1, &n_cells));
    uint32_t *table = ARENA_NEW(a, uint32_t, n_cells);
    uint32_t *left_t = ARENA_NEW(a, uint32_t, n_words), *left_p = ARENA_NEW(a, uint32_t, n_words);
    for (size_t i = 0; i < target->all.n; i++)
        left_t[target->all.id[i]]++;
    for (size_t i = 0; i < prediction->all.n; i++)
        left_p[prediction->all.id[i]]++;
    bool *is_hit = ARENA_NEW(a, bool, rows);
    for (size_t r = 0; r < target->n; r++) {
        const uint32_t *t = target->all.id + target->start[r];
        size_t n_t = target->start[r + 1] - target->start[r];
        memset(is_hit, 0, rows * sizeof(*is_hit));
        for (size_t c = 0; c < prediction->n; c++)
            mark_lcs(t, n_t, prediction->all.id + prediction->start[c],
                     prediction->start[c + 1] - prediction->start[c], table, is_hit);
        for (size_t i = 0; i < n_t; i++)
            if (is_hit[i] && left_t[t[i]] > 0 && left_p[t[i]] > 0) {
                left_t[t[i]]--;
                left_p[t[i]]--;
                n_hits++;
            }
    }
    return prf(n_hits, prediction->all.n, target->all.n);
}

void rouge_score(const char *target, const char *prediction, bool has_stemming,
                 struct rouge_scores *out)
{
    struct arena a = {0};
    struct vocabulary v = {.n_slots = 16};
    while (v.n_slots < strlen(target) + strlen(prediction) + 2)
        v.n_slots *= 2; /* a token needs two bytes, so at most half of them fill */
    v.slot = ARENA_NEW(&a, struct slot, v.n_slots);
    struct sentences t = read_text(&a, &v, target, has_stemming);
    struct sentences p = read_text(&a, &v, prediction, has_stemming);
    out->rouge1 = score_ngrams(&a, &t.all, &p.all, 1);
    out->rouge2 = score_ngrams(&a, &t.all, &p.all, 2);
    out->rougeL = score_lcs(&a, &t.all, &p.all);
    out->rougeLsum = score_lsum(&a, &t, &p, v.n_words);
    arena_free(&a);
}
