/* archive.c - named tensors of any supported file: which reader it needs, lookup by name, views of the mapping.
 *
 * Pitfall: a file may put its elements at addresses that do not fit their size (old safetensors headers were not
 * padded). Such a tensor is copied, because reading it in place would be undefined. */
#include "io/archive.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "core/words.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the formats read and written here are little-endian, and so must be the machine"
#endif

uint16_t ln__le16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t ln__le32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

uint64_t ln__le64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

bool ln__shape_bytes(size_t *bytes, ln_dtype dt, int ndim, const int64_t *dims)
{
    const int64_t block = ln_dtype_block(dt), block_bytes = (int64_t)ln_dtype_block_bytes(dt);
    int64_t extent = 1; /* as if empty dimensions were not: strides must not overflow either */
    bool empty = false;
    for (int i = 0; i < ndim; i++) {
        empty = empty || dims[i] == 0;
        if (dims[i] < 0 || __builtin_mul_overflow(extent, LN_MAX(dims[i], 1), &extent))
            return false;
    }
    if (block > 1 && (ndim == 0 || dims[ndim - 1] % block != 0))
        return false;
    if (extent / block > INT64_MAX / block_bytes - 1)
        return false;
    *bytes = empty ? 0 : (size_t)(extent / block * block_bytes);
    return true;
}

/* ---- filling ---- */

ln_status ln__archive_add(ln_archive *a, const char *file, const char *name, size_t len, const ln__entry *e)
{
    ln_status st = LN_OK;
    bool fresh = false;
    if (!ln__name_ok(name, len))
        LN_FAIL(LN_ERR_FORMAT, "%s: the name of tensor %lld holds control characters or is not UTF-8", file,
                (long long)a->names.n);
    if (a->names.n == a->cap_entries) {
        const int64_t cap = a->cap_entries ? a->cap_entries * 2 : 32;
        LN_TRY(ln__realloc((void **)&a->entries, (size_t)cap, sizeof *a->entries));
        a->cap_entries = cap;
    }
    a->entries[a->names.n] = *e;
    LN_TRY(ln__names_add(&a->names, name, len, &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_FORMAT, "%s: duplicate tensor '%.*s'", file, (int)LN_MIN(len, (size_t)160), name);
done:
    return st;
}

ln_status ln__archive_add_meta(ln_archive *a, const char *file, const char *key, size_t key_len, const char *text,
                               size_t text_len)
{
    ln_status st = LN_OK;
    bool fresh = false;
    if (!ln__name_ok(key, key_len))
        LN_FAIL(LN_ERR_FORMAT, "%s: metadata key %lld holds control characters or is not UTF-8", file,
                (long long)a->keys.n);
    if (a->keys.n == a->cap_values) {
        const int64_t cap = a->cap_values ? a->cap_values * 2 : 32;
        LN_TRY(ln__realloc((void **)&a->value_at, (size_t)cap, sizeof *a->value_at));
        a->cap_values = cap;
    }
    a->value_at[a->keys.n] = text ? a->values.len : LN_NO_TEXT;
    if (text) {
        LN_TRY(ln__buf_add(&a->values, text, text_len));
        LN_TRY(ln__buf_add(&a->values, "", 1));
    }
    LN_TRY(ln__names_add(&a->keys, key, key_len, &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_FORMAT, "%s: duplicate key '%.*s'", file, (int)LN_MIN(key_len, (size_t)160), key);
done:
    return st;
}

ln_status ln__archive_map(ln_archive *a, const char *path, const unsigned char **data, size_t *bytes)
{
    ln_status st = LN_OK;
    if (a->n_maps == a->cap_maps) {
        const int64_t cap = a->cap_maps ? a->cap_maps * 2 : 4;
        LN_TRY(ln__realloc((void **)&a->maps, (size_t)cap, sizeof *a->maps));
        a->cap_maps = cap;
    }
    LN_TRY(ln__map_open(&a->maps[a->n_maps].map, path));
    *data = ln__map_data(a->maps[a->n_maps].map);
    *bytes = ln__map_bytes(a->maps[a->n_maps].map);
    a->n_maps++;
done:
    return st;
}

/* ---- opening ---- */

static bool begins(const unsigned char *data, size_t bytes, const char *magic, size_t n)
{
    return bytes >= n && memcmp(data, magic, n) == 0;
}

/* A safetensors file begins with a header length that fits and an opening brace: no text file does. */
static bool looks_like_safetensors(const unsigned char *data, size_t bytes)
{
    return bytes >= 10 && data[8] == '{' && ln__le64(data) <= bytes - 8;
}

/* By content; where that tells nothing, the reader that the name asks for explains what is wrong with the file. */
static ln_status read_any(ln_archive *a, const unsigned char *data, size_t bytes, const char *file)
{
    if (bytes == 0)
        return ln__fail(LN_ERR_FORMAT, "%s: the file is empty", file);
    if (begins(data, bytes, "GGUF", 4))
        return ln__gguf_read(a, data, bytes, file);
    if (begins(data, bytes, "\x93NUMPY", 6))
        return ln__npy_read(a, data, bytes, file);
    if (begins(data, bytes, "PK\3\4", 4) || begins(data, bytes, "PK\5\6", 4))
        return ln__npz_read(a, data, bytes, file);
    if (looks_like_safetensors(data, bytes) || ln__ends_with(file, ".safetensors"))
        return ln__safetensors_read(a, data, bytes, file);
    if (data[0] == '{' || ln__ends_with(file, ".index.json"))
        return ln__shards_read(a, data, bytes, file);
    if (ln__ends_with(file, ".gguf"))
        return ln__gguf_read(a, data, bytes, file);
    if (ln__ends_with(file, ".npy"))
        return ln__npy_read(a, data, bytes, file);
    if (ln__ends_with(file, ".npz"))
        return ln__npz_read(a, data, bytes, file);
    if (ln__llama2c_looks_like(data, bytes))
        return ln__llama2c_read(a, data, bytes, file);
    return ln__fail(LN_ERR_FORMAT,
                    "%s: not a tensor file (expected safetensors, its index, GGUF, npy, npz or llama2.c)", file);
}

static ln_status archive_new(ln_archive **out, const char *path)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    LN_TRY(LN_NEW0(&a, 1));
    atomic_init(&a->refs, 1);
    LN_TRY(ln__strdup(&a->path, path));
    *out = a;
    a = NULL;
done:
    ln__free(a);
    return st;
}

/* The file that a directory stands for. */
static ln_status file_in_dir(char **out, const char *dir)
{
    static const char *const names[] = { "model.safetensors", "model.safetensors.index.json" };
    ln_status st = LN_OK;
    for (int64_t i = 0; i < LN_COUNT(names); i++) {
        char *path = NULL;
        LN_TRY(ln__path_join(&path, dir, names[i]));
        if (ln__file_exists(path)) {
            *out = path;
            return LN_OK;
        }
        ln__free(path);
    }
    st = ln__fail(LN_ERR_NOTFOUND, "%s: the directory holds neither %s nor %s", dir, names[0], names[1]);
done:
    return st;
}

ln_status ln_archive_open(ln_archive **out, const char *path)
{
    ln_status st = LN_OK;
    char *inside = NULL;
    ln_archive *a = NULL;
    const unsigned char *data = NULL;
    size_t bytes = 0;
    if (!out || !path)
        return ln__fail(LN_ERR_ARG, "ln_archive_open: out and path must not be NULL");
    if (ln__file_is_dir(path))
        LN_TRY(file_in_dir(&inside, path));
    const char *file = inside ? inside : path;
    LN_TRY(archive_new(&a, file));
    LN_TRY(ln__archive_map(a, file, &data, &bytes));
    LN_TRY(read_any(a, data, bytes, file));
    *out = a;
    a = NULL;
done:
    ln__free(inside);
    ln_archive_release(a);
    return st;
}

ln_status ln__archive_from_memory(ln_archive **out, const void *data, size_t bytes, const char *name)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    LN_TRY(archive_new(&a, name));
    LN_TRY(read_any(a, data, bytes, name));
    *out = a;
    a = NULL;
done:
    ln_archive_release(a);
    return st;
}

ln_archive *ln_archive_retain(const ln_archive *a)
{
    ln_archive *m = (ln_archive *)a;
    if (m)
        atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void ln_archive_release(ln_archive *a)
{
    if (!a || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int64_t i = 0; i < a->n_maps; i++)
        ln__map_release(a->maps[i].map);
    ln__free(a->maps);
    ln__free(a->path);
    ln__names_free(&a->names);
    ln__free(a->entries);
    ln__names_free(&a->keys);
    ln__buf_free(&a->values);
    ln__free(a->value_at);
    ln__gguf_free(a->gguf);
    ln__free(a);
}

/* ---- reading ---- */

ln_format ln_archive_format(const ln_archive *a)
{
    return a->format;
}

const char *ln_archive_path(const ln_archive *a)
{
    return a->path;
}

int64_t ln_archive_count(const ln_archive *a)
{
    return a->names.n;
}

const char *ln_archive_name(const ln_archive *a, int64_t i)
{
    return ln__names_get(&a->names, i);
}

bool ln_archive_has(const ln_archive *a, const char *name)
{
    return name && ln__names_find(&a->names, name, strlen(name)) >= 0;
}

const char *ln_archive_meta(const ln_archive *a, const char *key)
{
    const int64_t i = key ? ln__names_find(&a->keys, key, strlen(key)) : -1;
    return i >= 0 && a->value_at[i] != LN_NO_TEXT ? a->values.data + a->value_at[i] : NULL;
}

int64_t ln_archive_meta_count(const ln_archive *a)
{
    return a->keys.n;
}

const char *ln_archive_meta_key(const ln_archive *a, int64_t i)
{
    return ln__names_get(&a->keys, i);
}

ln_status ln__entry_wrap(ln_tensor **out, const ln__entry *e, void *data, void (*release)(void *), void *cookie)
{
    int64_t strides[LN_MAX_DIMS], step = 1;
    for (int i = 0; i < e->ndim; i++) {
        strides[i] = step;
        step *= LN_MAX(e->dims[i], 1);
    }
    return ln_tensor_wrap(out, e->dtype, e->ndim, e->dims, e->fortran ? strides : NULL, data, release, cookie);
}

static void release_archive(void *archive)
{
    ln_archive_release(archive);
}

ln_status ln__entry_view(ln_tensor **out, const ln_archive *a, const ln__entry *e)
{
    ln_status st = LN_OK;
    const size_t align = ln_dtype_block(e->dtype) > 1 ? 2 : ln_dtype_block_bytes(e->dtype);
    if (e->bytes > 0 && (uintptr_t)e->data % align == 0) {
        ln_archive *keep = ln_archive_retain(a);
        st = ln__entry_wrap(out, e, (void *)e->data, release_archive, keep);
        if (st != LN_OK)
            ln_archive_release(keep);
        return st;
    }
    void *copy = NULL;
    LN_TRY(ln__alloc(&copy, e->bytes, 1));
    if (e->bytes)
        memcpy(copy, e->data, e->bytes);
    LN_TRY(ln__entry_wrap(out, e, copy, ln__free, copy));
    copy = NULL;
done:
    ln__free(copy);
    return st;
}

ln_status ln_archive_get(ln_tensor **out, const ln_archive *a, const char *name)
{
    if (!out || !a || !name)
        return ln__fail(LN_ERR_ARG, "ln_archive_get: out, archive and name must not be NULL");
    const int64_t i = ln__names_find(&a->names, name, strlen(name));
    if (i < 0)
        return ln__fail(LN_ERR_NOTFOUND, "%s: no tensor '" LN_NAME_FMT "'", a->path, name);
    const ln__entry *e = &a->entries[i];
    return e->load ? e->load(out, a, name, e) : ln__entry_view(out, a, e);
}

ln_status ln__archive_only(ln_tensor **out, ln_format *format, const char *path)
{
    ln_status st = LN_OK;
    ln_archive *a = NULL;
    LN_TRY(ln_archive_open(&a, path));
    if (ln_archive_count(a) != 1)
        LN_FAIL(LN_ERR_FORMAT, "%s: holds %lld arrays, one is wanted", path, (long long)ln_archive_count(a));
    if (format)
        *format = ln_archive_format(a);
    LN_TRY(ln_archive_get(out, a, ln_archive_name(a, 0)));
done:
    ln_archive_release(a);
    return st;
}
