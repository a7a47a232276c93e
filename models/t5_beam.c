#include <math.h>
#include <string.h>

#include "models/t5_slots.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"

#define NEVER (-1e9f) /* transformers' score of what is not there */

/* A beam that grows, or a finished one. */
struct beam {
    float score; /* sum of log probabilities; finished: over length^penalty */
    int slot;
    int n;          /* finished: tokens */
    int32_t *token; /* [max_new] */
};

/* One sequence of the pack. The one of block k has its beams in slots k * n_beams .. (k + 1) *
 * n_beams - 1, in any order. */
struct searched {
    int n_done;
    struct beam *beam; /* [n_beams] best first */
    struct beam *done; /* [n_beams] best first; the first n_done */
};

/* A continuation: a beam and a token after it. */
struct next {
    float score;
    int beam;
    int32_t token;
};

struct search {
    struct t5_slots slots;
    const struct t5_beams *how;
    int max_new, n_top; /* 2 n_beams */
    int n_open, *open;  /* sequences that are not done, by block */
    struct searched *seq;
    struct next *next;  /* [n_top] of one sequence, best first */
    struct beam *grown; /* [n_beams] */
    int32_t *top;       /* [slots * n_top] */
    float *logp;
    struct arena arena;
};

static struct beam *new_beams(struct search *s)
{
    int n = s->how->n_beams;
    struct beam *b = ARENA_NEW(&s->arena, struct beam, (size_t)n);
    for (int j = 0; j < n; j++)
        b[j] = (struct beam){.score = j ? NEVER : 0,
                             .slot = j,
                             .token = ARENA_NEW(&s->arena, int32_t, (size_t)s->max_new)};
    return b;
}

static void search_init(struct search *s, int n_seqs)
{
    size_t n = (size_t)n_seqs, n_top = n * (size_t)(s->how->n_beams * s->n_top);
    s->seq = ARENA_NEW(&s->arena, struct searched, n);
    s->open = ARENA_NEW(&s->arena, int, n);
    s->next = ARENA_NEW(&s->arena, struct next, (size_t)s->n_top);
    s->top = ARENA_NEW(&s->arena, int32_t, n_top);
    s->logp = ARENA_NEW(&s->arena, float, n_top);
    s->grown = new_beams(s);
    s->n_open = n_seqs;
    for (int i = 0; i < n_seqs; i++) {
        s->open[i] = i;
        s->seq[i] = (struct searched){

            .beam = new_beams(s), .done = new_beams(s)};
        for (int j = 0; j < s->how->n_beams; j++)
            s->seq[i].beam[j].slot += i * s->how->n_beams;
    }
}

/* The n_top best continuations of a sequence; of equals the better beam's, then the better token.
 */
static void find_next(struct search *s, const struct searched *q)
{
    int n = 0;
    for (int b = 0; b < s->how->n_beams; b++) {
        size_t at = (size_t)(q->beam[b].slot * s->n_top);
        for (int j = 0; j < s->n_top; j++) {
            float score = q->beam[b].score + s->logp[at + (size_t)j];
            if (n == s->n_top && !(score > s->next[n - 1].score))
                break; /* the beam's others are no better */
            int to = n < s->n_top ? n++ : n - 1;
            for (; to > 0 && score > s->next[to - 1].score; to--)
                s->next[to] = s->next[to - 1];
            s->next[to] = (struct next){score, b, s->top[at + (size_t)j]};
        }
    }
}

/* A finished beam takes its place among the best of them. */
static void finish(struct search *s, struct searched *q, const struct next *x)
{
    int n_beams = s->how->n_beams, n = s->slots.position + 1;
    float score = x->score / (float)pow(n, (double)s->how->length_penalty);
    if (q->n_done == n_beams && !(score > q->done[n_beams - 1].score))
        return;
    int at = q->n_done < n_beams ? q->n_done++ : n_beams - 1;
    struct beam last = q->done[at];
    for (; at > 0 && score > q->done[at - 1].score; at--)
        q->done[at] = q->done[at - 1];
    last.score = score;
    last.n = n;
    memcpy(last.token, q->beam[x->beam].token, (size_t)(n - 1) * sizeof(int32_t));
    last.token[n - 1] = x->token;
    q->done[at] = last;
}

/* The beams that go on, in s->grown: which continuation, and the slot it takes. A parent's first
 * child stays where the parent is; its others move to slots whose beams have no child. */
static void place(struct search *s, struct searched *q, const struct next *const *going)
{
    int n_beams = s->how->n_beams;
    bool has_child[T5_MAX_BEAMS] = {false}, stays[T5_MAX_BEAMS];
    for (int j = 0; j < n_beams; j++) {
        stays[j] = !has_child[going[j]->beam];
        has_child[going[j]->beam] = true;
    }
    for (int j = 0, free = 0; j < n_beams; j++) {
        const struct beam *parent = &q->beam[going[j]->beam];
        struct beam *b = &s->grown[j];
        b->slot = parent->slot;
        if (!stays[j]) {
            while (has_child[free])
                free++;
            b->slot = q->beam[free++].slot;
            t5_slots_copy(&s->slots, b->slot, parent->slot);
        }
        b->score = going[j]->score;
        memcpy(b->token, parent->token, (size_t)s->slots.position * sizeof(int32_t));
        b->token[s->slots.position] = going[j]->token;
        s->slots.token[b->slot] = going[j]->token;
    }
    struct beam *was = q->beam;
    q->beam = s->grown;
    s->grown = was;
}

/* Takes a sequence one token further. False when it is done. */
static bool advance(struct search *s, struct searched *q)
{
    const struct next *going[T5_MAX_BEAMS];
    int n_beams = s->how->n_beams, n_going = 0;
    int32_t eos = s->slots.r->w->model->config.eos_id;
    bool is_last = s->slots.position + 1 == s->max_new;
    bool was_full = q->n_done == n_beams && s->how->early_stopping;
    find_next(s, q);
    for (int j = 0; j < s->n_top; j++) {
        bool ends = is_last || s->next[j].token == eos;
        if (ends && j < n_beams && !was_full)
            finish(s, q, &s->next[j]);
        if (s->next[j].token != eos && n_going < n_beams)
            going[n_going++] = &s->next[j];
    }
    if (is_last || (s->how->early_stopping && q->n_done == n_beams))
        return false;
    CHECK(n_going == n_beams); /* of 2 n_beams, at most one per beam ends */
    place(s, q, going);
    float length = (float)pow(s->slots.position + 1, (double)s->how->length_penalty);
    return q->n_done < n_beams || q->beam[0].score / length > q->done[n_beams - 1].score;
}

/* The last block's sequence takes over the block of one that is done. */
static void drop_block(struct search *s, int block)
{
    int n_beams = s->how->n_beams, last = --s->n_open;
    struct searched *q = &s->seq[s->open[last]];
    s->slots.n -= n_beams;
    if (block == last)
        return;
    for (int j = 0; j < n_beams; j++) {
        t5_slots_copy(&s->slots, block * n_beams + j, last * n_beams + j);
        q->beam[j].slot -= (last - block) * n_beams;
    }
    s->open[block] = s->open[last];
}

static enum err_code beam_step(struct search *s, struct err *e)
{
    const struct t5_work *w = s->slots.r->w;
    const struct t5_config *c = &w->model->config;
    size_t n = (size_t)(s->slots.n * s->n_top);
    t5_slots_step(&s->slots);
    w->ops->head_top(w->b, s->slots.n, c->d_model, c->vocab, s->n_top, w->out[1],
                     t5_wv(w, w->model->head), w->best, w->logp);
    w->ops->get(w->b, s->top, w->best, n * sizeof(*s->top));
    w->ops->get(w->b, s->logp, w->logp, n * sizeof(*s->logp));
    enum err_code code = w->ops->sync(w->b, e);
    for (int block = s->n_open - 1; !code && block >= 0; block--) {
        if (!advance(s, &s->seq[s->open[block]]))
            drop_block(s, block);
    }
    return code;
}

enum err_code t5_beam(struct t5_work *w, const struct t5_pass *p, const struct t5_beams *how,
                      int max_new, int32_t *out, int *n_out, struct err *e)
{
    if (how->n_beams == 1)
        return t5_greedy(w, p, max_new, out, n_out, e);
    CHECK(w->mode == T5_INFER && max_new >= 1 && max_new <= w->limits.max_new && p->stride == 0);
    CHECK(how->n_beams >= 1 && how->n_beams <= w->limits.max_beams);
    CHECK(2 * how->n_beams <= w->model->config.vocab && 2 * how->n_beams <= BACKEND_MAX_TOP);
    struct t5_run r = {.w = w, .pass = p};
    struct search s = {.how = how, .max_new = max_new, .n_top = 2 * how->n_beams};
    enum err_code code = t5_slots_begin(&s.slots, &r, how->n_beams, e);
    if (code)
        return code;
    search_init(&s, p->pack->n_seqs);
    for (; !code && s.n_open > 0; s.slots.position++)
        code = beam_step(&s, e);
    for (int i = 0; !code && i < p->pack->n_seqs; i++) {
        const struct beam *best = &s.seq[i].done[0];
        n_out[i] = best->n;
        memcpy(out + (size_t)i * (size_t)max_new, best->token, (size_t)best->n * sizeof(*out));
    }
    arena_free(&s.arena);
    return code;
}
