#include "models/dialogue.h"

#include <string.h>

#include "models/dialogue_words.h"
#include "sim/base/check.h"

enum { DRAWS_PER_ITEM = 256, MAX_SPOKEN = 24 };

uint32_t draw_below(struct draw *d, uint32_t n)
{
    CHECK(d->k < DRAWS_PER_ITEM);
    uint64_t index = d->index * DRAWS_PER_ITEM + d->k++;
    return (uint32_t)rng_below(d->seed, d->stream, d->owner, index, n);
}

bool draw_chance(struct draw *d, double p)
{
    return draw_below(d, 1u << 24) < (uint32_t)(p * (1u << 24));
}

static const char *pick(struct draw *d, enum words list)
{
    return words_of[list].text[draw_below(d, (uint32_t)words_of[list].n)];
}

static char *draw_time(struct draw *d, struct arena *a)
{
    const char *day = pick(d, WORDS_DAYS);
    return arena_printf(a, "%s %s", day, pick(d, WORDS_HOURS));
}

void facts_draw(struct facts *f, struct draw *d, struct arena *a)
{
    *f = (struct facts){.topic = (int)draw_below(d, DIALOGUE_TOPICS)};
    for (int i = 0; i < 4; i++) {
        bool is_new;
        do {
            f->name[i] = pick(d, WORDS_NAMES);
            is_new = true;
            for (int j = 0; j < i; j++)
                is_new = is_new && f->name[j] != f->name[i];
        } while (!is_new);
    }
    f->thing = words_topic[f->topic].thing[draw_below(d, WORDS_THINGS)];
    f->first_time = draw_time(d, a);
    do
        f->time = draw_time(d, a);
    while (strcmp(f->time, f->first_time) == 0);
    f->first_place = pick(d, WORDS_PLACES);
    do
        f->place = pick(d, WORDS_PLACES);
    while (f->place == f->first_place);
    int excuse = (int)draw_below(d, (uint32_t)words_of[WORDS_EXCUSES_ME].n);
    f->excuse_me = words_of[WORDS_EXCUSES_ME].text[excuse];
    f->excuse_them = words_of[WORDS_EXCUSES_THEM].text[excuse];
    f->is_declined = draw_chance(d, 0.22);
    f->is_time_moved = draw_chance(d, 0.30) && !f->is_declined;
    f->is_place_moved = draw_chance(d, 0.25) && !f->is_declined;
    f->has_c = draw_chance(d, 0.25) && !f->is_declined;
}

/* The slots of the talk: what was proposed first, what replaces it, and the excuse in the first
 * person. */
static void talk_slots(const struct facts *f, const char *slot[128])
{
    facts_slots(f, slot);
    slot['t'] = f->first_time;
    slot['u'] = f->time;
    slot['p'] = f->first_place;
    slot['q'] = f->place;
    slot['e'] = f->excuse_me;
}

void facts_slots(const struct facts *f, const char *slot[128])
{
    memset(slot, 0, 128 * sizeof(slot[0]));
    for (int i = 0; i < 4; i++)
        slot['A' + i] = f->name[i];
    slot['x'] = f->thing;
    slot['t'] = f->is_time_moved ? f->time : f->first_time;
    slot['p'] = f->is_place_moved ? f->place : f->first_place;
    slot['e'] = f->excuse_them;
}

char *template_fill(const char *template, const char *const slot[128], struct arena *a)
{
    size_t n = 0;
    for (const char *s = template; *s; s++) {
        if (*s == '{') {
            CHECK(s[1] > 0 && s[2] == '}' && slot[(int)s[1]]);
            n += strlen(slot[(int)s[1]]);
            s += 2;
        } else {
            n++;
        }
    }
    char *out = arena_alloc(a, n + 1, 1), *to = out;
    for (const char *s = template; *s; s++) {
        if (*s == '{') {
            size_t length = strlen(slot[(int)s[1]]);
            memcpy(to, slot[(int)s[1]], length);
            to += length;
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
    return out;
}

/* Turns as they are spoken; who counts A, B, C as 0, 1, 2. */
struct talk {
    int n;
    int who[MAX_SPOKEN];
    const char *line[MAX_SPOKEN]; /* templates */
};

static void say(struct talk *t, int who, const char *line)
{
    CHECK(t->n < MAX_SPOKEN);
    t->who[t->n] = who;
    t->line[t->n++] = line;
}

static void talk_opening(const struct facts *f, struct talk *t, struct draw *d)
{
    if (draw_chance(d, 0.60)) {
        say(t, 0, pick(d, WORDS_GREET_A));
        say(t, 1, pick(d, WORDS_GREET_B));
    }
    if (draw_chance(d, 0.35)) {
        uint32_t small = draw_below(d, (uint32_t)words_of[WORDS_SMALL_A].n);
        say(t, 0, words_of[WORDS_SMALL_A].text[small]);
        say(t, 1, words_of[WORDS_SMALL_B].text[small]);
    }
    say(t, 0, words_topic[f->topic].request[draw_below(d, WORDS_REQUESTS)]);
}

static void talk_agreement(const struct facts *f, struct talk *t, struct draw *d)
{
    if (f->is_time_moved) {
        say(t, 1, pick(d, WORDS_MOVE_TIME));
        say(t, 0, pick(d, WORDS_CONFIRM_TIME));
    } else {
        say(t, 1, pick(d, WORDS_YES));
    }
    say(t, 1, pick(d, WORDS_ASK_WHERE));
    say(t, 0, pick(d, WORDS_TELL_WHERE));
    if (f->is_place_moved) {
        say(t, 1, pick(d, WORDS_MOVE_PLACE));
        say(t, 0, pick(d, WORDS_CONFIRM_PLACE));
    }
    if (f->has_c) {
        say(t, (int)draw_below(d, 2), pick(d, WORDS_C_COMES));
        if (draw_chance(d, 0.40))
            say(t, 2, pick(d, WORDS_C_SPEAKS));
    }
    if (draw_chance(d, 0.50)) {
        say(t, 0, pick(d, WORDS_BYE_A));
        say(t, 1, pick(d, WORDS_BYE_B));
    }
}

/* A line ends in a mark before the next one of the same turn begins. */
static bool has_end_mark(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && strchr(".!?)(", text[n - 1]);
}

char *dialogue_talk(const struct facts *f, struct draw *d, struct arena *a)
{
    struct talk t = {0};
    talk_opening(f, &t, d);
    if (f->is_declined) {
        say(&t, 1, pick(d, WORDS_DECLINE));
        say(&t, 0, pick(d, WORDS_ACCEPT_NO));
    } else {
        talk_agreement(f, &t, d);
    }
    const char *slot[128];
    talk_slots(f, slot);
    char *out = arena_strdup(a, "");
    for (int i = 0; i < t.n; i++) {
        const char *line = template_fill(t.line[i], slot, a);
        if (i > 0 && t.who[i] == t.who[i - 1])
            out = arena_printf(a, "%s%s %s", out, has_end_mark(out) ? "" : ".", line);
        else
            out = arena_printf(a, "%s%s%s: %s", out, i ? "\n" : "", f->name[t.who[i]], line);
    }
    return out;
}

char *dialogue_summary(const struct facts *f, struct arena *a)
{
    const char *slot[128];
    facts_slots(f, slot);
    const struct topic_words *topic = &words_topic[f->topic];
    char *out = template_fill(f->is_declined ? topic->declined : topic->agreed, slot, a);
    if (!f->has_c)
        return out;
    return arena_printf(a, "%s%s", out, template_fill(words_of[WORDS_JOINS].text[0], slot, a));
}

int dialogue_facts(const struct facts *f, const char *fact[DIALOGUE_MAX_FACTS])
{
    const char *slot[128];
    facts_slots(f, slot);
    int n = 0;
    fact[n++] = slot['A'];
    fact[n++] = slot['B'];
    fact[n++] = slot['x'];
    fact[n++] = slot['t'];
    if (f->is_declined)
        fact[n++] = slot['e'];
    else
        fact[n++] = slot['p'];
    if (f->has_c)
        fact[n++] = slot['C'];
    return n;
}

const char *dialogue_topic(int topic)
{
    return words_topic[topic].name;
}

const char *dialogue_text(size_t i)
{
    enum { TEXTS_PER_TOPIC = 6 + WORDS_THINGS + WORDS_REQUESTS };
    if (i < (size_t)DIALOGUE_TOPICS * TEXTS_PER_TOPIC) {
        const struct topic_words *t = &words_topic[i / TEXTS_PER_TOPIC];
        size_t k = i % TEXTS_PER_TOPIC;
        const char *const one[6] = {t->name, t->infinitive, t->gerund,
                                    t->past, t->agreed,     t->declined};
        if (k < 6)
            return one[k];
        k -= 6;
        return k < WORDS_THINGS ? t->thing[k] : t->request[k - WORDS_THINGS];
    }
    i -= (size_t)DIALOGUE_TOPICS * TEXTS_PER_TOPIC;
    for (int list = 0; list < N_WORDS; list++) {
        if (i < (size_t)words_of[list].n)
            return words_of[list].text[i];
        i -= (size_t)words_of[list].n;
    }
    return NULL;
}
