/* fft_vec.inc.h - both types and the table for one LEVEL. No include guard: one file of each level includes it. */
#include "linalg/fft_vec.h"

#define R(c) ((REAL)(c))
#define REAL float
#define TYPE f32
#include "linalg/fft_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "linalg/fft_vec_tmpl.c"
#undef REAL
#undef TYPE

#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        VEC_AS(name, f32), VEC_AS(name, f64)                                                                           \
    }
#define PASSES(type)                                                                                                   \
    {                                                                                                                  \
        NULL, NULL, VEC_AS(pass2, type), VEC_AS(pass3, type), VEC_AS(pass4, type), VEC_AS(pass5, type)                 \
    }
const ln__fft_passes VEC_TABLE(ln__fft) = { .pass = { PASSES(f32), PASSES(f64) },
                                            .split = BOTH(split),
                                            .join = BOTH(join),
                                            .unravel = BOTH(unravel),
                                            .ravel = BOTH(ravel) };
