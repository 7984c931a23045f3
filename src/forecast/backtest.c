/* backtest.c - errors over all windows of a part, by the fused form in f32.
 *
 * Windows are taken in blocks of fixed size, a block being the unit of work, and a block's forecasts are one matrix
 * product: dense (windows, L) (H, L)^T, phases g (windows' phases side by side). The filter of the phase form runs once
 * over the whole series: inside a window starting at a, sum_j k_j (x[a+t+j] - m) is that less m sum k, but for the
 * P/2 samples at either end, whose missing taps count as zeros (MixLinear, spec section 7).
 * Sums are taken in f64, block by block in order: no part depends on the number of threads, and no window is dropped.
 */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "forecast/forecaster.h"
#include "linalg/linalg.h"

enum { BLOCK = 64 };

typedef struct job {
    const ln_forecaster *f;
    int64_t rows, windows, blocks; /* rows of the part; blocks per channel */
    float *u, *conv;               /* (channels, rows): z-scores; filtered */
    float *map, *bias;             /* dense, or */
    float *g, *kernel;
    double *truth; /* (channels, rows) */
    float *scratch;
    int64_t per_thread;
    double *sums; /* (channels blocks, H + 3): squared error by step; absolute; of repeating: squared, absolute */
    ln_status *status;
} job;

static ln_status to_f32(float **out, const double *x, int64_t n)
{
    ln_status st = LN_OK;
    LN_TRY(LN_NEW(out, n));
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = (float)x[i];
done:
    return st;
}

/* sum of taps of the whole kernel, wherever all of them are inside the rows. */
static void convolve(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t half = j->f->period / 2;
    for (int64_t c = begin; c < end; c++) {
        const float *u = j->u + c * j->rows;
        float *to = j->conv + c * j->rows;
        memset(to, 0, (size_t)j->rows * sizeof *to);
        for (int64_t k = -half; k <= half; k++) {
            const float tap = j->kernel[k + half];
            for (int64_t t = half; t < j->rows - half; t++)
                to[t] += tap * u[t + k];
        }
    }
}

static float edge(const job *j, const float *x, int64_t t, float level)
{
    const int64_t half = j->f->period / 2, L = j->f->look_back;
    float sum = 0;
    for (int64_t k = LN_MAX(-half, -t); k <= LN_MIN(half, L - 1 - t); k++)
        sum += j->kernel[k + half] * (x[t + k] - level);
    return sum;
}

/* z of window w of n, phases side by side: to[(t / P) (n P) + w P + t % P]. */
static void place_window(const job *j, float *to, const float *x, const float *conv, float level, float taps, int64_t w,
                         int64_t n)
{
    const int64_t P = j->f->period, L = j->f->look_back, half = P / 2;
    for (int64_t k = 0; k < L / P; k++) {
        float *run = to + (k * n + w) * P;
        for (int64_t p = 0; p < P; p++)
            run[p] = conv[k * P + p] - level * taps;
    }
    for (int64_t t = 0; t < LN_MIN(half, L); t++)
        to[(t / P * n + w) * P + t % P] = edge(j, x, t, level);
    for (int64_t t = LN_MAX(half, L - half); t < L; t++)
        to[(t / P * n + w) * P + t % P] = edge(j, x, t, level);
}

static void levels(float *level, float *scale, const ln_forecaster *f, const float *x)
{
    double mean = 0, power = 0;
    *scale = 1;
    *level = 0;
    if (f->level == LN__LEVEL_NONE)
        return;
    if (f->level == LN__LEVEL_LAST) {
        *level = x[f->look_back - 1];
        return;
    }
    for (int64_t i = 0; i < f->look_back; i++)
        mean += (double)x[i];
    mean /= (double)f->look_back;
    *level = (float)mean;
    if (f->level == LN__LEVEL_SCALED) {
        for (int64_t i = 0; i < f->look_back; i++)
            power += ((double)x[i] - mean) * ((double)x[i] - mean);
        *scale = (float)sqrt(power / (double)LN_MAX(f->look_back - 1, 1) + 1e-5);
    }
}

/* The errors of window w, whose forecast of row h is level + y[h stride…]. */
static void score(const job *j, double *sums, const double *truth, const float *y, float level, float scale, int64_t w,
                  int64_t n)
{
    const ln_forecaster *f = j->f;
    const int64_t H = f->horizon, L = f->look_back, P = f->period;
    for (int64_t h = 0; h < H; h++) {
        float at = level;
        if (f->g)
            at += y[(h / P * n + w) * P + h % P];
        else
            at += y[w * H + h] + (j->bias ? scale * j->bias[h] : 0);
        const double e = (double)at - truth[L + h], repeat = truth[L - 1] - truth[L + h];
        sums[h] += e * e;
        sums[H] += fabs(e);
        sums[H + 1] += repeat * repeat;
        sums[H + 2] += fabs(repeat);
    }
}

static ln_status one_block(const job *j, int64_t index, float *scratch)
{
    ln_status st = LN_OK;
    const ln_forecaster *f = j->f;
    const int64_t L = f->look_back, H = f->horizon, P = f->period, c = index / j->blocks;
    const int64_t first = index % j->blocks * BLOCK, n = LN_MIN(BLOCK, j->windows - first);
    float level[BLOCK], scale[BLOCK], *x = scratch, *y = scratch + BLOCK * L, taps = 0;
    for (int64_t k = 0; f->g && k < 2 * (P / 2) + 1; k++)
        taps += j->kernel[k];
    for (int64_t w = 0; w < n; w++) {
        const float *from = j->u + c * j->rows + first + w;
        levels(&level[w], &scale[w], f, from);
        if (f->g)
            place_window(j, x, from, j->conv + c * j->rows + first + w, level[w], taps, w, n);
        else
            for (int64_t i = 0; i < L; i++)
                x[w * L + i] = from[i] - level[w];
    }
    if (f->g)
        LN_TRY(ln__sgemm(false, false, (H + P - 1) / P, n * P, L / P, 1, j->g, L / P, x, n * P, 0, y, n * P));
    else
        LN_TRY(ln__sgemm(false, true, n, H, L, 1, x, L, j->map, L, 0, y, H));
    for (int64_t w = 0; w < n; w++)
        score(j, j->sums + index * (H + 3), j->truth + c * j->rows + first + w, y, level[w], scale[w], w, n);
done:
    return st;
}

static void blocks(void *ctx, int64_t begin, int64_t end)
{
    job *j = ctx;
    for (int64_t i = begin; i < end; i++)
        j->status[i] = one_block(j, i, j->scratch + ln__thread_index() * j->per_thread);
}

static ln_status prepare(job *j, const double *x, int64_t first)
{
    ln_status st = LN_OK;
    const ln_forecaster *f = j->f;
    const int64_t C = f->channels, L = f->look_back, H = f->horizon, P = f->period, ny = (H + P - 1) / P;
    LN_TRY(ln__alloc((void **)&j->truth, (size_t)C, (size_t)j->rows * sizeof *j->truth));
    for (int64_t c = 0; c < C; c++)
        for (int64_t t = 0; t < j->rows; t++)
            j->truth[c * j->rows + t] = (x[(first + t) * C + c] - f->mean[c]) / f->deviation[c];
    LN_TRY(to_f32(&j->u, j->truth, C * j->rows));
    if (f->g) {
        LN_TRY(to_f32(&j->g, f->g, ny * (L / P)));
        LN_TRY(to_f32(&j->kernel, f->kernel, 2 * (P / 2) + 1));
        LN_TRY(LN_NEW(&j->conv, C * j->rows));
        ln__parallel_for(C, 1, convolve, j);
    } else {
        LN_TRY(to_f32(&j->map, f->map, H * L));
        if (f->bias)
            LN_TRY(to_f32(&j->bias, f->bias, H));
    }
    j->per_thread = BLOCK * (L + LN_MAX(H, ny * P));
    LN_TRY(ln__alloc((void **)&j->scratch, (size_t)ln_threads(), (size_t)j->per_thread * sizeof *j->scratch));
    LN_TRY(ln__calloc((void **)&j->sums, (size_t)(C * j->blocks), (size_t)(H + 3) * sizeof *j->sums));
    LN_TRY(LN_NEW0(&j->status, C * j->blocks));
done:
    return st;
}

static ln_status add_up(ln_forecast_score *s, double *by_step, double *by_channel, const job *j)
{
    const int64_t H = j->f->horizon, C = j->f->channels, n = C * j->blocks;
    const double steps = (double)(j->windows * C), all = steps * (double)H;
    double total[4] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        const double *sums = j->sums + i * (H + 3);
        if (j->status[i] != LN_OK)
            return ln__fail(j->status[i], "backtest: a block of windows failed");
        for (int64_t h = 0; h < H; h++)
            total[0] += sums[h];
        for (int k = 0; k < 3; k++)
            total[1 + k] += sums[H + k];
    }
    if (!isfinite(total[0]))
        return ln__fail(LN_ERR_NUMERIC, "backtest: the forecasts are not finite");
    for (int64_t h = 0; by_step && h < H; h++) { /* nothing of the caller's is touched before */
        by_step[h] = 0;
        for (int64_t i = 0; i < n; i++)
            by_step[h] += j->sums[i * (H + 3) + h] / steps;
    }
    for (int64_t c = 0; by_channel && c < C; c++)
        by_channel[c] = 0;
    for (int64_t i = 0; by_channel && i < n; i++)
        for (int64_t h = 0; h < H; h++)
            by_channel[i / j->blocks] += j->sums[i * (H + 3) + h] / (double)(j->windows * H);
    s->windows = j->windows;
    s->mse = total[0] / all;
    s->mae = total[1] / all;
    s->repeat_mse = total[2] / all;
    s->repeat_mae = total[3] / all;
    return LN_OK;
}

ln_status ln__backtest(ln_forecast_score *s, double *by_step, double *by_channel, const ln_forecaster *f,
                       const double *x, int64_t first, int64_t windows)
{
    ln_status st = LN_OK;
    job j = { .f = f, .rows = windows + f->look_back + f->horizon - 1, .windows = windows };
    j.blocks = (windows + BLOCK - 1) / BLOCK;
    LN_TRY(prepare(&j, x, first));
    ln__parallel_for(f->channels * j.blocks, 1, blocks, &j);
    LN_TRY(add_up(s, by_step, by_channel, &j));
done:
    ln__free(j.u);
    ln__free(j.conv);
    ln__free(j.map);
    ln__free(j.bias);
    ln__free(j.g);
    ln__free(j.kernel);
    ln__free(j.truth);
    ln__free(j.scratch);
    ln__free(j.sums);
    ln__free(j.status);
    return st;
}
