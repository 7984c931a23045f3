/* linnet/result.h - the one result envelope (schema linnet.result/1): JSON, HTML report and docs are made from it. */
#ifndef LINNET_RESULT_H
#define LINNET_RESULT_H

#include <linnet/params.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ln_result ln_result;

/** `system` may be NULL. The clock for "seconds" starts here. */
LN_API LN_MUST_CHECK ln_status ln_result_new(ln_result **out, const char *verb, const char *system);
LN_API void ln_result_free(ln_result *r);

/** Every effective option of a table goes into "options". May be called for several tables. */
LN_API LN_MUST_CHECK ln_status ln_result_options(ln_result *r, const ln_param *table, const void *opts);
/** Path, bytes and xxh64 of an input; for a directory those of its regular files, in name order. */
LN_API LN_MUST_CHECK ln_status ln_result_input(ln_result *r, const char *path);

/** "results". `key` is snake_case; "a.b" nests. Setting a key again replaces it. NaN and Inf: LN_ERR_NUMERIC. */
LN_API LN_MUST_CHECK ln_status ln_result_number(ln_result *r, const char *key, double value);
LN_API LN_MUST_CHECK ln_status ln_result_integer(ln_result *r, const char *key, int64_t value);
LN_API LN_MUST_CHECK ln_status ln_result_bool(ln_result *r, const char *key, bool value);
LN_API LN_MUST_CHECK ln_status ln_result_text(ln_result *r, const char *key, const char *value);
LN_API LN_MUST_CHECK ln_status ln_result_integers(ln_result *r, const char *key, const int32_t *values, int64_t n);
LN_API LN_MUST_CHECK ln_status ln_result_numbers(ln_result *r, const char *key, const double *values, int64_t n);
/** Any JSON value as text (an array of layer objects, say). */
LN_API LN_MUST_CHECK ln_status ln_result_json(ln_result *r, const char *key, const char *json);

/** One number that a check measured. */
typedef struct ln_measure {
    const char *name;
    double value;
} ln_measure;
/** A checked relation: what was claimed, how it was tested, what was measured, whether it holds. */
LN_API LN_MUST_CHECK ln_status ln_result_check(ln_result *r, const char *name, const char *claim, const char *relation,
                                               const ln_measure *measured, int n, bool holds);
/** A curve for the report: `group` collects curves into one chart, x_label and y_label name its axes. */
LN_API LN_MUST_CHECK ln_status ln_result_series(ln_result *r, const char *group, const char *name, const char *x_label,
                                                const char *y_label, const double *x, const double *y, int64_t n);
/** All checks hold? (true when there are none) */
LN_API bool ln_result_holds(const ln_result *r);

/** The envelope as JSON, numbers exact. `indent` 0: one line. Free with ln_free. */
LN_API LN_MUST_CHECK ln_status ln_result_write_text(char **json, const ln_result *r, int indent);
/** To a file, atomically; "-" is standard output. */
LN_API LN_MUST_CHECK ln_status ln_result_write(const ln_result *r, const char *path);

/** One offline HTML page (under 2 MB) from an envelope's JSON text. Free with ln_free. (src/report) */
LN_API LN_MUST_CHECK ln_status ln_report_html(char **html, const char *result_json);
/** The same envelope as a section of Markdown: what ran, checks, tables of rows. Free with ln_free. (src/report) */
LN_API LN_MUST_CHECK ln_status ln_report_markdown(char **markdown, const char *result_json);

#ifdef __cplusplus
}
#endif
#endif
