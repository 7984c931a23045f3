/* safetensors_write.c - one safetensors file, tensor by tensor and in any order, complete or not at all.
 *
 * Layout: widest element type first, then by name, header padded with spaces to a multiple of 8; so every tensor is
 * aligned to its element size, and the same tensors give the same bytes whatever order they arrive in. */
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

typedef struct declared {
    ln_dtype dtype;
    int ndim;
    int64_t dims[LN_MAX_DIMS];
    size_t bytes, offset; /* offset in the data buffer, once sealed */
    bool written;
} declared;

struct ln_writer {
    char *path;
    ln__out *out;
    json_t *meta; /* NULL: none */
    ln__names names;
    declared *tensors;
    int64_t cap;
    bool sealed, committed;
    size_t data_start;
};

ln_status ln_writer_new(ln_writer **out, const char *path)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    if (!out || !path)
        return ln__fail(LN_ERR_ARG, "ln_writer_new: out and path must not be NULL");
    LN_TRY(LN_NEW0(&w, 1));
    LN_TRY(ln__strdup(&w->path, path));
    LN_TRY(ln__out_open(&w->out, path));
    *out = w;
    w = NULL;
done:
    ln_writer_free(w);
    return st;
}

void ln_writer_free(ln_writer *w)
{
    if (!w)
        return;
    ln__out_free(w->out);
    json_decref(w->meta);
    ln__names_free(&w->names);
    ln__free(w->tensors);
    ln__free(w->path);
    ln__free(w);
}

ln_status ln_writer_meta(ln_writer *w, const char *key, const char *value)
{
    ln_status st = LN_OK;
    if (!w || !key || !value)
        LN_FAIL(LN_ERR_ARG, "ln_writer_meta: writer, key and value must not be NULL");
    if (w->sealed)
        LN_FAIL(LN_ERR_ARG, "%s: metadata '" LN_NAME_FMT "' comes after the first tensor was written", w->path, key);
    if (!ln__name_ok(key, strlen(key)))
        LN_FAIL(LN_ERR_ARG, "%s: a metadata key holds control characters or is not UTF-8", w->path);
    json_t *text = json_string(value);
    if (!text)
        LN_FAIL(LN_ERR_ARG, "%s: metadata '" LN_NAME_FMT "' is not UTF-8", w->path, key);
    if (!w->meta && !(w->meta = json_object())) {
        json_decref(text);
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory for metadata", w->path);
    }
    LN_TRY(ln__json_set(w->meta, key, text));
done:
    return st;
}

ln_status ln_writer_declare(ln_writer *w, const char *name, ln_dtype dt, int ndim, const int64_t *dims)
{
    ln_status st = LN_OK;
    bool fresh = false;
    declared d = { .dtype = dt, .ndim = ndim };
    if (!w || !name || ndim < 0 || ndim > LN_MAX_DIMS || (ndim > 0 && !dims))
        LN_FAIL(LN_ERR_ARG, "ln_writer_declare: writer, name and up to %d dimensions are needed", LN_MAX_DIMS);
    if (w->sealed)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' is declared after the first was written", w->path, name);
    if (!ln__name_ok(name, strlen(name)) || strcmp(name, "__metadata__") == 0)
        LN_FAIL(LN_ERR_ARG, "%s: '%s' cannot be the name of a tensor", w->path,
                *name == '_' ? "__metadata__" : "a text with control characters");
    if (!ln__st_dtype_name(dt))
        LN_FAIL(LN_ERR_DTYPE, "%s: tensor '" LN_NAME_FMT "': safetensors has no type %s", w->path, name,
                ln_dtype_name(dt));
    if (ndim > 0)
        memcpy(d.dims, dims, (size_t)ndim * sizeof *dims);
    if (!ln__shape_bytes(&d.bytes, dt, ndim, dims))
        LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "': its shape has a negative or far too large dimension",
                w->path, name);
    if (w->names.n == w->cap) {
        const int64_t cap = w->cap ? w->cap * 2 : 32;
        LN_TRY(ln__realloc((void **)&w->tensors, (size_t)cap, sizeof *w->tensors));
        w->cap = cap;
    }
    w->tensors[w->names.n] = d;
    LN_TRY(ln__names_add(&w->names, name, strlen(name), &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' is declared twice", w->path, name);
done:
    return st;
}

typedef struct place {
    size_t width;
    const char *name;
    declared *tensor;
} place;

static int by_width_then_name(const void *x, const void *y)
{
    const place *a = x, *b = y;
    if (a->width != b->width)
        return a->width > b->width ? -1 : 1;
    return strcmp(a->name, b->name);
}

static ln_status list_of(json_t **out, int n, const int64_t *values)
{
    ln_status st = LN_OK;
    json_t *list = json_array();
    if (!list)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for a header");
    for (int i = 0; i < n; i++)
        LN_TRY(ln__json_append(list, json_integer(values[i])));
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return st;
}

static ln_status describe(json_t *header, const place *p)
{
    ln_status st = LN_OK;
    const declared *d = p->tensor;
    const int64_t range[2] = { (int64_t)d->offset, (int64_t)(d->offset + d->bytes) };
    json_t *item = json_object(), *list = NULL;
    if (!item)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for a header");
    LN_TRY(ln__json_set(item, "dtype", json_string(ln__st_dtype_name(d->dtype))));
    LN_TRY(list_of(&list, d->ndim, d->dims));
    LN_TRY(ln__json_set(item, "shape", list));
    LN_TRY(list_of(&list, 2, range));
    LN_TRY(ln__json_set(item, "data_offsets", list));
    st = ln__json_set(header, p->name, item);
    item = NULL; /* taken, also on failure */
done:
    json_decref(item);
    return st;
}

/* Fix the order of the tensors and write the header. */
static ln_status seal(ln_writer *w)
{
    ln_status st = LN_OK;
    place *order = NULL;
    json_t *header = json_object();
    char *text = NULL;
    size_t at = 0;
    if (!header)
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory for the header", w->path);
    if (w->meta)
        LN_TRY(ln__json_set(header, "__metadata__", json_incref(w->meta)));
    LN_TRY(LN_NEW(&order, w->names.n + 1));
    for (int64_t i = 0; i < w->names.n; i++)
        order[i] = (place){ ln_dtype_block_bytes(w->tensors[i].dtype), ln__names_get(&w->names, i), &w->tensors[i] };
    qsort(order, (size_t)w->names.n, sizeof *order, by_width_then_name);
    for (int64_t i = 0; i < w->names.n; i++) {
        order[i].tensor->offset = at;
        if (__builtin_add_overflow(at, order[i].tensor->bytes, &at) || at > INT64_MAX / 2)
            LN_FAIL(LN_ERR_ARG, "%s: the tensors together overflow 64 bits", w->path);
        LN_TRY(describe(header, &order[i]));
    }
    LN_TRY(ln__json_text(&text, header, 0));
    const size_t len = strlen(text), padded = (len + 7) / 8 * 8;
    if (padded > LN_SAFETENSORS_MAX_HEADER)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: the header needs %zu bytes, the format allows %d", w->path, padded,
                LN_SAFETENSORS_MAX_HEADER);
    const uint64_t n = padded;
    LN_TRY(ln__out_write(w->out, &n, sizeof n));
    LN_TRY(ln__out_write(w->out, text, len));
    LN_TRY(ln__out_write(w->out, "       ", padded - len));
    w->data_start = 8 + padded;
    w->sealed = true;
done:
    ln__free(order);
    ln__free(text);
    json_decref(header);
    return st;
}

static bool same_shape(const declared *d, const ln_tensor *t)
{
    if (ln_tensor_ndim(t) != d->ndim)
        return false;
    for (int i = 0; i < d->ndim; i++)
        if (ln_tensor_dim(t, i) != d->dims[i])
            return false;
    return true;
}

ln_status ln_writer_put(ln_writer *w, const char *name, const ln_tensor *t)
{
    ln_status st = LN_OK;
    ln_tensor *dense = NULL;
    char want[LN_SHAPE_TEXT], have[LN_SHAPE_TEXT];
    if (!w || !name || !t)
        LN_FAIL(LN_ERR_ARG, "ln_writer_put: writer, name and tensor must not be NULL");
    const int64_t i = ln__names_find(&w->names, name, strlen(name));
    if (i < 0)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' was not declared", w->path, name);
    declared *d = &w->tensors[i];
    if (d->written)
        LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' is written twice", w->path, name);
    if (ln_tensor_dtype(t) != d->dtype)
        LN_FAIL(LN_ERR_DTYPE, "%s: tensor '" LN_NAME_FMT "' is %s, declared %s", w->path, name,
                ln_dtype_name(ln_tensor_dtype(t)), ln_dtype_name(d->dtype));
    if (!same_shape(d, t)) {
        int64_t dims[LN_MAX_DIMS];
        for (int k = 0; k < ln_tensor_ndim(t); k++)
            dims[k] = ln_tensor_dim(t, k);
        LN_FAIL(LN_ERR_SHAPE, "%s: tensor '" LN_NAME_FMT "' is %s, declared %s", w->path, name,
                ln__shape_text(have, sizeof have, ln_tensor_ndim(t), dims),
                ln__shape_text(want, sizeof want, d->ndim, d->dims));
    }
    if (!w->sealed)
        LN_TRY(seal(w));
    if (!ln_tensor_contiguous(t)) {
        LN_TRY(ln_tensor_convert(&dense, t, d->dtype));
        t = dense;
    }
    LN_TRY(ln__out_write_at(w->out, (int64_t)(w->data_start + d->offset), ln_tensor_cdata(t), d->bytes));
    d->written = true;
done:
    ln_tensor_release(dense);
    return st;
}

ln_status ln__writer_put_f64(ln_writer *w, const char *name, int ndim, const int64_t *dims, const double *values)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln_tensor_wrap(&t, LN_F64, ndim, dims, NULL, (void *)(uintptr_t)values, NULL, NULL));
    LN_TRY(ln_writer_put(w, name, t));
done:
    ln_tensor_release(t);
    return st;
}

ln_status ln_writer_commit(ln_writer *w)
{
    ln_status st = LN_OK;
    if (!w)
        LN_FAIL(LN_ERR_ARG, "ln_writer_commit: writer must not be NULL");
    if (w->committed)
        LN_FAIL(LN_ERR_ARG, "%s: committed twice", w->path);
    for (int64_t i = 0; i < w->names.n; i++)
        if (!w->tensors[i].written)
            LN_FAIL(LN_ERR_ARG, "%s: tensor '" LN_NAME_FMT "' was declared but never written", w->path,
                    ln__names_get(&w->names, i));
    if (!w->sealed)
        LN_TRY(seal(w));
    LN_TRY(ln__out_commit(w->out));
    w->committed = true;
done:
    return st;
}
