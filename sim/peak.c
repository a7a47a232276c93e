#include "sim/peak.h"

#include <stdio.h>
#include <string.h>

#include "models/bench_train.h"
#include "sim/base/text.h"

#define TFLOP 1e12
#define MEASURE_S 0.5

/* Dense rates, float32 without tensor cores; the first whose words are in the device's name. */
static const struct sheet {
    const char *words;
    double bf16_tflop, fp32_tflop;
} SHEETS[] = {
    {"H200", 989, 67},       {"GH200", 989, 67},     {"H100 PCIe", 756, 51}, {"H100 NVL", 835, 60},
    {"H100", 989, 67},       {"A100", 312, 19.5},    {"Orin", 42.5, 5.3},
};

static const struct sheet *sheet_of(const char *about)
{
    for (size_t i = 0; i < sizeof(SHEETS) / sizeof(SHEETS[0]); i++)
        if (strstr(about, SHEETS[i].words))
            return &SHEETS[i];
    return NULL;
}

enum err_code peak_find(struct peak *out, const char *stated, const struct backend_ops *ops,
                        const char *about, int n_threads, struct err *e)
{
    bool is_bf16 = strcmp(ops->precision, "bf16") == 0;
    const struct sheet *sheet = ops->is_host ? NULL : sheet_of(about);
    if (stated) {
        snprintf(out->source, sizeof(out->source), "stated");
        return text_quantity(stated, UNIT_FLOP_PER_S, 1e6, 1e18, &out->flop_per_s, e);
    }
    if (sheet) {
        out->flop_per_s = TFLOP * (is_bf16 ? sheet->bf16_tflop : sheet->fp32_tflop);
        snprintf(out->source, sizeof(out->source), "%s data sheet, dense %s", sheet->words,
                 ops->precision);
        return OK;
    }
    snprintf(out->source, sizeof(out->source), "the best large product measured here, %s",
             ops->precision);
    return bench_product(ops, n_threads, MEASURE_S, &out->flop_per_s, e);
}
