/* regress_report.c - coefficients by name, errors, the cross-validation curve and the coefficient path. */
#include "solve/regress_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/json.h"

enum { ROWS_MOST = 500, CURVES_MOST = 12, NAMES_MOST = 100 };

ln_status ln__report_errors(ln_result *result, const char *prefix, const double *coef, double intercept,
                            const double *x, const double *y, int64_t n, int64_t d)
{
    ln_status st = LN_OK;
    double *p = NULL, mean = 0, miss = 0, spread = 0;
    char key[32];
    LN_TRY(LN_NEW(&p, n));
    ln__regression_predict(p, coef, intercept, x, d, n, d);
    for (int64_t i = 0; i < n; i++)
        mean += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        miss += (y[i] - p[i]) * (y[i] - p[i]);
        spread += (y[i] - mean) * (y[i] - mean);
    }
    ln__format(key, sizeof key, "%smse", prefix);
    LN_TRY(ln_result_number(result, key, miss / (double)n));
    ln__format(key, sizeof key, "%sr2", prefix);
    if (spread > 0)
        LN_TRY(ln_result_number(result, key, 1 - miss / spread));
done:
    ln__free(p);
    return st;
}

/* ---- coefficients ---- */

static ln_status rank(ln__ranked **out, int64_t *n, const double *size, int64_t d)
{
    ln_status st = LN_OK;
    ln__ranked *r = NULL;
    *n = 0;
    LN_TRY(LN_NEW(&r, d));
    for (int64_t j = 0; j < d; j++)
        if (size[j] != 0)
            r[(*n)++] = (ln__ranked){ j, fabs(size[j]) };
    qsort(r, (size_t)*n, sizeof *r, ln__by_size);
    *out = r;
done:
    return st;
}

static ln_status add_coefficients(ln_result *result, const ln_regression *f, const ln__samples *s)
{
    ln_status st = LN_OK;
    ln__ranked *r = NULL;
    int64_t n = 0;
    char *text = NULL;
    json_t *rows = json_array(), *row = NULL;
    if (!rows)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    LN_TRY(rank(&r, &n, f->scaled, f->d));
    LN_TRY(ln_result_integer(result, "support", n));
    for (int64_t i = 0; i < LN_MIN(n, ROWS_MOST); i++) {
        if (!(row = json_object()))
            LN_FAIL(LN_ERR_NOMEM, "out of memory");
        LN_TRY(ln__json_set(row, "column", json_string(ln__samples_name(s, r[i].j))));
        LN_TRY(ln__json_set(row, "coefficient", json_real(f->coef[r[i].j])));
        LN_TRY(ln__json_set(row, "scaled", json_real(f->scaled[r[i].j])));
        st = ln__json_append(rows, row);
        row = NULL; /* taken, also on failure */
        LN_TRY(st);
    }
    LN_TRY(ln__json_text(&text, rows, 0));
    LN_TRY(ln_result_json(result, "coefficients", text));
done:
    json_decref(rows);
    json_decref(row);
    ln__free(text);
    ln__free(r);
    return st;
}

/* ---- columns that say nothing, or the same ---- */

static ln_status add_names(ln_result *result, const char *key, const ln__samples *s, const int64_t *column, int64_t n)
{
    ln_status st = LN_OK;
    char *text = NULL;
    json_t *names = json_array();
    if (!names)
        LN_FAIL(LN_ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < LN_MIN(n, NAMES_MOST); i++)
        LN_TRY(ln__json_append(names, json_string(ln__samples_name(s, column[i]))));
    LN_TRY(ln__json_text(&text, names, 0));
    LN_TRY(ln_result_json(result, key, text));
done:
    json_decref(names);
    ln__free(text);
    return st;
}

typedef struct hashed {
    uint64_t hash;
    int64_t j;
} hashed;

static int by_hash(const void *x, const void *y)
{
    const hashed *a = x, *b = y;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->j < b->j ? -1 : a->j > b->j;
}

static bool same_column(const ln__samples *s, int64_t a, int64_t b)
{
    for (int64_t i = 0; i < s->n; i++)
        if (s->x[i * s->d + a] != s->x[i * s->d + b])
            return false;
    return true;
}

/* Columns that repeat an earlier one value by value, and columns that never vary. */
static ln_status add_useless(ln_result *result, const ln__samples *s)
{
    ln_status st = LN_OK;
    hashed *h = NULL;
    int64_t *list = NULL, constant = 0, repeated = 0;
    double *column = NULL;
    LN_TRY(LN_NEW(&h, s->d));
    LN_TRY(LN_NEW(&list, s->d));
    LN_TRY(LN_NEW(&column, s->n));
    for (int64_t j = 0; j < s->d; j++) {
        bool varies = false;
        for (int64_t i = 0; i < s->n; i++) {
            column[i] = s->x[i * s->d + j];
            varies = varies || column[i] != column[0];
        }
        if (!varies)
            list[constant++] = j;
        h[j] = (hashed){ XXH64(column, (size_t)s->n * sizeof *column, 0), j };
    }
    if (constant > 0)
        LN_TRY(add_names(result, "constant_columns", s, list, constant));
    qsort(h, (size_t)s->d, sizeof *h, by_hash);
    for (int64_t i = 1; i < s->d; i++)
        if (h[i].hash == h[i - 1].hash && same_column(s, h[i].j, h[i - 1].j))
            list[repeated++] = h[i].j;
    if (repeated > 0)
        LN_TRY(add_names(result, "repeated_columns", s, list, repeated));
done:
    ln__free(h);
    ln__free(list);
    ln__free(column);
    return st;
}

/* ---- curves ---- */

static const char *axis_label(const ln_regression *f)
{
    return f->method->logarithmic ? "log10 lambda" : f->method->axis;
}

static void axis_values(double *x, const ln_regression *f, int64_t group)
{
    for (int64_t t = 0; t < f->grid.steps; t++) {
        const double v = f->grid.value[group * f->grid.steps + t];
        x[t] = f->method->logarithmic ? log10(v) : v;
    }
}

static ln_status add_cv_curves(ln_result *result, const ln_regression *f, double *x, double *y)
{
    ln_status st = LN_OK;
    char name[64];
    const int64_t steps = f->grid.steps;
    for (int64_t g = 0; g < f->grid.groups; g++) {
        const double *mean = f->cv.mean + g * steps;
        ln__format(name, sizeof name, "mean of %lld folds", (long long)f->cv.folds);
        axis_values(x, f, g);
        LN_TRY(ln_result_series(result, "cross-validation", name, axis_label(f), "mean squared error", x, mean, steps));
    }
    for (int sign = -1; f->grid.groups == 1 && sign <= 1; sign += 2) {
        for (int64_t t = 0; t < steps; t++)
            y[t] = f->cv.mean[t] + sign * f->cv.se[t];
        LN_TRY(ln_result_series(result, "cross-validation", sign < 0 ? "- 1 s.e." : "+ 1 s.e.", axis_label(f),
                                "mean squared error", x, y, steps));
    }
done:
    return st;
}

/* The largest coefficients anywhere on the chosen group's path, each a curve. */
static ln_status add_path_curves(ln_result *result, const ln_regression *f, const ln__samples *s, double *x, double *y)
{
    ln_status st = LN_OK;
    double *size = NULL;
    ln__ranked *r = NULL;
    int64_t n = 0;
    LN_TRY(LN_NEW0(&size, f->d));
    for (int64_t t = 0; t < f->grid.steps; t++)
        for (int64_t j = 0; j < f->d; j++)
            size[j] = fmax(size[j], fabs(f->path.w[t * f->d + j]));
    LN_TRY(rank(&r, &n, size, f->d));
    axis_values(x, f, f->group);
    for (int64_t i = 0; i < LN_MIN(n, CURVES_MOST); i++) {
        for (int64_t t = 0; t < f->grid.steps; t++)
            y[t] = f->path.w[t * f->d + r[i].j];
        LN_TRY(ln_result_series(result, "coefficient path", ln__samples_name(s, r[i].j), axis_label(f),
                                "coefficient of the scaled column", x, y, f->grid.steps));
    }
done:
    ln__free(size);
    ln__free(r);
    return st;
}

static ln_status add_curves(ln_result *result, const ln_regression *f, const ln__samples *s)
{
    ln_status st = LN_OK;
    double *x = NULL, *y = NULL;
    LN_TRY(LN_NEW(&x, f->grid.steps));
    LN_TRY(LN_NEW(&y, f->grid.steps));
    if (f->cv.folds > 0)
        LN_TRY(add_cv_curves(result, f, x, y));
    LN_TRY(add_path_curves(result, f, s, x, y));
done:
    ln__free(x);
    ln__free(y);
    return st;
}

/* ---- all of it ---- */

static ln_status add_conventions(ln_result *result, const ln_regress_opts *o)
{
    char text[128];
    ln__format(text, sizeof text, "|y - Xw|^2/(2n) + penalty; %s; columns %s",
               o->intercept ? "centred, with intercept" : "no intercept",
               o->standardize ? "divided by their standard deviation (of n)" : "not scaled");
    return ln_result_text(result, "conventions", text);
}

ln_status ln__report_fit(ln_result *result, const ln_regression *f, const ln__samples *s, const ln_regress_opts *o)
{
    ln_status st = LN_OK;
    const int64_t at = f->group * f->grid.steps + f->step;
    LN_TRY(ln_result_integer(result, "columns", s->d));
    LN_TRY(ln_result_text(result, "target", s->target));
    LN_TRY(add_conventions(result, o));
    LN_TRY(ln_result_number(result, f->method->axis, f->strength));
    LN_TRY(ln_result_text(result, "chosen_by",
                          f->grid.chosen >= 0       ? "the option"
                          : o->rule == LN_CV_ONE_SE ? "cross-validation, one standard error"
                                                    : "cross-validation, least error"));
    if (f->cv.folds > 0) {
        LN_TRY(ln_result_integer(result, "cv_folds", f->cv.folds));
        LN_TRY(ln_result_number(result, "cv_mse", f->cv.mean[at]));
        LN_TRY(ln_result_number(result, "cv_mse_se", f->cv.se[at]));
    }
    LN_TRY(ln_result_number(result, "intercept", f->intercept));
    LN_TRY(add_coefficients(result, f, s));
    if (f->path.iterations > 0) {
        LN_TRY(ln_result_number(result, "duality_gap", f->path.gap[f->step]));
        LN_TRY(ln_result_integer(result, "sweeps", f->path.iterations));
        LN_TRY(
            ln_result_number(result, "screened_fraction", (double)f->path.screened / (double)(f->grid.steps * f->d)));
    }
    LN_TRY(ln_result_bool(result, "converged", f->path.converged));
    LN_TRY(add_useless(result, s));
    LN_TRY(add_curves(result, f, s));
done:
    return st;
}
