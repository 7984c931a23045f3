/* fft.h - discrete Fourier transforms of any length, f32 and f64, from plans that are made once per length and shared.
 *
 * Forward is sum x_j exp(-2 pi i j k / n); neither direction is normalised but where a scale is given. */
#ifndef LINNET_LINALG_FFT_H
#define LINNET_LINALG_FFT_H

#include "core/core.h"

typedef struct ln__fft ln__fft;

typedef enum ln__fft_kind { LN__FFT_COMPLEX = 0, LN__FFT_REAL = 1, LN__FFT_COSINE = 2 } ln__fft_kind;

/* The plan for transforms of length n >= 1, from the cache or new. Each get needs one put. Thread-safe. LN_ERR_SHAPE
 * when n is too large to plan. */
ln_status ln__fft_get(const ln__fft **out, int64_t n, ln__fft_kind kind, bool f64);
void ln__fft_put(const ln__fft *f);
/* Plans that nobody holds go. */
void ln__fft_trim(void);
/* The least 2^a 3^b 5^c >= n that is even (1 for n <= 1). */
int64_t ln__fft_good_size(int64_t n);

/* Bytes of work that a transform needs (lanes is 1 but for complex ones). */
size_t ln__fft_work(const ln__fft *f, int64_t lanes);
/* `lanes` complex transforms side by side, in place: element k of lane q at re[k lanes + q], im[k lanes + q]. */
void ln__fft_run(const ln__fft *f, bool inverse, void *re, void *im, int64_t lanes, void *work);
/* X (n/2+1 pairs) = the transform of the real x (n). */
void ln__rfft_run(const ln__fft *f, void *X, const void *x, void *work);
/* x (n) = scale times the real inverse of X; the imaginary parts of X_0 (and X_(n/2), n even) are ignored. */
void ln__irfft_run(const ln__fft *f, void *x, const void *X, double scale, void *work);
/* y (n) = the orthonormal cosine transform of x (n), type 2 or 3: each is the inverse and the transpose of the other.
 */
void ln__dct_run(const ln__fft *f, int type, void *y, const void *x, void *work);
/* exp(-2 pi i j / n), 0 <= j < n, to the last bit or so: only angles up to pi/4 are ever passed to sin and cos. */
void ln__fft_root(int64_t j, int64_t n, double *re, double *im);

#endif
