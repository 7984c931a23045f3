/* json.h - thin help over jansson: parsing with file names in messages, typed access, exact numbers. */
#ifndef LINNET_CORE_JSON_H
#define LINNET_CORE_JSON_H

#include <jansson.h>

#include "core/core.h"

/* LN_ERR_FORMAT names `what`, line and column. Duplicate keys are refused. Depth is limited. */
ln_status ln__json_parse(json_t **out, const char *text, size_t bytes, const char *what);
ln_status ln__json_read(json_t **out, const char *path);
ln_status ln__json_write(const char *path, const json_t *value, int indent); /* atomic */
/* Text with numbers that read back exactly; free with ln__free. indent 0: one line. */
ln_status ln__json_text(char **out, const json_t *value, int indent);

/* Typed members of an object: the value, or the fallback when absent or null; a wrong type is LN_ERR_FORMAT naming the
 * key. Integers may be written as 2048.0. */
ln_status ln__json_int(int64_t *out, const json_t *object, const char *key, int64_t fallback, const char *what);
ln_status ln__json_real(double *out, const json_t *object, const char *key, double fallback, const char *what);
ln_status ln__json_bool(bool *out, const json_t *object, const char *key, bool fallback, const char *what);
/* Borrowed from `object`; NULL fallback allowed. */
ln_status ln__json_str(const char **out, const json_t *object, const char *key, const char *fallback, const char *what);
/* A JSON string of any bytes: NUL and what is not UTF-8 becomes U+FFFD, as generated text or a file name may need. */
ln_status ln__json_new_str(json_t **out, const char *s, size_t n);
/* object[key] = value, stealing `value`; LN_ERR_NOMEM when value is NULL or the insertion fails. */
ln_status ln__json_set(json_t *object, const char *key, json_t *value);
ln_status ln__json_append(json_t *array, json_t *value);

#endif
