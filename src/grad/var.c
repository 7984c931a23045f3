/* var.c - variables: how they come onto a tape, what can be asked of them, and copies over any strides. */
#include <math.h>
#include <string.h>

#include "grad/tape_impl.h"

/* ---- making ---- */

ln_status ln__var_new(ln_var **out, ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    ln_var *v = NULL;
    int64_t count = 1;
    if (ndim < 0 || ndim > LN_MAX_DIMS)
        LN_FAIL(LN_ERR_SHAPE, "%d dimensions, at most %d are supported", ndim, LN_MAX_DIMS);
    if ((unsigned)dt > LN_BOOL)
        LN_FAIL(LN_ERR_DTYPE, "variables cannot be %s", ln_dtype_name(dt));
    for (int i = 0; i < ndim; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(count, LN_MAX(dims[i], 1), &count) || count > INT64_MAX / 8)
            LN_FAIL(LN_ERR_SHAPE, "dimension %d is %lld", i, (long long)dims[i]);
    LN_TRY(ln__tape_alloc((void **)&v, t, 1, sizeof *v + sizeof(uint32_t)));
    *v = (ln_var){ .count = 1, .ndim = ndim, .dtype = dt, .node = -1, .version = (uint32_t *)(void *)(v + 1) };
    *v->version = 0;
    for (int i = ndim - 1; i >= 0; i--) {
        v->dim[i] = dims[i];
        v->stride[i] = v->count;
        v->count *= dims[i];
    }
    for (int i = ndim - 2; i >= 0 && v->count == 0; i--) /* strides of an empty variable: as if its dims were 1 */
        v->stride[i] = v->stride[i + 1] * LN_MAX(dims[i + 1], 1);
    *out = v;
done:
    return st;
}

static ln_var *input(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const void *data, uint32_t flags)
{
    ln_status st = LN_OK;
    ln_var *v = NULL;
    if (ln__tape_failed(t))
        return &t->failed;
    if (ndim > 0 && !dims)
        LN_FAIL(LN_ERR_ARG, "dims is NULL");
    if (flags && dt != LN_F32 && dt != LN_F64)
        LN_FAIL(LN_ERR_DTYPE, "a leaf must be f32 or f64, found %s", ln_dtype_name(dt));
    LN_TRY(ln__var_new(&v, t, dt, ndim, dims));
    LN_TRY(ln__tape_numbers(&v->data, t, v->count, dt));
    v->flags = flags;
    const size_t bytes = ln_dtype_bytes(dt, v->count);
    if (v->data && bytes > 0) {
        if (data)
            memcpy(v->data, data, bytes);
        else
            memset(v->data, 0, bytes);
    }
done:
    return st == LN_OK ? v : ln__tape_fail(t, ln__fail_in(st, "input"));
}

ln_var *ln_input(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const void *data)
{
    return input(t, dt, ndim, dims, data, 0);
}

ln_var *ln_leaf(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const void *data)
{
    return input(t, dt, ndim, dims, data, LN__VAR_LEAF | LN__VAR_WANTS_GRAD);
}

ln_var *ln_scalar(ln_tape *t, ln_dtype dt, double value)
{
    const float f = (float)value;
    return dt == LN_F64 ? ln_input(t, dt, 0, NULL, &value) : ln_input(t, LN_F32, 0, NULL, &f);
}

ln_var *ln_wrap(ln_tape *t, ln_dtype dt, int ndim, const int64_t *dims, const int64_t *strides, void *data)
{
    ln_status st = LN_OK;
    ln_var *v = NULL;
    if (ln__tape_failed(t))
        return &t->failed;
    if ((ndim > 0 && !dims) || !data)
        LN_FAIL(LN_ERR_ARG, "%s is NULL", data ? "dims" : "data");
    LN_TRY(ln__var_new(&v, t, dt, ndim, dims));
    v->data = t->o.dry ? NULL : data;
    for (int i = 0; i < ndim && strides; i++)
        v->stride[i] = strides[i];
done:
    return st == LN_OK ? v : ln__tape_fail(t, ln__fail_in(st, "wrap"));
}

ln_var *ln_detach(ln_tape *t, ln_var *x)
{
    ln_status st = LN_OK;
    ln_var *v = NULL;
    if (ln__tape_failed(t))
        return &t->failed;
    if (!x)
        LN_FAIL(LN_ERR_ARG, "input is NULL");
    LN_TRY(ln__tape_alloc((void **)&v, t, 1, sizeof *v));
    *v = *x; /* the same memory and version, but a constant */
    v->flags = LN__VAR_VIEW;
    v->node = -1;
    v->grad = NULL;
done:
    return st == LN_OK ? v : ln__tape_fail(t, ln__fail_in(st, "detach"));
}

/* ---- asking ---- */

ln_dtype ln_var_dtype(const ln_var *v)
{
    return v ? v->dtype : LN_F32;
}

int ln_var_ndim(const ln_var *v)
{
    return v ? v->ndim : 0;
}

int64_t ln_var_dim(const ln_var *v, int axis)
{
    if (!v)
        return 0;
    axis = axis < 0 ? axis + v->ndim : axis;
    return axis >= 0 && axis < v->ndim ? v->dim[axis] : 0;
}

int64_t ln_var_count(const ln_var *v)
{
    return v ? v->count : 0;
}

const void *ln_var_data(const ln_var *v)
{
    return v ? v->data : NULL;
}

const void *ln_var_grad(const ln_var *v)
{
    return v ? v->grad : NULL;
}

bool ln_var_wants_grad(const ln_var *v)
{
    return v && v->flags & LN__VAR_WANTS_GRAD;
}

ln_var *ln_named(ln_var *v, const char *name)
{
    if (v && !(v->flags & LN__VAR_FAILED))
        v->name = name;
    return v;
}

ln_status ln_var_read(const ln_var *v, void *dst)
{
    if (!v || !dst)
        return ln__fail(LN_ERR_ARG, "var_read: NULL");
    if (!v->data && v->count > 0)
        return ln__fail(LN_ERR_ARG, "var_read: no numbers: the tape failed, or is dry");
    ln__copy_out(dst, v, false);
    return LN_OK;
}

double ln_var_value(const ln_var *v)
{
    if (!v || !v->data || v->count != 1)
        return NAN;
    return v->dtype == LN_F64 ? *(const double *)v->data : v->dtype == LN_F32 ? *(const float *)v->data : NAN;
}

void ln_var_write(ln_tape *t, ln_var *v, const void *src)
{
    if (ln__tape_failed(t))
        return;
    if (!v || !src || !ln__var_contiguous(v)) {
        (void)ln__tape_fail(t, ln__fail(LN_ERR_ARG, "var_write: needs a contiguous variable and a source"));
        return;
    }
    if (v->data && v->count > 0)
        memcpy(v->data, src, ln_dtype_bytes(v->dtype, v->count));
    ++*v->version;
}

bool ln__var_contiguous(const ln_var *v)
{
    int64_t step = 1;
    for (int i = v->ndim - 1; i >= 0; i--) {
        if (v->dim[i] != 1 && v->stride[i] != step)
            return v->count == 0;
        step *= v->dim[i];
    }
    return true;
}

const char *ln__var_text(char buf[96], const ln_var *v)
{
    size_t at = 1;
    if (!v)
        return "nothing";
    buf[0] = '[';
    for (int i = 0; i < v->ndim && at < 90; i++)
        at += (size_t)ln__format(buf + at, 96 - at, i ? ",%lld" : "%lld", (long long)v->dim[i]);
    at = LN_MIN(at, 94);
    buf[at] = ']';
    buf[at + 1] = '\0';
    return buf;
}

ln_status ln__check_numbers(const void *data, ln_dtype dt, int64_t count, const char *what, const ln__node *n)
{
    for (int64_t i = 0; i < count && (dt == LN_F32 || dt == LN_F64); i++) {
        const double x = dt == LN_F32 ? ((const float *)data)[i] : ((const double *)data)[i];
        if (!isfinite(x)) {
            char shape[96];
            return ln__fail(LN_ERR_NUMERIC, "%s: %s is %s at element %lld, from input %s%s%s", n->op->name, what,
                            isnan(x) ? "NaN" : "infinite", (long long)i, ln__var_text(shape, n->nin ? n->in[0] : NULL),
                            n->nin && n->in[0] && n->in[0]->name ? " " : "",
                            n->nin && n->in[0] && n->in[0]->name ? n->in[0]->name : "");
        }
    }
    return LN_OK;
}
