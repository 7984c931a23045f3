/* data.c - the tensor as a matrix whose rows and columns are two groups of modes.
 *
 * The split makes left + right least, so that both Khatri-Rao products, and the two products of X with them, are small:
 * one sweep over all modes reads X twice, whatever their number (a dimension tree of depth two; Phan, Tichavsky and
 * Cichocki 2013). A matrix is split between its two modes.
 * Pitfall: sizes come from files, so their product is checked before anything is allocated from it. */
#include "factor/data.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/threads.h"

enum { CHUNK = 1 << 15 };

static ln_status shape(ln__data *d, const int64_t *dims, const char *what)
{
    int64_t all = 1;
    for (int n = 0; n < d->order; n++) {
        d->dims[n] = dims[n];
        if (dims[n] < 1)
            return ln__fail(LN_ERR_SHAPE, "%s: mode %d is empty", what, n);
        if (__builtin_mul_overflow(all, dims[n], &all) || all > INT64_MAX / 64)
            return ln__fail(LN_ERR_SHAPE, "%s: too many entries to count", what);
    }
    d->split = 0;
    int64_t left = 1;
    for (int n = 1; n < d->order; n++) {
        left *= dims[n - 1];
        if (d->split == 0 || left + all / left < d->left + d->right) {
            d->split = n;
            d->left = left;
            d->right = all / left;
        }
    }
    return LN_OK;
}

typedef struct scan {
    double *x;
    const uint8_t *missing;
    bool nonneg;
    double *sums;        /* of squares, one per chunk */
    int64_t *counts;     /* of entries that are there */
    _Atomic int64_t bad; /* smallest index of an entry that is refused */
} scan;

static void scan_chunk(void *ctx, int64_t begin, int64_t end)
{
    scan *s = ctx;
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = begin; i < end; i++) {
        if (s->missing && s->missing[i]) {
            s->x[i] = 0;
            continue;
        }
        const double v = s->x[i];
        if (!isfinite(v) || (s->nonneg && v < 0)) {
            int64_t seen = atomic_load(&s->bad);
            while (i < seen && !atomic_compare_exchange_weak(&s->bad, &seen, i))
                ;
            break;
        }
        sum += v * v;
        n++;
    }
    s->sums[begin / CHUNK] = sum;
    s->counts[begin / CHUNK] = n;
}

static ln_status refuse(const ln__data *d, int64_t at, double value, const char *what)
{
    char index[LN_MAX_DIMS * 21 + 3] = "";
    int used = 0;
    int64_t below = d->left * d->right;
    for (int n = 0; n < d->order; n++) {
        below /= d->dims[n];
        used += ln__format(index + used, sizeof index - (size_t)used, "%s%lld", n ? "," : "",
                           (long long)(at / below % d->dims[n]));
    }
    if (isfinite(value))
        return ln__fail(LN_ERR_NUMERIC, "%s[%s] is %g, but must not be negative", what, index, value);
    return ln__fail(LN_ERR_NUMERIC, "%s[%s] is %s: mark it as missing, or leave it out", what, index,
                    isnan(value) ? "NaN" : "infinite");
}

ln_status ln__data_init(ln__data *d, double *x, const uint8_t *missing, int order, const int64_t *dims, bool nonneg,
                        const char *what)
{
    ln_status st = LN_OK;
    scan s = { .x = x, .missing = missing, .nonneg = nonneg, .bad = INT64_MAX };
    *d = (ln__data){ .order = order, .x = x, .missing = missing };
    if (order < 2 || order > LN_MAX_DIMS)
        return ln__fail(LN_ERR_SHAPE, "%s has %d modes, 2 to %d can be factored", what, order, LN_MAX_DIMS);
    LN_TRY(shape(d, dims, what));
    const int64_t all = d->left * d->right, chunks = (all + CHUNK - 1) / CHUNK;
    LN_TRY(LN_NEW0(&s.sums, chunks));
    LN_TRY(LN_NEW0(&s.counts, chunks));
    ln__parallel_for(all, CHUNK, scan_chunk, &s);
    if (s.bad != INT64_MAX)
        LN_TRY(refuse(d, s.bad, x[s.bad], what));
    for (int64_t i = 0; i < chunks; i++) {
        d->norm2 += s.sums[i];
        d->count += s.counts[i];
    }
    if (d->count == 0)
        LN_FAIL(LN_ERR_NUMERIC, "%s: every entry is missing", what);
    if (!isfinite(d->norm2))
        LN_FAIL(LN_ERR_NUMERIC, "%s: its squares add up to more than a double can hold", what);
    d->rms = sqrt(d->norm2 / (double)d->count);
done:
    ln__free(s.sums);
    ln__free(s.counts);
    return st;
}

void ln__data_fill_mean(ln__data *d)
{
    double sum = 0;
    const int64_t all = d->left * d->right;
    for (int64_t i = 0; i < all; i++)
        sum += d->missing[i] ? 0 : d->x[i];
    for (int64_t i = 0; i < all; i++)
        if (d->missing[i])
            d->x[i] = sum / (double)d->count;
}

ln_status ln__data_init_sparse(ln__data *d, const ln__csr *a, const ln__csr *at, bool nonneg, const char *what)
{
    const int64_t dims[2] = { a->rows, a->cols };
    *d = (ln__data){ .order = 2, .a = a, .at = at };
    const ln_status st = shape(d, dims, what);
    const double *v = a->value;
    for (int64_t i = 0; st == LN_OK && i < a->rows; i++)
        for (int64_t e = a->start[i]; e < a->start[i + 1]; e++) {
            if (!isfinite(v[e]) || (nonneg && v[e] < 0))
                return refuse(d, i * a->cols + a->column[e], v[e], what);
            d->norm2 += v[e] * v[e];
        }
    if (st == LN_OK && !isfinite(d->norm2))
        return ln__fail(LN_ERR_NUMERIC, "%s: its squares add up to more than a double can hold", what);
    d->count = d->left * d->right;
    d->rms = sqrt(d->norm2 / (double)d->count);
    return st;
}

/* ---- products ---- */

ln_status ln__data_right(double *y, const ln__data *d, const double *b, int64_t n)
{
    if (!d->a)
        return ln__dgemm(false, false, d->left, n, d->right, 1, d->x, d->right, b, n, 0, y, n);
    ln__csr_mm(d->a, y, n, b, n, n);
    return LN_OK;
}

ln_status ln__data_left(double *y, const ln__data *d, const double *b, int64_t n)
{
    if (!d->a)
        return ln__dgemm(true, false, d->right, n, d->left, 1, d->x, d->right, b, n, 0, y, n);
    ln__csr_mm(d->at, y, n, b, n, n);
    return LN_OK;
}

static ln_status apply(void *ctx, double *y, const double *x, int64_t n)
{
    const ln__data *d = ctx;
    if (!d->a)
        return ln__dgemm(false, true, n, d->left, d->right, 1, x, d->right, d->x, d->right, 0, y, d->left);
    ln__csr_vecs(d->a, y, d->left, x, d->right, n);
    return LN_OK;
}

static ln_status apply_t(void *ctx, double *x, const double *y, int64_t n)
{
    const ln__data *d = ctx;
    if (!d->a)
        return ln__dgemm(false, false, n, d->right, d->left, 1, y, d->left, d->x, d->right, 0, x, d->right);
    ln__csr_vecs(d->at, x, d->right, y, d->left, n);
    return LN_OK;
}

ln__matvec ln__data_map(const ln__data *d)
{
    return (ln__matvec){
        .rows = d->left,
        .cols = d->right,
        .ctx = (void *)(uintptr_t)d, /* only read */
        .apply = apply,
        .apply_t = apply_t,
    };
}

/* ---- entries ---- */

void ln__data_column(double *to, int64_t stride, const ln__data *d, int64_t j)
{
    for (int64_t i = 0; i < d->left; i++)
        to[i * stride] = d->a ? 0 : d->x[i * d->right + j];
    for (int64_t e = d->a ? d->at->start[j] : 0; d->a && e < d->at->start[j + 1]; e++)
        to[d->at->column[e] * stride] = ((const double *)d->at->value)[e];
}

void ln__data_row_part(double *to, const ln__data *d, int64_t first, int64_t n)
{
    if (!d->a) {
        memcpy(to, d->x + first, (size_t)n * sizeof *to);
        return;
    }
    const int64_t row = first / d->right, from = first % d->right;
    memset(to, 0, (size_t)n * sizeof *to);
    for (int64_t e = d->a->start[row]; e < d->a->start[row + 1]; e++)
        if (d->a->column[e] >= from && d->a->column[e] < from + n)
            to[d->a->column[e] - from] = ((const double *)d->a->value)[e];
}

double ln__data_relative(const ln__data *d, double loss)
{
    return d->norm2 > 0 ? sqrt(fmax(loss, 0) / d->norm2) : 0;
}

double ln__data_sum(const ln__data *d)
{
    const double *v = d->a ? d->a->value : d->x;
    const int64_t n = d->a ? d->a->nnz : d->left * d->right;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}
