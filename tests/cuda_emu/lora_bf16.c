/* Adapters in bf16 against the CPU's in float32, given the same bf16 numbers. With small integers every sum
 * is exact on both sides, so results must be equal to the bit; with fractions the products' factors h and gh
 * are rounded to bf16, and results as they are stored. */
#include "tests/ops.h"

extern const struct backend_ops cpu_backend, cuda_bf16_backend;

struct shape {
    const char *name;
    int n_members;
    int32_t member_row[5];
    int d_in, d_out, rank;
    float p;
    bool is_shared, is_dx_unwanted;
    int pad;         /* values between the rows of x, y and their gradients */
    bool is_integer; /* numbers -1, 0, 1; else uniform in -1 .. 1 */
};

/* One backend's memory and, after a run, its results on the host. */
struct side {
    struct lab l;
    struct lora_args a;
    void *x, *y, *dy, *dx;
    float *h, *gh, *got_y, *got_dx, *da, *db;
};

static float bf16_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    u = (u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u;
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* Number i of a fill. Integers of A and B are mostly 0, so that |h| and |gh| stay below 256. */
static float number(const struct shape *s, uint32_t fill, size_t i)
{
    double u = rng_uniform(1, 201, fill, i);
    if (!s->is_integer)
        return bf16_of((float)(2 * u - 1));
    double some = fill < 2 ? 0.125 : 0.25;
    return u < some ? -1.0f : u < 2 * some ? 1.0f : 0.0f;
}

static float *numbers(struct side *d, const struct shape *s, uint32_t fill, size_t n)
{
    float *p = lab_zero(&d->l, n), *host = malloc((n + 1) * sizeof(*host));
    for (size_t i = 0; i < n; i++)
        host[i] = number(s, fill, i);
    d->l.op->set(d->l.b, p, host, n * sizeof(*host));
    free(host);
    return p;
}

static void *values(struct side *d, const struct shape *s, uint32_t fill, size_t n)
{
    float *from = numbers(d, s, fill, n);
    void *to = lab_bytes(&d->l, (n + 1) * d->l.op->value_bytes);
    d->l.op->narrow(d->l.b, n, to, from);
    return to;
}

static float *read_float(struct side *d, const float *from, size_t n)
{
    float *host = malloc((n + 1) * sizeof(*host));
    d->l.op->get(d->l.b, host, from, n * sizeof(*host));
    return host;
}

static float *read_values(struct side *d, const void *from, size_t n)
{
    float *host = malloc((n + 1) * sizeof(*host));
    d->l.op->get_values(d->l.b, host, from, n);
    return host;
}

static size_t per_member(const struct shape *s)
{
    return (size_t)(s->rank * (s->d_in + s->d_out));
}

/* A's and B's gradients begin as 3. Without dx they are added twice, which dx would not bear: it is rounded. Rows before the first member's are there and must stay as they are. */
static struct side run(const struct backend_ops *op, const struct shape *s)
{
    struct side d = {.l = {.op = op}};
    struct err e = {0};
    if (op->open(&d.l.b, 0, 2, &e)) {
        printf("cannot open the backend: %s\n", e.text);
        exit(1);
    }
    int n = s->member_row[s->n_members];
    size_t rows = (size_t)n, rank = (size_t)s->rank, ld_x = (size_t)(s->d_in + s->pad),
           ld_y = (size_t)(s->d_out + s->pad), n_a = rank * (size_t)s->d_in;
    size_t all = per_member(s) * (s->is_shared ? 1 : (size_t)s->n_members);
    float *ab = numbers(&d, s, 0, all), *dab = lab_filled(&d.l, all, 3);
    d.x = values(&d, s, 2, rows * ld_x);
    d.y = values(&d, s, 3, rows * ld_y);
    d.dy = values(&d, s, 4, rows * ld_y);
    d.dx = values(&d, s, 5, rows * ld_x);
    d.a = (struct lora_args){.n_members = s->n_members,
                             .member_row = s->member_row,
                             .d_in = s->d_in,
                             .d_out = s->d_out,
                             .rank = s->rank,
                             .scale = s->is_integer ? 2 : 1.7f,
                             .stride = s->is_shared ? 0 : per_member(s),
                             .a = ab,
                             .b = ab + n_a,
                             .da = dab,
                             .db = dab + n_a,
                             .h = lab_zero(&d.l, rows * rank),
                             .gh = lab_zero(&d.l, rows * rank),
                             .drop = lab_dropout(&d.l, n, s->p),
                             .xd = lab_bytes(&d.l, (rows * (size_t)s->d_in + 1) * op->value_bytes)};
    op->lora(d.l.b, &d.a, d.y, ld_y, d.x, ld_x);
    for (int i = 0; i < (s->is_dx_unwanted ? 2 : 1); i++)
        op->lora_backward(d.l.b, &d.a, s->is_dx_unwanted ? NULL : d.dx, d.dy, ld_y, d.x, ld_x);
    d.h = read_float(&d, d.a.h, rows * rank);
    d.gh = read_float(&d, d.a.gh, rows * rank);
    d.got_y = read_values(&d, d.y, rows * ld_y);
    d.got_dx = read_values(&d, d.dx, rows * ld_x);
    d.da = read_float(&d, dab, all);
    lab_close(&d.l);
    return d;
}

static void side_close(struct side *d)
{
    free(d->h);
    free(d->gh);
    free(d->got_y);
    free(d->got_dx);
    free(d->da);
}

/* |got - want| <= tolerance * the largest of want; 0: equal, with want rounded to bf16 if is_stored. */
static void near(const struct shape *s, const char *what, size_t n, const float *got, const float *want,
                 double tolerance, bool is_stored)
{
    double top = 1e-30;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, fabs((double)want[i]));
    for (size_t i = 0; i < n; i++) {
        float w = is_stored && tolerance == 0 ? bf16_of(want[i]) : want[i];
        if (!(fabs((double)got[i] - (double)w) <= tolerance * top)) {
            TEST_FAIL("%s: %s[%zu of %zu]: got %.9g, want %.9g, largest %.3g", s->name, what, i, n,
                      (double)got[i], (double)w, top);
            return;
        }
    }
}

static void check(const struct shape *s)
{
    /* 2^-8: one rounding of the largest value is 2^-9, that of a sum's factors less. */
    double sums = s->is_integer ? 0 : 2e-6, stored = s->is_integer ? 0 : 1.0 / 256;
    size_t rows = (size_t)s->member_row[s->n_members], mid = rows * (size_t)s->rank;
    struct side want = run(&cpu_backend, s), got = run(&cuda_bf16_backend, s),
                again = run(&cuda_bf16_backend, s);
    size_t ny = rows * (size_t)(s->d_out + s->pad), nx = rows * (size_t)(s->d_in + s->pad);
    size_t all = per_member(s) * (s->is_shared ? 1 : (size_t)s->n_members);
    near(s, "h", mid, got.h, want.h, sums, false);
    near(s, "gh", mid, got.gh, want.gh, sums, false);
    near(s, "y", ny, got.got_y, want.got_y, stored, true);
    near(s, "dx", nx, got.got_dx, want.got_dx, stored, true);
    near(s, "da and db", all, got.da, want.da, stored, false);
    CHECK_TRUE(memcmp(got.h, again.h, mid * sizeof(float)) == 0);
    CHECK_TRUE(memcmp(got.got_y, again.got_y, ny * sizeof(float)) == 0);
    CHECK_TRUE(memcmp(got.got_dx, again.got_dx, nx * sizeof(float)) == 0);
    CHECK_TRUE(memcmp(got.da, again.da, all * sizeof(float)) == 0);
    side_close(&want);
    side_close(&got);
    side_close(&again);
}

static void check_all(const struct shape *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(&s[i]);
}

static void integers_come_out_equal_to_the_bit(void)
{
    const struct shape s[] = {
        {"one row", 1, {0, 1}, 8, 8, 1, 0, false, false, 0, true},
        {"ragged", 4, {0, 5, 5, 6, 23}, 72, 48, 4, 0, false, false, 8, true},
        {"ragged, dropout", 4, {0, 5, 5, 6, 23}, 72, 48, 5, 0.5f, false, false, 8, true},
        {"first row is not 0", 3, {7, 30, 30, 61}, 40, 104, 16, 0.5f, false, false, 0, true},
        {"middle tiles", 2, {0, 70, 150}, 136, 264, 16, 0.5f, false, false, 0, true},
        {"tall tiles", 3, {0, 130, 131, 300}, 264, 136, 16, 0, false, false, 16, true},
        {"two slices", 1, {0, 20}, 1160, 1096, 16, 0.5f, false, false, 0, true},
        {"parts of rows", 2, {5, 130, 405}, 72, 40, 16, 0.5f, false, false, 0, true},
        {"parts of rows, no dx", 1, {0, 380}, 104, 64, 16, 0.5f, false, true, 8, true},
        {"parts without rows", 2, {0, 290, 291}, 64, 64, 16, 0.5f, false, false, 0, true},
        {"rank 17", 2, {0, 17, 40}, 64, 96, 17, 0.5f, false, false, 0, true},
        {"rank 64", 2, {0, 33, 50}, 520, 296, 64, 0.5f, false, false, 8, true},
        {"rank 256", 2, {0, 3, 20}, 72, 200, 256, 0, false, false, 0, true},
        {"tall tiles of rank 256", 1, {0, 290}, 64, 72, 256, 0.5f, false, true, 0, true},
        {"shared", 3, {0, 20, 20, 50}, 56, 64, 4, 0.5f, true, false, 0, true},
        {"no dx", 2, {0, 9, 30}, 64, 40, 8, 0.5f, false, true, 0, true},
    };
    check_all(s, sizeof(s) / sizeof(s[0]));
}

static void fractions_agree_to_rounding(void)
{
    const struct shape s[] = {
        {"fractions", 3, {0, 100, 100, 161}, 512, 384, 16, 0.05f, false, false, 0, false},
        {"fractions, rank 64", 2, {0, 30, 50}, 200, 136, 64, 0.3f, false, false, 8, false},
    };
    check_all(s, sizeof(s) / sizeof(s[0]));
}

static void no_rows_are_no_work(void)
{
    const struct shape s[] = {
        {"empty members", 2, {0, 0, 0}, 16, 16, 4, 0, false, false, 0, true},
        {"no members", 0, {0}, 16, 16, 4, 0, false, false, 0, true},
    };
    check_all(s, sizeof(s) / sizeof(s[0]));
}

int main(void)
{
    CASE(integers_come_out_equal_to_the_bit);
    CASE(fractions_agree_to_rounding);
    CASE(no_rows_are_no_work);
    return test_end();
}
