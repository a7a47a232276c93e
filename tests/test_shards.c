/* Model folders in several files: an index gives the same model as one file, and every way in which
 * a folder can lie is refused with one line. */
#include "tests/test.h"

#include "models/shards.h"
#include "models/t5.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

enum { MAX_TENSORS = 64 };

static const struct t5_config config = {40, 12, 4, 20, 2, 2, 1, 32, 128, 1e-6f, 0.1f, 0, 1, 0};

/* A model in memory and the folder that it is written to, afresh for every case. */
struct folder {
    char path[64];
    struct arena a;
    struct t5 *model;
    struct weights_item item[MAX_TENSORS];
    float *values[MAX_TENSORS]; /* the items' */
    size_t n;
};

static char *in_folder(const struct folder *f, const char *name)
{
    return file_join(f->path, name);
}

static void begin(struct folder *f)
{
    struct err e = {0};
    *f = (struct folder){.path = "test_shards.XXXXXX"};
    CHECK_TRUE(mkdtemp(f->path) != NULL);
    CHECK_INT(t5_open_random(&f->model, backend_find("cpu"), &config, 3, &e), OK);
    for (size_t i = 0; i < t5_n_tensors(f->model); i++) {
        const struct t5_tensor *t = t5_tensor_at(f->model, i);
        float *host = ARENA_NEW(&f->a, float, t->n);
        t5_get(f->model, t, host);
        f->values[f->n] = host;
        f->item[f->n++] = (struct weights_item){t->name, t->n_dims, {t->dim[0], t->dim[1]}, host};
    }
    char *path = in_folder(f, "config.json");
    CHECK_INT(t5_config_save(&config, path, &e), OK);
    mem_free(path);
}

static void end(struct folder *f)
{
    t5_close(f->model);
    arena_free(&f->a);
    CHECK_INT(file_remove_tree(f->path, NULL), OK);
}

static void write_text(const struct folder *f, const char *name, const char *text)
{
    char *path = in_folder(f, name);
    CHECK_INT(file_replace(path, text, strlen(text), NULL), OK);
    mem_free(path);
}

static void write_items(const struct folder *f, const char *name, size_t from, size_t to,
                        enum weights_type type)
{
    struct err e = {0};
    char *path = in_folder(f, name);
    if (weights_save(path, f->item + from, to - from, type, &e))
        TEST_FAIL("%s", e.text);
    mem_free(path);
}

/* An index of all tensors: those below n_first are in a.safetensors, the others in b; the last one
 * is said to be in `last` when that is given. */
static void write_index(const struct folder *f, size_t n_first, size_t n_all, const char *last)
{
    struct {
        char text[8192];
        size_t n;
    } o = {.n = 0};
    o.n += (size_t)snprintf(o.text, sizeof(o.text),
                            "{\"metadata\":{\"total_size\":1},"
                            "\"weight_map\":{");
    for (size_t i = 0; i < n_all; i++) {
        const char *file = i < n_first ? "a.safetensors" : "b.safetensors";
        if (last && i + 1 == n_all)
            file = last;
        o.n += (size_t)snprintf(o.text + o.n, sizeof(o.text) - o.n, "%s\"%s\":\"%s\"", i ? "," : "",
                                f->item[i].name, file);
    }
    snprintf(o.text + o.n, sizeof(o.text) - o.n, "}}");
    write_text(f, "model.safetensors.index.json", o.text);
}

static void refuse(const struct folder *f, const char *words)
{
    struct err e = {0};
    struct t5 *m = NULL;
    CHECK_INT(t5_open(&m, backend_find("cpu"), f->path, &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
    CHECK_HAS(e.text, "test_shards.");
    CHECK_TRUE(strchr(e.text, '\n') == NULL);
    t5_close(m);
}

static void check_same(const struct folder *f)
{
    struct err e = {0};
    struct t5 *m = NULL;
    if (t5_open(&m, backend_find("cpu"), f->path, &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    struct hash128 a = t5_hash(m), b = t5_hash(f->model);
    CHECK_TRUE(memcmp(&a, &b, sizeof(a)) == 0);
    t5_close(m);
}

static void shards_hold_the_same_model_as_one_file(void)
{
    struct folder f;
    begin(&f);
    write_items(&f, "a.safetensors", 0, 11, WEIGHTS_F32);
    write_items(&f, "b.safetensors", 11, f.n, WEIGHTS_F32);
    write_index(&f, 11, f.n, NULL);
    check_same(&f);
    /* model.safetensors goes before an index */
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    write_text(&f, "model.safetensors.index.json", "{}");
    check_same(&f);
    end(&f);
}

static void shards_may_be_of_different_types(void)
{
    struct folder f;
    struct err e = {0};
    struct t5 *m = NULL;
    begin(&f);
    for (size_t i = 0; i < f.n; i++) /* values that half and bfloat16 hold exactly */
        for (size_t j = 0; j < f.item[i].dim[0]; j++)
            f.values[i][j] = (float)((int)j % 5) * 0.25f - 0.5f;
    write_items(&f, "a.safetensors", 0, 1, WEIGHTS_F16);
    write_items(&f, "b.safetensors", 1, f.n, WEIGHTS_BF16);
    write_index(&f, 1, f.n, NULL);
    CHECK_INT(t5_open(&m, backend_find("cpu"), f.path, &e), OK);
    for (size_t i = 0; m && i < 2; i++) {
        float got[480];
        const struct t5_tensor *t = t5_tensor_at(m, i);
        CHECK_TRUE(t->n <= 480);
        t5_get(m, t, got);
        for (size_t j = 0; j < t->dim[0]; j++)
            CHECK_NEAR((double)got[j], (double)((int)j % 5) * 0.25 - 0.5, 0);
    }
    t5_close(m);
    end(&f);
}

static void a_copy_of_the_embedding_may_stand_for_it(void)
{
    struct folder f;
    begin(&f);
    CHECK_STR(f.item[0].name, "shared.weight");
    f.item[0].name = "encoder.embed_tokens.weight";
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    check_same(&f);
    end(&f);
}

/* As Hugging Face's converter leaves them: one name of three in the files, all in the index. */
static void an_index_may_name_copies_of_the_embedding_that_are_not_there(void)
{
    struct folder f;
    begin(&f);
    size_t n = f.n;
    write_items(&f, "a.safetensors", 0, 11, WEIGHTS_F32);
    write_items(&f, "b.safetensors", 11, n, WEIGHTS_F32);
    f.item[n].name = "encoder.embed_tokens.weight";
    f.item[n + 1].name = "decoder.embed_tokens.weight";
    write_index(&f, 11, n + 2, NULL);
    check_same(&f);
    f.item[0].name = "decoder.embed_tokens.weight"; /* the one that is kept */
    write_items(&f, "a.safetensors", 0, 11, WEIGHTS_F32);
    f.item[n + 1].name = "shared.weight";
    write_index(&f, 11, n + 2, NULL);
    check_same(&f);
    f.item[n].name = "encoder.embed_positions.weight";
    write_index(&f, 11, n + 2, NULL);
    refuse(&f, "weight_map.encoder.embed_positions.weight: b.safetensors holds no such tensor");
    write_items(&f, "a.safetensors", 1, 11, WEIGHTS_F32);
    write_index(&f, 11, n, NULL);
    refuse(&f, "tensor shared.weight is missing");
    end(&f);
}

static void an_index_that_lies_is_refused(void)
{
    struct folder f;
    begin(&f);
    write_items(&f, "a.safetensors", 0, 11, WEIGHTS_F32);
    write_index(&f, 11, f.n, NULL);
    refuse(&f, "b.safetensors: no such file");
    write_items(&f, "b.safetensors", 11, f.n, WEIGHTS_F32);
    write_index(&f, 11, f.n, "../b.safetensors");
    refuse(&f, "expected a .safetensors file of this folder, got \"../b.safetensors\"");
    write_index(&f, 11, f.n, "/etc/passwd");
    refuse(&f, "weight_map.lm_head.weight: expected a .safetensors file");
    write_index(&f, 11, f.n, ".safetensors");
    refuse(&f, "weight_map.lm_head.weight: expected a .safetensors file");
    write_index(&f, 11, f.n, "a.safetensors");
    refuse(&f, "a.safetensors holds no such tensor");
    write_index(&f, 11, f.n - 1, NULL);
    refuse(&f, "b.safetensors holds lm_head.weight, which the index does not give to it");
    write_text(&f, "model.safetensors.index.json", "{\"weight_map\":{\"x\":3}}");
    refuse(&f, "weight_map.x");
    write_text(&f, "model.safetensors.index.json", "{\"weight_map\":{}}");
    refuse(&f, "at least one tensor");
    write_text(&f, "model.safetensors.index.json", "{}");
    refuse(&f, "weight_map");
    write_text(&f, "model.safetensors.index.json", "[");
    refuse(&f, "not JSON");
    end(&f);
}

static void tensors_that_do_not_fit_the_config_are_refused(void)
{
    struct folder f;
    begin(&f);
    write_items(&f, "model.safetensors", 0, f.n - 1, WEIGHTS_F32);
    refuse(&f, "tensor lm_head.weight is missing");
    size_t was = f.item[0].dim[0];
    f.item[0].dim[0] = was - 1;
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    refuse(&f, "shared.weight: expected shape [40, 12], got [39, 12]");
    f.item[0].dim[0] = was;
    f.values[3][5] = NAN;
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    refuse(&f, "value 5 is not a finite number");
    f.item[3].name = "encoder.block.7.layer.0.layer_norm.weight";
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    refuse(&f, "block.7.layer.0.layer_norm.weight is no tensor of this model");
    end(&f);
}

static void a_pickle_is_refused_with_the_way_to_convert_it(void)
{
    struct folder f;
    begin(&f);
    refuse(&f, "model.safetensors: no such file");
    write_text(&f, "pytorch_model.bin", "PK");
    refuse(&f, "save_pretrained(DIR, safe_serialization=True)");
    end(&f);
}

/* config.json with other words about the head. */
static void write_kind(const struct folder *f, const char *tie)
{
    struct file was = {0};
    char *path = in_folder(f, "config.json"), text[2048];
    CHECK_INT(t5_config_save(&config, path, NULL), OK);
    CHECK_INT(file_map(&was, path, NULL), OK);
    snprintf(text, sizeof(text), "%.*s", (int)was.n_bytes, (const char *)was.bytes);
    file_unmap(&was);
    char *key = strstr(text, "\"tie_word_embeddings\": false,"), *end = key ? strchr(key, ',') : NULL;
    CHECK_TRUE(end != NULL);
    if (end) {
        char whole[4096];
        snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(key - text), text, tie, end + 1);
        write_text(f, "config.json", whole);
    }
    mem_free(path);
}

#define TIED "\"tie_word_embeddings\": true,"
#define NOT_SCALED "\"scale_decoder_outputs\": false,"
#define SCALED "\"scale_decoder_outputs\": true,"

/* The model in memory gets the head that the folder's should be: factor x the embedding. */
static void tie(struct folder *f, float factor)
{
    struct err e = {0};
    size_t head = f->n - 1;
    const struct t5_tensor *t = t5_tensor_find(f->model, "lm_head.weight");
    for (size_t i = 0; i < t->n; i++)
        f->values[head][i] = factor * f->values[0][i];
    t5_set(f->model, t, f->values[head]);
    CHECK_INT(t5_rehash(f->model, &e), OK);
}

/* transformers 4: tied means scaled; 5: tied where there is no head, and a key of its own says whether scaled. */
static void a_tied_head_is_a_copy_of_the_embedding(void)
{
    struct folder f;
    begin(&f);
    tie(&f, (float)(1 / sqrt(12.0)));
    write_items(&f, "model.safetensors", 0, f.n - 1, WEIGHTS_F32);
    write_kind(&f, TIED);
    check_same(&f);
    write_kind(&f, "");
    check_same(&f);
    write_kind(&f, TIED SCALED);
    check_same(&f);
    tie(&f, 1);
    write_kind(&f, TIED NOT_SCALED);
    check_same(&f);
    f.item[0].name = "decoder.embed_tokens.weight";
    write_items(&f, "model.safetensors", 0, f.n - 1, WEIGHTS_F32);
    check_same(&f);
    end(&f);
}

static void a_head_beside_what_transformers_5_says_of_all_is_taken(void)
{
    struct folder f;
    begin(&f);
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    write_kind(&f, TIED NOT_SCALED);
    check_same(&f);
    write_kind(&f, TIED);
    refuse(&f, "tie_word_embeddings: expected false beside a tensor lm_head.weight, got true");
    write_kind(&f, "");
    refuse(&f, "tie_word_embeddings: expected false beside a tensor lm_head.weight, got nothing, which means true");
    end(&f);
}

static void the_position_bias_that_no_t5_uses_is_left_out(void)
{
    static const float bias[64] = {1};
    struct folder f;
    begin(&f);
    f.item[f.n++] = (struct weights_item){
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", 2, {32, 2}, bias};
    write_items(&f, "model.safetensors", 0, f.n, WEIGHTS_F32);
    check_same(&f);
    end(&f);
}

int main(void)
{
    CASE(shards_hold_the_same_model_as_one_file);
    CASE(shards_may_be_of_different_types);
    CASE(a_copy_of_the_embedding_may_stand_for_it);
    CASE(an_index_may_name_copies_of_the_embedding_that_are_not_there);
    CASE(an_index_that_lies_is_refused);
    CASE(tensors_that_do_not_fit_the_config_are_refused);
    CASE(a_tied_head_is_a_copy_of_the_embedding);
    CASE(a_head_beside_what_transformers_5_says_of_all_is_taken);
    CASE(the_position_bias_that_no_t5_uses_is_left_out);
    CASE(a_pickle_is_refused_with_the_way_to_convert_it);
    return test_end();
}
