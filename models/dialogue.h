/* models/dialogue.h: generated dialogues: facts first, then the talk, then a summary that is a
 * function of the final facts. Everything here was written for this project; no third-party text.
 *
 * A asks B for something of one of twelve topics (the labels of the Dirichlet split) at a time. B
 * declines with an excuse, or agrees, perhaps moves the time, asks where; the place may move too; C
 * may join. The facts are drawn first, each from a table of dialogue_words.c; a line of talk is a
 * template with slots: {A} {B} {C} {D} names (D is only mentioned)   {x} the thing   {t} {p} time
 * and place first proposed {u} {q} those that replace them   {e} the excuse ("I am ill"; in
 * summaries "is ill") The draws are a pure function of (seed, stream, owner, index) and a counter.
 */
#ifndef MODELS_DIALOGUE_H
#define MODELS_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/mem.h"
#include "sim/base/rng.h"

enum { DIALOGUE_TOPICS = 12, DIALOGUE_MAX_FACTS = 6 };

/* A run of draws for one item: the block index is index * 256 + k, k counting up (at most 256
 * draws). */
struct draw {
    uint64_t seed, index;
    uint32_t stream, owner, k;
};
/* 0 .. n-1 */
uint32_t draw_below(struct draw *d, uint32_t n);
bool draw_chance(struct draw *d, double p);

/* What a dialogue is about. Strings belong to the tables or the arena. */
struct facts {
    int topic;              /* 0 .. DIALOGUE_TOPICS - 1 */
    const char *name[4];    /* A asks B; C joins if has_c; D is talked about */
    const char *thing;      /* "badminton", "the sofa" */
    const char *time;       /* final, with its preposition: "on Monday at 4", "today at noon" */
    const char *first_time; /* as A proposed it */
    const char *place;      /* final, no preposition: "the station"; only meant when agreed */
    const char *first_place;
    const char *excuse_me, *excuse_them; /* "I am ill", "is ill" */
    bool is_declined, has_c, is_time_moved, is_place_moved;
};

void facts_draw(struct facts *f, struct draw *d, struct arena *a);

/* The talk: "Name: text" a turn, turns separated by '\n'. Draws its wording from d. */
char *dialogue_talk(const struct facts *f, struct draw *d, struct arena *a);
/* The reference: one wording per topic and outcome. */
char *dialogue_summary(const struct facts *f, struct arena *a);
/* What the summary must hold, at most DIALOGUE_MAX_FACTS; returns how many. */
int dialogue_facts(const struct facts *f, const char *fact[DIALOGUE_MAX_FACTS]);

const char *dialogue_topic(int topic); /* "meeting" */

/* Fills the slots of a template; slot[c] is the text of {c}. */
char *template_fill(const char *template, const char *const slot[128], struct arena *a);
/* The slots of the final facts: A B C D x t p e (third person). */
void facts_slots(const struct facts *f, const char *slot[128]);

/* Every template and every entry of every table, for the vocabulary; NULL after the last. */
const char *dialogue_text(size_t i);

#endif
