/* err, mem and hash: three small modules of sim/base. */
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/hash.h"
#include "sim/base/mem.h"
#include "tests/test.h"

static void a_message_grows_on_its_way_up(void)
{
    struct err e = {0};
    enum err_code code = err_set(&e, ERR_INPUT, "expected %d, got %s", 3, "four");
    CHECK_INT(err_in(&e, code, "file %s", "x.json"), ERR_INPUT);
    CHECK_STR(e.text, "file x.json: expected 3, got four");
    CHECK_INT(e.code, ERR_INPUT);
    CHECK_INT(err_set(NULL, ERR_IO, "unheard"), ERR_IO);
    CHECK_INT(err_in(NULL, ERR_IO, "unheard"), ERR_IO);
}

static void a_long_message_is_cut_visibly(void)
{
    struct err e = {0};
    char text[3000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    err_set(&e, ERR_INPUT, "%s", text);
    CHECK_INT(strlen(e.text), ERR_TEXT_BYTES - 1);
    CHECK_STR(e.text + ERR_TEXT_BYTES - 5, "x...");
    err_in(&e, ERR_INPUT, "where");
    CHECK_INT(strlen(e.text), ERR_TEXT_BYTES - 1);
    CHECK_HAS(e.text, "where: xxx");
}

/* A key "a\\nb" of a user's file broke the line: found by fuzz_folder and fuzz_scenario. */
static void a_message_stays_one_line_whatever_it_quotes(void)
{
    struct err e = {0};
    err_set(&e, ERR_INPUT, "unknown key \"%s\"", "a\nb\r\x1b[2Jc\x7f");
    CHECK_STR(e.text, "unknown key \"a?b??[2Jc?\"");
    err_in(&e, ERR_INPUT, "%s", "line\nbreak.json");
    CHECK_STR(e.text, "line?break.json: unknown key \"a?b??[2Jc?\"");
}

static void exit_status_is_0_done_1_failed_2_asked_wrongly_130_interrupted(void)
{
    CHECK_INT(err_exit_status(OK), 0);
    CHECK_INT(err_exit_status(ERR_INPUT), 2);
    CHECK_INT(err_exit_status(ERR_LIMIT), 2);
    CHECK_INT(err_exit_status(ERR_IO), 1);
    CHECK_INT(err_exit_status(ERR_MEMORY), 1);
    CHECK_INT(err_exit_status(ERR_DEVICE), 1);
    CHECK_INT(err_exit_status(ERR_INTERNAL), 1);
    CHECK_INT(err_exit_status(ERR_INTERRUPTED), 130);
}

static void products_and_sums_of_sizes_cannot_overflow(void)
{
    size_t n = 7;
    CHECK_TRUE(size_mul(SIZE_MAX, 1, &n) && n == SIZE_MAX);
    CHECK_TRUE(size_mul(SIZE_MAX, 0, &n) && n == 0);
    CHECK_TRUE(!size_mul(SIZE_MAX / 2 + 1, 2, &n) && n == 0);
    CHECK_TRUE(size_mul3(1000, 1000, 1000, &n) && n == 1000000000);
    n = 7;
    CHECK_TRUE(!size_mul3(SIZE_MAX / 4, 2, 3, &n) && n == 7);
    CHECK_TRUE(size_add(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX);
    CHECK_TRUE(!size_add(SIZE_MAX, 1, &n));
}

static void arenas_hand_out_zeroed_aligned_memory_of_any_size(void)
{
    struct arena a = {0};
    const size_t sizes[] = {0, 1, 15, 16, 17, 1000, 100000, 3};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned char *p = arena_alloc(&a, sizes[i], 1);
        CHECK_INT((uintptr_t)p % 16, 0);
        for (size_t k = 0; k < sizes[i]; k++) {
            CHECK_TRUE(p[k] == 0);
            p[k] = 0xff;
        }
    }
    CHECK_STR(arena_strdup(&a, "copy"), "copy");
    CHECK_STR(arena_printf(&a, "%s %d", "client", 3), "client 3");
    CHECK_TRUE(a.n_bytes > 101000);
    arena_free(&a);
    CHECK_TRUE(!a.head && a.n_bytes == 0);
    arena_free(&a);
    arena_free(NULL);
}

static void big_blocks_are_zeroed_aligned_or_refused_with_their_size(void)
{
    void *p = NULL;
    struct err e = {0};
    CHECK_INT(mem_big(&p, 1001, "a test", &e), OK);
    CHECK_INT((uintptr_t)p % 64, 0);
    for (size_t i = 0; i < 1001; i++)
        CHECK_TRUE(((unsigned char *)p)[i] == 0);
    mem_free(p);
    p = NULL;
    CHECK_INT(mem_big(&p, SIZE_MAX - 3, "a test", &e), ERR_MEMORY);
    CHECK_HAS(e.text, "a test needs 17179869184.0 GiB");
    /* 16 TiB: addresses there are, memory there is not. */
    CHECK_INT(mem_big(&p, (size_t)1 << 44, "a test", &e), ERR_MEMORY);
    CHECK_HAS(e.text, "16384.0 GiB");
    CHECK_TRUE(p == NULL);
}

static void arrays_grow_and_keep_their_items(void)
{
    int *items = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        mem_grow((void **)&items, &cap, (size_t)i + 1, sizeof(*items));
        items[i] = i;
    }
    CHECK_TRUE(cap >= 1000 && cap < 3000);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(items[i], i);
    mem_free(items);
}

/* XXH3's 128-bit hash of nothing, as xxHash publishes it. */
static void the_hash_is_xxh3_of_128_bits(void)
{
    char hex[33];
    hash_hex(hash_bytes("", 0), hex);
    CHECK_STR(hex, "99aa06d3014798d86001c324468d497f");
}

static void folded_hashes_know_order_and_boundaries(void)
{
    struct hash128 none = {0, 0};
    struct hash128 ab_c = hash_more(hash_more(none, "ab", 2), "c", 1);
    struct hash128 a_bc = hash_more(hash_more(none, "a", 1), "bc", 2);
    struct hash128 c_ab = hash_more(hash_more(none, "c", 1), "ab", 2);
    struct hash128 again = hash_more(hash_more(none, "ab", 2), "c", 1);
    CHECK_TRUE(ab_c.lo == again.lo && ab_c.hi == again.hi);
    CHECK_TRUE(ab_c.lo != a_bc.lo && ab_c.lo != c_ab.lo);
}

int main(void)
{
    CASE(a_message_grows_on_its_way_up);
    CASE(a_long_message_is_cut_visibly);
    CASE(a_message_stays_one_line_whatever_it_quotes);
    CASE(exit_status_is_0_done_1_failed_2_asked_wrongly_130_interrupted);
    CASE(products_and_sums_of_sizes_cannot_overflow);
    CASE(arenas_hand_out_zeroed_aligned_memory_of_any_size);
    CASE(big_blocks_are_zeroed_aligned_or_refused_with_their_size);
    CASE(arrays_grow_and_keep_their_items);
    CASE(the_hash_is_xxh3_of_128_bits);
    CASE(folded_hashes_know_order_and_boundaries);
    return test_end();
}
