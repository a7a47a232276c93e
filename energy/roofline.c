#include "energy/roofline.h"

#include "sim/base/check.h"

double roofline_step_s(const struct roofline *r, double flop, double bytes)
{
    CHECK(r->flop_per_s > 0 && r->bytes_per_s > 0 && r->efficiency > 0 && r->efficiency <= 1);
    CHECK(flop >= 0 && bytes >= 0);
    double compute_s = flop / r->flop_per_s, memory_s = bytes / r->bytes_per_s;
    return (compute_s > memory_s ? compute_s : memory_s) / r->efficiency + r->overhead_s;
}

double roofline_ridge_flop_per_byte(const struct roofline *r)
{
    CHECK(r->bytes_per_s > 0);
    return r->flop_per_s / r->bytes_per_s;
}
