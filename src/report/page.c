/* page.c - writing HTML: escaping and numbers. Everything that comes from an envelope goes through ln__page_text, so no
 * name, path or model text can become markup. */
#include "report/page.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "core/progress.h"

void ln__page_put(ln__page *p, const char *html)
{
    if (p->st == LN_OK)
        p->st = ln__buf_puts(&p->out, html);
}

void ln__page_putf(ln__page *p, const char *fmt, ...)
{
    char small[512];
    va_list args;
    va_start(args, fmt);
    ln__vformat(small, sizeof small, fmt, args); /* numbers and class names only: they fit */
    va_end(args);
    ln__page_put(p, small);
}

static const char *entity_of(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ? "\xEF\xBF\xBD" : NULL;
    }
}

/* The envelope is valid UTF-8 (the JSON reader saw to it): a cut only has to fall between characters. */
void ln__page_text(ln__page *p, const char *text, size_t bytes, int64_t max)
{
    bool cut = false;
    if (max > 0 && bytes > (size_t)max) {
        bytes = (size_t)max;
        while (bytes > 0 && ((unsigned char)text[bytes] & 0xC0) == 0x80)
            bytes--;
        cut = true;
    }
    size_t from = 0;
    for (size_t i = 0; i < bytes && p->st == LN_OK; i++) {
        const char *entity = entity_of((unsigned char)text[i]);
        if (!entity)
            continue;
        p->st = ln__buf_add(&p->out, text + from, i - from);
        ln__page_put(p, entity);
        from = i + 1;
    }
    if (p->st == LN_OK)
        p->st = ln__buf_add(&p->out, text + from, bytes - from);
    if (cut)
        ln__page_put(p, "…");
}

void ln__page_str(ln__page *p, const char *text)
{
    ln__page_text(p, text, strlen(text), p->budget.chars);
}

void ln__page_label(ln__page *p, const char *key)
{
    enum { LABEL = 80 };
    char label[LABEL + 1];
    if (strpbrk(key, ".:/")) { /* the name of a thing, not of a number: as it is */
        ln__page_put(p, "<code class=\"key\">");
        ln__page_text(p, key, strlen(key), LABEL);
        ln__page_put(p, "</code>");
        return;
    }
    size_t n = strlen(key);
    if (n > LABEL)
        for (n = LABEL; n > 0 && ((unsigned char)key[n] & 0xC0) == 0x80; n--)
            ;
    for (size_t i = 0; i < n; i++)
        label[i] = key[i] == '_' ? ' ' : key[i];
    ln__page_text(p, label, n, 0);
}

bool ln__key_has(const char *key, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = key; at; at = strchr(at, '_') ? strchr(at, '_') + 1 : NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == '_' || at[n] == 0))
            return true;
    return false;
}

/* 134515008 with narrow no-break spaces between the thousands. */
static void grouped(char *buf, size_t n, long long value)
{
    char plain[24];
    ln__format(plain, sizeof plain, "%lld", value);
    const size_t len = strlen(plain), sign = plain[0] == '-';
    size_t o = 0;
    for (size_t i = 0; i < len && o + 5 < n; i++) {
        if (i > sign && (len - i) % 3 == 0 && len - sign > 4) {
            memcpy(buf + o, "\xE2\x80\xAF", 3);
            o += 3;
        }
        buf[o++] = plain[i];
    }
    buf[o] = 0;
}

char *ln__number_text(char *buf, const char *key, const json_t *value)
{
    enum { SIZE = 48 };
    const double v = json_number_value(value);
    const bool rate = ln__key_has(key, "per");
    if (!rate && v >= 1024 && ln__key_has(key, "bytes"))
        return ln__human_bytes(buf, SIZE, v);
    if (!rate && v >= 0 && ln__key_has(key, "seconds"))
        return ln__human_seconds(buf, SIZE, v);
    if (json_is_integer(value))
        grouped(buf, SIZE, json_integer_value(value));
    else if (fabs(v) >= 1e5 && fabs(v) < 1e15)
        grouped(buf, SIZE, llround(v));
    else
        ln__format(buf, SIZE, "%.5g", v);
    return buf;
}

void ln__page_number(ln__page *p, const char *key, const json_t *value)
{
    char text[48];
    ln__number_text(text, key, value);
    if (json_is_integer(value))
        ln__page_putf(p, "<span title=\"%lld\">", (long long)json_integer_value(value));
    else
        ln__page_putf(p, "<span title=\"%.17g\">", json_number_value(value));
    ln__page_put(p, text);
    ln__page_put(p, "</span>");
}

const char *ln__member(const json_t *object, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : fallback;
}
