/* sim/emissions.h: a run's energy as CodeCarbon's emissions.csv has it, for the tools that read
 * that.
 *
 * Two rows, told apart by run_id: "network" (all network elements) and "devices" (training and
 * waiting). The columns are the 31 that CodeCarbon has written since version 2.2 and later versions
 * still have, in the order of 2.4. duration is virtual. A simulated run has no place and no hour,
 * so these cells are empty: timestamp, country, region, cloud, os, versions, models and counts of
 * processors, coordinates, and the split of energy by processor. tracking_mode is "simulated". */
#ifndef SIM_EMISSIONS_H
#define SIM_EMISSIONS_H

#include "sim/record.h"

enum { EMISSIONS_ROWS = 2 };

struct emissions_record {
    const char *project_name, *run_id, *tracking_mode, *on_cloud, *none;
    double duration, emissions, emissions_rate, energy_consumed, pue;
};

const struct table *record_emissions(void);

/* The rows of a run. Their energy adds up to total_kwh, their emissions to carbon_g / 1000, to
 * rounding. */
void emissions_of(const struct summary_record *s, struct emissions_record out[EMISSIONS_ROWS]);

#endif
