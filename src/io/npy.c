/* npy.c - one NumPy array: "\x93NUMPY", version, header length, a Python dict as text, elements.
 *
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *
 * The dict is read by its own small grammar, never evaluated. Fortran order becomes strides, not a copy. Texts of n
 * bytes ('|S3') become u8 with one axis more.
 * Format: numpy/lib/format.py (versions 1.0, 2.0, 3.0). */
#include "io/npy.h"

#include <stdlib.h>
#include <string.h>

/* ---- element types ---- */

static const struct type {
    const char *code; /* kind and bytes */
    ln_dtype dtype;
} types[] = {
    { "f4", LN_F32 }, { "f8", LN_F64 }, { "f2", LN_F16 }, { "i1", LN_I8 },  { "i2", LN_I16 }, { "i4", LN_I32 },
    { "i8", LN_I64 }, { "u1", LN_U8 },  { "u2", LN_U16 }, { "u4", LN_U32 }, { "u8", LN_U64 }, { "b1", LN_BOOL },
};

static const char *type_code(ln_dtype dt)
{
    for (int64_t i = 0; i < LN_COUNT(types); i++)
        if (types[i].dtype == dt)
            return types[i].code;
    return NULL;
}

static ln_status read_descr(ln__entry *e, const char *text, size_t len, const char *what)
{
    if (len >= 2 && text[1] == 'O')
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: an array of pickled Python objects is not read", what);
    if (len >= 3 && len < 12 && text[1] == 'S') { /* bytes: an axis of u8 behind the others */
        for (size_t i = 2; i < len; i++) {
            if (text[i] < '0' || text[i] > '9')
                return ln__fail(LN_ERR_FORMAT, "%s: element type '%.*s' is not a length", what, (int)len, text);
            e->letters = e->letters * 10 + (text[i] - '0');
        }
        if (e->letters > 0) {
            e->dtype = LN_U8;
            return LN_OK;
        }
    }
    if (len >= 3 && text[0] == '>' && text[2] != '1')
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: big-endian elements '%.*s', expected little-endian ('<')", what,
                        (int)LN_MIN(len, (size_t)20), text);
    if (len == 3 && strchr("<|=>", text[0]))
        for (int64_t i = 0; i < LN_COUNT(types); i++)
            if (memcmp(types[i].code, text + 1, 2) == 0) {
                e->dtype = types[i].dtype;
                return LN_OK;
            }
    return ln__fail(LN_ERR_UNSUPPORTED, "%s: element type '%.*s' is not supported", what, (int)LN_MIN(len, (size_t)20),
                    text);
}

/* ---- the dict ---- */

typedef struct cursor {
    const char *p, *end;
    const char *what;
} cursor;

static void skip_space(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
        c->p++;
}

static bool take(cursor *c, char ch)
{
    skip_space(c);
    if (c->p == c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static ln_status broken(const cursor *c, const char *want)
{
    return ln__fail(LN_ERR_FORMAT, "%s: npy header: expected %s at byte %lld from its end", c->what, want,
                    (long long)(c->end - c->p));
}

/* A quoted word of printable ASCII without escapes. */
static bool take_word(cursor *c, const char **text, size_t *len)
{
    skip_space(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"'))
        return false;
    const char quote = *c->p, *start = c->p + 1, *q = start;
    while (q < c->end && *q != quote && *q != '\\' && *q >= 0x20 && *q < 0x7f)
        q++;
    if (q == c->end || *q != quote)
        return false;
    *text = start;
    *len = (size_t)(q - start);
    c->p = q + 1;
    return true;
}

static bool take_literal(cursor *c, const char *word)
{
    skip_space(c);
    const size_t n = strlen(word);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return false;
    c->p += n;
    return true;
}

/* A whole number >= 0, with the L that Python 2 wrote after it. */
static bool take_number(cursor *c, int64_t *out)
{
    skip_space(c);
    const char *start = c->p;
    int64_t n = 0;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *c->p - '0', &n))
            return false;
    if (c->p == start)
        return false;
    if (c->p < c->end && *c->p == 'L')
        c->p++;
    *out = n;
    return true;
}

static ln_status take_shape(cursor *c, ln__entry *e)
{
    if (!take(c, '('))
        return broken(c, "'(' of the shape");
    for (e->ndim = 0; !take(c, ')');) {
        int64_t n = 0;
        if (!take_number(c, &n))
            return broken(c, "a dimension");
        if (e->ndim == LN_MAX_DIMS)
            return ln__fail(LN_ERR_UNSUPPORTED, "%s: more than %d dimensions", c->what, LN_MAX_DIMS);
        e->dims[e->ndim++] = n;
        if (!take(c, ',') && (e->ndim == 1 || c->p == c->end || *c->p != ')'))
            return broken(c, "',' or ')' of the shape");
    }
    return LN_OK;
}

enum { DESCR = 1, ORDER = 2, SHAPE = 4 };

static ln_status take_member(cursor *c, ln__entry *e, unsigned *seen)
{
    static const char *const keys[] = { "descr", "fortran_order", "shape" };
    const char *key = NULL, *text = NULL;
    size_t len = 0;
    unsigned which = 0;
    if (!take_word(c, &key, &len) || !take(c, ':'))
        return broken(c, "a key and ':'");
    for (int i = 0; i < 3; i++)
        if (len == strlen(keys[i]) && memcmp(keys[i], key, len) == 0)
            which = 1u << i;
    if (!which || (*seen & which))
        return ln__fail(LN_ERR_FORMAT, "%s: npy header: key '%.*s' is unknown or given twice", c->what,
                        (int)LN_MIN(len, (size_t)40), key);
    *seen |= which;
    if (which == SHAPE)
        return take_shape(c, e);
    if (which == ORDER) {
        e->fortran = take_literal(c, "True");
        return e->fortran || take_literal(c, "False") ? LN_OK : broken(c, "True or False");
    }
    skip_space(c);
    if (c->p < c->end && *c->p == '[')
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: a structured array (records) is not read", c->what);
    return take_word(c, &text, &len) ? read_descr(e, text, len, c->what) : broken(c, "an element type");
}

static ln_status read_dict(ln__entry *e, const char *text, size_t len, const char *what)
{
    ln_status st = LN_OK;
    cursor c = { text, text + len, what };
    unsigned seen = 0;
    if (!take(&c, '{'))
        return broken(&c, "'{'");
    while (!take(&c, '}')) {
        LN_TRY(take_member(&c, e, &seen));
        if (!take(&c, ',') && (c.p == c.end || *c.p != '}'))
            return broken(&c, "',' or '}'");
    }
    skip_space(&c);
    if (c.p != c.end)
        return broken(&c, "nothing after '}'");
    if (seen != (DESCR | ORDER | SHAPE))
        LN_FAIL(LN_ERR_FORMAT, "%s: npy header: descr, fortran_order or shape is missing", what);
    if (e->letters > 0) {
        if (e->ndim == LN_MAX_DIMS || (e->fortran && e->ndim > 0))
            LN_FAIL(LN_ERR_UNSUPPORTED, "%s: an array of texts in this order or of this many axes", what);
        e->dims[e->ndim++] = e->letters;
        e->fortran = false;
    }
done:
    return st;
}

ln_status ln__npy_header(ln__entry *e, size_t *header, const unsigned char *data, size_t bytes, const char *what)
{
    ln_status st = LN_OK;
    char shape[LN_SHAPE_TEXT];
    if (bytes < 10 || memcmp(data, "\x93NUMPY", 6) != 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: bad magic: not an npy array", what);
    if (data[6] < 1 || data[6] > 3 || data[7] != 0)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: npy version %u.%u, expected 1.0, 2.0 or 3.0", what, data[6], data[7]);
    const size_t start = data[6] == 1 ? 10 : 12;
    if (bytes < start)
        LN_FAIL(LN_ERR_FORMAT, "%s: truncated: %zu bytes", what, bytes);
    const size_t len = data[6] == 1 ? ln__le16(data + 8) : ln__le32(data + 8);
    if (len > LN_NPY_MAX_HEADER)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: npy header of %zu bytes, at most %d are read", what, len, LN_NPY_MAX_HEADER);
    if (len > bytes - start)
        LN_FAIL(LN_ERR_FORMAT, "%s: truncated: the npy header needs %zu bytes, there are %zu", what, len,
                bytes - start);
    LN_TRY(read_dict(e, (const char *)data + start, len, what));
    if (!ln__shape_bytes(&e->bytes, e->dtype, e->ndim, e->dims))
        LN_FAIL(LN_ERR_FORMAT, "%s: shape %s overflows 64 bits", what,
                ln__shape_text(shape, sizeof shape, e->ndim, e->dims));
    *header = start + len;
done:
    return st;
}

/* ---- files ---- */

/* The array is called as its file, without directory and ending. */
static ln_status add_as_file(ln_archive *a, const ln__entry *e, const char *file)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file, *dot = strrchr(name, '.');
    const size_t len = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    return ln__name_ok(name, len) ? ln__archive_add(a, file, name, len, e) : ln__archive_add(a, file, "array", 5, e);
}

ln_status ln__npy_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file)
{
    ln_status st = LN_OK;
    ln__entry e = { 0 };
    size_t header = 0;
    char shape[LN_SHAPE_TEXT];
    a->format = LN_FORMAT_NPY;
    LN_TRY(ln__npy_header(&e, &header, data, bytes, file));
    if (e.bytes != bytes - header)
        LN_FAIL(LN_ERR_FORMAT, "%s: %s%zu bytes of elements, %s %s needs %zu", file,
                e.bytes > bytes - header ? "truncated: " : "", bytes - header, ln_dtype_name(e.dtype),
                ln__shape_text(shape, sizeof shape, e.ndim, e.dims), e.bytes);
    e.data = data + header;
    LN_TRY(add_as_file(a, &e, file));
done:
    return st;
}

ln_status ln_npy_save(const char *path, const ln_tensor *t)
{
    ln_status st = LN_OK;
    ln__out *out = NULL;
    ln__buf head = { 0 };
    ln_tensor *dense = NULL;
    if (!path || !t)
        LN_FAIL(LN_ERR_ARG, "ln_npy_save: path and tensor must not be NULL");
    const ln_dtype dt = ln_tensor_dtype(t);
    if (!type_code(dt))
        LN_FAIL(LN_ERR_DTYPE, "%s: npy has no type %s", path, ln_dtype_name(dt));
    LN_TRY(ln__buf_printf(&head, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                          ln_dtype_block_bytes(dt) == 1 ? '|' : '<', type_code(dt)));
    for (int i = 0; i < ln_tensor_ndim(t); i++)
        LN_TRY(ln__buf_printf(&head, i ? ", %lld" : "%lld", (long long)ln_tensor_dim(t, i)));
    LN_TRY(ln__buf_puts(&head, ln_tensor_ndim(t) == 1 ? ",), }" : "), }"));
    const size_t total = (10 + head.len + 1 + 63) / 64 * 64; /* elements begin at a multiple of 64 */
    while (10 + head.len + 1 < total)
        LN_TRY(ln__buf_puts(&head, " "));
    LN_TRY(ln__buf_puts(&head, "\n"));
    const unsigned char magic[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(head.len & 0xff), (unsigned char)(head.len >> 8)
    };
    if (!ln_tensor_contiguous(t)) {
        LN_TRY(ln_tensor_convert(&dense, t, dt));
        t = dense;
    }
    LN_TRY(ln__out_open(&out, path));
    LN_TRY(ln__out_write(out, magic, sizeof magic));
    LN_TRY(ln__out_write(out, head.data, head.len));
    LN_TRY(ln__out_write(out, ln_tensor_cdata(t), ln_tensor_bytes(t)));
    LN_TRY(ln__out_commit(out));
done:
    ln__out_free(out);
    ln__buf_free(&head);
    ln_tensor_release(dense);
    return st;
}
