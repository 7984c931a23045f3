/* dict.c - W = C D: dense atoms D (k, cols), sparse codes C (rows, k) as a bit mask and packed values.
 *
 * Row r of C: bit i of its mask (byte i/8, LSB first) says that atom i takes part; its values lie one after the other
 * in ascending i. The index of a row's first value is not stored, it is counted when the operator is made.
 * Pitfall: density is 1/3 to 1, far too dense for a column index per value: the mask costs one bit where an index
 * costs sixteen. What is saved is memory traffic at decode, not arithmetic at prefill.
 * Method: ROCKET (arXiv 2602.11008); mask kernels after MACKO, see docs/kernels.md. */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "linop/part.h"

static int tensors(const ln_linop *self, const char *suffix[4], ln_tensor *tensor[4])
{
    static const char *const names[] = { ".D", ".Cval", ".Cmask" };
    for (int i = 0; i < 3; i++) {
        suffix[i] = names[i];
        tensor[i] = ln__factored_of(self)->hold[i];
    }
    return 3;
}

static ln_status describe(const ln_linop *self, json_t *object)
{
    const ln__part *c = &ln__factored_of(self)->part[1];
    const ln_status st = ln__json_set(object, "k", json_integer(c->cols));
    return st == LN_OK ? ln__json_set(object, "nnz", json_integer(c->offsets[c->rows])) : st;
}

static const ln__linop_kind kind = { .name = "dict", LN_FACTORED_OPERATIONS, .tensors = tensors, .describe = describe };

static bool is_float(ln_dtype dt)
{
    return dt == LN_F32 || dt == LN_F64 || dt == LN_F16 || dt == LN_BF16;
}

/* Atoms may be stored differently from codes, but f64 computes only with f64. */
static ln_status check_dtypes(const char *verb, ln_dtype d, ln_dtype c)
{
    if (!is_float(d) || !is_float(c))
        return ln__fail(LN_ERR_DTYPE, "%s: atoms and codes must be of float type, found %s and %s", verb,
                        ln_dtype_name(d), ln_dtype_name(c));
    if ((d == LN_F64) != (c == LN_F64))
        return ln__fail(LN_ERR_DTYPE, "%s: atoms are %s and codes %s: f64 goes with f64 only", verb, ln_dtype_name(d),
                        ln_dtype_name(c));
    return LN_OK;
}

/* Counts the mask into offsets (rows + 1). A bit beyond k names its row. */
static ln_status count(int64_t *offsets, const uint8_t *mask, int64_t rows, int64_t k, const char *verb)
{
    const int64_t bytes = (k + 7) / 8;
    offsets[0] = 0;
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *m = mask + r * bytes;
        int64_t n = 0;
        for (int64_t b = 0; b < bytes; b++)
            n += __builtin_popcount(m[b]);
        if (k % 8 && m[bytes - 1] >> (k % 8))
            return ln__fail(LN_ERR_FORMAT, "%s: row %lld of the mask has bits beyond the %lld atoms", verb,
                            (long long)r, (long long)k);
        offsets[r + 1] = offsets[r] + n;
    }
    return LN_OK;
}

ln_status ln_linop_dict_packed(ln_linop **out, const ln_tensor *d, const ln_tensor *values, const ln_tensor *mask)
{
    static const char verb[] = "ln_linop_dict_packed";
    ln_status st = LN_OK;
    ln__factored *f = NULL;
    ln__part atoms;
    if (!out || !d || !values || !mask)
        LN_FAIL(LN_ERR_ARG, "%s: out, atoms, values and mask must not be NULL", verb);
    LN_TRY(ln__part_dense(&atoms, d, "ln_linop_dict_packed: atoms"));
    LN_TRY(check_dtypes(verb, atoms.dtype, ln_tensor_dtype(values)));
    const int64_t k = atoms.rows, bytes = (k + 7) / 8;
    if (ln_tensor_dtype(mask) != LN_U8)
        LN_FAIL(LN_ERR_DTYPE, "%s: the mask must be u8, found %s", verb, ln_dtype_name(ln_tensor_dtype(mask)));
    if (ln_tensor_ndim(mask) != 2 || ln_tensor_dim(mask, 0) < 1 || ln_tensor_dim(mask, 1) != bytes)
        LN_FAIL(LN_ERR_SHAPE, "%s: the mask of %lld atoms must be (rows, %lld) bytes", verb, (long long)k,
                (long long)bytes);
    if (ln_tensor_ndim(values) != 1 || !ln_tensor_contiguous(values) || !ln_tensor_contiguous(mask))
        LN_FAIL(LN_ERR_SHAPE, "%s: values must be one contiguous row, and the mask contiguous", verb);
    const int64_t rows = ln_tensor_dim(mask, 0), nnz = ln_tensor_count(values);
    if (rows > INT32_MAX)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld rows are too many", verb, (long long)rows);
    LN_TRY(ln_tensor_check_finite(d, "atoms"));
    LN_TRY(ln_tensor_check_finite(values, "codes"));
    LN_TRY(LN_NEW0(&f, 1));
    LN_TRY(LN_NEW(&f->offsets, rows + 1));
    LN_TRY(count(f->offsets, ln_tensor_cdata(mask), rows, k, verb));
    if (f->offsets[rows] != nnz)
        LN_FAIL(LN_ERR_FORMAT, "%s: the mask has %lld bits set, but there are %lld values", verb,
                (long long)f->offsets[rows], (long long)nnz);
    ln__linop_init(&f->base, &kind, rows, atoms.cols, ln_tensor_dtype(values));
    f->base.params = k * atoms.cols + nnz;
    f->base.flops = 2 * f->base.params;
    f->parts = 2;
    f->part[0] = atoms;
    f->part[1] = (ln__part){ .sparse = true,
                             .dtype = ln_tensor_dtype(values),
                             .rows = rows,
                             .cols = k,
                             .data = ln_tensor_cdata(values),
                             .mask = ln_tensor_cdata(mask),
                             .mask_bytes = bytes,
                             .offsets = f->offsets };
    f->base.bytes = ln__part_bytes(&atoms) + ln__part_bytes(&f->part[1]);
    f->held = 3;
    f->hold[0] = ln_tensor_retain(d);
    f->hold[1] = ln_tensor_retain(values);
    f->hold[2] = ln_tensor_retain(mask);
    *out = &f->base;
    f = NULL;
done:
    if (f)
        ln__factored_free(&f->base);
    return st;
}

/* The codes in f64 or f32 as they lie, an element at a time. */
static double code(const ln__part *c, int64_t r, int64_t j, double *row)
{
    if (j % LN_COLUMN_STEP == 0)
        ln__part_tile_f64(c, r, 1, j, LN_MIN(LN_COLUMN_STEP, c->cols - j), row, LN_COLUMN_STEP);
    return row[j % LN_COLUMN_STEP];
}

static ln_status pack(const ln__part *c, double *values, uint8_t *mask, int64_t *nnz)
{
    const int64_t bytes = (c->cols + 7) / 8;
    double row[LN_COLUMN_STEP];
    int64_t n = 0;
    for (int64_t r = 0; r < c->rows; r++)
        for (int64_t j = 0; j < c->cols; j++) {
            const double v = code(c, r, j, row);
            if (v == 0)
                continue;
            if (!isfinite(v))
                return ln__fail(LN_ERR_NUMERIC, "ln_linop_dict: codes[%lld,%lld] is %g", (long long)r, (long long)j, v);
            if (values)
                values[n] = v;
            if (mask)
                mask[r * bytes + j / 8] |= (uint8_t)(1u << (j & 7));
            n++;
        }
    *nnz = n;
    return LN_OK;
}

ln_status ln_linop_dict(ln_linop **out, const ln_tensor *d, const ln_tensor *c, ln_dtype dt)
{
    static const char verb[] = "ln_linop_dict";
    ln_status st = LN_OK;
    ln_tensor *wide = NULL, *values = NULL, *mask = NULL;
    ln__part codes, atoms;
    int64_t nnz = 0;
    if (!out || !d || !c)
        LN_FAIL(LN_ERR_ARG, "%s: out, atoms and codes must not be NULL", verb);
    LN_TRY(ln__part_dense(&atoms, d, "ln_linop_dict: atoms"));
    LN_TRY(ln__part_dense(&codes, c, "ln_linop_dict: codes"));
    LN_TRY(check_dtypes(verb, atoms.dtype, dt));
    if (codes.cols != atoms.rows)
        LN_FAIL(LN_ERR_SHAPE, "%s: codes for %lld atoms, but there are %lld", verb, (long long)codes.cols,
                (long long)atoms.rows);
    LN_TRY(pack(&codes, NULL, NULL, &nnz));
    LN_TRY(ln_tensor_new(&wide, LN_F64, 1, &nnz));
    LN_TRY(ln_tensor_new(&mask, LN_U8, 2, (const int64_t[]){ codes.rows, (codes.cols + 7) / 8 }));
    LN_TRY(pack(&codes, ln_tensor_data(wide), ln_tensor_data(mask), &nnz));
    st = ln_tensor_convert(&values, wide, dt);
    if (st != LN_OK) {
        st = ln__fail_in(st, "%s: codes", verb);
        goto done;
    }
    LN_TRY(ln_linop_dict_packed(out, d, values, mask));
done:
    ln_tensor_release(wide);
    ln_tensor_release(values);
    ln_tensor_release(mask);
    return st;
}
