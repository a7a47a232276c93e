/* models/spm_check.h: what the SentencePiece library believes of a model file and a user's file may
 * break.
 *
 * Its table of normalised characters (precompiled_charsmap: the length of a trie, the trie, the
 * texts that it leads to) is a double array as darts-clone lays it out. The library (0.1.97)
 * follows the offsets in it without looking, so a damaged table reads outside the file as soon as a
 * text is encoded. Here all steps that any text can make are checked in one pass over the units. */
#ifndef MODELS_SPM_CHECK_H
#define MODELS_SPM_CHECK_H

#include <stddef.h>

#include "sim/base/err.h"

/* ERR_INPUT: bytes [n] are no ModelProto, or one with a broken table. Everything else is the
 * library's to judge. */
enum err_code spm_check(const unsigned char *bytes, size_t n, struct err *e);

#endif
