/* design.c - centring, scaling and the products that every regression needs.
 *
 * Means are subtracted before norms are taken (two passes), so that a column of large mean keeps its digits. A column
 * whose centred norm is below 1e-14 of its raw norm is constant up to rounding: it becomes zero. */
#include "solve/design.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/single.h"

#include "linalg/linalg.h"

#define CONSTANT 1e-14

double ln__dot(const double *a, const double *b, int64_t n)
{
    double s = 0;
    const int before = ln__blas_one();
    for (int64_t i = 0; i < n; i += 1 << 20)
        s += cblas_ddot((int)LN_MIN(n - i, 1 << 20), a + i, 1, b + i, 1);
    ln__blas_many(before);
    return s;
}

void ln__axpy(double *y, double a, const double *x, int64_t n)
{
    const int before = ln__blas_one();
    for (int64_t i = 0; i < n; i += 1 << 20)
        cblas_daxpy((int)LN_MIN(n - i, 1 << 20), a, x + i, 1, y + i, 1);
    ln__blas_many(before);
}

typedef struct columns {
    ln__design *X;
    const double *x;
    int64_t ldx;
    const int64_t *rows;
    bool intercept, standardize;
} columns;

static void take_columns(void *ctx, int64_t begin, int64_t end)
{
    const columns *c = ctx;
    ln__design *X = c->X;
    const int64_t n = X->n;
    for (int64_t j = begin; j < end; j++) {
        double *to = X->x + j * n, sum = 0;
        for (int64_t i = 0; i < n; i++) {
            to[i] = c->x[(c->rows ? c->rows[i] : i) * c->ldx + j];
            sum += to[i];
        }
        const double raw = ln__dot(to, to, n), mean = c->intercept ? sum / (double)n : 0;
        for (int64_t i = 0; i < n; i++)
            to[i] -= mean;
        double square = ln__dot(to, to, n);
        X->mean[j] = mean;
        X->scale[j] = 1;
        if (square <= CONSTANT * CONSTANT * raw) {
            memset(to, 0, (size_t)n * sizeof *to);
            square = 0;
        } else if (c->standardize) {
            X->scale[j] = sqrt(square / (double)n);
            for (int64_t i = 0; i < n; i++)
                to[i] /= X->scale[j];
            square = ln__dot(to, to, n);
        }
        X->square[j] = square;
    }
}

ln_status ln__design_make(ln__design *out, const double *x, int64_t ldx, const double *y, const int64_t *rows,
                          int64_t n, int64_t d, bool intercept, bool standardize)
{
    ln_status st = LN_OK;
    ln__design X = { .n = n, .d = d };
    LN_TRY(ln__alloc((void **)&X.x, (size_t)d, (size_t)n * sizeof(double)));
    LN_TRY(LN_NEW(&X.y, n));
    LN_TRY(LN_NEW(&X.mean, d));
    LN_TRY(LN_NEW(&X.scale, d));
    LN_TRY(LN_NEW(&X.square, d));
    columns c = { &X, x, ldx, rows, intercept, standardize };
    ln__parallel_for(d, LN_MAX((1 << 16) / LN_MAX(n, 1), 1), take_columns, &c);
    for (int64_t i = 0; i < n; i++) {
        X.y[i] = y[rows ? rows[i] : i];
        X.y_mean += X.y[i] / (double)n;
    }
    if (!intercept)
        X.y_mean = 0;
    for (int64_t i = 0; i < n; i++)
        X.y[i] -= X.y_mean;
    X.yy = ln__dot(X.y, X.y, n);
    if (!isfinite(X.yy) || ln__find_nonfinite_f64(X.square, d) >= 0)
        LN_FAIL(LN_ERR_NUMERIC, "regress: the squares of the values overflow");
    *out = X;
    X = (ln__design){ 0 };
done:
    ln__design_free(&X);
    return st;
}

void ln__design_free(ln__design *X)
{
    ln__free(X->x);
    ln__free(X->y);
    ln__free(X->mean);
    ln__free(X->scale);
    ln__free(X->square);
    *X = (ln__design){ 0 };
}

void ln__design_unscale(double *coef, double *intercept, const ln__design *X, const double *w)
{
    double shift = 0;
    for (int64_t j = 0; j < X->d; j++) {
        coef[j] = w[j] / X->scale[j];
        shift += coef[j] * X->mean[j];
    }
    *intercept = X->y_mean - shift;
}

void ln__design_residual(double *r, const ln__design *X, const double *w)
{
    memcpy(r, X->y, (size_t)X->n * sizeof *r);
    for (int64_t j = 0; j < X->d; j++)
        if (w[j] != 0)
            ln__axpy(r, -w[j], X->x + j * X->n, X->n);
}

ln_status ln__design_correlate(double *g, const ln__design *X, const double *r)
{
    return ln__dgemv(false, X->d, X->n, 1, X->x, X->n, r, 0, g);
}

int ln__by_size(const void *x, const void *y)
{
    const ln__ranked *a = x, *b = y;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return a->j < b->j ? -1 : a->j > b->j;
}
