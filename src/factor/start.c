/* start.c - starting values: random; nndsvd (Boutsidis and Gallopoulos 2008) for NMF; singular vectors or k-means for
 * semi-NMF.
 *
 * Random factors are uniform where they are non-negative and normal where they are free; the first has the scale that
 * makes the model about as large as the data, so that a fit of c X is c times the fit of X.
 * Pitfall: the multiplicative rules never leave an exact zero, hence the floors. */
#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "factor/fit.h"

enum { STREAM = 0xfac, EXACT_SIDE = 512, OVERSAMPLE = 10, POWER = 4, LLOYD = 15 };
#define LEAST 1e-6

static void fill_random(ln__kruskal *k, const ln__data *d, const ln__fit_opts *o, int64_t restart)
{
    double scale = d->rms / (double)k->rank;
    for (int n = 0; n < k->order; n++)
        scale *= o->nonneg[n] ? 2 : 1;
    for (int n = 0; n < k->order; n++) {
        ln__rng rng = ln__rng_make((uint64_t)o->o.seed, STREAM + ((uint64_t)restart << 20) + ((uint64_t)n << 12));
        for (int64_t i = 0; i < k->dims[n] * k->rank; i++) {
            const double v = o->nonneg[n] ? fmax(ln__rng_uniform(&rng), LEAST) : ln__rng_normal(&rng);
            k->f[n][i] = n == 0 ? v * scale : v;
        }
    }
}

/* ---- singular vectors ---- */

typedef struct singular {
    double *u, *s, *vt; /* (left, p), (p), (p, right) */
    int64_t p;
} singular;

static void singular_free(singular *v)
{
    ln__free(v->u);
    ln__free(v->s);
    ln__free(v->vt);
}

static ln_status singular_of(singular *v, const ln__data *d, int64_t rank, uint64_t seed)
{
    ln_status st = LN_OK;
    const int64_t side = LN_MIN(d->left, d->right);
    const ln__matvec a = ln__data_map(d);
    const bool exact = side <= EXACT_SIDE && !d->a;
    v->p = exact ? side : LN_MIN(rank, side);
    LN_TRY(ln__alloc((void **)&v->u, (size_t)d->left, (size_t)v->p * sizeof *v->u));
    LN_TRY(LN_NEW(&v->s, v->p));
    LN_TRY(ln__alloc((void **)&v->vt, (size_t)v->p, (size_t)d->right * sizeof *v->vt));
    if (exact)
        LN_TRY(ln__svd(d->x, d->left, d->right, v->u, v->s, v->vt));
    else
        LN_TRY(ln__svd_random(&a, v->p, OVERSAMPLE, POWER, seed, v->u, v->s, v->vt));
done:
    return st;
}

/* The positive or the negative part of a column: its norm, and the part itself over it. */
static double part_norm(const double *x, int64_t n, int64_t stride, double sign)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = sign * x[i * stride];
        sum += v > 0 ? v * v : 0;
    }
    return sqrt(sum);
}

static void put_part(double *out, int64_t rank, const double *x, int64_t n, int64_t stride, double sign, double by)
{
    for (int64_t i = 0; i < n; i++) {
        const double v = sign * x[i * stride];
        out[i * rank] = v > 0 ? v * by : 0;
    }
}

/* Columns beyond the rank of the data stay as they were: random. */
static void fill_nndsvd(ln__kruskal *k, const ln__data *d, const singular *v, bool mean)
{
    const int64_t rank = k->rank, p = v->p, m = d->left, n = d->right;
    for (int64_t r = 0; r < LN_MIN(rank, p) && v->s[r] > v->s[0] * 1e-13; r++) {
        const double *u = v->u + r, *w = v->vt + r * n;
        double sign = 1;
        if (part_norm(u, m, p, -1) * part_norm(w, n, 1, -1) > part_norm(u, m, p, 1) * part_norm(w, n, 1, 1))
            sign = -1;
        const double a = part_norm(u, m, p, sign), b = part_norm(w, n, 1, sign), root = sqrt(v->s[r] * a * b);
        put_part(k->f[0] + r, rank, u, m, p, sign, a > 0 ? root / a : 0);
        put_part(k->f[1] + r, rank, w, n, 1, sign, b > 0 ? root / b : 0);
    }
    if (!mean)
        return;
    const double average = ln__data_sum(d) / (double)(m * n);
    for (int f = 0; f < 2; f++)
        for (int64_t i = 0; i < k->dims[f] * rank; i++)
            if (k->f[f][i] < LEAST * average)
                k->f[f][i] = average;
}

static void fill_svd(ln__kruskal *k, const singular *v)
{
    for (int64_t r = 0; r < LN_MIN(k->rank, v->p); r++) {
        const double root = sqrt(v->s[r]);
        for (int64_t i = 0; i < k->dims[0]; i++)
            k->f[0][i * k->rank + r] = v->u[i * v->p + r] * root;
        for (int64_t i = 0; i < k->dims[1]; i++)
            k->f[1][i * k->rank + r] = fmax(v->vt[r * k->dims[1] + i] * root, LEAST);
    }
}

static ln_status fill_singular(ln__kruskal *k, const ln__data *d, const ln__fit_opts *o)
{
    ln_status st = LN_OK;
    singular v = { 0 };
    LN_TRY(singular_of(&v, d, k->rank, (uint64_t)o->o.seed));
    if (o->start == LN__START_SVD)
        fill_svd(k, &v);
    else
        fill_nndsvd(k, d, &v, o->start == LN__START_NNDSVDA);
done:
    singular_free(&v);
    return st;
}

/* ---- k-means on the columns: centroids and cells ---- */

typedef struct means {
    ln__kruskal *k;
    const ln__data *d;
    double *cross; /* (n, rank): column . centroid */
    double *norm;  /* (rank) of the centroids, squared */
    double *column;
    int64_t *cell, *size;
    ln__rng rng;
} means;

static ln_status assign(means *m)
{
    const int64_t rank = m->k->rank, n = m->d->right;
    for (int64_t r = 0; r < rank; r++) {
        m->norm[r] = 0;
        for (int64_t i = 0; i < m->d->left; i++)
            m->norm[r] += m->k->f[0][i * rank + r] * m->k->f[0][i * rank + r];
    }
    const ln_status st = ln__data_left(m->cross, m->d, m->k->f[0], rank);
    for (int64_t j = 0; j < n; j++) {
        m->cell[j] = 0;
        for (int64_t r = 1; r < rank; r++)
            if (m->norm[r] - 2 * m->cross[j * rank + r] < m->norm[m->cell[j]] - 2 * m->cross[j * rank + m->cell[j]])
                m->cell[j] = r;
    }
    return st;
}

static void centroids(means *m)
{
    const int64_t rank = m->k->rank, n = m->d->right;
    memset(m->size, 0, (size_t)rank * sizeof *m->size);
    for (int64_t j = 0; j < n; j++)
        m->size[m->cell[j]]++;
    memset(m->k->f[0], 0, (size_t)(m->d->left * rank) * sizeof(double));
    for (int64_t j = 0; j < n; j++) {
        double *f = m->k->f[0] + m->cell[j];
        ln__data_column(m->column, 1, m->d, j);
        for (int64_t i = 0; i < m->d->left; i++)
            f[i * rank] += m->column[i] / (double)m->size[m->cell[j]];
    }
    for (int64_t r = 0; r < rank; r++)
        if (m->size[r] == 0)
            ln__data_column(m->k->f[0] + r, rank, m->d, ln__rng_below(&m->rng, n));
}

static ln_status fill_kmeans(ln__kruskal *k, const ln__data *d, const ln__fit_opts *o, int64_t restart)
{
    ln_status st = LN_OK;
    const int64_t n = d->right;
    means m = { .k = k, .d = d, .rng = ln__rng_make((uint64_t)o->o.seed, STREAM + 1 + ((uint64_t)restart << 20)) };
    int64_t *order = NULL;
    LN_TRY(ln__alloc((void **)&m.cross, (size_t)n, (size_t)k->rank * sizeof *m.cross));
    LN_TRY(LN_NEW(&m.norm, k->rank));
    LN_TRY(LN_NEW(&m.column, d->left));
    LN_TRY(LN_NEW(&m.cell, n));
    LN_TRY(LN_NEW(&m.size, k->rank));
    LN_TRY(LN_NEW(&order, n));
    for (int64_t j = 0; j < n; j++)
        order[j] = j;
    ln__rng_shuffle_i64(&m.rng, order, n);
    for (int64_t r = 0; r < k->rank; r++)
        ln__data_column(k->f[0] + r, k->rank, d, order[r % n]);
    for (int step = 0; step < LLOYD; step++) {
        LN_TRY(assign(&m));
        centroids(&m);
    }
    LN_TRY(assign(&m));
    for (int64_t j = 0; j < n; j++)
        for (int64_t r = 0; r < k->rank; r++)
            k->f[1][j * k->rank + r] = r == m.cell[j] ? 1 : LEAST;
done:
    ln__free(m.cross);
    ln__free(m.norm);
    ln__free(m.column);
    ln__free(m.cell);
    ln__free(m.size);
    ln__free(order);
    return st;
}

ln_status ln__start(ln__kruskal *k, const ln__data *d, const ln__fit_opts *opts, int64_t restart)
{
    fill_random(k, d, opts, restart);
    switch (opts->start) {
    case LN__START_KMEANS:
        return fill_kmeans(k, d, opts, restart);
    case LN__START_NNDSVD:
    case LN__START_NNDSVDA:
    case LN__START_SVD:
        return fill_singular(k, d, opts);
    default:
        return LN_OK;
    }
}
