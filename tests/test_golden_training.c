/* Golden training: what short runs of the built-in model learn in float32 on the CPU, byte for byte, against
 * tests/golden/training.csv: the last round's figures and a hash of the adapter or model. The bytes belong to
 * an arithmetic (OpenBLAS and its kernels, vector width, compiler: what the backend's describe says), so the
 * table has rows for each; one that it lacks is a skipped case.
 *
 *   test_golden_training            compares
 *   test_golden_training --update   writes the rows of this machine's arithmetic anew, others stay
 *
 * OPENBLAS_CORETYPE=Haswell in front of either takes another machine's kernels, where this one can run them. */
#include "models/backend.h"
#include "sim/base/hash.h"
#include "tests/program.h"

#define GOLDEN TEST_SOURCE "/tests/golden/training.csv"

static const char *const COLUMNS[] = {"run",         "arithmetic", "train_loss", "eval_loss",
                                      "fact_recall", "bytes",      "hash"};
enum { RUN, ARITHMETIC, TRAIN_LOSS, EVAL_LOSS, FACT_RECALL, BYTES, HASH, N_COLUMNS, N_TEXT = 160 };

/* Between them: LoRA and all weights, SGD and AdamW, clipping, dropout, server optimizers, evaluation, greedy text. */
static const struct golden_run {
    const char *name, *learned, *sets;
} RUNS[] = {
    {"lora", "adapter/adapter_model.safetensors", ""},
    {"adamw", "adapter/adapter_model.safetensors",
     "--set 'federation.client={\"optimizer\": \"adamw\", \"prox_mu\": 0.1}' --set federation.client_lr=0.003 "
     "--set 'federation.server={\"optimizer\": \"fedavg\"}'"},
    {"full", "model/model.safetensors",
     "--set model.train=full --set model.lora=null --set federation.client_lr=0.01 --set "
     "'federation.server={\"optimizer\": \"fedavgm\", \"momentum\": 0.5}'"},
};
enum { N_RUNS = sizeof(RUNS) / sizeof(RUNS[0]) };

struct row {
    char cell[N_COLUMNS][N_TEXT];
};

static void describe(char *out, size_t n)
{
    struct backend *b = NULL;
    struct err e = {0};
    const struct backend_ops *cpu = backend_find("cpu");
    if (cpu->open(&b, 0, 1, &e))
        TEST_FAIL("%s", e.text);
    else
        cpu->describe(b, out, n);
    if (b)
        cpu->close(b);
}

/* The results of a run, as a row of the table; the number of workers must not show in it. */
static bool train(const struct golden_run *g, int n_workers, struct row *out)
{
    struct file f = {0};
    struct err e = {0};
    char path[512];
    memset(out, 0, sizeof(*out));
    int status = program("run '" TEST_SOURCE "/scenarios/quickstart.json' --backend cpu --precision float32 "
                         "--no-cache --quiet --workers %d --set output.dir=out --set federation.rounds=2 --set "
                         "federation.clients_per_round=4 --set evaluate.every=2 --set evaluate.samples=8 %s",
                         n_workers, g->sets);
    snprintf(path, sizeof(path), PROGRAM_DIR "/out/%s", g->learned);
    if (status != 0 || file_map(&f, path, &e)) {
        TEST_FAIL("%s: exit status %d: %s%s", g->name, status, program_text("err.txt"), e.text);
        return false;
    }
    snprintf(out->cell[RUN], N_TEXT, "%s", g->name);
    describe(out->cell[ARITHMETIC], N_TEXT);
    struct csv *r = program_csv("out/rounds.csv");
    for (int c = TRAIN_LOSS; c <= FACT_RECALL; c++)
        snprintf(out->cell[c], N_TEXT, "%s", program_word(r, csv_rows(r) - 1, COLUMNS[c]));
    csv_close(r);
    char hex[33];
    hash_hex(hash_bytes(f.bytes, f.n_bytes), hex);
    snprintf(out->cell[BYTES], N_TEXT, "%zu", f.n_bytes);
    snprintf(out->cell[HASH], N_TEXT, "%s", hex);
    file_unmap(&f);
    return true;
}

static bool is_of(const struct csv *c, size_t row, const struct row *r)
{
    return strcmp(program_word(c, row, "run"), r->cell[RUN]) == 0 &&
           strcmp(program_word(c, row, "arithmetic"), r->cell[ARITHMETIC]) == 0;
}

static void compare(const struct csv *golden, const struct row *r)
{
    for (size_t i = 0; i < csv_rows(golden); i++) {
        if (!is_of(golden, i, r))
            continue;
        for (int c = TRAIN_LOSS; c < N_COLUMNS; c++)
            if (strcmp(program_word(golden, i, COLUMNS[c]), r->cell[c]) != 0)
                TEST_FAIL("%s, %s: %s: got %s, want %s", r->cell[RUN], r->cell[ARITHMETIC], COLUMNS[c],
                          r->cell[c], program_word(golden, i, COLUMNS[c]));
        return;
    }
    printf("  skipped: tests/golden/training.csv has no row \"%s\" for \"%s\"; test_golden_training --update "
           "adds it (on a commit whose training is trusted)\n",
           r->cell[RUN], r->cell[ARITHMETIC]);
    test_state()->is_skipped_here = true;
}

/* The rows in the order of the table, those of this arithmetic replaced or added at the end. */
static void update(const struct csv *golden, const struct row rows[N_RUNS])
{
    FILE *f = fopen(PROGRAM_DIR "/training.csv", "wb");
    if (!f) {
        TEST_FAIL("%s cannot be written", PROGRAM_DIR "/training.csv");
        return;
    }
    for (int c = 0; c < N_COLUMNS; c++)
        fprintf(f, "%s%s", c ? "," : "", COLUMNS[c]);
    for (size_t i = 0; golden && i < csv_rows(golden); i++) {
        bool is_ours = false;
        for (int k = 0; k < N_RUNS; k++)
            is_ours |= is_of(golden, i, &rows[k]);
        for (int c = 0; !is_ours && c < N_COLUMNS; c++)
            fprintf(f, c == ARITHMETIC ? "%s\"%s\"" : "%s%s", c ? "," : "\n",
                    program_word(golden, i, COLUMNS[c]));
    }
    for (int k = 0; k < N_RUNS; k++)
        for (int c = 0; c < N_COLUMNS; c++)
            fprintf(f, c == ARITHMETIC ? "%s\"%s\"" : "%s%s", c ? "," : "\n", rows[k].cell[c]);
    fputc('\n', f);
    fclose(f);
    struct err e = {0};
    const char *text = program_text("training.csv");
    if (file_replace(GOLDEN, text, strlen(text), &e))
        TEST_FAIL("%s", e.text);
}

int main(int argc, char **argv)
{
    bool updates = argc > 1 && strcmp(argv[1], "--update") == 0;
    struct csv *golden = NULL;
    struct err e = {0};
    struct row rows[N_RUNS];
    program_begin();
    if (csv_load(&golden, GOLDEN, ',', &e) && !updates) {
        printf("FAIL %s\n", e.text);
        return 1;
    }
    for (int k = 0; k < N_RUNS; k++) {
        struct row alone = {0};
        test_begin(RUNS[k].name);
        if (train(&RUNS[k], 1, &alone) && train(&RUNS[k], 2, &rows[k])) {
            if (memcmp(&alone, &rows[k], sizeof(alone)) != 0)
                TEST_FAIL("%s: 1 worker: loss %s, hash %s; 2 workers: loss %s, hash %s", RUNS[k].name,
                          alone.cell[TRAIN_LOSS], alone.cell[HASH], rows[k].cell[TRAIN_LOSS],
                          rows[k].cell[HASH]);
            if (!updates)
                compare(golden, &rows[k]);
        }
        test_finish();
    }
    if (updates && test_state()->n_failed_cases == 0)
        update(golden, rows);
    csv_close(golden);
    program_end();
    int status = test_end();
    return status == 0 && test_state()->n_skipped_cases == N_RUNS ? 77 : status;
}
