/* tests/t5_vectors.h: a folder of reference vectors, opened: its model, adapter and batch, the tensors by name, and the
 * judgement of what differs from them. How the vectors were made and what they hold: tests/vectors/t5/README.md. */
#ifndef TESTS_T5_VECTORS_H
#define TESTS_T5_VECTORS_H

#include "models/peft.h"
#include "models/t5.h"
#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "tests/lab_backend.h"
#include "tests/test.h"

enum { MAX_SEQS = 64, N_SGD = 10, SWAY_FACTOR = 10 };

struct reference {
    struct arena arena;
    const char *folder;
    const struct backend_ops *ops;
    struct json_doc *doc;
    struct weights *ref;
    struct t5 *model;
    struct lora_layout lora;
    float *adapter;
    struct pack *pack;
    bool is_formula;
    bool is_brief; /* loss, the gradient's norm and the first adapter's tokens only */
    double worst[8];     /* by enum what */
    int n_judged[8];     /* 0: the file has nothing of the kind */
    int n_swayed, n_bad; /* figures beyond the README's limit within that of a chaotic trajectory; wrong ones */
};

enum what { LOSS, NLL, ENCODER, LOGITS, GRADS, SGD, AFTER, FULL };
static const char *const what_names[] = {"loss",  "nll", "encoder", "logits",
                                         "grads", "sgd", "after10", "fullgrads"};

static inline void must(enum err_code code, const struct err *e)
{
    if (code) {
        printf("FAIL %s\n", e->text);
        exit(1);
    }
}

/* limit is what the vectors' README asks for. sway is what the same quantity does when the adapter
 * changes by 1e-6 of itself, about what rounding does to it: where a trajectory is chaotic
 * (PyTorch's own float32 and float64 part ways by 5e-2 in tiny's ninth SGD loss), no implementation
 * can be held to less. */
static inline void judge(struct reference *r, enum what w, const char *name, double error, double limit,
                  double sway)
{
    r->n_judged[w]++;
    r->worst[w] = fmax(r->worst[w], error);
    r->n_swayed += error > limit && error <= SWAY_FACTOR * sway;
    limit = fmax(limit, SWAY_FACTOR * sway);
    if (!(error <= limit)) {
        if (r->n_bad++ < 10)
            printf("  %s: %s %s: error %.3g, at most %.3g\n", r->folder, what_names[w], name, error,
                   limit);
    }
}

static inline double relative(double got, double want)
{
    return fabs(got - want) / fabs(want);
}

/* |got - want| / |want|, 2-norms; floor keeps a vector of zeros from dividing by nothing. */
static inline double norm_error(const float *got, const float *want, size_t n, double floor)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += pow((double)got[i] - (double)want[i], 2);
        norm += pow((double)want[i], 2);
    }
    return sqrt(diff) / fmax(sqrt(norm), floor);
}

static inline double number(struct reference *r, const char *key)
{
    double v;
    struct err e;
    must(json_double(json_root(r->doc), key, -1e30, 1e30, NULL, &v, &e), &e);
    return v;
}

static inline float *values(struct reference *r, const char *name)
{
    struct err e;
    const struct weights_tensor *t = weights_find(r->ref, name);
    if (!t)
        return NULL;
    float *v = ARENA_NEW(&r->arena, float, t->n_values);
    must(weights_read(r->ref, name, t->n_dims, t->dim, v, &e), &e);
    return v;
}

static const int32_t *ints(struct reference *r, const char *name, size_t *rows, size_t *cols)
{
    const struct weights_tensor *t = weights_find(r->ref, name);
    if (!t || t->type != WEIGHTS_I32 || t->n_dims != 2) {
        printf("FAIL %s: ref.safetensors has no int32 matrix %s\n", r->folder, name);
        exit(1);
    }
    int32_t *v = ARENA_NEW(&r->arena, int32_t, t->n_values);
    memcpy(v, t->bytes, t->n_values * sizeof(*v));
    *rows = t->dim[0];
    *cols = t->dim[1];
    return v;
}

/* All sequences as one member: the loss is the mean over all target tokens of the batch. */
static inline void open_pack(struct reference *r)
{
    struct err e;
    size_t n, s, t;
    const int32_t *input = ints(r, "input_ids", &n, &s), *label = ints(r, "labels", &n, &t);
    CHECK_TRUE(n <= MAX_SEQS);
    const struct t5_config *c = t5_config_of(r->model);
    must(pack_open(&r->pack, 1, (int)n, n * s, n * t, &e), &e);
    pack_clear(r->pack, c->start_id);
    pack_member(r->pack, 0);
    for (size_t i = 0; i < n; i++) {
        int n_in = (int)s, n_out = 0;
        while (n_in > 1 && input[i * s + (size_t)n_in - 1] == c->pad_id)
            n_in--;
        while (n_out < (int)t && label[i * t + (size_t)n_out] >= 0)
            n_out++;
        CHECK_TRUE(pack_add(r->pack, input + i * s, n_in, label + i * t, n_out));
    }
    pack_finish(r->pack);
}

/* A model and an adapter by formula: what ref.json says of it. */
static inline void open_formula(struct reference *r, const char *config)
{
    struct err e;
    struct t5_config c;
    struct json list;
    struct lora_spec s = {.rank = (int)number(r, "r"), .alpha = (float)number(r, "alpha")};
    must(t5_config_load(&c, config, &e), &e);
    must(t5_open_formula(&r->model, r->ops, &c, &e), &e);
    must(json_array(json_root(r->doc), "targets", &list, &e), &e);
    for (size_t i = 0; i < json_count(list); i++) {
        size_t which;
        must(json_choice(json_at(list, i), NULL, lora_target_names(), N_LORA_TARGETS, NULL, &which,
                         &e),
             &e);
        s.targets |= 1u << which;
    }
    lora_layout_init(&r->lora, &c, &s);
    r->adapter = ARENA_NEW(&r->arena, float, r->lora.size);
    for (int i = 0; i < r->lora.n_sites; i++) {
        const struct lora_site *site = &r->lora.site[i];
        size_t n_a = site->b - site->a, n_b = (size_t)(site->d_out * s.rank);
        char name[200];
        lora_site_name(&r->lora, &c, i, 'A', name, sizeof(name));
        t5_formula(name, 0.3 / sqrt(site->d_in), 0, n_a, r->adapter + site->a);
        lora_site_name(&r->lora, &c, i, 'B', name, sizeof(name));
        t5_formula(name, 0.15, 0, n_b, r->adapter + site->b);
    }
}

static inline void open_reference(struct reference *r, const struct backend_ops *ops, const char *folder)
{
    struct err e;
    static const bool no = false;
    struct lora_spec s;
    *r = (struct reference){.folder = folder, .ops = ops};
    struct arena *a = &r->arena;
    must(json_load(&r->doc, arena_printf(a, "%s/ref.json", folder), &e), &e);
    must(weights_open(&r->ref, arena_printf(a, "%s/ref.safetensors", folder), &e), &e);
    must(json_bool(json_root(r->doc), "formula_weights", &no, &r->is_formula, &e), &e);
    r->is_brief = json_has(json_root(r->doc), "start_greedy");
    if (r->is_formula) {
        open_formula(r, arena_printf(a, "%s/model/config.json", folder));
    } else {
        const char *adapter = arena_printf(a, "%s/adapter", folder);
        must(t5_open(&r->model, r->ops, arena_printf(a, "%s/model", folder), &e), &e);
        must(peft_load_spec(adapter, &s, &e), &e);
        s.dropout = 0; /* the vectors were made without */
        lora_layout_init(&r->lora, t5_config_of(r->model), &s);
        r->adapter = ARENA_NEW(a, float, r->lora.size);
        must(peft_load(adapter, t5_config_of(r->model), &s, r->adapter, &e), &e);
    }
    open_pack(r);
}

static inline void close_reference(struct reference *r)
{
    pack_close(r->pack);
    lora_layout_fini(&r->lora);
    t5_close(r->model);
    weights_close(r->ref);
    json_close(r->doc);
    arena_free(&r->arena);
}

#endif
