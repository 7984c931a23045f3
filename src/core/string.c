/* string.c - strings on counted memory and the growing byte string. Formatting does not follow the host's locale. */
#include "core/core.h"

#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int ln__vformat(char *buf, size_t n, const char *fmt, va_list args)
{
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const locale_t old = c ? uselocale(c) : (locale_t)0;
    const int len = vsnprintf(buf, n, fmt, args);
    if (c) {
        uselocale(old);
        freelocale(c);
    }
    return len;
}

int ln__format(char *buf, size_t n, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = ln__vformat(buf, n, fmt, args);
    va_end(args);
    return len;
}

double ln__strtod(const char *text, char **end)
{
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return strtod(text, end);
    const double x = strtod_l(text, end, c);
    freelocale(c);
    return x;
}

ln_status ln__strndup(char **out, const char *s, size_t n)
{
    char *copy = NULL;
    if (n == SIZE_MAX)
        return ln__fail(LN_ERR_NOMEM, "a string of %zu bytes is more than memory can address", n);
    const ln_status st = ln__alloc((void **)&copy, n + 1, 1);
    if (st != LN_OK)
        return st;
    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    *out = copy;
    return LN_OK;
}

ln_status ln__strdup(char **out, const char *s)
{
    return ln__strndup(out, s, strlen(s));
}

/* Room for `more` bytes and a NUL; grows by doubling so that appending is linear over all. */
static ln_status make_room(ln__buf *b, size_t more)
{
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need) || need > (size_t)PTRDIFF_MAX - 1)
        return ln__fail(LN_ERR_NOMEM, "a text of %zu + %zu bytes is more than memory can address", b->len, more);
    if (b->data && need + 1 <= b->cap)
        return LN_OK;
    size_t cap = b->cap < 120 ? 120 : b->cap;
    while (cap < need + 1)
        cap = cap > (size_t)PTRDIFF_MAX / 2 ? need + 1 : cap * 2;
    const ln_status st = ln__realloc((void **)&b->data, cap, 1);
    if (st != LN_OK)
        return st;
    b->cap = cap;
    b->data[b->len] = '\0';
    return LN_OK;
}

ln_status ln__buf_add(ln__buf *b, const void *bytes, size_t n)
{
    const ln_status st = make_room(b, n);
    if (st != LN_OK)
        return st;
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
    return LN_OK;
}

ln_status ln__buf_puts(ln__buf *b, const char *s)
{
    return ln__buf_add(b, s, strlen(s));
}

static ln_status buf_vprintf(ln__buf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int len = ln__vformat(NULL, 0, fmt, args);
    ln_status st = len < 0 ? ln__fail(LN_ERR_ARG, "a text could not be formatted") : make_room(b, (size_t)len);
    if (st == LN_OK) {
        ln__vformat(b->data + b->len, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
    }
    va_end(again);
    return st;
}

ln_status ln__buf_printf(ln__buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const ln_status st = buf_vprintf(b, fmt, args);
    va_end(args);
    return st;
}

void ln__buf_free(ln__buf *b)
{
    ln__free(b->data);
    *b = (ln__buf){ 0 };
}

ln_status ln__sprintf(char **out, const char *fmt, ...)
{
    ln__buf b = { 0 };
    va_list args;
    va_start(args, fmt);
    const ln_status st = buf_vprintf(&b, fmt, args);
    va_end(args);
    if (st == LN_OK)
        *out = b.data;
    else
        ln__buf_free(&b);
    return st;
}
