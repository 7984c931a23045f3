/* csv.c - RFC 4180, read in place: quotes are removed where they stand, so a field is a pointer into the file's text.
 *
 * Fields may be quoted; a quoted field may hold separators, line breaks and doubled quotes. Lines end in LF or CRLF,
 * the last one may lack its end, a UTF-8 mark at the start is dropped. Refused with line and column: a quote inside an
 * unquoted field, text after a closing quote, a quote that never closes, a NUL, a lone carriage return, and a record
 * with another number of fields than the first. */
#include "io/csv.h"

#include <string.h>

#include "io/gz.h"

static const size_t MOST_BYTES = (size_t)1 << 32;

struct ln__csv {
    char *name, *text;
    char *p, *end, *line_start; /* end: of the text, where a NUL stands */
    int64_t line, record_line, width;
    ln__csv_field *fields;
    int64_t n, cap;
    char separator;
};

/* Takes `text` over, also on failure. */
static ln_status csv_new(ln__csv **out, char *text, size_t bytes, const char *name, char separator)
{
    ln_status st = LN_OK;
    ln__csv *c = NULL;
    LN_TRY(LN_NEW0(&c, 1));
    c->text = text;
    text = NULL;
    LN_TRY(ln__strdup(&c->name, name));
    if (separator == '"' || separator == '\n' || separator == '\r' || separator == '\0')
        LN_FAIL(LN_ERR_ARG, "%s: a quote, line end or NUL cannot separate fields", name);
    const size_t mark = bytes >= 3 && memcmp(c->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    c->p = c->line_start = c->text + mark;
    c->end = c->text + bytes;
    c->line = 1;
    c->width = -1;
    c->separator = separator;
    const char *nul = memchr(c->p, '\0', (size_t)(c->end - c->p));
    if (nul)
        LN_FAIL(LN_ERR_FORMAT, "%s: a NUL at byte %lld: not a text file", name, (long long)(nul - c->text));
    *out = c;
    c = NULL;
done:
    ln__free(text);
    ln__csv_free(c);
    return st;
}

ln_status ln__csv_open(ln__csv **out, const char *path, char separator)
{
    char *text = NULL;
    size_t bytes = 0;
    const ln_status st = ln__gz_read(&text, &bytes, path, MOST_BYTES);
    return st == LN_OK ? csv_new(out, text, bytes, path, separator) : st;
}

ln_status ln__csv_from_memory(ln__csv **out, const void *data, size_t bytes, const char *name, char separator)
{
    char *text = NULL;
    const ln_status st = ln__strndup(&text, data, bytes);
    return st == LN_OK ? csv_new(out, text, bytes, name, separator) : st;
}

void ln__csv_free(ln__csv *c)
{
    if (!c)
        return;
    ln__free(c->name);
    ln__free(c->text);
    ln__free(c->fields);
    ln__free(c);
}

static ln_status add_field(ln__csv *c, char *text, size_t len)
{
    if (c->n == c->cap) {
        const int64_t cap = c->cap ? c->cap * 2 : 16;
        const ln_status st = ln__realloc((void **)&c->fields, (size_t)cap, sizeof *c->fields);
        if (st != LN_OK)
            return st;
        c->cap = cap;
    }
    c->fields[c->n++] = (ln__csv_field){ text, len };
    return LN_OK;
}

static ln_status refuse(const ln__csv *c, const char *at, const char *what)
{
    return ln__fail(LN_ERR_FORMAT, "%s: line %lld, column %lld: %s", c->name, (long long)c->line,
                    (long long)(at - c->line_start) + 1, what);
}

/* From behind the opening quote to behind the closing one, moving the text up over doubled quotes. */
static ln_status take_quoted(ln__csv *c, char **text, size_t *len)
{
    char *to = c->p, *from = c->p;
    const int64_t opened = c->line, column = from - c->line_start;
    *text = to;
    for (;; from++) {
        if (from == c->end)
            return ln__fail(LN_ERR_FORMAT, "%s: line %lld, column %lld: a quote that never closes", c->name,
                            (long long)opened, (long long)column);
        if (*from == '"' && *++from != '"')
            break;
        if (*from == '\n') {
            c->line++;
            c->line_start = from + 1;
        }
        *to++ = *from;
    }
    *len = (size_t)(to - *text);
    c->p = from;
    return LN_OK;
}

static ln_status take_plain(ln__csv *c, char **text, size_t *len)
{
    char *p = c->p;
    for (; p < c->end && *p != c->separator && *p != '\n'; p++) {
        if (*p == '"')
            return refuse(c, p, "a quote inside an unquoted field");
        if (*p == '\r') {
            if (p + 1 == c->end || p[1] == '\n')
                break;
            return refuse(c, p, "a carriage return without line feed");
        }
    }
    *text = c->p;
    *len = (size_t)(p - c->p);
    c->p = p;
    return LN_OK;
}

/* One field and what ends it; *more tells whether another follows in this record. */
static ln_status take_field(ln__csv *c, bool *more)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t len = 0;
    if (c->p < c->end && *c->p == '"') {
        c->p++;
        LN_TRY(take_quoted(c, &text, &len));
    } else {
        LN_TRY(take_plain(c, &text, &len));
    }
    *more = c->p < c->end && *c->p == c->separator;
    if (*more) {
        c->p++;
    } else {
        if (c->p < c->end && *c->p == '\r')
            c->p++;
        if (c->p < c->end && *c->p != '\n')
            LN_FAIL(LN_ERR_FORMAT, "%s: line %lld, column %lld: text after a closing quote", c->name,
                    (long long)c->line, (long long)(c->p - c->line_start) + 1);
        if (c->p < c->end) {
            c->line++;
            c->line_start = ++c->p;
        }
    }
    text[len] = '\0'; /* onto the separator, line end, quote, or the NUL behind the text */
    LN_TRY(add_field(c, text, len));
done:
    return st;
}

static void skip_blank_lines(ln__csv *c)
{
    while (c->p < c->end) {
        char *p = c->p + (*c->p == '\r' && c->p + 1 < c->end);
        if (*p != '\n')
            return;
        c->line++;
        c->p = c->line_start = p + 1;
    }
}

ln_status ln__csv_next(ln__csv *c, ln__csv_field **fields, int64_t *n)
{
    ln_status st = LN_OK;
    c->n = 0;
    skip_blank_lines(c);
    if (c->p == c->end) {
        *fields = NULL;
        *n = 0;
        goto done;
    }
    c->record_line = c->line;
    for (bool more = true; more;)
        LN_TRY(take_field(c, &more));
    if (c->width < 0)
        c->width = c->n;
    if (c->n != c->width)
        LN_FAIL(LN_ERR_FORMAT, "%s: line %lld has %lld fields, the first record has %lld", c->name,
                (long long)c->record_line, (long long)c->n, (long long)c->width);
    *fields = c->fields;
    *n = c->n;
done:
    return st;
}

int64_t ln__csv_line(const ln__csv *c)
{
    return c->record_line;
}

const char *ln__csv_name(const ln__csv *c)
{
    return c->name;
}
