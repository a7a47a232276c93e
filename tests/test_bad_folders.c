/* Model and adapter folders that lie, asked of the program as a user would: one line on stderr that
 * names the place, exit status 2, nothing on stdout, no result folder. The undamaged folder runs,
 * so what is refused is the damage. Names of cases are the mistakes. */
#include "models/peft.h"
#include "models/t5.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "tests/program.h"

enum { MAX_TENSORS = 80, N_SHARED = 1120 * 16, N_NORM = 16 };

/* As many rows as builtin:tiny, whose tokenizer it takes. */
static const struct t5_config config = {1120, 16, 4, 32, 2, 2, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};

/* The model's tensors, to be changed by a case and written. */
struct model {
    struct t5 *t5;
    struct arena a;
    struct weights_item item[MAX_TENSORS];
    float *values[MAX_TENSORS]; /* the items' */
    size_t n;
};

static char *in_folder(const char *name)
{
    return file_join(PROGRAM_DIR "/m", name);
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    char *path = in_folder(name);
    CHECK_INT(file_replace(path, bytes, n, NULL), OK);
    mem_free(path);
}

static void write_items(const struct model *m, const char *name, size_t from, size_t to,
                        enum weights_type type)
{
    char *path = in_folder(name);
    CHECK_INT(weights_save(path, m->item + from, to - from, type, NULL), OK);
    mem_free(path);
}

static void write_config(const struct t5_config *c)
{
    char *path = in_folder("config.json");
    CHECK_INT(t5_config_save(c, path, NULL), OK);
    mem_free(path);
}

/* A sound folder m with model.safetensors, config.json and spiece.model, and the model in memory.
 */
static void begin(struct model *m)
{
    struct file f = {0};
    struct err e = {0};
    *m = (struct model){.n = 0};
    file_remove_tree(PROGRAM_DIR "/m", NULL);
    CHECK_INT(file_make_folder(PROGRAM_DIR "/m", &e), OK);
    CHECK_INT(t5_open_formula(&m->t5, backend_find("cpu"), &config, &e), OK);
    CHECK_INT(t5_save(m->t5, PROGRAM_DIR "/m", WEIGHTS_F32, &e), OK);
    for (size_t i = 0; i < t5_n_tensors(m->t5); i++) {
        const struct t5_tensor *t = t5_tensor_at(m->t5, i);
        m->values[i] = ARENA_NEW(&m->a, float, t->n);
        t5_get(m->t5, t, m->values[i]);
        m->item[m->n++] =
            (struct weights_item){t->name, t->n_dims, {t->dim[0], t->dim[1]}, m->values[i]};
    }
    CHECK_INT(file_map(&f, TEST_SOURCE "/models/tiny/spiece.model", &e), OK);
    write_file("spiece.model", f.bytes, f.n_bytes);
    file_unmap(&f);
}

static void end(struct model *m)
{
    t5_close(m->t5);
    arena_free(&m->a);
}

/* `veryedge ARGS` in the test's folder must fail with exit status 2 and one line that has these
 * words. */
__attribute__((format(printf, 2, 3))) static void refuse(const char *words, const char *args, ...)
{
    char what[1024];
    va_list list;
    va_start(list, args);
    vsnprintf(what, sizeof(what), args, list);
    va_end(list);
    int status = program("%s", what);
    const char *said = program_text("err.txt"), *line_end = strchr(said, '\n');
    if (status != 2)
        TEST_FAIL("veryedge %s: exit status %d: %s", what, status, said);
    CHECK_TRUE(strncmp(said, "error: ", 7) == 0);
    CHECK_TRUE(line_end && line_end[1] == 0);
    CHECK_HAS(said, words);
    CHECK_INT(strlen(program_text("out.txt")), 0);
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/out"));
    file_remove_tree(PROGRAM_DIR "/out", NULL);
}

/* What shows without reading weights is refused by `check` as well as by `run`. */
static void refuse_both(const char *words)
{
    refuse(words, "run s.json --quiet");
    refuse(words, "check s.json");
}

static void refuse_run(const char *words)
{
    refuse(words, "run s.json --quiet");
}

/* The folder with one text of a file in place of another of the same length, here in
 * model.safetensors' header. */
static void change_header(const char *from, const char *to)
{
    struct file f = {0};
    char *path = in_folder("model.safetensors");
    size_t n = strlen(from);
    CHECK_INT(file_map(&f, path, NULL), OK);
    unsigned char *copy = malloc(f.n_bytes);
    memcpy(copy, f.bytes, f.n_bytes);
    size_t at = 8;
    while (at + n < f.n_bytes && memcmp(copy + at, from, n) != 0)
        at++;
    CHECK_TRUE(strlen(to) == n && at + n < f.n_bytes);
    memcpy(copy + at, to, n);
    size_t n_bytes = f.n_bytes;
    file_unmap(&f);
    CHECK_INT(file_replace(path, copy, n_bytes, NULL), OK);
    free(copy);
    mem_free(path);
}

/* model.safetensors with other first 8 bytes, cut or grown by some bytes. */
static void change_file(long long header, long grow)
{
    struct file f = {0};
    char *path = in_folder("model.safetensors");
    CHECK_INT(file_map(&f, path, NULL), OK);
    size_t n = (size_t)((long)f.n_bytes + grow);
    unsigned char *copy = calloc(n, 1);
    memcpy(copy, f.bytes, n < f.n_bytes ? n : f.n_bytes);
    for (int i = 0; header >= 0 && i < 8; i++)
        copy[i] = (unsigned char)(header >> (8 * i));
    file_unmap(&f);
    CHECK_INT(file_replace(path, copy, n, NULL), OK);
    free(copy);
    mem_free(path);
}

static void change_config(const char *from, const char *to)
{
    struct file f = {0};
    char *path = in_folder("config.json"), text[4096];
    write_config(&config);
    CHECK_INT(file_map(&f, path, NULL), OK);
    char *whole = strndup((const char *)f.bytes, f.n_bytes), *at = strstr(whole, from);
    file_unmap(&f);
    CHECK_TRUE(at != NULL);
    if (at) {
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
        write_file("config.json", text, strlen(text));
    }
    free(whole);
    mem_free(path);
}

/* An index that gives tensors below n_first to a.safetensors, the others to b, but the last to
 * `last`. */
static void write_index(const struct model *m, size_t n_first, const char *last)
{
    struct json_out o;
    char *single = in_folder("model.safetensors");
    file_remove_tree(single, NULL);
    mem_free(single);
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    json_out_begin(&o, "weight_map", '{');
    for (size_t i = 0; i < m->n; i++)
        json_out_string(&o, m->item[i].name,
                        last && i + 1 == m->n ? last
                        : i < n_first         ? "a.safetensors"
                                              : "b.safetensors");
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    write_file("model.safetensors.index.json", o.text, o.n);
    json_out_fini(&o);
}

/* --- the cases --- */

static void the_undamaged_folder_runs(void)
{
    struct model m;
    begin(&m);
    if (program("run s.json --quiet") != 0)
        TEST_FAIL("%s", program_text("err.txt"));
    CHECK_TRUE(file_exists(PROGRAM_DIR "/out/adapter/adapter_model.safetensors"));
    file_remove_tree(PROGRAM_DIR "/adapter", NULL);
    CHECK_INT(rename(PROGRAM_DIR "/out/adapter", PROGRAM_DIR "/adapter"), 0);
    file_remove_tree(PROGRAM_DIR "/out", NULL);
    write_items(&m, "a.safetensors", 0, 9, WEIGHTS_BF16);
    write_items(&m, "b.safetensors", 9, m.n, WEIGHTS_F16);
    write_index(&m, 9, NULL);
    CHECK_INT(program("run s.json --quiet"), 0);
    file_remove_tree(PROGRAM_DIR "/out", NULL);
    end(&m);
}

static void shards_that_are_missing_elsewhere_or_mixed_up(void)
{
    struct model m;
    begin(&m);
    write_items(&m, "a.safetensors", 0, 9, WEIGHTS_F32);
    write_index(&m, 9, NULL);
    refuse_both("m/b.safetensors: no such file");
    write_items(&m, "b.safetensors", 9, m.n, WEIGHTS_F32);
    write_index(&m, 9, "../b.safetensors");
    refuse_both("weight_map.lm_head.weight: expected a .safetensors file of this folder, got "
                "\"../b.safetensors\"");
    write_index(&m, 9, "/b.safetensors");
    refuse_both("weight_map.lm_head.weight: expected a .safetensors file of this folder");
    write_index(&m, 8, NULL);
    refuse_both("b.safetensors holds no such tensor");
    write_index(&m, 9, "a.safetensors");
    refuse_both("a.safetensors holds no such tensor");
    end(&m);
}

static void sizes_that_contradict_the_tensors(void)
{
    struct model m;
    begin(&m);
    change_config("\"d_ff\": 32", "\"d_ff\": 33");
    refuse_both("wi_0.weight: expected shape [33, 16], got [32, 16]");
    change_config("\"num_heads\": 2", "\"num_heads\": 3");
    refuse_both("SelfAttention.q.weight: expected shape [12, 16], got [8, 16]");
    change_config("\"num_layers\": 2", "\"num_layers\": 3");
    refuse_both("tensor encoder.block.2.layer.0.layer_norm.weight is missing");
    change_config("\"num_decoder_layers\": 2", "\"num_decoder_layers\": 1");
    refuse_run("decoder.block.1.layer.0.layer_norm.weight is no tensor of this model");
    change_config("_num_buckets\": 32", "_num_buckets\": 64");
    refuse_both("relative_attention_bias.weight: expected shape [64, 2], got [32, 2]");
    end(&m);
}

/* Within the limits of each number they would be 1.3 TB; that must not end as a failure of the
 * machine. */
static void sizes_that_are_absurd(void)
{
    struct model m;
    struct t5_config c = config;
    begin(&m);
    c.vocab = T5_MAX_VOCAB;
    c.d_model = T5_MAX_D_MODEL;
    c.d_ff = T5_MAX_D_FF;
    c.n_enc = c.n_dec = T5_MAX_LAYERS;
    write_config(&c);
    refuse_both("lm_head.weight: expected shape [1048576, 16384], got [1120, 16]");
    change_config("\"d_model\": 16", "\"d_model\": 1e9");
    refuse_both("m/config.json: d_model: expected 1..16384, got 1000000000");
    change_config("\"d_kv\": 4", "\"d_kv\": 0");
    refuse_both("m/config.json: d_kv: expected 1..512, got 0");
    change_config("\"num_layers\": 2", "\"num_layers\": -2");
    refuse_both("m/config.json: num_layers: expected 1..128, got -2");
    change_config("\"vocab_size\": 1120", "\"vocab_size\": 11.5");
    refuse_both("m/config.json: vocab_size: expected a whole number");
    change_config("\"pad_token_id\": 0", "\"pad_token_id\": 1120");
    refuse_both("expected ids below vocab_size 1120, got 1120");
    end(&m);
}

static void headers_that_lie(void)
{
    struct model m;
    begin(&m);
    change_file(1000000, 0);
    refuse_both("m/model.safetensors: expected a header of 1000000 bytes, the file ends after");
    change_file(1LL << 40, 0);
    refuse_both("expected a header of at most 100000000 bytes, it says 1099511627776");
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_header("[71680, 71744]", "[71616, 71680]");
    refuse_both("encoder.block.0.layer.0.layer_norm.weight: expected its data to begin at byte "
                "71680, got 71616: "
                "tensors overlap");
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_header("[71680, 71744]", "[71744, 71680]");
    refuse_both("data_offsets: expected a span within");
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_header("[1120, 16]", "[16, 1121]");
    refuse_both(
        "shared.weight.data_offsets: expected the size of the shape in F32, got a span of 71680");
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_file(-1, -4);
    refuse_both("expected a span within");
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_file(-1, 4);
    refuse_both("expected the last tensor to end with the file, got 4 bytes more");
    end(&m);
}

static void values_that_are_no_numbers(void)
{
    struct model m;
    begin(&m);
    m.values[0][7] = NAN;
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    refuse_run("m/model.safetensors: shared.weight: value 7 is not a finite number");
    m.values[0][7] = 0;
    m.values[m.n - 1][N_SHARED - 1] = -INFINITY;
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_BF16);
    refuse_run("lm_head.weight: value 17919 is not a finite number");
    m.values[m.n - 1][N_SHARED - 1] = 0;
    m.values[1][N_NORM - 1] = 1e9f; /* more than a half holds */
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F16);
    refuse_run("encoder.block.0.layer.0.layer_norm.weight: value 15 is not a finite number");
    m.values[1][N_NORM - 1] = 1;
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_header("\"F32\", \"shape\": [1120", "\"I32\", \"shape\": [1120");
    refuse_run("shared.weight: expected F32, F16 or BF16, got I32");
    end(&m);
}

/* The model's rows changed to n, config and tensors alike. */
static void write_rows(struct model *m, size_t n)
{
    struct t5_config c = config;
    float *more = ARENA_NEW(&m->a, float, n * 16);
    c.vocab = (int)n;
    write_config(&c);
    m->item[0].dim[0] = m->item[m->n - 1].dim[0] = n;
    m->item[0].values = m->item[m->n - 1].values = more;
    write_items(m, "model.safetensors", 0, m->n, WEIGHTS_F32);
}

static void tokenizers_of_another_model(void)
{
    struct model m;
    begin(&m);
    write_rows(&m, 600);
    refuse_run("m: spiece.model has 1020 pieces, expected at most the model's 600 rows");
    write_rows(&m, 1020 + 1024 + 1);
    refuse_run(
        "m: spiece.model has 1020 pieces, expected at most 1024 fewer than the model's 2045 rows");
    write_rows(&m, 1120);
    write_file("spiece.model", "no model", 8);
    refuse_run("m/spiece.model: expected a sentencepiece model, got 8 bytes that are none");
    file_remove_tree(PROGRAM_DIR "/m/spiece.model", NULL);
    refuse_both("m/spiece.model: expected the tokenizer's SentencePiece model, found no such file");
    write_file("tokenizer.json", "{}", 2);
    refuse_both("m/spiece.model: expected the tokenizer's SentencePiece model, found tokenizer.json only: copy "
                "spiece.model from");
    end(&m);
}

/* 17,920 values of the embedding, 9,536 of the stacks, 1,152 of an adapter of rank 4 for q and v; bytes of a
 * round with one client. */
static void a_head_of_its_own_is_sent_and_a_tied_one_is_not(void)
{
    struct model m;
    begin(&m);
    const double stacks = 2 * (528 + 1552) + 2 * (2 * 528 + 1552) + 2 * (32 * 2 + 16);
    const double adapter = 6 * 2 * 4 * (16 + 8);
    const char *args = "run s.json --quiet --set model.train=none --set evaluate.every=0 --set "
                       "federation.payload=full --set federation.clients_per_round=1 --set model.lora.rank=4";
    for (int is_tied = 0; is_tied < 3; is_tied++) {
        if (is_tied == 1) {
            change_config("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
            write_items(&m, "model.safetensors", 0, m.n - 1, WEIGHTS_F32);
        }
        if (is_tied == 2) /* config.json alone */
            file_remove_tree(PROGRAM_DIR "/m/model.safetensors", NULL);
        CHECK_INT(program("%s", args), 0);
        struct csv *r = program_csv("out/rounds.csv");
        CHECK_NEAR(program_cell(r, 0, "bytes_down"),
                   4 * (1120 * 16 * (is_tied ? 1 : 2) + stacks + adapter), 0);
        csv_close(r);
        file_remove_tree(PROGRAM_DIR "/out", NULL);
    }
    end(&m);
}

static void models_of_another_kind(void)
{
    struct model m;
    begin(&m);
    change_config("\"gated-gelu\"", "\"relu\"");
    refuse_both(
        "feed_forward_proj: expected \"gated-gelu\" (T5 v1.1), got \"relu\", which is T5 v1.0");
    change_config("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    refuse_both("tie_word_embeddings: expected false beside a tensor lm_head.weight, got true");
    write_items(&m, "model.safetensors", 0, m.n - 1, WEIGHTS_F32);
    refuse("model.train: expected lora with a model whose head is tied", "check s.json --set model.train=full");
    write_config(&config);
    refuse_both("tensor lm_head.weight is missing");
    write_items(&m, "model.safetensors", 0, m.n, WEIGHTS_F32);
    change_config("\"model_type\": \"t5\"", "\"model_type\": \"bart\"");
    refuse_both("model_type: expected one of t5, mt5, got \"bart\"");
    write_config(&config);
    file_remove_tree(PROGRAM_DIR "/m/model.safetensors", NULL);
    refuse_both("m/model.safetensors: no such file");
    write_file("pytorch_model.bin", "PK", 2);
    refuse_both("save_pretrained(DIR, safe_serialization=True)");
    end(&m);
}

static void ranks_and_targets_that_no_adapter_has(void)
{
    struct model m;
    begin(&m);
    refuse("--set: model.lora.rank: expected 1..256, got 0", "run s.json --set model.lora.rank=0");
    refuse("model.lora.rank: expected at most d_model of model.weights, 16, got 17",
           "run s.json --set model.lora.rank=17");
    refuse("model.lora.targets[1]: expected one of q, k, v, o, wi_0, wi_1, wo, got \"query\"",
           "run s.json --set 'model.lora.targets=[\"q\", \"query\"]'");
    refuse("model.lora.targets: expected at least one target",
           "run s.json --set 'model.lora.targets=[]'");
    end(&m);
}

/* An adapter folder for such a model, which says that its base is "somebody/base". */
static void write_adapter(const struct t5_config *c, int rank, unsigned targets, float value)
{
    const struct lora_spec s = {.rank = rank, .alpha = 8, .dropout = 0, .targets = targets};
    size_t n = lora_size(c, &s);
    float *x = calloc(n, sizeof(*x));
    x[n - 1] = value;
    file_remove_tree(PROGRAM_DIR "/a", NULL);
    CHECK_INT(peft_save(PROGRAM_DIR "/a", c, &s, "somebody/base", x, NULL), OK);
    free(x);
}

static void refuse_adapter(const char *words)
{
    refuse(words, "run s.json --quiet --set model.adapter=a --set model.lora=null");
    refuse(words, "merge a --weights m --out out");
}

static void adapters_for_another_base(void)
{
    struct model m;
    struct t5_config wide = config, deep = config;
    begin(&m);
    wide.d_model = 24;
    write_adapter(&wide, 4, LORA_Q | LORA_V, 0);
    refuse_adapter(
        "a/adapter_model.safetensors: "
        "base_model.model.encoder.block.0.layer.0.SelfAttention.q.lora_A."
        "weight: expected shape [4, 16], got [4, 24]; the adapter's base is \"somebody/base\"");
    deep.n_dec = 3;
    write_adapter(&deep, 4, LORA_Q | LORA_V, 0);
    refuse_adapter(
        "expected the 24 tensors of an adapter for this model, got 32; the adapter's base is "
        "\"somebody/base\"");
    write_adapter(&wide, 20, LORA_Q, 0);
    refuse("a rank of at most d_model, 16, got 20", "merge a --weights m --out out");
    write_adapter(&config, 4, LORA_Q | LORA_V, NAN);
    refuse_adapter("is not a finite number");
    end(&m);
}

static void change_adapter(const char *text)
{
    CHECK_INT(file_replace(PROGRAM_DIR "/a/adapter_config.json", text, strlen(text), NULL), OK);
}

static void adapters_that_are_broken(void)
{
#define ADAPTER(rank, targets)                                                                     \
    "{\"peft_type\": \"LORA\", \"lora_alpha\": 8, \"r\": " rank ", \"target_modules\": " targets "}"
    struct model m;
    begin(&m);
    write_adapter(&config, 4, LORA_Q, 0);
    change_adapter(ADAPTER("0", "[\"q\"]"));
    refuse_adapter("a/adapter_config.json: r: expected 1..256, got 0");
    change_adapter(ADAPTER("4", "[\"q_proj\"]"));
    refuse_adapter("a/adapter_config.json: target_modules[0]: expected one of");
    change_adapter(ADAPTER("8", "[\"q\"]"));
    refuse_adapter("expected shape [8, 16], got [4, 16]");
    change_adapter("{\"peft_type\": \"PREFIX_TUNING\"}");
    refuse_adapter("a/adapter_config.json: peft_type: expected one of LORA");
    change_adapter("{");
    refuse_adapter("a/adapter_config.json:");
    change_adapter(ADAPTER("4", "[\"q\"]"));
    file_remove_tree(PROGRAM_DIR "/a/adapter_model.safetensors", NULL);
    refuse_adapter("a/adapter_model.safetensors: no such file");
    file_remove_tree(PROGRAM_DIR "/a/adapter_config.json", NULL);
    refuse_adapter("a/adapter_config.json: no such file");
    end(&m);
#undef ADAPTER
}

int main(void)
{
    program_begin();
    program_write(
        "s.json",
        "{\"model\": {\"weights\": \"m\", \"lora\": {\"rank\": 4}}, \"clients\": {\"count\": 2},"
        "\"data\": {\"samples\": 8, \"heldout\": 2}, \"evaluate\": {\"every\": 0},"
        "\"federation\": {\"rounds\": 1, \"batch\": 2, \"clients_per_round\": 1},"
        "\"output\": {\"dir\": \"out\"}}");
    CASE(the_undamaged_folder_runs);
    CASE(shards_that_are_missing_elsewhere_or_mixed_up);
    CASE(sizes_that_contradict_the_tensors);
    CASE(sizes_that_are_absurd);
    CASE(headers_that_lie);
    CASE(values_that_are_no_numbers);
    CASE(tokenizers_of_another_model);
    CASE(a_head_of_its_own_is_sent_and_a_tied_one_is_not);
    CASE(models_of_another_kind);
    CASE(ranks_and_targets_that_no_adapter_has);
    CASE(adapters_for_another_base);
    CASE(adapters_that_are_broken);
    program_end();
    return test_end();
}
