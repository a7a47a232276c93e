#include "sim/base/rng.h"

#include "tests/test.h"

static void check_words(struct rng4 got, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    CHECK_INT(got.v[0], a);
    CHECK_INT(got.v[1], b);
    CHECK_INT(got.v[2], c);
    CHECK_INT(got.v[3], d);
}

/* Philox 4x32-10 in Random123's kat_vectors. */
static void philox_gives_the_known_answers_of_its_authors(void)
{
    check_words(rng_philox(0, 0, (struct rng4){{0, 0, 0, 0}}), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c,
                0x9b00dbd8);
    check_words(rng_philox(0xffffffff, 0xffffffff,
                           (struct rng4){{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}),
                0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    check_words(rng_philox(0xa4093822, 0x299f31d0,
                           (struct rng4){{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}),
                0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

static void seed_is_the_key_and_index_owner_stream_the_counter(void)
{
    struct rng4 b = rng_block(0x299f31d0a4093822, 0x03707344, 0x13198a2e, 0x85a308d3243f6a88);
    check_words(b, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
    CHECK_TRUE(rng_u64(0x299f31d0a4093822, 0x03707344, 0x13198a2e, 0x85a308d3243f6a88) ==
               0x94fdccebd16cfe09);
}

/* The product of 64 by 64 bits, in the compiler's own 128 bits. */
static uint64_t high_half(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)a * b >> 64);
}

static void below_is_the_high_half_of_the_product(void)
{
    const uint64_t bounds[] = {1, 2, 3, 10, 4294967295u, 4294967296u, 4294967297u, UINT64_MAX};
    for (size_t k = 0; k < sizeof(bounds) / sizeof(bounds[0]); k++)
        for (uint64_t i = 0; i < 1000; i++) {
            uint64_t got = rng_below(5, RNG_PICK, 9, i, bounds[k]);
            if (got != high_half(rng_u64(5, RNG_PICK, 9, i), bounds[k]) || got >= bounds[k])
                TEST_FAIL("n %llu, draw %llu: %llu", (unsigned long long)bounds[k],
                          (unsigned long long)i, (unsigned long long)got);
        }
}

/* Means and variances within five standard errors of n draws. */
static void uniform_and_normal_have_their_first_two_moments(void)
{
    enum { N = 100000 };
    double su = 0, suu = 0, sn = 0, snn = 0, lo = 1, hi = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_uniform(1, RNG_SPLIT, 0, i), z = rng_normal(1, RNG_SPLIT, 1, i);
        su += u;
        suu += u * u;
        sn += z;
        snn += z * z;
        lo = u < lo ? u : lo;
        hi = u > hi ? u : hi;
    }
    CHECK_TRUE(lo > 0 && hi < 1);
    CHECK_NEAR(su / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    CHECK_NEAR(suu / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
    CHECK_NEAR(sn / N, 0, 5 * sqrt(1.0 / N));
    CHECK_NEAR(snn / N, 1, 5 * sqrt(2.0 / N));
}

static void another_seed_stream_owner_or_index_is_another_number(void)
{
    uint64_t here = rng_u64(1, 2, 3, 4);
    CHECK_TRUE(here == rng_u64(1, 2, 3, 4));
    CHECK_TRUE(here != rng_u64(2, 2, 3, 4));
    CHECK_TRUE(here != rng_u64(1, 3, 3, 4));
    CHECK_TRUE(here != rng_u64(1, 2, 4, 4));
    CHECK_TRUE(here != rng_u64(1, 2, 3, 5));
    CHECK_TRUE(here != rng_u64(1ull << 32 | 1, 2, 3, 4));
    CHECK_TRUE(here != rng_u64(1, 2, 3, 1ull << 32 | 4));
}

int main(void)
{
    CASE(philox_gives_the_known_answers_of_its_authors);
    CASE(seed_is_the_key_and_index_owner_stream_the_counter);
    CASE(below_is_the_high_half_of_the_product);
    CASE(uniform_and_normal_have_their_first_two_moments);
    CASE(another_seed_stream_owner_or_index_is_another_number);
    return test_end();
}
