/* models/cpu_one.h: attention of one query with all heads of its keys and values, those of decoding, for the CPU
 * backend. Only models/cpu*.c include it.
 *
 * Whole rows of keys and values, all heads of them, are read once each, in order, while later ones are fetched: they
 * come from memory, and what else is done with them takes less time than that. */
#ifndef MODELS_CPU_ONE_H
#define MODELS_CPU_ONE_H

#include <stdbool.h>
#include <stddef.h>

/* s [heads, n] at stride ld_s: s[h][j] = sum over i of q[h][i] k[j][h][i]. q [heads, d] float32; k [n, heads, d],
 * float32 or bfloat16, its rows at stride ld. */
void cpu_one_scores(bool is_bf16, float *s, size_t ld_s, const float *q, const void *k, size_t ld, int n, int heads,
                    int d);

/* out [heads, d]: out[h][i] = sum over j of s[h][j] v[j][h][i]; v as k. */
void cpu_one_mix(bool is_bf16, float *out, const float *s, size_t ld_s, const void *v, size_t ld, int n, int heads,
                 int d);

#endif
