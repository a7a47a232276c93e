/* Figure 1: the devices' data sheets, compute against memory bandwidth. The figure prints no
 * values. */
#include "energy/device.h"
#include "sim/paper_parts.h"

void paper_figure1(struct paper *p)
{
    struct sheet *s = paper_sheet(
        p, "figure1", "Figure 1, devices by data sheet (the figure prints no values to compare)",
        "<device|FP32 TFLOP/s|GB/s|FLOP/byte|memory GB|TDP W|<measured by the study");
    for (size_t i = 0; i < device_count(); i++) {
        const struct device *d = device_at(i);
        sheet_row(s, "%s|%.4g|%.5g|%.1f|%.0f|%.0f|%s", d->name, d->roof.flop_per_s / 1e12,
                  d->roof.bytes_per_s / 1e9, roofline_ridge_flop_per_byte(&d->roof),
                  d->memory_bytes / 1e9, d->tdp_w, d->n_measures ? "yes, Tables 2 and 4" : "no");
    }
    sheet_note(s, "FLOP/byte: below it a kernel is limited by memory, above it by arithmetic (FP32 "
                  "without tensor "
                  "cores). The study's 7.8 TB/s of an H100 NVL is a pair of GPUs; each has 3.9. "
                  "Sources, seen: read in a public copy; from memory: "
                  "not confirmed.");
    for (size_t i = 0; i < device_count(); i++)
        sheet_note(s, "%s: %s", device_at(i)->name, device_at(i)->source);
}
