/* stencil.c - constant stencils on 1-D, 2-D and 3-D grids without a stored matrix: 3, 5 or 7 points, Dirichlet walls.
 *
 *   (A x)_p = centre x_p - sum_axis side_axis (x_(p-1) + x_(p+1)),  zero beyond the walls; A is symmetric.
 *
 * The Poisson matrix has sides 1 and centre twice their number. 16 bytes of traffic per unknown instead of the 84 of
 * compressed rows in 2-D. In files: .stencil (4) f64 = centre and sides; the grid is in the metadata. */
#include "linop/stencil.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/json.h"

#include "core/threads.h"

enum { CHUNK = 1 << 14 }; /* unknowns */

typedef struct stencil_op {
    ln_linop base;
    ln__stencil s;
    double numbers[4]; /* what `hold` shows */
    ln_tensor *hold;
} stencil_op;

static const stencil_op *of(const ln_linop *op)
{
    return (const stencil_op *)op;
}

/* One line: y = centre x - last (left + right) - the lines above and below along the other axes; NULL: a wall. */
static void line_f64(double *restrict y, const double *x, const double *const beside[4], const ln__stencil *s)
{
    const int64_t n = s->dims[2];
    const double c = s->centre, w = s->side[2];
    if (n == 1) {
        y[0] = c * x[0];
    } else {
        y[0] = c * x[0] - w * x[1];
        for (int64_t i = 1; i < n - 1; i++)
            y[i] = c * x[i] - w * (x[i - 1] + x[i + 1]);
        y[n - 1] = c * x[n - 1] - w * x[n - 2];
    }
    for (int axis = 0; axis < 2; axis++) {
        const double v = s->side[axis];
        const double *below = beside[2 * axis], *above = beside[2 * axis + 1];
        if (below && above)
            for (int64_t i = 0; i < n; i++)
                y[i] -= v * (below[i] + above[i]);
        else if (below || above)
            for (int64_t i = 0; i < n; i++)
                y[i] -= v * (below ? below : above)[i];
    }
}

void ln__stencil_lines(const ln__stencil *s, double *y, const double *x, int64_t begin, int64_t end)
{
    const int64_t n = s->dims[2], plane = s->dims[1] * n;
    for (int64_t l = begin; l < end; l++) {
        const int64_t i = l / s->dims[1], j = l % s->dims[1];
        const double *at = x + l * n;
        const double *const beside[4] = { i > 0 ? at - plane : NULL, i + 1 < s->dims[0] ? at + plane : NULL,
                                          j > 0 ? at - n : NULL, j + 1 < s->dims[1] ? at + n : NULL };
        line_f64(y + l * n, at, beside, s);
    }
}

int64_t ln__stencil_chunk(const ln__stencil *s)
{
    return LN_MAX(CHUNK / s->dims[2], 1);
}

typedef struct stencil_job {
    const ln__stencil *s;
    double *y;
    const double *x;
} stencil_job;

static void run_lines(void *ctx, int64_t begin, int64_t end)
{
    const stencil_job *j = ctx;
    ln__stencil_lines(j->s, j->y, j->x, begin, end);
}

static ln_status apply_f64(const ln_linop *self, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T)
{
    const ln__stencil *s = &of(self)->s;
    for (int64_t t = 0; t < T; t++)
        ln__parallel_for(s->dims[0] * s->dims[1], ln__stencil_chunk(s), run_lines,
                         &(stencil_job){ s, y + t * ldy, x + t * ldx });
    return LN_OK;
}

/* Never reached: the operator is f64, and the door refuses f32 for those. */
static ln_status apply_f32(const ln_linop *self, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T)
{
    (void)y, (void)ldy, (void)x, (void)ldx, (void)T;
    return ln__fail(LN_ERR_DTYPE, "%s: a stencil is f64", self->kind->name);
}

static ln_status to_dense(const ln_linop *self, ln_tensor *w)
{
    const ln__stencil *s = &of(self)->s;
    const int64_t n = self->rows;
    const bool f64 = ln_tensor_dtype(w) == LN_F64;
    void *to = ln_tensor_data(w);
    int64_t step = 1;
    for (int64_t p = 0; p < n; p++) {
        if (f64)
            ((double *)to)[p * n + p] = s->centre;
        else
            ((float *)to)[p * n + p] = (float)s->centre;
    }
    for (int axis = 2; axis >= 0; step *= s->dims[axis--])
        for (int64_t p = 0; p < n; p++) {
            if (p / step % s->dims[axis] + 1 == s->dims[axis])
                continue;
            const int64_t q = p + step;
            if (f64)
                ((double *)to)[p * n + q] = ((double *)to)[q * n + p] = -s->side[axis];
            else
                ((float *)to)[p * n + q] = ((float *)to)[q * n + p] = (float)-s->side[axis];
        }
    return LN_OK;
}

static void stencil_free(ln_linop *self)
{
    stencil_op *o = (stencil_op *)self;
    ln_tensor_release(o->hold);
    ln__free(o);
}

static int tensors(const ln_linop *self, const char *suffix[4], ln_tensor *tensor[4])
{
    suffix[0] = ".stencil";
    tensor[0] = of(self)->hold;
    return 1;
}

static ln_status describe(const ln_linop *self, json_t *object)
{
    static const char *const names[] = { "n0", "n1", "n2" };
    ln_status st = LN_OK;
    for (int i = 0; i < 3; i++)
        LN_TRY(ln__json_set(object, names[i], json_integer(of(self)->s.dims[i])));
done:
    return st;
}

static const ln__linop_kind kind = { .name = "stencil",
                                     .free = stencil_free,
                                     .apply = apply_f32,
                                     .apply_t = apply_f32,
                                     .apply_f64 = apply_f64,
                                     .apply_t_f64 = apply_f64,
                                     .to_dense = to_dense,
                                     .tensors = tensors,
                                     .describe = describe };

const ln__stencil *ln__linop_stencil_of(const ln_linop *op)
{
    return op && op->kind == &kind ? &of(op)->s : NULL;
}

ln_status ln_linop_stencil(ln_linop **out, int ndim, const int64_t *dims, double centre, const double *side)
{
    ln_status st = LN_OK;
    stencil_op *o = NULL;
    int64_t n = 1;
    if (!out || !dims || !side)
        LN_FAIL(LN_ERR_ARG, "ln_linop_stencil: out, dims and side must not be NULL");
    if (ndim < 1 || ndim > 3)
        LN_FAIL(LN_ERR_RANGE, "ln_linop_stencil: %d axes, expected 1 to 3", ndim);
    LN_TRY(LN_NEW0(&o, 1));
    o->s = (ln__stencil){ .dims = { 1, 1, 1 }, .centre = centre };
    for (int i = 0; i < ndim; i++) {
        if (dims[i] < 1 || __builtin_mul_overflow(n, dims[i], &n) || n > INT_MAX)
            LN_FAIL(LN_ERR_SHAPE, "ln_linop_stencil: dims[%d] = %lld: a grid has 1 to 2^31-1 points", i,
                    (long long)dims[i]);
        if (!isfinite(side[i]) || !isfinite(centre))
            LN_FAIL(LN_ERR_NUMERIC, "ln_linop_stencil: centre and sides must be finite");
        o->s.dims[3 - ndim + i] = dims[i];
        o->s.side[3 - ndim + i] = side[i];
    }
    ln__linop_init(&o->base, &kind, n, n, LN_F64);
    o->numbers[0] = centre;
    memcpy(o->numbers + 1, o->s.side, sizeof o->s.side);
    LN_TRY(ln_tensor_wrap(&o->hold, LN_F64, 1, (const int64_t[]){ 4 }, NULL, o->numbers, NULL, NULL));
    o->base.params = 1 + ndim;
    o->base.bytes = (int64_t)sizeof o->numbers;
    o->base.flops = n * (3 * ndim + 1);
    *out = &o->base;
    o = NULL;
done:
    if (o)
        stencil_free(&o->base);
    return st;
}

ln_status ln_linop_poisson(ln_linop **out, int ndim, const int64_t *dims)
{
    return ln_linop_stencil(out, ndim, dims, 2.0 * ndim, (const double[]){ 1, 1, 1 });
}
