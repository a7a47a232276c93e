#include "sim/learner_plan.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/crew.h"
#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/pick.h"

#define GPU_SHARE 0.9 /* of its memory for weights and a training pass; the rest is for evaluation and drivers */
#define MAX_PLANNED 2e6 /* participations looked at; runs of more take the upper bound */

size_t learner_chunk(const struct learner_spec *s)
{
    size_t part = crew_part_size(s->n_per_round, s->n_parts);
    return s->chunk > 0 && (size_t)s->chunk < part ? (size_t)s->chunk : part;
}

bool learner_evaluates(const struct learner_spec *s)
{
    return s->eval_samples > 0 || s->data.n_test > 0;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What is looked through, and room to look. */
struct survey {
    const struct learner_spec *s;
    const struct dataset *train;
    const struct split *split;
    size_t steps;
    uint32_t *sample; /* [steps * batch] */
    int *n_per_step;  /* [steps] */
    size_t *in, *out; /* [steps * n_per_round] tokens of each member of a cohort, step by step */
};

static void count_rows(const struct survey *v, uint32_t round, size_t n, const uint32_t *client)
{
    memset(v->in, 0, v->steps * n * sizeof(v->in[0]));
    memset(v->out, 0, v->steps * n * sizeof(v->out[0]));
    for (size_t i = 0; i < n; i++) {
        const uint32_t *at = v->sample;
        split_deal(v->split, &v->s->dealing, v->s->seed, client[i], round, v->steps, v->sample,
                   v->n_per_step);
        for (size_t step = 0; step < v->steps; step++) {
            for (int j = 0; j < v->n_per_step[step]; j++, at++) {
                v->in[step * n + i] += (size_t)v->train->sample[*at].n_input;
                v->out[step * n + i] += (size_t)v->train->sample[*at].n_target;
            }
        }
    }
}

static int largest_first(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

/* What the `most` largest of n are together: who fails is not known here, so any may share a pass. */
static size_t sum_of_largest(size_t n, size_t *rows, size_t most)
{
    size_t sum = 0;
    if (most < n)
        qsort(rows, n, sizeof(rows[0]), largest_first);
    for (size_t i = 0; i < most && i < n; i++)
        sum += rows[i];
    return sum;
}

/* The largest step of any pass of any round. */
static void plan_largest_step(struct survey *v, struct train_limits *t)
{
    const struct learner_spec *s = v->s;
    size_t k = s->n_per_round, n_abreast = (size_t)t->max_members;
    if ((double)s->n_rounds * (double)k > MAX_PLANNED)
        return;
    struct arena scratch = {0};
    uint32_t *client = ARENA_NEW(&scratch, uint32_t, k);
    uint64_t *is_taken = ARENA_NEW(&scratch, uint64_t, pick_scratch_words(s->n_clients));
    v->in = ARENA_NEW(&scratch, size_t, v->steps * k);
    v->out = ARENA_NEW(&scratch, size_t, v->steps * k);
    v->n_per_step = ARENA_NEW(&scratch, int, v->steps);
    v->sample = ARENA_NEW(&scratch, uint32_t, v->steps * s->dealing.batch);
    size_t most_in = 1, most_out = 1;
    for (size_t round = 1; round <= s->n_rounds; round++) {
        pick_cohort(s->seed, (uint32_t)round, s->n_clients, k, client, is_taken);
        count_rows(v, (uint32_t)round, k, client);
        for (size_t i = 0; i < v->steps; i++) {
            most_in = larger(most_in, sum_of_largest(k, v->in + i * k, n_abreast));
            most_out = larger(most_out, sum_of_largest(k, v->out + i * k, n_abreast));
        }
    }
    arena_free(&scratch);
    size_t seqs = (size_t)t->max_members * (size_t)t->max_batch;
    if (most_in < seqs * (size_t)t->max_input)
        t->max_input_rows = most_in;
    if (most_out < seqs * (size_t)t->max_target)
        t->max_target_rows = most_out;
}

struct train_limits learner_limits(const struct learner_spec *s, const struct dataset *train,
                                   const struct split *split, size_t most_steps)
{
    struct train_limits t = {.max_members = (int)learner_chunk(s),
                             .max_batch = (int)s->dealing.batch};
    struct survey v = {.s = s, .train = train, .split = split, .steps = most_steps};
    size_t longest_in = 1, longest_out = 1;
    for (size_t i = 0; i < train->n; i++) {
        longest_in = larger(longest_in, (size_t)train->sample[i].n_input);
        longest_out = larger(longest_out, (size_t)train->sample[i].n_target);
    }
    CHECK(longest_in <= (size_t)s->data.max_input && longest_out <= (size_t)s->data.max_target);
    t.max_input = (int)longest_in;
    t.max_target = (int)longest_out;
    if (!s->is_full) /* there a pass is one client's */
        plan_largest_step(&v, &t);
    return t;
}

/* Bytes that a pass may take; 0: what trainer_is_small says. */
static double room_of(const struct learner_spec *s, const struct t5 *model)
{
    const struct backend_ops *ops = t5_ops(model);
    if (s->memory_bytes > 0)
        return s->memory_bytes;
    if (ops->is_host)
        return 0;
    double weights = (double)t5_n_flat(model) * (double)sizeof(float);
    if (ops->value_bytes != sizeof(float))
        weights += (double)t5_n_flat(model) * (double)ops->value_bytes;
    return GPU_SHARE * (double)ops->memory_bytes(t5_backend(model)) - weights;
}

enum err_code learner_fit(struct learner_spec *s, const struct t5 *model, const struct dataset *train,
                          const struct split *split, size_t most_steps, struct err *e)
{
    double room = room_of(s, model);
    const struct lora_spec *lora = s->is_full ? NULL : &s->lora;
    for (size_t chunk = learner_chunk(s);; chunk = (chunk + 1) / 2) {
        s->chunk = (int)chunk;
        struct train_limits limits = learner_limits(s, train, split, most_steps);
        size_t needs = trainer_plan(model, lora, &limits, &s->hyper, s->n_workers);
        if (room == 0 ? trainer_is_small(model, lora, &limits, &s->hyper) : needs > 0 && (double)needs <= room)
            return OK;
        if (chunk > 1 && !s->is_full) /* there a pass is one client's anyway */
            continue;
        return err_set(e, s->memory_bytes > 0 ? ERR_LIMIT : ERR_MEMORY,
                       "a training pass of one client needs %.0f MiB beside the weights, %s %.0f MiB",
                       (double)needs / 0x1p20, s->memory_bytes > 0 ? "compute.memory allows" : "the GPU has",
                       (room > 0 ? room : 0) / 0x1p20);
    }
}

/* Sets of weights that a full run holds, in float32 values per weight: the model, the trainer's
 * with gradients, slots and start, the server's (in double), each client's result, evaluations. */
static double values_per_weight(const struct learner_spec *s)
{
    bool is_adamw = s->hyper.optimizer == LOCAL_ADAMW;
    int slots = (is_adamw ? 2 : s->hyper.momentum > 0) + (s->hyper.prox_mu > 0 ? 2 : 0);
    int doubles = 2 + server_opt_has_m(s->server.opt) + server_opt_has_v(s->server.opt);
    int evaluation = learner_evaluates(s) ? 1 + LEARNER_MAX_EVALUATIONS : 0;
    return 1 + 2 + slots + 2 * doubles + 1 + (double)s->n_per_round + evaluation;
}

enum err_code learner_check_memory(const struct learner_spec *s, size_t n_weights, struct err *e)
{
    double has = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double needs = values_per_weight(s) * sizeof(float) * (double)n_weights;
    if (!s->is_full || has <= 0 || needs <= has)
        return OK;
    return err_set(e, ERR_MEMORY,
                   "full fine-tuning of %s: %zu clients a round need %.1f GiB of weights and "
                   "optimizer states, "
                   "this machine has %.1f GiB",
                   s->weights, s->n_per_round, needs / 0x1p30, has / 0x1p30);
}

void learner_memory_text(const struct learner_spec *s, const struct learner_memory *m, char *out, size_t n)
{
    char passes[64] = "", program[64] = "", others[96] = "";
    size_t chunk = learner_chunk(s);
    double weights = m->weights / 0x1p20, pass = m->pass / 0x1p20;
    if (chunk < s->n_per_round)
        snprintf(passes, sizeof(passes), " (%zu client%s at a time)", chunk, chunk == 1 ? "" : "s");
    if (m->resident > m->weights)
        snprintf(program, sizeof(program), " + program and data %.0f", (m->resident - m->weights) / 0x1p20);
    if (m->n_devices > 1)
        snprintf(others, sizeof(others), "; weights %.0f + pass %.0f MiB on each of %d more", weights, pass,
                 m->n_devices - 1);
    snprintf(out, n, "weights %.0f + pass %.0f%s + evaluation %.0f + results %.0f%s MiB%s", weights, pass, passes,
             m->evaluation / 0x1p20, m->results / 0x1p20, program, others);
}
