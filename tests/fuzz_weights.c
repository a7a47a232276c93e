/* Safetensors. Options, bit 0: the text is a header whose length is put before it and which a few
 * values follow, so that mutants get past the first check; else the bytes are the whole file.
 * Oracle: tensors that can be read are finite, and written again they read back to the bit. */
#include <math.h>

#include "models/weights.h"
#include "sim/base/mem.h"
#include "tests/fuzz.h"

enum { MAX_ITEMS = 64, N_DATA = 256 };

static const char *write_input(const uint8_t *data, size_t size)
{
    if (!(data[0] & 1))
        return fuzz_write("x.safetensors", data + 1, size - 1);
    size_t n = size - 1, n_all = 8 + n + N_DATA;
    uint8_t *all = calloc(n_all, 1);
    for (int i = 0; i < 8; i++)
        all[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(all + 8, data + 1, n);
    for (size_t i = 0; i < N_DATA; i++) /* halves and floats of all kinds, some not finite */
        all[8 + n + i] = (uint8_t)(i * (data[0] | 1u));
    const char *path = fuzz_write("x.safetensors", all, n_all);
    free(all);
    return path;
}

static size_t read_items(const struct weights *w, struct weights_item *item, struct arena *a)
{
    size_t n = 0;
    for (size_t i = 0; i < weights_count(w) && n < MAX_ITEMS; i++) {
        struct err e = {0};
        const struct weights_tensor *t = weights_at(w, i);
        FUZZ_CHECK(weights_find(w, t->name) == t);
        float *values = ARENA_NEW(a, float, t->n_values);
        enum err_code code = weights_read(w, t->name, t->n_dims, t->dim, values, &e);
        if (code) {
            fuzz_refused(code, &e, "x.safetensors: ");
            continue;
        }
        for (size_t j = 0; j < t->n_values; j++)
            FUZZ_CHECK(isfinite(values[j]));
        item[n] = (struct weights_item){.name = t->name, .n_dims = t->n_dims, .values = values};
        memcpy(item[n++].dim, t->dim, sizeof(t->dim));
    }
    return n;
}

static void check_again(const struct weights_item *item, size_t n)
{
    struct weights *w = NULL;
    struct err e = {0};
    const char *path = fuzz_path("y.safetensors");
    FUZZ_CHECK(weights_save(path, item, n, WEIGHTS_F32, &e) == OK);
    if (weights_open(&w, path, &e))
        fprintf(stderr, "%s\n", e.text);
    FUZZ_CHECK(w && weights_count(w) == n);
    for (size_t i = 0; i < n; i++) {
        const struct weights_tensor *t = weights_find(w, item[i].name);
        FUZZ_CHECK(t && memcmp(t->bytes, item[i].values, 4 * t->n_values) == 0);
    }
    weights_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights_item item[MAX_ITEMS];
    struct weights *w = NULL;
    struct arena a = {0};
    struct err e = {0};
    if (size == 0)
        return 0;
    enum err_code code = weights_open(&w, write_input(data, size), &e);
    if (code)
        fuzz_refused(code, &e, "x.safetensors:");
    else
        check_again(item, read_items(w, item, &a));
    weights_close(w);
    arena_free(&a);
    return 0;
}
