/* whiten.c - Cholesky of the Gram and the orthogonal decomposition of R W.
 *
 * B comes from the eigenvectors of the smaller of X X^T and X^T X, in f64. When d1 > d2, B is the orthonormal factor of
 * X V (V the eigenvectors of X^T X), and C = B^T X is formed explicitly, so X = B C and B^T B = I hold to rounding even
 * where small singular values lost digits. Source: ROCKET, arXiv 2602.11008, section 3; structured-linear 2.3, 4. */
#include "compress/whiten.h"

#include <math.h>
#include <string.h>

#include "linalg/linalg.h"

void ln__whiten_free(ln__whitened *wh)
{
    ln__free(wh->q);
    ln__free(wh->c);
    ln__free(wh->sigma);
    ln__free(wh->nu);
    ln__free(wh->n2);
    ln__free(wh->in);
    ln__free(wh->out);
    ln__free(wh->elementwise);
    memset(wh, 0, sizeof *wh);
}

static double sum_squares(const double *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += x[i] * x[i];
    return s;
}

static void transpose(double *to, const double *from, int64_t rows, int64_t cols)
{
    for (int64_t r0 = 0; r0 < rows; r0 += 32)
        for (int64_t c0 = 0; c0 < cols; c0 += 32)
            for (int64_t r = r0; r < LN_MIN(r0 + 32, rows); r++)
                for (int64_t c = c0; c < LN_MIN(c0 + 32, cols); c++)
                    to[c * rows + r] = from[r * cols + c];
}

/* b (d1, m): orthonormal basis of X's columns, leading directions first. */
static ln_status basis(double *b, const double *x, int64_t d1, int64_t d2)
{
    ln_status st = LN_OK;
    const int64_t m = LN_MIN(d1, d2);
    double *gram = NULL, *vectors = NULL, *values = NULL;
    LN_TRY(LN_NEW(&gram, m * m));
    LN_TRY(LN_NEW(&vectors, m * m));
    LN_TRY(LN_NEW(&values, m));
    LN_TRY(ln__dsyrk(d1 > d2, m, LN_MAX(d1, d2), 1, x, d2, 0, gram, m));
    LN_TRY(ln__eigh(gram, m, values, vectors));
    if (d1 <= d2) {
        memcpy(b, vectors, (size_t)(d1 * m) * sizeof *b);
    } else {
        LN_TRY(ln__dgemm(false, false, d1, m, m, 1, x, d2, vectors, m, 0, b, m));
        LN_TRY(ln__qr(b, d1, m));
    }
done:
    ln__free(gram);
    ln__free(vectors);
    ln__free(values);
    return st;
}

static void column_norms(double *nu, const double *q, int64_t d1, int64_t m)
{
    memset(nu, 0, (size_t)m * sizeof *nu);
    for (int64_t i = 0; i < d1; i++)
        for (int64_t j = 0; j < m; j++)
            nu[j] += q[i * m + j] * q[i * m + j];
    for (int64_t j = 0; j < m; j++)
        nu[j] = sqrt(nu[j]);
}

/* Room for all, and x = W^T; the weight must be finite. */
static ln_status begin(ln__whitened *wh, double **x, const double *w, const char *what)
{
    ln_status st = LN_OK;
    const int64_t d1 = wh->d1, d2 = wh->d2, m = wh->m;
    LN_TRY(LN_NEW(x, d1 * d2));
    LN_TRY(LN_NEW(&wh->q, d1 * m));
    LN_TRY(LN_NEW(&wh->c, m * d2));
    LN_TRY(LN_NEW(&wh->sigma, m));
    LN_TRY(LN_NEW(&wh->nu, m));
    LN_TRY(LN_NEW(&wh->n2, m * m));
    transpose(*x, w, d2, d1);
    wh->w2 = sum_squares(*x, d1 * d2);
    if (!isfinite(wh->w2))
        LN_FAIL(LN_ERR_NUMERIC, "%s: weight[%lld] is not finite", what, (long long)ln__find_nonfinite_f64(w, d1 * d2));
done:
    return st;
}

/* x is in the coordinates of the norm: B into q, C = B^T x, their norms. */
static ln_status decompose(ln__whitened *wh, const double *x)
{
    ln_status st = LN_OK;
    LN_TRY(basis(wh->q, x, wh->d1, wh->d2));
    LN_TRY(ln__dgemm(true, false, wh->m, wh->d2, wh->d1, 1, wh->q, wh->m, x, wh->d2, 0, wh->c, wh->d2));
    wh->x2 = 0;
    for (int64_t i = 0; i < wh->m; i++) {
        const double s2 = sum_squares(wh->c + i * wh->d2, wh->d2);
        wh->sigma[i] = sqrt(s2);
        wh->x2 += s2;
    }
done:
    return st;
}

/* Q is complete. */
static ln_status measure_q(ln__whitened *wh)
{
    column_norms(wh->nu, wh->q, wh->d1, wh->m);
    return ln__dsyrk(true, wh->m, wh->d1, 1, wh->q, wh->m, 0, wh->n2, wh->m);
}

ln_status ln__whiten(ln__whitened *out, const double *w, const double *gram, int64_t d1, int64_t d2, double ridge,
                     const char *what)
{
    ln_status st = LN_OK;
    ln__whitened wh = { .d1 = d1, .d2 = d2, .m = LN_MIN(d1, d2), .ridge = ridge, .plain = !gram };
    double *x = NULL, *r = NULL;
    LN_TRY(begin(&wh, &x, w, what));
    if (gram) {
        LN_TRY(LN_NEW(&r, d1 * d1));
        LN_TRY(ln__cholesky(r, gram, d1, &wh.ridge, what));
        LN_TRY(ln__trmm(false, false, d1, d2, r, x, d2));
    } else {
        wh.ridge = 0;
    }
    LN_TRY(decompose(&wh, x));
    if (gram)
        LN_TRY(ln__trsm(false, false, d1, wh.m, r, wh.q, wh.m));
    LN_TRY(measure_q(&wh));
    *out = wh;
    memset(&wh, 0, sizeof wh);
done:
    ln__free(x);
    ln__free(r);
    ln__whiten_free(&wh);
    return st;
}

/* Row i of x (rows, cols) times scale_i^power, or column j times scale_j^power. */
static void scale_rows(double *x, const double *scale, double power, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; scale && i < rows; i++) {
        const double s = pow(scale[i], power);
        for (int64_t j = 0; j < cols; j++)
            x[i * cols + j] *= s;
    }
}

static ln_status scale_columns(double *x, const double *scale, double power, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    double *s = NULL;
    if (!scale)
        return LN_OK;
    LN_TRY(LN_NEW(&s, cols));
    for (int64_t j = 0; j < cols; j++)
        s[j] = pow(scale[j], power);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            x[i * cols + j] *= s[j];
done:
    ln__free(s);
    return st;
}

ln_status ln__whiten_diagonal(ln__whitened *out_wh, const double *w, const double *in, const double *out, int64_t d1,
                              int64_t d2, const char *what)
{
    ln_status st = LN_OK;
    ln__whitened wh = { .d1 = d1, .d2 = d2, .m = LN_MIN(d1, d2), .plain = !in && !out };
    double *x = NULL;
    LN_TRY(begin(&wh, &x, w, what));
    scale_rows(x, in, 0.5, d1, d2);
    LN_TRY(scale_columns(x, out, 0.5, d1, d2));
    LN_TRY(decompose(&wh, x));
    scale_rows(wh.q, in, -0.5, d1, wh.m);
    LN_TRY(scale_columns(wh.c, out, -0.5, wh.m, d2));
    LN_TRY(measure_q(&wh));
    *out_wh = wh;
    memset(&wh, 0, sizeof wh);
done:
    ln__free(x);
    ln__whiten_free(&wh);
    return st;
}

void ln__whiten_errors(double *whitened2, double *original2, const ln__whitened *wh, const double *dct,
                       const double *ht, double mu, int64_t k, double *n2d)
{
    /* Dc (G + mu I) = H, so <Dc G, Dc> = <H - mu Dc, Dc>: no product with G is needed. */
    double inner = 0, outer = 0;
    if (ln__dgemm(false, false, k, wh->m, wh->m, 1, dct, wh->m, wh->n2, wh->m, 0, n2d, wh->m) != LN_OK) {
        *whitened2 = *original2 = NAN;
        return;
    }
    for (int64_t i = 0; i < k * wh->m; i++) {
        const double right = ht[i] + mu * dct[i];
        inner += dct[i] * right;
        outer += n2d[i] * right;
    }
    *whitened2 = fmax(wh->x2 - inner, 0);
    *original2 = fmax(wh->w2 - outer, 0);
}
