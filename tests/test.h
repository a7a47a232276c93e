/* tests/test.h: a test program is a list of cases, each named as the claim it checks.
 *
 *   static void two_and_two_are_four(void) { CHECK_INT(2 + 2, 4); }
 *   int main(void) { CASE(two_and_two_are_four); return test_end(); }
 *
 * Checks go on after a failure and print both values. SKIP_UNLESS ends the program as skipped (77). */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test_state {
    const char *name;
    int n_cases, n_failed_cases, n_failures_here, n_skipped_cases;
    bool is_skipped_here;
};

/* The one piece of state of a test program. */
static inline struct test_state *test_state(void)
{
    static struct test_state s;
    return &s;
}

#define CASE(function)                                                                             \
    do {                                                                                           \
        test_begin(#function);                                                                     \
        function();                                                                                \
        test_finish();                                                                             \
    } while (0)

static inline void test_begin(const char *name)
{
    test_state()->name = name;
    test_state()->n_failures_here = 0;
    test_state()->is_skipped_here = false;
}

static inline void test_finish(void)
{
    struct test_state *s = test_state();
    s->n_cases++;
    s->n_failed_cases += s->n_failures_here > 0;
    bool is_skipped = s->is_skipped_here && !s->n_failures_here;
    s->n_skipped_cases += is_skipped;
    printf("%s %s\n", s->n_failures_here ? "FAIL" : is_skipped ? "skip" : "ok  ", s->name);
    fflush(stdout);
}

static inline int test_end(void)
{
    struct test_state *s = test_state();
    printf("%d passed, %d failed, %d skipped\n",
           s->n_cases - s->n_failed_cases - s->n_skipped_cases, s->n_failed_cases,
           s->n_skipped_cases);
    return s->n_failed_cases || s->n_cases == 0 ? 1 : 0;
}

#define TEST_FAIL(...)                                                                             \
    do {                                                                                           \
        test_state()->n_failures_here++;                                                           \
        printf("  %s:%d: ", __FILE__, __LINE__);                                                   \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
    } while (0)

#define CHECK_TRUE(cond)                                                                           \
    do {                                                                                           \
        if (!(cond))                                                                               \
            TEST_FAIL("%s is false", #cond);                                                       \
    } while (0)

#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(want);                                   \
        if (g_ != w_)                                                                              \
            TEST_FAIL("%s: got %lld, want %lld", #got, g_, w_);                                    \
    } while (0)

#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *g_ = (got), *w_ = (want);                                                      \
        if (!g_ || !w_ || strcmp(g_, w_) != 0)                                                     \
            TEST_FAIL("%s: got \"%s\", want \"%s\"", #got, g_ ? g_ : "(null)", w_ ? w_ : "(null)"); \
    } while (0)

/* The message holds the words. */
#define CHECK_HAS(text, words)                                                                     \
    do {                                                                                           \
        const char *t_ = (text), *w_ = (words);                                                    \
        if (!strstr(t_, w_))                                                                       \
            TEST_FAIL("\"%s\" lacks \"%s\"", t_, w_);                                              \
    } while (0)

/* |got - want| <= tolerance * max(1, |want|). */
#define CHECK_NEAR(got, want, tolerance)                                                           \
    do {                                                                                           \
        double g_ = (got), w_ = (want), t_ = (tolerance);                                          \
        if (!(fabs(g_ - w_) <= t_ * fmax(1.0, fabs(w_))))                                          \
            TEST_FAIL("%s: got %.17g, want %.17g, off by %.3g", #got, g_, w_, g_ - w_);            \
    } while (0)

/* |got - want| <= tolerance * |want|. */
#define CHECK_REL(got, want, tolerance)                                                            \
    do {                                                                                           \
        double g_ = (got), w_ = (want), t_ = (tolerance);                                          \
        if (!(fabs(g_ - w_) <= t_ * fabs(w_)))                                                     \
            TEST_FAIL("%s: got %.17g, want %.17g, relative %.3g", #got, g_, w_, g_ / w_ - 1);      \
    } while (0)

/* Leaves the case, counted as skipped, when a folder or file that a user's clone lacks is not there. */
#define SKIP_CASE_UNLESS(path)                                                                     \
    do {                                                                                           \
        if (access((path), R_OK) != 0) {                                                           \
            printf("  skipped: %s is not here\n", (path));                                         \
            test_state()->is_skipped_here = true;                                                  \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* Ends the program as skipped when a folder or file that a user's clone lacks is not there. */
#define SKIP_UNLESS(path)                                                                          \
    do {                                                                                           \
        if (access((path), R_OK) != 0) {                                                           \
            printf("skipped: %s is not here\n", (path));                                           \
            exit(77);                                                                              \
        }                                                                                          \
    } while (0)

#endif
