/* gemm_tmpl.c - included by gemm.c twice, with REAL = float and REAL = double. */

typedef struct NAME(gemm_job) {
    CBLAS_TRANSPOSE ta, tb;
    int m, n, k, lda, ldb, ldc;
    REAL alpha, beta;
    const REAL *a, *b;
    REAL *c;
    ln__cut cut;
} NAME(gemm_job);

static void NAME(gemm_blocks)(void *ctx, int64_t begin, int64_t end)
{
    const NAME(gemm_job) *g = ctx;
    const int before = ln__blas_one();
    for (int64_t t = begin; t < end; t++) {
        /* Down before across: neighbours in time share the columns of B, the larger operand of a linear layer. */
        const int i = (int)(t % g->cut.rows) * g->cut.mb, j = (int)(t / g->cut.rows) * g->cut.nb;
        const int m = LN_MIN(g->cut.mb, g->m - i), n = LN_MIN(g->cut.nb, g->n - j);
        const REAL *a = g->a + (g->ta == CblasTrans ? (size_t)i : (size_t)i * (size_t)g->lda);
        const REAL *b = g->b + (g->tb == CblasTrans ? (size_t)j * (size_t)g->ldb : (size_t)j);
        BLAS(gemm)
        (CblasRowMajor, g->ta, g->tb, m, n, g->k, g->alpha, a, g->lda, b, g->ldb, g->beta,
         g->c + (size_t)i * (size_t)g->ldc + j, g->ldc);
    }
    ln__blas_many(before);
}

typedef struct NAME(gemv_job) {
    bool ta;
    int rows, cols, lda, incx, incy;
    REAL alpha, beta;
    const REAL *a, *x;
    REAL *y;
} NAME(gemv_job);

/* [begin, end) are entries of y: rows of A, or its columns when transposed. */
static void NAME(gemv_chunk)(void *ctx, int64_t begin, int64_t end)
{
    const NAME(gemv_job) *g = ctx;
    const int before = ln__blas_one(), n = (int)(end - begin);
    REAL *y = g->y + (size_t)begin * (size_t)g->incy;
    if (g->beta == 0) /* BLAS multiplies by 0, and 0 * NaN is NaN */
        for (int i = 0; i < n; i++)
            y[(size_t)i * (size_t)g->incy] = 0;
    if (g->ta)
        BLAS(gemv)
    (CblasRowMajor, CblasTrans, g->rows, n, g->alpha, g->a + begin, g->lda, g->x, g->incx, g->beta, y, g->incy);
    else BLAS(gemv)(CblasRowMajor, CblasNoTrans, n, g->cols, g->alpha, g->a + (size_t)begin * (size_t)g->lda, g->lda,
                    g->x, g->incx, g->beta, y, g->incy);
    ln__blas_many(before);
}

static void NAME(gemv_run)(const NAME(gemv_job) * g)
{
    const int n = g->ta ? g->cols : g->rows, inner = g->ta ? g->rows : g->cols;
    const int64_t chunk = LN_MAX(GEMV_CHUNK / LN_MAX(inner, 1) / 16 * 16, 64);
    ln__parallel_for(n, chunk, NAME(gemv_chunk), (void *)g);
}

/* C *= beta; beta = 0 clears whatever was there. */
static void NAME(scale)(REAL *c, int m, int n, int ldc, REAL beta)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            REAL *e = c + (size_t)i * (size_t)ldc + j;
            *e = beta == 0 ? 0 : beta * *e;
        }
}

ln_status PUBLIC(gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, REAL alpha, const REAL *a, int64_t lda,
                       const REAL *b, int64_t ldb, REAL beta, REAL *c, int64_t ldc)
{
    ln_status st = LN_OK;
    NAME(gemm_job)
    g = { .ta = ta ? CblasTrans : CblasNoTrans,
          .tb = tb ? CblasTrans : CblasNoTrans,
          .alpha = alpha,
          .beta = beta,
          .a = a,
          .b = b,
          .c = c };
    LN_TRY(ln__blas_int(&g.m, m, ROUTINE("gemm"), "m"));
    LN_TRY(ln__blas_int(&g.n, n, ROUTINE("gemm"), "n"));
    LN_TRY(ln__blas_int(&g.k, k, ROUTINE("gemm"), "k"));
    LN_TRY(ln__blas_ld(&g.lda, lda, ta ? m : k, ROUTINE("gemm"), "lda"));
    LN_TRY(ln__blas_ld(&g.ldb, ldb, tb ? k : n, ROUTINE("gemm"), "ldb"));
    LN_TRY(ln__blas_ld(&g.ldc, ldc, n, ROUTINE("gemm"), "ldc"));
    if (g.m == 0 || g.n == 0)
        goto done;
    if (g.k == 0) {
        NAME(scale)(c, g.m, g.n, g.ldc, beta);
    } else if (g.m == 1) { /* c = op(B)^T a */
        const NAME(gemv_job)
            v = { !tb, tb ? g.n : g.k, tb ? g.k : g.n, g.ldb, ta ? g.lda : 1, 1, alpha, beta, b, a, c };
        NAME(gemv_run)(&v);
    } else if (g.n == 1) { /* c = op(A) b, c is a column */
        const NAME(gemv_job)
            v = { ta, ta ? g.k : g.m, ta ? g.m : g.k, g.lda, tb ? 1 : g.ldb, g.ldc, alpha, beta, a, b, c };
        NAME(gemv_run)(&v);
    } else {
        g.cut = ln__gemm_cut(g.m, g.n, g.k);
        ln__parallel_for((int64_t)g.cut.rows * g.cut.cols, 1, NAME(gemm_blocks), &g);
    }
done:
    return st;
}

ln_status PUBLIC(gemv)(bool ta, int64_t rows, int64_t cols, REAL alpha, const REAL *a, int64_t lda, const REAL *x,
                       REAL beta, REAL *y)
{
    ln_status st = LN_OK;
    NAME(gemv_job) g = { .ta = ta, .incx = 1, .incy = 1, .alpha = alpha, .beta = beta, .a = a, .x = x, .y = y };
    LN_TRY(ln__blas_int(&g.rows, rows, ROUTINE("gemv"), "rows"));
    LN_TRY(ln__blas_int(&g.cols, cols, ROUTINE("gemv"), "cols"));
    LN_TRY(ln__blas_ld(&g.lda, lda, cols, ROUTINE("gemv"), "lda"));
    if ((ta ? cols : rows) == 0)
        goto done;
    if ((ta ? rows : cols) == 0)
        NAME(scale)(y, 1, ta ? g.cols : g.rows, LN_MAX(ta ? g.cols : g.rows, 1), beta);
    else
        NAME(gemv_run)(&g);
done:
    return st;
}
