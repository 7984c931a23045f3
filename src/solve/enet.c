/* enet.c - the elastic net path: working sets, Gap-Safe screening, Gram rows that are kept, warm starts.
 *
 * For one lambda: a working set W (support, and what the sequential strong rule does not exclude) is solved on its Gram
 * matrix; one pass over all columns in doubt gives the true duality gap, from which either the end, or the columns that
 * a Gap-Safe sphere proves zero (|x_j . theta| < 1 - |x_j| sqrt(2 gap) / l1; Ndiaye et al. 2017) and the columns that W
 * lacks. With l2 > 0 everything is said of the design stacked on sqrt(l2) I, which makes it a Lasso.
 * Each lambda ends with a residual computed afresh and a pass over all columns, the first pass of the next: the gap
 * that is reported is that of the whole problem and bounds the distance to the optimum whatever happened before. */
#include "solve/enet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/linalg.h"

enum { KEEP_MOST = 2048, SET_LEAST = 16, INNER_SWEEPS = 1000, PASSES_MOST = 200 };

typedef struct path {
    const ln__design *X;
    const ln__enet_opts *o;
    double l1, l2, l1_before;
    double *w, *r, *g;  /* (d), (n), (d): g = X^T r for the columns in doubt */
    bool *out;          /* (d) proved zero for this lambda                  */
    int64_t *doubt, in; /* the others                                       */
    ln__ranked *order;  /* (d)                                              */
    /* kept Gram rows: place[j] of a column in `column`, -1: none */
    int64_t *place, *column, kept, room;
    double *packed, *gram; /* (room, n), (room, room)                         */
    int64_t *set, p;       /* the working set                                  */
    bool *in_set;
    double *small; /* scratch of the working set */
    int64_t small_room;
} path;

/* ---- passes over all columns ---- */

static void correlate_some(void *ctx, int64_t begin, int64_t end)
{
    const path *s = ctx;
    for (int64_t i = begin; i < end; i++) {
        const int64_t j = s->doubt[i];
        s->g[j] = ln__dot(s->X->x + j * s->X->n, s->r, s->X->n);
    }
}

/* g = X^T r where in doubt: as one product while most columns are. */
static ln_status correlate(path *s)
{
    if (2 * s->in > s->X->d)
        return ln__design_correlate(s->g, s->X, s->r);
    ln__parallel_for(s->in, LN_MAX((1 << 16) / LN_MAX(s->X->n, 1), 1), correlate_some, s);
    return LN_OK;
}

/* Duality gap, times n, at w of the problem of the columns in doubt; *c scales the residual to a dual point. */
static double doubt_gap(double *c, const path *s)
{
    double norm1 = 0, norm2 = 0, top = 0;
    for (int64_t i = 0; i < s->in; i++) {
        const int64_t j = s->doubt[i];
        norm1 += fabs(s->w[j]);
        norm2 += s->w[j] * s->w[j];
        top = fmax(top, fabs(s->g[j] - s->l2 * s->w[j]));
    }
    const int64_t n = s->X->n;
    return ln__enet_gap_of(c, ln__dot(s->r, s->r, n), ln__dot(s->r, s->X->y, n), norm1, norm2, top, s->l1, s->l2);
}

/* Drops from doubt what the sphere of this gap proves zero. Coefficients that go take their part of r with them. */
static bool screen(path *s, double gap, double c)
{
    const double radius = sqrt(2 * gap) / s->l1;
    bool moved = false;
    int64_t in = 0;
    for (int64_t i = 0; i < s->in; i++) {
        const int64_t j = s->doubt[i];
        const double at = fabs(s->g[j] - s->l2 * s->w[j]) * c / s->l1;
        s->out[j] = at < 1 - sqrt(s->X->square[j] + s->l2) * radius;
        if (!s->out[j]) {
            s->doubt[in++] = j;
        } else if (s->w[j] != 0) {
            ln__axpy(s->r, s->w[j], s->X->x + j * s->X->n, s->X->n);
            s->w[j] = 0;
            moved = true;
        }
    }
    s->in = in;
    return moved;
}

static void doubt_all(path *s)
{
    s->in = 0;
    for (int64_t j = 0; j < s->X->d; j++) {
        s->out[j] = s->X->square[j] == 0;
        if (!s->out[j])
            s->doubt[s->in++] = j;
    }
}

/* The end of a lambda: all columns are in doubt again, and what rounding has gathered in r is gone. */
static ln_status settle(path *s)
{
    doubt_all(s);
    ln__design_residual(s->r, s->X, s->w);
    return ln__design_correlate(s->g, s->X, s->r);
}

/* ---- the working set ---- */

/* The support, what is in the set and in doubt (unless afresh), then what reaches `level`, best first; not more than
 * twice the support where that is large. A column that is no longer in doubt must go: its g is not kept up to date. */
static void choose_set(path *s, double level, bool afresh)
{
    int64_t n = 0, kept = 0, most = SET_LEAST;
    for (int64_t i = 0; i < s->p; i++) {
        s->in_set[s->set[i]] = !afresh && !s->out[s->set[i]];
        if (s->in_set[s->set[i]])
            s->set[kept++] = s->set[i];
    }
    s->p = kept;
    for (int64_t i = 0; i < s->in; i++) {
        const int64_t j = s->doubt[i];
        if (s->w[j] != 0 && !s->in_set[j]) {
            s->in_set[j] = true;
            s->set[s->p++] = j;
        }
    }
    for (int64_t i = 0; i < s->in; i++) {
        const int64_t j = s->doubt[i];
        const double score = fabs(s->g[j] - s->l2 * s->w[j]);
        if (!s->in_set[j] && score >= level)
            s->order[n++] = (ln__ranked){ j, score };
    }
    most = LN_MAX(most, 2 * s->p);
    if (n > most)
        qsort(s->order, (size_t)n, sizeof *s->order, ln__by_size);
    for (int64_t i = 0; i < LN_MIN(n, most); i++) {
        s->in_set[s->order[i].j] = true;
        s->set[s->p++] = s->order[i].j;
    }
}

/* ---- Gram rows ---- */

static ln_status make_room(path *s, int64_t want)
{
    ln_status st = LN_OK;
    double *packed = NULL, *gram = NULL;
    const int64_t room = LN_MIN(LN_MAX(want, 2 * s->room), LN_MAX(KEEP_MOST, want)), n = s->X->n;
    if (want <= s->room)
        return LN_OK;
    LN_TRY(ln__alloc((void **)&packed, (size_t)room, (size_t)n * sizeof *packed));
    LN_TRY(ln__alloc((void **)&gram, (size_t)room, (size_t)room * sizeof *gram));
    if (s->kept)
        memcpy(packed, s->packed, (size_t)(s->kept * n) * sizeof *packed);
    for (int64_t i = 0; i < s->kept; i++)
        memcpy(gram + i * room, s->gram + i * s->room, (size_t)s->kept * sizeof *gram);
    ln__free(s->packed);
    ln__free(s->gram);
    s->packed = packed;
    s->gram = gram;
    s->room = room;
    packed = gram = NULL;
done:
    ln__free(packed);
    ln__free(gram);
    return st;
}

/* Gram rows of the whole working set, computing those that are not kept yet. */
static ln_status keep_set(path *s)
{
    ln_status st = LN_OK;
    const int64_t n = s->X->n;
    int64_t fresh = 0;
    for (int64_t i = 0; i < s->p; i++)
        fresh += s->place[s->set[i]] < 0;
    if (s->kept + fresh > KEEP_MOST) { /* begin again with this set */
        for (int64_t i = 0; i < s->kept; i++)
            s->place[s->column[i]] = -1;
        s->kept = 0;
        fresh = s->p;
    }
    LN_TRY(make_room(s, s->kept + fresh));
    const int64_t from = s->kept;
    for (int64_t i = 0; i < s->p; i++) {
        const int64_t j = s->set[i];
        if (s->place[j] >= 0)
            continue;
        memcpy(s->packed + s->kept * n, s->X->x + j * n, (size_t)n * sizeof(double));
        s->column[s->kept] = j;
        s->place[j] = s->kept++;
    }
    if (s->kept > from)
        LN_TRY(ln__dgemm(false, true, s->kept - from, s->kept, n, 1, s->packed + from * n, n, s->packed, n, 0,
                         s->gram + from * s->room, s->room));
    for (int64_t i = from; i < s->kept; i++)
        for (int64_t k = 0; k < from; k++)
            s->gram[k * s->room + i] = s->gram[i * s->room + k];
done:
    return st;
}

/* Solves the problem of the working set and brings r up to date. */
static ln_status solve_set(path *s, double target, ln__enet_stat *stat)
{
    ln_status st = LN_OK;
    const int64_t p = s->p, n = s->X->n, need = 2 * p * p + 6 * p;
    int64_t sweeps = LN_MIN(INNER_SWEEPS, s->o->max_iter - stat->sweeps);
    LN_TRY(keep_set(s));
    if (need > s->small_room) {
        LN_TRY(ln__realloc((void **)&s->small, (size_t)need, sizeof *s->small));
        s->small_room = need;
    }
    double *gram = s->small, *q = gram + p * p, *w = q + p, *start = w + p;
    for (int64_t i = 0; i < p; i++) {
        const double *row = s->gram + s->place[s->set[i]] * s->room;
        for (int64_t k = 0; k < p; k++)
            gram[i * p + k] = row[s->place[s->set[k]]];
        q[i] = s->g[s->set[i]];
        w[i] = start[i] = s->w[s->set[i]];
    }
    ln__enet_small inner = {
        .p = p, .gram = gram, .q = q, .w = w, .work = start + p, .rr = ln__dot(s->r, s->r, n), .l1 = s->l1, .l2 = s->l2
    };
    LN_TRY(ln__enet_inner(&inner, target, &sweeps));
    stat->sweeps += sweeps;
    for (int64_t i = 0; i < p; i++) {
        if (w[i] != start[i])
            ln__axpy(s->r, start[i] - w[i], s->X->x + s->set[i] * n, n);
        s->w[s->set[i]] = w[i];
    }
done:
    return st;
}

/* ---- one lambda, and the path ---- */

static ln_status solve(path *s, ln__enet_stat *stat)
{
    ln_status st = LN_OK;
    const double target = s->o->tol * s->X->yy;
    double c, gap = 0;
    *stat = (ln__enet_stat){ 0 };
    for (;; stat->passes++) {
        gap = doubt_gap(&c, s);
        if (gap <= target || stat->passes >= PASSES_MOST || stat->sweeps >= s->o->max_iter)
            break;
        if (s->o->screen && screen(s, gap, c))
            LN_TRY(correlate(s));
        /* the strong rule first; then only what violates the optimality conditions */
        choose_set(s, stat->passes == 0 ? LN_MIN(2 * s->l1 - s->l1_before, 0.999 * s->l1) : s->l1, stat->passes == 0);
        LN_TRY(solve_set(s, 0.3 * LN_MAX(target, stat->passes == 0 ? 0 : 0.1 * gap), stat));
        if (stat->passes % 8 == 7)
            ln__design_residual(s->r, s->X, s->w); /* what rounding has gathered */
        LN_TRY(correlate(s));
    }
    stat->screened = s->X->d - s->in;
    LN_TRY(settle(s));
    gap = doubt_gap(&c, s); /* of all columns */
    stat->gap = s->X->yy > 0 ? gap / s->X->yy : 0;
    stat->converged = gap <= target;
done:
    return st;
}

static void path_free(path *s)
{
    void *const owned[] = { s->w,      s->r,      s->g,    s->out, s->doubt,  s->order, s->place,
                            s->column, s->packed, s->gram, s->set, s->in_set, s->small };
    for (int64_t i = 0; i < LN_COUNT(owned); i++)
        ln__free(owned[i]);
}

static ln_status path_begin(path *s)
{
    ln_status st = LN_OK;
    const int64_t d = s->X->d;
    LN_TRY(LN_NEW0(&s->w, d));
    LN_TRY(LN_NEW(&s->r, s->X->n));
    LN_TRY(LN_NEW0(&s->g, d));
    LN_TRY(LN_NEW0(&s->out, d));
    LN_TRY(LN_NEW(&s->doubt, d));
    LN_TRY(LN_NEW(&s->order, d));
    LN_TRY(LN_NEW(&s->place, d));
    LN_TRY(LN_NEW(&s->column, LN_MAX(d, KEEP_MOST)));
    LN_TRY(LN_NEW(&s->set, d));
    LN_TRY(LN_NEW0(&s->in_set, d));
    for (int64_t j = 0; j < d; j++)
        s->place[j] = -1;
    LN_TRY(settle(s));
done:
    return st;
}

ln_status ln__enet_path(double *w, ln__enet_stat *stats, const ln__design *X, const double *lambda, int64_t steps,
                        const ln__enet_opts *o)
{
    ln_status st = LN_OK;
    path s = { .X = X, .o = o };
    ln__enet_stat own;
    const double n = (double)X->n;
    LN_TRY(path_begin(&s));
    s.l1_before = n * lambda[0] * o->mix;
    for (int64_t t = 0; t < steps; t++) {
        s.l1 = n * lambda[t] * o->mix;
        s.l2 = n * lambda[t] * (1 - o->mix);
        LN_TRY(solve(&s, &own));
        s.l1_before = s.l1;
        memcpy(w + t * X->d, s.w, (size_t)X->d * sizeof *w);
        if (stats)
            stats[t] = own;
    }
done:
    path_free(&s);
    return st;
}

ln_status ln__enet_lambda_max(double *out, const ln__design *X, double mix)
{
    ln_status st = LN_OK;
    double *g = NULL, top = 0;
    LN_TRY(LN_NEW(&g, X->d));
    LN_TRY(ln__design_correlate(g, X, X->y));
    for (int64_t j = 0; j < X->d; j++)
        top = fmax(top, fabs(g[j]));
    *out = top / ((double)X->n * mix);
done:
    ln__free(g);
    return st;
}

ln_status ln__enet_gap(double *gap, const ln__design *X, const double *w, double lambda, double mix)
{
    ln_status st = LN_OK;
    double *r = NULL, *g = NULL, norm1 = 0, norm2 = 0, top = 0, c;
    const double n = (double)X->n, l1 = n * lambda * mix, l2 = n * lambda * (1 - mix);
    LN_TRY(LN_NEW(&r, X->n));
    LN_TRY(LN_NEW(&g, X->d));
    ln__design_residual(r, X, w);
    LN_TRY(ln__design_correlate(g, X, r));
    for (int64_t j = 0; j < X->d; j++) {
        norm1 += fabs(w[j]);
        norm2 += w[j] * w[j];
        top = fmax(top, fabs(g[j] - l2 * w[j]));
    }
    const double whole = ln__enet_gap_of(&c, ln__dot(r, r, X->n), ln__dot(r, X->y, X->n), norm1, norm2, top, l1, l2);
    *gap = X->yy > 0 ? whole / X->yy : 0;
done:
    ln__free(r);
    ln__free(g);
    return st;
}

ln_status ln__enet_reference(double *w, ln__enet_stat *stat, const ln__design *X, double lambda, const ln__enet_opts *o)
{
    ln_status st = LN_OK;
    double *r = NULL;
    const double n = (double)X->n, l1 = n * lambda * o->mix, l2 = n * lambda * (1 - o->mix);
    *stat = (ln__enet_stat){ 0 };
    LN_TRY(LN_NEW(&r, X->n));
    ln__design_residual(r, X, w);
    while (!stat->converged && stat->sweeps < o->max_iter) {
        for (int64_t j = 0; j < X->d; j++) {
            const double *x = X->x + j * X->n, c = X->square[j], old = w[j];
            if (c == 0)
                continue;
            const double z = ln__dot(x, r, X->n) + c * old;
            w[j] = (z > l1 ? z - l1 : z < -l1 ? z + l1 : 0) / (c + l2);
            if (w[j] != old)
                ln__axpy(r, old - w[j], x, X->n);
        }
        if (++stat->sweeps % 10 == 0) {
            LN_TRY(ln__enet_gap(&stat->gap, X, w, lambda, o->mix));
            stat->converged = stat->gap <= o->tol;
        }
    }
done:
    ln__free(r);
    return st;
}
