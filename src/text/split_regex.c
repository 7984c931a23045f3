/* split_regex.c - regular expressions of tokenizer.json through PCRE2.
 *
 * The files are written for Oniguruma with Unicode. The dialects agree on everything tokenizers use but \s: PCRE2 in
 * UCP mode also takes U+180E for a space, so \s and \S become explicit classes. Pitfall: a pattern from a file can
 * backtrack for ever; matching is limited, and running into the limit is an error that names the pattern. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "text/impl.h"

enum { MATCH_LIMIT = 5000000, MAX_PATTERN = 1 << 16 };

struct ln__regex {
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_context *context;
    char *source;
};

static void *take(PCRE2_SIZE n, void *unused)
{
    (void)unused;
    void *p = NULL;
    return ln__alloc(&p, n, 1) == LN_OK ? p : NULL;
}

static void give(void *p, void *unused)
{
    (void)unused;
    ln__free(p);
}

#define SPACES                                                                                                         \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

/* \s and \S spelled out; inside a class \S stays as it is. Set arithmetic ("[a[b]]", "[a&&b]") means something else to
 * PCRE2 than to the writers of tokenizer files, so it is refused. */
static ln_status translate(ln__buf *out, const char *p, size_t n, const char *what)
{
    ln_status st = LN_OK;
    bool in_class = false;
    for (size_t i = 0; i < n && st == LN_OK; i++) {
        const char c = p[i], next = i + 1 < n ? p[i + 1] : '\0';
        if (c == '\\' && next == 's') {
            st = ln__buf_puts(out, in_class ? SPACES : "[" SPACES "]");
            i++;
        } else if (c == '\\' && next == 'S' && !in_class) {
            st = ln__buf_puts(out, "[^" SPACES "]");
            i++;
        } else if (c == '\\' && i + 1 < n) {
            st = ln__buf_add(out, p + i, 2);
            i++;
        } else {
            if (in_class && ((c == '[' && next != ':') || (c == '&' && next == '&')))
                return ln__fail(LN_ERR_UNSUPPORTED, "%s: pattern '%.*s': sets within a character class", what,
                                (int)LN_MIN(n, 200), p);
            if (c == '[' && !in_class) {
                in_class = true;
                if (next == '^' && i + 2 < n && p[i + 2] == ']') { /* "[^]…": the bracket is a member */
                    st = ln__buf_puts(out, "[^\\]");
                    i += 2;
                    continue;
                }
            } else if (c == ']') {
                in_class = false;
            }
            st = ln__buf_add(out, &c, 1);
        }
    }
    return st;
}

ln_status ln__regex_new(ln__regex **out, const char *pattern, size_t len, const char *what)
{
    ln_status st = LN_OK;
    ln__regex *r = NULL;
    ln__buf b = { 0 };
    int code = 0;
    PCRE2_SIZE at = 0;
    if (len > MAX_PATTERN)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a pattern of %zu bytes is too long", what, len);
    LN_TRY(LN_NEW0(&r, 1));
    LN_TRY(ln__strndup(&r->source, pattern, len));
    LN_TRY(ln__buf_add(&b, "", 0));
    LN_TRY(translate(&b, pattern, len, what));
    r->memory = pcre2_general_context_create(take, give, NULL);
    pcre2_compile_context *compile = r->memory ? pcre2_compile_context_create(r->memory) : NULL;
    r->context = r->memory ? pcre2_match_context_create(r->memory) : NULL;
    if (compile && r->context)
        r->code = pcre2_compile((PCRE2_SPTR)b.data, b.len, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at,
                                compile);
    pcre2_compile_context_free(compile);
    if (!r->code && (code == 0 || code == PCRE2_ERROR_HEAP_FAILED))
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory for a pattern", what);
    if (!r->code) {
        PCRE2_UCHAR message[160];
        pcre2_get_error_message(code, message, sizeof message);
        LN_FAIL(LN_ERR_FORMAT, "%s: pattern '%.200s' cannot be compiled: %s", what, r->source, (const char *)message);
    }
    pcre2_set_match_limit(r->context, MATCH_LIMIT);
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter does it */
    *out = r;
    r = NULL;
done:
    ln__buf_free(&b);
    ln__regex_free(r);
    return st;
}

void ln__regex_free(ln__regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->context);
    pcre2_general_context_free(r->memory);
    ln__free(r->source);
    ln__free(r);
}

ln_status ln__regex_next(void **match_data, const ln__regex *r, const char *s, size_t n, size_t from, ln__span *found)
{
    found->match = false;
    if (!*match_data && !(*match_data = pcre2_match_data_create(1, r->memory)))
        return ln__fail(LN_ERR_NOMEM, "out of memory for matching a pattern");
    int rc = pcre2_match(r->code, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK, *match_data, r->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, *match_data, r->context);
    if (rc == PCRE2_ERROR_NOMEMORY)
        return ln__fail(LN_ERR_NOMEM, "out of memory for matching a pattern");
    if (rc == PCRE2_ERROR_NOMATCH)
        return LN_OK;
    if (rc < 0)
        return ln__fail(LN_ERR_FORMAT, "pattern '%.200s' takes too long on this text (PCRE2 error %d)", r->source, rc);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(*match_data);
    *found = (ln__span){ at[0], at[1], true };
    /* \K and lookbehind may begin a match before `from`: that is no progress. */
    if (found->begin < from || found->end < found->begin)
        return ln__fail(LN_ERR_UNSUPPORTED, "pattern '%.200s' matches backwards (\\K)", r->source);
    return LN_OK;
}

void ln__regex_match_free(void *match_data)
{
    pcre2_match_data_free(match_data);
}
