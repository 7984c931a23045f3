/* gguf.c - reading GGUF v2 and v3: magic, counts, keys, tensor infos, padding, data.
 *
 * One pass over the header checks every length against the file before it is used. Arrays stay where they are: of an
 * array of strings only the place of every 32nd element is kept, so a vocabulary costs neither time nor memory here.
 * dims[0] of the file is the fastest axis; linnet lists the slowest first, so they are reversed.
 * Pitfall: a big-endian v3 file has the same magic; its version is byte-swapped and is recognised by that.
 * Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md. */
#include "io/gguf_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 4,   /* arrays in arrays */
    MAX_NAME = 64,   /* bytes of a tensor name, by the format */
    MAX_KEY = 65535, /* bytes of a key, by the format */
    MIN_KEY_BYTES = 8 + 4 + 1,
    MIN_INFO_BYTES = 8 + 4 + 4 + 8,
    DEFAULT_ALIGNMENT = 32
};

typedef struct cursor {
    const unsigned char *data;
    size_t at, bytes;
    const char *file;
} cursor;

static ln_status need(const cursor *c, uint64_t n, const char *what)
{
    if (n <= c->bytes - c->at)
        return LN_OK;
    return ln__fail(LN_ERR_FORMAT, "%s: truncated: %s at byte %zu needs %llu bytes, the file has %zu more", c->file,
                    what, c->at, (unsigned long long)n, c->bytes - c->at);
}

static ln_status read_u32(cursor *c, uint32_t *out, const char *what)
{
    const ln_status st = need(c, 4, what);
    if (st == LN_OK) {
        *out = ln__le32(c->data + c->at);
        c->at += 4;
    }
    return st;
}

static ln_status read_u64(cursor *c, uint64_t *out, const char *what)
{
    const ln_status st = need(c, 8, what);
    if (st == LN_OK) {
        *out = ln__le64(c->data + c->at);
        c->at += 8;
    }
    return st;
}

static ln_status read_string(cursor *c, ln__gguf_string *out, uint64_t max, const char *what)
{
    ln_status st = LN_OK;
    uint64_t len = 0;
    LN_TRY(read_u64(c, &len, what));
    if (len > max)
        LN_FAIL(LN_ERR_FORMAT, "%s: %s at byte %zu has %llu bytes, at most %llu are allowed", c->file, what, c->at,
                (unsigned long long)len, (unsigned long long)max);
    LN_TRY(need(c, len, what));
    *out = (ln__gguf_string){ (const char *)c->data + c->at, len };
    c->at += len;
done:
    return st;
}

/* ---- keys ---- */

static ln_status check_bools(const cursor *c, uint64_t n, const char *key)
{
    for (uint64_t i = 0; i < n; i++)
        if (c->data[c->at + i] > 1)
            return ln__fail(LN_ERR_FORMAT, "%s: key '" LN_NAME_FMT "': a bool is %u, expected 0 or 1", c->file, key,
                            c->data[c->at + i]);
    return LN_OK;
}

static ln_status skip_strings(cursor *c, ln__gguf_value *v, const char *key)
{
    ln_status st = LN_OK;
    ln__gguf_string s;
    if (v) {
        const uint64_t n_marks = (v->n + LN_GGUF_MARK_EVERY - 1) / LN_GGUF_MARK_EVERY;
        LN_TRY(ln__alloc((void **)&v->marks, n_marks, sizeof *v->marks));
    }
    const uint64_t n = v ? v->n : 1;
    for (uint64_t i = 0; i < n; i++) {
        if (v && i % LN_GGUF_MARK_EVERY == 0)
            v->marks[i / LN_GGUF_MARK_EVERY] = c->data + c->at;
        LN_TRY(read_string(c, &s, UINT64_MAX, key));
    }
done:
    return st;
}

/* Read an array header and step over its elements. `v` is NULL for an array within an array. */
static ln_status skip_array(cursor *c, ln__gguf_value *v, const char *key, int depth)
{
    ln_status st = LN_OK;
    uint32_t elem = 0;
    uint64_t n = 0;
    LN_TRY(read_u32(c, &elem, key));
    LN_TRY(read_u64(c, &n, key));
    if (!ln__gguf_type_name((ln__gguf_type)elem))
        LN_FAIL(LN_ERR_FORMAT, "%s: key '" LN_NAME_FMT "': unknown element type %u", c->file, key, elem);
    if (v)
        *v = (ln__gguf_value){ LN_GGUF_ARRAY, (ln__gguf_type)elem, n, c->data + c->at, NULL };
    const size_t size = ln__gguf_type_bytes((ln__gguf_type)elem), least = size ? size : elem == LN_GGUF_STRING ? 8 : 12;
    if (n > (c->bytes - c->at) / least)
        LN_FAIL(LN_ERR_FORMAT,
                "%s: truncated: key '" LN_NAME_FMT "' promises %llu elements, the file has %zu more bytes", c->file,
                key, (unsigned long long)n, c->bytes - c->at);
    if (size) {
        if (elem == LN_GGUF_BOOL)
            LN_TRY(check_bools(c, n, key));
        c->at += n * size;
    } else if (elem == LN_GGUF_STRING && v) {
        LN_TRY(skip_strings(c, v, key));
    } else {
        if (elem == LN_GGUF_ARRAY && depth >= MAX_DEPTH)
            LN_FAIL(LN_ERR_UNSUPPORTED, "%s: key '" LN_NAME_FMT "': arrays nested more than %d deep", c->file, key,
                    MAX_DEPTH);
        for (uint64_t i = 0; i < n; i++)
            LN_TRY(elem == LN_GGUF_ARRAY ? skip_array(c, NULL, key, depth + 1) : skip_strings(c, NULL, key));
    }
done:
    return st;
}

static ln_status read_key(cursor *c, ln_archive *a)
{
    ln_status st = LN_OK;
    ln__gguf_value *v = &a->gguf->values[a->gguf->n_values];
    ln__gguf_string key = { NULL, 0 }, text = { NULL, 0 };
    uint32_t type = 0;
    LN_TRY(read_string(c, &key, MAX_KEY, "a key"));
    LN_TRY(read_u32(c, &type, "a value type"));
    if (!ln__name_ok(key.data, key.len))
        LN_FAIL(LN_ERR_FORMAT, "%s: key %lld holds control characters or is not UTF-8", c->file,
                (long long)a->gguf->n_values);
    char name[161];
    snprintf(name, sizeof name, "%.*s", (int)LN_MIN(key.len, (uint64_t)160), key.data);
    if (!ln__gguf_type_name((ln__gguf_type)type))
        LN_FAIL(LN_ERR_FORMAT, "%s: key '%s': unknown value type %u", c->file, name, type);
    *v = (ln__gguf_value){ .type = (ln__gguf_type)type, .at = c->data + c->at };
    a->gguf->n_values++;
    if (type == LN_GGUF_ARRAY) {
        LN_TRY(skip_array(c, v, name, 1));
    } else if (type == LN_GGUF_STRING) {
        LN_TRY(read_string(c, &text, UINT64_MAX, name));
    } else {
        LN_TRY(need(c, ln__gguf_type_bytes(v->type), name));
        if (type == LN_GGUF_BOOL)
            LN_TRY(check_bools(c, 1, name));
        c->at += ln__gguf_type_bytes(v->type);
    }
    LN_TRY(ln__archive_add_meta(a, c->file, key.data, key.len, text.data, text.len));
done:
    return st;
}

static ln_status read_alignment(const ln_archive *a, const char *file)
{
    static const char key[] = "general.alignment";
    a->gguf->alignment = DEFAULT_ALIGNMENT;
    const int64_t i = ln__names_find(&a->keys, key, sizeof key - 1);
    if (i < 0)
        return LN_OK;
    const ln__gguf_value *v = &a->gguf->values[i];
    if (v->type != LN_GGUF_U32)
        return ln__fail(LN_ERR_FORMAT, "%s: general.alignment is of type %s, expected u32", file,
                        ln__gguf_type_name(v->type));
    a->gguf->alignment = ln__le32(v->at);
    if (a->gguf->alignment == 0 || a->gguf->alignment % 8 != 0)
        return ln__fail(LN_ERR_FORMAT, "%s: general.alignment is %llu, expected a multiple of 8", file,
                        (unsigned long long)a->gguf->alignment);
    return LN_OK;
}

/* ---- tensors ---- */

typedef struct info {
    const char *name; /* in the file, not terminated */
    size_t len;
    uint64_t offset;
    ln__entry entry;
} info;

static ln_status read_dims(cursor *c, info *t)
{
    ln_status st = LN_OK;
    uint32_t ndim = 0;
    LN_TRY(read_u32(c, &ndim, "a number of dimensions"));
    if (ndim > 4)
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor '%.*s': %u dimensions, at most 4 are allowed", c->file, (int)t->len, t->name,
                ndim);
    t->entry.ndim = (int)ndim;
    for (uint32_t i = 0; i < ndim; i++) {
        uint64_t d = 0;
        LN_TRY(read_u64(c, &d, "a dimension"));
        if (d > INT64_MAX)
            LN_FAIL(LN_ERR_FORMAT, "%s: tensor '%.*s': dimension %u is %llu, too large", c->file, (int)t->len, t->name,
                    i, (unsigned long long)d);
        t->entry.dims[ndim - 1 - i] = (int64_t)d;
    }
done:
    return st;
}

static ln_status read_info(cursor *c, info *t, uint64_t alignment)
{
    ln_status st = LN_OK;
    ln__gguf_string name = { NULL, 0 };
    uint32_t type = 0;
    char shape[LN_SHAPE_TEXT];
    LN_TRY(read_string(c, &name, MAX_NAME, "a tensor name"));
    if (!ln__name_ok(name.data, name.len))
        LN_FAIL(LN_ERR_FORMAT, "%s: a tensor name at byte %zu holds control characters or is not UTF-8", c->file,
                c->at - (size_t)name.len);
    t->name = name.data;
    t->len = (size_t)name.len;
    LN_TRY(read_dims(c, t));
    LN_TRY(read_u32(c, &type, "a tensor type"));
    LN_TRY(read_u64(c, &t->offset, "a tensor offset"));
    if (!ln__ggml_dtype(&t->entry.dtype, type)) {
        const char *known = ln__ggml_name(type);
        if (known)
            LN_FAIL(LN_ERR_UNSUPPORTED, "%s: tensor '%.*s': type %s is not supported", c->file, (int)t->len, t->name,
                    known);
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: tensor '%.*s': unknown type %u", c->file, (int)t->len, t->name, type);
    }
    const int64_t block = ln_dtype_block(t->entry.dtype);
    const int64_t row = t->entry.ndim ? t->entry.dims[t->entry.ndim - 1] : 1;
    if (row % block != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor '%.*s': rows of %lld elements, %s needs a multiple of %lld", c->file,
                (int)t->len, t->name, (long long)row, ln__ggml_name(type), (long long)block);
    if (!ln__shape_bytes(&t->entry.bytes, t->entry.dtype, t->entry.ndim, t->entry.dims))
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor '%.*s': shape %s overflows 64 bits", c->file, (int)t->len, t->name,
                ln__shape_text(shape, sizeof shape, t->entry.ndim, t->entry.dims));
    if (t->offset % alignment != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor '%.*s': offset %llu is not a multiple of the alignment %llu", c->file,
                (int)t->len, t->name, (unsigned long long)t->offset, (unsigned long long)alignment);
done:
    return st;
}

typedef struct place {
    uint64_t offset;
    const info *tensor;
} place;

static int by_offset(const void *x, const void *y)
{
    const place *a = x, *b = y;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return (a->tensor > b->tensor) - (a->tensor < b->tensor); /* as in the file */
}

/* Place the tensors in the file: inside it, and apart from each other. */
static ln_status place_tensors(const cursor *c, info *infos, int64_t n, uint64_t alignment)
{
    ln_status st = LN_OK;
    place *order = NULL;
    const uint64_t rest = c->at % alignment, start = c->at + (rest ? alignment - rest : 0);
    LN_TRY(LN_NEW(&order, n + 1));
    for (int64_t i = 0; i < n; i++) {
        info *t = &infos[i];
        order[i] = (place){ t->offset, t };
        uint64_t end;
        if (__builtin_add_overflow(start, t->offset, &end) || __builtin_add_overflow(end, t->entry.bytes, &end) ||
            (t->entry.bytes > 0 && end > c->bytes))
            LN_FAIL(LN_ERR_FORMAT,
                    "%s: truncated: tensor '%.*s' needs %zu bytes at %llu of the data, the file has %zu in all",
                    c->file, (int)t->len, t->name, t->entry.bytes, (unsigned long long)t->offset, c->bytes);
        t->entry.data = t->entry.bytes ? c->data + start + t->offset : c->data;
    }
    qsort(order, (size_t)n, sizeof *order, by_offset);
    uint64_t end = 0;
    const info *last = NULL;
    for (int64_t i = 0; i < n; i++) {
        const info *t = order[i].tensor;
        if (t->entry.bytes == 0)
            continue;
        if (last && t->offset < end)
            LN_FAIL(LN_ERR_FORMAT, "%s: tensors '%.*s' and '%.*s' overlap at %llu of the data", c->file, (int)last->len,
                    last->name, (int)t->len, t->name, (unsigned long long)t->offset);
        end = t->offset + t->entry.bytes;
        last = t;
    }
done:
    ln__free(order);
    return st;
}

static ln_status read_tensors(cursor *c, ln_archive *a, uint64_t count)
{
    ln_status st = LN_OK;
    info *infos = NULL;
    LN_TRY(LN_NEW0(&infos, count + 1));
    for (uint64_t i = 0; i < count; i++)
        LN_TRY(read_info(c, &infos[i], a->gguf->alignment));
    LN_TRY(place_tensors(c, infos, (int64_t)count, a->gguf->alignment));
    for (uint64_t i = 0; i < count; i++)
        LN_TRY(ln__archive_add(a, c->file, infos[i].name, infos[i].len, &infos[i].entry));
done:
    ln__free(infos);
    return st;
}

static ln_status read_version(cursor *c, ln_archive *a)
{
    ln_status st = LN_OK;
    uint32_t version = 0;
    if (c->bytes < 4 || memcmp(c->data, "GGUF", 4) != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: bad magic: the file does not begin with 'GGUF'", c->file);
    c->at = 4;
    LN_TRY(read_u32(c, &version, "the version"));
    if ((version & 0xffff) == 0 && version != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a big-endian GGUF file; only little-endian ones are supported", c->file);
    if (version != 2 && version != 3)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: GGUF version %u, expected 2 or 3", c->file, version);
    a->gguf->version = version;
done:
    return st;
}

ln_status ln__gguf_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file)
{
    ln_status st = LN_OK;
    cursor c = { data, 0, bytes, file };
    uint64_t n_tensors = 0, n_keys = 0;
    a->format = LN_FORMAT_GGUF;
    LN_TRY(LN_NEW0(&a->gguf, 1));
    LN_TRY(read_version(&c, a));
    LN_TRY(read_u64(&c, &n_tensors, "the number of tensors"));
    LN_TRY(read_u64(&c, &n_keys, "the number of keys"));
    if (n_keys > (bytes - c.at) / MIN_KEY_BYTES || n_tensors > (bytes - c.at) / MIN_INFO_BYTES)
        LN_FAIL(LN_ERR_FORMAT, "%s: truncated: it promises %llu keys and %llu tensors in %zu bytes", file,
                (unsigned long long)n_keys, (unsigned long long)n_tensors, bytes);
    LN_TRY(LN_NEW0(&a->gguf->values, n_keys + 1));
    for (uint64_t i = 0; i < n_keys; i++)
        LN_TRY(read_key(&c, a));
    LN_TRY(read_alignment(a, file));
    LN_TRY(read_tensors(&c, a, n_tensors));
done:
    return st;
}

void ln__gguf_free(ln__gguf *g)
{
    if (!g)
        return;
    for (int64_t i = 0; i < g->n_values; i++)
        ln__free((void *)g->values[i].marks);
    ln__free(g->values);
    ln__free(g);
}
