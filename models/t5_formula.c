#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "models/t5.h"
#include "sim/base/check.h"

/* SHA-256 (FIPS 180-4) of one short text: names of tensors need no more than three blocks. */

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

/* The first 32 bits of the fractional parts of the square (root 2) or cube roots of the first
 * primes, by whole-number search, so that no table needs to be trusted: floor(p^(1/root) * 2^32)
 * mod 2^32. */
static uint32_t root_bits(unsigned prime, int root)
{
    long double x = root == 2 ? sqrtl((long double)prime) : cbrtl((long double)prime);
    return (uint32_t)(uint64_t)floorl((x - floorl(x)) * 4294967296.0L);
}

static bool is_prime(unsigned n)
{
    for (unsigned i = 2; i * i <= n; i++) {
        if (n % i == 0)
            return false;
    }
    return n > 1;
}

static void sha256_block(uint32_t h[8], const uint32_t k[64], const unsigned char *block)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof(s));
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof(*s));
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}

/* The first 8 bytes of sha256(text), little endian. */
static uint64_t key_of(const char *text)
{
    unsigned char block[256] = {0};
    uint32_t h[8], k[64];
    size_t n = strlen(text), n_blocks = (n + 9 + 63) / 64;
    CHECK(64 * n_blocks <= sizeof(block));
    for (unsigned p = 2, i = 0; i < 64; p++) {
        if (!is_prime(p))
            continue;
        if (i < 8)
            h[i] = root_bits(p, 2);
        k[i++] = root_bits(p, 3);
    }
    memcpy(block, text, n);
    block[n] = 0x80;
    for (int i = 0; i < 8; i++)
        block[64 * n_blocks - 1 - (size_t)i] = (unsigned char)((uint64_t)n * 8 >> (8 * i));
    for (size_t b = 0; b < n_blocks; b++)
        sha256_block(h, k, block + 64 * b);
    uint64_t key = 0;
    for (int i = 7; i >= 0; i--)
        key = key << 8 | (h[i / 4] >> (24 - 8 * (i % 4)) & 0xffu);
    return key;
}

static uint64_t splitmix64(uint64_t x)
{
    uint64_t z = x + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void t5_formula(const char *name, double std, double offset, size_t n, float *out)
{
    uint64_t key = key_of(name);
    for (size_t i = 0; i < n; i++) {
        double u = (double)(splitmix64(i + key) >> 40) / 16777216.0;
        /* rounded before the offset is added, as the vectors' script does in float32 */
        out[i] = (float)(std * sqrt(3.0) * (2 * u - 1)) + (float)offset;
    }
}
