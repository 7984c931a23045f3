/* update.c - one factor W (rows, rank) against fixed others, from P = X K and G = K^T K. Rows are independent, so they
 * are shared between threads in tiles of fixed size.
 *
 * HALS: Cichocki and Phan 2009; several sweeps per P, which costs far more: Gillis and Glineur 2012. MU: Lee and Seung
 * 2001. Semi-NMF: Ding, Li and Jordan 2010, formula 12.
 * Pitfall: an entry that is exactly 0 stays 0 for ever under both multiplicative rules, hence a floor of FLOOR. */
#include "factor/update.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "factor/hals_vec.h"
#include "linalg/linalg.h"

enum { TILE = LN__HALS_TILE, ROWS = 128 }; /* rows of a chunk: several tiles */
#define FLOOR 1e-16

typedef struct job {
    double *w, *work; /* work: per thread */
    const double *p, *g;
    int64_t rank, per_thread;
    int sweeps;
    double floor, eps;
    const ln__hals_loops *loops;
} job;

static double *own_work(const job *j)
{
    return j->work + (int64_t)ln__thread_index() * j->per_thread;
}

/* Room for `per_thread` numbers for each thread, and the loop over all rows. */
static ln_status over_rows(job *j, int64_t rows, int64_t per_thread, ln__range_fn fn)
{
    ln_status st = LN_OK;
    j->per_thread = per_thread;
    LN_TRY(ln__alloc((void **)&j->work, (size_t)ln_threads(), (size_t)per_thread * sizeof *j->work));
    ln__parallel_for(rows, ROWS, fn, j);
done:
    ln__free(j->work);
    return st;
}

/* ---- HALS ---- */

static void to_tile(double *tile, const double *rows, int64_t n, int64_t rank)
{
    for (int64_t r = 0; r < rank; r++)
        for (int64_t t = 0; t < TILE; t++)
            tile[r * TILE + t] = t < n ? rows[t * rank + r] : 0;
}

static void hals_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t rank = j->rank;
    double *w = own_work(j), *p = w + rank * TILE;
    for (int64_t at = begin; at < end; at += TILE) {
        const int64_t n = LN_MIN(TILE, end - at);
        to_tile(w, j->w + at * rank, n, rank);
        to_tile(p, j->p + at * rank, n, rank);
        j->loops->tile(w, p, j->g, rank, j->sweeps, j->floor);
        for (int64_t t = 0; t < n; t++)
            for (int64_t r = 0; r < rank; r++)
                j->w[(at + t) * rank + r] = w[r * TILE + t];
    }
}

ln_status ln__update_hals(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps,
                          double floor)
{
    job j = { .w = w, .p = p, .g = g, .rank = rank, .sweeps = sweeps, .floor = floor };
    j.loops = LN__LEVELS(ln__hals);
    return over_rows(&j, rows, 2 * rank * TILE, hals_rows);
}

void ln__update_hals_reference(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps,
                               double floor)
{
    for (int64_t i = 0; i < rows; i++)
        for (int sweep = 0; sweep < sweeps; sweep++)
            for (int64_t r = 0; r < rank; r++) {
                double slope = p[i * rank + r];
                for (int64_t s = 0; s < rank; s++)
                    slope -= w[i * rank + s] * g[s * rank + r];
                if (g[r * rank + r] > 0)
                    w[i * rank + r] = fmax(floor, w[i * rank + r] + slope / g[r * rank + r]);
            }
}

/* ---- multiplicative ---- */

/* out = row G, G symmetric */
static void times_gram(double *out, const double *row, const double *g, int64_t rank)
{
    memset(out, 0, (size_t)rank * sizeof *out);
    for (int64_t s = 0; s < rank; s++)
        for (int64_t r = 0; r < rank; r++)
            out[r] += row[s] * g[s * rank + r];
}

static void mu_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    double *wg = own_work(j);
    for (int64_t i = begin; i < end; i++)
        for (int sweep = 0; sweep < j->sweeps; sweep++) {
            double *w = j->w + i * j->rank;
            const double *p = j->p + i * j->rank;
            times_gram(wg, w, j->g, j->rank);
            for (int64_t r = 0; r < j->rank; r++)
                w[r] = wg[r] > 0 ? fmax(FLOOR * FLOOR, w[r] * (p[r] / wg[r])) : w[r];
        }
}

ln_status ln__update_mu(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps)
{
    job j = { .w = w, .p = p, .g = g, .rank = rank, .sweeps = sweeps };
    return over_rows(&j, rows, rank, mu_rows);
}

/* W G- and W G+ at once: G+ - G- = G, G+ + G- = |G|. */
static void semi_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t rank = j->rank;
    double *plus = own_work(j), *minus = plus + rank;
    for (int64_t i = begin; i < end; i++)
        for (int sweep = 0; sweep < j->sweeps; sweep++) {
            double *w = j->w + i * rank;
            const double *p = j->p + i * rank;
            memset(plus, 0, (size_t)(2 * rank) * sizeof *plus);
            for (int64_t s = 0; s < rank; s++)
                for (int64_t r = 0; r < rank; r++) {
                    const double g = j->g[s * rank + r];
                    plus[r] += w[s] * (g > 0 ? g : 0);
                    minus[r] += w[s] * (g < 0 ? -g : 0);
                }
            for (int64_t r = 0; r < rank; r++) {
                const double up = (p[r] > 0 ? p[r] : 0) + minus[r], down = (p[r] < 0 ? -p[r] : 0) + plus[r] + j->eps;
                w[r] = down > 0 ? fmax(FLOOR, w[r] * sqrt(up / down)) : w[r];
            }
        }
}

ln_status ln__update_semi(double *w, const double *p, const double *g, int64_t rows, int64_t rank, int sweeps,
                          double eps)
{
    job j = { .w = w, .p = p, .g = g, .rank = rank, .sweeps = sweeps, .eps = eps };
    return over_rows(&j, rows, 2 * rank, semi_rows);
}

/* ---- least squares ---- */

ln_status ln__update_free(double *w, const double *p, const double *g, int64_t rows, int64_t rank, double ridge,
                          bool prox, double *work)
{
    ln_status st = LN_OK;
    double *s = work, *r = work + rank * rank, more = 0;
    memcpy(s, g, (size_t)(rank * rank) * sizeof *s);
    for (int64_t i = 0; i < rank; i++)
        s[i * rank + i] += ridge;
    LN_TRY(ln__cholesky(r, s, rank, &more, "the Gram of the other factors"));
    for (int64_t i = 0; i < rows * rank; i++)
        w[i] = p[i] + (prox ? ridge * w[i] : 0);
    LN_TRY(ln__trsm(true, false, rank, rows, r, w, rank)); /* W <- W R^-1 R^-T */
    LN_TRY(ln__trsm(true, true, rank, rows, r, w, rank));
done:
    return st;
}

/* ---- sparsity ---- */

/* The keep-th largest of n numbers, by selection (Hoare); x is reordered. */
static double select_largest(double *x, int64_t n, int64_t keep)
{
    int64_t lo = 0, hi = n - 1;
    const int64_t want = keep - 1;
    while (lo < hi) {
        const double pivot = x[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (x[i] > pivot)
                i++;
            while (x[j] < pivot)
                j--;
            if (i <= j) {
                const double keep_x = x[i];
                x[i++] = x[j];
                x[j--] = keep_x;
            }
        }
        if (want <= j)
            hi = j;
        else if (want >= i)
            lo = i;
        else
            break;
    }
    return x[want];
}

ln_status ln__update_sparsify(double *w, int64_t rows, int64_t rank, int64_t keep)
{
    ln_status st = LN_OK;
    double *column = NULL;
    if (keep >= rows)
        return LN_OK;
    LN_TRY(LN_NEW(&column, rows));
    for (int64_t r = 0; r < rank; r++) {
        for (int64_t i = 0; i < rows; i++)
            column[i] = fabs(w[i * rank + r]);
        const double least = select_largest(column, rows, keep);
        for (int64_t i = 0; i < rows; i++)
            if (fabs(w[i * rank + r]) < least)
                w[i * rank + r] = 0;
    }
done:
    ln__free(column);
    return st;
}
