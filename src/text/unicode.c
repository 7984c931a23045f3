/* unicode.c - character classes from generated runs, normal forms through utf8proc, repair of broken UTF-8.
 *
 * Pitfall  NFC of a long text costs twenty times the copying of it, and nearly all text is NFC already: only the runs
 *          around characters that are not inert (quick check of UAX 15: QC = Yes and combining class 0) go to utf8proc.
 * Repair   Unicode 15 section 3.9, "substitution of maximal subparts": one U+FFFD for each longest beginning of a
 *          well-formed sequence, which is what Python's errors='replace' does. */
#include "text/unicode.h"

#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#include <linnet/tokenizer.h>

/* More pages than the runs need; test_tokenizer compares every code point with the runs. */
enum { MAX_PAGES = 384, MAX_UNIFORM = 64 };

static uint16_t pages[MAX_PAGES][256];
static ln__unicode_table table;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

/* Pages of one class only (whole planes of them) are shared. */
static void build_table(void)
{
    int used = 0, uniform = 0, run = 0;
    int uniform_page[MAX_UNIFORM] = { 0 };
    for (uint32_t page = 0; page < LN_UNICODE_PAGES; page++) {
        const uint32_t first = page << 8;
        while (run + 1 < ln__unicode_run_count && ln__unicode_runs[run + 1] >> 11 <= first)
            run++;
        const bool same = run + 1 == ln__unicode_run_count || ln__unicode_runs[run + 1] >> 11 > first + 255;
        const uint16_t bits = ln__unicode_runs[run] & 0x7FF;
        int found = -1;
        for (int i = 0; same && i < uniform && found < 0; i++)
            if (pages[uniform_page[i]][0] == bits)
                found = uniform_page[i];
        if (found < 0 && used < MAX_PAGES) {
            found = used++;
            for (uint32_t i = 0, r = (uint32_t)run; i < 256; i++) {
                while (r + 1 < (uint32_t)ln__unicode_run_count && ln__unicode_runs[r + 1] >> 11 <= first + i)
                    r++;
                pages[found][i] = ln__unicode_runs[r] & 0x7FF;
            }
            if (same && uniform < MAX_UNIFORM)
                uniform_page[uniform++] = found;
        }
        table.page[page] = (uint16_t)(found < 0 ? 0 : found);
    }
    table.bits = pages;
}

const ln__unicode_table *ln__unicode(void)
{
    pthread_once(&table_once, build_table);
    return &table;
}

uint32_t ln__lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    int lo = 0, hi = ln__case_run_count;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        if (ln__case_runs[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == ln__case_run_count)
        return cp;
    const ln__case_run *r = &ln__case_runs[lo];
    if (cp < r->first || (cp - r->first) % (uint32_t)r->step)
        return cp;
    return (uint32_t)((int32_t)cp + r->distance);
}

size_t ln__utf8_put(char out[4], uint32_t cp)
{
    if (cp < 0x80)
        return out[0] = (char)cp, 1;
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

/* Well-formed sequences of Unicode table 3-7. Returns how many of the `n` bytes at p fit the beginning of one;
 * *need is its full length, 0 when p[0] starts none. */
static size_t sequence_part(const unsigned char *p, size_t n, size_t *need)
{
    const unsigned char b = p[0];
    unsigned lo = 0x80, hi = 0xBF;
    *need = b < 0x80 ? 1 : b < 0xC2 ? 0 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : b < 0xF5 ? 4 : 0;
    if (*need == 0)
        return 1;
    if (b == 0xE0)
        lo = 0xA0;
    else if (b == 0xED)
        hi = 0x9F;
    else if (b == 0xF0)
        lo = 0x90;
    else if (b == 0xF4)
        hi = 0x8F;
    size_t i = 1;
    for (; i < *need && i < n; i++, lo = 0x80, hi = 0xBF)
        if (p[i] < lo || p[i] > hi)
            break;
    return i;
}

size_t ln__utf8_valid(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t i = 0;
    while (i < bytes) {
        if (bytes - i >= 8) {
            uint64_t w;
            memcpy(&w, p + i, 8);
            if (!(w & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        size_t need;
        const size_t have = sequence_part(p + i, bytes - i, &need);
        if (need == 0 || have < need)
            return i;
        i += have;
    }
    return i;
}

ln_status ln_text_repair(char **text, size_t *out_bytes, const char *bytes, size_t n)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    if (!text || !out_bytes || (!bytes && n))
        LN_FAIL(LN_ERR_ARG, "ln_text_repair: text, out_bytes and bytes must not be NULL");
    LN_TRY(ln__buf_add(&b, "", 0));
    for (size_t i = 0; i < n;) {
        const size_t good = ln__utf8_valid(bytes + i, n - i);
        LN_TRY(ln__buf_add(&b, bytes + i, good));
        i += good;
        if (i < n) {
            size_t need;
            i += sequence_part((const unsigned char *)bytes + i, n - i, &need);
            LN_TRY(ln__buf_add(&b, "\xEF\xBF\xBD", 3));
        }
    }
    *text = b.data;
    *out_bytes = b.len;
    b.data = NULL;
done:
    ln__buf_free(&b);
    return st;
}

size_t ln_text_complete(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t back = 1; back <= 3 && back <= bytes; back++) {
        const unsigned char b = p[bytes - back];
        if (b < 0x80)
            break;
        if (b >= 0xC0) { /* a lead byte: is its sequence cut off by the end, and by nothing else? */
            size_t need;
            const size_t have = sequence_part(p + bytes - back, back, &need);
            return need > back && have == back ? bytes - back : bytes;
        }
    }
    return bytes;
}

static ln_status through_utf8proc(ln__buf *out, const char *text, size_t bytes, ln__norm_form form)
{
    static const utf8proc_option_t options[] = {
        [LN_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [LN_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [LN_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [LN_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    ln_status st = LN_OK;
    int32_t *cps = NULL;
    const utf8proc_uint8_t *in = (const utf8proc_uint8_t *)text;
    const utf8proc_ssize_t need = utf8proc_decompose(in, (utf8proc_ssize_t)bytes, NULL, 0, options[form]);
    if (need < 0)
        LN_FAIL(LN_ERR_FORMAT, "text cannot be normalised: %s", utf8proc_errmsg(need));
    LN_TRY(LN_NEW(&cps, (size_t)need + 1)); /* utf8proc writes a NUL after the text it puts in place of the points */
    utf8proc_ssize_t n = utf8proc_decompose(in, (utf8proc_ssize_t)bytes, cps, need, options[form]);
    n = n < 0 ? n : utf8proc_reencode(cps, n, options[form]);
    if (n < 0)
        LN_FAIL(LN_ERR_FORMAT, "text cannot be normalised: %s", utf8proc_errmsg(n));
    LN_TRY(ln__buf_add(out, cps, (size_t)n));
done:
    ln__free(cps);
    return st;
}

/* Neither changed by the form nor joined with a neighbour. For the forms that decompose only ASCII is known to be. */
static bool inert(const ln__unicode_table *u, uint32_t cp, ln__norm_form form)
{
    return cp < 0x80 || (form == LN_NFC && ln__char_class(u, cp) & LN_CH_NFC);
}

ln_status ln__normal_form(ln__buf *out, const char *text, size_t bytes, ln__norm_form form)
{
    const ln__unicode_table *u = ln__unicode();
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes;
    const unsigned char *copied = p, *starter = p; /* written up to here; the last inert character seen */
    while (p < end) {
        uint32_t cp;
        const size_t len = ln__utf8_get(p, &cp);
        if (inert(u, cp, form)) {
            starter = p;
            p += len;
            continue;
        }
        const unsigned char *stop = p; /* the run of restless characters, with the inert one before it */
        while (stop < end) {
            const size_t more = ln__utf8_get(stop, &cp);
            if (inert(u, cp, form))
                break;
            stop += more;
        }
        ln_status st = ln__buf_add(out, copied, (size_t)(starter - copied));
        if (st == LN_OK)
            st = through_utf8proc(out, (const char *)starter, (size_t)(stop - starter), form);
        if (st != LN_OK)
            return st;
        copied = starter = p = stop;
    }
    return ln__buf_add(out, copied, (size_t)(end - copied));
}
