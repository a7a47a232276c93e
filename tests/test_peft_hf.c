/* Folders that we write, loaded by Hugging Face's transformers and PEFT: the same logits to 1e-4
 * and the same tokens from beam search.
 * Runs where $VERYEDGE_PYTHON (or python3) has torch, transformers and peft. */
#include "tests/test.h"

#include <sys/wait.h>

#include "models/peft.h"
#include "models/t5.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

#define FOLDER "test_peft_hf.folder"
enum { VOCAB = 20, N_IN = 37, N_OUT = 9, SKIPPED = 77 };

static const struct t5_config config = {VOCAB, 24, 5, 28, 4, 3, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
static const struct lora_spec spec = {
    .rank = 3, .alpha = 5, .dropout = 0.1f, .targets = (1u << N_LORA_TARGETS) - 1};

static void must(enum err_code code, const struct err *e)
{
    if (code) {
        printf("FAIL %s\n", e->text);
        exit(1);
    }
}

/* logits [N_OUT, VOCAB] of model and adapter. */
static void score(const struct t5 *m, const struct lora_layout *l, const float *adapter,
                  const int32_t *in, const int32_t *out, float *logits)
{
    struct err e = {0};
    struct pack *p;
    struct t5_work *w;
    void *x;
    double nll;
    const struct t5_limits limits = {1, 1, N_IN, N_OUT, 0, 0};
    must(pack_open(&p, 1, 1, N_IN, N_OUT, &e), &e);
    must(t5_work_open(&w, m, T5_INFER, l, &limits, 1, &e), &e);
    pack_clear(p, config.start_id);
    pack_member(p, 0);
    CHECK_TRUE(pack_add(p, in, N_IN, out, N_OUT));
    pack_finish(p);
    struct backend *b = t5_work_backend(w);
    must(b->ops->alloc(b, &x, l->size * sizeof(float), "an adapter", &e), &e);
    b->ops->set(b, x, adapter, l->size * sizeof(float));
    const struct t5_pass pass = {.pack = p, .adapters = x};
    must(t5_score(w, &pass, &nll, &e), &e);
    must(t5_logits(w, logits, &e), &e);
    b->ops->free(b, x);
    t5_work_close(w);
    pack_close(p);
}

/* Tokens that beam search finds, filled up with -1: [N_SEARCHES, MAX_NEW] for four settings. */
enum { N_SEARCHES = 4, MAX_NEW = 14 };

static void search(const struct t5 *m, const int32_t *in, float tokens[N_SEARCHES * MAX_NEW])
{
    static const struct t5_beams how[N_SEARCHES] = {
        {2, 1, false}, {3, 2.5f, false}, {5, 0.5f, true}, {8, -1, false}};
    struct err e = {0};
    struct pack *p;
    struct t5_work *w;
    const struct t5_limits limits = {1, 1, N_IN, 0, MAX_NEW, 8};
    must(pack_open(&p, 1, 1, N_IN, 0, &e), &e);
    must(t5_work_open(&w, m, T5_INFER, NULL, &limits, 1, &e), &e);
    pack_clear(p, config.start_id);
    pack_member(p, 0);
    CHECK_TRUE(pack_add(p, in, N_IN, NULL, 0));
    pack_finish(p);
    const struct t5_pass pass = {.pack = p};
    for (int k = 0; k < N_SEARCHES; k++) {
        int32_t out[MAX_NEW];
        int n = 0;
        must(t5_beam(w, &pass, &how[k], MAX_NEW, out, &n, &e), &e);
        for (int i = 0; i < MAX_NEW; i++)
            tokens[k * MAX_NEW + i] = i < n ? (float)out[i] : -1;
    }
    t5_work_close(w);
    pack_close(p);
}

static void write_folders(void)
{
    struct err e = {0};
    struct t5 *m;
    struct lora_layout l;
    int32_t in[N_IN], out[N_OUT];
    float in_f[N_IN], out_f[N_OUT], logits[N_OUT * VOCAB], found[N_SEARCHES * MAX_NEW];
    must(t5_open_random(&m, backend_find("cpu"), &config, 5, &e), &e);
    lora_layout_init(&l, &config, &spec);
    float *adapter = malloc(l.size * sizeof(*adapter));
    for (size_t i = 0; i < l.size; i++)
        adapter[i] = (float)(0.2 * rng_normal(9, RNG_SPLIT, 0, i));
    for (uint64_t i = 0; i < N_IN; i++)
        in_f[i] = (float)(in[i] = 2 + (int32_t)rng_below(5, RNG_ORDER, 0, i, VOCAB - 2));
    for (uint64_t i = 0; i < N_OUT; i++)
        out_f[i] = (float)(out[i] = 2 + (int32_t)rng_below(5, RNG_PICK, 0, i, VOCAB - 2));
    score(m, &l, adapter, in, out, logits);
    const struct weights_item item[] = {{"input", 1, {N_IN}, in_f},
                                        {"target", 1, {N_OUT}, out_f},
                                        {"logits", 2, {N_OUT, VOCAB}, logits},
                                        {"found", 2, {N_SEARCHES, MAX_NEW}, found}};
    must(file_make_folder(FOLDER "/model", &e), &e);
    must(file_make_folder(FOLDER "/merged", &e), &e);
    must(t5_save(m, FOLDER "/model", WEIGHTS_F32, &e), &e);
    must(peft_save(FOLDER "/adapter", &config, &spec, FOLDER "/model", adapter, &e), &e);
    must(peft_save_card(FOLDER "/adapter", FOLDER "/model", "For a test.", &e), &e);
    must(t5_merge(m, &l, adapter, &e), &e);
    must(t5_save(m, FOLDER "/merged", WEIGHTS_F32, &e), &e);
    search(m, in, found);
    must(weights_save(FOLDER "/ours.safetensors", item, 4, WEIGHTS_F32, &e), &e);
    free(adapter);
    lora_layout_fini(&l);
    t5_close(m);
}

static int ask_python(void)
{
    char line[2048];
    const char *python = getenv("VERYEDGE_PYTHON");
    snprintf(line, sizeof(line), "'%s' '" TEST_SOURCE "/tests/peft_load.py' " FOLDER,
             python && *python ? python : "python3");
    fflush(stdout);
    int status = system(line);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    return status == 127 ? SKIPPED : status; /* no python at all */
}

int main(void)
{
    write_folders();
    int status = ask_python();
    if (status == 1)
        printf("FAIL\n");
    CHECK_INT(file_remove_tree(FOLDER, NULL), OK);
    return status;
}
