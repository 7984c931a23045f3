/* series.c - CSV to a series: header and dates are recognised, spacing is inferred, what is missing is refused or
 * filled, and the rows that follow can be written with their dates.
 *
 * A first record is a header when some field in it is neither a number, nor a date, nor missing. The dates are the
 * first column whose first value is a date. Pitfall: a row too many or too few shifts every window behind it, so a date
 * that does not follow from the one before is refused, by row. */
#include "forecast/series.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/words.h"
#include "io/csv.h"
#include "io/names.h"

static bool missing(const char *text)
{
    static const char *const words[] = { "", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "?", "-" };
    for (int i = 0; i < LN_COUNT(words); i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool number(double *out, const char *text)
{
    char *end = NULL;
    *out = ln__strtod(text, &end);
    while (end && *end == ' ')
        end++;
    return end != text && *end == '\0' && isfinite(*out);
}

static bool dated(const char *text)
{
    ln__date d;
    ln__date_style style;
    return ln__date_read(&d, &style, text);
}

/* ---- reading ---- */

typedef struct reader {
    ln__series *s;
    ln__csv *csv;
    const ln_forecast_opts *o;
    int64_t columns, date_column; /* -1: none */
    int64_t row;                  /* records of data so far */
    int64_t room;
    ln__date *dates;
    char **names; /* of all columns */
} reader;

static ln_status name_columns(reader *r, const ln__csv_field *fields, int64_t n, bool header)
{
    ln_status st = LN_OK;
    r->columns = n;
    LN_TRY(LN_NEW0(&r->names, n));
    for (int64_t i = 0; i < n; i++) {
        if (header && !ln__name_ok(fields[i].text, fields[i].len))
            LN_FAIL(LN_ERR_FORMAT, "%s: the name of column %lld is not UTF-8 text", ln__csv_name(r->csv),
                    (long long)i + 1);
        if (header && fields[i].len > 0)
            LN_TRY(ln__strdup(&r->names[i], fields[i].text));
        else
            LN_TRY(ln__sprintf(&r->names[i], "%lld", (long long)i + 1));
    }
done:
    return st;
}

static ln_status find_dates(reader *r, const ln__csv_field *fields)
{
    const char *want = r->o->date;
    r->date_column = -1;
    if (want && strcmp(want, "none") == 0)
        return LN_OK;
    for (int64_t i = 0; i < r->columns && r->date_column < 0; i++)
        if (want ? strcmp(r->names[i], want) == 0 : dated(fields[i].text))
            r->date_column = i;
    if (want && r->date_column < 0)
        return ln__fail(LN_ERR_NOTFOUND, "%s: --date %s: there is no such column", ln__csv_name(r->csv), want);
    return LN_OK;
}

static ln_status begin(reader *r, const ln__csv_field *fields)
{
    ln_status st = LN_OK;
    ln__series *s = r->s;
    LN_TRY(find_dates(r, fields));
    s->dated = r->date_column >= 0;
    s->channels = r->columns - s->dated;
    if (s->channels == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: no column of numbers", ln__csv_name(r->csv));
    LN_TRY(LN_NEW0(&s->names, s->channels));
    for (int64_t i = 0, c = 0; i < r->columns; i++)
        LN_TRY(ln__strdup(i == r->date_column ? &s->date_name : &s->names[c++], r->names[i]));
done:
    return st;
}

static ln_status grow(reader *r)
{
    ln_status st = LN_OK;
    if (r->row < r->room)
        return LN_OK;
    const int64_t room = r->room ? 2 * r->room : 1024;
    LN_TRY(ln__realloc((void **)&r->s->x, (size_t)room, (size_t)r->s->channels * sizeof *r->s->x));
    if (r->s->dated)
        LN_TRY(ln__realloc((void **)&r->dates, (size_t)room, sizeof *r->dates));
    r->room = room;
done:
    return st;
}

static ln_status take_row(reader *r, const ln__csv_field *fields)
{
    ln_status st = LN_OK;
    ln__series *s = r->s;
    LN_TRY(grow(r));
    for (int64_t i = 0, c = 0; i < r->columns; i++) {
        const char *text = fields[i].text;
        if (i == r->date_column) {
            if (!ln__date_read(&r->dates[r->row], &s->style, text))
                LN_FAIL(LN_ERR_FORMAT, "%s: line %lld, column '%s': '%s' is no date (YYYY-MM-DD, perhaps HH:MM:SS)",
                        ln__csv_name(r->csv), (long long)ln__csv_line(r->csv), r->names[i], text);
            continue;
        }
        double *x = &s->x[r->row * s->channels + c++];
        if (missing(text)) {
            *x = NAN;
            s->filled++;
            if (r->o->fill == LN_FILL_REFUSE)
                LN_FAIL(LN_ERR_NUMERIC, "%s: line %lld, column '%s': a missing value ('%s'); --fill says how to go on",
                        ln__csv_name(r->csv), (long long)ln__csv_line(r->csv), r->names[i], text);
        } else if (!number(x, text)) {
            LN_FAIL(LN_ERR_FORMAT, "%s: line %lld, column '%s': '%s' is not a finite number", ln__csv_name(r->csv),
                    (long long)ln__csv_line(r->csv), r->names[i], text);
        }
    }
    r->row++;
done:
    return st;
}

static ln_status check_dates(reader *r)
{
    char want[64], found[64], step[64];
    int64_t bad;
    ln__series *s = r->s;
    if (!s->dated)
        return LN_OK;
    if (r->row < 2)
        return ln__fail(LN_ERR_SHAPE, "%s: one row of data, at least two are needed to see their spacing",
                        ln__csv_name(r->csv));
    s->last = r->dates[r->row - 1];
    ln__spacing_find(&s->spacing, &bad, r->dates, r->row);
    if (bad < 0)
        return LN_OK;
    if (bad == 1)
        return ln__fail(LN_ERR_FORMAT, "%s: row 2 of the data: date %s does not come after %s", ln__csv_name(r->csv),
                        ln__date_text(found, sizeof found, r->dates[1], &s->style),
                        ln__date_text(want, sizeof want, r->dates[0], &s->style));
    return ln__fail(LN_ERR_FORMAT, "%s: row %lld of the data: date %s, expected %s (spacing so far: %s)",
                    ln__csv_name(r->csv), (long long)bad + 1,
                    ln__date_text(found, sizeof found, r->dates[bad], &s->style),
                    ln__date_text(want, sizeof want, ln__spacing_next(&s->spacing, r->dates[bad - 1]), &s->style),
                    ln__spacing_text(step, sizeof step, &s->spacing));
}

/* From the values known before and after; at the ends from the nearest. */
static ln_status fill_channel(const ln__series *s, int64_t c, bool linear, const char *path)
{
    int64_t before = -1;
    for (int64_t t = 0; t < s->rows; t++) {
        if (!isnan(s->x[t * s->channels + c])) {
            before = t;
            continue;
        }
        int64_t after = t;
        while (after < s->rows && isnan(s->x[after * s->channels + c]))
            after++;
        if (before < 0 && after == s->rows)
            return ln__fail(LN_ERR_NUMERIC, "%s: column '%s' has no value at all", path, s->names[c]);
        const double a = before >= 0 ? s->x[before * s->channels + c] : s->x[after * s->channels + c];
        const double b = after < s->rows && (linear || before < 0) ? s->x[after * s->channels + c] : a;
        for (; t < after; t++)
            s->x[t * s->channels + c] = before < 0 ? b : a + (b - a) * (double)(t - before) / (double)(after - before);
        t--;
    }
    return LN_OK;
}

static bool all_texts(const ln__csv_field *fields, int64_t n)
{
    double x;
    for (int64_t i = 0; i < n; i++)
        if (!missing(fields[i].text) && !number(&x, fields[i].text) && !dated(fields[i].text))
            return true;
    return false;
}

static ln_status read_all(reader *r, const char *path)
{
    ln_status st = LN_OK;
    ln__csv_field *fields = NULL;
    int64_t n = 0;
    LN_TRY(ln__csv_open(&r->csv, path, ','));
    LN_TRY(ln__csv_next(r->csv, &fields, &n));
    if (!fields)
        LN_FAIL(LN_ERR_FORMAT, "%s: empty, expected rows of numbers", path);
    const bool header = all_texts(fields, n);
    LN_TRY(name_columns(r, fields, n, header));
    if (header)
        LN_TRY(ln__csv_next(r->csv, &fields, &n));
    if (!fields)
        LN_FAIL(LN_ERR_FORMAT, "%s: a header and no rows", path);
    LN_TRY(begin(r, fields));
    while (fields) {
        LN_TRY(take_row(r, fields));
        LN_TRY(ln__csv_next(r->csv, &fields, &n));
    }
    r->s->rows = r->row;
    LN_TRY(check_dates(r));
    if (r->s->filled > 0)
        for (int64_t c = 0; c < r->s->channels; c++)
            LN_TRY(fill_channel(r->s, c, r->o->fill == LN_FILL_LINEAR, path));
done:
    return st;
}

ln_status ln__series_read(ln__series *s, const char *path, const ln_forecast_opts *o)
{
    reader r = { .s = s, .o = o };
    const ln_status st = read_all(&r, path);
    ln__csv_free(r.csv);
    ln__free(r.dates);
    for (int64_t i = 0; r.names && i < r.columns; i++)
        ln__free(r.names[i]);
    ln__free(r.names);
    return st;
}

void ln__series_free(ln__series *s)
{
    ln__free(s->x);
    for (int64_t c = 0; s->names && c < s->channels; c++)
        ln__free(s->names[c]);
    ln__free(s->names);
    ln__free(s->date_name);
    *s = (ln__series){ 0 };
}

/* ---- writing ---- */

static ln_status put_name(ln__buf *b, const char *name)
{
    ln_status st = LN_OK;
    if (!strpbrk(name, ",\"\r\n"))
        return ln__buf_puts(b, name);
    LN_TRY(ln__buf_puts(b, "\""));
    for (const char *p = name; *p; p++)
        LN_TRY(ln__buf_add(b, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1));
    LN_TRY(ln__buf_puts(b, "\""));
done:
    return st;
}

ln_status ln__series_write_next(const ln__series *s, const char *path, const double *rows, int64_t n)
{
    ln_status st = LN_OK;
    ln__buf b = { 0 };
    ln__date at = s->last;
    char text[64];
    if (s->dated)
        LN_TRY(put_name(&b, s->date_name));
    for (int64_t c = 0; c < s->channels; c++) {
        LN_TRY(ln__buf_puts(&b, c > 0 || s->dated ? "," : ""));
        LN_TRY(put_name(&b, s->names[c]));
    }
    LN_TRY(ln__buf_puts(&b, "\n"));
    for (int64_t t = 0; t < n; t++) {
        if (s->dated) {
            at = ln__spacing_next(&s->spacing, at);
            LN_TRY(ln__buf_puts(&b, ln__date_text(text, sizeof text, at, &s->style)));
        }
        for (int64_t c = 0; c < s->channels; c++) {
            char real[32];
            LN_TRY(ln__buf_puts(&b, c > 0 || s->dated ? "," : ""));
            LN_TRY(ln__buf_puts(&b, ln__real_text(real, rows[t * s->channels + c])));
        }
        LN_TRY(ln__buf_puts(&b, "\n"));
    }
    LN_TRY(ln__file_write(path, b.data, b.len));
done:
    ln__buf_free(&b);
    return st;
}
