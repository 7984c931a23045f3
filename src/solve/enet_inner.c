/* enet_inner.c - coordinate descent on a Gram matrix, with exact steps on the signs found.
 *
 * A coordinate costs p operations instead of n. Where columns are nearly collinear, descent crawls; so every few sweeps
 * the equations of the present support and signs, (G_AA + l2) step = q_A - l1 sign_A - l2 w_A, are solved and the step
 * is taken up to the first sign that would flip. Within an orthant the objective is a convex quadratic, so no such step
 * raises it; if the signs were right already, one step ends the search. */
#include <math.h>
#include <string.h>

#include "linalg/linalg.h"
#include "solve/enet.h"

enum { FIRST_STEP = 2, STEP_EVERY = 5 };

double ln__enet_gap_of(double *c, double rr, double ry, double norm1, double norm2, double top, double l1, double l2)
{
    const double primal = 0.5 * rr + l1 * norm1 + 0.5 * l2 * norm2, bend = rr + l2 * norm2;
    double most = top > l1 ? l1 / top : 1;
    *c = bend > 0 && ry > 0 ? fmin(most, ry / bend) : 0;
    return fmax(primal - (*c * ry - 0.5 * *c * *c * bend), 0);
}

static double shrink(double x, double by)
{
    return x > by ? x - by : x < -by ? x + by : 0;
}

static double gap_of(const ln__enet_small *s)
{
    double norm1 = 0, norm2 = 0, top = 0, c;
    for (int64_t i = 0; i < s->p; i++) {
        norm1 += fabs(s->w[i]);
        norm2 += s->w[i] * s->w[i];
        top = fmax(top, fabs(s->q[i] - s->l2 * s->w[i]));
    }
    return ln__enet_gap_of(&c, s->rr, s->ry, norm1, norm2, top, s->l1, s->l2);
}

/* w_i += step: the residual loses step x_i. */
static void move(ln__enet_small *s, int64_t i, double step)
{
    const double *g = s->gram + i * s->p;
    s->rr += step * (step * g[i] - 2 * s->q[i]);
    s->w[i] += step;
    ln__axpy(s->q, -step, g, s->p);
}

/* y = residual + X w, so y . residual = |residual|^2 + w . X^T residual. */
static void refresh(ln__enet_small *s)
{
    s->rr = fmax(s->rr, 0);
    s->ry = s->rr + ln__dot(s->w, s->q, s->p);
}

static void sweep(ln__enet_small *s, bool support_only)
{
    for (int64_t i = 0; i < s->p; i++) {
        if (support_only && s->w[i] == 0)
            continue;
        const double g = s->gram[i * s->p + i], old = s->w[i];
        const double new = shrink(s->q[i] + g * old, s->l1) / (g + s->l2);
        if (new != old)
            move(s, i, new - old);
    }
    refresh(s);
}

/* The step to the stationary point of the present signs, cut where the first of them would flip. */
static void exact_step(ln__enet_small *s)
{
    const int64_t p = s->p;
    double *a = s->work, *step = a + p * p, *index = step + p, length = 1;
    int64_t m = 0, first = -1;
    for (int64_t i = 0; i < p; i++)
        if (s->w[i] != 0)
            index[m++] = (double)i;
    if (m == 0)
        return;
    for (int64_t u = 0; u < m; u++) {
        const int64_t i = (int64_t)index[u];
        for (int64_t v = 0; v < m; v++)
            a[u * m + v] = s->gram[i * p + (int64_t)index[v]];
        a[u * m + u] += s->l2;
        step[u] = s->q[i] - copysign(s->l1, s->w[i]) - s->l2 * s->w[i];
    }
    double *gradient = index + p, rise = 0;
    memcpy(gradient, step, (size_t)m * sizeof *step);
    if (ln__spd_solve(a, m, step, 1) != LN_OK || ln__find_nonfinite_f64(step, m) >= 0)
        return; /* collinear: descent goes on alone */
    for (int64_t u = 0; u < m; u++)
        rise += step[u] * gradient[u];
    if (!(rise > 0))
        return;
    for (int64_t u = 0; u < m; u++) {
        const double w = s->w[(int64_t)index[u]], t = -w / step[u];
        if (step[u] * w < 0 && t < length) {
            length = t;
            first = u;
        }
    }
    for (int64_t u = 0; u < m; u++)
        move(s, (int64_t)index[u], u == first ? -s->w[(int64_t)index[u]] : length * step[u]);
    if (first >= 0)
        s->w[(int64_t)index[first]] = 0;
    refresh(s);
}

ln_status ln__enet_inner(ln__enet_small *s, double target, int64_t *sweeps)
{
    int64_t n = 0;
    refresh(s);
    for (; n < *sweeps; n++) {
        sweep(s, n % STEP_EVERY != 0);
        if (n % STEP_EVERY == FIRST_STEP) {
            exact_step(s);
            sweep(s, false);
        }
        if ((n % STEP_EVERY == 0 || n % STEP_EVERY == FIRST_STEP) && gap_of(s) <= target)
            break;
    }
    *sweeps = LN_MIN(n + 1, *sweeps);
    return LN_OK;
}
