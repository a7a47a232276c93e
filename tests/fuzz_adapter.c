/* adapter_config.json of a PEFT folder. Option: which model the adapter is for. Oracle: an accepted
 * spec passes lora_check; written with values, folder and values read back as the same. */
#include "models/peft.h"
#include "sim/base/mem.h"
#include "tests/fuzz.h"

static const struct t5_config models[2] = {
    {40, 12, 4, 20, 2, 2, 1, 32, 128, 1e-6f, 0.1f, 0, 1, 0},
    {8, 300, 5, 7, 3, 1, 2, 4, 16, 1e-6f, 0, 0, 1, 0},
};

static void check_again(const struct t5_config *c, const struct lora_spec *s)
{
    struct lora_spec again;
    struct err e = {0};
    size_t n = lora_size(c, s);
    float *x = malloc(n * sizeof(*x)), *y = calloc(n, sizeof(*y));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)i;
    const char *folder = fuzz_path("adapter");
    FUZZ_CHECK(lora_check(s, &e) == OK);
    FUZZ_CHECK(peft_save(folder, c, s, "a \"base\"", x, &e) == OK);
    FUZZ_CHECK(peft_load_spec(folder, &again, &e) == OK);
    FUZZ_CHECK(again.rank == s->rank && again.targets == s->targets && again.alpha == s->alpha &&
               again.dropout == s->dropout);
    enum err_code code = peft_load(folder, c, &again, y, &e);
    if (s->rank > c->d_model)
        fuzz_refused(code, &e, "expected a rank of at most d_model");
    else
        FUZZ_CHECK(code == OK && memcmp(x, y, n * sizeof(*x)) == 0);
    free(x);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lora_spec s;
    struct err e = {0};
    if (size == 0)
        return 0;
    fuzz_write("adapter_config.json", data + 1, size - 1);
    enum err_code code = peft_load_spec(fuzz_folder(), &s, &e);
    if (code)
        fuzz_refused(code, &e, "adapter_config.json");
    else
        check_again(&models[data[0] & 1], &s);
    return 0;
}
