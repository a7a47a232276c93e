/* models/stem.h: Porter's stemmer with the changes that NLTK makes in its default mode.
 *
 * M. Porter, "An algorithm for suffix stripping", Program 14(3), 1980; NLTK's "extensions" are: a
 * list of irregular words; words of one or two letters stay; -ies and -ied give -ie after a single
 * letter; -y becomes -i only after a consonant that is not the first letter; -bli becomes -ble,
 * -alli is treated again, -fulli becomes -ful, -logi becomes -log. This is what Google's
 * rouge_score uses. */
#ifndef MODELS_STEM_H
#define MODELS_STEM_H

#include <stddef.h>

/* Stems word [n] in place and returns the new length, 1 .. n (0 for n 0); a stem is never longer
 * than its word. Lower-case letters and digits; anything that is no vowel counts as a consonant, as
 * in NLTK. */
size_t stem_porter(char *word, size_t n);

#endif
