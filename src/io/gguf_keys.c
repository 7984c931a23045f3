/* gguf_keys.c - typed access to the keys of an open GGUF file, in place. */
#include <string.h>

#include "io/gguf_internal.h"

/* NULL, and why in *st, when there is no such key. */
static const ln__gguf_value *find(ln_status *st, const ln_archive *a, const char *key)
{
    *st = LN_OK;
    const int64_t i = a->gguf ? ln__names_find(&a->keys, key, strlen(key)) : -1;
    if (i >= 0)
        return &a->gguf->values[i];
    *st = a->gguf ? ln__fail(LN_ERR_NOTFOUND, "%s: no key '" LN_NAME_FMT "'", a->path, key)
                  : ln__fail(LN_ERR_ARG, "%s: not a GGUF file, it has no key '" LN_NAME_FMT "'", a->path, key);
    return NULL;
}

static ln_status wrong_type(const ln_archive *a, const char *key, const char *want, const ln__gguf_value *v)
{
    if (v->type == LN_GGUF_ARRAY)
        return ln__fail(LN_ERR_FORMAT, "%s: key '" LN_NAME_FMT "': expected %s, found an array of %s", a->path, key,
                        want, ln__gguf_type_name(v->elem));
    return ln__fail(LN_ERR_FORMAT, "%s: key '" LN_NAME_FMT "': expected %s, found %s", a->path, key, want,
                    ln__gguf_type_name(v->type));
}

/* false: not an integer type, or (u64) beyond int64_t. */
static bool integer_at(int64_t *out, ln__gguf_type type, const unsigned char *p)
{
    switch (type) {
    case LN_GGUF_U8:
    case LN_GGUF_BOOL:
        *out = *p;
        return true;
    case LN_GGUF_I8:
        *out = *p < 128 ? *p : *p - 256;
        return true;
    case LN_GGUF_U16:
        *out = ln__le16(p);
        return true;
    case LN_GGUF_I16:
        *out = (int16_t)ln__le16(p);
        return true;
    case LN_GGUF_U32:
        *out = ln__le32(p);
        return true;
    case LN_GGUF_I32:
        *out = (int32_t)ln__le32(p);
        return true;
    case LN_GGUF_U64:
    case LN_GGUF_I64:
        *out = (int64_t)ln__le64(p);
        return type == LN_GGUF_I64 || *out >= 0;
    default:
        return false;
    }
}

static bool real_at(double *out, ln__gguf_type type, const unsigned char *p)
{
    float f;
    if (type == LN_GGUF_F32) {
        memcpy(&f, p, sizeof f);
        *out = f;
        return true;
    }
    if (type == LN_GGUF_F64)
        memcpy(out, p, sizeof *out);
    return type == LN_GGUF_F64;
}

static const unsigned char *string_at(ln__gguf_string *out, const unsigned char *p)
{
    out->len = ln__le64(p);
    out->data = (const char *)p + 8;
    return p + 8 + out->len;
}

ln_status ln__gguf_int(int64_t *out, const ln_archive *a, const char *key)
{
    ln_status st;
    int64_t n = 0;
    const ln__gguf_value *v = find(&st, a, key);
    if (!v)
        return st;
    if (!integer_at(&n, v->type, v->at))
        return v->type == LN_GGUF_U64 ? ln__fail(LN_ERR_FORMAT, "%s: key '" LN_NAME_FMT "': %llu is too large", a->path,
                                                 key, (unsigned long long)ln__le64(v->at))
                                      : wrong_type(a, key, "an integer", v);
    *out = n;
    return LN_OK;
}

ln_status ln__gguf_real(double *out, const ln_archive *a, const char *key)
{
    ln_status st;
    const ln__gguf_value *v = find(&st, a, key);
    if (!v)
        return st;
    return real_at(out, v->type, v->at) ? LN_OK : wrong_type(a, key, "f32 or f64", v);
}

/* ---- arrays ---- */

/* The array of that name, NULL and why in *st when there is none. */
static const ln__gguf_value *find_array(ln_status *st, const ln_archive *a, const char *key)
{
    const ln__gguf_value *v = find(st, a, key);
    if (!v || v->type == LN_GGUF_ARRAY)
        return v;
    *st = wrong_type(a, key, "an array", v);
    return NULL;
}

/* The same, and it has an element i. */
static const ln__gguf_value *find_element(ln_status *st, const ln_archive *a, const char *key, int64_t i)
{
    const ln__gguf_value *v = find_array(st, a, key);
    if (!v || (i >= 0 && (uint64_t)i < v->n))
        return v;
    *st = ln__fail(LN_ERR_ARG, "%s: key '" LN_NAME_FMT "' has %llu elements, not one of index %lld", a->path, key,
                   (unsigned long long)v->n, (long long)i);
    return NULL;
}

ln_status ln__gguf_array_len(int64_t *n, ln__gguf_type *elem, const ln_archive *a, const char *key)
{
    ln_status st;
    const ln__gguf_value *v = find_array(&st, a, key);
    if (!v)
        return st;
    *n = (int64_t)v->n;
    if (elem)
        *elem = v->elem;
    return LN_OK;
}

ln_status ln__gguf_array_string(ln__gguf_string *out, const ln_archive *a, const char *key, int64_t i)
{
    ln_status st;
    const ln__gguf_value *v = find_element(&st, a, key, i);
    if (!v)
        return st;
    if (v->elem != LN_GGUF_STRING)
        return wrong_type(a, key, "an array of strings", v);
    const unsigned char *p = v->marks[i / LN_GGUF_MARK_EVERY];
    for (int64_t k = i % LN_GGUF_MARK_EVERY; k >= 0; k--)
        p = string_at(out, p);
    return LN_OK;
}

ln_status ln__gguf_array_strings(ln__gguf_string **out, int64_t *n, const ln_archive *a, const char *key)
{
    ln_status st;
    ln__gguf_string *list = NULL;
    const ln__gguf_value *v = find_array(&st, a, key);
    if (!v)
        return st;
    if (v->elem != LN_GGUF_STRING)
        return wrong_type(a, key, "an array of strings", v);
    LN_TRY(LN_NEW(&list, v->n));
    const unsigned char *p = v->at;
    for (uint64_t i = 0; i < v->n; i++)
        p = string_at(&list[i], p);
    *out = list;
    *n = (int64_t)v->n;
done:
    return st;
}

ln_status ln__gguf_array_int(int64_t *out, const ln_archive *a, const char *key, int64_t i)
{
    ln_status st;
    int64_t n = 0;
    const ln__gguf_value *v = find_element(&st, a, key, i);
    if (!v)
        return st;
    if (!integer_at(&n, v->elem, v->at + (size_t)i * ln__gguf_type_bytes(v->elem)))
        return wrong_type(a, key, "an array of integers within 63 bits", v);
    *out = n;
    return LN_OK;
}

ln_status ln__gguf_array_real(double *out, const ln_archive *a, const char *key, int64_t i)
{
    ln_status st;
    const ln__gguf_value *v = find_element(&st, a, key, i);
    if (!v)
        return st;
    return real_at(out, v->elem, v->at + (size_t)i * ln__gguf_type_bytes(v->elem))
               ? LN_OK
               : wrong_type(a, key, "an array of f32 or f64", v);
}

int64_t ln__gguf_version(const ln_archive *a)
{
    return a->gguf ? a->gguf->version : 0;
}

/* ---- text ---- */

/* A string on one line: line breaks and other controls as escapes, cut at 60 bytes (never inside a character). */
static ln_status put_quoted(ln__buf *b, ln__gguf_string s)
{
    ln_status st = LN_OK;
    uint64_t end = LN_MIN(s.len, (uint64_t)60);
    while (end < s.len && end > 0 && ((unsigned char)s.data[end] & 0xc0) == 0x80)
        end--;
    LN_TRY(ln__buf_puts(b, "\""));
    for (uint64_t i = 0; i < end; i++) {
        const unsigned char ch = (unsigned char)s.data[i];
        if (ch == '\n')
            LN_TRY(ln__buf_puts(b, "\\n"));
        else if (ch < 0x20 || ch == 0x7f)
            LN_TRY(ln__buf_printf(b, "\\x%02x", ch));
        else
            LN_TRY(ln__buf_add(b, &ch, 1));
    }
    LN_TRY(end < s.len ? ln__buf_printf(b, "\"… (%llu bytes)", (unsigned long long)s.len) : ln__buf_puts(b, "\""));
done:
    return st;
}

static ln_status put_value(ln__buf *b, ln__gguf_type type, const unsigned char *p)
{
    int64_t i = 0;
    double x = 0;
    ln__gguf_string s;
    if (type == LN_GGUF_BOOL)
        return ln__buf_puts(b, *p ? "true" : "false");
    if (type == LN_GGUF_U64)
        return ln__buf_printf(b, "%llu", (unsigned long long)ln__le64(p));
    if (integer_at(&i, type, p))
        return ln__buf_printf(b, "%lld", (long long)i);
    if (real_at(&x, type, p))
        return ln__buf_printf(b, "%.*g", type == LN_GGUF_F32 ? 9 : 17, x);
    string_at(&s, p);
    return put_quoted(b, s);
}

ln_status ln__gguf_describe(char **out, const ln_archive *a, const char *key)
{
    enum { SHOWN = 8 };
    ln_status st;
    ln__buf b = { 0 };
    const ln__gguf_value *v = find(&st, a, key);
    if (!v)
        return st;
    if (v->type != LN_GGUF_ARRAY) {
        LN_TRY(ln__buf_printf(&b, "%s ", ln__gguf_type_name(v->type)));
        LN_TRY(put_value(&b, v->type, v->at));
    } else if (v->n > SHOWN || v->elem == LN_GGUF_ARRAY) {
        LN_TRY(ln__buf_printf(&b, "[%llu %s%s]", (unsigned long long)v->n, ln__gguf_type_name(v->elem),
                              v->elem == LN_GGUF_STRING || v->elem == LN_GGUF_ARRAY ? "s" : ""));
    } else {
        const unsigned char *p = v->at;
        LN_TRY(ln__buf_printf(&b, "%s [", ln__gguf_type_name(v->elem)));
        for (uint64_t i = 0; i < v->n; i++) {
            ln__gguf_string s;
            LN_TRY(ln__buf_puts(&b, i ? ", " : ""));
            LN_TRY(put_value(&b, v->elem, p));
            p = v->elem == LN_GGUF_STRING ? string_at(&s, p) : p + ln__gguf_type_bytes(v->elem);
        }
        LN_TRY(ln__buf_puts(&b, "]"));
    }
    *out = b.data;
    b.data = NULL;
done:
    ln__buf_free(&b);
    return st;
}
