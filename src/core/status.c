/* status.c - status codes and the one-line, thread-local message of the last failing call.
 *
 * The message is formatted into a second buffer first, because its arguments may point into the old message, and
 * everything that would break the line (names from files may hold newlines or escapes) is replaced by '?'. Nothing
 * here allocates, so running out of memory can always be told. */
#include "core/core.h"

#include <stdarg.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];

static const struct {
    const char *name;
    int exit_code;
} statuses[] = {
    { "LN_OK", 0 },           { "LN_ERR_ARG", 2 },       { "LN_ERR_SHAPE", 3 },       { "LN_ERR_DTYPE", 3 },
    { "LN_ERR_RANGE", 2 },    { "LN_ERR_NOMEM", 4 },     { "LN_ERR_IO", 4 },          { "LN_ERR_FORMAT", 3 },
    { "LN_ERR_NUMERIC", 3 },  { "LN_ERR_NOTFITTED", 2 }, { "LN_ERR_UNSUPPORTED", 3 }, { "LN_ERR_CANCELLED", 130 },
    { "LN_ERR_NOTFOUND", 3 }, { "LN_ERR_EXISTS", 2 },    { "LN_ERR_RELATION", 1 },
};

static int status_index(ln_status st)
{
    const int i = -(int)st;
    return i >= 0 && i < (int)LN_COUNT(statuses) ? i : -1;
}

const char *ln_version(void)
{
    return LN_VERSION;
}

const char *ln_status_name(ln_status st)
{
    const int i = status_index(st);
    return i < 0 ? "unknown status" : statuses[i].name;
}

int ln_status_exit_code(ln_status st)
{
    const int i = status_index(st);
    return i < 0 ? 4 : statuses[i].exit_code;
}

const char *ln_last_error(void)
{
    return message;
}

/* Cuts at a UTF-8 boundary and marks the cut. */
static void mark_cut(char *text, size_t bytes)
{
    size_t end = bytes - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    memcpy(text + end, "...", 4);
}

static void keep_to_one_line(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7F)
            *p = '?';
}

static void set_message(const char *fmt, va_list args, const char *tail)
{
    char text[MESSAGE_BYTES];
    int len = ln__vformat(text, sizeof text, fmt, args);
    if (len < 0)
        len = snprintf(text, sizeof text, "(a message that could not be formatted)");
    if (tail && (size_t)len < sizeof text)
        len += snprintf(text + len, sizeof text - (size_t)len, ": %s", tail);
    if ((size_t)len >= sizeof text)
        mark_cut(text, sizeof text);
    keep_to_one_line(text);
    memcpy(message, text, sizeof message);
}

ln_status(ln__fail)(ln_status code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_message(fmt, args, NULL);
    va_end(args);
    return code;
}

ln_status(ln__fail_in)(ln_status code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_message(fmt, args, message);
    va_end(args);
    return code;
}
