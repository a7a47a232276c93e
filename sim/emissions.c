#include "sim/emissions.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HAS(field, type, unit, meaning)                                                            \
    {                                                                                              \
#field, unit, meaning, type, offsetof(struct emissions_record, field)                      \
    }
/* Columns of theirs that a simulated run has nothing for. */
#define EMPTY(name, unit)                                                                          \
    {                                                                                              \
#name, unit, "empty: a simulated run has none", COLUMN_TEXT,                               \
            offsetof(struct emissions_record, none)                                                \
    }

static const struct column EMISSIONS[] = {
    EMPTY(timestamp, ""),
    HAS(project_name, COLUMN_TEXT, "", "the scenario's name"),
    HAS(run_id, COLUMN_TEXT, "", "network (all its elements) or devices (training and waiting)"),
    HAS(duration, COLUMN_DOUBLE, "s", "virtual time at the end of the last round"),
    HAS(emissions, COLUMN_DOUBLE, "kg", "CO2 equivalent of energy_consumed"),
    HAS(emissions_rate, COLUMN_DOUBLE, "kg/s", "emissions / duration"),
    EMPTY(cpu_power, "W"),
    EMPTY(gpu_power, "W"),
    EMPTY(ram_power, "W"),
    EMPTY(cpu_energy, "kWh"),
    EMPTY(gpu_energy, "kWh"),
    EMPTY(ram_energy, "kWh"),
    HAS(energy_consumed, COLUMN_DOUBLE, "kWh", "comm_kwh or device_kwh of summary.json"),
    EMPTY(country_name, ""),
    EMPTY(country_iso_code, ""),
    EMPTY(region, ""),
    EMPTY(cloud_provider, ""),
    EMPTY(cloud_region, ""),
    EMPTY(os, ""),
    EMPTY(python_version, ""),
    EMPTY(codecarbon_version, ""),
    EMPTY(cpu_count, ""),
    EMPTY(cpu_model, ""),
    EMPTY(gpu_count, ""),
    EMPTY(gpu_model, ""),
    EMPTY(longitude, "degree"),
    EMPTY(latitude, "degree"),
    EMPTY(ram_total_size, "GB"),
    HAS(tracking_mode, COLUMN_TEXT, "", "simulated"),
    HAS(on_cloud, COLUMN_TEXT, "", "N"),
    HAS(pue, COLUMN_DOUBLE, "", "power usage effectiveness, 1: nothing is added for cooling"),
};

static const struct table EMISSIONS_TABLE = {"emissions", COUNT(EMISSIONS), EMISSIONS, false};

const struct table *record_emissions(void)
{
    return &EMISSIONS_TABLE;
}

void emissions_of(const struct summary_record *s, struct emissions_record out[EMISSIONS_ROWS])
{
    double kg_per_kwh = s->total_kwh > 0 ? 1e-3 * s->carbon_g / s->total_kwh : 0;
    for (int i = 0; i < EMISSIONS_ROWS; i++) {
        double kwh = i ? s->device_kwh : s->comm_kwh;
        out[i] = (struct emissions_record){
            .project_name = s->name,
            .run_id = i ? "devices" : "network",
            .tracking_mode = "simulated",
            .on_cloud = "N",
            .none = "",
            .duration = s->virtual_s,
            .emissions = kwh * kg_per_kwh,
            .emissions_rate = s->virtual_s > 0 ? kwh * kg_per_kwh / s->virtual_s : 0,
            .energy_consumed = kwh,
            .pue = 1};
    }
}
