/* residual.c - data and model side by side, a block of rows at a time: the exact loss, filling what is missing, and the
 * fibre where the model is worst. The model of a whole tensor is never held. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/threads.h"
#include "factor/kruskal.h"

enum { BLOCK = 1 << 15 }; /* entries of a block */

int64_t ln__residual_block_rows(const ln__data *d)
{
    return LN_MAX(1, BLOCK / d->right);
}

typedef struct walk {
    const ln__data *d;
    const double *l, *r; /* Khatri-Rao products of the two halves */
    int64_t rank, rows;
    double *model; /* one block per thread */
    double *dense; /* the same for rows of a sparse matrix */
    ln__residual_fn fn;
    void *ctx;
    _Atomic int failed;
} walk;

static void walk_block(void *ctx, int64_t begin, int64_t end)
{
    walk *w = ctx;
    const ln__data *d = w->d;
    double *model = w->model + (int64_t)ln__thread_index() * w->rows * d->right;
    if (ln__dgemm(false, true, end - begin, d->right, w->rank, 1, w->l + begin * w->rank, w->rank, w->r, w->rank, 0,
                  model, d->right) != LN_OK) {
        atomic_store(&w->failed, 1);
        return;
    }
    const double *x = d->a ? NULL : d->x + begin * d->right;
    if (d->a) {
        double *rows = w->dense + (model - w->model);
        for (int64_t i = begin; i < end; i++)
            ln__data_row_part(rows + (i - begin) * d->right, d, i * d->right, d->right);
        x = rows;
    }
    w->fn(w->ctx, begin / w->rows, x, model, begin, end - begin);
}

ln_status ln__residual_each(const ln__data *d, const ln__kruskal *k, ln__residual_fn fn, void *ctx)
{
    ln_status st = LN_OK;
    double *l = NULL, *r = NULL;
    walk w = { .d = d, .rank = k->rank, .rows = LN_MIN(ln__residual_block_rows(d), d->left), .fn = fn, .ctx = ctx };
    LN_TRY(ln__alloc((void **)&l, (size_t)d->left, (size_t)k->rank * sizeof *l));
    LN_TRY(ln__alloc((void **)&r, (size_t)d->right, (size_t)k->rank * sizeof *r));
    LN_TRY(ln__alloc((void **)&w.model, (size_t)ln_threads(), (size_t)(w.rows * d->right) * sizeof *w.model));
    if (d->a)
        LN_TRY(ln__alloc((void **)&w.dense, (size_t)ln_threads(), (size_t)(w.rows * d->right) * sizeof *w.dense));
    ln__khatri_rao(l, k, 0, d->split, -1);
    ln__khatri_rao(r, k, d->split, d->order, -1);
    w.l = l;
    w.r = r;
    ln__parallel_for(d->left, w.rows, walk_block, &w);
    if (w.failed)
        LN_FAIL(LN_ERR_SHAPE, "a block of the model is too large for BLAS to count");
done:
    ln__free(l);
    ln__free(r);
    ln__free(w.model);
    ln__free(w.dense);
    return st;
}

/* ---- loss and filling ---- */

typedef struct sums {
    const ln__data *d;
    double *at; /* one per block */
    double *x;  /* where missing entries are filled, or NULL */
} sums;

static void add_block(void *ctx, int64_t block, const double *x, const double *model, int64_t first_row, int64_t rows)
{
    const sums *s = ctx;
    const int64_t n = rows * s->d->right, first = first_row * s->d->right;
    const uint8_t *missing = s->d->missing ? s->d->missing + first : NULL;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (missing && missing[i]) {
            if (s->x)
                s->x[first + i] = model[i];
            continue;
        }
        const double e = x[i] - model[i];
        sum += e * e;
    }
    s->at[block] = sum;
}

static ln_status loss_of(double *out, const ln__data *d, const ln__kruskal *k, double *x)
{
    ln_status st = LN_OK;
    const int64_t rows = ln__residual_block_rows(d), blocks = (d->left + rows - 1) / rows;
    double sum = 0;
    sums s = { .d = d, .x = x };
    LN_TRY(LN_NEW0(&s.at, blocks));
    LN_TRY(ln__residual_each(d, k, add_block, &s));
    for (int64_t i = 0; i < blocks; i++)
        sum += s.at[i];
    *out = sum;
done:
    ln__free(s.at);
    return st;
}

ln_status ln__residual_norm2(double *out, const ln__data *d, const ln__kruskal *k)
{
    return loss_of(out, d, k, NULL);
}

ln_status ln__residual_fill(double *loss, ln__data *d, const ln__kruskal *k)
{
    return loss_of(loss, d, k, d->x);
}

/* ---- the worst fibre ---- */

typedef struct worst {
    const ln__data *d;
    double *gain; /* of the best fibre of a block */
    int64_t *at;  /* its first entry */
} worst;

static void worst_of_block(void *ctx, int64_t block, const double *x, const double *model, int64_t first_row,
                           int64_t rows)
{
    const worst *w = ctx;
    const int64_t length = w->d->dims[w->d->order - 1], n = rows * w->d->right;
    w->gain[block] = -1;
    for (int64_t from = 0; from < n; from += length) {
        double gain = 0;
        for (int64_t i = from; i < from + length; i++) {
            const double e = x[i] - model[i];
            gain += e > 0 ? e * e : 0;
        }
        if (gain > w->gain[block]) {
            w->gain[block] = gain;
            w->at[block] = first_row * w->d->right + from;
        }
    }
}

/* Component r: ones where the fibre begins at entry `at` lies, and its residual's positive part along the last mode. */
static void begin_again(const ln__data *d, ln__kruskal *k, int64_t r, int64_t at)
{
    const int last = d->order - 1;
    const int64_t rank = k->rank, length = d->dims[last];
    int64_t where[LN_MAX_DIMS], rest = at / length;
    for (int n = last - 1; n >= 0; n--) {
        where[n] = rest % d->dims[n];
        rest /= d->dims[n];
    }
    for (int64_t i = 0; i < length; i++) {
        double model = 0;
        for (int64_t s = 0; s < rank; s++) {
            double product = s == r ? 0 : k->f[last][i * rank + s];
            for (int n = 0; n < last; n++)
                product *= k->f[n][where[n] * rank + s];
            model += product;
        }
        double x;
        ln__data_row_part(&x, d, at + i, 1);
        k->f[last][i * rank + r] = fmax(0, x - model);
    }
    for (int n = 0; n < last; n++)
        for (int64_t i = 0; i < d->dims[n]; i++)
            k->f[n][i * rank + r] = i == where[n] ? 1 : 0;
}

ln_status ln__residual_reseed(double *gain, const ln__data *d, ln__kruskal *k, int64_t r)
{
    ln_status st = LN_OK;
    const int64_t rows = ln__residual_block_rows(d), blocks = (d->left + rows - 1) / rows;
    worst w = { .d = d };
    int64_t best = 0;
    LN_TRY(LN_NEW0(&w.gain, blocks));
    LN_TRY(LN_NEW0(&w.at, blocks));
    LN_TRY(ln__residual_each(d, k, worst_of_block, &w));
    for (int64_t i = 1; i < blocks; i++)
        if (w.gain[i] > w.gain[best])
            best = i;
    *gain = w.gain[best];
    if (*gain > 0)
        begin_again(d, k, r, w.at[best]);
done:
    ln__free(w.gain);
    ln__free(w.at);
    return st;
}
