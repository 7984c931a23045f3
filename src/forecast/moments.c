/* moments.c - second moments of sliding windows, and least squares from them.
 *
 * With u a channel and W windows, S[i,j] = sum_a u[a+i] u[a+j] obeys S[i+1,j+1] = S[i,j] + u[W+i] u[W+j] - u[i] u[j]:
 * only the first row needs a pass over the data. Taking a level off is linear in the window, v' = (I - 1 l^T) v, so it
 * is done to S. Ridge regression from these is Hoerl and Kennard (1970); that the linear forecasters of Zeng et al.
 * (AAAI 2023) are solved by it, see Toner and Darlow, arXiv 2403.14587. Pitfall: the level of FITS divides by the
 * window's deviation, which is not linear; but the division is undone after the map, so only its bias keeps the
 * deviation as a factor: its moments are the ones that need a pass of their own. */
#include "forecast/moments.h"

#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "linalg/linalg.h"

enum { LAGS = 32, CHUNK = 4096 };

/* Four running sums, so that the compiler may use them side by side. */
static double dot(const double *a, const double *b, int64_t n)
{
    double s[8] = { 0 };
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

typedef struct job {
    ln__moments *m;
    const double *u; /* channels one after the other, `rows` each */
    int64_t channels, rows, windows;
} job;

static const double *channel(const job *j, int64_t c)
{
    return j->u + c * j->rows;
}

/* Chunk by chunk of the windows, so that one chunk serves all lags from the cache. */
static void first_row(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t c = 0; c < j->channels; c++)
        for (int64_t a = 0; a < j->windows; a += CHUNK) {
            const double *u = channel(j, c) + a;
            const int64_t n = LN_MIN(CHUNK, j->windows - a);
            for (int64_t k = begin; k < end; k++)
                j->m->second[k] += dot(u, u + k, n);
        }
}

/* One diagonal band: S[i,j] for j - i in [begin, end), all i. */
static void diagonals(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t n = j->m->n, W = j->windows;
    double *s = j->m->second;
    for (int64_t i = 0; i + 1 < n; i++) {
        const int64_t last = LN_MIN(end, n - 1 - i);
        for (int64_t d = begin; d < last; d++)
            s[(i + 1) * n + i + 1 + d] = s[i * n + i + d];
        for (int64_t c = 0; c < j->channels; c++) {
            const double *u = channel(j, c), in = u[W + i], out = u[i];
            const double *up = u + W + i, *down = u + i;
            double *to = s + (i + 1) * n + i + 1;
            for (int64_t d = begin; d < last; d++)
                to[d] += in * up[d] - out * down[d];
        }
    }
}

static void mirror(double *s, int64_t n)
{
    enum { TILE = 32 };
    for (int64_t i = 0; i < n; i += TILE)
        for (int64_t j = 0; j <= i; j += TILE)
            for (int64_t r = i; r < LN_MIN(i + TILE, n); r++)
                for (int64_t c = j; c < LN_MIN(j + TILE, r); c++)
                    s[r * n + c] = s[c * n + r];
}

static void sums(const job *j)
{
    double *f = j->m->first;
    for (int64_t c = 0; c < j->channels; c++) {
        const double *u = channel(j, c);
        double sum = 0;
        for (int64_t a = 0; a < j->windows; a++)
            sum += u[a];
        for (int64_t i = 0; i < j->m->n; i++) {
            f[i] += sum;
            sum += u[j->windows + i < j->rows ? j->windows + i : j->rows - 1] - u[i];
        }
    }
    j->m->zeroth = (double)(j->windows * j->channels);
}

/* v' = v - 1 (l^T v): S' = S - w 1^T - 1 w^T + q 1 1^T with w = S l, q = l^T w. `w`: room for n. */
static void take_level_off(ln__moments *m, ln__level level, double *w)
{
    const int64_t n = m->n, L = m->look_back;
    double q = 0, f = 0;
    if (level == LN__LEVEL_NONE)
        return;
    for (int64_t i = 0; i < n; i++) {
        const double *s = m->second + i * n;
        double sum = 0;
        for (int64_t j = 0; j < L; j++)
            sum += s[j];
        w[i] = level == LN__LEVEL_LAST ? s[L - 1] : sum / (double)L;
    }
    for (int64_t j = 0; j < L; j++) {
        q += w[j] / (double)L;
        f += m->first[j] / (double)L;
    }
    if (level == LN__LEVEL_LAST) {
        q = w[L - 1];
        f = m->first[L - 1];
    }
    for (int64_t i = 0; i < n; i++) {
        m->first[i] -= f;
        for (int64_t j = 0; j < n; j++)
            m->second[i * n + j] += q - w[i] - w[j];
    }
}

/* first = sum s (v - mean), zeroth = sum s^2, window by window. */
static void scaled_sums(const job *j)
{
    ln__moments *m = j->m;
    const int64_t L = m->look_back;
    memset(m->first, 0, (size_t)m->n * sizeof *m->first);
    m->zeroth = 0;
    for (int64_t c = 0; c < j->channels; c++)
        for (int64_t a = 0; a < j->windows; a++) {
            const double *u = channel(j, c) + a;
            double mean = 0, power = 0;
            for (int64_t i = 0; i < L; i++)
                mean += u[i] / (double)L;
            for (int64_t i = 0; i < L; i++)
                power += (u[i] - mean) * (u[i] - mean);
            const double s2 = power / (double)LN_MAX(L - 1, 1) + 1e-5, s = sqrt(s2);
            for (int64_t i = 0; i < m->n; i++)
                m->first[i] += s * (u[i] - mean);
            m->zeroth += s2;
        }
}

static ln_status begin(ln__moments *m, job *j, double **u, const double *x, int64_t channels, int64_t windows,
                       int64_t look_back, int64_t horizon)
{
    ln_status st = LN_OK;
    const int64_t n = look_back + horizon, rows = windows + n - 1;
    *m = (ln__moments){ .look_back = look_back, .n = n, .windows = windows * channels };
    LN_TRY(ln__calloc((void **)&m->second, (size_t)n, (size_t)n * sizeof *m->second));
    LN_TRY(LN_NEW0(&m->first, n));
    LN_TRY(ln__alloc((void **)u, (size_t)rows, (size_t)channels * sizeof **u));
    for (int64_t t = 0; t < rows; t++)
        for (int64_t c = 0; c < channels; c++)
            (*u)[c * rows + t] = x[t * channels + c];
    *j = (job){ m, *u, channels, rows, windows };
done:
    return st;
}

ln_status ln__moments_make(ln__moments *m, const double *x, int64_t channels, int64_t windows, int64_t look_back,
                           int64_t horizon, ln__level level)
{
    ln_status st = LN_OK;
    job j;
    double *u = NULL, *w = NULL;
    LN_TRY(begin(m, &j, &u, x, channels, windows, look_back, horizon));
    LN_TRY(LN_NEW(&w, m->n));
    ln__parallel_for(m->n, LAGS, first_row, &j);
    ln__parallel_for(m->n, 256, diagonals, &j);
    mirror(m->second, m->n);
    sums(&j);
    take_level_off(m, level == LN__LEVEL_SCALED ? LN__LEVEL_MEAN : level, w);
    if (level == LN__LEVEL_SCALED)
        scaled_sums(&j);
done:
    ln__free(u);
    ln__free(w);
    return st;
}

ln_status ln__moments_reference(ln__moments *m, const double *x, int64_t channels, int64_t windows, int64_t look_back,
                                int64_t horizon, ln__level level)
{
    ln_status st = LN_OK;
    job j;
    double *u = NULL, *v = NULL;
    LN_TRY(begin(m, &j, &u, x, channels, windows, look_back, horizon));
    LN_TRY(LN_NEW(&v, m->n));
    for (int64_t c = 0; c < channels; c++)
        for (int64_t a = 0; a < windows; a++) {
            const double *p = channel(&j, c) + a;
            double mean = 0, power = 0, s = 1;
            for (int64_t i = 0; i < look_back; i++)
                mean += p[i] / (double)look_back;
            for (int64_t i = 0; i < look_back; i++)
                power += (p[i] - mean) * (p[i] - mean);
            if (level == LN__LEVEL_SCALED)
                s = sqrt(power / (double)LN_MAX(look_back - 1, 1) + 1e-5);
            const double off = level == LN__LEVEL_NONE ? 0 : level == LN__LEVEL_LAST ? p[look_back - 1] : mean;
            for (int64_t i = 0; i < m->n; i++)
                v[i] = p[i] - off;
            for (int64_t i = 0; i < m->n; i++) {
                m->first[i] += s * v[i];
                for (int64_t k = 0; k < m->n; k++)
                    m->second[i * m->n + k] += v[i] * v[k];
            }
            m->zeroth += s * s;
        }
done:
    ln__free(u);
    ln__free(v);
    return st;
}

void ln__moments_free(ln__moments *m)
{
    ln__free(m->second);
    ln__free(m->first);
    *m = (ln__moments){ 0 };
}

/* ---- errors and least squares ---- */

/* sum |y - A x - s b|^2 = tr Syy - 2 tr(A Sxy) + tr(A Sxx A^T) + 2 b.(A fx - fy) + |b|^2 s0 */
ln_status ln__moments_mse(double *mse, const ln__moments *m, const double *a, const double *b)
{
    ln_status st = LN_OK;
    const int64_t n = m->n, L = m->look_back, H = n - L;
    double *as = NULL, sum = 0;
    LN_TRY(ln__alloc((void **)&as, (size_t)H, (size_t)L * sizeof *as));
    LN_TRY(ln__dgemm(false, false, H, L, L, 1, a, L, m->second, n, 0, as, L));
    for (int64_t h = 0; h < H; h++) {
        const double *row = a + h * L, *cross = m->second + (L + h) * n;
        double part = cross[L + h];
        for (int64_t i = 0; i < L; i++)
            part += row[i] * (as[h * L + i] - 2 * cross[i]);
        if (b) {
            double af = -m->first[L + h];
            for (int64_t i = 0; i < L; i++)
                af += row[i] * m->first[i];
            part += b[h] * (2 * af + b[h] * m->zeroth);
        }
        sum += part;
    }
    *mse = sum / ((double)m->windows * (double)H);
done:
    ln__free(as);
    return st;
}

/* G = R Sxx R^T and C = R Sxy, (L,H): the problem in the coordinates in which the penalty is plain. */
static ln_status rotate(double *g, double *c, const ln__moments *m, const double *r)
{
    ln_status st = LN_OK;
    const int64_t L = m->look_back, H = m->n - L;
    if (!r)
        return LN_OK;
    LN_TRY(ln__trmm(false, false, L, L, r, g, L));
    LN_TRY(ln__trmm(true, true, L, L, r, g, L));
    LN_TRY(ln__trmm(false, false, L, H, r, c, H));
done:
    return st;
}

ln_status ln__moments_solve(double *a, double *b, const ln__moments *m, double ridge, const double *r)
{
    ln_status st = LN_OK;
    const int64_t n = m->n, L = m->look_back, H = n - L;
    double *g = NULL, *c = NULL, mean = 0;
    LN_TRY(ln__alloc((void **)&g, (size_t)L, (size_t)L * sizeof *g));
    LN_TRY(ln__alloc((void **)&c, (size_t)L, (size_t)H * sizeof *c));
    for (int64_t i = 0; i < L; i++) {
        const double f = m->first[i] / m->zeroth;
        for (int64_t j = 0; j < L; j++)
            g[i * L + j] = m->second[i * n + j] - (b ? f * m->first[j] : 0);
        for (int64_t h = 0; h < H; h++)
            c[i * H + h] = m->second[i * n + L + h] - (b ? f * m->first[L + h] : 0);
        mean += m->second[i * n + i] / (double)L;
    }
    LN_TRY(rotate(g, c, m, r));
    for (int64_t i = 0; i < L; i++)
        g[i * L + i] += ridge * (mean > 0 ? mean : 1);
    LN_TRY(ln__spd_solve(g, L, c, H));
    if (r)
        LN_TRY(ln__trmm(false, true, L, H, r, c, H)); /* A^T = R^T B^T */
    for (int64_t h = 0; h < H; h++) {
        double s = m->first[L + h];
        for (int64_t i = 0; i < L; i++) {
            a[h * L + i] = c[i * H + h];
            s -= c[i * H + h] * m->first[i];
        }
        if (b)
            b[h] = s / m->zeroth;
    }
done:
    ln__free(g);
    ln__free(c);
    return st;
}
