/* svd_stream.c - products with a matrix that stays in its file: a block of rows at a time is read, widened to f64 and
 * used. y = x A^T needs each block once and writes its own part of y; x = y A adds up over blocks, in file order. So a
 * randomised SVD with q power steps reads the file 2 q + 2 times, and once more to look for NaN. */
#include <math.h>
#include <string.h>

#include "factor/svd.h"

/* Rows [at, at + n) into rows_now. */
static ln_status fetch(ln__stream_matrix *m, int64_t at, int64_t n, const char *stage)
{
    const size_t first = (size_t)(at * m->cols), count = (size_t)(n * m->cols);
    if (m->progress && m->progress(m->payload, stage, at, m->rows))
        return ln__fail(LN_ERR_CANCELLED, "%s: stopped in pass %lld", m->path, (long long)m->passes + 1);
    if (m->dtype == LN_F64)
        memcpy(m->rows_now, (const double *)m->data + first, count * sizeof(double));
    else
        for (size_t i = 0; i < count; i++)
            m->rows_now[i] = ((const float *)m->data)[first + i];
    m->bytes += (int64_t)ln_dtype_bytes(m->dtype, (int64_t)count);
    return LN_OK;
}

ln_status ln__stream_scan(ln__stream_matrix *m)
{
    ln_status st = LN_OK;
    m->norm2 = 0;
    for (int64_t at = 0; at < m->rows; at += m->block) {
        const int64_t n = LN_MIN(m->block, m->rows - at);
        LN_TRY(fetch(m, at, n, "look"));
        for (int64_t i = 0; i < n * m->cols; i++) {
            if (!isfinite(m->rows_now[i]))
                LN_FAIL(LN_ERR_NUMERIC, "%s[%lld,%lld] is %s", m->path, (long long)(at + i / m->cols),
                        (long long)(i % m->cols), isnan(m->rows_now[i]) ? "NaN" : "infinite");
            m->norm2 += m->rows_now[i] * m->rows_now[i];
        }
    }
    m->passes++;
done:
    return st;
}

static ln_status apply(void *ctx, double *y, const double *x, int64_t k)
{
    ln_status st = LN_OK;
    ln__stream_matrix *m = ctx;
    for (int64_t at = 0; at < m->rows; at += m->block) {
        const int64_t n = LN_MIN(m->block, m->rows - at);
        LN_TRY(fetch(m, at, n, "A x"));
        LN_TRY(ln__dgemm(false, true, k, n, m->cols, 1, x, m->cols, m->rows_now, m->cols, 0, y + at, m->rows));
    }
    m->passes++;
done:
    return st;
}

static ln_status apply_t(void *ctx, double *x, const double *y, int64_t k)
{
    ln_status st = LN_OK;
    ln__stream_matrix *m = ctx;
    for (int64_t at = 0; at < m->rows; at += m->block) {
        const int64_t n = LN_MIN(m->block, m->rows - at);
        LN_TRY(fetch(m, at, n, "A^T y"));
        LN_TRY(ln__dgemm(false, false, k, m->cols, n, 1, y + at, m->rows, m->rows_now, m->cols, at > 0, x, m->cols));
    }
    m->passes++;
done:
    return st;
}

ln__matvec ln__stream_map(ln__stream_matrix *m)
{
    return (ln__matvec){ .rows = m->rows, .cols = m->cols, .ctx = m, .apply = apply, .apply_t = apply_t };
}
