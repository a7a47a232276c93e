#include "sim/base/hash.h"

#include <stdio.h>
#include <xxhash.h>

struct hash128 hash_bytes(const void *bytes, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(bytes, n);
    return (struct hash128){.lo = h.low64, .hi = h.high64};
}

struct hash128 hash_more(struct hash128 h, const void *bytes, size_t n)
{
    struct hash128 part = hash_bytes(bytes, n);
    uint64_t both[5] = {h.lo, h.hi, part.lo, part.hi, n};
    return hash_bytes(both, sizeof(both));
}

void hash_hex(struct hash128 h, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}
