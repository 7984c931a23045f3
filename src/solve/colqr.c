/* colqr.c - Gram-Schmidt, always twice: after one pass a nearly dependent column keeps rounding errors of the size of
 * its condition, which normalising would blow up to a direction of its own. */
#include "solve/colqr.h"

#include <math.h>
#include <string.h>

enum { TWICE = 2 };
#define DEPENDENT 1e-8

ln_status ln__colqr_new(ln__colqr *c, int64_t n, int64_t cap)
{
    ln_status st = LN_OK;
    *c = (ln__colqr){ .n = n, .cap = cap };
    LN_TRY(ln__alloc((void **)&c->q, (size_t)cap, (size_t)n * sizeof(double)));
    LN_TRY(ln__calloc((void **)&c->r, (size_t)cap, (size_t)cap * sizeof(double)));
    LN_TRY(LN_NEW(&c->b, cap));
    LN_TRY(LN_NEW(&c->work, n));
done:
    if (st != LN_OK)
        ln__colqr_free(c);
    return st;
}

void ln__colqr_free(ln__colqr *c)
{
    ln__free(c->q);
    ln__free(c->r);
    ln__free(c->b);
    ln__free(c->work);
    *c = (ln__colqr){ 0 };
}

void ln__colqr_reset(ln__colqr *c)
{
    c->k = 0;
}

bool ln__colqr_add(ln__colqr *c, const double *x, const double *y, double tol)
{
    const int64_t n = c->n, k = c->k;
    const double size = sqrt(ln__dot(x, x, n));
    double *v = c->work;
    if (k >= c->cap || k >= n || size == 0)
        return false;
    memcpy(v, x, (size_t)n * sizeof *v);
    for (int64_t i = 0; i < k; i++)
        c->r[i * c->cap + k] = 0;
    for (int pass = 0; pass < TWICE; pass++)
        for (int64_t i = 0; i < k; i++) {
            const double along = ln__dot(c->q + i * n, v, n);
            c->r[i * c->cap + k] += along;
            ln__axpy(v, -along, c->q + i * n, n);
        }
    const double new = sqrt(ln__dot(v, v, n));
    if (!(new > tol *size))
        return false;
    for (int64_t i = 0; i < n; i++)
        c->q[k * n + i] = v[i] / new;
    c->r[k * c->cap + k] = new;
    c->b[k] = y ? ln__dot(c->q + k * n, y, n) : 0;
    c->k++;
    return true;
}

void ln__colqr_solve(double *w, const ln__colqr *c, int64_t k)
{
    for (int64_t i = k - 1; i >= 0; i--) {
        double s = c->b[i];
        for (int64_t j = i + 1; j < k; j++)
            s -= c->r[i * c->cap + j] * w[j];
        w[i] = s / c->r[i * c->cap + i];
    }
}

void ln__colqr_fit(double *w, ln__colqr *c, const ln__design *X, const int64_t *index, int64_t k)
{
    memset(w, 0, (size_t)X->d * sizeof *w);
    ln__colqr_reset(c);
    for (int64_t i = 0; i < k; i++)
        if (ln__colqr_add(c, X->x + index[i] * X->n, X->y, DEPENDENT))
            w[index[i]] = 1;  /* taken */
    double *solved = c->work; /* k <= n */
    ln__colqr_solve(solved, c, c->k);
    for (int64_t i = 0, t = 0; i < k; i++)
        if (w[index[i]] != 0)
            w[index[i]] = solved[t++];
}
