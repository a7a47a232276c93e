/* Operations of a backend against references in double; gradients against central differences. Attention is
 * in test_attention.c, adapters in test_lora.c. With --bench: [THREADS], prints the speed of each. */
#include "models/cpu_math.h"
#include "tests/ops.h"
#include "tests/ops_work.h"

/* What the references below share: inputs x, w, y of [n, d] or as the operation says, and the weight of each
 * output in the loss. */
struct reference {
    int n, d, m;
    double *x, *w, *weight, *out;
    double eps;
    const struct dropout *drop;
    const int32_t *label;
};

static double weigh(const struct reference *r, size_t n)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += r->weight[i] * r->out[i];
    return loss;
}

static double rms_loss(void *ctx)
{
    struct reference *r = ctx;
    for (int i = 0; i < r->n; i++) {
        const double *x = r->x + i * r->d;
        double sum = 0;
        for (int j = 0; j < r->d; j++)
            sum += x[j] * x[j];
        for (int j = 0; j < r->d; j++)
            r->out[i * r->d + j] = x[j] / sqrt(sum / r->d + r->eps) * r->w[j];
    }
    return weigh(r, (size_t)(r->n * r->d));
}

static void check_rms_norm(int n, int d)
{
    struct lab l = lab_open(2);
    size_t all = (size_t)(n * d), cols = (size_t)d;
    float *x = lab_random(&l, all, 2), *w = lab_random(&l, cols, 1), *dout = lab_random(&l, all, 1);
    float *out = lab_zero(&l, all), *rstd = lab_zero(&l, (size_t)n);
    float *dx = lab_filled(&l, all, 0.5f), *dw = lab_filled(&l, cols, 0.25f);
    struct reference r = {.n = n, .d = d, .x = lab_double(&l, x, all), .w = lab_double(&l, w, cols),
                          .weight = lab_double(&l, dout, all), .out = lab_double(&l, x, all), .eps = 1e-3};
    struct norm_args norm = {.eps = 1e-3f, .w = w, .out = out, .rstd = rstd};
    l.op->rms_norm(l.b, n, d, x, &norm);
    rms_loss(&r);
    lab_near(&l, "out", all, out, r.out, 1e-6);
    l.op->rms_norm_backward(l.b, n, d, dx, dw, dout, x, &norm, NULL, NULL);
    lab_gradient(&l, "dx", all, r.x, rms_loss, &r, dx, 0.5);
    lab_gradient(&l, "dw", cols, r.w, rms_loss, &r, dw, 0.25);
    double *before = lab_double(&l, dw, cols);
    l.op->rms_norm_backward(l.b, n, d, dx, NULL, dout, x, &norm, NULL, NULL);
    lab_near(&l, "dw not asked for", cols, dw, before, 0);
    lab_close(&l);
}

/* Sum and norm in one pass are what they are apart; the way down leaves dropout of its sum. */
static void check_add_norm(int n, int d, float p)
{
    struct lab l = lab_open(2);
    size_t all = (size_t)(n * d);
    struct dropout drop = lab_dropout(&l, n, p);
    const struct dropout *given = p > 0 ? &drop : NULL;
    float *x = lab_random(&l, all, 1), *y = lab_random(&l, all, 1), *w = lab_random(&l, (size_t)d, 1);
    float *sum = lab_zero(&l, all), *dx = lab_random(&l, all, 1), *branch = lab_zero(&l, all);
    struct norm_args norm = {1e-3f, w, lab_zero(&l, all), lab_zero(&l, (size_t)n)};
    struct norm_args apart = {1e-3f, w, lab_zero(&l, all), lab_zero(&l, (size_t)n)};
    double *want = lab_double(&l, x, all), *y0 = lab_double(&l, y, all);
    for (int i = 0; i < n * d; i++)
        want[i] += y0[i] * lab_mask(&drop, i / d, (uint32_t)(i % d));
    l.op->add_norm(l.b, n, d, sum, x, y, given, &norm);
    lab_near(&l, "sum", all, sum, want, 1e-7);
    l.op->rms_norm(l.b, n, d, sum, &apart);
    lab_near(&l, "norm", all, norm.out, lab_double(&l, apart.out, all), 1e-7);
    lab_near(&l, "rstd", (size_t)n, norm.rstd, lab_double(&l, apart.rstd, (size_t)n), 1e-7);
    l.op->add_norm(l.b, n, d, x, x, y, given, &norm);
    lab_near(&l, "in place", all, x, lab_double(&l, sum, all), 0);
    l.op->rms_norm_backward(l.b, n, d, dx, NULL, y, sum, &norm, branch, given);
    double *below = lab_double(&l, dx, all);
    for (int i = 0; i < n * d; i++)
        below[i] *= lab_mask(&drop, i / d, (uint32_t)(i % d));
    lab_near(&l, "branch", all, branch, below, 1e-7);
    lab_close(&l);
}

static void a_residual_and_its_norm_in_one_pass(void)
{
    check_add_norm(1, 1, 0);
    check_add_norm(5, 40, 0.5f);
    check_add_norm(67, 300, 0.1f);
    check_add_norm(3, 2056, 0.1f);
    check_add_norm(66, 64, 0);
}

static void rms_norm_and_its_gradients(void)
{
    check_rms_norm(1, 1);
    check_rms_norm(3, 40);
    check_rms_norm(130, 7);
}

/* y = x w^T into columns 0 .. out-1 of rows of `out + 2`; x in rows of `in + 1`. */
static void linear_values(const double *x, const double *w, const double *y0, double *y, int n, int in,
                          int out)
{
    for (int i = 0; i < n; i++)
        for (int o = 0; o < out + 2; o++) {
            double sum = y0[i * (out + 2) + o];
            for (int k = 0; o < out && k < in; k++)
                sum += x[i * (in + 1) + k] * w[o * in + k];
            y[i * (out + 2) + o] = sum;
        }
}

static void check_linear(int n, int in, int out)
{
    struct lab l = lab_open(2);
    size_t ld_x = (size_t)in + 1, ld_y = (size_t)out + 2;
    size_t nx = (size_t)n * ld_x, ny = (size_t)n * ld_y, nw = (size_t)in * (size_t)out;
    float *x = lab_random(&l, nx, 1), *w = lab_random(&l, nw, 1), *y = lab_random(&l, ny, 1);
    float *dy = lab_random(&l, ny, 1), *dx = lab_random(&l, nx, 1), *dw = lab_random(&l, nw, 1);
    double *x0 = lab_double(&l, x, nx), *w0 = lab_double(&l, w, nw), *y0 = lab_double(&l, y, ny);
    double *dy0 = lab_double(&l, dy, ny), *dx0 = lab_double(&l, dx, nx), *dw0 = lab_double(&l, dw, nw);
    double *want = lab_double(&l, y, ny);
    linear_values(x0, w0, y0, want, n, in, out);
    l.op->linear(l.b, n, in, out, y, ld_y, x, ld_x, w, true);
    lab_near(&l, "y +=", ny, y, want, 3e-6);
    for (size_t i = 0; i < ny; i++)
        y0[i] = i % ld_y < (size_t)out ? 0 : y0[i];
    linear_values(x0, w0, y0, want, n, in, out);
    l.op->linear(l.b, n, in, out, y, ld_y, x, ld_x, w, false);
    lab_near(&l, "y", ny, y, want, 3e-6);
    for (int add = 1; add >= 0; add--) {
        for (int i = 0; i < n; i++)
            for (int k = 0; k < in; k++) {
                double *to = &dx0[(size_t)i * ld_x + (size_t)k];
                *to = add ? *to : 0;
                for (int o = 0; o < out; o++)
                    *to += dy0[(size_t)i * ld_y + (size_t)o] * w0[o * in + k];
            }
        l.op->linear_backward(l.b, n, in, out, dx, ld_x, dy, ld_y, w, add);
        lab_near(&l, add ? "dx +=" : "dx", nx, dx, dx0, 3e-6);
    }
    for (int o = 0; o < out; o++)
        for (int k = 0; k < in; k++)
            for (int i = 0; i < n; i++)
                dw0[o * in + k] += dy0[(size_t)i * ld_y + (size_t)o] * x0[(size_t)i * ld_x + (size_t)k];
    l.op->linear_backward_weight(l.b, n, in, out, dw, dy, ld_y, x, ld_x);
    lab_near(&l, "dw", nw, dw, dw0, 3e-6);
    lab_close(&l);
}

static void linear_layers_of_odd_shapes_and_their_gradients(void)
{
    check_linear(0, 3, 4);
    check_linear(1, 1, 1);
    check_linear(7, 5, 3);
    check_linear(33, 40, 72);
    check_linear(1100, 17, 70);
}

static void embedding_rows_and_repeated_rows(void)
{
    struct lab l = lab_open(3);
    const int32_t ids_host[6] = {4, 0, 4, 4, 2, 0};
    enum { D = 37 };
    int32_t *ids = lab_ints(&l, 6, ids_host);
    float *table = lab_random(&l, 5 * D, 1), *out = lab_zero(&l, 6 * D), *dout = lab_random(&l, 6 * D, 1);
    float *dtable = lab_filled(&l, 5 * D, 1);
    double *t = lab_double(&l, table, 5 * D), *g = lab_double(&l, dout, 6 * D), want[6 * D], dwant[5 * D];
    for (int i = 0; i < 5 * D; i++)
        dwant[i] = 1;
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < D; j++) {
            want[i * D + j] = t[ids_host[i] * D + j];
            dwant[ids_host[i] * D + j] += g[i * D + j];
        }
    l.op->embed(l.b, 6, D, out, table, ids);
    l.op->embed_backward(l.b, 6, D, dtable, dout, ids);
    lab_near(&l, "out", 6 * D, out, want, 0);
    lab_near(&l, "dtable", 5 * D, dtable, dwant, 1e-7);
    lab_close(&l);
}

static double gelu(double g)
{
    return 0.5 * g * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (g + 0.044715 * g * g * g)));
}

static double geglu_loss(void *ctx)
{
    struct reference *r = ctx;
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < r->d; j++)
            r->out[i * r->d + j] = gelu(r->x[i * 2 * r->d + j]) * r->x[(i * 2 + 1) * r->d + j] *
                                   lab_mask(r->drop, i, (uint32_t)j);
    return weigh(r, (size_t)(r->n * r->d));
}

static void check_geglu(int n, int d, float p)
{
    struct lab l = lab_open(2);
    size_t all = (size_t)(n * d);
    struct dropout drop = lab_dropout(&l, n, p);
    float *gu = lab_random(&l, 2 * all, 6), *dout = lab_random(&l, all, 1);
    float *out = lab_zero(&l, all), *dgu = lab_filled(&l, 2 * all, 3);
    struct reference r = {.n = n, .d = d, .x = lab_double(&l, gu, 2 * all), .drop = &drop,
                          .weight = lab_double(&l, dout, all), .out = lab_double(&l, out, all)};
    l.op->geglu(l.b, n, d, out, gu, p > 0 ? &drop : NULL);
    geglu_loss(&r);
    lab_near(&l, "out", all, out, r.out, 1e-6);
    l.op->geglu_backward(l.b, n, d, dgu, dout, gu, p > 0 ? &drop : NULL);
    lab_gradient(&l, "dgu", 2 * all, r.x, geglu_loss, &r, dgu, 0);
    lab_close(&l);
}

static void gated_gelu_and_its_gradients(void)
{
    check_geglu(1, 1, 0);
    check_geglu(3, 37, 0);
    check_geglu(70, 11, 0.1f);
    check_geglu(5, 150, 0.5f);
}

static void check_dropout(int n, int d, float p)
{
    struct lab l = lab_open(2);
    size_t all = (size_t)(n * d);
    struct dropout drop = lab_dropout(&l, n, p);
    const struct dropout *given = p > 0 ? &drop : NULL;
    float *x = lab_random(&l, all, 1), *y = lab_zero(&l, all), *out = lab_zero(&l, all);
    double *x0 = lab_double(&l, x, all), *want = lab_double(&l, x, all);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j++)
            want[i * d + j] = x0[i * d + j] * lab_mask(&drop, i, (uint32_t)j);
    l.op->dropout(l.b, n, d, out, x, given);
    lab_near(&l, "out", all, out, want, 1e-7);
    l.op->copy(l.b, y, out, all * sizeof(float));
    l.op->dropout_stream(l.b, n, d, y, y, given);
    l.op->dropout_stream(l.b, n, d, out, out, given);
    lab_near(&l, "in place", all, y, lab_double(&l, out, all), 0);
    lab_close(&l);
}

static void dropout_keeps_what_the_definition_keeps(void)
{
    check_dropout(5, 3, 0);
    check_dropout(1, 1, 0.5f);
    check_dropout(67, 128, 0.1f);
    check_dropout(9, 300, 0.05f);
    check_dropout(9, 131, 0.9f);
}

static double head_loss_of(void *ctx)
{
    struct reference *r = ctx;
    double loss = 0;
    for (int i = 0; i < r->n; i++) {
        double top = -HUGE_VAL, sum = 0, *z = r->out;
        for (int v = 0; v < r->m; v++) {
            z[v] = 0;
            for (int j = 0; j < r->d; j++)
                z[v] += r->x[i * r->d + j] * r->w[v * r->d + j];
            top = fmax(top, z[v]);
        }
        for (int v = 0; v < r->m; v++)
            sum += exp(z[v] - top);
        double nll = r->label[i] < 0 ? 0 : top + log(sum) - z[r->label[i]];
        r->out[r->m + i] = nll;
        loss += r->weight[i] * nll;
    }
    return loss;
}

static void check_head_loss(int n, int d, int n_vocab)
{
    struct lab l = lab_open(2);
    size_t nx = (size_t)(n * d), nw = (size_t)(n_vocab * d), rows = (size_t)n;
    l.every = nx > 500 || nw > 500 ? 13 : 0;
    int32_t label[600];
    for (int i = 0; i < n; i++)
        label[i] = i % 4 == 2 ? -1 : i * 7 % n_vocab;
    int32_t *ids = lab_ints(&l, n, label);
    float *x = lab_random(&l, nx, 2), *w = lab_random(&l, nw, 2), *scale = lab_random(&l, rows, 1);
    float *nll = lab_filled(&l, rows, 9), *dx = lab_filled(&l, nx, 9), *dw = lab_filled(&l, nw, 0.5f);
    struct reference r = {.n = n, .d = d, .m = n_vocab, .x = lab_double(&l, x, nx), .label = label,
                          .w = lab_double(&l, w, nw), .weight = lab_double(&l, scale, rows)};
    r.out = malloc((size_t)(n_vocab + n) * sizeof(double));
    head_loss_of(&r);
    l.op->head_loss(l.b, n, d, n_vocab, x, w, ids, scale, nll, dx, dw);
    lab_near(&l, "nll", rows, nll, r.out + n_vocab, 1e-6);
    lab_gradient(&l, "dx", nx, r.x, head_loss_of, &r, dx, 0);
    lab_gradient(&l, "dw", nw, r.w, head_loss_of, &r, dw, 0.5);
    float *dx2 = lab_filled(&l, nx, 9), *dw2 = lab_filled(&l, nw, 0.5f), *nll2 = lab_zero(&l, rows);
    l.op->head_loss(l.b, n, d, n_vocab, x, w, ids, scale, nll2, dx2, NULL);
    l.op->head_loss(l.b, n, d, n_vocab, x, w, ids, scale, nll2, NULL, dw2);
    lab_near(&l, "dx alone", nx, dx2, lab_double(&l, dx, nx), 1e-6);
    lab_near(&l, "dw alone", nw, dw2, lab_double(&l, dw, nw), 0);
    l.op->head_loss(l.b, n, d, n_vocab, x, w, ids, NULL, nll2, NULL, NULL);
    lab_near(&l, "nll alone", rows, nll2, lab_double(&l, nll, rows), 1e-6);
    free(r.out);
    lab_close(&l);
}

static void head_loss_and_its_gradients(void)
{
    check_head_loss(0, 3, 5);
    check_head_loss(1, 1, 1);
    check_head_loss(7, 5, 33);
    check_head_loss(530, 3, 19);
    check_head_loss(40, 4, 530);
}

static void head_loss_of_equal_logits_is_the_logarithm_of_the_vocabulary(void)
{
    struct lab l = lab_open(1);
    int32_t *label = lab_ints(&l, 2, (const int32_t[]){0, 99});
    float *x = lab_zero(&l, 8), *w = lab_random(&l, 400, 1), *nll = lab_zero(&l, 2);
    l.op->head_loss(l.b, 2, 4, 100, x, w, label, NULL, nll, NULL, NULL);
    lab_near(&l, "nll", 2, nll, (const double[]){log(100), log(100)}, 2e-7);
    lab_close(&l);
}

static void argmax_takes_the_lowest_index_of_the_largest(void)
{
    struct lab l = lab_open(2);
    enum { V = 200, N = 70 };
    float w_host[V], x_host[N];
    for (int v = 0; v < V; v++)
        w_host[v] = v == 130 || v == 131 || v == 199 ? 2.0f : (float)(v % 50) / 50;
    for (int i = 0; i < N; i++)
        x_host[i] = i % 2 ? -1.0f : 1.0f; /* -1: the largest is 0, first at 0 */
    float *w = lab_zero(&l, V), *x = lab_zero(&l, N);
    int32_t *best = lab_bytes(&l, N * sizeof(*best)), got[N];
    l.op->set(l.b, w, w_host, sizeof(w_host));
    l.op->set(l.b, x, x_host, sizeof(x_host));
    l.op->head_argmax(l.b, N, 1, V, x, w, best);
    l.op->get(l.b, got, best, sizeof(got));
    for (int i = 0; i < N; i++)
        CHECK_INT(got[i], i % 2 ? 0 : 130);
    lab_close(&l);
}

/* Logits by value: z_v of row i is x_i w_v. */
static void top_gives_the_most_probable_in_order(void)
{
    struct lab l = lab_open(2);
    enum { V = 200, N = 70, K = 5 };
    float w_host[V], x_host[N], logp[N * K];
    for (int v = 0; v < V; v++)
        w_host[v] = v == 130 || v == 131 || v == 199 ? 2.0f : (float)(v * 7 % 50) / 50;
    for (int i = 0; i < N; i++)
        x_host[i] = i % 2 ? -1.0f : 1.0f;
    float *w = lab_zero(&l, V), *x = lab_zero(&l, N), *top = lab_zero(&l, N * K);
    int32_t *index = lab_bytes(&l, N * K * sizeof(*index)), got[N * K];
    l.op->set(l.b, w, w_host, sizeof(w_host));
    l.op->set(l.b, x, x_host, sizeof(x_host));
    l.op->head_top(l.b, N, 1, V, K, x, w, index, top);
    l.op->get(l.b, got, index, sizeof(got));
    l.op->get(l.b, logp, top, sizeof(logp));
    for (int i = 0; i < N; i++) {
        bool is_taken[V] = {false};
        double sum = 0;
        for (int v = 0; v < V; v++)
            sum += exp((double)x_host[i] * (double)w_host[v]);
        for (int j = 0; j < K; j++) {
            int best = -1;
            for (int v = 0; v < V; v++)
                if (!is_taken[v] && (best < 0 || x_host[i] * w_host[v] > x_host[i] * w_host[best]))
                    best = v;
            is_taken[best] = true;
            CHECK_INT(got[i * K + j], best);
            CHECK_NEAR((double)logp[i * K + j], (double)x_host[i] * (double)w_host[best] - log(sum), 1e-6);
        }
    }
    lab_close(&l);
}

static void sgd_with_and_without_momentum(void)
{
    struct lab l = lab_open(3);
    enum { N = 40000 };
    float *x = lab_random(&l, N, 1), *g = lab_random(&l, N, 1), *buf = lab_random(&l, N, 1);
    double *x0 = lab_double(&l, x, N), *g0 = lab_double(&l, g, N), *b0 = lab_double(&l, buf, N);
    l.op->sgd(l.b, N, x, g, NULL, 0.5f, 0.9f);
    l.op->sgd(l.b, N, x, g, buf, 0.25f, 0.75f);
    for (int i = 0; i < N; i++) {
        b0[i] = 0.75 * b0[i] + g0[i];
        x0[i] = x0[i] - 0.5 * g0[i] - 0.25 * b0[i];
    }
    lab_near(&l, "x", N, x, x0, 1e-6);
    lab_near(&l, "buf", N, buf, b0, 1e-6);
    lab_close(&l);
}

static void adamw_follows_its_formula_and_begins_with_steps_of_lr(void)
{
    struct lab l = lab_open(3);
    enum { N = 20001 };
    float *x = lab_random(&l, N, 1), *m = lab_zero(&l, N), *v = lab_zero(&l, N);
    double *x0 = lab_double(&l, x, N), *m0 = lab_double(&l, m, N), *v0 = lab_double(&l, v, N);
    for (int t = 1; t <= 3; t++) {
        float *g = lab_random(&l, N, 1);
        double *g0 = lab_double(&l, g, N);
        l.op->adamw(l.b, N, x, g, m, v, 0.01f, 0.9f, 0.98f, 1e-8f, 0.1f, t);
        for (int i = 0; i < N; i++) {
            double was = x0[i];
            x0[i] -= 0.01 * 0.1 * x0[i];
            m0[i] = 0.9 * m0[i] + 0.1 * g0[i];
            v0[i] = 0.98 * v0[i] + 0.02 * g0[i] * g0[i];
            x0[i] -= 0.01 * (m0[i] / (1 - pow(0.9, t))) / (sqrt(v0[i] / (1 - pow(0.98, t))) + 1e-8);
            if (t == 1 && fabs(g0[i]) > 1e-3 && i < 100)
                CHECK_NEAR(fabs(x0[i] - was * 0.999), 0.01, 1e-7);
        }
        lab_near(&l, "x", N, x, x0, 2e-6);
    }
    lab_near(&l, "m", N, m, m0, 2e-6);
    lab_near(&l, "v", N, v, v0, 2e-6);
    lab_close(&l);
}

static void clip_scales_long_gradients_of_each_member_alone(void)
{
    struct lab l = lab_open(2);
    const float host[6] = {3, 4, 0.3f, 0.4f, -30, 40}; /* norms 5, 0.5, 50 */
    float *g = lab_zero(&l, 6);
    l.op->set(l.b, g, host, sizeof(host));
    l.op->clip(l.b, 3, 2, g, 1);
    lab_near(&l, "g", 6, g, (const double[]){0.6, 0.8, 0.3, 0.4, -0.6, 0.8}, 1e-7);
    lab_close(&l);
}

static void exp_is_right_to_one_part_in_ten_million(void)
{
    double worst = 0;
    for (uint64_t u = 0; u < 0x100000000u; u += 3607) {
        uint32_t bits = (uint32_t)u;
        float x;
        memcpy(&x, &bits, sizeof(x));
        if (x >= -87 && x <= 88)
            worst = fmax(worst, fabs((double)cpu_exp(x) / exp((double)x) - 1));
    }
    CHECK_TRUE(worst < 1e-7);
    CHECK_TRUE(cpu_exp(0) == 1);
    CHECK_TRUE(cpu_exp(-INFINITY) < 1e-37f);
    CHECK_TRUE(cpu_exp(INFINITY) > 1e38f);
    CHECK_TRUE(isnan(cpu_exp(NAN)));
}

static void backends_are_found_by_name(void)
{
    for (const char *const *name = backend_names(); *name; name++) {
        CHECK_TRUE(backend_find(*name) != NULL);
        CHECK_STR(backend_find(*name)->name, *name);
    }
    CHECK_TRUE(backend_find("abacus") == NULL);
    struct lab l = lab_open(1);
    char text[200];
    l.op->describe(l.b, text, sizeof(text));
    CHECK_HAS(text, l.op->name);
    CHECK_TRUE(strpbrk(text, "0123456789")); /* the library's version */
    lab_close(&l);
}

static void every_operation_gives_the_same_bytes_with_1_to_4_threads(void)
{
    work_compare_threads();
}

int main(int argc, char **argv)
{
    lab_skip_unless(&LAB_BACKEND);
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return work_bench(argc > 2 ? atoi(argv[2]) : 1);
    CASE(rms_norm_and_its_gradients);
    CASE(a_residual_and_its_norm_in_one_pass);
    CASE(linear_layers_of_odd_shapes_and_their_gradients);
    CASE(embedding_rows_and_repeated_rows);
    CASE(gated_gelu_and_its_gradients);
    CASE(dropout_keeps_what_the_definition_keeps);
    CASE(head_loss_and_its_gradients);
    CASE(head_loss_of_equal_logits_is_the_logarithm_of_the_vocabulary);
    CASE(argmax_takes_the_lowest_index_of_the_largest);
    CASE(top_gives_the_most_probable_in_order);
    CASE(sgd_with_and_without_momentum);
    CASE(adamw_follows_its_formula_and_begins_with_steps_of_lr);
    CASE(clip_scales_long_gradients_of_each_member_alone);
    CASE(exp_is_right_to_one_part_in_ten_million);
    CASE(backends_are_found_by_name);
    CASE(every_operation_gives_the_same_bytes_with_1_to_4_threads);
    return test_end();
}
