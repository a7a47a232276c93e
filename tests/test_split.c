#include <stdio.h>
#include <string.h>

#include "models/split.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "tests/test.h"

enum { MAX_LABELS = 32 };

static int *cycle_labels(size_t n, int n_labels)
{
    int *label = NULL;
    size_t cap = 0;
    mem_grow((void **)&label, &cap, n, sizeof(*label));
    for (size_t i = 0; i < n; i++)
        label[i] = (int)(i % (size_t)n_labels);
    return label;
}

static struct split make(enum split_kind kind, double alpha, size_t n_clients, size_t n,
                         int n_labels, uint64_t seed, size_t min_samples)
{
    struct split_spec spec = {kind, alpha, n_clients, min_samples, seed};
    struct split s = {0};
    struct err e;
    int *label = n_labels ? cycle_labels(n, n_labels) : NULL;
    if (split_init(&s, &spec, n, label, n_labels, &e))
        TEST_FAIL("%s", e.text);
    mem_free(label);
    return s;
}

static void every_sample_goes_to_one_client_in_every_kind(void)
{
    enum { N = 1009 };
    for (int kind = SPLIT_IID; kind <= SPLIT_DIRICHLET; kind++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct split s = make((enum split_kind)kind, 0.3, 37, N, 5, seed, seed % 2);
            int n_seen[N] = {0};
            CHECK_INT(s.start[37], N);
            for (size_t c = 0; c < s.n_clients; c++) {
                CHECK_TRUE(s.start[c] <= s.start[c + 1]);
                CHECK_TRUE(seed % 2 == 0 || split_size(&s, c) >= 1);
                for (size_t i = s.start[c]; i < s.start[c + 1]; i++) {
                    n_seen[s.sample[i]]++;
                    CHECK_TRUE(i == s.start[c] || s.sample[i] > s.sample[i - 1]);
                }
            }
            for (size_t i = 0; i < N; i++)
                if (n_seen[i] != 1)
                    TEST_FAIL("kind %d: sample %zu is held %d times", kind, i, n_seen[i]);
            split_fini(&s);
        }
}

static void iid_sizes_differ_by_one_at_most(void)
{
    struct split s = make(SPLIT_IID, 0, 7, 100, 0, 3, 1);
    for (size_t c = 0; c < 7; c++)
        CHECK_INT(split_size(&s, c), c < 2 ? 15 : 14);
    split_fini(&s);
}

static bool is_same(const struct split *a, const struct split *b)
{
    return memcmp(a->start, b->start, (a->n_clients + 1) * sizeof(*a->start)) == 0 &&
           memcmp(a->sample, b->sample, a->n_samples * sizeof(*a->sample)) == 0;
}

static void a_split_is_a_function_of_its_seed(void)
{
    for (int kind = SPLIT_IID; kind <= SPLIT_DIRICHLET; kind++) {
        struct split a = make((enum split_kind)kind, 1, 10, 500, 4, 7, 1);
        struct split b = make((enum split_kind)kind, 1, 10, 500, 4, 7, 1);
        struct split c = make((enum split_kind)kind, 1, 10, 500, 4, 8, 1);
        CHECK_TRUE(is_same(&a, &b));
        CHECK_TRUE(!is_same(&a, &c));
        split_fini(&a);
        split_fini(&b);
        split_fini(&c);
    }
}

/* --- expectations of tests/vectors/splits/expected.json --- */

static struct json_doc *expected(const char *key, struct json *list)
{
    struct json_doc *doc = NULL;
    struct err e;
    if (json_load(&doc, TEST_VECTORS "/splits/expected.json", &e) ||
        json_array(json_root(doc), key, list, &e)) {
        printf("%s\n", e.text);
        exit(1);
    }
    return doc;
}

static double number(struct json o, const char *key)
{
    double x = 0;
    struct err e;
    if (json_double(o, key, -1e300, 1e300, NULL, &x, &e))
        TEST_FAIL("%s", e.text);
    return x;
}

static double sum_of_squares(const struct split *s)
{
    double sum = 0;
    for (size_t c = 0; c < s->n_clients; c++) {
        double share = (double)split_size(s, c) / (double)s->n_samples;
        sum += share * share;
    }
    return sum;
}

static void sizes_are_as_uneven_as_their_alpha_says(void)
{
    struct json list, tolerance;
    struct json_doc *doc = expected("sizes", &list);
    struct err e;
    for (size_t i = 0; i < json_count(list); i++) {
        struct json o = json_at(list, i);
        double sum = 0, sum_20 = 0, want = number(o, "sum_squares_mean");
        if (json_object(o, "tolerance", &tolerance, &e))
            TEST_FAIL("%s", e.text);
        for (uint64_t seed = 0; seed < 200; seed++) {
            struct split s = make(SPLIT_SIZES, number(o, "alpha"), (size_t)number(o, "clients"),
                                  (size_t)number(o, "samples"), 0, seed, 0);
            double squares = sum_of_squares(&s);
            sum += squares;
            sum_20 += seed < 20 ? squares : 0;
            if (seed == 0)
                CHECK_TRUE(fabs(squares - want) <= number(tolerance, "seeds_1"));
            split_fini(&s);
        }
        if (!(fabs(sum / 200 - want) <= number(tolerance, "seeds_200")))
            TEST_FAIL("row %zu: mean of squares %g, want %g", i, sum / 200, want);
        CHECK_TRUE(fabs(sum_20 / 20 - want) <= number(tolerance, "seeds_20"));
    }
    json_close(doc);
}

/* Each count is n p rounded down or up, and nobody is rounded up past a larger remainder. */
static void counts_are_rounded_by_largest_remainder(void)
{
    enum { N = 1013, K = 50 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct split s = make(SPLIT_SIZES, 0.7, K, N, 0, seed, 0);
        double p[K], most_down = 0, least_up = 1;
        split_dirichlet(seed, SPLIT_SIZES_OWNER, 0.7, K, p);
        for (size_t c = 0; c < K; c++) {
            double rest = N * p[c] - floor(N * p[c]);
            double given = (double)split_size(&s, c) - floor(N * p[c]);
            CHECK_TRUE(given == 0 || given == 1);
            most_down = given == 0 ? fmax(most_down, rest) : most_down;
            least_up = given == 1 ? fmin(least_up, rest) : least_up;
        }
        CHECK_TRUE(most_down <= least_up);
        split_fini(&s);
    }
}

/* Share of draws below each quantile, 200 seeds x N clients; the draws of one seed are nearly
 * independent, so 4.5 standard errors of a binomial. */
static void shares_at_alpha_1_have_the_quantiles_of_a_beta(void)
{
    static const char *const at[] = {"0.05", "0.25", "0.5", "0.75", "0.95"};
    struct json list, quantiles;
    struct json_doc *doc = expected("sizes", &list);
    struct err e;
    if (json_object(json_at(list, 0), "share_quantiles", &quantiles, &e))
        TEST_FAIL("%s", e.text);
    for (size_t q = 0; q < 5; q++) {
        double below = 0, p[100], want = atof(at[q]), limit = number(quantiles, at[q]);
        for (uint64_t seed = 0; seed < 200; seed++) {
            split_dirichlet(seed, 9, 1.0, 100, p);
            for (int i = 0; i < 100; i++)
                below += p[i] < limit;
        }
        double error = 4.5 * sqrt(want * (1 - want) / 20000);
        if (!(fabs(below / 20000 - want) <= error))
            TEST_FAIL("quantile %s: %g of the shares are below", at[q], below / 20000);
    }
    json_close(doc);
}

struct class_statistics {
    double share_of_class, size, class_of_client; /* variances, averaged over seeds */
};

static struct class_statistics class_statistics(struct json o, uint64_t seed)
{
    size_t n_labels = (size_t)number(o, "classes"), n_clients = (size_t)number(o, "clients");
    double per_class = number(o, "samples_per_class");
    size_t n = n_labels * (size_t)per_class;
    struct split s = make(SPLIT_BY_CLASS, number(o, "alpha"), n_clients, n, (int)n_labels, seed, 0);
    struct class_statistics v = {0};
    double n_holders = 0, mean_size = (double)n / (double)n_clients;
    for (size_t c = 0; c < n_clients; c++) {
        double count[MAX_LABELS] = {0}, size = (double)split_size(&s, c);
        for (size_t i = s.start[c]; i < s.start[c + 1]; i++)
            count[s.sample[i] % n_labels]++;
        v.size += (size - mean_size) * (size - mean_size) / (double)n_clients;
        n_holders += size > 0;
        for (size_t l = 0; l < n_labels; l++) {
            double share = count[l] / per_class - 1 / (double)n_clients;
            double own = size > 0 ? count[l] / size - 1 / (double)n_labels : 0;
            v.share_of_class += share * share / (double)(n_clients * n_labels);
            v.class_of_client += own * own / (double)n_labels;
        }
    }
    v.class_of_client /= n_holders;
    split_fini(&s);
    return v;
}

static void labels_are_dealt_out_as_unevenly_as_expected(void)
{
    struct json list;
    struct json_doc *doc = expected("by_class", &list);
    for (size_t i = 0; i < json_count(list); i++) {
        struct json o = json_at(list, i);
        struct class_statistics mean = {0};
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct class_statistics v = class_statistics(o, seed);
            mean.share_of_class += v.share_of_class / 20;
            mean.size += v.size / 20;
            mean.class_of_client += v.class_of_client / 20;
        }
        CHECK_REL(mean.share_of_class, number(o, "client_share_of_class_variance"), 0.1);
        CHECK_REL(sqrt(mean.size), number(o, "client_size_sd_rounded"), 0.1);
        CHECK_REL(mean.class_of_client, number(o, "class_share_of_client_variance"), 0.1);
    }
    json_close(doc);
}

static void clients_draw_label_mixes_of_the_expected_purity(void)
{
    struct json list;
    struct json_doc *doc = expected("by_client", &list);
    for (size_t i = 0; i < json_count(list); i++) {
        struct json o = json_at(list, i);
        size_t n_labels = (size_t)number(o, "classes"), n_clients = (size_t)number(o, "clients");
        double sum = 0, q[MAX_LABELS];
        for (uint32_t c = 0; c < n_clients; c++) {
            split_dirichlet(5, c, number(o, "alpha"), n_labels, q);
            for (size_t l = 0; l < n_labels; l++)
                sum += q[l] * q[l] / (double)n_clients;
        }
        CHECK_TRUE(fabs(sum - number(o, "purity_of_probabilities_mean")) <=
                   number(o, "tolerance_mean_purity_of_probabilities"));
    }
    json_close(doc);
}

/* In a finite set the last draws must take what is left, so the purity is a little below that of
 * draws without end. Measured over 20 seeds; 1 / n_labels would be the purity of an IID split. */
static void samples_of_a_client_follow_its_mix_until_labels_run_out(void)
{
    struct json list;
    struct json_doc *doc = expected("by_client", &list);
    for (size_t i = 0; i < json_count(list); i++) {
        struct json o = json_at(list, i);
        size_t n_labels = (size_t)number(o, "classes"), n_clients = (size_t)number(o, "clients");
        size_t n = n_clients * 140; /* a multiple of 20 and 5: equal classes */
        double sum = 0;
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct split s =
                make(SPLIT_BY_CLIENT, number(o, "alpha"), n_clients, n, (int)n_labels, seed, 1);
            for (size_t c = 0; c < n_clients; c++) {
                double count[MAX_LABELS] = {0};
                CHECK_INT(split_size(&s, c), 140);
                for (size_t j = s.start[c]; j < s.start[c + 1]; j++)
                    count[s.sample[j] % n_labels]++;
                for (size_t l = 0; l < n_labels; l++)
                    sum += count[l] * count[l] / 140 / 140 / (double)n_clients / 20;
            }
            split_fini(&s);
        }
        CHECK_REL(sum, number(o, "purity_of_counts_mean"), 0.2);
    }
    json_close(doc);
}

/* --- the rule for empty clients --- */

static void an_empty_client_takes_one_from_the_largest(void)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct split raw = make(SPLIT_SIZES, 0.1, 100, 1000, 0, seed, 0);
        struct split fixed = make(SPLIT_SIZES, 0.1, 100, 1000, 0, seed, 1);
        size_t count[100];
        bool is_empty[100];
        int n_empty = 0;
        for (size_t c = 0; c < 100; c++) {
            count[c] = split_size(&raw, c);
            is_empty[c] = count[c] == 0;
            n_empty += is_empty[c];
        }
        CHECK_TRUE(n_empty > 10);
        for (size_t c = 0; c < 100; c++) {
            size_t rich = 0;
            if (!is_empty[c])
                continue;
            for (size_t r = 1; r < 100; r++)
                rich = count[r] > count[rich] ? r : rich;
            count[rich]--;
            count[c]++;
        }
        for (size_t c = 0; c < 100; c++)
            CHECK_INT(split_size(&fixed, c), count[c]);
        split_fini(&raw);
        split_fini(&fixed);
    }
}

static void as_many_samples_as_clients_give_each_client_one(void)
{
    struct split s = make(SPLIT_SIZES, SPLIT_MIN_ALPHA, 50, 50, 0, 1, 1);
    for (size_t c = 0; c < 50; c++)
        CHECK_INT(split_size(&s, c), 1);
    split_fini(&s);
}

static void what_cannot_be_split_is_refused(void)
{
    struct split_spec spec = {SPLIT_IID, 1, 11, 1, 0};
    struct split s;
    struct err e;
    CHECK_INT(split_init(&s, &spec, 10, NULL, 0, &e), ERR_INPUT);
    CHECK_HAS(e.text, "11 clients need as many training samples, got 10");
    spec.n_clients = 5;
    spec.kind = SPLIT_BY_CLASS;
    CHECK_INT(split_init(&s, &spec, 10, NULL, 0, &e), ERR_INPUT);
    CHECK_HAS(e.text, "labels");
    spec.kind = SPLIT_SIZES;
    spec.alpha = 0;
    CHECK_INT(split_init(&s, &spec, 10, NULL, 0, &e), ERR_INPUT);
    spec.alpha = (double)NAN;
    CHECK_INT(split_init(&s, &spec, 10, NULL, 0, &e), ERR_INPUT);
}

/* --- batches --- */

static bool is_held(const struct split *s, size_t client, uint32_t sample)
{
    for (size_t i = s->start[client]; i < s->start[client + 1]; i++)
        if (s->sample[i] == sample)
            return true;
    return false;
}

static void mini_batches_hold_distinct_samples_of_the_client(void)
{
    struct split s = make(SPLIT_SIZES, 1, 20, 300, 0, 4, 1);
    for (size_t c = 0; c < 20; c++) {
        uint32_t sample[10 * 8];
        size_t m = split_batch(&s, 4, c, 3, 10, 8, sample), n = split_size(&s, c);
        CHECK_INT(m, n < 8 ? n : 8);
        for (size_t step = 0; step < 10; step++)
            for (size_t i = 0; i < m; i++) {
                CHECK_TRUE(is_held(&s, c, sample[step * m + i]));
                for (size_t j = 0; j < i; j++)
                    CHECK_TRUE(sample[step * m + i] != sample[step * m + j]);
            }
    }
    split_fini(&s);
}

static void no_sample_comes_twice_before_the_permutation_is_used_up(void)
{
    struct split s = make(SPLIT_IID, 1, 1, 19, 0, 0, 1);
    int n_seen[19] = {0};
    uint32_t sample[6 * 4];
    CHECK_INT(split_batch(&s, 1, 0, 1, 6, 4, sample), 4);
    for (int i = 0; i < 16; i++) /* 4 mini-batches of 4; the 3 left are passed over */
        CHECK_INT(++n_seen[sample[i]], 1);
    split_fini(&s);
}

static void batches_depend_on_seed_client_and_round_alone(void)
{
    struct split s = make(SPLIT_IID, 1, 2, 80, 0, 0, 1);
    uint32_t a[16], b[16], longer[32];
    split_batch(&s, 1, 0, 5, 2, 8, a);
    split_batch(&s, 1, 0, 5, 4, 8, longer);
    CHECK_TRUE(memcmp(a, longer, sizeof(a)) == 0); /* more steps, same start */
    split_batch(&s, 1, 0, 6, 2, 8, b);
    CHECK_TRUE(memcmp(a, b, sizeof(a)) != 0);
    split_batch(&s, 2, 0, 5, 2, 8, b);
    CHECK_TRUE(memcmp(a, b, sizeof(a)) != 0);
    split_fini(&s);
}

static void every_sample_is_used_equally_often_over_many_rounds(void)
{
    struct split s = make(SPLIT_IID, 1, 1, 10, 0, 0, 1);
    int n_seen[10] = {0};
    for (uint64_t round = 1; round <= 5000; round++) {
        uint32_t sample[6];
        split_batch(&s, 1, 0, round, 2, 3, sample);
        for (int i = 0; i < 6; i++)
            n_seen[sample[i]]++;
    }
    for (int i = 0; i < 10; i++) /* mean 3000, sd sqrt(5000 * 0.6 * 0.4) = 35 */
        CHECK_TRUE(abs(n_seen[i] - 3000) < 5 * 35);
    split_fini(&s);
}

static void an_epoch_deals_every_sample_once_and_the_rest_in_a_smaller_mini_batch(void)
{
    struct split s = make(SPLIT_IID, 1, 2, 21, 0, 0, 1); /* 11 and 10 samples */
    const struct split_dealing d = {.n_epochs = 3, .batch = 4};
    struct split_work w = split_work_of(&s, 0, &d);
    size_t n = split_size(&s, 0);
    CHECK_INT(n, 11);
    CHECK_INT(w.n_full, 6);
    CHECK_INT(w.rest, 3);
    CHECK_INT(split_work_steps(&w), 9);
    CHECK_INT(split_work_samples(&w), 33);
    CHECK_INT(split_most_steps(&s, &d), 9);
    uint32_t sample[36], again[36];
    int n_per_step[10];
    n_per_step[9] = 7;
    CHECK_INT(split_deal(&s, &d, 1, 0, 5, 10, sample, n_per_step), 33);
    for (int i = 0; i < 10; i++)
        CHECK_INT(n_per_step[i], i == 9 ? 0 : i % 3 == 2 ? 3 : 4);
    for (size_t epoch = 0; epoch < 3; epoch++) {
        int n_seen[21] = {0};
        for (size_t i = 0; i < n; i++)
            n_seen[sample[epoch * n + i]]++;
        for (size_t i = 0; i < n; i++)
            CHECK_INT(n_seen[s.sample[s.start[0] + i]], 1);
    }
    CHECK_TRUE(memcmp(sample, sample + n, n * sizeof(*sample)) != 0); /* another order each time */
    split_deal(&s, &d, 1, 0, 6, 10, again, n_per_step);
    CHECK_TRUE(memcmp(sample, again, n * sizeof(*sample)) != 0);
    split_deal(&s, &d, 1, 0, 5, 10, again, n_per_step);
    CHECK_TRUE(memcmp(sample, again, 33 * sizeof(*sample)) == 0);
    split_fini(&s);
}

static void steps_are_dealt_as_split_batch_deals_them(void)
{
    struct split s = make(SPLIT_IID, 1, 2, 21, 0, 0, 1);
    const struct split_dealing d = {.n_steps = 4, .batch = 5};
    uint32_t got[20], want[20];
    int n_per_step[4];
    CHECK_INT(split_most_steps(&s, &d), 4);
    CHECK_INT(split_deal(&s, &d, 3, 1, 7, 4, got, n_per_step), 20);
    CHECK_INT(split_batch(&s, 3, 1, 7, 4, 5, want), 5);
    CHECK_TRUE(memcmp(got, want, sizeof(got)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK_INT(n_per_step[i], 5);
    split_fini(&s);
}

/* --- the scenario's "split" --- */

static enum err_code parse(const char *text, struct split_spec *spec, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, "s.json", text, strlen(text), e);
    if (!code)
        code = split_parse(json_root(doc), "split", spec, e);
    json_close(doc);
    return code;
}

static void the_scenario_names_the_kind_and_alpha(void)
{
    struct split_spec s = {0};
    struct err e;
    CHECK_INT(parse("{}", &s, &e), OK);
    CHECK_INT(s.kind, SPLIT_IID);
    CHECK_INT(s.min_samples, 1);
    CHECK_INT(parse("{\"split\": {\"kind\": \"dirichlet\", \"alpha\": 0.5}}", &s, &e), OK);
    CHECK_INT(s.kind, SPLIT_DIRICHLET);
    CHECK_NEAR(s.alpha, 0.5, 0);
    CHECK_INT(parse("{\"split\": {\"kind\": \"dirichlet\", \"alpha\": 0}}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "split.alpha");
    CHECK_INT(parse("{\"split\": {\"kind\": \"iid\", \"alpha\": 1}}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "split.alpha: an iid split has no alpha");
    CHECK_INT(parse("{\"split\": {\"kind\": \"dirichlett\"}}", &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, "\"dirichlet\"");
}

int main(void)
{
    CASE(every_sample_goes_to_one_client_in_every_kind);
    CASE(iid_sizes_differ_by_one_at_most);
    CASE(a_split_is_a_function_of_its_seed);
    CASE(sizes_are_as_uneven_as_their_alpha_says);
    CASE(counts_are_rounded_by_largest_remainder);
    CASE(shares_at_alpha_1_have_the_quantiles_of_a_beta);
    CASE(labels_are_dealt_out_as_unevenly_as_expected);
    CASE(clients_draw_label_mixes_of_the_expected_purity);
    CASE(samples_of_a_client_follow_its_mix_until_labels_run_out);
    CASE(an_empty_client_takes_one_from_the_largest);
    CASE(as_many_samples_as_clients_give_each_client_one);
    CASE(what_cannot_be_split_is_refused);
    CASE(mini_batches_hold_distinct_samples_of_the_client);
    CASE(no_sample_comes_twice_before_the_permutation_is_used_up);
    CASE(batches_depend_on_seed_client_and_round_alone);
    CASE(every_sample_is_used_equally_often_over_many_rounds);
    CASE(an_epoch_deals_every_sample_once_and_the_rest_in_a_smaller_mini_batch);
    CASE(steps_are_dealt_as_split_batch_deals_them);
    CASE(the_scenario_names_the_kind_and_alpha);
    return test_end();
}
