/* table.c - tables of numbers from text or npy: header found by looking, cells checked one by one.
 *
 * The header is the first record if one of its fields is neither a number nor a missing value; a nameless column (as
 * the index that data frames write) is called by its place. Infinity is never a number here. */
#include <math.h>
#include <string.h>

#include <linnet/io.h>

#include "core/words.h"
#include "io/archive.h"
#include "io/csv.h"
#include "io/table.h"

typedef enum cell { CELL_NUMBER, CELL_MISSING, CELL_TEXT } cell;

typedef struct reader {
    const char *path;
    const ln__table_opts *o;
    ln__table t;
    ln__names seen; /* all columns of the file */
    bool *skipped;  /* of the file's columns */
    int64_t width, cap;
} reader;

void ln__table_free(ln__table *t)
{
    ln__free(t->data);
    ln__names_free(&t->names);
    *t = (ln__table){ 0 };
}

int64_t ln__table_column(const ln__table *t, const char *name)
{
    return ln__names_find(&t->names, name, strlen(name));
}

static const char *column_name(const void *list, int64_t i)
{
    return ln__names_get(list, i);
}

ln_status ln__table_no_column(const ln__table *t, const char *path, const char *name)
{
    const char *near = ln__nearest(name, column_name, &t->names, t->cols);
    if (near)
        return ln__fail(LN_ERR_NOTFOUND, "%s: no column '" LN_NAME_FMT "'; did you mean '" LN_NAME_FMT "'?", path, name,
                        near);
    return ln__fail(LN_ERR_NOTFOUND, "%s: no column '" LN_NAME_FMT "'", path, name);
}

bool ln__list_holds(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = list; p && n > 0;) {
        const char *comma = strchr(p, ',');
        const size_t len = comma ? (size_t)(comma - p) : strlen(p);
        if (len == n && memcmp(p, name, n) == 0)
            return true;
        p = comma ? comma + 1 : NULL;
    }
    return false;
}

static cell read_cell(double *out, const char *text)
{
    static const char *const missing[] = { "", "NA", "N/A", "nan", "NaN", "NAN", "null", "NULL" };
    char *end = NULL;
    while (*text == ' ' || *text == '\t')
        text++;
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    for (int64_t i = 0; i < LN_COUNT(missing); i++)
        if (n == strlen(missing[i]) && memcmp(text, missing[i], n) == 0)
            return CELL_MISSING;
    *out = ln__strtod(text, &end);
    return end == text + n && isfinite(*out) ? CELL_NUMBER : CELL_TEXT;
}

/* ---- the columns ---- */

/* Takes one column of the file: its name (made from the place if there is none), and whether it is left out. */
static ln_status add_column(reader *r, int64_t i, const char *name, size_t len)
{
    ln_status st = LN_OK;
    bool fresh = false;
    char made[32];
    if (len == 0) {
        len = (size_t)ln__format(made, sizeof made, "x%lld", (long long)i);
        name = made;
    }
    if (!ln__name_ok(name, len))
        LN_FAIL(LN_ERR_FORMAT, "%s: the name of column %lld holds control characters or is not UTF-8", r->path,
                (long long)i + 1);
    LN_TRY(ln__names_add(&r->seen, name, len, &fresh));
    if (!fresh)
        LN_FAIL(LN_ERR_FORMAT, "%s: two columns are called '" LN_NAME_FMT "'", r->path, name);
    r->skipped[i] = r->o && ln__list_holds(r->o->skip, ln__names_get(&r->seen, i));
    if (!r->skipped[i]) {
        LN_TRY(ln__names_add(&r->t.names, name, len, &fresh));
        r->t.cols++;
    }
done:
    return st;
}

/* Every name in the list of columns to skip must exist. */
static ln_status check_skips(const reader *r)
{
    for (const char *p = r->o ? r->o->skip : NULL; p && *p;) {
        const char *comma = strchr(p, ',');
        const size_t len = comma ? (size_t)(comma - p) : strlen(p);
        if (ln__names_find(&r->seen, p, len) < 0)
            return ln__fail(LN_ERR_NOTFOUND, "%s: no column '%.*s' to leave out", r->path, (int)LN_MIN(len, 160), p);
        p = comma ? comma + 1 : NULL;
    }
    return LN_OK;
}

static ln_status begin(reader *r, int64_t width)
{
    ln_status st = LN_OK;
    r->width = width;
    LN_TRY(LN_NEW0(&r->skipped, width));
done:
    return st;
}

/* ---- text ---- */

static bool is_header(ln__csv_field *fields, int64_t n)
{
    double x;
    for (int64_t i = 0; i < n; i++)
        if (read_cell(&x, fields[i].text) == CELL_TEXT)
            return true;
    return false;
}

static ln_status take_record(reader *r, const ln__csv *c, ln__csv_field *fields)
{
    ln_status st = LN_OK;
    if (r->t.rows == r->cap) {
        const int64_t cap = r->cap ? r->cap * 2 : 64;
        LN_TRY(ln__realloc((void **)&r->t.data, (size_t)cap, (size_t)LN_MAX(r->t.cols, 1) * sizeof(double)));
        r->cap = cap;
    }
    double *row = r->t.data + r->t.rows * r->t.cols;
    for (int64_t i = 0, k = 0; i < r->width; i++) {
        if (r->skipped[i])
            continue;
        const char *text = fields[i].text, *name = ln__names_get(&r->seen, i);
        const cell what = read_cell(&row[k], text);
        if (what == CELL_TEXT)
            LN_FAIL(LN_ERR_FORMAT, "%s: line %lld, column '" LN_NAME_FMT "': '%.60s' is not a number", r->path,
                    (long long)ln__csv_line(c), name, text);
        if (what == CELL_MISSING) {
            if (!r->o || !r->o->keep_missing)
                LN_FAIL(LN_ERR_NUMERIC, "%s: line %lld, column '" LN_NAME_FMT "': the value is missing ('%.20s')",
                        r->path, (long long)ln__csv_line(c), name, text);
            row[k] = NAN;
            r->t.missing++;
        }
        k++;
    }
    r->t.rows++;
done:
    return st;
}

static ln_status read_text(reader *r)
{
    ln_status st = LN_OK;
    ln__csv *c = NULL;
    ln__csv_field *fields = NULL;
    int64_t n = 0;
    const bool tabs = ln__glob("*.tsv", r->path) || ln__glob("*.tsv.gz", r->path);
    LN_TRY(ln__csv_open(&c, r->path, tabs ? '\t' : ','));
    LN_TRY(ln__csv_next(c, &fields, &n));
    if (!fields)
        LN_FAIL(LN_ERR_FORMAT, "%s: no rows", r->path);
    LN_TRY(begin(r, n));
    const bool header = is_header(fields, n);
    for (int64_t i = 0; i < n; i++)
        LN_TRY(add_column(r, i, fields[i].text, header ? fields[i].len : 0));
    LN_TRY(check_skips(r));
    if (header)
        LN_TRY(ln__csv_next(c, &fields, &n));
    while (fields) {
        LN_TRY(take_record(r, c, fields));
        LN_TRY(ln__csv_next(c, &fields, &n));
    }
done:
    ln__csv_free(c);
    return st;
}

/* ---- npy ---- */

static ln_status take_array(reader *r, const ln_tensor *x)
{
    ln_status st = LN_OK;
    const double *from = ln_tensor_cdata(x);
    const int64_t rows = ln_tensor_dim(x, 0);
    for (int64_t i = 0; i < r->width; i++)
        LN_TRY(add_column(r, i, NULL, 0));
    LN_TRY(check_skips(r));
    LN_TRY(ln__alloc((void **)&r->t.data, (size_t)rows, (size_t)LN_MAX(r->t.cols, 1) * sizeof(double)));
    double *to = r->t.data;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < r->width; j++, from++) {
            if (r->skipped[j])
                continue;
            if (isinf(*from) || (isnan(*from) && !(r->o && r->o->keep_missing)))
                LN_FAIL(LN_ERR_NUMERIC, "%s: row %lld, column '" LN_NAME_FMT "' is %s", r->path, (long long)i,
                        ln__names_get(&r->seen, j), isnan(*from) ? "NaN" : "infinite");
            r->t.missing += isnan(*from);
            *to++ = *from;
        }
    r->t.rows = rows;
done:
    return st;
}

static ln_status read_array(reader *r)
{
    ln_status st = LN_OK;
    ln_tensor *x = NULL, *wide = NULL;
    LN_TRY(ln__archive_only(&x, NULL, r->path));
    const int ndim = ln_tensor_ndim(x);
    if (ndim != 1 && ndim != 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: an array with %d dimensions, a table has 2", r->path, ndim);
    LN_TRY(ln_tensor_convert(&wide, x, LN_F64));
    LN_TRY(begin(r, ndim == 2 ? ln_tensor_dim(x, 1) : 1));
    LN_TRY(take_array(r, wide));
done:
    ln_tensor_release(wide);
    ln_tensor_release(x);
    return st;
}

ln_status ln__table_read(ln__table *out, const char *path, const ln__table_opts *opts)
{
    ln_status st = LN_OK;
    reader r = { .path = path, .o = opts };
    LN_TRY(ln__glob("*.npy", path) ? read_array(&r) : read_text(&r));
    if (r.t.rows == 0 || r.t.cols == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: %lld rows of %lld columns: no numbers", path, (long long)r.t.rows,
                (long long)r.t.cols);
    *out = r.t;
    r.t = (ln__table){ 0 };
done:
    ln__table_free(&r.t);
    ln__names_free(&r.seen);
    ln__free(r.skipped);
    return st;
}
