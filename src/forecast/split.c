/* split.c - which rows are learned from, and the period they show.
 *
 * The parts of the LTSF papers: ETTh 12, 4 and 4 months of 30 days of hours, ETTm the same of quarters of an hour;
 * other sets by fractions, where test is int(c n), train int(a n) and validation the rest (Zhou et al., Informer, AAAI
 * 2021; Zeng et al., AAAI 2023). The period is looked for in the differences: a slow trend correlates at every lag. */
#include <math.h>
#include <string.h>

#include "forecast/series.h"

static ln_status months(ln__split *s, int64_t rows, int64_t per_hour, const char *name)
{
    const int64_t month = 30 * 24 * per_hour;
    *s = (ln__split){ 12 * month, 16 * month, 20 * month, name };
    if (rows < s->test)
        return ln__fail(LN_ERR_SHAPE, "--split %s needs %lld rows, there are %lld", name, (long long)s->test,
                        (long long)rows);
    return LN_OK;
}

static ln_status fractions(ln__split *s, int64_t rows, const char *how)
{
    double f[3];
    const char *p = how;
    for (int i = 0; i < 3; i++) {
        char *end = NULL;
        f[i] = ln__strtod(p, &end);
        if (end == p || *end != (i < 2 ? ',' : '\0') || !(f[i] > 0 && f[i] < 1))
            return ln__fail(LN_ERR_ARG, "--split wants auto, etth, ettm or three fractions like 0.7,0.1,0.2, not '%s'",
                            how);
        p = end + 1;
    }
    if (fabs(f[0] + f[1] + f[2] - 1) > 1e-6)
        return ln__fail(LN_ERR_ARG, "--split %s: the fractions sum to %g, not to 1", how, f[0] + f[1] + f[2]);
    const int64_t train = (int64_t)(f[0] * (double)rows), test = (int64_t)(f[2] * (double)rows);
    *s = (ln__split){ train, rows - test, rows, "fractions" };
    return LN_OK;
}

ln_status ln__split_of(ln__split *s, int64_t rows, const char *how, const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL, *base = slash ? slash + 1 : file ? file : "";
    if (strcmp(how, "auto") == 0)
        how = strncmp(base, "ETTh", 4) == 0 ? "etth" : strncmp(base, "ETTm", 4) == 0 ? "ettm" : "0.7,0.1,0.2";
    if (strcmp(how, "etth") == 0)
        return months(s, rows, 1, "etth");
    if (strcmp(how, "ettm") == 0)
        return months(s, rows, 4, "ettm");
    return fractions(s, rows, how);
}

/* ---- the period ---- */

int64_t ln__period_lags(int64_t rows)
{
    return LN_MIN(rows / 3, 1024) + 1;
}

static void add_channel(double *acf, int64_t lags, const double *d, int64_t n)
{
    double mean = 0, power = 0;
    for (int64_t t = 0; t < n; t++)
        mean += d[t] / (double)n;
    for (int64_t t = 0; t < n; t++)
        power += (d[t] - mean) * (d[t] - mean);
    for (int64_t k = 0; k < lags; k++) {
        double sum = 0;
        for (int64_t t = 0; t + k < n; t++)
            sum += (d[t] - mean) * (d[t + k] - mean);
        acf[k] += sum / power;
    }
}

ln_status ln__acf(double *acf, int64_t lags, const double *x, int64_t rows, int64_t channels)
{
    ln_status st = LN_OK;
    double *d = NULL;
    int64_t varying = 0;
    LN_TRY(LN_NEW(&d, LN_MAX(rows, 1)));
    memset(acf, 0, (size_t)lags * sizeof *acf);
    for (int64_t c = 0; c < channels && rows > 1; c++) {
        double lo = INFINITY, hi = -INFINITY;
        for (int64_t t = 0; t + 1 < rows; t++) {
            d[t] = x[(t + 1) * channels + c] - x[t * channels + c];
            lo = fmin(lo, d[t]);
            hi = fmax(hi, d[t]);
        }
        if (!(hi - lo > 1e-12 * (fabs(hi) + fabs(lo))))
            continue;
        add_channel(acf, lags, d, rows - 1);
        varying++;
    }
    for (int64_t k = 0; k < lags && varying > 0; k++)
        acf[k] /= (double)varying;
done:
    ln__free(d);
    return st;
}

static bool peak(const double *acf, int64_t lags, int64_t k)
{
    return k + 1 < lags && acf[k] >= acf[k - 1] && acf[k] >= acf[k + 1];
}

/* Noise between neighbours makes small lags stand out; a period does so again at its multiples. */
static bool repeats(const double *acf, int64_t lags, int64_t k)
{
    for (int64_t m = 2 * k; m <= 4 * k && m < lags; m += k)
        if (acf[m] < 0.8 * acf[k])
            return false;
    return true;
}

int64_t ln__period_of(const double *acf, int64_t lags, int64_t rows)
{
    const double clear = fmax(0.1, 4 / sqrt((double)LN_MAX(rows, 1)));
    double top = 0;
    for (int64_t k = 2; k < lags; k++)
        if (peak(acf, lags, k))
            top = fmax(top, acf[k]);
    for (int64_t k = 2; k < lags && top > clear; k++)
        if (peak(acf, lags, k) && acf[k] >= 0.8 * top && repeats(acf, lags, k))
            return k;
    return 1;
}
