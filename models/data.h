/* models/data.h: samples as text and as token ids, from a table of sources.
 *
 * A dataset is opened once and only read afterwards. Sources: "builtin:dialogues" (data_builtin.c;
 * the generator is models/dialogue.h) and files (data_json.c): JSON Lines, one object a line with
 * the strings "dialogue" and "summary" and optionally "label", a string or a whole number (all
 * lines or none); or SAMSum's own JSON, an array of such objects. Other keys of an object are left
 * alone. A file that starts with '[' is taken as an array. Labels are numbered in the order of
 * their names (numbers by value). */
#ifndef MODELS_DATA_H
#define MODELS_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/tokens.h"
#include "sim/base/err.h"
#include "sim/base/mem.h"

struct sample {
    const char *dialogue, *summary; /* UTF-8 */
    int label;                      /* 0 .. n_labels - 1; -1 without labels */
    const int32_t *input,
        *target; /* ids with </s> at the end, cut to the limits; NULL until data_tokenise */
    int n_input, n_target;
    int n_facts; /* 0: not known (files) */
    const char *const
        *fact; /* what the summary must hold: names, thing, time, place, as it spells them */
};

struct dataset {
    size_t n;
    struct sample *sample;
    int n_labels; /* 0: no labels */
    const char *const *label_name;
    size_t n_empty; /* samples of its file that were left out */
    struct arena arena; /* owns everything above */
};

/* What the scenario's "data" says. */
struct data_spec {
    const char *source; /* "builtin:dialogues" or a JSON / JSONL path, resolved */
    const char
        *validation; /* another file for evaluation, or NULL: the last part of source is held out */
    const char *test;          /* a third file, for data_open_test; NULL with builtin */
    const char *prefix;        /* put before each dialogue, "summarize: " */
    int max_input, max_target; /* tokens with </s>, >= 2 */
    uint64_t seed;
    size_t n_train;   /* builtin: how many to generate; files: the first n_train, 0 = all */
    bool skips_empty; /* files: samples with an empty (or null) text are left out, not refused */
    size_t n_heldout; /* builtin: how many to generate; files without validation: how many to hold
                         out */
    size_t n_test;    /* builtin: how many to generate; a file: the first n_test */
};

enum {
    DATA_MAX_SAMPLES = 10000000,   /* per part */
    DATA_MAX_TEXT_BYTES = 1 << 20, /* of one dialogue or summary */
    DATA_MAX_LABELS = 100000,
};

/* Opens both parts. Messages name file and line ("FILE:12: summary: ..."; in an array
 * "FILE: [11].summary: ..."). Every sample has text; an empty dialogue or summary is ERR_INPUT with
 * its line. With a validation file, labels of both files share one numbering and its first
 * n_heldout samples are taken (0 = all); without, the last n_heldout samples of source are held out
 * and at least one must be left to train on. builtin: owner 0 of the stream RNG_DIALOGUE trains,
 * owner 1 is held out; sample i is the same for every n. On failure neither *train nor *heldout is
 * written. skips_empty: SAMSum's own training file holds one
 * sample without a dialogue; samples that are left out are in no count but n_empty. */
enum err_code data_open(struct dataset **train, struct dataset **heldout,
                        const struct data_spec *spec, struct err *e);
/* Opens the part that is neither trained on nor looked at on the way, n_test samples or what its
 * file has, without labels where that is a file. builtin: owner 2. n_test >= 1. */
enum err_code data_open_test(struct dataset **test, const struct data_spec *spec, struct err *e);
/* Encodes all samples: prefix + dialogue -> input, summary -> target; both cut to the limit with
 * </s> last. A text of which nothing is left (zero-width characters) becomes </s> alone. */
enum err_code data_tokenise(struct dataset *d, const struct tokens *t, const struct data_spec *spec,
                            struct err *e);
void data_close(struct dataset *d); /* NULL is fine */

#endif
