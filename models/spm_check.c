#include "models/spm_check.h"

#include <stdbool.h>
#include <stdint.h>

/* sentencepiece_model.proto: ModelProto.normalizer_spec and .denormalizer_spec; NormalizerSpec's
 * table. */
enum { NORMALIZER = 3, DENORMALIZER = 5, CHARSMAP = 2 };

/* Bytes that are still to be read. */
struct span {
    const unsigned char *at, *end;
};

static bool read_varint(struct span *s, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char byte = *s->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* One field of protobuf's wire format; value is empty but for fields with a length. Groups, which
 * no such file has, are refused. */
static bool read_field(struct span *s, uint64_t *number, struct span *value)
{
    uint64_t key, n = 0;
    if (!read_varint(s, &key))
        return false;
    *number = key >> 3;
    *value = (struct span){s->at, s->at};
    switch (key & 7) {
    case 0: /* varint */
        return read_varint(s, &n);
    case 1: /* 64 bits */
        n = 8;
        break;
    case 2: /* length-delimited */
        if (!read_varint(s, &n))
            return false;
        break;
    case 5: /* 32 bits */
        n = 4;
        break;
    default:
        return false;
    }
    if (n > (uint64_t)(s->end - s->at))
        return false;
    *value = (struct span){s->at, s->at + ((key & 7) == 2 ? n : 0)};
    s->at += n;
    return true;
}

static uint32_t u32_at(const unsigned char *b, size_t i)
{
    b += 4 * i;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* A node at i leads with byte k to (i ^ offset) ^ k, and where it has a leaf, the unit at i ^
 * offset is where its text begins. Units with the top bit are leaves; no step ends on them. */
static bool is_sound_trie(const unsigned char *trie, size_t n_units, size_t n_texts)
{
    for (size_t i = 0; i < n_units; i++) {
        uint32_t unit = u32_at(trie, i);
        size_t base = i ^ (size_t)((unit >> 10) << ((unit & 1u << 9) >> 6));
        bool has_leaf = unit >> 8 & 1u;
        if (unit >> 31 && i > 0)
            continue;
        if ((base | 0xff) >= n_units)
            return false;
        if (has_leaf && (u32_at(trie, base) & 0x7fffffffu) >= n_texts)
            return false;
    }
    return true;
}

static bool is_sound_table(struct span s)
{
    size_t n = (size_t)(s.end - s.at);
    if (n == 0)
        return true; /* no normalisation */
    if (n < 4)
        return false;
    size_t n_trie = u32_at(s.at, 0);
    if (n_trie == 0 || n_trie % 4 || n_trie >= n - 4)
        return false;
    return s.end[-1] == 0 && is_sound_trie(s.at + 4, n_trie / 4, n - 4 - n_trie);
}

enum err_code spm_check(const unsigned char *bytes, size_t n, struct err *e)
{
    struct span model = {bytes, bytes + n}, spec, table;
    uint64_t number, inner;
    while (model.at < model.end) {
        if (!read_field(&model, &number, &spec))
            return err_set(e, ERR_INPUT,
                           "expected a sentencepiece model, got %zu bytes that are none", n);
        if (number != NORMALIZER && number != DENORMALIZER)
            continue;
        while (spec.at < spec.end) {
            if (!read_field(&spec, &inner, &table))
                return err_set(e, ERR_INPUT,
                               "expected a sentencepiece model, got a broken normalizer_spec");
            if (inner == CHARSMAP && !is_sound_table(table))
                return err_set(
                    e, ERR_INPUT,
                    "expected a sentencepiece model, got one whose precompiled_charsmap leads "
                    "outside itself");
        }
    }
    return OK;
}
