/* sim/base/hash.h: content hash of 128 bits (XXH3 of libxxhash), for cache keys and checksums.
 * Not cryptographic: it guards against damage and mix-ups, not against an adversary. */
#ifndef SIM_BASE_HASH_H
#define SIM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t lo, hi;
};

/* Hash of n bytes. */
struct hash128 hash_bytes(const void *bytes, size_t n);

/* Folds n bytes into an earlier hash: the way to hash several parts, order matters. Start from {0, 0}. */
struct hash128 hash_more(struct hash128 h, const void *bytes, size_t n);

/* 32 lower-case hexadecimal digits and a zero. */
void hash_hex(struct hash128 h, char out[33]);

#endif
