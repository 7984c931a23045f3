/* rng.h - Philox 4x32-10 (Salmon et al., SC'11): counter-based, so any element can be made by any thread. */
#ifndef LINNET_CORE_RNG_H
#define LINNET_CORE_RNG_H

#include <stdint.h>

/* Four 32-bit words for one (key, counter). */
void ln__philox(uint32_t out[4], uint64_t key, uint64_t counter_hi, uint64_t counter_lo);

/* A stream: `stream` separates uses of one seed. State is three numbers: saving them saves the generator. */
typedef struct ln__rng {
    uint64_t seed, stream, position; /* position counts 32-bit words */
} ln__rng;
ln__rng ln__rng_make(uint64_t seed, uint64_t stream);
uint32_t ln__rng_u32(ln__rng *r);
uint64_t ln__rng_u64(ln__rng *r);
double ln__rng_uniform(ln__rng *r);           /* [0, 1), 53 bits               */
double ln__rng_normal(ln__rng *r);            /* Box-Muller, one value per call */
int64_t ln__rng_below(ln__rng *r, int64_t n); /* unbiased, 0 … n-1              */
void ln__rng_fill_normal_f32(ln__rng *r, float *x, int64_t n, float scale);
void ln__rng_shuffle_i32(ln__rng *r, int32_t *x, int32_t n);
void ln__rng_shuffle_i64(ln__rng *r, int64_t *x, int64_t n);

#endif
