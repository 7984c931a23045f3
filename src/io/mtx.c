/* mtx.c - Matrix Market: "%%MatrixMarket object format field symmetry", comments, sizes, entries from 1.
 *
 * Coordinate files hold one entry a line; array files list values by columns, of symmetric matrices only those on and
 * below the diagonal. Numbers with at most 19 digits and small exponents are read by one exact multiplication or
 * division (Clinger 1990), the rest by strtod: both round correctly.
 * Pitfall: the header may promise anything, so it is held against the bytes that are there before memory is taken.
 * Format: Boisvert, Pozo, Remington, "The Matrix Market exchange formats", NISTIR 5935 (1996). */
#include "io/mtx.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/file.h"
#include "core/words.h"
#include "io/gz.h"

static const size_t MOST_BYTES = (size_t)1 << 38;

typedef enum symmetry { GENERAL, SYMMETRIC, SKEW } symmetry;

typedef struct mtx {
    const char *p, *end, *name;
    int64_t line;
    bool vector, array, pattern;
    symmetry sym;
    int64_t rows, cols, stored; /* entries in the file */
} mtx;

void ln__coo_free(ln__coo *c)
{
    ln__free(c->row);
    ln__free(c->col);
    ln__free(c->value);
    *c = (ln__coo){ 0 };
}

/* ---- words and lines ---- */

#define REFUSE(m, ...)                                                                                                 \
    ln__fail_in(ln__fail(LN_ERR_FORMAT, __VA_ARGS__), "%s: line %lld", (m)->name, (long long)(m)->line)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

static void skip_blanks(mtx *m)
{
    while (m->p < m->end && is_blank(*m->p))
        m->p++;
}

static bool at_line_end(mtx *m)
{
    skip_blanks(m);
    return m->p == m->end || *m->p == '\n';
}

static void skip_line(mtx *m)
{
    const char *stop = memchr(m->p, '\n', (size_t)(m->end - m->p));
    if (stop)
        m->line++;
    m->p = stop ? stop + 1 : m->end;
}

/* To the first character of the next line that says something. */
static void skip_comments(mtx *m)
{
    while (m->p < m->end && (*m->p == '%' || at_line_end(m)))
        skip_line(m);
}

/* A whole number without sign. Leaves p behind it. */
static bool take_index(mtx *m, int64_t *out)
{
    skip_blanks(m);
    const char *start = m->p;
    int64_t n = 0;
    for (; m->p < m->end && *m->p >= '0' && *m->p <= '9'; m->p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *m->p - '0', &n))
            return false;
    *out = n;
    return m->p > start && (m->p == m->end || *m->p == '\n' || is_blank(*m->p));
}

/* The digits of a number into *digits, and how many stand behind the point; false: too long for 64 bits. */
static bool take_digits(const char **at, const char *end, uint64_t *digits, int *behind)
{
    const char *p = *at;
    int n = 0;
    bool point = false;
    for (; p < end && ((*p >= '0' && *p <= '9') || (*p == '.' && !point)); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        *digits = *digits * 10 + (uint64_t)(*p - '0');
        n += *digits != 0;
        *behind += point;
        if (n > 19)
            return false;
    }
    *at = p;
    return true;
}

/* A number that one rounding can make: at most 2^53 times or over a power of ten that f64 holds exactly. */
static bool quick_real(const char **at, const char *end, double *out)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    const char *p = *at;
    const bool minus = p < end && *p == '-';
    uint64_t digits = 0;
    int behind = 0, power = 0;
    p += p < end && (*p == '-' || *p == '+');
    if (p == end || !((*p >= '0' && *p <= '9') || (*p == '.' && p + 1 < end && p[1] >= '0' && p[1] <= '9')))
        return false;
    if (!take_digits(&p, end, &digits, &behind))
        return false;
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *q = p + 1;
        const bool down = q < end && *q == '-';
        q += q < end && (*q == '-' || *q == '+');
        const char *first = q;
        for (; q < end && *q >= '0' && *q <= '9' && q - first < 5; q++)
            power = power * 10 + (*q - '0');
        if (q == first)
            return false;
        power = down ? -power : power;
        p = q;
    }
    power -= behind;
    if (p < end && *p != '\n' && !is_blank(*p))
        return false;
    if (digits > (UINT64_C(1) << 53) || power < -22 || power > 22)
        return false;
    const double x = power < 0 ? (double)digits / tens[-power] : (double)digits * tens[power];
    *out = minus ? -x : x;
    *at = p;
    return true;
}

/* Also "1.5D+03", as Fortran writes it. */
static ln_status take_real(mtx *m, double *out)
{
    skip_blanks(m);
    if (quick_real(&m->p, m->end, out))
        return LN_OK;
    char text[128], *stop = NULL;
    size_t n = 0;
    while (m->p + n < m->end && m->p[n] != '\n' && !is_blank(m->p[n]))
        n++;
    if (n == 0 || n >= sizeof text)
        return REFUSE(m, n ? "a number of %zu characters" : "a number is missing", n);
    for (size_t i = 0; i < n; i++)
        text[i] = m->p[i] == 'D' || m->p[i] == 'd' ? 'e' : m->p[i];
    text[n] = '\0';
    const double x = strspn(text, "+-.0123456789eE") == n && text[0] != 'e' ? ln__strtod(text, &stop) : NAN;
    if (!stop || *stop != '\0')
        return REFUSE(m, "'%.40s' is not a finite number", text);
    if (!isfinite(x))
        return REFUSE(m, "%.40s is not finite", text);
    m->p += n;
    *out = x;
    return LN_OK;
}

/* ---- header ---- */

static bool take_word(mtx *m, char word[24])
{
    size_t n = 0;
    skip_blanks(m);
    while (m->p < m->end && *m->p != '\n' && !is_blank(*m->p)) {
        if (n + 1 < 24)
            word[n++] = (char)tolower((unsigned char)*m->p);
        m->p++;
    }
    word[n] = '\0';
    return n > 0;
}

static ln_status read_banner(mtx *m)
{
    char word[5][24];
    for (int i = 0; i < 5; i++)
        if (!take_word(m, word[i]) || (i == 0 && strcmp(word[0], "%%matrixmarket") != 0))
            return REFUSE(m, "bad banner: expected '%%%%MatrixMarket object format field symmetry'");
    if (!at_line_end(m))
        return REFUSE(m, "bad banner: more than five words");
    m->vector = strcmp(word[1], "vector") == 0;
    if (!m->vector && strcmp(word[1], "matrix") != 0)
        return REFUSE(m, "object '%s', expected matrix or vector", word[1]);
    m->array = strcmp(word[2], "array") == 0;
    if (!m->array && strcmp(word[2], "coordinate") != 0)
        return REFUSE(m, "format '%s', expected coordinate or array", word[2]);
    m->pattern = strcmp(word[3], "pattern") == 0;
    if (strcmp(word[3], "complex") == 0 || strcmp(word[4], "hermitian") == 0)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: line %lld: complex matrices are not supported", m->name,
                        (long long)m->line);
    if (!m->pattern && ln__word_index("real|integer|double|unsigned-integer", word[3]) < 0)
        return REFUSE(m, "field '%s', expected real, integer or pattern", word[3]);
    const int32_t sym = ln__word_index("general|symmetric|skew-symmetric", word[4]);
    if (sym < 0)
        return REFUSE(m, "symmetry '%s', expected general, symmetric or skew-symmetric", word[4]);
    if (m->array && m->pattern)
        return REFUSE(m, "an array has no pattern");
    m->sym = (symmetry)sym;
    skip_line(m);
    return LN_OK;
}

/* How many values an array of this shape lists. False: more than 63 bits. */
static bool array_values(int64_t *out, const mtx *m)
{
    int64_t n = 0;
    if (__builtin_mul_overflow(m->rows, m->cols, &n))
        return false;
    *out = m->sym == GENERAL ? n : m->sym == SYMMETRIC ? (n + m->rows) / 2 : (n - m->rows) / 2;
    return true;
}

static ln_status read_sizes(mtx *m)
{
    skip_comments(m);
    m->cols = 1;
    if (!take_index(m, &m->rows) || (!m->vector && !take_index(m, &m->cols)) ||
        (!m->array && !take_index(m, &m->stored)) || !at_line_end(m))
        return REFUSE(m, "bad size line: expected %s%s", m->vector ? "'length" : "'rows columns",
                      m->array ? "'" : " entries'");
    if (m->rows >= INT32_MAX || m->cols >= INT32_MAX)
        return REFUSE(m, "%lld x %lld is too large: rows and columns are below 2^31", (long long)m->rows,
                      (long long)m->cols);
    if (m->sym != GENERAL && m->rows != m->cols)
        return REFUSE(m, "%lld x %lld cannot be symmetric", (long long)m->rows, (long long)m->cols);
    if (m->array && !array_values(&m->stored, m))
        return REFUSE(m, "%lld x %lld is too large", (long long)m->rows, (long long)m->cols);
    const int64_t words = m->array ? 1 : 1 + !m->vector + !m->pattern; /* of an entry, each at least two bytes */
    if (m->stored > (m->end - m->p) / (2 * words) + 1)
        return REFUSE(m, "%lld entries promised, %lld bytes follow", (long long)m->stored, (long long)(m->end - m->p));
    skip_line(m);
    return LN_OK;
}

/* ---- entries ---- */

static ln_status finish(mtx *m)
{
    skip_comments(m);
    if (m->p < m->end)
        return REFUSE(m, "more than the %lld entries that the size line promises", (long long)m->stored);
    return LN_OK;
}

static ln_status read_entry(mtx *m, int64_t e, int64_t *i, int64_t *j, double *v)
{
    ln_status st = LN_OK;
    skip_comments(m);
    if (m->p == m->end)
        return REFUSE(m, "the file ends after %lld of %lld entries", (long long)e, (long long)m->stored);
    *j = 1;
    *v = 1;
    if (!take_index(m, i) || (!m->vector && !take_index(m, j)))
        return REFUSE(m, "bad entry: expected %s", m->vector ? "an index and a value" : "row, column and value");
    if (*i < 1 || *i > m->rows || *j < 1 || *j > m->cols)
        return REFUSE(m, "entry (%lld, %lld) lies outside 1 … %lld, 1 … %lld", (long long)*i, (long long)*j,
                      (long long)m->rows, (long long)m->cols);
    if (!m->pattern)
        st = take_real(m, v);
    if (st == LN_OK && !at_line_end(m))
        st = REFUSE(m, "more than one entry in a line");
    if (st == LN_OK && m->sym == SKEW && *i == *j && *v != 0)
        st = REFUSE(m, "a diagonal entry of a skew-symmetric matrix is %g", *v);
    --*i;
    --*j;
    if (st == LN_OK)
        skip_line(m);
    return st;
}

typedef struct place {
    int64_t lo, hi; /* the smaller and the larger of row and column */
    int64_t upper;
} place;

static int by_place(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->hi != y->hi)
        return x->hi < y->hi ? -1 : 1;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return (x->upper > y->upper) - (x->upper < y->upper);
}

/* A symmetric file with entries on both sides: none may be given from both. */
static ln_status check_triangles(const ln__coo *c, const char *name)
{
    ln_status st = LN_OK;
    place *p = NULL;
    int64_t upper = 0, lower = 0;
    for (int64_t e = 0; e < c->n; e++) {
        upper += c->col[e] > c->row[e];
        lower += c->col[e] < c->row[e];
    }
    if (upper == 0 || lower == 0)
        goto done;
    LN_TRY(LN_NEW(&p, c->n));
    for (int64_t e = 0; e < c->n; e++)
        p[e] = (place){ .lo = LN_MIN(c->row[e], c->col[e]),
                        .hi = LN_MAX(c->row[e], c->col[e]),
                        .upper = c->col[e] > c->row[e] };
    qsort(p, (size_t)c->n, sizeof *p, by_place);
    for (int64_t e = 1; e < c->n; e++)
        if (p[e].lo == p[e - 1].lo && p[e].hi == p[e - 1].hi && p[e].upper != p[e - 1].upper)
            LN_FAIL(LN_ERR_FORMAT, "%s: says symmetric but holds (%lld, %lld) in both triangles", name,
                    (long long)p[e].lo + 1, (long long)p[e].hi + 1);
done:
    ln__free(p);
    return st;
}

static void mirror(ln__coo *c, symmetry sym)
{
    for (int64_t e = 0, n = c->n; e < n; e++)
        if (c->row[e] != c->col[e]) {
            c->row[c->n] = c->col[e];
            c->col[c->n] = c->row[e];
            c->value[c->n++] = sym == SKEW ? -c->value[e] : c->value[e];
        }
}

static ln_status read_coordinate(ln__coo *out, mtx *m, const ln__mtx_opts *opts)
{
    ln_status st = LN_OK;
    ln__coo c = { .rows = m->rows, .cols = m->cols, .symmetric = m->sym == SYMMETRIC };
    const int64_t room = m->sym == GENERAL ? m->stored : 2 * m->stored;
    if (m->pattern && !(opts && opts->pattern_ones))
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: holds a pattern without values; say that they are ones", m->name);
    LN_TRY(LN_NEW(&c.row, room));
    LN_TRY(LN_NEW(&c.col, room));
    LN_TRY(LN_NEW(&c.value, room));
    for (int64_t e = 0; e < m->stored; e++)
        LN_TRY(read_entry(m, e, &c.row[e], &c.col[e], &c.value[e]));
    LN_TRY(finish(m));
    c.n = m->stored;
    if (m->sym != GENERAL) {
        LN_TRY(check_triangles(&c, m->name));
        mirror(&c, m->sym);
    }
    *out = c;
    c = (ln__coo){ 0 };
done:
    ln__coo_free(&c);
    return st;
}

static ln_status read_array(ln_tensor **out, mtx *m)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    LN_TRY(ln_tensor_new(&t, LN_F64, 2, (const int64_t[]){ m->rows, m->cols }));
    double *a = ln_tensor_data(t);
    int64_t e = 0;
    for (int64_t j = 0; j < m->cols && m->stored > 0; j++)
        for (int64_t i = m->sym == GENERAL ? 0 : m->sym == SYMMETRIC ? j : j + 1; i < m->rows; i++, e++) {
            double v = 0;
            if (at_line_end(m))
                skip_comments(m);
            if (m->p == m->end)
                LN_FAIL(LN_ERR_FORMAT, "%s: line %lld: the file ends after %lld of %lld values", m->name,
                        (long long)m->line, (long long)e, (long long)m->stored);
            LN_TRY(take_real(m, &v));
            a[i * m->cols + j] = v;
            if (m->sym != GENERAL && i != j)
                a[j * m->cols + i] = m->sym == SKEW ? -v : v;
        }
    LN_TRY(finish(m));
    *out = t;
    t = NULL;
done:
    ln_tensor_release(t);
    return st;
}

ln_status ln__mtx_from_memory(ln__coo *coo, ln_tensor **dense, const void *data, size_t bytes, const char *name,
                              const ln__mtx_opts *opts)
{
    ln_status st = LN_OK;
    mtx m = { .p = data, .end = (const char *)data + bytes, .name = name, .line = 1 };
    LN_TRY(read_banner(&m));
    LN_TRY(read_sizes(&m));
    if (m.array)
        LN_TRY(read_array(dense, &m));
    else
        LN_TRY(read_coordinate(coo, &m, opts));
done:
    return st;
}

ln_status ln__mtx_read(ln__coo *coo, ln_tensor **dense, const char *path, const ln__mtx_opts *opts)
{
    char *text = NULL;
    size_t bytes = 0;
    ln_status st = ln__gz_read(&text, &bytes, path, MOST_BYTES);
    if (st == LN_OK)
        st = ln__mtx_from_memory(coo, dense, text, bytes, path, opts);
    ln__free(text);
    return st;
}

/* ---- writing ---- */

static ln_status put_line(ln__out *out, const char *line, int n)
{
    return ln__out_write(out, line, (size_t)n);
}

ln_status ln__mtx_write(const char *path, const ln__coo *c, bool symmetric)
{
    ln_status st = LN_OK;
    ln__out *out = NULL;
    char line[128], number[32];
    int64_t n = 0;
    for (int64_t e = 0; e < c->n; e++) {
        if (!isfinite(c->value[e]))
            LN_FAIL(LN_ERR_NUMERIC, "%s: entry (%lld, %lld) is not finite", path, (long long)c->row[e] + 1,
                    (long long)c->col[e] + 1);
        n += !symmetric || c->row[e] >= c->col[e];
    }
    LN_TRY(ln__out_open(&out, path));
    LN_TRY(put_line(out, line,
                    ln__format(line, sizeof line, "%%%%MatrixMarket matrix coordinate real %s\n%lld %lld %lld\n",
                               symmetric ? "symmetric" : "general", (long long)c->rows, (long long)c->cols,
                               (long long)n)));
    for (int64_t e = 0; e < c->n; e++)
        if (!symmetric || c->row[e] >= c->col[e])
            LN_TRY(put_line(out, line,
                            ln__format(line, sizeof line, "%lld %lld %s\n", (long long)c->row[e] + 1,
                                       (long long)c->col[e] + 1, ln__real_text(number, c->value[e]))));
    LN_TRY(ln__out_commit(out));
done:
    ln__out_free(out);
    return st;
}

ln_status ln__mtx_write_dense(const char *path, const ln_tensor *t)
{
    ln_status st = LN_OK;
    ln__out *out = NULL;
    ln_tensor *f64 = NULL;
    char line[128], number[32];
    const int ndim = ln_tensor_ndim(t);
    if (ndim < 1 || ndim > 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: a Matrix Market array has one or two axes, not %d", path, ndim);
    LN_TRY(ln_tensor_convert(&f64, t, LN_F64));
    LN_TRY(ln_tensor_check_finite(f64, path));
    const int64_t rows = ln_tensor_dim(t, 0), cols = ndim == 2 ? ln_tensor_dim(t, 1) : 1;
    const double *a = ln_tensor_cdata(f64);
    LN_TRY(ln__out_open(&out, path));
    LN_TRY(put_line(out, line,
                    ln__format(line, sizeof line, "%%%%MatrixMarket matrix array real general\n%lld %lld\n",
                               (long long)rows, (long long)cols)));
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            LN_TRY(put_line(out, line, ln__format(line, sizeof line, "%s\n", ln__real_text(number, a[i * cols + j]))));
    LN_TRY(ln__out_commit(out));
done:
    ln__out_free(out);
    ln_tensor_release(f64);
    return st;
}
