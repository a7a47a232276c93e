#include "energy/device.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"

#define GB 1e9
#define TFLOP 1e12
#define IDLE_ASSUMED "assumption: 15 % of the TDP, no measurement was found"
#define SHEET_ONLY(name, tflop, gb_per_s, gb, tdp, where)                                          \
    {                                                                                              \
        name, tdp, DEVICE_IDLE_SHARE *(tdp), (gb)*GB, {(tflop)*TFLOP, (gb_per_s)*GB, 1.0, 0}, NULL,   \
            0, {{{0}, 0, 0, 0, 0}}, where, IDLE_ASSUMED                                            \
    }

/* Data sheets: FP32 without tensor cores, GB/s, GB, TDP (paper/devices.csv). Measures: the study's
 * Table 4 (printed total, then Opt. Step + batch loading) and Table 2 (mean watts); mini-batches
 * inferred, see paper/accounting.md section 4. */
static const struct device devices[] = {
    {"a100-80gb",
     400,
     DEVICE_IDLE_SHARE * 400,
     80 * GB,
     {19.5 * TFLOP, 2039 * GB, 1.0, 0},
     "table4",
     15,
     {
         {"flan-t5-small", 1, 0.32, 0.17, 75.8},
         {"flan-t5-small", 8, 0.33, 0.17, 103.17},
         {"flan-t5-small", 16, 0.31, 0.17, 120.96},
         {"flan-t5-small", 32, 0.37, 0.19, 171.15},
         {"flan-t5-small", 64, 0.51, 0.27, 212.53},
         {"flan-t5-small", 128, 0.81, 0.48, 247.72},
         {"flan-t5-base", 1, 0.46, 0.24, 85.63},
         {"flan-t5-base", 8, 0.47, 0.24, 135.57},
         {"flan-t5-base", 16, 0.54, 0.29, 159.09},
         {"flan-t5-base", 32, 0.74, 0.39, 223.55},
         {"flan-t5-base", 64, 1.26, 0.66, 260.68},
         {"flan-t5-large", 1, 0.92, 0.48, 91.61},
         {"flan-t5-large", 8, 0.97, 0.51, 173.43},
         {"flan-t5-large", 16, 1.23, 0.64, 196.9},
         {"flan-t5-xl", 1, 0.93, 0.50, 128.21},
     },
     "A100 80GB SXM, glennklockwood.com/garden/processors/A100 (seen); steps: arXiv 2310.03150",
     IDLE_ASSUMED},
    {"agx-orin-64gb",
     60,
     DEVICE_IDLE_SHARE * 60,
     64 * GB,
     {5.3 * TFLOP, 204.8 * GB, 1.0, 0},
     "table4",
     15,
     {
         {"flan-t5-small", 1, 0.55, 0.31, 16.7},
         {"flan-t5-small", 8, 0.73, 0.41, 28.1},
         {"flan-t5-small", 16, 1.15, 0.64, 35.8},
         {"flan-t5-small", 32, 2.15, 1.17, 38.84},
         {"flan-t5-small", 64, 4.15, 2.23, 38.82},
         {"flan-t5-small", 128, 8.15, 4.35, 41.08},
         {"flan-t5-base", 1, 0.82, 0.46, 24.86},
         {"flan-t5-base", 8, 1.76, 0.96, 31.3},
         {"flan-t5-base", 16, 3.19, 1.70, 38.59},
         {"flan-t5-base", 32, 6.09, 3.20, 38.54},
         {"flan-t5-base", 64, 0, 0, 0},
         {"flan-t5-large", 1, 1.75, 1.04, 26.1},
         {"flan-t5-large", 8, 4.85, 2.63, 41.46},
         {"flan-t5-large", 16, 0, 0, 0},
         {"flan-t5-xl", 1, 0, 0, 0},
     },
     "Jetson AGX Orin 64GB: FP32 and power seen in relays of NVIDIA's brief, 204.8 GB/s from "
     "memory; "
     "steps: arXiv 2310.03150",
     IDLE_ASSUMED},
    SHEET_ONLY("v100-sxm2", 15.7, 900, 16, 300, "V100 SXM2: bandwidth, TDP seen; peak from memory"),
    SHEET_ONLY("v100-pcie", 14, 900, 16, 250, "V100 PCIe, io-tech.fi (seen)"),
    SHEET_ONLY("v100s-pcie", 16.4, 1134, 32, 250, "V100S PCIe data sheet, from memory"),
    SHEET_ONLY("a100-40gb", 19.5, 1555, 40, 400,
               "A100 40GB SXM, glennklockwood.com/garden/processors/A100 (seen)"),
    SHEET_ONLY("h100-pcie", 51, 2000, 80, 350,
               "H100 PCIe, PB-11133-001: TDP, bandwidth seen; peak from memory"),
    SHEET_ONLY("h100-sxm5", 66.9, 3350, 80, 700,
               "H100 SXM5, glennklockwood.com/garden/processors/h100 (seen)"),
    SHEET_ONLY("h100-nvl", 60, 3900, 94, 400,
               "one H100 NVL: bandwidth, memory, TDP seen; peak from memory"),
    SHEET_ONLY("raspberry-pi-4", 0.048, 12.8, 8, 7,
               "4 Cortex-A72 at 1.5 GHz x 8 FLOP, LPDDR4-3200 x32; from memory"),
    SHEET_ONLY("jetson-nano", 0.2358, 25.6, 4, 10, "Jetson Nano, sysrqmts.com (seen)"),
    SHEET_ONLY("orin-nano-8gb", 1.28, 68, 8, 15,
               "Jetson Orin Nano 8GB data sheet: 1024 cores at 625 MHz (seen)"),
};

size_t device_count(void)
{
    return sizeof(devices) / sizeof(devices[0]);
}

const struct device *device_at(size_t i)
{
    CHECK(i < device_count());
    return &devices[i];
}

const struct device *device_find(const char *name)
{
    for (size_t i = 0; i < device_count(); i++)
        if (strcmp(devices[i].name, name) == 0)
            return &devices[i];
    return NULL;
}

enum measured_kind { AT_MEASURE, INTERPOLATED, EXTRAPOLATED };

static const char *source_text(const struct device *d, enum measured_kind kind)
{
    static const char *const of_study[] = {"table4", "table4-interpolated", "table4-extrapolated"};
    static const char *const of_scenario[] = {"measured", "measured-interpolated",
                                              "measured-extrapolated"};
    bool is_study = d->measure_source && strcmp(d->measure_source, "table4") == 0;
    return is_study ? of_study[kind] : of_scenario[kind];
}

static double seconds_of(const struct device_measure *m, enum device_reading reading)
{
    return reading == DEVICE_OPT_STEP ? m->opt_step_s : m->step_s;
}

static struct device_step out_of_memory(const struct device *d)
{
    return (struct device_step){0, d->idle_w, "out_of_memory", true};
}

/* The neighbours of a mini-batch among the measures of one model. */
struct neighbours {
    const struct device_measure *below, *above; /* below <= minibatch < above; NULL where none */
    bool is_out_of_memory;
};

static struct neighbours find_neighbours(const struct device *d, const struct device_work *work)
{
    struct neighbours n = {NULL, NULL, false};
    for (int i = 0; i < d->n_measures; i++) {
        const struct device_measure *m = &d->measure[i];
        if (strcmp(m->model, work->model) != 0)
            continue;
        if (m->step_s == 0) {
            n.is_out_of_memory = n.is_out_of_memory || work->minibatch >= m->minibatch;
        } else if (m->minibatch <= work->minibatch) {
            if (!n.below || m->minibatch > n.below->minibatch)
                n.below = m;
        } else if (!n.above || m->minibatch < n.above->minibatch) {
            n.above = m;
        }
    }
    return n;
}

static bool exceeds_memory(const struct device *d, const struct device_work *work)
{
    return work->memory_bytes > d->memory_bytes;
}

static struct device_step measured_step(const struct device *d, const struct device_work *work,
                                        const struct neighbours *n)
{
    struct device_step s = {0};
    const struct device_measure *lo = n->below, *hi = n->above;
    if (lo && lo->minibatch == work->minibatch) {
        s.seconds = seconds_of(lo, work->reading);
        s.watts = lo->watts;
        s.time_source = source_text(d, AT_MEASURE);
    } else if (lo && hi) {
        double span = log2((double)hi->minibatch) - log2((double)lo->minibatch);
        double t = (log2((double)work->minibatch) - log2((double)lo->minibatch)) / span;
        double lo_s = seconds_of(lo, work->reading), hi_s = seconds_of(hi, work->reading);
        s.seconds = lo_s + t * (hi_s - lo_s);
        s.watts = lo->watts + t * (hi->watts - lo->watts);
        s.time_source = source_text(d, INTERPOLATED);
    } else if (lo) {
        if (exceeds_memory(d, work))
            return out_of_memory(d);
        s.seconds = seconds_of(lo, work->reading) * work->minibatch / lo->minibatch;
        s.watts = lo->watts;
        s.time_source = source_text(d, EXTRAPOLATED);
    } else {
        /* Below the smallest measure a step is taken to last as long as that one. */
        s.seconds = seconds_of(hi, work->reading);
        s.watts = hi->watts;
        s.time_source = source_text(d, EXTRAPOLATED);
    }
    return s;
}

struct device_step device_step(const struct device *d, const struct device_work *work)
{
    CHECK(work->minibatch >= 1);
    struct neighbours n = find_neighbours(d, work);
    if (n.is_out_of_memory)
        return out_of_memory(d);
    if (n.below || n.above)
        return measured_step(d, work, &n);
    if (exceeds_memory(d, work))
        return out_of_memory(d);
    return (struct device_step){roofline_step_s(&d->roof, work->flop, work->bytes), d->tdp_w,
                                "roofline", false};
}
