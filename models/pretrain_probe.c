#include "models/pretrain_probe.h"

#include <string.h>

#include "models/backend.h"
#include "models/data.h"
#include "models/pack.h"
#include "models/t5.h"
#include "models/tokens.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

enum { MAX_BATCH = 256, EVAL_BATCH = 50, MAX_NEW = 48, MAX_INPUT = 160, MAX_TARGET = 64 };

struct probe {
    const struct probe_spec *spec;
    struct t5 *model;
    struct tokens *tokens;
    struct dataset *train, *heldout;
    struct lora_layout lora;
    struct t5_work *work;
    struct backend *backend;
    struct pack *pack;
    struct evaluator *evaluator;
    void *x, *g, *m, *v; /* backend: adapter, its gradient, AdamW's moments */
    float *host;         /* the adapter */
    struct arena arena;
};

struct probe_spec probe_defaults(void)
{
    return (struct probe_spec){
        .weights = "builtin:tiny",
        .lora = {.rank = 16, .alpha = 32.0f, .dropout = 0.05f, .targets = LORA_Q | LORA_V},
        .n_steps = 1000,
        .batch = 16,
        .n_warmup = 50,
        .lr = 3e-3f,
        .n_train = 4000,
        .n_heldout = 200,
        .eval_every = 250,
        .seed = 1,
        .n_threads = 1,
    };
}

static enum err_code open_data(struct probe *p, struct err *e)
{
    const struct probe_spec *s = p->spec;
    struct data_spec data = {.source = "builtin:dialogues",
                             .prefix = "summarize: ",
                             .max_input = MAX_INPUT,
                             .max_target = MAX_TARGET,
                             .seed = s->seed,
                             .n_train = (size_t)s->n_train,
                             .n_heldout = (size_t)s->n_heldout};
    char *folder = NULL;
    enum err_code code = t5_folder(&folder, s->weights, e);
    if (code)
        return code;
    char *path = file_join(folder, "spiece.model");
    code = tokens_open(&p->tokens, path, e);
    mem_free(path);
    mem_free(folder);
    if (code)
        return code;
    if (tokens_count(p->tokens) > t5_config_of(p->model)->vocab)
        return err_set(e, ERR_INPUT,
                       "%s: expected at most %d pieces, as many as the model has rows", s->weights,
                       t5_config_of(p->model)->vocab);
    if ((code = data_open(&p->train, &p->heldout, &data, e)) ||
        (code = data_tokenise(p->train, p->tokens, &data, e)))
        return code;
    return data_tokenise(p->heldout, p->tokens, &data, e);
}

static enum err_code open_vectors(struct probe *p, struct err *e)
{
    const struct backend_ops *ops = p->backend->ops;
    void **const vector[4] = {&p->x, &p->g, &p->m, &p->v};
    size_t n_bytes = p->lora.size * sizeof(float);
    for (int i = 0; i < 4; i++) {
        enum err_code code = ops->alloc(p->backend, vector[i], n_bytes, "an adapter", e);
        if (code)
            return code;
    }
    p->host = ARENA_NEW(&p->arena, float, p->lora.size);
    lora_init(&p->lora, p->spec->seed, p->host);
    ops->set(p->backend, p->x, p->host, n_bytes);
    return ops->sync(p->backend, e);
}

static enum err_code open_probe(struct probe *p, struct err *e)
{
    const struct probe_spec *s = p->spec;
    enum err_code code;
    if ((code = t5_open(&p->model, backend_find("cpu"), s->weights, e)) || (code = open_data(p, e)))
        return code;
    lora_layout_init(&p->lora, t5_config_of(p->model), &s->lora);
    size_t max_in = (size_t)s->batch * MAX_INPUT, max_out = (size_t)s->batch * MAX_TARGET;
    struct t5_limits limits = {
        .max_members = 1, .max_seqs = s->batch, .max_in = max_in, .max_out = max_out};
    struct eval_spec eval = {.n_samples = (size_t)s->n_heldout,
                             .wants_rouge = true,
                             .max_new_tokens = MAX_NEW,
                             .batch = EVAL_BATCH};
    if ((code = pack_open(&p->pack, 1, s->batch, max_in, max_out, e)) ||
        (code = t5_work_open(&p->work, p->model, T5_ADAPT, &p->lora, &limits, s->n_threads, e)) ||
        (code = evaluator_open(&p->evaluator, p->model, &s->lora, p->tokens, p->heldout, &eval,
                               s->n_threads, e)))
        return code;
    p->backend = t5_work_backend(p->work);
    return open_vectors(p, e);
}

static void close_probe(struct probe *p)
{
    if (p->backend) {
        void *const vector[4] = {p->x, p->g, p->m, p->v};
        for (int i = 0; i < 4; i++)
            p->backend->ops->free(p->backend, vector[i]);
    }
    evaluator_close(p->evaluator);
    t5_work_close(p->work);
    pack_close(p->pack);
    lora_layout_fini(&p->lora);
    data_close(p->train);
    data_close(p->heldout);
    tokens_close(p->tokens);
    t5_close(p->model);
    arena_free(&p->arena);
}

static float rate(const struct probe_spec *s, int step)
{
    if (step <= s->n_warmup)
        return s->lr * (float)step / (float)s->n_warmup;
    return s->lr * (float)(s->n_steps - step + 1) / (float)(s->n_steps - s->n_warmup + 1);
}

static enum err_code take_step(struct probe *p, int step, double *loss, struct err *e)
{
    const struct probe_spec *s = p->spec;
    const struct backend_ops *ops = p->backend->ops;
    double nll[MAX_BATCH];
    pack_clear(p->pack, t5_config_of(p->model)->start_id);
    pack_member(p->pack, 0);
    for (int i = 0; i < s->batch; i++) {
        uint64_t at = rng_below(s->seed, RNG_ORDER, (uint32_t)step, (uint64_t)i, p->train->n);
        const struct sample *x = &p->train->sample[at];
        CHECK(pack_add(p->pack, x->input, x->n_input, x->target, x->n_target));
    }
    pack_finish(p->pack);
    struct t5_pass pass = {.pack = p->pack, .adapters = p->x, .seed = s->seed + (uint64_t)step};
    ops->zero(p->backend, p->g, p->lora.size * sizeof(float));
    enum err_code code = t5_step(p->work, &pass, p->g, nll, e);
    if (code)
        return code;
    *loss = 0.0;
    for (int i = 0; i < s->batch; i++)
        *loss += nll[i];
    *loss /= p->pack->out.n_rows;
    ops->clip(p->backend, 1, p->lora.size, p->g, 1.0f);
    ops->adamw(p->backend, p->lora.size, p->x, p->g, p->m, p->v, rate(s, step), 0.9f, 0.999f, 1e-8f,
               0.0f, step);
    return ops->sync(p->backend, e);
}

static enum err_code evaluate(struct probe *p, int step, double train_loss, struct err *e)
{
    const struct probe_spec *s = p->spec;
    p->backend->ops->get(p->backend, p->host, p->x, p->lora.size * sizeof(float));
    struct eval_result r;
    enum err_code code = evaluator_run(p->evaluator, p->host, &r, e);
    if (code)
        return code;
    if (s->report)
        s->report(s->to, step, train_loss, &r);
    bool is_shown = s->show && (step == 0 || step == s->n_steps);
    for (int i = 0; is_shown && i < s->n_texts && (size_t)i < p->heldout->n; i++)
        s->show(s->to, step, &p->heldout->sample[i], evaluator_text(p->evaluator, (size_t)i));
    return OK;
}

static enum err_code run_steps(struct probe *p, struct err *e)
{
    const struct probe_spec *s = p->spec;
    double sum = 0.0;
    int n = 0;
    enum err_code code = evaluate(p, 0, 0.0, e);
    for (int step = 1; step <= s->n_steps && !code; step++) {
        double loss = 0.0;
        code = take_step(p, step, &loss, e);
        sum += loss;
        n++;
        if (!code && (step == s->n_steps || (s->eval_every > 0 && step % s->eval_every == 0))) {
            code = evaluate(p, step, sum / n, e);
            sum = 0.0;
            n = 0;
        }
    }
    return code;
}

enum err_code probe_run(const struct probe_spec *s, struct err *e)
{
    CHECK(s->batch >= 1 && s->batch <= MAX_BATCH && s->n_steps >= 0);
    struct probe p = {.spec = s};
    enum err_code code = open_probe(&p, e);
    if (!code)
        code = run_steps(&p, e);
    close_probe(&p);
    return code;
}
