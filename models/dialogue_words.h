/* models/dialogue_words.h: the word tables and templates of the generated dialogues (private to
 * dialogue*.c and pretrain_data.c). Words are only ever separated by blanks; a mark follows its
 * word without one, so that the vocabulary can hold every word as one piece. */
#ifndef MODELS_DIALOGUE_WORDS_H
#define MODELS_DIALOGUE_WORDS_H

#include "models/dialogue.h"

enum { WORDS_THINGS = 10, WORDS_REQUESTS = 4 };

/* One topic: its things, A's requests, the verb phrase in three forms (for retellings), the
 * reference. */
struct topic_words {
    const char *name;
    const char *thing[WORDS_THINGS];
    const char *request[WORDS_REQUESTS];
    const char *infinitive, *gerund, *past; /* "play {x}", "playing {x}", "played {x}" */
    const char *agreed, *declined;          /* the reference summary */
};
extern const struct topic_words words_topic[DIALOGUE_TOPICS];

struct word_list {
    int n;
    const char *const *text;
};

enum words {
    WORDS_NAMES,
    WORDS_PLACES,
    WORDS_DAYS,
    WORDS_HOURS,
    WORDS_EXCUSES_ME, /* the next two run in parallel */
    WORDS_EXCUSES_THEM,
    WORDS_GREET_A,
    WORDS_GREET_B,
    WORDS_SMALL_A, /* the next two run in parallel: a question and its answer */
    WORDS_SMALL_B,
    WORDS_DECLINE,
    WORDS_ACCEPT_NO,
    WORDS_YES,
    WORDS_MOVE_TIME,
    WORDS_CONFIRM_TIME,
    WORDS_ASK_WHERE,
    WORDS_TELL_WHERE,
    WORDS_MOVE_PLACE,
    WORDS_CONFIRM_PLACE,
    WORDS_C_COMES,
    WORDS_C_SPEAKS,
    WORDS_BYE_A,
    WORDS_BYE_B,
    WORDS_JOINS, /* one entry: what the reference adds when C joins */
    N_WORDS
};
extern const struct word_list words_of[N_WORDS];

#endif
