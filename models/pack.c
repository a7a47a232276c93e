#include "models/pack.h"

#include <string.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

/* One block of memory behind the struct; `side` hands out its arrays in turn. */
struct cut {
    unsigned char *at;
};

static void *take(struct cut *c, size_t n)
{
    void *p = c->at;
    c->at += n * 4;
    return p;
}

static void side_init(struct pack_side *s, struct cut *c, int max_members, int max_seqs,
                      size_t rows)
{
    s->start = take(c, (size_t)max_seqs);
    s->len = take(c, (size_t)max_seqs);
    s->member_row = take(c, (size_t)max_members + 1);
    s->id = take(c, rows);
    s->owner = take(c, rows);
    s->index = take(c, rows);
}

enum err_code pack_open(struct pack **out, int max_members, int max_seqs, size_t max_in,
                        size_t max_out, struct err *e)
{
    _Static_assert(sizeof(float) == 4 && sizeof(int32_t) == 4,
                   "every array holds words of 4 bytes");
    CHECK(max_members >= 1 && max_seqs >= 1 && max_in >= 1);
    if (max_in > INT32_MAX || max_out > INT32_MAX)
        return err_set(e, ERR_LIMIT, "a pass of %zu input and %zu target tokens: at most %d each",
                       max_in, max_out, INT32_MAX);
    size_t words = 3 * ((size_t)max_members + 1) + 4 * (size_t)max_seqs + 3 * max_in + 5 * max_out;
    size_t head = (sizeof(struct pack) + 63) / 64 * 64;
    void *block;
    enum err_code code = mem_big(&block, head + 4 * words, "a pack of sequences", e);
    if (code)
        return code;
    struct pack *p = block;
    struct cut c = {(unsigned char *)block + head};
    p->max_members = max_members;
    p->max_seqs = max_seqs;
    p->max_in = max_in;
    p->max_out = max_out;
    side_init(&p->in, &c, max_members, max_seqs, max_in);
    side_init(&p->out, &c, max_members, max_seqs, max_out);
    p->label = take(&c, max_out);
    p->row_scale = take(&c, max_out);
    p->member_seq = take(&c, (size_t)max_members + 1);
    CHECK((size_t)(c.at - (unsigned char *)block) == head + 4 * words);
    *out = p;
    return OK;
}

void pack_close(struct pack *p)
{
    mem_free(p);
}

void pack_clear(struct pack *p, int start_id)
{
    p->n_members = p->n_seqs = 0;
    p->in.n_rows = p->out.n_rows = p->in.max_len = p->out.max_len = 0;
    p->start_id = start_id;
}

void pack_member(struct pack *p, uint32_t client)
{
    CHECK(p->n_members < p->max_members);
    int m = p->n_members++;
    p->in.member_row[m] = p->in.n_rows;
    p->out.member_row[m] = p->out.n_rows;
    p->member_seq[m] = p->n_seqs;
    p->client = client;
}

static void add_rows(struct pack *p, struct pack_side *s, int n)
{
    int first = s->member_row[p->n_members - 1], row = s->n_rows;
    s->start[p->n_seqs] = row;
    s->len[p->n_seqs] = n;
    for (int j = 0; j < n; j++) {
        s->owner[row + j] = p->client;
        s->index[row + j] = (uint32_t)(row + j - first);
    }
    s->n_rows += n;
    if (n > s->max_len)
        s->max_len = n;
}

bool pack_add(struct pack *p, const int32_t *input, int n_input, const int32_t *target,
              int n_target)
{
    CHECK(p->n_members > 0 && n_input >= 1 && n_target >= 0);
    if (p->n_seqs >= p->max_seqs || (size_t)n_input > p->max_in - (size_t)p->in.n_rows ||
        (size_t)n_target > p->max_out - (size_t)p->out.n_rows)
        return false;
    memcpy(p->in.id + p->in.n_rows, input, (size_t)n_input * sizeof(*input));
    for (int j = 0; j < n_target; j++) {
        p->label[p->out.n_rows + j] = target[j];
        p->out.id[p->out.n_rows + j] = j ? target[j - 1] : p->start_id;
    }
    add_rows(p, &p->in, n_input);
    add_rows(p, &p->out, n_target);
    p->n_seqs++;
    return true;
}

void pack_finish(struct pack *p)
{
    p->in.member_row[p->n_members] = p->in.n_rows;
    p->out.member_row[p->n_members] = p->out.n_rows;
    p->member_seq[p->n_members] = p->n_seqs;
    for (int m = 0; m < p->n_members; m++) {
        int from = p->out.member_row[m], to = p->out.member_row[m + 1];
        for (int row = from; row < to; row++)
            p->row_scale[row] = 1.0f / (float)(to - from);
    }
}
