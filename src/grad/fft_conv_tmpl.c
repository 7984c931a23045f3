/* fft_conv_tmpl.c - included by fft_conv.c twice, with REAL = float and REAL = double. */

/* X = the spectrum of `count` numbers followed by zeros; `line` holds N numbers. */
static void NAME(spectrum)(const conv_job *j, REAL *X, const REAL *x, int64_t count, REAL *line, void *work)
{
    memcpy(line, x, (size_t)count * sizeof *line);
    memset(line + count, 0, (size_t)(j->N - count) * sizeof *line);
    ln__rfft_run(j->plan, X, line, work);
}

/* sum = or += a b, or a b* when conjugate. */
static void NAME(multiply)(REAL *restrict sum, const REAL *restrict a, const REAL *restrict b, int64_t numbers,
                           bool conjugate, bool add)
{
    const REAL sign = conjugate ? -1 : 1;
    for (int64_t k = 0; k < numbers; k += 2) {
        const REAL br = b[k], bi = sign * b[k + 1];
        const REAL re = a[k] * br - a[k + 1] * bi, im = a[k] * bi + a[k + 1] * br;
        sum[k] = add ? sum[k] + re : re;
        sum[k + 1] = add ? sum[k + 1] + im : im;
    }
}

static void NAME(kernel)(const conv_job *j, int64_t r, REAL *place)
{
    NAME(spectrum)(j, (REAL *)j->spectra + r * (j->N + 2), (const REAL *)j->q + r * j->K, j->K, place, place + j->N);
}

/* One row of y, dx or dk: the sum over its terms of the products of spectra, back to `length` numbers. */
static void NAME(destination)(const conv_job *j, int64_t d, REAL *place)
{
    const int64_t numbers = j->N + 2;
    REAL *const sum = place, *const a = sum + numbers, *const b = a + numbers, *const line = b + numbers;
    REAL *const work = line + j->N, *const y = (REAL *)j->y + d * j->length;
    const int64_t pa = ln__loops_at(&j->batch.keep, d, j->batch.keep.a);
    const int64_t qa = ln__loops_at(&j->batch.keep, d, j->batch.keep.b);
    for (int64_t r = 0; r < j->batch.terms; r++) {
        const int64_t p = pa + ln__loops_at(&j->batch.lost, r, j->batch.lost.a);
        const int64_t q = qa + ln__loops_at(&j->batch.lost, r, j->batch.lost.b);
        NAME(spectrum)(j, a, (const REAL *)j->p + p, j->T, line, work);
        const REAL *other = b;
        if (j->with_kernels) /* whose rows are K apart, their spectra N + 2 */
            other = (const REAL *)j->spectra + q / j->K * numbers;
        else
            NAME(spectrum)(j, b, (const REAL *)j->q + q, j->T, line, work);
        NAME(multiply)(sum, a, other, numbers, j->conjugate, r > 0);
    }
    if (j->batch.terms == 0)
        memset(sum, 0, (size_t)numbers * sizeof *sum);
    ln__irfft_run(j->plan, line, sum, 1 / (double)j->N, work);
    for (int64_t i = 0; i < j->length; i++)
        y[i] = j->add ? y[i] + line[i] : line[i];
}
