/* knapsack.h - one option per layer, at least a target removed, least total error. */
#ifndef LINNET_COMPRESS_KNAPSACK_H
#define LINNET_COMPRESS_KNAPSACK_H

#include "core/core.h"

/* One way to store a layer. */
typedef struct ln__option {
    double cr;           /* fraction asked to be removed; 0 is the dense layer */
    double ks;           /* atoms per non-zero of a code; 1 is plain low rank   */
    int64_t removed;     /* values removed, exact                               */
    double error;        /* what the allocation minimises, >= 0                 */
    double output_error; /* |(W-W')X| / |WX|, for the report                */
} ln__option;

typedef struct ln__option_list {
    ln__option *items; /* items[0] is the dense option: removed 0, error 0 */
    int64_t n;
    int64_t params; /* of the dense layer */
} ln__option_list;

/* choice[l] <- index of the option of layer l that minimises the sum of errors subject to
 * sum removed >= target values, on a grid of `precision` units for all parameters (removed amounts are rounded down,
 * so the target holds exactly). Options with error > cap are left out (the dense one never is).
 * LN_ERR_RANGE when the target cannot be reached; *reachable (may be NULL) always returns the most that can. */
ln_status ln__knapsack(int32_t *choice, const ln__option_list *layers, int64_t n, int64_t target, int64_t precision,
                       double cap, int64_t *reachable);

/* The paper's cap: alpha times the mean over layers of the error at the option nearest to cr = remove; alpha = 0 takes
 * the smallest of 1.0, 1.1 … 2.0 for which the target can be reached. Returns the alpha used. (ROCKET, appendix A)
 * LN_ERR_RANGE names the largest reachable fraction. */
ln_status ln__knapsack_capped(int32_t *choice, const ln__option_list *layers, int64_t n, double remove,
                              int64_t precision, double *alpha);

/* No cap: at least remove of all parameters goes, wherever it costs least. */
ln_status ln__knapsack_free(int32_t *choice, const ln__option_list *layers, int64_t n, double remove,
                            int64_t precision);

/* Every layer at the option nearest to cr = remove that removes at least that much. When a layer has none:
 * LN_ERR_RANGE, and *short_layer (may be NULL) is its index. */
ln_status ln__allocate_uniform(int32_t *choice, const ln__option_list *layers, int64_t n, double remove,
                               int64_t *short_layer);

#endif
