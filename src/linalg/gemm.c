/* gemm.c - matrix products, cut into blocks of fixed size that threads share.
 *
 * C = alpha op(A) op(B) + beta C. Every block is one single-threaded BLAS call over the whole inner dimension, so a
 * number is summed in the same order whatever the number of threads, and 1 and 2 threads give the same bytes.
 * Pitfall: a narrow block repacks the other operand for nothing; blocks of 256 x 384 keep that under a few per cent
 * (measured: docs/kernels.md). One row or one column goes to GEMV, where GEMM loses a factor of ten. */
#include <string.h>

#include "core/threads.h"
#include "linalg/blas.h"

enum {
    BLOCK_M = 256,
    BLOCK_N = 384,
    BLOCK_N_WIDE = 1536, /* for outputs wider than 4 of these, where there are blocks enough for everybody */
    MIN_BLOCKS = 4,
    MIN_BLOCK_N = 96,
    SYRK_BLOCK = 256,
    GEMV_CHUNK = 1 << 15 /* elements of the matrix per chunk */
};

ln_status ln__blas_int(int *out, int64_t n, const char *routine, const char *name)
{
    if (n < 0)
        return ln__fail(LN_ERR_ARG, "%s: %s = %lld is negative", routine, name, (long long)n);
    if (n > INT_MAX)
        return ln__fail(LN_ERR_SHAPE, "%s: %s = %lld is too large for BLAS", routine, name, (long long)n);
    *out = (int)n;
    return LN_OK;
}

ln_status ln__blas_ld(int *out, int64_t ld, int64_t width, const char *routine, const char *name)
{
    if (ld < width)
        return ln__fail(LN_ERR_ARG, "%s: %s = %lld is less than the row width %lld", routine, name, (long long)ld,
                        (long long)width);
    return ln__blas_int(out, LN_MAX(ld, 1), routine, name);
}

static int ceil_div(int a, int b)
{
    return a / b + (a % b != 0);
}

/* `n` in `parts` nearly equal pieces, each a multiple of `step`. */
static int piece(int n, int parts, int step)
{
    const int64_t size = (int64_t)ceil_div(ceil_div(n, parts), step) * step;
    return (int)LN_MIN(size, n);
}

ln__cut ln__gemm_cut(int m, int n, int k)
{
    ln__cut c = { .mb = m, .nb = n, .rows = 1, .cols = 1 };
    if ((double)m * n * k < 1 << 19)
        return c;
    const int rows = ceil_div(m, BLOCK_M);
    int cols = ceil_div(n, n > 4 * BLOCK_N_WIDE ? BLOCK_N_WIDE : BLOCK_N);
    while (rows * (int64_t)cols < MIN_BLOCKS && n / (cols + 1) >= MIN_BLOCK_N)
        cols++;
    c.mb = piece(m, rows, 8);
    c.nb = piece(n, cols, 16);
    c.rows = ceil_div(m, c.mb);
    c.cols = ceil_div(n, c.nb);
    return c;
}

#define REAL float
#define NAME(f) f##_f32
#define BLAS(f) cblas_s##f
#define PUBLIC(f) ln__s##f
#define ROUTINE(f) "s" f
#include "linalg/gemm_tmpl.c"
#undef REAL
#undef NAME
#undef BLAS
#undef PUBLIC
#undef ROUTINE
#define REAL double
#define NAME(f) f##_f64
#define BLAS(f) cblas_d##f
#define PUBLIC(f) ln__d##f
#define ROUTINE(f) "d" f
#include "linalg/gemm_tmpl.c"

typedef struct syrk_job {
    bool trans;
    int n, k, lda, ldc, across;
    double alpha, beta;
    const double *a;
    double *c;
} syrk_job;

static void syrk_blocks(void *ctx, int64_t begin, int64_t end)
{
    const syrk_job *s = ctx;
    const int before = ln__blas_one();
    for (int64_t t = begin; t < end; t++) {
        int bi, bj;
        ln__upper_block(t, s->across, &bi, &bj);
        const int i = bi * SYRK_BLOCK, j = bj * SYRK_BLOCK;
        const int ni = LN_MIN(SYRK_BLOCK, s->n - i), nj = LN_MIN(SYRK_BLOCK, s->n - j);
        const double *ai = s->trans ? s->a + i : s->a + (size_t)i * s->lda;
        const double *aj = s->trans ? s->a + j : s->a + (size_t)j * s->lda;
        double *c = s->c + (size_t)i * s->ldc + j;
        const CBLAS_TRANSPOSE ta = s->trans ? CblasTrans : CblasNoTrans, tb = s->trans ? CblasNoTrans : CblasTrans;
        if (i == j)
            cblas_dsyrk(CblasRowMajor, CblasUpper, ta, ni, s->k, s->alpha, ai, s->lda, s->beta, c, s->ldc);
        else
            cblas_dgemm(CblasRowMajor, ta, tb, ni, nj, s->k, s->alpha, ai, s->lda, aj, s->lda, s->beta, c, s->ldc);
        for (int r = 0; r < ni; r++)
            for (int q = i == j ? r + 1 : 0; q < nj; q++)
                s->c[(size_t)(j + q) * s->ldc + i + r] = c[(size_t)r * s->ldc + q];
    }
    ln__blas_many(before);
}

ln_status ln__dsyrk(bool trans, int64_t n, int64_t k, double alpha, const double *a, int64_t lda, double beta,
                    double *c, int64_t ldc)
{
    ln_status st = LN_OK;
    syrk_job s = { .trans = trans, .alpha = alpha, .beta = beta, .a = a, .c = c };
    LN_TRY(ln__blas_int(&s.n, n, "dsyrk", "n"));
    LN_TRY(ln__blas_int(&s.k, k, "dsyrk", "k"));
    LN_TRY(ln__blas_ld(&s.lda, lda, trans ? n : k, "dsyrk", "lda"));
    LN_TRY(ln__blas_ld(&s.ldc, ldc, n, "dsyrk", "ldc"));
    if (s.n == 0)
        goto done;
    if (s.k == 0) {
        scale_f64(c, s.n, s.n, s.ldc, beta);
        goto done;
    }
    s.across = ceil_div(s.n, SYRK_BLOCK);
    ln__parallel_for((int64_t)s.across * (s.across + 1) / 2, 1, syrk_blocks, &s);
done:
    return st;
}
