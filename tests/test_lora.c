/* Adapters of a fused cohort: the golden vectors of vectors/lora (their README has the formulas), gradients
 * against central differences, and each member alone against itself in a cohort. */
#include "sim/base/json.h"
#include "tests/ops.h"

/* ---- golden vectors ---- */

struct vectors {
    struct json root;
    int in, out, rank, n_clients, rows; /* rows of all clients */
    int32_t member[4];
    double scale, dropout;
};

static double number(struct json object, const char *key)
{
    double x = 0;
    struct err e = {0};
    if (json_double(object, key, -1e30, 1e30, NULL, &x, &e))
        TEST_FAIL("%s", e.text);
    return x;
}

static struct json client_of(const struct vectors *v, int client)
{
    struct json list = {0};
    struct err e = {0};
    if (json_array(v->root, "clients", &list, &e))
        TEST_FAIL("%s", e.text);
    return json_at(list, (size_t)client);
}

/* Appends the rows of object.key to `to`; gives how many values. */
static size_t matrix(struct json object, const char *key, double *to)
{
    struct json rows = {0};
    struct err e = {0};
    size_t n = 0;
    if (json_array(object, key, &rows, &e))
        TEST_FAIL("%s", e.text);
    for (size_t i = 0; i < json_count(rows); i++)
        for (size_t j = 0; j < json_count(json_at(rows, i)); j++)
            to[n++] = number(json_at(json_at(rows, i), j), NULL);
    return n;
}

/* The matrices `key` of all clients, one after the other. */
static size_t stacked(const struct vectors *v, const char *key, double *to)
{
    size_t n = 0;
    for (int c = 0; c < v->n_clients; c++)
        n += matrix(client_of(v, c), key, to + n);
    return n;
}

static float *given(struct lab *l, size_t n, const double *from)
{
    float *p = lab_zero(l, n);
    for (size_t i = 0; i < n; i++) {
        float x = (float)from[i];
        l->op->set(l->b, p + i, &x, sizeof(x));
    }
    return p;
}

enum { MOST = 256 };

/* A and B of each client stand together: [rank * in + out * rank] values per client. */
static struct lora_args adapters(struct lab *l, const struct vectors *v, float **values)
{
    double ab[MOST];
    size_t n = 0, n_a = (size_t)(v->rank * v->in), n_b = (size_t)(v->out * v->rank);
    for (int c = 0; c < v->n_clients; c++) {
        n += matrix(client_of(v, c), "A", ab + n);
        n += matrix(client_of(v, c), "B", ab + n);
    }
    float *all = *values = given(l, n, ab), *grad = lab_zero(l, n);
    return (struct lora_args){.n_members = v->n_clients, .member_row = v->member, .d_in = v->in,
                              .d_out = v->out, .rank = v->rank, .scale = (float)v->scale,
                              .stride = n_a + n_b, .a = all, .b = all + n_a, .da = grad, .db = grad + n_a,
                              .h = lab_zero(l, (size_t)(v->rows * v->rank)),
                              .gh = lab_zero(l, (size_t)(v->rows * v->rank))};
}

static void check_client(struct lab *l, struct json client, const char *key, const float *got)
{
    double want[MOST];
    size_t n = matrix(client, key, want);
    CHECK_TRUE(n > 0);
    lab_near(l, key, n, got, want, 1e-6);
}

/* The file's mask is written out, not drawn: the adapter gets x * keep / (1 - p) as its input, and its dx is
 * multiplied here. The masks that the backend draws are the next part's. */
static void check_cohort(struct lab *l, const struct vectors *v)
{
    double w[MOST], x[MOST], xd[MOST], g[MOST], keep[MOST], want[MOST];
    float *values;
    struct lora_args a = adapters(l, v, &values);
    int n = v->rows;
    size_t in = (size_t)v->in, out = (size_t)v->out, nx = (size_t)n * in, ny = (size_t)n * out;
    matrix(v->root, "W", w);
    stacked(v, "x", x);
    stacked(v, "G", g);
    if (v->dropout > 0)
        stacked(v, "keep", keep);
    for (size_t i = 0; i < nx; i++) {
        keep[i] = v->dropout > 0 ? keep[i] / (1 - v->dropout) : 1;
        xd[i] = x[i] * keep[i];
    }
    float *fx = given(l, nx, x), *fxd = given(l, nx, xd), *fg = given(l, ny, g);
    float *fw = given(l, in * out, w), *y = lab_zero(l, ny), *dx = lab_zero(l, nx);
    l->op->linear(l->b, n, v->in, v->out, y, out, fx, in, fw, false);
    l->op->lora(l->b, &a, y, out, fxd, in);
    l->op->lora_backward(l->b, &a, dx, fg, out, fxd, in);
    double *got_dx = lab_double(l, dx, nx);
    for (size_t i = 0; i < nx; i++)
        got_dx[i] *= keep[i];
    float *all_dx = given(l, nx, got_dx);
    l->op->linear_backward(l->b, n, v->in, v->out, all_dx, in, fg, out, fw, true);
    CHECK_INT(stacked(v, "h", want), (size_t)(n * v->rank));
    lab_near(l, "h", (size_t)(n * v->rank), a.h, want, 1e-6);
    CHECK_INT(stacked(v, "y", want), ny);
    lab_near(l, "y", ny, y, want, 1e-6);
    CHECK_INT(stacked(v, "dx", want), nx);
    lab_near(l, "dx", nx, all_dx, want, 1e-6);
    for (int c = 0; c < v->n_clients; c++) {
        float *dw = lab_zero(l, in * out);
        size_t from = (size_t)v->member[c], off = (size_t)c * a.stride;
        l->op->linear_backward_weight(l->b, v->member[c + 1] - v->member[c], v->in, v->out, dw,
                                      fg + from * out, out, fx + from * in, in);
        check_client(l, client_of(v, c), "dW", dw);
        check_client(l, client_of(v, c), "dA", a.da + off);
        check_client(l, client_of(v, c), "dB", a.db + off);
        l->op->sgd(l->b, a.stride, values + off, a.da + off, NULL, (float)number(v->root, "lr"), 0);
        check_client(l, client_of(v, c), "A_after", a.a + off);
        check_client(l, client_of(v, c), "B_after", a.b + off);
    }
}

static void check_file(const char *name)
{
    struct lab l = lab_open(2);
    struct json_doc *doc = NULL;
    struct err e = {0};
    char path[512];
    snprintf(path, sizeof(path), TEST_VECTORS "/lora/%s.json", name);
    if (json_load(&doc, path, &e)) {
        TEST_FAIL("%s", e.text);
    } else {
        struct vectors v = {.root = json_root(doc)};
        struct json list = {0};
        v.in = (int)number(v.root, "in");
        v.out = (int)number(v.root, "out");
        v.rank = (int)number(v.root, "rank");
        v.scale = number(v.root, "scale");
        v.dropout = number(v.root, "dropout");
        CHECK_INT(json_array(v.root, "clients", &list, &e), OK);
        v.n_clients = (int)json_count(list);
        for (int c = 0; c < v.n_clients; c++) {
            v.rows += (int)number(client_of(&v, c), "tokens");
            v.member[c + 1] = v.rows;
        }
        check_cohort(&l, &v);
    }
    json_close(doc);
    lab_close(&l);
}

static void a_fused_cohort_has_the_golden_values_of_each_client(void)
{
    check_file("plain");
    check_file("ragged");
    check_file("dropout");
}

/* ---- gradients, with the backend's own masks ---- */

struct reference {
    const struct lora_args *a;
    int n;
    double *x, *adapter, *weight, *y0, *y;
};

/* y = y0 + scale * dropout(x) A^T B^T, member by member. x in rows of d_in + 1, y of d_out + 2. */
static double reference_loss(void *ctx)
{
    struct reference *r = ctx;
    const struct lora_args *a = r->a;
    int ld_x = a->d_in + 1, ld_y = a->d_out + 2;
    memcpy(r->y, r->y0, (size_t)(r->n * ld_y) * sizeof(double));
    for (int m = 0; m < a->n_members; m++) {
        const double *at = r->adapter + (size_t)m * a->stride, *bt = at + a->rank * a->d_in;
        for (int i = a->member_row[m]; i < a->member_row[m + 1]; i++)
            for (int k = 0; k < a->rank; k++) {
                double h = 0;
                for (int j = 0; j < a->d_in; j++)
                    h += r->x[i * ld_x + j] * lab_mask(&a->drop, i, (uint32_t)j) * at[k * a->d_in + j];
                for (int o = 0; o < a->d_out; o++)
                    r->y[i * ld_y + o] += (double)a->scale * h * bt[o * a->rank + k];
            }
    }
    double loss = 0;
    for (int i = 0; i < r->n * ld_y; i++)
        loss += r->weight[i] * r->y[i];
    return loss;
}

struct shape {
    int n_members, d_in, d_out, rank;
    int32_t member_row[5];
    bool is_shared;
    float p;
    size_t every;
};

static void check_gradients(const struct shape *s)
{
    struct lab l = lab_open(3);
    l.every = s->every;
    int n = s->member_row[s->n_members];
    size_t ld_x = (size_t)s->d_in + 1, ld_y = (size_t)s->d_out + 2, rows = (size_t)n;
    size_t nx = rows * ld_x, ny = rows * ld_y, n_a = (size_t)(s->rank * s->d_in);
    size_t one = n_a + (size_t)(s->rank * s->d_out), all = s->is_shared ? one : one * (size_t)s->n_members;
    float *x = lab_random(&l, nx, 1), *y = lab_random(&l, ny, 1), *dy = lab_random(&l, ny, 1);
    float *ab = lab_random(&l, all, 1), *dab = lab_filled(&l, all, 0.5f), *dx = lab_filled(&l, nx, 0.25f);
    struct lora_args a = {.n_members = s->n_members, .member_row = s->member_row, .d_in = s->d_in,
                          .d_out = s->d_out, .rank = s->rank, .scale = 1.5f, .stride = s->is_shared ? 0 : one,
                          .a = ab, .b = ab + n_a, .da = dab, .db = dab + n_a,
                          .h = lab_zero(&l, rows * (size_t)s->rank),
                          .gh = lab_zero(&l, rows * (size_t)s->rank),
                          .xd = lab_zero(&l, rows * (size_t)s->d_in), .drop = lab_dropout(&l, n, s->p)};
    struct reference r = {.a = &a, .n = n, .x = lab_double(&l, x, nx), .adapter = lab_double(&l, ab, all),
                          .weight = lab_double(&l, dy, ny), .y0 = lab_double(&l, y, ny),
                          .y = lab_double(&l, y, ny)};
    l.op->lora(l.b, &a, y, ld_y, x, ld_x);
    reference_loss(&r);
    lab_near(&l, "y", ny, y, r.y, 2e-6);
    l.op->lora_backward(l.b, &a, dx, dy, ld_y, x, ld_x);
    lab_gradient(&l, "dx", nx, r.x, reference_loss, &r, dx, 0.25);
    lab_gradient(&l, "da and db", all, r.adapter, reference_loss, &r, dab, 0.5);
    double *was = lab_double(&l, dab, all);
    for (size_t i = 0; i < all; i++)
        was[i] = 2 * was[i] - 0.5;
    l.op->lora_backward(l.b, &a, NULL, dy, ld_y, x, ld_x);
    lab_near(&l, "da and db without dx", all, dab, was, 1e-5);
    lab_close(&l);
}

static void gradients_of_members_of_any_size(void)
{
    struct shape s = {.n_members = 4, .d_in = 9, .d_out = 6, .rank = 2, .member_row = {0, 5, 5, 6, 13}};
    check_gradients(&s);
    s.p = 0.3f;
    check_gradients(&s);
    s = (struct shape){.n_members = 2, .d_in = 70, .d_out = 67, .rank = 5, .member_row = {0, 150, 280},
                       .p = 0.05f, .every = 997};
    check_gradients(&s);
}

static void one_adapter_shared_by_all_members_sums_their_gradients(void)
{
    struct shape s = {.n_members = 3, .d_in = 6, .d_out = 5, .rank = 3, .member_row = {0, 4, 4, 9},
                      .is_shared = true};
    check_gradients(&s);
    s.p = 0.5f;
    check_gradients(&s);
}

/* Rows of member 1 as a cohort of its own, with the same owners and indexes. */
static void a_member_alone_gets_what_it_gets_in_a_cohort(void)
{
    struct lab l = lab_open(2);
    enum { IN = 33, OUT = 40, RANK = 8, ROWS = 430, FROM = 150, ALONE = 140, STRIDE = RANK * (IN + OUT) };
    const int32_t rows[4] = {0, FROM, FROM + ALONE, ROWS}, alone[2] = {0, ALONE};
    float *x = lab_random(&l, ROWS * IN, 1), *y = lab_zero(&l, ROWS * OUT), *y1 = lab_zero(&l, ALONE * OUT);
    float *dy = lab_random(&l, ROWS * OUT, 1), *dx = lab_zero(&l, ROWS * IN), *dx1 = lab_zero(&l, ALONE * IN);
    float *ab = lab_random(&l, 3 * STRIDE, 1), *dab = lab_zero(&l, 3 * STRIDE), *dab1 = lab_zero(&l, STRIDE);
    struct lora_args a = {.n_members = 3, .member_row = rows, .d_in = IN, .d_out = OUT, .rank = RANK,
                          .scale = 2, .stride = STRIDE, .a = ab, .b = ab + RANK * IN, .da = dab,
                          .db = dab + RANK * IN, .h = lab_zero(&l, ROWS * RANK),
                          .gh = lab_zero(&l, ROWS * RANK), .xd = lab_zero(&l, ROWS * IN),
                          .drop = lab_dropout(&l, ROWS, 0.1f)};
    struct lora_args b = a;
    b.n_members = 1;
    b.member_row = alone;
    b.a += STRIDE;
    b.b += STRIDE;
    b.da = dab1;
    b.db = dab1 + RANK * IN;
    b.drop.row_owner += FROM;
    b.drop.row_index += FROM;
    l.op->lora(l.b, &a, y, OUT, x, IN);
    l.op->lora_backward(l.b, &a, dx, dy, OUT, x, IN);
    l.op->lora(l.b, &b, y1, OUT, x + FROM * IN, IN);
    l.op->lora_backward(l.b, &b, dx1, dy + FROM * OUT, OUT, x + FROM * IN, IN);
    lab_near(&l, "y", ALONE * OUT, y1, lab_double(&l, y + FROM * OUT, ALONE * OUT), 1e-6);
    lab_near(&l, "dx", ALONE * IN, dx1, lab_double(&l, dx + FROM * IN, ALONE * IN), 1e-6);
    lab_near(&l, "da and db", STRIDE, dab1, lab_double(&l, dab + STRIDE, STRIDE), 1e-6);
    lab_close(&l);
}

/* to = w + scale B A; 130 rows are more than one task's. */
static void a_matrix_and_its_adapter_in_one(void)
{
    enum { IN = 70, OUT = 130, RANK = 3 };
    static const int32_t rows[] = {0, 5};
    struct lab l = lab_open(2);
    const float *w = lab_random(&l, IN * OUT, 1);
    float *to = lab_random(&l, IN * OUT, 1);
    struct lora_args a = {.n_members = 1, .member_row = rows, .d_in = IN, .d_out = OUT, .rank = RANK, .scale = 0.5f,
                          .a = lab_random(&l, RANK * IN, 1), .b = lab_random(&l, OUT * RANK, 1)};
    double *want = lab_double(&l, w, IN * OUT), *f = lab_double(&l, a.a, RANK * IN);
    double *g = lab_double(&l, a.b, OUT * RANK);
    for (int i = 0; i < OUT * IN; i++)
        for (int k = 0; k < RANK; k++)
            want[i] += 0.5 * g[i / IN * RANK + k] * f[k * IN + i % IN];
    if (l.op->lora_merge) {
        l.op->lora_merge(l.b, &a, to, w);
        lab_near(&l, "merged", IN * OUT, to, want, 1e-6);
    } else {
        printf("     not on this backend\n");
    }
    lab_close(&l);
}

int main(void)
{
    lab_skip_unless(&LAB_BACKEND);
    CASE(a_fused_cohort_has_the_golden_values_of_each_client);
    CASE(gradients_of_members_of_any_size);
    CASE(one_adapter_shared_by_all_members_sums_their_gradients);
    CASE(a_member_alone_gets_what_it_gets_in_a_cohort);
    CASE(a_matrix_and_its_adapter_in_one);
    return test_end();
}
