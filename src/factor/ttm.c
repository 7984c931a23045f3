/* ttm.c - a tensor times a matrix along one mode, without unfolding: X is (before, I, after), row-major, and each slice
 * of it is a matrix (I, after) that M multiplies from the left; along the last mode all is one product. */
#include "factor/ttm.h"

#include <stdatomic.h>

#include "core/threads.h"
#include "linalg/linalg.h"

typedef struct slices {
    double *out;
    const double *x, *m;
    int64_t rows, dim, after;
    bool trans;
    atomic_int failed;
} slices;

static void some_slices(void *ctx, int64_t begin, int64_t end)
{
    slices *s = ctx;
    for (int64_t l = begin; l < end; l++)
        if (ln__dgemm(s->trans, false, s->rows, s->after, s->dim, 1, s->m, s->trans ? s->rows : s->dim,
                      s->x + l * s->dim * s->after, s->after, 0, s->out + l * s->rows * s->after, s->after) != LN_OK)
            atomic_store(&s->failed, 1);
}

ln_status ln__ttm(double *out, const double *x, int order, const int64_t *dims, int mode, const double *m, int64_t rows,
                  bool trans)
{
    int64_t before = 1;
    slices s = { .out = out, .x = x, .m = m, .rows = rows, .dim = dims[mode], .after = 1, .trans = trans };
    for (int n = 0; n < mode; n++)
        before *= dims[n];
    for (int n = mode + 1; n < order; n++)
        s.after *= dims[n];
    if (s.after == 1)
        return ln__dgemm(false, !trans, before, rows, s.dim, 1, x, s.dim, m, trans ? rows : s.dim, 0, out, rows);
    if (before == 1)
        return ln__dgemm(trans, false, rows, s.after, s.dim, 1, m, trans ? rows : s.dim, x, s.after, 0, out, s.after);
    ln__parallel_for(before, 1, some_slices, &s);
    return s.failed ? ln__fail(LN_ERR_SHAPE, "a slice of the tensor is too large for BLAS to count") : LN_OK;
}
