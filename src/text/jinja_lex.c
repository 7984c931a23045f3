/* jinja_lex.c - a template cut into text, tags and the tokens inside tags.
 *
 * White space as with trim_blocks and lstrip_blocks: a line end right after a block or comment is dropped, and so are
 * blanks between the start of a line and a block or comment; "{%-", "-%}" strip all white space on their side, "{%+",
 * "+%}" keep it. One line end at the very end of the template is dropped. Pitfall: "}}" and "%}" inside brackets or
 * strings do not end a tag: {{ {'a': {}} }}. */
#include "text/jinja_impl.h"

static bool space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool word(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80);
}

static void advance(jj_lexer *l, const char *to)
{
    for (; l->p < to; l->p++)
        l->line += *l->p == '\n';
}

bool jj_is(const jj *j, int token)
{
    return j->lex.token == token;
}

bool jj_is_word(const jj *j, const char *w)
{
    return j->lex.token == JT_NAME && jj_eq(j->lex.text, w);
}

/* First "{{", "{%" or "{#" at or after p. */
static const char *find_tag(const char *p, const char *end)
{
    while (p < end && (p = memchr(p, '{', (size_t)(end - p)))) {
        if (p + 1 < end && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
            return p;
        p++;
    }
    return end;
}

/* Behind a block or comment that ended at l->p: `sign` is the character before its closing bracket. */
static void after_block(jj_lexer *l, char sign)
{
    const char *p = l->p;
    if (sign == '-') {
        while (p < l->end && space(*p))
            p++;
    } else if (sign != '+' && p < l->end && *p == '\n') {
        p++;
    }
    l->line_start = p > l->p && p[-1] == '\n';
    advance(l, p);
}

/* End of the text that belongs before the tag at `tag`. */
static const char *text_end(const jj_lexer *l, const char *tag)
{
    const char sign = tag + 2 < l->end ? tag[2] : '\0';
    const char *end = tag;
    if (sign == '-') {
        while (end > l->p && space(end[-1]))
            end--;
        return end;
    }
    if (tag == l->end || tag[1] == '{' || sign == '+')
        return tag;
    while (end > l->p && space(end[-1]) && end[-1] != '\n')
        end--;
    return end > l->p ? (end[-1] == '\n' ? end : tag) : (l->line_start ? end : tag);
}

static ln_status skip_comment(jj *j)
{
    jj_lexer *l = &j->lex;
    const char *close = memmem(l->p + 2, (size_t)(l->end - l->p - 2), "#}", 2);
    if (!close)
        return jj_fail(j, LN_ERR_FORMAT, "a comment is not closed");
    const char sign = close > l->p + 2 ? close[-1] : '\0';
    advance(l, close + 2);
    after_block(l, sign);
    return LN_OK;
}

/* {% raw %}, at l->p, would make text of tags. */
static ln_status refuse_raw(jj *j)
{
    const jj_lexer *l = &j->lex;
    const char *p = l->p + 2;
    p += p < l->end && (*p == '-' || *p == '+');
    while (p < l->end && space(*p))
        p++;
    if (l->end - p < 4 || memcmp(p, "raw", 3) != 0 || word(p[3]))
        return LN_OK;
    return jj_fail(j, LN_ERR_UNSUPPORTED, "'raw' blocks are not supported");
}

static ln_status next_outside(jj *j)
{
    jj_lexer *l = &j->lex;
    for (;;) {
        if (l->p == l->end) {
            l->token = JT_END;
            return LN_OK;
        }
        const char *tag = find_tag(l->p, l->end), *end = text_end(l, tag);
        if (end > l->p) {
            l->token = JT_TEXT;
            l->text = (jj_str){ l->p, (size_t)(end - l->p) };
            advance(l, tag);
            l->line_start = false;
            return LN_OK;
        }
        advance(l, tag);
        if (tag == l->end)
            continue;
        j->line = l->line;
        if (tag[1] == '#') {
            const ln_status st = skip_comment(j);
            if (st != LN_OK)
                return st;
            continue;
        }
        if (tag[1] == '%') {
            const ln_status st = refuse_raw(j);
            if (st != LN_OK)
                return st;
        }
        l->variable = tag[1] == '{';
        l->token = l->variable ? JT_VAR_BEGIN : JT_BLOCK_BEGIN;
        l->in_tag = true;
        l->depth = 0;
        l->p += 2;
        l->p += l->p < l->end && (*l->p == '-' || *l->p == '+');
        return LN_OK;
    }
}

/* ---- inside a tag ---- */

static ln_status unescape(jj *j, const char *p, const char *end)
{
    static const char names[] = "n\nt\tr\r\\\\'\'\"\"b\bf\fv\va\a";
    char *out = NULL;
    const ln_status st = jj_alloc(j, &out, (size_t)(end - p) + 1, 1);
    if (st != LN_OK)
        return st;
    size_t n = 0;
    for (; p < end; p++) {
        if (*p != '\\' || p + 1 == end) {
            out[n++] = *p;
            continue;
        }
        const char c = *++p;
        const char *name = NULL;
        for (const char *k = names; *k && !name; k += 2)
            name = *k == c ? k + 1 : NULL;
        if (c == 'x' || c == 'u' || c == 'U' || c == 'N' || (c >= '0' && c <= '7'))
            return jj_fail(j, LN_ERR_UNSUPPORTED, "the escape '\\%c' in a string is not supported", c);
        if (name) {
            out[n++] = *name;
        } else if (c != '\n') { /* an unknown escape stays as it is; an escaped line end vanishes */
            out[n++] = '\\';
            out[n++] = c;
        }
    }
    j->lex.text = (jj_str){ out, n };
    return LN_OK;
}

static ln_status lex_string(jj *j)
{
    jj_lexer *l = &j->lex;
    const char quote = *l->p, *p = l->p + 1;
    while (p < l->end && *p != quote)
        p += *p == '\\' && p + 1 < l->end ? 2 : 1;
    if (p >= l->end)
        return jj_fail(j, LN_ERR_FORMAT, "a string is not closed");
    l->token = JT_STR;
    const ln_status st = unescape(j, l->p + 1, p);
    advance(l, p + 1);
    return st;
}

static bool digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* Copies a run of digits (and '_' between them) to `to`, which holds 64. */
static const char *take_digits(const char *p, const char *end, char *to, size_t *n)
{
    for (; digit(p, end) || (p < end && *p == '_' && digit(p + 1, end)); p++)
        if (*p != '_' && *n < 63)
            to[(*n)++] = *p;
    return p;
}

static ln_status lex_number(jj *j)
{
    jj_lexer *l = &j->lex;
    char digits[64];
    size_t n = 0;
    const char *p = take_digits(l->p, l->end, digits, &n);
    bool real = false;
    if (p < l->end && *p == '.' && digit(p + 1, l->end)) {
        real = true;
        digits[n < 63 ? n++ : 62] = '.';
        p = take_digits(p + 1, l->end, digits, &n);
    }
    if (p < l->end && (*p == 'e' || *p == 'E')) {
        const char *q = p + 1;
        q += q < l->end && (*q == '-' || *q == '+');
        if (digit(q, l->end)) {
            real = true;
            for (; p < q; p++)
                digits[n < 63 ? n++ : 62] = *p;
            p = take_digits(p, l->end, digits, &n);
        }
    }
    digits[n] = '\0';
    if ((p < l->end && word(*p)) || n > (real ? 60 : 18))
        return jj_fail(j, LN_ERR_UNSUPPORTED, "the number '%s…' is not supported", digits);
    if (!real && digits[0] == '0' && strspn(digits, "0") < n)
        return jj_fail(j, LN_ERR_FORMAT, "the whole number '%s' begins with 0", digits);
    l->token = real ? JT_FLOAT : JT_INT;
    l->real = ln__strtod(digits, NULL);
    l->integer = 0;
    for (size_t i = 0; !real && i < n; i++)
        l->integer = l->integer * 10 + (digits[i] - '0');
    l->p = p;
    return LN_OK;
}

/* "-%}" and the like at p: bytes of the tag's end, or 0. */
static size_t tag_end(const jj_lexer *l, char *sign)
{
    const char close = l->variable ? '}' : '%';
    const char *p = l->p;
    *sign = '\0';
    if (p < l->end && (*p == '-' || (*p == '+' && !l->variable)))
        *sign = *p++;
    return l->end - p >= 2 && p[0] == close && p[1] == '}' ? (size_t)(p + 2 - l->p) : 0;
}

static void close_tag(jj_lexer *l, size_t n, char sign)
{
    l->in_tag = false;
    l->token = l->variable ? JT_VAR_END : JT_BLOCK_END;
    l->p += n;
    if (!l->variable) {
        after_block(l, sign);
        return;
    }
    const char *p = l->p;
    while (sign == '-' && p < l->end && space(*p))
        p++;
    l->line_start = p > l->p && p[-1] == '\n';
    advance(l, p);
}

static ln_status next_inside(jj *j)
{
    static const struct {
        char text[3];
        int token;
    } two[] = { { "==", JT_EQ }, { "!=", JT_NE },  { "<=", JT_LE },
                { ">=", JT_GE }, { "**", JT_POW }, { "//", JT_FLOORDIV } };
    jj_lexer *l = &j->lex;
    const char *p = l->p;
    while (p < l->end && space(*p))
        p++;
    advance(l, p);
    j->line = l->line;
    if (p == l->end)
        return jj_fail(j, LN_ERR_FORMAT, "a tag is not closed");
    char sign;
    const size_t n = l->depth == 0 ? tag_end(l, &sign) : 0;
    if (n) {
        close_tag(l, n, sign);
        return LN_OK;
    }
    if (*p == '\'' || *p == '"')
        return lex_string(j);
    if (*p >= '0' && *p <= '9')
        return lex_number(j);
    if (word(*p)) {
        while (p < l->end && word(*p))
            p++;
        l->token = JT_NAME;
        l->text = (jj_str){ l->p, (size_t)(p - l->p) };
        l->p = p;
        return LN_OK;
    }
    for (int i = 0; i < LN_COUNT(two); i++)
        if (l->end - p >= 2 && memcmp(p, two[i].text, 2) == 0) {
            l->token = two[i].token;
            l->p += 2;
            return LN_OK;
        }
    if (!strchr("+-*/%~<>=()[]{},:.|", *p))
        return jj_fail(j, LN_ERR_FORMAT, "the character '%c' is not understood", *p);
    l->depth += *p == '(' || *p == '[' || *p == '{';
    l->depth -= *p == ')' || *p == ']' || *p == '}';
    if (l->depth < 0)
        return jj_fail(j, LN_ERR_FORMAT, "a bracket '%c' too many", *p);
    l->token = (unsigned char)*p;
    l->p++;
    return LN_OK;
}

ln_status jj_next(jj *j)
{
    return j->lex.in_tag ? next_inside(j) : next_outside(j);
}
