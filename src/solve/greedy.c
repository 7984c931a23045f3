/* greedy.c - `linnet regress omp`, `iht` and `cosamp`: k coefficients, one solution for each k of the path.
 *
 * OMP (Pati, Rezaiifar, Krishnaprasad 1993): take the column most correlated with the residual, least squares on all
 * taken, repeat. IHT (Blumensath, Davies 2009): w <- H_k(w + X^T r / sigma_max^2), H_k keeping the k largest. CoSaMP
 * (Needell, Tropp 2009): join the 2k columns most correlated with the residual to the support, least squares, keep the
 * k largest. The fixed points of the last two are least squares on their support, so that is what they return. Pitfall:
 * nearly dependent columns; each is dropped when what is new in it is below 1e-8 of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/colqr.h"
#include "solve/regress.h"
#include "solve/sparse_grid.h"
#include "solve/systems.h"

#define DEPENDENT 1e-8
enum { POWER_STEPS = 100 };

static const ln_param omp_params[] = {
    LN_SPARSE_K_PARAMS,
    LN_P_REAL(ln_sparse_opts, tol, 1e-12, 0, 1, "stop when |residual|^2 is below this times |y|^2"),
    LN_P_END,
};
static const ln_param iht_params[] = {
    LN_SPARSE_K_PARAMS,
    LN_P_INT(ln_sparse_opts, max_iter, 1000, 1, 1 << 30, "steps for one k"),
    LN_P_REAL(ln_sparse_opts, tol, 1e-6, 0, 1, "stop when a step changes the coefficients by less, relative"),
    LN_P_END,
};
static const ln_param cosamp_params[] = {
    LN_SPARSE_K_PARAMS,
    LN_P_INT(ln_sparse_opts, max_iter, 50, 1, 1 << 30, "steps for one k"),
    LN_P_END,
};

/* ---- the grid of k ---- */

ln_status ln__sparse_grid(ln__grid *g, const ln__design *X, int64_t least, const void *opts, const ln_regress_opts *o)
{
    ln_status st = LN_OK;
    const ln_sparse_opts *p = opts;
    const int64_t room = LN_MIN(X->d, least - (o->intercept ? 1 : 0));
    int64_t most = p->k > 0 ? p->k : p->max_k > 0 ? p->max_k : LN_MIN(LN_MAX(least / 4, 1), 50);
    if (p->k > room)
        LN_FAIL(LN_ERR_RANGE, "regress: --k %d, but %lld rows (of the smallest fold) and %lld columns allow %lld",
                (int)p->k, (long long)least, (long long)X->d, (long long)room);
    most = LN_MIN(most, room);
    LN_TRY(ln__grid_new(g, 1, LN_MAX(most, 1)));
    for (int64_t t = 0; t < g->steps; t++)
        g->value[t] = (double)(t + 1);
    if (p->k > 0)
        g->chosen = g->steps - 1;
done:
    return st;
}

/* ---- the k largest ---- */

/* Brings the k first of n entries, in the order of ln__by_size, to the front (quickselect; the order is total, so what
 * is chosen does not depend on how). */
static void select_first(ln__ranked *e, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n - 1;
    while (lo < hi && k > lo && k <= hi) {
        const ln__ranked pivot = e[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (ln__by_size(&e[i], &pivot) < 0)
                i++;
            while (ln__by_size(&e[j], &pivot) > 0)
                j--;
            if (i <= j) {
                const ln__ranked t = e[i];
                e[i++] = e[j];
                e[j--] = t;
            }
        }
        if (k <= j)
            hi = j;
        else if (k > i)
            lo = i;
        else
            return;
    }
}

/* Indices of the k largest |v_j| scale_j that are not 0, into index; returns how many. */
static int64_t largest(int64_t *index, ln__ranked *e, const double *v, const double *square, int64_t d, int64_t k,
                       bool times)
{
    int64_t n = 0;
    for (int64_t j = 0; j < d; j++) {
        if (v[j] == 0 || square[j] == 0)
            continue;
        const double norm = sqrt(square[j]);
        e[n++] = (ln__ranked){ j, fabs(v[j]) * (times ? norm : 1 / norm) };
    }
    select_first(e, n, LN_MIN(n, k));
    qsort(e, (size_t)LN_MIN(n, k), sizeof *e, ln__by_size);
    for (int64_t i = 0; i < LN_MIN(n, k); i++)
        index[i] = e[i].j;
    return LN_MIN(n, k);
}

typedef struct greedy {
    const ln__design *X;
    ln__colqr qr;
    double *r, *g, *w, *before;
    ln__ranked *e;
    int64_t *set, *merged;
} greedy;

static void greedy_free(greedy *s)
{
    ln__colqr_free(&s->qr);
    ln__free(s->r);
    ln__free(s->g);
    ln__free(s->w);
    ln__free(s->before);
    ln__free(s->e);
    ln__free(s->set);
    ln__free(s->merged);
}

static ln_status greedy_begin(greedy *s, const ln__design *X, int64_t room)
{
    ln_status st = LN_OK;
    *s = (greedy){ .X = X };
    LN_TRY(ln__colqr_new(&s->qr, X->n, LN_MIN(room, X->n)));
    LN_TRY(LN_NEW(&s->r, X->n));
    LN_TRY(LN_NEW(&s->g, X->d));
    LN_TRY(LN_NEW0(&s->w, X->d));
    LN_TRY(LN_NEW0(&s->before, X->d));
    LN_TRY(LN_NEW(&s->e, X->d));
    LN_TRY(LN_NEW(&s->set, X->d));
    LN_TRY(LN_NEW(&s->merged, X->d));
done:
    return st;
}

/* ---- omp ---- */

/* The column most correlated with the residual, by |x_j . r| / |x_j|, among those that may be taken; -1: none. */
static int64_t best_column(const greedy *s, const bool *gone)
{
    int64_t best = -1;
    double most = 0;
    for (int64_t j = 0; j < s->X->d; j++) {
        if (gone[j] || s->X->square[j] == 0)
            continue;
        const double c = fabs(s->g[j]) / sqrt(s->X->square[j]);
        if (c > most) {
            most = c;
            best = j;
        }
    }
    return best;
}

static ln_status omp_solve(ln__solution *out, const ln__design *X, const ln__grid *g, int64_t group, const void *opts,
                           uint64_t seed)
{
    ln_status st = LN_OK;
    const ln_sparse_opts *o = opts;
    greedy s = { 0 };
    bool *gone = NULL;
    double rr = X->yy, *solved = NULL;
    (void)group;
    (void)seed;
    LN_TRY(greedy_begin(&s, X, g->steps));
    LN_TRY(LN_NEW0(&gone, X->d));
    LN_TRY(LN_NEW(&solved, g->steps));
    memcpy(s.r, X->y, (size_t)X->n * sizeof *s.r);
    for (int64_t t = 0; t < g->steps; t++) {
        double *w = out->w + t * X->d;
        bool taken = false;
        while (!taken && rr > o->tol * X->yy) {
            LN_TRY(ln__design_correlate(s.g, X, s.r));
            const int64_t j = best_column(&s, gone);
            if (j < 0)
                break;
            gone[j] = true;
            taken = ln__colqr_add(&s.qr, X->x + j * X->n, X->y, DEPENDENT);
            if (taken)
                s.set[s.qr.k - 1] = j;
        }
        if (taken) {
            const double *q = s.qr.q + (s.qr.k - 1) * X->n;
            ln__axpy(s.r, -ln__dot(q, s.r, X->n), q, X->n);
            rr = ln__dot(s.r, s.r, X->n);
        }
        ln__colqr_solve(solved, &s.qr, s.qr.k);
        for (int64_t i = 0; i < s.qr.k; i++)
            w[s.set[i]] = solved[i];
    }
done:
    greedy_free(&s);
    ln__free(gone);
    ln__free(solved);
    return st;
}

/* ---- iht ---- */

/* sigma_max^2 of X by power iteration from a fixed start, a little too large rather than too small. */
static ln_status largest_square(double *out, greedy *s)
{
    ln_status st = LN_OK;
    const ln__design *X = s->X;
    double value = 0;
    for (int64_t j = 0; j < X->d; j++)
        s->g[j] = 1 + 0.5 * sin((double)j + 1);
    for (int i = 0; i < POWER_STEPS; i++) {
        const double norm = sqrt(ln__dot(s->g, s->g, X->d));
        if (norm == 0)
            break;
        for (int64_t j = 0; j < X->d; j++)
            s->g[j] /= norm;
        LN_TRY(ln__dgemv(true, X->d, X->n, 1, X->x, X->n, s->g, 0, s->r));
        value = ln__dot(s->r, s->r, X->n);
        LN_TRY(ln__design_correlate(s->g, X, s->r));
    }
    *out = 1.02 * value;
done:
    return st;
}

static ln_status iht_one(greedy *s, double *w, bool *converged, int64_t k, double step, const ln_sparse_opts *o)
{
    ln_status st = LN_OK;
    const ln__design *X = s->X;
    int64_t n = 0;
    memset(s->w, 0, (size_t)X->d * sizeof *s->w);
    *converged = false;
    for (int it = 0; it < o->max_iter && !*converged; it++) {
        double moved = 0, size = 0;
        ln__design_residual(s->r, X, s->w);
        LN_TRY(ln__design_correlate(s->g, X, s->r));
        for (int64_t j = 0; j < X->d; j++)
            s->g[j] = s->w[j] + step * s->g[j];
        n = largest(s->set, s->e, s->g, X->square, X->d, k, true);
        memcpy(s->before, s->w, (size_t)X->d * sizeof *s->w);
        memset(s->w, 0, (size_t)X->d * sizeof *s->w);
        for (int64_t i = 0; i < n; i++)
            s->w[s->set[i]] = s->g[s->set[i]];
        for (int64_t j = 0; j < X->d; j++) {
            moved += (s->w[j] - s->before[j]) * (s->w[j] - s->before[j]);
            size += s->w[j] * s->w[j];
        }
        *converged = moved <= o->tol * o->tol * size;
    }
    ln__colqr_fit(w, &s->qr, X, s->set, n);
done:
    return st;
}

static ln_status iht_solve(ln__solution *out, const ln__design *X, const ln__grid *g, int64_t group, const void *opts,
                           uint64_t seed)
{
    ln_status st = LN_OK;
    greedy s = { 0 };
    double square = 0;
    (void)group;
    (void)seed;
    LN_TRY(greedy_begin(&s, X, g->steps));
    LN_TRY(largest_square(&square, &s));
    for (int64_t t = 0; t < g->steps && square > 0; t++) {
        bool converged = false;
        LN_TRY(iht_one(&s, out->w + t * X->d, &converged, t + 1, 1 / square, opts));
        out->converged = out->converged && converged;
    }
done:
    greedy_free(&s);
    return st;
}

/* ---- cosamp ---- */

static ln_status cosamp_one(greedy *s, double *w, bool *converged, int64_t k, const ln_sparse_opts *o)
{
    ln_status st = LN_OK;
    const ln__design *X = s->X;
    double best = X->yy;
    int64_t n = 0;
    memcpy(s->r, X->y, (size_t)X->n * sizeof *s->r);
    memset(w, 0, (size_t)X->d * sizeof *w);
    *converged = false;
    for (int it = 0; it < o->max_iter && !*converged; it++) {
        LN_TRY(ln__design_correlate(s->g, X, s->r));
        for (int64_t i = 0; i < n; i++)
            s->g[s->set[i]] = 0; /* those are in already */
        memcpy(s->merged, s->set, (size_t)n * sizeof *s->set);
        const int64_t more = largest(s->merged + n, s->e, s->g, X->square, X->d, LN_MIN(2 * k, X->d - n), false);
        ln__colqr_fit(s->w, &s->qr, X, s->merged, n + more);
        n = largest(s->set, s->e, s->w, X->square, X->d, k, true);
        ln__colqr_fit(s->w, &s->qr, X, s->set, n);
        ln__design_residual(s->r, X, s->w);
        const double rr = ln__dot(s->r, s->r, X->n);
        *converged = !(rr < best * (1 - 1e-12));
        if (!*converged) {
            best = rr;
            memcpy(w, s->w, (size_t)X->d * sizeof *w);
        }
    }
done:
    return st;
}

static ln_status cosamp_solve(ln__solution *out, const ln__design *X, const ln__grid *g, int64_t group,
                              const void *opts, uint64_t seed)
{
    ln_status st = LN_OK;
    greedy s = { 0 };
    (void)group;
    (void)seed;
    LN_TRY(greedy_begin(&s, X, LN_MIN(3 * g->steps, X->d)));
    for (int64_t t = 0; t < g->steps; t++) {
        bool converged = false;
        LN_TRY(cosamp_one(&s, out->w + t * X->d, &converged, t + 1, opts));
        out->converged = out->converged && converged;
    }
done:
    greedy_free(&s);
    return st;
}

LN_SPARSE_SYSTEM(omp, ln__sparse_grid,
                 "orthogonal matching pursuit: the column most correlated with what is left, then least squares",
                 "Pati, Rezaiifar and Krishnaprasad 1993",
                 "linnet regress omp diabetes.csv --target progression --k 5");
LN_SPARSE_SYSTEM(iht, ln__sparse_grid,
                 "iterative hard thresholding: gradient steps that keep the k largest coefficients",
                 "Blumensath and Davies 2009", "linnet regress iht diabetes.csv --target progression --k 5");
LN_SPARSE_SYSTEM(cosamp, ln__sparse_grid,
                 "compressive sampling matching pursuit: 2k columns join, least squares, the k largest stay",
                 "Needell and Tropp 2009", "linnet regress cosamp diabetes.csv --target progression --k 5");
