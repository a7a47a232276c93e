/* Adapters: layout, initial values, and the folder that PEFT writes and reads. */
#include "tests/test.h"

#include "models/peft.h"
#include "models/weights.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

static const char *folder(void)
{
    static char path[] = "test_peft.XXXXXX";
    static bool is_made;
    if (!is_made)
        is_made = mkdtemp(path) != NULL;
    return path;
}

static const struct t5_config small = {40, 12, 4, 20, 2, 2, 1, 32, 128, 1e-6f, 0.1f, 0, 1, 0};

static void the_layout_covers_the_vector_without_gaps(void)
{
    struct lora_layout l;
    const struct lora_spec s = {.rank = 3, .alpha = 6, .targets = (1u << N_LORA_TARGETS) - 1};
    lora_layout_init(&l, &small, &s);
    CHECK_INT(l.n_sites, 2 * 7 + 11);
    size_t at = 0;
    for (int i = 0; i < l.n_sites; i++) {
        CHECK_INT(l.site[i].a, at);
        CHECK_INT(l.site[i].b, at + 3 * (size_t)l.site[i].d_in);
        at = l.site[i].b + 3 * (size_t)l.site[i].d_out;
        CHECK_INT(l.site_of[l.site[i].layer][l.site[i].matrix], i);
    }
    CHECK_INT(l.size, at);
    CHECK_INT(lora_size(&small, &s), at);
    /* q k v: 12 -> 8; o: 8 -> 12; wi: 12 -> 20; wo: 20 -> 12 */
    CHECK_INT(at, 3 * (4 * 4 * 20 + 3 * 3 * 32));
    CHECK_INT(l.site_of[0][LORA_AT_CQ], -1);
    lora_layout_fini(&l);
}

static void a_target_name_covers_self_and_cross_attention(void)
{
    struct lora_layout l;
    char name[160];
    const struct lora_spec s = {.rank = 1, .alpha = 1, .targets = LORA_V | LORA_WO};
    lora_layout_init(&l, &small, &s);
    CHECK_INT(l.n_sites, 2 * 2 + 3);
    lora_site_name(&l, &small, 1, 'A', name, sizeof(name));
    CHECK_STR(name, "base_model.model.encoder.block.0.layer.1.DenseReluDense.wo.lora_A.weight");
    lora_site_name(&l, &small, 5, 'B', name, sizeof(name));
    CHECK_STR(name, "base_model.model.decoder.block.0.layer.1.EncDecAttention.v.lora_B.weight");
    lora_site_name(&l, &small, 6, 'B', name, sizeof(name));
    CHECK_STR(name, "base_model.model.decoder.block.0.layer.2.DenseReluDense.wo.lora_B.weight");
    lora_layout_fini(&l);
}

static void initial_a_is_uniform_within_its_bound_and_b_is_zero(void)
{
    struct lora_layout l;
    const struct lora_spec s = {.rank = 16, .alpha = 32, .targets = LORA_Q | LORA_V};
    struct t5_config c;
    CHECK_INT(t5_config_named(&c, "flan-t5-small", NULL), OK);
    lora_layout_init(&l, &c, &s);
    float *x = malloc(l.size * sizeof(*x)), *y = malloc(l.size * sizeof(*y));
    lora_init(&l, 3, x);
    lora_init(&l, 3, y);
    CHECK_TRUE(memcmp(x, y, l.size * sizeof(*x)) == 0);
    double sum = 0, square = 0, top = 0;
    size_t n = 0;
    for (int i = 0; i < l.n_sites; i++) {
        for (size_t j = l.site[i].a; j < l.site[i].b; j++, n++) {
            sum += (double)x[j];
            square += (double)x[j] * (double)x[j];
            top = fmax(top, fabs((double)x[j]));
        }
        for (size_t j = 0; j < 16 * (size_t)l.site[i].d_out; j++)
            CHECK_TRUE(x[l.site[i].b + j] == 0);
    }
    double bound = 1 / sqrt(512.0); /* variance of a uniform value: bound^2 / 3 */
    CHECK_TRUE(top <= bound && top > 0.999 * bound);
    CHECK_NEAR(sum / (double)n, 0, 5 * bound / sqrt(3.0 * (double)n));
    CHECK_REL(square / (double)n, bound * bound / 3, 0.01);
    lora_init(&l, 4, y);
    CHECK_TRUE(memcmp(x, y, l.size * sizeof(*x)) != 0);
    free(x);
    free(y);
    lora_layout_fini(&l);
}

static void a_saved_folder_comes_back(void)
{
    struct err e = {0};
    struct lora_spec got = {0};
    const struct lora_spec s = {
        .rank = 5, .alpha = 7, .dropout = 0.25f, .targets = LORA_K | LORA_WI_1};
    size_t n = lora_size(&small, &s);
    float *x = malloc(n * sizeof(*x)), *y = malloc(n * sizeof(*y));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)i * 0.1f - 3;
    CHECK_INT(peft_save(folder(), &small, &s, "google/flan-t5-small", x, &e), OK);
    CHECK_INT(peft_load_spec(folder(), &got, &e), OK);
    CHECK_TRUE(got.rank == 5 && got.targets == s.targets && got.alpha == s.alpha &&
               got.dropout == s.dropout);
    CHECK_INT(peft_load(folder(), &small, &got, y, &e), OK);
    CHECK_TRUE(memcmp(x, y, n * sizeof(*x)) == 0);
    got.rank = 4;
    CHECK_INT(peft_load(folder(), &small, &got, y, &e), ERR_INPUT);
    CHECK_HAS(e.text, "expected shape [4, 12], got [5, 12]");
    got.rank = 5;
    got.targets |= LORA_Q;
    CHECK_INT(peft_load(folder(), &small, &got, y, &e), ERR_INPUT);
    CHECK_HAS(e.text, "tensors of an adapter for this model, got");
    free(x);
    free(y);
}

/* 1e-6f as a double is less than 1e-6, the least that is read: found by fuzz_adapter. */
static void numbers_at_the_ends_of_their_range_come_back(void)
{
    struct err e = {0};
    struct lora_spec got = {0};
    const struct lora_spec s = {.rank = 1, .alpha = 1e-6f, .dropout = 0.99f, .targets = LORA_Q};
    float *x = calloc(lora_size(&small, &s), sizeof(*x));
    CHECK_INT(peft_save(folder(), &small, &s, "", x, &e), OK);
    if (peft_load_spec(folder(), &got, &e))
        TEST_FAIL("%s", e.text);
    CHECK_TRUE(got.alpha == s.alpha && got.dropout == s.dropout);
    struct t5_config c = small, again;
    char *path = file_join(folder(), "config.json");
    c.eps = 1e-12f;
    c.dropout = 0.99f;
    CHECK_INT(t5_config_save(&c, path, &e), OK);
    if (t5_config_load(&again, path, &e))
        TEST_FAIL("%s", e.text);
    CHECK_TRUE(again.eps == c.eps && again.dropout == c.dropout);
    mem_free(path);
    free(x);
}

static void a_folder_written_by_peft_is_read(void)
{
    struct err e = {0};
    struct lora_spec s = {0};
    struct t5_config c;
    char *adapter = file_join(TEST_VECTORS, "t5/tiny/adapter");
    char *config = file_join(TEST_VECTORS, "t5/tiny/model/config.json");
    float *x = NULL;
    CHECK_INT(t5_config_load(&c, config, &e), OK);
    CHECK_INT(peft_load_spec(adapter, &s, &e), OK);
    CHECK_INT(s.rank, 4);
    CHECK_NEAR((double)s.alpha, 8, 0);
    CHECK_NEAR((double)s.dropout, 0.05, 1e-7);
    CHECK_INT(s.targets, LORA_Q | LORA_V);
    x = malloc(lora_size(&c, &s) * sizeof(*x));
    CHECK_INT(peft_load(adapter, &c, &s, x, &e), OK);
    free(x);
    mem_free(adapter);
    mem_free(config);
}

static void refuse(const char *config, const char *words)
{
    struct err e = {0};
    struct lora_spec s;
    char *path = file_join(folder(), "adapter_config.json");
    CHECK_INT(file_replace(path, config, strlen(config), NULL), OK);
    CHECK_INT(peft_load_spec(folder(), &s, &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
    CHECK_HAS(e.text, "adapter_config.json");
    mem_free(path);
}

static void variants_of_lora_are_refused_by_key(void)
{
#define REST                                                                                       \
    "\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"lora_dropout\":0,\"target_modules\":["      \
    "\"q\"]}"
    refuse("{\"use_dora\":true," REST, "use_dora");
    refuse("{\"rank_pattern\":{\"q\":8}," REST, "rank_pattern");
    refuse("{\"modules_to_save\":[\"lm_head\"]," REST, "modules_to_save");
    refuse("{\"bias\":\"all\"," REST, "bias");
    refuse("{\"peft_type\":\"IA3\"}", "peft_type");
    refuse("{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":8,\"target_modules\":[\"q\"]}",
           "r: expected");
    refuse("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":\".*q\"}",
           "target_modules");
    refuse("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":[\"lm_head\"]}",
           "target_modules");
    refuse("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":[]}", "targets");
    refuse("[]", "object");
#undef REST
}

int main(void)
{
    CASE(the_layout_covers_the_vector_without_gaps);
    CASE(a_target_name_covers_self_and_cross_attention);
    CASE(initial_a_is_uniform_within_its_bound_and_b_is_zero);
    CASE(a_saved_folder_comes_back);
    CASE(numbers_at_the_ends_of_their_range_come_back);
    CASE(a_folder_written_by_peft_is_read);
    CASE(variants_of_lora_are_refused_by_key);
    CHECK_INT(file_remove_tree(folder(), NULL), OK);
    return test_end();
}
