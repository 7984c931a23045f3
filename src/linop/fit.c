/* fit.c - low-rank operators from dense weights, other storage for an operator, and how good a stand-in is.
 *
 * With a Gram A = X^T X = R^T R of the inputs, |(W - W') X^T| = |(W - W') R^T|: truncate the SVD of W R^T, undo R by a
 * triangular solve. That is optimal in output error, which is sqrt(sum of the dropped s^2). Without a Gram: R = I.
 * Each component is scaled so that its two vectors have the same length: the product does not change, and neither
 * factor leaves the range of f16. Source: Eckart and Young 1936; SVD-LLM (arXiv 2403.07378); Structured-linear 2.2-2.3.
 */
#include <math.h>
#include <string.h>

#include "linalg/linalg.h"
#include "linop/csr.h"
#include "linop/part.h"

enum { EXACT_MOST = 4096, OVERSAMPLE = 10, POWER = 2 };

typedef struct fit {
    int64_t rows, cols, p, rank;
    double *m, *r;      /* W R^T, and R or NULL */
    double *u, *s, *vt; /* (rows, ld), (ld), (ld, cols) */
    int64_t ld;
} fit;

static ln_status multiply(void *ctx, double *y, const double *x, int64_t k)
{
    const fit *f = ctx;
    return ln__dgemm(false, true, k, f->rows, f->cols, 1, x, f->cols, f->m, f->cols, 0, y, f->rows);
}

static ln_status multiply_t(void *ctx, double *x, const double *y, int64_t k)
{
    const fit *f = ctx;
    return ln__dgemm(false, false, k, f->cols, f->rows, 1, y, f->rows, f->m, f->cols, 0, x, f->cols);
}

/* The exact SVD up to a size where it takes minutes; beyond, the randomised one when few components are wanted. */
static ln_status decompose(fit *f)
{
    ln_status st = LN_OK;
    const bool exact = f->p <= EXACT_MOST || f->rank * 4 >= f->p;
    f->ld = exact ? f->p : f->rank;
    LN_TRY(LN_NEW(&f->u, (size_t)f->rows * (size_t)f->ld));
    LN_TRY(LN_NEW(&f->s, (size_t)f->ld));
    LN_TRY(LN_NEW(&f->vt, (size_t)f->ld * (size_t)f->cols));
    if (exact) {
        LN_TRY(ln__svd(f->m, f->rows, f->cols, f->u, f->s, f->vt));
    } else {
        const ln__matvec map = { f->rows, f->cols, f, multiply, multiply_t };
        LN_TRY(ln__svd_random(&map, f->rank, OVERSAMPLE, POWER, 0, f->u, f->s, f->vt));
    }
done:
    return st;
}

/* u (rows, rank) and v (rank, cols) from the decomposition, R undone, lengths balanced. */
static ln_status split(double *u, double *v, const fit *f)
{
    const int64_t k = f->rank;
    memcpy(v, f->vt, (size_t)(k * f->cols) * sizeof *v);
    if (f->r) {
        const ln_status st = ln__trsm(true, true, f->cols, k, f->r, v, f->cols);
        if (st != LN_OK)
            return st;
    }
    for (int64_t j = 0; j < k; j++) {
        double norm = 0;
        for (int64_t i = 0; i < f->cols; i++)
            norm += v[j * f->cols + i] * v[j * f->cols + i];
        const double left = sqrt(f->s[j] * sqrt(norm)), right = left > 0 ? f->s[j] / left : 0;
        for (int64_t i = 0; i < f->rows; i++)
            u[i * k + j] = f->u[i * f->ld + j] * left;
        for (int64_t i = 0; i < f->cols; i++)
            v[j * f->cols + i] *= right;
    }
    return LN_OK;
}

static ln_status convert_checked(ln_tensor **out, const ln_tensor *t, ln_dtype dt, const char *name)
{
    ln_status st = LN_OK;
    ln_tensor *c = NULL;
    st = ln_tensor_convert(&c, t, dt);
    if (st != LN_OK) {
        st = ln__fail_in(st, "%s", name);
        goto done;
    }
    LN_TRY(ln_tensor_check_finite(c, name));
    *out = c;
    c = NULL;
done:
    ln_tensor_release(c);
    return st;
}

static ln_status as_lowrank(ln_linop **out, const fit *f, ln_dtype storage)
{
    ln_status st = LN_OK;
    ln_tensor *u = NULL, *v = NULL, *us = NULL, *vs = NULL;
    LN_TRY(ln_tensor_new(&u, LN_F64, 2, (const int64_t[]){ f->rows, f->rank }));
    LN_TRY(ln_tensor_new(&v, LN_F64, 2, (const int64_t[]){ f->rank, f->cols }));
    LN_TRY(split(ln_tensor_data(u), ln_tensor_data(v), f));
    LN_TRY(convert_checked(&us, u, storage, "u"));
    LN_TRY(convert_checked(&vs, v, storage, "v"));
    LN_TRY(ln_linop_lowrank(out, us, vs));
done:
    ln_tensor_release(u);
    ln_tensor_release(v);
    ln_tensor_release(us);
    ln_tensor_release(vs);
    return st;
}

/* A dense f64 copy of any weight. */
static ln_status wide(ln_tensor **out, const ln_tensor *w)
{
    ln_linop *op = NULL;
    ln_status st = ln_linop_dense(&op, w);
    if (st == LN_OK)
        st = ln_linop_to_dense(out, op, LN_F64);
    ln_linop_release(op);
    return st;
}

ln_status ln__lowrank_from_dense(ln_linop **out, const ln_tensor *w, int64_t rank, const double *gram, double ridge,
                                 ln_dtype storage, ln__fit_report *report)
{
    ln_status st = LN_OK;
    fit f = { 0 };
    ln_tensor *copy = NULL;
    ln_linop *op = NULL;
    ln__fit_report told = { 0 };
    LN_TRY(wide(&copy, w));
    LN_TRY(ln_tensor_check_finite(copy, "weight"));
    f.rows = ln_tensor_dim(copy, 0);
    f.cols = ln_tensor_dim(copy, 1);
    f.p = LN_MIN(f.rows, f.cols);
    f.rank = rank;
    f.m = ln_tensor_data(copy);
    if (rank < 1 || rank > f.p)
        LN_FAIL(LN_ERR_RANGE, "rank = %lld is outside [1, %lld]", (long long)rank, (long long)f.p);
    if (storage != LN_F32 && storage != LN_F64 && storage != LN_F16 && storage != LN_BF16)
        LN_FAIL(LN_ERR_DTYPE, "factors are stored as floats, not as %s", ln_dtype_name(storage));
    if (gram) {
        LN_TRY(LN_NEW(&f.r, (size_t)f.cols * (size_t)f.cols));
        LN_TRY(ln__cholesky(f.r, gram, f.cols, &ridge, "gram"));
        LN_TRY(ln__trmm(true, true, f.cols, f.rows, f.r, f.m, f.cols));
        told.ridge = ridge;
    }
    LN_TRY(decompose(&f));
    LN_TRY(as_lowrank(&op, &f, storage));
    if (report) {
        LN_TRY(ln__linop_compare(&told, op, w, gram));
        *report = told;
    }
    *out = op;
    op = NULL;
done:
    ln_linop_release(op);
    ln_tensor_release(copy);
    ln__free(f.r);
    ln__free(f.u);
    ln__free(f.s);
    ln__free(f.vt);
    return st;
}

/* <M A, M>, or |M|^2 without a Gram; M (rows, cols), `work` as large. */
static ln_status energy(double *out, const double *m, int64_t rows, int64_t cols, const double *gram, double *work)
{
    ln_status st = LN_OK;
    double sum = 0;
    if (gram)
        LN_TRY(ln__dgemm(false, false, rows, cols, cols, 1, m, cols, gram, cols, 0, work, cols));
    for (int64_t i = 0; i < rows * cols; i++)
        sum += m[i] * (gram ? work[i] : m[i]);
    *out = LN_MAX(sum, 0); /* rounding, and a Gram that is only semidefinite */
done:
    return st;
}

ln_status ln__linop_compare(ln__fit_report *report, const ln_linop *op, const ln_tensor *w, const double *gram)
{
    ln_status st = LN_OK;
    ln_tensor *want = NULL, *have = NULL;
    double *work = NULL, e, n, eg = 0, ng = 0;
    LN_TRY(wide(&want, w));
    LN_TRY(ln_linop_to_dense(&have, op, LN_F64));
    const int64_t rows = op->rows, cols = op->cols;
    if (ln_tensor_dim(want, 0) != rows || ln_tensor_dim(want, 1) != cols)
        LN_FAIL(LN_ERR_SHAPE, "a %lld x %lld weight cannot be compared with a %lld x %lld operator",
                (long long)ln_tensor_dim(want, 0), (long long)ln_tensor_dim(want, 1), (long long)rows, (long long)cols);
    double *a = ln_tensor_data(want), *b = ln_tensor_data(have);
    if (gram)
        LN_TRY(LN_NEW(&work, (size_t)rows * (size_t)cols));
    for (int64_t i = 0; i < rows * cols; i++)
        b[i] = a[i] - b[i];
    LN_TRY(energy(&e, b, rows, cols, NULL, NULL));
    LN_TRY(energy(&n, a, rows, cols, NULL, NULL));
    if (gram) {
        LN_TRY(energy(&eg, b, rows, cols, gram, work));
        LN_TRY(energy(&ng, a, rows, cols, gram, work));
    }
    report->weight_error = n > 0 ? sqrt(e / n) : 0;
    report->output_error = ng > 0 ? sqrt(eg / ng) : 0;
done:
    ln_tensor_release(want);
    ln_tensor_release(have);
    ln__free(work);
    return st;
}

ln_status ln__linop_cast(ln_linop **out, const ln_linop *op, ln_dtype dt)
{
    ln_status st = LN_OK;
    const char *suffix[4];
    ln_tensor *from[4], *to[4] = { NULL, NULL, NULL, NULL };
    ln__csr *a = NULL;
    if (ln__linop_csr_of(op)) {
        LN_TRY(ln__csr_cast(&a, ln__linop_csr_of(op), dt));
        LN_TRY(ln__linop_csr_adopt(out, a));
        return LN_OK;
    }
    const int n = op->kind->tensors(op, suffix, from);
    for (int i = 0; i < n; i++)
        if (ln_tensor_dtype(from[i]) == LN_U8) /* a mask */
            to[i] = ln_tensor_retain(from[i]);
        else
            LN_TRY(convert_checked(&to[i], from[i], dt, suffix[i] + 1));
    if (strcmp(op->kind->name, "dense") == 0)
        LN_TRY(ln_linop_dense(out, to[0]));
    else if (strcmp(op->kind->name, "lowrank") == 0)
        LN_TRY(ln_linop_lowrank(out, to[1], to[0]));
    else if (strcmp(op->kind->name, "dict") == 0)
        LN_TRY(ln_linop_dict_packed(out, to[0], to[1], to[2]));
    else
        LN_FAIL(LN_ERR_UNSUPPORTED, "an operator of kind %s cannot change its storage", op->kind->name);
done:
    ln__csr_free(a);
    for (int i = 0; i < 4; i++)
        ln_tensor_release(to[i]);
    return st;
}
