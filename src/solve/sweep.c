/* sweep.c - triangular sweeps over compressed rows and over stencils (Young 1971; Eisenstat 1981).
 *
 * On a line of a grid, what does not wait for the neighbour just done comes first and vectorises; then the chain of
 * those neighbours runs along the line. Beyond the walls lies a line of zeros, so that no neighbour is a special case.
 */
#include "solve/sweep.h"

#include "core/threads.h"
#include "solve/vectors.h"

static inline double diagonal(const ln__matrix *m, const double *value, int64_t i)
{
    return m->scale * value[m->diag[i]] + m->shift;
}

/* ---- lines of a grid: row p sees p +- 1, p +- n2, p +- n1 n2 within the walls ---- */

typedef struct line {
    int64_t at;        /* first unknown of it */
    int64_t far, near; /* how far the lines before it (or, upper, behind it) are along axes 0 and 1; 0: a wall */
} line;

static line line_of(const ln__stencil *s, int64_t l, bool upper)
{
    const int64_t i = l / s->dims[1], j = l % s->dims[1], n = s->dims[2], sign = upper ? 1 : -1;
    const bool far = upper ? i + 1 < s->dims[0] : i > 0, near = upper ? j + 1 < s->dims[1] : j > 0;
    return (line){ l * n, far ? sign * s->dims[1] * n : 0, near ? sign * n : 0 };
}

static const double *beside(const ln__matrix *m, const double *x, int64_t step)
{
    return step ? x + step : m->zeros;
}

/* One line of either solve: z = src + (omega/d) sum of sides times the neighbours done; src = c r/d, or c r. */
static void solve_line(const ln__matrix *m, line l, bool upper, double omega, double src, double *z, const double *r)
{
    const ln__stencil *s = &m->s;
    const double w = omega / s->centre, w0 = w * s->side[0], w1 = w * s->side[1], w2 = w * s->side[2];
    const int64_t n = s->dims[2];
    double *to = z + l.at;
    const double *from = r + l.at, *far = beside(m, to, l.far), *near = beside(m, to, l.near);
    for (int64_t k = 0; k < n; k++)
        to[k] = src * from[k] + w1 * near[k] + w0 * far[k];
    if (upper)
        for (int64_t k = n - 2; k >= 0; k--)
            to[k] += w2 * to[k + 1];
    else
        for (int64_t k = 1; k < n; k++)
            to[k] += w2 * to[k - 1];
}

static void solve_grid(const ln__matrix *m, bool upper, double omega, double src, double *z, const double *r)
{
    const int64_t lines = m->n / m->s.dims[2];
    for (int64_t i = 0; i < lines; i++) {
        const int64_t at = upper ? lines - 1 - i : i;
        solve_line(m, line_of(&m->s, at, upper), upper, omega, src, z, r);
    }
}

static void half_line(const ln__matrix *m, line l, bool upper, double c, double *r, const double *x)
{
    const ln__stencil *s = &m->s;
    const double d = c * s->centre, w0 = s->side[0], w1 = s->side[1], w2 = s->side[2];
    const int64_t n = s->dims[2];
    double *to = r + l.at;
    const double *from = x + l.at, *far = beside(m, from, l.far), *near = beside(m, from, l.near);
    for (int64_t k = 0; k < n; k++)
        to[k] = d * from[k] + w1 * near[k] + w0 * far[k];
    if (upper)
        for (int64_t k = 0; k + 1 < n; k++)
            to[k] += w2 * from[k + 1];
    else
        for (int64_t k = 1; k < n; k++)
            to[k] += w2 * from[k - 1];
}

static void eisenstat_line(const ln__matrix *m, line l, double omega, double *w, double *q, const double *t,
                           const double *v)
{
    const ln__stencil *s = &m->s;
    const double d = s->centre, e = d / omega, inv = 1 / e, w0 = s->side[0], w1 = s->side[1], w2 = s->side[2];
    const int64_t n = s->dims[2];
    double *restrict wl = w + l.at, *restrict ql = q + l.at;
    const double *tl = t + l.at, *vl = v + l.at;
    const double *wf = beside(m, w + l.at, l.far), *wn = beside(m, w + l.at, l.near);
    const double *tf = beside(m, tl, l.far), *tn = beside(m, tl, l.near);
    for (int64_t k = 0; k < n; k++) {
        wl[k] = inv * (vl[k] + (d - 2 * e) * tl[k] + w1 * wn[k] + w0 * wf[k]);
        ql[k] = vl[k] + (d - e) * tl[k] - w1 * tn[k] - w0 * tf[k];
    }
    for (int64_t k = 1; k < n; k++) {
        wl[k] += inv * w2 * wl[k - 1];
        ql[k] -= w2 * tl[k - 1];
    }
}

/* ---- either ---- */

void ln__sweep_lower(const ln__matrix *m, double omega, double c, double *y, const double *r)
{
    if (m->grid) {
        solve_grid(m, false, omega, c / m->s.centre, y, r);
        return;
    }
    const double *value = m->a->value, w = omega * m->scale;
    const int32_t *column = m->a->column;
    for (int64_t i = 0; i < m->n; i++) {
        double sum = 0;
        for (int64_t e = m->a->start[i]; e < m->diag[i]; e++)
            sum += value[e] * y[column[e]];
        y[i] = (c * r[i] - w * sum) / diagonal(m, value, i);
    }
}

void ln__sweep_upper(const ln__matrix *m, double omega, double c, bool times_d, double *z, const double *y)
{
    if (m->grid) {
        solve_grid(m, true, omega, times_d ? c : c / m->s.centre, z, y);
        return;
    }
    const double *value = m->a->value, w = omega * m->scale;
    const int32_t *column = m->a->column;
    for (int64_t i = m->n - 1; i >= 0; i--) {
        const double d = diagonal(m, value, i);
        double sum = 0;
        for (int64_t e = m->diag[i] + 1; e < m->a->start[i + 1]; e++)
            sum += value[e] * z[column[e]];
        z[i] = ((times_d ? d : 1) * c * y[i] - w * sum) / d;
    }
}

typedef struct half {
    const ln__matrix *m;
    bool upper;
    double c, *r;
    const double *x;
} half;

static void half_rows(void *ctx, int64_t begin, int64_t end)
{
    const half *h = ctx;
    const ln__matrix *m = h->m;
    const double *value = m->a->value;
    const int32_t *column = m->a->column;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = h->upper ? m->diag[i] + 1 : m->a->start[i];
        const int64_t last = h->upper ? m->a->start[i + 1] : m->diag[i];
        double sum = 0;
        for (int64_t e = first; e < last; e++)
            sum += value[e] * h->x[column[e]];
        h->r[i] = h->c * diagonal(m, value, i) * h->x[i] - m->scale * sum;
    }
}

static void half_lines(void *ctx, int64_t begin, int64_t end)
{
    const half *h = ctx;
    for (int64_t l = begin; l < end; l++)
        half_line(h->m, line_of(&h->m->s, l, h->upper), h->upper, h->c, h->r, h->x);
}

void ln__sweep_half(const ln__matrix *m, bool upper, double c, double *r, const double *x)
{
    half h = { m, upper, c, r, x };
    if (m->grid)
        ln__parallel_for(m->n / m->s.dims[2], LN_MAX(LN_VECTOR_BLOCK / m->s.dims[2], 1), half_lines, &h);
    else
        ln__parallel_for(m->n, LN_VECTOR_BLOCK, half_rows, &h);
}

void ln__sweep_ssor(const ln__matrix *m, double omega, double *z, const double *r)
{
    ln__sweep_lower(m, omega, 1, z, r);
    ln__sweep_upper(m, omega, omega * (2 - omega), true, z, z);
}

void ln__sweep_sor(const ln__matrix *m, double omega, bool backward, double *x, double *r, double *d)
{
    if (backward)
        ln__sweep_upper(m, omega, omega, false, d, r);
    else
        ln__sweep_lower(m, omega, omega, d, r);
    ln__vec_axpy(x, 1, d, m->n);
    ln__sweep_half(m, !backward, 1 / omega - 1, r, d);
}

void ln__sweep_eisenstat(const ln__matrix *m, double omega, double *w, double *q, const double *t, const double *v)
{
    if (m->grid) {
        for (int64_t l = 0; l < m->n / m->s.dims[2]; l++)
            eisenstat_line(m, line_of(&m->s, l, false), omega, w, q, t, v);
        return;
    }
    const double *value = m->a->value;
    const int32_t *column = m->a->column;
    for (int64_t i = 0; i < m->n; i++) {
        const double d = diagonal(m, value, i), e = d / omega;
        double sw = 0, st = 0;
        for (int64_t k = m->a->start[i]; k < m->diag[i]; k++) {
            sw += value[k] * w[column[k]];
            st += value[k] * t[column[k]];
        }
        w[i] = (v[i] + (d - 2 * e) * t[i] - m->scale * sw) / e;
        q[i] = v[i] + (d - e) * t[i] + m->scale * st;
    }
}
