/* tucker_fit.c - HOOI (De Lathauwer, De Moor and Vandewalle 2000): each U_n becomes the leading left singular vectors
 * of X projected on all the others, in turn, from the truncated HOSVD on. With orthonormal U the loss is |X|^2 -
 * |core|^2, which never rises. Missing entries are filled with the model after every sweep, as in fit.c. Pitfall: the
 * singular vectors come from a Gram matrix where that is the smaller way, which squares the condition; the loss that is
 * told is therefore that of the residual. */
#include <math.h>
#include <string.h>

#include "factor/ttm.h"
#include "factor/tucker.h"

typedef struct hooi {
    ln__tucker *t;
    ln__data *d;
    double *a, *b; /* tensors in between: as large as X */
} hooi;

void ln__tucker_free(ln__tucker *t)
{
    for (int n = 0; n < LN_MAX_DIMS; n++)
        ln__free(t->u[n]);
    ln__free(t->core);
    ln__free(t->trace);
    *t = (ln__tucker){ 0 };
}

static int64_t product(const int64_t *dims, int order)
{
    int64_t all = 1;
    for (int n = 0; n < order; n++)
        all *= dims[n];
    return all;
}

/* m (dims[mode], rest) = the unfolding of x along a mode. */
static void unfold(double *m, const double *x, int order, const int64_t *dims, int mode)
{
    const int64_t before = product(dims, mode), dim = dims[mode], after = product(dims + mode + 1, order - mode - 1);
    for (int64_t l = 0; l < before; l++)
        for (int64_t i = 0; i < dim; i++)
            memcpy(m + (i * before + l) * after, x + (l * dim + i) * after, (size_t)after * sizeof *m);
}

/* U_n = leading left singular vectors of m (dim, rest). */
static ln_status leading(double *u, const double *m, int64_t dim, int64_t rest, int64_t rank)
{
    ln_status st = LN_OK;
    const int64_t p = LN_MIN(dim, rest);
    double *g = NULL, *w = NULL, *q = NULL;
    LN_TRY(LN_NEW(&w, dim));
    if (dim <= rest) {
        LN_TRY(ln__alloc((void **)&g, (size_t)dim, (size_t)dim * sizeof *g));
        LN_TRY(ln__alloc((void **)&q, (size_t)dim, (size_t)dim * sizeof *q));
        LN_TRY(ln__dsyrk(false, dim, rest, 1, m, rest, 0, g, dim));
        LN_TRY(ln__eigh(g, dim, w, q));
    } else {
        LN_TRY(ln__alloc((void **)&q, (size_t)dim, (size_t)p * sizeof *q));
        LN_TRY(ln__svd(m, dim, rest, q, w, NULL));
    }
    for (int64_t i = 0; i < dim; i++)
        memcpy(u + i * rank, q + i * p, (size_t)rank * sizeof *u);
done:
    ln__free(g);
    ln__free(w);
    ln__free(q);
    return st;
}

/* X times all U_m^T but one (-1: all), the largest reductions first as modes come; *out is where it ended. */
static ln_status project(const double **out, int64_t *dims, hooi *h, int skip)
{
    ln_status st = LN_OK;
    const ln__tucker *t = h->t;
    const double *x = h->d->x;
    double *to = h->a;
    memcpy(dims, t->dims, sizeof t->dims);
    for (int n = t->order - 1; n >= 0; n--) {
        if (n == skip)
            continue;
        LN_TRY(ln__ttm(to, x, t->order, dims, n, t->u[n], t->ranks[n], true));
        dims[n] = t->ranks[n];
        x = to;
        to = to == h->a ? h->b : h->a;
    }
    *out = x;
done:
    return st;
}

static ln_status improve(hooi *h, int mode, const double *x, const int64_t *dims)
{
    ln_status st = LN_OK;
    double *m = NULL;
    const int64_t all = product(dims, h->t->order);
    LN_TRY(LN_NEW(&m, all));
    unfold(m, x, h->t->order, dims, mode);
    LN_TRY(leading(h->t->u[mode], m, dims[mode], all / dims[mode], h->t->ranks[mode]));
done:
    ln__free(m);
    return st;
}

/* The model as a tensor in h->a or h->b; loss over what is there; missing entries filled. */
static ln_status compare(hooi *h)
{
    ln_status st = LN_OK;
    ln__tucker *t = h->t;
    ln__data *d = h->d;
    int64_t dims[LN_MAX_DIMS];
    const double *x = t->core;
    double *to = h->a;
    memcpy(dims, t->ranks, sizeof t->ranks);
    for (int n = 0; n < t->order; n++) {
        LN_TRY(ln__ttm(to, x, t->order, dims, n, t->u[n], t->dims[n], false));
        dims[n] = t->dims[n];
        x = to;
        to = to == h->a ? h->b : h->a;
    }
    t->loss = 0;
    for (int64_t i = 0; i < d->left * d->right; i++) {
        if (d->missing && d->missing[i]) {
            d->x[i] = x[i];
            continue;
        }
        t->loss += (d->x[i] - x[i]) * (d->x[i] - x[i]);
    }
done:
    return st;
}

static ln_status sweep(hooi *h)
{
    ln_status st = LN_OK;
    ln__tucker *t = h->t;
    int64_t dims[LN_MAX_DIMS];
    const double *x = NULL;
    for (int n = 0; n < t->order; n++) {
        LN_TRY(project(&x, dims, h, n));
        LN_TRY(improve(h, n, x, dims));
    }
    LN_TRY(project(&x, dims, h, -1));
    memcpy(t->core, x, (size_t)product(t->ranks, t->order) * sizeof *x);
    LN_TRY(compare(h));
done:
    return st;
}

static ln_status iterate(hooi *h, const ln_tucker_opts *o)
{
    ln_status st = LN_OK;
    ln__tucker *t = h->t;
    double before = INFINITY;
    while (t->sweeps < o->iters && !t->converged) {
        if (o->progress && o->progress(o->payload, "sweep", t->sweeps, o->iters))
            LN_FAIL(LN_ERR_CANCELLED, "stopped after %lld sweeps", (long long)t->sweeps);
        LN_TRY(sweep(h));
        LN_TRY(ln__realloc((void **)&t->trace, (size_t)(t->sweeps + 1), sizeof *t->trace));
        t->trace[t->sweeps++] = t->loss;
        t->n_trace = t->sweeps;
        if (!isfinite(t->loss))
            LN_FAIL(LN_ERR_NUMERIC, "the loss after sweep %lld is not finite", (long long)t->sweeps);
        if (h->d->norm2 > 0)
            t->rise = fmax(t->rise, (t->loss - before) / h->d->norm2);
        t->converged = h->d->norm2 == 0 || before - t->loss < o->tol * h->d->norm2;
        before = t->loss;
    }
done:
    return st;
}

ln_status ln__tucker_fit(ln__tucker *t, ln__data *d, const ln_tucker_opts *o)
{
    ln_status st = LN_OK;
    hooi h = { .t = t, .d = d };
    const int64_t all = d->left * d->right;
    t->order = d->order;
    memcpy(t->dims, d->dims, sizeof t->dims);
    for (int n = 0; n < t->order; n++) {
        const int64_t others = product(t->ranks, t->order) / t->ranks[n];
        if (t->ranks[n] > others)
            LN_FAIL(LN_ERR_RANGE, "tucker: rank %lld of mode %d is above %lld, the product of the others",
                    (long long)t->ranks[n], n, (long long)others);
        LN_TRY(ln__alloc((void **)&t->u[n], (size_t)t->dims[n], (size_t)t->ranks[n] * sizeof(double)));
    }
    LN_TRY(LN_NEW(&t->core, product(t->ranks, t->order)));
    LN_TRY(LN_NEW(&h.a, all));
    LN_TRY(LN_NEW(&h.b, all));
    if (d->missing)
        ln__data_fill_mean(d);
    for (int n = 0; n < t->order; n++) /* the truncated HOSVD */
        LN_TRY(improve(&h, n, d->x, t->dims));
    LN_TRY(iterate(&h, o));
done:
    ln__free(h.a);
    ln__free(h.b);
    return st;
}
