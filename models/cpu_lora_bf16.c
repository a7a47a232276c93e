/* models/cpu_lora_bf16.c: adapters where values are bfloat16, by models/cpu_dots.h. What dropout drops becomes 0; the
 * mask's scale multiplies sums. */
#include <string.h>

#include "models/cpu_dots.h"
#include "models/cpu_lora.h"
#include "models/cpu_mask.h"
#include "models/cpu_math.h"
#include "models/dropout.h"
#include "sim/base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Columns of a gradient's task; rows that it packs at a time. */
enum { LANES = 16, STRIP = 128, SUM_ROWS = 256 };

static size_t whole(int n)
{
    return ((size_t)n + LANES - 1) / LANES * LANES;
}

bool cpu_lora_bf16_takes(const struct lora_call *p)
{
    return p->c->has_dots && p->a.d_in % 2 == 0 && p->a.d_out % 2 == 0 && p->a.rank % 2 == 0;
}

int cpu_lora_bf16_sums(const struct lora_args *a)
{
    return cpu_blocks(a->d_in, STRIP) + cpu_blocks(a->d_out, STRIP);
}

/* A task's memory. narrow: a matrix of the adapter in bfloat16; packed: the same as an operand. x: rows without what
 * was dropped; low [n, rank] and its bfloat16, both at stride whole(rank); wide [n, d_in]. */
struct rooms {
    uint16_t *narrow, *x, *low16;
    uint32_t *packed, *keep;
    float *low, *wide;
};

static struct rooms rooms_of(const struct lora_call *p, float *at, float **end)
{
    size_t in = whole(p->a.d_in), d = in > whole(p->a.d_out) ? in : whole(p->a.d_out), rank = whole(p->a.rank);
    struct rooms r;
    r.narrow = (uint16_t *)(void *)at;
    at += rank * d / 2;
    r.packed = (uint32_t *)(void *)at;
    at += rank * d / 2;
    r.x = (uint16_t *)(void *)at;
    at += LORA_ROWS * in / 2;
    r.low = at;
    at += LORA_ROWS * rank;
    r.low16 = (uint16_t *)(void *)at;
    at += LORA_ROWS * rank / 2;
    r.keep = (uint32_t *)(void *)at;
    at += whole((int)cpu_keep_room(p->a.d_in));
    r.wide = at;
    *end = at + LORA_ROWS * in;
    return r;
}

/* A gradient's: packed rows of values, packed rows of h or gh, the sums. */
static size_t sum_scratch(const struct lora_args *a)
{
    size_t rank = whole(a->rank);
    return SUM_ROWS / 2 * STRIP + SUM_ROWS * rank + rank * STRIP;
}

size_t cpu_lora_bf16_scratch(const struct lora_call *p)
{
    float start[1], *end;
    rooms_of(p, start, &end);
    size_t rows = (size_t)(end - start), sums = sum_scratch(&p->a);
    return rows > sums ? rows : sums;
}

static float scale_of(const struct lora_args *a)
{
    return cpu_drops(&a->drop) ? dropout_scale(dropout_threshold(a->drop.p)) : 1;
}

/* An adapter's matrix [rows, cols] as an operand: itself, inner dimension rows, or its transpose. */
static void pack_matrix(const struct lora_call *p, const struct rooms *r, const float *m, int rows, int cols,
                        bool is_transposed)
{
    cpu_stored(p->c, r->narrow, 0, (size_t)rows * (size_t)cols, m);
    if (is_transposed)
        cpu_dots_pack_cols(r->packed, cols / 2, r->narrow, (size_t)cols, rows);
    else
        cpu_dots_pack_rows(r->packed, rows / 2, r->narrow, (size_t)cols, rows, cols);
}

/* to [d] = x where the mask of a row keeps it, else 0 */
CPU_AVX512_BF16 static void keep_row(uint16_t *to, const uint16_t *x, const uint32_t *keep, int d)
{
    for (int j = 0; j < d; j += 2 * LANES) {
        __mmask32 here = (__mmask32)cpu_lanes(d - j) | (__mmask32)cpu_lanes(d - j - LANES) << LANES;
        __m512i row = _mm512_maskz_loadu_epi16(here & keep[j / (2 * LANES)], x + j);
        _mm512_mask_storeu_epi16(to + j, here, row);
    }
}

/* dx [d] += scale g where the mask keeps it; keep NULL: everywhere */
CPU_AVX512_BF16 static void add_row(uint16_t *dx, const float *g, const uint32_t *keep, float scale, int d)
{
    for (int j = 0; j < d; j += LANES) {
        __mmask16 here = cpu_lanes(d - j);
        __mmask16 kept = here;
        if (keep)
            kept = (__mmask16)(keep[j / (2 * LANES)] >> (j & LANES) & here);
        __m256i narrow = _mm256_maskz_loadu_epi16(here, dx + j);
        __m512 x = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
        x = _mm512_mask3_fmadd_ps(_mm512_maskz_loadu_ps(kept, g + j), _mm512_set1_ps(scale), x, kept);
        _mm256_mask_storeu_epi16(dx + j, here, (__m256i)_mm512_cvtneps_pbh(x));
    }
}

/* low [n, rank] = x [n, d] times the packed matrix, times scale, to `to` too, and in bfloat16. */
CPU_AVX512_BF16 static void down(const struct lora_call *p, const struct rooms *r, struct lora_part at,
                                 const uint16_t *x, size_t ld, int d, float scale, float *to, float scale16)
{
    size_t rank = (size_t)p->a.rank, step = whole(p->a.rank);
    struct cpu_dots s = {.m = at.n, .n = p->a.rank, .n_pairs = d / 2, .a = x, .a_row = ld * sizeof(*x),
                         .a_pair = sizeof(uint32_t), .b = r->packed, .panel = (size_t)(d / 2) * LANES, .c = r->low,
                         .ld_c = step};
    cpu_dots(&s, CPU_DOTS_WRITE);
    for (size_t i = 0; i < (size_t)at.n; i++) {
        for (size_t k = 0; k < rank; k++) {
            float h = r->low[i * step + k] * scale;
            to[((size_t)at.from + i) * rank + k] = h;
            r->low16[i * step + k] = cpu_narrowed(h * scale16);
        }
    }
}

/* low16 [n, rank] times the packed matrix of d columns to c. */
static void up(const struct lora_call *p, const struct rooms *r, int n, int d, void *c, size_t ld,
               enum cpu_dots_end end)
{
    struct cpu_dots s = {.m = n, .n = d, .n_pairs = p->a.rank / 2, .a = r->low16,
                         .a_row = whole(p->a.rank) * sizeof(*r->low16), .a_pair = sizeof(uint32_t), .b = r->packed,
                         .panel = (size_t)(p->a.rank / 2) * LANES, .c = c, .ld_c = ld};
    cpu_dots(&s, end);
}

void cpu_lora_bf16_forward(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    struct lora_part at = lora_part(p, task);
    float *end;
    struct rooms r = rooms_of(p, cpu_scratch_of(p->c, thread), &end);
    size_t off = (size_t)at.member * a->stride, ld = p->ld_x;
    const uint16_t *x = (const uint16_t *)p->x + (size_t)at.from * ld;
    if (cpu_drops(&a->drop)) {
        for (int i = 0; i < at.n; i++) {
            cpu_keep(r.keep, a->d_in, &a->drop, (size_t)(at.from + i), 0);
            keep_row(r.x + (size_t)i * (size_t)a->d_in, x + (size_t)i * ld, r.keep, a->d_in);
        }
        x = r.x;
        ld = (size_t)a->d_in;
    }
    pack_matrix(p, &r, a->a + off, a->rank, a->d_in, true);
    down(p, &r, at, x, ld, a->d_in, scale_of(a), a->h, a->scale);
    pack_matrix(p, &r, a->b + off, a->d_out, a->rank, true);
    up(p, &r, at.n, a->d_out, (uint16_t *)p->y + (size_t)at.from * p->ld_y, p->ld_y, CPU_DOTS_NARROW_ADD);
}

void cpu_lora_bf16_backward(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    struct lora_part at = lora_part(p, task);
    float *end, scale = scale_of(a);
    struct rooms r = rooms_of(p, cpu_scratch_of(p->c, thread), &end);
    bool drops = cpu_drops(&a->drop);
    size_t off = (size_t)at.member * a->stride, in = whole(a->d_in);
    const uint16_t *dy = (const uint16_t *)p->dy + (size_t)at.from * p->ld_y, *x = p->x;
    uint16_t *dx = p->dx, *xd = a->xd;
    pack_matrix(p, &r, a->b + off, a->d_out, a->rank, false);
    down(p, &r, at, dy, p->ld_y, a->d_out, a->scale, a->gh, 1);
    if (dx) {
        pack_matrix(p, &r, a->a + off, a->rank, a->d_in, false);
        up(p, &r, at.n, a->d_in, r.wide, in, CPU_DOTS_WRITE);
    }
    for (int i = 0; i < at.n && (dx || drops); i++) {
        size_t row = (size_t)(at.from + i);
        if (drops) {
            cpu_keep(r.keep, a->d_in, &a->drop, row, 0);
            keep_row(xd + row * (size_t)a->d_in, x + row * p->ld_x, r.keep, a->d_in);
        }
        if (dx)
            add_row(dx + row * p->ld_x, r.wide + (size_t)i * in, drops ? r.keep : NULL, scale, a->d_in);
    }
}

/* A strip of one gradient: sums [rank, cols] of with^T values, from row `from` of both on. */
struct strip {
    const uint16_t *values;
    size_t ld;
    int n, cols;
    const float *with; /* [n, rank] */
    float *sums;       /* at stride STRIP */
};

static void sum_strip(const struct lora_call *p, const struct strip *t, float *room)
{
    size_t rank = (size_t)p->a.rank, panels = whole(p->a.rank);
    uint32_t *packed = (uint32_t *)(void *)room, *pairs = packed + SUM_ROWS / 2 * STRIP;
    uint16_t *narrow = (uint16_t *)(void *)(pairs + SUM_ROWS / 2 * panels);
    memset(t->sums, 0, panels * STRIP * sizeof(float));
    for (int i = 0; i < t->n; i += SUM_ROWS) {
        int n = cpu_min(SUM_ROWS, t->n - i), n_pairs = (n + 1) / 2;
        cpu_dots_pack_rows(packed, n_pairs, t->values + (size_t)i * t->ld, t->ld, n, t->cols);
        cpu_stored(p->c, narrow, 0, (size_t)n * rank, t->with + (size_t)i * rank);
        cpu_dots_pack_rows(pairs, n_pairs, narrow, rank, n, p->a.rank);
        for (int k = 0; k < p->a.rank; k += LANES) {
            struct cpu_dots s = {.m = cpu_min(LANES, p->a.rank - k), .n = t->cols, .n_pairs = n_pairs,
                                 .a = pairs + (size_t)k * (size_t)n_pairs, .a_row = sizeof(*pairs),
                                 .a_pair = LANES * sizeof(*pairs), .b = packed, .panel = (size_t)n_pairs * LANES,
                                 .c = t->sums + (size_t)k * STRIP, .ld_c = STRIP};
            cpu_dots(&s, CPU_DOTS_ADD);
        }
    }
}

void cpu_lora_bf16_sum(void *arg, int task, int thread)
{
    const struct lora_call *p = arg;
    const struct lora_args *a = &p->a;
    int strips = cpu_lora_bf16_sums(a), in_strips = cpu_blocks(a->d_in, STRIP), strip = task % strips;
    int member = task / strips, from = lora_rows(p)[member];
    int col = (strip < in_strips ? strip : strip - in_strips) * STRIP;
    size_t off = (size_t)member * a->stride, first = (size_t)from, rank = (size_t)a->rank;
    float *room = cpu_scratch_of(p->c, thread);
    struct strip t = {.n = lora_rows(p)[member + 1] - from,
                      .sums = room + SUM_ROWS / 2 * STRIP + SUM_ROWS * whole(a->rank)};
    if (t.n == 0)
        return;
    bool is_a = strip < in_strips, drops = cpu_drops(&a->drop);
    t.cols = cpu_min(STRIP, (is_a ? a->d_in : a->d_out) - col);
    t.ld = !is_a ? p->ld_y : drops ? (size_t)a->d_in : p->ld_x;
    t.values = (const uint16_t *)(!is_a ? p->dy : drops ? a->xd : p->x) + first * t.ld + (size_t)col;
    t.with = (is_a ? a->gh : a->h) + first * rank;
    sum_strip(p, &t, room);
    float scale = is_a ? scale_of(a) : a->scale;
    for (size_t k = 0; k < rank; k++)
        for (size_t j = 0; j < (size_t)t.cols; j++) {
            size_t at = is_a ? k * (size_t)a->d_in + (size_t)col + j : ((size_t)col + j) * rank + k;
            (is_a ? a->da : a->db)[off + at] += scale * t.sums[k * STRIP + j];
        }
}

#else

bool cpu_lora_bf16_takes(const struct lora_call *p)
{
    (void)p;
    return false;
}

size_t cpu_lora_bf16_scratch(const struct lora_call *p)
{
    (void)p;
    return 0;
}

void cpu_lora_bf16_forward(void *arg, int task, int thread)
{
    (void)arg, (void)task, (void)thread;
    CHECK(false);
}

void cpu_lora_bf16_backward(void *arg, int task, int thread)
{
    (void)arg, (void)task, (void)thread;
    CHECK(false);
}

int cpu_lora_bf16_sums(const struct lora_args *a)
{
    (void)a;
    return 0;
}

void cpu_lora_bf16_sum(void *arg, int task, int thread)
{
    (void)arg, (void)task, (void)thread;
    CHECK(false);
}

#endif
