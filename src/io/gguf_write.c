/* gguf_write.c - writing GGUF v3: keys and infos are collected, the header goes out with the first tensor, data follow
 * in declared order, each padded to 32 bytes (the format's default alignment, so no key for it is needed).
 * A file appears complete or not at all. */
#include <string.h>

#include "io/gguf_internal.h"

enum { ALIGNMENT = 32, MAX_TENSOR_NAME = 64, MAX_TENSOR_DIMS = 4 };

typedef struct declared {
    ln_dtype dtype;
    int ndim;
    int64_t dims[MAX_TENSOR_DIMS];
    size_t bytes;
} declared;

struct ln__gguf_writer {
    char *path;
    ln__out *out;
    ln__buf keys, infos; /* as they go into the file */
    ln__names key_names, names;
    declared *tensors;
    int64_t cap, written;
    uint64_t offset; /* of the next tensor's data */
    bool sealed, committed;
};

ln_status ln__gguf_writer_new(ln__gguf_writer **out, const char *path)
{
    ln_status st = LN_OK;
    ln__gguf_writer *w = NULL;
    LN_TRY(LN_NEW0(&w, 1));
    LN_TRY(ln__strdup(&w->path, path));
    LN_TRY(ln__out_open(&w->out, path));
    *out = w;
    w = NULL;
done:
    ln__gguf_writer_free(w);
    return st;
}

void ln__gguf_writer_free(ln__gguf_writer *w)
{
    if (!w)
        return;
    ln__out_free(w->out);
    ln__buf_free(&w->keys);
    ln__buf_free(&w->infos);
    ln__names_free(&w->key_names);
    ln__names_free(&w->names);
    ln__free(w->tensors);
    ln__free(w->path);
    ln__free(w);
}

/* ---- keys ---- */

static ln_status put_u32(ln__buf *b, uint32_t v)
{
    return ln__buf_add(b, &v, sizeof v);
}

static ln_status put_u64(ln__buf *b, uint64_t v)
{
    return ln__buf_add(b, &v, sizeof v);
}

static ln_status put_string(ln__buf *b, const char *s, size_t len)
{
    const ln_status st = put_u64(b, len);
    return st == LN_OK ? ln__buf_add(b, s, len) : st;
}

/* Name and type of a key; its value follows. */
static ln_status begin_key(ln__gguf_writer *w, const char *key, ln__gguf_type type)
{
    ln_status st = LN_OK;
    bool fresh = false;
    const size_t len = strlen(key);
    if (w->sealed)
        LN_FAIL(LN_ERR_ARG, "%s: key '" LN_NAME_FMT "' comes after the first tensor was written", w->path, key);
    if (len == 0 || len > 65535 || !ln__name_ok(key, len))
        LN_FAIL(LN_ERR_ARG, "%s: a key is empty, too long, or holds control characters", w->path);
    LN_TRY(ln__names_add(&w->key_names, key, len, &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_ARG, "%s: key '" LN_NAME_FMT "' is given twice", w->path, key);
    LN_TRY(put_string(&w->keys, key, len));
    LN_TRY(put_u32(&w->keys, type));
done:
    return st;
}

static ln_status put_scalar(ln__gguf_writer *w, const char *key, ln__gguf_type type, const void *v)
{
    const ln_status st = begin_key(w, key, type);
    return st == LN_OK ? ln__buf_add(&w->keys, v, ln__gguf_type_bytes(type)) : st;
}

static ln_status begin_array(ln__gguf_writer *w, const char *key, ln__gguf_type elem, int64_t n)
{
    ln_status st = LN_OK;
    if (n < 0)
        LN_FAIL(LN_ERR_ARG, "%s: key '" LN_NAME_FMT "': %lld elements", w->path, key, (long long)n);
    LN_TRY(begin_key(w, key, LN_GGUF_ARRAY));
    LN_TRY(put_u32(&w->keys, elem));
    LN_TRY(put_u64(&w->keys, (uint64_t)n));
done:
    return st;
}

ln_status ln__gguf_put_u32(ln__gguf_writer *w, const char *key, uint32_t v)
{
    return put_scalar(w, key, LN_GGUF_U32, &v);
}

ln_status ln__gguf_put_i32(ln__gguf_writer *w, const char *key, int32_t v)
{
    return put_scalar(w, key, LN_GGUF_I32, &v);
}

ln_status ln__gguf_put_f32(ln__gguf_writer *w, const char *key, float v)
{
    return put_scalar(w, key, LN_GGUF_F32, &v);
}

ln_status ln__gguf_put_bool(ln__gguf_writer *w, const char *key, bool v)
{
    const uint8_t byte = v;
    return put_scalar(w, key, LN_GGUF_BOOL, &byte);
}

ln_status ln__gguf_put_string(ln__gguf_writer *w, const char *key, const char *v, size_t len)
{
    const ln_status st = begin_key(w, key, LN_GGUF_STRING);
    return st == LN_OK ? put_string(&w->keys, v, len) : st;
}

ln_status ln__gguf_put_strings(ln__gguf_writer *w, const char *key, const ln__gguf_string *v, int64_t n)
{
    ln_status st = begin_array(w, key, LN_GGUF_STRING, n);
    for (int64_t i = 0; st == LN_OK && i < n; i++)
        st = put_string(&w->keys, v[i].data, (size_t)v[i].len);
    return st;
}

ln_status ln__gguf_put_i32s(ln__gguf_writer *w, const char *key, const int32_t *v, int64_t n)
{
    const ln_status st = begin_array(w, key, LN_GGUF_I32, n);
    return st == LN_OK ? ln__buf_add(&w->keys, v, (size_t)n * sizeof *v) : st;
}

ln_status ln__gguf_put_f32s(ln__gguf_writer *w, const char *key, const float *v, int64_t n)
{
    const ln_status st = begin_array(w, key, LN_GGUF_F32, n);
    return st == LN_OK ? ln__buf_add(&w->keys, v, (size_t)n * sizeof *v) : st;
}

/* ---- tensors ---- */

static ln_status check_tensor(const ln__gguf_writer *w, declared *d, const char *name, const int64_t *dims)
{
    const size_t len = strlen(name);
    char shape[LN_SHAPE_TEXT];
    if (w->sealed)
        return ln__fail(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' is declared after the first was written", w->path,
                        name);
    if (len == 0 || len >= MAX_TENSOR_NAME || !ln__name_ok(name, len))
        return ln__fail(LN_ERR_ARG,
                        "%s: tensor name '" LN_NAME_FMT "': GGUF allows 1 to %d bytes, no control characters", w->path,
                        ln__name_ok(name, len) ? name : "?", MAX_TENSOR_NAME - 1);
    if (ln__ggml_type(d->dtype) < 0)
        return ln__fail(LN_ERR_DTYPE, "%s: tensor '%s': GGUF has no type %s", w->path, name, ln_dtype_name(d->dtype));
    if (d->ndim < 0 || d->ndim > MAX_TENSOR_DIMS || (d->ndim > 0 && !dims))
        return ln__fail(LN_ERR_ARG, "%s: tensor '%s': %d dimensions, GGUF allows %d", w->path, name, d->ndim,
                        MAX_TENSOR_DIMS);
    for (int i = 0; i < d->ndim; i++)
        d->dims[i] = dims[i];
    if (!ln__shape_bytes(&d->bytes, d->dtype, d->ndim, d->dims))
        return ln__fail(LN_ERR_SHAPE, "%s: tensor '%s': %s does not fit %s (rows in blocks of %lld)", w->path, name,
                        ln__shape_text(shape, sizeof shape, d->ndim, d->dims), ln_dtype_name(d->dtype),
                        (long long)ln_dtype_block(d->dtype));
    return LN_OK;
}

ln_status ln__gguf_declare(ln__gguf_writer *w, const char *name, ln_dtype dt, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    bool fresh = false;
    declared d = { .dtype = dt, .ndim = ndim };
    LN_TRY(check_tensor(w, &d, name, dims));
    if (w->names.n == w->cap) {
        const int64_t cap = w->cap ? w->cap * 2 : 32;
        LN_TRY(ln__realloc((void **)&w->tensors, (size_t)cap, sizeof *w->tensors));
        w->cap = cap;
    }
    w->tensors[w->names.n] = d;
    LN_TRY(ln__names_add(&w->names, name, strlen(name), &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '%s' is declared twice", w->path, name);
    LN_TRY(put_string(&w->infos, name, strlen(name)));
    LN_TRY(put_u32(&w->infos, (uint32_t)ndim));
    for (int i = ndim - 1; i >= 0; i--)
        LN_TRY(put_u64(&w->infos, (uint64_t)dims[i]));
    LN_TRY(put_u32(&w->infos, (uint32_t)ln__ggml_type(dt)));
    LN_TRY(put_u64(&w->infos, w->offset));
    if (__builtin_add_overflow(w->offset, (d.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, &w->offset) ||
        w->offset > INT64_MAX / 2)
        LN_FAIL(LN_ERR_ARG, "%s: the tensors together overflow 64 bits", w->path);
done:
    return st;
}

static ln_status pad(ln__gguf_writer *w)
{
    static const char zero[ALIGNMENT];
    const size_t rest = (size_t)(ln__out_bytes(w->out) % ALIGNMENT);
    return rest ? ln__out_write(w->out, zero, ALIGNMENT - rest) : LN_OK;
}

static ln_status seal(ln__gguf_writer *w)
{
    ln_status st = LN_OK;
    const uint32_t version = 3;
    const uint64_t counts[2] = { (uint64_t)w->names.n, (uint64_t)w->key_names.n };
    LN_TRY(ln__out_write(w->out, "GGUF", 4));
    LN_TRY(ln__out_write(w->out, &version, sizeof version));
    LN_TRY(ln__out_write(w->out, counts, sizeof counts));
    LN_TRY(ln__out_write(w->out, w->keys.data, w->keys.len));
    LN_TRY(ln__out_write(w->out, w->infos.data, w->infos.len));
    LN_TRY(pad(w));
    w->sealed = true;
done:
    return st;
}

ln_status ln__gguf_put_tensor(ln__gguf_writer *w, const char *name, const ln_tensor *t)
{
    ln_status st = LN_OK;
    ln_tensor *dense = NULL;
    const int64_t i = ln__names_find(&w->names, name, strlen(name));
    if (i < 0)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' was not declared", w->path, name);
    if (i != w->written)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '%s' is out of turn, expected '%s'", w->path, name,
                w->written < w->names.n ? ln__names_get(&w->names, w->written) : "no more");
    const declared *d = &w->tensors[i];
    bool same = ln_tensor_dtype(t) == d->dtype && ln_tensor_ndim(t) == d->ndim;
    for (int k = 0; same && k < d->ndim; k++)
        same = ln_tensor_dim(t, k) == d->dims[k];
    if (!same)
        LN_FAIL(LN_ERR_SHAPE, "%s: tensor '%s' is not of the type and shape it was declared with", w->path, name);
    if (!w->sealed)
        LN_TRY(seal(w));
    if (!ln_tensor_contiguous(t)) {
        LN_TRY(ln_tensor_convert(&dense, t, d->dtype));
        t = dense;
    }
    LN_TRY(ln__out_write(w->out, ln_tensor_cdata(t), d->bytes));
    LN_TRY(pad(w));
    w->written++;
done:
    ln_tensor_release(dense);
    return st;
}

ln_status ln__gguf_writer_commit(ln__gguf_writer *w)
{
    ln_status st = LN_OK;
    if (w->committed)
        LN_FAIL(LN_ERR_ARG, "%s: committed twice", w->path);
    if (w->written < w->names.n)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '%s' was declared but never written", w->path,
                ln__names_get(&w->names, w->written));
    if (!w->sealed)
        LN_TRY(seal(w));
    LN_TRY(ln__out_commit(w->out));
    w->committed = true;
done:
    return st;
}
