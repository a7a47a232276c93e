#include "models/pretrain_words.h"

const struct style_words words_style[N_STYLES] = {
    [STYLE_TERSE] = {"note:", "{k}: {x}, {A}", "{k}: {x}, {A}", ""},
    {"retell:", "{A} asked {B} to {v} {t}. {B} agreed and they met at {p}.",
     "{A} asked {B} to {v} {t}, but {B} refused as {B} {e}.", " {C} came too."},
    {"invite:", "{B} was invited by {A} to {v} at {p} {t} and said yes.",
     "{B} was invited by {A} to {v} {t} and said no: {B} {e}.", " So was {C}."},
    {"plan:", "Plan of {A}: {g} with {B} {t} at {p}.",
     "Plan of {A}: {g} {t}. {B} is out, as {B} {e}.", " Also with {C}."},
    {"report:", "It is about {g}. {A} and {B} agreed on {p} {t}.",
     "It is about {g} {t}. {A} hoped for {B}, who {e}.", " The third person is {C}."},
    {"message:", "I will {v} with {B} {t}, we start at {p}. {A}",
     "I wanted to {v} with {B} {t}, but {B} {e}. {A}", " {C} is in."},
    {"list:", "Who: {A}, {B}. What: {x}. When: {t}. Where: {p}.",
     "Who: {A}. What: {x}. When: {t}. Why not: {B} {e}.", " Also: {C}."},
    {"news:", "At {p}, {A} and {B} {d} {t}.", "{A} never {d} {t}, because {B}, who was asked, {e}.",
     " With them was {C}."},
    {"diary:", "{B} says yes to {A}: they can {v} {t}. The place is {p}.",
     "{B} {e} and says no to {A}, who has to {v} {t} alone.", " {C} comes along."},
};

const char *const words_prose[N_PROSE] = {
    "{A} is not at home. {B} needs help and will go to {p} to find {A}.",
    "{A} and {B} are going to be at {p} {t}. {C} will be there too, but {D} won't.",
    "{C} would like to join {A} at {p}, and {D} must bring {B}.",
    "They will meet {t}. {A} wants everything to be good, and {B} wants nothing.",
    "It is bad that {A} can't come, because {B} is waiting at {p} for them.",
    "{A} is planning to give {B} a hand, but it won't start {t}.",
    "{D} is meeting {C} at {p} {t}. They leave without {A}.",
    "{A} has to use the room at {p} {t}, because {B} is there with {C}.",
    "Anybody can join them {t}, and {A} brings {C} to {p}.",
    "{C} {e}. {D} {e} too and won't be at {p}.",
    "They must find {A} a lift from {p}. {B} will drive and pick up {C}.",
    "{A} likes {B}, and {B} likes {C}, because {C} is making them happy.",
};

const char *const words_topic_prose[DIALOGUE_TOPICS][PROSE_PER_TOPIC] = {
    {"To discuss {x} {t} is what {B} would like.", "At {p} they will discuss {x} with {A}."},
    {"Going shopping {t} is fun: {A} wants {x} and {B} needs nothing.",
     "Meeting at {p}, they go shopping for {x}."},
    {"A trip to {x} {t} is good for {A}. The train leaves from {p}.",
     "Without {B} the train to {x} is empty. {A} will be taking it from {p}."},
    {"The doctor will see {A} {t}, because {A} has {x} and needs a lift.",
     "{B} can drive to {p}, pick up {A} and go to the doctor."},
    {"To learn {x} with {B} is good. {B} can explain it {t}.",
     "{A} is bad at the exam in {x} and can't explain it."},
    {"They help to repair {x} {t}. Repair it at {p}!",
     "{B} needs help {t} and can't repair {x} alone."},
    {"Making {x} is good. They make it {t} and eat with {C}.",
     "{B} won't eat {x}, but wants to buy everything for it at {p}."},
    {"A game of {x} is going to start {t}. {A} won't miss it.",
     "They play at {p} and {C} won't play a game of {x} with them."},
    {"{A} brings {x} to {p} {t}. To mind it is easy.",
     "{B} will ask anybody at {p} to mind {x}, but it is hard to find one {t}."},
    {"To finish {x} they will use a room at {p} {t}.",
     "{A} must finish and can't help {B} with {x} {t}."},
    {"Planning {x} {t} at {p} is fun. {C} won't be there.",
     "There will be {x} at {p}, and {A} is planning it."},
    {"{A} will carry {x} {t}. A hand from {B} is good.",
     "They start to carry {x} from {p} without {C}. {B} has to give them a hand."},
};

const struct question_words words_question[N_QUESTIONS] = {
    {"who", "{A}", "{A}"},          {"whom", "{B}", "{B}"},      {"what", "{x}", "{x}"},
    {"when", "{t}", "{t}"},         {"where", "{p}", "nowhere"}, {"why", "no reason", "{B} {e}"},
    {"joins", "{C}", WORDS_NOBODY},
};

const char *pretrain_text(size_t i)
{
    static const char *const other[] = {PROMPT_SUMMARIZE, PROMPT_QUESTION, WORDS_NOBODY};
    if (i < 4 * N_STYLES) {
        const struct style_words *s = &words_style[i / 4];
        const char *const one[4] = {s->prompt, s->agreed, s->declined, s->joined};
        return one[i % 4];
    }
    i -= 4 * N_STYLES;
    if (i < N_PROSE)
        return words_prose[i];
    i -= N_PROSE;
    if (i < DIALOGUE_TOPICS * PROSE_PER_TOPIC)
        return words_topic_prose[i / PROSE_PER_TOPIC][i % PROSE_PER_TOPIC];
    i -= DIALOGUE_TOPICS * PROSE_PER_TOPIC;
    if (i < 3 * N_QUESTIONS) {
        const struct question_words *q = &words_question[i / 3];
        const char *const one[3] = {q->word, q->agreed, q->declined};
        return one[i % 3];
    }
    i -= 3 * N_QUESTIONS;
    return i < sizeof(other) / sizeof(other[0]) ? other[i] : NULL;
}
