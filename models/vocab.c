#include "models/vocab.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/hash.h"

#define BLANK "\xe2\x96\x81" /* U+2581, how SentencePiece writes a blank */
#define MARKS ".,:;!?"
#define FIRST_PRINTABLE 0x21
#define LAST_PRINTABLE 0x7e

/* Types of pieces, sentencepiece_model.proto. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };

/* A single character costs this much more than the rarest word. */
static const double char_penalty = 8.0;

struct word {
    const char *piece; /* with U+2581 in front unless it is a mark */
    double count;
    size_t first_seen;
};

struct vocab {
    struct arena arena;
    struct word *word;
    size_t n, cap;
    uint32_t *slot; /* open addressing, word index + 1, 0 empty; looked up, never walked */
    size_t n_slots; /* a power of two */
};

struct vocab *vocab_open(void)
{
    struct arena arena = {0};
    struct vocab *v = ARENA_NEW(&arena, struct vocab, 1);
    v->n_slots = 1u << 16;
    v->slot = ARENA_NEW(&arena, uint32_t, v->n_slots);
    v->arena = arena;
    return v;
}

void vocab_close(struct vocab *v)
{
    if (!v)
        return;
    mem_free(v->word);
    struct arena arena = v->arena; /* v lives in it */
    arena_free(&arena);
}

static void count_piece(struct vocab *v, const char *blank, const char *s, size_t n, double weight)
{
    char *piece = arena_printf(&v->arena, "%s%.*s", blank, (int)n, s);
    size_t at = hash_bytes(piece, strlen(piece)).lo & (v->n_slots - 1);
    while (v->slot[at] && strcmp(v->word[v->slot[at] - 1].piece, piece) != 0)
        at = (at + 1) & (v->n_slots - 1);
    if (!v->slot[at]) {
        CHECK(v->n < v->n_slots / 2);
        mem_grow((void **)&v->word, &v->cap, v->n + 1, sizeof(v->word[0]));
        v->word[v->n] = (struct word){.piece = piece, .first_seen = v->n};
        v->slot[at] = (uint32_t)++v->n;
    }
    v->word[v->slot[at] - 1].count += weight;
}

static void count_chunk(struct vocab *v, const char *s, size_t n, bool follows_slot, double weight)
{
    size_t stem = n;
    while (stem > 0 && strchr(MARKS, s[stem - 1]))
        stem--;
    CHECK(stem == 0 || !follows_slot); /* "{A}s" would be no word of the table */
    if (stem > 0)
        count_piece(v, BLANK, s, stem, weight);
    for (size_t i = stem; i < n; i++)
        count_piece(v, "", s + i, 1, weight);
}

void vocab_count(struct vocab *v, const char *text, double weight)
{
    bool follows_slot = false;
    for (const char *s = text; *s;) {
        if (*s == '{') {
            CHECK(s[1] && s[2] == '}');
            s += 3;
            follows_slot = true;
            continue;
        }
        size_t n = strcspn(s, " \n{");
        if (n > 0)
            count_chunk(v, s, n, follows_slot, weight);
        s += n;
        s += strspn(s, " \n");
        follows_slot = false;
    }
}

/* A growing byte string and the wire format of protocol buffers. */
struct wire {
    unsigned char *bytes;
    size_t n, cap;
};

static void put(struct wire *w, const void *bytes, size_t n)
{
    mem_grow((void **)&w->bytes, &w->cap, w->n + n, 1);
    if (n > 0)
        memcpy(w->bytes + w->n, bytes, n);
    w->n += n;
}

static void put_varint(struct wire *w, uint64_t value)
{
    do {
        unsigned char byte = (unsigned char)(value & 0x7f);
        value >>= 7;
        if (value)
            byte |= 0x80;
        put(w, &byte, 1);
    } while (value);
}

static void put_int(struct wire *w, int field, int64_t value)
{
    put_varint(w, (uint64_t)field << 3);
    put_varint(w, (uint64_t)value);
}

static void put_bytes(struct wire *w, int field, const void *bytes, size_t n)
{
    put_varint(w, (uint64_t)field << 3 | 2);
    put_varint(w, n);
    put(w, bytes, n);
}

static void put_float(struct wire *w, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    unsigned char le[4] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                           (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
    put_varint(w, (uint64_t)field << 3 | 5);
    put(w, le, 4);
}

/* ModelProto.pieces = 1: SentencePiece { piece = 1, score = 2, type = 3 } */
static void put_piece(struct wire *w, const char *piece, float score, int type, int *n_pieces)
{
    struct wire one = {0};
    put_bytes(&one, 1, piece, strlen(piece));
    put_float(&one, 2, score);
    put_int(&one, 3, type);
    put_bytes(w, 1, one.bytes, one.n);
    mem_free(one.bytes);
    (*n_pieces)++;
}

static int compare_words(const void *pa, const void *pb)
{
    const struct word *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->first_seen < b->first_seen ? -1 : 1;
}

static void put_words(struct wire *w, const struct vocab *v, float *char_score, int *n_pieces)
{
    struct arena scratch = {0};
    struct word *sorted = ARENA_NEW(&scratch, struct word, v->n);
    double total = 0.0, lowest = 0.0;
    for (size_t i = 0; i < v->n; i++) {
        sorted[i] = v->word[i];
        total += v->word[i].count;
    }
    qsort(sorted, v->n, sizeof(sorted[0]), compare_words);
    for (size_t i = 0; i < v->n; i++) {
        lowest = log(sorted[i].count / total);
        put_piece(w, sorted[i].piece, (float)lowest, NORMAL, n_pieces);
    }
    *char_score = (float)(lowest - char_penalty);
    arena_free(&scratch);
}

static bool has_word(const struct vocab *v, const char *piece)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->word[i].piece, piece) == 0)
            return true;
    return false;
}

static void put_characters(struct wire *w, const struct vocab *v, float score, int *n_pieces)
{
    for (int c = FIRST_PRINTABLE; c <= LAST_PRINTABLE; c++) {
        char one[2] = {(char)c, 0};
        if (!has_word(v, one))
            put_piece(w, one, score, NORMAL, n_pieces);
    }
    put_piece(w, BLANK, score, NORMAL, n_pieces);
    for (int byte = 0; byte < 256; byte++) {
        static const char hex[] = "0123456789ABCDEF";
        char name[] = {'<', '0', 'x', hex[byte / 16], hex[byte % 16], '>', 0};
        put_piece(w, name, 0.0f, BYTE, n_pieces);
    }
}

/* TrainerSpec: model_type 3 = unigram 1, vocab_size 4, byte_fallback 35, ids 40 .. 43 (-1: none),
 * names of the control pieces 45 .. 48. */
static void put_trainer_spec(struct wire *w, int n_pieces)
{
    struct wire t = {0};
    put_int(&t, 3, 1);
    put_int(&t, 4, n_pieces);
    put_int(&t, 35, 1);
    put_int(&t, 40, 2);
    put_int(&t, 41, -1);
    put_int(&t, 42, 1);
    put_int(&t, 43, 0);
    put_bytes(&t, 45, "<unk>", 5);
    put_bytes(&t, 46, "<s>", 3);
    put_bytes(&t, 47, "</s>", 4);
    put_bytes(&t, 48, "<pad>", 5);
    put_bytes(w, 2, t.bytes, t.n);
    mem_free(t.bytes);
}

/* The character map: a double-array trie (Yata's darts-clone: a unit holds label, offset << 10, and
 * 1 << 8 when it has a value; a value unit is 1 << 31 | value; the next unit is at offset ^
 * character), then the texts that values point to. Three keys of one character, all to a blank.
 * Unit 256 must not look like a child by the zero character. */
static void put_character_map(struct wire *to)
{
    enum { N_UNITS = 512, BASE = 256, VALUE_OFFSET = 16 };
    uint32_t unit[N_UNITS] = {0};
    static const unsigned char blank[] = {'\t', '\n', '\r'};
    unit[0] = (uint32_t)BASE << 10;
    unit[BASE] = 1;
    for (size_t i = 0; i < sizeof(blank); i++) {
        uint32_t at = BASE ^ blank[i];
        unit[at] = (uint32_t)VALUE_OFFSET << 10 | 1u << 8 | blank[i];
        unit[at ^ VALUE_OFFSET] = 1u << 31; /* value 0: the first text */
    }
    struct wire map = {0};
    unsigned char size[4] = {0, (unsigned char)(sizeof(unit) >> 8), 0, 0};
    put(&map, size, 4);
    for (int i = 0; i < N_UNITS; i++) {
        unsigned char le[4] = {(unsigned char)unit[i], (unsigned char)(unit[i] >> 8),
                               (unsigned char)(unit[i] >> 16), (unsigned char)(unit[i] >> 24)};
        put(&map, le, 4);
    }
    put(&map, " ", 2); /* with its zero */
    put_bytes(to, 2, map.bytes, map.n);
    mem_free(map.bytes);
}

/* NormalizerSpec: name 1, precompiled_charsmap 2, add_dummy_prefix 3, remove_extra_whitespaces 4,
 * escape_whitespaces 5 */
static void put_normalizer_spec(struct wire *w)
{
    struct wire s = {0};
    put_bytes(&s, 1, "blanks", 6);
    put_character_map(&s);
    put_int(&s, 3, 1);
    put_int(&s, 4, 1);
    put_int(&s, 5, 1);
    put_bytes(w, 3, s.bytes, s.n);
    mem_free(s.bytes);
}

unsigned char *vocab_model(const struct vocab *v, struct arena *a, size_t *n_bytes, int *n_pieces)
{
    struct wire w = {0};
    float char_score;
    CHECK(v->n > 0);
    *n_pieces = 0;
    put_piece(&w, "<pad>", 0.0f, CONTROL, n_pieces);
    put_piece(&w, "</s>", 0.0f, CONTROL, n_pieces);
    put_piece(&w, "<unk>", 0.0f, UNKNOWN, n_pieces);
    put_words(&w, v, &char_score, n_pieces);
    put_characters(&w, v, char_score, n_pieces);
    put_trainer_spec(&w, *n_pieces);
    put_normalizer_spec(&w);
    unsigned char *bytes = arena_alloc(a, w.n, 1);
    memcpy(bytes, w.bytes, w.n);
    *n_bytes = w.n;
    mem_free(w.bytes);
    return bytes;
}
