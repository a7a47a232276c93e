/* models/vocab.h: writes a SentencePiece model by hand: one piece per word of a closed text.
 *
 * SentencePiece's own trainer cuts the common words of such a text up. Here every word that was
 * counted is a piece (U+2581 and the word) and every mark that follows a word another, scored by
 * log frequency. Each printable ASCII character, U+2581 and the 256 bytes come after, so that any
 * text encodes; a single character scores lower than any word, so the Viterbi search picks whole
 * words wherever it can. Ids: <pad> 0, </s> 1, <unk> 2, words and marks by falling count (ties:
 * first seen first), characters, bytes. The file is a protocol buffer, message ModelProto of
 * sentencepiece_model.proto (Kudo and Richardson 2018; wire format:
 * protobuf.dev/programming-guides/encoding). Its normaliser turns new line, return and tab into a
 * blank and changes nothing else; runs of blanks become one, one is put in front. */
#ifndef MODELS_VOCAB_H
#define MODELS_VOCAB_H

#include <stddef.h>

#include "sim/base/mem.h"

struct vocab;

struct vocab *vocab_open(void);
void vocab_close(struct vocab *v); /* NULL is fine */

/* Counts the words and marks of a text, each for weight (> 0). Words are separated by blanks and
 * new lines;
 * "." "," ":" ";" "!" "?" at a word's end are marks. A slot "{A}" of a template separates words
 * too. */
void vocab_count(struct vocab *v, const char *text, double weight);

/* The model's bytes, in the arena; *n_pieces of them all. */
unsigned char *vocab_model(const struct vocab *v, struct arena *a, size_t *n_bytes, int *n_pieces);

#endif
