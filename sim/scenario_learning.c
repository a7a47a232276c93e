/* Sections "model", "data" and "evaluate": what is trained, on what, and how it is judged. */
#include <string.h>

#include "models/peft.h"
#include "models/t5.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/scenario_parts.h"

#define BUILTIN "builtin:"
#define DEFAULT_RANK 16
#define DEFAULT_ALPHA 32.0
#define DEFAULT_LORA_DROPOUT 0.05
#define DEFAULT_DROPOUT 0.1 /* T5's own */
#define DEFAULT_MAX_INPUT 512
#define DEFAULT_MAX_TARGET 95
#define DEFAULT_SAMPLES 8000
#define DEFAULT_HELDOUT 200
#define DEFAULT_EVERY 10
#define DEFAULT_EVALUATED 200
#define DEFAULT_EVALUATION_BATCH 32
#define MIN_TOKENS 2 /* one and </s> */

static bool is_builtin(const char *text)
{
    return strncmp(text, BUILTIN, strlen(BUILTIN)) == 0;
}

/* A built-in's name, or a path that must be there (a folder or a file as asked). */
static enum err_code parse_source(struct json o, const char *key, const char *builtin,
                                  bool is_folder, const char *text, struct scenario *s,
                                  const char **out, struct err *e)
{
    if (builtin && strcmp(text, builtin) == 0) {
        *out = builtin;
        return OK;
    }
    if (is_builtin(text))
        return json_fail(o, key, e,
                         builtin ? "expected \"%s\" or a path, got \"%.80s\""
                                 : "expected a path, got %s\"%.80s\"",
                         builtin ? builtin : "", text);
    const char *path = scenario_resolve(s, o, key, text);
    if (!file_exists(path))
        return json_fail(o, key, e, "no such %s: %.300s", is_folder ? "folder" : "file", path);
    if (file_is_folder(path) != is_folder)
        return json_fail(o, key, e, "expected a %s, got a %s: %.300s",
                         is_folder ? "folder" : "file", is_folder ? "file" : "folder", path);
    *out = path;
    return OK;
}

static enum err_code parse_targets(struct json lora, unsigned fallback, unsigned *out,
                                   struct err *e)
{
    const char *const *names = lora_target_names();
    struct json list;
    enum err_code code = json_array_opt(lora, "targets", &list, e);
    if (code)
        return code;
    if (!list.node) {
        *out = fallback;
        return OK;
    }
    *out = 0;
    for (size_t i = 0; i < json_count(list); i++) {
        size_t which = 0;
        code = json_choice(json_at(list, i), NULL, names, N_LORA_TARGETS, NULL, &which, e);
        if (code)
            return code;
        if (*out & 1u << which)
            return json_fail(json_at(list, i), NULL, e, "this target is there twice");
        *out |= 1u << which;
    }
    return *out ? OK : json_fail(lora, "targets", e, "expected at least one target");
}

/* What makes the shape and the scale of an adapter is its own; dropout may be another. */
static enum err_code check_start(struct json lora, const struct lora_spec *start,
                                 const struct lora_spec *asked, struct err *e)
{
    if (asked->rank != start->rank)
        return json_fail(lora, "rank", e, "expected %d, as model.adapter has it, got %d",
                         start->rank, asked->rank);
    if (asked->alpha != start->alpha)
        return json_fail(lora, "alpha", e, "expected %g, as model.adapter has it, got %g",
                         (double)start->alpha, (double)asked->alpha);
    if (asked->targets != start->targets)
        return json_fail(lora, "targets", e, "expected those of model.adapter");
    return OK;
}

/* start: of model.adapter, or NULL. */
static enum err_code parse_lora(struct json model, const struct lora_spec *start,
                                struct lora_spec *out, struct err *e)
{
    const int64_t default_rank = start ? start->rank : DEFAULT_RANK;
    const double default_alpha = start ? (double)start->alpha : DEFAULT_ALPHA;
    const double default_dropout = start ? (double)start->dropout : DEFAULT_LORA_DROPOUT;
    int64_t rank = 0;
    double alpha = 0, dropout = 0;
    struct json o;
    enum err_code code = json_object_opt(model, "lora", &o, e);
    if (!code)
        code = json_int(o, "rank", 1, LORA_MAX_RANK, &default_rank, &rank, e);
    if (!code)
        code = json_double(o, "alpha", SCENARIO_MIN_LORA_ALPHA, SCENARIO_MAX_LORA_ALPHA,
                           &default_alpha, &alpha, e);
    if (!code)
        code = json_double(o, "dropout", 0, SCENARIO_MAX_DROPOUT, &default_dropout, &dropout, e);
    if (!code)
        code = parse_targets(o, start ? start->targets : LORA_Q | LORA_V, &out->targets, e);
    out->rank = (int)rank;
    out->alpha = (float)alpha;
    out->dropout = (float)dropout;
    if (!code && start)
        code = check_start(o, start, out, e);
    return code ? code : json_finish(o, e);
}

/* model.adapter: a PEFT folder; its adapter_config.json says rank, alpha and targets. */
static enum err_code parse_adapter(struct json o, struct scenario *s, struct lora_spec *start,
                                   struct err *e)
{
    const char *nothing = NULL, *adapter;
    struct scenario_model *m = &s->model;
    enum err_code code = json_string(o, "adapter", &nothing, &adapter, e);
    if (code || !adapter)
        return code;
    if (m->train == SCENARIO_FULL)
        return json_fail(o, "adapter", e, "expected no such key with model.train full");
    code = parse_source(o, "adapter", NULL, true, adapter, s, &m->adapter, e);
    if (code)
        return code;
    struct err why;
    code = peft_load_spec(m->adapter, start, &why);
    return code ? json_fail(o, "adapter", e, "%s", why.text) : OK;
}

/* model.weights: a folder whose config and headers agree, with a tokenizer; adapters of a rank below its width. */
static enum err_code check_weights(struct json o, const struct scenario_model *m, struct err *e)
{
    struct t5_config c;
    struct err why;
    bool is_tied = false;
    if (m->train == SCENARIO_NONE)
        return OK;
    char *tokens = NULL;
    if (t5_folder_check(&c, &is_tied, m->weights, &why) || t5_folder_tokens(&tokens, m->weights, &why))
        return json_fail(o, "weights", e, "%s", why.text);
    mem_free(tokens);
    if (m->train == SCENARIO_FULL && is_tied)
        return json_fail(o, "train", e,
                         "expected lora with a model whose head is tied to its embedding, got full");
    if (m->train == SCENARIO_LORA && m->lora.rank > c.d_model)
        return json_fail(o, "lora.rank", e, "expected at most d_model of model.weights, %d, got %d",
                         c.d_model, m->lora.rank);
    return OK;
}

static enum err_code parse_costs_of(struct json o, struct scenario_model *m, struct scenario *s,
                                    struct err *e)
{
    const char *const *names = t5_config_names();
    size_t n = 0, which = 0;
    while (names[n])
        n++;
    if (!json_has(o, "costs_of"))
        return OK;
    enum err_code code = json_choice(o, "costs_of", names, n, NULL, &which, e);
    if (code)
        return code;
    m->costs_of = arena_strdup(&s->arena, names[which]);
    return t5_config_named(&m->costs, m->costs_of, e);
}

enum err_code scenario_parse_model(struct json root, struct scenario *s, struct err *e)
{
    static const char *const trains[] = {
        [SCENARIO_LORA] = "lora", [SCENARIO_FULL] = "full", [SCENARIO_NONE] = "none"};
    const char *const tiny = "builtin:tiny";
    const size_t lora_first = 0;
    const double default_dropout = DEFAULT_DROPOUT;
    struct scenario_model *m = &s->model;
    struct lora_spec start = {0};
    double dropout = 0;
    const char *weights;
    size_t train = 0;
    struct json o;
    enum err_code code = json_object_opt(root, "model", &o, e);
    if (!code)
        code = json_choice(o, "train", trains, 3, &lora_first, &train, e);
    if (!code)
        code = parse_costs_of(o, m, s, e);
    if (!code)
        code = json_string(o, "weights", &tiny, &weights, e);
    if (code)
        return code;
    m->train = (enum scenario_train)train;
    if (m->train != SCENARIO_NONE || !m->costs_of)
        code = parse_source(o, "weights", tiny, true, weights, s, &m->weights, e);
    if (!code)
        code = parse_adapter(o, s, &start, e);
    if (!code)
        code = parse_lora(o, m->adapter ? &start : NULL, &m->lora, e);
    if (!code)
        code = check_weights(o, m, e);
    if (!code)
        code = json_double(o, "dropout", 0, SCENARIO_MAX_DROPOUT, &default_dropout, &dropout, e);
    m->dropout = (float)dropout;
    return code ? code : json_finish(o, e);
}

/* data.samples and data.heldout: what they mean and default to depends on where samples come from.
 */
static enum err_code parse_amounts(struct json o, const struct scenario *s, struct data_spec *d,
                                   struct err *e)
{
    bool is_generated = is_builtin(d->source);
    const int64_t samples_default = is_generated ? DEFAULT_SAMPLES : 0;
    const int64_t heldout_default = d->validation ? 0 : DEFAULT_HELDOUT;
    int64_t samples = 0, heldout = 0;
    enum err_code code =
        json_int(o, "samples", 1, SCENARIO_MAX_SAMPLES, &samples_default, &samples, e);
    if (code)
        return code;
    if (d->validation && json_has(o, "heldout"))
        return json_fail(o, "heldout", e, "expected no such key beside data.validation");
    code = json_int(o, "heldout", 1, SCENARIO_MAX_SAMPLES, &heldout_default, &heldout, e);
    d->n_train = (size_t)samples;
    d->n_heldout = (size_t)heldout;
    if (!code && s->model.train != SCENARIO_NONE && is_generated && s->split.min_samples > 0 &&
        d->n_train < s->n_clients)
        code = json_fail(o, "samples", e,
                         "expected at least one per client (clients.count is %zu), got %zu",
                         s->n_clients, d->n_train);
    return code;
}

static enum err_code parse_texts(struct json o, struct scenario *s, struct data_spec *d,
                                 struct err *e)
{
    const char *const dialogues = "builtin:dialogues", *const nothing = NULL;
    const char *const summarize = "summarize: ";
    const char *source, *validation, *test, *prefix;
    const bool no = false;
    enum err_code code = json_string(o, "source", &dialogues, &source, e);
    if (!code)
        code = json_string(o, "validation", &nothing, &validation, e);
    if (!code)
        code = json_string(o, "test", &nothing, &test, e);
    if (!code)
        code = json_string(o, "prefix", &summarize, &prefix, e);
    if (!code)
        code = json_bool(o, "skip_empty", &no, &d->skips_empty, e);
    if (code)
        return code;
    d->prefix = arena_strdup(&s->arena, prefix);
    if (s->model.train == SCENARIO_NONE) { /* never opened, so it need not be there */
        d->source = arena_strdup(&s->arena, source);
        d->validation = validation ? arena_strdup(&s->arena, validation) : NULL;
        d->test = test ? arena_strdup(&s->arena, test) : NULL;
        return OK;
    }
    code = parse_source(o, "source", dialogues, false, source, s, &d->source, e);
    if (!code && is_builtin(d->source) && json_has(o, "skip_empty"))
        code = json_fail(o, "skip_empty", e, "expected no such key with data.source %s", d->source);
    if (!code && (validation || test) && is_builtin(d->source))
        code = json_fail(o, validation ? "validation" : "test", e,
                         "expected no such key with data.source %s", d->source);
    if (!code && validation)
        code = parse_source(o, "validation", NULL, false, validation, s, &d->validation, e);
    if (!code && test)
        code = parse_source(o, "test", NULL, false, test, s, &d->test, e);
    return code;
}

enum err_code scenario_parse_data(struct json root, struct scenario *s, struct err *e)
{
    const int64_t default_input = DEFAULT_MAX_INPUT, default_target = DEFAULT_MAX_TARGET;
    struct data_spec *d = &s->data;
    int64_t max_input = 0, max_target = 0;
    struct json o;
    enum err_code code = json_object_opt(root, "data", &o, e);
    if (!code)
        code = parse_texts(o, s, d, e);
    if (!code)
        code = json_int(o, "max_input", MIN_TOKENS, SCENARIO_MAX_TOKENS, &default_input, &max_input,
                        e);
    if (!code)
        code = json_int(o, "max_target", MIN_TOKENS, SCENARIO_MAX_TOKENS, &default_target,
                        &max_target, e);
    if (!code)
        code = split_parse(o, "split", &s->split, e);
    if (code)
        return code;
    d->max_input = (int)max_input;
    d->max_target = (int)max_target;
    d->seed = s->seed;
    s->split.n_clients = s->n_clients;
    s->split.seed = s->seed;
    code = parse_amounts(o, s, d, e);
    return code ? code : json_finish(o, e);
}

/* beams, and with more than one what they are judged by. */
static enum err_code parse_beams(struct json o, struct t5_beams *out, struct err *e)
{
    static const char *const of_beams[] = {"length_penalty", "early_stopping"};
    const int64_t greedy = 1;
    const double one = 1;
    const bool no = false;
    int64_t n_beams = 0;
    double penalty = 1;
    enum err_code code = json_int(o, "beams", 1, T5_MAX_BEAMS, &greedy, &n_beams, e);
    if (code)
        return code;
    for (size_t i = 0; i < 2 && n_beams == 1; i++)
        if (json_has(o, of_beams[i]))
            return json_fail(o, of_beams[i], e, "expected no such key with 1 beam");
    code = json_double(o, "length_penalty", -SCENARIO_MAX_LENGTH_PENALTY,
                       SCENARIO_MAX_LENGTH_PENALTY, &one, &penalty, e);
    if (!code)
        code = json_bool(o, "early_stopping", &no, &out->early_stopping, e);
    out->n_beams = (int)n_beams;
    out->length_penalty = (float)penalty;
    return code;
}

/* evaluate.test: how many samples the run is judged by at its end. */
static enum err_code parse_test(struct json o, struct scenario *s, struct err *e)
{
    bool is_trained = s->model.train != SCENARIO_NONE, has_file = s->data.test != NULL;
    const int64_t by_default = is_trained && has_file ? DEFAULT_EVALUATED : 0;
    int64_t n = 0;
    enum err_code code = json_int(o, "test", 0, SCENARIO_MAX_SAMPLES, &by_default, &n, e);
    if (code)
        return code;
    s->data.n_test = (size_t)n;
    if (n > 0 && !is_trained)
        return json_fail(o, "test", e, "expected 0 with model.train none, got %lld", (long long)n);
    if (n > 0 && !has_file && !is_builtin(s->data.source))
        return json_fail(o, "test", e, "expected 0 without a file data.test, got %lld",
                         (long long)n);
    return OK;
}

enum err_code scenario_parse_evaluate(struct json root, struct scenario *s, struct err *e)
{
    bool is_trained = s->model.train != SCENARIO_NONE;
    size_t heldout = s->data.validation ? SCENARIO_MAX_SAMPLES : s->data.n_heldout;
    const int64_t every_default = is_trained ? DEFAULT_EVERY : 0;
    const int64_t samples_default =
        heldout < DEFAULT_EVALUATED ? (int64_t)heldout : DEFAULT_EVALUATED;
    const int64_t tokens_default =
        s->data.max_target < SCENARIO_MAX_NEW_TOKENS ? s->data.max_target : SCENARIO_MAX_NEW_TOKENS;
    const int64_t batch_default = DEFAULT_EVALUATION_BATCH;
    const bool yes = true;
    int64_t every = 0, samples = 0, tokens = 0, batch = 0;
    struct json o;
    enum err_code code = json_object_opt(root, "evaluate", &o, e);
    if (!code)
        code = json_int(o, "every", 0, SCENARIO_MAX_ROUNDS, &every_default, &every, e);
    if (!code)
        code = json_int(o, "samples", 1, SCENARIO_MAX_SAMPLES, &samples_default, &samples, e);
    if (!code)
        code = json_bool(o, "rouge", &yes, &s->evaluate.has_rouge, e);
    if (!code)
        code =
            json_int(o, "max_new_tokens", 1, SCENARIO_MAX_NEW_TOKENS, &tokens_default, &tokens, e);
    if (!code)
        code = json_int(o, "batch", 1, SCENARIO_MAX_BATCH, &batch_default, &batch, e);
    if (!code)
        code = parse_beams(o, &s->evaluate.beams, e);
    if (!code)
        code = parse_test(o, s, e);
    if (code)
        return code;
    if (is_trained && (size_t)samples > heldout)
        return json_fail(o, "samples", e, "expected at most data.heldout, %zu, got %lld", heldout,
                         (long long)samples);
    if (every > 0 && !is_trained)
        return json_fail(o, "every", e, "expected 0 with model.train none, got %lld",
                         (long long)every);
    s->evaluate.every = (uint32_t)every;
    s->evaluate.samples = (size_t)samples;
    s->evaluate.max_new_tokens = (int)tokens;
    s->evaluate.batch = (int)batch;
    return json_finish(o, e);
}
