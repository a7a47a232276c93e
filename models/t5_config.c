#include "models/t5_config.h"

#include <string.h>

#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/base/text.h"

enum { N_NAMED = 4 };

static const char *const names[N_NAMED + 1] = {"flan-t5-small", "flan-t5-base", "flan-t5-large",
                                               "flan-t5-xl", NULL};

/* Rows of `names`: google/flan-t5-*, config.json. */
static const struct t5_config named[N_NAMED] = {
    {32128, 512, 64, 1024, 6, 8, 8, 32, 128, 1e-6f, 0.1f, 0, 1, 0},
    {32128, 768, 64, 2048, 12, 12, 12, 32, 128, 1e-6f, 0.1f, 0, 1, 0},
    {32128, 1024, 64, 2816, 16, 24, 24, 32, 128, 1e-6f, 0.1f, 0, 1, 0},
    {32128, 2048, 64, 5120, 32, 24, 24, 32, 128, 1e-6f, 0.1f, 0, 1, 0},
};

const char *const *t5_config_names(void)
{
    return names;
}

enum err_code t5_config_named(struct t5_config *out, const char *name, struct err *e)
{
    for (int i = 0; i < N_NAMED; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = named[i];
            return OK;
        }
    }
    const char *near = text_nearest(name, names, N_NAMED);
    return err_set(e, ERR_INPUT, "expected flan-t5-small, -base, -large or -xl, got \"%s\"%s%s%s",
                   name, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* The integer fields of config.json, with their limits: one table for reading, checking and
 * writing. */
struct field {
    const char *key;
    size_t at;
    int lo, hi;
    int fallback; /* < lo: the key must be there */
};

#define AT(member) offsetof(struct t5_config, member)
static const struct field fields[] = {
    {"vocab_size", AT(vocab), 4, T5_MAX_VOCAB, -1},
    {"d_model", AT(d_model), 1, T5_MAX_D_MODEL, -1},
    {"d_kv", AT(d_kv), 1, T5_MAX_D_KV, -1},
    {"d_ff", AT(d_ff), 1, T5_MAX_D_FF, -1},
    {"num_heads", AT(n_heads), 1, T5_MAX_HEADS, -1},
    {"num_layers", AT(n_enc), 1, T5_MAX_LAYERS, -1},
    {"num_decoder_layers", AT(n_dec), 1, T5_MAX_LAYERS, -1},
    {"relative_attention_num_buckets", AT(n_buckets), 4, T5_MAX_BUCKETS, 32},
    {"relative_attention_max_distance", AT(max_distance), 2, T5_MAX_DISTANCE, 128},
    {"pad_token_id", AT(pad_id), 0, T5_MAX_VOCAB - 1, 0},
    {"eos_token_id", AT(eos_id), 0, T5_MAX_VOCAB - 1, 1},
    {"decoder_start_token_id", AT(start_id), 0, T5_MAX_VOCAB - 1, 0},
};
#undef AT
enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

static int field_get(const struct t5_config *c, const struct field *f)
{
    int v;
    memcpy(&v, (const char *)c + f->at, sizeof(v));
    return v;
}

static void field_set(struct t5_config *c, const struct field *f, int v)
{
    memcpy((char *)c + f->at, &v, sizeof(v));
}

enum err_code t5_config_check(const struct t5_config *c, struct err *e)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        int v = field_get(c, f);
        if (v < f->lo || v > f->hi)
            return err_set(e, ERR_INPUT, "%s: expected %d..%d, got %d", f->key, f->lo, f->hi, v);
    }
    if (c->n_buckets % 4)
        return err_set(e, ERR_INPUT,
                       "relative_attention_num_buckets: expected a multiple of 4, got %d",
                       c->n_buckets);
    if (c->max_distance <= c->n_buckets / 2)
        return err_set(
            e, ERR_INPUT,
            "relative_attention_max_distance: expected more than half of the %d buckets, got %d",
            c->n_buckets, c->max_distance);
    if (c->pad_id >= c->vocab || c->eos_id >= c->vocab || c->start_id >= c->vocab)
        return err_set(
            e, ERR_INPUT,
            "pad, eos and decoder start: expected ids below vocab_size %d, got %d, %d, %d",
            c->vocab, c->pad_id, c->eos_id, c->start_id);
    if (!(c->eps > 0 && c->eps < 1))
        return err_set(e, ERR_INPUT,
                       "layer_norm_epsilon: expected more than 0, less than 1, got %g",
                       (double)c->eps);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return err_set(e, ERR_INPUT, "dropout_rate: expected 0 to less than 1, got %g",
                       (double)c->dropout);
    return OK;
}

/* The parts of config.json that say what kind of model it is. */
static enum err_code read_kind(struct json root, struct err *e)
{
    static const char *const types[] = {"t5", "mt5"};
    static const char *const relu = "relu";
    const char *act = NULL;
    size_t type;
    enum err_code code = json_choice(root, "model_type", types, 2, NULL, &type, e);
    if (!code)
        code = json_string(root, "feed_forward_proj", &relu, &act, e);
    if (code)
        return code;
    if (strcmp(act, "gated-gelu") != 0)
        return json_fail(root, "feed_forward_proj", e,
                         "expected \"gated-gelu\" (T5 v1.1), got \"%.40s\"%s", act,
                         strcmp(act, relu) == 0 ? ", which is T5 v1.0: take its google/t5-v1_1 or "
                                                  "google/flan-t5 sibling"
                                                : "");
    return OK;
}

static enum err_code read_numbers(struct t5_config *c, struct json root, struct err *e)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        int64_t v, fallback = f->fallback;
        if (f->at == offsetof(struct t5_config, n_dec))
            fallback = c->n_enc;
        enum err_code code =
            json_int(root, f->key, f->lo, f->hi, fallback >= f->lo ? &fallback : NULL, &v, e);
        if (code)
            return code;
        field_set(c, f, (int)v);
    }
    double eps = 1e-6, dropout = 0.1;
    enum err_code code = json_double(root, "layer_norm_epsilon", 1e-12, 0.1, &eps, &eps, e);
    if (!code)
        code = json_double(root, "dropout_rate", 0, 0.99, &dropout, &dropout, e);
    c->eps = (float)eps;
    c->dropout = (float)dropout;
    return code;
}

enum err_code t5_config_load(struct t5_config *out, const char *path, struct err *e)
{
    struct json_doc *doc = NULL;
    struct t5_config c = {0};
    enum err_code code = json_load(&doc, path, e);
    if (code)
        return code;
    struct json root = json_root(doc);
    if (!json_is_object(root))
        code = err_set(e, ERR_INPUT, "%s: expected an object", path);
    if (!code)
        code = read_kind(root, e);
    if (!code)
        code = read_numbers(&c, root, e);
    if (!code) {
        code = t5_config_check(&c, e);
        if (code)
            err_in(e, code, "%s", path);
    }
    if (!code)
        *out = c;
    json_close(doc);
    return code;
}

enum err_code t5_config_save(const struct t5_config *c, const char *path, struct err *e)
{
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    json_out_begin_inline(&o, "architectures", '[');
    json_out_string(&o, NULL, "T5ForConditionalGeneration");
    json_out_end(&o, ']');
    json_out_string(&o, "model_type", "t5");
    json_out_bool(&o, "is_encoder_decoder", true);
    json_out_string(&o, "feed_forward_proj", "gated-gelu");
    json_out_string(&o, "dense_act_fn", "gelu_new");
    json_out_bool(&o, "is_gated_act", true);
    json_out_bool(&o, "tie_word_embeddings", false);
    for (size_t i = 0; i < N_FIELDS; i++)
        json_out_int(&o, fields[i].key, field_get(c, &fields[i]));
    json_out_float(&o, "layer_norm_epsilon", c->eps);
    json_out_float(&o, "dropout_rate", c->dropout);
    json_out_end(&o, '}');
    enum err_code code = file_replace(path, o.text, o.n, e);
    json_out_fini(&o);
    return code;
}

int t5_inner(const struct t5_config *c)
{
    return c->d_kv * c->n_heads;
}

size_t t5_parameters(const struct t5_config *c)
{
    size_t d = (size_t)c->d_model, inner = (size_t)t5_inner(c), ff = (size_t)c->d_ff;
    size_t attention = 4 * d * inner + d, feed = 3 * d * ff + d;  /* with the norm before each */
    size_t stack = (size_t)c->n_buckets * (size_t)c->n_heads + d; /* position bias, final norm */
    return 2 * (size_t)c->vocab * d + (size_t)c->n_enc * (attention + feed) +
           (size_t)c->n_dec * (2 * attention + feed) + 2 * stack;
}
