/* fft_tmpl.c - included by fft.c twice, with REAL = float and REAL = double: transforms from finished plans. */

/* The passes of a length that 2, 3 and 5 divide; the result comes back in (re, im). work: 2 n lanes. */
static void NAME(passes)(const ln__fft *f, REAL *re, REAL *im, int64_t lanes, REAL *work)
{
    const ln__fft_passes *const table = LN__LEVELS(ln__fft);
    const size_t size = (size_t)f->n * (size_t)lanes;
    REAL *xr = re, *xi = im, *yr = work, *yi = work + size;
    int64_t s = lanes;
    for (int i = 0; i < f->stages; i++) {
        const stage *const g = &f->stage[i];
        table->pass[IS_F64][g->radix](yr, yi, xr, xi, (const REAL *)f->twiddles + g->at, g->m, s);
        REAL *const tr = xr, *const ti = xi;
        xr = yr;
        xi = yi;
        yr = tr;
        yi = ti;
        s *= g->radix;
    }
    if (xr != re) {
        memcpy(re, xr, size * sizeof *re);
        memcpy(im, xi, size * sizeof *im);
    }
}

/* Element by element times c_j: x_j c_j -> y_j, j < n, scaled. */
static void NAME(chirp)(const ln__fft *f, REAL *yr, REAL *yi, const REAL *xr, const REAL *xi, int64_t lanes)
{
    const REAL *const cr = f->chirp, *const ci = cr + f->n;
    for (int64_t j = 0; j < f->n; j++)
        for (int64_t q = 0; q < lanes; q++) {
            const REAL r = xr[j * lanes + q], i = xi[j * lanes + q];
            yr[j * lanes + q] = r * cr[j] - i * ci[j];
            yi[j * lanes + q] = r * ci[j] + i * cr[j];
        }
}

/* Bluestein: jk = (j^2 + k^2 - (k-j)^2) / 2 makes the transform a convolution with exp(i pi j^2 / n), done with passes
 * of length M >= 2n - 1. work: 4 M lanes. */
static void NAME(bluestein)(const ln__fft *f, REAL *re, REAL *im, int64_t lanes, REAL *work)
{
    const int64_t M = f->inner->n;
    const size_t size = (size_t)M * (size_t)lanes, used = (size_t)f->n * (size_t)lanes;
    REAL *ar = work, *ai = ar + size, *more = ai + size;
    const REAL *const br = (const REAL *)f->chirp + 2 * f->n, *const bi = br + M;
    NAME(chirp)(f, ar, ai, re, im, lanes);
    memset(ar + used, 0, (size - used) * sizeof *ar);
    memset(ai + used, 0, (size - used) * sizeof *ai);
    NAME(passes)(f->inner, ar, ai, lanes, more);
    for (int64_t j = 0; j < M; j++)
        for (int64_t q = 0; q < lanes; q++) {
            const REAL r = ar[j * lanes + q], i = ai[j * lanes + q];
            ar[j * lanes + q] = r * br[j] - i * bi[j];
            ai[j * lanes + q] = r * bi[j] + i * br[j];
        }
    NAME(passes)(f->inner, ai, ar, lanes, more); /* real and imaginary part exchanged: the inverse */
    NAME(chirp)(f, re, im, ar, ai, lanes);
}

static void NAME(run)(const ln__fft *f, REAL *re, REAL *im, int64_t lanes, REAL *work)
{
    if (f->chirp)
        NAME(bluestein)(f, re, im, lanes, work);
    else
        NAME(passes)(f, re, im, lanes, work);
}

static void NAME(rfft)(const ln__fft *f, REAL *X, const REAL *x, REAL *work)
{
    const ln__fft_passes *const table = LN__LEVELS(ln__fft);
    const int64_t m = f->inner->n;
    REAL *re = work, *im = re + m, *more = im + m;
    if (f->n % 2 == 0) {
        table->split[IS_F64](re, im, x, m);
        NAME(run)(f->inner, re, im, 1, more);
        table->unravel[IS_F64](X, re, im, f->twiddles, m);
        return;
    }
    memcpy(re, x, (size_t)m * sizeof *re);
    memset(im, 0, (size_t)m * sizeof *im);
    NAME(run)(f->inner, re, im, 1, more);
    table->join[IS_F64](X, re, im, 1, m / 2 + 1);
    X[1] = 0;
}

static void NAME(irfft)(const ln__fft *f, REAL *x, const REAL *X, double scale, REAL *work)
{
    const ln__fft_passes *const table = LN__LEVELS(ln__fft);
    const int64_t m = f->inner->n;
    REAL *re = work, *im = re + m, *more = im + m;
    if (f->n % 2 == 0) {
        table->ravel[IS_F64](re, im, X, f->twiddles, m);
        NAME(run)(f->inner, im, re, 1, more);
        table->join[IS_F64](x, re, im, scale, m);
        return;
    }
    re[0] = X[0];
    im[0] = 0;
    for (int64_t k = 1; k <= m / 2; k++) {
        re[k] = re[m - k] = X[2 * k];
        im[k] = X[2 * k + 1];
        im[m - k] = -X[2 * k + 1];
    }
    NAME(run)(f->inner, im, re, 1, more);
    for (int64_t j = 0; j < m; j++)
        x[j] = (REAL)scale * re[j];
}

/* Makhoul's order v: the even entries, then the odd ones backwards (IEEE Trans. ASSP 28, 1980). With V its transform
 * and u_k = exp(-i pi k / 2n) V_k: the cosine transform is Re u_k at k and -Im u_k at n - k. */
static void NAME(dct)(const ln__fft *f, int type, REAL *y, const REAL *x, REAL *work)
{
    const int64_t n = f->n, half = n / 2;
    const REAL *const wr = f->twiddles, *const wi = wr + half + 1;
    const REAL first = (REAL)sqrt(1 / (double)n), other = (REAL)sqrt(2 / (double)n);
    REAL *v = work, *V = v + n, *more = V + n + 2;
    if (type == 2) {
        for (int64_t j = 0; 2 * j < n; j++)
            v[j] = x[2 * j];
        for (int64_t j = 0; j < half; j++)
            v[n - 1 - j] = x[2 * j + 1];
        NAME(rfft)(f->inner, V, v, more);
        y[0] = first * V[0];
        for (int64_t k = 1; k <= half; k++) {
            y[n - k] = -other * (V[2 * k] * wi[k] + V[2 * k + 1] * wr[k]);
            y[k] = other * (V[2 * k] * wr[k] - V[2 * k + 1] * wi[k]);
        }
        return;
    }
    const REAL back_first = (REAL)sqrt((double)n), back_other = (REAL)sqrt((double)n / 2);
    V[0] = back_first * x[0];
    V[1] = 0;
    for (int64_t k = 1; k <= half; k++) {
        const REAL ur = back_other * x[k], ui = -back_other * x[n - k];
        V[2 * k] = wr[k] * ur + wi[k] * ui;
        V[2 * k + 1] = wr[k] * ui - wi[k] * ur;
    }
    NAME(irfft)(f->inner, v, V, 1 / (double)n, more);
    for (int64_t j = 0; 2 * j < n; j++)
        y[2 * j] = v[j];
    for (int64_t j = 0; j < half; j++)
        y[2 * j + 1] = v[n - 1 - j];
}
