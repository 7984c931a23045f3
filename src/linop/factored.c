/* factored.c - operators made of one or two stored parts: y = P0 x, or y = P1 (P0 x).
 *
 * Several operators of one input go through together: all first parts in one parallel region, then all second parts in
 * another. Tokens come in batches of a fixed number, so that what lies between the parts stays small. */
#include <string.h>

#include "core/threads.h"
#include "linalg/linalg.h"
#include "linop/products.h"
#include "linop/scratch.h"

enum { BATCH = 1024, TILE_ROWS = 64, DENSE_ROWS = 128 };

void ln__factored_free(ln_linop *self)
{
    ln__factored *f = (ln__factored *)self;
    for (int i = 0; i < f->held; i++)
        ln_tensor_release(f->hold[i]);
    ln__free(f->offsets);
    ln__free(f);
}

/* One batch of tokens through up to LN_PRODUCTS operators. `inner` holds what lies between the parts. */
static ln_status run_batch(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                           int64_t ldx, int64_t T, float *inner)
{
    ln__product first[LN_PRODUCTS] = { { 0 } }, second[LN_PRODUCTS] = { { 0 } };
    int seconds = 0;
    for (int i = 0; i < n; i++) {
        const ln__factored *f = ln__factored_of(ops[i]);
        first[i] = (ln__product){ &f->part[0], x, ldx, y[i], ldy[i] };
        if (f->parts == 1)
            continue;
        first[i].y = inner;
        first[i].ldy = f->part[0].rows;
        second[seconds++] = (ln__product){ &f->part[1], inner, f->part[0].rows, y[i], ldy[i] };
        inner += (T * f->part[0].rows + 15) / 16 * 16;
    }
    ln_status st = ln__products(first, n, T);
    if (st == LN_OK && seconds)
        st = ln__products(second, seconds, T);
    return st;
}

static ln_status run_factored(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                              int64_t ldx, int64_t T)
{
    ln_status st = LN_OK;
    ln__scratch scratch = { NULL, 0 };
    const int64_t batch = LN_MIN(T, BATCH);
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        if (ln__factored_of(ops[i])->parts > 1)
            bytes += (size_t)(batch * ln__factored_of(ops[i])->part[0].rows + 15) / 16 * 16 * sizeof(float);
    if (!bytes)
        return run_batch(ops, y, ldy, n, x, ldx, T, NULL);
    LN_TRY(ln__scratch_get(&scratch, bytes));
    for (int64_t t = 0; t < T; t += batch) {
        float *at[LN_PRODUCTS];
        for (int i = 0; i < n; i++)
            at[i] = y[i] + t * ldy[i];
        LN_TRY(run_batch(ops, at, ldy, n, x + t * ldx, ldx, LN_MIN(batch, T - t), scratch.data));
    }
done:
    ln__scratch_put(&scratch);
    return st;
}

/* Runs of operators that are made of parts go together; a kind with a product of its own goes alone. */
ln_status ln__linop_run(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                        int64_t ldx, int64_t T)
{
    ln_status st = LN_OK;
    for (int i = 0; i < n;) {
        int m = 0;
        while (i + m < n && m < LN_PRODUCTS && ops[i + m]->kind->apply == ln__factored_apply)
            m++;
        if (m)
            LN_TRY(run_factored(ops + i, y + i, ldy + i, m, x, ldx, T));
        else
            LN_TRY(ops[i]->kind->apply(ops[i], y[i], ldy[i], x, ldx, T));
        i += LN_MAX(m, 1);
    }
done:
    return st;
}

ln_status ln__factored_apply(const ln_linop *self, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T)
{
    return run_factored(&self, &y, &ldy, 1, x, ldx, T);
}

#define REAL double
#define NAME(f) f##_f64
#include "linop/factored_tmpl.c"
#undef REAL
#undef NAME
#define REAL float
#define NAME(f) f##_f32
#include "linop/factored_tmpl.c"

ln_status ln__factored_apply_t(const ln_linop *self, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T)
{
    return adjoint_f32(self, x, ldx, y, ldy, T);
}

ln_status ln__factored_apply_t_f64(const ln_linop *self, double *x, int64_t ldx, const double *y, int64_t ldy,
                                   int64_t T)
{
    return adjoint_f64(self, x, ldx, y, ldy, T);
}

ln_status ln__factored_apply_f64(const ln_linop *self, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T)
{
    const ln__factored *f = ln__factored_of(self);
    ln_status st = LN_OK;
    ln__scratch scratch = { NULL, 0 };
    if (f->parts == 1)
        return ln__part_apply_f64(&f->part[0], y, ldy, x, ldx, T);
    const int64_t k = f->part[0].rows, batch = LN_MIN(T, BATCH);
    LN_TRY(ln__scratch_get(&scratch, (size_t)(batch * k) * sizeof(double)));
    for (int64_t t = 0; t < T; t += batch) {
        const int64_t m = LN_MIN(batch, T - t);
        LN_TRY(ln__part_apply_f64(&f->part[0], scratch.data, k, x + t * ldx, ldx, m));
        LN_TRY(ln__part_apply_f64(&f->part[1], y + t * ldy, ldy, scratch.data, k, m));
    }
done:
    ln__scratch_put(&scratch);
    return st;
}

/* ---- dense copies ---- */

typedef struct copy_job {
    const ln__part *p;
    ln_tensor *w;
} copy_job;

static void copy_rows(void *ctx, int64_t begin, int64_t end)
{
    const copy_job *s = ctx;
    const int64_t cols = s->p->cols;
    if (ln_tensor_dtype(s->w) == LN_F64)
        ln__part_tile_f64(s->p, begin, end - begin, 0, cols, (double *)ln_tensor_data(s->w) + begin * cols, cols);
    else
        ln__part_tile_f32(s->p, begin, end - begin, 0, cols, (float *)ln_tensor_data(s->w) + begin * cols, cols);
}

/* W = P1 P0 in f64, DENSE_ROWS rows at a time: rows of P1 are tokens that P0 takes back to the columns. Rounded once.
 */
static ln_status multiply_out(const ln__factored *f, ln_tensor *w)
{
    ln_status st = LN_OK;
    ln__scratch scratch = { NULL, 0 };
    const int64_t rows = f->base.rows, cols = f->base.cols, k = f->part[0].rows;
    LN_TRY(ln__scratch_get(&scratch, (size_t)(DENSE_ROWS * (k + cols)) * sizeof(double)));
    double *tile = scratch.data, *out = tile + DENSE_ROWS * k;
    for (int64_t r = 0; r < rows; r += DENSE_ROWS) {
        const int64_t n = LN_MIN(DENSE_ROWS, rows - r);
        ln__part_tile_f64(&f->part[1], r, n, 0, k, tile, k);
        LN_TRY(ln__part_apply_t_f64(&f->part[0], out, cols, tile, k, n));
        if (ln_tensor_dtype(w) == LN_F64)
            memcpy((double *)ln_tensor_data(w) + r * cols, out, (size_t)(n * cols) * sizeof *out);
        else
            for (int64_t i = 0; i < n * cols; i++)
                ((float *)ln_tensor_data(w))[r * cols + i] = (float)out[i];
    }
done:
    ln__scratch_put(&scratch);
    return st;
}

ln_status ln__factored_to_dense(const ln_linop *self, ln_tensor *w)
{
    const ln__factored *f = ln__factored_of(self);
    if (f->parts > 1)
        return multiply_out(f, w);
    copy_job s = { &f->part[0], w };
    ln__parallel_for(self->rows, TILE_ROWS, copy_rows, &s);
    return LN_OK;
}
