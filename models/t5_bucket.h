/* models/t5_bucket.h: T5's bucket of a relative position; the same in C and CUDA.
 *
 * Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text
 * transformer", 2020, section 2.1, in the exact form of Hugging Face's T5: the first half of the
 * buckets are exact distances, the rest grow logarithmically up to max_distance, everything farther
 * shares the last one. */
#ifndef MODELS_T5_BUCKET_H
#define MODELS_T5_BUCKET_H

#include <math.h>

#ifdef __CUDACC__
#define T5_BUCKET_FN static inline __host__ __device__
#else
#define T5_BUCKET_FN static inline
#endif

/* Bucket 0 .. n_buckets - 1 of the key at distance = key position - query position. Bidirectional:
 * the upper half of the buckets is for keys after the query. Else keys after the query are all
 * bucket 0. n_buckets >= 4 and even when bidirectional, else >= 2; max_distance > n_buckets / 2.
 * The logarithm is taken in double, and values within 1e-9 below a bucket's edge belong to the
 * bucket, so that the edges (16, 32, 64 for 32 buckets and distance 128) do not hang on the last
 * bit of a log. */
T5_BUCKET_FN int t5_bucket(int distance, int is_bidirectional, int n_buckets, int max_distance)
{
    int first = 0;
    if (is_bidirectional) {
        n_buckets /= 2;
        if (distance > 0)
            first = n_buckets;
        else
            distance = -distance;
    } else {
        distance = distance < 0 ? -distance : 0;
    }
    int n_exact = n_buckets / 2;
    if (distance < n_exact)
        return first + distance;
    double share = log((double)distance / n_exact) / log((double)max_distance / n_exact);
    double bucket = n_exact + floor(share * (n_buckets - n_exact) + 1e-9);
    return first + (bucket < n_buckets - 1 ? (int)bucket : n_buckets - 1);
}

#endif
