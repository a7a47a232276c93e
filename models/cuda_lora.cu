/* models/cuda_lora.cu: the adapters of all members of a pass: from the slots to the kernels' arguments. */
#include <stdlib.h>

#include "models/cuda_lora.cuh"

/* With stride 0 all members share one adapter, and are one member. */
struct members {
    int n;
    const int32_t *row; /* n + 1 */
    int32_t all[2];
};

static void members_init(struct members *m, const struct lora_args *a)
{
    *m = {};
    m->n = a->n_members;
    m->row = a->member_row;
    if (a->stride == 0 && a->n_members > 0) {
        m->all[0] = a->member_row[0];
        m->all[1] = a->member_row[a->n_members];
        m->n = 1;
        m->row = m->all;
    }
}

/* In device memory: the n + 1 rows of the members, then the tiles. Layers that share their rows share it. */
struct lora_tables {
    const int32_t *member_row;
    const struct lora_tile *tile;
    int n_tiles;
};

/* False when there is nothing to do: no rows, or no memory for the table (kept as the backend's failure). */
static bool tables_get(struct lora_tables *t, struct cuda *c, const struct members *m, int tile_rows)
{
    int n_tiles = 0;
    for (int i = 0; i < m->n; i++)
        n_tiles += cuda_blocks((size_t)(m->row[i + 1] - m->row[i]), tile_rows);
    if (n_tiles == 0)
        return false;
    size_t first = (size_t)m->n + 1, n = first + 3 * (size_t)n_tiles, at = first;
    int32_t *host = (int32_t *)malloc(n * sizeof(*host));
    if (!host)
        return cuda_check(c, cudaErrorMemoryAllocation, "the table of an adapter's rows");
    memcpy(host, m->row, first * sizeof(*host));
    for (int i = 0; i < m->n; i++)
        for (int32_t row = m->row[i]; row < m->row[i + 1]; row += tile_rows) {
            int32_t left = m->row[i + 1] - row;
            host[at++] = i;
            host[at++] = row;
            host[at++] = left < tile_rows ? left : tile_rows;
        }
    const int32_t *device = cuda_table(c, host, n);
    free(host);
    if (!device)
        return false;
    t->member_row = device;
    t->tile = reinterpret_cast<const struct lora_tile *>(device + first);
    t->n_tiles = n_tiles;
    return true;
}

static int members_rows(const struct members *m)
{
    return m->n > 0 ? m->row[m->n] - m->row[0] : 0;
}

template <typename T>
void cuda_lora<T>::forward(struct backend *b, const struct lora_args *a, void *y, size_t ld_y, const void *x,
                           size_t ld_x)
{
    struct cuda *c = cuda_of(b);
    struct members m;
    struct lora_tables t;
    struct lora_pass<T> p = {};
    members_init(&m, a);
    p.rank = a->rank;
    p.d_in = a->d_in;
    p.d_out = a->d_out;
    p.stride = a->stride;
    p.in = (const T *)x;
    p.ld_in = ld_x;
    p.p = {a->a, (size_t)a->d_in, 1};
    p.mid_scale = 1;
    p.mid = a->h;
    p.q = {a->b, 1, (size_t)a->rank};
    p.out_scale = a->scale;
    p.out = (T *)y;
    p.ld_out = ld_y;
    p.drop_in = cuda_drop_of(&a->drop);
    p.drop_out = cuda_drop_of(NULL);
    p.tile_rows = cuda_lora_tile_rows(c, p, members_rows(&m));
    if (!tables_get(&t, c, &m, p.tile_rows))
        return;
    p.tile = t.tile;
    p.n_tiles = t.n_tiles;
    cuda_lora_pass(c, p);
}

/* gh and dx: forward with dy for x, dx for y, A and B exchanged and the mask on the other side. */
template <typename T> static struct lora_pass<T> pass_back(const struct lora_args *a, void *dx, size_t ld_x,
                                                           const void *dy, size_t ld_y)
{
    struct lora_pass<T> p = {};
    p.rank = a->rank;
    p.d_in = a->d_out;
    p.d_out = a->d_in;
    p.stride = a->stride;
    p.in = (const T *)dy;
    p.ld_in = ld_y;
    p.p = {a->b, 1, (size_t)a->rank};
    p.mid_scale = a->scale;
    p.mid = a->gh;
    p.q = {a->a, (size_t)a->d_in, 1};
    p.out_scale = 1;
    p.out = (T *)dx;
    p.ld_out = ld_x;
    p.drop_in = cuda_drop_of(NULL);
    p.drop_out = cuda_drop_of(&a->drop);
    p.kept_out = dx && a->drop.p > 0 ? (uint8_t *)a->xd : NULL;
    return p;
}

template <typename T>
void cuda_lora<T>::backward(struct backend *b, const struct lora_args *a, void *dx, const void *dy,
                            size_t ld_y, const void *x, size_t ld_x)
{
    struct cuda *c = cuda_of(b);
    struct members m;
    struct lora_tables t;
    struct lora_pass<T> p = pass_back<T>(a, dx, ld_x, dy, ld_y);
    members_init(&m, a);
    p.tile_rows = cuda_lora_tile_rows(c, p, members_rows(&m));
    if (!tables_get(&t, c, &m, p.tile_rows))
        return;
    p.tile = t.tile;
    p.n_tiles = t.n_tiles;
    cuda_lora_pass(c, p);
    struct lora_sums<T> s = {};
    s.member_row = t.member_row;
    s.n_members = m.n;
    s.rank = a->rank;
    s.stride = a->stride;
    s.side[0] = {a->d_in, (const T *)x, ld_x, a->gh, a->da, (size_t)a->d_in, 1, 1,
                 cuda_drop_of(&a->drop), p.kept_out};
    s.side[1] = {a->d_out, (const T *)dy, ld_y, a->h, a->db, 1, (size_t)a->rank, a->scale,
                 cuda_drop_of(NULL), NULL};
    cuda_lora_sums(c, s);
}

template struct cuda_lora<float>;
template struct cuda_lora<bf16>;
