/* linop.c - what is the same for every kind of operator: reference counts, checks at the door, facts. */
#include <limits.h>

#include "linop/part.h"
#include "linop/scratch.h"

void ln__linop_init(ln_linop *op, const ln__linop_kind *kind, int64_t rows, int64_t cols, ln_dtype dtype)
{
    *op = (ln_linop){ .kind = kind, .rows = rows, .cols = cols, .dtype = dtype, .refs = 1 };
}

const char *ln_linop_kind(const ln_linop *op)
{
    return op->kind->name;
}

int64_t ln_linop_rows(const ln_linop *op)
{
    return op->rows;
}

int64_t ln_linop_cols(const ln_linop *op)
{
    return op->cols;
}

ln_dtype ln_linop_dtype(const ln_linop *op)
{
    return op->dtype;
}

int64_t ln_linop_params(const ln_linop *op)
{
    return op->params;
}

int64_t ln_linop_bytes(const ln_linop *op)
{
    return op->bytes;
}

int64_t ln_linop_flops(const ln_linop *op)
{
    return op->flops;
}

ln_linop *ln_linop_retain(const ln_linop *op)
{
    ln_linop *o = (ln_linop *)(uintptr_t)op;
    if (o)
        __atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED);
    return o;
}

void ln_linop_release(ln_linop *op)
{
    if (op && __atomic_sub_fetch(&op->refs, 1, __ATOMIC_ACQ_REL) == 0)
        op->kind->free(op);
}

void ln__linop_trim(void)
{
    ln__scratch_trim();
}

static ln_status check(const char *verb, const void *op, const void *to, const void *from, int64_t T)
{
    if (!op)
        return ln__fail(LN_ERR_ARG, "%s: no operator was given", verb);
    if (T < 0)
        return ln__fail(LN_ERR_ARG, "%s: T = %lld is negative", verb, (long long)T);
    if (T > INT_MAX)
        return ln__fail(LN_ERR_SHAPE, "%s: T = %lld is too large for one call", verb, (long long)T);
    if (T > 0 && (!to || !from))
        return ln__fail(LN_ERR_ARG, "%s: input and output must not be NULL", verb);
    return LN_OK;
}

static ln_status check_ld(const char *verb, const char *name, int64_t ld, int64_t width)
{
    if (ld < width)
        return ln__fail(LN_ERR_ARG, "%s: %s = %lld is less than the width %lld", verb, name, (long long)ld,
                        (long long)width);
    if (ld > INT_MAX)
        return ln__fail(LN_ERR_SHAPE, "%s: %s = %lld is too large for BLAS", verb, name, (long long)ld);
    return LN_OK;
}

static ln_status check_f32(const char *verb, const ln_linop *op)
{
    if (op->dtype == LN_F64)
        return ln__fail(LN_ERR_DTYPE, "%s: the operator is f64, use %s_f64", verb, verb);
    return LN_OK;
}

ln_status ln_linop_apply(const ln_linop *op, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T)
{
    ln_status st = LN_OK;
    LN_TRY(check("ln_linop_apply", op, y, x, T));
    LN_TRY(check_f32("ln_linop_apply", op));
    LN_TRY(check_ld("ln_linop_apply", "ldx", ldx, op->cols));
    LN_TRY(check_ld("ln_linop_apply", "ldy", ldy, op->rows));
    if (T > 0)
        LN_TRY(op->kind->apply(op, y, ldy, x, ldx, T));
done:
    return st;
}

ln_status ln_linop_apply_t(const ln_linop *op, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T)
{
    ln_status st = LN_OK;
    LN_TRY(check("ln_linop_apply_t", op, x, y, T));
    LN_TRY(check_f32("ln_linop_apply_t", op));
    LN_TRY(check_ld("ln_linop_apply_t", "ldx", ldx, op->cols));
    LN_TRY(check_ld("ln_linop_apply_t", "ldy", ldy, op->rows));
    if (T > 0)
        LN_TRY(op->kind->apply_t(op, x, ldx, y, ldy, T));
done:
    return st;
}

ln_status ln_linop_apply_f64(const ln_linop *op, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T)
{
    ln_status st = LN_OK;
    LN_TRY(check("ln_linop_apply_f64", op, y, x, T));
    LN_TRY(check_ld("ln_linop_apply_f64", "ldx", ldx, op->cols));
    LN_TRY(check_ld("ln_linop_apply_f64", "ldy", ldy, op->rows));
    if (T > 0)
        LN_TRY(op->kind->apply_f64(op, y, ldy, x, ldx, T));
done:
    return st;
}

ln_status ln_linop_apply_t_f64(const ln_linop *op, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t T)
{
    ln_status st = LN_OK;
    LN_TRY(check("ln_linop_apply_t_f64", op, x, y, T));
    LN_TRY(check_ld("ln_linop_apply_t_f64", "ldx", ldx, op->cols));
    LN_TRY(check_ld("ln_linop_apply_t_f64", "ldy", ldy, op->rows));
    if (T > 0)
        LN_TRY(op->kind->apply_t_f64(op, x, ldx, y, ldy, T));
done:
    return st;
}

ln_status ln_linop_to_dense(ln_tensor **out, const ln_linop *op, ln_dtype dt)
{
    ln_status st = LN_OK;
    ln_tensor *w = NULL;
    if (!out || !op)
        LN_FAIL(LN_ERR_ARG, "ln_linop_to_dense: out and operator must not be NULL");
    if (dt != LN_F32 && dt != LN_F64)
        LN_FAIL(LN_ERR_DTYPE, "ln_linop_to_dense: a dense copy is f32 or f64, not %s", ln_dtype_name(dt));
    LN_TRY(ln_tensor_new(&w, dt, 2, (const int64_t[]){ op->rows, op->cols }));
    LN_TRY(op->kind->to_dense(op, w));
    *out = w;
    w = NULL;
done:
    ln_tensor_release(w);
    return st;
}

ln_status ln__linop_apply_many(const ln_linop *const *ops, float *const *y, const int64_t *ldy, int n, const float *x,
                               int64_t ldx, int64_t T)
{
    static const char verb[] = "ln_linop_apply";
    ln_status st = LN_OK;
    bool parts = true;
    for (int i = 0; i < n; i++) {
        LN_TRY(check(verb, ops[i], y[i], x, T));
        LN_TRY(check_f32(verb, ops[i]));
        LN_TRY(check_ld(verb, "ldy", ldy[i], ops[i]->rows));
        LN_TRY(check_ld(verb, "ldx", ldx, ops[i]->cols));
        if (ops[i]->cols != ops[0]->cols)
            LN_FAIL(LN_ERR_SHAPE, "%s: operators of one input take %lld and %lld numbers", verb,
                    (long long)ops[0]->cols, (long long)ops[i]->cols);
    }
    for (int i = 0; i < n; i++)
        parts = parts && ops[i]->kind->apply == ln__factored_apply;
    if (T > 0 && parts)
        LN_TRY(ln__linop_run(ops, y, ldy, n, x, ldx, T));
    for (int i = 0; T > 0 && !parts && i < n; i++) /* some are no products of parts: one after the other */
        LN_TRY(ops[i]->kind->apply(ops[i], y[i], ldy[i], x, ldx, T));
done:
    return st;
}
