/* The whole model against Hugging Face transformers + PEFT: loss, logits, encoder output, every
 * gradient, ten SGD steps, greedy and beam tokens.
 *   test_t5_reference [--backend cuda] [--precision bf16] [FOLDER...]
 * default: cpu, float32, tests/vectors/t5 and the shared small-shape. With bf16 losses only, and the first gradient.
 * How the vectors were made and what they hold: tests/vectors/t5/README.md. */
#include "tests/t5_vectors.h"

enum { N_BEAMS = 4, MAX_NEW = 16 /* of the vectors */ };

static struct t5_work *open_work(struct reference *r, enum t5_mode mode, bool has_lora, int max_new, int n_beams)
{
    struct err e;
    struct t5_work *w;
    const struct t5_limits limits = {
        1, r->pack->max_seqs, r->pack->max_in, r->pack->max_out, max_new, n_beams};
    must(t5_work_open(&w, r->model, mode, has_lora ? &r->lora : NULL, &limits, 2, &e), &e);
    return w;
}

static float *on_backend(struct reference *r, struct t5_work *w, const float *host, size_t n)
{
    struct err e;
    void *p;
    const struct backend_ops *ops = t5_ops(r->model);
    must(ops->alloc(t5_work_backend(w), &p, n * sizeof(float), "a vector", &e), &e);
    if (host)
        ops->set(t5_work_backend(w), p, host, n * sizeof(float));
    return p;
}

static double mean_loss(const struct reference *r, const double *nll)
{
    double sum = 0;
    for (int s = 0; s < r->pack->n_seqs; s++)
        sum += nll[s];
    return sum / r->pack->out.n_rows;
}

/* Everything that our model gives for one adapter. */
struct result {
    double nll[MAX_SEQS], sgd[N_SGD];
    float *enc, *logits, *grad, *after; /* after ten steps */
    int32_t *tokens;                    /* [n_seqs, MAX_NEW] generated, filled up */
};

static void run_forward(struct reference *r, const float *adapter, struct result *out)
{
    struct err e;
    struct t5_work *w = open_work(r, T5_INFER, true, 1, N_BEAMS);
    const struct t5_config *c = t5_config_of(r->model);
    float *x = on_backend(r, w, adapter, r->lora.size);
    struct t5_pass pass = {.pack = r->pack, .adapters = x};
    out->enc = ARENA_NEW(&r->arena, float, (size_t)(r->pack->in.n_rows * c->d_model));
    out->logits = ARENA_NEW(&r->arena, float, (size_t)(r->pack->out.n_rows * c->vocab));
    must(t5_score(w, &pass, out->nll, &e), &e);
    must(t5_encoder_out(w, out->enc, &e), &e);
    must(t5_logits(w, out->logits, &e), &e);
    t5_ops(r->model)->free(t5_work_backend(w), x);
    t5_work_close(w);
}

static void run_training(struct reference *r, const float *adapter, struct result *out)
{
    struct err e;
    struct t5_work *w = open_work(r, T5_ADAPT, true, 0, 0);
    const struct backend_ops *ops = t5_ops(r->model);
    struct backend *b = t5_work_backend(w);
    size_t n = r->lora.size, n_bytes = n * sizeof(float);
    double nll[MAX_SEQS];
    float *x = on_backend(r, w, adapter, n), *g = on_backend(r, w, NULL, n);
    struct t5_pass pass = {.pack = r->pack, .adapters = x, .stride = n};
    out->grad = ARENA_NEW(&r->arena, float, n);
    out->after = ARENA_NEW(&r->arena, float, n);
    for (int step = 0; step < (r->is_brief ? 1 : N_SGD); step++) {
        ops->zero(b, g, n_bytes);
        must(t5_step(w, &pass, g, nll, &e), &e);
        if (step == 0)
            ops->get(b, out->grad, g, n_bytes);
        out->sgd[step] = mean_loss(r, nll);
        if (!r->is_brief)
            ops->sgd(b, n, x, g, NULL, (float)number(r, "sgd_lr"), 0);
    }
    ops->get(b, out->after, x, n_bytes);
    ops->free(b, g);
    ops->free(b, x);
    t5_work_close(w);
}

/* The same tokens come of what t5_score has encoded. */
static void generate_again(struct reference *r, struct t5_work *w, const struct t5_pass *pass,
                           const struct t5_beams *how, int max_new, const int32_t *tokens, const int *n_tokens)
{
    struct err e;
    double nll[MAX_SEQS];
    int n_out[MAX_SEQS];
    struct t5_pass encoded = *pass;
    encoded.is_encoded = true;
    int32_t *out = ARENA_NEW(&r->arena, int32_t, (size_t)(r->pack->n_seqs * max_new));
    must(t5_score(w, pass, nll, &e), &e);
    must(t5_beam(w, &encoded, how, max_new, out, n_out, &e), &e);
    for (int s = 0; s < r->pack->n_seqs; s++) {
        size_t at = (size_t)(s * max_new), n_bytes = (size_t)n_tokens[s] * sizeof(*out);
        bool is_same = n_out[s] == n_tokens[s] && memcmp(out + at, tokens + at, n_bytes) == 0;
        if (!is_same)
            printf("     sequence %d: other tokens after t5_score, %d beams\n", s, how->n_beams);
        r->n_bad += !is_same;
    }
}

/* n_beams 1: greedy, which a work that is planned for it alone does its own way. What follows the end is filled. */
static void run_generation(struct reference *r, const float *adapter, int n_beams, int n_planned, int32_t fill,
                           struct result *out)
{
    struct err e;
    const int max_new = MAX_NEW;
    struct t5_work *w = open_work(r, T5_INFER, true, max_new, n_planned);
    float *x = on_backend(r, w, adapter, r->lora.size);
    struct t5_pass pass = {.pack = r->pack, .adapters = x};
    const struct t5_beams how = {.n_beams = n_beams, .length_penalty = 1};
    int n_out[MAX_SEQS];
    out->tokens = ARENA_NEW(&r->arena, int32_t, (size_t)(r->pack->n_seqs * max_new));
    must(t5_beam(w, &pass, &how, max_new, out->tokens, n_out, &e), &e);
    generate_again(r, w, &pass, &how, max_new, out->tokens, n_out);
    for (int s = 0; s < r->pack->n_seqs; s++) {
        for (int i = n_out[s]; i < max_new; i++)
            out->tokens[s * max_new + i] = fill;
    }
    t5_ops(r->model)->free(t5_work_backend(w), x);
    t5_work_close(w);
}

/* Rows of a packed matrix against rows of a padded one [n_seqs, len, cols]. */
static double padded_error(const struct reference *r, const struct pack_side *side,
                           const float *got, const float *want, size_t len, size_t cols)
{
    double diff = 0, norm = 0;
    for (int s = 0; s < r->pack->n_seqs; s++) {
        for (size_t i = 0; i < (size_t)side->len[s] * cols; i++) {
            double w = (double)want[(size_t)s * len * cols + i];
            diff += pow((double)got[(size_t)side->start[s] * cols + i] - w, 2);
            norm += w * w;
        }
    }
    return sqrt(diff / norm);
}

/* A whole matrix when it is there, else its first and its last row. */
static void check_matrix(struct reference *r, enum what w, const char *const name[3],
                         const struct pack_side *side, const float *got, const float *twin,
                         size_t cols)
{
    const struct weights_tensor *t = weights_find(r->ref, name[0]);
    size_t n = (size_t)side->n_rows * cols;
    double sway = norm_error(twin, got, n, 1e-12);
    if (t) {
        judge(r, w, "", padded_error(r, side, got, values(r, name[0]), t->dim[1], cols), 1e-4,
              sway);
        return;
    }
    judge(r, w, name[1], norm_error(got, values(r, name[1]), cols, 0), 1e-4, sway);
    judge(r, w, name[2], norm_error(got + n - cols, values(r, name[2]), cols, 0), 1e-4, sway);
}

static void check_forward(struct reference *r, const struct result *got, const struct result *twin)
{
    static const char *const enc[] = {"encoder_last_hidden_state", "encoder_first_row",
                                      "encoder_last_row"};
    static const char *const logits[] = {"logits", "logits_first_row", "logits_last_row"};
    const struct t5_config *c = t5_config_of(r->model);
    double loss = mean_loss(r, got->nll);
    judge(r, LOSS, "", relative(loss, number(r, "loss")), 1e-5,
          relative(mean_loss(r, twin->nll), loss));
    const float *want = values(r, "nll_per_sequence");
    double sway = 0; /* of the worst sequence: in one the change may cancel by chance */
    for (int s = 0; s < r->pack->n_seqs; s++)
        sway = fmax(sway, relative(twin->nll[s], got->nll[s]));
    for (int s = 0; want && s < r->pack->n_seqs; s++)
        judge(r, NLL, "", relative(got->nll[s], (double)want[s]), 1e-5, sway);
    if (r->is_brief)
        return;
    check_matrix(r, ENCODER, enc, &r->pack->in, got->enc, twin->enc, (size_t)c->d_model);
    check_matrix(r, LOGITS, logits, &r->pack->out, got->logits, twin->logits, (size_t)c->vocab);
}

/* Every matrix of a flat adapter vector against "PREFIX.NAME", which must be there if is_needed. */
static void check_adapter(struct reference *r, enum what w, const char *prefix, bool is_needed,
                          const float *got, const float *twin, double limit)
{
    const struct t5_config *c = t5_config_of(r->model);
    for (int i = 0; i < 2 * r->lora.n_sites; i++) {
        const struct lora_site *s = &r->lora.site[i / 2];
        char name[200], full[220];
        size_t rank = (size_t)r->lora.spec.rank;
        size_t at = i % 2 ? s->b : s->a, n = rank * (size_t)(i % 2 ? s->d_out : s->d_in);
        lora_site_name(&r->lora, c, i / 2, "AB"[i % 2], name, sizeof(name));
        snprintf(full, sizeof(full), "%s.%s", prefix, name);
        const float *want = values(r, full);
        if (want)
            judge(r, w, name, norm_error(got + at, want, n, 1e-12), limit,
                  norm_error(twin + at, got + at, n, 1e-12));
        else if (is_needed)
            judge(r, w, full, HUGE_VAL, 0, 0);
    }
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow((double)x[i], 2);
    return sqrt(sum);
}

static void check_training(struct reference *r, const struct result *got, const struct result *twin)
{
    struct err e;
    struct json losses;
    double worst_sway = 0;
    if (r->is_brief) {
        double norm = norm_of(got->grad, r->lora.size);
        judge(r, GRADS, "norm", relative(norm, number(r, "grad_norm")), 1e-3,
              relative(norm_of(twin->grad, r->lora.size), norm));
        return;
    }
    check_adapter(r, GRADS, "grad", true, got->grad, twin->grad, r->is_formula ? 1e-3 : 1e-4);
    must(json_array(json_root(r->doc), "sgd_losses", &losses, &e), &e);
    for (int step = 0; step < N_SGD; step++) {
        double want;
        must(json_double(json_at(losses, (size_t)step), NULL, 0, 1e30, NULL, &want, &e), &e);
        worst_sway = fmax(worst_sway, relative(twin->sgd[step], got->sgd[step]));
        judge(r, SGD, "losses", relative(got->sgd[step], want), 1e-4, worst_sway);
    }
    check_adapter(r, AFTER, "after10", false, got->after, twin->after, 1e-4);
}

static void check_full(struct reference *r)
{
    struct err e;
    double nll[MAX_SEQS];
    if (!weights_find(r->ref, "fullgrad.shared.weight"))
        return;
    struct t5_work *w = open_work(r, T5_FULL, false, 0, 0);
    struct backend *b = t5_work_backend(w);
    float *host = ARENA_NEW(&r->arena, float, t5_n_flat(r->model));
    struct t5_pass pass = {.pack = r->pack};
    must(t5_step(w, &pass, NULL, nll, &e), &e);
    judge(r, FULL, "full_loss", relative(mean_loss(r, nll), number(r, "full_loss")), 1e-5, 0);
    t5_ops(r->model)->get(b, host, t5_work_dw(w), t5_n_flat(r->model) * sizeof(float));
    for (size_t i = 0; i < t5_n_tensors(r->model); i++) {
        const struct t5_tensor *t = t5_tensor_at(r->model, i);
        const float *want = values(r, arena_printf(&r->arena, "fullgrad.%s", t->name));
        judge(r, FULL, t->name, want ? norm_error(host + t->at, want, t->n, 1e-12) : HUGE_VAL, 1e-4,
              0);
    }
    t5_work_close(w);
}

/* The adapter after the ten steps, from the file when it has it, else ours. */
static float *trained_adapter(struct reference *r, const struct result *got)
{
    float *x = ARENA_NEW(&r->arena, float, r->lora.size);
    memcpy(x, got->after, r->lora.size * sizeof(*x));
    for (int i = 0; i < 2 * r->lora.n_sites; i++) {
        const struct lora_site *s = &r->lora.site[i / 2];
        char name[200];
        size_t at = i % 2 ? s->b : s->a;
        lora_site_name(&r->lora, t5_config_of(r->model), i / 2, "AB"[i % 2], name, sizeof(name));
        const char *full = arena_printf(&r->arena, "after10.%s", name);
        const struct weights_tensor *t = weights_find(r->ref, full);
        if (t)
            memcpy(x + at, values(r, full), t->n_values * sizeof(*x));
    }
    return x;
}

/* The sequences whose tokens differ from those under key, which begin with the decoder's start; rows end with
 * pads (greedy) or ends (beams), and are as long as the longest. With twin, those that differ from our own
 * twin's as well have no answer to be compared with. */
static int check_tokens(struct reference *r, const char *key, int n_beams, const struct result *got,
                        const struct result *twin)
{
    struct err e;
    struct json rows;
    const struct t5_config *c = t5_config_of(r->model);
    int n_bad = 0, fill = n_beams > 1 ? c->eos_id : c->pad_id;
    must(json_array(json_root(r->doc), key, &rows, &e), &e);
    for (int s = 0; s < r->pack->n_seqs; s++) {
        bool is_same = true, is_twin_same = true;
        struct json row = json_at(rows, (size_t)s);
        for (int i = 0; i < MAX_NEW; i++) {
            int64_t want = fill;
            int at = s * MAX_NEW + i;
            if ((size_t)i + 1 < json_count(row))
                must(json_int(json_at(row, (size_t)i + 1), NULL, 0, INT32_MAX, NULL, &want, &e),
                     &e);
            is_same &= want == got->tokens[at];
            is_twin_same &= !twin || got->tokens[at] == twin->tokens[at];
        }
        n_bad += !is_same;
        r->n_bad += !is_same && is_twin_same;
    }
    return n_bad;
}

/* Most vectors' tokens come after the ten SGD steps, where two float32 trajectories may have parted; those of
 * brief vectors come from the first adapter, so they leave no excuse. */
static int check_generation(struct reference *r, int n_beams, int n_planned, struct result *got, struct result *twin)
{
    const struct t5_config *c = t5_config_of(r->model);
    int32_t fill = n_beams > 1 ? c->eos_id : c->pad_id;
    if (r->is_brief) {
        run_generation(r, r->adapter, n_beams, n_planned, fill, got);
        return check_tokens(r, n_beams > 1 ? "start_beam4" : "start_greedy", n_beams, got, NULL);
    }
    run_generation(r, trained_adapter(r, got), n_beams, n_planned, fill, got);
    run_generation(r, trained_adapter(r, twin), n_beams, n_planned, fill, twin);
    return check_tokens(r, n_beams > 1 ? "beam4" : "greedy", n_beams, got, twin);
}

/* With bfloat16 inside, the vectors (float32) are met to its rounding: losses, and the gradient of the whole
 * adapter, whose small parts cancel. */
static bool check_rounded(const struct backend_ops *ops, const char *folder)
{
    struct reference r;
    struct result got;
    double diff = 0, norm = 0;
    open_reference(&r, ops, folder);
    run_forward(&r, r.adapter, &got);
    run_training(&r, r.adapter, &got);
    judge(&r, LOSS, "", relative(mean_loss(&r, got.nll), number(&r, "loss")), 1e-2, 0);
    const float *nll = values(&r, "nll_per_sequence");
    for (int s = 0; nll && s < r.pack->n_seqs; s++)
        judge(&r, NLL, "", relative(got.nll[s], (double)nll[s]), 3e-2, 0);
    for (int i = 0; i < 2 * r.lora.n_sites; i++) {
        const struct lora_site *s = &r.lora.site[i / 2];
        char name[200];
        size_t at = i % 2 ? s->b : s->a, n = (size_t)(r.lora.spec.rank * (i % 2 ? s->d_out : s->d_in));
        lora_site_name(&r.lora, t5_config_of(r.model), i / 2, "AB"[i % 2], name, sizeof(name));
        const float *want = values(&r, arena_printf(&r.arena, "grad.%s", name));
        for (size_t k = 0; want && k < n; k++) {
            diff += pow((double)got.grad[at + k] - (double)want[k], 2);
            norm += pow((double)want[k], 2);
        }
    }
    judge(&r, GRADS, "", sqrt(diff / norm), 0.1, 0);
    printf("%s %s: loss %.1e nll %.1e grads %.1e\n", r.n_bad ? "FAIL" : "ok  ", folder, r.worst[LOSS], r.worst[NLL],
           r.worst[GRADS]);
    bool is_good = r.n_bad == 0;
    close_reference(&r);
    return is_good;
}

static bool check_folder(const struct backend_ops *ops, const char *folder)
{
    if (ops->value_bytes != sizeof(float))
        return check_rounded(ops, folder);
    struct reference r;
    struct result got, twin;
    open_reference(&r, ops, folder);
    float *nearby = ARENA_NEW(&r.arena, float, r.lora.size);
    for (size_t i = 0; i < r.lora.size; i++)
        nearby[i] = r.adapter[i] * (i % 2 ? 1 + 1e-6f : 1 - 1e-6f);
    run_forward(&r, r.adapter, &got);
    run_forward(&r, nearby, &twin);
    check_forward(&r, &got, &twin);
    run_training(&r, r.adapter, &got);
    run_training(&r, nearby, &twin);
    check_training(&r, &got, &twin);
    check_full(&r);
    int n_bad_greedy = check_generation(&r, 1, 1, &got, &twin);
    int n_bad_planned = check_generation(&r, 1, N_BEAMS, &got, &twin);
    int n_bad_beam = check_generation(&r, N_BEAMS, N_BEAMS, &got, &twin);
    printf("%s %s:", r.n_bad ? "FAIL" : "ok  ", folder);
    for (int w = 0; w < 8; w++) {
        if (r.n_judged[w])
            printf(" %s %.1e", what_names[w], r.worst[w]);
        else
            printf(" %s -", what_names[w]);
    }
    printf("; greedy %d, planned for beams %d, beams %d of %d differ; %d figures beyond the limit, within %d x the "
           "model's own sway\n",
           n_bad_greedy, n_bad_planned, n_bad_beam, r.pack->n_seqs, r.n_swayed, SWAY_FACTOR);
    fflush(stdout);
    bool is_good = r.n_bad == 0;
    close_reference(&r);
    return is_good;
}

int main(int argc, char **argv)
{
    const char *backend = "cpu", *precision = "float32";
    int n_bad = 0;
    for (; argc > 2 && strncmp(argv[1], "--", 2) == 0; argc -= 2, argv += 2)
        *(strcmp(argv[1], "--backend") == 0 ? &backend : &precision) = argv[2];
    const struct backend_ops *ops = backend_with(backend, precision);
    if (!ops) {
        printf("FAIL no backend %s with %s\n", backend, precision);
        return 1;
    }
    lab_skip_unless(ops);
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            n_bad += !check_folder(ops, argv[i]);
        return n_bad > 0;
    }
    n_bad += !check_folder(ops, TEST_VECTORS "/t5/tiny");
    n_bad += !check_folder(ops, TEST_VECTORS "/t5/skew");
    n_bad += !check_folder(ops, TEST_VECTORS "/t5/formula");
    if (file_exists(TEST_SHARED "/reference/small-shape/ref.json"))
        n_bad += !check_folder(ops, TEST_SHARED "/reference/small-shape");
    else
        printf("skip small-shape: %s is not here\n", TEST_SHARED "/reference/small-shape");
    return n_bad > 0;
}
