/* sparse_file.c - sparse matrices from Matrix Market, scipy npz, PETSc binaries and dense arrays, told apart by their
 * first bytes. */
#include "linop/sparse_file.h"

#include <linnet/io.h>
#include <string.h>

#include "io/archive.h"
#include "io/gz.h"
#include "io/petsc.h"

static ln_status first_bytes(char head[16], size_t *n, const char *path)
{
    ln__stream *s = NULL;
    ln_status st = ln__stream_open(&s, path);
    *n = 0;
    while (st == LN_OK && *n < 16) {
        size_t got = 0;
        st = ln__stream_read(s, head + *n, 16 - *n, &got);
        if (got == 0)
            break;
        *n += got;
    }
    ln__stream_free(s);
    return st;
}

static bool is_mtx(const char *path)
{
    char head[16];
    size_t n = 0;
    return first_bytes(head, &n, path) == LN_OK && n >= 14 && strncasecmp(head, "%%MatrixMarket", 14) == 0;
}

static bool is_petsc(const char *path)
{
    char head[16];
    size_t n = 0;
    return first_bytes(head, &n, path) == LN_OK && ln__petsc_begins(head, n);
}

/* The first matrix of the file. */
static ln_status read_petsc(ln__coo *out, const char *path)
{
    ln_status st = LN_OK;
    ln__petsc p = { 0 };
    LN_TRY(ln__petsc_read(&p, path));
    if (!p.has_matrix)
        LN_FAIL(LN_ERR_SHAPE, "%s: holds a vector, expected a matrix", path);
    *out = p.matrix;
    p.matrix = (ln__coo){ 0 };
done:
    ln__petsc_free(&p);
    return st;
}

bool ln__sparse_looks_like(const char *path)
{
    return is_mtx(path) || is_petsc(path) || ln__npz_is_sparse(path);
}

/* The one array of an archive as f64. */
static ln_status read_dense(ln_tensor **out, const char **format, const char *path)
{
    static const char *const names[] = { "safetensors", "gguf", "npy", "npz", "llama2.c" };
    ln_status st = LN_OK;
    ln_format kind;
    ln_tensor *t = NULL;
    LN_TRY(ln__archive_only(&t, &kind, path));
    *format = names[kind];
    LN_TRY(ln_tensor_convert(out, t, LN_F64));
done:
    ln_tensor_release(t);
    return st;
}

static ln_status from_dense(ln__csr **out, const ln_tensor *t, const char *path, ln_dtype dt)
{
    ln_status st = LN_OK;
    if (ln_tensor_ndim(t) != 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: %d axes, expected a matrix", path, ln_tensor_ndim(t));
    LN_TRY(ln_tensor_check_finite(t, path));
    LN_TRY(
        ln__csr_from_dense(out, dt, ln_tensor_dim(t, 0), ln_tensor_dim(t, 1), ln_tensor_cdata(t), ln_tensor_dim(t, 1)));
done:
    return st;
}

ln_status ln__csr_read(ln__csr **out, ln__sparse_facts *facts, const char *path, ln_dtype dt, const ln__mtx_opts *opts)
{
    ln_status st = LN_OK;
    ln__coo coo = { 0 };
    ln_tensor *dense = NULL;
    ln__sparse_facts f = { .format = "mtx" };
    ln__csr *a = NULL;
    if (is_mtx(path)) {
        LN_TRY(ln__mtx_read(&coo, &dense, path, opts));
        if (dense)
            f.format = "mtx array";
    } else if (ln__npz_is_sparse(path)) {
        LN_TRY(ln__npz_sparse_read(&coo, path));
        f.format = "npz";
    } else if (is_petsc(path)) {
        LN_TRY(read_petsc(&coo, path));
        f.format = "petsc";
    } else {
        LN_TRY(read_dense(&dense, &f.format, path));
    }
    st = dense ? from_dense(&a, dense, path, dt)
               : ln__csr_from_triplets(&a, dt, coo.rows, coo.cols, coo.n, coo.row, coo.col, coo.value, &f.merged);
    if (st == LN_OK)
        st = ln__csr_check(a, path); /* sums of duplicates may overflow */
    else if (!dense)
        ln__fail_in(st, "%s", path);
    if (st != LN_OK)
        goto done;
    f.symmetric = coo.symmetric;
    if (facts)
        *facts = f;
    *out = a;
    a = NULL;
done:
    ln__csr_free(a);
    ln__coo_free(&coo);
    ln_tensor_release(dense);
    return st;
}
