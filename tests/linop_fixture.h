/* linop_fixture.h - one operator of every kind and storage type, made of the same random numbers each time. */
#ifndef LN_TESTS_LINOP_FIXTURE_H
#define LN_TESTS_LINOP_FIXTURE_H

#include "numbers.h"

#include "core/core.h"
#include "linop/csr.h"
#include "linop/linop.h"

/* Uniform numbers in [-scale, scale); a fraction `zeros` of them is 0. Strides in elements when not row-major. */
static inline ln_tensor *fix_matrix(int64_t rows, int64_t cols, ln_dtype dt, double zeros, double scale, uint64_t seed)
{
    ln_tensor *wide = NULL, *t = NULL;
    uint64_t coin = seed + 1000;
    assert_int_equal(ln_tensor_new(&wide, LN_F64, 2, (const int64_t[]){ rows, cols }), LN_OK);
    double *x = ln_tensor_data(wide);
    for (int64_t i = 0; i < rows * cols; i++) {
        const double v = num_next(&seed);
        x[i] = num_next(&coin) < 2 * zeros - 1 ? 0 : scale * v;
    }
    assert_int_equal(ln_tensor_convert(&t, wide, dt), LN_OK);
    ln_tensor_release(wide);
    return t;
}

typedef enum fix_shape {
    FIX_DENSE,
    FIX_TRANSPOSED, /* a view of the transpose */
    FIX_NARROWED,   /* rows further apart than they are long */
    FIX_STRIDED,    /* neither rows nor columns contiguous */
    FIX_LOWRANK,
    FIX_DICT,
    FIX_CSR
} fix_shape;

typedef struct fix_kind {
    const char *name;
    fix_shape shape;
    ln_dtype dt;
} fix_kind;

static const fix_kind fix_kinds[] = {
    { "dense f32", FIX_DENSE, LN_F32 },
    { "dense f16", FIX_DENSE, LN_F16 },
    { "dense bf16", FIX_DENSE, LN_BF16 },
    { "dense f64", FIX_DENSE, LN_F64 },
    { "dense q8_0", FIX_DENSE, LN_Q8_0 },
    { "dense q4_0", FIX_DENSE, LN_Q4_0 },
    { "dense q4_1", FIX_DENSE, LN_Q4_1 },
    { "transposed f32", FIX_TRANSPOSED, LN_F32 },
    { "transposed f16", FIX_TRANSPOSED, LN_F16 },
    { "transposed f64", FIX_TRANSPOSED, LN_F64 },
    { "narrowed f32", FIX_NARROWED, LN_F32 },
    { "narrowed bf16", FIX_NARROWED, LN_BF16 },
    { "strided f32", FIX_STRIDED, LN_F32 },
    { "strided f16", FIX_STRIDED, LN_F16 },
    { "low rank f32", FIX_LOWRANK, LN_F32 },
    { "low rank f16", FIX_LOWRANK, LN_F16 },
    { "low rank bf16", FIX_LOWRANK, LN_BF16 },
    { "low rank f64", FIX_LOWRANK, LN_F64 },
    { "dict f32", FIX_DICT, LN_F32 },
    { "dict f16", FIX_DICT, LN_F16 },
    { "dict bf16", FIX_DICT, LN_BF16 },
    { "dict f64", FIX_DICT, LN_F64 },
    { "csr f32", FIX_CSR, LN_F32 },
    { "csr f64", FIX_CSR, LN_F64 },
};

static inline ln_tensor *fix_view(const fix_kind *k, int64_t rows, int64_t cols)
{
    ln_tensor *t = NULL, *v = NULL, *n = NULL;
    if (k->shape == FIX_DENSE)
        return fix_matrix(rows, cols, k->dt, 0, 1, 11);
    if (k->shape == FIX_TRANSPOSED) {
        t = fix_matrix(cols, rows, k->dt, 0, 1, 11);
        assert_int_equal(ln_tensor_transpose(&v, t, 0, 1), LN_OK);
    } else if (k->shape == FIX_NARROWED) {
        t = fix_matrix(rows + 1, cols + 5, k->dt, 0, 1, 11);
        assert_int_equal(ln_tensor_narrow(&n, t, 1, 3, cols), LN_OK);
        assert_int_equal(ln_tensor_narrow(&v, n, 0, 1, rows), LN_OK);
    } else {
        t = fix_matrix(rows, 3 * cols, k->dt, 0, 1, 11);
        ln_tensor *cube = NULL, *slice = NULL;
        assert_int_equal(ln_tensor_reshape(&cube, t, 3, (const int64_t[]){ rows, cols, 3 }), LN_OK);
        assert_int_equal(ln_tensor_narrow(&slice, cube, 2, 1, 1), LN_OK);
        const int64_t strides[2] = { ln_tensor_stride(slice, 0), ln_tensor_stride(slice, 1) };
        /* a view of a view keeps the whole alive; two dimensions of it are wrapped by hand */
        assert_int_equal(ln_tensor_wrap(&v, k->dt, 2, (const int64_t[]){ rows, cols }, strides, ln_tensor_data(slice),
                                        (void (*)(void *))ln_tensor_release, slice),
                         LN_OK);
        ln_tensor_release(cube);
    }
    ln_tensor_release(n);
    ln_tensor_release(t);
    return v;
}

/* NULL when the type cannot have such a shape (blocks of 32 along the row). */
static inline ln_linop *fix_op(const fix_kind *k, int64_t rows, int64_t cols)
{
    ln_linop *op = NULL;
    if (cols % ln_dtype_block(k->dt) != 0)
        return NULL;
    if (k->shape == FIX_LOWRANK || k->shape == FIX_DICT) {
        const int64_t r = LN_MAX((2 * LN_MIN(rows, cols) + 2) / 3, 1);
        const bool dict = k->shape == FIX_DICT;
        ln_tensor *v = fix_matrix(r, cols, k->dt, 0, 1, 12);
        ln_tensor *u = fix_matrix(rows, r, k->dt, dict ? 0.4 : 0, 1, 13);
        assert_int_equal(dict ? ln_linop_dict(&op, v, u, k->dt) : ln_linop_lowrank(&op, u, v), LN_OK);
        ln_tensor_release(u);
        ln_tensor_release(v);
    } else if (k->shape == FIX_CSR) {
        ln_tensor *w = fix_matrix(rows, cols, k->dt, 0.7, 1, 14), *wide = NULL;
        ln__csr *a = NULL;
        assert_int_equal(ln_tensor_convert(&wide, w, LN_F64), LN_OK);
        assert_int_equal(ln__csr_from_dense(&a, k->dt, rows, cols, ln_tensor_cdata(wide), cols), LN_OK);
        assert_int_equal(ln__linop_csr_adopt(&op, a), LN_OK);
        ln_tensor_release(w);
        ln_tensor_release(wide);
    } else {
        ln_tensor *w = fix_view(k, rows, cols);
        assert_int_equal(ln_linop_dense(&op, w), LN_OK);
        ln_tensor_release(w);
    }
    assert_int_equal(ln_linop_rows(op), rows);
    assert_int_equal(ln_linop_cols(op), cols);
    return op;
}

/* The dense form in f64. Free with free(). */
static inline double *fix_dense(const ln_linop *op)
{
    ln_tensor *w = NULL;
    const size_t n = (size_t)(ln_linop_rows(op) * ln_linop_cols(op));
    double *d = num_alloc(n, sizeof *d);
    assert_int_equal(ln_linop_to_dense(&w, op, LN_F64), LN_OK);
    memcpy(d, ln_tensor_cdata(w), n * sizeof *d);
    ln_tensor_release(w);
    return d;
}

#endif
