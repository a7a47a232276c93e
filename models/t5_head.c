#include "models/t5_head.h"

#include <math.h>

#include "sim/base/json.h"

#define OWN "lm_head.weight"

static enum err_code find(struct t5_head *out, struct json root, const struct t5_config *c, bool has_own,
                          struct err *e)
{
    static const bool yes = true;
    bool is_tied = true, is_scaled = true;
    enum err_code code = json_bool(root, "tie_word_embeddings", &yes, &is_tied, e);
    if (!code)
        code = json_bool(root, "scale_decoder_outputs", &is_tied, &is_scaled, e);
    if (code)
        return code;
    if (is_tied && has_own && !json_has(root, "scale_decoder_outputs"))
        return json_fail(root, "tie_word_embeddings", e,
                         "expected false beside a tensor " OWN ", got %s",
                         json_has(root, "tie_word_embeddings") ? "true" : "nothing, which means true");
    out->is_tied = is_tied && !has_own;
    out->scale = is_scaled ? (float)(1 / sqrt((double)c->d_model)) : 1;
    return OK;
}

enum err_code t5_head_find(struct t5_head *out, const char *config, const struct t5_config *c,
                           const struct shards *file, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_load(&doc, config, e);
    if (code)
        return code;
    code = find(out, json_root(doc), c, file && shards_has(file, OWN), e);
    json_close(doc);
    return code;
}

const char *t5_embedding_name(const struct shards *file)
{
    static const char *const name[] = {"shared.weight", "encoder.embed_tokens.weight",
                                       "decoder.embed_tokens.weight"};
    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
        if (shards_has(file, name[i]))
            return name[i];
    return name[0];
}

const char *t5_head_name(const struct t5_head *h, const struct shards *file)
{
    return h->is_tied ? t5_embedding_name(file) : OWN;
}

enum err_code t5_head_read(const struct t5_head *h, const struct t5_config *c, const struct shards *file,
                           float *out, struct err *e)
{
    const size_t dim[2] = {(size_t)c->vocab, (size_t)c->d_model};
    enum err_code code = shards_read(file, t5_head_name(h, file), 2, dim, out, e);
    for (size_t i = 0; !code && h->scale < 1 && i < dim[0] * dim[1]; i++)
        out[i] *= h->scale;
    return code;
}
