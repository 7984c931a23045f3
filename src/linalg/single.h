/* single.h - BLAS calls of other rooms, on one thread: for blocks that our own parallel regions share out. */
#ifndef LINNET_LINALG_SINGLE_H
#define LINNET_LINALG_SINGLE_H

#include <cblas.h>
#include <omp.h>

#undef I /* <complex.h>, which cblas.h pulls in, takes the letter of the inputs; the standard lets us have it back */

/* OpenBLAS (OpenMP build) takes omp_get_max_threads() threads unless it is called inside a parallel region. How it cuts
 * a product depends on that number, and with it the last bits. So the calling thread's own setting, which belongs to
 * nobody else, is lowered to 1 around every call and put back: ln__blas_many(ln__blas_one()). */
static inline int ln__blas_one(void)
{
    const int before = omp_get_max_threads();
    if (before != 1)
        omp_set_num_threads(1);
    return before;
}

static inline void ln__blas_many(int before)
{
    if (before != 1)
        omp_set_num_threads(before);
}

#endif
