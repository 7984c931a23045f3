/* lines.c - line by line over a stream, with one buffer as long as the longest line. */
#include "io/lines.h"

#include <string.h>

#include "io/gz.h"

enum { FIRST_BUFFER = 1 << 16 };

struct ln__lines {
    ln__stream *stream;
    char *buf;
    size_t cap, begin, end; /* what is read and not yet handed out */
    size_t scanned;         /* of it, how much is known to hold no line end */
    int64_t number;
    bool ended;
};

static ln_status lines_new(ln__lines **out, ln__stream *stream)
{
    ln_status st = LN_OK;
    ln__lines *l = NULL;
    LN_TRY(LN_NEW0(&l, 1));
    LN_TRY(LN_NEW(&l->buf, FIRST_BUFFER));
    l->cap = FIRST_BUFFER;
    l->stream = stream;
    *out = l;
    l = NULL;
done:
    ln__free(l);
    if (st != LN_OK)
        ln__stream_free(stream);
    return st;
}

ln_status ln__lines_open(ln__lines **out, const char *path)
{
    ln__stream *stream = NULL;
    const ln_status st = ln__stream_open(&stream, path);
    return st == LN_OK ? lines_new(out, stream) : st;
}

ln_status ln__lines_from_memory(ln__lines **out, const void *data, size_t bytes, const char *name)
{
    ln__stream *stream = NULL;
    const ln_status st = ln__stream_from_memory(&stream, data, bytes, name);
    return st == LN_OK ? lines_new(out, stream) : st;
}

void ln__lines_free(ln__lines *l)
{
    if (!l)
        return;
    ln__stream_free(l->stream);
    ln__free(l->buf);
    ln__free(l);
}

/* More bytes behind those that are there; one byte of the buffer stays free for a NUL. */
static ln_status refill(ln__lines *l)
{
    ln_status st = LN_OK;
    size_t got = 0;
    if (l->begin > 0) {
        memmove(l->buf, l->buf + l->begin, l->end - l->begin);
        l->end -= l->begin;
        l->begin = 0;
    }
    if (l->end > LN_LINE_MAX)
        LN_FAIL(LN_ERR_FORMAT, "%s: line %lld is longer than %d bytes", ln__stream_name(l->stream),
                (long long)l->number + 1, LN_LINE_MAX);
    if (l->end + 1 >= l->cap) {
        const size_t cap = LN_MIN(l->cap * 2, (size_t)LN_LINE_MAX + 2);
        LN_TRY(ln__realloc((void **)&l->buf, cap, 1));
        l->cap = cap;
    }
    LN_TRY(ln__stream_read(l->stream, l->buf + l->end, l->cap - l->end - 1, &got));
    l->end += got;
    l->ended = got == 0;
done:
    return st;
}

ln_status ln__lines_next(ln__lines *l, const char **line, size_t *len)
{
    ln_status st = LN_OK;
    char *stop = NULL;
    for (;;) {
        const size_t from = l->begin + l->scanned;
        stop = l->end > from ? memchr(l->buf + from, '\n', l->end - from) : NULL;
        if (stop || l->ended)
            break;
        l->scanned = l->end - l->begin;
        LN_TRY(refill(l));
    }
    l->scanned = 0;
    if (!stop && l->begin == l->end) {
        *line = NULL;
        if (len)
            *len = 0;
        goto done;
    }
    char *start = l->buf + l->begin;
    size_t n = (stop ? stop : l->buf + l->end) - start;
    l->begin += n + (stop != NULL);
    if (n > 0 && start[n - 1] == '\r')
        n--;
    if (l->number++ == 0 && n >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
        start += 3;
        n -= 3;
    }
    start[n] = '\0';
    *line = start;
    if (len)
        *len = n;
done:
    return st;
}

int64_t ln__lines_number(const ln__lines *l)
{
    return l->number;
}

const char *ln__lines_name(const ln__lines *l)
{
    return ln__stream_name(l->stream);
}
