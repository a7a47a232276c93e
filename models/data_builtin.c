#include "models/data_builtin.h"

#include <string.h>

#include "models/dialogue.h"
#include "sim/base/rng.h"

struct dataset *data_builtin_open(uint64_t seed, uint32_t part, size_t n)
{
    struct arena arena = {0};
    struct dataset *d = ARENA_NEW(&arena, struct dataset, 1);
    d->n = n;
    d->sample = ARENA_NEW(&arena, struct sample, n);
    d->n_labels = DIALOGUE_TOPICS;
    const char **label = ARENA_NEW(&arena, const char *, DIALOGUE_TOPICS);
    for (int i = 0; i < DIALOGUE_TOPICS; i++)
        label[i] = dialogue_topic(i);
    d->label_name = label;
    struct arena scratch = {0};
    for (size_t i = 0; i < n; i++) {
        struct draw draw = {.seed = seed, .stream = RNG_DIALOGUE, .owner = part, .index = i};
        struct facts f;
        facts_draw(&f, &draw, &scratch);
        struct sample *s = &d->sample[i];
        s->dialogue = arena_strdup(&arena, dialogue_talk(&f, &draw, &scratch));
        s->summary = arena_strdup(&arena, dialogue_summary(&f, &scratch));
        s->label = f.topic;
        const char *fact[DIALOGUE_MAX_FACTS];
        s->n_facts = dialogue_facts(&f, fact);
        const char **kept = ARENA_NEW(&arena, const char *, (size_t)s->n_facts);
        for (int k = 0; k < s->n_facts; k++)
            kept[k] = arena_strdup(&arena, fact[k]);
        s->fact = kept;
        arena_free(&scratch);
    }
    d->arena = arena; /* d itself lives in it: data_close copies the handle out first */
    return d;
}
