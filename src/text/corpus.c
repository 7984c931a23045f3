/* corpus.c - text files, the word-level form of WikiText undone, windows of tokens.
 *
 * WikiText separates every mark by spaces and writes hyphens, thousands and decimals inside words as @-@ @,@ @.@.
 * Undoing it is a decision between two neighbouring words of a line: is there a space? Quotation marks alternate
 * between opening and closing within a line. */
#include "text/corpus.h"

#include <string.h>

#include "core/file.h"
#include "core/rng.h"

typedef struct word {
    const char *s;
    size_t n;
} word;

static bool is(word w, const char *text)
{
    return w.n == strlen(text) && memcmp(w.s, text, w.n) == 0;
}

static bool among(word w, const char *const *list)
{
    for (; *list; list++)
        if (is(w, *list))
            return true;
    return false;
}

/* What a word does to the space before and after it, and how it is written. */
typedef struct joint {
    bool glue_left, glue_right;
    word text;
} joint;

typedef struct line_state {
    bool in_double, in_single;
} line_state;

static joint classify(word w, word previous, line_state *state)
{
    static const char *const closing[] = { ",", ".",  ";",   ":",  "!",   "?",   ")",   "]",  "}",
                                           "%", "'s", "n't", "'m", "'re", "'ve", "'ll", "'d", NULL };
    static const char *const opening[] = { "(", "[", "{", "$", "£", "€", NULL };
    joint j = { false, false, w };
    if (w.n == 3 && w.s[0] == '@' && w.s[2] == '@' && strchr("-,.", w.s[1])) {
        j = (joint){ true, true, { w.s + 1, 1 } };
    } else if (is(w, "°") || is(w, "/")) {
        j.glue_left = j.glue_right = true;
    } else if (among(w, closing) || (is(w, "=") && is(previous, "="))) {
        j.glue_left = true; /* the second: "= = Heading = =" */
    } else if (among(w, opening)) {
        j.glue_right = true;
    } else if (is(w, "\"")) {
        j.glue_left = state->in_double;
        j.glue_right = !state->in_double;
        state->in_double = !state->in_double;
    } else if (is(w, "'")) {
        const bool plural = !state->in_single && previous.n > 0 && previous.s[previous.n - 1] == 's';
        j.glue_left = state->in_single || plural;
        j.glue_right = !j.glue_left;
        if (!plural)
            state->in_single = !state->in_single;
    }
    return j;
}

static ln_status add_line(ln__buf *out, const char *s, size_t n)
{
    ln_status st = LN_OK;
    line_state state = { false, false };
    word previous = { s, 0 };
    bool glued = true; /* nothing before the first word */
    for (size_t i = 0; i < n;) {
        while (i < n && s[i] == ' ')
            i++;
        const size_t begin = i;
        while (i < n && s[i] != ' ')
            i++;
        if (begin == i)
            break;
        const word w = { s + begin, i - begin };
        const joint j = classify(w, previous, &state);
        if (!glued && !j.glue_left)
            LN_TRY(ln__buf_add(out, " ", 1));
        LN_TRY(ln__buf_add(out, j.text.s, j.text.n));
        glued = j.glue_right;
        previous = w;
    }
done:
    return st;
}

ln_status ln__corpus_unwiki(char **out, size_t *out_bytes, const char *text, size_t bytes)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    LN_TRY(ln__buf_add(&b, "", 0));
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        const size_t n = end ? (size_t)(end - text) - at : bytes - at;
        LN_TRY(add_line(&b, text + at, n));
        if (end)
            LN_TRY(ln__buf_add(&b, "\n", 1));
        at += n + (end != NULL);
    }
    if (!b.data)
        LN_TRY(ln__strdup(&b.data, ""));
    *out = b.data;
    *out_bytes = b.len;
    b.data = NULL;
done:
    ln__buf_free(&b);
    return st;
}

ln_status ln_text_read(char **text, size_t *bytes, const char *path, ln_clean clean)
{
    ln_status st = LN_OK;
    char *raw = NULL;
    size_t n = 0;
    if (!text || !bytes || !path)
        LN_FAIL(LN_ERR_ARG, "text: text, bytes and path must not be NULL");
    LN_TRY(ln__file_read(&raw, &n, path));
    if (clean == LN_CLEAN_WIKITEXT) {
        LN_TRY(ln__corpus_unwiki(text, bytes, raw, n));
    } else {
        *text = raw;
        *bytes = n;
        raw = NULL;
    }
done:
    ln__free(raw);
    return st;
}

ln_status ln__corpus_chunks(int64_t **starts, int64_t *n, int64_t tokens, int64_t length, int64_t limit,
                            ln__chunk_order order, uint64_t seed, const char *what)
{
    ln_status st = LN_OK;
    int64_t *s = NULL;
    const int64_t all = length > 0 ? tokens / length : 0;
    if (all < 1)
        LN_FAIL(LN_ERR_SHAPE, "%s: the text has %lld tokens, at least %lld are needed for one sequence", what,
                (long long)tokens, (long long)length);
    const int64_t count = limit > 0 ? LN_MIN(limit, all) : all;
    LN_TRY(LN_NEW(&s, all));
    for (int64_t i = 0; i < all; i++)
        s[i] = i * length;
    if (order == LN_CHUNKS_RANDOM) {
        ln__rng r = ln__rng_make(seed, 0x636f7270);
        ln__rng_shuffle_i64(&r, s, all);
    }
    *starts = s;
    *n = count;
    s = NULL;
done:
    ln__free(s);
    return st;
}

ln_status ln__corpus_tokens(int32_t **ids, int64_t *n, const ln_tokenizer *t, const char *path, ln_clean clean,
                            int64_t max_tokens)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;
    int32_t *all = NULL;
    int64_t count = 0;
    LN_TRY(ln_text_read(&text, &bytes, path, clean));
    LN_TRY(ln_tokenizer_encode(&all, &count, t, text, bytes, 0));
    *ids = all;
    *n = max_tokens > 0 ? LN_MIN(count, max_tokens) : count;
    all = NULL;
done:
    ln__free(text);
    ln__free(all);
    return st;
}
