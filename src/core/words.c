/* words.c - words and numbers as people type them: whole numbers, byte counts, yes and no, one of several words, and
 * the nearest word to a misspelt one (edit distance up to a third of its length). Nothing follows the locale. */
#include "core/words.h"

#include <math.h>
#include <string.h>

#include "core/core.h"

enum { LONGEST = 64 };

/* Edit distance with neighbouring swaps counted once (optimal string alignment); names longer than the rows: far. */
static int distance(const char *a, const char *b)
{
    int rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    for (int j = 0; j <= m; j++)
        last[j] = j;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            const int swap = last[j - 1] + (a[i - 1] != b[j - 1]);
            int best = LN_MIN(swap, LN_MIN(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = LN_MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
        int *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *ln__nearest(const char *word, const char *(*name)(const void *list, int64_t i), const void *list, int64_t n)
{
    const char *best = NULL;
    int least = LN_MAX((int)LN_MIN(strlen(word), LONGEST) / 3, 1);
    for (int64_t i = 0; i < n; i++) {
        const char *candidate = name(list, i);
        const int d = distance(word, candidate);
        if (d < least || (d == least && !best)) {
            least = d;
            best = candidate;
        }
    }
    return best;
}

bool ln__ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

bool ln__read_int64(int64_t *out, const char **text)
{
    const char *s = *text;
    const bool negative = *s == '-';
    s += *s == '-' || *s == '+';
    if (*s < '0' || *s > '9')
        return false;
    int64_t x = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        const int digit = *s - '0';
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_sub_overflow(x, digit, &x))
            return false; /* summed downwards, so that INT64_MIN can be read */
    }
    if (!negative && x == INT64_MIN)
        return false;
    *out = negative ? x : -x;
    *text = s;
    return true;
}

bool ln__read_bytes(int64_t *out, const char *text)
{
    static const char suffixes[] = "KMGT";
    int64_t whole = 0;
    char *end = NULL;
    const char *s = text;
    const bool is_whole = ln__read_int64(&whole, &s) && *s != '.' && *s != 'e' && *s != 'E';
    double x = (double)whole;
    if (!is_whole) {
        if (!((*text >= '0' && *text <= '9') || *text == '.'))
            return false;
        x = ln__strtod(text, &end);
        if (end == text)
            return false;
        s = end;
    }
    int shift = 0;
    const char upper = *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s;
    const char *at = upper ? strchr(suffixes, upper) : NULL;
    if (at) {
        shift = 10 * (int)(at - suffixes + 1);
        s++;
    }
    if (*s == 'b' || *s == 'B')
        s++;
    if (*s != '\0')
        return false;
    x = ldexp(x, shift);
    if (!(fabs(x) < 9223372036854775808.0))
        return false;
    *out = is_whole ? whole * ((int64_t)1 << shift) : (int64_t)x;
    return true;
}

bool ln__read_bool(int32_t *out, const char *text)
{
    static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

int32_t ln__word_index(const char *words, const char *text)
{
    const size_t n = strlen(text);
    int32_t index = 0;
    for (const char *w = words; w && n > 0; index++) {
        const size_t len = strcspn(w, "|");
        if (len == n && memcmp(w, text, n) == 0)
            return index;
        w = w[len] ? w + len + 1 : NULL;
    }
    return -1;
}

int32_t ln__word_count(const char *words)
{
    int32_t n = 1;
    for (const char *w = words; *w; w++)
        n += *w == '|';
    return n;
}

char *ln__real_text(char text[32], double x)
{
    for (int digits = 15; digits <= 17; digits++) {
        ln__format(text, 32, "%.*g", digits, x);
        if (ln__strtod(text, NULL) == x)
            break;
    }
    return text;
}

/* Greedy matching with one place to come back to: linear in practice, never exponential. */
bool ln__glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = text;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
