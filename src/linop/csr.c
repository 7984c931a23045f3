/* csr.c - a sparse matrix in compressed rows as an operator. y_i = sum of value_e x_column(e) over row i; sums are f64
 * for f32 storage too. In files: .start (rows+1) i64, .column i32, .value. */
#include "linop/csr.h"

#include <limits.h>
#include <string.h>

#include "core/json.h"

typedef struct csr_op {
    ln_linop base;
    ln__csr *a;
    ln_tensor *hold[3]; /* start, column, value over the same memory, for saving */
} csr_op;

static const csr_op *of(const ln_linop *op)
{
    return (const csr_op *)op;
}

static void csr_free(ln_linop *self)
{
    csr_op *c = (csr_op *)self;
    for (int i = 0; i < 3; i++)
        ln_tensor_release(c->hold[i]);
    ln__csr_free(c->a);
    ln__free(c);
}

static ln_status csr_apply(const ln_linop *self, float *y, int64_t ldy, const float *x, int64_t ldx, int64_t T)
{
    ln__csr_vecs_f32(of(self)->a, y, ldy, x, ldx, T);
    return LN_OK;
}

static ln_status csr_apply_t(const ln_linop *self, float *x, int64_t ldx, const float *y, int64_t ldy, int64_t T)
{
    ln__csr_vecs_t_f32(of(self)->a, x, ldx, y, ldy, T);
    return LN_OK;
}

static ln_status csr_apply_f64(const ln_linop *self, double *y, int64_t ldy, const double *x, int64_t ldx, int64_t T)
{
    ln__csr_vecs(of(self)->a, y, ldy, x, ldx, T);
    return LN_OK;
}

static ln_status csr_apply_t_f64(const ln_linop *self, double *x, int64_t ldx, const double *y, int64_t ldy, int64_t T)
{
    ln__csr_vecs_t(of(self)->a, x, ldx, y, ldy, T);
    return LN_OK;
}

static ln_status csr_to_dense(const ln_linop *self, ln_tensor *w)
{
    const ln__csr *a = of(self)->a;
    const bool f64 = ln_tensor_dtype(w) == LN_F64;
    void *to = ln_tensor_data(w); /* new, hence zero */
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t e = a->start[i]; e < a->start[i + 1]; e++) {
            if (f64)
                ((double *)to)[i * a->cols + a->column[e]] = ln__csr_entry(a, e);
            else
                ((float *)to)[i * a->cols + a->column[e]] = (float)ln__csr_entry(a, e);
        }
    return LN_OK;
}

static int csr_tensors(const ln_linop *self, const char *suffix[4], ln_tensor *tensor[4])
{
    static const char *const names[] = { ".start", ".column", ".value" };
    for (int i = 0; i < 3; i++) {
        suffix[i] = names[i];
        tensor[i] = of(self)->hold[i];
    }
    return 3;
}

static ln_status csr_describe(const ln_linop *self, json_t *object)
{
    return ln__json_set(object, "nnz", json_integer(of(self)->a->nnz));
}

static const ln__linop_kind kind = { .name = "csr",
                                     .free = csr_free,
                                     .apply = csr_apply,
                                     .apply_t = csr_apply_t,
                                     .apply_f64 = csr_apply_f64,
                                     .apply_t_f64 = csr_apply_t_f64,
                                     .to_dense = csr_to_dense,
                                     .tensors = csr_tensors,
                                     .describe = csr_describe };

const ln__csr *ln__linop_csr_of(const ln_linop *op)
{
    return op && op->kind == &kind ? of(op)->a : NULL;
}

ln_status ln__linop_csr_adopt(ln_linop **out, ln__csr *a)
{
    ln_status st = LN_OK;
    csr_op *c = NULL;
    LN_TRY(LN_NEW0(&c, 1));
    ln__linop_init(&c->base, &kind, a->rows, a->cols, a->dtype);
    LN_TRY(ln_tensor_wrap(&c->hold[0], LN_I64, 1, (const int64_t[]){ a->rows + 1 }, NULL, a->start, NULL, NULL));
    LN_TRY(ln_tensor_wrap(&c->hold[1], LN_I32, 1, (const int64_t[]){ a->nnz }, NULL, a->column, NULL, NULL));
    LN_TRY(ln_tensor_wrap(&c->hold[2], a->dtype, 1, (const int64_t[]){ a->nnz }, NULL, a->value, NULL, NULL));
    c->base.params = a->nnz;
    c->base.bytes = a->nnz * (4 + (int64_t)ln_dtype_bytes(a->dtype, 1)) + (a->rows + 1) * 8;
    c->base.flops = 2 * a->nnz;
    c->a = a;
    *out = &c->base;
    c = NULL;
done:
    if (c) {
        c->a = NULL;
        csr_free(&c->base);
    }
    return st;
}

ln_status ln_linop_csr(ln_linop **out, int64_t cols, const ln_tensor *start, const ln_tensor *column,
                       const ln_tensor *value)
{
    ln_status st = LN_OK;
    ln__csr *a = NULL;
    if (!out || !start || !column || !value)
        LN_FAIL(LN_ERR_ARG, "ln_linop_csr: out, start, column and value must not be NULL");
    const ln_tensor *all[] = { start, column, value };
    for (int i = 0; i < 3; i++)
        if (ln_tensor_ndim(all[i]) != 1 || !ln_tensor_contiguous(all[i]))
            LN_FAIL(LN_ERR_SHAPE, "ln_linop_csr: start, column and value have one contiguous axis each");
    if (ln_tensor_dtype(start) != LN_I64 || ln_tensor_dtype(column) != LN_I32 ||
        (ln_tensor_dtype(value) != LN_F32 && ln_tensor_dtype(value) != LN_F64))
        LN_FAIL(LN_ERR_DTYPE, "ln_linop_csr: start, column, value are %s, %s, %s, expected i64, i32, f32 or f64",
                ln_dtype_name(ln_tensor_dtype(start)), ln_dtype_name(ln_tensor_dtype(column)),
                ln_dtype_name(ln_tensor_dtype(value)));
    const int64_t rows = ln_tensor_dim(start, 0) - 1, nnz = ln_tensor_dim(column, 0);
    if (rows < 0 || ln_tensor_dim(value, 0) != nnz)
        LN_FAIL(LN_ERR_SHAPE, "ln_linop_csr: %lld starts, %lld columns, %lld values: expected rows+1, nnz, nnz",
                (long long)rows + 1, (long long)nnz, (long long)ln_tensor_dim(value, 0));
    LN_TRY(ln__csr_new(&a, ln_tensor_dtype(value), rows, cols, nnz));
    memcpy(a->start, ln_tensor_cdata(start), (size_t)(rows + 1) * sizeof *a->start);
    if (nnz > 0) {
        memcpy(a->column, ln_tensor_cdata(column), (size_t)nnz * sizeof *a->column);
        memcpy(a->value, ln_tensor_cdata(value), ln_tensor_bytes(value));
    }
    LN_TRY(ln__csr_check(a, "ln_linop_csr"));
    LN_TRY(ln__linop_csr_adopt(out, a));
    a = NULL;
done:
    ln__csr_free(a);
    return st;
}
