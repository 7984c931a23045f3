/* momentum.c - extrapolated sweeps with restart.
 *
 * A sweep of alternating updates begins from F_k + beta (F_k - F_{k-1}), clipped at the bounds, instead of from F_k.
 * The loss of what comes out is that of a model like any other, so it decides: no lower than before, and the sweep is
 * taken back, beta shrinks, and a plain sweep from F_k follows. Kept losses therefore never rise. beta and its bound
 * move as in Ang and Gillis, Neural Computation 31 (2019), Algorithm 3; whole sweeps and restarts as in Mitchell, Ye
 * and De Sterck, Numerical Linear Algebra with Applications 27 (2020). Pitfall: near the end a leap can gain nothing
 * where a plain sweep still would, so only a plain sweep may end a fit. */
#include "factor/momentum.h"

#include <math.h>

#define BETA 0.5
#define GROW 1.3
#define GROW_MOST 1.1
#define SHRINK 1.5

ln_status ln__momentum_new(ln__momentum *m, const ln__kruskal *k, bool on)
{
    ln_status st = LN_OK;
    *m = (ln__momentum){ .beta = BETA, .most = 1, .on = on };
    if (!on)
        return LN_OK;
    LN_TRY(ln__kruskal_new(&m->held, k->order, k->dims, k->rank));
    LN_TRY(ln__kruskal_new(&m->older, k->order, k->dims, k->rank));
done:
    return st;
}

void ln__momentum_free(ln__momentum *m)
{
    ln__kruskal_free(&m->held);
    ln__kruskal_free(&m->older);
}

bool ln__momentum_leap(ln__momentum *m, ln__kruskal *k, const double *floor)
{
    if (!m->on)
        return false;
    ln__kruskal_copy(&m->held, k);
    m->ahead = m->history;
    if (!m->ahead)
        return false;
    for (int n = 0; n < k->order; n++) {
        const int64_t count = k->dims[n] * k->rank;
        const double *older = m->older.f[n];
        double *f = k->f[n];
        for (int64_t i = 0; i < count; i++) {
            const double next = f[i] + m->beta * (f[i] - older[i]);
            f[i] = next > floor[n] ? next : floor[n];
        }
    }
    return true;
}

bool ln__momentum_settle(ln__momentum *m, ln__kruskal *k, bool fell)
{
    if (!m->on)
        return false;
    if (m->ahead && !fell) {
        ln__kruskal_copy(k, &m->held);
        m->history = false;
        m->most = m->beta;
        m->beta /= SHRINK;
        return true;
    }
    if (m->ahead) {
        m->beta = fmin(m->most, GROW * m->beta);
        m->most = fmin(1, GROW_MOST * m->most);
    }
    const ln__kruskal old = m->older;
    m->older = m->held;
    m->held = old;
    m->history = true;
    return false;
}

void ln__momentum_forget(ln__momentum *m)
{
    m->history = false;
}
