/* veryedge merge: one model folder of an adapter and the model it belongs to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/peft.h"
#include "models/t5.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/keep.h"

struct args {
    const char *adapter, *weights, *out, *type;
    enum weights_type as;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    static const struct {
        const char *name;
        enum weights_type type;
    } types[] = {{"f32", WEIGHTS_F32}, {"bf16", WEIGHTS_BF16}, {"f16", WEIGHTS_F16}};
    const struct cli_option options[] = {
        CLI_TEXT("weights", "DIR", "model folder or builtin:tiny (needed)", &a->weights),
        CLI_TEXT("out", "DIR", "folder of the merged model, new or empty (needed)", &a->out),
        CLI_TEXT("type", "NAME", "f32, bf16 or f16 (default: f32)", &a->type),
        CLI_END,
    };
    const struct cli cli = {"merge",
                            "ADAPTER",
                            "adds an adapter, a folder as PEFT and `run` write it, to its model",
                            options,
                            1,
                            1,
                            "  veryedge merge runs/quickstart/adapter --weights builtin:tiny --out "
                            "merged\n"};
    size_t n_args = 0;
    enum err_code code = cli_parse(&cli, argc, argv, &a->adapter, &n_args, is_help, e);
    if (code || *is_help)
        return code;
    if (!a->weights || !a->out)
        return err_set(e, ERR_INPUT, "merge: expected --%s DIR", a->weights ? "out" : "weights");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(a->type, types[i].name) == 0) {
            a->as = types[i].type;
            return OK;
        }
    }
    return err_set(e, ERR_INPUT, "--type: expected f32, bf16 or f16, got \"%.40s\"", a->type);
}

static enum err_code add_adapter(struct t5 *m, const char *folder, struct err *e)
{
    struct lora_spec spec;
    struct lora_layout layout = {0};
    void *adapter = NULL;
    enum err_code code = peft_load_spec(folder, &spec, e);
    if (code)
        return code;
    lora_layout_init(&layout, t5_config_of(m), &spec);
    code = mem_big(&adapter, layout.size * sizeof(float), "the adapter", e);
    if (!code)
        code = peft_load(folder, t5_config_of(m), &spec, adapter, e);
    if (!code)
        code = t5_merge(m, &layout, adapter, e);
    mem_free(adapter);
    lora_layout_fini(&layout);
    return code;
}

/* Writes aside; a folder that is there must be empty, which rename sees to. */
static enum err_code write_folder(const struct t5 *m, const char *base, const struct args *a,
                                  struct err *e)
{
    struct arena scratch = {0};
    size_t n = strlen(a->out);
    while (n > 1 && a->out[n - 1] == '/')
        n--;
    const char *out = arena_printf(&scratch, "%.*s", (int)n, a->out);
    const char *aside = arena_printf(&scratch, "%s.part-%ld", out, (long)getpid());
    enum err_code code = file_make_folder(aside, e);
    if (!code)
        code = t5_save(m, aside, a->as, e);
    if (!code)
        code = keep_copy_tokens(base, aside, e);
    if (!code && rename(aside, out) != 0) {
        if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)
            code = err_set(e, ERR_INPUT, "--out: expected a new or an empty folder, got %s", out);
        else
            code = err_set(e, ERR_IO, "%s: cannot be put in place: %s", out, strerror(errno));
    }
    if (code)
        file_remove_tree(aside, NULL);
    arena_free(&scratch);
    return code;
}

enum err_code cmd_merge(int argc, char **argv, struct err *e)
{
    struct args a = {.type = "f32"};
    struct t5 *m = NULL;
    char *base = NULL;
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    code = t5_folder(&base, a.weights, e);
    if (!code)
        code = t5_open(&m, backend_find("cpu"), a.weights, e);
    if (!code)
        code = add_adapter(m, a.adapter, e);
    if (!code)
        code = write_folder(m, base, &a, e);
    if (!code)
        printf("%s\n", a.out);
    t5_close(m);
    mem_free(base);
    return code;
}
