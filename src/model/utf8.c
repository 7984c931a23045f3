/* utf8.c - well-formed UTF-8 after table 3-7 of the Unicode standard: which second bytes a first byte allows. */
#include "model/utf8.h"

/* Length of the character at s: > 0 complete; 0 well-formed so far but cut off by the end; < 0 damaged, -bytes of the
 * maximal damaged part. */
static int character(const unsigned char *s, size_t n)
{
    unsigned low = 0x80, high = 0xbf;
    int length;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return -1;
    length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= n)
            return 0;
        if (s[i] < low || s[i] > high)
            return -i;
        low = 0x80, high = 0xbf;
    }
    return length;
}

ln_status ln__utf8_clean(ln__buf *out, size_t *used, const char *bytes, size_t n, bool end)
{
    size_t i = 0;
    ln_status st = LN_OK;
    while (i < n) {
        const int length = character((const unsigned char *)bytes + i, n - i);
        if (length == 0 && !end)
            break;
        if (length > 0)
            LN_TRY(ln__buf_add(out, bytes + i, (size_t)length));
        else
            LN_TRY(ln__buf_add(out, "\xef\xbf\xbd", 3));
        i += length > 0 ? (size_t)length : length < 0 ? (size_t)-length : n - i;
    }
    *used = i;
done:
    return st;
}

int64_t ln__utf8_count(const char *bytes, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; count++) {
        const int length = character((const unsigned char *)bytes + i, n - i);
        i += length > 0 ? (size_t)length : length < 0 ? (size_t)-length : n - i;
    }
    return count;
}
