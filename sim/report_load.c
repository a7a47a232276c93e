#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/record.h"
#include "sim/report_parts.h"

double report_cell(const struct csv *c, size_t row, const char *column)
{
    const char *text = report_word(c, row, column);
    return *text ? strtod(text, NULL) : (double)NAN;
}

const char *report_word(const struct csv *c, size_t row, const char *column)
{
    int i = csv_find(c, column);
    return i < 0 ? "" : csv_cell(c, row, (size_t)i);
}

double *report_column(struct report *r, const struct csv *c, const char *name)
{
    size_t n = csv_rows(c);
    double *out = ARENA_NEW(&r->arena, double, n);
    int column = csv_find(c, name);
    for (size_t i = 0; i < n; i++) {
        const char *text = column < 0 ? "" : csv_cell(c, i, (size_t)column);
        out[i] = *text ? strtod(text, NULL) : (double)NAN;
    }
    return out;
}

struct json report_member(struct json object, const char *key)
{
    struct json out = {0};
    if (object.node && json_is_object(object) && json_has(object, key))
        json_value(object, key, &out, NULL);
    return out;
}

const char *report_string(struct json object, const char *key)
{
    struct json v = report_member(object, key);
    const char *text = "";
    if (v.node && json_is_string(v))
        json_string(v, NULL, NULL, &text, NULL);
    return text;
}

double report_total(const struct report_run *run, const char *key)
{
    struct json v = report_member(json_root(run->summary), key);
    double out = (double)NAN;
    if (v.node && json_is_number(v))
        json_double(v, NULL, -HUGE_VAL, HUGE_VAL, NULL, &out, NULL);
    return out;
}

const char *report_total_word(const struct report_run *run, const char *key)
{
    return report_string(json_root(run->summary), key);
}

/* --- reading --- */

/* The columns of the table are there, and every cell of a number is empty or a number. */
static enum err_code check_table(const struct csv *c, const char *path, const struct table *t,
                                 struct err *e)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        int column = csv_find(c, t->column[i].name);
        if (column < 0)
            return err_set(e, ERR_INPUT, "%s: expected a column \"%s\"", path, t->column[i].name);
        if (t->column[i].type == COLUMN_TEXT)
            continue;
        for (size_t row = 0; row < csv_rows(c); row++) {
            const char *text = csv_cell(c, row, (size_t)column);
            double v = 0;
            enum err_code code =
                *text && strcmp(text, "inf") != 0 ? text_double(text, -1e300, 1e300, &v, e) : OK;
            if (code)
                return err_in(e, code, "%s: row %zu, %s", path, row + 1, t->column[i].name);
        }
    }
    return OK;
}

static enum err_code load_table(struct csv **out, const char *path, const struct table *t,
                                struct err *e)
{
    enum err_code code = csv_load(out, path, ',', e);
    return code ? code : check_table(*out, path, t, e);
}

/* The row of the k-th of n_chosen rounds that are spread evenly from the first to the last. */
static size_t spread(const struct report_run *run, size_t n_chosen, size_t k)
{
    return n_chosen > 1 ? k * (run->n_rounds - 1) / (n_chosen - 1) : 0;
}

/* Rounds spread evenly, and the slowest where it is not one of them. */
static void choose_rounds(struct report_run *run)
{
    size_t n = run->n_rounds, slowest = 0;
    for (size_t i = 0; i < n; i++)
        if (report_cell(run->rounds, i, "duration_s") >
            (1 + 1e-9) *
                report_cell(run->rounds, slowest, "duration_s")) /* not by rounding alone */
            slowest = i;
    size_t n_chosen = n < REPORT_SHOWN_ROUNDS ? n : REPORT_SHOWN_ROUNDS;
    bool has_slowest = false;
    for (size_t k = 0; k < n_chosen; k++)
        has_slowest |= spread(run, n_chosen, k) == slowest;
    n_chosen -= !has_slowest && n_chosen > 0;
    for (size_t k = 0; k < n_chosen; k++) {
        size_t row = spread(run, n_chosen, k);
        if (!has_slowest && slowest <= row) {
            has_slowest = true;
            if (slowest != row)
                run->shown[run->n_shown++] = slowest;
        }
        run->shown[run->n_shown++] = row;
    }
}

static bool is_shown(const struct report_run *run, double round)
{
    for (size_t i = 0; i < run->n_shown; i++)
        if (report_cell(run->rounds, run->shown[i], "round") == round)
            return true;
    return false;
}

/* The end of the line that starts at `at`, behind its newline; newlines in quotes are none. */
static const char *line_end(const char *at, const char *end)
{
    for (bool is_quoted = false; at < end; at++) {
        if (*at == '"')
            is_quoted = !is_quoted;
        else if (*at == '\n' && !is_quoted)
            return at + 1;
    }
    return end;
}

/* Rounds follow each other in both files: *row is where the last one was found. */
static double duration_of(const struct report_run *run, double round, size_t *row)
{
    for (size_t i = 0; i < run->n_rounds; i++, ++*row) {
        *row = *row < run->n_rounds ? *row : 0;
        if (report_cell(run->rounds, *row, "round") == round)
            return report_cell(run->rounds, *row, "duration_s");
    }
    return 0;
}

/* A run's largest table: of its lines, which begin with the round, all are counted and only those
 * of shown rounds are kept. */
static enum err_code load_clients(struct report_run *run, struct arena *a, const char *path,
                                  struct err *e)
{
    struct file f = {0};
    enum err_code code = file_map(&f, path, e);
    if (code)
        return code;
    char *kept = NULL;
    size_t n = 0, cap = 0;
    const char *at = (const char *)f.bytes, *end = at + f.n_bytes;
    double last = -1, duration_s = 0;
    bool keeps = true; /* the header */
    size_t round_row = 0;
    while (at < end) {
        const char *next = line_end(at, end);
        char digits[24] = "";
        snprintf(digits, sizeof(digits), "%.*s", (int)(next - at < 20 ? next - at : 20), at);
        if (n) {
            double round = strtod(digits, NULL);
            if (round != last) {
                keeps = is_shown(run, round);
                duration_s = duration_of(run, round, &round_row);
            }
            last = round;
            report_use_line(run, a, at, next, duration_s);
        } else {
            report_use_header(run, at, next);
        }
        if (keeps) {
            mem_grow((void **)&kept, &cap, n + (size_t)(next - at), 1);
            memcpy(kept + n, at, (size_t)(next - at));
            n += (size_t)(next - at);
        }
        at = next;
    }
    code = csv_parse(&run->clients, path, kept ? kept : "", n, ',', e);
    if (!code)
        code = check_table(run->clients, path, record_clients(false), e);
    mem_free(kept);
    file_unmap(&f);
    return code;
}

static enum err_code load_run(struct report_run *run, struct arena *a, struct err *e)
{
    const char *folder = run->folder;
    enum err_code code = OK;
    if (!file_is_folder(folder))
        return err_set(e, ERR_INPUT, "%s: expected a folder that veryedge run has written", folder);
    code = json_load(&run->summary, arena_printf(a, "%s/summary.json", folder), e);
    if (!code)
        code = json_load(&run->scenario, arena_printf(a, "%s/scenario.json", folder), e);
    if (!code)
        code =
            load_table(&run->rounds, arena_printf(a, "%s/rounds.csv", folder), record_rounds(), e);
    if (!code)
        code = load_table(&run->elements, arena_printf(a, "%s/elements.csv", folder),
                          record_elements(false), e);
    if (!code)
        code = load_table(&run->samples, arena_printf(a, "%s/samples.csv", folder),
                          record_samples(), e);
    if (code)
        return code;
    run->n_rounds = csv_rows(run->rounds);
    choose_rounds(run);
    return load_clients(run, a, arena_printf(a, "%s/clients.csv", folder), e);
}

/* Runs of one scenario are told apart by their folders. */
static void label_runs(struct report *r)
{
    for (size_t i = 0; i < r->n_runs; i++) {
        const char *name = report_total_word(&r->run[i], "name");
        bool is_alone = *name != 0;
        for (size_t k = 0; k < r->n_runs; k++)
            is_alone &= k == i || strcmp(name, report_total_word(&r->run[k], "name")) != 0;
        r->run[i].label = is_alone ? name
                          : *name  ? arena_printf(&r->arena, "%s (%s)", name, r->run[i].folder)
                                   : r->run[i].folder;
    }
}

enum err_code report_load(struct report *r, size_t n, const char *const *folders, struct err *e)
{
    enum err_code code = OK;
    for (size_t i = 0; i < n && !code; i++) {
        r->run[r->n_runs].folder = folders[i];
        code = load_run(&r->run[r->n_runs++], &r->arena, e);
    }
    if (!code)
        label_runs(r);
    return code;
}

void report_fini(struct report *r)
{
    for (size_t i = 0; i < r->n_runs; i++) {
        struct report_run *run = &r->run[i];
        json_close(run->summary);
        json_close(run->scenario);
        csv_close(run->rounds);
        csv_close(run->clients);
        csv_close(run->elements);
        csv_close(run->samples);
        mem_free(run->group);
    }
    arena_free(&r->arena);
}
