/* connectome_affinity.c - which pairs of neurons change together, when (Dyballa et al., ICLR 2024; the exact formula is
 * not published, this is ours).
 *
 *   x <- Gaussian(x); x <- (x - min)/(max - min); d = central difference; d <- clip(d / 95th percentile of |d|, -1, 1)
 *   A_ij(t) = sqrt(d_i d_j) where d_i d_j > 0, else 0   (or another of ln_affinity);   A <- Gaussian(A), thinned
 *
 * Scaling by the percentile keeps loud neurons from ruling; a trace that never changes has no affinity to any. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/threads.h"
#include "factor/connectome.h"
#include "factor/sbm.h"

static int by_size(const void *a, const void *b)
{
    const double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* Half of a Gaussian of deviation `sigma` samples, cut at four of them. */
static ln_status kernel(double **out, int64_t *radius, double sigma)
{
    ln_status st = LN_OK;
    *radius = (int64_t)ceil(4 * sigma);
    LN_TRY(LN_NEW(out, *radius + 1));
    for (int64_t i = 0; i <= *radius; i++)
        (*out)[i] = i == 0 ? 1 : exp(-0.5 * (double)(i * i) / (sigma * sigma));
done:
    return st;
}

/* One smoothed value; at the ends the kernel that is left is scaled up. */
static double smoothed(const double *x, int64_t n, int64_t t, const double *g, int64_t radius)
{
    double sum = 0, mass = 0;
    for (int64_t i = -radius; i <= radius; i++)
        if (t + i >= 0 && t + i < n) {
            sum += g[i < 0 ? -i : i] * x[t + i];
            mass += g[i < 0 ? -i : i];
        }
    return sum / mass;
}

/* d of one trace; x is (time) with a stride. */
static void derivative(double *d, double *work, const double *x, int64_t stride, int64_t n, const double *g,
                       int64_t radius)
{
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t t = 0; t < n; t++)
        work[t] = x[t * stride];
    for (int64_t t = 0; t < n; t++) {
        d[t] = smoothed(work, n, t, g, radius);
        lo = LN_MIN(lo, d[t]);
        hi = LN_MAX(hi, d[t]);
    }
    const double scale = hi > lo ? 1 / (hi - lo) : 0;
    for (int64_t t = 0; t < n; t++) {
        const int64_t a = LN_MAX(t - 1, 0), b = LN_MIN(t + 1, n - 1);
        work[t] = (d[b] - d[a]) * scale / (double)(b - a);
    }
    for (int64_t t = 0; t < n; t++)
        d[t] = fabs(work[t]);
    qsort(d, (size_t)n, sizeof *d, by_size);
    const double loud = d[(int64_t)(0.95 * (double)(n - 1))];
    for (int64_t t = 0; t < n; t++)
        d[t] = loud > 0 ? LN_MAX(-1, LN_MIN(1, work[t] / loud)) : 0;
}

static double affinity(double a, double b, int32_t kind)
{
    const double product = a * b;
    if (kind == LN_AFFINITY_ABS)
        return sqrt(fabs(product));
    if (product <= 0)
        return 0;
    return kind == LN_AFFINITY_GEO ? sqrt(product) : kind == LN_AFFINITY_PROD ? product : LN_MIN(fabs(a), fabs(b));
}

typedef struct pairs {
    const double *d, *g; /* (animals, neurons, time); kernel of the affinities */
    const bool *missing; /* (animals, neurons) */
    int64_t animals, neurons, time, samples, step, radius;
    bool joined;
    int32_t kind;
    const int32_t *i, *j;
    double *work; /* (threads, time) */
    float *out;
    unsigned char *mask; /* or NULL */
} pairs;

static void some_pairs(void *ctx, int64_t begin, int64_t end)
{
    pairs *p = ctx;
    double *a = p->work + ln__thread_index() * p->time;
    for (int64_t k = begin; k < end; k++)
        for (int64_t w = 0; w < p->animals; w++) {
            const double *x = p->d + (w * p->neurons + p->i[k]) * p->time;
            const double *y = p->d + (w * p->neurons + p->j[k]) * p->time;
            const bool missing = p->missing[w * p->neurons + p->i[k]] || p->missing[w * p->neurons + p->j[k]];
            for (int64_t t = 0; t < p->time; t++)
                a[t] = missing ? 0 : affinity(x[t], y[t], p->kind);
            for (int64_t s = 0; s < p->samples; s++) {
                const int64_t at =
                    p->joined ? (k * p->animals + w) * p->samples + s : (k * p->samples + s) * p->animals + w;
                p->out[at] = missing ? 0 : (float)smoothed(a, p->time, s * p->step, p->g, p->radius);
                if (p->mask)
                    p->mask[at] = !missing;
            }
        }
}

/* Which neurons are missing where; any other NaN is refused. */
static ln_status find_missing(bool *missing, bool *some, const double *x, int64_t animals, int64_t time,
                              int64_t neurons)
{
    for (int64_t w = 0; w < animals; w++)
        for (int64_t i = 0; i < neurons; i++) {
            int64_t bad = 0, first = 0;
            for (int64_t t = time - 1; t >= 0; t--)
                if (!isfinite(x[(w * time + t) * neurons + i])) {
                    bad++;
                    first = t;
                }
            missing[w * neurons + i] = bad == time;
            *some |= bad == time;
            if (bad > 0 && bad < time)
                return ln__fail(LN_ERR_NUMERIC, "connectome: animal %lld, neuron %lld, sample %lld is no number",
                                (long long)w, (long long)i, (long long)first);
        }
    return LN_OK;
}

static ln_status check(const ln_tensor *traces)
{
    if (!traces || ln_tensor_ndim(traces) != 3 || ln_tensor_dtype(traces) != LN_F64 || !ln_tensor_contiguous(traces))
        return ln__fail(LN_ERR_ARG, "connectome: traces must be f64 (animals, time, neurons), contiguous");
    if (ln_tensor_dim(traces, 0) < 1 || ln_tensor_dim(traces, 1) < 4 || ln_tensor_dim(traces, 2) < 2 ||
        ln_tensor_dim(traces, 2) > LN_SBM_MOST_NODES)
        return ln__fail(LN_ERR_SHAPE, "connectome: at least 1 animal, 4 samples and 2 to %d neurons are needed",
                        LN_SBM_MOST_NODES);
    return LN_OK;
}

ln_status ln_connectome_affinity(ln_tensor **out, ln_tensor **mask, const ln_tensor *traces,
                                 const ln_connectome_opts *opts)
{
    ln_status st = LN_OK;
    ln_connectome_opts o;
    ln_tensor *a = NULL, *m = NULL;
    double *d = NULL, *g = NULL, *h = NULL, *work = NULL;
    bool *missing = NULL, some = false;
    int32_t *i = NULL, *j = NULL;
    int64_t radius = 0, radius_a = 0, n_pairs = 0;
    LN_TRY(check(traces));
    ln_params_defaults(ln_connectome_params(), &o);
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, ln_connectome_params(), "connectome"));
    const int64_t W = ln_tensor_dim(traces, 0), T = ln_tensor_dim(traces, 1), n = ln_tensor_dim(traces, 2);
    const int64_t P = n * (n - 1) / 2, step = (T + o.samples - 1) / o.samples, S = (T + step - 1) / step;
    const double *x = ln_tensor_cdata(traces);
    LN_TRY(LN_NEW(&d, W * n * T));
    LN_TRY(LN_NEW(&work, LN_MAX(ln_threads(), 1) * T));
    LN_TRY(LN_NEW(&missing, W * n));
    LN_TRY(LN_NEW(&i, P));
    LN_TRY(LN_NEW(&j, P));
    LN_TRY(kernel(&g, &radius, o.smooth * o.rate));
    LN_TRY(kernel(&h, &radius_a, o.smooth_affinity * o.rate));
    LN_TRY(find_missing(missing, &some, x, W, T, n));
    const int64_t shape[] = { P, o.joined ? W * S : S, o.joined ? 1 : W };
    LN_TRY(ln_tensor_new(&a, LN_F32, 3, shape));
    if (some)
        LN_TRY(ln_tensor_new(&m, LN_U8, 3, shape));
    for (int64_t w = 0; w < W; w++)
        for (int64_t v = 0; v < n; v++)
            derivative(d + (w * n + v) * T, work, x + w * T * n + v, n, T, g, radius);
    for (int32_t v = 0; v < n; v++)
        for (int32_t u = v + 1; u < n; u++) {
            i[n_pairs] = v;
            j[n_pairs++] = u;
        }
    pairs p = { d,
                h,
                missing,
                W,
                n,
                T,
                S,
                step,
                radius_a,
                o.joined,
                o.kind,
                i,
                j,
                work,
                ln_tensor_data(a),
                m ? ln_tensor_data(m) : NULL };
    ln__parallel_for(P, 16, some_pairs, &p);
    *out = a;
    *mask = m;
    a = m = NULL;
done:
    ln_tensor_release(a);
    ln_tensor_release(m);
    void *const owned[] = { d, g, h, work, missing, i, j };
    for (int64_t k = 0; k < LN_COUNT(owned); k++)
        ln__free(owned[k]);
    return st;
}
