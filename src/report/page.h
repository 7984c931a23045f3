/* page.h - the report's page under construction. Writing never fails visibly: the first failure is kept in `st` and
 * later calls do nothing, so that the renderers read like the page. Internal. */
#ifndef LINNET_REPORT_PAGE_H
#define LINNET_REPORT_PAGE_H

#include <jansson.h>

#include "core/core.h"

/* What a page may show of each thing. report.c lowers them until the page is small enough. */
typedef struct ln__budget_of_page {
    int64_t points; /* per curve                       */
    int64_t rows;   /* per table                       */
    int64_t chars;  /* per text, bytes                 */
    int64_t items;  /* numbers of a list               */
    int64_t curves; /* in one chart                    */
    int64_t charts; /* on the page                     */
} ln__budget_of_page;

typedef struct ln__page {
    ln__buf out;
    ln_status st;
    ln__budget_of_page budget;
    int64_t next_id; /* for references inside the page */
} ln__page;

/* ---- page.c ---- */
void ln__page_put(ln__page *p, const char *html); /* as it is */
__attribute__((format(printf, 2, 3))) void ln__page_putf(ln__page *p, const char *fmt, ...);
/* Text of any origin: markup characters become entities, control characters U+FFFD, cut at `max` bytes (0: not). */
void ln__page_text(ln__page *p, const char *text, size_t bytes, int64_t max);
void ln__page_str(ln__page *p, const char *text);  /* ln__page_text of a whole string, cut at budget.chars */
void ln__page_label(ln__page *p, const char *key); /* "bits_per_byte" -> "bits per byte" */
/* A number as people read it; the key says whether it counts bytes or seconds. Exact value as tooltip. */
void ln__page_number(ln__page *p, const char *key, const json_t *value);
/* Plain text of a number: 5 significant digits, grouped whole numbers. Writes into buf (48 bytes). */
char *ln__number_text(char *buf, const char *key, const json_t *value);
/* Does one of the '_'-separated words of `key` equal `word`? */
bool ln__key_has(const char *key, const char *word);
const char *ln__member(const json_t *object, const char *key, const char *fallback); /* a string member */

/* ---- values.c ---- */
/* Any JSON value below a heading of level h2 … h4: scalars as one table, the rest nested. */
void ln__page_object(ln__page *p, const json_t *object, int level);
/* Rows of objects: one column per key, in the order keys appear. */
void ln__page_rows(ln__page *p, const json_t *array);
void ln__page_tiles(ln__page *p, const json_t *results);

/* ---- chart.c, series.c, ticks.c ---- */
void ln__page_charts(ln__page *p, const json_t *series);

typedef struct ln__axis {
    double lo, hi; /* of the data; after ln__axis_fit also covering the outer ticks */
    bool log;
    double from, to; /* user units of the drawing that lo and hi go to */
    double tick[16];
    int ticks;
} ln__axis;
/* Ticks at 1, 2 or 5 times a power of ten (Heckbert 1990), or decades on a log axis. */
void ln__axis_fit(ln__axis *a, int wanted);
double ln__axis_at(const ln__axis *a, double value);
char *ln__tick_text(char *buf, const ln__axis *a, double value); /* 32 bytes */

/* One curve, checked and thinned. */
typedef struct ln__curve {
    const char *name;
    double *x, *y;
    int64_t n, all; /* shown, and in the envelope */
    bool rising;    /* x never falls: points may be joined */
} ln__curve;
/* False: nothing that can be drawn. Thinning keeps the least and the greatest y of each stretch. */
bool ln__curve_read(ln__page *p, ln__curve *c, const json_t *series);
void ln__curve_free(ln__curve *c);

/* ---- style.c ---- */
extern const char *const ln__report_css[]; /* parts, NULL-terminated */
extern const char ln__report_js[];

#endif
