/* The arg max that most columns are ruled out of beforehand, against all columns computed. Where the processor has no
 * bfloat16 products there is no screen, and this is skipped. */
#include "models/cpu.h"
#include "tests/ops.h"

enum { MOST_N = 70, MOST_V = 1500 };

/* x [n, d], w [n_vocab, d] of a case, and both answers. */
struct head {
    int n, d, n_vocab;
    float *x, *w;
    int32_t screened[MOST_N], plain[MOST_N];
};

static struct head head_new(int n, int d, int n_vocab)
{
    struct head h = {.n = n, .d = d, .n_vocab = n_vocab, .x = malloc((size_t)(n * d) * sizeof(float)),
                     .w = malloc((size_t)(n_vocab * d) * sizeof(float))};
    if (!h.x || !h.w || n > MOST_N || n_vocab > MOST_V)
        exit(1);
    return h;
}

static void head_free(struct head *h)
{
    free(h->x);
    free(h->w);
}

static void head_run(struct head *h, int n_threads)
{
    const struct backend_ops *op = &cpu_backend;
    struct backend *b = NULL;
    struct err e = {0};
    void *screen = NULL;
    size_t n_bytes = op->head_screen_bytes(h->d, h->n_vocab);
    CHECK_TRUE(n_bytes > 0);
    if (op->open(&b, 0, n_threads, &e) || op->alloc(b, &screen, n_bytes, "test", &e))
        exit(1);
    op->head_screen(b, h->d, h->n_vocab, screen, h->w);
    memset(h->screened, 0xff, sizeof(h->screened));
    op->head_argmax_screened(b, h->n, h->d, h->n_vocab, h->x, h->w, screen, h->screened);
    op->head_argmax(b, h->n, h->d, h->n_vocab, h->x, h->w, h->plain);
    CHECK_INT(op->sync(b, &e), OK);
    op->free(b, screen);
    op->close(b);
}

/* Whole numbers of ten bits and sums below 2^24: exact in float32, in bfloat16 not. Every third column equals an
 * earlier one. */
static void whole_numbers_give_the_lowest_index_of_the_largest(void)
{
    static const int rows[] = {1, 2, 8, 9, 32, 33, 70}, cols[] = {1, 2, 63, 64, 65, 511, 513, 1500};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t j = 0; j < sizeof(cols) / sizeof(cols[0]); j++) {
            struct head h = head_new(rows[i], 16, cols[j]);
            for (int k = 0; k < h.n * h.d; k++)
                h.x[k] = (float)rng_below(1, 200, 1, (uint64_t)k, 2001) - 1000;
            for (int k = 0; k < h.n_vocab * h.d; k++) {
                int v = k / h.d, from = v % 3 == 2 ? v / 2 : v;
                h.w[k] = from < v ? h.w[from * h.d + k % h.d] : (float)rng_below(1, 200, 2, (uint64_t)k, 2001) - 1000;
            }
            head_run(&h, 2);
            for (int r = 0; r < h.n; r++) {
                CHECK_INT(h.screened[r], h.plain[r]);
                CHECK_TRUE(h.screened[r] % 3 != 2 || h.screened[r] < 2); /* an equal one comes before it */
            }
            head_free(&h);
        }
}

/* Columns that differ by less than bfloat16 can tell, along x: of column 7 + 10 k the k-th is longer by 2^-18 each. */
static void what_bf16_cannot_tell_apart_is_decided_in_float32(void)
{
    enum { D = 512, V = 600 };
    struct head h = head_new(3, D, V);
    for (int k = 0; k < h.n * D; k++)
        h.x[k] = (float)rng_uniform(1, 200, 3, (uint64_t)k) - 0.5f;
    for (int v = 0; v < V; v++)
        for (int k = 0; k < D; k++)
            h.w[v * D + k] = v % 10 == 7 && v < 300 ? h.x[v / 10 % 3 * D + k] * (1 + 0x1p-18f * (float)(v / 30))
                                                    : (float)rng_uniform(1, 200, 4, (uint64_t)(v * D + k)) - 0.5f;
    head_run(&h, 1);
    for (int r = 0; r < h.n; r++) {
        CHECK_INT(h.screened[r], 7 + 10 * (27 + r));
        CHECK_INT(h.plain[r], 7 + 10 * (27 + r));
    }
    head_free(&h);
}

/* Even values of x and of the largest column are rounded down, by nearly 2^-8, odd ones and those of its rival up: a
 * bound of two thirds of ours would not do. So too where squares are too small for float32. */
static void roundings_of_one_direction_rule_out_nothing(void)
{
    enum { D = 256, V = 100, LARGEST = 40, RIVAL = 41 };
    const float down = 1 + 0.99f * 0x1p-8f, up = 1 + 1.01f * 0x1p-8f;
    for (int n = 2; n <= 12; n += 5) {
        struct head h = head_new(n, D, V);
        memset(h.w, 0, (size_t)(V * D) * sizeof(float));
        for (int k = 0; k < n * D; k++)
            h.x[k] = (k % 2 ? up : down) * (n == 7 ? 0x1p-90f : 1);
        for (int k = 0; k < D; k += 2) {
            h.w[LARGEST * D + k] = down;
            h.w[RIVAL * D + k + 1] = k ? up : 0.9f;
        }
        head_run(&h, 1);
        for (int r = 0; r < n; r++) {
            CHECK_INT(h.plain[r], LARGEST);
            CHECK_INT(h.screened[r], LARGEST);
        }
        head_free(&h);
    }
}

/* As from NaN or infinity in x: all columns are computed, whatever they give, and the answer is a column. */
static void what_is_no_number_gives_some_column(void)
{
    const float worst[] = {NAN, INFINITY, 3.4e38f};
    for (int i = 0; i < 3; i++) {
        struct head h = head_new(9, 16, 300);
        for (int k = 0; k < h.n * h.d; k++)
            h.x[k] = k % 16 == 3 ? worst[i] : 1;
        for (int k = 0; k < h.n_vocab * h.d; k++)
            h.w[k] = k % 16 == 3 ? 0 : (float)(k / 16 == 200);
        head_run(&h, 2);
        for (int r = 0; r < h.n; r++) {
            CHECK_TRUE(h.screened[r] >= 0 && h.screened[r] < 300);
            CHECK_TRUE(i < 2 || h.screened[r] == 200); /* finite in float32 */
        }
        head_free(&h);
    }
}

/* Nothing is ruled out. */
static void zeros_give_the_first(void)
{
    struct head h = head_new(9, 24, 700);
    memset(h.x, 0, (size_t)(h.n * h.d) * sizeof(float));
    for (int k = 0; k < h.n_vocab * h.d; k++)
        h.w[k] = (float)(k % 13);
    head_run(&h, 3);
    for (int r = 0; r < h.n; r++)
        CHECK_INT(h.screened[r], 0);
    head_free(&h);
}

static void a_width_without_pairs_has_no_screen(void)
{
    CHECK_TRUE(cpu_backend.head_screen_bytes(15, 100) == 0);
    CHECK_TRUE(cpu_backend.head_screen_bytes(16, 100) == 100 * (16 * 2 + 4));
}

int main(void)
{
    if (cpu_backend.head_screen_bytes(16, 1) == 0) {
        printf("skipped: no AVX-512 bf16 here\n");
        return 77;
    }
    CASE(whole_numbers_give_the_lowest_index_of_the_largest);
    CASE(what_bf16_cannot_tell_apart_is_decided_in_float32);
    CASE(roundings_of_one_direction_rule_out_nothing);
    CASE(what_is_no_number_gives_some_column);
    CASE(zeros_give_the_first);
    CASE(a_width_without_pairs_has_no_screen);
    return test_end();
}
