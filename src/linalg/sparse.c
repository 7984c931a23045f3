/* sparse.c - sparse matrices in compressed rows: assembly, copies, transposition, checks.
 *
 * Assembly sorts twice by counting, first by column and then by row, both stably: columns ascend within a row and
 * entries of one place stand in the order given, in O(nnz + rows + cols) without a comparison. */
#include "linalg/sparse.h"

#include <math.h>
#include <string.h>

static ln_status check_shape(ln_dtype dt, int64_t rows, int64_t cols, int64_t n)
{
    if (dt != LN_F32 && dt != LN_F64)
        return ln__fail(LN_ERR_DTYPE, "sparse matrix: values are f32 or f64, not %s", ln_dtype_name(dt));
    if (rows < 0 || cols < 0 || n < 0)
        return ln__fail(LN_ERR_ARG, "sparse matrix: %lld x %lld with %lld entries: a size is negative", (long long)rows,
                        (long long)cols, (long long)n);
    if (rows >= INT32_MAX || cols >= INT32_MAX)
        return ln__fail(LN_ERR_SHAPE, "sparse matrix: %lld x %lld is too large, rows and columns are below 2^31",
                        (long long)rows, (long long)cols);
    return LN_OK;
}

ln_status ln__csr_new(ln__csr **out, ln_dtype dt, int64_t rows, int64_t cols, int64_t nnz)
{
    ln_status st = LN_OK;
    ln__csr *a = NULL;
    LN_TRY(check_shape(dt, rows, cols, nnz));
    LN_TRY(LN_NEW0(&a, 1));
    *a = (ln__csr){ .dtype = dt, .rows = rows, .cols = cols, .nnz = nnz };
    LN_TRY(LN_NEW0(&a->start, rows + 1));
    LN_TRY(LN_NEW(&a->column, nnz));
    LN_TRY(ln__alloc(&a->value, (size_t)nnz, ln_dtype_bytes(dt, 1)));
    *out = a;
    a = NULL;
done:
    ln__csr_free(a);
    return st;
}

void ln__csr_free(ln__csr *a)
{
    if (!a)
        return;
    ln__free(a->start);
    ln__free(a->column);
    ln__free(a->value);
    ln__free(a);
}

double ln__csr_entry(const ln__csr *a, int64_t e)
{
    return a->dtype == LN_F64 ? ((const double *)a->value)[e] : (double)((const float *)a->value)[e];
}

/* False: a finite number became infinite. */
static bool put(ln__csr *a, int64_t e, double v)
{
    if (a->dtype == LN_F64) {
        ((double *)a->value)[e] = v;
        return true;
    }
    ((float *)a->value)[e] = (float)v;
    return isfinite((float)v) || !isfinite(v);
}

/* order (n): places 0 … n-1 by ascending key, stably; taken through `from` first when it is given. */
static ln_status sort_by(int64_t *order, const int64_t *key, const int64_t *from, int64_t n, int64_t keys)
{
    int64_t *next = NULL;
    const ln_status st = LN_NEW0(&next, keys + 1);
    if (st != LN_OK)
        return st;
    for (int64_t e = 0; e < n; e++)
        next[key[e] + 1]++;
    for (int64_t k = 0; k < keys; k++)
        next[k + 1] += next[k];
    for (int64_t e = 0; e < n; e++) {
        const int64_t at = from ? from[e] : e;
        order[next[key[at]]++] = at;
    }
    ln__free(next);
    return LN_OK;
}

/* The sorted entries into rows, those of one place summed in f64; a->nnz becomes what is left. */
static ln_status fill(ln__csr *a, const int64_t *order, const int64_t *row, const int64_t *col, const double *value)
{
    int64_t at = 0, e = 0;
    while (e < a->nnz) {
        const int64_t i = row[order[e]], j = col[order[e]];
        double sum = value[order[e++]];
        while (e < a->nnz && row[order[e]] == i && col[order[e]] == j)
            sum += value[order[e++]];
        if (!put(a, at, sum))
            return ln__fail(LN_ERR_NUMERIC, "sparse matrix: entry (%lld, %lld) = %g does not fit %s", (long long)i + 1,
                            (long long)j + 1, sum, ln_dtype_name(a->dtype));
        a->column[at++] = (int32_t)j;
        a->start[i + 1] = at;
    }
    a->nnz = at;
    for (int64_t i = 0; i < a->rows; i++) /* rows without entries */
        a->start[i + 1] = LN_MAX(a->start[i + 1], a->start[i]);
    return LN_OK;
}

ln_status ln__csr_from_triplets(ln__csr **out, ln_dtype dt, int64_t rows, int64_t cols, int64_t n, const int64_t *row,
                                const int64_t *col, const double *value, int64_t *merged)
{
    ln_status st = LN_OK;
    ln__csr *a = NULL;
    int64_t *by_col = NULL, *order = NULL;
    LN_TRY(check_shape(dt, rows, cols, n));
    for (int64_t e = 0; e < n; e++)
        if (row[e] < 0 || row[e] >= rows || col[e] < 0 || col[e] >= cols)
            LN_FAIL(LN_ERR_RANGE, "sparse matrix: entry (%lld, %lld) lies outside %lld x %lld", (long long)row[e] + 1,
                    (long long)col[e] + 1, (long long)rows, (long long)cols);
    LN_TRY(LN_NEW(&by_col, n));
    LN_TRY(LN_NEW(&order, n));
    LN_TRY(sort_by(by_col, col, NULL, n, cols));
    LN_TRY(sort_by(order, row, by_col, n, rows));
    LN_TRY(ln__csr_new(&a, dt, rows, cols, n));
    LN_TRY(fill(a, order, row, col, value));
    if (merged)
        *merged = n - a->nnz;
    *out = a;
    a = NULL;
done:
    ln__csr_free(a);
    ln__free(by_col);
    ln__free(order);
    return st;
}

ln_status ln__csr_from_dense(ln__csr **out, ln_dtype dt, int64_t rows, int64_t cols, const double *dense, int64_t lda)
{
    ln_status st = LN_OK;
    ln__csr *a = NULL;
    int64_t nnz = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            nnz += dense[i * lda + j] != 0;
    LN_TRY(ln__csr_new(&a, dt, rows, cols, nnz));
    int64_t at = 0;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            if (dense[i * lda + j] == 0)
                continue;
            if (!put(a, at, dense[i * lda + j]))
                LN_FAIL(LN_ERR_NUMERIC, "sparse matrix: entry (%lld, %lld) = %g does not fit %s", (long long)i + 1,
                        (long long)j + 1, dense[i * lda + j], ln_dtype_name(dt));
            a->column[at++] = (int32_t)j;
        }
        a->start[i + 1] = at;
    }
    *out = a;
    a = NULL;
done:
    ln__csr_free(a);
    return st;
}

void ln__csr_to_dense(double *out, int64_t ld, const ln__csr *a)
{
    for (int64_t i = 0; i < a->rows; i++) {
        memset(out + i * ld, 0, (size_t)a->cols * sizeof *out);
        for (int64_t e = a->start[i]; e < a->start[i + 1]; e++)
            out[i * ld + a->column[e]] = ln__csr_entry(a, e);
    }
}

ln_status ln__csr_cast(ln__csr **out, const ln__csr *a, ln_dtype dt)
{
    ln_status st = LN_OK;
    ln__csr *c = NULL;
    LN_TRY(ln__csr_new(&c, dt, a->rows, a->cols, a->nnz));
    memcpy(c->start, a->start, (size_t)(a->rows + 1) * sizeof *c->start);
    memcpy(c->column, a->column, (size_t)a->nnz * sizeof *c->column);
    for (int64_t e = 0; e < a->nnz; e++)
        if (!put(c, e, ln__csr_entry(a, e)))
            LN_FAIL(LN_ERR_NUMERIC, "sparse matrix: value %lld = %g does not fit %s", (long long)e, ln__csr_entry(a, e),
                    ln_dtype_name(dt));
    *out = c;
    c = NULL;
done:
    ln__csr_free(c);
    return st;
}

ln_status ln__csr_transpose(ln__csr **out, const ln__csr *a)
{
    ln_status st = LN_OK;
    ln__csr *t = NULL;
    int64_t *next = NULL;
    LN_TRY(ln__csr_new(&t, a->dtype, a->cols, a->rows, a->nnz));
    LN_TRY(LN_NEW(&next, a->cols + 1));
    for (int64_t e = 0; e < a->nnz; e++)
        t->start[a->column[e] + 1]++;
    for (int64_t j = 0; j < a->cols; j++)
        t->start[j + 1] += t->start[j];
    memcpy(next, t->start, (size_t)(a->cols + 1) * sizeof *next);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t e = a->start[i]; e < a->start[i + 1]; e++) {
            const int64_t to = next[a->column[e]]++;
            t->column[to] = (int32_t)i;
            put(t, to, ln__csr_entry(a, e));
        }
    *out = t;
    t = NULL;
done:
    ln__csr_free(t);
    ln__free(next);
    return st;
}

ln_status ln__csr_check(const ln__csr *a, const char *what)
{
    if (a->start[0] != 0 || a->start[a->rows] != a->nnz)
        return ln__fail(LN_ERR_FORMAT, "%s: row starts run from %lld to %lld, expected 0 to %lld", what,
                        (long long)a->start[0], (long long)a->start[a->rows], (long long)a->nnz);
    for (int64_t i = 0; i < a->rows; i++)
        if (a->start[i + 1] < a->start[i] || a->start[i + 1] > a->nnz)
            return ln__fail(LN_ERR_FORMAT, "%s: row %lld ends at entry %lld and begins at %lld", what, (long long)i + 1,
                            (long long)a->start[i + 1], (long long)a->start[i]);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t e = a->start[i]; e < a->start[i + 1]; e++) {
            if (a->column[e] < 0 || a->column[e] >= a->cols)
                return ln__fail(LN_ERR_FORMAT, "%s: row %lld has column %lld of %lld", what, (long long)i + 1,
                                (long long)a->column[e] + 1, (long long)a->cols);
            if (e > a->start[i] && a->column[e] <= a->column[e - 1])
                return ln__fail(LN_ERR_FORMAT, "%s: the columns of row %lld do not ascend", what, (long long)i + 1);
            if (!isfinite(ln__csr_entry(a, e)))
                return ln__fail(LN_ERR_NUMERIC, "%s: entry (%lld, %lld) is not finite", what, (long long)i + 1,
                                (long long)a->column[e] + 1);
        }
    return LN_OK;
}

int64_t ln__csr_from(const ln__csr *a, int64_t i, int64_t j)
{
    int64_t lo = a->start[i], hi = a->start[i + 1];
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (a->column[mid] < j)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

double ln__csr_at(const ln__csr *a, int64_t i, int64_t j)
{
    const int64_t e = ln__csr_from(a, i, j);
    return e < a->start[i + 1] && a->column[e] == j ? ln__csr_entry(a, e) : 0;
}

ln_status ln__csr_asymmetry(double *worst, int64_t *row, int64_t *col, const ln__csr *a)
{
    ln_status st = LN_OK;
    ln__csr *t = NULL;
    double most = 0;
    int64_t wi = 0, wj = 0;
    if (a->rows != a->cols)
        LN_FAIL(LN_ERR_SHAPE, "sparse matrix: %lld x %lld is not square", (long long)a->rows, (long long)a->cols);
    LN_TRY(ln__csr_transpose(&t, a));
    for (int64_t i = 0; i < a->rows; i++) /* merge of two ascending rows */
        for (int64_t e = a->start[i], f = t->start[i]; e < a->start[i + 1] || f < t->start[i + 1];) {
            const int64_t je = e < a->start[i + 1] ? a->column[e] : INT64_MAX;
            const int64_t jf = f < t->start[i + 1] ? t->column[f] : INT64_MAX;
            const double x = je <= jf ? ln__csr_entry(a, e++) : 0, y = jf <= je ? ln__csr_entry(t, f++) : 0;
            if (fabs(x - y) > most) {
                most = fabs(x - y);
                wi = i;
                wj = LN_MIN(je, jf);
            }
        }
    *worst = most;
    *row = wi;
    *col = wj;
done:
    ln__csr_free(t);
    return st;
}
