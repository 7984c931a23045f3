/* part_tmpl.c - included by part.c twice, with REAL = float and REAL = double. */

/* n stored values in a row, n <= RUN, as REAL. */
static void NAME(read_run)(REAL *dst, const unsigned char *src, ln_dtype dt, int64_t n)
{
    if (dt == OWN_DTYPE) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
    } else if (dt == LN_F64) {
        const double *from = (const void *)src;
        for (int64_t j = 0; j < n; j++)
            dst[j] = (REAL)from[j];
    } else if (OWN_DTYPE == LN_F32) {
        ln__k()->to_f32[dt]((void *)dst, src, n);
    } else {
        float run[RUN];
        ln__k()->to_f32[dt](run, src, n);
        for (int64_t j = 0; j < n; j++)
            dst[j] = (REAL)run[j];
    }
}

static void NAME(dense_row)(const ln__part *p, int64_t r, int64_t c, int64_t w, REAL *dst)
{
    const int64_t block = ln_dtype_block(p->dtype), bytes = (int64_t)ln_dtype_block_bytes(p->dtype);
    if (p->cs == 1) {
        const unsigned char *row = p->data + r * (int64_t)p->row_bytes + c / block * bytes;
        for (int64_t j = 0; j < w; j += RUN)
            NAME(read_run)(dst + j, row + j / block * bytes, p->dtype, LN_MIN(RUN, w - j));
    } else {
        const unsigned char *row = p->data + (r * p->rs + c * p->cs) * bytes;
        for (int64_t j = 0; j < w; j++)
            dst[j] = (REAL)widen(row + j * p->cs * bytes, p->dtype);
    }
}

/* Columns come in runs of whole mask bytes; the values of a run are converted together, then spread. */
static void NAME(code_row)(const ln__part *p, int64_t r, int64_t c, int64_t w, REAL *dst)
{
    const uint8_t *mask = p->mask + r * p->mask_bytes;
    const int64_t bytes = (int64_t)ln_dtype_bytes(p->dtype, 1);
    int64_t at = p->offsets[r];
    for (int64_t b = 0; b < c / 8; b++)
        at += __builtin_popcount(mask[b]);
    mask += c / 8;
    for (int64_t j = 0; j < w; j += RUN) {
        REAL run[RUN + 1];
        const int64_t n = LN_MIN(RUN, w - j), whole = (n + 7) / 8;
        int64_t count = 0;
        for (int64_t b = 0; b < whole; b++)
            count += __builtin_popcount(mask[j / 8 + b]);
        NAME(read_run)(run, p->data + at * bytes, p->dtype, count);
        run[count] = 0;
        at += count;
        const REAL *v = run;
        for (int64_t i = 0; i < n; i++) {
            const unsigned bit = mask[(j + i) / 8] >> (i & 7) & 1u;
            dst[j + i] = bit ? *v : 0;
            v += bit;
        }
    }
}

void NAME(ln__part_tile)(const ln__part *p, int64_t r, int64_t n, int64_t c, int64_t w, REAL *dst, int64_t ld)
{
    for (int64_t i = 0; i < n; i++)
        if (p->sparse)
            NAME(code_row)(p, r + i, c, w, dst + i * ld);
        else
            NAME(dense_row)(p, r + i, c, w, dst + i * ld);
}

/* Stored as REAL with one stride 1: BLAS takes it as it lies. */
static bool NAME(is_direct)(const ln__part *p)
{
    return p->dtype == OWN_DTYPE && (ln__part_by_rows(p) || ln__part_by_columns(p));
}

typedef struct NAME(walk) {
    const ln__part *p;
    const REAL *in;
    REAL *out, *tiles;
    int64_t ldi, ldo, T;
    ln__claims places;
} NAME(walk);

/* C (m,n) = A op(B) + beta C on this thread; one row is a GEMV. */
static void NAME(block_gemm)(bool tb, int64_t m, int64_t n, int64_t k, const REAL *a, int64_t lda, const REAL *b,
                             int64_t ldb, REAL beta, REAL *c, int64_t ldc)
{
    if (m == 1)
        BLAS(gemv)
    (CblasRowMajor, tb ? CblasNoTrans : CblasTrans, (int)(tb ? n : k), (int)(tb ? k : n), 1, b, (int)ldb, a, 1, beta, c,
     1);
    else BLAS(gemm)(CblasRowMajor, CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)lda,
                    b, (int)ldb, beta, c, (int)ldc);
}

/* X (T, columns [begin, end)) = sum over row tiles of Y (T, tile) P (tile, columns). */
static void NAME(columns_t)(void *ctx, int64_t begin, int64_t end)
{
    NAME(walk) *s = ctx;
    const int place = ln__claim(&s->places), before = ln__blas_one();
    const int64_t w = end - begin;
    REAL *tile = s->tiles + (int64_t)place * TILE_ROWS * LN_COLUMN_STEP;
    for (int64_t t = 0; t < s->T; t++) /* beta = 0 in BLAS may be a product */
        memset(s->out + t * s->ldo + begin, 0, (size_t)w * sizeof *s->out);
    for (int64_t r = 0; r < s->p->rows; r += TILE_ROWS) {
        const int64_t n = LN_MIN(TILE_ROWS, s->p->rows - r);
        NAME(ln__part_tile)(s->p, r, n, begin, w, tile, w);
        NAME(block_gemm)(false, s->T, w, n, s->in + r, s->ldi, tile, w, 1, s->out + begin, s->ldo);
    }
    ln__blas_many(before);
    ln__claim_end(&s->places, place);
}

ln_status NAME(ln__part_apply_t)(const ln__part *p, REAL *x, int64_t ldx, const REAL *y, int64_t ldy, int64_t T)
{
    if (NAME(is_direct)(p))
        return GEMM(false, !ln__part_by_rows(p), T, p->cols, p->rows, 1, y, ldy, (const void *)p->data,
                    ln__part_by_rows(p) ? p->rs : p->cs, 0, x, ldx);
    NAME(walk) s = { .p = p, .in = y, .out = x, .ldi = ldy, .ldo = ldx, .T = T };
    ln__scratch scratch;
    ln__claims_init(&s.places, ln_threads());
    const ln_status st = ln__scratch_get(&scratch, (size_t)s.places.n * TILE_ROWS * LN_COLUMN_STEP * sizeof(REAL));
    if (st != LN_OK)
        return st;
    s.tiles = scratch.data;
    ln__parallel_for(p->cols, LN_COLUMN_STEP, NAME(columns_t), &s);
    ln__scratch_put(&scratch);
    return LN_OK;
}
