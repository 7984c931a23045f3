/* fits.c - FITS: the low frequencies of a window, stretched by one complex matrix into those of window and forecast.
 *
 *     xn = (x - m) / s, s^2 = unbiased variance + 1e-5;  D = rfft(xn)[0 … c-1];  V = W D + b, o = int(c (L+H)/L) bins
 *     (back-cast, forecast) = irfft(V, zero above, length L + H) (L+H)/L s + m
 * Xu, Zeng, Xu, "FITS: modeling time series with 10k parameters", ICLR 2024. The division by s is undone after the map,
 * so W acts on x - m itself and only the bias keeps s: the error is a quadratic form in (W, b), on the moments of the
 * windows seen through the c bins (2c numbers). The training takes whole-batch steps on it.
 * Modes: 0 error of back-cast and forecast, 1 of the forecast alone. Pitfall: L + H must be even, or the inverse
 * transform of the published code is a row short; it is refused here. */
#include <math.h>
#include <string.h>

#include "forecast/options.h"
#include "forecast/forecaster.h"
#include "forecast/systems.h"
#include "linalg/fft.h"
#include "linalg/linalg.h"

/* Sizes, and the two fixed maps: seen (2c, L) from a window to its bins, back (n, 2o) from bins to rows first … L+H-1.
 */
typedef struct bands {
    int64_t L, H, c, o, rows; /* rows: forecast, or back-cast and forecast */
    double *seen, *back;
} bands;

static int64_t stretched(int64_t L, int64_t H, int64_t c)
{
    return LN_MIN(c * (L + H) / L, (L + H) / 2 + 1);
}

static void bands_free(bands *b)
{
    ln__free(b->seen);
    ln__free(b->back);
}

static ln_status bands_make(bands *b, int64_t L, int64_t H, int64_t c, int64_t rows)
{
    ln_status st = LN_OK;
    const int64_t N = L + H, o = stretched(L, H, c);
    double re, im;
    *b = (bands){ .L = L, .H = H, .c = c, .o = o, .rows = rows };
    LN_TRY(ln__alloc((void **)&b->seen, (size_t)(2 * c), (size_t)L * sizeof *b->seen));
    LN_TRY(ln__alloc((void **)&b->back, (size_t)rows, (size_t)(2 * o) * sizeof *b->back));
    for (int64_t k = 0; k < c; k++)
        for (int64_t t = 0; t < L; t++) {
            ln__fft_root(k * t % L, L, &re, &im);
            b->seen[k * L + t] = re;
            b->seen[(c + k) * L + t] = im;
        }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < o; k++) { /* (L+H)/L times the 1/(L+H) of the inverse; mates counted by the 2 */
            const double scale = (k == 0 || 2 * k == N ? 1 : 2) / (double)L;
            ln__fft_root(k * (N - rows + r) % N, N, &re, &im);
            b->back[r * 2 * o + k] = scale * re;
            b->back[r * 2 * o + o + k] = k == 0 || 2 * k == N ? 0 : scale * im; /* Re(V conj(root)) */
        }
done:
    return st;
}

/* A window's moments through `seen`: q (2c,2c), cross (rows,2c), f (2c), fy (rows). The back-cast's truth is the
 * window. */
typedef struct band_moments {
    double *q, *cross, *f, *fy;
    double power, zeroth, count;
} band_moments;

static void moments_free(band_moments *m)
{
    ln__free(m->q);
    ln__free(m->cross);
    ln__free(m->f);
    ln__free(m->fy);
}

static ln_status moments_make(band_moments *m, const bands *b, const ln__moments *w)
{
    ln_status st = LN_OK;
    const int64_t two = 2 * b->c, L = b->L, n = w->n, first = n - b->rows;
    double *half = NULL;
    *m = (band_moments){ .zeroth = w->zeroth, .count = (double)w->windows * (double)b->rows };
    LN_TRY(ln__alloc((void **)&half, (size_t)two, (size_t)L * sizeof *half));
    LN_TRY(ln__alloc((void **)&m->q, (size_t)two, (size_t)two * sizeof *m->q));
    LN_TRY(ln__alloc((void **)&m->cross, (size_t)b->rows, (size_t)two * sizeof *m->cross));
    LN_TRY(LN_NEW(&m->f, two));
    LN_TRY(LN_NEW(&m->fy, b->rows));
    LN_TRY(ln__dgemm(false, false, two, L, L, 1, b->seen, L, w->second, n, 0, half, L));
    LN_TRY(ln__dgemm(false, true, two, two, L, 1, half, L, b->seen, L, 0, m->q, two));
    LN_TRY(ln__dgemm(false, true, b->rows, two, L, 1, w->second + first * n, n, b->seen, L, 0, m->cross, two));
    LN_TRY(ln__dgemv(false, two, L, 1, b->seen, L, w->first, 0, m->f));
    memcpy(m->fy, w->first + first, (size_t)b->rows * sizeof *m->fy);
    for (int64_t i = first; i < n; i++)
        m->power += w->second[i * n + i];
done:
    ln__free(half);
    return st;
}

/* ---- the error on the tape ---- */

typedef struct fits {
    ln_weights *w;
    bands b;
    band_moments part[2];
} fits;

static ln_var *constant(ln_tape *t, int64_t rows, int64_t cols, const double *x)
{
    return ln_wrap(t, LN_F64, 2, (int64_t[]){ rows, cols }, NULL, (double *)(uintptr_t)x);
}

/* |y - A d - s v|^2 summed = power - 2 <A, cross> + <A q, A> + 2 v.(A f - fy) + zeroth |v|^2, with
 * A = Bc [Wr -Wi] + Bs [Wi Wr] (rows, 2c) and v = Bc br + Bs bi, B = (Bc Bs) = back. */
static ln_var *loss(void *ctx, ln_tape *t, int part)
{
    const fits *f = ctx;
    const bands *b = &f->b;
    const band_moments *m = &f->part[part];
    const int64_t c = b->c, o = b->o;
    ln_var *wr = ln_weights_var(f->w, "weight.re"), *wi = ln_weights_var(f->w, "weight.im");
    ln_var *top = ln_concat(t, (ln_var *[]){ wr, ln_neg(t, wi) }, 2, 1);
    ln_var *w = ln_concat(t, (ln_var *[]){ top, ln_concat(t, (ln_var *[]){ wi, wr }, 2, 1) }, 2, 0); /* (2o,2c) */
    ln_var *back = constant(t, b->rows, 2 * o, b->back);
    ln_var *a = ln_matmul(t, back, w, 0, 0);
    ln_var *bias = ln_concat(t, (ln_var *[]){ ln_weights_var(f->w, "bias.re"), ln_weights_var(f->w, "bias.im") }, 2, 0);
    ln_var *v = ln_matmul(t, back, ln_reshape(t, bias, 2, (int64_t[]){ 2 * o, 1 }), 0, 0); /* (rows,1) */
    ln_var *aq = ln_matmul(t, a, constant(t, 2 * c, 2 * c, m->q), 0, 0);
    ln_var *cross = ln_scale(t, constant(t, b->rows, 2 * c, m->cross), 2);
    ln_var *sum = ln_sum(t, ln_mul(t, a, ln_sub(t, aq, cross)), LN_ALL, 0);
    ln_var *off = ln_sub(t, ln_matmul(t, a, constant(t, 2 * c, 1, m->f), 0, 0), constant(t, b->rows, 1, m->fy));
    ln_var *with_v = ln_add(t, ln_scale(t, off, 2), ln_scale(t, v, m->zeroth));
    sum = ln_add(t, sum, ln_sum(t, ln_mul(t, v, with_v), LN_ALL, 0));
    return ln_scale(t, ln_shift(t, sum, m->power), 1 / m->count);
}

static ln_status copy_complex(ln_forecaster *f, const fits *m, const char *name, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    double *data = NULL;
    char full[40];
    int64_t all[4] = { 0 }, n = 1;
    for (int i = 0; i < ndim; i++) {
        all[i] = dims[i];
        n *= dims[i];
    }
    all[ndim] = 2;
    ln__format(full, sizeof full, "freq_upsampler.%s", name);
    LN_TRY(ln__forecast_weight_new(&data, f, full, ndim + 1, all));
    for (int k = 0; k < 2; k++) {
        ln__format(full, sizeof full, "%s.%s", name, k ? "im" : "re");
        const double *from = ln_var_data(ln_weights_var(m->w, full));
        for (int64_t i = 0; i < n; i++)
            data[2 * i + k] = from[i];
    }
done:
    return st;
}

/* A real layer cast to complex: its imaginary part starts at 0. */
static ln_status add_weights(ln_weights *w, const bands *b)
{
    ln_status st = LN_OK;
    const int64_t dims[] = { b->o, b->c };
    const double a = 1 / sqrt((double)b->c);
    LN_TRY(ln_weights_add(w, "weight.re", 2, dims, LN_INIT_UNIFORM, a));
    LN_TRY(ln_weights_add(w, "weight.im", 2, dims, LN_INIT_ZEROS, 0));
    LN_TRY(ln_weights_add(w, "bias.re", 1, &b->o, LN_INIT_UNIFORM, a));
    LN_TRY(ln_weights_add(w, "bias.im", 1, &b->o, LN_INIT_ZEROS, 0));
    LN_TRY(ln_weights_seal(w));
done:
    return st;
}

/* c = (L div base + 1) harmonics + 10, at most what a window has. */
static int64_t bins_of(const ln__fits_opts *o, int64_t L, int64_t period)
{
    const int64_t base = o->base ? o->base : period > 1 ? period : 24;
    return LN_MIN(o->bins ? o->bins : (L / base + 1) * o->harmonics + 10, L / 2 + 1);
}

static ln_status fit(ln_forecaster *f, ln__fit *work, const void *opts)
{
    ln_status st = LN_OK;
    const ln__fits_opts *o = opts;
    const int64_t L = f->look_back, H = f->horizon;
    fits m = { 0 };
    const ln__learn_opts how = { o->lr, 0.01, o->steps, o->patience, 10 };
    if ((L + H) % 2 != 0)
        LN_FAIL(LN_ERR_ARG, "fits: look-back %lld and horizon %lld must have an even sum; try look-back %lld",
                (long long)L, (long long)H, (long long)L + 1);
    f->bins = bins_of(o, L, f->period);
    LN_TRY(bands_make(&m.b, L, H, f->bins, o->mode ? H : L + H));
    LN_TRY(ln__fit_moments(work, f, LN__LEVEL_SCALED));
    LN_TRY(moments_make(&m.part[0], &m.b, &work->train));
    LN_TRY(moments_make(&m.part[1], &m.b, &work->valid));
    LN_TRY(ln_weights_new(&m.w, LN_F64, work->o->seed));
    LN_TRY(add_weights(m.w, &m.b));
    const ln__learner learner = { m.w, loss, &m };
    LN_TRY(ln__learn(&learner, work, &how));
    LN_TRY(copy_complex(f, &m, "weight", 2, (int64_t[]){ m.b.o, m.b.c }));
    LN_TRY(copy_complex(f, &m, "bias", 1, &m.b.o));
done:
    moments_free(&m.part[0]);
    moments_free(&m.part[1]);
    bands_free(&m.b);
    ln_weights_free(m.w);
    return st;
}

/* map (H,L) = back W seen, bias (H) = back b. */
static ln_status fuse(ln_forecaster *f)
{
    ln_status st = LN_OK;
    const int64_t L = f->look_back, H = f->horizon, c = f->bins;
    const double *w = NULL, *bias = NULL;
    bands b = { 0 };
    double *real = NULL, *a = NULL;
    if (c < 1 || c > L / 2 + 1 || (L + H) % 2 != 0)
        LN_FAIL(LN_ERR_FORMAT, "%lld bins of a window of %lld do not go together", (long long)c, (long long)L);
    LN_TRY(bands_make(&b, L, H, c, H));
    const int64_t o = b.o;
    LN_TRY(ln__forecast_weight_need(&w, f, "freq_upsampler.weight", 3, (int64_t[]){ o, c, 2 }));
    LN_TRY(ln__forecast_weight_need(&bias, f, "freq_upsampler.bias", 2, (int64_t[]){ o, 2 }));
    LN_TRY(ln__alloc((void **)&real, (size_t)(2 * o), (size_t)(2 * c + 1) * sizeof *real));
    LN_TRY(ln__alloc((void **)&a, (size_t)H, (size_t)(2 * c) * sizeof *a));
    LN_TRY(ln__alloc((void **)&f->map, (size_t)H, (size_t)L * sizeof *f->map));
    LN_TRY(LN_NEW(&f->bias, H));
    double *column = real + 4 * o * c;
    for (int64_t i = 0; i < o; i++) {
        for (int64_t j = 0; j < c; j++) {
            const double *at = w + 2 * (i * c + j);
            real[i * 2 * c + j] = real[(o + i) * 2 * c + c + j] = at[0];
            real[i * 2 * c + c + j] = -at[1];
            real[(o + i) * 2 * c + j] = at[1];
        }
        column[i] = bias[2 * i];
        column[o + i] = bias[2 * i + 1];
    }
    LN_TRY(ln__dgemm(false, false, H, 2 * c, 2 * o, 1, b.back, 2 * o, real, 2 * c, 0, a, 2 * c));
    LN_TRY(ln__dgemm(false, false, H, L, 2 * c, 1, a, 2 * c, b.seen, L, 0, f->map, L));
    LN_TRY(ln__dgemv(false, H, 2 * o, 1, b.back, 2 * o, column, 0, f->bias));
done:
    bands_free(&b);
    ln__free(real);
    ln__free(a);
    return st;
}

/* Real numbers; the fused map costs as Linear does. */
static void count(int64_t *parameters, int64_t *macs, const ln_forecaster *f)
{
    const int64_t o = stretched(f->look_back, f->horizon, f->bins);
    *parameters = 2 * o * (f->bins + 1);
    *macs = f->horizon * f->look_back;
}

const ln__forecast_method ln__forecast_fits = {
    .look_back = 360, .level = LN__LEVEL_SCALED, .fit = fit, .fuse = fuse, .count = count
};

static ln_status run(const ln_job *job, const void *opts, ln_result *result)
{
    return ln__forecast_run(&ln__system_forecast_fits, job, opts, result);
}

static const ln_param params[] = {
    LN_P_INT64(ln__fits_opts, harmonics, 6, 1, 1 << 16, "harmonics of the base period that are kept"),
    LN_P_INT64(ln__fits_opts, base, 0, 0, 1 << 20, "base period; 0: the series' own, 24 when it has none"),
    LN_P_INT64(ln__fits_opts, bins, 0, 0, 1 << 20,
               "frequencies kept; 0: (look-back / base + 1) harmonics + 10, at most all"),
    LN_P_CHOICE(ln__fits_opts, mode, 1, "both|forecast",
                "which error is trained: of back-cast and forecast, or of the forecast"),
    LN_P_REAL(ln__fits_opts, lr, 5e-3, 0, 1e3, "learning rate at the start (cosine schedule)"),
    LN_P_INT64(ln__fits_opts, steps, 500, 10, 1e9, "steps of training, each over all windows at once"),
    LN_P_INT64(ln__fits_opts, patience, 20, 0, 1e9,
               "stop after so many looks (one in 10 steps) without a better validation error; 0: never"),
    LN_P_END
};
static const ln_estimator fits_estimator = { .run = run, .applies = true };

const ln_system ln__system_forecast_fits = {
    .name = "fits",
    .verb = "forecast",
    .summary = "the low frequencies of the last rows, stretched into those of the next",
    .paper = "FITS, ICLR 2024 (arXiv 2307.03756)",
    .example = "linnet forecast fits ETTh1.csv --horizon 96 --look-back 360 -o model/",
    .params = params,
    .opts_size = sizeof(ln__fits_opts),
    .impl = &fits_estimator,
};
