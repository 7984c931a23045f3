/* svd.c - `linnet factor svd`: the leading singular triplets, exactly, by random projection, or of a file that is
 * larger than memory.
 *
 * The best approximation of rank r in Frobenius norm is that of the r leading triplets, and its error is the root of
 * |A|^2 - sum of their squares (Eckart and Young 1936): so it is known without forming the residual. Randomised: Halko,
 * Martinsson and Tropp 2011. Out of core: the same, with the products of svd_stream.c.
 * Pitfall: that difference loses its digits when the error is small: below 1e-7 of |A| it is rounding. */
#include <math.h>
#include <string.h>

#include <linnet/io.h>

#include "core/words.h"
#include "factor/input.h"
#include "factor/svd.h"
#include "factor/systems.h"

enum { EXACT_SIDE = 1024, SHARE = 4 }; /* a block of rows takes a quarter of the memory that may be used */

static const ln_param params[] = {
    LN_P_INT(ln_factor_svd_opts, rank, 10, 1, 1 << 16, "singular triplets"),
    LN_P_CHOICE(ln_factor_svd_opts, method, LN_SVD_AUTO, "auto|exact|random|stream",
                "auto: exact up to 1024 on the short side, random above, stream if --max-memory is too small"),
    LN_P_INT(ln_factor_svd_opts, oversample, 10, 0, 10000, "random, stream: directions beyond the rank"),
    LN_P_INT(ln_factor_svd_opts, power, 2, 0, 100, "random, stream: power steps; each reads a streamed file twice"),
    LN_P_END,
};

const ln_param *ln_factor_svd_params(void)
{
    return params;
}

typedef struct triplets {
    int64_t rows, cols, r;
    double *u, *s, *vt, *spectrum; /* spectrum: all p singular values, exact only */
    int64_t n_spectrum;
    double norm2;
    const char *method;
    int64_t passes, bytes_read, file_bytes;
} triplets;

static void triplets_free(triplets *t)
{
    ln__free(t->u);
    ln__free(t->s);
    ln__free(t->vt);
    ln__free(t->spectrum);
}

static ln_status make_room(triplets *t, const ln_factor_svd_opts *o, int64_t rows, int64_t cols)
{
    ln_status st = LN_OK;
    t->rows = rows;
    t->cols = cols;
    t->r = o->rank;
    if (t->r > LN_MIN(rows, cols))
        LN_FAIL(LN_ERR_RANGE, "svd: rank = %lld, but a %lld x %lld matrix has %lld triplets", (long long)t->r,
                (long long)rows, (long long)cols, (long long)LN_MIN(rows, cols));
    LN_TRY(ln__alloc((void **)&t->u, (size_t)rows, (size_t)t->r * sizeof(double)));
    LN_TRY(LN_NEW(&t->s, t->r));
    LN_TRY(ln__alloc((void **)&t->vt, (size_t)t->r, (size_t)cols * sizeof(double)));
done:
    return st;
}

/* All triplets, of which the first r are kept. */
static ln_status exact(triplets *t, const double *x)
{
    ln_status st = LN_OK;
    const int64_t p = LN_MIN(t->rows, t->cols);
    double *u = NULL, *vt = NULL;
    LN_TRY(ln__alloc((void **)&u, (size_t)t->rows, (size_t)p * sizeof *u));
    LN_TRY(ln__alloc((void **)&vt, (size_t)p, (size_t)t->cols * sizeof *vt));
    LN_TRY(LN_NEW(&t->spectrum, p));
    LN_TRY(ln__svd(x, t->rows, t->cols, u, t->spectrum, vt));
    t->n_spectrum = p;
    for (int64_t i = 0; i < t->rows; i++)
        memcpy(t->u + i * t->r, u + i * p, (size_t)t->r * sizeof *u);
    memcpy(t->s, t->spectrum, (size_t)t->r * sizeof *t->s);
    memcpy(t->vt, vt, (size_t)(t->r * t->cols) * sizeof *vt);
done:
    ln__free(u);
    ln__free(vt);
    return st;
}

static ln_status of_data(triplets *t, const ln__data *d, const ln_factor_svd_opts *o, uint64_t seed)
{
    ln_status st = LN_OK;
    const bool all = o->method == LN_SVD_EXACT || (o->method == LN_SVD_AUTO && LN_MIN(d->left, d->right) <= EXACT_SIDE);
    LN_TRY(make_room(t, o, d->left, d->right));
    t->norm2 = d->norm2;
    if (o->method == LN_SVD_EXACT && d->a)
        LN_FAIL(LN_ERR_UNSUPPORTED, "svd: a sparse matrix stays sparse: --method random");
    t->method = all && !d->a ? "exact" : "random";
    if (all && !d->a)
        LN_TRY(exact(t, d->x));
    else {
        const ln__matvec map = ln__data_map(d);
        LN_TRY(ln__svd_random(&map, t->r, o->oversample, o->power, seed, t->u, t->s, t->vt));
    }
done:
    return st;
}

/* ---- streaming ---- */

/* Bytes that the basis and the triplets take: about (rows + cols) (r + oversample) numbers, five times over. */
static int64_t fixed_bytes(int64_t rows, int64_t cols, const ln_factor_svd_opts *o)
{
    return (rows + cols) * (o->rank + o->oversample) * 5 * (int64_t)sizeof(double);
}

static ln_status of_file(triplets *t, const ln_tensor *x, const char *path, const ln_factor_svd_opts *o,
                         const ln_job *job)
{
    ln_status st = LN_OK;
    ln__stream_matrix m = { .data = ln_tensor_cdata(x), .dtype = ln_tensor_dtype(x), .path = path };
    m.rows = ln_tensor_dim(x, 0);
    m.cols = ln_tensor_dim(x, 1);
    m.progress = job->progress;
    m.payload = job->payload;
    const int64_t free_bytes = LN_MIN(ln__memory_free(), job->max_memory > 0 ? job->max_memory : INT64_MAX);
    const int64_t need = fixed_bytes(m.rows, m.cols, o), row = m.cols * (int64_t)sizeof(double);
    LN_TRY(make_room(t, o, m.rows, m.cols));
    if (need + row > free_bytes)
        LN_FAIL(LN_ERR_NOMEM, "%s: a rank of %d needs %lld bytes for its factors alone, --max-memory leaves %lld", path,
                (int)o->rank, (long long)(need + row), (long long)free_bytes);
    m.block = LN_MIN(m.rows, LN_MAX(1, LN_MIN((int64_t)1 << 26, LN_MIN(free_bytes / SHARE, free_bytes - need)) / row));
    LN_TRY(ln__alloc((void **)&m.rows_now, (size_t)m.block, (size_t)row));
    LN_TRY(ln__stream_scan(&m));
    const ln__matvec map = ln__stream_map(&m);
    LN_TRY(ln__svd_random(&map, t->r, o->oversample, o->power, (uint64_t)job->seed, t->u, t->s, t->vt));
    t->norm2 = m.norm2;
    t->method = "stream";
    t->passes = m.passes;
    t->bytes_read = m.bytes;
    t->file_bytes = (int64_t)ln_tensor_bytes(x);
done:
    ln__free(m.rows_now);
    return st;
}

/* Opens a file that can be streamed, where that is asked for or the only way. *x stays NULL otherwise. */
static ln_status open_stream(ln_archive **a, ln_tensor **x, const char *path, const ln_factor_svd_opts *o,
                             const ln_job *job)
{
    ln_status st = LN_OK;
    const bool npy = ln__ends_with(path, ".npy"), asked = o->method == LN_SVD_STREAM;
    if (!npy && asked)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: only an npy file is streamed", path);
    if (!npy || (!asked && (o->method != LN_SVD_AUTO || job->max_memory == 0)))
        return LN_OK;
    LN_TRY(ln_archive_open(a, path));
    LN_TRY(ln_archive_get(x, *a, ln_archive_name(*a, 0)));
    const bool fits = ln_tensor_ndim(*x) == 2 && ln_tensor_contiguous(*x) && ln_tensor_dim(*x, 0) > 0 &&
                      ln_tensor_dim(*x, 1) > 0 && (ln_tensor_dtype(*x) == LN_F32 || ln_tensor_dtype(*x) == LN_F64);
    if (asked && !fits)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a matrix of f32 or f64 in row-major order can be streamed", path);
    /* two copies as f64 is what the other methods hold */
    if (!asked && (!fits || ln_tensor_count(*x) * 2 < job->max_memory / (int64_t)sizeof(double))) {
        ln_tensor_release(*x);
        *x = NULL;
    }
done:
    return st;
}

/* ---- report ---- */

static ln_status report(ln_result *r, const triplets *t)
{
    ln_status st = LN_OK;
    double kept = 0, *x = NULL;
    const int64_t n = t->spectrum ? t->n_spectrum : t->r;
    const double *s = t->spectrum ? t->spectrum : t->s;
    LN_TRY(LN_NEW(&x, 2 * n));
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)(i + 1);
        kept += s[i] * s[i];
        x[n + i] = t->norm2 > 0 ? sqrt(fmax(t->norm2 - kept, 0) / t->norm2) : 0;
    }
    LN_TRY(ln_result_text(r, "method", t->method));
    LN_TRY(ln_result_integer(r, "rank", t->r));
    LN_TRY(ln_result_number(r, "relative_error", x[n + t->r - 1]));
    LN_TRY(ln_result_number(r, "explained", 1 - x[n + t->r - 1] * x[n + t->r - 1]));
    LN_TRY(ln_result_numbers(r, "singular_values", t->s, t->r));
    if (t->passes > 0) {
        LN_TRY(ln_result_integer(r, "file_bytes", t->file_bytes));
        LN_TRY(ln_result_integer(r, "passes", t->passes));
        LN_TRY(ln_result_integer(r, "bytes_read", t->bytes_read));
    }
    LN_TRY(ln_result_series(r, "singular values", t->method, "index", "singular value", x, s, n));
    LN_TRY(ln_result_series(r, "error by rank", t->method, "rank", "relative error", x, x + n, n));
done:
    ln__free(x);
    return st;
}

static ln_status save(const triplets *t, const ln_job *job, const void *opts, const ln_factor_files *files,
                      const ln__input *in)
{
    ln_status st = LN_OK;
    const ln__part parts[] = {
        { "u", 2, { t->rows, t->r }, t->u },
        { "s", 1, { t->r }, t->s },
        { "vt", 2, { t->r, t->cols }, t->vt },
    };
    json_t *facts = json_object();
    LN_TRY(ln__json_set(facts, "method", json_string(t->method)));
    LN_TRY(ln__factor_save(job, &ln__system_factor_svd, opts, files, in, parts, 3, facts));
done:
    json_decref(facts);
    return st;
}

static ln_status run(const ln_job *job, const void *opts, ln_result *r)
{
    ln_status st = LN_OK;
    ln_factor_svd_opts o;
    ln_factor_files files;
    triplets t = { 0 };
    ln__input in = { 0 };
    ln_archive *a = NULL;
    ln_tensor *x = NULL;
    memcpy(&o, opts, sizeof o);
    LN_TRY(ln__input_job(&files, job, "svd", false));
    if (files.missing || files.mask)
        LN_FAIL(LN_ERR_UNSUPPORTED,
                "factor svd: missing entries have no singular vectors (linnet factor cp fills them)");
    LN_TRY(open_stream(&a, &x, job->input[0], &o, job));
    if (x) {
        LN_TRY(of_file(&t, x, job->input[0], &o, job));
        LN_TRY(ln_result_numbers(r, "shape", (const double[]){ (double)t.rows, (double)t.cols }, 2));
    } else {
        LN_TRY(ln__input_read(&in, job->input[0], &files, false));
        if (in.d.order != 2)
            LN_FAIL(LN_ERR_SHAPE, "%s: has %d modes, a matrix is wanted (linnet factor tucker)", job->input[0],
                    in.d.order);
        if (job->progress && job->progress(job->payload, "svd", 0, 1))
            LN_FAIL(LN_ERR_CANCELLED, "factor svd: stopped");
        LN_TRY(of_data(&t, &in.d, &o, (uint64_t)job->seed));
        LN_TRY(ln__input_report(r, &in));
    }
    LN_TRY(report(r, &t));
    if (job->out)
        LN_TRY(save(&t, job, &o, &files, &in));
done:
    ln_tensor_release(x);
    ln_archive_release(a);
    ln__input_free(&in);
    triplets_free(&t);
    return st;
}

static const ln_estimator estimator = { .run = run };

const ln_system ln__system_factor_svd = {
    .name = "svd",
    .verb = "factor",
    .summary = "leading singular triplets: exact, randomised, or of a file larger than memory",
    .paper = "Halko, Martinsson and Tropp, SIAM Review 53 (2011)",
    .example = "linnet factor svd huge.npy --rank 50 --max-memory 2G --report svd.html -o svd/",
    .params = params,
    .opts_size = sizeof(ln_factor_svd_opts),
    .impl = &estimator,
};

ln_status ln_factor_svd(ln_tensor **u, ln_tensor **s, ln_tensor **vt, const ln_tensor *a,
                        const ln_factor_svd_opts *opts, int64_t seed)
{
    ln_status st = LN_OK;
    ln_factor_svd_opts o = LN_SVD_OPTS_INIT;
    ln_tensor *wide = NULL, *out[3] = { NULL };
    ln__data d;
    triplets t = { 0 };
    if (!u || !s || !vt || !a)
        return ln__fail(LN_ERR_ARG, "svd: u, s, vt and a are needed");
    LN_TRY(ln__opts_adopt(&o, sizeof o, opts, params, "svd"));
    if (o.method == LN_SVD_STREAM)
        LN_FAIL(LN_ERR_UNSUPPORTED, "svd: only files are streamed");
    if (ln_tensor_ndim(a) != 2)
        LN_FAIL(LN_ERR_SHAPE, "svd: the data have %d modes, a matrix is wanted", ln_tensor_ndim(a));
    LN_TRY(ln_tensor_convert(&wide, a, LN_F64));
    const int64_t dims[2] = { ln_tensor_dim(a, 0), ln_tensor_dim(a, 1) };
    LN_TRY(ln__data_init(&d, ln_tensor_data(wide), NULL, 2, dims, false, "a"));
    LN_TRY(of_data(&t, &d, &o, (uint64_t)seed));
    LN_TRY(ln_tensor_new(&out[0], LN_F64, 2, (int64_t[]){ t.rows, t.r }));
    LN_TRY(ln_tensor_new(&out[1], LN_F64, 1, &t.r));
    LN_TRY(ln_tensor_new(&out[2], LN_F64, 2, (int64_t[]){ t.r, t.cols }));
    memcpy(ln_tensor_data(out[0]), t.u, (size_t)(t.rows * t.r) * sizeof(double));
    memcpy(ln_tensor_data(out[1]), t.s, (size_t)t.r * sizeof(double));
    memcpy(ln_tensor_data(out[2]), t.vt, (size_t)(t.r * t.cols) * sizeof(double));
    *u = out[0];
    *s = out[1];
    *vt = out[2];
    memset(out, 0, sizeof out);
done:
    for (int i = 0; i < 3; i++)
        ln_tensor_release(out[i]);
    ln_tensor_release(wide);
    triplets_free(&t);
    return st;
}
