/* series.h - a table over time as a file holds it, and its division into train, validation and test. */
#ifndef LINNET_FORECAST_SERIES_H
#define LINNET_FORECAST_SERIES_H

#include <linnet/forecast.h>

#include "forecast/dates.h"

typedef struct ln__series {
    int64_t rows, channels;
    double *x;    /* (rows, channels) */
    char **names; /* of channels */
    bool dated;
    char *date_name;
    ln__date last; /* of the last row */
    ln__date_style style;
    ln__spacing spacing;
    int64_t filled; /* values that were missing */
} ln__series;

/* CSV, plain or gzip, with or without a header. Zero-initialise; free in any case. */
ln_status ln__series_read(ln__series *s, const char *path, const ln_forecast_opts *o);
void ln__series_free(ln__series *s);
/* A table with the dates after the last row: `rows` (n, channels). */
ln_status ln__series_write_next(const ln__series *s, const char *path, const double *rows, int64_t n);

/* Rows [0, train), [train, valid), [valid, test) are learned from, chosen by and tested on. */
typedef struct ln__split {
    int64_t train, valid, test;
    const char *name; /* "etth", "ettm" or "fractions" */
} ln__split;
/* `file` may be NULL: it decides what "auto" is. */
ln_status ln__split_of(ln__split *s, int64_t rows, const char *how, const char *file);

/* Autocorrelation of the differences of x (rows, channels), mean over the channels that vary, at lags 0 … lags-1. */
ln_status ln__acf(double *acf, int64_t lags, const double *x, int64_t rows, int64_t channels);
/* The smallest lag >= 2 with a local maximum of at least 0.8 of the highest, also at its multiples, if that is clear;
 * else 1. */
int64_t ln__period_of(const double *acf, int64_t lags, int64_t rows);
int64_t ln__period_lags(int64_t rows); /* worth looking at */

#endif
