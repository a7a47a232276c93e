/* Safetensors: what we write we read; every lie of a header is caught (after the list of malformed
 * files below the reader of huggingface/safetensors). */
#include "tests/test.h"

#include <stdint.h>

#include "models/t5.h"
#include "models/weights.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

/* A folder of this program's own, left empty at the end. */
static const char *folder(void)
{
    static char path[] = "test_weights.XXXXXX";
    static bool is_made;
    if (!is_made)
        is_made = mkdtemp(path) != NULL;
    return path;
}

static char *in_folder(const char *name)
{
    return file_join(folder(), name);
}

/* Writes header length, header and n_data bytes of zeros. length < 0: the true one. */
static char *write_raw(const char *header, size_t n_header, long long length, size_t n_data)
{
    char *path = in_folder("x.safetensors");
    unsigned char bytes[4096] = {0};
    uint64_t n = length < 0 ? n_header : (uint64_t)length;
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> (8 * i));
    memcpy(bytes + 8, header, n_header);
    CHECK_INT(file_replace(path, bytes, 8 + n_header + n_data, NULL), OK);
    return path;
}

static char *write_text(const char *header, size_t n_data)
{
    return write_raw(header, strlen(header), -1, n_data);
}

/* Opening must fail with ERR_INPUT and one line with the file's name and these words. Takes path.
 */
static void refuse(char *path, const char *words)
{
    struct err e = {0};
    struct weights *w = NULL;
    CHECK_INT(weights_open(&w, path, &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
    CHECK_HAS(e.text, "safetensors");
    CHECK_TRUE(strchr(e.text, '\n') == NULL);
    weights_close(w);
    mem_free(path);
}

static void accept(char *path, size_t n_tensors)
{
    struct err e = {0};
    struct weights *w = NULL;
    if (weights_open(&w, path, &e))
        TEST_FAIL("%s", e.text);
    else
        CHECK_INT(weights_count(w), n_tensors);
    weights_close(w);
    mem_free(path);
}

#define F32_2X2 "{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}"

static void a_well_formed_file_is_accepted(void)
{
    accept(write_text(F32_2X2, 16), 1);
    accept(write_text("{}", 0), 0);
    accept(write_text("{\"__metadata__\":{\"a\":\"b\"}}", 0), 0);
    accept(write_text(F32_2X2 "   ", 16), 1);
    accept(write_text("{\"t\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}", 8), 1);
    accept(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,0]}}", 0), 1);
    accept(write_text("{\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[3,5]},"
                      "\"z\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[3,3]},"
                      "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}",
                      5),
           3);
}

static void a_lying_header_length_is_refused(void)
{
    refuse(write_raw("{}", 2, 3, 0), "the file ends after 2");
    refuse(write_raw("{}", 2, 1LL << 62, 0), "at most 100000000 bytes");
    refuse(write_raw("{}", 2, 100000001, 0), "at most 100000000 bytes");
    refuse(write_raw("{}", 2, 100000000, 0), "the file ends after 2");
    refuse(write_raw("{}", 2, 0, 0), "begins with {");
    refuse(write_raw("{}", 2, 1, 0), "");
    char *path = in_folder("x.safetensors");
    CHECK_INT(file_replace(path, "1234567", 7, NULL), OK);
    refuse(path, "got 7 bytes");
    path = in_folder("x.safetensors");
    CHECK_INT(file_replace(path, "", 0, NULL), OK);
    refuse(path, "got 0 bytes");
}

static void a_header_that_is_no_object_is_refused(void)
{
    refuse(write_text("[]", 0), "begins with {");
    refuse(write_text(" {}", 0), "begins with {");
    refuse(write_text("{\"t\":", 0), "");
    refuse(write_text("{} {}", 0), "");
    refuse(write_raw("{\"\xff\":1}", 7, -1, 0), "UTF-8");
    refuse(write_raw("{\"\xc0\xaf\":1}", 8, -1, 0), "UTF-8");
    refuse(write_raw("{\"\xed\xa0\x80\":1}", 9, -1, 0), "UTF-8");
    refuse(write_text("{\"t\":1}", 0), "dtype");
    refuse(write_text("{\"__metadata__\":{\"a\":1}}", 0), "string");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                      "\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                      8),
           "t");
}

static void an_entry_with_wrong_keys_is_refused(void)
{
    refuse(write_text("{\"t\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4), "dtype");
    refuse(write_text("{\"t\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
           "dtype");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4), "shape");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4), "data_offsets");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4),
           "2 numbers");
    refuse(
        write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4),
        "x");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4),
           "shape");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4),
           "shape");
}

static void a_span_that_does_not_fit_the_shape_is_refused(void)
{
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,12]}}", 12),
           "size of the shape");
    refuse(write_text("{\"t\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16),
           "size of the shape");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,4]}}", 4),
           "size of the shape");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8),
           "span within");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8),
           "data_offsets");
}

static void an_overflowing_shape_is_refused(void)
{
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[4503599627370496,4503599627370496],"
                      "\"data_offsets\":[0,16]}}",
                      16),
           "fits in 64 bits");
    refuse(write_text("{\"t\":{\"dtype\":\"F32\",\"shape\":[4503599627370496,1024],"
                      "\"data_offsets\":[0,16]}}",
                      16),
           "size of the shape");
}

static void tensors_that_overlap_or_leave_gaps_are_refused(void)
{
    refuse(write_text("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
                      12),
           "tensors overlap");
    refuse(write_text("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                      8),
           "tensors overlap");
    refuse(write_text("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                      "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
                      12),
           "there is a gap");
    refuse(write_text("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8),
           "there is a gap");
}

static void a_truncated_or_longer_file_is_refused(void)
{
    refuse(write_text(F32_2X2, 15), "within the 15 bytes");
    refuse(write_text(F32_2X2, 0), "within the 0 bytes");
    refuse(write_text(F32_2X2, 17), "end with the file");
}

static void every_truncation_of_a_real_file_is_refused(void)
{
    struct file f = {0};
    char *source = file_join(TEST_VECTORS, "t5/tiny/adapter/adapter_model.safetensors");
    char *cut = in_folder("x.safetensors");
    CHECK_INT(file_map(&f, source, NULL), OK);
    for (size_t n = 0; n < f.n_bytes; n += 1 + n / 7) {
        struct weights *w = NULL;
        CHECK_INT(file_replace(cut, f.bytes, n, NULL), OK);
        CHECK_INT(weights_open(&w, cut, NULL), ERR_INPUT);
    }
    file_unmap(&f);
    mem_free(cut);
    mem_free(source);
}

/* Flips one byte of the header after another: never a crash, and no tensor ever reaches past the
 * file. */
static void a_damaged_header_never_reads_outside_the_file(void)
{
    struct file f = {0};
    char *source = file_join(TEST_VECTORS, "t5/tiny/adapter/adapter_model.safetensors");
    char *bad = in_folder("x.safetensors");
    CHECK_INT(file_map(&f, source, NULL), OK);
    unsigned char *copy = malloc(f.n_bytes);
    for (size_t at = 0; copy && at < 400; at += 3) {
        struct weights *w = NULL;
        memcpy(copy, f.bytes, f.n_bytes);
        copy[at] ^= (unsigned char)(1 + at % 127);
        CHECK_INT(file_replace(bad, copy, f.n_bytes, NULL), OK);
        if (weights_open(&w, bad, NULL) == OK) {
            double sum = 0;
            for (size_t i = 0; i < weights_count(w); i++) {
                const struct weights_tensor *t = weights_at(w, i);
                sum += t->n_values ? t->bytes[t->n_values - 1] : 0;
            }
            CHECK_TRUE(sum >= 0);
            weights_close(w);
        }
    }
    free(copy);
    file_unmap(&f);
    mem_free(bad);
    mem_free(source);
}

static void values_come_back_in_each_precision(void)
{
    /* exact in all three: halves and small whole numbers; then values that must be rounded to even
     */
    const float v[] = {0, -1.5f, 256, 0.0078125f, 1.00390625f, 1.01171875f};
    const float as_bf16[] = {0, -1.5f, 256, 0.0078125f, 1, 1.015625f};
    const struct weights_item item[] = {{"a", 2, {2, 3}, v}, {"b", 1, {1}, v + 1}};
    char *path = in_folder("y.safetensors");
    for (int type = WEIGHTS_F32; type <= WEIGHTS_BF16; type++) {
        struct err e = {0};
        struct weights *w = NULL;
        float got[6];
        CHECK_INT(weights_save(path, item, 2, (enum weights_type)type, &e), OK);
        CHECK_INT(weights_open(&w, path, &e), OK);
        CHECK_INT(weights_read(w, "a", 2, item[0].dim, got, &e), OK);
        for (int i = 0; i < 6; i++)
            CHECK_NEAR((double)got[i], (double)(type == WEIGHTS_BF16 ? as_bf16[i] : v[i]), 0);
        CHECK_INT(weights_read(w, "b", 1, item[1].dim, got, &e), OK);
        CHECK_NEAR((double)got[0], -1.5, 0);
        weights_close(w);
    }
    mem_free(path);
}

static void half_precision_covers_subnormals_and_rounding(void)
{
    const float v[] = {0x1p-24f, 0x1.8p-25f, 0x1p-26f, -0x1.ff8p-15f, 0x1.ffcp-15f, 0x1.002p0f};
    const float want[] = {0x1p-24f, 0x1p-24f, 0, -0x1.ff8p-15f, 0x1p-14f, 1};
    const struct weights_item item[] = {{"a", 1, {6}, v}};
    char *path = in_folder("y.safetensors");
    struct weights *w = NULL;
    float got[6];
    CHECK_INT(weights_save(path, item, 1, WEIGHTS_F16, NULL), OK);
    CHECK_INT(weights_open(&w, path, NULL), OK);
    CHECK_INT(weights_read(w, "a", 1, item[0].dim, got, NULL), OK);
    for (int i = 0; i < 6; i++)
        CHECK_TRUE(got[i] == want[i]);
    weights_close(w);
    mem_free(path);
}

static void reading_checks_name_shape_type_and_finite_values(void)
{
    struct err e = {0};
    struct weights *w = NULL;
    const size_t right[] = {2, 2}, wrong[] = {4, 1};
    const float bad[] = {1, INFINITY};
    const struct weights_item item[] = {{"a", 1, {2}, bad}};
    float out[4];
    char *path = write_text(F32_2X2, 16);
    CHECK_INT(weights_open(&w, path, &e), OK);
    CHECK_INT(weights_read(w, "t", 2, right, out, &e), OK);
    CHECK_INT(weights_read(w, "t", 2, wrong, out, &e), ERR_INPUT);
    CHECK_HAS(e.text, "t: expected shape [4, 1], got [2, 2]");
    CHECK_INT(weights_read(w, "t", 1, right, out, &e), ERR_INPUT);
    CHECK_INT(weights_read(w, "u", 2, right, out, &e), ERR_INPUT);
    CHECK_HAS(e.text, "tensor u is missing");
    weights_close(w);
    mem_free(path);
    path = write_text("{\"t\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 16);
    CHECK_INT(weights_open(&w, path, &e), OK);
    CHECK_INT(weights_read(w, "t", 2, right, out, &e), ERR_INPUT);
    CHECK_HAS(e.text, "expected F32, F16 or BF16, got I32");
    weights_close(w);
    mem_free(path);
    path = in_folder("y.safetensors");
    CHECK_INT(weights_save(path, item, 1, WEIGHTS_F32, &e), OK);
    CHECK_INT(weights_open(&w, path, &e), OK);
    CHECK_INT(weights_read(w, "a", 1, item[0].dim, out, &e), ERR_INPUT);
    CHECK_HAS(e.text, "value 1 is not a finite number");
    weights_close(w);
    mem_free(path);
}

/* Copies the vectors' model with its config changed from one text to another. */
static enum err_code open_changed(const char *from, const char *to, struct err *e)
{
    struct file config = {0}, values = {0};
    struct t5 *m = NULL;
    char *source = file_join(TEST_VECTORS, "t5/tiny/model/config.json"), text[4096];
    char *source_values = file_join(TEST_VECTORS, "t5/tiny/model/model.safetensors");
    char *path = in_folder("config.json"), *path_values = in_folder("model.safetensors");
    CHECK_INT(file_map(&config, source, NULL), OK);
    CHECK_INT(file_map(&values, source_values, NULL), OK);
    const char *at = strstr((const char *)config.bytes, from);
    CHECK_TRUE(at != NULL);
    size_t before = at ? (size_t)(at - (const char *)config.bytes) : 0;
    int n = snprintf(text, sizeof(text), "%.*s%s%.*s", (int)before, (const char *)config.bytes, to,
                     (int)(config.n_bytes - before - strlen(from)), at + strlen(from));
    CHECK_INT(file_replace(path, text, (size_t)n, NULL), OK);
    CHECK_INT(file_replace(path_values, values.bytes, values.n_bytes, NULL), OK);
    enum err_code code = t5_open(&m, backend_find("cpu"), folder(), e);
    t5_close(m);
    file_unmap(&config);
    file_unmap(&values);
    mem_free(source);
    mem_free(source_values);
    mem_free(path);
    mem_free(path_values);
    return code;
}

static void refuse_config(const char *from, const char *to, const char *words)
{
    struct err e = {0};
    CHECK_INT(open_changed(from, to, &e), ERR_INPUT);
    CHECK_HAS(e.text, words);
    CHECK_TRUE(strchr(e.text, '\n') == NULL);
}

static void a_model_whose_config_and_tensors_disagree_is_refused(void)
{
    struct err e = {0};
    CHECK_INT(open_changed("\"d_ff\": 128", "\"d_ff\": 128", &e), OK);
    refuse_config("\"d_ff\": 128", "\"d_ff\": 129",
                  "DenseReluDense.wi_0.weight: expected shape [129, 64]");
    refuse_config("\"num_layers\": 2", "\"num_layers\": 3", "encoder.block.2");
    refuse_config("\"num_layers\": 2", "\"num_layers\": 1", "is no tensor of this model");
    refuse_config("\"num_layers\": 2", "\"num_layers\": 1000000000000", "num_layers");
    refuse_config("\"vocab_size\": 320", "\"vocab_size\": 0", "vocab_size");
    refuse_config("\"d_model\": 64", "\"d_model\": \"64\"", "d_model");
    refuse_config("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true",
                  "tie_word_embeddings: expected false beside a tensor lm_head.weight");
    refuse_config("\"gated-gelu\"", "\"relu\"", "feed_forward_proj");
    refuse_config("\"model_type\": \"t5\"", "\"model_type\": \"bert\"", "model_type");
}

static void published_sizes_have_their_published_parameter_counts(void)
{
    static const size_t lora[] = {688128, 1769472, 4718592, 9437184};
    static const size_t all[] = {77649280, 249347328, 787868672};
    const struct lora_spec s = {.rank = 16, .alpha = 32, .targets = LORA_Q | LORA_V};
    for (int i = 0; i < 4; i++) {
        struct t5_config c;
        CHECK_INT(t5_config_named(&c, t5_config_names()[i], NULL), OK);
        CHECK_INT(lora_size(&c, &s), lora[i]);
        if (i < 3)
            CHECK_INT(t5_parameters(&c) + lora_size(&c, &s), all[i]);
    }
    struct err e = {0};
    struct t5_config c;
    CHECK_INT(t5_config_named(&c, "flan-t5-smal", &e), ERR_INPUT);
    CHECK_HAS(e.text, "did you mean \"flan-t5-small\"?");
}

static void a_saved_model_opens_with_the_same_content(void)
{
    struct err e = {0};
    struct t5 *a = NULL, *b = NULL;
    char *source = file_join(TEST_VECTORS, "t5/skew/model");
    CHECK_INT(t5_open(&a, backend_find("cpu"), source, &e), OK);
    CHECK_INT(t5_save(a, folder(), WEIGHTS_F32, &e), OK);
    CHECK_INT(t5_open(&b, backend_find("cpu"), folder(), &e), OK);
    CHECK_TRUE(a && b && t5_hash(a).lo == t5_hash(b).lo && t5_hash(a).hi == t5_hash(b).hi);
    size_t n = 0;
    for (size_t i = 0; i < t5_n_tensors(a); i++)
        n += t5_tensor_at(a, i)->n;
    CHECK_INT(n, t5_parameters(t5_config_of(a)));
    t5_close(b);
    float *w = malloc(257 * 48 * sizeof(float));
    const struct t5_tensor *t = t5_tensor_find(a, "shared.weight");
    t5_get(a, t, w);
    w[5] += 1;
    t5_set(a, t, w);
    struct hash128 before = t5_hash(a);
    CHECK_INT(t5_rehash(a, &e), OK);
    CHECK_TRUE(before.lo != t5_hash(a).lo);
    free(w);
    t5_close(a);
    mem_free(source);
}

int main(void)
{
    CASE(a_well_formed_file_is_accepted);
    CASE(a_lying_header_length_is_refused);
    CASE(a_header_that_is_no_object_is_refused);
    CASE(an_entry_with_wrong_keys_is_refused);
    CASE(a_span_that_does_not_fit_the_shape_is_refused);
    CASE(an_overflowing_shape_is_refused);
    CASE(tensors_that_overlap_or_leave_gaps_are_refused);
    CASE(a_truncated_or_longer_file_is_refused);
    CASE(every_truncation_of_a_real_file_is_refused);
    CASE(a_damaged_header_never_reads_outside_the_file);
    CASE(values_come_back_in_each_precision);
    CASE(half_precision_covers_subnormals_and_rounding);
    CASE(reading_checks_name_shape_type_and_finite_values);
    CASE(a_model_whose_config_and_tensors_disagree_is_refused);
    CASE(published_sizes_have_their_published_parameter_counts);
    CASE(a_saved_model_opens_with_the_same_content);
    CHECK_INT(file_remove_tree(folder(), NULL), OK);
    return test_end();
}
