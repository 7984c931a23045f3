/* spectral_tmpl.c - included by spectral.c twice, with REAL = float and REAL = double: one row, or block of columns. */

static void NAME(put)(REAL *to, const REAL *from, int64_t n, bool add)
{
    for (int64_t i = 0; add && i < n; i++)
        to[i] += from[i];
    if (!add)
        memcpy(to, from, (size_t)n * sizeof *to);
}

static void NAME(row)(const rows_job *j, int64_t r, REAL *place)
{
    const int64_t n = j->n, pairs = 2 * (n / 2 + 1);
    const REAL *const x = (const REAL *)j->x + r * j->x_width;
    REAL *const y = (REAL *)j->y + r * j->y_width;
    REAL *const t = place, *const more = place + n + 2;
    switch (j->what) {
    case RFFT:
        ln__rfft_run(j->plan, y, x, more);
        break;
    case RFFT_BACK: /* Re sum g_k exp(2 pi i j k / n), from both halves of a spectrum */
        for (int64_t k = 0; k < pairs; k++)
            t[k] = (REAL)0.5 * x[k];
        t[0] = x[0];
        if (n % 2 == 0)
            t[n] = x[n];
        ln__irfft_run(j->plan, j->add ? t : y, t, 1, more);
        if (j->add)
            NAME(put)(y, t, n, true);
        break;
    case IRFFT:
        ln__irfft_run(j->plan, y, x, 1 / (double)n, more);
        break;
    case IRFFT_BACK: /* every number but the first (and the middle one) stands for two of the spectrum */
        ln__rfft_run(j->plan, t, x, more);
        for (int64_t k = 0; k < pairs; k++)
            t[k] *= (REAL)(2 / (double)n);
        t[0] *= (REAL)0.5;
        if (n % 2 == 0)
            t[n] *= (REAL)0.5;
        NAME(put)(y, t, pairs, j->add);
        break;
    default:
        ln__dct_run(j->plan, j->what == DCT2 ? 2 : 3, j->add ? t : y, x, more);
        if (j->add)
            NAME(put)(y, t, n, true);
        break;
    }
}

/* Columns [c, c + w) of an image (n, width) of pairs. */
static void NAME(columns)(const rows_job *j, int64_t image, int64_t c, int64_t w, REAL *place)
{
    const int64_t n = j->n, line = 2 * j->x_width;
    const REAL *const x = (const REAL *)j->x + image * n * line + 2 * c;
    REAL *const y = (REAL *)j->y + image * n * line + 2 * c;
    REAL *const re = place, *const im = re + n * w, *const more = im + n * w;
    const REAL a = (REAL)j->scale;
    for (int64_t k = 0; k < n; k++)
        for (int64_t q = 0; q < w; q++) {
            re[k * w + q] = x[k * line + 2 * q];
            im[k * w + q] = x[k * line + 2 * q + 1];
        }
    ln__fft_run(j->plan, j->inverse, re, im, w, more);
    for (int64_t k = 0; k < n; k++)
        for (int64_t q = 0; q < w; q++) {
            REAL *const to = y + k * line + 2 * q;
            to[0] = a * re[k * w + q] + (j->add ? to[0] : 0);
            to[1] = a * im[k * w + q] + (j->add ? to[1] : 0);
        }
}
