/* fwsvd_refine.c - alternating weighted least squares on all weights of a layer, sum f_oi (W - lr2 lr1)_oi^2.
 *
 * With one factor fixed, every row of the other is a problem of its own: for row o of lr2, with E the residual,
 * (H + lambda I) d = lr1 (f_o * E_o), H = lr1 diag(f_o) lr1^T, and lr2_o += d; columns of lr1 likewise. The ridge,
 * 1e-8 tr(H) / k, holds the step short instead of pulling the solution to zero, so the error cannot rise; a step that
 * rounding makes worse is not taken. Source: weighted low-rank approximation, Srebro and Jaakkola, ICML 2003. */
#include "compress/fwsvd_layer.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/linalg.h"

enum { ROWS_AT_ONCE = 16, REBALANCE = 10 };

/* n independent rows x (n, k): row r fits e (n, len) with weights f (n, len) over the basis b (k, len). */
typedef struct half {
    double *x;
    const double *basis, *e, *f;
    int64_t n, k, len;
    int failed; /* atomic */
} half;

typedef struct row_work {
    double *scaled, *h, *step, *fe, *change;
} row_work;

static void row_work_free(row_work *w)
{
    ln__free(w->scaled);
    ln__free(w->h);
    ln__free(w->step);
    ln__free(w->fe);
    ln__free(w->change);
}

static ln_status row_work_new(row_work *w, int64_t k, int64_t len)
{
    ln_status st = LN_OK;
    LN_TRY(LN_NEW(&w->scaled, k * len));
    LN_TRY(LN_NEW(&w->h, k * k));
    LN_TRY(LN_NEW(&w->step, k));
    LN_TRY(LN_NEW(&w->fe, len));
    LN_TRY(LN_NEW(&w->change, len));
done:
    return st;
}

/* What the row's error becomes when `change` is taken from its residual, less what it is. */
static double gained(const double *f, const double *e, const double *change, int64_t len)
{
    double sum = 0;
    for (int64_t j = 0; j < len; j++)
        sum += f[j] * change[j] * (change[j] - 2 * e[j]);
    return sum;
}

static ln_status solve_row(half *s, row_work *w, int64_t r)
{
    ln_status st = LN_OK;
    const int64_t k = s->k, len = s->len;
    const double *f = s->f + r * len, *e = s->e + r * len;
    double trace = 0;
    for (int64_t j = 0; j < len; j++) {
        w->fe[j] = f[j] * e[j];
        w->change[j] = sqrt(f[j]);
    }
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < len; j++)
            w->scaled[i * len + j] = s->basis[i * len + j] * w->change[j];
    LN_TRY(ln__dsyrk(false, k, len, 1, w->scaled, len, 0, w->h, k));
    LN_TRY(ln__dgemv(false, k, len, 1, s->basis, len, w->fe, 0, w->step));
    for (int64_t i = 0; i < k; i++)
        trace += w->h[i * k + i];
    if (!(trace > 0))
        goto done;
    for (int64_t i = 0; i < k; i++)
        w->h[i * k + i] += 1e-8 * trace / (double)k;
    LN_TRY(ln__spd_solve(w->h, k, w->step, 1));
    LN_TRY(ln__dgemv(true, k, len, 1, s->basis, len, w->step, 0, w->change));
    if (gained(f, e, w->change, len) < 0)
        for (int64_t i = 0; i < k; i++)
            s->x[r * k + i] += w->step[i];
done:
    return st;
}

static void solve_rows(void *ctx, int64_t first, int64_t last)
{
    half *s = ctx;
    row_work w = { 0 };
    ln_status st = row_work_new(&w, s->k, s->len);
    for (int64_t r = first; r < last && st == LN_OK; r++)
        st = solve_row(s, &w, r);
    row_work_free(&w);
    if (st != LN_OK)
        __atomic_store_n(&s->failed, (int)st, __ATOMIC_RELAXED);
}

static void transpose(double *to, const double *from, int64_t rows, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            to[c * rows + r] = from[r * cols + c];
}

/* Everything in both orientations. */
typedef struct sweep {
    double *e, *et, *ft, *lr1t, *lr2t;
} sweep;

/* e = W - lr2 lr1; returns sum f e^2. */
static ln_status residual(double *sum, double *e, const double *w, const double *lr1, const double *lr2,
                          const double *f, int64_t d1, int64_t d2, int64_t k)
{
    ln_status st = LN_OK;
    memcpy(e, w, (size_t)(d1 * d2) * sizeof *e);
    LN_TRY(ln__dgemm(false, false, d2, d1, k, -1, lr2, k, lr1, d1, 1, e, d1));
    *sum = 0;
    for (int64_t o = 0; o < d2; o++) {
        double row = 0;
        for (int64_t i = 0; i < d1; i++)
            row += f[o * d1 + i] * e[o * d1 + i] * e[o * d1 + i];
        *sum += row;
    }
done:
    return st;
}

static ln_status run_half(half *s)
{
    ln__parallel_for(s->n, ROWS_AT_ONCE, solve_rows, s);
    return s->failed == LN_OK
               ? LN_OK
               : ln__fail((ln_status)s->failed, "weighted least squares of rank %lld failed", (long long)s->k);
}

/* lr2 lr1 is kept while their scales drift: lr2 = Q R, R lr1 = U S V^T; lr2 <- Q U S^1/2, lr1 <- S^1/2 V^T. */
static ln_status rebalance(double *lr1, double *lr2, int64_t d1, int64_t d2, int64_t k)
{
    ln_status st = LN_OK;
    double *q = NULL, *r = NULL, *core = NULL, *u = NULL, *s = NULL, *vt = NULL;
    if (k > d2 || k > d1)
        return LN_OK;
    LN_TRY(LN_NEW(&q, d2 * k));
    LN_TRY(LN_NEW(&r, k * k));
    LN_TRY(LN_NEW(&core, k * d1));
    LN_TRY(LN_NEW(&u, k * k));
    LN_TRY(LN_NEW(&s, k));
    LN_TRY(LN_NEW(&vt, k * d1));
    memcpy(q, lr2, (size_t)(d2 * k) * sizeof *q);
    LN_TRY(ln__qr(q, d2, k));
    LN_TRY(ln__dgemm(true, false, k, k, d2, 1, q, k, lr2, k, 0, r, k));
    LN_TRY(ln__dgemm(false, false, k, d1, k, 1, r, k, lr1, d1, 0, core, d1));
    LN_TRY(ln__svd(core, k, d1, u, s, vt));
    for (int64_t i = 0; i < k; i++) {
        const double root = sqrt(s[i]);
        for (int64_t j = 0; j < k; j++)
            u[j * k + i] *= root;
        for (int64_t j = 0; j < d1; j++)
            lr1[i * d1 + j] = vt[i * d1 + j] * root;
    }
    LN_TRY(ln__dgemm(false, false, d2, k, k, 1, q, k, u, k, 0, lr2, k));
done:
    ln__free(q);
    ln__free(r);
    ln__free(core);
    ln__free(u);
    ln__free(s);
    ln__free(vt);
    return st;
}

ln_status ln__fwsvd_refine(ln__fwsvd_als *als, double *lr1, double *lr2, const double *w, const double *f, int64_t d1,
                           int64_t d2, int64_t k)
{
    ln_status st = LN_OK;
    sweep s = { 0 };
    double sum = 0, last = 0;
    int done_sweeps = 0, noted = 0;
    LN_TRY(LN_NEW(&s.e, d1 * d2));
    LN_TRY(LN_NEW(&s.et, d1 * d2));
    LN_TRY(LN_NEW(&s.ft, d1 * d2));
    LN_TRY(LN_NEW(&s.lr1t, k * d1));
    LN_TRY(LN_NEW(&s.lr2t, k * d2));
    transpose(s.ft, f, d2, d1);
    LN_TRY(residual(&sum, s.e, w, lr1, lr2, f, d1, d2, k));
    als->before = last = sum;
    if (als->objective)
        als->objective[noted++] = sum;
    while (done_sweeps < als->sweeps) {
        half rows = { .x = lr2, .basis = lr1, .e = s.e, .f = f, .n = d2, .k = k, .len = d1 };
        LN_TRY(run_half(&rows));
        LN_TRY(residual(&sum, s.e, w, lr1, lr2, f, d1, d2, k));
        if (als->objective)
            als->objective[noted++] = sum;
        transpose(s.et, s.e, d2, d1);
        transpose(s.lr1t, lr1, k, d1);
        transpose(s.lr2t, lr2, d2, k);
        half columns = { .x = s.lr1t, .basis = s.lr2t, .e = s.et, .f = s.ft, .n = d1, .k = k, .len = d2 };
        LN_TRY(run_half(&columns));
        transpose(lr1, s.lr1t, d1, k);
        if (++done_sweeps % REBALANCE == 0)
            LN_TRY(rebalance(lr1, lr2, d1, d2, k));
        LN_TRY(residual(&sum, s.e, w, lr1, lr2, f, d1, d2, k));
        if (als->objective)
            als->objective[noted++] = sum;
        if (last - sum < als->tolerance * last)
            break;
        last = sum;
    }
    als->sweeps = done_sweeps;
    als->after = sum;
    if (!isfinite(sum))
        LN_FAIL(LN_ERR_NUMERIC, "weighted least squares of rank %lld: the error is not finite", (long long)k);
done:
    ln__free(s.e);
    ln__free(s.et);
    ln__free(s.ft);
    ln__free(s.lr1t);
    ln__free(s.lr2t);
    return st;
}
