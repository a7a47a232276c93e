/* models/cpu_attn_bf16.c: attention where values are bfloat16, by models/cpu_dots.h. Scores of a tile, softmax and
 * sums are float32. Dropout comes as bits: a dropped probability is a 0 between softmax and product. */
#include <math.h>
#include <string.h>

#include "models/cpu_attn.h"
#include "models/cpu_dots.h"
#include "models/cpu_mask.h"
#include "models/cpu_math.h"
#include "models/dropout.h"
#include "sim/base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { LANES = 16, WIDE = 32, MOST_ROWS = 96, STEP = 6 };

bool cpu_attn_bf16_here(void)
{
    return cpu_dots_here() && cpu_keep_here();
}

/* --- a task's memory --- */

/* Scores of n keys stand at this stride: whole pairs of vectors. */
static size_t width_of(size_t n)
{
    return n ? (n + WIDE - 1) / WIDE * WIDE : WIDE;
}

/* Queries of a tile: even, and whole blocks of cpu_dots. */
static int tile_rows(size_t n_k)
{
    int rows = ATTN_TILE_VALUES / (int)width_of(n_k) / STEP * STEP;
    return rows < 2 * STEP ? 2 * STEP : cpu_min(rows, MOST_ROWS);
}

/* Values of a tile at most, whatever the number of keys up to n_k. */
static size_t tile_values(size_t n_k)
{
    size_t least = 2 * STEP * width_of(n_k);
    return least > ATTN_TILE_VALUES ? least : ATTN_TILE_VALUES;
}

/* Packed operands are words of two values: of k and v as columns (kt, vt) or as rows (kr, vr) of an operand, of a
 * tile of q and dout as rows. p, ds: bfloat16 [rows, width]; p2, ds2: words of two rows' values. */
struct rooms {
    float *s, *dp, *dk, *dv, *by_distance, *factor;
    uint32_t *keep; /* [2 rows] */
    uint32_t *kt, *vt, *kr, *vr, *q, *dout, *p2, *ds2;
    uint16_t *p; /* of backward: ds */
};

static void *taken(float **at, size_t n_words)
{
    float *here = *at;
    *at += (n_words + LANES - 1) / LANES * LANES;
    return here;
}

/* Lays memory out from `at` on and gives its end; at may be NULL, to count. */
static float *lay_out(struct rooms *r, const struct attn_call *p, bool is_backward, float *at)
{
    size_t keys = width_of(p->max_k), d = attn_padded(p->a.d_kv), tile = tile_values(p->max_k);
    size_t words = keys * d / 2, keep = cpu_keep_room((int)p->max_k);
    r->s = taken(&at, tile);
    r->p = taken(&at, tile / 2);
    r->factor = taken(&at, MOST_ROWS);
    r->keep = taken(&at, 2 * keep);
    r->kt = taken(&at, words);
    if (!is_backward) {
        r->vr = taken(&at, words);
        return at;
    }
    r->vt = taken(&at, words);
    r->kr = taken(&at, words);
    r->dp = taken(&at, tile);
    r->p2 = taken(&at, tile / 2 + MOST_ROWS / 2 * LANES);
    r->ds2 = taken(&at, tile / 2 + MOST_ROWS / 2 * LANES);
    r->q = taken(&at, MOST_ROWS * d / 2);
    r->dout = taken(&at, MOST_ROWS * d / 2);
    r->dk = taken(&at, keys * d);
    r->dv = taken(&at, keys * d);
    r->by_distance = taken(&at, (size_t)p->n_distances + ATTN_PAD);
    return at;
}

size_t cpu_attn_bf16_scratch(const struct attn_call *p, bool is_backward)
{
    struct rooms r;
    float start[1];
    return (size_t)(lay_out(&r, p, is_backward, start) - start);
}

/* A task with its rooms and its head's rows. */
struct work {
    const struct attn_call *p;
    struct attn_task t;
    struct rooms r;
    size_t width, pairs_ld; /* strides of scores and of pairs of rows */
    const uint16_t *q, *k, *v;
    bool drops;
    float scale; /* of what dropout keeps */
};

static struct work work_of(const struct attn_call *p, int task, int thread, bool is_backward)
{
    const struct attn_args *a = &p->a;
    struct work w = {.p = p, .t = attn_task(a, task), .drops = cpu_drops(&a->drop), .scale = 1};
    lay_out(&w.r, p, is_backward, cpu_scratch_of(p->c, thread));
    w.t.tile = tile_rows((size_t)w.t.n_k);
    w.width = width_of((size_t)w.t.n_k);
    w.pairs_ld = w.width + LANES; /* an odd number of cache lines: columns do not all fall into one set */
    w.q = (const uint16_t *)a->q + w.t.q0 * a->ld_q + w.t.col;
    w.k = (const uint16_t *)a->k + w.t.k0 * a->ld_kv + w.t.col;
    w.v = (const uint16_t *)a->v + w.t.k0 * a->ld_kv + w.t.col;
    if (w.drops)
        w.scale = dropout_scale(dropout_threshold(a->drop.p));
    return w;
}

/* --- softmax --- */

/* e^x to 3e-7 relative for x <= 88, as cpu_exp of models/cpu_math.h; below -87 as there. */
CPU_AVX512_BF16 CPU_INLINE __m512 exp_of(__m512 x)
{
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145752f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
    __m512 tail = _mm512_fmadd_ps(r, _mm512_set1_ps(1.0f / 720), _mm512_set1_ps(1.0f / 120));
    tail = _mm512_fmadd_ps(tail, r, _mm512_set1_ps(1.0f / 24));
    tail = _mm512_fmadd_ps(tail, r, _mm512_set1_ps(1.0f / 6));
    tail = _mm512_fmadd_ps(tail, r, _mm512_set1_ps(0.5f));
    tail = _mm512_fmadd_ps(tail, r, _mm512_set1_ps(1.0f));
    tail = _mm512_fmadd_ps(tail, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(tail, n);
}

CPU_AVX512_BF16 CPU_INLINE __m512 with_bias(const float *s, const float *bias, int j, __mmask16 here)
{
    __m512 x = _mm512_maskz_loadu_ps(here, s + j);
    return bias ? _mm512_add_ps(x, _mm512_maskz_loadu_ps(here, bias + j)) : x;
}

/* Scores of one query over its n keys to e^(s + bias - top), those dropped 0, in p, zeros behind up to end. Gives the
 * sum of all and *top. */
CPU_AVX512_BF16 static float softmax_row(float *s, int n, int end, const float *bias, const uint32_t *keep, uint16_t *p,
                                       float *top)
{
    __m512 most = _mm512_set1_ps(-INFINITY), sum0 = _mm512_setzero_ps(), sum1 = sum0;
    int j;
    for (j = 0; j < n; j += LANES) {
        __mmask16 here = cpu_lanes(n - j);
        __m512 x = with_bias(s, bias, j, here);
        most = _mm512_mask_max_ps(most, here, most, x);
        _mm512_storeu_ps(s + j, x);
    }
    *top = _mm512_reduce_max_ps(most);
    most = _mm512_set1_ps(*top);
    for (j = 0; j < n; j += WIDE) {
        __mmask16 low = cpu_lanes(n - j), high = cpu_lanes(n - j - LANES);
        __m512 x = _mm512_maskz_loadu_ps(low, s + j), y = _mm512_maskz_loadu_ps(high, s + j + LANES);
        x = _mm512_maskz_mov_ps(low, exp_of(_mm512_sub_ps(x, most)));
        y = _mm512_maskz_mov_ps(high, exp_of(_mm512_sub_ps(y, most)));
        sum0 = _mm512_add_ps(sum0, x);
        sum1 = _mm512_add_ps(sum1, y);
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(y, x);
        _mm512_storeu_si512(p + j, keep ? _mm512_maskz_mov_epi16(keep[j / WIDE], both) : both);
    }
    for (; j < end; j += WIDE)
        _mm512_storeu_si512(p + j, _mm512_setzero_si512());
    return _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

/* The bits of query i over its n keys, or NULL. */
static const uint32_t *keep_of(const struct work *w, int i, int n, uint32_t *room)
{
    if (!w->drops)
        return NULL;
    cpu_keep(room, n, &w->p->a.drop, w->t.q0 + (size_t)i, (uint32_t)w->t.head * 65536u);
    return room;
}

/* --- forward --- */

static void softmax_tile(const struct work *w, int i0, int rows, int n_seen)
{
    const struct attn_args *a = &w->p->a;
    for (int i = i0; i < i0 + rows; i++) {
        size_t at = (size_t)(i - i0), row = w->t.q0 + (size_t)i;
        int n = attn_keys_seen(a, &w->t, i + 1);
        float top, sum = softmax_row(w->r.s + at * w->width, n, n_seen, attn_bias_of(w->p, &w->t, i),
                                     keep_of(w, i, n, w->r.keep), w->r.p + at * w->width, &top);
        a->lse[row * (size_t)a->n_heads + (size_t)w->t.head] = top + logf(sum);
        w->r.factor[at] = n > 0 ? w->scale / sum : 0;
    }
}

/* Scores of a tile: rows of x against packed keys or values. */
static void scores(const struct work *w, const uint16_t *x, size_t ld, int rows, int n_seen, const uint32_t *packed,
                   float *to)
{
    size_t d = (size_t)w->p->a.d_kv;
    struct cpu_dots s = {.m = rows, .n = n_seen, .n_pairs = (int)d / 2, .a = x, .a_row = ld * sizeof(*x),
                         .a_pair = sizeof(uint32_t), .b = packed, .panel = d / 2 * LANES, .c = to, .ld_c = w->width};
    cpu_dots(&s, CPU_DOTS_WRITE);
}

void cpu_attn_bf16_forward(void *arg, int task, int thread)
{
    struct work w = work_of(arg, task, thread, false);
    const struct attn_args *a = &w.p->a;
    int pairs = (int)attn_padded(w.t.n_k) / 2;
    uint16_t *o = (uint16_t *)a->o + w.t.q0 * a->ld_o + w.t.col;
    cpu_dots_pack_cols(w.r.kt, a->d_kv / 2, w.k, a->ld_kv, w.t.n_k);
    cpu_dots_pack_rows(w.r.vr, pairs, w.v, a->ld_kv, w.t.n_k, a->d_kv);
    for (int i0 = 0; i0 < w.t.n_q; i0 += w.t.tile) {
        int rows = cpu_min(w.t.tile, w.t.n_q - i0), n_seen = attn_keys_seen(a, &w.t, i0 + rows);
        scores(&w, w.q + (size_t)i0 * a->ld_q, a->ld_q, rows, n_seen, w.r.kt, w.r.s);
        softmax_tile(&w, i0, rows, n_seen);
        struct cpu_dots to_o = {.m = rows, .n = a->d_kv, .n_pairs = (n_seen + 1) / 2, .a = w.r.p,
                                .a_row = w.width * sizeof(uint16_t), .a_pair = sizeof(uint32_t), .b = w.r.vr,
                                .panel = (size_t)pairs * LANES, .c = o + (size_t)i0 * a->ld_o, .ld_c = a->ld_o,
                                .factor = w.r.factor};
        cpu_dots(&to_o, CPU_DOTS_NARROW);
    }
}

/* --- backward --- */

/* Scores to probabilities p in s, their gradients with the mask's scale in dp, zeros behind the n keys up to end. Gives
 * sum_j p_j dp_j. */
CPU_AVX512_BF16 static float probabilities(float *s, float *dp, int n, int end, const float *bias, const uint32_t *keep,
                                         float scale, float lse)
{
    __m512 sum = _mm512_setzero_ps(), down = _mm512_set1_ps(lse), times = _mm512_set1_ps(scale);
    for (int j = 0; j < end; j += LANES) {
        __mmask16 here = cpu_lanes(n - j), kept = here;
        if (keep)
            kept = (__mmask16)(keep[j / WIDE] >> (j & LANES) & here);
        __m512 x = _mm512_maskz_mov_ps(here, exp_of(_mm512_sub_ps(with_bias(s, bias, j, here), down)));
        __m512 y = _mm512_mul_ps(_mm512_maskz_loadu_ps(kept, dp + j), times);
        sum = _mm512_fmadd_ps(x, y, sum);
        _mm512_storeu_ps(s + j, x);
        _mm512_storeu_ps(dp + j, y);
    }
    return _mm512_reduce_add_ps(sum);
}

/* Two queries' rows; the second may be missing. */
struct two_rows {
    const float *s[2], *dp[2];
    float dot[2];
    const uint32_t *keep[2];
    float *by_distance[2]; /* where the first key's gradient of the bias is added, or NULL */
    int n[2];
    uint16_t *ds[2];
    uint32_t *p2, *ds2;
};

/* ds = p (dp - dot) by row and in pairs, p without what was dropped in pairs. */
CPU_AVX512_BF16 static void gradients(const struct two_rows *t, int n_rows, int end)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (int j = 0; j < end; j += LANES) {
        __m512 p[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, ds[2] = {p[0], p[0]};
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            if (i >= n_rows)
                break;
            p[i] = _mm512_loadu_ps(t->s[i] + j);
            ds[i] = _mm512_mul_ps(p[i], _mm512_sub_ps(_mm512_loadu_ps(t->dp[i] + j), _mm512_set1_ps(t->dot[i])));
            if (t->by_distance[i] && j < t->n[i]) {
                float *sums = t->by_distance[i] + j;
                _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), ds[i]));
            }
            if (t->keep[i])
                p[i] = _mm512_maskz_mov_ps((__mmask16)(t->keep[i][j / WIDE] >> (j & LANES)), p[i]);
        }
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(ds[1], ds[0]);
        __m512i probabilities2 = (__m512i)_mm512_cvtne2ps_pbh(p[1], p[0]);
        _mm256_storeu_si256((__m256i *)(void *)(t->ds[0] + j), _mm512_castsi512_si256(both));
        _mm256_storeu_si256((__m256i *)(void *)(t->ds[1] + j), _mm512_extracti64x4_epi64(both, 1));
        _mm512_storeu_si512(t->ds2 + j, _mm512_permutexvar_epi16(order, both));
        _mm512_storeu_si512(t->p2 + j, _mm512_permutexvar_epi16(order, probabilities2));
    }
}

static void softmax_tile_backward(const struct work *w, int i0, int rows, int n_seen)
{
    const struct attn_args *a = &w->p->a;
    size_t keep_room = cpu_keep_room((int)w->p->max_k);
    int end = (int)attn_padded(n_seen);
    for (int i = 0; i < rows; i += 2) {
        size_t pairs = (size_t)(i / 2) * w->pairs_ld;
        struct two_rows t = {.p2 = w->r.p2 + pairs, .ds2 = w->r.ds2 + pairs};
        for (int k = 0; k < 2; k++) {
            size_t at = (size_t)(i + k) * w->width, row = w->t.q0 + (size_t)(i0 + i + k);
            t.ds[k] = w->r.p + at;
            if (i + k >= rows)
                break;
            float *s = w->r.s + at, *dp = w->r.dp + at;
            t.n[k] = attn_keys_seen(a, &w->t, i0 + i + k + 1);
            t.keep[k] = keep_of(w, i0 + i + k, t.n[k], w->r.keep + (size_t)k * keep_room);
            t.dot[k] = probabilities(s, dp, t.n[k], end, attn_bias_of(w->p, &w->t, i0 + i + k), t.keep[k], w->scale,
                                     a->lse[row * (size_t)a->n_heads + (size_t)w->t.head]);
            t.s[k] = s;
            t.dp[k] = dp;
            if (w->p->partial)
                t.by_distance[k] = w->r.by_distance - (w->t.pos + i0 + i + k + w->p->low);
        }
        gradients(&t, cpu_min(rows - i, 2), end);
    }
}

/* to [n keys, d] += pairs^T x, x a packed tile of rows. */
static void add_to_keys(const struct work *w, const uint32_t *pairs, const uint32_t *packed, int n_pairs, int n_seen,
                        float *to)
{
    struct cpu_dots s = {.m = n_seen, .n = w->p->a.d_kv, .n_pairs = n_pairs, .a = pairs, .a_row = sizeof(*pairs),
                         .a_pair = w->pairs_ld * sizeof(*pairs), .b = packed, .panel = (size_t)n_pairs * LANES, .c = to,
                         .ld_c = attn_padded(w->p->a.d_kv)};
    cpu_dots(&s, CPU_DOTS_ADD);
}

static void backward_tile(const struct work *w, const uint16_t *dout, int i0, int rows)
{
    const struct attn_args *a = &w->p->a;
    int n_seen = attn_keys_seen(a, &w->t, i0 + rows), pairs = (rows + 1) / 2, all = (int)attn_padded(w->t.n_k) / 2;
    const uint16_t *q = w->q + (size_t)i0 * a->ld_q;
    scores(w, q, a->ld_q, rows, n_seen, w->r.kt, w->r.s);
    scores(w, dout, a->ld_o, rows, n_seen, w->r.vt, w->r.dp);
    softmax_tile_backward(w, i0, rows, n_seen);
    cpu_dots_pack_rows(w->r.q, pairs, q, a->ld_q, rows, a->d_kv);
    cpu_dots_pack_rows(w->r.dout, pairs, dout, a->ld_o, rows, a->d_kv);
    add_to_keys(w, w->r.p2, w->r.dout, pairs, n_seen, w->r.dv);
    add_to_keys(w, w->r.ds2, w->r.q, pairs, n_seen, w->r.dk);
    struct cpu_dots to_dq = {.m = rows, .n = a->d_kv, .n_pairs = (n_seen + 1) / 2, .a = w->r.p,
                             .a_row = w->width * sizeof(uint16_t), .a_pair = sizeof(uint32_t), .b = w->r.kr,
                             .panel = (size_t)all * LANES, .ld_c = a->ld_q,
                             .c = (uint16_t *)a->dq + (w->t.q0 + (size_t)i0) * a->ld_q + w->t.col};
    cpu_dots(&to_dq, CPU_DOTS_NARROW);
}

/* Sums by key to their rows of values. */
CPU_AVX512_BF16 static void store_rows(const struct work *w, const float *from, void *values, float factor)
{
    const struct attn_args *a = &w->p->a;
    uint16_t *to = (uint16_t *)values + w->t.k0 * a->ld_kv + w->t.col;
    size_t ld = attn_padded(a->d_kv);
    for (int i = 0; i < w->t.n_k; i++, from += ld, to += a->ld_kv)
        for (int j = 0; j < a->d_kv; j += LANES) {
            __m512 x = _mm512_mul_ps(_mm512_loadu_ps(from + j), _mm512_set1_ps(factor));
            _mm256_mask_storeu_epi16(to + j, cpu_lanes(a->d_kv - j), (__m256i)_mm512_cvtneps_pbh(x));
        }
}

void cpu_attn_bf16_backward(void *arg, int task, int thread)
{
    struct work w = work_of(arg, task, thread, true);
    const struct attn_args *a = &w.p->a;
    size_t sums = attn_padded(w.t.n_k) * attn_padded(a->d_kv) * sizeof(float);
    const uint16_t *dout = (const uint16_t *)a->dout + w.t.q0 * a->ld_o + w.t.col;
    cpu_dots_pack_cols(w.r.kt, a->d_kv / 2, w.k, a->ld_kv, w.t.n_k);
    cpu_dots_pack_cols(w.r.vt, a->d_kv / 2, w.v, a->ld_kv, w.t.n_k);
    cpu_dots_pack_rows(w.r.kr, (int)attn_padded(w.t.n_k) / 2, w.k, a->ld_kv, w.t.n_k, a->d_kv);
    memset(w.r.dk, 0, sums);
    memset(w.r.dv, 0, sums);
    if (w.p->partial)
        memset(w.r.by_distance, 0, ((size_t)w.p->n_distances + ATTN_PAD) * sizeof(float));
    for (int i0 = 0; i0 < w.t.n_q; i0 += w.t.tile)
        backward_tile(&w, dout + (size_t)i0 * a->ld_o, i0, cpu_min(w.t.tile, w.t.n_q - i0));
    store_rows(&w, w.r.dk, a->dk, 1);
    store_rows(&w, w.r.dv, a->dv, w.scale);
    if (w.p->partial)
        attn_to_buckets(w.p, task, w.r.by_distance);
}

#else

bool cpu_attn_bf16_here(void)
{
    return false;
}

size_t cpu_attn_bf16_scratch(const struct attn_call *p, bool is_backward)
{
    (void)p, (void)is_backward;
    return 0;
}

void cpu_attn_bf16_forward(void *arg, int task, int thread)
{
    (void)arg, (void)task, (void)thread;
    CHECK(false);
}

void cpu_attn_bf16_backward(void *arg, int task, int thread)
{
    (void)arg, (void)task, (void)thread;
    CHECK(false);
}

#endif
