/* Accountings by hand, and the one of the study's Table 1 through a whole run: it must say what it
 * is wherever its numbers go, and leave the default as it was. */
#include "energy/account.h"
#include "tests/program.h"

#define LARGE_FULL_BYTES (4.0 * 787868672)
#define SMALL_LORA_BYTES (4.0 * 688128)
#define BASE_LORA_BYTES (4.0 * 1769472)
#define LARGE_LORA_BYTES (4.0 * 4718592)

static struct account_part part(const char *device, const char *access, double bytes)
{
    return (struct account_part){
        .train_s = 1, .device = device, .access = access, .payload_bytes = bytes};
}

static struct account_round table1(size_t n, const struct account_part *p)
{
    return account_find("paper-table1")->round(100, n, p);
}

static void table_1_takes_t_comm_from_the_payload_and_t_comp_from_the_device(void)
{
    struct account_part p = part("a100-80gb", "lte", LARGE_FULL_BYTES);
    struct account_round r = table1(1, &p);
    CHECK_NEAR(r.t_comp_s, 18.60, 0);
    CHECK_REL(r.t_comm_s, 4.018 * 3151.474688, 1e-12);
    CHECK_REL(r.granularity, 18.60 / (4.018 * 3151.474688), 1e-12);
    p.device = "agx-orin-64gb";
    p.train_s = 7; /* it makes no difference */
    CHECK_NEAR(table1(1, &p).t_comp_s, 41.00, 0);
}

static void table_1_counts_whole_milliseconds_on_1_gbit(void)
{
    const double bytes[] = {SMALL_LORA_BYTES, BASE_LORA_BYTES, LARGE_LORA_BYTES};
    const double t_comm_s[] = {0.011, 0.028, 0.076};
    for (int i = 0; i < 3; i++) {
        struct account_part p = part("a100-80gb", "wired", bytes[i]);
        CHECK_NEAR(table1(1, &p).t_comm_s, t_comm_s[i], 1e-15);
    }
}

static void table_1_takes_the_slowest_participant_of_each(void)
{
    struct account_part p[] = {part("a100-80gb", "lte", 1e6), part("agx-orin-64gb", "wired", 1e6)};
    struct account_round r = table1(2, p);
    CHECK_NEAR(r.t_comp_s, 41.00, 0);
    CHECK_NEAR(r.t_comm_s, 4.018, 1e-12);
    CHECK_NEAR(table1(0, NULL).t_comp_s, 0, 0);
    CHECK_TRUE(isnan(table1(0, NULL).granularity));
}

static double path_j_per_bit(const struct perbit_set *set, bool is_lte, int dir)
{
    static const struct {
        const char *element;
        int count;
    } path[] = {{"lte_endpoint", 1}, {"lte_base_station", 1}, {"switch", 1},   {"bng", 1},
                {"edge_router", 3},  {"core_router", 4},      {"dc_switch", 2}};
    double sum = 0;
    for (size_t i = is_lte ? 0 : 2; i < sizeof(path) / sizeof(path[0]); i++) {
        double j = 0;
        CHECK_TRUE(perbit_j_per_bit(set, path[i].element, dir, &j));
        sum += path[i].count * j;
    }
    return sum;
}

static void table_1_charges_32_times_the_path_and_1550_nj_for_lte(void)
{
    struct perbit_set set = account_charged(account_find("paper-table1"), perbit_find("j16"));
    for (int dir = 0; dir < PERBIT_DIRECTIONS; dir++) {
        CHECK_REL(path_j_per_bit(&set, false, dir), 32 * 283.5e-9, 1e-12);
        CHECK_REL(path_j_per_bit(&set, true, dir), 32 * (283.5e-9 + 1550e-9), 1e-12);
    }
    CHECK_HAS(set.name, "paper-table1");
}

static void literal_charges_the_set_as_it_is_and_needs_no_warning(void)
{
    const struct account *a = account_find("literal");
    CHECK_TRUE(account_at(0) == a); /* the default */
    CHECK_TRUE(!a->warning && !a->refuses && !a->needs_j16);
    struct perbit_set set = account_charged(a, perbit_find("v15"));
    CHECK_TRUE(memcmp(&set, perbit_find("v15"), sizeof(set)) == 0);
}

static const char SCENARIO[] =
    "{ \"network\": { \"topology\": \"%s\" }, \"clients\": { \"count\": 20, \"device\": "
    "\"a100-80gb\" }, \"model\": { \"costs_of\": \"flan-t5-large\", \"train\": \"none\" }, "
    "\"federation\": { \"rounds\": 2, \"batch\": 1, \"payload\": \"full\" } }";

static void run(const char *topology, const char *sets)
{
    char text[1024];
    snprintf(text, sizeof(text), SCENARIO, topology);
    program_write("s.json", text);
    CHECK_INT(program("run s.json --set output.dir=out %s", sets), 0);
}

static void a_run_under_table_1_prints_its_cells_and_says_so_everywhere(void)
{
    run("wired", "--set energy.accounting=paper-table1");
    CHECK_HAS(program_text("out.txt"), "paper-table1: J/bit x 32");
    CHECK_HAS(program_text("out.txt"), "not physical");
    CHECK_HAS(program_text("out.txt"), "kWh (paper-table1)");
    CHECK_HAS(program_text("out/summary.json"), "\"accounting\": \"paper-table1\"");
    CHECK_HAS(program_text("out/summary.json"), "\"per_bit\": \"j16-x32-paper-table1\"");
    CHECK_HAS(program_text("out/scenario.json"), "\"accounting\": \"paper-table1\"");
    struct csv *rounds = program_csv("out/rounds.csv"), *clients = program_csv("out/clients.csv"),
               *elements = program_csv("out/elements.csv");
    double sum_kwh = 0, sum_j = 0, client_j = 0;
    for (size_t i = 0; i < csv_rows(rounds); i++) {
        CHECK_STR(program_word(rounds, i, "accounting"), "paper-table1");
        CHECK_NEAR(program_cell(rounds, i, "comm_kwh"), 1.27, 0.005);
        CHECK_NEAR(program_cell(rounds, i, "granularity"), 1.47, 0.005);
        sum_kwh += program_cell(rounds, i, "comm_kwh");
    }
    for (size_t i = 0; i < csv_rows(elements); i++) {
        CHECK_STR(program_word(elements, i, "per_bit"), "j16-x32-paper-table1");
        sum_j += program_cell(elements, i, "joules");
    }
    for (size_t i = 0; i < csv_rows(clients); i++) {
        CHECK_STR(program_word(clients, i, "accounting"), "paper-table1");
        client_j += program_cell(clients, i, "comm_j");
    }
    CHECK_INT(csv_rows(clients), 20);
    CHECK_REL(sum_j, 3.6e6 * sum_kwh, 1e-12);
    CHECK_REL(client_j, sum_j, 1e-12);
    csv_close(rounds);
    csv_close(clients);
    csv_close(elements);
    run("lte", "--set energy.accounting=paper-table1");
    rounds = program_csv("out/rounds.csv");
    CHECK_NEAR(program_cell(rounds, 0, "comm_kwh"), 8.22, 0.005);
    csv_close(rounds);
}

static void the_accounting_changes_no_simulated_time_and_no_device_energy(void)
{
    static const char *const same[] = {"duration_s", "bytes_down", "bytes_up", "device_kwh"};
    double value[4];
    run("lte", "");
    struct csv *rounds = program_csv("out/rounds.csv");
    for (int i = 0; i < 4; i++)
        value[i] = program_cell(rounds, 1, same[i]);
    CHECK_NEAR(program_cell(rounds, 1, "comm_kwh"), 6.743, 5e-4);
    CHECK_STR(program_word(rounds, 1, "accounting"), "literal");
    CHECK_TRUE(!strstr(program_text("out.txt"), "paper-table1"));
    csv_close(rounds);
    run("lte", "--set energy.accounting=paper-table1");
    rounds = program_csv("out/rounds.csv");
    for (int i = 0; i < 4; i++)
        CHECK_NEAR(program_cell(rounds, 1, same[i]), value[i], 0);
    csv_close(rounds);
}

static void check_names_the_accounting_beside_its_figures(void)
{
    program_write("s.json",
                  "{ \"model\": { \"costs_of\": \"flan-t5-base\", \"train\": \"none\" } }");
    CHECK_INT(program("check s.json --brief --set energy.accounting=paper-table1"), 0);
    CHECK_HAS(program_text("out.txt"), "not physical");
    CHECK_HAS(program_text("out.txt"),
              "accounting paper-table1: T_comp 41 s, T_comm 28.439 s, G 1.44168");
    CHECK_INT(program("check s.json --set energy.accounting=paper-table1 --set network.up=11Mbps"),
              2);
    CHECK_HAS(program_text("err.txt"), "energy.accounting: paper-table1");
}

/* A run's own scenario.json states every J/bit of j16, which is not another set. */
static void a_runs_own_scenario_keeps_the_accounting(void)
{
    run("wired", "--set energy.accounting=paper-table1");
    CHECK_INT(program("check out/scenario.json --brief"), 0);
    CHECK_HAS(program_text("out.txt"), "accounting paper-table1");
}

int main(void)
{
    CASE(table_1_takes_t_comm_from_the_payload_and_t_comp_from_the_device);
    CASE(table_1_counts_whole_milliseconds_on_1_gbit);
    CASE(table_1_takes_the_slowest_participant_of_each);
    CASE(table_1_charges_32_times_the_path_and_1550_nj_for_lte);
    CASE(literal_charges_the_set_as_it_is_and_needs_no_warning);
    program_begin();
    CASE(a_run_under_table_1_prints_its_cells_and_says_so_everywhere);
    CASE(the_accounting_changes_no_simulated_time_and_no_device_energy);
    CASE(check_names_the_accounting_beside_its_figures);
    CASE(a_runs_own_scenario_keeps_the_accounting);
    program_end();
    return test_end();
}
