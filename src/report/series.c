/* series.c - one curve of an envelope, checked and thinned to what a page may carry. Points that are no numbers, or
 * beyond what can be drawn, are left out. */
#include "report/page.h"

#include <math.h>
#include <string.h>

/* Keeps first and last point, and of each of the stretches between them the least and the greatest y, in order: what a
 * drawing of that width can show, peaks included. */
static int64_t thin(double *x, double *y, int64_t n, int64_t budget)
{
    const int64_t stretches = LN_MAX(1, (budget - 2) / 2), inner = n - 2;
    int64_t o = 1;
    if (n <= budget || n < 4)
        return n;
    for (int64_t s = 0; s < stretches; s++) {
        const int64_t begin = 1 + inner * s / stretches, end = 1 + inner * (s + 1) / stretches;
        int64_t lo = begin, hi = begin;
        for (int64_t i = begin; i < end; i++) {
            lo = y[i] < y[lo] ? i : lo;
            hi = y[i] > y[hi] ? i : hi;
        }
        if (begin == end)
            continue;
        const int64_t a = LN_MIN(lo, hi), b = LN_MAX(lo, hi);
        const double ax = x[a], ay = y[a], bx = x[b], by = y[b];
        x[o] = ax;
        y[o++] = ay;
        if (a != b) {
            x[o] = bx;
            y[o++] = by;
        }
    }
    x[o] = x[n - 1];
    y[o++] = y[n - 1];
    return o;
}

/* Differences of such numbers are finite, and so are their logarithms. */
static bool drawable(const json_t *v)
{
    return json_is_number(v) && fabs(json_number_value(v)) < 1e300;
}

static double place(const json_t *v)
{
    const double x = json_number_value(v);
    return fabs(x) < 1e-300 ? 0 : x;
}

bool ln__curve_read(ln__page *p, ln__curve *c, const json_t *series)
{
    const json_t *xs = json_object_get(series, "x"), *ys = json_object_get(series, "y");
    const int64_t n = (int64_t)LN_MIN(json_array_size(xs), json_array_size(ys));
    *c = (ln__curve){ .name = ln__member(series, "name", ""), .rising = true };
    if (n == 0 || p->st != LN_OK)
        return false;
    p->st = LN_NEW(&c->x, n);
    if (p->st == LN_OK)
        p->st = LN_NEW(&c->y, n);
    if (p->st != LN_OK)
        return false;
    for (int64_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(xs, (size_t)i), *y = json_array_get(ys, (size_t)i);
        if (!drawable(x) || !drawable(y))
            continue;
        c->x[c->all] = place(x);
        c->y[c->all] = place(y);
        c->rising &= c->all == 0 || c->x[c->all] >= c->x[c->all - 1];
        c->all++;
    }
    c->n = thin(c->x, c->y, c->all, p->budget.points);
    return c->n > 0;
}

void ln__curve_free(ln__curve *c)
{
    ln__free(c->x);
    ln__free(c->y);
    *c = (ln__curve){ 0 };
}
