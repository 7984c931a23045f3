/* input.c - reading what is to be factored. Sparse files stay sparse; a missing entry is a NaN or an empty cell
 * (--missing), or a 0 in a second file of the same shape (--mask). */
#include "factor/input.h"

#include <math.h>
#include <string.h>

#include <linnet/io.h>

#include "core/file.h"
#include "core/tensor.h"
#include "core/words.h"
#include "io/archive.h"
#include "io/mtx.h"
#include "io/table.h"

static const ln_param params[] = {
    LN_P_BOOL(ln_factor_files, missing, 0, "NaN and empty cells are missing entries instead of errors"),
    LN_P_TEXT(ln_factor_files, mask, NULL, "FILE", "numbers of the same shape, 0 where an entry is missing"),
    LN_P_TEXT(ln_factor_files, ranks, NULL, "A:B[:STEP]", "fit these ranks too, and show how the error falls"),
    LN_P_REAL(ln_factor_files, holdout, 0.1, 0, 0.9, "with --ranks: fraction of entries hidden to measure errors on"),
    LN_P_END,
};

const ln_param *ln_factor_files_params(void)
{
    return params;
}

void ln__input_free(ln__input *in)
{
    ln__free(in->x);
    ln__free(in->missing);
    ln__csr_free(in->a);
    ln__csr_free(in->at);
    ln__names_free(&in->columns);
    *in = (ln__input){ 0 };
}

ln_status ln__input_job(ln_factor_files *files, const ln_job *job, const char *who, bool has_ranks)
{
    const ln_factor_files defaults = LN_FACTOR_FILES_INIT;
    *files = defaults;
    const ln_status st = ln__opts_adopt(files, sizeof *files, job->shared, params, who);
    if (st != LN_OK)
        return st;
    if (job->inputs != 1)
        return ln__fail(LN_ERR_ARG, "factor %s: one file is wanted, %d were given", who, job->inputs);
    if (files->ranks && !has_ranks)
        return ln__fail(LN_ERR_ARG, "factor %s: --ranks has no meaning here", who);
    return LN_OK;
}

/* What a file holds before anything is made of it. */
typedef struct raw {
    int order;
    int64_t dims[LN_MAX_DIMS];
    double *x;
    ln__csr *a;
} raw;

static ln_status take_tensor(raw *r, const ln_tensor *t)
{
    ln_status st = LN_OK;
    ln_tensor *wide = NULL;
    LN_TRY(ln_tensor_convert(&wide, t, LN_F64));
    r->order = ln_tensor_ndim(t);
    for (int n = 0; n < r->order; n++)
        r->dims[n] = ln_tensor_dim(t, n);
    LN_TRY(LN_NEW(&r->x, ln_tensor_count(t)));
    memcpy(r->x, ln_tensor_cdata(wide), (size_t)ln_tensor_count(t) * sizeof *r->x);
done:
    ln_tensor_release(wide);
    return st;
}

static ln_status read_archive(raw *r, const char *path)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln__archive_only(&t, NULL, path));
    LN_TRY(take_tensor(r, t));
done:
    ln_tensor_release(t);
    return st;
}

static ln_status read_sparse(raw *r, const char *path)
{
    ln_status st = LN_OK;
    ln__coo c = { 0 };
    ln_tensor *dense = NULL;
    if (ln__ends_with(path, ".npz"))
        LN_TRY(ln__npz_sparse_read(&c, path));
    else
        LN_TRY(ln__mtx_read(&c, &dense, path, NULL));
    if (dense) {
        LN_TRY(take_tensor(r, dense));
        goto done;
    }
    r->order = 2;
    r->dims[0] = c.rows;
    r->dims[1] = c.cols;
    LN_TRY(ln__csr_from_triplets(&r->a, LN_F64, c.rows, c.cols, c.n, c.row, c.col, c.value, NULL));
done:
    ln__coo_free(&c);
    ln_tensor_release(dense);
    return st;
}

static ln_status read_table(raw *r, ln__names *columns, const char *path, bool keep_missing)
{
    ln_status st = LN_OK;
    ln__table t = { 0 };
    LN_TRY(ln__table_read(&t, path, &(ln__table_opts){ .keep_missing = keep_missing }));
    r->order = 2;
    r->dims[0] = t.rows;
    r->dims[1] = t.cols;
    r->x = t.data;
    t.data = NULL;
    if (columns) {
        *columns = t.names;
        t.names = (ln__names){ 0 };
    }
done:
    ln__table_free(&t);
    return st;
}

static ln_status read_any(raw *r, ln__names *columns, const char *path, bool keep_missing)
{
    if (ln__ends_with(path, ".mtx") || ln__ends_with(path, ".mtx.gz") ||
        (ln__ends_with(path, ".npz") && ln__npz_is_sparse(path)))
        return read_sparse(r, path);
    if (ln__ends_with(path, ".npy") || ln__ends_with(path, ".npz") || ln__ends_with(path, ".safetensors"))
        return read_archive(r, path);
    return read_table(r, columns, path, keep_missing);
}

static void raw_free(raw *r)
{
    ln__free(r->x);
    ln__csr_free(r->a);
}

static int64_t count_of(const raw *r)
{
    int64_t n = 1;
    for (int i = 0; i < r->order; i++)
        n *= r->dims[i];
    return n;
}

static ln_status add_mask(uint8_t *missing, const raw *r, const char *path, const char *mask)
{
    ln_status st = LN_OK;
    char a[LN_MAX_DIMS * 21 + 3], b[LN_MAX_DIMS * 21 + 3];
    raw m = { 0 };
    LN_TRY(read_any(&m, NULL, mask, false));
    if (m.a)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a sparse mask is not read", mask);
    if (m.order != r->order || memcmp(m.dims, r->dims, (size_t)r->order * sizeof *m.dims) != 0)
        LN_FAIL(LN_ERR_SHAPE, "%s is %s, its mask %s is %s", path, ln__shape_text(a, sizeof a, r->order, r->dims), mask,
                ln__shape_text(b, sizeof b, m.order, m.dims));
    for (int64_t i = 0, n = count_of(r); i < n; i++) {
        if (!isfinite(m.x[i]))
            LN_FAIL(LN_ERR_NUMERIC, "%s: entry %lld is not a number", mask, (long long)i);
        if (m.x[i] == 0)
            missing[i] = 1;
    }
done:
    raw_free(&m);
    return st;
}

static ln_status mark_missing(ln__input *in, const raw *r, const char *path, const ln_factor_files *files)
{
    ln_status st = LN_OK;
    const int64_t n = count_of(r);
    int64_t marked = 0;
    LN_TRY(LN_NEW0(&in->missing, n));
    for (int64_t i = 0; files->missing && i < n; i++)
        in->missing[i] = isnan(r->x[i]);
    if (files->mask)
        LN_TRY(add_mask(in->missing, r, path, files->mask));
    for (int64_t i = 0; i < n; i++)
        marked += in->missing[i];
    if (marked == 0) { /* nothing is: the plain method */
        ln__free(in->missing);
        in->missing = NULL;
    }
done:
    return st;
}

ln_status ln__input_read(ln__input *in, const char *path, const ln_factor_files *files, bool nonneg)
{
    ln_status st = LN_OK;
    raw r = { 0 };
    LN_TRY(read_any(&r, &in->columns, path, files->missing != 0 || files->mask));
    if (r.a) {
        if (files->missing || files->mask)
            LN_FAIL(LN_ERR_UNSUPPORTED, "%s: what a sparse file leaves out is 0, not missing (--missing, --mask)",
                    path);
        in->a = r.a;
        r.a = NULL;
        LN_TRY(ln__csr_transpose(&in->at, in->a));
        LN_TRY(ln__data_init_sparse(&in->d, in->a, in->at, nonneg, path));
        goto done;
    }
    if (r.order >= 1 && count_of(&r) > 0 && (files->missing || files->mask))
        LN_TRY(mark_missing(in, &r, path, files));
    in->x = r.x;
    r.x = NULL;
    LN_TRY(ln__data_init(&in->d, in->x, in->missing, r.order, r.dims, nonneg, path));
done:
    raw_free(&r);
    return st;
}

ln_status ln__input_report(ln_result *r, const ln__input *in)
{
    ln_status st = LN_OK;
    double dims[LN_MAX_DIMS];
    for (int n = 0; n < in->d.order; n++)
        dims[n] = (double)in->d.dims[n];
    LN_TRY(ln_result_numbers(r, "shape", dims, in->d.order));
    if (in->missing)
        LN_TRY(ln_result_integer(r, "missing", in->d.left * in->d.right - in->d.count));
    if (in->a)
        LN_TRY(ln_result_integer(r, "stored", in->a->nnz));
done:
    return st;
}
