#include "models/t5_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/shards.h"
#include "models/t5_head.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/rng.h"

enum { ALIGN = 16 };

/* --- the table of tensors --- */

/* Adds a tensor at the end; is_joined: right behind the one before, without padding. */
static size_t add(struct t5 *m, bool is_joined, const char *name, size_t rows, size_t cols)
{
    if (!is_joined)
        m->n_flat = (m->n_flat + ALIGN - 1) / ALIGN * ALIGN;
    struct t5_tensor *t = &m->tensor[m->n_tensors++];
    *t = (struct t5_tensor){.name = name, .n_dims = cols ? 2 : 1, .dim = {rows, cols}};
    t->at = m->n_flat;
    t->n = rows * (cols ? cols : 1);
    m->n_flat += t->n;
    return t->at;
}

static void add_attention(struct t5 *m, const char *prefix, size_t *q, size_t *k, size_t *v,
                          size_t *o)
{
    size_t d = (size_t)m->config.d_model, inner = (size_t)t5_inner(&m->config);
    bool is_cross = strstr(prefix, "EncDec") != NULL;
    *q = add(m, false, arena_printf(&m->arena, "%s.q.weight", prefix), inner, d);
    *k = add(m, !is_cross, arena_printf(&m->arena, "%s.k.weight", prefix), inner, d);
    *v = add(m, true, arena_printf(&m->arena, "%s.v.weight", prefix), inner, d);
    *o = add(m, false, arena_printf(&m->arena, "%s.o.weight", prefix), d, inner);
}

static void add_layer(struct t5 *m, struct t5_layer_at *l, const char *stack, int i)
{
    bool is_decoder = stack[0] == 'd';
    size_t d = (size_t)m->config.d_model, ff = (size_t)m->config.d_ff;
    struct arena *a = &m->arena;
    const char *block = arena_printf(a, "%s.block.%d.layer", stack, i);
    l->norm_self = add(m, false, arena_printf(a, "%s.0.layer_norm.weight", block), d, 0);
    add_attention(m, arena_printf(a, "%s.0.SelfAttention", block), &l->q, &l->k, &l->v, &l->o);
    if (is_decoder) {
        l->norm_cross = add(m, false, arena_printf(a, "%s.1.layer_norm.weight", block), d, 0);
        add_attention(m, arena_printf(a, "%s.1.EncDecAttention", block), &l->cq, &l->ck, &l->cv,
                      &l->co);
    }
    const char *feed = arena_printf(a, "%s.%d", block, is_decoder ? 2 : 1);
    l->norm_ff = add(m, false, arena_printf(a, "%s.layer_norm.weight", feed), d, 0);
    l->wi = add(m, false, arena_printf(a, "%s.DenseReluDense.wi_0.weight", feed), ff, d);
    add(m, true, arena_printf(a, "%s.DenseReluDense.wi_1.weight", feed), ff, d);
    l->wo = add(m, false, arena_printf(a, "%s.DenseReluDense.wo.weight", feed), d, ff);
}

static void add_stack(struct t5 *m, int which, const char *name)
{
    const struct t5_config *c = &m->config;
    struct t5_stack_at *s = &m->stack[which];
    s->n_layers = which ? c->n_dec : c->n_enc;
    s->layer = ARENA_NEW(&m->arena, struct t5_layer_at, (size_t)s->n_layers);
    for (int i = 0; i < s->n_layers; i++)
        add_layer(m, &s->layer[i], name, i);
    s->bias =
        add(m, false,
            arena_printf(&m->arena,
                         "%s.block.0.layer.0.SelfAttention.relative_attention_bias.weight", name),
            (size_t)c->n_buckets, (size_t)c->n_heads);
    s->norm = add(m, false, arena_printf(&m->arena, "%s.final_layer_norm.weight", name),
                  (size_t)c->d_model, 0);
}

enum err_code t5_make(struct t5 **out, const struct backend_ops *ops, int device,
                      const struct t5_config *c, struct err *e)
{
    enum err_code code = t5_config_check(c, e);
    if (!code && ops->value_bytes == 2 && (c->d_model | c->d_kv | c->d_ff) % 8 != 0)
        code = err_set(e, ERR_INPUT,
                       "precision bf16: expected d_model, d_kv and d_ff to be multiples of 8, got %d, %d and %d",
                       c->d_model, c->d_kv, c->d_ff);
    if (code)
        return code;
    struct arena arena = {0};
    struct t5 *m = ARENA_NEW(&arena, struct t5, 1);
    m->arena = arena;
    m->ops = ops;
    m->device = device;
    m->config = *c;
    m->tensor = ARENA_NEW(&m->arena, struct t5_tensor, (size_t)(9 * c->n_enc + 14 * c->n_dec + 6));
    m->shared = add(m, false, "shared.weight", (size_t)c->vocab, (size_t)c->d_model);
    add_stack(m, 0, "encoder");
    add_stack(m, 1, "decoder");
    m->head = add(m, false, "lm_head.weight", (size_t)c->vocab, (size_t)c->d_model);
    m->n_flat = (m->n_flat + ALIGN - 1) / ALIGN * ALIGN;
    CHECK(m->n_tensors == (size_t)(9 * c->n_enc + 14 * c->n_dec + 6));
    void *w = NULL;
    code = ops->open(&m->backend, device, 1, e);
    if (!code)
        code = ops->alloc(m->backend, &w, m->n_flat * sizeof(float), "the model's weights", e);
    m->w = w;
    if (!code && ops->value_bytes != sizeof(float))
        code = ops->alloc(m->backend, &m->values, m->n_flat * ops->value_bytes,
                          "the model's weights for products", e);
    else
        m->values = w;
    if (code)
        t5_close(m);
    else
        *out = m;
    return code;
}

void t5_close(struct t5 *m)
{
    if (!m)
        return;
    if (m->backend) {
        if (m->values != m->w)
            m->ops->free(m->backend, m->values);
        m->ops->free(m->backend, m->w);
        m->ops->close(m->backend);
    }
    struct arena arena = m->arena;
    arena_free(&arena);
}

void t5_narrow(const struct t5 *m, struct backend *b)
{
    if (m->values != m->w)
        m->ops->narrow(b, m->n_flat, m->values, m->w);
}

/* --- looking at it --- */

const struct t5_config *t5_config_of(const struct t5 *m)
{
    return &m->config;
}

const struct backend_ops *t5_ops(const struct t5 *m)
{
    return m->ops;
}

struct backend *t5_backend(const struct t5 *m)
{
    return m->backend;
}

struct hash128 t5_hash(const struct t5 *m)
{
    return m->hash;
}

size_t t5_n_flat(const struct t5 *m)
{
    return m->n_flat;
}

size_t t5_bytes(const struct t5 *m)
{
    return m->n_flat * (sizeof(float) + (m->values != m->w ? m->ops->value_bytes : 0));
}

size_t t5_n_tensors(const struct t5 *m)
{
    return m->n_tensors;
}

const struct t5_tensor *t5_tensor_at(const struct t5 *m, size_t i)
{
    CHECK(i < m->n_tensors);
    return &m->tensor[i];
}

const struct t5_tensor *t5_tensor_find(const struct t5 *m, const char *name)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        if (strcmp(m->tensor[i].name, name) == 0)
            return &m->tensor[i];
    }
    return NULL;
}

const float *t5_weights(const struct t5 *m)
{
    return m->w;
}

const void *t5_values(const struct t5 *m)
{
    return m->values;
}

float *t5_weights_rw(struct t5 *m)
{
    return m->w;
}

void t5_set(struct t5 *m, const struct t5_tensor *t, const float *from_host)
{
    m->ops->set(m->backend, m->w + t->at, from_host, t->n * sizeof(float));
}

void t5_get(const struct t5 *m, const struct t5_tensor *t, float *to_host)
{
    m->ops->get(m->backend, to_host, m->w + t->at, t->n * sizeof(float));
}

enum err_code t5_get_flat(const struct t5 *m, float *to_host, struct err *e)
{
    m->ops->get(m->backend, to_host, m->w, m->n_flat * sizeof(float));
    return m->ops->sync(m->backend, e);
}

enum err_code t5_set_flat(struct t5 *m, const float *from_host, struct err *e)
{
    m->ops->set(m->backend, m->w, from_host, m->n_flat * sizeof(float));
    t5_narrow(m, m->backend);
    return m->ops->sync(m->backend, e);
}

enum err_code t5_open_copy(struct t5 **out, const struct t5 *from, struct err *e)
{
    struct t5 *m = NULL;
    enum err_code code = t5_make(&m, from->ops, from->device, &from->config, e);
    if (code)
        return code;
    m->ops->copy(m->backend, m->w, from->w, m->n_flat * sizeof(float));
    t5_narrow(m, m->backend);
    m->hash = from->hash;
    code = m->ops->sync(m->backend, e);
    if (code)
        t5_close(m);
    else
        *out = m;
    return code;
}

static size_t largest_tensor(const struct t5 *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_tensors; i++)
        n = m->tensor[i].n > n ? m->tensor[i].n : n;
    return n;
}

enum err_code t5_rehash(struct t5 *m, struct err *e)
{
    const struct t5_config *c = &m->config;
    const int32_t ints[] = {c->vocab,        c->d_model, c->d_kv,   c->d_ff,
                            c->n_heads,      c->n_enc,   c->n_dec,  c->n_buckets,
                            c->max_distance, c->pad_id,  c->eos_id, c->start_id};
    void *host;
    enum err_code code = mem_big(&host, largest_tensor(m) * sizeof(float), "a copy of a tensor", e);
    if (code)
        return code;
    struct hash128 h = hash_more((struct hash128){0, 0}, ints, sizeof(ints));
    h = hash_more(h, &c->eps, sizeof(c->eps));
    for (size_t i = 0; i < m->n_tensors; i++) {
        t5_get(m, &m->tensor[i], host);
        h = hash_more(h, host, m->tensor[i].n * sizeof(float));
    }
    mem_free(host);
    t5_narrow(m, m->backend);
    code = m->ops->sync(m->backend, e);
    if (!code)
        m->hash = h;
    return code;
}

/* --- filling it --- */

typedef enum err_code fill_fn(const struct t5 *m, const struct t5_tensor *t, const void *from,
                              float *host, struct err *e);

/* Every tensor from a function, then the hash. Closes m when that fails. */
static enum err_code fill(struct t5 **out, struct t5 *m, fill_fn *fn, const void *from,
                          struct err *e)
{
    void *host = NULL;
    enum err_code code = mem_big(&host, largest_tensor(m) * sizeof(float), "a copy of a tensor", e);
    for (size_t i = 0; !code && i < m->n_tensors; i++) {
        code = fn(m, &m->tensor[i], from, host, e);
        if (!code)
            t5_set(m, &m->tensor[i], host);
    }
    mem_free(host);
    if (!code)
        code = t5_rehash(m, e);
    if (code)
        t5_close(m);
    else
        *out = m;
    return code;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* Hugging Face's T5PreTrainedModel._init_weights with factor 1. */
static double init_std(const struct t5_config *c, const char *name)
{
    double d = c->d_model;
    if (strcmp(name, "shared.weight") == 0 || strcmp(name, "lm_head.weight") == 0)
        return 1;
    if (ends_with(name, ".q.weight"))
        return 1 / sqrt(d * c->d_kv);
    if (ends_with(name, ".o.weight"))
        return 1 / sqrt((double)t5_inner(c));
    if (ends_with(name, ".wo.weight"))
        return 1 / sqrt((double)c->d_ff);
    return 1 / sqrt(d);
}

static enum err_code from_seed(const struct t5 *m, const struct t5_tensor *t, const void *from,
                               float *host, struct err *e)
{
    const uint64_t *seed = from;
    uint32_t owner = (uint32_t)(t - m->tensor);
    double std = init_std(&m->config, t->name);
    (void)e;
    for (size_t i = 0; i < t->n; i++)
        host[i] =
            t->n_dims == 1 ? 1.0f : (float)(std * rng_normal(*seed, RNG_INIT_WEIGHTS, owner, i));
    return OK;
}

enum err_code t5_open_random(struct t5 **out, const struct backend_ops *ops,
                             const struct t5_config *c, uint64_t seed, struct err *e)
{
    struct t5 *m = NULL;
    enum err_code code = t5_make(&m, ops, 0, c, e);
    return code ? code : fill(out, m, from_seed, &seed, e);
}

/* A prime, so that rows of a matrix differ. */
enum { CHEAP_TABLE = 8191 };

enum err_code t5_open_cheap(struct t5 **out, const struct backend_ops *ops, const struct t5_config *c,
                            struct err *e)
{
    struct t5 *m = NULL;
    struct arena scratch = {0};
    void *memory = NULL;
    enum err_code code = t5_make(&m, ops, 0, c, e);
    if (code)
        return code;
    double *table = ARENA_NEW(&scratch, double, CHEAP_TABLE);
    for (size_t i = 0; i < CHEAP_TABLE; i++)
        table[i] = rng_normal(1, RNG_INIT_WEIGHTS, 0, i);
    code = mem_big(&memory, largest_tensor(m) * sizeof(float), "a copy of a tensor", e);
    float *host = memory;
    for (size_t k = 0; !code && k < m->n_tensors; k++) {
        const struct t5_tensor *t = &m->tensor[k];
        double std = init_std(c, t->name);
        for (size_t i = 0; i < t->n; i++)
            host[i] = t->n_dims == 1 ? 1.0f : (float)(std * table[(i + k) % CHEAP_TABLE]);
        t5_set(m, t, host);
    }
    if (!code) {
        t5_narrow(m, m->backend);
        code = ops->sync(m->backend, e);
    }
    mem_free(memory);
    arena_free(&scratch);
    if (code)
        t5_close(m);
    else
        *out = m;
    return code;
}

/* By way of the host, so that no device need reach another's memory. */
enum err_code t5_open_replica(struct t5 **out, const struct t5 *from, int device, struct err *e)
{
    struct t5 *m = NULL;
    void *host = NULL;
    enum err_code code = t5_make(&m, from->ops, device, &from->config, e);
    if (code)
        return code;
    code = mem_big(&host, largest_tensor(m) * sizeof(float), "a copy of a tensor", e);
    for (size_t i = 0; !code && i < m->n_tensors; i++) {
        t5_get(from, &from->tensor[i], host);
        t5_set(m, &m->tensor[i], host);
    }
    mem_free(host);
    if (!code)
        code = from->ops->sync(from->backend, e);
    if (!code) {
        m->hash = from->hash;
        t5_narrow(m, m->backend);
        code = m->ops->sync(m->backend, e);
    }
    if (code)
        t5_close(m);
    else
        *out = m;
    return code;
}

static enum err_code from_formula(const struct t5 *m, const struct t5_tensor *t, const void *from,
                                  float *host, struct err *e)
{
    double std = 1 / sqrt((double)t->dim[1]), offset = 0;
    (void)m;
    (void)from;
    (void)e;
    if (t->n_dims == 1) {
        std = 0.1;
        offset = 1;
    } else if (ends_with(t->name, "relative_attention_bias.weight")) {
        std = 0.5;
    } else if (strcmp(t->name, "shared.weight") == 0) {
        std = 1;
    } else if (strstr(t->name, ".q.") && !strstr(t->name, "EncDec")) {
        std *= 0.7;
    }
    t5_formula(t->name, std, offset, t->n, host);
    return OK;
}

enum err_code t5_open_formula(struct t5 **out, const struct backend_ops *ops,
                              const struct t5_config *c, struct err *e)
{
    struct t5 *m = NULL;
    enum err_code code = t5_make(&m, ops, 0, c, e);
    return code ? code : fill(out, m, from_formula, NULL, e);
}

/* A model folder's tensors, and where its head is. */
struct source {
    struct shards *file;
    struct t5_head head;
};

static enum err_code from_file(const struct t5 *m, const struct t5_tensor *t, const void *from,
                               float *host, struct err *e)
{
    const struct source *s = from;
    if (strcmp(t->name, "lm_head.weight") == 0)
        return t5_head_read(&s->head, &m->config, s->file, host, e);
    const char *name = strcmp(t->name, "shared.weight") == 0 ? t5_embedding_name(s->file) : t->name;
    return shards_read(s->file, name, t->n_dims, t->dim, host, e);
}

/* Old files repeat `shared` under the stacks' own names; the first converters gave cross-attention a position
 * bias, which no T5 uses and transformers leaves out, too. */
static enum err_code refuse_strangers(const struct t5 *m, const struct shards *file, struct err *e)
{
    for (size_t i = 0; i < shards_count(file); i++) {
        const char *name = shards_name_at(file, i);
        if (!t5_tensor_find(m, name) && !ends_with(name, "coder.embed_tokens.weight") &&
            strcmp(name, "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight") != 0)
            return err_set(e, ERR_INPUT, "%s: %s is no tensor of this model",
                           shards_path_at(file, i), name);
    }
    return OK;
}

enum err_code t5_open(struct t5 **out, const struct backend_ops *ops, const char *weights,
                      struct err *e)
{
    char *folder = NULL, *config = NULL;
    struct source s = {0};
    struct t5 *m = NULL;
    struct t5_config c;
    enum err_code code = t5_folder(&folder, weights, e);
    if (code)
        return code;
    config = file_join(folder, "config.json");
    code = t5_config_load(&c, config, e);
    if (!code)
        code = shards_open(&s.file, folder, e);
    if (!code)
        code = t5_head_find(&s.head, config, &c, s.file, e);
    if (!code)
        code = t5_make(&m, ops, 0, &c, e);
    if (!code)
        code = refuse_strangers(m, s.file, e);
    if (!code)
        code = fill(out, m, from_file, &s, e);
    else
        t5_close(m);
    shards_close(s.file);
    mem_free(config);
    mem_free(folder);
    return code;
}

enum err_code t5_save(const struct t5 *m, const char *folder, enum weights_type type, struct err *e)
{
    struct arena scratch = {0};
    struct weights_item *item = ARENA_NEW(&scratch, struct weights_item, m->n_tensors);
    void *host = NULL;
    size_t at = 0;
    char *config = file_join(folder, "config.json"),
         *values = file_join(folder, "model.safetensors");
    enum err_code code = mem_big(&host, m->n_flat * sizeof(float), "a copy of the weights", e);
    for (size_t i = 0; !code && i < m->n_tensors; i++) {
        const struct t5_tensor *t = &m->tensor[i];
        t5_get(m, t, (float *)host + at);
        item[i] =
            (struct weights_item){t->name, t->n_dims, {t->dim[0], t->dim[1]}, (float *)host + at};
        at += t->n;
    }
    if (!code)
        code = m->ops->sync(m->backend, e);
    if (!code)
        code = t5_config_save(&m->config, config, e);
    if (!code)
        code = weights_save(values, item, m->n_tensors, type, e);
    mem_free(host);
    mem_free(values);
    mem_free(config);
    arena_free(&scratch);
    return code;
}
