/* result_impl.h - the envelope from the inside, for the two files that fill it. */
#ifndef LINNET_CORE_RESULT_IMPL_H
#define LINNET_CORE_RESULT_IMPL_H

#include "core/json.h"
#include "core/result.h"

typedef struct outcome {
    bool taken;
    double seconds;
    int64_t peak;
    int threads;
} outcome;

struct ln_result {
    json_t *verb, *system, *options, *inputs, *results, *checks, *series, *seed;
    double started;
    bool holds;
    outcome *end; /* filled in by the first write, also of a const result */
};

/* LN_ERR_NUMERIC ("what is NaN") unless x is finite. */
ln_status ln__result_real(json_t **out, double x, const char *what);

#endif
