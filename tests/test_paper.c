/* The study's printed cells: how many come out, that the data are the study's, that a wrong digit
 * is found, and that the simulated rounds beside them are what the formula and the closed form say.
 */
#include "energy/device.h"
#include "sim/base/json.h"
#include "sim/paper_parts.h"
#include "tests/program.h"

#define CSV_DIR TEST_SHARED "/paper"

enum { MAX_SECTIONS = 16 };

static struct paper *open_sections(const struct paper_tables *t, const char *only)
{
    bool wanted[MAX_SECTIONS] = {false};
    for (size_t i = 0; i < paper_section_count(); i++)
        wanted[i] = !only || strcmp(only, paper_section_name(i)) == 0;
    struct paper *p = NULL;
    struct err e = {0};
    if (paper_open(&p, t, wanted, &e))
        TEST_FAIL("%s", e.text);
    return p;
}

/* One section, once. */
static void check_count(const char *section, const char *what, int same, int checked, int lost)
{
    struct paper *p = open_sections(paper_tables(), section);
    bool is_there = false;
    for (size_t i = 0; p && i < p->n_counts; i++) {
        const struct paper_count *c = &p->count[i];
        if (strcmp(c->what, what) != 0)
            continue;
        is_there = true;
        CHECK_INT(c->same, same);
        CHECK_INT(c->checked, checked);
        CHECK_INT(c->lost, lost);
    }
    CHECK_TRUE(is_there);
    for (size_t i = 0; p && i < p->n_misses; i++)
        TEST_FAIL("%s", p->miss[i]);
    paper_close(p);
}

static void table_1_gives_12_of_12_kwh_cells(void)
{
    check_count("table1", "kWh", 12, 12, 0);
}

static void table_1_gives_22_of_22_legible_granularity_cells(void)
{
    check_count("table1", "G", 22, 22, 2);
}

static void table_2_gives_27_of_27_rows_of_energy_efficiency(void)
{
    check_count("table2", "eta_e", 27, 27, 0);
}

static void table_4_totals_are_sums_of_their_parts(void)
{
    check_count("table4", "totals", 20, 20, 7);
}

static void table_5_gives_5_of_5_legible_utilisations(void)
{
    check_count("table5", "MFU", 5, 5, 22);
}

static void figure_4_gives_3_of_3_correlations(void)
{
    check_count("figure4", "Pearson", 3, 3, 0);
}

static void quoted_energy_of_computing_is_tdp_times_time(void)
{
    check_count("energy", "TDP x time", 2, 2, 0);
}

/* --- a wrong digit --- */

/* The only cell that does not come out is the changed one, and it is named. */
static void check_found(const struct paper_tables *t, const char *section, const char *where)
{
    struct paper *p = open_sections(t, section);
    struct err e = {0};
    if (!p)
        return;
    CHECK_INT(p->n_misses, 1);
    CHECK_INT(err_exit_status(paper_check(p, &e)), 1);
    CHECK_HAS(e.text, where);
    paper_close(p);
}

static void a_changed_digit_is_found_in_every_table(void)
{
    struct paper_tables t = *paper_tables();
    t.kwh[1].cell[2] = "1.28";
    check_found(&t, "table1", "table1, kWh: full 1 Gbit large: printed 1.28, recomputed 1.27067");
    t = *paper_tables();
    t.kwh[2].cell[0] = "< 0.007";
    check_found(&t, "table1", "LoRA LTE small: printed < 0.007");
    t = *paper_tables();
    t.granularity[6].cell[1] = "664.28";
    check_found(&t, "table1",
                "table1, G: LoRA 1 Gbit A100 base: printed 664.28, recomputed 664.286");
    t = *paper_tables();
    t.granularity[2].cell[0] = "15.00";
    check_found(&t, "table1", "full 1 Gbit A100 small: printed 15.00");
    t = *paper_tables();
    t.step[1].eta += 0.10;
    check_found(&t, "table2", "table2, eta_e: small 8 A100: printed 121.73, recomputed 121.626");
    t = *paper_tables();
    t.step[0].total_s += 0.10;
    check_found(&t, "table4", "table4, totals: small 1 A100: printed 0.42, parts 0.32");
    t = *paper_tables();
    t.step[4].mfu = 10.2;
    check_found(&t, "table5", "table5, MFU: small 64 A100: printed 10.2, recomputed 10.29");
    t = *paper_tables();
    t.pearson[1] = 89.32;
    check_found(&t, "figure4", "figure4, Pearson: base: printed 89.32, recomputed 89.308");
    t = *paper_tables();
    t.job_kwh[PAPER_A100] = 1.4;
    check_found(&t, "energy", "energy, TDP x time: A100: printed 1.4, recomputed 1.332");
}

static void a_cell_is_the_same_up_to_half_a_digit(void)
{
    CHECK_TRUE(paper_is_same(0.125, 0.13, 0.01) && paper_is_same(0.135, 0.13, 0.01));
    CHECK_TRUE(!paper_is_same(0.1249, 0.13, 0.01) && !paper_is_same(0.1351, 0.13, 0.01));
}

/* --- by hand --- */

static void sizes_of_the_architectures_are_the_published_ones(void)
{
    static const double base[] = {76961152, 247577856, 783150080};
    static const double lora[] = {688128, 1769472, 4718592};
    for (int i = 0; i < PAPER_COST_MODELS; i++) {
        enum paper_model m = (enum paper_model)i;
        CHECK_NEAR(paper_parameters(m), base[i], 0);
        CHECK_NEAR(paper_lora_parameters(m), lora[i], 0);
        CHECK_NEAR(paper_payload_bytes(m, true), 4 * (base[i] + lora[i]), 0);
        CHECK_NEAR(paper_payload_bytes(m, false), 4 * lora[i], 0);
    }
}

static void energy_of_a_round_is_bits_times_the_path(void)
{
    const double j16 = 31.7e-9 + 27e-9 + 3 * 37e-9 + 4 * 12.6e-9 + 2 * 31.7e-9;
    const double access = 82820e-9 + 12400e-9 + 438.4e-9 + 51.97e-9;
    const double bits = 10 * 32 * 787868672.0;
    CHECK_REL(paper_comm_kwh("literal", PAPER_LARGE, true, false), bits * 2 * j16 / 3.6e6, 1e-12);
    CHECK_REL(paper_comm_kwh("literal", PAPER_LARGE, true, true), bits * (2 * j16 + access) / 3.6e6,
              1e-12);
    CHECK_REL(paper_comm_kwh("paper-table1", PAPER_LARGE, true, true),
              32 * bits * 2 * (j16 + 1550e-9) / 3.6e6, 1e-12);
}

static void utilisation_is_six_n_and_attention_over_a_named_peak(void)
{
    double flop = 6 * 783150080.0 + 12 * 24 * 1024 * 512.0;
    CHECK_REL(paper_mfu(PAPER_LARGE, 6728, 312e12), 100 * 6728 * flop / 312e12, 1e-12);
}

/* --- the simulated rounds --- */

static struct paper_case case_of(enum paper_model m, bool is_full, bool is_lte, enum paper_device d)
{
    return (struct paper_case){m, is_full, is_lte, d};
}

static void simulated_rounds_agree_with_formula_and_closed_form_to_1_percent(void)
{
    struct paper *p = open_sections(paper_tables(), "table1");
    for (int i = 0; p && i < PAPER_ROUNDS; i++) {
        struct paper_case c =
            case_of((enum paper_model)(i % 3), i / 3 % 2, i / 6 % 2, (enum paper_device)(i / 12));
        const struct paper_round *r = paper_round_of(p, &c);
        CHECK_REL(r->comm_kwh, paper_comm_kwh("literal", c.model, c.is_full, c.is_lte), 0.01);
        CHECK_REL(r->t_comm_s, r->closed_comm_s, 0.01);
        CHECK_REL(r->granularity, r->t_comp_s / r->closed_comm_s, 0.01);
        CHECK_NEAR(r->t_comp_s, 2 * paper_step(paper_tables(), c.model, 1, c.device)->total_s,
                   1e-12);
        /* Start-up and frames only add to bytes / rate. */
        double mbit = 8e-6 * paper_payload_bytes(c.model, c.is_full);
        double bare_s = c.is_lte ? mbit / 40 + mbit / 10 : 2 * mbit / 1000;
        CHECK_TRUE(r->t_comm_s > bare_s * 1514 / 1448 && r->t_comm_s < bare_s * 1.08 + 0.5);
    }
    paper_close(p);
}

static void simulated_literal_kwh_are_those_of_the_formula_by_its_words(void)
{
    static const struct {
        bool is_full, is_lte;
        double kwh;
    } want[] = {
        {true, false, 0.0397}, {true, true, 6.743}, {false, false, 0.00024}, {false, true, 0.0404}};
    struct paper *p = open_sections(paper_tables(), "table1");
    for (int i = 0; p && i < 4; i++) {
        struct paper_case c = case_of(PAPER_LARGE, want[i].is_full, want[i].is_lte, PAPER_A100);
        CHECK_REL(paper_round_of(p, &c)->comm_kwh, want[i].kwh, 0.01);
    }
    paper_close(p);
}

static void reading_without_double_count_takes_optimizer_and_load_alone(void)
{
    program_write("s.json",
                  "{ \"clients\": { \"device\": \"a100-80gb\" }, \"model\": { \"costs_of\": "
                  "\"flan-t5-large\", \"train\": \"none\" }, \"federation\": { \"rounds\": 1, "
                  "\"batch\": 1 } }");
    CHECK_INT(program("run s.json --quiet --set output.dir=printed"), 0);
    CHECK_INT(program("run s.json --quiet --set output.dir=once --set "
                      "compute.profile_reading=without-double-count"),
              0);
    struct csv *printed = program_csv("printed/rounds.csv"), *once = program_csv("once/rounds.csv");
    CHECK_NEAR(program_cell(printed, 0, "t_comp_s"), 2 * 0.92, 1e-12);
    CHECK_NEAR(program_cell(once, 0, "t_comp_s"), 2 * 0.48, 1e-12);
    csv_close(printed);
    csv_close(once);
    CHECK_INT(program("check s.json --set compute.profile_reading=once"), 2);
    CHECK_HAS(program_text("err.txt"), "compute.profile_reading: expected one of printed, "
                                       "without-double-count");
}

/* --- the headline --- */

static const char *headline_cell(const struct paper *p, const char *sheet, const char *key,
                                 const char *column)
{
    for (size_t i = 0; i < p->n_sheets; i++) {
        const struct sheet *s = p->sheet[i];
        for (size_t r = 0; strcmp(s->name, sheet) == 0 && r < s->n_rows; r++) {
            char text[64];
            snprintf(text, sizeof(text), "%s %s %s %s", s->cell[r][0], s->cell[r][1], s->cell[r][2],
                     s->cell[r][3]);
            for (size_t c = 0; strcmp(text, key) == 0 && c < s->n_columns; c++)
                if (strcmp(s->column[c], column) == 0)
                    return s->cell[r][c];
        }
    }
    TEST_FAIL("no %s of %s in %s", column, key, sheet);
    return "";
}

/* By hand: 2985 rounds x 10 clients x 2 steps x 0.92 s x 91.61 W, or x 400 W; x 18.6 s. */
static void headline_compares_a_whole_run_at_measured_watts_and_at_tdp(void)
{
    static const char *const key = "LoRA 1 Gbit A100 large";
    struct paper *p = open_sections(paper_tables(), "headline");
    if (!p)
        return;
    double steps = 2985 * 10 * 2 * 0.92 / 3.6e6, fixed = 2985 * 10 * 18.6 / 3.6e6;
    CHECK_NEAR(strtod(headline_cell(p, "headline_literal", key, "W x s"), NULL), steps * 91.61,
               0.001);
    CHECK_NEAR(strtod(headline_cell(p, "headline_literal", key, "TDP x s"), NULL), steps * 400,
               0.001);
    CHECK_NEAR(strtod(headline_cell(p, "headline_literal", key, "comm"), NULL), 0.71, 0.001);
    CHECK_STR(headline_cell(p, "headline_literal", key, "more"), "no");
    CHECK_NEAR(strtod(headline_cell(p, "headline_table1", key, "W x s"), NULL), fixed * 91.61, 0.06);
    CHECK_NEAR(strtod(headline_cell(p, "headline_table1", key, "TDP x s"), NULL), fixed * 400, 0.06);
    CHECK_NEAR(strtod(headline_cell(p, "headline_table1", key, "comm"), NULL), 22.7, 0.06);
    CHECK_STR(headline_cell(p, "headline_table1", key, "more"), "W only");
    CHECK_STR(headline_cell(p, "headline_literal", "LoRA LTE Orin large", "more"), "yes");
    CHECK_STR(headline_cell(p, "headline_literal", "full 1 Gbit A100 large", "more"), "yes");
    for (size_t i = 0; i < p->n_sheets; i++) {
        CHECK_INT(p->sheet[i]->n_rows, 24);
        CHECK_HAS(p->sheet[i]->title, i == 0 ? "accounting literal" : "accounting paper-table1");
    }
    CHECK_HAS(p->sheet[1]->note[1], "Not physical");
    paper_close(p);
}

/* Rounds x one simulated round is what a run of all rounds gives. */
static void headline_is_what_a_run_of_all_rounds_gives(void)
{
    program_write("run.json",
                  "{ \"network\": { \"topology\": \"wired\" }, \"clients\": { \"device\": "
                  "\"agx-orin-64gb\" }, \"model\": { \"costs_of\": \"flan-t5-small\", \"train\": "
                  "\"none\" }, \"federation\": { \"rounds\": 845, \"batch\": 1 } }");
    CHECK_INT(program("run run.json --quiet --set output.dir=whole"), 0);
    struct csv *c = program_csv("whole/rounds.csv");
    double comm = 0, comp_s = 0;
    for (size_t i = 0; c && i < csv_rows(c); i++) {
        comm += program_cell(c, i, "comm_kwh");
        comp_s += 10 * program_cell(c, i, "t_comp_s");
    }
    CHECK_INT(csv_rows(c), 845);
    csv_close(c);
    struct paper *p = open_sections(paper_tables(), "headline");
    if (!p)
        return;
    static const char *const key = "LoRA 1 Gbit Orin small";
    CHECK_NEAR(strtod(headline_cell(p, "headline_literal", key, "comm"), NULL), comm, 0.0005);
    CHECK_NEAR(strtod(headline_cell(p, "headline_literal", key, "W x s"), NULL),
               comp_s * 16.7 / 3.6e6, 0.0005);
    paper_close(p);
}

/* --- Table 3 --- */

static double number_in(struct json_doc *doc, const char *key)
{
    struct json federation, server;
    double value = (double)NAN;
    struct err e = {0};
    if (json_object(json_root(doc), "federation", &federation, &e) ||
        json_object(federation, "server", &server, &e) ||
        json_double(server, key, -1e9, 1e9, NULL, &value, &e))
        TEST_FAIL("%s", e.text);
    return value;
}

/* The scenarios state every legible cell, and the architecture whose costs they charge. */
static void scenarios_of_the_study_have_the_cells_of_table_3(void)
{
    int n_adam = 0;
    for (int i = 0; i < PAPER_OPTIMIZERS; i++) {
        const struct paper_optimizer *o = &paper_tables()->optimizer[i];
        struct json_doc *doc = NULL;
        struct err e = {0};
        CHECK_INT(program("check '" TEST_SOURCE "/scenarios/study/%s.json' --resolved "
                          "--set model.costs_of=%s",
                          o->scenario, paper_architecture(o->model)),
                  0);
        if (json_load(&doc, PROGRAM_DIR "/out.txt", &e)) {
            TEST_FAIL("%s", e.text);
            continue;
        }
        if (o->lr[0])
            CHECK_NEAR(number_in(doc, "lr"), strtod(o->lr, NULL), 0);
        if (o->weight_decay[0])
            CHECK_NEAR(number_in(doc, "weight_decay"), strtod(o->weight_decay, NULL), 0);
        if (o->beta2[0])
            CHECK_NEAR(number_in(doc, "beta2"), strtod(o->beta2, NULL), 0);
        n_adam += o->beta2[0] != 0;
        json_close(doc);
        const char *text = program_text("out.txt");
        CHECK_HAS(text, "\"rounds\": 3000");
        CHECK_HAS(text, "\"clients_per_round\": 10");
        CHECK_HAS(text, "\"local_steps\": 2");
        CHECK_HAS(text, "\"batch\": 1");
        CHECK_HAS(text, "\"client_lr\": 1");
        CHECK_HAS(text, "\"kind\": \"dirichlet-sizes\"");
        CHECK_HAS(text, "\"about\": \"Table 3");
    }
    CHECK_INT(n_adam, 6);
}

/* --- the data --- */

static void device_profiles_are_the_rows_of_tables_2_and_4(void)
{
    int n = 0;
    for (int i = 0; i < PAPER_STEPS; i++) {
        const struct paper_step *r = &paper_tables()->step[i];
        struct device_work w = {.model = paper_architecture(r->model), .minibatch = r->minibatch};
        struct device_step s = device_step(device_find(paper_device(r->device)), &w);
        CHECK_STR(s.time_source, "table4");
        CHECK_NEAR(s.seconds, r->total_s, 0);
        CHECK_NEAR(s.watts, r->watts, 0);
        w.reading = DEVICE_OPT_STEP;
        CHECK_NEAR(device_step(device_find(paper_device(r->device)), &w).seconds,
                   r->opt_s + r->load_s, 1e-12);
        n++;
    }
    CHECK_INT(n, 27);
}

static struct csv *table(const char *name)
{
    char path[512];
    struct csv *c = NULL;
    struct err e = {0};
    snprintf(path, sizeof(path), CSV_DIR "/%s.csv", name);
    if (csv_load(&c, path, ',', &e))
        TEST_FAIL("%s", e.text);
    return c;
}

static bool is_row(const struct csv *c, size_t row, const struct paper_step *r)
{
    const char *device = r->device == PAPER_A100 ? "a100" : "orin";
    return strcmp(program_word(c, row, "model"), paper_model_name(r->model)) == 0 &&
           strcmp(program_word(c, row, "device"), device) == 0 &&
           (int)program_cell(c, row, "minibatch") == r->minibatch;
}

static size_t row_of(const struct csv *c, const struct paper_step *r)
{
    for (size_t i = 0; c && i < csv_rows(c); i++)
        if (is_row(c, i, r))
            return i;
    TEST_FAIL("no row %s %d", paper_model_name(r->model), r->minibatch);
    return 0;
}

static void cells_are_those_that_were_read_from_the_paper(void)
{
    SKIP_CASE_UNLESS(CSV_DIR);
    struct csv *t2 = table("table2"), *t4 = table("table4"), *t5 = table("table5");
    for (int i = 0; i < PAPER_STEPS; i++) {
        const struct paper_step *r = &paper_tables()->step[i];
        size_t a = row_of(t2, r), b = row_of(t4, r), c = row_of(t5, r);
        CHECK_NEAR(r->watts, program_cell(t2, a, "avg_power_W"), 0);
        CHECK_NEAR(r->eta, program_cell(t2, a, "eta_e_TPS_per_W"), 0);
        CHECK_NEAR(r->tps2, program_cell(t2, a, "TPS"), 0);
        CHECK_NEAR(r->backward_s, program_cell(t4, b, "backward_s"), 0);
        CHECK_NEAR(r->opt_s, program_cell(t4, b, "opt_step_s"), 0);
        CHECK_NEAR(r->forward_s, program_cell(t4, b, "forward_s"), 0);
        CHECK_NEAR(r->load_s, program_cell(t4, b, "batch_load_s"), 0);
        CHECK_NEAR(r->total_s, program_cell(t4, b, "total_s"), 0);
        CHECK_NEAR(r->tps4, program_cell(t4, b, "TPS"), 0);
        CHECK_INT(r->recovered != 0, *program_word(t4, b, "cells_recovered") != 0);
        CHECK_NEAR(r->tps5, program_cell(t5, c, "TPS"), 0);
        double mfu = program_cell(t5, c, "MFU_pct_printed");
        CHECK_NEAR(r->mfu, isnan(mfu) ? 0 : mfu, 0);
    }
    csv_close(t2);
    csv_close(t4);
    csv_close(t5);
}

static void cells_of_table_1_are_those_that_were_read_from_the_paper(void)
{
    SKIP_CASE_UNLESS(CSV_DIR);
    struct csv *t1 = table("table1");
    const struct paper_tables *t = paper_tables();
    int n = 0;
    for (size_t i = 0; t1 && i < csv_rows(t1); i++) {
        bool is_full = strcmp(program_word(t1, i, "training"), "full") == 0;
        bool is_lte = strcmp(program_word(t1, i, "network"), "LTE") == 0;
        enum paper_device d =
            strcmp(program_word(t1, i, "device"), "A100") == 0 ? PAPER_A100 : PAPER_ORIN;
        for (int row = 0; row < PAPER_COSTS * N_PAPER_DEVICES; row++)
            for (int m = 0; m < PAPER_COST_MODELS; m++) {
                const struct paper_granularity *g = &t->granularity[row];
                const struct paper_kwh *k = &t->kwh[row % PAPER_COSTS];
                if (strcmp(program_word(t1, i, "model"), paper_model_name((enum paper_model)m)) !=
                    0)
                    continue;
                CHECK_NEAR(program_cell(t1, i, "fl_rounds"), t->rounds[m], 0);
                if (g->is_full == is_full && g->is_lte == is_lte && g->device == d) {
                    CHECK_STR(g->cell[m], program_word(t1, i, "G_printed"));
                    n++;
                }
                const char *kwh = program_word(t1, i, "kWh_per_round_printed");
                if (k->is_full == is_full && k->is_lte == is_lte)
                    CHECK_STR(k->cell[m][0] == '<' ? "<0.01" : k->cell[m], kwh);
            }
    }
    CHECK_INT(n, 24);
    csv_close(t1);
}

/* The file names models and optimizers in the table's order. */
static void cells_of_table_3_are_those_that_were_read_from_the_paper(void)
{
    SKIP_CASE_UNLESS(CSV_DIR);
    struct csv *t3 = table("table3");
    CHECK_INT(t3 ? csv_rows(t3) : 0, PAPER_OPTIMIZERS);
    for (size_t i = 0; t3 && i < csv_rows(t3); i++) {
        const struct paper_optimizer *o = &paper_tables()->optimizer[i];
        CHECK_STR(paper_model_name(o->model), program_word(t3, i, "model"));
        CHECK_STR(o->optimizer, program_word(t3, i, "server_optimizer"));
        CHECK_STR(o->beta2, program_word(t3, i, "beta2"));
        if (o->lr[0]) {
            CHECK_STR(o->lr, program_word(t3, i, "server_lr"));
            CHECK_STR(o->weight_decay, program_word(t3, i, "weight_decay"));
        } else {
            CHECK_HAS(program_word(t3, i, "server_lr"), "lost");
            CHECK_HAS(program_word(t3, i, "weight_decay"), "lost");
        }
    }
    csv_close(t3);
}

static void figure_1_has_every_device_with_its_source(void)
{
    struct paper *p = open_sections(paper_tables(), "figure1");
    if (!p)
        return;
    const struct sheet *s = p->sheet[0];
    CHECK_INT(s->n_rows, device_count());
    CHECK_STR(s->cell[0][0], "a100-80gb");
    CHECK_STR(s->cell[0][3], "9.6"); /* 19.5e12 / 2039e9 */
    CHECK_INT(s->n_notes, 1 + device_count());
    for (size_t i = 0; i < device_count(); i++)
        CHECK_HAS(s->note[1 + i], device_at(i)->source);
    paper_close(p);
}

/* --- the command --- */

static void paper_check_prints_a_line_per_table_and_exits_0(void)
{
    CHECK_INT(program("paper --check"), 0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "table1   kWh          12/12\n");
    CHECK_HAS(out, "table1   G            22/22 ");
    CHECK_HAS(out, "table2   eta_e        27/27\n");
    CHECK_HAS(out, "table5   MFU          5/5 ");
    CHECK_HAS(out, "figure4  Pearson      3/3\n");
}

static void paper_fits_100_columns_and_labels_the_accounting(void)
{
    CHECK_INT(program("paper"), 0);
    const char *out = program_text("out.txt");
    CHECK_HAS(out, "91 of 91 legible cells reproduce");
    CHECK_HAS(out, "accounting paper-table1");
    CHECK_HAS(out, "not physical");
    CHECK_TRUE(!strstr(out, " nan") && !strstr(out, "inf ") && !strstr(out, "does not:"));
    for (const char *at = out; *at;) {
        size_t n = strcspn(at, "\n");
        if (n > SHEET_WIDTH)
            TEST_FAIL("%zu columns: %.*s", n, (int)n, at);
        at += n + (at[n] == '\n');
    }
}

static void paper_prints_csv_and_json_that_read_back(void)
{
    CHECK_INT(program("paper table4 --format csv"), 0);
    struct csv *c = program_csv("out.txt");
    CHECK_INT(c ? csv_rows(c) : 0, PAPER_STEPS);
    CHECK_NEAR(program_cell(c, 0, "total"), 0.32, 0);
    CHECK_STR(program_word(c, 0, "table"), "table4");
    csv_close(c);
    CHECK_INT(program("paper --format json"), 0);
    struct json_doc *doc = NULL;
    struct err e = {0};
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/out.txt", &e), OK);
    CHECK_INT(json_count(json_root(doc)), 13);
    json_close(doc);
    CHECK_INT(program("paper table1 --format md"), 0);
    CHECK_HAS(program_text("out.txt"), "| full | LTE | large | 3151.475 | 8.22 | 8.21793 | same |");
}

static void paper_refuses_what_it_has_not_got(void)
{
    CHECK_INT(program("paper tabel1"), 2);
    CHECK_HAS(program_text("err.txt"), "paper: no table \"tabel1\", did you mean \"table1\"?");
    CHECK_INT(program("paper --format xml"), 2);
    CHECK_HAS(program_text("err.txt"), "expected text, md, csv or json, got \"xml\"");
}

int main(void)
{
    CASE(table_1_gives_12_of_12_kwh_cells);
    CASE(table_1_gives_22_of_22_legible_granularity_cells);
    CASE(table_2_gives_27_of_27_rows_of_energy_efficiency);
    CASE(table_4_totals_are_sums_of_their_parts);
    CASE(table_5_gives_5_of_5_legible_utilisations);
    CASE(figure_4_gives_3_of_3_correlations);
    CASE(quoted_energy_of_computing_is_tdp_times_time);
    CASE(a_changed_digit_is_found_in_every_table);
    CASE(a_cell_is_the_same_up_to_half_a_digit);
    CASE(sizes_of_the_architectures_are_the_published_ones);
    CASE(energy_of_a_round_is_bits_times_the_path);
    CASE(utilisation_is_six_n_and_attention_over_a_named_peak);
    CASE(simulated_rounds_agree_with_formula_and_closed_form_to_1_percent);
    CASE(simulated_literal_kwh_are_those_of_the_formula_by_its_words);
    CASE(headline_compares_a_whole_run_at_measured_watts_and_at_tdp);
    CASE(device_profiles_are_the_rows_of_tables_2_and_4);
    CASE(figure_1_has_every_device_with_its_source);
    program_begin();
    CASE(reading_without_double_count_takes_optimizer_and_load_alone);
    CASE(headline_is_what_a_run_of_all_rounds_gives);
    CASE(scenarios_of_the_study_have_the_cells_of_table_3);
    CASE(paper_check_prints_a_line_per_table_and_exits_0);
    CASE(paper_fits_100_columns_and_labels_the_accounting);
    CASE(paper_prints_csv_and_json_that_read_back);
    CASE(paper_refuses_what_it_has_not_got);
    program_end();
    CASE(cells_are_those_that_were_read_from_the_paper);
    CASE(cells_of_table_3_are_those_that_were_read_from_the_paper);
    CASE(cells_of_table_1_are_those_that_were_read_from_the_paper);
    return test_end();
}
