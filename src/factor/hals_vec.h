/* hals_vec.h - the HALS step on a tile of 32 rows at one CPU level (core/level.h). */
#ifndef LINNET_FACTOR_HALS_VEC_H
#define LINNET_FACTOR_HALS_VEC_H

#include "core/level.h"

enum { LN__HALS_TILE = 32 };

/* w and p (rank, 32): the tile, transposed. g (rank, rank). */
typedef struct ln__hals_loops {
    void (*tile)(double *w, const double *p, const double *g, int64_t rank, int sweeps, double floor);
} ln__hals_loops;

extern const ln__hals_loops ln__hals_ref, ln__hals_avx2, ln__hals_avx512;

#endif
