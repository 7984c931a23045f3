/* part.c - reading stored factors tile by tile, and the reference products made of such tiles. */
#include "linop/part.h"

#include <limits.h>
#include <string.h>

#include "core/kernels.h"
#include "linalg/claim.h"
#include "linalg/linalg.h"
#include "linalg/single.h"
#include "linop/scratch.h"

enum {
    RUN = 512,     /* elements converted at a time, on the stack */
    TILE_ROWS = 64 /* of the reference products */
};

ln_status ln__part_dense(ln__part *p, const ln_tensor *t, const char *what)
{
    const ln_dtype dt = ln_tensor_dtype(t);
    const bool quantised = ln_dtype_block(dt) > 1;
    if (dt != LN_F32 && dt != LN_F64 && dt != LN_F16 && dt != LN_BF16 && !quantised)
        return ln__fail(LN_ERR_DTYPE, "%s: a matrix of %s cannot be a linear map", what, ln_dtype_name(dt));
    if (ln_tensor_ndim(t) != 2)
        return ln__fail(LN_ERR_SHAPE, "%s: expected a matrix, found %d dimensions", what, ln_tensor_ndim(t));
    *p = (ln__part){ .dtype = dt,
                     .rows = ln_tensor_dim(t, 0),
                     .cols = ln_tensor_dim(t, 1),
                     .data = ln_tensor_cdata(t),
                     .rs = ln_tensor_stride(t, 0),
                     .cs = ln_tensor_stride(t, 1) };
    if (p->rows < 1 || p->cols < 1 || p->rows > INT_MAX || p->cols > INT_MAX)
        return ln__fail(LN_ERR_SHAPE, "%s: a %lld x %lld matrix is empty or too large", what, (long long)p->rows,
                        (long long)p->cols);
    if (p->cols == 1) /* its column stride means nothing */
        p->cs = 1;
    if (p->rows == 1 && p->cs == 1)
        p->rs = p->cols;
    p->row_bytes = p->cs == 1 ? (size_t)(p->rs / ln_dtype_block(dt)) * ln_dtype_block_bytes(dt) : 0;
    return LN_OK;
}

int64_t ln__part_bytes(const ln__part *p)
{
    if (p->sparse)
        return (int64_t)ln_dtype_bytes(p->dtype, p->offsets[p->rows]) + p->rows * p->mask_bytes;
    return p->rows * (int64_t)ln_dtype_bytes(p->dtype, p->cols);
}

static double widen(const void *p, ln_dtype dt)
{
    switch (dt) {
    case LN_F64:
        return *(const double *)p;
    case LN_F16:
        return (double)ln__f16_to_f32(*(const uint16_t *)p);
    case LN_BF16:
        return (double)ln__bf16_to_f32(*(const uint16_t *)p);
    default:
        return (double)*(const float *)p;
    }
}

#define REAL float
#define NAME(f) f##_f32
#define BLAS(f) cblas_s##f
#define GEMM ln__sgemm
#define OWN_DTYPE LN_F32
#include "linop/part_tmpl.c"
#undef REAL
#undef NAME
#undef BLAS
#undef GEMM
#undef OWN_DTYPE
#define REAL double
#define NAME(f) f##_f64
#define BLAS(f) cblas_d##f
#define GEMM ln__dgemm
#define OWN_DTYPE LN_F64
#include "linop/part_tmpl.c"

/* Y (T, rows [begin, end)) = X P^T, the rows as one tile. */
static void rows_of(void *ctx, int64_t begin, int64_t end)
{
    walk_f64 *s = ctx;
    const int place = ln__claim(&s->places), before = ln__blas_one();
    double *tile = s->tiles + (int64_t)place * TILE_ROWS * s->p->cols;
    ln__part_tile_f64(s->p, begin, end - begin, 0, s->p->cols, tile, s->p->cols);
    for (int64_t t = 0; t < s->T; t++)
        memset(s->out + t * s->ldo + begin, 0, (size_t)(end - begin) * sizeof *s->out);
    block_gemm_f64(true, s->T, end - begin, s->p->cols, s->in, s->ldi, tile, s->p->cols, 1, s->out + begin, s->ldo);
    ln__blas_many(before);
    ln__claim_end(&s->places, place);
}

ln_status ln__part_apply_f64(const ln__part *p, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T)
{
    if (is_direct_f64(p))
        return ln__dgemm(false, ln__part_by_rows(p), T, p->rows, p->cols, 1, x, ldx, (const void *)p->data,
                         ln__part_by_rows(p) ? p->rs : p->cs, 0, y, ldy);
    walk_f64 s = { .p = p, .in = x, .out = y, .ldi = ldx, .ldo = ldy, .T = T };
    ln__scratch scratch;
    ln__claims_init(&s.places, ln_threads());
    const ln_status st = ln__scratch_get(&scratch, (size_t)s.places.n * TILE_ROWS * (size_t)p->cols * sizeof(double));
    if (st != LN_OK)
        return st;
    s.tiles = scratch.data;
    ln__parallel_for(p->rows, TILE_ROWS, rows_of, &s);
    ln__scratch_put(&scratch);
    return LN_OK;
}
