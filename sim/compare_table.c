/* The table of a comparison, on the terminal. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "sim/cells.h"
#include "sim/compare.h"
#include "sim/stats.h"

enum { MAX_LABEL = 18, MAX_SHOWN = 64 };

/* One figure of one variant beside the first variant, as texts: value, difference, half an
 * interval, percent. */
enum { VALUE, DIFFERENCE, INTERVAL, PERCENT, N_TEXTS };

struct view {
    const struct comparison *c;
    struct arena *a;
    size_t n_shown, shown[MAX_SHOWN]; /* figures that some variant has */
    size_t n_texts, text[N_TEXTS];    /* which of the four are shown of all but the first variant */
    bool has_legend;                  /* labels are long: numbers stand for them */
};

static size_t n_known(const struct comparison *c, size_t variant, size_t figure)
{
    size_t n = 0;
    for (size_t s = 0; s < c->n_seeds; s++)
        n += isnan(*comparison_cell(c, variant, s, figure)) ? 0 : 1;
    return n;
}

static void gather(const struct comparison *c, size_t variant, size_t figure, double *out)
{
    for (size_t s = 0; s < c->n_seeds; s++)
        out[s] = *comparison_cell(c, variant, s, figure);
}

static const char *value_text(const struct view *v, size_t variant, size_t figure, const double *x)
{
    const struct comparison *c = v->c;
    if (c->message[variant])
        return "failed";
    size_t n = n_known(c, variant, figure);
    if (n == c->n_seeds)
        return cells_number(v->a, stats_mean(n, x));
    if (v->c->figure[figure].column)
        return "-";
    return n == 0 ? "never" : arena_printf(v->a, "%zu of %zu", n, c->n_seeds);
}

static const char *signed_number(struct arena *a, double x)
{
    const char *text = cells_number(a, x);
    return x > 0 ? arena_printf(a, "+%s", text) : text;
}

static void fill_texts(const struct view *v, size_t variant, size_t figure,
                       const char *out[N_TEXTS])
{
    const struct comparison *c = v->c;
    double *base = ARENA_NEW(v->a, double, c->n_seeds), *own = ARENA_NEW(v->a, double, c->n_seeds);
    gather(c, 0, figure, base);
    gather(c, variant, figure, own);
    out[VALUE] = value_text(v, variant, figure, own);
    out[DIFFERENCE] = out[INTERVAL] = out[PERCENT] = "";
    struct stats_paired d = stats_paired(c->n_seeds, base, own);
    if (variant == 0 || isnan(d.mean))
        return;
    out[DIFFERENCE] = signed_number(v->a, d.mean);
    out[INTERVAL] = arena_printf(v->a, "+- %s", cells_number(v->a, d.half_width));
    out[PERCENT] = cells_percent(v->a, d.mean, stats_mean(c->n_seeds, base));
}

static const char *label_of(const struct view *v, size_t variant)
{
    return v->has_legend ? arena_printf(v->a, "[%zu]", variant + 1) : v->c->label[variant];
}

static const char *name_of(const struct view *v, size_t figure)
{
    const struct figure *f = &v->c->figure[figure];
    return f->unit[0] ? arena_printf(v->a, "%s (%s)", f->label, f->unit) : f->label;
}

static const char *heading_of(const struct view *v, size_t i)
{
    static const char *const headings[] = {"", "difference", "95 %", ""};
    return headings[v->text[i]];
}

/* A row per figure; the first variant one column, the others n_texts each. */
static struct cells *by_column(const struct view *v)
{
    struct cells *t = cells_new(v->a, v->n_shown + 1, 2 + v->n_texts * (v->c->n_variants - 1));
    for (size_t k = 0; k < v->c->n_variants; k++) {
        size_t first = k == 0 ? 1 : 2 + v->n_texts * (k - 1), n = k == 0 ? 1 : v->n_texts;
        for (size_t i = 0; i < n; i++)
            cells_put(t, 0, first + i, i == 0 ? label_of(v, k) : heading_of(v, i));
        for (size_t row = 0; row < v->n_shown; row++) {
            const char *text[N_TEXTS];
            cells_put(t, row + 1, 0, name_of(v, v->shown[row]));
            fill_texts(v, k, v->shown[row], text);
            for (size_t i = 0; i < n; i++)
                cells_put(t, row + 1, first + i, text[v->text[i]]);
        }
    }
    cells_measure(t);
    return t;
}

/* A row per variant, n_texts columns per figure. */
static struct cells *by_row(const struct view *v)
{
    struct cells *t = cells_new(v->a, v->c->n_variants + 1, 1 + v->n_texts * v->n_shown);
    for (size_t k = 0; k < v->n_shown; k++) {
        size_t first = 1 + v->n_texts * k;
        for (size_t i = 0; i < v->n_texts; i++)
            cells_put(t, 0, first + i, i == 0 ? name_of(v, v->shown[k]) : heading_of(v, i));
        for (size_t row = 0; row < v->c->n_variants; row++) {
            const char *text[N_TEXTS];
            cells_put(t, row + 1, 0, label_of(v, row));
            fill_texts(v, row, v->shown[k], text);
            for (size_t i = 0; i < v->n_texts; i++)
                cells_put(t, row + 1, first + i, text[v->text[i]]);
        }
    }
    cells_measure(t);
    return t;
}

/* As many figures side by side as fit, then the next ones below. */
static void print_blocks(const struct view *v, const struct cells *t, FILE *to)
{
    for (size_t first = 1; first < t->n_columns;) {
        size_t end = first + v->n_texts;
        while (end < t->n_columns &&
               t->width[0] + cells_width(t, first, end + v->n_texts) <= CELLS_WIDTH)
            end += v->n_texts;
        if (first > 1)
            fputc('\n', to);
        for (size_t row = 0; row < t->n_rows; row++)
            cells_print_row(t, to, row, first, end);
        first = end;
    }
}

static void print_legend(const struct view *v, FILE *to)
{
    for (size_t i = 0; i < v->c->n_variants; i++)
        if (v->has_legend || v->c->message[i])
            fprintf(to, "%s %s%s%s\n", label_of(v, i), v->has_legend ? v->c->label[i] : "",
                    v->c->message[i] ? (v->has_legend ? ": failed: " : "failed: ") : "",
                    v->c->message[i] ? v->c->message[i] : "");
}

/* Whether some variant has it in some seed. */
static bool has_figure(const struct comparison *c, const char *name)
{
    for (size_t i = 0; i < c->n_figures; i++)
        for (size_t v = 0; v < c->n_variants; v++)
            if (strcmp(c->figure[i].name, name) == 0 && n_known(c, v, i))
                return true;
    return false;
}

static void print_notes(const struct comparison *c, FILE *to)
{
    if (c->n_seeds > 1)
        fprintf(to,
                "means over %zu seeds (%" PRIu64 "..%" PRIu64
                "); differences seed by seed to %s, with their 95 %% interval (Student)\n",
                c->n_seeds, c->seed[0], c->seed[c->n_seeds - 1], c->label[0]);
    for (size_t g = 0; g < c->goals.n; g++) {
        const struct goal *goal = &c->goals.goal[g];
        if (isnan(*comparison_bound(c, g, 0)))
            continue;
        if (goal->is_last)
            fprintf(to, "%s: the last loss of %s%s\n",
                    goals_count(&c->goals, false) > 1 ? "to last loss" : "to loss", c->label[0],
                    c->n_seeds > 1 ? ", seed by seed" : "");
        else
            fprintf(to,
                    goal->is_rouge ? "to ROUGE: ROUGE-1 of %g or above\n"
                                   : "to loss: %g nat or below\n",
                    goal->bound);
    }
    if (has_figure(c, "overfit_round"))
        fprintf(to, "overfits after: the round of its best loss, where it is worse at the end; "
                    "never: it is not\n");
}

/* Goals that are set are shown even where nobody reaches them. */
static bool is_shown(const struct comparison *c, size_t figure)
{
    const struct figure *f = &c->figure[figure];
    for (size_t i = 0; i < c->n_variants; i++)
        if (n_known(c, i, figure))
            return true;
    return f->has_goal && !isnan(*comparison_bound(c, f->goal, 0));
}

static bool is_narrow(const struct cells *t)
{
    return cells_width(t, 0, t->n_columns) <= CELLS_WIDTH;
}

static void print_all(const struct cells *t, FILE *to)
{
    for (size_t row = 0; row < t->n_rows; row++)
        cells_print_row(t, to, row, 0, t->n_columns);
}

/* The values alone, below the blocks of differences: all variants at a glance, where they fit. */
static void print_values(const struct view *v, FILE *to)
{
    struct view values = *v;
    values.text[0] = VALUE;
    values.n_texts = 1;
    struct cells *t = by_column(&values);
    if (!is_narrow(t))
        return;
    fputc('\n', to);
    print_all(t, to);
}

void comparison_print(const struct comparison *c, FILE *to)
{
    struct arena a = {0};
    struct view v = {.c = c, .a = &a};
    for (size_t i = 0; i < c->n_figures && v.n_shown < MAX_SHOWN; i++)
        if (is_shown(c, i))
            v.shown[v.n_shown++] = i;
    for (size_t i = 0; i < N_TEXTS; i++)
        if (i != INTERVAL || c->n_seeds > 1)
            v.text[v.n_texts++] = i;
    for (size_t i = 0; i < c->n_variants; i++)
        v.has_legend = v.has_legend || strlen(c->label[i]) > MAX_LABEL;
    print_legend(&v, to);
    struct cells *t = by_column(&v);
    if (is_narrow(t)) {
        print_all(t, to);
    } else {
        print_blocks(&v, by_row(&v), to);
        print_values(&v, to);
    }
    print_notes(c, to);
    arena_free(&a);
}
