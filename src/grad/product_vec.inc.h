/* product_vec.inc.h - both types and the table for one LEVEL. No include guard: one file of each level includes it. */
#include <string.h>

#include "grad/product_vec.h"

#define REAL float
#define TYPE f32
#include "grad/product_vec_tmpl.c"
#undef REAL
#undef TYPE
#define REAL double
#define TYPE f64
#include "grad/product_vec_tmpl.c"
#undef REAL
#undef TYPE

#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        LN__JOIN3(name, f32, LEVEL), LN__JOIN3(name, f64, LEVEL)                                                       \
    }
const ln__product_loops VEC_TABLE(ln__product) = { .axpy = BOTH(axpy), .dot = BOTH(dot), .hadamard = BOTH(hadamard) };
