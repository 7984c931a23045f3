/* gz.c - reading plain and gzip files alike. The file is mapped; inflating needs a window and no more memory.
 * Pitfall: gzip files may be several members one after the other, and tar pads with zeros behind the last. */
#include "io/gz.h"

#include <limits.h>
#include <string.h>

#include "core/file.h"

struct ln__stream {
    ln__map *map; /* NULL: the caller's bytes */
    char *name;
    const unsigned char *data;
    size_t bytes, at;
    bool gzip, ended;
    z_stream z;
};

static voidpf zlib_alloc(voidpf opaque, uInt count, uInt size)
{
    void *p = NULL;
    (void)opaque;
    return ln__alloc(&p, count, size) == LN_OK ? p : Z_NULL;
}

static void zlib_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    ln__free(p);
}

void ln__zlib_memory(z_stream *z)
{
    z->zalloc = zlib_alloc;
    z->zfree = zlib_free;
    z->opaque = NULL;
}

static ln_status stream_new(ln__stream **out, const char *name)
{
    ln_status st = LN_OK;
    ln__stream *s = NULL;
    LN_TRY(LN_NEW0(&s, 1));
    LN_TRY(ln__strdup(&s->name, name));
    *out = s;
    s = NULL;
done:
    ln__free(s);
    return st;
}

static ln_status begin(ln__stream *s)
{
    enum { GZIP_WINDOW = 15 + 16 };
    if (s->bytes < 2 || s->data[0] != 0x1f || s->data[1] != 0x8b)
        return LN_OK;
    ln__zlib_memory(&s->z);
    const int rc = inflateInit2(&s->z, GZIP_WINDOW);
    if (rc != Z_OK)
        return rc == Z_MEM_ERROR ? LN_ERR_NOMEM : ln__fail(LN_ERR_UNSUPPORTED, "%s: zlib does not start", s->name);
    s->gzip = true;
    return LN_OK;
}

ln_status ln__stream_open(ln__stream **out, const char *path)
{
    ln_status st = LN_OK;
    ln__stream *s = NULL;
    LN_TRY(stream_new(&s, path));
    LN_TRY(ln__map_open(&s->map, path));
    s->data = ln__map_data(s->map);
    s->bytes = ln__map_bytes(s->map);
    LN_TRY(begin(s));
    *out = s;
    s = NULL;
done:
    ln__stream_free(s);
    return st;
}

ln_status ln__stream_from_memory(ln__stream **out, const void *data, size_t bytes, const char *name)
{
    ln_status st = LN_OK;
    ln__stream *s = NULL;
    LN_TRY(stream_new(&s, name));
    s->data = data;
    s->bytes = bytes;
    LN_TRY(begin(s));
    *out = s;
    s = NULL;
done:
    ln__stream_free(s);
    return st;
}

const char *ln__stream_name(const ln__stream *s)
{
    return s->name;
}

void ln__stream_free(ln__stream *s)
{
    if (!s)
        return;
    if (s->gzip)
        inflateEnd(&s->z);
    ln__map_release(s->map);
    ln__free(s->name);
    ln__free(s);
}

/* Behind a member: another one, zeros, or nothing. */
static ln_status next_member(ln__stream *s)
{
    size_t zeros = s->at;
    while (zeros < s->bytes && s->data[zeros] == 0)
        zeros++;
    if (zeros == s->bytes) {
        s->ended = true;
        return LN_OK;
    }
    if (s->bytes - s->at < 2 || s->data[s->at] != 0x1f || s->data[s->at + 1] != 0x8b)
        return ln__fail(LN_ERR_FORMAT, "%s: %zu bytes after the end of the gzip data", s->name, s->bytes - s->at);
    return inflateReset(&s->z) == Z_OK ? LN_OK : ln__fail(LN_ERR_FORMAT, "%s: zlib does not restart", s->name);
}

static ln_status inflate_some(ln__stream *s, void *buf, size_t cap, size_t *got)
{
    *got = 0;
    while (*got == 0 && !s->ended) {
        const uInt in = (uInt)LN_MIN(s->bytes - s->at, (size_t)1 << 20);
        s->z.next_in = (Bytef *)(uintptr_t)(s->data + s->at);
        s->z.avail_in = in;
        s->z.next_out = buf;
        s->z.avail_out = (uInt)LN_MIN(cap, (size_t)1 << 30);
        const uInt room = s->z.avail_out;
        const int rc = inflate(&s->z, Z_NO_FLUSH);
        s->at += in - s->z.avail_in;
        *got = room - s->z.avail_out;
        if (rc == Z_MEM_ERROR)
            return LN_ERR_NOMEM;
        if (rc == Z_BUF_ERROR || (rc == Z_OK && *got == 0 && s->at == s->bytes))
            return ln__fail(LN_ERR_FORMAT, "%s: truncated: the gzip data end early", s->name);
        if (rc != Z_OK && rc != Z_STREAM_END)
            return ln__fail(LN_ERR_FORMAT, "%s: corrupt gzip data near byte %zu: %s", s->name, s->at,
                            s->z.msg ? s->z.msg : "not deflate data");
        if (rc == Z_STREAM_END) {
            const ln_status st = next_member(s);
            if (st != LN_OK)
                return st;
        }
    }
    return LN_OK;
}

ln_status ln__stream_read(ln__stream *s, void *buf, size_t cap, size_t *got)
{
    if (s->gzip)
        return inflate_some(s, buf, cap, got);
    *got = LN_MIN(cap, s->bytes - s->at);
    if (*got)
        memcpy(buf, s->data + s->at, *got);
    s->at += *got;
    return LN_OK;
}

ln_status ln__gz_read(char **data, size_t *bytes, const char *path, size_t most)
{
    ln_status st = LN_OK;
    ln__stream *s = NULL;
    char *text = NULL;
    size_t len = 0, cap = 0, got = 0;
    LN_TRY(ln__stream_open(&s, path));
    cap = s->gzip ? LN_MAX((size_t)4096, LN_MIN(s->bytes, (size_t)1 << 28) * 4) : s->bytes + 2;
    do {
        if (len + 1 >= cap)
            cap = cap * 2 + 2;
        cap = LN_MIN(cap, LN_MIN(most, SIZE_MAX - 2) + 2); /* one byte more than allowed tells that there is more */
        LN_TRY(ln__realloc((void **)&text, cap, 1));
        LN_TRY(ln__stream_read(s, text + len, cap - len - 1, &got));
        len += got;
        if (len > most)
            LN_FAIL(LN_ERR_FORMAT, "%s: holds more than %zu bytes", path, most);
    } while (got > 0);
    text[len] = '\0';
    *data = text;
    *bytes = len;
    text = NULL;
done:
    ln__free(text);
    ln__stream_free(s);
    return st;
}
