#include "models/pretrain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/backend.h"
#include "models/pack.h"
#include "models/pretrain_data.h"
#include "models/pretrain_state.h"
#include "models/t5.h"
#include "models/tokens.h"
#include "models/vocab.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

/* Rows that a pack holds per example; a step's last examples are left out when they do not fit. */
enum { ROWS_IN = 112, ROWS_OUT = 56 };

/* Against contents that score around 0 at the start, e^5 = 148 gives the neighbour most of the
 * weight. */
#define NEIGHBOUR_BIAS 5.0f

struct pretrain_spec pretrain_defaults(void)
{
    return (struct pretrain_spec){
        .config = {.d_model = 128,
                   .d_kv = 32,
                   .d_ff = 256,
                   .n_heads = 4,
                   .n_enc = 3,
                   .n_dec = 3,
                   .n_buckets = 32,
                   .max_distance = 128,
                   .eps = 1e-6f,
                   .dropout = 0.0f,
                   .pad_id = TOKEN_PAD,
                   .eos_id = TOKEN_EOS,
                   .start_id = TOKEN_PAD},
        .n_steps = 2600,
        .batch = 32,
        .n_warmup = 100,
        .lr = 1.5e-3f,
        .beta1 = 0.9f,
        .beta2 = 0.98f,
        .epsilon = 1e-8f,
        .weight_decay = 0.01f,
        .max_norm = 1.0f,
        .seed = 1,
        .n_threads = 1,
        .checkpoint_every = 200,
    };
}

float pretrain_lr(const struct pretrain_spec *s, int step)
{
    if (step <= s->n_warmup)
        return s->lr * (float)step / (float)s->n_warmup;
    return s->lr * (float)(s->n_steps - step + 1) / (float)(s->n_steps - s->n_warmup + 1);
}

/* Everything that a run holds. */
struct run {
    const struct pretrain_spec *spec;
    struct t5_config config;
    struct tokens *tokens;
    struct t5 *model;
    struct t5_work *work;
    struct backend *backend;
    struct pack *pack;
    struct pretrain_state state; /* host: losses, and the vectors when they are saved or loaded */
    void *m, *v;                 /* backend: AdamW's moments */
    size_t n;                    /* values of a vector */
};

static enum err_code write_vocabulary(struct run *r, struct hash128 *hash, struct err *e)
{
    struct arena a = {0};
    struct vocab *v = vocab_open();
    size_t n_bytes;
    int n_pieces;
    pretrain_vocab(v);
    unsigned char *bytes = vocab_model(v, &a, &n_bytes, &n_pieces);
    vocab_close(v);
    *hash = hash_bytes(bytes, n_bytes);
    char *path = file_join(r->spec->folder, "spiece.model");
    enum err_code code = file_replace(path, bytes, n_bytes, e);
    if (!code)
        code = tokens_open(&r->tokens, path, e);
    mem_free(path);
    arena_free(&a);
    r->config = r->spec->config;
    r->config.vocab = n_pieces + PRETRAIN_SENTINELS;
    return code;
}

static const struct t5_tensor *tensor(const struct t5 *m, const char *stack, int layer, int place,
                                      const char *attention, const char *matrix)
{
    char name[128];
    snprintf(name, sizeof(name), "%s.block.%d.layer.%d.%s.%s.weight", stack, layer, place,
             attention, matrix);
    const struct t5_tensor *t = t5_tensor_find(m, name);
    CHECK(t && t->n_dims == 2);
    return t;
}

/* o = v^T, so that what is attended to comes out as it went in. */
static void tie_output(struct t5 *m, const char *stack, int layer, int place, const char *attention,
                       float *from, float *to)
{
    const struct t5_tensor *v = tensor(m, stack, layer, place, attention, "v");
    const struct t5_tensor *o = tensor(m, stack, layer, place, attention, "o");
    t5_get(m, v, from);
    for (size_t i = 0; i < v->dim[0]; i++)
        for (size_t j = 0; j < v->dim[1]; j++)
            to[j * v->dim[0] + i] = from[i * v->dim[1] + j];
    t5_set(m, o, to);
}

static void scale(float *x, size_t n, double factor)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] * factor);
}

/* Head i of a stack looks at one neighbour from the start: bias NEIGHBOUR_BIAS in bucket[i]. Below
 * a distance of 8 each has a bucket of its own (models/t5_bucket.h), keys after the query 16
 * further. */
static void point_heads(struct t5 *m, const char *stack, const int *bucket, int n, float *table)
{
    char name[128];
    snprintf(name, sizeof(name), "%s.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
             stack);
    const struct t5_tensor *t = t5_tensor_find(m, name);
    CHECK(t && t->n_dims == 2);
    int n_heads = (int)t->dim[1], n_buckets = (int)t->dim[0];
    t5_get(m, t, table);
    for (int head = 0; head < n && head < n_heads; head++)
        if (bucket[head] < n_buckets)
            table[bucket[head] * n_heads + head] = NEIGHBOUR_BIAS;
    t5_set(m, t, table);
}

/* The four changes to the usual start, see the top of pretrain.h. */
static void set_start_values(struct run *r)
{
    struct arena a = {0};
    struct t5 *m = r->model;
    const struct t5_tensor *shared = t5_tensor_find(m, "shared.weight");
    const struct t5_tensor *head = t5_tensor_find(m, "lm_head.weight");
    CHECK(shared && head && head->n == shared->n);
    size_t n = (size_t)r->config.d_model * (size_t)t5_inner(&r->config);
    float *from = ARENA_NEW(&a, float, n > shared->n ? n : shared->n),
          *to = ARENA_NEW(&a, float, n);
    double d = r->config.d_model;
    t5_get(m, shared, from);
    scale(from, shared->n, pow(d, -0.5));
    t5_set(m, head, from);
    for (int i = 0; i < r->config.n_enc; i++)
        tie_output(m, "encoder", i, 0, "SelfAttention", from, to);
    for (int i = 0; i < r->config.n_dec; i++) {
        tie_output(m, "decoder", i, 0, "SelfAttention", from, to);
        tie_output(m, "decoder", i, 1, "EncDecAttention", from, to);
        t5_get(m, tensor(m, "decoder", i, 1, "EncDecAttention", "k"), from);
        scale(from, n, pow(d, -0.25));
        t5_set(m, tensor(m, "decoder", i, 1, "EncDecAttention", "q"), from);
    }
    static const int before_and_after[] = {1, 17}, before[] = {1};
    point_heads(m, "encoder", before_and_after, 2, from);
    point_heads(m, "decoder", before, 1, from);
    arena_free(&a);
}

static enum err_code open_run(struct run *r, struct err *e)
{
    const struct pretrain_spec *s = r->spec;
    struct hash128 vocabulary;
    enum err_code code;
    if ((code = file_make_folder(s->folder, e)) || (code = write_vocabulary(r, &vocabulary, e)) ||
        (code = t5_open_random(&r->model, backend_find("cpu"), &r->config, s->seed, e)))
        return code;
    set_start_values(r);
    r->n = t5_n_flat(r->model);
    size_t max_in = (size_t)s->batch * ROWS_IN, max_out = (size_t)s->batch * ROWS_OUT;
    struct t5_limits limits = {
        .max_members = 1, .max_seqs = s->batch, .max_in = max_in, .max_out = max_out};
    if ((code = pack_open(&r->pack, 1, s->batch, max_in, max_out, e)) ||
        (code = t5_work_open(&r->work, r->model, T5_FULL, NULL, &limits, s->n_threads, e)))
        return code;
    r->backend = t5_work_backend(r->work);
    const struct backend_ops *ops = r->backend->ops;
    if ((code = ops->alloc(r->backend, &r->m, r->n * sizeof(float), "first moments", e)) ||
        (code = ops->alloc(r->backend, &r->v, r->n * sizeof(float), "second moments", e)))
        return code;
    return pretrain_state_init(&r->state, s, vocabulary, r->n, e);
}

static void close_run(struct run *r)
{
    if (r->backend) {
        r->backend->ops->free(r->backend, r->m);
        r->backend->ops->free(r->backend, r->v);
    }
    t5_work_close(r->work);
    pack_close(r->pack);
    t5_close(r->model);
    tokens_close(r->tokens);
    pretrain_state_fini(&r->state);
}

static enum err_code save_checkpoint(struct run *r, struct err *e)
{
    const struct backend_ops *ops = r->backend->ops;
    size_t n_bytes = r->n * sizeof(float);
    ops->get(r->backend, r->state.weights, t5_weights(r->model), n_bytes);
    ops->get(r->backend, r->state.m, r->m, n_bytes);
    ops->get(r->backend, r->state.v, r->v, n_bytes);
    enum err_code code = ops->sync(r->backend, e);
    return code ? code : pretrain_state_save(&r->state, r->spec->folder, e);
}

static enum err_code load_checkpoint(struct run *r, struct err *e)
{
    const struct backend_ops *ops = r->backend->ops;
    size_t n_bytes = r->n * sizeof(float);
    enum err_code code = pretrain_state_load(&r->state, r->spec->folder, e);
    if (code)
        return code;
    ops->set(r->backend, t5_weights_rw(r->model), r->state.weights, n_bytes);
    ops->set(r->backend, r->m, r->state.m, n_bytes);
    ops->set(r->backend, r->v, r->state.v, n_bytes);
    return ops->sync(r->backend, e);
}

static enum err_code fill_pack(struct run *r, int step, struct err *e)
{
    struct arena a = {0};
    enum err_code code = OK;
    pack_clear(r->pack, r->config.start_id);
    pack_member(r->pack, 0);
    for (int i = 0; i < r->spec->batch && !code; i++) {
        struct example x;
        code = pretrain_example(&x, r->spec->seed, (uint32_t)step, (uint32_t)i, r->tokens,
                                r->config.vocab, &a, e);
        if (!code)
            (void)pack_add(r->pack, x.input, x.n_input, x.target, x.n_target);
    }
    pack_finish(r->pack);
    arena_free(&a);
    return code;
}

static enum err_code take_step(struct run *r, int step, struct err *e)
{
    const struct pretrain_spec *s = r->spec;
    const struct backend_ops *ops = r->backend->ops;
    float *dw = t5_work_dw(r->work);
    double nll[PRETRAIN_MAX_BATCH], sum = 0.0;
    struct t5_pass pass = {.pack = r->pack};
    ops->zero(r->backend, dw, r->n * sizeof(float));
    enum err_code code = fill_pack(r, step, e);
    if (!code)
        code = t5_step(r->work, &pass, NULL, nll, e);
    if (code)
        return code;
    for (int i = 0; i < r->pack->n_seqs; i++)
        sum += nll[i];
    double loss = sum / r->pack->out.n_rows;
    if (!isfinite(loss))
        return err_set(e, ERR_INTERNAL, "the loss of step %d is not finite", step);
    ops->clip(r->backend, 1, r->n, dw, s->max_norm);
    ops->adamw(r->backend, r->n, t5_weights_rw(r->model), dw, r->m, r->v, pretrain_lr(s, step),
               s->beta1, s->beta2, s->epsilon, s->weight_decay, step);
    pretrain_state_add(&r->state, loss, r->pack->in.n_rows + r->pack->out.n_rows);
    return ops->sync(r->backend, e);
}

static bool report(const struct run *r, int step)
{
    const struct pretrain_spec *s = r->spec;
    return !s->report ||
           s->report(s->to, step, r->state.loss[step - 1], r->state.n_tokens[step - 1]);
}

static enum err_code finish(struct run *r, struct err *e)
{
    enum err_code code = t5_rehash(r->model, e);
    if (!code)
        code = t5_save(r->model, r->spec->folder,
                       r->spec->is_float32 ? WEIGHTS_F32 : WEIGHTS_BF16, e);
    return code ? code : pretrain_state_remove(r->spec->folder, e);
}

static enum err_code run_steps(struct run *r, struct err *e)
{
    const struct pretrain_spec *s = r->spec;
    for (int step = 1; step <= r->state.step; step++)
        report(r, step);
    while (r->state.step < s->n_steps) {
        int step = r->state.step + 1;
        enum err_code code = take_step(r, step, e);
        if (code)
            return code;
        bool goes_on = report(r, step);
        bool is_due = s->checkpoint_every > 0 && step % s->checkpoint_every == 0;
        if (step < s->n_steps && (!goes_on || step == s->stop_after || is_due)) {
            code = save_checkpoint(r, e);
            if (code || step == s->stop_after)
                return code;
        }
        if (!goes_on)
            return err_set(e, ERR_INTERRUPTED, "stopped after step %d", step);
    }
    return finish(r, e);
}

enum err_code pretrain_run(const struct pretrain_spec *s, struct err *e)
{
    CHECK(s->folder && s->batch >= 1 && s->batch <= PRETRAIN_MAX_BATCH);
    CHECK(s->n_steps >= 1 && s->n_steps <= PRETRAIN_MAX_STEPS && s->n_warmup >= 0);
    struct run r = {.spec = s};
    enum err_code code = open_run(&r, e);
    if (!code && s->is_resumed)
        code = load_checkpoint(&r, e);
    if (!code)
        code = run_steps(&r, e);
    close_run(&r);
    return code;
}
