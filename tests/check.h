/* check.h - a call that must succeed; what it said when it did not. Include cmocka.h before. */
#ifndef LINNET_TESTS_CHECK_H
#define LINNET_TESTS_CHECK_H

#include <linnet/base.h>

#include <math.h>

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        const ln_status ok_ = (call);                                                                                  \
        if (ok_ != LN_OK)                                                                                              \
            fail_msg("%s: %s: %s", #call, ln_status_name(ok_), ln_last_error());                                       \
    } while (0)

/* The larger of two errors. NaN, once there, stays: no bound accepts it. */
static inline double worse(double worst, double error)
{
    return isnan(worst) || error <= worst ? worst : error;
}

#endif
