/* samples.c - from a table to columns and target; what is done about missing values. */
#include <math.h>
#include <string.h>

#include "io/archive.h"
#include "solve/regress_files.h"

void ln__samples_free(ln__samples *s)
{
    ln__table_free(&s->t);
    ln__free(s->x);
    ln__free(s->y);
    ln__free(s->column);
    ln__free(s->row);
    *s = (ln__samples){ 0 };
}

static ln_status read_table(ln__samples *s, const char *path, const ln_regress_opts *o)
{
    const ln__table_opts opts = { .skip = o->ignore, .keep_missing = o->missing != LN_MISSING_REFUSE };
    return ln__table_read(&s->t, path, &opts);
}

static double cell(const ln__samples *s, int64_t row, int64_t column)
{
    return s->t.data[row * s->t.cols + column];
}

/* The rows that stay: all; with --missing drop those without gaps; with mean those whose target is known. */
static ln_status keep_rows(ln__samples *s, const char *path, const ln_regress_opts *o, int64_t target)
{
    ln_status st = LN_OK;
    LN_TRY(LN_NEW(&s->row, s->t.rows));
    for (int64_t i = 0; i < s->t.rows; i++) {
        bool keep = target < 0 || !isnan(cell(s, i, target));
        for (int64_t j = 0; keep && o->missing == LN_MISSING_DROP && j < s->d; j++)
            keep = s->column[j] < 0 || !isnan(cell(s, i, s->column[j]));
        if (keep)
            s->row[s->n++] = i;
    }
    s->dropped = s->t.rows - s->n;
    if (s->n == 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: no row is without missing values", path);
done:
    return st;
}

/* x from the chosen rows and columns; column -1 is absent (its coefficient is 0) and becomes zeros. */
static ln_status fill(ln__samples *s, const char *path, const double *means, int64_t target)
{
    ln_status st = LN_OK;
    LN_TRY(ln__alloc((void **)&s->x, (size_t)s->n, (size_t)s->d * sizeof *s->x));
    for (int64_t j = 0; j < s->d; j++) {
        double sum = 0;
        int64_t known = 0;
        for (int64_t i = 0; i < s->n; i++) {
            const double v = s->column[j] < 0 ? 0 : cell(s, s->row[i], s->column[j]);
            s->x[i * s->d + j] = v;
            sum += isnan(v) ? 0 : v;
            known += !isnan(v);
        }
        if (known == s->n)
            continue;
        if (known == 0 && !means)
            LN_FAIL(LN_ERR_NUMERIC, "%s: column '" LN_NAME_FMT "' has no value at all", path, ln__samples_name(s, j));
        for (int64_t i = 0; i < s->n; i++)
            if (isnan(s->x[i * s->d + j]))
                s->x[i * s->d + j] = means ? means[j] : sum / (double)known;
        s->filled += s->n - known;
    }
    if (target >= 0) {
        LN_TRY(LN_NEW(&s->y, s->n));
        for (int64_t i = 0; i < s->n; i++)
            s->y[i] = cell(s, s->row[i], target);
    }
done:
    return st;
}

ln_status ln__samples_read(ln__samples *s, const char *path, const ln_regress_opts *o)
{
    ln_status st = LN_OK;
    LN_TRY(read_table(s, path, o));
    const int64_t target = o->target ? ln__table_column(&s->t, o->target) : s->t.cols - 1;
    if (target < 0)
        LN_TRY(ln__table_no_column(&s->t, path, o->target));
    if (s->t.cols < 2)
        LN_FAIL(LN_ERR_SHAPE, "%s: one column: there is nothing to predict '" LN_NAME_FMT "' from", path,
                ln__names_get(&s->t.names, target));
    s->target = ln__names_get(&s->t.names, target);
    LN_TRY(LN_NEW(&s->column, s->t.cols));
    for (int64_t j = 0; j < s->t.cols; j++)
        if (j != target)
            s->column[s->d++] = j;
    LN_TRY(keep_rows(s, path, o, target));
    LN_TRY(fill(s, path, NULL, target));
done:
    return st;
}

ln_status ln__samples_read_for(ln__samples *s, const char *path, const ln_regress_opts *o, const ln__saved *model)
{
    ln_status st = LN_OK;
    LN_TRY(read_table(s, path, o));
    s->d = model->d;
    LN_TRY(LN_NEW(&s->column, s->d));
    for (int64_t j = 0; j < s->d; j++) {
        const char *name = ln__names_get(&model->names, j);
        s->column[j] = ln__table_column(&s->t, name);
        if (s->column[j] < 0 && model->coef[j] != 0)
            LN_TRY(ln__table_no_column(&s->t, path, name));
    }
    const int64_t target = ln__table_column(&s->t, model->target);
    s->target = target < 0 ? NULL : ln__names_get(&s->t.names, target);
    LN_TRY(keep_rows(s, path, o, target));
    LN_TRY(fill(s, path, model->mean, target));
done:
    return st;
}
