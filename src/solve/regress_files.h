/* regress_files.h - the files of a regression: its table, what it saves and loads. */
#ifndef LINNET_SOLVE_REGRESS_FILES_H
#define LINNET_SOLVE_REGRESS_FILES_H

#include "io/table.h"
#include "solve/regress.h"

/* A table divided into columns and target. */
typedef struct ln__samples {
    ln__table t;
    int64_t n, d;
    double *x, *y;   /* (n, d); y is NULL where the target is not in the table */
    int64_t *column; /* (d) of the table                                       */
    const char *target;
    int64_t dropped, filled; /* rows and cells with missing values             */
    int64_t *row;            /* (n) of the table                                */
} ln__samples;

/* Columns to fit: all but the target. */
ln_status ln__samples_read(ln__samples *s, const char *path, const ln_regress_opts *o);
/* The columns a saved fit wants, by name; those it does not use may be missing. `means` fill missing cells. */
struct ln__saved;
ln_status ln__samples_read_for(ln__samples *s, const char *path, const ln_regress_opts *o,
                               const struct ln__saved *model);
void ln__samples_free(ln__samples *s);
static inline const char *ln__samples_name(const ln__samples *s, int64_t j)
{
    return ln__names_get(&s->t.names, s->column[j]);
}

/* What a fit leaves on disk: model.safetensors (coefficients, means) and linnet.json (names, options, provenance). */
typedef struct ln__saved {
    ln__names names;
    char *target, *system, *axis;
    double *coef, *mean;
    double intercept, strength;
    int64_t d;
} ln__saved;
ln_status ln__saved_write(const char *dir, const ln_regression *f, const ln__samples *s, const ln_job *job,
                          const void *opts);
ln_status ln__saved_read(ln__saved *m, const char *dir);
void ln__saved_free(ln__saved *m);

#endif
