/* fft_vec.h - the passes of a Fourier transform at one CPU level (core/level.h). */
#ifndef LINNET_LINALG_FFT_VEC_H
#define LINNET_LINALG_FFT_VEC_H

#include "core/level.h"

/* One pass of radix r over lines of s: y[q + s (r p + k)] = w_p^k sum_j x[q + s (p + m j)] exp(-2 pi i j k / r), p < m.
 * w: for each k in 1 … r-1 the m real parts, then the m imaginary parts. x and y do not overlap. */
typedef void (*ln__fft_pass_fn)(void *yr, void *yi, const void *xr, const void *xi, const void *w, int64_t m,
                                int64_t s);

typedef struct ln__fft_passes {
    ln__fft_pass_fn pass[2][6]; /* f32, f64; by radix: 2, 3, 4, 5 */
    /* n pairs to two arrays and back, the latter times `scale`. */
    void (*split[2])(void *re, void *im, const void *pairs, int64_t n);
    void (*join[2])(void *pairs, const void *re, const void *im, double scale, int64_t n);
    /* Between the spectrum Z (m) of x_2k + i x_(2k+1) and the half spectrum X (m+1 pairs) of x (2m); w: exp(-2 pi i k /
     * 2m), m+1 real parts and then the imaginary parts. */
    void (*unravel[2])(void *X, const void *zr, const void *zi, const void *w, int64_t m);
    void (*ravel[2])(void *zr, void *zi, const void *X, const void *w, int64_t m);
} ln__fft_passes;

extern const ln__fft_passes ln__fft_ref, ln__fft_avx2, ln__fft_avx512;

#endif
