/* tensor.c - reference-counted arrays and their views.
 *
 * A tensor owns its bytes (allocated behind its head), wraps somebody's, or looks into another tensor, which it then
 * keeps alive; a view of a view holds the owner directly. Strides count elements; quantised tensors have strides in
 * whole blocks because only their outer axes can be cut. Every size is checked when a shape enters, so later
 * products cannot overflow. Views look into memory that the caller may write: constness is the caller's promise. */
#include "core/tensor.h"

#include <stdatomic.h>
#include <string.h>

struct ln_tensor {
    _Atomic int64_t refs;
    ln_dtype dtype;
    int ndim;
    int64_t dims[LN_MAX_DIMS];
    int64_t strides[LN_MAX_DIMS];
    int64_t count;
    char *data;
    ln_tensor *owner; /* of a view */
    void (*release)(void *cookie);
    void *cookie;
};

enum { HEAD = (sizeof(ln_tensor) + 63) / 64 * 64 };

char *ln__shape_text(char *buf, size_t n, int ndim, const int64_t *dims)
{
    size_t at = (size_t)snprintf(buf, n, "[");
    for (int i = 0; i < ndim && at < n; i++)
        at += (size_t)snprintf(buf + at, n - at, "%s%lld", i ? "," : "", (long long)dims[i]);
    if (at < n)
        snprintf(buf + at, n - at, "]");
    return buf;
}

char *ln__index_text(char *buf, size_t n, const ln_tensor *t, int64_t flat)
{
    int64_t index[LN_MAX_DIMS];
    for (int i = t->ndim - 1; i >= 0; i--) {
        index[i] = flat % t->dims[i];
        flat /= t->dims[i];
    }
    if (t->ndim == 0)
        snprintf(buf, n, "%s", "");
    else
        ln__shape_text(buf, n, t->ndim, index);
    return buf;
}

/* Checks a shape and tells its element and byte count. */
static ln_status measure(int64_t *count, size_t *bytes, ln_dtype dt, int ndim, const int64_t *dims)
{
    char text[192];
    const int64_t block = ln_dtype_block(dt);
    if (block == 0)
        return ln__fail(LN_ERR_DTYPE, "tensor: %d is not an element type", (int)dt);
    if (ndim < 0 || ndim > LN_MAX_DIMS)
        return ln__fail(LN_ERR_SHAPE, "tensor: %d dimensions, expected 0 to %d", ndim, LN_MAX_DIMS);
    if (ndim > 0 && !dims)
        return ln__fail(LN_ERR_ARG, "tensor: dims must not be NULL");
    int64_t n = 1, extent = 1; /* extent ignores empty dimensions: strides must not overflow either */
    for (int i = 0; i < ndim; i++) {
        if (dims[i] < 0)
            return ln__fail(LN_ERR_SHAPE, "tensor: dimension %d is %lld", i, (long long)dims[i]);
        n *= dims[i] > 0;
        if (__builtin_mul_overflow(extent, LN_MAX(dims[i], 1), &extent))
            return ln__fail(LN_ERR_SHAPE, "tensor: shape %s holds too many elements",
                            ln__shape_text(text, sizeof text, ndim, dims));
    }
    if (block > 1 && (ndim == 0 || dims[ndim - 1] % block))
        return ln__fail(LN_ERR_SHAPE, "tensor: shape %s, but %s needs a last dimension that is a multiple of %lld",
                        ln__shape_text(text, sizeof text, ndim, dims), ln_dtype_name(dt), (long long)block);
    if (extent / block > INT64_MAX / (int64_t)ln_dtype_block_bytes(dt) - 1)
        return ln__fail(LN_ERR_SHAPE, "tensor: shape %s of %s holds too many bytes",
                        ln__shape_text(text, sizeof text, ndim, dims), ln_dtype_name(dt));
    *count = n ? extent : 0;
    *bytes = ln_dtype_bytes(dt, *count);
    return LN_OK;
}

static void row_major(int64_t *strides, int ndim, const int64_t *dims)
{
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        strides[i] = step;
        step *= LN_MAX(dims[i], 1);
    }
}

static void set_shape(ln_tensor *t, ln_dtype dt, int ndim, const int64_t *dims, int64_t count)
{
    t->dtype = dt;
    t->ndim = ndim;
    t->count = count;
    for (int i = 0; i < ndim; i++)
        t->dims[i] = dims[i];
    row_major(t->strides, ndim, t->dims);
    atomic_init(&t->refs, 1);
}

ln_status ln_tensor_new(ln_tensor **out, ln_dtype dt, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    int64_t count;
    size_t bytes;
    if (!out)
        LN_FAIL(LN_ERR_ARG, "tensor: out must not be NULL");
    LN_TRY(measure(&count, &bytes, dt, ndim, dims));
    if (bytes > (size_t)PTRDIFF_MAX - HEAD)
        LN_FAIL(LN_ERR_NOMEM, "tensor: %zu bytes are more than memory can address", bytes);
    LN_TRY(ln__calloc((void **)&t, HEAD + bytes, 1));
    ln__use_huge_pages(t);
    set_shape(t, dt, ndim, dims, count);
    t->data = (char *)t + HEAD;
    *out = t;
done:
    return st;
}

/* Strides that a wrapped block may have: any whose farthest element can still be addressed. */
static ln_status check_strides(ln_dtype dt, int ndim, const int64_t *dims, const int64_t *strides)
{
    int64_t want[LN_MAX_DIMS], low = 0, high = 0;
    row_major(want, ndim, dims);
    for (int i = 0; i < ndim; i++) {
        int64_t reach;
        if (ln_dtype_block(dt) > 1 && strides[i] != want[i] && dims[i] > 1)
            return ln__fail(LN_ERR_DTYPE, "tensor: %s must be row-major", ln_dtype_name(dt));
        if (dims[i] > 1 && (__builtin_mul_overflow(dims[i] - 1, strides[i], &reach) ||
                            __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high)))
            return ln__fail(LN_ERR_SHAPE, "tensor: stride %lld of dimension %d reaches too far", (long long)strides[i],
                            i);
    }
    const int64_t limit = INT64_MAX / (int64_t)ln_dtype_block_bytes(dt) - 1;
    if (high > limit || low < -limit)
        return ln__fail(LN_ERR_SHAPE, "tensor: the strides reach too far");
    return LN_OK;
}

ln_status ln_tensor_wrap(ln_tensor **out, ln_dtype dt, int ndim, const int64_t *dims, const int64_t *strides,
                         void *data, void (*release)(void *cookie), void *cookie)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    int64_t count;
    size_t bytes;
    if (!out)
        LN_FAIL(LN_ERR_ARG, "tensor: out must not be NULL");
    LN_TRY(measure(&count, &bytes, dt, ndim, dims));
    if (!data && count > 0)
        LN_FAIL(LN_ERR_ARG, "tensor: data must not be NULL");
    if (strides)
        LN_TRY(check_strides(dt, ndim, dims, strides));
    LN_TRY(LN_NEW0(&t, 1));
    set_shape(t, dt, ndim, dims, count);
    for (int i = 0; strides && i < ndim; i++)
        t->strides[i] = strides[i];
    t->data = data;
    t->release = release;
    t->cookie = cookie;
    *out = t;
done:
    return st;
}

ln_tensor *ln_tensor_retain(const ln_tensor *t)
{
    ln_tensor *shared = (ln_tensor *)(uintptr_t)t;
    if (shared)
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void ln_tensor_release(ln_tensor *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    ln_tensor *owner = t->owner;
    if (t->release)
        t->release(t->cookie);
    ln__free(t);
    ln_tensor_release(owner); /* an owner has no owner: at most one level deep */
}

ln_dtype ln_tensor_dtype(const ln_tensor *t)
{
    return t->dtype;
}

int ln_tensor_ndim(const ln_tensor *t)
{
    return t->ndim;
}

int64_t ln_tensor_dim(const ln_tensor *t, int axis)
{
    return axis >= 0 && axis < t->ndim ? t->dims[axis] : 0;
}

int64_t ln_tensor_stride(const ln_tensor *t, int axis)
{
    return axis >= 0 && axis < t->ndim ? t->strides[axis] : 0;
}

int64_t ln_tensor_count(const ln_tensor *t)
{
    return t->count;
}

size_t ln_tensor_bytes(const ln_tensor *t)
{
    return ln_dtype_bytes(t->dtype, t->count);
}

bool ln_tensor_contiguous(const ln_tensor *t)
{
    int64_t want = 1;
    if (t->count == 0)
        return true;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->dims[i] != 1 && t->strides[i] != want)
            return false;
        want *= t->dims[i];
    }
    return true;
}

void *ln_tensor_data(ln_tensor *t)
{
    return t->data;
}

const void *ln_tensor_cdata(const ln_tensor *t)
{
    return t->data;
}

int64_t ln__tensor_row_length(const ln_tensor *t)
{
    return t->ndim ? t->dims[t->ndim - 1] : 1;
}

int64_t ln__tensor_rows(const ln_tensor *t)
{
    const int64_t length = ln__tensor_row_length(t);
    return length ? t->count / length : 0;
}

int64_t ln__tensor_row_stride(const ln_tensor *t)
{
    return t->ndim ? t->strides[t->ndim - 1] : 1;
}

const void *ln__tensor_row(const ln_tensor *t, int64_t r)
{
    int64_t at = 0;
    for (int i = t->ndim - 2; i >= 0; i--) {
        at += r % t->dims[i] * t->strides[i];
        r /= t->dims[i];
    }
    return t->data + ln__dtype_offset(t->dtype, at);
}

/* A new head over the same bytes; the caller then changes its shape. */
static ln_status look_into(ln_tensor **out, const ln_tensor *t)
{
    ln_tensor *v = NULL;
    const ln_status st = LN_NEW0(&v, 1);
    if (st != LN_OK)
        return st;
    set_shape(v, t->dtype, t->ndim, t->dims, t->count);
    memcpy(v->strides, t->strides, sizeof v->strides);
    v->data = t->data;
    v->owner = ln_tensor_retain(t->owner ? t->owner : t);
    *out = v;
    return LN_OK;
}

static ln_status check_axis(const char *verb, const ln_tensor *t, int axis)
{
    if (axis < 0 || axis >= t->ndim)
        return ln__fail(LN_ERR_SHAPE, "%s: axis %d of a tensor with %d dimensions", verb, axis, t->ndim);
    if (ln_dtype_block(t->dtype) > 1 && axis == t->ndim - 1)
        return ln__fail(LN_ERR_DTYPE, "%s: the last axis of %s is stored in blocks and cannot be cut or moved", verb,
                        ln_dtype_name(t->dtype));
    return LN_OK;
}

ln_status ln_tensor_narrow(ln_tensor **out, const ln_tensor *t, int axis, int64_t start, int64_t length)
{
    ln_status st = LN_OK;
    ln_tensor *v = NULL;
    if (!out || !t)
        LN_FAIL(LN_ERR_ARG, "narrow: out and t must not be NULL");
    LN_TRY(check_axis("narrow", t, axis));
    if (start < 0 || length < 0 || start > t->dims[axis] || length > t->dims[axis] - start)
        LN_FAIL(LN_ERR_SHAPE, "narrow: %lld elements from %lld of axis %d, which has %lld", (long long)length,
                (long long)start, axis, (long long)t->dims[axis]);
    LN_TRY(look_into(&v, t));
    v->dims[axis] = length;
    v->count = t->dims[axis] ? t->count / t->dims[axis] * length : 0;
    if (v->count > 0)
        v->data += ln__dtype_offset(t->dtype, start * t->strides[axis]);
    *out = v;
done:
    return st;
}

ln_status ln_tensor_transpose(ln_tensor **out, const ln_tensor *t, int axis_a, int axis_b)
{
    ln_status st = LN_OK;
    ln_tensor *v = NULL;
    if (!out || !t)
        LN_FAIL(LN_ERR_ARG, "transpose: out and t must not be NULL");
    LN_TRY(check_axis("transpose", t, axis_a));
    LN_TRY(check_axis("transpose", t, axis_b));
    LN_TRY(look_into(&v, t));
    v->dims[axis_a] = t->dims[axis_b];
    v->dims[axis_b] = t->dims[axis_a];
    v->strides[axis_a] = t->strides[axis_b];
    v->strides[axis_b] = t->strides[axis_a];
    *out = v;
done:
    return st;
}

ln_status ln_tensor_reshape(ln_tensor **out, const ln_tensor *t, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    ln_tensor *v = NULL;
    int64_t count;
    size_t bytes;
    char from[192], to[192];
    if (!out || !t)
        LN_FAIL(LN_ERR_ARG, "reshape: out and t must not be NULL");
    LN_TRY(measure(&count, &bytes, t->dtype, ndim, dims));
    if (count != t->count)
        LN_FAIL(LN_ERR_SHAPE, "reshape: %s to %s changes the number of elements",
                ln__shape_text(from, sizeof from, t->ndim, t->dims), ln__shape_text(to, sizeof to, ndim, dims));
    if (!ln_tensor_contiguous(t))
        LN_FAIL(LN_ERR_SHAPE, "reshape: %s is a strided view; convert it to a contiguous copy first",
                ln__shape_text(from, sizeof from, t->ndim, t->dims));
    LN_TRY(look_into(&v, t));
    v->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        v->dims[i] = dims[i];
    row_major(v->strides, ndim, v->dims);
    *out = v;
done:
    return st;
}
