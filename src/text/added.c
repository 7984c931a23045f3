/* added.c - added tokens: found in the text before anything else, leftmost first and the longest of those.
 *
 * Tokens marked `normalized` are looked for in the normalised text (their own spelling normalised as well), the others
 * in the text as it came. The patterns lie sorted, and a position narrows the range of those that fit byte by byte.
 * Pitfall: a match that is refused (not a single word, or special tokens are not wanted) is still consumed: the search
 * goes on behind it. */
#include "text/impl.h"

static int by_bytes(const ln__text *a, const ln__text *b)
{
    const int c = memcmp(a->data, b->data, LN_MIN(a->len, b->len));
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* Heap sort of both arrays together: no recursion, no allocation, and equal inputs give equal outputs. */
static void sift(ln__text *p, int32_t *id, int root, int n)
{
    for (int child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && by_bytes(&p[child], &p[child + 1]) < 0)
            child++;
        if (by_bytes(&p[root], &p[child]) >= 0)
            return;
        const ln__text t = p[root];
        p[root] = p[child];
        p[child] = t;
        const int32_t i = id[root];
        id[root] = id[child];
        id[child] = i;
    }
}

static void sort_patterns(ln__text *p, int32_t *id, int n)
{
    for (int i = n / 2; i-- > 0;)
        sift(p, id, i, n);
    for (int last = n - 1; last > 0; last--) {
        const ln__text t = p[0];
        p[0] = p[last];
        p[last] = t;
        const int32_t i = id[0];
        id[0] = id[last];
        id[last] = i;
        sift(p, id, 0, last);
    }
}

void ln__added_free(ln__added *a)
{
    ln__free(a->pattern);
    ln__free(a->id);
    ln__free(a->pool);
    memset(a, 0, sizeof *a);
}

static ln_status build(ln__added *a, const ln_tokenizer *t, bool normalized)
{
    ln_status st = LN_OK;
    ln__buf pool = { 0 };
    size_t *at = NULL;
    ln__enc e = { .t = t, .u = ln__unicode() };
    LN_TRY(LN_NEW(&a->pattern, t->n_added));
    LN_TRY(LN_NEW(&a->id, t->n_added));
    LN_TRY(LN_NEW(&at, t->n_added + 1));
    LN_TRY(ln__buf_add(&pool, "", 0));
    for (int64_t i = 0; i < t->n_added; i++) {
        const int32_t id = t->added_order[i];
        ln__text s = ln__vocab_get(&t->vocab, id);
        if (((t->flags[id] & LN_TOK_NORMALIZED) != 0) != normalized)
            continue;
        if (normalized)
            LN_TRY(ln__normalize(&e, &t->norm, &s, s));
        if (s.len == 0)
            continue;
        at[a->n] = pool.len;
        a->id[a->n++] = id;
        LN_TRY(ln__buf_add(&pool, s.data, s.len));
    }
    at[a->n] = pool.len;
    a->pool = pool.data;
    pool.data = NULL;
    for (int i = 0; i < a->n; i++)
        a->pattern[i] = (ln__text){ a->pool + at[i], at[i + 1] - at[i] };
    sort_patterns(a->pattern, a->id, a->n);
    for (int b = 0, i = 0; b <= 256; b++) {
        while (i < a->n && (unsigned char)a->pattern[i].data[0] < b)
            i++;
        a->first[b] = i;
    }
done:
    for (int i = 0; i < 2; i++)
        ln__buf_free(&e.norm[i]);
    ln__regex_match_free(e.match_data);
    ln__buf_free(&pool);
    ln__free(at);
    return st;
}

ln_status ln__added_build(ln_tokenizer *t)
{
    const ln_status st = build(&t->plain, t, false);
    return st == LN_OK ? build(&t->normalized, t, true) : st;
}

/* First pattern in lo … hi whose byte at `depth` is not below c; up to `depth` they are all the same. */
static int lower_bound(const ln__added *a, int lo, int hi, size_t depth, unsigned c)
{
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if ((unsigned char)a->pattern[mid].data[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest pattern at s, or -1. lo … hi shrinks to the patterns that begin with the bytes read so far. */
static int longest_at(const ln__added *a, const char *s, size_t n)
{
    int lo = a->first[(unsigned char)s[0]], hi = a->first[(unsigned char)s[0] + 1], best = -1;
    for (size_t depth = 1; lo < hi; depth++) {
        if (a->pattern[lo].len == depth)
            best = lo++; /* the shorter one sorts first */
        if (depth >= n)
            break;
        const unsigned c = (unsigned char)s[depth];
        lo = lower_bound(a, lo, hi, depth, c);
        hi = lower_bound(a, lo, hi, depth, c + 1);
    }
    return best;
}

static size_t spaces_before(const ln__unicode_table *u, const char *s, size_t at)
{
    while (at > 0) {
        size_t back = at - 1;
        while (back > 0 && ((unsigned char)s[back] & 0xC0) == 0x80)
            back--;
        uint32_t cp;
        ln__utf8_get((const unsigned char *)s + back, &cp);
        if (!(ln__char_class(u, cp) & LN_CH_SPACE))
            break;
        at = back;
    }
    return at;
}

static size_t spaces_after(const ln__unicode_table *u, const char *s, size_t n, size_t at)
{
    while (at < n) {
        uint32_t cp;
        const size_t len = ln__utf8_get((const unsigned char *)s + at, &cp);
        if (!(ln__char_class(u, cp) & LN_CH_SPACE))
            break;
        at += len;
    }
    return at;
}

static bool inside_word(const ln__unicode_table *u, const char *s, size_t n, size_t begin, size_t end)
{
    uint32_t cp;
    if (end < n) {
        ln__utf8_get((const unsigned char *)s + end, &cp);
        if (ln__char_class(u, cp) & LN_CH_WORD)
            return true;
    }
    if (begin == 0)
        return false;
    size_t back = begin - 1;
    while (back > 0 && ((unsigned char)s[back] & 0xC0) == 0x80)
        back--;
    ln__utf8_get((const unsigned char *)s + back, &cp);
    return ln__char_class(u, cp) & LN_CH_WORD;
}

ln_status ln__added_cut(ln__enc *e, const ln__added *a, ln__text text, bool special, bool at_start, ln__part_fn part)
{
    ln_status st = LN_OK;
    const char *s = text.data;
    size_t done = 0;
    for (size_t i = 0; a->n && i < text.len && st == LN_OK;) {
        const unsigned char b = (unsigned char)s[i];
        const int found = a->first[b] < a->first[b + 1] ? longest_at(a, s + i, text.len - i) : -1;
        if (found < 0) {
            i++;
            continue;
        }
        const int32_t id = a->id[found];
        const unsigned flags = e->t->flags[id];
        size_t begin = i, end = i + a->pattern[found].len;
        i = end;
        if ((!special && flags & LN_TOK_SPECIAL) || (flags & LN_TOK_WORD && inside_word(e->u, s, text.len, begin, end)))
            continue;
        if (flags & LN_TOK_LSTRIP)
            begin = spaces_before(e->u, s, begin);
        if (flags & LN_TOK_RSTRIP)
            end = spaces_after(e->u, s, text.len, end);
        if (begin > done)
            st = part(e, (ln__text){ s + done, begin - done }, at_start && done == 0, special);
        if (st == LN_OK)
            st = ln__ids_add(e, id);
        done = LN_MAX(done, end);
    }
    if (st == LN_OK && done < text.len)
        st = part(e, (ln__text){ s + done, text.len - done }, at_start && done == 0, special);
    return st;
}
