/* sparse_product.c - products of a sparse matrix with vectors: which loop, and how the work is cut. */
#include <string.h>

#include "core/threads.h"
#include "linalg/sparse.h"

enum { CHUNK = 1 << 14, STRIPES = 4 }; /* multiply-adds that are worth a thread's attention; stripes of columns */

typedef struct product {
    const ln__csr *a;
    void *to;
    const void *from;
    int64_t ld_to, ld_from, k;
} product;

/* Most products take whole rows: no search then. */
static int64_t first_from(const ln__csr *a, int64_t i, int64_t j)
{
    return j == 0 ? a->start[i] : ln__csr_from(a, i, j);
}

#define VAL double
#define VEC double
#define AS(name) name##_f64
#include "linalg/sparse_tmpl.c"
#undef VAL
#undef VEC
#undef AS
#define VAL float
#define VEC double
#define AS(name) name##_mix
#include "linalg/sparse_tmpl.c"
#undef VAL
#undef VEC
#undef AS
#define VAL float
#define VEC float
#define AS(name) name##_f32
#include "linalg/sparse_tmpl.c"
#undef VAL
#undef VEC
#undef AS

static void by_rows(product *p, ln__range_fn fn)
{
    const int64_t work = p->a->nnz * LN_MAX(p->k, 1) + p->a->rows;
    ln__parallel_for(p->a->rows, LN_MAX(p->a->rows * CHUNK / LN_MAX(work, CHUNK), 1), fn, p);
}

static void by_stripes(product *p, ln__range_fn fn)
{
    const int64_t stripes = p->a->nnz * LN_MAX(p->k, 1) < 4 * CHUNK ? 1 : STRIPES;
    ln__parallel_for(p->a->cols, LN_MAX((p->a->cols + stripes - 1) / stripes, 1), fn, p);
}

void ln__csr_vecs(const ln__csr *a, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T)
{
    by_rows(&(product){ a, y, x, ldy, ldx, T }, a->dtype == LN_F64 ? vecs_rows_f64 : vecs_rows_mix);
}

void ln__csr_vecs_t(const ln__csr *a, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t T)
{
    by_stripes(&(product){ a, x, y, ldx, ldy, T }, a->dtype == LN_F64 ? vecs_t_stripe_f64 : vecs_t_stripe_mix);
}

void ln__csr_mm(const ln__csr *a, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t k)
{
    by_rows(&(product){ a, y, x, ldy, ldx, k }, a->dtype == LN_F64 ? mm_rows_f64 : mm_rows_mix);
}

void ln__csr_mm_t(const ln__csr *a, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t k)
{
    by_stripes(&(product){ a, x, y, ldx, ldy, k }, a->dtype == LN_F64 ? mm_t_stripe_f64 : mm_t_stripe_mix);
}

void ln__csr_vecs_f32(const ln__csr *a, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T)
{
    by_rows(&(product){ a, y, x, ldy, ldx, T }, vecs_rows_f32);
}

void ln__csr_vecs_t_f32(const ln__csr *a, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T)
{
    by_stripes(&(product){ a, x, y, ldx, ldy, T }, vecs_t_stripe_f32);
}

void ln__csr_mm_f32(const ln__csr *a, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t k)
{
    by_rows(&(product){ a, y, x, ldy, ldx, k }, mm_rows_f32);
}

void ln__csr_mm_t_f32(const ln__csr *a, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t k)
{
    by_stripes(&(product){ a, x, y, ldx, ldy, k }, mm_t_stripe_f32);
}
