/* models.c - NMF, semi-NMF, CP and NTF: options, what they mean for the fit, and the public calls on tensors. */
#include "factor/models.h"

#include <math.h>
#include <string.h>

#include "core/tensor.h"

#define RANK LN_P_INT(ln_factor_opts, rank, 5, 1, 1 << 16, "components")
#define SOLVER(words) LN_P_CHOICE(ln_factor_opts, solver, 0, words, "how factors are updated")
#define RESTARTS                                                                                                       \
    LN_P_INT(ln_factor_opts, restarts, 1, 1, 1 << 16, "random starts, side by side; the one of least loss is kept")
#define INNER                                                                                                          \
    LN_P_INT(ln_factor_opts, inner, 0, 0, 1000, "updates per product with the data; 0: as many as pay (mu: 1)")
#define ITERS LN_P_INT64(ln_factor_opts, iters, 500, 1, 1e12, "sweeps over all factors at most")
#define TOL                                                                                                            \
    LN_P_REAL(ln_factor_opts, tol, 1e-7, 0, 1, "stop when a sweep lowers the loss by less than this, times |X|^2")
#define TARGET LN_P_REAL(ln_factor_opts, target, 0, 0, 1, "stop at a loss of this times |X|^2; 0: do not")
#define EXTRAPOLATE                                                                                                    \
    LN_P_BOOL(ln_factor_opts, extrapolate, 1,                                                                          \
              "begin sweeps beyond the last iterate while that lowers the loss (not mu)")

const ln_param ln__nmf_params[] = {
    RANK,
    SOLVER("hals|mu"),
    LN_P_CHOICE(ln_factor_opts, init, LN_FACTOR_RANDOM, "random|nndsvd|nndsvda", "starting values"),
    RESTARTS,
    INNER,
    ITERS,
    TOL,
    TARGET,
    EXTRAPOLATE,
    LN_P_END,
};

const ln_param ln__seminmf_params[] = {
    RANK,
    SOLVER("hals|mu"),
    LN_P_CHOICE(ln_factor_opts, init, LN_FACTOR_RANDOM, "random|svd|kmeans", "starting values"),
    LN_P_REAL(ln_factor_opts, sparsity, 1, 0, 1, "fraction of each column of Z that may differ from zero; 1: all"),
    LN_P_INT64(ln_factor_opts, patience, 100, 1, 1e12, "with sparsity: sweeps without a better loss before it stops"),
    RESTARTS,
    INNER,
    ITERS,
    TOL,
    TARGET,
    EXTRAPOLATE,
    LN_P_END,
};

const ln_param ln__cp_params[] = { RANK, RESTARTS, ITERS, TOL, TARGET, EXTRAPOLATE, LN_P_END };
const ln_param ln__ntf_params[] = {
    RANK, SOLVER("hals|mu"), RESTARTS, INNER, ITERS, TOL, TARGET, EXTRAPOLATE, LN_P_END
};

const ln__model_kind ln__kind_nmf = { "nmf", ln__nmf_params, true, true, true };
const ln__model_kind ln__kind_seminmf = { "seminmf", ln__seminmf_params, false, true, true };
const ln__model_kind ln__kind_cp = { "cp", ln__cp_params, false, false, false };
const ln__model_kind ln__kind_ntf = { "ntf", ln__ntf_params, true, true, false };

const ln_param *ln_nmf_params(void)
{
    return ln__nmf_params;
}

const ln_param *ln_seminmf_params(void)
{
    return ln__seminmf_params;
}

const ln_param *ln_cp_params(void)
{
    return ln__cp_params;
}

const ln_param *ln_ntf_params(void)
{
    return ln__ntf_params;
}

bool ln__kruskal_is_dead(const ln__kruskal *k, int64_t r)
{
    return !(k->weights[r] > 1e-10 * k->weights[0]);
}

int32_t ln__kruskal_dead(const ln__kruskal *k)
{
    int32_t dead = 0;
    for (int64_t r = 0; r < k->rank; r++)
        dead += ln__kruskal_is_dead(k, r);
    return dead;
}

int64_t ln__most_rank(int order, const int64_t *dims)
{
    int64_t largest = 0, all = 1;
    for (int n = 0; n < order; n++) {
        largest = LN_MAX(largest, dims[n]);
        all *= dims[n];
    }
    return all / largest;
}

ln_status ln__model_settings(ln__fit_opts *f, const ln__model_kind *kind, const ln_factor_opts *o, const ln__data *d)
{
    if (kind->matrix && d->order != 2)
        return ln__fail(LN_ERR_SHAPE, "%s: the data have %d modes, a matrix is needed (linnet factor ntf)", kind->name,
                        d->order);
    const int64_t most = ln__most_rank(d->order, d->dims);
    if (o->rank > most)
        return ln__fail(LN_ERR_RANGE, "%s: rank = %d, but %lld components are exact", kind->name, (int)o->rank,
                        (long long)most);
    const bool semi = kind == &ln__kind_seminmf;
    if (o->restarts > 1 && o->init != LN_FACTOR_RANDOM && !(semi && o->init == LN_SEMINMF_KMEANS))
        return ln__fail(LN_ERR_ARG, "%s: restarts = %d, but this init has no random choice in it", kind->name,
                        (int)o->restarts);
    if (!semi && o->init == LN_NMF_NNDSVD && o->solver == LN_FACTOR_MU)
        return ln__fail(LN_ERR_ARG, "%s: init nndsvd has zeros, which solver mu never moves: choose nndsvda",
                        kind->name);
    *f = (ln__fit_opts){ .o = *o };
    f->start = o->init == 0 ? LN__START_RANDOM : (ln__start_kind)(o->init + (semi ? 2 : 0));
    for (int n = 0; n < d->order; n++)
        f->nonneg[n] = n == 0 ? kind->nonneg_first : kind->nonneg_rest;
    f->eps = 1e-6 * d->rms * d->rms;
    if (semi && o->sparsity < 1)
        f->keep = LN_MAX(1, (int64_t)ceil(o->sparsity * (double)d->dims[0]));
    /* A plain ridge can raise the loss where a column of Y has become short. */
    f->prox = !kind->nonneg_first && o->solver == LN_FACTOR_HALS && f->keep == 0;
    f->ridge = f->prox ? 1e-12 : 1e-6; /* of unit columns; semi-NMF as published */
    return LN_OK;
}

/* ---- tensors in, tensors out ---- */

typedef struct held {
    ln_tensor *x, *mask;
    uint8_t *missing;
    ln__data d;
} held;

static void held_free(held *h)
{
    ln_tensor_release(h->x);
    ln_tensor_release(h->mask);
    ln__free(h->missing);
}

static ln_status hold_mask(held *h, const ln_tensor *mask, const char *who)
{
    ln_status st = LN_OK;
    char a[LN_MAX_DIMS * 21 + 3], b[LN_MAX_DIMS * 21 + 3];
    int64_t dims[LN_MAX_DIMS];
    const int order = ln_tensor_ndim(h->x);
    bool same = ln_tensor_ndim(mask) == order;
    for (int n = 0; n < ln_tensor_ndim(mask); n++) {
        dims[n] = ln_tensor_dim(mask, n);
        same = same && dims[n] == ln_tensor_dim(h->x, n);
    }
    if (ln_tensor_dtype(mask) != LN_U8 && ln_tensor_dtype(mask) != LN_BOOL)
        LN_FAIL(LN_ERR_DTYPE, "%s: the mask is %s, must be u8 or bool", who, ln_dtype_name(ln_tensor_dtype(mask)));
    if (!same) {
        ln__shape_text(b, sizeof b, ln_tensor_ndim(mask), dims);
        for (int n = 0; n < order; n++)
            dims[n] = ln_tensor_dim(h->x, n);
        LN_FAIL(LN_ERR_SHAPE, "%s: the data are %s, the mask is %s", who, ln__shape_text(a, sizeof a, order, dims), b);
    }
    LN_TRY(ln_tensor_convert(&h->mask, mask, ln_tensor_dtype(mask)));
    const int64_t n = ln_tensor_count(mask);
    const uint8_t *there = ln_tensor_cdata(h->mask);
    LN_TRY(LN_NEW(&h->missing, n));
    for (int64_t i = 0; i < n; i++)
        h->missing[i] = there[i] == 0;
done:
    return st;
}

/* Our own f64 copy where the data are not f64 in row-major order, or where entries have to be filled. */
static ln_status hold(held *h, const ln_tensor *x, const ln_tensor *mask, bool nonneg, const char *who)
{
    ln_status st = LN_OK;
    int64_t dims[LN_MAX_DIMS];
    const ln_dtype dt = ln_tensor_dtype(x);
    if (dt != LN_F32 && dt != LN_F64)
        LN_FAIL(LN_ERR_DTYPE, "%s: the data are %s, must be f32 or f64", who, ln_dtype_name(dt));
    if (dt == LN_F64 && ln_tensor_contiguous(x) && !mask)
        h->x = ln_tensor_retain(x);
    else
        LN_TRY(ln_tensor_convert(&h->x, x, LN_F64));
    if (mask)
        LN_TRY(hold_mask(h, mask, who));
    for (int n = 0; n < ln_tensor_ndim(x); n++)
        dims[n] = ln_tensor_dim(x, n);
    double *data = (double *)(uintptr_t)ln_tensor_cdata(h->x); /* written only where it is our copy */
    LN_TRY(ln__data_init(&h->d, data, h->missing, ln_tensor_ndim(x), dims, nonneg, who));
done:
    return st;
}

static void report_to(ln_factor_report *out, const ln__fit_report *r, const ln__kruskal *k, const ln__data *d,
                      int32_t which)
{
    ln_factor_report own = { .struct_size = out->struct_size, .restart = which, .sweeps = r->sweeps };
    own.converged = r->converged;
    own.dead = ln__kruskal_dead(k);
    own.reseeded = r->reseeded;
    own.loss = r->loss;
    own.relative = ln__data_relative(d, r->loss);
    own.rise = r->rise;
    memcpy(out, &own, LN_MIN(out->struct_size, sizeof own));
}

static ln_status fit_tensor(ln__kruskal *k, const ln__model_kind *kind, const ln_tensor *x, const ln_tensor *mask,
                            const ln_factor_opts *opts, ln_factor_report *report)
{
    ln_status st = LN_OK;
    held h = { 0 };
    ln__fit_opts f;
    ln__fit_report r = { 0 };
    int32_t which = 0;
    ln_factor_opts o = LN_FACTOR_OPTS_INIT;
    if (!x)
        return ln__fail(LN_ERR_ARG, "%s: no data", kind->name);
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, kind->params, kind->name));
    LN_TRY(hold(&h, x, mask, kind->nonneg_first && kind->nonneg_rest, kind->name));
    LN_TRY(ln__model_settings(&f, kind, &o, &h.d));
    st = ln__fit_restarts(k, &h.d, &f, &r, &which, NULL, NULL);
    if (st != LN_OK)
        LN_TRY(ln__fail_in(st, "%s", kind->name));
    if (report)
        report_to(report, &r, k, &h.d, which);
done:
    ln__free(r.trace);
    held_free(&h);
    return st;
}

static ln_status matrix_pair(ln_tensor **left, ln_tensor **right, const ln__model_kind *kind, const ln_tensor *a,
                             const ln_tensor *mask, const ln_factor_opts *opts, ln_factor_report *report)
{
    ln_status st = LN_OK;
    ln__kruskal k = { 0 };
    ln_tensor *l = NULL, *r = NULL;
    if (!left || !right)
        return ln__fail(LN_ERR_ARG, "%s: nowhere to put the factors", kind->name);
    LN_TRY(fit_tensor(&k, kind, a, mask, opts, report));
    LN_TRY(ln_tensor_new(&l, LN_F64, 2, (int64_t[]){ k.dims[0], k.rank }));
    LN_TRY(ln_tensor_new(&r, LN_F64, 2, (int64_t[]){ k.rank, k.dims[1] }));
    ln__kruskal_pair(ln_tensor_data(l), ln_tensor_data(r), &k);
    *left = l;
    *right = r;
    l = r = NULL;
done:
    ln_tensor_release(l);
    ln_tensor_release(r);
    ln__kruskal_free(&k);
    return st;
}

static ln_status weights_and_factors(ln_tensor **weights, ln_tensor **factors, const ln__model_kind *kind,
                                     const ln_tensor *x, const ln_tensor *mask, const ln_factor_opts *opts,
                                     ln_factor_report *report)
{
    ln_status st = LN_OK;
    ln__kruskal k = { 0 };
    ln_tensor *w = NULL, *f[LN_MAX_DIMS] = { NULL };
    if (!weights || !factors)
        return ln__fail(LN_ERR_ARG, "%s: nowhere to put the factors", kind->name);
    LN_TRY(fit_tensor(&k, kind, x, mask, opts, report));
    LN_TRY(ln_tensor_new(&w, LN_F64, 1, &k.rank));
    memcpy(ln_tensor_data(w), k.weights, (size_t)k.rank * sizeof(double));
    for (int n = 0; n < k.order; n++) {
        LN_TRY(ln_tensor_new(&f[n], LN_F64, 2, (int64_t[]){ k.dims[n], k.rank }));
        memcpy(ln_tensor_data(f[n]), k.f[n], (size_t)(k.dims[n] * k.rank) * sizeof(double));
    }
    *weights = w;
    w = NULL;
    for (int n = 0; n < k.order; n++) {
        factors[n] = f[n];
        f[n] = NULL;
    }
done:
    ln_tensor_release(w);
    for (int n = 0; n < LN_MAX_DIMS; n++)
        ln_tensor_release(f[n]);
    ln__kruskal_free(&k);
    return st;
}

ln_status ln_nmf(ln_tensor **w, ln_tensor **h, const ln_tensor *a, const ln_tensor *mask, const ln_factor_opts *opts,
                 ln_factor_report *report)
{
    return matrix_pair(w, h, &ln__kind_nmf, a, mask, opts, report);
}

ln_status ln_seminmf(ln_tensor **z, ln_tensor **y, const ln_tensor *a, const ln_tensor *mask,
                     const ln_factor_opts *opts, ln_factor_report *report)
{
    return matrix_pair(z, y, &ln__kind_seminmf, a, mask, opts, report);
}

ln_status ln_cp(ln_tensor **weights, ln_tensor **factors, const ln_tensor *x, const ln_tensor *mask,
                const ln_factor_opts *opts, ln_factor_report *report)
{
    return weights_and_factors(weights, factors, &ln__kind_cp, x, mask, opts, report);
}

ln_status ln_ntf(ln_tensor **weights, ln_tensor **factors, const ln_tensor *x, const ln_tensor *mask,
                 const ln_factor_opts *opts, ln_factor_report *report)
{
    return weights_and_factors(weights, factors, &ln__kind_ntf, x, mask, opts, report);
}
