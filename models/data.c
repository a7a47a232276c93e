#include "models/data.h"

#include <stdlib.h>
#include <string.h>

#include "models/data_builtin.h"
#include "models/data_json.h"
#include "sim/base/check.h"

#define BUILTIN "builtin:dialogues"

static struct dataset *dataset_new(void)
{
    struct arena arena = {0};
    struct dataset *d = ARENA_NEW(&arena, struct dataset, 1);
    d->arena = arena;
    return d;
}

/* Numbers by value before strings by bytes, so that the numbering does not depend on the order of
 * lines. */
static int compare_labels(const void *pa, const void *pb)
{
    const struct raw_sample *a = *(const struct raw_sample *const *)pa;
    const struct raw_sample *b = *(const struct raw_sample *const *)pb;
    if (a->is_number != b->is_number)
        return a->is_number ? -1 : 1;
    if (a->is_number)
        return (a->number > b->number) - (a->number < b->number);
    return strcmp(a->label, b->label);
}

/* label[i] = number of sample i's label, name = one sample of each label, in order. */
static enum err_code number_labels(const struct raw_samples *raw, int *label,
                                   const struct raw_sample **sorted, int *n_labels, struct err *e)
{
    for (size_t i = 0; i < raw->n; i++)
        sorted[i] = &raw->item[i];
    qsort(sorted, raw->n, sizeof(sorted[0]), compare_labels);
    int n = 0;
    for (size_t i = 0; i < raw->n; i++) {
        const struct raw_sample *s = sorted[i];
        if (n == 0 || compare_labels(&sorted[n - 1], &s) != 0) {
            if (n == DATA_MAX_LABELS)
                return err_set(e, ERR_LIMIT, "expected at most %d different labels", n);
            sorted[n++] = s; /* n <= i: what is overwritten has been read */
        }
        label[s - raw->item] = n - 1;
    }
    *n_labels = n;
    return OK;
}

/* Samples [first, first + n) of raw become the dataset. */
static void dataset_fill(struct dataset *d, const struct raw_samples *raw, size_t first, size_t n,
                         const int *label, const struct raw_sample *const *name, int n_labels)
{
    d->n = n;
    d->sample = ARENA_NEW(&d->arena, struct sample, n);
    for (size_t i = 0; i < n; i++) {
        const struct raw_sample *s = &raw->item[first + i];
        d->sample[i] = (struct sample){.dialogue = arena_strdup(&d->arena, s->dialogue),
                                       .summary = arena_strdup(&d->arena, s->summary),
                                       .label = n_labels ? label[first + i] : -1};
    }
    const char **names = ARENA_NEW(&d->arena, const char *, (size_t)n_labels);
    for (int k = 0; k < n_labels; k++)
        names[k] = arena_strdup(&d->arena, name[k]->label);
    d->n_labels = n_labels;
    d->label_name = names;
}

/* How many of the n_source (and n_validation) samples train and are held out, and where the latter
 * begin. */
static enum err_code cut(const struct data_spec *spec, size_t n_source, size_t n_validation,
                         size_t *n_train, size_t *n_heldout, size_t *first_heldout, struct err *e)
{
    size_t left = n_source;
    if (spec->validation) {
        *n_heldout = n_validation;
        if (spec->n_heldout && spec->n_heldout < n_validation)
            *n_heldout = spec->n_heldout;
        *first_heldout = n_source;
    } else {
        if (spec->n_heldout >= n_source)
            return err_set(e, ERR_INPUT,
                           "%s: expected more samples than the %zu to hold out, got %zu",
                           spec->source, spec->n_heldout, n_source);
        left = n_source - spec->n_heldout;
        *n_heldout = spec->n_heldout;
        *first_heldout = left;
    }
    *n_train = spec->n_train && spec->n_train < left ? spec->n_train : left;
    return OK;
}

static bool is_builtin(const struct data_spec *spec)
{
    return strcmp(spec->source, BUILTIN) == 0;
}

static enum err_code open_files(struct dataset **train, struct dataset **heldout,
                                const struct data_spec *spec, struct err *e)
{
    struct raw_samples raw = {0};
    struct arena strings = {0};
    size_t n_source, n_empty, n_train = 0, n_heldout = 0, first = 0;
    int n_labels = 0;
    enum err_code code = data_json_read(&raw, spec->source, spec->skips_empty, &strings, e);
    n_source = raw.n;
    n_empty = raw.n_empty;
    if (!code && spec->validation)
        code = data_json_read(&raw, spec->validation, spec->skips_empty, &strings, e);
    if (!code)
        code = cut(spec, n_source, raw.n - n_source, &n_train, &n_heldout, &first, e);
    if (code)
        goto done;
    int *label = ARENA_NEW(&strings, int, raw.n);
    const struct raw_sample **name = ARENA_NEW(&strings, const struct raw_sample *, raw.n);
    if (raw.item[0].label && (code = number_labels(&raw, label, name, &n_labels, e))) {
        err_in(e, code, "%s", spec->source);
        goto done;
    }
    *train = dataset_new();
    dataset_fill(*train, &raw, 0, n_train, label, name, n_labels);
    (*train)->n_empty = n_empty;
    *heldout = dataset_new();
    dataset_fill(*heldout, &raw, first, n_heldout, label, name, n_labels);
    (*heldout)->n_empty = raw.n_empty - n_empty;
done:
    arena_free(&strings);
    raw_samples_fini(&raw);
    return code;
}

enum err_code data_open(struct dataset **train, struct dataset **heldout,
                        const struct data_spec *spec, struct err *e)
{
    if (!is_builtin(spec)) {
        if (strncmp(spec->source, "builtin:", 8) == 0)
            return err_set(e, ERR_INPUT, "expected %s or a file, got \"%s\"", BUILTIN,
                           spec->source);
        return open_files(train, heldout, spec, e);
    }
    if (spec->validation)
        return err_set(e, ERR_INPUT, "%s: has a held-out part of its own, got validation \"%s\"",
                       BUILTIN, spec->validation);
    if (spec->n_train < 1 || spec->n_train > DATA_MAX_SAMPLES || spec->n_heldout > DATA_MAX_SAMPLES)
        return err_set(e, ERR_INPUT,
                       "%s: expected 1..%d samples to train on and 0..%d held out, got %zu and %zu",
                       BUILTIN, DATA_MAX_SAMPLES, DATA_MAX_SAMPLES, spec->n_train, spec->n_heldout);
    *train = data_builtin_open(spec->seed, 0, spec->n_train);
    *heldout = data_builtin_open(spec->seed, 1, spec->n_heldout);
    return OK;
}

enum err_code data_open_test(struct dataset **test, const struct data_spec *spec, struct err *e)
{
    CHECK(spec->n_test >= 1 && is_builtin(spec) == !spec->test);
    if (!spec->test) {
        *test = data_builtin_open(spec->seed, 2, spec->n_test);
        return OK;
    }
    struct raw_samples raw = {0};
    struct arena strings = {0};
    enum err_code code = data_json_read(&raw, spec->test, spec->skips_empty, &strings, e);
    if (!code) {
        *test = dataset_new();
        dataset_fill(*test, &raw, 0, spec->n_test < raw.n ? spec->n_test : raw.n, NULL, NULL, 0);
        (*test)->n_empty = raw.n_empty;
    }
    arena_free(&strings);
    raw_samples_fini(&raw);
    return code;
}

/* Ids cut to limit - 1, then </s>. */
static enum err_code encode(const struct tokens *t, const char *text, int limit, struct arena *a,
                            struct arena *scratch, const int32_t **out, int *n_out, struct err *e)
{
    int32_t *ids;
    size_t n;
    enum err_code code = tokens_encode(t, text, scratch, &ids, &n, e);
    if (code)
        return code;
    if (n > (size_t)limit - 1)
        n = (size_t)limit - 1;
    int32_t *kept = ARENA_NEW(a, int32_t, n + 1);
    if (n > 0)
        memcpy(kept, ids, n * sizeof(ids[0]));
    kept[n] = TOKEN_EOS;
    *out = kept;
    *n_out = (int)n + 1;
    return OK;
}

enum err_code data_tokenise(struct dataset *d, const struct tokens *t, const struct data_spec *spec,
                            struct err *e)
{
    CHECK(spec->max_input >= 2 && spec->max_target >= 2);
    struct arena scratch = {0};
    enum err_code code = OK;
    for (size_t i = 0; i < d->n && !code; i++) {
        struct sample *s = &d->sample[i];
        const char *text =
            arena_printf(&scratch, "%s%s", spec->prefix ? spec->prefix : "", s->dialogue);
        code = encode(t, text, spec->max_input, &d->arena, &scratch, &s->input, &s->n_input, e);
        if (!code)
            code = encode(t, s->summary, spec->max_target, &d->arena, &scratch, &s->target,
                          &s->n_target, e);
        arena_free(&scratch);
    }
    return code;
}

void data_close(struct dataset *d)
{
    if (!d)
        return;
    struct arena arena = d->arena; /* the handle lives in it */
    arena_free(&arena);
}
