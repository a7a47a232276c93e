#include "models/t5.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/shards.h"
#include "models/t5_head.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

enum { MAX_PATH_BYTES = 4096 };

static bool has_model(const char *folder)
{
    char *config = file_join(folder, "config.json");
    bool is_there = file_exists(config);
    mem_free(config);
    return is_there;
}

enum err_code t5_folder(char **out, const char *weights, struct err *e)
{
    static const char prefix[] = "builtin:";
    char place[3][2 * MAX_PATH_BYTES] = {"", "", ""};
    if (strncmp(weights, prefix, sizeof(prefix) - 1) != 0) {
        *out = file_join(".", weights);
        return OK;
    }
    const char *name = weights + sizeof(prefix) - 1, *home = getenv("VERYEDGE_HOME");
    if (!*name || strchr(name, '/') || strlen(name) > 64 || strcmp(name, "..") == 0)
        return err_set(e, ERR_INPUT,
                       "expected a built-in model such as builtin:tiny, got \"%.80s\"", weights);
    char *program = file_program_folder();
    if (home && *home)
        snprintf(place[0], sizeof(place[0]), "%s/models/%s", home, name);
    snprintf(place[1], sizeof(place[1]), "%s/../share/veryedge/%s", program, name);
    mem_free(program);
    snprintf(place[2], sizeof(place[2]), "%s/%s", VERYEDGE_MODELS_DIR, name);
    for (int i = 0; i < 3; i++) {
        if (place[i][0] && has_model(place[i])) {
            *out = file_join(".", place[i]);
            return OK;
        }
    }
    return err_set(e, ERR_INPUT, "no built-in model \"%s\": looked in %s%s%s and %s", name,
                   place[0], place[0][0] ? ", " : "", place[1], place[2]);
}

/* Newer tools save a tokenizer as tokenizer.json alone, from which spiece.model cannot be made. */
enum err_code t5_folder_tokens(char **out, const char *weights, struct err *e)
{
    char *folder = NULL;
    enum err_code code = t5_folder(&folder, weights, e);
    if (code)
        return code;
    char *path = file_join(folder, "spiece.model"), *other = file_join(folder, "tokenizer.json");
    if (file_exists(path)) {
        *out = path;
        path = NULL;
    } else if (file_exists(other)) {
        code = err_set(e, ERR_INPUT,
                       "%s: expected the tokenizer's SentencePiece model, found tokenizer.json only: copy "
                       "spiece.model from where the base model came from (FLAN-T5: google/flan-t5-small has it)",
                       path);
    } else {
        code = err_set(e, ERR_INPUT, "%s: expected the tokenizer's SentencePiece model, found no such file", path);
    }
    mem_free(path);
    mem_free(other);
    mem_free(folder);
    return code;
}

/* A tensor that must be there, and its shape. */
struct pin {
    const char *name;
    int n_dims;
    size_t dim[2];
};

/* These fix vocabulary, widths, heads, buckets and depths. t5_open looks at all tensors. */
static enum err_code check_sizes(const struct t5_config *c, const struct t5_head *head,
                                 const struct shards *file, struct err *e)
{
#define LAYER_0 "encoder.block.0.layer."
    char last_enc[80], last_dec[80];
    size_t d = (size_t)c->d_model, inner = (size_t)t5_inner(c), ff = (size_t)c->d_ff;
    snprintf(last_enc, sizeof(last_enc), "encoder.block.%d.layer.0.layer_norm.weight",
             c->n_enc - 1);
    snprintf(last_dec, sizeof(last_dec), "decoder.block.%d.layer.0.layer_norm.weight",
             c->n_dec - 1);
    const struct pin pins[] = {
        {t5_head_name(head, file), 2, {(size_t)c->vocab, d}},
        {LAYER_0 "0.SelfAttention.q.weight", 2, {inner, d}},
        {LAYER_0 "0.SelfAttention.relative_attention_bias.weight",
         2,
         {(size_t)c->n_buckets, (size_t)c->n_heads}},
        {LAYER_0 "1.DenseReluDense.wi_0.weight", 2, {ff, d}},
        {last_enc, 1, {d, 0}},
        {last_dec, 1, {d, 0}},
    };
#undef LAYER_0
    enum err_code code = OK;
    for (size_t i = 0; !code && i < sizeof(pins) / sizeof(pins[0]); i++)
        code = shards_check(file, pins[i].name, pins[i].n_dims, pins[i].dim, e);
    return code;
}

/* needs_files: they must be there and agree with config.json; else what is none, or damaged, is passed over. */
static enum err_code read_folder(struct t5_config *out, bool *is_tied, const char *weights, bool needs_files,
                                 struct err *e)
{
    char *folder = NULL;
    struct shards *file = NULL;
    struct t5_config c;
    struct t5_head head;
    enum err_code code = t5_folder(&folder, weights, e);
    if (code)
        return code;
    char *config = file_join(folder, "config.json");
    code = t5_config_load(&c, config, e);
    enum err_code lack = code ? OK : shards_open(&file, folder, needs_files ? e : NULL);
    if (needs_files && lack)
        code = lack;
    if (!code)
        code = t5_head_find(&head, config, &c, file, e);
    if (!code && needs_files)
        code = check_sizes(&c, &head, file, e);
    if (!code) {
        *out = c;
        *is_tied = head.is_tied;
    }
    shards_close(file);
    mem_free(config);
    mem_free(folder);
    return code;
}

enum err_code t5_folder_check(struct t5_config *out, bool *is_tied, const char *weights, struct err *e)
{
    return read_folder(out, is_tied, weights, true, e);
}

enum err_code t5_folder_sizes(struct t5_config *out, bool *is_tied, const char *weights, struct err *e)
{
    return read_folder(out, is_tied, weights, false, e);
}
