/* models/pretrain_words.h: what the built-in model reads before it is fine-tuned (private to
 * pretrain*.c): ways to retell a dialogue, none of them that of dialogue_summary, prose, and
 * questions. Slots as in dialogue.h, final facts, and {v} {g} {d}: the topic's verb phrase as
 * infinitive, gerund and past. */
#ifndef MODELS_PRETRAIN_WORDS_H
#define MODELS_PRETRAIN_WORDS_H

#include "models/dialogue.h"

enum { PROSE_PER_TOPIC = 2, N_PROSE = 12 };

/* A house style of summaries: its own prompt, a wording for each outcome, what follows when C
 * joins. */
struct style_words {
    const char *prompt, *agreed, *declined, *joined;
};

enum { STYLE_TERSE, N_STYLES = 9 }; /* the first holds two facts only */
extern const struct style_words words_style[N_STYLES];

extern const char *const words_prose[N_PROSE];
extern const char *const words_topic_prose[DIALOGUE_TOPICS][PROSE_PER_TOPIC];

/* A question word and its answer when agreed and when declined. */
struct question_words {
    const char *word, *agreed, *declined;
};
enum { N_QUESTIONS = 7 };
extern const struct question_words words_question[N_QUESTIONS];

#define PROMPT_SUMMARIZE "summarize:"
#define PROMPT_QUESTION "question:"
#define WORDS_NOBODY "nobody" /* the answer to who joins, when nobody does */

/* Every text above, for the vocabulary; NULL after the last. */
const char *pretrain_text(size_t i);

#endif
