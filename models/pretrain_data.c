#include "models/pretrain_data.h"

#include <string.h>

#include "models/dialogue_words.h"
#include "models/pretrain_words.h"
#include "sim/base/check.h"

enum { MAX_ASKED = 3, VOCAB_EXAMPLES = 4000 };

/* All slots of the final facts, the verb phrases and the topic. */
static void style_slots(const struct facts *f, const char *slot[128], struct arena *a)
{
    facts_slots(f, slot);
    const struct topic_words *topic = &words_topic[f->topic];
    slot['k'] = topic->name;
    slot['v'] = template_fill(topic->infinitive, slot, a);
    slot['g'] = template_fill(topic->gerund, slot, a);
    slot['d'] = template_fill(topic->past, slot, a);
}

static char *style_text(const struct facts *f, const struct style_words *s, struct arena *a)
{
    const char *slot[128];
    style_slots(f, slot, a);
    char *text = template_fill(f->is_declined ? s->declined : s->agreed, slot, a);
    if (!f->has_c)
        return text;
    return arena_printf(a, "%s%s", text, template_fill(s->joined, slot, a));
}

static const struct style_words *draw_sentence_style(struct draw *d)
{
    return &words_style[1 + draw_below(d, N_STYLES - 1)];
}

static void make_summary(struct example *x, const struct facts *f, const char *talk, struct draw *d,
                         struct arena *a)
{
    const struct style_words *s =
        draw_chance(d, 0.60) ? &words_style[STYLE_TERSE] : draw_sentence_style(d);
    x->input_text = arena_printf(a, "%s %s", PROMPT_SUMMARIZE, talk);
    x->target_text = style_text(f, s, a);
}

static void make_style(struct example *x, const struct facts *f, const char *talk, struct draw *d,
                       struct arena *a)
{
    const struct style_words *s = draw_sentence_style(d);
    x->input_text = arena_printf(a, "%s %s", s->prompt, talk);
    x->target_text = style_text(f, s, a);
}

static void make_question(struct example *x, const struct facts *f, const char *talk,
                          struct draw *d, struct arena *a)
{
    const char *slot[128];
    style_slots(f, slot, a);
    const char *asked = PROMPT_QUESTION, *answer = "";
    int n = 1 + (int)draw_below(d, MAX_ASKED);
    for (int i = 0; i < n; i++) {
        const struct question_words *q = &words_question[draw_below(d, N_QUESTIONS)];
        const char *form = f->is_declined ? q->declined : q->agreed;
        if (strcmp(form, "{C}") == 0 && !f->has_c)
            form = WORDS_NOBODY;
        asked = arena_printf(a, "%s %s%s", asked, q->word, i + 1 < n ? "," : "?");
        answer = arena_printf(a, "%s%s%s", answer, i ? ", " : "", template_fill(form, slot, a));
    }
    x->input_text = arena_printf(a, "%s %s", asked, talk);
    x->target_text = answer;
}

static const char *draw_prose(const struct facts *f, struct draw *d, struct arena *a)
{
    const char *slot[128];
    style_slots(f, slot, a);
    switch (draw_below(d, 4)) {
    case 0:
        return arena_printf(a, "%s %s", template_fill(words_prose[draw_below(d, N_PROSE)], slot, a),
                            template_fill(words_prose[draw_below(d, N_PROSE)], slot, a));
    case 1:
        return style_text(f, draw_sentence_style(d), a);
    default: {
        const char *const *of_topic = words_topic_prose[f->topic];
        const char *first = template_fill(of_topic[draw_below(d, PROSE_PER_TOPIC)], slot, a);
        const char *then = template_fill(words_prose[draw_below(d, N_PROSE)], slot, a);
        bool is_swapped = draw_chance(d, 0.5);
        return arena_printf(a, "%s %s", is_swapped ? then : first, is_swapped ? first : then);
    }
    }
}

/* Returns the draws, so that denoising can go on with them. */
static struct draw make_texts(struct example *x, uint64_t seed, uint32_t step, uint32_t index,
                              struct arena *a)
{
    struct draw d = {.seed = seed, .stream = RNG_PRETRAIN, .owner = step, .index = index};
    struct facts f;
    *x = (struct example){0};
    facts_draw(&f, &d, a);
    const char *talk = dialogue_talk(&f, &d, a);
    uint32_t task = draw_below(&d, 100);
    if (task < 25)
        make_summary(x, &f, talk, &d, a);
    else if (task < 65)
        make_style(x, &f, talk, &d, a);
    else if (task < 80)
        make_question(x, &f, talk, &d, a);
    else
        x->input_text = draw_chance(&d, 0.5) ? talk : draw_prose(&f, &d, a);
    return d;
}

void pretrain_texts(struct example *x, uint64_t seed, uint32_t step, uint32_t index,
                    struct arena *a)
{
    make_texts(x, seed, step, index, a);
}

/* Which of n ids are hidden. */
static void draw_spans(bool *hidden, int n, struct draw *d)
{
    if (draw_chance(d, 0.40)) {
        int length = 1 + (n * (30 + (int)draw_below(d, 31))) / 100;
        if (length >= n)
            length = n - 1;
        int at = (int)draw_below(d, (uint32_t)(n - length + 1));
        for (int i = at; i < at + length; i++)
            hidden[i] = true;
        return;
    }
    int wanted = (n * 15 + 99) / 100;
    for (int tries = 0; wanted > 0 && tries < 40; tries++) {
        int length = 1 + (int)draw_below(d, 5), at = (int)draw_below(d, (uint32_t)n);
        for (int i = at; i < n && i < at + length && wanted > 0; i++) {
            wanted -= !hidden[i];
            hidden[i] = true;
        }
    }
}

/* Each hidden run becomes a sentinel in the input; the target lists sentinel and run, and a last
 * sentinel. */
static void corrupt(struct example *x, const int32_t *ids, int n, int n_vocab, struct draw *d,
                    struct arena *a)
{
    bool *hidden = ARENA_NEW(a, bool, (size_t)n);
    draw_spans(hidden, n, d);
    x->input = ARENA_NEW(a, int32_t, (size_t)n + 2);
    x->target = ARENA_NEW(a, int32_t, 2 * (size_t)n + 3);
    int32_t sentinel = n_vocab - 1;
    for (int i = 0; i < n; i++) {
        if (hidden[i] && (i == 0 || !hidden[i - 1])) {
            x->input[x->n_input++] = sentinel;
            x->target[x->n_target++] = sentinel--;
        }
        if (hidden[i])
            x->target[x->n_target++] = ids[i];
        else
            x->input[x->n_input++] = ids[i];
    }
    CHECK(sentinel > n_vocab - 1 - PRETRAIN_SENTINELS);
    x->target[x->n_target++] = sentinel;
    x->input[x->n_input++] = TOKEN_EOS;
    x->target[x->n_target++] = TOKEN_EOS;
}

static enum err_code encode(const char *text, const struct tokens *t, int32_t **out, int *n_out,
                            struct arena *a, struct err *e)
{
    int32_t *ids;
    size_t n;
    enum err_code code = tokens_encode(t, text, a, &ids, &n, e);
    if (code)
        return code;
    CHECK(n > 0 && n < PRETRAIN_MAX_IDS);
    *out = ARENA_NEW(a, int32_t, n + 1);
    memcpy(*out, ids, n * sizeof(ids[0]));
    (*out)[n] = TOKEN_EOS;
    *n_out = (int)n + 1;
    return OK;
}

enum err_code pretrain_example(struct example *x, uint64_t seed, uint32_t step, uint32_t index,
                               const struct tokens *t, int n_vocab, struct arena *a, struct err *e)
{
    struct draw d = make_texts(x, seed, step, index, a);
    enum err_code code = encode(x->input_text, t, &x->input, &x->n_input, a, e);
    if (code)
        return code;
    if (x->target_text)
        return encode(x->target_text, t, &x->target, &x->n_target, a, e);
    const int32_t *ids = x->input;
    int n = x->n_input - 1;
    x->n_input = 0;
    corrupt(x, ids, n, n_vocab, &d, a);
    return OK;
}

void pretrain_vocab(struct vocab *v)
{
    for (size_t i = 0; dialogue_text(i); i++)
        vocab_count(v, dialogue_text(i), 0.5);
    for (size_t i = 0; pretrain_text(i); i++)
        vocab_count(v, pretrain_text(i), 0.5);
    struct arena a = {0};
    for (uint32_t i = 0; i < VOCAB_EXAMPLES; i++) {
        struct example x;
        pretrain_texts(&x, 1, 0, i, &a);
        vocab_count(v, x.input_text, 1.0);
        if (x.target_text)
            vocab_count(v, x.target_text, 1.0);
        arena_free(&a);
    }
}
