/* phases.c - SparseTSF and MixLinear filter a window, z = k * x, and send every phase through one matrix g. With the
 * shifts x_j[t] = x[t + j - P div 2] (zero outside the window) and X_j[k,p] = x_j[k P + p],
 *     sum_p |y_p - g sum_j k_j X_j[:,p]|^2 = |y|^2 - 2 <g, sum_j k_j C_j> + <g, g sum_ij k_i k_j N_ij>
 *     N_ij = sum_p X_i[:,p] X_j[:,p]^T,  C_j = sum_p y_p X_j[:,p]^T,
 * summed over all windows: both are sums of entries of the moments of windows. Pitfall: when the period does not divide
 * the horizon, the last row of g forecasts only some of the phases, and has a sum N of its own. */
#include "forecast/phases.h"

#include <string.h>

#include "core/threads.h"

typedef struct job {
    ln__phases *p;
    const ln__moments *m;
    int64_t period;
    double *within;
    int64_t phases;
} job;

/* N_ij for pairs (i, j) of taps, begin … end - 1. */
static void pairs(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t P = j->period, half = P / 2, nx = j->p->nx, L = j->m->look_back, n = j->m->n;
    for (int64_t q = begin; q < end; q++) {
        const int64_t a = q / j->p->taps - half, b = q % j->p->taps - half;
        double *to = j->within + q * nx * nx;
        for (int64_t r = 0; r < nx; r++)
            for (int64_t s = 0; s < nx; s++) {
                const int64_t row = r * P + a, col = s * P + b;
                const int64_t from = LN_MAX(0, LN_MAX(-row, -col)), to_p = LN_MIN(j->phases, LN_MIN(L - row, L - col));
                const double *at = j->m->second + row * n + col;
                double sum = 0;
                for (int64_t p = from; p < to_p; p++)
                    sum += at[p * (n + 1)];
                to[r * nx + s] = sum;
            }
    }
}

static ln_status make_within(double **out, job *j, int64_t phases)
{
    ln_status st = LN_OK;
    const int64_t taps = j->p->taps, nx = j->p->nx;
    LN_TRY(ln__alloc((void **)out, (size_t)(taps * taps), (size_t)(nx * nx) * sizeof **out));
    j->within = *out;
    j->phases = phases;
    ln__parallel_for(taps * taps, 16, pairs, j);
done:
    return st;
}

static void make_across(const job *j)
{
    ln__phases *p = j->p;
    const int64_t P = j->period, half = P / 2, L = j->m->look_back, n = j->m->n;
    for (int64_t a = 0; a < p->taps; a++)
        for (int64_t r = 0; r < p->ny; r++)
            for (int64_t s = 0; s < p->nx; s++) {
                const int64_t col = s * P + a - half, phases = r + 1 == p->ny ? p->last : P;
                double sum = 0;
                for (int64_t k = LN_MAX(0, -col); k < LN_MIN(phases, L - col); k++)
                    sum += j->m->second[(L + r * P + k) * n + col + k];
                p->across[(a * p->ny + r) * p->nx + s] = sum;
            }
}

ln_status ln__phases_make(ln__phases *p, const ln__moments *m, int64_t period)
{
    ln_status st = LN_OK;
    const int64_t L = m->look_back, H = m->n - L;
    job j = { .p = p, .m = m, .period = period };
    *p = (ln__phases){ .taps = 2 * (period / 2) + 1, .nx = L / period, .ny = (H + period - 1) / period };
    p->last = H - (p->ny - 1) * period;
    LN_TRY(make_within(&p->within, &j, period));
    if (p->last < period)
        LN_TRY(make_within(&p->within_last, &j, p->last));
    LN_TRY(ln__alloc((void **)&p->across, (size_t)p->taps, (size_t)(p->ny * p->nx) * sizeof *p->across));
    make_across(&j);
    for (int64_t h = L; h < m->n; h++)
        p->power += m->second[h * m->n + h];
    p->count = (double)m->windows * (double)H;
done:
    return st;
}

void ln__phases_free(ln__phases *p)
{
    ln__free(p->within);
    ln__free(p->within_last);
    ln__free(p->across);
    *p = (ln__phases){ 0 };
}

/* ---- on the tape ---- */

ln_var *ln__phases_kernel(ln_tape *t, ln_var *k)
{
    const int64_t taps = ln_var_count(k);
    ln_var *one = ln_scalar(t, LN_F64, 1), *flat = ln_reshape(t, k, 1, (int64_t[]){ taps });
    ln_var *e = ln_pad(t, ln_reshape(t, one, 1, (int64_t[]){ 1 }), 0, taps / 2, taps / 2, LN_PAD_ZERO);
    return ln_add(t, flat, e);
}

/* <g, g N>, N = sum_ij k_i k_j N_ij */
static ln_var *energy(ln_tape *t, const ln__phases *p, ln_var *pair, ln_var *g, double *within)
{
    const int64_t dims[] = { p->taps * p->taps, p->nx * p->nx };
    ln_var *table = ln_wrap(t, LN_F64, 2, dims, NULL, within);
    ln_var *n = ln_reshape(t, ln_matmul(t, pair, table, 0, 0), 2, (int64_t[]){ p->nx, p->nx });
    return ln_sum(t, ln_mul(t, ln_matmul(t, g, n, 0, 0), g), LN_ALL, 0);
}

ln_var *ln__phases_mse(ln_tape *t, const ln__phases *p, ln_var *kernel, ln_var *g)
{
    const int64_t taps = p->taps, nx = p->nx, ny = p->ny;
    ln_var *row = ln_reshape(t, kernel, 2, (int64_t[]){ 1, taps });
    ln_var *pair = ln_reshape(t, ln_outer(t, kernel, kernel), 2, (int64_t[]){ 1, taps * taps });
    ln_var *table = ln_wrap(t, LN_F64, 2, (int64_t[]){ taps, ny * nx }, NULL, p->across);
    ln_var *cross = ln_reshape(t, ln_matmul(t, row, table, 0, 0), 2, (int64_t[]){ ny, nx });
    ln_var *sum = ln_scale(t, ln_sum(t, ln_mul(t, cross, g), LN_ALL, 0), -2);
    if (!p->within_last) {
        sum = ln_add(t, sum, energy(t, p, pair, g, p->within));
    } else {
        if (ny > 1)
            sum = ln_add(t, sum, energy(t, p, pair, ln_narrow(t, g, 0, 0, ny - 1), p->within));
        sum = ln_add(t, sum, energy(t, p, pair, ln_narrow(t, g, 0, ny - 1, 1), p->within_last));
    }
    return ln_scale(t, ln_shift(t, sum, p->power), 1 / p->count);
}
