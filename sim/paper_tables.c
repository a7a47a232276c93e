#include "sim/paper_tables.h"

static const struct paper_tables TABLES =
    {
        .rounds = {845, 856, 2985},
        .granularity =
            {
                {true, true, PAPER_A100, {"0.01", "0.00", ""}},
                {true, true, PAPER_ORIN, {"0.03", "0.01", ""}},
                {true, false, PAPER_A100, {"14.90", "4.64", "1.47"}},
                {true, false, PAPER_ORIN, {"32.90", "10.23", "3.24"}},
                {false, true, PAPER_A100, {"1.70", "0.65", "0.25"}},
                {false, true, PAPER_ORIN, {"3.70", "1.44", "0.54"}},
                {false, false, PAPER_A100, {"1690.90", "664.29", "244.74"}},
                {false, false, PAPER_ORIN, {"3727.30", "1464.29", "539.47"}},
            },
        .kwh =
            {
                {true, true, {"0.81", "2.60", "8.22"}},
                {true, false, {"0.13", "0.40", "1.27"}},
                {false, true, {"0.01", "0.02", "0.05"}},
                {false, false, {"< 0.01", "< 0.01", "0.01"}},
            },
        /* clang-format off
     * model, mini-batch, device | Table 2: W, eta_e, TPS | Table 4: backward, optimizer step, forward, batch
     * loading, total (s), TPS | Table 5: TPS, MFU % | recovered cells of Table 4 */
        .step =
            {
                {PAPER_SMALL, 1, PAPER_A100, 75.80, 21.16, 1603.62, 0.09, 0.16, 0.06, 0.01, 0.32,
                 1657.87, 1657, 0.0, 0},
                {PAPER_SMALL, 8, PAPER_A100, 103.17, 121.63, 12548.15, 0.09, 0.16, 0.06, 0.01, 0.33,
                 13051.30, 13051, 0.0, 0},
                {PAPER_SMALL, 16, PAPER_A100, 120.96, 215.03, 26010.34, 0.09, 0.16, 0.06, 0.01,
                 0.31, 26741.79, 26741, 0.0, 0},
                {PAPER_SMALL, 32, PAPER_A100, 171.15, 258.52, 44246.31, 0.12, 0.18, 0.06, 0.01,
                 0.37, 45428.27, 45428, 0.0, 0},
                {PAPER_SMALL, 64, PAPER_A100, 212.53, 304.82, 64782.11, 0.17, 0.26, 0.06, 0.01,
                 0.51, 65944.32, 65944, 10.3, 0},
                {PAPER_SMALL, 128, PAPER_A100, 247.72, 327.20, 81055.16, 0.28, 0.46, 0.06, 0.02,
                 0.81, 82045.00, 82045, 12.8, 0},
                {PAPER_SMALL, 1, PAPER_ORIN, 16.70, 55.26, 923.04, 0.15, 0.30, 0.09, 0.01, 0.55,
                 927.51, 927, 0.0, PAPER_OPT},
                {PAPER_SMALL, 8, PAPER_ORIN, 28.10, 200.75, 5641.15, 0.22, 0.40, 0.10, 0.01, 0.73,
                 5665.54, 5665, 0.0, PAPER_OPT | PAPER_FORWARD},
                {PAPER_SMALL, 16, PAPER_ORIN, 35.80, 198.32, 7099.35, 0.36, 0.63, 0.15, 0.01, 1.15,
                 7112.45, 7112, 0.0, 0},
                {PAPER_SMALL, 32, PAPER_ORIN, 38.84, 196.53, 7633.56, 0.66, 1.16, 0.32, 0.01, 2.15,
                 7713.02, 7713, 0.0, 0},
                {PAPER_SMALL, 64, PAPER_ORIN, 38.82, 203.57, 7903.25, 1.28, 2.22, 0.64, 0.01, 4.15,
                 7992.08, 8040, 0.0, 0},
                {PAPER_SMALL, 128, PAPER_ORIN, 41.08, 195.73, 8040.93, 2.60, 4.34, 1.21, 0.01, 8.15,
                 8046.96, 8094, 0.0, PAPER_BACKWARD},
                {PAPER_BASE, 1, PAPER_A100, 85.63, 13.00, 1113.37, 0.14, 0.23, 0.08, 0.01, 0.46,
                 1134.51, 1134, 0.0, 0},
                {PAPER_BASE, 8, PAPER_A100, 135.57, 63.77, 8645.35, 0.14, 0.23, 0.09, 0.01, 0.47,
                 8805.38, 8805, 0.0, 0},
                {PAPER_BASE, 16, PAPER_A100, 159.09, 94.55, 15041.23, 0.17, 0.27, 0.09, 0.02, 0.54,
                 15380.06, 15380, 0.0, 0},
                {PAPER_BASE, 32, PAPER_A100, 223.55, 99.28, 22194.39, 0.24, 0.38, 0.10, 0.01, 0.74,
                 22427.21, 22427, 11.1, PAPER_FORWARD},
                {PAPER_BASE, 64, PAPER_A100, 260.68, 100.08, 26088.77, 0.40, 0.65, 0.19, 0.01, 1.26,
                 26250.25, 26250, 13.0, PAPER_BACKWARD},
                {PAPER_BASE, 1, PAPER_ORIN, 24.86, 25.23, 627.45, 0.22, 0.45, 0.14, 0.01, 0.82,
                 631.08, 631, 0.0, 0},
                {PAPER_BASE, 8, PAPER_ORIN, 31.30, 74.21, 2322.81, 0.51, 0.95, 0.30, 0.01, 1.76,
                 2339.49, 2339, 0.0, PAPER_FORWARD},
                {PAPER_BASE, 16, PAPER_ORIN, 38.59, 66.51, 2566.63, 0.93, 1.69, 0.57, 0.01, 3.19,
                 2590.44, 2591, 0.0, 0},
                {PAPER_BASE, 32, PAPER_ORIN, 38.54, 69.84, 2691.45, 1.81, 3.19, 1.09, 0.01, 6.09,
                 2692.26, 2692, 0.0, 0},
                {PAPER_LARGE, 1, PAPER_A100, 91.61, 6.06, 554.97, 0.27, 0.46, 0.18, 0.02, 0.92,
                 562.20, 562, 0.0, 0},
                {PAPER_LARGE, 8, PAPER_A100, 173.43, 24.24, 4204.11, 0.29, 0.49, 0.18, 0.02, 0.97,
                 4260.38, 4260, 0.0, 0},
                {PAPER_LARGE, 16, PAPER_A100, 196.90, 33.76, 6647.37, 0.40, 0.62, 0.20, 0.02, 1.23,
                 6728.79, 6728, 10.5, PAPER_BACKWARD | PAPER_FORWARD},
                {PAPER_LARGE, 1, PAPER_ORIN, 26.10, 11.24, 293.38, 0.43, 1.03, 0.27, 0.01, 1.75,
                 298.91, 298, 0.0, 0},
                {PAPER_LARGE, 8, PAPER_ORIN, 41.46, 20.36, 844.18, 1.31, 2.62, 0.92, 0.01, 4.85,
                 850.43, 853, 0.0, 0},
                {PAPER_XL, 1, PAPER_A100, 128.21, 4.31, 552.00, 0.27, 0.48, 0.17, 0.02, 0.93,
                 560.07, 560, 0.0, 0},
            },
        /* clang-format on */
        /* model, optimizer, scenario | Table 3: learning rate, weight decay, beta2 | figure 5: ROUGE-1,
     * point of overfitting */
        .optimizer =
            {
                {PAPER_SMALL, "FedAvg", "fedavg", "", "", "", 42.20, 0},
                {PAPER_SMALL, "FedAvgM", "fedavgm", "0.01", "0.001", "", 43.22, 0},
                {PAPER_SMALL, "FedAdam", "fedadam", "0.0005", "0.001", "0.999", 43.82, 0},
                {PAPER_SMALL, "FedAdamW", "fedadamw", "0.0005", "0.001", "0.999", 44.09, 845},
                {PAPER_BASE, "FedAvg", "fedavg", "", "", "", 46.64, 0},
                {PAPER_BASE, "FedAvgM", "fedavgm-base", "0.001", "0.001", "", 46.75, 0},
                {PAPER_BASE, "FedAdam", "fedadam", "0.0005", "0.001", "0.999", 47.03, 847},
                {PAPER_BASE, "FedAdamW", "fedadamw", "0.0005", "0.001", "0.999", 47.02, 856},
                {PAPER_LARGE, "FedAvg", "fedavg", "", "", "", 49.11, 0},
                {PAPER_LARGE, "FedAvgM", "fedavgm", "0.01", "0.001", "", 49.32, 0},
                {PAPER_LARGE, "FedAdam", "fedadam", "0.0005", "0.001", "0.999", 49.34, 0},
                {PAPER_LARGE, "FedAdamW", "fedadamw", "0.0005", "0.001", "0.999", 49.76, 2985},
            },
        .pearson = {88.42, 89.31, 90.18},
        .hours = {3.33, 8.33},
        .job_kwh = {1.3, 0.5},
        .lora_gain = 110,
        .samples = 60000,
        .faster = 8,
        .validated = 200,
};

const struct paper_tables *paper_tables(void)
{
    return &TABLES;
}

const char *paper_model_name(enum paper_model m)
{
    static const char *const names[] = {"small", "base", "large", "xl"};
    return names[m];
}

const char *paper_architecture(enum paper_model m)
{
    static const char *const names[] = {"flan-t5-small", "flan-t5-base", "flan-t5-large",
                                        "flan-t5-xl"};
    return names[m];
}

const char *paper_device_name(enum paper_device d)
{
    return d == PAPER_A100 ? "A100" : "Orin";
}

const char *paper_device(enum paper_device d)
{
    return d == PAPER_A100 ? "a100-80gb" : "agx-orin-64gb";
}
