#include "models/pretrain_state.h"

#include <string.h>

#include "sim/base/check.h"
#include "sim/base/file.h"

#define NAME "pretrain.checkpoint"

struct header {
    char magic[8];
    struct hash128 spec;
    int64_t step;
    uint64_t n;
};
static const char magic[8] = {'v', 'e', 'p', 'r', 'e', 't', '0', '1'};

/* Field by field: padding inside a struct is not part of a setting. */
static struct hash128 hash_spec(const struct pretrain_spec *s, struct hash128 vocabulary)
{
    const struct t5_config *c = &s->config;
    int64_t whole[] = {s->n_steps,   s->batch,        s->n_warmup, (int64_t)s->seed, c->d_model,
                       c->d_kv,      c->d_ff,         c->n_heads,  c->n_enc,         c->n_dec,
                       c->n_buckets, c->max_distance, c->start_id, c->eos_id,        c->pad_id};
    float real[] = {s->lr, s->beta1, s->beta2, s->epsilon, s->weight_decay, s->max_norm, c->eps};
    struct hash128 h = hash_more(vocabulary, whole, sizeof(whole));
    return hash_more(h, real, sizeof(real));
}

enum err_code pretrain_state_init(struct pretrain_state *st, const struct pretrain_spec *s,
                                  struct hash128 vocabulary, size_t n, struct err *e)
{
    size_t n_bytes;
    if (!size_mul3(3 * sizeof(float), n, 1, &n_bytes))
        return err_set(e, ERR_LIMIT, "a model of %zu values does not fit in memory", n);
    *st = (struct pretrain_state){.spec = hash_spec(s, vocabulary), .n_steps = s->n_steps, .n = n};
    enum err_code code = mem_big(&st->vectors, n_bytes, "the checkpoint", e);
    if (code)
        return code;
    st->weights = st->vectors;
    st->m = st->weights + n;
    st->v = st->m + n;
    st->loss = ARENA_NEW(&st->arena, double, (size_t)s->n_steps);
    st->n_tokens = ARENA_NEW(&st->arena, int32_t, (size_t)s->n_steps);
    return OK;
}

void pretrain_state_fini(struct pretrain_state *st)
{
    mem_free(st->vectors);
    arena_free(&st->arena);
    *st = (struct pretrain_state){0};
}

void pretrain_state_add(struct pretrain_state *st, double loss, int n_tokens)
{
    CHECK(st->step < st->n_steps);
    st->loss[st->step] = loss;
    st->n_tokens[st->step++] = n_tokens;
}

/* The parts of the file after its header, in order. */
struct part {
    void *at;
    size_t n_bytes;
};
enum { N_PARTS = 3 };

static void list_parts(const struct pretrain_state *st, size_t step, struct part part[N_PARTS])
{
    part[0] = (struct part){st->loss, step * sizeof(st->loss[0])};
    part[1] = (struct part){st->n_tokens, step * sizeof(st->n_tokens[0])};
    part[2] = (struct part){st->vectors, 3 * st->n * sizeof(float)};
}

enum err_code pretrain_state_save(const struct pretrain_state *st, const char *folder,
                                  struct err *e)
{
    struct header h = {.spec = st->spec, .step = st->step, .n = st->n};
    memcpy(h.magic, magic, sizeof(magic));
    struct part part[N_PARTS];
    list_parts(st, (size_t)st->step, part);
    char *path = file_join(folder, NAME);
    struct file_out *f = NULL;
    enum err_code code = file_create(&f, path, e);
    mem_free(path);
    if (code)
        return code;
    struct hash128 sum = hash_bytes(&h, sizeof(h));
    code = file_write(f, &h, sizeof(h), e);
    for (int i = 0; i < N_PARTS && !code; i++) {
        sum = hash_more(sum, part[i].at, part[i].n_bytes);
        code = file_write(f, part[i].at, part[i].n_bytes, e);
    }
    if (!code)
        code = file_write(f, &sum, sizeof(sum), e);
    if (!code)
        return file_commit(f, e);
    file_abandon(f);
    return code;
}

static enum err_code parse(struct pretrain_state *st, const struct file *f, struct err *e)
{
    struct header h;
    if (f->n_bytes < sizeof(h))
        return err_set(e, ERR_INPUT, "expected a checkpoint, got %zu bytes", f->n_bytes);
    memcpy(&h, f->bytes, sizeof(h));
    if (memcmp(h.magic, magic, sizeof(magic)) != 0)
        return err_set(e, ERR_INPUT, "expected a checkpoint of veryedge pretrain");
    if (memcmp(&h.spec, &st->spec, sizeof(h.spec)) != 0 || h.n != st->n || h.step < 0 ||
        h.step > st->n_steps)
        return err_set(e, ERR_INPUT, "made with other settings than those asked for");
    struct part part[N_PARTS];
    struct hash128 sum = hash_bytes(&h, sizeof(h)), want;
    size_t at = sizeof(h);
    list_parts(st, (size_t)h.step, part);
    for (int i = 0; i < N_PARTS; i++) {
        if (f->n_bytes - at < part[i].n_bytes)
            return err_set(e, ERR_INPUT, "damaged: it ends too soon");
        sum = hash_more(sum, f->bytes + at, part[i].n_bytes);
        at += part[i].n_bytes;
    }
    if (f->n_bytes - at != sizeof(want))
        return err_set(e, ERR_INPUT, "damaged: %zu bytes at the end", f->n_bytes - at);
    memcpy(&want, f->bytes + at, sizeof(want));
    if (memcmp(&want, &sum, sizeof(want)) != 0)
        return err_set(e, ERR_INPUT, "damaged: its checksum is wrong");
    at = sizeof(h);
    for (int i = 0; i < N_PARTS; i++) {
        if (part[i].n_bytes > 0)
            memcpy(part[i].at, f->bytes + at, part[i].n_bytes);
        at += part[i].n_bytes;
    }
    st->step = (int)h.step;
    return OK;
}

enum err_code pretrain_state_load(struct pretrain_state *st, const char *folder, struct err *e)
{
    char *path = file_join(folder, NAME);
    struct file f;
    enum err_code code = file_map(&f, path, e);
    if (!code) {
        code = parse(st, &f, e);
        if (code)
            err_in(e, code, "%s", path);
        file_unmap(&f);
    }
    mem_free(path);
    return code;
}

enum err_code pretrain_state_remove(const char *folder, struct err *e)
{
    char *path = file_join(folder, NAME);
    enum err_code code = file_remove_tree(path, e);
    mem_free(path);
    return code;
}
