/* result.h - the envelope's JSON, for rooms that put more into it than the public calls do. */
#ifndef LINNET_CORE_RESULT_H
#define LINNET_CORE_RESULT_H

#include <linnet/result.h>

#include <jansson.h>

/* The "results" object, borrowed: keys set here appear in the envelope. */
json_t *ln__result_object(ln_result *r);
/* The whole envelope as it would be written now; free with json_decref. */
ln_status ln__result_envelope(json_t **out, const ln_result *r);

#endif
