#include "energy/perbit.h"

#include <string.h>

#include "sim/base/check.h"
#include "sim/base/text.h"

/* Sources, as they were read (paper/perbit.csv). No stored copy exposes the papers' own tables. */
#define FOG_TABLE                                                                                  \
    "fog-simulator constants (Java) and PFogSim-Mango default_config.properties, said to be "      \
    "Jalali et al. 2016"
#define FOG_TABLE_ONE "fog-simulator constants (Java), said to be Jalali et al. 2016"
#define PQOS "gdrainakis/distributed_pqos core.py, header names Vishwanath et al. JSAC 2015"
#define PURE_EDGE "PureEdgeSim simulation_parameters.properties"
/* J/bit written as decimals, so that a scenario that states the same text gets the same double. */
#define BOTH(j)                                                                                    \
    {                                                                                              \
        j, j                                                                                       \
    }
#define DOWN_UP(down_j, up_j)                                                                      \
    {                                                                                              \
        down_j, up_j                                                                               \
    }

/* Rows that neither paper has and both sets share. */
#define ROW_NIC                                                                                    \
    {                                                                                              \
        "nic", BOTH(0.0e-9), "stated zero",                                                        \
            "in the machine's own watts; set it in the scenario to count"                          \
    }
#define ROW_ENDPOINT                                                                               \
    {                                                                                              \
        "lte_endpoint", DOWN_UP(51.97e-9, 438.4e-9), "substitute",                                 \
            "handset slopes of Huang et al. MobiSys 2012, read in " PURE_EDGE                      \
    }
#define ROW_WIFI                                                                                   \
    {                                                                                              \
        "wifi_ap", BOTH(23.8e-9), "substitute", "Wi-Fi access point, read in " PURE_EDGE           \
    }

/* Watts per line over 578 kbit/s, see perbit.h. */
#define ACCESS_MODEL                                                                               \
    "all 25,311 lines of a German model region with cooling (Prysmian, Energy consumption of "     \
    "telecommunication access networks)"
#define ROWS_HOME                                                                                  \
    {"wifi_endpoint", DOWN_UP(137.01e-9, 283.17e-9), "substitute",                                 \
     "handset slopes of Huang et al. MobiSys 2012, read in " PURE_EDGE},                           \
        {"home_router", BOTH(0.0e-9), "stated zero",                                               \
         "on with or without us; set it in the scenario to count"},                                \
        {"dslam", BOTH(2600.0e-9), "derived",                                                      \
         "1.5 W per ADSL line (1 to 2 W without cooling) over 578 kbit/s"},                        \
        {"cmts", BOTH(7790.0e-9), "derived",                                                       \
         "HFC, 4.5 W per line over 578 kbit/s; " ACCESS_MODEL},                                    \
    {                                                                                              \
        "olt", BOTH(1270.0e-9), "derived", "GPON, 0.74 W per line over 578 kbit/s; " ACCESS_MODEL  \
    }
#define ROWS_5G                                                                                    \
    {"5g_endpoint", DOWN_UP(51.97e-9, 438.4e-9), "substitute", "as lte_endpoint"},                 \
    {                                                                                              \
        "5g_base_station", BOTH(27000.0e-9), "substitute",                                         \
            "5G radio network bottom-up, about 0.06 kWh/GB; methodology.scope3.com/data_transfer"  \
    }

static const struct perbit_set sets[] = {
    {"j16",
     false,
     {
         ROW_NIC,
         {"switch", BOTH(31.7e-9), "seen", "Cisco Catalyst 6509; " FOG_TABLE},
         ROW_ENDPOINT,
         {"lte_base_station", DOWN_UP(82820.0e-9, 12400.0e-9), "seen",
          "3 sectors 2x2 MIMO, 333 to 528 W, 72 and 12 Mbit/s; " FOG_TABLE_ONE},
         {"bng", BOTH(27.0e-9), "derived",
          "Juniper E320; v15 value times the ratio 1.475 of the other three (27.2 from its watts)"},
         {"edge_router", BOTH(37.0e-9), "seen", "Cisco 7609; " FOG_TABLE},
         {"core_router", BOTH(12.6e-9), "seen", "Cisco CRS-3; " FOG_TABLE},
         {"dc_switch", BOTH(31.7e-9), "seen", "as switch (cloud hop = 37 + 31.7); " FOG_TABLE_ONE},
         ROW_WIFI,
         ROWS_HOME,
         ROWS_5G,
     }},
    {"v15",
     false,
     {
         ROW_NIC,
         {"switch", BOTH(21.4e-9), "seen", "metro Ethernet switch, 256 Gbit/s; " PQOS},
         ROW_ENDPOINT,
         {"lte_base_station", DOWN_UP(76200.0e-9, 19000.0e-9), "seen", PQOS},
         {"bng", BOTH(18.3e-9), "seen", "320 Gbit/s; " PQOS},
         {"edge_router", BOTH(25.2e-9), "seen", "560 Gbit/s; " PQOS},
         {"core_router", BOTH(8.5e-9), "seen", "4480 Gbit/s; " PQOS},
         {"dc_switch", BOTH(19.6e-9), "seen", "320 Gbit/s; " PQOS},
         ROW_WIFI,
         ROWS_HOME,
         ROWS_5G,
     }},
};

size_t perbit_sets(void)
{
    return sizeof(sets) / sizeof(sets[0]);
}

const struct perbit_set *perbit_at(size_t i)
{
    CHECK(i < perbit_sets());
    return &sets[i];
}

const struct perbit_set *perbit_find(const char *name)
{
    for (size_t i = 0; i < perbit_sets(); i++)
        if (strcmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}

const char *perbit_element(size_t i)
{
    CHECK(i < PERBIT_ELEMENTS);
    return sets[0].value[i].element;
}

const struct perbit_value *perbit_value(const struct perbit_set *set, const char *element)
{
    for (size_t i = 0; i < PERBIT_ELEMENTS; i++)
        if (strcmp(set->value[i].element, element) == 0)
            return &set->value[i];
    return NULL;
}

bool perbit_j_per_bit(const struct perbit_set *set, const char *element, int direction, double *out)
{
    CHECK(direction == PERBIT_DOWN || direction == PERBIT_UP);
    const struct perbit_value *v = perbit_value(set, element);
    if (!v)
        return false;
    *out = v->j_per_bit[direction];
    return true;
}

double perbit_from_power(double idle_w, double max_w, double capacity_bps, double utilisation)
{
    CHECK(idle_w >= 0 && max_w >= idle_w && capacity_bps > 0);
    CHECK(utilisation > 0 && utilisation <= 1);
    return idle_w / (utilisation * capacity_bps) + (max_w - idle_w) / capacity_bps;
}

static enum err_code parse_set_name(struct json object, const char *key, struct perbit_set *out,
                                    struct err *e)
{
    static const char *const names[] = {"j16", "v15"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == sizeof(sets) / sizeof(sets[0]),
                   "one name per set");
    size_t which = 0;
    enum err_code code = json_choice(object, key, names, 2, &which, &which, e);
    if (!code)
        *out = sets[which];
    return code;
}

/* Idle and greatest watts, capacity and utilisation: the same J/bit in both directions. */
static enum err_code parse_power(struct json o, struct perbit_value *v, struct err *e)
{
    double idle_w, max_w, capacity_bps, utilisation;
    enum err_code code = json_quantity(o, "idle", UNIT_POWER_W, 0, 1e9, NULL, &idle_w, e);
    if (!code)
        code = json_quantity(o, "max", UNIT_POWER_W, 0, 1e9, NULL, &max_w, e);
    if (!code)
        code = json_quantity(o, "capacity", UNIT_RATE_BPS, 1, 1e15, NULL, &capacity_bps, e);
    if (!code)
        code = json_double(o, "utilisation", 1e-6, 1, NULL, &utilisation, e);
    if (code)
        return code;
    if (max_w < idle_w)
        return json_fail(o, "max", e, "expected at least idle (%g W), got %g W", idle_w, max_w);
    double j_per_bit = perbit_from_power(idle_w, max_w, capacity_bps, utilisation);
    if (j_per_bit > PERBIT_MAX_J_PER_BIT)
        return json_fail(o, NULL, e, "expected at most %g J/bit, these numbers give %g J/bit",
                         PERBIT_MAX_J_PER_BIT, j_per_bit);
    v->j_per_bit[PERBIT_DOWN] = v->j_per_bit[PERBIT_UP] = j_per_bit;
    return OK;
}

static enum err_code parse_element(struct json object, struct perbit_value *v, struct err *e)
{
    struct json o;
    enum err_code code = json_value(object, v->element, &o, e);
    if (code)
        return code;
    if (!json_is_object(o)) {
        double both;
        code =
            json_quantity(o, NULL, UNIT_ENERGY_J_PER_BIT, 0, PERBIT_MAX_J_PER_BIT, NULL, &both, e);
        if (!code)
            v->j_per_bit[PERBIT_DOWN] = v->j_per_bit[PERBIT_UP] = both;
    } else if (json_has(o, "capacity") || json_has(o, "idle") || json_has(o, "max")) {
        code = parse_power(o, v, e);
    } else {
        double down = v->j_per_bit[PERBIT_DOWN], up = v->j_per_bit[PERBIT_UP];
        code = json_quantity(o, "down", UNIT_ENERGY_J_PER_BIT, 0, PERBIT_MAX_J_PER_BIT, &down,
                             &v->j_per_bit[PERBIT_DOWN], e);
        if (!code)
            code = json_quantity(o, "up", UNIT_ENERGY_J_PER_BIT, 0, PERBIT_MAX_J_PER_BIT, &up,
                                 &v->j_per_bit[PERBIT_UP], e);
    }
    if (!code && json_is_object(o))
        code = json_finish(o, e);
    v->status = "scenario";
    v->source = "stated in the scenario";
    return code;
}

enum err_code perbit_parse(struct json energy, const char *key, struct perbit_set *out,
                           struct err *e)
{
    struct perbit_set set = sets[0];
    struct json o;
    enum err_code code = OK;
    if (!energy.node || !json_has(energy, key)) {
        *out = set;
        return OK;
    }
    code = json_value(energy, key, &o, e);
    if (code)
        return code;
    if (!json_is_object(o)) {
        code = parse_set_name(energy, key, &set, e);
    } else {
        code = parse_set_name(o, "set", &set, e);
        for (size_t i = 0; !code && i < PERBIT_ELEMENTS; i++) {
            if (!json_has(o, set.value[i].element))
                continue;
            code = parse_element(o, &set.value[i], e);
            set.has_overrides = true;
        }
        if (!code)
            code = json_finish(o, e);
    }
    if (!code)
        *out = set;
    return code;
}

static void write_j_per_bit(struct json_out *o, const char *key, double j_per_bit)
{
    char number[32], text[48];
    text_shortest(number, j_per_bit);
    size_t n = strlen(number);
    memcpy(text, number, n);
    memcpy(text + n, "J/bit", sizeof("J/bit"));
    json_out_string(o, key, text);
}

void perbit_write(struct json_out *o, const char *key, const struct perbit_set *set)
{
    json_out_begin(o, key, '{');
    json_out_string(o, "set", set->name);
    for (size_t i = 0; i < PERBIT_ELEMENTS; i++) {
        const struct perbit_value *v = &set->value[i];
        json_out_begin_inline(o, v->element, '{');
        write_j_per_bit(o, "down", v->j_per_bit[PERBIT_DOWN]);
        write_j_per_bit(o, "up", v->j_per_bit[PERBIT_UP]);
        json_out_end(o, '}');
    }
    json_out_end(o, '}');
}
