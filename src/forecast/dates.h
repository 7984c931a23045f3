/* dates.h - points in time as tables write them, the spacing between them, and writing more of them. */
#ifndef LINNET_FORECAST_DATES_H
#define LINNET_FORECAST_DATES_H

#include "core/core.h"

typedef struct ln__date {
    int64_t day;    /* since 1970-01-01, proleptic Gregorian */
    int64_t second; /* of the day */
} ln__date;

/* How a date was written, so that the next ones look alike. */
typedef struct ln__date_style {
    char sep;  /* '-', '/' or '.' */
    char join; /* between date and time: ' ' or 'T'; 0: no time */
    bool day;  /* false: year and month only */
    bool seconds;
    bool zulu; /* a 'Z' at the end */
} ln__date_style;

/* YYYY-MM-DD, YYYY/MM/DD, YYYY.MM.DD or YYYY-MM, then perhaps HH:MM[:SS] after a blank or T, then perhaps Z. The whole
 * text must be one. */
bool ln__date_read(ln__date *out, ln__date_style *style, const char *text);
char *ln__date_text(char *buf, size_t n, ln__date d, const ln__date_style *style);

typedef enum ln__spacing_kind { LN__EVERY_SECONDS = 0, LN__EVERY_MONTHS = 1, LN__EVERY_WEEKDAY = 2 } ln__spacing_kind;

typedef struct ln__spacing {
    ln__spacing_kind kind;
    int64_t step;   /* seconds or months */
    bool month_end; /* the last day of each month */
    int64_t day;    /* months: day of the month */
} ln__spacing;

/* From the first rows. *bad: the first row that does not fit, or -1; n >= 2. */
void ln__spacing_find(ln__spacing *s, int64_t *bad, const ln__date *dates, int64_t n);
ln__date ln__spacing_next(const ln__spacing *s, ln__date d);
/* "1 h", "1 day", "every weekday", "3 months". Writes into buf and returns it. */
char *ln__spacing_text(char *buf, size_t n, const ln__spacing *s);

#endif
