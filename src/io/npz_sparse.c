/* npz_sparse.c - sparse matrices as scipy.sparse.save_npz writes them: "format" (csr, csc, coo as bytes), "shape",
 * "data", and "indices" with "indptr", or "row" with "col"; indices are i32 or i64. scipy/sparse/_matrix_io.py. */
#include <math.h>
#include <string.h>

#include "io/archive.h"
#include "io/mtx.h"

enum { BSR = 3 };

bool ln__npz_is_sparse(const char *path)
{
    ln_archive *a = NULL;
    const bool sparse = ln_archive_open(&a, path) == LN_OK && ln_archive_format(a) == LN_FORMAT_NPZ &&
                        ln_archive_has(a, "format") && ln_archive_has(a, "data") && ln_archive_has(a, "shape");
    ln_archive_release(a);
    return sparse;
}

/* One axis of whole numbers as i64, or of floats as f64; n < 0: any length, else exactly that. */
static ln_status get(ln_tensor **out, const ln_archive *a, const char *name, ln_dtype as, int64_t n)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln_archive_get(&t, a, name));
    if (ln_tensor_ndim(t) != 1 || (n >= 0 && ln_tensor_dim(t, 0) != n))
        LN_FAIL(LN_ERR_FORMAT, "%s: '%s' is not one axis of %lld numbers", ln_archive_path(a), name, (long long)n);
    const ln_dtype is = ln_tensor_dtype(t);
    if (as == LN_I64 && is != LN_I32 && is != LN_I64)
        LN_FAIL(LN_ERR_FORMAT, "%s: '%s' is %s, expected i32 or i64", ln_archive_path(a), name, ln_dtype_name(is));
    LN_TRY(ln_tensor_convert(out, t, as));
done:
    ln_tensor_release(t);
    return st;
}

static ln_status read_format(int *out, const ln_archive *a)
{
    static const char *const names[] = { "csr", "csc", "coo", "bsr" };
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln_archive_get(&t, a, "format"));
    *out = -1;
    if (ln_tensor_dtype(t) == LN_U8 && ln_tensor_ndim(t) == 1 && ln_tensor_dim(t, 0) == 3)
        for (int i = 0; i < 4; i++)
            if (memcmp(ln_tensor_cdata(t), names[i], 3) == 0)
                *out = i;
    if (*out < 0 || *out == BSR)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a sparse matrix in format %s, expected csr, csc or coo", ln_archive_path(a),
                *out == BSR ? "bsr" : "unknown");
done:
    ln_tensor_release(t);
    return st;
}

/* major[e] = the row (column) whose range of indptr holds e. */
static ln_status spread(int64_t *major, const int64_t *ptr, int64_t lines, int64_t n, const char *path)
{
    if (ptr[0] != 0 || ptr[lines] != n)
        return ln__fail(LN_ERR_FORMAT, "%s: 'indptr' runs from %lld to %lld, expected 0 to %lld", path,
                        (long long)ptr[0], (long long)ptr[lines], (long long)n);
    for (int64_t i = 0; i < lines; i++) {
        if (ptr[i + 1] < ptr[i] || ptr[i + 1] > n)
            return ln__fail(LN_ERR_FORMAT, "%s: 'indptr' goes from %lld to %lld at %lld", path, (long long)ptr[i],
                            (long long)ptr[i + 1], (long long)i);
        for (int64_t e = ptr[i]; e < ptr[i + 1]; e++)
            major[e] = i;
    }
    return LN_OK;
}

static ln_status check_entries(const ln__coo *c, const char *path)
{
    for (int64_t e = 0; e < c->n; e++) {
        if (c->row[e] < 0 || c->row[e] >= c->rows || c->col[e] < 0 || c->col[e] >= c->cols)
            return ln__fail(LN_ERR_FORMAT, "%s: entry %lld at (%lld, %lld) lies outside %lld x %lld", path,
                            (long long)e, (long long)c->row[e], (long long)c->col[e], (long long)c->rows,
                            (long long)c->cols);
        if (!isfinite(c->value[e]))
            return ln__fail(LN_ERR_NUMERIC, "%s: entry (%lld, %lld) is not finite", path, (long long)c->row[e] + 1,
                            (long long)c->col[e] + 1);
    }
    return LN_OK;
}

ln_status ln__npz_sparse_read(ln__coo *out, const char *path)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    ln_tensor *shape = NULL, *data = NULL, *minor = NULL, *ptr = NULL;
    ln__coo c = { 0 };
    int format = 0;
    LN_TRY(ln_archive_open(&a, path));
    if (ln_archive_format(a) != LN_FORMAT_NPZ || !ln_archive_has(a, "format"))
        LN_FAIL(LN_ERR_FORMAT, "%s: not a sparse matrix of scipy.sparse.save_npz", path);
    LN_TRY(read_format(&format, a));
    LN_TRY(get(&shape, a, "shape", LN_I64, 2));
    LN_TRY(get(&data, a, "data", LN_F64, -1));
    c.rows = ((const int64_t *)ln_tensor_cdata(shape))[0];
    c.cols = ((const int64_t *)ln_tensor_cdata(shape))[1];
    c.n = ln_tensor_dim(data, 0);
    if (c.rows < 0 || c.cols < 0 || c.rows >= INT32_MAX || c.cols >= INT32_MAX)
        LN_FAIL(LN_ERR_FORMAT, "%s: shape %lld x %lld, rows and columns are 0 to 2^31", path, (long long)c.rows,
                (long long)c.cols);
    LN_TRY(LN_NEW(&c.row, c.n));
    LN_TRY(LN_NEW(&c.col, c.n));
    LN_TRY(LN_NEW(&c.value, c.n));
    const int64_t lines = format == 1 ? c.cols : c.rows;
    LN_TRY(get(&minor, a, format == 2 ? "col" : "indices", LN_I64, c.n));
    LN_TRY(get(&ptr, a, format == 2 ? "row" : "indptr", LN_I64, format == 2 ? c.n : lines + 1));
    const size_t bytes = (size_t)c.n * sizeof(int64_t);
    memcpy(c.value, ln_tensor_cdata(data), bytes);
    memcpy(format == 1 ? c.row : c.col, ln_tensor_cdata(minor), bytes);
    if (format == 2)
        memcpy(c.row, ln_tensor_cdata(ptr), bytes);
    else
        LN_TRY(spread(format == 1 ? c.col : c.row, ln_tensor_cdata(ptr), lines, c.n, path));
    LN_TRY(check_entries(&c, path));
    *out = c;
    c = (ln__coo){ 0 };
done:
    ln__coo_free(&c);
    ln_tensor_release(shape);
    ln_tensor_release(data);
    ln_tensor_release(minor);
    ln_tensor_release(ptr);
    ln_archive_release(a);
    return st;
}
