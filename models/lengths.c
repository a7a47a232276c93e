#include "models/lengths.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/rng.h"

#define IN_MEAN 4.739
#define IN_SD 0.749
#define OUT_MEAN 3.221
#define OUT_SD 0.531
#define CORRELATION 0.60
enum { SAMSUM_IN = 512, SAMSUM_OUT = 95, MIN_LENGTH = 2 }; /* one token and </s> */

static bool is_range(int from, int to)
{
    return from >= MIN_LENGTH && from <= to && to <= LENGTHS_MAX;
}

enum err_code lengths_parse(struct lengths *out, const char *text, struct err *e)
{
    struct lengths l = {0};
    int end = -1;
    if (strcmp(text, "samsum") == 0) {
        *out = (struct lengths){true, MIN_LENGTH, SAMSUM_IN, MIN_LENGTH, SAMSUM_OUT};
        return OK;
    }
    if (sscanf(text, "fixed:%6d,%6d%n", &l.in_from, &l.out_from, &end) == 2 && end > 0 && !text[end]) {
        l.in_to = l.in_from;
        l.out_to = l.out_from;
    } else {
        end = -1;
        if (sscanf(text, "uniform:%6d-%6d,%6d-%6d%n", &l.in_from, &l.in_to, &l.out_from, &l.out_to,
                   &end) != 4 || end < 0 || text[end])
            return err_set(e, ERR_INPUT,
                           "expected samsum, fixed:IN,OUT or uniform:FROM-TO,FROM-TO, got \"%.60s\"", text);
    }
    if (!is_range(l.in_from, l.in_to) || !is_range(l.out_from, l.out_to))
        return err_set(e, ERR_INPUT, "expected lengths of %d..%d tokens, got \"%.60s\"", MIN_LENGTH,
                       LENGTHS_MAX, text);
    *out = l;
    return OK;
}

static int cut(double x, int from, int to)
{
    return x < from ? from : x > to ? to : (int)x;
}

void lengths_draw(const struct lengths *l, uint64_t seed, uint32_t sample, int *n_in, int *n_out)
{
    uint32_t owner = 2 * sample;
    if (!l->is_samsum) {
        *n_in = l->in_from + (int)rng_below(seed, RNG_ORDER, owner, 0,
                                            (uint64_t)(l->in_to - l->in_from + 1));
        *n_out = l->out_from + (int)rng_below(seed, RNG_ORDER, owner + 1, 0,
                                              (uint64_t)(l->out_to - l->out_from + 1));
        return;
    }
    double a = rng_normal(seed, RNG_ORDER, owner, 0), b = rng_normal(seed, RNG_ORDER, owner + 1, 0);
    double both = CORRELATION * a + sqrt(1 - CORRELATION * CORRELATION) * b;
    *n_in = cut(round(exp(IN_MEAN + IN_SD * a)), l->in_from, l->in_to);
    *n_out = cut(round(exp(OUT_MEAN + OUT_SD * both)), l->out_from, l->out_to);
}
