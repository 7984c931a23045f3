/* safetensors.c - reading: u64 N, N bytes of JSON, one buffer; each rule of the format is checked before any use.
 *
 *   {"name": {"dtype": "F32", "shape": [3,4], "data_offsets": [begin, end)}, "__metadata__": {"key": "text"}}
 *
 * The offsets, sorted, must tile the buffer exactly: no hole, no overlap, nothing after the end. So no two names share
 * bytes, and no byte of the file is unaccounted for. Pitfall: shapes multiply past 64 bits; every product is checked.
 * Format: github.com/huggingface/safetensors, "Format" section of its README. */
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* The types of the format; `dtype` is LN_DTYPE_COUNT for those that exist and that linnet has no use for. */
static const struct type {
    const char *name;
    ln_dtype dtype;
} types[] = {
    { "F32", LN_F32 },
    { "F64", LN_F64 },
    { "F16", LN_F16 },
    { "BF16", LN_BF16 },
    { "I8", LN_I8 },
    { "I16", LN_I16 },
    { "I32", LN_I32 },
    { "I64", LN_I64 },
    { "U8", LN_U8 },
    { "U16", LN_U16 },
    { "U32", LN_U32 },
    { "U64", LN_U64 },
    { "BOOL", LN_BOOL },
    { "F8_E4M3", LN_DTYPE_COUNT },
    { "F8_E5M2", LN_DTYPE_COUNT },
    { "F8_E8M0", LN_DTYPE_COUNT },
    { "F8_E4M3FNUZ", LN_DTYPE_COUNT },
    { "F8_E5M2FNUZ", LN_DTYPE_COUNT },
    { "F6_E2M3", LN_DTYPE_COUNT },
    { "F6_E3M2", LN_DTYPE_COUNT },
    { "F4", LN_DTYPE_COUNT },
    { "C64", LN_DTYPE_COUNT },
};

const char *ln__st_dtype_name(ln_dtype dt)
{
    for (int64_t i = 0; i < LN_COUNT(types); i++)
        if (types[i].dtype == dt && dt < LN_DTYPE_COUNT)
            return types[i].name;
    return NULL;
}

static ln_status read_dtype(ln__st_item *it, const json_t *value, const char *file)
{
    const char *word = json_string_value(value);
    if (!word)
        return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': no dtype, or one that is not a string", file,
                        it->name);
    for (int64_t i = 0; i < LN_COUNT(types); i++) {
        if (strcmp(types[i].name, word) != 0)
            continue;
        if (types[i].dtype == LN_DTYPE_COUNT)
            return ln__fail(LN_ERR_UNSUPPORTED, "%s: tensor '" LN_NAME_FMT "': dtype %s is not supported", file,
                            it->name, word);
        it->entry.dtype = types[i].dtype;
        return LN_OK;
    }
    return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': unknown dtype '%.40s'", file, it->name,
                    ln__name_ok(word, strlen(word)) ? word : "?");
}

static ln_status read_shape(ln__st_item *it, const json_t *shape, const char *file)
{
    if (!json_is_array(shape))
        return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': no shape, or one that is not a list", file,
                        it->name);
    const size_t n = json_array_size(shape);
    if (n > LN_MAX_DIMS)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: tensor '" LN_NAME_FMT "': %zu dimensions, at most %d are supported",
                        file, it->name, n, LN_MAX_DIMS);
    it->entry.ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': shape[%zu] is not a whole number >= 0", file,
                            it->name, i);
        it->entry.dims[i] = json_integer_value(d);
    }
    return LN_OK;
}

static ln_status read_offsets(ln__st_item *it, const json_t *pair, size_t buffer, const char *file)
{
    const json_t *b = json_array_get(pair, 0), *e = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(b) || !json_is_integer(e))
        return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': data_offsets must be two whole numbers", file,
                        it->name);
    const long long begin = json_integer_value(b), end = json_integer_value(e);
    if (begin < 0 || end < begin)
        return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': data_offsets [%lld, %lld) are not a range", file,
                        it->name, begin, end);
    if ((unsigned long long)end > buffer)
        return ln__fail(LN_ERR_FORMAT,
                        "%s: tensor '" LN_NAME_FMT "': data_offsets [%lld, %lld) end beyond the %zu bytes of data "
                        "(truncated file?)",
                        file, it->name, begin, end, buffer);
    it->begin = (size_t)begin;
    it->end = (size_t)end;
    return LN_OK;
}

static ln_status check_size(ln__st_item *it, const char *file)
{
    char shape[LN_SHAPE_TEXT];
    const ln__entry *e = &it->entry;
    size_t need = 0;
    ln__shape_text(shape, sizeof shape, e->ndim, e->dims);
    if (!ln__shape_bytes(&need, e->dtype, e->ndim, e->dims))
        return ln__fail(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': shape %s overflows 64 bits", file, it->name,
                        shape);
    if (it->end - it->begin != need)
        return ln__fail(LN_ERR_FORMAT,
                        "%s: tensor '" LN_NAME_FMT "': data_offsets [%zu, %zu) hold %zu bytes, %s %s needs %zu", file,
                        it->name, it->begin, it->end, it->end - it->begin, ln__st_dtype_name(e->dtype), shape, need);
    it->entry.bytes = need;
    return LN_OK;
}

static ln_status read_item(ln__st_item *it, const json_t *value, size_t buffer, const char *file)
{
    ln_status st = LN_OK;
    const char *key = NULL;
    json_t *member = NULL;
    if (!ln__name_ok(it->name, strlen(it->name)))
        LN_FAIL(LN_ERR_FORMAT, "%s: the header names a tensor with control characters", file);
    if (!json_is_object(value))
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': its description is not an object", file, it->name);
    json_object_foreach((json_t *)value, key, member) if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 &&
                                                          strcmp(key, "data_offsets") != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: tensor '" LN_NAME_FMT "': unknown field '%.40s'", file, it->name,
                ln__name_ok(key, strlen(key)) ? key : "?");
    LN_TRY(read_dtype(it, json_object_get(value, "dtype"), file));
    LN_TRY(read_shape(it, json_object_get(value, "shape"), file));
    LN_TRY(read_offsets(it, json_object_get(value, "data_offsets"), buffer, file));
    LN_TRY(check_size(it, file));
done:
    return st;
}

static int by_position(const void *x, const void *y)
{
    const ln__st_item *a = x, *b = y;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return strcmp(a->name, b->name); /* empty tensors at the same place */
}

static ln_status check_tiling(const ln__st_header *h, size_t buffer, const char *file)
{
    size_t at = 0;
    for (int64_t i = 0; i < h->n; i++) {
        const ln__st_item *it = &h->items[i];
        if (it->begin < at)
            return ln__fail(LN_ERR_FORMAT,
                            "%s: tensors '" LN_NAME_FMT "' [%zu, %zu) and '" LN_NAME_FMT "' [%zu, %zu) overlap", file,
                            it[-1].name, it[-1].begin, it[-1].end, it->name, it->begin, it->end);
        if (it->begin > at)
            return ln__fail(LN_ERR_FORMAT,
                            "%s: a hole: bytes [%zu, %zu) before tensor '" LN_NAME_FMT "' belong to no tensor", file,
                            at, it->begin, it->name);
        at = it->end;
    }
    if (at != buffer)
        return ln__fail(LN_ERR_FORMAT, "%s: %zu bytes of data, but the tensors end at %zu", file, buffer, at);
    return LN_OK;
}

static ln_status header_bounds(size_t *n, size_t *used, const unsigned char *data, size_t bytes, const char *file)
{
    if (bytes < 8)
        return ln__fail(LN_ERR_FORMAT, "%s: truncated: %zu bytes, a safetensors file begins with an 8-byte length",
                        file, bytes);
    const uint64_t len = ln__le64(data);
    if (len > LN_SAFETENSORS_MAX_HEADER || len < 2)
        return ln__fail(LN_ERR_FORMAT, "%s: header length %llu is outside [2, %d]: not a safetensors file?", file,
                        (unsigned long long)len, LN_SAFETENSORS_MAX_HEADER);
    if (len > bytes - 8)
        return ln__fail(LN_ERR_FORMAT, "%s: truncated: the header needs %llu bytes, the file has %zu after its length",
                        file, (unsigned long long)len, bytes - 8);
    if (data[8] != '{')
        return ln__fail(LN_ERR_FORMAT, "%s: the header begins with byte 0x%02x, expected '{'", file, data[8]);
    *n = *used = (size_t)len;
    while (*used > 0 && data[8 + *used - 1] == ' ')
        --*used;
    if (data[8 + *used - 1] != '}')
        return ln__fail(LN_ERR_FORMAT, "%s: the header ends with byte 0x%02x, expected '}' and spaces", file,
                        data[8 + *used - 1]);
    return LN_OK;
}

ln_status ln__st_parse(ln__st_header *h, const unsigned char *data, size_t bytes, const char *file)
{
    ln_status st = LN_OK;
    const char *name = NULL;
    json_t *value = NULL;
    size_t len = 0, used = 0;
    LN_TRY(header_bounds(&len, &used, data, bytes, file));
    LN_TRY(ln__json_parse(&h->json, (const char *)data + 8, used, file));
    const size_t buffer = bytes - 8 - len;
    LN_TRY(LN_NEW0(&h->items, json_object_size(h->json) + 1));
    json_object_foreach(h->json, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        ln__st_item *it = &h->items[h->n++];
        it->name = name;
        LN_TRY(read_item(it, value, buffer, file));
        it->entry.data = data + 8 + len + it->begin;
    }
    qsort(h->items, (size_t)h->n, sizeof *h->items, by_position);
    LN_TRY(check_tiling(h, buffer, file));
done:
    return st;
}

void ln__st_free(ln__st_header *h)
{
    json_decref(h->json);
    ln__free(h->items);
    *h = (ln__st_header){ 0 };
}

ln_status ln__st_meta(ln_archive *a, const ln__st_header *h, const char *file)
{
    ln_status st = LN_OK;
    const char *key = NULL;
    json_t *value = NULL, *meta = json_object_get(h->json, "__metadata__");
    if (!meta)
        return LN_OK;
    if (!json_is_object(meta))
        LN_FAIL(LN_ERR_FORMAT, "%s: __metadata__ is not an object", file);
    json_object_foreach(meta, key, value)
    {
        if (!json_is_string(value))
            LN_FAIL(LN_ERR_FORMAT, "%s: __metadata__ holds a value that is not a string", file);
        LN_TRY(ln__archive_add_meta(a, file, key, strlen(key), json_string_value(value), json_string_length(value)));
    }
done:
    return st;
}

ln_status ln__safetensors_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file)
{
    ln_status st = LN_OK;
    ln__st_header h = { 0 };
    a->format = LN_FORMAT_SAFETENSORS;
    LN_TRY(ln__st_parse(&h, data, bytes, file));
    LN_TRY(ln__st_meta(a, &h, file));
    for (int64_t i = 0; i < h.n; i++)
        LN_TRY(ln__archive_add(a, file, h.items[i].name, strlen(h.items[i].name), &h.items[i].entry));
done:
    ln__st_free(&h);
    return st;
}
