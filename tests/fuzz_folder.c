/* config.json and model.safetensors.index.json of a model folder; the option chooses. Oracle: an
 * accepted config keeps the limits and reads back as it was written; an accepted index gives every
 * tensor of both files, once. */
#include "models/shards.h"
#include "models/t5_config.h"
#include "models/weights.h"
#include "tests/fuzz.h"

static void try_config(const uint8_t *text, size_t n)
{
    struct t5_config c = {0}, again = {0};
    struct err e = {0};
    enum err_code code = t5_config_load(&c, fuzz_write("config.json", text, n), &e);
    if (code) {
        fuzz_refused(code, &e, "config.json");
        return;
    }
    const char *path = fuzz_path("again.json");
    FUZZ_CHECK(t5_config_check(&c, &e) == OK && t5_parameters(&c) > 0);
    FUZZ_CHECK(t5_config_save(&c, path, &e) == OK);
    FUZZ_CHECK(t5_config_load(&again, path, &e) == OK);
    FUZZ_CHECK(memcmp(&c, &again, sizeof(c)) == 0);
}

static void write_shards(void)
{
    static const float v[] = {1, 2, 3};
    const struct weights_item item[] = {
        {"one", 1, {3}, v}, {"two", 1, {1}, v}, {"three", 1, {2}, v}};
    if (access(fuzz_path("a.safetensors"), R_OK) == 0)
        return;
    FUZZ_CHECK(weights_save(fuzz_path("a.safetensors"), item, 2, WEIGHTS_F32, NULL) == OK);
    FUZZ_CHECK(weights_save(fuzz_path("b.safetensors"), item + 2, 1, WEIGHTS_F32, NULL) == OK);
}

static void try_index(const uint8_t *text, size_t n)
{
    struct shards *s = NULL;
    struct err e = {0};
    write_shards();
    fuzz_write("model.safetensors.index.json", text, n);
    enum err_code code = shards_open(&s, fuzz_folder(), &e);
    if (code) {
        fuzz_refused(code, &e, "safetensors");
        return;
    }
    size_t n_tensors = shards_count(s);
    FUZZ_CHECK(n_tensors >= 1 && n_tensors <= 3);
    for (size_t i = 0; i < n_tensors; i++) {
        FUZZ_CHECK(shards_has(s, shards_name_at(s, i)));
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(strcmp(shards_name_at(s, i), shards_name_at(s, j)) != 0);
    }
    shards_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        (data[0] & 1 ? try_index : try_config)(data + 1, size - 1);
    return 0;
}
