#include "sim/paper_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "energy/account.h"
#include "energy/ledger.h"
#include "models/lora.h"
#include "net/topology.h"
#include "sim/base/check.h"

static const struct section {
    const char *name, *what;
    bool needs_rounds;
    void (*fill)(struct paper *p);
} SECTIONS[] = {
    {"table1", "granularity and energy of communication per round", true, paper_table1},
    {"table2", "energy efficiency eta_e", false, paper_table2},
    {"table3", "server optimizers: what is legible, and figure 5's results", false, paper_table3},
    {"table4", "seconds of a training step by part", false, paper_table4},
    {"table5", "model FLOP utilisation", false, paper_table5},
    {"figure1", "devices by data sheet, with sources", false, paper_figure1},
    {"figure4", "correlation of MFU and eta_e", false, paper_figure4},
    {"energy", "communication against computing for a whole job", true, paper_energy},
    {"headline", "does communication cost more than computing: every run, two accountings", true,
     paper_headline},
    {"text", "figures of the text against the tables and the formula", false, paper_text},
};
enum { N_SECTIONS = sizeof(SECTIONS) / sizeof(SECTIONS[0]) };

size_t paper_section_count(void)
{
    return N_SECTIONS;
}

const char *paper_section_name(size_t i)
{
    CHECK(i < N_SECTIONS);
    return SECTIONS[i].name;
}

const char *paper_section_what(size_t i)
{
    CHECK(i < N_SECTIONS);
    return SECTIONS[i].what;
}

/* --- for the sections --- */

struct sheet *paper_sheet(struct paper *p, const char *name, const char *title, const char *columns)
{
    CHECK(p->n_sheets < PAPER_MAX_SHEETS);
    struct sheet *s = sheet_new(&p->arena, name, title, columns);
    p->sheet[p->n_sheets++] = s;
    return s;
}

struct paper_count *paper_count(struct paper *p, const char *section, const char *what)
{
    CHECK(p->n_counts < PAPER_MAX_COUNTS);
    struct paper_count *c = &p->count[p->n_counts++];
    *c = (struct paper_count){.section = section, .what = what};
    return c;
}

const char *paper_verdict(struct paper *p, struct paper_count *c, bool is_same, const char *format,
                          ...)
{
    c->checked++;
    c->same += is_same;
    if (is_same)
        return "same";
    CHECK(p->n_misses < PAPER_MAX_MISSES);
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->miss[p->n_misses++] = arena_printf(&p->arena, "%s, %s: %s", c->section, c->what, text);
    return "differs";
}

bool paper_is_same(double value, double printed, double digit)
{
    return fabs(value - printed) <= digit / 2 * (1 + 1e-9);
}

static struct t5_config config_of(enum paper_model m)
{
    struct t5_config c;
    enum err_code code = t5_config_named(&c, paper_architecture(m), NULL);
    CHECK(code == OK);
    return c;
}

double paper_parameters(enum paper_model m)
{
    struct t5_config c = config_of(m);
    return (double)t5_parameters(&c);
}

double paper_lora_parameters(enum paper_model m)
{
    struct t5_config c = config_of(m);
    const struct lora_spec spec = {.rank = 16, .alpha = 32, .targets = LORA_Q | LORA_V};
    return (double)lora_size(&c, &spec);
}

double paper_payload_bytes(enum paper_model m, bool is_full)
{
    return 4 * (paper_lora_parameters(m) + (is_full ? paper_parameters(m) : 0));
}

double paper_mfu(enum paper_model m, double tps, double peak_flop_per_s)
{
    struct t5_config c = config_of(m);
    double attention = 12.0 * c.n_enc * c.d_model * PAPER_TOKENS;
    return 100 * tps * (6 * paper_parameters(m) + attention) / peak_flop_per_s;
}

double paper_comm_kwh(const char *accounting, enum paper_model m, bool is_full, bool is_lte)
{
    const struct account *a = account_find(accounting);
    CHECK(a);
    struct perbit_set set = account_charged(a, perbit_find("j16"));
    struct topology_spec route;
    topology_spec_init(&route, topology_find(is_lte ? "lte" : "wired"));
    double j_per_bit = 0;
    for (size_t i = 0; i < route.n_steps; i++)
        for (int dir = 0; dir < PERBIT_DIRECTIONS; dir++) {
            double j = 0;
            CHECK(perbit_j_per_bit(&set, element_name(route.step[i].kind), dir, &j));
            j_per_bit += route.step[i].count * j;
        }
    return kwh_from_j(PAPER_CLIENTS * 8 * paper_payload_bytes(m, is_full) * j_per_bit);
}

const struct paper_step *paper_step(const struct paper_tables *t, enum paper_model m, int minibatch,
                                    enum paper_device d)
{
    for (size_t i = 0; i < PAPER_STEPS; i++)
        if (t->step[i].model == m && t->step[i].minibatch == minibatch && t->step[i].device == d)
            return &t->step[i];
    return NULL;
}

/* --- opening --- */

static size_t index_of(const struct paper_case *c)
{
    size_t kind = 2 * (size_t)c->is_full + (size_t)c->is_lte;
    return (kind * N_PAPER_DEVICES + c->device) * PAPER_COST_MODELS + c->model;
}

const struct paper_round *paper_round_of(const struct paper *p, const struct paper_case *c)
{
    CHECK(p->has_rounds && (int)c->model < PAPER_COST_MODELS);
    return &p->round[index_of(c)];
}

static enum err_code simulate(struct paper *p, struct err *e)
{
    struct paper_case cases[PAPER_ROUNDS];
    for (int m = 0; m < PAPER_COST_MODELS; m++)
        for (int kind = 0; kind < PAPER_COSTS; kind++)
            for (int d = 0; d < N_PAPER_DEVICES; d++) {
                struct paper_case c = {(enum paper_model)m, kind / 2 == 1, kind % 2 == 1,
                                       (enum paper_device)d};
                cases[index_of(&c)] = c;
            }
    enum err_code code = paper_rounds(PAPER_ROUNDS, cases, p->round, e);
    p->has_rounds = !code;
    return code;
}

enum err_code paper_open(struct paper **out, const struct paper_tables *t, const bool *wanted,
                         struct err *e)
{
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct paper), "the study's tables", e);
    if (code)
        return code;
    struct paper *p = memory;
    p->tables = t;
    for (size_t i = 0; i < N_SECTIONS && !code; i++) {
        if (!wanted[i])
            continue;
        if (SECTIONS[i].needs_rounds && !p->has_rounds)
            code = simulate(p, e);
        if (!code)
            SECTIONS[i].fill(p);
    }
    if (code) {
        paper_close(p);
        return code;
    }
    *out = p;
    return OK;
}

void paper_close(struct paper *p)
{
    if (!p)
        return;
    arena_free(&p->arena);
    mem_free(p);
}

enum err_code paper_check(const struct paper *p, struct err *e)
{
    if (!p->n_misses)
        return OK;
    if (p->n_misses == 1)
        return err_set(e, ERR_INTERNAL, "a printed cell does not come out: %s", p->miss[0]);
    return err_set(e, ERR_INTERNAL, "%zu printed cells do not come out, the first: %s", p->n_misses,
                   p->miss[0]);
}
