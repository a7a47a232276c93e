#include "models/peft.h"

#include <stdbool.h>
#include <string.h>

#include "models/weights.h"
#include "sim/base/file.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"

enum { NAME_BYTES = 160 };

static void write_config(struct json_out *o, const struct lora_spec *s, const char *base_model)
{
    const char *const *names = lora_target_names();
    json_out_begin(o, NULL, '{');
    json_out_string(o, "peft_type", "LORA");
    json_out_string(o, "task_type", "SEQ_2_SEQ_LM");
    json_out_string(o, "base_model_name_or_path", base_model);
    json_out_int(o, "r", s->rank);
    json_out_float(o, "lora_alpha", s->alpha);
    json_out_float(o, "lora_dropout", s->dropout);
    json_out_begin_inline(o, "target_modules", '[');
    for (int i = 0; names[i]; i++) {
        if (s->targets >> i & 1u)
            json_out_string(o, NULL, names[i]);
    }
    json_out_end(o, ']');
    json_out_string(o, "bias", "none");
    json_out_bool(o, "fan_in_fan_out", false);
    json_out_bool(o, "init_lora_weights", true);
    json_out_bool(o, "inference_mode", true);
    json_out_bool(o, "use_dora", false);
    json_out_bool(o, "use_rslora", false);
    json_out_end(o, '}');
}

/* Item 2 i is A of site i, 2 i + 1 its B. */
static void site_item(const struct lora_layout *l, const struct t5_config *c, int i,
                      struct arena *a, struct weights_item out[2])
{
    const struct lora_site *s = &l->site[i];
    char *name[2];
    for (int j = 0; j < 2; j++) {
        name[j] = ARENA_NEW(a, char, NAME_BYTES);
        lora_site_name(l, c, i, j ? 'B' : 'A', name[j], NAME_BYTES);
    }
    size_t rank = (size_t)l->spec.rank;
    out[0] = (struct weights_item){.name = name[0], .n_dims = 2, .dim = {rank, (size_t)s->d_in}};
    out[1] = (struct weights_item){.name = name[1], .n_dims = 2, .dim = {(size_t)s->d_out, rank}};
}

enum err_code peft_save(const char *folder, const struct t5_config *c, const struct lora_spec *s,
                        const char *base_model, const float *adapter, struct err *e)
{
    struct arena a = {0};
    struct lora_layout l;
    struct json_out o;
    lora_layout_init(&l, c, s);
    json_out_init(&o);
    struct weights_item *item = ARENA_NEW(&a, struct weights_item, 2 * (size_t)l.n_sites);
    for (int i = 0; i < l.n_sites; i++) {
        site_item(&l, c, i, &a, item + 2 * i);
        item[2 * i].values = adapter + l.site[i].a;
        item[2 * i + 1].values = adapter + l.site[i].b;
    }
    char *config = file_join(folder, "adapter_config.json");
    char *values = file_join(folder, "adapter_model.safetensors");
    write_config(&o, s, base_model);
    enum err_code code = file_make_folder(folder, e);
    if (!code)
        code = file_replace(config, o.text, o.n, e);
    if (!code)
        code = weights_save(values, item, 2 * (size_t)l.n_sites, WEIGHTS_F32, e);
    mem_free(values);
    mem_free(config);
    json_out_fini(&o);
    lora_layout_fini(&l);
    arena_free(&a);
    return code;
}

/* The front matter is YAML, of which JSON is a part: so any name is quoted as it must be. */
enum err_code peft_save_card(const char *folder, const char *base_model, const char *about,
                             struct err *e)
{
    struct arena a = {0};
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    if (base_model[0])
        json_out_string(&o, "base_model", base_model);
    json_out_string(&o, "library_name", "peft");
    json_out_begin_inline(&o, "tags", '[');
    json_out_string(&o, NULL, "lora");
    json_out_string(&o, NULL, "federated-learning");
    json_out_end(&o, ']');
    json_out_end(&o, '}');
    const char *text = arena_printf(
        &a,
        "---\n%s\n---\n\n# LoRA adapter\n\n%s\n\n```python\n"
        "from peft import PeftModel\nfrom transformers import T5ForConditionalGeneration\n"
        "model = PeftModel.from_pretrained(T5ForConditionalGeneration.from_pretrained(BASE), DIR)\n"
        "```\n\n`veryedge merge DIR --weights BASE --out MODEL` makes a model folder of the two.\n",
        o.text, about);
    char *path = file_join(folder, "README.md");
    enum err_code code = file_replace(path, text, strlen(text), e);
    mem_free(path);
    json_out_fini(&o);
    arena_free(&a);
    return code;
}

/* What PEFT can do and we cannot: these keys must be absent, null, false or empty. */
static enum err_code refuse_variants(struct json root, struct err *e)
{
    static const char *const off[] = {"use_dora",
                                      "use_rslora",
                                      "fan_in_fan_out",
                                      "lora_bias",
                                      "rank_pattern",
                                      "alpha_pattern",
                                      "modules_to_save",
                                      "layers_to_transform",
                                      "exclude_modules",
                                      "use_qalora",
                                      "layer_replication",
                                      "megatron_config",
                                      "trainable_token_indices",
                                      "target_parameters"};
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        struct json v;
        bool is_on = false;
        if (!json_has(root, off[i]))
            continue;
        enum err_code code = json_value(root, off[i], &v, e);
        if (code)
            return code;
        if (json_is_string(v) || json_is_number(v) || json_count(v) > 0)
            is_on = true;
        else if (json_bool(v, NULL, NULL, &is_on, NULL) != OK)
            is_on = false; /* null, or an empty object or array */
        if (is_on)
            return json_fail(root, off[i], e, "this variant of LoRA is not supported");
    }
    return OK;
}

static enum err_code read_targets(struct json root, unsigned *out, struct err *e)
{
    struct json list;
    *out = 0;
    enum err_code code = json_array(root, "target_modules", &list, e);
    for (size_t i = 0; !code && i < json_count(list); i++) {
        size_t which;
        code = json_choice(json_at(list, i), NULL, lora_target_names(), N_LORA_TARGETS, NULL,
                           &which, e);
        if (!code)
            *out |= 1u << which;
    }
    return code;
}

static enum err_code read_spec(struct json root, struct lora_spec *out, struct err *e)
{
    static const char *const lora[] = {"LORA"}, *const none[] = {"none"};
    static const double no_dropout = 0;
    static const size_t first = 0;
    double alpha, dropout;
    int64_t rank;
    size_t i;
    enum err_code code = json_choice(root, "peft_type", lora, 1, NULL, &i, e);
    if (!code)
        code = json_choice(root, "bias", none, 1, &first, &i, e);
    if (!code)
        code = refuse_variants(root, e);
    if (!code)
        code = json_int(root, "r", 1, LORA_MAX_RANK, NULL, &rank, e);
    if (!code)
        code = json_double(root, "lora_alpha", 1e-6, 65536, NULL, &alpha, e);
    if (!code)
        code = json_double(root, "lora_dropout", 0, 0.99, &no_dropout, &dropout, e);
    if (!code)
        code = read_targets(root, &out->targets, e);
    if (code)
        return code;
    out->rank = (int)rank;
    out->alpha = (float)alpha;
    out->dropout = (float)dropout;
    return OK;
}

enum err_code peft_load_spec(const char *folder, struct lora_spec *out, struct err *e)
{
    struct json_doc *doc = NULL;
    struct lora_spec s;
    char *path = file_join(folder, "adapter_config.json");
    enum err_code code = json_load(&doc, path, e);
    if (!code && !json_is_object(json_root(doc)))
        code = err_set(e, ERR_INPUT, "%s: expected an object", path);
    if (!code)
        code = read_spec(json_root(doc), &s, e);
    if (!code && (code = lora_check(&s, e)) != OK)
        err_in(e, code, "%s", path);
    if (!code)
        *out = s;
    json_close(doc);
    mem_free(path);
    return code;
}

/* Adds to a message which base the folder's adapter says it was made for. */
static enum err_code name_base(const char *folder, enum err_code code, struct err *e)
{
    static const char *const unknown = "";
    struct json_doc *doc = NULL;
    const char *base = unknown;
    char *path = file_join(folder, "adapter_config.json");
    if (e && code == ERR_INPUT && json_load(&doc, path, NULL) == OK &&
        json_string(json_root(doc), "base_model_name_or_path", &unknown, &base, NULL) == OK &&
        base[0]) {
        struct err why = *e;
        err_set(e, code, "%.700s; the adapter's base is \"%.200s\"", why.text, base);
    }
    json_close(doc);
    mem_free(path);
    return code;
}

enum err_code peft_load(const char *folder, const struct t5_config *c, const struct lora_spec *s,
                        float *adapter, struct err *e)
{
    struct arena a = {0};
    struct lora_layout l;
    struct weights *w = NULL;
    char *path = file_join(folder, "adapter_model.safetensors");
    lora_layout_init(&l, c, s);
    enum err_code code = weights_open(&w, path, e);
    bool is_open = !code;
    if (!code && s->rank > c->d_model)
        code = err_set(e, ERR_INPUT, "%s: expected a rank of at most d_model, %d, got %d", path,
                       c->d_model, s->rank);
    if (!code && weights_count(w) != 2 * (size_t)l.n_sites)
        code = err_set(e, ERR_INPUT,
                       "%s: expected the %d tensors of an adapter for this model, got %zu", path,
                       2 * l.n_sites, weights_count(w));
    for (int i = 0; !code && i < l.n_sites; i++) {
        struct weights_item item[2];
        site_item(&l, c, i, &a, item);
        code = weights_read(w, item[0].name, 2, item[0].dim, adapter + l.site[i].a, e);
        if (!code)
            code = weights_read(w, item[1].name, 2, item[1].dim, adapter + l.site[i].b, e);
    }
    if (code && is_open)
        name_base(folder, code, e);
    weights_close(w);
    lora_layout_fini(&l);
    mem_free(path);
    arena_free(&a);
    return code;
}
