/* mixlinear_map.c - MixLinear's time path and frequency path, as they are run and as the one matrix they are.
 *
 * A phase z (nx numbers, one per period) goes two ways:
 *   time       zero-padded to sx^2, row-major S (sx,sx); O = T2 S T1^T (sy,sy), read row by row, the first ny kept
 *   frequency  D = the first q of the DFT of z; V = F2 F1 D; the real part of the inverse DFT (1/ny) of V
 * Both are linear in z and the same for all phases, so y = g z with one g (ny,nx):
 *   g_time[a,b] = T2[a div sy, b div sx] T1[a mod sy, b mod sx]          (a Kronecker product, cut)
 *   g_freq = Re(E F2 F1 B),  E[a,k] = e^(2 pi i a k / ny) / ny,  B[k,b] = e^(-2 pi i k b / nx)
 * Ma, Luo, Sha, "MixLinear", arXiv 2410.02081; the mixing weight alpha is that of its published code. Pitfalls: bins 1
 * … q-1 have no conjugate mates, so their amplitudes are halved, which is kept; the imaginary parts start at 0. */
#include <math.h>
#include <string.h>

#include "core/core.h"
#include "forecast/mixlinear.h"
#include "linalg/fft.h"

static int64_t root_up(int64_t n)
{
    int64_t s = (int64_t)sqrt((double)n);
    while (s * s < n)
        s++;
    return s;
}

ln__mix_shape ln__mix_shape_of(int64_t look_back, int64_t horizon, int64_t period, int64_t bins, int64_t rank,
                               double alpha)
{
    ln__mix_shape s = { period, look_back / period, (horizon + period - 1) / period, 0, 0, bins, rank, alpha };
    s.sx = root_up(s.nx);
    s.sy = root_up(s.ny);
    return s;
}

/* (F2 F1)[a,k] */
static void product(double *re, double *im, const ln__mix_shape *s, const ln__mix_weights *w, int64_t a, int64_t k)
{
    *re = *im = 0;
    for (int64_t r = 0; r < s->rank; r++) {
        const double *f2 = w->f2 + 2 * (a * s->rank + r), *f1 = w->f1 + 2 * (r * s->bins + k);
        *re += f2[0] * f1[0] - f2[1] * f1[1];
        *im += f2[0] * f1[1] + f2[1] * f1[0];
    }
}

/* g[c,b] += (1 - alpha) sum_ak Re(E[c,a] F[a,k] B[k,b]) */
static void add_frequency(double *g, const ln__mix_shape *s, const ln__mix_weights *w)
{
    for (int64_t a = 0; a < s->ny; a++)
        for (int64_t k = 0; k < s->bins; k++) {
            double re, im, wr, wi;
            product(&re, &im, s, w, a, k);
            for (int64_t b = 0; b < s->nx; b++) {
                ln__fft_root(k * b % s->nx, s->nx, &wr, &wi);
                const double vr = re * wr - im * wi, vi = re * wi + im * wr;
                for (int64_t c = 0; c < s->ny; c++) {
                    ln__fft_root(c * a % s->ny, s->ny, &wr, &wi); /* its conjugate is meant */
                    g[c * s->nx + b] += (1 - s->alpha) / (double)s->ny * (vr * wr + vi * wi);
                }
            }
        }
}

void ln__mix_fuse(double *g, const ln__mix_shape *s, const ln__mix_weights *w)
{
    const int64_t sx = s->sx, sy = s->sy;
    for (int64_t a = 0; a < s->ny; a++)
        for (int64_t b = 0; b < s->nx; b++)
            g[a * s->nx + b] = s->alpha * w->t2[a / sy * sx + b / sx] * w->t1[a % sy * sx + b % sx];
    add_frequency(g, s, w);
}

static void time_path(double *y, const double *z, const ln__mix_shape *s, const ln__mix_weights *w, double *segments,
                      double *half)
{
    const int64_t sx = s->sx, sy = s->sy;
    memset(segments, 0, (size_t)(sx * sx) * sizeof *segments);
    memcpy(segments, z, (size_t)s->nx * sizeof *z);
    for (int64_t r = 0; r < sx; r++) /* inside a segment: S T1^T */
        for (int64_t j = 0; j < sy; j++) {
            half[r * sy + j] = 0;
            for (int64_t c = 0; c < sx; c++)
                half[r * sy + j] += segments[r * sx + c] * w->t1[j * sx + c];
        }
    for (int64_t n = 0; n < s->ny; n++) { /* across segments */
        y[n] = 0;
        for (int64_t r = 0; r < sx; r++)
            y[n] += s->alpha * w->t2[n / sy * sx + r] * half[r * sy + n % sy];
    }
}

static void frequency_path(double *y, const double *z, const ln__mix_shape *s, const ln__mix_weights *w, double *d,
                           double *v)
{
    for (int64_t k = 0; k < s->bins; k++) {
        d[2 * k] = d[2 * k + 1] = 0;
        for (int64_t b = 0; b < s->nx; b++) {
            const double angle = -2 * M_PI * (double)(k * b) / (double)s->nx;
            d[2 * k] += z[b] * cos(angle);
            d[2 * k + 1] += z[b] * sin(angle);
        }
    }
    for (int64_t a = 0; a < s->ny; a++) {
        v[2 * a] = v[2 * a + 1] = 0;
        for (int64_t k = 0; k < s->bins; k++) {
            double re, im;
            product(&re, &im, s, w, a, k);
            v[2 * a] += re * d[2 * k] - im * d[2 * k + 1];
            v[2 * a + 1] += re * d[2 * k + 1] + im * d[2 * k];
        }
    }
    for (int64_t n = 0; n < s->ny; n++)
        for (int64_t a = 0; a < s->ny; a++) {
            const double angle = 2 * M_PI * (double)(n * a) / (double)s->ny;
            y[n] += (1 - s->alpha) / (double)s->ny * (v[2 * a] * cos(angle) - v[2 * a + 1] * sin(angle));
        }
}

ln_status ln__mix_paths(double *y, const double *z, const ln__mix_shape *s, const ln__mix_weights *w)
{
    ln_status st = LN_OK;
    double *work = NULL;
    const int64_t sx = s->sx, sy = s->sy;
    LN_TRY(LN_NEW(&work, sx * sx + sx * sy + 2 * (s->bins + s->ny)));
    double *half = work + sx * sx, *d = half + sx * sy, *v = d + 2 * s->bins;
    time_path(y, z, s, w, work, half);
    frequency_path(y, z, s, w, d, v);
done:
    ln__free(work);
    return st;
}

/* ---- on the tape ---- */

ln_status ln__mix_weights_add(ln_weights *w, const ln__mix_shape *s)
{
    ln_status st = LN_OK;
    const int64_t taps = 2 * (s->period / 2) + 1, t[] = { s->sy, s->sx }, f1[] = { s->rank, s->bins };
    const int64_t f2[] = { s->ny, s->rank };
    const double of_t = 1 / sqrt((double)s->sx);
    LN_TRY(ln_weights_add(w, "conv1d.weight", 3, (int64_t[]){ 1, 1, taps }, LN_INIT_UNIFORM, 1 / sqrt((double)taps)));
    LN_TRY(ln_weights_add(w, "TLinear1.weight", 2, t, LN_INIT_UNIFORM, of_t));
    LN_TRY(ln_weights_add(w, "TLinear2.weight", 2, t, LN_INIT_UNIFORM, of_t));
    LN_TRY(ln_weights_add(w, "FLinear1.re", 2, f1, LN_INIT_UNIFORM, 1 / sqrt((double)s->bins)));
    LN_TRY(ln_weights_add(w, "FLinear1.im", 2, f1, LN_INIT_ZEROS, 0));
    LN_TRY(ln_weights_add(w, "FLinear2.re", 2, f2, LN_INIT_UNIFORM, 1 / sqrt((double)s->rank)));
    LN_TRY(ln_weights_add(w, "FLinear2.im", 2, f2, LN_INIT_ZEROS, 0));
done:
    return st;
}

/* A table of roots of unity: cos or sin of 2 pi r c / n, times scale. */
static ln_var *roots(ln_tape *t, int64_t rows, int64_t cols, int64_t n, int sine, double scale)
{
    double *x = NULL, re, im;
    ln_var *v = NULL;
    if (ln__alloc((void **)&x, (size_t)rows, (size_t)cols * sizeof *x) == LN_OK)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) {
                ln__fft_root(r * c % n, n, &re, &im);
                x[r * cols + c] = scale * (sine ? -im : re);
            }
    v = ln_input(t, LN_F64, 2, (int64_t[]){ rows, cols }, x);
    ln__free(x);
    return v;
}

static ln_var *time_map(ln_tape *t, const ln_weights *w, const ln__mix_shape *s)
{
    const int64_t sx = s->sx, sy = s->sy, flat[] = { sy * sx }, four[] = { sy, sx, sy, sx },
                  two[] = { sy * sy, sx * sx };
    ln_var *t2 = ln_reshape(t, ln_weights_var(w, "TLinear2.weight"), 1, flat);
    ln_var *t1 = ln_reshape(t, ln_weights_var(w, "TLinear1.weight"), 1, flat);
    ln_var *all = ln_permute(t, ln_reshape(t, ln_outer(t, t2, t1), 4, four), (int[]){ 0, 2, 1, 3 });
    all = ln_reshape(t, ln_contiguous(t, all), 2, two);
    return ln_narrow(t, ln_narrow(t, all, 0, 0, s->ny), 1, 0, s->nx);
}

static ln_var *frequency_map(ln_tape *t, const ln_weights *w, const ln__mix_shape *s)
{
    ln_var *f1r = ln_weights_var(w, "FLinear1.re"), *f1i = ln_weights_var(w, "FLinear1.im");
    ln_var *f2r = ln_weights_var(w, "FLinear2.re"), *f2i = ln_weights_var(w, "FLinear2.im");
    ln_var *fr = ln_sub(t, ln_matmul(t, f2r, f1r, 0, 0), ln_matmul(t, f2i, f1i, 0, 0));
    ln_var *fi = ln_add(t, ln_matmul(t, f2r, f1i, 0, 0), ln_matmul(t, f2i, f1r, 0, 0));
    ln_var *c = roots(t, s->bins, s->nx, s->nx, 0, 1), *d = roots(t, s->bins, s->nx, s->nx, 1, 1); /* B = c - i d */
    ln_var *vr = ln_add(t, ln_matmul(t, fr, c, 0, 0), ln_matmul(t, fi, d, 0, 0));
    ln_var *vi = ln_sub(t, ln_matmul(t, fi, c, 0, 0), ln_matmul(t, fr, d, 0, 0));
    const double scale = 1 / (double)s->ny;
    ln_var *ec = roots(t, s->ny, s->ny, s->ny, 0, scale), *es = roots(t, s->ny, s->ny, s->ny, 1, scale);
    return ln_sub(t, ln_matmul(t, ec, vr, 0, 0), ln_matmul(t, es, vi, 0, 0));
}

ln_var *ln__mix_g(ln_tape *t, const ln_weights *w, const ln__mix_shape *s)
{
    return ln_add(t, ln_scale(t, time_map(t, w, s), s->alpha), ln_scale(t, frequency_map(t, w, s), 1 - s->alpha));
}
