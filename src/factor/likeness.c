/* likeness.c - is it a CP model, and is it the same one: core consistency (Bro and Kiers 2003) and factor match.
 *
 * The core that fits best between given factors is G = X x_1 F1^+ ... x_N FN^+; a CP model has the superdiagonal of
 * ones there. CORCONDIA = 100 (1 - |G - I|^2 / rank), the weights counted into the first factor. */
#include <math.h>
#include <string.h>

#include "core/tensor.h"
#include "factor/likeness.h"
#include "factor/ttm.h"
#include "linalg/linalg.h"

/* pinv (rank, rows) = (F^T F)^-1 F^T of F (rows, rank) with column r divided by weights[r] (NULL: ones). */
static ln_status pseudo_inverse(double *pinv, const double *f, const double *weights, int64_t rows, int64_t rank,
                                int mode)
{
    ln_status st = LN_OK;
    double *r = NULL;
    const size_t square = (size_t)(rank * rank);
    LN_TRY(LN_NEW(&r, 2 * square));
    double *g = r + square, ridge = 0;
    LN_TRY(ln__dsyrk(true, rank, rows, 1, f, rank, 0, g, rank));
    LN_TRY(ln__cholesky(r, g, rank, &ridge, "the Gram of a factor"));
    double least = INFINITY, most = 0;
    for (int64_t i = 0; i < rank; i++) {
        least = fmin(least, r[i * rank + i]);
        most = fmax(most, r[i * rank + i]);
    }
    if (ridge > 0 || !(least > 1e-7 * most))
        LN_FAIL(LN_ERR_NUMERIC, "the columns of factor %d are dependent: the core has no unique fit", mode);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < rank; j++)
            pinv[j * rows + i] = f[i * rank + j];
    LN_TRY(ln__trsm(false, true, rank, rows, r, pinv, rows));
    LN_TRY(ln__trsm(false, false, rank, rows, r, pinv, rows));
    for (int64_t j = 0; weights && j < rank; j++)
        for (int64_t i = 0; i < rows; i++)
            pinv[j * rows + i] /= weights[j];
done:
    ln__free(r);
    return st;
}

static double consistency(const double *core, int order, int64_t rank)
{
    double off = 0;
    int64_t all = 1, step = 0;
    for (int n = 0; n < order; n++) {
        all *= rank;
        step = step * rank + 1;
    }
    for (int64_t i = 0; i < all; i++) {
        const double want = i % step == 0 && i / step < rank ? 1 : 0;
        off += (core[i] - want) * (core[i] - want);
    }
    return 100 * (1 - off / (double)rank);
}

ln_status ln__core_consistency(double *percent, const ln__data *d, const ln__kruskal *k)
{
    ln_status st = LN_OK;
    double *a = NULL, *b = NULL, *pinv = NULL;
    int64_t dims[LN_MAX_DIMS], most = d->left * d->right, size = most, widest = 0;
    for (int64_t r = 0; r < k->rank; r++)
        if (!(k->weights[r] > 0))
            LN_FAIL(LN_ERR_NUMERIC, "component %lld has no weight: the core has no unique fit", (long long)r);
    for (int n = d->order - 1; n >= 0; n--) {
        dims[n] = d->dims[n];
        widest = LN_MAX(widest, dims[n]);
        size = size / dims[n];
        if (__builtin_mul_overflow(size, k->rank, &size))
            LN_FAIL(LN_ERR_SHAPE, "a core of rank %lld is too large", (long long)k->rank);
        most = LN_MAX(most, size);
    }
    LN_TRY(LN_NEW(&a, most));
    LN_TRY(LN_NEW(&b, most));
    LN_TRY(ln__alloc((void **)&pinv, (size_t)widest, (size_t)k->rank * sizeof *pinv));
    const double *x = d->x;
    double *to = a;
    for (int n = d->order - 1; n >= 0; n--) {
        LN_TRY(pseudo_inverse(pinv, k->f[n], n == 0 ? k->weights : NULL, k->dims[n], k->rank, n));
        LN_TRY(ln__ttm(to, x, d->order, dims, n, pinv, k->rank, false));
        dims[n] = k->rank;
        x = to;
        to = to == a ? b : a;
    }
    *percent = consistency(x, d->order, k->rank);
done:
    ln__free(a);
    ln__free(b);
    ln__free(pinv);
    return st;
}

/* A model over tensors (borrowed where they are f64 and row-major, which those of ln_cp are). */
static ln_status view(ln__kruskal *k, int order, const ln_tensor *const *f, double *weights)
{
    *k = (ln__kruskal){ .order = order, .weights = weights };
    if (order < 2 || order > LN_MAX_DIMS)
        return ln__fail(LN_ERR_SHAPE, "%d factors, 2 to %d make a model", order, LN_MAX_DIMS);
    for (int n = 0; n < order; n++) {
        if (!f[n] || ln_tensor_dtype(f[n]) != LN_F64 || ln_tensor_ndim(f[n]) != 2 || !ln_tensor_contiguous(f[n]))
            return ln__fail(LN_ERR_DTYPE, "factor %d is not an f64 matrix in row-major order", n);
        k->dims[n] = ln_tensor_dim(f[n], 0);
        if (n > 0 && ln_tensor_dim(f[n], 1) != k->rank)
            return ln__fail(LN_ERR_SHAPE, "factor 0 has %lld columns, factor %d has %lld", (long long)k->rank, n,
                            (long long)ln_tensor_dim(f[n], 1));
        k->rank = ln_tensor_dim(f[n], 1);
        k->f[n] = (double *)(uintptr_t)ln_tensor_cdata(f[n]); /* only read */
    }
    return LN_OK;
}

ln_status ln_corcondia(double *percent, const ln_tensor *x, const ln_tensor *weights, const ln_tensor *const *factors)
{
    ln_status st = LN_OK;
    ln__kruskal k;
    ln__data d;
    ln_tensor *wide = NULL;
    double result = 0;
    if (!percent || !x || !weights || !factors)
        return ln__fail(LN_ERR_ARG, "corcondia: percent, x, weights and factors are needed");
    LN_TRY(view(&k, ln_tensor_ndim(x), factors, NULL));
    for (int n = 0; n < k.order; n++)
        if (k.dims[n] != ln_tensor_dim(x, n))
            LN_FAIL(LN_ERR_SHAPE, "corcondia: mode %d of the data has %lld entries, its factor %lld rows", n,
                    (long long)ln_tensor_dim(x, n), (long long)k.dims[n]);
    if (ln_tensor_dtype(weights) != LN_F64 || ln_tensor_count(weights) != k.rank || !ln_tensor_contiguous(weights))
        LN_FAIL(LN_ERR_SHAPE, "corcondia: the weights are not %lld f64 numbers", (long long)k.rank);
    LN_TRY(ln_tensor_convert(&wide, x, LN_F64));
    LN_TRY(ln__data_init(&d, ln_tensor_data(wide), NULL, k.order, k.dims, false, "x"));
    k.weights = (double *)(uintptr_t)ln_tensor_cdata(weights);
    LN_TRY(ln__core_consistency(&result, &d, &k));
    *percent = result;
done:
    ln_tensor_release(wide);
    return st;
}

ln_status ln_factor_match(double *score, int order, const ln_tensor *const *a, const ln_tensor *const *b)
{
    ln_status st = LN_OK;
    ln__kruskal x, y;
    double result = 0;
    if (!score || !a || !b)
        return ln__fail(LN_ERR_ARG, "factor_match: score and two models are needed");
    LN_TRY(view(&x, order, a, NULL));
    LN_TRY(view(&y, order, b, NULL));
    for (int n = 0; n < order; n++)
        if (x.dims[n] != y.dims[n] || x.rank != y.rank)
            LN_FAIL(LN_ERR_SHAPE, "factor_match: factor %d is %lld x %lld in one model, %lld x %lld in the other", n,
                    (long long)x.dims[n], (long long)x.rank, (long long)y.dims[n], (long long)y.rank);
    LN_TRY(ln__kruskal_match(&result, &x, &y));
    *score = result;
done:
    return st;
}
